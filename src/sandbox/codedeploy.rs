//! CodeDeploy for services under the CODE_DEPLOY controller: CreateDeployment, GetDeployment, BatchGetDeployments,
//! GetDeploymentGroup, ListDeployments and StopDeployment.
//!
//! A deployment goes the way of a service deployment of ECS: its tasks replace the others one by one, and all the traffic
//! moves when they are healthy. So there are no hooks, waits for approval or steps. The texts of `errorInformation` and
//! `rollbackInfo` are made up but for that of the time-out.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::fleet::TargetSpec;
use crate::sandbox::ecs::{list_of, text_of};
use crate::sandbox::moment::{Moment, epoch, millis};
use crate::sandbox::record::{Record, Status};
use crate::sandbox::service::Act;
use crate::sandbox::wire::AwsError;
use crate::sandbox::world::{Call, World};

/// The deployment groups and deployments of everybody.
#[derive(Clone, Debug, Default)]
pub(crate) struct CodeDeploy {
    /// Cluster and service by account, region, application and group.
    groups: BTreeMap<(String, String, String, String), (String, String)>,
    deployments: Vec<Made>,
}

/// A deployment that was made.
#[derive(Clone, Debug)]
struct Made {
    account: String,
    region: String,
    application: String,
    group: String,
    /// Cluster and service.
    place: (String, String),
    /// The id of its service deployment.
    record: String,
    content: String,
    description: Option<String>,
    created: Moment,
    /// Whether it was stopped by StopDeployment.
    stopped: bool,
}

impl Made {
    fn id(&self) -> String {
        let letters = self.record.chars().filter(char::is_ascii_alphanumeric);
        format!("d-{}", letters.take(9).collect::<String>().to_uppercase())
    }

    /// The id of the deployment that rolls it back.
    fn rollback_id(&self) -> String {
        let letters = self.record.chars().rev().filter(char::is_ascii_alphanumeric);
        format!("d-R{}", letters.take(8).collect::<String>().to_uppercase())
    }
}

impl World {
    /// Makes the deployment group of a target exist.
    pub(crate) fn add_deployment_group(&mut self, target: &TargetSpec, cluster: &str) {
        let Some(group) = &target.desired.codedeploy else { return };
        let (account, region) = (target.account.id.to_string(), target.id.region.to_string());
        let key = (account, region, group.application.clone(), group.deployment_group.clone());
        self.codedeploy.groups.insert(key, (cluster.to_owned(), target.service.clone()));
    }

    fn made(&mut self, call: &Call, id: &str) -> Result<Made, AwsError> {
        let mut own = self.codedeploy.deployments.iter();
        let found = own.find(|one| {
            one.account == call.account && one.region == call.region && (one.id() == id || one.rollback_id() == id)
        });
        found.cloned().ok_or_else(|| {
            AwsError::new("DeploymentDoesNotExistException", format!("The deployment {id} could not be found"))
        })
    }

    fn record_of(&mut self, call: &Call, made: &Made) -> Result<Record, AwsError> {
        let service = self.service(call, Some(&made.place.0), &made.place.1)?;
        let found = service.record(&made.record).map(|record| record.clone());
        found.ok_or_else(|| AwsError::new("DeploymentDoesNotExistException", "The deployment could not be found"))
    }
}

/// Returns the service of the group that a request names.
fn find_group(world: &World, call: &Call, input: &Value) -> Result<(String, String), AwsError> {
    let text = |key: &str| text_of(input, key).unwrap_or_default().to_owned();
    let (application, group) = (text("applicationName"), text("deploymentGroupName"));
    let key = (call.account.clone(), call.region.clone(), application.clone(), group.clone());
    if let Some(place) = world.codedeploy.groups.get(&key) {
        return Ok(place.clone());
    }
    let known = world
        .codedeploy
        .groups
        .keys()
        .any(|(account, region, name, _)| (account, region, name) == (&call.account, &call.region, &application));
    Err(match known {
        true => {
            let text = format!("No Deployment Group found for name: {group}");
            AwsError::new("DeploymentGroupDoesNotExistException", text)
        }
        false => {
            AwsError::new("ApplicationDoesNotExistException", format!("No application found for name: {application}"))
        }
    })
}

