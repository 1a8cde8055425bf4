//! When a service is polled next: from what is known of its rollout to the next interval. Pure; what a snapshot means is the
//! deployment tracker's.
//!
//! Polls are rare while the rollout cannot be over yet, and frequent around the time that the service's last rollout took. An
//! allowance bounds the calls of a cluster, whatever its rollouts do, and another one those of an account and region.

use std::time::Duration;

use tokio::time::Instant;

use crate::observe::progress::Progress;
use crate::observe::service::{Deployment, LiveService};

/// The longest interval: a deployment that fails is noticed within this, and after half of it on average.
pub const LONGEST: Duration = Duration::from_secs(8);
/// The shortest one: of a rollout that takes some seconds.
const SHORTEST: Duration = Duration::from_millis(250);
/// The longest interval where the end is near: half of it is the time after which an end is noticed.
const NEAR: Duration = Duration::from_secs(2);
/// Where the end is near, this part of the time that the rollout takes is one interval.
const NEAR_PART: f64 = 1.0 / 120.0;
/// A rollout takes as long as the service's last one, give or take this part of it.
const SPREAD: f64 = 0.1;
/// The interval where tasks fail: the circuit breaker may end the deployment with each of them.
const FAILING: Duration = Duration::from_secs(4);
/// The interval where stages follow each other: one that is shorter may not be seen.
const MOVING: Duration = Duration::from_secs(3);
/// The price of a poll of a rollout of minutes.
pub const DEAREST: Duration = Duration::from_secs(4);
/// The interval where ECS says that the deployment is over, and that is not certain yet.
const UNCERTAIN: Duration = Duration::from_millis(1_200);

/// What a poll saw of a service whose rollout is followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stand {
    /// Nothing was seen, or its tasks do not all run, or those of another deployment still do.
    #[default]
    Starting,
    /// Tasks of it failed.
    Failing,
    /// Its tasks run and no others: it may be over at any moment.
    Closing,
    /// It goes from stage to stage.
    Moving,
    /// It is at a stage for longer: its tasks start, it waits at a hook, or it bakes.
    Paused,
    /// ECS says that it is over. If that was the end, nobody follows it any more.
    Over,
}

impl Stand {
    /// Reads it from the deployment that is PRIMARY, and from how far its stages are.
    pub fn read(service: &LiveService, stages: Option<&Progress>) -> Self {
        let Some(primary) = service.primary() else { return Self::Starting };
        let is_full = primary.tasks.running >= primary.tasks.desired && primary.tasks.pending == 0;
        let is_other = |one: &Deployment| one.id != primary.id && one.tasks.running > 0;
        let is_over = primary.rollout_state.is_some() && !primary.is("IN_PROGRESS");
        let stays = |it: &Progress| it.waiting().next().is_some() || it.stage.as_deref() == Some("BAKE_TIME");
        if primary.is("FAILED") || is_over && is_full {
            Self::Over
        } else if primary.tasks.failed > 0 {
            Self::Failing
        } else if service.has_stages() {
            if is_full && !stages.is_some_and(stays) { Self::Moving } else { Self::Paused }
        } else if is_full && !service.deployments.iter().any(is_other) {
            Self::Closing
        } else {
            Self::Starting
        }
    }
}

/// Returns the time until the next poll of a rollout that began so long ago. `expected` is how long the service's last one
/// took, where that is known.
pub fn of_rollout(elapsed: Duration, expected: Option<Duration>, stand: Stand) -> Duration {
    let near = takes(elapsed, expected).mul_f64(NEAR_PART).clamp(SHORTEST, NEAR);
    let usual = match expected {
        Some(expected) if elapsed < expected.mul_f64(1.0 - SPREAD) => expected.mul_f64(1.0 - SPREAD) - elapsed,
        Some(expected) if elapsed <= expected.mul_f64(1.0 + SPREAD) => near,
        _ if stand == Stand::Closing => near,
        // The longer it has taken, the longer it may go on.
        known => (elapsed - known.unwrap_or_default().min(elapsed)) / 2,
    };
    let usual = usual.clamp(near, LONGEST);
    match stand {
        Stand::Starting | Stand::Closing => usual,
        Stand::Failing => usual.min(FAILING),
        Stand::Moving => usual.min(of_unknown(elapsed, MOVING)),
        Stand::Paused => usual.min(of_unknown(elapsed, LONGEST)),
        Stand::Over => near.min(UNCERTAIN),
    }
}

