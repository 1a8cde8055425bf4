//! Which GitLab jobs may begin a role chain: what the trust policies of `roleout iam` are written from.
//!
//! A run itself does not look at it: STS decides by the live trust policies.

/// The jobs of GitLab projects that may assume the first role of every chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allow {
    /// The issuer of the ID tokens: the GitLab instance's URL. `None` where neither the manifest nor the job says.
    pub issuer: Option<String>,
    /// The tokens' `aud`; `None` = the issuer's URL.
    pub audience: Option<String>,
    /// What the tokens' `sub` begins with, for each project. All are of one kind.
    pub subjects: Vec<Subject>,
    /// The projects' numeric ids. A condition of its own on gitlab.com.
    pub project_ids: Vec<String>,
    /// Branches, with `*` and `?`.
    pub branches: Vec<String>,
    /// Tags, with `*` and `?`.
    pub tags: Vec<String>,
    /// Only protected branches and tags.
    pub ref_protected: bool,
    /// Only jobs with a protected environment.
    pub environment_protected: bool,
    /// Only jobs with an environment of one of these tiers.
    pub deployment_tier: Vec<String>,
}

/// By what a token's `sub` names its project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// `project_path:GROUP/PROJECT`: GitLab's default.
    Path(String),
    /// `project_id:NUMBER`: where the project's `ci_id_token_sub_claim_components` begin with `project_id`.
    Id(String),
}

impl Allow {
    /// Returns the tokens' `aud`, where it or the issuer is known.
    pub fn audience(&self) -> Option<&str> {
        self.audience.as_deref().or(self.issuer.as_deref())
    }
}
