//! The plan of `roleout watch`: to follow what is under way, and to change nothing.

use crate::fleet::{Fleet, OnCancel, OnFailure, TargetSpec};
use crate::observe::service::{Deployment, LiveService};
use crate::observe::{Observation, Observed};
use crate::plan::outline::{Action, ChangeOutline, Outline, WaveOutline};
use crate::plan::work::{Definition, Plan, Work};

/// The name of the one wave.
pub const WAVE: &str = "watch";

/// Plans to follow the deployment of every target that has one under way, whoever started it, all at once; `seen` is
/// indexed as [`Fleet::targets`]. A target without one needs nothing; one that could not be read is blocked.
pub fn plan(fleet: &Fleet, seen: &[Observation]) -> Plan {
    let (mut work, mut changes) = (Vec::with_capacity(seen.len()), Vec::with_capacity(seen.len()));
    for (target, seen) in fleet.targets.iter().zip(seen) {
        let service = seen.as_ref().ok().map(|observed| &observed.service);
        let followed = seen.as_ref().ok().and_then(|observed| UnderWay::find(observed, target));
        let action = match (seen, &followed) {
            (Err(unseen), _) => Action::Blocked { reason: unseen.reason.clone(), help: unseen.help.clone() },
            (Ok(_), Some(_)) if lacks_group(target, service) => Action::Blocked {
                reason:
                    "its deployment by CodeDeploy is under way, and the manifest does not name its deployment group"
                        .to_owned(),
                help: Some("name the group with `codedeploy` in the manifest".to_owned()),
            },
            (Ok(_), Some(_)) => Action::Deploy,
            (Ok(_), None) => Action::Unchanged,
        };
        let followed = followed.filter(|_| action == Action::Deploy);
        let summary = followed.as_ref().map(|followed| format!("its deployment {} is under way", followed.deployment));
        changes.push(ChangeOutline {
            target: target.id.clone(),
            account_id: target.account.id.clone(),
            cluster: target.cluster.clone(),
            service: target.service.clone(),
            wave: WAVE.to_owned(),
            action,
            from: service.and_then(LiveService::revision),
            to: followed.as_ref().and_then(|followed| followed.task_definition.parse().ok()),
            summary: summary.into_iter().collect(),
        });
        work.push(followed.zip(service).map(|(followed, service)| {
            let definition = Definition::Follow { deployment: followed.deployment };
            let codedeploy = target.desired.codedeploy.clone().filter(|_| service.controller == "CODE_DEPLOY");
            Work { from: followed.task_definition, codedeploy, ..Work::new(definition, service) }
        }));
    }
    let changing = work.iter().filter(|work| work.is_some()).count();
    let wave = WaveOutline {
        name: WAVE.to_owned(),
        targets: changes.len(),
        changing,
        max_parallel: "100%".to_owned(),
        max_failures: 0,
        worst_case_failures: changing,
        bake_seconds: 0,
        alarms: 0,
        gate: false,
        on_failure: OnFailure::Stop,
        on_cancel: OnCancel::Detach,
    };
    Plan { outline: Outline { waves: vec![wave], changes, console: fleet.console.clone() }, work }
}

/// A deployment that is under way.
struct UnderWay {
    /// Its id.
    deployment: String,
    /// The ARN of the task definition that it deploys; empty where that is not known.
    task_definition: String,
}

impl UnderWay {
    /// Returns that of a target. Of a deployment by CodeDeploy that rolls another one back, it is the one that failed.
    fn find(observed: &Observed, target: &TargetSpec) -> Option<Self> {
        if let Some(one) = &observed.codedeploy {
            let (deployment, deploys) = one.rolls_back.clone().unwrap_or((one.id.clone(), one.task_definition.clone()));
            return Some(Self { deployment, task_definition: deploys.unwrap_or_default() });
        }
        let (service, grouped) = (&observed.service, target.desired.codedeploy.is_some());
        let deployment = match service.controller.as_str() {
            // With its group it is known what CodeDeploy does; without, two task sets are a sign of a deployment.
            "CODE_DEPLOY" if service.deployments.len() < 2 || grouped => None,
            _ => under_way(service),
        }?;
        Some(Self { deployment: deployment.id.clone(), task_definition: deployment.task_definition.clone() })
    }
}

/// Whether a target's deployments are by a group of CodeDeploy that the manifest does not name.
fn lacks_group(target: &TargetSpec, service: Option<&LiveService>) -> bool {
    service.is_some_and(|service| service.controller == "CODE_DEPLOY") && target.desired.codedeploy.is_none()
}

/// Returns the deployment that is under way: the PRIMARY one; or, where that is the return of ECS to what ran before, the
/// one that failed.
fn under_way(service: &LiveService) -> Option<&Deployment> {
    // Of the first deployment of a service behind a Classic load balancer, the missing tasks tell.
    let starts = |it: &&Deployment| it.rollout_state.is_none() && it.tasks.running != it.tasks.desired;
    let primary = service.in_progress().or_else(|| service.primary().filter(starts))?;
    let others = || service.deployments.iter().filter(|deployment| deployment.id != primary.id);
    let failed = others().find(|deployment| deployment.is("FAILED"));
    Some(failed.filter(|_| primary.is_return()).unwrap_or(primary))
}
