//! The deployments by CodeDeploy of services under that controller: which is under way, and what those came to that ended.

use std::sync::Arc;

use futures::StreamExt;

use crate::aws::codedeploy::Deployment;
use crate::aws::denial;
use crate::aws::ecs::Ecs;
use crate::aws::error::{CallError, Kind};
use crate::fleet::codedeploy::CodeDeploy as Group;
use crate::fleet::{Fleet, TargetSpec};
use crate::observe::attempt::Attempt;
use crate::observe::{Observation, ObserveError};

/// Deployment groups that are asked at once.
const AT_ONCE: usize = 32;

/// A deployment that is under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Underway {
    /// `d-…`
    pub id: String,
    /// The ARN of the task definition that it deploys, where CodeDeploy says it.
    pub task_definition: Option<String>,
    /// The deployment that it rolls back, and what that one deployed.
    pub rolls_back: Option<(String, Option<String>)>,
}

/// Reads the deployment that is under way of every target under the CODE_DEPLOY controller whose group the manifest names. A
/// target of which that cannot be read counts as not seen.
pub async fn under_way(fleet: &Fleet, seen: &mut [Observation], client: &dyn Fn(&TargetSpec) -> Arc<Ecs>) {
    let asked: Vec<_> = seen
        .iter()
        .enumerate()
        .filter_map(|(index, seen)| {
            let service = &seen.as_ref().ok().filter(|observed| observed.service.controller == "CODE_DEPLOY")?.service;
            let target = &fleet.targets[index];
            Some((index, target, target.desired.codedeploy.as_ref()?, service.task_definition.clone()))
        })
        .collect();
    let reads = asked.into_iter().map(|(index, target, group, present)| {
        let ecs = client(target);
        async move { (index, read(&ecs, target, group, &present).await) }
    });
    let found: Vec<_> = futures::stream::iter(reads).buffer_unordered(AT_ONCE).collect().await;
    for (index, found) in found {
        match (found, &mut seen[index]) {
            (Ok(found), Ok(observed)) => observed.codedeploy = found,
            (Err(error), seen) => *seen = Err(read_error(&error, &fleet.targets[index])),
            (Ok(_), Err(_)) => {}
        }
    }
}

async fn read(ecs: &Ecs, target: &TargetSpec, group: &Group, present: &str) -> Result<Option<Underway>, CallError> {
    let api = ecs.aux().codedeploy(&target.id.region);
    let Some(last) = api.last(group).await?.filter(|last| !last.is_over()) else { return Ok(None) };
    let rolls_back = match &last.rolls_back {
        Some(id) => Some((id.clone(), api.get(id).await?.task_definition(present))),
        None => None,
    };
    Ok(Some(Underway { task_definition: last.task_definition(present), id: last.id, rolls_back }))
}

/// Reads what the newest deployments of a group came to, newest first: those that rolled another back are left out, as they
/// are of ECS's own. `present` is the ARN of the task definition that the service runs.
pub async fn attempts(ecs: &Ecs, target: &TargetSpec, present: &str) -> Result<Vec<Attempt>, CallError> {
    let Some(group) = &target.desired.codedeploy else { return Ok(Vec::new()) };
    let deployments = ecs.aux().codedeploy(&target.id.region).newest(group).await?;
    let attempt = |deployment: &Deployment| Attempt {
        task_definition: deployment.task_definition(present),
        status: if deployment.status == "Succeeded" { "SUCCESSFUL" } else { "STOPPED" }.to_owned(),
    };
    let made = deployments.iter().filter(|deployment| deployment.is_over() && deployment.rolls_back.is_none());
    Ok(made.map(attempt).collect())
}

/// Says why a target's deployments could not be read.
pub fn read_error(error: &CallError, target: &TargetSpec) -> ObserveError {
    let unseen = crate::observe::read_error(error, target);
    let help = match error.kind {
        Kind::Denied => Some(denial::help(error, "codedeploy", target)),
        Kind::Refused => Some("correct `codedeploy` in the manifest, or create the deployment group".to_owned()),
        _ => unseen.help,
    };
    ObserveError { help, ..unseen }
}
