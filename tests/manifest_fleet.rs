//! What a manifest means: the fleet that it resolves to, and selections of it.

#[path = "manifest/include.rs"]
mod include;

use std::path::Path;
use std::time::Duration;

use roleout::base::document::Document;
use roleout::fleet::{Amount, Base, Fleet, IdentitySource, Parallelism, SelectError, TargetSpec};
use roleout::manifest::load::load_str;
use serde_json::json;

/// Two accounts, three regions, two services: every key that has a meaning of its own.
const MANIFEST: &str = r#"
version: 1
identity: { token_file: ./token.jwt, session_name: "deploy-${SHA}" }
roles:
  hub: { arn: "arn:aws:iam::111111111111:role/hub", duration: 12h }
  deployer:
    arn: "arn:aws:iam::${account.id}:role/${account.name}/deployer"
    external_id: "${vars.external:-none}"
    tags: { account: "${account.name}", build: 1.10 }
    transitive_tags: [account]
    source_identity: gitlab
    policy:
      Version: "2012-10-17"
      Statement: [{ Effect: Allow, Action: "ecs:*", Resource: "arn:aws:ecs:*:${account.id}:*/$${aws:username}" }]
    policy_arns: ["arn:aws:iam::aws:policy/ReadOnlyAccess"]
    duration: 3600
accounts:
  - name: staging
    id: "022222222222"
    chain: [hub, deployer]
    regions: [eu-west-1]
    labels: { env: staging, tier: 1 }
    vars: { external: abc, count: 1, level: debug }
  - name: prod
    id: "333333333333"
    chain: [hub, deployer]
    regions: [us-east-1, eu-west-1]
    labels: { env: prod, tier: 2 }
    vars: { count: 4, level: info }
  - { name: old, id: "444444444444", chain: [hub, deployer], regions: [eu-west-1], labels: { env: prod }, enabled: false }
services:
  - name: api
    cluster: "web-${account.name}"
    service: "${service.name}-${region}"
    images: { app: "api:${SHA}", log: "log:1" }
    environment: { app: { LEVEL: "${vars.level}", PORT: 8080, DEBUG: false, PRICE: "$5", INJECTED: "${TWO_LINES}" } }
    secrets: { app: { DB: "arn:aws:ssm:${region}:${account.id}:parameter/db" } }
    desired_count: "${vars.count}"
    deployment:
      circuit_breaker: { enable: true, rollback: true, threshold: { type: COUNT, value: 3 } }
      minimum_healthy_percent: 100
      maximum_percent: 200
      alarms: { alarm_names: ["${service.name}-5xx"], enable: true, rollback: false }
    overrides:
      - select: { env: staging }
        images: { app: "api:dev" }
        environment: { app: { LEVEL: trace }, log: { ON: "1" } }
        deployment: { minimum_healthy_percent: 0 }
      - select: { env: staging }
        desired_count: 2
        deployment: { alarms: { alarm_names: [], enable: false, rollback: false } }
  - name: worker
    cluster: batch
    select: { env: prod, not: { region: eu-west-1 } }
    task_definition: described.json
rollout:
  timeout: 1h30m
  max_parallel: 50%
  max_failures: 10%
  strict: true
  waves:
    - { name: canary, select: { tier: 1 }, bake: 90, max_parallel: [1, 25%], gate: manual }
    - { name: rest, max_failures: 2, max_parallel_per_account: 1, strict: false }
"#;

fn variables(name: &str) -> Option<String> {
    let value = match name {
        "SHA" => "0123abc",
        "AWS_REGION" => "eu-north-1",
        "TWO_LINES" => "a\nb: ${region}",
        _ => return None,
    };
    Some(value.to_owned())
}

fn load(text: &str) -> Fleet {
    load_str("deploy.yaml", Path::new("tests/manifest"), text, &variables)
        .unwrap_or_else(|error| panic!("{}", error.render(false, 100)))
}

fn ids(fleet: &Fleet) -> Vec<String> {
    fleet.targets.iter().map(|target| target.id.to_string()).collect()
}

