//! STS's refusals, one by one.

use super::*;
use crate::fleet::Hop;

fn hop(role: &str) -> Hop {
    Hop {
        role: role.to_owned(),
        arn: format!("arn:aws:iam::111111111111:role/{role}").parse().expect("an ARN"),
        external_id: None,
        tags: std::collections::BTreeMap::new(),
        transitive_tags: Vec::new(),
        source_identity: None,
        policy: None,
        policy_arns: Vec::new(),
        duration: None,
    }
}

fn findings(operation: &'static str, kind: Kind, code: &str, message: &str, live: &Live) -> Vec<Finding> {
    let error = CallError { code: Some(code.to_owned()), ..CallError::plain(operation, kind, message) };
    let (leaf, hub) = (hop("leaf"), hop("hub"));
    let before = if operation == "AssumeRole" { std::slice::from_ref(&hub) } else { &[] };
    let token = Token::default();
    let (session_name, region) = ("gl-1", "eu-west-1");
    let refusal =
        Refusal { error: &error, hop: &leaf, before, session_name, region, token: Some(&token), now: 1000, live };
    let findings = refusal.explain();
    assert!(findings.iter().all(|finding| !finding.fix.is_empty()), "{findings:?}");
    findings
}

/// Every refusal of STS's that facts name, in AWS's words: facts of the model and of the documentation.
#[test]
fn each_of_stss_refusals_has_its_explanation() {
    let (web, role) = ("AssumeRoleWithWebIdentity", "AssumeRole");
    let user = "User: arn:aws:sts::111111111111:assumed-role/hub/gl-1 is not authorized to perform: \
     sts:AssumeRole on \
                resource: arn:aws:iam::111111111111:role/leaf";
    for (operation, kind, code, message, wanted, says) in [
        (
            role,
            Kind::Refused,
            "ValidationError",
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.",
            "chain-duration",
            "an hour at most",
        ),
        (
            role,
            Kind::Refused,
            "ValidationError",
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
            "session-duration",
            "MaxSessionDuration",
        ),
        (
            role,
            Kind::Refused,
            "PackedPolicyTooLarge",
            "Packed policy consumes 127% of allotted space, please use smaller policy.",
            "packed-policy-too-large",
            "take 127% of the room",
        ),
        (
            role,
            Kind::Refused,
            "PackedPolicyTooLarge",
            "Packed size of session tags consumes 101% of allotted space.",
            "packed-policy-too-large",
            "101%",
        ),
        (
            role,
            Kind::Refused,
            "MalformedPolicyDocument",
            "The policy is not in the valid JSON format.",
            "session-policy",
            "session policy",
        ),
        (
            role,
            Kind::Refused,
            "RegionDisabledException",
            "STS is not activated in this region for account:111111111111.",
            "region-disabled",
            "111111111111",
        ),
        (
            role,
            Kind::Refused,
            "ValidationError",
            "1 validation error detected: Value 'x' at 'roleSessionName'",
            "refused",
            "session_name",
        ),
        (
            role,
            Kind::Expired,
            "ExpiredToken",
            "The security token included in the request is expired",
            "session-expired",
            "session before",
        ),
        (
            role,
            Kind::Denied,
            "InvalidClientTokenId",
            "The security token included in the request is invalid.",
            "credentials-refused",
            "in eu-west-1, a region that is always enabled",
        ),
        (
            role,
            Kind::Denied,
            "AccessDenied",
            &format!("{user} because no identity-based policy allows the sts:AssumeRole action"),
            "caller-policy",
            "no identity-based policy of",
        ),
        (
            role,
            Kind::Denied,
            "AccessDenied",
            &format!("{user} with an explicit deny in a service control policy"),
            "caller-policy",
            "a service control policy denies",
        ),
        (role, Kind::Denied, "AccessDenied", user, "assume-role-denied", "both sides"),
        (
            role,
            Kind::Denied,
            "AccessDenied",
            &user.replace("perform: sts:AssumeRole", "perform: sts:SetSourceIdentity"),
            "source-identity-denied",
            "stays for the whole chain",
        ),
        (role, Kind::Throttled, "Throttling", "Rate exceeded", "sts-throttled", "600 a second"),
        (
            role,
            Kind::Unknown,
            "",
            "TLS: invalid peer certificate: UnknownIssuer",
            "endpoint-certificate",
            "ca-certificates",
        ),
        (role, Kind::Unknown, "ServiceUnavailable", "Service Unavailable", "no-answer", "HTTPS_PROXY"),
        (role, Kind::NotSent, "", "the SDK found no credentials of its own", "no-credentials", "AWS_PROFILE"),
        (
            web,
            Kind::Expired,
            "ExpiredTokenException",
            "Token expired: current date/time 1001 must be before the expiration date/time 990",
            "token-expired",
            "cannot be renewed",
        ),
        (
            web,
            Kind::Expired,
            "ExpiredTokenException",
            "Token expired: current date/time 1400 must be before the expiration date/time 1300",
            "clock-skew",
            "6m 40s behind",
        ),
        (
            web,
            Kind::Refused,
            "InvalidIdentityToken",
            "OpenIDConnect provider's HTTPS certificate doesn't match configured thumbprint",
            "provider-thumbprint",
            "thumbprint",
        ),
        (
            web,
            Kind::Refused,
            "InvalidIdentityToken",
            "Missing a required claim: aud",
            "token-claim-missing",
            "CI_JOB_JWT",
        ),
        (
            web,
            Kind::Refused,
            "InvalidIdentityToken",
            "Couldn't retrieve verification key from your identity provider",
            "issuer-unreachable",
            "5 s",
        ),
        (web, Kind::Refused, "IDPCommunicationError", "", "issuer-unreachable", "jwks_uri"),
        (web, Kind::Refused, "IDPRejectedClaim", "", "token-rejected", "retry the job"),
        (
            web,
            Kind::Refused,
            "InvalidIdentityToken",
            "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)",
            "token-malformed",
            "token_env",
        ),
        (
            web,
            Kind::Denied,
            "AccessDenied",
            "Not authorized to perform sts:AssumeRoleWithWebIdentity",
            "not-authorized",
            "most likely",
        ),
    ] {
        let findings = findings(operation, kind, code, message, &Live::default());
        assert_eq!(findings[0].code, wanted, "{message}");
        assert!(format!("{:?}", findings[0]).contains(says), "{message}: {:?}", findings[0]);
    }
}

