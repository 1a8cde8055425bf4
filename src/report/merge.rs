//! Several reports as one: the shards of a child pipeline, which have the waves in common and no target.
//!
//! What the parts agree in is kept, what they count is added up, and the verdict is that of the worst of them.

use std::collections::{HashMap, HashSet};

use indexmap::IndexMap;

use crate::base::exit::Exit;
use crate::event;
use crate::fleet::TargetId;
use crate::plan::ships::ImageChange;
use crate::report::reason::Reasons;
use crate::report::{Report, Run, Target, VERSION, Verdict, Wave, totals, words};

impl Report {
    /// Merges reports into one, in their order; `None` where there is none. Where two have the same target, as where a job
    /// was run again, the later report's counts, unless it only left the target alone.
    pub fn merge(reports: Vec<Self>) -> Option<Self> {
        let mut reports = reports.into_iter().peekable();
        let first = reports.next()?;
        if reports.peek().is_none() {
            return Some(first);
        }
        let all: Vec<Self> = std::iter::once(first).chain(reports).collect();
        let run = run(&all);
        let verdict = verdict(&all);
        let waves = waves(&all);
        let parts = all.iter().flat_map(|it| if it.parts.is_empty() { vec![it.run.clone()] } else { it.parts.clone() });
        let mut merged = Self {
            version: VERSION,
            run,
            parts: parts.collect(),
            verdict,
            ships: ships(&all),
            totals: IndexMap::new(),
            waves,
            reasons: Vec::new(),
            targets: Vec::new(),
            targets_left_out: all.iter().map(|report| report.targets_left_out).sum(),
            events: all.iter().flat_map(|report| report.events.iter().cloned()).collect(),
        };
        merged.events.sort_by_key(|line| line.at);
        let mut targets: IndexMap<TargetId, (Target, Option<Brought>)> = IndexMap::new();
        for (number, report) in all.into_iter().enumerate() {
            for target in &report.targets {
                let known = targets.get(&target.target);
                if known.is_none() || target.started_at.is_some() || target.outcome.weight() > 1 {
                    let place = target.reason.unwrap_or_default();
                    let reason = report.reason(target).map(|reason| ((number, place), event::Reason::from(reason)));
                    targets.insert(target.target.clone(), (target.clone(), reason));
                }
            }
        }
        // The first target of each report's reason brings all of its counts, and the others are of the same cause.
        let (mut reasons, mut brought) = (Reasons::default(), HashSet::new());
        for (mut target, reason) in targets.into_values() {
            target.reason = reason.map(|(place, reason)| {
                let reason = if brought.insert(place) { reason } else { uncounted(reason) };
                reasons.add(&reason, 1)
            });
            merged.targets.push(target);
        }
        merged.reasons = reasons.into_list();
        let order: Vec<String> = merged.waves.iter().map(|wave| wave.name.clone()).collect();
        merged.targets.sort_by_key(|target| order.iter().position(|name| *name == target.wave));
        merged.totals = totals(merged.targets.iter());
        for wave in &mut merged.waves {
            wave.totals = totals(merged.targets.iter().filter(|target| target.wave == wave.name));
        }
        Some(merged)
    }
}

/// A reason, with its place: the report's, and that among the report's reasons.
type Brought = ((usize, usize), event::Reason);

fn uncounted(mut reason: event::Reason) -> event::Reason {
    reason.evidence.iter_mut().for_each(|evidence| (evidence.tasks, evidence.log) = (0, Vec::new()));
    reason
}

/// From the first start to the last end; not over where a part is not.
fn run(all: &[Report]) -> Run {
    let runs = || all.iter().map(|report| &report.run);
    let started_at = runs().filter_map(|run| run.started_at).min();
    let ended_at = runs().map(|run| run.ended_at).collect::<Option<Vec<_>>>().and_then(|all| all.into_iter().max());
    let elapsed_ms = match (started_at, ended_at) {
        (Some(start), Some(end)) => crate::state::milliseconds(start, end),
        _ => runs().map(|run| run.elapsed_ms).max().unwrap_or_default(),
    };
    let job = runs().map(|run| run.job.clone()).reduce(|a, b| a.common(&b)).unwrap_or_default();
    let sandbox = runs().all(|run| run.sandbox);
    Run { id: all[0].run.id.clone(), sandbox, started_at, ended_at, elapsed_ms, job }
}

