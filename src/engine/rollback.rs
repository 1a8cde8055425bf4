//! Undo: a target goes back to what it ran before its change, and is watched until it is there.
//!
//! One way at a time, the gentlest first: what ECS rolls back by itself is awaited, our deployment that is under way is
//! stopped with a rollback, and otherwise what ran before is deployed again. Somebody else's deployment is never
//! fought. What is gone back to was taken down when the work was planned.

#[cfg(feature = "codedeploy")]
mod codedeploy;
mod stop;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Run;
use super::ended::help;
use super::evidence;
use super::messages::Messages;
use super::rollout::MISSES;
use super::update::{Careful, Update};
use super::verdict::{Followed, Verdict};
use super::watch::{Look, ROLLOUT_PACE};
use super::write::carry_out;
use crate::aws::ecs::{Ecs, ServiceUpdate};
use crate::aws::error::{CallError, Kind};
use crate::event::{Event, Evidence, Reason, Tasks, UndoStep};
use crate::fleet::{Revision, TargetId, TargetSpec};
use crate::observe::service::LiveService;
use crate::plan::{Definition, Work};
use stop::{StopDeployment, is_returning, service_deployment};

pub use stop::ask;

/// ECS lists a service deployment a second or two after UpdateService, in the worst case that was seen ten.
const APPEARS: Duration = Duration::from_secs(10);

/// How an undo ended.
#[derive(Debug)]
pub enum Undone {
    /// The service is back, complete and PRIMARY.
    Back(Option<Revision>),
    /// It is not, and nothing more can be done here.
    Stuck(Reason),
    /// Somebody else's deployment is PRIMARY: it is theirs now.
    Superseded(String),
    /// There is nothing to go back to, or nothing to go back from: nothing was asked of ECS.
    Nothing(String),
    /// The run was cancelled before anything was asked of ECS.
    Cancelled,
    /// The run was cancelled, and what was asked of ECS goes on.
    Detached(String),
}

/// One target's way back.
pub struct Undo<'a> {
    run: &'a Run,
    target: &'a TargetSpec,
    ecs: Arc<Ecs>,
    work: &'a Work,
    from: Origin,
    timeout: Duration,
    cause: Option<TargetId>,
    announced: bool,
    /// Why our deployment could not be stopped, once that was tried.
    unstoppable: Option<String>,
    /// Why the settings could not be given back.
    unset: Option<CallError>,
    tasks: Option<Tasks>,
    messages: Messages,
}

/// What is gone back from.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// Our deployment's id; `None` where ECS has not shown it.
    pub deployment: Option<String>,
    /// The ARN that it deploys.
    pub wanted: Option<String>,
    /// Whether it is gone back from for nothing but its deadline: if it has completed since, it stays.
    pub late: bool,
}

/// What a look at the service asks for.
#[derive(Debug)]
enum Next {
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

impl<'a> Undo<'a> {
    /// Prepares the way back of a target from its work. Each way has `timeout` in all; `cause` is the target whose
    /// failure is the reason, unless it is its own.
    pub fn new(
        run: &'a Run,
        target: &'a TargetSpec,
        work: &'a Work,
        from: Origin,
        timeout: Duration,
        cause: Option<TargetId>,
    ) -> Self {
        Self {
            run,
            target,
            ecs: run.ecs(target),
            work,
            from,
            timeout,
            cause,
            announced: false,
            unstoppable: None,
            unset: None,
            tasks: None,
            messages: Messages::default(),
        }
    }

    /// Goes back, and returns once the service is there or cannot get there.
    pub async fn go_back(mut self) -> Undone {
        #[cfg(feature = "codedeploy")]
        if let Some(group) = self.work.codedeploy.as_ref().filter(|_| self.work.definition != Definition::Keep) {
            return self.go_back_by_codedeploy(group).await;
        }
        let deadline = Instant::now() + self.timeout;
        loop {
            let service = match self.look(deadline).await {
                Ok(service) => service,
                Err(undone) => return undone,
            };
            match self.next(&service) {
                Next::Nothing(why) if self.announced => return self.stuck(why, None).await,
                Next::Nothing(why) => return Undone::Nothing(why),
                Next::Superseded(by) => return Undone::Superseded(by),
                Next::Settings => return self.give_settings_back(&service, deadline).await,
                Next::Deploy(arn) => return self.deploy(&service, arn, deadline).await,
                Next::Await => {
                    self.announce(UndoStep::Await).await;
                    self.restore(&service, deadline).await;
                }
                Next::Stop => {
                    if !self.stop(&service, deadline).await {
                        continue;
                    }
                }
            }
            if let Some(undone) = self.await_return(deadline).await {
                return undone;
            }
            // Our deployment ended without a return: what is left is to deploy what ran before.
            self.unstoppable.get_or_insert_with(|| "it ended".to_owned());
        }
    }

