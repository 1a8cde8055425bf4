//! The present state of every target, and how it differs from the manifest.
//!
//! Pure: a [`Status`] is computed from a fleet and what was seen of it. It is read by people as [`crate::view::status`]
//! writes it and by programs as JSON of a numbered version; it holds no environment value.

pub mod images;

use std::collections::HashMap;

use indexmap::IndexMap;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::event::Hook;
use crate::fleet::image_ref::ImageRef;
use crate::fleet::tasks::Tasks;
use crate::fleet::{AccountId, Commit, Fleet, Revision, TargetId, TargetSpec};
use crate::identity::preflight::Unreachable;
use crate::observe::progress::{self, Progress};
use crate::observe::service::LiveService;
use crate::observe::{Observation, Observed};
use crate::plan::build;
use crate::plan::open;
use crate::plan::outline::Action;
use crate::plan::work::Plan;

/// The version of the JSON; it changes with whatever a program that reads it must know.
pub const VERSION: u32 = 2;

/// Every target now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Status {
    /// [`VERSION`].
    pub version: u32,
    /// When it was read.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// How many targets are in which condition.
    pub totals: Totals,
    /// The variables that are not set: what the manifest makes of them is not compared.
    #[serde(default)]
    pub open: Vec<String>,
    /// The targets, in the manifest's order.
    pub targets: Vec<TargetStatus>,
}

/// How many targets are in which condition. The first counts all; the next five add up to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Totals {
    /// All targets.
    pub targets: usize,
    /// As the manifest wants them.
    pub in_sync: usize,
    /// What the manifest deploys is not out yet.
    pub pending: usize,
    /// They differ from the manifest otherwise.
    pub drifted: usize,
    /// There is no such service.
    pub missing: usize,
    /// They could not be read.
    pub unreachable: usize,
    /// Whatever else: how many have a deployment under way.
    pub deploying: usize,
}

/// One target now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TargetStatus {
    /// `account/region/service`, in the manifest's words.
    pub target: TargetId,
    /// The manifest's name of the account.
    pub account: String,
    /// The account's 12 digits.
    pub account_id: AccountId,
    /// The region.
    pub region: String,
    /// The manifest's name of the service.
    pub service: String,
    /// The cluster's name or ARN.
    pub cluster: String,
    /// The service's name in ECS.
    pub ecs_service: String,
    /// The name of its wave.
    pub wave: String,
    /// What runs; absent where it could not be read or does not exist.
    pub live: Option<Live>,
    /// How it differs from the manifest.
    pub drift: Drift,
    /// Why it cannot be deployed now, if so.
    pub blocked: Option<Obstacle>,
}

/// What runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Live {
    /// `ACTIVE`, `DRAINING` or `INACTIVE`.
    pub status: String,
    /// The task definition's ARN.
    pub task_definition: String,
    /// The same as `family:number`.
    pub revision: Option<Revision>,
    /// Its status, unless it is `ACTIVE`: ECS starts no deployment of an `INACTIVE` one.
    #[serde(default)]
    pub revision_status: Option<String>,
    /// Who registered it: an IAM principal's ARN.
    pub registered_by: Option<String>,
    /// When.
    #[schemars(with = "Option<String>")]
    pub registered_at: Option<Timestamp>,
    /// The commit that it was first registered for, where its tags say that.
    pub commit: Option<Commit>,
    /// The image of each container, in the task definition's order.
    #[schemars(with = "std::collections::BTreeMap<String, Image>")]
    pub images: IndexMap<String, Image>,
    /// How many tasks should run.
    pub desired: u32,
    /// How many run.
    pub running: u32,
    /// The PRIMARY deployment, unless it is completed.
    pub deployment: Option<DeploymentStatus>,
}

