//! Whether the live side of a target is still what its work was planned against.
//!
//! Pure. What moved is not planned anew: it is refused, or left out. What already runs as planned needs nothing, so that
//! a job that is retried, or that goes on after a gate, carries out what is left.

use serde_json::Value;

use crate::base::document::Document;
use crate::observe::Observed;
use crate::observe::service::{Deployment, LiveService};
use crate::plan::settings;
use crate::plan::work::{Definition, PreviousState, Work};
use crate::task_definition::compose;

/// What is to be done to a target now.
#[derive(Clone, Debug, PartialEq)]
pub enum Drift {
    /// Nothing moved: this work.
    Ready(Work),
    /// It moved to just what was planned: nothing, or to follow the deployment that is under way.
    Planned(Option<Work>),
    /// It moved: this is what did, as a lower-case fragment.
    Moved(String),
}

/// Compares a target's work with what is seen of the target now.
pub fn check(work: &Work, observed: &Observed) -> Drift {
    let service = &observed.service;
    if let Some(ending) = service.ending() {
        return Drift::Moved(ending);
    }
    let primary = service.primary();
    if runs_the_same(work, service) {
        if let Some(other) = in_progress(work, service) {
            return Drift::Moved(format!("its deployment {} is in progress", other.id));
        }
        return match (&work.definition, set_since(work, service)) {
            (Definition::Keep, _) if settings_hold(work, observed) => Drift::Planned(None),
            (Definition::Existing { arn, .. }, _) if let Some(status) = retired(observed, arn) => {
                Drift::Moved(format!("the revision {} is {status} now", revision(arn)))
            }
            (_, Some(what)) => Drift::Moved(what),
            (_, None) => Drift::Ready(newest(&again(work, service), observed)),
        };
    }
    let (was, is) = (work.deployments.first().map(String::as_str), primary.map(|primary| primary.id.as_str()));
    let state = primary.and_then(|primary| primary.rollout_state.as_deref());
    match (as_planned(work, observed), primary, state) {
        (true, _, Some("COMPLETED")) => return Drift::Planned(None),
        (true, Some(primary), Some("IN_PROGRESS")) => {
            let follow = Definition::Follow { deployment: primary.id.clone() };
            let run_tasks = work.run_tasks.only_after();
            return Drift::Planned(Some(Work { run_tasks, ..Work::new(follow, service) }));
        }
        _ => {}
    }
    let deployment = |id: Option<&str>| id.unwrap_or("no deployment").to_owned();
    let (old, new) = (revision(&work.from), revision(&service.task_definition));
    let what = if service.task_definition == work.from {
        format!("its deployment was {} and is {} now, of {new} again", deployment(was), deployment(is))
    } else {
        format!("it ran {old} ({}) and runs {new} ({}) now", deployment(was), deployment(is))
    };
    Drift::Moved(if state == Some("IN_PROGRESS") { format!("{what}, and in progress") } else { what })
}

/// Takes a target's work up by a later look at its service, with what a rollback is to restore. `None` where the service
/// does not run any more what the work was planned against, or somebody deploys to it. Settings that changed since are no
/// reason to leave it alone: what is declared holds, and a rollback restores what there was.
pub fn rebase(work: &Work, service: &LiveService) -> Option<Work> {
    let same = service.status == "ACTIVE" && runs_the_same(work, service) && in_progress(work, service).is_none();
    same.then(|| again(work, service))
}

/// Takes a target's work up by a later look at its service, in place of whatever somebody deployed to it since.
pub fn rebase_superseding(work: &Work, service: &LiveService) -> Work {
    let mut work = again(work, service);
    if let Definition::Existing { arn, force } = &mut work.definition {
        // Without it, an UpdateService to what a service names already starts no deployment.
        *force |= *arn == service.task_definition;
    }
    let primary = service.primary().filter(|primary| primary.is("IN_PROGRESS"));
    work.supersedes = primary.map(|primary| primary.id.clone());
    work
}

fn again(work: &Work, service: &LiveService) -> Work {
    match work.definition {
        // The previous revision of these is known from the deployments that theirs replaced.
        Definition::Follow { .. } | Definition::Return { .. } => work.clone(),
        Definition::Keep | Definition::Existing { .. } | Definition::Register { .. } => {
            let Work { from, deployments, before, .. } = Work::new(work.definition.clone(), service);
            let task_definition = before.task_definition.clone().or_else(|| work.before.task_definition.clone());
            Work { from, deployments, before: PreviousState { task_definition, ..before }, ..work.clone() }
        }
    }
}

