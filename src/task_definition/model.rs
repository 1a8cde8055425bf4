//! What AWS's service model says: types, members, required members, enums and sizes.
//!
//! The table is made from botocore's model by `tests/peers/task_definition_model.py`.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use crate::task_definition::normalise::is_absent_when_blank;
use crate::task_definition::{Finding, Kind, Step, describe, member};

static MODEL: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("model.json")).expect("the table is valid JSON"));

/// Members whose values AWS takes though its model does not have them: another spelling of `protocol` becomes `tcp`, an agent
/// may have log drivers of its own, and systems are added more often than this table is renewed.
const OPEN: [&str; 3] = ["protocol", "logDriver", "operatingSystemFamily"];

/// Returns what the model says against a definition.
pub(super) fn judge(definition: &Value) -> Vec<Finding> {
    let mut judge = Judge { definition, partial: false, findings: Vec::new() };
    judge.value(&MODEL, definition, &mut Vec::new());
    judge.findings
}

/// Returns what the model says against a patch, in which containers are named instead of listed. What a patch lacks, the
/// definition may have.
pub fn judge_patch(patch: &Value) -> Vec<Finding> {
    let mut judge = Judge { definition: patch, partial: true, findings: Vec::new() };
    judge.value(&PATCH, patch, &mut Vec::new());
    judge.findings
}

/// The model of a patch.
static PATCH: LazyLock<Value> = LazyLock::new(|| {
    let mut model = MODEL.clone();
    let containers = &mut model["members"]["containerDefinitions"];
    *containers = json!({ "type": "map", "of": containers["of"] });
    model
});

/// Makes a number, `true` or `false` of each text in a patch where AWS wants one.
pub fn coerce_patch(patch: &mut Value) {
    coerce(&PATCH, patch);
}

fn coerce(shape: &Value, value: &mut Value) {
    match (shape["type"].as_str(), value) {
        (Some("structure"), Value::Object(members)) => {
            members.iter_mut().for_each(|(name, value)| coerce(&shape["members"][name.as_str()], value));
        }
        (Some("map"), Value::Object(entries)) => entries.values_mut().for_each(|value| coerce(&shape["of"], value)),
        (Some("list"), Value::Array(items)) => items.iter_mut().for_each(|item| coerce(&shape["of"], item)),
        (Some("integer"), value) => {
            if let Some(number) = value.as_str().and_then(|text| text.parse::<i64>().ok()) {
                *value = number.into();
            }
        }
        (Some("boolean"), value) => {
            if let Some(truth) = value.as_str().and_then(|text| text.parse::<bool>().ok()) {
                *value = truth.into();
            }
        }
        _ => {}
    }
}

struct Judge<'a> {
    definition: &'a Value,
    /// Whether objects may lack what AWS requires of them: those that are merged, and so are in no list.
    partial: bool,
    findings: Vec<Finding>,
}

