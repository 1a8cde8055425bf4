//! `roleout deploy`: preflight, plan, and the rollouts.

use std::path::{Path, PathBuf};

use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};

use super::deployments::Recorder;
use super::manifest::{choose_images, environment};
use super::notify::Notifier;
use super::prepare::{check_from, hashed, limits, prepare, preview, refusal, unless_cancelled, wait_for_others};
use super::reach::{Reach, hasten};
use super::saved;
use super::verify::{observed, verify};
use crate::cli;
use crate::clock::Clock;
use crate::engine::cancel::Cancel;
use crate::engine::{self, EVENTS, Start};
use crate::error::Error;
use crate::event::{Event, Job, Stamper};
use crate::exit::Exit;
use crate::file;
use crate::fleet::{Fleet, OnBusy};
use crate::identity::preflight::{OnLoss, Unreachable};
use crate::observe::Seen;
use crate::plan::budget::budget;
use crate::plan::preview::paces;
use crate::plan::saved::Key;
use crate::plan::{Plan, build};
use crate::report::Kind;
use crate::view::journal::{JOURNAL, Journal};
use crate::view::plan::warning;
use crate::view::reports::Reports;
use crate::view::{Form, View};

/// Deploys the fleet of a manifest, or carries out a saved plan.
pub async fn deploy(args: &cli::Deploy, mut view: View, cancel: Cancel) -> Result<Exit, Error> {
    let mut reports = args.reports.clone();
    if args.dry_run && args.plan.is_some() && !reports.is_empty() {
        view.warning("a dry run of a saved plan writes no reports; `roleout plan` writes those of a plan");
        reports = cli::Reports::default();
    }
    remain(&mut view, args.journal.as_deref(), &reports, args.folding, Remains::of(args.dry_run))?;
    let result = attempt(args, &mut view, cancel).await;
    end(view, result, Clock::system(), (!args.dry_run).then_some(args.embedded.sandbox))
}

async fn attempt(args: &cli::Deploy, view: &mut View, cancel: Cancel) -> Result<Exit, Error> {
    refuse_in_a_freeze(args)?;
    if let Some(path) = &args.plan {
        return saved::deploy(path, args, view, cancel).await;
    }
    let (mut fleet, reach) = Reach::open(&args.selection, &args.embedded, view).await?;
    if args.embedded.sandbox && !args.dry_run {
        hasten(&mut fleet, view);
    }
    choose_images(&mut fleet, &args.instead, &args.selection)?;
    fleet.release.allow_older = args.allow_older;
    fleet.release.force_new_deployment = args.force_new_deployment;
    fleet.on_busy = args.on_busy.map_or(fleet.on_busy, OnBusy::from);
    let (from, continue_hooks) = (args.from.clone(), args.continue_hooks);
    let start = Start { from, sandbox: args.embedded.sandbox, continue_hooks, ..Start::default() };
    let choice = Choice {
        dry_run: args.dry_run,
        skip_blocked: args.skip_blocked,
        no_verify: args.no_verify,
        out: args.out.clone(),
        key: saved::key(args.sign_env.as_deref().filter(|_| args.out.is_some()))?,
    };
    go(fleet, &reach, choice, start, view, cancel).await
}

/// Refuses to deploy while GitLab says that the project is in a deploy freeze.
fn refuse_in_a_freeze(args: &cli::Deploy) -> Result<(), Error> {
    let frozen = environment("CI_DEPLOY_FREEZE").is_some_and(|freeze| !freeze.is_empty());
    if !frozen || args.override_freeze || args.dry_run || args.embedded.sandbox {
        return Ok(());
    }
    let error = Error::new(Exit::Blocked, "the project is in a deploy freeze: CI_DEPLOY_FREEZE is set");
    Err(error.help("run this job again when the freeze is over, or deploy all the same with --override-freeze"))
}

/// What it is of which something remains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remains {
    /// A run: its reports, and beside them its journal, unless that is named.
    Run,
    /// A plan: the reports that there are of one.
    Plan,
    /// Runs of others, told again: reports, and a journal only where it is named.
    Told,
}

impl Remains {
    /// Of a run, or of a dry one.
    pub(super) fn of(dry_run: bool) -> Self {
        if dry_run { Self::Plan } else { Self::Run }
    }
}

