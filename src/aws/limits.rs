//! How fast an account and region may be called: a token bucket for each of ECS's groups of operations.
//!
//! The figures are a share of what AWS documents, since an account's own users, its autoscaling and its console call
//! too. A bucket slows down when AWS says it is throttled and recovers as calls succeed.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The part of an account's documented rate that one run may use.
const SHARE: f64 = 0.6;
/// However throttled, a bucket lets through one call every two seconds: it must notice when it may go faster.
const SLOWEST: f64 = 0.5;

/// ECS's groups of operations that share a bucket (ECS API Reference, request throttling).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// UpdateService: burst 50, 5 a second. ContinueServiceDeployment, of which no figure is published, goes with it.
    ServiceModify,
    /// DescribeServices, ListServices: burst 100, 20 a second.
    ServiceRead,
    /// ListServiceDeployments, DescribeServiceDeployments: burst 50, 20 a second. DescribeServiceRevisions has the same
    /// of its own; for StopServiceDeployment none is published.
    ServiceDeployment,
    /// RegisterTaskDefinition: burst 20, 1 a second.
    TaskDefinitionModify,
    /// DescribeTaskDefinition: burst 50, 20 a second.
    TaskDefinitionRead,
    /// ListTasks, DescribeTasks: burst 100, 20 a second.
    ClusterResourceRead,
    /// RunTask, StopTask: burst 100, 40 a second.
    ClusterResourceModify,
}

impl Group {
    fn documented(self) -> (f64, f64) {
        match self {
            Self::ServiceModify => (50.0, 5.0),
            Self::ServiceRead | Self::ClusterResourceRead => (100.0, 20.0),
            Self::ClusterResourceModify => (100.0, 40.0),
            Self::ServiceDeployment | Self::TaskDefinitionRead => (50.0, 20.0),
            Self::TaskDefinitionModify => (20.0, 1.0),
        }
    }
}

/// The buckets of one account and region.
#[derive(Debug)]
pub struct Limits {
    buckets: [Mutex<Bucket>; 7],
}

impl Default for Limits {
    fn default() -> Self {
        use Group::{
            ClusterResourceModify, ClusterResourceRead, ServiceDeployment, ServiceModify, ServiceRead,
            TaskDefinitionModify, TaskDefinitionRead,
        };
        // In the order of the enum, which indexes it.
        let groups = [
            ServiceModify,
            ServiceRead,
            ServiceDeployment,
            TaskDefinitionModify,
            TaskDefinitionRead,
            ClusterResourceRead,
            ClusterResourceModify,
        ];
        Self { buckets: groups.map(|group| Mutex::new(Bucket::new(group.documented()))) }
    }
}

impl Limits {
    /// Waits for the group's next token. Callers are served in the order in which they ask.
    pub async fn take(&self, group: Group) {
        let wait = self.with(group, |bucket| bucket.reserve(Instant::now()));
        if !wait.is_zero() {
            let reserved = Reserved { limits: self, group };
            tokio::time::sleep(wait).await;
            std::mem::forget(reserved);
        }
    }

    /// Slows the group down: AWS said that it was throttled.
    pub fn throttled(&self, group: Group) {
        self.with(group, |bucket| bucket.throttled(Instant::now()));
    }

    /// Lets the group recover: a call was answered.
    pub fn answered(&self, group: Group) {
        self.with(group, Bucket::answered);
    }

    fn with<T>(&self, group: Group, act: impl FnOnce(&mut Bucket) -> T) -> T {
        act(&mut self.buckets[group as usize].lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A token that is waited for: whoever stops waiting gives it back.
struct Reserved<'a> {
    limits: &'a Limits,
    group: Group,
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        self.limits.with(self.group, |bucket| bucket.tokens += 1.0);
    }
}

#[derive(Debug)]
struct Bucket {
    burst: f64,
    full_rate: f64,
    rate: f64,
    tokens: f64,
    at: Instant,
}

impl Bucket {
    fn new((burst, rate): (f64, f64)) -> Self {
        let (burst, rate) = (burst * SHARE, rate * SHARE);
        Self { burst, full_rate: rate, rate, tokens: burst, at: Instant::now() }
    }

    /// Takes a token, going below zero, and returns how long its taker must wait for it.
    fn reserve(&mut self, now: Instant) -> Duration {
        self.refill(now);
        self.tokens -= 1.0;
        if self.tokens >= 0.0 { Duration::ZERO } else { Duration::from_secs_f64(-self.tokens / self.rate) }
    }

    fn refill(&mut self, now: Instant) {
        let elapsed = now.duration_since(self.at).as_secs_f64();
        self.tokens = (self.tokens + elapsed * self.rate).min(self.burst);
        self.at = now;
    }

    fn throttled(&mut self, now: Instant) {
        self.refill(now);
        self.tokens = self.tokens.min(0.0);
        self.rate = (self.rate / 2.0).max(SLOWEST.min(self.full_rate));
    }

    fn answered(&mut self) {
        self.rate = (self.rate + self.full_rate * 0.05).min(self.full_rate);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_free_and_then_the_rate_holds() {
        let limits = Limits::default();
        let start = Instant::now();
        for _ in 0..12 {
            limits.take(Group::TaskDefinitionModify).await;
        }
        assert_eq!(start.elapsed(), Duration::ZERO);
        for _ in 0..6 {
            limits.take(Group::TaskDefinitionModify).await;
        }
        assert_eq!(start.elapsed().as_secs(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn who_stops_waiting_gives_the_token_back() {
        let limits = Limits::default();
        for _ in 0..12 {
            limits.take(Group::TaskDefinitionModify).await;
        }
        for _ in 0..100 {
            let soon = tokio::time::timeout(Duration::ZERO, limits.take(Group::TaskDefinitionModify)).await;
            assert!(soon.is_err());
        }
        let start = Instant::now();
        limits.take(Group::TaskDefinitionModify).await;
        assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn throttling_slows_and_answers_restore() {
        let limits = Limits::default();
        for _ in 0..20 {
            limits.throttled(Group::ServiceRead);
        }
        let start = Instant::now();
        limits.take(Group::ServiceRead).await;
        assert_eq!(start.elapsed().as_secs(), 2);
        for _ in 0..20 {
            limits.answered(Group::ServiceRead);
        }
        let start = Instant::now();
        limits.take(Group::ServiceRead).await;
        assert!(start.elapsed() < Duration::from_millis(100), "{:?}", start.elapsed());
    }
}
