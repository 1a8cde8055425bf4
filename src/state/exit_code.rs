//! Which exit code wins, where a run ended in several ways at once.

use crate::base::exit::Exit;
use crate::fleet::Outcome;
use crate::state::{RunState, TargetState};

impl RunState {
    /// Returns how the process should end. Of several reasons the one that asks the most of a person wins:
    ///
    /// | what happened | code |
    /// |---|---|
    /// | it was refused before anything was changed | what the refusal says |
    /// | any target is stuck | 12 |
    /// | a signal cancelled the run | 130 or 143 |
    /// | the budget was exceeded, and every failure ran out of time | 14 |
    /// | the budget was exceeded, and every failure was rolled back | 11 |
    /// | the budget was exceeded otherwise | 10 |
    /// | the run broke off without its last event | 1 |
    /// | it stopped at a gate, with or without tolerated failures | 6 |
    /// | every failure was within its wave's tolerance | 13 |
    /// | nothing failed | 0 |
    pub fn exit(&self) -> Exit {
        self.exit_of(self.finished_at.is_some())
    }

    /// The same of a run that is over, or that is not.
    pub(super) fn exit_of(&self, over: bool) -> Exit {
        if let Some(refusal) = &self.refusal {
            return refusal.exit();
        }
        let failures: Vec<Outcome> =
            self.targets().filter_map(TargetState::outcome).filter(|outcome| outcome.is_failure()).collect();
        let all = |wanted| failures.iter().all(|outcome| *outcome == wanted);
        let exceeded = !failures.is_empty()
            && (self.halted.is_some() || self.waves.values().any(|wave| wave.passed == Some(false)));
        if failures.contains(&Outcome::Stuck) {
            Exit::Stuck
        } else if let Some(signal) = &self.cancelled {
            if signal == "SIGTERM" || signal == "SIGHUP" { Exit::Terminated } else { Exit::Interrupted }
        } else if exceeded {
            if all(Outcome::TimedOut) {
                Exit::TimedOut
            } else if all(Outcome::RolledBack) {
                Exit::RolledBack
            } else {
                Exit::Failed
            }
        } else if self.started_at.is_some() && !over {
            Exit::Unexpected
        } else if self.gate.is_some() {
            Exit::Gate
        } else if failures.is_empty() {
            Exit::Done
        } else {
            Exit::Tolerated
        }
    }
}
