//! Task definition files of many forms, as consoles, tools and people leave them: each is accepted, planned and deployed on the
//! sandbox as it is, and is no change the second time.

use std::path::Path;

use roleout::base::exit::Exit;
use roleout::event::Event;
use roleout::fleet::{Fleet, Outcome};
use roleout::manifest::load::load_str;
use serde_json::{Value, json};

use crate::harness::{Directory, Scene, manifest};

/// Puts members into the definition of a task with one container.
fn task(task: Value, container: Value) -> Value {
    let mut own = json!({ "name": "app", "image": "r/app:1", "memory": 128 });
    let mut definition = json!({ "family": "forms" });
    for (to, from) in [(&mut own, container), (&mut definition, task)] {
        let members = from.as_object().cloned().expect("an object");
        to.as_object_mut().expect("an object").extend(members);
    }
    let others = definition["containerDefinitions"].as_array().cloned().unwrap_or_default();
    definition["containerDefinitions"] = std::iter::once(own).chain(others).collect();
    definition
}

/// The members of a task that runs on Fargate.
fn fargate(more: Value) -> Value {
    let mut task = json!({ "cpu": "256", "memory": "512", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"],
        "executionRoleArn": "arn:aws:iam::${account.id}:role/exec" });
    task.as_object_mut().expect("an object").extend(more.as_object().cloned().expect("an object"));
    task
}

fn forms() -> Vec<(&'static str, Value)> {
    let secret = "arn:aws:secretsmanager:${region}:${account.id}:secret:db-AbCdEf";
    let awslogs = json!({ "logDriver": "awslogs", "options": { "awslogs-group": "/ecs/forms", "awslogs-region": "${region}",
        "awslogs-stream-prefix": "app", "mode": "non-blocking", "max-buffer-size": "25m" } });
    let router = json!({ "name": "log", "image": "fluent", "memoryReservation": 50, "essential": true,
        "firelensConfiguration": { "type": "fluentbit", "options": { "enable-ecs-log-metadata": "true" } } });
    let envoy = json!({ "name": "envoy", "image": "envoy", "user": "1337", "memory": 128,
        "healthCheck": { "command": ["CMD-SHELL", "true"] } });
    let properties = json!([{ "name": "IgnoredUID", "value": "1337" }, { "name": "ProxyIngressPort", "value": "15000" },
        { "name": "EgressIgnoredPorts", "value": "" }, { "name": "AppPorts", "value": "8080" }]);
    let efs = json!({ "name": "files", "efsVolumeConfiguration": { "fileSystemId": "fs-0a1b2c3d", "transitEncryption": "ENABLED",
        "authorizationConfig": { "accessPointId": "fsap-0a1b2c3d", "iam": "ENABLED" } } });
    let plain = json!({ "name": "plain", "efsVolumeConfiguration": { "fileSystemId": "fs-0a1b2c3d", "rootDirectory": "/data" } });
    vec![
        ("the least", task(json!({}), json!({}))),
        ("sizes in words", task(fargate(json!({ "cpu": "1 vCPU", "memory": "2 GB" })), json!({}))),
        ("bare numbers", task(fargate(json!({ "cpu": 256, "memory": 512 })), json!({ "cpu": 10 }))),
        (
            "EFS",
            task(
                fargate(json!({ "volumes": [efs, plain, { "name": "scratch" }, { "name": "host", "host": {} }] })),
                json!({ "mountPoints": [{ "sourceVolume": "files", "containerPath": "/files", "readOnly": true },
                    { "sourceVolume": "scratch", "containerPath": "/scratch" }] }),
            ),
        ),
        (
            "environment files",
            task(
                fargate(json!({ "taskRoleArn": "exec" })),
                json!({ "environmentFiles": [{ "type": "s3", "value": "arn:aws:s3:::bucket/b.env" },
                    { "type": "s3", "value": "arn:aws:s3:::bucket/a.env" }], "environment": [] }),
            ),
        ),
        (
            "ecspresso's zero values",
            task(
                json!({ "networkMode": "awsvpc", "pidMode": "", "ipcMode": "", "cpu": "256", "memory": "512", "tags": [] }),
                json!({ "portMappings": [{ "containerPort": 80, "hostPort": 80, "appProtocol": "", "protocol": "" }],
                    "versionConsistency": "", "secrets": [], "command": [], "dockerLabels": {}, "healthCheck": null }),
            ),
        ),
        (
            "the console's nulls",
            task(
                fargate(
                    json!({ "pidMode": null, "proxyConfiguration": null, "inferenceAccelerators": null, "volumes": [null] }),
                ),
                json!({ "links": null, "hostname": null, "extraHosts": null, "logConfiguration": awslogs, "command": null,
                    "environment": [{ "name": "B", "value": "2" }, { "name": "A", "value": "" }] }),
            ),
        ),
        (
            "FireLens",
            task(
                fargate(json!({ "containerDefinitions": [router] })),
                json!({ "logConfiguration": { "logDriver": "awsfirelens",
                    "options": { "Name": "http", "Host": "logs.example.com", "Format": "json" },
                    "secretOptions": [{ "name": "Header", "valueFrom": secret }] } }),
            ),
        ),
        (
            "App Mesh",
            task(
                fargate(json!({ "containerDefinitions": [envoy],
                    "proxyConfiguration": { "containerName": "envoy", "properties": properties } })),
                json!({ "portMappings": [{ "containerPort": 8080 }],
                    "dependsOn": [{ "containerName": "envoy", "condition": "HEALTHY" }] }),
            ),
        ),
        (
            "a group managed service account",
            task(
                json!({ "requiresCompatibilities": ["EC2"], "runtimePlatform": { "operatingSystemFamily": "WINDOWS_SERVER_2022_CORE" } }),
                json!({ "credentialSpecs": ["credentialspecdomainless:arn:aws:ssm:${region}:${account.id}:parameter/spec"] }),
            ),
        ),
        (
            "volumes of Docker",
            task(
                json!({ "networkMode": "bridge", "volumes": [{ "name": "d", "dockerVolumeConfiguration": { "driver": "local" } },
                    { "name": "s", "dockerVolumeConfiguration": { "scope": "shared", "autoprovision": true,
                        "driverOpts": { "type": "nfs", "device": ":/x" }, "labels": { "a": "b" } } },
                    { "name": "h", "host": { "sourcePath": "/var/run" } }] }),
                json!({ "mountPoints": [{ "sourceVolume": "h", "containerPath": "/run" }], "links": [],
                    "portMappings": [{ "containerPort": 80 }, { "containerPort": 443, "hostPort": 0 },
                        { "containerPort": 53, "hostPort": 53, "protocol": "udp" }] }),
            ),
        ),
        (
            "the host's network and devices",
            task(
                json!({ "networkMode": "host", "pidMode": "host", "placementConstraints": [{ "type": "memberOf",
                    "expression": "attribute:ecs.instance-type =~ g4dn.*" }] }),
                json!({ "portMappings": [{ "containerPort": 9100, "protocol": "TCP" }], "privileged": true,
                    "resourceRequirements": [{ "type": "GPU", "value": "1" }],
                    "linuxParameters": { "initProcessEnabled": true, "devices": [{ "hostPath": "/dev/fuse" }],
                        "capabilities": { "add": ["SYS_ADMIN"], "drop": [] }, "sharedMemorySize": 64 },
                    "ulimits": [{ "name": "nofile", "softLimit": 1024, "hardLimit": 4096 }] }),
            ),
        ),
        (
            "what is newer",
            task(
                fargate(json!({ "runtimePlatform": { "cpuArchitecture": "ARM64", "operatingSystemFamily": "LINUX" },
                    "ephemeralStorage": { "sizeInGiB": 100 }, "enableFaultInjection": true })),
                json!({ "restartPolicy": { "enabled": true, "ignoredExitCodes": [0] }, "stopTimeout": 120,
                    "versionConsistency": "disabled", "readonlyRootFilesystem": true,
                    "systemControls": [{ "namespace": "net.core.somaxconn", "value": "1024" }] }),
            ),
        ),
        (
            "secrets of every kind",
            task(
                fargate(json!({})),
                json!({ "repositoryCredentials": { "credentialsParameter": secret },
                    "image": "${account.id}.dkr.ecr.${region}.amazonaws.com/shop/app@sha256:94afd1f2e64d908bc90dbca0035a5b5674ab8aaf2c2f1f8a5a3a3f1d5b1c0e7f",
                    "secrets": [{ "name": "A", "valueFrom": format!("{secret}:user::") }, { "name": "B", "valueFrom": "plain" },
                        { "name": "C", "valueFrom": "arn:aws:ssm:${region}:${account.id}:parameter/c" }] }),
            ),
        ),
        (
            "an answer of describe-task-definition",
            json!({ "taskDefinition": {
                "taskDefinitionArn": "arn:aws:ecs:eu-west-1:999999999999:task-definition/forms:7", "revision": 7, "status": "ACTIVE",
                "family": "forms", "networkMode": "bridge", "compatibilities": ["EXTERNAL", "EC2"], "volumes": [],
                "containerDefinitions": [{ "name": "app", "image": "999999999999.dkr.ecr.eu-west-1.amazonaws.com/app:1", "cpu": 0,
                    "memory": 128, "essential": true, "environment": [], "mountPoints": [], "portMappings": [], "volumesFrom": [],
                    "systemControls": [] }],
                "requiresAttributes": [{ "name": "x" }], "registeredAt": 1.5, "registeredBy": "arn:aws:iam::999999999999:root" },
                "tags": [{ "key": "team", "value": "shop" }, { "key": "aws:cloudformation:stack-id", "value": "x" }] }),
        ),
    ]
}

