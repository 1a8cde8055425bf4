//! CodeDeploy: the deployments of a deployment group of ECS.

use aws_sdk_codedeploy::Client;
use aws_sdk_codedeploy::config::retry::RetryConfig;
use aws_sdk_codedeploy::types::{
    AppSpecContent, DeploymentInfo, DeploymentStatus, RevisionLocation, RevisionLocationType,
};

use crate::aws::error::{CallError, Kind};
use crate::aws::permit::{Gate, Permit};
use crate::base::arn;
use crate::fleet::codedeploy::CodeDeploy as Group;

/// Deployments in one BatchGetDeployments call (CodeDeploy API Reference).
const DEPLOYMENTS_PER_CALL: usize = 25;

/// The CodeDeploy of one account and region.
#[derive(Clone, Debug)]
pub struct CodeDeploy {
    client: Client,
}

/// A deployment as GetDeployment gives it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deployment {
    /// `d-…`
    pub id: String,
    /// `Created`, `Queued`, `InProgress`, `Baking`, `Ready`, `Succeeded`, `Failed` or `Stopped`.
    pub status: String,
    /// CodeDeploy's error code and words.
    pub error: Option<String>,
    /// The deployment that rolls this one back.
    pub rollback: Option<String>,
    /// The deployment that this one rolls back.
    pub rolls_back: Option<String>,
    /// When it was made, in seconds since the epoch.
    pub created: i64,
    /// Its AppSpec, where CodeDeploy gives it.
    pub appspec: String,
    /// Its description.
    pub description: String,
}

impl Deployment {
    /// Whether it has ended.
    pub fn is_over(&self) -> bool {
        matches!(self.status.as_str(), "Succeeded" | "Failed" | "Stopped")
    }

    /// Whether it deploys a task definition, by its ARN.
    pub fn deploys(&self, arn: &str) -> bool {
        let follows = |rest: &str| !rest.starts_with(|char: char| char.is_ascii_digit());
        self.appspec.split(arn).skip(1).any(follows) || self.description == description(arn)
    }

    /// Returns the ARN of the task definition that it deploys: that of its AppSpec, or of the description that
    /// [`CodeDeploy::create`] gives. `like` is another ARN of the same account and region.
    pub fn task_definition(&self, like: &str) -> Option<String> {
        let belongs = |char: &char| char.is_ascii_alphanumeric() || ":/_-".contains(*char);
        let stated = self.appspec.find(":task-definition/").and_then(|at| {
            let start = self.appspec[..at].rfind("arn:")?;
            Some(self.appspec[start..].chars().take_while(belongs).collect())
        });
        stated.or_else(|| {
            let arn = format!("{}/{}", like.rsplit_once('/')?.0, self.description.strip_prefix(OURS)?);
            // A description that was cut names no task definition.
            (self.description == description(&arn) && arn.parse::<crate::fleet::Revision>().is_ok()).then_some(arn)
        })
    }

    fn read(id: &str, info: DeploymentInfo) -> Self {
        let error = info.error_information.map(|error| {
            let parts = [error.code.map(|code| code.as_str().to_owned()), error.message];
            parts.into_iter().flatten().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(": ")
        });
        let (rollback, rolls_back) = match info.rollback_info {
            Some(info) => (info.rollback_deployment_id, info.rollback_triggering_deployment_id),
            None => (None, None),
        };
        Self {
            id: id.to_owned(),
            status: info.status.as_ref().map_or("Created", DeploymentStatus::as_str).to_owned(),
            error: error.filter(|text| !text.is_empty()),
            rollback: rollback.filter(|id| !id.is_empty()),
            rolls_back: rolls_back.filter(|result| !result.is_empty() && result != id),
            created: info.create_time.map_or(0, |at| at.secs()),
            appspec: info.revision.and_then(|revision| revision.app_spec_content?.content).unwrap_or_default(),
            description: info.description.unwrap_or_default(),
        }
    }
}

/// What a description by this program begins with.
const OURS: &str = "roleout ";

/// What a deployment of a task definition is described as: at most 100 characters of it.
fn description(arn: &str) -> String {
    let revision = arn::name(arn);
    let skip = revision.chars().count().saturating_sub(90);
    format!("{OURS}{}", revision.chars().skip(skip).collect::<String>())
}

impl CodeDeploy {
    /// Wraps a client.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// Returns the group's last deployment, whoever started it.
    pub async fn last(&self, group: &Group) -> Result<Option<Deployment>, CallError> {
        let request = self.client.get_deployment_group().application_name(&group.application);
        let answer = request.deployment_group_name(&group.deployment_group).send().await;
        let answer = answer.map_err(|error| CallError::new("GetDeploymentGroup", &error))?;
        let last = answer.deployment_group_info.and_then(|info| info.last_attempted_deployment?.deployment_id);
        match last {
            Some(id) => self.get(&id).await.map(Some),
            None => Ok(None),
        }
    }

