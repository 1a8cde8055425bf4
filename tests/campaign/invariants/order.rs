//! What may be written when: after the preflight, in the manifest's accounts, within the bounds, wave by wave, and not after a
//! halt or a signal.

use std::collections::BTreeSet;

use roleout::base::exit::Exit;
use roleout::event::Event;
use roleout::fleet::{Amount, Parallelism, Wave};

use crate::simulation::facts::{Facts, is_of, is_somebodys};
use crate::simulation::invariants::Broken;

/// The writes that begin something.
const BEGINNINGS: [&str; 5] =
    ["RegisterTaskDefinition", "UpdateService", "RunTask", "ContinueServiceDeployment", "CreateDeployment"];

pub fn preflight_comes_first(facts: &Facts<'_>, broken: &mut Broken) {
    let own = facts.ran.calls.attempts.iter().filter(|attempt| !is_somebodys(facts.ran, &attempt.operation));
    let own: Vec<_> = own.collect();
    let Some(first) = own.iter().map(|attempt| attempt.sent).min() else { return };
    if let Some(Exit::Preflight | Exit::Blocked | Exit::Manifest) = facts.ran.code() {
        broken.push("preflight", format!("a refused run made {} writes", own.len()));
    }
    for (target, facets) in facts.fleet().targets.iter().zip(&facts.targets) {
        // A target that is blocked, or that a saved plan has no work for, need not be read.
        if facets.first().is_none() && !facets.has_work {
            continue;
        }
        let key = (target.account.id.to_string(), target.id.region.to_string(), target.service.clone());
        match facts.ran.calls.described.get(&key) {
            Some(at) if *at <= first => {}
            at => {
                broken.push("preflight", format!("{} was first read at {at:?}, and written to at {first}", target.id))
            }
        }
    }
}

/// Nothing is written to a target for which the plan has nothing to do, or that is blocked.
pub fn writes_have_a_plan(facts: &Facts<'_>, broken: &mut Broken) {
    for (index, facets) in facts.targets.iter().enumerate() {
        if !facets.has_work && facets.first().is_some() {
            broken.push("preflight", format!("{} is not to be changed: {facets:?}", facts.id(index)));
        }
    }
}

pub fn writes_stay_in_the_manifest(facts: &Facts<'_>, broken: &mut Broken) {
    let targets = &facts.fleet().targets;
    let places: BTreeSet<(&str, &str)> =
        targets.iter().map(|target| (target.account.id.as_str(), &*target.id.region)).collect();
    for write in &facts.ran.calls.writes {
        let named = matches!(write.operation.as_str(), "UpdateService" | "RegisterTaskDefinition" | "CreateDeployment");
        if !places.contains(&(write.account.as_str(), write.region.as_str()))
            || (named && !targets.iter().any(|target| is_of(write, target)))
        {
            let (operation, account, region) = (&write.operation, &write.account, &write.region);
            broken.push("accounts", format!("{operation} in {account}/{region}: {}", write.input));
        }
    }
}

fn at_least_one(amount: Amount, total: usize) -> usize {
    match amount {
        Amount::Count(count) => count.max(1),
        Amount::Percent(percent) => (total * usize::from(percent) / 100).max(1),
    }
}

/// Returns how many of a wave may be in flight at once, and how many may fail.
fn bounds(wave: &Wave) -> (usize, usize) {
    let total = wave.targets.len();
    let window = match &wave.max_parallel {
        Parallelism::Window(amount) => at_least_one(*amount, total),
        Parallelism::Batches(sizes) => sizes.iter().map(|size| at_least_one(*size, total)).max().unwrap_or(total),
    };
    let failures = match wave.max_failures {
        Amount::Count(count) => count,
        Amount::Percent(percent) => total * usize::from(percent) / 100,
    };
    (if wave.strict { window.min(failures + 1) } else { window }, failures)
}

