//! Task definitions, as AWS's own JSON from end to end: what to register, and whether it would change anything.
//!
//! Not a model of a task definition. Only the members that this tool sets, or that ECS fills in or re-orders, are
//! known here; everything else passes through as it came, fields that no SDK knows yet included. Whatever is not
//! known to be a default counts as a difference: at worst a revision is registered that was not needed.

use indexmap::IndexMap;
use serde_json::{Map, Value, json};
use thiserror::Error;

use crate::fleet::Desired;
use crate::task_definition::model;
use crate::task_definition::normalise::{READ_ONLY, registrable};

pub use crate::task_definition::normalise::{declared, is_set, normalise};
pub use crate::task_definition::summary::{is_opaque, is_shown, summary};

/// The members that take a role's name as well as its ARN.
const ROLES: [&str; 2] = ["taskRoleArn", "executionRoleArn"];

/// The member that lists the containers.
const CONTAINERS: &str = "containerDefinitions";

/// Why a task definition cannot be built.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum BuildError {
    /// The base is not a task definition.
    #[error("the task definition has no `containerDefinitions`")]
    NoContainers,
    /// The manifest names containers that the base does not have.
    #[error("the task definition has no container {}; it has {}", quoted(missing), quoted(existing))]
    UnknownContainers {
        /// What the manifest names, each once.
        missing: Vec<String>,
        /// What the task definition has, in its order.
        existing: Vec<String>,
    },
    /// The manifest gives a container one name as an environment variable and as a secret.
    #[error("container `{container}` gets `{name}` both as an environment variable and as a secret")]
    Ambiguous {
        /// The container.
        container: String,
        /// The name.
        name: String,
    },
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// Returns the definition to register: `base` with the members that are `set`, and then the images, environment and secrets that
/// are `desired`.
///
/// `base` is the JSON of a file or what DescribeTaskDefinition gives. What is there keeps its order, what is new is
/// appended. A name that moves between environment and secrets leaves the other list. `desired.task_definition` is
/// not looked at: choosing the base is the caller's part.
pub fn build(base: &Value, desired: &Desired) -> Result<Value, BuildError> {
    let mut definition = registrable(base);
    if !desired.set.is_empty() {
        set_members(&mut definition, &desired.set)?;
        definition = registrable(&definition);
    }
    for member in ["cpu", "memory"] {
        // Both are strings to AWS; a bare number is a common slip and can mean only one thing.
        if let Some(size) = definition.get_mut(member).filter(|size| size.is_number()) {
            *size = Value::String(size.to_string());
        }
    }
    let containers = match definition.get_mut("containerDefinitions").and_then(Value::as_array_mut) {
        Some(containers) if !containers.is_empty() => containers,
        _ => return Err(BuildError::NoContainers),
    };
    check(containers, desired)?;
    for container in containers.iter_mut().filter_map(Value::as_object_mut) {
        let Some(name) = container.get("name").and_then(Value::as_str).map(str::to_owned) else { continue };
        if let Some(image) = desired.images.get(&name) {
            container.insert("image".to_owned(), json!(image));
        }
        if let Some(variables) = desired.environment.get(&name) {
            set_named(container, "environment", "value", variables);
            remove_named(container, "secrets", variables);
        }
        if let Some(secrets) = desired.secrets.get(&name) {
            set_named(container, "secrets", "valueFrom", secrets);
            remove_named(container, "environment", secrets);
        }
    }
    Ok(definition)
}

/// Puts a patch into a definition. A text becomes a number, `true` or `false` where AWS wants one.
fn set_members(definition: &mut Value, patch: &Map<String, Value>) -> Result<(), BuildError> {
    let mut patch = Value::Object(patch.clone());
    model::coerce_patch(&mut patch);
    let containers = patch.as_object_mut().and_then(|patch| patch.remove(CONTAINERS));
    merge(definition, patch);
    let Some(Value::Object(containers)) = containers else { return Ok(()) };
    let Some(list) = definition.get_mut(CONTAINERS).and_then(Value::as_array_mut) else {
        return Err(BuildError::NoContainers);
    };
    let mut missing = Vec::new();
    for (name, patch) in containers {
        match list.iter().position(|container| container["name"] == *name) {
            Some(index) if patch.is_null() => _ = list.remove(index),
            Some(index) => merge(&mut list[index], patch),
            None => missing.push(name),
        }
    }
    match missing.is_empty() {
        true => Ok(()),
        false => Err(BuildError::UnknownContainers { missing, existing: names(list) }),
    }
}

