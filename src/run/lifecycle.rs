//! From preflight to the last report: a fleet is read, planned, shown or refused, and carried out.

use std::collections::BTreeSet;
use std::path::PathBuf;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio::time::MissedTickBehavior;

use crate::base::error::Error;
use crate::base::exit::Exit;
use crate::base::text::count;
use crate::connect::CommandContext;
use crate::engine;
use crate::engine::Start;
use crate::engine::cancel::unless_cancelled;
use crate::engine::context::{EVENTS, Handles};
use crate::event::{Event, Job, Stamper};
use crate::fleet::{Fleet, OnBusy};
use crate::identity::preflight::OnLoss;
use crate::images::digests::Digests;
use crate::load::environment;
use crate::plan::build;
use crate::plan::preview::paces;
use crate::plan::saved::Key;
use crate::plan::time_estimate::estimate;
use crate::plan::work::Plan;
use crate::preflight::images::pin;
use crate::preflight::lookups::fill;
use crate::preflight::promotion::promote;
use crate::preflight::{check_from, hashed, limits, prepare, wait_for_others};
use crate::run::deployments::Recorder;
use crate::run::outputs::run_id;
use crate::run::plan::{self, PlanOptions};
use crate::run::planned::{Planned, UNCHANGED};
use crate::run::trace::Tracer;
use crate::run::webhooks::Notifier;
use crate::view::Form;
use crate::view::plan::warning;
use crate::view::question::can_ask;

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
    /// The digests of images that an earlier job resolved.
    pub digests: Digests,
    /// Whether somebody is asked before anything is changed.
    pub consent: Consent,
}

/// Whether somebody is asked before anything is changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Consent {
    /// The command line is enough.
    #[default]
    Given,
    /// The person at the terminal sees the plan, and is asked with this verb.
    Asked(&'static str),
}

impl Consent {
    /// Asks where a person is at a terminal, unless the command line says not to: a CI job is never asked.
    pub fn wanted(verb: &'static str, given: bool) -> Self {
        let is_set = |name: &str| environment(name).is_some_and(|value| !value.is_empty());
        match given || is_set("CI") || is_set("GITLAB_CI") || !can_ask() {
            true => Self::Given,
            false => Self::Asked(verb),
        }
    }
}

impl PlanInput {
    /// Whether an account that cannot be reached is the end: then nothing more is asked of AWS.
    pub fn on_loss(&self) -> OnLoss {
        if self.skip_blocked || self.dry_run { OnLoss::GoOn } else { OnLoss::Stop }
    }
}

/// Reads a fleet and plans it, and then shows the plan, refuses it or carries it out.
///
/// # Errors
/// The run is refused, or a signal came before anything was changed.
pub async fn plan_and_decide(
    fleet: Fleet,
    choice: PlanInput,
    start: Start,
    context: &mut CommandContext<'_>,
) -> Result<Exit, Error> {
    check_from(&fleet, start.from.as_deref())?;
    let start = Start { read_at: Some(Instant::now()), ..start };
    let (unreachable, mut seen) = prepare(&fleet, choice.on_loss(), context).await?;
    let fails = choice.on_loss() == OnLoss::Stop && seen.iter().any(Result::is_err);
    let fleet = if fails { fleet } else { fill(fleet, &mut seen, context).await? };
    if fleet.on_busy == OnBusy::Wait && !choice.dry_run && !fails {
        let CommandContext { connection, view, cancel } = context;
        unless_cancelled(wait_for_others(&fleet, &mut seen, connection, view), cancel).await?;
    }
    let fleet =
        if fails { fleet } else { pin(promote(fleet, &seen, context).await?, &seen, &choice.digests, context).await? };
    let plan = build::plan(&fleet, &seen);
    decide(Planned { fleet, unreachable, seen, plan }, choice, start, context).await
}