pub fn bounds_hold(facts: &Facts<'_>, broken: &mut Broken) {
    for wave in &facts.fleet().waves {
        let spans: Vec<(usize, (u64, u64))> = wave
            .targets
            .iter()
            .filter_map(|&index| Some((index, facts.targets[index].span(facts.ran.ended)?)))
            .collect();
        let (window, _) = bounds(wave);
        for (index, (begun, _)) in &spans {
            let at_once = || spans.iter().filter(|(_, (from, to))| from <= begun && begun < to);
            let account = |index: &usize| &facts.id(*index).account;
            if at_once().count() > window {
                let who: Vec<String> =
                    at_once().map(|(index, span)| format!("{} {span:?}", facts.id(*index))).collect();
                broken
                    .push("bounds", format!("{} at once in {}, of {window}: {}", who.len(), wave.name, who.join(", ")));
                return;
            }
            let of_account = at_once().filter(|(other, _)| account(other) == account(index)).count();
            if wave.max_parallel_per_account.is_some_and(|most| of_account > most) {
                broken.push("bounds", format!("{of_account} at once in {} of {}", account(index), wave.name));
                return;
            }
        }
        batches_have_a_barrier(facts, wave, spans, broken);
    }
}

fn batches_have_a_barrier(facts: &Facts<'_>, wave: &Wave, mut spans: Vec<(usize, (u64, u64))>, broken: &mut Broken) {
    let Parallelism::Batches(sizes) = &wave.max_parallel else { return };
    // Who failed before anything was written has a place in a batch that nobody can see.
    if wave.targets.iter().any(|&index| facts.targets[index].first().is_none() && facts.targets[index].last.is_some()) {
        return;
    }
    spans.sort_by_key(|(_, span)| *span);
    let mut sizes = sizes.iter().map(|size| at_least_one(*size, wave.targets.len()));
    let (mut size, mut last_end) = (sizes.next().unwrap_or(1), 0);
    while !spans.is_empty() {
        let batch: Vec<_> = spans.drain(..size.min(spans.len())).collect();
        if let Some((index, (begun, _))) = batch.iter().find(|(_, (begun, _))| *begun < last_end) {
            broken
                .push("bounds", format!("{} began at {begun}, before the batch ended at {last_end}", facts.id(*index)));
        }
        last_end = batch.iter().map(|(_, (_, end))| *end).max().unwrap_or(last_end);
        size = sizes.next().unwrap_or(size);
    }
}

pub fn waves_follow_each_other(facts: &Facts<'_>, broken: &mut Broken) {
    let waves = &facts.fleet().waves;
    for (number, later) in waves.iter().enumerate() {
        let Some(begun) = later.targets.iter().filter_map(|&index| facts.targets[index].first()).min() else {
            continue;
        };
        for earlier in &waves[..number] {
            let name = format!("{} began at {begun}", later.name);
            let mut baked_from = None;
            let mut failed = 0;
            for &index in &earlier.targets {
                let target = &facts.targets[index];
                if target.span(facts.ran.ended).is_some_and(|(_, end)| end > begun) {
                    broken.push("waves", format!("{name}, while {} was in flight: {target:?}", facts.id(index)));
                }
                let Some(deployment) = &target.deployment else { continue };
                failed += usize::from(deployment.failed_by(begun) && !facts.is_doubled(index));
                // What degraded is not watched any more.
                if deployment.succeeded_by(begun)
                    && target.last.is_some_and(|outcome| !outcome.is_failure())
                    && matches!(target.finished.first(), Some((outcome, _)) if !outcome.is_failure())
                {
                    baked_from = baked_from.max(deployment.finished);
                }
            }
            let (_, most) = bounds(earlier);
            if failed > most {
                broken.push("waves", format!("{name}, after {failed} of {} had failed, of {most}", earlier.name));
            }
            let bake = u64::try_from(earlier.bake.as_millis()).unwrap_or(u64::MAX);
            if baked_from.is_some_and(|from| begun < from + bake) {
                broken.push("waves", format!("{name}, and {} baked only from {baked_from:?}", earlier.name));
            }
        }
    }
}

/// Whether a write to a service may follow a halt: one that takes back what the run itself had sent by then.
fn takes_back(facts: &Facts<'_>, account: &str, region: &str, service: Option<&str>, before: u64) -> bool {
    let named = |name: &str| {
        facts.fleet().targets.iter().zip(&facts.targets).find(|(target, _)| {
            target.account.id.as_str() == account && *target.id.region == *region && target.service == name
        })
    };
    let Some((target, facets)) = service.and_then(named) else { return false };
    // What an earlier run of the same job began is its own, too.
    let follows = |event: &Event| matches!(event, Event::DeploymentStarted { target: id, attached: true, .. } if *id == target.id);
    if facts.ran.events.iter().any(|stamped| follows(&stamped.event)) {
        return true;
    }
    // It may have taken effect later than it was sent.
    let was_sent = facts.ran.calls.attempts.iter().any(|attempt| {
        attempt.sent <= before
            && attempt.account == account
            && attempt.region == region
            && attempt.operation == "UpdateService"
            && attempt.service.as_deref() == service
    });
    was_sent && !(facets.forward.is_empty() && facets.adjusted.is_empty())
}

