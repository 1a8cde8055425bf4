//! One rollout, from the first write to its outcome: register, update once, bind to that deployment, watch it.
//!
//! A rollout returns how it ended; the terminal event is sent by the wave, so that there is exactly one, also where a
//! rollout is aborted or panics. Cancellation is looked at only where it waits.

mod late;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::aws::ecs::{Ecs, ServiceUpdate};
use crate::aws::error::{CallError, Kind};
use crate::aws::permit::Permit;
use crate::engine::blind::Blind;
use crate::engine::codedeploy;
use crate::engine::context::Run;
use crate::engine::deployment_tracker::{DeploymentTracker, Verdict};
use crate::engine::drift_guard::DriftGuard;
use crate::engine::evidence::{self, Found};
use crate::engine::exactly_once::carry_out;
use crate::engine::hints::role;
use crate::engine::lifecycle_hooks::Stages;
use crate::engine::messages::Messages;
use crate::engine::poller::Snapshot;
use crate::engine::register::{NewRevision, Registered};
use crate::engine::rollback::{self, Rollback, RollbackFrom};
use crate::engine::rollout_result::RolloutResult;
use crate::engine::run_task;
use crate::engine::service_deployments::ServiceDeployment;
use crate::engine::standing::Standing;
use crate::engine::timing::MISSES;
use crate::engine::update::{ConditionalUpdate, TooLate, Update, Updated, settings};
use crate::event::{Event, Evidence, Reason};
use crate::fleet::tasks::Tasks;
use crate::fleet::{OnCancel, OnFailure, Outcome, Revision, TargetSpec, Wave};
use crate::observe::progress::Progress;
use crate::observe::service::LiveService;
use crate::plan::work::{Definition, Work};

/// Carries out the work of one target, by its index, and rolls_back it where it fails and its wave says so. Nothing new of it is
/// begun once `permit` is over, but for its rollback; `failing` is called as soon as it has failed, and perhaps again.
pub async fn rollout(
    run: &Run,
    index: usize,
    wave: &Wave,
    permit: &Permit,
    failing: &(dyn Fn() + Sync),
) -> RolloutResult {
    let mut current = DriftGuard::planned(run, index);
    // Here and in what this awaits, whatever is not the long wait for ECS is on the heap while it lasts: thousands of targets
    // may wait at once, and each would carry the room for all of it.
    let ended = forward(run, &mut current, wave, permit, failing).await;
    let (target, work) = (current.target, &*current.work);
    let ended = Box::pin(run_task::run_after(run, target, work, ended, permit)).await;
    let OnFailure::Rollback { timeout, .. } = wave.on_failure else { return ended };
    let rollback = |ended: &RolloutResult| {
        let late = ended.outcome == Outcome::TimedOut;
        let (deployment, wanted) = (ended.deployment.clone(), ended.wanted.clone());
        let from = RollbackFrom { deployment, wanted, past: current.past.clone(), late };
        Rollback::new(run, target, work, from, timeout)
    };
    match ended.outcome {
        Outcome::Failed | Outcome::TimedOut if ended.acted => {
            failing();
            let result = Box::pin(rollback(&ended).run()).await;
            ended.after_rollback(result)
        }
        // ECS rolled back by itself. It does not restore the service's own settings.
        Outcome::RolledBack => match Box::pin(rollback(&ended).restore_settings()).await {
            Some(result) => ended.after_rollback(result),
            None => ended,
        },
        _ => ended,
    }
}

/// Carries out the work of one target.
async fn forward(
    run: &Run,
    current: &mut DriftGuard<'_>,
    wave: &Wave,
    permit: &Permit,
    failing: &(dyn Fn() + Sync),
) -> RolloutResult {
    match Box::pin(begin(run, current, wave, permit, failing)).await {
        Ok(mut rollout) => rollout.watch().await,
        Err(ended) => ended,
    }
}

