//! Carries out a plan: waves, windows, rollouts, bakes; the only part that changes anything in AWS.
//!
//! It is given everything and asks nobody: a plan, clients, a channel for events and the wish to cancel. It owns every
//! task that it starts. Observers listen to the events and cannot stop or change a run.

mod alarms;
mod bake;
mod blind;
pub mod cancel;
mod codedeploy;
pub mod context;
mod deployment_tracker;
mod drift_guard;
mod evidence;
mod exactly_once;
mod hints;
mod interval;
mod known_deployments;
mod last_look;
pub mod lifecycle_hooks;
mod messages;
mod poller;
mod register;
mod retry;
mod rollback;
mod rollout;
mod rollout_result;
mod run_task;
mod service_deployments;
mod shared_tasks;
mod standing;
mod timing;
mod update;
mod wave;

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::engine::context::{Handles, Run, TargetProgress};
use crate::engine::poller::Pollers;
use crate::engine::register::Families;
use crate::engine::rollback::succeeded::Deployed;
use crate::engine::shared_tasks::SharedTasks;
use crate::event::{Event, Job, halted_by, waits_at};
use crate::fleet::{Fleet, Outcome, Scope, TargetId, Wave};
use crate::plan::work::Plan;

/// Where a run begins and what it says of itself.
#[derive(Clone, Debug, Default)]
pub struct Start {
    /// Begin at this wave, and treat its gate as passed; earlier waves are not touched.
    pub from: Option<String>,
    /// Whether AWS is the embedded sandbox.
    pub sandbox: bool,
    /// Continue each PAUSE hook at which a deployment of this run waits.
    pub continue_hooks: bool,
    /// When the reading of the targets began, by which the plan was made. Where that is not known, or some seconds ago, each
    /// is read again before it is written to.
    pub read_at: Option<Instant>,
    /// The run's id: tasks that it starts are told apart by it from those of other runs.
    pub run: String,
    /// The CI job that the run is.
    pub job: Job,
}

/// Why targets of later waves are not started.
enum Stop {
    Halted { cause: Option<TargetId> },
    Gate { wave: String },
    Cancelled,
}

/// Carries out `plan`. Returns once everything that was started has ended or was let go.
pub async fn run(fleet: Fleet, plan: Plan, handles: Handles, start: Start) {
    let Handles { clients, events, cancel } = handles;
    let first = first_wave(&fleet, &start).unwrap_or_default();
    let shared_tasks = SharedTasks::new(start.run.clone(), &fleet, &plan, first);
    // The outline is for whoever reads the events: the engine goes by the work.
    let Plan { outline, work } = plan;
    let known = work.into_iter().map(|work| work.map(TargetProgress::planned)).collect();
    let run = Arc::new(Run {
        fleet,
        clients,
        events,
        cancel,
        watches: Pollers::default(),
        families: Families::default(),
        shared_tasks,
        read_at: start.read_at,
        known: Mutex::new(known),
        continues_hooks: start.continue_hooks,
        blind: AtomicBool::default(),
    });
    run.emit(Event::RunStarted { plan: outline, sandbox: start.sandbox, job: start.job.clone() }).await;
    let mut pollers = JoinSet::new();
    let stop_pollers = CancellationToken::new();
    for (index, target) in run.fleet.targets.iter().enumerate() {
        if run.has_work(index) {
            run.watches.start(target, &run.ecs(target), &mut pollers, &stop_pollers);
        }
    }
    let ended = CancellationToken::new();
    let waves = async {
        run.waves(&start).await;
        ended.cancel();
    };
    // It is said when the signal comes: to wind down takes some seconds.
    let told = async {
        tokio::select! {
            biased;
            () = run.cancel.cancelled() => run.cancelled().await,
            () = ended.cancelled() => {}
        }
    };
    tokio::join!(told, waves);
    for event in run.shared_tasks.not_run() {
        run.emit(event).await;
    }
    stop_pollers.cancel();
    while pollers.join_next().await.is_some() {}
    run.emit(Event::finished()).await;
}

