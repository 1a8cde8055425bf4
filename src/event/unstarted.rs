//! Why a target was not started, in words: the same wherever that is told.

use crate::fleet::TargetId;

/// Says that the run was halted, and by whose failure where that is known.
pub fn halted_by(cause: Option<&TargetId>) -> String {
    cause.map_or_else(
        || "the run was halted".to_owned(),
        |cause| format!("the run was halted by the failure of {cause}"),
    )
}

/// Says that the run stopped at the gate of a wave.
pub fn waits_at(gate: &str) -> String {
    format!("the wave {gate} waits at its gate")
}
