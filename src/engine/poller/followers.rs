//! The followers of a poller: who of them is polled next, and which go together in a call.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::aws::ecs::SERVICES_PER_CALL;
use crate::engine::interval::{self, Allowance, Stand};
use crate::engine::poller::snapshot::Snapshot;
use crate::engine::timing::POLL_INTERVAL;
use crate::observe::progress::Progress;

/// A throttled poller looks up to so many times less often.
const MAX_BACKOFF_FACTOR: u32 = 8;
/// How long somebody who wants a look now waits for others who want one: short beside a call.
const GATHER: Duration = Duration::from_millis(20);

/// The allowance of an account and region, for all of its pollers.
pub type SharedAllowance = Arc<Mutex<Allowance>>;

/// How often a service is polled.
#[derive(Clone, Copy, Debug)]
pub enum Pace {
    /// As a rollout is that began then.
    Rollout(Instant),
    /// In a fixed interval.
    Every(Duration),
    /// Once.
    Once,
}

impl Pace {
    /// That of a rollout that begins now.
    pub fn rollout() -> Self {
        Self::Rollout(Instant::now())
    }
}

/// A follower whose service a poll asks for.
#[derive(Debug)]
pub struct Asked {
    pub service: String,
    number: u64,
}

/// Who follows which service of a cluster: the last to join.
#[derive(Debug)]
pub struct Followers {
    by_service: BTreeMap<String, Follower>,
    joined: u64,
    /// How long each service's last rollout took, as far as polls have shown that.
    took: BTreeMap<String, Duration>,
    /// The services whose rollouts have stages.
    staged: BTreeSet<String>,
    /// How many times less often is polled because ECS throttles.
    strain: u32,
    allowance: Allowance,
    /// That of the account and region.
    shared: SharedAllowance,
}

#[derive(Debug)]
struct Follower {
    /// Tells it from those that followed the service before: what was asked for them is not for it.
    number: u64,
    sender: Arc<watch::Sender<Option<Snapshot>>>,
    pace: Pace,
    objects: bool,
    /// Whether a poll for it is under way.
    is_asked: bool,
    /// It wants a look now, whatever the allowance.
    is_urgent: bool,
    /// How its service stood at the last poll.
    stand: Stand,
    /// When it goes along with a poll that is made anyway.
    rides: Instant,
    /// When it is polled at the latest.
    due: Instant,
}

impl Follower {
    fn waits(&mut self, interval: Duration, now: Instant) {
        (self.rides, self.due) = (now + interval / 2, now + interval);
    }
}

impl Followers {
    /// Nobody yet; the pollers of the account and region have `shared`.
    pub fn new(shared: SharedAllowance, now: Instant) -> Self {
        let (by_service, took, staged) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        Self { by_service, joined: 0, took, staged, strain: 1, allowance: Allowance::of_cluster(now), shared }
    }

    /// Adds a follower of a service, in the place of the one that it has. Snapshots are taken out through the sender.
    pub fn join(
        &mut self,
        service: &str,
        pace: Pace,
        objects: bool,
        is_urgent: bool,
    ) -> (watch::Receiver<Option<Snapshot>>, Arc<watch::Sender<Option<Snapshot>>>) {
        let (sender, receiver) = watch::channel(None);
        let sender = Arc::new(sender);
        let taker = Arc::clone(&sender);
        self.joined += 1;
        let (number, now) = (self.joined, Instant::now());
        let stand = if self.staged.contains(service) { Stand::Paused } else { Stand::Starting };
        let (is_asked, rides, due) = (false, now, now + GATHER);
        let mut follower = Follower { number, sender, pace, objects, is_asked, is_urgent, stand, rides, due };
        if !is_urgent {
            // Who joins has just read the service.
            let interval = match pace {
                Pace::Rollout(_) => self.interval(service, pace, stand, now),
                Pace::Every(interval) => interval.min(POLL_INTERVAL),
                Pace::Once => GATHER,
            };
            follower.waits(interval, now);
        }
        self.by_service.insert(service.to_owned(), follower);
        (receiver, taker)
    }

    /// Whether the follower of a service wants its service-deployment object.
    pub fn wants_object(&self, service: &str) -> bool {
        self.by_service.get(service).is_some_and(|follower| follower.objects)
    }

    /// ECS throttles: the account needs its calls for the writes that are still to come.
    pub fn back_off(&mut self) {
        self.strain = (self.strain * 2).min(MAX_BACKOFF_FACTOR);
    }

    /// ECS answers.
    pub fn relax(&mut self) {
        self.strain = 1;
    }