/// A deployment that is under way, or that failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DeploymentStatus {
    /// `ecs-svc/…`
    pub id: String,
    /// `IN_PROGRESS`, `FAILED` or another word of ECS's; absent where ECS does not say.
    pub state: Option<String>,
    /// ECS's words about that.
    pub reason: Option<String>,
    /// The revision that it deploys.
    pub revision: Option<Revision>,
    /// Its tasks.
    pub tasks: Tasks,
    /// Its lifecycle stage, or `ROLLBACK_IN_PROGRESS` and the like; absent for ROLLING.
    #[serde(default)]
    pub stage: Option<String>,
    /// The share of the production traffic that its revision has, in percent.
    #[serde(default)]
    pub production_percent: Option<f64>,
    /// The PAUSE hooks at which it waits.
    #[serde(default)]
    pub waiting: Vec<Hook>,
}

/// How a target differs from the manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Drift {
    /// Not at all.
    None,
    /// It runs what an earlier commit deployed, and the manifest's is not out yet: what a deployment would change, a line each.
    Pending {
        /// The lines.
        what: Vec<String>,
    },
    /// In this, changed by somebody or not by a deployment of roleout: what a deployment would change, a line each.
    Differs {
        /// The lines.
        what: Vec<String>,
    },
    /// There is no such service.
    Missing {
        /// Why, as a lower-case fragment.
        reason: String,
        /// What to do about it.
        help: Vec<String>,
    },
    /// It could not be read.
    Unknown {
        /// Why, as a lower-case fragment.
        reason: String,
        /// What to do about it.
        help: Vec<String>,
    },
}

/// What stands in the way of a deployment.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Obstacle {
    /// As a lower-case fragment.
    pub reason: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl Status {
    /// Computes the status of a fleet; `seen` is indexed as [`Fleet::targets`].
    pub fn new(fleet: &Fleet, mut seen: Vec<Observation>, unreachable: &[Unreachable], at: Timestamp) -> Self {
        let open: Vec<String> = fleet.open.iter().cloned().collect();
        let fleet = &*open::settled_fleet(fleet, &seen);
        let blocked = actions(fleet, build::plan(fleet, &seen));
        let lives: Vec<Option<Live>> = seen.iter().map(|seen| seen.as_ref().ok().map(Live::read)).collect();
        let lost: HashMap<&str, &Unreachable> = unreachable.iter().map(|it| (it.account.name.as_str(), it)).collect();
        // What differs is asked of a plan in which nothing stands in the way.
        for (target, seen) in fleet.targets.iter().zip(&mut seen) {
            seen.iter_mut().for_each(|seen| ignore_in_flight(target, seen));
        }
        let settled = actions(fleet, build::unguarded(fleet, &seen));
        let mut targets = Vec::with_capacity(fleet.targets.len());
        for (((target, seen), live), (blocked, settled)) in
            fleet.targets.iter().zip(&seen).zip(lives).zip(blocked.into_iter().zip(settled))
        {
            let drift = match seen {
                Ok(observed) => drift(observed, &settled, fleet),
                Err(unseen) => {
                    let known = lost.get(&*target.id.account).map(|it| it.summary());
                    let help = known.unwrap_or_else(|| unseen.help.iter().cloned().collect());
                    let reason = unseen.reason.clone();
                    if unseen.answered { Drift::Missing { reason, help } } else { Drift::Unknown { reason, help } }
                }
            };
            let obstacle = match (blocked.action, &drift) {
                (Action::Blocked { reason, help }, Drift::None | Drift::Pending { .. } | Drift::Differs { .. }) => {
                    Some(Obstacle { reason, help })
                }
                _ => None,
            };
            targets.push(TargetStatus {
                target: target.id.clone(),
                account_id: target.account.id.clone(),
                account: target.id.account.to_string(),
                region: target.id.region.to_string(),
                service: target.id.service.to_string(),
                cluster: target.cluster.clone(),
                ecs_service: target.service.clone(),
                wave: settled.wave,
                live,
                drift,
                blocked: obstacle,
            });
        }
        let totals = Totals::count(&targets);
        Self { version: VERSION, at, totals, open, targets }
    }

    /// Whether any target is not as the manifest wants it.
    pub fn has_drift(&self) -> bool {
        self.totals.pending + self.totals.drifted + self.totals.missing > 0
    }
}

