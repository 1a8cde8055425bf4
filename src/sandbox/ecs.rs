//! ECS's operations by name, and what they share: reading inputs, pages, resources and condition keys.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::wire::AwsError;
use super::world::{Call, World};
use super::{cluster, history, hook, one_off, services, taskdef};

/// Carries an operation out and returns its answer as JSON text.
pub(crate) fn answer(world: &mut World, call: &Call, input: &Value) -> Result<String, AwsError> {
    if !input.is_object() {
        return Err(AwsError::new("SerializationException", "Start of structure or map found where not expected."));
    }
    check_types(input)?;
    match call.operation.as_str() {
        "DescribeServices" => services::describe(world, call, input),
        _ => dispatch(world, call, input).map(|output| output.to_string()),
    }
}

fn dispatch(world: &mut World, call: &Call, input: &Value) -> Result<Value, AwsError> {
    match call.operation.as_str() {
        "CreateCluster" => cluster::create(world, call, input),
        "DescribeClusters" => cluster::describe(world, call, input),
        "ListClusters" => cluster::list(world, call, input),
        "TagResource" => cluster::tag(world, call, input),
        "UntagResource" => cluster::untag(world, call, input),
        "ListTagsForResource" => cluster::tags(world, call, input),
        "CreateService" => services::create(world, call, input),
        "UpdateService" => services::update(world, call, input),
        "DeleteService" => services::delete(world, call, input),
        "ListServices" => services::list(world, call, input),
        "RegisterTaskDefinition" => taskdef::register(world, call, input),
        "DescribeTaskDefinition" => taskdef::describe(world, call, input),
        "DeregisterTaskDefinition" => taskdef::deregister(world, call, input),
        "ListTaskDefinitions" => taskdef::list(world, call, input),
        "ListTaskDefinitionFamilies" => taskdef::families(world, call, input),
        "ListServiceDeployments" => history::list(world, call, input),
        "DescribeServiceDeployments" => history::describe(world, call, input),
        "DescribeServiceRevisions" => history::revisions(world, call, input),
        "StopServiceDeployment" => history::stop(world, call, input),
        "ContinueServiceDeployment" => hook::go_on(world, call, input),
        "ListTasks" => one_off::list(world, call, input),
        "DescribeTasks" => one_off::describe(world, call, input),
        "RunTask" => one_off::run(world, call, input),
        "StopTask" => one_off::stop(world, call, input),
        other => Err(AwsError::new("UnknownOperationException", format!("the sandbox does not have ECS's {other}"))),
    }
}

/// Whether an operation changes something.
pub(crate) fn changes(operation: &str) -> bool {
    !operation.starts_with("Describe") && !operation.starts_with("List")
}

/// Refuses members of the wrong JSON type, as the front end does. Only the members that this tool sends are known.
fn check_types(input: &Value) -> Result<(), AwsError> {
    const NUMBERS: &[&str] = &["desiredCount", "maxResults", "count", "healthCheckGracePeriodSeconds"];
    const TEXTS: &[&str] = &["cluster", "service", "serviceName", "taskDefinition", "family", "nextToken", "startedBy"];
    const LISTS: &[&str] =
        &["services", "tasks", "clusters", "containerDefinitions", "serviceDeploymentArns", "include"];
    let wrong = |keys: &[&str], fits: fn(&Value) -> bool| {
        keys.iter().any(|key| input.get(*key).is_some_and(|value| !value.is_null() && !fits(value)))
    };
    if wrong(NUMBERS, Value::is_i64) && wrong(NUMBERS, Value::is_u64) {
        return Err(AwsError::new("SerializationException", "STRING_VALUE can not be converted to an Integer"));
    }
    if wrong(TEXTS, Value::is_string) {
        return Err(AwsError::new("SerializationException", "NUMBER_VALUE can not be converted to a String"));
    }
    if wrong(LISTS, Value::is_array) {
        return Err(AwsError::new("SerializationException", "Unexpected token: a list was expected"));
    }
    Ok(())
}

/// Returns a member that is a text.
pub(crate) fn text_of<'a>(input: &'a Value, key: &str) -> Option<&'a str> {
    input.get(key).and_then(Value::as_str)
}

/// Returns a member that is a list of texts; empty where it is absent.
pub(crate) fn list_of<'a>(input: &'a Value, key: &str) -> Vec<&'a str> {
    input.get(key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
}

/// Returns the name in a name or an ARN.
pub(crate) fn short(reference: &str) -> &str {
    reference.rsplit('/').next().unwrap_or(reference)
}

