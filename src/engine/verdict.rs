//! What a look at a service says of our deployment: pure, so that every case is a table row in a test.
//!
//! Success is our own deployment, complete and PRIMARY. A completed PRIMARY that is not ours is a rollback or somebody
//! else's deployment, never success.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use crate::observe::progress::Progress;
use crate::observe::service::{Deployment, LiveService};

/// How long a state that ECS may still correct is not believed: a FAILED before its rollback shows, a COMPLETED whose
/// service deployment still says IN_PROGRESS (they are written a second or two apart), and what ran before as PRIMARY
/// without a word of ours, which is what a look shows that lags behind UpdateService.
const SETTLE: Duration = Duration::from_secs(30);

/// What is followed, and what was learned of it so far.
#[derive(Clone, Debug)]
pub struct Followed {
    /// Our deployment's id, once ECS has shown it.
    pub ours: Option<String>,
    /// The ARN that it deploys.
    wanted: String,
    /// The ARN that the service had before.
    from: String,
    /// The deployments that the service had before.
    before: Vec<String>,
    /// ECS's words about our failure, kept from the look at which they were first there.
    pub why: Option<String>,
    /// When ECS says that ours began.
    began: Option<Timestamp>,
    /// What [`SETTLE`] doubts, and since when it has been so.
    doubted: Option<(Doubt, Duration)>,
    /// Whether ECS was asked to roll it back: a failure is not the end of it.
    returns: bool,
}

/// What may be so only for the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doubt {
    /// Our deployment is over.
    Over,
    /// Our deployment is gone, and what ran before is PRIMARY.
    Gone,
}

/// What to do after a look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Look again.
    Wait,
    /// ECS is returning to what ran before: look again until it is there.
    RollingBack,
    /// Our deployment completed.
    Succeeded,
    /// Our deployment failed and stays.
    Failed(String),
    /// Our deployment failed and the service is back on what ran before.
    RolledBack,
    /// Our deployment failed, and so did the return to what ran before.
    Stuck(String),
    /// Somebody else's deployment took the place of ours.
    Superseded(String),
}

impl Followed {
    /// Starts following the deployment of `wanted` on a service that had `from` and the deployments `before`.
    pub fn new(wanted: String, from: String, before: Vec<String>) -> Self {
        Self { ours: None, wanted, from, before, why: None, began: None, doubted: None, returns: false }
    }

    /// Starts following the return from a deployment that ECS rolls back, to one of `before`.
    pub fn returning(deployment: String, wanted: String, from: String, before: Vec<String>) -> Self {
        Self { ours: Some(deployment), returns: true, ..Self::new(wanted, from, before) }
    }

    /// Returns the ARN that it deploys.
    pub fn wanted(&self) -> &str {
        &self.wanted
    }

    /// Starts following a deployment of `wanted` that is under way already, beside the deployments `before`.
    pub fn attached(deployment: String, wanted: String, before: Vec<String>) -> Self {
        Self { ours: Some(deployment), ..Self::new(wanted.clone(), wanted, before) }
    }

    /// Takes in which deployment is ours, by a look at the service: what else is there, unless it is the PRIMARY, is older.
    pub fn bind(&mut self, ours: String, service: &LiveService) {
        let is_primary = service.primary().is_some_and(|primary| primary.id == ours);
        let older = service.deployments.iter().filter(|it| it.id != ours && (is_primary || it.status != "PRIMARY"));
        self.before.extend(older.map(|it| it.id.clone()));
        self.ours = Some(ours);
    }

