//! What `roleout status` does: every target is read, compared with the manifest and shown.

use crate::base::error::Error;
use crate::base::exit::Exit;
use crate::base::text::count;
use crate::connect::{CommandContext, Connection};
use crate::engine::cancel::Cancel;
use crate::fleet::Fleet;
use crate::identity::preflight::OnLoss;
use crate::preflight::lookups::fill;
use crate::preflight::promotion::promote;
use crate::preflight::{explanations, prepare};
use crate::status::{Drift, Status};
use crate::view::View;
use crate::view::status::Layout;

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
    connection: &Connection,
    choice: StatusOptions,
    mut view: View,
    cancel: Cancel,
) -> Result<Exit, Error> {
    let context = &mut CommandContext { connection, view: &mut view, cancel: &cancel };
    let (unreachable, mut seen) = prepare(fleet, OnLoss::GoOn, context).await?;
    let fleet = fill(fleet.clone(), &mut seen, context).await?;
    let fleet = &promote(fleet, &seen, context).await?;
    let status = Status::new(fleet, seen, &unreachable, connection.aws.clock().timestamp());
    if !status.open.is_empty() {
        let names: Vec<String> = status.open.iter().map(|name| format!("`{name}`")).collect();
        let (names, verb) = (names.join(", "), if status.open.len() == 1 { "is" } else { "are" });
        let mut images = fleet.targets.iter().flat_map(|target| target.desired.images.values());
        let image = images.find(|image| fleet.open_in(image).is_some());
        let example = image.map(|image| format!(", such as `{image}`")).unwrap_or_default();
        view.note(&format!("{names} {verb} not set: what the manifest deploys by that is not compared{example}"));
    }
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
