//! What is fuzzed: texts and answers that somebody else writes, as bytes. No target may panic, hang or take more memory than a
//! small multiple of its input.
//!
//! `cargo fuzz` runs each of them for as long as one likes (docs/proof.md), and `tests/fuzz.rs` runs all of them for a moment.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use roleout::aws::credentials::Signer;
use roleout::aws::permit::Permit;
use roleout::aws::{Aws, Credentials, SharedCredentialsProvider};
use roleout::base::clock::Clock;
use roleout::doctor::token::Token;
use roleout::doctor::trust::{TokenCaller, examine};
use roleout::fleet::Hop;
use roleout::fleet::role_arn::RoleArn;
use roleout::identity::token::Claims;
use roleout::issuer::chain;
use roleout::issuer::roots::Roots;
use roleout::manifest::load::load_str;
use roleout::manifest::taskdef::TaskDefinition;
use roleout::observe::service::LiveService;
use roleout::plan::saved::Saved;
use roleout::report::{junit, markdown, record};
use roleout::task_definition::{compose, judge, normalise};
use serde_json::Value;
use tokio_rustls::rustls::pki_types::CertificateDer;

/// A target: its name, which is that of its corpus, and what it does with bytes.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: &[Target] = &[
    ("manifest", manifest),
    ("task_definition", task_definition),
    ("saved_plan", saved_plan),
    ("journal", journal),
    ("id_token", id_token),
    ("sts_answer", sts_answer),
    ("ecs_answer", ecs_answer),
    ("trust_policy", trust_policy),
    ("certificates", certificates),
];

/// A manifest, and the faults of one as they are shown.
pub fn manifest(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let variables = |name: &str| name.starts_with("CI_").then(|| "7".to_owned());
    if let Err(error) = load_str("deploy.yaml", Path::new("/nowhere"), &text, &variables) {
        assert!(!error.render(false, 80).is_empty());
    }
}

/// A task definition file: its faults, its rules, and what comparing two forms of it says.
pub fn task_definition(data: &[u8]) {
    let text = String::from_utf8_lossy(data).into_owned();
    let _ = TaskDefinition::parse("task.json", text.clone());
    let Ok(value) = serde_json::from_str::<Value>(&text) else { return };
    if value.is_object() {
        judge(&value);
        let canonical = normalise::normalise(&value);
        assert!(compose::same(&canonical, &canonical));
        assert_eq!(normalise::normalise(&canonical), canonical, "the canonical form of a canonical form is itself");
    }
}

/// A saved plan, as `roleout deploy --plan` reads it.
pub fn saved_plan(data: &[u8]) {
    let _ = Saved::parse(&String::from_utf8_lossy(data));
}

/// A journal, folded and reported again.
pub fn journal(data: &[u8]) {
    let (mut runs, _) = record::runs(&String::from_utf8_lossy(data));
    for run in runs.values_mut() {
        let report = run.take_report();
        assert!(serde_json::to_string(&report).is_ok());
        let _ = junit::text(&report);
        markdown::text(&report);
    }
}

/// An ID token, as it is checked before it is sent, and as `doctor` takes it apart.
pub fn id_token(data: &[u8]) {
    let text = secrecy::SecretString::from(String::from_utf8_lossy(data).into_owned());
    let _ = Claims::decode(&text);
    let _ = Token::parse(&text, "GITLAB_OIDC_TOKEN");
}

/// A role's trust policy, held against a token.
pub fn trust_policy(data: &[u8]) {
    let Ok(policy) = serde_json::from_slice::<Value>(data) else { return };
    let token = Token::parse(&secrecy::SecretString::from(TOKEN), "GITLAB_OIDC_TOKEN").expect("a token");
    let role: RoleArn = "arn:aws:iam::111111111111:role/deploy".parse().expect("an ARN");
    examine(&policy, "the live role", TokenCaller { token: &token, role: &role, session_name: "roleout-1" });
}

