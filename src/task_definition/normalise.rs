//! The canonical form in which two task definitions are compared: equal meanings become equal JSON.
//!
//! Not a definition to register. The tables hold what ECS fills in, rewrites or re-orders between
//! RegisterTaskDefinition and DescribeTaskDefinition, and nothing that is merely likely.

use serde_json::{Map, Number, Value, json};

use crate::fleet::commit;

/// Objects that say nothing when they are empty. Others can: `dockerVolumeConfiguration: {}` chooses a kind of volume.
const EMPTY_IS_ABSENT: [&str; 9] = [
    "authorizationConfig",
    "capabilities",
    "dockerLabels",
    "driverOpts",
    "host",
    "labels",
    "linuxParameters",
    "options",
    "runtimePlatform",
];

/// Strings that say nothing when they are blank, wherever they are: enumerations, whose zero value ECS refuses, and
/// names of what would be used. A variable's `value` is none of them: there, blank is a value.
const BLANK_IS_ABSENT: [&str; 26] = [
    "appProtocol",
    "condition",
    "containerPortRange",
    "cpu",
    "cpuArchitecture",
    "executionRoleArn",
    "hostname",
    "iam",
    "ipcMode",
    "logDriver",
    "memory",
    "memoryReservation",
    "networkMode",
    "operatingSystemFamily",
    "pidMode",
    "propagation",
    "protocol",
    "rootDirectory",
    "scope",
    "sourcePath",
    "taskRoleArn",
    "transitEncryption",
    "type",
    "user",
    "versionConsistency",
    "workingDirectory",
];

/// Objects whose members have names and values that somebody chose: a blank one is a value.
const FREE: [&str; 4] = ["dockerLabels", "driverOpts", "labels", "options"];

/// Lists without an order, and the member that names their entries. Entries of one name keep their order: among
/// repeated variables the last wins.
const KEYED: [(&str, &str); 9] = [
    ("containerDefinitions", "name"),
    ("environment", "name"),
    ("extraHosts", "hostname"),
    ("properties", "name"),
    ("secretOptions", "name"),
    ("secrets", "name"),
    ("systemControls", "namespace"),
    ("ulimits", "name"),
    ("volumes", "name"),
];

/// Lists without an order whose entries have no name. `command`, `entryPoint`, `dependsOn`, `dnsServers`,
/// `dnsSearchDomains`, `mountOptions` and `environmentFiles` (processed "from the top down") have an order.
const SETS: [&str; 15] = [
    "add",
    "credentialSpecs",
    "devices",
    "dockerSecurityOptions",
    "drop",
    "ignoredExitCodes",
    "inferenceAccelerators",
    "links",
    "mountPoints",
    "permissions",
    "placementConstraints",
    "portMappings",
    "requiresCompatibilities",
    "resourceRequirements",
    "volumesFrom",
];

/// Whether a list has no order, and no names for its entries.
pub fn is_set(list: &str) -> bool {
    SETS.contains(&list)
}

/// Whether a member says nothing where it is blank, so that it is not sent.
pub(super) fn is_absent_when_blank(member: &str) -> bool {
    BLANK_IS_ABSENT.contains(&member)
}

/// Returns the canonical form of a definition, or of DescribeTaskDefinition's answer. Tags are no part of it.
pub fn normalise(definition: &Value) -> Value {
    let mut definition = registrable(definition);
    if let Some(members) = definition.as_object_mut() {
        members.shift_remove("tags");
    }
    if let Some(members) = definition.as_object_mut() {
        fill(members, or);
    }
    definition.sort_all_objects();
    sort(&mut definition);
    definition
}

/// Returns a canonical form without the defaults that it writes out: what somebody must have declared. Entries of lists
/// keep their places.
pub fn declared(canonical: &Value) -> Value {
    let mut definition = canonical.clone();
    if let Some(members) = definition.as_object_mut() {
        fill(members, unless);
    }
    prune(&mut definition);
    definition
}

