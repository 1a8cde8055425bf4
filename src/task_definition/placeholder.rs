//! Templates that nobody filled in: `${NAME}`, `{{ name }}`, `<NAME>`, `__NAME__`, `%NAME%`.
//!
//! In commands, variables and labels they may belong to the container. In the members below nothing ever fills them in.

use serde_json::Value;

use crate::task_definition::{Finding, Kind, Step, describe, entry, member};

/// Members of a definition that can hold no template.
const OF_TASK: [&str; 8] =
    ["family", "taskRoleArn", "executionRoleArn", "networkMode", "cpu", "memory", "pidMode", "ipcMode"];
/// Members of a container that can hold none.
const OF_CONTAINER: [&str; 5] = ["name", "image", "cpu", "memory", "memoryReservation"];

/// Returns the templates of members that can hold none.
pub(super) fn judge(definition: &Value) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut look = |value: &Value, path: Vec<Step>| {
        let Some(text) = value.as_str() else { return };
        let Some(found) = find(text) else { return };
        let help = match path.last() {
            Some(Step::Member(last)) if last == "image" => {
                "no variable of the job is put into this file: set the image by `images` in the manifest, or write \
                 `${region}`, `${account.id}` or `${vars.x}`"
            }
            _ => {
                "no variable of the job is put into this file: write the value, or `${region}`, `${account.id}` or `${vars.x}`"
            }
        };
        let message = format!("{} has a template that nobody filled in: `{found}`", describe(definition, &path));
        findings.push(Finding { path, kind: Kind::Placeholder, message, help: help.to_owned() });
    };
    for name in OF_TASK {
        look(&definition[name], member(&[], name));
    }
    let list = member(&[], "containerDefinitions");
    for (index, container) in definition["containerDefinitions"].as_array().into_iter().flatten().enumerate() {
        let path = entry(&list, index);
        for name in OF_CONTAINER {
            look(&container[name], member(&path, name));
        }
        for (index, secret) in container["secrets"].as_array().into_iter().flatten().enumerate() {
            look(&secret["valueFrom"], member(&entry(&member(&path, "secrets"), index), "valueFrom"));
        }
        for (index, port) in container["portMappings"].as_array().into_iter().flatten().enumerate() {
            let path = entry(&member(&path, "portMappings"), index);
            for name in ["containerPort", "hostPort"] {
                look(&port[name], member(&path, name));
            }
        }
        let options = member(&member(&path, "logConfiguration"), "options");
        for name in ["awslogs-group", "awslogs-region", "awslogs-stream-prefix", "awslogs-create-group"] {
            look(&container["logConfiguration"]["options"][name], member(&options, name));
        }
    }
    findings
}

/// Returns the first template of a text.
pub fn find(text: &str) -> Option<&str> {
    let within = |open: &str, close: &str, is_name: &dyn Fn(&str) -> bool| {
        let mut from = 0;
        while let Some(start) = text.get(from..)?.find(open).map(|at| from + at) {
            let inner = start + open.len();
            let end = text[inner..].find(close).map(|at| inner + at)?;
            if is_name(&text[inner..end]) {
                return Some(&text[start..end + close.len()]);
            }
            from = inner;
        }
        None
    };
    let is_upper = |name: &str| {
        name.starts_with(|first: char| first.is_ascii_uppercase())
            && name.chars().all(|char| char.is_ascii_uppercase() || char.is_ascii_digit() || "_-".contains(char))
    };
    let is_word = |name: &str| {
        name.starts_with(|first: char| first.is_ascii_alphabetic())
            && name.chars().all(|char| char.is_ascii_alphanumeric() || "_- .".contains(char))
    };
    within("${", "}", &|_| true)
        .or_else(|| within("{{", "}}", &|_| true))
        .or_else(|| within("<", ">", &is_word))
        .or_else(|| within("__", "__", &is_upper))
        .or_else(|| within("%", "%", &is_upper))
        .or_else(|| bare_variable(text))
}

/// Returns a `$NAME` without braces.
fn bare_variable(text: &str) -> Option<&str> {
    let start = text.find('$')?;
    let rest = &text[start + 1..];
    let end = rest.find(|char: char| !char.is_ascii_alphanumeric() && char != '_').unwrap_or(rest.len());
    let is_name = rest.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    is_name.then(|| &text[start..=start + end])
}
