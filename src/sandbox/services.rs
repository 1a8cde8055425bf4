//! The operations on services: create, update, delete, describe, list.
//!
//! UpdateService merges: what is not sent stays. Only some members start a deployment.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::base::document::Document;
use crate::references::image::Image;
use crate::sandbox::account::parts;
use crate::sandbox::behaviour::Behaviour;
use crate::sandbox::configuration::merge_configuration;
use crate::sandbox::ecs::{list_of, page, short, text_of};
use crate::sandbox::fault::{Fault, Rule};
use crate::sandbox::hook::Verdict;
use crate::sandbox::moment::millis;
use crate::sandbox::service::{Act, Service};
use crate::sandbox::task::{Nature, Pace};
use crate::sandbox::wire::AwsError;
use crate::sandbox::world::{Call, World};

/// The members that start a deployment when they change.
const DEPLOYING: &[&str] = &[
    "networkConfiguration",
    "platformVersion",
    "loadBalancers",
    "serviceRegistries",
    "serviceConnectConfiguration",
    "volumeConfigurations",
    "vpcLatticeConfigurations",
];
/// The members that do not.
const SETTLING: &[&str] = &[
    "capacityProviderStrategy",
    "availabilityZoneRebalancing",
    "placementConstraints",
    "placementStrategy",
    "healthCheckGracePeriodSeconds",
    "enableExecuteCommand",
    "enableECSManagedTags",
    "propagateTags",
    "deploymentController",
];

/// What ECS says to a service or a task that needs a network.
pub(crate) const NO_NETWORK: &str = "Network Configuration must be provided when networkMode 'awsvpc' is specified.";

impl World {
    /// Returns how fast things go.
    pub(crate) fn pace(&self) -> Pace {
        Pace { chance: self.chance, timing: self.timing }
    }

    /// Gives the services that a rule is for the scheduling strategy DAEMON.
    pub(crate) fn make_daemons(&mut self, rule: &Rule) {
        let covered = |(id, region): &&(String, String)| rule.covers(&self.account_names(id), region);
        let places: Vec<(String, String)> = self.regions.keys().filter(covered).cloned().collect();
        for (account, region) in places {
            let clusters = self.region(&account, &region).clusters.values();
            let names: Vec<String> = clusters.flat_map(|cluster| cluster.services.keys().cloned()).collect();
            let covers = |name: &String| rule.covers_service(&self.with_aliases(&account, &region, vec![name.clone()]));
            let names: BTreeSet<String> = names.into_iter().filter(covers).collect();
            let clusters = self.region(&account, &region).clusters.values_mut();
            for (_, service) in clusters.flat_map(|it| &mut it.services).filter(|(name, _)| names.contains(*name)) {
                service.settings.insert("schedulingStrategy".to_owned(), json!("DAEMON"));
                service.shown = None;
            }
        }
    }

    /// Returns how a new deployment of the service behaves: by its images, and by the faults unless it worked before.
    pub(crate) fn behaviour(&self, call: &Call, service: &str, definition: &Value, spared: bool) -> Behaviour {
        let mut behaviour = Behaviour::parse(definition);
        for fault in self.service_faults(&call.account, &call.region, service) {
            match fault {
                Fault::Slow(factor) => behaviour.factor = factor,
                Fault::Vanish => behaviour.act = Some(Act::Vanish),
                Fault::Supersede => behaviour.act = Some(Act::Supersede),
                Fault::NoReturn if spared => (behaviour.nature, behaviour.strands) = (Nature::Hang, true),
                Fault::NoReturn => (behaviour.nature, behaviour.strands) = (Nature::Crash, true),
                _ if spared => {}
                Fault::Crash => behaviour.nature = Nature::Crash,
                Fault::NoPull => behaviour.nature = Nature::NoPull,
                Fault::ImageMissing if in_ecr(definition) => behaviour.nature = Nature::NoPull,
                Fault::Hang => behaviour.nature = Nature::Hang,
                Fault::Unhealthy => behaviour.nature = Nature::Unhealthy,
                Fault::Flap => behaviour.nature = Nature::Flap,
                Fault::Degrade => behaviour.degrades = true,
                Fault::BakeAlarm => behaviour.raises = true,
                Fault::HookFails => behaviour.hooks = Verdict::Fails(String::new()),
                Fault::HookHangs => behaviour.hooks = Verdict::Waits,
                Fault::Alarm => behaviour.alarms = true,
                Fault::Stuck => {
                    behaviour.nature = Nature::Crash;
                    behaviour.poisons = true;
                }
                _ => {}
            }
        }
        behaviour
    }

