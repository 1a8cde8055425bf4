//! What must hold between jobs: a saved plan is carried out as it was made or not at all, a rollback brings back what ran before
//! the run, and what is on the disk is what was said.

use roleout::base::exit::Exit;
use roleout::report::Report;

use crate::simulation::facts::{Facts, is_wanted};
use crate::simulation::invariants::Broken;
use crate::simulation::run::{History, Ran};
use crate::simulation::scenario::{Back, ENVIRONMENT_VALUE, EXTERNAL_ID, End, Scenario, Signed};

/// A saved plan changes nothing when it is made, and nothing of what changed since.
pub fn plans_are_true_or_refused(scenario: &Scenario, history: &History, broken: &mut Broken) {
    let (Some(planning), Some(drawn), Some(ran)) = (&history.planning, &scenario.saved, history.runs.first()) else {
        return;
    };
    if planning.attempts > 0 {
        broken.push("plans", format!("{} writes were made for a plan", planning.attempts));
    }
    if let Some(error) = &planning.failed {
        broken.push("plans", format!("no plan was saved: {error}"));
        return;
    }
    let attempts = &ran.calls.attempts;
    match (drawn.signed, &planning.refused) {
        (None | Some(Signed::Kept), Some(error)) => broken.push("plans", format!("it was not accepted: {error}")),
        (Some(how), None) if how != Signed::Kept => {
            broken.push("plans", format!("a plan was accepted of which the signature is {how:?}"));
        }
        _ => {}
    }
    if planning.refused.is_some() && (!attempts.is_empty() || ran.code() != Some(Exit::Blocked)) {
        broken.push("plans", format!("a plan that is not accepted ended with {:?}: {attempts:?}", ran.exit));
    }
    if planning.is_too_old && (!attempts.is_empty() || matches!(ran.exit, Some(Ok(_)))) {
        broken.push("plans", format!("one of {} minutes was carried out: {:?}", drawn.age, ran.exit));
    }
    let facts = Facts::new(scenario, history, ran);
    for done in planning.done.iter().filter(|done| done.deploys) {
        let id = facts.id(done.index);
        if !facts.targets[done.index].forward.is_empty() {
            broken.push("plans", format!("{id} was deployed, and {done:?} was after the plan"));
        }
        // What is left out because it is blocked is not compared.
        let is_left_out = scenario.skip_blocked && facts.targets[done.index].is_blocked;
        if !drawn.skip_stale && !is_left_out && (!attempts.is_empty() || matches!(ran.exit, Some(Ok(_)))) {
            broken.push("plans", format!("{id} changed since, and the run ended with {:?}", ran.exit));
        }
    }
}

/// `roleout rollback` brings back what the run changed to what it was before, and changes nothing else; a second one changes
/// nothing more.
pub fn a_rollback_takes_the_run_back(scenario: &Scenario, history: &History, broken: &mut Broken) {
    let (Some(back), Some(run)) = (scenario.back, history.runs.first()) else { return };
    let rollbacks: Vec<&Ran> = history.runs.iter().filter(|ran| ran.job.rolls_back()).collect();
    let first = rollbacks.iter().skip(1).position(|ran| ran.job.from.is_none()).map_or(rollbacks.len(), |at| at + 1);
    let (first, second) = rollbacks.split_at(first);
    let (Some(begin), Some(end)) = (first.first(), first.last()) else { return };
    let forward = Facts::new(scenario, history, run);
    // What others deployed is in the history, too, and a run that was killed has told a part of what it did.
    let is_told = scenario.end == End::Whole && history.planning.is_none();
    // A group of CodeDeploy that has deployed once does not say what ran before it.
    let by_ecs = history.fleet.targets.iter().all(|target| target.desired.codedeploy.is_none());
    // By the manifest it is looked for what that would deploy now.
    let is_moved = back == Back::OfManifest && scenario.lookups.is_some();
    let is_known = forward.is_calm() && !forward.is_shared() && is_told && by_ecs && !is_moved;
    for (index, target) in history.fleet.targets.iter().enumerate() {
        let (Some(before), Some(was), Some(is)) = (&run.before[index], &begin.before[index], &end.after[index]) else {
            continue;
        };
        let is_back = is.revision == before.revision;
        let changed = is_wanted(&was.image) && !forward.targets[index].forward.is_empty();
        if changed && !is_back && is.revision != was.revision && is_known {
            let (was, is) = (&was.revision, &is.revision);
            broken.push("back", format!("{} went from {was} to {is}, and was {} first", target.id, before.revision));
        }
        if is_known && changed && !is_back {
            broken.push("back", format!("{} runs {} still: {:?}", target.id, is.revision, end.exit));
        }
        if !changed && back == Back::OfRun && is.revision != was.revision {
            broken.push("back", format!("{} was {} and is {}", target.id, was.revision, is.revision));
        }
    }
    if is_known && !matches!(end.code(), Some(Exit::Done | Exit::Blocked)) {
        broken.push("back", format!("it ended with {:?}", end.exit));
    }
    if let Some(write) = second.iter().flat_map(|ran| &ran.calls.attempts).find(|_| is_known) {
        broken.push("back", format!("a second rollback sent {write:?}"));
    }
}

/// The journal has what stdout has, and makes the reports that the run left.
pub fn files_say_the_same(facts: &Facts<'_>, broken: &mut Broken) {
    let Some(files) = &facts.ran.files else { return };
    if files.journal != facts.ran.stdout {
        let differs = files.journal.lines().zip(facts.ran.stdout.lines()).find(|(journal, told)| journal != told);
        broken.push("files", format!("the journal is not what was told: {differs:?}"));
    }
    if files.again.is_none() && !facts.ran.stdout.is_empty() {
        broken.push("files", "the journal cannot be read");
    }
    for (kind, text) in &files.reports {
        // The page lies beside the logs of its targets, and links to them.
        let made = |report: &Report| {
            let mut text = Vec::new();
            kind.write(report, true, &mut text)
                .map(|()| String::from_utf8_lossy(&text).into_owned())
                .unwrap_or_default()
        };
        let again = files.again.as_ref().map(made);
        let expected = again.filter(|_| facts.ran.exit.is_some());
        if *text != expected {
            let differs = text.iter().flat_map(|text| text.lines()).zip(expected.iter().flat_map(|text| text.lines()));
            let first = differs.into_iter().find(|(one, other)| one != other);
            broken.push("files", format!("{kind:?} is not what the journal makes: {first:?}"));
        }
        for secret in [EXTERNAL_ID, ENVIRONMENT_VALUE] {
            if text.as_ref().is_some_and(|text| text.contains(secret)) {
                broken.push("secrets", format!("{secret} stands in {kind:?}"));
            }
        }
    }
}
