//! Why a deployment failed: what ECS and its stopped tasks say, each distinct thing once.
//!
//! Everything here is best effort and bounded in time: a missing permission costs a line, never the outcome.

mod health;
mod tail;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::aws::ecs::Ecs;
use crate::base::general::general;
use crate::engine::messages::Messages;
use crate::engine::service_deployments::is_of;
use crate::event::{Evidence, Reason, is_trouble};
use crate::fleet::TargetSpec;
use crate::narrate::headline;
use crate::narrate::headline::{Headline, strongest};

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
    status_reason: Option<String>,
    /// The cause, as far as the rest tells it.
    headline: Option<Headline>,
    /// The rest, what tells the most first.
    evidence: Vec<Evidence>,
}

impl Found {
    /// Puts what is known besides before the rest: what the stages, hooks and alarms say.
    #[must_use]
    pub fn with(mut self, known: Vec<Evidence>) -> Self {
        let read = known.iter().filter_map(|evidence| headline::of_words(&evidence.text));
        self.headline = strongest(read.chain(self.headline));
        self.evidence.splice(0..0, known);
        self
    }

    /// Returns the reason of a deployment that ECS ended: the cause, or else ECS's words in a fixed order, so that one cause is
    /// one reason whenever it was looked at: the service deployment's; those of the deployment, `seen` while ECS rolled back;
    /// that it rolled back.
    pub fn reason(self, seen: Option<String>) -> Reason {
        let said = self.status_reason.clone().or(seen);
        let said = said.unwrap_or_else(|| "ECS rolled the deployment back".to_owned());
        let strong = strongest(self.headline.clone().into_iter().chain(headline::of_words(&said)));
        match strong {
            Some(headline) => self.headed(headline.text, headline.cause),
            None => self.into_reason(said.into()),
        }
    }

    /// Puts after the rest what is worth to be known and is no cause.
    #[must_use]
    pub fn also(mut self, known: Vec<Evidence>) -> Self {
        let is_cause = |text: &str| headline::of_words(text).is_some_and(|headline| headline.tells_why());
        self.evidence.extend(known.into_iter().filter(|known| !is_cause(&known.text)));
        self
    }

    /// Returns the reason of what did not end well by what this program says of it, which is the summary only where no cause
    /// was found.
    pub fn reason_after(mut self, own: Evidence) -> Reason {
        match self.headline.clone().filter(Headline::tells_why) {
            Some(headline) => {
                self.evidence.insert(0, own);
                self.headed(headline.text, headline.cause)
            }
            None => self.into_reason(own),
        }
    }

    /// Returns the reason of what this program says, whatever was found, with the cause after it.
    pub fn reason_of(self, own: &str) -> Reason {
        match self.headline.clone().filter(Headline::tells_why) {
            Some(headline) => self.headed(format!("{own}: {}", headline.text), format!("{own}: {}", headline.cause)),
            None => self.into_reason(own.to_owned().into()),
        }
    }

    /// Returns the reason of what this program says, with what was found as its evidence.
    pub fn into_reason(self, own: Evidence) -> Reason {
        let cause = own.cause.unwrap_or_else(|| general(&own.text));
        self.headed(own.text, cause)
    }

    /// Returns what was found, ECS's own sentence last.
    pub fn into_evidence(self) -> Vec<Evidence> {
        let said = self.status_reason.map(|said| Evidence::from(format!("ECS: {said}")));
        self.evidence.into_iter().chain(said).collect()
    }

    fn headed(self, summary: String, cause: String) -> Reason {
        let mut evidence = self.into_evidence();
        evidence.retain(|evidence| evidence.text.strip_prefix("ECS: ").unwrap_or(&evidence.text) != summary);
        Reason { summary: summary.trim_end_matches('.').to_owned(), cause: Some(cause), evidence, help: None }
    }
}

/// Says what is wrong with the targets behind a service's load balancers, by the ARNs of its target groups.
pub async fn of_targets(ecs: &Ecs, target: &TargetSpec, groups: &[String]) -> Vec<Evidence> {
    health::collect(ecs, target, groups).await
}

/// Whether nothing that was found is of a target that was checked: a later look may tell more.
pub fn is_early(found: &[Evidence]) -> bool {
    found.iter().all(|it| it.text.contains(" initial") && !it.text.contains("unhealthy"))
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
    let (targets, (status_reason, stopped)) =
        tokio::join!(of_targets(ecs, target, messages.target_groups()), of_deployment(ecs, target, deployment));
    let targets = if is_early(&targets) && !unwell.is_empty() { unwell } else { targets };
    let mut said: Vec<String> = Vec::new();
    // That ECS rolls back, the outcome says.
    let tells = |text: &str| is_trouble(text) && !text.contains("rolling back to");
    for message in messages.kept().iter().filter(|message| tells(&message.text)) {
        let text = general_message(&message.text);
        if !said.contains(&text) {
            said.push(text);
        }
    }
    compose(status_reason, stopped, targets, said)
}

