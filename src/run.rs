//! A run from a plan to its outputs: what `deploy`, `plan`, `rollback`, `watch` and saved plans have in common.

pub mod deployments;
pub mod lifecycle;
pub mod mr_note;
pub mod outputs;
pub mod plan;
pub mod planned;
pub mod rollback;
pub mod saved_file;
pub mod saved_plan;
pub mod trace;
pub mod watch;
pub mod webhooks;
