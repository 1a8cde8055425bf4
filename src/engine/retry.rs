//! A read that is repeated for as long as AWS puts it off.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

use crate::aws::error::{CallError, Kind};

/// The longest wait between attempts.
const MAX_BACKOFF: Duration = Duration::from_secs(20);

/// So often a read that AWS refuses for its session is put off: each call asks for another session itself.
const ENDED: u32 = 3;

/// Why something could not be read.
#[derive(Debug)]
pub enum Unread {
    /// AWS refused.
    Refused(CallError),
    /// There was no answer in time; the error of the last one that was no answer.
    Late(Option<CallError>),
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) | Self::Late(Some(error)) => error.fmt(f),
            Self::Late(None) => f.write_str("no answer in time"),
        }
    }
}

/// Reads for as long as AWS puts the read off, until the deadline and no longer: not to know is no reason to give up.
pub async fn read<T, F>(deadline: Instant, call: impl Fn() -> F) -> Result<T, Unread>
where
    F: Future<Output = Result<T, CallError>>,
{
    let (mut put_off, mut last) = (0, None);
    loop {
        match tokio::time::timeout_at(deadline, call()).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) if error.is_transient() => last = Some(error),
            // The next session may last longer.
            Ok(Err(error)) if error.kind == Kind::Expired && put_off < ENDED => last = Some(error),
            Ok(Err(error)) => return Err(Unread::Refused(error)),
            Err(_) => return Err(Unread::Late(last)),
        }
        put_off += 1;
        let wait = backoff(put_off);
        if Instant::now() + wait > deadline {
            return Err(Unread::Late(last));
        }
        tokio::time::sleep(wait).await;
    }
}

/// Returns how long the next attempt waits.
pub fn backoff(attempt: u32) -> Duration {
    Duration::from_millis(500).saturating_mul(1 << attempt.min(10)).min(MAX_BACKOFF)
}