/// Puts together what was found: each thing is told once, by whoever tells the most of it.
fn compose(
    status_reason: Option<String>,
    stopped: Vec<(Evidence, Option<Headline>)>,
    targets: Vec<Evidence>,
    said: Vec<String>,
) -> Found {
    let (mut evidence, mut headlines): (Vec<Evidence>, Vec<Headline>) = Default::default();
    for (found, headline) in stopped {
        evidence.push(found);
        headlines.extend(headline);
    }
    headlines.extend(targets.iter().filter_map(|found| headline::of_words(&found.text)));
    evidence.extend(targets);
    headlines.extend(status_reason.as_deref().and_then(headline::of_words));
    let mut telling = Vec::new();
    for text in said {
        let headline = headline::of_words(&text);
        let is_known = headline.as_ref().is_some_and(|one| headlines.iter().any(|known| known.covers(one)));
        if !is_known {
            telling.push(text);
        }
        headlines.extend(headline);
    }
    let skip = telling.len().saturating_sub(MESSAGES);
    evidence.extend(telling.into_iter().skip(skip).map(|text| Evidence::from(format!("ECS: {text}"))));
    Found { status_reason, headline: strongest(headlines), evidence }
}

/// What the service deployment says of its end, and its stopped tasks.
type OfDeployment = (Option<String>, Vec<(Evidence, Option<Headline>)>);

async fn of_deployment(ecs: &Ecs, target: &TargetSpec, deployment: Option<&str>) -> OfDeployment {
    let Some(deployment) = deployment else { return OfDeployment::default() };
    let reads = async { tokio::join!(status_reason(ecs, target, deployment), stopped(ecs, target, deployment)) };
    match tokio::time::timeout(LONGEST, reads).await {
        Ok(found) => found,
        Err(_) => (None, vec![(Evidence::from("ECS was too slow to say why its tasks stopped".to_owned()), None)]),
    }
}

/// Leaves out what makes equal messages differ: the service, task and deployment that they are about, and of a target group
/// all but its name.
pub fn general_message(text: &str) -> String {
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
    words.join(" ").trim_end_matches(['.', ':', ' ']).to_owned()
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
/// the scheduler stopped, as the deployment gave way, are no cause and are left out.
async fn stopped(ecs: &Ecs, target: &TargetSpec, deployment: &str) -> Vec<(Evidence, Option<Headline>)> {
    let mut tasks = match ecs.stopped_tasks(&target.cluster, deployment).await {
        Ok(tasks) => tasks,
        Err(error) => return vec![(format!("its stopped tasks could not be read: {error:#}").into(), None)],
    };
    tasks.retain(|task| !gave_way(task));
    // Each cause with the first task that tells it, whose log is its example, and how many do.
    let mut causes: BTreeMap<String, (&Value, u32)> = BTreeMap::new();
    for task in &tasks {
        causes.entry(general_message(&task_reason(task))).or_insert((task, 0)).1 += 1;
    }
    let mut found: Vec<(Evidence, Option<Headline>)> = Vec::new();
    let mut unread: Vec<Evidence> = Vec::new();
    let tails = tail::collect(ecs, target, causes.values().map(|(task, _)| *task).collect()).await;
    for ((text, (task, count)), log) in causes.into_iter().zip(tails) {
        let log = log.unwrap_or_else(|why| {
            let why = Evidence::from(why);
            if !unread.contains(&why) {
                unread.push(why);
            }
            Vec::new()
        });
        let headline = headline::of_task(task, &log).map(|headline| headline.with_tasks(count));
        found.push((of_tasks(text, count, log), headline));
    }
    // What tells the most is read first.
    found.sort_by(|(_, one), (_, other)| other.cmp(one));
    found.extend(unread.into_iter().map(|why| (why, None)));
    found
}

/// Returns what so many tasks say. How a target group is called differs from service to service.
fn of_tasks(text: String, tasks: u32, log: Vec<String>) -> Evidence {
    let nameless = text.split_once("(target-group ").and_then(|(before, rest)| {
        let (_, after) = rest.split_once(')')?;
        Some(format!("{before}(target-group){after}"))
    });
    Evidence { tasks, log, cause: nameless, ..Evidence::from(text) }
}

/// Whether a task was stopped because fewer were wanted, or others: it says nothing of the deployment's failure.
fn gave_way(task: &Value) -> bool {
    let reason = task["stoppedReason"].as_str().unwrap_or_default();
    task["stopCode"] == "ServiceSchedulerInitiated" && (reason.is_empty() || reason.starts_with("Scaling activity"))
}

/// Says why one stopped task stopped, with the end of its log.
pub async fn of_task(ecs: &Ecs, target: &TargetSpec, task: &Value) -> (Vec<Evidence>, Option<Headline>) {
    let log = tail::collect(ecs, target, vec![task]).await.into_iter().next().unwrap_or_else(|| Ok(Vec::new()));
    let (log, unread) = log.map_or_else(|why| (Vec::new(), Some(Evidence::from(why))), |log| (log, None));
    let headline = headline::of_task(task, &log);
    let found = of_tasks(general_message(&task_reason(task)), 1, log);
    (std::iter::once(found).chain(unread).collect(), headline)
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
mod tests;
