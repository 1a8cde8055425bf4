use serde_json::{Value, json};

use super::*;

fn good() -> Value {
    json!({
        "family": "api", "cpu": "256", "memory": "512", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"],
        "executionRoleArn": "arn:aws:iam::111111111111:role/e",
        "containerDefinitions": [{
            "name": "app", "image": "nginx:1", "portMappings": [{"containerPort": 80, "protocol": "tcp"}],
            "environment": [{"name": "A", "value": "${B} {{c}}"}],
            "secrets": [{"name": "S", "valueFrom": "arn:aws:ssm:eu-west-1:111111111111:parameter/s"}],
        }],
    })
}

fn messages(definition: &Value) -> Vec<String> {
    judge(definition).into_iter().map(|it| format!("{:?}: {} ({})", it.kind, it.message, it.help)).collect()
}

/// Puts a value at a JSON pointer of the good definition; members that are missing are made.
fn with(pointer: &str, value: Value) -> Value {
    let mut definition = good();
    let (parent, last) = pointer.rsplit_once('/').expect("a pointer");
    let parent = definition.pointer_mut(parent).expect("a parent");
    parent[last] = value;
    definition
}

#[test]
fn a_good_definition_has_no_finding() {
    assert_eq!(messages(&good()), Vec::<String>::new());
}

#[test]
fn each_fault_is_found_at_its_place() {
    let app = "/containerDefinitions/0";
    let cases: Vec<(String, Value, &str)> = vec![
        (format!("{app}/memory"), json!("512"), "Type: `memory` of container `app` must be a number"),
        (format!("{app}/memory"), json!(512.0), "Type: `memory` of container `app` must be a whole number"),
        (format!("{app}/command"), json!("npm start"), "Type: `command` of container `app` must be a list"),
        (format!("{app}/essential"), json!("true"), "Type: `essential` of container `app` must be true or false"),
        (format!("{app}/environment"), json!({"A": "b"}), "Type: `environment` of container `app` must be a list"),
        (format!("{app}/environment"), json!(["A=b"]), "Type: `environment[0]` of container `app` must be an object"),
        (
            format!("{app}/environment"),
            json!([{"name": "P", "value": 8080}]),
            "Type: `environment[0].value` of container `app` must be text (write it in quotes)",
        ),
        (format!("{app}/environment"), json!([{"name": "P", "value": null}]), "Dropped: `environment[0]`"),
        (
            format!("{app}/environment"),
            json!([{"value": "x"}]),
            "Refused: `environment[0]` of container `app` has no name",
        ),
        (format!("{app}/enviroment"), json!([]), "did you mean `environment`?"),
        (format!("{app}/memory_reservation"), json!(64), "did you mean `memoryReservation`?"),
        ("/networkMode".into(), json!("AwsVpc"), "Refused: `networkMode` cannot be `AwsVpc` (write `awsvpc`)"),
        ("/pidMode".into(), json!("container"), "Refused: `pidMode` cannot be `container`"),
        (
            "/requiresCompatibilities".into(),
            json!(["FARGATE", ""]),
            "Refused: `requiresCompatibilities[1]` cannot be blank",
        ),
        (
            "/family".into(),
            json!("api:4"),
            "Refused: `family` is not a task definition's family (write \"family\": \"api\"",
        ),
        ("/family".into(), json!("{{ must_env `X` }}"), "Placeholder: `family` has a template"),
        (format!("{app}/image"), json!("${ECR_IMAGE}"), "Placeholder: `image` of container `app` has a template"),
        (format!("{app}/image"), json!("r/x:<TAG>"), "Placeholder"),
        (format!("{app}/image"), json!("r/x:__TAG__"), "Placeholder"),
        (format!("{app}/image"), json!("r/x:%TAG%"), "Placeholder"),
        (format!("{app}/image"), json!("$REG/x"), "Placeholder"),
        (format!("{app}/image"), json!("https://r/x"), "Refused: `image` of container `app` is wrong"),
        (format!("{app}/image"), json!(""), "Refused: container `app` has no `image`"),
        (format!("{app}/memory"), json!("${MEM}"), "Placeholder: `memory` of container `app`"),
        ("/executionRoleArn".into(), json!(""), "Refused: `secrets` of container `app` needs an execution role"),
        ("/networkMode".into(), json!("bridge"), "Refused: `networkMode` must be `awsvpc` on Fargate"),
        ("/cpu".into(), json!(null), "Refused: the task definition has no `cpu`, which Fargate needs"),
        ("/memory".into(), json!("513"), "Refused: 513 is not a memory size of Fargate for cpu 256"),
        (format!("{app}/mountPoints"), json!([{"sourceVolume": "v"}]), "which `volumes` does not have"),
        (
            format!("{app}/secrets"),
            json!([{"name": "A", "valueFrom": "arn:aws:s3:::b/k"}]),
            "is an ARN of `s3`, and no secret",
        ),
        (format!("{app}/secrets"), json!([{"name": "A", "valueFrom": "p"}]), "which `environment` has, too"),
        (
            format!("{app}/dependsOn"),
            json!([{"containerName": "x", "condition": "START"}]),
            "there is no such container",
        ),
        (format!("{app}/essential"), json!(false), "has no essential container"),
        (format!("{app}/links"), json!(["x"]), "cannot be used with the network mode"),
        (format!("{app}/privileged"), json!(true), "cannot be true on Fargate"),
        (format!("{app}/dockerLabels"), json!({"a": "b".repeat(65_536)}), "bytes (ECS takes at most 65536)"),
        (
            "/volumes".into(),
            json!([{"name": "v", "dockerVolumeConfiguration": {"autoprovision": false}}]),
            "autoprovision",
        ),
        ("/tags".into(), json!([{"key": "", "value": "v"}]), "Refused: `tags[0].key` has 0 characters"),
        ("/pidMode".into(), json!("host"), "cannot be `host` on Fargate"),
        (format!("{app}/stopTimeout"), json!(121), "Fargate takes at most 120"),
        (format!("{app}/logConfiguration"), json!({"logDriver": "gelf"}), "cannot be `gelf` on Fargate"),
        (
            format!("{app}/logConfiguration"),
            json!({"logDriver": "awslogs", "options": {"awslogs-region": "Ireland"}}),
            "is `Ireland`, which is no region",
        ),
        (
            format!("{app}/secrets"),
            json!([{"name": "Z", "valueFrom": "arn:aws:ssm:region:1:parameter/x"}]),
            "names the region `region`",
        ),
        (format!("{app}/volumesFrom"), json!([{"sourceContainer": "x"}]), "there is no such container"),
        (
            format!("{app}/environmentFiles"),
            json!([{"type": "s3", "value": "a.env"}]),
            "is not the ARN of a file in S3",
        ),
        ("/ephemeralStorage".into(), json!({"sizeInGiB": 20}), "Fargate takes 21 to 200"),
    ];
    for (pointer, value, expected) in cases {
        let found = messages(&with(&pointer, value.clone()));
        assert!(found.iter().any(|it| it.contains(expected)), "{pointer} = {value}: {found:?}");
    }
    for count in [2, 11] {
        let container = good()["containerDefinitions"][0].clone();
        let found = messages(&with("/containerDefinitions", Value::Array(vec![container; count])));
        assert!(found.iter().any(|it| it.contains("another container is called so")), "{found:?}");
        assert_eq!(found.iter().any(|it| it.contains("at most 10")), count == 11, "{found:?}");
    }
}

