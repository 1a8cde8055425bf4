//! `identity.allow:`: which GitLab jobs may assume the first role of every chain.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::manifest::scalar::{Flag, Scalar};
use crate::manifest::spanned::Spanned;

/// Which GitLab jobs may assume the first role of every chain: what `roleout iam` writes trust policies from. A run does not
/// look at it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Allow {
    /// The project's path, such as `acme/shop`.
    pub project: Option<Spanned<String>>,
    /// The project's numeric id. On gitlab.com it is a condition besides the path, so that whoever gets the path one day does
    /// not get the role. Without `project`, tokens must begin their `sub` with it.
    pub project_id: Option<Spanned<Scalar>>,
    /// By what a token's `sub` names the project. `project_id` needs `ci_id_token_sub_claim_components` of the project to begin
    /// with it. Default: `project_path`, or `project_id` where only that is given.
    pub sub: Option<Spanned<SubjectForm>>,
    /// Branches, such as `main` or `release/*`.
    pub branches: Option<Spanned<Vec<Spanned<String>>>>,
    /// Tags, such as `v*`.
    pub tags: Option<Spanned<Vec<Spanned<String>>>>,
    /// `true`: only protected branches and tags. Elsewhere than on gitlab.com the project's `sub` must have the component
    /// `ref_protected`.
    pub ref_protected: Option<Spanned<Flag>>,
    /// `true`: only jobs with a protected environment. The project's `sub` must have the component `environment_protected`.
    pub environment_protected: Option<Spanned<Flag>>,
    /// Only jobs with an environment of one of these tiers, such as `production`. The project's `sub` must have the component
    /// `deployment_tier`. No token tells AWS an environment's name.
    pub deployment_tier: Option<Spanned<Vec<Spanned<String>>>>,
    /// The tokens' `aud`, as `id_tokens` in .gitlab-ci.yml has it. Default: the issuer's URL.
    pub audience: Option<Spanned<String>>,
}

/// By what a token's `sub` names its project.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SubjectForm {
    /// `project_path:acme/shop`
    ProjectPath,
    /// `project_id:4711`
    ProjectId,
}
