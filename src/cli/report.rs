//! The flags of what remains of a run: its reports, and the sections of its log.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::report::kind::Wanted;

/// Which reports are written.
#[derive(Clone, Debug, Default, Args)]
pub struct Reports {
    /// Write a report: json, junit, terraform, dotenv, annotations, markdown or html; repeatable, or spaces between
    #[arg(long, value_name = "KIND=PATH", env = "ROLEOUT_REPORT", value_delimiter = ' ')]
    pub report: Vec<Wanted>,
    /// Write all reports into this directory, the log of each target to log/ in it, and every event to journal.jsonl
    #[arg(long, value_name = "DIR", env = "ROLEOUT_REPORTS_DIR")]
    pub reports_dir: Option<PathBuf>,
}

impl Reports {
    /// Whether none is asked for.
    pub fn is_empty(&self) -> bool {
        self.report.is_empty() && self.reports_dir.is_none()
    }
}

/// What is written of a plan.
#[derive(Clone, Debug, Default, Args)]
pub struct PlanReports {
    /// Write a report of the plan: json, markdown or terraform; repeatable, or spaces between
    #[arg(long, value_name = "KIND=PATH", env = "ROLEOUT_REPORT", value_delimiter = ' ')]
    pub report: Vec<Wanted>,
    /// Write those three into this directory
    #[arg(long, value_name = "DIR", env = "ROLEOUT_REPORTS_DIR")]
    pub reports_dir: Option<PathBuf>,
}

/// Whether the log is folded.
#[derive(Clone, Copy, Debug, Args)]
pub struct Folding {
    /// Whether the log has one of GitLab's collapsible sections for each target that ended; auto: in a GitLab job
    #[arg(long, value_name = "WHEN", env = "ROLEOUT_SECTIONS", default_value = "auto")]
    pub sections: Sections,
}

/// The values of `--sections`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Sections {
    /// Where GITLAB_CI is set
    Auto,
    /// Wherever lines are written
    Always,
    /// A line for each change, as it happens
    Never,
}

/// `roleout report`
#[derive(Clone, Debug, Args)]
pub struct Report {
    /// The journals, of one run each or of several that become one report; of each the last run that it has
    #[arg(value_name = "JOURNAL", required = true)]
    pub journals: Vec<PathBuf>,
    /// This run of the journals, and not the last one
    #[arg(long, value_name = "ID", env = "ROLEOUT_RUN")]
    pub run: Option<String>,
    /// What is written; without it the JSON report goes to stdout
    #[command(flatten)]
    pub reports: Reports,
}
