//! What must hold of every task definition, tried on generated ones.
//!
//! What ECS fills in is written here a second time, from facts and not from `normalise`, so that the two check each
//! other.

use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Map, Value, json};

use crate::fleet::Desired;
use crate::task_definition::compose::{build, same};
use crate::task_definition::normalise::{normalise, registrable};
use crate::task_definition::summary::summary;

type Member = BoxedStrategy<Option<(String, Value)>>;

/// A member that may be absent.
fn maybe(name: &'static str, value: impl Strategy<Value = Value> + 'static) -> Member {
    option::of(value).prop_map(move |value| Some((name.to_owned(), value?))).boxed()
}

/// A member that is always there.
fn always(name: &'static str, value: impl Strategy<Value = Value> + 'static) -> Member {
    value.prop_map(move |value| Some((name.to_owned(), value))).boxed()
}

fn object(members: Vec<Member>) -> impl Strategy<Value = Value> {
    members.prop_map(|members| Value::Object(members.into_iter().flatten().collect()))
}

/// A list of up to three entries that differ in `key`.
fn list(key: &'static str, entry: impl Strategy<Value = Value> + 'static) -> impl Strategy<Value = Value> {
    prop::collection::vec(entry, 0..4).prop_map(move |mut entries| {
        for (number, entry) in entries.iter_mut().enumerate() {
            entry[key] = match &entry[key] {
                Value::Number(value) => json!(value.as_u64().expect("generated") + 1000 * number as u64),
                value => json!(format!("{}{number}", value.as_str().expect("generated"))),
            };
        }
        Value::Array(entries)
    })
}

fn word() -> impl Strategy<Value = Value> {
    "[a-z]{1,6}".prop_map(Value::from)
}

fn words() -> impl Strategy<Value = Value> {
    prop::collection::vec("[a-z]{1,6}", 0..3).prop_map(Value::from)
}

fn switch() -> impl Strategy<Value = Value> {
    any::<bool>().prop_map(Value::from)
}

fn number() -> impl Strategy<Value = Value> {
    (1u64..1000).prop_map(Value::from)
}

fn one_of(values: &'static [&'static str]) -> impl Strategy<Value = Value> {
    select(values).prop_map(Value::from)
}

/// Values of variables are recognisable wherever they turn up.
fn marker() -> impl Strategy<Value = Value> {
    "[a-z0-9]{4}".prop_map(|text| json!(format!("MARKER{text}")))
}

fn port(mode: &'static str) -> impl Strategy<Value = Value> {
    let members = vec![
        always("containerPort", number()),
        maybe("protocol", one_of(&["tcp", "udp"])),
        maybe("name", word()),
        maybe("appProtocol", one_of(&["http", "grpc"])),
        maybe("hostPort", if mode == "bridge" { (0u64..100).boxed() } else { Just(0).boxed() }.prop_map(Value::from)),
    ];
    object(members)
}

