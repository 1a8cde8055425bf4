//! The flags of the commands that give sessions to other programs.

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::cli::{MANIFEST, Selection, ShowCalls};

/// `roleout exec`
#[derive(Clone, Debug, Args)]
pub struct Exec {
    /// Which targets: their accounts
    #[command(flatten)]
    pub selection: Selection,
    /// The account, by its name in the manifest; the command has the terminal to itself
    #[arg(long, value_name = "NAME", env = "ROLEOUT_ACCOUNT", conflicts_with_all = ["all", "only", "wave"])]
    pub account: Option<String>,
    /// Every account, one after another; --only and --wave leave some out. Each line is told with its account before it
    #[arg(long, env = "ROLEOUT_ALL")]
    pub all: bool,
    /// So many accounts at once
    #[arg(long, value_name = "N", env = "ROLEOUT_PARALLEL", conflicts_with = "account")]
    pub parallel: Option<NonZeroUsize>,
    /// The region that the command gets, instead of the first one of the account
    #[arg(long, value_name = "REGION", env = "ROLEOUT_REGION")]
    pub region: Option<String>,
    /// Put the keys into the command's environment, for tools that know nothing else: they are not renewed
    #[arg(long = "env", env = "ROLEOUT_KEYS_IN_ENV")]
    pub keys_in_environment: bool,
    /// Go on without the accounts that cannot be reached
    #[arg(long, env = "ROLEOUT_SKIP_BLOCKED", conflicts_with = "account")]
    pub skip_blocked: bool,
    /// Say nothing of one's own but what failed
    #[arg(short, long, env = "ROLEOUT_QUIET")]
    pub quiet: bool,
    /// Whether the calls are shown
    #[command(flatten)]
    pub calls: ShowCalls,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

/// `roleout credentials`
#[derive(Clone, Debug, Args)]
pub struct Credentials {
    /// The manifest
    #[arg(short = 'f', long = "file", value_name = "FILE", env = "ROLEOUT_FILE", default_value = MANIFEST)]
    pub file: PathBuf,
    /// The account, by its name in the manifest
    #[arg(long, value_name = "NAME", env = "ROLEOUT_ACCOUNT")]
    pub account: String,
    /// How the keys are written
    #[arg(long, value_name = "FORMAT", env = "ROLEOUT_CREDENTIALS_FORMAT", default_value = "credential-process")]
    pub format: CredentialsFormat,
    /// Print the keys to a terminal, or in a job, where they may end up in its log
    #[arg(long, env = "ROLEOUT_PRINT_KEYS")]
    pub print_keys: bool,
    /// Use endpoints of plain HTTP that are not on this machine; the network can read the tokens
    #[arg(long, env = "ROLEOUT_ALLOW_HTTP")]
    pub allow_http: bool,
}

/// The values of `credentials --format`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum CredentialsFormat {
    /// JSON, as the AWS CLI and the SDKs want it of a profile's `credential_process`
    CredentialProcess,
}
