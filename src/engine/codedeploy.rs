//! One rollout of a service under the CODE_DEPLOY controller: CreateDeployment once, and that deployment watched to its
//! end; CodeDeploy's own rollback too.
//!
//! What a deployment came to is CodeDeploy's to say; which task set has the traffic then is read from ECS.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::aws::codedeploy::{CodeDeploy, Deployment};
use crate::aws::denial;
use crate::aws::ecs::{Ecs, ServiceUpdate};
use crate::aws::error::{CallError, Kind};
use crate::aws::permit::Permit;
use crate::base::arn;
use crate::engine::blind::Blind;
use crate::engine::context::Run;
use crate::engine::deployment_tracker::CONFIRM_AFTER;
use crate::engine::evidence;
use crate::engine::evidence::Found;
use crate::engine::exactly_once::{Write, carry_out};
use crate::engine::interval;
use crate::engine::known_deployments::KnownDeployments;
use crate::engine::last_look::LastLook;
use crate::engine::messages::Messages;
use crate::engine::poller::{Pace, Snapshot};
use crate::engine::register::Registered;
use crate::engine::rollout_result::RolloutResult;
use crate::engine::update::{Update, settings};
use crate::event::{Event, Evidence, Reason};
use crate::fleet::codedeploy::CodeDeploy as Group;
use crate::fleet::tasks::Tasks;
use crate::fleet::{OnCancel, Outcome, TargetSpec};
use crate::narrate::console::host;
use crate::observe::service::LiveService;
use crate::plan::work::Work;

/// How often it is looked for what follows a deployment that is over.
const INTERVAL: Duration = Duration::from_secs(3);
/// How long CodeDeploy is asked to roll back after a cancel. The process must be gone within five seconds.
const ASKED: Duration = Duration::from_millis(2_500);

/// How watching a deployment ended.
pub enum Watched {
    /// It is over.
    Over(Deployment),
    /// The deadline passed; the error of the last look, if it was one.
    TimedOut(Option<CallError>),
    /// The run was cancelled.
    Cancelled,
}

/// A service's deployments by CodeDeploy.
pub struct Watch<'a> {
    run: &'a Run,
    target: &'a TargetSpec,
    /// Of its account and region.
    pub ecs: Arc<Ecs>,
    /// Of its account and region.
    pub api: CodeDeploy,
    group: &'a Group,
    on_cancel: OnCancel,
    messages: Messages,
    tasks: Option<Tasks>,
    /// The task set of the revision that is deployed, once ECS shows it.
    pub task_set: Option<String>,
}

/// Carries the work of one target out. Its revision exists.
pub async fn rollout(watch: Watch<'_>, work: &Work, registered: Registered, permit: &Permit) -> RolloutResult {
    let (run, target) = (watch.run, watch.target);
    let deadline = Instant::now() + target.timeout;
    let unused = (registered.revision.clone(), permit.with_deadline(deadline));
    let (unused, permit) = (&unused.0, &unused.1);
    let (ecs, update) = (Arc::clone(&watch.ecs), settings(work, None));
    let update = Update {
        ecs: &ecs,
        target,
        past: KnownDeployments::default(),
        update: ServiceUpdate { force: false, ..update },
    };
    if update.update != ServiceUpdate::default()
        && let Err(error) = carry_out(&update, permit).await
    {
        let ended = RolloutResult::withdrawn(&error, run, permit, target);
        return ended.unwrap_or_else(|| RolloutResult::refused(&error, target)).unused(Some(unused));
    }
    let (arn, revision) = (registered.arn, registered.revision);
    let (id, attached) = match watch.start(&arn, work.from == arn, permit).await {
        Ok(Some(started)) => started,
        Ok(None) => {
            let succeeded = RolloutResult::succeeded(Some(revision), None);
            return RolloutResult { acted: true, wanted: Some(arn), ..succeeded };
        }
        Err(error) => {
            if let Some(ended) = RolloutResult::withdrawn(&error, run, permit, target) {
                return ended.unused(Some(&revision));
            }
            let mut refused = RolloutResult::refused(&error, target);
            if let (Kind::Denied, Some(reason)) = (error.kind, &mut refused.reason) {
                reason.help = Some(denial::help(&error, "codedeploy", target));
            }
            return RolloutResult { acted: error.kind == Kind::Unknown, wanted: Some(arn), ..refused };
        }
    };
    let event = (target.id.clone(), id.clone(), revision.clone());
    run.emit(Event::DeploymentStarted { target: event.0, deployment: event.1, revision: event.2, attached }).await;
    let from = work.from.clone();
    watched(watch, &id, &arn, deadline, |running| *running == from && *running != arn).await
}

