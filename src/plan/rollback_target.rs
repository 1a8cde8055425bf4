//! Chooses the revision that a rollback restores, and makes the plan that `roleout rollback` carries out.
//!
//! Pure. The revision is the last one that completed before the present one. A target that is rolled back already stays:
//! otherwise a second rollback, such as that of a retried job, would bring the newer revision again.

pub mod deployed;
mod support;

use crate::base::document::Document;
use crate::fleet::{Fleet, Revision};
use crate::observe::history::{Definitions, History};
use crate::observe::service::LiveService;
use crate::observe::{Observation, ObserveError, Observed};
use crate::plan::build::{Decision, decided, undeployable};
use crate::plan::outline::Action;
use crate::plan::rollback_target::deployed::Deployed;
pub use crate::plan::rollback_target::support::HealthEvidence;
use crate::plan::rollback_target::support::{WasHealthy, ran};
use crate::plan::work::{Definition, Plan, Work};
use crate::task_definition::compose;

/// What a rollback means for a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RollbackTarget {
    /// An older revision is deployed.
    To {
        /// Its ARN.
        arn: String,
        /// Why its deployment history is not known from service deployments, if so.
        because: Option<String>,
        /// What speaks for it having run, where that is so.
        support: Option<HealthEvidence>,
    },
    /// The deployment that is under way is stopped, and ECS rolls back.
    Return {
        /// The deployment's id.
        deployment: String,
        /// The ARN of what completed last, where that is known.
        to: Option<String>,
        /// The ARN of what a deployment by CodeDeploy deploys; ECS's deploys what the service says.
        deploys: Option<String>,
    },
    /// The deployment that is under way is a rollback: it is followed.
    Follow {
        /// The deployment's id.
        deployment: String,
        /// The ARN of what a deployment by CodeDeploy deploys; ECS's deploys what the service says.
        deploys: Option<String>,
    },
    /// It is rolled back already.
    Already(String),
    /// There is no revision to roll back to.
    Nowhere(String),
    /// The deploy that is rolled back has not changed it: it stays as it is.
    Untouched(String),
}

/// How a rollback takes what a target runs now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Present {
    /// The deployment history says whether it is rolled back already.
    #[default]
    Judged,
    /// So it does, and nothing is rolled back but what the manifest deploys: of that, a newer revision than the one before it
    /// was deployed once more.
    Wanted,
    /// The run that is rolled back deployed it, so it is not rolled back.
    Deployed {
        /// What the target ran before that run, where its report has it.
        from: Option<Revision>,
    },
    /// It may be rolled back already, and goes one revision further.
    Further,
}

impl RollbackTarget {
    /// Returns what a rollback means for a target, if the deploy changed it or not. One that it changed, and that is rolled back
    /// already, may go further.
    pub fn of_deployed(self, deployed: &Deployed, goes_further: bool) -> Self {
        match (deployed, self) {
            (Deployed::Was(_), way) if goes_further => way,
            (Deployed::No(why) | Deployed::Was(why), Self::To { .. } | Self::Return { .. } | Self::Nowhere(_)) => {
                Self::Untouched(why.clone())
            }
            (_, way) => way,
        }
    }

    /// Whether it is rolled back, or rolling back.
    pub fn is_back(&self) -> bool {
        matches!(self, Self::Already(_) | Self::Follow { .. })
    }
}

/// Decides what a rollback means for a target with a deployment history: as [`decide`] does, unless a deployment by
/// CodeDeploy is under way.
pub fn way_of(observed: &Observed, past: &History, is: &Present) -> RollbackTarget {
    let Some(under_way) = &observed.codedeploy else { return decide(&observed.service, past, is) };
    let (deployment, deploys) = (under_way.id.clone(), under_way.task_definition.clone());
    let completed: Vec<&str> = match past {
        History::Deployments(attempts) => {
            let completed = attempts.iter().filter(|attempt| attempt.succeeded());
            completed.filter_map(|attempt| attempt.task_definition.as_deref()).collect()
        }
        History::Revisions { .. } => Vec::new(),
    };
    match &deploys {
        _ if under_way.rolls_back.is_some() => RollbackTarget::Follow { deployment, deploys },
        None => RollbackTarget::Nowhere(format!("CodeDeploy does not say what its deployment {deployment} deploys")),
        Some(arn) if completed.contains(&arn.as_str()) => RollbackTarget::Follow { deployment, deploys },
        Some(arn) => {
            // Its traffic has moved already where what it deploys is PRIMARY.
            let before = [observed.service.task_definition.as_str()].into_iter().chain(completed);
            match before.into_iter().find(|known| known != arn) {
                Some(to) => RollbackTarget::Return { deployment, to: Some(to.to_owned()), deploys },
                None => RollbackTarget::Nowhere("nothing is known to have completed before".to_owned()),
            }
        }
    }
}

