//! A target in a report.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::arn;
use crate::base::text::clean;
use crate::event;
use crate::event::{RollbackStep, TaskEnd};
use crate::fleet::tasks::Tasks;
use crate::fleet::{AccountId, Moment, Outcome, Revision, TargetId};
use crate::narrate::console;
use crate::plan::outline::Action;
use crate::plan::preview::Kind;
use crate::report::reason::Reasons;
use crate::report::stages::{Pause, Stage};
use crate::state::{RunState, TargetState, WaveState};

/// A target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Target {
    /// `account/region/service`, in the manifest's words.
    pub target: TargetId,
    /// The manifest's name of the account.
    pub account: String,
    /// The account's 12 digits.
    pub account_id: AccountId,
    /// The region.
    pub region: String,
    /// The cluster's name or ARN.
    pub cluster: String,
    /// The manifest's name of the service; its name in ECS where `ecs_service` is absent.
    pub service: String,
    /// The service's name in ECS.
    #[serde(default)]
    pub ecs_service: String,
    /// Its wave.
    pub wave: String,
    /// What the plan said that it needs.
    pub action: Kind,
    /// What the plan changes, a line each, without values of environment variables.
    pub changes: Vec<String>,
    /// How it ended.
    pub outcome: Ending,
    /// The place of its reason in `reasons`; absent where there is nothing to say.
    pub reason: Option<usize>,
    /// The target whose failure kept this one from starting, or had it rolled back.
    pub cause: Option<TargetId>,
    /// The revision that it ran before.
    pub from: Option<Revision>,
    /// The revision that it was to get.
    pub to: Option<Revision>,
    /// The revision that it ran at the end, where that is known.
    pub runs: Option<Revision>,
    /// ECS's id of its deployment.
    pub deployment: Option<String>,
    /// Whether that deployment was already under way.
    pub attached: bool,
    /// The last task counts of it.
    pub tasks: Option<Tasks>,
    /// Whether its deployment completed without a task, since its desired count is 0: nothing is known of the revision.
    #[serde(default)]
    pub ran_no_task: bool,
    /// ECS's last lifecycle stage of it; BLUE_GREEN, LINEAR and CANARY only.
    pub stage: Option<String>,
    /// The stages of its deployment in their order, each step of its traffic for itself; absent where it has none, as with
    /// ROLLING.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<Stage>,
    /// The PAUSE hooks at which its deployment waited, in their order; absent where there were none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pauses: Vec<Pause>,
    /// When its rollout began.
    #[schemars(with = "Option<String>")]
    pub started_at: Option<Timestamp>,
    /// When its revision was there.
    #[schemars(with = "Option<String>")]
    pub registered_at: Option<Timestamp>,
    /// When ECS started its deployment.
    #[schemars(with = "Option<String>")]
    pub deployed_at: Option<Timestamp>,
    /// When its rollout ended.
    #[schemars(with = "Option<String>")]
    pub rolled_out_at: Option<Timestamp>,
    /// When its wave's bake was over and it was still healthy.
    #[schemars(with = "Option<String>")]
    pub baked_at: Option<Timestamp>,
    /// When it had the outcome that it has: later than the end of its rollout where it was rolled back afterwards.
    #[schemars(with = "Option<String>")]
    pub ended_at: Option<Timestamp>,
    /// The milliseconds of its rollout; absent where it was never started.
    pub elapsed_ms: Option<u64>,
    /// Its rollback to what it ran before.
    pub rollback: Option<Rollback>,
    /// Why it was not rolled back, although it should have been, after it had succeeded.
    pub rollback_impossible: Option<String>,
    /// The tasks of its `before` and `after` that were run for it.
    pub run_tasks: Vec<Task>,
    /// The address of its deployments in the console.
    pub console: String,
    /// The address of its logs in the console.
    pub logs: String,
    /// What happened, in words, in its order.
    #[serde(default)]
    pub events: Vec<Line>,
}

