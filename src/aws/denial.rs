//! Why AWS did not allow a call, and what helps against it. Pure.
//!
//! AWS names the kind of policy that refused: "because no … allows the … action", or "with an explicit deny in a …". Only
//! where an identity-based policy is missing does it help to allow the action to the role.

use super::error::{CallError, Kind};
use crate::fleet::{Hop, TargetSpec};

/// A kind of policy, as AWS's messages name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Of the organization: the most that its accounts may do.
    ServiceControl,
    /// Of the organization: the most that anybody may do with the resources of its accounts.
    ResourceControl,
    /// Of a role: the most that its own policies can allow.
    Boundary,
    /// Of a session: in the manifest, `policy` and `policy_arns` of a role.
    Session,
    /// Of a role.
    Identity,
    /// Of a resource.
    Resource,
    /// Of a VPC endpoint.
    VpcEndpoint,
    /// Of a role: who may assume it.
    Trust,
}

impl Policy {
    const ALL: [Self; 8] = [
        Self::ServiceControl,
        Self::ResourceControl,
        Self::Boundary,
        Self::Session,
        Self::Identity,
        Self::Resource,
        Self::VpcEndpoint,
        Self::Trust,
    ];

    /// Returns AWS's name for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::ServiceControl => "service control policy",
            Self::ResourceControl => "resource control policy",
            Self::Boundary => "permissions boundary",
            Self::Session => "session policy",
            Self::Identity => "identity-based policy",
            Self::Resource => "resource-based policy",
            Self::VpcEndpoint => "VPC endpoint policy",
            Self::Trust => "role trust policy",
        }
    }

    /// Returns its name after "a" or "an".
    pub fn with_article(self) -> String {
        format!("{} {}", if self == Self::Identity { "an" } else { "a" }, self.name())
    }

    /// Returns the policy whose name begins a text.
    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|policy| {
            text.get(..policy.name().len()).is_some_and(|begin| begin.eq_ignore_ascii_case(policy.name()))
        })
    }
}

/// Why a call was not allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// No policy allows it, and AWS does not say which kind should.
    Silent,
    /// No policy of this kind allows it.
    Missing(Policy),
    /// A policy denies it, which no Allow beats; AWS may not say of which kind it is.
    Explicit(Option<Policy>),
    /// A role of another account was given to a task.
    PassesForeignRole,
    /// The resource is of another account than the caller, and its service shares none.
    ForeignResource,
    /// The session is not known where the call went, as where a region is not enabled.
    UnknownSession,
}

/// A call that was not allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial<'a> {
    /// Why.
    pub why: Why,
    /// The action that AWS names, which may be another than the call's, such as `iam:PassRole`; or else the call's.
    pub action: String,
    /// The resource that AWS names.
    pub resource: Option<&'a str>,
    /// The ARN of the policy that denies it, where AWS names that.
    pub policy_arn: Option<&'a str>,
    /// The call's operation.
    operation: &'static str,
}

/// Services that take no call for a resource of another account.
const UNSHARED: [&str; 3] = ["ecs:", "iam:", "codedeploy:"];

impl<'a> Denial<'a> {
    /// Reads AWS's answer to a call of a service, such as `ecs`; of a call that was denied.
    pub fn read(error: &'a CallError, service: &str) -> Self {
        let message = error.message.as_str();
        let word = |after: &str| {
            let word = message.split_once(after)?.1.split_whitespace().next()?;
            Some(word.trim_end_matches(['.', ',', ';']))
        };
        let named = word("to perform: ").filter(|action| action.contains(':'));
        let action = named.map_or_else(|| format!("{service}:{}", error.operation), str::to_owned);
        let resource = word("on resource: ");
        let (why, policy_arn) = match explicit(message) {
            Some((policy, arn)) => (Why::Explicit(policy), arn),
            None => (implicit(error, &action, word("User: "), resource), None),
        };
        Self { why, action, resource, policy_arn, operation: error.operation }
    }

    /// Says what refuses, as a clause; `None` where AWS names nothing but what everybody expects.
    pub fn reason(&self) -> Option<String> {
        Some(match self.why {
            Why::Silent | Why::Missing(Policy::Identity) => return None,
            Why::Missing(policy) => format!("no {} allows it", policy.name()),
            Why::Explicit(Some(policy)) => format!("{} denies it", policy.with_article()),
            Why::Explicit(None) => "a policy denies it".to_owned(),
            Why::PassesForeignRole => "a role of another account cannot be passed".to_owned(),
            Why::ForeignResource => "it is of another account".to_owned(),
            Why::UnknownSession => "the session is not known there; is the region enabled?".to_owned(),
        })
    }

