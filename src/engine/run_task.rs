//! The tasks that run before and after a target's deployment, and who of several targets runs one that they share.
//!
//! One that is shared runs where the first target comes to it, and the others wait; after the deployments it runs where
//! the last one comes to it, so not at all where one of them did not succeed.

mod task_execution;

use crate::aws::permit::Permit;
use crate::engine::context::Run;
use crate::engine::drift_guard::DriftGuard;
use crate::engine::register::Registered;
use crate::engine::rollout_result::RolloutResult;
use crate::engine::run_task::task_execution::{TaskExecution, Unfinished};
use crate::engine::shared_tasks::Cell;
use crate::event::{Event, Reason};
use crate::fleet::{Moment, Outcome, RunTask, TargetSpec};
use crate::plan::run_task::Shared;
use crate::plan::work::Work;

/// Runs a target's tasks before UpdateService, with the revision that it gets.
pub async fn run_before(
    run: &Run,
    current: &DriftGuard<'_>,
    registered: &Registered,
    permit: &Permit,
) -> Result<(), RolloutResult> {
    let (target, ecs) = (current.target, &*current.ecs);
    for task in &current.work.run_tasks.before {
        let execution =
            TaskExecution { run, target, ecs, task, moment: Moment::Before, definition: &registered.arn, permit };
        let ended = match Shared::key(target, Moment::Before, task) {
            None => execution.run().await,
            Some(shared) => once(&execution, run.shared_tasks.cell(shared)).await,
        };
        ended.map_err(|unfinished| match unfinished {
            Unfinished::Failed(reason) => {
                RolloutResult { reason: Some(reason), ..RolloutResult::new(Outcome::Failed, "") }
            }
            Unfinished::Stopped => RolloutResult::stopped(run, permit, target).unused(Some(&registered.revision)),
            Unfinished::Cancelled(place) => {
                let summary = format!("the run was cancelled {place}; UpdateService was not sent");
                RolloutResult::new(Outcome::Cancelled, summary).unused(Some(&registered.revision))
            }
        })?;
    }
    Ok(())
}

/// Runs a task that targets share, or takes over what became of it.
async fn once(execution: &TaskExecution<'_>, cell: Cell) -> Result<(), Unfinished> {
    if cell.try_lock().is_err() {
        let (target, name) = (execution.target.id.clone(), execution.task.name.clone());
        execution.run.emit(Event::RunTaskAwaited { target, name }).await;
    }
    let mut known = tokio::select! {
        biased;
        () = execution.run.cancel.cancelled() => {
            let place = format!("while the task {} ran for another target", execution.task.name);
            return Err(Unfinished::Cancelled(place));
        }
        () = execution.permit.ended() => return Err(Unfinished::Stopped),
        // Held while the task runs, on purpose: whoever comes next waits for its end.
        known = cell.lock_owned() => known,
    };
    if let Some(known) = &*known {
        return known.clone().map_err(Unfinished::Failed);
    }
    let ended = execution.run().await;
    *known = match &ended {
        Ok(()) => Some(Ok(())),
        Err(Unfinished::Failed(reason)) => Some(Err(without_counts(reason))),
        Err(Unfinished::Cancelled(_) | Unfinished::Stopped) => None,
    };
    ended
}

/// Returns the reason as the other targets have it: the task that failed is counted once.
fn without_counts(reason: &Reason) -> Reason {
    let mut reason = reason.clone();
    reason.evidence.iter_mut().for_each(|evidence| evidence.tasks = 0);
    reason
}

/// Runs a target's tasks after its deployment, if that succeeded: none is begun once the permit is over. Returns how the
/// rollout ended with them.
pub async fn run_after(
    run: &Run,
    target: &TargetSpec,
    work: &Work,
    ended: RolloutResult,
    permit: &Permit,
) -> RolloutResult {
    if ended.outcome != Outcome::Succeeded || work.run_tasks.after.is_empty() {
        return ended;
    }
    let ecs = run.ecs(target);
    let definition = ended.wanted.clone().unwrap_or_else(|| work.from.clone());
    for task in &work.run_tasks.after {
        let runs = |task: &RunTask| {
            Shared::key(target, Moment::After, task).is_none_or(|shared| run.shared_tasks.is_last(&shared))
        };
        if !runs(task) {
            continue;
        }
        let execution =
            TaskExecution { run, target, ecs: &ecs, task, moment: Moment::After, definition: &definition, permit };
        match execution.run().await {
            Ok(()) => {}
            Err(Unfinished::Failed(reason)) => {
                return RolloutResult { outcome: Outcome::Failed, reason: Some(reason), ..ended };
            }
            Err(Unfinished::Stopped) => {
                let why = if run.cancel.is_cancelled() { "cancelled" } else { "halted" };
                let name = &task.name;
                let summary =
                    format!("the run was {why} before the task {name} was started; the deployment had completed");
                let reason = Some(Reason { summary, ..Reason::default() });
                return RolloutResult { outcome: Outcome::Detached, reason, ..ended };
            }
            Err(Unfinished::Cancelled(place)) => {
                let summary = format!("the run was cancelled {place}; the deployment had completed");
                let reason = Some(Reason { summary, ..Reason::default() });
                return RolloutResult { outcome: Outcome::Detached, reason, ..ended };
            }
        }
    }
    ended
}
