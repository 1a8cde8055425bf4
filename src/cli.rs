//! The command line: flags, their variables and the help text. Nothing is carried out here.

mod accounts;
mod by_name;
mod check;
pub mod completion;
mod doctor;
mod effect;
mod embedded;
mod exec;
mod help;
pub mod hint;
mod hooks;
mod iam;
mod init;
mod invocation;
pub mod pipeline;
mod record;
mod report;
mod sandbox;
mod selection;
mod status;
mod verbosity;

pub use crate::cli::accounts::{Accounts, AccountsFormat};
pub use crate::cli::by_name::ByName;
pub use crate::cli::check::{Check, CheckFormat};
pub use crate::cli::doctor::{Doctor, DoctorFormat};
pub use crate::cli::embedded::{Furnishing, SandboxArgs};
pub use crate::cli::exec::{Credentials, CredentialsFormat, Exec};
pub use crate::cli::hooks::Continue;
pub use crate::cli::iam::{Iam, IamAction, IamCheck, IamFormat, IamPermissions, IamScope};
pub use crate::cli::init::Init;
pub use crate::cli::pipeline::Pipeline;
pub use crate::cli::record::RecordArgs;
pub use crate::cli::report::{Folding, PlanReports, Report, Reports, Sections};
pub use crate::cli::sandbox::Sandbox;
pub use crate::cli::selection::{Selection, ShardArgs};
pub use crate::cli::status::{Status, StatusFormat};
pub use crate::cli::verbosity::{ColorChoice, OutputFormat, ShowCalls, Verbosity};

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use clap::builder::styling::{AnsiColor, Styles};
use clap::builder::{BoolishValueParser, Resettable};
use clap::{ArgAction, Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use clap_complete::engine::ArgValueCompleter;

use crate::base::exit::Exit;
use crate::fleet::{ImageChoice, OnBusy};
use crate::narrate::next::Invocation;
use crate::view::Form;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold());

/// The manifest, unless --file names another.
pub const MANIFEST: &str = "deploy.yaml";

/// The version, and what this build leaves out.
const LONG_VERSION: &str = if cfg!(feature = "otel") {
    env!("CARGO_PKG_VERSION")
} else {
    concat!(
        env!("CARGO_PKG_VERSION"),
        "\nbuilt without the feature otel: no trace is sent to an OpenTelemetry collector"
    )
};

/// The table of exit codes, at the foot of the help.
static EXIT_CODES: LazyLock<String> = LazyLock::new(|| {
    let rows = Exit::ALL.iter().map(|exit| format!("  {:>3}  {}", exit.code(), exit.words()));
    format!("Exit codes:\n{}", rows.collect::<Vec<_>>().join("\n"))
});

/// Deploy Amazon ECS services to many AWS accounts from one GitLab job.
#[derive(Debug, Parser)]
#[command(name = "roleout", version, long_version = LONG_VERSION, styles = STYLES)]
#[command(after_help = EXIT_CODES.as_str(), max_term_width = 100)]
pub struct Cli {
    /// The command.
    #[command(subcommand)]
    pub command: Command,
    /// When text is coloured
    #[arg(long, global = true, value_name = "WHEN", env = "ROLEOUT_COLOR", default_value = "auto")]
    pub color: ColorChoice,
    /// What the command that comes next has again of this one.
    #[arg(skip)]
    pub invocation: Invocation,
}

impl Cli {
    /// Reads the command line and its variables. An empty variable counts as not set, because GitLab's forms leave variables
    /// empty. The variable of a flag may also be `1` or `0`, `yes` or `no`, `on` or `off`.
    ///
    /// # Errors
    /// A wrong argument, or a request for help.
    pub fn read() -> Result<Self, clap::Error> {
        Self::parse(std::env::args_os())
    }

    fn parse(words: impl Iterator<Item = OsString>) -> Result<Self, clap::Error> {
        let mut command = empty_env_is_unset(command());
        let matches = command.try_get_matches_from_mut(words);
        let mut matches = matches.map_err(|error| hint::improve(&mut command, error))?;
        effect::refuse_without(&mut command, &matches)?;
        let invocation = invocation::read(&command, &matches);
        let read = Self::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut command))?;
        Ok(Self { invocation, ..read.with_patterns() })
    }
}

/// Returns the command line as its help shows it.
pub fn command() -> clap::Command {
    help::arrange(Cli::command())
}

fn empty_env_is_unset(command: clap::Command) -> clap::Command {
    let command = command.mut_args(|arg| {
        let is_level = matches!(arg.get_action(), ArgAction::Count);
        let is_flag = is_level || matches!(arg.get_action(), ArgAction::SetTrue);
        let value = arg.get_env().and_then(std::env::var_os).map(|value| value.to_string_lossy().to_lowercase());
        // A flag that is off contradicts no other.
        let off = |value: &str| value.is_empty() || is_flag && ["false", "0", "no", "off", "n", "f"].contains(&value);
        let arg = if value.as_deref().is_some_and(off) { arg.env(Resettable::Reset) } else { arg };
        if is_flag && !is_level { arg.value_parser(BoolishValueParser::new()) } else { arg }
    });
    command.mut_subcommands(empty_env_is_unset)
}

