//! Something that is missing, or is not as it must be.

/// Something that is missing, or is not as it must be: why the target is blocked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What, as a lower-case fragment.
    pub reason: String,
    /// What to do about it.
    pub help: String,
}

impl Finding {
    /// Makes a finding.
    pub fn new(reason: impl Into<String>, help: impl Into<String>) -> Self {
        Self { reason: reason.into(), help: help.into() }
    }
}
