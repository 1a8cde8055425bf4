//! The commands: one file a verb. Each wires the parts together and returns an exit code; none decides anything itself.

mod alarms;
pub mod check;
#[cfg(feature = "codedeploy")]
mod codedeploy;
pub mod deploy;
pub mod doctor;
pub mod hooks;
pub mod init;
pub mod manifest;
mod notify;
pub mod plan;
pub mod prepare;
pub mod reach;
pub mod rollback;
pub mod sandbox;
pub mod saved;
pub mod status;
mod verify;
pub mod watch;
