//! `roleout rollback`: every selected target that runs what the manifest deploys goes back to the last revision that
//! completed before.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::time::Instant;

use super::deploy::{Choice, Planned, Remains, decide, end, remain};
use super::manifest::choose_images;
use super::prepare::{LISTED, check_from, prepare, unless_cancelled};
use super::reach::{Reach, hasten};
use crate::cli;
use crate::clock::Clock;
use crate::engine::Start;
use crate::engine::cancel::Cancel;
use crate::error::Error;
use crate::exit::Exit;
use crate::fleet::{Fleet, OnCancel, OnFailure, TargetSpec};
use crate::observe::history::{self, Definitions, Past};
use crate::observe::{Seen, codedeploy};
use crate::plan::Action;
use crate::plan::back::{self, Way};
use crate::view::View;
use crate::view::style::count;

/// Returns the targets of a manifest to what they ran before.
pub async fn rollback(args: &cli::Rollback, mut view: View, cancel: Cancel) -> Result<Exit, Error> {
    remain(&mut view, args.journal.as_deref(), &args.reports, args.folding, Remains::of(args.dry_run))?;
    let result = attempt(args, &mut view, cancel).await;
    end(view, result, Clock::system(), (!args.dry_run).then_some(args.embedded.sandbox))
}

async fn attempt(args: &cli::Rollback, view: &mut View, cancel: Cancel) -> Result<Exit, Error> {
    let furnish = |sandbox: &crate::sandbox::Sandbox, fleet: &Fleet| sandbox.add_release(fleet);
    let (mut fleet, reach) = Reach::open_with(&args.selection, &args.embedded, view, furnish).await?;
    choose_images(&mut fleet, &args.instead, &args.selection)?;
    if args.embedded.sandbox && !args.dry_run {
        hasten(&mut fleet, view);
    }
    let start = Start {
        from: args.from.clone(),
        sandbox: args.embedded.sandbox,
        continue_hooks: args.continue_hooks,
        ..Start::default()
    };
    let choice =
        Choice { dry_run: args.dry_run, skip_blocked: args.skip_blocked, no_verify: args.no_verify, out: None };
    let extent = Extent { further: args.further, any_revision: args.any_revision };
    go(fleet, &reach, choice, extent, start, view, cancel).await
}

/// Which targets go back, and how far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Extent {
    /// Targets that are back already go back to what ran before that.
    pub further: bool,
    /// Targets go back whatever they run, and not only from what the manifest deploys.
    pub any_revision: bool,
}

/// Returns the targets of a fleet, by a way to AWS that is given.
pub async fn run(
    fleet: Fleet,
    reach: &Reach,
    choice: Choice,
    extent: Extent,
    start: Start,
    mut view: View,
    cancel: Cancel,
) -> Result<Exit, Error> {
    let run = (!choice.dry_run).then_some(start.sandbox);
    let result = go(fleet, reach, choice, extent, start, &mut view, cancel).await;
    end(view, result, reach.aws.clock(), run)
}

async fn go(
    mut fleet: Fleet,
    reach: &Reach,
    choice: Choice,
    extent: Extent,
    start: Start,
    view: &mut View,
    cancel: Cancel,
) -> Result<Exit, Error> {
    check_from(&fleet, start.from.as_deref())?;
    let start = Start { read_at: Some(Instant::now()), ..start };
    // What is gone back to is not the job's commit, and GitLab would show it as that.
    fleet.environments.clear();
    // To undo a return would bring back what is to go.
    fleet.waves.iter_mut().for_each(|wave| (wave.on_failure, wave.on_cancel) = (OnFailure::Stop, OnCancel::Detach));
    // An alarm may be the very reason to go back, and clears only some time after.
    fleet.targets.iter_mut().for_each(|target| target.alarms.clear());
    let (unreachable, mut seen) = unless_cancelled(prepare(&fleet, reach, view), &cancel).await?;
    view.phase(&format!("reading what {} ran before", count(fleet.targets.len(), "service")));
    let read = async {
        codedeploy::under_way(&fleet, &mut seen, &|target| reach.clients()(target)).await;
        let past = past(&fleet, &mut seen, reach).await;
        let way = |((target, seen), past): ((&TargetSpec, &Seen), &Option<history::History>)| {
            let (observed, past) = (seen.as_ref().ok()?, past.as_ref()?);
            Some(match extent.any_revision {
                true => back::way_of(observed, past, extent.further),
                false => back::way_of_deployed(target, observed, past, extent.further),
            })
        };
        let ways: Vec<Option<Way>> = fleet.targets.iter().zip(&seen).zip(&past).map(way).collect();
        let definitions = definitions(&fleet, &ways, reach).await;
        (ways, definitions)
    };
    let (ways, definitions) = unless_cancelled(read, &cancel).await?;
    let plan = back::plan(&fleet, &seen, &ways, &definitions);
    // The differences that are shown are those to what is gone back to.
    for (index, found) in &definitions {
        if let (Ok(observed), Ok(found)) = (&mut seen[*index], found) {
            observed.newest = Some(Arc::clone(found));
        }
    }
    tell(&fleet, &ways, view);
    let is_unchanged = |action: &Action| matches!(action, Action::Unchanged);
    if ways.iter().all(|way| matches!(way, Some(Way::NotDeployed(_))))
        && plan.outline.changes.iter().all(|change| is_unchanged(&change.action))
    {
        return Err(nothing_deployed(ways.len()));
    }
    decide(Planned { fleet, unreachable, seen, plan }, reach, choice, start, view, cancel).await
}

