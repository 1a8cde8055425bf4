//! The rollback of one target to what it ran before its change, watched until it is there. It tries, in this order: wait
//! for ECS's own rollback; stop our deployment with ROLLBACK; deploy the previous revision. It never works against somebody
//! else's deployment. The previous revision was recorded when the work was planned.

mod codedeploy;
mod settings;
mod stop;
pub mod succeeded;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::aws::ecs::{Ecs, ServiceUpdate};
use crate::aws::error::{CallError, Kind};
use crate::engine::blind::Blind;
use crate::engine::context::Run;
use crate::engine::deployment_tracker::{DeploymentTracker, Verdict};
use crate::engine::evidence;
use crate::engine::exactly_once::carry_out;
use crate::engine::hints::help;
use crate::engine::known_deployments::KnownDeployments;
use crate::engine::last_look::LastLook;
use crate::engine::messages::Messages;
use crate::engine::poller::Snapshot;
use crate::engine::retry;
use crate::engine::rollback::stop::{StopDeployment, is_returning, service_deployment};
use crate::engine::rollout_result::RollbackResult;
use crate::engine::timing::{MISSES, POLL_INTERVAL};
use crate::engine::update::{ConditionalUpdate, TooLate, Update, Updated};
use crate::event::{Event, Evidence, Reason, RollbackStep};
use crate::fleet::tasks::Tasks;
use crate::fleet::{Revision, TargetId, TargetSpec};
use crate::observe::service::LiveService;
use crate::plan::work::{Definition, Work};

pub use crate::engine::rollback::stop::stop_on_cancel;

/// ECS lists a service deployment a second or two after UpdateService, in the worst case that was seen ten.
const APPEARS: Duration = Duration::from_secs(10);

/// What is to be done where a return did not get there.
const LOOK: &str = "it is not rolled back: check the service now";

/// The rollback of one target.
pub struct Rollback<'a> {
    run: &'a Run,
    target: &'a TargetSpec,
    ecs: Arc<Ecs>,
    work: &'a Work,
    from: RollbackFrom,
    timeout: Duration,
    cause: Option<TargetId>,
    announced: bool,
    /// Whether ECS rolls back, or was asked to.
    asked: bool,
    /// Why our deployment could not be stopped, once that was tried.
    unstoppable: Option<String>,
    /// Why the settings could not be restored.
    unset: Option<CallError>,
    tasks: Option<Tasks>,
    messages: Messages,
}

/// Where a rollback starts.
#[derive(Clone, Debug, Default)]
pub struct RollbackFrom {
    /// Our deployment's id; `None` where ECS has not shown it.
    pub deployment: Option<String>,
    /// The ARN that it deploys.
    pub wanted: Option<String>,
    /// What the service had before it.
    pub past: KnownDeployments,
    /// Whether the only reason is the deadline: if the deployment has completed since, it stays.
    pub late: bool,
}

/// The next step after a read of the service.
#[derive(Debug)]
enum Step {
    Nothing(String),
    Superseded(String),
    Await,
    Stop,
    Deploy(String),
    Settings,
}

/// What watching came to.
enum Watched {
    Verdict(Verdict, Arc<LiveService>),
    Gone,
    TimedOut(Option<Arc<CallError>>),
    Cancelled,
}

impl<'a> Rollback<'a> {
    /// Prepares the rollback of a target's work. Each step has `timeout` in all.
    pub fn new(run: &'a Run, target: &'a TargetSpec, work: &'a Work, from: RollbackFrom, timeout: Duration) -> Self {
        Self {
            run,
            target,
            ecs: run.ecs(target),
            work,
            from,
            timeout,
            cause: None,
            announced: false,
            asked: false,
            unstoppable: None,
            unset: None,
            tasks: None,
            messages: Messages::default(),
        }
    }

    /// Rolls back, and returns once the service is rolled back or cannot be.
    pub async fn run(mut self) -> RollbackResult {
        if let Some(group) = self.work.codedeploy.as_ref().filter(|_| self.work.definition != Definition::Keep) {
            return self.go_back_by_codedeploy(group).await;
        }
        let deadline = Instant::now() + self.timeout;
        loop {
            let service = match self.read_service(deadline).await {
                Ok(service) => service,
                Err(result) => return result,
            };
            self.find_ours(&service, deadline).await;
            match self.next(&service) {
                Step::Nothing(why) if self.announced => return self.stuck(why, None).await,
                Step::Nothing(why) => return RollbackResult::Nothing(why),
                Step::Superseded(by) => return RollbackResult::Superseded(by),
                Step::Settings => return self.give_settings_back(&service, deadline).await,
                Step::Deploy(arn) => return self.deploy(&service, arn, deadline).await,
                Step::Await => {
                    self.announce(RollbackStep::Await).await;
                    self.restore(&service, deadline).await;
                }
                Step::Stop => {
                    if !self.stop(&service, deadline).await {
                        continue;
                    }
                }
            }
            if let Some(result) = self.await_rollback(deadline).await {
                return result;
            }
            // Our deployment ended without a return: what is left is to deploy what ran before.
            self.unstoppable.get_or_insert_with(|| "it ended".to_owned());
        }
    }

