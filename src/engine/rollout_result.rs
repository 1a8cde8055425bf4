//! How a rollout ended, and what to do about what ECS refused.

use crate::aws::error::{CallError, Kind};
use crate::aws::permit::Permit;
use crate::base::general::general;
use crate::engine::context::Run;
use crate::engine::hints::refusal;
use crate::engine::retry::Unread;
use crate::event::{Evidence, Reason};
use crate::fleet::{Outcome, Revision, TargetSpec};

/// What to do about a deployment of somebody else's.
const WHO: &str = "CloudTrail's UpdateService event names who deployed it; agree with them before you deploy again";

/// How a rollout ended.
#[derive(Debug)]
pub struct RolloutResult {
    /// The outcome.
    pub outcome: Outcome,
    /// Why, unless it succeeded.
    pub reason: Option<Reason>,
    /// The revision that the service runs now, where that is known.
    pub revision: Option<Revision>,
    /// Our deployment's id, where there is one.
    pub deployment: Option<String>,
    /// Whether ECS took the change, or may have: there may be something to rollback.
    pub acted: bool,
    /// The ARN of the task definition that was to be deployed.
    pub wanted: Option<String>,
}

impl RolloutResult {
    /// Ends before ECS took anything.
    pub fn new(outcome: Outcome, summary: impl Into<String>) -> Self {
        let help = (outcome == Outcome::Superseded).then(|| WHO.to_owned());
        let reason = Reason { summary: summary.into(), help, ..Reason::default() };
        Self { outcome, reason: Some(reason), revision: None, deployment: None, acted: false, wanted: None }
    }

    /// Ends with the service on what was wanted.
    pub fn succeeded(revision: Option<Revision>, deployment: Option<String>) -> Self {
        Self { outcome: Outcome::Succeeded, reason: None, revision, deployment, acted: true, wanted: None }
    }

    /// A write that ECS refused, or whose fate is not known.
    pub fn refused(error: &CallError, target: &TargetSpec) -> Self {
        Self { reason: Some(refusal(error, target)), ..Self::new(Outcome::Failed, "") }
    }

    /// Ends a rollout whose write was not sent, since its permission was over; `None` for any other error. A wave that was
    /// halted says by whom itself.
    pub fn withdrawn(error: &CallError, run: &Run, permit: &Permit, target: &TargetSpec) -> Option<Self> {
        (error.kind == Kind::Withdrawn).then(|| {
            let mut ended = Self::stopped(run, permit, target);
            // What AWS answered to the last try is why it was not started.
            if let (Outcome::TimedOut, Some(reason), Some(_)) = (ended.outcome, &mut ended.reason, &error.code) {
                reason.evidence.push(format!("{error:#}").into());
            }
            ended
        })
    }

    /// Ends a rollout of which nothing more may be written, before anything of it was deployed.
    pub fn stopped(run: &Run, permit: &Permit, target: &TargetSpec) -> Self {
        if run.cancel.is_cancelled() {
            Self::new(Outcome::Cancelled, "the run was cancelled before its deployment was started")
        } else if permit.is_withdrawn() {
            Self::new(Outcome::NotStarted, "")
        } else {
            let limit = humantime::format_duration(target.timeout);
            Self::new(Outcome::TimedOut, format!("not started within {limit}; nothing was changed"))
        }
    }

    /// ECS did not say in time how the service stands, so nothing was asked of it.
    pub fn not_begun(unread: &Unread, target: &TargetSpec) -> Self {
        let limit = humantime::format_duration(target.timeout);
        Self::new(Outcome::TimedOut, format!("not started within {limit}, and nothing was changed: {unread:#}"))
    }

    /// The revision could not be registered while `permit` lasted, or was refused: UpdateService was not sent.
    pub fn not_registered(error: &CallError, run: &Run, permit: &Permit, target: &TargetSpec) -> Self {
        if error.kind == Kind::Unknown && permit.is_over() {
            let limit = humantime::format_duration(target.timeout);
            return Self::new(
                Outcome::TimedOut,
                format!("not started within {limit}, UpdateService was not sent: {error:#}"),
            );
        }
        Self::withdrawn(error, run, permit, target).unwrap_or_else(|| Self::refused(error, target))
    }

    /// The UpdateService of `wanted` was refused, or its fate is not known.
    pub fn not_updated(error: &CallError, target: &TargetSpec, wanted: Option<String>) -> Self {
        Self { acted: error.kind == Kind::Unknown, wanted, ..Self::refused(error, target) }
    }

