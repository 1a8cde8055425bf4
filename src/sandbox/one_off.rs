//! The operations on tasks: run, stop, list, describe, for a service's tasks and for those of RunTask.

use serde_json::{Value, json};

use crate::sandbox::ecs::{list_of, page, short, text_of};
use crate::sandbox::fault::Fault;
use crate::sandbox::region::Cluster;
use crate::sandbox::services::NO_NETWORK;
use crate::sandbox::task::{Nature, Pace, Phase, Task, word};
use crate::sandbox::wire::AwsError;
use crate::sandbox::world::{Call, World};

impl Cluster {
    /// Brings everything in it up to now.
    pub(super) fn advance(&mut self, now: u64, pace: Pace) {
        self.services.values_mut().for_each(|service| service.advance(now, pace));
        for task in self.tasks.values_mut() {
            while let Some(due) = task.due.filter(|due| *due <= now) {
                let _ = task.turn(due, pace);
            }
        }
        self.tasks.retain(|_, task| task.stopped.is_none_or(|at| at + 3_600_000 > now));
    }

    pub(super) fn all_tasks(&self) -> impl Iterator<Item = &Task> {
        let of_services = self.services.values().flat_map(|service| service.tasks.iter().chain(&service.stopped));
        of_services.chain(self.tasks.values())
    }
}

pub(crate) fn list(world: &mut World, call: &Call, input: &Value) -> Result<Value, AwsError> {
    let started_by = text_of(input, "startedBy");
    let service = text_of(input, "serviceName");
    let family = text_of(input, "family");
    if started_by.is_some() && (service.is_some() || family.is_some()) {
        return Err(AwsError::invalid("startedBy must be the only filter that you specify."));
    }
    let wanted = text_of(input, "desiredStatus").unwrap_or("RUNNING");
    let pace = world.pace();
    let region = world.region(&call.account, &call.region);
    let cluster = region.cluster(text_of(input, "cluster"))?;
    cluster.advance(call.now, pace);
    if service.is_some_and(|name| !cluster.services.contains_key(short(name))) {
        return Err(AwsError::new("ServiceNotFoundException", "Service not found."));
    }
    let group = service.map(|name| format!("service:{}", short(name)));
    let tasks = cluster.all_tasks().filter(|task| match wanted {
        // No task is ever listed by PENDING: ECS never sets a desired status of it.
        "PENDING" => false,
        "STOPPED" => !task.is_live(),
        _ => task.is_live(),
    });
    let tasks = tasks.filter(|task| {
        started_by.is_none_or(|by| task.started_by.as_deref() == Some(by))
            && group.as_ref().is_none_or(|group| &task.group == group)
            && family.is_none_or(|family| task.definition.value()["family"] == family)
    });
    let arns = tasks.map(|task| json!(call.arn(&format!("task/{}/{}", cluster.name, task.id)))).collect();
    page(input, arns, "taskArns", 100)
}

pub(crate) fn describe(world: &mut World, call: &Call, input: &Value) -> Result<Value, AwsError> {
    let wanted = list_of(input, "tasks");
    if wanted.is_empty() {
        return Err(AwsError::invalid("Tasks cannot be empty."));
    }
    if wanted.len() > 100 {
        return Err(AwsError::invalid("Tasks cannot have more than 100 elements."));
    }
    let (pace, chance) = (world.pace(), world.chance);
    let region = world.region(&call.account, &call.region);
    let cluster = region.cluster(text_of(input, "cluster"))?;
    cluster.advance(call.now, pace);
    let name = cluster.name.clone();
    let (mut tasks, mut failures) = (Vec::new(), Vec::new());
    let cluster =
        region.clusters.get(&name).ok_or_else(|| AwsError::new("ClusterNotFoundException", "Cluster not found."))?;
    for reference in wanted {
        match cluster.all_tasks().find(|task| task.id == short(reference)) {
            Some(task) => tasks.push(task.describe(region, &name, chance)),
            None => {
                let arn = call.arn(&format!("task/{name}/{}", short(reference)));
                failures.push(json!({ "arn": arn, "reason": "MISSING" }));
            }
        }
    }
    Ok(json!({ "tasks": tasks, "failures": failures }))
}

