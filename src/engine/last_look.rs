//! A deadline, and the look of after it that has the last word.

use std::time::Duration;

use tokio::time::Instant;

/// So long the last look may take: what has completed is no failure for want of an answer.
const LONGEST: Duration = Duration::from_secs(10);

/// Whether a deadline was noticed to have passed. The process may have stood still for longer than until then, so the time
/// for the last look begins when that is noticed.
#[derive(Debug, Default)]
pub struct LastLook {
    until: Option<Instant>,
}

impl LastLook {
    /// Whether the deadline was noticed: a look that is asked for from now on is the last one.
    pub fn is_due(&self) -> bool {
        self.until.is_some()
    }

    /// Waits for `deadline`, and returns true: the last look is to be asked for. From then on it waits until there is no time
    /// left for that look, and returns false.
    pub async fn next(&mut self, deadline: Instant) -> bool {
        match self.until {
            None => {
                tokio::time::sleep_until(deadline).await;
                self.until = Some(Instant::now() + LONGEST);
                true
            }
            Some(until) => {
                tokio::time::sleep_until(until).await;
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_time_for_the_last_look_begins_when_the_deadline_is_noticed() {
        for stands_still in [0, 5, 3_600] {
            let mut last = LastLook::default();
            let deadline = Instant::now() + Duration::from_secs(1);
            tokio::time::advance(Duration::from_secs(1 + stands_still)).await;
            assert!(!last.is_due() && last.next(deadline).await && last.is_due(), "{stands_still}");
            let noticed = Instant::now();
            assert!(!last.next(deadline).await, "{stands_still}");
            assert_eq!(noticed.elapsed(), LONGEST, "after {stands_still} s");
        }
    }
}
