//! The lifecycle of a BLUE_GREEN, LINEAR or CANARY deployment: its lifecycle stages, its traffic, its bakes; and what fails
//! any deployment besides its tasks: hooks and alarms.
//!
//! Stages, hooks and weights are AWS's. Not documented, and so made up: how long a stage takes that waits for nothing;
//! that a rollback moves all traffic at once and shows the stage at which it began; that a stage's hooks run while it
//! bakes; which stage is shown during PRE_PRODUCTION_TRAFFIC_SHIFT, which only hooks have; that a service's first
//! deployment, which replaces nothing, has no stages; how `deployments` shows the two revisions (as for ROLLING); the
//! words about alarms in a status reason.

use serde_json::{Value, json};

use crate::sandbox::hook::{Hook, Verdict};
use crate::sandbox::moment::{Moment, millis};
use crate::sandbox::record::Status;
use crate::sandbox::service::{Act, Deployment, RolloutState, Service};
use crate::sandbox::task::Pace;

/// How traffic moves.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Steps {
    AtOnce,
    Linear { percent: f64, minutes: u64 },
    Canary { percent: f64, minutes: u64 },
}

/// A lifecycle stage, in the order in which they come. LINEAR and CANARY return from the seventh to the sixth at each step
/// of the traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    ReconcileService,
    PreScaleUp,
    ScaleUp,
    PostScaleUp,
    TestTrafficShift,
    PostTestTrafficShift,
    PreProductionTrafficShift,
    ProductionTrafficShift,
    PostProductionTrafficShift,
    BakeTime,
    CleanUp,
}

impl Stage {
    /// Returns ECS's word for it, as hooks name it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::ReconcileService => "RECONCILE_SERVICE",
            Self::PreScaleUp => "PRE_SCALE_UP",
            Self::ScaleUp => "SCALE_UP",
            Self::PostScaleUp => "POST_SCALE_UP",
            Self::TestTrafficShift => "TEST_TRAFFIC_SHIFT",
            Self::PostTestTrafficShift => "POST_TEST_TRAFFIC_SHIFT",
            Self::PreProductionTrafficShift => "PRE_PRODUCTION_TRAFFIC_SHIFT",
            Self::ProductionTrafficShift => "PRODUCTION_TRAFFIC_SHIFT",
            Self::PostProductionTrafficShift => "POST_PRODUCTION_TRAFFIC_SHIFT",
            Self::BakeTime => "BAKE_TIME",
            Self::CleanUp => "CLEAN_UP",
        }
    }

    /// Returns `lifecycleStage`, which has no word for PRE_PRODUCTION_TRAFFIC_SHIFT.
    fn shown(self) -> &'static str {
        match self {
            Self::PreProductionTrafficShift => Self::ProductionTrafficShift.word(),
            stage => stage.word(),
        }
    }

    fn next(self, production: f64) -> Self {
        match self {
            Self::ReconcileService => Self::PreScaleUp,
            Self::PreScaleUp => Self::ScaleUp,
            Self::ScaleUp => Self::PostScaleUp,
            Self::PostScaleUp => Self::TestTrafficShift,
            Self::TestTrafficShift => Self::PostTestTrafficShift,
            Self::PostTestTrafficShift => Self::PreProductionTrafficShift,
            Self::PreProductionTrafficShift => Self::ProductionTrafficShift,
            Self::ProductionTrafficShift if production < 100.0 => Self::PreProductionTrafficShift,
            Self::ProductionTrafficShift => Self::PostProductionTrafficShift,
            Self::PostProductionTrafficShift => Self::BakeTime,
            Self::BakeTime | Self::CleanUp => Self::CleanUp,
        }
    }
}

/// How far a deployment is in its lifecycle.
#[derive(Clone, Debug)]
pub(crate) struct Lifecycle {
    steps: Steps,
    bake: u64,
    pub(crate) stage: Stage,
    /// The share of the traffic that the new revision has, in percent.
    pub(crate) production: f64,
    pub(crate) test: f64,
    /// Its stage does not end before.
    until: Moment,
    /// The hooks that were called so far.
    pub(crate) hooks: Vec<Hook>,
}