    /// Finds our deployment if ECS has not shown it: ECS may have rolled it back by now.
    async fn find_ours(&mut self, service: &LiveService, deadline: Instant) {
        if let (None, Some(wanted)) = (&self.from.deployment, &self.from.wanted) {
            let find = || self.from.past.begun(&self.ecs, self.target, service, wanted);
            let found = tokio::select! {
                biased;
                () = self.run.cancel.cancelled() => None,
                found = retry::read(deadline, find) => found.ok().flatten(),
            };
            self.from.deployment = found;
        }
    }

    /// Looks at the service once it answers.
    async fn read_service(&mut self, deadline: Instant) -> Result<LiveService, RollbackResult> {
        let (mut misses, mut last, mut last_look) = (0, None, LastLook::default());
        loop {
            let looked = async {
                if misses > 0 || last.is_some() {
                    tokio::time::sleep(POLL_INTERVAL).await;
                }
                self.ecs.describe_services(&self.target.cluster, &[self.target.service.as_str()]).await
            };
            let answer = tokio::select! {
                biased;
                () = self.run.cancel.cancelled() => return Err(self.after_cancel()),
                begins = last_look.next(deadline) => {
                    if begins {
                        continue;
                    }
                    let why = last.map_or_else(|| "ECS gave no answer".to_owned(), |error: CallError| format!("{error:#}"));
                    return Err(self.stuck(self.too_late(&why), None).await);
                }
                answer = looked => answer,
            };
            match answer.map(|services| services.found.first().map(LiveService::read)) {
                Ok(Some(service)) => return Ok(service),
                Ok(None) => {
                    misses += 1;
                    if misses == MISSES {
                        let gone = "the service is gone".to_owned();
                        return Err(if self.announced {
                            self.stuck(gone, None).await
                        } else {
                            RollbackResult::Nothing(gone)
                        });
                    }
                }
                Err(error) if error.kind == Kind::Denied => {
                    let help = help(&error, self.target);
                    let summary = format!("{error:#}");
                    return Err(RollbackResult::Stuck(Reason { summary, help, ..Reason::default() }));
                }
                Err(error) => last = Some(error),
            }
        }
    }

    /// Decides what a look asks for.
    fn next(&self, service: &LiveService) -> Step {
        if let Some(ending) = service.ending() {
            return Step::Nothing(ending);
        }
        let Some(primary) = service.primary() else {
            return Step::Nothing("the service has no deployment".to_owned());
        };
        if self.work.definition == Definition::Keep {
            return match self.work.before.settings(self.work, service) {
                (None, None) => Step::Nothing("its settings are not those of this run any more".to_owned()),
                _ => Step::Settings,
            };
        }
        let before = &self.work.deployments;
        let Some(ours) = self.from.deployment.clone() else {
            // It is not known whether UpdateService took effect, or ECS has shown no deployment of it.
            return match before.contains(&primary.id) {
                true => Step::Nothing("ECS shows no deployment of this run".to_owned()),
                false => Step::Superseded(format!("another deployment, {}, is PRIMARY", primary.id)),
            };
        };
        let Some(back) = self.work.before.task_definition.clone() else {
            return Step::Nothing(
                "no other revision had completed before, so there is nothing to roll back to".to_owned(),
            );
        };
        if primary.id == ours && primary.is("COMPLETED") && self.from.late && !self.announced {
            return Step::Nothing("it has completed since".to_owned());
        }
        if primary.id != ours {
            return match self.returning(&ours).judge(service, None, Duration::ZERO) {
                Verdict::Superseded(by) => Step::Superseded(by),
                _ => Step::Await,
            };
        }
        let goes_on = primary.rollout_state.as_deref().is_none_or(|state| state == "IN_PROGRESS");
        match goes_on && self.unstoppable.is_none() {
            true => Step::Stop,
            false => Step::Deploy(back),
        }
    }

    /// Follows the return from our deployment to what the service had before.
    fn returning(&self, ours: &str) -> DeploymentTracker {
        let before = self.work.deployments.iter().filter(|id| *id != ours).cloned().collect();
        let wanted = self.from.wanted.clone().unwrap_or_default();
        let from = self.work.before.task_definition.clone().unwrap_or_default();
        DeploymentTracker::returning(ours.to_owned(), wanted, from, before)
    }

