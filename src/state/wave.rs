//! A wave so far.

use jiff::Timestamp;

use crate::plan::outline::WaveOutline;
use crate::state::milliseconds;

/// A wave so far.
#[derive(Clone, Debug, PartialEq)]
pub struct WaveState {
    /// What the plan says of it.
    pub outline: WaveOutline,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When its bake began.
    pub bake_started_at: Option<Timestamp>,
    /// How long it bakes, in whole seconds; 0 before the bake.
    pub bake_seconds: u64,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// Whether the next wave may start; `None` before the end.
    pub passed: Option<bool>,
}

impl WaveState {
    pub(super) fn new(outline: &WaveOutline) -> Self {
        Self {
            outline: outline.clone(),
            started_at: None,
            bake_started_at: None,
            bake_seconds: 0,
            finished_at: None,
            passed: None,
        }
    }

    /// Returns the seconds that its bake still takes; `None` when it does not bake.
    pub fn bake_left(&self, now: Timestamp) -> Option<u64> {
        let start = self.bake_started_at.filter(|_| self.finished_at.is_none())?;
        Some(self.bake_seconds.saturating_sub(milliseconds(start, now) / 1000))
    }
}
