//! Finds the targets that a deploy has changed: only those are rolled back.
//!
//! Pure. A run that halted or was cancelled has not touched every target, and the untouched ones run what they should. The
//! report of that run shows them exactly. Without a report, the manifest decides: a target that neither runs nor deploys what
//! the manifest deploys was not changed by that deploy. For the others, the tags of their revisions show which commit did it.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use crate::base::document::Document;
use crate::fleet::{Base, Commit, Fleet, OnBusy, Release, Revision, TargetId, TargetSpec};
use crate::observe::service::LiveService;
use crate::observe::{Observation, Observed};
use crate::plan::work::Definition;
use crate::plan::{build, open};

/// Which targets are rolled back.
#[derive(Clone, Debug, Default)]
pub enum DeployedBy {
    /// Those that the deploy of this manifest has changed.
    #[default]
    Manifest,
    /// Those that a run has changed.
    Run(Box<DeployedRun>),
    /// All of them, whatever they run.
    All,
}

/// What a run deployed, by its report.
#[derive(Clone, Debug, Default)]
pub struct DeployedRun {
    /// What the run is called.
    pub name: String,
    /// What it did to each target that it changed; an error says why it did not change a target.
    pub targets: BTreeMap<TargetId, Result<Change, String>>,
}

/// What a run did to a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What the target ran before.
    pub from: Option<Revision>,
    /// What the run asked ECS for.
    pub to: Revision,
}

/// Whether the deploy has changed a target, and how that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deployed {
    /// It has.
    Yes(String),
    /// It had, and the target does not run that any more.
    Was(String),
    /// It has not.
    No(String),
}

impl Deployed {
    fn no(why: impl std::fmt::Display) -> Self {
        Self::No(format!("not deployed by it: {why}"))
    }
}

impl DeployedRun {
    /// Returns how it deployed what a service runs now, where it did.
    pub fn change(&self, id: &TargetId, service: &LiveService) -> Option<&Change> {
        let change = self.targets.get(id)?.as_ref().ok()?;
        (service.revision().as_ref() == Some(&change.to)).then_some(change)
    }

    fn judge(&self, id: &TargetId, observed: &Observed) -> Deployed {
        match self.targets.get(id) {
            None => Deployed::no("that run had no such target"),
            Some(Err(why)) => Deployed::no(why),
            Some(Ok(Change { to, .. })) if has(observed, |arn| arn.parse::<Revision>().is_ok_and(|it| it == *to)) => {
                Deployed::Yes(format!("{} deployed what it runs", self.name))
            }
            Some(Ok(Change { to, .. })) => {
                Deployed::Was(format!("not deployed by it: it does not run {to}, which that run deployed"))
            }
        }
    }
}

/// Decides for every target whether the deploy has changed it; `None` if it could not be read.
///
/// # Errors
/// It cannot be decided for any target, with the reason.
pub fn deployed(
    fleet: &Fleet,
    seen: &[Observation],
    which: &DeployedBy,
    is_back: bool,
) -> Result<Vec<Option<Deployed>>, String> {
    let each = |decide: &dyn Fn(&TargetSpec, &Observed) -> Deployed| {
        let pairs = fleet.targets.iter().zip(seen);
        pairs.map(|(target, seen)| Some(decide(target, seen.as_ref().ok()?))).collect()
    };
    match which {
        DeployedBy::All => {
            Ok(each(&|_, _| Deployed::Yes("every selected target is rolled back, as requested".to_owned())))
        }
        DeployedBy::Run(run) => Ok(each(&|target, observed| run.judge(&target.id, observed))),
        DeployedBy::Manifest => by_manifest(fleet, seen, is_back),
    }
}

/// How many kinds of what runs are named.
const LISTED: usize = 5;

/// How a target stands to what the manifest deploys.
enum Stand {
    /// It runs it, or has it under way.
    Runs(Commit),
    /// It does not, but a revision of it is there: it was to be deployed here.
    Knows(Commit),
    /// It does not.
    Other,
    /// The manifest says nothing of its task definition.
    Silent(Commit),
    /// A variable is not set, so it is not known what the manifest deploys: the commit of what runs, and that of the newest
    /// revision, which may have been rolled back already.
    Open(Commit, Commit),
    /// The two cannot be compared.
    Unknown(String),
}

