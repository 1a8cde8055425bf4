//! Answers of real AWS, where somebody recorded them: they are read, planned to nothing, and are what the sandbox answers for the
//! same service or definition, but for `deviations.txt`.
//!
//! They are no part of the project. `ROLEOUT_RECORDED` names their directory, or they lie beside the checkout. The cases with no
//! recording are those that the recordings show, written anew.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use roleout::base::clock::Clock;
use roleout::base::document::Document;
use roleout::fleet::Base;
use roleout::observe::Observed;
use roleout::observe::service::LiveService;
use roleout::plan::build;
use roleout::plan::outline::Action;
use roleout::sandbox::Sandbox;
use roleout::task_definition::compose::{same, without_read_only};
use serde_json::{Map, Value, json};

use crate::fixture::{PROD, REGION, advance, fleet};

/// The members of CreateService that a described service has.
const SETTINGS: [&str; 15] = [
    "capacityProviderStrategy",
    "deploymentConfiguration",
    "deploymentController",
    "desiredCount",
    "enableECSManagedTags",
    "enableExecuteCommand",
    "healthCheckGracePeriodSeconds",
    "launchType",
    "loadBalancers",
    "networkConfiguration",
    "placementConstraints",
    "placementStrategy",
    "platformVersion",
    "schedulingStrategy",
    "serviceRegistries",
];

/// Returns every recorded answer with its path, in the order of the paths; none where there are no recordings.
fn recorded() -> Vec<(String, Value)> {
    fn walk(directory: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() { walk(&path, found) } else { found.push(path) }
        }
    }
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/recorded");
    let root = std::env::var_os("ROLEOUT_RECORDED").map_or(beside, PathBuf::from);
    let mut paths = Vec::new();
    walk(&root, &mut paths);
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    if paths.is_empty() {
        let _ = writeln!(
            std::io::stderr(),
            "skipped: no recorded answers in {} (ROLEOUT_RECORDED names another directory)",
            root.display()
        );
    }
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).expect("a readable file");
        let mut answer: Value = serde_json::from_str(&text).expect("JSON");
        let mut data = answer["data"].take();
        dates(&mut data);
        (path.strip_prefix(&root).expect("below the root").display().to_string(), data)
    };
    paths.into_iter().map(read).collect()
}

/// Puts epoch seconds in the place of the recorder's dates.
fn dates(value: &mut Value) {
    match value {
        Value::Object(members) if members.get("__class__").is_some_and(|class| class == "datetime") => {
            let part = |name: &str| members[name].as_i64().expect("a number");
            let small = |name: &str| i8::try_from(part(name)).expect("a small number");
            let year = i16::try_from(part("year")).expect("a year");
            let date = jiff::civil::date(year, small("month"), small("day"));
            let time = date.at(small("hour"), small("minute"), small("second"), 0);
            let seconds = time.to_zoned(jiff::tz::TimeZone::UTC).expect("a time").timestamp().as_second();
            *value = json!(seconds);
        }
        Value::Object(members) => members.values_mut().for_each(dates),
        Value::Array(items) => items.iter_mut().for_each(dates),
        _ => {}
    }
}

/// Returns the services that AWS described, without those that it described by their names alone.
fn services() -> Vec<(String, Value)> {
    let mut found = Vec::new();
    for (path, data) in recorded() {
        let described = data["services"].as_array().into_iter().flatten().chain(data.get("service"));
        found.extend(described.filter(|service| service["status"].is_string()).map(|it| (path.clone(), it.clone())));
    }
    found
}

/// Returns the definitions that AWS described or registered.
fn definitions() -> Vec<(String, Value)> {
    let known = |(path, data): (String, Value)| data.get("taskDefinition").map(|one| (path, one.clone()));
    recorded().into_iter().filter_map(known).collect()
}

/// An ARN's region, account, and the parts of what follows.
fn place(arn: &Value) -> (String, String, Vec<String>) {
    let parts: Vec<&str> = arn.as_str().expect("an ARN").splitn(6, ':').collect();
    (parts[3].to_owned(), parts[4].to_owned(), parts[5].split('/').map(str::to_owned).collect())
}