pub(crate) fn create(world: &mut World, call: &Call, input: &Value) -> Result<Value, AwsError> {
    let place = find_group(world, call, input)?;
    let content = text_of(&input["revision"]["appSpecContent"], "content").unwrap_or_default().to_owned();
    let arn = definition_in(&content).ok_or_else(|| {
        AwsError::new("InvalidRevisionException", "The AppSpec names no task definition: TaskDefinition is required")
    })?;
    let group = text_of(input, "deploymentGroupName").unwrap_or_default().to_owned();
    let made = world
        .codedeploy
        .deployments
        .iter()
        .rev()
        .find(|one| one.place == place && one.account == call.account && one.region == call.region);
    if let Some(made) = made.cloned()
        && !world.record_of(call, &made)?.status.is_final()
    {
        let text = format!("The Deployment Group '{group}' already has an active Deployment '{}'", made.id());
        return Err(AwsError::new("DeploymentLimitExceededException", text));
    }
    let (arn, definition) = world.deployable(call, &arn).map_err(|error| {
        AwsError::new("InvalidRevisionException", format!("The task definition cannot be used: {}", error.message))
    })?;
    let pace = world.pace();
    let spared = world.service(call, Some(&place.0), &place.1)?.good.contains(&arn);
    let behaviour = world.behaviour(call, &place.1, &definition.value(), spared);
    let service = world.service(call, Some(&place.0), &place.1)?;
    if service.controller() != "CODE_DEPLOY" {
        let text = format!("The ECS service {} does not have the CODE_DEPLOY deployment controller", place.1);
        return Err(AwsError::new("InvalidECSServiceException", text));
    }
    service.shown = None;
    service.deploy(&arn, definition, behaviour, call.now, pace);
    let record = service.primary().map(|primary| primary.record.clone()).unwrap_or_default();
    let made = Made {
        account: call.account.clone(),
        region: call.region.clone(),
        application: text_of(input, "applicationName").unwrap_or_default().to_owned(),
        group,
        place,
        record,
        content,
        description: text_of(input, "description").map(str::to_owned),
        created: call.now,
        stopped: false,
    };
    let id = made.id();
    world.codedeploy.deployments.push(made);
    Ok(json!({ "deploymentId": id }))
}

/// Returns the task definition's ARN in an AppSpec, JSON or YAML.
fn definition_in(content: &str) -> Option<String> {
    let end = content.find(":task-definition/")?;
    let start = content[..end].rfind("arn:")?;
    let belongs = |char: char| char.is_ascii_alphanumeric() || ":/_-".contains(char);
    Some(content[start..].chars().take_while(|char| belongs(*char)).collect())
}

pub(crate) fn get(world: &mut World, call: &Call, input: &Value) -> Result<Value, AwsError> {
    let id = text_of(input, "deploymentId").unwrap_or_default();
    Ok(json!({ "deploymentInfo": info(world, call, id)? }))
}

pub(crate) fn batch(world: &mut World, call: &Call, input: &Value) -> Result<Value, AwsError> {
    let ids = list_of(input, "deploymentIds");
    if ids.len() > 25 {
        return Err(AwsError::new("BatchLimitExceededException", "The maximum number of deployments is 25"));
    }
    let infos: Result<Vec<Value>, AwsError> = ids.into_iter().map(|id| info(world, call, id)).collect();
    Ok(json!({ "deploymentsInfo": infos? }))
}

pub(crate) fn list(world: &mut World, call: &Call, input: &Value) -> Result<Value, AwsError> {
    let place = find_group(world, call, input)?;
    let own = world.codedeploy.deployments.iter().rev();
    let ids: Vec<String> =
        own.filter(|made| made.place == place && made.account == call.account).map(Made::id).collect();
    Ok(json!({ "deployments": ids }))
}

pub(crate) fn group(world: &mut World, call: &Call, input: &Value) -> Result<Value, AwsError> {
    let place = find_group(world, call, input)?;
    let text = |key: &str| text_of(input, key).unwrap_or_default();
    let mut info = json!({
        "applicationName": text("applicationName"),
        "deploymentGroupName": text("deploymentGroupName"),
        "deploymentConfigName": "CodeDeployDefault.ECSAllAtOnce",
        "computePlatform": "ECS",
        "ecsServices": [{ "clusterName": place.0, "serviceName": place.1 }],
    });
    let own = |made: &&Made| made.place == place && made.account == call.account && made.region == call.region;
    let last = world.codedeploy.deployments.iter().rev().find(own).cloned();
    if let Some(made) = last {
        let rolls_back = world.record_of(call, &made)?.rollback.is_some();
        let id = if rolls_back { made.rollback_id() } else { made.id() };
        let last = self::info(world, call, &id)?;
        info["lastAttemptedDeployment"] =
            json!({ "deploymentId": id, "status": last["status"], "createTime": last["createTime"] });
    }
    Ok(json!({ "deploymentGroupInfo": info }))
}