/// Returns why a rollback that would take back nothing is refused: silence would pass for success.
fn nothing_deployed(targets: usize) -> Error {
    let message = format!(
        "no selected target ({targets}) runs what this manifest deploys, so none was changed by that deploy, and there is \
         nothing to take back"
    );
    Error::new(Exit::Blocked, message)
        .help(
            "run it with the manifest, the variables and the --image of the deploy that is to be undone: in GitLab, in its \
             pipeline",
        )
        .help("or take every target back from whatever it runs, with --any-revision; nothing was changed")
}

/// Reads the past of what was seen. What has none that can be read counts as not seen.
async fn past(fleet: &Fleet, seen: &mut [Seen], reach: &Reach) -> Vec<Option<history::History>> {
    let clients = reach.clients();
    let past: Vec<Option<Past>> = history::targets(fleet, seen, &|target| clients(target)).await;
    let kept = |(seen, past): (&mut Seen, Option<Past>)| match past? {
        Ok(history) => Some(history),
        Err(unseen) => {
            *seen = Err(unseen);
            None
        }
    };
    seen.iter_mut().zip(past).map(kept).collect()
}

/// Reads what is gone back to, by the targets' indices.
async fn definitions(fleet: &Fleet, ways: &[Option<Way>], reach: &Reach) -> Definitions {
    use futures::StreamExt;

    let clients = reach.clients();
    let wanted = ways.iter().enumerate().filter_map(|(index, way)| match way {
        Some(Way::To { arn, .. }) => Some((index, arn.as_str())),
        _ => None,
    });
    let reads = wanted.map(|(index, arn)| {
        let target = &fleet.targets[index];
        let ecs = clients(target);
        async move { (index, history::definition(&ecs, target, arn).await) }
    });
    futures::stream::iter(reads.collect::<Vec<_>>()).buffer_unordered(32).collect().await
}

/// Says where the past is known from, where it is not from service deployments, and what is back already.
fn tell(fleet: &Fleet, ways: &[Option<Way>], view: &mut View) {
    let mut guessed: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut told: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut already: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut others: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (target, way) in fleet.targets.iter().zip(ways) {
        match way {
            Some(Way::To { because: Some(because), support, .. }) => {
                let by = if support.is_some() { &mut told } else { &mut guessed };
                by.entry(because).or_default().push(target.id.to_string());
            }
            Some(Way::NotDeployed(why)) => others.entry(why).or_default().push(target.id.to_string()),
            Some(Way::Already(why)) => already.entry(why).or_default().push(target.id.to_string()),
            _ => {}
        }
    }
    for (because, targets) in guessed {
        view.warning(&format!(
            "{}: what it goes back to is the next older revision of its family, and whether that ever ran is not known: \
             {because}",
            targets.join(", ")
        ));
    }
    for (because, targets) in told {
        view.note(&format!(
            "{}: what ran before is told from the service's messages and the tags of its revisions: {because}",
            targets.join(", ")
        ));
    }
    for (why, targets) in already {
        view.note(&format!("{}: {why}; --further --any-revision goes on to what ran before that", targets.join(", ")));
    }
    for (why, targets) in others {
        let (shown, more) = targets.split_at(targets.len().min(LISTED));
        let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
        view.note(&format!("{}{more}: {why}; stays as it is, unless --any-revision is given", shown.join(", ")));
    }
    let known = |by_codedeploy: bool| {
        let mut known =
            fleet.targets.iter().zip(ways).filter(|(_, way)| matches!(way, Some(Way::To { because: None, .. })));
        known.any(|(target, _)| target.desired.codedeploy.is_some() == by_codedeploy)
    };
    if known(false) {
        view.note("what ran before is known from the service deployments that ECS keeps for 90 days");
    }
    if known(true) {
        view.note("what services under CODE_DEPLOY ran before is known from the newest deployments of their groups");
    }
}