/// Where two values differ, with how: `only AWS`, `only the sandbox`, `another value`.
fn compare(path: &str, aws: &Value, sandbox: &Value, found: &mut BTreeSet<String>) {
    match (aws, sandbox) {
        (Value::Object(aws), Value::Object(sandbox)) => {
            for (name, value) in aws {
                match sandbox.get(name) {
                    Some(other) => compare(&format!("{path}.{name}"), value, other, found),
                    None => drop(found.insert(format!("{path}.{name}: only AWS"))),
                }
            }
            for name in sandbox.keys().filter(|name| !aws.contains_key(*name)) {
                found.insert(format!("{path}.{name}: only the sandbox"));
            }
        }
        (Value::Array(aws), Value::Array(sandbox)) if aws.len() == sandbox.len() => {
            // AWS gives most lists in an order of its own.
            let sorted = |items: &[Value]| {
                let mut items = items.to_vec();
                items.sort_by_key(|item| item.get("name").map_or_else(|| item.to_string(), Value::to_string));
                items
            };
            for (aws, sandbox) in sorted(aws).iter().zip(&sorted(sandbox)) {
                compare(&format!("{path}[]"), aws, sandbox, found);
            }
        }
        (Value::Number(aws), Value::Number(sandbox)) if aws.as_f64() == sandbox.as_f64() => {}
        _ if aws == sandbox => {}
        _ => drop(found.insert(format!("{path}: another value"))),
    }
}

/// The known deviations whose paths begin with a word: a line is `PATH: HOW | REASON`.
fn known(word: &str) -> BTreeSet<String> {
    let lines = include_str!("deviations.txt").lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let split = lines.map(|line| line.split_once(" | ").expect("a reason"));
    split.map(|(place, _)| place.to_owned()).filter(|place| place.starts_with(word)).collect()
}

/// Asserts that what was found is what is known: no more, and no less.
fn assert_known(word: &str, found: BTreeMap<String, String>) {
    let places: BTreeSet<String> = found.keys().cloned().collect();
    let known = known(word);
    let news: Vec<String> = places.difference(&known).map(|place| format!("{place} ({})", found[place])).collect();
    let gone: Vec<&String> = known.difference(&places).collect();
    assert!(news.is_empty(), "not in deviations.txt:\n{}", news.join("\n"));
    assert!(gone.is_empty(), "no longer a deviation, take it out of deviations.txt: {gone:#?}");
}

/// Registers a definition as it was read, in an account and region, and returns it as the sandbox describes it.
fn register(sandbox: &Sandbox, account: &str, region: &str, read: &Value) -> Value {
    let call = |operation: &str, input: &Value| {
        let answer = sandbox.call_as_operator(account, region, operation, input);
        answer.unwrap_or_else(|error| panic!("{operation} {input}: {error}"))["taskDefinition"].take()
    };
    let registered = call("RegisterTaskDefinition", &without_read_only(read));
    let reference = json!({ "taskDefinition": registered["taskDefinitionArn"] });
    match read["status"] == "INACTIVE" {
        true => call("DeregisterTaskDefinition", &reference),
        false => call("DescribeTaskDefinition", &reference),
    }
}

#[tokio::test(start_paused = true)]
async fn a_recorded_definition_is_registered_as_it_was_read_and_equals_the_sandboxs() {
    let mut found = BTreeMap::new();
    let definitions = definitions();
    for (path, read) in &definitions {
        let (region, account, _) = place(&read["taskDefinitionArn"]);
        let sandbox = Sandbox::new(1, Clock::tokio());
        sandbox.add_account(&account, "recorded");
        let registered = register(&sandbox, &account, &region, read);
        assert!(same(read, &registered), "{path} would be registered again: {registered:#}");
        assert!(same(&without_read_only(read), &registered), "{path}");
        let mut differences = BTreeSet::new();
        compare("taskDefinition", read, &registered, &mut differences);
        found.extend(differences.into_iter().map(|difference| (difference, path.clone())));
    }
    if !definitions.is_empty() {
        assert_known("taskDefinition", found);
    }
}

#[tokio::test(start_paused = true)]
async fn a_recorded_service_equals_the_sandboxs() {
    let mut found = BTreeMap::new();
    let services = services();
    for (path, read) in &services {
        if read["status"] != "ACTIVE" || !has_settled(read) {
            continue;
        }
        let mut differences = BTreeSet::new();
        compare("service", read, &created(path, read).await, &mut differences);
        found.extend(differences.into_iter().map(|difference| (difference, path.clone())));
    }
    if !services.is_empty() {
        assert_known("service", found);
    }
}

/// Whether a service has one deployment, which is over and has all of its tasks.
fn has_settled(service: &Value) -> bool {
    let over = |deployment: &Value| deployment.get("rolloutState").is_none_or(|state| state == "COMPLETED");
    let one = |deployments: &Vec<Value>| deployments.len() == 1 && over(&deployments[0]);
    service["deployments"].as_array().is_some_and(one) && service["runningCount"] == service["desiredCount"]
}

