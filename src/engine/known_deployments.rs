//! The deployments that a service had before it was updated, and those that began since. ECS shows them in more than one
//! place, and the first of these places forgets a deployment that was rolled back.

use crate::aws::ecs::{DEPLOYMENTS_PER_CALL, Ecs};
use crate::aws::error::CallError;
use crate::base::arn;
use crate::fleet::TargetSpec;
use crate::observe::service::{Deployment, LiveService};

/// What a service had at a look.
#[derive(Clone, Debug, Default)]
pub struct KnownDeployments {
    /// The ids of its deployments.
    deployments: Vec<String>,
    /// The id of ECS's newest message about it.
    message: Option<String>,
    /// The ARN of its service deployment.
    service_deployment: Option<String>,
}

impl KnownDeployments {
    /// Takes down what a service has.
    pub fn new(service: &LiveService) -> Self {
        Self {
            deployments: service.deployments.iter().map(|one| one.id.clone()).collect(),
            message: service.messages.first().map(|message| message.id.clone()),
            service_deployment: service.service_deployment.clone(),
        }
    }

    /// Returns the id of a deployment of `wanted` that began since, where the service still lists it: PRIMARY, or not yet, or
    /// not any more.
    pub fn listed(&self, service: &LiveService, wanted: &str) -> Option<String> {
        let is_new = |one: &&Deployment| one.task_definition == wanted && !self.deployments.contains(&one.id);
        service.primary().into_iter().chain(&service.deployments).find(is_new).map(|one| one.id.clone())
    }

    /// Returns what somebody else began since and is still under way, so that a deployment of `wanted` took its place.
    pub fn overtaken<'a>(&self, service: &'a LiveService, wanted: &str) -> impl Iterator<Item = &'a Deployment> {
        let others = service.deployments.iter().filter(|one| one.is("IN_PROGRESS") && one.status != "PRIMARY");
        others.filter(move |one| one.task_definition != wanted && !self.deployments.contains(&one.id))
    }

    /// Returns the same as [`Self::listed`], even if ECS has rolled the deployment back by then: from its service
    /// deployments, or from its messages if these cannot be read.
    pub async fn begun(
        &self,
        ecs: &Ecs,
        target: &TargetSpec,
        service: &LiveService,
        wanted: &str,
    ) -> Result<Option<String>, CallError> {
        if let Some(listed) = self.listed(service, wanted) {
            return Ok(Some(listed));
        }
        match self.recorded(ecs, target, wanted).await {
            Err(error) if error.is_transient() => Err(error),
            Ok(Some(recorded)) => Ok(recorded),
            Ok(None) | Err(_) => Ok(self.failed(service)),
        }
    }

    /// Reads it from the service deployments since; `None` where it is not known which are. That the number of a service
    /// revision is its deployment's is what AWS shows, and does not promise.
    async fn recorded(
        &self,
        ecs: &Ecs,
        target: &TargetSpec,
        wanted: &str,
    ) -> Result<Option<Option<String>>, CallError> {
        let Some(last) = &self.service_deployment else { return Ok(None) };
        let newest = ecs.list_service_deployments(&target.cluster, &target.service).await?;
        let since = newest.iter().take_while(|brief| brief["serviceDeploymentArn"] != **last);
        let revisions: Vec<&str> = since.filter_map(|brief| brief["targetServiceRevisionArn"].as_str()).collect();
        let revisions = &revisions[..revisions.len().min(DEPLOYMENTS_PER_CALL)];
        if revisions.is_empty() {
            return Ok(Some(None));
        }
        let described = ecs.describe_service_revisions(revisions).await?;
        let ours = described.iter().find(|revision| revision["taskDefinition"] == wanted);
        let number = ours.and_then(|revision| revision["serviceRevisionArn"].as_str()).map(arn::name);
        Ok(Some(number.map(|number| format!("ecs-svc/{number}"))))
    }

    /// Returns the deployment of which ECS has said since that it failed, where the service is back on one that it had and does
    /// not list it any more.
    fn failed(&self, service: &LiveService) -> Option<String> {
        let is_back = service.primary().is_some_and(|primary| self.deployments.contains(&primary.id));
        let since = service.messages.iter().take_while(|message| Some(&message.id) != self.message.as_ref());
        let failed = since
            .filter_map(|message| message.failed())
            .find(|id| !self.deployments.iter().any(|known| known == id) && service.deployment(id).is_none());
        failed.filter(|_| is_back).map(str::to_owned)
    }
}
