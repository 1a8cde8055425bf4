//! Service deployments and service revisions: ECS's own history of a service.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::sandbox::lifecycle::Lifecycle;
use crate::sandbox::moment::{Moment, epoch};
use crate::sandbox::service::Service;

/// A service deployment.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    /// The last part of its ARN.
    pub(crate) id: String,
    /// The deployment, `ecs-svc/N`, that it is about.
    pub(crate) deployment: String,
    /// The deployments that it replaces.
    pub(crate) sources: Vec<(String, u32)>,
    pub(crate) created: Moment,
    /// When it is first listed.
    pub(crate) appears: Moment,
    pub(crate) started: Moment,
    pub(crate) finished: Option<Moment>,
    pub(crate) stopped: Option<Moment>,
    pub(crate) updated: Moment,
    pub(crate) status: Status,
    pub(crate) reason: Option<String>,
    pub(crate) rollback: Option<Rollback>,
    pub(crate) configuration: Arc<Value>,
    /// `None` where the circuit breaker is off.
    pub(crate) threshold: Option<u32>,
    pub(crate) failures: u32,
    pub(crate) triggered: bool,
    /// How far it is in its stages; `None` where it rolls.
    pub(crate) lifecycle: Option<Lifecycle>,
    pub(crate) triggered_alarms: Vec<String>,
}

/// A service deployment's rollback.
#[derive(Clone, Debug)]
pub(crate) struct Rollback {
    pub(crate) reason: String,
    pub(crate) at: Moment,
    /// The deployment that it rolls back to.
    pub(crate) deployment: String,
}

/// A service deployment's status. PENDING is InProgress before it started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    InProgress,
    Successful,
    StopRequested,
    Stopped,
    RollbackRequested,
    RollbackInProgress,
    RollbackSuccessful,
    RollbackFailed,
}

impl Status {
    /// Whether nothing follows.
    pub(crate) fn is_final(self) -> bool {
        matches!(self, Self::Successful | Self::Stopped | Self::RollbackSuccessful | Self::RollbackFailed)
    }
}

/// What a deployment deployed.
#[derive(Clone, Debug)]
pub(crate) struct ServiceRevision {
    /// The deployment, `ecs-svc/N`.
    pub(crate) deployment: String,
    pub(crate) task_definition: String,
    pub(crate) images: Vec<(String, String)>,
    pub(crate) settings: Arc<Map<String, Value>>,
    pub(crate) load_balancers: Value,
    pub(crate) created: Moment,
}

impl Record {
    /// Ends it.
    pub(crate) fn finish(&mut self, status: Status, reason: Option<String>, now: Moment) {
        self.status = status;
        self.finished = Some(now);
        self.updated = now;
        if status == Status::Stopped {
            self.stopped = Some(now);
        }
        if reason.is_some() {
            self.reason = reason;
        }
    }

    /// Returns its ARN.
    pub(crate) fn arn(&self, service: &Service) -> String {
        service.place.arn(&format!("service-deployment/{}/{}/{}", service.cluster, service.name, self.id))
    }

