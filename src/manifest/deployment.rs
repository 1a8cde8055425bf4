//! `deployment:` of a service: ECS's deployment configuration in snake case, and back in ECS's own names.
//!
//! Deserializing takes the manifest's names, serializing gives those of `UpdateService`. Which values ECS accepts
//! together is ECS's to say.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::manifest::interpolate::Template;
use crate::manifest::spanned::Spanned;

/// ECS's deployment configuration, with its names in snake case. Settings that are not named stay as they are.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all(serialize = "camelCase"))]
pub struct Deployment {
    /// The strategy. Default in ECS: `ROLLING`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strategy: Option<Spanned<Strategy>>,
    /// ECS's own detection of a deployment that fails.
    #[serde(rename(serialize = "deploymentCircuitBreaker"), skip_serializing_if = "Option::is_none")]
    pub circuit_breaker: Option<Spanned<CircuitBreaker>>,
    /// How much of the desired count must stay healthy, in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minimum_healthy_percent: Option<Spanned<u32>>,
    /// How much of the desired count may run at once, in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maximum_percent: Option<Spanned<u32>>,
    /// CloudWatch alarms that fail a deployment, whatever its strategy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alarms: Option<Spanned<Alarms>>,
    /// How long old and new revision run side by side after all traffic moved, in minutes: at most 1440. `BLUE_GREEN`
    /// needs it; not for `ROLLING`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bake_time_in_minutes: Option<Spanned<u32>>,
    /// The steps of `CANARY`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canary_configuration: Option<Spanned<CanaryConfiguration>>,
    /// The steps of `LINEAR`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub linear_configuration: Option<Spanned<LinearConfiguration>>,
    /// When a rolling deployment counts as successful before all of its tasks are healthy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub early_success_criteria: Option<Spanned<EarlySuccessCriteria>>,
    /// Hooks that ECS calls at the stages of a deployment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lifecycle_hooks: Option<Spanned<Vec<Spanned<LifecycleHook>>>>,
}

/// How tasks and traffic move to the new revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Strategy {
    /// Tasks are replaced a few at a time.
    Rolling,
    /// All traffic moves at once.
    BlueGreen,
    /// Traffic moves in equal steps.
    Linear,
    /// Traffic moves in two steps.
    Canary,
}

impl Strategy {
    /// Returns ECS's word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Rolling => "ROLLING",
            Self::BlueGreen => "BLUE_GREEN",
            Self::Linear => "LINEAR",
            Self::Canary => "CANARY",
        }
    }
}

/// ECS's own detection of a deployment that fails.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all(serialize = "camelCase"))]
pub struct CircuitBreaker {
    /// Whether ECS stops a deployment whose tasks do not become healthy.
    #[schemars(required)]
    pub enable: Option<Spanned<bool>>,
    /// Whether ECS then rolls back to the last successful deployment.
    #[schemars(required)]
    pub rollback: Option<Spanned<bool>>,
    /// Whether a healthy task sets the count of failures back to zero.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reset_on_healthy_task: Option<Spanned<bool>>,
    /// How many failed tasks are too many.
    #[serde(rename(serialize = "thresholdConfiguration"), skip_serializing_if = "Option::is_none")]
    pub threshold: Option<Spanned<Threshold>>,
}

/// How many failed tasks are too many.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Threshold {
    /// What `value` counts, by ECS's names: `BOUNDED_PERCENT` (at least 3, at most 200 tasks), `UNBOUNDED_PERCENT` or
    /// `COUNT`.
    #[schemars(required)]
    pub r#type: Option<Spanned<Template>>,
    /// The number, or the percentage of the desired count.
    #[schemars(required)]
    pub value: Option<Spanned<u32>>,
}

/// CloudWatch alarms that fail a deployment.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all(serialize = "camelCase"))]
pub struct Alarms {
    /// The alarms' names.
    #[schemars(required)]
    pub alarm_names: Option<Spanned<Vec<Spanned<Template>>>>,
    /// Whether ECS reads them.
    #[schemars(required)]
    pub enable: Option<Spanned<bool>>,
    /// Whether ECS then rolls back to the last successful deployment.
    #[schemars(required)]
    pub rollback: Option<Spanned<bool>>,
}

/// The steps of `CANARY`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all(serialize = "camelCase"))]
pub struct CanaryConfiguration {
    /// The share of traffic that moves first, in percent: 0.1 to 100. Default in ECS: 5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canary_percent: Option<Spanned<f64>>,
    /// How long before the rest follows, in minutes: at most 1440. Default in ECS: 10.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canary_bake_time_in_minutes: Option<Spanned<u32>>,
}

/// The steps of `LINEAR`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all(serialize = "camelCase"))]
pub struct LinearConfiguration {
    /// The share of traffic that each step moves, in percent: 3 to 100. Default in ECS: 10.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step_percent: Option<Spanned<f64>>,
    /// How long between two steps, in minutes: at most 1440. Default in ECS: 6.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step_bake_time_in_minutes: Option<Spanned<u32>>,
}

/// When a rolling deployment counts as successful before all of its tasks are healthy.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all(serialize = "camelCase"))]
pub struct EarlySuccessCriteria {
    /// Whether it applies.
    #[schemars(required)]
    pub enable: Option<Spanned<bool>>,
    /// The share of the desired count that must be healthy, in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthy_percent: Option<Spanned<u32>>,
    /// Whether the old tasks must be gone first: `BLOCKING` or `DEFERRED`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_service_revision_cleanup: Option<Spanned<Template>>,
}

/// A hook that ECS calls at stages of a deployment.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all(serialize = "camelCase"))]
pub struct LifecycleHook {
    /// What kind of hook: `AWS_LAMBDA` or `PAUSE`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_type: Option<Spanned<Template>>,
    /// The ARN of the Lambda function.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hook_target_arn: Option<Spanned<Template>>,
    /// The ARN of the role with which ECS calls it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role_arn: Option<Spanned<Template>>,
    /// The stages, by ECS's names; `PAUSE` cannot be used with `TEST_TRAFFIC_SHIFT` and `PRODUCTION_TRAFFIC_SHIFT`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lifecycle_stages: Option<Spanned<Vec<Spanned<Template>>>>,
    /// What the Lambda function gets with each call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hook_details: Option<Spanned<Map<String, Value>>>,
    /// How long ECS waits, and what it does then.
    #[serde(rename(serialize = "timeoutConfiguration"), skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Spanned<HookTimeout>>,
}

/// How long ECS waits for a hook, and what it does then.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all(serialize = "camelCase"))]
pub struct HookTimeout {
    /// How long, in minutes: 1 to 20160. Default in ECS: 1440.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_in_minutes: Option<Spanned<u32>>,
    /// `CONTINUE` or `ROLLBACK`. Default in ECS: `ROLLBACK`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<Spanned<Template>>,
}
