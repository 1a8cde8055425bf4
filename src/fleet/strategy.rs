//! How ECS deploys a service: what a `deploymentConfiguration` says of stages, traffic and time.
//!
//! What is absent has ECS's default.

use std::time::Duration;

use serde_json::Value;

/// Returns the strategy, in ECS's word for it.
pub fn strategy(configuration: &Value) -> &str {
    configuration["strategy"].as_str().unwrap_or("ROLLING")
}

/// Returns how long a deployment bakes at least, over all its steps: for so long it cannot be done, however fast its
/// tasks are. Hooks come on top.
pub fn bakes(configuration: &Value) -> Duration {
    let minutes = |value: &Value, default: u64| value.as_u64().unwrap_or(default);
    let steps = match strategy(configuration) {
        "ROLLING" => return Duration::ZERO,
        "LINEAR" => {
            let linear = &configuration["linearConfiguration"];
            let percent = linear["stepPercent"].as_f64().unwrap_or(10.0).max(1.0);
            // No bake follows the step that reaches 100 percent.
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most a hundred steps")]
            let between = (100.0 / percent).ceil() as u64 - 1;
            between * minutes(&linear["stepBakeTimeInMinutes"], 6)
        }
        "CANARY" => minutes(&configuration["canaryConfiguration"]["canaryBakeTimeInMinutes"], 10),
        _ => 0,
    };
    Duration::from_secs(60 * (steps + minutes(&configuration["bakeTimeInMinutes"], 0)))
}

/// Says that a rolling deployment of so many tasks can neither stop nor start one, with the counts that ECS keeps to: at
/// least the minimum healthy percent, rounded up, and at most the maximum percent, rounded down.
pub fn standstill(configuration: &Value, tasks: u32) -> Option<String> {
    let percent = |member: &str, default: u64| u64::from(tasks) * configuration[member].as_u64().unwrap_or(default);
    let least = percent("minimumHealthyPercent", 100).div_ceil(100);
    let most = percent("maximumPercent", 200) / 100;
    let count = u64::from(tasks);
    let stuck = strategy(configuration) == "ROLLING" && count > 0 && least >= count && most <= count;
    let plural = if tasks == 1 { "" } else { "s" };
    stuck.then(|| format!("no task can move ({tasks} task{plural}: at least {least}, at most {most})"))
}

/// Returns the configuration that a service has after an update: what is declared on top of what is live, member by
/// member, as UpdateService merges.
pub fn merged(declared: Option<&Value>, live: &Value) -> Value {
    let mut merged = live.clone();
    for (member, value) in declared.and_then(Value::as_object).into_iter().flatten().filter(|(_, it)| !it.is_null()) {
        merged[member] = value.clone();
    }
    merged
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn counts_under_which_no_task_can_move_are_found() {
        let bounds = |least: u64, most: u64| json!({ "minimumHealthyPercent": least, "maximumPercent": most });
        let one = "no task can move (1 task: at least 1, at most 1)";
        for (configuration, tasks, wanted) in [
            (bounds(50, 100), 1, Some(one)),
            (bounds(100, 199), 1, Some(one)),
            (bounds(75, 125), 3, Some("no task can move (3 tasks: at least 3, at most 3)")),
            (bounds(75, 125), 4, None),
            (bounds(50, 100), 2, None),
            (bounds(0, 100), 1, None),
            (bounds(100, 200), 1, None),
            (bounds(50, 100), 0, None),
            (json!({}), 1, None),
            (json!({ "strategy": "BLUE_GREEN", "minimumHealthyPercent": 100, "maximumPercent": 100 }), 1, None),
        ] {
            assert_eq!(standstill(&configuration, tasks).as_deref(), wanted, "{configuration} {tasks}");
        }
    }

    #[test]
    fn the_bakes_of_each_strategy_add_up() {
        for (configuration, minutes) in [
            (json!({ "bakeTimeInMinutes": 30 }), 0),
            (json!({ "strategy": "BLUE_GREEN", "bakeTimeInMinutes": 30 }), 30),
            (json!({ "strategy": "CANARY" }), 10),
            (json!({ "strategy": "LINEAR" }), 54),
            (
                json!({ "strategy": "LINEAR", "bakeTimeInMinutes": 5,
                "linearConfiguration": { "stepPercent": 40.0, "stepBakeTimeInMinutes": 2 } }),
                9,
            ),
            (json!({ "strategy": "LINEAR", "linearConfiguration": { "stepPercent": 100 } }), 0),
        ] {
            assert_eq!(bakes(&configuration), Duration::from_secs(60 * minutes), "{configuration}");
        }
    }

    #[test]
    fn what_is_declared_replaces_what_is_live_and_the_rest_stays() {
        let live = json!({ "strategy": "BLUE_GREEN", "bakeTimeInMinutes": 30 });
        let declared = json!({ "strategy": "CANARY", "alarms": null });
        let wanted = json!({ "strategy": "CANARY", "bakeTimeInMinutes": 30 });
        assert_eq!(merged(Some(&declared), &live), wanted);
        assert_eq!(merged(None, &live), live);
    }
}
