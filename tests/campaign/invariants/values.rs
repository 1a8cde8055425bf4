//! What a run planned with is what it deploys, everywhere: one digest of a tag, one value of a parameter; and the counts that
//! autoscaling sets stay.

use std::collections::BTreeMap;

use roleout::sandbox::Write;

use crate::simulation::changes::value;
use crate::simulation::facts::{Facts, is_of, is_wanted};
use crate::simulation::invariants::Broken;
use crate::simulation::run::History;
use crate::simulation::scenario::{Deed, Scenario};
use crate::simulation::truth::State;

/// Returns what a run registered, with the name of its family and the first container.
fn registered<'a>(facts: &'a Facts<'_>) -> impl Iterator<Item = (&'a str, &'a Write)> {
    let registers = |write: &&Write| write.operation == "RegisterTaskDefinition" && write.error.is_none();
    let named = |write: &'a Write| Some((write.input["family"].as_str()?, write));
    facts.ran.calls.writes.iter().filter(registers).filter_map(named)
}

/// Every revision that a run registers has the value that the parameter had when the run planned.
pub fn one_value_everywhere(facts: &Facts<'_>, broken: &mut Broken) {
    if facts.scenario.lookups.is_none() || facts.rolls_back {
        return;
    }
    let put = &facts.history.changes.put;
    let first = registered(facts).map(|(_, write)| write.at).min().unwrap_or_default();
    let by = |moment: u64| put.iter().filter(|at| **at <= moment).count();
    let known: Vec<String> = (by(facts.ran.began)..=by(first)).map(value).collect();
    for (family, write) in registered(facts) {
        let variables = write.input["containerDefinitions"][0]["environment"].as_array();
        let url = variables.into_iter().flatten().find(|variable| variable["name"] == "URL");
        let url = url.and_then(|variable| variable["value"].as_str()).unwrap_or_default();
        if !known.iter().any(|value| value == url) {
            broken.push("values", format!("{family} in {} has {url:?}, and {known:?} was to be read", write.account));
        }
    }
}

/// Every revision that a run registers has the one digest that the tag had when the run planned, and a further run has another
/// one where the tag moved between the two.
pub fn one_digest_everywhere(scenario: &Scenario, history: &History, broken: &mut Broken) {
    if scenario.pinned.is_none() {
        return;
    }
    // By family: when the run began, and the digest.
    let mut last: BTreeMap<String, (u64, String)> = BTreeMap::new();
    for ran in history.runs.iter().filter(|ran| !ran.job.rolls_back()) {
        let facts = Facts::new(scenario, history, ran);
        let mut digests: BTreeMap<&str, &str> = BTreeMap::new();
        for (family, write) in registered(&facts) {
            let image = write.input["containerDefinitions"][0]["image"].as_str().unwrap_or_default();
            let Some((_, digest)) = image.split_once('@').filter(|_| is_wanted(image)) else {
                broken.push("digests", format!("{family} in {} is not pinned: {image}", write.account));
                continue;
            };
            let other = *digests.entry(family).or_insert(digest);
            if other != digest {
                broken.push("digests", format!("{family} is {other} and {digest} in one run"));
            }
        }
        for (family, digest) in digests {
            let moved = |began: u64| history.changes.pushed.iter().any(|at| *at > began && *at <= ran.began);
            let certain = |began: u64| !history.changes.pushed.iter().any(|at| (began..began + 15_000).contains(at));
            if let Some((began, before)) = last.get(family)
                && certain(*began)
                && moved(*began) == (before == digest)
            {
                let moved = if moved(*began) { "moved" } else { "did not move" };
                broken.push("digests", format!("the tag of {family} {moved}, and it was {before} and is {digest}"));
            }
            last.insert(family.to_owned(), (ran.began, digest.to_owned()));
        }
    }
}

/// A count that the manifest does not have is the one that autoscaling set last.
pub fn scaled_counts_stay(facts: &Facts<'_>, broken: &mut Broken) {
    for (index, target) in facts.fleet().targets.iter().enumerate() {
        let mut deeds = facts.ran.done.iter().filter(|done| done.index == index);
        let Some(Deed::ScalesTo(count)) =
            deeds.rfind(|done| matches!(done.what, Deed::Scales | Deed::ScalesTo(_))).map(|done| done.what)
        else {
            continue;
        };
        let is_there = |state: &&State| state.status == "ACTIVE" && target.desired.desired_count.is_none();
        let Some(after) = facts.ran.after[index].as_ref().filter(is_there) else { continue };
        let sets = |write: &&Write| {
            write.operation == "UpdateService" && !write.input["desiredCount"].is_null() && is_of(write, target)
        };
        if after.desired != u64::from(count) {
            let by = facts.ran.calls.writes.iter().find(sets);
            broken.push("scaling", format!("{} was scaled to {count} and has {}: {by:?}", target.id, after.desired));
        }
    }
}
