//! What a saved plan was made with and may be otherwise by now: the values that were looked up, and what tags name.
//!
//! Both are asked for once more when the plan is carried out. It deploys its own, as it was reviewed: what differs, or cannot be
//! read, is a note, and refuses nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;

use crate::base::error::Error;
use crate::base::redact;
use crate::connect::CommandContext;
use crate::engine::cancel::unless_cancelled;
use crate::fleet::Fleet;
use crate::fleet::image_ref::ImageRef;
use crate::fleet::lookup::{Asked, Lookup};
use crate::images::{Answer, Wanted, short};
use crate::observe::Observation;
use crate::observe::lookups::{locate, read};
use crate::plan::placeholders::{PlaceholderScope, Placeholders};
use crate::plan::work::{Definition, Plan, Work};
use crate::preflight::{LISTED, images, states};

/// How many targets of a note are named before the rest is counted.
const NAMED: usize = 5;

/// Targets by what is said of them.
type Told = IndexMap<String, Vec<String>>;

/// Returns a note for each value and each tag that is another one now, for the targets that still have work; `seen` is what was
/// read of them.
///
/// # Errors
/// A signal.
pub async fn notes(
    fleet: &Fleet,
    plan: &Plan,
    seen: &[Observation],
    context: &mut CommandContext<'_>,
) -> Result<Vec<String>, Error> {
    let mut told = Told::new();
    values(fleet, plan, &mut told, context).await?;
    tags(fleet, plan, seen, &mut told, context).await?;
    let more = told.len().saturating_sub(LISTED);
    let note = |(what, targets): (String, Vec<String>)| {
        let more = targets.len().saturating_sub(NAMED);
        let named = targets[..targets.len() - more].join(", ");
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("{what} ({named}{more})")
    };
    let mut notes: Vec<String> = told.into_iter().take(LISTED).map(note).collect();
    if more > 0 {
        notes.push(format!("{more} more values and tags are not as in the plan"));
    }
    Ok(notes)
}

/// Reads the values again, each once for an account and region.
async fn values(fleet: &Fleet, plan: &Plan, told: &mut Told, context: &mut CommandContext<'_>) -> Result<(), Error> {
    let has_values = |index: &usize| plan.work[*index].as_ref().is_some_and(|work| !work.values.is_empty());
    let indices: Vec<usize> = (0..fleet.targets.len()).filter(has_values).collect();
    if indices.is_empty() {
        return Ok(());
    }
    let mut asking = fleet.clone();
    for &index in &indices {
        let desired = &mut asking.targets[index].desired;
        for value in plan.work[index].iter().flat_map(|work| &work.values) {
            let Some(lookup) = lookup(&value.reference) else { continue };
            if let Some(state) = &value.state {
                let name = lookup.state_and_address().0.unwrap_or_default().to_owned();
                desired.states.insert(name, Arc::new(state.clone()));
            }
            desired.lookups.insert(lookup, Asked::default());
        }
    }
    let CommandContext { connection, view, cancel } = context;
    view.phase("looking up again what the plan was made with");
    let clients = connection.clients();
    let others = |target: &_| clients(target).aux().clone();
    let mut found = unless_cancelled(read(&asking, &indices, &others), cancel).await?;
    let states = states::read(&asking, &indices, &others, connection.aws.is_embedded());
    for (place, read) in unless_cancelled(states, cancel).await? {
        found.entry(place).or_default().extend(read);
    }
    for &index in &indices {
        let target = &asking.targets[index];
        for value in plan.work[index].iter().flat_map(|work| &work.values) {
            let known = lookup(&value.reference).and_then(|lookup| found.get(&locate(target))?.get(&lookup));
            let what = match known {
                Some(Ok(found)) if found.text != value.value => {
                    let (was, is) = (redact::line(&value.value), redact::line(&found.text));
                    format!(
                        "{} was {was} when the plan was made, and is {is} now: the plan's is deployed",
                        value.reference
                    )
                }
                Some(Err(unread)) => format!("{} could not be read again: {}", value.reference, unread.reason),
                Some(Ok(_)) | None => continue,
            };
            told.entry(what).or_default().push(target.id.to_string());
        }
    }
    Ok(())
}

/// Reads the reference of a value.
fn lookup(reference: &str) -> Option<Lookup> {
    Lookup::find_all(reference).0.into_iter().next().map(|(_, lookup)| lookup)
}

/// Asks what the tags name that the plan brings, by their digests.
async fn tags(
    fleet: &Fleet,
    plan: &Plan,
    seen: &[Observation],
    told: &mut Told,
    context: &mut CommandContext<'_>,
) -> Result<(), Error> {
    let mut all: BTreeMap<String, (Wanted, Vec<(usize, String)>)> = BTreeMap::new();
    for (index, work) in plan.work.iter().enumerate() {
        for (name, digest) in work.iter().zip(&seen[index]).flat_map(|(work, seen)| brought(work, seen)) {
            let wanted = || Wanted { name: name.clone(), targets: Vec::new(), wait: Duration::ZERO };
            let (wanted, digests) = all.entry(name.clone()).or_insert_with(|| (wanted(), Vec::new()));
            wanted.targets.push(index);
            digests.push((index, digest));
        }
    }
    if all.is_empty() {
        return Ok(());
    }
    let (wanted, digests): (Vec<Wanted>, Vec<_>) = all.into_values().unzip();
    let answers = images::ask(fleet, &wanted, context).await?;
    for ((wanted, digests), answer) in wanted.iter().zip(digests).zip(answers) {
        // That it is gone, or that nobody says what it is, is no news of the tag.
        let Answer::Found(content) = answer else { continue };
        for (index, digest) in digests.into_iter().filter(|(_, digest)| *digest != content.digest) {
            let target = &fleet.targets[index];
            let name = Placeholders::new(target).template(&wanted.name, PlaceholderScope::Place);
            let (was, is) = (short(&digest), short(&content.digest));
            let what =
                format!("the tag {name} was {was} when the plan was made, and is {is} now: the plan's is deployed");
            told.entry(what).or_default().push(target.id.to_string());
        }
    }
    Ok(())
}

/// Returns the images that a target does not run yet and that its work names by a tag and a digest: name with tag, and digest.
fn brought(work: &Work, seen: &crate::observe::Observed) -> Vec<(String, String)> {
    let Definition::Register { definition, .. } = &work.definition else { return Vec::new() };
    let names = |definition: &serde_json::Value| -> Vec<String> {
        let containers = definition["containerDefinitions"].as_array().into_iter().flatten();
        containers.filter_map(|container| container["image"].as_str().map(str::to_owned)).collect()
    };
    let live = names(&seen.live.value());
    let new = names(&definition.value()).into_iter().filter(|image| !live.contains(image));
    new.filter_map(|image| {
        let (name, digest) = image.split_once('@')?;
        ImageRef::parse(name).tag?;
        Some((name.to_owned(), digest.to_owned()))
    })
    .collect()
}