/// Returns the time until the next poll of a task, or of a deployment by CodeDeploy, that began so long ago.
pub fn of_task(elapsed: Duration) -> Duration {
    of_unknown(elapsed, Duration::from_secs(3))
}

/// Returns the interval of what may end or go on at any moment.
fn of_unknown(elapsed: Duration, most: Duration) -> Duration {
    (elapsed / 8).clamp(2 * SHORTEST, most)
}

/// Returns what a poll of a rollout costs of its cluster's [`Allowance`], and so how often it is polled in the long run.
pub fn price(elapsed: Duration, expected: Option<Duration>, stand: Stand) -> Duration {
    let most = if stand == Stand::Moving { MOVING } else { DEAREST };
    (takes(elapsed, expected) / 60).clamp(Duration::from_millis(400), most)
}

/// Returns how long a rollout takes, as far as is known.
fn takes(elapsed: Duration, expected: Option<Duration>) -> Duration {
    expected.map_or(elapsed, |expected| expected.max(elapsed))
}

/// The calls that polls may still make. It grows by a second a second, and each call costs its price. What is not used is
/// kept for later, up to a limit.
#[derive(Debug)]
pub struct Allowance {
    seconds: f64,
    most: f64,
    at: Instant,
}

impl Allowance {
    /// That of a cluster: at a price of four seconds, a call in four seconds, and at most thirty that were not made before.
    pub fn of_cluster(now: Instant) -> Self {
        Self { seconds: 8.0, most: 120.0, at: now }
    }

    /// That of an account and region, at [`Allowance::SHARE`] a call: five calls a second, a quarter of what AWS documents
    /// for DescribeServices, and at most twenty at once. The rest is left to writes, other pipelines and people.
    pub fn of_account(now: Instant) -> Self {
        Self { seconds: 4.0, most: 4.0, at: now }
    }

    /// The price of a call in [`Self::of_account`].
    pub const SHARE: Duration = Duration::from_millis(200);

    /// Returns how long a call of this price waits.
    pub fn wait(&mut self, price: Duration, now: Instant) -> Duration {
        self.grow(now);
        Duration::from_secs_f64((price.as_secs_f64() - self.seconds).max(0.0))
    }

    /// Pays for calls, also for those that could not wait: the next ones wait the longer.
    pub fn pay(&mut self, price: Duration, now: Instant) {
        self.grow(now);
        self.seconds -= price.as_secs_f64();
    }

