//! What a run deployed, by its report.

use crate::plan::rollback_target::deployed::{Change, DeployedRun};
use crate::report::{Ending, Report, Target};

impl Report {
    /// Says what the run deployed, for a rollback of it.
    pub fn deployed(&self) -> DeployedRun {
        let target = |target: &Target| {
            let changed = match (target.outcome, &target.from, &target.to) {
                (
                    Ending::Unchanged | Ending::Waiting | Ending::NotStarted | Ending::Cancelled | Ending::Blocked,
                    ..,
                ) => Err(format!("in that run it was {}", target.outcome.words())),
                (_, from, Some(to)) if from.as_ref() == Some(to) => {
                    Err("that run started new tasks of the revision that it ran before".to_owned())
                }
                (_, from, Some(to)) => Ok(Change { from: from.clone(), to: to.clone() }),
                (_, _, None) => Err("that run asked ECS for no other revision".to_owned()),
            };
            (target.target.clone(), changed)
        };
        let name = self.run.id.clone().map_or_else(|| "the run".to_owned(), |id| format!("the run {id}"));
        DeployedRun { name, targets: self.targets.iter().map(target).collect() }
    }
}
