//! A write whose answer may be lost: carried out once, however often it has to be sent.
//!
//! RegisterTaskDefinition and UpdateService have no idempotency token, so neither is ever repeated blindly. What AWS
//! refused before acting is sent again; where it is not known whether AWS acted, the state is read first.

use std::time::Duration;

use serde_json::Value;

use crate::aws::error::{CallError, Kind};

/// How often a write is sent at the most.
const ATTEMPTS: u32 = 8;
/// A write whose answer was lost may still be under way: the state is read after each of these waits.
const LATE: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(3)];
/// The longest wait between attempts.
const LONGEST: Duration = Duration::from_secs(20);

/// Sends `send` until it is answered. After an answer that was lost, `landed` reads whether it took effect, and returns
/// what `send` would have.
pub async fn write(
    send: impl AsyncFn() -> Result<Value, CallError>,
    landed: impl AsyncFn() -> Result<Option<Value>, CallError>,
) -> Result<Value, CallError> {
    let mut attempt = 1;
    loop {
        let error = match send().await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        match error.kind {
            Kind::Unknown => {
                for wait in LATE {
                    tokio::time::sleep(wait).await;
                    if let Some(answer) = landed().await? {
                        return Ok(answer);
                    }
                }
            }
            Kind::Throttled => tokio::time::sleep(backoff(attempt)).await,
            _ if is_race(&error) => tokio::time::sleep(backoff(attempt)).await,
            Kind::Denied | Kind::Expired | Kind::Refused | Kind::NotSent => return Err(error),
        }
        if attempt == ATTEMPTS {
            return Err(error);
        }
        attempt += 1;
    }
}

/// Whether ECS refused because two revisions of one family were registered at the same moment. It says so with a
/// ClientException, which the SDK does not repeat.
fn is_race(error: &CallError) -> bool {
    error.message.contains("Too many concurrent attempts")
}

fn backoff(attempt: u32) -> Duration {
    Duration::from_millis(500).saturating_mul(1 << attempt.min(10)).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use serde_json::json;

    use super::*;

    fn error(kind: Kind, message: &str) -> CallError {
        CallError::plain("UpdateService", kind, message)
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_answer_is_looked_up_and_not_sent_again() {
        let sent = Cell::new(0);
        let answer = write(
            async || {
                sent.set(sent.get() + 1);
                Err(error(Kind::Unknown, "reset"))
            },
            async || Ok(Some(json!("landed"))),
        );
        assert_eq!(answer.await.expect("landed"), json!("landed"));
        assert_eq!(sent.get(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn what_never_arrived_is_sent_again_after_looking() {
        let (sent, looked) = (Cell::new(0), Cell::new(0));
        let answer = write(
            async || {
                sent.set(sent.get() + 1);
                if sent.get() < 3 { Err(error(Kind::Unknown, "timeout")) } else { Ok(json!(sent.get())) }
            },
            async || {
                looked.set(looked.get() + 1);
                Ok(None)
            },
        );
        assert_eq!(answer.await.expect("the third"), json!(3));
        assert_eq!(looked.get(), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn throttling_and_races_are_repeated_and_refusals_are_not() {
        for (first, sends) in [
            (error(Kind::Throttled, "Rate exceeded"), 2),
            (error(Kind::Refused, "Too many concurrent attempts to create a new revision"), 2),
            (error(Kind::Refused, "TaskDefinition is inactive"), 1),
            (error(Kind::Denied, "no"), 1),
        ] {
            let sent = Cell::new(0);
            let result = write(
                async || {
                    sent.set(sent.get() + 1);
                    if sent.get() == 1 { Err(first.clone()) } else { Ok(json!(null)) }
                },
                async || unreachable!("nothing was lost"),
            );
            assert_eq!((result.await.is_ok(), sent.get()), (sends == 2, sends), "{first}");
        }
    }
}