/// Watches a deployment that is under way to its end: of what `work` says that it deploys, where that is known.
pub async fn follow(watch: Watch<'_>, work: &Work, id: &str) -> RolloutResult {
    let deadline = Instant::now() + watch.target.timeout;
    if let Ok(revision) = work.from.parse() {
        let (target, deployment) = (watch.target.id.clone(), id.to_owned());
        watch.run.emit(Event::DeploymentStarted { target, deployment, revision, attached: true }).await;
    }
    watched(watch, id, &work.from, deadline, |running| *running != work.from).await
}

/// Watches the deployment of `arn`, empty where that is not known, to its end. `is_back` says whether what runs then is what
/// ran before it.
async fn watched(
    mut watch: Watch<'_>,
    id: &str,
    arn: &str,
    deadline: Instant,
    is_back: impl Fn(&String) -> bool,
) -> RolloutResult {
    let target = watch.target;
    let ended = |outcome, reason: Option<Reason>| RolloutResult {
        outcome,
        reason,
        revision: arn.parse().ok(),
        deployment: None,
        acted: true,
        wanted: Some(arn.to_owned()).filter(|arn| !arn.is_empty()),
    };
    let because = |summary: String| Some(Reason { summary, ..Reason::default() });
    match watch.until_over(id, arn, deadline).await {
        Watched::Cancelled => ended(Outcome::Detached, because(watch.after_cancel(id, watch.on_cancel).await)),
        Watched::TimedOut(error) => {
            let limit = humantime::format_duration(target.timeout);
            let silent = error.is_some();
            let summary = match error {
                Some(error) => format!("CodeDeploy gave no answer until the timeout of {limit}: {error:#}"),
                None => {
                    let tasks = watch.tasks.unwrap_or_default();
                    format!("not complete within {limit}: {} of {} tasks run", tasks.running, tasks.desired)
                }
            };
            let help = "the deployment may still complete; run `deploy` again to follow it".to_owned();
            let seen = format!("CodeDeploy's deployment is {id}: {}", watch.console(id));
            let seen = Evidence { cause: Some("CodeDeploy's deployment".to_owned()), ..seen.into() };
            let found = watch.found().await.also(vec![seen]);
            let reason = if silent { found.into_reason(summary.into()) } else { found.reason_after(summary.into()) };
            let reason = Reason { help: Some(help), ..reason };
            RolloutResult { revision: None, ..ended(Outcome::TimedOut, Some(reason)) }
        }
        Watched::Over(deployment) if deployment.status == "Succeeded" => {
            match watch.primary(deadline, &is_back).await {
                Some((set, running)) if running == arn || arn.is_empty() => RolloutResult {
                    deployment: Some(set),
                    revision: running.parse().ok(),
                    ..ended(Outcome::Succeeded, None)
                },
                Some((_, running)) => {
                    let revision = arn::name(&running);
                    let summary = format!("its deployment succeeded, and {revision} has the traffic all the same");
                    RolloutResult { revision: running.parse().ok(), ..ended(Outcome::Superseded, because(summary)) }
                }
                None => ended(Outcome::Succeeded, None),
            }
        }
        Watched::Over(deployment) => {
            let summary = failure(&deployment);
            let (over, stuck) = watch.own_rollback(deployment, arn, deadline).await;
            if !over {
                return ended(Outcome::Detached, because(watch.after_cancel(id, OnCancel::Detach).await));
            }
            let found = watch.found().await;
            let primary = watch.primary(deadline, |_| false).await.map(|(_, running)| running);
            let back = primary.as_ref().is_some_and(is_back);
            let found = found.with(stuck.clone().map(Evidence::from).into_iter().collect());
            let outcome = match (back, stuck) {
                (true, _) => Outcome::RolledBack,
                (false, Some(_)) => Outcome::Stuck,
                (false, None) => Outcome::Failed,
            };
            let reason = found.reason_after(summary.into());
            RolloutResult { revision: primary.and_then(|arn| arn.parse().ok()), ..ended(outcome, Some(reason)) }
        }
    }
}