/// Whether a rollback's own deployment may wait at a hook of an account and region, which names no service either.
fn goes_back(facts: &Facts<'_>, account: &str, region: &str, before: u64) -> bool {
    let mut targets = facts.fleet().targets.iter().zip(&facts.targets).enumerate();
    targets.any(|(index, (target, facets))| {
        let is_there = target.account.id.as_str() == account && *target.id.region == *region;
        is_there && (facets.backward.iter().any(|at| *at <= before) || facts.is_brought_back(index))
    })
}

pub fn nothing_starts_after_a_halt(facts: &Facts<'_>, broken: &mut Broken) {
    let halt = facts.ran.events.iter().find(|stamped| matches!(stamped.event, Event::RunHalted { .. }));
    let told = halt.map(|stamped| u64::try_from(stamped.at.as_millisecond()).unwrap_or_default());
    if let Some(at) = told {
        for attempt in facts.ran.calls.attempts.iter().filter(|attempt| attempt.sent > at) {
            let rolls_back = facts.fleet().waves.iter().any(|wave| wave.on_failure != roleout::fleet::OnFailure::Stop);
            let (account, region) = (attempt.account.as_str(), attempt.region.as_str());
            let begins =
                BEGINNINGS.contains(&attempt.operation.as_str()) && !is_somebodys(facts.ran, &attempt.operation);
            // What CodeDeploy is asked for names no service.
            let back = rolls_back
                && (attempt.operation == "CreateDeployment"
                    || attempt.operation == "ContinueServiceDeployment"
                        && goes_back(facts, account, region, attempt.sent)
                    || takes_back(facts, account, region, attempt.service.as_deref(), at));
            if begins && !back {
                broken.push("halt", format!("{attempt:?} was sent after the halt at {at}"));
            }
        }
    }
    for wave in &facts.fleet().waves {
        let ends = wave.targets.iter().filter_map(|&index| facts.targets[index].finished.first());
        let failures = ends.filter(|(outcome, _)| outcome.is_failure()).map(|(_, at)| *at);
        begins_after(facts, wave, failures.collect(), 0, broken);
    }
    // Without a word of it: where nothing kept the run from seeing the failures, it had to halt.
    if !facts.is_calm() || facts.has_fault("slow") {
        return;
    }
    for wave in &facts.fleet().waves {
        let failures = wave.targets.iter().filter_map(|&index| {
            facts.targets[index].deployment.as_ref().filter(|one| one.failed_by(u64::MAX)).and_then(|one| one.finished)
        });
        begins_after(facts, wave, failures.collect(), 5_000, broken);
    }
}

/// Finds what began later than so many milliseconds after one failure too many.
fn begins_after(facts: &Facts<'_>, wave: &Wave, mut failures: Vec<u64>, late: u64, broken: &mut Broken) {
    failures.sort_unstable();
    let (_, most) = bounds(wave);
    let Some(exceeded) = failures.get(most) else { return };
    for &index in &wave.targets {
        // What was on the wire by then may take effect later.
        let (account, region) = facts.place(index);
        let Some(begun) = facts.targets[index].first() else { continue };
        let was_sent = facts.ran.calls.attempts.iter().any(|attempt| {
            let here = attempt.account == account && attempt.region == region && attempt.sent <= begun;
            here && attempt.sent > exceeded + late && BEGINNINGS.contains(&attempt.operation.as_str())
        });
        if was_sent {
            broken.push("halt", format!("{} began after the budget was exceeded at {exceeded}", facts.id(index)));
        }
    }
}

pub fn nothing_starts_after_a_signal(facts: &Facts<'_>, broken: &mut Broken) {
    let Some(at) = facts.ran.signalled else { return };
    let begins = |operation: &str| BEGINNINGS.contains(&operation) && !is_somebodys(facts.ran, operation);
    let late = |operation: &str, sent: u64| begins(operation) && sent > at;
    for attempt in facts.ran.calls.attempts.iter().filter(|attempt| late(&attempt.operation, attempt.sent)) {
        broken.push("signal", format!("{attempt:?} was sent after the signal at {at}"));
    }
}
