//! The run that several jobs were together: their journals, told as the journal of one run.
//!
//! Every event of a target is passed on as it was. What is said of the run and of its waves is said anew, for all of the jobs
//! at once: a failure budget is that of the whole wave. So everything that is a function of a run's events, its exit code and
//! its reports among them, is the same function of these. Where a job's journal is missing or breaks off, so does the run.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;

use crate::base::exit::Exit;
use crate::event::{Event, Job, Stamped, Stamper, halted_by, waits_at};
use crate::fleet::failure_budget::FailureBudget;
use crate::fleet::{Outcome, TargetId};
use crate::plan::outline::{Outline, WaveOutline};
use crate::state::RunState;

/// How many targets a message names before it counts the rest.
const NAMED: usize = 3;

/// What a job left.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// Its journal's path, for messages.
    pub name: String,
    /// The events of its last run.
    pub events: Vec<Stamped>,
}

/// The run of several jobs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Joined {
    /// Its events.
    pub events: Vec<Stamped>,
    /// What is missing of it, a line each.
    pub gaps: Vec<String>,
    /// How a job that refused to start put it, where nothing worse is missing.
    pub refused: Option<Exit>,
}

/// Why journals are not those of one run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JoinError {
    /// There is nothing to begin with.
    #[error("{0}: the preflight left no plan here: its job did not get to its end, and nothing was started after it")]
    NoPreflight(String),
    /// A job had a target that the preflight did not have.
    #[error("{name}: {target} is not in the plan of the preflight: the journals are not of one pipeline")]
    Stranger {
        /// The job's journal.
        name: String,
        /// The target.
        target: TargetId,
    },
    /// Two jobs had a target.
    #[error("{target} is in {name} and in {other}: the journals are not of one pipeline")]
    Twice {
        /// A job's journal.
        name: String,
        /// Another one's.
        other: String,
        /// The target.
        target: TargetId,
    },
    /// There is no such wave.
    #[error("there is no wave `{0}` in the plan of the preflight")]
    NoWave(String),
}

/// Tells the journals of jobs as one run, up to a wave and its end, or to the end of all. `preflight` has the plan of all
/// targets; each of `parts` had some targets of one wave; `started` are the waves whose gates somebody passed.
///
/// # Errors
/// They are not of one run.
pub fn join(preflight: &Part, parts: &[Part], started: &[String], until: Option<&str>) -> Result<Joined, JoinError> {
    let mut found = preflight.events.iter().filter_map(|stamped| match &stamped.event {
        Event::RunStarted { plan, sandbox, job } => Some((stamped, Some((plan, *sandbox, job)))),
        Event::RunRefused { .. } => Some((stamped, None)),
        _ => None,
    });
    let Some((first, begun)) = found.next() else { return Err(JoinError::NoPreflight(preflight.name.clone())) };
    let Some((plan, sandbox, job)) = begun else {
        return Ok(Joined { events: vec![first.clone()], ..Joined::default() });
    };
    let (plan, shares) = shares(plan, parts)?;
    if let Some(until) = until
        && !plan.waves.iter().any(|wave| wave.name == until)
    {
        return Err(JoinError::NoWave(until.to_owned()));
    }
    let jobs = parts.iter().flat_map(|part| &part.events).filter_map(|stamped| match &stamped.event {
        Event::RunStarted { job, .. } => Some(job.clone()),
        _ => None,
    });
    let job = jobs.fold(job.clone(), |all, one| all.common(&one));
    let mut run = Run::new(first, plan);
    run.start(sandbox, job);
    for part in parts.iter().filter(|part| !part.events.iter().any(|stamped| plans(&stamped.event))) {
        run.look_for_gaps(part);
    }
    let waves = run.plan.waves.clone();
    for (number, wave) in waves.iter().enumerate() {
        // Whoever asks about a wave's end runs after it, and so after every gate before that.
        let passed = until.is_some() || started.contains(&wave.name);
        if wave.gate && !passed && !shares.contains_key(wave.name.as_str()) {
            run.wait(wave, waves[number..].iter().any(|wave| wave.changing > 0));
        }
        run.wave(wave, &shares);
        if until == Some(wave.name.as_str()) {
            return Ok(run.joined);
        }
    }
    run.finish();
    Ok(run.joined)
}

/// What each job had, by the names of waves.
type Shares<'a> = HashMap<&'a str, Vec<&'a Part>>;

