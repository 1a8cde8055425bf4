//! The images of a fleet by their digests: which tags it names, and what comes of what the registries say of them.
//!
//! Pure: `preflight/images.rs` asks the registries. A target of which not every image is known is blocked: nothing is
//! registered with a tag that was to be pinned.

pub mod digests;
mod places;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use indexmap::IndexMap;

use crate::fleet::pin::with_tag;
use crate::fleet::{Fleet, Pin, TargetSpec};
use crate::images::places::Places;
use crate::plan::placeholders::{PlaceholderScope, Placeholders};
use crate::references::content::{Content, Platform};
use crate::references::finding::Finding;

/// How much of a digest is shown among others.
const SHORT: usize = "sha256:".len() + 12;

/// An image that is named by a tag, and who wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its name, with the tag.
    pub name: String,
    /// The targets, by their indices.
    pub targets: Vec<usize>,
    /// How long it is waited for: as long as the most patient of them.
    pub wait: Duration,
}

/// What a registry says of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is there.
    Found(Content),
    /// It is not.
    Missing(Finding),
    /// Nothing that helps.
    Unknown(Finding),
}

/// Returns the images whose tags are resolved or waited for, of the targets that could be read.
pub fn wanted(fleet: &Fleet, is_read: impl Fn(usize) -> bool) -> Vec<Wanted> {
    let mut all: IndexMap<String, Wanted> = IndexMap::new();
    for (index, target) in fleet.targets.iter().enumerate().filter(|(index, _)| is_read(*index)) {
        for (_, image) in images(target) {
            let name = with_tag(&image);
            let new = || Wanted { name: name.clone(), targets: Vec::new(), wait: Duration::ZERO };
            let wanted = all.entry(name.clone()).or_insert_with(new);
            wanted.wait = wanted.wait.max(target.desired.wait_for_images);
            if wanted.targets.last() != Some(&index) {
                wanted.targets.push(index);
            }
        }
    }
    all.into_values().collect()
}

fn images(target: &TargetSpec) -> Vec<(String, String)> {
    match target.desired.pin == Pin::Digest || !target.desired.wait_for_images.is_zero() {
        true => target.desired.tagged_images(),
        false => Vec::new(),
    }
}

/// Pins every target whose images are known, and says of the others why they are blocked; `platforms` has what the tasks of
/// each run on, where that is known.
pub fn settle(fleet: &mut Fleet, wanted: &[Wanted], answers: &[Answer], platforms: &[Option<Platform>]) {
    let known: BTreeMap<&str, &Answer> = wanted.iter().map(|it| it.name.as_str()).zip(answers).collect();
    let differences = differences(fleet, &known);
    for (target, platform) in fleet.targets.iter_mut().zip(platforms) {
        let mut findings: Vec<Finding> = Vec::new();
        let mut pinned: Vec<(String, String)> = Vec::new();
        for (container, image) in images(target) {
            let name = with_tag(&image);
            let known = known.get(name.as_str());
            if let (Some(Answer::Found(content)), Some(platform)) = (known, platform) {
                findings.extend(content.misfit(&name, platform));
            }
            match known {
                Some(Answer::Found(content)) if target.desired.pin == Pin::Digest => {
                    findings.extend(differences.get(&template(target, &name)).cloned());
                    pinned.push((container, format!("{name}@{}", content.digest)));
                }
                Some(Answer::Missing(finding)) => findings.push(finding.clone()),
                Some(Answer::Unknown(finding)) if target.desired.pin == Pin::Digest => findings.push(finding.clone()),
                Some(Answer::Found(_) | Answer::Unknown(_)) | None => {}
            }
        }
        findings.dedup();
        match findings.is_empty() {
            true => target.desired.images.extend(pinned),
            false => target.desired.without_images = Some(joined(&findings)),
        }
    }
}

/// Returns a digest as it is shown among others.
pub fn short(digest: &str) -> &str {
    digest.get(..SHORT).unwrap_or(digest)
}

fn joined(findings: &[Finding]) -> (String, String) {
    let join = |text: fn(&Finding) -> &str| {
        let mut texts: Vec<&str> = findings.iter().map(text).collect();
        texts.dedup();
        texts.join("; ")
    };
    (join(|finding| &finding.reason), join(|finding| &finding.help))
}

/// Returns an image's name with placeholders for what is the target's own: the same in all accounts that have a registry each.
fn template(target: &TargetSpec, name: &str) -> String {
    Placeholders::new(target).template(name, PlaceholderScope::Place)
}

/// Finds the images that pinned targets have from registries of their own and that are not the same in all of these.
fn differences(fleet: &Fleet, known: &BTreeMap<&str, &Answer>) -> BTreeMap<String, Finding> {
    let mut groups: BTreeMap<String, IndexMap<Option<&str>, Places>> = BTreeMap::new();
    for target in fleet.targets.iter().filter(|target| target.desired.pin == Pin::Digest) {
        for (_, image) in images(target) {
            let name = with_tag(&image);
            let digest = match known.get(name.as_str()) {
                Some(Answer::Found(content)) => Some(content.digest.as_str()),
                Some(Answer::Missing(_)) => None,
                Some(Answer::Unknown(_)) | None => continue,
            };
            groups.entry(template(target, &name)).or_default().entry(digest).or_default().add(&target.id);
        }
    }
    groups.retain(|_, group| group.keys().flatten().count() > 1);
    let finding = |(name, mut group): (String, IndexMap<Option<&str>, Places>)| {
        group.sort_by(|a, one, b, other| (a.is_none(), other.count()).cmp(&(b.is_none(), one.count())));
        let regions: BTreeSet<&String> = group.values().flat_map(Places::regions).collect();
        let row = |(digest, places): (&Option<&str>, &Places)| {
            let what = digest.map_or("not there", short);
            format!("{what} in {}", places.words(regions.len() > 1))
        };
        let rows: Vec<String> = group.iter().map(row).collect();
        let reason = format!("the image {name} is not the same everywhere: {}", rows.join("; "));
        let help = "push one image to all of these registries, or let one be replicated; `--only` leaves accounts out";
        (name, Finding::new(reason, help))
    };
    groups.into_iter().map(finding).collect()
}

#[cfg(test)]
mod tests;