/// Decides what a rollback means for a service with a deployment history.
pub fn decide(service: &LiveService, past: &History, is: &Present) -> RollbackTarget {
    let Some(primary) = service.primary() else {
        return RollbackTarget::Nowhere("the service has no deployment".to_owned());
    };
    let present = primary.task_definition.as_str();
    let (in_progress, failed) = (primary.is("IN_PROGRESS"), primary.is("FAILED"));
    let deployment = primary.id.clone();
    let is_judged = matches!(is, Present::Judged | Present::Wanted);
    let revision = |arn: &str| arn.parse::<Revision>().ok();
    let back = |after: &str| format!("already back on {}, after {}", name(present), name(after));
    match past {
        History::Deployments(attempts) => {
            let newest = attempts.first().and_then(|attempt| attempt.task_definition.as_deref());
            let completed = attempts.iter().filter(|attempt| attempt.succeeded());
            let completed: Vec<&str> = completed.filter_map(|attempt| attempt.task_definition.as_deref()).collect();
            if in_progress {
                return match completed.contains(&present) {
                    true => RollbackTarget::Follow { deployment, deploys: None },
                    false => RollbackTarget::Return {
                        deployment,
                        to: completed.first().map(|arn| (*arn).to_owned()),
                        deploys: None,
                    },
                };
            }
            let nowhere =
                || RollbackTarget::Nowhere("no other revision completed in the 90 days that ECS remembers".to_owned());
            let Some(other) = completed.iter().position(|arn| *arn != present) else {
                return match newest.filter(|newest| *newest != present && !failed) {
                    Some(after) if is_judged => RollbackTarget::Already(back(after)),
                    _ => nowhere(),
                };
            };
            let mut from = other;
            if let Present::Deployed { from: Some(before) } = is {
                let place = completed.iter().position(|arn| revision(arn).as_ref() == Some(before));
                from = place.unwrap_or(other);
            } else if !failed && !matches!(is, Present::Deployed { .. }) {
                let before = completed[other..].iter().rposition(|arn| *arn == present).map(|place| other + place);
                let is_newer = *is == Present::Wanted && is_newer(revision(present), revision(completed[other]));
                let before = before.filter(|_| !is_newer);
                let after = newest.filter(|newest| *newest != present).or(before.map(|_| completed[other]));
                if let (Some(after), true) = (after, is_judged) {
                    return RollbackTarget::Already(back(after));
                }
                from = before.unwrap_or(other);
            }
            match completed[from..].iter().find(|arn| **arn != present) {
                Some(arn) => RollbackTarget::To { arn: (*arn).to_owned(), because: None, support: None },
                None => nowhere(),
            }
        }
        History::Revisions { arns, older, because } => {
            let number = |arn: &str| arn.parse::<Revision>().map_or(0, |revision| revision.number);
            if in_progress {
                let completed = service.deployments.iter().find(|one| one.id != primary.id && one.is("COMPLETED"));
                return match completed {
                    Some(one) if number(&one.task_definition) > number(present) => {
                        RollbackTarget::Follow { deployment, deploys: None }
                    }
                    completed => RollbackTarget::Return {
                        deployment,
                        to: completed.map(|one| one.task_definition.clone()),
                        deploys: None,
                    },
                };
            }
            let is_judged = !failed && is_judged;
            let newer = arns.first().filter(|arn| is_judged && number(arn) > number(present));
            if let Some(newer) = newer {
                return RollbackTarget::Already(format!(
                    "on {} already, which is older than {}",
                    name(present),
                    name(newer)
                ));
            }
            let known: Vec<(&str, WasHealthy)> =
                older.iter().map(|one| (one.arn.as_str(), ran(service, one))).collect();
            let supported = known.iter().find_map(|(arn, ran)| match ran {
                WasHealthy::Yes(support) => Some((*arn, Some(support.clone()))),
                WasHealthy::No | WasHealthy::Unknown => None,
            });
            let refuted = |arn: &&str| known.contains(&(arn, WasHealthy::No));
            let lower = || arns.iter().map(String::as_str).filter(|arn| number(arn) < number(present));
            let next = || lower().find(|arn| !refuted(arn)).or(lower().next()).map(|arn| (arn, None));
            match supported.or_else(next) {
                Some((arn, support)) => {
                    RollbackTarget::To { arn: arn.to_owned(), because: Some(because.clone()), support }
                }
                None => RollbackTarget::Nowhere(format!("its family has no older ACTIVE revision ({because})")),
            }
        }
    }
}

