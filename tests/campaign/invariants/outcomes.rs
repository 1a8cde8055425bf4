//! What is said of each target against what AWS has of it: ends, deployments, revisions, and what rollbacks leave.

use roleout::base::exit::Exit;
use roleout::event::Event;
use roleout::fleet::{OnBusy, OnFailure, Outcome};

use crate::simulation::facts::{Facets, Facts, is_of, is_somebodys, is_wanted};
use crate::simulation::invariants::Broken;
use crate::simulation::run::Planning;
use crate::simulation::scenario::{Deed, End, Saved};
use crate::simulation::truth::State;

pub fn one_terminal_event_each(facts: &Facts<'_>, broken: &mut Broken) {
    let events = &facts.ran.events;
    if events.iter().enumerate().any(|(number, stamped)| stamped.seq != number as u64) {
        broken.push("events", "the numbers have gaps");
    }
    if let Some(pair) = events.windows(2).find(|pair| pair[1].at < pair[0].at) {
        broken.push("events", format!("time goes back: {pair:?}"));
    }
    if facts.ran.exit.is_none() {
        return;
    }
    let Some(Event::RunStarted { plan, .. }) = events.first().map(|stamped| &stamped.event) else {
        let mut own = facts.ran.calls.writes.iter().filter(|write| !is_somebodys(facts.ran, &write.operation));
        if events.len() > 1 || own.next().is_some() {
            broken.push("events", "what is no run has events or writes");
        }
        return;
    };
    if !matches!(events.last().map(|stamped| &stamped.event), Some(Event::RunFinished { .. })) {
        broken.push("events", "the last is not run_finished");
    }
    for (target, facets) in facts.fleet().targets.iter().zip(&facts.targets) {
        let Some(change) = plan.changes.iter().find(|change| change.target == target.id) else {
            broken.push("events", format!("{} is not in the plan", target.id));
            continue;
        };
        let ends = facets.finished.len() + facets.skipped.len();
        let begun = facts.ran.job.from.is_none() || ends > 0;
        if begun && ends != usize::from(change.action.changes()) {
            broken.push("events", format!("{} has {ends} terminal events, and {:?} to do", target.id, change.action));
        }
        if facets.reasons.contains("(a bug)") {
            broken.push("events", format!("{}: {}", target.id, facets.reasons));
        }
    }
}

pub fn outcomes_are_true(facts: &Facts<'_>, broken: &mut Broken) {
    for (index, facets) in facts.targets.iter().enumerate() {
        let mut wrong = |what: &str| {
            broken.push("outcomes", format!("{} is told as {:?}, {what}: {facets:?}", facts.id(index), facets.last));
        };
        for (outcome, at) in &facets.finished {
            let had_succeeded = facets.deployment.as_ref().is_some_and(|one| one.succeeded_by(*at));
            match outcome {
                Outcome::Succeeded if facets.is_codedeploy => {}
                Outcome::Succeeded => {
                    let deployments = facts.ran.deployments[index].iter();
                    if !deployments.clone().any(|one| facts.is_deployed(&one.image) && one.succeeded_by(*at)) {
                        wrong("and no deployment of the new revision had succeeded");
                    }
                }
                Outcome::Superseded if !facts.is_shared() => wrong("and nobody else was there"),
                Outcome::Failed | Outcome::TimedOut | Outcome::RolledBack
                    if had_succeeded && !may_fail_later(facts) =>
                {
                    wrong("and its deployment had succeeded");
                }
                Outcome::Cancelled | Outcome::NotStarted if !facets.forward.is_empty() => wrong("and it was deployed"),
                Outcome::Detached if facts.ran.signalled.is_none() && !facts.halted() => {
                    wrong("and there was neither a signal nor a halt");
                }
                _ => {}
            }
        }
        if !facets.skipped.is_empty() && !facets.forward.is_empty() {
            wrong("and it was deployed");
        }
    }
}

/// Whether a target may fail though its deployment succeeded, or a look may have come too late.
fn may_fail_later(facts: &Facts<'_>) -> bool {
    let has_after =
        facts.scenario.services.iter().any(|service| service.keys.iter().any(|key| key.starts_with("after")));
    !facts.is_calm() || facts.is_shared() || has_after || facts.has_fault("slow") || facts.has_fault("hang")
}

pub fn one_deployment_each(facts: &Facts<'_>, broken: &mut Broken) {
    for (index, facets) in facts.targets.iter().enumerate() {
        let Facets { forward, backward, adjusted, .. } = facets;
        let backward_most = if facets.is_codedeploy { 0 } else { 1 };
        // A job that is run again may roll back to what its first run deployed.
        let to_its_own = facts.history.pipeline.is_some() && facets.last == Some(Outcome::RolledBack);
        let forward_most = if facets.is_codedeploy || to_its_own { 2 } else { 1 };
        if forward.len() > forward_most || backward.len() > backward_most || adjusted.len() > 2 {
            broken.push("deployments", format!("{} has more than one: {facets:?}", facts.id(index)));
        }
    }
}