    /// Returns when the next poll begins; `None` where nobody waits for one.
    pub fn next(&mut self, now: Instant) -> Option<Instant> {
        self.by_service.retain(|_, follower| !follower.sender.is_closed());
        let waiting = || self.by_service.iter().filter(|(_, follower)| !follower.is_asked);
        let urgent = waiting().filter(|(_, follower)| follower.is_urgent).map(|(_, follower)| follower.due).min();
        let usual = waiting().filter(|(_, follower)| !follower.is_urgent).min_by_key(|(_, follower)| follower.due);
        let usual = usual.map(|(service, follower)| (follower.due, self.price(service, follower, now)));
        let usual = usual.map(|(due, price)| {
            let wait = self.allowance.wait(price, now).max(self.shared().wait(Allowance::SHARE, now));
            due.max(now + wait)
        });
        urgent.into_iter().chain(usual).min()
    }

    /// Takes who is polled now, a call each, in at most so many calls. Where a call has room, it takes along whose turn comes
    /// soon.
    pub fn take(&mut self, calls: usize, now: Instant) -> Vec<Vec<Asked>> {
        let mut waiting: Vec<(Instant, &String, &Follower)> = self
            .by_service
            .iter()
            .filter(|(_, follower)| !follower.is_asked && follower.rides <= now)
            .map(|(service, follower)| (follower.due, service, follower))
            .collect();
        waiting.sort_unstable_by_key(|(due, service, _)| (*due, *service));
        let due = waiting.iter().filter(|(due, _, _)| *due <= now).count();
        let calls = due.div_ceil(SERVICES_PER_CALL).min(calls);
        waiting.truncate(calls * SERVICES_PER_CALL);
        // Who wants a look now is read before a write, which is no polling.
        let price = waiting.iter().find(|(due, _, follower)| *due <= now && !follower.is_urgent);
        let price = price.map(|(_, service, follower)| self.price(service, follower, now));
        let asked = waiting.iter().map(|(_, service, it)| Asked { service: (*service).clone(), number: it.number });
        let mut asked: Vec<Asked> = asked.collect();
        for one in &asked {
            self.by_service.entry(one.service.clone()).and_modify(|follower| follower.is_asked = true);
        }
        if let Some(price) = price {
            let calls = u32::try_from(calls).unwrap_or(u32::MAX);
            self.allowance.pay(price * calls, now);
            self.shared().pay(Allowance::SHARE * calls, now);
        }
        let mut batches = Vec::new();
        while !asked.is_empty() {
            let rest = asked.split_off(asked.len().min(SERVICES_PER_CALL));
            batches.push(std::mem::replace(&mut asked, rest));
        }
        batches
    }

    /// Passes a snapshot on, unless its follower has gone or was replaced.
    pub fn deliver(&mut self, one: &Asked, look: Snapshot, now: Instant) {
        if let Snapshot::Service(service, _) = &look {
            self.took.extend(service.took.map(|took| (one.service.clone(), took)));
            self.staged.extend(service.has_stages().then(|| one.service.clone()));
        }
        let follower = self.by_service.get(&one.service).filter(|follower| follower.number == one.number);
        let Some((pace, last)) = follower.map(|follower| (follower.pace, follower.stand)) else { return };
        let stand = match &look {
            Snapshot::Service(service, object) => Stand::read(service, object.as_deref().map(Progress::read).as_ref()),
            Snapshot::Missing | Snapshot::NoAnswer(_) => last,
        };
        let interval = match (&look, pace) {
            (Snapshot::Service(..), _) => self.interval(&one.service, pace, stand, now),
            (_, Pace::Every(interval)) => interval,
            (Snapshot::Missing | Snapshot::NoAnswer(_), _) => POLL_INTERVAL,
        };
        let interval = interval * self.strain;
        let Some(follower) = self.by_service.get_mut(&one.service) else { return };
        (follower.is_asked, follower.is_urgent, follower.stand) = (false, false, stand);
        follower.waits(interval, now);
        // A follower that has just gone is no fault: it is forgotten with the next poll.
        follower.sender.send_replace(Some(look));
        if matches!(pace, Pace::Once) {
            self.by_service.remove(&one.service);
        }
    }

    fn interval(&self, service: &str, pace: Pace, stand: Stand, now: Instant) -> Duration {
        match pace {
            Pace::Rollout(since) => {
                interval::of_rollout(now.saturating_duration_since(since), self.took.get(service).copied(), stand)
            }
            Pace::Every(interval) => interval,
            Pace::Once => GATHER,
        }
    }

