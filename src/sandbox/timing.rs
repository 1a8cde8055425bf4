//! How long tasks take.

use std::time::Duration;

/// How long each step of a rollout takes. Each task takes up to a tenth more or less.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// From UpdateService to the first task, and between the scheduler's looks.
    pub schedule: Duration,
    /// PROVISIONING.
    pub provision: Duration,
    /// PENDING: pulling the image and starting the containers.
    pub start: Duration,
    /// From RUNNING to counting as healthy.
    pub healthy: Duration,
    /// From being told to stop to STOPPED.
    pub drain: Duration,
    /// From UpdateService to the service deployment being listed.
    pub appear: Duration,
    /// A minute of bake times and of hooks' timeouts.
    pub minute: Duration,
    /// The first wait before a task that never ran is tried again; it doubles, up to fifteen minutes.
    pub backoff: Duration,
}

impl Default for Timing {
    /// A rollout of two or three seconds: for `deploy --sandbox`. Bakes of minutes take seconds there.
    fn default() -> Self {
        Self {
            schedule: Duration::from_millis(100),
            provision: Duration::from_millis(300),
            start: Duration::from_millis(700),
            healthy: Duration::from_millis(700),
            drain: Duration::from_millis(400),
            appear: Duration::from_millis(300),
            minute: Duration::from_secs(1),
            backoff: Duration::from_millis(300),
        }
    }
}

impl Timing {
    /// Returns the times of Fargate tasks behind a load balancer: a rollout of two minutes. For paused clocks.
    pub fn realistic() -> Self {
        Self {
            schedule: Duration::from_secs(4),
            provision: Duration::from_secs(15),
            start: Duration::from_secs(20),
            // Without a load balancer or health check a task counts as healthy after 40 s (ECS's own rule).
            healthy: Duration::from_secs(40),
            drain: Duration::from_secs(30),
            appear: Duration::from_millis(1600),
            minute: Duration::from_secs(60),
            backoff: Duration::from_secs(20),
        }
    }
}