impl Run {
    async fn waves(self: &Arc<Self>, start: &Start) {
        let first = first_wave(&self.fleet, start);
        let has_work = |wave: &Wave| wave.targets.iter().any(|&index| self.has_work(index));
        let mut stop: Option<Stop> = None;
        let mut deployed: Vec<(usize, Vec<Deployed>)> = Vec::new();
        for (number, wave) in self.fleet.waves.iter().enumerate().skip(first.unwrap_or_default()) {
            if stop.is_none() && self.cancel.is_cancelled() {
                stop = Some(Stop::Cancelled);
            }
            let is_gated = wave.gate && first != Some(number) && self.fleet.waves[number..].iter().any(has_work);
            if stop.is_none() && is_gated {
                self.emit(Event::GateReached { wave: wave.name.clone() }).await;
                stop = Some(Stop::Gate { wave: wave.name.clone() });
            }
            match &stop {
                Some(stop) => self.skip_wave(wave, stop).await,
                None => stop = self.wave(number, &mut deployed).await,
            }
        }
    }

    /// Runs a wave and its bake, and returns what its policy says should its failure budget be exceeded. `deployed` is what the
    /// waves before it deployed, and then this one. Returns why nothing may follow, if so.
    async fn wave(self: &Arc<Self>, number: usize, deployed: &mut Vec<(usize, Vec<Deployed>)>) -> Option<Stop> {
        let wave = &self.fleet.waves[number];
        if !wave.targets.iter().any(|&index| self.has_work(index)) {
            return None;
        }
        self.emit(Event::WaveStarted { wave: wave.name.clone() }).await;
        let budget = wave.failure_budget();
        // The first wave begins right after the plan, for which they were looked at.
        let mut end = wave::run(self, number, !deployed.is_empty()).await;
        let bakes = !wave.bake.is_zero() && !end.deployed.is_empty() && !budget.is_exceeded(end.failed);
        if bakes && !self.cancel.is_cancelled() {
            bake::bake(self, wave, &mut end).await;
        }
        deployed.push((number, std::mem::take(&mut end.deployed)));
        if budget.is_exceeded(end.failed) {
            self.roll_back_succeeded(wave, deployed, end.first_failure.as_ref()).await;
        }
        let passed = !budget.is_exceeded(end.failed) && !self.cancel.is_cancelled();
        self.emit(Event::WaveFinished { wave: wave.name.clone(), failed: end.failed, passed }).await;
        if self.cancel.is_cancelled() {
            Some(Stop::Cancelled)
        } else {
            (!passed).then_some(Stop::Halted { cause: end.first_failure })
        }
    }

    /// Returns what had succeeded, the newest first and wave by wave, as far as the failing wave's policy goes.
    async fn roll_back_succeeded(
        self: &Arc<Self>,
        failing: &Wave,
        deployed: &mut Vec<(usize, Vec<Deployed>)>,
        cause: Option<&TargetId>,
    ) {
        let most = match failing.on_failure.scope() {
            None | Some(Scope::Target) => 0,
            Some(Scope::Wave) => 1,
            Some(Scope::Run) => deployed.len(),
        };
        for _ in 0..most {
            let Some((number, deployed)) = deployed.pop().filter(|_| !self.cancel.is_cancelled()) else { return };
            crate::engine::rollback::succeeded::roll_back_wave(
                self,
                &self.fleet.waves[number],
                deployed,
                failing.on_failure,
                cause,
            )
            .await;
        }
    }

    async fn cancelled(&self) {
        if let Some(signal) = self.cancel.signal() {
            self.emit(Event::RunCancelled { signal: signal.name().to_owned() }).await;
        }
    }

    async fn skip_wave(&self, wave: &Wave, stop: &Stop) {
        for &index in &wave.targets {
            if !self.has_work(index) {
                continue;
            }
            let target = self.fleet.targets[index].id.clone();
            let (outcome, cause, reason) = match stop {
                Stop::Cancelled => (Outcome::Cancelled, None, "the run was cancelled".to_owned()),
                Stop::Gate { wave } => (Outcome::NotStarted, None, waits_at(wave)),
                Stop::Halted { cause } => (Outcome::NotStarted, cause.clone(), halted_by(cause.as_ref())),
            };
            self.emit(Event::RolloutSkipped { target, outcome, cause, reason }).await;
        }
    }
}

/// Returns the place of the wave that a run begins with, where one is named.
fn first_wave(fleet: &Fleet, start: &Start) -> Option<usize> {
    start.from.as_ref().and_then(|from| fleet.waves.iter().position(|wave| wave.name == *from))
}
