//! roleout: rolls Amazon ECS services out in many AWS accounts from one GitLab job.
//!
//! The library behind the `roleout` binary; it makes no semver promise. ARCHITECTURE.md is the map.

#![recursion_limit = "256"]

pub mod aws;
pub mod base;
pub mod cli;
pub mod commands;
pub mod connect;
pub mod doctor;
pub mod engine;
pub mod event;
pub mod exec;
pub mod fleet;
pub mod gitlab;
pub mod iam;
pub mod identity;
pub mod images;
pub mod init;
pub mod issuer;
pub mod load;
pub mod manifest;
pub mod narrate;
pub mod notify;
pub mod observe;
pub mod operations;
#[cfg(feature = "otel")]
pub mod otlp;
pub mod outputs;
pub mod pipeline;
pub mod plan;
pub mod preflight;
pub mod references;
pub mod report;
pub mod run;
pub mod sandbox;
pub mod state;
pub mod status;
pub mod task_definition;
pub mod trace;
pub mod view;
pub mod web;