/// Removes what says nothing, so that what is compared and what is sent are the same: nulls, blank strings of members
/// that cannot be blank, empty lists and objects, and variables without a value, which ECS drops. Writes whole numbers
/// as integers, and the protocols of ports as ECS keeps them.
pub(super) fn prune(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (member, value) in members.iter_mut() {
                match value {
                    Value::Object(free) if FREE.contains(&member.as_str()) => free.retain(|_, value| !value.is_null()),
                    Value::Array(entries) if member == "environment" => entries.retain(has_value),
                    Value::Array(mappings) if member == "portMappings" => {
                        mappings.iter_mut().filter_map(|mapping| mapping.get_mut("protocol")).for_each(transport);
                    }
                    _ => {}
                }
                if !FREE.contains(&member.as_str()) {
                    prune(value);
                }
            }
            members.retain(|member, value| match value {
                Value::Null => false,
                Value::Array(items) => !items.is_empty(),
                Value::Object(inner) => !inner.is_empty() || !EMPTY_IS_ABSENT.contains(&member.as_str()),
                Value::String(text) => !text.trim().is_empty() || !BLANK_IS_ABSENT.contains(&member.as_str()),
                Value::Bool(_) | Value::Number(_) => true,
            });
        }
        Value::Array(items) => {
            items.retain(|item| !item.is_null());
            items.iter_mut().for_each(prune);
        }
        Value::Number(number) => {
            // Beyond 2^53 a float no longer names one integer.
            if let Some(float) = number.as_f64().filter(|f| number.is_f64() && f.fract() == 0.0 && f.abs() < 9e15) {
                *number = Number::from(float as i64);
            }
        }
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

/// Whether ECS keeps an entry of `environment`: it drops those that have a name and no value.
fn has_value(entry: &Value) -> bool {
    entry.as_object().is_none_or(|entry| entry.get("value").is_some_and(|value| !value.is_null()))
}

/// Writes a port's protocol as ECS keeps it: in lower case, and `http` as the `tcp` that it is.
fn transport(protocol: &mut Value) {
    if let Some(text) = protocol.as_str() {
        let kept = text.trim().to_ascii_lowercase();
        *protocol = Value::String(if kept == "http" { "tcp".to_owned() } else { kept });
    }
}

/// What is done about a member and its default.
type Rule = fn(&mut Map<String, Value>, &str, Value);

/// Applies a rule to every member that has a default.
fn fill(definition: &mut Map<String, Value>, or: Rule) {
    or(definition, "networkMode", json!("bridge"));
    or(definition, "enableFaultInjection", json!(false));
    for (member, unit) in [("cpu", "vcpu"), ("memory", "gb")] {
        if let Some(size) = definition.get_mut(member) {
            *size = spelled(size, unit);
        }
    }
    if let Some(proxy) = definition.get_mut("proxyConfiguration").and_then(Value::as_object_mut) {
        or(proxy, "type", json!("APPMESH"));
    }
    for volume in objects(definition, "volumes") {
        fill_volume(volume, or);
    }
    let shared = matches!(definition.get("networkMode").and_then(Value::as_str), Some("awsvpc" | "host"));
    for container in objects(definition, "containerDefinitions") {
        fill_container(container, shared, or);
    }
}

fn fill_volume(volume: &mut Map<String, Value>, or: Rule) {
    or(volume, "configuredAtLaunch", json!(false));
    for member in ["efsVolumeConfiguration", "s3filesVolumeConfiguration"] {
        if let Some(files) = volume.get_mut(member).and_then(Value::as_object_mut) {
            or(files, "rootDirectory", json!("/"));
        }
    }
    if let Some(docker) = volume.get_mut("dockerVolumeConfiguration").and_then(Value::as_object_mut) {
        or(docker, "scope", json!("task"));
        or(docker, "driver", json!("local"));
        or(docker, "autoprovision", json!(false));
    }
    if let Some(files) = volume.get_mut("efsVolumeConfiguration").and_then(Value::as_object_mut) {
        or(files, "transitEncryption", json!("DISABLED"));
        let access = files.entry("authorizationConfig").or_insert_with(|| json!({}));
        if let Some(access) = access.as_object_mut() {
            or(access, "iam", json!("DISABLED"));
        }
    }
}

/// `shared`: the task's containers use its own (awsvpc) or the host's ports as they are, not mapped ones.
fn fill_container(container: &mut Map<String, Value>, shared: bool, or: Rule) {
    or(container, "cpu", json!(0));
    or(container, "essential", json!(true));
    or(container, "versionConsistency", json!("enabled"));
    if container.contains_key("firelensConfiguration") {
        // The log router of FireLens runs as root.
        or(container, "user", json!("0"));
    }
    for member in ["disableNetworking", "interactive", "privileged", "pseudoTerminal", "readonlyRootFilesystem"] {
        or(container, member, json!(false));
    }
    for mapping in objects(container, "portMappings") {
        or(mapping, "protocol", json!("tcp"));
        let port = mapping.get("containerPort").filter(|_| shared).cloned().unwrap_or(json!(0));
        // No port and port 0 are the same choice, so 0 is no value that a default could leave alone.
        if mapping.get("hostPort").is_some_and(|host| host.as_u64() == Some(0)) {
            mapping.shift_remove("hostPort");
        }
        or(mapping, "hostPort", port);
    }
    for list in ["mountPoints", "volumesFrom"] {
        for entry in objects(container, list) {
            or(entry, "readOnly", json!(false));
        }
    }
    if let Some(health) = container.get_mut("healthCheck").and_then(Value::as_object_mut) {
        for (member, seconds) in [("interval", 30), ("timeout", 5), ("retries", 3), ("startPeriod", 0)] {
            or(health, member, json!(seconds));
        }
    }
    if let Some(restart) = container.get_mut("restartPolicy").and_then(Value::as_object_mut) {
        or(restart, "restartAttemptPeriod", json!(300));
    }
    if let Some(linux) = container.get_mut("linuxParameters").and_then(Value::as_object_mut) {
        linux.retain(|member, value| !(member == "initProcessEnabled" && *value == json!(false)));
        if linux.is_empty() {
            container.shift_remove("linuxParameters");
        }
    }
}