/// Says why a deployment failed, in CodeDeploy's words.
pub fn failure(deployment: &Deployment) -> String {
    let error = deployment.error.as_deref().map(|error| format!(": {error}")).unwrap_or_default();
    let what = if deployment.status == "Stopped" { "the deployment was stopped" } else { "the deployment failed" };
    format!("{what}{error}").trim_end_matches('.').to_owned()
}

impl<'a> Watch<'a> {
    /// Prepares for a target's deployments.
    pub fn new(run: &'a Run, target: &'a TargetSpec, group: &'a Group, on_cancel: OnCancel) -> Self {
        let ecs = run.ecs(target);
        let api = ecs.aux().codedeploy(&target.id.region);
        let (messages, tasks, task_set) = (Messages::default(), None, None);
        Self { run, target, ecs, api, group, on_cancel, messages, tasks, task_set }
    }

    /// Starts the deployment of a task definition, or attaches to one that is under way; returns its id, and whether it was
    /// under way. `None` where the service `runs` it already and nothing is under way.
    pub async fn start(&self, arn: &str, runs: bool, permit: &Permit) -> Result<Option<(String, bool)>, CallError> {
        let last = permit.hold(self.api.last(self.group)).await;
        let last = last.ok_or_else(|| CallError::withdrawn("CreateDeployment"))??;
        if let Some(last) = last.as_ref().filter(|last| !last.is_over()) {
            if last.deploys(arn) {
                return Ok(Some((last.id.clone(), true)));
            }
            let text = format!("the deployment {} of another revision is in progress", last.id);
            return Err(CallError::plain("CreateDeployment", Kind::Refused, text));
        }
        if runs {
            return Ok(None);
        }
        let create = Create { api: &self.api, group: self.group, arn, known: last.map(|last| last.id) };
        let answer = carry_out(&create, permit).await?;
        Ok(Some((answer["deploymentId"].as_str().unwrap_or_default().to_owned(), false)))
    }

    /// Watches a deployment of `arn` until it is over.
    pub async fn until_over(&mut self, id: &str, arn: &str, deadline: Instant) -> Watched {
        let mut looks = self.run.watches.follow(self.target, Pace::rollout(), false);
        let (api, mut last_error, mut status) = (self.api.clone(), None, String::new());
        let start = Instant::now();
        let mut blind = Blind::default();
        let mut last = LastLook::default();
        let mut ask = std::pin::pin!(api.get(id));
        loop {
            let answer = tokio::select! {
                biased;
                () = self.run.cancel.cancelled() => return Watched::Cancelled,
                begins = last.next(deadline) => {
                    if !begins {
                        return Watched::TimedOut(last_error);
                    }
                    ask.set(api.get(id));
                    continue;
                }
                answer = &mut ask => answer,
                look = looks.next() => {
                    if let Snapshot::Service(service, _) = look {
                        self.report_progress(&service, arn).await;
                    }
                    continue;
                }
            };
            match answer {
                Ok(deployment) => {
                    last_error = None;
                    blind.sees();
                    if deployment.status != status {
                        self.stage(&deployment, &status).await;
                        status.clone_from(&deployment.status);
                    }
                    if deployment.is_over() {
                        return Watched::Over(deployment);
                    }
                    if last.is_due() {
                        return Watched::TimedOut(None);
                    }
                }
                Err(error) => {
                    self.run.lost_session(self.target, &error).await;
                    let ends = blind.misses(&error, Instant::now());
                    last_error = Some(error);
                    if ends {
                        return Watched::TimedOut(last_error);
                    }
                }
            }
            tokio::select! {
                biased;
                () = self.run.cancel.cancelled() => return Watched::Cancelled,
                () = tokio::time::sleep(interval::of_task(start.elapsed())) => {}
            }
            ask.set(api.get(id));
        }
    }

