//! Tasks that a deployment runs by RunTask, before it and after it: migrations and smoke tests.
//!
//! What a service of ECS calls hooks, such as PAUSE, is something else.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::fleet::duration;

/// The tasks of a target.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunTasks {
    /// Those before UpdateService, in their order.
    pub before: Vec<RunTask>,
    /// Those after the deployment succeeded, in their order.
    pub after: Vec<RunTask>,
}

/// A task that is run to its end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunTask {
    /// The manifest's name for it; unique in its service.
    pub name: String,
    /// How often it runs.
    pub per: Per,
    /// `family`, `family:revision` or an ARN; `None` = the revision that the service gets.
    pub task_definition: Option<String>,
    /// The container that `command` and `environment` are for.
    pub container: Option<String>,
    /// What takes the place of the container's command.
    pub command: Option<Vec<String>>,
    /// Environment variables on top of the container's.
    pub environment: BTreeMap<String, String>,
    /// How long it may take, from RunTask until it is STOPPED.
    #[serde(with = "duration")]
    #[schemars(with = "String")]
    pub timeout: Duration,
    /// `networkConfiguration` in ECS's own terms; `None` = the service's.
    pub network: Option<Value>,
    /// Where it runs; `None` = where the service's tasks do.
    pub launch: Option<Launch>,
}

/// Where a task runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Launch {
    /// `FARGATE`, `EC2` or `EXTERNAL`.
    Type(String),
    /// `capacityProviderStrategy` in ECS's own terms.
    CapacityProviders(Vec<Value>),
}

/// How often a task runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Per {
    /// Once for each target.
    #[default]
    Target,
    /// Once for all targets of its service in an account.
    Account,
    /// Once for all targets of its service.
    Run,
}

/// When a task runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Moment {
    /// Before UpdateService.
    Before,
    /// After the deployment succeeded.
    After,
}

impl RunTasks {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.before.is_empty() && self.after.is_empty()
    }

    /// Returns all of them, each with its moment, in the order in which they run.
    pub fn all(&self) -> impl Iterator<Item = (Moment, &RunTask)> {
        let before = self.before.iter().map(|task| (Moment::Before, task));
        before.chain(self.after.iter().map(|task| (Moment::After, task)))
    }

    /// Leaves out those before the deployment: it is under way already.
    #[must_use]
    pub fn only_after(&self) -> Self {
        Self { before: Vec::new(), after: self.after.clone() }
    }
}

impl RunTask {
    /// Returns RunTask's `overrides`; `None` where nothing is overridden.
    pub fn overrides(&self) -> Option<Value> {
        let mut container = json!({ "name": self.container.as_ref()? });
        if let Some(command) = &self.command {
            container["command"] = json!(command);
        }
        if !self.environment.is_empty() {
            let variable = |(name, value)| json!({ "name": name, "value": value });
            container["environment"] = self.environment.iter().map(variable).collect();
        }
        Some(json!({ "containerOverrides": [container] }))
    }
}

impl Moment {
    /// Returns the manifest's word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::After => "after",
        }
    }
}

impl Per {
    /// Returns how often it runs, in words; nothing where that is once for each target.
    pub fn words(self) -> Option<&'static str> {
        match self {
            Self::Target => None,
            Self::Account => Some("once in the account"),
            Self::Run => Some("once in the run"),
        }
    }
}
