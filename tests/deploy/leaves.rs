//! Every leaf of a saved plan: whoever changes one and seals the file anew is refused, or the change is shown.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::harness::{Ran, Scene};
use crate::saved::{carry_out, plan, resealed, terms};

/// A plan with as much in it as a plan can have.
const MANIFEST: &str = r#"
version: 1
identity: { token_env: TOKEN, region: eu-west-1, issuer: "https://gitlab.example.com" }
roles:
  hub: { arn: "arn:aws:iam::111111111111:role/hub" }
  leaf:
    arn: "arn:aws:iam::${account.id}:role/leaf"
    external_id: team
    source_identity: gitlab
    tags: { team: shop }
    transitive_tags: [team]
    duration: 30m
    policy: { Version: "2012-10-17", Statement: [{ Effect: Allow, Action: "*", Resource: "*" }] }
    policy_arns: ["arn:aws:iam::aws:policy/AdministratorAccess"]
accounts:
  - { name: a0, id: "200000000000", chain: [hub, leaf], regions: [eu-west-1], labels: { ring: canary } }
  - { name: a1, id: "200000000001", chain: [hub, leaf], regions: [eu-west-1], labels: { ring: main } }
services:
  - name: s0
    cluster: main
    images: { app: "registry.example.com/s0:v2" }
    environment: { app: { MODE: fast } }
    desired_count: 4
    deployment: { maximum_percent: 150 }
    before:
      - { run_task: migrate, container: app, command: [./migrate, up], environment: { DSN: "db" }, timeout: 2m, network: { subnets: [subnet-1] }, launch_type: FARGATE }
    after:
      - { run_task: smoke, task_definition: s0, per: account }
rollout:
  timeout: 30m
  on_failure: rollback
  rollback_scope: wave
  rollback_timeout: 10m
  waves:
    - { name: canary, select: { ring: canary }, bake: 1m, alarms: [s0-5xx] }
    - { name: rest, max_parallel: [1, 50%], max_parallel_per_account: 2, max_failures: 1, strict: true, on_cancel: rollback, gate: manual }
notify:
  - { url_env: HOOK, format: slack }
gitlab: { deployments: { environment: "production/${account.name}" } }
"#;

/// What has no effect, as the beginnings of pointers with numbers left out.
const WITHOUT_EFFECT: [&str; 8] = [
    // Who made the plan and when is told, and its age is checked.
    "/made_at",
    "/made_by",
    // Labels chose targets, and the plan has them. So did regions; nothing is deployed to one without a target.
    "/accounts/labels/",
    "/accounts/regions",
    // The manifest's own word for a role: its ARN is what is assumed.
    "/accounts/chain/hops/role",
    // What `iam` and `doctor` look at, and no run.
    "/identity/issuer",
    // What a rollback restores is read again, and so is the newest revision.
    "/targets/work/before/",
    "/targets/work/definition/newest",
];

fn leaves(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => members.iter().for_each(|(key, value)| {
            leaves(value, &format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")), found);
        }),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| leaves(item, &format!("{at}/{index}"), found))
        }
        Value::String(_) | Value::Number(_) | Value::Bool(_) => found.push(at.to_owned()),
        Value::Null => {}
    }
}

/// Returns another value of the same kind that the plan could have.
fn other(value: &Value) -> Value {
    match value {
        Value::Bool(flag) => json!(!flag),
        Value::Number(number) => json!(number.as_u64().unwrap_or_default() + 1),
        Value::String(text) => match text.as_str() {
            // One of the words that there are, and a length of time.
            "target" => json!("account"),
            "account" => json!("run"),
            "slack" => json!("json"),
            "wave" => json!("run"),
            "rollback" => json!("detach"),
            "EC2" | "FARGATE" => json!("EXTERNAL"),
            text if text.ends_with(['m', 's', 'h']) && text.starts_with(|first: char| first.is_ascii_digit()) => {
                json!("7m")
            }
            text => json!(format!("{text}x")),
        },
        other => other.clone(),
    }
}

/// Returns what a dry run shows, but for how much time went by.
fn shown(ran: &Ran) -> String {
    let words = ran.said.split_whitespace().collect::<Vec<_>>().join(" ");
    let (mut text, mut rest) = (String::new(), words.as_str());
    while let Some((before, after)) = rest.split_once("is valid for another ") {
        text.push_str(before);
        rest = after.trim_start_matches(|char: char| char.is_ascii_digit() || " hms".contains(char));
    }
    let (before, after) = (text + rest)
        .split_once(" ago")
        .map_or(("".to_owned(), rest.to_owned()), |(one, two)| (one.to_owned(), two.to_owned()));
    before.split("a plan that roleout").next().unwrap_or_default().to_owned() + &after
}

#[tokio::test(start_paused = true)]
async fn a_change_of_any_leaf_is_refused_or_shown() {
    let scene = Scene::new(MANIFEST).quick();
    let (directory, saved) = plan(&scene, "leaves").await;
    let dry = || roleout::run::saved_plan::ApplyOptions { dry_run: true, ..terms() };
    let ran = carry_out(&scene, &saved, dry()).await;
    assert!(ran.exit.is_ok(), "{:?} {}", ran.exit, ran.said);
    let honest = shown(&ran);
    assert!(honest.contains("environment.DSN: (value ") && !honest.contains("fast"), "{honest}");
    let file: Value = serde_json::from_str(&fs_err::read_to_string(directory.plan()).expect("a file")).expect("JSON");
    let mut all = Vec::new();
    leaves(&file, "", &mut all);
    let (mut silent, mut told) = (BTreeSet::new(), 0);
    for at in all.iter().filter(|at| *at != "/digest") {
        let change = |file: &mut Value| {
            let leaf = file.pointer_mut(at).expect("a leaf");
            *leaf = other(leaf);
        };
        if let Ok(saved) = resealed(&directory, change) {
            let ran = carry_out(&scene, &saved, dry()).await;
            if ran.exit.is_ok() && shown(&ran) == honest {
                let plain = at.split('/').filter(|part| part.parse::<usize>().is_err()).collect::<Vec<_>>().join("/");
                silent.insert(plain);
            } else {
                told += usize::from(ran.exit.is_ok());
            }
        }
    }
    assert_eq!(scene.sandbox.calls().writes, Vec::new());
    let unknown: Vec<&String> =
        silent.iter().filter(|at| !WITHOUT_EFFECT.iter().any(|start| at.starts_with(start))).collect();
    assert!(unknown.is_empty(), "neither refused nor shown: {unknown:#?}");
    assert!(all.len() > 150 && told > 20, "{} leaves, of which {told} are shown", all.len());
}
