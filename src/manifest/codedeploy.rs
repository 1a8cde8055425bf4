//! `codedeploy:` as it is written.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::manifest::interpolate::Template;
use crate::manifest::scalar::Count;
use crate::manifest::spanned::Spanned;

/// How CodeDeploy deploys a service with the deployment controller CODE_DEPLOY.
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
    /// The container that gets the traffic. Required unless there is an `appspec`.
    pub container: Option<Spanned<Template>>,
    /// Its port. Required unless there is an `appspec`.
    pub port: Option<Spanned<Count>>,
    /// The path of an AppSpec, JSON or YAML, relative to the manifest. `<TASK_DEFINITION>` in it stands for the task
    /// definition's ARN, and the target's own names, such as `${region}`, are filled in. Default: an AppSpec made from
    /// `container` and `port`.
    pub appspec: Option<Spanned<Template>>,
}
