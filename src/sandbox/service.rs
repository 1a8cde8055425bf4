//! A service: its deployments, tasks, events and history, and how DescribeServices shows them.
//!
//! It only moves when it is asked something: [`super::rollout`] then brings it up to now.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::base::arn;
use crate::base::document::Document;
use crate::sandbox::hook::Verdict;
use crate::sandbox::moment::{Moment, epoch};
use crate::sandbox::record::{Record, ServiceRevision};
use crate::sandbox::region::Place;
use crate::sandbox::rng::Chance;
use crate::sandbox::task::{Nature, Phase, Task};

/// A service.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    pub(crate) name: String,
    pub(crate) cluster: String,
    /// What CreateService and UpdateService set, in ECS's own terms.
    pub(crate) settings: Map<String, Value>,
    pub(crate) desired: u32,
    pub(crate) created: Moment,
    pub(crate) created_by: String,
    /// When it was deleted.
    pub(crate) deleted: Option<Moment>,
    /// The PRIMARY first.
    pub(crate) deployments: Vec<Deployment>,
    /// The most recent deployment that completed: what ECS rolls back to.
    pub(crate) candidate: Option<Deployment>,
    pub(crate) tasks: Vec<Task>,
    /// Stopped tasks of the last hour.
    pub(crate) stopped: VecDeque<Task>,
    /// The newest first.
    pub(crate) events: VecDeque<Event>,
    pub(crate) records: Vec<Record>,
    pub(crate) revisions: Vec<ServiceRevision>,
    /// The task definitions that completed here once: a rollout fault spares them.
    pub(crate) good: BTreeSet<String>,
    /// When something happens next by itself.
    pub(crate) wake: Option<Moment>,
    /// No task starts before.
    pub(crate) launch_after: Moment,
    /// How many tasks in a row never ran.
    pub(crate) never_ran: u32,
    /// What is going to be done to it, and when.
    pub(crate) acts: Vec<(Moment, Act)>,
    /// Numbers everything that needs a name.
    pub(crate) serial: u64,
    pub(crate) chance: Chance,
    pub(crate) place: Place,
    /// What DescribeServices says, and until when it stays so if nothing happens: described far oftener than changed.
    pub(crate) shown: Option<(Moment, Arc<str>)>,
    /// What DescribeServices goes on saying, and until when: what it said before the last UpdateService.
    pub(crate) stale: Option<(Moment, Arc<str>)>,
    /// Distinguishes the service's derived values from every other's.
    pub(crate) key: String,
}

/// What ECS says of a service. Its id is derived when it is shown: a service has a hundred of them.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    at: Moment,
    serial: u64,
    text: Arc<str>,
}

/// Something that is going to be done to a service.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Act {
    /// It is deleted.
    Vanish,
    /// Someone else deploys the revision that ran before.
    Supersede,
    /// An alarm of the service deployment goes off.
    Alarm(String),
    /// The stop that was requested of the deployment takes effect: it is rolled back.
    RollBack(String),
    /// The same, without rolling back.
    Abort(String),
}

/// Where a deployment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RolloutState {
    InProgress,
    Completed,
    Failed,
}

/// One deployment of a service.
#[derive(Clone, Debug)]
pub(crate) struct Deployment {
    /// `ecs-svc/N`.
    pub(crate) id: String,
    /// The task definition's ARN.
    pub(crate) task_definition: String,
    pub(crate) definition: Document,
    /// The service's settings at the time that belong to a deployment.
    pub(crate) settings: Arc<Map<String, Value>>,
    pub(crate) created: Moment,
    pub(crate) updated: Moment,
    pub(crate) progress: RolloutState,
    pub(crate) reason: String,
    /// `failedTasks`: in a row.
    pub(crate) failed: u32,
    /// What the circuit breaker counts.
    pub(crate) counted: u32,
    pub(crate) nature: Nature,
    pub(crate) factor: f64,
    /// Its tasks begin to crash some time after it completed.
    pub(crate) degrades: bool,
    /// The alarms that its bake looks at go off some time after it completed.
    pub(crate) raises: bool,
    /// A rollback from it crashes too.
    pub(crate) poisons: bool,
    /// How its lifecycle hooks end.
    pub(crate) hooks: Verdict,
    /// Whether its alarms go off.
    pub(crate) alarms: bool,
    /// A rollback from it never gets its tasks to run.
    pub(crate) strands: bool,
    /// The id of its service deployment.
    pub(crate) record: String,
    /// A failed deployment stays listed at least until then.
    pub(crate) lingers: Moment,
}

