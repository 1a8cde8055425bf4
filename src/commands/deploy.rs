//! `roleout deploy`: preflight, plan, and the rollouts.

use crate::base::clock::Clock;
use crate::base::error::Error;
use crate::base::exit::Exit;
use crate::cli;
use crate::connect::{Connection, shorten_bakes};
use crate::engine::Start;
use crate::engine::cancel::Cancel;
use crate::fleet::OnBusy;
use crate::load::{choose_images, environment};
use crate::run::lifecycle::{PlanInput, plan_and_decide};
use crate::run::outputs::{OutputKind, finish, open_outputs};
use crate::run::{saved_file, saved_plan};
use crate::view::View;

/// Deploys the fleet of a manifest, or carries out a saved plan.
pub async fn deploy(args: &cli::Deploy, mut view: View, cancel: Cancel) -> Result<Exit, Error> {
    let mut reports = args.reports.clone();
    if args.dry_run && args.plan.is_some() && !reports.is_empty() {
        view.warning("a dry run of a saved plan writes no reports; `roleout plan` writes those of a plan");
        reports = cli::Reports::default();
    }
    open_outputs(&mut view, args.journal.as_deref(), &reports, args.folding, OutputKind::for_run(args.dry_run))?;
    let result = attempt(args, &mut view, cancel).await;
    finish(view, result, Clock::system(), (!args.dry_run).then_some(args.embedded.sandbox))
}

async fn attempt(args: &cli::Deploy, view: &mut View, cancel: Cancel) -> Result<Exit, Error> {
    refuse_in_a_freeze(args)?;
    if let Some(path) = &args.plan {
        return saved_plan::deploy(path, args, view, cancel).await;
    }
    let (mut fleet, reach) = Connection::open(&args.selection, &args.embedded, view).await?;
    if args.embedded.sandbox && !args.dry_run {
        shorten_bakes(&mut fleet, view);
    }
    choose_images(&mut fleet, &args.instead, &args.selection)?;
    fleet.release.allow_older = args.allow_older;
    fleet.release.force_new_deployment = args.force_new_deployment;
    fleet.on_busy = args.on_busy.map_or(fleet.on_busy, OnBusy::from);
    let (from, continue_hooks) = (args.from.clone(), args.continue_hooks);
    let start = Start { from, sandbox: args.embedded.sandbox, continue_hooks, ..Start::default() };
    let choice = PlanInput {
        dry_run: args.dry_run,
        skip_blocked: args.skip_blocked,
        no_verify: args.no_verify,
        out: args.out.clone(),
        key: saved_file::key(args.sign_env.as_deref().filter(|_| args.out.is_some()))?,
    };
    plan_and_decide(fleet, &reach, choice, start, view, cancel).await
}

/// Refuses to deploy while GitLab says that the project is in a deploy freeze.
fn refuse_in_a_freeze(args: &cli::Deploy) -> Result<(), Error> {
    let frozen = environment("CI_DEPLOY_FREEZE").is_some_and(|freeze| !freeze.is_empty());
    if !frozen || args.override_freeze || args.dry_run || args.embedded.sandbox {
        return Ok(());
    }
    let error = Error::new(Exit::Blocked, "the project is in a deploy freeze: CI_DEPLOY_FREEZE is set");
    Err(error.help("run this job again after the freeze, or deploy anyway with --override-freeze"))
}
