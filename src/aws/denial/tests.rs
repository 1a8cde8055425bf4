//! AWS's messages, and the help of each.

use super::*;

const USER: &str = "User: arn:aws:sts::111111111111:assumed-role/deploy/gl-1 is not authorized to perform: ";
const SERVICE: &str = "arn:aws:ecs:eu-west-1:111111111111:service/main/api";

fn error(code: &str, message: &str) -> CallError {
    CallError { code: Some(code.to_owned()), ..CallError::plain("UpdateService", Kind::Denied, message) }
}

fn hop(policy: Option<&str>, policy_arns: &[&str]) -> Hop {
    Hop {
        role: "deploy".to_owned(),
        arn: "arn:aws:iam::111111111111:role/deploy".parse().expect("an ARN"),
        external_id: None,
        tags: Default::default(),
        transitive_tags: Vec::new(),
        source_identity: None,
        policy: policy.map(str::to_owned),
        policy_arns: policy_arns.iter().map(|arn| (*arn).to_owned()).collect(),
        duration: None,
    }
}

fn advise(code: &str, message: &str) -> (Why, String) {
    let (error, hop) = (error(code, message), hop(Some("{}"), &[]));
    let caller = Caller { hop: Some(&hop), account: "111111111111", region: "af-south-1" };
    let denial = Denial::read(&error, "ecs");
    (denial.why, denial.help(&caller))
}

#[test]
fn each_kind_of_denial_has_a_help_of_its_own() {
    let role = "arn:aws:iam::111111111111:role/deploy";
    let asked = format!("{USER}ecs:UpdateService on resource: {SERVICE}");
    for (tail, why, wanted) in [
        ("", Why::Silent, format!("allow ecs:UpdateService to {role}")),
        (
            " because no identity-based policy allows the ecs:UpdateService action",
            Why::Missing(Policy::Identity),
            format!("allow ecs:UpdateService to {role}"),
        ),
        (
            " because no permissions boundary allows the ecs:UpdateService action",
            Why::Missing(Policy::Boundary),
            format!("allow ecs:UpdateService in the permissions boundary of {role}"),
        ),
        (
            " because no session policy allows the ecs:UpdateService action",
            Why::Missing(Policy::Session),
            "roles.deploy.policy of the manifest".to_owned(),
        ),
        (
            " because no VPC endpoint policy allows the ecs:UpdateService action",
            Why::Missing(Policy::VpcEndpoint),
            "the policy of the VPC endpoint".to_owned(),
        ),
        (
            " because no service control policy allows the ecs:UpdateService action",
            Why::Missing(Policy::ServiceControl),
            "allow ecs:UpdateService in the service control policy of the organization that covers account \
             111111111111"
                .to_owned(),
        ),
        (
            " because no resource-based policy allows the ecs:UpdateService action",
            Why::Missing(Policy::Resource),
            format!("allow ecs:UpdateService in the resource-based policy of {SERVICE}"),
        ),
        (
            " with an explicit deny in a service control policy",
            Why::Explicit(Some(Policy::ServiceControl)),
            "narrow the Deny of ecs:UpdateService in the service control policy".to_owned(),
        ),
        (
            " with an explicit deny in a service control policy: arn:aws:organizations::1:policy/o-1/p-2",
            Why::Explicit(Some(Policy::ServiceControl)),
            "(arn:aws:organizations::1:policy/o-1/p-2)".to_owned(),
        ),
        (
            " with an explicit deny in a resource control policy",
            Why::Explicit(Some(Policy::ResourceControl)),
            "resource control policy of the organization".to_owned(),
        ),
        (
            " with an explicit deny in a permissions boundary",
            Why::Explicit(Some(Policy::Boundary)),
            format!("in the permissions boundary of {role}: no Allow beats it"),
        ),
        (
            " with an explicit deny in a session policy",
            Why::Explicit(Some(Policy::Session)),
            "roles.deploy.policy of the manifest: no Allow".to_owned(),
        ),
        (
            " with an explicit deny in an identity-based policy",
            Why::Explicit(Some(Policy::Identity)),
            format!("in the policies of {role}"),
        ),
        (
            " with an explicit deny in a resource-based policy",
            Why::Explicit(Some(Policy::Resource)),
            format!("resource-based policy of {SERVICE}"),
        ),
        (
            " with an explicit deny in a VPC endpoint policy",
            Why::Explicit(Some(Policy::VpcEndpoint)),
            "VPC endpoint by which this machine calls AWS in af-south-1".to_owned(),
        ),
        (" with an explicit deny", Why::Explicit(None), "find the policy that denies ecs:UpdateService".to_owned()),
    ] {
        let (found, help) = advise("AccessDeniedException", &format!("{asked}{tail}"));
        assert_eq!(found, why, "{tail}");
        assert!(help.contains(&wanted), "{tail}: {help}");
    }
}

