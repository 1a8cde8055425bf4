//! How many targets are where: each target is counted exactly once.

use crate::fleet::Outcome;
use crate::state::TargetState;

/// Counts of targets. The fields sum to the number of targets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Not started yet, and with something to do.
    pub waiting: usize,
    /// Under way, or rolling back.
    pub running: usize,
    /// Blocked by the plan, and skipped without a word of an event.
    pub blocked: usize,
    /// [`Outcome::Unchanged`].
    pub unchanged: usize,
    /// [`Outcome::Succeeded`], and not degraded since.
    pub succeeded: usize,
    /// [`Outcome::RolledBack`].
    pub rolled_back: usize,
    /// [`Outcome::Failed`], or degraded after it succeeded.
    pub failed: usize,
    /// [`Outcome::TimedOut`].
    pub timed_out: usize,
    /// [`Outcome::Superseded`].
    pub superseded: usize,
    /// [`Outcome::Cancelled`].
    pub cancelled: usize,
    /// [`Outcome::Detached`].
    pub detached: usize,
    /// [`Outcome::NotStarted`].
    pub not_started: usize,
    /// [`Outcome::Stuck`].
    pub stuck: usize,
}

impl Totals {
    /// Counts targets.
    pub fn count<'a>(targets: impl Iterator<Item = &'a TargetState>) -> Self {
        let mut totals = Self::default();
        for target in targets {
            totals.add(target);
        }
        totals
    }

    pub(super) fn add(&mut self, target: &TargetState) {
        *self.counter(target) += 1;
    }

    /// Takes back what `add` counted; the target must not have changed in between.
    pub(super) fn remove(&mut self, target: &TargetState) {
        *self.counter(target) -= 1;
    }

    fn counter(&mut self, target: &TargetState) -> &mut usize {
        match target.outcome() {
            _ if target.is_running() => &mut self.running,
            None if target.is_blocked() => &mut self.blocked,
            None => &mut self.waiting,
            Some(Outcome::Unchanged) => &mut self.unchanged,
            Some(Outcome::Succeeded) => &mut self.succeeded,
            Some(Outcome::RolledBack) => &mut self.rolled_back,
            Some(Outcome::Failed) => &mut self.failed,
            Some(Outcome::TimedOut) => &mut self.timed_out,
            Some(Outcome::Superseded) => &mut self.superseded,
            Some(Outcome::Cancelled) => &mut self.cancelled,
            Some(Outcome::Detached) => &mut self.detached,
            Some(Outcome::NotStarted) => &mut self.not_started,
            Some(Outcome::Stuck) => &mut self.stuck,
        }
    }

    /// Returns every count with its word, in the order in which people read them.
    pub fn named(&self) -> [(&'static str, usize); 13] {
        [
            ("succeeded", self.succeeded),
            ("unchanged", self.unchanged),
            ("running", self.running),
            ("waiting", self.waiting),
            ("not started", self.not_started),
            ("cancelled", self.cancelled),
            ("detached", self.detached),
            ("blocked", self.blocked),
            ("superseded", self.superseded),
            ("timed out", self.timed_out),
            ("rolled back", self.rolled_back),
            ("failed", self.failed),
            ("stuck", self.stuck),
        ]
    }

    /// Returns the number of targets.
    pub fn all(&self) -> usize {
        self.named().iter().map(|(_, count)| count).sum()
    }

    /// Returns the number of targets that count as failures.
    pub fn failures(&self) -> usize {
        self.rolled_back + self.failed + self.timed_out + self.superseded + self.stuck
    }

    /// Returns the number of targets that are as the manifest wants them.
    pub fn good(&self) -> usize {
        self.succeeded + self.unchanged
    }
}
