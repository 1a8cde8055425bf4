//! The failures of a run as the live view pins them: one for each cause, the newest last.

use crate::event::Reason;
use crate::fleet::{Outcome, TargetId};
use crate::state::TargetState;

/// Targets that failed alike.
#[derive(Clone, Debug)]
pub struct Failure {
    /// How they ended.
    pub outcome: Outcome,
    /// Why.
    cause: Option<Reason>,
    /// Which they are; never empty, the newest last.
    pub targets: Vec<TargetId>,
    /// Which of all the rows above the foot tells of the newest.
    told_at: usize,
}

/// The failures so far.
#[derive(Debug, Default)]
pub struct Failures(Vec<Failure>);

impl Failures {
    /// Takes note of a target if it failed; `row` is the one that tells it. One that is rolled back after its failure counts once.
    pub fn note(&mut self, target: &TargetState, row: usize) {
        let Some(outcome) = target.outcome().filter(|outcome| outcome.is_failure()) else { return };
        let cause = target.why().map(Reason::cause);
        for failure in &mut self.0 {
            failure.targets.retain(|known| *known != target.target);
        }
        let known = self.0.iter().position(|failure| failure.outcome == outcome && failure.cause == cause);
        let mut failure = match known {
            Some(place) => self.0.remove(place),
            None => Failure { outcome, cause, targets: Vec::new(), told_at: 0 },
        };
        failure.targets.push(target.target.clone());
        failure.told_at = row;
        self.0.push(failure);
        self.0.retain(|failure| !failure.targets.is_empty());
    }

    /// Returns how many causes there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Returns the last failures, at most so many, that are told in the first so many rows: these have left the screen.
    pub fn select(&self, most: usize, rows: usize) -> &[Failure] {
        let scrolled = self.0.iter().position(|failure| failure.told_at > rows).unwrap_or(self.0.len());
        &self.0[scrolled.saturating_sub(most)..scrolled]
    }
}