/// Task counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) live: u32,
    pub(crate) running: u32,
    pub(crate) pending: u32,
    pub(crate) healthy: u32,
    /// Not stopped yet, whether live or stopping.
    pub(crate) present: u32,
}

/// How many events ECS keeps.
const EVENTS: usize = 100;

/// How long a deleted service stays describable.
const INACTIVE_FOR: u64 = 3_600_000;

/// The members of a service that each deployment has of its own.
const DEPLOYMENT_MEMBERS: &[&str] = &[
    "capacityProviderStrategy",
    "launchType",
    "platformVersion",
    "platformFamily",
    "networkConfiguration",
    "serviceConnectConfiguration",
    "volumeConfigurations",
    "vpcLatticeConfigurations",
];

/// The members of CreateService that a described service has, as they were set.
const SERVICE_MEMBERS: &[&str] = &[
    "loadBalancers",
    "serviceRegistries",
    "launchType",
    "capacityProviderStrategy",
    "platformVersion",
    "platformFamily",
    "deploymentConfiguration",
    "placementConstraints",
    "placementStrategy",
    "networkConfiguration",
    "healthCheckGracePeriodSeconds",
    "schedulingStrategy",
    "deploymentController",
    "enableECSManagedTags",
    "propagateTags",
    "enableExecuteCommand",
    "availabilityZoneRebalancing",
];

impl Service {
    /// Counts its tasks, or those of one deployment.
    pub(crate) fn counts(&self, deployment: Option<&str>) -> Counts {
        let mut counts = Counts::default();
        for task in &self.tasks {
            if deployment.is_some_and(|id| task.started_by.as_deref() != Some(id)) {
                continue;
            }
            counts.present += u32::from(task.phase != Phase::Stopped);
            counts.live += u32::from(task.is_live());
            counts.running += u32::from(task.phase == Phase::Running);
            counts.pending += u32::from(matches!(task.phase, Phase::Provisioning | Phase::Pending));
            counts.healthy += u32::from(task.healthy && task.is_live());
        }
        counts
    }

    /// Whether it was not deleted.
    pub(crate) fn is_active(&self, _now: Moment) -> bool {
        self.deleted.is_none()
    }

    /// Whether it can be described at all.
    pub(crate) fn is_visible(&self, now: Moment) -> bool {
        self.deleted.is_none_or(|deleted| deleted + INACTIVE_FOR > now)
    }

