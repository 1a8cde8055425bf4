//! One wave: which of its targets run when, and when no more may.
//!
//! The rules are those of the manifest's `rollout.waves`: a window slides, batches have a barrier between them, an
//! account may have a bound of its own, and exceeding `max_failures` starts nothing more while what runs is watched to
//! its end.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::{Id, JoinError, JoinSet};

use crate::aws::permit::Permit;
use crate::engine::alarms::Alarms;
use crate::engine::context::{Run, TargetProgress};
use crate::engine::rollback::succeeded::Deployed;
use crate::engine::rollout::rollout;
use crate::engine::rollout_result::RolloutResult;
use crate::engine::timing::GRACE;
use crate::event::{Event, Reason, halted_by};
use crate::fleet::failure_budget::FailureBudget;
use crate::fleet::{Outcome, Parallelism, TargetId, Wave};
use crate::plan::build::at_least_one;

/// How a wave ended.
#[derive(Debug, Default)]
pub struct WaveEnd {
    /// How many of its targets failed.
    pub failed: usize,
    /// The first that did.
    pub first_failure: Option<TargetId>,
    /// The targets that succeeded, in the order in which they did.
    pub deployed: Vec<Deployed>,
}

/// The state of a wave that runs.
struct WaveScheduler<'a> {
    run: &'a Arc<Run>,
    wave: &'a Wave,
    /// The wave's place in the fleet.
    number: usize,
    budget: FailureBudget,
    queue: VecDeque<usize>,
    tasks: JoinSet<RolloutResult>,
    targets: HashMap<Id, usize>,
    /// Who has failed and is being rolled back: it counts at once, and not only when it has ended.
    failing: (mpsc::UnboundedSender<usize>, mpsc::UnboundedReceiver<usize>),
    counted: HashSet<usize>,
    per_account: HashMap<&'a str, usize>,
    /// For batches: how many may still start before the barrier, and which size comes next.
    batch_left: usize,
    next_batch: usize,
    end: WaveEnd,
    /// What its rollouts may begin: nothing more once it is halted or the run cancelled.
    permit: Permit,
}

/// Runs the rollouts of a wave. Returns once none is left running. With `looks_at_alarms` it looks first at the alarms of its
/// targets, which may have gone off since the plan was made.
pub async fn run(run: &Arc<Run>, number: usize, looks_at_alarms: bool) -> WaveEnd {
    let wave = &run.fleet.waves[number];
    let queue = wave.targets.iter().copied().filter(|&index| run.has_work(index)).collect();
    let mut running = WaveScheduler {
        run,
        wave,
        number,
        budget: wave.failure_budget(),
        queue,
        tasks: JoinSet::new(),
        targets: HashMap::new(),
        failing: mpsc::unbounded_channel(),
        counted: HashSet::new(),
        per_account: HashMap::new(),
        batch_left: 0,
        next_batch: 0,
        end: WaveEnd::default(),
        permit: run.cancel.permit(),
    };
    if looks_at_alarms {
        running.fail_what_is_in_alarm().await;
    }
    loop {
        running.start_what_may().await;
        if running.tasks.is_empty() {
            break;
        }
        tokio::select! {
            biased;
            () = run.cancel.cancelled() => {
                running.wind_down().await;
                break;
            }
            Some(index) = running.failing.1.recv() => running.failed(index).await,
            Some(joined) = running.tasks.join_next_with_id() => running.ended(joined).await,
        }
    }
    running.skip_the_rest().await;
    running.end
}

