//! The view of a job's log: a line for each change, each with its target and the time, and a heartbeat.
//!
//! It moves no cursor and draws nothing twice. Task counts are told when they say something new, not at each poll. Folded,
//! the lines of a target wait for its end and are one of GitLab's sections then; what is said of the run, and what a person
//! should see at once, stands between them.

use std::collections::BTreeMap;
use std::io::Write;

use jiff::Timestamp;

use crate::base::text;
use crate::base::text::{clean, duration};
use crate::event::{Event, Reason, Stamped};
use crate::fleet::tasks::Tasks;
use crate::fleet::{Outcome, TargetId};
use crate::narrate::outcome::Tone;
use crate::narrate::sentence::{Narrator, Sentence};
use crate::narrate::{sentence, stage};
use crate::state::{RunState, TargetState, milliseconds};
use crate::view::sections::{Alarm, Closed, Sections};
use crate::view::style;
use crate::view::style::Paint;

/// After so much silence a heartbeat is written: runners and readers take a silent job for a dead one.
const HEARTBEAT_MS: u64 = 30_000;
/// How many targets a heartbeat names.
const HEARTBEAT_NAMES: usize = 3;
/// How long a target's task counts rest between two lines, unless they are complete or a task failed; longer the more
/// targets run, so that 200 of them write no more than some 10 lines a second.
const REST_MS: u64 = 5_000;

/// Lines on a writer.
pub struct Lines {
    err: Box<dyn Write + Send>,
    paint: Paint,
    narrator: Narrator,
    told: BTreeMap<TargetId, Told>,
    last_at: Option<Timestamp>,
    column: usize,
    sections: Option<Sections>,
    /// How much was written.
    bytes: usize,
}

/// What was said of a target's task counts.
struct Told {
    tasks: Tasks,
    at: Timestamp,
    /// Newer counts that rest until the next line is due.
    newer: Option<Tasks>,
}

impl Lines {
    /// Writes to `err`.
    pub fn new(err: Box<dyn Write + Send>, paint: Paint, verbose: bool) -> Self {
        let (narrator, told) = (Narrator::new(verbose), BTreeMap::new());
        Self { err, paint, narrator, told, last_at: None, column: 0, sections: None, bytes: 0 }
    }

    /// Writes a section for each target, when it has ended.
    pub fn fold(&mut self) {
        self.sections = Some(Sections::default());
    }

    /// Gives the writer back.
    pub fn close(self) -> Box<dyn Write + Send> {
        self.err
    }

