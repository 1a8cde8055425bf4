//! `roleout plan`: what a deploy would do, by calls that only read.

use crate::base::error::Error;
use crate::base::exit::Exit;
use crate::cli;
use crate::connect::Connection;
use crate::engine::cancel::{Cancel, unless_cancelled};
use crate::fleet::OnBusy;
use crate::load::{choose_images, variable_name};
use crate::outputs::reports::Reports;
use crate::plan::diff::Values;
use crate::preflight::hashed;
use crate::report::Kind;
use crate::run::mr_note::Note;
use crate::run::outputs::refuse_overlaps;
use crate::run::plan::{PlanOptions, run};
use crate::run::saved_file;
use crate::view::View;
use crate::view::accounts::age;

/// Plans the fleet of a manifest.
pub async fn plan(args: &cli::Plan, mut view: View, cancel: Cancel) -> Result<Exit, Error> {
    let cli::PlanReports { report, reports_dir } = args.reports.clone();
    refuse_overlaps(&[&args.selection.file], None, args.out.as_deref(), &cli::Reports { report, reports_dir })?;
    let reports = Reports::open(&args.reports.report, args.reports.reports_dir.as_deref(), &Kind::OF_PLANS);
    let unwritten = |error| Error::new(Exit::Usage, format!("a report cannot be written: {error}"));
    view.report(reports.map_err(unwritten)?);
    let key = saved_file::key(args.sign_env.as_deref().filter(|_| args.out.is_some()))?;
    variable_name("--mr-note-token-env", &args.mr_note_token_env)?;
    let note = args.mr_note.as_ref().filter(|_| !args.embedded.sandbox);
    let note = note.and_then(|name| Note::of_job(name, &args.mr_note_token_env, args.selection.allow_http, &mut view));
    let selection = args.selection.keeping(args.sign_env.iter().chain([&args.mr_note_token_env]));
    let (mut fleet, connection) = match Connection::open(&selection, &args.embedded, &mut view).await {
        Ok(open) => open,
        Err(error) => {
            if let Some(note) = &note {
                unless_cancelled(note.write_unplanned(error.exit, &mut view), &cancel).await?;
            }
            return Err(error);
        }
    };
    age(&fleet, connection.aws.clock().timestamp()).iter().for_each(|age| view.note(age));
    let connection = connection.recording(&args.recording, &mut view)?;
    choose_images(&mut fleet, &args.instead, &selection)?;
    fleet.release.allow_older = args.allow_older;
    fleet.release.force_new_deployment = args.force_new_deployment;
    fleet.on_busy = args.on_busy.map_or(fleet.on_busy, OnBusy::from);
    let choice = PlanOptions {
        form: args.format.into(),
        values: if args.show_values { Values::Shown } else { hashed() },
        detailed_exitcode: args.detailed_exitcode,
        from: args.from.clone(),
        skip_blocked: args.skip_blocked,
        no_verify: args.no_verify,
        out: args.out.clone(),
        key,
        note,
    };
    run(fleet, &connection, &choice, view, cancel).await
}
