//! The operations on service deployments and service revisions.

use serde_json::{Value, json};

use crate::sandbox::ecr;
use crate::sandbox::ecs::{list_of, page, short, text_of};
use crate::sandbox::moment::{Moment, millis};
use crate::sandbox::record::Status;
use crate::sandbox::region::Region;
use crate::sandbox::service::{Act, Service};
use crate::sandbox::wire::AwsError;
use crate::sandbox::world::{Call, World};

const ONLY_ROLLING: &str = "Service deployments are only supported for services with an ECS deployment controller.";

pub(crate) fn list(world: &mut World, call: &Call, input: &Value) -> Result<Value, AwsError> {
    let name = text_of(input, "service").ok_or_else(|| AwsError::invalid("Service can not be blank."))?;
    let cluster = text_of(input, "cluster");
    if !world.service(call, cluster, name)?.is_rolling() {
        return Err(AwsError::new("UnsupportedFeatureException", ONLY_ROLLING));
    }
    let wanted = list_of(input, "status");
    let bound = |key: &str| seconds(input.get("createdAt").and_then(|range| range.get(key)));
    let (after, before) = (bound("after"), bound("before"));
    let listed = world.listed_until(call);
    let region = world.region(&call.account, &call.region);
    let cluster = region.cluster_name(cluster);
    let service = region.clusters.get(&cluster).and_then(|cluster| cluster.services.get(short(name)));
    let service = service.ok_or_else(|| AwsError::new("ServiceNotFoundException", "Service not found."))?;
    let records = service.records.iter().rev().filter(|record| {
        record.appears <= listed
            && (wanted.is_empty() || wanted.contains(&record.status_at(call.now)))
            && after.is_none_or(|after| record.created > after)
            && before.is_none_or(|before| record.created < before)
    });
    let briefs = records.map(|record| record.brief(service, call.now)).collect();
    page(input, briefs, "serviceDeployments", 20)
}

fn seconds(value: Option<&Value>) -> Option<Moment> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an epoch time is positive and small")]
    value.and_then(Value::as_f64).map(|seconds| (seconds * 1000.0) as Moment)
}

/// Finds the service that an ARN of a service deployment or revision names, and the ARN's last part.
pub(super) fn parse_arn<'a>(call: &Call, arn: &'a str, kind: &str) -> Option<(&'a str, &'a str, &'a str)> {
    let rest = arn.strip_prefix(&call.arn(&format!("{kind}/")))?;
    let mut parts = rest.split('/');
    let found = (parts.next()?, parts.next()?, parts.next()?);
    parts.next().is_none().then_some(found)
}

fn service_at<'a>(region: &'a Region, cluster: &str, name: &str) -> Option<&'a Service> {
    region.clusters.get(cluster)?.services.get(name)
}

pub(crate) fn describe(world: &mut World, call: &Call, input: &Value) -> Result<Value, AwsError> {
    let arns = list_of(input, "serviceDeploymentArns");
    at_most_twenty(&arns, "serviceDeploymentArns")?;
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for arn in arns {
        let body = parse_arn(call, arn, "service-deployment").and_then(|(cluster, name, id)| {
            world.service(call, Some(cluster), name).ok()?;
            let region = world.region(&call.account, &call.region);
            let service = service_at(region, cluster, name)?;
            let record = service.records.iter().find(|record| record.id == id && record.appears <= call.now)?;
            Some(record.describe(service, call.now))
        });
        match body {
            Some(body) => found.push(body),
            None => failures.push(json!({ "arn": arn, "reason": "MISSING" })),
        }
    }
    Ok(json!({ "serviceDeployments": found, "failures": failures }))
}

pub(crate) fn revisions(world: &mut World, call: &Call, input: &Value) -> Result<Value, AwsError> {
    let arns = list_of(input, "serviceRevisionArns");
    at_most_twenty(&arns, "serviceRevisionArns")?;
    world.region(&call.account, &call.region);
    let world = &*world;
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for arn in arns {
        let body = parse_arn(call, arn, "service-revision").and_then(|(cluster, name, number)| {
            let region = world.regions.get(&(call.account.clone(), call.region.clone()))?;
            let service = service_at(region, cluster, name)?;
            let revision = service.revisions.iter().find(|one| short(&one.deployment) == number)?;
            Some(revision.describe(service, |image| ecr::find_digest(world, image)))
        });
        match body {
            Some(body) => found.push(body),
            None => failures.push(json!({ "arn": arn, "reason": "MISSING" })),
        }
    }
    Ok(json!({ "serviceRevisions": found, "failures": failures }))
}

fn at_most_twenty(arns: &[&str], member: &str) -> Result<(), AwsError> {
    match arns.len() {
        0 => Err(AwsError::invalid(format!("{member} cannot be empty."))),
        1..=20 => Ok(()),
        _ => Err(AwsError::invalid(format!("{member} cannot have more than 20 elements."))),
    }
}

pub(crate) fn stop(world: &mut World, call: &Call, input: &Value) -> Result<Value, AwsError> {
    let arn = text_of(input, "serviceDeploymentArn")
        .ok_or_else(|| AwsError::invalid("serviceDeploymentArn can not be blank."))?;
    let missing = || AwsError::new("ServiceDeploymentNotFoundException", "Service deployment not found.");
    let (cluster, name, id) = parse_arn(call, arn, "service-deployment").ok_or_else(missing)?;
    let abort = match text_of(input, "stopType") {
        None | Some("ROLLBACK") => false,
        Some("ABORT") => true,
        Some(other) => return Err(AwsError::invalid(format!("Invalid stop type {other}."))),
    };
    let wait = millis(world.timing.schedule).max(1);
    let service = world.service(call, Some(cluster), name).map_err(|_| missing())?;
    let now = call.now;
    let record = service.record(id).filter(|record| record.appears <= now).ok_or_else(missing)?;
    match record.status {
        status if status.is_final() => {
            let text = "The service deployment is in a state that can't be stopped: it is already complete.";
            return Err(AwsError::new("ConflictException", text));
        }
        // Asking again while it is under way changes nothing.
        Status::StopRequested | Status::RollbackRequested | Status::RollbackInProgress => {}
        _ => {
            record.status = if abort { Status::StopRequested } else { Status::RollbackRequested };
            record.updated = now;
            let id = record.id.clone();
            let act = if abort { Act::Abort(id) } else { Act::RollBack(id) };
            service.acts.push((now + wait, act));
            service.wake_at(now + wait);
        }
    }
    Ok(json!({ "serviceDeploymentArn": arn }))
}
