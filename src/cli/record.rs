//! `--record`: what AWS answers, as files.

use std::path::PathBuf;

use clap::Args;

/// What AWS answers, as files.
#[derive(Clone, Debug, Default, Args)]
pub struct RecordArgs {
    /// Write each answer of AWS to a file in this new directory, without secrets and account ids
    #[arg(long, value_name = "DIR", env = "ROLEOUT_RECORD")]
    pub record: Option<PathBuf>,
}
