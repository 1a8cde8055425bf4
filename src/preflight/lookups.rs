//! Lookups: puts the values that targets look up into their texts, before anything is planned.
//!
//! What is missing, or a secret, blocks its target, at the place of the manifest that asks for it.

use crate::base::error::Error;
use crate::base::text::count;
use crate::connect::CommandContext;
use crate::engine::cancel::unless_cancelled;
use crate::fleet::lookup::Known;
use crate::fleet::{Desired, Fleet, image};
use crate::observe::lookups::{Read, locate, read};
use crate::observe::{Observation, ObserveError};
use crate::preflight::states;

/// Reads the values of all targets that were seen, and fills them in.
///
/// # Errors
/// A signal.
pub async fn fill(
    mut fleet: Fleet,
    seen: &mut [Observation],
    context: &mut CommandContext<'_>,
) -> Result<Fleet, Error> {
    let asks = |index: &usize| seen[*index].is_ok() && fleet.targets[*index].desired.open_lookups().next().is_some();
    let asking: Vec<usize> = (0..fleet.targets.len()).filter(asks).collect();
    if asking.is_empty() {
        return Ok(fleet);
    }
    let CommandContext { connection, view, cancel } = context;
    view.phase(&format!("looking up values for {}", count(asking.len(), "target")));
    let clients = connection.clients();
    let others = |target: &_| clients(target).aux().clone();
    let mut values = unless_cancelled(read(&fleet, &asking, &others), cancel).await?;
    let states = states::read(&fleet, &asking, &others, connection.aws.is_embedded());
    for (place, read) in unless_cancelled(states, cancel).await? {
        values.entry(place).or_default().extend(read);
    }
    for index in asking {
        let Some(read) = values.get(&locate(&fleet.targets[index])) else { continue };
        let desired = &mut fleet.targets[index].desired;
        match known(desired, read) {
            Ok(known) => {
                desired.fill(&known);
                desired.unknown = wrong_image(desired).or(desired.unknown.take());
            }
            // What AWS answers is about the target; what it does not, about the run.
            Err(ObserveError { reason, help, answered: true }) => {
                desired.unknown = Some((reason, help.unwrap_or_default()));
            }
            Err(unread) => seen[index] = Err(unread),
        }
    }
    Ok(fleet)
}

/// Returns the values of a target, or what is wrong with them, each at its place.
fn known(desired: &Desired, read: &Read) -> Result<Known, ObserveError> {
    let mut known = Known::new();
    let (mut reasons, mut helps, mut answered) = (Vec::new(), Vec::new(), true);
    for (lookup, asked) in desired.lookups.iter().filter(|(_, asked)| asked.found.is_none()) {
        match read.get(lookup) {
            Some(Ok(found)) => _ = known.insert(lookup.clone(), found.clone()),
            Some(Err(unread)) => {
                reasons.push(format!("{}: {}", asked.place, unread.reason));
                helps.extend(unread.help.clone().filter(|help| !helps.contains(help)));
                answered &= unread.answered;
            }
            None => {}
        }
    }
    match reasons.is_empty() {
        true => Ok(known),
        false => Err(ObserveError { reason: reasons.join("; "), help: Some(helps.join("; ")), answered }),
    }
}

/// Says that an image is none, with the values in it.
fn wrong_image(desired: &Desired) -> Option<(String, String)> {
    let (container, reason) = desired.images.iter().find_map(|(name, text)| Some((name, image::check(text).err()?)))?;
    let reason = format!("the image of `{container}`, with what is looked up: {reason}");
    Some((reason, "correct the value where it lives, or the image in the manifest".to_owned()))
}