/// Writes what is to be written. Returns what is to be watched then, or how the rollout ended.
async fn begin<'a>(
    run: &'a Run,
    current: &'a mut DriftGuard<'_>,
    wave: &'a Wave,
    permit: &Permit,
    failing: &'a (dyn Fn() + Sync),
) -> Result<Box<Rollout<'a>>, RolloutResult> {
    let (index, target, ecs) = (current.index, current.target, Arc::clone(&current.ecs));
    if let (Definition::Return { deployment }, false) = (&current.work.definition, permit.is_over()) {
        let (ours, wanted) = (Some(deployment.clone()), Some(current.work.from.clone()));
        let from = RollbackFrom { deployment: ours, wanted, ..RollbackFrom::default() };
        let result = Box::pin(Rollback::new(run, target, &current.work, from, target.timeout).run()).await;
        return Err(RolloutResult::from_rollback(result, deployment));
    }
    if permit.is_over() {
        return Err(RolloutResult::stopped(run, permit, target));
    }
    let within = permit.with_deadline(Instant::now() + target.timeout);
    current.recheck(&within).await?;
    run.with_progress(index, |known| known.registers = true);
    let registered = Box::pin(definition(run, target, &ecs, &current.work, &within)).await;
    run.with_progress(index, |known| known.registers = false);
    let registered = registered.map_err(|error| RolloutResult::not_registered(&error, run, &within, target))?;
    if let Some(registered) = &registered {
        Box::pin(run_task::run_before(run, current, registered, permit)).await?;
    }
    let deadline = Instant::now() + target.timeout;
    let within = permit.with_deadline(deadline);
    let unused = |ended: RolloutResult| ended.unused(registered.as_ref().map(|it| &it.revision));
    current.look_a_last_time(&within).await.map_err(unused)?;
    let work = &*current.work;
    if within.is_over() {
        return Err(unused(RolloutResult::stopped(run, &within, target)));
    }
    run.with_progress(index, |known| known.asked = true);
    if let (Some(group), Some(registered)) = (&work.codedeploy, &registered) {
        let watch = codedeploy::Watch::new(run, target, group, wave.on_cancel);
        return Err(Box::pin(codedeploy::rollout(watch, work, registered.clone(), permit)).await);
    }
    if let (Some(group), Definition::Follow { deployment }) = (&work.codedeploy, &work.definition) {
        let watch = codedeploy::Watch::new(run, target, group, wave.on_cancel);
        return Err(Box::pin(codedeploy::follow(watch, work, deployment)).await);
    }
    let mut rollout = Box::new(Rollout::new(run, current, wave, failing, deadline));
    rollout.stages = Stages::under(&within);
    let primary = work.deployments.first().cloned();
    match &work.definition {
        Definition::Follow { deployment } => {
            let update = settings(work, None);
            let is_none = update == ServiceUpdate::default();
            let update = Update { ecs: &ecs, target, past: current.past.clone(), update };
            if !is_none && let Err(error) = carry_out(&update, &within).await {
                let ended = RolloutResult::withdrawn(&error, run, &within, target);
                return Err(ended.unwrap_or_else(|| RolloutResult::refused(&error, target)));
            }
            let before = work.deployments.iter().filter(|id| *id != deployment).cloned().collect();
            rollout.followed = Some(DeploymentTracker::attached(deployment.clone(), work.from.clone(), before));
            rollout.revision = work.from.parse().ok();
            rollout.started(deployment, true).await;
        }
        _ => {
            let wanted = registered.as_ref().map(|registered| registered.arn.clone());
            let update = settings(work, wanted.clone());
            let update = Update { ecs: &ecs, target, past: current.past.clone(), update };
            let Updated { service: answer, ours, took } =
                match carry_out(&ConditionalUpdate::new(update, primary), &within).await {
                    Ok(Ok(updated)) => updated,
                    Ok(Err(TooLate(by))) => return Err(unused(RolloutResult::new(Outcome::Superseded, by))),
                    Err(error) => {
                        return Err(match RolloutResult::withdrawn(&error, run, &within, target) {
                            Some(ended) => unused(ended),
                            None => RolloutResult::not_updated(&error, target, wanted),
                        });
                    }
                };
            rollout.messages = Messages::starting_after(&answer);
            for text in took {
                run.emit(Event::ServiceMessage { target: target.id.clone(), text }).await;
            }
            match registered {
                Some(registered) => {
                    rollout.revision = Some(registered.revision);
                    let mut followed =
                        DeploymentTracker::new(registered.arn, work.from.clone(), work.deployments.clone());
                    if let Some(ours) = ours {
                        followed.bind(ours, &answer);
                    }
                    rollout.followed = Some(followed);
                    // The answer is the first look.
                    let object = ServiceDeployment::default();
                    if let Some(ended) = rollout.apply(&answer, &object, Duration::ZERO).await {
                        return Err(ended);
                    }
                }
                None if work.desired_count.is_none() => {
                    return Err(RolloutResult::succeeded(answer.revision(), None));
                }
                None => rollout.revision = answer.revision(),
            }
        }
    }
    Ok(rollout)
}

