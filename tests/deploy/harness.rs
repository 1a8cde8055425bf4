//! A fleet on a sandbox under the paused clock, deployed through everything that `roleout deploy` goes through.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex};

use roleout::base::clock::Clock;
use roleout::base::error::Error;
use roleout::base::exit::Exit;
use roleout::connect::Connection;
use roleout::engine::Start;
use roleout::engine::cancel::Cancel;
use roleout::event::{Event, Stamped};
use roleout::fleet::{Fleet, Outcome};
use roleout::manifest::load::load_str;
use roleout::plan::rollback_target::deployed::DeployedBy;
use roleout::run::lifecycle::PlanInput;
use roleout::run::rollback::RollbackOptions;
use roleout::sandbox::{Claims, Sandbox, parse_fault};
use roleout::state::RunState;
use roleout::view::View;
use roleout::view::options::{Format, Options};
use secrecy::SecretString;
use tracing::dispatcher::Dispatch;
use tracing::subscriber::NoSubscriber;

use crate::runs;

/// Subscribers that want nothing and live as long as the process. As long as tracing knows of one subscriber at most, it asks
/// only the thread that meets a call site first whether anybody wants it, and keeps the answer for all threads: a test
/// without a subscriber would silence the calls of one that listens.
static SUBSCRIBERS: LazyLock<[Dispatch; 2]> = LazyLock::new(|| [(); 2].map(|()| Dispatch::new(NoSubscriber::new())));

/// A fleet, and the AWS in which it exists.
pub struct Scene {
    pub fleet: Fleet,
    pub sandbox: Sandbox,
    pub token: SecretString,
    pub start: Start,
    pub choice: PlanInput,
    pub cancel: Cancel,
}

/// A rollback of every target, whatever it runs.
pub fn everything() -> RollbackOptions {
    RollbackOptions { further: false, which: DeployedBy::All }
}

/// What a run came to.
#[must_use = "assert what the run came to"]
pub struct Ran {
    pub exit: Result<Exit, Error>,
    pub events: Vec<Stamped>,
    pub state: RunState,
    /// What stderr said.
    pub said: String,
    /// Virtual seconds.
    pub seconds: u64,
}

impl Scene {
    /// Loads a manifest and seeds a sandbox with it.
    pub fn new(manifest: &str) -> Self {
        Self::seeded(fleet(manifest))
    }

    /// Seeds a sandbox with a fleet.
    pub fn seeded(fleet: Fleet) -> Self {
        LazyLock::force(&SUBSCRIBERS);
        let sandbox = Sandbox::for_fleet(&fleet, 1, Clock::tokio());
        sandbox.set_timing(roleout::sandbox::Timing::realistic());
        let token = sandbox.id_token(Claims::default());
        Self { fleet, sandbox, token, start: Start::default(), choice: PlanInput::default(), cancel: Cancel::default() }
    }

    /// `accounts` accounts with one region and `services` services each, behind one hub.
    pub fn of(accounts: usize, services: usize, rollout: &str) -> Self {
        Self::new(&manifest(accounts, services, rollout))
    }

    /// Takes seconds for a rollout, as `deploy --sandbox` does, and not minutes: where the number of targets matters.
    pub fn quick(self) -> Self {
        self.sandbox.set_timing(roleout::sandbox::Timing::default());
        self
    }

    /// Makes the sandbox fail, as `--sandbox-fault` does.
    pub fn fault(self, text: &str) -> Self {
        let (pattern, fault) = parse_fault(text).expect("a fault");
        self.sandbox.fault(&pattern, fault).expect("a pattern");
        self
    }

    /// Comes with another ID token.
    pub fn claims(self, claims: Claims) -> Self {
        Self { token: self.sandbox.id_token(claims), ..self }
    }

    /// The same fleet and AWS for another job.
    pub fn planning(&self) -> Self {
        Self {
            fleet: self.fleet.clone(),
            sandbox: self.sandbox.clone(),
            token: self.token.clone(),
            start: self.start.clone(),
            choice: self.choice.clone(),
            cancel: Cancel::default(),
        }
    }

    /// Returns the image of the first container that a service runs.
    pub fn image(&self, account: &str, region: &str, service: &str) -> String {
        let input = serde_json::json!({"cluster": "main", "services": [service]});
        let seen = self.sandbox.call_as_operator(account, region, "DescribeServices", &input).expect("services");
        let arn = seen["services"][0]["deployments"][0]["taskDefinition"].as_str().expect("a deployment").to_owned();
        let definition = self.sandbox.task_definition(account, region, &arn).expect("a definition");
        definition["containerDefinitions"][0]["image"].as_str().unwrap_or_default().to_owned()
    }

    /// Only plans, and saves the plan.
    pub fn dry_run_to(mut self, out: PathBuf) -> Self {
        self.choice.dry_run = true;
        self.choice.out = Some(out);
        self
    }

