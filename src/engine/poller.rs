//! One poller for each account, region and cluster, for all of its followed services.
//!
//! A poller describes ten services in each call, and passes each snapshot to the subscribers of the service. It reports what
//! it read, and also that it could not read. The deployment tracker decides what a snapshot means, and
//! [`crate::engine::interval`] when a service is polled again.

mod followers;
mod snapshot;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::aws::ecs::Ecs;
use crate::aws::error::{CallError, Kind};
use crate::engine::interval::Allowance;
use crate::engine::last_look::LastLook;
pub use crate::engine::poller::followers::Pace;
use crate::engine::poller::followers::{Asked, Followers, SharedAllowance};
pub use crate::engine::poller::snapshot::Snapshot;
use crate::engine::service_deployments::ServiceDeploymentReader;
use crate::fleet::TargetSpec;
use crate::observe::service::{Deployment, LiveService};

/// The calls of a poller that are under way at once.
const CALLS: usize = 4;

/// A stream of looks at one service. Dropping it ends the interest.
#[derive(Debug)]
pub struct Subscription {
    receiver: watch::Receiver<Option<Snapshot>>,
    sender: Arc<watch::Sender<Option<Snapshot>>>,
}

impl Subscription {
    /// Waits for the next look; looks that were not taken in time are replaced by newer ones.
    pub async fn next(&mut self) -> Snapshot {
        loop {
            // Once the poller is gone the run is being torn down, and whoever waits here is about to be dropped.
            let _ = self.receiver.changed().await;
            let mut look = None;
            // It is taken out: with a hundred messages each, the last looks would be most of what a large run holds.
            self.sender.send_if_modified(|latest| {
                look = latest.take();
                false
            });
            if let Some(look) = look {
                return look;
            }
        }
    }
}

/// Looks at one service until a deadline, and a last one that is asked for once it was noticed that this has passed.
#[derive(Debug)]
pub struct SnapshotsUntil<'a> {
    watches: &'a Pollers,
    target: &'a TargetSpec,
    objects: bool,
    deadline: Instant,
    last: LastLook,
    looks: Subscription,
    is_over: bool,
}

impl SnapshotsUntil<'_> {
    /// Waits for the next look; `None` once there was the last one, or no time is left for it.
    pub async fn next(&mut self) -> Option<Snapshot> {
        while !self.is_over {
            tokio::select! {
                biased;
                begins = self.last.next(self.deadline) => match begins {
                    true => self.looks = self.watches.follow_now(self.target, Pace::rollout(), self.objects),
                    false => self.is_over = true,
                },
                look = self.looks.next() => {
                    self.is_over = self.last.is_due() && matches!(look, Snapshot::Service(..));
                    return Some(look);
                }
            }
        }
        None
    }
}

/// All pollers of a run.
#[derive(Debug, Default)]
pub struct Pollers {
    pollers: Mutex<BTreeMap<(String, String, String), Arc<Poller>>>,
    /// What the pollers of an account and region may call together.
    allowances: Mutex<BTreeMap<(String, String), SharedAllowance>>,
}

#[derive(Debug)]
struct Poller {
    ecs: Arc<Ecs>,
    cluster: String,
    followers: Mutex<Followers>,
    joined: Notify,
    objects: ServiceDeploymentReader,
}

impl Pollers {
    /// Starts the poller of a target's account, region and cluster, unless it runs.
    pub fn start(&self, target: &TargetSpec, ecs: &Arc<Ecs>, tasks: &mut JoinSet<()>, stop: &CancellationToken) {
        let mut pollers = self.pollers.lock().unwrap_or_else(PoisonError::into_inner);
        pollers.entry(key(target)).or_insert_with(|| {
            let now = Instant::now();
            let (account, region, cluster) = key(target);
            let mut allowances = self.allowances.lock().unwrap_or_else(PoisonError::into_inner);
            let shared = || Arc::new(Mutex::new(Allowance::of_account(now)));
            let shared = Arc::clone(allowances.entry((account, region)).or_insert_with(shared));
            let poller = Arc::new(Poller {
                ecs: Arc::clone(ecs),
                cluster,
                followers: Mutex::new(Followers::new(shared, now)),
                joined: Notify::new(),
                objects: ServiceDeploymentReader::default(),
            });
            let (running, stop) = (Arc::clone(&poller), stop.clone());
            tasks.spawn(async move { stop.run_until_cancelled_owned(running.run()).await.unwrap_or(()) });
            poller
        });
    }

    /// Follows a target's service. With `objects`, a look at a deployment that has stages, or is no longer in progress,
    /// brings its service-deployment object. Every look was asked for after this call. The target's poller has been started.
    pub fn follow(&self, target: &TargetSpec, pace: Pace, objects: bool) -> Subscription {
        self.join(target, pace, objects, false)
    }