fn with_file(directory: &Path) -> Fleet {
    let file = "    cluster: main\n    task_definition: td.json\n";
    let text = manifest(1, 1, "").replace("    cluster: main\n", file);
    let text: String = text.lines().filter(|line| !line.contains("images:")).map(|line| format!("{line}\n")).collect();
    load_str("deploy.yaml", directory, &text, &|name| Some(name.to_owned()))
        .unwrap_or_else(|error| panic!("{}", error.render(false, 100)))
}

#[tokio::test(start_paused = true)]
async fn every_form_is_deployed_as_it_is_and_no_change_afterwards() {
    let directory = Directory::new("forms");
    for (name, form) in forms() {
        fs_err::write(directory.0.join("td.json"), form.to_string()).expect("a file");
        let scene = Scene::seeded(with_file(&directory.0)).quick();
        let ran = scene.deploy().await;
        assert_eq!((ran.code(), ran.count(Outcome::Succeeded)), (Exit::Done, 1), "{name}: {:?} {}", ran.exit, ran.said);
        // What ran before is the file with an older image.
        let changes = ran.state.targets().flat_map(|target| &target.changes).collect::<Vec<_>>();
        assert!(!changes.is_empty() && changes.iter().all(|line| line.contains(": image ")), "{name}: {changes:?}");
        let altered = ran.events.iter().find(|it| matches!(it.event, Event::DefinitionAltered { .. }));
        assert_eq!(altered, None, "{name}");
        assert!(!ran.said.contains("not checked"), "{name}: {}", ran.said);
        let again = scene.deploy().await;
        assert_eq!((again.code(), again.count(Outcome::Unchanged)), (Exit::Done, 1), "{name}: {}", again.said);
    }
}
