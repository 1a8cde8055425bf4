//! Exactly-once writes without idempotency tokens: after a lost answer, the state is read before the write is sent again.
//!
//! RegisterTaskDefinition and UpdateService have no idempotency token, so neither is ever repeated blindly. A call that AWS
//! refused before acting is sent again at once.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

use crate::aws::error::{CallError, Kind};
use crate::aws::permit::Permit;
use crate::engine::retry::{self, Unread, backoff};

/// How often a write is sent at most after lost answers. A throttled write is sent until its deadline.
const ATTEMPTS: u32 = 8;
/// A write whose answer was lost may still be under way: the state is read after each of these waits.
const VERIFY_DELAYS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(3)];
/// Where nothing may be sent any more, whether a write whose answer was lost took effect is read for so long.
const LAST_LOOK: Duration = Duration::from_secs(10);
/// A write without an idempotency token.
pub trait Write: Sync {
    /// What it comes to.
    type Answer: Send;

    /// Sends it once, unless the permit is over before, and returns AWS's answer.
    fn send(&self, permit: &Permit) -> impl Future<Output = Result<Self::Answer, CallError>> + Send;

    /// Reads whether it took effect after an answer that was lost, and returns what `send` would have.
    fn took_effect(&self) -> impl Future<Output = Result<Option<Self::Answer>, CallError>> + Send;
}

/// Sends a write until it is answered or the permit is over. No wait for another send outlasts the permit; where an answer was
/// lost, the state is still read after each of the usual waits, and what did not take effect by then ends as
/// [`Kind::Withdrawn`].
pub async fn carry_out<W: Write>(write: &W, permit: &Permit) -> Result<W::Answer, CallError> {
    let (mut lost, mut put_off) = (0, 0);
    loop {
        let error = match write.send(permit).await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        match error.kind {
            Kind::Unknown => {
                for wait in VERIFY_DELAYS {
                    // A read is no write: what takes effect late is seen though the permit is over.
                    tokio::time::sleep(wait).await;
                    let last = Instant::now() + LAST_LOOK;
                    let until =
                        permit.deadline().filter(|_| !permit.is_over()).map_or(last, |deadline| deadline.max(last));
                    match retry::read(until, || write.took_effect()).await {
                        Ok(Some(answer)) => return Ok(answer),
                        Ok(None) => {}
                        Err(blind) => return Err(unread(error, &blind)),
                    }
                }
                if permit.is_over() {
                    return Err(CallError { kind: Kind::Withdrawn, ..error });
                }
                lost += 1;
                if lost == ATTEMPTS {
                    return Err(error);
                }
            }
            _ if error.kind == Kind::Throttled || is_race(&error) => {
                put_off += 1;
                if permit.hold(tokio::time::sleep(backoff(put_off))).await.is_none() {
                    return Err(CallError { kind: Kind::Withdrawn, ..error });
                }
            }
            _ => return Err(error),
        }
    }
}

/// The error of a write whose answer was lost, and of which it could not be read whether it took effect: it may have.
fn unread(lost: CallError, blind: &Unread) -> CallError {
    let message = format!("{}; whether it took effect could not be read: {blind:#}", lost.message);
    CallError { message, ..lost }
}