    /// Asks ECS to stop our service deployment and roll it back; returns whether it does.
    async fn stop(&mut self, service: &LiveService, deadline: Instant) -> bool {
        let ours = self.from.deployment.clone().unwrap_or_default();
        let until = deadline.min(Instant::now() + APPEARS);
        let found = tokio::select! {
            biased;
            () = self.run.cancel.cancelled() => return false,
            found = service_deployment(&self.ecs, self.target, &ours, until) => found,
        };
        let (arn, status) = match found {
            Ok(found) => found,
            Err(why) => {
                self.unstoppable = Some(why);
                return false;
            }
        };
        if is_returning(&status) {
            self.announce(RollbackStep::Await).await;
            self.restore(service, deadline).await;
            return true;
        }
        self.announce(RollbackStep::StopDeployment).await;
        self.restore(service, deadline).await;
        match carry_out(
            &StopDeployment { ecs: &self.ecs, arn: &arn },
            &self.run.cancel.permit().with_deadline(deadline),
        )
        .await
        {
            Ok(_) => {
                self.asked = true;
                true
            }
            Err(error) => {
                self.unstoppable = Some(format!("{error:#}"));
                false
            }
        }
    }

    /// Watches ECS's rollback; `None` if our deployment ended without one.
    async fn await_rollback(&mut self, deadline: Instant) -> Option<RollbackResult> {
        let ours = self.from.deployment.clone().unwrap_or_default();
        let mut followed = self.returning(&ours);
        let back = match self.watch(&mut followed, deadline).await {
            Watched::Verdict(Verdict::RolledBack, service) => service,
            Watched::Verdict(Verdict::Stuck(summary), service) => {
                let primary = service.primary().map(|primary| primary.id.clone());
                return Some(self.stuck(summary, primary).await);
            }
            Watched::Verdict(Verdict::Superseded(by), _) => return Some(RollbackResult::Superseded(by)),
            Watched::Verdict(_, _) => return None,
            other => return Some(self.not_back(other, Some(ours)).await),
        };
        Some(self.finish(back.primary().and_then(|primary| primary.revision())).await)
    }

    /// Deploys what ran before, with the settings as they were, and watches that.
    async fn deploy(&mut self, service: &LiveService, arn: String, deadline: Instant) -> RollbackResult {
        self.announce(RollbackStep::Deploy).await;
        let (desired_count, deployment) = self.work.before.settings(self.work, service);
        let update = ServiceUpdate { task_definition: Some(arn.clone()), desired_count, deployment, force: false };
        let update = Update { ecs: &self.ecs, target: self.target, past: KnownDeployments::new(service), update };
        let primary = service.primary().map(|primary| primary.id.clone());
        let permit = self.run.cancel.permit().with_deadline(deadline);
        let updated = match carry_out(&ConditionalUpdate::new(update, primary), &permit).await {
            Ok(Ok(updated)) => updated,
            Ok(Err(TooLate(by))) => return RollbackResult::Superseded(by),
            Err(error) => return self.not_written("UpdateService", &error),
        };
        self.asked = true;
        let Updated { service: answer, ours, took } = updated;
        for text in took {
            self.run.emit(Event::ServiceMessage { target: self.target.id.clone(), text }).await;
        }
        // Where it is PRIMARY already, nothing new began.
        let primary = answer.primary().filter(|primary| primary.task_definition == arn);
        let ours = ours.or_else(|| primary.map(|primary| primary.id.clone()));
        let known =
            service.deployments.iter().map(|one| one.id.clone()).filter(|id| Some(id) != ours.as_ref()).collect();
        let mut followed = DeploymentTracker::new(arn, service.task_definition.clone(), known);
        followed.ours.clone_from(&ours);
        match self.watch(&mut followed, deadline).await {
            Watched::Verdict(Verdict::Superseded(by), _) => RollbackResult::Superseded(by),
            Watched::Verdict(Verdict::Succeeded, service) => {
                let revision = service.primary().and_then(|primary| primary.revision());
                self.finish(revision).await
            }
            Watched::Verdict(Verdict::Failed(summary) | Verdict::Stuck(summary), _) => self.stuck(summary, ours).await,
            Watched::Verdict(_, _) => {
                let why = followed.why.take();
                self.stuck(why.unwrap_or_else(|| "ECS rolled this rollback back".to_owned()), ours).await
            }
            other => self.not_back(other, ours).await,
        }
    }