#[test]
fn what_is_of_another_account_is_told() {
    let (why, help) = advise("AccessDeniedException", "Cross-account pass role is not allowed.");
    assert_eq!(why, Why::PassesForeignRole);
    assert!(help.contains("${account.id}") && help.contains("111111111111"), "{help}");
    let foreign =
        "arn:aws:iam::222222222222:role/tasks because no identity-based policy allows the iam:PassRole action";
    let (why, _) = advise("AccessDeniedException", &format!("{USER}iam:PassRole on resource: {foreign}"));
    assert_eq!(why, Why::PassesForeignRole);
    let foreign = SERVICE.replace("1111", "2222");
    let (why, help) = advise("AccessDeniedException", &format!("{USER}ecs:UpdateService on resource: {foreign}"));
    assert_eq!(why, Why::ForeignResource);
    assert!(help.contains(&foreign), "{help}");
    // What is shared by a policy of its own is no fault of the manifest's.
    let key = "arn:aws:kms:eu-west-1:222222222222:key/1 because no resource-based policy allows the kms:Decrypt action";
    let (why, _) = advise("AccessDeniedException", &format!("{USER}kms:Decrypt on resource: {key}"));
    assert_eq!(why, Why::Missing(Policy::Resource));
}

#[test]
fn what_s3_quotes_and_what_it_reads_with_a_key_are_named() {
    let read = |message: &str| {
        let error = error("AccessDenied", message);
        let denial = Denial::read(&error, "s3");
        (denial.action.clone(), denial.resource.map(str::to_owned))
    };
    let object = "arn:aws:s3:::states/net.tfstate";
    let why = "because no identity-based policy allows the s3:GetObject action";
    assert_eq!(
        read(&format!("{USER}s3:GetObject on resource: \"{object}\" {why}")),
        ("s3:GetObject".to_owned(), Some(object.to_owned()))
    );
    let (why, help) =
        advise("AccessDenied", &format!("{USER}kms:Decrypt on the resource associated with this ciphertext"));
    assert_eq!(
        (why, help.starts_with("allow kms:Decrypt to arn:aws:iam::111111111111:role/deploy")),
        (Why::Silent, true)
    );
}

#[test]
fn a_session_that_is_not_known_is_a_matter_of_the_region() {
    let invalid = "The security token included in the request is invalid.";
    for code in ["UnrecognizedClientException", "InvalidClientTokenId", "OptInRequired"] {
        let (why, help) = advise(code, invalid);
        assert_eq!(why, Why::UnknownSession, "{code}");
        assert!(help.starts_with("af-south-1 must be enabled in account 111111111111"), "{help}");
    }
    assert!(unknown_session("eu-west-1", "account 111111111111").contains("suspended"));
    for (region, opt_in) in [("ap-east-1", true), ("eu-west-1", false), ("us-gov-west-1", false), ("cn-north-1", false)]
    {
        assert_eq!(is_opt_in(region), opt_in, "{region}");
    }
}

#[test]
fn the_session_policy_of_the_manifest_is_told_from_others() {
    let error = error("AccessDeniedException", &format!("{USER}ecs:X because no session policy allows it"));
    let by_arn = hop(None, &["arn:aws:iam::aws:policy/ReadOnlyAccess"]);
    let none = hop(None, &[]);
    for (hop, wanted) in [
        (Some(&by_arn), "roles.deploy.policy_arns of the manifest"),
        (Some(&none), "the session policy that the session of arn:aws:iam::111111111111:role/deploy was made with"),
        (None, "the session of the SDK's own identity"),
    ] {
        let help = Denial::read(&error, "ecs").help(&Caller { hop, account: "1", region: "r" });
        assert!(help.contains(wanted), "{help}");
    }
}

#[test]
fn the_action_is_the_one_that_aws_names() {
    let role = "arn:aws:iam::111111111111:role/deploy";
    let pass = format!("{USER}iam:PassRole on resource: arn:aws:iam::111111111111:role/tasks");
    let (_, help) = advise("AccessDeniedException", &pass);
    assert_eq!(help, format!("allow iam:PassRole on the task's roles to {role}"));
    let (_, help) = advise("AccessDeniedException", "no");
    assert_eq!(help, format!("allow ecs:UpdateService to {role}"));
}

#[test]
fn no_answer_is_told_in_words_that_accounts_share() {
    for (kind, message, wanted) in [
        (Kind::Denied, "said so", "ecr:DescribeImages is not allowed to the role deployer"),
        (
            Kind::Denied,
            "with an explicit deny in a service control policy",
            "ecr:DescribeImages is not allowed to the role deployer: a service control policy denies it",
        ),
        (Kind::Throttled, "said so", "ecr:DescribeImages is throttled"),
        (Kind::Unknown, "said so", "AWS did not answer ecr:DescribeImages"),
        (Kind::Refused, "said so", "ecr:DescribeImages: said so"),
    ] {
        let error = CallError::plain("DescribeImages", kind, message);
        assert_eq!(unanswered(&error, "ecr", Some("the role deployer")), wanted);
    }
}
