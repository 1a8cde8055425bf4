//! The JSON of a task definition file, with words for what people write in its place.
//!
//! A key that is there twice is a fault: of two values the last would count, and nobody would know.

use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// What is wrong with a text, and where.
pub struct Slip {
    /// The place, in bytes; `None` = the file as a whole, and none of its text is to be shown.
    pub at: Option<usize>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: &'static str,
}

/// Reads a task definition file, of this name.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn read(name: &str, text: &str) -> Result<Map<String, Value>, Slip> {
    let ending = name.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
    let rendered = match ending.as_str() {
        "jsonnet" | "libsonnet" => {
            Some("render it in the job first, by `jsonnet FILE > td.json`, and name what that writes")
        }
        "yml" | "yaml" => {
            Some("write it as JSON, by `yq -o json FILE > td.json`: a task definition is AWS's own JSON here")
        }
        _ => None,
    };
    match text.trim_start().chars().next() {
        Some('{') => {}
        Some('[') => {
            let help = "put it in: { \"family\": \"...\", \"containerDefinitions\": [...] }";
            let message = "the file is a list, as of containers, and not a task definition".to_owned();
            return Err(Slip { at: None, message, help });
        }
        // What it is instead may be secret, so none of it is shown.
        _ => {
            let help = "a task definition is a JSON object: it begins with `{`, as `aws ecs register-task-definition \
                        --generate-cli-skeleton` prints it";
            let message = "the file is not a task definition".to_owned();
            return Err(Slip { at: None, message, help: rendered.unwrap_or(help) });
        }
    }
    let unique: Unique = serde_json::from_str(text).map_err(|error| {
        let at = place(text, error.line(), error.column());
        let message = error.to_string();
        let message = message.split(" at line ").next().unwrap_or(&message);
        if let Some(key) = message.strip_prefix(TWICE) {
            let message = format!("the key {key} is there twice");
            return Slip { at: Some(at), message, help: "keep one of the two: only the last would count" };
        }
        let near = text.get(at.saturating_sub(1)..).or(text.get(at..)).unwrap_or_default();
        if near.starts_with('/') || near.get(1..).is_some_and(|rest| rest.starts_with('/')) {
            return Slip { at: Some(at), message: "JSON has no comments".to_owned(), help: "take the comment out" };
        }
        let help = rendered.unwrap_or("correct the JSON here, or just before");
        Slip { at: Some(at), message: format!("not valid JSON: {message}"), help }
    })?;
    match unique.0 {
        Value::Object(members) => Ok(members),
        // It begins with `{`.
        _ => Ok(Map::new()),
    }
}

/// Returns what a member is that people write in the place of `containerDefinitions`, and what to do about it.
pub fn instead_of_containers(definition: &Map<String, Value>) -> Option<(&'static str, &'static str)> {
    if definition.get("containerDefinitions").is_some_and(Value::is_string) {
        let help = "write the list itself, and not as a text in quotes";
        return Some(("`containerDefinitions` is a text", help));
    }
    definition.contains_key("ContainerDefinitions").then_some((
        "`ContainerDefinitions` is as CloudFormation spells it",
        "begin each name with a small letter, as `aws ecs describe-task-definition` prints them",
    ))
}

/// What an error of a repeated key begins with.
const TWICE: &str = "a key twice: ";

/// A value in which no object has a key twice.
struct Unique(Value);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;

        impl<'de> Visitor<'de> for Any {
            type Value = Value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_unit<E>(self) -> Result<Value, E> {
                Ok(Value::Null)
            }

            fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
                Ok(Value::Bool(value))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
                Ok(value.into())
            }

            fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
                Ok(value.into())
            }

            fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
                Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
            }

            fn visit_str<E>(self, value: &str) -> Result<Value, E> {
                Ok(value.into())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
                let mut items = Vec::new();
                while let Some(Unique(item)) = seq.next_element()? {
                    items.push(item);
                }
                Ok(items.into())
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
                let (mut members, mut seen) = (Map::new(), HashSet::new());
                while let Some(key) = map.next_key::<String>()? {
                    if !seen.insert(key.clone()) {
                        return Err(A::Error::custom(format!("{TWICE}`{key}`")));
                    }
                    members.insert(key, map.next_value::<Unique>()?.0);
                }
                Ok(members.into())
            }
        }

        deserializer.deserialize_any(Any).map(Self)
    }
}

/// Returns the place of a line and a column, both from 1 as serde_json counts them (in bytes).
fn place(text: &str, line: usize, column: usize) -> usize {
    let start: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    (start + column.saturating_sub(1)).min(text.len())
}
