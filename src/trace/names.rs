//! OpenTelemetry's words for how something ended.

use crate::base::exit::Exit;
use crate::fleet::Outcome;

/// Returns the result of a run as one of OpenTelemetry's: a run that stops at its gate, and one with failures that are allowed,
/// did what it was asked.
pub fn result(exit: Exit) -> &'static str {
    match exit {
        Exit::Done | Exit::Gate | Exit::Tolerated | Exit::Pending => "success",
        Exit::Interrupted | Exit::Terminated => "cancellation",
        Exit::TimedOut => "timeout",
        Exit::Unexpected => "error",
        Exit::Usage
        | Exit::Manifest
        | Exit::Preflight
        | Exit::Blocked
        | Exit::Failed
        | Exit::RolledBack
        | Exit::Stuck => "failure",
    }
}

/// Returns the class of a run's failure; `None` where it is none.
pub fn error_type(exit: Exit) -> Option<&'static str> {
    match exit {
        Exit::Failed => Some("failed"),
        Exit::RolledBack => Some("rolled_back"),
        Exit::Stuck => Some("stuck"),
        Exit::TimedOut => Some("timed_out"),
        Exit::Unexpected | Exit::Usage | Exit::Manifest | Exit::Preflight | Exit::Blocked => Some("_OTHER"),
        Exit::Done | Exit::Gate | Exit::Tolerated | Exit::Pending | Exit::Interrupted | Exit::Terminated => None,
    }
}

/// Returns an outcome as one of the two words that OpenTelemetry has for a deployment; `None` where it is neither.
pub fn deployment_status(outcome: Outcome) -> Option<&'static str> {
    match outcome {
        Outcome::Succeeded | Outcome::Unchanged => Some("succeeded"),
        Outcome::RolledBack | Outcome::Failed | Outcome::TimedOut | Outcome::Superseded | Outcome::Stuck => {
            Some("failed")
        }
        Outcome::Cancelled | Outcome::Detached | Outcome::NotStarted => None,
    }
}