/// How a target ended. The order is that in which people read them, the worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// Our own deployment completed, and is PRIMARY.
    Succeeded,
    /// It already was as the manifest wants it.
    Unchanged,
    /// It was not started yet when the events end, or was not part of the run.
    Waiting,
    /// It was under way when the events end: its deployment may go on in ECS.
    UnderWay,
    /// It was never started because of another target's failure, or because the run was refused.
    NotStarted,
    /// The run was cancelled before ECS was asked for anything.
    Cancelled,
    /// The run was cancelled while the deployment went on in ECS.
    Detached,
    /// The plan blocked it.
    Blocked,
    /// A newer deployment, not ours, took its place.
    Superseded,
    /// Our deadline passed; the deployment may still go on in ECS.
    TimedOut,
    /// It failed, or others did, and it was rolled back to what it ran before.
    RolledBack,
    /// It failed, and stays as ECS left it.
    Failed,
    /// Its rollback failed: somebody must look at it.
    Stuck,
}

impl Ending {
    fn from_state(target: &TargetState, refused: bool) -> Self {
        match target.outcome() {
            _ if target.is_running() => Self::UnderWay,
            None if target.is_blocked() => Self::Blocked,
            None if refused => Self::NotStarted,
            None => Self::Waiting,
            Some(Outcome::Unchanged) => Self::Unchanged,
            Some(Outcome::Succeeded) => Self::Succeeded,
            Some(Outcome::RolledBack) => Self::RolledBack,
            Some(Outcome::Failed) => Self::Failed,
            Some(Outcome::TimedOut) => Self::TimedOut,
            Some(Outcome::Superseded) => Self::Superseded,
            Some(Outcome::Cancelled) => Self::Cancelled,
            Some(Outcome::Detached) => Self::Detached,
            Some(Outcome::NotStarted) => Self::NotStarted,
            Some(Outcome::Stuck) => Self::Stuck,
        }
    }

    /// Whether it counts against a wave's failure budget.
    pub fn is_failure(self) -> bool {
        match self {
            Self::Superseded | Self::TimedOut | Self::RolledBack | Self::Failed | Self::Stuck => true,
            Self::Succeeded
            | Self::Unchanged
            | Self::Waiting
            | Self::UnderWay
            | Self::NotStarted
            | Self::Cancelled
            | Self::Detached
            | Self::Blocked => false,
        }
    }

    /// Returns what it asks of a person: the more, the higher.
    pub fn weight(self) -> u8 {
        match self {
            Self::Succeeded | Self::Unchanged => 0,
            Self::Waiting | Self::NotStarted | Self::Cancelled => 1,
            Self::Blocked => 2,
            Self::UnderWay | Self::Detached => 3,
            Self::Superseded | Self::TimedOut => 4,
            Self::RolledBack => 5,
            Self::Failed => 6,
            Self::Stuck => 7,
        }
    }

    /// Returns it in words, for people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Unchanged => "unchanged",
            Self::Waiting => "waiting",
            Self::UnderWay => "under way",
            Self::NotStarted => "not started",
            Self::Cancelled => "cancelled",
            Self::Detached => "detached",
            Self::Blocked => "blocked",
            Self::Superseded => "superseded",
            Self::TimedOut => "timed out",
            Self::RolledBack => "rolled back",
            Self::Failed => "failed",
            Self::Stuck => "stuck",
        }
    }
}

/// A target's rollback.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Rollback {
    /// How.
    pub how: RollbackStep,
    /// The revision that it is rolled back to, where that is known.
    pub to: Option<Revision>,
    /// When it began.
    #[schemars(with = "String")]
    pub started_at: Timestamp,
}

/// A task that was run for a target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Task {
    /// The manifest's name of it.
    pub name: String,
    /// Whether it is one before the deployment or one after it.
    pub moment: Moment,
    /// Its ARN.
    pub task: String,
    /// When it was started.
    #[schemars(with = "String")]
    pub started_at: Timestamp,
    /// When it ended.
    #[schemars(with = "Option<String>")]
    pub ended_at: Option<Timestamp>,
    /// How; absent where it was left running.
    pub end: Option<TaskEnd>,
}

/// What was said at a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Line {
    /// When.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// What, in words.
    pub text: String,
}

