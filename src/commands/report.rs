//! `roleout report`: the reports of runs, made again out of their journals, or one of several runs.

use std::path::Path;

use crate::base::error::Error;
use crate::base::exit::Exit;
use crate::base::text::count;
use crate::cli;
use crate::outputs::reports::Reports;
use crate::report::record::runs;
use crate::report::{Kind, Report};
use crate::view::View;

/// Makes the reports. Its exit code says whether they were made, and not what the runs came to.
pub fn report(args: &cli::Report, mut view: View) -> Result<Exit, Error> {
    let mut parts = Vec::new();
    for path in &args.journals {
        parts.push(read(path, args.run.as_deref(), &mut view)?);
    }
    let Some(report) = Report::merge(parts) else {
        return Err(Error::new(Exit::Usage, "no journal is named"));
    };
    let wanted = &args.reports;
    if wanted.is_empty() {
        view.data(&report.to_json());
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

/// Reads one run of a journal: the last one, unless another is wanted.
fn read(path: &Path, wanted: Option<&str>, view: &mut View) -> Result<Report, Error> {
    let failed = |error: String| Error::new(Exit::Usage, format!("the journal: {error}"));
    let bytes =
        crate::base::file::read_given(path, crate::base::file::LARGEST).map_err(|error| failed(error.to_string()))?;
    let (mut runs, foreign) = runs(&String::from_utf8_lossy(&bytes));
    if foreign > 0 {
        let lines = count(foreign, "line");
        view.warning(&format!("{}: {lines} that no run can have written whole; going on without", path.display()));
    }
    let found = match wanted {
        Some(run) => runs.shift_remove(run),
        None => runs.pop().map(|(_, record)| record),
    };
    let Some(record) = found else {
        let what = wanted.map_or_else(|| "no run".to_owned(), |run| format!("no run {run}"));
        let known: Vec<&str> = runs.keys().map(String::as_str).collect();
        let error = failed(format!("{} has {what}", path.display()));
        return Err(match known.is_empty() {
            true => error.help("a journal is what `--journal FILE` wrote"),
            false => error.help(format!("it has {}", known.join(", "))),
        });
    };
    if wanted.is_none() && !runs.is_empty() {
        let left = count(runs.len(), "earlier run");
        view.note(&format!("{}: {left} left out; --run ID takes another than the last", path.display()));
    }
    if record.state().refusal().is_none() && record.state().finished_at().is_none() {
        view.warning(&format!("{}: the run broke off; what was under way may go on in ECS", path.display()));
    }
    Ok(record.report())
}
