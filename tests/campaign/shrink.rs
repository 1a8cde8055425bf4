//! Finds what a failure needs: takes one thing after the other away, as long as the same invariant still breaks.

use std::panic::{self, PanicHookInfo};
use std::sync::Arc;
use std::thread;

use crate::simulation::invariant;
use crate::simulation::judge;
use crate::simulation::scenario::{End, Scenario, Shards};

/// Returns the smallest scenario that was found, and what does not hold of it. Of the panics on the way only that of the result is
/// printed.
pub fn shrink(scenario: &Scenario, broken: Vec<String>) -> (Scenario, Vec<String>) {
    let wanted = broken.first().map(|line| invariant(line).to_owned()).unwrap_or_default();
    let (mut best, mut broken) = (scenario.clone(), broken);
    let silence = Silence::begin();
    loop {
        let fails = |smaller: Scenario| {
            let found = judge(&smaller);
            found.iter().any(|line| invariant(line) == wanted).then_some((smaller, found))
        };
        match smaller(&best).into_iter().find_map(fails) {
            Some(found) => (best, broken) = found,
            None => break,
        }
    }
    drop(silence);
    if wanted == "panic" {
        broken = judge(&best);
    }
    (best, broken)
}

type Hook = dyn Fn(&PanicHookInfo<'_>) + Send + Sync;

/// As long as it lives, panics of this thread are not printed.
struct Silence(Arc<Hook>);

impl Silence {
    fn begin() -> Self {
        let (before, here): (Arc<Hook>, _) = (Arc::from(panic::take_hook()), thread::current().id());
        let others = Arc::clone(&before);
        panic::set_hook(Box::new(move |info| {
            if thread::current().id() != here {
                others(info);
            }
        }));
        Self(before)
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        let before = Arc::clone(&self.0);
        panic::set_hook(Box::new(move |info| before(info)));
    }
}

/// Returns the scenario without one thing, for each thing that it has; the largest first.
fn smaller(from: &Scenario) -> Vec<Scenario> {
    let mut all = Vec::new();
    let mut without = |change: &dyn Fn(&mut Scenario)| {
        let mut changed = from.clone();
        change(&mut changed);
        if changed != *from {
            all.push(changed);
        }
    };
    let (accounts, services) = (from.accounts.len(), from.services.len());
    if accounts > 3 {
        without(&|it| it.accounts.truncate(accounts / 2));
        without(&|it| drop(it.accounts.drain(..accounts / 2)));
    }
    (0..accounts).filter(|_| accounts > 1).for_each(|at| without(&|it| drop(it.accounts.remove(at))));
    (0..services).filter(|_| services > 1).for_each(|at| without(&|it| drop(it.services.remove(at))));
    (0..from.faults.len()).for_each(|at| without(&|it| drop(it.faults.remove(at))));
    (0..from.others.len()).for_each(|at| without(&|it| _ = it.others.remove(at)));
    without(&|it| it.end = End::Whole);
    without(&|it| it.saved = None);
    without(&|it| _ = it.saved.as_mut().map(|saved| saved.meanwhile.clear()));
    without(&|it| it.saved.iter_mut().for_each(|saved| saved.signed = None));
    without(&|it| it.back = None);
    without(&|it| it.skip_blocked = false);
    without(&|it| it.on_disk = false);
    without(&|it| it.clock.clear());
    without(&|it| it.pipeline = None);
    without(&|it| it.watches = false);
    without(&|it| it.pinned = None);
    without(&|it| it.lookups = None);
    (0..from.revoked.len()).for_each(|at| without(&|it| _ = it.revoked.remove(at)));
    without(&|it| it.decisions = None);
    let decisions = from.decisions.as_ref().map_or(0, Vec::len);
    (0..decisions).for_each(|at| without(&|it| it.decisions.iter_mut().for_each(|all| _ = all.remove(at))));
    if let Some(shards) = &from.pipeline {
        let change = |it: &mut Scenario, change: &dyn Fn(&mut Shards)| it.pipeline.iter_mut().for_each(change);
        without(&|it| change(it, &|shards| shards.jobs = 2));
        without(&|it| change(it, &|shards| shards.resumes = false));
        without(&|it| change(it, &|shards| shards.loses = false));
        (0..shards.upsets.len()).for_each(|at| without(&|it| change(it, &|shards| _ = shards.upsets.remove(at))));
    }
    for at in 0..accounts {
        without(&|it| it.accounts[at].regions.truncate(1));
        without(&|it| it.accounts[at].chain = 2);
    }
    for at in 0..services {
        (0..from.services[at].keys.len()).for_each(|key| without(&|it| drop(it.services[at].keys.remove(key))));
        (0..from.services[at].new_keys.len()).for_each(|key| without(&|it| drop(it.services[at].new_keys.remove(key))));
    }
    for at in 0..from.waves.len() {
        if from.waves.len() > 1 && from.waves[at].ring.is_some() {
            without(&|it| drop(it.waves.remove(at)));
        }
        (0..from.waves[at].keys.len()).for_each(|key| without(&|it| drop(it.waves[at].keys.remove(key))));
    }
    (0..from.rollout.len()).for_each(|key| without(&|it| drop(it.rollout.remove(key))));
    for at in 0..from.faults.len() {
        without(&|it| it.faults[at].until = None);
        without(&|it| it.faults[at].from = 0);
    }
    all
}