fn container(mode: &'static str) -> impl Strategy<Value = Value> {
    let health = vec![
        always("command", Just(json!(["CMD", "true"]))),
        maybe("interval", number()),
        maybe("timeout", number()),
        maybe("retries", number()),
        maybe("startPeriod", number()),
    ];
    let log = vec![
        always("logDriver", word()),
        maybe("options", prop::collection::hash_map("[a-z]{3}", "[a-z]{3}", 0..3).prop_map(|map| json!(map))),
        maybe("secretOptions", list("name", object(vec![always("name", word()), always("valueFrom", word())]))),
    ];
    let linux = vec![maybe("capabilities", object(vec![maybe("add", words()), maybe("drop", words())]))];
    object(vec![
        always("name", word()),
        always("image", word()),
        maybe("cpu", (0u64..100).prop_map(Value::from)),
        maybe("memory", number()),
        maybe("essential", switch()),
        maybe("command", words()),
        maybe("entryPoint", words()),
        maybe("portMappings", list("containerPort", port(mode))),
        maybe("environment", list("name", object(vec![always("name", Just(json!("E"))), always("value", marker())]))),
        maybe("secrets", list("name", object(vec![always("name", Just(json!("S"))), always("valueFrom", word())]))),
        maybe(
            "mountPoints",
            list(
                "containerPath",
                object(vec![
                    always("containerPath", word()),
                    always("sourceVolume", word()),
                    maybe("readOnly", switch()),
                ]),
            ),
        ),
        maybe("volumesFrom", list("sourceContainer", object(vec![always("sourceContainer", word())]))),
        maybe("dependsOn", list("containerName", object(vec![always("containerName", word())]))),
        maybe(
            "ulimits",
            list(
                "name",
                object(vec![always("name", word()), always("softLimit", number()), always("hardLimit", number())]),
            ),
        ),
        maybe("healthCheck", object(health)),
        maybe("logConfiguration", object(log)),
        maybe("linuxParameters", object(linux)),
        maybe("privileged", switch()),
        maybe("user", word()),
        maybe("workingDirectory", word()),
        maybe("startTimeout", number()),
        maybe("stopTimeout", number()),
        maybe("readonlyRootFilesystem", switch()),
        maybe("interactive", switch()),
        maybe("dnsServers", words()),
        maybe("dockerLabels", prop::collection::hash_map("[a-z]{3}", "[a-z]{3}", 0..3).prop_map(|map| json!(map))),
        maybe("memberOfTheFuture", object(vec![always("setting", word()), maybe("count", number())])),
    ])
}

pub(crate) fn definition() -> impl Strategy<Value = Value> {
    select(&["awsvpc", "host", "bridge"][..]).prop_flat_map(|mode| {
        let volume = vec![
            always("name", word()),
            maybe(
                "efsVolumeConfiguration",
                object(vec![always("fileSystemId", word()), maybe("rootDirectory", one_of(&["/", "/data"]))]),
            ),
        ];
        let containers = list("name", container(mode))
            .prop_filter("a definition has containers", |list| list.as_array().is_some_and(|list| !list.is_empty()));
        let network = if mode == "bridge" {
            maybe("networkMode", Just(json!(mode)))
        } else {
            always("networkMode", Just(json!(mode)))
        };
        object(vec![
            always("family", word()),
            network,
            always("containerDefinitions", containers),
            maybe("cpu", one_of(&["256", ".25 vCPU", "1024", "1 vCPU", "2vcpu"])),
            maybe("memory", one_of(&["512", "0.5 GB", "1 GB", "2GB"])),
            maybe("taskRoleArn", one_of(&["app", "arn:aws:iam::111111111111:role/app"])),
            maybe("executionRoleArn", one_of(&["arn:aws:iam::111111111111:role/team/exec"])),
            maybe("volumes", list("name", object(volume))),
            maybe(
                "placementConstraints",
                list("expression", object(vec![always("type", word()), always("expression", word())])),
            ),
            maybe("requiresCompatibilities", Just(json!(["EC2", "FARGATE"]))),
            maybe("pidMode", one_of(&["host", "task"])),
            maybe("enableFaultInjection", switch()),
            maybe("tags", list("key", object(vec![always("key", word()), always("value", word())]))),
            maybe("settingOfTheFuture", word()),
        ])
    })
}

