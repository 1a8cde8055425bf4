//! The JSON Schema of the manifest, generated from the types that read it: what editors complete and check with.

use serde_json::{Value, json};

use crate::base::json_schema::{titled, unwrap_descriptions};
use crate::manifest::Manifest;
use crate::manifest::include::INCLUDED;

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

/// Returns the JSON Schema of a file that a manifest includes: what such a file adds, and nothing that must be there.
pub fn included() -> Value {
    let mut schema = schema();
    schema["title"] = json!("roleout manifest, included file");
    schema["description"] = json!("A file that `include` of a manifest names. It adds accounts, roles and services.");
    if let Some(object) = schema.as_object_mut() {
        object.shift_remove("required");
    }
    if let Some(properties) = schema["properties"].as_object_mut() {
        properties.retain(|key, _| INCLUDED.contains(&key.as_str()));
    }
    schema
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
