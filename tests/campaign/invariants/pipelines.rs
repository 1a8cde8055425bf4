//! What must hold of a child pipeline: its jobs have each target once and keep to the bounds of the whole wave together, nothing
//! starts where a wave has not passed, and what the join says is what the jobs did.

use std::collections::BTreeMap;

use roleout::base::exit::Exit;
use roleout::event::Event;
use roleout::fleet::TargetId;

use crate::simulation::facts::{Facts, is_of, is_wanted};
use crate::simulation::invariants::{self, Broken};
use crate::simulation::pipeline::{JobRan, Pipelined};
use crate::simulation::run::History;
use crate::simulation::scenario::Scenario;

/// Checks a pipeline and its jobs; the join as a run is checked with the runs.
pub fn check(scenario: &Scenario, history: &History, broken: &mut Broken) {
    let (Some(pipeline), Some(joined)) = (&history.pipeline, history.runs.first()) else { return };
    for JobRan { wave, number, ran, .. } in &pipeline.jobs {
        let facts = Facts::new(scenario, history, ran);
        let mut found = Broken::default();
        invariants::OF_A_RUN.iter().for_each(|check| check(&facts, &mut found));
        broken.0.extend(found.0.into_iter().map(|what| format!("run {wave} {number}: {what}")));
    }
    let (preflight, writes) = &pipeline.preflight;
    if *writes > 0 {
        broken.push("pipelines", format!("the preflight sent {writes} writes"));
    }
    each_target_has_one_job(pipeline, broken);
    let whole = Facts::new(scenario, history, joined);
    the_join_is_true(&whole, pipeline, broken);
    if let (Err(refused), Err(merged)) = (preflight, &pipeline.merged)
        && refused.exit != merged.exit
    {
        broken.push("pipelines", format!("the preflight ended with {refused}, and the join with {merged}"));
    }
    a_gate_counts_what_failed(&whole, pipeline, broken);
    if let Some(resumed) = &pipeline.resumed
        && preflight.is_ok()
        && !matches!(resumed, Ok(Exit::Done))
        // One that hangs is for somebody to stop.
        && !matches!(resumed, Err(error) if error.message.contains("by CodeDeploy is in progress"))
        && !(scenario.has_fault("degrade") || scenario.has_fault("flap"))
    {
        broken
            .push("pipelines", format!("the jobs that were left were run again, and the join ended with {resumed:?}"));
    }
}

/// No two jobs have a target, and nothing is written to one that the job does not have.
fn each_target_has_one_job(pipeline: &Pipelined, broken: &mut Broken) {
    let mut owners: BTreeMap<&TargetId, (&str, usize)> = BTreeMap::new();
    for job in &pipeline.jobs {
        let this = (job.wave.as_str(), job.number);
        for target in &job.ran.job.fleet.targets {
            let owner = *owners.entry(&target.id).or_insert(this);
            if owner != this {
                broken.push("pipelines", format!("{} is the work of {owner:?} and of {this:?}", target.id));
            }
        }
        let named = ["UpdateService", "RegisterTaskDefinition", "CreateDeployment"];
        for write in job.ran.calls.writes.iter().filter(|write| named.contains(&write.operation.as_str())) {
            if !job.ran.job.fleet.targets.iter().any(|target| is_of(write, target)) {
                broken.push("pipelines", format!("{this:?} does not have this: {} {}", write.operation, write.input));
            }
        }
    }
}

/// The join says of each target what its job said, and its exit code is that of what AWS has.
fn the_join_is_true(whole: &Facts<'_>, pipeline: &Pipelined, broken: &mut Broken) {
    let last = || pipeline.jobs.iter().filter(|job| !job.replaced);
    let ended =
        |job: &JobRan| matches!(job.ran.events.last().map(|stamped| &stamped.event), Some(Event::RunFinished { .. }));
    let code = pipeline.merged.as_ref().map_or_else(|error| error.exit, |exit| *exit);
    if let Some(job) = last().find(|job| !ended(job) || !job.is_left)
        && matches!(code, Exit::Done | Exit::Gate | Exit::Tolerated)
    {
        broken.push(
            "pipelines",
            format!("{} {} did not get to its end, and the join has {code:?}", job.wave, job.number),
        );
    }
    let all_ended = pipeline.preflight.0.is_ok() && last().all(|job| ended(job) && job.is_left);
    if all_ended && whole.ran.exit.is_none() {
        broken.push("pipelines", format!("every job got to its end, and the join has none: {:?}", pipeline.merged));
    }
    for job in last().filter(|job| job.is_left && pipeline.preflight.0.is_ok()) {
        let facts = Facts::new(whole.scenario, whole.history, &job.ran);
        for (index, facets) in facts.targets.iter().enumerate().filter(|(_, facets)| facets.last.is_some()) {
            let id = facts.id(index);
            let place = whole.fleet().targets.iter().position(|target| target.id == *id);
            let joined = place.and_then(|place| whole.targets[place].last);
            if joined != facets.last {
                broken.push("pipelines", format!("{id} is {:?} in its job and {joined:?} in the join", facets.last));
            }
        }
    }
    if !matches!(code, Exit::Done | Exit::Tolerated) {
        return;
    }
    for (index, facets) in whole.targets.iter().enumerate() {
        let failed = facets.deployment.as_ref().is_some_and(|one| one.failed_by(whole.ran.ended));
        if failed && code == Exit::Done && !whole.is_shared() {
            broken.push("pipelines", format!("the join has {code:?}, and {} failed: {facets:?}", whole.id(index)));
        }
        let after = whole.ran.after[index].as_ref();
        let runs = after.is_some_and(|state| is_wanted(&state.image));
        let may_not = whole.is_shared() || whole.scenario.skip_blocked || facets.is_codedeploy;
        if code == Exit::Done && !runs && !may_not {
            broken.push("pipelines", format!("the join has {code:?}, and {} is {after:?}", whole.id(index)));
        }
    }
}

/// A gate lets nothing pass where more failed than may, by all jobs together.
fn a_gate_counts_what_failed(whole: &Facts<'_>, pipeline: &Pipelined, broken: &mut Broken) {
    for (name, code) in &pipeline.gates {
        let Some(wave) = whole.fleet().waves.iter().find(|wave| wave.name == *name) else { continue };
        let failed = |&&index: &&usize| {
            let facets = &whole.targets[index];
            facets.deployment.as_ref().is_some_and(|one| one.failed_by(whole.ran.ended))
                && facets.last.is_none_or(|outcome| outcome.is_failure())
        };
        let failed = wave.targets.iter().filter(failed).count();
        let most = wave.max_failures.out_of(wave.targets.len());
        if *code == Exit::Done && failed > most {
            broken.push("pipelines", format!("the gate after {name} passed, and {failed} failed, of {most}"));
        }
    }
}