/// What to do, the commands of every day first.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write a manifest to start from, or import live services
    Init(Init),
    /// Validate the manifest, offline
    Check(Check),
    /// Show what a deploy would do to each target, using read-only calls
    Plan(Plan),
    /// Roll out every target of the manifest, in waves, and watch each to its end
    Deploy(Deploy),
    /// Show what every target runs now, and how it differs from the manifest
    Status(Status),
    /// Roll every target back to its previous successful revision
    Rollback(Rollback),
    /// Follow the deployments that are under way to their end, and change nothing
    Watch(Watch),
    /// Continue deployments that wait at a PAUSE hook, or roll them back
    Continue(Continue),
    /// Walk every role chain, and explain failures of ID tokens, trust policies and identity providers
    Doctor(Doctor),
    /// List the accounts of the manifest, or renew those that it takes from AWS Organizations
    Accounts(Accounts),
    /// Write the IAM roles, trust policies and permissions that the manifest needs, or compare them with the live ones
    Iam(Iam),
    /// Run a command with the session of one account, or of several
    Exec(Exec),
    /// Print the keys of an account's session, for `credential_process` in an AWS profile
    Credentials(Credentials),
    /// Write a GitLab child pipeline for a fleet too large for one job: a stage for each wave, with several jobs
    Pipeline(Box<Pipeline>),
    /// Regenerate reports from journals, or merge several runs into one
    Report(Report),
    /// Serve the embedded AWS (STS, ECS and a GitLab issuer) on a loopback address
    Sandbox(Sandbox),
    /// Print the JSON Schema of the manifest
    Schema {
        /// That of a file that a manifest includes
        #[arg(long, env = "ROLEOUT_SCHEMA_INCLUDED")]
        included: bool,
    },
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page, or write one for each command
    Man {
        /// Write roleout.1, roleout-deploy.1 and so on to this directory
        #[arg(long, value_name = "DIR", env = "ROLEOUT_MAN_OUT")]
        out: Option<PathBuf>,
    },
}

/// Images of one run that override the manifest.
#[derive(Clone, Debug, Args)]
pub struct ImageOverrides {
    /// Use this image for a container: [SERVICE/]CONTAINER=IMAGE; repeat it, or separate with spaces
    #[arg(long, value_name = "[SERVICE/]CONTAINER=IMAGE", env = "ROLEOUT_IMAGE", value_delimiter = ' ')]
    pub image: Vec<ImageChoice>,
}

/// `roleout deploy`
#[derive(Clone, Debug, Args)]
pub struct Deploy {
    /// A plan saved by --out: carried out exactly, without the manifest; refused if a target changed since
    #[arg(value_name = "PLAN")]
    #[arg(conflicts_with_all = ["only", "account", "service", "wave", "shard", "fingerprint", "image", "out", "sandbox"])]
    pub plan: Option<PathBuf>,
    /// Which targets
    #[command(flatten)]
    pub selection: Selection,
    /// By their names
    #[command(flatten)]
    pub by_name: ByName,
    /// What is deployed instead
    #[command(flatten)]
    pub instead: ImageOverrides,
    /// How much is said
    #[command(flatten)]
    pub talk: Verbosity,
    /// Print what would happen to each target, and change nothing
    #[arg(long, env = "ROLEOUT_DRY_RUN")]
    pub dry_run: bool,
    /// Do not ask before anything is changed; only a terminal is asked, and never in a CI job or with --sandbox
    #[arg(short, long, env = "ROLEOUT_YES")]
    pub yes: bool,
    /// Save the plan to this file, for another job to carry out with `deploy FILE`
    #[arg(long, value_name = "FILE", env = "ROLEOUT_OUT", requires = "dry_run")]
    pub out: Option<PathBuf>,
    /// The name of the variable with the key that signs saved plans; a plan without its signature is refused
    #[arg(long, value_name = "VARIABLE", env = "ROLEOUT_SIGN_ENV")]
    pub sign_env: Option<String>,
    /// Refuse a saved plan that is older than this
    #[arg(long, value_name = "TIME", env = "ROLEOUT_MAX_AGE", default_value = "24h", value_parser = humantime::parse_duration)]
    pub max_age: Duration,
    /// Go on without the targets of a saved plan that changed since it was made
    #[arg(long, env = "ROLEOUT_SKIP_STALE")]
    pub skip_stale: bool,
    /// Start at this wave, and pass its gate
    #[arg(long, value_name = "WAVE", env = "ROLEOUT_FROM", add = ArgValueCompleter::new(completion::waves))]
    pub from: Option<String>,
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
    /// Continue each PAUSE hook at which a deployment of this run waits, instead of waiting for `roleout continue`
    #[arg(long, env = "ROLEOUT_CONTINUE_HOOKS")]
    pub continue_hooks: bool,
    /// Deploy even if GitLab reports a deploy freeze for the project
    #[arg(long, env = "ROLEOUT_OVERRIDE_FREEZE")]
    pub override_freeze: bool,
    /// Take the digests of pinned images from this file, which `pipeline preflight` writes, and ask no registry for these
    #[arg(long, value_name = "FILE", env = "ROLEOUT_DIGESTS", conflicts_with = "plan")]
    pub digests: Option<PathBuf>,
    /// Append every event to this file as a line of JSON, however the run ends
    #[arg(long, value_name = "FILE", env = "ROLEOUT_JOURNAL", conflicts_with = "dry_run")]
    pub journal: Option<PathBuf>,
    /// What is written of it
    #[command(flatten)]
    pub reports: Reports,
    /// How the log is folded
    #[command(flatten)]
    pub folding: Folding,
    /// Instead of AWS
    #[command(flatten)]
    pub embedded: SandboxArgs,
    /// Besides
    #[command(flatten)]
    pub recording: RecordArgs,
}