pub(crate) fn run(world: &mut World, call: &Call, input: &Value) -> Result<Value, AwsError> {
    let reference =
        text_of(input, "taskDefinition").ok_or_else(|| AwsError::client("Task definition can not be blank."))?;
    let count = input.get("count").and_then(Value::as_u64).unwrap_or(1);
    if !(1..=10).contains(&count) {
        return Err(AwsError::invalid("Count must be between 1 and 10."));
    }
    let by = text_of(input, "startedBy");
    if by.is_some_and(|by| by.len() > 128) {
        return Err(AwsError::invalid("startedBy can not be longer than 128 characters."));
    }
    let (arn, definition) = world.deployable(call, reference)?;
    let (pace, chance) = (world.pace(), world.chance);
    let serial = world.requests;
    let read = definition.value();
    let nature = match faulty(world, call, &read, input) {
        None => nature(&read, input),
        Some(Fault::TaskFails) => Nature::Exit(1),
        Some(Fault::TaskHangs) => Nature::Sound,
        Some(_) => {
            let reason =
                "Capacity is unavailable at this time. Please try again later or in a different availability zone";
            let arn = call.arn(&format!("container-instance/{}", chance.hex(32, &format!("{serial}"))));
            return Ok(json!({ "tasks": [], "failures": [{ "arn": arn, "reason": reason }] }));
        }
    };
    let launch = text_of(input, "launchType").unwrap_or("FARGATE").to_owned();
    let needs_network = read["networkMode"] == "awsvpc";
    if needs_network && input.get("networkConfiguration").is_none_or(Value::is_null) {
        return Err(AwsError::invalid(NO_NETWORK));
    }
    let family = read["family"].as_str().unwrap_or_default().to_owned();
    if let Some(name) = unknown_container(&read, input) {
        return Err(AwsError::invalid(format!(
            "Override for container named {name} is not a container in the TaskDefinition."
        )));
    }
    let region = world.region(&call.account, &call.region);
    let cluster = region.cluster(text_of(input, "cluster"))?;
    cluster.advance(call.now, pace);
    let name = cluster.name.clone();
    let token = text_of(input, "clientToken");
    let mut key = input.clone();
    if let Some(map) = key.as_object_mut() {
        map.shift_remove("clientToken");
    }
    let known = token.and_then(|token| cluster.tokens.get(token));
    let ids = match known {
        Some((old, _)) if *old != key => {
            let text = "The client token was already used with other parameters.";
            return Err(AwsError::new("ConflictException", text));
        }
        Some((_, ids)) => ids.clone(),
        None => {
            let mut ids = Vec::new();
            for number in 0..count {
                let id = chance.hex(32, &format!("run/{}/{}/{arn}/{serial}/{number}", call.account, call.region));
                let mut task = Task::start(id.clone(), definition.clone(), nature, 1.0, call.now, pace);
                task.started_by = by.map(str::to_owned);
                task.group = text_of(input, "group").map_or_else(|| format!("family:{family}"), str::to_owned);
                task.launch_type = launch.clone();
                task.overrides = input.get("overrides").and_then(Value::as_object).cloned().unwrap_or_default();
                cluster.tasks.insert(id.clone(), task);
                ids.push(id);
            }
            if let Some(token) = token {
                cluster.tokens.insert(token.to_owned(), (key, ids.clone()));
            }
            ids
        }
    };
    if let Some(tags) = input.get("tags").and_then(Value::as_array).filter(|tags| !tags.is_empty()) {
        for id in &ids {
            region.tags.insert(call.arn(&format!("task/{name}/{id}")), tags.clone());
        }
    }
    let cluster =
        region.clusters.get(&name).ok_or_else(|| AwsError::new("ClusterNotFoundException", "Cluster not found."))?;
    let tasks = ids.iter().filter_map(|id| cluster.tasks.get(id)).map(|task| task.describe(region, &name, chance));
    Ok(json!({ "tasks": tasks.collect::<Vec<_>>(), "failures": [] }))
}

