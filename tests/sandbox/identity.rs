//! What STS refuses, text by text, and sessions that end.

use std::time::Duration;

use aws_sdk_sts::error::ProvideErrorMetadata;
use aws_sdk_sts::types::Tag;
use roleout::sandbox::{Claims, Fault, Provider, Role, Sandbox};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::fixture::{CLUSTER, DEPLOYER, Fixture, HUB, PROD, advance};

const HUB_ACCOUNT: &str = "111111111111";
const DENIED: &str = "Not authorized to perform sts:AssumeRoleWithWebIdentity";

fn told(error: &impl ProvideErrorMetadata) -> (String, String) {
    (error.code().unwrap_or_default().to_owned(), error.message().unwrap_or_default().to_owned())
}

fn claims(change: impl FnOnce(&mut Claims)) -> Claims {
    let mut claims = Claims::default();
    change(&mut claims);
    claims
}

#[tokio::test(start_paused = true)]
async fn a_web_identity_is_refused_as_sts_does_it() {
    let fixture = Fixture::new().await;
    let unvalidated = "The web identity token that was passed could not be validated by AWS. Get a new identity token from \
                       the identity provider and then retry the request.";
    let cases = [
        (claims(|c| c.subject = "project_path:evil/shop:ref_type:branch:ref:main".into()), "AccessDenied", DENIED),
        (claims(|c| c.audience = vec!["https://other".into()]), "InvalidIdentityToken", "Incorrect token audience"),
        (claims(|c| c.audience = vec![]), "InvalidIdentityToken", "Missing a required claim: aud"),
        (
            claims(|c| c.issuer = "https://gitlab.com".into()),
            "InvalidIdentityToken",
            "No OpenIDConnect provider found in your account for https://gitlab.com",
        ),
        (claims(|c| c.forged = true), "InvalidIdentityToken", unvalidated),
        (
            claims(|c| drop(c.overrides.insert("sub".into(), Value::Null))),
            "InvalidIdentityToken",
            "Missing a required claim: sub",
        ),
        (
            claims(|c| c.delay = Duration::from_secs(600)),
            "InvalidIdentityToken",
            "The token is not valid yet: its nbf claim is in the future",
        ),
    ];
    for (claims, code, text) in cases {
        let error = fixture.hub_session(&claims, None).await.expect_err(text);
        assert_eq!(told(&error), (code.to_owned(), text.to_owned()), "{code}");
    }
    let error = fixture.web_identity(HUB, "not.a.token", None).await.expect_err("no token");
    assert_eq!(
        told(&error).1,
        "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)"
    );
    let token = fixture.sandbox.id_token(Claims::default());
    let missing = "arn:aws:iam::111111111111:role/no-such-role";
    let error = fixture.web_identity(missing, token.expose_secret(), None).await.expect_err("no role");
    assert_eq!(told(&error), ("AccessDenied".into(), DENIED.into()));

    advance(Duration::from_secs(3601)).await;
    let error = fixture.web_identity(HUB, token.expose_secret(), None).await.expect_err("too late");
    assert!(error.is_expired_token_exception());
    assert!(told(&error).1.starts_with("Token expired: current date/time "), "{error:?}");

    assert!(fixture.sandbox.remove_provider(HUB_ACCOUNT, roleout::sandbox::ISSUER_HOST));
    let error = fixture.hub_session(&Claims::default(), None).await.expect_err("no provider");
    assert!(
        told(&error).1.starts_with("No OpenIDConnect provider found in your account for https://gitlab.sandbox.test")
    );
}

#[tokio::test(start_paused = true)]
async fn a_stranger_role_and_a_wrong_external_id_are_refused() {
    let fixture = Fixture::new().await;
    let hub = fixture.hub_session(&Claims::default(), None).await.expect("the hub");
    let caller = "arn:aws:sts::111111111111:assumed-role/gitlab-hub/gl-1-2-3";
    let text = format!("User: {caller} is not authorized to perform: sts:AssumeRole on resource: {DEPLOYER}");
    let error = fixture.chained(&hub, PROD, |call| call.external_id("wrong")).await.expect_err("wrong id");
    assert_eq!(told(&error), ("AccessDenied".into(), text.clone()));
    let error = fixture.chained(&hub, PROD, |call| call.set_external_id(None)).await.expect_err("no id");
    assert_eq!(told(&error), ("AccessDenied".into(), text.clone()));
    fixture.sandbox.change_role(HUB, |role| role.actions = Some(vec!["ecs:*".into()]));
    let error = fixture.chained(&hub, PROD, |call| call).await.expect_err("the hub lacks sts:AssumeRole");
    assert_eq!(told(&error).1, text);
    fixture.sandbox.change_role(HUB, |role| role.actions = Some(vec!["sts:AssumeRole".into()]));
    fixture.chained(&hub, PROD, |call| call).await.expect("both sides allow it");
    assert!(fixture.sandbox.remove_role(DEPLOYER));
    let error = fixture.chained(&hub, PROD, |call| call).await.expect_err("gone");
    assert_eq!(told(&error).1, text);
}

