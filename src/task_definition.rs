//! AWS's own rules for RegisterTaskDefinition: what it refuses in every account, and what it drops without a word.
//!
//! Pure: it works on the JSON of a definition and gives findings, each with the path of the member that it is about. It knows no
//! file, no manifest and no live service. Only what AWS documents, or was reported to refuse, is a fault: a definition that ECS takes
//! must not be blocked.

mod model;
mod placeholder;
mod rules;

use std::fmt;

use serde_json::Value;

pub use crate::task_definition::model::{coerce_patch, is_member, judge_patch, strip_comments};
pub use crate::task_definition::placeholder::find as find_placeholder;
pub use crate::task_definition::rules::check_secret;

/// One step of the path to a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A member of an object.
    Member(String),
    /// An entry of a list.
    Entry(usize),
}

/// What AWS makes of what was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A value of the wrong type: AWS's SerializationException.
    Type,
    /// AWS refuses it by its rules: ClientException.
    Refused,
    /// A template that nobody filled in. AWS may take it, and nothing can run by it.
    Placeholder,
    /// AWS takes the definition and leaves this out, or keeps something else.
    Dropped,
}

/// One thing that AWS refuses or drops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Where in the definition; empty for the definition as a whole.
    pub path: Vec<Step>,
    /// What AWS makes of it.
    pub kind: Kind,
    /// What is wrong: a lower-case fragment.
    pub message: String,
    /// What to do.
    pub help: String,
}

impl Finding {
    /// Whether it is about a container's image.
    pub fn is_of_image(&self) -> bool {
        let of_container = matches!(self.path.first(), Some(Step::Member(list)) if list == "containerDefinitions");
        let named = matches!(self.path.as_slice(), [_, _, Step::Member(last)] if last == "image");
        of_container && (named || self.path.len() == 2 && self.message.ends_with("has no `image`"))
    }

    /// Whether AWS refuses the definition for it, or nothing can run by it.
    pub fn is_fault(&self) -> bool {
        self.kind != Kind::Dropped
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Returns what AWS refuses or drops of a definition that is to be registered.
pub fn judge(definition: &Value) -> Vec<Finding> {
    let mut findings = model::judge(definition);
    // A template explains the wrong type or value at the same place better.
    let placeholders = placeholder::judge(definition);
    findings.retain(|finding| !placeholders.iter().any(|other| other.path == finding.path));
    findings.extend(placeholders);
    let faults: Vec<Vec<Step>> = findings.iter().filter(|it| it.is_fault()).map(|it| it.path.clone()).collect();
    // What follows from a fault that is said already is not said again.
    let follows = |path: &[Step]| faults.iter().any(|fault| fault.starts_with(path) || path.starts_with(fault));
    findings.extend(rules::judge(definition).into_iter().filter(|rule| rule.path.is_empty() || !follows(&rule.path)));
    findings
}

/// Returns a path as a JSON pointer, such as `/containerDefinitions/0/image`.
pub fn pointer(path: &[Step]) -> String {
    let step = |step: &Step| match step {
        Step::Member(name) => format!("/{}", name.replace('~', "~0").replace('/', "~1")),
        Step::Entry(index) => format!("/{index}"),
    };
    path.iter().map(step).collect()
}

/// Returns a path in words: `memory` of container `app`.
pub fn describe(definition: &Value, path: &[Step]) -> String {
    let mut written = String::new();
    let mut rest = path;
    let mut container = None;
    if let [Step::Member(list), Step::Entry(index), inner @ ..] = path
        && list == "containerDefinitions"
    {
        let name = definition["containerDefinitions"][*index]["name"].as_str().filter(|name| !name.is_empty());
        container = Some(name.map_or_else(|| format!("container {}", index + 1), |name| format!("container `{name}`")));
        rest = inner;
    }
    for step in rest {
        match step {
            Step::Member(name) if written.is_empty() => written.push_str(name),
            Step::Member(name) => written.push_str(&format!(".{name}")),
            Step::Entry(index) => written.push_str(&format!("[{index}]")),
        }
    }
    match (container, written.is_empty()) {
        (Some(container), true) => container,
        (Some(container), false) => format!("`{written}` of {container}"),
        (None, true) => "the task definition".to_owned(),
        (None, false) => format!("`{written}`"),
    }
}

/// Returns the value at a path.
pub fn value_at<'v>(definition: &'v Value, path: &[Step]) -> Option<&'v Value> {
    path.iter().try_fold(definition, |value, step| match step {
        Step::Member(name) => value.get(name),
        Step::Entry(index) => value.get(index),
    })
}

/// Returns a path with one more member.
fn member(path: &[Step], name: &str) -> Vec<Step> {
    let mut path = path.to_vec();
    path.push(Step::Member(name.to_owned()));
    path
}

/// Returns a path with one more entry.
fn entry(path: &[Step], index: usize) -> Vec<Step> {
    let mut path = path.to_vec();
    path.push(Step::Entry(index));
    path
}

pub mod compose;
pub mod normalise;
#[cfg(test)]
pub(super) mod properties;
mod summary;
#[cfg(test)]
mod tests;
