//! The arguments of `roleout doctor`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::cli::{SandboxArgs, Selection, ShowCalls};

/// `roleout doctor`
#[derive(Clone, Debug, Args)]
pub struct Doctor {
    /// Which targets
    #[command(flatten)]
    pub selection: Selection,
    /// Hold this trust policy against the token: of the first role that is refused, or of one that is still to be made
    #[arg(long, value_name = "FILE", env = "ROLEOUT_TRUST_POLICY")]
    pub trust_policy: Option<PathBuf>,
    /// Ask again for so long where a role refuses: IAM takes some seconds to know one that was just made
    #[arg(long, value_name = "DURATION", env = "ROLEOUT_WAIT_FOR_IAM")]
    pub wait_for_iam: Option<humantime::Duration>,
    /// Trust the authorities of this PEM file for the issuer, too
    #[arg(long, value_name = "FILE", env = "ROLEOUT_CA_FILE", conflicts_with = "offline")]
    pub ca_file: Option<PathBuf>,
    /// Do not connect to the issuer of the ID token
    #[arg(long, env = "ROLEOUT_OFFLINE")]
    pub offline: bool,
    /// Connect to the issuer at loopback, private and link-local addresses, too
    #[arg(long, env = "ROLEOUT_ALLOW_PRIVATE", conflicts_with = "offline")]
    pub allow_private: bool,
    /// What stdout gets: text, or JSON
    #[arg(long, value_name = "FORMAT", env = "ROLEOUT_DOCTOR_FORMAT", default_value = "text")]
    pub format: DoctorFormat,
    /// Say nothing of what is being done
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
    /// All of it, for programs; docs/doctor.schema.json says what is in it
    Json,
}
