//! A run's events, folded into what a report needs: while the run goes on, or out of a journal.
//!
//! It has the one state of a run that there is; views and reports both read it.

use std::collections::HashMap;

use indexmap::IndexMap;

use crate::event::{Event, Stamped};
use crate::fleet::TargetId;
use crate::narrate::sentence;
use crate::narrate::sentence::Narrator;
use crate::report::{Line, Report};
use crate::state::{RunState, TargetState};

/// The events of one run so far.
pub struct Record {
    state: RunState,
    /// Finds the words for events; `None` where only the state is asked for.
    narrator: Option<Narrator>,
    lines: HashMap<TargetId, Vec<Line>>,
    events: Vec<Line>,
}

impl Default for Record {
    fn default() -> Self {
        Self::new()
    }
}

impl Record {
    /// Starts with nothing known.
    pub fn new() -> Self {
        Self { narrator: Some(Narrator::new(true)), ..Self::of_state() }
    }

    /// Starts with nothing known, and keeps no words for events: for a run of which no report is made.
    pub fn of_state() -> Self {
        Self { state: RunState::new(), narrator: None, lines: HashMap::new(), events: Vec::new() }
    }

    /// Takes in the next event.
    pub fn apply(&mut self, event: &Stamped) {
        self.state.apply(event);
        let Some(narrator) = &mut self.narrator else { return };
        let sentence = match &event.event {
            Event::TasksChanged { target, tasks } => {
                let revision = self.state.target(target).and_then(TargetState::deploys);
                Some(sentence::tasks(target, revision, *tasks))
            }
            _ => narrator.narrate(event, &self.state),
        };
        let Some(sentence) = sentence else { return };
        let line = Line { at: event.at, text: sentence.text };
        match sentence.target {
            Some(target) => self.lines.entry(target).or_default().push(line),
            None => self.events.push(line),
        }
    }

    /// Returns what has become of the run so far.
    pub fn state(&self) -> &RunState {
        &self.state
    }

    /// Returns what has become of the run, and forgets it.
    pub fn take_state(&mut self) -> RunState {
        std::mem::take(&mut self.state)
    }

    /// Reports what is known of the run so far, with the events of its targets. These go into the report and are not in
    /// another one: of a large run they are most of what a report holds.
    pub fn take_report(&mut self) -> Report {
        let mut report = Report::from_state(&self.state);
        report.events = std::mem::take(&mut self.events);
        for target in &mut report.targets {
            target.events = self.lines.remove(&target.target).unwrap_or_default();
        }
        report
    }
}

/// Reads the runs of a journal, in the order in which they began, and counts the lines that are not events: a run that was
/// killed within a line leaves one.
pub fn runs(journal: &str) -> (IndexMap<String, Record>, usize) {
    let mut runs: IndexMap<String, Record> = IndexMap::new();
    let mut foreign = 0;
    for line in journal.lines().filter(|line| !line.trim().is_empty()) {
        match serde_json::from_str::<Stamped>(line) {
            Ok(event) => runs.entry(event.run.clone()).or_default().apply(&event),
            Err(_) => foreign += 1,
        }
    }
    (runs, foreign)
}