    /// Writes bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) {
        // A log that cannot be written to stops nothing.
        let _ = self.err.write_all(bytes).and_then(|()| self.err.flush());
    }

    /// Writes a line that no event stands behind.
    pub fn plain(&mut self, tone: Tone, text: &str) {
        let line = self.paint.paint(tone, text);
        self.put(&format!("{line}\n"));
    }

    fn put(&mut self, text: &str) {
        self.bytes += text.len();
        // A log that cannot be written to stops nothing.
        let _ = self.err.write_all(text.as_bytes()).and_then(|()| self.err.flush());
    }

    /// Writes what an event says, if it says something new.
    pub fn event(&mut self, event: &Stamped, state: &RunState) {
        self.last_at.get_or_insert(event.at);
        if let Event::RunStarted { plan, .. } = &event.event {
            self.column = style::name_column(plan);
        }
        if let Event::TasksChanged { target, tasks } = &event.event {
            self.counts(target, *tasks, event.at, state);
        } else if let Some(sentence) = self.narrator.narrate(event, state) {
            if let (Some(target), false) = (&sentence.target, sentence.progress) {
                // The counts that led to the end are not told after it.
                if let Some(told) = self.told.get_mut(target) {
                    told.newer = None;
                }
            }
            let log: Vec<String> = self.narrator.log(event).iter().map(|line| format!("        | {line}")).collect();
            if self.sections.is_some() {
                self.fold_in(event, &sentence, &log, state);
            } else {
                self.write(&sentence, event.at, state);
                log.iter().for_each(|line| self.plain(Tone::Dim, line));
            }
        }
        if let Event::RunFinished { .. } = &event.event {
            self.fold_rest(event.at, state);
        }
    }

    /// Writes an event where lines are folded: at once where it is about the run or asks for a person, as a section where
    /// it ends a target, and otherwise into the target's section.
    fn fold_in(&mut self, event: &Stamped, sentence: &Sentence, log: &[String], state: &RunState) {
        let Some(target) = &sentence.target else { return self.write(sentence, event.at, state) };
        if let (Event::RollbackStarted { .. }, Some(sections)) = (&event.event, &mut self.sections) {
            sections.calm(target);
        }
        match &event.event {
            Event::RolloutFinished { reason, .. } => self.section(sentence, reason.as_ref(), log, event.at, state),
            Event::RollbackFinished { reason, .. } => self.section(sentence, Some(reason), log, event.at, state),
            Event::RolloutSkipped { .. }
            | Event::TargetDegraded { .. }
            | Event::RollbackImpossible { .. }
            | Event::HookWaiting { continued: false, .. }
            | Event::HookNotContinued { .. } => self.write(sentence, event.at, state),
            Event::ServiceMessage { .. } if !sentence.progress => {
                self.keep(target, sentence, event.at, state);
                if self.is_first(target, Alarm::Complaint) {
                    self.write(sentence, event.at, state);
                }
            }
            _ => self.keep(target, sentence, event.at, state),
        }
    }

    /// Whether something that a person should see at once is said of a target's deployment for the first time.
    fn is_first(&mut self, target: &TargetId, alarm: Alarm) -> bool {
        self.sections.as_mut().is_some_and(|sections| sections.raise(target, alarm, self.bytes))
    }

    fn keep(&mut self, target: &TargetId, sentence: &Sentence, at: Timestamp, state: &RunState) {
        let line = self.line(sentence, at, state);
        if let Some(sections) = &mut self.sections {
            sections.line(target, line);
        }
    }

    fn section(
        &mut self,
        sentence: &Sentence,
        reason: Option<&Reason>,
        log: &[String],
        at: Timestamp,
        state: &RunState,
    ) {
        let Some(target) = &sentence.target else { return };
        self.last_at = Some(at);
        let header = self.line(sentence, at, state);
        let found = state.target(target);
        let failed = found.is_none_or(|target| target.outcome().is_none_or(|outcome| outcome != Outcome::Succeeded));
        let result = found.and_then(|target| target.rollback.as_ref().filter(|_| target.rollback_outcome.is_some()));
        let began =
            result.map(|rollback| rollback.started_at).or(found.and_then(|target| target.started_at)).unwrap_or(at);
        let evidence = reason.iter().flat_map(|reason| {
            let help = reason.help.iter().map(|help| format!("help: {help}"));
            reason.evidence.iter().map(ToString::to_string).chain(help)
        });
        let mut more: Vec<String> = evidence.map(|line| format!("      {}", clean(&line))).collect();
        more.extend(log.iter().map(|line| self.paint.paint(Tone::Dim, line)));
        if let Some(sections) = &mut self.sections {
            more.into_iter().for_each(|line| sections.line(target, line));
            let text = sections.close(Closed { target, header: &header, began, ended: at, failed }, self.bytes);
            self.put(&text);
        }
    }

    /// Writes what was said of targets after their ends, or without one.
    fn fold_rest(&mut self, at: Timestamp, state: &RunState) {
        let left = self.sections.as_ref().map(Sections::open_targets).unwrap_or_default();
        for target in left {
            let text = "not ended when the run was over".to_owned();
            let sentence = Sentence { tone: Tone::Warn, mark: "!", target: Some(target), text, progress: false };
            self.section(&sentence, None, &[], at, state);
        }
    }

    /// Writes task counts whose rest is over, and a heartbeat after a long silence.
    pub fn tick(&mut self, now: Timestamp, state: &RunState) {
        let rest = rest_ms(state);
        let due = |told: &Told| told.newer.is_some() && milliseconds(told.at, now) >= rest;
        let due: Vec<_> = self.told.iter().filter(|(_, told)| due(told)).map(|(target, _)| target.clone()).collect();
        for target in due {
            if let Some(tasks) = self.told.get_mut(&target).and_then(|told| told.newer.take()) {
                self.say_counts(&target, tasks, now, state);
            }
        }
        let silent = self.last_at.is_some_and(|last| milliseconds(last, now) >= HEARTBEAT_MS);
        if silent && state.started_at().is_some() && state.finished_at().is_none() {
            let text = heartbeat(state, now);
            self.write(&Sentence { tone: Tone::Dim, mark: "·", target: None, text, progress: true }, now, state);
        }
    }

    fn counts(&mut self, target: &TargetId, tasks: Tasks, at: Timestamp, state: &RunState) {
        let speaks = match self.told.get(target) {
            None => true,
            Some(told) if told.tasks == tasks => {
                if let Some(told) = self.told.get_mut(target) {
                    told.newer = None;
                }
                return;
            }
            Some(told) => {
                let complete = tasks.running >= tasks.desired && told.tasks.running < told.tasks.desired;
                complete
                    || tasks.failed > told.tasks.failed
                    || self.narrator.verbose
                    || milliseconds(told.at, at) >= rest_ms(state)
            }
        };
        if speaks {
            self.say_counts(target, tasks, at, state);
        } else if let Some(told) = self.told.get_mut(target) {
            told.newer = Some(tasks);
        }
    }

    fn say_counts(&mut self, target: &TargetId, tasks: Tasks, at: Timestamp, state: &RunState) {
        let revision = state.target(target).and_then(TargetState::deploys);
        let sentence = sentence::tasks(target, revision, tasks);
        match self.sections {
            Some(_) => {
                self.keep(target, &sentence, at, state);
                self.say_failing(target, tasks, at, state);
            }
            None => self.write(&sentence, at, state),
        }
        self.told.insert(target.clone(), Told { tasks, at, newer: None });
    }

    /// Says at once that a folded target's tasks fail, and why, unless ECS's words stand in the log already.
    fn say_failing(&mut self, target: &TargetId, tasks: Tasks, at: Timestamp, state: &RunState) {
        let Some(found) = state.target(target).filter(|target| target.is_failing()) else { return };
        if self.is_first(target, Alarm::Failing) {
            let told = self.sections.as_ref().is_some_and(|sections| sections.is_raised(target, Alarm::Complaint));
            let why = self.narrator.why(found).filter(|_| !told);
            let sentence = sentence::failing(found, tasks, why.as_deref());
            self.write(&sentence, at, state);
        }
    }

    fn write(&mut self, sentence: &Sentence, at: Timestamp, state: &RunState) {
        self.last_at = Some(at);
        let line = self.line(sentence, at, state);
        self.put(&format!("{line}\n"));
    }

    fn line(&self, sentence: &Sentence, at: Timestamp, state: &RunState) -> String {
        let clock = text::clock(state.started_at().map_or(0, |start| milliseconds(start, at)));
        let name = sentence.target.as_ref().map(|target| clean(&target.to_string()).into_owned());
        let name = name.map(|name| text::pad(&name, self.column) + "  ").unwrap_or_default();
        let mark = if sentence.mark == "·" { String::new() } else { format!("{} ", sentence.mark) };
        let text = self.paint.paint(sentence.tone, &format!("{mark}{}", sentence.text));
        format!("{} {name}{text}", self.paint.paint(Tone::Dim, &clock))
    }
}

