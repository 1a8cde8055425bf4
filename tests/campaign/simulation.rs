//! A campaign of simulated runs: a seed draws a fleet and what goes wrong, everything happens on a clock that does not wait, and
//! what must hold is checked on the sandbox's own records.

pub mod changes;
pub mod decisions;
pub mod disk;
pub mod draw;
pub mod facts;
pub mod further;
pub mod invariants;
pub mod jobs;
pub mod others;
pub mod pipeline;
pub mod random;
pub mod run;
pub mod scenario;
pub mod shrink;
pub mod signing;
pub mod truth;

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::simulation::scenario::Scenario;

/// Returns what does not hold of a scenario.
pub fn judge(scenario: &Scenario) -> Vec<String> {
    let judged = catch_unwind(AssertUnwindSafe(|| invariants::check(scenario, &run::simulate(scenario))));
    judged.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        vec![format!("panic: {}", text.unwrap_or_default())]
    })
}

/// Returns the event logs of a scenario, with the run's id left out: it has the number of the process.
pub fn log(scenario: &Scenario) -> String {
    let history = run::simulate(scenario);
    let lines = history.runs.iter().flat_map(|ran| ran.events.iter().map(|stamped| (stamped, &ran.stdout)));
    let mut text = String::new();
    for (stamped, _) in lines {
        text.push_str(&serde_json::to_string(stamped).expect("an event is JSON").replace(&stamped.run, "run"));
        text.push('\n');
    }
    // A refused plan is named by its path, and each scenario has a directory of its own.
    let mut parts = text.split("roleout-campaign-");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |told, part| told + part.trim_start_matches(|char: char| char.is_ascii_digit() || char == '-'))
}

/// Returns the invariant of which a line is.
pub fn invariant(line: &str) -> &str {
    let rest = line.strip_prefix("run ").and_then(|rest| rest.split_once(": ")).map_or(line, |(_, rest)| rest);
    rest.split(':').next().unwrap_or(rest)
}