/// Creates a service as one was described, and returns how the sandbox describes it when it has settled.
async fn created(path: &str, read: &Value) -> Value {
    let (region, account, cluster) = place(&read["clusterArn"]);
    let cluster = cluster.last().expect("a name");
    let sandbox = Sandbox::new(1, Clock::tokio());
    sandbox.add_account(&account, "recorded");
    let call = |operation: &str, input: &Value| {
        let answer = sandbox.call_as_operator(&account, &region, operation, input);
        answer.unwrap_or_else(|error| panic!("{path}: {operation} {input}: {error}"))
    };
    call("CreateCluster", &json!({ "clusterName": cluster }));
    let (_, _, revision) = place(&read["taskDefinition"]);
    let (family, number) = revision[1].rsplit_once(':').expect("a revision");
    let container = json!({ "name": "app", "image": "registry.example.com/app:1", "memory": 64 });
    for _ in 0..number.parse().expect("a number") {
        call("RegisterTaskDefinition", &json!({ "family": family, "containerDefinitions": [container] }));
    }
    let members = SETTINGS.iter().filter_map(|name| Some(((*name).to_owned(), read.get(*name)?.clone())));
    let mut input: Map<String, Value> = members.collect();
    input.insert("cluster".into(), json!(cluster));
    input.insert("serviceName".into(), read["serviceName"].clone());
    input.insert("taskDefinition".into(), json!(revision[1]));
    // CreateService does not take the NONE that DescribeServices shows.
    for name in ["tags", "propagateTags"] {
        if let Some(value) = read.get(name).filter(|value| *value != "NONE") {
            input.insert(name.into(), value.clone());
        }
    }
    call("CreateService", &Value::Object(input));
    advance(Duration::from_secs(600)).await;
    let include: &[&str] = if read.get("tags").is_some() { &["TAGS"] } else { &[] };
    let described = json!({ "cluster": cluster, "services": [read["serviceName"]], "include": include });
    call("DescribeServices", &described)["services"][0].take()
}

#[test]
fn a_recorded_service_is_read_and_planned_to_nothing() {
    let definitions: BTreeMap<String, Value> = definitions()
        .into_iter()
        .map(|(_, one)| (one["taskDefinitionArn"].as_str().expect("an ARN").to_owned(), one))
        .collect();
    for (path, read) in services() {
        let service = LiveService::read(&read);
        assert_eq!(Some(service.name.as_str()), read["serviceName"].as_str(), "{path}");
        assert_eq!(Some(service.status.as_str()), read["status"].as_str(), "{path}");
        let primary = service.primary();
        if service.status != "ACTIVE"
            || service.controller != "ECS"
            || primary.is_none()
            || service.in_progress().is_some()
        {
            continue;
        }
        let arn = service.task_definition.clone();
        let (_, _, revision) = place(&json!(arn));
        let family = revision[1].split(':').next().expect("a family");
        let container = json!({ "name": "app", "image": "registry.example.com/app:1", "memory": 64 });
        let made = json!({ "taskDefinitionArn": arn, "family": family, "containerDefinitions": [container] });
        let definition = definitions.get(&arn).cloned().unwrap_or(made);
        let mut fleet = fleet(1);
        let target = &mut fleet.targets[0];
        target.service = service.name.clone();
        target.desired.images.clear();
        target.desired.task_definition = Base::File(Document::write(&without_read_only(&definition)));
        target.desired.desired_count = Some(service.desired);
        target.desired.deployment = Some(service.configuration.value());
        let seen = Observed {
            service,
            live: Document::write(&definition),
            newest: Some(Document::write(&definition)),
            named: None,
            progress: None,
            codedeploy: None,
        };
        let plan = build::plan(&fleet, &[Ok(seen)]);
        assert_eq!(plan.outline.changes[0].action, Action::Unchanged, "{path}: {:#?}", plan.outline.changes);
    }
}

/// A definition with what recordings show that ECS keeps, fills in or gives back in another order.
fn fargate() -> Value {
    json!({
        "family": "shop", "networkMode": "awsvpc", "cpu": "512", "memory": "1024", "requiresCompatibilities": ["FARGATE"],
        "executionRoleArn": "arn:aws:iam::222222222222:role/execution", "taskRoleArn": "arn:aws:iam::222222222222:role/task",
        "volumes": [{ "name": "cache", "host": {} }],
        "containerDefinitions": [{
            "name": "web", "image": "registry.example.com/shop:1", "essential": true, "links": [], "entryPoint": [],
            "portMappings": [{ "containerPort": 8080, "name": "web", "appProtocol": "http" }],
            "environment": [{ "name": "ZONE", "value": "b" }, { "name": "EMPTY", "value": "" }, { "name": "COLOUR", "value": "red" }],
            "linuxParameters": { "capabilities": {}, "devices": [] }, "readonlyRootFilesystem": false,
            "mountPoints": [{ "sourceVolume": "cache", "containerPath": "/cache" }],
            "logConfiguration": { "logDriver": "awslogs", "options": {
                "awslogs-group": "/shop", "awslogs-region": "eu-west-1", "awslogs-stream-prefix": "web",
            } },
        }],
    })
}