/// Finds the wave of each job, and puts what the jobs planned into the plan of the preflight.
fn shares<'a>(plan: &'a Outline, parts: &'a [Part]) -> Result<(Outline, Shares<'a>), JoinError> {
    let places: HashMap<&TargetId, usize> =
        plan.changes.iter().enumerate().map(|(place, change)| (&change.target, place)).collect();
    let (mut whole, mut shares, mut owners) = (plan.clone(), Shares::new(), HashMap::<&TargetId, &str>::new());
    for part in parts {
        let planned = part.events.iter().find_map(|stamped| match &stamped.event {
            Event::RunStarted { plan, .. } => Some(plan),
            Event::RunRefused { plan, .. } => plan.as_ref(),
            _ => None,
        });
        for change in planned.iter().flat_map(|plan| &plan.changes) {
            let target = change.target.clone();
            let Some(&place) = places.get(&target) else {
                return Err(JoinError::Stranger { name: part.name.clone(), target });
            };
            if let Some(other) = owners.insert(&change.target, &part.name) {
                return Err(JoinError::Twice { name: part.name.clone(), other: other.to_owned(), target });
            }
            whole.changes[place] = change.clone();
        }
        if let Some(change) = planned.and_then(|plan| plan.changes.first()) {
            let wave = plan.changes[places[&change.target]].wave.as_str();
            shares.entry(wave).or_default().push(part);
        }
    }
    whole.recount();
    Ok((whole, shares))
}

/// Why nothing of a later wave was started.
enum Stop {
    Halted(Option<TargetId>),
    Gate(String),
    Cancelled,
    /// Nobody passed a gate, and there is nothing to do after it.
    Idle,
    /// Something is missing, and nobody knows what follows.
    Broken,
}

struct Run {
    plan: Outline,
    stamper: Stamper,
    now: Timestamp,
    stop: Option<Stop>,
    cancelled: Option<String>,
    refused: Option<Exit>,
    broke_off: bool,
    joined: Joined,
}

impl Run {
    fn new(first: &Stamped, plan: Outline) -> Self {
        let stamper = Stamper::new(first.run.clone());
        let (stop, cancelled, refused, joined) = (None, None, None, Joined::default());
        Self { plan, stamper, now: first.at, stop, cancelled, refused, broke_off: false, joined }
    }

    fn emit(&mut self, event: Event) {
        self.joined.events.push(self.stamper.stamp(self.now, event));
    }

    fn start(&mut self, sandbox: bool, job: Job) {
        let plan = self.plan.clone();
        self.emit(Event::RunStarted { plan, sandbox, job });
    }

    /// Stops at a wave's gate, which is one where something is to do from there on.
    fn wait(&mut self, wave: &WaveOutline, work: bool) {
        if self.stop.is_some() {
            return;
        }
        if work {
            self.emit(Event::GateReached { wave: wave.name.clone() });
            self.stop = Some(Stop::Gate(wave.name.clone()));
        } else {
            self.stop = Some(Stop::Idle);
        }
    }

    fn wave(&mut self, wave: &WaveOutline, shares: &Shares<'_>) {
        let changing = self.plan.changes.iter().filter(|change| change.wave == wave.name && change.action.changes());
        let changing: Vec<TargetId> = changing.map(|change| change.target.clone()).collect();
        let parts = shares.get(wave.name.as_str()).map(Vec::as_slice).unwrap_or_default();
        if let Some(stop) = &self.stop {
            let (outcome, cause, reason) = match stop {
                Stop::Halted(cause) => (Outcome::NotStarted, cause.clone(), halted_by(cause.as_ref())),
                Stop::Gate(gate) => (Outcome::NotStarted, None, waits_at(gate)),
                Stop::Cancelled => (Outcome::Cancelled, None, "the run was cancelled".to_owned()),
                Stop::Idle | Stop::Broken => return,
            };
            for target in changing {
                let (cause, reason) = (cause.clone(), reason.clone());
                self.emit(Event::RolloutSkipped { target, outcome, cause, reason });
            }
            return;
        }
        let gaps = self.joined.gaps.len();
        parts.iter().for_each(|part| self.look_for_gaps(part));
        self.look_for_missing(wave, parts);
        let broken = self.joined.gaps.len() > gaps;
        if !changing.is_empty() && parts.iter().any(|part| !part.events.is_empty()) {
            let failed = self.events(wave, parts);
            let passed = !FailureBudget(wave.max_failures).is_exceeded(failed.len()) && self.cancelled.is_none();
            if !broken {
                self.emit(Event::WaveFinished { wave: wave.name.clone(), failed: failed.len(), passed });
            }
            if self.cancelled.is_some() {
                self.stop = Some(Stop::Cancelled);
            } else if !passed {
                self.stop = Some(Stop::Halted(failed.into_iter().next()));
            }
        }
        if broken && self.stop.is_none() {
            self.stop = Some(Stop::Broken);
        }
    }