    /// Watches the rollback that CodeDeploy itself started of a deployment that did not succeed. Returns whether the end
    /// was seen, and why the rollback failed, if it did.
    pub async fn own_rollback(&mut self, failed: Deployment, arn: &str, deadline: Instant) -> (bool, Option<String>) {
        let mut rollback = failed.rollback.clone();
        if rollback.is_none() {
            // It is linked a moment after the failure.
            let linked = async {
                tokio::time::sleep(INTERVAL).await;
                self.api.get(&failed.id).await.ok().and_then(|deployment| deployment.rollback)
            };
            rollback = tokio::select! {
                biased;
                () = self.run.cancel.cancelled() => return (false, None),
                linked = linked => linked,
            };
        }
        let Some(rollback) = rollback else { return (true, None) };
        match self.until_over(&rollback, arn, deadline).await {
            Watched::Over(end) if end.status == "Succeeded" => (true, None),
            Watched::Over(end) => (true, Some(format!("CodeDeploy's own rollback did not succeed: {}", failure(&end)))),
            Watched::TimedOut(_) => (true, Some("CodeDeploy's own rollback did not end in time".to_owned())),
            Watched::Cancelled => (false, None),
        }
    }

    /// Returns the task set that has the traffic, and its task definition's ARN. ECS's reads lag: one that `may_be_old` by its
    /// task definition is believed only where it stays so.
    pub async fn primary(&self, deadline: Instant, may_be_old: impl Fn(&String) -> bool) -> Option<(String, String)> {
        let believed = Instant::now() + CONFIRM_AFTER;
        let until = deadline.max(believed + INTERVAL * 5);
        let look = async {
            loop {
                let names = [self.target.service.as_str()];
                match self.ecs.describe_services(&self.target.cluster, &names).await {
                    Ok(answer) => {
                        let service = answer.found.first().map(LiveService::read);
                        let primary = service.as_ref().and_then(LiveService::primary);
                        let found = primary.map(|primary| (primary.id.clone(), primary.task_definition.clone()));
                        let is_old = found.as_ref().is_some_and(|(_, running)| may_be_old(running));
                        if !is_old || Instant::now() >= believed {
                            return found;
                        }
                    }
                    Err(error) if error.is_transient() => {}
                    // Asking again gives the same answer.
                    Err(_) => return None,
                }
                tokio::time::sleep(INTERVAL).await;
            }
        };
        tokio::select! {
            biased;
            () = self.run.cancel.cancelled() => None,
            found = tokio::time::timeout_at(until, look) => found.ok().flatten(),
        }
    }

    /// Returns what can be found about a failure.
    pub async fn found(&self) -> Found {
        let (messages, none) = (&self.messages, Vec::new());
        tokio::select! {
            biased;
            () = self.run.cancel.cancelled() => Found::default(),
            found = evidence::gather(&self.ecs, self.target, self.task_set.as_deref(), messages, none) => found,
        }
    }

