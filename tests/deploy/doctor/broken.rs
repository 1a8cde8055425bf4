//! Broken set-ups: token, trust policies, identity providers and chains, row by row.
//!
//! The rows of GitLab's page "Configure OpenID Connect in AWS", Troubleshooting, are marked with its words.

use std::time::Duration;

use roleout::base::exit::Exit;
use roleout::sandbox::{AUDIENCE, Claims, ISSUER_HOST, Provider, Role};
use serde_json::{Value, json};

use super::*;

/// A broken set-up, the code of the finding that it must give, and words that its finding must have.
type Row = (&'static str, Setup, &'static str, Vec<&'static str>);

/// Holds every row: exit 4, the finding, its words, and a word of it in the text for people.
async fn hold(rows: Vec<Row>) {
    for (name, setup, code, words) in rows {
        let (exit, report) = setup.report().await;
        assert_eq!(exit, Exit::Preflight, "{name}: {report:#}");
        let findings = report["findings"].as_array().expect("findings");
        let found = findings.iter().find(|told| told["finding"]["code"] == code);
        let found = found.unwrap_or_else(|| panic!("{name}: no {code} in {report:#}"));
        let text = found.to_string().replace("\\\"", "\"");
        for word in words {
            assert!(text.contains(word), "{name}: no `{word}` in {found:#}");
        }
        let (_, text) = setup.says(super::Layout::Text).await;
        assert!(text.contains(&format!("✖ {code}\n")), "{name}:\n{text}");
        let unlike = |told: &&Value| {
            told["finding"]["severity"] == "fault" && told["finding"]["fix"].as_array().is_some_and(Vec::is_empty)
        };
        assert_eq!(findings.iter().find(unlike), None, "{name}: a fault without a fix");
    }
}

/// A set-up in which the hub's trust policy is another, and can be read.
fn hub(policy: Value) -> Setup {
    Setup::new(&beside()).trust(HUB, policy)
}

fn gitlab_com(conditions: Value) -> Setup {
    let setup = Setup::new(&beside());
    for account in ["111111111111", "200000000000"] {
        let client_ids = vec!["https://gitlab.com".to_owned()];
        setup.sandbox.set_provider(account, Provider { host: "gitlab.com".into(), client_ids, key_set: None });
    }
    let statement = |conditions: Value| {
        json!({ "Statement": [{
        "Effect": "Allow", "Principal": { "Federated": "arn:aws:iam::111111111111:oidc-provider/gitlab.com" },
        "Action": "sts:AssumeRoleWithWebIdentity", "Condition": conditions,
    }] })
    };
    let all = json!({ "StringLike": { "gitlab.com:sub": "project_path:acme/*" } });
    let overrides = [("ref_protected".to_owned(), json!("false"))].into_iter().collect();
    let (issuer, audience) = ("https://gitlab.com".to_owned(), vec!["https://gitlab.com".to_owned()]);
    let claims = Claims { issuer, audience, overrides, ..Claims::default() };
    setup.trust(READER, statement(all)).trust(HUB, statement(conditions)).claims(claims)
}

#[tokio::test(start_paused = true)]
async fn trust_policies_that_refuse_the_token() {
    let federated = |provider: &str| {
        let mut policy = web(subject("StringEquals", SUBJECT));
        policy["Statement"][0]["Principal"] = json!({ "Federated": provider });
        policy
    };
    let other = |name: &str, value: Value| {
        let mut policy = web(subject("StringEquals", SUBJECT));
        policy["Statement"][0][name] = value;
        policy
    };
    let with = |operator: &str, key: String, value: &str| {
        let mut conditions = subject("StringEquals", SUBJECT);
        conditions[operator][key] = json!(value);
        web(conditions)
    };
    let like = |text: &str| web(subject("StringLike", text));
    let denying = {
        let mut policy = web(subject("StringEquals", SUBJECT));
        let mut denial = policy["Statement"][0].clone();
        (denial["Effect"], denial["Sid"]) = (json!("Deny"), json!("NoMain"));
        policy["Statement"].as_array_mut().expect("a list").push(denial);
        policy
    };
    let both = json!({ "StringEquals": { (key("aud")): "sts.amazonaws.com", (key("sub")): "project_path:acme/shop:ref_type:branch:ref:release" } });
    hold(vec![
        // GitLab: "The role is restricted from being run on the branch or tag."
        (
            "another branch",
            hub(like("project_path:acme/shop:ref_type:branch:ref:release/*")),
            "trust-ref",
            vec![
                "for the branch `main`",
                "Statement[0] Condition.StringLike \"gitlab.sandbox.test:sub\"",
                "ref:release/*",
                "run the job on `release/*`",
                "all",
                "\"a0\",\"a1\"",
            ][..4]
                .to_vec(),
        ),
        (
            "only tags",
            hub(like("project_path:acme/shop:ref_type:tag:ref:*")),
            "trust-ref",
            vec!["for the ref_type `branch`", "run the job on `tag`"],
        ),
        // GitLab: "`StringEquals` is used instead of `StringLike` when using a wildcard condition."
        (
            "a wildcard in StringEquals",
            hub(web(subject("StringEquals", "project_path:acme/*:ref_type:branch:ref:main"))),
            "trust-wildcard",
            vec!["write StringLike in place of StringEquals"],
        ),
        // GitLab: "The cloud administrator has not configured the project to use OIDC with GitLab."
        (
            "another project",
            hub(like("project_path:acme/web:ref_type:branch:ref:main")),
            "trust-project",
            vec!["not for the project `acme/shop`", "acme/web"],
        ),
        (
            "no statement",
            hub(json!({ "Version": "2012-10-17", "Statement": [] })),
            "trust-action",
            vec![
                "no statement that allows anything",
                "\"Federated\": \"arn:aws:iam::111111111111:oidc-provider/gitlab.sandbox.test\"",
            ],
        ),
        (
            "a merge request as ref_type",
            hub(like("project_path:acme/shop:ref_type:mr:ref:*")),
            "trust-ref-type",
            vec!["`branch` or `tag`"],
        ),
        (
            "another audience",
            hub(web(json!({ "StringEquals": { (key("aud")): "sts.amazonaws.com", (key("sub")): SUBJECT } }))),
            "trust-audience",
            vec!["wants sts.amazonaws.com", "the token has https://gitlab.sandbox.test"],
        ),
        (
            "a provider in another account",
            hub(federated("arn:aws:iam::222222222222:oidc-provider/gitlab.sandbox.test")),
            "trust-principal",
            vec!["own account, and not in 222222222222"],
        ),
        (
            "a provider with a slash",
            hub(federated(&format!("{PROVIDER}/"))),
            "trust-principal",
            vec!["a trailing slash"],
        ),
        (
            "a provider with its scheme",
            hub(federated("arn:aws:iam::111111111111:oidc-provider/https://gitlab.sandbox.test")),
            "trust-principal",
            vec!["without `https://`"],
        ),
        (
            "a provider of another host",
            hub(federated("arn:aws:iam::111111111111:oidc-provider/gitlab.com")),
            "trust-principal",
            vec!["`gitlab.com` is another host"],
        ),
        (
            "a provider in capitals",
            hub(federated("arn:aws:iam::111111111111:oidc-provider/GitLab.sandbox.test")),
            "trust-principal",
            vec!["upper and lower case"],
        ),
        (
            "an AWS principal",
            hub(other("Principal", json!({ "AWS": "arn:aws:iam::111111111111:root" }))),
            "trust-principal",
            vec!["needs `\"Federated\"`"],
        ),
        (
            "AssumeRole",
            hub(other("Action", json!("sts:AssumeRole"))),
            "trust-action",
            vec!["allows sts:AssumeRole", "sts:AssumeRole is for IAM principals"],
        ),
        (
            "a key that is no condition key",
            hub(with("StringEquals", key("environment"), "production")),
            "trust-key",
            vec!["no condition key for `environment`", "sub and aud"],
        ),
        (
            "a key of gitlab.com alone",
            hub(with("StringEquals", key("project_id"), "4711")),
            "trust-key",
            vec!["for gitlab.com only"],
        ),
        (
            "a key with its scheme",
            hub(with("StringEquals", format!("https://{ISSUER_HOST}:sub"), SUBJECT)),
            "trust-key",
            vec!["without https://"],
        ),
        (
            "a key of another issuer",
            hub(web(json!({ "StringEquals": { "gitlab.com:sub": SUBJECT } }))),
            "trust-key",
            vec!["is of another issuer", "gitlab.sandbox.test:sub"],
        ),
        (
            "a tag that no token sets",
            hub(with("StringEquals", "aws:RequestTag/project".into(), "shop")),
            "trust-key",
            vec!["set no session tags"],
        ),
        ("a denial", hub(denying), "trust-denied", vec!["Statement[1] (NoMain)", "a Deny beats every Allow"]),
        (
            "a sub of project_id",
            hub(like("project_id:4711:ref_type:branch:ref:main")),
            "trust-subject-form",
            vec!["project_path, ref_type, ref"],
        ),
        (
            "a sub in capitals",
            hub(web(subject("StringEquals", "project_path:Acme/Shop:ref_type:branch:ref:main"))),
            "trust-subject",
            vec!["upper and lower case matter"],
        ),
        (
            "an operator that is none",
            hub(with("StringEqual", key("sub"), SUBJECT)),
            "trust-operator",
            vec!["`StringEqual` is none"],
        ),
        ("two clauses: the audience", hub(web(both.clone())), "trust-audience", vec!["sts.amazonaws.com"]),
        ("two clauses: the branch", hub(web(both)), "trust-ref", vec!["release"]),
        (
            "a condition that only AWS can judge",
            hub(with("IpAddress", "aws:SourceIp".into(), "10.0.0.0/8")),
            "trust-allows",
            vec!["but for what cannot be judged here", "cannot be judged here: Condition.IpAddress \"aws:SourceIp\""],
        ),
        (
            "an unprotected branch of gitlab.com",
            gitlab_com(json!({ "StringEquals": { "gitlab.com:ref_protected": "true" } })),
            "trust-claim",
            vec!["another `ref_protected`", "the token has false"],
        ),
        (
            "an environment of gitlab.com",
            gitlab_com(json!({ "StringEquals": { "gitlab.com:environment": "production" } })),
            "trust-key",
            vec!["of gitlab.com it knows sub, aud, namespace_id"],
        ),
        (
            "a fork's merge request",
            Setup::new(&beside()).trust(HUB, like("project_path:acme/shop:*")).trust(READER, like("*")).claims(
                Claims {
                    subject: "project_path:eve/shop:ref_type:branch:ref:main".into(),
                    overrides: [
                        ("project_id".to_owned(), json!("99")),
                        ("project_path".to_owned(), json!("eve/shop")),
                        ("pipeline_source".to_owned(), json!("merge_request_event")),
                    ]
                    .into_iter()
                    .collect(),
                    ..Claims::default()
                },
            ),
            "trust-project",
            vec!["of a fork's merge request", "do not let forks deploy"],
        ),
        (
            "a merge request",
            Setup::new(&beside()).trust(HUB, like("project_path:acme/shop:ref_type:branch:ref:main")).claims(Claims {
                subject: "project_path:acme/shop:ref_type:branch:ref:feature".into(),
                overrides: [("pipeline_source".to_owned(), json!("merge_request_event"))].into_iter().collect(),
                ..Claims::default()
            }),
            "trust-ref",
            vec!["its ref is the source branch"],
        ),
        (
            "a policy from a file",
            Setup::new(&alone())
                .trust(HUB, json!({ "Statement": [] }))
                .policy(like("project_path:acme/shop:ref_type:tag:ref:*")),
            "trust-ref",
            vec!["trust.json: Statement[0] Allow fails at"],
        ),
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn roles_that_cannot_be_read_or_are_not_there() {
    let nobody = json!({ "Statement": [] });
    let release = web(subject("StringEquals", "project_path:acme/shop:ref_type:branch:ref:release"));
    let path = Role::new("arn:aws:iam::111111111111:role/ci/hub");
    let moved = Setup::new(&beside()).without(HUB);
    moved.sandbox.add_role(path);
    let new = {
        let setup = hub(web(
            json!({ "StringEquals": { (key("sub")): SUBJECT }, "IpAddress": { "aws:SourceIp": "10.0.0.0/8" } }),
        ));
        let now = u64::try_from(setup.sandbox.clock().timestamp().as_millisecond()).expect("after 1970");
        setup.role(HUB, |role| role.created = now - 5_000)
    };
    hold(vec![
        (
            "unreadable",
            Setup::new(&alone()).trust(HUB, nobody.clone()),
            "not-authorized",
            vec![
                "AWS: AssumeRoleWithWebIdentity: AccessDenied: Not authorized to perform",
                "no other session in account 111111111111",
                "1. the role is for another project",
                "--trust-policy trust.json",
            ],
        ),
        (
            "unreadable, on an unprotected branch",
            Setup::new(&alone()).trust(HUB, nobody.clone()).claim("ref_protected", json!("false")),
            "not-authorized",
            vec!["1. the role is for another branch or tag than the branch `main`"],
        ),
        (
            "unreadable, with another sub",
            Setup::new(&alone())
                .trust(HUB, nobody.clone())
                .claims(Claims { subject: "project_id:4711:ref_type:branch:ref:main".into(), ..Claims::default() }),
            "not-authorized",
            vec!["1. the role is for another project, or its policy has another form of sub"],
        ),
        (
            "the reader may not",
            Setup::new(&beside()).trust(HUB, nobody).role(READER, |role| role.actions = Some(vec!["ecs:*".into()])),
            "not-authorized",
            vec!["assumed-role/reader/", "may not: GetRole: AccessDenied"],
        ),
        (
            "no such role",
            Setup::new(&beside()).without(HUB),
            "role-missing",
            vec!["there is no role arn:aws:iam::111111111111:role/hub"],
        ),
        ("another path", moved, "role-path", vec!["iam:GetRole gives arn:aws:iam::111111111111:role/ci/hub"]),
        ("a new role", new, "role-new", vec!["was made 5s ago", "--wait-for-iam 30s"]),
        (
            "a statement for another branch",
            Setup::new(&beside()).trust(HUB, release),
            "trust-ref",
            vec!["every clause", "ref:main"][1..].to_vec(),
        ),
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn tokens_that_are_none_or_do_not_serve() {
    let claims = |claims: Claims| Setup::new(&beside()).claims(claims);
    let named = |issuer: &str| {
        Setup::new(&beside().replace("token_env: TOKEN", &format!("token_env: TOKEN, issuer: \"{issuer}\"")))
    };
    hold(vec![
        (
            "none",
            Setup::new(&beside()).no_token(),
            "token-missing",
            vec!["  id_tokens:", "    TOKEN:", "id_token_burned_project_path"],
        ),
        ("no JWT", Setup::new(&beside()).token("hush-hush"), "token-malformed", vec!["is not a JWT"]),
        (
            "CI_JOB_TOKEN",
            Setup::new(&beside()).token("glcbt-66_hush"),
            "token-malformed",
            vec!["another secret of GitLab's"],
        ),
        (
            "a variable's name",
            Setup::new(&beside()).token("$GITLAB_OIDC_TOKEN"),
            "token-malformed",
            vec!["nothing filled in"],
        ),
        (
            "ended",
            claims(Claims { lifetime: Duration::ZERO, ..Claims::default() }),
            "token-expired",
            vec!["the ID token ended", "raise its `timeout`"],
        ),
        (
            "not yet valid",
            claims(Claims { delay: Duration::from_secs(300), ..Claims::default() }),
            "token-not-yet-valid",
            vec!["not valid for another 4m 55s", "NTP"],
        ),
        (
            "another issuer than the manifest's",
            named("https://gitlab.example.com"),
            "token-issuer",
            vec!["different hosts"],
        ),
        (
            "no audience",
            claims(Claims { audience: Vec::new(), ..Claims::default() }),
            "token-claim-missing",
            vec!["no `aud`", "CI_JOB_JWT"],
        ),
        ("no subject", Setup::new(&beside()).claim("sub", Value::Null), "token-claim-missing", vec!["no `sub`"]),
        ("no end", Setup::new(&beside()).claim("exp", Value::Null), "token-claim-missing", vec!["no `exp`"]),
        (
            "http",
            claims(Claims { issuer: format!("http://{ISSUER_HOST}"), ..Claims::default() }).fault("*=no-provider"),
            "token-issuer-http",
            vec!["https://"],
        ),
        (
            "a port",
            claims(Claims { issuer: format!("https://{ISSUER_HOST}:8443"), ..Claims::default() }),
            "token-issuer-port",
            vec![":8443"],
        ),
        (
            "an audience that is not filled in",
            claims(Claims { audience: vec!["$AWS_AUDIENCE".into()], ..Claims::default() }),
            "token-audience",
            vec!["did not fill in"],
        ),
        (
            "another's signature",
            claims(Claims { forged: true, ..Claims::default() }),
            "token-signature",
            vec!["kid sandbox-1", "must hold that kid"],
        ),
        (
            "rejected",
            Setup::new(&alone()).fault("111111111111=claim-rejected"),
            "token-rejected",
            vec!["IDPRejectedClaim"],
        ),
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn identity_providers_that_are_missing_or_wrong() {
    let provider = |host: &str, id: &str| Provider { host: host.into(), client_ids: vec![id.into()], key_set: None };
    // The leaf of a0 is first in its chain, and `tools` has a chain by the hub's account: nobody is in a0 but `middle`.
    let slash = Setup::new(&alone());
    slash.sandbox.remove_provider("111111111111", ISSUER_HOST);
    slash.sandbox.set_provider("111111111111", provider(&format!("{ISSUER_HOST}/"), AUDIENCE));
    let other = Setup::new(&alone());
    other.sandbox.set_provider("111111111111", provider(ISSUER_HOST, "sts.amazonaws.com"));
    hold(vec![
        (
            "none",
            Setup::new(&alone()).fault("111111111111=no-provider"),
            "no-provider",
            vec![
                "account 111111111111 has no identity provider for https://gitlab.sandbox.test",
                "create-open-id-connect-provider --url https://gitlab.sandbox.test",
                "No OpenIDConnect provider found in your account",
            ],
        ),
        ("with a slash", slash, "no-provider", vec!["could not be read: this run has no other session"]),
        (
            "another audience",
            other,
            "provider-audience",
            vec!["aud https://gitlab.sandbox.test", "add-client-id-to-open-id-connect-provider"],
        ),
        // GitLab: "Couldn't retrieve verification key from your identity provider": its four causes are those of one fix.
        (
            "keys that AWS cannot fetch",
            Setup::new(&alone()).fault("111111111111=no-keys"),
            "issuer-unreachable",
            vec![
                "could not fetch the keys",
                "tried five times",
                "from the public internet within 5 s",
                "open the firewall",
            ],
        ),
        (
            "an issuer that AWS cannot reach",
            Setup::new(&alone()).fault("111111111111=no-issuer"),
            "issuer-unreachable",
            vec!["IDPCommunicationError"],
        ),
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn chains_that_end_early() {
    let plain = |setup: Setup, trust: Value| setup.trust(LEAF, trust);
    let trust = |principal: &str, action: Value, condition: Value| json!({ "Statement": [{ "Sid": "Ci", "Effect": "Allow", "Principal": { "AWS": principal }, "Action": action, "Condition": condition }] });
    let assume = json!("sts:AssumeRole");
    let external = |id: &str| json!({ "StringEquals": { "sts:ExternalId": id } });
    let tags = ", tags: { team: shop }";
    let source = ", source_identity: ci-bot";
    let denying = json!({ "Statement": [
        { "Effect": "Allow", "Principal": { "AWS": MIDDLE }, "Action": "sts:AssumeRole" },
        { "Sid": "Stop", "Effect": "Deny", "Principal": "*", "Action": "sts:AssumeRole", "Condition": { "StringLike": { "sts:RoleSessionName": "gl-*" } } },
    ] });
    let long = manifest(&[("a0", "200000000000", "leaf")], ", duration: 4h");
    hold(vec![
        (
            "nobody can read",
            Setup::new(&alone()).trust(LEAF, json!({ "Statement": [] })),
            "assume-role-denied",
            vec![
                "arn:aws:iam::111111111111:role/hub may not call sts:AssumeRole on \
                 arn:aws:iam::200000000000:role/leaf",
                "both sides must allow it",
                "--trust-policy",
            ],
        ),
        (
            "denied in the caller's name",
            Setup::new(&alone()).fault("200000000000/*/sts=deny:sts:AssumeRole"),
            "assume-role-denied",
            vec!["User: arn:aws:sts::111111111111:assumed-role/hub/"],
        ),
        (
            "no external id in the manifest",
            plain(Setup::new(&deep("")), trust(MIDDLE, assume.clone(), external("team"))),
            "chain-external-id",
            vec!["the manifest gives none", "set `external_id` of the role `leaf`"],
        ),
        (
            "another external id",
            plain(Setup::new(&deep(", external_id: wrong-id")), trust(MIDDLE, assume.clone(), external("team"))),
            "chain-external-id",
            vec!["another external id", "`external_id` of the role `leaf`"],
        ),
        (
            "another principal",
            plain(Setup::new(&deep("")), trust(HUB, assume.clone(), json!({}))),
            "chain-principal",
            vec!["names AWS arn:aws:iam::111111111111:role/hub", "name arn:aws:iam::200000000000:role/middle there"],
        ),
        (
            "a session as principal",
            plain(
                Setup::new(&deep("")),
                trust("arn:aws:sts::200000000000:assumed-role/middle/gl-1", assume.clone(), json!({})),
            ),
            "chain-principal",
            vec!["one session name only"],
        ),
        (
            "a wildcard in the principal",
            plain(Setup::new(&deep("")), trust("arn:aws:iam::200000000000:role/*", assume.clone(), json!({}))),
            "chain-principal",
            vec!["takes no wildcard"],
        ),
        (
            "a role that was made again",
            plain(Setup::new(&deep("")), trust("AROAEXAMPLEEXAMPLEEXA", assume.clone(), json!({}))),
            "chain-role-recreated",
            vec!["the id that AWS puts in place", "Statement[0] (Ci) Principal"],
        ),
        (
            "no TagSession",
            plain(Setup::new(&deep(tags)), trust(MIDDLE, assume.clone(), json!({}))),
            "chain-action",
            vec!["does not allow sts:TagSession", "take the tags out", "\"sts:TagSession\""],
        ),
        (
            "no SetSourceIdentity",
            plain(Setup::new(&deep(source)), trust(MIDDLE, assume.clone(), json!({}))),
            "chain-action",
            vec!["does not allow sts:SetSourceIdentity"],
        ),
        (
            "TagSession, unreadable",
            Setup::new(&manifest(&[("a0", "200000000000", "hub, leaf")], tags))
                .trust(LEAF, trust(HUB, assume.clone(), json!({}))),
            "tag-session-denied",
            vec!["take `tags` of this role"],
        ),
        (
            "a web identity's action",
            plain(Setup::new(&deep("")), trust(MIDDLE, json!("sts:AssumeRoleWithWebIdentity"), json!({}))),
            "chain-action",
            vec!["is for the first role of a chain"],
        ),
        ("a denial", plain(Setup::new(&deep("")), denying), "chain-denied", vec!["Statement[1] (Stop)"]),
        (
            "another session name",
            plain(
                Setup::new(&deep("")),
                trust(MIDDLE, assume.clone(), json!({ "StringLike": { "sts:RoleSessionName": "release-*" } })),
            ),
            "chain-condition",
            vec!["the session has gl-"],
        ),
        (
            "a claim on a later role",
            plain(Setup::new(&deep("")), trust(MIDDLE, assume, json!({ "StringEquals": { (key("sub")): SUBJECT } }))),
            "chain-condition",
            vec!["end at the first role"],
        ),
        (
            "a later role that is missing",
            Setup::new(&deep("")).without(LEAF),
            "role-missing",
            vec!["finds no role named leaf"],
        ),
        (
            "too many tags",
            Setup::new(&deep(tags)).fault("200000000000=packed"),
            "packed-policy-too-large",
            vec!["127%"],
        ),
        (
            "a region without STS",
            Setup::new(&alone()).fault("200000000000=region-disabled"),
            "region-disabled",
            vec!["STS is not active for account 200000000000", "identity.region"],
        ),
        (
            "too long a session",
            Setup::new(&long).role(LEAF, |role| role.max_session = Duration::from_secs(3600)),
            "session-duration",
            vec!["does not give sessions of 4h"],
        ),
        (
            "another account's session",
            Setup::new(&alone()).fault("200000000000=wrong-account"),
            "wrong-account",
            vec!["is in account 999999999999"],
        ),
        ("no answer", Setup::new(&alone()).fault("111111111111/*/sts=reset"), "no-answer", vec!["HTTPS_PROXY"]),
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_fault_that_is_alike_is_told_once_with_its_accounts() {
    let setup = Setup::new(&alone());
    for account in ["200000000000", "200000000001"] {
        let leaf = format!("arn:aws:iam::{account}:role/leaf");
        setup.sandbox.change_role(&leaf, |role| role.trust["Statement"] = json!([]));
    }
    let (_, report) = setup.report().await;
    let findings = report["findings"].as_array().expect("findings");
    assert_eq!(findings.len(), 1, "{report:#}");
    assert_eq!(findings[0]["accounts"], json!(["a0", "a1"]));
    assert!(
        findings[0]["finding"]["what"]
            .as_str()
            .is_some_and(|what| what.ends_with("on arn:aws:iam::ACCOUNT_ID:role/leaf")),
        "{report:#}"
    );
    assert_eq!(report["accounts"][0]["hops"][0]["state"]["is"], "ok");
    assert_eq!(report["accounts"][1]["hops"][1]["state"], json!({ "is": "refused", "codes": ["assume-role-denied"] }));
}

#[tokio::test(start_paused = true)]
async fn a_new_role_is_waited_for() {
    let setup = Setup::new(&alone()).trust(HUB, json!({ "Statement": [] }));
    let (exit, _) = setup.report().await;
    assert_eq!(exit, Exit::Preflight);
    let setup = setup.wait(Duration::from_secs(30));
    let later = async {
        tokio::time::sleep(Duration::from_secs(7)).await;
        setup.sandbox.change_role(HUB, |role| role.trust = web(subject("StringEquals", SUBJECT)));
    };
    let began = tokio::time::Instant::now();
    let ((exit, report), ()) = tokio::join!(setup.report(), later);
    assert_eq!(exit, Exit::Done, "{report:#}");
    assert_eq!(began.elapsed().as_secs(), 8);
}
