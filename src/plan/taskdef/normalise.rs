//! The canonical form in which two task definitions are compared: equal meanings become equal JSON.
//!
//! Not a definition to register. The tables hold what ECS fills in, rewrites or re-orders between
//! RegisterTaskDefinition and DescribeTaskDefinition, and nothing that is merely likely.

use serde_json::{Map, Number, Value, json};

use super::registrable;

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

/// Top-level strings that say nothing when they are empty.
const BLANK_IS_ABSENT: [&str; 7] =
    ["cpu", "executionRoleArn", "ipcMode", "memory", "networkMode", "pidMode", "taskRoleArn"];

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

/// Returns the canonical form of a definition, or of DescribeTaskDefinition's answer. Tags are no part of it.
pub fn normalise(definition: &Value) -> Value {
    let mut definition = registrable(definition);
    if let Some(members) = definition.as_object_mut() {
        members
            .retain(|member, value| member != "tags" && !(value == "" && BLANK_IS_ABSENT.contains(&member.as_str())));
    }
    prune(&mut definition);
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

/// Removes nulls, empty lists and objects that say nothing; writes whole numbers as integers.
fn prune(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.values_mut().for_each(prune);
            members.retain(|member, value| match value {
                Value::Null => false,
                Value::Array(items) => !items.is_empty(),
                Value::Object(inner) => !inner.is_empty() || !EMPTY_IS_ABSENT.contains(&member.as_str()),
                _ => true,
            });
        }
        Value::Array(items) => items.iter_mut().for_each(prune),
        Value::Number(number) => {
            // Beyond 2^53 a float no longer names one integer.
            if let Some(float) = number.as_f64().filter(|f| number.is_f64() && f.fract() == 0.0 && f.abs() < 9e15) {
                *number = Number::from(float as i64);
            }
        }
        Value::Null | Value::Bool(_) | Value::String(_) => {}
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
