//! The facts of a run, in the order in which they happened.
//!
//! The engine sends [`Event`]s through one bounded channel; [`Stamper`] numbers and dates them once, so that every
//! view, file and report agrees. Guarantees:
//! - the first event is [`Event::RunStarted`] and it carries the plan; the last is [`Event::RunFinished`];
//! - each target that was started has exactly one [`Event::RolloutFinished`], on cancel and on panic too; each that
//!   was not has one [`Event::RolloutSkipped`]; an unchanged target has neither: the plan says it;
//! - after a target's terminal event nothing follows for it, unless it succeeded: then [`Event::TargetDegraded`] may,
//!   once, during its wave's bake, and where it is rolled back [`Event::RollbackStarted`], what is seen of that, and exactly
//!   one [`Event::RollbackFinished`]; or one [`Event::RollbackImpossible`] in place of them;
//! - a task of a target has one [`Event::RunTaskFinished`] after its [`Event::RunTaskStarted`], unless the program had no time
//!   for it after a cancel; both come before the target's terminal event;
//! - where a target is rolled back because it failed itself, [`Event::RollbackStarted`] comes before its one terminal event,
//!   and no [`Event::RollbackFinished`];
//! - a run that was refused before anything was changed is one [`Event::RunRefused`], and nothing else.

mod job;
mod reason;
mod unstarted;

pub use crate::event::job::Job;
pub use crate::event::reason::{Evidence, Reason};
pub use crate::event::unstarted::{halted_by, waits_at};

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fleet::tasks::Tasks;
use crate::fleet::{AccountId, Moment, Outcome, Revision, TargetId};
use crate::plan::outline::Outline;

/// The version of the written form of events. A reader ignores kinds that it does not know.
pub const FORMAT_VERSION: u32 = 1;

/// An event with its number and time: one line of `--format jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stamped {
    /// [`FORMAT_VERSION`].
    pub version: u32,
    /// The run's id, the same in every event of a run.
    pub run: String,
    /// From 0, without gaps.
    pub seq: u64,
    /// When it happened.
    pub at: Timestamp,
    /// The fact.
    pub event: Event,
}

