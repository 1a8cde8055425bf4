//! Who continues hooks, and who only follows: each lets go on only what it may, and `roleout watch` changes nothing and says what
//! AWS has.

use roleout::base::exit::Exit;
use roleout::fleet::Outcome;
use roleout::sandbox::Write;

use crate::simulation::decisions::Decided;
use crate::simulation::facts::Facts;
use crate::simulation::invariants::Broken;
use crate::simulation::jobs::Command;
use crate::simulation::others::Done;
use crate::simulation::scenario::Deed;
use crate::simulation::truth::Deployment;

/// Who continues hooks by itself does so only for deployments of its own; where nobody told it to, somebody's `roleout continue`
/// does so for the targets that were selected.
pub fn hooks_are_continued_by_whom_they_concern(facts: &Facts<'_>, broken: &mut Broken) {
    let continued = |write: &&Write| write.operation == "ContinueServiceDeployment";
    for write in facts.ran.calls.writes.iter().filter(continued) {
        let arn = write.input["serviceDeploymentArn"].as_str().unwrap_or_default();
        let found = facts.ran.deployments.iter().enumerate().find_map(|(index, deployments)| {
            Some((index, deployments.iter().find(|deployment| deployment.arn == arn)?))
        });
        let Some((index, deployment)) = found else { continue };
        if facts.ran.job.continues {
            let is_like_ours = |done: &Done| match done.what {
                Deed::Repeats => facts.is_doubled(index),
                Deed::Returns => facts.is_brought_back(index),
                _ => false,
            };
            let is_others = facts.ran.done.iter().any(|done| {
                done.index == index && done.deploys && done.at.abs_diff(deployment.created) <= 1 && !is_like_ours(done)
            });
            if is_others {
                broken.push(
                    "hooks",
                    format!("{}: the hook of somebody else was continued: {deployment:?}", facts.id(index)),
                );
            }
            continue;
        }
        let by = |decided: &Decided| {
            let action = if decided.what.rollback { "ROLLBACK" } else { "CONTINUE" };
            decided.began <= write.at
                && decided.ended.is_none_or(|ended| write.at <= ended)
                && write.input["action"] == action
                && decided.fleet.targets.iter().any(|target| target.id == *facts.id(index))
        };
        if !facts.ran.decided.iter().any(by) {
            broken.push("hooks", format!("{}: nobody asked for {} at {}", facts.id(index), write.input, write.at));
        }
    }
    for decided in &facts.ran.decided {
        let window = |write: &&Write| {
            decided.began <= write.at && decided.ended.is_some_and(|ended| write.at <= ended) && write.error.is_none()
        };
        let took = facts.ran.calls.writes.iter().filter(continued).filter(window).count();
        let done = if decided.what.rollback { "rolls back" } else { "continues" };
        let told = decided.told.lines().filter(|line| line.contains(done) && line.starts_with('✔')).count();
        // A hook does by itself what it was told to, too, where its time is over before a lost call is made again.
        let keys = facts.scenario.services.iter().flat_map(|service| service.keys.iter().chain(&service.new_keys));
        let action = if decided.what.rollback { "action: ROLLBACK" } else { "action: CONTINUE" };
        let by_itself = !facts.is_calm() && keys.map(String::as_str).any(|key| key.contains(action));
        if told > took && !by_itself {
            let writes: Vec<_> = facts.ran.calls.writes.iter().filter(continued).collect();
            let what = format!("{told} were told as {done}, and {took} were: {}, {writes:?}", decided.told);
            broken.push("hooks", what);
        }
        if let Some(Ok(Exit::Done)) = &decided.exit
            && decided.told.contains('✖')
        {
            broken.push("hooks", format!("it ended with 0: {}", decided.told));
        }
    }
}

/// What `roleout watch` says of a deployment is what became of it, and it writes nothing.
pub fn a_watch_only_reads(facts: &Facts<'_>, broken: &mut Broken) {
    if !matches!(facts.ran.job.command, Command::Watch) {
        return;
    }
    if let Some(attempt) = facts.ran.calls.attempts.first() {
        broken.push("watch", format!("it sent {attempt:?}"));
    }
    let mut all_succeeded = true;
    // A read that lags behind shows no deployment that began just before, and one that is not answered for some time comes late.
    let is_late = ["stale", "blind"].iter().any(|word| facts.scenario.has_fault(word));
    let lag = if is_late { 10_000 } else { 0 };
    for (index, facets) in facts.targets.iter().enumerate().filter(|(_, facets)| !facets.is_codedeploy) {
        let id = facts.id(index);
        let began = facts.ran.began;
        let under_way =
            |one: &&Deployment| one.created + lag < began && one.finished.is_none_or(|at| at > began + 5_000 + lag);
        let followed = facts.ran.deployments[index].iter().rfind(under_way);
        let told = facets.finished.first();
        if facets.finished.len() > 1 || (facets.has_work && told.is_none()) {
            broken.push("watch", format!("{id} has {} terminal events", facets.finished.len()));
        }
        all_succeeded &= told.is_none_or(|(outcome, _)| *outcome == Outcome::Succeeded);
        let Some(followed) = followed else {
            if told.is_some()
                && !is_late
                && facts.ran.deployments[index].iter().all(|one| one.finished.is_some_and(|at| at < began))
            {
                broken.push("watch", format!("{id} had nothing under way, and is {told:?}"));
            }
            continue;
        };
        let Some((outcome, at)) = told else {
            if facts.ran.code() != Some(Exit::Preflight) {
                broken.push("watch", format!("{id} is not followed: {followed:?}"));
            }
            continue;
        };
        let agrees = match outcome {
            Outcome::Succeeded => followed.succeeded_by(*at),
            Outcome::RolledBack => followed.status == "ROLLBACK_SUCCESSFUL" && followed.failed_by(*at),
            Outcome::Failed => followed.failed_by(*at),
            // It ran out of time, or cannot go on.
            Outcome::TimedOut | Outcome::Stuck => !followed.succeeded_by(*at),
            _ => false,
        };
        if !agrees {
            broken.push("watch", format!("{id} is told as {outcome:?} at {at}: {followed:?}, {}", facets.reasons));
        }
    }
    if facts.ran.code() == Some(Exit::Done) && !all_succeeded {
        broken.push("watch", format!("it ended with {:?}: {:?}", facts.ran.exit, facts.targets));
    }
}
