//! The course of a target's deployment in a report: its stages, and the PAUSE hooks at which it waited.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::text::clean;
use crate::state;

/// A stage of a deployment, or a step of its traffic within one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Stage {
    /// ECS's word for it, such as `BAKE_TIME`; or the status of a deployment that rolls back or is being stopped.
    pub name: String,
    /// When it was first seen.
    #[schemars(with = "String")]
    pub started_at: Timestamp,
    /// When the next one was first seen, or when the deployment began to roll back, or ended; absent where it had not when
    /// the run left it.
    #[schemars(with = "Option<String>")]
    pub ended_at: Option<Timestamp>,
    /// The share of the production traffic that went to the new revision, in percent.
    pub production_percent: Option<f64>,
    /// The share of the test traffic, in percent.
    pub test_percent: Option<f64>,
    /// For how many minutes ECS baked at it; 0 where it did not.
    pub bake_minutes: u64,
}

/// A PAUSE hook at which a deployment waited.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Pause {
    /// The hook's id in the deployment.
    pub hook: String,
    /// The stage at which it was.
    pub stage: Option<String>,
    /// When it was first seen to wait.
    #[schemars(with = "String")]
    pub started_at: Timestamp,
    /// When it waited no longer, or when its deployment began to roll back, or ended; absent where it was left waiting.
    #[schemars(with = "Option<String>")]
    pub ended_at: Option<Timestamp>,
    /// How it ended: `SUCCEEDED` where it was continued, `FAILED` or `TIMED_OUT`; absent where it was left waiting, or where
    /// ECS did not say.
    pub status: Option<String>,
    /// When ECS would have waited for it no longer.
    #[schemars(with = "Option<String>")]
    pub expires_at: Option<Timestamp>,
    /// What ECS would have done then: `CONTINUE` or `ROLLBACK`.
    pub timeout_action: Option<String>,
}

impl Stage {
    pub(super) fn from_state(stage: &state::Stage) -> Self {
        Self {
            name: clean(&stage.name).into_owned(),
            started_at: stage.since,
            ended_at: stage.ended_at,
            production_percent: stage.production_percent,
            test_percent: stage.test_percent,
            bake_minutes: stage.bake_minutes,
        }
    }
}

impl Pause {
    pub(super) fn from_state(pause: &state::Pause) -> Self {
        let cleaned = |text: &Option<String>| text.as_deref().map(|text| clean(text).into_owned());
        Self {
            hook: clean(&pause.hook.id).into_owned(),
            stage: cleaned(&pause.hook.stage),
            started_at: pause.since,
            ended_at: pause.ended_at,
            status: cleaned(&pause.status),
            expires_at: pause.hook.expires_at,
            timeout_action: cleaned(&pause.hook.timeout_action),
        }
    }
}
