//! One task of RunTask: started once, watched until it is STOPPED, and stopped where that takes too long or the run is
//! cancelled.

use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::time::{Instant, timeout_at};

use crate::aws::ecs::Ecs;
use crate::aws::error::{CallError, Kind};
use crate::aws::permit::Permit;
use crate::base::text::hex;
use crate::engine::blind::Blind;
use crate::engine::context::Run;
use crate::engine::evidence;
use crate::engine::hints::help;
use crate::engine::interval;
use crate::engine::retry::{self, Unread};
use crate::event::{Event, Reason, TaskEnd};
use crate::fleet::{Launch, Moment, Per, RunTask, TargetSpec};

/// How long a RunTask that was put off waits.
const AGAIN: Duration = Duration::from_millis(2500);
/// A task is gone after this many consecutive polls without it: reads of ECS may lag behind.
const MISSES: u32 = 5;
/// ECS's longest `startedBy` that every operation takes.
const STARTED_BY: usize = 36;
/// How long a stopped task's definition is asked for.
const READ: Duration = Duration::from_secs(60);
/// How long ECS is asked to stop a task, with its retries.
const STOP: Duration = Duration::from_secs(20);
/// How long after a cancel ECS may answer a RunTask that is on the wire, whose task is then stopped.
const ANSWERED: Duration = Duration::from_millis(1_500);
/// How long after a cancel ECS may answer StopTask: the process must be gone within five seconds.
const CONCURRENCY: Duration = Duration::from_millis(2_500);

/// A task that is to be run for a target.
#[derive(Clone, Copy)]
pub struct TaskExecution<'a> {
    /// The run.
    pub run: &'a Run,
    /// For whom.
    pub target: &'a TargetSpec,
    /// The ECS of its account and region.
    pub ecs: &'a Ecs,
    /// What.
    pub task: &'a RunTask,
    /// When.
    pub moment: Moment,
    /// The ARN of the revision that the target gets, or got.
    pub definition: &'a str,
    /// Until when it may be started.
    pub permit: &'a Permit,
}

