//! The flags of a child pipeline: which jobs it has, and what the jobs themselves are told.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use crate::cli::{Busy, ImageOverrides, MANIFEST, Reports, SandboxArgs, Selection};
use crate::fleet::Shard;
use crate::pipeline::duration;

/// Which part of a fleet a job has.
#[derive(Clone, Debug, Default, Args)]
pub struct ShardArgs {
    /// Only what this one of several jobs has of each wave, such as 2/8: some accounts, and their share of what runs at once
    #[arg(long, value_name = "NUMBER/JOBS", env = "ROLEOUT_SHARD")]
    pub shard: Option<Shard>,
    /// Refuse a manifest that means other targets, waves or rules than the pipeline was made of
    #[arg(long, value_name = "HASH", env = "ROLEOUT_FINGERPRINT")]
    pub fingerprint: Option<String>,
}

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
    /// Walk every chain and read every target before the first change of any job, and leave the plan for the jobs after it
    Preflight(Box<Preflight>),
    /// Hold the failures of all jobs of a wave against its budget: it fails where the next wave may not start
    Gate(Gate),
    /// Tell what all jobs came to as one run, with its reports and its exit code
    Merge(Merge),
}

/// How a pipeline is made.
#[derive(Clone, Debug, Args)]
pub struct Make {
    /// The manifest
    #[arg(short = 'f', long = "file", value_name = "FILE", env = "ROLEOUT_FILE", default_value = MANIFEST)]
    pub file: PathBuf,
    /// Only targets that match ACCOUNT, ACCOUNT/REGION or ACCOUNT/REGION/SERVICE, with globs; repeatable, or spaces between
    #[arg(long, value_name = "GLOB", env = "ROLEOUT_ONLY", value_delimiter = ' ')]
    pub only: Vec<String>,
    /// Only this wave; repeatable
    #[arg(long, value_name = "NAME", env = "ROLEOUT_WAVE", value_delimiter = ' ')]
    pub wave: Vec<String>,
    /// Begin at this wave, and pass its gate
    #[arg(long, value_name = "WAVE", env = "ROLEOUT_FROM")]
    pub from: Option<String>,
    /// What is deployed instead
    #[command(flatten)]
    pub instead: ImageOverrides,
    /// How many jobs share a wave, at the most
    #[arg(long, value_name = "N", env = "ROLEOUT_SHARDS", value_parser = clap::value_parser!(u16).range(1..=200))]
    pub shards: Option<u16>,
    /// How many accounts a job has, at the most; 50 unless --shards is given
    #[arg(long, value_name = "N", env = "ROLEOUT_MAX_ACCOUNTS_PER_JOB", value_parser = clap::value_parser!(u16).range(1..))]
    pub max_accounts_per_job: Option<u16>,
    /// Write the pipeline to this file instead of stdout
    #[arg(long, value_name = "FILE", env = "ROLEOUT_OUT")]
    pub out: Option<PathBuf>,
    /// The image that its jobs run in; without one the runner's own
    #[arg(long, value_name = "IMAGE", env = "ROLEOUT_JOB_IMAGE")]
    pub job_image: Option<String>,
    /// A tag of the runners that take its jobs; repeatable, or spaces between
    #[arg(long, value_name = "TAG", env = "ROLEOUT_JOB_TAG", value_delimiter = ' ')]
    pub job_tag: Vec<String>,
    /// How long a job may take; its ID token is valid for as long
    #[arg(long, value_name = "TIME", env = "ROLEOUT_JOB_TIMEOUT", default_value = "2h", value_parser = duration::timeout)]
    pub job_timeout: Duration,
    /// The audience of the ID token; its variable is the one that the manifest names
    #[arg(long, value_name = "AUD", env = "ROLEOUT_AUD", default_value = "$CI_SERVER_URL")]
    pub aud: String,
    /// A GitLab environment whose variables the jobs get, and to which whoever starts them must be allowed to deploy; none of
    /// them is a deployment to it, so its approvals hold none of them back
    #[arg(long, value_name = "NAME", env = "ROLEOUT_ENVIRONMENT")]
    pub environment: Option<String>,
    /// How long GitLab keeps what jobs leave
    #[arg(long, value_name = "TIME", env = "ROLEOUT_EXPIRE_IN", default_value = "30 days", value_parser = duration::expiry)]
    pub expire_in: String,
    /// What its jobs decide
    #[command(flatten)]
    pub decided: PlanArgs,
    /// Continue each PAUSE hook at which a deployment of this pipeline waits
    #[arg(long, env = "ROLEOUT_CONTINUE_HOOKS")]
    pub continue_hooks: bool,
    /// Deploy although GitLab says that the project is in a deploy freeze
    #[arg(long, env = "ROLEOUT_OVERRIDE_FREEZE")]
    pub override_freeze: bool,
}

/// What a person decides beforehand for every job that plans.
#[derive(Clone, Debug, Args)]
pub struct PlanArgs {
    /// Go on without the targets that cannot be reached or deployed
    #[arg(long, env = "ROLEOUT_SKIP_BLOCKED")]
    pub skip_blocked: bool,
    /// Deploy this commit even where a newer one is out already
    #[arg(long, env = "ROLEOUT_ALLOW_OLDER")]
    pub allow_older: bool,
    /// Start a new deployment of targets that run what the manifest says already, as for a mutable tag or a rotated secret
    #[arg(long, env = "ROLEOUT_FORCE_NEW_DEPLOYMENT")]
    pub force_new_deployment: bool,
    /// What to do with a target on which somebody else's deployment is in progress, instead of what the manifest says
    #[arg(long, value_name = "WHAT", env = "ROLEOUT_ON_BUSY")]
    pub on_busy: Option<Busy>,
    /// Do not check by reads that the roles, images, log groups and secrets which new task definitions name exist
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
    /// Begin at this wave
    #[arg(long, value_name = "WAVE", env = "ROLEOUT_FROM")]
    pub from: Option<String>,
    /// What is decided beforehand
    #[command(flatten)]
    pub decided: PlanArgs,
    /// Where the plan is left for the jobs after it
    #[arg(long, value_name = "FILE", env = "ROLEOUT_JOURNAL")]
    pub journal: PathBuf,
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
    /// The directory in which the jobs left their journals
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
}

/// `roleout pipeline merge`
#[derive(Clone, Debug, Args)]
pub struct Merge {
    /// The manifest, whose webhooks are told what it all came to
    #[arg(short = 'f', long = "file", value_name = "FILE", env = "ROLEOUT_FILE", default_value = MANIFEST)]
    pub file: PathBuf,
    /// The directory in which the jobs left their journals
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
    /// Append every event of all jobs to this file as a line of JSON
    #[arg(long, value_name = "FILE", env = "ROLEOUT_JOURNAL")]
    pub journal: Option<PathBuf>,
    /// Post to webhooks of plain HTTP that are not on this machine, where the network can read what is sent
    #[arg(long, env = "ROLEOUT_ALLOW_HTTP")]
    pub allow_http: bool,
    /// What is written of it
    #[command(flatten)]
    pub reports: Reports,
}
