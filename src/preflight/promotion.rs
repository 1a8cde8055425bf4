//! Promotion: a target gets the image that the same service runs in another account.
//!
//! What runs there is read with all else before the plan, also where that target is not selected. A target whose source says
//! nothing certain is blocked: nothing is deployed that nobody has seen run.

use std::collections::BTreeMap;

use crate::base::error::Error;
use crate::connect::CommandContext;
use crate::engine::cancel::unless_cancelled;
use crate::fleet::{Desired, Fleet, TargetId};
use crate::observe::{self, KeepMessages, Observation, Observed};

/// Puts the images in that run elsewhere; `seen` is what was read of the fleet's targets.
///
/// # Errors
/// A signal.
pub async fn promote(mut fleet: Fleet, seen: &[Observation], context: &mut CommandContext<'_>) -> Result<Fleet, Error> {
    if fleet.targets.iter().all(|target| target.desired.promoted.is_empty()) {
        return Ok(fleet);
    }
    let CommandContext { connection, cancel, .. } = context;
    let mut known: BTreeMap<TargetId, Result<&Observed, String>> = BTreeMap::new();
    for (target, seen) in fleet.targets.iter().zip(seen) {
        known.insert(target.id.clone(), seen.as_ref().map_err(|unseen| unseen.reason.clone()));
    }
    let wanted = |id: &TargetId| fleet.targets.iter().any(|target| target.desired.promoted.values().any(|it| it == id));
    let mut others = Fleet { targets: fleet.sources.clone(), waves: Vec::new(), ..fleet.clone() };
    others.targets.retain(|target| wanted(&target.id) && !known.contains_key(&target.id));
    let indices: Vec<usize> = (0..others.targets.len()).collect();
    let clients = connection.clients();
    let read =
        unless_cancelled(observe::targets(&others, &indices, KeepMessages::No, &|target| clients(target)), cancel)
            .await?;
    for (index, seen) in &read {
        known.insert(others.targets[*index].id.clone(), seen.as_ref().map_err(|unseen| unseen.reason.clone()));
    }
    let found: Vec<Result<Vec<(String, String)>, String>> =
        fleet.targets.iter().map(|target| images(&target.desired, &known)).collect();
    for (target, found) in fleet.targets.iter_mut().zip(found) {
        match found {
            Ok(images) => {
                target.desired.promoted.retain(|container, _| images.iter().any(|(name, _)| name == container));
                target.desired.images.extend(images);
            }
            Err(reason) => {
                let help = "deploy it there first, and wait until that has succeeded";
                target.desired.unknown = Some((reason, help.to_owned()));
            }
        }
    }
    Ok(fleet)
}

/// Returns the images that a target gets from elsewhere. One that the command line gives comes first.
fn images(
    desired: &Desired,
    known: &BTreeMap<TargetId, Result<&Observed, String>>,
) -> Result<Vec<(String, String)>, String> {
    let missing = desired.promoted.iter().filter(|(container, _)| !desired.images.contains_key(*container));
    missing.map(|(container, source)| Ok((container.clone(), image(container, source, known.get(source))?))).collect()
}

fn image(container: &str, source: &TargetId, seen: Option<&Result<&Observed, String>>) -> Result<String, String> {
    let what = format!("the image of `{container}` is the one that runs in {source}");
    let seen = match seen {
        Some(Ok(seen)) => seen,
        Some(Err(reason)) => return Err(format!("{what}, and that could not be read: {reason}")),
        None => return Err(format!("{what}, and there is no such target")),
    };
    if seen.service.in_progress().is_some() {
        return Err(format!("{what}, where a deployment is in progress"));
    }
    let live = seen.live.value();
    let containers = live["containerDefinitions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let image = containers.iter().find(|it| it["name"] == container).and_then(|it| it["image"].as_str());
    image.map(str::to_owned).ok_or_else(|| format!("{what}, and it has no such container"))
}