fn stand(fleet: &Fleet, target: &TargetSpec, observed: &Observed) -> Stand {
    let live = || Commit::of_revision(&observed.live.value());
    if open::settled(fleet, target, observed).is_some() {
        let newest = observed.newest.as_ref().map(|newest| Commit::of_revision(&newest.value())).unwrap_or_default();
        return Stand::Open(live(), newest);
    }
    if matches!(target.desired.task_definition, Base::Live) && !target.desired.changes_definition() {
        return Stand::Silent(live());
    }
    let release = Release { allow_older: true, force_new_deployment: false, ..fleet.release.clone() };
    let decision = build::decide(target, observed, &release, OnBusy::Supersede);
    if let crate::plan::outline::Action::Blocked { reason, .. } = decision.action {
        return Stand::Unknown(reason);
    }
    match decision.work.map(|work| work.definition) {
        None | Some(Definition::Keep | Definition::Follow { .. } | Definition::Return { .. }) => Stand::Runs(live()),
        Some(Definition::Existing { arn, .. }) => {
            let newest = observed.newest.as_ref().map(Document::value).filter(|it| it["taskDefinitionArn"] == *arn);
            let commit = newest.as_ref().map(Commit::of_revision).unwrap_or_default();
            match has(observed, |other| other == arn) {
                true if observed.service.task_definition == arn => Stand::Runs(live()),
                true => Stand::Runs(commit),
                // A revision that the manifest names is there whether or not it was ever to be deployed.
                false if newest.is_some() && !matches!(target.desired.task_definition, Base::Revision { .. }) => {
                    Stand::Knows(commit)
                }
                false => Stand::Other,
            }
        }
        Some(Definition::Register { .. }) => Stand::Other,
    }
}

/// Whether a service runs such a revision, or has a deployment of it under way.
fn has(observed: &Observed, is_it: impl Fn(&str) -> bool) -> bool {
    let service = &observed.service;
    let codedeploy = observed.codedeploy.as_ref().and_then(|under_way| under_way.task_definition.as_deref());
    let deployments = service.deployments.iter().map(|one| one.task_definition.as_str());
    codedeploy.into_iter().chain([service.task_definition.as_str()]).chain(deployments).any(is_it)
}

fn by_manifest(fleet: &Fleet, seen: &[Observation], is_back: bool) -> Result<Vec<Option<Deployed>>, String> {
    let pairs = fleet.targets.iter().zip(seen);
    let stands: Vec<Option<Stand>> =
        pairs.map(|(target, seen)| Some(stand(fleet, target, seen.as_ref().ok()?))).collect();
    let known = || stands.iter().flatten();
    let is_silent = known().all(|stand| matches!(stand, Stand::Silent(_)));
    let is_open = known().all(|stand| matches!(stand, Stand::Silent(_) | Stand::Open(..)));
    let own = key(&fleet.release.commit);
    let by_own = |commit: &Commit| own.is_some() && key(commit) == own;
    // A manifest without images is the same commit for many deploys: only the pipeline tells one of them.
    let pipeline = &fleet.release.commit.pipeline;
    let by_own_pipeline = |commit: &Commit| by_own(commit) && commit.pipeline == *pipeline;
    let candidates = known().flat_map(|stand| match stand {
        Stand::Runs(commit) | Stand::Knows(commit) => vec![commit],
        Stand::Silent(commit) => Some(commit).filter(|commit| by_own_pipeline(commit)).into_iter().collect(),
        Stand::Open(runs, newest) => [runs, newest].into_iter().filter(|commit| key(commit).is_some()).collect(),
        Stand::Other | Stand::Unknown(_) => Vec::new(),
    });
    let candidates: Vec<&Commit> = candidates.collect();
    let is_mixed = is_open && is_mixed(fleet, seen);
    let is_untold = !is_silent && is_open && is_mixed;
    if candidates.is_empty() && (!is_back || is_untold) || is_silent && is_mixed && candidates.len() == known().count()
    {
        return match is_open && !is_mixed {
            // Nothing tells them apart, and nothing has to: they are all in the same state.
            true => {
                let image =
                    if is_silent { "the manifest does not set its image" } else { "its new image is not known" };
                let yes = || Deployed::Yes(format!("{image}, and all run the same"));
                Ok(stands.iter().map(|stand| stand.as_ref().map(|_| yes())).collect())
            }
            false => Err(untold(seen)),
        };
    }
    let latest = candidates.iter().copied().find(|commit| by_own(commit)).or_else(|| newest(&candidates));
    let by_latest = |commit: &Commit| match (latest.and_then(key), key(commit)) {
        (Some(latest), Some(other)) => latest == other,
        _ => true,
    };
    let decide = |stand: &Stand| match stand {
        Stand::Runs(commit) if by_latest(commit) => Deployed::Yes("it runs what the manifest deploys".to_owned()),
        Stand::Runs(commit) => {
            Deployed::no(format!("{} had deployed what it runs before", words(commit).unwrap_or_default()))
        }
        Stand::Silent(commit) if by_own_pipeline(commit) => {
            Deployed::Yes("its revision has the tag of this pipeline".to_owned())
        }
        Stand::Silent(_) => Deployed::no("the manifest does not set its task definition"),
        Stand::Open(commit, _) if key(commit).is_some() && by_latest(commit) => {
            Deployed::Yes(format!("{} is the newest", words(commit).unwrap_or_default()))
        }
        Stand::Open(commit, _) => match words(commit) {
            Some(words) => Deployed::no(format!("it runs {words}, which is not the newest")),
            None => Deployed::no("its revision does not say of which commit it is"),
        },
        Stand::Knows(_) => Deployed::Was("not deployed by it: it does not run what the manifest deploys".to_owned()),
        Stand::Other => Deployed::no("it does not run what the manifest deploys"),
        Stand::Unknown(why) => Deployed::no(format!("it cannot be compared with the manifest: {why}")),
    };
    Ok(stands.iter().map(|stand| stand.as_ref().map(decide)).collect())
}

