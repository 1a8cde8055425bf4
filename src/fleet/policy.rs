//! What a wave does when a target fails, and when the run is cancelled.

use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fleet::duration;

/// What is done with a target that fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum OnFailure {
    /// It stays as ECS leaves it.
    #[default]
    Stop,
    /// It is rolled back to what it ran before.
    Rollback {
        /// What else is rolled back when the wave's failure budget is exceeded.
        scope: Scope,
        /// How long each rollback may take.
        #[serde(with = "duration")]
        #[schemars(with = "String")]
        timeout: Duration,
    },
}

/// What is rolled back when a wave's failure budget is exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// The targets that failed.
    Target,
    /// Those that succeeded in this wave too.
    Wave,
    /// Those that succeeded in any wave of this run too.
    Run,
}

/// What is done with what is under way when the run is cancelled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnCancel {
    /// It goes on in ECS.
    #[default]
    Detach,
    /// ECS is asked to roll it back.
    Rollback,
}

/// What is done with a target that somebody else's deployment is in progress on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnBusy {
    /// It is blocked.
    #[default]
    Fail,
    /// A deploy waits until it has ended, and then plans.
    Wait,
    /// Our deployment takes its place.
    Supersede,
}

impl OnFailure {
    /// Returns what it means, in words; nothing where targets stay as they are left.
    pub fn words(self) -> Option<String> {
        match self {
            Self::Stop => None,
            Self::Rollback { scope, .. } => Some(format!("roll back ({scope})")),
        }
    }

    /// Returns the scope; `None` if nothing is rolled back.
    pub fn scope(self) -> Option<Scope> {
        match self {
            Self::Stop => None,
            Self::Rollback { scope, .. } => Some(scope),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Target => "target",
            Self::Wave => "wave",
            Self::Run => "run",
        })
    }
}