    /// Returns the status at a moment, in ECS's words.
    pub(crate) fn status_at(&self, now: Moment) -> &'static str {
        match self.status {
            Status::InProgress if now < self.started => "PENDING",
            Status::InProgress => "IN_PROGRESS",
            Status::Successful => "SUCCESSFUL",
            Status::StopRequested => "STOP_REQUESTED",
            Status::Stopped => "STOPPED",
            Status::RollbackRequested => "ROLLBACK_REQUESTED",
            Status::RollbackInProgress => "ROLLBACK_IN_PROGRESS",
            Status::RollbackSuccessful => "ROLLBACK_SUCCESSFUL",
            Status::RollbackFailed => "ROLLBACK_FAILED",
        }
    }

    /// Returns it as ListServiceDeployments has it.
    pub(crate) fn brief(&self, service: &Service, now: Moment) -> Value {
        let mut body = json!({
            "serviceDeploymentArn": self.arn(service),
            "serviceArn": service.arn(),
            "clusterArn": service.place.arn(&format!("cluster/{}", service.cluster)),
            "createdAt": epoch(self.created),
            "targetServiceRevisionArn": service.revision_arn(&self.deployment),
            "status": self.status_at(now),
        });
        if now >= self.started {
            body["startedAt"] = epoch(self.started);
        }
        if let Some(at) = self.finished {
            body["finishedAt"] = epoch(at);
        }
        if let Some(reason) = &self.reason {
            body["statusReason"] = json!(reason);
        }
        body
    }

    /// Returns it as DescribeServiceDeployments has it.
    pub(crate) fn describe(&self, service: &Service, now: Moment) -> Value {
        let mut body = self.brief(service, now);
        if let Some(map) = body.as_object_mut() {
            map.shift_remove("targetServiceRevisionArn");
        }
        let summary = |deployment: &str, requested: Option<u32>| {
            let counts = service.counts(Some(deployment));
            json!({
                "arn": service.revision_arn(deployment),
                "requestedTaskCount": requested.unwrap_or(counts.live),
                "runningTaskCount": counts.running,
                "pendingTaskCount": counts.pending,
            })
        };
        body["updatedAt"] = epoch(self.updated.max(self.created));
        if let Some(at) = self.stopped {
            body["stoppedAt"] = epoch(at);
        }
        body["sourceServiceRevisions"] = self.sources.iter().map(|(id, _)| summary(id, None)).collect();
        let target = service.deployments.iter().find(|deployment| deployment.id == self.deployment);
        let requested =
            target.map(|deployment| service.requested(deployment, service.counts(Some(&deployment.id)), now));
        body["targetServiceRevision"] = summary(&self.deployment, requested);
        body["deploymentConfiguration"] = (*self.configuration).clone();
        if let Some(rollback) = &self.rollback {
            body["rollback"] = json!({
                "reason": rollback.reason,
                "startedAt": epoch(rollback.at),
                "serviceRevisionArn": service.revision_arn(&rollback.deployment),
            });
        }
        let monitoring = match self.threshold {
            None => "DISABLED",
            Some(_) if self.triggered => "TRIGGERED",
            Some(_) if self.status.is_final() => "MONITORING_COMPLETE",
            Some(_) => "MONITORING",
        };
        body["deploymentCircuitBreaker"] = json!({
            "status": monitoring,
            "failureCount": if self.threshold.is_some() { self.failures } else { 0 },
            "threshold": self.threshold.unwrap_or_default(),
        });
        let alarms = &self.configuration["alarms"];
        let names = if alarms["enable"] == true { alarms["alarmNames"].clone() } else { json!([]) };
        let monitoring = match names.as_array().map_or(0, Vec::len) {
            0 => "DISABLED",
            _ if !self.triggered_alarms.is_empty() => "TRIGGERED",
            _ if self.status.is_final() => "MONITORING_COMPLETE",
            _ => "MONITORING",
        };
        body["alarms"] =
            json!({ "status": monitoring, "alarmNames": names, "triggeredAlarmNames": self.triggered_alarms });
        if let Some(lifecycle) = &self.lifecycle {
            lifecycle.describe(&mut body);
        }
        body
    }
}

impl ServiceRevision {
    /// Returns it as DescribeServiceRevisions has it.
    pub(crate) fn describe(&self, service: &Service, digest: impl Fn(&str) -> String) -> Value {
        let images = self
            .images
            .iter()
            .map(|(name, image)| json!({ "containerName": name, "image": image, "imageDigest": digest(image) }));
        let mut body = json!({
            "serviceRevisionArn": service.revision_arn(&self.deployment),
            "serviceArn": service.arn(),
            "clusterArn": service.place.arn(&format!("cluster/{}", service.cluster)),
            "taskDefinition": self.task_definition,
            "containerImages": images.collect::<Vec<_>>(),
            "guardDutyEnabled": false,
            "loadBalancers": self.load_balancers,
            "createdAt": epoch(self.created),
        });
        for (key, value) in self.settings.iter() {
            let latest = key == "platformVersion" && value == "LATEST";
            body[key] = if latest { json!("1.4.0") } else { value.clone() };
        }
        body
    }
}
