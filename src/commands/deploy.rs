//! `roleout deploy`: preflight, plan, and the rollouts.

use std::path::{Path, PathBuf};

use crate::base::error::Error;
use crate::base::exit::Exit;
use crate::base::file;
use crate::cli;
use crate::cli::hint::is_manifest;
use crate::connect::{CommandContext, Connection, shorten_bakes};
use crate::engine::Start;
use crate::engine::cancel::Cancel;
use crate::fleet::OnBusy;
use crate::images::digests::Digests;
use crate::load::{choose_images, environment};
use crate::plan::saved::Origin;
use crate::run::lifecycle::{Consent, PlanInput, plan_and_decide};
use crate::run::outputs::{OutputKind, Outputs, refuse_overlaps};
use crate::run::saved_file;
use crate::run::saved_plan::{ApplyOptions, apply_plan};
use crate::view::View;

/// The longest file of digests that is read, in bytes: more than the images of any fleet.
const LONGEST_DIGESTS: u64 = 64 << 20;

/// Deploys the fleet of a manifest, or carries out a saved plan.
pub async fn deploy(args: &cli::Deploy, mut view: View, cancel: Cancel) -> Result<Exit, Error> {
    let mut reports = args.reports.clone();
    if args.dry_run && args.plan.is_some() && !reports.is_empty() {
        view.warning("a dry run of a saved plan writes no reports; `roleout plan` writes those of a plan");
        reports = cli::Reports::default();
    }
    let kind = OutputKind::for_run(args.dry_run);
    let outputs = Outputs { journal: args.journal.as_deref(), reports: &reports, folding: args.folding, kind };
    let read: Vec<&Path> = match &args.plan {
        Some(plan) => vec![plan],
        None => {
            [Some(&args.selection.file), args.digests.as_ref()].into_iter().flatten().map(PathBuf::as_path).collect()
        }
    };
    refuse_overlaps(&read, args.journal.as_deref(), args.out.as_deref(), &args.reports)?;
    let run = (!args.dry_run).then_some(args.embedded.sandbox);
    outputs.wrap(view, run, async |view| open_and_deploy(args, view, &cancel).await).await
}

async fn open_and_deploy(args: &cli::Deploy, view: &mut View, cancel: &Cancel) -> Result<Exit, Error> {
    refuse_in_a_freeze(args)?;
    if let Some(path) = &args.plan {
        if is_manifest(&path.display().to_string()) {
            let path = path.display();
            let error = Error::new(Exit::Usage, format!("`{path}` is a manifest: use -f {path}"));
            return Err(error.help("`deploy PLAN` takes a plan that `plan --out` saved"));
        }
        return apply_saved(path, args, view, cancel).await;
    }
    let (mut fleet, connection) = Connection::open(&args.selection, &args.embedded, view).await?;
    let connection = connection.recording(&args.recording, view)?;
    if args.embedded.sandbox && !args.dry_run {
        shorten_bakes(&mut fleet, view);
    }
    choose_images(&mut fleet, &args.instead, &args.selection)?;
    fleet.release.allow_older = args.allow_older;
    fleet.release.force_new_deployment = args.force_new_deployment;
    fleet.on_busy = args.on_busy.map_or(fleet.on_busy, OnBusy::from);
    let (from, continue_hooks) = (args.from.clone(), args.continue_hooks);
    let start = Start { from, sandbox: args.embedded.sandbox, continue_hooks, ..Start::default() };
    let choice = PlanInput {
        dry_run: args.dry_run,
        skip_blocked: args.skip_blocked,
        no_verify: args.no_verify,
        out: args.out.clone(),
        key: saved_file::key(args.sign_env.as_deref().filter(|_| args.out.is_some()))?,
        digests: args.digests.as_deref().map(read_digests).transpose()?.unwrap_or_default(),
        consent: Consent::wanted("Deploy", args.yes || args.embedded.sandbox),
    };
    let context = &mut CommandContext { connection: &connection, view, cancel };
    plan_and_decide(fleet, choice, start, context).await
}

/// Reads what the preflight of a pipeline left of images.
fn read_digests(path: &Path) -> Result<Digests, Error> {
    let text = file::read(path, LONGEST_DIGESTS).map_err(|error| error.to_string());
    let digests = text.and_then(|text| Digests::read(&String::from_utf8_lossy(&text)));
    let wrong = |reason| Error::new(Exit::Usage, format!("--digests: {}: {reason}", path.display()));
    digests.map_err(|reason| wrong(reason).help("run the job `preflight` of the pipeline again: it writes this file"))
}

/// Carries out the plan in a file.
async fn apply_saved(path: &Path, args: &cli::Deploy, view: &mut View, cancel: &Cancel) -> Result<Exit, Error> {
    let key = saved_file::key(args.sign_env.as_deref())?;
    let saved = saved_file::read_signed(path, key.as_ref())?;
    if args.selection.file != Path::new(cli::MANIFEST) {
        view.note(&format!("{} is not read: the plan holds all that is needed", args.selection.file.display()));
    }
    let terms = ApplyOptions {
        dry_run: args.dry_run,
        skip_blocked: args.skip_blocked,
        skip_stale: args.skip_stale,
        max_age: args.max_age,
        no_verify: args.no_verify,
        origin: Origin::read(&environment),
    };
    let connection = Connection::by_identity(saved.identity(), None, args.selection.allow_http).await?;
    let connection = connection.recording(&args.recording, view)?;
    connection.warn_custom_endpoints(view);
    let start = Start { from: args.from.clone(), continue_hooks: args.continue_hooks, ..Start::default() };
    let context = &mut CommandContext { connection: &connection, view, cancel };
    apply_plan(saved, terms, start, context).await
}

/// Refuses to deploy while GitLab says that the project is in a deploy freeze.
fn refuse_in_a_freeze(args: &cli::Deploy) -> Result<(), Error> {
    let frozen = environment("CI_DEPLOY_FREEZE").is_some_and(|freeze| !freeze.is_empty());
    if !frozen || args.override_freeze || args.dry_run || args.embedded.sandbox {
        return Ok(());
    }
    let error = Error::new(Exit::Blocked, "the project is in a deploy freeze: CI_DEPLOY_FREEZE is set");
    Err(error.help("run this job again after the freeze, or deploy anyway with --override-freeze"))
}