/// A fact of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Event {
    /// The plan is made and is about to be carried out.
    RunStarted {
        /// What each target needs.
        plan: Outline,
        /// Whether this is the embedded sandbox and no AWS account.
        sandbox: bool,
        /// The CI job that the run is.
        #[serde(default, skip_serializing_if = "Job::is_empty")]
        job: Job,
    },
    /// Nothing was started, and nothing was changed.
    RunRefused {
        /// What each target needs, where that is known.
        plan: Option<Outline>,
        /// Whether it was to be the embedded sandbox and no AWS account.
        sandbox: bool,
        /// The CI job that the run would have been.
        #[serde(default, skip_serializing_if = "Job::is_empty")]
        job: Job,
        /// The exit code.
        exit_code: u8,
        /// Why, a line for each reason.
        message: String,
        /// What to do about it.
        help: Vec<String>,
    },
    /// A wave began.
    WaveStarted {
        /// The wave's name.
        wave: String,
    },
    /// A target's rollout began; nothing has been asked of ECS yet.
    RolloutStarted {
        /// The target.
        target: TargetId,
    },
    /// The target's revision exists in ECS.
    RevisionRegistered {
        /// The target.
        target: TargetId,
        /// The revision.
        revision: Revision,
        /// Whether it was there already, registered before or for another target.
        reused: bool,
    },
    /// Revisions of an account are registered without the tags that may be left out: told once for each account.
    TagsRefused {
        /// The manifest's name of the account.
        account: String,
        /// Why, as a lower-case fragment.
        reason: String,
        /// What to do about it.
        help: String,
    },
    /// There is no session any more in an account, and none can be had, since the ID token is over: nothing more is seen or
    /// changed there. Told once for a run, of the first account in which it is so.
    SessionLost {
        /// The manifest's name of the account.
        account: String,
        /// Why, as a lower-case fragment.
        reason: String,
    },
    /// ECS keeps a definition otherwise than it was registered, so that the next run would find it changed: told once for
    /// each family and its differences.
    DefinitionAltered {
        /// The family.
        family: String,
        /// What ECS made of it, a line each, without values that may be secret.
        differences: Vec<String>,
        /// What to do about it.
        help: String,
    },
    /// A task of the target's `before` or `after` was started by RunTask. One that targets share is told of the target
    /// for which it was started.
    RunTaskStarted {
        /// The target.
        target: TargetId,
        /// The manifest's name of the task.
        name: String,
        /// Whether it is one before the deployment or one after it.
        moment: Moment,
        /// Its ARN.
        task: String,
    },
    /// That task ended, or is watched no longer.
    RunTaskFinished {
        /// The target.
        target: TargetId,
        /// The manifest's name of the task.
        name: String,
        /// Whether it is one before the deployment or one after it.
        moment: Moment,
        /// How. Why it failed, the target's terminal event says.
        end: TaskEnd,
    },
    /// A target waits for a task that it shares and that runs for another one.
    RunTaskAwaited {
        /// The target.
        target: TargetId,
        /// The manifest's name of the task.
        name: String,
    },
    /// A task that targets share was not run after their deployments, since some of them did not get there: told at the
    /// end of the run.
    RunTaskNotRun {
        /// The manifest's name of the service.
        service: String,
        /// The manifest's name of the task.
        name: String,
        /// The account's id, where it is one that runs once in each.
        account_id: Option<AccountId>,
        /// How many of its targets did not succeed in this run.
        missing: usize,
    },
    /// ECS started our deployment.
    DeploymentStarted {
        /// The target.
        target: TargetId,
        /// ECS's id of it: `ecs-svc/…`.
        deployment: String,
        /// The revision that it deploys.
        revision: Revision,
        /// Whether it was already under way and is only followed.
        attached: bool,
    },
    /// The task counts of our deployment changed.
    TasksChanged {
        /// The target.
        target: TargetId,
        /// The counts.
        tasks: Tasks,
    },
    /// Our deployment is at another stage, or its traffic moved: BLUE_GREEN, LINEAR and CANARY only.
    StageChanged {
        /// The target.
        target: TargetId,
        /// ECS's lifecycle stage, such as `BAKE_TIME`; or the status of a deployment that rolls back or is being stopped,
        /// such as `ROLLBACK_IN_PROGRESS`.
        stage: String,
        /// The share of the production traffic that goes to the new revision, in percent.
        production_percent: Option<f64>,
        /// The share of the test traffic, in percent.
        test_percent: Option<f64>,
        /// For how many minutes ECS bakes at this point; 0 where it does not.
        bake_minutes: u64,
    },
    /// Our deployment waits at a PAUSE hook, once for each hook.
    HookWaiting {
        /// The target.
        target: TargetId,
        /// The hook.
        hook: Hook,
        /// Whether the run continues it by itself.
        continued: bool,
    },
    /// A hook waits no longer.
    HookEnded {
        /// The target.
        target: TargetId,
        /// The hook's id.
        hook: String,
        /// `SUCCEEDED` where it was continued, `FAILED` or `TIMED_OUT`.
        status: String,
    },
    /// ECS did not continue a hook when the run asked it to; it is asked again, three times in all.
    HookNotContinued {
        /// The target.
        target: TargetId,
        /// The hook's id.
        hook: String,
        /// Why, as a lower-case fragment.
        reason: String,
    },
    /// ECS says something of the service that a person should see.
    ServiceMessage {
        /// The target.
        target: TargetId,
        /// ECS's words.
        text: String,
    },
    /// A rollout ended.
    RolloutFinished {
        /// The target.
        target: TargetId,
        /// How.
        outcome: Outcome,
        /// Why, unless it succeeded.
        reason: Option<Reason>,
        /// The revision that the service runs now, where that is known.
        revision: Option<Revision>,
    },
    /// A target was not started.
    RolloutSkipped {
        /// The target.
        target: TargetId,
        /// [`Outcome::NotStarted`] or [`Outcome::Cancelled`].
        outcome: Outcome,
        /// The target whose failure was the cause, if one was.
        cause: Option<TargetId>,
        /// Why, in words.
        reason: String,
    },
    /// A deployed target did not stay healthy through its wave's bake: it counts as a failure of the wave.
    TargetDegraded {
        /// The target.
        target: TargetId,
        /// What was seen.
        reason: Reason,
    },
    /// A rollback began: the target gets back what it ran before. Sent again where one way was refused and another is taken.
    #[serde(alias = "undo_started")]
    RollbackStarted {
        /// The target.
        target: TargetId,
        /// How.
        how: RollbackStep,
        /// The revision that it is rolled back to, where that is known.
        to: Option<Revision>,
        /// The target whose failure is the reason; absent where it is its own.
        cause: Option<TargetId>,
    },
    /// The rollback of a target that had succeeded ended, well or not.
    #[serde(alias = "target_returned")]
    RollbackFinished {
        /// The target.
        target: TargetId,
        /// [`Outcome::RolledBack`], [`Outcome::Stuck`], [`Outcome::Superseded`] or [`Outcome::Detached`].
        outcome: Outcome,
        /// The target whose failure was the reason; absent where it is its own.
        cause: Option<TargetId>,
        /// Why.
        reason: Reason,
        /// The revision that the service runs now, where that is known.
        revision: Option<Revision>,
    },
    /// A target that had succeeded is not rolled back, since there is nothing to roll back to: it stays as it is.
    #[serde(alias = "undo_impossible")]
    RollbackImpossible {
        /// The target.
        target: TargetId,
        /// Why.
        reason: String,
    },
    /// A wave's bake began.
    BakeStarted {
        /// The wave's name.
        wave: String,
        /// Its length, in whole seconds.
        seconds: u64,
    },
    /// A wave ended.
    WaveFinished {
        /// The wave's name.
        wave: String,
        /// How many of its targets failed.
        failed: usize,
        /// Whether the next wave may start.
        passed: bool,
    },
    /// No new target starts from here on; those that run are watched to their end.
    RunHalted {
        /// The wave whose failure budget was exceeded.
        wave: String,
        /// The first target that failed in it.
        cause: TargetId,
        /// How many failed.
        failed: usize,
        /// How many were allowed to.
        max_failures: usize,
    },
    /// The run stopped before a gated wave, with everything before it done.
    GateReached {
        /// The gated wave's name.
        wave: String,
    },
    /// A signal asked the run to stop.
    RunCancelled {
        /// `SIGINT`, `SIGTERM` or `SIGHUP`.
        signal: String,
    },
    /// The run is over. What it came to is absent in the events of an older version, and where nobody but the preflight ran.
    RunFinished {
        /// How the process ends.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        exit_code: Option<u8>,
        /// What that means, in a few words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        verdict: Option<String>,
        /// How many targets ended how, by the words of the report's `targets[].outcome`.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        totals: BTreeMap<String, usize>,
    },
    /// An event of a newer version.
    #[serde(other)]
    Unknown,
}

