//! What others do to the services: deploy, scale, deploy again, and repair what hangs.

use std::sync::Mutex;
use std::time::Duration;

use roleout::fleet::{Fleet, TargetSpec};
use roleout::sandbox::Sandbox;
use serde_json::{Map, Value, json};

use crate::simulation::scenario::{Deed, Other, Scenario};
use crate::simulation::truth::{self, States};

/// The image that somebody else deploys.
pub const HOTFIX: &str = "registry.example.com/other:hotfix";

/// Something that somebody did.
#[derive(Clone, Debug)]
pub struct Done {
    /// When, in milliseconds since the epoch.
    pub at: u64,
    /// The number of the target.
    pub index: usize,
    pub what: Deed,
    /// Whether a deployment began with it.
    pub deploys: bool,
}

/// An AWS that others use, too.
pub struct Others<'a> {
    pub sandbox: &'a Sandbox,
    pub fleet: &'a Fleet,
    /// What each target was at first.
    pub first: &'a States,
    pub done: &'a Mutex<Vec<Done>>,
}

impl Others<'_> {
    /// Does what a scenario says, when it says it.
    pub async fn act(&self, scenario: &Scenario, deeds: &[Other]) {
        let began = tokio::time::Instant::now();
        let mut deeds: Vec<&Other> = deeds.iter().collect();
        deeds.sort_by_key(|deed| deed.at);
        for deed in deeds {
            tokio::time::sleep_until(began + Duration::from_millis(deed.at)).await;
            // What cannot be done, such as to a service that is gone, is not done.
            let _ = self.one(scenario, deed);
        }
    }

    fn one(&self, scenario: &Scenario, deed: &Other) -> Option<()> {
        let account = scenario.accounts.iter().find(|account| account.number == deed.account)?;
        let service = scenario.services.iter().find(|service| service.number == deed.service)?;
        let name = format!("s{}", service.number);
        let is_it = |target: &TargetSpec| {
            target.account.id.as_str() == account.id() && *target.id.region == *deed.region && target.service == name
        };
        let index = self.fleet.targets.iter().position(is_it)?;
        if self.fleet.targets[index].desired.codedeploy.is_some() {
            return None;
        }
        let place = (account.id(), deed.region, service.cluster, name.as_str());
        let before = self.primary(&place)?;
        let changed = match deed.what {
            Deed::Deploys => deploy(self.sandbox, &place),
            Deed::Scales => update(self.sandbox, &place, json!({ "desiredCount": 3 })),
            Deed::ScalesTo(count) => update(self.sandbox, &place, json!({ "desiredCount": count })),
            Deed::Repeats => update(self.sandbox, &place, json!({ "forceNewDeployment": true })),
            Deed::Returns => {
                update(self.sandbox, &place, json!({ "taskDefinition": self.first[index].as_ref()?.revision }))
            }
            Deed::Stops => stop(self.sandbox, &place),
        };
        changed.ok()?;
        let deploys = self.primary(&place)? != before;
        let at = truth::now(self.sandbox);
        self.done.lock().expect("nobody panicked").push(Done { at, index, what: deed.what, deploys });
        Some(())
    }

    /// Returns the id of the PRIMARY deployment.
    fn primary(&self, (account, region, cluster, service): &Place<'_>) -> Option<String> {
        Some(self.sandbox.service(account, region, cluster, service)?.deployments.first()?.0.clone())
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

/// Has ECS stop the deployment that goes on, and go back.
fn stop(sandbox: &Sandbox, (account, region, cluster, service): &Place<'_>) -> Result<Value, String> {
    let list = json!({ "cluster": cluster, "service": service, "status": ["IN_PROGRESS"] });
    let listed = sandbox.call_as_operator(account, region, "ListServiceDeployments", &list)?;
    let arn = listed["serviceDeployments"][0]["serviceDeploymentArn"].clone();
    let stop = json!({ "serviceDeploymentArn": arn, "stopType": "ROLLBACK" });
    sandbox.call_as_operator(account, region, "StopServiceDeployment", &stop)
}

/// Deploys a revision that works, where a deployment hangs for hours.
pub fn repair(sandbox: &Sandbox, target: &TargetSpec) {
    let place = (target.account.id.to_string(), &*target.id.region, target.cluster.as_str(), target.service.as_str());
    let _ = deploy(sandbox, &place);
}
