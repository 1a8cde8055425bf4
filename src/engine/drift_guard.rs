//! Checks a target for drift right before each write: by then the plan may be hours old.
//!
//! If somebody else has deployed meanwhile, nothing is written, unless the manifest says `on_busy: supersede`. If the service
//! is as planned, the work is carried out with its present settings, which a rollback then restores.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::aws::denial;
use crate::aws::ecs::{Ecs, ServiceUpdate};
use crate::aws::error::{CallError, Kind};
use crate::aws::permit::Permit;
use crate::base::document::Document;
use crate::engine::context::Run;
use crate::engine::known_deployments::KnownDeployments;
use crate::engine::retry::{self, Unread};
use crate::engine::rollout_result::RolloutResult;
use crate::engine::timing::{MISSES, POLL_INTERVAL};
use crate::engine::update::settings;
use crate::fleet::{Commit, OnBusy, Outcome, TargetSpec};
use crate::observe::Observed;
use crate::observe::service::LiveService;
use crate::plan::drift;
use crate::plan::drift::Drift;
use crate::plan::work::{Definition, Work};

/// A look no older than this will do before a task is run: that of the preflight does for what is started right after.
const RECENT: Duration = Duration::from_secs(5);
/// The same before a revision is registered, which changes nothing yet: the service is looked at again before its update.
const RECENT_TO_REGISTER: Duration = Duration::from_secs(60);

/// A target's work, by the last look at its service.
pub struct DriftGuard<'a> {
    run: &'a Run,
    /// The target's index.
    pub index: usize,
    /// The target.
    pub target: &'a TargetSpec,
    /// Of its account and region.
    pub ecs: Arc<Ecs>,
    /// The work.
    pub work: Arc<Work>,
    /// What its service had then, once it was looked at again.
    pub past: KnownDeployments,
    seen_at: Option<Instant>,
}

impl<'a> DriftGuard<'a> {
    /// Starts with what was planned for a target, by its index.
    pub fn planned(run: &'a Run, index: usize) -> Self {
        let target = &run.fleet.targets[index];
        let (ecs, work) = (run.ecs(target), run.work(index));
        Self { run, index, target, ecs, work, past: KnownDeployments::default(), seen_at: run.read_at }
    }

    /// Looks at the service again before a revision is registered or a task is run, unless it was just looked at. Returns how
    /// the rollout ends where nothing may be written to it any more.
    pub async fn recheck(&mut self, permit: &Permit) -> Result<(), RolloutResult> {
        let recent = match (&self.work.definition, self.work.run_tasks.before.is_empty()) {
            (_, false) => RECENT,
            (Definition::Register { .. }, true) => RECENT_TO_REGISTER,
            // The next write is the update.
            _ => return Ok(()),
        };
        match self.seen_at {
            Some(at) if at.elapsed() < recent => Ok(()),
            _ => self.look_again(permit).await,
        }
    }

    /// Does the same right before UpdateService, whatever the age of the last look: another run may have begun since. What it
    /// deploys is followed where it is the same, and is not taken the place of where it is not. After it nothing is compared
    /// with the definition any more, which is most of what a target holds.
    pub async fn look_a_last_time(&mut self, permit: &Permit) -> Result<(), RolloutResult> {
        self.look_again(permit).await?;
        if let Definition::Register { .. } = self.work.definition {
            self.take(Work::clone(&self.work).once_registered());
        }
        Ok(())
    }

    async fn look_again(&mut self, permit: &Permit) -> Result<(), RolloutResult> {
        let writes = match self.work.definition {
            Definition::Return { .. } => false,
            Definition::Follow { .. } => settings(&self.work, None) != ServiceUpdate::default(),
            Definition::Keep | Definition::Existing { .. } | Definition::Register { .. } => true,
        };
        if !writes {
            return Ok(());
        }
        let seen_at = Instant::now();
        let service = self.read_service(permit).await?;
        let work = match drift::rebase(&self.work, &service) {
            Some(work) => work,
            None => self.moved(&service, permit).await?,
        };
        self.past = KnownDeployments::new(&service);
        self.take(work);
        self.seen_at = Some(seen_at);
        Ok(())
    }

    fn take(&mut self, work: Work) {
        self.work = Arc::new(work);
        self.run.with_progress(self.index, |known| known.work = Arc::clone(&self.work));
    }

    /// Decides about a service that is not what the work was planned against.
    async fn moved(&mut self, service: &LiveService, permit: &Permit) -> Result<Work, RolloutResult> {
        let live = self.read(permit, || self.ecs.describe_task_definition(&service.task_definition)).await?;
        let release = &self.run.fleet.release;
        let is_newer = !release.allow_older && Commit::of_revision(&live).is_newer_than(&release.commit);
        let service = service.clone();
        let observed = Observed {
            service,
            live: Document::write(&live),
            newest: None,
            named: None,
            progress: None,
            codedeploy: None,
        };
        let service = &observed.service;
        let what = match drift::check(&self.work, &observed) {
            Drift::Ready(work) | Drift::Planned(Some(work)) => return Ok(work),
            Drift::Planned(None) => {
                // Somebody else did it: nothing of it is ours to roll back.
                self.take(drift::rebase_superseding(&self.work, service));
                let wanted = Some(service.task_definition.clone());
                return Err(RolloutResult { wanted, ..RolloutResult::succeeded(service.revision(), None) });
            }
            Drift::Moved(what) => what,
        };
        if self.run.fleet.on_busy == OnBusy::Supersede && service.status == "ACTIVE" && !is_newer {
            return Ok(drift::rebase_superseding(&self.work, service));
        }
        let summary = format!("it changed since the plan was made: {what}; nothing was changed");
        let mut ended = RolloutResult::new(Outcome::Superseded, summary);
        if let Some(reason) = &mut ended.reason {
            reason.help = Some("plan again, and deploy the new plan".to_owned());
        }
        Err(ended)
    }

    /// Looks at the service.
    async fn read_service(&self, permit: &Permit) -> Result<Arc<LiveService>, RolloutResult> {
        for _ in 0..MISSES {
            match self.read(permit, || self.run.watches.read_service(self.target)).await? {
                Some(service) => return Ok(service),
                None => _ = permit.hold(tokio::time::sleep(POLL_INTERVAL)).await,
            }
        }
        Err(RolloutResult::new(
            Outcome::Failed,
            "the service vanished before it was updated: ECS does not know it any more",
        ))
    }

    /// Reads for as long as AWS puts it off and the permit, which has a deadline, is not over.
    async fn read<T, F>(&self, permit: &Permit, read: impl Fn() -> F) -> Result<T, RolloutResult>
    where
        F: Future<Output = Result<T, CallError>>,
    {
        let deadline = permit.deadline().unwrap_or_else(|| Instant::now() + self.target.timeout);
        let answer = tokio::select! {
            biased;
            answer = retry::read(deadline, read) => answer,
            () = permit.ended() => return Err(RolloutResult::stopped(self.run, permit, self.target)),
        };
        answer.map_err(|unread| {
            let Unread::Refused(error) = &unread else { return RolloutResult::not_begun(&unread, self.target) };
            let summary = format!("it could not be read again before its update, and nothing was changed: {error:#}");
            let mut ended = RolloutResult::new(Outcome::Failed, summary);
            if let (Kind::Denied, Some(reason)) = (error.kind, &mut ended.reason) {
                reason.help = Some(denial::help(error, "ecs", self.target));
            }
            ended
        })
    }
}
