//! The spans of a target: its rollout, and what that consists of.

use jiff::Timestamp;

use crate::base::arn;
use crate::event::{Reason, TaskEnd};
use crate::fleet::Moment;
use crate::fleet::role_arn::partition_of;
use crate::narrate::console;
use crate::state::{TargetState, TaskRun};
use crate::trace::names::deployment_status;
use crate::trace::{Attributes, Trace};

/// How much of the evidence is told: all of it is in the report.
const EVIDENCE: usize = 5;

impl Trace {
    /// Adds a target that was started, below its wave.
    pub(super) fn add_target(&mut self, target: &TargetState, wave: usize, wave_end: Timestamp) {
        let Some(start) = target.started_at else { return };
        let end = target.finished_at.unwrap_or(wave_end);
        let part = target.target.to_string().replace('/', " ");
        let name = format!("rollout {}", target.target.service);
        let place = self.add(wave, name, &part, (start, end), attributes(target));
        self.spans[place].error = error(target);
        self.add_phases(target, place, end);
    }

    /// Adds what a rollout consists of.
    fn add_phases(&mut self, target: &TargetState, rollout: usize, end: Timestamp) {
        let Some(start) = target.started_at else { return };
        if let Some(registered) = target.registered_at {
            let mut attributes = Attributes::default();
            attributes.some("aws.ecs.task.family", target.to.as_ref().map(|revision| &revision.family));
            attributes.some("aws.ecs.task.revision", target.to.as_ref().map(|revision| revision.number));
            self.add(rollout, "register".to_owned(), "register", (start, registered), attributes);
        }
        for (number, task) in target.run_tasks.iter().enumerate() {
            self.add_task(task, number, rollout, end);
        }
        let early = target.rollback.as_ref().filter(|_| target.rolled_back_at.is_none());
        if let Some(deployed) = target.deployed_at {
            let before = target.run_tasks.iter().filter(|task| task.moment == Moment::Before);
            let ready = before.filter_map(|task| task.ended.map(|(_, at)| at)).max().max(target.registered_at);
            self.add(rollout, "update".to_owned(), "update", (ready.unwrap_or(start), deployed), Attributes::default());
            let after = target.run_tasks.iter().find(|task| task.moment == Moment::After).map(|task| task.started_at);
            let ended = early.map(|rollback| rollback.started_at).into_iter().chain(after).min().unwrap_or(end);
            self.add_deployment(target, rollout, (deployed, ended));
        }
        if let Some(rollback) = early {
            let mut attributes = Attributes::default();
            attributes.some("roleout.revision.to", rollback.to.as_ref());
            self.add(rollout, "rollback".to_owned(), "rollback", (rollback.started_at, end), attributes);
        }
    }

    /// Adds ECS's deployment, with its stages and the hooks at which it waited.
    fn add_deployment(&mut self, target: &TargetState, rollout: usize, (start, end): (Timestamp, Timestamp)) {
        let mut attributes = Attributes::default();
        attributes.some("deployment.id", target.deployment.as_ref());
        attributes.flag("roleout.deployment.attached", target.attached);
        let place = self.add(rollout, "deploy".to_owned(), "deploy", (start, end), attributes);
        for (number, stage) in target.stages.stages.iter().enumerate() {
            let mut attributes = Attributes::default();
            attributes.percent("roleout.traffic.production_percent", stage.production_percent);
            attributes.percent("roleout.traffic.test_percent", stage.test_percent);
            let times = (stage.since, stage.ended_at.unwrap_or(end));
            self.add(place, format!("stage {}", stage.name), &format!("stage {number}"), times, attributes);
        }
        for (number, pause) in target.stages.pauses.iter().enumerate() {
            let mut attributes = Attributes::default();
            attributes.some("roleout.hook.stage", pause.hook.stage.as_ref());
            attributes.some("roleout.hook.status", pause.status.as_ref());
            let times = (pause.since, pause.ended_at.unwrap_or(end));
            self.add(place, "hook".to_owned(), &format!("hook {number}"), times, attributes);
        }
    }

