//! A run that has no session any more sees nothing, and may not wait for what it cannot see.
//!
//! A session that AWS renews for nobody (the ID token is over) is no passing fault: it is said at once, and after a minute, in which
//! a token's file could have been renewed, what is under way is left to ECS.

use std::time::Duration;

use tokio::time::Instant;

use crate::aws::error::{CallError, Kind};
use crate::engine::context::Run;
use crate::event::{Event, Reason};
use crate::fleet::TargetSpec;

/// How long no session may be had before a target is left to ECS.
const PATIENCE: Duration = Duration::from_secs(60);

/// Since when a target is not seen for want of a session.
#[derive(Debug, Default)]
pub struct Blind(Option<Instant>);

impl Blind {
    /// Takes in that ECS answered.
    pub fn sees(&mut self) {
        self.0 = None;
    }

    /// Takes in why it did not; returns whether there is no use in waiting.
    pub fn misses(&mut self, error: &CallError, now: Instant) -> bool {
        match error.kind {
            Kind::NoSession => now >= *self.0.get_or_insert(now) + PATIENCE,
            _ => false,
        }
    }

    /// Says how a target ends that is left to ECS.
    pub fn reason(error: &CallError) -> Reason {
        Reason {
            summary: format!("the session is lost, so it cannot be read: {error:#}"),
            help: Some("ECS goes on; run `deploy` again, in a job with a new token, to follow it".to_owned()),
            ..Reason::default()
        }
    }
}

impl Run {
    /// Says, once, that there is no session any more.
    pub(super) async fn lost_session(&self, target: &TargetSpec, error: &CallError) {
        if error.kind == Kind::NoSession && !self.blind.swap(true, std::sync::atomic::Ordering::Relaxed) {
            let (account, reason) = (target.account.name.clone(), format!("{error:#}"));
            self.emit(Event::SessionLost { account, reason }).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_a_minute_without_any_session_is_the_end() {
        let error = |kind| CallError::plain("DescribeServices", kind, "no");
        let (now, mut blind) = (Instant::now(), Blind::default());
        let at = |seconds: u64| now + Duration::from_secs(seconds);
        assert!(!blind.misses(&error(Kind::NoSession), at(0)));
        assert!(!blind.misses(&error(Kind::NoSession), at(59)));
        // Something else is wrong meanwhile: that is no session.
        assert!(!blind.misses(&error(Kind::Unknown), at(61)));
        assert!(blind.misses(&error(Kind::NoSession), at(61)));
        blind.sees();
        assert!(!blind.misses(&error(Kind::NoSession), at(100)));
        assert!(!blind.misses(&error(Kind::Expired), at(300)), "AWS ended a session that is renewed");
    }
}
