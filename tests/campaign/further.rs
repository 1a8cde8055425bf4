//! What is drawn besides, in some of the seeds: by a chance of its own, so that nothing else of a seed changes with it.

use crate::simulation::draw;
use crate::simulation::random::Random;
use crate::simulation::scenario::{Decision, Deed, End, Fault, Other, Saved, Scenario, Shards, Signed, Upset};

/// What tells this chance from that of the rest.
const OTHER: u64 = 0x6675_7274_6865_7231;

/// Adds something to some of the scenarios.
pub fn add(scenario: &mut Scenario) {
    let mut random = Random::new(scenario.seed ^ OTHER);
    match random.between(0, 99) {
        0..=7 => pipeline(&mut random, scenario),
        8..=13 => pauses(&mut random, scenario),
        14..=19 => watches(&mut random, scenario),
        20..=23 => signs(&mut random, scenario),
        24..=28 => scales(&mut random, scenario),
        29..=33 => {
            scenario.pinned = Some(moments(&mut random, scenario));
            // What a service ran long ago is in no registry.
            scenario.back = None;
        }
        34..=38 => scenario.lookups = Some(moments(&mut random, scenario)),
        39..=49 => troubles(&mut random, scenario),
        _ => {}
    }
}

/// The run is a child pipeline.
fn pipeline(random: &mut Random, scenario: &mut Scenario) {
    (scenario.saved, scenario.back, scenario.on_disk) = (None, None, false);
    scenario.clock.clear();
    let rings = scenario.waves.len() - 1;
    while scenario.accounts.len() < 4 {
        let number = scenario.accounts.len();
        scenario.accounts.push(draw::account(random, number, rings, 1));
    }
    // One wave that its jobs share, with a window for all of them.
    if random.happens(40) {
        scenario.accounts.iter_mut().for_each(|account| account.ring = rings);
        for keys in scenario.waves.iter_mut().map(|wave| &mut wave.keys).chain([&mut scenario.rollout]) {
            keys.retain(|key| !key.starts_with("max_parallel") && !key.starts_with("strict"));
        }
        scenario.rollout.push("max_parallel: 2".to_owned());
    }
    // What one job does for several waves, several do not.
    let keys = scenario.waves.iter_mut().flat_map(|wave| &mut wave.keys).chain(&mut scenario.rollout);
    keys.for_each(|key| *key = key.replace("rollback_scope: run", "rollback_scope: wave"));
    let keys = scenario.services.iter_mut().flat_map(|service| &mut service.keys);
    keys.for_each(|key| *key = key.replace("per: account", "per: target").replace("per: run", "per: target"));
    let span = if scenario.realistic { 400_000 } else { 12_000 };
    let jobs = random.count(2, 4);
    let upset = |_| {
        let moment = random.between(1, span);
        Upset {
            wave: random.count(0, rings),
            job: random.count(0, jobs - 1),
            end: random.pick(&[End::Signal(moment), End::Kill(moment)]),
            again: random.happens(50),
        }
    };
    let upsets = (0..[0, 0, 1, 1, 2][usize::try_from(scenario.seed % 5).unwrap_or_default()]).map(upset).collect();
    let (loses, starts, resumes) = (random.happens(30), random.happens(70), random.happens(50));
    scenario.pipeline = Some(Shards { jobs, upsets, loses, starts, resumes });
    scenario.end = End::Whole;
}

/// Most services wait at a PAUSE hook.
fn pause(random: &mut Random, scenario: &mut Scenario) {
    for service in &mut scenario.services {
        if random.happens(70) {
            let stage = random.pick(&[
                "PRE_SCALE_UP",
                "POST_SCALE_UP",
                "POST_TEST_TRAFFIC_SHIFT",
                "POST_PRODUCTION_TRAFFIC_SHIFT",
            ]);
            let action = random.pick(&["ROLLBACK", "ROLLBACK", "CONTINUE"]);
            let is_other = |key: &String| !key.starts_with("deployment") && !key.starts_with("codedeploy");
            service.keys.retain(is_other);
            service.new_keys.retain(is_other);
            service.keys.push(format!(
                "deployment: {{ strategy: BLUE_GREEN, bake_time_in_minutes: 0, lifecycle_hooks: [ {{ target_type: PAUSE, \
                 lifecycle_stages: [{stage}], timeout: {{ timeout_in_minutes: 4, action: {action} }} }} ] }}"
            ));
        }
    }
}