    /// Adds a task of `before` or `after`.
    fn add_task(&mut self, task: &TaskRun, number: usize, rollout: usize, end: Timestamp) {
        let mut attributes = Attributes::default();
        attributes.text("aws.ecs.task.arn", &task.task);
        attributes.text("aws.ecs.task.id", arn::name(&task.task));
        let times = (task.started_at, task.ended.map_or(end, |(_, at)| at));
        let place = self.add(rollout, format!("task {}", task.name), &format!("task {number}"), times, attributes);
        let failed = task.ended.is_some_and(|(end, _)| end == TaskEnd::Failed);
        self.spans[place].error = failed.then(|| "the task failed".to_owned());
    }

    /// Adds the rollback of a target that had succeeded: it may come long after its wave.
    pub(super) fn add_late_rollback(&mut self, target: &TargetState) {
        let (Some(rollback), Some(end)) = (&target.rollback, target.rolled_back_at) else { return };
        let part = format!("rollback {}", target.target.to_string().replace('/', " "));
        let mut attributes = attributes(target);
        attributes.some("roleout.revision.to", rollback.to.as_ref());
        let name = format!("rollback {}", target.target.service);
        let place = self.add(0, name, &part, (rollback.started_at, end), attributes);
        self.spans[place].error = error(target);
    }
}

/// Returns why a target failed, in one line.
fn error(target: &TargetState) -> Option<String> {
    let outcome = target.outcome().filter(|outcome| outcome.is_failure())?;
    let why = target.why().map(|reason| reason.summary.as_str()).filter(|summary| !summary.is_empty());
    Some(crate::base::text::clean(why.unwrap_or(outcome.words())).into_owned())
}

fn attributes(target: &TargetState) -> Attributes {
    let (id, mut attributes) = (&target.target, Attributes::default());
    attributes.text("cloud.provider", "aws");
    attributes.text("cloud.platform", "aws_ecs");
    attributes.text("cloud.account.id", target.account_id.as_str());
    attributes.text("cloud.region", &*id.region);
    let own = format!("arn:{}:ecs:{}:{}", partition_of(&id.region), id.region, target.account_id.as_str());
    let cluster = arn::name(&target.cluster);
    attributes.text("cloud.resource_id", format!("{own}:service/{cluster}/{}", target.service));
    attributes.text("aws.ecs.cluster.arn", format!("{own}:cluster/{cluster}"));
    attributes.some("aws.ecs.task.family", target.to.as_ref().map(|revision| &revision.family));
    attributes.some("aws.ecs.task.revision", target.to.as_ref().map(|revision| revision.number));
    attributes.some("deployment.id", target.deployment.as_ref());
    attributes.text("deployment.name", id.to_string());
    attributes.some("deployment.status", target.outcome().and_then(deployment_status));
    let outcome = target.outcome().map(|outcome| outcome.words().replace(' ', "_"));
    let failed = target.outcome().is_some_and(|outcome| outcome.is_failure());
    attributes.some("error.type", outcome.as_ref().filter(|_| failed));
    attributes.text("roleout.account", &*id.account);
    attributes.text("roleout.service", &*id.service);
    attributes.text("roleout.wave.name", &target.wave);
    attributes.some("roleout.outcome", outcome);
    attributes.some("roleout.revision.from", target.from.as_ref());
    attributes.some("roleout.revision.runs", target.runs.as_ref());
    attributes.texts("roleout.changes", target.changes.iter().cloned());
    attributes.text("roleout.console", console::address(target));
    if let Some(reason) = target.why().filter(|_| failed) {
        say_why(&mut attributes, reason);
    }
    attributes
}

fn say_why(attributes: &mut Attributes, reason: &Reason) {
    attributes.some("roleout.cause", reason.cause.as_ref());
    attributes.texts("roleout.evidence", reason.evidence.iter().take(EVIDENCE).map(ToString::to_string));
    attributes.some("roleout.help", reason.help.as_ref());
}
