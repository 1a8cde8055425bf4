//! What has become of a run so far: the fold of its events.
//!
//! Pure: no clock, no I/O, no words for people. A [`RunState`] is a function of the events alone, so that one rebuilt
//! from a file of them equals the one that the run itself had. It takes what it is given: an event of a target that
//! the plan does not have is ignored, and so is a second terminal event of a target.

use std::sync::Arc;

use indexmap::IndexMap;
use jiff::Timestamp;

use crate::base::exit::Exit;
use crate::event::{Event, Job, Reason, Stamped};
use crate::fleet::{Outcome, TargetId};
use crate::plan::outline::{ChangeOutline, Outline};
use crate::plan::ships::{ImageChange, ships};

mod exit_code;
mod pause;
mod refusal;
mod rollback;
mod run_task;
mod stage;
mod stages;
mod target;
mod totals;
mod wave;

pub use crate::state::pause::Pause;
pub use crate::state::refusal::Refusal;
pub use crate::state::rollback::Rollback;
pub use crate::state::run_task::TaskRun;
pub use crate::state::stage::Stage;
pub use crate::state::stages::Stages;
pub use crate::state::target::TargetState;
pub use crate::state::totals::Totals;
pub use crate::state::wave::WaveState;

/// A run so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunState {
    run: Option<String>,
    sandbox: bool,
    job: Job,
    refusal: Option<Refusal>,
    waves: IndexMap<String, WaveState>,
    targets: IndexMap<TargetId, TargetState>,
    totals: Totals,
    ships: Vec<ImageChange>,
    halted: Option<Halt>,
    cancelled: Option<String>,
    gate: Option<String>,
    started_at: Option<Timestamp>,
    last_at: Option<Timestamp>,
    unseen_since: Option<Timestamp>,
    finished_at: Option<Timestamp>,
}

/// How far a target is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It has not been started.
    Waiting,
    /// Its rollout began; nothing has been asked of ECS yet.
    Preparing,
    /// Its revision exists.
    Registered,
    /// ECS carries out its deployment.
    Deploying,
    /// It is being rolled back.
    RollingBack,
    /// It has an outcome.
    Ended,
}

/// Why nothing new was started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Halt {
    /// The wave whose failure budget was exceeded.
    pub wave: String,
    /// The first target that failed in it.
    pub cause: TargetId,
    /// How many had failed.
    pub failed: usize,
    /// How many were allowed to.
    pub max_failures: usize,
}

