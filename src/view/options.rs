//! How a view is set up.

use std::io::IsTerminal;

use tokio::sync::watch;

use crate::view::stream::Pending;

/// How a view looks; chosen once.
#[derive(Clone, Debug)]
pub struct Options {
    /// What stdout gets.
    pub format: Format,
    /// Whether stderr is drawn on, rather than written line by line.
    pub live: bool,
    /// Only the summary's failures and verdict.
    pub quiet: bool,
    /// Every event, in words.
    pub verbose: bool,
    /// Whether stderr is coloured.
    pub color: bool,
    /// Whether stdout is coloured.
    pub color_stdout: bool,
    /// The columns of lines that can be broken, and of a terminal whose size cannot be asked.
    pub width: usize,
    /// The rows of a terminal whose size cannot be asked.
    pub height: usize,
    /// Asks the terminal for its columns and rows, at each frame.
    pub size: Size,
    /// How far the terminal is behind: while it is, no frame is drawn.
    pub pending: Option<watch::Receiver<Pending>>,
}

impl Default for Options {
    /// Plain lines of 100 columns, without colour.
    fn default() -> Self {
        Self {
            format: Format::Text,
            live: false,
            quiet: false,
            verbose: false,
            color: false,
            color_stdout: false,
            width: 100,
            height: 24,
            size: || None,
            pending: None,
        }
    }
}

impl Options {
    /// Looks at the terminal and the environment: live only where a person watches and nothing else writes to the
    /// terminal, coloured where the terminal and `NO_COLOR`, `CLICOLOR`, `CLICOLOR_FORCE` and `TERM` allow it.
    pub fn detect(format: Format, quiet: bool, verbose: bool, size: Size) -> Self {
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let (stdout, stderr) = (std::io::stdout(), std::io::stderr());
        let number = |name| variable(name).and_then(|value| value.to_str()?.parse().ok());
        let default = Self::default();
        let (width, height) = size().unwrap_or((default.width, default.height));
        let shares_terminal = format == Format::Jsonl && stdout.is_terminal();
        Self {
            format,
            live: stderr.is_terminal()
                && variable("CI").is_none()
                && variable("TERM").is_none_or(|term| term != "dumb")
                && !quiet
                && !verbose
                && !shares_terminal,
            quiet,
            verbose,
            color: anstream::AutoStream::choice(&stderr) != anstream::ColorChoice::Never,
            color_stdout: anstream::AutoStream::choice(&stdout) != anstream::ColorChoice::Never,
            width: number("COLUMNS").unwrap_or(width).max(20),
            height: number("LINES").unwrap_or(height).max(1),
            size,
            pending: None,
        }
    }
}

/// What stdout gets during a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Nothing but the plan.
    #[default]
    Text,
    /// Each event as a line of JSON.
    Jsonl,
}

/// The terminal's columns and rows, if it can be asked.
pub type Size = fn() -> Option<(usize, usize)>;