    /// Judges a look at the service, `elapsed` after the start, with ECS's service-deployment object where it answers.
    pub fn judge(&mut self, service: &LiveService, object: Option<&Value>, elapsed: Duration) -> Verdict {
        if service.status != "ACTIVE" {
            return Verdict::Failed(format!("the service is {}: somebody is deleting it", service.status));
        }
        let Some(primary) = service.primary() else { return Verdict::Wait };
        if self.ours.is_none() {
            // The new revision of a deployment with stages need not be PRIMARY at once, and one that failed is not any more.
            let may = |it: &&Deployment| it.id == primary.id || service.has_stages() || it.is("FAILED");
            let is_new = |it: &&Deployment| it.task_definition == self.wanted && !self.before.contains(&it.id);
            let shown = std::iter::once(primary).chain(&service.deployments).filter(may).find(is_new);
            if let Some(ours) = shown.map(|it| it.id.clone()) {
                self.bind(ours, service);
            }
        }
        let Some(ours) = self.ours.clone() else {
            return if self.before.contains(&primary.id) { Verdict::Wait } else { superseded(primary) };
        };
        let mine = service.deployment(&ours);
        self.began = mine.and_then(|mine| mine.created).or(self.began);
        if let (None, Some(mine)) = (&self.why, mine)
            && mine.is("FAILED")
        {
            self.why.clone_from(&mine.rollout_reason);
        }
        let status = own_status(object, &ours);
        if primary.id == ours {
            return self.judge_own(primary, service, status, elapsed);
        }
        let goes_on = match status {
            Some(status) => matches!(status, "PENDING" | "IN_PROGRESS"),
            None => mine.is_some_and(|mine| mine.is("IN_PROGRESS")),
        };
        if goes_on && service.has_stages() && self.before.contains(&primary.id) {
            return Verdict::Wait;
        }
        if let Some(other) = self.newer(primary, service) {
            return superseded(other);
        }
        let failed = self.why.is_some() || service.says_failed(&ours);
        let told = failed || mine.is_some() || status.is_some();
        let returned = self.before.contains(&primary.id)
            || (primary.is_return() && (told || self.returns))
            || (primary.task_definition == self.from && self.from != self.wanted && failed);
        if !returned {
            return superseded(primary);
        }
        if self.why.is_none() && primary.is_return() {
            self.why.clone_from(&primary.rollout_reason);
        }
        if !told && self.why.is_none() && !self.settled(Doubt::Gone, elapsed) {
            return Verdict::Wait;
        }
        match state(primary, service) {
            State::Completed => Verdict::RolledBack,
            State::Failed => Verdict::Stuck(words(primary, "the return to what ran before failed")),
            State::InProgress => Verdict::RollingBack,
        }
    }

