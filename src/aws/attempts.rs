//! The attempts at a call to ECS that may be repeated.
//!
//! The SDK's own retries count a throttled attempt like one that met an outage, and take both from one allowance of the
//! account: many reads at once in a busy account would use up each other's attempts. Here throttling costs no attempt. Who
//! is throttled takes its place in the queue of its group again, which is slower by then.

use std::time::Duration;

use tokio::time::Instant;

use crate::aws::credentials::Signer;
use crate::aws::error::{CallError, Kind};
use crate::aws::timing::{ATTEMPT_TIMEOUT, OPERATION_TIMEOUT, THROTTLED_TIMEOUT};

/// How long the second attempt waits; each later one waits twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// The attempts at one call.
#[derive(Debug)]
pub struct Attempts {
    /// So many may fail without an answer or with one that says that AWS is out of order.
    most: u32,
    since: Instant,
    failed: u32,
    throttled: u32,
    /// How often AWS refused the time of a signature.
    mistimed: u32,
    /// How often AWS had ended the session.
    expired: u32,
    signer: Signer,
}

impl Attempts {
    /// Begins a call that may be tried so often. The signer is an interceptor of it.
    pub fn new(most: u32, signer: Signer) -> Self {
        Self { most, since: Instant::now(), failed: 0, throttled: 0, mistimed: 0, expired: 0, signer }
    }

    /// A call that is sent once: a later one takes its place.
    pub fn once(signer: Signer) -> Self {
        Self::new(1, signer)
    }

    /// Returns who signs the call.
    pub fn signer(&self) -> Signer {
        self.signer.clone()
    }

    /// Begins the time of the call with its first attempt: how long it waited for its turn before that does not count.
    pub fn begin(&mut self) {
        if self.number() == 1 {
            self.since = Instant::now();
        }
    }

    /// Returns the number of the attempt that is under way, from 1.
    pub fn number(&self) -> u32 {
        self.failed + self.throttled + self.mistimed + self.expired + 1
    }

    /// Returns how long the call has been tried by now.
    pub fn elapsed(&self) -> Duration {
        self.since.elapsed()
    }

    /// Whether what failed is tried again; waits until it may be.
    pub async fn again(&mut self, error: &CallError) -> bool {
        let (elapsed, is_once) = (self.since.elapsed(), self.most == 1);
        match error.kind {
            Kind::Throttled if !is_once && elapsed < THROTTLED_TIMEOUT => {
                self.throttled += 1;
                true
            }
            Kind::Unknown => {
                self.failed += 1;
                let wait = FIRST_WAIT.saturating_mul(1 << (self.failed - 1).min(10));
                let end = if self.throttled == 0 { OPERATION_TIMEOUT } else { THROTTLED_TIMEOUT };
                if self.failed >= self.most || elapsed + wait + ATTEMPT_TIMEOUT > end {
                    return false;
                }
                tokio::time::sleep(wait).await;
                true
            }
            Kind::Expired if self.expired == 0 && self.signer.give_up(error) => {
                self.expired += 1;
                true
            }
            // The SDK takes AWS's time from any answer, and signs the next call by that.
            _ if error.is_mistimed() && self.mistimed == 0 => {
                self.mistimed += 1;
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::credentials::{AccountCredentials, Renewal};
    use crate::aws::{Credentials, ProvideCredentials, credentials_future};

    fn error(kind: Kind) -> CallError {
        CallError::plain("DescribeServices", kind, "")
    }

    /// Fails attempts in turn with these kinds until one is the last; returns how many there were, and the seconds.
    async fn made(most: u32, kinds: &[Kind]) -> (u32, u64) {
        let (began, mut attempts) = (Instant::now(), Attempts::new(most, Signer::default()));
        for kind in kinds.iter().cycle() {
            tokio::time::sleep(Duration::from_secs(1)).await;
            if !attempts.again(&error(*kind)).await {
                break;
            }
        }
        (attempts.failed + attempts.throttled, began.elapsed().as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn throttling_costs_time_and_no_attempt() {
        assert_eq!(made(6, &[Kind::Throttled]).await, (119, 120));
        let mixed = made(3, &[Kind::Throttled, Kind::Throttled, Kind::Throttled, Kind::Unknown]).await;
        assert_eq!(mixed, (12, 13));
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_has_so_many_attempts_and_waits_longer_each_time() {
        assert_eq!(made(6, &[Kind::Unknown]).await, (6, 21));
        assert_eq!(made(2, &[Kind::Unknown]).await, (2, 2));
        // No attempt begins that could not end within the time of one call.
        assert_eq!(made(60, &[Kind::Unknown]).await.1, 21);
    }

    #[tokio::test(start_paused = true)]
    async fn the_wait_for_its_first_turn_takes_no_time_of_a_call() {
        for kind in [Kind::Throttled, Kind::Unknown] {
            let mut attempts = Attempts::new(6, Signer::default());
            tokio::time::sleep(THROTTLED_TIMEOUT).await;
            attempts.begin();
            assert!(attempts.again(&error(kind)).await, "{kind:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_signature_of_a_wrong_time_is_made_once_more() {
        let mistimed = CallError {
            code: Some("InvalidSignatureException".to_owned()),
            ..CallError::plain("DescribeServices", Kind::Refused, "Signature expired: 20261102T070000Z is now earlier")
        };
        for mut attempts in [Attempts::once(Signer::default()), Attempts::new(6, Signer::default())] {
            assert!(attempts.again(&mistimed).await);
            assert_eq!(attempts.number(), 2);
            assert!(!attempts.again(&mistimed).await);
        }
        let other = CallError { message: "The request signature does not match".to_owned(), ..mistimed };
        assert!(!Attempts::new(6, Signer::default()).again(&other).await);
    }

    /// Sessions of which another one is to be had, or none.
    #[derive(Clone, Debug)]
    struct Sessions(bool);

    impl ProvideCredentials for Sessions {
        fn provide_credentials<'a>(&'a self) -> credentials_future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            credentials_future::ProvideCredentials::ready(Ok(Credentials::new("AKIA", "secret", None, None, "test")))
        }
    }

    impl Renewal for Sessions {
        fn give_up(&self, _: &str) -> bool {
            self.0
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_whose_session_aws_ended_is_made_once_more_if_there_is_another_session() {
        let signer = |others| AccountCredentials::renewed(Sessions(others)).signer();
        for mut attempts in [Attempts::once(signer(true)), Attempts::new(6, signer(true))] {
            assert!(attempts.again(&error(Kind::Expired)).await);
            assert_eq!(attempts.number(), 2);
            assert!(!attempts.again(&error(Kind::Expired)).await);
        }
        assert!(!Attempts::new(6, signer(false)).again(&error(Kind::Expired)).await);
        assert!(!Attempts::new(6, signer(true)).again(&error(Kind::Denied)).await);
    }

    #[tokio::test(start_paused = true)]
    async fn what_aws_refuses_or_is_sent_once_is_not_tried_again() {
        for kind in [Kind::Denied, Kind::Expired, Kind::Refused, Kind::NotSent, Kind::NoSession, Kind::Withdrawn] {
            assert!(!Attempts::new(6, Signer::default()).again(&error(kind)).await, "{kind:?}");
        }
        for kind in [Kind::Throttled, Kind::Unknown] {
            assert!(!Attempts::once(Signer::default()).again(&error(kind)).await, "{kind:?}");
        }
    }
}