fn runs_the_same(work: &Work, service: &LiveService) -> bool {
    let primary = service.primary().map(|primary| primary.id.as_str());
    service.task_definition == work.from && primary == work.deployments.first().map(String::as_str)
}

/// Returns a deployment of somebody else's that is in progress: the PRIMARY one, unless the work is about that, or a new
/// one that is not PRIMARY yet, as where a deployment has stages.
fn in_progress<'a>(work: &Work, service: &'a LiveService) -> Option<&'a Deployment> {
    let may_go_on = |id: &String| {
        work.supersedes.as_ref() == Some(id)
            || matches!(work.definition, Definition::Follow { .. } | Definition::Return { .. })
    };
    let others = |one: &&Deployment| match one.status.as_str() {
        "PRIMARY" => !may_go_on(&one.id),
        _ => !work.deployments.contains(&one.id),
    };
    service.deployments.iter().filter(|one| one.is("IN_PROGRESS")).find(others)
}

/// Says which of the settings that the work sets somebody set since: to neither what they were nor what they are to be.
fn set_since(work: &Work, service: &LiveService) -> Option<String> {
    let (was, is) = (work.before.desired_count, service.desired);
    if work.desired_count.is_some_and(|count| is != was && is != count) {
        return Some(format!("its desired count was {was} and is {is} now"));
    }
    let mut declared = work.deployment.as_ref().and_then(Value::as_object).into_iter().flatten();
    let (was, is) = (work.before.deployment.value(), service.configuration.value());
    let (name, _) = declared.find(|(name, value)| {
        let one = Value::Object([((*name).clone(), (*value).clone())].into_iter().collect());
        was[name.as_str()] != is[name.as_str()] && !settings::settings_hold(&one, &is)
    })?;
    Some(format!("its deployment's {name} was {} and is {} now", was[name.as_str()], is[name.as_str()]))
}

/// Whether the service has all that the work would give it.
fn as_planned(work: &Work, observed: &Observed) -> bool {
    let service = &observed.service;
    let definition = match &work.definition {
        Definition::Existing { arn, .. } => service.task_definition == *arn,
        Definition::Register { definition, .. } => {
            let (wanted, live) = (definition.value(), observed.live.value());
            wanted["family"] == live["family"] && compose::same(&wanted, &live)
        }
        // A deployment that another one replaced is not what was planned.
        Definition::Keep | Definition::Follow { .. } | Definition::Return { .. } => false,
    };
    definition && settings_hold(work, observed)
}

/// Whether the service has the desired count and the deployment settings that the work would give it.
fn settings_hold(work: &Work, observed: &Observed) -> bool {
    let service = &observed.service;
    work.desired_count.is_none_or(|count| count == service.desired)
        && work
            .deployment
            .as_ref()
            .is_none_or(|declared| settings::settings_hold(declared, &service.configuration.value()))
}

/// Uses the revision that is to be registered, where it was registered since: by an earlier wave or an earlier try.
fn newest(work: &Work, observed: &Observed) -> Work {
    let mut work = work.clone();
    if let (Definition::Register { definition, newest, .. }, Some(found)) = (&mut work.definition, &observed.newest) {
        let found = found.value();
        let arn = found["taskDefinitionArn"].as_str().filter(|_| compose::same(&definition.value(), &found));
        match arn {
            Some(arn) => work.definition = Definition::Existing { arn: arn.to_owned(), force: false },
            None => *newest = found["revision"].as_u64().unwrap_or(*newest),
        }
    }
    work
}

/// Returns what ECS says of a revision that it starts no tasks of any more.
fn retired(observed: &Observed, arn: &str) -> Option<String> {
    let named = observed.named.as_ref().map(Document::value).filter(|named| named["taskDefinitionArn"] == arn)?;
    named["status"].as_str().filter(|status| *status != "ACTIVE").map(str::to_owned)
}