    /// Returns somebody else's deployment that began after ours and that ECS has gone back from by now.
    fn newer<'a>(&self, primary: &Deployment, service: &'a LiveService) -> Option<&'a Deployment> {
        let is_newer = |it: &&Deployment| self.began.is_some() && it.created > self.began;
        let may = |it: &&Deployment| it.id != primary.id && it.task_definition != self.from;
        service.deployments.iter().filter(may).find(is_newer)
    }

    /// Whether what is doubted has been so for long enough.
    fn settled(&mut self, doubt: Doubt, elapsed: Duration) -> bool {
        let since = self.doubted.filter(|(last, _)| *last == doubt).map_or(elapsed, |(_, since)| since);
        self.doubted = Some((doubt, since));
        elapsed.saturating_sub(since) >= SETTLE
    }

    fn judge_own(
        &mut self,
        primary: &Deployment,
        service: &LiveService,
        status: Option<&str>,
        elapsed: Duration,
    ) -> Verdict {
        let state = state(primary, service);
        // How `deployments` shows the rollback of a deployment with stages is not documented: its own object may be ahead.
        let state = match (state, status) {
            (State::InProgress, Some("STOPPED" | "ROLLBACK_FAILED" | "ROLLBACK_SUCCESSFUL"))
                if service.has_stages() =>
            {
                State::Completed
            }
            (state, _) => state,
        };
        let settled = match state {
            State::InProgress => false,
            State::Completed | State::Failed => self.settled(Doubt::Over, elapsed),
        };
        match (state, status) {
            (State::InProgress, _) => {
                self.doubted = None;
                Verdict::Wait
            }
            (State::Completed, Some("PENDING" | "IN_PROGRESS")) if !settled => Verdict::Wait,
            (State::Completed, Some("STOP_REQUESTED" | "ROLLBACK_REQUESTED" | "ROLLBACK_IN_PROGRESS")) => {
                Verdict::RollingBack
            }
            (State::Completed, Some("STOPPED")) => Verdict::Failed("the deployment was stopped".to_owned()),
            (State::Completed, Some("ROLLBACK_FAILED")) => Verdict::Stuck("ECS could not roll back".to_owned()),
            (State::Completed, Some("ROLLBACK_SUCCESSFUL")) if !settled => Verdict::RollingBack,
            (State::Completed, Some("ROLLBACK_SUCCESSFUL")) => Verdict::RolledBack,
            (State::Completed, _) => Verdict::Succeeded,
            (State::Failed, Some("STOPPED")) => Verdict::Failed(words(primary, "ECS says that the deployment failed")),
            (State::Failed, Some("ROLLBACK_FAILED")) => Verdict::Stuck("ECS could not roll back".to_owned()),
            (State::Failed, _) if (service.rolls_back() || self.returns) && !settled => Verdict::RollingBack,
            (State::Failed, _) => Verdict::Failed(words(primary, "ECS says that the deployment failed")),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    InProgress,
    Completed,
    Failed,
}

/// Reads a deployment's state. Where ECS gives none (Classic load balancer), it is complete once it is alone and full.
fn state(deployment: &Deployment, service: &LiveService) -> State {
    match deployment.rollout_state.as_deref() {
        Some("COMPLETED") => State::Completed,
        Some("FAILED") => State::Failed,
        Some(_) => State::InProgress,
        None => {
            let tasks = deployment.tasks;
            let full = tasks.running == tasks.desired && tasks.pending == 0;
            if full && service.deployments.len() == 1 { State::Completed } else { State::InProgress }
        }
    }
}

/// Returns the status of the service-deployment object if it is surely ours.
fn own_status<'a>(object: Option<&'a Value>, ours: &str) -> Option<&'a str> {
    object.filter(|object| Progress::is_of(object, ours))?["status"].as_str()
}

fn superseded(primary: &Deployment) -> Verdict {
    let revision = primary.revision().map_or_else(|| primary.task_definition.clone(), |revision| revision.to_string());
    Verdict::Superseded(format!("another deployment, {} of {revision}, took its place", primary.id))
}

