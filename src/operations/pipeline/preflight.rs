//! The job of a pipeline that plans all of it.

use crate::base::error::Error;
use crate::base::exit::Exit;
use crate::base::file;
use crate::cli::pipeline::Preflight;
use crate::connect::{CommandContext, Connection, variables};
use crate::engine::cancel::Cancel;
use crate::event::{self, Event, Stamper};
use crate::fleet::OnBusy;
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
    fleet.release.allow_older = args.decided.allow_older;
    fleet.release.force_new_deployment = args.decided.force_new_deployment;
    fleet.on_busy = match args.decided.on_busy.map_or(fleet.on_busy, OnBusy::from) {
        // Whoever deploys waits for it.
        OnBusy::Wait => OnBusy::Supersede,
        other => other,
    };
    let context = &mut CommandContext { connection: &connection, view, cancel };
    let (unreachable, mut seen) = prepare(&fleet, OnLoss::GoOn, context).await?;
    let fleet = fill(fleet, &mut seen, context).await?;
    let fleet = pin(promote(fleet, &seen, context).await?, &seen, &Digests::default(), context).await?;
    let plan = build::plan(&fleet, &seen);
    let mut planned = Planned { fleet, unreachable, seen, plan };
    let notes = planned.verify(args.decided.no_verify, context).await?;
    // A job that only reads spends none of the time that deploying takes.
    let preview = planned.preview(&connection, args.from.as_deref(), &hashed());
    context.view.preview(&Preview { notes, time_estimate: None, ..preview }, Form::Text);
    planned.refuse(args.decided.skip_blocked, UNCHANGED, context.view)?;
    if let Some(path) = &args.digests {
        file::write(path, Digests::of_fleet(&planned.fleet).to_json().as_bytes())
            .map_err(|error| Error::new(Exit::Usage, format!("the digests cannot be written: {error}")))?;
    }
    let mut plan = planned.plan;
    let clock = connection.aws.clock();
    let mut stamper = Stamper::new(run_id(clock));
    let (sandbox, job) = (args.embedded.sandbox, event::Job::read(&environment));
    // A gate that is passed is none for the jobs: nothing waits at it.
    let passed = plan.outline.waves.iter_mut().filter(|wave| args.from.as_ref() == Some(&wave.name));
    passed.for_each(|wave| wave.gate = false);
    for event in [Event::RunStarted { plan: plan.outline, sandbox, job }, Event::finished()] {
        context.view.keep(&stamper.stamp(clock.timestamp(), event));
    }
    Ok(Exit::Done)
}
