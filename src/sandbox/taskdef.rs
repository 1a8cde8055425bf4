//! Task definitions: registering with ECS's defaults, finding and listing them.
//!
//! They stay JSON. What AWS refuses and leaves out, `task_definition` says; `Sandbox::take_everything` has all of it taken.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::base::arn;
use crate::base::document::Document;
use crate::sandbox::ecs::{list_of, page, text_of};
use crate::sandbox::fault::Fault;
use crate::sandbox::moment::{Moment, epoch};
use crate::sandbox::region::Region;
use crate::sandbox::wire::AwsError;
use crate::sandbox::world::{Call, World};
use crate::task_definition::{self, Finding, Kind};

/// A family of task definitions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Family {
    /// The newest number ever given; it never decreases.
    pub(crate) last: u32,
    /// When that was.
    pub(crate) registered: Moment,
    pub(crate) revisions: BTreeMap<u32, Definition>,
}

/// One revision.
#[derive(Clone, Debug)]
pub(crate) struct Definition {
    pub(crate) body: Document,
    pub(crate) tags: Vec<Value>,
    pub(crate) active: bool,
    /// When it was registered; 0 where it was there from the beginning.
    pub(crate) registered: Moment,
}

const NOT_FOUND: &str = "Unable to describe task definition.";

pub(crate) fn register(world: &mut World, call: &Call, input: &Value) -> Result<Value, AwsError> {
    let judged = !world.takes_everything;
    let family = text_of(input, "family").ok_or_else(|| AwsError::client("Family should not be null or empty."))?;
    if family.len() > 255 || !family.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_') {
        return Err(AwsError::client("Family contains invalid characters."));
    }
    validate(input)?;
    let tags = match input.get("tags").and_then(Value::as_array) {
        Some(tags) if tags.is_empty() => return Err(AwsError::client("Tags can not be empty.")),
        Some(tags) => tags.clone(),
        None => Vec::new(),
    };
    if judged {
        judge(input)?;
        pass_roles(call, input)?;
    }
    let filled = world.service_faults(&call.account, &call.region, family).contains(&Fault::FillsIn).then(|| {
        let mut input = input.clone();
        for container in input["containerDefinitions"].as_array_mut().into_iter().flatten() {
            if container["stopTimeout"].is_null() {
                container["stopTimeout"] = json!(30);
            }
        }
        input
    });
    let input = filled.as_ref().unwrap_or(input);
    let region = world.region(&call.account, &call.region);
    // Two requests of one family that overlap in time: ECS carries the first out, and refuses the other.
    if region.families.get(family).is_some_and(|family| family.registered > call.sent) {
        let text = "Too many concurrent attempts to create a new revision of the specified family.";
        return Err(AwsError::client(text));
    }
    let body = region.register(family, input, tags.clone(), &call.principal.arn, call.now);
    let mut output = json!({ "taskDefinition": body });
    if !tags.is_empty() {
        output["tags"] = json!(tags);
    }
    Ok(output)
}

impl Region {
    /// Adds a revision to a family, with what ECS fills in.
    pub(crate) fn register(&mut self, family: &str, input: &Value, tags: Vec<Value>, by: &str, now: u64) -> Value {
        let number = self.families.get(family).map_or(0, |family| family.last) + 1;
        self.register_as((family, number), input, tags, by, now)
    }

    /// Adds a revision with a number of its own.
    pub(crate) fn register_as(
        &mut self,
        (family, number): (&str, u32),
        input: &Value,
        tags: Vec<Value>,
        by: &str,
        now: u64,
    ) -> Value {
        let arn = self.arn(&format!("task-definition/{family}:{number}"));
        let mut body = Map::new();
        let given = input.as_object().cloned().unwrap_or_default();
        body.extend(given.into_iter().filter(|(key, value)| key != "tags" && !value.is_null()));
        // The request has no such member, so that ECS never reads it.
        body.insert("taskDefinitionArn".into(), json!(arn));
        body.insert("revision".into(), json!(number));
        body.insert("status".into(), json!("ACTIVE"));
        body.insert("registeredAt".into(), epoch(now));
        body.insert("registeredBy".into(), json!(by));
        fill_in(&mut body);
        let body = Value::Object(body);
        let entry = self.families.entry(family.to_owned()).or_default();
        entry.last = entry.last.max(number);
        entry.registered = now;
        entry
            .revisions
            .insert(number, Definition { body: Document::write(&body), tags, active: true, registered: now });
        body
    }

