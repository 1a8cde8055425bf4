//! `roleout deploy plan.json`: a saved plan, carried out exactly as it was made, or refused before anything is changed.
//!
//! Every target with work is read again. A target that changed since is named; `--skip-stale` goes on without it. The
//! manifest is not read: the plan holds all that is needed but the ID token.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use tokio::time::Instant;

use crate::base::error::Error;
use crate::base::exit::Exit;
use crate::base::text::count;
use crate::connect::{CommandContext, hold_external_ids};
use crate::engine::Start;
use crate::fleet::Fleet;
use crate::identity::preflight::{OnLoss, Unreachable};
use crate::observe::{Observation, ObserveError};
use crate::plan::diff::Values;
use crate::plan::drift::Drift;
use crate::plan::outline::{Action, Outline};
use crate::plan::preview::{Preview, PreviewOptions};
use crate::plan::saved::{Origin, Saved};
use crate::plan::work::Plan;
use crate::plan::{description, drift};
use crate::preflight::references::verify;
use crate::preflight::{LISTED, changed, check_from, hashed, limits, prepare, refusal};
use crate::run::lifecycle::carry_out;
use crate::run::planned::NONE_LEFT;
use crate::view::Form;

/// What a person decided beforehand.
#[derive(Clone, Debug)]
pub struct ApplyOptions {
    /// Compare and print what would happen, and change nothing.
    pub dry_run: bool,
    /// Go on without the targets that cannot be reached.
    pub skip_blocked: bool,
    /// Go on without the targets that changed since the plan was made.
    pub skip_stale: bool,
    /// Refuse a plan that is older.
    pub max_age: Duration,
    /// Do not look for what the task definitions name.
    pub no_verify: bool,
    /// The job that carries it out.
    pub origin: Origin,
}

/// Carries out a saved plan, or says why not.
///
/// # Errors
/// The run is refused, or a signal came before anything was changed.
pub async fn apply_plan(
    saved: Saved,
    terms: ApplyOptions,
    start: Start,
    context: &mut CommandContext<'_>,
) -> Result<Exit, Error> {
    let now = context.connection.aws.clock().timestamp();
    saved.check_age(now, terms.max_age).map_err(|error| {
        let error = Error::new(Exit::Blocked, error.to_string());
        error.help("nothing was changed; plan again, or accept older plans with --max-age")
    })?;
    let age = humantime::format_duration(Duration::from_secs(saved.age(now).as_secs()));
    context.view.phase(&format!("a plan that roleout {} made {age} ago", saved.made_by));
    let other = saved
        .origin()
        .check(&terms.origin)
        .map_err(|why| Error::new(Exit::Blocked, why).help("nothing was changed; plan in the project that deploys"))?;
    other.iter().for_each(|other| context.view.warning(other));
    let said = saved.terms();
    let values = match saved.salt() {
        "" => hashed(),
        salt => Values::Hashed { salt: salt.to_owned() },
    };
    let (fleet, mut plan) = saved.into_parts();
    hold_external_ids(&fleet);
    check_from(&fleet, start.from.as_deref())?;
    let start = Start { read_at: Some(Instant::now()), ..start };
    let mut compared = compare(&fleet, &mut plan, &start, terms.no_verify, context).await?;
    if !compared.untrue.is_empty() {
        return Err(untrue(&compared.untrue));
    }
    compared.notes.extend(changed::notes(&fleet, &plan, &compared.seen, context).await?);
    let limits = &limits(context.connection);
    let options = PreviewOptions { values: &values, limits, from: start.from.as_deref() };
    let mut preview = Preview::new(&fleet, &compared.seen, &plan, options);
    preview.notes = said;
    let view = &mut *context.view;
    view.preview(&preview, Form::Text);
    // It is the largest thing in memory, and the plan holds what is still needed of it.
    drop(compared.seen);
    compared.notes.iter().for_each(|note| view.note(note));
    let skipped = [(compared.blocked, terms.skip_blocked), (compared.stale, terms.skip_stale)];
    let none_left = plan.outline.is_all_blocked();
    let (skipped, refused): (Vec<_>, Vec<_>) =
        skipped.into_iter().filter_map(|(error, skip)| Some((error?, skip))).partition(|(_, skip)| *skip && !none_left);
    if let Some((first, more)) = refused.split_first() {
        let mut error = first.0.clone();
        for (other, _) in more {
            error.message = format!("{}\n{}", error.message, other.message);
            error.help.extend(other.help.iter().cloned());
        }
        if none_left && refused.iter().all(|(_, skip)| *skip) {
            error.help = vec![NONE_LEFT.to_owned()];
        }
        view.planned(plan.outline);
        return Err(error);
    }
    for (error, _) in skipped {
        view.warning(&format!("going on without these targets: {error}"));
    }
    if terms.dry_run {
        return Ok(Exit::Done);
    }
    Ok(carry_out(fleet, plan, start, context).await)
}

/// Why the run may not start.
#[derive(Debug, Default)]
struct Compared {
    /// Accounts and targets that cannot be reached.
    blocked: Option<Error>,
    /// Targets that changed since the plan was made.
    stale: Option<Error>,
    /// What was not checked, or is not as it was when the plan was made.
    notes: Vec<String>,
    /// Targets of which the outline says something else than their work.
    untrue: Vec<String>,
    /// What was seen of each target; of one without work nothing.
    seen: Vec<Observation>,
}

