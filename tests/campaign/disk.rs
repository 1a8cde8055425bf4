//! What runs leave on the disk: one journal for all of them, and the reports of the last.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use roleout::operations::journal;
use roleout::outputs::journal::Journal;
use roleout::outputs::reports::Reports;
use roleout::report::{Kind, Report};
use roleout::view::View;
use roleout::view::options::Options;

/// A directory of a scenario's own.
pub struct Disk {
    directory: PathBuf,
    /// How much of the journal earlier runs wrote.
    known: u64,
}

/// What a run left.
pub struct Files {
    /// What it added to the journal.
    pub journal: String,
    /// Each report that was left, by its kind.
    pub reports: Vec<(Kind, Option<String>)>,
    /// The report that the journal makes; `None` = it has no run.
    pub again: Option<Report>,
}

impl Disk {
    pub fn new() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("roleout-campaign-{}-{number}", std::process::id()));
        fs_err::create_dir_all(&directory).expect("a directory");
        Self { directory, known: 0 }
    }

    pub fn plan(&self) -> PathBuf {
        self.directory.join("plan.json")
    }

    /// Where the jobs of a pipeline leave what the later ones read.
    pub fn jobs(&self) -> PathBuf {
        self.directory.join("roleout-reports")
    }

    fn journal(&self) -> PathBuf {
        self.directory.join("journal.jsonl")
    }

    fn reports(&self) -> PathBuf {
        self.directory.join("reports")
    }

    /// Has a run write its journal and its reports here.
    pub fn open(&mut self, view: &mut View) {
        view.record(Journal::open(&self.journal()).expect("a journal"));
        view.report(Reports::open(&[], Some(&self.reports()), &Kind::ALL).expect("reports"));
        self.known = fs_err::metadata(self.journal()).expect("a journal").len();
    }

    /// Reads what the last run left.
    pub fn read(&self) -> Files {
        let text = fs_err::read_to_string(self.journal()).expect("a journal");
        let known = usize::try_from(self.known).expect("a small file");
        let mut view = View::new(Options::default(), Box::new(std::io::sink()), Box::new(std::io::sink()));
        let read = |kind: Kind| (kind, fs_err::read_to_string(self.reports().join(kind.file())).ok());
        Files {
            journal: text.get(known..).unwrap_or_default().to_owned(),
            reports: Kind::ALL.into_iter().map(read).collect(),
            again: journal::report(&self.journal(), None, &mut view).ok(),
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = fs_err::remove_dir_all(&self.directory);
    }
}