fn rest_ms(state: &RunState) -> u64 {
    REST_MS * (1 + u64::try_from(state.totals().running / 50).unwrap_or(0))
}

/// Returns what a reader of a silent job wants to know.
fn heartbeat(state: &RunState, now: Timestamp) -> String {
    let totals = state.totals();
    if let Some((_, wave)) = state.current_wave()
        && let Some(left) = wave.bake_left(now)
    {
        let name = clean(&wave.outline.name);
        return match left {
            0 => format!("wave {name}: its bake is over; it waits for AWS to show how its targets are"),
            left => format!("wave {name} bakes for {} more", duration(left * 1000)),
        };
    }
    let mut running: Vec<_> = state.targets().filter(|target| target.is_running()).collect();
    running.sort_by_key(|target| !target.is_failing());
    let mut names: Vec<String> = running
        .iter()
        .take(HEARTBEAT_NAMES)
        .map(|target| {
            let tasks = target.tasks.map(|tasks| format!(" {}", sentence::short_tasks(tasks)));
            let stage = stage::stage_words(target).map(|stage| format!(" ({stage})")).unwrap_or_default();
            format!("{}{}{stage}", clean(&target.target.to_string()), tasks.unwrap_or_default())
        })
        .collect();
    if running.len() > HEARTBEAT_NAMES {
        names.push(format!("and {} more", running.len() - HEARTBEAT_NAMES));
    }
    let mut counts = vec![format!("{} done", totals.good())];
    if totals.failures() > 0 {
        counts.push(format!("{} failed", totals.failures()));
    }
    let failing = running.iter().filter(|target| target.is_failing()).count();
    if failing > 0 {
        counts.push(format!("{failing} failing"));
    }
    if totals.waiting > 0 {
        counts.push(format!("{} waiting", totals.waiting));
    }
    let names = if names.is_empty() { String::new() } else { format!(": {}", names.join(", ")) };
    let age = state.unseen_since().map(|since| format!("; last seen {} ago", duration(milliseconds(since, now))));
    let age = age.unwrap_or_default();
    format!("still running: {} of {} ({}){names}{age}", running.len(), totals.all(), counts.join(", "))
}
