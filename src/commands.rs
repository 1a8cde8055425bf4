//! The commands: one file a verb. Each wires the parts together and returns an exit code; none decides anything itself.

mod alarms;
pub mod check;
#[cfg(feature = "codedeploy")]
mod codedeploy;
pub mod credentials;
pub mod deploy;
mod deployments;
pub mod doctor;
pub mod exec;
pub mod hooks;
pub mod iam;
pub mod init;
pub mod manifest;
mod mr_note;
mod notify;
pub mod pipeline;
pub mod plan;
pub mod prepare;
pub mod reach;
pub mod report;
pub mod rollback;
#[cfg(feature = "verify")]
mod run_tasks;
pub mod sandbox;
pub mod saved;
pub mod status;
mod verify;
pub mod watch;
