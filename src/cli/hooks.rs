//! The command line of `roleout continue`.

use clap::Args;

use crate::cli::{ByName, SandboxArgs, Selection, ShowCalls};

/// `roleout continue`
#[derive(Clone, Debug, Args)]
pub struct Continue {
    /// Which targets
    #[command(flatten)]
    pub selection: Selection,
    /// By their names
    #[command(flatten)]
    pub by_name: ByName,
    /// Make ECS roll these deployments back instead
    #[arg(long, env = "ROLEOUT_ROLLBACK")]
    pub rollback: bool,
    /// List the hooks at which deployments wait, and change nothing
    #[arg(long, env = "ROLEOUT_DRY_RUN")]
    pub dry_run: bool,
    /// Print no progress
    #[arg(short, long, env = "ROLEOUT_QUIET")]
    pub quiet: bool,
    /// Whether the calls are shown
    #[command(flatten)]
    pub calls: ShowCalls,
    /// Instead of AWS
    #[command(flatten)]
    pub embedded: SandboxArgs,
}
