//! A plan of one fleet with every kind of action in it, in each of its forms.

use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};

use insta::assert_snapshot;
use jiff::Timestamp;
use roleout::base::document::Document;
use roleout::fleet::{Fleet, TargetSpec};
use roleout::manifest::load::load_str;
use roleout::observe::service::LiveService;
use roleout::observe::{Observation, ObserveError, Observed};
use roleout::plan::build;
use roleout::plan::diff::Values;
use roleout::plan::preview::{Group, Preview, PreviewOptions, schema};
use roleout::plan::time_estimate::Limits;
use roleout::view::options::Options;
use roleout::view::{Form, View};
use serde_json::{Value, json};

const MANIFEST: &str = r#"
version: 1
identity: { token_env: TOKEN, region: eu-west-1 }
roles:
  hub: { arn: "arn:aws:iam::111111111111:role/hub" }
  leaf: { arn: "arn:aws:iam::${account.id}:role/leaf" }
accounts:
  - { name: staging, id: "222222222222", chain: [hub, leaf], regions: [eu-west-1], labels: { ring: canary } }
  - { name: prod-eu, id: "333333333333", chain: [hub, leaf], regions: [eu-west-1, eu-central-1], labels: { ring: main } }
  - { name: prod-us, id: "444444444444", chain: [hub, leaf], regions: [us-east-1], labels: { ring: main } }
  - { name: lost, id: "555555555555", chain: [hub, leaf], regions: [eu-west-1], labels: { ring: main } }
  - { name: other, id: "666666666666", chain: [hub, leaf], regions: [eu-west-1], labels: { ring: main } }
services:
  - name: api
    cluster: web
    images: { app: "registry.example.com/api:2" }
    environment: { app: { LOG_LEVEL: info, QUEUE: "https://sqs.${region}.amazonaws.com/${account.id}/api" } }
    secrets: { app: { DB_URL: "arn:aws:ssm:${region}:${account.id}:parameter/${account.name}/db" } }
    overrides: [ { select: { account: staging }, environment: { app: { LOG_LEVEL: debug } } } ]
  - { name: known, cluster: web, select: { account: [staging, prod-us] }, images: { app: "registry.example.com/known:2" } }
  - { name: cron, cluster: batch, select: { account: prod-us }, desired_count: 3, deployment: { maximum_percent: 150 } }
  - { name: docs, cluster: web, select: { account: [staging, prod-eu] }, images: { app: "registry.example.com/docs:1" } }
  - { name: again, cluster: web, select: { account: staging } }
  - { name: underway, cluster: web, select: { account: staging } }
  - { name: busy, cluster: web, select: { account: staging }, images: { app: "registry.example.com/busy:2" } }
  - { name: gone, cluster: web, select: { account: staging } }
  - { name: old, cluster: web, select: { account: staging } }
  - { name: blue, cluster: web, select: { account: [staging, prod-us] } }
  - { name: outside, cluster: web, select: { account: staging } }
  - { name: express, cluster: web, select: { account: staging } }
rollout:
  timeout: 20m
  waves:
    - { name: canary, select: { ring: canary }, bake: 5m }
    - { name: rest, max_parallel: [1, 2], max_failures: 1 }
"#;

fn fleet(manifest: &str) -> Fleet {
    load_str("deploy.yaml", Path::new("."), manifest, &|_| None)
        .unwrap_or_else(|error| panic!("{}", error.render(false, 100)))
}

fn definition(target: &TargetSpec, revision: u64, image: &str) -> Value {
    let (account, region, family) = (&target.account.id, &target.id.region, &target.service);
    json!({
        "taskDefinitionArn": format!("arn:aws:ecs:{region}:{account}:task-definition/{family}:{revision}"),
        "family": family, "revision": revision, "status": "ACTIVE", "networkMode": "awsvpc",
        "containerDefinitions": [{
            "name": "app", "image": format!("registry.example.com/{family}:{image}"), "essential": true, "cpu": 0,
            "environment": [{"name": "LOG_LEVEL", "value": "warn"}], "mountPoints": [],
            "portMappings": [{"containerPort": 80, "hostPort": 80, "protocol": "tcp"}],
        }],
        "cpu": "256", "memory": "512", "volumes": [], "executionRoleArn": format!("arn:aws:iam::{account}:role/tasks"),
    })
}

