//! The bytes: every ECS answer against AWS's own model, task definitions as ECS gives them back, and the loopback server.
//!
//! `shapes.json` is what botocore 1.44.5's model of ECS says of the answers: member names and types, shape by shape.

use std::time::Duration;

use roleout::base::clock::Clock;
use roleout::sandbox::Sandbox;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::fixture::{CLUSTER, Fixture, PROD, REGION, advance, fleet};

pub(crate) fn shapes() -> Value {
    serde_json::from_str(include_str!("shapes.json")).expect("JSON")
}

/// Collects where a value differs from its type in the model.
pub(crate) fn compare(shapes: &Value, kind: &str, value: &Value, path: &str, faults: &mut Vec<String>) {
    let fits = match kind {
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "any" => true,
        _ => {
            if let Some(names) = kind.strip_prefix("enum:") {
                value.as_str().is_some_and(|text| names.split('|').any(|name| name == text))
            } else if let Some(item) = kind.strip_prefix('[') {
                let items = value.as_array();
                items.into_iter().flatten().enumerate().for_each(|(at, one)| {
                    compare(shapes, item, one, &format!("{path}[{at}]"), faults);
                });
                items.is_some()
            } else if let Some(item) = kind.strip_prefix('{') {
                let items = value.as_object();
                for (key, one) in items.into_iter().flatten() {
                    compare(shapes, item, one, &format!("{path}.{key}"), faults);
                }
                items.is_some()
            } else {
                for (key, one) in value.as_object().into_iter().flatten() {
                    match shapes[kind][key].as_str() {
                        Some(member) => compare(shapes, member, one, &format!("{path}.{key}"), faults),
                        None => faults.push(format!("{path}.{key} is no member of {kind}")),
                    }
                }
                value.is_object()
            }
        }
    };
    if !fits {
        faults.push(format!("{path} is no {kind}: {value}"));
    }
}

fn definition(image: &str) -> Value {
    json!({
        "family": "full", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "1 vCPU", "memory": "2GB",
        "executionRoleArn": "arn:aws:iam::222222222222:role/exec",
        "volumes": [{ "name": "data", "efsVolumeConfiguration": { "fileSystemId": "fs-1" } }],
        "containerDefinitions": [{
            "name": "app", "image": image, "portMappings": [{ "containerPort": 8080 }],
            "environment": [{ "name": "Z", "value": "1" }, { "name": "A", "value": "2" }],
            "healthCheck": { "command": ["CMD-SHELL", "true"] },
            "logConfiguration": { "logDriver": "awslogs", "options": { "awslogs-group": "g", "awslogs-region": REGION,
                "awslogs-stream-prefix": "full" } },
        }],
        "tags": [{ "key": "team", "value": "shop" }],
    })
}