/// Re-orders what ECS may re-order, in a way that depends on the seed.
pub(crate) fn shuffle(value: &mut Value, seed: &mut u64) {
    let unordered = [
        "containerDefinitions",
        "environment",
        "secrets",
        "secretOptions",
        "portMappings",
        "mountPoints",
        "volumesFrom",
        "ulimits",
        "volumes",
        "placementConstraints",
        "requiresCompatibilities",
        "add",
        "drop",
    ];
    match value {
        Value::Object(members) => {
            let mut entries: Vec<(String, Value)> = std::mem::take(members).into_iter().collect();
            mix(&mut entries, seed);
            for (member, mut value) in entries {
                shuffle(&mut value, seed);
                if let Some(items) = value.as_array_mut().filter(|_| unordered.contains(&member.as_str())) {
                    mix(items, seed);
                }
                members.insert(member, value);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| shuffle(item, seed)),
        _ => {}
    }
}

fn mix<T>(items: &mut [T], seed: &mut u64) {
    for last in (1..items.len()).rev() {
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        items.swap(last, (*seed >> 33) as usize % (last + 1));
    }
}

/// What DescribeTaskDefinition answers after a definition was registered (facts, section 2.2).
pub(crate) fn as_aws_gives_it_back(registered: &Value) -> Value {
    fn set(object: &mut Value, member: &str, value: Value) {
        if object.get(member).is_none() {
            object[member] = value;
        }
    }
    let mut definition = registered.clone();
    let tags = definition.as_object_mut().expect("generated").remove("tags").unwrap_or(json!([]));
    for list in ["volumes", "placementConstraints"] {
        set(&mut definition, list, json!([]));
    }
    for (size, digits) in [
        (".25 vCPU", "256"),
        ("1 vCPU", "1024"),
        ("2vcpu", "2048"),
        ("0.5 GB", "512"),
        ("1 GB", "1024"),
        ("2GB", "2048"),
    ] {
        for member in ["cpu", "memory"] {
            if definition.get(member).is_some_and(|value| value == size) {
                definition[member] = json!(digits);
            }
        }
    }
    if definition.get("taskRoleArn").is_some_and(|role| role == "app") {
        definition["taskRoleArn"] = json!("arn:aws:iam::111111111111:role/app");
    }
    for volume in definition["volumes"].as_array_mut().expect("set") {
        if let Some(files) = volume.get_mut("efsVolumeConfiguration") {
            set(files, "rootDirectory", json!("/"));
        } else {
            set(volume, "host", json!({}));
        }
    }
    let own_ports = matches!(definition.get("networkMode").and_then(Value::as_str), Some("awsvpc" | "host"));
    for container in definition["containerDefinitions"].as_array_mut().expect("generated") {
        for list in ["environment", "mountPoints", "volumesFrom", "portMappings", "systemControls"] {
            set(container, list, json!([]));
        }
        set(container, "cpu", json!(0));
        set(container, "essential", json!(true));
        for mapping in container["portMappings"].as_array_mut().expect("set") {
            set(mapping, "protocol", json!("tcp"));
            set(mapping, "hostPort", json!(0));
            if own_ports {
                mapping["hostPort"] = mapping["containerPort"].clone();
            }
        }
        if let Some(health) = container.get_mut("healthCheck") {
            set(health, "interval", json!(30));
            set(health, "timeout", json!(5));
            set(health, "retries", json!(3));
        }
    }
    definition["taskDefinitionArn"] = json!("arn:aws:ecs:eu-west-1:111111111111:task-definition/f:3");
    definition["revision"] = json!(3);
    definition["status"] = json!("ACTIVE");
    definition["compatibilities"] = json!(["EC2"]);
    definition["registeredAt"] = json!(1_700_000_000.25);
    json!({"taskDefinition": definition, "tags": tags})
}

/// Every number, string and switch of a definition, by its path; tags are no part of the comparison.
pub(crate) fn leaves(value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (member, value) in members.iter().filter(|(member, _)| *member != "tags") {
                leaves(value, &format!("{path}/{member}"), found);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                leaves(item, &format!("{path}/{index}"), found);
            }
        }
        _ => found.push(path.to_owned()),
    }
}

/// Returns a copy in which the value at the path is another.
pub(crate) fn changed(definition: &Value, path: &str) -> Value {
    let mut definition = definition.clone();
    let leaf = definition.pointer_mut(path).expect("a path of this definition");
    *leaf = match &*leaf {
        Value::String(text) => json!(format!("{text}x")),
        Value::Number(number) => json!(number.as_u64().expect("generated") + 1),
        Value::Bool(switch) => json!(!switch),
        other => unreachable!("{other} is no leaf"),
    };
    definition
}

/// Returns the words that a line about the value at the path has to have.
fn mention(definition: &Value, path: &str) -> Vec<String> {
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    let named = |length: usize| {
        let entry = definition.pointer(&format!("/{}", parts[..length].join("/"))).expect("a prefix of the path");
        entry["name"].as_str().expect("has a name").to_owned()
    };
    match parts[..] {
        ["containerDefinitions", _, "name"] => vec![format!("container {} removed", named(2))],
        ["containerDefinitions", _, "environment", ..] => vec![format!("{}: environment {} ", named(2), named(4))],
        ["containerDefinitions", _, "secrets", ..] => vec![format!("{}: secret {} ", named(2), named(4))],
        ["containerDefinitions", _, member, ..] => vec![format!("{}: {member}", named(2))],
        [member, ..] => vec![member.to_owned()],
        [] => vec![],
    }
}

