//! How a service stands while its deployment does not get on: its tasks, since when they wait, and what ECS said last.

use std::time::Duration;

use tokio::time::Instant;

use crate::engine::evidence::general_message;
use crate::event::Evidence;
use crate::fleet::tasks::Tasks;
use crate::observe::service::LiveService;

/// How a service stands.
#[derive(Debug, Default)]
pub struct Standing {
    /// The counts of the deployment that is PRIMARY.
    tasks: Tasks,
    /// Since when some of its tasks are PENDING, and none more runs.
    waits: Option<(Instant, u32)>,
    /// ECS's newest message.
    last: Option<String>,
    /// Whether the deployment circuit breaker is on.
    breaker: Option<bool>,
}

impl Standing {
    /// Takes in a look at the service.
    pub fn observe(&mut self, service: &LiveService, now: Instant) {
        self.tasks = service.primary().map(|primary| primary.tasks).unwrap_or_default();
        let since = self.waits.filter(|(_, running)| *running == self.tasks.running).map_or(now, |(since, _)| since);
        self.waits = (self.tasks.pending > 0).then_some((since, self.tasks.running));
        self.last = service.messages.first().map(|message| general_message(&message.text));
        self.breaker = (service.controller == "ECS").then_some(service.breaker);
    }

    /// Says how its tasks stand, after what that is about: `not complete within 20s: 2 tasks PENDING for 19s`.
    pub fn words(&self, about: &str, now: Instant) -> Evidence {
        let Tasks { desired, running, .. } = self.tasks;
        let run = || Evidence::from(format!("{about}: {running} of {desired} tasks run"));
        let Some((since, _)) = self.waits else { return run() };
        let long = now.saturating_duration_since(since);
        let long = humantime::format_duration(Duration::from_secs(long.as_secs()));
        let tasks = crate::base::text::count(self.tasks.pending.try_into().unwrap_or(usize::MAX), "task");
        let text = format!("{about}: {tasks} PENDING for {long}");
        Evidence { cause: Some(format!("{about}: tasks stay PENDING")), ..text.into() }
    }

    /// Returns what else explains why it does not get on.
    pub fn evidence(&self) -> Vec<Evidence> {
        let last = self.last.iter().map(|text| format!("ECS's last event: {text}").into());
        let pending = self.waits.map(|_| {
            "a task is PENDING while ECS attaches its network and fetches its image and secrets".to_owned().into()
        });
        let breaker = self.breaker.map(|on| match on {
            true => "the deployment circuit breaker is on",
            false => "the deployment circuit breaker is off: ECS does not end a deployment whose tasks fail",
        });
        last.chain(pending).chain(breaker.map(|text| text.to_owned().into())).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn observe_tasks(standing: &mut Standing, running: u32, pending: u32, now: Instant) {
        let primary = json!({ "id": "ecs-svc/2", "status": "PRIMARY", "desiredCount": 2, "runningCount": running,
                              "pendingCount": pending });
        let events = json!([{ "id": "2", "message": "(service api) has started 2 tasks: (task 0123456789abcdef)." },
                            { "id": "1", "message": "(service api) has reached a steady state." }]);
        let service = json!({ "status": "ACTIVE", "deployments": [primary], "events": events,
                              "deploymentConfiguration": { "deploymentCircuitBreaker": { "enable": false } } });
        standing.observe(&LiveService::read(&service), now);
    }

    #[test]
    fn tasks_that_stay_pending_are_told_with_their_time() {
        let (mut standing, start) = (Standing::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        observe_tasks(&mut standing, 0, 0, at(0));
        assert_eq!(standing.words("late", at(0)).text, "late: 0 of 2 tasks run");
        observe_tasks(&mut standing, 0, 2, at(1));
        observe_tasks(&mut standing, 0, 2, at(15));
        let words = standing.words("late", at(20));
        assert_eq!(
            (words.text.as_str(), words.cause.as_deref()),
            ("late: 2 tasks PENDING for 19s", Some("late: tasks stay PENDING"))
        );
        observe_tasks(&mut standing, 1, 1, at(20));
        assert_eq!(standing.words("late", at(25)).text, "late: 1 task PENDING for 5s", "another one has started");
        observe_tasks(&mut standing, 2, 0, at(26));
        assert_eq!(standing.words("late", at(30)).text, "late: 2 of 2 tasks run");
        let told: Vec<String> = standing.evidence().into_iter().map(|evidence| evidence.text).collect();
        assert!(told[0].starts_with("ECS's last event: has started 2 tasks"), "{told:?}");
        assert!(told[1].contains("circuit breaker is off"), "{told:?}");
    }
}