pub fn no_untold_revision(facts: &Facts<'_>, broken: &mut Broken) {
    for (index, facets) in facts.targets.iter().enumerate() {
        let id = facts.id(index);
        let most = if facets.is_codedeploy { 2 } else { 1 };
        if facets.registered.len() > most {
            broken.push("revisions", format!("{id} has more than one new revision: {facets:?}"));
        }
        if facets.registered.is_empty() || !facets.forward.is_empty() || facts.ran.exit.is_none() {
            continue;
        }
        let told = facts
            .ran
            .events
            .iter()
            .any(|stamped| matches!(&stamped.event, Event::RevisionRegistered { target, .. } if target == id));
        if !told && !facets.reasons.to_lowercase().contains("regist") && !facets.reasons.contains("revision") {
            broken.push("revisions", format!("{id} has a revision that is not told: {facets:?}"));
        }
    }
}

pub fn rollbacks_restore(facts: &Facts<'_>, broken: &mut Broken) {
    if facts.is_shared() || facts.ran.exit.is_none() {
        return;
    }
    for (index, facets) in facts.targets.iter().enumerate() {
        if facets.last != Some(Outcome::RolledBack) {
            continue;
        }
        let (Some(before), Some(after)) = (&facts.ran.before[index], &facts.ran.after[index]) else {
            broken.push("rollbacks", format!("{} was rolled back and is gone", facts.id(index)));
            continue;
        };
        // A job that is run again follows what it has begun itself, and brings back what was before that.
        if is_wanted(&before.image) && !facts.rolls_back && facts.history.pipeline.is_some() {
            // Where only settings were changed, they alone are rolled back.
            let only_settings = facets.backward.is_empty() && !facets.adjusted.is_empty();
            if is_wanted(&after.image) && !only_settings {
                broken.push("rollbacks", format!("{} is {after:?}: {facets:?}", facts.id(index)));
            }
            continue;
        }
        // Where ECS alone goes back, it gives back the revision, and no settings of deployments.
        let wave = facts.fleet().waves.iter().find(|wave| wave.targets.contains(&index));
        let whole = !facts.rolls_back && wave.is_some_and(|wave| wave.on_failure != OnFailure::Stop);
        let kept = |state: &State| (state.revision.clone(), whole.then(|| (state.desired, state.settings.clone())));
        if kept(before) != kept(after) {
            let (before, after) = (kept(before), kept(after));
            broken.push("rollbacks", format!("{}: it was {before:?} and is {after:?}: {facets:?}", facts.id(index)));
        }
    }
}

/// What somebody else deploys after the plan is theirs, unless the manifest says that they give way.
pub fn others_are_not_overwritten(facts: &Facts<'_>, broken: &mut Broken) {
    if facts.fleet().on_busy != OnBusy::Fail
        || ["stale", "latency", "truncated"].iter().any(|fault| facts.has_fault(fault))
    {
        return;
    }
    for done in facts.ran.done.iter().filter(|done| done.deploys && done.what != Deed::Stops) {
        let (target, facets) = (&facts.fleet().targets[done.index], &facts.targets[done.index]);
        let key = (target.account.id.to_string(), target.id.region.to_string(), target.service.clone());
        let Some(planned) = facts.ran.calls.described.get(&key).filter(|at| done.at > **at + 1_000) else { continue };
        // What ECS took back itself, as where nobody continued its hook, is not there to be overwritten.
        let is_undone = |at: u64| {
            let mut deployments = facts.ran.deployments[done.index].iter();
            deployments.any(|one| {
                one.created.abs_diff(done.at) < 1_000 && one.status.starts_with("ROLLBACK_") && one.failed_by(at)
            })
        };
        // What they superseded themselves is gone with what they deployed last.
        let is_last = |at: u64| {
            let mut later = facts.ran.done.iter().filter(|other| other.deploys && other.index == done.index);
            !later.any(|other| other.at > done.at && other.at < at)
        };
        let mut updates = facets.forward.iter().filter(|at| **at > done.at + 1_000);
        if let Some(at) = updates.find(|at| is_last(**at) && !is_undone(**at)) {
            broken.push("others", format!("{} was read at {planned}, updated at {at}, after {done:?}", target.id));
        }
    }
}

