//! The time of day, computed from tokio's clock.
//!
//! Intervals and deadlines always come from `tokio::time`. Where a date is needed (signing, expiry, stamping), it
//! comes from here: the system's in production; in the sandbox a date that advances with tokio's clock, so that hours
//! pass in no time under a paused runtime.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use tokio::time::Instant;

/// A source of the time of day.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    virtual_start: Option<(SystemTime, Instant)>,
    /// By how many milliseconds it is wrong now.
    error: Option<&'static AtomicI64>,
}

/// Where a virtual clock starts: 2026-11-02 09:00:00 UTC, a Monday morning.
const VIRTUAL_START: Duration = Duration::from_secs(1_793_610_000);

impl Clock {
    /// Returns the system's clock.
    pub fn system() -> Self {
        Self { virtual_start: None, error: None }
    }

    /// Returns a clock that starts at a fixed date and advances with tokio's.
    pub fn tokio() -> Self {
        Self { virtual_start: Some((UNIX_EPOCH + VIRTUAL_START, Instant::now())), error: None }
    }

    /// Returns a clock that starts at the system's date and advances with tokio's: for a sandbox that real clients use.
    pub fn tokio_from_system() -> Self {
        Self { virtual_start: Some((Self::system().now(), Instant::now())), error: None }
    }

    /// Returns a clock that starts at this one's date and advances with tokio's: dates that lengths of time are told from, which
    /// must not jump where the system's clock is set.
    pub fn steady(&self) -> Self {
        Self { virtual_start: Some((self.now(), Instant::now())), error: None }
    }

    /// Returns this clock as one that somebody sets: it is wrong by so many milliseconds, at each moment.
    pub fn set_by(self, error: &'static AtomicI64) -> Self {
        Self { error: Some(error), ..self }
    }

    /// Returns the time of day.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the system's clock")]
    pub fn now(&self) -> SystemTime {
        let right = match self.virtual_start {
            Some((start, instant)) => start + instant.elapsed(),
            None => SystemTime::now(),
        };
        let error = self.error.map_or(0, |error| error.load(Ordering::Relaxed));
        let by = Duration::from_millis(error.unsigned_abs());
        if error < 0 { right - by } else { right + by }
    }

    /// Returns the time of day as a timestamp, in whole milliseconds.
    pub fn timestamp(&self) -> Timestamp {
        let since = self.now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_steady_clock_does_not_jump_where_the_systems_is_set() {
        let clock = Clock::system().steady();
        let before = clock.timestamp();
        // The system's date stays where it is meanwhile, as where somebody sets it back by an hour.
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert_eq!(clock.timestamp().duration_since(before), jiff::SignedDuration::from_hours(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_is_set_jumps_and_a_steady_one_made_of_it_does_not() {
        static ERROR: AtomicI64 = AtomicI64::new(0);
        let right = Clock::tokio();
        let clock = right.set_by(&ERROR);
        let steady = clock.steady();
        ERROR.store(-60_000, Ordering::Relaxed);
        assert_eq!(clock.now() + Duration::from_secs(60), right.now());
        assert_eq!(steady.now(), right.now());
    }
}
