//! The arguments that say how much is shown.

use clap::{ArgAction, Args, ValueEnum};

use crate::view::options::Format;

/// Reads how often a flag is meant by its variable: a number, or a word for once.
pub(super) fn level(text: &str) -> Result<u8, String> {
    match text.to_lowercase().as_str() {
        "true" | "yes" | "on" | "y" | "t" => Ok(1),
        number => number.parse().map_err(|_| "it is true, false, or a number such as 2".to_owned()),
    }
}

/// Whether the calls to AWS are shown.
#[derive(Clone, Debug, Args)]
pub struct ShowCalls {
    /// Show each call to AWS; -vv shows what the AWS SDK logs, too
    #[arg(short, long, action = ArgAction::Count, env = "ROLEOUT_VERBOSE", value_parser = level)]
    pub verbose: u8,
}

/// How much is said, and how.
#[derive(Clone, Debug, Args)]
pub struct Verbosity {
    /// Print only failures and the verdict
    #[arg(short, long, env = "ROLEOUT_QUIET", conflicts_with = "verbose")]
    pub quiet: bool,
    /// Print every message of ECS and each call to AWS, line by line; -vv adds the log of the AWS SDK
    #[arg(short, long, action = ArgAction::Count, env = "ROLEOUT_VERBOSE", value_parser = level)]
    pub verbose: u8,
    /// What stdout gets: only the plan, or each event as a line of JSON
    #[arg(long, value_name = "FORMAT", env = "ROLEOUT_FORMAT", default_value = "text")]
    pub format: OutputFormat,
}

/// The values of `--format`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum OutputFormat {
    /// The plan, for people
    Text,
    /// Events, for programs
    Jsonl,
}

impl From<OutputFormat> for Format {
    fn from(format: OutputFormat) -> Self {
        match format {
            OutputFormat::Text => Self::Text,
            OutputFormat::Jsonl => Self::Jsonl,
        }
    }
}
