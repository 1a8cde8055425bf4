//! `roleout report`: the reports of runs, made again out of their journals, or one of several runs.

use std::path::PathBuf;

use crate::base::error::Error;
use crate::base::exit::Exit;
use crate::cli;
use crate::operations::journal;
use crate::outputs::reports::Reports;
use crate::report::{Kind, Report};
use crate::run::outputs::refuse_overlaps;
use crate::view::View;

/// Makes the reports. Its exit code says whether they were made, and not what the runs came to.
pub fn report(args: &cli::Report, mut view: View) -> Result<Exit, Error> {
    let read: Vec<_> = args.journals.iter().map(PathBuf::as_path).collect();
    let named = cli::Reports { reports_dir: None, ..args.reports.clone() };
    refuse_overlaps(&read, None, None, &named)?;
    let mut parts = Vec::new();
    for path in &args.journals {
        parts.push(journal::report(path, args.run.as_deref(), &mut view)?);
    }
    let Some(report) = Report::merge(parts) else {
        return Err(Error::new(Exit::Usage, "no journal is named"));
    };
    let wanted = &args.reports;
    if wanted.is_empty() {
        view.data(&Kind::Json.text(&report).unwrap_or_default());
        return Ok(Exit::Done);
    }
    let unwritten = |error: String| Error::new(Exit::Usage, format!("a report cannot be written: {error}"));
    let mut reports = Reports::open(&wanted.report, wanted.reports_dir.as_deref(), &Kind::ALL).map_err(unwritten)?;
    reports.write_report(&report);
    match reports.take_faults().as_slice() {
        [] => Ok(Exit::Done),
        faults => Err(Error::new(Exit::Usage, faults.join("\n"))),
    }
}
