//! `before:` and `after:` of a service, as they are written: tasks that a deployment runs by RunTask.
//!
//! What is in ECS's terms serialises to ECS's own names.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::manifest::interpolate::Template;
use crate::manifest::scalar::{DurationValue, Scalar};
use crate::manifest::spanned::{Entries, Spanned};

/// A task that is run to its end by RunTask. It succeeds when every essential container of it exits with 0.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunTask {
    /// A name of your own, unique in the service: letters, digits, `.`, `_` and `-`.
    #[schemars(required, regex(pattern = r"^[\p{L}\p{M}\p{N}._-]+$|\$\{"))]
    pub run_task: Option<Spanned<String>>,
    /// The task definition: `family` (its newest ACTIVE revision), `family:revision` or an ARN. Default: the new revision
    /// of the service.
    pub task_definition: Option<Spanned<Template>>,
    /// The container that `command` and `environment` are for.
    pub container: Option<Spanned<Template>>,
    /// The command that replaces the container's own.
    pub command: Option<Spanned<Vec<Spanned<Scalar>>>>,
    /// Environment variables on top of the container's own.
    pub environment: Option<Spanned<Entries<Scalar>>>,
    /// How often it runs. `target`: for each target. `account`: once for the service's targets in an account. `run`: once
    /// for all of the service's targets. Default: target.
    pub per: Option<Spanned<Per>>,
    /// How long it may take; then it is stopped and has failed. Default: 10m.
    pub timeout: Option<Spanned<DurationValue>>,
    /// The subnets and security groups in which it runs. Default: the service's.
    pub network: Option<Spanned<Network>>,
    /// `FARGATE`, `EC2` or `EXTERNAL`. Default: as the service's tasks.
    pub launch_type: Option<Spanned<Template>>,
    /// The capacity providers that it runs on, in place of `launch_type`. Default: as the service's tasks.
    pub capacity_provider_strategy: Option<Spanned<Vec<Spanned<CapacityProvider>>>>,
}

/// How often a task runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Per {
    /// For each target.
    Target,
    /// Once for the service's targets in an account.
    Account,
    /// Once for all of the service's targets.
    Run,
}

/// ECS's `awsvpcConfiguration`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all(serialize = "camelCase"))]
pub struct Network {
    /// The subnets, at most 16.
    #[schemars(required)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subnets: Option<Spanned<Vec<Spanned<Template>>>>,
    /// The security groups, at most 5. Default in ECS: the default one of the VPC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub security_groups: Option<Spanned<Vec<Spanned<Template>>>>,
    /// `ENABLED` or `DISABLED`. Default in ECS: `DISABLED`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assign_public_ip: Option<Spanned<Template>>,
}

/// One entry of ECS's `capacityProviderStrategy`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all(serialize = "camelCase"))]
pub struct CapacityProvider {
    /// The provider's name, such as `FARGATE_SPOT`.
    #[schemars(required)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacity_provider: Option<Spanned<Template>>,
    /// Its share of the tasks, 0 to 1000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<Spanned<u32>>,
    /// The minimum number of tasks on it, 0 to 100000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<Spanned<u32>>,
}
