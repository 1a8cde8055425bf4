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
        Self {
            project: variable("CI_PROJECT_PATH"),
            author: variable("CI_COMMIT_AUTHOR").and_then(|author| name_of(&author)),
            commit_url: page_of(&variable),
            commit: variable("CI_COMMIT_SHA"),
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

/// Returns the name of `Name <address>`: it is enough to ask somebody.
fn name_of(author: &str) -> Option<String> {
    let name = author.split('<').next().unwrap_or_default().trim();
    (!name.is_empty()).then(|| name.to_owned())
}

/// Returns the address of the commit's page, below the project's, which an address of the job or the pipeline tells, too.
fn page_of(variable: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let part = |name: &str| variable(name).and_then(|url| Some(url.split_once("/-/")?.0.to_owned()));
    let project = variable("CI_PROJECT_URL").or_else(|| part("CI_JOB_URL")).or_else(|| part("CI_PIPELINE_URL"))?;
    Some(format!("{}/-/commit/{}", project.trim_end_matches('/'), variable("CI_COMMIT_SHA")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_author_is_a_name_and_a_commit_has_a_page() {
        assert_eq!(name_of("Ada Lovelace <ada@example.com>").as_deref(), Some("Ada Lovelace"));
        assert_eq!((name_of("ada").as_deref(), name_of("<ada@example.com>")), (Some("ada"), None));
        let page = |known: &[(&str, &str)]| {
            let value =
                |name: &str| known.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
            Job::read(&value).commit_url
        };
        let sha = ("CI_COMMIT_SHA", "5f2c9d7b");
        let wanted = Some("https://gitlab.example.com/a/b/-/commit/5f2c9d7b".to_owned());
        assert_eq!(page(&[sha, ("CI_PROJECT_URL", "https://gitlab.example.com/a/b/")]), wanted);
        assert_eq!(page(&[sha, ("CI_JOB_URL", "https://gitlab.example.com/a/b/-/jobs/7")]), wanted);
        assert_eq!(page(&[sha, ("CI_PIPELINE_URL", "https://gitlab.example.com/a/b/-/pipelines/7")]), wanted);
        assert_eq!(page(&[sha]), None);
        assert_eq!(page(&[("CI_PROJECT_URL", "https://gitlab.example.com/a/b")]), None);
    }
}
