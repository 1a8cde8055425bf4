//! `codedeploy:` as it is written.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::manifest::interpolate::Template;
use crate::manifest::scalar::Count;
use crate::manifest::spanned::Spanned;

/// How a service whose deployment controller is CODE_DEPLOY is deployed.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CodeDeploy {
    /// The CodeDeploy application.
    #[schemars(required)]
    pub application: Option<Spanned<Template>>,
    /// The deployment group that deploys the service.
    #[schemars(required)]
    pub deployment_group: Option<Spanned<Template>>,
    /// The deployment configuration, such as `CodeDeployDefault.ECSCanary10Percent5Minutes`. Default: the group's.
    pub config: Option<Spanned<Template>>,
    /// The container that takes the traffic. Required unless there is an `appspec`.
    pub container: Option<Spanned<Template>>,
    /// Its port. Required unless there is an `appspec`.
    pub port: Option<Spanned<Count>>,
    /// The path of an AppSpec, JSON or YAML, relative to the manifest, in which `<TASK_DEFINITION>` stands for the task
    /// definition's ARN and the target's own names, such as `${region}`, are put in. Default: one is made of `container`
    /// and `port`.
    pub appspec: Option<Spanned<Template>>,
}