/// The certificates that a server sent: each is as long as the two bytes before it say.
pub fn certificates(mut data: &[u8]) {
    let mut served = Vec::new();
    while let [high, low, rest @ ..] = data {
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(rest.len());
        served.push(CertificateDer::from(rest[..length].to_vec()));
        data = &rest[length..];
    }
    let roots = Roots { public: served.last().cloned().into_iter().collect(), private: Vec::new() };
    chain::check("gitlab.example.com", &served, &roots, 1_764_400_000);
}

/// An answer of STS: the first byte chooses the status.
pub fn sts_answer(data: &[u8]) {
    on_a_paused_clock(data, |aws| async move {
        let hop = serde_json::json!({
            "role": "deploy", "arn": "arn:aws:iam::111111111111:role/deploy", "external_id": null, "tags": {},
            "transitive_tags": [], "source_identity": null, "policy": null, "policy_arns": [], "duration": null,
        });
        let hop: Hop = serde_json::from_value(hop).expect("a hop");
        let sts = aws.sts("eu-west-1");
        let _ = sts.assume_with_web_identity(&hop, "roleout-1", TOKEN).await;
        let own = credentials().into();
        let _ = sts.assume(&hop, "roleout-1", &own, Signer::default()).await;
        let _ = sts.caller(&own, Signer::default()).await;
    });
}

/// An answer of ECS, given to each call that the run makes: the first byte chooses the status.
pub fn ecs_answer(data: &[u8]) {
    on_a_paused_clock(data, |aws| async move {
        let ecs = aws.ecs("111111111111", "eu-west-1", credentials);
        if let Ok(services) = ecs.describe_services("main", &["web"]).await {
            services.found.iter().for_each(|service| drop(LiveService::read(service)));
        }
        if let Ok(definition) = ecs.describe_task_definition("web:1").await {
            normalise::registrable(&definition);
        }
        let permit = Permit::default();
        let _ = ecs.register_task_definition(&serde_json::json!({ "family": "web" }), &permit).await;
        let _ = ecs.list_service_deployments("main", "web").await;
        let _ = ecs
            .describe_service_deployments(&["arn:aws:ecs:eu-west-1:111111111111:service-deployment/main/web/a"])
            .await;
        let _ = ecs.look_at_task("main", "a").await;
        let _ = ecs.stopped_tasks("main", "ecs-svc/1").await;
    });
}

/// Runs what asks AWS, with `data` as every answer, and fails where that takes an hour of its own clock.
fn on_a_paused_clock<F: Future<Output = ()>>(data: &[u8], ask: impl FnOnce(Aws) -> F) {
    let (status, body) = match data {
        [first, body @ ..] => ([200, 200, 200, 400, 403, 404, 429, 500, 503][usize::from(*first) % 9], body),
        [] => (200, data),
    };
    let answers = SharedHttpClient::new(Answers { status, body: body.into() });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(async {
        let aws = Aws::in_process(answers, Clock::system(), "eu-west-1");
        tokio::time::timeout(Duration::from_secs(3600), ask(aws)).await.expect("it ends");
    });
}

fn credentials() -> SharedCredentialsProvider {
    SharedCredentialsProvider::new(Credentials::new("AKIDEXAMPLE", "secret", None, None, "fuzz"))
}

/// One answer to everything.
#[derive(Clone, Debug)]
struct Answers {
    status: u16,
    body: Arc<[u8]>,
}

impl HttpClient for Answers {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Answers {
    fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
        let status = StatusCode::try_from(self.status).expect("a status");
        HttpConnectorFuture::ready(Ok(HttpResponse::new(status, SdkBody::from(self.body.to_vec()))))
    }
}

/// The payload is `{"iss":"https://gitlab.example.com","sub":"project_path:a/b:ref_type:branch:ref:main","aud":"sts"}`.
const TOKEN: &str = "eyJhbGciOiJSUzI1NiJ9.\
eyJpc3MiOiJodHRwczovL2dpdGxhYi5leGFtcGxlLmNvbSIsInN1YiI6InByb2plY3RfcGF0aDphL2I6cmVmX3R5cGU6YnJhbmNoOnJlZjptYWluIiwiYXVkIjoic3RzIn0.AA";