impl Totals {
    fn count(targets: &[TargetStatus]) -> Self {
        let mut totals = Self { targets: targets.len(), ..Self::default() };
        for target in targets {
            *match target.drift {
                Drift::None => &mut totals.in_sync,
                Drift::Pending { .. } => &mut totals.pending,
                Drift::Differs { .. } => &mut totals.drifted,
                Drift::Missing { .. } => &mut totals.missing,
                Drift::Unknown { .. } => &mut totals.unreachable,
            } += 1;
            totals.deploying += usize::from(target.is_deploying());
        }
        totals
    }
}

impl TargetStatus {
    /// Whether a deployment is under way.
    pub fn is_deploying(&self) -> bool {
        self.live.as_ref().and_then(|live| live.deployment.as_ref()).is_some_and(DeploymentStatus::is_under_way)
    }
}

impl DeploymentStatus {
    /// Whether it goes on; otherwise it failed.
    pub fn is_under_way(&self) -> bool {
        self.state.as_deref() != Some("FAILED")
    }

    fn read(service: &LiveService, progress: Option<&Progress>) -> Option<Self> {
        let primary = service.primary()?;
        // Behind a Classic load balancer there is no state; a second deployment says that one is under way.
        let settled = primary.is("COMPLETED") || (primary.rollout_state.is_none() && service.deployments.len() < 2);
        let stage = progress.and_then(Progress::stage_or_status).map(str::to_owned);
        let hook = |hook: &progress::Hook| Hook {
            id: hook.id.clone(),
            stage: stage.clone(),
            expires_at: hook.expires_at,
            timeout_action: hook.timeout_action.clone(),
        };
        let waiting = progress.into_iter().flat_map(Progress::waiting).map(hook).collect();
        // A task set has no state, and the one that replaces the other is not PRIMARY yet.
        let replacing = service.deployments.iter().find(|set| service.controller != "ECS" && set.status != "PRIMARY");
        let shown = replacing.unwrap_or(primary);
        let read = || Self {
            id: shown.id.clone(),
            state: shown.rollout_state.clone(),
            reason: shown.rollout_reason.clone(),
            revision: shown.revision(),
            tasks: shown.tasks,
            stage,
            production_percent: progress.and_then(|progress| progress.production_percent),
            waiting,
        };
        (!settled).then(read)
    }
}

/// A container's image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Image {
    /// As the task definition has it.
    pub image: String,
    /// Its tag; absent where only a digest is given, or nothing at all.
    pub tag: Option<String>,
    /// Its digest.
    pub digest: Option<String>,
}

impl Image {
    fn read(image: &str) -> Self {
        let ImageRef { tag, digest, .. } = ImageRef::parse(image);
        Self { image: image.to_owned(), tag: tag.map(str::to_owned), digest: digest.map(str::to_owned) }
    }
}

impl Live {
    fn read(observed: &Observed) -> Self {
        let (service, definition) = (&observed.service, observed.live.value());
        let containers = definition["containerDefinitions"].as_array().into_iter().flatten();
        let image = |container: &Value| {
            let (name, image) = (container["name"].as_str()?, container["image"].as_str()?);
            Some((name.to_owned(), Image::read(image)))
        };
        Self {
            status: service.status.clone(),
            task_definition: service.task_definition.clone(),
            revision: service.revision(),
            revision_status: definition["status"].as_str().filter(|status| *status != "ACTIVE").map(str::to_owned),
            registered_by: definition["registeredBy"].as_str().map(str::to_owned),
            registered_at: definition["registeredAt"].as_f64().and_then(moment),
            commit: Some(Commit::of_revision(&definition)).filter(|commit| *commit != Commit::default()),
            images: containers.filter_map(image).collect(),
            desired: service.desired,
            running: service.running,
            deployment: DeploymentStatus::read(service, observed.progress.as_ref()),
        }
    }
}

