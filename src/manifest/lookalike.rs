//! Files that are taken for a task definition: what they are instead, and what to do. Their content may be secret, so it is never
//! repeated.

use serde_json::{Map, Value};

/// Says of a file that does not begin with `{` what it is.
pub fn identify(name: &str, text: &str) -> (&'static str, &'static str) {
    let object = "a task definition is a JSON object: it begins with `{`, as `aws ecs register-task-definition \
                  --generate-cli-skeleton` prints it";
    match (rendered(name), text.trim_start()) {
        (Some(help), _) => ("the file is not a task definition", help),
        (None, rest) if rest.starts_with('[') => (
            "the file is a list, and not a task definition",
            "of a list of containers, as Terraform has it, write { \"family\": \"...\", \"containerDefinitions\": [...] }",
        ),
        (None, rest) if is_comment(rest) => {
            ("JSON has no comments", "take it out; members that begin with `_` are notes")
        }
        (None, _) => ("the file is not a task definition", object),
    }
}

/// Says what is wrong where a text is no JSON.
pub fn broken(name: &str, rest: &str, reason: &str) -> (String, &'static str) {
    if let Some(help) = rendered(name) {
        return (format!("not valid JSON: {reason}"), help);
    }
    match is_comment(rest) {
        true => ("JSON has no comments".to_owned(), "take it out; members that begin with `_` are notes"),
        false => (format!("not valid JSON: {reason}"), "correct the JSON here, or just before"),
    }
}

/// Says what stands in the place of a member that is missing.
pub fn member(definition: &Map<String, Value>, name: &str) -> Option<(String, String)> {
    let spelled = definition.keys().find(|key| *key != name && key.eq_ignore_ascii_case(name));
    match (definition.get(name), spelled) {
        (Some(Value::String(_)), _) if name == "containerDefinitions" => {
            let help = "write the list itself, without the quotes around it";
            Some((format!("`{name}` is text, and must be a list"), help.to_owned()))
        }
        (None, Some(spelled)) => Some((format!("AWS knows no `{spelled}`"), format!("write \"{name}\""))),
        _ => None,
    }
}

/// Returns what to do with a file of another language.
fn rendered(name: &str) -> Option<&'static str> {
    let extension = name.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
    match extension.as_str() {
        "jsonnet" | "libsonnet" => Some("render it first, as by `jsonnet FILE > td.json`, and name the JSON"),
        "yml" | "yaml" => Some("write it as JSON, by `yq -o json FILE > td.json`: a file of another form is not read"),
        "tf" | "hcl" => Some("write the definition as JSON, as `aws ecs describe-task-definition` prints it"),
        _ => None,
    }
}

fn is_comment(text: &str) -> bool {
    ["//", "/*", "#"].iter().any(|sign| text.starts_with(sign))
}
