//! The arguments of `roleout doctor`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::cli::{ByName, SandboxArgs, Selection, ShowCalls};

/// `roleout doctor`
#[derive(Clone, Debug, Args)]
pub struct Doctor {
    /// Which targets
    #[command(flatten)]
    pub selection: Selection,
    /// By their names
    #[command(flatten)]
    pub by_name: ByName,
    /// Check this trust policy against the token; for a role that refuses it, or one that does not exist yet
    #[arg(long, value_name = "FILE", env = "ROLEOUT_TRUST_POLICY")]
    pub trust_policy: Option<PathBuf>,
    /// Retry this long if a role refuses: IAM needs some seconds to know a new role
    #[arg(long, value_name = "DURATION", env = "ROLEOUT_WAIT_FOR_IAM")]
    pub wait_for_iam: Option<humantime::Duration>,
    /// Also trust the certificate authorities in this PEM file for the issuer
    #[arg(long, value_name = "FILE", env = "ROLEOUT_CA_FILE", conflicts_with = "offline")]
    pub ca_file: Option<PathBuf>,
    /// Do not connect to the issuer of the ID token
    #[arg(long, env = "ROLEOUT_OFFLINE")]
    pub offline: bool,
    /// Also connect to an issuer at loopback, private and link-local addresses
    #[arg(long, env = "ROLEOUT_ALLOW_PRIVATE", conflicts_with = "offline")]
    pub allow_private: bool,
    /// What stdout gets: text, or JSON
    #[arg(long, value_name = "FORMAT", env = "ROLEOUT_DOCTOR_FORMAT", default_value = "text")]
    pub format: DoctorFormat,
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

/// The values of `doctor --format`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum DoctorFormat {
    /// For people
    Text,
    /// Everything, for programs; see docs/doctor.schema.json
    Json,
}
