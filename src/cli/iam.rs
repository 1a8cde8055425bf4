//! The flags of `roleout iam` and `roleout iam check`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use crate::cli::{MANIFEST, SandboxArgs, ShowCalls};

/// `roleout iam`
#[derive(Clone, Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Iam {
    /// What else than writing them
    #[command(subcommand)]
    pub action: Option<IamAction>,
    /// Which manifest and roles
    #[command(flatten)]
    pub scope: IamScope,
    /// The format: JSON documents, a Terraform module, or a CloudFormation template for each of the manifest's roles
    #[arg(long, value_name = "FORMAT", env = "ROLEOUT_IAM_FORMAT", default_value = "json")]
    pub format: IamFormat,
    /// Write files to this directory instead of stdout
    #[arg(long, value_name = "DIR", env = "ROLEOUT_IAM_OUT")]
    pub out: Option<PathBuf>,
    /// What every role has besides
    #[command(flatten)]
    pub marks: RoleMarks,
}

/// What an organisation asks of every role.
#[derive(Clone, Debug, Default, Args)]
pub struct RoleMarks {
    /// The permissions boundary of every role: an ARN, or the name of a policy that each account has
    #[arg(long, value_name = "ARN", env = "ROLEOUT_PERMISSIONS_BOUNDARY")]
    pub permissions_boundary: Option<String>,
    /// The path of roles that have none in the manifest, such as `/deploy/`
    #[arg(long, value_name = "PATH", env = "ROLEOUT_ROLE_PATH")]
    pub role_path: Option<String>,
    /// A tag of every role; repeat it, or separate with commas
    #[arg(long, value_name = "KEY=VALUE", env = "ROLEOUT_TAG", value_delimiter = ',')]
    pub tag: Vec<String>,
}

/// Which roles of a manifest, and what for.
#[derive(Clone, Debug, Args)]
pub struct IamScope {
    /// The manifest
    #[arg(short = 'f', long = "file", value_name = "FILE", env = "ROLEOUT_FILE", default_value = MANIFEST)]
    pub file: PathBuf,
    /// Only this account, by its name or id; repeat it, or separate with spaces
    #[arg(long, value_name = "ACCOUNT", env = "ROLEOUT_ACCOUNT", value_delimiter = ' ')]
    pub account: Vec<String>,
    /// Only this role, by its name in the manifest; repeat it, or separate with spaces
    #[arg(long, value_name = "ROLE", env = "ROLEOUT_ROLE", value_delimiter = ' ')]
    pub role: Vec<String>,
    /// What the roles may do
    #[arg(long, value_name = "WHAT", env = "ROLEOUT_PERMISSIONS", default_value = "deploy")]
    pub permissions: IamPermissions,
    /// Leave out the permissions for the checks of roles, images, log groups and secrets
    #[arg(long, env = "ROLEOUT_NO_VERIFY")]
    pub no_verify: bool,
    /// Add the permissions that `roleout iam check` needs
    #[arg(long, env = "ROLEOUT_WITH_CHECK")]
    pub with_check: bool,
    /// Leave the identity provider out, if the account already has it
    #[arg(long, env = "ROLEOUT_NO_PROVIDER")]
    pub no_provider: bool,
}

/// The subcommands of `roleout iam`.
#[derive(Clone, Debug, Subcommand)]
pub enum IamAction {
    /// Compare what the manifest needs with the live roles, using the chains' own sessions and read-only calls
    Check(IamCheck),
}

/// `roleout iam check`
#[derive(Clone, Debug, Args)]
pub struct IamCheck {
    /// Which manifest and roles
    #[command(flatten)]
    pub scope: IamScope,
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

/// The values of `iam --format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum IamFormat {
    /// IAM's own documents
    Json,
    /// A module with a provider for each account
    Terraform,
    /// Templates, ready for stack sets
    Cloudformation,
}

/// The values of `iam --permissions`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum IamPermissions {
    /// The permissions that every command needs
    Deploy,
    /// The permissions that read-only commands need
    Plan,
}
