//! How many tasks a deployment has.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The task counts of one deployment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tasks {
    /// How many it should run.
    pub desired: u32,
    /// How many run.
    pub running: u32,
    /// How many are on their way.
    pub pending: u32,
    /// How many failed to start, in a row (ECS's `failedTasks`).
    pub failed: u32,
}
