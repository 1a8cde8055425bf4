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
mod tests {
    use super::super::same;
    use super::*;

    /// A definition with one container of these members.
    fn container(members: Value) -> Value {
        let mut container = json!({"name": "app", "image": "r/api:1"});
        for (member, value) in members.as_object().expect("an object") {
            container[member] = value.clone();
        }
        json!({"family": "api", "containerDefinitions": [container]})
    }

    fn task(members: Value) -> Value {
        let mut task = container(json!({}));
        for (member, value) in members.as_object().expect("an object") {
            task[member] = value.clone();
        }
        task
    }

    #[track_caller]
    fn equal(left: Value, right: Value) {
        assert_eq!(normalise(&left), normalise(&right));
        assert!(same(&left, &right) && same(&right, &left));
    }

    #[track_caller]
    fn different(left: Value, right: Value) {
        assert!(!same(&left, &right), "{left} and {right}");
        assert!(!same(&right, &left));
    }

    #[test]
    fn a_container_is_essential_unless_it_says_otherwise() {
        equal(container(json!({})), container(json!({"essential": true})));
        different(container(json!({})), container(json!({"essential": false})));
    }

    #[test]
    fn a_container_without_cpu_has_none() {
        equal(container(json!({})), container(json!({"cpu": 0})));
        equal(container(json!({"cpu": 10})), container(json!({"cpu": 10.0})));
        different(container(json!({})), container(json!({"cpu": 1})));
    }

    #[test]
    fn a_port_is_tcp() {
        let port = |protocol: Value| container(json!({"portMappings": [{"containerPort": 80, "protocol": protocol}]}));
        equal(port(json!("tcp")), port(Value::Null));
        different(port(json!("udp")), port(Value::Null));
    }

    #[test]
    fn a_host_port_under_awsvpc_and_host_is_the_containers() {
        let port = |mode: &str, host: Value| {
            let mut definition = container(json!({"portMappings": [{"containerPort": 80, "hostPort": host}]}));
            definition["networkMode"] = json!(mode);
            definition
        };
        for mode in ["awsvpc", "host"] {
            equal(port(mode, Value::Null), port(mode, json!(80)));
            equal(port(mode, json!(0)), port(mode, json!(80)));
            different(port(mode, Value::Null), port(mode, json!(81)));
        }
        equal(port("bridge", Value::Null), port("bridge", json!(0)));
        different(port("bridge", Value::Null), port("bridge", json!(80)));
    }

    #[test]
    fn a_health_check_has_its_intervals() {
        let check = |members: Value| {
            let mut check = json!({"command": ["CMD", "true"]});
            for (member, value) in members.as_object().expect("an object") {
                check[member] = value.clone();
            }
            container(json!({"healthCheck": check}))
        };
        equal(check(json!({})), check(json!({"interval": 30, "timeout": 5, "retries": 3})));
        equal(check(json!({})), check(json!({"startPeriod": 0})));
        for member in ["interval", "timeout", "retries", "startPeriod"] {
            different(check(json!({})), check(json!({member: 7})));
        }
        different(check(json!({})), container(json!({})));
    }

    #[test]
    fn an_empty_list_is_an_absent_one() {
        let lists = [
            "command",
            "entryPoint",
            "environment",
            "environmentFiles",
            "mountPoints",
            "portMappings",
            "volumesFrom",
            "systemControls",
            "secrets",
            "ulimits",
            "links",
            "dnsServers",
            "dependsOn",
            "listOfTheFuture",
        ];
        for list in lists {
            equal(container(json!({})), container(json!({list: []})));
            equal(container(json!({})), container(json!({list: null})));
        }
        equal(task(json!({})), task(json!({"volumes": [], "placementConstraints": [], "inferenceAccelerators": []})));
        let empty = json!({"capabilities": {"add": [], "drop": []}, "devices": [], "tmpfs": []});
        equal(container(json!({})), container(json!({"linuxParameters": empty})));
        let log = |members: Value| container(json!({"logConfiguration": members}));
        equal(
            log(json!({"logDriver": "awslogs"})),
            log(json!({"logDriver": "awslogs", "options": {}, "secretOptions": []})),
        );
    }

