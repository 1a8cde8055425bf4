//! roleout: rolls Amazon ECS services out in many AWS accounts from one GitLab job.
//!
//! The library behind the `roleout` binary; it makes no semver promise. ARCHITECTURE.md is the map.

pub mod clock;
pub mod event;
pub mod exit;
pub mod fleet;
pub mod plan;
pub mod sandbox;
