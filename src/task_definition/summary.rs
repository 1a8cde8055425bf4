//! What differs between two task definitions, one line each, for people.
//!
//! Not a diff of texts, and no place for values that may be secret: of environment variables, labels, options,
//! commands and unknown strings only the name is shown. Numbers, switches and the strings of [`SHOWN`] are.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::task_definition::compose::comparable;

/// Members whose strings are shown. Everything else may hold what nobody should read in a job's log.
const SHOWN: [&str; 34] = [
    "accessPointId",
    "add",
    "appProtocol",
    "condition",
    "containerName",
    "containerPath",
    "containerPortRange",
    "cpu",
    "cpuArchitecture",
    "credentialsParameter",
    "drop",
    "executionRoleArn",
    "expression",
    "family",
    "fileSystemId",
    "iam",
    "image",
    "ipcMode",
    "logDriver",
    "memory",
    "name",
    "networkMode",
    "operatingSystemFamily",
    "pidMode",
    "protocol",
    "requiresCompatibilities",
    "rootDirectory",
    "sourceContainer",
    "sourcePath",
    "sourceVolume",
    "taskRoleArn",
    "transitEncryption",
    "user",
    "valueFrom",
];

/// Maps whose keys are the user's: what they hold is never shown.
const OPAQUE: [&str; 4] = ["dockerLabels", "driverOpts", "labels", "options"];

/// Lists whose entries are told apart by one of their members.
const KEYED: [(&str, &str); 12] = [
    ("dependsOn", "containerName"),
    ("devices", "hostPath"),
    ("extraHosts", "hostname"),
    ("mountPoints", "containerPath"),
    ("portMappings", "containerPort"),
    ("properties", "name"),
    ("resourceRequirements", "type"),
    ("secretOptions", "name"),
    ("systemControls", "namespace"),
    ("tmpfs", "containerPath"),
    ("ulimits", "name"),
    ("volumes", "name"),
];

/// Whether a member's strings may be shown.
pub fn is_shown(member: &str) -> bool {
    SHOWN.contains(&member)
}

/// Whether a member is a map of somebody's own names, whose values may not be shown.
pub fn is_opaque(member: &str) -> bool {
    OPAQUE.contains(&member)
}

/// Returns what registering `wanted` would change of `live`, one line each; nothing where they are the same.
///
/// Values of environment variables are never shown; images and the ARNs of secrets are.
pub fn summary(live: &Value, wanted: &Value) -> Vec<String> {
    let (live, wanted) = comparable(live, wanted);
    if live == wanted {
        return Vec::new();
    }
    let mut lines = Vec::new();
    members(&live, &wanted, |member, old, new| {
        if member == "containerDefinitions" {
            containers(old, new, &mut lines);
        } else {
            lines.extend(difference(member, member, false, old, new));
        }
    });
    if lines.is_empty() {
        // Names that repeat, where a list is told apart by name.
        lines.push("the task definition changed".to_owned());
    }
    lines
}

fn containers(old: Option<&Value>, new: Option<&Value>, lines: &mut Vec<String>) {
    for (name, (old, new)) in paired(old, new, "name") {
        let image = |container: &Value| container.get("image").and_then(Value::as_str).unwrap_or("none").to_owned();
        match (old, new) {
            (Some(old), Some(new)) => {
                // The image first: in most deployments it is all that changes.
                lines.extend(difference(&format!("{name}: image"), "image", false, old.get("image"), new.get("image")));
                members(old, new, |member, old, new| match member {
                    "image" => {}
                    "environment" => variables(&name, old, new, lines),
                    "secrets" => secrets(&name, old, new, lines),
                    _ => lines.extend(difference(&format!("{name}: {member}"), member, false, old, new)),
                });
            }
            (None, Some(new)) => lines.push(format!("container {name} added (image {})", image(new))),
            (Some(old), None) => lines.push(format!("container {name} removed (image {})", image(old))),
            (None, None) => {}
        }
    }
}

fn variables(container: &str, old: Option<&Value>, new: Option<&Value>, lines: &mut Vec<String>) {
    for (name, (old, new)) in paired(old, new, "name") {
        if let Some(verb) = verb(old, new) {
            lines.push(format!("{container}: environment {name} {verb}"));
        }
    }
}