/// Whether a revision was registered after another one of its family.
fn is_newer(one: Option<Revision>, other: Option<Revision>) -> bool {
    one.zip(other).is_some_and(|(one, other)| one.family == other.family && one.number > other.number)
}

fn name(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}

/// Builds the plan of a rollback. `ways` and `deployed` are indexed as the fleet's targets; `None` if a target could not be
/// read. `definitions` has the revisions that it restores.
pub fn plan(
    fleet: &Fleet,
    seen: &[Observation],
    ways: &[Option<RollbackTarget>],
    deployed: &[Option<Deployed>],
    definitions: &Definitions,
) -> Plan {
    decided(fleet, seen, |index, observed| {
        let group = fleet.targets[index].desired.codedeploy.as_ref();
        let mut decision = match (undeployable(&observed.service, group), &ways[index]) {
            (_, Some(way @ RollbackTarget::Untouched(_))) => decision(observed, way, None),
            (Some(blocked), _) => blocked,
            (None, Some(way)) => decision(observed, way, definitions.get(&index)),
            (None, None) => Decision::blocked("its deployment history could not be read", "run again"),
        };
        if let (Some(work), Some(Deployed::Yes(why))) = (&mut decision.work, &deployed[index]) {
            let why = match &ways[index] {
                Some(RollbackTarget::To { because: None, .. }) => {
                    format!("it is rolled back to its last other revision that completed: {why}")
                }
                _ => format!("it is rolled back: {why}"),
            };
            decision.summary.push(why.clone());
            work.chosen_by = Some(work.chosen_by.take().map_or(why.clone(), |chosen| format!("{why}; {chosen}")));
        }
        decision.work.iter_mut().for_each(|work| work.codedeploy = group.cloned());
        decision
    })
}

