//! The commands: one file a verb. Each wires the parts together and returns an exit code; none decides anything itself.

pub mod check;
pub mod continue_hook;
pub mod credentials;
pub mod deploy;
pub mod doctor;
pub mod exec;
pub mod iam;
pub mod init;
pub mod pipeline;
pub mod plan;
pub mod report;
pub mod rollback;
pub mod sandbox;
pub mod status;
pub mod watch;
