//! The failure budget: how many targets of a wave may fail before nothing new starts.

use crate::fleet::Wave;

/// A wave's failure budget, in targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailureBudget(pub usize);

impl FailureBudget {
    /// Whether so many failures exceed it: then the run halts.
    pub fn is_exceeded(self, failed: usize) -> bool {
        failed > self.0
    }

    /// How many more failures exceed it; 0 once it is exceeded.
    pub fn failures_until_halt(self, failed: usize) -> usize {
        (self.0 + 1).saturating_sub(failed)
    }
}

impl Wave {
    /// Returns the wave's failure budget: a percentage of its targets is rounded down.
    pub fn failure_budget(&self) -> FailureBudget {
        FailureBudget(self.max_failures.out_of(self.targets.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failure_more_than_the_budget_halts() {
        let budget = FailureBudget(2);
        let exceeded: Vec<bool> = (0..5).map(|failed| budget.is_exceeded(failed)).collect();
        assert_eq!(exceeded, [false, false, false, true, true]);
        let left: Vec<usize> = (0..5).map(|failed| budget.failures_until_halt(failed)).collect();
        assert_eq!(left, [3, 2, 1, 0, 0]);
    }
}