#[tokio::test(start_paused = true)]
async fn tags_and_source_identity_need_their_own_permission() {
    let fixture = Fixture::new().await;
    let hub = fixture.hub_session(&Claims::default(), None).await.expect("the hub");
    let tag = || Tag::builder().key("project").value("shop").build().expect("a tag");
    fixture.chained(&hub, PROD, |call| call.tags(tag()).source_identity("gitlab")).await.expect("the trust has both");
    fixture.sandbox.change_role(DEPLOYER, |role| {
        *role = Role::new(DEPLOYER);
        role.trust = json!({ "Statement": [
            { "Effect": "Allow", "Principal": { "AWS": HUB }, "Action": "sts:AssumeRole" },
        ] });
    });
    let error = fixture.chained(&hub, PROD, |call| call.tags(tag())).await.expect_err("no sts:TagSession");
    assert!(told(&error).1.contains("is not authorized to perform: sts:TagSession on resource:"), "{error:?}");
    let error = fixture.chained(&hub, PROD, |call| call.source_identity("gitlab")).await.expect_err("no permission");
    assert!(told(&error).1.contains("sts:SetSourceIdentity"), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn transitive_tags_and_the_source_identity_pass_along_the_chain() {
    let fixture = Fixture::new().await;
    let last = "arn:aws:iam::333333333333:role/last";
    let mut role = Role::new(last);
    role.trust = json!({ "Statement": [{
        "Effect": "Allow", "Principal": { "AWS": DEPLOYER },
        "Action": ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"],
        "Condition": { "StringEquals": { "aws:PrincipalTag/project": "shop", "sts:SourceIdentity": "gitlab" } },
    }] });
    fixture.sandbox.add_role(role);
    let hub = fixture.hub_session(&Claims::default(), None).await.expect("the hub");
    let tag = |key: &str, value: &str| Tag::builder().key(key).value(value).build().expect("a tag");
    let deployer = fixture.chained(&hub, PROD, |call| {
        call.tags(tag("project", "shop")).tags(tag("job", "1")).transitive_tag_keys("project").source_identity("gitlab")
    });
    let deployer = deployer.await.expect("tagged");
    let call = fixture.sts(&deployer).assume_role().role_arn(last).role_session_name("gl-1");
    let output = call.clone().send().await.expect("the inherited values satisfy the trust");
    assert_eq!(output.source_identity(), Some("gitlab"));
    let error = call.source_identity("other").send().await.expect_err("it never changes");
    assert!(told(&error).1.contains("sts:SetSourceIdentity"));
}

#[tokio::test(start_paused = true)]
async fn durations_have_their_bounds() {
    let fixture = Fixture::new().await;
    let error = fixture.hub_session(&Claims::default(), Some(7200)).await.expect_err("the role's hour");
    let limit = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.";
    assert_eq!(told(&error), ("ValidationError".into(), limit.into()));
    let error = fixture.hub_session(&Claims::default(), Some(600)).await.expect_err("below the least");
    assert!(told(&error).1.contains("Member must have value greater than or equal to 900"));
    fixture.sandbox.change_role(HUB, |role| role.max_session = Duration::from_secs(12 * 3600));
    fixture.sandbox.change_role(DEPLOYER, |role| role.max_session = Duration::from_secs(12 * 3600));
    let hub = fixture.hub_session(&Claims::default(), Some(7200)).await.expect("now it may");
    let error = fixture.chained(&hub, PROD, |call| call.duration_seconds(3601)).await.expect_err("chained");
    let text = "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.";
    assert_eq!(told(&error), ("ValidationError".into(), text.into()));
    fixture.chained(&hub, PROD, |call| call.duration_seconds(3600)).await.expect("an hour");
    let error = fixture.chained(&hub, PROD, |call| call.role_session_name("feature/x")).await.expect_err("a slash");
    let wanted = r"1 validation error detected: Value 'feature/x' at 'roleSessionName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\w+=,.@-]*";
    assert_eq!(told(&error).1, wanted);
}

#[tokio::test(start_paused = true)]
async fn sessions_expire_on_the_clock() {
    let fixture = Fixture::new().await;
    let hub = fixture.hub_session(&Claims::default(), None).await.expect("the hub");
    let prod = fixture.chained(&hub, PROD, |call| call.duration_seconds(900)).await.expect("prod");
    let ecs = fixture.ecs_as(&prod);
    let describe = || ecs.describe_services().cluster(CLUSTER).services("api");
    describe().send().await.expect("it is fresh");
    advance(Duration::from_secs(901)).await;
    let error = describe().send().await.expect_err("it expired");
    assert_eq!(error.raw_response().map(|raw| raw.status().as_u16()), Some(400));
    let error = error.into_service_error();
    let text = "The security token included in the request is expired";
    assert_eq!(told(&error), ("ExpiredTokenException".into(), text.into()));
    let error = fixture.sts(&prod).get_caller_identity().send().await.expect_err("here too");
    assert_eq!(error.raw_response().map(|raw| raw.status().as_u16()), Some(403));
    assert_eq!(told(&error.into_service_error()).0, "ExpiredToken");
    fixture.sandbox.expire_sessions(HUB_ACCOUNT);
    let error = fixture.chained(&hub, PROD, |call| call).await.expect_err("ended");
    assert_eq!(told(&error).0, "ExpiredToken");
}

#[tokio::test(start_paused = true)]
async fn wrong_keys_and_signatures_are_refused() {
    let fixture = Fixture::new().await;
    let key = Sandbox::access_key(PROD);
    let wrong = aws_credential_types::Credentials::new(&key, "wrong", None, None, "test");
    let list = |credentials| {
        let ecs = fixture.ecs_as(&credentials);
        async move { ecs.list_clusters().send().await.expect_err("refused").into_service_error() }
    };
    let error = list(wrong.clone()).await;
    assert_eq!(told(&error).0, "InvalidSignatureException");
    assert!(told(&error).1.starts_with("The request signature we calculated does not match"));
    let error = fixture.sts(&wrong).get_caller_identity().send().await.expect_err("refused").into_service_error();
    assert_eq!(told(&error).0, "SignatureDoesNotMatch");
    let stranger = aws_credential_types::Credentials::new("AKIAUNKNOWN000000000", "test", None, None, "test");
    let error = list(stranger.clone()).await;
    let text = "The security token included in the request is invalid.";
    assert_eq!(told(&error), ("UnrecognizedClientException".into(), text.into()));
    let error = fixture.sts(&stranger).get_caller_identity().send().await.expect_err("refused").into_service_error();
    assert_eq!(told(&error).0, "InvalidClientTokenId");
}

#[tokio::test(start_paused = true)]
async fn a_tagged_registration_needs_a_permission_of_its_own() {
    use aws_sdk_ecs::types::{ContainerDefinition, Tag};

    let fixture = Fixture::new().await;
    let actions = vec!["ecs:RegisterTaskDefinition".to_owned()];
    fixture.sandbox.change_role(DEPLOYER, |role| role.actions = Some(actions));
    let container = ContainerDefinition::builder().name("app").image("r/api:1").memory(64).build();
    let hub = fixture.hub_session(&Claims::default(), None).await.expect("the hub");
    let ecs = fixture.ecs_as(&fixture.chained(&hub, PROD, |call| call).await.expect("prod"));
    let call = ecs.register_task_definition().family("tagged").container_definitions(container);
    call.clone().send().await.expect("without tags it is allowed");
    let tag = Tag::builder().key("team").value("shop").build();
    let error = call.clone().tags(tag.clone()).send().await.expect_err("denied").into_service_error();
    assert!(told(&error).1.contains("not authorized to perform: ecs:TagResource on resource: "), "{error}");
    let policy = json!({ "Statement": [
        { "Effect": "Allow", "Action": "ecs:RegisterTaskDefinition", "Resource": "*" },
        { "Effect": "Allow", "Action": "ecs:TagResource", "Resource": "*",
          "Condition": { "StringEquals": { "ecs:CreateAction": "RegisterTaskDefinition" } } },
    ] });
    fixture.sandbox.change_role(DEPLOYER, |role| (role.actions, role.policy) = (None, Some(policy)));
    call.tags(tag).send().await.expect("allowed where it registers");
}

#[tokio::test(start_paused = true)]
async fn a_role_calls_only_what_it_is_allowed_to() {
    let fixture = Fixture::new().await;
    fixture.sandbox.change_role(DEPLOYER, |role| role.actions = Some(vec!["ecs:Describe*".into(), "ecs:List*".into()]));
    let hub = fixture.hub_session(&Claims::default(), None).await.expect("the hub");
    let prod = fixture.chained(&hub, PROD, |call| call).await.expect("prod");
    let ecs = fixture.ecs_as(&prod);
    ecs.describe_services().cluster(CLUSTER).services("api").send().await.expect("reading is allowed");
    let error = ecs.update_service().cluster(CLUSTER).service("api").desired_count(3).send().await.expect_err("denied");
    let error = error.into_service_error();
    assert!(error.is_access_denied_exception());
    let text = "User: arn:aws:sts::222222222222:assumed-role/deployer/gl-1-2-3 is not authorized to perform: \
                ecs:UpdateService on resource: arn:aws:ecs:eu-west-1:222222222222:service/web/api because no \
                identity-based policy allows the ecs:UpdateService action";
    assert_eq!(told(&error).1, text);
    fixture.sandbox.change_role(DEPLOYER, |role| role.actions = None);
    fixture.sandbox.fault("prod", Fault::Deny("ecs:Update*".into())).expect("a pattern");
    let error = ecs.update_service().cluster(CLUSTER).service("api").desired_count(3).send().await.expect_err("denied");
    assert_eq!(told(&error.into_service_error()).1, text);
}

#[tokio::test(start_paused = true)]
async fn a_policy_and_a_session_policy_restrict() {
    let fixture = Fixture::new().await;
    fixture.sandbox.change_role(DEPLOYER, |role| {
        role.policy = Some(json!({ "Statement": [
            { "Effect": "Allow", "Action": "ecs:*", "Resource": "arn:aws:ecs:eu-west-1:222222222222:service/web/*" },
        ] }));
    });
    let hub = fixture.hub_session(&Claims::default(), None).await.expect("the hub");
    let prod = fixture.chained(&hub, PROD, |call| call).await.expect("prod");
    let describe =
        |ecs: aws_sdk_ecs::Client| async move { ecs.describe_services().cluster(CLUSTER).services("api").send().await };
    describe(fixture.ecs_as(&prod)).await.expect("its resource");
    fixture.ecs_as(&prod).list_clusters().send().await.expect_err("not a service");
    let narrow =
        json!({ "Statement": [{ "Effect": "Allow", "Action": "ecs:ListServices", "Resource": "*" }] }).to_string();
    let prod = fixture.chained(&hub, PROD, |call| call.policy(narrow)).await.expect("prod");
    let error = describe(fixture.ecs_as(&prod)).await.expect_err("the session may not").into_service_error();
    assert!(told(&error).1.ends_with("because no session policy allows the ecs:DescribeServices action"));
}

#[tokio::test(start_paused = true)]
async fn a_session_can_be_of_the_wrong_account() {
    let fixture = Fixture::new().await;
    fixture.sandbox.fault("prod", Fault::WrongAccount).expect("a pattern");
    let hub = fixture.hub_session(&Claims::default(), None).await.expect("the hub");
    let prod = fixture.chained(&hub, PROD, |call| call).await.expect("a session");
    let identity = fixture.sts(&prod).get_caller_identity().send().await.expect("an identity");
    assert_eq!(identity.account(), Some("999999999999"));
}

#[tokio::test(start_paused = true)]
async fn another_issuers_tokens_are_checked_against_its_own_keys() {
    let fixture = Fixture::new().await;
    let other = Sandbox::new(8, fixture.sandbox.clock());
    let provider = |key_set| Provider {
        host: "gitlab.example.com".into(),
        client_ids: vec!["sts".into()],
        key_set: Some(key_set),
    };
    let claims = claims(|c| {
        c.issuer = "https://gitlab.example.com".into();
        c.audience = vec!["sts".into()];
    });
    fixture.sandbox.change_role(HUB, |role| {
        role.trust = json!({ "Statement": [{
            "Effect": "Allow", "Action": "sts:AssumeRoleWithWebIdentity",
            "Principal": { "Federated": "arn:aws:iam::111111111111:oidc-provider/gitlab.example.com" },
            "Condition": { "StringEquals": { "gitlab.example.com:aud": ["sts"] } },
        }] });
    });
    let token = other.id_token(claims);
    fixture.sandbox.set_provider(HUB_ACCOUNT, provider(fixture.sandbox.key_set()));
    let error = fixture.web_identity(HUB, token.expose_secret(), None).await.expect_err("signed by another");
    assert!(told(&error).1.contains("could not be validated"));
    fixture.sandbox.set_provider(HUB_ACCOUNT, provider(other.key_set()));
    fixture.web_identity(HUB, token.expose_secret(), None).await.expect("signed by the issuer");
}