impl TaskExecution<'_> {
    /// Runs the task to its end.
    pub async fn run(self) -> Result<(), Unfinished> {
        let deadline = Instant::now() + self.task.timeout;
        let request = tokio::select! {
            biased;
            () = self.run.cancel.cancelled() => {
                return Err(Unfinished::Cancelled(format!("before the task {} was started", self.task.name)));
            }
            () = self.permit.ended() => return Err(Unfinished::Stopped),
            request = self.request(deadline) => request.map_err(|reason| self.failed("could not be started", reason))?,
        };
        let answer = self.sent(&request, &self.permit.with_deadline(deadline)).await?;
        let Some(arn) = answer["tasks"][0]["taskArn"].as_str() else {
            return Err(self.failed("could not be started", summary(&no_task(&answer))));
        };
        let (target, name) = (self.target.id.clone(), self.task.name.clone());
        let (moment, task) = (self.moment, arn.to_owned());
        self.emit(Event::RunTaskStarted { target, name, moment, task }).await;
        let ended = self.watch(arn, deadline).await;
        let end = match &ended {
            Ok(()) => TaskEnd::Succeeded,
            Err(Unfinished::Failed(_)) => TaskEnd::Failed,
            Err(Unfinished::Cancelled(_) | Unfinished::Stopped) => TaskEnd::Cancelled,
        };
        let (target, name) = (self.target.id.clone(), self.task.name.clone());
        self.emit(Event::RunTaskFinished { target, name, moment, end }).await;
        ended
    }

    /// Sends RunTask until it is answered or the permit is over. It has a token, so sending it again after an answer that was
    /// lost starts no second task.
    async fn sent(self, request: &Value, permit: &Permit) -> Result<Value, Unfinished> {
        let mut lost: Option<CallError> = None;
        loop {
            let sent = tokio::select! {
                biased;
                sent = self.ecs.run_task(request, permit) => sent,
                () = self.cancelled_for(ANSWERED) => Err(CallError::plain("RunTask", Kind::Unknown, "no answer in time")),
            };
            let error = match sent {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            match error.kind {
                Kind::Unknown => lost = Some(error.clone()),
                Kind::Throttled | Kind::Withdrawn => {}
                _ => return Err(self.failed("could not be started", self.refused(&error))),
            }
            if permit.hold(tokio::time::sleep(AGAIN)).await.is_some() {
                continue;
            }
            return Err(match lost {
                Some(error) => {
                    let help = format!("look for a task that was started by {}", self.started_by());
                    let reason = Reason { help: Some(help), ..summary(&format!("{error:#}")) };
                    self.failed("may run, and is not watched", reason)
                }
                None if self.permit.is_over() => Unfinished::Stopped,
                None => self.failed("could not be started", self.refused(&error)),
            });
        }
    }

    /// Waits until the run has been cancelled for so long.
    async fn cancelled_for(self, long: Duration) {
        self.run.cancel.cancelled().await;
        tokio::time::sleep_until(self.since_cancelled(long)).await;
    }

    fn since_cancelled(self, long: Duration) -> Instant {
        self.run.cancel.at().unwrap_or_else(Instant::now) + long
    }

    async fn emit(self, event: Event) {
        self.run.emit(event).await;
    }

    async fn watch(self, arn: &str, deadline: Instant) -> Result<(), Unfinished> {
        let (mut misses, mut last, start) = (0, None, Instant::now());
        let mut blind = Blind::default();
        loop {
            let look = async {
                tokio::time::sleep(interval::of_task(start.elapsed())).await;
                self.ecs.look_at_task(&self.target.cluster, arn).await
            };
            let looked = tokio::select! {
                biased;
                () = self.run.cancel.cancelled() => {
                    let stopped = self.stop(arn, "the deployment was cancelled", self.since_cancelled(CONCURRENCY)).await;
                    return Err(Unfinished::Cancelled(format!("while the task {} ran, which {stopped}", self.task.name)));
                }
                () = tokio::time::sleep_until(deadline) => {
                    let limit = humantime::format_duration(self.task.timeout);
                    let stopped = self.stop(arn, "it ran longer than its timeout", Instant::now() + STOP).await;
                    let why = last.map(|error: CallError| format!("; the last read failed: {error:#}"));
                    let what = format!("timed out after {limit}, and {stopped}{}", why.unwrap_or_default());
                    return Err(self.failed(&what, Reason::default()));
                }
                looked = look => looked,
            };
            if let Err(error) = &looked {
                self.run.lost_session(self.target, error).await;
            }
            match looked {
                Ok(Some(task)) if task["lastStatus"] == "STOPPED" => return self.judge(&task).await,
                Ok(Some(_)) => {
                    (misses, last) = (0, None);
                    blind.sees();
                }
                Ok(None) => {
                    misses += 1;
                    if misses == MISSES {
                        return Err(self.failed("vanished: ECS does not know it any more", Reason::default()));
                    }
                }
                Err(error) if error.kind == Kind::Denied || blind.misses(&error, Instant::now()) => {
                    let stopped = self.stop(arn, "nobody may see how it ends", Instant::now() + STOP).await;
                    return Err(self.failed(&format!("cannot be watched, and {stopped}"), self.refused(&error)));
                }
                Err(error) => last = Some(error),
            }
        }
    }

    /// Says whether a stopped task succeeded. Its definition is only read where some container did not exit with 0.
    async fn judge(self, task: &Value) -> Result<(), Unfinished> {
        let revision = task["taskDefinitionArn"].as_str().unwrap_or_default();
        let deadline = Instant::now() + READ;
        let read = async {
            let definition = retry::read(deadline, || self.ecs.describe_task_definition(revision)).await;
            definition.is_ok_and(|definition| succeeded(task, Some(&definition)))
        };
        let good = succeeded(task, None)
            || tokio::select! {
                biased;
                () = self.run.cancel.cancelled() => {
                    return Err(Unfinished::Cancelled(format!("when the task {} had ended", self.task.name)));
                }
                good = read => good,
            };
        if good {
            return Ok(());
        }
        let evidence = tokio::select! {
            biased;
            () = self.run.cancel.cancelled() => (Vec::new(), None),
            found = evidence::of_task(self.ecs, self.target, task) => found,
        };
        let (evidence, headline) = evidence;
        let (summary, cause) = headline.map(|headline| (headline.text, headline.cause)).unzip();
        let reason = Reason { summary: summary.unwrap_or_default(), cause, evidence, help: None };
        Err(self.failed("failed", reason))
    }

    /// Asks ECS to stop the task, until then. Neither a halt nor a signal ends that: it is what they ask for. Returns how it
    /// went.
    async fn stop(self, arn: &str, reason: &str, until: Instant) -> String {
        let permit = Permit::default().with_deadline(until);
        let stop = timeout_at(until, self.ecs.stop_task(&self.target.cluster, arn, reason, &permit));
        let stopped = tokio::select! {
            biased;
            stopped = stop => stopped.unwrap_or_else(|_| Err(CallError::withdrawn("StopTask"))),
            () = self.cancelled_for(CONCURRENCY) => Err(CallError::withdrawn("StopTask")),
        };
        match stopped {
            Ok(()) => "was stopped".to_owned(),
            Err(error) if error.kind == Kind::Withdrawn => "may go on: ECS did not answer StopTask in time".to_owned(),
            Err(error) => format!("could not be stopped and goes on: {error:#}"),
        }
    }

    /// Says that the task did not succeed, the same for all targets that share it.
    fn failed(self, what: &str, reason: Reason) -> Unfinished {
        let per = match self.task.per {
            Per::Target => String::new(),
            Per::Account | Per::Run => format!(" ({})", self.task.per.words().unwrap_or_default()),
        };
        let then = match self.moment {
            Moment::Before => "nothing was deployed",
            Moment::After => "the deployment had completed",
        };
        let told = |why: &str| {
            let why = if why.is_empty() { String::new() } else { format!(": {}", why.trim_end_matches('.')) };
            format!("the task {}{per} {what}{why}; {then}", self.task.name)
        };
        let (summary, cause) = (told(&reason.summary), reason.cause.as_deref().map(told));
        Unfinished::Failed(Reason { summary, cause, ..reason })
    }

    fn refused(self, error: &CallError) -> Reason {
        Reason { help: help(error, self.target), ..summary(&format!("{error:#}")) }
    }

    /// Returns RunTask's input: what the task does not say, the service does.
    async fn request(self, deadline: Instant) -> Result<Value, Reason> {
        let names = [self.target.service.as_str()];
        let services = retry::read(deadline, || self.ecs.describe_services(&self.target.cluster, &names)).await;
        let services = services.map_err(|unread| match unread {
            Unread::Refused(error) | Unread::Late(Some(error)) => self.refused(&error),
            Unread::Late(None) => summary(&unread.to_string()),
        })?;
        let Some(service) = services.found.first() else {
            return Err(summary("ECS does not know the service any more"));
        };
        let mut request = json!({
            "cluster": self.target.cluster,
            "taskDefinition": self.task.task_definition.as_deref().unwrap_or(self.definition),
            "count": 1,
            "startedBy": self.started_by(),
            "clientToken": self.token(),
        });
        if let Some(overrides) = self.task.overrides() {
            request["overrides"] = overrides;
        }
        let network = self.task.network.as_ref().unwrap_or(&service["networkConfiguration"]);
        if !network.is_null() {
            request["networkConfiguration"] = network.clone();
        }
        let strategy = &service["capacityProviderStrategy"];
        match &self.task.launch {
            Some(Launch::Type(kind)) => request["launchType"] = json!(kind),
            Some(Launch::CapacityProviders(providers)) => request["capacityProviderStrategy"] = json!(providers),
            None => {
                if strategy.as_array().is_some_and(|strategy| !strategy.is_empty()) {
                    request["capacityProviderStrategy"] = strategy.clone();
                } else if service["launchType"].is_string() {
                    request["launchType"] = service["launchType"].clone();
                }
                if service["platformVersion"].is_string() {
                    request["platformVersion"] = service["platformVersion"].clone();
                }
            }
        }
        Ok(request)
    }

    /// Returns what ECS shows as the starter of the task: `roleout/migrate`.
    fn started_by(self) -> String {
        let plain = |char: char| if char.is_ascii_alphanumeric() || char == '-' { char } else { '_' };
        format!("roleout/{}", self.task.name.chars().map(plain).collect::<String>()).chars().take(STARTED_BY).collect()
    }

    /// Returns the token by which ECS knows a RunTask that is sent again: of the run, the target and the task, in 64 digits.
    fn token(self) -> String {
        let target = self.target.id.to_string();
        let parts = [&self.run.shared_tasks.run, target.as_str(), self.moment.word(), &self.task.name];
        let digest = parts.iter().fold(Sha256::new(), |digest, part| digest.chain_update(part).chain_update([0]));
        hex(&digest.finalize())
    }
}

