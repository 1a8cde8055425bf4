//! UpdateService: what one changes, whether it took effect, and one that is put off, by when the service may be of somebody
//! else's making.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::write::Write;
use crate::aws::ecs::{Ecs, ServiceUpdate};
use crate::aws::error::{CallError, Kind};
use crate::aws::permit::Permit;
use crate::fleet::TargetSpec;
use crate::observe::service::LiveService;
use crate::plan::{Definition, Work, taskdef};

/// Everything that one UpdateService changes.
pub fn settings(work: &Work, task_definition: Option<String>) -> ServiceUpdate {
    ServiceUpdate {
        task_definition,
        desired_count: work.desired_count,
        deployment: work.deployment.clone(),
        force: matches!(work.definition, Definition::Existing { force: true, .. }),
    }
}

/// One UpdateService.
pub struct Update<'a> {
    /// Of the target's account and region.
    pub ecs: &'a Ecs,
    /// The target.
    pub target: &'a TargetSpec,
    /// The ids of the deployments that the service has already.
    pub known: &'a [String],
    /// What to change.
    pub update: ServiceUpdate,
}

impl Write for Update<'_> {
    async fn send(&self, permit: &Permit) -> Result<Value, CallError> {
        self.ecs.update_service(&self.target.cluster, &self.target.service, &self.update, permit).await
    }

    /// It took effect if there is a deployment of it that was not there before, which need not be PRIMARY where deployments
    /// have stages; or, where it starts none, if its settings hold.
    async fn landed(&self) -> Result<Option<Value>, CallError> {
        let services = self.ecs.describe_services(&self.target.cluster, &[self.target.service.as_str()]).await?;
        let landed = |service: &LiveService| match &self.update.task_definition {
            Some(arn) => {
                service.deployments.iter().any(|one| one.task_definition == *arn && !self.known.contains(&one.id))
            }
            None => {
                self.update.desired_count.is_none_or(|count| service.desired == count)
                    && self
                        .update
                        .deployment
                        .as_ref()
                        .is_none_or(|declared| taskdef::settings_hold(declared, &service.configuration))
            }
        };
        Ok(services.found.into_iter().find(|service| landed(&LiveService::read(service))))
    }
}

/// An UpdateService that is sent after a wait only while the service still has the PRIMARY deployment that it was decided on.
pub struct Careful<'a> {
    update: Update<'a>,
    primary: Option<String>,
    sent: AtomicBool,
}

/// Whoever waits no longer than this for its turn has just looked.
const RECENT: Duration = Duration::from_secs(1);

/// What is said where it has not.
const TOO_LATE: &str = "took its place";

impl<'a> Careful<'a> {
    /// Wraps an update that was decided on by a look at which this deployment was PRIMARY.
    pub fn new(update: Update<'a>, primary: Option<String>) -> Self {
        Self { update, primary, sent: AtomicBool::new(false) }
    }

    /// Whether it was not sent again, because somebody else had deployed.
    pub fn was_too_late(error: &CallError) -> bool {
        error.code.is_none() && error.kind == Kind::Refused && error.message.ends_with(TOO_LATE)
    }
}

impl Write for Careful<'_> {
    async fn send(&self, permit: &Permit) -> Result<Value, CallError> {
        let Update { ecs, target, update, .. } = &self.update;
        let (cluster, service) = (&target.cluster, &target.service);
        let asked = Instant::now();
        let turn = ecs.turn_to_update(permit).await?;
        // Whatever a write waits for comes before its last look.
        let again = self.sent.swap(true, Ordering::Relaxed);
        if !again && asked.elapsed() < RECENT {
            return ecs.update_in_turn(turn, cluster, service, update, permit).await;
        }
        let looked = permit.hold(ecs.look_in_turn(&turn, cluster, service)).await;
        let looked = looked.ok_or_else(|| CallError::withdrawn("UpdateService"))??;
        let live = looked.found.first().map(LiveService::read);
        let primary = live.as_ref().and_then(LiveService::primary);
        if let Some(other) = primary.filter(|primary| Some(&primary.id) != self.primary.as_ref()) {
            drop(turn);
            if let Some(answer) = self.update.landed().await? {
                return Ok(answer);
            }
            let message = format!("another deployment, {}, {TOO_LATE}", other.id);
            return Err(CallError::plain("UpdateService", Kind::Refused, message));
        }
        ecs.update_in_turn(turn, cluster, service, update, permit).await
    }

    async fn landed(&self) -> Result<Option<Value>, CallError> {
        self.update.landed().await
    }
}
