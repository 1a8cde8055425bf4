//! A service over time: starts and stops tasks within the deployment's bounds, completes, fails, rolls back.
//!
//! Nothing runs in the background. [`Service::advance`] replays everything that happened since it was last asked, at
//! the moments at which it happened, so the result depends on the seed and the clock and never on who asked when.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::base::document::Document;
use crate::sandbox::behaviour::Behaviour;
use crate::sandbox::breaker::breaker;
use crate::sandbox::lifecycle::Lifecycle;
use crate::sandbox::moment::{Moment, millis};
use crate::sandbox::record::{Record, Rollback, ServiceRevision, Status};
use crate::sandbox::service::{Act, Counts, Deployment, RolloutState, Service};
use crate::sandbox::task::{Nature, Pace, Phase, Task, Turn};

/// The longest wait before a task that never ran is tried again: ECS's fifteen minutes.
const MAX_BACKOFF: u64 = 15 * 60 * 1000;
/// How long stopped tasks stay visible: ECS says at least an hour.
const STOPPED_FOR: u64 = 3_600_000;

impl Service {
    /// Brings the service up to now.
    pub(crate) fn advance(&mut self, now: Moment, pace: Pace) {
        while let Some(at) = self.wake.filter(|wake| *wake <= now) {
            self.step(at, pace);
            self.reconcile(at, pace);
            self.wake = self.next(at);
        }
        while self.stopped.front().is_some_and(|task| task.stopped.is_some_and(|at| at + STOPPED_FOR < now)) {
            self.stopped.pop_front();
        }
    }

    /// Makes sure that the service is looked at then.
    pub(crate) fn wake_at(&mut self, at: Moment) {
        self.shown = None;
        self.wake = Some(self.wake.map_or(at, |wake| wake.min(at)));
    }

    /// When something happens next by itself, after `at`.
    fn next(&self, at: Moment) -> Option<Moment> {
        let tasks = self.tasks.iter().filter_map(|task| task.due);
        let acts = self.acts.iter().map(|(when, _)| *when);
        let lingering =
            self.deployments.iter().filter(|one| one.progress == RolloutState::Failed).map(|one| one.lingers);
        let record = self.primary().map(|primary| &primary.record);
        let lifecycle =
            self.records.iter().rev().find(|one| Some(&one.id) == record).and_then(|one| one.lifecycle.as_ref());
        let stages = lifecycle.into_iter().flat_map(Lifecycle::wakes);
        tasks.chain(acts).chain(lingering).chain(stages).chain([self.launch_after]).filter(|when| *when > at).min()
    }

    fn step(&mut self, at: Moment, pace: Pace) {
        self.shown = None;
        for index in 0..self.tasks.len() {
            let Some(task) = self.tasks.get_mut(index).filter(|task| task.due.is_some_and(|due| due <= at)) else {
                continue;
            };
            let ran = task.started.is_some();
            match task.turn(at, pace) {
                Turn::Healthy => {
                    self.never_ran = 0;
                    let owner = task.started_by.as_ref();
                    if let Some(deployment) = self.deployments.iter_mut().find(|one| Some(&one.id) == owner) {
                        deployment.failed = 0;
                        let resets = breaker(&self.settings)["resetOnHealthyTask"].as_bool().unwrap_or(true);
                        if resets && matches!(task.nature, Nature::Sound | Nature::Flap) {
                            deployment.counted = 0;
                        }
                    }
                }
                Turn::Failed => {
                    let (id, owner) = (task.id.clone(), task.started_by.clone().unwrap_or_default());
                    let reason = task.container_reason.clone();
                    self.failed(&id, &owner, ran, reason, at, pace);
                }
                Turn::Moved | Turn::Stopped => {}
            }
        }
        self.stopped.extend(self.tasks.extract_if(.., |task| task.phase == Phase::Stopped));
        // ECS keeps them for an hour; a crash loop of a long test should not keep thousands.
        while self.stopped.len() > 400 {
            self.stopped.pop_front();
        }
        let due: Vec<_> = self.acts.extract_if(.., |(when, _)| *when <= at).collect();
        for (_, act) in due {
            self.act(act, at, pace);
        }
    }

