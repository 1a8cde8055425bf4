//! The sandbox's pretend GitLab: its job, its ID tokens and the key set that vouches for them.
//!
//! The claims are those of `doc/ci/secrets/id_token_authentication.md`; AWS session tags and source identity are not
//! among them, as GitLab does not send any.

use std::time::Duration;

use secrecy::SecretString;
use serde_json::{Map, Value, json};

use crate::sandbox::jwt::SigningKey;
use crate::sandbox::moment::Moment;
use crate::sandbox::rng::Chance;

/// The pretend GitLab's host: the name of the OIDC provider in every account.
pub const ISSUER_HOST: &str = "gitlab.sandbox.test";

/// The audience of the sandbox's tokens and of its OIDC providers.
pub const AUDIENCE: &str = "https://gitlab.sandbox.test";

/// The project that the pretend job runs in.
pub const PROJECT_PATH: &str = "acme/shop";

const PROJECT_ID: &str = "4711";
const PIPELINE_ID: &str = "100200";
const JOB_ID: &str = "300400";
const COMMIT_SHA: &str = "5f2c9d7be0a14c3f8b6d2e91a7c4f05d3b8e6a12";

/// What an ID token claims. The default is what a job on the default branch gets.
#[derive(Clone, Debug)]
pub struct Claims {
    /// `iss`, with its scheme.
    pub issuer: String,
    /// `aud`; several make a list, none leaves the claim out.
    pub audience: Vec<String>,
    /// `sub`.
    pub subject: String,
    /// How long the token is valid: the job's timeout.
    pub lifetime: Duration,
    /// How far in the future it begins to be valid; GitLab back-dates `nbf` by five seconds.
    pub delay: Duration,
    /// Signs with a key that the issuer's key set does not have.
    pub forged: bool,
    /// Claims to add or, where the value is null, to leave out.
    pub overrides: Map<String, Value>,
}

impl Default for Claims {
    fn default() -> Self {
        Self {
            issuer: format!("https://{ISSUER_HOST}"),
            audience: vec![AUDIENCE.to_owned()],
            subject: format!("project_path:{PROJECT_PATH}:ref_type:branch:ref:main"),
            lifetime: Duration::from_secs(3600),
            delay: Duration::ZERO,
            forged: false,
            overrides: Map::new(),
        }
    }
}

/// The token issuer.
#[derive(Debug)]
pub(crate) struct Issuer {
    key: SigningKey,
    stranger: SigningKey,
}

impl Issuer {
    pub(crate) fn new() -> Self {
        Self { key: SigningKey::generate("sandbox-1"), stranger: SigningKey::generate("sandbox-1") }
    }

    /// Returns the public keys.
    pub(crate) fn key_set(&self) -> Value {
        json!({ "keys": [self.key.public()] })
    }

    /// Returns `.well-known/openid-configuration`.
    pub(crate) fn discovery(&self) -> Value {
        let issuer = format!("https://{ISSUER_HOST}");
        json!({
            "issuer": issuer,
            "jwks_uri": format!("{issuer}/oauth/discovery/keys"),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256", "ES256"],
        })
    }

    /// Signs a token.
    pub(crate) fn token(&self, claims: &Claims, now: Moment, chance: Chance) -> SecretString {
        let now = now / 1000 + claims.delay.as_secs();
        let mut body = json!({
            "namespace_id": "72", "namespace_path": "acme", "project_id": PROJECT_ID, "project_path": PROJECT_PATH,
            "job_namespace_id": "72", "job_namespace_path": "acme",
            "job_project_id": PROJECT_ID, "job_project_path": PROJECT_PATH,
            "user_id": "7", "user_login": "sandbox", "user_email": "sandbox@example.com", "user_access_level": "maintainer",
            "pipeline_id": PIPELINE_ID, "pipeline_source": "push", "job_id": JOB_ID,
            "ref": "main", "ref_type": "branch", "ref_path": "refs/heads/main", "ref_protected": "true",
            "runner_id": 1, "runner_environment": "self-hosted", "sha": COMMIT_SHA, "project_visibility": "private",
            "jti": chance.uuid(&format!("jti/{now}")),
            "iss": claims.issuer, "iat": now, "nbf": now.saturating_sub(5), "exp": now + claims.lifetime.as_secs(),
            "sub": claims.subject,
        });
        if let Some(map) = body.as_object_mut() {
            match claims.audience.as_slice() {
                [] => {}
                [one] => drop(map.insert("aud".into(), json!(one))),
                several => drop(map.insert("aud".into(), json!(several))),
            }
            for (name, value) in &claims.overrides {
                if value.is_null() {
                    map.shift_remove(name);
                } else {
                    map.insert(name.clone(), value.clone());
                }
            }
        }
        let key = if claims.forged { &self.stranger } else { &self.key };
        key.sign(&body).into()
    }
}

/// Returns the predefined variables of the pretend job, name and value. The ID token is not among them.
pub(crate) fn job_variables() -> Vec<(&'static str, &'static str)> {
    vec![
        ("CI", "true"),
        ("GITLAB_CI", "true"),
        ("CI_COMMIT_BRANCH", "main"),
        ("CI_COMMIT_REF_NAME", "main"),
        ("CI_COMMIT_REF_PROTECTED", "true"),
        ("CI_COMMIT_REF_SLUG", "main"),
        ("CI_COMMIT_SHA", COMMIT_SHA),
        ("CI_COMMIT_SHORT_SHA", "5f2c9d7b"),
        ("CI_COMMIT_TIMESTAMP", "2026-11-02T08:41:07+00:00"),
        ("CI_COMMIT_TITLE", "Add the spring sale"),
        ("CI_DEFAULT_BRANCH", "main"),
        ("CI_JOB_ID", JOB_ID),
        ("CI_JOB_NAME", "deploy"),
        ("CI_JOB_STAGE", "deploy"),
        ("CI_JOB_TIMEOUT", "3600"),
        ("CI_JOB_URL", "https://gitlab.sandbox.test/acme/shop/-/jobs/300400"),
        ("CI_PIPELINE_ID", PIPELINE_ID),
        ("CI_PIPELINE_IID", "42"),
        ("CI_PIPELINE_SOURCE", "push"),
        ("CI_PIPELINE_URL", "https://gitlab.sandbox.test/acme/shop/-/pipelines/100200"),
        ("CI_PROJECT_ID", PROJECT_ID),
        ("CI_PROJECT_NAME", "shop"),
        ("CI_PROJECT_NAMESPACE", "acme"),
        ("CI_PROJECT_PATH", PROJECT_PATH),
        ("CI_PROJECT_URL", "https://gitlab.sandbox.test/acme/shop"),
        ("CI_REGISTRY_IMAGE", "registry.sandbox.test/acme/shop"),
        ("CI_SERVER_HOST", ISSUER_HOST),
        ("CI_SERVER_URL", AUDIENCE),
        ("GITLAB_USER_LOGIN", "sandbox"),
    ]
}
