//! The example manifest loads, gives the targets that its comments promise, and its schema is the current one.

use std::path::Path;

use roleout::fleet::{Fleet, IdentitySource};
use roleout::manifest::load::load;
use roleout::manifest::schema::schema;

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy.yaml.example");
const SCHEMA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/deploy.schema.json");

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
fn the_schema_in_the_repository_is_the_current_one() {
    let current = format!("{}\n", serde_json::to_string_pretty(&schema()).expect("a schema is JSON"));
    if std::env::var_os("ROLEOUT_BLESS").is_some() {
        fs_err::write(SCHEMA, &current).expect("the schema is written");
    }
    let stored = fs_err::read_to_string(SCHEMA).expect("docs/deploy.schema.json is there");
    assert!(stored == current, "docs/deploy.schema.json is out of date: run with ROLEOUT_BLESS=1");
}