/// Merges a patch into a value, as RFC 7396 says: objects member by member, `null` takes a member out, and anything else takes
/// the place of what was there.
fn merge(value: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *value = patch;
        return;
    };
    if !value.is_object() {
        *value = json!({});
    }
    let Some(members) = value.as_object_mut() else { return };
    for (name, patch) in patch {
        match patch {
            Value::Null => _ = members.remove(&name),
            patch => merge(members.entry(name).or_insert(Value::Null), patch),
        }
    }
}

/// Returns the containers' names.
fn names(containers: &[Value]) -> Vec<String> {
    containers.iter().filter_map(|container| Some(container.get("name")?.as_str()?.to_owned())).collect()
}

/// Refuses containers that do not exist, and names that are asked for twice.
fn check(containers: &[Value], desired: &Desired) -> Result<(), BuildError> {
    let existing = names(containers);
    let mut missing: Vec<String> = Vec::new();
    for name in desired.images.keys().chain(desired.environment.keys()).chain(desired.secrets.keys()) {
        if !existing.contains(name) && !missing.contains(name) {
            missing.push(name.clone());
        }
    }
    if !missing.is_empty() {
        return Err(BuildError::UnknownContainers { missing, existing });
    }
    for (container, variables) in &desired.environment {
        let secrets = desired.secrets.get(container);
        if let Some(name) = variables.keys().find(|name| secrets.is_some_and(|secrets| secrets.contains_key(*name))) {
            return Err(BuildError::Ambiguous { container: container.clone(), name: name.clone() });
        }
    }
    Ok(())
}

/// Sets `member` of each named entry of a container's list, and appends the entries that are new.
fn set_named(container: &mut Map<String, Value>, list: &str, member: &str, values: &IndexMap<String, String>) {
    if values.is_empty() {
        return;
    }
    let entries = container.entry(list).or_insert_with(|| json!([]));
    if !entries.is_array() {
        *entries = json!([]);
    }
    let Some(entries) = entries.as_array_mut() else { return };
    for (name, value) in values {
        let named = |entry: &Value| entry.get("name").and_then(Value::as_str) == Some(name);
        match entries.iter().position(named) {
            Some(first) => {
                if let Some(entry) = entries[first].as_object_mut() {
                    entry.insert(member.to_owned(), json!(value));
                }
                let mut index = 0;
                entries.retain(|entry| {
                    index += 1;
                    index <= first + 1 || !named(entry)
                });
            }
            None => entries.push(json!({ "name": name, member: value })),
        }
    }
}

/// Removes the entries of a container's list that have one of the names.
fn remove_named(container: &mut Map<String, Value>, list: &str, names: &IndexMap<String, String>) {
    if let Some(entries) = container.get_mut(list).and_then(Value::as_array_mut) {
        entries.retain(|entry| !entry.get("name").and_then(Value::as_str).is_some_and(|name| names.contains_key(name)));
    }
}

/// Returns a definition without what only DescribeTaskDefinition gives, and otherwise as it is.
pub fn without_read_only(definition: &Value) -> Value {
    let mut definition = definition.clone();
    if let Some(members) = definition.as_object_mut() {
        members.retain(|member, _| !READ_ONLY.contains(&member.as_str()));
    }
    definition
}

/// Returns whether registering `wanted` would change nothing against `live`. Tags do not take part.
pub fn same(wanted: &Value, live: &Value) -> bool {
    let (live, wanted) = comparable(live, wanted);
    live == wanted
}

