//! `roleout pipeline`: a child pipeline for a fleet that is past one job, and what its own jobs run.

use std::path::Path;

use crate::base::clock::Clock;
use crate::base::error::Error;
use crate::base::exit::Exit;
use crate::cli::pipeline::{Job, Merge, Preflight};
use crate::cli::{self, Folding, Sections};
use crate::engine::cancel::Cancel;
use crate::operations::pipeline::generate::make;
use crate::operations::pipeline::merge::{gate, merge_runs};
use crate::operations::pipeline::preflight::plan_pipeline;
use crate::run::outputs::{OutputKind, Outputs, finish};
use crate::view::View;

/// Makes a pipeline, or does what one of its jobs is for.
pub async fn pipeline(args: cli::Pipeline, view: View, cancel: Cancel) -> Result<Exit, Error> {
    match args.job {
        None => make(&args.make, view),
        Some(Job::Preflight(args)) => preflight_job(&args, view, cancel).await,
        Some(Job::Gate(args)) => gate(&args, view),
        Some(Job::Merge(args)) => merge_job(&args, view).await,
    }
}

async fn preflight_job(args: &Preflight, view: View, cancel: Cancel) -> Result<Exit, Error> {
    let reports = cli::Reports::default();
    let outputs = outputs(Some(&args.journal), &reports, OutputKind::Run);
    let run = Some(args.embedded.sandbox);
    outputs.wrap(view, run, async |view| plan_pipeline(args, view, &cancel).await).await
}

async fn merge_job(args: &Merge, mut view: View) -> Result<Exit, Error> {
    outputs(args.journal.as_deref(), &args.reports, OutputKind::Told).open(&mut view)?;
    let result = merge_runs(args, &mut view).await;
    let untold = view.state().started_at().is_none() && view.state().refusal().is_none();
    finish(view, result, Clock::system(), untold.then_some(false))
}

fn outputs<'a>(journal: Option<&'a Path>, reports: &'a cli::Reports, kind: OutputKind) -> Outputs<'a> {
    Outputs { journal, reports, folding: Folding { sections: Sections::Never }, kind }
}