/// Reads a time as awsJson has it: epoch seconds with a fraction.
fn moment(seconds: f64) -> Option<Timestamp> {
    let milliseconds = (seconds * 1000.0).round();
    // Beyond 2^53 a float no longer names one integer.
    let exact = milliseconds.is_finite() && milliseconds.abs() < 9e15;
    exact.then(|| Timestamp::from_millisecond(milliseconds as i64).ok()).flatten()
}

/// What a plan decides for a target.
struct Decision {
    wave: String,
    action: Action,
    summary: Vec<String>,
    /// Whether it changes the service's settings, and not its definition alone.
    has_settings: bool,
}

/// Returns a plan's decisions, indexed as the fleet's targets rather than wave by wave.
fn actions(fleet: &Fleet, plan: Plan) -> Vec<Decision> {
    let order = fleet.waves.iter().flat_map(|wave| wave.targets.iter().copied());
    let mut decisions: Vec<(usize, Decision)> = order
        .zip(plan.outline.changes)
        .map(|(index, it)| {
            let work = plan.work[index].as_ref();
            let has_settings = work.is_some_and(|work| work.desired_count.is_some() || work.deployment.is_some());
            (index, Decision { wave: it.wave, action: it.action, summary: it.summary, has_settings })
        })
        .collect();
    decisions.sort_by_key(|(index, _)| *index);
    decisions.into_iter().map(|(_, decision)| decision).collect()
}

/// Takes away what keeps a plan from saying what differs: a deployment under way, and controllers that the manifest has not.
fn ignore_in_flight(target: &TargetSpec, observed: &mut Observed) {
    let service = &mut observed.service;
    service.controller = if target.desired.codedeploy.is_some() { "CODE_DEPLOY" } else { "ECS" }.to_owned();
    observed.codedeploy = None;
    if target.desired.codedeploy.is_some() {
        // The task set that replaces another one is the deployment under way.
        service.deployments.retain(|set| set.status == "PRIMARY");
    }
    service.express = false;
    for deployment in &mut service.deployments {
        if deployment.is("IN_PROGRESS") {
            deployment.rollout_state = Some("COMPLETED".to_owned());
        }
    }
}

fn drift(observed: &Observed, settled: &Decision, fleet: &Fleet) -> Drift {
    // A revision with a commit is one of roleout's own; that of this very commit differs only if somebody changed something.
    let live = Commit::of_revision(&observed.live.value()).sha;
    let is_earlier = live.is_some() && live != fleet.release.commit.sha;
    match &settled.action {
        Action::Unchanged => Drift::None,
        Action::Register | Action::Deploy if is_earlier && !settled.has_settings => {
            Drift::Pending { what: settled.summary.clone() }
        }
        Action::Register | Action::Deploy | Action::Update => Drift::Differs { what: settled.summary.clone() },
        Action::Blocked { reason, help } if observed.service.status != "ACTIVE" => {
            Drift::Missing { reason: reason.clone(), help: help.iter().cloned().collect() }
        }
        // What the manifest wants does not fit what is there, such as an image for a container that does not exist.
        Action::Blocked { reason, .. } => Drift::Differs { what: vec![reason.clone()] },
    }
}

/// Returns the JSON Schema (draft 2020-12) of [`Status`].
pub fn schema() -> Value {
    let mut schema = schemars::schema_for!(Status).to_value();
    if let Some(object) = schema.as_object_mut() {
        object.insert("title".to_owned(), json!("roleout status"));
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_aws_are_read_to_the_millisecond() {
        let read = |seconds| moment(seconds).map(|at| at.to_string());
        assert_eq!(read(1_793_610_000.123).as_deref(), Some("2026-11-02T09:00:00.123Z"));
        assert_eq!(read(f64::NAN), None);
        assert_eq!(read(1e300), None);
    }
}
