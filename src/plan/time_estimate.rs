//! How long a plan takes, and whether its worst case fits the time that there is.
//!
//! - Worst case: every rollout takes its whole timeout and still succeeds, and every bake is waited for.
//! - Expected: every rollout takes as long as its service's last one, and none fails.
//! - Limits: the job's own timeout, and the ID token. Role sessions renew themselves as long as the token is valid, so the hour
//!   of a chained session is no limit of its own.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fleet::{Fleet, IdentitySource, OnFailure, Parallelism, Wave};
use crate::plan::build::at_least_one;

/// STS's default, and the most that a chained session may last.
const HOUR: Duration = Duration::from_secs(3600);

/// When what a run needs comes to its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Now.
    pub now: Timestamp,
    /// The ID token's `exp`.
    pub token_expires: Option<Timestamp>,
    /// When GitLab ends the job.
    pub job_ends: Option<Timestamp>,
}

impl Limits {
    /// Reads the job's end from `CI_JOB_STARTED_AT` and `CI_JOB_TIMEOUT`.
    pub fn read(now: Timestamp, token_expires: Option<i64>, variables: &dyn Fn(&str) -> Option<String>) -> Self {
        let started: Option<Timestamp> = variables("CI_JOB_STARTED_AT").and_then(|text| text.trim().parse().ok());
        let timeout: Option<u64> = variables("CI_JOB_TIMEOUT").and_then(|text| text.trim().parse().ok());
        let end = |(started, seconds): (Timestamp, u64)| started.checked_add(Duration::from_secs(seconds)).ok();
        let token_expires = token_expires.and_then(|seconds| Timestamp::from_second(seconds).ok());
        Self { now, token_expires, job_ends: started.zip(timeout).and_then(end) }
    }
}

/// The worst case of a run, and what it has to fit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TimeEstimate {
    /// How long the run can take, up to its end or its first gate.
    pub worst_case_seconds: u64,
    /// How long it takes if every rollout takes as long as its service's last one (or the median of those that are
    /// known); absent where none is known.
    pub expected_seconds: Option<u64>,
    /// The wave whose gate ends it, if one does.
    pub until_gate: Option<String>,
    /// What limits it, the tightest first.
    pub limits: Vec<Limit>,
    /// Whether the worst case fits all of them.
    pub fits: bool,
}

/// One limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Limit {
    /// What it is.
    pub what: Limited,
    /// How much of it is left.
    pub seconds: u64,
}

/// What limits a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Limited {
    /// The ID token, with which sessions are renewed.
    IdToken,
    /// The sessions of the preflight, which outlast the ID token.
    Sessions,
    /// The job's timeout.
    Job,
}

/// How long a wave takes, its bake included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WaveEstimate {
    /// If every rollout takes its whole timeout, and every task its own.
    pub worst: Duration,
    /// If every rollout takes as long as its service's last one.
    pub expected: Option<Duration>,
}

/// A target of a plan, as far as time goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TargetEstimate {
    /// Whether there is something to do.
    pub changes: bool,
    /// How long its service's last rollout took, where that is known.
    pub last: Option<Duration>,
    /// How long the tasks before and after its deployment may take.
    pub tasks: Duration,
}

