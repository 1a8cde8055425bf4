//! The tasks that run before and after a target's deployment, and who of several targets runs one that they share.
//!
//! One that is shared runs where the first target comes to it, and the others wait; after the deployments it runs where
//! the last one comes to it, so not at all where one of them did not succeed.

mod errand;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::Run;
use super::ended::Ended;
use super::register::Registered;
use crate::aws::ecs::Ecs;
use crate::aws::permit::Permit;
use crate::event::{Event, Reason};
use crate::fleet::{Fleet, Moment, Outcome, RunTask, TargetSpec};
use crate::plan::run_task::Shared;
use crate::plan::{Plan, Work};
use errand::Errand;

/// How a task ended that did not succeed.
#[derive(Clone, Debug)]
pub enum Unfinished {
    /// It failed, or could not be run.
    Failed(Reason),
    /// The run was cancelled: this is where the task was.
    Cancelled(String),
    /// The permission to write was over before it was started.
    Stopped,
}

/// What became of a task that several targets share: held while it runs, and empty before.
type Cell = Arc<tokio::sync::Mutex<Option<Result<(), Reason>>>>;

/// The tasks of a run that targets share.
#[derive(Debug, Default)]
pub struct SharedTasks {
    /// The run's id.
    run: String,
    before: Mutex<HashMap<Shared, Cell>>,
    /// How many targets have not come to it yet.
    after: Mutex<HashMap<Shared, usize>>,
}

impl SharedTasks {
    /// Starts with those of the waves of `plan` from the one at `first` on; `run` is the run's id.
    pub fn new(run: String, fleet: &Fleet, plan: &Plan, first: usize) -> Self {
        let mut after = HashMap::new();
        for &index in fleet.waves.iter().skip(first).flat_map(|wave| &wave.targets) {
            let tasks = plan.work[index].iter().flat_map(|work| &work.run_tasks.after);
            for shared in tasks.filter_map(|task| Shared::of(&fleet.targets[index], Moment::After, task)) {
                *after.entry(shared).or_default() += 1;
            }
        }
        Self { run, before: Mutex::default(), after: Mutex::new(after) }
    }

    fn cell(&self, shared: Shared) -> Cell {
        Arc::clone(self.before.lock().unwrap_or_else(PoisonError::into_inner).entry(shared).or_default())
    }

    /// Says which tasks were not run, since some of their targets did not come to them.
    pub fn not_run(&self) -> Vec<Event> {
        let after = self.after.lock().unwrap_or_else(PoisonError::into_inner);
        let left = after.iter().filter(|(_, missing)| **missing > 0);
        let mut left: Vec<(Shared, usize)> = left.map(|(shared, missing)| (shared.clone(), *missing)).collect();
        left.sort_unstable();
        let event = |(shared, missing): (Shared, usize)| {
            let Shared { service, name, account: account_id, .. } = shared;
            Event::RunTaskNotRun { service, name, account_id, missing }
        };
        left.into_iter().map(event).collect()
    }

    /// Takes in that a target has come to the task. Returns whether it was the last one.
    fn is_last(&self, shared: &Shared) -> bool {
        let mut after = self.after.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(left) = after.get_mut(shared) else { return true };
        *left = left.saturating_sub(1);
        *left == 0
    }
}

/// Runs a target's tasks before UpdateService, with the revision that it gets.
pub async fn before(
    run: &Run,
    target: &TargetSpec,
    ecs: &Ecs,
    work: &Work,
    registered: &Registered,
    permit: &Permit,
) -> Result<(), Ended> {
    for task in &work.run_tasks.before {
        let errand = Errand { run, target, ecs, task, moment: Moment::Before, definition: &registered.arn, permit };
        let ended = match Shared::of(target, Moment::Before, task) {
            None => errand.run().await,
            Some(shared) => once(&errand, run.shared_tasks.cell(shared)).await,
        };
        ended.map_err(|unfinished| match unfinished {
            Unfinished::Failed(reason) => Ended { reason: Some(reason), ..Ended::new(Outcome::Failed, "") },
            Unfinished::Stopped => Ended::stopped(run, permit, target).unused(Some(&registered.revision)),
            Unfinished::Cancelled(place) => {
                let summary = format!("the run was cancelled {place}; UpdateService was not sent");
                Ended::new(Outcome::Cancelled, summary).unused(Some(&registered.revision))
            }
        })?;
    }
    Ok(())
}

/// Runs a task that targets share, or takes over what became of it.
async fn once(errand: &Errand<'_>, cell: Cell) -> Result<(), Unfinished> {
    if cell.try_lock().is_err() {
        let (target, name) = (errand.target.id.clone(), errand.task.name.clone());
        errand.run.emit(Event::RunTaskAwaited { target, name }).await;
    }
    let mut known = tokio::select! {
        biased;
        () = errand.run.cancel.cancelled() => {
            let place = format!("while the task {} ran for another target", errand.task.name);
            return Err(Unfinished::Cancelled(place));
        }
        () = errand.permit.over() => return Err(Unfinished::Stopped),
        // Held while the task runs, on purpose: whoever comes next waits for its end.
        known = cell.lock_owned() => known,
    };
    if let Some(known) = &*known {
        return known.clone().map_err(Unfinished::Failed);
    }
    let ended = errand.run().await;
    *known = match &ended {
        Ok(()) => Some(Ok(())),
        Err(Unfinished::Failed(reason)) => Some(Err(told(reason))),
        Err(Unfinished::Cancelled(_) | Unfinished::Stopped) => None,
    };
    ended
}

/// Returns the reason as the other targets have it: the task that failed is counted once.
fn told(reason: &Reason) -> Reason {
    let mut reason = reason.clone();
    reason.evidence.iter_mut().for_each(|evidence| evidence.tasks = 0);
    reason
}

/// Runs a target's tasks after its deployment, if that succeeded: none is begun once the permit is over. Returns how the
/// rollout ended with them.
pub async fn after(run: &Run, target: &TargetSpec, work: &Work, ended: Ended, permit: &Permit) -> Ended {
    if ended.outcome != Outcome::Succeeded || work.run_tasks.after.is_empty() {
        return ended;
    }
    let ecs = run.ecs(target);
    let definition = ended.wanted.clone().unwrap_or_else(|| work.from.clone());
    for task in &work.run_tasks.after {
        let runs = |task: &RunTask| {
            Shared::of(target, Moment::After, task).is_none_or(|shared| run.shared_tasks.is_last(&shared))
        };
        if !runs(task) {
            continue;
        }
        let errand = Errand { run, target, ecs: &ecs, task, moment: Moment::After, definition: &definition, permit };
        match errand.run().await {
            Ok(()) => {}
            Err(Unfinished::Failed(reason)) => {
                return Ended { outcome: Outcome::Failed, reason: Some(reason), ..ended };
            }
            Err(Unfinished::Stopped) => {
                let why = if run.cancel.is_cancelled() { "cancelled" } else { "halted" };
                let name = &task.name;
                let summary =
                    format!("the run was {why} before the task {name} was started; the deployment had completed");
                let reason = Some(Reason { summary, ..Reason::default() });
                return Ended { outcome: Outcome::Detached, reason, ..ended };
            }
            Err(Unfinished::Cancelled(place)) => {
                let summary = format!("the run was cancelled {place}; the deployment had completed");
                let reason = Some(Reason { summary, ..Reason::default() });
                return Ended { outcome: Outcome::Detached, reason, ..ended };
            }
        }
    }
    ended
}
