//! What each target needs: nothing, a new revision, a new deployment, new settings, or a reason why it is blocked.
//!
//! Pure: a plan is computed from a fleet and what was observed of it. Nothing here calls AWS or prints. The parts
//! that people and events see are in [`Outline`]; it holds no environment value.

pub mod back;
pub mod before;
pub mod budget;
pub mod build;
pub mod diff;
pub mod follow;
pub mod fresh;
pub mod group;
pub mod own;
pub mod preview;
pub mod run_task;
pub mod saved;
pub mod strategy;
pub mod taskdef;
pub mod told;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::fleet::codedeploy::CodeDeploy;
use crate::fleet::commit::Tag;
use crate::fleet::{AccountId, Fleet, OnCancel, OnFailure, Revision, RunTasks, TargetId};
use crate::observe::service::LiveService;
use before::Before;

/// A plan: what people see of it, and what the engine carries out.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What each target needs, for people, events and reports.
    pub outline: Outline,
    /// The work, indexed as the fleet's targets; `None` where there is nothing to do or the target is blocked.
    pub work: Vec<Option<Work>>,
}

/// What is to be done to one target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Work {
    /// Which task definition it should run.
    pub definition: Definition,
    /// The desired count to set.
    pub desired_count: Option<u32>,
    /// The `deploymentConfiguration` to set, in ECS's own terms.
    pub deployment: Option<Value>,
    /// The task definition's ARN that the service had when the plan was made.
    pub from: String,
    /// The ids of the deployments that it had then, PRIMARY first.
    pub deployments: Vec<String>,
    /// What an undo gives back.
    pub before: Before,
    /// Somebody else's deployment, in progress, whose place ours takes.
    #[serde(default)]
    pub supersedes: Option<String>,
    /// What is run before and after the deployment; nothing where there is none.
    #[serde(default, skip_serializing_if = "RunTasks::is_empty")]
    pub run_tasks: RunTasks,
    /// How CodeDeploy deploys it; absent where ECS does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub codedeploy: Option<CodeDeploy>,
    /// What its definition was chosen by, where the manifest does not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chosen_by: Option<String>,
}

impl Work {
    /// Starts with a definition and what was seen of the service.
    pub fn new(definition: Definition, service: &LiveService) -> Self {
        let primary = service.primary().into_iter();
        let others = service.deployments.iter().filter(|deployment| deployment.status != "PRIMARY");
        let deployments = primary.chain(others).map(|deployment| deployment.id.clone()).collect();
        let before = Before::of(service, &definition);
        let from = service.task_definition.clone();
        let run_tasks = RunTasks::default();
        let (desired_count, deployment, supersedes) = (None, None, None);
        let (codedeploy, chosen_by) = (None, None);
        Self {
            definition,
            desired_count,
            deployment,
            from,
            deployments,
            before,
            supersedes,
            run_tasks,
            codedeploy,
            chosen_by,
        }
    }
}

/// Which task definition a target should run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Definition {
    /// The one that it runs.
    Keep,
    /// One that exists.
    Existing {
        /// Its ARN.
        arn: String,
        /// Deploy it even though the service has it already.
        force: bool,
    },
    /// A new revision.
    Register {
        /// What to register, in AWS's JSON.
        #[serde(with = "saved::shared")]
        #[schemars(with = "serde_json::Map<String, Value>")]
        definition: Arc<Value>,
        /// The family's newest ACTIVE revision when the plan was made; 0 where the family is new.
        newest: u64,
        /// More tags than the definition has of its own: the commit, and those of the revision that it was made from.
        /// It does without them where the role may not tag.
        #[serde(default)]
        tags: Vec<Tag>,
    },
    /// The one that it runs, whose deployment is still under way: it is only watched.
    Follow {
        /// The deployment's id.
        deployment: String,
    },
    /// The one that completed last: the deployment that is under way is stopped, and ECS goes back.
    Return {
        /// The deployment's id.
        deployment: String,
    },
}

/// What a plan says to people, events and reports.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Outline {
    /// The waves, in the order in which they run.
    pub waves: Vec<WaveOutline>,
    /// Every target, wave by wave.
    pub changes: Vec<ChangeOutline>,
}

/// What a plan says of a wave.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
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

impl Plan {
    /// Blocks targets, by their indices into the fleet's, each with a reason and what to do about it.
    pub fn block(&mut self, fleet: &Fleet, mut reasons: BTreeMap<usize, (String, String)>) {
        let indices: HashMap<&TargetId, usize> =
            reasons.keys().map(|&index| (&fleet.targets[index].id, index)).collect();
        for change in &mut self.outline.changes {
            let Some(&index) = indices.get(&change.target) else { continue };
            let Some((reason, help)) = reasons.remove(&index) else { continue };
            self.work[index] = None;
            change.action = Action::Blocked { reason, help: Some(help) };
            change.to = None;
            change.summary = Vec::new();
        }
        self.outline.recount();
    }
}

impl Outline {
    /// Counts again how many targets of each wave have something to do.
    pub fn recount(&mut self) {
        for wave in &mut self.waves {
            let changes = self.changes.iter().filter(|change| change.wave == wave.name);
            wave.changing = changes.filter(|change| change.action.changes()).count();
            wave.worst_case_failures = wave.worst_case_failures.min(wave.changing);
        }
    }
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
