//! The arguments of `roleout status`.

use clap::{ArgAction, Args, ValueEnum};

use crate::cli::verbosity::level;
use crate::cli::{ByName, ImageOverrides, RecordArgs, SandboxArgs, Selection};

/// `roleout status`
#[derive(Clone, Debug, Args)]
pub struct Status {
    /// Which targets
    #[command(flatten)]
    pub selection: Selection,
    /// By their names
    #[command(flatten)]
    pub by_name: ByName,
    /// Only this wave and those after it
    #[arg(long, value_name = "WAVE", env = "ROLEOUT_FROM")]
    pub from: Option<String>,
    /// What is compared instead
    #[command(flatten)]
    pub instead: ImageOverrides,
    /// What stdout gets: a table, or JSON
    #[arg(long, value_name = "FORMAT", env = "ROLEOUT_STATUS_FORMAT", default_value = "text")]
    pub format: StatusFormat,
    /// Show which image runs where instead, by its digest, and exit with 20 if a container's is not the same everywhere
    #[arg(long, env = "ROLEOUT_STATUS_IMAGES", conflicts_with = "detailed_exitcode")]
    pub images: bool,
    /// Exit with 20 if a target differs from the manifest, for a scheduled job
    #[arg(long, env = "ROLEOUT_DETAILED_EXITCODE")]
    pub detailed_exitcode: bool,
    /// Print no progress
    #[arg(short, long, env = "ROLEOUT_QUIET", conflicts_with = "verbose")]
    pub quiet: bool,
    /// List every target, however many there are, and show each call to AWS; -vv shows what the AWS SDK logs, too
    #[arg(short, long, action = ArgAction::Count, env = "ROLEOUT_VERBOSE", value_parser = level)]
    pub verbose: u8,
    /// Instead of AWS
    #[command(flatten)]
    pub embedded: SandboxArgs,
    /// Besides
    #[command(flatten)]
    pub recording: RecordArgs,
}

/// The values of `status --format`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum StatusFormat {
    /// A table, for people
    Text,
    /// Everything, for programs; see docs/status.schema.json
    Json,
}
