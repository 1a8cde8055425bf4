//! Somebody who runs `roleout continue` beside a run.

use std::sync::Mutex;
use std::time::Duration;

use roleout::base::error::Error;
use roleout::base::exit::Exit;
use roleout::engine::cancel::Cancel;
use roleout::fleet::Fleet;
use roleout::operations::continue_hooks::{self, HookFilter};
use roleout::sandbox::Claims;
use roleout::view::View;
use roleout::view::options::Options;

use crate::simulation::jobs;
use crate::simulation::run::{Stage, Written};
use crate::simulation::scenario::{Decision, Scenario};

/// What somebody decided, and what came of it.
pub struct Decided {
    pub what: Decision,
    /// The targets that were selected.
    pub fleet: Fleet,
    /// From when to when it ran, in milliseconds since the epoch; it may have been cut off.
    pub began: u64,
    pub ended: Option<u64>,
    pub exit: Option<Result<Exit, Error>>,
    /// What it printed.
    pub told: String,
}

impl Stage {
    /// Decides what a scenario says, when it says it.
    pub async fn decide(&self, scenario: &Scenario, decided: &Mutex<Vec<Decided>>) {
        let began = tokio::time::Instant::now();
        for (place, what) in scenario.decisions.iter().flatten().enumerate() {
            tokio::time::sleep_until(began + Duration::from_millis(what.at)).await;
            let account = what.account.and_then(|account| scenario.accounts.get(account));
            let kept = |id: &str| account.is_none_or(|account| account.name() == id);
            let kept: Vec<bool> = self.fleet.targets.iter().map(|target| kept(&target.id.account)).collect();
            let fleet = (*self.fleet).clone().retain(&kept);
            let token = self.sandbox.id_token(Claims::default());
            let connection = jobs::connection(&fleet, &self.sandbox, token, self.error);
            let out = Written::default();
            let view = View::new(Options::default(), Box::new(out.clone()), Box::new(std::io::sink()));
            let choice = HookFilter { dry_run: false, rollback: what.rollback };
            let (exit, ended, told, began) = (None, None, String::new(), self.now());
            let begun = Decided { what: what.clone(), fleet: fleet.clone(), began, ended, exit, told };
            decided.lock().expect("nobody panicked").push(begun);
            let exit = continue_hooks::run(&fleet, &connection, choice, view, Cancel::default()).await;
            let mut decided = decided.lock().expect("nobody panicked");
            let this = &mut decided[place];
            (this.ended, this.exit, this.told) = (Some(self.now()), Some(exit), out.text());
        }
    }
}