proptest! {
    #[test]
    fn what_aws_gives_back_is_what_was_registered(declared in definition(), mut seed in any::<u64>()) {
        let mut shuffled = declared.clone();
        shuffle(&mut shuffled, &mut seed);
        let described = as_aws_gives_it_back(&shuffled);
        prop_assert!(same(&declared, &described), "{:#?}", summary(&described, &declared));
        prop_assert!(summary(&described, &declared).is_empty());
    }

    #[test]
    fn any_changed_value_is_seen_and_named(declared in definition(), mut seed in any::<u64>(), index in any::<Index>()) {
        let mut paths = Vec::new();
        leaves(&declared, "", &mut paths);
        let path = index.get(&paths);
        let mut live = declared.clone();
        shuffle(&mut live, &mut seed);
        let live = as_aws_gives_it_back(&live);
        let wanted = changed(&declared, path);
        prop_assert!(!same(&wanted, &live), "{path}");
        let lines = summary(&live, &wanted);
        for words in mention(&declared, path) {
            prop_assert!(lines.iter().any(|line| line.contains(&words)), "`{words}` of {path} in {lines:#?}");
        }
    }

    #[test]
    fn no_value_of_a_variable_is_ever_shown(live in definition(), wanted in definition()) {
        prop_assert!(!summary(&live, &wanted).join("\n").contains("MARKER"));
    }

    #[test]
    fn a_line_is_written_if_and_only_if_something_differs(live in definition(), wanted in definition()) {
        prop_assert_eq!(same(&wanted, &live), summary(&live, &wanted).is_empty());
        prop_assert_eq!(same(&wanted, &live), same(&live, &wanted));
    }

    #[test]
    fn the_canonical_form_is_its_own(declared in definition()) {
        let once = normalise(&declared);
        prop_assert_eq!(normalise(&once).to_string(), once.to_string());
    }

    #[test]
    fn nothing_desired_builds_the_live_definition(declared in definition()) {
        let live = as_aws_gives_it_back(&declared);
        let built = build(&live, &Desired::default()).expect("has containers");
        prop_assert_eq!(&built, &registrable(&live));
        prop_assert!(same(&built, &live));
    }

    #[test]
    fn what_is_desired_is_built_and_nothing_else_moves(declared in definition(), value in "[a-z]{1,9}") {
        let name = declared["containerDefinitions"][0]["name"].as_str().expect("generated").to_owned();
        let one = |member: &str| [(member.to_owned(), value.clone())].into_iter().collect();
        let desired = Desired {
            images: one(&name),
            environment: [(name.clone(), one("S0"))].into_iter().collect(),
            secrets: [(name.clone(), one("E0"))].into_iter().collect(),
            ..Desired::default()
        };
        let built = build(&declared, &desired).expect("has the container");
        let container = &built["containerDefinitions"][0];
        let entries = |list: &str| container[list].as_array().expect("set").clone();
        prop_assert_eq!(&container["image"], &json!(value));
        let (variable, secret) = (json!({"name": "S0", "value": value}), json!({"name": "E0", "valueFrom": value}));
        prop_assert!(entries("environment").contains(&variable));
        prop_assert!(entries("secrets").contains(&secret));
        prop_assert!(entries("environment").iter().all(|entry| entry["name"] != "E0"));
        prop_assert!(entries("secrets").iter().all(|entry| entry["name"] != "S0"));
        let rest = |definition: &Value| {
            let mut definition = registrable(definition);
            for member in ["image", "environment", "secrets"] {
                definition["containerDefinitions"][0].as_object_mut().map(|members: &mut Map<_, _>| members.remove(member));
            }
            definition
        };
        prop_assert_eq!(rest(&built), rest(&declared));
    }
}