/// Each change once, with the targets of all parts. A target that is in an earlier part, too, is counted there.
fn ships(all: &[Report]) -> Vec<ImageChange> {
    let mut ships: IndexMap<ImageChange, usize> = IndexMap::new();
    let mut known: HashSet<&TargetId> = HashSet::new();
    for report in all {
        let again = report.targets.iter().filter(|target| known.contains(&target.target));
        let mut again_of: HashMap<&str, usize> = HashMap::new();
        again.for_each(|target| *again_of.entry(&*target.target.service).or_default() += 1);
        for change in &report.ships {
            let again = again_of.get(change.service.as_str()).copied().unwrap_or_default();
            let counted = ships.entry(ImageChange { targets: 0, ..change.clone() }).or_default();
            *counted += if *counted == 0 { change.targets } else { change.targets.saturating_sub(again) };
        }
        known.extend(report.targets.iter().map(|target| &target.target));
    }
    ships.into_iter().map(|(change, targets)| ImageChange { targets, ..change }).collect()
}

fn waves(all: &[Report]) -> Vec<Wave> {
    let mut waves: IndexMap<String, Wave> = IndexMap::new();
    for wave in all.iter().flat_map(|report| &report.waves) {
        let Some(known) = waves.get_mut(&wave.name) else {
            waves.insert(wave.name.clone(), wave.clone());
            continue;
        };
        known.changing += wave.changing;
        known.max_failures = known.max_failures.max(wave.max_failures);
        known.started_at = [known.started_at, wave.started_at].into_iter().flatten().min();
        known.bake_started_at = [known.bake_started_at, wave.bake_started_at].into_iter().flatten().min();
        known.ended_at = [known.ended_at, wave.ended_at].into_iter().flatten().max();
        known.passed = match (known.passed, wave.passed) {
            (Some(a), Some(b)) => Some(a && b),
            (a, b) => a.or(b),
        };
        known.halted_by = known.halted_by.take().or_else(|| wave.halted_by.clone());
    }
    waves.into_values().collect()
}

/// The worst of the parts' verdicts. Failures of different kinds are plain failures, as in one run.
fn verdict(all: &[Report]) -> Verdict {
    let verdicts = || all.iter().map(|report| &report.verdict);
    let exits: Option<Vec<Exit>> = verdicts().map(Verdict::exit).collect();
    let exit = exits.map(|exits| {
        let worst = exits.iter().copied().max_by_key(|exit| rank(*exit)).unwrap_or(Exit::Done);
        let failed = |exit: &Exit| matches!(exit, Exit::Failed | Exit::RolledBack | Exit::TimedOut);
        match failed(&worst) && exits.iter().any(|exit| failed(exit) && *exit != worst) {
            true => Exit::Failed,
            false => worst,
        }
    });
    let did = all.iter().any(|report| report.totals.contains_key(&crate::report::Ending::Succeeded));
    Verdict {
        exit_code: exit.map(Exit::code),
        words: words(exit, did),
        halted: verdicts().find_map(|verdict| verdict.halted.clone()),
        cancelled: verdicts().find_map(|verdict| verdict.cancelled.clone()),
        gate: verdicts().find_map(|verdict| verdict.gate.clone()),
        refused: verdicts().find_map(|verdict| verdict.refused.clone()),
    }
}

/// Orders exit codes by what they ask of a person, as a run does with its own reasons.
fn rank(exit: Exit) -> u8 {
    match exit {
        Exit::Done => 0,
        Exit::Pending => 1,
        Exit::Tolerated => 2,
        Exit::Gate => 3,
        Exit::Blocked => 4,
        Exit::Preflight => 5,
        Exit::Manifest | Exit::Usage => 6,
        Exit::Unexpected => 7,
        Exit::TimedOut | Exit::RolledBack | Exit::Failed => 8,
        Exit::Interrupted | Exit::Terminated => 9,
        Exit::Stuck => 10,
    }
}
