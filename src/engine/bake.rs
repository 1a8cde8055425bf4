//! The bake: for some time after a wave's last success, every deployed target must stay healthy.
//!
//! The poll at the end decides. A target that cannot be read at the end is inconclusive, and counts as degraded.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::time::Instant;

use crate::base::text::count;
use crate::engine::alarms::{AlarmStates, AlarmSubscription, Alarms};
use crate::engine::context::Run;
use crate::engine::evidence;
use crate::engine::evidence::Found;
use crate::engine::hints::{RESTORE, STILL_RUNS};
use crate::engine::last_look::LastLook;
use crate::engine::messages::Messages;
use crate::engine::poller::{Pace, Snapshot};
use crate::engine::rollback::succeeded::{Deployed, SucceededRollbacks};
use crate::engine::timing::{MISSES, POLL_INTERVAL};
use crate::engine::wave::WaveEnd;
use crate::event::{Event, Evidence, Reason};
use crate::fleet::{Revision, Scope, TargetSpec, Wave};
use crate::observe::service::LiveService;

/// A task may be replaced for good reasons: missing tasks count once they have been missing for so long, and a look that is
/// missing at the end of a bake is waited for so long.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// How often a baking target is looked at.
const INTERVAL: Duration = Duration::from_secs(5);
/// Why nothing is known where nobody said why.
const UNSEEN: &str = "it could not be read";

/// Watches the wave's deployed targets through its bake, and counts those that degrade as failures. If the wave rolls back,
/// degraded targets are rolled back at once. If its scope also rolls back the targets that succeeded, the bake ends as soon
/// as the failure budget is exceeded.
pub async fn bake(run: &Arc<Run>, wave: &Wave, end: &mut WaveEnd) {
    let deadline = Instant::now() + wave.bake;
    run.emit(Event::BakeStarted { wave: wave.name.clone(), seconds: wave.bake.as_secs() }).await;
    let deployed = end.deployed.clone();
    let alarms = Alarms::collect(run, deployed.iter().map(|(index, _)| &run.fleet.targets[*index]));
    let targets = deployed.iter().map(|deployed| {
        let target = &run.fleet.targets[deployed.0];
        let alarms = alarms.follow(target);
        async move { (deployed, watch(run, deployed, alarms, deadline, wave.bake).await) }
    });
    let mut watching = std::pin::pin!(alarms.watch(wave.bake));
    let mut baking: FuturesUnordered<_> = targets.collect();
    let mut returns = SucceededRollbacks::new(run, wave.on_failure);
    while !baking.is_empty() {
        let (deployed, reason) = tokio::select! {
            biased;
            () = run.cancel.cancelled() => break,
            _ = returns.next(), if !returns.is_empty() => continue,
            () = &mut watching => continue,
            ended = baking.next() => match ended {
                Some((deployed, Some(reason))) => (deployed, reason),
                Some((_, None)) => continue,
                None => break,
            },
        };
        let target = &run.fleet.targets[deployed.0].id;
        end.failed += 1;
        end.first_failure.get_or_insert_with(|| target.clone());
        end.deployed.retain(|(index, _)| *index != deployed.0);
        run.emit(Event::TargetDegraded { target: target.clone(), reason: reason.clone() }).await;
        if wave.on_failure.scope().is_some() {
            returns.start(deployed.clone(), None, reason);
        }
        if end.failed == wave.failure_budget().0 + 1 {
            run.halted(wave, end).await;
            if wave.on_failure.scope().is_some_and(|scope| scope > Scope::Target) {
                break;
            }
        }
    }
    drop(baking);
    returns.finish().await;
}

