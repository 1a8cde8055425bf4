//! One poller for each account, region and cluster, for all of its followed services.
//!
//! A poller describes ten services in each call, and passes each snapshot to the subscribers of the service. It reports what
//! it read, and also that it could not read. The deployment tracker decides what a snapshot means.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::aws::ecs::{Ecs, SERVICES_PER_CALL};
use crate::aws::error::{CallError, Kind};
use crate::engine::last_look::LastLook;
use crate::engine::service_deployments::{ServiceDeployment, ServiceDeploymentReader};
use crate::engine::timing::POLL_INTERVAL;
use crate::fleet::TargetSpec;
use crate::observe::service::{Deployment, LiveService};

/// A throttled poller looks up to so many times less often.
const MAX_BACKOFF_FACTOR: u32 = 8;

/// What a poller saw of a service.
#[derive(Clone, Debug)]
pub enum Snapshot {
    /// The service, and what the service-deployment API says of it where that was asked for.
    Service(Arc<LiveService>, ServiceDeployment),
    /// ECS says that there is no such service.
    Missing,
    /// ECS did not answer, or refused.
    NoAnswer(Arc<CallError>),
}

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
                    true => self.looks = self.watches.follow_now(self.target, POLL_INTERVAL, self.objects),
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
}

#[derive(Debug)]
struct Poller {
    ecs: Arc<Ecs>,
    cluster: String,
    followers: Mutex<Followers>,
    joined: Notify,
    /// Somebody wants a look now.
    hurry: Notify,
    objects: ServiceDeploymentReader,
}

/// Who follows which service: the last to join.
#[derive(Debug, Default)]
struct Followers {
    by_service: BTreeMap<String, Follower>,
    joined: u64,
}

#[derive(Debug)]
struct Follower {
    /// Tells it from those that followed the service before: what was asked for them is not for it.
    number: u64,
    sender: Arc<watch::Sender<Option<Snapshot>>>,
    pace: Duration,
    objects: bool,
}

impl Followers {
    fn join(&mut self, service: &str, pace: Duration, objects: bool) -> Subscription {
        let (sender, receiver) = watch::channel(None);
        let sender = Arc::new(sender);
        self.joined += 1;
        let follower = Follower { number: self.joined, sender: Arc::clone(&sender), pace, objects };
        self.by_service.insert(service.to_owned(), follower);
        Subscription { receiver, sender }
    }

    /// Returns the services that are still followed, each with its follower's number, and the shortest pace among them.
    fn interest(&mut self) -> Option<(Vec<(String, u64)>, Duration)> {
        self.by_service.retain(|_, follower| !follower.sender.is_closed());
        let pace = self.by_service.values().map(|follower| follower.pace).min()?;
        let asked = self.by_service.iter().map(|(service, follower)| (service.clone(), follower.number));
        Some((asked.collect(), pace))
    }

    fn deliver(&self, (service, number): &(String, u64), look: Snapshot) {
        if let Some(follower) = self.by_service.get(service).filter(|follower| follower.number == *number) {
            // A follower that has just gone is no fault: the next round forgets it.
            follower.sender.send_replace(Some(look));
        }
    }
}

impl Pollers {
    /// Starts the poller of a target's account, region and cluster, unless it runs.
    pub fn start(&self, target: &TargetSpec, ecs: &Arc<Ecs>, tasks: &mut JoinSet<()>, stop: &CancellationToken) {
        let mut pollers = self.pollers.lock().unwrap_or_else(PoisonError::into_inner);
        pollers.entry(key(target)).or_insert_with(|| {
            let poller = Arc::new(Poller {
                ecs: Arc::clone(ecs),
                cluster: target.cluster.clone(),
                followers: Mutex::default(),
                joined: Notify::new(),
                hurry: Notify::new(),
                objects: ServiceDeploymentReader::default(),
            });
            let (running, stop) = (Arc::clone(&poller), stop.clone());
            tasks.spawn(async move { stop.run_until_cancelled_owned(running.run()).await.unwrap_or(()) });
            poller
        });
    }

    /// Follows a target's service. With `objects`, a look at a deployment that has stages, or is no longer in progress,
    /// brings its service-deployment object. Every look was asked for after this call. The target's poller has been started.
    pub fn follow(&self, target: &TargetSpec, pace: Duration, objects: bool) -> Subscription {
        let poller = self.poller(target);
        let looks = poller.followers().join(&target.service, pace, objects);
        poller.joined.notify_one();
        looks
    }

    /// The same, with the first look at once, whatever the pace.
    pub fn follow_now(&self, target: &TargetSpec, pace: Duration, objects: bool) -> Subscription {
        let looks = self.follow(target, pace, objects);
        self.poller(target).hurry.notify_one();
        looks
    }

