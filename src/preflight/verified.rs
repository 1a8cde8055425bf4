//! What came of looking for what the targets need.

use std::collections::HashSet;

use crate::fleet::TargetId;

/// What came of the checks.
#[derive(Debug, Default)]
pub struct Verified {
    /// The targets that are blocked now.
    pub blocked: HashSet<TargetId>,
    /// What was not checked, a line each.
    pub notes: Vec<String>,
}