    /// Deploys.
    pub async fn deploy(&self) -> Ran {
        let (fleet, choice, start) = (self.fleet.clone(), self.choice.clone(), self.start.clone());
        self.ran(async |reach, view| runs::deploy(fleet, reach, choice, start, view, self.cancel.clone()).await).await
    }

    /// Runs a command as a job of its own: with new clients and sessions.
    pub async fn ran(&self, command: impl AsyncFnOnce(&Connection, View) -> Result<Exit, Error>) -> Ran {
        let (out, err) = (Shared::default(), Shared::default());
        let options = Options { format: Format::Jsonl, ..Options::default() };
        let view = View::new(options, Box::new(out.clone()), Box::new(err.clone()));
        let reach = Connection::sandbox(&self.fleet, &self.sandbox, self.token.clone());
        let began = tokio::time::Instant::now();
        let exit = command(&reach, view).await;
        let seconds = began.elapsed().as_secs();
        let events: Vec<Stamped> =
            out.text().lines().map(|line| serde_json::from_str(line).expect("an event a line")).collect();
        let mut state = RunState::new();
        events.iter().for_each(|event| state.apply(event));
        Ran { exit, events, state, said: err.text(), seconds }
    }
}

impl Ran {
    /// Returns the outcome of `account/region/service`.
    pub fn outcome(&self, target: &str) -> Option<Outcome> {
        let found = self.state.targets().find(|state| state.target.to_string() == target);
        found.unwrap_or_else(|| panic!("no target {target}")).outcome()
    }

    /// Counts the targets with an outcome.
    pub fn count(&self, outcome: Outcome) -> usize {
        self.state.targets().filter(|state| state.outcome() == Some(outcome)).count()
    }

    /// Returns why a target ended as it did: the summary, and then the evidence.
    pub fn reason(&self, target: &str) -> String {
        let mut reasons = self.events.iter().filter_map(|stamped| match &stamped.event {
            Event::RolloutFinished { target: id, reason: Some(reason), .. }
            | Event::TargetDegraded { target: id, reason }
                if id.to_string() == target =>
            {
                let mut lines = vec![reason.summary.clone()];
                lines.extend(reason.evidence.iter().map(ToString::to_string));
                Some(lines.join("\n"))
            }
            _ => None,
        });
        reasons.next_back().unwrap_or_else(|| panic!("{target} has no reason; {}", self.said))
    }

    /// Returns the exit code of a run that got as far as to have one.
    pub fn code(&self) -> Exit {
        match &self.exit {
            Ok(exit) => *exit,
            Err(error) => error.exit,
        }
    }
}

/// Loads a manifest with the variables of the sandbox's job.
pub fn fleet(manifest: &str) -> Fleet {
    let variables = |name: &str| {
        Sandbox::job_variables().into_iter().find(|(known, _)| *known == name).map(|(_, value)| value.to_string())
    };
    match load_str("deploy.yaml", Path::new("."), manifest, &variables) {
        Ok(fleet) => fleet,
        Err(error) => panic!("{}", error.render(false, 100)),
    }
}

/// Writes a manifest of many accounts, named `a0`, `a1` and so on, with services `s0`, `s1` and so on.
pub fn manifest(accounts: usize, services: usize, rollout: &str) -> String {
    let mut text = String::from(
        "version: 1\nidentity: { token_env: TOKEN, region: eu-west-1 }\nroles:\n  \
         hub: { arn: \"arn:aws:iam::111111111111:role/hub\" }\n  \
         leaf: { arn: \"arn:aws:iam::${account.id}:role/leaf\", external_id: team }\naccounts:\n",
    );
    for number in 0..accounts {
        let ring = if number == 0 { "canary" } else { "main" };
        text.push_str(&format!(
            "  - {{ name: a{number}, id: \"{:012}\", chain: [hub, leaf], regions: [eu-west-1], labels: {{ ring: {ring} }} }}\n",
            200_000_000_000_u64 + number as u64
        ));
    }
    text.push_str("services:\n");
    for number in 0..services {
        text.push_str(&format!(
            "  - name: s{number}\n    cluster: main\n    images: {{ app: \"registry.example.com/s{number}:v2\" }}\n"
        ));
    }
    text.push_str(rollout);
    text
}

/// A buffer that a view writes to and a test reads.
#[derive(Clone, Default)]
pub struct Shared(Arc<Mutex<Vec<u8>>>);

impl Shared {
    pub fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("no writer panicked").clone()).expect("UTF-8")
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no writer panicked").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A directory of a test's own.
pub struct Directory(pub PathBuf);

impl Directory {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("roleout-{}-{name}", std::process::id()));
        fs_err::create_dir_all(&path).expect("a directory");
        Self(path)
    }

    /// Where a plan is saved in it.
    pub fn plan(&self) -> PathBuf {
        self.0.join("plan.json")
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs_err::remove_dir_all(&self.0);
    }
}
