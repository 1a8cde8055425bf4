//! What to do about a call that ECS refused.

use crate::aws::denial;
use crate::aws::denial::Denial;
use crate::aws::error::{CallError, Kind};
use crate::event::{Evidence, Reason};
use crate::fleet::role_arn::RoleArn;
use crate::fleet::{OWN_IDENTITY, TargetSpec};

/// What is said of a target that degraded, as long as it is not rolled back: what to do, and what it still runs.
pub const RESTORE: &str = "it was deployed and then did not stay healthy: `roleout rollback` restores what ran before";
/// See [`RESTORE`].
pub const STILL_RUNS: &str = "the new revision still runs";

/// Says what to do about a write that ECS refused, or whose fate is not known.
pub fn help(error: &CallError, target: &TargetSpec) -> Option<String> {
    match error.kind {
        Kind::Denied => Some(denial::help(error, "ecs", target)),
        Kind::Expired | Kind::NotSent | Kind::NoSession => {
            Some("the session could not be renewed; run again".to_owned())
        }
        Kind::Unknown => Some("check the service before running again: ECS may have acted".to_owned()),
        Kind::Throttled | Kind::Refused | Kind::Withdrawn => None,
    }
}

/// Returns the reason of a write that ECS refused, or whose fate is not known. What is not allowed is told in a short sentence,
/// and AWS's own, which names the account's session and resource, after it.
pub fn refusal(error: &CallError, target: &TargetSpec) -> Reason {
    let help = help(error, target);
    if error.kind != Kind::Denied {
        return Reason { summary: format!("{error:#}"), help, ..Reason::default() };
    }
    let denial = Denial::read(error, "ecs");
    let why = denial.reason().map(|why| format!(": {why}")).unwrap_or_default();
    let cause = format!("{} is not allowed to {}{why}", denial.action, target.account.chain.role_name());
    let id = error.request_id.as_deref().map(|id| format!(" (request id {id})")).unwrap_or_default();
    let said = Evidence { cause: Some(format!("{}: access denied", error.operation)), ..error.to_string().into() };
    Reason { summary: format!("{cause}{id}"), cause: Some(cause), evidence: vec![said], help }
}

/// Returns whose permissions a target's calls have.
pub fn role(target: &TargetSpec) -> &str {
    target.account.chain.role().map_or(OWN_IDENTITY, RoleArn::as_str)
}