impl WaveScheduler<'_> {
    fn halted(&self) -> bool {
        self.budget.is_exceeded(self.end.failed)
    }

    /// Fails the targets of which an alarm is in ALARM, as their bake would, before anything is asked of ECS.
    async fn fail_what_is_in_alarm(&mut self) {
        let targets = || self.queue.iter().map(|&index| (index, &self.run.fleet.targets[index]));
        let alarms = Alarms::collect(self.run, targets().map(|(_, target)| target));
        let raised = tokio::select! {
            biased;
            () = self.run.cancel.cancelled() => return,
            raised = alarms.raised(targets()) => raised,
        };
        for (index, reason) in raised {
            self.queue.retain(|queued| *queued != index);
            let target = self.run.fleet.targets[index].id.clone();
            self.run.emit(Event::RolloutStarted { target: target.clone() }).await;
            let summary = format!("{} before its wave began; nothing was changed", reason.summary);
            let reason = Some(Reason { cause: Some(summary.clone()), summary, ..reason });
            let outcome = Outcome::Failed;
            self.run.emit(Event::RolloutFinished { target, outcome, reason, revision: None }).await;
            self.failed(index).await;
        }
    }

    async fn start_what_may(&mut self) {
        while !self.halted() && !self.run.cancel.is_cancelled() && self.has_room() {
            let Some(place) = self.next_startable() else { break };
            let index = self.queue.remove(place).expect("the place was just found");
            let target = &self.run.fleet.targets[index];
            self.run.emit(Event::RolloutStarted { target: target.id.clone() }).await;
            *self.per_account.entry(target.account.id.as_str()).or_default() += 1;
            self.batch_left = self.batch_left.saturating_sub(1);
            let (run, wave, failing) = (Arc::clone(self.run), self.number, self.failing.0.clone());
            let permit = self.permit.clone();
            let task = self.tasks.spawn(async move {
                // The wave outlives its rollouts; that it did not would cost a count and no more.
                let failing = || _ = failing.send(index);
                rollout(&run, index, &run.fleet.waves[wave], &permit, &failing).await
            });
            self.targets.insert(task.id(), index);
        }
    }

    /// Whether the window, the batch and `strict` allow one more.
    fn has_room(&mut self) -> bool {
        let total = self.wave.targets.len();
        let in_flight = self.tasks.len();
        let tolerated = self.budget.failures_until_halt(self.end.failed);
        if self.wave.strict && in_flight >= tolerated {
            return false;
        }
        match &self.wave.max_parallel {
            Parallelism::Window(amount) => in_flight < at_least_one(*amount, total),
            Parallelism::Batches(amounts) => {
                if self.batch_left == 0 && in_flight == 0 {
                    let amount = amounts.get(self.next_batch).or(amounts.last());
                    self.batch_left = amount.map_or(total, |amount| at_least_one(*amount, total));
                    self.next_batch += 1;
                }
                self.batch_left > 0
            }
        }
    }

    /// Returns the place in the queue of the first target whose account is below its bound.
    fn next_startable(&self) -> Option<usize> {
        let bound = self.wave.max_parallel_per_account.unwrap_or(usize::MAX);
        self.queue.iter().position(|&index| {
            let account = self.run.fleet.targets[index].account.id.as_str();
            self.per_account.get(account).copied().unwrap_or_default() < bound
        })
    }

    async fn ended(&mut self, joined: Result<(Id, RolloutResult), JoinError>) {
        let id = joined.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
        let index = self.targets.remove(&id).expect("every task is a target's");
        let ended = match joined {
            Ok((_, ended)) => ended,
            Err(error) => self.run.with_progress(index, |known| broken(&error, known)),
        };
        let target = &self.run.fleet.targets[index];
        if let Some(running) = self.per_account.get_mut(target.account.id.as_str()) {
            *running -= 1;
        }
        let fails = ended.outcome.is_failure();
        // Its deployment had completed, also where the halt kept a task after it from being begun.
        if matches!(ended.outcome, Outcome::Succeeded | Outcome::Detached) {
            self.end.deployed.push((index, ended.deployment));
        }
        let RolloutResult { outcome, reason, revision, .. } = ended;
        let target = target.id.clone();
        let event = if outcome == Outcome::NotStarted {
            let cause = self.end.first_failure.clone();
            let reason = halted_by(cause.as_ref());
            Event::RolloutSkipped { target, outcome, cause, reason }
        } else {
            Event::RolloutFinished { target, outcome, reason, revision }
        };
        self.run.emit(event).await;
        if fails {
            self.failed(index).await;
        }
    }

    /// Counts a failure, once, and halts where that is one too many.
    async fn failed(&mut self, index: usize) {
        if !self.counted.insert(index) {
            return;
        }
        let was_halted = self.halted();
        self.end.failed += 1;
        self.end.first_failure.get_or_insert_with(|| self.run.fleet.targets[index].id.clone());
        if self.halted() && !was_halted {
            self.permit.withdraw();
            self.run.halted(self.wave, &self.end).await;
        }
    }

    /// After a cancel: lets what runs say where it is, for a short while, and then stops waiting.
    async fn wind_down(&mut self) {
        let deadline = tokio::time::Instant::now() + GRACE;
        while let Ok(Some(joined)) = tokio::time::timeout_at(deadline, self.tasks.join_next_with_id()).await {
            self.ended(joined).await;
        }
        self.tasks.abort_all();
        while let Some(joined) = self.tasks.join_next_with_id().await {
            self.ended(joined).await;
        }
    }

    async fn skip_the_rest(&mut self) {
        for index in std::mem::take(&mut self.queue) {
            self.run.skip(index, self.end.first_failure.as_ref()).await;
        }
    }
}

/// What became of a rollout whose task was aborted or panicked, by what is known of its target.
fn broken(error: &JoinError, known: &TargetProgress) -> RolloutResult {
    if error.is_cancelled() && !known.asked {
        let summary = match known.registers {
            true => {
                "the run was cancelled while ECS was being asked to register its revision, which may exist now; UpdateService \
                 was not sent"
            }
            false => "the run was cancelled before its deployment was started",
        };
        return RolloutResult::new(Outcome::Cancelled, summary);
    }
    let deployment = known.deployment.clone();
    let (outcome, summary) = if error.is_cancelled() {
        (Outcome::Detached, "the run was cancelled while ECS was being asked")
    } else {
        (Outcome::Failed, "this program failed in this rollout (a bug)")
    };
    let goes_on = deployment.as_ref().map(|deployment| format!("; {deployment} goes on")).unwrap_or_default();
    let reason = Reason { summary: format!("{summary}{goes_on}; check the service"), ..Reason::default() };
    RolloutResult { outcome, reason: Some(reason), revision: None, deployment, acted: true, wanted: None }
}

impl Run {
    pub(crate) async fn halted(&self, wave: &Wave, end: &WaveEnd) {
        let Some(cause) = end.first_failure.clone() else { return };
        let max_failures = wave.failure_budget().0;
        self.emit(Event::RunHalted { wave: wave.name.clone(), cause, failed: end.failed, max_failures }).await;
    }

    /// Says of a target of the running wave that it was not started.
    pub(crate) async fn skip(&self, index: usize, cause: Option<&TargetId>) {
        let target = self.fleet.targets[index].id.clone();
        let event = if self.cancel.is_cancelled() {
            let reason = "the run was cancelled".to_owned();
            Event::RolloutSkipped { target, outcome: Outcome::Cancelled, cause: None, reason }
        } else {
            Event::RolloutSkipped {
                target,
                outcome: Outcome::NotStarted,
                cause: cause.cloned(),
                reason: halted_by(cause),
            }
        };
        self.emit(event).await;
    }
}
