//! The arguments that say how much is shown.

use std::ffi::OsString;

use clap::{ArgAction, Args, ValueEnum};

use crate::view::options::{Color, Format};

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

/// The values of `--color`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal and in the log of a GitLab job, unless NO_COLOR is set
    Auto,
    /// In any case
    Always,
    /// In no case
    Never,
}

impl ColorChoice {
    /// Finds the choice on a command line that may be wrong.
    pub fn find(arguments: impl Iterator<Item = OsString>) -> Self {
        let mut words = arguments.map(|word| word.to_string_lossy().into_owned()).take_while(|word| word != "--");
        let mut value = None;
        while let Some(word) = words.next() {
            value = match word.strip_prefix("--color") {
                Some("") => words.next(),
                Some(rest) => rest.strip_prefix('=').map(ToOwned::to_owned),
                None => value,
            };
        }
        let value = value.or_else(|| std::env::var("ROLEOUT_COLOR").ok());
        value.and_then(|value| Self::from_str(&value, false).ok()).unwrap_or(Self::Auto)
    }
}

impl From<ColorChoice> for Color {
    fn from(choice: ColorChoice) -> Self {
        match choice {
            ColorChoice::Auto => Self::Auto,
            ColorChoice::Always => Self::Always,
            ColorChoice::Never => Self::Never,
        }
    }
}
