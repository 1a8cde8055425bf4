//! What others do to the services: deploy, scale, deploy again, and repair what hangs.

use std::time::Duration;

use roleout::fleet::TargetSpec;
use roleout::sandbox::Sandbox;
use serde_json::{Map, Value, json};

use crate::simulation::scenario::{Deed, Other, Scenario};

/// The image that somebody else deploys.
pub const HOTFIX: &str = "registry.example.com/other:hotfix";

/// Does what a scenario says, when it says it.
pub async fn act(sandbox: &Sandbox, scenario: &Scenario) {
    let began = tokio::time::Instant::now();
    let mut others: Vec<&Other> = scenario.others.iter().collect();
    others.sort_by_key(|other| other.at);
    for other in others {
        tokio::time::sleep_until(began + Duration::from_millis(other.at)).await;
        let Some(account) = scenario.accounts.iter().find(|account| account.number == other.account) else { continue };
        let Some(service) = scenario.services.iter().find(|service| service.number == other.service) else { continue };
        if service.keys.iter().any(|key| key.starts_with("codedeploy")) {
            continue;
        }
        let name = format!("s{}", service.number);
        let place = (account.id(), other.region, service.cluster, name.as_str());
        // What cannot be done, such as to a service that is gone, is not done.
        let _ = match other.what {
            Deed::Deploys => deploy(sandbox, &place),
            Deed::Scales => update(sandbox, &place, json!({ "desiredCount": 3 })),
            Deed::Repeats => update(sandbox, &place, json!({ "forceNewDeployment": true })),
        };
    }
}

type Place<'a> = (String, &'a str, &'a str, &'a str);

fn update(sandbox: &Sandbox, (account, region, cluster, service): &Place<'_>, change: Value) -> Result<Value, String> {
    let mut input = json!({ "cluster": cluster, "service": service });
    if let (Some(input), Value::Object(change)) = (input.as_object_mut(), change) {
        input.extend(change);
    }
    sandbox.call_as_operator(account, region, "UpdateService", &input)
}

fn deploy(sandbox: &Sandbox, place: &Place<'_>) -> Result<Value, String> {
    let (account, region, _, service) = place;
    let mut other = sandbox.task_definition(account, region, service).ok_or("no definition")?;
    other["containerDefinitions"][0]["image"] = json!(HOTFIX);
    let members = ["family", "containerDefinitions", "cpu", "memory", "networkMode", "requiresCompatibilities"];
    let other: Map<String, Value> =
        members.iter().filter_map(|name| Some(((*name).to_owned(), other.get(*name)?.clone()))).collect();
    let registered = sandbox.call_as_operator(account, region, "RegisterTaskDefinition", &Value::Object(other))?;
    update(sandbox, place, json!({ "taskDefinition": registered["taskDefinition"]["taskDefinitionArn"] }))
}

/// Deploys a revision that works, where a deployment hangs for hours.
pub fn repair(sandbox: &Sandbox, target: &TargetSpec) {
    let place = (target.account.id.to_string(), &*target.id.region, target.cluster.as_str(), target.service.as_str());
    let _ = deploy(sandbox, &place);
}
