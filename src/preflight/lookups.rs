//! Lookups: puts the values that targets look up into their texts, before anything is planned.
//!
//! What is missing, or a secret, blocks its target, at the place of the manifest that asks for it.

use std::collections::BTreeSet;

use indexmap::IndexMap;
use serde_json::Value;

use crate::base::error::Error;
use crate::base::text::count;
use crate::connect::CommandContext;
use crate::engine::cancel::unless_cancelled;
use crate::fleet::lookup::{Known, Lookup};
use crate::fleet::{Desired, Fleet, image};
use crate::observe::lookups::{Read, locate, read};
use crate::observe::{Observation, ObserveError, Observed};
use crate::plan::build;
use crate::preflight::states;
use crate::task_definition::{self, Step, compose};

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
                let open = desired.images.clone();
                desired.filled = seen[index].as_ref().map(|observed| places(desired, observed)).unwrap_or_default();
                desired.fill(&known);
                desired.unknown = wrong_image(desired, &open).or(desired.unknown.take());
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

/// Returns where in the task definition of a target its values go, as JSON pointers. An entry of a list may become several,
/// so the pointer of those is the list's.
fn places(desired: &Desired, observed: &Observed) -> Vec<(String, Lookup)> {
    fn walk(value: &Value, pointer: &str, found: &mut Vec<(String, Lookup)>) {
        match value {
            Value::String(text) => {
                found.extend(Lookup::find_all(text).0.into_iter().map(|(_, lookup)| (pointer.to_owned(), lookup)));
            }
            Value::Array(items) => items.iter().enumerate().for_each(|(index, item)| match item {
                Value::String(_) => walk(item, pointer, found),
                item => walk(item, &format!("{pointer}/{index}"), found),
            }),
            Value::Object(members) => members.iter().for_each(|(name, member)| {
                walk(member, &format!("{pointer}{}", task_definition::pointer(&[Step::Member(name.clone())])), found);
            }),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    let live = observed.live.value();
    let open = build::base(&desired.task_definition, observed, &live)
        .ok()
        .and_then(|base| compose::build(&base, desired).ok());
    let mut found = Vec::new();
    walk(&open.unwrap_or_default(), "", &mut found);
    found
}

/// Says that an image is none, with the values in it; `open` are the images without them.
fn wrong_image(desired: &Desired, open: &IndexMap<String, String>) -> Option<(String, String)> {
    let (container, reason) = desired.images.iter().find_map(|(name, text)| Some((name, image::check(text).err()?)))?;
    let lookups = Lookup::find_all(&open[container]).0.into_iter();
    let places = lookups.filter_map(|(_, lookup)| desired.lookups.get(&lookup).map(|asked| &*asked.place));
    let places: BTreeSet<&str> = places.collect();
    let places = places.into_iter().collect::<Vec<_>>().join(", ");
    let reason = format!("{places}: the image of `{container}`, with what is looked up: {reason}");
    Some((reason, "correct the value where it lives, or the image in the manifest".to_owned()))
}
