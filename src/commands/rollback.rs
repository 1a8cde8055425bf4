//! `roleout rollback`: every selected target back to the last revision that completed before the present one.

use std::path::PathBuf;

use crate::base::error::Error;
use crate::base::exit::Exit;
use crate::cli;
use crate::connect::{CommandContext, Connection, shorten_bakes};
use crate::engine::Start;
use crate::engine::cancel::Cancel;
use crate::fleet::Fleet;
use crate::load::choose_images;
use crate::plan::rollback_target::deployed::DeployedBy;
use crate::run::lifecycle::{Consent, PlanInput};
use crate::run::outputs::{OutputKind, Outputs, refuse_overlaps};
use crate::run::rollback::{RollbackOptions, read_run, roll_back};
use crate::sandbox::Sandbox;
use crate::view::View;

/// Returns the targets of a manifest to what they ran before.
pub async fn rollback(args: &cli::Rollback, view: View, cancel: Cancel) -> Result<Exit, Error> {
    let kind = OutputKind::for_run(args.dry_run);
    let outputs = Outputs { journal: args.journal.as_deref(), reports: &args.reports, folding: args.folding, kind };
    let read: Vec<_> =
        [Some(&args.selection.file), args.of.as_ref()].into_iter().flatten().map(PathBuf::as_path).collect();
    refuse_overlaps(&read, args.journal.as_deref(), None, &args.reports)?;
    let run = (!args.dry_run).then_some(args.embedded.sandbox);
    outputs.wrap(view, run, async |view| open_and_roll_back(args, view, &cancel).await).await
}

async fn open_and_roll_back(args: &cli::Rollback, view: &mut View, cancel: &Cancel) -> Result<Exit, Error> {
    let furnish = |sandbox: &Sandbox, fleet: &Fleet| sandbox.add_history(fleet);
    // A report that cannot be read is found before anything is asked.
    let of = args.of.as_deref().map(|path| read_run(path, view)).transpose()?;
    let which = match of {
        Some(run) => DeployedBy::Run(Box::new(run)),
        // In a sandbox of its own nothing was deployed before.
        None if args.all || args.embedded.sandbox => DeployedBy::All,
        None => DeployedBy::Manifest,
    };
    let (mut fleet, connection) =
        Connection::open_with(&args.selection.with_open_variables(), &args.embedded, view, furnish).await?;
    let connection = connection.recording(&args.recording, view)?;
    choose_images(&mut fleet, &args.instead, &args.selection)?;
    if args.embedded.sandbox && !args.dry_run {
        shorten_bakes(&mut fleet, view);
    }
    let start = Start {
        from: args.from.clone(),
        sandbox: args.embedded.sandbox,
        continue_hooks: args.continue_hooks,
        ..Start::default()
    };
    let choice = PlanInput {
        dry_run: args.dry_run,
        skip_blocked: args.skip_blocked,
        no_verify: args.no_verify,
        consent: Consent::wanted("Roll back", args.yes || args.embedded.sandbox),
        ..PlanInput::default()
    };
    let options = RollbackOptions { further: args.further, which };
    let context = &mut CommandContext { connection: &connection, view, cancel };
    roll_back(fleet, choice, options, start, context).await
}
