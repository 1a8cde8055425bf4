//! Why a rollout did not succeed, and when two of these are the same.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::general::general;
use crate::base::text::without_request_ids;

/// How many distinct pieces of evidence targets of one cause have together.
const MOST: usize = 12;

/// Why a rollout did not succeed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Reason {
    /// The cause in one line, a lower-case fragment without a full stop: `app exits with 1: no database`.
    pub summary: String,
    /// The summary as it is for every target of the same cause, such as `app exits with 1`. Absent where the summary and the
    /// evidence together are the cause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// What was found: stopped tasks' reasons and exit codes, ECS's last events; each distinct thing once.
    pub evidence: Vec<Evidence>,
    /// What to do about it.
    pub help: Option<String>,
}

impl Reason {
    /// Returns what makes two reasons the same: not how many tasks or targets were hit, nor what one of
    /// them wrote last, nor which request, task or account it was.
    #[must_use]
    pub fn cause(&self) -> Self {
        let evidence = match self.cause {
            Some(_) => Vec::new(),
            None => self.evidence.iter().map(|evidence| evidence.general().into()).collect(),
        };
        let summary = general(self.cause.as_ref().unwrap_or(&self.summary));
        Self { summary, cause: None, evidence, help: self.help.as_deref().map(general) }
    }

    /// Takes in the reason of another target of the same cause. What differs between the two is told as it is for both.
    pub fn merge(&mut self, other: &Self) {
        if let Some(both) = common(&self.summary, &other.summary, self.cause.as_deref()) {
            self.summary = both;
        }
        for other in &other.evidence {
            let text = other.general();
            match self.evidence.iter().position(|known| known.general() == text) {
                Some(place) => self.evidence[place].merge(other),
                None if self.evidence.len() < MOST => self.evidence.push(other.clone()),
                None => {}
            }
        }
    }
}

/// Returns the text that says what two texts have in common, where more than the id of a request differs.
fn common(one: &str, other: &str, cause: Option<&str>) -> Option<String> {
    if without_request_ids(one) == without_request_ids(other) {
        return None;
    }
    let text = general(one);
    match cause {
        Some(cause) if text != general(other) => Some(cause.to_owned()),
        _ => Some(text),
    }
}

/// One thing that was found about a failure. It names no task, deployment or service, so that it is the same text wherever
/// it is the same cause.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Evidence {
    /// What was found.
    pub text: String,
    /// How many stopped tasks say so; 0 where it is not about tasks.
    pub tasks: u32,
    /// The last lines of the failing container's log, of one of those tasks, without what looks like a secret. They are
    /// an example: equal causes are equal without them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<String>,
    /// The text without the counts and names in it that differ from target to target; absent where there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
}

impl Evidence {
    fn general(&self) -> String {
        general(self.cause.as_ref().unwrap_or(&self.text))
    }

    /// Takes in the same of another target: its tasks are counted too, and one log is the example of both.
    fn merge(&mut self, other: &Self) {
        self.tasks += other.tasks;
        if let Some(both) = common(&self.text, &other.text, self.cause.as_deref()) {
            self.text = both;
        }
        if self.log.is_empty() {
            self.log.clone_from(&other.log);
        }
    }
}

impl From<String> for Evidence {
    fn from(text: String) -> Self {
        Self { text, tasks: 0, log: Vec::new(), cause: None }
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.tasks {
            0 => f.write_str(&self.text),
            1 => write!(f, "1 task: {}", self.text),
            tasks => write!(f, "{tasks} tasks: {}", self.text),
        }
    }
}