/// Makes sure that the wanted revision exists; `None` where the service keeps its own.
async fn definition(
    run: &Run,
    target: &TargetSpec,
    ecs: &Ecs,
    work: &Work,
    permit: &Permit,
) -> Result<Option<Registered>, CallError> {
    let registered = match &work.definition {
        Definition::Keep | Definition::Follow { .. } | Definition::Return { .. } => return Ok(None),
        Definition::Existing { arn, .. } => {
            let revision =
                arn.parse().map_err(|error: String| CallError::plain("UpdateService", Kind::NotSent, error))?;
            Registered { arn: arn.clone(), revision, reused: true, untagged: None, altered: Vec::new() }
        }
        Definition::Register { definition, newest, tags } => {
            let wanted = NewRevision { definition, tags, newest: *newest };
            run.families.register(target, ecs, wanted, permit).await?
        }
    };
    if let Some(error) = &registered.untagged {
        let (account, reason) = (target.account.name.clone(), format!("{error:#}"));
        let help = format!("allow ecs:TagResource to {}, or write `tag_revisions: false`", role(target));
        run.emit(Event::TagsRefused { account, reason, help }).await;
    }
    if !registered.altered.is_empty() {
        let (family, differences) = (registered.revision.family.clone(), registered.altered.clone());
        let help =
            "write that into the task definition file as ECS keeps it: otherwise each run registers a new revision";
        run.emit(Event::DefinitionAltered { family, differences, help: help.to_owned() }).await;
    }
    let (revision, reused) = (registered.revision.clone(), registered.reused);
    run.emit(Event::RevisionRegistered { target: target.id.clone(), revision, reused }).await;
    Ok(Some(registered))
}

/// A deployment that is being watched.
struct Rollout<'a> {
    run: &'a Run,
    index: usize,
    target: &'a TargetSpec,
    ecs: &'a Arc<Ecs>,
    work: &'a Work,
    /// `None` where only the desired count changes, and no deployment is started.
    followed: Option<DeploymentTracker>,
    revision: Option<Revision>,
    announced: bool,
    tasks: Option<Tasks>,
    messages: Messages,
    /// What was wrong with the service's targets when its tasks began to fail.
    unwell: Option<Vec<Evidence>>,
    last_error: Option<Arc<CallError>>,
    blind: Blind,
    misses: u32,
    stages: Stages,
    standing: Standing,
    /// Whether ECS rolls our deployment back.
    rolls_back: bool,
    wave: &'a Wave,
    /// Called when it has failed, even if ECS still rolls back or the evidence is still collected.
    failing: &'a (dyn Fn() + Sync),
    deadline: Instant,
}

impl<'a> Rollout<'a> {
    fn new(
        run: &'a Run,
        current: &'a DriftGuard<'_>,
        wave: &'a Wave,
        failing: &'a (dyn Fn() + Sync),
        deadline: Instant,
    ) -> Self {
        Self {
            run,
            index: current.index,
            target: current.target,
            ecs: &current.ecs,
            work: &current.work,
            followed: None,
            revision: None,
            announced: false,
            tasks: None,
            messages: Messages::default(),
            unwell: None,
            last_error: None,
            blind: Blind::default(),
            misses: 0,
            stages: Stages::default(),
            standing: Standing::default(),
            rolls_back: false,
            wave,
            failing,
            deadline,
        }
    }

