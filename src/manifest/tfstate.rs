//! `tfstate:` as it is written: where the Terraform states are that `${tfstate:...}` looks into.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::manifest::interpolate::Template;
use crate::manifest::spanned::Spanned;

/// Where a Terraform state is: one of `file`, `gitlab` and `s3`. `${account.id}`, `${account.name}`, `${vars.x}` and `${region}` are the
/// target's.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TfState {
    /// The path of a state file, relative to the manifest, such as an artifact of an earlier job.
    pub file: Option<Spanned<Template>>,
    /// A state that GitLab manages.
    pub gitlab: Option<Spanned<GitLabState>>,
    /// A state in S3, with the names that Terraform's own backend has for it.
    pub s3: Option<Spanned<S3State>>,
}

/// A state in S3, read with a session of the target's account.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct S3State {
    /// The bucket's name. One of another account must allow the target's role in its policy.
    #[schemars(required)]
    pub bucket: Option<Spanned<Template>>,
    /// The object's whole key. That of a workspace is `env:/WORKSPACE/KEY`.
    #[schemars(required)]
    pub key: Option<Spanned<Template>>,
    /// The bucket's region. Default: the target's.
    pub region: Option<Spanned<Template>>,
}

/// A state that GitLab manages, read with the job's own token.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GitLabState {
    /// The state's name.
    #[schemars(required)]
    pub state: Option<Spanned<Template>>,
    /// The project's id or path. Default: the job's own. Another project must allow this one in its job token permissions.
    pub project: Option<Spanned<Template>>,
}