    /// Gives back only the settings, where ECS has rolled the deployment back itself. Returns why that failed.
    pub async fn settle(mut self) -> Option<Reason> {
        let deadline = Instant::now() + self.timeout;
        if matches!((self.work.desired_count, &self.work.deployment), (None, None)) {
            return None;
        }
        match self.look(deadline).await {
            Ok(service) => self.restore(&service, deadline).await,
            Err(Undone::Stuck(reason)) => return Some(reason),
            Err(_) => {}
        }
        self.unset.take().map(|error| unset(&error, self.target))
    }

    /// Looks at the service once it answers.
    async fn look(&mut self, deadline: Instant) -> Result<LiveService, Undone> {
        let (mut misses, mut last) = (0, None);
        loop {
            let looked = async {
                if misses > 0 || last.is_some() {
                    tokio::time::sleep(ROLLOUT_PACE).await;
                }
                self.ecs.describe_services(&self.target.cluster, &[self.target.service.as_str()]).await
            };
            let answer = tokio::select! {
                biased;
                () = self.run.cancel.cancelled() => return Err(self.left()),
                () = tokio::time::sleep_until(deadline) => {
                    let why = last.map_or_else(|| "ECS gave no answer".to_owned(), |error: CallError| error.to_string());
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
                        return Err(if self.announced { self.stuck(gone, None).await } else { Undone::Nothing(gone) });
                    }
                }
                Err(error) if error.kind == Kind::Denied => {
                    let help = help(&error, self.target);
                    return Err(Undone::Stuck(Reason { summary: error.to_string(), evidence: Vec::new(), help }));
                }
                Err(error) => last = Some(error),
            }
        }
    }

    /// Decides what a look asks for.
    fn next(&mut self, service: &LiveService) -> Next {
        if service.status != "ACTIVE" {
            return Next::Nothing(format!("the service is {}", service.status));
        }
        let Some(primary) = service.primary() else {
            return Next::Nothing("the service has no deployment".to_owned());
        };
        if self.work.definition == Definition::Keep {
            return match self.work.before.settings(self.work, service) {
                (None, None) => Next::Nothing("its settings are not those of this run any more".to_owned()),
                _ => Next::Settings,
            };
        }
        let before = &self.work.deployments;
        let Some(ours) = self.from.deployment.clone() else {
            // It is not known whether UpdateService took effect, or ECS has shown no deployment of it.
            if before.contains(&primary.id) {
                return Next::Nothing("ECS shows no deployment of this run".to_owned());
            }
            if self.from.wanted.as_ref() != Some(&primary.task_definition) {
                return Next::Superseded(format!("another deployment, {}, is PRIMARY", primary.id));
            }
            self.from.deployment = Some(primary.id.clone());
            return self.next(service);
        };
        let Some(back) = self.work.before.task_definition.clone() else {
            return Next::Nothing("nothing else had completed before it, so there is nothing to go back to".to_owned());
        };
        if primary.id == ours && primary.is("COMPLETED") && self.from.late && !self.announced {
            return Next::Nothing("it has completed since".to_owned());
        }
        if primary.id != ours {
            return match self.returning(&ours).judge(service, None, Duration::ZERO) {
                Verdict::Superseded(by) => Next::Superseded(by),
                _ => Next::Await,
            };
        }
        let goes_on = primary.rollout_state.as_deref().is_none_or(|state| state == "IN_PROGRESS");
        match goes_on && self.unstoppable.is_none() {
            true => Next::Stop,
            false => Next::Deploy(back),
        }
    }