    /// Says too that a revision was registered for it and is not deployed.
    pub fn unused(mut self, revision: Option<&Revision>) -> Self {
        let ended_early = matches!(
            self.outcome,
            Outcome::Superseded | Outcome::Failed | Outcome::Cancelled | Outcome::NotStarted | Outcome::TimedOut
        );
        if let (Some(reason), Some(revision), true) = (&mut self.reason, revision, ended_early) {
            // It is no part of the cause: each target has another one.
            let cause = Some("its new revision exists and is not used".to_owned());
            reason.evidence.push(Evidence { cause, ..format!("{revision} exists and is not used").into() });
        }
        self
    }

    /// The result of `roleout rollback` for a target whose deployment was under way and was stopped.
    pub fn from_rollback(result: RollbackResult, deployment: &str) -> Self {
        let ended = match result {
            RollbackResult::Back(revision) => Self::succeeded(revision, None),
            RollbackResult::Stuck(reason) => Self { reason: Some(reason), ..Self::new(Outcome::Stuck, "") },
            RollbackResult::Superseded(by) => Self::new(Outcome::Superseded, by),
            RollbackResult::Nothing(why) => Self::new(Outcome::Failed, why),
            RollbackResult::Cancelled => {
                Self::new(Outcome::Cancelled, "the run was cancelled before anything was asked of ECS")
            }
            RollbackResult::Detached(summary) => Self::new(Outcome::Detached, summary),
        };
        Self { deployment: Some(deployment.to_owned()), ..ended }
    }

    /// The result of a failed rollout after its rollback.
    pub fn after_rollback(self, result: RollbackResult) -> Self {
        let failure = self.reason.clone().unwrap_or_default();
        let told = |outcome, summary: String, mut failure: Reason| {
            failure.evidence.insert(0, std::mem::take(&mut failure.summary).into());
            (outcome, Reason { cause: Some(general(&summary)), summary, evidence: failure.evidence, help: None }, None)
        };
        let (outcome, reason, revision) = match result {
            RollbackResult::Back(revision) => (Outcome::RolledBack, Reason { help: None, ..failure }, revision),
            RollbackResult::Stuck(stuck) => (Outcome::Stuck, stuck_reason(failure, stuck), None),
            RollbackResult::Superseded(by) => told(Outcome::Superseded, by, failure),
            RollbackResult::Detached(summary) => told(Outcome::Detached, summary, failure),
            RollbackResult::Cancelled => {
                let help = Some("the run was cancelled before this was rolled back; check the service".to_owned());
                (self.outcome, Reason { help, ..failure }, self.revision.clone())
            }
            RollbackResult::Nothing(why) => {
                let help = failure.help.as_ref().map(|help| format!("; {help}")).unwrap_or_default();
                let why = if why == failure.summary { "there is nothing to roll back to".to_owned() } else { why };
                let help = Some(format!("not rolled back: {why}{help}"));
                (self.outcome, Reason { help, ..failure }, self.revision.clone())
            }
        };
        Self { outcome, reason: Some(reason), revision, ..self }
    }
}

/// How a rollback ended.
#[derive(Debug)]
pub enum RollbackResult {
    /// The service is back, complete and PRIMARY.
    Back(Option<Revision>),
    /// It is not, and nothing more can be done here.
    Stuck(Reason),
    /// Somebody else's deployment is PRIMARY: it is theirs now.
    Superseded(String),
    /// There is nothing to roll back to, or nothing to roll back: nothing was asked of ECS.
    Nothing(String),
    /// The run was cancelled before anything was asked of ECS.
    Cancelled,
    /// The run was cancelled, and what was asked of ECS goes on.
    Detached(String),
}

/// Says why a target is stuck: that its rollback failed, and what had gone wrong before.
pub fn stuck_reason(failure: Reason, stuck: Reason) -> Reason {
    let failed = |why: &str| format!("the rollback failed: {why}");
    let cause = Some(failed(stuck.cause.as_deref().unwrap_or(&stuck.summary)));
    let mut evidence = stuck.evidence;
    evidence.push(Evidence { cause: failure.cause, ..failure.summary.into() });
    // The tasks of a revision that failed twice say the same twice.
    let new: Vec<Evidence> =
        failure.evidence.into_iter().filter(|it| !evidence.iter().any(|known| known.text == it.text)).collect();
    evidence.extend(new);
    Reason { summary: failed(&stuck.summary), cause, evidence, help: stuck.help }
}