    fn grow(&mut self, now: Instant) {
        self.seconds = (self.seconds + now.saturating_duration_since(self.at).as_secs_f64()).min(self.most);
        self.at = self.at.max(now);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    /// The moments at which a rollout is polled that takes so long: its tasks all run in the last `closing` of it.
    fn polls(takes: f64, closing: f64, expected: Option<f64>) -> Vec<f64> {
        let (mut at, mut polls, start) = (0.0, Vec::new(), Instant::now());
        let mut allowance = Allowance::of_cluster(start);
        while at < takes {
            let stand = if at > takes - closing { Stand::Closing } else { Stand::Starting };
            at += of_rollout(seconds(at), expected.map(seconds), stand).as_secs_f64();
            let price = price(seconds(at), expected.map(seconds), stand);
            at += allowance.wait(price, start + seconds(at)).as_secs_f64() + 1e-6;
            allowance.pay(price, start + seconds(at));
            polls.push(at);
        }
        polls
    }

    proptest! {
        #[test]
        fn an_end_is_noticed_within_the_longest_interval(
            takes in 1.0..3_000.0_f64, part in 0.0..1.0_f64, known in proptest::option::of(1.0..3_000.0_f64),
        ) {
            let last = polls(takes, takes * part, known).pop().expect("one");
            prop_assert!(last - takes <= LONGEST.as_secs_f64() + 0.01, "{}", last - takes);
        }

        #[test]
        fn a_rollout_of_minutes_costs_no_more_than_a_call_in_four_seconds(
            takes in 240.0..3_000.0_f64, off in 0.9..1.1_f64, part in 0.0..1.0_f64,
        ) {
            let polls = polls(takes, takes * part, Some(takes * off)).len();
            prop_assert!(polls as f64 <= takes / 4.0 + 1.0, "{polls} in {takes} s");
        }

        #[test]
        fn an_allowance_is_never_exceeded_by_more_than_it_keeps(
            waits in proptest::collection::vec(0.0..9.0_f64, 1..300), price in 0.4..4.0_f64,
        ) {
            let start = Instant::now();
            let (mut allowance, mut at) = (Allowance::of_cluster(start), 0.0);
            for (calls, wait) in waits.into_iter().enumerate() {
                prop_assert!(calls as f64 * price <= 8.0 + at + 0.01, "{calls} calls in {at} s");
                at += wait;
                at += allowance.wait(seconds(price), start + seconds(at)).as_secs_f64() + 1e-6;
                allowance.pay(seconds(price), start + seconds(at));
            }
        }
    }

    #[test]
    fn polls_are_rare_at_first_and_frequent_around_the_expected_end() {
        let of = |elapsed, expected, stand| of_rollout(seconds(elapsed), expected, stand).as_millis();
        let four_minutes = Some(Duration::from_secs(240));
        for (elapsed, stand, expected, millis) in [
            (0.0, Stand::Starting, four_minutes, 8_000),
            (150.0, Stand::Closing, four_minutes, 8_000),
            (150.0, Stand::Failing, four_minutes, 4_000),
            (150.0, Stand::Over, four_minutes, 1_200),
            (150.0, Stand::Moving, four_minutes, 3_000),
            (150.0, Stand::Paused, four_minutes, 8_000),
            (8.0, Stand::Paused, four_minutes, 1_000),
            (212.0, Stand::Starting, four_minutes, 4_000),
            (240.0, Stand::Starting, four_minutes, 2_000),
            (270.0, Stand::Starting, four_minutes, 8_000),
            (270.0, Stand::Closing, four_minutes, 2_000),
            // A rollout of seconds, as the sandbox's.
            (0.0, Stand::Starting, Some(Duration::from_secs(2)), 1_800),
            (2.0, Stand::Starting, Some(Duration::from_secs(2)), 250),
            // Nothing is known.
            (0.0, Stand::Starting, None, 250),
            (2.0, Stand::Starting, None, 1_000),
            (2.0, Stand::Closing, None, 250),
            (90.0, Stand::Starting, None, 8_000),
        ] {
            assert_eq!(of(elapsed, expected, stand), millis, "{stand:?} after {elapsed} s of {expected:?}");
        }
    }

    #[test]
    fn what_is_closing_has_all_of_its_tasks_and_no_others() {
        let stand = |primary: serde_json::Value, old: u32| {
            let mut primary = primary;
            (primary["id"], primary["status"]) = (json!("ecs-svc/2"), json!("PRIMARY"));
            let old = json!({ "id": "ecs-svc/1", "status": "ACTIVE", "runningCount": old });
            Stand::read(&LiveService::read(&json!({ "deployments": [primary, old] })), None)
        };
        let tasks = |state: &str, desired: u32, running: u32, failed: u32| json!({ "rolloutState": state, "desiredCount": desired, "runningCount": running, "failedTasks": failed });
        assert_eq!(stand(tasks("IN_PROGRESS", 2, 1, 0), 2), Stand::Starting);
        assert_eq!(stand(tasks("IN_PROGRESS", 2, 2, 0), 2), Stand::Starting, "the old tasks still run");
        assert_eq!(stand(tasks("IN_PROGRESS", 0, 0, 0), 2), Stand::Starting, "right after UpdateService");
        assert_eq!(stand(tasks("IN_PROGRESS", 2, 2, 0), 0), Stand::Closing);
        assert_eq!(stand(tasks("IN_PROGRESS", 2, 1, 1), 2), Stand::Failing);
        assert_eq!(stand(tasks("COMPLETED", 2, 2, 0), 0), Stand::Over);
        assert_eq!(stand(tasks("COMPLETED", 4, 2, 0), 0), Stand::Starting, "it is scaled out");
        assert_eq!(stand(tasks("FAILED", 2, 0, 3), 2), Stand::Over);
    }
}