fn target<'a>(fleet: &'a Fleet, id: &str) -> &'a TargetSpec {
    fleet.targets.iter().find(|target| target.id.to_string() == id).unwrap_or_else(|| panic!("no target {id}"))
}

#[test]
fn targets_are_in_the_order_of_account_region_and_service() {
    let fleet = load(MANIFEST);
    let expected = ["staging/eu-west-1/api", "prod/us-east-1/api", "prod/us-east-1/worker", "prod/eu-west-1/api"];
    assert_eq!(ids(&fleet), expected);
    let [warning] = fleet.warnings.as_slice() else { panic!("{:?}", fleet.warnings) };
    assert!(warning.contains("`aFieldOfTomorrow` of container `app` is not known to AWS's model"), "{warning}");
    let accounts: Vec<&str> = fleet.accounts.iter().map(|account| account.name.as_str()).collect();
    assert_eq!(accounts, ["staging", "prod"], "a disabled account is left out");
    assert_eq!(fleet.accounts[1].regions, ["us-east-1", "eu-west-1"]);
    assert_eq!(fleet.accounts[0].labels["tier"], "1");
}

#[test]
fn identity_has_its_defaults_and_its_paths() {
    let identity = load(MANIFEST).identity;
    assert_eq!(identity.source, IdentitySource::TokenFile("tests/manifest/token.jwt".into()));
    assert_eq!((identity.region.as_str(), identity.session_name.as_str()), ("eu-north-1", "deploy-0123abc"));

    let without = MANIFEST.replace("identity: { token_file: ./token.jwt, session_name: \"deploy-${SHA}\" }", "");
    let identity = load(&without).identity;
    assert_eq!(identity.source, IdentitySource::TokenEnv("GITLAB_OIDC_TOKEN".to_owned()));
    assert_eq!(identity.session_name, "roleout");

    let ambient = MANIFEST.replace("token_file: ./token.jwt", "ambient: true").replace("duration: 12h", "duration: 1h");
    assert_eq!(load(&ambient).identity.source, IdentitySource::Ambient);
}

#[test]
fn an_account_has_the_environment_that_gitlab_shows() {
    assert!(load(MANIFEST).environments.is_empty(), "only who asks for it");
    let gitlab =
        "gitlab: { deployments: { environment: \"${vars.level}/${account.name}-${account.id}\" } }\nrollout:\n";
    let environments = load(&MANIFEST.replace("rollout:\n", gitlab)).environments;
    let expected = [("prod", "info/prod-333333333333"), ("staging", "debug/staging-022222222222")];
    assert_eq!(environments, expected.map(|(account, name)| (account.to_owned(), name.to_owned())).into());
}

#[test]
fn a_chain_is_resolved_for_its_account() {
    let fleet = load(MANIFEST);
    let [hub, deployer] = &fleet.accounts[0].chain.hops[..] else { panic!("two hops") };
    assert_eq!((hub.role.as_str(), hub.duration), ("hub", Some(Duration::from_secs(12 * 3600))));
    assert_eq!(deployer.arn.as_str(), "arn:aws:iam::022222222222:role/staging/deployer");
    assert_eq!(deployer.external_id.as_deref(), Some("abc"));
    assert_eq!(deployer.tags["build"], "1.10", "a number is its own text");
    assert_eq!(deployer.tags["account"], "staging");
    assert_eq!(deployer.transitive_tags, ["account"]);
    assert_eq!(deployer.source_identity.as_deref(), Some("gitlab"));
    assert_eq!(deployer.duration, Some(Duration::from_secs(3600)));
    let policy: serde_json::Value = serde_json::from_str(deployer.policy.as_deref().expect("a policy")).expect("JSON");
    assert_eq!(policy["Statement"][0]["Resource"], "arn:aws:ecs:*:022222222222:*/${aws:username}");
    assert_eq!(
        fleet.accounts[1].chain.hops[1].external_id.as_deref(),
        Some("none"),
        "a default for want of the variable"
    );
}