/// Returns the fault of tasks, if one is of the services of the cluster that run their family.
fn faulty(world: &mut World, call: &Call, definition: &Value, input: &Value) -> Option<Fault> {
    let family = &definition["family"];
    let cluster = world.region(&call.account, &call.region).cluster(text_of(input, "cluster")).ok()?;
    let services = cluster.services.values();
    let services =
        services.filter(|service| service.deployments.iter().any(|one| one.definition.value()["family"] == *family));
    let names: Vec<String> = services.map(|service| service.name.clone()).collect();
    let mut faults = names.iter().flat_map(|name| world.service_faults(&call.account, &call.region, name));
    faults.find(|fault| matches!(fault, Fault::TaskFails | Fault::TaskHangs | Fault::NoCapacity))
}

/// Returns how a task of RunTask ends: by the words in its images' tags, or `exit-N` (also in its command); else 0.
fn nature(definition: &Value, input: &Value) -> Nature {
    let containers = definition.get("containerDefinitions").and_then(Value::as_array).into_iter().flatten();
    let images: Vec<&str> = containers.filter_map(|container| container["image"].as_str()).collect();
    let has = |wanted: &str| images.iter().any(|image| word(image, wanted));
    if has("nopull") {
        return Nature::NoPull;
    }
    if has("hang") {
        return Nature::Hang;
    }
    if has("crash") {
        return Nature::Exit(1);
    }
    let commands = input["overrides"]["containerOverrides"].as_array().into_iter().flatten();
    let words = commands.flat_map(|one| one["command"].as_array().into_iter().flatten()).filter_map(Value::as_str);
    let code = words.filter_map(|text| text.strip_prefix("exit-")).find_map(|code| code.parse().ok());
    Nature::Exit(code.unwrap_or_default())
}

fn unknown_container(definition: &Value, input: &Value) -> Option<String> {
    let known = |name: &str| {
        let mut containers = definition["containerDefinitions"].as_array().into_iter().flatten();
        containers.any(|container| container["name"] == name)
    };
    let mut names = input["overrides"]["containerOverrides"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|one| one["name"].as_str());
    names.find(|name| !known(name)).map(str::to_owned)
}

pub(crate) fn stop(world: &mut World, call: &Call, input: &Value) -> Result<Value, AwsError> {
    let reference = text_of(input, "task").ok_or_else(|| AwsError::invalid("Task can not be blank."))?;
    let reason = text_of(input, "reason").unwrap_or("Task stopped by user").to_owned();
    let (pace, chance) = (world.pace(), world.chance);
    let region = world.region(&call.account, &call.region);
    let cluster = region.cluster(text_of(input, "cluster"))?;
    cluster.advance(call.now, pace);
    let name = cluster.name.clone();
    let id = short(reference);
    for service in cluster.services.values_mut() {
        if let Some(task) = service.tasks.iter_mut().find(|task| task.id == id) {
            task.stop("UserInitiated", reason.clone(), call.now, pace);
            service.wake_at(call.now + 1);
        }
    }
    if let Some(task) = cluster.tasks.get_mut(id).filter(|task| task.phase != Phase::Stopped) {
        task.stop("UserInitiated", reason, call.now, pace);
    }
    let cluster =
        region.clusters.get(&name).ok_or_else(|| AwsError::new("ClusterNotFoundException", "Cluster not found."))?;
    let task = cluster.all_tasks().find(|task| task.id == id);
    let task = task.ok_or_else(|| AwsError::invalid("The referenced task was not found."))?;
    Ok(json!({ "task": task.describe(region, &name, chance) }))
}
