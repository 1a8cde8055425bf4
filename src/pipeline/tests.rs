use std::path::Path;

use super::*;
use crate::manifest::load::load_str;
use crate::pipeline::yaml::Jobs;

/// Accounts with one region and one service; those below `canaries` are the first wave.
fn manifest(accounts: usize, services: usize, canaries: usize, first: &str, rest: &str) -> Fleet {
    let mut text = String::from(
        "version: 1\nidentity: { token_env: TOKEN, region: eu-west-1 }\nroles:\n  \
         hub: { arn: \"arn:aws:iam::${account.id}:role/hub\" }\naccounts:\n",
    );
    for number in 0..accounts {
        let ring = if number < canaries { "canary" } else { "main" };
        text.push_str(&format!(
            "  - {{ name: a{number}, id: \"{:012}\", chain: [hub], regions: [eu-west-1], labels: {{ ring: {ring} }} }}\n",
            222_222_000_000_u64 + number as u64
        ));
    }
    text.push_str("services:\n");
    for number in 0..services {
        text.push_str(&format!("  - {{ name: s{number}, cluster: c, images: {{ app: r }} }}\n"));
    }
    text.push_str(&format!(
        "rollout:\n  waves:\n    - {{ name: canary, select: {{ ring: canary }}{first} }}\n    - {{ name: rest{rest} }}\n"
    ));
    load_str("deploy.yaml", Path::new("."), &text, &|_| None).unwrap_or_else(|e| panic!("{}", e.render(false, 99)))
}

fn jobs() -> Jobs {
    Jobs {
        image: Some("registry.example.com/roleout:1".to_owned()),
        tags: vec!["aws".to_owned()],
        token: Some("TOKEN".to_owned()),
        audience: "$CI_SERVER_URL".to_owned(),
        environment: None,
        timeout: Duration::from_secs(7200),
        expire_in: "30 days".to_owned(),
        manifest: "deploy.yaml".to_owned(),
        fingerprint: "0123456789abcdef".to_owned(),
        arguments: vec!["--only".to_owned(), "prod-*".to_owned()],
        ..Jobs::default()
    }
}

fn parts(layout: &Layout) -> Vec<usize> {
    layout.stages.iter().map(|stage| stage.parts).collect()
}

#[test]
fn jobs_are_as_many_as_the_accounts_need() {
    let fleet = manifest(110, 1, 3, "", "");
    let of = |shards, max_accounts| layout(&fleet, Division { shards, max_accounts }, None).map(|it| parts(&it));
    assert_eq!(of(None, None), Ok(vec![1, 3]));
    assert_eq!(of(None, Some(10)), Ok(vec![1, 11]));
    assert_eq!(of(Some(8), None), Ok(vec![3, 8]), "no job is empty");
    let error = of(Some(2), Some(10)).expect_err("two jobs of 54");
    assert_eq!(
        error.to_string(),
        "a job of the wave `rest` would have 54 accounts, and --max-accounts-per-job is 10: --shards is 2"
    );
}

#[test]
fn fewer_jobs_than_wanted_are_explained() {
    let fleet = manifest(60, 1, 2, "", ", max_parallel: 5, max_failures: 1");
    let made = layout(&fleet, Division { shards: Some(8), max_accounts: None }, None).expect("a layout");
    assert_eq!(parts(&made), [2, 5]);
    assert_eq!(made.stages[1].notes, ["the wave rest is 5 jobs, since it lets 5 of its targets run at once"]);
    assert_eq!((made.stages[1].max_failures, made.stages[1].worst_case_failures), (1, 10), "2 in each of 5");
    let strict = manifest(60, 1, 2, "", ", strict: true");
    let made = layout(&strict, Division::default(), None).expect("a layout");
    assert_eq!(
        made.stages[1].notes,
        ["the wave rest is one job, since it is `strict`, and counts all that is under way"]
    );
    let many = manifest(1100, 1, 1, "", "");
    let error = layout(&many, Division { max_accounts: Some(5), shards: None }, None).expect_err("220 jobs");
    assert_eq!(
        error.to_string(),
        "a job of the wave `rest` would have 6 accounts, and --max-accounts-per-job is 5: \
         GitLab makes at most 200 jobs of one by `parallel`"
    );
}

