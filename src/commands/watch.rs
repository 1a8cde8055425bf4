//! `roleout watch`: follows the deployments that are under way, whoever started them. It only reads.

use crate::base::clock::Clock;
use crate::base::error::Error;
use crate::base::exit::Exit;
use crate::base::text::count;
use crate::cli;
use crate::connect::Connection;
use crate::engine::Start;
use crate::engine::cancel::{Cancel, unless_cancelled};
use crate::fleet::{Amount, Fleet, OnCancel, OnFailure, Parallelism, Wave};
use crate::identity::preflight::OnLoss;
use crate::observe::{Observation, codedeploy};
use crate::plan::{build, follow};
use crate::preflight::{prepare, refusal};
use crate::run::lifecycle::carry_out;
use crate::run::outputs::{OutputKind, finish, open_outputs};
use crate::view::View;

/// Follows the deployments of a manifest's fleet.
pub async fn watch(args: &cli::Watch, mut view: View, cancel: Cancel) -> Result<Exit, Error> {
    open_outputs(&mut view, args.journal.as_deref(), &args.reports, args.folding, OutputKind::Run)?;
    let result = attempt(args, &mut view, cancel).await;
    finish(view, result, Clock::system(), Some(args.embedded.sandbox))
}

async fn attempt(args: &cli::Watch, view: &mut View, cancel: Cancel) -> Result<Exit, Error> {
    let (fleet, reach) = Connection::open(&args.selection, &args.embedded, view).await?;
    let start = Start { sandbox: args.embedded.sandbox, ..Start::default() };
    run_watch(fleet, &reach, args.skip_blocked, start, view, cancel).await
}

/// Follows the deployments of a fleet by a way to AWS that is given: what `watch` and its tests have in common.
///
/// # Errors
/// Targets that could not be read, unless they are skipped; or a signal before anything was followed.
pub async fn run(
    fleet: Fleet,
    reach: &Connection,
    skip_blocked: bool,
    start: Start,
    mut view: View,
    cancel: Cancel,
) -> Result<Exit, Error> {
    let sandbox = start.sandbox;
    let result = run_watch(fleet, reach, skip_blocked, start, &mut view, cancel).await;
    finish(view, result, reach.aws.clock(), Some(sandbox))
}

async fn run_watch(
    fleet: Fleet,
    reach: &Connection,
    skip_blocked: bool,
    start: Start,
    view: &mut View,
    cancel: Cancel,
) -> Result<Exit, Error> {
    let (unreachable, mut seen) = unless_cancelled(prepare(&fleet, reach, OnLoss::GoOn, view), &cancel).await?;
    let clients = reach.clients();
    unless_cancelled(codedeploy::under_way(&fleet, &mut seen, &|target| clients(target)), &cancel).await?;
    let plan = follow::plan(&fleet, &seen);
    match refusal(&fleet, &unreachable, &seen, &plan.outline) {
        Some(error) if !skip_blocked => {
            view.planned(plan.outline);
            return Err(error.help("--skip-blocked goes on without these targets"));
        }
        Some(error) => view.warning(&format!("going on without these targets: {error}")),
        None => {}
    }
    let followed: Vec<bool> = plan.work.iter().map(Option::is_some).collect();
    idle(&fleet, &seen, &followed, view);
    let (fleet, seen) = narrowed(fleet, seen, &followed);
    let plan = follow::plan(&fleet, &seen);
    Ok(carry_out(fleet, plan, reach, start, view, cancel).await)
}

/// Says of the targets that have nothing under way whether they are as the manifest wants them.
fn idle(fleet: &Fleet, seen: &[Observation], followed: &[bool], view: &mut View) {
    let idle: Vec<bool> = seen.iter().zip(followed).map(|(seen, followed)| seen.is_ok() && !followed).collect();
    let number = idle.iter().filter(|idle| **idle).count();
    if number == 0 {
        return;
    }
    let (fleet, seen) = narrowed(fleet.clone(), seen.to_vec(), &idle);
    let wanted = build::plan(&fleet, &seen).outline;
    let differ = wanted.changes.iter().filter(|change| change.action.changes()).count();
    let rest = match differ {
        0 => String::new(),
        differ => format!("; {differ} of them would change by `roleout deploy`"),
    };
    view.note(&format!("{} without a deployment under way{rest}", count(number, "target")));
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