/// Returns why a target did not stay healthy, or `None` once a look at the end of the bake shows that it did.
async fn watch(
    run: &Run,
    (index, deployment): &Deployed,
    mut alarms: Option<AlarmSubscription>,
    deadline: Instant,
    bake: Duration,
) -> Option<Reason> {
    let target = &run.fleet.targets[*index];
    let pace = (bake / 4).clamp(Duration::from_millis(500), INTERVAL);
    let mut looks = run.watches.follow(target, Pace::Every(pace), false);
    let mut health = Health::new(deployment.as_deref());
    let mut sight_of_alarms = alarms.is_some().then(AlarmVisibility::new);
    // What is not full when the bake begins has as long for that as its deployment had.
    let full = Instant::now() + target.timeout;
    // When it was noticed that the bake's time is over.
    let mut over: Option<Instant> = None;
    let mut last = LastLook::default();
    let wrong = loop {
        let patience = over.unwrap_or(deadline) + READ_TIMEOUT;
        let end = if health.is_filling() { full.max(patience) } else { patience };
        let conclusion = |health: &Health<'_>, sight: Option<&AlarmVisibility>| {
            let blind = sight.and_then(|sight| sight.is_blind(bake));
            let unseen =
                health.unseen.as_deref().or(blind).map(|because| Wrong::Unseen(format!("inconclusive: {because}")));
            unseen.or_else(|| health.missing_tasks().map(Wrong::Seen))
        };
        tokio::select! {
            biased;
            look = looks.next() => {
                if let Snapshot::NoAnswer(error) = &look {
                    run.lost_session(target, error).await;
                }
                let is_last = last.is_due() && matches!(look, Snapshot::Service(..));
                if let Some(summary) = health.observe(look, Instant::now()) {
                    break Some(Wrong::Seen(summary));
                }
                if is_last {
                    break conclusion(&health, sight_of_alarms.as_ref());
                }
            }
            seen = next(&mut alarms) => match seen {
                AlarmStates::Calm => sight_of_alarms = Some(AlarmVisibility::clear()),
                AlarmStates::Raised(reason) => return Some(reason),
                AlarmStates::Unknown(because) => sight_of_alarms.get_or_insert_with(AlarmVisibility::new).lost(because),
            },
            () = tokio::time::sleep_until(deadline), if over.is_none() => {
                over = Some(Instant::now());
                health.ends();
                looks = run.watches.follow_now(target, Pace::Every(POLL_INTERVAL), false);
            }
            begins = last.next(end) => match begins {
                true => looks = run.watches.follow_now(target, Pace::Every(POLL_INTERVAL), false),
                false => break conclusion(&health, sight_of_alarms.as_ref()),
            },
        }
        let sees_alarms = || sight_of_alarms.as_ref().is_none_or(|sight| sight.is_blind(bake).is_none());
        if over.is_some() && health.is_good() && sees_alarms() {
            return None;
        }
    };
    match wrong {
        // On the heap while it lasts: nearly every target that bakes only waits.
        Some(wrong) => Some(Box::pin(explain(run, target, &health, wrong)).await),
        None => None,
    }
}

/// What is wrong with a target.
enum Wrong {
    /// What its last look showed.
    Seen(String),
    /// That it could not be seen.
    Unseen(String),
}

/// Says what is wrong with a target, with all that can be found about it, and what it runs.
async fn explain(run: &Run, target: &TargetSpec, health: &Health<'_>, wrong: Wrong) -> Reason {
    let (ecs, none) = (run.ecs(target), Vec::new());
    let found = tokio::select! {
        biased;
        () = run.cancel.cancelled() => Found::default(),
        found = evidence::gather(&ecs, target, health.deployment, &health.messages, none) => found,
    };
    let runs = health.runs.as_ref().map(|revision| Evidence {
        cause: Some(STILL_RUNS.to_owned()),
        ..format!("{revision} still runs in {}", target.id.account).into()
    });
    let found = found.also(runs.into_iter().collect());
    let reason = match wrong {
        Wrong::Seen(summary) => found.reason_after(summary.into()),
        Wrong::Unseen(summary) => found.into_reason(summary.into()),
    };
    Reason { help: Some(RESTORE.to_owned()), ..reason }
}

async fn next(alarms: &mut Option<AlarmSubscription>) -> AlarmStates {
    match alarms {
        Some(looks) => looks.next().await,
        None => std::future::pending().await,
    }
}

