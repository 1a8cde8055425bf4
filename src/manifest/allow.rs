//! `identity.allow:`: which GitLab jobs may assume the first role of every chain.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::manifest::scalar::{Flag, Scalar};
use crate::manifest::spanned::Spanned;

/// Which GitLab jobs may assume the first role of every chain. `roleout iam` writes trust policies from it. A run does not
/// use it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Allow {
    /// The project's path, such as `acme/shop`.
    pub project: Option<Spanned<String>>,
    /// The paths of several projects, all with the same branches, tags and tiers.
    pub projects: Option<Spanned<Vec<Spanned<String>>>>,
    /// The project's numeric id. On gitlab.com it is a condition in addition to the path, so that a project that gets the
    /// path later does not get the role. Without `project`, the `sub` of the tokens must begin with it.
    pub project_id: Option<Spanned<Scalar>>,
    /// The numeric ids of several projects: one for each of `projects`.
    pub project_ids: Option<Spanned<Vec<Spanned<Scalar>>>>,
    /// How a token's `sub` names the project. For `project_id`, the project's `ci_id_token_sub_claim_components` must begin
    /// with it. Default: `project_path`, or `project_id` if only that is given.
    pub sub: Option<Spanned<SubjectForm>>,
    /// Branches, such as `main` or `release/*`.
    pub branches: Option<Spanned<Vec<Spanned<String>>>>,
    /// Tags, such as `v*`.
    pub tags: Option<Spanned<Vec<Spanned<String>>>>,
    /// `true`: only protected branches and tags. On other hosts than gitlab.com, the project's `sub` must have the
    /// component `ref_protected`.
    pub ref_protected: Option<Spanned<Flag>>,
    /// `true`: only jobs with a protected environment. The project's `sub` must have the component `environment_protected`.
    pub environment_protected: Option<Spanned<Flag>>,
    /// Only jobs with an environment of one of these tiers, such as `production`. The project's `sub` must have the
    /// component `deployment_tier`. AWS cannot see an environment's name in a token.
    pub deployment_tier: Option<Spanned<Vec<Spanned<String>>>>,
    /// The tokens' `aud`, as in `id_tokens` of .gitlab-ci.yml. Default: the issuer's URL.
    pub audience: Option<Spanned<String>>,
}

/// How a token's `sub` names its project.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SubjectForm {
    /// `project_path:acme/shop`
    ProjectPath,
    /// `project_id:4711`
    ProjectId,
}
