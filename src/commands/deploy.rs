//! `roleout deploy`: preflight, plan, and the rollouts.

use std::collections::HashSet;

use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use super::manifest::{environment, selected};
use super::reach::{Reach, job_environment, seeded};
use crate::cli;
use crate::clock::Clock;
use crate::engine::cancel::{Cancel, Signal};
use crate::engine::{self, EVENTS, Start};
use crate::error::Error;
use crate::event::Stamper;
use crate::exit::Exit;
use crate::fleet::{Fleet, TargetId};
use crate::identity::preflight::{self, Unreachable};
use crate::observe::{self, Seen, Unseen};
use crate::plan::{Action, Outline, build};
use crate::sandbox::Claims;
use crate::view::View;
use crate::view::style::count;

/// How many faults of one kind are listed before the rest is only counted.
const LISTED: usize = 20;

/// Deploys the fleet of a manifest.
pub async fn deploy(args: &cli::Deploy, mut view: View, cancel: Cancel) -> Result<Exit, Error> {
    let variables = if args.sandbox { job_environment } else { environment };
    let fleet = selected(&args.selection, &variables)?;
    for warning in &fleet.warnings {
        view.warning(warning);
    }
    let reach = if args.sandbox {
        let sandbox = seeded(&fleet, args.sandbox_seed, Clock::tokio_from_system(), &args.sandbox_fault)?;
        Reach::sandbox(&fleet, &sandbox, sandbox.id_token(Claims::default()))
    } else {
        Reach::production(&fleet).await?
    };
    let start = Start { from: args.from.clone(), sandbox: args.sandbox };
    let choice = Choice { dry_run: args.dry_run, skip_blocked: args.skip_blocked };
    run(fleet, &reach, choice, start, view, cancel).await
}

/// What a person decided beforehand.
#[derive(Clone, Copy, Debug, Default)]
pub struct Choice {
    /// Print the plan and change nothing.
    pub dry_run: bool,
    /// Go on without the targets that cannot be reached or deployed.
    pub skip_blocked: bool,
}

/// Deploys a fleet by a way to AWS that is given: what `deploy` and the tests of whole fleets have in common.
pub async fn run(
    fleet: Fleet,
    reach: &Reach,
    choice: Choice,
    start: Start,
    mut view: View,
    cancel: Cancel,
) -> Result<Exit, Error> {
    if let Some(from) = &start.from
        && !fleet.waves.iter().any(|wave| wave.name == *from)
    {
        let names: Vec<&str> = fleet.waves.iter().map(|wave| wave.name.as_str()).collect();
        let error = Error::new(Exit::Usage, format!("--from names no wave: `{from}`"));
        return Err(error.help(format!("the waves are: {}", names.join(", "))));
    }
    let prepare = prepare(&fleet, reach, &mut view);
    let (unreachable, seen) = tokio::select! {
        biased;
        () = cancel.cancelled() => {
            let signal = cancel.signal().unwrap_or(Signal::Terminate);
            return Err(Error::new(signal.exit(), format!("{} before anything was changed", signal.name())));
        }
        prepared = prepare => prepared,
    };
    let plan = build::plan(&fleet, &seen);
    let refusal = refusal(&fleet, &unreachable, &seen, &plan.outline);
    if choice.dry_run {
        view.plan(&plan.outline);
        return match refusal {
            Some(error) if !choice.skip_blocked => Err(error),
            _ => Ok(Exit::Done),
        };
    }
    match refusal {
        Some(error) if !choice.skip_blocked => {
            return Err(error.help("nothing was changed; --skip-blocked goes on without these targets"));
        }
        Some(error) => view.warning(&format!("going on without these targets: {error}")),
        None => {}
    }
    let (events, mut received) = mpsc::channel(EVENTS);
    let clock = reach.aws.clock();
    let mut stamper = Stamper::new(run_id(clock));
    let mut tick = tokio::time::interval(view.pace());
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let engine = engine::run(fleet, plan, reach.clients(), events, cancel, start);
    let watch = async {
        loop {
            tokio::select! {
                biased;
                event = received.recv() => match event {
                    Some(event) => view.event(&stamper.stamp(clock.timestamp(), event)),
                    None => break,
                },
                _ = tick.tick() => view.tick(clock.timestamp()),
            }
        }
    };
    tokio::join!(engine, watch);
    Ok(view.finish().exit())
}

/// Walks every chain, and then reads every target whose account can be reached.
async fn prepare(fleet: &Fleet, reach: &Reach, view: &mut View) -> (Vec<Unreachable>, Vec<Seen>) {
    view.phase(&format!("walking the role chains of {}", count(fleet.accounts.len(), "account")));
    let unreachable = preflight::walk(&reach.sessions, &fleet.accounts).await;
    view.phase(&format!("reading {}", count(fleet.targets.len(), "service")));
    let clients = reach.clients();
    let skip = |account: &str| unreachable.iter().find(|it| it.account.name == account);
    let reachable = |index: &usize| skip(&fleet.targets[*index].id.account).is_none();
    let indices: Vec<usize> = (0..fleet.targets.len()).filter(reachable).collect();
    let observed = observe::targets(fleet, &indices, &|target| clients(target)).await;
    let mut seen: Vec<Seen> = fleet
        .targets
        .iter()
        .map(|target| {
            let reason = skip(&target.id.account).map_or_else(String::new, |it| it.reason.clone());
            Err(Unseen { reason, help: None, answered: false })
        })
        .collect();
    for (index, result) in observed {
        seen[index] = result;
    }
    (unreachable, seen)
}

/// Returns why the run may not start: accounts and targets that cannot be reached (exit 4), or that cannot be deployed
/// (exit 5). Every one of them is named, an unreachable account once.
fn refusal(fleet: &Fleet, unreachable: &[Unreachable], seen: &[Seen], outline: &Outline) -> Option<Error> {
    let mut lines: Vec<String> = Vec::new();
    let mut help: Vec<String> = Vec::new();
    for it in unreachable {
        lines.push(format!("{} ({}): {}", it.account.name, it.account.id, it.reason));
        help.extend(it.help.iter().cloned());
    }
    let lost: HashSet<&str> = unreachable.iter().map(|it| it.account.name.as_str()).collect();
    let unanswered: HashSet<&TargetId> = fleet
        .targets
        .iter()
        .zip(seen)
        .filter(|(_, seen)| seen.as_ref().is_err_and(|unseen| !unseen.answered))
        .map(|(target, _)| &target.id)
        .collect();
    for change in &outline.changes {
        if let (Action::Blocked { reason, help: hint }, false) =
            (&change.action, lost.contains(&*change.target.account))
        {
            lines.push(format!("{}: {reason}", change.target));
            help.extend(hint.clone());
        }
    }
    if lines.is_empty() {
        return None;
    }
    let (exit, what) = match unanswered.is_empty() {
        true => (Exit::Blocked, "targets are blocked"),
        false => (Exit::Preflight, "preflight failed"),
    };
    let more = lines.len().saturating_sub(LISTED);
    lines.truncate(LISTED);
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    let mut known = HashSet::new();
    help.retain(|hint| known.insert(hint.clone()));
    help.truncate(LISTED);
    Some(Error { exit, message: format!("{what}:\n  {}", lines.join("\n  ")), help })
}

/// Names a run by when it began, and by the CI job where there is one.
fn run_id(clock: Clock) -> String {
    let at = clock.timestamp().strftime("%Y%m%dT%H%M%SZ");
    match environment("CI_JOB_ID") {
        Some(job) if !job.is_empty() => format!("{at}-{job}"),
        _ => format!("{at}-{}", std::process::id()),
    }
}
