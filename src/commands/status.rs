//! `roleout status`: every target now, and its drift from the manifest. It only reads.

use crate::base::error::Error;
use crate::base::exit::Exit;
use crate::base::text::count;
use crate::cli::{self, StatusFormat};
use crate::connect::Connection;
use crate::engine::cancel::{Cancel, unless_cancelled};
use crate::fleet::Fleet;
use crate::identity::preflight::OnLoss;
use crate::load::choose_images;
use crate::preflight::{check_from, explanations, prepare};
use crate::status::{Drift, Status};
use crate::view::View;
use crate::view::status::Layout;

/// Shows the status of a manifest's fleet.
pub async fn status(args: &cli::Status, mut view: View, cancel: Cancel) -> Result<Exit, Error> {
    let (mut fleet, reach) = Connection::open(&args.selection, &args.embedded, &mut view).await?;
    choose_images(&mut fleet, &args.instead, &args.selection)?;
    let fleet = match &args.from {
        Some(from) => waves_from(fleet, from)?,
        None => fleet,
    };
    let layout = match args.format {
        StatusFormat::Text if args.verbose > 0 => Layout::Whole,
        StatusFormat::Text => Layout::Table,
        StatusFormat::Json => Layout::Json,
    };
    run(&fleet, &reach, StatusOptions { layout, detailed_exitcode: args.detailed_exitcode }, view, cancel).await
}

/// What a person decided beforehand.
#[derive(Clone, Copy, Debug, Default)]
pub struct StatusOptions {
    /// What stdout gets.
    pub layout: Layout,
    /// Tell drift by the exit code.
    pub detailed_exitcode: bool,
}

/// Shows the status of a fleet by a way to AWS that is given: what `status` and its tests have in common.
///
/// # Errors
/// Targets that could not be read, after all others were shown; or a signal.
pub async fn run(
    fleet: &Fleet,
    reach: &Connection,
    choice: StatusOptions,
    mut view: View,
    cancel: Cancel,
) -> Result<Exit, Error> {
    let (unreachable, seen) = unless_cancelled(prepare(fleet, reach, OnLoss::GoOn, &mut view), &cancel).await?;
    let status = Status::new(fleet, seen, &unreachable, reach.aws.clock().timestamp());
    view.status(&status, choice.layout);
    if status.totals.unreachable > 0 {
        let mut error = unread(&status);
        error.help = explanations(&unreachable);
        return Err(error);
    }
    if choice.detailed_exitcode && status.has_drift() {
        return Ok(Exit::Pending);
    }
    Ok(Exit::Done)
}

/// Narrows a fleet to a wave and those after it.
fn waves_from(fleet: Fleet, from: &str) -> Result<Fleet, Error> {
    check_from(&fleet, Some(from))?;
    let waves = fleet.waves_from(from).map_err(|error| Error::new(Exit::Usage, error.to_string()))?;
    fleet.select(&[], &waves).map_err(|error| Error::new(Exit::Usage, error.to_string()))
}

/// Says how much could not be read; which and why is in the status.
fn unread(status: &Status) -> Error {
    let lost = status.targets.iter().filter(|target| matches!(target.drift, Drift::Unknown { .. }));
    let mut accounts: Vec<&str> = lost.map(|target| &*target.target.account).collect();
    accounts.dedup();
    let few = accounts.len() <= 5;
    let names = if few { format!(": {}", accounts.join(", ")) } else { String::new() };
    let (targets, accounts) = (count(status.totals.unreachable, "target"), count(accounts.len(), "account"));
    Error::new(Exit::Preflight, format!("{targets} in {accounts} could not be read{names}"))
}