#[test]
fn a_provider_that_was_read_is_compared() {
    let provider = |url: &str, id: &str| Provider { url: url.to_owned(), client_ids: vec![id.to_owned()] };
    let live = |one: Provider| Live { providers: Look::Found(vec![one]), ..Live::default() };
    let web = "AssumeRoleWithWebIdentity";
    let missing = "No OpenIDConnect provider found in your account for https://gitlab.com";
    let found = findings(web, Kind::Refused, "InvalidIdentityToken", missing, &live(provider("other.example", "a")));
    assert!(found[0].evidence.contains(&"its providers: other.example".to_owned()), "{found:?}");
    let audience = "Incorrect token audience";
    let found =
        findings(web, Kind::Refused, "InvalidIdentityToken", audience, &live(provider("", "sts.amazonaws.com")));
    assert!(found[0].evidence.contains(&"its client ids: sts.amazonaws.com".to_owned()), "{found:?}");
}

#[test]
fn a_region_that_may_not_be_enabled_is_named() {
    let (leaf, hub) = (hop("leaf"), hop("hub"));
    let error = CallError {
        operation: "AssumeRole",
        kind: Kind::Denied,
        code: Some("InvalidClientTokenId".to_owned()),
        message: "The security token included in the request is invalid.".to_owned(),
        request_id: None,
        status: None,
    };
    let before = std::slice::from_ref(&hub);
    let (session_name, region, live) = ("gl-1", "ap-east-1", &Live::default());
    let refusal = Refusal { error: &error, hop: &leaf, before, session_name, region, token: None, now: 1000, live };
    let findings = refusal.explain();
    assert_eq!(findings[0].code, "region-disabled");
    assert!(findings[0].fix[0].starts_with("ap-east-1 must be enabled in account 111111111111"), "{findings:?}");
}

#[test]
fn a_policy_that_refuses_a_hop_is_named_with_its_place() {
    let user = "User: arn:aws:sts::111111111111:assumed-role/hub/gl-1 is not authorized to perform: sts:AssumeRole on \
                resource: arn:aws:iam::111111111111:role/leaf";
    for (tail, wanted) in [
        ("with an explicit deny in a service control policy", "covers account 111111111111"),
        ("with an explicit deny in a resource control policy", "covers account 111111111111"),
        (
            "because no permissions boundary allows the sts:AssumeRole action",
            "boundary of arn:aws:iam::111111111111:role/hub",
        ),
        ("with an explicit deny in a session policy", "session of arn:aws:iam::111111111111:role/hub"),
    ] {
        let live = Live::default();
        let findings = findings("AssumeRole", Kind::Denied, "AccessDenied", &format!("{user} {tail}"), &live);
        assert_eq!(findings[0].code, "caller-policy", "{tail}");
        assert!(findings[0].fix[0].contains(wanted), "{tail}: {findings:?}");
    }
}