    /// The same, with the first look at once, whatever the pace.
    pub fn follow_now(&self, target: &TargetSpec, pace: Pace, objects: bool) -> Subscription {
        self.join(target, pace, objects, true)
    }

    /// Follows a target's service as a rollout does that has just begun, until a deadline.
    pub fn follow_until<'a>(&'a self, target: &'a TargetSpec, objects: bool, deadline: Instant) -> SnapshotsUntil<'a> {
        let looks = self.follow(target, Pace::rollout(), objects);
        SnapshotsUntil { watches: self, target, objects, deadline, last: LastLook::default(), looks, is_over: false }
    }

    /// Reads a target's service now, and those of the cluster with it that are to be read at the same moment; `None` where
    /// ECS does not know it. Sent once.
    ///
    /// # Errors
    /// ECS did not answer, or refused.
    pub async fn read_service(&self, target: &TargetSpec) -> Result<Option<Arc<LiveService>>, CallError> {
        match self.follow_now(target, Pace::Once, false).next().await {
            Snapshot::Service(service, _) => Ok(Some(service)),
            Snapshot::Missing => Ok(None),
            Snapshot::NoAnswer(error) => Err(CallError::clone(&error)),
        }
    }

    fn join(&self, target: &TargetSpec, pace: Pace, objects: bool, is_urgent: bool) -> Subscription {
        let pollers = self.pollers.lock().unwrap_or_else(PoisonError::into_inner);
        let poller = pollers.get(&key(target)).expect("the target's poller was started");
        let (receiver, sender) = poller.followers().join(&target.service, pace, objects, is_urgent);
        poller.joined.notify_one();
        Subscription { receiver, sender }
    }
}

fn key(target: &TargetSpec) -> (String, String, String) {
    (target.account.id.to_string(), target.id.region.to_string(), target.cluster.clone())
}

impl Poller {
    async fn run(&self) {
        let mut calls = FuturesUnordered::new();
        loop {
            let next = self.followers().next(Instant::now()).filter(|_| calls.len() < CALLS);
            tokio::select! {
                biased;
                Some(()) = calls.next(), if !calls.is_empty() => {}
                () = self.joined.notified() => {}
                () = tokio::time::sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {
                    let batches = self.followers().take(CALLS - calls.len(), Instant::now());
                    calls.extend(batches.into_iter().map(|batch| self.poll(batch)));
                }
            }
        }
    }

    fn followers(&self) -> MutexGuard<'_, Followers> {
        self.followers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at some services.
    async fn poll(&self, asked: Vec<Asked>) {
        let names: Vec<&str> = asked.iter().map(|one| one.service.as_str()).collect();
        match self.ecs.look_at_services(&self.cluster, &names).await {
            Ok(answer) => {
                // The answer itself is the largest thing here: none is kept while the next is awaited.
                let services = answer.found.into_iter().map(|service| LiveService::read(&service));
                let mut found: BTreeMap<String, LiveService> =
                    services.map(|service| (service.name.clone(), service)).collect();
                let mut objects = self.objects.read(&self.ecs, &self.wanted(&found), Instant::now()).await;
                let mut followers = self.followers();
                followers.relax();
                for one in &asked {
                    let look = match found.remove(&one.service) {
                        Some(service) => {
                            let object = service.service_deployment.as_ref().and_then(|arn| objects.remove(arn));
                            Snapshot::Service(Arc::new(service), object.unwrap_or_default())
                        }
                        None => Snapshot::Missing,
                    };
                    followers.deliver(one, look, Instant::now());
                }
            }
            Err(error) => {
                let error = Arc::new(error);
                let mut followers = self.followers();
                if error.kind == Kind::Throttled {
                    followers.back_off();
                }
                for one in &asked {
                    followers.deliver(one, Snapshot::NoAnswer(Arc::clone(&error)), Instant::now());
                }
            }
        }
    }

    /// Returns the ARNs of the service-deployment objects of those services whose rollout seems over or has stages, and
    /// whose follower wants them.
    fn wanted(&self, found: &BTreeMap<String, LiveService>) -> Vec<String> {
        let followers = self.followers();
        let wanted = found.values().filter(|service| {
            let over = |primary: &Deployment| primary.rollout_state.is_some() && !primary.is("IN_PROGRESS");
            let wants = followers.wants_object(&service.name);
            wants && service.primary().is_some_and(|primary| service.has_stages() || over(primary))
        });
        wanted.filter_map(|service| service.service_deployment.clone()).collect()
    }
}