#[test]
fn a_target_has_its_names_put_in() {
    let fleet = load(MANIFEST);
    let prod = target(&fleet, "prod/us-east-1/api");
    assert_eq!((prod.cluster.as_str(), prod.service.as_str()), ("web-prod", "api-us-east-1"));
    assert_eq!(prod.timeout, Duration::from_secs(5400));
    assert_eq!(prod.desired.images["app"], "api:0123abc");
    assert_eq!(prod.desired.desired_count, Some(4));
    let app: Vec<(&str, &str)> =
        prod.desired.environment["app"].iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let injected = ("INJECTED", "a\nb: ${region}");
    assert_eq!(app, [("LEVEL", "info"), ("PORT", "8080"), ("DEBUG", "false"), ("PRICE", "$5"), injected]);
    assert_eq!(prod.desired.secrets["app"]["DB"], "arn:aws:ssm:us-east-1:333333333333:parameter/db");
    let deployment = json!({
        "deploymentCircuitBreaker": {
            "enable": true, "rollback": true, "thresholdConfiguration": { "type": "COUNT", "value": 3 }
        },
        "minimumHealthyPercent": 100,
        "maximumPercent": 200,
        "alarms": { "alarmNames": ["api-5xx"], "enable": true, "rollback": false }
    });
    assert_eq!(prod.desired.deployment.as_ref(), Some(&deployment));
}

#[test]
fn overrides_are_merged_in_order() {
    let fleet = load(MANIFEST);
    let staging = &target(&fleet, "staging/eu-west-1/api").desired;
    assert_eq!((staging.images["app"].as_str(), staging.images["log"].as_str()), ("api:dev", "log:1"));
    assert_eq!(
        (staging.environment["app"]["LEVEL"].as_str(), staging.environment["log"]["ON"].as_str()),
        ("trace", "1")
    );
    assert_eq!(staging.environment["app"]["PORT"], "8080");
    assert_eq!(staging.desired_count, Some(2));
    let deployment = staging.deployment.as_ref().expect("settings");
    assert_eq!(deployment["minimumHealthyPercent"], 0);
    assert_eq!(deployment["maximumPercent"], 200, "settings that an override does not name stay");
    assert_eq!(deployment["alarms"]["alarmNames"], json!([]));
}

