//! STS: AssumeRoleWithWebIdentity, AssumeRole and GetCallerIdentity, in awsQuery and XML.
//!
//! Each refusal has the code and the text that AWS gives; a missing role, a wrong provider and a failed condition
//! look the same, as they do there.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::base::arn;
use crate::sandbox::account::{parts, provider_arn};
use crate::sandbox::fault::Fault;
use crate::sandbox::jwt;
use crate::sandbox::moment::{Moment, iso};
use crate::sandbox::policy::{Ask, Decision, decide};
use crate::sandbox::rng::KEY_LETTERS;
use crate::sandbox::session::{Principal, Session};
use crate::sandbox::validation;
use crate::sandbox::wire::{AwsError, STS_NAMESPACE, escape};
use crate::sandbox::world::World;

/// A request's form fields.
pub(crate) type Form = BTreeMap<String, String>;

/// What STS hands out.
struct Granted {
    access_key: String,
    session: Session,
    packed: Option<usize>,
}

/// The longest session of a role that another role's session assumed.
const CHAINED_LIMIT: u64 = 3600;

pub(crate) fn assume_role_with_web_identity(world: &mut World, form: &Form, now: Moment) -> Result<String, AwsError> {
    let (arn, name, duration) = read(form, "AssumeRoleWithWebIdentity")?;
    let text = form.get("WebIdentityToken").map(String::as_str).unwrap_or_default();
    let invalid = |text: &str| AwsError::new("InvalidIdentityToken", text);
    let not_a_token = "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)";
    let token = jwt::parse(text).ok_or_else(|| invalid(not_a_token))?;
    let claim = |name: &str| token.claims.get(name).and_then(Value::as_str);
    let seconds = |name: &str| token.claims.get(name).and_then(Value::as_u64);
    let missing = |name: &str| invalid(&format!("Missing a required claim: {name}"));
    let issuer = claim("iss").ok_or_else(|| missing("iss"))?;
    let subject = claim("sub").ok_or_else(|| missing("sub"))?.to_owned();
    let audience = strings(token.claims.get("aud"));
    if audience.is_empty() {
        return Err(missing("aud"));
    }
    let expiry = seconds("exp").ok_or_else(|| missing("exp"))?;
    let host = issuer.strip_prefix("https://").unwrap_or(issuer).to_owned();
    let (partition, account_id) = parts(arn);
    let denied =
        || AwsError::with_status(403, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity");
    let account = world.accounts.get(account_id).ok_or_else(denied)?;
    let no_provider = || invalid(&format!("No OpenIDConnect provider found in your account for {issuer}"));
    let provider = account.providers.get(&host).ok_or_else(no_provider)?;
    let own = world.issuer.key_set();
    if !jwt::is_signed_by(&token, provider.key_set.as_ref().unwrap_or(&own)) {
        return Err(invalid(
            "The web identity token that was passed could not be validated by AWS. Get a new identity token from the \
             identity provider and then retry the request.",
        ));
    }
    let today = now / 1000;
    let expiry = match world.account_fault(account_id, |fault| matches!(fault, Fault::TokenEnds(_))) {
        Some(Fault::TokenEnds(length)) => expiry.min(seconds("iat").unwrap_or(today) + length.as_secs()),
        _ => expiry,
    };
    if today >= expiry {
        let text = format!("Token expired: current date/time {today} must be before the expiration date/time {expiry}");
        return Err(AwsError::new("ExpiredTokenException", text));
    }
    if seconds("nbf").is_some_and(|begin| today < begin) {
        return Err(invalid("The token is not valid yet: its nbf claim is in the future"));
    }
    if !audience.iter().any(|one| provider.client_ids.contains(one)) {
        return Err(invalid("Incorrect token audience"));
    }
    let role = account.roles.get(arn).ok_or_else(denied)?;
    let tags = WebTags::read(&token.claims);
    let source_identity = claim("https://aws.amazon.com/source_identity").map(str::to_owned);
    let mut context = BTreeMap::new();
    let of_gitlab_com: &[&str] = if host == "gitlab.com" { GITLAB_COM_CLAIMS } else { &[] };
    for name in CONDITION_CLAIMS.iter().chain(of_gitlab_com) {
        let values = strings(token.claims.get(*name));
        if !values.is_empty() {
            context.insert(format!("{host}:{name}").to_ascii_lowercase(), values);
        }
    }
    context.insert("sts:rolesessionname".into(), vec![name.to_owned()]);
    let principals = vec![("Federated", provider_arn(partition, account_id, &host)), ("Federated", host.clone())];
    let mut wanted = vec!["sts:AssumeRoleWithWebIdentity"];
    if !tags.tags.is_empty() {
        wanted.push("sts:TagSession");
    }
    if source_identity.is_some() {
        wanted.push("sts:SetSourceIdentity");
    }
    for action in wanted {
        let ask = Ask { action, principals: principals.clone(), context: context.clone(), resource: None };
        if decide(&role.trust, &ask) != Decision::Allowed {
            return Err(denied());
        }
    }
    let limit = role.max_session.as_secs();
    let duration = bounded(duration, limit)?;
    let principal =
        Principal { tags: tags.tags, transitive: tags.transitive, source_identity, ..assumed(world, arn, name) };
    let granted = grant(world, form, principal, duration, now)?;
    let mut extra = vec![
        ("SubjectFromWebIdentityToken", subject),
        ("Audience", audience.first().cloned().unwrap_or_default()),
        ("Provider", provider_arn(partition, account_id, &host)),
    ];
    if let Some(identity) = &granted.session.principal.source_identity {
        extra.push(("SourceIdentity", identity.clone()));
    }
    Ok(body(world, "AssumeRoleWithWebIdentity", &credentials(&granted, &extra)))
}

pub(crate) fn assume_role(world: &mut World, form: &Form, caller: &Principal, now: Moment) -> Result<String, AwsError> {
    let (arn, name, duration) = read(form, "AssumeRole")?;
    if caller.role.is_some() && duration.is_some_and(|seconds| seconds > CHAINED_LIMIT) {
        let text = "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.";
        return Err(AwsError::new("ValidationError", text));
    }
    let tags = pairs(form, "Tags.member.");
    let transitive: BTreeSet<String> = list(form, "TransitiveTagKeys.member.").into_iter().collect();
    let source_identity = form.get("SourceIdentity").cloned();
    let denied = |action: &str| {
        let text = format!("User: {} is not authorized to perform: {action} on resource: {arn}", caller.arn);
        AwsError::with_status(403, "AccessDenied", text)
    };
    let (_, account_id) = parts(arn);
    let role = world.accounts.get(account_id).and_then(|account| account.roles.get(arn));
    let role = role.ok_or_else(|| denied("sts:AssumeRole"))?;
    let mut wanted = vec!["sts:AssumeRole"];
    if !tags.is_empty() || caller.tags.keys().any(|key| caller.transitive.contains(key)) {
        wanted.push("sts:TagSession");
    }
    // A source identity that is already set may be repeated, never changed.
    if caller.source_identity.is_some() && source_identity.is_some() && caller.source_identity != source_identity {
        return Err(denied("sts:SetSourceIdentity"));
    }
    let source_identity = source_identity.or_else(|| caller.source_identity.clone());
    if source_identity.is_some() {
        wanted.push("sts:SetSourceIdentity");
    }
    let ask = |action| Ask {
        action,
        resource: None,
        principals: caller_names(caller),
        context: assume_context(form, caller, name, &tags, &transitive, source_identity.as_deref()),
    };
    for action in wanted {
        world.authorize(caller, action, arn, &world.organization_of(arn)).map_err(|error| {
            match error.names_barrier() {
                true => AwsError::with_status(403, "AccessDenied", error.message),
                false => denied(action),
            }
        })?;
        if decide(&role.trust, &ask(action)) != Decision::Allowed {
            return Err(denied(action));
        }
    }
    let duration = bounded(duration, role.max_session.as_secs())?;
    let mut all_tags = tags;
    let inherited = caller.tags.iter().filter(|(key, _)| caller.transitive.contains(*key));
    all_tags.extend(inherited.map(|(key, value)| (key.clone(), value.clone())));
    let passed_on = transitive.union(&caller.transitive).cloned().collect();
    let principal = Principal { tags: all_tags, transitive: passed_on, source_identity, ..assumed(world, arn, name) };
    let granted = grant(world, form, principal, duration, now)?;
    let mut extra = Vec::new();
    if let Some(identity) = &granted.session.principal.source_identity {
        extra.push(("SourceIdentity", identity.clone()));
    }
    Ok(body(world, "AssumeRole", &credentials(&granted, &extra)))
}

pub(crate) fn get_caller_identity(world: &mut World, caller: &Principal) -> String {
    let inner = format!(
        "    <Arn>{}</Arn>\n    <UserId>{}</UserId>\n    <Account>{}</Account>\n",
        escape(&caller.arn),
        escape(&caller.user_id),
        caller.account
    );
    body(world, "GetCallerIdentity", &inner)
}

/// The claims that AWS makes condition keys of, whoever the issuer is.
const CONDITION_CLAIMS: &[&str] = &["aud", "sub", "amr"];
/// Those that it makes condition keys of where the issuer is gitlab.com.
const GITLAB_COM_CLAIMS: &[&str] = &[
    "namespace_id",
    "project_id",
    "ref_protected",
    "pipeline_source",
    "user_id",
    "user_login",
    "user_email",
    "user_access_level",
    "runner_environment",
];

/// Session tags in a token's claim, which GitLab never sends.
#[derive(Default)]
struct WebTags {
    tags: BTreeMap<String, String>,
    transitive: BTreeSet<String>,
}

impl WebTags {
    fn read(claims: &Value) -> Self {
        let Some(claim) = claims.get("https://aws.amazon.com/tags") else { return Self::default() };
        let tags = claim.get("principal_tags").and_then(Value::as_object).map(|tags| {
            tags.iter()
                .map(|(key, value)| (key.clone(), strings(Some(value)).into_iter().next().unwrap_or_default()))
                .collect()
        });
        let transitive = strings(claim.get("transitive_tag_keys")).into_iter().collect();
        Self { tags: tags.unwrap_or_default(), transitive }
    }
}

fn caller_names(caller: &Principal) -> Vec<(&'static str, String)> {
    let (partition, _) = parts(&caller.arn);
    let mut names = vec![
        ("AWS", caller.arn.clone()),
        ("AWS", caller.account.clone()),
        ("AWS", format!("arn:{partition}:iam::{}:root", caller.account)),
    ];
    names.extend(caller.role.iter().map(|role| ("AWS", role.clone())));
    names
}

fn assume_context(
    form: &Form,
    caller: &Principal,
    name: &str,
    tags: &BTreeMap<String, String>,
    transitive: &BTreeSet<String>,
    source_identity: Option<&str>,
) -> BTreeMap<String, Vec<String>> {
    let mut context = BTreeMap::new();
    let mut put = |key: String, values: Vec<String>| drop(context.insert(key.to_ascii_lowercase(), values));
    put("sts:RoleSessionName".into(), vec![name.to_owned()]);
    put("aws:PrincipalArn".into(), vec![caller.role.clone().unwrap_or_else(|| caller.arn.clone())]);
    put("aws:PrincipalAccount".into(), vec![caller.account.clone()]);
    if let Some(id) = form.get("ExternalId") {
        put("sts:ExternalId".into(), vec![id.clone()]);
    }
    if let Some(identity) = source_identity {
        put("sts:SourceIdentity".into(), vec![identity.to_owned()]);
    }
    if !transitive.is_empty() {
        put("sts:TransitiveTagKeys".into(), transitive.iter().cloned().collect());
    }
    if !tags.is_empty() {
        put("aws:TagKeys".into(), tags.keys().cloned().collect());
    }
    for (key, value) in tags {
        put(format!("aws:RequestTag/{key}"), vec![value.clone()]);
    }
    for (key, value) in &caller.tags {
        put(format!("aws:PrincipalTag/{key}"), vec![value.clone()]);
    }
    context
}

fn assumed(world: &World, arn: &str, name: &str) -> Principal {
    let (partition, account) = parts(arn);
    let role_name = arn::name(arn);
    let wrong = world.account_fault(account, |fault| matches!(fault, Fault::WrongAccount)).is_some();
    let account = if wrong { WRONG_ACCOUNT } else { account };
    Principal {
        account: account.to_owned(),
        arn: format!("arn:{partition}:sts::{account}:assumed-role/{role_name}/{name}"),
        user_id: format!("AROA{}:{name}", world.chance.id(KEY_LETTERS, 17, arn)),
        role: Some(arn.to_owned()),
        tags: BTreeMap::new(),
        transitive: BTreeSet::new(),
        source_identity: None,
        policy: None,
    }
}

/// The account of a session under the fault `wrong-account`.
pub(crate) const WRONG_ACCOUNT: &str = "999999999999";

fn grant(
    world: &mut World,
    form: &Form,
    mut principal: Principal,
    duration: u64,
    now: Moment,
) -> Result<Granted, AwsError> {
    if let Some(text) = form.get("Policy") {
        let malformed = || AwsError::new("MalformedPolicyDocument", "The policy is not in the valid JSON format.");
        principal.policy = Some(serde_json::from_str(text).map_err(|_| malformed())?);
    }
    let managed: usize = list(form, "PolicyArns.member.").len();
    let tags: usize = principal.tags.iter().map(|(key, value)| key.len() + value.len()).sum();
    let bytes = form.get("Policy").map_or(0, String::len) + tags + managed * 30;
    // AWS packs into a binary of unpublished size; the plain text over 2048 is near enough.
    let packed = (bytes > 0).then(|| (bytes * 100).div_ceil(2048));
    if let Some(percent) = packed.filter(|percent| *percent > 100) {
        let text = format!("Packed policy consumes {percent}% of allotted space, please use smaller policy.");
        return Err(AwsError::new("PackedPolicyTooLarge", text));
    }
    let short = world.account_fault(&principal.account, |fault| matches!(fault, Fault::ShortSessions(_)));
    let milliseconds = match short {
        Some(Fault::ShortSessions(length)) => u64::try_from(length.as_millis()).unwrap_or(u64::MAX),
        _ => duration * 1000,
    };
    world.issued += 1;
    let name = format!("session/{}/{}", world.issued, principal.arn);
    let access_key = format!("ASIA{}", world.chance.id(KEY_LETTERS, 16, &name));
    let session = Session {
        secret: world.chance.hex(40, &format!("{name}/secret")),
        token: Some(format!("IQoJb3JpZ2luX2VjE{}", world.chance.hex(64, &format!("{name}/token")))),
        expires: Some(now + milliseconds),
        principal,
    };
    // Forgets what expired a day ago, so that a long run does not grow; until then it answers "expired".
    world.sessions.retain(|_, old| old.expires.is_none_or(|expires| expires + 86_400_000 > now));
    world.sessions.insert(access_key.clone(), session.clone());
    Ok(Granted { access_key, session, packed })
}

fn credentials(granted: &Granted, extra: &[(&str, String)]) -> String {
    let session = &granted.session;
    let assumed_id = &session.principal.user_id;
    let mut text = format!(
        "    <AssumedRoleUser>\n      <AssumedRoleId>{}</AssumedRoleId>\n      <Arn>{}</Arn>\n    </AssumedRoleUser>\n    \
         <Credentials>\n      <AccessKeyId>{}</AccessKeyId>\n      <SecretAccessKey>{}</SecretAccessKey>\n      \
         <SessionToken>{}</SessionToken>\n      <Expiration>{}</Expiration>\n    </Credentials>\n",
        escape(assumed_id),
        escape(&session.principal.arn),
        granted.access_key,
        session.secret,
        session.token.as_deref().unwrap_or_default(),
        iso(session.expires.unwrap_or_default()),
    );
    if let Some(percent) = granted.packed {
        text.push_str(&format!("    <PackedPolicySize>{percent}</PackedPolicySize>\n"));
    }
    for (name, value) in extra {
        text.push_str(&format!("    <{name}>{}</{name}>\n", escape(value)));
    }
    text
}

fn body(world: &World, operation: &str, result: &str) -> String {
    let id = world.request_id();
    format!(
        "<{operation}Response xmlns=\"{STS_NAMESPACE}\">\n  <{operation}Result>\n{result}  </{operation}Result>\n  \
         <ResponseMetadata>\n    <RequestId>{id}</RequestId>\n  </ResponseMetadata>\n</{operation}Response>\n"
    )
}

/// Returns the issuer that a request's ID token names.
pub(crate) fn issuer(form: &Form) -> String {
    let token = form.get("WebIdentityToken").and_then(|text| jwt::parse(text));
    token.and_then(|token| token.claims["iss"].as_str().map(str::to_owned)).unwrap_or_default()
}

/// Returns the role and the session name of a request, and the length that it wants.
fn read<'a>(form: &'a Form, operation: &str) -> Result<(&'a str, &'a str, Option<u64>), AwsError> {
    validation::accept_form("sts", operation, form)?;
    let text = |field: &str| form.get(field).map(String::as_str).unwrap_or_default();
    let arn = text("RoleArn");
    if arn.parse::<crate::fleet::role_arn::RoleArn>().is_err() {
        return Err(AwsError::new("ValidationError", format!("{arn} is invalid")));
    }
    Ok((arn, text("RoleSessionName"), form.get("DurationSeconds").and_then(|seconds| seconds.parse().ok())))
}

fn bounded(duration: Option<u64>, limit: u64) -> Result<u64, AwsError> {
    let duration = duration.unwrap_or(3600);
    if duration > limit {
        let text = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.";
        return Err(AwsError::new("ValidationError", text));
    }
    Ok(duration)
}

fn strings(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

fn list(form: &Form, prefix: &str) -> Vec<String> {
    (1..)
        .map_while(|n| form.get(&format!("{prefix}{n}")).or_else(|| form.get(&format!("{prefix}{n}.arn"))))
        .cloned()
        .collect()
}

fn pairs(form: &Form, prefix: &str) -> BTreeMap<String, String> {
    (1..)
        .map_while(|n| Some((form.get(&format!("{prefix}{n}.Key"))?, form.get(&format!("{prefix}{n}.Value"))?)))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// Returns `eu-west-1` of `sts.eu-west-1.amazonaws.com`; `us-east-1` of anything else, as the global endpoint has it.
pub(crate) fn region_of(host: &str) -> String {
    host.strip_prefix("sts.")
        .and_then(|rest| rest.split_once(".amazonaws."))
        .map_or("us-east-1", |(region, _)| region)
        .to_owned()
}
