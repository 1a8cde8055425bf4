//! The job of a pipeline that plans all of it.

use crate::base::error::Error;
use crate::base::exit::Exit;
use crate::base::file;
use crate::cli::pipeline::{PlanArgs, Preflight};
use crate::connect::{CommandContext, Connection, variables};
use crate::engine::cancel::Cancel;
use crate::event::{self, Event, Stamper};
use crate::fleet::{Fleet, OnBusy};
use crate::identity::preflight::OnLoss;
use crate::images::digests::Digests;
use crate::load::{choose_images, environment, load_unfiltered};
use crate::operations::pipeline::generate::narrow_from;
use crate::plan::build;
use crate::plan::preview::Preview;
use crate::preflight::images::pin;
use crate::preflight::lookups::fill;
use crate::preflight::promotion::promote;
use crate::preflight::{hashed, prepare};
use crate::run::outputs::run_id;
use crate::run::planned::{Planned, UNCHANGED};
use crate::view::{Form, View};

/// Plans all of it, and leaves the plan where the later jobs find it.
pub async fn plan_pipeline(args: &Preflight, view: &mut View, cancel: &Cancel) -> Result<Exit, Error> {
    let whole = load_unfiltered(&args.selection, &variables(args.embedded.sandbox))?;
    let mut fleet = narrow_from(whole, &args.selection, args.from.as_deref())?;
    let connection =
        Connection::open_loaded(&fleet, args.selection.allow_http, &args.embedded, view, |_, _| {}).await?;
    choose_images(&mut fleet, &args.instead, &args.selection)?;
    let context = &mut CommandContext { connection: &connection, view, cancel };
    let digests = plan_jobs(fleet, &args.decided, args.from.as_deref(), args.embedded.sandbox, context).await?;
    if let Some(path) = &args.digests {
        file::write(path, digests.to_json().as_bytes())
            .map_err(|error| Error::new(Exit::Usage, format!("the digests cannot be written: {error}")))?;
    }
    Ok(Exit::Done)
}

/// Plans a fleet by a way to AWS that is given, and leaves the plan in the view's journal. `from` is the wave whose gate is
/// passed; `sandbox` says whether AWS is the embedded one. Returns the digests of what is pinned, for the later jobs.
///
/// # Errors
/// Targets that cannot be reached or deployed, unless they are skipped; or a signal.
pub async fn plan_jobs(
    mut fleet: Fleet,
    decided: &PlanArgs,
    from: Option<&str>,
    sandbox: bool,
    context: &mut CommandContext<'_>,
) -> Result<Digests, Error> {
    fleet.release.allow_older = decided.allow_older;
    fleet.release.force_new_deployment = decided.force_new_deployment;
    fleet.on_busy = match decided.on_busy.map_or(fleet.on_busy, OnBusy::from) {
        // Whoever deploys waits for it.
        OnBusy::Wait => OnBusy::Supersede,
        other => other,
    };
    let (unreachable, mut seen) = prepare(&fleet, OnLoss::GoOn, context).await?;
    let fleet = fill(fleet, &mut seen, context).await?;
    let fleet = pin(promote(fleet, &seen, context).await?, &seen, &Digests::default(), context).await?;
    let plan = build::plan(&fleet, &seen);
    let mut planned = Planned { fleet, unreachable, seen, plan };
    let notes = planned.verify(decided.no_verify, context).await?;
    // A job that only reads spends none of the time that deploying takes.
    let preview = planned.preview(context.connection, from, &hashed());
    context.view.preview(&Preview { notes, time_estimate: None, ..preview }, Form::Text);
    planned.refuse(decided.skip_blocked, UNCHANGED, context.view)?;
    let digests = Digests::of_fleet(&planned.fleet);
    let mut plan = planned.plan;
    let clock = context.connection.aws.clock();
    let mut stamper = Stamper::new(run_id(clock));
    let job = event::Job::read(&environment);
    // A gate that is passed is none for the jobs: nothing waits at it.
    let passed = plan.outline.waves.iter_mut().filter(|wave| from == Some(wave.name.as_str()));
    passed.for_each(|wave| wave.gate = false);
    for event in [Event::RunStarted { plan: plan.outline, sandbox, job }, Event::finished()] {
        context.view.keep(&stamper.stamp(clock.timestamp(), event));
    }
    Ok(digests)
}
