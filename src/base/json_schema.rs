//! What schemars writes, as this project publishes it.

use serde_json::{Value, json};

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