    /// Deploys a task definition, by its ARN, unless the permit is over before that is on the wire. Sent once:
    /// CreateDeployment has no idempotency token.
    pub async fn create(&self, group: &Group, arn: &str, permit: &Permit) -> Result<String, CallError> {
        const OPERATION: &str = "CreateDeployment";
        let appspec = AppSpecContent::builder().content(group.appspec_for(arn)).build();
        let revision = RevisionLocation::builder()
            .revision_type(RevisionLocationType::AppSpecContent)
            .app_spec_content(appspec)
            .build();
        let request = self
            .client
            .create_deployment()
            .application_name(&group.application)
            .deployment_group_name(&group.deployment_group)
            .set_deployment_config_name(group.config.clone())
            .description(description(arn))
            .revision(revision);
        let once = aws_sdk_codedeploy::Config::builder().retry_config(RetryConfig::standard().with_max_attempts(1));
        let gate = Gate::new(permit);
        let request = request.customize().interceptor(gate.clone()).config_override(once);
        let answer = gate.carry(Box::pin(request.send())).await.ok_or_else(|| CallError::withdrawn(OPERATION))?;
        let answer = answer.map_err(|error| CallError::new(OPERATION, &error))?;
        answer.deployment_id.ok_or_else(|| CallError::plain(OPERATION, Kind::Unknown, "an answer without an id"))
    }

    /// Returns a deployment.
    pub async fn get(&self, id: &str) -> Result<Deployment, CallError> {
        const OPERATION: &str = "GetDeployment";
        let answer = self.client.get_deployment().deployment_id(id).send().await;
        let answer = answer.map_err(|error| CallError::new(OPERATION, &error))?;
        let nothing = || CallError::plain(OPERATION, Kind::Unknown, "an answer without a deployment");
        let info = answer.deployment_info.ok_or_else(nothing)?;
        Ok(Deployment::read(id, info))
    }

    /// Returns the group's newest deployments, at most as many as one BatchGetDeployments has, the newest first.
    pub async fn newest(&self, group: &Group) -> Result<Vec<Deployment>, CallError> {
        let request = self.client.list_deployments().application_name(&group.application);
        let answer = request.deployment_group_name(&group.deployment_group).send().await;
        let answer = answer.map_err(|error| CallError::new("ListDeployments", &error))?;
        let ids: Vec<String> = answer.deployments.unwrap_or_default().into_iter().take(DEPLOYMENTS_PER_CALL).collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let answer = self.client.batch_get_deployments().set_deployment_ids(Some(ids)).send().await;
        let answer = answer.map_err(|error| CallError::new("BatchGetDeployments", &error))?;
        let infos = answer.deployments_info.unwrap_or_default().into_iter();
        let mut newest: Vec<Deployment> =
            infos.filter_map(|info| Some(Deployment::read(&info.deployment_id.clone()?, info))).collect();
        newest.sort_by_key(|deployment| std::cmp::Reverse(deployment.created));
        Ok(newest)
    }

    /// Stops a deployment and rolls it back, unless the permit is over before that is on the wire. One that has ended is left
    /// as it is. The SDK repeats it: a deployment is stopped once.
    pub async fn stop(&self, id: &str, permit: &Permit) -> Result<(), CallError> {
        const OPERATION: &str = "StopDeployment";
        let gate = Gate::new(permit);
        let request = self.client.stop_deployment().deployment_id(id).auto_rollback_enabled(true);
        let request = request.customize().interceptor(gate.clone());
        let answer = gate.carry(Box::pin(request.send())).await.ok_or_else(|| CallError::withdrawn(OPERATION))?;
        match answer.map_err(|error| CallError::new(OPERATION, &error)) {
            Err(error) if error.is("DeploymentAlreadyCompletedException") => Ok(()),
            other => other.map(drop),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deployment_is_of_just_its_revision() {
        let appspec = r#"{"TaskDefinition":"arn:aws:ecs:r:1:task-definition/api:12"}"#.to_owned();
        let deployment = Deployment { appspec, ..Deployment::default() };
        assert!(deployment.deploys("arn:aws:ecs:r:1:task-definition/api:12"));
        assert!(!deployment.deploys("arn:aws:ecs:r:1:task-definition/api:1"));
        let arn = "arn:aws:ecs:r:1:task-definition/api:12".to_owned();
        assert_eq!(deployment.task_definition("arn:aws:ecs:r:1:task-definition/api:1"), Some(arn.clone()));
        let described = Deployment { description: description(&arn), ..Deployment::default() };
        assert_eq!(described.task_definition("arn:aws:ecs:r:1:task-definition/api:1"), Some(arn));
        let foreign = Deployment { description: "by hand".to_owned(), ..Deployment::default() };
        assert_eq!(foreign.task_definition("arn:aws:ecs:r:1:task-definition/api:1"), None);
        assert!(description(&format!("arn:aws:ecs:r:1:task-definition/{}:1", "a".repeat(255))).len() <= 100);
    }
}
