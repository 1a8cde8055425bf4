//! What each target needs: nothing, a new revision, a new deployment, new settings, or a reason why it is blocked.
//!
//! Pure: a plan is computed from a fleet and what was observed of it. Nothing here calls AWS or prints. The parts
//! that people and events see are in [`outline`]; it holds no environment value.

pub mod build;
pub mod description;
pub mod diff;
pub mod drift;
pub mod follow;
pub mod group;
pub mod open;
pub mod outline;
mod pinned;
pub mod placeholders;
pub mod preview;
pub mod previous_state;
pub mod rollback_target;
pub mod run_task;
pub mod saved;
pub mod settings;
pub mod ships;
pub mod strategy;
pub mod time_estimate;
pub mod work;
