//! How far a target is: the stages of its rollout that are behind it. Bars of that.

use crate::base::text;
use crate::state::{Phase, TargetState};

/// How many columns the bar of a target takes, and how many steps it has.
pub const CELLS: usize = 8;

/// Returns the steps that a rollout has behind it, of [`CELLS`]: the revision exists, the deployment began, its tasks run,
/// its traffic is shifted. The last steps are the wait for health checks and for the old tasks to stop: a bar is full only
/// when the rollout has ended.
pub fn passed(target: &TargetState) -> usize {
    let tasks = target.tasks.unwrap_or_default();
    let run = |most: usize| match (tasks.running.min(tasks.desired) as usize, tasks.desired as usize) {
        (_, 0) if target.tasks.is_some() => most,
        (running, desired) => (most * running).checked_div(desired).unwrap_or(0),
    };
    match target.phase {
        Phase::Waiting | Phase::Preparing => 0,
        Phase::Registered => 1,
        Phase::Deploying | Phase::RollingBack => match target.stages.stage().map(|stage| stage.name.as_str()) {
            Some("RECONCILE_SERVICE" | "PRE_SCALE_UP") => 2,
            Some("SCALE_UP") => 2 + run(2),
            Some("POST_SCALE_UP") => 4,
            Some("TEST_TRAFFIC_SHIFT" | "POST_TEST_TRAFFIC_SHIFT") => 5,
            Some("PRODUCTION_TRAFFIC_SHIFT" | "POST_PRODUCTION_TRAFFIC_SHIFT") => 6,
            Some("BAKE_TIME" | "CLEAN_UP") => 7,
            Some(_) | None => 2 + run(4),
        },
        Phase::Ended => CELLS,
    }
}

/// Returns a bar of so many columns, some of them behind it.
pub fn bar(passed: usize, columns: usize) -> String {
    let passed = passed.min(columns);
    "━".repeat(passed) + &"─".repeat(columns - passed)
}

/// Returns a bar of so many columns for a part of a whole; it is full only when the whole is done.
pub fn share(part: usize, whole: usize, columns: usize) -> String {
    bar((columns * part).checked_div(whole).unwrap_or(columns), columns)
}

/// Returns how many columns a bar of the whole takes of those that are left: none where it would say little.
pub fn width(left: usize) -> usize {
    if left < 6 { 0 } else { left.min(24) }
}

/// Returns the columns that a number takes.
pub fn digits(number: usize) -> usize {
    text::width(&number.to_string())
}