fn secrets(container: &str, old: Option<&Value>, new: Option<&Value>, lines: &mut Vec<String>) {
    for (name, (old, new)) in paired(old, new, "name") {
        let from = |entry: Option<&Value>| entry.and_then(|entry| entry.get("valueFrom")).cloned();
        let path = format!("{container}: secret {name}");
        lines.extend(difference(&path, "valueFrom", false, from(old).as_ref(), from(new).as_ref()));
    }
}

/// Writes the differences of any two values. `member` is the name under which they are found, `opaque` whether what
/// they hold must not be shown.
fn difference(path: &str, member: &str, opaque: bool, old: Option<&Value>, new: Option<&Value>) -> Vec<String> {
    let Some(verb) = verb(old, new) else { return Vec::new() };
    let mut lines = Vec::new();
    let opaque = opaque || is_opaque(member);
    if let (Some(old @ Value::Object(_)), Some(new @ Value::Object(_))) = (old, new) {
        members(old, new, |member, old, new| {
            lines.extend(difference(&format!("{path}.{member}"), member, opaque, old, new));
        });
        return lines;
    }
    if let Some((_, key)) = KEYED.iter().find(|(list, _)| *list == member)
        && [old, new].into_iter().flatten().all(|list| is_keyed(list, key))
    {
        for (name, (old, new)) in paired(old, new, key) {
            lines.extend(difference(&format!("{path}[{name}]"), "", opaque, old, new));
        }
        return lines;
    }
    let text = |value: Option<&Value>| value.filter(|_| !opaque).and_then(|value| shown(member, value));
    lines.push(match (text(old), text(new)) {
        (Some(old), Some(new)) => format!("{path} {old} -> {new}"),
        (None, Some(new)) if old.is_none() => format!("{path} added: {new}"),
        (Some(old), None) if new.is_none() => format!("{path} removed: {old}"),
        _ => format!("{path} {verb}"),
    });
    lines
}

/// Returns `added`, `removed` or `changed`, or nothing for what is the same.
fn verb(old: Option<&Value>, new: Option<&Value>) -> Option<&'static str> {
    match (old, new) {
        (Some(old), Some(new)) => (old != new).then_some("changed"),
        (None, Some(_)) => Some("added"),
        (Some(_), None) => Some("removed"),
        (None, None) => None,
    }
}

/// Returns a value in words, if it may be shown.
fn shown(member: &str, value: &Value) -> Option<String> {
    match value {
        Value::Bool(switch) => Some(switch.to_string()),
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) => is_shown(member).then(|| text.clone()),
        Value::Array(items) => {
            let items: Option<Vec<String>> = items.iter().map(|item| shown(member, item)).collect();
            items.map(|items| items.join(", "))
        }
        Value::Null | Value::Object(_) => None,
    }
}

/// Calls `each` for every member of either object, in the order of their names.
fn members<'a>(old: &'a Value, new: &'a Value, mut each: impl FnMut(&str, Option<&'a Value>, Option<&'a Value>)) {
    let names = |value: &'a Value| value.as_object().into_iter().flat_map(Map::keys);
    for name in names(old).chain(names(new)).collect::<BTreeSet<_>>() {
        each(name, old.get(name), new.get(name));
    }
}

/// Returns whether every entry of a list has a key of its own.
fn is_keyed(list: &Value, key: &str) -> bool {
    let Some(items) = list.as_array() else { return false };
    let keys: BTreeSet<String> = items.iter().filter_map(|item| key_of(item, key)).collect();
    keys.len() == items.len()
}

/// Returns the entries of two lists side by side, by their key.
fn paired<'a>(
    old: Option<&'a Value>,
    new: Option<&'a Value>,
    key: &str,
) -> BTreeMap<String, (Option<&'a Value>, Option<&'a Value>)> {
    let mut pairs: BTreeMap<String, (Option<&Value>, Option<&Value>)> = BTreeMap::new();
    let items = |list: Option<&'a Value>| list.and_then(Value::as_array).into_iter().flatten();
    for item in items(old) {
        pairs.entry(key_of(item, key).unwrap_or_default()).or_default().0 = Some(item);
    }
    for item in items(new) {
        pairs.entry(key_of(item, key).unwrap_or_default()).or_default().1 = Some(item);
    }
    pairs
}