/// Returns the length of each wave, and of the run that starts with wave `from`. `pace` is indexed as
/// [`Fleet::targets`].
pub fn estimate(
    fleet: &Fleet,
    pace: &[TargetEstimate],
    from: Option<&str>,
    limits: &Limits,
) -> (Vec<WaveEstimate>, TimeEstimate) {
    let usual = median(pace);
    let worst = |index: usize| fleet.targets[index].timeout + pace[index].tasks;
    let waves = fleet.waves.iter().map(|wave| {
        let queue: VecDeque<usize> = wave.targets.iter().copied().filter(|&index| pace[index].changes).collect();
        let expected = usual.map(|usual| {
            let takes = |index: usize| pace[index].last.unwrap_or(usual).min(worst(index));
            length(fleet, wave, queue.clone(), wave.failure_budget().0, &takes)
        });
        // Once the tolerated failures have happened, a strict wave goes one by one. And the targets that fail last are
        // rolled back after their timeouts.
        let back = match wave.on_failure {
            OnFailure::Rollback { timeout, .. } if !queue.is_empty() => timeout,
            OnFailure::Rollback { .. } | OnFailure::Stop => Duration::ZERO,
        };
        WaveEstimate { worst: length(fleet, wave, queue, 0, &worst) + back, expected }
    });
    let waves: Vec<WaveEstimate> = waves.collect();
    let first = from.and_then(|from| fleet.waves.iter().position(|wave| wave.name == from));
    let start = first.unwrap_or_default();
    let has_work = |wave: &Wave| wave.targets.iter().any(|&index| pace[index].changes);
    let is_gated =
        |number: usize, wave: &Wave| wave.gate && first != Some(number) && fleet.waves[number..].iter().any(has_work);
    let gate = fleet.waves.iter().enumerate().skip(start).find(|(number, wave)| is_gated(*number, wave));
    let end = gate.map_or(fleet.waves.len(), |(number, _)| number);
    let run = || waves.iter().take(end).skip(start);
    let worst: Duration = run().map(|wave| wave.worst).sum();
    let expected: Option<Duration> = run().map(|wave| wave.expected).sum();
    let left = |at: Timestamp| u64::try_from(at.as_second() - limits.now.as_second()).unwrap_or_default();
    let mut found: Vec<Limit> = Vec::new();
    if let Some(expires) = limits.token_expires.filter(|_| fleet.identity.source != IdentitySource::Ambient) {
        let hops = fleet.accounts.iter().flat_map(|account| &account.chain.hops);
        let session = hops.map(|hop| hop.duration.unwrap_or(HOUR)).min().unwrap_or(HOUR).as_secs();
        found.push(match left(expires) {
            token if token >= session => Limit { what: Limited::IdToken, seconds: token },
            _ => Limit { what: Limited::Sessions, seconds: session },
        });
    }
    found.extend(limits.job_ends.map(|end| Limit { what: Limited::Job, seconds: left(end) }));
    found.sort_by_key(|limit| limit.seconds);
    let fits = found.iter().all(|limit| worst.as_secs() <= limit.seconds);
    let until_gate = gate.map(|(_, wave)| wave.name.clone());
    let expected_seconds = expected.map(|expected| expected.as_secs());
    (waves, TimeEstimate { worst_case_seconds: worst.as_secs(), expected_seconds, until_gate, limits: found, fits })
}

/// Returns the median of what is known of the last rollouts of the targets that change.
fn median(pace: &[TargetEstimate]) -> Option<Duration> {
    let mut known: Vec<Duration> = pace.iter().filter(|pace| pace.changes).filter_map(|pace| pace.last).collect();
    known.sort_unstable();
    known.get(known.len() / 2).copied()
}

/// Returns how long a wave takes, bake included, whose rollouts take as long as `takes` says. `tolerated` is how many may
/// still fail, which bounds what a strict wave starts at once.
fn length(
    fleet: &Fleet,
    wave: &Wave,
    queue: VecDeque<usize>,
    tolerated: usize,
    takes: &dyn Fn(usize) -> Duration,
) -> Duration {
    if queue.is_empty() {
        return Duration::ZERO;
    }
    let total = wave.targets.len();
    let per_account = wave.max_parallel_per_account.unwrap_or(usize::MAX);
    let most = if wave.strict { tolerated + 1 } else { usize::MAX };
    let mut run = Run { fleet, per_account, takes, now: Duration::ZERO, queue };
    match &wave.max_parallel {
        Parallelism::Window(amount) => run.batch(usize::MAX, at_least_one(*amount, total).min(most)),
        Parallelism::Batches(amounts) => {
            let mut sizes = amounts.iter();
            let mut size = total;
            while !run.queue.is_empty() {
                size = sizes.next().map_or(size, |amount| at_least_one(*amount, total));
                run.batch(size, size.min(most));
            }
        }
    }
    run.now + wave.bake
}

/// Rollouts that start as the engine starts them.
struct Run<'a> {
    fleet: &'a Fleet,
    per_account: usize,
    takes: &'a dyn Fn(usize) -> Duration,
    now: Duration,
    queue: VecDeque<usize>,
}