/// What AWS would answer, by the name of the service.
fn seen(target: &TargetSpec) -> Observation {
    let unseen = |reason: &str, help: &str, answered| {
        Err(ObserveError { reason: reason.into(), help: Some(help.into()), answered })
    };
    let id = &target.account.id;
    match (&*target.id.account, &*target.id.service) {
        ("lost", _) => {
            let reason = format!("hop 2 (leaf, arn:aws:iam::{id}:role/leaf): AssumeRole: AccessDenied: not authorized");
            return unseen(&reason, &format!("check the trust policy of arn:aws:iam::{id}:role/leaf"), false);
        }
        ("other", _) => {
            return unseen("the session is in account 999999999999, and not in 666666666666", "correct the id", false);
        }
        (_, "gone") => return unseen("there is no service `gone` in the cluster `web`", "create it first", true),
        _ => {}
    }
    let mut live = definition(target, 7, "1");
    let mut newest = live.clone();
    let mut service = json!({
        "serviceName": target.service, "status": "ACTIVE", "taskDefinition": live["taskDefinitionArn"],
        "desiredCount": 2, "runningCount": 2,
        "deploymentConfiguration": {"maximumPercent": 200, "minimumHealthyPercent": 100},
        "deployments": [{"id": "ecs-svc/1", "status": "PRIMARY", "taskDefinition": live["taskDefinitionArn"], "rolloutState": "COMPLETED", "createdAt": 1_793_000_000.5}],
        // The last deployment took two minutes.
        "events": [{"id": "1", "createdAt": 1_793_000_120.5, "message": "(service it) (deployment ecs-svc/1) deployment completed."}],
    });
    match &*target.id.service {
        "known" => newest = definition(target, 9, "2"),
        "again" => service["deployments"][0]["rolloutState"] = json!("FAILED"),
        "underway" | "busy" => service["deployments"][0]["rolloutState"] = json!("IN_PROGRESS"),
        "old" => service["status"] = json!("INACTIVE"),
        "blue" => service["deploymentController"] = json!({"type": "CODE_DEPLOY"}),
        "outside" => service["deploymentController"] = json!({"type": "EXTERNAL"}),
        "express" => service["resourceManagementType"] = json!("ECS"),
        _ => {}
    }
    live["registeredAt"] = json!(1.5);
    let (live, newest) = (Document::write(&live), Some(Document::write(&newest)));
    Ok(Observed { service: LiveService::read(&service), live, newest, named: None, progress: None, codedeploy: None })
}

fn preview(manifest: &str, values: &Values) -> Preview {
    let fleet = fleet(manifest);
    let seen: Vec<Observation> = fleet.targets.iter().map(seen).collect();
    let plan = build::plan(&fleet, &seen);
    let now = Timestamp::from_second(1_793_610_000).expect("a date");
    let at = |seconds: i64| Timestamp::from_second(1_793_610_000 + seconds).ok();
    let limits = Limits { now, token_expires: at(3500), job_ends: at(3480) };
    Preview::new(&fleet, &seen, &plan, PreviewOptions { values, limits: &limits, from: None })
}

fn hashed() -> Values {
    Values::Hashed { salt: "salt".into() }
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no writer panicked").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn shown(preview: &Preview, form: Form, options: Options) -> String {
    let out = Shared::default();
    View::new(options, Box::new(out.clone()), Box::new(io::sink())).preview(preview, form);
    let bytes = out.0.lock().expect("no writer panicked").clone();
    String::from_utf8(bytes).expect("UTF-8")
}

fn written(form: Form) -> String {
    shown(&preview(MANIFEST, &hashed()), form, Options::default())
}

