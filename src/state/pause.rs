//! A PAUSE hook at which a deployment waits, or waited.

use jiff::Timestamp;

use crate::event::Hook;

/// A PAUSE hook at which a deployment waits, or waited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pause {
    /// The hook.
    pub hook: Hook,
    /// When it was first seen to wait.
    pub since: Timestamp,
    /// When it waited no longer, or when its deployment began to roll back, or ended; `None` while it waits, and where it
    /// was left waiting.
    pub ended_at: Option<Timestamp>,
    /// How it ended in ECS's words: `SUCCEEDED` where it was continued, `FAILED` or `TIMED_OUT`; `None` where ECS did not say.
    pub status: Option<String>,
}