    /// Finds a definition by its ARN, `family:number` or family, which means the newest ACTIVE one.
    pub(crate) fn definition(&self, reference: &str) -> Option<(String, u32, &Definition)> {
        let name = match reference.strip_prefix("arn:") {
            Some(_) => reference.strip_prefix(&self.arn("task-definition/"))?,
            None => reference,
        };
        let (family, number) = match name.rsplit_once(':') {
            Some((family, number)) => (family, Some(number.parse::<u32>().ok()?)),
            None => (name, None),
        };
        let revisions = &self.families.get(family)?.revisions;
        let (number, definition) = match number {
            Some(number) => (number, revisions.get(&number)?),
            None => revisions.iter().rev().find(|(_, one)| one.active).map(|(number, one)| (*number, one))?,
        };
        Some((family.to_owned(), number, definition))
    }
}

pub(crate) fn describe(world: &mut World, call: &Call, input: &Value) -> Result<Value, AwsError> {
    let reference =
        text_of(input, "taskDefinition").ok_or_else(|| AwsError::client("Task definition can not be blank."))?;
    let region = world.region(&call.account, &call.region);
    let (_, _, definition) = region.definition(reference).ok_or_else(|| AwsError::client(NOT_FOUND))?;
    let mut output = json!({ "taskDefinition": definition.body });
    if list_of(input, "include").contains(&"TAGS") {
        output["tags"] = json!(definition.tags);
    }
    Ok(output)
}

pub(crate) fn deregister(world: &mut World, call: &Call, input: &Value) -> Result<Value, AwsError> {
    let reference =
        text_of(input, "taskDefinition").ok_or_else(|| AwsError::client("Task definition can not be blank."))?;
    if !arn::name(reference).contains(':') {
        return Err(AwsError::client("Unrecognized task definition revision: a revision is needed"));
    }
    let region = world.region(&call.account, &call.region);
    let found = region.definition(reference).map(|(family, number, _)| (family, number));
    let (family, number) = found.ok_or_else(|| AwsError::client("The specified task definition does not exist."))?;
    let revision = region.families.get_mut(&family).and_then(|family| family.revisions.get_mut(&number));
    let revision = revision.ok_or_else(|| AwsError::client(NOT_FOUND))?;
    revision.active = false;
    let mut body = revision.body.value();
    body["status"] = json!("INACTIVE");
    body["deregisteredAt"] = epoch(call.now);
    revision.body = Document::write(&body);
    Ok(json!({ "taskDefinition": body }))
}

pub(crate) fn list(world: &mut World, call: &Call, input: &Value) -> Result<Value, AwsError> {
    let active = text_of(input, "status").unwrap_or("ACTIVE") == "ACTIVE";
    let wanted = text_of(input, "familyPrefix");
    let listed = world.listed_until(call);
    let region = world.region(&call.account, &call.region);
    let mut arns = Vec::new();
    for (name, family) in region.families.iter().filter(|(name, _)| wanted.is_none_or(|wanted| wanted == name.as_str()))
    {
        let numbers = family.revisions.iter().filter(|(_, one)| one.active == active && one.registered <= listed);
        let numbers = numbers.map(|(number, _)| number);
        arns.extend(numbers.map(|number| json!(region.arn(&format!("task-definition/{name}:{number}")))));
    }
    if text_of(input, "sort") == Some("DESC") {
        arns.reverse();
    }
    page(input, arns, "taskDefinitionArns", 100)
}

