//! Who a job is to container registries: what GitLab gives it, and `DOCKER_AUTH_CONFIG`.
//!
//! Nothing here is printed, and each password is held as a secret as soon as it is read. A password goes to the registry that
//! it is for, and to where that one sends for tokens, as Docker does.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::SecretString;
use serde_json::Value;

use crate::base::secrets;

/// Docker's own registry, by all its names.
const DOCKER: [&str; 4] = ["docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"];
/// Where Docker's own registry answers.
pub const DOCKER_HUB: &str = "registry-1.docker.io";

/// Values of `Authorization`, by the registry's host.
#[derive(Clone, Debug, Default)]
pub struct Keychain(BTreeMap<String, SecretString>);

impl Keychain {
    /// Reads the job's variables. What `DOCKER_AUTH_CONFIG` says of a registry comes first.
    pub fn read(variable: &dyn Fn(&str) -> Option<String>) -> Self {
        let given = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        let mut keys = Self::default();
        if let Some(host) = given("CI_REGISTRY") {
            let of_job = || Some(("gitlab-ci-token".to_owned(), given("CI_JOB_TOKEN")?));
            let own = given("CI_REGISTRY_USER").zip(given("CI_REGISTRY_PASSWORD")).or_else(of_job);
            if let Some((user, password)) = own {
                keys.add(&host, &user, &password);
            }
        }
        let config = given("DOCKER_AUTH_CONFIG").and_then(|text| serde_json::from_str::<Value>(&text).ok());
        for (host, entry) in config.iter().filter_map(|config| config["auths"].as_object()).flatten() {
            let pair = entry["auth"].as_str().and_then(decoded);
            let parts = || Some((entry["username"].as_str()?.to_owned(), entry["password"].as_str()?.to_owned()));
            if let Some((user, password)) = pair.or_else(parts) {
                keys.add(host, &user, &password);
            }
        }
        keys
    }

    fn add(&mut self, host: &str, user: &str, password: &str) {
        let pair = STANDARD.encode(format!("{user}:{password}"));
        secrets::hold(password);
        secrets::hold(&pair);
        self.0.insert(host_of(host).to_owned(), SecretString::from(format!("Basic {pair}")));
    }

    /// Returns the value of `Authorization` for a registry.
    pub fn find(&self, host: &str) -> Option<&SecretString> {
        self.0.get(host_of(host))
    }
}

/// Returns the host of a registry as it is written in a configuration: perhaps with a scheme, and with a path.
fn host_of(text: &str) -> &str {
    let text = text.trim();
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let host = rest.split('/').next().unwrap_or(rest);
    if DOCKER.contains(&host) { DOCKER_HUB } else { host }
}

fn decoded(pair: &str) -> Option<(String, String)> {
    let text = String::from_utf8(STANDARD.decode(pair.trim()).ok()?).ok()?;
    text.split_once(':').map(|(user, password)| (user.to_owned(), password.to_owned()))
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn keys(variables: &[(&str, &str)]) -> Keychain {
        let find =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        Keychain::read(&find)
    }

    #[test]
    fn each_registry_gets_its_own_password_and_no_other() {
        let config = r#"{"auths":{"https://index.docker.io/v1/":{"auth":"am9lOnNlY3JldC1vZi1odWI="},
            "harbor.example.com:8443":{"username":"robot","password":"secret-of-harbor"},"broken.example.com":{"auth":"!"}}}"#;
        let job = [("CI_REGISTRY", "registry.gitlab.com"), ("CI_JOB_TOKEN", "glcbt-0123456789")];
        let all = keys(&[&job[..], &[("DOCKER_AUTH_CONFIG", config)]].concat());
        let found = |host: &str| all.find(host).map(|key| key.expose_secret().to_owned());
        assert_eq!(found("docker.io").as_deref(), Some("Basic am9lOnNlY3JldC1vZi1odWI="));
        let pair = |text: &str| Some(format!("Basic {}", STANDARD.encode(text)));
        assert_eq!(found("harbor.example.com:8443"), pair("robot:secret-of-harbor"));
        assert_eq!(found("registry.gitlab.com"), pair("gitlab-ci-token:glcbt-0123456789"));
        assert_eq!((found("broken.example.com"), found("harbor.example.com")), (None, None));
        assert!(!format!("{all:?}").contains("c2VjcmV0"), "{all:?}");
        let own = [("CI_REGISTRY_USER", "user"), ("CI_REGISTRY_PASSWORD", "password-of-job")];
        let found = keys(&[&job[..], &own].concat());
        let found = found.find("registry.gitlab.com").map(|key| key.expose_secret().to_owned());
        assert_eq!(found, pair("user:password-of-job"));
    }
}
