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
pub const CONFIRM_AFTER: Duration = Duration::from_secs(30);

/// What is followed, and what was learned of it so far.
#[derive(Clone, Debug)]
pub struct DeploymentTracker {
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
    /// What [`CONFIRM_AFTER`] doubts, and since when it has been so.
    doubted: Option<(Unconfirmed, Duration)>,
    /// Whether ECS was asked to roll it back: a failure is not the end of it.
    returns: bool,
}

/// What may be so only for the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unconfirmed {
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

impl DeploymentTracker {
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

    /// Records from a snapshot which deployment is ours. Any other one is older, unless it is the PRIMARY.
    pub fn bind(&mut self, ours: String, service: &LiveService) {
        let is_primary = service.primary().is_some_and(|primary| primary.id == ours);
        let older = service.deployments.iter().filter(|it| it.id != ours && (is_primary || it.status != "PRIMARY"));
        self.before.extend(older.map(|it| it.id.clone()));
        self.ours = Some(ours);
    }

    /// Judges a snapshot of the service, `elapsed` after the start, with ECS's service-deployment object where it answers.
    pub fn judge(&mut self, service: &LiveService, object: Option<&Value>, elapsed: Duration) -> Verdict {
        if let Some(ending) = service.ending() {
            return Verdict::Failed(ending);
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
            || (failed && service.says_returned_to(&primary.id))
            || (primary.task_definition == self.from && self.from != self.wanted && failed);
        if !returned {
            return superseded(primary);
        }
        // Once it is complete, ECS says no more that it is a return.
        if !self.before.contains(&primary.id) {
            self.before.push(primary.id.clone());
        }
        if self.why.is_none() && primary.is_return() {
            self.why.clone_from(&primary.rollout_reason);
        }
        if !told && self.why.is_none() && !self.settled(Unconfirmed::Gone, elapsed) {
            return Verdict::Wait;
        }
        match state(primary, service) {
            State::Completed => Verdict::RolledBack,
            State::Failed => Verdict::Stuck(words(primary, "the rollback failed")),
            State::InProgress => Verdict::RollingBack,
        }
    }

    /// Returns somebody else's deployment that began after ours and that ECS has rolled back by now.
    fn newer<'a>(&self, primary: &Deployment, service: &'a LiveService) -> Option<&'a Deployment> {
        let is_newer = |it: &&Deployment| self.began.is_some() && it.created > self.began;
        let may = |it: &&Deployment| it.id != primary.id && it.task_definition != self.from;
        service.deployments.iter().filter(may).find(is_newer)
    }

    /// Whether what is doubted has been so for long enough.
    fn settled(&mut self, doubt: Unconfirmed, elapsed: Duration) -> bool {
        let since = self.doubted.filter(|(last, _)| *last == doubt).map_or(elapsed, |(_, since)| since);
        self.doubted = Some((doubt, since));
        elapsed.saturating_sub(since) >= CONFIRM_AFTER
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
            State::Completed | State::Failed => self.settled(Unconfirmed::Over, elapsed),
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
mod tests;
