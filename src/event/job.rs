//! The CI job that a run is, as GitLab's variables say it. Nothing here is a secret.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The CI job that a run is; all of it is absent outside of one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Job {
    /// `CI_PROJECT_PATH`
    pub project: Option<String>,
    /// `CI_COMMIT_SHA`
    pub commit: Option<String>,
    /// Who made the commit: the name of `CI_COMMIT_AUTHOR`.
    pub author: Option<String>,
    /// The commit's page, below `CI_PROJECT_URL`.
    pub commit_url: Option<String>,
    /// `CI_COMMIT_REF_NAME`: the branch or the tag.
    pub reference: Option<String>,
    /// `CI_PIPELINE_ID`
    pub pipeline_id: Option<String>,
    /// `CI_PIPELINE_URL`
    pub pipeline_url: Option<String>,
    /// `CI_JOB_ID`
    pub id: Option<String>,
    /// `CI_JOB_NAME`
    pub name: Option<String>,
    /// `CI_JOB_URL`
    pub url: Option<String>,
    /// `CI_ENVIRONMENT_NAME`
    pub environment: Option<String>,
}

impl Job {
    /// Reads GitLab's variables.
    pub fn read(variables: &dyn Fn(&str) -> Option<String>) -> Self {
        let variable = |name: &str| variables(name).filter(|value| !value.is_empty());
        // `Jane Doe <jane@example.com>`: a name is enough to ask somebody.
        let name = |author: String| author.split(" <").next().unwrap_or_default().to_owned();
        let commit = variable("CI_COMMIT_SHA");
        let page = |(project, sha): (String, &String)| format!("{}/-/commit/{sha}", project.trim_end_matches('/'));
        Self {
            project: variable("CI_PROJECT_PATH"),
            author: variable("CI_COMMIT_AUTHOR").map(name),
            commit_url: variable("CI_PROJECT_URL").zip(commit.as_ref()).map(page),
            commit,
            reference: variable("CI_COMMIT_REF_NAME"),
            pipeline_id: variable("CI_PIPELINE_ID"),
            pipeline_url: variable("CI_PIPELINE_URL"),
            id: variable("CI_JOB_ID"),
            name: variable("CI_JOB_NAME"),
            url: variable("CI_JOB_URL"),
            environment: variable("CI_ENVIRONMENT_NAME"),
        }
    }

    /// Whether nothing is known of it.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Returns what two jobs have in common, such as the pipeline of the shards of one deploy.
    #[must_use]
    pub fn common(&self, other: &Self) -> Self {
        let both = |a: &Option<String>, b: &Option<String>| a.clone().filter(|_| a == b);
        Self {
            project: both(&self.project, &other.project),
            commit: both(&self.commit, &other.commit),
            author: both(&self.author, &other.author),
            commit_url: both(&self.commit_url, &other.commit_url),
            reference: both(&self.reference, &other.reference),
            pipeline_id: both(&self.pipeline_id, &other.pipeline_id),
            pipeline_url: both(&self.pipeline_url, &other.pipeline_url),
            id: both(&self.id, &other.id),
            name: both(&self.name, &other.name),
            url: both(&self.url, &other.url),
            environment: both(&self.environment, &other.environment),
        }
    }
}
