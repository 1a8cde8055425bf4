//! `gitlab:`: what GitLab is told of a run, besides the job's log.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::manifest::interpolate::Template;
use crate::manifest::spanned::Spanned;

/// What is recorded in GitLab. If GitLab refuses it, the run goes on.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GitLab {
    /// Deployments in GitLab's environments, in addition to that of the job's own `environment:`. Only in a GitLab job,
    /// with its `CI_JOB_TOKEN`.
    pub deployments: Option<Spanned<Deployments>>,
}

/// The GitLab environments of a run's deployments.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Deployments {
    /// The environment of an account, such as `aws/${account.name}`; `${account.id}`, `${account.name}` and
    /// `${vars.x}` are known. Accounts with the same environment share one deployment. GitLab creates environments that do
    /// not exist.
    #[schemars(required)]
    pub environment: Option<Spanned<Template>>,
    /// The tier of that environment: `production`, `staging`, `testing`, `development` or `other`. It may differ by account,
    /// as in `${vars.tier:-other}`. GitLab's DORA metrics count each deployment of the tier `production`, so let one
    /// environment have it, which may be the job's own. Default: by the account's label `tier`, `env`, `environment` or
    /// `stage`, and `other` for what is none of the lower tiers.
    pub tier: Option<Spanned<Template>>,
}