    #[test]
    fn an_empty_object_that_chooses_something_is_kept() {
        let volume = |members: Value| task(json!({"volumes": [members]}));
        equal(volume(json!({"name": "v"})), volume(json!({"name": "v", "host": {}})));
        different(volume(json!({"name": "v"})), volume(json!({"name": "v", "dockerVolumeConfiguration": {}})));
        different(container(json!({})), container(json!({"memberOfTheFuture": {}})));
    }

    #[test]
    fn an_empty_value_of_a_variable_is_a_value() {
        let variable = |value: &str| container(json!({"environment": [{"name": "A", "value": value}]}));
        different(variable(""), variable("x"));
        different(variable(""), container(json!({})));
    }

    #[test]
    fn blank_roles_and_modes_are_absent() {
        equal(task(json!({})), task(json!({"taskRoleArn": "", "executionRoleArn": "", "pidMode": "", "ipcMode": ""})));
    }

    #[test]
    fn one_vcpu_is_1024_and_one_gb_is_1024() {
        let sized = |cpu: Value, memory: Value| task(json!({"cpu": cpu, "memory": memory}));
        for (cpu, memory) in [
            (json!("1 vCPU"), json!("1 GB")),
            (json!("1vcpu"), json!("1GB")),
            (json!("1.0 vCPU"), json!("1gb")),
            (json!(1024), json!(1024)),
            (json!(1024.0), json!(" 1024 ")),
        ] {
            equal(sized(json!("1024"), json!("1024")), sized(cpu, memory));
        }
        equal(sized(json!("512"), json!("512")), sized(json!(".5 vcpu"), json!("0.5 GB")));
        different(sized(json!("1 vCPU"), json!("1 GB")), sized(json!("2 vCPU"), json!("1 GB")));
        different(sized(json!("one"), Value::Null), sized(json!("two"), Value::Null));
        different(sized(json!("1 GB"), Value::Null), sized(json!("1024"), Value::Null));
    }

    #[test]
    fn a_file_system_is_mounted_at_its_root() {
        let volume = |config: Value| task(json!({"volumes": [{"name": "v", "efsVolumeConfiguration": config}]}));
        let bare = || volume(json!({"fileSystemId": "fs-1"}));
        equal(bare(), volume(json!({"fileSystemId": "fs-1", "rootDirectory": "/", "transitEncryption": "DISABLED"})));
        equal(bare(), volume(json!({"fileSystemId": "fs-1", "authorizationConfig": {"iam": "DISABLED"}})));
        different(bare(), volume(json!({"fileSystemId": "fs-1", "rootDirectory": "/data"})));
        different(bare(), volume(json!({"fileSystemId": "fs-1", "authorizationConfig": {"iam": "ENABLED"}})));
    }

    #[test]
    fn the_network_mode_is_bridge() {
        equal(task(json!({})), task(json!({"networkMode": "bridge"})));
        different(task(json!({})), task(json!({"networkMode": "host"})));
    }

    #[test]
    fn switches_that_are_off_are_absent() {
        equal(container(json!({})), container(json!({"privileged": false, "readonlyRootFilesystem": false})));
        equal(container(json!({})), container(json!({"linuxParameters": {"initProcessEnabled": false}})));
        equal(container(json!({})), container(json!({"versionConsistency": "enabled"})));
        equal(task(json!({})), task(json!({"enableFaultInjection": false})));
        different(container(json!({})), container(json!({"privileged": true})));
        let mount = |read_only: Value| {
            container(json!({"mountPoints": [{"sourceVolume": "v", "containerPath": "/v", "readOnly": read_only}],
                "volumesFrom": [{"sourceContainer": "log", "readOnly": read_only}]}))
        };
        equal(mount(Value::Null), mount(json!(false)));
        different(mount(Value::Null), mount(json!(true)));
    }

