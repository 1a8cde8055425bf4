//! `roleout deploy`: preflight, plan, and the rollouts.

use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use super::manifest::{environment, selected};
use super::prepare::{prepare, refusal};
use super::reach::{Reach, job_environment, seeded};
use crate::cli;
use crate::clock::Clock;
use crate::engine::cancel::{Cancel, Signal};
use crate::engine::{self, EVENTS, Start};
use crate::error::Error;
use crate::event::Stamper;
use crate::exit::Exit;
use crate::fleet::Fleet;
use crate::plan::build;
use crate::sandbox::Claims;
use crate::view::View;

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

/// Names a run by when it began, and by the CI job where there is one.
fn run_id(clock: Clock) -> String {
    let at = clock.timestamp().strftime("%Y%m%dT%H%M%SZ");
    match environment("CI_JOB_ID") {
        Some(job) if !job.is_empty() => format!("{at}-{job}"),
        _ => format!("{at}-{}", std::process::id()),
    }
}
