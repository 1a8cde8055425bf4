//! Watching: one poller for each account, region and cluster, however many of its services are followed.
//!
//! A poller describes ten services a call and hands each look to whoever follows the service. It says what it saw, also
//! that it saw nothing; what a look means is decided elsewhere.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use serde_json::Value;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::aws::ecs::{DEPLOYMENTS_PER_CALL, Ecs, SERVICES_PER_CALL};
use crate::aws::error::{CallError, Kind};
use crate::fleet::TargetSpec;
use crate::observe::service::LiveService;

/// How often a rollout is looked at: a finished deployment is noticed within this and one call's time.
pub const ROLLOUT_PACE: Duration = Duration::from_millis(1_200);

/// A throttled poller looks up to so many times less often.
const STRAINED: u32 = 8;

/// After so many lost answers in a row the service-deployment API counts as not there.
const LOST: u32 = 3;

/// What a poller saw of a service.
#[derive(Clone, Debug)]
pub enum Look {
    /// The service, and its service-deployment object where one was asked for and given.
    Service(Arc<LiveService>, Option<Arc<Value>>),
    /// ECS says that there is no such service.
    Missing,
    /// ECS did not answer, or refused.
    NoAnswer(Arc<CallError>),
}

/// A stream of looks at one service. Dropping it ends the interest.
#[derive(Debug)]
pub struct Looks {
    receiver: watch::Receiver<Option<Look>>,
}

impl Looks {
    /// Waits for the next look; looks that were not taken in time are replaced by newer ones.
    pub async fn next(&mut self) -> Look {
        match self.receiver.changed().await {
            Ok(()) => self.receiver.borrow_and_update().clone().expect("a sent look is there"),
            // The poller is gone: the run is being torn down, and whoever waits here is about to be dropped.
            Err(_) => std::future::pending().await,
        }
    }
}

/// All pollers of a run.
#[derive(Debug, Default)]
pub struct Watches {
    pollers: Mutex<BTreeMap<(String, String, String), Arc<Poller>>>,
}

#[derive(Debug)]
struct Poller {
    ecs: Arc<Ecs>,
    cluster: String,
    followers: Mutex<BTreeMap<String, Follower>>,
    joined: Notify,
    /// Cleared once the service-deployment API refuses or fails: the rest goes by DescribeServices alone.
    objects: AtomicBool,
    /// How many of its answers were lost in a row.
    lost: AtomicU32,
}

#[derive(Debug)]
struct Follower {
    sender: watch::Sender<Option<Look>>,
    pace: Duration,
    objects: bool,
}

impl Watches {
    /// Starts the poller of a target's account, region and cluster, unless it runs.
    pub fn start(&self, target: &TargetSpec, ecs: &Arc<Ecs>, tasks: &mut JoinSet<()>, stop: &CancellationToken) {
        let mut pollers = self.pollers.lock().unwrap_or_else(PoisonError::into_inner);
        pollers.entry(key(target)).or_insert_with(|| {
            let poller = Arc::new(Poller {
                ecs: Arc::clone(ecs),
                cluster: target.cluster.clone(),
                followers: Mutex::default(),
                joined: Notify::new(),
                objects: AtomicBool::new(true),
                lost: AtomicU32::new(0),
            });
            let (running, stop) = (Arc::clone(&poller), stop.clone());
            tasks.spawn(async move { stop.run_until_cancelled_owned(running.run()).await.unwrap_or(()) });
            poller
        });
    }

    /// Follows a target's service. With `objects`, a look at a deployment that has stages, or is no longer in progress,
    /// brings its service-deployment object. The target's poller has been started.
    pub fn follow(&self, target: &TargetSpec, pace: Duration, objects: bool) -> Looks {
        let pollers = self.pollers.lock().unwrap_or_else(PoisonError::into_inner);
        let poller = pollers.get(&key(target)).expect("the target's poller was started");
        let (sender, receiver) = watch::channel(None);
        let mut followers = poller.followers.lock().unwrap_or_else(PoisonError::into_inner);
        followers.insert(target.service.clone(), Follower { sender, pace, objects });
        poller.joined.notify_one();
        Looks { receiver }
    }
}

fn key(target: &TargetSpec) -> (String, String, String) {
    (target.account.id.to_string(), target.id.region.to_string(), target.cluster.clone())
}

