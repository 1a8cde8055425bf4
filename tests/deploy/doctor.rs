//! `roleout doctor` on broken set-ups, each with the explanation that it must give, and on good ones, of which it says
//! nothing.

mod broken;
mod good;
mod texts;

use std::time::Duration;

use roleout::aws::Aws;
use roleout::base::clock::Clock;
use roleout::base::exit::Exit;
use roleout::connect::Connection;
use roleout::engine::cancel::Cancel;
use roleout::fleet::Fleet;
use roleout::identity::session::Sessions;
use roleout::identity::token::{TokenError, TokenSource};
use roleout::preflight::diagnosis::{DiagnosisInput, run};
use roleout::sandbox::{AUDIENCE, Claims, ISSUER_HOST, Role, Sandbox, parse_fault};
use roleout::view::View;
use roleout::view::doctor::Layout;
use roleout::view::options::Options;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use crate::harness::{Shared, fleet};

/// The role that chains begin with; `tools` has a role beside it that can read it.
pub const HUB: &str = "arn:aws:iam::111111111111:role/hub";
pub const READER: &str = "arn:aws:iam::111111111111:role/reader";
/// The role at the end of a0's chain; `middle` before it can read it.
pub const LEAF: &str = "arn:aws:iam::200000000000:role/leaf";
pub const MIDDLE: &str = "arn:aws:iam::200000000000:role/middle";
pub const PROVIDER: &str = "arn:aws:iam::111111111111:oidc-provider/gitlab.sandbox.test";
pub const SUBJECT: &str = "project_path:acme/shop:ref_type:branch:ref:main";

/// A manifest with these chains; `leaf` gets `more` in its role.
pub fn manifest(chains: &[(&str, &str, &str)], more: &str) -> String {
    let accounts: String = chains
        .iter()
        .map(|(name, id, chain)| {
            format!("  - {{ name: {name}, id: \"{id}\", chain: [{chain}], regions: [eu-west-1] }}\n")
        })
        .collect();
    format!(
        "version: 1\nidentity: {{ token_env: TOKEN, region: eu-west-1 }}\nroles:\n  hub: {{ arn: \"{HUB}\" }}\n  \
         reader: {{ arn: \"{READER}\" }}\n  middle: {{ arn: \"arn:aws:iam::${{account.id}}:role/middle\" }}\n  \
         leaf: {{ arn: \"arn:aws:iam::${{account.id}}:role/leaf\"{more} }}\naccounts:\n{accounts}\
         services: [ {{ name: s0, cluster: main, images: {{ app: \"registry.example.com/s0:v2\" }} }} ]\n"
    )
}

/// Two accounts behind the hub, and a role in the hub's account that can read it.
pub fn beside() -> String {
    manifest(
        &[
            ("a0", "200000000000", "hub, leaf"),
            ("a1", "200000000001", "hub, leaf"),
            ("tools", "111111111111", "reader"),
        ],
        "",
    )
}

/// Two accounts behind the hub, which nobody can read.
pub fn alone() -> String {
    manifest(&[("a0", "200000000000", "hub, leaf"), ("a1", "200000000001", "hub, leaf")], "")
}

/// An account whose last role the one before it can read.
pub fn deep(more: &str) -> String {
    manifest(&[("a0", "200000000000", "hub, middle, leaf")], more)
}

/// A set-up.
pub struct Setup {
    pub fleet: Fleet,
    pub sandbox: Sandbox,
    pub token: TokenSource,
    pub choice: DiagnosisInput,
}

impl Setup {
    pub fn new(manifest: &str) -> Self {
        let fleet = fleet(manifest);
        let sandbox = Sandbox::for_fleet(&fleet, 1, Clock::tokio());
        let token = held(sandbox.id_token(Claims::default()));
        Self { fleet, sandbox, token, choice: DiagnosisInput::default() }
    }

    pub fn claims(mut self, claims: Claims) -> Self {
        self.token = held(self.sandbox.id_token(claims));
        self
    }

    /// With a claim of another value, or without it.
    pub fn claim(self, name: &str, value: Value) -> Self {
        let overrides = [(name.to_owned(), value)].into_iter().collect();
        self.claims(Claims { overrides, ..Claims::default() })
    }

    pub fn token(mut self, text: &str) -> Self {
        self.token = held(SecretString::from(text));
        self
    }

    pub fn no_token(mut self) -> Self {
        let (message, help) = ("the variable TOKEN holds no ID token".to_owned(), String::new());
        self.token = TokenSource::Absent(TokenError { message, help });
        self
    }

    pub fn fault(self, text: &str) -> Self {
        let (pattern, fault) = parse_fault(text).expect("a fault");
        self.sandbox.fault(&pattern, fault).expect("a pattern");
        self
    }

    /// With another trust policy of a role.
    pub fn trust(self, arn: &str, policy: Value) -> Self {
        assert!(self.sandbox.change_role(arn, |role| role.trust = policy), "{arn}");
        self
    }

    pub fn role(self, arn: &str, change: impl FnOnce(&mut Role)) -> Self {
        assert!(self.sandbox.change_role(arn, change), "{arn}");
        self
    }

    pub fn without(self, arn: &str) -> Self {
        assert!(self.sandbox.remove_role(arn), "{arn}");
        self
    }

