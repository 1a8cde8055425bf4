//! The end of the log of a container that failed: of one task for each cause, read with the target's own session.

use std::collections::BTreeMap;
use std::time::Duration;

use anstream::adapter::strip_str;
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use crate::aws::denial;
use crate::aws::ecs::Ecs;
use crate::aws::error::Kind;
use crate::base::arn;
use crate::base::redact;
use crate::fleet::TargetSpec;
use crate::narrate::headline::failing;
use crate::references::log::Log;

/// How many lines are read of a log.
const LINES: u16 = 10;
/// How many characters are kept of a line.
const LENGTH: usize = 300;
/// For how many causes a log is read.
const CAUSES: usize = 3;
/// A log is worth a moment's wait: the other evidence is there already.
const LONGEST: Duration = Duration::from_secs(5);

/// The lines of a log; or why it was not allowed to be read, as a lower-case fragment.
type Tail = Result<Vec<String>, String>;

/// Returns the end of the failing container's log for each task, in their order. What is not there, or does not come in
/// time, is empty.
pub async fn collect(ecs: &Ecs, target: &TargetSpec, tasks: Vec<&Value>) -> Vec<Tail> {
    let deadline = Instant::now() + LONGEST;
    let mut definitions: BTreeMap<&str, Option<Value>> = BTreeMap::new();
    let mut tails = Vec::with_capacity(tasks.len());
    for (number, task) in tasks.into_iter().enumerate() {
        let revision = task["taskDefinitionArn"].as_str();
        let Some(revision) = revision.filter(|_| number < CAUSES && failing(task).is_some()) else {
            tails.push(Ok(Vec::new()));
            continue;
        };
        if !definitions.contains_key(revision) {
            let read = timeout_at(deadline, ecs.describe_task_definition(revision)).await;
            definitions.insert(revision, read.ok().and_then(Result::ok));
        }
        tails.push(match definitions.get(revision).and_then(Option::as_ref) {
            Some(definition) => {
                let read = timeout_at(deadline, tail(ecs, target, task, definition)).await;
                read.unwrap_or_else(|_| Ok(Vec::new()))
            }
            None => Ok(Vec::new()),
        });
    }
    tails
}

async fn tail(ecs: &Ecs, target: &TargetSpec, task: &Value, definition: &Value) -> Tail {
    let Some((group, stream, container)) = log_location(task, definition, &target.id.region) else {
        return Ok(Vec::new());
    };
    match ecs.aux().logs(&group.0).tail(&group.1, &stream, LINES).await {
        Ok(lines) => Ok(shown(&lines)),
        Err(error) if error.kind == Kind::Denied => {
            let why = denial::unanswered(&error, "logs", Some(target.account.chain.role_name()));
            Err(format!("the log of {container} could not be read: {why}"))
        }
        Err(_) => Ok(Vec::new()),
    }
}

/// Returns the region and name of the log group, the stream and the container's name.
fn log_location(task: &Value, definition: &Value, region: &str) -> Option<((String, String), String, String)> {
    let container = failing(task)?;
    let name = container["name"].as_str()?;
    let mut containers = definition["containerDefinitions"].as_array()?.iter();
    let log = Log::from_container(containers.find(|one| one["name"] == name)?, region)?;
    let id = arn::name(task["taskArn"].as_str()?);
    let stream = log.stream(name, id, container["runtimeId"].as_str())?;
    Some(((log.group.region, log.group.name), stream, name.to_owned()))
}

/// Returns lines as they may be shown: without colours and secrets, none too long, and none that are empty.
fn shown(lines: &[String]) -> Vec<String> {
    let cut = |line: String| match line.char_indices().nth(LENGTH) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    };
    let lines: Vec<String> = lines.iter().map(|line| strip_str(line.trim_end()).to_string()).collect();
    // A secret is looked for in the whole line: a part of it need not look like one.
    redact::lines(&lines).into_iter().filter(|line| !line.is_empty()).map(cut).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_container_that_failed_is_the_one_whose_log_is_read() {
        let log = |name: &str| {
            json!({ "name": name, "logConfiguration": { "logDriver": "awslogs", "options": {
            "awslogs-group": "/ecs/api", "awslogs-region": "eu-west-1", "awslogs-stream-prefix": name } } })
        };
        let definition = json!({ "containerDefinitions": [log("proxy"), log("app"), { "name": "quiet" }] });
        let task =
            |containers: Value| json!({ "taskArn": "arn:aws:ecs:eu-west-1:1:task/web/0123", "containers": containers });
        let stream =
            |containers| log_location(&task(containers), &definition, "eu-west-1").map(|(_, stream, _)| stream);
        let proxy = json!({ "name": "proxy", "exitCode": 0 });
        assert_eq!(stream(json!([proxy, { "name": "app", "exitCode": 1 }])), Some("app/app/0123".to_owned()));
        assert_eq!(stream(json!([proxy, { "name": "app" }])), Some("proxy/proxy/0123".to_owned()));
        assert_eq!(stream(json!([proxy, { "name": "quiet", "exitCode": 1 }])), None);
        assert_eq!(stream(json!([{ "name": "app", "reason": "CannotPullContainerError" }])), None);
    }

    #[test]
    fn lines_are_redacted_before_they_are_cut() {
        let long = format!("{}password={}", "x".repeat(LENGTH - 12), "s".repeat(40));
        let coloured = "\u{1b}[1;31mError\u{1b}[0m: 3\u{1b}[".to_owned();
        let lines = shown(&[String::new(), long, "  at main.rs:1\n".to_owned(), coloured]);
        assert_eq!((lines.len(), &*lines[2]), (3, "Error: 3"));
        assert!(lines[0].ends_with("password=[re…"), "{}", lines[0]);
        assert_eq!(lines[1], "  at main.rs:1");
    }
}
