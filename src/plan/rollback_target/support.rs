//! What speaks for a revision having run, where ECS's service deployments cannot be read: the service's messages from the time
//! when it was its family's newest revision, and its tags.
//!
//! Pure. A message names a deployment and no revision; that a deployment completed while a revision was the newest one is
//! taken to be about that revision.

use std::fmt;

use jiff::Timestamp;

use crate::observe::family::Known;
use crate::observe::service::{LiveService, Message};

/// What speaks for a revision. As text it names no time, so that it is the same in every account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HealthEvidence {
    /// A deployment of the service completed while it was the newest one.
    Completed,
    /// The service was steady while it was the newest one.
    Steady,
    /// A run registered it for a commit or in a pipeline, and nothing says that it failed.
    Registered(String),
}

impl fmt::Display for HealthEvidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Completed => f.write_str("a deployment of the service completed while it was the newest revision"),
            Self::Steady => f.write_str("the service reached a steady state while it was the newest revision"),
            Self::Registered(what) => write!(f, "its tags say that it was registered for {what}"),
        }
    }
}

/// What is known of whether a revision ran.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WasHealthy {
    /// This speaks for it.
    Yes(HealthEvidence),
    /// A deployment failed, or none completed, while it was the newest one.
    No,
    /// Nothing is known.
    Unknown,
}

/// Says what is known of whether a service ran a revision.
pub fn ran(service: &LiveService, revision: &Known) -> WasHealthy {
    let tagged = || match (revision.commit.short_sha(), &revision.commit.pipeline) {
        (Some(sha), _) => WasHealthy::Yes(HealthEvidence::Registered(format!("the commit {sha}"))),
        (None, Some(pipeline)) => WasHealthy::Yes(HealthEvidence::Registered(format!("the pipeline {pipeline}"))),
        (None, None) => WasHealthy::Unknown,
    };
    let (Some(from), Some(until)) = (revision.registered_at, revision.until) else { return tagged() };
    // Oldest first, as they were said.
    let said: Vec<(Timestamp, &Message)> =
        service.messages.iter().rev().filter_map(|message| Some((message.at?, message))).collect();
    let mut returned: Vec<&str> = Vec::new();
    let (mut failed, mut steady) = (false, false);
    for (at, message) in &said {
        let (then, text) = ((from..until).contains(at), message.text.as_str());
        if let Some(deployment) = message.returned_to() {
            returned.push(deployment);
            failed |= then;
        } else if let Some(deployment) = completed(text) {
            // A deployment that is returned to completes again, and says nothing of what failed meanwhile.
            if then && !returned.contains(&deployment) {
                return WasHealthy::Yes(HealthEvidence::Completed);
            }
        } else if then {
            failed |= text.contains("deployment failed");
            steady |= !failed && text.ends_with("has reached a steady state.");
        }
    }
    // ECS keeps the last hundred messages: if they reach that far, their silence is evidence too.
    let complete = said.first().is_some_and(|(at, _)| *at <= from);
    match (steady, failed || complete) {
        (true, _) => WasHealthy::Yes(HealthEvidence::Steady),
        (false, true) => WasHealthy::No,
        (false, false) => tagged(),
    }
}

/// Returns the deployment of `(service S) (deployment ecs-svc/N) deployment completed.`
fn completed(text: &str) -> Option<&str> {
    let (about, _) = text.split_once(") deployment completed")?;
    about.rsplit_once("(deployment ").map(|(_, deployment)| deployment)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::fleet::Commit;

    /// A service that said these things, at these seconds, the oldest first.
    fn service(said: &[(i64, &str)]) -> LiveService {
        let event =
            |(at, text): &(i64, &str)| json!({ "id": text, "createdAt": at, "message": format!("(service s) {text}") });
        let events: Vec<Value> = said.iter().rev().map(event).collect();
        LiveService::read(&json!({ "status": "ACTIVE", "events": events }))
    }

    /// A revision that was the newest from 100 to 200.
    fn revision(sha: Option<&str>) -> Known {
        let at = |second| Timestamp::from_second(second).ok();
        let commit = Commit { sha: sha.map(str::to_owned), ..Commit::default() };
        Known { arn: "td/s:1".to_owned(), registered_at: at(100), until: at(200), commit }
    }

    const DONE: &str = "(deployment ecs-svc/1) deployment completed.";
    const FAILED: &str = "(deployment ecs-svc/2) deployment failed: tasks failed to start.";
    const BACK: &str = "rolling back to deployment ecs-svc/1.";
    const STEADY: &str = "has reached a steady state.";

    #[test]
    fn what_the_service_said_while_it_was_the_newest_tells() {
        let completed = WasHealthy::Yes(HealthEvidence::Completed);
        for (said, expected) in [
            (&[(150, DONE), (150, STEADY)][..], completed.clone()),
            (&[(50, "x"), (120, FAILED), (160, DONE)], completed),
            (&[(150, STEADY)], WasHealthy::Yes(HealthEvidence::Steady)),
            // It failed, and what completed then is what was returned to.
            (&[(120, FAILED), (121, BACK), (150, DONE), (151, STEADY)], WasHealthy::No),
            (&[(90, DONE), (210, DONE)], WasHealthy::No),
            (&[(210, DONE)], WasHealthy::Unknown),
            (&[], WasHealthy::Unknown),
        ] {
            assert_eq!(ran(&service(said), &revision(None)), expected, "{said:?}");
        }
    }

    #[test]
    fn tags_speak_for_it_where_messages_are_silent() {
        let tagged = WasHealthy::Yes(HealthEvidence::Registered("the commit 5f2c9d7b".to_owned()));
        let known = revision(Some("5f2c9d7be0a14c3f"));
        assert_eq!(ran(&service(&[(210, DONE)]), &known), tagged);
        assert_eq!(ran(&service(&[(120, FAILED)]), &known), WasHealthy::No);
        assert_eq!(ran(&service(&[(90, DONE), (210, DONE)]), &known), WasHealthy::No, "no deployment completed then");
        assert_eq!(ran(&service(&[(150, DONE)]), &Known { until: None, ..known }), tagged, "the time is not known");
    }
}
