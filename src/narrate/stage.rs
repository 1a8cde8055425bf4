//! Words for the stage of a deployment and for the hook at which it waits.

use crate::base::text::{clean, duration};
use crate::event::Hook;
use crate::fleet::TargetId;
use crate::state::{Phase, Stage, TargetState};

/// Returns a stage as ECS users know it: `PRODUCTION_TRAFFIC_SHIFT, 10 % of production traffic, bakes for 5m`.
pub fn words(stage: &str, production: Option<f64>, test: Option<f64>, bake_minutes: u64) -> String {
    let mut words = vec![clean(stage).into_owned()];
    if test.is_some_and(|percent| percent > 0.0) && production.is_none_or(|percent| percent == 0.0) {
        words.push(format!("{} % of test traffic", test.unwrap_or_default()));
    }
    if let Some(percent) = production.filter(|percent| *percent > 0.0) {
        words.push(format!("{percent} % of production traffic"));
    }
    if bake_minutes > 0 {
        words.push(format!("bakes for {}", duration(bake_minutes * 60_000)));
    }
    words.join(", ")
}

/// Returns what a target's live line says of its stage: the fewest words that tell what goes on.
pub fn stage_words(target: &TargetState) -> Option<String> {
    if let Some(task) = target.runs_task() {
        return Some(format!("task {}", clean(&task.name)));
    }
    if let Some(task) = target.waits_for.as_ref().filter(|_| target.phase == Phase::Registered) {
        return Some(format!("awaits {}", clean(task)));
    }
    if target.stages.waits().next().is_some() {
        return Some("waits at PAUSE".to_owned());
    }
    let Stage { name, production_percent, bake_minutes, .. } = target.stages.stage()?;
    let traffic = production_percent.map(|percent| format!("traffic {percent} %"));
    let bakes = if *bake_minutes > 0 { format!(", bakes {bake_minutes}m") } else { String::new() };
    Some(match name.as_str() {
        "RECONCILE_SERVICE" => "reconciling".to_owned(),
        "PRE_SCALE_UP" => "before scale-up".to_owned(),
        "SCALE_UP" => "scaling up".to_owned(),
        "POST_SCALE_UP" => "scaled up".to_owned(),
        "TEST_TRAFFIC_SHIFT" => "test traffic".to_owned(),
        "POST_TEST_TRAFFIC_SHIFT" => "tested".to_owned(),
        "PRODUCTION_TRAFFIC_SHIFT" | "POST_PRODUCTION_TRAFFIC_SHIFT" => {
            format!("{}{bakes}", traffic.unwrap_or_else(|| "shifting traffic".to_owned()))
        }
        "BAKE_TIME" if *bake_minutes > 0 => format!("bakes {bake_minutes}m"),
        "BAKE_TIME" => "baking".to_owned(),
        "CLEAN_UP" => "cleaning up".to_owned(),
        "ROLLBACK_REQUESTED" | "ROLLBACK_IN_PROGRESS" => "rolling back".to_owned(),
        "STOP_REQUESTED" => "stopping".to_owned(),
        other => clean(other).into_owned(),
    })
}

/// Returns where a deployment waits and what to do: `waits at a PAUSE hook in POST_SCALE_UP until …, then ROLLBACK; …`.
pub fn waits(target: &TargetId, hook: &Hook, continued: bool) -> String {
    let at = hook_words(hook);
    match continued {
        true => format!("{at}, which this run continues"),
        false => format!("{at}; let it go on with `roleout continue --only {}`", clean(&target.to_string())),
    }
}

/// Returns where a deployment waits, until when, and what ECS does then.
pub fn hook_words(hook: &Hook) -> String {
    let stage = hook.stage.as_deref().map(|stage| format!(" in {}", clean(stage))).unwrap_or_default();
    let then = hook.timeout_action.as_deref().map(|action| format!(", then {}", clean(action)));
    let until = hook.expires_at.map(|at| format!(" until {at}{}", then.unwrap_or_default()));
    format!("waits at a PAUSE hook{stage}{}", until.unwrap_or_default())
}
