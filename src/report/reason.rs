//! Why targets did not succeed: each distinct reason once, whatever the number of targets.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::text::clean;
use crate::event::{self, Evidence};

/// Why targets did not succeed, or were not started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reason {
    /// The cause in one line, a lower-case fragment without a full stop.
    pub summary: String,
    /// The summary as it is for every target of the same cause, without what differs between them; absent where the summary
    /// and the evidence together are the cause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// What was found, with how many tasks of all these targets say so, and one example of a log.
    pub evidence: Vec<Evidence>,
    /// What to do about it.
    pub help: Option<String>,
    /// How many targets have it.
    pub targets: usize,
}

impl Reason {
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

/// Reasons as they are gathered: each cause with how many targets have it.
#[derive(Debug, Default)]
pub(super) struct Reasons {
    places: HashMap<event::Reason, usize>,
    list: Vec<(event::Reason, usize)>,
}

impl Reasons {
    /// Takes a reason of so many targets, and returns its place.
    pub fn add(&mut self, reason: &event::Reason, targets: usize) -> usize {
        match self.places.entry(reason.cause()) {
            Entry::Occupied(place) => {
                let place = *place.get();
                let (known, count) = &mut self.list[place];
                known.merge(reason);
                *count += targets;
                place
            }
            Entry::Vacant(place) => {
                self.list.push((reason.clone(), targets));
                *place.insert(self.list.len() - 1)
            }
        }
    }

    /// Returns them, in the order in which they were first met.
    pub fn into_list(self) -> Vec<Reason> {
        let text = |text: &str| clean(text).into_owned();
        let evidence = |evidence: Evidence| Evidence {
            text: text(&evidence.text),
            log: evidence.log.iter().map(|line| text(line)).collect(),
            cause: evidence.cause.as_deref().map(text),
            ..evidence
        };
        let told = |(reason, targets): (event::Reason, usize)| Reason {
            summary: text(&reason.summary),
            cause: reason.cause.as_deref().map(text),
            help: reason.help.as_deref().map(text),
            evidence: reason.evidence.into_iter().map(evidence).collect(),
            targets,
        };
        self.list.into_iter().map(told).collect()
    }
}

impl From<&Reason> for event::Reason {
    fn from(reason: &Reason) -> Self {
        Self {
            summary: reason.summary.clone(),
            cause: reason.cause.clone(),
            evidence: reason.evidence.clone(),
            help: reason.help.clone(),
        }
    }
}
