//! What `roleout pipeline` does: it makes a child pipeline, and does what the jobs of one are for.

pub mod generate;
pub mod journals;
pub mod merge;
pub mod preflight;
