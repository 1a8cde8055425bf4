//! The stage of a deployment.

use jiff::Timestamp;

/// The stage of a deployment.
#[derive(Clone, Debug, PartialEq)]
pub struct Stage {
    /// ECS's word for it.
    pub name: String,
    /// The share of the production traffic that goes to the new revision, in percent.
    pub production_percent: Option<f64>,
    /// The share of the test traffic, in percent.
    pub test_percent: Option<f64>,
    /// For how many minutes ECS bakes at it; 0 where it does not.
    pub bake_minutes: u64,
    /// When it was first seen.
    pub since: Timestamp,
    /// When the next one was first seen, or when its deployment began to roll back, or ended; `None` while it lasts, and
    /// where the run left it.
    pub ended_at: Option<Timestamp>,
}
