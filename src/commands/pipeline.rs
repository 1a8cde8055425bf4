//! `roleout pipeline`: a child pipeline for a fleet that is past one job, and what its own jobs run.

mod journals;

use std::path::Path;
use std::time::Duration;

use crate::commands::pipeline::journals::JobArtifacts;

use crate::base::clock::Clock;
use crate::base::error::Error;
use crate::base::exit::Exit;
use crate::base::file;
use crate::base::text::count;
use crate::cli::pipeline::{Gate, Job, Make, Merge, PlanArgs, Preflight};
use crate::cli::{self, Busy, Folding, Sections, Selection, ShardArgs};
use crate::connect::Connection;
use crate::engine::cancel::{Cancel, unless_cancelled};
use crate::event::{self, Event, Stamper};
use crate::fleet::{Fleet, IdentitySource, OnBusy};
use crate::identity::preflight::OnLoss;
use crate::load::{choose_images, environment, selected};
use crate::pipeline::join::{JoinError, Joined, join};
use crate::pipeline::yaml::{self, Jobs};
use crate::pipeline::{Division, Layout, layout};
use crate::plan::build;
use crate::preflight::references::{observed, verify};
use crate::preflight::{check_from, hashed, prepare, preview, refusal};
use crate::run::outputs::{OutputKind, finish, open_outputs, run_id};
use crate::run::webhooks::Notifier;
use crate::state::RunState;
use crate::view::{Form, View};

/// GitLab.com's least limit of jobs in active pipelines.
const ACTIVE_JOBS: usize = 500;

/// Makes a pipeline, or does what one of its jobs is for.
pub async fn pipeline(args: cli::Pipeline, view: View, cancel: Cancel) -> Result<Exit, Error> {
    match args.job {
        None => make(&args.make, view),
        Some(Job::Preflight(args)) => preflight_job(&args, view, cancel).await,
        Some(Job::Gate(args)) => gate(&args, view),
        Some(Job::Merge(args)) => merge_job(&args, view).await,
    }
}

fn make(args: &Make, mut view: View) -> Result<Exit, Error> {
    let share = ShardArgs::default();
    let (only, wave) = (args.only.clone(), args.wave.clone());
    let (ambient, allow_http, credentials) = (false, false, Vec::new());
    let selection = Selection { file: args.file.clone(), only, wave, ambient, allow_http, share, credentials };
    let fingerprint = crate::load::fleet(&args.file, &environment)?.fingerprint();
    let fleet = from(&selection, args.from.as_deref(), &environment)?;
    choose_images(&mut fleet.clone(), &args.instead, &selection)?;
    let division =
        Division { shards: args.shards.map(usize::from), max_accounts: args.max_accounts_per_job.map(usize::from) };
    let layout = layout(&fleet, division, args.from.as_deref())
        .map_err(|error| Error::new(Exit::Usage, error.to_string()).help(error.help()))?;
    let jobs = jobs(args, &fleet, fingerprint);
    let text = yaml::text(&layout, &jobs).map_err(|error| Error::new(Exit::Usage, error.to_string()))?;
    print_layout(&layout, &fleet, args.job_timeout, &mut view);
    match &args.out {
        None => view.data(&text),
        Some(path) => file::write(path, text.as_bytes())
            .map_err(|error| Error::new(Exit::Usage, format!("the pipeline cannot be written: {error}")))?,
    }
    view.finish();
    Ok(Exit::Done)
}

/// What a person should know of the pipeline before it runs.
fn print_layout(layout: &Layout, fleet: &Fleet, timeout: Duration, view: &mut View) {
    fleet.warnings.iter().for_each(|warning| view.warning(warning));
    let mut jobs = 2;
    for (place, stage) in layout.stages.iter().enumerate() {
        jobs += stage.parts + usize::from(stage.gate) + usize::from(place + 1 < layout.stages.len());
        stage.notes.iter().for_each(|note| view.warning(note));
        let parts = count(stage.parts, "job");
        view.note(&format!(
            "wave {}: {} in {parts}; tolerates {}, and up to {} can fail before it halts",
            stage.wave,
            count(stage.targets, "target"),
            count(stage.max_failures, "failure"),
            count(stage.worst_case_failures, "target")
        ));
        if stage.worst_case > timeout {
            let written = |time: Duration| humantime::format_duration(time).to_string();
            view.warning(&format!(
                "wave {}: a job of it can take {} with every timeout used up, and may take {}: --job-timeout",
                stage.wave,
                written(stage.worst_case),
                written(timeout)
            ));
        }
    }
    view.note(&format!("{} in all", count(jobs, "job")));
    if jobs > ACTIVE_JOBS {
        view.warning(&format!(
            "GitLab may refuse {jobs} jobs: GitLab.com's plans have limits from {ACTIVE_JOBS} jobs in active pipelines on"
        ));
    }
    if !fleet.environments.is_empty() && layout.stages.len() > 1 {
        view.note("gitlab: an account with targets in several waves gets a GitLab deployment in each of them");
    }
    match &fleet.identity.source {
        IdentitySource::TokenEnv(_) => {}
        IdentitySource::TokenFile(_) | IdentitySource::Ambient => {
            view.note("the manifest names no variable of an ID token: the jobs' runners have to have their identity");
        }
    }
}

