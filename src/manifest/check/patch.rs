//! `set:` of a task definition: what it may change, and what AWS would refuse of it.
//!
//! What AWS says of the definition as a whole, `definition.rs` asks, and points into a patch where that is from one.

use serde_json::{Map, Value};

use crate::base::json;
use crate::manifest::check::Checker;
use crate::manifest::check::draft::Layer;
use crate::manifest::definition::DefinitionSource;
use crate::manifest::fault::Fault;
use crate::manifest::interpolate::Scope;
use crate::manifest::patch::{Part, Patch};
use crate::manifest::spanned::{Entry, Span, Spanned};
use crate::task_definition::normalise::READ_ONLY;
use crate::task_definition::{Finding, Step, coerce_patch, judge_patch, value_at};

/// The member that lists the containers.
const CONTAINERS: &str = "containerDefinitions";

/// Members of a container that have a key of their own in the manifest.
const OF_MANIFEST: [(&str, &str); 3] = [
    ("image", "images: { NAME: ... }"),
    ("environment", "environment: { NAME: { KEY: value } }"),
    ("secrets", "secrets: { NAME: { KEY: arn } }"),
];

/// Returns what is set of a target, in the order in which it applies.
pub fn patches<'a>(source: Option<&'a Spanned<DefinitionSource>>, layers: &[Layer<'a>]) -> Vec<&'a Spanned<Patch>> {
    let own = source.and_then(|source| source.get()?.set());
    own.into_iter().chain(layers.iter().filter_map(|layer| layer.set)).collect()
}

/// Returns the place in a patch of what a finding about a whole definition is about.
fn locate(patches: &[&Spanned<Patch>], finding: &Finding, definition: &Value) -> Option<Span> {
    let mut path = finding.path.clone();
    if let [Step::Member(list), Step::Entry(index), ..] = finding.path.as_slice()
        && list == CONTAINERS
    {
        let name = definition[CONTAINERS][*index]["name"].as_str()?;
        path[1] = Step::Member(name.to_owned());
    }
    find(patches, &path)
}

/// Returns the place of a member in the last patch that sets it.
fn find(patches: &[&Spanned<Patch>], path: &[Step]) -> Option<Span> {
    patches.iter().rev().find_map(|patch| patch.get()?.find(path))
}

impl Checker<'_> {
    /// Records what a patch may not change, whatever the target, and warns of what ECS would leave out.
    pub fn patch(self, patch: Option<&Spanned<Patch>>) {
        let Some(patch) = patch else { return };
        let Some(written) = patch.get() else { return };
        for entry in &written.0.0 {
            let key = entry.key.as_str();
            if key == "family" {
                let help = "write it in the file, or start from another one: task_definition: { family: ... }";
                self.fault(entry.key_span, "`set` does not change the family", help);
            } else if READ_ONLY.contains(&key) {
                self.fault(entry.key_span, format!("only ECS gives a `{key}`"), "take it out");
            } else if key == CONTAINERS {
                self.containers_of_patch(entry);
            }
        }
        let shape = literal(written);
        for finding in judge_patch(&shape).into_iter().filter(|finding| !finding.is_fault()) {
            let span = written.find(&finding.path).unwrap_or(patch.span);
            self.context.warn(&self.context.fault(span, finding.message).help(finding.help));
        }
    }

    fn containers_of_patch(self, list: &Entry<Part>) {
        let help = "write { NAME: { memory: 512 } }, with the container's name";
        let containers = match list.value.get() {
            Some(Part::Map(containers)) => containers,
            Some(_) => return self.fault(list.value.span, "in `set`, containers go by their names", help),
            None => return,
        };
        for container in &containers.0 {
            let members = match container.value.get() {
                Some(Part::Map(members)) => members,
                Some(Part::Null) | None => continue,
                Some(_) => {
                    self.fault(container.value.span, format!("container `{}` has members", container.key), help);
                    continue;
                }
            };
            for member in &members.0 {
                let own = OF_MANIFEST.iter().find(|(name, _)| *name == member.key);
                if let Some((name, example)) = own {
                    let help = format!("write it beside `set`: {}", example.replace("NAME", &container.key));
                    self.fault(member.key_span, format!("`{name}` has a key of its own"), help);
                } else if member.key == "name" {
                    self.fault(member.key_span, "`set` does not rename a container", "take it out");
                }
            }
        }
    }

    /// Records containers that the task definition does not have.
    pub fn containers_of(self, patches: &[&Spanned<Patch>], known: &[String]) {
        for container in patches.iter().filter_map(|patch| patch.get()).flat_map(Patch::containers) {
            self.container_of(&container.key, container.key_span, known);
        }
    }

    /// Resolves what is set of a target; nothing where AWS would refuse that by itself, which is recorded.
    pub fn set(self, patches: &[&Spanned<Patch>], scope: &Scope<'_>) -> Option<Map<String, Value>> {
        // Most manifests set nothing, and need no model of AWS's to say so.
        if patches.iter().all(|patch| patch.get().is_none()) {
            return Some(Map::new());
        }
        let before = self.context.count();
        let mut set = Value::Object(Map::new());
        for patch in patches.iter().filter_map(|patch| patch.get()) {
            json::merge(&mut set, self.set_members(&patch.0.0, scope));
        }
        let mut judged = set.clone();
        coerce_patch(&mut judged);
        // Whether containers are named, and have members, is looked at as it is written.
        let is_shape = |path: &[Step]| path.len() <= 2 && path.first() == Some(&Step::Member(CONTAINERS.to_owned()));
        let findings = judge_patch(&judged).into_iter().filter(|it| it.is_fault() && !is_shape(&it.path));
        for finding in findings {
            if value_at(&judged, &finding.path).and_then(Value::as_str).is_some_and(|text| self.is_open(text)) {
                // What is not known yet is judged where it is deployed.
                continue;
            }
            if let Some(span) = find(patches, &finding.path) {
                self.fault(span, finding.message, finding.help);
            }
        }
        match set {
            Value::Object(set) if self.context.count() == before => Some(set),
            _ => None,
        }
    }

    fn set_members(self, members: &[Entry<Part>], scope: &Scope<'_>) -> Value {
        let resolved = |entry: &Entry<Part>| {
            let value = self.part(entry.value.get()?, entry.value.span, scope)?;
            Some((entry.key.clone(), value))
        };
        Value::Object(members.iter().filter_map(resolved).collect())
    }

    fn part(self, part: &Part, span: Span, scope: &Scope<'_>) -> Option<Value> {
        Some(match part {
            Part::Null => Value::Null,
            Part::Bool(truth) => Value::Bool(*truth),
            Part::Number(number) => Value::Number(number.clone()),
            Part::Text(template) => Value::String(self.resolve_open(template, span, scope)?),
            Part::List(items) => items.iter().filter_map(|item| self.part(item.get()?, item.span, scope)).collect(),
            Part::Map(entries) => self.set_members(&entries.0, scope),
        })
    }

    /// Makes a fault of what AWS refuses of a definition because of a patch.
    pub fn of_patch(self, patches: &[&Spanned<Patch>], finding: &Finding, definition: &Value) -> Option<Fault> {
        let span = locate(patches, finding, definition)?;
        Some(self.context.fault(span, finding.message.clone()).help(finding.help.clone()))
    }
}

/// Returns a patch with its texts as they are written.
fn literal(patch: &Patch) -> Value {
    fn value(part: &Part) -> Value {
        match part {
            Part::Null => Value::Null,
            Part::Bool(truth) => Value::Bool(*truth),
            Part::Number(number) => Value::Number(number.clone()),
            Part::Text(template) => Value::String(template.to_string()),
            Part::List(items) => items.iter().filter_map(|item| item.get().map(value)).collect(),
            Part::Map(entries) => members(&entries.0),
        }
    }
    fn members(entries: &[Entry<Part>]) -> Value {
        let member = |entry: &Entry<Part>| Some((entry.key.clone(), value(entry.value.get()?)));
        Value::Object(entries.iter().filter_map(member).collect())
    }
    members(&patch.0.0)
}