    fn failed(&mut self, task: &str, owner: &str, ran: bool, reason: Option<String>, at: Moment, pace: Pace) {
        if ran {
            self.launch_after = self.launch_after.max(at + millis(pace.timing.schedule));
        } else {
            // Only tasks that never reached RUNNING are throttled (ECS's service throttle logic).
            self.never_ran += 1;
            let wait = millis(pace.timing.backoff).saturating_mul(1 << (self.never_ran - 1).min(20)).min(MAX_BACKOFF);
            self.launch_after = self.launch_after.max(at + wait);
            if let Some(reason) = reason {
                self.add_event(at, &format!("was unable to place a task. Reason: {reason}."));
            }
            if self.never_ran == 4 {
                self.add_event(at, "is unable to consistently start tasks successfully.");
            }
        }
        if ran {
            self.add_event(at, &format!("has stopped 1 running tasks: (task {task})."));
        }
        let threshold = self.threshold();
        let desired = self.desired;
        let Some(primary) = self.deployments.first_mut().filter(|one| one.id == owner) else { return };
        primary.failed += 1;
        primary.counted += 1;
        primary.updated = at;
        if primary.progress != RolloutState::InProgress || desired == 0 {
            return;
        }
        let (counted, record) = (primary.counted, primary.record.clone());
        let Some(threshold) = threshold else { return };
        if let Some(record) = self.records.iter_mut().find(|one| one.id == record) {
            record.failures = counted;
            record.updated = at;
        }
        if counted >= threshold {
            self.trip(at, pace);
        }
    }

    /// Makes the most recent deployment that completed the PRIMARY again, under its own id.
    pub(super) fn roll_back(&mut self, record: &str, by: &str, reason: &str, at: Moment, pace: Pace) {
        let candidate =
            self.candidate.clone().filter(|candidate| self.primary().is_some_and(|one| one.id != candidate.id));
        let Some(mut candidate) = candidate else {
            let text = "No rollback candidate was found to run the rollback.";
            if let Some(primary) = self.deployments.first_mut() {
                primary.progress = RolloutState::Failed;
                primary.reason = format!("ECS deployment {by}tasks failed to start. {text}");
            }
            let whole = format!("{} {text}", reason.replace("rolled back", "failed"));
            self.finish(record, Status::RollbackFailed, Some(&whole), at);
            return;
        };
        let strands = self.deployments.first().is_some_and(|one| one.strands);
        let poisons = strands || self.deployments.first().is_some_and(|one| one.poisons);
        let old = candidate.id.clone();
        candidate.progress = RolloutState::InProgress;
        candidate.reason = format!("ECS deployment {by}rolling back to deploymentId {old}.");
        candidate.updated = at;
        candidate.record = record.to_owned();
        candidate.counted = 0;
        candidate.failed = 0;
        self.settings.extend((*candidate.settings).clone());
        self.deployments.retain(|one| one.id != old);
        // One millisecond after the failure that caused it.
        self.add_event(at + 1, &format!("rolling back to deployment {old}."));
        if let Some(record) = self.record(record) {
            record.status = Status::RollbackInProgress;
            record.reason = Some(reason.to_owned());
            record.updated = at;
            record.failures = 0;
            if let Some(lifecycle) = &mut record.lifecycle {
                lifecycle.turn_back();
            }
            record.rollback = Some(Rollback { reason: reason.to_owned(), at, deployment: old.clone() });
        }
        if poisons {
            candidate.nature = if strands { Nature::Hang } else { Nature::Crash };
            for task in self.tasks.iter_mut().filter(|task| task.started_by.as_ref() == Some(&old) && task.is_live()) {
                task.nature = Nature::Crash;
                // Before the rollback can complete with the tasks that still ran.
                task.due = Some(at + 1);
            }
        }
        self.deployments.insert(0, candidate);
        self.never_ran = 0;
        self.launch_after = at + millis(pace.timing.schedule);
    }