    /// Follows the return from our deployment to what the service had before.
    fn returning(&self, ours: &str) -> Followed {
        let before = self.work.deployments.iter().filter(|id| *id != ours).cloned().collect();
        let wanted = self.from.wanted.clone().unwrap_or_default();
        let from = self.work.before.task_definition.clone().unwrap_or_default();
        Followed::returning(ours.to_owned(), wanted, from, before)
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
            self.announce(UndoStep::Await).await;
            self.restore(service, deadline).await;
            return true;
        }
        self.announce(UndoStep::StopDeployment).await;
        self.restore(service, deadline).await;
        match carry_out(&StopDeployment { ecs: &self.ecs, arn: &arn }, &self.run.cancel.permit().until(deadline)).await
        {
            Ok(_) => true,
            Err(error) => {
                self.unstoppable = Some(error.to_string());
                false
            }
        }
    }

    /// Watches ECS go back; `None` where our deployment ended without a return.
    async fn await_return(&mut self, deadline: Instant) -> Option<Undone> {
        let ours = self.from.deployment.clone().unwrap_or_default();
        let mut followed = self.returning(&ours);
        let back = match self.watch(&mut followed, deadline).await {
            Watched::Verdict(Verdict::RolledBack, service) => service,
            Watched::Verdict(Verdict::Stuck(summary), service) => {
                let primary = service.primary().map(|primary| primary.id.clone());
                return Some(self.stuck(summary, primary).await);
            }
            Watched::Verdict(Verdict::Superseded(by), _) => return Some(Undone::Superseded(by)),
            Watched::Verdict(_, _) => return None,
            other => return Some(self.not_back(other, Some(ours)).await),
        };
        Some(self.back(back.primary().and_then(|primary| primary.revision())).await)
    }

    /// Deploys what ran before, with the settings as they were, and watches that.
    async fn deploy(&mut self, service: &LiveService, arn: String, deadline: Instant) -> Undone {
        self.announce(UndoStep::Deploy).await;
        let (desired_count, deployment) = self.work.before.settings(self.work, service);
        let update = ServiceUpdate { task_definition: Some(arn.clone()), desired_count, deployment, force: false };
        let known: Vec<String> = service.deployments.iter().map(|one| one.id.clone()).collect();
        let update = Update { ecs: &self.ecs, target: self.target, known: &known, update };
        let primary = service.primary().map(|primary| primary.id.clone());
        let answer = match carry_out(&Careful::new(update, primary), &self.run.cancel.permit().until(deadline)).await {
            Ok(answer) => LiveService::read(&answer),
            Err(error) if Careful::was_too_late(&error) => return Undone::Superseded(error.message),
            Err(error) if error.kind == Kind::Withdrawn && self.run.cancel.is_cancelled() => return self.left(),
            Err(error) => {
                let mut evidence = Vec::new();
                evidence.extend(self.unstoppable.take().map(Evidence::from));
                let help = help(&error, self.target);
                return Undone::Stuck(Reason { summary: error.to_string(), evidence, help });
            }
        };
        let ours = answer.primary().filter(|primary| primary.task_definition == arn).map(|primary| primary.id.clone());
        let known = known.into_iter().filter(|id| Some(id) != ours.as_ref()).collect();
        let mut followed = Followed::new(arn, service.task_definition.clone(), known);
        followed.ours.clone_from(&ours);
        match self.watch(&mut followed, deadline).await {
            Watched::Verdict(Verdict::Superseded(by), _) => Undone::Superseded(by),
            Watched::Verdict(Verdict::Succeeded, service) => {
                let revision = service.primary().and_then(|primary| primary.revision());
                self.back(revision).await
            }
            Watched::Verdict(Verdict::Failed(summary) | Verdict::Stuck(summary), _) => self.stuck(summary, ours).await,
            Watched::Verdict(_, _) => {
                let why = followed.why.take();
                self.stuck(why.unwrap_or_else(|| "ECS rolled the return back".to_owned()), ours).await
            }
            other => self.not_back(other, ours).await,
        }
    }

    /// Gives back the settings of a target whose work was nothing else.
    async fn give_settings_back(&mut self, service: &LiveService, deadline: Instant) -> Undone {
        self.announce(UndoStep::Settings).await;
        let (count, _) = self.work.before.settings(self.work, service);
        self.restore(service, deadline).await;
        if let (Some(count), None) = (count, &self.unset) {
            let mut looks = self.run.watches.follow(self.target, ROLLOUT_PACE, false);
            loop {
                let look = tokio::select! {
                    biased;
                    () = self.run.cancel.cancelled() => return self.left(),
                    () = tokio::time::sleep_until(deadline) => {
                        return self.not_back(Watched::TimedOut(None), None).await;
                    }
                    look = looks.next() => look,
                };
                let Look::Service(service, _) = look else { continue };
                self.tell(&service).await;
                if service.desired != count || service.running == count {
                    break;
                }
            }
        }
        self.back(service.revision()).await
    }

    /// Gives back the settings that the change set and that still are so.
    async fn restore(&mut self, service: &LiveService, deadline: Instant) {
        let (desired_count, deployment) = self.work.before.settings(self.work, service);
        let update = ServiceUpdate { desired_count, deployment, ..ServiceUpdate::default() };
        if update != ServiceUpdate::default() && self.unset.is_none() {
            let update = Update { ecs: &self.ecs, target: self.target, known: &[], update };
            self.unset = carry_out(&update, &self.run.cancel.permit().until(deadline)).await.err();
        }
    }

    /// Watches until the followed deployment is judged.
    async fn watch(&mut self, followed: &mut Followed, deadline: Instant) -> Watched {
        let start = Instant::now();
        let mut looks = self.run.watches.follow(self.target, ROLLOUT_PACE, true);
        let (mut misses, mut last_error) = (0, None);
        loop {
            let look = tokio::select! {
                biased;
                () = self.run.cancel.cancelled() => return Watched::Cancelled,
                () = tokio::time::sleep_until(deadline) => return Watched::TimedOut(last_error),
                look = looks.next() => look,
            };
            match look {
                Look::Service(service, object) => {
                    (misses, last_error) = (0, None);
                    self.tell(&service).await;
                    match followed.judge(&service, object.as_deref(), start.elapsed()) {
                        Verdict::Wait | Verdict::RollingBack => {}
                        verdict => return Watched::Verdict(verdict, service),
                    }
                }
                Look::Missing => {
                    misses += 1;
                    if misses == MISSES {
                        return Watched::Gone;
                    }
                }
                Look::NoAnswer(error) => last_error = Some(error),
            }
        }
    }

    async fn announce(&mut self, how: UndoStep) {
        self.announced = true;
        let to = self.work.before.revision().filter(|_| how != UndoStep::Settings);
        let (target, cause) = (self.target.id.clone(), self.cause.clone());
        self.run.emit(Event::UndoStarted { target, how, to, cause }).await;
    }

    /// Says what ECS says of the service, and the counts of what is PRIMARY now.
    async fn tell(&mut self, service: &LiveService) {
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

    async fn back(&mut self, revision: Option<Revision>) -> Undone {
        match self.unset.take() {
            None => Undone::Back(revision),
            Some(error) => Undone::Stuck(unset(&error, self.target)),
        }
    }

    async fn not_back(&self, watched: Watched, deployment: Option<String>) -> Undone {
        match watched {
            Watched::Cancelled => self.left(),
            Watched::Gone => self.stuck("the service vanished on its way back".to_owned(), None).await,
            Watched::TimedOut(Some(error)) => {
                self.stuck(self.too_late(&format!("ECS gave no answer: {error}")), None).await
            }
            Watched::TimedOut(None) | Watched::Verdict(_, _) => {
                let tasks = self.tasks.unwrap_or_default();
                let counts = format!("{} of {} tasks run", tasks.running, tasks.desired);
                self.stuck(self.too_late(&counts), deployment).await
            }
        }
    }

    fn too_late(&self, why: &str) -> String {
        format!("not back within {}: {why}", humantime::format_duration(self.timeout))
    }

    /// After a cancel.
    fn left(&self) -> Undone {
        match (self.announced, self.work.before.revision()) {
            (false, _) => Undone::Cancelled,
            (true, Some(to)) => Undone::Detached(format!("the run was cancelled; the return to {to} goes on in ECS")),
            (true, None) => Undone::Detached("the run was cancelled; the return goes on in ECS".to_owned()),
        }
    }

    async fn stuck(&self, summary: String, deployment: Option<String>) -> Undone {
        let (messages, none) = (&self.messages, Vec::new());
        let found = tokio::select! {
            biased;
            () = self.run.cancel.cancelled() => evidence::Found::default(),
            found = evidence::gather(&self.ecs, self.target, deployment.as_deref(), messages, none) => found,
        };
        let help = Some("it is not back on what ran before: look at the service now".to_owned());
        Undone::Stuck(Reason { summary: summary.trim_end_matches('.').to_owned(), evidence: found.evidence, help })
    }
}

fn unset(error: &CallError, target: &TargetSpec) -> Reason {
    let summary = format!("it is back, but its settings could not be given back: {error}");
    Reason { summary, evidence: Vec::new(), help: help(error, target) }
}