    /// Passes on what the jobs of a wave said, in the order of time, and returns who failed.
    fn events(&mut self, wave: &WaveOutline, parts: &[&Part]) -> Vec<TargetId> {
        let mut events: Vec<&Stamped> = parts.iter().flat_map(|part| &part.events).collect();
        // Of each job they are in order, and stay so.
        events.sort_by_key(|stamped| stamped.at);
        let (mut failed, mut known, mut bakes, mut begun) = (Vec::new(), HashSet::new(), false, false);
        for Stamped { at, event, .. } in events {
            self.now = self.now.max(*at);
            match event {
                Event::WaveStarted { .. } if !begun => begun = true,
                Event::BakeStarted { .. } if !bakes => bakes = true,
                Event::RunCancelled { signal } => {
                    self.cancelled.get_or_insert_with(|| signal.clone());
                    continue;
                }
                Event::RunStarted { .. }
                | Event::RunRefused { .. }
                | Event::WaveStarted { .. }
                | Event::BakeStarted { .. }
                | Event::WaveFinished { .. }
                | Event::RunHalted { .. }
                | Event::GateReached { .. }
                | Event::RunFinished { .. }
                | Event::Unknown => continue,
                _ => {}
            }
            self.emit(event.clone());
            let fails = match event {
                Event::RolloutFinished { target, outcome, .. } if outcome.is_failure() => Some(target),
                Event::TargetDegraded { target, .. } => Some(target),
                _ => None,
            };
            let Some(target) = fails.filter(|target| known.insert((*target).clone())) else { continue };
            failed.push(target.clone());
            if failed.len() == wave.max_failures + 1 {
                let (wave, cause, max_failures) = (wave.name.clone(), failed[0].clone(), wave.max_failures);
                self.emit(Event::RunHalted { wave, cause, failed: failed.len(), max_failures });
            }
        }
        failed
    }

    fn look_for_gaps(&mut self, part: &Part) {
        let refusal = part.events.iter().find_map(|stamped| match &stamped.event {
            Event::RunRefused { message, exit_code, .. } => Some((message, *exit_code)),
            _ => None,
        });
        if let Some((message, code)) = refusal {
            self.joined.gaps.push(format!("{}: nothing was started: {message}", part.name));
            self.refused = self.refused.or(Exit::of_code(code));
        } else if !part.events.iter().any(|stamped| matches!(stamped.event, Event::RunFinished { .. })) {
            let gap = format!("{}: the run breaks off; what was under way may go on in ECS", part.name);
            self.joined.gaps.push(gap);
            self.broke_off = true;
        }
        self.joined.refused = self.refused.filter(|_| !self.broke_off);
    }

    /// Says which targets of a wave no job had.
    fn look_for_missing(&mut self, wave: &WaveOutline, parts: &[&Part]) {
        let planned = parts.iter().flat_map(|part| &part.events).flat_map(|stamped| match &stamped.event {
            Event::RunStarted { plan, .. } | Event::RunRefused { plan: Some(plan), .. } => plan.changes.as_slice(),
            _ => &[],
        });
        let had: HashSet<&TargetId> = planned.map(|change| &change.target).collect();
        let all = self.plan.changes.iter().filter(|change| change.wave == wave.name);
        let missing: Vec<String> =
            all.filter(|change| !had.contains(&change.target)).map(|change| change.target.to_string()).collect();
        if missing.is_empty() {
            return;
        }
        let more = missing.len().saturating_sub(NAMED);
        let names = missing[..missing.len() - more].join(", ");
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        self.joined.gaps.push(format!("wave {}: no job left a journal that has {names}{more}", wave.name));
    }

    fn finish(&mut self) {
        if let Some(signal) = self.cancelled.clone() {
            self.emit(Event::RunCancelled { signal });
        }
        if self.joined.gaps.is_empty() {
            let mut state = RunState::new();
            self.joined.events.iter().for_each(|event| state.apply(event));
            self.emit(state.end());
        }
    }
}

/// Whether an event says which targets its run had.
fn plans(event: &Event) -> bool {
    matches!(event, Event::RunStarted { .. } | Event::RunRefused { plan: Some(_), .. })
}