impl Lifecycle {
    /// Reads the lifecycle that a configuration gives a deployment; `None` for ROLLING.
    fn parse(configuration: &Value, reconciles: bool) -> Option<Self> {
        let minutes = |value: &Value, default: u64| value.as_u64().unwrap_or(default);
        let steps = match configuration["strategy"].as_str() {
            Some("BLUE_GREEN") => Steps::AtOnce,
            Some("LINEAR") => {
                let linear = &configuration["linearConfiguration"];
                let percent = linear["stepPercent"].as_f64().unwrap_or(10.0);
                Steps::Linear { percent, minutes: minutes(&linear["stepBakeTimeInMinutes"], 6) }
            }
            Some("CANARY") => {
                let canary = &configuration["canaryConfiguration"];
                let percent = canary["canaryPercent"].as_f64().unwrap_or(5.0);
                Steps::Canary { percent, minutes: minutes(&canary["canaryBakeTimeInMinutes"], 10) }
            }
            _ => return None,
        };
        let stage = if reconciles { Stage::ReconcileService } else { Stage::PreScaleUp };
        let bake = minutes(&configuration["bakeTimeInMinutes"], 0);
        Some(Self { steps, bake, stage, production: 0.0, test: 0.0, until: 0, hooks: Vec::new() })
    }

    /// When something happens next by itself.
    pub(crate) fn wakes(&self) -> impl Iterator<Item = Moment> + '_ {
        self.hooks.iter().filter_map(Hook::wakes).chain([self.until])
    }

    /// All traffic returns to what ran before, and hooks that were called count no more.
    pub(crate) fn turn_back(&mut self) {
        (self.production, self.test, self.until) = (0.0, 0.0, 0);
        self.hooks.iter_mut().for_each(Hook::forget);
    }

    /// Returns the minutes for which the stage that has just begun bakes.
    fn bakes(&self) -> u64 {
        match (self.stage, self.steps) {
            (Stage::BakeTime, _) => self.bake,
            (Stage::ProductionTrafficShift, Steps::Linear { minutes, .. } | Steps::Canary { minutes, .. })
                if self.production < 100.0 =>
            {
                minutes
            }
            _ => 0,
        }
    }

    /// Begins a stage: its traffic, its hooks and its bake.
    fn enter(&mut self, stage: Stage, configuration: &Value, fate: Verdict, at: Moment, pace: Pace, name: &str) {
        self.stage = stage;
        match (stage, self.steps) {
            (Stage::TestTrafficShift, _) => self.test = 100.0,
            (Stage::ProductionTrafficShift, Steps::Linear { percent, .. }) => {
                // Tenths are not exact in binary: 9.9999 of 10 is 10.
                self.production = ((self.production + percent) * 10.0).round() / 10.0;
            }
            (Stage::ProductionTrafficShift, Steps::Canary { percent, .. }) if self.production == 0.0 => {
                self.production = percent;
            }
            (Stage::ProductionTrafficShift, _) => self.production = 100.0,
            (Stage::PostProductionTrafficShift, _) => self.test = 0.0,
            _ => {}
        }
        self.production = self.production.min(100.0);
        let bake = millis(pace.timing.minute).saturating_mul(self.bakes());
        let pass = if stage == Stage::PreProductionTrafficShift { 0 } else { millis(pace.timing.schedule).max(1) };
        self.until = at + pass.max(bake);
        self.hooks.extend(Hook::called(configuration, stage, fate, at, pace, name));
    }
}

impl Service {
    /// Returns the lifecycle of a deployment that is about to begin; `None` where it rolls.
    pub(super) fn lifecycle(&self) -> Option<Lifecycle> {
        // Nothing has traffic to give away before the first deployment completed.
        self.candidate.as_ref()?;
        let reconciles = self.deployments.len() > 1;
        self.settings.get("deploymentConfiguration").and_then(|it| Lifecycle::parse(it, reconciles))
    }

    /// Whether the PRIMARY deployment goes by stages now: not once it is rolled back.
    pub(super) fn goes_by_stages(&self, primary: &Deployment) -> bool {
        let record = self.records.iter().find(|record| record.id == primary.record);
        primary.progress == RolloutState::InProgress
            && record.is_some_and(|record| record.lifecycle.is_some() && record.deployment == primary.id)
    }