/// Since when no alarm could be seen, and why.
struct AlarmVisibility {
    since: Instant,
    lost: Option<String>,
}

impl AlarmVisibility {
    /// Nothing was seen yet.
    fn new() -> Self {
        Self { lost: Some(UNSEEN.to_owned()), ..Self::clear() }
    }

    fn clear() -> Self {
        Self { since: Instant::now(), lost: None }
    }

    fn lost(&mut self, because: String) {
        self.lost = Some(because);
    }

    /// Returns why nothing was seen for the last part of a bake; blind for most of it is not a pass.
    fn is_blind(&self, bake: Duration) -> Option<&str> {
        let limit = (bake / 2).min(READ_TIMEOUT);
        let because = self.lost.as_deref().unwrap_or(UNSEEN);
        (self.since.elapsed() >= limit).then_some(because)
    }
}

/// What the looks at one target come to.
struct Health<'a> {
    /// Our deployment, where there is one.
    deployment: Option<&'a str>,
    /// How many tasks must run: the fewest that were wanted since the bake began, since what is scaled out takes its time.
    due: u32,
    /// Whether it is still being filled up, as is what ECS calls a success early, and what is scaled out as the bake begins;
    /// `None` before the first look.
    filling: Option<bool>,
    /// How many of its tasks run.
    running: u32,
    /// Since when these are too few.
    short_since: Option<Instant>,
    failed_before: Option<u32>,
    misses: u32,
    /// ECS's messages since the bake began.
    messages: Messages,
    /// The revision that the service runs.
    runs: Option<Revision>,
    /// Why the last look showed nothing.
    unseen: Option<String>,
}

impl<'a> Health<'a> {
    fn new(deployment: Option<&'a str>) -> Self {
        Self {
            deployment,
            due: u32::MAX,
            filling: None,
            running: 0,
            short_since: None,
            failed_before: None,
            misses: 0,
            messages: Messages::default(),
            runs: None,
            unseen: Some(UNSEEN.to_owned()),
        }
    }

    /// Takes in a look; returns what is wrong.
    fn observe(&mut self, look: Snapshot, now: Instant) -> Option<String> {
        let service = match look {
            Snapshot::Service(service, _) => service,
            Snapshot::Missing => {
                self.misses += 1;
                self.unseen = Some("ECS does not find the service".to_owned());
                return (self.misses == MISSES).then(|| "the service vanished".to_owned());
            }
            Snapshot::NoAnswer(error) => {
                self.unseen = Some(format!("{error:#}"));
                return None;
            }
        };
        (self.misses, self.unseen) = (0, None);
        self.messages.take(&service);
        self.runs = service.primary().and_then(|primary| primary.revision());
        let broken = broken(&service, self.deployment, &mut self.failed_before);
        if broken.is_some() {
            return broken;
        }
        self.due = self.due.min(service.desired);
        self.running = service.primary().map_or(service.running, |primary| primary.tasks.running);
        let short = self.running < self.due;
        self.filling = Some(short && self.filling.unwrap_or(true));
        self.short_since = short.then(|| self.short_since.unwrap_or(now));
        let missing = self.short_since.is_some_and(|since| now.duration_since(since) >= READ_TIMEOUT);
        self.missing_tasks().filter(|_| missing && !self.is_filling())
    }

    /// The bake's time is over: the next look has the last word.
    fn ends(&mut self) {
        self.unseen.get_or_insert_with(|| UNSEEN.to_owned());
    }

    /// Whether it was not full at any look yet.
    fn is_filling(&self) -> bool {
        self.filling == Some(true)
    }

    fn is_good(&self) -> bool {
        self.unseen.is_none() && self.running >= self.due
    }

    /// Returns how many tasks run, where these are too few.
    fn missing_tasks(&self) -> Option<String> {
        (self.running < self.due).then(|| format!("{} of {} tasks run", self.running, self.due))
    }
}

