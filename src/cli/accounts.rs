//! The flags of `roleout accounts`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::cli::{MANIFEST, SandboxArgs, ShowCalls};
use crate::fleet::AccountId;

/// `roleout accounts`
#[derive(Clone, Debug, Args)]
pub struct Accounts {
    /// The manifest
    #[arg(short = 'f', long = "file", value_name = "FILE", env = "ROLEOUT_FILE", default_value = MANIFEST)]
    pub file: PathBuf,
    /// Read AWS Organizations, and write the accounts that the manifest takes from there into the lock file beside it
    #[arg(long, env = "ROLEOUT_ACCOUNTS_UPDATE")]
    pub update: bool,
    /// Read AWS Organizations, show how it differs from the lock file, and exit with 20 if it does
    #[arg(long, env = "ROLEOUT_ACCOUNTS_CHECK", conflicts_with = "update")]
    pub check: bool,
    /// Let this account leave the fleet: it is gone, suspended, or not selected any more; repeat it, or separate with spaces
    #[arg(long, value_name = "ID", env = "ROLEOUT_ACCEPT_GONE", value_delimiter = ' ')]
    pub accept_gone: Vec<AccountId>,
    /// What stdout gets
    #[arg(long, value_name = "FORMAT", env = "ROLEOUT_ACCOUNTS_FORMAT", default_value = "text")]
    pub format: AccountsFormat,
    /// Start from the AWS SDK's own credentials, such as a profile on a laptop, instead of an ID token
    #[arg(long, env = "ROLEOUT_AMBIENT")]
    pub ambient: bool,
    /// Allow plain HTTP endpoints that are not on this machine; the network can read the tokens
    #[arg(long, env = "ROLEOUT_ALLOW_HTTP")]
    pub allow_http: bool,
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

/// The values of `accounts --format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AccountsFormat {
    /// A table, or the differences, for people
    Text,
    /// The same for programs
    Json,
}