#[test]
fn text() {
    assert_snapshot!(written(Form::Text), @"
    ~ will change, = is unchanged, ✖ is blocked; - is the present value, + the new one

    ~ new revision  staging/eu-west-1/api  (api:7 -> new)
        container app
        - image: registry.example.com/api:1
        + image: registry.example.com/api:2
        ~ environment.LOG_LEVEL: (value 2031425f) -> (value 95247ffe)
        + environment.QUEUE: (value 123ba37e)
        + secrets.DB_URL: arn:aws:ssm:eu-west-1:222222222222:parameter/staging/db

    ~ new revision, the same in 3 of 4 targets  (api:7 -> new)
      api: prod-eu (2 regions), prod-us
        container app
        - image: registry.example.com/api:1
        + image: registry.example.com/api:2
        ~ environment.LOG_LEVEL: (value 2031425f) -> (value 24f7bc0d)
        + environment.QUEUE: (value 123ba37e)
        + secrets.DB_URL: arn:aws:ssm:${region}:${account.id}:parameter/${account.name}/db

    ~ deploy, the same in 2 targets  (known:7 -> known:9)
      known: staging, prod-us
        container app
        - image: registry.example.com/known:1
        + image: registry.example.com/known:2

    ~ deploy  staging/eu-west-1/again  (again:7)
        its last deployment failed and is repeated

    ~ deploy  staging/eu-west-1/underway  (underway:7)
        its deployment is under way already, and is followed

    ~ new settings  prod-us/us-east-1/cron  (cron:7)
        service
        - desiredCount: 2
        + desiredCount: 3
        - deploymentConfiguration.maximumPercent: 200
        + deploymentConfiguration.maximumPercent: 150

    = unchanged, 3 targets
      docs: staging, prod-eu (2 regions)

    ✖ blocked  lost/eu-west-1/api
        hop 2 (leaf, arn:aws:iam::555555555555:role/leaf): AssumeRole: AccessDenied: not authorized
        help: check the trust policy of arn:aws:iam::555555555555:role/leaf

    ✖ blocked  other/eu-west-1/api
        the session is in account 999999999999, and not in 666666666666
        help: correct the id

    ✖ blocked  staging/eu-west-1/busy
        a deployment of busy:7 (ecs-svc/1) is in progress
        help: wait until it ends, or stop it with `aws ecs stop-service-deployment`, and run again; or
        say what to do with `on_busy: wait` or `supersede`

    ✖ blocked  staging/eu-west-1/gone
        there is no service `gone` in the cluster `web`
        help: create it first

    ✖ blocked  staging/eu-west-1/old
        the service was deleted (INACTIVE)
        help: create it again, or take it out of the manifest

    ✖ blocked, the same in 2 targets
      blue: staging, prod-us
        its deployment controller is CODE_DEPLOY, and UpdateService cannot deploy it
        help: name its deployment group with `codedeploy` in the manifest

    ✖ blocked  staging/eu-west-1/outside
        its deployment controller is EXTERNAL, and UpdateService cannot deploy it
        help: change the controller to ECS (UpdateService --deployment-controller type=ECS), or take it
        out of the manifest

    ✖ blocked  staging/eu-west-1/express
        ECS manages this service itself (Express mode)
        help: update it with the Express Gateway API that created it

                                failures                 time
    wave    targets  to change   allowed  at worst  estimated  at worst  how
    canary       11          4         0         4         7m       25m  all at once, then 5m of bake
    rest         10          5         1         3         6m    1h 00m  1 first, then 2 at a time
    canary: staging
    rest: prod-eu, prod-us, lost, other

    up to 4 targets can fail before this halts
    estimated 13m, at worst 1h 25m; the job has 58m left; the sessions last 1h 00m, and the ID token
    ends before

    plan: 8 to deploy, 1 to update, 3 unchanged, 9 blocked
    ");
}

#[test]
fn markdown() {
    assert_snapshot!(written(Form::Markdown), @r"
    ### roleout plan: 8 to deploy, 1 to update, 3 unchanged, 9 blocked

    - <code>api, known: 1 -&gt; 2</code>, 6 targets

    | wave | targets | to change | failures allowed | failures at worst | time estimated | time at worst | how |
    | --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |
    | <code>canary</code> | 11 | 4 | 0 | 4 | 7m | 25m | all at once, then 5m of bake |
    | <code>rest</code> | 10 | 5 | 1 | 3 | 6m | 1h 00m | 1 first, then 2 at a time |

    Up to 4 targets can fail before this halts. In time: estimated 13m, at worst 1h 25m; the job has 58m left; the sessions last 1h 00m, and the ID token ends before.

    <details><summary>new revision <code>staging/eu-west-1/api</code> <code>(api:7 -&gt; new)</code></summary>

    ```diff
    @@ container app @@
    - image: registry.example.com/api:1
    + image: registry.example.com/api:2
    ! environment.LOG_LEVEL: (value 2031425f) -> (value 95247ffe)
    + environment.QUEUE: (value 123ba37e)
    + secrets.DB_URL: arn:aws:ssm:eu-west-1:222222222222:parameter/staging/db
    ```

    </details>

    <details><summary>new revision, the same in 3 of 4 targets <code>(api:7 -&gt; new)</code></summary>

    - <code>api</code>: <code>prod-eu (2 regions)</code>, <code>prod-us</code>

    ```diff
    @@ container app @@
    - image: registry.example.com/api:1
    + image: registry.example.com/api:2
    ! environment.LOG_LEVEL: (value 2031425f) -> (value 24f7bc0d)
    + environment.QUEUE: (value 123ba37e)
    + secrets.DB_URL: arn:aws:ssm:${region}:${account.id}:parameter/${account.name}/db
    ```

    </details>

    <details><summary>deploy, the same in 2 targets <code>(known:7 -&gt; known:9)</code></summary>

    - <code>known</code>: <code>staging</code>, <code>prod-us</code>

    ```diff
    @@ container app @@
    - image: registry.example.com/known:1
    + image: registry.example.com/known:2
    ```

    </details>

    <details><summary>deploy <code>staging/eu-west-1/again</code> <code>(again:7)</code></summary>

    its last deployment failed and is repeated

    </details>

    <details><summary>deploy <code>staging/eu-west-1/underway</code> <code>(underway:7)</code></summary>

    its deployment is under way already, and is followed

    </details>

    <details><summary>new settings <code>prod-us/us-east-1/cron</code> <code>(cron:7)</code></summary>

    ```diff
    @@ service @@
    - desiredCount: 2
    + desiredCount: 3
    - deploymentConfiguration.maximumPercent: 200
    + deploymentConfiguration.maximumPercent: 150
    ```

    </details>

    <details open><summary>blocked <code>lost/eu-west-1/api</code></summary>

    ```text
    blocked: hop 2 (leaf, arn:aws:iam::555555555555:role/leaf): AssumeRole: AccessDenied: not authorized
    help: check the trust policy of arn:aws:iam::555555555555:role/leaf
    ```

    </details>

    <details open><summary>blocked <code>other/eu-west-1/api</code></summary>

    ```text
    blocked: the session is in account 999999999999, and not in 666666666666
    help: correct the id
    ```

    </details>

    <details open><summary>blocked <code>staging/eu-west-1/busy</code> <code>(busy:7)</code></summary>

    ```text
    blocked: a deployment of busy:7 (ecs-svc/1) is in progress
    help: wait until it ends, or stop it with `aws ecs stop-service-deployment`, and run again; or say what to do with `on_busy: wait` or `supersede`
    ```

    </details>

    <details open><summary>blocked <code>staging/eu-west-1/gone</code></summary>

    ```text
    blocked: there is no service `gone` in the cluster `web`
    help: create it first
    ```

    </details>

    <details open><summary>blocked <code>staging/eu-west-1/old</code> <code>(old:7)</code></summary>

    ```text
    blocked: the service was deleted (INACTIVE)
    help: create it again, or take it out of the manifest
    ```

    </details>

    <details open><summary>blocked, the same in 2 targets <code>(blue:7)</code></summary>

    - <code>blue</code>: <code>staging</code>, <code>prod-us</code>

    ```text
    blocked: its deployment controller is CODE_DEPLOY, and UpdateService cannot deploy it
    help: name its deployment group with `codedeploy` in the manifest
    ```

    </details>

    <details open><summary>blocked <code>staging/eu-west-1/outside</code> <code>(outside:7)</code></summary>

    ```text
    blocked: its deployment controller is EXTERNAL, and UpdateService cannot deploy it
    help: change the controller to ECS (UpdateService --deployment-controller type=ECS), or take it out of the manifest
    ```

    </details>

    <details open><summary>blocked <code>staging/eu-west-1/express</code> <code>(express:7)</code></summary>

    ```text
    blocked: ECS manages this service itself (Express mode)
    help: update it with the Express Gateway API that created it
    ```

    </details>
    ");
}

#[test]
fn json() {
    let json: Value = serde_json::from_str(&written(Form::Json)).expect("JSON");
    let mut short = json.clone();
    // Every kind of action once; the rest is the same in the text.
    let first = |list: &Value, member: &str| {
        let mut known = Vec::new();
        let mut items = list.as_array().expect("a list").clone();
        items.retain(|item| {
            !known.contains(&item[member]) && {
                known.push(item[member].clone());
                true
            }
        });
        Value::Array(items)
    };
    short["targets"] = first(&json["targets"], "action");
    short["groups"] = first(&json["groups"], "action");
    assert_snapshot!(serde_json::to_string_pretty(&short).expect("JSON"), @r#"
    {
      "version": 1,
      "totals": {
        "targets": 21,
        "register": 4,
        "deploy": 4,
        "update": 1,
        "unchanged": 3,
        "blocked": 9
      },
      "ships": [
        {
          "service": "api",
          "container": "app",
          "from": "registry.example.com/api:1",
          "to": "registry.example.com/api:2",
          "targets": 4
        },
        {
          "service": "known",
          "container": "app",
          "from": "registry.example.com/known:1",
          "to": "registry.example.com/known:2",
          "targets": 2
        }
      ],
      "targets": [
        {
          "target": "staging/eu-west-1/api",
          "account": "staging",
          "account_id": "222222222222",
          "region": "eu-west-1",
          "service": "api",
          "cluster": "web",
          "ecs_service": "api",
          "wave": "canary",
          "action": "register",
          "from": "api:7",
          "to": null,
          "group": 0
        },
        {
          "target": "staging/eu-west-1/known",
          "account": "staging",
          "account_id": "222222222222",
          "region": "eu-west-1",
          "service": "known",
          "cluster": "web",
          "ecs_service": "known",
          "wave": "canary",
          "action": "deploy",
          "from": "known:7",
          "to": "known:9",
          "group": 2
        },
        {
          "target": "staging/eu-west-1/docs",
          "account": "staging",
          "account_id": "222222222222",
          "region": "eu-west-1",
          "service": "docs",
          "cluster": "web",
          "ecs_service": "docs",
          "wave": "canary",
          "action": "unchanged",
          "from": "docs:7",
          "to": "docs:7",
          "group": null
        },
        {
          "target": "staging/eu-west-1/busy",
          "account": "staging",
          "account_id": "222222222222",
          "region": "eu-west-1",
          "service": "busy",
          "cluster": "web",
          "ecs_service": "busy",
          "wave": "canary",
          "action": "blocked",
          "from": "busy:7",
          "to": null,
          "group": 8
        },
        {
          "target": "prod-us/us-east-1/cron",
          "account": "prod-us",
          "account_id": "444444444444",
          "region": "us-east-1",
          "service": "cron",
          "cluster": "batch",
          "ecs_service": "cron",
          "wave": "rest",
          "action": "update",
          "from": "cron:7",
          "to": "cron:7",
          "group": 5
        }
      ],
      "groups": [
        {
          "action": "register",
          "targets": [
            "staging/eu-west-1/api"
          ],
          "diff": [
            {
              "place": "container app",
              "path": "image",
              "before": "registry.example.com/api:1",
              "after": "registry.example.com/api:2",
              "masked": false
            },
            {
              "place": "container app",
              "path": "environment.LOG_LEVEL",
              "before": "(value 2031425f)",
              "after": "(value 95247ffe)",
              "masked": true
            },
            {
              "place": "container app",
              "path": "environment.QUEUE",
              "before": null,
              "after": "(value 123ba37e)",
              "masked": true
            },
            {
              "place": "container app",
              "path": "secrets.DB_URL",
              "before": null,
              "after": "arn:aws:ssm:eu-west-1:222222222222:parameter/staging/db",
              "masked": false
            }
          ],
          "notes": [],
          "reason": null,
          "help": null
        },
        {
          "action": "deploy",
          "targets": [
            "staging/eu-west-1/known",
            "prod-us/us-east-1/known"
          ],
          "diff": [
            {
              "place": "container app",
              "path": "image",
              "before": "registry.example.com/known:1",
              "after": "registry.example.com/known:2",
              "masked": false
            }
          ],
          "notes": [],
          "reason": null,
          "help": null
        },
        {
          "action": "update",
          "targets": [
            "prod-us/us-east-1/cron"
          ],
          "diff": [
            {
              "place": "service",
              "path": "desiredCount",
              "before": "2",
              "after": "3",
              "masked": false
            },
            {
              "place": "service",
              "path": "deploymentConfiguration.maximumPercent",
              "before": "200",
              "after": "150",
              "masked": false
            }
          ],
          "notes": [],
          "reason": null,
          "help": null
        },
        {
          "action": "blocked",
          "targets": [
            "lost/eu-west-1/api"
          ],
          "diff": [],
          "notes": [],
          "reason": "hop 2 (leaf, arn:aws:iam::555555555555:role/leaf): AssumeRole: AccessDenied: not authorized",
          "help": "check the trust policy of arn:aws:iam::555555555555:role/leaf"
        }
      ],
      "waves": [
        {
          "name": "canary",
          "targets": 11,
          "changing": 4,
          "max_parallel": "100%",
          "max_failures": 0,
          "worst_case_failures": 4,
          "bake_seconds": 300,
          "alarms": 0,
          "gate": false,
          "on_failure": {
            "kind": "stop"
          },
          "on_cancel": "detach",
          "worst_case_seconds": 1500,
          "expected_seconds": 420
        },
        {
          "name": "rest",
          "targets": 10,
          "changing": 5,
          "max_parallel": "1, 2",
          "max_failures": 1,
          "worst_case_failures": 3,
          "bake_seconds": 0,
          "alarms": 0,
          "gate": false,
          "on_failure": {
            "kind": "stop"
          },
          "on_cancel": "detach",
          "worst_case_seconds": 3600,
          "expected_seconds": 360
        }
      ],
      "worst_case_failures": 4,
      "time_estimate": {
        "worst_case_seconds": 5100,
        "expected_seconds": 780,
        "until_gate": null,
        "limits": [
          {
            "what": "job",
            "seconds": 3480
          },
          {
            "what": "sessions",
            "seconds": 3600
          }
        ],
        "fits": false
      },
      "notes": []
    }
    "#);
}

#[test]
fn json_is_valid_by_the_schema_and_reads_back() {
    let validator = jsonschema::validator_for(&schema()).expect("a schema");
    for values in [hashed(), Values::Shown] {
        let preview = preview(MANIFEST, &values);
        let json: Value = serde_json::from_str(&shown(&preview, Form::Json, Options::default())).expect("JSON");
        let errors: Vec<String> = validator.iter_errors(&json).map(|error| error.to_string()).collect();
        assert_eq!(errors, Vec::<String>::new(), "{values:?}");
        assert_eq!(serde_json::from_value::<Preview>(json).expect("reads back"), preview, "{values:?}");
    }
    assert!(!validator.is_valid(&json!({"version": 1})));
}

/// Programs read the schema from the repository. `ROLEOUT_BLESS=1 cargo test --test plan_view` writes it anew.
#[test]
fn the_schema_in_the_repository_is_the_current_one() {
    const SCHEMA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/plan.schema.json");
    let current = format!("{}\n", serde_json::to_string_pretty(&schema()).expect("a schema is JSON"));
    if std::env::var_os("ROLEOUT_BLESS").is_some() {
        fs_err::write(SCHEMA, &current).expect("the schema is written");
    }
    let stored = fs_err::read_to_string(SCHEMA).expect("docs/plan.schema.json is there");
    assert!(stored == current, "docs/plan.schema.json is out of date: run with ROLEOUT_BLESS=1");
}

#[test]
fn values_are_masked_everywhere_unless_they_are_asked_for() {
    for form in [Form::Text, Form::Json, Form::Markdown] {
        let masked = written(form);
        assert!(!masked.contains("amazonaws.com/") && !masked.contains("debug"), "{form:?}: {masked}");
        let open = shown(&preview(MANIFEST, &Values::Shown), form, Options::default());
        assert!(open.contains("amazonaws.com/") && open.contains("debug"), "{form:?}: {open}");
        assert!(!open.contains("(value "), "{form:?}: {open}");
    }
}

#[test]
fn colours_say_nothing_that_words_do_not() {
    let preview = preview(MANIFEST, &hashed());
    let coloured = shown(&preview, Form::Text, Options { color_stdout: true, ..Options::default() });
    assert!(coloured.contains("\u{1b}[31m    - image") && coloured.contains("\u{1b}[32m    + image"), "{coloured:?}");
    assert_eq!(anstream::adapter::strip_str(&coloured).to_string(), written(Form::Text));
    for form in [Form::Json, Form::Markdown] {
        let coloured = shown(&preview, form, Options { color_stdout: true, ..Options::default() });
        assert!(!coloured.contains('\u{1b}'), "{form:?}");
    }
}

#[test]
fn a_thousand_targets_that_agree_fit_a_screen() {
    let mut manifest = String::from(
        "version: 1\nidentity: { token_env: TOKEN, region: eu-west-1 }\nroles:\n  leaf: { arn: \"arn:aws:iam::${account.id}:role/leaf\" }\naccounts:\n",
    );
    for number in 0..1000 {
        manifest.push_str(&format!(
            "  - {{ name: a{number}, id: \"{:012}\", chain: [leaf], regions: [eu-west-1] }}\n",
            200_000_000_000_u64 + number
        ));
    }
    manifest.push_str(
        "services:\n  - name: api\n    cluster: web\n    images: { app: r/api:2 }\n    secrets: { app: { DB: \"arn:aws:ssm:${region}:${account.id}:parameter/${account.name}/db\" } }\n    \
         overrides: [ { select: { account: a7 }, images: { app: r/api:3 } } ]\n",
    );
    let text = shown(&preview(&manifest, &hashed()), Form::Text, Options::default());
    assert!(text.lines().count() < 40, "{text}");
    assert!(text.contains("the same in 999 of 1000 targets") && text.contains("  api: all but a7\n"), "{text}");
    assert!(text.contains("parameter/${account.name}/db"), "{text}");
}

#[test]
fn a_note_stays_below_gitlabs_limit_and_says_what_it_leaves_out() {
    let mut preview = preview(MANIFEST, &hashed());
    let group = preview.groups[0].clone();
    let long = |number: usize| {
        let mut group: Group = group.clone();
        group.notes = vec![format!("{number} {}", "x".repeat(9_000))];
        group
    };
    preview.groups.extend((0..200).map(long));
    let note = shown(&preview, Form::Markdown, Options::default());
    assert!((980_000..1_000_000).contains(&note.chars().count()), "{}", note.len());
    let last = note.lines().last().expect("a line");
    assert!(last.starts_with("**Truncated:** ") && last.contains(" groups with "), "{last}");
    assert_eq!(note.matches("<details").count(), note.matches("</details>").count());
}

#[test]
fn text_of_others_can_neither_command_a_terminal_nor_format_a_note() {
    let mut preview = preview(MANIFEST, &hashed());
    let evil = "evil\u{1b}[31m\r\n```\n</code><img src=x> @all #1 [x](http://x)";
    for group in &mut preview.groups {
        group.notes = vec![evil.into()];
        group.reason = group.reason.as_ref().map(|_| evil.into());
        group.help = group.help.as_ref().map(|_| evil.into());
        for line in &mut group.diff {
            (line.place, line.path, line.after) = (evil.into(), evil.into(), Some(evil.into()));
        }
    }
    for target in &mut preview.targets {
        target.service = evil.into();
        target.account = evil.into();
        target.from = Some(evil.into());
    }
    preview.waves[0].outline.name = evil.into();
    preview.waves[0].outline.gate = true;
    let text = shown(&preview, Form::Text, Options::default());
    assert!(!text.contains('\u{1b}') && !text.contains('\r') && text.contains("evil"));
    let note = shown(&preview, Form::Markdown, Options::default());
    assert!(!note.contains('\u{1b}') && !note.contains('\r'));
    let mut block = false;
    for line in note.lines() {
        if line.starts_with("```") {
            block = !block;
        } else if !block {
            assert!(!line.contains("<img") && !line.contains(" @all") && !line.contains("[x]"), "{line}");
        }
    }
    assert!(!block, "every block ends");
}