    /// Returns for how long DescribeServices lags behind an UpdateService of the service.
    fn lag(&self, call: &Call, service: &str) -> Option<Duration> {
        let faults = self.service_faults(&call.account, &call.region, service);
        faults.into_iter().find_map(|fault| match fault {
            Fault::Stale(lag) => Some(lag),
            _ => None,
        })
    }

    /// Finds a service and brings it up to now.
    pub(crate) fn service(&mut self, call: &Call, cluster: Option<&str>, name: &str) -> Result<&mut Service, AwsError> {
        let pace = self.pace();
        let region = self.region(&call.account, &call.region);
        let cluster = region.cluster(cluster)?;
        let found = cluster.services.get_mut(short(name));
        let service = found.ok_or_else(|| AwsError::new("ServiceNotFoundException", "Service not found."))?;
        service.advance(call.now, pace);
        Ok(service)
    }

    fn described(&mut self, call: &Call, cluster: Option<&str>, name: &str) -> Result<Value, AwsError> {
        let region = self.region(&call.account, &call.region);
        let cluster_name = region.cluster_name(cluster);
        let found = region.clusters.get(&cluster_name).and_then(|cluster| cluster.services.get(short(name)));
        let service = found.ok_or_else(|| AwsError::new("ServiceNotFoundException", "Service not found."))?;
        Ok(service.describe(call.now))
    }

    /// Finds an ACTIVE definition to deploy.
    pub(crate) fn deployable(&mut self, call: &Call, reference: &str) -> Result<(String, Document), AwsError> {
        let region = self.region(&call.account, &call.region);
        let (family, number, definition) =
            region.definition(reference).ok_or_else(|| AwsError::client("TaskDefinition not found."))?;
        if !definition.active {
            return Err(AwsError::client("TaskDefinition is inactive"));
        }
        Ok((region.arn(&format!("task-definition/{family}:{number}")), definition.body.clone()))
    }
}