impl RunState {
    /// Starts with nothing known.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in the next event.
    pub fn apply(&mut self, event: &Stamped) {
        let at = event.at;
        self.last_at = self.last_at.max(Some(at));
        match &event.event {
            Event::RunStarted { plan, sandbox, job } => {
                if self.started_at.is_none() {
                    self.run = Some(event.run.clone());
                    self.sandbox = *sandbox;
                    self.job = job.clone();
                    self.started_at = Some(at);
                    self.take_plan(plan, at);
                }
            }
            Event::RunRefused { plan, sandbox, job, exit_code, message, help } => {
                if self.started_at.is_none() && self.refusal.is_none() {
                    let (exit_code, message, help) = (*exit_code, message.clone(), help.clone());
                    self.run = Some(event.run.clone());
                    self.job = job.clone();
                    self.sandbox = *sandbox;
                    self.refusal = Some(Refusal { exit_code, message, help, at });
                    plan.iter().for_each(|plan| self.take_plan(plan, at));
                }
            }
            Event::WaveStarted { wave } => self.wave(wave, |wave| wave.started_at = Some(at)),
            Event::RolloutStarted { target } => self.running(target, |target| {
                target.phase = Phase::Preparing;
                target.started_at = Some(at);
            }),
            Event::RevisionRegistered { target, revision, reused: _ } => self.running(target, |target| {
                target.phase = Phase::Registered;
                target.registered_at.get_or_insert(at);
                target.to = Some(revision.clone());
            }),
            Event::DeploymentStarted { target, deployment, revision, attached } => self.running(target, |target| {
                target.phase = Phase::Deploying;
                target.deployed_at.get_or_insert(at);
                target.to = Some(revision.clone());
                target.deployment = Some(deployment.clone());
                target.attached = *attached;
            }),
            Event::TasksChanged { target, tasks } => {
                self.unseen_since = None;
                self.moving(target, |target| target.tasks = Some(*tasks));
            }
            Event::SessionLost { .. } => self.unseen_since = Some(at),
            Event::StageChanged { target, stage, production_percent, test_percent, bake_minutes } => {
                let (production_percent, test_percent) = (*production_percent, *test_percent);
                let (name, bake_minutes) = (stage.clone(), *bake_minutes);
                let stage = Stage { name, production_percent, test_percent, bake_minutes, since: at, ended_at: None };
                self.moving(target, |target| target.stages.enter(stage));
            }
            Event::HookWaiting { target, hook, continued: _ } => {
                self.moving(target, |target| target.stages.wait(hook, at));
            }
            Event::HookEnded { target, hook, status } => {
                self.moving(target, |target| target.stages.end_hook(hook, status, at));
            }
            Event::RunTaskAwaited { target, name } => self.running(target, |it| it.waits_for = Some(name.clone())),
            event @ (Event::RunTaskStarted { target, .. } | Event::RunTaskFinished { target, .. }) => {
                self.running(target, |target| {
                    run_task::apply(&mut target.run_tasks, event, at);
                    // One before the deployment comes before its first stage, and one after it after its last.
                    target.stages.finish(at);
                });
            }
            Event::ServiceMessage { target, text } => {
                self.moving(target, |target| target.message = Some(text.clone()));
            }
            Event::RolloutFinished { target, outcome, reason, revision } => self.running(target, |target| {
                target.finish(*outcome, at);
                target.reason.clone_from(reason);
                target.runs.clone_from(revision);
            }),
            Event::RolloutSkipped { target, outcome, cause, reason } => self.running(target, |target| {
                target.finish(*outcome, at);
                target.cause.clone_from(cause);
                target.reason = Some(Reason { summary: reason.clone(), ..Reason::default() });
            }),
            Event::RollbackStarted { target, how, to, cause } => self.change(target, |target| {
                let ended = matches!(target.ended, Some(Outcome::Succeeded | Outcome::Detached));
                if target.rollback_outcome.is_none() && (ended || target.ended.is_none()) {
                    let started_at = target.rollback.as_ref().map_or(at, |rollback| rollback.started_at);
                    target.rollback = Some(Rollback { how: *how, to: to.clone(), started_at });
                    target.phase = Phase::RollingBack;
                    target.tasks = None;
                    target.stages.finish(at);
                    target.cause.clone_from(cause);
                }
            }),
            Event::RollbackFinished { target, outcome, cause, reason, revision } => self.change(target, |target| {
                if target.rollback_outcome.is_none()
                    && matches!(target.ended, Some(Outcome::Succeeded | Outcome::Detached))
                {
                    target.phase = Phase::Ended;
                    target.rollback_outcome = Some(*outcome);
                    target.rolled_back_at = Some(at);
                    target.cause.clone_from(cause);
                    target.reason = Some(reason.clone());
                    target.runs.clone_from(revision);
                }
            }),
            Event::RollbackImpossible { target, reason } => self.change(target, |target| {
                target.rollback_impossible.get_or_insert_with(|| reason.clone());
            }),
            Event::TargetDegraded { target, reason } => {
                self.change(target, |target| {
                    target.degraded.get_or_insert_with(|| reason.clone());
                });
            }
            Event::BakeStarted { wave, seconds } => self.wave(wave, |wave| {
                wave.bake_started_at = Some(at);
                wave.bake_seconds = *seconds;
            }),
            Event::WaveFinished { wave, failed: _, passed } => self.wave(wave, |wave| {
                wave.finished_at = Some(at);
                wave.passed = Some(*passed);
            }),
            Event::RunHalted { wave, cause, failed, max_failures } => {
                self.halted.get_or_insert_with(|| Halt {
                    wave: wave.clone(),
                    cause: cause.clone(),
                    failed: *failed,
                    max_failures: *max_failures,
                });
            }
            Event::GateReached { wave } => self.gate = Some(wave.clone()),
            Event::RunCancelled { signal } => {
                self.cancelled.get_or_insert_with(|| signal.clone());
            }
            Event::RunFinished { .. } => {
                self.finished_at.get_or_insert(at);
            }
            Event::HookNotContinued { .. }
            | Event::RunTaskNotRun { .. }
            | Event::TagsRefused { .. }
            | Event::DefinitionAltered { .. }
            | Event::Unknown => {}
        }
    }

    /// Returns the last event of a run that comes to what this one does so far.
    pub fn end(&self) -> Event {
        let exit = self.exit_of(true);
        let totals = self.totals.named().into_iter().filter(|(_, number)| *number > 0);
        Event::RunFinished {
            exit_code: Some(exit.code()),
            verdict: Some(self.verdict(exit).to_owned()),
            totals: totals.map(|(words, number)| (words.replace(' ', "_"), number)).collect(),
        }
    }

