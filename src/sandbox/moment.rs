//! Milliseconds since the epoch: the sandbox's arithmetic of time, and how AWS writes times.
//!
//! Nothing here reads a clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use serde_json::Value;

/// Milliseconds since 1970-01-01 00:00:00 UTC.
pub(crate) type Moment = u64;

/// Returns the moment of a time of day.
pub(crate) fn moment(time: SystemTime) -> Moment {
    millis(time.duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// Returns a length in whole milliseconds.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Returns the moment as awsJson writes it: epoch seconds with a fraction.
pub(crate) fn epoch(at: Moment) -> Value {
    #[expect(clippy::cast_precision_loss, reason = "53 bits hold milliseconds for 285,000 years")]
    let seconds = at as f64 / 1000.0;
    Value::from(seconds)
}

/// Returns the moment as awsQuery writes it: `2026-11-02T09:00:00Z`.
pub(crate) fn iso(at: Moment) -> String {
    i64::try_from(at / 1000)
        .ok()
        .and_then(|seconds| Timestamp::from_second(seconds).ok())
        .map_or_else(String::new, |stamp| stamp.to_string())
}

/// Reads SigV4's `20261102T090000Z`.
pub(crate) fn from_basic(text: &str) -> Option<Moment> {
    let digit = |range: std::ops::Range<usize>| text.get(range).filter(|part| part.bytes().all(|b| b.is_ascii_digit()));
    let whole = format!(
        "{}-{}-{}T{}:{}:{}Z",
        digit(0..4)?,
        digit(4..6)?,
        digit(6..8)?,
        digit(9..11)?,
        digit(11..13)?,
        digit(13..15)?
    );
    let stamp: Timestamp = whole.parse().ok()?;
    u64::try_from(stamp.as_millisecond()).ok()
}

/// Returns the moment as SigV4 writes it.
pub(crate) fn basic(at: Moment) -> String {
    iso(at).replace(['-', ':'], "")
}
