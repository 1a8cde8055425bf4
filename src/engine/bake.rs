//! The bake: for some time after a wave's last success, every deployed target must stay what it became.
//!
//! A third verdict besides good and bad: a target that could not be looked at for long is not known to be good, and
//! counts as degraded.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::time::Instant;

use super::Run;
use super::alarms::{Alarms, Looks, Seen};
use super::returns::Returns;
use super::rollout::MISSES;
use super::watch::Look;
use super::wave::WaveEnd;
use crate::event::{Event, Reason};
use crate::fleet::{Scope, TargetSpec, Wave};
use crate::observe::service::LiveService;

/// A task may be replaced for good reasons; missing tasks count once they have been missing for so long, or at the end.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often a baking target is looked at.
const PACE: Duration = Duration::from_secs(5);

/// Watches the wave's deployed targets through its bake, and counts those that degrade as failures.
///
/// Where the wave rolls back, those that degrade go back at once; where everything that succeeded goes back too, the bake
/// ends with the budget.
pub async fn bake(run: &Arc<Run>, wave: &Wave, end: &mut WaveEnd, max_failures: usize) {
    let deadline = Instant::now() + wave.bake;
    run.emit(Event::BakeStarted { wave: wave.name.clone(), seconds: wave.bake.as_secs() }).await;
    let deployed = end.deployed.clone();
    let alarms = Alarms::of(run, deployed.iter().map(|(index, _)| &run.fleet.targets[*index]));
    let targets = deployed.iter().map(|deployed| {
        let target = &run.fleet.targets[deployed.0];
        let alarms = alarms.follow(target);
        async move { (deployed, watch(run, target, deployed.1.as_deref(), alarms, deadline, wave.bake).await) }
    });
    let mut watching = std::pin::pin!(alarms.watch(wave.bake));
    let mut baking: FuturesUnordered<_> = targets.collect();
    let mut returns = Returns::new(run, wave.on_failure);
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
        if end.failed == max_failures + 1 {
            run.halted(wave, end, max_failures).await;
            if wave.on_failure.scope().is_some_and(|scope| scope > Scope::Target) {
                break;
            }
        }
    }
    drop(baking);
    returns.finish().await;
}

/// Returns why a target did not stay healthy, or `None` at the end of the bake.
async fn watch(
    run: &Run,
    target: &TargetSpec,
    deployment: Option<&str>,
    mut alarms: Option<Looks>,
    deadline: Instant,
    bake: Duration,
) -> Option<Reason> {
    let pace = (bake / 4).clamp(Duration::from_millis(500), PACE);
    let mut looks = run.watches.follow(target, pace, false);
    let (mut failed_before, mut short_since) = (None, None::<Instant>);
    let (mut sight, mut sight_of_alarms) = (Sight::default(), alarms.is_some().then(Sight::default));
    let mut misses = 0;
    loop {
        let look = tokio::select! {
            biased;
            look = looks.next() => Some(look),
            seen = next(&mut alarms) => {
                match seen {
                    Seen::Calm => sight_of_alarms = Some(Sight::clear()),
                    Seen::Raised(reason) => return Some(reason),
                    Seen::Unknown(because) => sight_of_alarms.get_or_insert_default().lost(because),
                }
                continue;
            }
            () = tokio::time::sleep_until(deadline) => None,
        };
        let now = Instant::now();
        match look {
            Some(Look::Service(service, _)) => {
                (sight, misses) = (Sight::clear(), 0);
                if let Some(summary) = broken(&service, deployment, &mut failed_before) {
                    return Some(degraded(summary));
                }
                if service.running < service.desired {
                    let since = *short_since.get_or_insert(now);
                    if now.duration_since(since) >= PATIENCE {
                        return Some(degraded(short(&service)));
                    }
                } else {
                    short_since = None;
                }
            }
            Some(Look::Missing) => {
                misses += 1;
                if misses == MISSES {
                    return Some(degraded("the service vanished".to_owned()));
                }
            }
            Some(Look::NoAnswer(error)) => sight.lost(error.to_string()),
            None => {
                let sights = [Some(&sight), sight_of_alarms.as_ref()].into_iter().flatten();
                if let Some(because) = sights.filter_map(|sight| sight.is_blind(bake)).next() {
                    return Some(degraded(format!("inconclusive: {because}")));
                }
                return short_since.map(|_| degraded("tasks were missing at the end of the bake".to_owned()));
            }
        }
    }
}

async fn next(alarms: &mut Option<Looks>) -> Seen {
    match alarms {
        Some(looks) => looks.next().await,
        None => std::future::pending().await,
    }
}

/// Since when nothing was seen, and why.
struct Sight {
    lost: Option<(Instant, String)>,
}

impl Default for Sight {
    /// Nothing was seen yet.
    fn default() -> Self {
        Self { lost: Some((Instant::now(), "no look was possible".to_owned())) }
    }
}

impl Sight {
    fn clear() -> Self {
        Self { lost: None }
    }

    fn lost(&mut self, because: String) {
        let since = self.lost.as_ref().map_or_else(Instant::now, |(since, _)| *since);
        self.lost = Some((since, because));
    }

    /// Returns why nothing was seen at the end of a bake; blind for most of it is not a pass.
    fn is_blind(&self, bake: Duration) -> Option<&str> {
        let (since, because) = self.lost.as_ref()?;
        (since.elapsed() >= (bake / 2).min(PATIENCE)).then_some(because)
    }
}

fn broken(service: &LiveService, deployment: Option<&str>, failed_before: &mut Option<u32>) -> Option<String> {
    if service.status != "ACTIVE" {
        return Some(format!("the service is {}", service.status));
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
    (primary.tasks.failed > before).then(|| format!("{} tasks failed during the bake", primary.tasks.failed - before))
}

fn short(service: &LiveService) -> String {
    format!("{} of {} tasks run", service.running, service.desired)
}

fn degraded(summary: String) -> Reason {
    let help = "it was deployed and then did not stay healthy: look at its tasks before the next run";
    Reason { summary, evidence: Vec::new(), help: Some(help.to_owned()) }
}
