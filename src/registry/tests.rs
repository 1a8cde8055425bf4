use serde_json::{Value, json};

use super::*;
use crate::web::pretended::{Arrived, Fate, Server};

const IMAGE: &str = "registry.gitlab.com/acme/shop/api:2.1.0";
const CHALLENGE: &str =
    r#"Bearer realm="https://gitlab.com/jwt/auth",service="container_registry",scope="repository:acme/shop/api:pull""#;

fn keys() -> Keychain {
    let variables = [("CI_REGISTRY", "registry.gitlab.com"), ("CI_JOB_TOKEN", "glcbt-of-the-job")];
    Keychain::read(&|name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
}

fn index() -> Value {
    json!({ "manifests": [{ "platform": { "os": "linux", "architecture": "arm64" } }] })
}

fn is_let_in(asked: &Arrived) -> bool {
    asked.tokens.iter().any(|(_, value)| value == "Bearer a-token-of-gitlab")
}

/// GitLab: a registry that sends to another host for a token, and gives one to whoever has the job's.
fn gitlab(answer: impl Fn(&str) -> Fate + Send + Sync + 'static) -> Server {
    Server::new(move |asked, _| match asked.line.strip_prefix("GET https://registry.gitlab.com/v2/acme/shop/api/") {
        Some(rest) if is_let_in(asked) => answer(rest),
        Some(_) => Fate::With(401, "www-authenticate", CHALLENGE, json!({})),
        None if asked
            .line
            .starts_with("GET https://gitlab.com/jwt/auth?service=container_registry&scope=repository%3Aacme") =>
        {
            match asked.tokens.first().is_some_and(|(_, key)| key.starts_with("Basic ")) {
                true => Fate::answering(200, json!({ "token": "a-token-of-gitlab" })),
                false => Fate::answering(403, json!({})),
            }
        }
        None => Fate::answering(500, json!({})),
    })
}

#[tokio::test(start_paused = true)]
async fn a_job_gets_a_token_for_its_registry_and_then_the_digest() {
    let server = gitlab(|_| Fate::answering(200, index()));
    let found = Registries::new(server.web(), keys()).resolve(IMAGE).await.expect("an answer").expect("an image");
    assert_eq!(found.digest, digest_of(index().to_string().as_bytes()));
    assert_eq!(found.platforms[0].to_string(), "linux/arm64");
    let lines: Vec<String> = server.arrived().into_iter().map(|asked| asked.line).collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    let basic =
        server.arrived().iter().filter(|asked| asked.tokens.iter().any(|(_, it)| it.starts_with("Basic"))).count();
    assert_eq!(basic, 1, "the job's token goes to nobody but who gives tokens");
}

#[tokio::test(start_paused = true)]
async fn without_the_right_answer_nothing_is_known_and_the_reason_is_told() {
    for (fate, said) in [
        (Fate::answering(404, json!({})), None),
        (Fate::answering(429, json!({})), Some("registry.gitlab.com is asked too often (HTTP 429)")),
        (Fate::answering(503, json!({})), Some("registry.gitlab.com answered HTTP 503")),
        (Fate::Reset, Some("registry.gitlab.com: the other side cannot be reached")),
        (
            Fate::With(200, "docker-content-digest", "sha256:ab", index()),
            Some("registry.gitlab.com sent another description than its digest is of"),
        ),
    ] {
        let server = gitlab(move |_| fate.clone());
        let found = Registries::new(server.web(), keys()).resolve(IMAGE).await;
        assert_eq!(found, said.map_or(Ok(None), |said| Err(said.to_owned())));
    }
    let server = gitlab(|_| Fate::answering(200, index()));
    let found = Registries::new(server.web(), Keychain::default()).resolve(IMAGE).await;
    let said = "registry.gitlab.com does not let the job read acme/shop/api (HTTP 403)";
    assert_eq!(found, Err(said.to_owned()));
}

#[tokio::test(start_paused = true)]
async fn one_image_says_in_its_configuration_what_it_runs_on_wherever_that_is_kept() {
    let configuration = json!({ "os": "linux", "architecture": "amd64" });
    let digest = digest_of(configuration.to_string().as_bytes());
    let manifest = json!({ "config": { "digest": digest } });
    for is_elsewhere in [false, true] {
        let (manifest, configuration) = (manifest.clone(), configuration.clone());
        let server = Server::new(move |asked, _| match asked.line.as_str() {
            line if line.contains("/manifests/") => Fate::answering(200, manifest.clone()),
            line if line.contains("/blobs/") && is_elsewhere => {
                Fate::With(307, "location", "https://storage.example.com/part?signature=a-long-secret", json!({}))
            }
            _ => Fate::answering(200, configuration.clone()),
        });
        let found = Registries::new(server.web(), keys()).resolve("nginx").await.expect("an answer").expect("an image");
        assert_eq!(found.platforms.len(), 1, "{is_elsewhere}");
        let first = server.arrived().remove(0).line;
        assert_eq!(first, "GET https://registry-1.docker.io/v2/library/nginx/manifests/latest");
    }
}

#[tokio::test(start_paused = true)]
async fn a_registry_elsewhere_sends_nobody_to_this_machine() {
    let challenge = r#"Bearer realm="http://127.0.0.1:8080/token""#;
    let server = Server::new(move |_, _| Fate::With(401, "www-authenticate", challenge, json!({})));
    let found = Registries::new(server.web(), keys()).resolve(IMAGE).await;
    assert_eq!(found, Err("registry.gitlab.com sends for a token to this machine".to_owned()));
    assert_eq!(server.arrived().len(), 1);
}
