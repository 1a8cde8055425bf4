//! Rollbacks of targets that had succeeded: they degraded in the bake, or others failed. Their rollouts have ended, so
//! their rollbacks have their own events, with exactly one at the end of each.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{Id, JoinError, JoinSet};

use crate::engine::context::Run;
use crate::engine::hints::{RESTORE, STILL_RUNS};
use crate::engine::rollback::{Rollback, RollbackFrom};
use crate::engine::rollout_result::{RollbackResult, stuck_reason};
use crate::engine::timing::GRACE;
use crate::event::{Event, Reason};
use crate::fleet::{OnFailure, Outcome, Parallelism, TargetId, Wave};
use crate::plan::build::at_least_one;

/// A target that had succeeded, as an index, and its deployment.
pub type Deployed = (usize, Option<String>);

/// The rollbacks that are under way.
pub struct SucceededRollbacks<'a> {
    run: &'a Arc<Run>,
    timeout: Duration,
    tasks: JoinSet<RollbackResult>,
    targets: HashMap<Id, InFlight>,
    /// Who has ended and is not told of yet.
    untold: Option<(usize, Option<Event>)>,
}

struct InFlight {
    index: usize,
    cause: Option<TargetId>,
    /// Why it is rolled back.
    reason: Reason,
}

impl<'a> SucceededRollbacks<'a> {
    /// Starts with none.
    pub fn new(run: &'a Arc<Run>, policy: OnFailure) -> Self {
        let timeout = match policy {
            OnFailure::Stop => Duration::ZERO,
            OnFailure::Rollback { timeout, .. } => timeout,
        };
        Self { run, timeout, tasks: JoinSet::new(), targets: HashMap::new(), untold: None }
    }

    /// Starts the rollback of a target that had succeeded.
    pub fn start(&mut self, (index, deployment): Deployed, cause: Option<TargetId>, reason: Reason) {
        let (run, timeout, whose) = (Arc::clone(self.run), self.timeout, cause.clone());
        let task = self.tasks.spawn(async move {
            let work = run.work(index);
            let from = RollbackFrom { deployment, ..RollbackFrom::default() };
            let rollback = Rollback::new(&run, &run.fleet.targets[index], &work, from, timeout);
            Rollback { cause: whose, ..rollback }.run().await
        });
        self.targets.insert(task.id(), InFlight { index, cause, reason });
    }

    /// Whether none is under way.
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty() && self.untold.is_none()
    }

    /// Waits for the next one to end, tells how, and returns its index; `None` where none is under way. Who stops waiting
    /// loses nothing: what is not told yet is told by the next call.
    pub async fn next(&mut self) -> Option<usize> {
        if self.untold.is_none() {
            let joined = self.tasks.join_next_with_id().await?;
            let (id, result) = match joined {
                Ok((id, result)) => (id, result),
                Err(error) => (error.id(), panicked(&error)),
            };
            let going = self.targets.remove(&id).expect("every task is a target's");
            self.untold = Some((going.index, self.event(going, result)));
        }
        let place = self.run.events.reserve().await;
        let (index, event) = self.untold.take()?;
        // A reader that has gone away does not stop a run.
        if let (Ok(place), Some(event)) = (place, event) {
            place.send(event);
        }
        Some(index)
    }

    /// Waits for all of them, and after a cancel for a short while.
    pub async fn finish(&mut self) {
        loop {
            tokio::select! {
                biased;
                () = self.run.cancel.cancelled() => break,
                ended = self.next() => if ended.is_none() { return },
            }
        }
        let deadline = tokio::time::Instant::now() + GRACE;
        while let Ok(Some(_)) = tokio::time::timeout_at(deadline, self.next()).await {}
        self.tasks.abort_all();
        while self.next().await.is_some() {}
    }

    /// Returns the event that tells how one ended; `None` where nothing was asked of ECS.
    fn event(&self, going: InFlight, result: RollbackResult) -> Option<Event> {
        let InFlight { index, cause, mut reason } = going;
        let target = self.run.fleet.targets[index].id.clone();
        let (outcome, revision) = match result {
            RollbackResult::Back(revision) => {
                // It runs what it ran before, and nothing is left to restore.
                reason.help.take_if(|help| help == RESTORE);
                reason.evidence.retain(|it| it.cause.as_deref() != Some(STILL_RUNS));
                (Outcome::RolledBack, revision)
            }
            RollbackResult::Stuck(stuck) => {
                reason = stuck_reason(reason, stuck);
                (Outcome::Stuck, None)
            }
            RollbackResult::Superseded(by) => {
                reason = Reason { summary: by, ..Reason::default() };
                (Outcome::Superseded, None)
            }
            RollbackResult::Detached(summary) => {
                reason = Reason { summary, ..Reason::default() };
                (Outcome::Detached, None)
            }
            RollbackResult::Cancelled => return None,
            RollbackResult::Nothing(reason) => return Some(Event::RollbackImpossible { target, reason }),
        };
        Some(Event::RollbackFinished { target, outcome, cause, reason, revision })
    }
}

/// Rolls back what had succeeded in a wave, the newest first, within the bounds of the wave.
pub async fn roll_back_wave(
    run: &Arc<Run>,
    wave: &Wave,
    deployed: Vec<Deployed>,
    policy: OnFailure,
    cause: Option<&TargetId>,
) {
    let mut queue: VecDeque<Deployed> = deployed.into_iter().rev().collect();
    let mut returns = SucceededRollbacks::new(run, policy);
    let total = wave.targets.len();
    let window = match &wave.max_parallel {
        Parallelism::Window(amount) => at_least_one(*amount, total),
        Parallelism::Batches(amounts) => amounts.iter().map(|it| at_least_one(*it, total)).max().unwrap_or(1),
    };
    let bound = wave.max_parallel_per_account.unwrap_or(usize::MAX);
    let account = |index: usize| run.fleet.targets[index].account.id.as_str();
    let mut per_account: HashMap<&str, usize> = HashMap::new();
    while !run.cancel.is_cancelled() {
        while returns.targets.len() < window {
            let free = |(index, _): &Deployed| per_account.get(account(*index)).copied().unwrap_or_default() < bound;
            let Some(place) = queue.iter().position(free) else { break };
            let Some(deployed) = queue.remove(place) else { break };
            *per_account.entry(account(deployed.0)).or_default() += 1;
            let because = cause.map_or_else(|| "others failed".to_owned(), |cause| format!("{cause} failed"));
            let reason = Reason { summary: format!("rolled back, since {because}"), ..Reason::default() };
            returns.start(deployed, cause.cloned(), reason);
        }
        let ended = tokio::select! {
            biased;
            () = run.cancel.cancelled() => break,
            ended = returns.next() => ended,
        };
        let Some(index) = ended else { break };
        if let Some(running) = per_account.get_mut(account(index)) {
            *running -= 1;
        }
    }
    returns.finish().await;
}

/// The result of a rollback whose task was aborted or panicked.
fn panicked(error: &JoinError) -> RollbackResult {
    if error.is_cancelled() {
        RollbackResult::Detached(
            "the run was cancelled while ECS was being asked to roll it back; check the service".to_owned(),
        )
    } else {
        let summary = "this program failed in this rollback (a bug); check the service".to_owned();
        RollbackResult::Stuck(Reason { summary, ..Reason::default() })
    }
}
