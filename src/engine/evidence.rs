//! Why a deployment failed: what ECS and its stopped tasks say, each distinct thing once.
//!
//! Everything here is best effort and bounded in time: a missing permission costs a line, never the outcome.

#[cfg(feature = "health")]
mod health;
mod tail;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::aws::ecs::Ecs;
use crate::engine::messages::Messages;
use crate::engine::service_deployments::is_of;
use crate::event::{Evidence, Reason, is_trouble};
use crate::fleet::TargetSpec;

/// Evidence is worth a short wait and no more.
const LONGEST: Duration = Duration::from_secs(15);
/// So often, and so far apart, the service deployment is asked why it ended.
const LOOKS: u32 = 3;
const INTERVAL: Duration = Duration::from_secs(1);
/// How many of ECS's messages are kept.
const MESSAGES: usize = 5;

/// What was found of a failed deployment.
#[derive(Debug, Default)]
pub struct Found {
    /// What the service-deployment object says of its end, where it answers.
    pub status_reason: Option<String>,
    /// The rest.
    pub evidence: Vec<Evidence>,
}

impl Found {
    /// Returns the reason of a failure. `own` is what this program says of it. Where it says nothing, ECS's words are taken
    /// in a fixed order, so that one cause is one reason whenever it was looked at: the service deployment's; those of the
    /// deployment, `seen` while ECS rolled back; that it rolled back.
    pub fn reason(self, own: Option<String>, seen: Option<String>) -> Reason {
        let Self { status_reason, mut evidence } = self;
        let summary = match (own, status_reason) {
            (Some(own), status) => {
                evidence.splice(0..0, status.map(Evidence::from));
                own
            }
            (None, Some(status)) => status,
            (None, None) => seen.unwrap_or_else(|| "ECS rolled the deployment back".to_owned()),
        };
        Reason { summary: summary.trim_end_matches('.').to_owned(), evidence, help: None }
    }
}

/// Says what is wrong with the targets behind a service's load balancers, by the ARNs of its target groups.
#[cfg(feature = "health")]
pub async fn of_targets(ecs: &Ecs, target: &TargetSpec, groups: &[String]) -> Vec<Evidence> {
    health::collect(ecs, target, groups).await
}

/// Without the feature `health` nothing is known of targets.
#[cfg(not(feature = "health"))]
pub async fn of_targets(_: &Ecs, _: &TargetSpec, _: &[String]) -> Vec<Evidence> {
    Vec::new()
}

/// Gathers the evidence of a failed deployment. `messages` are ECS's since the rollout began; `unwell` is what was wrong with
/// the targets when its tasks began to fail, which is told where nothing is wrong with them any more.
pub async fn gather(
    ecs: &Ecs,
    target: &TargetSpec,
    deployment: Option<&str>,
    messages: &Messages,
    unwell: Vec<Evidence>,
) -> Found {
    let (targets, mut found) =
        tokio::join!(of_targets(ecs, target, messages.target_groups()), of_deployment(ecs, target, deployment));
    found.evidence.extend(if targets.is_empty() { unwell } else { targets });
    let mut telling: Vec<String> = Vec::new();
    for message in messages.kept().iter().filter(|message| is_trouble(&message.text)) {
        let text = general(&message.text);
        if !telling.contains(&text) {
            telling.push(text);
        }
    }
    let skip = telling.len().saturating_sub(MESSAGES);
    found.evidence.extend(telling.into_iter().skip(skip).map(|text| Evidence::from(format!("ECS: {text}"))));
    found
}

async fn of_deployment(ecs: &Ecs, target: &TargetSpec, deployment: Option<&str>) -> Found {
    let mut found = Found::default();
    if let Some(deployment) = deployment {
        let reads = async { tokio::join!(status_reason(ecs, target, deployment), stopped(ecs, target, deployment)) };
        match tokio::time::timeout(LONGEST, reads).await {
            Ok((reason, stopped)) => {
                found.status_reason = reason;
                found.evidence.extend(stopped);
            }
            Err(_) => found.evidence.push("ECS was too slow to say why its tasks stopped".to_owned().into()),
        }
    }
    found
}

/// Leaves out what makes equal messages differ: the service, task and deployment that they are about, and of a target group
/// all but its name.
fn general(text: &str) -> String {
    const ABOUT: [&str; 3] = ["(service", "(task", "(deployment"];
    let mut words: Vec<String> = Vec::new();
    let mut rest = text.split(' ').peekable();
    while let Some(word) = rest.next() {
        if ABOUT.contains(&word) && rest.peek().is_some_and(|name| name.trim_end_matches(['.', ',']).ends_with(')')) {
            rest.next();
        } else if word.starts_with("ecs-svc/") {
            words.push("ecs-svc/…".to_owned());
        } else if word.contains(":targetgroup/") {
            let closes = word.trim_start_matches(|char| char != ')');
            words.push(format!("{}{closes}", word.split('/').nth(1).unwrap_or(word)));
        } else {
            words.push(word.to_owned());
        }
    }
    words.join(" ").trim_end_matches('.').to_owned()
}

