//! `gitlab:`: what GitLab is told of a run, besides the job's log.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::manifest::interpolate::Template;
use crate::manifest::spanned::Spanned;

/// What GitLab is told of a run. What it does not take changes nothing.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GitLab {
    /// Deployments that GitLab's environments show, beside the one of the job's own `environment:`. Only in a job of
    /// GitLab's, with its `CI_JOB_TOKEN`.
    pub deployments: Option<Spanned<Deployments>>,
}

/// Which environments GitLab shows the deployments of a run in.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Deployments {
    /// The environment of an account, such as `production/${account.name}`; `${account.id}`, `${account.name}` and
    /// `${vars.x}` are known. Accounts with the same one have one deployment. GitLab makes it where there is none.
    #[schemars(required)]
    pub environment: Option<Spanned<Template>>,
}