#[tokio::test(start_paused = true)]
async fn a_definition_reads_back_with_awss_defaults_and_is_the_same() {
    let sandbox = Sandbox::new(1, Clock::tokio());
    sandbox.add_account(PROD, "prod");
    let registered = register(&sandbox, PROD, REGION, &fargate());
    assert!(same(&fargate(), &registered), "{registered:#}");
    assert_eq!(without_read_only(&register(&sandbox, PROD, REGION, &registered)), without_read_only(&registered));
    let container = &registered["containerDefinitions"][0];
    for (name, value) in [
        ("cpu", json!(0)),
        ("volumesFrom", json!([])),
        ("systemControls", json!([])),
        ("linuxParameters", json!({ "capabilities": {}, "devices": [] })),
        (
            "portMappings",
            json!([{
                "containerPort": 8080, "name": "web", "appProtocol": "http", "protocol": "tcp", "hostPort": 8080,
            }]),
        ),
    ] {
        assert_eq!(container[name], value, "{name}");
    }
    assert_eq!(container["environment"].as_array().map(Vec::len), Some(3), "a blank value stays");
    assert_eq!(registered["volumes"], json!([{ "name": "cache", "host": {} }]));
    assert_eq!(registered["placementConstraints"], json!([]));
    assert_eq!(registered["compatibilities"], json!(["EC2", "FARGATE"]));
}

#[tokio::test(start_paused = true)]
async fn a_service_reads_back_with_awss_defaults_for_its_kind() {
    let network = json!({ "awsvpcConfiguration": { "subnets": ["subnet-1"], "assignPublicIp": "DISABLED" } });
    let balancer = json!({
        "targetGroupArn": "arn:aws:elasticloadbalancing:eu-west-1:222222222222:targetgroup/shop/0123456789abcdef",
        "containerName": "app", "containerPort": 80,
    });
    let provider = json!([{ "capacityProvider": "FARGATE", "weight": 1, "base": 0 }]);
    let described = |more: Value| async move {
        let mut read = json!({
            "clusterArn": format!("arn:aws:ecs:{REGION}:{PROD}:cluster/shop"), "serviceName": "shop", "desiredCount": 1,
            "taskDefinition": format!("arn:aws:ecs:{REGION}:{PROD}:task-definition/shop:1"),
        });
        read.as_object_mut().expect("an object").extend(more.as_object().cloned().expect("an object"));
        created("a service", &read).await
    };
    let ec2 = described(json!({})).await;
    assert_eq!((&ec2["launchType"], &ec2["schedulingStrategy"]), (&json!("EC2"), &json!("REPLICA")));
    for absent in
        ["roleArn", "platformVersion", "platformFamily", "healthCheckGracePeriodSeconds", "networkConfiguration"]
    {
        assert_eq!(ec2.get(absent), None, "{absent}");
    }
    let fargate = described(json!({ "launchType": "FARGATE", "networkConfiguration": network })).await;
    assert!(fargate["roleArn"].as_str().is_some_and(|arn| arn.ends_with("/AWSServiceRoleForECS")), "{fargate}");
    let versions = |service: &Value| {
        let deployment = &service["deployments"][0];
        json!([service["platformVersion"], service["platformFamily"], deployment["platformVersion"]])
    };
    assert_eq!(versions(&fargate), json!(["LATEST", "Linux", "1.4.0"]));
    assert_eq!(fargate["deployments"][0]["networkConfiguration"], network);
    let balanced = json!({
        "capacityProviderStrategy": provider, "networkConfiguration": network, "loadBalancers": [balancer],
    });
    let balanced = described(balanced).await;
    assert_eq!((&balanced["healthCheckGracePeriodSeconds"], balanced.get("launchType")), (&json!(0), None));
    assert_eq!(balanced["deployments"][0]["capacityProviderStrategy"], provider);
    assert_eq!(versions(&balanced), json!(["LATEST", "Linux", "1.4.0"]));
}
