//! Credentials: which variables of a job hold one, so that no `${NAME}` of a manifest puts it into a plan, a note or a report.
//!
//! Whoever changes the manifest need not be allowed to change the CI file. Pure; no message repeats a value.

use crate::base::redact;
use crate::manifest::fault::Problem;

/// The variables of GitLab, AWS and roleout that hold a credential, whatever the manifest calls its own.
const NAMES: [&str; 13] = [
    "GITLAB_OIDC_TOKEN",
    "ROLEOUT_GITLAB_TOKEN",
    "GITLAB_TOKEN",
    "CI_JOB_TOKEN",
    "CI_REPOSITORY_URL",
    "CI_BUILD_TOKEN",
    "CI_REGISTRY_PASSWORD",
    "CI_DEPLOY_PASSWORD",
    "CI_DEPENDENCY_PROXY_PASSWORD",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
];
/// What the names of such variables begin with, without case.
const PREFIXES: [&str; 1] = ["CI_JOB_JWT"];
/// What the names of ID tokens end with, without case.
const SUFFIXES: [&str; 2] = ["ID_TOKEN", "OIDC_TOKEN"];
/// A shorter value is in too many others to tell anything.
const SHORTEST: usize = 8;

/// The credentials of one job.
#[derive(Default)]
pub struct Credentials {
    token: String,
    others: Vec<String>,
    values: Vec<String>,
}

impl Credentials {
    /// Collects them: `token` is the variable of the ID token, `others` are those that the manifest names besides.
    pub fn new(token: String, others: Vec<String>, variables: &dyn Fn(&str) -> Option<String>) -> Self {
        let names = NAMES.iter().copied().chain([token.as_str()]).chain(others.iter().map(String::as_str));
        // An access key's id and the repository's address hold more than a secret, and are known by their names.
        let values = names.filter(|name| !matches!(*name, "AWS_ACCESS_KEY_ID" | "CI_REPOSITORY_URL"));
        let values = values.filter_map(variables).map(|value| value.trim().to_owned());
        let values = values.filter(|value| value.len() >= SHORTEST).collect();
        Self { token, others, values }
    }

    /// Whether one of them, or what looks like one, is in a text.
    pub fn is_in(&self, text: &str) -> bool {
        redact::holds_token(text) || self.values.iter().any(|held| text.contains(held))
    }

    /// Returns why a variable cannot be put into a manifest, if so. Never repeats the value.
    pub fn refuse(&self, name: &str, value: Option<&str>) -> Option<Problem> {
        let needle = format!("${{{name}");
        if name == self.token {
            return Some(Problem::new(
                needle,
                format!("`${{{name}}}` is the ID token, and the token never passes through the manifest"),
                format!("name the variable instead: `identity: {{ token_env: {name} }}`"),
            ));
        }
        let upper = name.to_ascii_uppercase();
        let is_named = NAMES.contains(&upper.as_str())
            || PREFIXES.iter().any(|prefix| upper.starts_with(prefix))
            || SUFFIXES.iter().any(|suffix| upper.ends_with(suffix))
            || self.others.iter().any(|other| other == name);
        if !is_named && !value.is_some_and(|value| self.is_in(value)) {
            return None;
        }
        Some(Problem::new(
            needle,
            format!(
                "`${{{name}}}` holds a credential, and a manifest cannot read one: plans and reports would show it"
            ),
            "keep the secret in Secrets Manager or SSM, and name its ARN under `secrets`",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(name: &str) -> Option<String> {
        let value = match name {
            "MY_TOKEN" => "held-by-the-manifest",
            "HOOK" => "https://hooks.example/services/T0/B0/x",
            "COPY" => "x held-by-the-manifest y",
            "PAT" => concat!("glpat", "-abcdefghijklmnop"),
            "JWT" => "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln",
            "CI_COMMIT_SHA" => "0123456789abcdef0123456789abcdef01234567",
            _ => return None,
        };
        Some(value.to_owned())
    }

    #[test]
    fn credentials_are_refused_by_name_and_by_value() {
        let credentials = Credentials::new("MY_TOKEN".into(), vec!["HOOK".into()], &variables);
        let own = ["MY_TOKEN", "HOOK", "COPY", "PAT", "JWT", "CI_JOB_JWT_V2", "VAULT_ID_TOKEN", "gitlab_oidc_token"];
        for name in NAMES.into_iter().chain(own) {
            let value = variables(name);
            let problem = credentials.refuse(name, value.as_deref()).expect(name);
            let text = format!("{} {}", problem.message, problem.help);
            assert!(value.is_none_or(|value| !text.contains(&value)), "{name}: {text}");
        }
        for name in ["CI_COMMIT_SHA", "IMAGE_TAG", "UNSET", "CI_REGISTRY_IMAGE", "TOKEN_COUNT"] {
            assert_eq!(credentials.refuse(name, variables(name).as_deref()), None, "{name}");
        }
    }
}
