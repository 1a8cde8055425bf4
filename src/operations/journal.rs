//! Journals that runs left: read, and what is odd in them said.

use std::path::Path;

use crate::base::error::Error;
use crate::base::exit::Exit;
use crate::base::file;
use crate::base::text::count;
use crate::event::Stamped;
use crate::pipeline::join::Part;
use crate::report::Report;
use crate::report::record::runs;
use crate::view::View;

/// Reads one run of a journal: the last one, unless another is wanted.
pub fn report(path: &Path, wanted: Option<&str>, view: &mut View) -> Result<Report, Error> {
    let failed = |error: String| Error::new(Exit::Usage, format!("the journal: {error}"));
    let bytes = file::read_given(path, file::LARGEST).map_err(|error| failed(error.to_string()))?;
    let (mut runs, foreign) = runs(&String::from_utf8_lossy(&bytes));
    warn_of_broken_lines(path, foreign, view);
    let found = match wanted {
        Some(run) => runs.shift_remove(run),
        None => runs.pop().map(|(_, record)| record),
    };
    let Some(mut record) = found else {
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
    Ok(record.take_report())
}

/// Reads the last run of a journal.
pub fn last_run(path: &Path, view: &mut View) -> Result<Part, Error> {
    let bytes =
        file::read(path, file::LARGEST).map_err(|error| Error::new(Exit::Usage, format!("the journal: {error}")))?;
    let (mut events, mut foreign) = (Vec::<Stamped>::new(), 0);
    for line in String::from_utf8_lossy(&bytes).lines().filter(|line| !line.trim().is_empty()) {
        match serde_json::from_str::<Stamped>(line) {
            Ok(event) => {
                if events.last().is_some_and(|last| last.run != event.run) {
                    events.clear();
                }
                events.push(event);
            }
            Err(_) => foreign += 1,
        }
    }
    warn_of_broken_lines(path, foreign, view);
    Ok(Part { name: path.display().to_string(), events })
}

fn warn_of_broken_lines(path: &Path, broken: usize, view: &mut View) {
    if broken > 0 {
        let lines = count(broken, "line");
        view.warning(&format!("{}: {lines} that no run can have written whole; going on without", path.display()));
    }
}