    pub fn policy(mut self, policy: Value) -> Self {
        self.choice.policy = Some(("trust.json".to_owned(), policy));
        self
    }

    pub fn wait(mut self, wait: Duration) -> Self {
        self.choice.wait = wait;
        self
    }

    fn reach(&self) -> Connection {
        let identity = &self.fleet.identity;
        if identity.source == roleout::fleet::IdentitySource::Ambient {
            return Connection::sandbox(&self.fleet, &self.sandbox, SecretString::from(""));
        }
        let aws = Aws::in_process(self.sandbox.http_client(), self.sandbox.clock(), &identity.region);
        let sts = aws.sts(&identity.region);
        let sessions = Sessions::new(sts, aws.clock(), identity.session_name.clone(), Some(self.token.clone()), None);
        Connection { aws, sessions }
    }

    /// Runs doctor and returns what it says in one form.
    pub async fn says(&self, layout: Layout) -> (Exit, String) {
        let (out, err) = (Shared::default(), Shared::default());
        let view = View::new(Options::default(), Box::new(out.clone()), Box::new(err.clone()));
        let choice = DiagnosisInput { layout, ..self.choice.clone() };
        let exit = run(&self.fleet, &self.reach(), &choice, view, Cancel::default()).await.expect("no signal");
        let said = format!("{}{}", out.text(), err.text());
        if let TokenSource::Held { token, .. } = &self.token {
            let signature = token.expose_secret().rsplit('.').next().unwrap_or_default();
            assert!(signature.is_empty() || !said.contains(signature), "the token is shown:\n{said}");
        }
        assert!(!said.contains("ASIA") && !said.contains("IQoJb3JpZ2luX2VjE"), "a key is shown:\n{said}");
        (exit, out.text())
    }

    /// Runs doctor and returns its JSON, which is valid by its schema.
    pub async fn report(&self) -> (Exit, Value) {
        let (exit, text) = self.says(Layout::Json).await;
        let report: Value = serde_json::from_str(&text).expect("JSON");
        let validator = jsonschema::validator_for(&roleout::doctor::report::schema()).expect("a schema");
        let errors: Vec<String> = validator.iter_errors(&report).map(|error| error.to_string()).collect();
        assert_eq!(errors, Vec::<String>::new(), "{text}");
        (exit, report)
    }
}

fn held(token: SecretString) -> TokenSource {
    TokenSource::Held { variable: "TOKEN".to_owned(), token }
}

/// A trust policy of one statement for web identities, with these conditions.
pub fn web(conditions: Value) -> Value {
    json!({ "Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": { "Federated": PROVIDER }, "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": conditions,
    }] })
}

/// Conditions by the key's claim: the audience is right, the subject this one, compared by this operator.
pub fn subject(operator: &str, subject: &str) -> Value {
    let mut conditions = json!({ "StringEquals": { (key("aud")): AUDIENCE } });
    conditions[operator][key("sub")] = json!(subject);
    conditions
}

pub fn key(claim: &str) -> String {
    format!("{ISSUER_HOST}:{claim}")
}

/// Holds the JSON Schema in the repository against the code. `ROLEOUT_BLESS=1 cargo test --test deploy schema` writes it anew.
#[test]
fn the_schema_in_the_repository_is_the_current_one() {
    const SCHEMA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/doctor.schema.json");
    let current =
        format!("{}\n", serde_json::to_string_pretty(&roleout::doctor::report::schema()).expect("a schema is JSON"));
    if std::env::var_os("ROLEOUT_BLESS").is_some() {
        fs_err::write(SCHEMA, &current).expect("the schema is written");
    }
    let stored = fs_err::read_to_string(SCHEMA).expect("docs/doctor.schema.json is there");
    assert!(stored == current, "docs/doctor.schema.json is out of date: run with ROLEOUT_BLESS=1");
}

/// Every code that the source can give has a section in docs/troubleshooting.md.
#[test]
fn every_finding_is_in_the_troubleshooting_page() {
    let page =
        concat!(include_str!("../../docs/troubleshooting.md"), include_str!("../../docs/troubleshooting-issuer.md"));
    let root = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src"));
    let mut open = vec![root.to_owned()];
    let mut codes = std::collections::BTreeSet::new();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(std::fs::read_dir(&path).expect("a directory").map(|entry| entry.expect("an entry").path()));
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("a source");
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        // A code stands in quotes behind what makes a finding of it.
        for start in [
            "Finding::fault(",
            "Finding::note(",
            " fault(",
            "code = ",
            "None => (\"",
            "Some(_) => (\"",
            "sts:TagSession\") => (\"",
        ] {
            for rest in text.split(start).skip(1) {
                let quoted = rest.trim_start().trim_start_matches('"');
                let code: String =
                    quoted.chars().take_while(|char| char.is_ascii_lowercase() || *char == '-').collect();
                if code.contains('-') && quoted[code.len()..].starts_with('"') {
                    codes.insert(code);
                }
            }
        }
    }
    codes.extend(["packed-policy-too-large", "refused"].map(str::to_owned));
    assert!(codes.len() > 45, "{codes:?}");
    let missing: Vec<&String> = codes.iter().filter(|code| !page.contains(&format!("`{code}`"))).collect();
    assert!(missing.is_empty(), "docs/troubleshooting*.md do not have {missing:?}");
}