impl Poller {
    async fn run(&self) {
        let mut strain = 1;
        loop {
            let Some((names, pace)) = self.interest() else {
                self.joined.notified().await;
                // Who joins has just had an answer from ECS: the next news is a pace away.
                tokio::time::sleep(ROLLOUT_PACE).await;
                continue;
            };
            let batches: Vec<_> = names.chunks(SERVICES_PER_CALL).map(|names| self.look(names)).collect();
            let throttled = futures::stream::iter(batches).buffer_unordered(4).any(std::future::ready).await;
            // An account that is throttled needs its calls for the writes that are still to come.
            strain = if throttled { (strain * 2).min(STRAINED) } else { 1 };
            tokio::time::sleep(pace * strain).await;
        }
    }

    /// Returns the services that are still followed, and the shortest pace among them.
    fn interest(&self) -> Option<(Vec<String>, Duration)> {
        let mut followers = self.followers.lock().unwrap_or_else(PoisonError::into_inner);
        followers.retain(|_, follower| !follower.sender.is_closed());
        let pace = followers.values().map(|follower| follower.pace).min()?;
        Some((followers.keys().cloned().collect(), pace))
    }

    /// Looks at some services; returns whether ECS throttled it.
    async fn look(&self, names: &[String]) -> bool {
        let asked: Vec<&str> = names.iter().map(String::as_str).collect();
        match self.ecs.look_at_services(&self.cluster, &asked).await {
            Ok(answer) => {
                // The answer itself is the largest thing here: none is kept while the next is awaited.
                let services = answer.found.into_iter().map(|service| LiveService::read(&service));
                let mut found: BTreeMap<String, LiveService> =
                    services.map(|service| (service.name.clone(), service)).collect();
                let objects = self.service_deployments(&found).await;
                for name in names {
                    let look = match found.remove(name) {
                        Some(service) => {
                            let object = service.service_deployment.as_ref().and_then(|arn| objects.get(arn)).cloned();
                            Look::Service(Arc::new(service), object)
                        }
                        None => Look::Missing,
                    };
                    self.send(name, look);
                }
                false
            }
            Err(error) => {
                let error = Arc::new(error);
                names.iter().for_each(|name| self.send(name, Look::NoAnswer(Arc::clone(&error))));
                error.kind == Kind::Throttled
            }
        }
    }

    /// Reads the service-deployment objects of those services whose rollout seems over or has stages, where the API
    /// answers.
    async fn service_deployments(&self, found: &BTreeMap<String, LiveService>) -> BTreeMap<String, Arc<Value>> {
        let wanted: Vec<&str> = {
            let followers = self.followers.lock().unwrap_or_else(PoisonError::into_inner);
            let over = found.iter().filter(|(name, service)| {
                let primary = service.primary();
                followers.get(*name).is_some_and(|follower| follower.objects)
                    && primary.is_some_and(|primary| {
                        service.has_stages() || primary.rollout_state.is_some() && !primary.is("IN_PROGRESS")
                    })
            });
            over.filter_map(|(_, service)| service.service_deployment.as_deref()).collect()
        };
        let mut objects = BTreeMap::new();
        for arns in wanted.chunks(DEPLOYMENTS_PER_CALL) {
            if !self.objects.load(Ordering::Relaxed) {
                break;
            }
            match self.ecs.describe_service_deployments(arns).await {
                Ok(described) => {
                    self.lost.store(0, Ordering::Relaxed);
                    objects.extend(described.into_iter().filter_map(|object| {
                        Some((object["serviceDeploymentArn"].as_str()?.to_owned(), Arc::new(object)))
                    }));
                }
                Err(error) if error.kind == Kind::Throttled => {}
                // One answer that is lost takes no stage away for good.
                Err(error) if error.kind == Kind::Unknown => {
                    if self.lost.fetch_add(1, Ordering::Relaxed) + 1 >= LOST {
                        self.objects.store(false, Ordering::Relaxed);
                    }
                }
                Err(_) => self.objects.store(false, Ordering::Relaxed),
            }
        }
        objects
    }

    fn send(&self, name: &str, look: Look) {
        let followers = self.followers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(follower) = followers.get(name) {
            // A follower that has just gone is no fault: the next round forgets it.
            follower.sender.send_replace(Some(look));
        }
    }
}
