//! The flags of a child pipeline: those that make it, and those of its jobs.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use clap_complete::engine::ArgValueCompleter;

use crate::cli::{Busy, ByName, ImageOverrides, MANIFEST, Reports, SandboxArgs, Selection, completion};
use crate::pipeline::duration;

/// `roleout pipeline`
#[derive(Clone, Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Pipeline {
    /// What its jobs run
    #[command(subcommand)]
    pub job: Option<Job>,
    /// How it is made
    #[command(flatten)]
    pub make: Make,
}

/// The commands of a child pipeline's own jobs.
#[derive(Clone, Debug, Subcommand)]
pub enum Job {
    /// Walk every chain and read every target before any job changes anything, and save the plan for the later jobs
    Preflight(Box<Preflight>),
    /// Compare the failures of all jobs of a wave with its failure budget; fails if the next wave may not start
    Gate(Gate),
    /// Combine the journals of all jobs into one run, with its reports and its exit code
    Merge(Merge),
}

/// How a pipeline is made.
#[derive(Clone, Debug, Args)]
pub struct Make {
    /// The manifest
    #[arg(short = 'f', long = "file", value_name = "FILE", env = "ROLEOUT_FILE", default_value = MANIFEST)]
    pub file: PathBuf,
    /// Only targets that match ACCOUNT, ACCOUNT/REGION or ACCOUNT/REGION/SERVICE, with globs; repeat it, or separate with
    /// spaces
    #[arg(long, value_name = "GLOB", env = "ROLEOUT_ONLY", value_delimiter = ' ')]
    #[arg(add = ArgValueCompleter::new(completion::targets))]
    pub only: Vec<String>,
    /// By their names
    #[command(flatten)]
    pub by_name: ByName,
    /// Only this wave; repeat it, or separate with spaces
    #[arg(long, value_name = "NAME", env = "ROLEOUT_WAVE", value_delimiter = ' ')]
    #[arg(add = ArgValueCompleter::new(completion::waves))]
    pub wave: Vec<String>,
    /// Start at this wave, and pass its gate
    #[arg(long, value_name = "WAVE", env = "ROLEOUT_FROM", add = ArgValueCompleter::new(completion::waves))]
    pub from: Option<String>,
    /// What is deployed instead
    #[command(flatten)]
    pub instead: ImageOverrides,
    /// How many jobs share a wave, at most
    #[arg(long, value_name = "N", env = "ROLEOUT_SHARDS", value_parser = clap::value_parser!(u16).range(1..=200))]
    pub shards: Option<u16>,
    /// How many accounts a job has, at most; 50 unless --shards is given
    #[arg(long, value_name = "N", env = "ROLEOUT_MAX_ACCOUNTS_PER_JOB", value_parser = clap::value_parser!(u16).range(1..))]
    pub max_accounts_per_job: Option<u16>,
    /// Write the pipeline to this file instead of stdout
    #[arg(long, value_name = "FILE", env = "ROLEOUT_OUT")]
    pub out: Option<PathBuf>,
    /// The image for its jobs; default: the runner's own
    #[arg(long, value_name = "IMAGE", env = "ROLEOUT_JOB_IMAGE")]
    pub job_image: Option<String>,
    /// A tag of the runners for its jobs; repeat it, or separate with spaces
    #[arg(long, value_name = "TAG", env = "ROLEOUT_JOB_TAG", value_delimiter = ' ')]
    pub job_tag: Vec<String>,
    /// How long a job may take; its ID token is valid for as long
    #[arg(long, value_name = "TIME", env = "ROLEOUT_JOB_TIMEOUT", default_value = "2h", value_parser = duration::timeout)]
    pub job_timeout: Duration,
    /// The audience of the ID token; the manifest names its variable
    #[arg(long, value_name = "AUD", env = "ROLEOUT_AUD", default_value = "$CI_SERVER_URL")]
    pub aud: String,
    /// A GitLab environment: the jobs get its variables, and only users who may deploy to it can start them. The jobs are not
    /// deployments, so they do not wait for its approvals
    #[arg(long, value_name = "NAME", env = "ROLEOUT_ENVIRONMENT")]
    pub environment: Option<String>,
    /// How long GitLab keeps the artifacts of the jobs
    #[arg(long, value_name = "TIME", env = "ROLEOUT_EXPIRE_IN", default_value = "30 days", value_parser = duration::expiry)]
    pub expire_in: String,
    /// What its jobs decide
    #[command(flatten)]
    pub decided: PlanArgs,
    /// Continue each PAUSE hook at which a deployment of this pipeline waits
    #[arg(long, env = "ROLEOUT_CONTINUE_HOOKS")]
    pub continue_hooks: bool,
    /// Deploy even if GitLab reports a deploy freeze for the project
    #[arg(long, env = "ROLEOUT_OVERRIDE_FREEZE")]
    pub override_freeze: bool,
}