fn key_of(item: &Value, key: &str) -> Option<String> {
    match item.get(key)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_kind_of_change_has_its_line() {
        let live = json!({
            "family": "api", "cpu": "256", "networkMode": "awsvpc", "taskRoleArn": "arn:aws:iam::1:role/app",
            "containerDefinitions": [
                {
                    "name": "app", "image": "r/api:1", "command": ["--password", "hunter2"],
                    "environment": [{"name": "GONE", "value": "hunter2"}, {"name": "LEVEL", "value": "hunter2"}],
                    "secrets": [{"name": "DB", "valueFrom": "arn:one"}, {"name": "OLD", "valueFrom": "arn:old"}],
                    "portMappings": [{"containerPort": 80}],
                    "healthCheck": {"command": ["CMD", "true"]},
                    "logConfiguration": {"logDriver": "splunk", "options": {"splunk-token": "hunter2"}},
                    "unknownMember": "hunter2",
                },
                {"name": "old", "image": "r/old:1"},
            ],
        });
        let wanted = json!({
            "family": "api", "cpu": ".5 vCPU", "networkMode": "awsvpc", "taskRoleArn": "app",
            "requiresCompatibilities": ["FARGATE"],
            "containerDefinitions": [
                {"name": "log", "image": "r/log:1"},
                {
                    "name": "app", "image": "r/api:2", "command": ["--password", "hunter3"], "essential": false,
                    "environment": [{"name": "LEVEL", "value": "hunter3"}, {"name": "NEW", "value": "hunter3"}],
                    "secrets": [{"name": "DB", "valueFrom": "arn:two"}, {"name": "FRESH", "valueFrom": "arn:fresh"}],
                    "portMappings": [{"containerPort": 80, "protocol": "udp"}, {"containerPort": 443}],
                    "healthCheck": {"command": ["CMD", "true"], "interval": 10},
                    "logConfiguration": {"logDriver": "splunk", "options": {"splunk-token": "hunter3"}},
                    "unknownMember": "hunter3",
                },
            ],
        });
        insta::assert_snapshot!(summary(&live, &wanted).join("\n"), @r"
        app: image r/api:1 -> r/api:2
        app: command changed
        app: environment GONE removed
        app: environment LEVEL changed
        app: environment NEW added
        app: essential true -> false
        app: healthCheck.interval 30 -> 10
        app: logConfiguration.options.splunk-token changed
        app: portMappings[443] added
        app: portMappings[80].protocol tcp -> udp
        app: secret DB arn:one -> arn:two
        app: secret FRESH added: arn:fresh
        app: secret OLD removed: arn:old
        app: unknownMember changed
        container log added (image r/log:1)
        container old removed (image r/old:1)
        cpu 256 -> 512
        requiresCompatibilities added: FARGATE
        ");
    }

    #[test]
    fn what_is_the_same_has_no_line() {
        let live = json!({"family": "f", "containerDefinitions": [{"name": "a", "essential": true, "command": []}]});
        assert!(summary(&live, &json!({"family": "f", "containerDefinitions": [{"name": "a"}]})).is_empty());
    }

    #[test]
    fn what_a_label_holds_is_not_shown_whatever_its_name() {
        let with = |user: &str| json!({"containerDefinitions": [{"name": "a", "dockerLabels": {"user": user}}]});
        assert_eq!(summary(&with("hunter2"), &with("hunter3")), ["a: dockerLabels.user changed"]);
    }

    #[test]
    fn a_difference_among_repeated_names_is_not_lost() {
        let with = |first: &str| {
            json!({"containerDefinitions": [{"name": "a", "environment": [
                {"name": "A", "value": first}, {"name": "A", "value": "2"},
            ]}]})
        };
        assert_eq!(summary(&with("1"), &with("3")), ["the task definition changed"]);
    }
}