/// Reads every target that has work, and leaves in the plan what is still to be done and can be.
///
/// Targets of waves before the run's first are not carried out and refuse nothing; they are read so that those that an
/// earlier job carried out show as such.
async fn compare(
    fleet: &Fleet,
    plan: &mut Plan,
    start: &Start,
    no_verify: bool,
    context: &mut CommandContext<'_>,
) -> Result<Compared, Error> {
    let working: Vec<bool> = plan.work.iter().map(Option::is_some).collect();
    let unseen = || Err(ObserveError { reason: "it has no work".to_owned(), help: None, answered: true });
    let mut all: Vec<Observation> = working.iter().map(|_| unseen()).collect();
    if !working.contains(&true) {
        return Ok(Compared { seen: all, ..Compared::default() });
    }
    let narrowed = fleet.clone().retain(&working);
    let (mut unreachable, seen) = prepare(&narrowed, OnLoss::GoOn, context).await?;
    let first = start.from.as_ref().and_then(|from| fleet.waves.iter().position(|wave| wave.name == *from));
    let begun: HashSet<usize> =
        fleet.waves.iter().skip(first.unwrap_or_default()).flat_map(|wave| wave.targets.iter().copied()).collect();
    let (mut stale, mut untrue, mut blocked): (Vec<String>, Vec<String>, Outline) = Default::default();
    let mut changes: HashMap<_, _> =
        plan.outline.changes.iter_mut().map(|change| (change.target.clone(), change)).collect();
    let places = || working.iter().enumerate().filter(|(_, working)| **working).map(|(index, _)| index);
    for (index, seen) in places().zip(&seen) {
        let Some(work) = plan.work[index].take() else { continue };
        let target = &fleet.targets[index].id;
        let Some(change) = changes.get_mut(target) else { continue };
        let (action, moved) = match seen {
            Ok(observed) => match drift::check(&work, observed) {
                fresh @ (Drift::Ready(_) | Drift::Planned(Some(_))) => {
                    let target = &fleet.targets[index];
                    // What moved to just what was planned is no longer what the outline was made from.
                    if matches!(fresh, Drift::Ready(_)) && !description::is_true(change, target, &work, observed) {
                        untrue.push(target.id.to_string());
                    }
                    if let Drift::Ready(work) | Drift::Planned(Some(work)) = fresh {
                        description::describe(change, target, &work, observed);
                        plan.work[index] = Some(work).filter(|_| begun.contains(&index));
                    }
                    continue;
                }
                Drift::Planned(None) => {
                    change.from = observed.service.revision();
                    change.summary = vec!["an earlier run carried it out".to_owned()];
                    (Action::Unchanged, None)
                }
                Drift::Moved(what) => (left_out(&what), Some(what)),
            },
            Err(unseen) if unseen.answered => (left_out(&unseen.reason), Some(unseen.reason.clone())),
            Err(unseen) => (Action::Blocked { reason: unseen.reason.clone(), help: unseen.help.clone() }, None),
        };
        if !begun.contains(&index) && action != Action::Unchanged {
            continue;
        }
        if action != Action::Unchanged {
            (change.to, change.summary) = (None, Vec::new());
        }
        change.action = action;
        match moved {
            Some(what) => stale.push(format!("{target}: {what}")),
            None if change.action != Action::Unchanged => blocked.changes.push((**change).clone()),
            None => {}
        }
    }
    let observed = places().zip(&seen).filter_map(|(index, seen)| Some((index, seen.as_ref().ok()?)));
    let verified = verify(fleet, plan, observed, no_verify, context).await?;
    let found = plan.outline.changes.iter().filter(|change| verified.blocked.contains(&change.target));
    blocked.changes.extend(found.cloned());
    plan.outline.recount();
    let concerned: HashSet<&str> = begun.iter().map(|&index| &*fleet.targets[index].id.account).collect();
    unreachable.retain(|it| concerned.contains(it.account.name.as_str()));
    let blocked = refused(&narrowed, &unreachable, &seen, &blocked);
    places().zip(seen).for_each(|(index, seen)| all[index] = seen);
    Ok(Compared { blocked, stale: moved(stale), notes: verified.notes, untrue, seen: all })
}

/// Refuses a plan that shows something else than it does.
fn untrue(targets: &[String]) -> Error {
    let more = targets.len().saturating_sub(LISTED);
    let named = targets[..targets.len() - more].join(", ");
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let what = "the saved plan contradicts itself: its outline contradicts its work";
    let error = Error::new(Exit::Blocked, format!("{what}, of {named}{more}"));
    error.help("nothing was changed; roleout writes no such plan, so find out who changed it, and plan again")
}

fn left_out(what: &str) -> Action {
    let help = Some("plan again".to_owned());
    Action::Blocked { reason: format!("it changed since the plan was made: {what}"), help }
}

fn refused(fleet: &Fleet, unreachable: &[Unreachable], seen: &[Observation], outline: &Outline) -> Option<Error> {
    let error = refusal(fleet, unreachable, seen, outline)?;
    Some(error.help("nothing was changed; --skip-blocked goes on without these targets"))
}

/// Names every target that moved.
fn moved(mut lines: Vec<String>) -> Option<Error> {
    if lines.is_empty() {
        return None;
    }
    let what = format!("{} changed since the plan was made", count(lines.len(), "target"));
    let more = lines.len().saturating_sub(LISTED);
    lines.truncate(LISTED);
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    let error = Error::listing(Exit::Blocked, &what, &lines);
    Some(error.help("nothing was changed; plan again, or go on without these targets with --skip-stale"))
}