#[test]
fn what_only_one_process_can_do_is_refused() {
    let fleet = manifest(4, 1, 1, "", ", on_failure: rollback, rollback_scope: run");
    let error = layout(&fleet, Division::default(), None).expect_err("other jobs");
    assert!(error.to_string().starts_with("the wave `rest` has `rollback_scope: run`"), "{error}");
    assert_eq!(
        layout(&manifest(4, 1, 1, ", on_failure: rollback, rollback_scope: run", ""), Division::default(), None)
            .map(|it| parts(&it)),
        Ok(vec![1, 1]),
        "nothing comes before the first wave"
    );
    let mut shared = manifest(4, 1, 1, "", "");
    let task = "version: 1\nservices:\n  - { name: s0, cluster: c, before: [ { run_task: migrate, container: app, command: [up], per: run } ] }\n";
    let other = load_str(
        "deploy.yaml",
        Path::new("."),
        &format!("{task}identity: {{ ambient: true, region: eu-west-1 }}\naccounts: [ {{ name: a, id: \"222222222222\", regions: [eu-west-1], chain: [] }} ]\n"),
        &|_| None,
    )
    .unwrap_or_else(|e| panic!("{}", e.render(false, 99)));
    for target in &mut shared.targets {
        target.desired.run_tasks = other.targets[0].desired.run_tasks.clone();
    }
    let error = layout(&shared, Division::default(), None).expect_err("two jobs");
    assert_eq!(
        error.to_string(),
        "the task `migrate` of `s0` is run once for all of its targets, and those of the waves `canary`, `rest` are other jobs"
    );
    shared.waves[0].name = "w".repeat(231);
    let error = layout(&shared, Division::default(), None).expect_err("too long");
    assert!(
        error
            .to_string()
            .ends_with("has 231 characters, and names of GitLab's jobs have at most 255, of which it may have 230"),
        "{error}"
    );
    let none = Fleet { targets: Vec::new(), waves: Vec::new(), ..shared };
    assert_eq!(layout(&none, Division::default(), None), Err(LayoutError::Nothing));
}

#[test]
fn ten_thousand_targets_are_a_small_pipeline() {
    let fleet = manifest(1000, 10, 20, ", bake: 5m", ", max_parallel: 20%, max_failures: 1%");
    let made = layout(&fleet, Division::default(), None).expect("a layout");
    assert_eq!((made.targets, made.accounts, parts(&made)), (10_000, 1000, vec![1, 20]));
    assert_eq!(made.stages[0].worst_case, Duration::from_secs(25 * 60));
    let text = yaml::text(&made, &jobs()).expect("a pipeline");
    assert!(text.len() < 10_000, "{}", text.len());
    let most = layout(&fleet, Division { shards: Some(200), max_accounts: None }, None).expect("a layout");
    assert_eq!(parts(&most), [20, 200]);
    let large = Jobs { arguments: vec!["x".repeat(yaml::MOST)], ..jobs() };
    let error = yaml::text(&made, &large).expect_err("too large");
    assert!(
        error.to_string().ends_with("GitLab takes at most 5000000: name fewer targets with --only, or use globs"),
        "{error}"
    );
}