impl Run<'_> {
    /// Runs up to `most` of the queue, `window` at once, to their ends.
    fn batch(&mut self, most: usize, window: usize) {
        let (mut left, per_account) = (most, self.per_account);
        let mut running: BinaryHeap<Reverse<(Duration, usize)>> = BinaryHeap::new();
        let mut accounts: HashMap<&str, usize> = HashMap::new();
        let account = |index: usize| self.fleet.targets[index].account.id.as_str();
        loop {
            while left > 0 && running.len() < window {
                let free = |&index: &usize| accounts.get(account(index)).copied().unwrap_or_default() < per_account;
                let Some(place) = self.queue.iter().position(free) else { break };
                let Some(index) = self.queue.remove(place) else { break };
                *accounts.entry(account(index)).or_default() += 1;
                running.push(Reverse((self.now + (self.takes)(index), index)));
                left -= 1;
            }
            let Some(Reverse((end, index))) = running.pop() else { break };
            self.now = end;
            if let Some(count) = accounts.get_mut(account(index)) {
                *count -= 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::manifest::load::load_str;

    /// Ten accounts with one service, of which the first is a canary; `rollout` is the manifest's.
    fn fleet(rollout: &str) -> Fleet {
        let mut text = String::from(
            "version: 1\nidentity: { token_env: TOKEN, region: eu-west-1 }\nroles:\n  \
             hub: { arn: \"arn:aws:iam::${account.id}:role/hub\" }\naccounts:\n",
        );
        for number in 0..10 {
            let ring = if number == 0 { "canary" } else { "main" };
            text.push_str(&format!(
                "  - {{ name: a{number}, id: \"{:012}\", chain: [hub], regions: [eu-west-1], labels: {{ ring: {ring} }} }}\n",
                222_222_222_220_u64 + number
            ));
        }
        text.push_str("services:\n  - { name: api, cluster: c, images: { app: r } }\n");
        text.push_str(rollout);
        load_str("deploy.yaml", Path::new("."), &text, &|_| None).unwrap_or_else(|e| panic!("{}", e.render(false, 99)))
    }

    fn minutes(rollout: &str, from: Option<&str>, changes: &dyn Fn(usize) -> bool) -> (Vec<u64>, TimeEstimate) {
        let pace: Vec<TargetEstimate> =
            (0..10).map(|index| TargetEstimate { changes: changes(index), ..TargetEstimate::default() }).collect();
        let (waves, estimate) = estimate(&fleet(rollout), &pace, from, &Limits::default());
        (waves.iter().map(|wave| wave.worst.as_secs() / 60).collect(), estimate)
    }

    /// The last rollouts of the ten took so many minutes; `None` is not known.
    fn expected(rollout: &str, last: [Option<u64>; 10]) -> (Vec<Option<u64>>, Option<u64>) {
        let pace = last.map(|last| TargetEstimate {
            changes: true,
            last: last.map(|it| Duration::from_secs(it * 60)),
            ..TargetEstimate::default()
        });
        let (waves, estimate) = estimate(&fleet(rollout), &pace, None, &Limits::default());
        let minutes = |wave: &WaveEstimate| wave.expected.map(|it| it.as_secs() / 60);
        (waves.iter().map(minutes).collect(), estimate.expected_seconds.map(|seconds| seconds / 60))
    }

    #[test]
    fn a_rollout_is_expected_to_take_as_long_as_the_last_one() {
        let rollout = "rollout:\n  timeout: 10m\n  waves:\n    - { name: canary, select: { ring: canary }, bake: 5m }\n    \
                       - { name: rest, max_parallel: 3 }\n";
        assert_eq!(expected(rollout, [Some(2); 10]), (vec![Some(7), Some(6)], Some(13)));
        // A timeout is the most that any takes, and what is not known takes what is usual.
        let mut last = [Some(1); 10];
        (last[0], last[9]) = (Some(99), None);
        assert_eq!(expected(rollout, last), (vec![Some(15), Some(3)], Some(18)));
        assert_eq!(expected(rollout, [None; 10]), (vec![None, None], None));
        // A strict wave runs as many at once as may still fail, and one.
        let strict = "rollout: { timeout: 10m, waves: [ { name: all, strict: true, max_failures: 4 } ] }\n";
        assert_eq!(expected(strict, [Some(3); 10]), (vec![Some(6)], Some(6)));
    }

    #[test]
    fn a_window_slides_and_batches_wait_for_each_other() {
        let all = |_| true;
        assert_eq!(minutes("rollout: { timeout: 10m }\n", None, &all).0, [10]);
        let rollout = |rest: &str| {
            format!(
                "rollout:\n  timeout: 10m\n  waves:\n    - {{ name: canary, select: {{ ring: canary }}, bake: 5m }}\n    - {{ name: rest, {rest} }}\n"
            )
        };
        assert_eq!(minutes(&rollout("max_parallel: 4"), None, &all).0, [15, 30]);
        assert_eq!(minutes(&rollout("max_parallel: [1, 4]"), None, &all).0, [15, 30]);
        assert_eq!(minutes(&rollout("max_parallel: [1, 2]"), None, &all).0, [15, 50]);
        assert_eq!(minutes(&rollout("strict: true"), None, &all).0, [15, 90]);
        assert_eq!(minutes(&rollout("max_parallel: 4"), None, &|index| index > 7).0, [0, 10]);
        assert_eq!(minutes(&rollout("max_parallel: 4"), None, &all).1.worst_case_seconds, 45 * 60);
    }

    #[test]
    fn a_run_ends_at_a_gate_and_goes_on_from_it() {
        let rollout = "rollout:\n  timeout: 10m\n  waves:\n    - { name: canary, select: { ring: canary } }\n    \
                       - { name: rest, gate: manual }\n";
        let (_, estimate) = minutes(rollout, None, &|_| true);
        assert_eq!((estimate.worst_case_seconds, estimate.until_gate.as_deref()), (600, Some("rest")));
        let (_, estimate) = minutes(rollout, Some("rest"), &|_| true);
        assert_eq!((estimate.worst_case_seconds, estimate.until_gate), (600, None));
        let (_, estimate) = minutes(rollout, None, &|_| false);
        assert_eq!((estimate.worst_case_seconds, estimate.until_gate), (0, None), "a gate before nothing to do");
    }

    #[test]
    fn the_tightest_limit_is_named_and_decides() {
        let now = Timestamp::from_second(1_000_000).expect("a date");
        let at = |seconds: i64| Timestamp::from_second(1_000_000 + seconds).ok();
        let limited = |token, job| {
            let limits = Limits { now, token_expires: token, job_ends: job };
            let (_, estimate) = estimate(
                &fleet("rollout: { timeout: 90m }\n"),
                &[TargetEstimate { changes: true, ..TargetEstimate::default() }; 10],
                None,
                &limits,
            );
            (estimate.limits.iter().map(|limit| (limit.what, limit.seconds)).collect::<Vec<_>>(), estimate.fits)
        };
        assert_eq!(limited(None, None), (vec![], true));
        assert_eq!(limited(at(7200), at(7000)), (vec![(Limited::Job, 7000), (Limited::IdToken, 7200)], true));
        assert_eq!(limited(at(7200), at(5000)), (vec![(Limited::Job, 5000), (Limited::IdToken, 7200)], false));
        assert_eq!(limited(at(5000), None), (vec![(Limited::IdToken, 5000)], false));
        // What the sessions of the preflight last, they last without the token.
        assert_eq!(limited(at(60), None), (vec![(Limited::Sessions, 3600)], false));
        assert_eq!(limited(None, at(-5)), (vec![(Limited::Job, 0)], false));
    }

    #[test]
    fn the_jobs_end_is_read_from_what_gitlab_says() {
        let read = |started: &'static str, timeout: &'static str| {
            let variables = move |name: &str| match name {
                "CI_JOB_STARTED_AT" => Some(started.to_owned()),
                "CI_JOB_TIMEOUT" => Some(timeout.to_owned()),
                _ => None,
            };
            Limits::read(Timestamp::default(), Some(12), &variables)
        };
        let limits = read("2026-11-02T10:00:00Z", "3600");
        assert_eq!(limits.job_ends.map(|end| end.to_string()).as_deref(), Some("2026-11-02T11:00:00Z"));
        assert_eq!(limits.token_expires.map(Timestamp::as_second), Some(12));
        assert_eq!(
            read("2026-11-02T12:00:00+02:00", "60").job_ends.map(|end| end.to_string()).as_deref(),
            Some("2026-11-02T10:01:00Z")
        );
        for (started, timeout) in [
            ("", "3600"),
            ("2026-11-02T10:00:00Z", ""),
            ("yesterday", "1"),
            ("2026-11-02T10:00:00Z", "18446744073709551615"),
        ] {
            assert_eq!(read(started, timeout).job_ends, None, "{started}");
        }
    }
}