    /// Returns what a poll of a service costs: less where the cluster takes more than one call.
    fn price(&self, service: &str, follower: &Follower, now: Instant) -> Duration {
        let price = match follower.pace {
            Pace::Rollout(since) => {
                let (elapsed, took) = (now.saturating_duration_since(since), self.took.get(service).copied());
                interval::price(elapsed, took, follower.stand)
            }
            Pace::Every(interval) => interval.min(interval::DEAREST),
            Pace::Once => Duration::ZERO,
        };
        price / u32::try_from(self.by_service.len().div_ceil(SERVICES_PER_CALL)).unwrap_or(u32::MAX).max(1)
    }

    fn shared(&self) -> MutexGuard<'_, Allowance> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn followers() -> Followers {
        let now = Instant::now();
        Followers::new(Arc::new(Mutex::new(Allowance::of_account(now))), now)
    }

    fn is_missing(receiver: &watch::Receiver<Option<Snapshot>>) -> bool {
        matches!(*receiver.borrow(), Some(Snapshot::Missing))
    }

    fn names(batches: &[Vec<Asked>]) -> Vec<Vec<&str>> {
        batches.iter().map(|batch| batch.iter().map(|one| one.service.as_str()).collect()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_that_was_asked_for_earlier_is_not_for_who_joins_later() {
        let (mut followers, now) = (followers(), Instant::now());
        let (first, _) = followers.join("api", Pace::rollout(), true, true);
        let asked = followers.take(1, now + GATHER).remove(0);
        followers.deliver(&asked[0], Snapshot::Missing, now);
        assert!(is_missing(&first));
        let (second, _) = followers.join("api", Pace::rollout(), true, true);
        followers.deliver(&asked[0], Snapshot::Missing, now);
        assert!(!is_missing(&second), "it was asked for before");
        let asked = followers.take(1, now + GATHER).remove(0);
        followers.deliver(&asked[0], Snapshot::Missing, now);
        assert!(is_missing(&second));
        assert!(followers.next(now).is_some());
        drop(second);
        assert!(followers.next(now).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_not_due_goes_along_where_a_call_has_room_and_a_poll_under_way_is_not_repeated() {
        let (mut followers, now) = (followers(), Instant::now());
        followers.took.insert("slow".to_owned(), Duration::from_secs(100));
        let _receivers: Vec<_> =
            ["api", "slow"].map(|service| followers.join(service, Pace::Rollout(now), true, false)).into();
        let at = |millis| now + Duration::from_millis(millis);
        assert_eq!(followers.next(now), Some(at(250)), "nothing is known of it");
        let batches = followers.take(4, at(250));
        assert_eq!(names(&batches), [["api"]]);
        assert_eq!(followers.next(at(250)), Some(at(8_000)), "api is asked for");
        followers.deliver(&batches[0][0], Snapshot::Missing, at(4_000));
        assert_eq!(names(&followers.take(4, at(5_200))), [["api", "slow"]]);
    }

    #[tokio::test(start_paused = true)]
    async fn who_wants_a_look_now_waits_for_no_allowance_and_not_for_the_others() {
        let (mut followers, now) = (followers(), Instant::now());
        followers.allowance.pay(Duration::from_secs(100), now);
        let _usual = followers.join("api", Pace::rollout(), true, false);
        assert!(followers.next(now) > Some(now + Duration::from_secs(80)));
        let _urgent = followers.join("web", Pace::Once, false, true);
        assert_eq!(followers.next(now), Some(now + GATHER));
        assert_eq!(names(&followers.take(4, now + GATHER)), [["web"]]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_clusters_of_an_account_share_what_they_may_call() {
        let now = Instant::now();
        let shared = Arc::new(Mutex::new(Allowance::of_account(now)));
        let mut clusters: Vec<Followers> = (0..40).map(|_| Followers::new(Arc::clone(&shared), now)).collect();
        let receivers: Vec<_> =
            clusters.iter_mut().map(|one| one.join("api", Pace::Every(Duration::ZERO), false, false)).collect();
        let mut calls = 0;
        for millis in 0..10_000 {
            let now = now + Duration::from_millis(millis);
            for cluster in &mut clusters {
                if cluster.next(now).is_some_and(|next| next <= now) {
                    let batches = cluster.take(4, now);
                    calls += batches.len();
                    batches.iter().flatten().for_each(|one| cluster.deliver(one, Snapshot::Missing, now));
                }
            }
        }
        assert!((60..=70).contains(&calls), "{calls} calls in ten seconds");
        drop(receivers);
    }
}