#[test]
fn what_depends_on_another_member_is_found_at_its_place() {
    let app = "/containerDefinitions/0";
    let efs = |more: Value| {
        let mut efs = json!({"fileSystemId": "fs-1"});
        efs.as_object_mut().expect("an object").extend(more.as_object().cloned().expect("an object"));
        json!([{"name": "v", "efsVolumeConfiguration": efs}])
    };
    let point = json!({"accessPointId": "fsap-1"});
    let log = |driver: &str, options: Value| json!({"logDriver": driver, "options": options});
    let router = |options: Value| json!({"type": "fluentbit", "options": options});
    let cases: Vec<(String, Value, &str)> = vec![
        (
            "/volumes".into(),
            efs(json!({"authorizationConfig": point})),
            "`volumes[0].efsVolumeConfiguration` needs `transitEncryption`, since it has an access point",
        ),
        (
            "/volumes".into(),
            efs(json!({"authorizationConfig": {"iam": "ENABLED"}, "transitEncryption": "DISABLED"})),
            "needs `transitEncryption`, since it has \"iam\": \"ENABLED\"",
        ),
        (
            "/volumes".into(),
            efs(json!({"authorizationConfig": point, "transitEncryption": "ENABLED", "rootDirectory": "/data"})),
            "`volumes[0].efsVolumeConfiguration.rootDirectory` is `/data`, and there is an access point",
        ),
        (
            format!("{app}/portMappings"),
            json!([{"containerPort": 80, "hostPort": 80}, {"containerPort": 80, "hostPort": 80, "protocol": "tcp"}]),
            "`portMappings[1]` of container `app` maps the tcp port 80 of the host, and container `app` does so, too",
        ),
        (format!("{app}/hostname"), json!("app"), "`hostname` of container `app` cannot be used with the network mode"),
        (format!("{app}/extraHosts"), json!([{"hostname": "a", "ipAddress": "1.1.1.1"}]), "`extraHosts` of container"),
        (
            "/networkMode".into(),
            json!("none"),
            "`portMappings` of container `app` cannot be used with the network mode `none`",
        ),
        (
            "/proxyConfiguration".into(),
            json!({"containerName": "envoy"}),
            "`proxyConfiguration.containerName` is `envoy`, and there is no such container",
        ),
        (format!("{app}/cpu"), json!(257), "`containerDefinitions` has `cpu` of 257 in all, and the task has 256"),
        (
            format!("{app}/memoryReservation"),
            json!(513),
            "`containerDefinitions` has `memoryReservation` of 513 in all, and the task has 512",
        ),
        (format!("{app}/memory"), json!(513), "`memory` of container `app` is 513, and the task has 512"),
        (format!("{app}/logConfiguration"), log("awslogs", json!({})), "has no `awslogs-group`, which awslogs needs"),
        (
            format!("{app}/logConfiguration"),
            log("awslogs", json!({"awslogs-group": "g", "awslogs-region": "eu-west-1"})),
            "`logConfiguration.options` of container `app` has no `awslogs-stream-prefix`",
        ),
        (
            format!("{app}/logConfiguration"),
            log("awsfirelens", json!({"Name": "stdout"})),
            "is `awsfirelens`, and no container has a `firelensConfiguration`",
        ),
        (
            format!("{app}/firelensConfiguration"),
            json!({"type": "fluentbit"}),
            "`firelensConfiguration` of container `app` has no container that logs by `awsfirelens`",
        ),
        (
            format!("{app}/firelensConfiguration"),
            router(json!({"config-file-type": "http"})),
            "`firelensConfiguration.options.config-file-type` of container `app` is `http`",
        ),
        (
            format!("{app}/firelensConfiguration"),
            router(json!({"config-file-type": "s3", "config-file-value": "arn:aws:s3:::b/f"})),
            "cannot be `s3` on Fargate",
        ),
        (
            format!("{app}/resourceRequirements"),
            json!([{"type": "InferenceAccelerator", "value": "one"}]),
            "is `one`, which is no `deviceName` of `inferenceAccelerators`",
        ),
        (format!("{app}/credentialSpecs"), json!(["arn:aws:ssm:eu-west-1:1:parameter/x"]), "is no credential spec"),
        (
            format!("{app}/credentialSpecs"),
            json!(["credentialspec:a", "credentialspec:b"]),
            "has 2 entries (ECS takes one)",
        ),
        (format!("{app}/restartPolicy"), json!({"enabled": true, "restartAttemptPeriod": 10}), "ECS takes 60 to 1800"),
        (
            format!("{app}/environmentFiles"),
            json!([{"type": "s3", "value": "arn:aws:s3:::b/app.txt"}]),
            "does not end in `.env`",
        ),
        ("/ipcMode".into(), json!("task"), "`ipcMode` cannot be used on Fargate"),
        (format!("{app}/dockerSecurityOptions"), json!(["no-new-privileges"]), "cannot be used on Fargate"),
        (format!("{app}/startTimeout"), json!(121), "Fargate takes at most 120"),
        (format!("{app}/linuxParameters"), json!({"devices": [{"hostPath": "/dev/x"}]}), "`linuxParameters.devices`"),
        (format!("{app}/linuxParameters"), json!({"maxSwap": 0}), "`linuxParameters.maxSwap`"),
        (
            format!("{app}/linuxParameters"),
            json!({"capabilities": {"add": ["SYS_PTRACE", "NET_ADMIN"]}}),
            "`linuxParameters.capabilities.add[1]` of container `app` cannot be `NET_ADMIN` on Fargate",
        ),
        (
            "/placementConstraints".into(),
            Value::Array(vec![json!({"type": "memberOf", "expression": "x"}); 11]),
            "has 11 entries (ECS takes at most 10)",
        ),
    ];
    for (pointer, value, expected) in cases {
        let found = messages(&with(&pointer, value.clone()));
        assert!(found.iter().any(|it| it.contains(expected)), "{pointer} = {value}: {found:?}");
    }
}

