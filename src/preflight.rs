//! What `plan` and `deploy` do alike before either does anything else: walk the chains, read the targets, show the plan,
//! and say why a run may not start.

pub mod alarms;
pub mod changed;
pub mod codedeploy;
pub mod diagnosis;
pub mod images;
pub mod lookups;
pub mod promotion;
pub mod references;
pub mod run_tasks;
pub mod states;
pub mod verified;

use std::borrow::Cow;
use std::collections::HashSet;
use std::time::Duration;

use indexmap::IndexMap;
use ring::rand::{SecureRandom, SystemRandom};
use tokio::time::Instant;

use crate::base::error::Error;
use crate::base::exit::Exit;
use crate::base::text::{count, hex, without_request_ids};
use crate::connect::{CommandContext, Connection};
use crate::engine::cancel::unless_cancelled;
use crate::fleet::{Fleet, TargetId, TargetSpec};
use crate::identity::preflight::{self, OnLoss, Unreachable};
use crate::load::environment;
use crate::observe::{self, KeepMessages, Observation, ObserveError};
use crate::plan::build;
use crate::plan::diff::Values;
use crate::plan::outline::{Action, Outline};
use crate::plan::time_estimate::Limits;
use crate::view::View;

/// How many faults of one kind are listed before the rest is only counted.
pub const LISTED: usize = 20;

/// Why a target was not read: its account could be reached, and another one could not.
const NOT_READ: &str = "it was not read, since the preflight had failed";

/// Walks every chain, and then reads every target whose account can be reached. Where one cannot, `on_loss` says whether
/// anything more is asked of AWS.
///
/// # Errors
/// A signal.
pub async fn prepare(
    fleet: &Fleet,
    on_loss: OnLoss,
    context: &mut CommandContext<'_>,
) -> Result<(Vec<Unreachable>, Vec<Observation>), Error> {
    prepare_with(KeepMessages::No, fleet, on_loss, context).await
}

/// Does as [`prepare`] does, and keeps ECS's messages about the services where `messages` says so.
///
/// # Errors
/// A signal.
pub async fn prepare_with(
    messages: KeepMessages,
    fleet: &Fleet,
    on_loss: OnLoss,
    context: &mut CommandContext<'_>,
) -> Result<(Vec<Unreachable>, Vec<Observation>), Error> {
    let CommandContext { connection, view, cancel } = context;
    let reads = async {
        view.phase(&format!("walking the role chains of {}", count(fleet.accounts.len(), "account")));
        let unreachable = preflight::walk(&connection.sessions, &fleet.accounts, on_loss).await;
        let unreachable = crate::preflight::diagnosis::explained(fleet, connection, unreachable).await;
        if on_loss == OnLoss::Stop && !unreachable.is_empty() {
            let seen = fleet.targets.iter().map(|target| Err(not_read(target, &unreachable))).collect();
            return (unreachable, seen);
        }
        view.phase(&format!("reading {}", count(fleet.targets.len(), "service")));
        let clients = connection.clients();
        let reachable = |index: &usize| account(&fleet.targets[*index], &unreachable).is_none();
        let indices: Vec<usize> = (0..fleet.targets.len()).filter(reachable).collect();
        let observed = observe::targets(fleet, &indices, messages, &|target| clients(target)).await;
        let mut seen: Vec<Observation> =
            fleet.targets.iter().map(|target| Err(not_read(target, &unreachable))).collect();
        for (index, result) in observed {
            seen[index] = result;
        }
        (unreachable, seen)
    };
    unless_cancelled(reads, cancel).await
}

/// Returns why a target's account cannot be reached, if it cannot.
fn account<'a>(target: &TargetSpec, unreachable: &'a [Unreachable]) -> Option<&'a Unreachable> {
    unreachable.iter().find(|it| *it.account.name == *target.id.account)
}

/// Says of a target why it was not read.
fn not_read(target: &TargetSpec, unreachable: &[Unreachable]) -> ObserveError {
    let account = account(target, unreachable);
    let reason = account.map_or(NOT_READ, |it| &it.reason).to_owned();
    let help = account.map(|it| it.summary().join("; ")).filter(|help| !help.is_empty());
    ObserveError { reason, help, answered: false }
}

/// Returns the explanations of accounts that cannot be reached, each once, and which command says more.
pub fn explanations(unreachable: &[Unreachable]) -> Vec<String> {
    let mut known = HashSet::new();
    let all = unreachable.iter().flat_map(|it| &it.help).filter(|help| known.insert(*help));
    let mut help: Vec<String> = all.take(LISTED).cloned().collect();
    if unreachable.iter().any(|it| it.cause.is_some()) {
        help.push(
            "`roleout doctor` examines the token, its issuer and every role of the manifest, and changes nothing"
                .to_owned(),
        );
    }
    help
}

/// How often a busy service is polled.
const BUSY_PACE: Duration = Duration::from_secs(5);

