//! What a plan says of a target that it changes, computed from the work that is carried out and from what was seen of the
//! target, and from nothing else.
//!
//! Pure. A saved plan holds an outline for people and the work for the engine. Whoever can change the file can change one
//! of them alone, so what is shown is computed anew, and an outline that says something else is refused.

use serde_json::Value;

use crate::base::document::Document;
use crate::base::redact;
use crate::fleet::commit::{PREFIX, tags};
use crate::fleet::{Fleet, Revision, TargetSpec};
use crate::observe::{Observation, Observed};
use crate::plan::build::{self, wave_outline};
use crate::plan::outline::{Action, ChangeOutline, Outline, WaveOutline};
use crate::plan::work::{Definition, LookedUp, Plan, PreviousState, Work};
use crate::plan::{run_task, strategy};
use crate::task_definition::compose;

/// Returns what carrying work out needs.
pub fn action(work: &Work) -> Action {
    match work.definition {
        Definition::Register { .. } => Action::Register,
        Definition::Existing { .. } | Definition::Follow { .. } | Definition::Return { .. } => Action::Deploy,
        Definition::Keep => Action::Update,
    }
}

/// Writes anew what an outline says of a target.
pub fn describe(change: &mut ChangeOutline, target: &TargetSpec, work: &Work, observed: &Observed) {
    change.action = action(work);
    change.from = observed.service.revision();
    change.to = revision(work, observed);
    change.summary = summary(target, work, observed);
}

/// Writes anew what an outline says of each target that has work and was seen.
pub fn retell(fleet: &Fleet, seen: &[Observation], plan: &mut Plan) {
    let places = places(fleet);
    for (change, index) in plan.outline.changes.iter_mut().zip(places) {
        if let (Some(work), Ok(observed)) = (&plan.work[index], &seen[index]) {
            describe(change, &fleet.targets[index], work, observed);
        }
    }
}

/// Returns the targets in the order in which an outline has them, wave by wave.
fn places(fleet: &Fleet) -> Vec<usize> {
    fleet.waves.iter().flat_map(|wave| wave.targets.iter().copied()).collect()
}

/// Returns in what an outline contradicts the fleet and the work, as far as that can be told without a look at AWS.
pub fn contradiction(fleet: &Fleet, outline: &Outline, work: &[Option<&Work>]) -> Option<String> {
    let places = places(fleet);
    if !outline.changes.iter().map(|change| &change.target).eq(places.iter().map(|&index| &fleet.targets[index].id)) {
        return Some("its outline has other targets, or another order".to_owned());
    }
    for (change, &index) in outline.changes.iter().zip(&places) {
        let target = &fleet.targets[index];
        let same = change.account_id == target.account.id
            && change.cluster == target.cluster
            && change.service == target.service
            && match &work[index] {
                Some(work) => change.action == action(work),
                None => !change.action.changes(),
            };
        if !same {
            return Some(format!("its outline says something else of {}", change.target));
        }
    }
    let mut changes = outline.changes.iter();
    let waves = fleet.waves.iter().map(|wave| {
        let own: Vec<&ChangeOutline> = changes.by_ref().take(wave.targets.len()).collect();
        let changing = own.iter().filter(|change| change.action.changes()).count();
        (own.iter().all(|change| change.wave == wave.name), wave_outline(wave, fleet, changing))
    });
    let waves: Vec<(bool, WaveOutline)> = waves.collect();
    if let Some((_, wave)) = waves.iter().find(|(named, _)| !named) {
        return Some(format!("its outline has targets of the wave `{}` in another one", wave.name));
    }
    let others = !waves.iter().map(|(_, wave)| wave).eq(&outline.waves);
    others.then(|| "its outline says something else of the waves".to_owned())
}

/// Whether an outline describes exactly a target's work, if nothing has changed since it was made.
pub fn is_true(change: &ChangeOutline, target: &TargetSpec, work: &Work, observed: &Observed) -> bool {
    // What is as it is to be already by now was not when the plan was made.
    let mut then = observed.clone();
    then.service.desired = work.before.desired_count;
    then.service.configuration.clone_from(&work.before.deployment);
    let mut told = change.clone();
    describe(&mut told, target, work, &then);
    told == *change
}