/// Whether ECS refused because two revisions of one family were registered at the same moment. It says so with a
/// ClientException, which the SDK does not repeat.
fn is_race(error: &CallError) -> bool {
    error.message.contains("Too many concurrent attempts")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use serde_json::{Value, json};

    use super::*;

    /// Fails with `error` until it has been sent `works_at` times; `took_effect` is what a look after a lost answer finds.
    struct Script {
        error: CallError,
        works_at: u32,
        took_effect: Option<Value>,
        /// So many looks are put off.
        blind: u32,
        sent: AtomicU32,
        looked: AtomicU32,
    }

    impl Script {
        fn new(kind: Kind, message: &str, works_at: u32) -> Self {
            let error = CallError::plain("UpdateService", kind, message);
            Self { error, works_at, took_effect: None, blind: 0, sent: AtomicU32::new(0), looked: AtomicU32::new(0) }
        }
    }

    fn soon() -> Permit {
        Permit::default().with_deadline(Instant::now() + Duration::from_secs(600))
    }

    impl Write for Script {
        type Answer = Value;

        async fn send(&self, _: &Permit) -> Result<Value, CallError> {
            let sent = self.sent.fetch_add(1, Ordering::Relaxed) + 1;
            if sent < self.works_at { Err(self.error.clone()) } else { Ok(json!(sent)) }
        }

        async fn took_effect(&self) -> Result<Option<Value>, CallError> {
            if self.looked.fetch_add(1, Ordering::Relaxed) < self.blind {
                return Err(CallError::plain("DescribeServices", Kind::Throttled, "Rate exceeded"));
            }
            Ok(self.took_effect.clone())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_answer_is_looked_up_and_not_sent_again() {
        let write = Script { took_effect: Some(json!("done")), ..Script::new(Kind::Unknown, "reset", 99) };
        assert_eq!(carry_out(&write, &soon()).await.expect("done"), json!("done"));
        assert_eq!(write.sent.into_inner(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_that_is_put_off_is_taken_later() {
        let write = Script { took_effect: Some(json!("done")), blind: 5, ..Script::new(Kind::Unknown, "reset", 99) };
        assert_eq!(carry_out(&write, &soon()).await.expect("done"), json!("done"));
        assert_eq!((write.sent.into_inner(), write.looked.into_inner()), (1, 6));
        let write = Script { blind: u32::MAX, ..Script::new(Kind::Unknown, "reset", 99) };
        let error = carry_out(&write, &soon()).await.expect_err("never");
        assert_eq!((error.operation, error.kind), ("UpdateService", Kind::Unknown), "it may have taken effect");
        let says = "reset; whether it took effect could not be read: DescribeServices: Rate exceeded";
        assert_eq!(error.message, says);
    }

    #[tokio::test(start_paused = true)]
    async fn what_never_arrived_is_sent_again_after_looking() {
        let write = Script::new(Kind::Unknown, "timeout", 3);
        assert_eq!(carry_out(&write, &soon()).await.expect("the third"), json!(3));
        assert_eq!(write.looked.into_inner(), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn throttling_and_races_are_repeated_and_refusals_are_not() {
        for (kind, message, sends) in [
            (Kind::Throttled, "Rate exceeded", 2),
            (Kind::Refused, "Too many concurrent attempts to create a new revision", 2),
            (Kind::Refused, "TaskDefinition is inactive", 1),
            (Kind::Denied, "no", 1),
        ] {
            let write = Script::new(kind, message, 2);
            assert_eq!(carry_out(&write, &soon()).await.is_ok(), sends == 2, "{message}");
            assert_eq!((write.sent.into_inner(), write.looked.into_inner()), (sends, 0), "{message}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_is_given_up_after_some_lost_answers_or_at_its_deadline() {
        let write = Script::new(Kind::Unknown, "timeout", 99);
        assert!(carry_out(&write, &soon()).await.is_err());
        assert_eq!(write.sent.into_inner(), ATTEMPTS);
        let (write, permit) = (Script::new(Kind::Throttled, "Rate exceeded", 99), soon());
        assert!(carry_out(&write, &permit).await.is_err());
        assert!(
            Some(Instant::now()) <= permit.deadline().map(|end| end + Duration::from_millis(1))
                && write.sent.into_inner() > ATTEMPTS
        );
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_sent_again_once_the_permit_is_over() {
        // After a lost answer the state is still read, for the four seconds in which it may take effect.
        for (kind, millis) in [(Kind::Throttled, 600), (Kind::Unknown, 4_000)] {
            let (write, permit) = (Script::new(kind, "no answer", 9), Permit::default());
            let withdraw = async {
                tokio::time::sleep(Duration::from_millis(600)).await;
                permit.withdraw();
            };
            let start = Instant::now();
            let (answer, ()) = tokio::join!(carry_out(&write, &permit), withdraw);
            assert_eq!(answer.expect_err("withdrawn").kind, Kind::Withdrawn, "{kind:?}");
            assert_eq!((write.sent.into_inner(), start.elapsed().as_millis()), (1, millis), "{kind:?}");
        }
    }

    /// A write whose answer is lost, and which takes effect two seconds after it was sent.
    struct Late(Instant);

    impl Write for Late {
        type Answer = Value;

        async fn send(&self, _: &Permit) -> Result<Value, CallError> {
            Err(CallError::plain("UpdateService", Kind::Unknown, "reset"))
        }

        async fn took_effect(&self) -> Result<Option<Value>, CallError> {
            Ok((self.0.elapsed() >= Duration::from_secs(2)).then(|| json!("done")))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_takes_effect_late_is_seen_though_the_permit_is_over() {
        let permit = Permit::default().with_deadline(Instant::now());
        assert_eq!(carry_out(&Late(Instant::now()), &permit).await.expect("done"), json!("done"));
    }
}