fn decision(
    observed: &Observed,
    way: &RollbackTarget,
    definition: Option<&Result<Document, ObserveError>>,
) -> Decision {
    let service = &observed.service;
    let to = |arn: &str| arn.parse::<Revision>().ok();
    let deploy = |definition, to, summary| Decision {
        action: Action::Deploy,
        work: Some(Work::new(definition, service)),
        to,
        summary,
    };
    match way {
        RollbackTarget::Already(why) | RollbackTarget::Untouched(why) => {
            Decision { action: Action::Unchanged, work: None, to: service.revision(), summary: vec![why.clone()] }
        }
        RollbackTarget::Nowhere(why) => {
            let help = "deploy the revision that you want with `roleout deploy`, or leave the target out with --only";
            Decision::blocked(format!("there is nothing to roll back to: {why}"), help)
        }
        RollbackTarget::Follow { deployment, deploys } => {
            let summary = vec![format!("its deployment {deployment} is a rollback already, and is followed")];
            let revision = deploys.as_deref().and_then(to).or(service.revision());
            let mut decision = deploy(Definition::Follow { deployment: deployment.clone() }, revision, summary);
            if let (Some(work), Some(_)) = (&mut decision.work, &observed.codedeploy) {
                work.from = deploys.clone().unwrap_or_default();
            }
            decision
        }
        RollbackTarget::Return { deployment, to: back, deploys } => {
            let by = if deploys.is_some() { "CodeDeploy" } else { "ECS" };
            let summary = vec![format!("its deployment {deployment} is stopped, and {by} rolls back")];
            let mut decision =
                deploy(Definition::Return { deployment: deployment.clone() }, back.as_deref().and_then(to), summary);
            if let (Some(work), Some(back)) = (&mut decision.work, back) {
                work.before.task_definition.get_or_insert_with(|| back.clone());
            }
            if let (Some(work), Some(deploys)) = (&mut decision.work, deploys) {
                (work.from, work.before.task_definition) = (deploys.clone(), back.clone());
            }
            decision
        }
        RollbackTarget::To { arn, because, support } => match definition
            .map(|found| found.as_ref().map(Document::value))
        {
            Some(Ok(found)) if found["status"] == "ACTIVE" => {
                let chosen_by = because.as_ref().map(|_| match support {
                    Some(support) => format!("{} is chosen: {support}", name(arn)),
                    None => format!("{} is chosen by its number alone: it is not known whether it ever ran", name(arn)),
                });
                let mut summary = compose::summary(&observed.live.value(), &found);
                summary.extend(chosen_by.clone());
                let mut decision = deploy(Definition::Existing { arn: arn.clone(), force: false }, to(arn), summary);
                decision.work.iter_mut().for_each(|work| work.chosen_by.clone_from(&chosen_by));
                decision
            }
            Some(Ok(_)) => Decision::blocked(
                format!("it ran {} before, which was deregistered and cannot be deployed", name(arn)),
                "deploy the commit that you want back: that registers its definition again",
            ),
            Some(Err(unseen)) => Decision::blocked(
                format!("{} could not be read: {}", name(arn), unseen.reason),
                unseen.help.clone().unwrap_or_default(),
            ),
            None => Decision::blocked(format!("{} could not be read", name(arn)), "run again"),
        },
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::fleet::Commit;
    use crate::observe::attempt::Attempt;
    use crate::observe::family::Known;
    use crate::observe::service::Message;

    fn service(number: u32, state: &str) -> LiveService {
        let arn = format!("td/api:{number}");
        LiveService::read(&json!({ "status": "ACTIVE", "taskDefinition": arn, "deployments": [
            { "id": "ecs-svc/9", "status": "PRIMARY", "taskDefinition": arn, "rolloutState": state },
        ] }))
    }

    /// `"2+ 1+"`: 2 completed, and before that 1 did; `-` is one that ECS rolled back.
    fn past(attempts: &str) -> History {
        let attempt = |text: &str| {
            let (number, status) = text.split_at(text.len() - 1);
            let status = if status == "+" { "SUCCESSFUL" } else { "ROLLBACK_SUCCESSFUL" };
            Attempt { task_definition: Some(format!("td/api:{number}")), status: status.to_owned() }
        };
        History::Deployments(attempts.split_whitespace().map(attempt).collect())
    }

    fn to(number: u32) -> RollbackTarget {
        RollbackTarget::To { arn: format!("td/api:{number}"), because: None, support: None }
    }

    #[test]
    fn the_last_that_completed_before_the_present_one_is_gone_back_to() {
        for (present, attempts, expected) in [
            (2, "2+ 1+", to(1)),
            (3, "3+ 3+ 2- 1+", to(1)),
            (3, "3+ 2+ 1+", to(2)),
            (1, "2+ 1+", RollbackTarget::Already("already back on api:1, after api:2".into())),
            (1, "1+ 2+ 1+", RollbackTarget::Already("already back on api:1, after api:2".into())),
            (1, "2- 1+", RollbackTarget::Already("already back on api:1, after api:2".into())),
            (2, "3- 2+ 1+", RollbackTarget::Already("already back on api:2, after api:3".into())),
        ] {
            assert_eq!(
                decide(&service(present, "COMPLETED"), &past(attempts), &Present::Judged),
                expected,
                "{present} of {attempts}"
            );
        }
        assert!(matches!(
            decide(&service(2, "COMPLETED"), &past("2+ 2+"), &Present::Judged),
            RollbackTarget::Nowhere(_)
        ));
    }

    #[test]
    fn what_the_run_deployed_is_not_back_whatever_came_after_it() {
        for (present, attempts) in [(3, "2- 3+ 2+ 1+"), (3, "3+ 2+ 3+ 1+"), (3, "4- 3+ 2+")] {
            let way = decide(&service(present, "COMPLETED"), &past(attempts), &Present::Deployed { from: None });
            assert_eq!(way, to(2), "{present} of {attempts}");
        }
    }

    #[test]
    fn what_a_run_found_is_what_it_is_rolled_back_to_whatever_was_deployed_since() {
        // 2 was deployed over 1, then 3, which was rolled back; the run is the one that deployed 2.
        for (from, expected) in [(1, to(1)), (3, to(3)), (9, to(3))] {
            let run = Present::Deployed { from: format!("td/api:{from}").parse().ok() };
            assert_eq!(decide(&service(2, "COMPLETED"), &past("2+ 3+ 2+ 1+"), &run), expected, "{from}");
        }
    }

    #[test]
    fn what_was_rolled_back_and_deployed_once_more_is_rolled_back_once_more() {
        let decide = |present, attempts| decide(&service(present, "COMPLETED"), &past(attempts), &Present::Wanted);
        assert_eq!(decide(2, "2+ 1+ 2+ 1+"), to(1));
        let back = RollbackTarget::Already("already back on api:1, after api:2".into());
        assert_eq!(decide(1, "1+ 2+ 1+"), back);
        assert_eq!(decide(1, "2- 1+"), back);
        assert!(matches!(decide(2, "3- 2+ 1+ 2+"), RollbackTarget::Already(_)));
    }

    #[test]
    fn further_goes_on_from_where_it_is_back() {
        for (present, attempts, expected) in [(2, "2+ 3+ 2+ 1+", to(1)), (2, "3- 2+ 1+", to(1)), (3, "3+ 2+ 1+", to(2))]
        {
            assert_eq!(
                decide(&service(present, "COMPLETED"), &past(attempts), &Present::Further),
                expected,
                "{present} of {attempts}"
            );
        }
        assert!(matches!(
            decide(&service(1, "COMPLETED"), &past("1+ 2+ 1+"), &Present::Further),
            RollbackTarget::Nowhere(_)
        ));
    }

    #[test]
    fn a_failed_one_goes_back_to_what_completed_last() {
        assert_eq!(decide(&service(3, "FAILED"), &past("3- 2+ 1+"), &Present::Judged), to(2));
        assert_eq!(decide(&service(1, "FAILED"), &past("1- 2+ 1+"), &Present::Judged), to(2));
    }

    #[test]
    fn what_is_under_way_is_stopped_unless_it_goes_back_itself() {
        let follow = RollbackTarget::Follow { deployment: "ecs-svc/9".into(), deploys: None };
        assert_eq!(decide(&service(1, "IN_PROGRESS"), &past("1- 2+ 1+"), &Present::Judged), follow);
        let back =
            RollbackTarget::Return { deployment: "ecs-svc/9".into(), to: Some("td/api:2".into()), deploys: None };
        assert_eq!(decide(&service(3, "IN_PROGRESS"), &past("3- 2+ 1+"), &Present::Judged), back);
    }

    #[test]
    fn without_deployments_the_numbers_of_revisions_tell() {
        let revisions = |numbers: &[u32]| History::Revisions {
            arns: numbers.iter().map(|number| format!("td/api:{number}")).collect(),
            older: Vec::new(),
            because: "no".into(),
        };
        let older = RollbackTarget::To { arn: "td/api:2".into(), because: Some("no".into()), support: None };
        assert_eq!(decide(&service(3, "COMPLETED"), &revisions(&[3, 2, 1]), &Present::Judged), older);
        assert!(matches!(
            decide(&service(2, "COMPLETED"), &revisions(&[3, 2, 1]), &Present::Judged),
            RollbackTarget::Already(_)
        ));
        assert!(matches!(
            decide(&service(2, "COMPLETED"), &revisions(&[3, 2, 1]), &Present::Further),
            RollbackTarget::To { .. }
        ));
        assert!(matches!(
            decide(&service(1, "COMPLETED"), &revisions(&[1]), &Present::Judged),
            RollbackTarget::Nowhere(_)
        ));
    }

    #[test]
    fn without_deployments_the_newest_revision_that_something_speaks_for_is_taken() {
        let known = |number: u32, pipeline: Option<&str>| Known {
            arn: format!("td/api:{number}"),
            commit: Commit { pipeline: pipeline.map(str::to_owned), ..Commit::default() },
            ..Known::default()
        };
        let past = |older: Vec<Known>| History::Revisions {
            arns: (1..=4).rev().map(|number| format!("td/api:{number}")).collect(),
            older,
            because: "no".into(),
        };
        let to = |number: u32, support| RollbackTarget::To {
            arn: format!("td/api:{number}"),
            because: Some("no".into()),
            support,
        };
        let present = service(4, "COMPLETED");
        let tagged = Some(HealthEvidence::Registered("the pipeline 7".to_owned()));
        let past_of_two = past(vec![known(3, None), known(2, Some("7")), known(1, Some("6"))]);
        assert_eq!(decide(&present, &past_of_two, &Present::Judged), to(2, tagged));
        assert_eq!(decide(&present, &past(vec![known(3, None), known(2, None)]), &Present::Judged), to(3, None));
        let mut refuted = known(3, Some("7"));
        (refuted.registered_at, refuted.until) = (Timestamp::from_second(100).ok(), Timestamp::from_second(200).ok());
        let mut failed = present.clone();
        failed.messages = vec![Message {
            id: "1".into(),
            text: "(service api) (deployment ecs-svc/3) deployment failed: tasks failed to start.".into(),
            at: Timestamp::from_second(150).ok(),
        }];
        assert_eq!(decide(&failed, &past(vec![refuted.clone(), known(2, None)]), &Present::Judged), to(2, None));
    }
}