/// The task definition file of a target.
fn file(fleet: &Fleet, id: &str) -> Document {
    match &target(fleet, id).desired.task_definition {
        Base::File(definition) => definition.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_existing_revision_is_named_by_the_targets_own_names() {
    let named = r#"task_definition: { family: "w-${account.name}", revision: "${REVISION:-12}" }"#;
    let text = MANIFEST.replace("task_definition: described.json", named);
    let fleet = load(&text);
    let base = &target(&fleet, "prod/us-east-1/worker").desired.task_definition;
    assert_eq!(*base, Base::Revision { family: "w-prod".to_owned(), number: Some(12) });
    let fleet = load(&text.replace(r#", revision: "${REVISION:-12}""#, ""));
    let base = &target(&fleet, "prod/us-east-1/worker").desired.task_definition;
    assert_eq!(*base, Base::Revision { family: "w-prod".to_owned(), number: None });
}

#[test]
fn the_commit_comes_from_the_job_and_tags_can_be_turned_off() {
    let fleet = load(MANIFEST);
    assert!(fleet.release.tag_revisions && !fleet.release.allow_older);
    let fleet = load(&MANIFEST.replace("rollout:\n", "rollout:\n  tag_revisions: false\n"));
    assert!(!fleet.release.tag_revisions);
}

#[test]
fn a_described_task_definition_is_unwrapped_and_its_own_dollars_stay() {
    let fleet = load(MANIFEST);
    let definition = file(&fleet, "prod/us-east-1/worker").value();
    assert_eq!(definition["family"], "api");
    assert_eq!(definition["revision"], 7, "read-only fields are left for the plan to strip");
    assert_eq!(definition["containerDefinitions"][0]["aFieldOfTomorrow"], true);
    assert_eq!(definition["containerDefinitions"][0]["command"][2], "echo $$ ${HOME}");
    assert_eq!(definition["tags"], json!([{ "key": "team", "value": "prod" }]));
}

#[test]
fn waves_take_the_defaults_of_the_rollout() {
    let fleet = load(MANIFEST);
    let [canary, rest] = &fleet.waves[..] else { panic!("two waves") };
    assert_eq!((canary.targets.as_slice(), rest.targets.as_slice()), (&[0][..], &[1, 2, 3][..]));
    assert_eq!(canary.max_parallel, Parallelism::Batches(vec![Amount::Count(1), Amount::Percent(25)]));
    assert_eq!(rest.max_parallel, Parallelism::Window(Amount::Percent(50)));
    assert_eq!((canary.max_failures, rest.max_failures), (Amount::Percent(10), Amount::Count(2)));
    assert_eq!((canary.strict, rest.strict), (true, false));
    assert_eq!((canary.gate, rest.gate), (true, false));
    assert_eq!((canary.bake, rest.bake), (Duration::from_secs(90), Duration::ZERO));
    assert_eq!((canary.max_parallel_per_account, rest.max_parallel_per_account), (None, Some(1)));
}

#[test]
fn without_a_rollout_there_is_one_wave() {
    let fleet = load(MANIFEST.split("rollout:").next().expect("a first part"));
    let [all] = &fleet.waves[..] else { panic!("one wave") };
    assert_eq!((all.name.as_str(), all.targets.len(), all.gate), ("all", 4, false));
    assert_eq!(all.max_parallel, Parallelism::Window(Amount::Percent(100)));
    assert_eq!((all.max_failures, all.bake), (Amount::Count(0), Duration::ZERO));
    assert_eq!(fleet.targets[0].timeout, Duration::from_secs(1200));
}

#[test]
fn anchors_and_merge_keys_work() {
    let text = MANIFEST
        .replace(
            "    vars: { external: abc, count: 1, level: debug }",
            "    vars: &vars { external: abc, count: 1, level: debug }",
        )
        .replace("    vars: { count: 4, level: info }", "    vars: { <<: *vars, count: 4 }");
    let fleet = load(&text);
    let prod = &target(&fleet, "prod/us-east-1/api").desired;
    assert_eq!((prod.desired_count, prod.environment["app"]["LEVEL"].as_str()), (Some(4), "debug"));
}

#[test]
fn targets_share_a_task_definition_that_is_the_same_for_all() {
    let text = MANIFEST
        .replace("select: { env: prod, not: { region: eu-west-1 } }", "select: { env: prod }")
        .replace("described.json", "plain.json");
    let fleet = load(&text);
    let shared = (file(&fleet, "prod/us-east-1/worker"), file(&fleet, "prod/eu-west-1/worker"));
    assert_eq!(shared.0.text().as_ptr(), shared.1.text().as_ptr());
}

fn selected(only: &[&str], waves: &[&str]) -> Result<Fleet, SelectError> {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    load(MANIFEST).select(&owned(only), &owned(waves))
}

#[test]
fn a_selection_keeps_the_waves_and_renumbers_them() {
    let fleet = selected(&["prod/*/api"], &[]).expect("two targets");
    assert_eq!(ids(&fleet), ["prod/us-east-1/api", "prod/eu-west-1/api"]);
    let targets: Vec<&[usize]> = fleet.waves.iter().map(|wave| wave.targets.as_slice()).collect();
    assert_eq!(targets, [&[][..], &[0, 1][..]]);
    assert_eq!(fleet.accounts.len(), 1, "an account without targets is dropped");
}

#[test]
fn a_selection_may_be_an_account_a_region_or_a_wave() {
    assert_eq!(selected(&["prod"], &[]).expect("an account").targets.len(), 3);
    let region = selected(&["*/eu-west-1"], &[]).expect("a region");
    assert_eq!(region.targets.len(), 2);
    assert_eq!(region.accounts[1].regions, ["eu-west-1"], "a region without targets is dropped");
    assert_eq!(selected(&["{prod,staging}/eu-*/a[pq]i"], &[]).expect("globs").targets.len(), 2);
    assert_eq!(selected(&[], &["canary"]).expect("a wave").targets.len(), 1);
    assert_eq!(selected(&["staging", "prod/us-east-1"], &[]).expect("two patterns").targets.len(), 3);
    assert_eq!(selected(&[], &[]).expect("everything").targets.len(), 4);
}

#[test]
fn a_selection_of_nothing_is_an_error_with_near_misses() {
    let message = |only: &[&str], waves: &[&str]| selected(only, waves).expect_err("nothing").to_string();
    insta::assert_snapshot!(message(&["prd"], &[]), @"`prd` matches no target; did you mean `prod`?");
    insta::assert_snapshot!(message(&["prod/us-east-1/apy"], &[]), @"`prod/us-east-1/apy` matches no target; did you mean `prod/us-east-1/api`?");
    insta::assert_snapshot!(message(&["prod", "old"], &[]), @"`old` matches no target; the nearest are `prod`, `staging`");
    insta::assert_snapshot!(message(&[], &["canari"]), @"there is no wave `canari`; did you mean `canary`?");
    let prod = selected(&["prod"], &[]).expect("targets");
    let told = prod.select(&[], &["canary".to_owned()]).expect_err("a wave without targets").to_string();
    insta::assert_snapshot!(told, @"no target is in `canary`");
    insta::assert_snapshot!(message(&["staging"], &["rest"]), @"no target of `rest` matches `staging`");
    insta::assert_snapshot!(message(&["a/b/c/d"], &[]), @"`a/b/c/d` is not a pattern: write account, account/region or account/region/service");
    insta::assert_snapshot!(message(&["prod/["], &[]), @"`prod/[` is not a pattern: unclosed character class; missing ']'");
}

/// Loads a manifest of so many accounts with a task definition file of its own, beside which it stands.
fn crowd(name: &str, accounts: usize, regions: &str, definition: &str, service: &str) -> Result<Fleet, String> {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&directory).expect("a directory");
    std::fs::write(directory.join("td.json"), definition).expect("a file");
    let mut text = "version: 1\nroles: { r: { arn: \"arn:aws:iam::${account.id}:role/r\" } }\naccounts:\n".to_owned();
    for number in 0..accounts {
        text.push_str(&format!("  - {{ name: a{number}, id: \"{number:012}\", chain: [r], regions: [{regions}] }}\n"));
    }
    text.push_str(&format!("services:\n  - name: api\n    cluster: web\n    {service}\n"));
    load_str("deploy.yaml", &directory, &text, &|_| None).map_err(|error| error.render(false, 100))
}

/// A task definition whose first container has a text.
fn with_text(text: &str) -> String {
    json!({ "family": "api", "containerDefinitions": [{ "name": "app", "image": "api:1", "memory": 64, "command": [text] }] })
        .to_string()
}

#[test]
fn targets_share_the_task_definitions_that_have_the_same_text() {
    let regions = "eu-west-1, eu-west-2, eu-west-3, us-east-1, us-east-2";
    let distinct = |fleet: &Fleet| {
        let address = |target: &TargetSpec| match &target.desired.task_definition {
            Base::File(definition) => definition.text().as_ptr().addr(),
            other => panic!("{other:?}"),
        };
        fleet.targets.iter().map(address).collect::<std::collections::BTreeSet<_>>().len()
    };
    let fleet =
        crowd("shared", 1000, regions, &with_text("--region=${region}"), "task_definition: td.json").expect("no fault");
    assert_eq!((fleet.targets.len(), distinct(&fleet)), (5000, 5));
    let Base::File(definition) = &fleet.targets[4999].desired.task_definition else { panic!("a file") };
    assert_eq!(definition.value()["containerDefinitions"][0]["command"][0], "--region=us-east-2");
    let fleet =
        crowd("own", 20, regions, &with_text("${account.id} ${vars.x:-none} ${region}"), "task_definition: td.json")
            .expect("no fault");
    assert_eq!(distinct(&fleet), 100);
}

#[test]
fn more_text_than_a_machine_has_room_for_is_a_fault() {
    let variable = format!("environment: {{ app: {{ A: \"{}\" }} }}", "x".repeat(900_000));
    assert!(crowd("room", 100, "eu-west-1", "", &variable).is_ok(), "86 MiB");
    let told = crowd("room", 300, "eu-west-1", "", &variable).expect_err("257 MiB");
    assert!(told.contains("what is deployed has more than 256 MiB, for all targets"), "{told}");
    assert!(told.contains("deploy.yaml:305:"), "{told}");
}
