//! How long calls may take, and how often they are tried.

use std::time::Duration;

/// Without these the SDK waits for ever on a server that accepts and never answers: it sets only a connect timeout.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long one attempt may take.
pub const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a call may take, with its repetitions.
pub const OPERATION_TIMEOUT: Duration = Duration::from_secs(45);

/// Attempts at a call that may be repeated. The SDK's default of three gives up within about three seconds, too soon
/// for an account whose other users have emptied its bucket.
pub const ATTEMPTS: u32 = 6;

/// How long a call to ECS that may be repeated is repeated where it is throttled: others empty the same bucket.
pub const THROTTLED_TIMEOUT: Duration = Duration::from_secs(120);