/// What a person decides beforehand for every job that plans.
#[derive(Clone, Debug, Default, Args)]
pub struct PlanArgs {
    /// Go on without the targets that cannot be reached or deployed
    #[arg(long, env = "ROLEOUT_SKIP_BLOCKED")]
    pub skip_blocked: bool,
    /// Deploy this commit even if a newer one is deployed already
    #[arg(long, env = "ROLEOUT_ALLOW_OLDER")]
    pub allow_older: bool,
    /// Start a new deployment even of targets that are up to date, such as for a mutable tag or a rotated secret
    #[arg(long, env = "ROLEOUT_FORCE_NEW_DEPLOYMENT")]
    pub force_new_deployment: bool,
    /// What to do with a target on which another deployment is in progress; overrides the manifest
    #[arg(long, value_name = "WHAT", env = "ROLEOUT_ON_BUSY")]
    pub on_busy: Option<Busy>,
    /// Do not check that the roles, images, log groups and secrets of new task definitions exist
    #[arg(long, env = "ROLEOUT_NO_VERIFY")]
    pub no_verify: bool,
}

/// `roleout pipeline preflight`
#[derive(Clone, Debug, Args)]
pub struct Preflight {
    /// Which targets
    #[command(flatten)]
    pub selection: Selection,
    /// What is deployed instead
    #[command(flatten)]
    pub instead: ImageOverrides,
    /// Start at this wave
    #[arg(long, value_name = "WAVE", env = "ROLEOUT_FROM", add = ArgValueCompleter::new(completion::waves))]
    pub from: Option<String>,
    /// What is decided beforehand
    #[command(flatten)]
    pub decided: PlanArgs,
    /// The file that passes the plan to the later jobs
    #[arg(long, value_name = "FILE", env = "ROLEOUT_JOURNAL")]
    pub journal: PathBuf,
    /// Write the digests of pinned images to this file, for the later jobs
    #[arg(long, value_name = "FILE", env = "ROLEOUT_DIGESTS")]
    pub digests: Option<PathBuf>,
    /// Instead of AWS
    #[command(flatten)]
    pub embedded: SandboxArgs,
}

/// `roleout pipeline gate`
#[derive(Clone, Debug, Args)]
pub struct Gate {
    /// The wave that has ended
    #[arg(long, value_name = "NAME", env = "ROLEOUT_WAVE")]
    pub wave: String,
    /// The directory with the journals of the jobs
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
}

/// `roleout pipeline merge`
#[derive(Clone, Debug, Args)]
pub struct Merge {
    /// The manifest; the result is posted to its webhooks
    #[arg(short = 'f', long = "file", value_name = "FILE", env = "ROLEOUT_FILE", default_value = MANIFEST)]
    pub file: PathBuf,
    /// The directory with the journals of the jobs
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
    /// Append every event of all jobs to this file as a line of JSON
    #[arg(long, value_name = "FILE", env = "ROLEOUT_JOURNAL")]
    pub journal: Option<PathBuf>,
    /// Allow plain HTTP webhooks that are not on this machine; the network can read what is sent
    #[arg(long, env = "ROLEOUT_ALLOW_HTTP")]
    pub allow_http: bool,
    /// What is written of it
    #[command(flatten)]
    pub reports: Reports,
}
