//! `roleout rollback`: decides which targets are rolled back, and to what, and makes a plan of it like every other plan.

use std::collections::BTreeMap;
use std::path::Path;

use tokio::time::Instant;

use crate::base::error::Error;
use crate::base::exit::Exit;
use crate::base::text::count;
use crate::connect::CommandContext;
use crate::engine::Start;
use crate::engine::cancel::unless_cancelled;
use crate::fleet::{Fleet, OnCancel, OnFailure, TargetId, TargetSpec};
use crate::identity::preflight::OnLoss;
use crate::observe::history::{self, Past};
use crate::observe::service::LiveService;
use crate::observe::{KeepMessages, Observation, codedeploy};
use crate::plan::rollback_target::deployed::{Deployed, DeployedBy, DeployedRun, deployed};
use crate::plan::rollback_target::{Present, RollbackTarget};
use crate::plan::{build, rollback_target};
use crate::preflight::lookups::fill;
use crate::preflight::{check_from, prepare_with};
use crate::report::Report;
use crate::report::record::runs;
use crate::run::lifecycle::{PlanInput, decide};
use crate::run::planned::Planned;
use crate::view::View;

/// Which targets are rolled back, and how far.
#[derive(Clone, Debug, Default)]
pub struct RollbackOptions {
    /// Whether targets that were rolled back already are rolled back one revision further.
    pub further: bool,
    /// Which targets.
    pub which: DeployedBy,
}

impl RollbackOptions {
    fn present(&self, id: &TargetId, service: &LiveService) -> Present {
        let deployed = |run: &DeployedRun| Some(Present::Deployed { from: run.change(id, service)?.from.clone() });
        match &self.which {
            _ if self.further => Present::Further,
            DeployedBy::Run(run) => deployed(run).unwrap_or_default(),
            DeployedBy::Manifest => Present::Wanted,
            DeployedBy::All => Present::Judged,
        }
    }
}

/// Reads what a run deployed, out of its report or the last run of its journal.
pub fn read_run(path: &Path, view: &mut View) -> Result<DeployedRun, Error> {
    let failed = |error: String| Error::new(Exit::Usage, format!("--of: {error}"));
    let text = fs_err::read(path).map_err(|error| failed(error.to_string()))?;
    let text = String::from_utf8_lossy(&text);
    let report = match serde_json::from_str::<Report>(&text) {
        Ok(report) => report,
        Err(_) => match runs(&text).0.pop() {
            Some((_, mut record)) => record.take_report(),
            None => {
                let error = failed(format!("{} is neither a report nor a journal", path.display()));
                return Err(error.help("give the report.json or the journal.jsonl of the run to roll back"));
            }
        },
    };
    view.note(&format!("what {} deployed is rolled back", report.run.id.as_deref().unwrap_or("the run")));
    Ok(report.deployed())
}