pub(crate) fn create(world: &mut World, call: &Call, input: &Value) -> Result<Value, AwsError> {
    let name = text_of(input, "serviceName").ok_or_else(|| AwsError::invalid("Service name must not be empty"))?;
    let reference = text_of(input, "taskDefinition");
    // Under EXTERNAL the definitions are those of task sets.
    if reference.is_none() && input["deploymentController"]["type"] != "EXTERNAL" {
        return Err(AwsError::invalid("TaskDefinition can not be blank."));
    }
    let cluster = text_of(input, "cluster");
    let valid = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.is_empty() || name.len() > 255 || !name.chars().all(valid) {
        return Err(AwsError::invalid("Invalid service name."));
    }
    let wanted = reference.map(|reference| world.deployable(call, reference)).transpose()?;
    if wanted.as_ref().is_some_and(|(_, definition)| definition.value()["networkMode"] == "awsvpc")
        && input.get("networkConfiguration").is_none_or(Value::is_null)
    {
        return Err(AwsError::invalid(NO_NETWORK));
    }
    let desired = count_of(input)?.unwrap_or(1);
    let pace = world.pace();
    let wanted =
        wanted.map(|(arn, definition)| (arn, world.behaviour(call, name, &definition.value(), false), definition));
    let seed = format!("{}/{}/{}/{name}", call.account, call.region, cluster.map_or("default", short));
    let region = world.region(&call.account, &call.region);
    let entry = region.cluster(cluster)?;
    if entry.services.get(name).is_some_and(|service| service.deleted.is_none()) {
        return Err(AwsError::invalid("Creation of service was not idempotent."));
    }
    let mut settings = defaults(input);
    for key in DEPLOYING.iter().chain(SETTLING) {
        if let Some(value) = input.get(*key).filter(|value| !value.is_null()) {
            settings.insert((*key).to_owned(), value.clone());
        }
    }
    merge_configuration(&mut settings, input.get("deploymentConfiguration"))?;
    let mut service = Service {
        name: name.to_owned(),
        cluster: entry.name.clone(),
        settings,
        desired,
        created: call.now,
        created_by: call.principal.role.clone().unwrap_or_else(|| call.principal.arn.clone()),
        deleted: None,
        deployments: Vec::new(),
        candidate: None,
        tasks: Vec::new(),
        stopped: std::collections::VecDeque::new(),
        events: std::collections::VecDeque::new(),
        records: Vec::new(),
        revisions: Vec::new(),
        good: std::collections::BTreeSet::new(),
        wake: None,
        launch_after: call.now,
        never_ran: 0,
        acts: Vec::new(),
        serial: 0,
        chance: pace.chance,
        place: crate::sandbox::region::Place { account: call.account.clone(), region: call.region.clone() },
        shown: None,
        stale: None,
        key: seed,
    };
    if let Some((arn, behaviour, definition)) = wanted {
        service.deploy(&arn, definition, behaviour, call.now, pace);
    }
    let service_arn = call.arn(&format!("service/{}/{name}", service.cluster));
    entry.services.insert(name.to_owned(), service);
    let tags = input.get("tags").and_then(Value::as_array).filter(|tags| !tags.is_empty());
    if let Some(tags) = tags {
        region.tags.insert(service_arn, tags.clone());
    }
    Ok(json!({ "service": world.described(call, cluster, name)? }))
}

pub(crate) fn update(world: &mut World, call: &Call, input: &Value) -> Result<Value, AwsError> {
    let name = text_of(input, "service").ok_or_else(|| AwsError::invalid("Service can not be blank."))?;
    let cluster = text_of(input, "cluster");
    let service = world.service(call, cluster, name)?;
    if service.deleted.is_some() {
        return Err(AwsError::new("ServiceNotActiveException", "Service was not ACTIVE."));
    }
    let desired = count_of(input)?;
    if desired.is_some() && service.settings.get("schedulingStrategy").is_some_and(|strategy| strategy == "DAEMON") {
        return Err(AwsError::invalid("The daemon scheduling strategy does not support a desired count for services."));
    }
    let force = input.get("forceNewDeployment").and_then(Value::as_bool).unwrap_or(false);
    check_controller(service, input, force)?;
    // Nothing changes unless everything is valid.
    let mut settings = service.settings.clone();
    let mut deploys = force;
    for key in DEPLOYING.iter().chain(SETTLING) {
        if let Some(value) = input.get(*key).filter(|value| !value.is_null()) {
            let old = settings.insert((*key).to_owned(), value.clone());
            deploys |= DEPLOYING.contains(key) && old.as_ref() != Some(value);
        }
    }
    merge_configuration(&mut settings, input.get("deploymentConfiguration"))?;
    let current = service.primary().map(|primary| (primary.task_definition.clone(), primary.definition.clone()));
    let wanted = match text_of(input, "taskDefinition") {
        Some(reference) => Some(world.deployable(call, reference)?),
        None => current.clone(),
    };
    let (arn, definition) = wanted.ok_or_else(|| AwsError::client("TaskDefinition not found."))?;
    let moves = current.is_none_or(|(old, _)| old != arn);
    deploys |= moves;
    let pace = world.pace();
    // What worked before is spared, so that a rollback is possible; started anew where it runs, it can fail.
    let spared = moves && world.service(call, cluster, name)?.good.contains(&arn);
    let behaviour = world.behaviour(call, short(name), &definition.value(), spared);
    let lag = world.lag(call, short(name));
    let service = world.service(call, cluster, name)?;
    service.stale = lag.map(|lag| (call.now + millis(lag), service.text(call.now)));
    service.settings = settings;
    service.shown = None;
    if let Some(desired) = desired.filter(|desired| *desired != service.desired) {
        service.desired = desired;
        service.wake_at(call.now + 1);
    }
    if deploys {
        service.deploy(&arn, definition, behaviour, call.now, pace);
    }
    Ok(json!({ "service": world.described(call, cluster, name)? }))
}