/// Waits until nobody else deploys what this run changes, each for at most its target's timeout. The plan blocks targets
/// that are still busy then.
pub async fn wait_for_others(fleet: &Fleet, seen: &mut [Observation], connection: &Connection, view: &mut View) {
    let (start, clients) = (Instant::now(), connection.clients());
    let mut said = false;
    loop {
        let patient = |index: &usize| start.elapsed() < fleet.targets[*index].timeout;
        let busy: Vec<usize> = build::busy(fleet, seen).into_iter().filter(patient).collect();
        let Some(first) = busy.first() else { return };
        if !said {
            let more = if busy.len() > 1 { format!(" and {} more", busy.len() - 1) } else { String::new() };
            view.phase(&format!("waiting for somebody else's deployment of {}{more}", fleet.targets[*first].id));
            said = true;
        }
        tokio::time::sleep(BUSY_PACE).await;
        for (index, look) in observe::targets(fleet, &busy, KeepMessages::No, &|target| clients(target)).await {
            // A look that ECS does not answer says nothing new.
            if look.as_ref().map_or_else(|unseen| unseen.answered, |_| true) {
                seen[index] = look;
            }
        }
    }
}

/// Returns why the run may not start: accounts and targets that cannot be reached (exit 4), or that cannot be deployed
/// (exit 5). Every one of them is named, an unreachable account once.
pub fn refusal(fleet: &Fleet, unreachable: &[Unreachable], seen: &[Observation], outline: &Outline) -> Option<Error> {
    // The first of those that are the same but for the request, and where they are.
    let mut reasons: IndexMap<Cow<'_, str>, (&str, Vec<String>)> = IndexMap::new();
    let mut help: Vec<String> = Vec::new();
    for it in unreachable {
        let (_, places) = reasons.entry(without_request_ids(&it.reason)).or_insert((&it.reason, Vec::new()));
        places.push(format!("{} ({})", it.account.name, it.account.id));
    }
    let lost: HashSet<&str> = unreachable.iter().map(|it| it.account.name.as_str()).collect();
    let unanswered: HashSet<&TargetId> = fleet
        .targets
        .iter()
        .zip(seen)
        .filter(|(_, seen)| seen.as_ref().is_err_and(|unseen| !unseen.answered))
        .map(|(target, _)| &target.id)
        .collect();
    for change in &outline.changes {
        if let (Action::Blocked { reason, help: hint }, false) =
            (&change.action, lost.contains(&*change.target.account))
            && reason != NOT_READ
        {
            let (_, places) = reasons.entry(without_request_ids(reason)).or_insert((reason, Vec::new()));
            places.push(change.target.to_string());
            help.extend(hint.clone());
        }
    }
    if reasons.is_empty() {
        return None;
    }
    let mut lines: Vec<String> = reasons
        .values()
        .map(|(reason, places)| {
            let more = places.len().saturating_sub(LISTED);
            let places = places[..places.len() - more].join(", ");
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            format!("{places}{more}: {reason}")
        })
        .collect();
    let (exit, what) = match unanswered.is_empty() {
        true => (Exit::Blocked, "targets are blocked"),
        false => (Exit::Preflight, "preflight failed"),
    };
    let more = lines.len().saturating_sub(LISTED);
    lines.truncate(LISTED);
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    let mut known = HashSet::new();
    help.retain(|hint| known.insert(hint.clone()));
    help.truncate(LISTED);
    let help = [help, explanations(unreachable)].concat();
    Some(Error { help, ..Error::listing(exit, what, &lines) })
}

/// Refuses to begin at a wave that there is not, or where nothing that is selected is left.
pub fn check_from(fleet: &Fleet, from: Option<&str>) -> Result<(), Error> {
    let Some(from) = from else { return Ok(()) };
    let waves = fleet.waves_from(from).map_err(|error| Error::new(Exit::Usage, format!("--from: {error}")))?;
    let later = fleet.waves.iter().filter(|wave| waves.contains(&wave.name));
    match later.map(|wave| wave.targets.len()).sum::<usize>() {
        0 => Err(Error::new(
            Exit::Usage,
            format!("--wave and --from leave no wave: no selected target is in `{from}` or in a later one"),
        )),
        _ => Ok(()),
    }
}

/// Returns when what a run needs comes to its end: the ID token and the job.
pub fn limits(connection: &Connection) -> Limits {
    let expires = connection.sessions.claims().and_then(|claims| claims.expires);
    Limits::read(connection.aws.clock().timestamp(), expires, &environment)
}

/// Returns the way in which values of environment variables are shown unless they are asked for: hashes with a salt that
/// nobody knows and that no other run has.
pub fn hashed() -> Values {
    Values::Hashed { salt: salt() }
}

/// Returns a salt that nobody knows and that no other run has.
pub fn salt() -> String {
    let mut bytes = [0_u8; 16];
    SystemRandom::new().fill(&mut bytes).expect("without random numbers there is no TLS, and so no AWS to plan for");
    hex(&bytes)
}
