//! Runs by a way to AWS and a view that are given, each ended as its command ends it.

use roleout::base::error::Error;
use roleout::base::exit::Exit;
use roleout::connect::{CommandContext, Connection};
use roleout::engine::Start;
use roleout::engine::cancel::Cancel;
use roleout::fleet::Fleet;
use roleout::plan::saved::Saved;
use roleout::run::lifecycle::{PlanInput, plan_and_decide};
use roleout::run::outputs::finish;
use roleout::run::rollback::RollbackOptions;
use roleout::run::saved_plan::{self, ApplyOptions};
use roleout::view::View;

/// Deploys a fleet.
pub async fn deploy(
    fleet: Fleet,
    connection: &Connection,
    choice: PlanInput,
    start: Start,
    mut view: View,
    cancel: Cancel,
) -> Result<Exit, Error> {
    let run = (!choice.dry_run).then_some(start.sandbox);
    let context = &mut CommandContext { connection, view: &mut view, cancel: &cancel };
    let result = plan_and_decide(fleet, choice, start, context).await;
    finish(view, result, connection.aws.clock(), run)
}

/// Returns the targets of a fleet.
pub async fn roll_back(
    fleet: Fleet,
    connection: &Connection,
    choice: PlanInput,
    options: RollbackOptions,
    start: Start,
    mut view: View,
    cancel: Cancel,
) -> Result<Exit, Error> {
    let run = (!choice.dry_run).then_some(start.sandbox);
    let context = &mut CommandContext { connection, view: &mut view, cancel: &cancel };
    let result = roleout::run::rollback::roll_back(fleet, choice, options, start, context).await;
    finish(view, result, connection.aws.clock(), run)
}

/// Follows the deployments of a fleet.
pub async fn watch(
    fleet: Fleet,
    connection: &Connection,
    skip_blocked: bool,
    start: Start,
    mut view: View,
    cancel: Cancel,
) -> Result<Exit, Error> {
    let sandbox = start.sandbox;
    let context = &mut CommandContext { connection, view: &mut view, cancel: &cancel };
    let result = roleout::run::watch::watch(fleet, skip_blocked, start, context).await;
    finish(view, result, connection.aws.clock(), Some(sandbox))
}

/// Carries out a saved plan.
pub async fn apply(
    saved: Saved,
    connection: &Connection,
    terms: ApplyOptions,
    start: Start,
    mut view: View,
    cancel: Cancel,
) -> Result<Exit, Error> {
    let run = (!terms.dry_run).then_some(start.sandbox);
    let context = &mut CommandContext { connection, view: &mut view, cancel: &cancel };
    let result = saved_plan::apply_plan(saved, terms, start, context).await;
    finish(view, result, connection.aws.clock(), run)
}
