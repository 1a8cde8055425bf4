//! What `roleout watch` does: what is under way becomes a plan without a write, and is followed like any other.

use crate::base::error::Error;
use crate::base::exit::Exit;
use crate::base::text::count;
use crate::connect::CommandContext;
use crate::engine::Start;
use crate::engine::cancel::unless_cancelled;
use crate::fleet::{Amount, Fleet, OnCancel, OnFailure, Parallelism, Wave};
use crate::identity::preflight::OnLoss;
use crate::observe::{Observation, codedeploy};
use crate::plan::{build, follow, open};
use crate::preflight::prepare;
use crate::run::lifecycle::carry_out;
use crate::run::planned::Planned;
use crate::view::View;

/// Follows the deployments of a fleet.
///
/// # Errors
/// Targets that could not be read, unless they are skipped; or a signal before anything was followed.
pub async fn watch(
    fleet: Fleet,
    skip_blocked: bool,
    start: Start,
    context: &mut CommandContext<'_>,
) -> Result<Exit, Error> {
    let (unreachable, mut seen) = prepare(&fleet, OnLoss::GoOn, context).await?;
    let clients = context.connection.clients();
    unless_cancelled(codedeploy::under_way(&fleet, &mut seen, &|target| clients(target)), context.cancel).await?;
    let plan = follow::plan(&fleet, &seen);
    let planned = Planned { fleet, unreachable, seen, plan };
    planned.refuse(skip_blocked, "--skip-blocked goes on without these targets", context.view)?;
    let Planned { fleet, seen, plan, .. } = planned;
    let followed: Vec<bool> = plan.work.iter().map(Option::is_some).collect();
    print_idle(&fleet, &seen, &followed, context.view);
    let (fleet, seen) = narrowed(fleet, seen, &followed);
    let plan = follow::plan(&fleet, &seen);
    Ok(carry_out(fleet, plan, start, context).await)
}

/// Says of the targets that have nothing under way whether they are as the manifest wants them.
fn print_idle(fleet: &Fleet, seen: &[Observation], followed: &[bool], view: &mut View) {
    let idle: Vec<bool> = seen.iter().zip(followed).map(|(seen, followed)| seen.is_ok() && !followed).collect();
    let number = idle.iter().filter(|idle| **idle).count();
    if number == 0 {
        return;
    }
    let (fleet, seen) = narrowed(fleet.clone(), seen.to_vec(), &idle);
    let wanted = build::plan(&open::settled_fleet(&fleet, &seen), &seen).outline;
    let differ = wanted.changes.iter().filter(|change| change.action.changes()).count();
    let rest = match differ {
        0 => String::new(),
        differ => format!("; {differ} of them would change by `roleout deploy`"),
    };
    let targets = count(number, "target");
    match followed.contains(&true) {
        true => view.note(&format!("{targets} without a deployment under way{rest}")),
        false => view.note(&format!("there is nothing to follow: {targets} without a deployment under way{rest}")),
    }
}

/// Keeps the targets that are marked, in one wave.
fn narrowed(fleet: Fleet, seen: Vec<Observation>, kept: &[bool]) -> (Fleet, Vec<Observation>) {
    let mut fleet = fleet.retain(kept);
    // Somebody else's deployment may be of any commit.
    fleet.environments.clear();
    fleet.waves = vec![Wave {
        name: follow::WAVE.to_owned(),
        targets: (0..fleet.targets.len()).collect(),
        max_parallel: Parallelism::Window(Amount::Percent(100)),
        max_parallel_per_account: None,
        max_failures: Amount::Count(0),
        strict: false,
        bake: std::time::Duration::ZERO,
        gate: false,
        on_failure: OnFailure::Stop,
        on_cancel: OnCancel::Detach,
    }];
    let seen = seen.into_iter().zip(kept).filter(|(_, kept)| **kept).map(|(seen, _)| seen).collect();
    (fleet, seen)
}
