//! The flags of a run's outputs: its reports, and the sections of its log.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::report::kind::Wanted;

/// Which reports are written.
#[derive(Clone, Debug, Default, Args)]
pub struct Reports {
    /// Write a report: json, junit, terraform, dotenv, annotations, markdown or html; repeat it, or separate with spaces
    #[arg(long, value_name = "KIND=PATH", env = "ROLEOUT_REPORT", value_delimiter = ' ')]
    pub report: Vec<Wanted>,
    /// Write all reports to this directory, the log of each target to log/ in it, and every event of a run to journal.jsonl
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
    /// Write a report of the plan: json, markdown or terraform; repeat it, or separate with spaces
    #[arg(long, value_name = "KIND=PATH", env = "ROLEOUT_REPORT", value_delimiter = ' ')]
    pub report: Vec<Wanted>,
    /// Write these three reports to this directory
    #[arg(long, value_name = "DIR", env = "ROLEOUT_REPORTS_DIR")]
    pub reports_dir: Option<PathBuf>,
}

/// Whether the log is folded.
#[derive(Clone, Copy, Debug, Args)]
pub struct Folding {
    /// Whether the log has a collapsible GitLab section for each finished target; auto: only in a GitLab job
    #[arg(long, value_name = "WHEN", env = "ROLEOUT_SECTIONS", default_value = "auto")]
    pub sections: Sections,
}

/// The values of `--sections`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Sections {
    /// If GITLAB_CI is set
    Auto,
    /// Whenever lines are written
    Always,
    /// A line for each change, as it happens
    Never,
}

/// `roleout report`
#[derive(Clone, Debug, Args)]
pub struct Report {
    /// The journals; several become one report. The last run of each journal counts
    #[arg(value_name = "JOURNAL", required = true)]
    pub journals: Vec<PathBuf>,
    /// Use this run of the journals instead of the last one
    #[arg(long, value_name = "ID", env = "ROLEOUT_RUN")]
    pub run: Option<String>,
    /// Which reports are written; without any, the JSON report goes to stdout
    #[command(flatten)]
    pub reports: Reports,
}
