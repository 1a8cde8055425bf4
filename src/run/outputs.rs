//! What a run leaves: its journal and its reports, opened before anything is changed.

use std::path::{Path, PathBuf};

use crate::base::clock::Clock;
use crate::base::error::Error;
use crate::base::exit::Exit;
use crate::base::file;
use crate::cli;
use crate::event::{Event, JOURNAL, Job, Stamper};
use crate::load::environment;
use crate::outputs::journal::Journal;
use crate::outputs::reports::Reports;
use crate::report::Kind;
use crate::view::View;

/// Which output files a command leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputKind {
    /// A run: its reports, and beside them its journal, unless that is named.
    Run,
    /// A plan: the reports that there are of one.
    Plan,
    /// Runs of others, told again: reports, and a journal only where it is named.
    Told,
}

impl OutputKind {
    /// Of a run, or of a dry one.
    pub fn for_run(dry_run: bool) -> Self {
        if dry_run { Self::Plan } else { Self::Run }
    }
}

/// The files that the command line asks for.
pub struct Outputs<'a> {
    /// Where the journal goes, if that is named.
    pub journal: Option<&'a Path>,
    /// The reports.
    pub reports: &'a cli::Reports,
    /// Whether lines are folded.
    pub folding: cli::Folding,
    /// Which of them there are.
    pub kind: OutputKind,
}

impl Outputs<'_> {
    /// Opens the outputs, does the work of a command, and ends it. `run` is as [`finish`] has it.
    pub async fn wrap(
        &self,
        mut view: View,
        run: Option<bool>,
        work: impl AsyncFnOnce(&mut View) -> Result<Exit, Error>,
    ) -> Result<Exit, Error> {
        self.open(&mut view)?;
        let result = work(&mut view).await;
        finish(view, result, Clock::system(), run)
    }

    /// Opens the journal and the reports before anything is changed, and has the view write to them.
    pub fn open(&self, view: &mut View) -> Result<(), Error> {
        let usage = |what: &str, error: String| Error::new(Exit::Usage, format!("{what} cannot be written: {error}"));
        let beside =
            self.reports.reports_dir.as_ref().filter(|_| self.kind == OutputKind::Run && self.journal.is_none());
        let beside = beside.map(|directory| directory.join(JOURNAL));
        let opened = match (&beside, self.journal) {
            // As every file there: what an earlier run left is taken away.
            (Some(path), _) => {
                file::check(path).and_then(|()| file::write(path, b"")).and_then(|()| Journal::open(path)).map(Some)
            }
            (None, named) => named.map(Journal::open).transpose(),
        };
        opened.map_err(|error| usage("the journal", error.to_string()))?.into_iter().for_each(|it| view.record(it));
        let kinds: &[Kind] = if self.kind == OutputKind::Plan { &Kind::OF_PLANS } else { &Kind::ALL };
        let reports = Reports::open(&self.reports.report, self.reports.reports_dir.as_deref(), kinds);
        view.report(reports.map_err(|error| usage("a report", error))?);
        let folds = match self.folding.sections {
            cli::Sections::Auto => environment("GITLAB_CI").is_some_and(|value| !value.is_empty()),
            cli::Sections::Always => true,
            cli::Sections::Never => false,
        };
        if folds {
            view.fold();
        }
        Ok(())
    }
}

/// Refuses a file that a command both reads and writes, or writes twice: one of the two would be lost.
///
/// # Errors
/// Two of the paths are one file.
pub fn refuse_overlaps(
    read: &[&Path],
    journal: Option<&Path>,
    out: Option<&Path>,
    reports: &cli::Reports,
) -> Result<(), Error> {
    let directory = reports.reports_dir.as_ref();
    let kept = Kind::ALL.map(Kind::file).into_iter().chain(journal.is_none().then_some(JOURNAL));
    let kept = directory.into_iter().flat_map(|directory| kept.clone().map(|name| directory.join(name)));
    let reports: Vec<PathBuf> = reports.report.iter().map(|wanted| wanted.path.clone()).chain(kept).collect();
    // Two reports of one path are told where they are opened.
    let single: Vec<&Path> = journal.into_iter().chain(out).collect();
    let refused =
        |message: String| Err(Error::new(Exit::Usage, message).help("name another path; nothing was written"));
    for (place, path) in single.iter().copied().chain(reports.iter().map(PathBuf::as_path)).enumerate() {
        if let Some(read) = read.iter().find(|read| file::are_same(read, path)) {
            return refused(format!("{} would be written over, and this command reads it", read.display()));
        }
        if single.iter().take(place).any(|other| file::are_same(other, path)) {
            return refused(format!("{} is named for two files that are written", path.display()));
        }
    }
    Ok(())
}

/// Ends a command. A run that was refused before anything was changed is recorded as a `RunRefused` event, so that reports say
/// so; `run` says whether it was a run of the sandbox, and is `None` where it was none at all.
pub fn finish(mut view: View, result: Result<Exit, Error>, clock: Clock, run: Option<bool>) -> Result<Exit, Error> {
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

/// Names a run by when it began, and by the CI job where there is one.
pub fn run_id(clock: Clock) -> String {
    let at = clock.timestamp().strftime("%Y%m%dT%H%M%SZ");
    match environment("CI_JOB_ID") {
        Some(job) if !job.is_empty() => format!("{at}-{job}"),
        _ => format!("{at}-{}", std::process::id()),
    }
}
