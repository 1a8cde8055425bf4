//! The example manifest loads, gives the targets that its comments promise, and its schema is the current one.

use std::path::Path;

use roleout::fleet::{Fleet, IdentitySource, Parallelism};
use roleout::manifest::load::load;
use roleout::manifest::schema::{included, schema};

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy.yaml.example");
const SCHEMA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/deploy.schema.json");
const INCLUDED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/included.schema.json");

fn job(name: &str) -> Option<String> {
    let value = match name {
        "CI_PROJECT_ID" => "42",
        "CI_PIPELINE_ID" => "1001",
        "CI_JOB_ID" => "7",
        "CI_COMMIT_SHA" => "0123abc",
        _ => return None,
    };
    Some(value.to_owned())
}

fn example() -> Fleet {
    load(Path::new(EXAMPLE), &job).unwrap_or_else(|error| panic!("{}", error.render(false, 100)))
}

#[test]
fn the_example_gives_the_targets_that_it_promises() {
    let fleet = example();
    let ids: Vec<String> = fleet.targets.iter().map(|target| target.id.to_string()).collect();
    insta::assert_snapshot!(ids.join("\n"), @r"
    staging/eu-west-1/web
    staging/eu-west-1/api
    staging/eu-west-1/reports
    prod-nl/eu-west-1/web
    prod-nl/eu-west-1/api
    prod-eu/eu-west-1/web
    prod-eu/eu-west-1/api
    prod-eu/eu-west-1/reports
    prod-eu/eu-central-1/web
    prod-eu/eu-central-1/api
    prod-us/us-east-1/web
    prod-us/us-east-1/api
    prod-us/us-west-2/web
    prod-us/us-west-2/api
    prod-apac/ap-northeast-2/web
    prod-apac/ap-northeast-2/api
    prod-apac/ap-southeast-1/web
    prod-apac/ap-southeast-1/api
    tools/eu-west-1/reports
    ");
    assert_eq!(fleet.warnings, Vec::<String>::new());
    assert_eq!(fleet.accounts.len(), 6);
    assert_eq!(fleet.identity.source, IdentitySource::TokenEnv("GITLAB_OIDC_TOKEN".to_owned()));
    assert_eq!(fleet.identity.session_name, "gl-42-1001-7");
}

/// Editors read the schema from the repository. `ROLEOUT_BLESS=1 cargo test --test manifest_example` writes it anew.
#[test]
fn the_schemas_in_the_repository_are_the_current_ones() {
    for (path, schema) in [(SCHEMA, schema()), (INCLUDED, included())] {
        let current = format!("{}\n", serde_json::to_string_pretty(&schema).expect("a schema is JSON"));
        if std::env::var_os("ROLEOUT_BLESS").is_some() {
            fs_err::write(path, &current).expect("the schema is written");
        }
        let stored = fs_err::read_to_string(path).expect("the schema is there");
        assert!(stored == current, "{path} is out of date: run with ROLEOUT_BLESS=1");
    }
}

#[test]
fn an_included_file_has_a_schema_of_its_own() {
    let validator = jsonschema::validator_for(&included()).expect("a JSON Schema");
    let is_valid = |text: &str| validator.is_valid(&serde_yaml::from_str::<serde_json::Value>(text).expect("YAML"));
    let accounts = "accounts: [ { name: a, id: \"111111111111\", chain: [hub], regions: [eu-west-1] } ]";
    assert!(is_valid(accounts) && is_valid("x-common: { a: b }") && is_valid("services: [ { name: a, cluster: b } ]"));
    assert!(is_valid("roles: { hub: { arn: \"arn:aws:iam::111111111111:role/hub\" } }"));
    for wrong in ["version: 1", "rollout: { timeout: 5m }", "include: a.yaml", "accounts: [ { nmae: a } ]"] {
        assert!(!is_valid(wrong), "{wrong} is accepted");
    }
}

#[test]
fn the_example_is_valid_by_the_schema() {
    let validator = jsonschema::validator_for(&schema()).expect("a JSON Schema");
    let text = fs_err::read_to_string(EXAMPLE).expect("the example is there");
    let example: serde_json::Value = serde_yaml::from_str(&text).expect("YAML");
    let faults: Vec<String> = validator.iter_errors(&example).map(|error| error.to_string()).collect();
    assert_eq!(faults, Vec::<String>::new());
}

#[test]
fn the_schema_refuses_what_an_editor_should_underline() {
    let validator = jsonschema::validator_for(&schema()).expect("a JSON Schema");
    let text = fs_err::read_to_string(EXAMPLE).expect("the example is there");
    for (from, to) in [
        ("regions: [eu-west-1]", "regoins: [eu-west-1]"),
        ("regions: [eu-west-1]", "regions: eu-west-1"),
        ("id: \"222222222222\"", "id: 222222222222"),
        ("version: 1", "version: 2"),
        ("name: canary", "name: the canary"),
        ("bake: 3m", "bake: soon"),
        ("max_parallel: [1, 50%]", "max_parallel: []"),
        ("enable: true", "enable: \"yes\""),
    ] {
        assert!(text.contains(from), "the example has no `{from}`");
        let wrong: serde_json::Value = serde_yaml::from_str(&text.replacen(from, to, 1)).expect("YAML");
        assert!(!validator.is_valid(&wrong), "{to} is accepted");
    }
}

/// Every key that the manifest knows says what it is for.
#[test]
fn every_key_in_the_schema_has_a_description() {
    fn walk(path: &str, schema: &serde_json::Value) {
        for (key, value) in schema["properties"].as_object().into_iter().flatten() {
            let reference = key == "not" && path.ends_with("Selector");
            assert!(value.get("description").is_some() || reference, "{path}.{key} has no description");
        }
    }
    let schema = schema();
    walk("manifest", &schema);
    for (name, definition) in schema["$defs"].as_object().expect("definitions") {
        walk(name, definition);
        assert!(definition.get("description").is_some(), "{name} has no description");
    }
}

/// The sandbox needs about three seconds a target, and a person waits for it.
#[test]
fn the_example_is_done_within_twenty_seconds_in_the_sandbox() {
    let fleet = example();
    let mut seconds = 0;
    for wave in &fleet.waves {
        let total = wave.targets.len();
        let mut left = total;
        let mut batches = match &wave.max_parallel {
            Parallelism::Window(amount) => vec![*amount],
            Parallelism::Batches(batches) => batches.clone(),
        }
        .into_iter();
        let mut size = total;
        while left > 0 {
            size = batches.next().map_or(size, |amount| amount.out_of(total).max(1));
            left = left.saturating_sub(size);
            seconds += 3;
        }
        // In the sandbox a minute of bake takes a second.
        seconds += wave.bake.as_secs() / 60;
    }
    assert!(seconds < 20, "{seconds} s");
}