#[tokio::test(start_paused = true)]
async fn every_answer_is_of_the_shape_that_the_model_says() {
    let fixture = Fixture::new().await;
    let shapes = shapes();
    let mut faults = Vec::new();
    let mut ask = |operation: &str, input: Value| -> Value {
        let output = fixture.sandbox.call_as_operator(PROD, REGION, operation, &input);
        let output = output.unwrap_or_else(|error| panic!("{operation}: {error}"));
        compare(&shapes, &format!("{operation}Response"), &output, operation, &mut faults);
        output
    };
    ask("CreateCluster", json!({ "clusterName": "other", "tags": [{ "key": "a", "value": "b" }] }));
    ask("DescribeClusters", json!({ "clusters": ["other", "missing", CLUSTER], "include": ["TAGS"] }));
    ask("ListClusters", json!({ "maxResults": 1 }));
    ask("RegisterTaskDefinition", definition("registry.example.com/api:2-crash"));
    let good = ask("RegisterTaskDefinition", definition("registry.example.com/api:2"));
    ask("DescribeTaskDefinition", json!({ "taskDefinition": "full", "include": ["TAGS"] }));
    ask("ListTaskDefinitions", json!({ "familyPrefix": "full", "sort": "DESC" }));
    ask("ListTaskDefinitionFamilies", json!({}));
    let network = json!({ "awsvpcConfiguration": { "subnets": ["subnet-1"] } });
    let created = ask(
        "CreateService",
        json!({
            "cluster": CLUSTER, "serviceName": "full", "taskDefinition": "full", "desiredCount": 2, "launchType": "FARGATE",
            "networkConfiguration": network, "tags": [{ "key": "a", "value": "b" }],
        }),
    );
    let arn = created["service"]["serviceArn"].clone();
    ask("TagResource", json!({ "resourceArn": arn, "tags": [{ "key": "c", "value": "d" }] }));
    ask("UntagResource", json!({ "resourceArn": arn, "tagKeys": ["a"] }));
    assert_eq!(
        ask("ListTagsForResource", json!({ "resourceArn": arn })),
        json!({ "tags": [{ "key": "c", "value": "d" }] })
    );
    let task = &ask(
        "RunTask",
        json!({ "cluster": CLUSTER, "taskDefinition": "full", "count": 2, "networkConfiguration": network }),
    )["tasks"][0];
    let task = task["taskArn"].clone();
    for second in 0..400 {
        advance(Duration::from_secs(1)).await;
        if second == 130 {
            let crashing = json!({ "cluster": CLUSTER, "service": "full", "taskDefinition": "full:1", "deploymentConfiguration": {
                "deploymentCircuitBreaker": { "enable": true, "rollback": true } } });
            ask("UpdateService", crashing);
        }
        let all = ask(
            "DescribeServices",
            json!({ "cluster": CLUSTER, "services": ["full", "api", "none"], "include": ["TAGS"] }),
        );
        let list = ask("ListServiceDeployments", json!({ "cluster": CLUSTER, "service": "full" }));
        if let Some(first) = list["serviceDeployments"].get(0) {
            ask(
                "DescribeServiceDeployments",
                json!({ "serviceDeploymentArns": [first["serviceDeploymentArn"], "arn:aws:none"] }),
            );
            ask("DescribeServiceRevisions", json!({ "serviceRevisionArns": [first["targetServiceRevisionArn"]] }));
        }
        let status = if second % 2 == 0 { "STOPPED" } else { "RUNNING" };
        let tasks = ask("ListTasks", json!({ "cluster": CLUSTER, "desiredStatus": status }))["taskArns"].clone();
        if tasks.get(0).is_some() {
            ask("DescribeTasks", json!({ "cluster": CLUSTER, "tasks": tasks }));
        }
        assert_eq!(all["failures"][0]["reason"], "MISSING", "{second}");
    }
    ask("StopTask", json!({ "cluster": CLUSTER, "task": task }));
    ask("ListServices", json!({ "cluster": CLUSTER }));
    ask("UpdateService", json!({ "cluster": CLUSTER, "service": "full", "forceNewDeployment": true }));
    advance(Duration::from_secs(3)).await;
    let list = ask("ListServiceDeployments", json!({ "cluster": CLUSTER, "service": "full" }));
    ask(
        "StopServiceDeployment",
        json!({ "serviceDeploymentArn": list["serviceDeployments"][0]["serviceDeploymentArn"] }),
    );
    ask("DeleteService", json!({ "cluster": CLUSTER, "service": "full", "force": true }));
    ask("DeregisterTaskDefinition", json!({ "taskDefinition": good["taskDefinition"]["taskDefinitionArn"] }));
    faults.dedup();
    assert!(faults.is_empty(), "{faults:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_definition_comes_back_with_ecs_defaults_and_without_what_is_unknown() {
    let fixture = Fixture::new().await;
    let mut given = definition("registry.example.com/api:2");
    given["brandNewSetting"] = json!({ "a": [1, { "b": null }] });
    let output = fixture.sandbox.call_as_operator(PROD, REGION, "RegisterTaskDefinition", &given).expect("a revision");
    let body = &output["taskDefinition"];
    let container = &body["containerDefinitions"][0];
    assert_eq!(output["tags"], given["tags"]);
    assert!(body.get("tags").is_none());
    assert_eq!((&body["revision"], &body["status"]), (&json!(1), &json!("ACTIVE")));
    assert_eq!((&body["cpu"], &body["memory"]), (&json!("1024"), &json!("2048")));
    assert!(body.get("brandNewSetting").is_none(), "{body}");
    assert_eq!(body["placementConstraints"], json!([]));
    assert_eq!(body["volumes"][0]["efsVolumeConfiguration"]["rootDirectory"], "/");
    for empty in ["mountPoints", "volumesFrom", "systemControls"] {
        assert_eq!(container[empty], json!([]), "{empty}");
    }
    assert_eq!((&container["cpu"], &container["essential"]), (&json!(0), &json!(true)));
    assert_eq!(container["portMappings"], json!([{ "containerPort": 8080, "protocol": "tcp", "hostPort": 8080 }]));
    assert_eq!(container["healthCheck"]["interval"], 30);
    assert_eq!(container["environment"][0]["name"], "A");
    let again = fixture.sandbox.call_as_operator(PROD, REGION, "RegisterTaskDefinition", &given).expect("a revision");
    assert_eq!(again["taskDefinition"]["revision"], 2, "an identical one is a new revision");
}

/// Sends a request over a socket and returns the whole answer.
async fn send(address: std::net::SocketAddr, text: String) -> String {
    let mut socket = tokio::net::TcpStream::connect(address).await.expect("it listens");
    socket.write_all(text.as_bytes()).await.expect("it reads");
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await.expect("it answers");
    String::from_utf8(answer).expect("text")
}

#[tokio::test]
async fn the_loopback_server_speaks_http() {
    let sandbox = Sandbox::for_fleet(&fleet(1), 7, Clock::tokio_from_system());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let talk = async {
        let keys =
            send(address, "GET /oauth/discovery/keys HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".into()).await;
        assert!(keys.starts_with("HTTP/1.1 200") && keys.contains("\"kty\":\"EC\""), "{keys}");
        let post = |headers: &str, body: &str| {
            let length = body.len();
            format!(
                "POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
            )
        };
        let target = "x-amz-target: AmazonEC2ContainerServiceV20141113.ListClusters\r\n";
        let answer = send(address, post(target, "{}")).await;
        assert!(
            answer.starts_with("HTTP/1.1 400") && answer.contains("MissingAuthenticationTokenException"),
            "{answer}"
        );
        assert!(answer.contains("content-type: application/x-amz-json-1.1") && answer.contains("x-amzn-requestid: "));
        let answer = send(address, post("", "Action=GetCallerIdentity&Version=2011-06-15")).await;
        assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
        assert!(
            answer.contains("<Code>MissingAuthenticationToken</Code>") && answer.contains("content-type: text/xml")
        );
    };
    tokio::select! {
        served = sandbox.serve(listener, std::future::pending()) => panic!("it stopped: {served:?}"),
        () = talk => {}
    }
}
