//! How a rollout ends whose deadline has passed: with what it waits for, or with the cause where one was found.

use tokio::time::Instant;

use crate::engine::rollout::Rollout;
use crate::engine::rollout_result::RolloutResult;
use crate::event::Reason;
use crate::fleet::{OnFailure, Outcome};

impl Rollout<'_> {
    pub(super) async fn timed_out(&self) -> RolloutResult {
        (self.failing)();
        let limit = humantime::format_duration(self.target.timeout);
        let started = self.followed.as_ref().is_none_or(|followed| followed.ours.is_some());
        let ended = match (self.stages.waiting(), &self.last_error) {
            (_, None) if self.rolls_back => self.return_hangs().await,
            (Some((hook, stage)), _) => {
                // Until when, and with which command, the summary says of each target: this is the same for all that wait there.
                let own = format!("not complete within {limit}: it waits at a {} in {stage}", hook.name());
                let help = "let it go on with `roleout continue`, and follow it with `deploy`";
                self.late(self.found().await.into_reason(own.into()), help)
            }
            (None, Some(error)) => {
                let own = format!("ECS gave no answer until the timeout of {limit}: {error:#}");
                self.late(self.found().await.into_reason(own.into()), FOLLOW)
            }
            (None, None) if !started || self.misses > 0 => {
                let own = match started {
                    true => format!("ECS did not find the service until the timeout of {limit}"),
                    false => format!("ECS did not start a deployment of the new revision within {limit}"),
                };
                self.late(self.found().await.into_reason(own.into()), FOLLOW)
            }
            (None, None) => {
                let own = self.standing.words(&format!("not complete within {limit}"), Instant::now());
                self.late(self.found().await.also(self.standing.evidence()).reason_after(own), FOLLOW)
            }
        };
        RolloutResult { revision: None, ..self.with_deployment(ended) }
    }

    fn late(&self, reason: Reason, help: &str) -> RolloutResult {
        self.ended(Outcome::TimedOut, Reason { help: Some(help.to_owned()), ..reason })
    }

    /// ECS has not completed its own rollback in time. Where the wave rolls back itself, that is given its own time.
    async fn return_hangs(&self) -> RolloutResult {
        let limit = humantime::format_duration(self.target.timeout);
        let own = format!("ECS is rolling back, and that is not complete after {limit}");
        let help = "check why the tasks of the earlier revision do not start: ECS may still complete its rollback";
        let outcome = match self.wave.on_failure {
            OnFailure::Rollback { .. } => Outcome::TimedOut,
            OnFailure::Stop => Outcome::Stuck,
        };
        let stands = self.standing.words("of its rollback", Instant::now());
        let reason = self.found().await.with(vec![stands]).also(self.standing.evidence()).into_reason(own.into());
        self.ended(outcome, Reason { help: Some(help.to_owned()), ..reason })
    }
}

/// What to do where a deployment goes on.
const FOLLOW: &str = "the deployment may still complete; run `deploy` again to follow it";