pub(crate) fn delete(world: &mut World, call: &Call, input: &Value) -> Result<Value, AwsError> {
    let name = text_of(input, "service").ok_or_else(|| AwsError::invalid("Service can not be blank."))?;
    let cluster = text_of(input, "cluster");
    let pace = world.pace();
    let service = world.service(call, cluster, name)?;
    if service.deleted.is_some() {
        return Err(AwsError::new("ServiceNotActiveException", "Service was not ACTIVE."));
    }
    let force = input.get("force").and_then(Value::as_bool).unwrap_or(false);
    if !force && service.desired > 0 {
        return Err(AwsError::invalid(
            "The service cannot be stopped while it is scaled above 0. Update the service to have a desired count of 0 or \
             use the force option.",
        ));
    }
    service.delete(call.now, pace);
    Ok(json!({ "service": world.described(call, cluster, name)? }))
}

/// Returns DescribeServices's answer as JSON text: by far the commonest call, so it is put together from texts that
/// are kept until something happens.
pub(crate) fn describe(world: &mut World, call: &Call, input: &Value) -> Result<String, AwsError> {
    let names = list_of(input, "services");
    if names.is_empty() {
        return Err(AwsError::invalid("Services cannot be empty."));
    }
    if names.len() > 10 {
        return Err(AwsError::invalid("A maximum of 10 services can be described per request."));
    }
    let with_tags = list_of(input, "include").contains(&"TAGS");
    let pace = world.pace();
    let region = world.region(&call.account, &call.region);
    let cluster_name = region.cluster(text_of(input, "cluster"))?.name.clone();
    let tags = if with_tags { region.tags.clone() } else { std::collections::BTreeMap::new() };
    let cluster = region.cluster(Some(&cluster_name))?;
    let (mut services, mut failures) = (Vec::new(), Vec::new());
    for name in names {
        let service = in_cluster(call, &cluster_name, name).and_then(|short| cluster.services.get_mut(short));
        let service = service.and_then(|service| {
            service.advance(call.now, pace);
            service.is_visible(call.now).then_some(service)
        });
        match service {
            Some(service) if with_tags => {
                let mut body: Value = serde_json::from_str(&service.described_text(call.now)).unwrap_or_default();
                body["tags"] = json!(tags.get(&service.arn()).cloned().unwrap_or_default());
                services.push(body.to_string().into());
            }
            Some(service) => services.push(service.described_text(call.now)),
            None => {
                let arn = match name.starts_with("arn:") {
                    true => name.to_owned(),
                    false => call.arn(&format!("service/{cluster_name}/{name}")),
                };
                failures.push(json!({ "arn": arn, "reason": "MISSING" }));
            }
        }
    }
    let services: &[std::sync::Arc<str>] = &services;
    Ok(format!("{{\"services\":[{}],\"failures\":{}}}", services.join(","), Value::Array(failures)))
}

/// Returns the name of a service that can be in the cluster: an ARN must be of this place.
fn in_cluster<'a>(call: &Call, cluster: &str, reference: &'a str) -> Option<&'a str> {
    if !reference.starts_with("arn:") {
        return Some(reference);
    }
    let long = call.arn(&format!("service/{cluster}/"));
    // The old ARN format has no cluster in it.
    reference
        .strip_prefix(&long)
        .or_else(|| reference.strip_prefix(&call.arn("service/")).filter(|name| !name.contains('/')))
}

