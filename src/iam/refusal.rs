//! Why no policies can be written.

/// Why no policies can be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What is wrong, as a lower-case fragment.
    pub message: String,
    /// What to do about it.
    pub help: String,
}

impl Refusal {
    /// Makes one: what is wrong, and what to do.
    pub fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { message: message.into(), help: help.into() }
    }
}
