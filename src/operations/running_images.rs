//! What `roleout status --images` does: which digest runs where.

use std::collections::BTreeMap;

use futures::StreamExt;

use crate::aws::ecs::DEPLOYMENTS_PER_CALL;
use crate::base::error::Error;
use crate::base::exit::Exit;
use crate::base::text::count;
use crate::connect::{CommandContext, Connection};
use crate::engine::cancel::{Cancel, unless_cancelled};
use crate::fleet::Fleet;
use crate::fleet::image_ref::ImageRef;
use crate::identity::preflight::OnLoss;
use crate::observe::{Observation, Observed};
use crate::preflight::{explanations, prepare};
use crate::status::images::{Resolved, RunningImages};
use crate::view::View;

/// Accounts and regions asked at once.
const PLACES: usize = 64;

/// Shows which images the targets of a fleet run, and where.
///
/// # Errors
/// Targets that could not be read, after all others were shown; or a signal.
pub async fn run(
    fleet: &Fleet,
    connection: &Connection,
    is_json: bool,
    mut view: View,
    cancel: Cancel,
) -> Result<Exit, Error> {
    let context = &mut CommandContext { connection, view: &mut view, cancel: &cancel };
    let (unreachable, seen) = prepare(fleet, OnLoss::GoOn, context).await?;
    let resolved = unless_cancelled(resolved(fleet, &seen, connection), &cancel).await?;
    let running = RunningImages::group(fleet, &seen, &resolved, connection.aws.clock().timestamp());
    view.running_images(&running, is_json);
    let unread = seen.iter().filter(|seen| seen.as_ref().is_err_and(|unseen| !unseen.answered)).count();
    if unread > 0 {
        let error = Error::new(Exit::Preflight, format!("{} could not be read", count(unread, "target")));
        return Err(Error { help: explanations(&unreachable), ..error });
    }
    Ok(if running.differ() { Exit::Pending } else { Exit::Done })
}

/// Reads the digests that ECS resolved tags to, of the targets that have such images. What is not told stays unknown.
async fn resolved(fleet: &Fleet, seen: &[Observation], connection: &Connection) -> Resolved {
    let mut places: BTreeMap<(&str, &str), Vec<(usize, &str)>> = BTreeMap::new();
    for (index, observed) in seen.iter().enumerate().filter_map(|(index, seen)| Some((index, seen.as_ref().ok()?))) {
        // While a deployment is under way there are two, and what runs is not one image.
        if let [only] = &observed.service.service_revisions[..]
            && has_tags(observed)
        {
            let id = &fleet.targets[index].id;
            places.entry((&*id.account, &*id.region)).or_default().push((index, only));
        }
    }
    let clients = connection.clients();
    let asked = places.into_values().flat_map(|targets| {
        let batches: Vec<Vec<(usize, &str)>> = targets.chunks(DEPLOYMENTS_PER_CALL).map(<[_]>::to_vec).collect();
        let clients = &clients;
        batches.into_iter().map(move |targets| async move {
            let arns: Vec<&str> = targets.iter().map(|(_, arn)| *arn).collect();
            let found =
                clients(&fleet.targets[targets[0].0]).describe_service_revisions(&arns).await.unwrap_or_default();
            (targets, found)
        })
    });
    let mut all: Resolved = vec![BTreeMap::new(); seen.len()];
    let answers: Vec<_> = futures::stream::iter(asked).buffer_unordered(PLACES).collect().await;
    for (targets, found) in answers {
        for (index, arn) in targets {
            let revision = found.iter().find(|revision| revision["serviceRevisionArn"] == arn);
            let images = revision.and_then(|revision| revision["containerImages"].as_array()).into_iter().flatten();
            let digests =
                images.filter_map(|image| Some((image["containerName"].as_str()?, image["imageDigest"].as_str()?)));
            all[index].extend(digests.map(|(name, digest)| (name.to_owned(), digest.to_owned())));
        }
    }
    all
}

/// Whether an image of what runs is named without a digest.
fn has_tags(observed: &Observed) -> bool {
    let live = observed.live.value();
    let mut containers = live["containerDefinitions"].as_array().into_iter().flatten();
    containers.any(|container| container["image"].as_str().is_some_and(|image| ImageRef::parse(image).digest.is_none()))
}