    /// Follows a target's service as a rollout does, until a deadline.
    pub fn follow_until<'a>(&'a self, target: &'a TargetSpec, objects: bool, deadline: Instant) -> SnapshotsUntil<'a> {
        let looks = self.follow(target, POLL_INTERVAL, objects);
        SnapshotsUntil { watches: self, target, objects, deadline, last: LastLook::default(), looks, is_over: false }
    }

    fn poller(&self, target: &TargetSpec) -> Arc<Poller> {
        let pollers = self.pollers.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(pollers.get(&key(target)).expect("the target's poller was started"))
    }
}

fn key(target: &TargetSpec) -> (String, String, String) {
    (target.account.id.to_string(), target.id.region.to_string(), target.cluster.clone())
}

impl Poller {
    async fn run(&self) {
        let mut strain = 1;
        loop {
            let Some((asked, pace)) = self.followers().interest() else {
                self.joined.notified().await;
                // A new subscriber has just read the service, so wait one interval first.
                self.rest(POLL_INTERVAL).await;
                continue;
            };
            let batches: Vec<_> = asked.chunks(SERVICES_PER_CALL).map(|batch| self.poll(batch)).collect();
            // All of them are looked at, also where ECS throttles some.
            let looked = futures::stream::iter(batches).buffer_unordered(4);
            let throttled = looked.fold(false, async |any, throttled| any || throttled).await;
            // An account that is throttled needs its calls for the writes that are still to come.
            strain = if throttled { (strain * 2).min(MAX_BACKOFF_FACTOR) } else { 1 };
            self.rest(pace * strain).await;
        }
    }

    /// Waits, but not where somebody wants a look now.
    async fn rest(&self, length: Duration) {
        _ = tokio::time::timeout(length, self.hurry.notified()).await;
    }

    fn followers(&self) -> MutexGuard<'_, Followers> {
        self.followers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at some services; returns whether ECS throttled it.
    async fn poll(&self, asked: &[(String, u64)]) -> bool {
        let names: Vec<&str> = asked.iter().map(|(name, _)| name.as_str()).collect();
        match self.ecs.look_at_services(&self.cluster, &names).await {
            Ok(answer) => {
                // The answer itself is the largest thing here: none is kept while the next is awaited.
                let services = answer.found.into_iter().map(|service| LiveService::read(&service));
                let mut found: BTreeMap<String, LiveService> =
                    services.map(|service| (service.name.clone(), service)).collect();
                let mut objects = self.objects.read(&self.ecs, &self.wanted(&found), Instant::now()).await;
                for one in asked {
                    let look = match found.remove(&one.0) {
                        Some(service) => {
                            let object = service.service_deployment.as_ref().and_then(|arn| objects.remove(arn));
                            Snapshot::Service(Arc::new(service), object.unwrap_or_default())
                        }
                        None => Snapshot::Missing,
                    };
                    self.followers().deliver(one, look);
                }
                false
            }
            Err(error) => {
                let error = Arc::new(error);
                let followers = self.followers();
                asked.iter().for_each(|one| followers.deliver(one, Snapshot::NoAnswer(Arc::clone(&error))));
                error.kind == Kind::Throttled
            }
        }
    }

    /// Returns the ARNs of the service-deployment objects of those services whose rollout seems over or has stages, and
    /// whose follower wants them.
    fn wanted(&self, found: &BTreeMap<String, LiveService>) -> Vec<String> {
        let followers = self.followers();
        let wanted = found.values().filter(|service| {
            let wants = followers.by_service.get(&service.name).is_some_and(|follower| follower.objects);
            let over = |primary: &Deployment| primary.rollout_state.is_some() && !primary.is("IN_PROGRESS");
            wants && service.primary().is_some_and(|primary| service.has_stages() || over(primary))
        });
        wanted.filter_map(|service| service.service_deployment.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing(looks: &mut Subscription) -> bool {
        matches!(futures::FutureExt::now_or_never(looks.next()), Some(Snapshot::Missing))
    }

    #[test]
    fn a_look_that_was_asked_for_earlier_is_not_for_who_joins_later() {
        let mut followers = Followers::default();
        let mut first = followers.join("api", POLL_INTERVAL, true);
        let (asked, _) = followers.interest().expect("one");
        followers.deliver(&asked[0], Snapshot::Missing);
        assert!(missing(&mut first));
        let mut second = followers.join("api", POLL_INTERVAL, true);
        followers.deliver(&asked[0], Snapshot::Missing);
        assert!(!missing(&mut second), "it was asked for before");
        let (asked, _) = followers.interest().expect("one");
        followers.deliver(&asked[0], Snapshot::Missing);
        assert!(missing(&mut second));
        drop(second);
        assert!(followers.interest().is_none());
    }
}
