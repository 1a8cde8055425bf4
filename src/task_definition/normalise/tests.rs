//! Tests of normalise.

use super::*;
use crate::task_definition::compose::same;

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