    /// Takes the PRIMARY deployment as far through its stages as it goes now.
    pub(super) fn by_stages(&mut self, primary: &Deployment, at: Moment, pace: Pace) {
        loop {
            let Some(index) = self.records.iter().position(|record| record.id == primary.record) else { return };
            if self.records[index].status != Status::InProgress {
                return;
            }
            let Some(lifecycle) = self.records[index].lifecycle.as_mut() else { return };
            if lifecycle.until == 0 {
                let stage = lifecycle.stage;
                self.enter(index, stage, primary, at, pace);
                continue;
            }
            let (stage, production) = (lifecycle.stage, lifecycle.production);
            let (over, verdict) = (at >= lifecycle.until, Hook::settle(&mut lifecycle.hooks, stage, at));
            if let Verdict::Fails(reason) = verdict {
                self.give_up("hook execution failure(s) detected", &reason, at, pace);
                return;
            }
            let own = self.counts(Some(&primary.id));
            let done = match stage {
                Stage::ScaleUp => {
                    self.start_tasks(primary, self.desired.saturating_sub(own.live), at, pace);
                    own.healthy >= self.desired
                }
                Stage::CleanUp => {
                    self.stop_tasks(primary, at, pace);
                    self.counts(None).present == own.present && self.deployments.len() == 1
                }
                _ => {
                    if stage > Stage::ScaleUp {
                        self.start_tasks(primary, self.desired.saturating_sub(own.live), at, pace);
                    }
                    true
                }
            };
            if !over || !done || verdict == Verdict::Waits {
                return;
            }
            if stage == Stage::CleanUp {
                self.complete(at, pace);
                return;
            }
            self.enter(index, stage.next(production), primary, at, pace);
        }
    }

    fn enter(&mut self, index: usize, stage: Stage, primary: &Deployment, at: Moment, pace: Pace) {
        let name = self.next_name("stage");
        let Some(record) = self.records.get_mut(index) else { return };
        let configuration = record.configuration.clone();
        record.updated = at;
        let Some(lifecycle) = record.lifecycle.as_mut() else { return };
        let shifted = lifecycle.production > 0.0;
        lifecycle.enter(stage, &configuration, primary.hooks.clone(), at, pace, &name);
        let shifts = !shifted && lifecycle.production > 0.0;
        let id = record.id.clone();
        if shifts && primary.alarms {
            self.acts.push((at + millis(pace.timing.schedule).max(1), Act::Alarm(id)));
        }
        self.wake_at(at + 1);
    }

    /// Fails the PRIMARY deployment for a reason that is not its tasks', and rolls it back.
    pub(super) fn give_up(&mut self, what: &str, reason: &str, at: Moment, pace: Pace) {
        if let Some(record) = self.fails(what, at, pace) {
            self.roll_back(&record, "", reason, at, pace);
        }
    }

    fn fails(&mut self, what: &str, at: Moment, pace: Pace) -> Option<String> {
        let primary = self.deployments.first_mut()?;
        let (id, record) = (primary.id.clone(), primary.record.clone());
        primary.progress = RolloutState::Failed;
        primary.reason = format!("ECS deployment {id} failed: {what}.");
        primary.lingers = at + millis(pace.timing.drain);
        self.add_event(at, &format!("(deployment {id}) deployment failed: {what}."));
        Some(record)
    }

    /// A CloudWatch alarm of a deployment goes off, where its configuration names and enables one.
    pub(super) fn alarm(&mut self, record: &str, at: Moment, pace: Pace) {
        let Some(record) = self.record(record).filter(|record| record.status == Status::InProgress) else { return };
        let alarms = &record.configuration["alarms"];
        let Some(alarm) = alarms["alarmNames"][0].as_str().filter(|_| alarms["enable"] == true) else { return };
        let (alarm, rolls_back) = (alarm.to_owned(), alarms["rollback"] == true);
        record.triggered_alarms.push(alarm.clone());
        let Some(record) = self.fails("alarm detected", at, pace) else { return };
        let because = format!("because the CloudWatch alarm {alarm} went into the ALARM state.");
        if rolls_back {
            self.roll_back(&record, "", &format!("Service deployment rolled back {because}"), at, pace);
        } else {
            self.finish(&record, Status::Stopped, Some(&format!("Service deployment stopped {because}")), at);
        }
    }
}

impl Lifecycle {
    /// Adds what DescribeServiceDeployments says of it to a service deployment.
    pub(crate) fn describe(&self, body: &mut Value) {
        body["lifecycleStage"] = json!(self.stage.shown());
        let weights = |revision: &mut Value, production: f64, test: f64| {
            revision["requestedProductionTrafficWeight"] = json!(production);
            revision["requestedTestTrafficWeight"] = json!(test);
        };
        weights(&mut body["targetServiceRevision"], self.production, self.test);
        let sources = body["sourceServiceRevisions"].as_array_mut();
        for (place, source) in sources.into_iter().flatten().enumerate() {
            // What is left goes to the revision that served before; others of an interrupted deployment have none.
            let left = if place == 0 { 100.0 - self.production } else { 0.0 };
            weights(source, left, 0.0);
        }
        if !self.hooks.is_empty() {
            body["lifecycleHookDetails"] = self.hooks.iter().map(Hook::describe).collect();
        }
    }
}
