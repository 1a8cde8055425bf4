//! A service as DescribeServices gives it: the members that decide something, read from AWS's JSON.
//!
//! Unknown members and values are ignored; absent counts are zero.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use crate::base::document::Document;
use crate::fleet::Revision;
use crate::fleet::tasks::Tasks;
use crate::observe::progress::moment;

/// A live service.
#[derive(Clone, Debug, PartialEq)]
pub struct LiveService {
    /// Its name.
    pub name: String,
    /// `ACTIVE`, `DRAINING` or `INACTIVE`.
    pub status: String,
    /// The ARN of the task definition that it should run; that of the PRIMARY task set under another controller.
    pub task_definition: String,
    /// How many tasks it should run.
    pub desired: u32,
    /// How many run, over all deployments.
    pub running: u32,
    /// `ECS`, `CODE_DEPLOY` or `EXTERNAL`.
    pub controller: String,
    /// Whether it runs one task on each instance (its scheduling strategy is DAEMON), so that it has no desired count.
    pub daemon: bool,
    /// Whether ECS itself manages the service's resources (Express mode).
    pub express: bool,
    /// Whether the deployment circuit breaker rolls back.
    pub breaker_rolls_back: bool,
    /// Whether ECS can move its traffic.
    pub traffic: Traffic,
    /// The ARNs of the target groups behind which its tasks are, those of its task sets and the alternate ones too.
    pub target_groups: Vec<String>,
    /// Whether its deployment circuit breaker is on.
    pub breaker: bool,
    /// The deployment strategy: `ROLLING`, `BLUE_GREEN`, `LINEAR` or `CANARY`; empty where ECS does not say one.
    pub strategy: String,
    /// Whether ECS rolls back when a deployment alarm goes off.
    pub alarms_roll_back: bool,
    /// `deploymentConfiguration`, as it is.
    pub configuration: Document,
    /// Its deployments, PRIMARY first; its task sets under another controller.
    pub deployments: Vec<Deployment>,
    /// The ARN of ECS's current service-deployment object, where it says one.
    pub service_deployment: Option<String>,
    /// The ARNs of the service revisions that its tasks are of.
    pub service_revisions: Vec<String>,
    /// ECS's messages, newest first.
    pub messages: Vec<Message>,
    /// How long its PRIMARY deployment took from its start until ECS said that it completed; `None` where ECS's
    /// messages no longer say so (it keeps the last hundred).
    pub took: Option<Duration>,
}

/// Whether ECS can move a service's traffic between two revisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traffic {
    /// By a load balancer with `advancedConfiguration`, by Service Connect or by VPC Lattice.
    Shifts,
    /// Its load balancer has no `advancedConfiguration`.
    Fixed,
    /// It has no traffic that ECS knows of.
    None,
}

/// One entry of a service's `deployments`.
#[derive(Clone, Debug, PartialEq)]
pub struct Deployment {
    /// `ecs-svc/…`
    pub id: String,
    /// `PRIMARY`, `ACTIVE`, `DRAINING` or `INACTIVE`.
    pub status: String,
    /// The task definition's ARN.
    pub task_definition: String,
    /// `IN_PROGRESS`, `COMPLETED` or `FAILED`; absent behind a Classic load balancer and for other controllers.
    pub rollout_state: Option<String>,
    /// ECS's words about that state.
    pub rollout_reason: Option<String>,
    /// When it began.
    pub created: Option<Timestamp>,
    /// Its task counts.
    pub tasks: Tasks,
}

/// One of a service's events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its id.
    pub id: String,
    /// ECS's words.
    pub text: String,
    /// When it was said.
    pub at: Option<Timestamp>,
}

impl LiveService {
    /// Reads a service of a DescribeServices or UpdateService answer.
    pub fn read(service: &Value) -> Self {
        let configuration = &service["deploymentConfiguration"];
        let (breaker, alarms) = (&configuration["deploymentCircuitBreaker"], &configuration["alarms"]);
        let controller = service["deploymentController"]["type"].as_str().unwrap_or("ECS");
        // What other controllers deploy are task sets; the service's own task definition stays that of its creation.
        let deployments = if controller == "ECS" { "deployments" } else { "taskSets" };
        let primary = items(service, deployments).find(|deployment| deployment["status"] == "PRIMARY");
        let of_task_set = primary.filter(|_| controller != "ECS").map(|set| text(set, "taskDefinition"));
        Self {
            name: text(service, "serviceName"),
            status: text(service, "status"),
            task_definition: of_task_set.unwrap_or_else(|| text(service, "taskDefinition")),
            desired: count(service, "desiredCount"),
            running: count(service, "runningCount"),
            controller: controller.to_owned(),
            daemon: service["schedulingStrategy"] == "DAEMON",
            express: service["resourceManagementType"] == "ECS",
            breaker: breaker["enable"] == true,
            breaker_rolls_back: breaker["enable"] == true && breaker["rollback"] == true,
            strategy: text(configuration, "strategy"),
            alarms_roll_back: alarms["enable"] == true && alarms["rollback"] == true,
            traffic: Traffic::read(service),
            target_groups: target_groups(service),
            configuration: Document::write(configuration),
            deployments: items(service, deployments).map(Deployment::read).collect(),
            service_deployment: service["currentServiceDeployment"].as_str().map(str::to_owned),
            service_revisions: items(service, "currentServiceRevisions")
                .map(|revision| text(revision, "arn"))
                .collect(),
            messages: items(service, "events")
                .map(|event| Message {
                    id: text(event, "id"),
                    text: text(event, "message"),
                    at: event["createdAt"].as_f64().and_then(moment),
                })
                .collect(),
            took: primary.and_then(|primary| took(primary, service)),
        }
    }

