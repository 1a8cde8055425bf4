//! A target so far: what its events add up to.

use std::sync::Arc;

use jiff::Timestamp;

use crate::event::Reason;
use crate::fleet::tasks::Tasks;
use crate::fleet::{AccountId, Outcome, Portal, Revision, TargetId};
use crate::plan::outline::{Action, ChangeOutline};
use crate::state::{Phase, Rollback, Stages, TaskRun, milliseconds};

/// A target so far.
#[derive(Clone, Debug, PartialEq)]
pub struct TargetState {
    /// The target.
    pub target: TargetId,
    /// Its account's id.
    pub account_id: AccountId,
    /// Its cluster's name or ARN.
    pub cluster: String,
    /// The service's name in ECS.
    pub service: String,
    /// The name of its wave.
    pub wave: String,
    /// What the plan does with it.
    pub action: Action,
    /// How far it is.
    pub phase: Phase,
    /// How its rollout ended; see [`TargetState::outcome`] for what counts.
    pub ended: Option<Outcome>,
    /// The revision that it ran before.
    pub from: Option<Revision>,
    /// The revision that it gets, once that is known.
    pub to: Option<Revision>,
    /// The revision that it ran when its rollout ended, where that is known.
    pub runs: Option<Revision>,
    /// ECS's id of its deployment.
    pub deployment: Option<String>,
    /// Whether that deployment was already under way.
    pub attached: bool,
    /// The newest task counts of the deployment.
    pub tasks: Option<Tasks>,
    /// The stages of its deployment, where it has stages, and the PAUSE hooks at which it waits or waited.
    pub stages: Stages,
    /// The tasks of its `before` and `after` that were run for it, the newest last.
    pub run_tasks: Vec<TaskRun>,
    /// The task that runs for another target and for which it waits, or waited.
    pub waits_for: Option<String>,
    /// ECS's newest words about it.
    pub message: Option<String>,
    /// Why it did not succeed, or why it was not started.
    pub reason: Option<Reason>,
    /// What was seen when it degraded during its wave's bake.
    pub degraded: Option<Reason>,
    /// The target whose failure kept this one from starting, or had it rolled back.
    pub cause: Option<TargetId>,
    /// Its rollback, under way or over.
    pub rollback: Option<Rollback>,
    /// How its rollback ended, where it had succeeded first.
    pub rollback_outcome: Option<Outcome>,
    /// Why it was not rolled back, although it should have been, after it had succeeded.
    pub rollback_impossible: Option<String>,
    /// When its rollout began.
    pub started_at: Option<Timestamp>,
    /// When its revision was there.
    pub registered_at: Option<Timestamp>,
    /// When ECS started its deployment.
    pub deployed_at: Option<Timestamp>,
    /// When it ended or was skipped.
    pub finished_at: Option<Timestamp>,
    /// When that rollback ended.
    pub rolled_back_at: Option<Timestamp>,
    /// What the plan changes, a line each, without values of environment variables.
    pub changes: Vec<String>,
    /// The access portal through which links lead to its account.
    pub portal: Option<Arc<Portal>>,
}

impl TargetState {
    pub(super) fn new(change: &ChangeOutline, at: Timestamp) -> Self {
        let unchanged = change.action == Action::Unchanged;
        Self {
            target: change.target.clone(),
            account_id: change.account_id.clone(),
            cluster: change.cluster.clone(),
            service: change.service.clone(),
            wave: change.wave.clone(),
            action: change.action.clone(),
            phase: if unchanged { Phase::Ended } else { Phase::Waiting },
            ended: unchanged.then_some(Outcome::Unchanged),
            from: change.from.clone(),
            to: change.to.clone(),
            runs: change.from.clone().filter(|_| unchanged),
            deployment: None,
            attached: false,
            tasks: None,
            stages: Stages::default(),
            run_tasks: Vec::new(),
            waits_for: None,
            message: None,
            reason: None,
            degraded: None,
            cause: None,
            rollback: None,
            rollback_outcome: None,
            rollback_impossible: None,
            started_at: None,
            registered_at: None,
            deployed_at: None,
            finished_at: unchanged.then_some(at),
            rolled_back_at: None,
            changes: change.summary.clone(),
            portal: None,
        }
    }

