//! What a person reads when a manifest is wrong: one test for each kind of fault, on the exact text.

use std::path::Path;

use roleout::manifest::load::{load, load_str};

const MANIFEST: &str = r#"version: 1
roles:
  hub: { arn: "arn:aws:iam::111111111111:role/hub" }
  deployer:
    arn: "arn:aws:iam::${account.id}:role/deployer"
accounts:
  - name: staging
    id: "222222222222"
    chain: [hub, deployer]
    regions: [eu-west-1]
    labels: { env: staging }
  - name: prod
    id: "333333333333"
    chain: [hub, deployer]
    regions: [eu-west-1, us-east-1]
    labels: { env: prod }
services:
  - name: api
    cluster: web
    images: { app: "api:1" }
rollout:
  waves:
    - { name: canary, select: { env: staging } }
    - name: rest
"#;

/// The environment of these tests.
fn variables(name: &str) -> Option<String> {
    let value = match name {
        "SHA" => "0123abc",
        "EMPTY" => "",
        "GITLAB_OIDC_TOKEN" => "the-token-itself",
        "BRANCH" => "feature/x",
        "TWO_LINES" => "a\nb: ${region}",
        _ => return None,
    };
    Some(value.to_owned())
}

fn base() -> &'static Path {
    Path::new("tests/manifest")
}

/// Loads a text and returns what a person reads.
#[must_use]
fn faults(text: &str) -> String {
    match load_str("deploy.yaml", base(), text, &variables) {
        Ok(fleet) => format!("no fault; warnings: {:?}", fleet.warnings),
        Err(error) => error.render(false, 100),
    }
}

/// Loads the manifest above with one piece of it replaced.
#[must_use]
fn edited(from: &str, to: &str) -> String {
    assert!(MANIFEST.contains(from), "the manifest has no `{from}`");
    faults(&MANIFEST.replacen(from, to, 1))
}

#[test]
fn the_manifest_of_these_tests_has_no_fault() {
    insta::assert_snapshot!(faults(MANIFEST), @"no fault; warnings: []");
}