/// A count that the manifest does not have belongs to whoever scales the service.
pub fn counts_are_left_to_others(facts: &Facts<'_>, broken: &mut Broken) {
    for write in facts.ran.calls.writes.iter().filter(|write| write.operation == "UpdateService") {
        let mut targets = facts.fleet().targets.iter();
        let Some(target) = targets.find(|target| is_of(write, target)) else { continue };
        if target.desired.desired_count.is_none() && !write.input["desiredCount"].is_null() {
            broken.push("others", format!("{} has no count in the manifest: {}", target.id, write.input));
        }
    }
}

/// Faults that a run rides out fail no target.
pub fn the_harmless_does_no_harm(facts: &Facts<'_>, broken: &mut Broken) {
    const HARMLESS: [&str; 5] =
        ["=short-sessions:20", "=short-sessions:60", "=latency:100", "=lagging-lists:5", "=no-service-deployments"];
    let scenario = facts.scenario;
    // A hook is found by the service deployments, and continued by their names.
    let pauses = scenario.services.iter().flat_map(|service| &service.keys).any(|key| key.contains("PAUSE"));
    let harmless = |text: &str| {
        HARMLESS.iter().any(|fault| text.ends_with(fault) && !(pauses && fault.ends_with("=no-service-deployments")))
    };
    let undecided = scenario.decisions.is_some();
    let mut disturbs = undecided || !facts.ran.done.is_empty() || facts.ran.job.end != End::Whole;
    // AWS takes a request whose date is wrong by less than five minutes.
    disturbs |= scenario.clock.iter().any(|(_, error)| error.abs() > 280_000 || !scenario.faults.is_empty());
    // What changed since it was planned is refused.
    let is_stale = |saved: &Saved| !saved.meanwhile.is_empty();
    let is_unfit = |planning: &Planning| planning.is_too_old || planning.refused.is_some();
    // What is done beside the jobs of a pipeline is known of all of them together.
    disturbs |= facts.history.pipeline.is_some() && !scenario.others.is_empty();
    disturbs |= facts.history.planning.as_ref().is_some_and(is_unfit) || scenario.saved.as_ref().is_some_and(is_stale);
    if facts.ran.disturbed && (disturbs || !scenario.faults.iter().all(|fault| harmless(&fault.text))) {
        return;
    }
    // What the runs after it find is not always as it was furnished.
    if facts.ran.disturbed && !matches!(facts.ran.code(), Some(Exit::Done | Exit::Gate)) {
        broken.push("harmless", format!("it ended with {:?}: {:?}", facts.ran.exit, facts.targets));
    }
}

/// A target that names an alarm which goes off during a long bake has not succeeded.
pub fn a_bake_sees_alarms(facts: &Facts<'_>, broken: &mut Broken) {
    let is_whole = facts.ran.disturbed && facts.ran.job.end == End::Whole && !facts.halted();
    if !is_whole || !facts.is_calm() || facts.is_shared() || facts.has_fault("slow") {
        return;
    }
    let faults = || facts.scenario.faults.iter().filter(|fault| fault.text.ends_with("=bake-alarm"));
    for &index in facts.fleet().waves.iter().filter(|wave| wave.bake.as_secs() >= 20).flat_map(|wave| &wave.targets) {
        let (target, facets) = (&facts.fleet().targets[index], &facts.targets[index]);
        let goes_off = !target.alarms.is_empty() && faults().any(|fault| fault.covers(&target.id));
        // A fault is of new revisions: one that an earlier run of the same job has deployed works.
        let is_new = !facets.registered.is_empty();
        if goes_off && is_new && facets.last == Some(Outcome::Succeeded) && !facets.is_codedeploy {
            broken.push("alarms", format!("{} succeeded with {:?} in ALARM", target.id, target.alarms));
        }
    }
}

/// What loses its tasks during a long bake that was not cut short has not succeeded.
pub fn a_bake_sees_what_degrades(facts: &Facts<'_>, broken: &mut Broken) {
    let is_whole = facts.ran.disturbed && facts.ran.job.end == End::Whole && !facts.halted();
    // What flaps does so after its bake as well, which can be long before the run ends.
    if !is_whole || !facts.is_calm() || facts.is_shared() || !facts.has_fault("degrade") || facts.has_fault("flap") {
        return;
    }
    let baked = facts.fleet().waves.iter().filter(|wave| wave.bake.as_secs() >= 20);
    for &index in baked.flat_map(|wave| &wave.targets) {
        let Some(after) = &facts.ran.after[index] else { continue };
        let facets = &facts.targets[index];
        if facets.last == Some(Outcome::Succeeded) && !facets.is_codedeploy && after.running < after.desired {
            let (running, desired) = (after.running, after.desired);
            broken.push("bake", format!("{} succeeded, and {running} of {desired} tasks run", facts.id(index)));
        }
    }
}