/// Returns what the service deployment says of its end: it says so a moment after the service does.
async fn status_reason(ecs: &Ecs, target: &TargetSpec, deployment: &str) -> Option<String> {
    for _ in 0..LOOKS {
        let newest = ecs.list_service_deployments(&target.cluster, &target.service).await.ok()?;
        let ours = newest.iter().find(|brief| is_of(brief, deployment))?;
        if let Some(reason) = ours["statusReason"].as_str().filter(|reason| !reason.is_empty()) {
            return Some(reason.trim_end_matches('.').to_owned());
        }
        if !matches!(ours["status"].as_str(), Some("PENDING" | "IN_PROGRESS")) {
            return None;
        }
        tokio::time::sleep(INTERVAL).await;
    }
    None
}

/// Groups the deployment's stopped tasks by what they say: `EssentialContainerExited: … (app exited with 1)`. Those that
/// the scheduler stopped, as the deployment gave way, are no cause and are left out where there are others.
async fn stopped(ecs: &Ecs, target: &TargetSpec, deployment: &str) -> Vec<Evidence> {
    let mut tasks = match ecs.stopped_tasks(&target.cluster, deployment).await {
        Ok(tasks) => tasks,
        Err(error) => return vec![format!("its stopped tasks could not be read: {error:#}").into()],
    };
    let scheduled = |task: &Value| task["stopCode"] == "ServiceSchedulerInitiated";
    if !tasks.iter().all(scheduled) {
        tasks.retain(|task| !scheduled(task));
    }
    // Each cause with the first task that tells it, whose log is its example, and how many do.
    let mut causes: BTreeMap<String, (&Value, u32)> = BTreeMap::new();
    for task in &tasks {
        causes.entry(general(&task_reason(task))).or_insert((task, 0)).1 += 1;
    }
    let mut found: Vec<Evidence> = Vec::new();
    let mut unread: Vec<Evidence> = Vec::new();
    let tails = tail::collect(ecs, target, causes.values().map(|(task, _)| *task).collect()).await;
    for ((text, (_, count)), log) in causes.into_iter().zip(tails) {
        let log = log.unwrap_or_else(|why| {
            let why = Evidence::from(why);
            if !unread.contains(&why) {
                unread.push(why);
            }
            Vec::new()
        });
        found.push(Evidence { tasks: count, log, ..Evidence::from(text) });
    }
    found.extend(unread);
    found
}

/// Says why one stopped task stopped, with the end of its log.
pub async fn of_task(ecs: &Ecs, target: &TargetSpec, task: &Value) -> Vec<Evidence> {
    let log = tail::collect(ecs, target, vec![task]).await.into_iter().next().unwrap_or_else(|| Ok(Vec::new()));
    let (log, unread) = log.map_or_else(|why| (Vec::new(), Some(Evidence::from(why))), |log| (log, None));
    let found = Evidence { tasks: 1, log, ..Evidence::from(general(&task_reason(task))) };
    std::iter::once(found).chain(unread).collect()
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
    fn one_cause_has_one_reason_whatever_was_seen_in_passing() {
        let found = |status: Option<&str>| Found { status_reason: status.map(str::to_owned), evidence: Vec::new() };
        let text = |text: &str| Some(text.to_owned());
        let (seen, late) =
            (found(Some("status.")).reason(None, text("words.")), found(Some("status.")).reason(None, None));
        assert_eq!((&seen, seen.summary.as_str()), (&late, "status"));
        assert_eq!(found(None).reason(None, text("words.")).summary, "words");
        assert_eq!(found(None).reason(None, None).summary, "ECS rolled the deployment back");
        let own = found(Some("status")).reason(text("not complete within 5m"), text("words"));
        assert_eq!((own.summary.as_str(), own.evidence[0].text.as_str()), ("not complete within 5m", "status"));
    }

    #[test]
    fn messages_about_different_things_are_one_text() {
        for (text, general_text) in [
            (
                "(service api) (task 0123456789abcdef0123456789abcdef) failed container health checks.",
                "failed container health checks",
            ),
            (
                "(service api) (deployment ecs-svc/12) deployment failed: tasks failed to start.",
                "deployment failed: tasks failed to start",
            ),
            ("(service api) rolling back to deployment ecs-svc/1.", "rolling back to deployment ecs-svc/…"),
            (
                "(port 80) is unhealthy in (target-group arn:aws:elasticloadbalancing:r:1:targetgroup/web/0a1b) due to \
                 (reason Timeout)",
                "(port 80) is unhealthy in (target-group web) due to (reason Timeout)",
            ),
        ] {
            assert_eq!(general(text), general_text, "{text}");
        }
    }
}
