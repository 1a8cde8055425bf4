//! What ends a command early: a message for a person, what to do about it, and the exit code.

use std::fmt;

use crate::base::exit::Exit;

/// An error as the person at the terminal meets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// The exit code.
    pub exit: Exit,
    /// What is wrong; may span lines.
    pub message: String,
    /// What to do about it, one entry a hint.
    pub help: Vec<String>,
    /// The commands that come next.
    pub next: Vec<Next>,
}

/// A command that comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Next {
    /// As it is typed.
    pub command: String,
    /// What it is for.
    pub what: String,
}

impl Error {
    /// Makes an error without help.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), help: Vec::new(), next: Vec::new() }
    }

    /// Makes an error of a line for each thing that is wrong. None of them becomes several, whatever it repeats.
    pub fn listing(exit: Exit, what: &str, lines: &[String]) -> Self {
        let lines: Vec<String> = lines.iter().map(|line| line.replace(['\n', '\r'], " ")).collect();
        Self::new(exit, format!("{what}:\n  {}", lines.join("\n  ")))
    }

    /// Adds a hint.
    #[must_use]
    pub fn help(mut self, hint: impl Into<String>) -> Self {
        self.help.push(hint.into());
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
