//! `docs/manifest.md`: every key of the manifest, out of its JSON Schema.

use std::fmt::Write as _;

use roleout::manifest::schema::schema;
use serde_json::{Map, Value};

use crate::{cell, hold};

const REFERENCE: &str = "#/$defs/";

#[test]
fn the_reference_of_the_manifest_is_what_its_schema_is() {
    hold("docs/manifest.md", &page());
}

fn page() -> String {
    let schema = serde_json::to_value(schema()).unwrap();
    let mut page = include_str!("manifest_head.md").to_owned();
    keys(&mut page, schema.as_object().unwrap());
    let definitions = schema["$defs"].as_object().unwrap();
    for (name, definition) in definitions {
        write!(page, "\n## {name}\n\n{}\n", text(definition)).unwrap();
        let definition = definition.as_object().unwrap();
        if definition.contains_key("properties") {
            keys(&mut page, definition);
        } else {
            choices(&mut page, definition);
        }
    }
    page
}

fn keys(page: &mut String, object: &Map<String, Value>) {
    let required: Vec<&str> = object.get("required").map(|names| strings(names)).unwrap_or_default();
    page.push_str("\n| key | value | meaning |\n|---|---|---|\n");
    for (key, schema) in object["properties"].as_object().unwrap() {
        let must = if required.contains(&key.as_str()) { " (required)" } else { "" };
        writeln!(page, "| `{key}`{must} | {} | {} |", cell(&kind(schema)), cell(&text(schema))).unwrap();
    }
}

/// The values that an enumeration has, with what each means.
fn choices(page: &mut String, definition: &Map<String, Value>) {
    for word in definition.get("enum").map(|words| strings(words)).unwrap_or_default() {
        write!(page, "\n- `{word}`").unwrap();
    }
    for choice in definition.get("oneOf").and_then(Value::as_array).into_iter().flatten() {
        for word in
            choice.get("const").into_iter().chain(choice.get("enum").and_then(Value::as_array).into_iter().flatten())
        {
            write!(page, "\n- `{}`: {}", word.as_str().unwrap_or_default(), text(choice)).unwrap();
        }
    }
    page.push('\n');
}

/// What a value is, with links to the parts that have a section of their own.
fn kind(schema: &Value) -> String {
    if let Some(name) = schema.get("$ref").and_then(Value::as_str) {
        let name = name.trim_start_matches(REFERENCE);
        return format!("[{name}](#{})", name.to_lowercase());
    }
    if let Some(any) = schema.get("anyOf").or_else(|| schema.get("oneOf")).and_then(Value::as_array) {
        let mut kinds: Vec<String> = any.iter().map(kind).collect();
        kinds.dedup();
        return kinds.join(" or ");
    }
    if let Some(words) = schema.get("enum") {
        return strings(words).iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    }
    let names = match schema.get("type") {
        Some(Value::String(name)) => vec![name.as_str()],
        Some(names) => strings(names),
        None => Vec::new(),
    };
    let named = |name: &&str| match *name {
        "array" => match schema.get("items") {
            Some(items) => format!("list of {}", kind(items)),
            None => "list".to_owned(),
        },
        "object" => match schema.get("additionalProperties") {
            Some(values @ Value::Object(_)) => format!("mapping of names to {}", kind(values)),
            _ => "mapping".to_owned(),
        },
        "boolean" => "true or false".to_owned(),
        "string" => "text".to_owned(),
        "integer" => "whole number".to_owned(),
        other => other.to_owned(),
    };
    let kinds: Vec<String> = names.iter().map(named).collect();
    if kinds.is_empty() { "anything".to_owned() } else { kinds.join(" or ") }
}

fn text(schema: &Value) -> String {
    schema.get("description").and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn strings(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}