fn summary(text: &str) -> Reason {
    Reason { summary: text.to_owned(), ..Reason::default() }
}

/// Whether a stopped task ended by itself, and every essential container of it with 0. Without its definition all of them
/// count as essential.
fn succeeded(task: &Value, definition: Option<&Value>) -> bool {
    let essential = |name: &Value| {
        let mut known =
            definition.into_iter().flat_map(|it| it["containerDefinitions"].as_array().into_iter().flatten());
        !known.any(|known| known["name"] == *name && known["essential"] == false)
    };
    let by_itself = task["stopCode"].as_str().is_none_or(|code| code == "EssentialContainerExited");
    let containers = task["containers"].as_array().map(Vec::as_slice).unwrap_or_default();
    let good = |container: &Value| container["exitCode"] == 0 || !essential(&container["name"]);
    by_itself && !containers.is_empty() && containers.iter().all(good)
}

/// Says why an answer of RunTask has no task.
fn no_task(answer: &Value) -> String {
    let failures = answer["failures"].as_array().into_iter().flatten();
    let reason = |failure: &Value| {
        let parts = [failure["reason"].as_str(), failure["detail"].as_str()];
        parts.into_iter().flatten().collect::<Vec<_>>().join(": ")
    };
    let mut reasons: Vec<String> = failures.map(reason).collect();
    reasons.dedup();
    if reasons.is_empty() { "ECS started no task and gave no reason".to_owned() } else { reasons.join(", ") }
}

