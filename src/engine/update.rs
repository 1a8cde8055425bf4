//! UpdateService: builds the request, checks whether it took effect, and resends a throttled one only if nobody else
//! deployed meanwhile.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::aws::ecs::{Ecs, ServiceUpdate};
use crate::aws::error::{CallError, Kind};
use crate::aws::permit::Permit;
use crate::engine::exactly_once::Write;
use crate::engine::known_deployments::KnownDeployments;
use crate::fleet::TargetSpec;
use crate::observe::service::LiveService;
use crate::plan::settings;
use crate::plan::work::{Definition, Work};

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
    /// What the service had before; of no matter where no deployment is started.
    pub past: KnownDeployments,
    /// What to change.
    pub update: ServiceUpdate,
}

/// A service that was updated.
#[derive(Debug)]
pub struct Updated {
    /// The service, as UpdateService answered; after an answer that was lost, as it was seen first.
    pub service: LiveService,
    /// The id of the deployment that the update started, if it did.
    pub ours: Option<String>,
    /// Whose place that took, in words: what began after the last look.
    pub took: Vec<String>,
}

impl Update<'_> {
    /// Reads what UpdateService answered.
    fn answered(&self, answer: &Value) -> Updated {
        let service = LiveService::read(answer);
        let wanted = self.update.task_definition.as_deref();
        let ours = wanted.and_then(|wanted| self.past.listed(&service, wanted));
        self.updated(service, ours)
    }

    /// Whether a service has the settings.
    fn holds(&self, service: &LiveService) -> bool {
        let ServiceUpdate { desired_count, deployment, .. } = &self.update;
        let counts = desired_count.is_none_or(|count| service.desired == count);
        let declared = deployment.as_ref();
        counts && declared.is_none_or(|declared| settings::settings_hold(declared, &service.configuration.value()))
    }

    fn updated(&self, service: LiveService, ours: Option<String>) -> Updated {
        let wanted = self.update.task_definition.as_deref();
        let others = wanted.into_iter().flat_map(|wanted| self.past.overtaken(&service, wanted));
        let took = others.map(|other| {
            let what = other.revision().map_or_else(|| other.task_definition.clone(), |it| it.to_string());
            format!("replaced {} of {what}, which somebody else started after the last read", other.id)
        });
        let took = took.collect();
        Updated { service, ours, took }
    }
}

impl Write for Update<'_> {
    type Answer = Updated;

    async fn send(&self, permit: &Permit) -> Result<Updated, CallError> {
        let answer = self.ecs.update_service(&self.target.cluster, &self.target.service, &self.update, permit).await?;
        Ok(self.answered(&answer))
    }

    /// It took effect if a deployment of it began; or, where it starts none, if its settings hold. Where neither is so of a service
    /// that was deleted meanwhile, nobody can say: its deployments end with it.
    async fn took_effect(&self) -> Result<Option<Updated>, CallError> {
        let services = self.ecs.describe_services(&self.target.cluster, &[self.target.service.as_str()]).await?;
        let service = services.found.into_iter().next().map(|service| LiveService::read(&service));
        let Some(service) = service else { return Err(cannot_tell("the service does not exist any more".to_owned())) };
        let ended = service.ending();
        let updated = match &self.update.task_definition {
            Some(wanted) => {
                let ours = self.past.begun(self.ecs, self.target, &service, wanted).await?;
                ours.map(|ours| self.updated(service, Some(ours)))
            }
            None => self.holds(&service).then(|| self.updated(service, None)),
        };
        match (updated, ended) {
            (None, Some(ended)) => Err(cannot_tell(ended)),
            (updated, _) => Ok(updated),
        }
    }
}

fn cannot_tell(why: String) -> CallError {
    CallError::plain("DescribeServices", Kind::Refused, why)
}

/// An UpdateService that is sent after a wait only while the service still has the PRIMARY deployment that it was decided on.
pub struct ConditionalUpdate<'a> {
    update: Update<'a>,
    primary: Option<String>,
    sent: AtomicBool,
    /// Whether an answer was lost: what is PRIMARY may be ours then.
    lost: AtomicBool,
}

/// It was not sent, since somebody else had deployed: who, in words.
#[derive(Debug)]
pub struct TooLate(pub String);

/// Whoever waits no longer than this for its turn has just looked.
const RECENT: Duration = Duration::from_secs(1);

impl<'a> ConditionalUpdate<'a> {
    /// Wraps an update that was decided on by a look at which this deployment was PRIMARY.
    pub fn new(update: Update<'a>, primary: Option<String>) -> Self {
        Self { update, primary, sent: AtomicBool::default(), lost: AtomicBool::default() }
    }
}

impl Write for ConditionalUpdate<'_> {
    type Answer = Result<Updated, TooLate>;

    async fn send(&self, permit: &Permit) -> Result<Self::Answer, CallError> {
        let Update { ecs, target, update, .. } = &self.update;
        let (cluster, service) = (&target.cluster, &target.service);
        let asked = Instant::now();
        let turn = ecs.turn_to_update(permit).await?;
        // Whatever a write waits for comes before its last look.
        let again = self.sent.swap(true, Ordering::Relaxed);
        if again || asked.elapsed() >= RECENT {
            let looked = permit.hold(ecs.look_in_turn(&turn, cluster, service)).await;
            let looked = looked.ok_or_else(|| CallError::withdrawn("UpdateService"))??;
            let live = looked.found.first().map(LiveService::read);
            let primary = live.as_ref().and_then(LiveService::primary);
            if let Some(other) = primary.filter(|primary| Some(&primary.id) != self.primary.as_ref()) {
                drop(turn);
                let ours = if self.lost.load(Ordering::Relaxed) { self.update.took_effect().await? } else { None };
                return Ok(ours.ok_or_else(|| TooLate(format!("another deployment, {}, took its place", other.id))));
            }
        }
        let answer = ecs.update_in_turn(turn, cluster, service, update, permit).await;
        if answer.as_ref().is_err_and(|error| error.kind == Kind::Unknown) {
            self.lost.store(true, Ordering::Relaxed);
        }
        answer.map(|answer| Ok(self.update.answered(&answer)))
    }

    async fn took_effect(&self) -> Result<Option<Self::Answer>, CallError> {
        Ok(self.update.took_effect().await?.map(Ok))
    }
}
