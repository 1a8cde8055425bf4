//! What `roleout plan` and every dry run do: a fleet is read, planned and shown, by calls that only read.

use std::path::PathBuf;

use crate::base::error::Error;
use crate::base::exit::Exit;
use crate::connect::{CommandContext, Connection};
use crate::engine::cancel::{Cancel, unless_cancelled};
use crate::fleet::Fleet;
use crate::identity::preflight::OnLoss;
use crate::images::digests::Digests;
use crate::plan::build;
use crate::plan::diff::Values;
use crate::plan::preview::Preview;
use crate::plan::saved::Key;
use crate::preflight::images::pin;
use crate::preflight::lookups::fill;
use crate::preflight::promotion::promote;
use crate::preflight::{check_from, hashed, prepare};
use crate::run::mr_note::Note;
use crate::run::planned::Planned;
use crate::run::saved_file;
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

/// Plans a fleet by a way to AWS that is given: what `plan` and its tests have in common.
///
/// # Errors
/// Targets are blocked, unless they are skipped; or a signal.
pub async fn run(
    fleet: Fleet,
    connection: &Connection,
    options: &PlanOptions,
    mut view: View,
    cancel: Cancel,
) -> Result<Exit, Error> {
    let context = &mut CommandContext { connection, view: &mut view, cancel: &cancel };
    check_from(&fleet, options.from.as_deref())?;
    let (unreachable, mut seen) = prepare(&fleet, OnLoss::GoOn, context).await?;
    let fleet = fill(fleet, &mut seen, context).await?;
    let fleet = pin(promote(fleet, &seen, context).await?, &seen, &Digests::default(), context).await?;
    let plan = build::plan(&fleet, &seen);
    let mut planned = Planned { fleet, unreachable, seen, plan };
    let notes = planned.verify(options.no_verify, context).await?;
    show(&planned, notes, options, context).await
}

/// Shows a plan, and leaves its reports and its file. `notes` are what was not checked.
///
/// # Errors
/// Targets are blocked, unless they are skipped; or a signal.
pub async fn show(
    planned: &Planned,
    notes: Vec<String>,
    options: &PlanOptions,
    context: &mut CommandContext<'_>,
) -> Result<Exit, Error> {
    let CommandContext { connection, view, cancel } = context;
    let shown = |values: &Values| {
        let preview = planned.preview(connection, options.from.as_deref(), values);
        Preview { notes: notes.clone(), ..preview }
    };
    let preview = shown(&options.values);
    // Where nothing at all could be read, the error says everything.
    let is_read = planned.seen.iter().any(Result::is_ok) || planned.seen.is_empty() || options.skip_blocked;
    if is_read || options.form != Form::Text {
        view.preview(&preview, options.form);
    }
    if let Some(note) = &options.note {
        unless_cancelled(note.write(shown(&note.values()), view), cancel).await?;
    }
    // What is kept as an artifact is read by more people than the log.
    let kept = (options.values == Values::Shown).then(|| shown(&hashed()));
    view.report_plan(kept.as_ref().unwrap_or(&preview));
    if let Some(error) = planned.refusal().filter(|_| !options.skip_blocked) {
        return Err(match options.out {
            Some(_) => error.help("no plan was saved; --skip-blocked saves one without these targets"),
            None => error,
        });
    }
    if let Some(path) = &options.out {
        saved_file::save(path, planned, (options.key.as_ref(), &options.values), context)?;
    }
    match options.detailed_exitcode && preview.pending() > 0 {
        true => Ok(Exit::Pending),
        false => Ok(Exit::Done),
    }
}
