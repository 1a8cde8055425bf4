//! The tasks that several targets share: which one runs a task, and who waits for it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use crate::event::{Event, Reason};
use crate::fleet::{Fleet, Moment};
use crate::plan::run_task::Shared;
use crate::plan::work::Plan;

/// What became of a task that several targets share: held while it runs, and empty before.
pub(crate) type Cell = Arc<tokio::sync::Mutex<Option<Result<(), Reason>>>>;

/// The tasks of a run that targets share.
#[derive(Debug, Default)]
pub struct SharedTasks {
    /// The run's id.
    pub(crate) run: String,
    pub(crate) before: Mutex<HashMap<Shared, Cell>>,
    /// How many targets have not come to it yet.
    pub(crate) after: Mutex<HashMap<Shared, usize>>,
}

impl SharedTasks {
    /// Starts with those of the waves of `plan` from the one at `first` on; `run` is the run's id.
    pub fn new(run: String, fleet: &Fleet, plan: &Plan, first: usize) -> Self {
        let mut after = HashMap::new();
        for &index in fleet.waves.iter().skip(first).flat_map(|wave| &wave.targets) {
            let tasks = plan.work[index].iter().flat_map(|work| &work.run_tasks.after);
            for shared in tasks.filter_map(|task| Shared::key(&fleet.targets[index], Moment::After, task)) {
                *after.entry(shared).or_default() += 1;
            }
        }
        Self { run, before: Mutex::default(), after: Mutex::new(after) }
    }

    pub(crate) fn cell(&self, shared: Shared) -> Cell {
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
    pub(crate) fn is_last(&self, shared: &Shared) -> bool {
        let mut after = self.after.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(left) = after.get_mut(shared) else { return true };
        *left = left.saturating_sub(1);
        *left == 0
    }
}