fn broken(service: &LiveService, deployment: Option<&str>, failed_before: &mut Option<u32>) -> Option<String> {
    if let Some(ending) = service.ending() {
        return Some(ending);
    }
    let primary = service.primary()?;
    if let Some(ours) = deployment
        && primary.id != ours
    {
        return Some(format!("{} is PRIMARY instead of {ours}", primary.id));
    }
    if primary.is("FAILED") {
        return Some(primary.rollout_reason.clone().unwrap_or_else(|| "its deployment failed".to_owned()));
    }
    let before = *failed_before.get_or_insert(primary.tasks.failed);
    let failed = primary.tasks.failed.saturating_sub(before);
    (failed > 0).then(|| format!("{} failed during the bake", count(failed.try_into().unwrap_or(usize::MAX), "task")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::engine::service_deployments::ServiceDeployment;

    fn snapshot(running: u32, desired: u32) -> Snapshot {
        let primary =
            json!({ "id": "ecs-svc/2", "status": "PRIMARY", "desiredCount": desired, "runningCount": running });
        let old = json!({ "id": "ecs-svc/1", "status": "DRAINING", "runningCount": 2 });
        let service = json!({
            "status": "ACTIVE", "desiredCount": desired, "runningCount": running + 2, "deployments": [primary, old],
        });
        Snapshot::Service(Arc::new(LiveService::read(&service)), ServiceDeployment::default())
    }

    /// Takes in looks, each so many seconds after the first; returns what was wrong at the end.
    fn seen(health: &mut Health<'_>, looks: &[(u64, u32, u32)]) -> Option<String> {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let wrong =
            looks.iter().map(|&(seconds, running, desired)| health.observe(snapshot(running, desired), at(seconds)));
        wrong.last().flatten()
    }

    fn wrong(looks: &[(u64, u32, u32)]) -> Option<String> {
        seen(&mut Health::new(Some("ecs-svc/2")), looks)
    }

    #[test]
    fn a_task_is_missing_once_fewer_run_for_long_than_were_wanted_at_the_least() {
        assert_eq!(wrong(&[(0, 2, 2), (1, 1, 2), (30, 1, 2)]), None);
        assert_eq!(wrong(&[(0, 2, 2), (1, 1, 2), (31, 1, 2)]), Some("1 of 2 tasks run".into()));
        assert_eq!(wrong(&[(0, 2, 2), (1, 1, 2), (20, 2, 2), (31, 1, 2), (50, 1, 2)]), None, "another one");
        assert_eq!(wrong(&[(0, 2, 2), (1, 2, 9), (600, 2, 9)]), None, "scaled out");
        assert_eq!(wrong(&[(0, 4, 4), (1, 2, 2), (5, 2, 4), (600, 2, 4)]), None, "scaled in, and out again");
        assert_eq!(wrong(&[(0, 4, 4), (1, 1, 2), (600, 1, 4)]), Some("1 of 2 tasks run".into()));
    }

    #[test]
    fn what_was_never_full_is_awaited_and_the_old_tasks_do_not_count() {
        let mut health = Health::new(Some("ecs-svc/2"));
        assert_eq!(seen(&mut health, &[(0, 1, 2), (600, 1, 2)]), None);
        assert!(health.is_filling() && !health.is_good());
        assert_eq!(seen(&mut health, &[(700, 2, 2)]), None);
        assert!(!health.is_filling() && health.is_good());
        assert_eq!(seen(&mut health, &[(701, 1, 2), (731, 1, 2)]), Some("1 of 2 tasks run".into()), "it was full");
    }

    #[test]
    fn the_last_word_is_a_look_after_the_end() {
        let mut health = Health::new(None);
        assert!(!health.is_good() && health.unseen.as_deref() == Some(UNSEEN));
        assert_eq!(health.observe(snapshot(2, 2), Instant::now()), None);
        assert!(health.is_good());
        health.ends();
        assert!(!health.is_good());
        assert_eq!(health.observe(Snapshot::Missing, Instant::now()), None);
        assert!(!health.is_good());
        assert_eq!(health.observe(snapshot(2, 2), Instant::now()), None);
        assert!(health.is_good());
    }
}