/// Returns both sides in their canonical form. A role that one side gives by name and the other by ARN is the same
/// role on both, which neither side can know alone.
pub(crate) fn comparable(live: &Value, wanted: &Value) -> (Value, Value) {
    let (mut live, mut wanted) = (normalise(live), normalise(wanted));
    for member in ROLES {
        if let (Some(live), Some(wanted)) = (live.get_mut(member), wanted.get_mut(member)) {
            if names_role(live, wanted) {
                *live = wanted.clone();
            } else if names_role(wanted, live) {
                *wanted = live.clone();
            }
        }
    }
    (live, wanted)
}

/// Returns whether `short` is the name, with or without its path, of the role whose ARN is `full`.
fn names_role(short: &Value, full: &Value) -> bool {
    let (Some(short), Some(full)) = (short.as_str(), full.as_str()) else { return false };
    if short.starts_with("arn:") || !full.starts_with("arn:") {
        return false;
    }
    let path = full.split_once(":role/").map_or("", |(_, path)| path);
    path == short.trim_start_matches('/') || path.rsplit('/').next() == Some(short)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map<const N: usize>(container: &str, values: [(&str, &str); N]) -> IndexMap<String, IndexMap<String, String>> {
        let values = values.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        IndexMap::from([(container.to_owned(), values)])
    }

    fn live() -> Value {
        json!({
            "taskDefinition": {
                "taskDefinitionArn": "arn:aws:ecs:eu-west-1:1:task-definition/api:7",
                "containerDefinitions": [
                    {
                        "name": "app", "image": "r/api:1", "cpu": 0, "essential": true,
                        "environment": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
                        "secrets": [{"name": "S", "valueFrom": "arn:s"}],
                        "mountPoints": [], "futureMember": {"kept": [1.5]},
                    },
                    {"name": "log", "image": "r/log:1"},
                ],
                "family": "api", "revision": 7, "status": "ACTIVE", "volumes": [],
                "requiresAttributes": [{"name": "x"}], "compatibilities": ["EC2"],
                "registeredAt": 1.5, "registeredBy": "arn:aws:iam::1:root",
                "deregisteredAt": 1, "deleteRequestedAt": 1, "anotherFutureMember": "kept",
            },
            "tags": [],
        })
    }

    #[test]
    fn registrable_strips_read_only_fields_and_nothing_else() {
        let definition = registrable(&live());
        let members: Vec<&str> = definition.as_object().expect("an object").keys().map(String::as_str).collect();
        assert_eq!(members, ["containerDefinitions", "family", "anotherFutureMember"]);
        let mut containers = live()["taskDefinition"]["containerDefinitions"].clone();
        containers[0].as_object_mut().expect("an object").shift_remove("mountPoints");
        assert_eq!(definition["containerDefinitions"], containers);
        assert_eq!(registrable(&definition), definition);
    }

    #[test]
    fn registrable_keeps_tags_but_not_empty_or_reserved_ones() {
        let tag = |key: &str| json!({"key": key, "value": "v"});
        let tags = json!([tag("team"), tag("aws:ecs:x"), tag("roleout:commit")]);
        let described = json!({"taskDefinition": {"family": "f"}, "tags": tags});
        assert_eq!(registrable(&described), json!({"family": "f", "tags": [tag("team")]}));
        assert_eq!(registrable(&json!({"family": "f", "tags": [tag("aws:x")]})), json!({"family": "f"}));
        assert_eq!(registrable(&json!({"family": "f", "tags": null})), json!({"family": "f"}));
    }

    #[test]
    fn build_with_nothing_desired_is_the_live_definition() {
        let built = build(&live(), &Desired::default()).expect("builds");
        assert_eq!(built, registrable(&live()));
        assert!(same(&built, &live()));
    }

    #[test]
    fn build_sets_images_and_keeps_unknown_members() {
        let images = IndexMap::from([("app".to_owned(), "r/api:2".to_owned())]);
        let built = build(&live(), &Desired { images, ..Desired::default() }).expect("builds");
        assert_eq!(built["containerDefinitions"][0]["image"], "r/api:2");
        assert_eq!(built["containerDefinitions"][0]["futureMember"], json!({"kept": [1.5]}));
        assert_eq!(built["containerDefinitions"][1]["image"], "r/log:1");
        assert_eq!(built["anotherFutureMember"], "kept");
    }

    #[test]
    fn build_replaces_in_place_and_appends_what_is_new() {
        let environment = map("app", [("C", "3"), ("A", "one")]);
        let built = build(&live(), &Desired { environment, ..Desired::default() }).expect("builds");
        assert_eq!(
            built["containerDefinitions"][0]["environment"],
            json!([{"name": "A", "value": "one"}, {"name": "B", "value": "2"}, {"name": "C", "value": "3"}])
        );
    }

    #[test]
    fn build_sets_members_by_their_names_and_types() {
        let set = json!({
            "cpu": 512, "taskRoleArn": "app", "volumes": null, "runtimePlatform": { "cpuArchitecture": "ARM64" },
            "containerDefinitions": {
                "app": {
                    "memory": "1024", "essential": "false", "mountPoints": null, "portMappings": [{ "containerPort": "80" }],
                    "logConfiguration": { "options": { "mode": "non-blocking" } },
                },
                "log": null,
            },
        });
        let mut base = live()["taskDefinition"].take();
        base["volumes"] = json!([{ "name": "v" }]);
        base["runtimePlatform"] = json!({ "operatingSystemFamily": "LINUX" });
        base["containerDefinitions"][0]["logConfiguration"] =
            json!({ "logDriver": "awslogs", "options": { "a": "b" } });
        let set = set.as_object().cloned().expect("an object");
        let built = build(&base, &Desired { set: set.clone(), ..Desired::default() }).expect("builds");
        assert_eq!((&built["cpu"], &built["taskRoleArn"], built.get("volumes")), (&json!("512"), &json!("app"), None));
        let platform = json!({ "operatingSystemFamily": "LINUX", "cpuArchitecture": "ARM64" });
        assert_eq!(built["runtimePlatform"], platform);
        let containers = built["containerDefinitions"].as_array().expect("a list");
        let app = &containers[0];
        assert_eq!((containers.len(), &app["memory"], &app["essential"]), (1, &json!(1024), &json!(false)));
        assert_eq!(app["portMappings"], json!([{ "containerPort": 80 }]));
        let options = json!({ "a": "b", "mode": "non-blocking" });
        assert_eq!((&app["logConfiguration"]["options"], &app["image"]), (&options, &json!("r/api:1")));
        let images = IndexMap::from([("log".to_owned(), "r/log:2".to_owned())]);
        let error = build(&base, &Desired { set, images, ..Desired::default() }).expect_err("it is taken out");
        assert_eq!(error.to_string(), "the task definition has no container `log`; it has `app`");
    }

    #[test]
    fn build_moves_a_name_between_environment_and_secrets() {
        let desired = Desired {
            environment: map("app", [("S", "plain")]),
            secrets: map("app", [("A", "arn:a")]),
            ..Desired::default()
        };
        let built = build(&live(), &desired).expect("builds");
        let app = &built["containerDefinitions"][0];
        assert_eq!(app["environment"], json!([{"name": "B", "value": "2"}, {"name": "S", "value": "plain"}]));
        assert_eq!(app["secrets"], json!([{"name": "A", "valueFrom": "arn:a"}]));
    }

    #[test]
    fn build_leaves_one_entry_where_the_base_repeats_a_name() {
        let base = json!({"family": "f", "containerDefinitions": [{"name": "app", "environment": [
            {"name": "A", "value": "1"}, {"name": "B", "value": "2"}, {"name": "A", "value": "3"},
        ]}]});
        let environment = map("app", [("A", "new")]);
        let built = build(&base, &Desired { environment, ..Desired::default() }).expect("builds");
        assert_eq!(
            built["containerDefinitions"][0]["environment"],
            json!([{"name": "A", "value": "new"}, {"name": "B", "value": "2"}])
        );
    }

    #[test]
    fn what_says_nothing_is_neither_compared_nor_sent() {
        let mut container = json!({
            "name": "app", "image": "r/api:1", "hostname": "", "user": "", "workingDirectory": "", "secrets": [],
            "versionConsistency": "", "dockerLabels": {"user": "", "type": "", "gone": null}, "command": [null, "run", ""],
            "environment": [{"name": "A", "value": null}, {"name": "B"}, {"name": "type", "value": ""}],
            "portMappings": [{"containerPort": 80, "protocol": "HTTP", "appProtocol": ""}, null],
        });
        let mut blank = json!({"family": "f", "cpu": "", "taskRoleArn": "", "executionRoleArn": " ", "networkMode": "",
            "runtimePlatform": {"cpuArchitecture": "", "operatingSystemFamily": ""}, "pidMode": "", "ipcMode": "",
            "volumes": [null, {"name": "v", "efsVolumeConfiguration": {"fileSystemId": "fs-1", "rootDirectory": "",
                "transitEncryption": "", "authorizationConfig": {"iam": ""}}}]});
        blank["containerDefinitions"] = json!([container.take()]);
        let built = build(&blank, &Desired::default()).expect("builds");
        let sent = json!({
            "family": "f",
            "volumes": [{"name": "v", "efsVolumeConfiguration": {"fileSystemId": "fs-1"}}],
            "containerDefinitions": [{
                "name": "app", "image": "r/api:1", "dockerLabels": {"user": "", "type": ""}, "command": ["run", ""],
                "environment": [{"name": "type", "value": ""}],
                "portMappings": [{"containerPort": 80, "protocol": "tcp"}],
            }],
        });
        assert_eq!(built, sent);
        assert!(same(&blank, &sent));
    }

    #[test]
    fn what_ecs_fills_in_for_firelens_and_docker_volumes_is_no_difference() {
        let file = json!({"family": "f", "volumes": [{"name": "d", "dockerVolumeConfiguration": {"driver": "local"}}],
            "containerDefinitions": [{"name": "log", "image": "x", "firelensConfiguration": {"type": "fluentbit"}}]});
        let mut kept = file.clone();
        kept["volumes"][0]["dockerVolumeConfiguration"]["scope"] = json!("task");
        kept["containerDefinitions"][0]["user"] = json!("0");
        assert!(same(&file, &kept));
        kept["containerDefinitions"][0]["user"] = json!("1");
        assert!(!same(&file, &kept));
    }

    #[test]
    fn build_writes_sizes_as_strings() {
        let base = json!({"family": "f", "cpu": 256, "memory": 512, "containerDefinitions": [{"name": "app"}]});
        let built = build(&base, &Desired::default()).expect("builds");
        assert_eq!((&built["cpu"], &built["memory"]), (&json!("256"), &json!("512")));
    }

    #[test]
    fn build_names_missing_containers_and_the_existing_ones() {
        let images = IndexMap::from([("ap".to_owned(), "r/api:2".to_owned())]);
        let error = build(&live(), &Desired { images, ..Desired::default() }).expect_err("`ap` does not exist");
        assert_eq!(error.to_string(), "the task definition has no container `ap`; it has `app`, `log`");
    }

    #[test]
    fn build_refuses_a_name_asked_for_twice_and_a_base_without_containers() {
        let desired = Desired {
            environment: map("app", [("X", "1")]),
            secrets: map("app", [("X", "arn")]),
            ..Desired::default()
        };
        let error = build(&live(), &desired).expect_err("ambiguous");
        assert_eq!(error, BuildError::Ambiguous { container: "app".into(), name: "X".into() });
        for base in [json!({}), json!([]), json!({"containerDefinitions": []})] {
            assert_eq!(build(&base, &Desired::default()), Err(BuildError::NoContainers), "{base}");
        }
    }

    #[test]
    fn a_role_by_name_is_the_role_by_arn() {
        let role = |text: &str| json!({"family": "f", "taskRoleArn": text});
        assert!(same(&role("app"), &role("arn:aws:iam::1:role/app")));
        assert!(same(&role("arn:aws:iam::1:role/team/app"), &role("app")));
        assert!(same(&role("/team/app"), &role("arn:aws:iam::1:role/team/app")));
        assert!(!same(&role("app"), &role("arn:aws:iam::1:role/other")));
        assert!(!same(&role("arn:aws:iam::2:role/app"), &role("arn:aws:iam::1:role/app")));
    }
}
