//! The JSON Schema of the manifest, generated from the types that read it: what editors complete and check with.

use serde_json::{Value, json};

use super::Manifest;

/// Returns the JSON Schema (draft 2020-12) of `deploy.yaml`. What it cannot say, such as names that must exist,
/// `roleout check` says.
pub fn schema() -> Value {
    let mut schema = schemars::schema_for!(Manifest).to_value();
    unwrap_descriptions(&mut schema);
    tidy(&mut schema);
    schema["patternProperties"] =
        json!({ "^x-": { "description": "A place for anchors; nothing else is read of it." } });
    titled(schema, "roleout manifest")
}

/// Gives a schema its title, and puts what a reader of the file wants first first.
pub(crate) fn titled(schema: Value, title: &str) -> Value {
    let mut ordered = serde_json::Map::new();
    if let Value::Object(mut object) = schema {
        ordered.extend(object.shift_remove_entry("$schema"));
        ordered.insert("title".to_owned(), json!(title));
        ordered.extend(object.shift_remove_entry("description"));
        ordered.extend(object.into_iter().filter(|(key, _)| key != "title"));
    }
    Value::Object(ordered)
}

/// Unwraps descriptions, and removes Rust's number formats.
pub(crate) fn unwrap_descriptions(value: &mut Value) {
    match value {
        Value::Object(object) => {
            object.values_mut().for_each(unwrap_descriptions);
            if let Some(Value::String(text)) = object.get_mut("description") {
                // Doc comments are wrapped at the width of the source; an editor wraps at its own.
                let paragraphs = text.split("\n\n").map(|paragraph| paragraph.replace('\n', " "));
                *text = paragraphs.collect::<Vec<_>>().join("\n\n");
            }
            // `uint32` and the like are Rust's, and editors warn of formats that they do not know.
            if object.get("format").is_some_and(Value::is_string) {
                object.shift_remove("format");
            }
        }
        Value::Array(items) => items.iter_mut().for_each(unwrap_descriptions),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Removes `null` as an alternative: it is accepted and means that the key is absent, but no editor need offer it.
fn tidy(value: &mut Value) {
    match value {
        Value::Object(object) => {
            object.values_mut().for_each(tidy);
            if let Some(Value::Array(types)) = object.get_mut("type") {
                types.retain(|kind| kind != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    object.insert("type".to_owned(), only);
                }
            }
            if let Some(Value::Array(options)) = object.get_mut("anyOf") {
                options.retain(|option| *option != json!({ "type": "null" }));
                if let [only] = options.as_slice() {
                    let only = only.clone();
                    object.shift_remove("anyOf");
                    if let Value::Object(only) = only {
                        only.into_iter().for_each(|(key, value)| {
                            object.entry(key).or_insert(value);
                        });
                    }
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