    async fn watch(&mut self) -> RolloutResult {
        let start = Instant::now();
        let mut looks = self.run.watches.follow_until(self.target, true, self.deadline);
        loop {
            let look = tokio::select! {
                biased;
                () = self.run.cancel.cancelled() => return Box::pin(self.detached()).await,
                look = looks.next() => look,
            };
            let ended = match look {
                Some(Snapshot::Service(service, object)) => {
                    (self.misses, self.last_error) = (0, None);
                    self.blind.sees();
                    Box::pin(self.apply(&service, &object, start.elapsed())).await
                }
                Some(Snapshot::Missing) => {
                    self.misses += 1;
                    let gone =
                        RolloutResult::new(Outcome::Failed, "the service vanished: ECS does not know it any more");
                    (self.misses >= MISSES).then(|| self.with_deployment(gone))
                }
                Some(Snapshot::NoAnswer(error)) => {
                    self.run.lost_session(self.target, &error).await;
                    let ended = self.blind.misses(&error, Instant::now()).then(|| self.detach(&error));
                    self.last_error = Some(error);
                    ended
                }
                None => return Box::pin(self.timed_out()).await,
            };
            if let Some(ended) = ended {
                return ended;
            }
        }
    }

    /// Applies a snapshot of the service; returns how the rollout ended, if it did.
    async fn apply(
        &mut self,
        service: &LiveService,
        object: &ServiceDeployment,
        elapsed: Duration,
    ) -> Option<RolloutResult> {
        for message in self.messages.take(service) {
            let target = self.target.id.clone();
            self.run.emit(Event::ServiceMessage { target, text: message.text }).await;
        }
        self.standing.observe(service, Instant::now());
        let Some(followed) = &mut self.followed else { return self.see_count(service).await };
        let verdict = followed.judge(service, object.as_deref(), elapsed);
        let ours = followed.ours.clone();
        if let Some(ours) = &ours {
            if !self.announced {
                self.started(ours, false).await;
            }
            if let Some(deployment) = service.deployment(ours) {
                self.count(deployment.tasks).await;
            }
            if let Some(object) = object.as_deref().filter(|object| Progress::is_of(object, ours)) {
                self.stages.apply(self.run, self.target, self.ecs, object).await;
            } else if service.has_stages() {
                self.stages.read_failed(object.unread.as_deref());
            }
        }
        self.rolls_back = verdict == Verdict::RollingBack;
        if matches!(
            verdict,
            Verdict::RollingBack
                | Verdict::RolledBack
                | Verdict::Failed(_)
                | Verdict::Stuck(_)
                | Verdict::Superseded(_)
        ) {
            (self.failing)();
        }
        let ended = match verdict {
            Verdict::Wait | Verdict::RollingBack => {
                // Between two tasks that fail there is nothing to see.
                let fails = self.tasks.is_some_and(|tasks| tasks.failed > 0 && tasks.running > 0);
                if self.rolls_back || fails {
                    Box::pin(self.look_at_targets()).await;
                }
                return None;
            }
            Verdict::Succeeded => {
                if self.tasks.is_none() && service.desired == 0 {
                    // No count ever changed: with a desired count of 0 a deployment completes without a task.
                    let tasks = Tasks::default();
                    self.run.emit(Event::TasksChanged { target: self.target.id.clone(), tasks }).await;
                }
                RolloutResult::succeeded(self.revision.clone(), None)
            }
            // A service that is deleted is the cause, whatever its tasks say.
            Verdict::Failed(summary) if service.ending().is_some() => {
                self.ended(Outcome::Failed, self.found().await.into_reason(summary.into()))
            }
            Verdict::Failed(summary) => self.ended(Outcome::Failed, self.found().await.reason_after(summary.into())),
            Verdict::RolledBack => self.ended(Outcome::RolledBack, self.found().await.reason(self.seen())),
            Verdict::Stuck(_) => {
                let help = Some("check the service now: it may run too few tasks".to_owned());
                self.ended(Outcome::Stuck, Reason { help, ..self.found().await.reason_of("ECS could not roll back") })
            }
            Verdict::Superseded(summary) => RolloutResult::new(Outcome::Superseded, summary),
        };
        let revision = match ended.outcome {
            Outcome::Succeeded => self.revision.clone(),
            _ => service.primary().and_then(|primary| primary.revision()),
        };
        Some(RolloutResult { revision, ..self.with_deployment(ended) })
    }