/// The values of `--on-busy`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Busy {
    /// Block the target
    Fail,
    /// Wait until the other deployment has ended, and then plan
    Wait,
    /// Replace the other deployment
    Supersede,
}

impl From<Busy> for OnBusy {
    fn from(busy: Busy) -> Self {
        match busy {
            Busy::Fail => Self::Fail,
            Busy::Wait => Self::Wait,
            Busy::Supersede => Self::Supersede,
        }
    }
}

/// `roleout watch`
#[derive(Clone, Debug, Args)]
pub struct Watch {
    /// Which targets
    #[command(flatten)]
    pub selection: Selection,
    /// By their names
    #[command(flatten)]
    pub by_name: ByName,
    /// How much is said
    #[command(flatten)]
    pub talk: Verbosity,
    /// Go on without the targets that cannot be reached
    #[arg(long, env = "ROLEOUT_SKIP_BLOCKED")]
    pub skip_blocked: bool,
    /// Append every event to this file as a line of JSON, however it ends
    #[arg(long, value_name = "FILE", env = "ROLEOUT_JOURNAL")]
    pub journal: Option<PathBuf>,
    /// What is written of it
    #[command(flatten)]
    pub reports: Reports,
    /// How the log is folded
    #[command(flatten)]
    pub folding: Folding,
    /// Instead of AWS
    #[command(flatten)]
    pub embedded: SandboxArgs,
    /// Besides
    #[command(flatten)]
    pub recording: RecordArgs,
}

/// `roleout rollback`
#[derive(Clone, Debug, Args)]
pub struct Rollback {
    /// Which targets
    #[command(flatten)]
    pub selection: Selection,
    /// By their names
    #[command(flatten)]
    pub by_name: ByName,
    /// The image overrides of the deploy that is rolled back
    #[command(flatten)]
    pub instead: ImageOverrides,
    /// How much is said
    #[command(flatten)]
    pub talk: Verbosity,
    /// Print what would happen to each target, and change nothing
    #[arg(long, env = "ROLEOUT_DRY_RUN")]
    pub dry_run: bool,
    /// Do not ask before anything is changed; only a terminal is asked, and never in a CI job or with --sandbox
    #[arg(short, long, env = "ROLEOUT_YES")]
    pub yes: bool,
    /// Roll targets that were already rolled back one revision further back
    #[arg(long, env = "ROLEOUT_FURTHER")]
    pub further: bool,
    /// Roll back only what this run deployed; FILE is its report.json or its journal
    #[arg(long, value_name = "FILE", env = "ROLEOUT_OF", conflicts_with = "all")]
    pub of: Option<PathBuf>,
    /// Roll back every selected target, even if it does not run what the manifest deploys
    #[arg(long, env = "ROLEOUT_ROLLBACK_ALL")]
    pub all: bool,
    /// Start at this wave, and pass its gate
    #[arg(long, value_name = "WAVE", env = "ROLEOUT_FROM", add = ArgValueCompleter::new(completion::waves))]
    pub from: Option<String>,
    /// Go on without the targets that cannot be reached, or that have no earlier revision
    #[arg(long, env = "ROLEOUT_SKIP_BLOCKED")]
    pub skip_blocked: bool,
    /// Do not check that the roles, images, log groups and secrets of the earlier revisions still exist
    #[arg(long, env = "ROLEOUT_NO_VERIFY")]
    pub no_verify: bool,
    /// Continue each PAUSE hook at which a deployment of this run waits, instead of waiting for `roleout continue`
    #[arg(long, env = "ROLEOUT_CONTINUE_HOOKS")]
    pub continue_hooks: bool,
    /// Append every event to this file as a line of JSON, however the run ends
    #[arg(long, value_name = "FILE", env = "ROLEOUT_JOURNAL", conflicts_with = "dry_run")]
    pub journal: Option<PathBuf>,
    /// What is written of it
    #[command(flatten)]
    pub reports: Reports,
    /// How the log is folded
    #[command(flatten)]
    pub folding: Folding,
    /// Instead of AWS
    #[command(flatten)]
    pub embedded: SandboxArgs,
    /// Besides
    #[command(flatten)]
    pub recording: RecordArgs,
}

