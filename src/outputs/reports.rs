//! The files that remain of a run: its reports, and the log of each target.
//!
//! They are made of the events alone, when the run is over, refused or cancelled. A report that cannot be written is a
//! warning at the end and changes no exit code: what was deployed is deployed.

use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use crate::base::secrets::ScrubbedLines;
use crate::base::{file, json, secrets};
use crate::event::Stamped;
use crate::plan::preview::Preview;
use crate::report::kind::Wanted;
use crate::report::{Kind, Record, Report, log, terraform};
use crate::state::RunState;

/// The files of one run, and what has become of it so far.
pub struct Reports {
    wanted: Vec<Wanted>,
    /// Where the logs of the targets go.
    directory: Option<PathBuf>,
    record: Record,
    written: bool,
    faults: Vec<String>,
    /// Open files that are closed before the reports are written: connections may have taken every other descriptor by then.
    room: Vec<fs_err::File>,
}

impl Default for Reports {
    /// None are wanted.
    fn default() -> Self {
        let (wanted, faults, room) = (Vec::new(), Vec::new(), Vec::new());
        Self { wanted, directory: None, record: Record::of_state(), written: false, faults, room }
    }
}

/// How many files a report has open at once, with one to spare.
const ROOM: usize = 3;

impl Reports {
    /// Makes sure that every file can be written, and takes away what an earlier run left in its place: a run that is killed
    /// leaves no report rather than another run's.
    ///
    /// # Errors
    /// A report of a kind that there is not here, two of one path, or a path that cannot be written.
    pub fn open(wanted: &[Wanted], directory: Option<&Path>, kinds: &[Kind]) -> Result<Self, String> {
        if let Some(other) = wanted.iter().find(|wanted| !kinds.contains(&wanted.kind)) {
            let words: Vec<&str> = kinds.iter().map(|kind| kind.word()).collect();
            return Err(format!("there is no {} of a plan; there are {}", other.kind.word(), words.join(", ")));
        }
        let mut all = wanted.to_vec();
        if let Some(directory) = directory {
            all.extend(kinds.iter().map(|&kind| Wanted { kind, path: directory.join(kind.file()) }));
        }
        for (place, wanted) in all.iter().enumerate() {
            if all[..place].iter().any(|other| other.path == wanted.path) {
                return Err(format!("{} is named twice", wanted.path.display()));
            }
            file::check(&wanted.path).map_err(|error| error.to_string())?;
        }
        for wanted in all.iter().filter(|wanted| wanted.path.symlink_metadata().is_ok()) {
            fs_err::remove_file(&wanted.path).map_err(|error| error.to_string())?;
        }
        let directory = directory.map(Path::to_path_buf);
        let room = match all.is_empty() {
            true => Vec::new(),
            false => (0..ROOM).map_while(|_| fs_err::File::open("/dev/null").ok()).collect(),
        };
        let record = if all.is_empty() { Record::of_state() } else { Record::new() };
        Ok(Self { wanted: all, directory, record, written: false, faults: Vec::new(), room })
    }

    /// Takes in an event.
    pub fn event(&mut self, event: &Stamped) {
        self.record.apply(event);
    }

    /// Returns what has become of the run so far.
    pub fn state(&self) -> &RunState {
        self.record.state()
    }

    /// Returns what has become of the run, and forgets it: nothing more is written.
    pub fn take_state(&mut self) -> RunState {
        self.written = true;
        self.record.take_state()
    }

    /// Writes the reports of what was taken in, once.
    pub fn write(&mut self) {
        let begun = self.record.state().started_at().is_some() || self.record.state().refusal().is_some();
        if self.wanted.is_empty() || self.written || !begun {
            return;
        }
        let report = self.record.take_report();
        self.write_report(&report);
    }

    /// Writes a report in every form that is wanted, and then the logs of its targets.
    pub fn write_report(&mut self, report: &Report) {
        self.written = true;
        self.room.clear();
        let beside = self.directory.as_ref().map(|directory| directory.join(Kind::Html.file()));
        for wanted in std::mem::take(&mut self.wanted) {
            let has_logs = Some(&wanted.path) == beside.as_ref();
            self.put(&wanted, |writer| wanted.kind.write(report, has_logs, writer));
        }
        let Some(directory) = self.directory.take() else { return };
        let mut missing: Vec<String> = Vec::new();
        for (target, path) in report.targets.iter().zip(log::paths(&report.targets)) {
            let text = log::text(report, target);
            let written = file::write_below(&directory, Path::new(&path), secrets::scrub(&text).as_bytes());
            missing.extend(written.err().map(|error| error.to_string()));
        }
        if let Some(error) = missing.first() {
            let (missing, all) = (missing.len(), report.targets.len());
            let those = format!("{missing} of {all} could not be written");
            self.faults.push(format!("the logs of the targets are not complete: {those}: {error}"));
        }
    }

    /// Writes a plan in every form that is wanted. `markdown` writes it for people.
    pub fn write_plan(&mut self, preview: &Preview, markdown: fn(&Preview) -> String) {
        self.room.clear();
        for wanted in std::mem::take(&mut self.wanted) {
            let text = match wanted.kind {
                Kind::Json => json::pretty(preview).unwrap_or_default(),
                Kind::Terraform => terraform::of_plan(preview),
                Kind::Markdown => markdown(preview),
                Kind::Junit | Kind::Dotenv | Kind::Annotations | Kind::Html => continue,
            };
            self.put(&wanted, |writer| writer.write_all(text.as_bytes()));
        }
    }

    /// Returns what could not be written, and why, once.
    pub fn take_faults(&mut self) -> Vec<String> {
        std::mem::take(&mut self.faults)
    }

    fn put(&mut self, wanted: &Wanted, pieces: impl FnOnce(&mut dyn Write) -> io::Result<()>) {
        let written =
            file::write_pieces(&wanted.path, |file| ScrubbedLines::write_all(file, |scrubbed| pieces(scrubbed)));
        if let Err(error) = written {
            self.faults.push(format!("the {} report was not written: {error}", wanted.kind.word()));
        }
    }
}

/// A run that ends in a panic has its reports all the same.
impl Drop for Reports {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // What panicked may be what the reports are made of: a second panic here would abort the process.
            let _ = catch_unwind(AssertUnwindSafe(|| self.write()));
        }
    }
}