/// Returns the revision that a target will run, where that exists.
fn revision(work: &Work, observed: &Observed) -> Option<Revision> {
    match &work.definition {
        Definition::Existing { arn, .. } => arn.parse().ok(),
        Definition::Register { .. } => None,
        Definition::Follow { .. } if work.codedeploy.is_some() => work.from.parse().ok(),
        Definition::Keep | Definition::Follow { .. } => observed.service.revision(),
        Definition::Return { .. } => work.before.revision(),
    }
}

/// Returns what changes, a line each, without values that may be secret.
fn summary(target: &TargetSpec, work: &Work, observed: &Observed) -> Vec<String> {
    let mut lines = match &work.definition {
        Definition::Keep => Vec::new(),
        Definition::Register { definition, .. } => compose::summary(&observed.live.value(), &definition.value()),
        Definition::Existing { arn, .. } => match found(observed, arn) {
            Some(found) => compose::summary(&observed.live.value(), &found),
            None => vec![format!("{arn} cannot be read")],
        },
        Definition::Follow { deployment } => vec![format!("its deployment {deployment} is under way and is followed")],
        Definition::Return { deployment } => vec![format!("its deployment {deployment} is stopped and rolled back")],
    };
    if let Definition::Existing { arn, force } = &work.definition {
        let name = arn.rsplit('/').next().unwrap_or(arn);
        if *force {
            lines.push(format!("a new deployment of {name}"));
        } else if lines.is_empty() {
            lines.push(format!("{name}, of the same content"));
        }
    }
    if let Some(count) = work.desired_count {
        lines.push(format!("desired count {} -> {count}", observed.service.desired));
    }
    if let Some(declared) = &work.deployment {
        lines.extend(build::settings(declared, &observed.service.configuration.value()));
    }
    lines.extend(notes(target, work, observed));
    lines
}

/// Returns the definition of that ARN, where it was read.
pub fn found(observed: &Observed, arn: &str) -> Option<Value> {
    let known = [&observed.named, &observed.newest].into_iter().flatten().chain([&observed.live]);
    known.map(Document::value).find(|known| known["taskDefinitionArn"] == arn)
}

/// Returns what there is to say of work besides its differences.
pub fn notes(target: &TargetSpec, work: &Work, observed: &Observed) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(deployment) = &work.supersedes {
        notes.push(format!("takes the place of {deployment}, which is in progress"));
    }
    if !matches!(work.definition, Definition::Keep) {
        notes.extend(strategy::note(target, &observed.service));
        notes.extend(strategy::counts(target, &observed.service));
    }
    if let Definition::Register { definition, tags: more, .. } = &work.definition {
        let live = tags(&observed.live.value());
        let own = tags(&definition.value());
        let new = own.iter().chain(more).filter(|tag| !tag.key.starts_with(PREFIX) && !live.contains(tag));
        let new: Vec<String> = new.map(|tag| redact::line(&format!("{}={}", tag.key, tag.value))).collect();
        notes.extend((!new.is_empty()).then(|| format!("tagged {}", new.join(", "))));
    }
    if let Some(codedeploy) = &work.codedeploy {
        let config = codedeploy.config.as_ref().map(|config| format!(", by {config}")).unwrap_or_default();
        let appspec = codedeploy.appspec.split_whitespace().collect::<Vec<_>>().join(" ");
        notes.push(format!(
            "deployed by CodeDeploy: application {}, deployment group {}{config}, AppSpec {}",
            codedeploy.application,
            codedeploy.deployment_group,
            redact::line(&appspec)
        ));
    }
    let seen = PreviousState::capture(&observed.service, &work.definition).task_definition;
    if let (Some(back), None) = (&work.before.task_definition, seen) {
        notes.push(format!("a rollback is to {}", back.rsplit('/').next().unwrap_or(back)));
    }
    notes.extend(work.chosen_by.clone());
    notes.extend(work.values.iter().map(LookedUp::line));
    notes.extend(run_task::notes(&work.run_tasks));
    notes
}
