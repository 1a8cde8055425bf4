//! Why targets did not succeed: each distinct reason once, whatever the number of targets.

use std::collections::HashMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::text::clean;
use crate::event::{self, Evidence};

/// Why targets did not succeed, or were not started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reason {
    /// One line, a lower-case fragment without a full stop.
    pub summary: String,
    /// What was found, with how many tasks of all these targets say so, and one example of a log.
    pub evidence: Vec<Evidence>,
    /// What to do about it.
    pub help: Option<String>,
    /// How many targets have it.
    pub targets: usize,
}

impl Reason {
    /// Takes in another target's, or another report's, of the same cause.
    pub(super) fn add(&mut self, other: &[Evidence], targets: usize) {
        self.targets += targets;
        for (own, other) in self.evidence.iter_mut().zip(other) {
            own.tasks += other.tasks;
            if own.log.is_empty() {
                own.log = other.log.iter().map(|line| clean(line).into_owned()).collect();
            }
        }
    }

    /// Returns the evidence and the help, a line each: what follows the summary. Where it is told of `one` target, it does
    /// not say how many tasks of all of them it was found in.
    pub fn lines(&self, one: bool, log: bool) -> Vec<String> {
        let mut lines = Vec::new();
        for evidence in &self.evidence {
            lines.push(if one && self.targets > 1 { evidence.text.clone() } else { evidence.to_string() });
            if log {
                lines.extend(evidence.log.iter().map(|line| format!("  | {line}")));
            }
        }
        lines.extend(self.help.iter().map(|help| format!("help: {help}")));
        lines
    }
}

/// Reasons as they are gathered.
#[derive(Debug, Default)]
pub(super) struct Reasons {
    places: HashMap<event::Reason, usize>,
    list: Vec<Reason>,
}

impl Reasons {
    /// Takes a reason of so many targets, and returns its place.
    pub fn add(&mut self, reason: &event::Reason, targets: usize) -> usize {
        let place = *self.places.entry(reason.cause()).or_insert_with(|| {
            let evidence = |evidence: &Evidence| Evidence::from(clean(&evidence.text).into_owned());
            self.list.push(Reason {
                summary: clean(&reason.summary).into_owned(),
                evidence: reason.evidence.iter().map(evidence).collect(),
                help: reason.help.as_deref().map(|help| clean(help).into_owned()),
                targets: 0,
            });
            self.list.len() - 1
        });
        self.list[place].add(&reason.evidence, targets);
        place
    }

    /// Returns them, in the order in which they were first met.
    pub fn into_list(self) -> Vec<Reason> {
        self.list
    }
}

impl From<&Reason> for event::Reason {
    fn from(reason: &Reason) -> Self {
        Self { summary: reason.summary.clone(), evidence: reason.evidence.clone(), help: reason.help.clone() }
    }
}