/// Returns what tells one commit's deploy from another's.
fn key(commit: &Commit) -> Option<&str> {
    commit.sha.as_deref().or(commit.pipeline.as_deref())
}

fn words(commit: &Commit) -> Option<String> {
    let pipeline = || Some(format!("the pipeline {}", commit.pipeline.as_deref()?));
    commit.short_sha().map(|sha| format!("the commit {sha}")).or_else(pipeline)
}

/// Returns the commit that was deployed last: GitLab numbers its pipelines upwards.
fn newest<'a>(commits: &[&'a Commit]) -> Option<&'a Commit> {
    let number = |commit: &Commit| commit.pipeline.as_deref().and_then(|id| id.parse::<u64>().ok());
    let order = |a: &&&'a Commit, b: &&&'a Commit| match (number(a), number(b)) {
        (Some(a), Some(b)) if a != b => a.cmp(&b),
        _ => a.at.cmp(&b.at),
    };
    let tagged = commits.iter().filter(|commit| key(commit).is_some());
    tagged
        .max_by(|a, b| match order(a, b) {
            Ordering::Equal => key(a).cmp(&key(b)),
            other => other,
        })
        .copied()
}

/// Whether targets of one service run different images, or their revisions are of different commits.
fn is_mixed(fleet: &Fleet, seen: &[Observation]) -> bool {
    let mut images: BTreeMap<&str, BTreeSet<Vec<String>>> = BTreeMap::new();
    let mut commits: BTreeSet<Option<String>> = BTreeSet::new();
    for (target, observed) in
        fleet.targets.iter().zip(seen).filter_map(|(target, seen)| Some((target, seen.as_ref().ok()?)))
    {
        let own = crate::plan::placeholders::Placeholders::new(target);
        let live = observed.live.value();
        let containers = live["containerDefinitions"].as_array().into_iter().flatten();
        let image = |container: &serde_json::Value| {
            own.template(
                container["image"].as_str().unwrap_or_default(),
                crate::plan::placeholders::PlaceholderScope::Name,
            )
        };
        images.entry(&target.service).or_default().insert(containers.map(image).collect());
        commits.insert(key(&Commit::of_revision(&live)).map(str::to_owned));
    }
    commits.len() > 1 || images.values().any(|different| different.len() > 1)
}

/// Says that nothing tells which targets were changed, and what they run.
fn untold(seen: &[Observation]) -> String {
    let mut running: BTreeMap<String, usize> = BTreeMap::new();
    for observed in seen.iter().flatten() {
        let live = observed.live.value();
        let containers = live["containerDefinitions"].as_array().into_iter().flatten();
        let images: Vec<&str> = containers.filter_map(|container| container["image"].as_str()).collect();
        let commit = words(&Commit::of_revision(&live)).map(|commit| format!(" of {commit}"));
        *running.entry(format!("{}{}", images.join(", "), commit.unwrap_or_default())).or_default() += 1;
    }
    let more = running.len().saturating_sub(LISTED);
    let mut lines: Vec<String> = running.iter().take(LISTED).map(|(what, n)| format!("\n  {n}: {what}")).collect();
    lines.extend((more > 0).then(|| format!("\n  and {more} more")));
    let what =
        "it is not known which targets the last deploy changed: no target is known to run what this manifest deploys";
    format!("{what}. Targets run:{}", lines.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit(sha: &str, pipeline: &str) -> Commit {
        Commit { sha: Some(sha.to_owned()), pipeline: Some(pipeline.to_owned()), at: None }
    }

    #[test]
    fn the_commit_of_the_highest_pipeline_is_the_newest() {
        let (old, new, none) = (commit("bb", "9"), commit("aa", "10"), Commit::default());
        assert_eq!(newest(&[&old, &new, &none]), Some(&new));
        assert_eq!(newest(&[&none]), None);
    }
}
