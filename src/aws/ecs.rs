//! ECS: the calls of one account and region, in AWS's own JSON.
//!
//! The SDK's types have no serde, and a mapping of some sixty structures would lose whatever AWS adds next. So each call
//! carries a JSON value through the real SDK, as `wire` knows how.

use std::fmt;
use std::sync::Arc;

use aws_sdk_ecs::Client;
use aws_sdk_ecs::config::Builder;
use serde_json::{Value, json};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::aws::attempts::Attempts;
use crate::aws::error::{CallError, Kind};
use crate::aws::limits::{Group, Limits};
use crate::aws::others::AuxClients;
use crate::aws::permit::{Gate, Permit};
use crate::aws::wire::Wire;

/// DescribeServices takes at most so many services (ECS model).
pub const SERVICES_PER_CALL: usize = 10;
/// DescribeServiceDeployments takes at most so many ARNs (ECS model).
pub const DEPLOYMENTS_PER_CALL: usize = 20;
/// DescribeTasks takes at most so many tasks (ECS model).
const TASKS_PER_CALL: usize = 100;

/// The ECS of one account and region, with its own limits.
#[derive(Debug)]
pub struct Ecs {
    /// The client of all accounts and regions.
    client: Client,
    /// What is its own of a call: the region, the credentials and the line in the log.
    place: Builder,
    /// How often a call is tried that may be repeated.
    attempts: u32,
    limits: Limits,
    /// Places for calls on their way, shared by all accounts.
    places: Arc<Semaphore>,
    others: AuxClients,
}

/// What DescribeServices answers.
#[derive(Debug, Default)]
pub struct Services {
    /// The services, in AWS's JSON.
    pub found: Vec<Value>,
    /// What it could not describe: the ARN or name, and the reason, such as `MISSING`.
    pub failures: Vec<(String, String)>,
}

/// The changes that one UpdateService asks for. Absent members keep their live values.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServiceUpdate {
    /// The task definition's ARN.
    pub task_definition: Option<String>,
    /// The desired count.
    pub desired_count: Option<u32>,
    /// `deploymentConfiguration` in ECS's own terms.
    pub deployment: Option<Value>,
    /// Starts a deployment even where nothing else changes.
    pub force: bool,
}

/// Sends one operation with a JSON body in a place that is held, once, and returns the answer's JSON.
macro_rules! sent {
    ($self:ident, $attempts:expr, $group:expr, $name:literal, $operation:ident, $body:expr) => {{
        let wire = Wire::new(&$body, $attempts.number());
        // On the heap while it lasts: the SDK's futures are tens of kilobytes, and whoever awaits one would carry it.
        let request = $self.client.$operation().customize().config_override($self.place.clone());
        let request = request.interceptor(wire.clone()).interceptor($attempts.signer());
        let result = Box::pin(request.send()).await;
        $self.finish($group, $name, result.map(drop), &wire, &$attempts)
    }};
}

/// Sends one read as often as `attempts` allows, each time once the group's limit lets it.
macro_rules! call {
    ($self:ident, $attempts:expr, $group:expr, $name:literal, $operation:ident, $body:expr) => {{
        let (mut attempts, body) = ($attempts, $body);
        loop {
            $self.limits.take($group).await;
            let place = $self.places.acquire().await;
            attempts.begin();
            let result = sent!($self, attempts, $group, $name, $operation, body);
            drop(place);
            match result {
                Err(error) if attempts.again(&error).await => {}
                result => break result,
            }
        }
    }};
}

/// Sends a write in a turn that is held, once, unless the permit is over before it is on the wire.
macro_rules! write {
    ($self:ident, $permit:expr, $attempts:expr, $group:expr, $name:literal, $operation:ident, $body:expr) => {{
        let (wire, gate) = (Wire::new(&$body, $attempts.number()), Gate::new($permit));
        let request = $self.client.$operation().customize().config_override($self.place.clone());
        let request = request.interceptor(wire.clone()).interceptor(gate.clone()).interceptor($attempts.signer());
        match gate.carry(Box::pin(request.send())).await {
            Some(result) => $self.finish($group, $name, result.map(drop), &wire, &$attempts),
            None => Err(CallError::withdrawn($name)),
        }
    }};
}

/// Sends a write whose turn it is, unless the permit is over before it is on the wire. It is sent once, and in the same turn once
/// more where AWS did nothing for the session that had signed it.
macro_rules! write_in_turn {
    ($self:ident, $turn:expr, $permit:expr, $group:expr, $name:literal, $operation:ident, $body:expr) => {{
        let (turn, mut attempts) = ($turn, $self.once());
        let result = loop {
            match write!($self, $permit, attempts, $group, $name, $operation, $body) {
                Err(error) if attempts.again(&error).await => {}
                result => break result,
            }
        };
        drop(turn);
        result
    }};
}

