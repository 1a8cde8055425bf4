//! The plan of `roleout watch`: to follow what is under way, and to change nothing.

use super::{Action, ChangeOutline, Definition, Outline, Plan, WaveOutline, Work};
use crate::fleet::{Fleet, OnCancel, OnFailure};
use crate::observe::Seen;
use crate::observe::service::{Deployment, LiveService};

/// The name of the one wave.
pub const WAVE: &str = "watch";

/// Plans to follow the deployment of every target that has one under way, whoever started it, all at once; `seen` is
/// indexed as [`Fleet::targets`]. A target without one needs nothing; one that could not be read is blocked.
pub fn plan(fleet: &Fleet, seen: &[Seen]) -> Plan {
    let (mut work, mut changes) = (Vec::with_capacity(seen.len()), Vec::with_capacity(seen.len()));
    for (target, seen) in fleet.targets.iter().zip(seen) {
        let service = seen.as_ref().ok().map(|observed| &observed.service);
        let followed = service.and_then(|service| Some((service, under_way(service)?)));
        let action = match (seen, &followed) {
            (Err(unseen), _) => Action::Blocked { reason: unseen.reason.clone(), help: unseen.help.clone() },
            (Ok(_), Some(_)) => Action::Deploy,
            (Ok(_), None) => Action::Unchanged,
        };
        let summary = followed.map(|(_, deployment)| format!("its deployment {} is under way", deployment.id));
        changes.push(ChangeOutline {
            target: target.id.clone(),
            account_id: target.account.id.clone(),
            cluster: target.cluster.clone(),
            service: target.service.clone(),
            wave: WAVE.to_owned(),
            action,
            from: service.and_then(LiveService::revision),
            to: followed.and_then(|(_, deployment)| deployment.revision()),
            summary: summary.into_iter().collect(),
        });
        work.push(followed.map(|(service, deployment)| {
            let definition = Definition::Follow { deployment: deployment.id.clone() };
            Work { from: deployment.task_definition.clone(), ..Work::new(definition, service) }
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
    Plan { outline: Outline { waves: vec![wave], changes }, work }
}

/// Returns the deployment that is under way: the PRIMARY one; or, where that is the return of ECS to what ran before, the
/// one that failed.
fn under_way(service: &LiveService) -> Option<&Deployment> {
    let primary = service.primary()?;
    let others = || service.deployments.iter().filter(|deployment| deployment.id != primary.id);
    let in_progress = match &primary.rollout_state {
        Some(state) => state == "IN_PROGRESS",
        // Behind a Classic load balancer ECS says no state.
        None => others().next().is_some() || primary.tasks.running != primary.tasks.desired,
    };
    let failed = others().find(|deployment| deployment.is("FAILED"));
    let returns = primary.rollout_reason.as_deref().is_some_and(|reason| reason.contains("rolling back"));
    in_progress.then(|| failed.filter(|_| returns).unwrap_or(primary))
}
