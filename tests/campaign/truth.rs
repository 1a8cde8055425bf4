//! What the sandbox knows of a fleet: its own records, read behind the back of the tool.

use std::collections::BTreeMap;
use std::time::UNIX_EPOCH;

use roleout::fleet::{Fleet, TargetSpec};
use roleout::sandbox::Sandbox;
use serde_json::{Value, json};

/// What every target is now, by the number of the target.
pub type States = Vec<Option<State>>;

/// What a service is at a moment.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    pub status: String,
    /// The task definition that is PRIMARY, and its first container's image.
    pub revision: String,
    pub image: String,
    pub desired: u64,
    pub running: u64,
    pub settings: Value,
    /// Whether one deployment is there, and it is completed.
    pub settled: bool,
}

/// A service deployment of ECS.
#[derive(Clone, Debug)]
pub struct Deployment {
    pub arn: String,
    pub created: u64,
    pub finished: Option<u64>,
    pub status: String,
    /// The image of the first container that it deploys.
    pub image: String,
}

impl Deployment {
    /// Whether it had succeeded by a moment.
    pub fn succeeded_by(&self, at: u64) -> bool {
        self.status == "SUCCESSFUL" && self.finished.is_some_and(|finished| finished <= at)
    }

    /// Whether it had failed by a moment, for whatever reason.
    pub fn failed_by(&self, at: u64) -> bool {
        matches!(self.status.as_str(), "STOPPED" | "ROLLBACK_SUCCESSFUL" | "ROLLBACK_FAILED")
            && self.finished.is_some_and(|finished| finished <= at)
    }
}

/// Returns the time of the sandbox, in milliseconds since the epoch.
pub fn now(sandbox: &Sandbox) -> u64 {
    let since = sandbox.clock().now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Reads what every service is now.
pub fn states(sandbox: &Sandbox, fleet: &Fleet) -> States {
    fleet.targets.iter().map(|target| state(sandbox, target)).collect()
}

fn state(sandbox: &Sandbox, target: &TargetSpec) -> Option<State> {
    let (account, region) = (target.account.id.as_str(), &*target.id.region);
    let seen = sandbox.service(account, region, &target.cluster, &target.service)?;
    let (revision, settled) = match seen.body["taskSets"].as_array().filter(|sets| !sets.is_empty()) {
        Some(sets) => {
            let primary = sets.iter().find(|set| set["status"] == "PRIMARY")?;
            (primary["taskDefinition"].as_str().unwrap_or_default().to_owned(), sets.len() == 1)
        }
        None => {
            let settled = matches!(&seen.deployments[..], [(_, _, state)] if state == "COMPLETED");
            (seen.task_definition.clone(), settled)
        }
    };
    Some(State {
        status: seen.status,
        image: image(sandbox, account, region, &revision),
        revision,
        desired: seen.desired,
        running: seen.running,
        settings: seen.body["deploymentConfiguration"].clone(),
        settled,
    })
}

/// Returns the image of the first container of a revision.
pub fn image(sandbox: &Sandbox, account: &str, region: &str, revision: &str) -> String {
    let definition = sandbox.task_definition(account, region, revision).unwrap_or_default();
    definition["containerDefinitions"][0]["image"].as_str().unwrap_or_default().to_owned()
}

/// Reads the service deployments of every target, the oldest first; none where the controller is not ECS's.
pub fn deployments(sandbox: &Sandbox, fleet: &Fleet) -> Vec<Vec<Deployment>> {
    let mut images = BTreeMap::new();
    fleet.targets.iter().map(|target| of_target(sandbox, target, &mut images).unwrap_or_default()).collect()
}

fn of_target(sandbox: &Sandbox, target: &TargetSpec, images: &mut BTreeMap<String, String>) -> Option<Vec<Deployment>> {
    let (account, region) = (target.account.id.as_str(), &*target.id.region);
    let ask = |operation: &str, input: &Value| sandbox.call_as_operator(account, region, operation, input).ok();
    let list = json!({ "cluster": target.cluster, "service": target.service, "maxResults": 100 });
    let listed = ask("ListServiceDeployments", &list)?;
    let mut found = Vec::new();
    for brief in listed["serviceDeployments"].as_array().into_iter().flatten().rev() {
        let arn = brief["targetServiceRevisionArn"].as_str().unwrap_or_default().to_owned();
        let image = images.entry(arn.clone()).or_insert_with(|| {
            let revisions =
                ask("DescribeServiceRevisions", &json!({ "serviceRevisionArns": [arn] })).unwrap_or_default();
            let revision = revisions["serviceRevisions"][0]["taskDefinition"].as_str().unwrap_or_default();
            self::image(sandbox, account, region, revision)
        });
        found.push(Deployment {
            arn: brief["serviceDeploymentArn"].as_str().unwrap_or_default().to_owned(),
            created: millis(&brief["createdAt"]).unwrap_or_default(),
            finished: millis(&brief["finishedAt"]),
            status: brief["status"].as_str().unwrap_or_default().to_owned(),
            image: image.clone(),
        });
    }
    Some(found)
}

/// Reads AWS's seconds.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an epoch time is positive and small")]
fn millis(seconds: &Value) -> Option<u64> {
    seconds.as_f64().map(|seconds| (seconds * 1000.0).round() as u64)
}