fn jobs(args: &Make, fleet: &Fleet, fingerprint: String) -> Jobs {
    let mut arguments = Vec::new();
    let pair = |flag: &str, value: &str| [format!("--{flag}"), value.to_owned()];
    args.only.iter().for_each(|only| arguments.extend(pair("only", only)));
    args.instead.image.iter().for_each(|image| arguments.extend(pair("image", &image.to_string())));
    let PlanArgs { skip_blocked, allow_older, force_new_deployment, on_busy, no_verify } = &args.decided;
    for (given, flag) in [
        (skip_blocked, "--skip-blocked"),
        (allow_older, "--allow-older"),
        (force_new_deployment, "--force-new-deployment"),
        (no_verify, "--no-verify"),
    ] {
        arguments.extend(given.then(|| flag.to_owned()));
    }
    arguments.extend(on_busy.iter().flat_map(|busy| pair("on-busy", busy.word())));
    let mut preflight = Vec::new();
    args.wave.iter().for_each(|wave| preflight.extend(pair("wave", wave)));
    args.from.iter().for_each(|from| preflight.extend(pair("from", from)));
    let mut deploy = Vec::new();
    for (given, flag) in [(args.continue_hooks, "--continue-hooks"), (args.override_freeze, "--override-freeze")] {
        deploy.extend(given.then(|| flag.to_owned()));
    }
    let token = match &fleet.identity.source {
        IdentitySource::TokenEnv(name) => Some(name.clone()),
        IdentitySource::TokenFile(_) | IdentitySource::Ambient => None,
    };
    Jobs {
        image: args.job_image.clone(),
        tags: args.job_tag.clone(),
        token,
        audience: args.aud.clone(),
        environment: args.environment.clone(),
        timeout: args.job_timeout,
        expire_in: args.expire_in.clone(),
        manifest: args.file.display().to_string(),
        fingerprint,
        arguments,
        preflight,
        deploy,
    }
}

/// Loads the selected part of a manifest, from a wave on.
fn from(selection: &Selection, from: Option<&str>, variables: &dyn Fn(&str) -> Option<String>) -> Result<Fleet, Error> {
    selected(&waves_from(selection, from, variables)?, variables)
}

/// Selects the waves from one on.
fn waves_from(
    selection: &Selection,
    from: Option<&str>,
    variables: &dyn Fn(&str) -> Option<String>,
) -> Result<Selection, Error> {
    let Some(from) = from else { return Ok(selection.clone()) };
    let fleet = selected(selection, variables)?;
    check_from(&fleet, Some(from))?;
    let mut waves = fleet.waves_from(from).map_err(|error| Error::new(Exit::Usage, error.to_string()))?;
    waves.retain(|wave| selection.wave.is_empty() || selection.wave.contains(wave));
    Ok(Selection { wave: waves, ..selection.clone() })
}

async fn preflight_job(args: &Preflight, mut view: View, cancel: Cancel) -> Result<Exit, Error> {
    open_outputs(
        &mut view,
        Some(&args.journal),
        &cli::Reports::default(),
        Folding { sections: Sections::Never },
        OutputKind::Run,
    )?;
    let result = plan_pipeline(args, &mut view, cancel).await;
    finish(view, result, Clock::system(), Some(args.embedded.sandbox))
}

/// Plans all of it, and leaves the plan where the later jobs find it.
async fn plan_pipeline(args: &Preflight, view: &mut View, cancel: Cancel) -> Result<Exit, Error> {
    let variables = if args.embedded.sandbox { crate::connect::job_environment } else { environment };
    let selection = waves_from(&args.selection, args.from.as_deref(), &variables)?;
    let (mut fleet, reach) = Connection::open(&selection, &args.embedded, view).await?;
    choose_images(&mut fleet, &args.instead, &args.selection)?;
    fleet.release.allow_older = args.decided.allow_older;
    fleet.release.force_new_deployment = args.decided.force_new_deployment;
    fleet.on_busy = match args.decided.on_busy.map_or(fleet.on_busy, OnBusy::from) {
        // Whoever deploys waits for it.
        OnBusy::Wait => OnBusy::Supersede,
        other => other,
    };
    let (unreachable, seen) = unless_cancelled(prepare(&fleet, &reach, OnLoss::GoOn, view), &cancel).await?;
    let mut plan = build::plan(&fleet, &seen);
    let no_verify = args.decided.no_verify;
    let verified =
        unless_cancelled(verify(&fleet, &mut plan, observed(&seen), &reach, no_verify, view), &cancel).await?;
    let mut shown = preview(&fleet, &seen, &plan, &reach, args.from.as_deref(), &hashed());
    shown.notes = verified.notes;
    // A job that only reads spends none of the time that deploying takes.
    shown.budget = None;
    view.preview(&shown, Form::Text);
    match refusal(&fleet, &unreachable, &seen, &plan.outline) {
        Some(error) if !args.decided.skip_blocked => {
            view.planned(plan.outline);
            return Err(error.help("nothing was changed; --skip-blocked goes on without these targets"));
        }
        Some(error) => view.warning(&format!("going on without these targets: {error}")),
        None => {}
    }
    let clock = reach.aws.clock();
    let mut stamper = Stamper::new(run_id(clock));
    let (sandbox, job) = (args.embedded.sandbox, event::Job::read(&environment));
    // A gate that is passed is none for the jobs: nothing waits at it.
    let passed = plan.outline.waves.iter_mut().filter(|wave| args.from.as_ref() == Some(&wave.name));
    passed.for_each(|wave| wave.gate = false);
    for event in [Event::RunStarted { plan: plan.outline, sandbox, job }, Event::RunFinished] {
        view.keep(&stamper.stamp(clock.timestamp(), event));
    }
    Ok(Exit::Done)
}

