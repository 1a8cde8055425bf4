//! From preflight to the last report: a fleet is read, planned, shown or refused, and carried out.

use std::path::PathBuf;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio::time::MissedTickBehavior;

use crate::base::error::Error;
use crate::base::exit::Exit;
use crate::connect::Connection;
use crate::engine;
use crate::engine::Start;
use crate::engine::cancel::{Cancel, unless_cancelled};
use crate::engine::context::EVENTS;
use crate::event::{Job, Stamper};
use crate::fleet::{Fleet, OnBusy};
use crate::identity::preflight::{OnLoss, Unreachable};
use crate::load::environment;
use crate::observe::Observation;
use crate::plan::build;
use crate::plan::preview::paces;
use crate::plan::saved::Key;
use crate::plan::time_estimate::budget;
use crate::plan::work::Plan;
use crate::preflight::references::{observed, verify};
use crate::preflight::{check_from, hashed, limits, prepare, preview, refusal, wait_for_others};
use crate::run::deployments::Recorder;
use crate::run::outputs::{finish, run_id};
use crate::run::saved_file;
use crate::run::webhooks::Notifier;
use crate::view::plan::warning;
use crate::view::{Form, View};

/// What a person decided beforehand.
#[derive(Clone, Debug, Default)]
pub struct PlanInput {
    /// Print the plan and change nothing.
    pub dry_run: bool,
    /// Go on without the targets that cannot be reached or deployed.
    pub skip_blocked: bool,
    /// Do not look for what the task definitions name.
    pub no_verify: bool,
    /// Where a dry run saves the plan.
    pub out: Option<PathBuf>,
    /// The key that signs it.
    pub key: Option<Key>,
}

impl PlanInput {
    /// Whether an account that cannot be reached is the end: then nothing more is asked of AWS.
    pub fn on_loss(&self) -> OnLoss {
        if self.skip_blocked || self.dry_run { OnLoss::GoOn } else { OnLoss::Stop }
    }
}

/// Deploys a fleet by a way to AWS that is given: what `deploy` and the tests of whole fleets have in common.
pub async fn run(
    fleet: Fleet,
    reach: &Connection,
    choice: PlanInput,
    start: Start,
    mut view: View,
    cancel: Cancel,
) -> Result<Exit, Error> {
    let run = (!choice.dry_run).then_some(start.sandbox);
    let result = plan_and_decide(fleet, reach, choice, start, &mut view, cancel).await;
    finish(view, result, reach.aws.clock(), run)
}

/// Reads a fleet and plans it, and then shows the plan, refuses it or carries it out.
///
/// # Errors
/// The run is refused, or a signal came before anything was changed.
pub async fn plan_and_decide(
    fleet: Fleet,
    reach: &Connection,
    choice: PlanInput,
    start: Start,
    view: &mut View,
    cancel: Cancel,
) -> Result<Exit, Error> {
    check_from(&fleet, start.from.as_deref())?;
    let start = Start { read_at: Some(Instant::now()), ..start };
    let (unreachable, mut seen) = unless_cancelled(prepare(&fleet, reach, choice.on_loss(), view), &cancel).await?;
    let fails = choice.on_loss() == OnLoss::Stop && seen.iter().any(Result::is_err);
    if fleet.on_busy == OnBusy::Wait && !choice.dry_run && !fails {
        unless_cancelled(wait_for_others(&fleet, &mut seen, reach, view), &cancel).await?;
    }
    let plan = build::plan(&fleet, &seen);
    decide(Planned { fleet, unreachable, seen, plan }, reach, choice, start, view, cancel).await
}

/// A plan, and what it was made from.
pub struct Planned {
    /// What was planned.
    pub fleet: Fleet,
    /// The accounts that could not be reached.
    pub unreachable: Vec<Unreachable>,
    /// What was seen of each target.
    pub seen: Vec<Observation>,
    /// The plan.
    pub plan: Plan,
}