#[test]
fn a_tab() {
    insta::assert_snapshot!(edited("    cluster: web", "\tcluster: web"), @r#"
      × a tab in the indentation
        ╭─[deploy.yaml:19:1]
     18 │   - name: api
     19 │     cluster: web
        · ────
     20 │     images: { app: "api:1" }
        ╰────
      help: indent with spaces: YAML does not allow tabs

    deploy.yaml: 1 fault
    "#);
}

#[test]
fn bad_indentation() {
    insta::assert_snapshot!(edited("    cluster: web", "   cluster: web"), @r#"
      × while parsing a block collection, did not find expected '-' indicator
        ╭─[deploy.yaml:19:4]
     18 │   - name: api
     19 │    cluster: web
        ·    ─
     20 │     images: { app: "api:1" }
        ╰────
      help: check the indentation of this line against the ones above

    deploy.yaml: 1 fault
    "#);
}

#[test]
fn a_bracket_that_is_never_closed() {
    insta::assert_snapshot!(edited("[hub, deployer]", "[hub, deployer"), @r"
      × illegal placement of ':' indicator
        ╭─[deploy.yaml:10:12]
      9 │     chain: [hub, deployer
     10 │     regions: [eu-west-1]
        ·            ─
     11 │     labels: { env: staging }
        ╰────
      help: check the indentation, the closing brackets, and put text with `: ` in it in quotes

    deploy.yaml: 1 fault
    ");
}

#[test]
fn an_empty_manifest() {
    insta::assert_snapshot!(faults("# nothing yet\n"), @r"
      × the manifest is empty
       ╭─[deploy.yaml:1:1]
     1 │ # nothing yet
       · ─────────────
       ╰────
      help: start with `version: 1`

    deploy.yaml: 1 fault
    ");
}

#[test]
fn two_documents() {
    insta::assert_snapshot!(faults(&format!("{MANIFEST}---\n{MANIFEST}")), @r"
      × more than one YAML document
        ╭─[deploy.yaml:25:1]
     24 │     - name: rest
     25 │ ---
        · ─
     26 │ version: 1
        ╰────
      help: a manifest is one document: remove `---` and the rest

    deploy.yaml: 1 fault
    ");
}

#[test]
fn the_second_of_two_equal_keys() {
    insta::assert_snapshot!(edited("    cluster: web", "    cluster: web\n    cluster: api"), @r#"
      × duplicate key `cluster`
        ╭─[deploy.yaml:20:5]
     18 │   - name: api
     19 │     cluster: web
        ·     ───┬───
        ·        ╰── first here
     20 │     cluster: api
        ·     ───┬───
        ·        ╰── again here
     21 │     images: { app: "api:1" }
        ╰────
      help: keep one of the two

    deploy.yaml: 1 fault
    "#);
}

#[test]
fn an_unknown_key() {
    insta::assert_snapshot!(edited("    regions: [eu-west-1]", "    regoins: [eu-west-1]"), @r"
      × unknown key `regoins` in an account
        ╭─[deploy.yaml:10:5]
      9 │     chain: [hub, deployer]
     10 │     regoins: [eu-west-1]
        ·     ───────
     11 │     labels: { env: staging }
        ╰────
      help: did you mean `regions`?

    deploy.yaml: 1 fault
    ");
}

#[test]
fn tasks_that_stand_elsewhere_than_in_a_service() {
    insta::assert_snapshot!(edited("    - name: rest", "    - { name: rest, before: [] }"), @r"
      × unknown key `before` in a wave
        ╭─[deploy.yaml:24:21]
     23 │     - { name: canary, select: { env: staging } }
     24 │     - { name: rest, before: [] }
        ·                     ──────
        ╰────
      help: tasks before and after a deployment are a service's

    deploy.yaml: 1 fault
    ");
}

/// Loads the manifest above with these tasks before the deployment.
#[must_use]
fn tasks(text: &str) -> String {
    edited("    cluster: web", &format!("    cluster: web\n    before:\n{text}"))
}

#[test]
fn a_task_without_a_name_and_a_command_of_no_container() {
    insta::assert_snapshot!(tasks("      - { command: [./migrate] }"), @r#"
      × a task has no `run_task`
        ╭─[deploy.yaml:21:9]
     20 │     before:
     21 │       - { command: [./migrate] }
        ·         ─────────────────────
     22 │     images: { app: "api:1" }
        ╰────
      help: add `run_task:`

      × `command` does not say of which container it is
        ╭─[deploy.yaml:21:20]
     20 │     before:
     21 │       - { command: [./migrate] }
        ·                    ──────────
     22 │     images: { app: "api:1" }
        ╰────
      help: add `container:`

    deploy.yaml: 2 faults
    "#);
}

#[test]
fn a_container_that_says_nothing_and_a_command_that_is_empty() {
    insta::assert_snapshot!(tasks("      - { run_task: a b, container: app }\n      - { run_task: c, container: app, command: [] }"), @r#"
      × `a b` is not a name
        ╭─[deploy.yaml:21:21]
     20 │     before:
     21 │       - { run_task: a b, container: app }
        ·                     ───
     22 │       - { run_task: c, container: app, command: [] }
        ╰────
      help: use letters, digits, `.`, `_` and `-`

      × `container` says nothing by itself
        ╭─[deploy.yaml:21:37]
     20 │     before:
     21 │       - { run_task: a b, container: app }
        ·                                     ───
     22 │       - { run_task: c, container: app, command: [] }
        ╰────
      help: add `command:` or `environment:`, or remove it: every container of the definition runs

      × the command is empty
        ╭─[deploy.yaml:22:49]
     21 │       - { run_task: a b, container: app }
     22 │       - { run_task: c, container: app, command: [] }
        ·                                                 ─
     23 │     images: { app: "api:1" }
        ╰────
      help: write it, or remove the key to run the image's own

    deploy.yaml: 3 faults
    "#);
}

#[test]
fn two_tasks_of_one_name_and_a_timeout_of_nothing() {
    insta::assert_snapshot!(
        tasks("      - { run_task: migrate, timeout: 0s, per: fleet }\n    after:\n      - { run_task: migrate }"), @r#"
      × the timeout is 0: the task would time out
        ╭─[deploy.yaml:21:39]
     20 │     before:
     21 │       - { run_task: migrate, timeout: 0s, per: fleet }
        ·                                       ──
     22 │     after:
        ╰────
      help: write how long it may take

      × `per` cannot be `fleet`
        ╭─[deploy.yaml:21:48]
     20 │     before:
     21 │       - { run_task: migrate, timeout: 0s, per: fleet }
        ·                                                ─────
     22 │     after:
        ╰────
      help: known: `target`, `account`, `run`

      × there are two tasks of a service named `migrate`
        ╭─[deploy.yaml:23:21]
     20 │     before:
     21 │       - { run_task: migrate, timeout: 0s, per: fleet }
        ·                     ───┬───
        ·                        ╰── first here
     22 │     after:
     23 │       - { run_task: migrate }
        ·                     ───┬───
        ·                        ╰── again here
     24 │     images: { app: "api:1" }
        ╰────
      help: give one of them another name

    deploy.yaml: 3 faults
    "#
    );
}

#[test]
fn where_a_task_runs_in_words_that_ecs_does_not_know() {
    insta::assert_snapshot!(
        tasks(
            "      - run_task: migrate\n        launch_type: FARGAT\n        network: { assign_public_ip: yes please }\n        \
             capacity_provider_strategy: [ { weight: 2000 } ]"
        ), @r#"
      × `launch_type` cannot be `FARGAT`
        ╭─[deploy.yaml:22:22]
     21 │       - run_task: migrate
     22 │         launch_type: FARGAT
        ·                      ──────
     23 │         network: { assign_public_ip: yes please }
        ╰────
      help: did you mean `FARGATE`?

      × `network` has no `subnets`
        ╭─[deploy.yaml:23:18]
     22 │         launch_type: FARGAT
     23 │         network: { assign_public_ip: yes please }
        ·                  ──────────────────────────────
     24 │         capacity_provider_strategy: [ { weight: 2000 } ]
        ╰────
      help: add `subnets:`

      × `assign_public_ip` cannot be `yes please`
        ╭─[deploy.yaml:23:38]
     22 │         launch_type: FARGAT
     23 │         network: { assign_public_ip: yes please }
        ·                                      ──────────
     24 │         capacity_provider_strategy: [ { weight: 2000 } ]
        ╰────
      help: known: `ENABLED`, `DISABLED`

      × `launch_type` and `capacity_provider_strategy` do not go together
        ╭─[deploy.yaml:24:37]
     21 │       - run_task: migrate
     22 │         launch_type: FARGAT
        ·                      ───┬──
        ·                         ╰── the launch type
     23 │         network: { assign_public_ip: yes please }
     24 │         capacity_provider_strategy: [ { weight: 2000 } ]
        ·                                     ────────────────
     25 │     images: { app: "api:1" }
        ╰────
      help: keep one of them

      × a capacity provider has no `capacity_provider`
        ╭─[deploy.yaml:24:39]
     23 │         network: { assign_public_ip: yes please }
     24 │         capacity_provider_strategy: [ { weight: 2000 } ]
        ·                                       ──────────────
     25 │     images: { app: "api:1" }
        ╰────
      help: add `capacity_provider:`

      × `weight` cannot be 2000
        ╭─[deploy.yaml:24:49]
     23 │         network: { assign_public_ip: yes please }
     24 │         capacity_provider_strategy: [ { weight: 2000 } ]
        ·                                                 ────
     25 │     images: { app: "api:1" }
        ╰────
      help: write 0 to 1000

    deploy.yaml: 6 faults
    "#
    );
    insta::assert_snapshot!(
        tasks(
            "      - run_task: migrate\n        task_definition: deploy/migrate.json\n        network: { subnets: [] }\n        \
             capacity_provider_strategy: []"
        ), @r#"
      × `deploy/migrate.json` is not a task definition in ECS
        ╭─[deploy.yaml:22:26]
     21 │       - run_task: migrate
     22 │         task_definition: deploy/migrate.json
        ·                          ───────────────────
     23 │         network: { subnets: [] }
        ╰────
      help: write `family`, `family:revision` or a task definition's ARN; a file cannot be named here

      × `subnets` names 0
        ╭─[deploy.yaml:23:29]
     22 │         task_definition: deploy/migrate.json
     23 │         network: { subnets: [] }
        ·                             ─
     24 │         capacity_provider_strategy: []
        ╰────
      help: name 1 to 16

      × the strategy names no capacity provider
        ╭─[deploy.yaml:24:37]
     23 │         network: { subnets: [] }
     24 │         capacity_provider_strategy: []
        ·                                     ─
     25 │     images: { app: "api:1" }
        ╰────
      help: name one, or remove the key

    deploy.yaml: 3 faults
    "#
    );
}

#[test]
fn a_task_with_names_of_its_target_has_no_fault() {
    let text = "      - { run_task: migrate, container: app, command: [\"./up\", \"${region}\", 2], environment: { A: \"${account.name}\" }, per: account, \
                timeout: 5m, task_definition: \"api-${account.name}:3\", network: { subnets: [\"subnet-${region}\"] } }";
    insta::assert_snapshot!(tasks(text), @"no fault; warnings: []");
}

#[test]
fn a_missing_key() {
    insta::assert_snapshot!(edited("    chain: [hub, deployer]\n", ""), @r#"
      × account `staging` has no `chain`
       ╭─[deploy.yaml:7:5]
     6 │ accounts:
     7 │   - name: staging
       ·     ─────────────
     8 │     id: "222222222222"
       ╰────
      help: add `chain:`

    deploy.yaml: 1 fault
    "#);
}

#[test]
fn an_unknown_version() {
    insta::assert_snapshot!(edited("version: 1", "version: 2"), @r"
      × version 2 is not known
       ╭─[deploy.yaml:1:10]
     1 │ version: 2
       ·          ─
     2 │ roles:
       ╰────
      help: this program reads version 1

    deploy.yaml: 1 fault
    ");
}

#[test]
fn an_account_id_that_lost_its_quotes() {
    insta::assert_snapshot!(edited("\"222222222222\"", "222222222222"), @r#"
      × `222222222222` is a number here, not an account id
       ╭─[deploy.yaml:8:9]
     7 │   - name: staging
     8 │     id: 222222222222
       ·         ────────────
     9 │     chain: [hub, deployer]
       ╰────
      help: put it in quotes, "222222222222": an id is text, and numbers lose their leading zeros

    deploy.yaml: 1 fault
    "#);
    insta::assert_snapshot!(edited("\"222222222222\"", "012345670123"), @r#"
      × `012345670123` is a number here, not an account id
       ╭─[deploy.yaml:8:9]
     7 │   - name: staging
     8 │     id: 012345670123
       ·         ────────────
     9 │     chain: [hub, deployer]
       ╰────
      help: put it in quotes, "012345670123": an id is text, and numbers lose their leading zeros

    deploy.yaml: 1 fault
    "#);
}

#[test]
fn an_account_id_of_the_wrong_length() {
    insta::assert_snapshot!(edited("\"222222222222\"", "\"22222222222\""), @r#"
      × `22222222222` is not an AWS account id: 12 digits
       ╭─[deploy.yaml:8:9]
     7 │   - name: staging
     8 │     id: "22222222222"
       ·         ─────────────
     9 │     chain: [hub, deployer]
       ╰────
      help: it has 11 digits: zeros at its start were lost where it was set; write 12, in quotes

    deploy.yaml: 1 fault
    "#);
}

#[test]
fn a_word_where_a_list_belongs() {
    insta::assert_snapshot!(edited("regions: [eu-west-1]", "regions: eu-west-1"), @r"
      × expected a list, found the text `eu-west-1`
        ╭─[deploy.yaml:10:14]
      9 │     chain: [hub, deployer]
     10 │     regions: eu-west-1
        ·              ─────────
     11 │     labels: { env: staging }
        ╰────
      help: write a list: [eu-west-1]

    deploy.yaml: 1 fault
    ");
}

#[test]
fn yes_is_not_a_boolean() {
    insta::assert_snapshot!(edited("    cluster: web", "    cluster: web\n    deployment: { circuit_breaker: { enable: yes, rollback: true } }"), @r#"
      × expected true or false, found the text `yes`
        ╭─[deploy.yaml:20:46]
     19 │     cluster: web
     20 │     deployment: { circuit_breaker: { enable: yes, rollback: true } }
        ·                                              ───
     21 │     images: { app: "api:1" }
        ╰────
      help: write `true`

    deploy.yaml: 1 fault
    "#);
}

#[test]
fn two_equal_names() {
    insta::assert_snapshot!(edited("name: prod", "name: staging"), @r#"
      × there are two accounts named `staging`
        ╭─[deploy.yaml:12:11]
      6 │ accounts:
      7 │   - name: staging
        ·           ───┬───
        ·              ╰── first here
      8 │     id: "222222222222"
      9 │     chain: [hub, deployer]
     10 │     regions: [eu-west-1]
     11 │     labels: { env: staging }
     12 │   - name: staging
        ·           ───┬───
        ·              ╰── again here
     13 │     id: "333333333333"
        ╰────
      help: give one of them another name

    deploy.yaml: 1 fault
    "#);
}

#[test]
fn a_name_of_another_script_needs_the_name_in_ecs() {
    insta::assert_snapshot!(edited("name: api", "name: 決済"), @r"
      × a service in ECS cannot be called `決済`
        ╭─[deploy.yaml:18:11]
     17 │ services:
     18 │   - name: 決済
        ·           ────
     19 │     cluster: web
        ╰────
      help: say what it is called there: service: NAME

    deploy.yaml: 1 fault
    ");
}

#[test]
fn a_service_and_a_cluster_are_named_as_ecs_names_them() {
    let arn = "arn:aws:ecs:eu-west-1:222222222222:service/web/api";
    insta::assert_snapshot!(edited("cluster: web", &format!("cluster: web\n    service: {arn}")), @r#"
      × a service in ECS cannot be called `arn:aws:ecs:eu-west-1:222222222222:service/web/api`
        ╭─[deploy.yaml:20:14]
     19 │     cluster: web
     20 │     service: arn:aws:ecs:eu-west-1:222222222222:service/web/api
        ·              ──────────────────────────────────────────────────
     21 │     images: { app: "api:1" }
        ╰────
      help: write the service's name, not its ARN

    deploy.yaml: 1 fault
    "#);
    insta::assert_snapshot!(edited("cluster: web", "cluster: a.b\n    service: \"b.${region}\""), @r#"
      × a cluster in ECS cannot be called `a.b`
        ╭─[deploy.yaml:19:14]
     18 │   - name: api
     19 │     cluster: a.b
        ·              ───
     20 │     service: "b.${region}"
        ╰────
      help: its name is of letters, digits, `_` and `-`, at most 255 of them

      × a service in ECS cannot be called `b.eu-west-1`, and 1 more like it
        ╭─[deploy.yaml:20:14]
     19 │     cluster: a.b
     20 │     service: "b.${region}"
        ·              ─────────────
     21 │     images: { app: "api:1" }
        ╰────
      help: its name is of letters, digits, `_` and `-`, at most 255 of them

    deploy.yaml: 2 faults
    "#);
    insta::assert_snapshot!(edited("cluster: web", &format!("cluster: {arn}")), @r#"
      × a cluster in ECS cannot be called `arn:aws:ecs:eu-west-1:222222222222:service/web/api`
        ╭─[deploy.yaml:19:14]
     18 │   - name: api
     19 │     cluster: arn:aws:ecs:eu-west-1:222222222222:service/web/api
        ·              ──────────────────────────────────────────────────
     20 │     images: { app: "api:1" }
        ╰────
      help: write the cluster's name or its ARN

    deploy.yaml: 1 fault
    "#);
    let arn = "arn:aws:ecs:${region}:${account.id}:cluster/web";
    insta::assert_snapshot!(edited("cluster: web", &format!("cluster: \"{arn}\"")), @"no fault; warnings: []");
    let name = "a".repeat(256);
    assert!(edited("cluster: web", &format!("cluster: {name}")).contains("at most 255 of them"));
}

#[test]
fn two_chains_to_one_account_and_region() {
    let second = "id: \"222222222222\"\n    chain: [deployer]";
    let cluster = |text: String| text.replace("cluster: web", "cluster: \"${account.name}\"");
    let other = MANIFEST.replace("id: \"333333333333\"\n    chain: [hub, deployer]", second);
    insta::assert_snapshot!(faults(&cluster(other)), @r#"
      × `staging` and `prod` are the account 222222222222 in eu-west-1, by different chains
        ╭─[deploy.yaml:14:12]
      8 │     id: "222222222222"
      9 │     chain: [hub, deployer]
        ·            ───────┬──────
        ·                   ╰── and this one
     10 │     regions: [eu-west-1]
     11 │     labels: { env: staging }
     12 │   - name: prod
     13 │     id: "222222222222"
     14 │     chain: [deployer]
        ·            ────┬────
        ·                ╰── this chain
     15 │     regions: [eu-west-1, us-east-1]
        ╰────
      help: give both the same chain, or each its own manifest: an account and region have one session

    deploy.yaml: 1 fault
    "#);
    // By the same chain, with other labels and in other regions too, or in other regions alone.
    let same = MANIFEST.replace("333333333333", "222222222222");
    insta::assert_snapshot!(faults(&cluster(same)), @"no fault; warnings: []");
    let apart = MANIFEST.replace("id: \"333333333333\"\n    chain: [hub, deployer]", second);
    let apart = apart.replace("[eu-west-1, us-east-1]", "[us-east-1]");
    insta::assert_snapshot!(faults(&apart), @"no fault; warnings: []");
}

#[test]
fn a_name_that_cannot_be_one() {
    insta::assert_snapshot!(edited("name: api", "name: api/v2"), @r"
      × `api/v2` is not a name
        ╭─[deploy.yaml:18:11]
     17 │ services:
     18 │   - name: api/v2
        ·           ──────
     19 │     cluster: web
        ╰────
      help: use letters, digits, `.`, `_` and `-`: names are part of `account/region/service`

    deploy.yaml: 1 fault
    ");
}

#[test]
fn an_unknown_role() {
    insta::assert_snapshot!(edited("[hub, deployer]", "[hubb, deployer]"), @r#"
      × unknown role `hubb`
        ╭─[deploy.yaml:9:13]
      8 │     id: "222222222222"
      9 │     chain: [hubb, deployer]
        ·             ────
     10 │     regions: [eu-west-1]
        ╰────
      help: did you mean `hub`?

    deploy.yaml: 1 fault
    "#);
}

#[test]
fn a_malformed_region() {
    insta::assert_snapshot!(edited("[eu-west-1]", "[eu-west1]"), @r"
      × `eu-west1` is not an AWS region
        ╭─[deploy.yaml:10:15]
      9 │     chain: [hub, deployer]
     10 │     regions: [eu-west1]
        ·               ────────
     11 │     labels: { env: staging }
        ╰────
      help: a region looks like `eu-west-1`

    deploy.yaml: 1 fault
    ");
}

#[test]
fn a_malformed_arn() {
    insta::assert_snapshot!(edited("111111111111:role/hub", "111111111111:user/hub"), @r#"
      × `arn:aws:iam::111111111111:user/hub` does not name a role; a role's ARN looks like
      │ arn:aws:iam::111122223333:role/name
       ╭─[deploy.yaml:3:15]
     2 │ roles:
     3 │   hub: { arn: "arn:aws:iam::111111111111:user/hub" }
       ·               ────────────────────────────────────
     4 │   deployer:
       ╰────
      help: copy the ARN from the IAM console

    deploy.yaml: 1 fault
    "#);
}

#[test]
fn a_chain_that_ends_in_another_account() {
    insta::assert_snapshot!(edited("${account.id}", "222222222222"), @r#"
      × the chain of account `prod` ends in account 222222222222, but its id is 333333333333
       ╭─[deploy.yaml:5:10]
     4 │   deployer:
     5 │     arn: "arn:aws:iam::222222222222:role/deployer"
       ·          ────────────────────┬────────────────────
       ·                              ╰── this role
     6 │ accounts:
       ╰────
        ╭─[deploy.yaml:14:18]
     13 │     id: "333333333333"
     14 │     chain: [hub, deployer]
        ·                  ────────
     15 │     regions: [eu-west-1, us-east-1]
        ╰────
      help: the last role must live in the account itself: `arn:aws:iam::${account.id}:role/...`

    deploy.yaml: 1 fault
    "#);
}

#[test]
fn an_empty_chain() {
    insta::assert_snapshot!(edited("[hub, deployer]", "[]"), @r#"
      × account `staging` has an empty chain
        ╭─[deploy.yaml:9:12]
      8 │     id: "222222222222"
      9 │     chain: []
        ·            ─
     10 │     regions: [eu-west-1]
        ╰────
      help: name its role, or use `identity: { ambient: true }` for your own credentials

    deploy.yaml: 1 fault
    "#);
}

#[test]
fn a_session_that_is_too_short() {
    insta::assert_snapshot!(edited("role/hub\" }", "role/hub\", duration: 10m }"), @r#"
      × role `hub` cannot have a session of 10m
       ╭─[deploy.yaml:3:63]
     2 │ roles:
     3 │   hub: { arn: "arn:aws:iam::111111111111:role/hub", duration: 10m }
       ·                                                               ───
     4 │   deployer:
       ╰────
      help: STS allows 15m to 12h

    deploy.yaml: 1 fault
    "#);
}

#[test]
fn a_chained_session_that_is_too_long() {
    insta::assert_snapshot!(edited(":role/deployer\"", ":role/deployer\"\n    duration: 2h"), @r#"
      × role `deployer` is assumed from another role, so its session cannot exceed 1h
       ╭─[deploy.yaml:6:15]
     5 │     arn: "arn:aws:iam::${account.id}:role/deployer"
     6 │     duration: 2h
       ·               ──
     7 │ accounts:
       ╰────
      help: remove `duration`: AWS limits role chaining to one hour, and sessions are renewed as needed

    deploy.yaml: 1 fault
    "#);
}

#[test]
fn what_a_web_identity_cannot_have() {
    insta::assert_snapshot!(edited("role/hub\" }", "role/hub\", external_id: abc, tags: { a: b } }"), @r#"
      × role `hub` is assumed with the web identity, which takes no `external_id`
       ╭─[deploy.yaml:3:66]
     2 │ roles:
     3 │   hub: { arn: "arn:aws:iam::111111111111:role/hub", external_id: abc, tags: { a: b } }
       ·                                                                  ───
     4 │   deployer:
       ╰────
      help: remove it: for a web identity the trust policy checks the token's claims instead

      × role `hub` is assumed with the web identity, which takes no `tags`
       ╭─[deploy.yaml:3:77]
     2 │ roles:
     3 │   hub: { arn: "arn:aws:iam::111111111111:role/hub", external_id: abc, tags: { a: b } }
       ·                                                                             ──────
     4 │   deployer:
       ╰────
      help: remove it, or set it on the next role: only AssumeRole takes it

    deploy.yaml: 2 faults
    "#);
}

#[test]
fn session_tags_beyond_the_limits() {
    let tags = ":role/deployer\"\n    tags: { Team: a, team: b, \"aws:x\": c, note: \"50% off\" }\n    transitive_tags: [tema]";
    insta::assert_snapshot!(edited(":role/deployer\"", tags), @r#"
      × the session tags `Team` and `team` are the same to AWS
       ╭─[deploy.yaml:6:22]
     5 │     arn: "arn:aws:iam::${account.id}:role/deployer"
     6 │     tags: { Team: a, team: b, "aws:x": c, note: "50% off" }
       ·                      ────
     7 │     transitive_tags: [tema]
       ╰────
      help: keep one: upper and lower case do not differ here

      × `aws:x` is not the key of a session tag
       ╭─[deploy.yaml:6:31]
     5 │     arn: "arn:aws:iam::${account.id}:role/deployer"
     6 │     tags: { Team: a, team: b, "aws:x": c, note: "50% off" }
       ·                               ───────
     7 │     transitive_tags: [tema]
       ╰────
      help: use 1 to 128 letters, digits, spaces and `_.:/=+-@`, not beginning with `aws:`

      × the value of the session tag `note` is not allowed
       ╭─[deploy.yaml:6:49]
     5 │     arn: "arn:aws:iam::${account.id}:role/deployer"
     6 │     tags: { Team: a, team: b, "aws:x": c, note: "50% off" }
       ·                                                 ─────────
     7 │     transitive_tags: [tema]
       ╰────
      help: use at most 256 letters, digits, spaces and `_.:/=+-@`, and no newline or tab

      × `tema` is not one of this role's tags
       ╭─[deploy.yaml:7:23]
     6 │     tags: { Team: a, team: b, "aws:x": c, note: "50% off" }
     7 │     transitive_tags: [tema]
       ·                       ────
     8 │ accounts:
       ╰────
      help: did you mean `Team`?

    deploy.yaml: 4 faults
    "#);
}

#[test]
fn an_external_id_is_refused_without_being_repeated() {
    insta::assert_snapshot!(edited(":role/deployer\"", ":role/deployer\"\n    external_id: \"a secret\""), @r#"
      × this is not a valid external id
       ╭─[deploy.yaml:6:18]
     5 │     arn: "arn:aws:iam::${account.id}:role/deployer"
     6 │     external_id: "a secret"
       ·                  ──────────
     7 │ accounts:
       ╰────
      help: use 2 to 1224 letters, digits and `_+=,.@:/-`

    deploy.yaml: 1 fault
    "#);
}

#[test]
fn a_policy_that_is_not_one() {
    insta::assert_snapshot!(edited(":role/deployer\"", ":role/deployer\"\n    policy: '{\"Version\": }'"), @r#"
      × the policy is not valid JSON: expected value at line 1 column 13
       ╭─[deploy.yaml:6:13]
     5 │     arn: "arn:aws:iam::${account.id}:role/deployer"
     6 │     policy: '{"Version": }'
       ·             ───────────────
     7 │ accounts:
       ╰────
      help: write it as JSON in a block, `policy: |`, or as YAML

    deploy.yaml: 1 fault
    "#);
    insta::assert_snapshot!(edited(":role/deployer\"", ":role/deployer\"\n    policy: { Version: \"2012-10-17\" }"), @r#"
      × the policy has no `Statement`
       ╭─[deploy.yaml:6:13]
     5 │     arn: "arn:aws:iam::${account.id}:role/deployer"
     6 │     policy: { Version: "2012-10-17" }
       ·             ───────────────────────
     7 │ accounts:
       ╰────
      help: write `Version: "2012-10-17"` and a `Statement` list

    deploy.yaml: 1 fault
    "#);
}

#[test]
fn a_policy_that_is_too_long() {
    let statement = "\n        - { Effect: Allow, Action: \"ecs:*\", Resource: \"*\" }".repeat(50);
    let policy = format!(":role/deployer\"\n    policy:\n      Statement:{statement}");
    insta::assert_snapshot!(edited(":role/deployer\"", &policy), @r#"
      × the session policies have 2565 characters; STS allows 2048
       ╭─[deploy.yaml:7:7]
     6 │     policy:
     7 │       Statement:
       ·       ──────────
     8 │         - { Effect: Allow, Action: "ecs:*", Resource: "*" }
       ╰────
      help: shorten the policy, or attach it to the role itself

    deploy.yaml: 1 fault
    "#);
}

#[test]
fn a_session_name_that_sts_refuses() {
    insta::assert_snapshot!(edited("roles:", "identity: { session_name: \"gl-${BRANCH}\" }\nroles:"), @r#"
      × `gl-feature/x` is not a role session name
       ╭─[deploy.yaml:2:27]
     1 │ version: 1
     2 │ identity: { session_name: "gl-${BRANCH}" }
       ·                           ──────────────
     3 │ roles:
       ╰────
      help: use 2 to 64 letters, digits and `_+=,.@-`; branch names with `/` do not fit

    deploy.yaml: 1 fault
    "#);
}

#[test]
fn two_sources_of_credentials() {
    insta::assert_snapshot!(edited("roles:", "identity: { token_file: token.jwt, ambient: true }\nroles:"), @r"
      × `token_file` and `ambient` are both set
       ╭─[deploy.yaml:2:25]
     1 │ version: 1
     2 │ identity: { token_file: token.jwt, ambient: true }
       ·                         ─────────           ──┬─
       ·                             │                 ╰── and here
     3 │ roles:
       ╰────
      help: keep one: a run has one source of credentials

    deploy.yaml: 1 fault
    ");
}

#[test]
fn the_token_never_passes_through_the_manifest() {
    insta::assert_snapshot!(edited("roles:", "identity: { token_env: \"${GITLAB_OIDC_TOKEN}\" }\nroles:"), @r#"
      × `${GITLAB_OIDC_TOKEN}` is the ID token, and the token never passes through the manifest
       ╭─[deploy.yaml:2:25]
     1 │ version: 1
     2 │ identity: { token_env: "${GITLAB_OIDC_TOKEN}" }
       ·                         ────────────────────
     3 │ roles:
       ╰────
      help: name the variable instead: `identity: { token_env: GITLAB_OIDC_TOKEN }`

    deploy.yaml: 1 fault
    "#);
    insta::assert_snapshot!(edited("api:1", "api:${GITLAB_OIDC_TOKEN}"), @r#"
      × `${GITLAB_OIDC_TOKEN}` is the ID token, and the token never passes through the manifest
        ╭─[deploy.yaml:20:25]
     19 │     cluster: web
     20 │     images: { app: "api:${GITLAB_OIDC_TOKEN}" }
        ·                         ────────────────────
     21 │ rollout:
        ╰────
      help: name the variable instead: `identity: { token_env: GITLAB_OIDC_TOKEN }`

    deploy.yaml: 1 fault
    "#);
}

#[test]
fn every_unset_variable_at_its_place() {
    insta::assert_snapshot!(edited("api:1\" }", "api:${SHAA}\", log: \"log:${LOG_SHA:?set it in the project}\" }"), @r#"
      × the variable `SHAA` is not set
        ╭─[deploy.yaml:20:25]
     19 │     cluster: web
     20 │     images: { app: "api:${SHAA}", log: "log:${LOG_SHA:?set it in the project}" }
        ·                         ───────
     21 │ rollout:
        ╰────
      help: set `SHAA` for the job, or give a default: `${SHAA:-...}`

      × the variable `LOG_SHA` is not set: set it in the project
        ╭─[deploy.yaml:20:45]
     19 │     cluster: web
     20 │     images: { app: "api:${SHAA}", log: "log:${LOG_SHA:?set it in the project}" }
        ·                                             ─────────
     21 │ rollout:
        ╰────
      help: set `LOG_SHA` for the job, or give a default: `${LOG_SHA:-...}`

    deploy.yaml: 2 faults
    "#);
}

#[test]
fn references_that_are_malformed() {
    insta::assert_snapshot!(edited("api:1", "api:${SHA"), @r#"
      × `${` is never closed
        ╭─[deploy.yaml:20:25]
     19 │     cluster: web
     20 │     images: { app: "api:${SHA" }
        ·                         ─────
     21 │ rollout:
        ╰────
      help: add `}`, or write `$${` for a literal `${`

    deploy.yaml: 1 fault
    "#);
    insta::assert_snapshot!(edited("api:1", "api:${SHA-1}"), @r#"
      × `${SHA` is followed by something that is not known
        ╭─[deploy.yaml:20:25]
     19 │     cluster: web
     20 │     images: { app: "api:${SHA-1}" }
        ·                         ─────
     21 │ rollout:
        ╰────
      help: `${SHA}`, `${SHA:-default}` and `${SHA:?message}` exist; write `$${` for a literal `${`

    deploy.yaml: 1 fault
    "#);
    insta::assert_snapshot!(edited("api:1", "api:${}"), @r#"
      × `${` is not followed by a name
        ╭─[deploy.yaml:20:25]
     19 │     cluster: web
     20 │     images: { app: "api:${}" }
        ·                         ───
     21 │ rollout:
        ╰────
      help: write `$${` for a literal `${`

    deploy.yaml: 1 fault
    "#);
}

#[test]
fn names_that_a_target_does_not_have() {
    insta::assert_snapshot!(edited("api:1", "api:${account.nmae}"), @r#"
      × unknown name `${account.nmae}`
        ╭─[deploy.yaml:20:25]
     19 │     cluster: web
     20 │     images: { app: "api:${account.nmae}" }
        ·                         ───────────────
     21 │ rollout:
        ╰────
      help: did you mean `${account.name}`?

    deploy.yaml: 1 fault
    "#);
    insta::assert_snapshot!(edited("api:1", "api:${vars.tag}"), @r#"
      × accounts `staging`, `prod` have no `tag` in their `vars`
        ╭─[deploy.yaml:20:25]
     19 │     cluster: web
     20 │     images: { app: "api:${vars.tag}" }
        ·                         ───────────
     21 │ rollout:
        ╰────
      help: add `tag` to `vars`, or give a default: `${vars.tag:-...}`

    deploy.yaml: 1 fault
    "#);
}

#[test]
fn names_that_are_not_known_here() {
    insta::assert_snapshot!(edited("role/deployer", "role/deployer-${region}"), @r#"
      × `${region}` is not known here
       ╭─[deploy.yaml:5:52]
     4 │   deployer:
     5 │     arn: "arn:aws:iam::${account.id}:role/deployer-${region}"
       ·                                                    ─────────
     6 │ accounts:
       ╰────
      help: here `${account.id}`, `${account.name}` and `${vars.*}` are known

    deploy.yaml: 1 fault
    "#);
    insta::assert_snapshot!(edited("name: rest", "name: \"${region}\""), @r#"
      × `${region}` is not known here
        ╭─[deploy.yaml:24:14]
     23 │     - { name: canary, select: { env: staging } }
     24 │     - name: "${region}"
        ·              ─────────
        ╰────
      help: only an environment variable, `${NAME}`, can be used here

    deploy.yaml: 1 fault
    "#);
    insta::assert_snapshot!(edited("env: prod", "env: \"${account.name}\""), @r#"
      × `${account.name}` is not known here
        ╭─[deploy.yaml:16:21]
     15 │     regions: [eu-west-1, us-east-1]
     16 │     labels: { env: "${account.name}" }
        ·                     ───────────────
     17 │ services:
        ╰────
      help: only an environment variable, `${NAME}`, can be used here

    deploy.yaml: 1 fault
    "#);
}

#[test]
fn keys_are_not_interpolated() {
    insta::assert_snapshot!(edited("{ app: \"api:1\" }", "{ \"${SHA}\": \"api:1\" }"), @r#"
      × keys are not interpolated
        ╭─[deploy.yaml:20:15]
     19 │     cluster: web
     20 │     images: { "${SHA}": "api:1" }
        ·               ────────
     21 │ rollout:
        ╰────
      help: write the key out

    deploy.yaml: 1 fault
    "#);
}

#[test]
fn unknown_words_in_a_selector() {
    insta::assert_snapshot!(edited("{ env: staging } }\n", "{ evn: staging } }\n"), @r"
      × no account has the label `evn`
        ╭─[deploy.yaml:23:33]
     22 │   waves:
     23 │     - { name: canary, select: { evn: staging } }
        ·                                 ───
     24 │     - name: rest
        ╰────
      help: did you mean `env`?

    deploy.yaml: 1 fault
    ");
    insta::assert_snapshot!(edited("select: { env: staging }", "select: { env: [stagign], account: dev, not: { region: eu-west-2 } }"), @r"
      × no account has `env: stagign`
        ╭─[deploy.yaml:23:39]
     22 │   waves:
     23 │     - { name: canary, select: { env: [stagign], account: dev, not: { region: eu-west-2 } } }
        ·                                       ───────
     24 │     - name: rest
        ╰────
      help: did you mean `staging`?

      × unknown account `dev`
        ╭─[deploy.yaml:23:58]
     22 │   waves:
     23 │     - { name: canary, select: { env: [stagign], account: dev, not: { region: eu-west-2 } } }
        ·                                                          ───
     24 │     - name: rest
        ╰────
      help: known: `prod`, `staging`

      × no account is in the region `eu-west-2`
        ╭─[deploy.yaml:23:78]
     22 │   waves:
     23 │     - { name: canary, select: { env: [stagign], account: dev, not: { region: eu-west-2 } } }
        ·                                                                              ─────────
     24 │     - name: rest
        ╰────
      help: did you mean `eu-west-1`?

    deploy.yaml: 3 faults
    ");
}

#[test]
fn a_target_in_no_wave() {
    insta::assert_snapshot!(edited("    - name: rest\n", ""), @r"
      × 2 targets are in no wave: prod/eu-west-1/api, prod/us-east-1/api
        ╭─[deploy.yaml:23:5]
     22 │   waves:
     23 │     - { name: canary, select: { env: staging } }
        ·     ────────────────────────────────────────
        ╰────
      help: add a wave without `select`: it takes the rest

    deploy.yaml: 1 fault
    ");
}

#[test]
fn a_target_in_two_waves() {
    insta::assert_snapshot!(edited("name: rest", "{ name: rest, select: { region: eu-west-1 } }\n    - name: last"), @r"
      × 1 target is in both `canary` and `rest`: staging/eu-west-1/api
        ╭─[deploy.yaml:24:15]
     22 │   waves:
     23 │     - { name: canary, select: { env: staging } }
        ·               ───┬──
        ·                  ╰── the other wave
     24 │     - { name: rest, select: { region: eu-west-1 } }
        ·               ────
     25 │     - name: last
        ╰────
      help: exclude them with `not` in one of the two, or let `rest` take the rest

    deploy.yaml: 1 fault
    ");
}

#[test]
fn two_waves_that_take_the_rest() {
    insta::assert_snapshot!(edited("name: rest", "name: rest\n    - name: more"), @r"
      × two waves have no `select`: only one can take the rest
        ╭─[deploy.yaml:25:13]
     23 │     - { name: canary, select: { env: staging } }
     24 │     - name: rest
        ·             ──┬─
        ·               ╰── and this one
     25 │     - name: more
        ·             ──┬─
        ·               ╰── this one
        ╰────
      help: give one of them a `select`

    deploy.yaml: 1 fault
    ");
}

#[test]
fn a_wave_without_targets_is_a_warning() {
    insta::assert_snapshot!(edited("name: rest", "name: rest\n    - { name: none, select: { env: prod, account: staging } }"), @r#"no fault; warnings: ["wave `none` has no targets"]"#);
}

#[test]
fn amounts_that_start_nothing() {
    insta::assert_snapshot!(edited("name: rest", "name: rest\n      max_parallel: [1, 0%]\n      max_parallel_per_account: 0"), @r"
      × `max_parallel` is 0: nothing would ever start
        ╭─[deploy.yaml:25:25]
     24 │     - name: rest
     25 │       max_parallel: [1, 0%]
        ·                         ──
     26 │       max_parallel_per_account: 0
        ╰────
      help: write 1 or more; for a person's go-ahead before a wave, use `gate: manual`

      × `max_parallel_per_account` is 0: nothing would ever start
        ╭─[deploy.yaml:26:33]
     25 │       max_parallel: [1, 0%]
     26 │       max_parallel_per_account: 0
        ·                                 ─
        ╰────
      help: write 1 or more, or remove the key for no bound

    deploy.yaml: 2 faults
    ");
}

#[test]
fn amounts_that_are_none() {
    insta::assert_snapshot!(edited("name: rest", "name: rest\n      max_parallel: some\n      max_failures: 101%"), @r"
      × `some` is not an amount
        ╭─[deploy.yaml:25:21]
     24 │     - name: rest
     25 │       max_parallel: some
        ·                     ────
     26 │       max_failures: 101%
        ╰────
      help: write a number of targets, `5`, or a per cent of the wave, `25%`

      × `101%` is not a per cent
        ╭─[deploy.yaml:26:21]
     25 │       max_parallel: some
     26 │       max_failures: 101%
        ·                     ────
        ╰────
      help: write `0%` to `100%`, in whole numbers

    deploy.yaml: 2 faults
    ");
}

#[test]
fn durations_that_are_none() {
    insta::assert_snapshot!(edited("  waves:", "  timeout: 0\n  waves:"), @r"
      × the timeout is 0: every target would time out
        ╭─[deploy.yaml:22:12]
     21 │ rollout:
     22 │   timeout: 0
        ·            ─
     23 │   waves:
        ╰────
      help: write how long one may take

    deploy.yaml: 1 fault
    ");
    insta::assert_snapshot!(edited("name: rest", "name: rest\n      bake: soon"), @r"
      × `soon` is not a duration
        ╭─[deploy.yaml:25:13]
     24 │     - name: rest
     25 │       bake: soon
        ·             ────
        ╰────
      help: write `90s`, `10m` or `1h30m`; a bare number is seconds

    deploy.yaml: 1 fault
    ");
}

#[test]
fn words_that_are_not_known() {
    insta::assert_snapshot!(edited("  waves:", "  on_busy: waits\n  waves:"), @r"
      × `on_busy` cannot be `waits`
        ╭─[deploy.yaml:22:12]
     21 │ rollout:
     22 │   on_busy: waits
        ·            ─────
     23 │   waves:
        ╰────
      help: did you mean `wait`?

    deploy.yaml: 1 fault
    ");
    insta::assert_snapshot!(edited("  waves:", "  on_failure: rolback\n  waves:"), @r"
      × `on_failure` cannot be `rolback`
        ╭─[deploy.yaml:22:15]
     21 │ rollout:
     22 │   on_failure: rolback
        ·               ───────
     23 │   waves:
        ╰────
      help: did you mean `rollback`?

    deploy.yaml: 1 fault
    ");
    insta::assert_snapshot!(edited("name: rest", "name: rest\n      on_cancel: stop"), @r"
      × `on_cancel` cannot be `stop`
        ╭─[deploy.yaml:25:18]
     24 │     - name: rest
     25 │       on_cancel: stop
        ·                  ────
        ╰────
      help: known: `detach`, `rollback`

    deploy.yaml: 1 fault
    ");
    insta::assert_snapshot!(edited("name: rest", "name: rest\n      gate: manuel"), @r"
      × `gate` cannot be `manuel`
        ╭─[deploy.yaml:25:13]
     24 │     - name: rest
     25 │       gate: manuel
        ·             ──────
        ╰────
      help: did you mean `manual`?

    deploy.yaml: 1 fault
    ");
}

/// The faults of `deployment:` settings of the service.
fn settings(text: &str) -> String {
    edited("cluster: web", &format!("cluster: web\n    deployment: {{ {text} }}"))
}

#[test]
fn a_strategy_with_steps_of_another() {
    insta::assert_snapshot!(settings("strategy: BLUE_GREEN, linear_configuration: { step_percent: 2 }"), @r#"
      × BLUE_GREEN needs `bake_time_in_minutes`
        ╭─[deploy.yaml:20:29]
     19 │     cluster: web
     20 │     deployment: { strategy: BLUE_GREEN, linear_configuration: { step_percent: 2 } }
        ·                             ──────────
     21 │     images: { app: "api:1" }
        ╰────
      help: add `bake_time_in_minutes:`, for how long both revisions run after the traffic moved; 0 is a
            time

      × `linear_configuration` is not for the strategy BLUE_GREEN
        ╭─[deploy.yaml:20:63]
     19 │     cluster: web
     20 │     deployment: { strategy: BLUE_GREEN, linear_configuration: { step_percent: 2 } }
        ·                                                               ─────────────────
     21 │     images: { app: "api:1" }
        ╰────
      help: remove it, or write `strategy: LINEAR`

      × `step_percent` cannot be 2
        ╭─[deploy.yaml:20:79]
     19 │     cluster: web
     20 │     deployment: { strategy: BLUE_GREEN, linear_configuration: { step_percent: 2 } }
        ·                                                                               ─
     21 │     images: { app: "api:1" }
        ╰────
      help: write 3 to 100

    deploy.yaml: 3 faults
    "#);
}

#[test]
fn a_canary_out_of_range() {
    insta::assert_snapshot!(settings("strategy: CANARY, canary_configuration: { canary_percent: 12.55, canary_bake_time_in_minutes: 1441 }"), @r#"
      × `canary_percent` is finer than ECS counts
        ╭─[deploy.yaml:20:77]
     19 │     cluster: web
     20 │     deployment: { strategy: CANARY, canary_configuration: { canary_percent: 12.55, canary_bake_time_in_minutes: 1441 } }
        ·                                                                             ─────
     21 │     images: { app: "api:1" }
        ╰────
      help: write one digit after the point

      × `canary_bake_time_in_minutes` cannot be 1441
        ╭─[deploy.yaml:20:113]
     19 │     cluster: web
     20 │     deployment: { strategy: CANARY, canary_configuration: { canary_percent: 12.55, canary_bake_time_in_minutes: 1441 } }
        ·                                                                                                                 ────
     21 │     images: { app: "api:1" }
        ╰────
      help: write 0 to 1440

    deploy.yaml: 2 faults
    "#);
}

#[test]
fn a_strategy_that_is_none() {
    insta::assert_snapshot!(settings("strategy: CANARRY"), @r#"
      × `strategy` cannot be `CANARRY`
        ╭─[deploy.yaml:20:29]
     19 │     cluster: web
     20 │     deployment: { strategy: CANARRY }
        ·                             ───────
     21 │     images: { app: "api:1" }
        ╰────
      help: did you mean `CANARY`?

    deploy.yaml: 1 fault
    "#);
}

#[test]
fn lifecycle_hooks_at_stages_that_have_none() {
    let hooks = "lifecycle_hooks: [ { target_type: PAUSE, lifecycle_stages: [SCALE_UP, TEST_TRAFFIC_SHIFT] }, { lifecycle_stages: [PRE_SCALEUP] } ]";
    insta::assert_snapshot!(settings(hooks), @r#"
      × ECS calls no hook at SCALE_UP
        ╭─[deploy.yaml:20:79]
     19 │     cluster: web
     20 │     deployment: { lifecycle_hooks: [ { target_type: PAUSE, lifecycle_stages: [SCALE_UP, TEST_TRAFFIC_SHIFT] }, { lifecycle_stages: [PRE_SCALEUP] } ] }
        ·                                                                               ────────
     21 │     images: { app: "api:1" }
        ╰────
      help: choose one of RECONCILE_SERVICE, PRE_SCALE_UP, POST_SCALE_UP, TEST_TRAFFIC_SHIFT,
            POST_TEST_TRAFFIC_SHIFT, PRE_PRODUCTION_TRAFFIC_SHIFT, PRODUCTION_TRAFFIC_SHIFT,
            POST_PRODUCTION_TRAFFIC_SHIFT

      × ECS does not pause at TEST_TRAFFIC_SHIFT
        ╭─[deploy.yaml:20:89]
     19 │     cluster: web
     20 │     deployment: { lifecycle_hooks: [ { target_type: PAUSE, lifecycle_stages: [SCALE_UP, TEST_TRAFFIC_SHIFT] }, { lifecycle_stages: [PRE_SCALEUP] } ] }
        ·                                                                                         ──────────────────
     21 │     images: { app: "api:1" }
        ╰────
      help: pause at POST_TEST_TRAFFIC_SHIFT instead, or call a Lambda function here

      × a hook of AWS_LAMBDA has no `hook_target_arn`
        ╭─[deploy.yaml:20:112]
     19 │     cluster: web
     20 │     deployment: { lifecycle_hooks: [ { target_type: PAUSE, lifecycle_stages: [SCALE_UP, TEST_TRAFFIC_SHIFT] }, { lifecycle_stages: [PRE_SCALEUP] } ] }
        ·                                                                                                                ────────────────────────────────
     21 │     images: { app: "api:1" }
        ╰────
      help: add `hook_target_arn:`

      × there is no lifecycle stage `PRE_SCALEUP`
        ╭─[deploy.yaml:20:133]
     19 │     cluster: web
     20 │     deployment: { lifecycle_hooks: [ { target_type: PAUSE, lifecycle_stages: [SCALE_UP, TEST_TRAFFIC_SHIFT] }, { lifecycle_stages: [PRE_SCALEUP] } ] }
        ·                                                                                                                                     ───────────
     21 │     images: { app: "api:1" }
        ╰────
      help: did you mean `PRE_SCALE_UP`?

    deploy.yaml: 4 faults
    "#);
}

#[test]
fn a_pause_hook_that_calls_something() {
    let hooks = "lifecycle_hooks: [ { target_type: PAUSE, role_arn: x, lifecycle_stages: [], timeout: { timeout_in_minutes: 0, action: STOP } } ]";
    insta::assert_snapshot!(settings(hooks), @r#"
      × a PAUSE hook has no `role_arn`
        ╭─[deploy.yaml:20:70]
     19 │     cluster: web
     20 │     deployment: { lifecycle_hooks: [ { target_type: PAUSE, role_arn: x, lifecycle_stages: [], timeout: { timeout_in_minutes: 0, action: STOP } } ] }
        ·                                                                      ─
     21 │     images: { app: "api:1" }
        ╰────
      help: remove it: a PAUSE hook calls nothing

      × a PAUSE hook names no stage
        ╭─[deploy.yaml:20:91]
     19 │     cluster: web
     20 │     deployment: { lifecycle_hooks: [ { target_type: PAUSE, role_arn: x, lifecycle_stages: [], timeout: { timeout_in_minutes: 0, action: STOP } } ] }
        ·                                                                                           ─
     21 │     images: { app: "api:1" }
        ╰────
      help: name one, such as POST_TEST_TRAFFIC_SHIFT

      × `timeout_in_minutes` cannot be 0
        ╭─[deploy.yaml:20:126]
     19 │     cluster: web
     20 │     deployment: { lifecycle_hooks: [ { target_type: PAUSE, role_arn: x, lifecycle_stages: [], timeout: { timeout_in_minutes: 0, action: STOP } } ] }
        ·                                                                                                                              ─
     21 │     images: { app: "api:1" }
        ╰────
      help: write 1 to 20160

      × `action` cannot be `STOP`
        ╭─[deploy.yaml:20:137]
     19 │     cluster: web
     20 │     deployment: { lifecycle_hooks: [ { target_type: PAUSE, role_arn: x, lifecycle_stages: [], timeout: { timeout_in_minutes: 0, action: STOP } } ] }
        ·                                                                                                                                         ────
     21 │     images: { app: "api:1" }
        ╰────
      help: known: `ROLLBACK`, `CONTINUE`

    deploy.yaml: 4 faults
    "#);
}

#[test]
fn alarms_that_name_none_and_an_early_success_that_comes_too_early() {
    let text = "alarms: { alarm_names: [], enable: true, rollback: true }, minimum_healthy_percent: 50, \
                early_success_criteria: { enable: true, healthy_percent: 40, source_service_revision_cleanup: LATER }";
    insta::assert_snapshot!(settings(text), @r#"
      × `alarms` is enabled and names no alarm
        ╭─[deploy.yaml:20:42]
     19 │     cluster: web
     20 │     deployment: { alarms: { alarm_names: [], enable: true, rollback: true }, minimum_healthy_percent: 50, early_success_criteria: { enable: true, healthy_percent: 40, source_service_revision_cleanup: LATER } }
        ·                                          ─
     21 │     images: { app: "api:1" }
        ╰────
      help: name one, or write `enable: false`

      × `healthy_percent` is 40, less than `minimum_healthy_percent`
        ╭─[deploy.yaml:20:164]
     19 │     cluster: web
     20 │     deployment: { alarms: { alarm_names: [], enable: true, rollback: true }, minimum_healthy_percent: 50, early_success_criteria: { enable: true, healthy_percent: 40, source_service_revision_cleanup: LATER } }
        ·                                                                                                       ─┬                                                           ──
        ·                                                                                                        ╰── the minimum
     21 │     images: { app: "api:1" }
        ╰────
      help: write 50 to 100

      × `source_service_revision_cleanup` cannot be `LATER`
        ╭─[deploy.yaml:20:201]
     19 │     cluster: web
     20 │     deployment: { alarms: { alarm_names: [], enable: true, rollback: true }, minimum_healthy_percent: 50, early_success_criteria: { enable: true, healthy_percent: 40, source_service_revision_cleanup: LATER } }
        ·                                                                                                                                                                                                         ─────
     21 │     images: { app: "api:1" }
        ╰────
      help: known: `BLOCKING`, `DEFERRED`

    deploy.yaml: 3 faults
    "#);
}

#[test]
fn early_success_without_its_members_and_for_another_strategy() {
    let text = "strategy: CANARY, early_success_criteria: { enable: true }, circuit_breaker: { enable: true, rollback: true, threshold: { type: PERCENT, value: 1 } }";
    insta::assert_snapshot!(settings(text), @r#"
      × `early_success_criteria` has no `healthy_percent`
        ╭─[deploy.yaml:20:61]
     19 │     cluster: web
     20 │     deployment: { strategy: CANARY, early_success_criteria: { enable: true }, circuit_breaker: { enable: true, rollback: true, threshold: { type: PERCENT, value: 1 } } }
        ·                                                             ──────────────
     21 │     images: { app: "api:1" }
        ╰────
      help: add `healthy_percent:`

      × `early_success_criteria` has no `source_service_revision_cleanup`
        ╭─[deploy.yaml:20:61]
     19 │     cluster: web
     20 │     deployment: { strategy: CANARY, early_success_criteria: { enable: true }, circuit_breaker: { enable: true, rollback: true, threshold: { type: PERCENT, value: 1 } } }
        ·                                                             ──────────────
     21 │     images: { app: "api:1" }
        ╰────
      help: add `source_service_revision_cleanup:`

      × `early_success_criteria` is not for the strategy CANARY
        ╭─[deploy.yaml:20:61]
     19 │     cluster: web
     20 │     deployment: { strategy: CANARY, early_success_criteria: { enable: true }, circuit_breaker: { enable: true, rollback: true, threshold: { type: PERCENT, value: 1 } } }
        ·                                                             ──────────────
     21 │     images: { app: "api:1" }
        ╰────
      help: remove it: only ROLLING has it

      × `type` cannot be `PERCENT`
        ╭─[deploy.yaml:20:147]
     19 │     cluster: web
     20 │     deployment: { strategy: CANARY, early_success_criteria: { enable: true }, circuit_breaker: { enable: true, rollback: true, threshold: { type: PERCENT, value: 1 } } }
        ·                                                                                                                                                   ───────
     21 │     images: { app: "api:1" }
        ╰────
      help: known: `BOUNDED_PERCENT`, `UNBOUNDED_PERCENT`, `COUNT`

    deploy.yaml: 4 faults
    "#);
}

#[test]
fn bakes_that_outlast_the_timeout() {
    insta::assert_snapshot!(settings("strategy: LINEAR, bake_time_in_minutes: 30"), @r#"no fault; warnings: ["service `api` bakes for 1h 24m in ECS, and `rollout.timeout` is 20m: its deployments cannot end in time; raise the timeout"]"#);
    insta::assert_snapshot!(settings("strategy: BLUE_GREEN, bake_time_in_minutes: 5, lifecycle_hooks: [ { hook_target_arn: a, hook_details: { level: 3, of: { a: [b] } }, lifecycle_stages: [PRE_SCALE_UP] } ]"), @"no fault; warnings: []");
}

#[test]
fn alarms_that_nothing_looks_at() {
    insta::assert_snapshot!(edited("  waves:", "  alarms: [api-5xx]\n  waves:"), @r"
      × `alarms` are looked at during a bake, and no wave has a bake
        ╭─[deploy.yaml:22:11]
     21 │ rollout:
     22 │   alarms: [api-5xx]
        ·           ────────
     23 │   waves:
        ╰────
      help: add `bake: 10m`

    deploy.yaml: 1 fault
    ");
    insta::assert_snapshot!(edited("name: rest", "name: rest\n      alarms: [api-5xx]"), @r"
      × `alarms` are looked at during a bake, and wave `rest` has no bake
        ╭─[deploy.yaml:25:15]
     24 │     - name: rest
     25 │       alarms: [api-5xx]
        ·               ────────
        ╰────
      help: add `bake: 10m`

    deploy.yaml: 1 fault
    ");
    insta::assert_snapshot!(edited("name: rest", "name: rest\n      bake: 5m\n      alarms: [\"\", \"${vars.x}-5xx\"]"), @r#"
      × the alarm has no name
        ╭─[deploy.yaml:26:16]
     25 │       bake: 5m
     26 │       alarms: ["", "${vars.x}-5xx"]
        ·                ──
        ╰────
      help: write that of a CloudWatch alarm; check the variables in it

      × account `prod` has no `x` in its `vars`
        ╭─[deploy.yaml:26:21]
     25 │       bake: 5m
     26 │       alarms: ["", "${vars.x}-5xx"]
        ·                     ─────────
        ╰────
      help: add `x` to `vars`, or give a default: `${vars.x:-...}`

    deploy.yaml: 2 faults
    "#);
    insta::assert_snapshot!(edited("name: rest", "name: rest\n      bake: 5m\n      alarms: [\"${region}-5xx\"]"), @r"
    no fault; warnings: []
    ");
}

#[test]
fn deployments_by_codedeploy() {
    let by = |codedeploy: &str| edited("cluster: web", &format!("cluster: web\n    codedeploy: {codedeploy}"));
    insta::assert_snapshot!(by("{ application: shop }"), @r#"
      × `codedeploy` has no `deployment_group`
        ╭─[deploy.yaml:20:17]
     19 │     cluster: web
     20 │     codedeploy: { application: shop }
        ·                 ───────────────────
     21 │     images: { app: "api:1" }
        ╰────
      help: add `deployment_group:`

      × `codedeploy` has no `container`
        ╭─[deploy.yaml:20:17]
     19 │     cluster: web
     20 │     codedeploy: { application: shop }
        ·                 ───────────────────
     21 │     images: { app: "api:1" }
        ╰────
      help: add `container:`

      × `codedeploy` has no `port`
        ╭─[deploy.yaml:20:17]
     19 │     cluster: web
     20 │     codedeploy: { application: shop }
        ·                 ───────────────────
     21 │     images: { app: "api:1" }
        ╰────
      help: add `port:`

    deploy.yaml: 3 faults
    "#);
    insta::assert_snapshot!(by("{ application: shop, deployment_group: \"\", container: app, port: 70000 }"), @r#"
      × `deployment_group` is empty
        ╭─[deploy.yaml:20:56]
     19 │     cluster: web
     20 │     codedeploy: { application: shop, deployment_group: "", container: app, port: 70000 }
        ·                                                        ──
     21 │     images: { app: "api:1" }
        ╰────
      help: check the variables in it

      × `70000` is not a port
        ╭─[deploy.yaml:20:82]
     19 │     cluster: web
     20 │     codedeploy: { application: shop, deployment_group: "", container: app, port: 70000 }
        ·                                                                                  ─────
     21 │     images: { app: "api:1" }
        ╰────
      help: write a number from 1 to 65535

    deploy.yaml: 2 faults
    "#);
    insta::assert_snapshot!(by("{ application: a, deployment_group: g, port: 80, appspec: plain.json }"), @r#"
      × the AppSpec file says the container and its port already
        ╭─[deploy.yaml:20:62]
     19 │     cluster: web
     20 │     codedeploy: { application: a, deployment_group: g, port: 80, appspec: plain.json }
        ·                                                              ──
     21 │     images: { app: "api:1" }
        ╰────
      help: keep either `appspec`, or `container` and `port`

      × `plain.json` has no place for the task definition
        ╭─[deploy.yaml:20:75]
     19 │     cluster: web
     20 │     codedeploy: { application: a, deployment_group: g, port: 80, appspec: plain.json }
        ·                                                                           ──────────
     21 │     images: { app: "api:1" }
        ╰────
      help: write `<TASK_DEFINITION>` where the ARN goes: `TaskDefinition: <TASK_DEFINITION>`

    deploy.yaml: 2 faults
    "#);
    insta::assert_snapshot!(by("{ application: a, deployment_group: g, appspec: none.yaml }"), @r#"
      × `none.yaml`: the file does not exist
        ╭─[deploy.yaml:20:65]
     19 │     cluster: web
     20 │     codedeploy: { application: a, deployment_group: g, appspec: none.yaml }
        ·                                                                 ─────────
     21 │     images: { app: "api:1" }
        ╰────
      help: looked for tests/manifest/none.yaml: the path is relative to the manifest

    deploy.yaml: 1 fault
    "#);
}

#[test]
fn how_to_go_back_where_nothing_does() {
    insta::assert_snapshot!(edited("  waves:", "  rollback_scope: run\n  waves:"), @r"
      × `rollback_scope` says how to go back, and nothing goes back here
        ╭─[deploy.yaml:22:19]
     21 │ rollout:
     22 │   rollback_scope: run
        ·                   ───
     23 │   waves:
        ╰────
      help: add `on_failure: rollback`, or remove the key

    deploy.yaml: 1 fault
    ");
    insta::assert_snapshot!(
        edited("name: rest", "name: rest\n      on_failure: stop\n      rollback_timeout: 5m"),
        @r"
      × `rollback_timeout` says how to go back, and nothing goes back here
        ╭─[deploy.yaml:26:25]
     25 │       on_failure: stop
     26 │       rollback_timeout: 5m
        ·                         ──
        ╰────
      help: add `on_failure: rollback`, or remove the key

    deploy.yaml: 1 fault
    "
    );
    insta::assert_snapshot!(edited("  waves:", "  on_failure: rollback\n  rollback_timeout: 0s\n  waves:"), @r"
      × the timeout is 0: every return would time out
        ╭─[deploy.yaml:23:21]
     22 │   on_failure: rollback
     23 │   rollback_timeout: 0s
        ·                     ──
     24 │   waves:
        ╰────
      help: write how long one may take

    deploy.yaml: 1 fault
    ");
}

#[test]
fn a_deployment_that_cannot_move() {
    let deployment = "cluster: web\n    deployment: { circuit_breaker: { enable: true }, minimum_healthy_percent: 100, maximum_percent: 100 }";
    insta::assert_snapshot!(edited("cluster: web", deployment), @r#"
      × `circuit_breaker` has no `rollback`
        ╭─[deploy.yaml:20:36]
     19 │     cluster: web
     20 │     deployment: { circuit_breaker: { enable: true }, minimum_healthy_percent: 100, maximum_percent: 100 }
        ·                                    ──────────────
     21 │     images: { app: "api:1" }
        ╰────
      help: add `rollback:`

      × `maximum_percent` is 100 and `minimum_healthy_percent` 100: no task can move
        ╭─[deploy.yaml:20:101]
     19 │     cluster: web
     20 │     deployment: { circuit_breaker: { enable: true }, minimum_healthy_percent: 100, maximum_percent: 100 }
        ·                                                                               ─┬─                   ───
        ·                                                                                ╰── the minimum
     21 │     images: { app: "api:1" }
        ╰────
      help: leave room to start a task first (100 and 200) or to stop one (50 and 100)

    deploy.yaml: 2 faults
    "#);
}

#[test]
fn two_services_that_are_the_same() {
    insta::assert_snapshot!(edited("  - name: api", "  - { name: web, cluster: web, service: api }\n  - name: api"), @r"
      × services `web` and `api` are the same ECS service: `api` in web, account 222222222222, eu-west-1
        ╭─[deploy.yaml:19:11]
     17 │ services:
     18 │   - { name: web, cluster: web, service: api }
        ·             ─┬─
        ·              ╰── the other one
     19 │   - name: api
        ·           ───
     20 │     cluster: web
        ╰────
      help: change `service`, `cluster` or `select`, so that each target is there once

    deploy.yaml: 1 fault
    ");
}

#[test]
fn a_name_that_is_a_variable_and_a_secret() {
    let both = "cluster: web\n    environment: { app: { DB: x } }\n    secrets: { app: { DB: \"arn:aws:ssm:${region}:${account.id}:parameter/db\" } }";
    insta::assert_snapshot!(edited("cluster: web", both), @r#"
      × `DB` is both a variable and a secret of container `app`
        ╭─[deploy.yaml:21:23]
     19 │     cluster: web
     20 │     environment: { app: { DB: x } }
        ·                           ─┬
        ·                            ╰── the variable
     21 │     secrets: { app: { DB: "arn:aws:ssm:${region}:${account.id}:parameter/db" } }
        ·                       ──
     22 │     images: { app: "api:1" }
        ╰────
      help: keep one: ECS refuses a name that is there twice

    deploy.yaml: 1 fault
    "#);
}

#[test]
fn a_secret_that_tasks_cannot_read() {
    for (arn, words) in [
        ("arn:aws:ssm:${region}:999999999999:parameter/db", "is of account 999999999999"),
        ("arn:aws:s3:::bucket", "is an ARN of `s3`, and no secret"),
        ("arn:aws:ssm:${region}::parameter/db", "names no account"),
        ("arn:aws-cn:ssm:${region}:${account.id}:parameter/db", "is of the partition aws-cn"),
    ] {
        let secrets = format!("cluster: web\n    secrets: {{ app: {{ DB: \"{arn}\" }} }}");
        let text = edited("cluster: web", &secrets);
        let text = text.split_whitespace().filter(|word| *word != "│").collect::<Vec<_>>().join(" ");
        assert!(text.contains(words), "{text}");
    }
}

#[test]
fn an_empty_image() {
    insta::assert_snapshot!(edited("api:1", "${EMPTY}"), @r#"
      × the image is empty
        ╭─[deploy.yaml:20:20]
     19 │     cluster: web
     20 │     images: { app: "${EMPTY}" }
        ·                    ──────────
     21 │ rollout:
        ╰────
      help: `EMPTY` is empty in this job: is it set, and not kept from this branch as a protected
            variable?

    deploy.yaml: 1 fault
    "#);
}

#[test]
fn a_task_definition_that_is_not_there() {
    insta::assert_snapshot!(edited("cluster: web", "cluster: web\n    task_definition: deploy/api.json"), @r#"
      × `deploy/api.json`: the file does not exist
        ╭─[deploy.yaml:20:22]
     19 │     cluster: web
     20 │     task_definition: deploy/api.json
        ·                      ───────────────
     21 │     images: { app: "api:1" }
        ╰────
      help: looked for tests/manifest/deploy/api.json: the path is relative to the manifest

    deploy.yaml: 1 fault
    "#);
}

#[test]
fn a_revision_that_is_written_as_a_path() {
    insta::assert_snapshot!(edited("cluster: web", "cluster: web\n    task_definition: api:12"), @r#"
      × `api:12`: the file does not exist
        ╭─[deploy.yaml:20:22]
     19 │     cluster: web
     20 │     task_definition: api:12
        ·                      ──────
     21 │     images: { app: "api:1" }
        ╰────
      help: for a revision that exists write { family: api, revision: 12 }

    deploy.yaml: 1 fault
    "#);
}

#[test]
fn a_revision_without_a_family_and_with_an_unknown_key() {
    insta::assert_snapshot!(edited("cluster: web", "cluster: web\n    task_definition: { revision: 12 }"), @r#"
      × `task_definition` has no `family`
        ╭─[deploy.yaml:20:22]
     19 │     cluster: web
     20 │     task_definition: { revision: 12 }
        ·                      ──────────────
     21 │     images: { app: "api:1" }
        ╰────
      help: add `family:`

    deploy.yaml: 1 fault
    "#);
    insta::assert_snapshot!(edited("cluster: web", "cluster: web\n    task_definition: { family: api, revison: 12 }"), @r#"
      × unknown key `revison` in `task_definition`
        ╭─[deploy.yaml:20:37]
     19 │     cluster: web
     20 │     task_definition: { family: api, revison: 12 }
        ·                                     ───────
     21 │     images: { app: "api:1" }
        ╰────
      help: did you mean `revision`?

    deploy.yaml: 1 fault
    "#);
}

#[test]
fn a_revision_that_cannot_be() {
    insta::assert_snapshot!(edited("cluster: web", "cluster: web\n    task_definition: { family: \"api:12\" }"), @r#"
      × `api:12` is not a task definition's family
        ╭─[deploy.yaml:20:32]
     19 │     cluster: web
     20 │     task_definition: { family: "api:12" }
        ·                                ────────
     21 │     images: { app: "api:1" }
        ╰────
      help: write { family: api, revision: 12 }

    deploy.yaml: 1 fault
    "#);
    insta::assert_snapshot!(edited("cluster: web", "cluster: web\n    task_definition: { family: a.b, revision: 1 }"), @r#"
      × `a.b` is not a task definition's family
        ╭─[deploy.yaml:20:32]
     19 │     cluster: web
     20 │     task_definition: { family: a.b, revision: 1 }
        ·                                ───
     21 │     images: { app: "api:1" }
        ╰────
      help: a family is up to 255 letters, digits, `_` and `-`

    deploy.yaml: 1 fault
    "#);
    insta::assert_snapshot!(edited("cluster: web", "cluster: web\n    task_definition: { family: api, revision: 0 }"), @r#"
      × there is no revision 0
        ╭─[deploy.yaml:20:47]
     19 │     cluster: web
     20 │     task_definition: { family: api, revision: 0 }
        ·                                               ─
     21 │     images: { app: "api:1" }
        ╰────
      help: revisions are numbered from 1

    deploy.yaml: 1 fault
    "#);
    insta::assert_snapshot!(edited("cluster: web", "cluster: web\n    task_definition: { family: api, revision: latest }"), @r#"
      × `latest` is not a whole number
        ╭─[deploy.yaml:20:47]
     19 │     cluster: web
     20 │     task_definition: { family: api, revision: latest }
        ·                                               ──────
     21 │     images: { app: "api:1" }
        ╰────
      help: write a number such as 2

    deploy.yaml: 1 fault
    "#);
}

#[test]
fn a_task_definition_that_is_neither_a_path_nor_a_revision() {
    insta::assert_snapshot!(edited("cluster: web", "cluster: web\n    task_definition: [api, 12]"), @r#"
      × expected the path of a file, or `{ family: ..., revision: ... }`, found a list
        ╭─[deploy.yaml:20:22]
     19 │     cluster: web
     20 │     task_definition: [api, 12]
        ·                      ────────
     21 │     images: { app: "api:1" }
        ╰────
      help: write the path of a file, or `{ family: ..., revision: ... }` here

    deploy.yaml: 1 fault
    "#);
}

#[test]
fn a_task_definition_that_is_not_json() {
    insta::assert_snapshot!(edited("cluster: web", "cluster: web\n    task_definition: broken.json"), @r#"
      × not valid JSON: trailing comma
       ╭─[tests/manifest/broken.json:4:40]
     3 │   "containerDefinitions": [
     4 │     { "name": "***", "image": "*****", }
       ·                                        ─
     5 │   ]
       ╰────
      help: correct the JSON here, or just before

    deploy.yaml: 1 fault
    "#);
}

#[test]
fn a_task_definition_without_what_it_needs() {
    insta::assert_snapshot!(edited("cluster: web", "cluster: web\n    task_definition: bare.json"), @r#"
      × the task definition has no `family`
       ╭─[tests/manifest/bare.json:1:1]
     1 │ { "cpu": "***", "containerDefinitions": [] }
       · ────────────────────────────────────────────
       ╰────
      help: add "family": "..."

      × the task definition has no `containerDefinitions`
       ╭─[tests/manifest/bare.json:1:1]
     1 │ { "cpu": "***", "containerDefinitions": [] }
       · ────────────────────────────────────────────
       ╰────
      help: add at least one container

    deploy.yaml: 2 faults
    "#);
}

#[test]
fn a_task_definition_with_names_that_a_target_does_not_have() {
    insta::assert_snapshot!(edited("cluster: web", "cluster: web\n    task_definition: names.json"), @r#"
      × unknown name `${account.nmae}`
       ╭─[tests/manifest/names.json:2:18]
     1 │ {
     2 │   "family": "api-${account.nmae}",
       ·                  ───────────────
     3 │   "containerDefinitions": [
       ╰────
      help: did you mean `${account.name}`?

      × accounts `staging`, `prod` have no `size` in their `vars`
       ╭─[tests/manifest/names.json:7:66]
     6 │       "image": "api:1",
     7 │       "command": ["**", "**", "**** ****** ****** ******* ****** ${vars.size}"]
       ·                                                                  ────────────
     8 │     }
       ╰────
      help: add `size` to `vars`, or give a default: `${vars.size:-...}`

    deploy.yaml: 2 faults
    "#);
}

#[test]
fn containers_that_the_task_definition_does_not_have() {
    insta::assert_snapshot!(edited("{ app: \"api:1\" }", "{ ap: \"api:1\" }\n    task_definition: described.json"), @r#"
      × the task definition has no container `ap`
        ╭─[deploy.yaml:20:15]
     19 │     cluster: web
     20 │     images: { ap: "api:1" }
        ·               ──
     21 │     task_definition: described.json
        ╰────
      help: did you mean `app`?

    deploy.yaml: 1 fault
    "#);
}

#[test]
fn an_alias_bomb() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..9 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    insta::assert_snapshot!(faults(&bomb), @r"
      × the manifest is too large or too deep for the YAML parser (RecordedAnchorEvents)
       ╭─[deploy.yaml:6:10]
     5 │ a4: &a4 [*a3, *a3, *a3, *a3, *a3, *a3, *a3, *a3, *a3, *a3]
     6 │ a5: &a5 [*a4, *a4, *a4, *a4, *a4, *a4, *a4, *a4, *a4, *a4]
       ·          ─
     7 │ a6: &a6 [*a5, *a5, *a5, *a5, *a5, *a5, *a5, *a5, *a5, *a5]
       ╰────
      help: a manifest is far smaller than the limits: look for aliases of aliases, or split it

    deploy.yaml: 1 fault
    ");
}

#[test]
fn a_manifest_that_is_not_there() {
    let error = load(Path::new("tests/manifest/none.yaml"), &variables).expect_err("there is no such file");
    insta::assert_snapshot!(error.render(false, 100), @r"
      × tests/manifest/none.yaml: the file does not exist
      help: name the manifest with --file, or start from deploy.yaml.example

    tests/manifest/none.yaml: 1 fault
    ");
}

#[test]
fn every_fault_is_reported_at_once() {
    let text = MANIFEST
        .replacen("id: \"222222222222\"", "id: 222222222222", 1)
        .replacen("[hub, deployer]", "[hubb, deployer]", 1)
        .replacen("api:1", "api:${SHAA}", 1)
        .replacen("select: { env: staging }", "slect: { env: staging }", 1)
        .replacen("name: rest", "name: rest\n      max_parallel: 0", 1);
    insta::assert_snapshot!(faults(&text), @r#"
      × `222222222222` is a number here, not an account id
       ╭─[deploy.yaml:8:9]
     7 │   - name: staging
     8 │     id: 222222222222
       ·         ────────────
     9 │     chain: [hubb, deployer]
       ╰────
      help: put it in quotes, "222222222222": an id is text, and numbers lose their leading zeros

      × unknown role `hubb`
        ╭─[deploy.yaml:9:13]
      8 │     id: 222222222222
      9 │     chain: [hubb, deployer]
        ·             ────
     10 │     regions: [eu-west-1]
        ╰────
      help: did you mean `hub`?

      × the variable `SHAA` is not set
        ╭─[deploy.yaml:20:25]
     19 │     cluster: web
     20 │     images: { app: "api:${SHAA}" }
        ·                         ───────
     21 │ rollout:
        ╰────
      help: set `SHAA` for the job, or give a default: `${SHAA:-...}`

      × unknown key `slect` in a wave
        ╭─[deploy.yaml:23:23]
     22 │   waves:
     23 │     - { name: canary, slect: { env: staging } }
        ·                       ─────
     24 │     - name: rest
        ╰────
      help: did you mean `select`?

      × `max_parallel` is 0: nothing would ever start
        ╭─[deploy.yaml:25:21]
     24 │     - name: rest
     25 │       max_parallel: 0
        ·                     ─
        ╰────
      help: write 1 or more; for a person's go-ahead before a wave, use `gate: manual`

    deploy.yaml: 5 faults
    "#);
    let error = load_str("deploy.yaml", base(), &text, &variables).expect_err("five faults");
    insta::assert_snapshot!(error, @r#"
    deploy.yaml:8:9: `222222222222` is a number here, not an account id (put it in quotes, "222222222222": an id is text, and numbers lose their leading zeros)
    deploy.yaml:9:13: unknown role `hubb` (did you mean `hub`?)
    deploy.yaml:20:25: the variable `SHAA` is not set (set `SHAA` for the job, or give a default: `${SHAA:-...}`)
    deploy.yaml:23:23: unknown key `slect` in a wave (did you mean `select`?)
    deploy.yaml:25:21: `max_parallel` is 0: nothing would ever start (write 1 or more; for a person's go-ahead before a wave, use `gate: manual`)
    "#);
}

#[test]
fn a_narrow_terminal() {
    let error = load_str("deploy.yaml", base(), &MANIFEST.replace("[hub,", "[hubb,"), &variables).expect_err("a fault");
    insta::assert_snapshot!(error.render(false, 50), @r#"
      × unknown role `hubb`
        ╭─[deploy.yaml:9:13]
      8 │     id: "222222222222"
      9 │     chain: [hubb, deployer]
        ·             ────
     10 │     regions: [eu-west-1]
        ╰────
      help: did you mean `hub`?

      × unknown role `hubb`
        ╭─[deploy.yaml:14:13]
     13 │     id: "333333333333"
     14 │     chain: [hubb, deployer]
        ·             ────
     15 │     regions: [eu-west-1, us-east-1]
        ╰────
      help: did you mean `hub`?

    deploy.yaml: 2 faults
    "#);
}

#[test]
fn a_long_line_is_cut_to_the_part_around_the_fault() {
    insta::assert_snapshot!(edited("cluster: web", "cluster: web\n    task_definition: long.json"), @r#"
      × accounts `staging`, `prod` have no `size` in their `vars`
       ╭─[tests/manifest/long.json:1:731]
     1 │ , {"name": "V19", "value": "*"}, {"name": "SIZE", "value": "${vars.size}"}, {"name": "W0", "value": "*"}, {"name": "W1", "value": "*
       ·                                                             ────────────
       ╰────
      help: add `size` to `vars`, or give a default: `${vars.size:-...}`

    deploy.yaml: 1 fault
    "#);
    let names: Vec<String> = (0..80).map(|number| format!("V{number}: x")).collect();
    let environment = format!("cluster: web\n    environment: {{ app: {{ {}, V0: y }} }}", names.join(", "));
    insta::assert_snapshot!(edited("cluster: web", &environment), @r"
      × duplicate key `V0`
        ╭─[deploy.yaml:20:657]
     20 │  x, V73: x, V74: x, V75: x, V76: x, V77: x, V78: x, V79: x, V0: y } }
        ·                                                             ─┬
        ·                                                              ╰── again here
        ╰────
      help: keep one of the two

    deploy.yaml: 1 fault
    ");
}

#[test]
fn sections_that_are_missing() {
    insta::assert_snapshot!(faults("version: 1\nrollout: {}\n"), @r"
      × the manifest has no `accounts`
       ╭─[deploy.yaml:1:1]
     1 │ version: 1
       · ──────────
     2 │ rollout: {}
       ╰────
      help: add `accounts:`

      × the manifest has no `services`
       ╭─[deploy.yaml:1:1]
     1 │ version: 1
       · ──────────
     2 │ rollout: {}
       ╰────
      help: add `services:`

    deploy.yaml: 2 faults
    ");
    insta::assert_snapshot!(faults("version: 1\naccounts: []\nservices: []\n"), @r"
      × there are no accounts
       ╭─[deploy.yaml:2:11]
     1 │ version: 1
     2 │ accounts: []
       ·           ─
     3 │ services: []
       ╰────
      help: add one: { name: ..., id: ..., chain: [...], regions: [...] }

      × there are no services
       ╭─[deploy.yaml:3:11]
     2 │ accounts: []
     3 │ services: []
       ·           ─
       ╰────
      help: add one: { name: ..., cluster: ... }

    deploy.yaml: 2 faults
    ");
    insta::assert_snapshot!(faults("- version: 1\n"), @r"
      × expected a mapping, found a list
       ╭─[deploy.yaml:1:1]
     1 │ - version: 1
       · ────────────
       ╰────
      help: write a mapping here

    deploy.yaml: 1 fault
    ");
}

#[test]
fn a_role_assumed_with_the_callers_own_role_is_chained_too() {
    let ambient = MANIFEST.replace("roles:", "identity: { ambient: true }\nroles:");
    insta::assert_snapshot!(faults(&ambient.replace("role/hub\" }", "role/hub\", duration: 2h }")), @r#"
      × role `hub` is assumed from another role, so its session cannot exceed 1h
       ╭─[deploy.yaml:4:63]
     3 │ roles:
     4 │   hub: { arn: "arn:aws:iam::111111111111:role/hub", duration: 2h }
       ·                                                               ──
     5 │   deployer:
       ╰────
      help: remove `duration`: AWS limits role chaining to one hour, and sessions are renewed as needed

    deploy.yaml: 1 fault
    "#);
}

#[test]
fn a_hub_that_is_given_as_the_last_role() {
    insta::assert_snapshot!(edited("[hub, deployer]", "[deployer, hub]"), @r#"
      × the chain of account `staging` ends in account 111111111111, but its id is 222222222222
       ╭─[deploy.yaml:3:15]
     2 │ roles:
     3 │   hub: { arn: "arn:aws:iam::111111111111:role/hub" }
       ·               ──────────────────┬─────────────────
       ·                                 ╰── this role
     4 │   deployer:
       ╰────
        ╭─[deploy.yaml:9:23]
      8 │     id: "222222222222"
      9 │     chain: [deployer, hub]
        ·                       ───
     10 │     regions: [eu-west-1]
        ╰────
      help: the last role must live in the account itself: `arn:aws:iam::${account.id}:role/...`

    deploy.yaml: 1 fault
    "#);
}

#[test]
fn a_label_that_select_knows_already() {
    insta::assert_snapshot!(edited("env: prod", "env: prod, region: eu"), @r"
      × `region` cannot be a label
        ╭─[deploy.yaml:16:26]
     15 │     regions: [eu-west-1, us-east-1]
     16 │     labels: { env: prod, region: eu }
        ·                          ──────
     17 │ services:
        ╰────
      help: `select` knows this word already; choose another one

    deploy.yaml: 1 fault
    ");
}

#[test]
fn a_role_named_where_there_are_none() {
    let start = MANIFEST.find("roles:").expect("roles");
    let end = MANIFEST.find("accounts:").expect("accounts");
    let text = format!("{}{}", &MANIFEST[..start], &MANIFEST[end..]).replacen("[hub, deployer]", "[hub]", 1);
    insta::assert_snapshot!(faults(&text.replacen("[hub, deployer]", "[]", 1)), @r#"
      × unknown role `hub`
       ╭─[deploy.yaml:5:13]
     4 │     id: "222222222222"
     5 │     chain: [hub]
       ·             ───
     6 │     regions: [eu-west-1]
       ╰────
      help: add `hub` under `roles:`

      × account `prod` has an empty chain
        ╭─[deploy.yaml:10:12]
      9 │     id: "333333333333"
     10 │     chain: []
        ·            ─
     11 │     regions: [eu-west-1, us-east-1]
        ╰────
      help: name its role, or use `identity: { ambient: true }` for your own credentials

    deploy.yaml: 2 faults
    "#);
}

#[test]
fn a_number_of_tasks_that_is_none() {
    insta::assert_snapshot!(edited("cluster: web", "cluster: web\n    desired_count: many"), @r#"
      × `many` is not a whole number
        ╭─[deploy.yaml:20:20]
     19 │     cluster: web
     20 │     desired_count: many
        ·                    ────
     21 │     images: { app: "api:1" }
        ╰────
      help: write a number such as 2

    deploy.yaml: 1 fault
    "#);
    insta::assert_snapshot!(edited("cluster: web", "cluster: web\n    desired_count: \"${account.name}\""), @r#"
      × `staging` is not a whole number, and 1 more like it
        ╭─[deploy.yaml:20:20]
     19 │     cluster: web
     20 │     desired_count: "${account.name}"
        ·                    ─────────────────
     21 │     images: { app: "api:1" }
        ╰────
      help: write a number such as 2

    deploy.yaml: 1 fault
    "#);
}

#[test]
fn text_where_nothing_stands() {
    insta::assert_snapshot!(edited("api:1\" }", "api:1\", log: }"), @r#"
      × expected text, found nothing
        ╭─[deploy.yaml:20:32]
     19 │     cluster: web
     20 │     images: { app: "api:1", log: }
        ·                                ▲
     21 │ rollout:
        ╰────
      help: give it a value, or remove the key

    deploy.yaml: 1 fault
    "#);
}

#[test]
fn an_override_without_a_select() {
    insta::assert_snapshot!(edited("cluster: web", "cluster: web\n    overrides: [{ desired_count: 1 }]"), @r#"
      × an override has no `select`
        ╭─[deploy.yaml:20:17]
     19 │     cluster: web
     20 │     overrides: [{ desired_count: 1 }]
        ·                 ──────────────────
     21 │     images: { app: "api:1" }
        ╰────
      help: add `select:`

    deploy.yaml: 1 fault
    "#);
}

#[test]
fn what_stops_nothing_is_a_warning() {
    let text = MANIFEST
        .replacen("deployer:\n", "spare: { arn: \"arn:aws:iam::111111111111:role/spare\" }\n  deployer:\n", 1)
        .replacen(
            "  - name: api",
            "  - { name: idle, cluster: web, select: { env: prod, account: staging } }\n  - name: api",
            1,
        )
        .replacen("    cluster: web\n", "    cluster: web\n    select: { env: staging }\n", 1);
    insta::assert_snapshot!(faults(&text), @r#"no fault; warnings: ["role `spare` is in no account's chain", "service `idle` is in no account: its `select` matches nothing", "wave `rest` has no targets", "account `prod` has no targets: no service selects it"]"#);
}

#[test]
fn windows_line_ends_and_a_byte_order_mark() {
    let windows = format!("\u{feff}{}", MANIFEST.replace('\n', "\r\n"));
    insta::assert_snapshot!(faults(&windows), @"no fault; warnings: []");
    insta::assert_snapshot!(faults(&windows.replacen("[hub,", "[hubb,", 1)), @r#"
      × unknown role `hubb`
        ╭─[deploy.yaml:9:13]
      8 │     id: "222222222222"
      9 │     chain: [hubb, deployer]
        ·             ────
     10 │     regions: [eu-west-1]
        ╰────
      help: did you mean `hub`?

    deploy.yaml: 1 fault
    "#);
}

#[test]
fn letters_of_two_cells_and_of_many_bytes() {
    insta::assert_snapshot!(edited("{ env: staging } }\n", "{ env: 日本 } } # é\n"), @r"
      × no account has `env: 日本`
        ╭─[deploy.yaml:23:38]
     22 │   waves:
     23 │     - { name: canary, select: { env: 日本 } } # é
        ·                                      ────
     24 │     - name: rest
        ╰────
      help: known: `prod`, `staging`

    deploy.yaml: 1 fault
    ");
}

#[test]
fn a_manifest_that_is_too_large() {
    let large = format!("{MANIFEST}# {}\n", "x".repeat(1 << 20));
    let error = load_str("deploy.yaml", base(), &large, &variables).expect_err("a fault").to_string();
    insta::assert_snapshot!(error, @"deploy.yaml:1:1: the manifest has 1049127 bytes; the limit is 1048576 (split the fleet into several manifests)");
}

#[test]
fn a_manifest_that_nests_too_deeply() {
    insta::assert_snapshot!(faults(&format!("version: {}1{}", "[".repeat(40), "]".repeat(40))), @r"
      × the manifest is too large or too deep for the YAML parser (Depth)
       ╭─[deploy.yaml:1:41]
     1 │ version: [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]
       ·                                         ─
       ╰────
      help: a manifest is far smaller than the limits: look for aliases of aliases, or split it

    deploy.yaml: 1 fault
    ");
}

#[test]
fn more_faults_than_anyone_reads() {
    let text = MANIFEST.replacen("[eu-west-1]", &format!("[{}]", vec!["x"; 70].join(", ")), 1);
    let error = load_str("deploy.yaml", base(), &text, &variables).expect_err("faults");
    assert_eq!(error.faults.len(), 70);
    let rendered = error.render(false, 100);
    assert_eq!(rendered.matches('×').count(), 50);
    assert!(rendered.ends_with("and 20 more\ndeploy.yaml: 70 faults\n"), "{rendered}");
}

#[test]
fn colour_changes_no_word() {
    let error = load_str("deploy.yaml", base(), &MANIFEST.replace("[hub,", "[hubb,"), &variables).expect_err("a fault");
    let colored = error.render(true, 100);
    assert!(colored.contains("\u{1b}["));
    let mut plain = String::new();
    let mut escape = false;
    for char in colored.chars() {
        match char {
            '\u{1b}' => escape = true,
            'm' if escape => escape = false,
            _ if escape => {}
            char => plain.push(char),
        }
    }
    assert_eq!(plain, error.render(false, 100));
}

#[test]
fn webhooks_that_nobody_hears() {
    let notify = |webhook: &str| edited("rollout:\n", &format!("notify: [ {webhook} ]\nrollout:\n"));
    insta::assert_snapshot!(notify("{ url_env: \"https://hooks.example.com/T0/B0\" }"), @r#"
      × `url_env` is not the name of a variable
        ╭─[deploy.yaml:21:22]
     20 │     images: { app: "api:1" }
     21 │ notify: [ { url_env: "https://hooks.example.com/T0/B0" } ]
        ·                      ─────────────────────────────────
     22 │ rollout:
        ╰────
      help: write the name of a variable, such as DEPLOY_WEBHOOK_URL

    deploy.yaml: 1 fault
    "#);
    insta::assert_snapshot!(notify("{ url_env: CHAT, on: [] }"), @r#"
      × `on` is empty: nothing would ever be posted
        ╭─[deploy.yaml:21:32]
     20 │     images: { app: "api:1" }
     21 │ notify: [ { url_env: CHAT, on: [] } ]
        ·                                ─
     22 │ rollout:
        ╰────
      help: name `halt`, `end` or both

    deploy.yaml: 1 fault
    "#);
    insta::assert_snapshot!(notify("{ url_env: CHAT, on: [ended], format: slak }"), @r#"
      × `on` cannot be `ended`
        ╭─[deploy.yaml:21:33]
     20 │     images: { app: "api:1" }
     21 │ notify: [ { url_env: CHAT, on: [ended], format: slak } ]
        ·                                 ─────
     22 │ rollout:
        ╰────
      help: did you mean `end`?

      × `format` cannot be `slak`
        ╭─[deploy.yaml:21:49]
     20 │     images: { app: "api:1" }
     21 │ notify: [ { url_env: CHAT, on: [ended], format: slak } ]
        ·                                                 ────
     22 │ rollout:
        ╰────
      help: did you mean `slack`?

    deploy.yaml: 2 faults
    "#);
    insta::assert_snapshot!(notify("{ format: slack }"), @r#"
      × a webhook has no `url_env`
        ╭─[deploy.yaml:21:11]
     20 │     images: { app: "api:1" }
     21 │ notify: [ { format: slack } ]
        ·           ───────────────
     22 │ rollout:
        ╰────
      help: add `url_env:`

    deploy.yaml: 1 fault
    "#);
}

#[test]
fn environments_that_gitlab_would_refuse() {
    let gitlab = |gitlab: &str| edited("rollout:\n", &format!("gitlab: {gitlab}\nrollout:\n"));
    insta::assert_snapshot!(gitlab("{ deployments: { environment: \"production/\" } }"), @r#"
      × `production/` is not the name of an environment
        ╭─[deploy.yaml:21:39]
     20 │     images: { app: "api:1" }
     21 │ gitlab: { deployments: { environment: "production/" } }
        ·                                       ─────────────
     22 │ rollout:
        ╰────
      help: GitLab takes 1 to 255 letters, digits, spaces and `-_/${}.`, without a `/` at either end

    deploy.yaml: 1 fault
    "#);
    insta::assert_snapshot!(gitlab("{ deployments: { environment: \"${vars.tier}/${region}\" } }"), @r#"
      × account `staging` has no `tier` in its `vars`
        ╭─[deploy.yaml:21:40]
     20 │     images: { app: "api:1" }
     21 │ gitlab: { deployments: { environment: "${vars.tier}/${region}" } }
        ·                                        ────────────
     22 │ rollout:
        ╰────
      help: add `tier` to `vars`, or give a default: `${vars.tier:-...}`

    deploy.yaml: 1 fault
    "#);
    insta::assert_snapshot!(gitlab("{ deployments: {} }"), @r#"
      × `deployments` has no `environment`
        ╭─[deploy.yaml:21:24]
     20 │     images: { app: "api:1" }
     21 │ gitlab: { deployments: {} }
        ·                        ─
     22 │ rollout:
        ╰────
      help: add `environment:`

    deploy.yaml: 1 fault
    "#);
    insta::assert_snapshot!(gitlab("{ deployment: { environment: production } }"), @r#"
      × unknown key `deployment` in `gitlab`
        ╭─[deploy.yaml:21:11]
     20 │     images: { app: "api:1" }
     21 │ gitlab: { deployment: { environment: production } }
        ·           ──────────
     22 │ rollout:
        ╰────
      help: did you mean `deployments`?

    deploy.yaml: 1 fault
    "#);
}

/// Loads the manifest above with this `identity`.
#[must_use]
fn allowing(identity: &str) -> String {
    let text = faults(&MANIFEST.replacen("roles:", &format!("identity: {{ {identity} }}\nroles:"), 1));
    let lines = text
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with('×') || line.starts_with("help") || line.starts_with("no fault"));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn who_is_let_in() {
    let good = "issuer: https://gitlab.com, allow: { project: acme/shop, project_id: 4711, branches: [main, \"r/*\"], tags: [\"v?\"] }";
    insta::assert_snapshot!(allowing(good), @"no fault; warnings: []");
    let tier = "allow: { project_id: \"4711\", deployment_tier: [production], environment_protected: true }";
    insta::assert_snapshot!(allowing(tier), @"no fault; warnings: []");
    let variable = "allow: { project: acme/shop, branches: [main], ref_protected: \"${P:-true}\", environment_protected: \"false\" }";
    insta::assert_snapshot!(allowing(variable), @"no fault; warnings: []");
    insta::assert_snapshot!(allowing("allow: { project: a/b, branches: [main], ref_protected: \"${P:-yes}\" }"), @r#"
    × `yes` is neither true nor false
    help: write `true` or `false`
    "#);
}

#[test]
fn an_issuer_that_iam_does_not_take() {
    insta::assert_snapshot!(allowing("issuer: https://git.example.com:8443/, allow: { project: a/b, branches: [main] }"), @r#"
    × `https://git.example.com:8443/` cannot be an identity provider: it ends with a slash
    help: write it as the tokens' `iss` has it, without the slash
    "#);
    insta::assert_snapshot!(allowing("issuer: https://git.example.com:8443"), @r#"
    × `https://git.example.com:8443` cannot be an identity provider: it names a port
    help: IAM takes no port: GitLab must answer on 443, with such an `external_url`
    "#);
    insta::assert_snapshot!(allowing("issuer: gitlab.com"), @r#"
    × `gitlab.com` cannot be an identity provider: it does not begin with https://
    help: write the URL of the GitLab instance, such as https://gitlab.com
    "#);
}

#[test]
fn who_is_let_in_without_a_project_or_a_ref() {
    insta::assert_snapshot!(allowing("allow: {}"), @r#"
    × `allow` names no branch and no tag
    help: name `branches` or `tags`, such as `branches: [main]`; `branches: ["*"]` lets every branch
    × `allow` names no project
    help: add `project:`, the path of the GitLab project that deploys
    "#);
    insta::assert_snapshot!(allowing("allow: { project: acme/*, branches: [] }"), @r#"
    × `acme/*` is not the path of a GitLab project
    help: write its path without the host, with all its groups, such as `acme/team/shop`; no
    × the list lets no branch in
    help: name one, or remove the key
    "#);
    insta::assert_snapshot!(allowing("allow: { project: acme/shop, sub: project_id, tags: [v1] }"), @r#"
    × `sub: project_id` needs `project_id`
    help: add `project_id:`, its number
    "#);
    insta::assert_snapshot!(allowing("allow: { project_id: \"0\", branches: [refs/heads/main, \"a b\", \"a:b\"] }"), @r#"
    × `0` is not the id of a GitLab project
    help: write the number that the project's page shows, such as "4711"
    × `refs/heads/main` is not the short name of a branch
    help: write the short name, as a token's `sub` has it: `main` and not `refs/heads/main`
    × `a b` is not a branch
    help: write its name, with `*` for any letters and `?` for any one
    × `a:b` is not a branch
    help: write its name, with `*` for any letters and `?` for any one
    "#);
}

#[test]
fn what_no_token_tells_aws() {
    insta::assert_snapshot!(allowing("allow: { project: a/b, environments: [production], branches: [main] }"), @r#"
    × unknown key `environments` in `allow`
    help: known: `project`, `project_id`, `sub`, `branches`, `tags`, `ref_protected`,
    "#);
    insta::assert_snapshot!(allowing("allow: { project: a/b, deployment_tier: [prod] }"), @r#"
    × `prod` is not a deployment tier
    help: GitLab has production, staging, testing, development, other; an environment's name is
    "#);
    insta::assert_snapshot!(allowing("allow: { project: a/b, branches: [main], audience: \"*\" }"), @r#"
    × `*` cannot be an audience
    help: write the `aud` of `id_tokens` in .gitlab-ci.yml, 1 to 255 characters without spaces, `*`,
    "#);
}

#[test]
fn what_aws_would_refuse_of_a_task_definition() {
    let faults = edited("cluster: web", "cluster: web\n    task_definition: faulty.json");
    for expected in [
        "`family` is not a task definition's family",
        "faulty.json:4:13]",
        "write \"family\": \"api\": ECS numbers the revisions itself",
        "`memory` of container `app` must be a number",
        "faulty.json:7:53]",
        "`environment[0].value` of container `app` must be text",
        "faulty.json:9:23]",
        "`image` of container `log` has a template that nobody filled in: `<IMAGE1_NAME>`",
        "faulty.json:11:31]",
        "deploy.yaml: 4 faults",
    ] {
        assert!(faults.contains(expected), "{expected}: {faults}");
    }
}

#[test]
fn what_aws_leaves_out_of_a_task_definition_is_a_warning() {
    let text = MANIFEST.replace("cluster: web", "cluster: web\n    task_definition: noted.json");
    let fleet = load_str("deploy.yaml", Path::new("tests/manifest"), &text, &variables).expect("only warnings");
    insta::assert_snapshot!(fleet.warnings.join("\n"), @r#"
    tests/manifest/noted.json:7:21: `enviroment` of container `app` is not known to AWS's model, and ECS leaves it out (did you mean `environment`?)
    tests/manifest/noted.json:8:23: `environment[0]` of container `app` has no value, and ECS leaves it out (write a "value", or take the variable out)
    "#);
    let roleout::fleet::Base::File(definition) = &fleet.targets[0].desired.task_definition else { panic!("a file") };
    let container = &definition["containerDefinitions"][0];
    assert!(definition.get("$schema").is_none() && container.get("_why").is_none(), "{definition}");
    assert!(container.get("enviroment").is_some(), "what is unknown is still sent: {definition}");
}

#[test]
fn images_that_no_registry_can_have() {
    insta::assert_snapshot!(edited("api:1", "$CI_REGISTRY_IMAGE:$CI_COMMIT_SHA"), @r#"
      × `$CI_REGISTRY_IMAGE:$CI_COMMIT_SHA` cannot be an image: a tag is up to 128 letters, digits, `_`,
      │ `.` and `-`, and begins with one of the first three
        ╭─[deploy.yaml:20:20]
     19 │     cluster: web
     20 │     images: { app: "$CI_REGISTRY_IMAGE:$CI_COMMIT_SHA" }
        ·                    ───────────────────────────────────
     21 │ rollout:
        ╰────
      help: write `${CI_REGISTRY_IMAGE}`

    deploy.yaml: 1 fault
    "#);
    for image in [
        "x/api:${EMPTY}",
        "x/api:v1\\r",
        "x/api:v1\\nv2",
        "x/api:${BRANCH}",
        "https://x/api",
        "Team/api",
        "<IMAGE_TAG>",
        "api:v1:v2",
        "api@sha256:abc",
    ] {
        let faults = edited("api:1", image);
        assert!(faults.contains("1 fault"), "{image}: {faults}");
    }
}

#[test]
fn names_and_secrets_that_ecs_refuses() {
    insta::assert_snapshot!(edited("cluster: web", "cluster: web\n    environment: { app: { \"\": x } }\n    secrets: { app: { DB: \"arn:aws:s3:::bucket/key\" } }"), @r#"
      × the name of the variable is empty
        ╭─[deploy.yaml:20:27]
     19 │     cluster: web
     20 │     environment: { app: { "": x } }
        ·                           ──
     21 │     secrets: { app: { DB: "arn:aws:s3:::bucket/key" } }
        ╰────
      help: name the variable

      × the secret is an ARN of `s3`, and no secret
        ╭─[deploy.yaml:21:27]
     20 │     environment: { app: { "": x } }
     21 │     secrets: { app: { DB: "arn:aws:s3:::bucket/key" } }
        ·                           ─────────────────────────
     22 │     images: { app: "api:1" }
        ╰────
      help: write the ARN of a secret or of an SSM parameter, or a parameter's name

    deploy.yaml: 2 faults
    "#);
}

#[test]
fn credentials_never_pass_through_the_manifest() {
    for name in
        ["CI_JOB_TOKEN", "ROLEOUT_GITLAB_TOKEN", "CI_JOB_JWT_V2", "AWS_SECRET_ACCESS_KEY", "CI_REGISTRY_PASSWORD"]
    {
        for form in ["${NAME}", "${NAME:-x}", "${UNSET:-${NAME}}", "${UNSET:?${NAME}}", "${vars.x:-${NAME}}"] {
            let text = edited("api:1", &format!("api:{}", form.replace("NAME", name)));
            assert!(text.contains(&format!("`${{{name}}}` holds a credential")), "{form}: {text}");
        }
    }
    // Another variable for the token does not free the usual one.
    let text = edited("roles:", "identity: { token_env: OTHER }\nroles:");
    assert!(text.starts_with("no fault"), "{text}");
    let text = edited("roles:", "identity: { token_env: OTHER, session_name: \"${GITLAB_OIDC_TOKEN}\" }\nroles:");
    assert!(text.contains("holds a credential") && !text.contains("the-token-itself"), "{text}");
    let text = edited("rollout:", "notify: [{ url_env: HOOK }]\nrollout:");
    assert!(text.starts_with("no fault"), "{text}");
    let hook = MANIFEST.replace("rollout:", "notify: [{ url_env: HOOK }]\nrollout:").replace("api:1", "api:${HOOK:-x}");
    assert!(faults(&hook).contains("`${HOOK}` holds a credential"));
}

#[test]
fn a_role_is_a_name() {
    for key in ["../../config", "/home/me/.docker/config", "a b", "a\\u001b[0Kb"] {
        let text =
            edited("  hub: {", &format!("  \"{key}\": {{ arn: \"arn:aws:iam::111111111111:role/x\" }}\n  hub: {{"));
        assert!(text.contains("is not a name"), "{key}: {text}");
    }
}

#[test]
fn no_fault_commands_a_terminal() {
    let hostile =
        ["\u{1b}[2J", "\u{9b}31m", "\u{202e}", "\u{61c}", "\u{200b}", "\u{feff}", "a\r\u{1b}[0Ksection_start:1:e\r"];
    for text in hostile {
        let escaped: String =
            text.chars().flat_map(|char| format!("\\u{:04x}", u32::from(char)).chars().collect::<Vec<_>>()).collect();
        for manifest in [
            MANIFEST.replace(
                "  hub: {",
                &format!("  \"x{escaped}\": {{ arn: \"arn:aws:iam::111111111111:role/x\" }}\n  hub: {{"),
            ),
            MANIFEST.replace("name: canary", &format!("name: \"x{escaped}\"")),
            MANIFEST.replace("api:1", &format!("${{X:?x{escaped}}}")),
            MANIFEST.replace("cluster: web", &format!("cluster: web # {text}\n    \"x{escaped}\": 1")),
        ] {
            let error = load_str(&format!("x{text}.yaml"), base(), &manifest, &variables).expect_err("a fault");
            for shown in [error.render(false, 100), error.to_string(), error.summary()] {
                let bad =
                    |char: char| char != '\n' && char.is_control() || "\u{202e}\u{61c}\u{200b}\u{feff}".contains(char);
                assert!(!shown.contains(bad), "{shown:?}");
            }
        }
    }
}

#[test]
fn what_is_no_task_definition_is_not_quoted() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("no-task-definition");
    std::fs::create_dir_all(&directory).expect("a directory");
    let write = |name: &str, bytes: &[u8]| std::fs::write(directory.join(name), bytes).expect("a file");
    write("secret", b"hunter2-hunter2\n");
    write("wide.json", b"\xff\xfe{\0}\0");
    let definition =
        r#"{ "family": "api", "containerDefinitions": [{ "name": "app", "image": "api:1", "memory": 64 }] }"#;
    write("marked.json", format!("\u{feff}{definition}").as_bytes());
    let told = |path: &str| {
        let text = MANIFEST.replace("cluster: web", &format!("cluster: web\n    task_definition: {path}"));
        match load_str("deploy.yaml", &directory, &text, &variables) {
            Ok(_) => String::new(),
            Err(error) => error.render(false, 100),
        }
    };
    let text = told("secret");
    assert!(text.contains("not a task definition") && !text.contains("hunter2"), "{text}");
    assert!(told("/dev/zero").contains("not a regular file"), "{}", told("/dev/zero"));
    assert!(told("wide.json").contains("UTF-16"), "{}", told("wide.json"));
    assert_eq!(told("marked.json"), "");
}

#[test]
fn no_value_of_a_task_definition_is_in_a_frame() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("hidden-values");
    std::fs::create_dir_all(&directory).expect("a directory");
    let good = r#"{ "family": "api", "containerDefinitions": [{ "name": "app", "image": "api:1", "memory": 64,
      "environment": [
        { "name": "PASSWORD", "value": "hunter2" }
      ],
      "command": ["--key", "hunter2"], "dockerLabels": { "user": "hunter2" } }] }"#;
    for (from, to, wanted) in [
        ("\"hunter2\" }\n", "\"hunter2\", }\n", "trailing comma"),
        ("\"value\": \"hunter2\"", "\"value\": hunter2\"", "expected value"),
        ("\"memory\": 64", "\"memory\": \"64\"", "`memory` of container `app` must be a number"),
        (
            "\"value\": \"hunter2\"",
            "\"value\": [\"hunter2\"]",
            "`environment[0].value` of container `app` must be text",
        ),
        ("\"value\": \"hunter2\"", "\"value\": \"hunter2 ${region.x}\"", "unknown name `${region.x}`"),
        (
            "\"command\": [\"--key\", \"hunter2\"]",
            "\"command\": \"--key hunter2\"",
            "`command` of container `app` must be a list",
        ),
        ("\"family\": \"api\"", "\"user\": \"hunter2\"", "the task definition has no `family`"),
        ("\"environment\": [", "\"environment\": [ null,", ""),
    ] {
        assert!(good.contains(from), "{from}");
        std::fs::write(directory.join("td.json"), good.replace(from, to)).expect("a file");
        let text = MANIFEST.replace("cluster: web", "cluster: web\n    task_definition: td.json");
        let told = match load_str("deploy.yaml", &directory, &text, &variables) {
            Ok(fleet) => fleet.warnings.join("\n"),
            Err(error) => format!("{}{error}", error.render(false, 100)),
        };
        assert!(told.contains(wanted), "{wanted}: {told}");
        assert!(!told.contains("hunter2") && told.contains("td.json:"), "{told}");
    }
}

#[test]
fn what_is_taken_for_a_task_definition_is_told_as_what_it_is() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("lookalikes");
    std::fs::create_dir_all(&directory).expect("a directory");
    let containers = r#"[{ "name": "app", "image": "api:1", "memory": 64 }]"#;
    let whole = |list: &str| format!(r#"{{ "family": "api", "containerDefinitions": {list} }}"#);
    for (name, file, wanted, help) in [
        ("td.json", containers.to_owned(), "is a list, and not a task definition", "\"containerDefinitions\": [...]"),
        (
            "td.json",
            format!("// hunter2\n{}", whole(containers)),
            "JSON has no comments",
            "members that begin with `_`",
        ),
        ("td.json", whole(&containers.replace("\"api:1\"", "/* hunter2 */ \"api:1\"")), "JSON has no comments", "`_`"),
        ("td.json", whole(&format!("{containers:?}")), "`containerDefinitions` is text, and must be a list", "quotes"),
        (
            "td.json",
            whole(containers).replace("container", "Container"),
            "no `ContainerDefinitions`",
            "\"containerDefinitions\"",
        ),
        ("td.json", whole(containers).replace("family", "Family"), "AWS knows no `Family`", "write \"family\""),
        ("td.jsonnet", "local x = 'hunter2'; {}".to_owned(), "is not a task definition", "render it first"),
        ("td.jsonnet", "{ family: 'hunter2' }".to_owned(), "not valid JSON", "render it first"),
        ("td.yml", "family: hunter2".to_owned(), "is not a task definition", "write it as JSON"),
    ] {
        std::fs::write(directory.join(name), &file).expect("a file");
        let text = MANIFEST.replace("cluster: web", &format!("cluster: web\n    task_definition: {name}"));
        let error = load_str("deploy.yaml", &directory, &text, &variables).expect_err("a fault");
        let told = format!("{error}\n{}", error.render(false, 100));
        assert!(error.to_string().contains(wanted) && error.to_string().contains(help), "{file}: {error}");
        assert!(!told.contains("hunter2"), "{told}");
    }
    let twice = whole(containers).replace("\"memory\": 64", "\"memory\": 64, \"memory\": 128");
    std::fs::write(directory.join("td.json"), twice).expect("a file");
    let text = MANIFEST.replace("cluster: web", "cluster: web\n    task_definition: td.json");
    let fleet = load_str("deploy.yaml", &directory, &text, &variables).expect("a warning only");
    assert!(fleet.warnings.join("\n").contains("`memory` is there twice in one object, and the last one counts"));
}

#[test]
fn what_a_shared_file_has_wrong_in_each_account_is_one_fault() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("shared-file");
    std::fs::create_dir_all(&directory).expect("a directory");
    let text = MANIFEST.replace("cluster: web", "cluster: web\n    task_definition: td.json");
    for (member, wanted) in [
        (
            "\"taskRoleArn\": \"arn:aws:iam::999999999999:role/x\"",
            "the role arn:aws:iam::999999999999:role/x is of account 999999999999: it cannot run tasks in account",
        ),
        ("\"ipcMode\": \"${account.id}\"", "`ipcMode` cannot be `"),
    ] {
        let file = format!(
            "{{ \"family\": \"api\", {member}, \"containerDefinitions\": [{{ \"name\": \"app\", \"image\": \"api:1\", \"memory\": 64 }}] }}"
        );
        std::fs::write(directory.join("td.json"), file).expect("a file");
        let error = load_str("deploy.yaml", &directory, &text, &variables).expect_err("a fault");
        assert_eq!(error.faults.len(), 1, "{error}");
        let told = error.to_string();
        assert!(told.contains(wanted) && told.contains(", and 1 more like it"), "{told}");
        assert!(told.contains("td.json:1:"), "{told}");
    }
}

#[test]
fn arns_of_ecs_are_of_the_target() {
    let cluster = |arn: &str| edited("cluster: web", &format!("cluster: \"{arn}\""));
    assert!(cluster("arn:aws:ecs:${region}:${account.id}:cluster/web").starts_with("no fault"));
    for (arn, wanted) in [
        ("arn:aws:ecs:us-east-1:${account.id}:cluster/web", "is of the region us-east-1, and the target of eu-west-1"),
        ("arn:aws:ecs:${region}:999999999999:cluster/web", "is of the account 999999999999, and the target of"),
        ("arn:aws-cn:ecs:${region}:${account.id}:cluster/web", "is of the partition aws-cn, and the target of aws"),
    ] {
        let text = cluster(arn).replace("\n  │ ", " ");
        assert!(text.contains(wanted), "{arn}: {text}");
    }
    let task = "cluster: web\n    before: [ { run_task: m, task_definition: \"arn:aws:ecs:us-east-1:1:task-definition/m:1\" } ]";
    assert!(edited("cluster: web", task).contains("is of the region us-east-1"), "{}", edited("cluster: web", task));
}

#[test]
fn a_session_tag_has_no_newline_and_no_tab() {
    let tagged =
        |text: &str| edited("role/deployer\"\n", &format!("role/deployer\"\n    tags: {{ message: \"{text}\" }}\n"));
    for text in ["${TWO_LINES}", "a\\nb", "a\\tb", "a\\rb", "a\\u0085b"] {
        assert!(tagged(text).contains("the value of the session tag `message` is not allowed"), "{text}");
    }
    assert!(tagged("a b").starts_with("no fault"));
}

#[test]
fn partitions_do_not_mix() {
    let hub = |arn: &str| edited("arn:aws:iam::111111111111:role/hub", arn);
    let text = MANIFEST.replace("aws:iam::1", "aws-cn:iam::1").replace("aws:iam::$", "aws-cn:iam::$");
    assert!(faults(&text).contains("and the region eu-west-1 of account `staging` in `aws`"), "{}", faults(&text));
    assert!(hub("arn:aws-cn:iam::111111111111:role/hub").contains("no role can be assumed across partitions"));
    let unknown = hub("arn:aws-china:iam::111111111111:role/hub");
    assert!(unknown.contains("names the partition `aws-china`"), "{unknown}");
    assert!(hub("arn:aws:iam::111111111111:role/a b").contains("does not name a role"));
}

#[test]
fn files_outside_of_the_repository_are_not_read() {
    let outside = std::env::temp_dir().join(format!("roleout-outside-{}.json", std::process::id()));
    std::fs::write(&outside, "{ \"hunter2\": 1 }").expect("a file");
    let task_definition = format!("cluster: web\n    task_definition: {}", outside.display());
    let text = edited("cluster: web", &task_definition);
    std::fs::remove_file(&outside).expect("it is there");
    assert!(text.contains("outside of the manifest's directory") && !text.contains("hunter2"), "{text}");
}

#[test]
fn the_cluster_of_another_place_says_nothing_where_it_is_overridden() {
    let others = "cluster: arn:aws:ecs:us-east-1:333333333333:cluster/web\n    overrides: [ { select: { region: eu-west-1 }, cluster: web } ]";
    assert!(edited("cluster: web", others).starts_with("no fault"), "{}", edited("cluster: web", others));
}

#[test]
fn the_region_of_sts_is_of_the_roles_partition() {
    let gov = MANIFEST
        .replace("arn:aws:iam", "arn:aws-us-gov:iam")
        .replace("regions: [eu-west-1]", "regions: [us-gov-west-1]")
        .replace("regions: [eu-west-1, us-east-1]", "regions: [us-gov-west-1, us-gov-east-1]");
    assert!(faults(&gov).starts_with("no fault"), "{}", faults(&gov));
    let text = faults(&gov.replace("roles:\n", "identity: { token_env: TOKEN, region: eu-west-1 }\nroles:\n"));
    let said = "the first role of account `staging` is in the partition `aws-us-gov`, and eu-west-1 of STS in";
    assert!(text.contains(said) && text.contains("deploy.yaml:2:39"), "{text}");
}

#[test]
fn a_value_of_an_empty_variable_names_the_variable() {
    let text = edited("iam::111111111111", "iam::${EMPTY}");
    assert!(text.contains("`EMPTY` is empty in this job") && !text.contains("copy the ARN"), "{text}");
    let text = edited("cluster: web", "cluster: \"${EMPTY}\"");
    assert!(text.contains("`EMPTY` is empty in this job"), "{text}");
    // A variable that is filled, or that has a default, is not what is wrong.
    let text = edited("iam::111111111111", "iam::${EMPTY:-1}");
    assert!(text.contains("copy the ARN"), "{text}");
    let text = edited("iam::111111111111", "iam::${SHA}");
    assert!(text.contains("copy the ARN"), "{text}");
}

#[test]
fn an_id_that_lost_its_zeros_and_a_reference_without_quotes() {
    let text = edited("\"222222222222\"", "\"54238437032\"");
    assert!(text.contains("it has 11 digits: zeros at its start were lost"), "{text}");
    let inline =
        "  - { name: staging, id: ${ID}, chain: [hub, deployer], regions: [eu-west-1], labels: { env: staging } }\n";
    let text = faults(&MANIFEST.replace(
        "  - name: staging\n    id: \"222222222222\"\n    chain: [hub, deployer]\n    regions: [eu-west-1]\n    labels: { env: staging }\n",
        inline,
    ));
    assert!(text.contains("put it in quotes, \"${NAME}\""), "{text}");
}

#[test]
fn a_name_with_a_bare_dollar_is_warned_of_where_the_job_has_the_variable() {
    let variable =
        |text: &str| edited("images: {", &format!("environment: {{ app: {{ A: \"{text}\" }} }}\n    images: {{"));
    for text in ["$SHA", "x-$SHA-y", "${BRANCH}$SHA"] {
        let said = variable(text);
        assert!(
            said.contains("`$SHA` is not replaced: only `${SHA}` is") && said.contains("deploy.yaml:20:"),
            "{said}"
        );
    }
    for text in ["$UNKNOWN", "$$SHA", "$HOME", "100$", "$5", "$sha"] {
        assert_eq!(variable(text), "no fault; warnings: []", "{text}");
    }
}

#[test]
fn anchors_have_a_place_of_their_own() {
    let text = MANIFEST
        .replace("labels: { env: staging }", "labels: *labels")
        .replace("version: 1\n", "version: 1\nx-labels: &labels { env: staging }\nx-unused: \"${NOT_SET} ${\"\n");
    assert_eq!(faults(&text), "no fault; warnings: []");
    // Nowhere but at the top.
    assert!(edited("cluster: web", "cluster: web\n    x-more: 1").contains("unknown key `x-more`"));
}

#[test]
fn what_people_write_in_the_place_of_a_task_definition_is_named() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("slips");
    std::fs::create_dir_all(&directory).expect("a directory");
    let containers = r#"[{ "name": "app", "image": "api:1", "memory": 64 }]"#;
    let wide = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let good = format!(r#"{{ "family": "api", "containerDefinitions": {containers} }}"#);
    for (name, bytes, message, help) in [
        (
            "comment.json",
            format!("{{ // the family\n{}", &good[1..]).into_bytes(),
            "JSON has no comments",
            "take it out",
        ),
        (
            "block.json",
            format!("{{ \"a\": /* x */ 1, {}", &good[1..]).into_bytes(),
            "JSON has no comments",
            "take it out",
        ),
        ("td.jsonnet", b"local x = 1; {}".to_vec(), "not a task definition", "jsonnet FILE > td.json"),
        ("object.jsonnet", b"{ family: 'api' }".to_vec(), "not valid JSON", "jsonnet FILE > td.json"),
        ("td.yml", b"family: api\n".to_vec(), "not a task definition", "yq -o json FILE > td.json"),
        ("list.json", containers.as_bytes().to_vec(), "the file is a list", "\"containerDefinitions\": [...]"),
        (
            "text.json",
            format!(r#"{{ "family": "api", "containerDefinitions": {} }}"#, serde_json::json!(containers)).into_bytes(),
            "`containerDefinitions` is text",
            "write the list itself",
        ),
        (
            "capitals.json",
            format!(r#"{{ "Family": "api", "ContainerDefinitions": {containers} }}"#).into_bytes(),
            "AWS knows no `ContainerDefinitions`",
            "write \"containerDefinitions\"",
        ),
        ("wide.json", wide(&good), "UTF-16", "looked for"),
    ] {
        std::fs::write(directory.join(name), bytes).expect("a file");
        let text = MANIFEST.replace("cluster: web", &format!("cluster: web\n    task_definition: {name}"));
        let told = match load_str("deploy.yaml", &directory, &text, &variables) {
            Ok(_) => panic!("{name} is taken"),
            Err(error) => error.render(false, 100),
        };
        assert!(told.contains(message) && told.contains(help), "{name}: {told}");
    }
    // A list may be of anything, and none of it is shown.
    std::fs::write(directory.join("list.json"), "[\"hunter2\"]").expect("a file");
    let text = MANIFEST.replace("cluster: web", "cluster: web\n    task_definition: list.json");
    let told = load_str("deploy.yaml", &directory, &text, &variables).expect_err("no task definition");
    assert!(!told.render(false, 100).contains("hunter2"), "{told}");
    // The manifest itself.
    std::fs::write(directory.join("deploy.yaml"), wide(MANIFEST)).expect("a file");
    let told = load(&directory.join("deploy.yaml"), &variables).expect_err("no text").render(false, 100);
    assert!(told.contains("the file is UTF-16 text; save it as UTF-8"), "{told}");
}
