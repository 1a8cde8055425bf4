//! A target's rollback to what it ran before.

use jiff::Timestamp;

use crate::event::RollbackStep;
use crate::fleet::Revision;

/// A target's rollback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rollback {
    /// How.
    pub how: RollbackStep,
    /// The revision that it is rolled back to, where that is known.
    pub to: Option<Revision>,
    /// When it began.
    pub started_at: Timestamp,
}