#[test]
fn the_same_on_ec2_is_no_fault() {
    let definition = json!({
        "family": "api", "memory": "512", "cpu": "256", "ipcMode": "task", "networkMode": "bridge",
        "inferenceAccelerators": [{"deviceName": "one", "deviceType": "eia2.medium"}],
        "volumes": [
            {"name": "a", "efsVolumeConfiguration": {"fileSystemId": "fs-1", "rootDirectory": "/data"}},
            {"name": "b", "efsVolumeConfiguration": {"fileSystemId": "fs-1", "rootDirectory": "/",
                "transitEncryption": "ENABLED", "authorizationConfig": {"accessPointId": "fsap-1", "iam": "ENABLED"}}},
            {"name": "c", "dockerVolumeConfiguration": {"scope": "shared", "autoprovision": true}},
        ],
        "containerDefinitions": [
            {
                "name": "app", "image": "x", "cpu": 128, "memory": 512, "memoryReservation": 256, "hostname": "app",
                "extraHosts": [{"hostname": "a", "ipAddress": "1.1.1.1"}], "stopTimeout": 600,
                "portMappings": [
                    {"containerPort": 80}, {"containerPort": 80}, {"containerPort": 53, "hostPort": 53},
                    {"containerPort": 53, "hostPort": 53, "protocol": "udp"},
                ],
                "linuxParameters": {"devices": [{"hostPath": "/dev/x"}], "capabilities": {"add": ["NET_ADMIN"]}},
                "logConfiguration": {"logDriver": "awsfirelens", "options": {"Name": "stdout"}},
                "resourceRequirements": [{"type": "InferenceAccelerator", "value": "one"}, {"type": "GPU", "value": "1"}],
                "credentialSpecs": ["credentialspecdomainless:arn:aws:s3:::b/spec.json"],
                "restartPolicy": {"enabled": true, "restartAttemptPeriod": 60, "ignoredExitCodes": [0]},
            },
            {
                "name": "router", "image": "y", "cpu": 128, "memory": 512, "memoryReservation": 256,
                "firelensConfiguration": {"type": "fluentbit", "options": {"config-file-type": "s3"}},
                "logConfiguration": {"logDriver": "awslogs", "options": {"awslogs-group": "g", "awslogs-region": "eu-west-1"}},
            },
        ],
    });
    assert_eq!(messages(&definition), Vec::<String>::new());
}

