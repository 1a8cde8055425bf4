//! A run from a plan to its outputs: what `deploy`, `rollback`, `watch` and saved plans have in common.

pub mod deployments;
pub mod lifecycle;
pub mod mr_note;
pub mod outputs;
pub mod saved_file;
pub mod saved_plan;
pub mod webhooks;