impl Event {
    /// The end of a run of which nothing more is said.
    pub fn finished() -> Self {
        Self::RunFinished { exit_code: None, verdict: None, totals: BTreeMap::new() }
    }
}

/// How a target is rolled back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RollbackStep {
    /// ECS rolls it back by itself already.
    Await,
    /// Our service deployment is stopped, and ECS rolls it back.
    StopDeployment,
    /// The previous revision is deployed.
    Deploy,
    /// Only its settings are restored.
    Settings,
}

/// How a task of `before` or `after` ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TaskEnd {
    /// Every essential container of it exited with 0.
    Succeeded,
    /// It did not, or did not end in time.
    Failed,
    /// The run was cancelled, and ECS was asked to stop it.
    Cancelled,
}

/// A lifecycle hook at which a deployment waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Hook {
    /// Its id in this deployment.
    pub id: String,
    /// The stage at which it is.
    pub stage: Option<String>,
    /// When ECS waits for it no longer.
    #[schemars(with = "Option<String>")]
    pub expires_at: Option<Timestamp>,
    /// What ECS does then: `CONTINUE` or `ROLLBACK`.
    pub timeout_action: Option<String>,
}

/// Whether ECS complains. Its events have no severity; the words are those of its documented event messages.
pub fn is_trouble(text: &str) -> bool {
    const WORDS: [&str; 15] = [
        "unable",
        "unhealthy",
        "fail",
        "error",
        "rolling back",
        "circuit breaker",
        "denied",
        "throttl",
        "exceed",
        "cannot",
        "can't",
        "timed out",
        "insufficient",
        "alarm",
        "could not be",
    ];
    let text = text.to_lowercase();
    WORDS.iter().any(|word| text.contains(word))
}

/// Numbers and dates events, once, for every observer.
#[derive(Debug)]
pub struct Stamper {
    run: String,
    next: u64,
}

impl Stamper {
    /// Starts a run's numbering.
    pub fn new(run: impl Into<String>) -> Self {
        Self { run: run.into(), next: 0 }
    }

    /// Stamps the next event.
    pub fn stamp(&mut self, at: Timestamp, event: Event) -> Stamped {
        let seq = self.next;
        self.next += 1;
        Stamped { version: FORMAT_VERSION, run: self.run.clone(), seq, at, event }
    }
}

/// The journal's name in a directory of reports, where it is not named.
pub const JOURNAL: &str = "journal.jsonl";