    /// Where only the desired count changes: done once so many run.
    async fn see_count(&mut self, service: &LiveService) -> Option<RolloutResult> {
        if let Some(primary) = service.primary() {
            self.count(primary.tasks).await;
        }
        let done = service.running == service.desired && self.work.desired_count == Some(service.desired);
        done.then(|| RolloutResult::succeeded(service.revision(), None))
    }

    async fn started(&mut self, deployment: &str, attached: bool) {
        self.announced = true;
        self.run.with_progress(self.index, |known| known.deployment = Some(deployment.to_owned()));
        if let Some(revision) = self.revision.clone() {
            let (target, deployment) = (self.target.id.clone(), deployment.to_owned());
            self.run.emit(Event::DeploymentStarted { target, deployment, revision, attached }).await;
        }
    }

    async fn count(&mut self, tasks: Tasks) {
        // Right after UpdateService all counts are zero, which says nothing.
        if tasks != self.tasks.unwrap_or_default() {
            self.tasks = Some(tasks);
            self.run.emit(Event::TasksChanged { target: self.target.id.clone(), tasks }).await;
        }
    }

    /// Keeps, once, what is wrong with the targets: those that failed are gone when the deployment has ended.
    async fn look_at_targets(&mut self) {
        if self.unwell.is_some() || self.messages.target_groups().is_empty() {
            return;
        }
        let looked = evidence::of_targets(self.ecs, self.target, self.messages.target_groups());
        self.unwell = tokio::select! {
            biased;
            () = self.run.cancel.cancelled() => None,
            unwell = looked => Some(unwell).filter(|found| self.rolls_back || !evidence::is_early(found)),
        };
    }

    fn ended(&self, outcome: Outcome, reason: Reason) -> RolloutResult {
        RolloutResult { reason: Some(reason), ..RolloutResult::new(outcome, "") }
    }

    /// ECS's words about the failure, as they were when ECS began to roll back.
    fn seen(&self) -> Option<String> {
        self.followed.as_ref().and_then(|followed| followed.why.clone())
    }

    /// Returns all that can be found about a failure.
    async fn found(&self) -> Found {
        let ours = self.followed.as_ref().and_then(|followed| followed.ours.as_deref());
        let found = tokio::select! {
            biased;
            () = self.run.cancel.cancelled() => Found::default(),
            found = Box::pin(evidence::gather(
                self.ecs,
                self.target,
                ours,
                &self.messages,
                self.unwell.clone().unwrap_or_default(),
            )) => found,
        };
        found.with(self.stages.evidence())
    }

    fn with_deployment(&self, ended: RolloutResult) -> RolloutResult {
        let followed = self.followed.as_ref();
        let wanted = followed.map(|followed| followed.wanted().to_owned());
        RolloutResult { deployment: followed.and_then(|followed| followed.ours.clone()), acted: true, wanted, ..ended }
    }

    async fn detached(&self) -> RolloutResult {
        let goes_on = match self.followed.as_ref().and_then(|followed| followed.ours.as_deref()) {
            Some(deployment) if self.wave.on_cancel == OnCancel::Rollback => {
                rollback::stop_on_cancel(self.ecs, self.target, deployment, self.run.cancel.at()).await
            }
            Some(deployment) => format!("the run was cancelled; {deployment} goes on in ECS"),
            None => "the run was cancelled; what was asked of ECS goes on".to_owned(),
        };
        RolloutResult {
            revision: self.revision.clone(),
            ..self.with_deployment(RolloutResult::new(Outcome::Detached, goes_on))
        }
    }

    /// Leaves it to ECS. Without a session it cannot be rolled back either.
    fn detach(&self, error: &CallError) -> RolloutResult {
        (self.failing)();
        let ended = RolloutResult { reason: Some(Blind::reason(error)), ..RolloutResult::new(Outcome::TimedOut, "") };
        RolloutResult { acted: false, ..self.with_deployment(ended) }
    }
}

#[cfg(test)]
mod tests;