/// Shows a plan, refuses it or carries it out, as a person decided beforehand.
pub async fn decide(
    planned: Planned,
    reach: &Connection,
    choice: PlanInput,
    start: Start,
    view: &mut View,
    cancel: Cancel,
) -> Result<Exit, Error> {
    let Planned { fleet, unreachable, seen, mut plan } = planned;
    // What is refused anyway needs nothing more of AWS.
    let fails = choice.on_loss() == OnLoss::Stop && refusal(&fleet, &unreachable, &seen, &plan.outline).is_some();
    let no_verify = choice.no_verify || fails;
    let verified =
        unless_cancelled(verify(&fleet, &mut plan, observed(&seen), reach, no_verify, view), &cancel).await?;
    let refusal = refusal(&fleet, &unreachable, &seen, &plan.outline);
    if choice.dry_run {
        let values = hashed();
        let mut preview = preview(&fleet, &seen, &plan, reach, start.from.as_deref(), &values);
        preview.notes = verified.notes;
        view.preview(&preview, Form::Text);
        view.report_plan(&preview);
        if let Some(error) = refusal.filter(|_| !choice.skip_blocked) {
            return Err(match choice.out {
                Some(_) => error.help("no plan was saved; --skip-blocked saves one without these targets"),
                None => error,
            });
        }
        if let Some(path) = &choice.out {
            saved_file::save(path, &fleet, &seen, &plan, (choice.key.as_ref(), &values), reach, view)?;
        }
        return Ok(Exit::Done);
    }
    verified.notes.iter().for_each(|note| view.note(note));
    match refusal {
        Some(error) if !choice.skip_blocked => {
            view.planned(plan.outline);
            return Err(error.help("nothing was changed; --skip-blocked goes on without these targets"));
        }
        Some(error) => view.warning(&format!("going on without these targets: {error}")),
        None => {}
    }
    let pace = paces(&fleet, &seen, &plan);
    let (_, budget) = budget(&fleet, &pace, start.from.as_deref(), &limits(reach));
    if let Some(warning) = warning(&budget) {
        view.warning(&warning);
    }
    view.expect(budget.expected_seconds);
    // What was seen of a large fleet is the largest thing in memory, and the plan holds what is still needed of it.
    drop(seen);
    Ok(carry_out(fleet, plan, reach, start, view, cancel).await)
}

/// Carries out a plan, and shows it while it goes on.
pub async fn carry_out(
    fleet: Fleet,
    plan: Plan,
    reach: &Connection,
    start: Start,
    view: &mut View,
    cancel: Cancel,
) -> Exit {
    let (events, mut received) = mpsc::channel(EVENTS);
    let clock = reach.aws.clock().steady();
    let run = run_id(clock);
    let mut stamper = Stamper::new(run.clone());
    let mut notifier = Notifier::new(&fleet, start.sandbox, reach.aws.allows_http(), view);
    let mut recorder = Recorder::new(&fleet, start.sandbox, reach.aws.allows_http(), view);
    let mut tick = tokio::time::interval(view.pace());
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let start = Start { run, job: Job::read(&environment), ..start };
    let engine = engine::run(fleet, plan, reach.clients(), events, cancel.clone(), start);
    let watch = async {
        loop {
            tokio::select! {
                biased;
                event = received.recv() => match event {
                    Some(event) => {
                        let event = stamper.stamp(clock.timestamp(), event);
                        view.event(&event);
                        notifier.event(&event.event, view.state());
                        recorder.event(&event.event, view.state());
                    }
                    None => break,
                },
                _ = tick.tick() => view.tick(clock.timestamp()),
            }
        }
    };
    tokio::join!(engine, watch);
    // What is on the disk stays, whatever a webhook does to the seconds that are left.
    view.write_reports();
    let cancelled = view.state().cancelled().is_some();
    let (posted, recorded) = tokio::join!(notifier.finish(cancelled), recorder.finish(&cancel));
    posted.iter().chain(&recorded).for_each(|warning| view.warning(warning));
    view.state().exit()
}