    #[test]
    fn lists_without_an_order_are_sorted() {
        let entries: [(&str, Value, Value); 12] = [
            ("environment", json!({"name": "A", "value": "2"}), json!({"name": "B", "value": "1"})),
            ("secrets", json!({"name": "A", "valueFrom": "2"}), json!({"name": "B", "valueFrom": "1"})),
            ("mountPoints", json!({"sourceVolume": "a"}), json!({"sourceVolume": "b"})),
            ("portMappings", json!({"containerPort": 80}), json!({"containerPort": 443, "protocol": "udp"})),
            ("volumesFrom", json!({"sourceContainer": "a"}), json!({"sourceContainer": "b"})),
            ("ulimits", json!({"name": "core", "softLimit": 1}), json!({"name": "cpu", "softLimit": 0})),
            ("systemControls", json!({"namespace": "a", "value": "2"}), json!({"namespace": "b", "value": "1"})),
            ("extraHosts", json!({"hostname": "a"}), json!({"hostname": "b"})),
            ("resourceRequirements", json!({"type": "GPU", "value": "1"}), json!({"type": "X", "value": "1"})),
            ("links", json!("a"), json!("b")),
            ("dockerSecurityOptions", json!("a"), json!("b")),
            ("credentialSpecs", json!("a"), json!("b")),
        ];
        for (list, one, other) in entries {
            equal(container(json!({list: [one, other]})), container(json!({list: [other, one]})));
            different(container(json!({list: [one, other]})), container(json!({list: [one]})));
        }
        let add = |names: Value| container(json!({"linuxParameters": {"capabilities": {"add": names}}}));
        equal(add(json!(["NET_ADMIN", "SYS_TIME"])), add(json!(["SYS_TIME", "NET_ADMIN"])));
    }

    #[test]
    fn containers_volumes_constraints_and_compatibilities_are_sorted() {
        let (a, b) = (json!({"name": "a", "image": "2"}), json!({"name": "b", "image": "1"}));
        equal(json!({"containerDefinitions": [a, b]}), json!({"containerDefinitions": [b, a]}));
        equal(task(json!({"volumes": [a, b]})), task(json!({"volumes": [b, a]})));
        let (a, b) = (json!({"type": "memberOf", "expression": "a"}), json!({"type": "memberOf", "expression": "b"}));
        equal(task(json!({"placementConstraints": [a, b]})), task(json!({"placementConstraints": [b, a]})));
        equal(
            task(json!({"requiresCompatibilities": ["EC2", "FARGATE"]})),
            task(json!({"requiresCompatibilities": ["FARGATE", "EC2"]})),
        );
        let (a, b) = (json!({"name": "a", "value": "2"}), json!({"name": "b", "value": "1"}));
        let proxy = |properties: Value| json!({"proxyConfiguration": {"containerName": "e", "properties": properties}});
        equal(task(proxy(json!([a, b]))), task(proxy(json!([b, a]))));
    }

    #[test]
    fn lists_with_an_order_keep_it() {
        for list in ["command", "entryPoint", "dnsServers", "dnsSearchDomains"] {
            different(container(json!({list: ["a", "b"]})), container(json!({list: ["b", "a"]})));
        }
        let (a, b) = (json!({"type": "s3", "value": "a"}), json!({"type": "s3", "value": "b"}));
        different(container(json!({"environmentFiles": [a, b]})), container(json!({"environmentFiles": [b, a]})));
        let (a, b) =
            (json!({"containerName": "a", "condition": "START"}), json!({"containerName": "b", "condition": "START"}));
        different(container(json!({"dependsOn": [a, b]})), container(json!({"dependsOn": [b, a]})));
    }

    #[test]
    fn the_last_of_two_equal_names_wins_so_their_order_counts() {
        let (one, two) = (json!({"name": "A", "value": "1"}), json!({"name": "A", "value": "2"}));
        different(container(json!({"environment": [one, two]})), container(json!({"environment": [two, one]})));
    }

    #[test]
    fn log_options_have_no_order() {
        let log = |options: Value| container(json!({"logConfiguration": {"logDriver": "awslogs", "options": options}}));
        equal(log(json!({"a": "1", "b": "2"})), log(json!({"b": "2", "a": "1"})));
        different(log(json!({"a": "1"})), log(json!({"a": "2"})));
    }

    #[test]
    fn required_compatibilities_count() {
        // ECS omits the member where it was not registered, so a difference is one that was written.
        different(task(json!({})), task(json!({"requiresCompatibilities": ["FARGATE"]})));
    }

    #[test]
    fn tags_and_computed_members_do_not_count() {
        let computed = json!({"tags": [{"key": "a", "value": "b"}], "compatibilities": ["EC2"], "revision": 3,
            "requiresAttributes": [{"name": "x"}], "status": "ACTIVE", "registeredAt": 1.5});
        equal(task(json!({})), task(computed));
    }

    #[test]
    fn members_that_nobody_knows_count() {
        different(task(json!({})), task(json!({"memberOfTheFuture": false})));
        different(container(json!({"new": {"deep": [1, 2]}})), container(json!({"new": {"deep": [2, 1]}})));
    }
}