/// Deployments wait at PAUSE hooks, and mostly for somebody who runs `roleout continue`.
fn pauses(random: &mut Random, scenario: &mut Scenario) {
    let span = if scenario.realistic { 400_000 } else { 30_000 };
    pause(random, scenario);
    // Where the run continues by itself, somebody else deploys beside it.
    scenario.decisions = random.happens(70).then(|| {
        let mut decisions: Vec<Decision> = (0..random.count(1, 4))
            .map(|_| Decision {
                at: random.between(500, span),
                rollback: random.happens(25),
                account: random.happens(30).then(|| random.count(0, scenario.accounts.len() - 1)),
            })
            .collect();
        decisions.sort_by_key(|decision| decision.at);
        decisions
    });
    if random.happens(50) {
        let other = draw::other(random, scenario, span / 2);
        scenario.others.push(other);
    }
    (scenario.saved, scenario.back) = (None, None);
}

/// A run is left in the middle, and somebody follows what it began, which may wait at a hook that nobody continues.
fn watches(random: &mut Random, scenario: &mut Scenario) {
    let span = if scenario.realistic { 300_000 } else { 8_000 };
    let moment = random.between(span / 10, span);
    scenario.end = random.pick(&[End::Signal(moment), End::Kill(moment)]);
    scenario.watches = true;
    if random.happens(40) {
        pause(random, scenario);
        scenario.decisions = Some(Vec::new());
    }
    (scenario.saved, scenario.back) = (None, None);
    scenario.clock.clear();
}

/// Only the plan that a certain key has signed is carried out.
fn signs(random: &mut Random, scenario: &mut Scenario) {
    let how = [Signed::Kept, Signed::Kept, Signed::Not, Signed::Edited, Signed::Resealed, Signed::Resigned];
    let saved = Saved { age: random.between(0, 600), meanwhile: Vec::new(), skip_stale: false, signed: None };
    scenario.saved.get_or_insert(saved).signed = Some(random.pick(&how));
}

/// Autoscaling sets the count of a service again and again.
fn scales(random: &mut Random, scenario: &mut Scenario) {
    let first = draw::other(random, scenario, 0);
    scenario.services[first.service].new_keys.retain(|key| !key.starts_with("desired_count"));
    let span = if scenario.realistic { 400_000 } else { 20_000 };
    for _ in 0..random.count(3, 8) {
        let (at, what) = (random.between(0, span), Deed::ScalesTo(u32::try_from(random.between(1, 6)).unwrap_or(1)));
        scenario.others.push(Other { at, what, ..first.clone() });
    }
    scenario.others.sort_by_key(|other| other.at);
}

/// Returns when something changes during the run, of which the run has to keep what it planned with.
fn moments(random: &mut Random, scenario: &mut Scenario) -> Vec<u64> {
    scenario.saved = None;
    let span = if scenario.realistic { 300_000 } else { 15_000 };
    let mut moments: Vec<u64> = (0..random.count(0, 3)).map(|_| random.between(0, span)).collect();
    moments.sort_unstable();
    moments
}

/// One more thing goes wrong.
fn troubles(random: &mut Random, scenario: &mut Scenario) {
    let span = if scenario.realistic { 400_000 } else { 12_000 };
    let account = random.count(0, scenario.accounts.len() - 1);
    let name = if random.happens(50) { "*".to_owned() } else { scenario.accounts[account].name() };
    let from = if random.happens(40) { 0 } else { random.between(0, span) };
    let until = random.happens(70).then(|| from + random.between(500, span));
    let fault = |text: &str| Fault { text: format!("{name}={text}"), from, until };
    match random.between(0, 9) {
        0..=2 => scenario.faults.push(Fault { from: 0, until: None, ..fault("flap") }),
        3..=6 => scenario.faults.push(fault(random.pick(&["truncated:10", "truncated:40"]))),
        7 => scenario.faults.push(fault("deny:ecs:*")),
        _ => {
            scenario.revoked = (0..random.count(1, 4)).map(|_| (random.between(0, span), account)).collect();
            scenario.revoked.sort_unstable();
            if random.happens(50) {
                scenario.faults.clear();
            }
        }
    }
}
