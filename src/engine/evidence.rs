//! Why a deployment failed: what ECS and its stopped tasks say, each distinct thing once.
//!
//! Everything here is best effort and bounded in time: a missing permission costs a line, never the outcome.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::aws::ecs::Ecs;
use crate::fleet::TargetSpec;
use crate::observe::service::Message;

/// Evidence is worth a short wait and no more.
const LONGEST: Duration = Duration::from_secs(15);
/// How many of ECS's messages are kept.
const MESSAGES: usize = 5;

/// Gathers the evidence of a failed deployment. `messages` are ECS's since the rollout began, oldest first.
pub async fn gather(ecs: &Ecs, target: &TargetSpec, deployment: Option<&str>, messages: &[Message]) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(deployment) = deployment {
        let reads = async { tokio::join!(status_reason(ecs, target, deployment), stopped(ecs, target, deployment)) };
        match tokio::time::timeout(LONGEST, reads).await {
            Ok((reason, stopped)) => {
                lines.extend(reason);
                lines.extend(stopped);
            }
            Err(_) => lines.push("ECS was too slow to say why its tasks stopped".to_owned()),
        }
    }
    let mut telling: Vec<String> = Vec::new();
    for message in messages.iter().filter(|message| is_trouble(&message.text)) {
        let text = general(&message.text);
        if !telling.contains(&text) {
            telling.push(text);
        }
    }
    let skip = telling.len().saturating_sub(MESSAGES);
    lines.extend(telling.into_iter().skip(skip).map(|text| format!("ECS: {text}")));
    lines
}

/// Whether a message of ECS's is about something going wrong.
pub fn is_trouble(text: &str) -> bool {
    const SIGNS: [&str; 8] =
        ["fail", "unable", "unhealthy", "rolling back", "was unable", "Reason:", "error", "could not be"];
    SIGNS.iter().any(|sign| text.contains(sign))
}

/// Leaves out what makes equal messages differ: task ids.
fn general(text: &str) -> String {
    let mut words: Vec<&str> = Vec::new();
    let mut rest = text.split(' ').peekable();
    while let Some(word) = rest.next() {
        let is_task = word == "(task" && rest.peek().is_some_and(|id| id.trim_end_matches([')', '.']).len() == 32);
        if is_task {
            rest.next();
        } else {
            words.push(word);
        }
    }
    words.join(" ")
}

async fn status_reason(ecs: &Ecs, target: &TargetSpec, deployment: &str) -> Option<String> {
    let number = deployment.rsplit('/').next()?;
    let newest = ecs.list_service_deployments(&target.cluster, &target.service).await.ok()?;
    let ours = newest.iter().find(|brief| {
        brief["targetServiceRevisionArn"].as_str().and_then(|arn| arn.rsplit('/').next()) == Some(number)
    })?;
    let reason = ours["statusReason"].as_str().filter(|reason| !reason.is_empty())?;
    Some(format!("service deployment {}: {reason}", ours["status"].as_str().unwrap_or("UNKNOWN")))
}

/// Groups the deployment's stopped tasks by what they say: `3 tasks: EssentialContainerExited: … (app exited with 1)`.
async fn stopped(ecs: &Ecs, target: &TargetSpec, deployment: &str) -> Vec<String> {
    let tasks = match ecs.stopped_tasks(&target.cluster, deployment).await {
        Ok(tasks) => tasks,
        Err(error) => return vec![format!("its stopped tasks could not be read: {error}")],
    };
    let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
    for task in &tasks {
        *reasons.entry(task_reason(task)).or_default() += 1;
    }
    let line = |(reason, count): (String, usize)| match count {
        1 => format!("1 task: {reason}"),
        count => format!("{count} tasks: {reason}"),
    };
    reasons.into_iter().map(line).collect()
}

fn task_reason(task: &Value) -> String {
    let mut parts: Vec<String> = Vec::new();
    parts.extend(task["stopCode"].as_str().map(str::to_owned));
    parts.extend(task["stoppedReason"].as_str().map(str::to_owned));
    let said = parts.join(": ");
    let containers = task["containers"].as_array().into_iter().flatten();
    let details: Vec<String> = containers
        .filter_map(|container| {
            let name = container["name"].as_str().unwrap_or("a container");
            let code = container["exitCode"].as_i64().filter(|code| *code != 0);
            let code = code.map(|code| format!("{name} exited with {code}"));
            let reason = container["reason"].as_str().filter(|reason| !reason.is_empty() && !said.contains(reason));
            match (code, reason) {
                (Some(code), Some(reason)) => Some(format!("{code}: {reason}")),
                (Some(code), None) => Some(code),
                (None, Some(reason)) => Some(format!("{name}: {reason}")),
                (None, None) => None,
            }
        })
        .collect();
    let reason = if said.is_empty() { "stopped without a reason".to_owned() } else { said.clone() };
    if details.is_empty() { reason } else { format!("{reason} ({})", details.join("; ")) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_stopped_task_tells_its_code_reason_and_exit_codes() {
        let task = json!({
            "stopCode": "EssentialContainerExited", "stoppedReason": "Essential container in task exited",
            "containers": [
                { "name": "app", "exitCode": 137, "reason": "OutOfMemoryError: container killed" },
                { "name": "log", "exitCode": 0 },
                { "name": "side", "reason": "CannotPullContainerError: no such tag" },
            ],
        });
        assert_eq!(
            task_reason(&task),
            "EssentialContainerExited: Essential container in task exited (app exited with 137: OutOfMemoryError: \
             container killed; side: CannotPullContainerError: no such tag)"
        );
    }

    #[test]
    fn messages_that_differ_only_in_a_task_are_one() {
        let id = "0123456789abcdef0123456789abcdef";
        let text = format!("(service api) (task {id}) failed container health checks.");
        assert_eq!(general(&text), "(service api) failed container health checks.");
    }
}
