//! `roleout plan`: what a deploy would do, by calls that only read.

use std::path::PathBuf;

use crate::base::error::Error;
use crate::base::exit::Exit;
use crate::cli;
use crate::connect::Connection;
use crate::engine::cancel::{Cancel, unless_cancelled};
use crate::fleet::{Fleet, OnBusy};
use crate::identity::preflight::OnLoss;
use crate::load::{choose_images, variable_name};
use crate::plan::build;
use crate::plan::diff::Values;
use crate::plan::preview::Preview;
use crate::plan::saved::Key;
use crate::preflight::references::{observed, verify};
use crate::preflight::{check_from, hashed, prepare, preview, refusal};
use crate::report::Kind;
use crate::run::mr_note::Note;
use crate::run::saved_file;
use crate::view::reports::Reports;
use crate::view::{Form, View};

/// What a person wants to see, and which exit codes.
#[derive(Clone, Debug)]
pub struct PlanOptions {
    /// The form of the plan.
    pub form: Form,
    /// How values of environment variables are shown.
    pub values: Values,
    /// Exit with 20 where changes are pending.
    pub detailed_exitcode: bool,
    /// The wave that the deploy would begin with.
    pub from: Option<String>,
    /// Leave out the targets that cannot be reached or deployed, and do not fail because of them.
    pub skip_blocked: bool,
    /// Do not look for what the task definitions name.
    pub no_verify: bool,
    /// Where the plan is saved.
    pub out: Option<PathBuf>,
    /// The key that signs it.
    pub key: Option<Key>,
    /// The note that gets the plan.
    pub note: Option<Note>,
}

impl Default for PlanOptions {
    /// Text, with masked values.
    fn default() -> Self {
        Self {
            form: Form::Text,
            values: hashed(),
            detailed_exitcode: false,
            from: None,
            skip_blocked: false,
            no_verify: false,
            out: None,
            key: None,
            note: None,
        }
    }
}

/// Plans the fleet of a manifest.
pub async fn plan(args: &cli::Plan, mut view: View, cancel: Cancel) -> Result<Exit, Error> {
    let reports = Reports::open(&args.reports.report, args.reports.reports_dir.as_deref(), &Kind::OF_PLANS);
    let unwritten = |error| Error::new(Exit::Usage, format!("a report cannot be written: {error}"));
    view.report(reports.map_err(unwritten)?);
    let key = saved_file::key(args.sign_env.as_deref().filter(|_| args.out.is_some()))?;
    variable_name("--mr-note-token-env", &args.mr_note_token_env)?;
    let note = args.mr_note.as_ref().filter(|_| !args.embedded.sandbox);
    let note = note.and_then(|name| Note::of_job(name, &args.mr_note_token_env, args.selection.allow_http, &mut view));
    let selection = args.selection.keeping(args.sign_env.iter().chain([&args.mr_note_token_env]));
    let (mut fleet, reach) = match Connection::open(&selection, &args.embedded, &mut view).await {
        Ok(open) => open,
        Err(error) => {
            if let Some(note) = &note {
                unless_cancelled(note.write_unplanned(error.exit, &mut view), &cancel).await?;
            }
            return Err(error);
        }
    };
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
    run(&fleet, &reach, &choice, view, cancel).await
}

/// Plans a fleet by a way to AWS that is given.
pub async fn run(
    fleet: &Fleet,
    reach: &Connection,
    choice: &PlanOptions,
    mut view: View,
    cancel: Cancel,
) -> Result<Exit, Error> {
    check_from(fleet, choice.from.as_deref())?;
    let (unreachable, seen) = unless_cancelled(prepare(fleet, reach, OnLoss::GoOn, &mut view), &cancel).await?;
    let mut plan = build::plan(fleet, &seen);
    let verified =
        unless_cancelled(verify(fleet, &mut plan, observed(&seen), reach, choice.no_verify, &mut view), &cancel)
            .await?;
    let shown = |values: &Values| {
        let preview = preview(fleet, &seen, &plan, reach, choice.from.as_deref(), values);
        Preview { notes: verified.notes.clone(), ..preview }
    };
    let preview = shown(&choice.values);
    view.preview(&preview, choice.form);
    if let Some(note) = &choice.note {
        unless_cancelled(note.write(shown(&note.values()), &mut view), &cancel).await?;
    }
    // What is kept as an artifact is read by more people than the log.
    let kept = (choice.values == Values::Shown).then(|| shown(&hashed()));
    view.report_plan(kept.as_ref().unwrap_or(&preview));
    if let Some(error) = refusal(fleet, &unreachable, &seen, &plan.outline).filter(|_| !choice.skip_blocked) {
        return Err(match choice.out {
            Some(_) => error.help("no plan was saved; --skip-blocked saves one without these targets"),
            None => error,
        });
    }
    if let Some(path) = &choice.out {
        saved_file::save(path, fleet, &seen, &plan, (choice.key.as_ref(), &choice.values), reach, &mut view)?;
    }
    match choice.detailed_exitcode && preview.pending() > 0 {
        true => Ok(Exit::Pending),
        false => Ok(Exit::Done),
    }
}
