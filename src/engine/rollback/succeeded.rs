//! Targets that had succeeded and go back all the same: they degraded in the bake, or others failed.
//!
//! Their rollouts have ended, so what becomes of them is told by events of their own, exactly one at the end of each.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{Id, JoinError, JoinSet};

use crate::engine::context::Run;
use crate::engine::rollback::{Origin, Rollback};
use crate::engine::rollout_result::{RollbackResult, after};
use crate::engine::timing::GRACE;
use crate::event::{Event, Reason};
use crate::fleet::{OnFailure, Outcome, Parallelism, TargetId, Wave};
use crate::plan::build::at_least_one;

/// A target that had succeeded, as an index, and its deployment.
pub type Deployed = (usize, Option<String>);

/// Targets on their way back.
pub struct SucceededRollbacks<'a> {
    run: &'a Arc<Run>,
    timeout: Duration,
    tasks: JoinSet<RollbackResult>,
    targets: HashMap<Id, Going>,
    /// Who has ended and is not told of yet.
    untold: Option<(usize, Option<Event>)>,
}

struct Going {
    index: usize,
    cause: Option<TargetId>,
    /// Why it goes back.
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

    /// Sends a target back.
    pub fn start(&mut self, (index, deployment): Deployed, cause: Option<TargetId>, reason: Reason) {
        let (run, timeout, whose) = (Arc::clone(self.run), self.timeout, cause.clone());
        let task = self.tasks.spawn(async move {
            let work = run.work(index);
            let from = Origin { deployment, ..Origin::default() };
            Rollback::new(&run, &run.fleet.targets[index], &work, from, timeout, whose).go_back().await
        });
        self.targets.insert(task.id(), Going { index, cause, reason });
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
            let (id, undone) = match joined {
                Ok((id, undone)) => (id, undone),
                Err(error) => (error.id(), broken(&error)),
            };
            let going = self.targets.remove(&id).expect("every task is a target's");
            self.untold = Some((going.index, self.end(going, undone)));
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
    fn end(&self, going: Going, undone: RollbackResult) -> Option<Event> {
        let Going { index, cause, mut reason } = going;
        let target = self.run.fleet.targets[index].id.clone();
        let (outcome, revision) = match undone {
            RollbackResult::Back(revision) => (Outcome::RolledBack, revision),
            RollbackResult::Stuck(stuck) => {
                reason = after(reason, stuck);
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
            RollbackResult::Nothing(reason) => return Some(Event::UndoImpossible { target, reason }),
        };
        Some(Event::TargetReturned { target, outcome, cause, reason, revision })
    }
}

/// Returns what had succeeded in a wave, the newest first, within the bounds of the wave.
pub async fn wave(run: &Arc<Run>, wave: &Wave, deployed: Vec<Deployed>, policy: OnFailure, cause: Option<&TargetId>) {
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
            let reason = Reason { summary: format!("returned, since {because}"), ..Reason::default() };
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

/// What became of an undo whose task was aborted or panicked.
fn broken(error: &JoinError) -> RollbackResult {
    if error.is_cancelled() {
        RollbackResult::Detached(
            "the run was cancelled while ECS was being asked to go back; look at the service".to_owned(),
        )
    } else {
        let summary = "this program failed in this undo (a bug); look at the service".to_owned();
        RollbackResult::Stuck(Reason { summary, ..Reason::default() })
    }
}