    /// Forgets ECS's messages. What they tell of the last deployment's time stays.
    pub fn drop_messages(&mut self) {
        self.messages = Vec::new();
    }

    /// Says what its status means, where it is not ACTIVE.
    pub fn ending(&self) -> Option<String> {
        match self.status.as_str() {
            "ACTIVE" => None,
            "INACTIVE" => Some("the service was deleted (INACTIVE)".to_owned()),
            "DRAINING" => Some("the service is being deleted (DRAINING)".to_owned()),
            other => Some(format!("the service is {other}")),
        }
    }

    /// Whether its deployments go by lifecycle stages: BLUE_GREEN, LINEAR and CANARY.
    pub fn has_stages(&self) -> bool {
        !matches!(self.strategy.as_str(), "" | "ROLLING")
    }

    /// Whether ECS rolls back by itself after a failure of tasks, of an alarm, or of a lifecycle hook.
    pub fn rolls_back(&self) -> bool {
        self.breaker_rolls_back || self.has_stages() || self.alarms_roll_back
    }

    /// Returns the PRIMARY deployment.
    pub fn primary(&self) -> Option<&Deployment> {
        self.deployments.iter().find(|deployment| deployment.status == "PRIMARY")
    }

    /// Returns the PRIMARY deployment while it is under way. Behind a Classic load balancer ECS says no state: there, another
    /// deployment beside it tells. Missing tasks tell nothing: ECS replaces a task that stopped without a deployment.
    pub fn in_progress(&self) -> Option<&Deployment> {
        self.primary().filter(|primary| match &primary.rollout_state {
            Some(state) => state == "IN_PROGRESS",
            None => self.deployments.len() > 1,
        })
    }

    /// Returns a deployment by its id.
    pub fn deployment(&self, id: &str) -> Option<&Deployment> {
        self.deployments.iter().find(|deployment| deployment.id == id)
    }

    /// Whether ECS's messages say that a deployment failed.
    pub fn says_failed(&self, deployment: &str) -> bool {
        self.messages.iter().any(|message| message.failed() == Some(deployment))
    }

    /// Whether ECS's messages say that it rolled back to a deployment.
    pub fn says_returned_to(&self, deployment: &str) -> bool {
        self.messages.iter().any(|message| message.returned_to() == Some(deployment))
    }

    /// Returns the revision that it should run.
    pub fn revision(&self) -> Option<Revision> {
        self.task_definition.parse().ok()
    }
}

impl Message {
    /// Returns the id of the deployment of which it says `rolling back to deployment ecs-svc/M.`
    pub fn returned_to(&self) -> Option<&str> {
        Some(self.text.split_once("rolling back to deployment ")?.1.trim_end_matches('.'))
    }

    /// Returns the id of the deployment of which it says `(deployment ecs-svc/N) deployment failed`.
    pub fn failed(&self) -> Option<&str> {
        let (id, words) = self.text.split_once("(deployment ")?.1.split_once(") ")?;
        words.starts_with("deployment failed").then_some(id)
    }
}

impl Traffic {
    fn read(service: &Value) -> Self {
        let connected = |deployment: &Value| deployment["serviceConnectConfiguration"]["enabled"] == true;
        let shifts = |balancer: &Value| balancer["advancedConfiguration"].is_object();
        let lattice = |deployment: &Value| items(deployment, "vpcLatticeConfigurations").next().is_some();
        let moves = |deployment: &Value| connected(deployment) || lattice(deployment);
        if items(service, "loadBalancers").any(shifts) || items(service, "deployments").any(moves) {
            Self::Shifts
        } else if items(service, "loadBalancers").next().is_some() {
            Self::Fixed
        } else {
            Self::None
        }
    }
}

