//! A wave in a report.

use indexmap::IndexMap;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fleet::TargetId;
use crate::report::{Ending, Target, totals};
use crate::state::{RunState, WaveState};

/// A wave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Wave {
    /// Its name.
    pub name: String,
    /// How many of its targets the plan had something to do for.
    pub changing: usize,
    /// How many ran at once, as the manifest says it.
    pub max_parallel: String,
    /// How many could fail before the run halts.
    pub max_failures: usize,
    /// Whether the run stops before it.
    pub gate: bool,
    /// How its targets ended.
    #[schemars(with = "std::collections::BTreeMap<String, usize>")]
    pub totals: IndexMap<Ending, usize>,
    /// When it began.
    #[schemars(with = "Option<String>")]
    pub started_at: Option<Timestamp>,
    /// When its bake began.
    #[schemars(with = "Option<String>")]
    pub bake_started_at: Option<Timestamp>,
    /// How long the bake is, in whole seconds; 0 where there is none.
    pub bake_seconds: u64,
    /// When it ended.
    #[schemars(with = "Option<String>")]
    pub ended_at: Option<Timestamp>,
    /// Whether the next wave could start; absent where it did not get to its end.
    pub passed: Option<bool>,
    /// The target whose failure exceeded its budget.
    pub halted_by: Option<TargetId>,
}

impl Wave {
    /// Returns how many of its targets count as failures.
    pub fn failures(&self) -> usize {
        self.totals.iter().filter(|(ending, _)| ending.is_failure()).map(|(_, count)| count).sum()
    }

    pub(super) fn from_state(wave: &WaveState, state: &RunState, targets: &[Target]) -> Self {
        let outline = &wave.outline;
        Self {
            name: outline.name.clone(),
            changing: outline.changing,
            max_parallel: outline.max_parallel.clone(),
            max_failures: outline.max_failures,
            gate: outline.gate,
            totals: totals(targets.iter().filter(|target| target.wave == outline.name)),
            started_at: wave.started_at,
            bake_started_at: wave.bake_started_at,
            bake_seconds: outline.bake_seconds,
            ended_at: wave.finished_at,
            passed: wave.passed,
            halted_by: state.halted().filter(|halt| halt.wave == outline.name).map(|halt| halt.cause.clone()),
        }
    }
}
