//! Which manifest, and which of its targets: what nearly every command has.

use std::path::PathBuf;

use clap::Args;
use clap_complete::engine::ArgValueCompleter;

use crate::cli::{MANIFEST, completion};
use crate::fleet::Shard;

/// Which manifest, and which of its targets.
#[derive(Clone, Debug, Args)]
pub struct Selection {
    /// The manifest
    #[arg(short = 'f', long = "file", value_name = "FILE", env = "ROLEOUT_FILE", default_value = MANIFEST)]
    pub file: PathBuf,
    /// Only targets that match ACCOUNT, ACCOUNT/REGION or ACCOUNT/REGION/SERVICE, with globs; repeat it, or separate with
    /// spaces
    #[arg(long, value_name = "GLOB", env = "ROLEOUT_ONLY", value_delimiter = ' ')]
    #[arg(add = ArgValueCompleter::new(completion::targets))]
    pub only: Vec<String>,
    /// Only this wave; repeat it, or separate with spaces
    #[arg(long, value_name = "NAME", env = "ROLEOUT_WAVE", value_delimiter = ' ')]
    #[arg(add = ArgValueCompleter::new(completion::waves))]
    pub wave: Vec<String>,
    /// Start from the AWS SDK's own credentials, such as a profile on a laptop, instead of an ID token
    #[arg(long, env = "ROLEOUT_AMBIENT")]
    pub ambient: bool,
    /// Allow plain HTTP endpoints and webhooks that are not on this machine; the network can read the tokens
    #[arg(long, env = "ROLEOUT_ALLOW_HTTP")]
    pub allow_http: bool,
    /// Which part of them
    #[command(flatten)]
    pub share: ShardArgs,
    /// Variables that hold a credential: no manifest reads them
    #[arg(skip)]
    pub credentials: Vec<String>,
    /// Whether variables that are not set stay open in what the manifest deploys
    #[arg(skip)]
    pub open: bool,
}

impl Selection {
    /// Leaves variables that are not set open, for a command that deploys nothing of what they are in.
    pub fn with_open_variables(&self) -> Self {
        Self { open: true, ..self.clone() }
    }

    /// Keeps variables that hold a credential from the manifest.
    pub fn keeping<'a>(&self, names: impl IntoIterator<Item = &'a String>) -> Self {
        Self { credentials: names.into_iter().cloned().collect(), ..self.clone() }
    }
}

/// Which part of a fleet a job has.
#[derive(Clone, Debug, Default, Args)]
pub struct ShardArgs {
    /// Only shard N of M of each wave, such as 2/8: some accounts, and their share of max_parallel
    #[arg(long, value_name = "NUMBER/JOBS", env = "ROLEOUT_SHARD")]
    pub shard: Option<Shard>,
    /// Refuse if the targets, waves or rules of the manifest changed since the pipeline was generated
    #[arg(long, value_name = "HASH", env = "ROLEOUT_FINGERPRINT")]
    pub fingerprint: Option<String>,
}
