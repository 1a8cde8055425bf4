//! Whether the live side of a target is still what its work was planned against.
//!
//! Pure. What moved is not planned anew: it is refused, or left out. What already runs as planned needs nothing, so that
//! a job that is retried, or that goes on after a gate, carries out what is left.

use super::{Definition, Work, taskdef};
use crate::observe::Observed;

/// What is to be done to a target now.
#[derive(Clone, Debug, PartialEq)]
pub enum Fresh {
    /// Nothing moved: this work.
    Ready(Work),
    /// It moved to just what was planned: nothing, or to follow the deployment that is under way.
    Planned(Option<Work>),
    /// It moved: this is what did, as a lower-case fragment.
    Moved(String),
}

/// Compares a target's work with what is seen of the target now.
pub fn check(work: &Work, observed: &Observed) -> Fresh {
    let service = &observed.service;
    if service.status != "ACTIVE" {
        return Fresh::Moved(format!("the service is {} now", service.status));
    }
    let primary = service.primary();
    let (was, is) = (work.deployments.first().map(String::as_str), primary.map(|primary| primary.id.as_str()));
    if service.task_definition == work.from && was == is {
        let in_progress = primary.filter(|primary| primary.is("IN_PROGRESS"));
        return match (in_progress, &work.definition) {
            (None, Definition::Keep) if settings_hold(work, observed) => Fresh::Planned(None),
            (None, Definition::Existing { arn, .. }) if let Some(status) = retired(observed, arn) => {
                Fresh::Moved(format!("the revision {} is {status} now", revision(arn)))
            }
            (Some(primary), _) if work.supersedes.as_ref() == Some(&primary.id) => Fresh::Ready(newest(work, observed)),
            (None, _) | (Some(_), Definition::Follow { .. }) => Fresh::Ready(newest(work, observed)),
            // Only a rollback returns, and it is never saved.
            (Some(_), Definition::Return { .. }) => Fresh::Ready(newest(work, observed)),
            (Some(primary), Definition::Keep | Definition::Existing { .. } | Definition::Register { .. }) => {
                Fresh::Moved(format!("its deployment {} is in progress", primary.id))
            }
        };
    }
    let state = primary.and_then(|primary| primary.rollout_state.as_deref());
    match (as_planned(work, observed), primary, state) {
        (true, _, Some("COMPLETED")) => return Fresh::Planned(None),
        (true, Some(primary), Some("IN_PROGRESS")) => {
            let follow = Definition::Follow { deployment: primary.id.clone() };
            let run_tasks = work.run_tasks.only_after();
            return Fresh::Planned(Some(Work { run_tasks, ..Work::new(follow, service) }));
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
    Fresh::Moved(if state == Some("IN_PROGRESS") { format!("{what}, and in progress") } else { what })
}

/// Whether the service has all that the work would give it.
fn as_planned(work: &Work, observed: &Observed) -> bool {
    let service = &observed.service;
    let definition = match &work.definition {
        Definition::Existing { arn, .. } => service.task_definition == *arn,
        Definition::Register { definition, .. } => {
            definition["family"] == observed.live["family"] && taskdef::same(definition, &observed.live)
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
        && work.deployment.as_ref().is_none_or(|declared| taskdef::settings_hold(declared, &service.configuration))
}

/// Uses the revision that is to be registered, where it was registered since: by an earlier wave or an earlier try.
fn newest(work: &Work, observed: &Observed) -> Work {
    let mut work = work.clone();
    if let (Definition::Register { definition, newest, .. }, Some(found)) = (&mut work.definition, &observed.newest) {
        let arn = found["taskDefinitionArn"].as_str().filter(|_| taskdef::same(definition, found));
        match arn {
            Some(arn) => work.definition = Definition::Existing { arn: arn.to_owned(), force: false },
            None => *newest = found["revision"].as_u64().unwrap_or(*newest),
        }
    }
    work
}

/// Returns what ECS says of a revision that it starts no tasks of any more.
fn retired<'a>(observed: &'a Observed, arn: &str) -> Option<&'a str> {
    let named = observed.named.as_ref().filter(|named| named["taskDefinitionArn"] == arn)?;
    named["status"].as_str().filter(|status| *status != "ACTIVE")
}

fn revision(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

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
        let live = Arc::new(definition(number, image));
        Observed { service, newest: Some(Arc::clone(&live)), named: None, live, progress: None, codedeploy: None }
    }

    fn work(definition: Definition) -> Work {
        Work::new(definition, &observed(7, "ecs-svc/1", "COMPLETED", "r:1").service)
    }

    fn register() -> Work {
        let wanted = json!({ "family": "api", "containerDefinitions": [{ "name": "app", "image": "r:2" }] });
        work(Definition::Register { definition: Arc::new(wanted), newest: 7, tags: Vec::new() })
    }

    fn moved(work: &Work, observed: &Observed) -> String {
        match check(work, observed) {
            Fresh::Moved(what) => what,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_did_not_move_is_carried_out_as_planned() {
        let now = observed(7, "ecs-svc/1", "COMPLETED", "r:1");
        let keep = Work { desired_count: Some(3), ..work(Definition::Keep) };
        for work in [register(), keep, work(Definition::Existing { arn: ARN.into(), force: true })] {
            assert_eq!(check(&work, &now), Fresh::Ready(work));
        }
    }

    #[test]
    fn a_revision_that_was_registered_since_is_used() {
        let mut now = observed(7, "ecs-svc/1", "COMPLETED", "r:1");
        now.newest = Some(Arc::new(definition(8, "r:2")));
        let Fresh::Ready(ready) = check(&register(), &now) else { panic!("it moved") };
        assert_eq!(ready.definition, Definition::Existing { arn: format!("{ARN}:8"), force: false });
        // But not another one: it only counts for telling a lost answer from one that never was.
        now.newest = Some(Arc::new(definition(9, "r:3")));
        let Fresh::Ready(ready) = check(&register(), &now) else { panic!("it moved") };
        assert!(matches!(ready.definition, Definition::Register { newest: 9, .. }), "{ready:?}");
    }

    #[test]
    fn what_runs_as_planned_needs_nothing_more() {
        assert_eq!(check(&register(), &observed(8, "ecs-svc/2", "COMPLETED", "r:2")), Fresh::Planned(None));
        let Fresh::Planned(Some(follow)) = check(&register(), &observed(8, "ecs-svc/2", "IN_PROGRESS", "r:2")) else {
            panic!("it is not followed")
        };
        assert_eq!(follow.definition, Definition::Follow { deployment: "ecs-svc/2".to_owned() });
        assert_eq!(follow.from, format!("{ARN}:8"));
        moved(&register(), &observed(8, "ecs-svc/2", "FAILED", "r:2"));
        let keep = Work { desired_count: Some(2), ..work(Definition::Keep) };
        assert_eq!(check(&keep, &observed(7, "ecs-svc/1", "COMPLETED", "r:1")), Fresh::Planned(None));
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
        assert_eq!(moved(&register(), &gone), "the service is INACTIVE now");
    }

    #[test]
    fn a_deployment_that_is_followed_may_go_on_or_end_but_not_be_replaced() {
        let follow = work(Definition::Follow { deployment: "ecs-svc/1".to_owned() });
        for state in ["IN_PROGRESS", "COMPLETED"] {
            assert_eq!(check(&follow, &observed(7, "ecs-svc/1", state, "r:1")), Fresh::Ready(follow.clone()));
        }
        moved(&follow, &observed(7, "ecs-svc/2", "COMPLETED", "r:1"));
    }
}
