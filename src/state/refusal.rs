//! Why a run was refused before anything was changed.

use jiff::Timestamp;

use crate::base::exit::Exit;

/// Why a run was refused before anything was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The exit code.
    pub exit_code: u8,
    /// Why, a line for each reason.
    pub message: String,
    /// What to do about it.
    pub help: Vec<String>,
    /// When.
    pub at: Timestamp,
}

impl Refusal {
    /// Returns how the process ended; a code that is not known is an unexpected error.
    pub fn exit(&self) -> Exit {
        Exit::of_code(self.exit_code).unwrap_or(Exit::Unexpected)
    }
}