/// `roleout plan`
#[derive(Clone, Debug, Args)]
pub struct Plan {
    /// Which targets
    #[command(flatten)]
    pub selection: Selection,
    /// By their names
    #[command(flatten)]
    pub by_name: ByName,
    /// What is deployed instead
    #[command(flatten)]
    pub instead: ImageOverrides,
    /// The form of the plan on stdout
    #[arg(long, value_name = "FORMAT", env = "ROLEOUT_PLAN_FORMAT", default_value = "text")]
    pub format: PlanFormat,
    /// Exit with 20 if changes are pending, and with 0 only if there is nothing to do
    #[arg(long, env = "ROLEOUT_DETAILED_EXITCODE")]
    pub detailed_exitcode: bool,
    /// Show the values of environment variables instead of salted hashes
    #[arg(long, env = "ROLEOUT_SHOW_VALUES")]
    pub show_values: bool,
    /// Plan as if deploying from this wave on
    #[arg(long, value_name = "WAVE", env = "ROLEOUT_FROM", add = ArgValueCompleter::new(completion::waves))]
    pub from: Option<String>,
    /// Save the plan to this file, for another job to carry out with `deploy FILE`
    #[arg(long, value_name = "FILE", env = "ROLEOUT_OUT")]
    pub out: Option<PathBuf>,
    /// The name of the variable with the key that signs the saved plan
    #[arg(long, value_name = "VARIABLE", env = "ROLEOUT_SIGN_ENV")]
    pub sign_env: Option<String>,
    /// Do not fail because of the targets that cannot be reached or deployed; a saved plan leaves them out
    #[arg(long, env = "ROLEOUT_SKIP_BLOCKED")]
    pub skip_blocked: bool,
    /// Plan this commit even if a newer one is deployed already
    #[arg(long, env = "ROLEOUT_ALLOW_OLDER")]
    pub allow_older: bool,
    /// Plan a new deployment even of targets that are up to date, such as for a mutable tag or a rotated secret
    #[arg(long, env = "ROLEOUT_FORCE_NEW_DEPLOYMENT")]
    pub force_new_deployment: bool,
    /// What to do with a target on which another deployment is in progress; overrides the manifest
    #[arg(long, value_name = "WHAT", env = "ROLEOUT_ON_BUSY")]
    pub on_busy: Option<Busy>,
    /// Do not check that the roles, images, log groups and secrets of new task definitions exist
    #[arg(long, env = "ROLEOUT_NO_VERIFY")]
    pub no_verify: bool,
    /// Write the plan as a note on the job's merge request, or update the note with that NAME
    #[arg(long, value_name = "NAME", env = "ROLEOUT_MR_NOTE", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "plan", value_parser = crate::gitlab::note::name)]
    pub mr_note: Option<String>,
    /// The name of the variable with the token for --mr-note: a project access token with the scope `api`
    #[arg(long, value_name = "VARIABLE", env = "ROLEOUT_MR_NOTE_TOKEN_ENV", default_value = "ROLEOUT_GITLAB_TOKEN")]
    pub mr_note_token_env: String,
    /// Print only the plan
    #[arg(short, long, env = "ROLEOUT_QUIET")]
    pub quiet: bool,
    /// Whether the calls are shown
    #[command(flatten)]
    pub calls: ShowCalls,
    /// What is written of it
    #[command(flatten)]
    pub reports: PlanReports,
    /// Instead of AWS
    #[command(flatten)]
    pub embedded: SandboxArgs,
    /// Besides
    #[command(flatten)]
    pub recording: RecordArgs,
}

/// The values of `plan --format`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum PlanFormat {
    /// For people
    Text,
    /// For programs; see docs/plan.schema.json
    Json,
    /// For a note on a merge request
    Markdown,
}

impl From<PlanFormat> for Form {
    fn from(format: PlanFormat) -> Self {
        match format {
            PlanFormat::Text => Self::Text,
            PlanFormat::Json => Self::Json,
            PlanFormat::Markdown => Self::Markdown,
        }
    }
}