/// Returns the targets of a fleet to what they ran before.
///
/// # Errors
/// The run is refused, or a signal came before anything was changed.
pub async fn roll_back(
    mut fleet: Fleet,
    choice: PlanInput,
    options: RollbackOptions,
    start: Start,
    context: &mut CommandContext<'_>,
) -> Result<Exit, Error> {
    check_from(&fleet, start.from.as_deref())?;
    let start = Start { read_at: Some(Instant::now()), ..start };
    // A rollback is not to the job's commit, but GitLab would show it as that.
    fleet.environments.clear();
    // A rollback that is rolled back would bring again what is to go.
    fleet.waves.iter_mut().for_each(|wave| (wave.on_failure, wave.on_cancel) = (OnFailure::Stop, OnCancel::Detach));
    // An alarm may be the very reason for the rollback, and clears only some time later.
    fleet.targets.iter_mut().for_each(|target| target.alarms.clear());
    let (unreachable, mut seen) = prepare_with(KeepMessages::Yes, &fleet, choice.on_loss(), context).await?;
    if choice.on_loss() == OnLoss::Stop && !unreachable.is_empty() {
        let plan = build::plan(&fleet, &seen);
        return decide(Planned { fleet, unreachable, seen, plan }, choice, start, context).await;
    }
    // Whether a target runs what the manifest says is known only with its values.
    if let DeployedBy::Manifest = options.which {
        fleet = fill(fleet, &mut seen, context).await?;
    }
    let CommandContext { connection, view, cancel } = &mut *context;
    view.phase(&format!("reading what {} ran before", count(fleet.targets.len(), "service")));
    let read = async {
        codedeploy::under_way(&fleet, &mut seen, &|target| connection.clients()(target)).await;
        let clients = connection.clients();
        let past: Vec<Option<Past>> = history::targets(&fleet, &seen, &|target| clients(target)).await;
        let way = |target: &TargetSpec, seen: &Observation, past: &Option<Past>| {
            let (seen, past) = (seen.as_ref().ok()?, past.as_ref()?.as_ref().ok()?);
            let way = |present: Present| rollback_target::way_of(seen, past, &present);
            let goes_further = options.further && matches!(way(Present::Judged), RollbackTarget::Already(_));
            Some((way(options.present(&target.id, &seen.service)), goes_further))
        };
        let pairs = fleet.targets.iter().zip(&seen).zip(&past);
        let ways: Vec<Option<(RollbackTarget, bool)>> =
            pairs.map(|((target, seen), past)| way(target, seen, past)).collect();
        // What they told is known by now, and they are most of what was seen.
        seen.iter_mut().flatten().for_each(|observed| observed.service.drop_messages());
        if let (DeployedBy::Manifest, Some(name)) = (&options.which, fleet.open.first()) {
            view.note(&format!(
                "`{name}` is not set: the last deploy is taken to be that of the newest commit; --of FILE names another"
            ));
        }
        let is_back = ways.iter().flatten().any(|(way, _)| way.is_back());
        let deployed = deployed(&fleet, &seen, &options.which, is_back).map_err(|why| {
            Error::new(Exit::Blocked, why).help(
                "nothing was changed; name the report or the journal of the run to roll back with --of FILE, \
                 or roll back every selected target with --all",
            )
        })?;
        let ways: Vec<Option<RollbackTarget>> = ways
            .into_iter()
            .zip(&deployed)
            .map(|(way, deployed)| match (way, deployed) {
                (Some((way, further)), Some(deployed)) => Some(way.of_deployed(deployed, further)),
                // What it ran before needs not be known where it stays.
                (None, Some(Deployed::No(why) | Deployed::Was(why))) => Some(RollbackTarget::Untouched(why.clone())),
                (way, _) => way.map(|(way, _)| way),
            })
            .collect();
        for ((seen, past), way) in seen.iter_mut().zip(past).zip(&ways) {
            if let (Some(Err(unseen)), None) = (past, way) {
                *seen = Err(unseen);
            }
        }
        let wanted = ways.iter().enumerate().filter_map(|(index, way)| match way {
            Some(RollbackTarget::To { arn, .. }) => Some((index, arn.as_str())),
            _ => None,
        });
        let definitions = history::definitions(&fleet, wanted, &|target| clients(target)).await;
        Ok::<_, Error>((ways, deployed, definitions))
    };
    let (ways, deployed, definitions) = unless_cancelled(read, cancel).await??;
    let plan = rollback_target::plan(&fleet, &seen, &ways, &deployed, &definitions);
    // The differences are those to the revision of the rollback.
    for (index, found) in &definitions {
        if let (Ok(observed), Ok(found)) = (&mut seen[*index], found) {
            observed.newest = Some(found.clone());
        }
    }
    print_sources(&fleet, &ways, &deployed, view);
    decide(Planned { fleet, unreachable, seen, plan }, choice, start, context).await
}

/// Says where the past is known from, where it is not from service deployments, and what is back already.
fn print_sources(fleet: &Fleet, ways: &[Option<RollbackTarget>], deployed: &[Option<Deployed>], view: &mut View) {
    let mut guessed: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut told: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut already: BTreeMap<(&str, bool), Vec<String>> = BTreeMap::new();
    let mut untouched: BTreeMap<&str, usize> = BTreeMap::new();
    for ((target, way), deployed) in fleet.targets.iter().zip(ways).zip(deployed) {
        match way {
            Some(RollbackTarget::To { because: Some(because), support, .. }) => {
                let by = if support.is_some() { &mut told } else { &mut guessed };
                by.entry(because).or_default().push(target.id.to_string());
            }
            Some(RollbackTarget::Untouched(why)) => *untouched.entry(why).or_default() += 1,
            Some(RollbackTarget::Already(why)) => {
                let may_go_further = !matches!(deployed, Some(Deployed::No(_)));
                already.entry((why, may_go_further)).or_default().push(target.id.to_string());
            }
            _ => {}
        }
    }
    for (because, targets) in guessed {
        view.warning(&format!(
            "{}: the rollback is to the next older revision of its family, and it is not known whether that ever ran: \
             {because}",
            targets.join(", ")
        ));
    }
    for (because, targets) in told {
        view.note(&format!(
            "{}: the deployment history comes from the service's messages and the tags of its revisions: {because}",
            targets.join(", ")
        ));
    }
    for ((why, may_go_further), targets) in already {
        let hint = if may_go_further { "; --further rolls back one revision further" } else { "" };
        view.note(&format!("{}: {why}{hint}", targets.join(", ")));
    }
    for (why, number) in untouched {
        let (left, all) = if number == 1 { ("left as it is", "it") } else { ("left as they are", "them") };
        view.note(&format!("{} {left}, {why}; --all rolls {all} back too", count(number, "target")));
    }
    let known = |by_codedeploy: bool| {
        let mut known = fleet
            .targets
            .iter()
            .zip(ways)
            .filter(|(_, way)| matches!(way, Some(RollbackTarget::To { because: None, .. })));
        known.any(|(target, _)| target.desired.codedeploy.is_some() == by_codedeploy)
    };
    if known(false) {
        view.note("what ran before is known from the service deployments that ECS keeps for 90 days");
    }
    if known(true) {
        view.note("what services under CODE_DEPLOY ran before is known from the newest deployments of their groups");
    }
}