pub(crate) fn families(world: &mut World, call: &Call, input: &Value) -> Result<Value, AwsError> {
    let status = text_of(input, "status").unwrap_or("ACTIVE");
    let prefix = text_of(input, "familyPrefix").unwrap_or_default();
    let region = world.region(&call.account, &call.region);
    let matches = |family: &Family| {
        let active = family.revisions.values().any(|one| one.active);
        status == "ALL" || active == (status == "ACTIVE")
    };
    let names = region.families.iter().filter(|(name, family)| name.starts_with(prefix) && matches(family));
    let names = names.map(|(name, _)| json!(name)).collect();
    page(input, names, "families", 100)
}

fn validate(input: &Value) -> Result<(), AwsError> {
    let containers = input.get("containerDefinitions").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if containers.is_empty() {
        return Err(AwsError::client("Container list cannot be empty."));
    }
    if containers.len() > 10 {
        return Err(AwsError::client("Too many containers: at most 10 containers are allowed in a task definition."));
    }
    if input.to_string().len() > 64 * 1024 {
        return Err(AwsError::client(
            "Actual length: the task definition is larger than the maximum size of 65536 bytes.",
        ));
    }
    let fargate = list_of(input, "requiresCompatibilities").contains(&"FARGATE");
    for container in containers {
        let name = text_of(container, "name").unwrap_or_default();
        if name.is_empty() {
            return Err(AwsError::client("Container.name should not be null or empty."));
        }
        if text_of(container, "image").is_none_or(str::is_empty) {
            return Err(AwsError::client("Container.image should not be null or empty."));
        }
        let memory =
            ["memory", "memoryReservation"].iter().any(|key| container.get(*key).is_some_and(|m| !m.is_null()));
        if !memory && input.get("memory").is_none_or(Value::is_null) {
            return Err(AwsError::client(format!(
                "Invalid setting for container '{name}'. At least one of 'memory' or 'memoryReservation' must be specified."
            )));
        }
        if fargate
            && container["logConfiguration"]["logDriver"] == "awslogs"
            && text_of(input, "executionRoleArn").is_none()
        {
            return Err(AwsError::client(
                "Fargate requires task definition to have execution role ARN to support log driver awslogs.",
            ));
        }
    }
    if fargate && text_of(input, "networkMode") != Some("awsvpc") {
        return Err(AwsError::client("Fargate only supports network mode 'awsvpc'."));
    }
    if fargate && (input.get("cpu").is_none() || input.get("memory").is_none()) {
        return Err(AwsError::client("No Fargate configuration exists for given values."));
    }
    Ok(())
}

/// Refuses roles of another account: no policy can allow to pass them.
fn pass_roles(call: &Call, input: &Value) -> Result<(), AwsError> {
    let roles = ["taskRoleArn", "executionRoleArn"].into_iter().filter_map(|member| text_of(input, member));
    let mut roles = roles.filter(|role| role.starts_with("arn:"));
    match roles.any(|role| crate::sandbox::account::parts(role).1 != call.account) {
        true => Err(AwsError::new("AccessDeniedException", "Cross-account pass role is not allowed.")),
        false => Ok(()),
    }
}

/// Refuses what AWS's own rules refuse besides.
fn judge(input: &Value) -> Result<(), AwsError> {
    // A template where AWS knows no rule is only text to it.
    let refused = |finding: &Finding| match finding.kind {
        Kind::Refused => true,
        Kind::Placeholder => finding.is_of_image(),
        Kind::Type | Kind::Dropped => false,
    };
    match task_definition::judge(input).into_iter().find(refused) {
        Some(finding) if finding.is_of_image() => Err(AwsError::client("Container.image contains invalid characters.")),
        Some(finding) => Err(AwsError::client(format!("Invalid task definition: {}.", finding.message))),
        None => Ok(()),
    }
}

