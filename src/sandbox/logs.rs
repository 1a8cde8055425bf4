//! CloudWatch Logs: DescribeLogGroups, and GetLogEvents of the streams of tasks.
//!
//! Nothing is kept. What a container wrote follows from what its task did and when; a task that crashed says why, with a
//! password in it as real ones have.

use serde_json::{Value, json};

use crate::references::log::Log;
use crate::references::need::Need;
use crate::sandbox::account::partition;
use crate::sandbox::ecs::text_of;
use crate::sandbox::moment::{Moment, iso};
use crate::sandbox::task::{Nature, Task};
use crate::sandbox::wire::AwsError;
use crate::sandbox::world::{Call, World};

/// The most groups on a page, and how many there are unless the request says.
const GROUPS: u64 = 50;
/// The most events on a page.
const EVENTS: u64 = 10_000;

/// Returns the ARN that a call is authorised on.
pub(crate) fn resource(call: &Call, input: &Value) -> String {
    let name = text_of(input, "logGroupName").unwrap_or("*");
    match text_of(input, "logStreamName") {
        Some(stream) => format!("{}:log-stream:{stream}", arn(call, name)),
        None => format!("{}:*", arn(call, name)),
    }
}

fn arn(call: &Call, group: &str) -> String {
    format!("arn:{}:logs:{}:{}:log-group:{group}", partition(&call.region), call.region, call.account)
}

fn names<'a>(world: &'a World, call: &'a Call) -> impl Iterator<Item = &'a str> {
    world.things(&call.account).filter_map(|(need, _)| match need {
        Need::LogGroup(group) if group.region == call.region => Some(group.name.as_str()),
        _ => None,
    })
}

pub(crate) fn groups(world: &mut World, call: &Call, input: &Value) -> Result<Value, AwsError> {
    let prefix = text_of(input, "logGroupNamePrefix").unwrap_or_default();
    let limit = input.get("limit").and_then(Value::as_u64).unwrap_or(GROUPS).clamp(1, GROUPS);
    let groups = names(world, call).filter(|name| name.starts_with(prefix)).map(|name| {
        json!({
            "logGroupName": name,
            "creationTime": call.now,
            "metricFilterCount": 0,
            "arn": format!("{}:*", arn(call, name)),
            "storedBytes": 0,
            "logGroupClass": "STANDARD",
            "logGroupArn": arn(call, name),
        })
    });
    Ok(json!({ "logGroups": groups.take(usize::try_from(limit).unwrap_or(50)).collect::<Vec<_>>() }))
}

pub(crate) fn events(world: &mut World, call: &Call, input: &Value) -> Result<Value, AwsError> {
    let missing = |what: &str| {
        let text = format!("The specified log {what} does not exist.");
        AwsError::new("ResourceNotFoundException", text)
    };
    let text = |key: &str| text_of(input, key).unwrap_or_default();
    let (group, stream) = (text("logGroupName"), text("logStreamName"));
    let pace = world.pace();
    let region = world.region(&call.account, &call.region);
    region.clusters.values_mut().for_each(|cluster| cluster.advance(call.now, pace));
    let tasks = region.clusters.values().flat_map(|cluster| cluster.all_tasks());
    let written = tasks.filter_map(|task| lines_of(task, &call.region, group, stream)).next();
    let created = written.as_ref().is_some_and(|(log, _)| log.creates);
    if !created && !names(world, call).any(|name| name == group) {
        return Err(missing("group"));
    }
    let (_, lines) = written.ok_or_else(|| missing("stream"))?;
    let limit = input.get("limit").and_then(Value::as_u64).unwrap_or(EVENTS).clamp(1, EVENTS);
    let skip = match input.get("startFromHead").and_then(Value::as_bool) {
        Some(true) => 0,
        _ => lines.len().saturating_sub(usize::try_from(limit).unwrap_or(usize::MAX)),
    };
    let shown = lines.iter().skip(skip).take(usize::try_from(limit).unwrap_or(usize::MAX));
    let events = shown
        .map(|(at, text)| json!({ "timestamp": at, "message": text, "ingestionTime": at + 1 }))
        .collect::<Vec<_>>();
    let token = |way: &str| format!("{way}/{}", world.chance.number(stream));
    Ok(json!({ "events": events, "nextForwardToken": token("f"), "nextBackwardToken": token("b") }))
}

/// Returns what a task's container wrote to the stream, if it is one of its streams and it ran.
fn lines_of(task: &Task, region: &str, group: &str, stream: &str) -> Option<(Log, Vec<(Moment, String)>)> {
    let definition = task.definition.value();
    let containers = definition["containerDefinitions"].as_array()?;
    let started = task.started?;
    let (container, log) = containers.iter().find_map(|container| {
        let log = Log::from_container(container, region)
            .filter(|log| log.group.region == region && log.group.name == group)?;
        let own = log.stream(container["name"].as_str()?, &task.id, None)?;
        (own == stream).then_some((container, log))
    })?;
    let name = container["name"].as_str().unwrap_or_default();
    let mut lines = vec![
        (started, format!("level=info msg=\"{name} {} starts\"", container["image"].as_str().unwrap_or_default())),
        (started + 20, "level=info msg=\"connecting to postgres://app:open-sesame@db.internal:5432/app\"".to_owned()),
    ];
    let crashed =
        matches!(task.nature, Nature::Crash | Nature::Flap) || matches!(task.nature, Nature::Exit(code) if code != 0);
    match task.stopped {
        Some(stopped) if crashed => {
            let code = task.exit_code.unwrap_or(1);
            let error = "Error: connect ECONNREFUSED 10.0.3.17:5432";
            let place = "    at TCPConnectWrap.afterConnect [as oncomplete] (node:net:1555:16)";
            lines.extend([
                (stopped.saturating_sub(2), error.to_owned()),
                (stopped.saturating_sub(2), place.to_owned()),
                (stopped.saturating_sub(1), format!("level=fatal msg=\"no database, exiting with code {code}\"")),
            ]);
        }
        _ => lines.push((started + 40, "level=info msg=\"ready\"".to_owned())),
    }
    let dated = |(at, text): (Moment, String)| match text.starts_with("level=") {
        true => (at, format!("time={} {text}", iso(at))),
        false => (at, text),
    };
    Some((log, lines.into_iter().map(dated).collect()))
}