    /// Returns `ACTIVE`, `DRAINING` or `INACTIVE`.
    pub(crate) fn status(&self) -> &'static str {
        match self.deleted {
            None => "ACTIVE",
            Some(_) if self.counts(None).present > 0 => "DRAINING",
            Some(_) => "INACTIVE",
        }
    }

    /// Returns the next name for something of this service.
    pub(crate) fn next_name(&mut self, what: &str) -> String {
        self.serial += 1;
        format!("{}/{what}/{}", self.key, self.serial)
    }

    /// Adds an event as ECS words it, with `(service NAME)` before the text.
    pub(crate) fn add_event(&mut self, at: Moment, text: &str) {
        self.serial += 1;
        let text = format!("(service {}) {text}", self.name).into();
        self.events.push_front(Event { at, serial: self.serial, text });
        self.events.truncate(EVENTS);
    }

    /// Adds as many events of a steady service as ECS keeps, between two moments.
    pub(crate) fn fill_events(&mut self, from: Moment, until: Moment) {
        let text: Arc<str> = format!("(service {}) has reached a steady state.", self.name).into();
        let step = until.saturating_sub(from) / EVENTS as u64;
        for number in 0..EVENTS as u64 {
            self.serial += 1;
            self.events.push_front(Event { at: from + number * step, serial: self.serial, text: Arc::clone(&text) });
        }
        self.events.truncate(EVENTS);
    }

    /// Adds an event unless it is the newest already.
    pub(crate) fn say_once(&mut self, at: Moment, text: &str) {
        let message = format!("(service {}) {text}", self.name);
        if self.events.front().is_none_or(|event| *event.text != *message) {
            self.add_event(at, text);
        }
    }

    /// Returns the deployment that should run.
    pub(crate) fn primary(&self) -> Option<&Deployment> {
        self.deployments.first()
    }

    /// Returns the settings that a new deployment takes with it.
    pub(crate) fn deployment_settings(&self) -> Map<String, Value> {
        let members =
            DEPLOYMENT_MEMBERS.iter().filter_map(|key| Some(((*key).to_owned(), self.settings.get(*key)?.clone())));
        members.collect()
    }

    /// Whether ECS itself rolls its deployments out.
    pub(crate) fn is_rolling(&self) -> bool {
        self.controller() == "ECS"
    }

    /// Whether its tasks follow its deployments: CodeDeploy's go the same way here.
    pub(crate) fn moves(&self) -> bool {
        matches!(self.controller(), "ECS" | "CODE_DEPLOY")
    }

    /// Returns its deployments as task sets: the traffic stays where it was until the newest has completed.
    fn task_sets(&self) -> Value {
        let moving = self.deployments.len() > 1
            && self.deployments.first().is_some_and(|newest| newest.progress == RolloutState::InProgress);
        let set = |(at, deployment): (usize, &Deployment)| {
            let counts = self.counts(Some(&deployment.id));
            let settled = counts.pending == 0 && deployment.progress == RolloutState::Completed;
            json!({
                "id": deployment.id,
                "taskSetArn": self.place.arn(&format!("task-set/{}/{}/{}", self.cluster, self.name, deployment.id)),
                "startedBy": "CODE_DEPLOY",
                "status": if at == usize::from(moving) { "PRIMARY" } else { "ACTIVE" },
                "taskDefinition": deployment.task_definition,
                "computedDesiredCount": if at == 0 { self.desired } else { counts.live },
                "runningCount": counts.running,
                "pendingCount": counts.pending,
                "createdAt": epoch(deployment.created),
                "updatedAt": epoch(deployment.updated),
                "launchType": "FARGATE",
                "scale": { "value": 100.0, "unit": "PERCENT" },
                "stabilityStatus": if settled { "STEADY_STATE" } else { "STABILIZING" },
                "stabilityStatusAt": epoch(deployment.updated),
                "tags": [],
            })
        };
        self.deployments.iter().enumerate().map(set).collect()
    }

    /// Returns the deployment controller's type.
    pub(crate) fn controller(&self) -> &str {
        self.settings.get("deploymentController").and_then(|value| value["type"].as_str()).unwrap_or("ECS")
    }

    /// Returns what DescribeServices says, as JSON text: it may lag behind.
    pub(crate) fn described_text(&mut self, now: Moment) -> Arc<str> {
        match self.stale.as_ref().filter(|(until, _)| now < *until) {
            Some((_, text)) => text.clone(),
            None => self.text(now),
        }
    }

    /// Returns the service as DescribeServices has it, as JSON text.
    pub(crate) fn text(&mut self, now: Moment) -> Arc<str> {
        if let Some((_, text)) = self.shown.as_ref().filter(|(until, _)| now < *until) {
            return text.clone();
        }
        // What changes by the mere passing of time: an event of the next millisecond, a record that appears, the first look.
        let events = self.events.iter().map(|event| event.at).take(2);
        let records = self.records.iter().rev().take(2).map(|record| record.appears);
        let times = events.chain(records).chain([self.launch_after]).filter(|at| *at > now);
        let until = times.min().unwrap_or(Moment::MAX);
        let text: Arc<str> = self.describe(now).to_string().into();
        self.shown = Some((until, text.clone()));
        text
    }

    /// Returns the service as DescribeServices has it.
    pub(crate) fn describe(&self, now: Moment) -> Value {
        let counts = self.counts(None);
        let mut body = Map::new();
        let mut put = |key: &str, value: Value| drop(body.insert(key.to_owned(), value));
        put("serviceArn", json!(self.arn()));
        put("serviceName", json!(self.name));
        put("clusterArn", json!(self.place.arn(&format!("cluster/{}", self.cluster))));
        put("status", json!(self.status()));
        put("desiredCount", json!(if self.deleted.is_some() { 0 } else { self.desired }));
        put("runningCount", json!(counts.running));
        put("pendingCount", json!(counts.pending));
        for key in SERVICE_MEMBERS {
            if let Some(value) = self.settings.get(*key) {
                put(key, value.clone());
            }
        }
        if let Some(primary) = self.primary().or(self.candidate.as_ref()) {
            put("taskDefinition", json!(primary.task_definition));
        }
        let deployments: Vec<Value> =
            self.deployments.iter().enumerate().map(|(at, one)| self.describe_deployment(one, at == 0, now)).collect();
        if self.controller() == "CODE_DEPLOY" {
            put("deployments", json!([]));
            put("taskSets", self.task_sets());
        } else {
            put("deployments", Value::Array(deployments));
        }
        if let Some(arn) = self.role_arn() {
            put("roleArn", json!(arn));
        }
        let events = self.events.iter().filter(|event| event.at <= now).map(|event| {
            let id = self.chance.uuid(&format!("{}/event/{}", self.key, event.serial));
            json!({ "id": id, "createdAt": epoch(event.at), "message": *event.text })
        });
        put("events", events.collect());
        put("createdAt", epoch(self.created));
        put("createdBy", json!(self.created_by));
        if self.is_rolling() {
            if let Some(record) = self.records.iter().rev().find(|record| record.appears <= now) {
                put("currentServiceDeployment", json!(record.arn(self)));
            }
            let revisions = self.deployments.iter().filter(|_| self.deleted.is_none()).map(|deployment| {
                let counts = self.counts(Some(&deployment.id));
                let requested = self.requested(deployment, counts, now);
                json!({
                    "arn": self.revision_arn(&deployment.id), "requestedTaskCount": requested,
                    "runningTaskCount": counts.running, "pendingTaskCount": counts.pending,
                })
            });
            put("currentServiceRevisions", revisions.collect());
        }
        put("resourceManagementType", json!("CUSTOMER"));
        Value::Object(body)
    }

    fn describe_deployment(&self, deployment: &Deployment, primary: bool, now: Moment) -> Value {
        let counts = self.counts(Some(&deployment.id));
        let status = match deployment.progress {
            _ if primary => "PRIMARY",
            RolloutState::Failed if counts.live == 0 => "DRAINING",
            _ => "ACTIVE",
        };
        let mut body = json!({
            "id": deployment.id,
            "status": status,
            "taskDefinition": deployment.task_definition,
            "desiredCount": self.requested(deployment, counts, now),
            "pendingCount": counts.pending,
            "runningCount": counts.running,
            "failedTasks": deployment.failed,
            "createdAt": epoch(deployment.created),
            "updatedAt": epoch(deployment.updated),
        });
        for (key, value) in deployment.settings.iter() {
            // The service says LATEST; a deployment says what that is.
            let latest = key == "platformVersion" && value == "LATEST";
            body[key] = if latest { json!("1.4.0") } else { value.clone() };
        }
        if self.is_rolling() {
            body["rolloutState"] = json!(match deployment.progress {
                RolloutState::InProgress => "IN_PROGRESS",
                RolloutState::Completed => "COMPLETED",
                RolloutState::Failed => "FAILED",
            });
            body["rolloutStateReason"] = json!(deployment.reason);
        }
        body
    }

    /// Returns how many tasks ECS wants of a deployment: none yet right after UpdateService.
    pub(crate) fn requested(&self, deployment: &Deployment, counts: Counts, now: Moment) -> u32 {
        let primary = self.primary().is_some_and(|primary| primary.id == deployment.id);
        let scheduled = now >= self.launch_after || counts.present > 0 || deployment.failed > 0;
        match deployment.progress {
            RolloutState::InProgress if primary && !scheduled => 0,
            _ if primary => self.desired,
            _ => counts.live,
        }
    }

    /// Returns its ARN.
    pub(crate) fn arn(&self) -> String {
        self.place.arn(&format!("service/{}/{}", self.cluster, self.name))
    }

    /// Returns the ARN of the service-linked role, of a service that needs it: for networks, load balancers or registries.
    fn role_arn(&self) -> Option<String> {
        let has_entries =
            |list: &&str| self.settings.get(*list).and_then(Value::as_array).is_some_and(|list| !list.is_empty());
        let needed = self.settings.contains_key("networkConfiguration")
            || ["loadBalancers", "serviceRegistries"].iter().any(has_entries);
        let partition = crate::sandbox::account::partition(&self.place.region);
        let role = "aws-service-role/ecs.amazonaws.com/AWSServiceRoleForECS";
        needed.then(|| format!("arn:{partition}:iam::{}:role/{role}", self.place.account))
    }

    /// Returns the ARN of a deployment's service revision.
    pub(crate) fn revision_arn(&self, deployment: &str) -> String {
        let number = arn::name(deployment);
        self.place.arn(&format!("service-revision/{}/{}/{number}", self.cluster, self.name))
    }
}