fn words(deployment: &Deployment, otherwise: &str) -> String {
    deployment.rollout_reason.clone().unwrap_or_else(|| otherwise.to_owned()).trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn followed() -> Followed {
        Followed::new("td/api:2".into(), "td/api:1".into(), vec!["ecs-svc/1".into()])
    }

    fn deployment(id: u32, status: &str, definition: u32, state: &str) -> Value {
        json!({
            "id": format!("ecs-svc/{id}"), "status": status, "taskDefinition": format!("td/api:{definition}"),
            "rolloutState": state, "rolloutStateReason": format!("{state} of {id}."),
            "desiredCount": 2, "runningCount": 2,
        })
    }

    fn service(deployments: &[Value]) -> LiveService {
        LiveService::read(&json!({ "status": "ACTIVE", "serviceName": "api", "deployments": deployments }))
    }

    fn rolls_back(deployments: &[Value]) -> LiveService {
        let breaker = json!({ "deploymentCircuitBreaker": { "enable": true, "rollback": true } });
        LiveService::read(&json!({
            "status": "ACTIVE", "deployments": deployments, "deploymentConfiguration": breaker,
        }))
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn success_is_our_own_deployment_complete_and_primary() {
        let mut followed = followed();
        let old = deployment(1, "ACTIVE", 1, "COMPLETED");
        let look = service(&[deployment(2, "PRIMARY", 2, "IN_PROGRESS"), old]);
        assert_eq!(followed.judge(&look, None, at(1)), Verdict::Wait);
        let look = service(&[deployment(2, "PRIMARY", 2, "COMPLETED")]);
        assert_eq!(followed.judge(&look, None, at(2)), Verdict::Succeeded);
    }

    #[test]
    fn a_primary_that_stays_old_is_not_success() {
        let look = service(&[deployment(1, "PRIMARY", 1, "COMPLETED")]);
        assert_eq!(followed().judge(&look, None, at(600)), Verdict::Wait);
    }

    #[test]
    fn the_old_id_back_as_primary_is_a_rollback() {
        let mut followed = followed();
        followed.ours = Some("ecs-svc/2".into());
        let failed = deployment(2, "ACTIVE", 2, "FAILED");
        let look = service(&[deployment(1, "PRIMARY", 1, "IN_PROGRESS"), failed]);
        assert_eq!(followed.judge(&look, None, at(1)), Verdict::RollingBack);
        assert_eq!(followed.why.as_deref(), Some("FAILED of 2."));
        let look = service(&[deployment(1, "PRIMARY", 1, "COMPLETED")]);
        assert_eq!(followed.judge(&look, None, at(2)), Verdict::RolledBack);
    }

    #[test]
    fn a_rollback_of_a_forced_deployment_of_the_same_revision_is_told_by_its_id() {
        let mut followed = Followed::new("td/api:1".into(), "td/api:1".into(), vec!["ecs-svc/1".into()]);
        followed.ours = Some("ecs-svc/2".into());
        let look = service(&[deployment(1, "PRIMARY", 1, "COMPLETED"), deployment(2, "DRAINING", 1, "FAILED")]);
        assert_eq!(followed.judge(&look, None, at(1)), Verdict::RolledBack);
    }

    #[test]
    fn a_look_from_before_our_deployment_is_no_rollback_however_often_it_comes() {
        let mut followed = followed();
        let (old, new) = (deployment(1, "PRIMARY", 1, "COMPLETED"), deployment(2, "PRIMARY", 2, "IN_PROGRESS"));
        let both = service(&[new, deployment(1, "ACTIVE", 1, "COMPLETED")]);
        assert_eq!(followed.judge(&both, None, at(0)), Verdict::Wait, "UpdateService's answer");
        for state in ["COMPLETED", "FAILED", "IN_PROGRESS"] {
            let stale = service(&[deployment(1, "PRIMARY", 1, state)]);
            assert_eq!(followed.judge(&stale, None, at(1)), Verdict::Wait, "{state}");
            assert_eq!(followed.judge(&both, None, at(40)), Verdict::Wait);
            assert_eq!(followed.judge(&stale, None, at(41)), Verdict::Wait, "{state} once more");
        }
        let done = service(&[deployment(2, "PRIMARY", 2, "COMPLETED")]);
        assert_eq!(followed.clone().judge(&done, None, at(42)), Verdict::Succeeded);
        let failed = rolls_back(&[deployment(2, "PRIMARY", 2, "FAILED")]);
        assert_eq!(followed.clone().judge(&failed, None, at(80)), Verdict::RollingBack, "another doubt");
        assert_eq!(followed.judge(&service(&[old]), None, at(71)), Verdict::RolledBack, "it stays so");
    }

    #[test]
    fn what_is_told_of_our_deployment_is_believed_at_once() {
        let look = service(&[deployment(1, "PRIMARY", 1, "COMPLETED")]);
        let gone = || Followed { ours: Some("ecs-svc/2".into()), ..followed() };
        assert_eq!(gone().judge(&look, None, at(1)), Verdict::Wait);
        assert_eq!(gone().judge(&look, Some(&object("ROLLBACK_SUCCESSFUL")), at(1)), Verdict::RolledBack);
        let mut back = deployment(1, "PRIMARY", 1, "IN_PROGRESS");
        back["rolloutStateReason"] = json!("ECS deployment circuit breaker: rolling back to deploymentId ecs-svc/1.");
        let mut followed = gone();
        assert_eq!(followed.judge(&service(&[back]), None, at(1)), Verdict::RollingBack);
        assert_eq!(followed.judge(&look, None, at(2)), Verdict::RolledBack);
    }

    #[test]
    fn one_that_failed_before_it_was_seen_is_ours_all_the_same() {
        let (back, failed) = (deployment(1, "PRIMARY", 1, "IN_PROGRESS"), deployment(2, "ACTIVE", 2, "FAILED"));
        let mut followed = followed();
        assert_eq!(followed.judge(&service(&[back, failed]), None, at(1)), Verdict::RollingBack);
        assert_eq!((followed.ours.as_deref(), followed.why.as_deref()), (Some("ecs-svc/2"), Some("FAILED of 2.")));
        let back = service(&[deployment(1, "PRIMARY", 1, "COMPLETED")]);
        assert_eq!(followed.judge(&back, None, at(2)), Verdict::RolledBack);
    }

    #[test]
    fn a_rollback_between_two_looks_is_told_by_ecs_messages_about_ours() {
        let message = |number: u32| {
            let text = format!("(service api) (deployment ecs-svc/{number}) deployment failed: tasks failed to start.");
            json!([{ "id": "1", "message": text }])
        };
        let look = |number: u32| {
            LiveService::read(&json!({ "status": "ACTIVE", "events": message(number),
                "deployments": [deployment(1, "PRIMARY", 1, "COMPLETED")] }))
        };
        let gone = || Followed { ours: Some("ecs-svc/2".into()), ..followed() };
        assert_eq!(gone().judge(&look(2), None, at(1)), Verdict::RolledBack);
        assert_eq!(gone().judge(&look(22), None, at(1)), Verdict::Wait, "another one failed once");
    }

    #[test]
    fn a_strangers_failure_that_ecs_rolls_back_is_not_ours() {
        let dated = |mut deployment: Value, at: u32| {
            deployment["createdAt"] = json!(at);
            deployment
        };
        let back = || {
            let mut back = deployment(1, "PRIMARY", 1, "IN_PROGRESS");
            back["rolloutStateReason"] =
                json!("ECS deployment circuit breaker: rolling back to deploymentId ecs-svc/1.");
            dated(back, 100)
        };
        let (ours, stranger) = (deployment(2, "PRIMARY", 2, "IN_PROGRESS"), deployment(3, "ACTIVE", 7, "FAILED"));
        let text = "another deployment, ecs-svc/3 of api:7, took its place";
        let mut followed = followed();
        assert_eq!(followed.judge(&service(&[dated(ours.clone(), 200)]), None, at(1)), Verdict::Wait);
        let look = service(&[back(), dated(stranger.clone(), 300)]);
        assert_eq!(followed.clone().judge(&look, None, at(2)), Verdict::Superseded(text.into()));
        let older = service(&[back(), dated(stranger, 150)]);
        assert_eq!(followed.judge(&older, None, at(2)), Verdict::RollingBack, "it began before ours");
        // What is gone back to is not one that the service listed before: ECS says that it is the return, and ours is there.
        let mut unknown = Followed::new("td/api:2".into(), "td/api:9".into(), vec!["ecs-svc/9".into()]);
        assert_eq!(unknown.judge(&service(&[ours]), None, at(1)), Verdict::Wait);
        assert!(matches!(unknown.clone().judge(&service(&[back()]), None, at(2)), Verdict::Superseded(_)));
        let look = service(&[back(), deployment(2, "DRAINING", 2, "IN_PROGRESS")]);
        assert_eq!(unknown.judge(&look, None, at(2)), Verdict::RollingBack);
    }

    #[test]
    fn a_strangers_deployment_that_ours_replaced_does_not_supersede_it() {
        let mut followed = followed();
        let stranger = deployment(7, "PRIMARY", 5, "COMPLETED");
        let look = service(&[deployment(8, "PRIMARY", 2, "IN_PROGRESS"), deployment(7, "ACTIVE", 5, "COMPLETED")]);
        assert_eq!(followed.judge(&look, None, at(0)), Verdict::Wait);
        assert_eq!(followed.judge(&service(&[stranger]), None, at(1)), Verdict::Wait);
    }

    #[test]
    fn a_rollback_that_fails_is_stuck() {
        let mut followed = followed();
        followed.ours = Some("ecs-svc/2".into());
        let look = service(&[deployment(1, "PRIMARY", 1, "FAILED"), deployment(2, "ACTIVE", 2, "FAILED")]);
        assert_eq!(followed.judge(&look, None, at(1)), Verdict::Stuck("FAILED of 1".into()));
    }

    #[test]
    fn a_failure_waits_for_its_rollback_only_where_one_will_come() {
        let failed = [deployment(2, "PRIMARY", 2, "FAILED"), deployment(1, "ACTIVE", 1, "COMPLETED")];
        assert_eq!(followed().judge(&service(&failed), None, at(1)), Verdict::Failed("FAILED of 2".into()));
        let mut followed = followed();
        assert_eq!(followed.judge(&rolls_back(&failed), None, at(1)), Verdict::RollingBack);
        assert_eq!(followed.judge(&rolls_back(&failed), None, at(32)), Verdict::Failed("FAILED of 2".into()));
    }

    #[test]
    fn a_stranger_as_primary_supersedes() {
        let mut followed = followed();
        followed.ours = Some("ecs-svc/2".into());
        let look = service(&[deployment(3, "PRIMARY", 3, "COMPLETED")]);
        let text = "another deployment, ecs-svc/3 of api:3, took its place";
        assert_eq!(followed.judge(&look, None, at(1)), Verdict::Superseded(text.into()));
        assert_eq!(super::tests::followed().judge(&look, None, at(1)), Verdict::Superseded(text.into()));
    }

    #[test]
    fn somebody_who_deploys_what_ran_before_supersedes_and_ecs_after_a_failure_rolls_back() {
        let back = service(&[deployment(3, "PRIMARY", 1, "COMPLETED")]);
        let mut followed = followed();
        followed.ours = Some("ecs-svc/2".into());
        assert!(matches!(followed.clone().judge(&back, None, at(2)), Verdict::Superseded(_)));
        let failed = deployment(2, "ACTIVE", 2, "FAILED");
        let look = service(&[deployment(3, "PRIMARY", 1, "IN_PROGRESS"), failed]);
        assert_eq!(followed.judge(&look, None, at(1)), Verdict::RollingBack);
        assert_eq!(followed.judge(&back, None, at(2)), Verdict::RolledBack);
    }

    #[test]
    fn a_service_that_is_deleted_fails() {
        let look = LiveService::read(&json!({ "status": "DRAINING" }));
        assert!(matches!(followed().judge(&look, None, at(1)), Verdict::Failed(_)));
    }

    #[test]
    fn the_service_deployment_decides_only_where_it_is_ours() {
        let look = service(&[deployment(2, "PRIMARY", 2, "COMPLETED")]);
        let object = |number: u32, status: &str| json!({ "status": status, "targetServiceRevision": { "arn": format!("arn:x:service-revision/c/s/{number}") } });
        for (object, verdict) in [
            (object(2, "SUCCESSFUL"), Verdict::Succeeded),
            (object(2, "IN_PROGRESS"), Verdict::Wait),
            (object(2, "STOPPED"), Verdict::Failed("the deployment was stopped".into())),
            (object(2, "ROLLBACK_IN_PROGRESS"), Verdict::RollingBack),
            (object(1, "ROLLBACK_SUCCESSFUL"), Verdict::Succeeded),
            (json!({ "status": "STOPPED" }), Verdict::Succeeded),
        ] {
            assert_eq!(followed().judge(&look, Some(&object), at(1)), verdict, "{object}");
        }
    }

    fn staged(deployments: &[Value]) -> LiveService {
        let configuration = json!({ "strategy": "BLUE_GREEN" });
        LiveService::read(&json!({
            "status": "ACTIVE", "deployments": deployments, "deploymentConfiguration": configuration,
        }))
    }

    fn object(status: &str) -> Value {
        json!({ "status": status, "targetServiceRevision": { "arn": "arn:x:service-revision/c/s/2" } })
    }

    #[test]
    fn a_new_revision_with_stages_may_become_primary_late() {
        let (old, new) = (deployment(1, "PRIMARY", 1, "COMPLETED"), deployment(2, "ACTIVE", 2, "IN_PROGRESS"));
        for object in [Some(object("IN_PROGRESS")), None] {
            let mut followed = followed();
            let look = staged(&[old.clone(), new.clone()]);
            assert_eq!(followed.judge(&look, object.as_ref(), at(1)), Verdict::Wait);
            assert_eq!(followed.ours.as_deref(), Some("ecs-svc/2"));
            let look = staged(&[deployment(2, "PRIMARY", 2, "COMPLETED")]);
            assert_eq!(followed.judge(&look, None, at(2)), Verdict::Succeeded);
        }
        let mut followed = followed();
        assert_eq!(followed.judge(&service(&[old.clone(), new.clone()]), None, at(1)), Verdict::Wait);
        assert_eq!(followed.ours, None, "ROLLING has it PRIMARY at once");
        followed.ours = Some("ecs-svc/2".into());
        let back = followed.judge(&staged(&[old, new]), Some(&object("ROLLBACK_SUCCESSFUL")), at(2));
        assert_eq!(back, Verdict::RolledBack);
    }

    #[test]
    fn the_service_deployment_of_a_strategy_may_know_its_end_first() {
        let look = staged(&[deployment(2, "PRIMARY", 2, "IN_PROGRESS"), deployment(1, "ACTIVE", 1, "COMPLETED")]);
        for (status, soon, late) in [
            ("IN_PROGRESS", Verdict::Wait, Verdict::Wait),
            ("ROLLBACK_IN_PROGRESS", Verdict::Wait, Verdict::Wait),
            ("ROLLBACK_SUCCESSFUL", Verdict::RollingBack, Verdict::RolledBack),
            ("STOPPED", stopped(), stopped()),
        ] {
            let mut followed = followed();
            assert_eq!(followed.judge(&look, Some(&object(status)), at(1)), soon, "{status}");
            assert_eq!(followed.judge(&look, Some(&object(status)), at(40)), late, "{status}");
        }
        let failed = staged(&[deployment(2, "PRIMARY", 2, "FAILED")]);
        assert_eq!(followed().judge(&failed, Some(&object("ROLLBACK_REQUESTED")), at(1)), Verdict::RollingBack);
        assert_eq!(followed().judge(&failed, Some(&object("STOPPED")), at(1)), Verdict::Failed("FAILED of 2".into()));
    }

    fn stopped() -> Verdict {
        Verdict::Failed("the deployment was stopped".into())
    }

    #[test]
    fn without_a_rollout_state_completeness_is_counted() {
        let bare = |id: u32, status: &str, definition: u32, running: u32| {
            let mut value = deployment(id, status, definition, "");
            value.as_object_mut().expect("an object").remove("rolloutState");
            value["runningCount"] = json!(running);
            value
        };
        let mut followed = followed();
        let both = service(&[bare(2, "PRIMARY", 2, 2), bare(1, "ACTIVE", 1, 1)]);
        assert_eq!(followed.judge(&both, None, at(1)), Verdict::Wait);
        assert_eq!(followed.judge(&service(&[bare(2, "PRIMARY", 2, 1)]), None, at(2)), Verdict::Wait);
        assert_eq!(followed.judge(&service(&[bare(2, "PRIMARY", 2, 2)]), None, at(3)), Verdict::Succeeded);
    }
}