/// Sends a write once its turn has come, as `write_in_turn` does.
macro_rules! write_once {
    ($self:ident, $permit:expr, $group:expr, $name:literal, $operation:ident, $body:expr) => {{
        let turn = $self.turn($group, $name, $permit).await?;
        write_in_turn!($self, turn, $permit, $group, $name, $operation, $body)
    }};
}

/// A write's turn: its group's limit lets it, and there is a place for it on the wire.
#[derive(Debug)]
pub struct Turn<'a>(#[expect(dead_code, reason = "it is held")] SemaphorePermit<'a>);

impl Ecs {
    /// Wraps a client that repeats nothing, with what each call of this account and region has of its own. The calls share
    /// `places` with those of other accounts; `others` are of the same account. A call that may be repeated has so many
    /// `attempts`.
    pub fn new((client, place): (Client, Builder), attempts: u32, places: Arc<Semaphore>, others: AuxClients) -> Self {
        Self { client, place, attempts, limits: Limits::default(), places, others }
    }

    /// Returns the other services of its account, which are read with the same session.
    pub fn aux(&self) -> &AuxClients {
        &self.others
    }

    /// Returns the attempts at a call that may be repeated.
    fn attempts(&self) -> Attempts {
        Attempts::new(self.attempts, self.others.signer())
    }

    /// Returns those at a call that is sent once.
    fn once(&self) -> Attempts {
        Attempts::once(self.others.signer())
    }

    fn finish<E>(
        &self,
        group: Group,
        operation: &'static str,
        result: Result<(), aws_sdk_ecs::error::SdkError<E>>,
        wire: &Wire,
        attempts: &Attempts,
    ) -> Result<Value, CallError>
    where
        E: aws_sdk_ecs::error::ProvideErrorMetadata + std::error::Error + 'static,
    {
        match result {
            Ok(()) => {
                self.limits.answered(group);
                wire.take_answer().ok_or_else(|| CallError::unreadable(operation, 200))
            }
            Err(error) => {
                let error = CallError::after(operation, &error, attempts.number(), attempts.elapsed());
                if error.kind == Kind::Throttled {
                    self.limits.throttled(group);
                }
                Err(error)
            }
        }
    }

    /// Waits until a write may be sent, for as long as the permit is not over.
    async fn turn(&self, group: Group, operation: &'static str, permit: &Permit) -> Result<Turn<'_>, CallError> {
        let ready = async {
            self.limits.take(group).await;
            self.places.acquire().await
        };
        match permit.hold(ready).await {
            Some(place) => Ok(Turn(place.expect("the semaphore is never closed"))),
            None => Err(CallError::withdrawn(operation)),
        }
    }

    /// Waits until an UpdateService may be sent: for whoever looks once more right before it.
    pub async fn turn_to_update(&self, permit: &Permit) -> Result<Turn<'_>, CallError> {
        self.turn(Group::ServiceModify, "UpdateService", permit).await
    }

    /// Describes a service in the place of the write whose turn it is. Sent once.
    pub async fn look_in_turn(&self, _: &Turn<'_>, cluster: &str, service: &str) -> Result<Services, CallError> {
        let body = json!({ "cluster": cluster, "services": [service] });
        let mut attempts = self.once();
        loop {
            self.limits.take(Group::ServiceRead).await;
            match sent!(self, attempts, Group::ServiceRead, "DescribeServices", describe_services, body) {
                Err(error) if attempts.again(&error).await => {}
                result => return result.map(services),
            }
        }
    }

    /// Describes at most [`SERVICES_PER_CALL`] services of one cluster.
    pub async fn describe_services(&self, cluster: &str, names: &[&str]) -> Result<Services, CallError> {
        let body = json!({ "cluster": cluster, "services": names });
        call!(self, self.attempts(), Group::ServiceRead, "DescribeServices", describe_services, body).map(services)
    }

    /// Describes services as [`Self::describe_services`] does, but is sent once: the next look is the retry.
    pub async fn look_at_services(&self, cluster: &str, names: &[&str]) -> Result<Services, CallError> {
        let body = json!({ "cluster": cluster, "services": names });
        call!(self, self.once(), Group::ServiceRead, "DescribeServices", describe_services, body).map(services)
    }

    /// Describes a revision, by `family`, `family:revision` or ARN. A family alone means its newest ACTIVE revision. Its
    /// tags, where it has any, are its member `tags`, as RegisterTaskDefinition takes them.
    pub async fn describe_task_definition(&self, name: &str) -> Result<Value, CallError> {
        let body = json!({ "taskDefinition": name, "include": ["TAGS"] });
        let mut answer = call!(
            self,
            self.attempts(),
            Group::TaskDefinitionRead,
            "DescribeTaskDefinition",
            describe_task_definition,
            body
        )?;
        let (definition, tags) = (answer["taskDefinition"].take(), list(&mut answer, "tags"));
        let Value::Object(mut definition) = definition else {
            return Err(CallError::unreadable("DescribeTaskDefinition", 200));
        };
        if !tags.is_empty() {
            definition.insert("tags".to_owned(), Value::Array(tags));
        }
        Ok(Value::Object(definition))
    }

