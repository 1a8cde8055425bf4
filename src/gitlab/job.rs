//! The GitLab job that runs this, as its variables describe it. Pure.

/// What the Deployments API wants to know of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// `CI_API_V4_URL`
    pub api: String,
    /// `CI_PROJECT_ID`
    pub project: String,
    /// `CI_COMMIT_SHA`
    pub commit: String,
    /// `CI_COMMIT_REF_NAME`
    pub ref_name: String,
    /// Whether `CI_COMMIT_TAG` is there: the ref is a tag.
    pub tag: bool,
}

/// The merge request for which a job runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MergeRequest {
    /// `CI_API_V4_URL`
    pub api: String,
    /// `CI_MERGE_REQUEST_PROJECT_ID`: the project that has the merge request, which a fork's pipeline is not in.
    pub project: String,
    /// `CI_MERGE_REQUEST_IID`
    pub iid: String,
    /// The first characters of its commit: `CI_MERGE_REQUEST_SOURCE_BRANCH_SHA` where GitLab merged it with the target
    /// branch for the pipeline, and `CI_COMMIT_SHA`.
    pub commit: Option<String>,
    /// `CI_JOB_URL`, where it can stand in a link of Markdown's.
    pub job: Option<String>,
}

/// How many characters of a commit GitLab shows.
const SHORT: usize = 8;

/// A look at one variable: an empty one counts as not there.
type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

impl Job {
    /// Reads the variables of a job.
    ///
    /// # Errors
    /// Names the variables that are not set: all of them, where this is no job of GitLab's.
    pub fn read(variables: Variables<'_>) -> Result<Self, Vec<&'static str>> {
        let mut missing = Vec::new();
        let mut read = |name| required(variables, name, &mut missing);
        let job = Self {
            api: read("CI_API_V4_URL"),
            project: read("CI_PROJECT_ID"),
            commit: read("CI_COMMIT_SHA"),
            ref_name: read("CI_COMMIT_REF_NAME"),
            tag: given(variables, "CI_COMMIT_TAG").is_some(),
        };
        if missing.is_empty() { Ok(job) } else { Err(missing) }
    }
}

impl MergeRequest {
    /// Reads the variables of a merge request pipeline; `None` in any other.
    pub fn read(variables: Variables<'_>) -> Option<Self> {
        let project = given(variables, "CI_MERGE_REQUEST_PROJECT_ID").or_else(|| given(variables, "CI_PROJECT_ID"));
        let commit =
            given(variables, "CI_MERGE_REQUEST_SOURCE_BRANCH_SHA").or_else(|| given(variables, "CI_COMMIT_SHA"));
        let link = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/?#@!$&*+,;=%".contains(&byte);
        Some(Self {
            commit: commit
                .filter(|commit| commit.bytes().all(|byte| byte.is_ascii_hexdigit()))
                .map(|commit| commit.chars().take(SHORT).collect()),
            job: given(variables, "CI_JOB_URL").filter(|url| url.starts_with("http") && url.bytes().all(link)),
            api: given(variables, "CI_API_V4_URL")?,
            project: project?,
            iid: given(variables, "CI_MERGE_REQUEST_IID")?,
        })
    }
}

/// Returns a variable that is neither unset nor empty.
pub fn given(variables: Variables<'_>, name: &str) -> Option<String> {
    variables(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
}

fn required(variables: Variables<'_>, name: &'static str, missing: &mut Vec<&'static str>) -> String {
    given(variables, name).unwrap_or_else(|| {
        missing.push(name);
        String::new()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_read_whole_or_its_gaps_are_named() {
        let known = [
            ("CI_API_V4_URL", "https://gitlab.example.com/api/v4"),
            ("CI_PROJECT_ID", "7"),
            ("CI_COMMIT_SHA", "5f2c9d7be0a14c3f8b6d2e91a7c4f05d3b8e6a12"),
            ("CI_COMMIT_REF_NAME", "main"),
            ("CI_MERGE_REQUEST_IID", "12"),
        ];
        let without = |gone: &'static str| {
            move |name: &str| known.iter().find(|it| it.0 == name && name != gone).map(|it| it.1.to_owned())
        };
        let job = Job::read(&without("")).expect("a job");
        assert_eq!((job.project.as_str(), job.ref_name.as_str(), job.tag), ("7", "main", false));
        assert_eq!(Job::read(&without("CI_COMMIT_SHA")), Err(vec!["CI_COMMIT_SHA"]));
        assert_eq!(Job::read(&|_| Some(" ".to_owned())).expect_err("empty is unset").len(), 4);

        let request = MergeRequest::read(&without("")).expect("a merge request");
        assert_eq!((request.project.as_str(), request.iid.as_str()), ("7", "12"));
        assert_eq!((request.commit.as_deref(), request.job.as_deref()), (Some("5f2c9d7b"), None));
        let with = |name: &str| match name {
            "CI_JOB_URL" => Some("https://gitlab.example.com/p/-/jobs/9".into()),
            "CI_MERGE_REQUEST_SOURCE_BRANCH_SHA" => Some("aaaaaaaaaaaaaaaa".into()),
            _ => without("")(name),
        };
        let merged = MergeRequest::read(&with).expect("a merge request");
        assert_eq!(merged.commit.as_deref(), Some("aaaaaaaa"), "and not the commit that GitLab made");
        assert_eq!(merged.job.as_deref(), Some("https://gitlab.example.com/p/-/jobs/9"));
        let odd = |name: &str| if name == "CI_JOB_URL" { Some("https://x/) [y](z".into()) } else { without("")(name) };
        assert_eq!(MergeRequest::read(&odd).expect("one").job, None);
        assert_eq!(MergeRequest::read(&without("CI_MERGE_REQUEST_IID")), None);
        let fork =
            |name: &str| if name == "CI_MERGE_REQUEST_PROJECT_ID" { Some("3".into()) } else { without("")(name) };
        assert_eq!(MergeRequest::read(&fork).expect("one").project, "3", "the project that has the merge request");
    }
}
