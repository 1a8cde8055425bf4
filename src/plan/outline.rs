//! What a plan says to people, events and reports. It holds no environment value.

use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;

use crate::fleet::{AccountId, OnCancel, OnFailure, Portal, Revision, TargetId};

/// What a plan says to people, events and reports.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Outline {
    /// The waves, in the order in which they run.
    pub waves: Vec<WaveOutline>,
    /// Every target, wave by wave.
    pub changes: Vec<ChangeOutline>,
    /// The access portal of which links to the console are made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub console: Option<Portal>,
}

impl Outline {
    /// Whether there are targets, and every one of them is blocked.
    pub fn is_all_blocked(&self) -> bool {
        let is_blocked = |change: &ChangeOutline| matches!(change.action, Action::Blocked { .. });
        !self.changes.is_empty() && self.changes.iter().all(is_blocked)
    }

    /// Counts again how many targets of each wave have something to do.
    pub fn recount(&mut self) {
        for wave in &mut self.waves {
            let changes = self.changes.iter().filter(|change| change.wave == wave.name);
            wave.changing = changes.filter(|change| change.action.changes()).count();
            wave.worst_case_failures = wave.worst_case_failures.min(wave.changing);
        }
    }
}

/// What a plan says of a wave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WaveOutline {
    /// The wave's name.
    pub name: String,
    /// How many targets it has.
    pub targets: usize,
    /// How many of them have something to do.
    pub changing: usize,
    /// How many run at once, as the manifest says it: `5`, `25%` or `1, 5, 25%`.
    pub max_parallel: String,
    /// How many may fail before the run halts.
    pub max_failures: usize,
    /// How many can have failed, at the worst, when the run halts in this wave.
    pub worst_case_failures: usize,
    /// The bake, in whole seconds.
    pub bake_seconds: u64,
    /// How many CloudWatch alarms the bake looks at.
    #[serde(default)]
    pub alarms: usize,
    /// Whether the run stops before this wave.
    pub gate: bool,
    /// What is done with a target that fails.
    #[serde(default)]
    pub on_failure: OnFailure,
    /// What is done with what is under way when the run is cancelled.
    #[serde(default)]
    pub on_cancel: OnCancel,
}

/// What a plan says of a target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "WrittenChange", into = "WrittenChange")]
pub struct ChangeOutline {
    /// The target.
    pub target: TargetId,
    /// Its account's id.
    pub account_id: AccountId,
    /// Its cluster's name.
    pub cluster: String,
    /// The service's name in ECS.
    pub service: String,
    /// The name of its wave.
    pub wave: String,
    /// What it needs.
    pub action: Action,
    /// The revision that it runs now; `None` where it could not be read.
    pub from: Option<Revision>,
    /// The revision that it will run, where that one exists already.
    pub to: Option<Revision>,
    /// What changes, a line each, without values of environment variables.
    pub summary: Vec<String>,
}

/// What a plan says of a target, as it is written: `service` is the manifest's name, as in every form for programs.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
struct WrittenChange {
    /// `account/region/service`, in the manifest's words.
    target: TargetId,
    /// Its account's id.
    account_id: AccountId,
    /// Its cluster's name.
    cluster: String,
    /// The manifest's name of the service; its name in ECS where `ecs_service` is absent.
    service: String,
    /// The service's name in ECS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ecs_service: Option<String>,
    /// The name of its wave.
    wave: String,
    /// What it needs.
    action: Action,
    /// The revision that it runs now; absent where it could not be read.
    from: Option<Revision>,
    /// The revision that it will run, where that one exists already.
    to: Option<Revision>,
    /// What changes, a line each, without values of environment variables.
    summary: Vec<String>,
}

impl TryFrom<WrittenChange> for ChangeOutline {
    type Error = String;

    fn try_from(written: WrittenChange) -> Result<Self, String> {
        let WrittenChange { target, account_id, cluster, service, ecs_service, wave, action, from, to, summary } =
            written;
        let service = match ecs_service {
            Some(_) if service != *target.service => return Err(format!("the service of {target} is `{service}`")),
            Some(ecs_service) => ecs_service,
            None => service,
        };
        Ok(Self { target, account_id, cluster, service, wave, action, from, to, summary })
    }
}

impl From<ChangeOutline> for WrittenChange {
    fn from(change: ChangeOutline) -> Self {
        let ChangeOutline { target, account_id, cluster, service, wave, action, from, to, summary } = change;
        let (ecs_service, service) = (Some(service), target.service.to_string());
        Self { target, account_id, cluster, service, ecs_service, wave, action, from, to, summary }
    }
}

/// What a target needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Action {
    /// Nothing.
    Unchanged,
    /// A new revision, and a deployment of it.
    Register,
    /// A deployment of a revision that exists.
    Deploy,
    /// New settings that start no deployment.
    Update,
    /// It cannot be deployed.
    Blocked {
        /// Why, as a lower-case fragment.
        reason: String,
        /// What to do about it.
        help: Option<String>,
    },
}

impl Action {
    /// Whether carrying it out calls AWS to change something.
    pub fn changes(&self) -> bool {
        match self {
            Self::Register | Self::Deploy | Self::Update => true,
            Self::Unchanged | Self::Blocked { .. } => false,
        }
    }
}