impl Target {
    pub(super) fn from_state(target: &TargetState, state: &RunState, reasons: &mut Reasons) -> Self {
        let outcome = Ending::from_state(target, state.refusal().is_some());
        let wave = state.waves().find(|wave| wave.outline.name == target.wave);
        let done = outcome != Ending::Unchanged && !target.is_running();
        let rolled_out_at = target.finished_at.filter(|_| outcome != Ending::Unchanged);
        Self {
            target: target.target.clone(),
            account: target.target.account.to_string(),
            account_id: target.account_id.clone(),
            region: target.target.region.to_string(),
            cluster: target.cluster.clone(),
            service: target.target.service.to_string(),
            ecs_service: target.service.clone(),
            wave: target.wave.clone(),
            action: Kind::from(&target.action),
            changes: target.changes.iter().map(|line| clean(line).into_owned()).collect(),
            outcome,
            reason: why(target, outcome).map(|reason| reasons.add(&reason, 1)),
            cause: target.cause.clone(),
            from: target.from.clone(),
            to: target.to.clone(),
            runs: target.runs.clone(),
            deployment: target.deployment.clone(),
            attached: target.attached,
            tasks: target.tasks,
            ran_no_task: target.ran_no_task(),
            stage: target.stages.stage().map(|stage| clean(&stage.name).into_owned()),
            stages: target.stages.stages.iter().map(Stage::from_state).collect(),
            pauses: target.stages.pauses.iter().map(Pause::from_state).collect(),
            started_at: target.started_at,
            registered_at: target.registered_at,
            deployed_at: target.deployed_at,
            rolled_out_at,
            baked_at: wave.filter(|_| outcome == Ending::Succeeded).and_then(baked_at),
            ended_at: target.rolled_back_at.or(rolled_out_at).filter(|_| done),
            elapsed_ms: target.elapsed_ms(None),
            rollback: target.rollback.as_ref().map(|rollback| Rollback {
                how: rollback.how,
                to: rollback.to.clone(),
                started_at: rollback.started_at,
            }),
            rollback_impossible: target.rollback_impossible.as_deref().map(|reason| clean(reason).into_owned()),
            run_tasks: target.run_tasks.iter().map(Task::from_state).collect(),
            console: console::address(target),
            logs: console::logs(target),
            events: Vec::new(),
        }
    }

    /// Returns the service's name in ECS.
    pub fn ecs_service(&self) -> &str {
        // Reports of an older version have it as `service`.
        if self.ecs_service.is_empty() { &self.service } else { &self.ecs_service }
    }

    /// Returns its name among those of its wave and account: `cluster/service (region)`.
    pub fn label(&self) -> String {
        format!("{}/{} ({})", arn::name(&self.cluster), self.ecs_service(), self.region)
    }

    /// Returns its revisions in words: `api:12 -> api:13`.
    pub fn revisions(&self) -> String {
        let back = self.outcome == Ending::RolledBack && self.runs == self.from;
        match (&self.from, &self.to) {
            (Some(from), Some(to)) if from != to && back => format!("{from} -> {to} -> {from}"),
            (Some(from), Some(to)) if from != to => format!("{from} -> {to}"),
            (None, Some(to)) => format!("-> {to}"),
            (Some(only), _) => only.to_string(),
            (None, None) => String::new(),
        }
    }
}

impl Task {
    fn from_state(task: &crate::state::TaskRun) -> Self {
        Self {
            name: task.name.clone(),
            moment: task.moment,
            task: task.task.clone(),
            started_at: task.started_at,
            ended_at: task.ended.map(|(_, at)| at),
            end: task.ended.map(|(end, _)| end),
        }
    }
}

/// Returns why a target did not succeed, out of its events or of its plan.
fn why(target: &TargetState, outcome: Ending) -> Option<event::Reason> {
    match &target.action {
        Action::Blocked { reason, help } if outcome == Ending::Blocked => {
            Some(event::Reason { summary: reason.clone(), help: help.clone(), ..event::Reason::default() })
        }
        _ => target.why().cloned(),
    }
}

/// Returns when a wave's bake was over.
fn baked_at(wave: &WaveState) -> Option<Timestamp> {
    wave.finished_at.filter(|_| wave.bake_started_at.is_some())
}
