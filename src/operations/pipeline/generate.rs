//! The child pipeline itself: its jobs, and what a person should know of them before it runs.

use std::time::Duration;

use crate::base::error::Error;
use crate::base::exit::Exit;
use crate::base::file;
use crate::base::text::count;
use crate::cli::pipeline::{Make, PlanArgs};
use crate::cli::{Busy, Selection, ShardArgs};
use crate::fleet::{Fleet, IdentitySource, Pin};
use crate::load::{choose_images, environment, load_unfiltered, narrow};
use crate::pipeline::yaml::{self, Jobs};
use crate::pipeline::{Division, Layout, layout};
use crate::preflight::check_from;
use crate::view::View;

/// GitLab.com's least limit of jobs in active pipelines.
const ACTIVE_JOBS: usize = 500;

/// Makes the pipeline of a manifest.
pub fn make(args: &Make, mut view: View) -> Result<Exit, Error> {
    let share = ShardArgs::default();
    let (only, wave) = (args.only.clone(), args.wave.clone());
    let (ambient, allow_http, credentials) = (false, false, Vec::new());
    // The jobs deploy, and the pipeline only divides the targets.
    let open = true;
    let selection = Selection { file: args.file.clone(), only, wave, ambient, allow_http, share, credentials, open };
    let whole = load_unfiltered(&selection, &environment)?;
    let fingerprint = whole.fingerprint();
    let fleet = narrow_from(whole, &selection, args.from.as_deref())?;
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

/// Keeps the selected part of a fleet, from a wave on.
pub fn narrow_from(whole: Fleet, selection: &Selection, from: Option<&str>) -> Result<Fleet, Error> {
    let Some(from) = from else { return narrow(whole, selection) };
    let fleet = narrow(whole.clone(), selection)?;
    check_from(&fleet, Some(from))?;
    let mut waves = fleet.waves_from(from).map_err(|error| Error::new(Exit::Usage, error.to_string()))?;
    waves.retain(|wave| selection.wave.is_empty() || selection.wave.contains(wave));
    narrow(whole, &Selection { wave: waves, ..selection.clone() })
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
        pins: fleet.targets.iter().any(|target| target.desired.pin == Pin::Digest),
        preflight,
        deploy,
    }
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