    /// Returns what an exit code means for this run, in a few words.
    pub fn verdict(&self, exit: Exit) -> &'static str {
        match exit {
            Exit::TimedOut if !self.targets().any(TargetState::goes_on) => "timed out; nothing goes on in ECS",
            exit => exit.verdict(self.totals.succeeded > 0),
        }
    }

    /// Returns the targets, in the plan's order.
    pub fn targets(&self) -> impl Iterator<Item = &TargetState> {
        self.targets.values()
    }

    /// Returns a target.
    pub fn target(&self, target: &TargetId) -> Option<&TargetState> {
        self.targets.get(target)
    }

    /// Returns the waves, in the order in which they run.
    pub fn waves(&self) -> impl Iterator<Item = &WaveState> {
        self.waves.values()
    }

    /// Returns the wave that runs now and its place, from 1.
    pub fn current_wave(&self) -> Option<(usize, &WaveState)> {
        let running = |wave: &WaveState| wave.started_at.is_some() && wave.finished_at.is_none();
        self.waves.values().enumerate().find(|(_, wave)| running(wave)).map(|(index, wave)| (index + 1, wave))
    }

    /// Counts the targets, each once.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// Returns the run's id.
    pub fn run(&self) -> Option<&str> {
        self.run.as_deref()
    }

    /// Returns whether this is the embedded sandbox and no AWS account.
    pub fn is_sandbox(&self) -> bool {
        self.sandbox
    }

    /// Returns what the run ships.
    pub fn ships(&self) -> &[ImageChange] {
        &self.ships
    }

    /// Returns the CI job that the run is.
    pub fn job(&self) -> &Job {
        &self.job
    }

    /// Returns why the run was refused before anything was changed.
    pub fn refusal(&self) -> Option<&Refusal> {
        self.refusal.as_ref()
    }

    /// Returns why nothing new was started, if a failure budget was exceeded.
    pub fn halted(&self) -> Option<&Halt> {
        self.halted.as_ref()
    }

    /// Returns the signal that cancelled the run.
    pub fn cancelled(&self) -> Option<&str> {
        self.cancelled.as_deref()
    }

    /// Returns the wave before which the run stopped.
    pub fn gate(&self) -> Option<&str> {
        self.gate.as_deref()
    }

    /// Returns since when nothing is seen any more of what runs, for want of a session.
    pub fn unseen_since(&self) -> Option<Timestamp> {
        self.unseen_since
    }

    /// Returns when the run started.
    pub fn started_at(&self) -> Option<Timestamp> {
        self.started_at
    }

    /// Returns when the run's last event happened.
    pub fn finished_at(&self) -> Option<Timestamp> {
        self.finished_at
    }

    /// Returns the milliseconds from the start to the end, or to the newest event.
    pub fn elapsed_ms(&self) -> u64 {
        match (self.started_at, self.finished_at.or(self.last_at)) {
            (Some(start), Some(end)) => milliseconds(start, end),
            _ => 0,
        }
    }

    fn take_plan(&mut self, plan: &Outline, at: Timestamp) {
        self.waves = plan.waves.iter().map(|wave| (wave.name.clone(), WaveState::new(wave))).collect();
        let portal = plan.console.clone().map(Arc::new);
        let state = |change: &ChangeOutline| TargetState { portal: portal.clone(), ..TargetState::new(change, at) };
        self.targets = plan.changes.iter().map(|change| (change.target.clone(), state(change))).collect();
        self.totals = Totals::count(self.targets());
        self.ships = ships(&plan.changes);
    }

    fn wave(&mut self, name: &str, change: impl FnOnce(&mut WaveState)) {
        if let Some(wave) = self.waves.get_mut(name) {
            change(wave);
        }
    }

    /// Changes a target that has not ended yet.
    fn running(&mut self, target: &TargetId, change: impl FnOnce(&mut TargetState)) {
        self.change(target, |target| {
            if target.ended.is_none() {
                change(target);
            }
        });
    }

    /// Changes a target that has not ended yet, or that is being returned.
    fn moving(&mut self, target: &TargetId, change: impl FnOnce(&mut TargetState)) {
        self.change(target, |target| {
            if target.ended.is_none() || target.is_running() {
                change(target);
            }
        });
    }

    /// Changes a target and moves it in the totals: they are kept, not counted anew, since views ask at each event.
    fn change(&mut self, target: &TargetId, change: impl FnOnce(&mut TargetState)) {
        if let Some(target) = self.targets.get_mut(target) {
            self.totals.remove(target);
            change(target);
            self.totals.add(target);
        }
    }
}

/// Returns the milliseconds from one time to a later one, and 0 if it is not later.
pub fn milliseconds(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.as_millisecond() - from.as_millisecond()).unwrap_or(0)
}