pub(crate) fn stop(world: &mut World, call: &Call, input: &Value) -> Result<Value, AwsError> {
    let id = text_of(input, "deploymentId").unwrap_or_default();
    let rolls_back = input.get("autoRollbackEnabled").and_then(Value::as_bool).unwrap_or(true);
    let made = world.made(call, id)?;
    let wait = millis(world.timing.schedule).max(1);
    let service = world.service(call, Some(&made.place.0), &made.place.1)?;
    service.shown = None;
    let Some(record) = service.record(&made.record).filter(|record| !record.status.is_final()) else {
        let text = format!("The deployment {id} has already completed");
        return Err(AwsError::new("DeploymentAlreadyCompletedException", text));
    };
    if record.status == Status::InProgress {
        record.status = if rolls_back { Status::RollbackRequested } else { Status::StopRequested };
        let id = record.id.clone();
        let act = if rolls_back { Act::RollBack(id) } else { Act::Abort(id) };
        service.acts.push((call.now + wait, act));
        service.wake_at(call.now + wait);
    }
    let mut own = world.codedeploy.deployments.iter_mut();
    if let Some(made) = own.find(|one| one.record == made.record) {
        made.stopped = true;
    }
    Ok(json!({ "status": "Pending", "statusMessage": "The deployment is being stopped" }))
}

/// Returns a deployment as GetDeployment has it: one that was made, or the one that rolls it back.
fn info(world: &mut World, call: &Call, id: &str) -> Result<Value, AwsError> {
    let made = world.made(call, id)?;
    let record = world.record_of(call, &made)?;
    let service = world.service(call, Some(&made.place.0), &made.place.1)?;
    let is_rollback = id == made.rollback_id();
    let gone = if made.stopped { "Stopped" } else { "Failed" };
    let status = match (record.status, is_rollback) {
        (Status::InProgress, _) if call.now < record.started => "Created",
        (Status::InProgress | Status::StopRequested | Status::RollbackRequested, _) => "InProgress",
        (Status::RollbackInProgress, true) => "InProgress",
        (Status::Successful, _) | (Status::RollbackSuccessful, true) => "Succeeded",
        (Status::RollbackFailed, true) => "Failed",
        (Status::Stopped, _) => "Stopped",
        (Status::RollbackInProgress | Status::RollbackSuccessful | Status::RollbackFailed, false) => gone,
    };
    let counts = service.counts(service.primary().map(|primary| primary.id.as_str()));
    let mut info = json!({
        "applicationName": made.application,
        "deploymentGroupName": made.group,
        "deploymentConfigName": "CodeDeployDefault.ECSAllAtOnce",
        "deploymentId": id,
        "status": status,
        "computePlatform": "ECS",
        "createTime": epoch(made.created),
        "creator": if is_rollback { "codeDeployRollback" } else { "user" },
        "deploymentOverview": {
            "Pending": counts.pending, "InProgress": 0, "Succeeded": counts.healthy, "Failed": 0, "Skipped": 0, "Ready": 0,
        },
        "revision": { "revisionType": "AppSpecContent", "appSpecContent": { "content": made.content, "sha256": "" } },
    });
    if is_rollback {
        let primary = service.primary().map(|primary| primary.task_definition.clone()).unwrap_or_default();
        info["revision"]["appSpecContent"]["content"] = json!(primary);
        info["rollbackInfo"] = json!({ "rollbackTriggeringDeploymentId": made.id() });
        return Ok(info);
    }
    if let Some(description) = &made.description {
        info["description"] = json!(description);
    }
    if matches!(status, "Failed" | "Stopped") {
        info["errorInformation"] = match made.stopped {
            true => json!({ "code": "MANUAL_STOP", "message": "The deployment was stopped by a user." }),
            false => json!({
                "code": "TIMEOUT",
                "message": "The deployment timed out while waiting for the replacement task set to become healthy. This \
                            time out period is 60 minutes.",
            }),
        };
        if record.rollback.is_some() {
            info["rollbackInfo"] = json!({
                "rollbackDeploymentId": made.rollback_id(), "rollbackMessage": "The deployment is rolled back.",
            });
        }
    }
    Ok(info)
}

/// Whether an operation changes something.
pub(crate) fn changes(operation: &str) -> bool {
    matches!(operation, "CreateDeployment" | "StopDeployment")
}

/// Returns the ARN that a call is authorised on.
pub(crate) fn resource(world: &World, call: &Call, input: &Value) -> String {
    let partition = crate::sandbox::account::partition(&call.region);
    // Of several deployments the first one stands for all.
    let id = text_of(input, "deploymentId").or_else(|| input["deploymentIds"][0].as_str());
    let made = world.codedeploy.deployments.iter().find(|one| {
        let own = one.account == call.account && one.region == call.region;
        own && id.is_some_and(|id| one.id() == id || one.rollback_id() == id)
    });
    let (application, group) = match made {
        Some(made) => (made.application.as_str(), made.group.as_str()),
        None => {
            (text_of(input, "applicationName").unwrap_or("*"), text_of(input, "deploymentGroupName").unwrap_or("*"))
        }
    };
    format!("arn:{partition}:codedeploy:{}:{}:deploymentgroup:{application}/{group}", call.region, call.account)
}
