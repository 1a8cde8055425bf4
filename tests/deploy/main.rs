//! Whole deployments on the sandbox, through the real AWS SDK, with the clock paused.

mod faults;
mod harness;
mod identity;
mod init;
mod outcomes;
mod plan;
mod processes;
mod rollback;
mod saved;
mod scale;
mod status;
mod undo;
mod waves;
