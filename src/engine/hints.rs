//! What to do about a call that ECS refused.

use crate::aws::denial;
use crate::aws::error::{CallError, Kind};
use crate::fleet::role_arn::RoleArn;
use crate::fleet::{OWN_IDENTITY, TargetSpec};

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

/// Returns whose permissions a target's calls have.
pub fn role(target: &TargetSpec) -> &str {
    target.account.chain.role().map_or(OWN_IDENTITY, RoleArn::as_str)
}
