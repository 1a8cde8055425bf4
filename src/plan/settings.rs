//! Whether a service already has the deployment settings that a manifest declares.
//!
//! Compared as UpdateService merges: only what is declared counts, and what is not declared keeps its live value.

use serde_json::{Value, json};

/// Lists of names without an order.
const SETS: [&str; 2] = ["alarmNames", "lifecycleStages"];

/// Returns ECS's defaults of the members of a `deploymentConfiguration` that have one.
pub fn setting_defaults() -> Value {
    json!({
        "strategy": "ROLLING",
        "bakeTimeInMinutes": 0,
        "maximumPercent": 200,
        "minimumHealthyPercent": 100,
        "alarms": { "enable": false, "rollback": false },
        "deploymentCircuitBreaker": {
            "enable": false,
            "rollback": false,
            "resetOnHealthyTask": true,
            "thresholdConfiguration": { "type": "BOUNDED_PERCENT", "value": 50 },
        },
        "earlySuccessCriteria": {
            "enable": false,
            "healthyPercent": 100,
            "sourceServiceRevisionCleanup": "BLOCKING",
        },
    })
}

/// Returns whether every declared member of `declared`, a `deploymentConfiguration`, already holds in `live`.
///
/// Numbers are equal as numbers. A member that `live` does not have is taken at ECS's default where that is known:
/// older answers leave out what newer ones spell.
pub fn settings_hold(declared: &Value, live: &Value) -> bool {
    holds("", declared, live, &setting_defaults())
}

fn holds(member: &str, declared: &Value, live: &Value, default: &Value) -> bool {
    let live = if live.is_null() { default } else { live };
    match (declared, live) {
        (Value::Null, _) => true,
        (Value::Object(declared), _) => declared.iter().all(|(member, declared)| {
            let inner = |value: &Value| value.get(member).cloned().unwrap_or_default();
            holds(member, declared, &inner(live), &inner(default))
        }),
        (Value::Array(declared), Value::Null) => declared.is_empty(),
        (Value::Array(declared), Value::Array(live)) if SETS.contains(&member) => {
            declared.iter().all(|name| live.contains(name)) && live.iter().all(|name| declared.contains(name))
        }
        (Value::Array(declared), Value::Array(live)) => {
            let pairs = declared.iter().zip(live);
            declared.len() == live.len() && pairs.into_iter().all(|(d, l)| holds(member, d, l, &hook_default(member)))
        }
        (Value::Number(declared), Value::Number(live)) => declared.as_f64() == live.as_f64(),
        _ => declared == live,
    }
}

/// Returns what ECS fills in for an entry of a list.
fn hook_default(list: &str) -> Value {
    match list {
        "lifecycleHooks" => json!({
            "targetType": "AWS_LAMBDA",
            "timeoutConfiguration": { "timeoutInMinutes": 1440, "action": "ROLLBACK" },
        }),
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an undeclared configuration reads back as (facts/aws.md 1.3).
    fn live() -> Value {
        json!({"strategy": "ROLLING", "bakeTimeInMinutes": 0, "maximumPercent": 200, "minimumHealthyPercent": 100,
            "alarms": {"alarmNames": [], "enable": false, "rollback": false},
            "deploymentCircuitBreaker": {"enable": false, "rollback": false, "resetOnHealthyTask": true,
                "thresholdConfiguration": {"type": "BOUNDED_PERCENT", "value": 50}}})
    }

    /// The same as an older answer has it.
    fn older() -> Value {
        json!({"deploymentCircuitBreaker": {"enable": false, "rollback": false},
            "maximumPercent": 200, "minimumHealthyPercent": 100})
    }

    #[test]
    fn only_what_is_declared_counts() {
        for live in [live(), older()] {
            assert!(settings_hold(&json!({}), &live), "{live:?}");
            assert!(settings_hold(&json!({"maximumPercent": 200, "strategy": null}), &live), "{live:?}");
            assert!(!settings_hold(&json!({"maximumPercent": 150}), &live), "{live:?}");
            assert!(!settings_hold(&json!({"deploymentCircuitBreaker": {"enable": true}}), &live), "{live:?}");
        }
    }

    #[test]
    fn what_an_older_answer_leaves_out_is_the_default() {
        assert!(settings_hold(&live(), &older()));
        assert!(settings_hold(&live(), &Value::Null));
        assert!(!settings_hold(&json!({"strategy": "BLUE_GREEN"}), &older()));
        assert!(!settings_hold(&json!({"alarms": {"alarmNames": ["a"], "enable": true}}), &older()));
    }

    #[test]
    fn what_is_not_declared_keeps_its_live_value() {
        let mut live = live();
        live["deploymentCircuitBreaker"] = json!({"enable": true, "rollback": true, "resetOnHealthyTask": false});
        assert!(settings_hold(&json!({"deploymentCircuitBreaker": {"enable": true, "rollback": true}}), &live));
        assert!(!settings_hold(&json!({"deploymentCircuitBreaker": {"resetOnHealthyTask": true}}), &live));
    }

    #[test]
    fn numbers_are_equal_as_numbers() {
        assert!(settings_hold(&json!({"maximumPercent": 200.0}), &live()));
        let canary = |percent: Value| json!({"canaryConfiguration": {"canaryPercent": percent}});
        assert!(settings_hold(&canary(json!(5)), &canary(json!(5.0))));
        assert!(!settings_hold(&canary(json!(5)), &canary(json!(5.5))));
    }

    #[test]
    fn alarm_names_are_a_set() {
        let alarms = |names: Value| json!({"alarms": {"alarmNames": names}});
        assert!(settings_hold(&alarms(json!(["a", "b"])), &alarms(json!(["b", "a"]))));
        assert!(!settings_hold(&alarms(json!(["a"])), &alarms(json!(["b", "a"]))));
        assert!(settings_hold(&alarms(json!([])), &older()));
    }

    #[test]
    fn lifecycle_hooks_are_compared_in_order_with_their_defaults() {
        let hook = |arn: &str| json!({"hookTargetArn": arn, "roleArn": "r", "lifecycleStages": ["A", "B"]});
        let mut filled = hook("one");
        filled["targetType"] = json!("AWS_LAMBDA");
        filled["lifecycleStages"] = json!(["B", "A"]);
        let live = json!({"lifecycleHooks": [filled, hook("two")]});
        let mut declared = hook("one");
        declared["timeoutConfiguration"] = json!({"action": "ROLLBACK"});
        assert!(settings_hold(&json!({"lifecycleHooks": [declared, hook("two")]}), &live));
        assert!(!settings_hold(&json!({"lifecycleHooks": [hook("two"), hook("one")]}), &live));
        assert!(!settings_hold(&json!({"lifecycleHooks": []}), &live));
    }
}