/// Sets a member that is absent.
fn or(object: &mut Map<String, Value>, member: &str, default: Value) {
    object.entry(member).or_insert(default);
}

/// Removes a member that has its default.
fn unless(object: &mut Map<String, Value>, member: &str, default: Value) {
    if object.get(member) == Some(&default) {
        object.shift_remove(member);
    }
}

/// Returns the objects of a list that is a member of `object`.
fn objects<'a>(object: &'a mut Map<String, Value>, list: &str) -> impl Iterator<Item = &'a mut Map<String, Value>> {
    let items = object.get_mut(list).and_then(Value::as_array_mut);
    items.into_iter().flatten().filter_map(Value::as_object_mut)
}

/// Returns a task's `cpu` or `memory` as ECS gives it back: `1 vCPU`, `.5 vcpu`, `1GB` and 1024 become CPU units or
/// MiB in digits. What is not understood stays as it is.
fn spelled(size: &Value, unit: &str) -> Value {
    let text = match size {
        Value::String(text) => text.trim().to_ascii_lowercase(),
        Value::Number(number) => number.to_string(),
        _ => return size.clone(),
    };
    let units = match text.strip_suffix(unit) {
        Some(count) => {
            let units = count.trim_end().parse::<f64>().ok().map(|count| count * 1024.0);
            units.filter(|units| units.fract() == 0.0 && (0.0..1e9).contains(units)).map(|units| units as u64)
        }
        None => text.parse::<u64>().ok(),
    };
    units.map_or_else(|| size.clone(), |units| Value::String(units.to_string()))
}

/// Sorts the lists that have no order. The members of every object are sorted already.
fn sort(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (member, value) in members {
                sort(value);
                let Value::Array(items) = value else { continue };
                if let Some((_, key)) = KEYED.iter().find(|(list, _)| list == member) {
                    items.sort_by_cached_key(|item| {
                        item.get(key).and_then(Value::as_str).map_or_else(|| item.to_string(), str::to_owned)
                    });
                } else if SETS.contains(&member.as_str()) {
                    items.sort_by_cached_key(Value::to_string);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(sort),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests;

/// What DescribeTaskDefinition gives and RegisterTaskDefinition refuses (`TaskDefinition` less
/// `RegisterTaskDefinitionRequest` in the service model).
pub(crate) const READ_ONLY: [&str; 9] = [
    "taskDefinitionArn",
    "revision",
    "status",
    "requiresAttributes",
    "compatibilities",
    "registeredAt",
    "registeredBy",
    "deregisteredAt",
    "deleteRequestedAt",
];

/// Returns what RegisterTaskDefinition takes of what DescribeTaskDefinition gives.
///
/// Takes the whole answer (`{"taskDefinition": {…}, "tags": […]}`) or the definition alone. Tags stay, except those of
/// AWS's reserved prefix and of our own, which tell of another run. What says nothing goes: nulls, empty lists, blank
/// roles and enumerations, which ECS refuses ("Tags can not be empty.", "Role is not valid").
pub fn registrable(described: &Value) -> Value {
    let inner = described.get("taskDefinition").filter(|inner| inner.is_object());
    let Some(mut definition) = inner.unwrap_or(described).as_object().cloned() else { return described.clone() };
    definition.retain(|member, _| !READ_ONLY.contains(&member.as_str()));
    if let (Some(_), Some(tags)) = (inner, described.get("tags")) {
        definition.insert("tags".to_owned(), tags.clone());
    }
    if let Some(tags) = definition.get_mut("tags").and_then(Value::as_array_mut) {
        let reserved = |key: &str| key.starts_with("aws:") || key.starts_with(commit::PREFIX);
        tags.retain(|tag| !tag.get("key").and_then(Value::as_str).is_some_and(reserved));
    }
    let mut definition = Value::Object(definition);
    prune(&mut definition);
    definition
}
