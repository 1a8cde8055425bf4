//! How often services are read, how often they may be missing, and how long calls under way may take after a cancel.

use std::time::Duration;

/// A service is gone after this many consecutive polls without it: reads of ECS may lag behind.
pub const MISSES: u32 = 3;

/// How often a rollout is looked at: a finished deployment is noticed within this and one call's time.
pub const POLL_INTERVAL: Duration = Duration::from_millis(1_200);

/// After a cancel, calls that are under way get so long to end: GitLab kills the job about ten seconds after its signal,
/// and the summary must be written before.
pub const GRACE: Duration = Duration::from_secs(3);