    /// Registers a revision: once, never repeated, since the call has no idempotency token. `definition` is JSON
    /// that is not written before it is its turn: until then there may be as many that wait as there are targets.
    pub async fn register_task_definition(
        &self,
        definition: &impl fmt::Display,
        permit: &Permit,
    ) -> Result<Value, CallError> {
        let mut answer = write_once!(
            self,
            permit,
            Group::TaskDefinitionModify,
            "RegisterTaskDefinition",
            register_task_definition,
            *definition
        )?;
        Ok(answer["taskDefinition"].take())
    }

    /// Updates a service: once, never repeated, since the call has no idempotency token.
    pub async fn update_service(
        &self,
        cluster: &str,
        service: &str,
        update: &ServiceUpdate,
        permit: &Permit,
    ) -> Result<Value, CallError> {
        let turn = self.turn_to_update(permit).await?;
        self.update_in_turn(turn, cluster, service, update, permit).await
    }

    /// Updates a service whose turn it is, as [`Self::update_service`] does.
    pub async fn update_in_turn(
        &self,
        turn: Turn<'_>,
        cluster: &str,
        service: &str,
        update: &ServiceUpdate,
        permit: &Permit,
    ) -> Result<Value, CallError> {
        let mut body = json!({ "cluster": cluster, "service": service });
        if let Some(task_definition) = &update.task_definition {
            body["taskDefinition"] = json!(task_definition);
        }
        if let Some(count) = update.desired_count {
            body["desiredCount"] = json!(count);
        }
        if let Some(deployment) = &update.deployment {
            body["deploymentConfiguration"] = deployment.clone();
        }
        if update.force {
            body["forceNewDeployment"] = json!(true);
        }
        let mut answer =
            write_in_turn!(self, turn, permit, Group::ServiceModify, "UpdateService", update_service, body)?;
        Ok(answer["service"].take())
    }

    /// Lists the newest service deployments of a service, newest first.
    pub async fn list_service_deployments(&self, cluster: &str, service: &str) -> Result<Vec<Value>, CallError> {
        let body = json!({ "cluster": cluster, "service": service });
        let mut answer = call!(
            self,
            self.once(),
            Group::ServiceDeployment,
            "ListServiceDeployments",
            list_service_deployments,
            body
        )?;
        Ok(list(&mut answer, "serviceDeployments"))
    }

    /// Lists the newest hundred service deployments of the last 90 days, newest first.
    pub async fn service_deployment_history(&self, cluster: &str, service: &str) -> Result<Vec<Value>, CallError> {
        let body = json!({ "cluster": cluster, "service": service, "maxResults": 100 });
        let mut answer = call!(
            self,
            self.attempts(),
            Group::ServiceDeployment,
            "ListServiceDeployments",
            list_service_deployments,
            body
        )?;
        Ok(list(&mut answer, "serviceDeployments"))
    }

    /// Describes at most [`DEPLOYMENTS_PER_CALL`] service revisions: what was deployed when.
    pub async fn describe_service_revisions(&self, arns: &[&str]) -> Result<Vec<Value>, CallError> {
        let body = json!({ "serviceRevisionArns": arns });
        let mut answer = call!(
            self,
            self.attempts(),
            Group::ServiceDeployment,
            "DescribeServiceRevisions",
            describe_service_revisions,
            body
        )?;
        Ok(list(&mut answer, "serviceRevisions"))
    }

    /// Asks ECS to stop a service deployment and roll it back: once, never repeated.
    pub async fn stop_service_deployment(&self, arn: &str, permit: &Permit) -> Result<Value, CallError> {
        let body = json!({ "serviceDeploymentArn": arn, "stopType": "ROLLBACK" });
        write_once!(self, permit, Group::ServiceDeployment, "StopServiceDeployment", stop_service_deployment, body)
    }

    /// Lists the ARNs of all services of a cluster.
    pub async fn list_services(&self, cluster: &str) -> Result<Vec<String>, CallError> {
        let mut arns = Vec::new();
        let mut body = json!({ "cluster": cluster, "maxResults": 100 });
        loop {
            let mut answer =
                call!(self, self.attempts(), Group::ServiceRead, "ListServices", list_services, body.clone())?;
            let page = list(&mut answer, "serviceArns").into_iter();
            arns.extend(page.filter_map(|arn| arn.as_str().map(str::to_owned)));
            match answer["nextToken"].take() {
                Value::Null => return Ok(arns),
                next => body["nextToken"] = next,
            }
        }
    }