#[test]
fn what_ecs_takes_is_no_fault() {
    let app = "/containerDefinitions/0";
    let cases: Vec<(String, Value)> = vec![
        ("/pidMode".into(), json!("")),
        ("/cpu".into(), json!(256)),
        ("/cpu".into(), json!(".25 vCPU")),
        ("/memory".into(), json!("0.5 GB")),
        ("/_comment".into(), json!("a note")),
        ("/$schema".into(), json!("https://x")),
        ("/volumes".into(), json!([{"name": "v", "host": {}}, null])),
        ("/futureMember".into(), json!({"a": 1})),
        (format!("{app}/portMappings"), json!([{"containerPort": 80, "hostPort": 0, "protocol": "http"}])),
        (format!("{app}/command"), json!(["sh", "-c", "echo ${X} <Y> $Z"])),
        (format!("{app}/image"), json!("registry.example.com:443/a/b__c:1_2.x")),
    ];
    for (pointer, value) in cases {
        let found = judge(&with(&pointer, value.clone()));
        assert!(found.iter().all(|it| !it.is_fault()), "{pointer} = {value}: {found:?}");
    }
}

#[test]
fn containers_that_wait_for_each_other_are_found() {
    let container = |name: &str, other: &str| json!({"name": name, "image": "x", "dependsOn": [{"containerName": other, "condition": "START"}]});
    let found = messages(&with("/containerDefinitions", json!([container("a", "b"), container("b", "a")])));
    assert!(found.iter().any(|it| it.contains("waits in a circle")), "{found:?}");
}

#[test]
fn faults_of_values_do_not_hide_those_of_types() {
    let mut definition = with("/family", json!("api:4"));
    definition["containerDefinitions"][0]["memory"] = json!("512");
    let found = messages(&definition);
    assert_eq!(found.len(), 2, "{found:?}");
}
