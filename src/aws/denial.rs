//! Why AWS did not allow a call, and what helps against it. Pure.
//!
//! AWS names the kind of policy that refused: "because no … allows the … action", or "with an explicit deny in a …". Only
//! where an identity-based policy is missing does it help to allow the action to the role.

use crate::aws::error::{CallError, Kind, is_cross_account_pass};
use crate::fleet::{Hop, OWN_IDENTITY, TargetSpec};

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
            // S3 quotes ARNs.
            Some(word.trim_end_matches(['.', ',', ';']).trim_matches('"'))
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
                let place = self.describe_policy(policy, caller);
                let why = match policy {
                    Policy::Resource | Policy::Trust | Policy::Identity => "",
                    _ => ": what the role's own policies allow does not count without it",
                };
                format!("allow {action} in {place}{why}")
            }
            Why::Explicit(Some(policy)) => {
                let arn = self.policy_arn.map(|arn| format!(" ({arn})")).unwrap_or_default();
                format!(
                    "narrow the Deny of {action} in {}{arn}: no Allow beats it",
                    self.describe_policy(policy, caller)
                )
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
    fn describe_policy(&self, policy: Policy, caller: &Caller<'_>) -> String {
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
        self.hop.map_or(OWN_IDENTITY, |hop| hop.arn.as_str())
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
        Kind::Expired | Kind::Refused | Kind::NotSent | Kind::NoSession | Kind::Withdrawn => {
            format!("{service}:{error}")
        }
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

/// Whether AWS does not know a session where the call went.
fn is_unknown_session(error: &CallError) -> bool {
    // The last two are S3's words.
    ["UnrecognizedClient", "InvalidClientTokenId", "OptInRequired", "InvalidAccessKeyId", "InvalidToken"]
        .iter()
        .any(|code| error.is(code))
}

#[cfg(test)]
mod tests;
