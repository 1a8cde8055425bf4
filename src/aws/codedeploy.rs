//! CodeDeploy: the deployments of a deployment group of ECS.

use serde_json::{Value, json};

use crate::aws::error::{CallError, Kind};
use crate::aws::operation::{Client, Repeat};
use crate::aws::permit::Permit;
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

    fn read(info: &Value) -> Option<Self> {
        let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let id = text(&info["deploymentId"])?;
        let error = ["code", "message"].iter().filter_map(|key| text(&info["errorInformation"][key]));
        let error = error.collect::<Vec<_>>().join(": ");
        let rollback = &info["rollbackInfo"];
        Some(Self {
            status: text(&info["status"]).unwrap_or_else(|| "Created".to_owned()),
            error: Some(error).filter(|text| !text.is_empty()),
            rollback: text(&rollback["rollbackDeploymentId"]),
            rolls_back: text(&rollback["rollbackTriggeringDeploymentId"]).filter(|other| *other != id),
            created: info["createTime"].as_f64().map_or(0, |seconds| seconds as i64),
            appspec: text(&info["revision"]["appSpecContent"]["content"]).unwrap_or_default(),
            description: text(&info["description"]).unwrap_or_default(),
            id,
        })
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
        let input = json!({ "applicationName": group.application, "deploymentGroupName": group.deployment_group });
        let answer = self.client.read("GetDeploymentGroup", input).await?;
        match answer["deploymentGroupInfo"]["lastAttemptedDeployment"]["deploymentId"].as_str() {
            Some(id) => self.get(id).await.map(Some),
            None => Ok(None),
        }
    }

    /// Deploys a task definition, by its ARN, unless the permit is over before that is on the wire. Sent once:
    /// CreateDeployment has no idempotency token.
    pub async fn create(&self, group: &Group, arn: &str, permit: &Permit) -> Result<String, CallError> {
        const OPERATION: &str = "CreateDeployment";
        let appspec = json!({ "content": group.appspec_for(arn) });
        let mut input = json!({
            "applicationName": group.application,
            "deploymentGroupName": group.deployment_group,
            "description": description(arn),
            "revision": { "revisionType": "AppSpecContent", "appSpecContent": appspec },
        });
        if let Some(config) = &group.config {
            input["deploymentConfigName"] = config.as_str().into();
        }
        let answer = self.client.write(OPERATION, input, Repeat::Never, permit).await?;
        let id = answer["deploymentId"].as_str().map(str::to_owned);
        id.ok_or_else(|| CallError::plain(OPERATION, Kind::Unknown, "an answer without an id"))
    }

    /// Returns a deployment.
    pub async fn get(&self, id: &str) -> Result<Deployment, CallError> {
        const OPERATION: &str = "GetDeployment";
        let answer = self.client.read(OPERATION, json!({ "deploymentId": id })).await?;
        let deployment = Deployment::read(&answer["deploymentInfo"]);
        deployment.ok_or_else(|| CallError::plain(OPERATION, Kind::Unknown, "an answer without a deployment"))
    }

    /// Returns the group's newest deployments, at most as many as one BatchGetDeployments has, the newest first.
    pub async fn newest(&self, group: &Group) -> Result<Vec<Deployment>, CallError> {
        let input = json!({ "applicationName": group.application, "deploymentGroupName": group.deployment_group });
        let answer = self.client.read("ListDeployments", input).await?;
        let ids: Vec<&Value> =
            answer["deployments"].as_array().into_iter().flatten().take(DEPLOYMENTS_PER_CALL).collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let answer = self.client.read("BatchGetDeployments", json!({ "deploymentIds": ids })).await?;
        let infos = answer["deploymentsInfo"].as_array().into_iter().flatten();
        let mut newest: Vec<Deployment> = infos.filter_map(Deployment::read).collect();
        newest.sort_by_key(|deployment| std::cmp::Reverse(deployment.created));
        Ok(newest)
    }

    /// Stops a deployment and rolls it back, unless the permit is over before that is on the wire. One that has ended is left
    /// as it is. It is repeated where its answer is lost: a deployment is stopped once.
    pub async fn stop(&self, id: &str, permit: &Permit) -> Result<(), CallError> {
        let input = json!({ "deploymentId": id, "autoRollbackEnabled": true });
        match self.client.write("StopDeployment", input, Repeat::Safely, permit).await {
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