fn gate(args: &Gate, mut view: View) -> Result<Exit, Error> {
    let joined = joined(&args.directory, Some(&args.wave), &mut view)?;
    let mut state = RunState::new();
    joined.events.iter().for_each(|event| state.apply(event));
    if let Some(error) = refused(&state).or_else(|| incomplete(&joined)) {
        return Err(error);
    }
    let ended = joined.events.iter().find_map(|stamped| match &stamped.event {
        Event::WaveFinished { wave, failed, passed } if *wave == args.wave => Some((*failed, *passed)),
        _ => None,
    });
    let Some((failed, passed)) = ended else {
        view.note(&format!("wave {}: there was nothing to do", args.wave));
        view.finish();
        return Ok(Exit::Done);
    };
    let outline = state.waves().map(|wave| &wave.outline).find(|outline| outline.name == args.wave);
    let (targets, most) = outline.map_or((0, 0), |outline| (outline.targets, outline.max_failures));
    let said = format!("wave {}: {failed} of {} failed, and {most} may", args.wave, count(targets, "target"));
    if passed {
        view.note(&said);
        view.finish();
        return Ok(Exit::Done);
    }
    let error = Error::new(state.exit(), said);
    Err(match state.halted() {
        Some(halt) => error.help(format!("no later wave starts; the first to fail was {}", halt.cause)),
        None => error.help("no later wave starts"),
    })
}

async fn merge_job(args: &Merge, mut view: View) -> Result<Exit, Error> {
    open_outputs(
        &mut view,
        args.journal.as_deref(),
        &args.reports,
        Folding { sections: Sections::Never },
        OutputKind::Told,
    )?;
    let result = merge_runs(args, &mut view).await;
    let untold = view.state().started_at().is_none() && view.state().refusal().is_none();
    finish(view, result, Clock::system(), untold.then_some(false))
}

/// Tells the run again, to the reports and to the webhooks.
async fn merge_runs(args: &Merge, view: &mut View) -> Result<Exit, Error> {
    let joined = joined(&args.directory, None, view)?;
    let mut notifier = match crate::load::fleet(&args.file, &environment) {
        Ok(fleet) => {
            let sandbox = joined.events.iter().any(|it| matches!(it.event, Event::RunStarted { sandbox: true, .. }));
            Notifier::new(&fleet, sandbox, args.allow_http, view)
        }
        Err(_) => {
            view.warning(&format!("notify: {} cannot be read now: nothing is posted", args.file.display()));
            Notifier::default()
        }
    };
    for stamped in &joined.events {
        view.replay(stamped);
        notifier.event(&stamped.event, view.state());
    }
    view.write_reports();
    notifier.finish(false).await.iter().for_each(|warning| view.warning(warning));
    let exit = view.state().exit();
    if let Some(error) = refused(view.state()) {
        return Err(error);
    }
    match incomplete(&joined) {
        Some(error) if exit == Exit::Unexpected => Err(error),
        Some(error) => {
            view.warning(&error.message);
            Ok(exit)
        }
        None => Ok(exit),
    }
}

/// Reads what the jobs left, as one run.
fn joined(directory: &Path, until: Option<&str>, view: &mut View) -> Result<Joined, Error> {
    let JobArtifacts { preflight, parts, started } = journals::read(directory, view)?;
    join(&preflight, &parts, &started, until).map_err(|error| {
        let exit = if matches!(error, JoinError::NoPreflight(_)) { Exit::Unexpected } else { Exit::Usage };
        Error::new(exit, error.to_string())
    })
}

/// Says that the preflight refused the run.
fn refused(state: &RunState) -> Option<Error> {
    let refusal = state.refusal()?;
    let error = Error::new(refusal.exit(), refusal.message.clone());
    Some(refusal.help.iter().fold(error, |error, help| error.help(help.clone())))
}

/// Says which jobs did not get to their ends.
fn incomplete(joined: &Joined) -> Option<Error> {
    if joined.gaps.is_empty() {
        return None;
    }
    let error = Error::new(joined.refused.unwrap_or(Exit::Unexpected), joined.gaps.join("\n"));
    Some(error.help("run those jobs again, and then this one: a job that is run again does only what is left"))
}

impl Busy {
    fn word(self) -> &'static str {
        match self {
            Self::Fail => "fail",
            Self::Wait => "wait",
            Self::Supersede => "supersede",
        }
    }
}