fn fill_in(body: &mut Map<String, Value>) {
    let awsvpc = matches!(body.get("networkMode").and_then(Value::as_str), Some("awsvpc" | "host"));
    for (key, unit, factor) in [("cpu", "vcpu", 1024.0), ("memory", "gb", 1024.0)] {
        let text = match body.get(key) {
            Some(Value::String(text)) => text.clone(),
            // What the sandbox starts from has not been registered: a file may have a bare number.
            Some(Value::Number(number)) => number.to_string(),
            _ => continue,
        };
        body.insert(key.to_owned(), json!(in_units(&text, unit, factor)));
    }
    for key in ["volumes", "placementConstraints"] {
        body.entry(key).or_insert_with(|| json!([]));
    }
    if let Some(Value::Array(volumes)) = body.get_mut("volumes") {
        volumes.retain(|volume| !volume.is_null());
        for volume in volumes {
            if let Some(Value::Object(docker)) = volume.get_mut("dockerVolumeConfiguration") {
                docker.entry("scope").or_insert_with(|| json!("task"));
            }
            if let Some(Value::Object(efs)) = volume.get_mut("efsVolumeConfiguration") {
                efs.entry("rootDirectory").or_insert_with(|| json!("/"));
            }
        }
    }
    let fargate = body.get("cpu").is_some() && body.get("memory").is_some() && awsvpc;
    body.insert("compatibilities".into(), if fargate { json!(["EC2", "FARGATE"]) } else { json!(["EC2"]) });
    let mut attributes = vec![json!({ "name": "com.amazonaws.ecs.capability.docker-remote-api.1.18" })];
    if awsvpc {
        attributes.push(json!({ "name": "ecs.capability.task-eni" }));
    }
    body.insert("requiresAttributes".into(), json!(attributes));
    if let Some(Value::Array(containers)) = body.get_mut("containerDefinitions") {
        for container in containers.iter_mut().filter_map(Value::as_object_mut) {
            fill_in_container(container, awsvpc);
        }
    }
}

fn fill_in_container(container: &mut Map<String, Value>, same_port: bool) {
    container.retain(|_, value| !value.is_null());
    for key in ["environment", "mountPoints", "volumesFrom", "portMappings", "systemControls"] {
        container.entry(key).or_insert_with(|| json!([]));
    }
    container.entry("cpu").or_insert_with(|| json!(0));
    container.entry("essential").or_insert_with(|| json!(true));
    if container.contains_key("firelensConfiguration") {
        container.entry("user").or_insert_with(|| json!("0"));
    }
    if let Some(Value::Array(variables)) = container.get_mut("environment") {
        variables.retain(|variable| variable["value"].is_string());
    }
    if let Some(Value::Array(ports)) = container.get_mut("portMappings") {
        for port in ports.iter_mut().filter_map(Value::as_object_mut) {
            port.entry("protocol").or_insert_with(|| json!("tcp"));
            if port["protocol"] == "http" {
                port.insert("protocol".into(), json!("tcp"));
            }
            let own = port.get("containerPort").cloned().unwrap_or_else(|| json!(0));
            let given = port.get("hostPort").and_then(Value::as_u64).unwrap_or_default();
            if given == 0 {
                port.insert("hostPort".into(), if same_port { own } else { json!(0) });
            }
        }
    }
    if let Some(Value::Object(check)) = container.get_mut("healthCheck") {
        for (key, default) in [("interval", 30), ("timeout", 5), ("retries", 3)] {
            check.entry(key).or_insert_with(|| json!(default));
        }
    }
    // ECS keeps the environment as a map and gives it back in its own order.
    for key in ["environment", "secrets"] {
        if let Some(Value::Array(items)) = container.get_mut(key) {
            items.sort_by(|a, b| a["name"].as_str().cmp(&b["name"].as_str()));
        }
    }
}

/// Returns `1024` for `1 vCPU`, `1024` and `1GB`.
fn in_units(text: &str, unit: &str, factor: f64) -> String {
    let lower = text.to_ascii_lowercase();
    match lower.strip_suffix(unit).and_then(|number| number.trim().parse::<f64>().ok()) {
        Some(number) => format!("{}", number * factor),
        None => text.to_owned(),
    }
}
