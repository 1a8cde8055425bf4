//! How a service under the CODE_DEPLOY controller is deployed: by which deployment group, and with which AppSpec.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What stands for the task definition's ARN in an AppSpec; the name is that of CodePipeline's ECS action.
pub const PLACEHOLDER: &str = "<TASK_DEFINITION>";

/// The deployment group of a service, and its AppSpec.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CodeDeploy {
    /// The application's name.
    pub application: String,
    /// The deployment group's name.
    pub deployment_group: String,
    /// The deployment configuration; `None` = the group's own.
    pub config: Option<String>,
    /// The AppSpec, JSON or YAML, with [`PLACEHOLDER`] where the task definition's ARN goes.
    pub appspec: String,
}

impl CodeDeploy {
    /// Returns the AppSpec for a service that has one container behind its load balancer.
    pub fn appspec_of(container: &str, port: u16) -> String {
        let balancer = serde_json::json!({ "ContainerName": container, "ContainerPort": port });
        let properties = serde_json::json!({ "TaskDefinition": PLACEHOLDER, "LoadBalancerInfo": balancer });
        let service = serde_json::json!({ "Type": "AWS::ECS::Service", "Properties": properties });
        serde_json::json!({ "version": 0.0, "Resources": [{ "TargetService": service }] }).to_string()
    }

    /// Returns the AppSpec that deploys a task definition, by its ARN.
    pub fn appspec_for(&self, arn: &str) -> String {
        self.appspec.replace(PLACEHOLDER, arn)
    }
}