    pub(super) fn finish(&mut self, outcome: Outcome, at: Timestamp) {
        self.phase = Phase::Ended;
        self.ended = Some(outcome);
        self.finished_at = Some(at);
        if !self.goes_on() {
            self.stages.finish(at);
        }
    }

    /// Returns what counts: how its rollout ended, [`Outcome::Failed`] when it degraded afterwards, or how its
    /// rollback after that ended.
    pub fn outcome(&self) -> Option<Outcome> {
        match (self.rollback_outcome, self.ended) {
            (Some(rolled_back), _) => Some(rolled_back),
            (None, Some(Outcome::Succeeded | Outcome::Unchanged)) if self.degraded.is_some() => Some(Outcome::Failed),
            (None, ended) => ended,
        }
    }

    /// Returns why it failed, was rolled back or was not started.
    pub fn why(&self) -> Option<&Reason> {
        match self.rollback_outcome {
            Some(_) => self.reason.as_ref(),
            None => self.degraded.as_ref().or(self.reason.as_ref()),
        }
    }

    /// Returns the revision that is being deployed: the wanted one, or the one that it is rolled back to.
    pub fn deploys(&self) -> Option<&Revision> {
        match &self.rollback {
            Some(rollback) => rollback.to.as_ref(),
            None => self.to.as_ref(),
        }
    }

    /// Returns the revision that was registered for it, where it ended before a deployment of that was begun.
    pub fn unused(&self) -> Option<&Revision> {
        let is_unused = matches!(self.outcome(), Some(Outcome::NotStarted | Outcome::Cancelled));
        self.to.as_ref().filter(|_| is_unused && self.registered_at.is_some() && self.deployed_at.is_none())
    }

    /// Whether the plan blocked it and no event says more.
    pub fn is_blocked(&self) -> bool {
        self.ended.is_none() && matches!(self.action, Action::Blocked { .. })
    }

    /// Whether its rollout is under way.
    pub fn is_running(&self) -> bool {
        match self.phase {
            Phase::Preparing | Phase::Registered | Phase::Deploying | Phase::RollingBack => true,
            Phase::Waiting | Phase::Ended => false,
        }
    }

    /// Whether tasks of the deployment that is under way fail to start.
    pub fn is_failing(&self) -> bool {
        self.is_running() && self.tasks.is_some_and(|tasks| tasks.failed > 0)
    }

    /// Returns the task of its `before` or `after` that runs now.
    pub fn runs_task(&self) -> Option<&TaskRun> {
        self.run_tasks.last().filter(|task| task.ended.is_none() && self.is_running())
    }

    /// Whether its deployment completed without a task, since its desired count is 0: nothing is known of the revision.
    pub fn ran_no_task(&self) -> bool {
        let none = self.tasks.is_some_and(|tasks| tasks.desired == 0 && tasks.running == 0);
        none && self.deployment.is_some() && self.outcome() == Some(Outcome::Succeeded)
    }

    /// Whether its deployment may still go on in ECS although the run left it. Of one that was out of time before ECS had
    /// begun a deployment, nothing does.
    pub fn goes_on(&self) -> bool {
        match self.outcome() {
            Some(Outcome::TimedOut) => self.deployment.is_some(),
            outcome => outcome == Some(Outcome::Detached),
        }
    }

    /// Whether its deployment was left waiting at a PAUSE hook.
    pub fn is_paused(&self) -> bool {
        self.goes_on() && self.stages.waits().next().is_some()
    }

    /// Returns the milliseconds of its rollout, up to `now` while it is under way; `None` when it was never started.
    pub fn elapsed_ms(&self, now: Option<Timestamp>) -> Option<u64> {
        // A rollback after the end has a time of its own: hours may lie between.
        if let (Phase::RollingBack, Some(rollback), Some(_), Some(now)) =
            (self.phase, &self.rollback, self.finished_at, now)
        {
            return Some(milliseconds(rollback.started_at, now));
        }
        Some(milliseconds(self.started_at?, self.finished_at.or(now)?))
    }
}
