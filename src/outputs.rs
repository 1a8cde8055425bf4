//! The files that a run leaves: its journal and its reports.

pub mod journal;
pub mod reports;
