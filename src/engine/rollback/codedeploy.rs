//! The rollback of a service under the CODE_DEPLOY controller: a deployment of ours that is under way is stopped with a
//! rollback; otherwise the previous revision is deployed.

use tokio::time::Instant;

use crate::aws::error::{CallError, Kind};
use crate::engine::codedeploy::{Watch, Watched, failure};
use crate::engine::rollback::Rollback;
use crate::engine::rollout_result::RollbackResult;
use crate::event::{Reason, RollbackStep};
use crate::fleet::OnCancel;
use crate::fleet::codedeploy::CodeDeploy as Group;
use crate::plan::work::Definition;

impl Rollback<'_> {
    /// Rolls back by CodeDeploy.
    pub(super) async fn go_back_by_codedeploy(mut self, group: &Group) -> RollbackResult {
        let deadline = Instant::now() + self.timeout;
        let service = match self.read_service(deadline).await {
            Ok(service) => service,
            Err(result) => return result,
        };
        // A target that had succeeded is known by its task set.
        let ours = service.primary().filter(|primary| Some(&primary.id) == self.from.deployment.as_ref());
        let ours = ours.map(|primary| primary.task_definition.clone());
        let before = match &self.work.definition {
            // What is stopped then is what the work is from.
            Definition::Return { .. } => self.work.before.task_definition.clone().unwrap_or_default(),
            _ => self.work.from.clone(),
        };
        let wanted = self.from.wanted.clone().or(ours).unwrap_or_default();
        if wanted.is_empty() {
            return RollbackResult::Superseded("another task set is PRIMARY".to_owned());
        }
        if before.is_empty() || before == wanted {
            return RollbackResult::Nothing(
                "no other revision ran before, so there is nothing to roll back to".to_owned(),
            );
        }
        if self.run.cancel.is_cancelled() {
            return RollbackResult::Cancelled;
        }
        let mut watch = Watch::new(self.run, self.target, group, OnCancel::Detach);
        // A halt does not end an rollback.
        let permit = self.run.cancel.permit().with_deadline(deadline);
        let last = permit.hold(watch.api.last(group)).await;
        match last.unwrap_or_else(|| Err(CallError::withdrawn("GetDeploymentGroup"))) {
            Ok(Some(last)) if !last.is_over() && last.deploys(&wanted) => {
                self.announce(RollbackStep::StopDeployment).await;
                if let Err(error) = watch.api.stop(&last.id, &permit).await {
                    if error.kind == Kind::Withdrawn {
                        return self.not_written(error.operation, &error);
                    }
                    return stuck(format!("{error:#}"), &watch).await;
                }
                self.asked = true;
                match watch.until_over(&last.id, &wanted, deadline).await {
                    Watched::Over(over) if over.status != "Succeeded" => {
                        match watch.own_rollback(over, &before, deadline).await {
                            (true, None) => {}
                            (true, Some(why)) => return stuck(why, &watch).await,
                            (false, _) => return self.after_cancel(),
                        }
                    }
                    Watched::Over(_) => {}
                    Watched::Cancelled => return self.after_cancel(),
                    Watched::TimedOut(_) => return stuck(self.too_late("CodeDeploy still stops it"), &watch).await,
                }
            }
            Ok(_) => {}
            Err(error) => return stuck(format!("{error:#}"), &watch).await,
        }
        let service = match self.read_service(deadline).await {
            Ok(service) => service,
            Err(result) => return result,
        };
        let running = service.primary().map(|primary| primary.task_definition.clone()).unwrap_or_default();
        if running != before && running != wanted {
            return RollbackResult::Superseded(format!("another task set, of {running}, is PRIMARY"));
        }
        if running == wanted {
            self.announce(RollbackStep::Deploy).await;
            let id = match watch.start(&before, false, &permit).await {
                Ok(started) => started.map(|(id, _)| id).unwrap_or_default(),
                Err(error) if error.kind == Kind::Withdrawn => return self.not_written("CreateDeployment", &error),
                Err(error) => return stuck(format!("{error:#}"), &watch).await,
            };
            self.asked = true;
            match watch.until_over(&id, &before, deadline).await {
                Watched::Over(over) if over.status == "Succeeded" => {}
                Watched::Over(over) => return stuck(failure(&over), &watch).await,
                Watched::Cancelled => return self.after_cancel(),
                Watched::TimedOut(_) => return stuck(self.too_late(&format!("{id} goes on")), &watch).await,
            }
        }
        self.restore(&service, deadline).await;
        self.finish(before.parse().ok()).await
    }
}

async fn stuck(summary: String, watch: &Watch<'_>) -> RollbackResult {
    let help = Some("it is not rolled back: check the service and its deployment group now".to_owned());
    RollbackResult::Stuck(Reason { help, ..watch.found().await.reason_of(&summary) })
}
