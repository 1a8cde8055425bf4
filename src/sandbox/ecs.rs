//! ECS's operations by name, and what they share: reading inputs and pages.

use serde_json::{Map, Value, json};

pub(crate) use crate::base::arn::name as short;
use crate::sandbox::wire::AwsError;
use crate::sandbox::world::{Call, World};
use crate::sandbox::{cluster, history, hook, one_off, services, taskdef};

/// Carries an operation out and returns its answer as JSON text.
pub(crate) fn answer(world: &mut World, call: &Call, input: &Value) -> Result<String, AwsError> {
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
        "ContinueServiceDeployment" => hook::continue_deployment(world, call, input),
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

/// Returns a member that is a text.
pub(crate) fn text_of<'a>(input: &'a Value, key: &str) -> Option<&'a str> {
    input.get(key).and_then(Value::as_str)
}

/// Returns a member that is a list of texts; empty where it is absent.
pub(crate) fn list_of<'a>(input: &'a Value, key: &str) -> Vec<&'a str> {
    input.get(key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
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
