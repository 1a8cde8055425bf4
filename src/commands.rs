//! The commands: one file a verb. Each parses its arguments, makes one call, and returns an exit code.

pub mod accounts;
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