    /// Says what goes on after a cancel, and asks CodeDeploy to roll it back where that is wished for.
    pub async fn after_cancel(&self, id: &str, on_cancel: OnCancel) -> String {
        let console = self.console(id);
        if on_cancel == OnCancel::Detach {
            return format!("the run was cancelled; {id} goes on in CodeDeploy: {console}");
        }
        let until = self.run.cancel.at().unwrap_or_else(Instant::now) + ASKED;
        match tokio::time::timeout_at(until, self.api.stop(id, &Permit::default().with_deadline(until))).await {
            Ok(Ok(())) => format!("the run was cancelled; CodeDeploy was asked to roll it back: {id}, {console}"),
            other => {
                let why = match other {
                    Ok(Err(error)) => format!("{error:#}"),
                    _ => "CodeDeploy did not answer in time".to_owned(),
                };
                format!(
                    "the run was cancelled, and CodeDeploy could not be asked to roll back ({why}): {id} goes on, {console}"
                )
            }
        }
    }

    /// Returns the deployment's page in the AWS console.
    pub fn console(&self, id: &str) -> String {
        let region = &self.target.id.region;
        let host = host(region);
        let page = format!("https://{region}.{host}/codesuite/codedeploy/deployments/{id}?region={region}");
        match &self.run.fleet.console {
            Some(portal) => portal.link(&self.target.account.id, &page),
            None => page,
        }
    }

    async fn report_progress(&mut self, service: &LiveService, arn: &str) {
        for message in self.messages.take(service) {
            self.run.emit(Event::ServiceMessage { target: self.target.id.clone(), text: message.text }).await;
        }
        let Some(set) = service.deployments.iter().find(|set| set.task_definition == arn) else { return };
        self.task_set = Some(set.id.clone());
        if Some(set.tasks) != self.tasks {
            self.tasks = Some(set.tasks);
            self.run.emit(Event::TasksChanged { target: self.target.id.clone(), tasks: set.tasks }).await;
        }
    }

    /// Says what a deployment does, where that is more than to be in progress as ever.
    async fn stage(&self, deployment: &Deployment, before: &str) {
        let target = self.target.id.clone();
        if deployment.status == "Ready" {
            let text = format!(
                "{} waits for somebody to reroute the traffic: aws deploy continue-deployment --deployment-id {} \
                 --deployment-wait-type READY_WAIT",
                deployment.id, deployment.id
            );
            self.run.emit(Event::ServiceMessage { target: target.clone(), text }).await;
        }
        let is_told = |status: &str| matches!(status, "Ready" | "Baking");
        if !deployment.is_over() && (is_told(&deployment.status) || is_told(before)) {
            let stage = deployment.status.clone();
            let event =
                Event::StageChanged { target, stage, production_percent: None, test_percent: None, bake_minutes: 0 };
            self.run.emit(event).await;
        }
    }
}

/// One CreateDeployment.
struct Create<'a> {
    api: &'a CodeDeploy,
    group: &'a Group,
    arn: &'a str,
    /// The group's last deployment before it.
    known: Option<String>,
}

impl Write for Create<'_> {
    type Answer = Value;

    async fn send(&self, permit: &Permit) -> Result<Value, CallError> {
        Ok(json!({ "deploymentId": self.api.create(self.group, self.arn, permit).await? }))
    }

    /// It took effect if the group has a new deployment, of this revision. If that has failed by now, its rollback came after
    /// it; or somebody else's deployment did.
    async fn took_effect(&self) -> Result<Option<Value>, CallError> {
        let is_new = |deployment: &Deployment| Some(&deployment.id) != self.known.as_ref();
        let is_ours = |deployment: &Deployment| deployment.rolls_back.is_none() && deployment.deploys(self.arn);
        let ours = match self.api.last(self.group).await?.filter(is_new) {
            Some(last) if !is_ours(&last) => {
                self.api.newest(self.group).await?.into_iter().take_while(is_new).find(is_ours)
            }
            last => last,
        };
        Ok(ours.map(|ours| json!({ "deploymentId": ours.id })))
    }
}