    fn act(&mut self, act: Act, at: Moment, pace: Pace) {
        let is_current = |service: &Self, record: &str| service.primary().is_some_and(|one| one.record == record);
        match act {
            Act::Vanish => self.delete(at, pace),
            Act::Supersede => {
                if let Some(candidate) = self.candidate.clone() {
                    let behaviour = Behaviour::default();
                    self.deploy(&candidate.task_definition, candidate.definition, behaviour, at, pace);
                }
            }
            Act::RollBack(record) if is_current(self, &record) => {
                if let Some(primary) = self.deployments.first_mut() {
                    primary.progress = RolloutState::Failed;
                    primary.reason = format!("ECS deployment {} was stopped.", primary.id);
                    primary.lingers = at + millis(pace.timing.drain);
                }
                let reason = "Service deployment rolled back because of a StopServiceDeployment request.";
                self.roll_back(&record, "", reason, at, pace);
            }
            Act::Abort(record) if is_current(self, &record) => {
                if let Some(primary) = self.deployments.first_mut() {
                    primary.progress = RolloutState::Failed;
                    primary.reason = format!("ECS deployment {} was stopped.", primary.id);
                }
                let reason = "Service deployment stopped because of a StopServiceDeployment request.";
                self.finish(&record, Status::Stopped, Some(reason), at);
            }
            Act::Alarm(record) if is_current(self, &record) => self.alarm(&record, at, pace),
            Act::RollBack(_) | Act::Abort(_) | Act::Alarm(_) => {}
        }
    }

    /// Deletes the service: its tasks are told to stop, and it is INACTIVE once they did.
    pub(crate) fn delete(&mut self, at: Moment, pace: Pace) {
        if self.deleted.is_some() {
            return;
        }
        self.deleted = Some(at);
        self.desired = 0;
        if let Some(record) = self.primary().map(|primary| primary.record.clone()) {
            self.finish(
                &record,
                Status::Stopped,
                Some("Service deployment stopped because the service was deleted."),
                at,
            );
        }
        self.candidate = self.deployments.first().cloned().or(self.candidate.take());
        self.deployments.clear();
        self.acts.clear();
        for task in &mut self.tasks {
            task.stop("ServiceSchedulerInitiated", "Task stopped by service deletion".into(), at, pace);
        }
        self.wake_at(at);
    }

    /// Starts a deployment, which becomes the PRIMARY, and returns its id.
    pub(crate) fn deploy(
        &mut self,
        task_definition: &str,
        definition: Document,
        behaviour: Behaviour,
        at: Moment,
        pace: Pace,
    ) -> String {
        let name = self.next_name("deployment");
        let number = pace.chance.number(&name);
        let id = format!("ecs-svc/{number}");
        let record_id = pace.chance.id(crate::sandbox::rng::MIXED_LETTERS, 21, &name);
        if let Some(old) = self.primary().map(|primary| primary.record.clone()) {
            let reason = "Service deployment stopped because a new service deployment was started.";
            let rolling_back = self.record(&old).is_some_and(|record| record.rollback.is_some());
            let status = if rolling_back { Status::RollbackFailed } else { Status::Stopped };
            self.finish(&old, status, Some(reason), at);
        }
        let settings = Arc::new(self.deployment_settings());
        let sources = self.deployments.iter().map(|one| (one.id.clone(), self.counts(Some(&one.id)).live)).collect();
        let read = definition.value();
        let containers = read.get("containerDefinitions").and_then(Value::as_array).into_iter().flatten();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        self.revisions.push(ServiceRevision {
            deployment: id.clone(),
            task_definition: task_definition.to_owned(),
            images: containers.map(|container| (text(&container["name"]), text(&container["image"]))).collect(),
            settings: settings.clone(),
            load_balancers: self.settings.get("loadBalancers").cloned().unwrap_or_else(|| json!([])),
            created: at,
        });
        let lifecycle = self.lifecycle();
        let rolls = lifecycle.is_none();
        let appears = pace.after(at, pace.timing.appear, 1.0, &name);
        self.records.push(Record {
            id: record_id.clone(),
            deployment: id.clone(),
            sources,
            created: at,
            appears,
            started: appears + millis(pace.timing.appear) / 4,
            finished: None,
            stopped: None,
            updated: at,
            status: Status::InProgress,
            reason: None,
            rollback: None,
            configuration: Arc::new(self.settings.get("deploymentConfiguration").cloned().unwrap_or_default()),
            threshold: self.threshold(),
            failures: 0,
            triggered: false,
            lifecycle,
            triggered_alarms: Vec::new(),
        });
        self.deployments.insert(
            0,
            Deployment {
                reason: format!("ECS deployment {id} in progress."),
                id: id.clone(),
                task_definition: task_definition.to_owned(),
                definition,
                settings: settings.clone(),
                created: at,
                updated: at,
                progress: RolloutState::InProgress,
                failed: 0,
                counted: 0,
                nature: behaviour.nature,
                factor: behaviour.factor,
                degrades: behaviour.degrades,
                raises: behaviour.raises,
                poisons: behaviour.poisons,
                hooks: behaviour.hooks,
                alarms: behaviour.alarms,
                strands: behaviour.strands,
                record: record_id.clone(),
                lingers: at,
            },
        );
        self.never_ran = 0;
        self.launch_after = pace.after(at, pace.timing.schedule, 1.0, &name);
        self.wake_at(self.launch_after);
        if let Some(act) = behaviour.act {
            let when = pace.after(self.launch_after, pace.timing.provision, 1.0, &name);
            self.acts.push((when, act));
        }
        if behaviour.alarms && rolls {
            let when = pace.after(self.launch_after, pace.timing.provision, 1.0, &name);
            self.acts.push((when, Act::Alarm(record_id)));
        }
        id
    }