impl Deployment {
    fn read(deployment: &Value) -> Self {
        Self {
            id: text(deployment, "id"),
            status: text(deployment, "status"),
            task_definition: text(deployment, "taskDefinition"),
            rollout_state: deployment["rolloutState"].as_str().map(str::to_owned),
            rollout_reason: deployment["rolloutStateReason"].as_str().map(str::to_owned),
            created: deployment["createdAt"].as_f64().and_then(moment),
            tasks: Tasks {
                // A task set computes its count from its scale.
                desired: count(deployment, "desiredCount").max(count(deployment, "computedDesiredCount")),
                running: count(deployment, "runningCount"),
                pending: count(deployment, "pendingCount"),
                failed: count(deployment, "failedTasks"),
            },
        }
    }

    /// Whether ECS says so of its rollout state.
    pub fn is(&self, state: &str) -> bool {
        self.rollout_state.as_deref() == Some(state)
    }

    /// Whether it is the deployment of ECS's rollback: its state says so of its own id (`rolling back to deploymentId
    /// ecs-svc/M.`).
    pub fn is_return(&self) -> bool {
        let goes_back = self.rollout_reason.as_deref().and_then(|reason| reason.split_once("rolling back"));
        goes_back.is_some_and(|(_, to)| to.split(' ').any(|word| word.trim_end_matches('.') == self.id))
    }

    /// Returns the revision that it deploys.
    pub fn revision(&self) -> Option<Revision> {
        self.task_definition.parse().ok()
    }
}

fn target_groups(service: &Value) -> Vec<String> {
    let sets = items(service, "taskSets").flat_map(|set| items(set, "loadBalancers"));
    let mut groups: Vec<String> = Vec::new();
    for balancer in items(service, "loadBalancers").chain(sets) {
        for arn in [&balancer["targetGroupArn"], &balancer["advancedConfiguration"]["alternateTargetGroupArn"]] {
            groups.extend(arn.as_str().filter(|arn| !groups.iter().any(|known| known == arn)).map(str::to_owned));
        }
    }
    groups
}

/// Reads when ECS said `(service S) (deployment ecs-svc/N) deployment completed.`, and how long that was after the start.
fn took(deployment: &Value, service: &Value) -> Option<Duration> {
    let words = format!("(deployment {}) deployment completed", deployment["id"].as_str()?);
    let completed = items(service, "events").find(|event| text(event, "message").contains(&words))?;
    let seconds = completed["createdAt"].as_f64()? - deployment["createdAt"].as_f64()?;
    Duration::try_from_secs_f64(seconds).ok()
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}

fn count(value: &Value, key: &str) -> u32 {
    value[key].as_u64().and_then(|count| u32::try_from(count).ok()).unwrap_or_default()
}

fn items<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value[key].as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn without_a_rollout_state_another_deployment_tells_that_one_is_under_way() {
        let primary = json!({ "id": "ecs-svc/2", "status": "PRIMARY", "desiredCount": 1, "runningCount": 0 });
        let old = json!({ "id": "ecs-svc/1", "status": "ACTIVE", "desiredCount": 1, "runningCount": 1 });
        let busy = LiveService::read(&json!({ "deployments": [primary, old] }));
        assert_eq!(busy.in_progress().map(|it| it.id.as_str()), Some("ecs-svc/2"));
        let short = LiveService::read(&json!({ "deployments": [primary] }));
        assert_eq!(short.in_progress(), None, "a task that is replaced is no deployment");
    }

    #[test]
    fn a_return_and_a_failure_are_told_by_the_id_of_the_deployment() {
        let primary = |reason: &str| {
            let reason = format!("ECS deployment circuit breaker: {reason}");
            Deployment::read(&json!({ "id": "ecs-svc/12", "rolloutStateReason": reason }))
        };
        assert!(primary("rolling back to deploymentId ecs-svc/12.").is_return());
        for other in ["rolling back to deploymentId ecs-svc/1.", "tasks failed to start.", "rolling back"] {
            assert!(!primary(other).is_return(), "{other}");
        }
        let said = |text: &str| LiveService::read(&json!({ "events": [{ "id": "1", "message": text }] }));
        let failed = said("(service api) (deployment ecs-svc/12) deployment failed: tasks failed to start.");
        assert!(failed.says_failed("ecs-svc/12") && !failed.says_failed("ecs-svc/1"));
        assert!(!said("(service api) (deployment ecs-svc/12) deployment completed.").says_failed("ecs-svc/12"));
    }

    #[test]
    fn ecs_moves_the_traffic_of_vpc_lattice() {
        let lattice = json!([{ "targetGroupArn": "tg", "portName": "web", "roleArn": "role" }]);
        let service = json!({ "deployments": [{ "status": "PRIMARY", "vpcLatticeConfigurations": lattice }] });
        assert_eq!(LiveService::read(&service).traffic, Traffic::Shifts);
    }
}
