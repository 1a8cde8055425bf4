//! The arguments of `roleout sandbox`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use crate::cli::Furnishing;

/// `roleout sandbox`
#[derive(Clone, Debug, Args)]
pub struct Sandbox {
    /// The address to listen on; a loopback address, unless --allow-remote is given
    #[arg(long, value_name = "ADDRESS", env = "ROLEOUT_SANDBOX_LISTEN", default_value = "127.0.0.1:4566")]
    pub listen: SocketAddr,
    /// Listen on an address that other machines can reach; the sandbox has no protection
    #[arg(long, env = "ROLEOUT_SANDBOX_ALLOW_REMOTE")]
    pub allow_remote: bool,
    /// Seed it from this manifest: its accounts, roles, clusters and services
    #[arg(short = 'f', long = "file", value_name = "FILE", env = "ROLEOUT_FILE")]
    pub file: Option<PathBuf>,
    /// Make it fail: 'ACCOUNT/REGION/SERVICE=FAULT', with globs; repeatable
    #[arg(long, value_name = "GLOB=FAULT", env = "ROLEOUT_SANDBOX_FAULT", value_delimiter = ' ')]
    pub sandbox_fault: Vec<String>,
    /// Give what the manifest looks up a value: 'ssm:/path=VALUE'; repeatable
    #[arg(long, value_name = "LOOKUP=VALUE", env = "ROLEOUT_SANDBOX_VALUE", value_delimiter = ' ', requires = "file")]
    pub sandbox_value: Vec<String>,
    /// Give answers of the size that AWS's usually have, for measuring: definitions of 7 KB, 100 events a service; with --file
    #[arg(long, requires = "file", env = "ROLEOUT_SANDBOX_AWS_SIZED")]
    pub aws_sized: bool,
    /// The seed of its random choices
    #[arg(long, value_name = "N", env = "ROLEOUT_SANDBOX_SEED", default_value_t = 1)]
    pub sandbox_seed: u64,
    /// Write an ID token of its issuer to this file, for `web_identity_token_file`
    #[arg(long, value_name = "FILE", env = "ROLEOUT_SANDBOX_TOKEN_FILE")]
    pub token_file: Option<PathBuf>,
}

impl Sandbox {
    /// Returns what the sandbox is made with.
    pub fn furnishing(&self) -> Furnishing<'_> {
        Furnishing { seed: self.sandbox_seed, values: &self.sandbox_value, faults: &self.sandbox_fault }
    }
}