fn revision(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::observe::service::LiveService;

    const ARN: &str = "arn:aws:ecs:eu-west-1:222222222222:task-definition/api";

    fn definition(number: u64, image: &str) -> Value {
        json!({ "family": "api", "taskDefinitionArn": format!("{ARN}:{number}"), "revision": number,
            "containerDefinitions": [{ "name": "app", "image": image }] })
    }

    fn observed(number: u64, deployment: &str, state: &str, image: &str) -> Observed {
        let arn = format!("{ARN}:{number}");
        let service = LiveService::read(&json!({
            "serviceName": "api", "status": "ACTIVE", "taskDefinition": arn, "desiredCount": 2,
            "deployments": [{ "id": deployment, "status": "PRIMARY", "taskDefinition": arn, "rolloutState": state }],
        }));
        let live = Document::write(&definition(number, image));
        Observed { service, newest: Some(live.clone()), named: None, live, progress: None, codedeploy: None }
    }

    fn work(definition: Definition) -> Work {
        Work::new(definition, &observed(7, "ecs-svc/1", "COMPLETED", "r:1").service)
    }

    fn register() -> Work {
        let wanted = json!({ "family": "api", "containerDefinitions": [{ "name": "app", "image": "r:2" }] });
        work(Definition::Register { definition: Document::write(&wanted), newest: 7, tags: Vec::new() })
    }

    fn moved(work: &Work, observed: &Observed) -> String {
        match check(work, observed) {
            Drift::Moved(what) => what,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_did_not_move_is_carried_out_as_planned() {
        let now = observed(7, "ecs-svc/1", "COMPLETED", "r:1");
        let keep = Work { desired_count: Some(3), ..work(Definition::Keep) };
        for work in [register(), keep, work(Definition::Existing { arn: ARN.into(), force: true })] {
            assert_eq!(check(&work, &now), Drift::Ready(work));
        }
    }

    #[test]
    fn a_revision_that_was_registered_since_is_used() {
        let mut now = observed(7, "ecs-svc/1", "COMPLETED", "r:1");
        now.newest = Some(Document::write(&definition(8, "r:2")));
        let Drift::Ready(ready) = check(&register(), &now) else { panic!("it moved") };
        assert_eq!(ready.definition, Definition::Existing { arn: format!("{ARN}:8"), force: false });
        // But not another one: it only counts for telling a lost answer from one that never was.
        now.newest = Some(Document::write(&definition(9, "r:3")));
        let Drift::Ready(ready) = check(&register(), &now) else { panic!("it moved") };
        assert!(matches!(ready.definition, Definition::Register { newest: 9, .. }), "{ready:?}");
    }

    #[test]
    fn what_runs_as_planned_needs_nothing_more() {
        assert_eq!(check(&register(), &observed(8, "ecs-svc/2", "COMPLETED", "r:2")), Drift::Planned(None));
        let Drift::Planned(Some(follow)) = check(&register(), &observed(8, "ecs-svc/2", "IN_PROGRESS", "r:2")) else {
            panic!("it is not followed")
        };
        assert_eq!(follow.definition, Definition::Follow { deployment: "ecs-svc/2".to_owned() });
        assert_eq!(follow.from, format!("{ARN}:8"));
        moved(&register(), &observed(8, "ecs-svc/2", "FAILED", "r:2"));
        let keep = Work { desired_count: Some(2), ..work(Definition::Keep) };
        assert_eq!(check(&keep, &observed(7, "ecs-svc/1", "COMPLETED", "r:1")), Drift::Planned(None));
        let counted = Work { desired_count: Some(3), ..register() };
        moved(&counted, &observed(8, "ecs-svc/2", "COMPLETED", "r:2"));
    }

    #[test]
    fn what_moved_is_named() {
        let said = moved(&register(), &observed(8, "ecs-svc/2", "COMPLETED", "r:9"));
        assert_eq!(said, "it ran api:7 (ecs-svc/1) and runs api:8 (ecs-svc/2) now");
        let said = moved(&register(), &observed(7, "ecs-svc/2", "COMPLETED", "r:1"));
        assert_eq!(said, "its deployment was ecs-svc/1 and is ecs-svc/2 now, of api:7 again");
        let said = moved(&register(), &observed(7, "ecs-svc/1", "IN_PROGRESS", "r:1"));
        assert_eq!(said, "its deployment ecs-svc/1 is in progress");
        let mut gone = observed(7, "ecs-svc/1", "COMPLETED", "r:1");
        gone.service.status = "INACTIVE".to_owned();
        assert_eq!(moved(&register(), &gone), "the service was deleted (INACTIVE)");
    }

    #[test]
    fn settings_that_others_set_since_are_named_unless_they_are_as_they_are_to_be() {
        let now = |desired: u32, percent: u32| {
            let mut now = observed(7, "ecs-svc/1", "COMPLETED", "r:1");
            now.service.desired = desired;
            now.service.configuration = Document::write(&json!({ "maximumPercent": percent }));
            now
        };
        let planned = Work::new(register().definition, &now(2, 200).service);
        let (count, deployment) = (Some(4), Some(json!({ "maximumPercent": 150 })));
        let work = Work { desired_count: count, deployment, ..planned.clone() };
        assert_eq!(moved(&work, &now(10, 200)), "its desired count was 2 and is 10 now");
        assert_eq!(moved(&work, &now(2, 300)), "its deployment's maximumPercent was 200 and is 300 now");
        assert_eq!(check(&work, &now(2, 200)), Drift::Ready(work.clone()));
        let Drift::Ready(ready) = check(&work, &now(4, 150)) else { panic!("it moved") };
        let settings = json!({ "maximumPercent": 150 });
        assert_eq!((ready.before.desired_count, ready.before.deployment.value()), (4, settings));
        // What the work does not set is not its own.
        assert!(matches!(check(&planned, &now(10, 300)), Drift::Ready(_)));
        // In the middle of a run what is declared holds, and a rollback restores what there was.
        assert_eq!(rebase(&work, &now(10, 200).service).map(|work| work.before.desired_count), Some(10));
    }

    #[test]
    fn work_is_taken_up_again_only_where_nobody_deployed_or_deploys() {
        let now = observed(7, "ecs-svc/1", "COMPLETED", "r:1").service;
        assert_eq!(rebase(&register(), &now), Some(register()));
        for (number, id, state) in
            [(8, "ecs-svc/2", "COMPLETED"), (7, "ecs-svc/2", "COMPLETED"), (7, "ecs-svc/1", "IN_PROGRESS")]
        {
            assert_eq!(rebase(&register(), &observed(number, id, state, "r:9").service), None, "{number} {id} {state}");
        }
        // The new revision of a deployment with stages is not PRIMARY at first.
        let mut staged = now.clone();
        let mut green = staged.deployments[0].clone();
        (green.id, green.status) = ("ecs-svc/2".to_owned(), "ACTIVE".to_owned());
        green.rollout_state = Some("IN_PROGRESS".to_owned());
        staged.deployments.push(green);
        assert_eq!(rebase(&register(), &staged), None);
        // A deployment that ours replaces may complete first; then a rollback is to its revision.
        let going = observed(7, "ecs-svc/1", "IN_PROGRESS", "r:1").service;
        let work = Work { supersedes: Some("ecs-svc/1".to_owned()), ..Work::new(register().definition, &going) };
        assert_eq!(rebase(&work, &going), Some(work.clone()));
        assert_eq!(rebase(&work, &now).and_then(|it| it.before.task_definition), Some(format!("{ARN}:7")));
    }

    #[test]
    fn what_takes_the_place_of_others_starts_from_what_they_left() {
        let now = observed(8, "ecs-svc/2", "COMPLETED", "r:9").service;
        let instead_of = rebase_superseding(&register(), &now);
        assert_eq!((&instead_of.from, &instead_of.deployments), (&format!("{ARN}:8"), &vec!["ecs-svc/2".to_owned()]));
        assert_eq!(instead_of.before.task_definition, Some(format!("{ARN}:8")));
        // Nothing starts where the service names the revision already, unless it is forced.
        let existing = work(Definition::Existing { arn: format!("{ARN}:8"), force: false });
        let failed = observed(8, "ecs-svc/2", "FAILED", "r:2").service;
        assert!(matches!(rebase_superseding(&existing, &failed).definition, Definition::Existing { force: true, .. }));
    }

    #[test]
    fn a_deployment_that_is_followed_may_go_on_or_end_but_not_be_replaced() {
        let follow = work(Definition::Follow { deployment: "ecs-svc/1".to_owned() });
        for state in ["IN_PROGRESS", "COMPLETED"] {
            assert_eq!(
                check(&follow, &observed(7, "ecs-svc/1", state, "r:1")),
                Drift::Ready(follow.clone()),
                "{state}"
            );
        }
        moved(&follow, &observed(7, "ecs-svc/2", "COMPLETED", "r:1"));
    }
}