impl Judge<'_> {
    fn push(&mut self, path: &[Step], kind: Kind, message: &str, help: impl Into<String>) {
        let message = format!("{} {message}", describe(self.definition, path));
        self.findings.push(Finding { path: path.to_vec(), kind, message, help: help.into() });
    }

    fn value(&mut self, shape: &Value, value: &Value, path: &mut Vec<Step>) {
        match (shape["type"].as_str().unwrap_or_default(), value) {
            // What is null is absent to AWS.
            (_, Value::Null) => {}
            ("structure", Value::Object(members)) => self.structure(shape, members, path),
            ("list", Value::Array(items)) => {
                self.size(shape, items.len(), "entries", path);
                for (index, item) in items.iter().enumerate() {
                    path.push(Step::Entry(index));
                    if item.is_null() {
                        self.push(path, Kind::Dropped, "is null, and ECS leaves it out", "take it out");
                    }
                    self.value(&shape["of"], item, path);
                    path.pop();
                }
            }
            ("map", Value::Object(entries)) => {
                for (key, item) in entries {
                    path.push(Step::Member(key.clone()));
                    self.value(&shape["of"], item, path);
                    path.pop();
                }
            }
            ("string", Value::String(text)) => self.text(shape, text, path),
            ("integer", Value::Number(number)) => {
                if number.as_i64().is_none_or(|number| i32::try_from(number).is_err()) {
                    let help = format!("write a whole number instead of {number}");
                    self.push(path, Kind::Type, "must be a whole number of 32 bits", help);
                }
            }
            ("boolean", Value::Bool(_)) => {}
            // Both are strings to AWS; a bare number can mean one thing only, and is sent as text.
            ("string", Value::Number(_)) if matches!(path.as_slice(), [Step::Member(it)] if it == "cpu" || it == "memory") =>
                {}
            (wanted, _) => {
                let (must, help) = expected(wanted, value);
                self.push(path, Kind::Type, must, help);
            }
        }
    }

    fn structure(&mut self, shape: &Value, members: &Map<String, Value>, path: &mut Vec<Step>) {
        let known = shape["members"].as_object();
        for (name, value) in members {
            let Some(inner) = known.and_then(|known| known.get(name)) else {
                if !is_comment(name) {
                    let help = suggest(name, known.into_iter().flat_map(Map::keys));
                    let message = "is not known to AWS's model, and ECS leaves it out";
                    self.push(&member(path, name), Kind::Dropped, message, help);
                }
                continue;
            };
            path.push(Step::Member(name.clone()));
            self.value(inner, value, path);
            path.pop();
        }
        if self.partial && !path.iter().any(|step| matches!(step, Step::Entry(_))) {
            return;
        }
        for name in shape["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if members.get(name).is_none_or(Value::is_null) {
                self.push(path, Kind::Refused, &format!("has no `{name}`"), format!("add \"{name}\""));
            }
        }
    }

    fn text(&mut self, shape: &Value, text: &str, path: &[Step]) {
        let Some(values) = shape["enum"].as_array() else {
            return self.size(shape, text.chars().count(), "characters", path);
        };
        let name = path.iter().rev().find_map(|step| match step {
            Step::Member(name) => Some(name.as_str()),
            Step::Entry(_) => None,
        });
        // A blank one of these is left out of the request.
        let absent = text.is_empty() && name.is_some_and(is_absent_when_blank);
        if absent || values.iter().any(|value| value == text) {
            return;
        }
        let is_case = values.iter().filter_map(Value::as_str).find(|value| value.eq_ignore_ascii_case(text));
        let open = name.is_some_and(|name| OPEN.contains(&name));
        let words: Vec<String> = values.iter().filter_map(Value::as_str).map(|value| format!("`{value}`")).collect();
        let help = match is_case {
            Some(value) => format!("write `{value}`"),
            None => format!("write one of {}", words.join(", ")),
        };
        if open && (is_case.is_none() || name == Some("protocol")) {
            self.push(path, Kind::Dropped, &format!("is `{text}`, which is not one of AWS's values"), help);
        } else {
            let message = if text.is_empty() { "cannot be blank".to_owned() } else { format!("cannot be `{text}`") };
            self.push(path, Kind::Refused, &message, help);
        }
    }

    fn size(&mut self, shape: &Value, size: usize, what: &str, path: &[Step]) {
        let bound = |key: &str| shape[key].as_u64().and_then(|bound| usize::try_from(bound).ok());
        if let Some(most) = bound("max").filter(|&most| size > most) {
            self.push(path, Kind::Refused, &format!("has {size} {what}"), format!("ECS takes at most {most}"));
        }
        if let Some(least) = bound("min").filter(|&least| size < least) {
            self.push(path, Kind::Refused, &format!("has {size} {what}"), format!("ECS takes at least {least}"));
        }
    }
}

/// Whether a name is that of a member, wherever it is.
pub fn is_member(name: &str) -> bool {
    fn has(shape: &Value, name: &str) -> bool {
        let members = shape["members"].as_object();
        members.is_some_and(|members| {
            members.contains_key(name) || members.values().any(|inner| has(inner, name) || has(&inner["of"], name))
        })
    }
    has(&MODEL, name)
}

/// Whether a member is a note of people or of an editor, which is not sent.
pub fn is_comment(name: &str) -> bool {
    name.starts_with('_') || name == "$schema"
}

fn expected(wanted: &str, value: &Value) -> (&'static str, String) {
    match wanted {
        "string" => (
            "must be text",
            match value {
                Value::Number(_) | Value::Bool(_) => "write it in quotes".to_owned(),
                _ => "write one text in quotes".to_owned(),
            },
        ),
        "integer" => (
            "must be a number",
            match value.as_str().filter(|text| text.parse::<i32>().is_ok()) {
                Some(text) => format!("write {text} without quotes"),
                None => "write a whole number without quotes".to_owned(),
            },
        ),
        "boolean" => ("must be true or false", "write true or false without quotes".to_owned()),
        "list" => (
            "must be a list",
            match value.is_string() {
                true => "write [\"...\", \"...\"]".to_owned(),
                false => "write it in [ ]".to_owned(),
            },
        ),
        _ => ("must be an object", "write it in { }".to_owned()),
    }
}

fn suggest<'a>(name: &str, known: impl Iterator<Item = &'a String>) -> String {
    let plain = |text: &str| text.replace(['_', '-'], "").to_ascii_lowercase();
    let scored = known.map(|other| (strsim::jaro_winkler(&plain(name), &plain(other)), other));
    match scored.max_by(|one, other| one.0.total_cmp(&other.0)) {
        Some((score, other)) if score > 0.85 => format!("did you mean `{other}`?"),
        _ => "take it out, or move it to where it belongs".to_owned(),
    }
}

/// Takes the notes of people and editors out of a definition: `$schema`, and members that begin with `_`.
pub fn strip_comments(definition: &mut Value) {
    strip(&MODEL, definition);
}

fn strip(shape: &Value, value: &mut Value) {
    match (shape["type"].as_str(), value) {
        (Some("structure"), Value::Object(members)) => {
            members.retain(|name, _| shape["members"].get(name).is_some() || !is_comment(name));
            for (name, value) in members {
                strip(&shape["members"][name.as_str()], value);
            }
        }
        (Some("list"), Value::Array(items)) => items.iter_mut().for_each(|item| strip(&shape["of"], item)),
        _ => {}
    }
}