/// Shows a plan, refuses it or carries it out, as a person decided beforehand.
///
/// # Errors
/// The run is refused, or a signal came before anything was changed.
pub async fn decide(
    mut planned: Planned,
    choice: PlanInput,
    start: Start,
    context: &mut CommandContext<'_>,
) -> Result<Exit, Error> {
    // What is refused anyway needs nothing more of AWS.
    let fails = choice.on_loss() == OnLoss::Stop && planned.refusal().is_some();
    let notes = planned.verify(choice.no_verify || fails, context).await?;
    if choice.dry_run {
        let PlanInput { skip_blocked, out, key, .. } = choice;
        let options = PlanOptions { from: start.from, skip_blocked, out, key, ..PlanOptions::default() };
        return plan::show(&planned, notes, &options, context).await;
    }
    let view = &mut *context.view;
    notes.iter().for_each(|note| view.note(note));
    planned.refuse(choice.skip_blocked, UNCHANGED, view)?;
    if let Consent::Asked(verb) = choice.consent {
        ask(verb, &planned, start.from.as_deref(), context).await?;
    }
    let CommandContext { connection, view, .. } = context;
    let Planned { fleet, seen, plan, .. } = planned;
    let pace = paces(&fleet, &seen, &plan);
    let (_, estimate) = estimate(&fleet, &pace, start.from.as_deref(), &limits(connection));
    if let Some(warning) = warning(&estimate) {
        view.warning(&warning);
    }
    view.expect(estimate.expected_seconds);
    // What was seen of a large fleet is the largest thing in memory, and the plan holds what is still needed of it.
    drop(seen);
    Ok(carry_out(fleet, plan, start, context).await)
}

/// Shows the plan and asks whether it is carried out. Where there is nothing to do, there is nothing to ask.
async fn ask(verb: &str, planned: &Planned, from: Option<&str>, context: &mut CommandContext<'_>) -> Result<(), Error> {
    let CommandContext { connection, view, cancel } = context;
    let changing: Vec<_> = planned.plan.outline.changes.iter().filter(|change| change.action.changes()).collect();
    if changing.is_empty() {
        return Ok(());
    }
    view.preview(&planned.preview(connection, from, &hashed()), Form::Text);
    let accounts: BTreeSet<&str> = changing.iter().map(|change| &*change.target.account).collect();
    let (targets, accounts) = (count(changing.len(), "target"), count(accounts.len(), "account"));
    match unless_cancelled(view.ask(&format!("{verb} {targets} in {accounts}? [y/N]")), cancel).await? {
        true => Ok(()),
        false => Err(Error::new(Exit::Blocked, "the answer was not yes").help("nothing was changed")),
    }
}

/// Carries out a plan, and shows it while it goes on.
pub async fn carry_out(fleet: Fleet, plan: Plan, start: Start, context: &mut CommandContext<'_>) -> Exit {
    let CommandContext { connection, view, cancel } = context;
    if let Some(warning) = passed_over(&fleet, &plan, start.from.as_deref()) {
        view.warning(&warning);
    }
    let (events, mut received) = mpsc::channel(EVENTS);
    let clock = connection.aws.clock().steady();
    let run = run_id(clock);
    let mut stamper = Stamper::new(run.clone());
    let mut notifier = Notifier::new(&fleet, start.sandbox, connection.aws.allows_http(), view);
    let mut recorder = Recorder::new(&fleet, start.sandbox, connection.aws.allows_http(), view);
    let tracer = Tracer::new(start.sandbox, connection.aws.allows_http(), view);
    let mut tick = tokio::time::interval(view.pace());
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let start = Start { run, job: Job::read(&environment), ..start };
    let handles = Handles { clients: connection.clients(), events, cancel: (*cancel).clone() };
    let engine = engine::run(fleet, plan, handles, start);
    let watch = async {
        loop {
            tokio::select! {
                biased;
                event = received.recv() => match event {
                    Some(event) => {
                        // What a run comes to is a fold of its events, which the engine does not keep.
                        let event = if matches!(event, Event::RunFinished { .. }) { view.state().end() } else { event };
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
    let (posted, recorded, traced) =
        tokio::join!(notifier.finish(cancelled), recorder.finish(cancel), tracer.finish(view.state()));
    posted.iter().chain(&recorded).chain(&traced).for_each(|warning| view.warning(warning));
    view.state().exit()
}

/// Says what a run that begins at a wave leaves waiting in the waves before it.
fn passed_over(fleet: &Fleet, plan: &Plan, from: Option<&str>) -> Option<String> {
    let from = from?;
    let before = fleet.waves.iter().take_while(|wave| wave.name != from);
    let waiting =
        before.flat_map(|wave| &wave.targets).filter(|&&index| plan.work.get(index).is_some_and(Option::is_some));
    match waiting.count() {
        0 => None,
        1 => Some(format!("--from {from}: 1 target of an earlier wave has something to do, and is left as it is")),
        number => Some(format!(
            "--from {from}: {number} targets of earlier waves have something to do, and are left as they are"
        )),
    }
}
