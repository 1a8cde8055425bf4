//! A target's way back to what it ran before.

use jiff::Timestamp;

use crate::event::UndoStep;
use crate::fleet::Revision;

/// A target's way back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undo {
    /// How.
    pub how: UndoStep,
    /// The revision that it goes back to, where that is known.
    pub to: Option<Revision>,
    /// When it began.
    pub started_at: Timestamp,
}
