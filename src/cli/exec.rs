//! The flags of the commands that give sessions to other programs.

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use clap_complete::engine::ArgValueCompleter;

use crate::cli::{MANIFEST, Selection, ShowCalls, completion};

/// `roleout exec`
#[derive(Clone, Debug, Args)]
pub struct Exec {
    /// Which targets: their accounts
    #[command(flatten)]
    pub selection: Selection,
    /// The account, by its name in the manifest; the command uses the terminal directly
    #[arg(long, value_name = "NAME", env = "ROLEOUT_ACCOUNT", conflicts_with_all = ["all", "only", "wave"])]
    #[arg(add = ArgValueCompleter::new(completion::accounts))]
    pub account: Option<String>,
    /// Every account, one after another; --only and --wave select some. Each output line starts with its account
    #[arg(long, env = "ROLEOUT_ALL")]
    pub all: bool,
    /// How many accounts at a time
    #[arg(long, value_name = "N", env = "ROLEOUT_PARALLEL", conflicts_with = "account")]
    pub parallel: Option<NonZeroUsize>,
    /// The region for the command, instead of the account's first one
    #[arg(long, value_name = "REGION", env = "ROLEOUT_REGION")]
    pub region: Option<String>,
    /// Put the keys into the command's environment, for tools that need them there; they are not renewed
    #[arg(long = "env", env = "ROLEOUT_KEYS_IN_ENV")]
    pub keys_in_environment: bool,
    /// Go on without the accounts that cannot be reached
    #[arg(long, env = "ROLEOUT_SKIP_BLOCKED", conflicts_with = "account")]
    pub skip_blocked: bool,
    /// Print only roleout's own errors; of several accounts, those in which the command failed
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
    #[arg(long, value_name = "NAME", env = "ROLEOUT_ACCOUNT", add = ArgValueCompleter::new(completion::accounts))]
    pub account: String,
    /// How the keys are written
    #[arg(long, value_name = "FORMAT", env = "ROLEOUT_CREDENTIALS_FORMAT", default_value = "credential-process")]
    pub format: CredentialsFormat,
    /// Print the keys even to a terminal or in a job, where its log may show them
    #[arg(long, env = "ROLEOUT_PRINT_KEYS")]
    pub print_keys: bool,
    /// Start from the AWS SDK's own credentials, such as a profile on a laptop, instead of an ID token
    #[arg(long, env = "ROLEOUT_AMBIENT")]
    pub ambient: bool,
    /// Allow plain HTTP endpoints that are not on this machine; the network can read the tokens
    #[arg(long, env = "ROLEOUT_ALLOW_HTTP")]
    pub allow_http: bool,
}

/// The values of `credentials --format`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum CredentialsFormat {
    /// The JSON that the AWS CLI and the SDKs expect from a profile's `credential_process`
    CredentialProcess,
}