    /// Starts and stops what the bounds allow, and completes the deployment when everything is as it should be.
    fn reconcile(&mut self, at: Moment, pace: Pace) {
        let Some(primary) = self.primary().cloned() else { return };
        if at < self.launch_after || !self.moves() {
            return;
        }
        if self.goes_by_stages(&primary) {
            self.forget_gone(&primary, at);
            self.by_stages(&primary, at, pace);
            return;
        }
        let own = self.counts(Some(&primary.id));
        if primary.progress != RolloutState::Failed {
            // A completed deployment is kept at its count whatever the bounds of a rollout are.
            let missing = self.desired.saturating_sub(own.live);
            let room = self.bounds().1.saturating_sub(self.counts(None).live);
            let count = if primary.progress == RolloutState::Completed { missing } else { missing.min(room) };
            self.start_tasks(&primary, count, at, pace);
            self.stop_tasks(&primary, at, pace);
        }
        let own = self.counts(Some(&primary.id));
        let all = self.counts(None);
        self.forget_gone(&primary, at);
        if primary.progress != RolloutState::InProgress || self.is_stopping(&primary) {
            return;
        }
        let whole = own.healthy == self.desired && own.live == self.desired && all.present == own.present;
        if whole && self.deployments.len() == 1 || self.succeeds_early(own, all) {
            self.complete(at, pace);
        } else if own.live < self.desired && all.present == all.healthy {
            // Nothing moves, nothing may start and nothing may stop.
            let text = "was unable to stop or start tasks during a deployment because of the service deployment \
                        configuration. Update the minimumHealthyPercent or maximumPercent value and try again.";
            self.say_once(at, text);
        }
    }

    /// Forgets the deployments of which nothing is left.
    fn forget_gone(&mut self, primary: &Deployment, at: Moment) {
        let listed = |one: &Deployment, service: &Self| {
            one.id == primary.id || service.counts(Some(&one.id)).present > 0 || one.lingers > at
        };
        if !self.deployments.iter().all(|one| listed(one, self)) {
            self.deployments = self.deployments.iter().filter(|one| listed(one, self)).cloned().collect();
        }
    }

    fn is_stopping(&self, deployment: &Deployment) -> bool {
        let record = self.records.iter().find(|record| record.id == deployment.record);
        record.is_some_and(|record| matches!(record.status, Status::RollbackRequested | Status::StopRequested))
    }

    /// Whether the early success criteria hold: enough of the new tasks are healthy, and the old ones may go later.
    fn succeeds_early(&self, own: Counts, all: Counts) -> bool {
        let configuration = self.settings.get("deploymentConfiguration");
        let Some(criteria) = configuration.map(|value| &value["earlySuccessCriteria"]) else { return false };
        let percent = criteria["healthyPercent"].as_u64().unwrap_or(100);
        let enough = u64::from(own.healthy) * 100 >= u64::from(self.desired) * percent;
        let cleaned = criteria["sourceServiceRevisionCleanup"] == "DEFERRED" || all.present == own.present;
        criteria["enable"] == true && enough && cleaned
    }

    fn bounds(&self) -> (u32, u32) {
        let configuration = self.settings.get("deploymentConfiguration");
        let percent = |key: &str, default: u32| {
            let value = configuration.and_then(|value| value[key].as_u64()).and_then(|value| u32::try_from(value).ok());
            value.unwrap_or(default)
        };
        let upper = self.desired.saturating_mul(percent("maximumPercent", 200)) / 100;
        let lower = self.desired.saturating_mul(percent("minimumHealthyPercent", 100)).div_ceil(100);
        (lower, upper)
    }