/// Returns one page of a list. The token is the index of the next item.
pub(crate) fn page(input: &Value, items: Vec<Value>, key: &str, default: u64) -> Result<Value, AwsError> {
    let size = input.get("maxResults").and_then(Value::as_u64).unwrap_or(default);
    if !(1..=100).contains(&size) {
        return Err(AwsError::invalid("maxResults must be between 1 and 100."));
    }
    let size = usize::try_from(size).unwrap_or(100);
    let start = match text_of(input, "nextToken") {
        None => 0,
        Some(token) => token
            .strip_prefix("page-")
            .and_then(|text| text.parse::<usize>().ok())
            .ok_or_else(|| AwsError::invalid("Invalid token"))?,
    };
    let more = items.len() > start + size;
    let mut output = Map::new();
    output.insert(key.to_owned(), items.into_iter().skip(start).take(size).collect());
    if more {
        output.insert("nextToken".to_owned(), json!(format!("page-{}", start + size)));
    }
    Ok(Value::Object(output))
}

/// Returns the resource that a call is authorised on.
pub(crate) fn resource(call: &Call, input: &Value) -> String {
    let cluster = short(text_of(input, "cluster").unwrap_or("default"));
    let service = |name: &str| call.arn(&format!("service/{cluster}/{}", short(name)));
    match call.operation.as_str() {
        "UpdateService" | "DeleteService" | "ListServiceDeployments" => {
            service(text_of(input, "service").unwrap_or_default())
        }
        "CreateService" => service(text_of(input, "serviceName").unwrap_or_default()),
        "DescribeServices" => list_of(input, "services").first().map_or_else(|| service("*"), |name| service(name)),
        "RegisterTaskDefinition" => {
            call.arn(&format!("task-definition/{}:*", text_of(input, "family").unwrap_or_default()))
        }
        "DescribeServiceDeployments" => {
            list_of(input, "serviceDeploymentArns").first().copied().unwrap_or("*").to_owned()
        }
        "DescribeServiceRevisions" => list_of(input, "serviceRevisionArns").first().copied().unwrap_or("*").to_owned(),
        "StopServiceDeployment" | "ContinueServiceDeployment" => {
            text_of(input, "serviceDeploymentArn").unwrap_or("*").to_owned()
        }
        "DescribeClusters" => {
            call.arn(&format!("cluster/{}", list_of(input, "clusters").first().map_or("default", |c| short(c))))
        }
        "CreateCluster" => call.arn(&format!("cluster/{}", text_of(input, "clusterName").unwrap_or("default"))),
        "DescribeTasks" => {
            call.arn(&format!("task/{cluster}/{}", list_of(input, "tasks").first().map_or("*", |task| short(task))))
        }
        "StopTask" => call.arn(&format!("task/{cluster}/{}", short(text_of(input, "task").unwrap_or("*")))),
        "RunTask" => {
            let name = short(text_of(input, "taskDefinition").unwrap_or_default());
            call.arn(&format!("task-definition/{name}"))
        }
        "TagResource" | "UntagResource" | "ListTagsForResource" => {
            text_of(input, "resourceArn").unwrap_or("*").to_owned()
        }
        _ => "*".to_owned(),
    }
}

/// Returns the actions that a call needs, each with its condition keys: its own, and `ecs:TagResource` where it makes
/// something with tags.
pub(crate) fn actions(call: &Call, input: &Value) -> Vec<(String, BTreeMap<String, Vec<String>>)> {
    let mut actions = vec![(format!("ecs:{}", call.operation), condition_keys(call, input))];
    let creates =
        matches!(call.operation.as_str(), "RegisterTaskDefinition" | "CreateService" | "CreateCluster" | "RunTask");
    let is_tagged = input.get("tags").and_then(Value::as_array).is_some_and(|tags| !tags.is_empty());
    if creates && is_tagged {
        let mut keys = condition_keys(call, input);
        keys.insert("ecs:createaction".to_owned(), vec![call.operation.clone()]);
        actions.push(("ecs:TagResource".to_owned(), keys));
    }
    actions
}

/// Returns the condition keys of a call: `ecs:cluster` where it names one.
fn condition_keys(call: &Call, input: &Value) -> BTreeMap<String, Vec<String>> {
    let mut keys = BTreeMap::new();
    if let Some(cluster) = text_of(input, "cluster") {
        keys.insert("ecs:cluster".to_owned(), vec![call.arn(&format!("cluster/{}", short(cluster)))]);
    }
    keys
}