pub(crate) fn list(world: &mut World, call: &Call, input: &Value) -> Result<Value, AwsError> {
    let launch = text_of(input, "launchType");
    let region = world.region(&call.account, &call.region);
    let name = region.cluster(text_of(input, "cluster"))?.name.clone();
    let services = region.clusters.get(&name).into_iter().flat_map(|cluster| cluster.services.values());
    let services = services.filter(|service| service.deleted.is_none());
    let services = services.filter(|service| {
        launch.is_none_or(|launch| service.settings.get("launchType").and_then(Value::as_str) == Some(launch))
    });
    let arns = services.map(|service| json!(service.arn())).collect();
    page(input, arns, "serviceArns", 10)
}

/// Returns the desired count that a request names.
fn count_of(input: &Value) -> Result<Option<u32>, AwsError> {
    match input.get("desiredCount").filter(|value| !value.is_null()) {
        None => Ok(None),
        Some(value) => value
            .as_u64()
            .and_then(|count| u32::try_from(count).ok())
            .map(Some)
            .ok_or_else(|| AwsError::invalid("desiredCount must be equal to or greater than 0.")),
    }
}

fn check_controller(service: &Service, input: &Value, force: bool) -> Result<(), AwsError> {
    let controller = service.controller();
    if controller == "ECS" {
        return Ok(());
    }
    let advice = if controller == "CODE_DEPLOY" { " Use AWS CodeDeploy to trigger a new deployment." } else { "" };
    if force {
        return Err(AwsError::invalid(format!(
            "Cannot force a new deployment on services with a {controller} deployment controller.{advice}"
        )));
    }
    if input.get("taskDefinition").is_some_and(|value| !value.is_null()) {
        return Err(AwsError::invalid(format!(
            "Unable to update task definition on services with a {controller} deployment controller.{advice}"
        )));
    }
    Ok(())
}

fn has_entries(input: &Value, list: &str) -> bool {
    input.get(list).and_then(Value::as_array).is_some_and(|list| !list.is_empty())
}

fn defaults(input: &Value) -> Map<String, Value> {
    let strategy = has_entries(input, "capacityProviderStrategy");
    let launch = text_of(input, "launchType").unwrap_or("EC2");
    let mut settings = Map::new();
    let mut put = |key: &str, value: Value| drop(settings.insert(key.to_owned(), value));
    if !strategy {
        put("launchType", json!(launch));
    }
    if launch == "FARGATE" || strategy {
        put("platformVersion", json!("LATEST"));
        put("platformFamily", json!("Linux"));
    }
    put("loadBalancers", json!([]));
    put("serviceRegistries", json!([]));
    put("placementConstraints", json!([]));
    put("placementStrategy", json!([]));
    if has_entries(input, "loadBalancers") {
        put("healthCheckGracePeriodSeconds", json!(0));
    }
    put("schedulingStrategy", input.get("schedulingStrategy").cloned().unwrap_or_else(|| json!("REPLICA")));
    put("deploymentController", json!({ "type": "ECS" }));
    put("enableECSManagedTags", json!(false));
    put("propagateTags", json!("NONE"));
    put("enableExecuteCommand", json!(false));
    put("availabilityZoneRebalancing", json!("ENABLED"));
    put(
        "deploymentConfiguration",
        json!({
            "deploymentCircuitBreaker": {
                "enable": false, "rollback": false, "resetOnHealthyTask": true,
                "thresholdConfiguration": { "type": "BOUNDED_PERCENT", "value": 50 },
            },
            "maximumPercent": 200,
            "minimumHealthyPercent": 100,
            "alarms": { "alarmNames": [], "rollback": false, "enable": false },
            "strategy": "ROLLING",
            "bakeTimeInMinutes": 0,
        }),
    );
    settings
}

/// Whether an ARN is of the call's account.
pub(crate) fn own(call: &Call, arn: &str) -> bool {
    parts(arn).1 == call.account
}

/// Whether a container's image is one of ECR's.
fn in_ecr(definition: &Value) -> bool {
    let mut containers = definition["containerDefinitions"].as_array().into_iter().flatten();
    containers.any(|container| container["image"].as_str().is_some_and(|image| Image::read(image).is_some()))
}