/// How a task ended that did not succeed.
#[derive(Clone, Debug)]
pub enum Unfinished {
    /// It failed, or could not be run.
    Failed(Reason),
    /// The run was cancelled: this is where the task was.
    Cancelled(String),
    /// The permission to write was over before it was started.
    Stopped,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_succeeds_by_itself_and_with_every_essential_container() {
        let definition = json!({ "containerDefinitions": [{ "name": "app" }, { "name": "log", "essential": false }] });
        let task = |stop: &str, app: Value, log: Value| {
            json!({ "stopCode": stop, "containers": [
                { "name": "app", "exitCode": app }, { "name": "log", "exitCode": log },
            ] })
        };
        let exited = "EssentialContainerExited";
        for (task, alone, known) in [
            (task(exited, json!(0), json!(0)), true, true),
            (task(exited, json!(0), json!(143)), false, true),
            (task(exited, json!(0), Value::Null), false, true),
            (task(exited, json!(3), json!(0)), false, false),
            (task(exited, Value::Null, json!(0)), false, false),
            (task("SpotInterruption", json!(0), json!(0)), false, false),
            (task("UserInitiated", json!(0), json!(0)), false, false),
            (json!({ "stopCode": exited, "containers": [] }), false, false),
        ] {
            assert_eq!((succeeded(&task, None), succeeded(&task, Some(&definition))), (alone, known), "{task}");
        }
    }

    #[test]
    fn why_no_task_was_started_is_told_once() {
        let failure = json!({ "arn": "arn:x", "reason": "RESOURCE:MEMORY", "detail": "none of 2 instances" });
        assert_eq!(no_task(&json!({ "failures": [failure, failure] })), "RESOURCE:MEMORY: none of 2 instances");
        assert_eq!(no_task(&json!({ "failures": [{ "reason": "AGENT" }] })), "AGENT");
        assert_eq!(no_task(&json!({})), "ECS started no task and gave no reason");
    }
}