    /// Lists the ARNs of a family's ACTIVE revisions, newest first, at most a hundred.
    pub async fn list_task_definitions(&self, family: &str) -> Result<Vec<String>, CallError> {
        let body = json!({ "familyPrefix": family, "status": "ACTIVE", "sort": "DESC", "maxResults": 100 });
        let mut answer = call!(
            self,
            self.attempts(),
            Group::TaskDefinitionRead,
            "ListTaskDefinitions",
            list_task_definitions,
            body
        )?;
        let arns = list(&mut answer, "taskDefinitionArns").into_iter();
        Ok(arns.filter_map(|arn| arn.as_str().map(str::to_owned)).collect())
    }

    /// Describes at most [`DEPLOYMENTS_PER_CALL`] service deployments.
    pub async fn describe_service_deployments(&self, arns: &[&str]) -> Result<Vec<Value>, CallError> {
        let body = json!({ "serviceDeploymentArns": arns });
        let mut answer = call!(
            self,
            self.once(),
            Group::ServiceDeployment,
            "DescribeServiceDeployments",
            describe_service_deployments,
            body
        )?;
        Ok(list(&mut answer, "serviceDeployments"))
    }

    /// Lets a service deployment that waits at a PAUSE hook go on, or roll back: `action` is `CONTINUE` or `ROLLBACK`.
    pub async fn continue_service_deployment(
        &self,
        arn: &str,
        hook: &str,
        action: &str,
        permit: &Permit,
    ) -> Result<Value, CallError> {
        let body = json!({ "serviceDeploymentArn": arn, "hookId": hook, "action": action });
        write_once!(self, permit, Group::ServiceModify, "ContinueServiceDeployment", continue_service_deployment, body)
    }

    /// Runs tasks; `request` is RunTask's input. Once: its `clientToken` lets the caller repeat it.
    pub async fn run_task(&self, request: &Value, permit: &Permit) -> Result<Value, CallError> {
        write_once!(self, permit, Group::ClusterResourceModify, "RunTask", run_task, *request)
    }

    /// Describes one task; `None` where ECS does not know it. Once: the next look is the retry.
    pub async fn look_at_task(&self, cluster: &str, task: &str) -> Result<Option<Value>, CallError> {
        let body = json!({ "cluster": cluster, "tasks": [task] });
        let mut answer = call!(self, self.once(), Group::ClusterResourceRead, "DescribeTasks", describe_tasks, body)?;
        Ok(list(&mut answer, "tasks").pop())
    }

    /// Asks ECS to stop a task; `reason` is shown as its `stoppedReason`. Repeated: a task is stopped once.
    pub async fn stop_task(&self, cluster: &str, task: &str, reason: &str, permit: &Permit) -> Result<(), CallError> {
        let body = json!({ "cluster": cluster, "task": task, "reason": reason });
        let mut attempts = self.attempts();
        loop {
            let turn = self.turn(Group::ClusterResourceModify, "StopTask", permit).await?;
            attempts.begin();
            let result = write!(self, permit, attempts, Group::ClusterResourceModify, "StopTask", stop_task, body);
            drop(turn);
            match result {
                Err(error) if attempts.again(&error).await => {}
                result => return result.map(drop),
            }
        }
    }

    /// Describes up to a hundred stopped tasks that a deployment started.
    pub async fn stopped_tasks(&self, cluster: &str, deployment: &str) -> Result<Vec<Value>, CallError> {
        let body = json!({
            "cluster": cluster, "startedBy": deployment, "desiredStatus": "STOPPED", "maxResults": TASKS_PER_CALL,
        });
        let mut answer = call!(self, self.attempts(), Group::ClusterResourceRead, "ListTasks", list_tasks, body)?;
        let arns = list(&mut answer, "taskArns");
        if arns.is_empty() {
            return Ok(Vec::new());
        }
        let body = json!({ "cluster": cluster, "tasks": arns });
        let mut answer =
            call!(self, self.attempts(), Group::ClusterResourceRead, "DescribeTasks", describe_tasks, body)?;
        Ok(list(&mut answer, "tasks"))
    }
}

fn services(mut answer: Value) -> Services {
    let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
    let failures = list(&mut answer, "failures");
    let failures = failures.iter().map(|failure| (text(failure, "arn"), text(failure, "reason"))).collect();
    Services { found: list(&mut answer, "services"), failures }
}

fn list(answer: &mut Value, key: &str) -> Vec<Value> {
    match answer.get_mut(key).map(Value::take) {
        Some(Value::Array(items)) => items,
        _ => Vec::new(),
    }
}
