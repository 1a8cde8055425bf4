//! How a rollback ends that did not get there: what is said of it, with the evidence.

use crate::aws::error::{CallError, Kind};
use crate::engine::evidence;
use crate::engine::hints::help;
use crate::engine::lifecycle_hooks::Stages;
use crate::engine::rollback::{LOOK, Rollback, Watched};
use crate::engine::rollout_result::RollbackResult;
use crate::event::{Evidence, Reason};

impl Rollback<'_> {
    /// It was watched, and did not get there.
    pub(super) async fn not_back(&self, watched: Watched, deployment: Option<String>) -> RollbackResult {
        match watched {
            Watched::Cancelled => self.after_cancel(),
            Watched::Gone => self.stuck("the service vanished during the rollback".to_owned(), None).await,
            Watched::TimedOut(Some(error)) => {
                self.stuck(self.too_late(&format!("ECS gave no answer: {error:#}")), None).await
            }
            Watched::TimedOut(None) if let Some((hook, stage)) = self.stages.as_ref().and_then(Stages::waiting) => {
                let waits = self.too_late(&format!("it waits at a {} in {stage}", hook.name()));
                let help = Some("let it go on with `roleout continue`".to_owned());
                RollbackResult::Stuck(Reason { summary: waits, help, ..Reason::default() })
            }
            Watched::TimedOut(None) | Watched::Verdict(_, _) => {
                let tasks = self.tasks.unwrap_or_default();
                let counts = format!("{} of {} tasks run", tasks.running, tasks.desired);
                self.stuck(self.too_late(&counts), deployment).await
            }
        }
    }

    pub(super) fn too_late(&self, why: &str) -> String {
        format!("not rolled back within {}: {why}", humantime::format_duration(self.timeout))
    }

    /// The write of the return was not sent in time, was refused, or its fate is not known.
    pub(super) fn not_written(&mut self, operation: &str, error: &CallError) -> RollbackResult {
        let mut evidence: Vec<Evidence> = self.unstoppable.take().map(Evidence::from).into_iter().collect();
        if error.kind != Kind::Withdrawn {
            let (summary, help) = (format!("{error:#}"), help(error, self.target));
            return RollbackResult::Stuck(Reason { summary, evidence, help, ..Reason::default() });
        }
        if self.run.cancel.is_cancelled() {
            return self.after_cancel();
        }
        let limit = humantime::format_duration(self.timeout);
        let summary = format!("{operation} was not sent within {limit}");
        evidence.extend(error.code.is_some().then(|| format!("{error:#}").into()));
        RollbackResult::Stuck(Reason { summary, evidence, help: Some(LOOK.to_owned()), ..Reason::default() })
    }

    /// After a cancel.
    pub(super) fn after_cancel(&self) -> RollbackResult {
        let back = self.work.before.revision().map(|to| format!(" to {to}")).unwrap_or_default();
        match (self.announced, self.asked) {
            (false, _) => RollbackResult::Cancelled,
            (true, true) => {
                RollbackResult::Detached(format!("the run was cancelled; the rollback{back} goes on in ECS"))
            }
            (true, false) => {
                RollbackResult::Detached(format!("the run was cancelled before the rollback{back} was sent to ECS"))
            }
        }
    }

    pub(super) async fn stuck(&self, summary: String, deployment: Option<String>) -> RollbackResult {
        let (messages, none) = (&self.messages, Vec::new());
        let found = tokio::select! {
            biased;
            () = self.run.cancel.cancelled() => evidence::Found::default(),
            found = evidence::gather(&self.ecs, self.target, deployment.as_deref(), messages, none) => found,
        };
        let found = found.with(self.stages.as_ref().map(Stages::evidence).unwrap_or_default());
        RollbackResult::Stuck(Reason { help: Some(LOOK.to_owned()), ..found.reason_of(&summary) })
    }
}