    /// Says what to do about it.
    pub fn help(&self, caller: &Caller<'_>) -> String {
        let (action, role, account) = (&self.action, caller.role(), caller.account);
        match self.why {
            Why::Silent | Why::Missing(Policy::Identity) => match action.as_str() {
                "iam:PassRole" => format!("allow iam:PassRole on the task's roles to {role}"),
                "ecs:TagResource" if self.operation == "RegisterTaskDefinition" => {
                    format!("allow ecs:TagResource to {role}: the task definition file has tags")
                }
                _ => format!("allow {action} to {role}"),
            },
            Why::Missing(policy) => {
                let place = self.place(policy, caller);
                let why = match policy {
                    Policy::Resource | Policy::Trust | Policy::Identity => "",
                    _ => ": what the role's own policies allow does not count without it",
                };
                format!("allow {action} in {place}{why}")
            }
            Why::Explicit(Some(policy)) => {
                let arn = self.policy_arn.map(|arn| format!(" ({arn})")).unwrap_or_default();
                format!("narrow the Deny of {action} in {}{arn}: no Allow beats it", self.place(policy, caller))
            }
            Why::Explicit(None) => format!(
                "find the policy that denies {action} to {role} and narrow its Deny, since no Allow beats it: of the role, \
                 its permissions boundary, the session or the organization"
            ),
            Why::PassesForeignRole => format!(
                "a task of account {account} can only have roles of that account, whatever policies allow: write \
                 ${{account.id}} in taskRoleArn and executionRoleArn"
            ),
            Why::ForeignResource => format!(
                "{} is not of account {account}, and {role} can only use what is of its own: correct the ARN, for \
                 example with ${{account.id}}",
                self.resource.unwrap_or("the resource")
            ),
            Why::UnknownSession => unknown_session(caller.region, &format!("account {account}")),
        }
    }

    /// Says where a policy is.
    fn place(&self, policy: Policy, caller: &Caller<'_>) -> String {
        let (role, account) = (caller.role(), caller.account);
        match policy {
            Policy::ServiceControl | Policy::ResourceControl => format!(
                "the {} of the organization that covers account {account} (in the management account)",
                policy.name()
            ),
            Policy::Boundary => format!("the permissions boundary of {role}"),
            Policy::Session => match caller.hop {
                Some(hop) if hop.policy.is_some() => {
                    format!("the session policy, roles.{}.policy of the manifest", hop.role)
                }
                Some(hop) if !hop.policy_arns.is_empty() => {
                    format!("the session policies, roles.{}.policy_arns of the manifest", hop.role)
                }
                _ => format!("the session policy that the session of {role} was made with"),
            },
            Policy::Identity => format!("the policies of {role}"),
            Policy::Resource => format!("the resource-based policy of {}", self.resource.unwrap_or("the resource")),
            Policy::VpcEndpoint => {
                format!("the policy of the VPC endpoint by which this machine calls AWS in {}", caller.region)
            }
            Policy::Trust => format!("the trust policy of {}", self.resource.unwrap_or("the role")),
        }
    }
}

/// Who called, and where.
#[derive(Clone, Copy, Debug)]
pub struct Caller<'a> {
    /// The role whose session called; `None` = the SDK's own identity.
    pub hop: Option<&'a Hop>,
    /// The id of the session's account.
    pub account: &'a str,
    /// The region that was called.
    pub region: &'a str,
}

impl<'a> Caller<'a> {
    /// Returns the caller of a target's calls.
    pub fn read(target: &'a TargetSpec) -> Self {
        let account = &target.account;
        Self { hop: account.chain.hops.last(), account: account.id.as_str(), region: &target.id.region }
    }

    fn role(&self) -> &'a str {
        self.hop.map_or("the SDK's own identity", |hop| hop.arn.as_str())
    }
}

/// Says what to do about a call for a target that was not allowed.
pub fn help(error: &CallError, service: &str, target: &TargetSpec) -> String {
    Denial::read(error, service).help(&Caller::read(target))
}

