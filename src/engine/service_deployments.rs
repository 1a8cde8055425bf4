//! Optional data of DescribeServiceDeployments, which adds details to a snapshot. It is left out while the API is denied or
//! failing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::aws::ecs::{DEPLOYMENTS_PER_CALL, Ecs};
use crate::aws::error::{CallError, Kind};
use crate::base::arn;
use crate::engine::timing::POLL_INTERVAL;

/// The longest time for which an API that did not answer is left alone.
const LONGEST: Duration = Duration::from_secs(30);

/// What the service-deployment API says of a service's current deployment: nothing where it was not asked.
#[derive(Clone, Debug, Default)]
pub struct ServiceDeployment {
    /// The object.
    value: Option<Arc<Value>>,
    /// Why there is none, where ECS was asked and did not answer.
    pub unread: Option<Arc<CallError>>,
}

impl ServiceDeployment {
    /// Returns the object, where there is one.
    pub fn as_deref(&self) -> Option<&Value> {
        self.value.as_deref()
    }
}

/// The service-deployment API of an account and region, as one poller finds it.
#[derive(Debug, Default)]
pub struct ServiceDeploymentReader {
    answers: Mutex<Answers>,
}

/// Whether a service deployment is of a deployment: the number of its target revision is that deployment's, which AWS shows
/// and does not promise.
pub fn is_of(brief: &Value, deployment: &str) -> bool {
    brief["targetServiceRevisionArn"].as_str().is_some_and(|revision| arn::name(revision) == arn::name(deployment))
}

/// How the API answered lately.
#[derive(Debug, Default)]
struct Answers {
    /// Why it did not, the last time.
    error: Option<Arc<CallError>>,
    /// How often in a row it did not.
    lost: u32,
    /// Before when it is not asked again.
    again: Option<Instant>,
    /// It is not there for us, and is not asked any more.
    off: bool,
}

impl ServiceDeploymentReader {
    /// Reads objects by their ARNs. Each has an entry: the object, or why it could not be read.
    pub async fn read(&self, ecs: &Ecs, arns: &[String], now: Instant) -> BTreeMap<String, ServiceDeployment> {
        let mut objects = BTreeMap::new();
        for arns in arns.chunks(DEPLOYMENTS_PER_CALL) {
            if self.answers().may_be_asked(now) {
                let names: Vec<&str> = arns.iter().map(String::as_str).collect();
                match ecs.describe_service_deployments(&names).await {
                    Ok(described) => {
                        *self.answers() = Answers::default();
                        objects.extend(described.into_iter().filter_map(|object| {
                            let arn = object["serviceDeploymentArn"].as_str()?.to_owned();
                            Some((arn, ServiceDeployment { value: Some(Arc::new(object)), unread: None }))
                        }));
                    }
                    Err(error) => self.answers().failed(error, now),
                }
            }
            let unread = self.answers().error.clone();
            for arn in arns {
                objects.entry(arn.clone()).or_insert_with(|| ServiceDeployment { value: None, unread: unread.clone() });
            }
        }
        objects
    }

    fn answers(&self) -> MutexGuard<'_, Answers> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Answers {
    fn may_be_asked(&self, now: Instant) -> bool {
        !self.off && self.again.is_none_or(|again| again <= now)
    }

    /// Whether it is not there for good is AWS's to say; anything else may pass.
    fn failed(&mut self, error: CallError, now: Instant) {
        let absent = error.is("UnsupportedFeatureException") || error.is("UnknownOperationException");
        self.off = error.kind == Kind::Denied || absent;
        self.lost += 1;
        self.again = Some(now + (POLL_INTERVAL * 2_u32.saturating_pow(self.lost)).min(LONGEST));
        self.error = Some(Arc::new(error));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(kind: Kind, code: &str) -> CallError {
        CallError { code: Some(code.to_owned()), ..CallError::plain("DescribeServiceDeployments", kind, "no") }
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_aws_says_is_not_there_is_not_asked_again() {
        let now = Instant::now();
        for (kind, code, again) in [
            (Kind::Unknown, "ServiceUnavailableException", true),
            (Kind::Throttled, "ThrottlingException", true),
            (Kind::Expired, "ExpiredTokenException", true),
            (Kind::NotSent, "", true),
            (Kind::Refused, "ClusterNotFoundException", true),
            (Kind::Refused, "UnsupportedFeatureException", false),
            (Kind::Refused, "UnknownOperationException", false),
            (Kind::Denied, "AccessDeniedException", false),
        ] {
            let mut answers = Answers::default();
            assert!(answers.may_be_asked(now), "{kind:?}");
            for _ in 0..40 {
                answers.failed(error(kind, code), now);
                assert!(!answers.may_be_asked(now + POLL_INTERVAL), "{code}");
            }
            assert_eq!(answers.may_be_asked(now + LONGEST), again, "{code}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_lost_is_asked_for_two_looks_later() {
        let (mut answers, now) = (Answers::default(), Instant::now());
        answers.failed(error(Kind::Unknown, "ServerException"), now);
        assert!(answers.may_be_asked(now + 2 * POLL_INTERVAL));
    }
}