#[test]
fn the_pipeline_in_full() {
    let fleet = manifest(6, 1, 2, "", ", gate: manual");
    let made = layout(&fleet, Division { shards: Some(2), max_accounts: None }, None).expect("a layout");
    let text = yaml::text(&made, &Jobs { environment: Some("prod".to_owned()), ..jobs() }).expect("a pipeline");
    insta::assert_snapshot!(text, @r##"
    # Made by `roleout pipeline` (0.1.0) of 6 targets in 6 accounts. Make it anew rather than change it: the jobs
    # refuse a manifest that means other targets or other waves.
    workflow:
      rules: [{ when: always }]              # in the pipelines of merge requests, too

    stages:
      - "preflight"
      - "deploy canary"
      - "gate after canary"
      - "start rest"
      - "deploy rest"
      - "report"

    .roleout:
      image: { name: "registry.example.com/roleout:1", entrypoint: [""] }
      tags: ["aws"]
      interruptible: false
      timeout: "2h"

    .aws:
      extends: .roleout
      environment: { name: "prod", action: access }
      id_tokens:
        "TOKEN": { aud: "$CI_SERVER_URL" }

    preflight:
      extends: .aws
      stage: preflight
      script:
        - mkdir -p roleout-reports/preflight
        - "roleout pipeline preflight --file deploy.yaml --fingerprint 0123456789abcdef --only 'prod-*' --journal roleout-reports/preflight/journal.jsonl"
      retry:
        max: 1
        exit_codes: [4]
      artifacts:
        when: always
        expire_in: "30 days"
        access: developer
        paths: [roleout-reports/]

    "deploy canary":
      extends: .aws
      stage: "deploy canary"
      parallel: 2
      dependencies: []
      script:
        - mkdir -p "roleout-reports/wave-1/shard-$CI_NODE_INDEX"
        - "roleout deploy --file deploy.yaml --fingerprint 0123456789abcdef --only 'prod-*' --wave canary --from canary --shard \"$CI_NODE_INDEX/$CI_NODE_TOTAL\" --reports-dir \"roleout-reports/wave-1/shard-$CI_NODE_INDEX\" --journal \"roleout-reports/wave-1/shard-$CI_NODE_INDEX/journal.jsonl\""
      allow_failure:
        exit_codes: [10, 11, 12, 13, 14]       # targets failed: the gate after the wave decides
      retry:
        max: 1
        exit_codes: [4]                        # identity or preflight failed, and nothing was changed
      artifacts:
        when: always
        expire_in: "30 days"
        access: developer
        paths: [roleout-reports/]
        reports:
          annotations: roleout-reports/wave-1/shard-*/annotations.json

    "gate after canary":
      extends: .roleout
      stage: "gate after canary"
      script:
        - "roleout pipeline gate --wave canary roleout-reports"

    "start rest":
      extends: .roleout
      environment: { name: "prod", action: access }
      stage: "start rest"
      when: manual
      allow_failure: false                    # what follows waits for it
      dependencies: []
      script:
        - mkdir -p roleout-reports/wave-2
        - "echo rest > roleout-reports/wave-2/started"
      artifacts:
        expire_in: "30 days"
        paths: [roleout-reports/]

    "deploy rest":
      extends: .aws
      stage: "deploy rest"
      parallel: 2
      dependencies: []
      script:
        - mkdir -p "roleout-reports/wave-2/shard-$CI_NODE_INDEX"
        - "roleout deploy --file deploy.yaml --fingerprint 0123456789abcdef --only 'prod-*' --wave rest --from rest --shard \"$CI_NODE_INDEX/$CI_NODE_TOTAL\" --reports-dir \"roleout-reports/wave-2/shard-$CI_NODE_INDEX\" --journal \"roleout-reports/wave-2/shard-$CI_NODE_INDEX/journal.jsonl\""
      allow_failure:
        exit_codes: [10, 11, 12, 13, 14]       # targets failed: the gate after the wave decides
      retry:
        max: 1
        exit_codes: [4]                        # identity or preflight failed, and nothing was changed
      artifacts:
        when: always
        expire_in: "30 days"
        access: developer
        paths: [roleout-reports/]
        reports:
          annotations: roleout-reports/wave-2/shard-*/annotations.json

    report:
      extends: .roleout
      environment: { name: "prod", action: access }
      stage: report
      when: always
      script:
        - "roleout pipeline merge --file deploy.yaml --reports-dir roleout-reports/merged roleout-reports"
      allow_failure:
        exit_codes: [6, 13]                    # stopped at a gate; failures within the tolerance of their waves
      artifacts:
        when: always
        expire_in: "30 days"
        access: developer
        paths: [roleout-reports/merged/]
        reports:
          junit: roleout-reports/merged/junit.xml
          terraform: roleout-reports/merged/terraform.json
          dotenv: roleout-reports/merged/deploy.env
          annotations: roleout-reports/merged/annotations.json
    "##);
    let passed = layout(&fleet, Division::default(), Some("rest")).expect("a layout");
    assert!(!passed.stages[1].gate);
}
