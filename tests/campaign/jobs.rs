//! What a job runs, as the commands run it once they have their connection.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use roleout::aws::Aws;
use roleout::base::error::Error;
use roleout::base::exit::Exit;
use roleout::connect::{CommandContext, Connection};
use roleout::engine::Start;
use roleout::engine::cancel::Cancel;
use roleout::fleet::Fleet;
use roleout::identity::session::Sessions;
use roleout::identity::token::TokenSource;
use roleout::plan::rollback_target::deployed::DeployedBy;
use roleout::plan::saved::{Key, Origin, Saved};
use roleout::run::lifecycle::{PlanInput, plan_and_decide};
use roleout::run::outputs::finish;
use roleout::run::rollback::{RollbackOptions, roll_back};
use roleout::run::saved_plan::{ApplyOptions, apply_plan};
use roleout::run::watch::watch;
use roleout::sandbox::Sandbox;
use roleout::view::View;
use roleout::view::options::Options;
use secrecy::SecretString;

use crate::simulation::scenario::End;

/// How old a saved plan may be.
pub const MAX_AGE: Duration = Duration::from_secs(24 * 3600);

/// What a job runs.
#[derive(Clone, Debug)]
pub enum Command {
    /// `roleout deploy`
    Deploy,
    /// `roleout deploy PLAN`
    Apply { saved: Box<Saved>, skip_stale: bool },
    /// `roleout deploy PLAN` of a plan that is not accepted
    Refuse(Error),
    /// `roleout rollback`
    RollBack(DeployedBy),
    /// `roleout watch`
    Watch,
}

/// A command with its flags.
#[derive(Clone, Debug)]
pub struct Job {
    pub command: Command,
    /// The targets that it has.
    pub fleet: Arc<Fleet>,
    pub from: Option<String>,
    pub skip_blocked: bool,
    /// Its own journal, where it has one.
    pub journal: Option<PathBuf>,
    /// How it is ended.
    pub end: End,
    /// Whether it continues the PAUSE hooks of its deployments.
    pub continues: bool,
}

impl Job {
    pub fn of(command: Command, fleet: &Arc<Fleet>) -> Self {
        let fleet = Arc::clone(fleet);
        Self { command, fleet, from: None, skip_blocked: false, journal: None, end: End::Whole, continues: true }
    }

    /// Whether it brings back what ran before.
    pub fn rolls_back(&self) -> bool {
        matches!(self.command, Command::RollBack(_))
    }

    /// Runs it to its end.
    pub async fn run(self, connection: &Connection, mut view: View, cancel: &Cancel) -> Result<Exit, Error> {
        let fleet = (*self.fleet).clone();
        let start = Start { from: self.from, continue_hooks: self.continues, sandbox: true, ..Start::default() };
        let choice = PlanInput { skip_blocked: self.skip_blocked, ..PlanInput::default() };
        let context = &mut CommandContext { connection, view: &mut view, cancel };
        let result = match self.command {
            Command::Deploy => plan_and_decide(fleet, choice, start, context).await,
            Command::Apply { saved, skip_stale } => {
                let terms = ApplyOptions {
                    dry_run: false,
                    skip_blocked: self.skip_blocked,
                    skip_stale,
                    max_age: MAX_AGE,
                    no_verify: false,
                    origin: Origin::default(),
                };
                apply_plan(*saved, terms, start, context).await
            }
            Command::Refuse(error) => Err(error),
            Command::Watch => {
                watch(fleet, self.skip_blocked, Start { sandbox: true, ..Start::default() }, context).await
            }
            Command::RollBack(which) => {
                roll_back(fleet, choice, RollbackOptions { further: false, which }, start, context).await
            }
        };
        finish(view, result, connection.aws.clock(), Some(true))
    }
}

/// Plans as `roleout plan --out` does, with a key as with `--sign-env`.
pub async fn plan(fleet: Fleet, connection: &Connection, path: &Path, key: Option<Key>) -> Result<(), Error> {
    let mut view = View::new(Options::default(), Box::new(std::io::sink()), Box::new(std::io::sink()));
    let choice = PlanInput { dry_run: true, out: Some(path.to_path_buf()), key, ..PlanInput::default() };
    let cancel = Cancel::default();
    let context = &mut CommandContext { connection, view: &mut view, cancel: &cancel };
    plan_and_decide(fleet, choice, Start { sandbox: true, ..Start::default() }, context).await?;
    Ok(())
}

/// Reaches a sandbox from a machine whose clock is wrong by `error` milliseconds.
pub fn connection(fleet: &Fleet, sandbox: &Sandbox, token: SecretString, error: &'static AtomicI64) -> Connection {
    let (clock, region) = (sandbox.clock().set_by(error), &fleet.identity.region);
    let aws = Aws::in_process(sandbox.http_client(), clock, region);
    let token = TokenSource::Held { variable: "TOKEN".to_owned(), token };
    let sessions = Sessions::new(aws.sts(region), clock, fleet.identity.session_name.clone(), Some(token), None);
    Connection { aws, sessions }
}