    pub(super) fn start_tasks(&mut self, primary: &Deployment, count: u32, at: Moment, pace: Pace) {
        if count == 0 {
            return;
        }
        let mut started = String::new();
        for _ in 0..count {
            let name = self.next_name("task");
            let id = pace.chance.hex(32, &name);
            let mut task = Task::start(id, primary.definition.clone(), primary.nature, primary.factor, at, pace);
            task.started_by = Some(primary.id.clone());
            task.group = format!("service:{}", self.name);
            let balancer = self.settings.get("loadBalancers").and_then(|balancers| balancers.get(0));
            task.target_group = balancer.and_then(|one| one["targetGroupArn"].as_str()).map(str::to_owned);
            if let Some(launch) = self.settings.get("launchType").and_then(Value::as_str) {
                task.launch_type = launch.to_owned();
            }
            started.push_str(&format!(" (task {})", task.id));
            self.tasks.push(task);
        }
        self.add_event(at, &format!("has started {count} tasks:{started}."));
    }

    pub(super) fn stop_tasks(&mut self, primary: &Deployment, at: Moment, pace: Pace) {
        let (lower, _) = self.bounds();
        let mut spare = self.counts(None).healthy.saturating_sub(lower);
        let mut surplus = self.counts(Some(&primary.id)).live.saturating_sub(self.desired);
        let reason = format!("Scaling activity initiated by (deployment {})", primary.id);
        let (mut running, mut pending) = (String::new(), 0_u32);
        for task in self.tasks.iter_mut().filter(|task| task.is_live()) {
            let own = task.started_by.as_ref() == Some(&primary.id);
            if own && surplus == 0 || task.healthy && spare == 0 {
                continue;
            }
            if task.healthy {
                spare -= 1;
            }
            if own {
                surplus -= 1;
            }
            match task.phase {
                Phase::Running => running.push_str(&format!(" (task {})", task.id)),
                _ => pending += 1,
            }
            task.stop("ServiceSchedulerInitiated", reason.clone(), at, pace);
        }
        if pending > 0 {
            self.add_event(at, &format!("stopped {pending} pending tasks."));
        }
        let count = running.matches("(task").count();
        if count > 0 {
            if self.settings.get("loadBalancers").and_then(Value::as_array).is_some_and(|list| !list.is_empty()) {
                self.add_event(at, &format!("has begun draining connections on {count} tasks."));
            }
            self.add_event(at, &format!("has stopped {count} running tasks:{running}."));
        }
    }

    pub(super) fn complete(&mut self, at: Moment, pace: Pace) {
        let Some(primary) = self.deployments.first_mut() else { return };
        primary.progress = RolloutState::Completed;
        primary.reason = format!("ECS deployment {} completed.", primary.id);
        primary.updated = at;
        primary.failed = 0;
        let (id, record) = (primary.id.clone(), primary.record.clone());
        self.good.insert(primary.task_definition.clone());
        if primary.degrades {
            primary.nature = Nature::Crash;
            for task in self.tasks.iter_mut().filter(|task| task.is_live()) {
                task.nature = Nature::Crash;
                task.due = Some(pace.after(at, pace.timing.healthy, 1.0, &task.id));
            }
        }
        self.candidate = Some(primary.clone());
        self.add_event(at, &format!("(deployment {id}) deployment completed."));
        self.add_event(at + 1, "has reached a steady state.");
        let rolled_back = self.record(&record).is_some_and(|record| record.status == Status::RollbackInProgress);
        let status = if rolled_back { Status::RollbackSuccessful } else { Status::Successful };
        self.finish(&record, status, None, at);
    }

    /// Finds a service deployment by the last part of its ARN.
    pub(crate) fn record(&mut self, id: &str) -> Option<&mut Record> {
        self.records.iter_mut().find(|record| record.id == id)
    }

    pub(super) fn finish(&mut self, record: &str, status: Status, reason: Option<&str>, at: Moment) {
        if let Some(record) = self.record(record).filter(|record| !record.status.is_final()) {
            record.finish(status, reason.map(str::to_owned), at);
        }
    }
}
