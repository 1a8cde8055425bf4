//! A service's `deploymentConfiguration`: how UpdateService merges it, what ECS fills in, and what it refuses.
//!
//! What the model of the request refuses is left to `validation`. The words of most refusals are not documented; that ECS refuses
//! is.

use serde_json::{Map, Value, json};

use crate::sandbox::wire::AwsError;

/// Merges a deployment configuration; inside the circuit breaker, too, what is not sent stays.
pub(crate) fn merge_configuration(settings: &mut Map<String, Value>, given: Option<&Value>) -> Result<(), AwsError> {
    let Some(Value::Object(given)) = given else { return Ok(()) };
    let current = settings.entry("deploymentConfiguration").or_insert_with(|| json!({}));
    for (key, value) in given.iter().filter(|(_, value)| !value.is_null()) {
        match (key.as_str(), value, current.get_mut(key)) {
            ("deploymentCircuitBreaker", Value::Object(members), Some(Value::Object(old))) => {
                old.extend(members.clone())
            }
            _ => current[key] = value.clone(),
        }
    }
    let percent = |key: &str| current[key].as_i64();
    if percent("maximumPercent").is_some_and(|max| max < 100)
        && percent("minimumHealthyPercent").is_some_and(|min| min >= 100)
    {
        return Err(AwsError::invalid("maximumPercent must be at least 100 when minimumHealthyPercent is 100."));
    }
    if percent("minimumHealthyPercent").is_some_and(|min| !(0..=200).contains(&min)) {
        return Err(AwsError::invalid("minimumHealthyPercent must be between 0 and 200."));
    }
    fill(current);
    check(current, given)?;
    let configuration = current.clone();
    check_traffic(settings, &configuration)
}

/// Fills in what ECS fills in.
fn fill(configuration: &mut Value) {
    let default = |value: &mut Value, key: &str, default: Value| {
        if value[key].is_null() {
            value[key] = default;
        }
    };
    match configuration["strategy"].as_str() {
        Some("LINEAR") => {
            default(configuration, "linearConfiguration", json!({}));
            default(&mut configuration["linearConfiguration"], "stepPercent", json!(10.0));
            default(&mut configuration["linearConfiguration"], "stepBakeTimeInMinutes", json!(6));
        }
        Some("CANARY") => {
            default(configuration, "canaryConfiguration", json!({}));
            default(&mut configuration["canaryConfiguration"], "canaryPercent", json!(5.0));
            default(&mut configuration["canaryConfiguration"], "canaryBakeTimeInMinutes", json!(10));
        }
        _ => {}
    }
    let hooks = configuration.get_mut("lifecycleHooks").and_then(Value::as_array_mut);
    for hook in hooks.into_iter().flatten() {
        default(hook, "targetType", json!("AWS_LAMBDA"));
        default(hook, "timeoutConfiguration", json!({}));
        default(&mut hook["timeoutConfiguration"], "timeoutInMinutes", json!(1440));
        default(&mut hook["timeoutConfiguration"], "action", json!("ROLLBACK"));
    }
}

fn check(configuration: &Value, given: &Map<String, Value>) -> Result<(), AwsError> {
    let refuse = |text: String| Err(AwsError::invalid(text));
    let strategy = configuration["strategy"].as_str().unwrap_or("ROLLING");
    let sends = |key: &str| given.get(key).is_some_and(|value| !value.is_null());
    for (key, only) in [("linearConfiguration", "LINEAR"), ("canaryConfiguration", "CANARY")] {
        if sends(key) && strategy != only {
            return refuse(format!("{key} is only valid when the deployment strategy is {only}."));
        }
    }
    for (name, value, range) in [
        ("bakeTimeInMinutes", &configuration["bakeTimeInMinutes"], 0.0..=1440.0),
        ("stepPercent", &configuration["linearConfiguration"]["stepPercent"], 3.0..=100.0),
        ("stepBakeTimeInMinutes", &configuration["linearConfiguration"]["stepBakeTimeInMinutes"], 0.0..=1440.0),
        ("canaryPercent", &configuration["canaryConfiguration"]["canaryPercent"], 0.1..=100.0),
        ("canaryBakeTimeInMinutes", &configuration["canaryConfiguration"]["canaryBakeTimeInMinutes"], 0.0..=1440.0),
    ] {
        if value.as_f64().is_some_and(|number| !range.contains(&number)) {
            return refuse(format!("{name} must be between {} and {}.", range.start(), range.end()));
        }
    }
    for hook in configuration["lifecycleHooks"].as_array().into_iter().flatten() {
        let stages = hook["lifecycleStages"].as_array().map(Vec::as_slice).unwrap_or_default();
        let pauses = hook["targetType"] == "PAUSE";
        if stages.is_empty() {
            return refuse("lifecycleStages can not be empty.".to_owned());
        }
        if !pauses && hook["hookTargetArn"].as_str().is_none_or(str::is_empty) {
            return refuse("hookTargetArn can not be blank.".to_owned());
        }
        for stage in stages.iter().filter_map(Value::as_str) {
            if pauses && ["TEST_TRAFFIC_SHIFT", "PRODUCTION_TRAFFIC_SHIFT"].contains(&stage) {
                return refuse(format!("PAUSE hooks cannot be configured at {stage}."));
            }
        }
    }
    Ok(())
}

/// LINEAR and CANARY need traffic that ECS can shift.
fn check_traffic(settings: &Map<String, Value>, configuration: &Value) -> Result<(), AwsError> {
    let strategy = configuration["strategy"].as_str().unwrap_or("ROLLING");
    let shifts = |balancer: &Value| balancer["advancedConfiguration"].is_object();
    let balancers = settings.get("loadBalancers").and_then(Value::as_array);
    let balanced = balancers.is_some_and(|list| list.iter().any(shifts));
    let connected = settings.get("serviceConnectConfiguration").is_some_and(|connect| connect["enabled"] == true);
    let lattice =
        settings.get("vpcLatticeConfigurations").and_then(Value::as_array).is_some_and(|list| !list.is_empty());
    if ["LINEAR", "CANARY"].contains(&strategy) && !balanced && !connected && !lattice {
        return Err(AwsError::invalid(format!(
            "The {strategy} deployment strategy needs a load balancer with an advancedConfiguration, Service Connect or VPC \
             Lattice."
        )));
    }
    Ok(())
}
