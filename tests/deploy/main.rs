//! Whole deployments on the sandbox, through the real AWS SDK, with the clock paused.

#[cfg(feature = "alarms")]
mod alarms;
mod bake;
mod busy;
mod calls;
#[cfg(feature = "codedeploy")]
mod codedeploy;
mod deadline;
mod definition;
mod definition_forms;
mod denied;
#[cfg(feature = "verify")]
mod doctor;
mod faults;
mod gitlab;
mod harness;
#[cfg(feature = "health")]
mod health;
mod hooks;
#[cfg(feature = "verify")]
mod iam;
mod identity;
mod init;
mod interrupted;
mod leaves;
mod lost;
mod meanwhile;
mod outcomes;
mod pace;
mod page;
mod plan;
mod processes;
mod promotion;
#[cfg(feature = "verify")]
mod quick_start;
mod record;
mod reports;
mod rollback;
mod rollbacks;
mod runs;
mod saved;
mod scale;
mod shards;
mod status;
mod stopping;
mod strategies;
mod tail;
#[cfg(feature = "verify")]
mod verify;
mod watch;
mod waves;
