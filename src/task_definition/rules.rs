//! What ECS refuses in every account though its service model allows it.
//!
//! A value of the wrong type is no fault here: the model says so.

mod container;
mod fargate;
mod logging;
mod network;
mod secret;
mod size;
mod volume;

use std::collections::BTreeSet;

use serde_json::Value;

use crate::task_definition::{Finding, Kind, Step, describe, entry, member};

pub use crate::task_definition::rules::secret::check as check_secret;

/// The most containers of a definition.
const CONTAINERS: usize = 10;
/// The most placement constraints of a definition.
const CONSTRAINTS: usize = 10;
/// The largest definition, in bytes.
const LARGEST: usize = 64 * 1024;

/// Returns what the rules say against a definition.
pub(super) fn judge(definition: &Value) -> Vec<Finding> {
    let mut rules = Rules { definition, findings: Vec::new() };
    rules.task();
    for (index, container) in list(definition, "containerDefinitions").iter().enumerate() {
        rules.container(container, &entry(&member(&[], "containerDefinitions"), index));
    }
    if rules.is_fargate() {
        rules.fargate();
    }
    rules.findings
}

struct Rules<'a> {
    definition: &'a Value,
    findings: Vec<Finding>,
}

impl Rules<'_> {
    fn refuse(&mut self, path: Vec<Step>, message: impl AsRef<str>, help: impl Into<String>) {
        let message = format!("{} {}", describe(self.definition, &path), message.as_ref());
        self.findings.push(Finding { path, kind: Kind::Refused, message, help: help.into() });
    }

    fn is_fargate(&self) -> bool {
        list(self.definition, "requiresCompatibilities").iter().any(|it| it == "FARGATE")
    }

    fn task(&mut self) {
        let definition = self.definition;
        if let Some(family) = definition["family"].as_str()
            && !is_name(family)
        {
            let help = match family.rsplit_once(':') {
                Some((name, number)) if is_name(name) && number.parse::<u32>().is_ok() => {
                    format!("write \"family\": \"{name}\": ECS numbers the revisions itself")
                }
                _ => "a family is 1 to 255 letters, digits, `_` and `-`".to_owned(),
            };
            self.refuse(member(&[], "family"), "is not a task definition's family", help);
        }
        let containers = list(definition, "containerDefinitions");
        let path = member(&[], "containerDefinitions");
        if containers.is_empty() {
            self.refuse(path.clone(), "is empty", "add at least one container");
        }
        if containers.len() > CONTAINERS {
            let message = format!("has {} containers", containers.len());
            self.refuse(path.clone(), message, format!("ECS takes at most {CONTAINERS} in a task definition"));
        }
        if !containers.is_empty() && containers.iter().all(|container| container["essential"] == false) {
            self.refuse(path.clone(), "has no essential container", "at least one must be \"essential\": true");
        }
        let size = definition.to_string().len();
        if size > LARGEST {
            self.refuse(Vec::new(), format!("has {size} bytes"), format!("ECS takes at most {LARGEST}"));
        }
        let constraints = list(definition, "placementConstraints").len();
        if constraints > CONSTRAINTS {
            let path = member(&[], "placementConstraints");
            self.refuse(path, format!("has {constraints} entries"), format!("ECS takes at most {CONSTRAINTS}"));
        }
        self.unique(containers, &path, "name", "container");
        self.volumes();
        self.routers();
        self.size_words();
        self.sizes();
        self.ports();
        self.proxy();
        self.circles();
        self.unique(list(definition, "tags"), &member(&[], "tags"), "key", "tag");
    }

    /// Refuses entries of one name.
    fn unique(&mut self, entries: &[Value], path: &[Step], key: &str, what: &str) {
        let mut seen = BTreeSet::new();
        for (index, one) in entries.iter().enumerate() {
            if let Some(name) = one[key].as_str()
                && !seen.insert(name)
            {
                let path = member(&entry(path, index), key);
                let message = format!("is `{name}`, and another {what} is called so");
                self.refuse(path, message, format!("give each {what} its own name"));
            }
        }
    }

    /// Refuses containers that wait for each other.
    fn circles(&mut self) {
        let definition = self.definition;
        let containers = list(definition, "containerDefinitions");
        let waits = |name: &str| -> Vec<&str> {
            let container = containers.iter().find(|container| container["name"] == name);
            let needs = container.map(|container| list(container, "dependsOn")).unwrap_or_default();
            needs.iter().filter_map(|need| need["containerName"].as_str()).filter(|other| *other != name).collect()
        };
        for (index, container) in containers.iter().enumerate() {
            let Some(name) = container["name"].as_str() else { continue };
            let (mut seen, mut open) = (BTreeSet::new(), waits(name));
            while let Some(next) = open.pop() {
                if seen.insert(next) {
                    open.extend(waits(next));
                }
            }
            if seen.contains(name) {
                let path = member(&entry(&member(&[], "containerDefinitions"), index), "dependsOn");
                self.refuse(path, "waits in a circle", "take one of the dependencies out");
                return;
            }
        }
    }
}

/// Returns the entries of a list member.
fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// Whether a member is not there: null and blank are absent.
fn is_absent(value: &Value) -> bool {
    value.is_null() || value.as_str().is_some_and(|text| text.trim().is_empty())
}

fn is_name(name: &str) -> bool {
    let allowed = |char: char| char.is_ascii_alphanumeric() || "_-".contains(char);
    !name.is_empty() && name.len() <= 255 && name.chars().all(allowed)
}
