//! The flags of `roleout check`.

use clap::{Args, ValueEnum};

use crate::cli::{ByName, Selection};

/// `roleout check`
#[derive(Clone, Debug, Args)]
pub struct Check {
    /// Which targets
    #[command(flatten)]
    pub selection: Selection,
    /// By their names
    #[command(flatten)]
    pub by_name: ByName,
    /// What stdout gets
    #[arg(long, value_name = "FORMAT", env = "ROLEOUT_CHECK_FORMAT", default_value = "text")]
    pub format: CheckFormat,
}

/// The values of `check --format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CheckFormat {
    /// For people; errors go to stderr
    Text,
    /// Everything, for programs
    Json,
    /// The errors and warnings as GitLab's Code Quality report: `artifacts:reports:codequality`
    Codequality,
}
