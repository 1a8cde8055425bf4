//! The job that made a saved plan, and whether another may carry it out.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The job that made a plan, as GitLab's variables say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// `CI_PROJECT_ID`
    pub project: Option<String>,
    /// `CI_PIPELINE_ID`
    pub pipeline: Option<String>,
    /// `CI_COMMIT_SHA`
    pub commit: Option<String>,
}

impl Origin {
    /// Reads the variables of a job.
    pub fn read(variables: &dyn Fn(&str) -> Option<String>) -> Self {
        let given = |name: &str| variables(name).map(|it| it.trim().to_owned()).filter(|it| !it.is_empty());
        Self { project: given("CI_PROJECT_ID"), pipeline: given("CI_PIPELINE_ID"), commit: given("CI_COMMIT_SHA") }
    }

    /// Whether nothing is known of it.
    pub(super) fn is_unknown(&self) -> bool {
        *self == Self::default()
    }

    /// Compares the job that made a plan with the one that carries it out. Returns what a person should know.
    ///
    /// # Errors
    /// The plan was made in another project.
    pub fn check(&self, now: &Self) -> Result<Option<String>, String> {
        let known = |text: &Option<String>| text.clone().unwrap_or_else(|| "?".to_owned());
        if self.project != now.project && self.project.is_some() && now.project.is_some() {
            let (made, now) = (known(&self.project), known(&now.project));
            return Err(format!("the saved plan was made in the project {made}, and this job is of the project {now}"));
        }
        let parts = [
            ("project", &self.project, &now.project),
            ("pipeline", &self.pipeline, &now.pipeline),
            ("commit", &self.commit, &now.commit),
        ];
        let others: Vec<String> = parts
            .iter()
            .filter(|(_, made, now)| made != now)
            .map(|(what, made, now)| format!("{what} {} and not {}", known(made), known(now)))
            .collect();
        Ok((!others.is_empty()).then(|| format!("the saved plan was made by another job: {}", others.join(", "))))
    }
}