/// Says why a call gave no answer, in words that accounts with the same trouble share. `whom` is the role that asked.
pub fn unanswered(error: &CallError, service: &str, whom: Option<&str>) -> String {
    let action = format!("{service}:{}", error.operation);
    match error.kind {
        Kind::Denied => {
            let whom = whom.map(|whom| format!(" to {whom}")).unwrap_or_default();
            let reason = Denial::read(error, service).reason().map(|reason| format!(": {reason}")).unwrap_or_default();
            format!("{action} is not allowed{whom}{reason}")
        }
        Kind::Throttled => format!("{action} is throttled"),
        Kind::Unknown => format!("AWS did not answer {action}"),
        Kind::Expired | Kind::Refused | Kind::NotSent => format!("{service}:{error}"),
    }
}

/// Says what to do where AWS does not know a session in a region. `whose` is its account, as in "account 123456789012".
pub fn unknown_session(region: &str, whose: &str) -> String {
    if is_opt_in(region) {
        format!(
            "{region} must be enabled in {whose} first (Account settings, AWS Regions), or taken out of the \
             manifest; a session of the global STS endpoint is not known there either"
        )
    } else {
        format!(
            "AWS does not know the session of {whose} in {region}, a region that is always enabled: the account \
             may be suspended, or AWS_ENDPOINT_URL may name another AWS than the one that gave the session"
        )
    }
}

/// The regions of the partition `aws` that every account has. All that came later must be enabled, and so no region is ever
/// added to them.
const ALWAYS_ENABLED: [&str; 17] = [
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
    "ap-south-1",
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-southeast-1",
    "ap-southeast-2",
    "ca-central-1",
    "eu-central-1",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "eu-north-1",
    "sa-east-1",
];

/// Whether an account has a region only once somebody enabled it there.
pub fn is_opt_in(region: &str) -> bool {
    let elsewhere = ["cn-", "us-gov-", "us-iso", "eu-isoe-", "eusc-"].iter().any(|prefix| region.starts_with(prefix));
    !elsewhere && !ALWAYS_ENABLED.contains(&region)
}

/// Reads "with an explicit deny in a service control policy: ARN"; some messages name no policy, and most no ARN.
fn explicit(message: &str) -> Option<(Option<Policy>, Option<&str>)> {
    let rest = message.split_once("explicit deny")?.1;
    let named = rest.trim_start().strip_prefix("in ").unwrap_or_default();
    let named = ["an ", "a ", "the "].iter().find_map(|article| named.strip_prefix(article)).unwrap_or(named);
    let arn = named.split_whitespace().find(|word| word.starts_with("arn:"));
    Some((Policy::parse(named), arn.map(|arn| arn.trim_end_matches(['.', ',', ';']))))
}

fn implicit(error: &CallError, action: &str, user: Option<&str>, resource: Option<&str>) -> Why {
    if is_cross_account_pass(&error.message) {
        return Why::PassesForeignRole;
    }
    if is_unknown_session(error) {
        return Why::UnknownSession;
    }
    let account = |arn: &str| arn.split(':').nth(4).filter(|id| id.len() == 12).map(str::to_owned);
    let accounts = (user.and_then(account), resource.and_then(account));
    if let (Some(own), Some(other)) = accounts
        && own != other
        && UNSHARED.iter().any(|service| action.starts_with(service))
    {
        return if action == "iam:PassRole" { Why::PassesForeignRole } else { Why::ForeignResource };
    }
    let missing = error.message.split_once("because no ").and_then(|(_, rest)| Policy::parse(rest));
    missing.map_or(Why::Silent, Why::Missing)
}

/// Whether ECS refuses to pass a role of another account, which it says without naming an action.
pub fn is_cross_account_pass(message: &str) -> bool {
    message.to_ascii_lowercase().contains("cross-account pass role")
}

/// Whether AWS does not know a session where the call went.
fn is_unknown_session(error: &CallError) -> bool {
    ["UnrecognizedClient", "InvalidClientTokenId", "OptInRequired"].iter().any(|code| error.is(code))
}

#[cfg(test)]
mod tests {
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
        let key =
            "arn:aws:kms:eu-west-1:222222222222:key/1 because no resource-based policy allows the kms:Decrypt action";
        let (why, _) = advise("AccessDeniedException", &format!("{USER}kms:Decrypt on resource: {key}"));
        assert_eq!(why, Why::Missing(Policy::Resource));
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
        for (region, opt_in) in
            [("ap-east-1", true), ("eu-west-1", false), ("us-gov-west-1", false), ("cn-north-1", false)]
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
}
