//! The command line of `roleout init`.

use std::path::PathBuf;

use clap::Args;

/// `roleout init`
#[derive(Clone, Debug, Args)]
pub struct Init {
    /// The manifest to write; task definitions go to deploy/ beside it
    #[arg(short = 'f', long = "file", value_name = "FILE", env = "ROLEOUT_FILE", default_value = "deploy.yaml")]
    pub file: PathBuf,
    /// Overwrite existing files
    #[arg(long, env = "ROLEOUT_FORCE")]
    pub force: bool,
    /// Import live services; repeatable. SERVICE may have globs. ACCOUNT is a profile, `ambient`, a role's ARN, or several
    /// ARNs separated by commas
    #[arg(long, value_name = "ACCOUNT:REGION/CLUSTER/SERVICE", env = "ROLEOUT_FROM_SERVICE", value_delimiter = ' ')]
    pub from_service: Vec<String>,
    /// Import every service of a cluster; repeatable
    #[arg(long, value_name = "ACCOUNT:REGION/CLUSTER", env = "ROLEOUT_FROM_CLUSTER", value_delimiter = ' ')]
    pub from_cluster: Vec<String>,
    /// The external id that the last of the roles asks for
    #[arg(long, value_name = "ID", env = "ROLEOUT_EXTERNAL_ID")]
    pub external_id: Option<String>,
    /// Allow plain HTTP endpoints and webhooks that are not on this machine; the network can read the tokens
    #[arg(long, env = "ROLEOUT_ALLOW_HTTP")]
    pub allow_http: bool,
}