/// Opens the journal and the reports before anything is changed, and has the view write to them.
pub(super) fn remain(
    view: &mut View,
    journal: Option<&Path>,
    reports: &cli::Reports,
    folding: cli::Folding,
    remains: Remains,
) -> Result<(), Error> {
    let usage = |what: &str, error: String| Error::new(Exit::Usage, format!("{what} cannot be written: {error}"));
    let beside = reports.reports_dir.as_ref().filter(|_| remains == Remains::Run && journal.is_none());
    let beside = beside.map(|directory| directory.join(JOURNAL));
    let opened = match (&beside, journal) {
        // As every file there: what an earlier run left is taken away.
        (Some(path), _) => {
            file::check(path).and_then(|()| file::write(path, b"")).and_then(|()| Journal::open(path)).map(Some)
        }
        (None, named) => named.map(Journal::open).transpose(),
    };
    opened.map_err(|error| usage("the journal", error.to_string()))?.into_iter().for_each(|it| view.record(it));
    let kinds: &[Kind] = if remains == Remains::Plan { &Kind::OF_PLANS } else { &Kind::ALL };
    let reports = Reports::open(&reports.report, reports.reports_dir.as_deref(), kinds);
    view.report(reports.map_err(|error| usage("a report", error))?);
    let folds = match folding.sections {
        cli::Sections::Auto => environment("GITLAB_CI").is_some_and(|value| !value.is_empty()),
        cli::Sections::Always => true,
        cli::Sections::Never => false,
    };
    if folds {
        view.fold();
    }
    Ok(())
}

/// Ends a command. Where it was to be a run, in the sandbox or not, and was refused before anything was changed, that is an
/// event of its own, and reports say so.
pub(super) fn end(mut view: View, result: Result<Exit, Error>, clock: Clock, run: Option<bool>) -> Result<Exit, Error> {
    if let (Err(error), Some(sandbox)) = (&result, run) {
        let message = anstream::adapter::strip_str(&error.message).to_string();
        let (plan, job, help) = (view.take_planned(), Job::read(&environment), error.help.clone());
        let exit_code = error.exit.code();
        let refused = Event::RunRefused { plan, sandbox, job, exit_code, message, help };
        view.event(&Stamper::new(run_id(clock)).stamp(clock.timestamp(), refused));
    }
    view.finish();
    result
}

/// What a person decided beforehand.
#[derive(Clone, Debug, Default)]
pub struct Choice {
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

impl Choice {
    /// Whether an account that cannot be reached is the end: then nothing more is asked of AWS.
    pub(super) fn on_loss(&self) -> OnLoss {
        if self.skip_blocked || self.dry_run { OnLoss::GoOn } else { OnLoss::Stop }
    }
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
    let run = (!choice.dry_run).then_some(start.sandbox);
    let result = go(fleet, reach, choice, start, &mut view, cancel).await;
    end(view, result, reach.aws.clock(), run)
}

async fn go(
    fleet: Fleet,
    reach: &Reach,
    choice: Choice,
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
pub(super) struct Planned {
    /// What was planned.
    pub fleet: Fleet,
    /// The accounts that could not be reached.
    pub unreachable: Vec<Unreachable>,
    /// What was seen of each target.
    pub seen: Vec<Seen>,
    /// The plan.
    pub plan: Plan,
}

/// Shows a plan, refuses it or carries it out, as a person decided beforehand.
pub(super) async fn decide(
    planned: Planned,
    reach: &Reach,
    choice: Choice,
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
            saved::save(path, &fleet, &seen, &plan, (choice.key.as_ref(), &values), reach, view)?;
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
pub(super) async fn carry_out(
    fleet: Fleet,
    plan: Plan,
    reach: &Reach,
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

/// Names a run by when it began, and by the CI job where there is one.
pub(super) fn run_id(clock: Clock) -> String {
    let at = clock.timestamp().strftime("%Y%m%dT%H%M%SZ");
    match environment("CI_JOB_ID") {
        Some(job) if !job.is_empty() => format!("{at}-{job}"),
        _ => format!("{at}-{}", std::process::id()),
    }
}