    /// Watches until the followed deployment is judged.
    async fn watch(&mut self, followed: &mut DeploymentTracker, deadline: Instant) -> Watched {
        let start = Instant::now();
        let mut looks = self.run.watches.follow_until(self.target, true, deadline);
        let (mut misses, mut last_error, mut blind) = (0, None, Blind::default());
        loop {
            let look = tokio::select! {
                biased;
                () = self.run.cancel.cancelled() => return Watched::Cancelled,
                look = looks.next() => look,
            };
            match look {
                Some(Snapshot::Service(service, object)) => {
                    (misses, last_error) = (0, None);
                    blind.sees();
                    self.report_progress(&service).await;
                    match followed.judge(&service, object.as_deref(), start.elapsed()) {
                        Verdict::Wait | Verdict::RollingBack => {}
                        verdict => return Watched::Verdict(verdict, service),
                    }
                }
                Some(Snapshot::Missing) => {
                    misses += 1;
                    if misses == MISSES {
                        return Watched::Gone;
                    }
                }
                Some(Snapshot::NoAnswer(error)) => {
                    self.run.lost_session(self.target, &error).await;
                    let ends = blind.misses(&error, Instant::now());
                    last_error = Some(error);
                    if ends {
                        return Watched::TimedOut(last_error);
                    }
                }
                None => return Watched::TimedOut(last_error),
            }
        }
    }

    async fn announce(&mut self, how: RollbackStep) {
        self.announced = true;
        self.asked = how == RollbackStep::Await;
        let to = self.work.before.revision().filter(|_| how != RollbackStep::Settings);
        let (target, cause) = (self.target.id.clone(), self.cause.clone());
        self.run.emit(Event::RollbackStarted { target, how, to, cause }).await;
    }

    /// Says what ECS says of the service, and the counts of what is PRIMARY now.
    async fn report_progress(&mut self, service: &LiveService) {
        for message in self.messages.take(service) {
            self.run.emit(Event::ServiceMessage { target: self.target.id.clone(), text: message.text }).await;
        }
        let ours = self.from.deployment.as_deref();
        let primary = service.primary().filter(|primary| Some(primary.id.as_str()) != ours);
        if let Some(tasks) = primary.map(|primary| primary.tasks).filter(|tasks| Some(*tasks) != self.tasks) {
            self.tasks = Some(tasks);
            self.run.emit(Event::TasksChanged { target: self.target.id.clone(), tasks }).await;
        }
    }

    async fn finish(&mut self, revision: Option<Revision>) -> RollbackResult {
        match self.unset.take() {
            None => RollbackResult::Back(revision),
            Some(error) => self.unset(&error),
        }
    }

    async fn not_back(&self, watched: Watched, deployment: Option<String>) -> RollbackResult {
        match watched {
            Watched::Cancelled => self.after_cancel(),
            Watched::Gone => self.stuck("the service vanished during the rollback".to_owned(), None).await,
            Watched::TimedOut(Some(error)) => {
                self.stuck(self.too_late(&format!("ECS gave no answer: {error:#}")), None).await
            }
            Watched::TimedOut(None) | Watched::Verdict(_, _) => {
                let tasks = self.tasks.unwrap_or_default();
                let counts = format!("{} of {} tasks run", tasks.running, tasks.desired);
                self.stuck(self.too_late(&counts), deployment).await
            }
        }
    }

    fn too_late(&self, why: &str) -> String {
        format!("not rolled back within {}: {why}", humantime::format_duration(self.timeout))
    }

    /// The write of the return was not sent in time, was refused, or its fate is not known.
    fn not_written(&mut self, operation: &str, error: &CallError) -> RollbackResult {
        let mut evidence: Vec<Evidence> = self.unstoppable.take().map(Evidence::from).into_iter().collect();
        if error.kind != Kind::Withdrawn {
            let (summary, help) = (format!("{error:#}"), help(error, self.target));
            return RollbackResult::Stuck(Reason { summary, evidence, help, ..Reason::default() });
        }
        if self.run.cancel.is_cancelled() {
            return self.after_cancel();
        }
        let limit = humantime::format_duration(self.timeout);
        let summary = format!("{operation} was not sent within {limit}");
        evidence.extend(error.code.is_some().then(|| format!("{error:#}").into()));
        RollbackResult::Stuck(Reason { summary, evidence, help: Some(LOOK.to_owned()), ..Reason::default() })
    }

    /// After a cancel.
    fn after_cancel(&self) -> RollbackResult {
        let back = self.work.before.revision().map(|to| format!(" to {to}")).unwrap_or_default();
        match (self.announced, self.asked) {
            (false, _) => RollbackResult::Cancelled,
            (true, true) => {
                RollbackResult::Detached(format!("the run was cancelled; the rollback{back} goes on in ECS"))
            }
            (true, false) => {
                RollbackResult::Detached(format!("the run was cancelled before the rollback{back} was sent to ECS"))
            }
        }
    }

    async fn stuck(&self, summary: String, deployment: Option<String>) -> RollbackResult {
        let (messages, none) = (&self.messages, Vec::new());
        let found = tokio::select! {
            biased;
            () = self.run.cancel.cancelled() => evidence::Found::default(),
            found = evidence::gather(&self.ecs, self.target, deployment.as_deref(), messages, none) => found,
        };
        RollbackResult::Stuck(Reason { help: Some(LOOK.to_owned()), ..found.reason_of(&summary) })
    }
}
