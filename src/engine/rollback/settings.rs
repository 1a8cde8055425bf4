//! Restores the desired count and the deployment settings that a change set.

use serde_json::Value;
use tokio::time::Instant;

use crate::aws::ecs::ServiceUpdate;
use crate::aws::error::{CallError, Kind};
use crate::engine::blind::Blind;
use crate::engine::exactly_once::carry_out;
use crate::engine::hints::help;
use crate::engine::known_deployments::KnownDeployments;
use crate::engine::poller::Snapshot;
use crate::engine::rollback::{Rollback, Watched};
use crate::engine::rollout_result::RollbackResult;
use crate::engine::update::Update;
use crate::event::{Reason, RollbackStep};
use crate::observe::service::LiveService;

/// What is said of a target that is rolled back, where a signal came before the rest.
const CANCELLED: &str = "the run was cancelled before its settings were restored";

impl Rollback<'_> {
    /// Restores only the settings, after ECS has rolled the deployment back itself. Returns how that ended, unless well.
    pub async fn restore_settings(mut self) -> Option<RollbackResult> {
        let deadline = Instant::now() + self.timeout;
        if matches!((self.work.desired_count, &self.work.deployment), (None, None)) {
            return None;
        }
        match self.read_service(deadline).await {
            Ok(service) => self.restore(&service, deadline).await,
            Err(RollbackResult::Cancelled) => return Some(RollbackResult::Detached(CANCELLED.to_owned())),
            Err(RollbackResult::Nothing(summary)) => {
                return Some(not_restored(Reason { summary, ..Reason::default() }));
            }
            Err(RollbackResult::Stuck(reason)) => return Some(not_restored(reason)),
            Err(result) => return Some(result),
        }
        self.unset.take().map(|error| self.unset(&error))
    }

    /// Restores the settings of a target that had no other work.
    pub(super) async fn give_settings_back(&mut self, service: &LiveService, deadline: Instant) -> RollbackResult {
        self.announce(RollbackStep::Settings).await;
        let (count, _) = self.settings(service);
        self.restore(service, deadline).await;
        self.asked = self.unset.is_none();
        if let (Some(count), None) = (count, &self.unset) {
            let mut looks = self.run.watches.follow_until(self.target, false, deadline);
            let mut blind = Blind::default();
            loop {
                let look = tokio::select! {
                    biased;
                    () = self.run.cancel.cancelled() => return self.after_cancel(),
                    look = looks.next() => look,
                };
                match look {
                    Some(Snapshot::Service(service, _)) => {
                        blind.sees();
                        self.report_progress(&service).await;
                        if service.desired != count || service.running == count {
                            break;
                        }
                    }
                    Some(Snapshot::NoAnswer(error)) => {
                        self.run.lost_session(self.target, &error).await;
                        if blind.misses(&error, Instant::now()) {
                            return self.not_back(Watched::TimedOut(Some(error)), None).await;
                        }
                    }
                    Some(Snapshot::Missing) => {}
                    None => return self.not_back(Watched::TimedOut(None), None).await,
                }
            }
        }
        self.finish(service.revision()).await
    }

    /// Returns the settings to restore. A service that shows only deployments from before the change may be read as it was
    /// before the change.
    pub(super) fn settings(&self, service: &LiveService) -> (Option<u32>, Option<Value>) {
        let before = &self.work.deployments;
        let may_lag = service.deployments.iter().all(|deployment| before.contains(&deployment.id));
        self.work.before.settings(self.work, service, may_lag)
    }

    /// Restores the settings that the change set, unless somebody else has changed them since.
    pub(super) async fn restore(&mut self, service: &LiveService, deadline: Instant) {
        let (desired_count, deployment) = self.settings(service);
        let update = ServiceUpdate { desired_count, deployment, ..ServiceUpdate::default() };
        if update != ServiceUpdate::default() && self.unset.is_none() {
            let update = Update { ecs: &self.ecs, target: self.target, past: KnownDeployments::default(), update };
            self.unset = carry_out(&update, &self.run.cancel.permit().with_deadline(deadline)).await.err();
        }
    }

    /// It is rolled back, but its settings could not be restored.
    pub(super) fn unset(&self, error: &CallError) -> RollbackResult {
        let why = match error.kind {
            Kind::Withdrawn if self.run.cancel.is_cancelled() => {
                return RollbackResult::Detached(CANCELLED.to_owned());
            }
            Kind::Withdrawn => {
                format!("UpdateService was not sent within {}", humantime::format_duration(self.timeout))
            }
            _ => format!("{error:#}"),
        };
        not_restored(Reason { summary: why, help: help(error, self.target), ..Reason::default() })
    }
}

/// Says why the settings of what is rolled back could not be restored.
fn not_restored(why: Reason) -> RollbackResult {
    let summary = format!("it is rolled back, but its settings could not be restored: {}", why.summary);
    RollbackResult::Stuck(Reason { summary, ..why })
}
