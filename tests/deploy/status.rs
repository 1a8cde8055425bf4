//! `roleout status`: what runs, what drifted, what is under way, and what cannot be read.

use roleout::base::error::Error;
use roleout::base::exit::Exit;
use roleout::operations::status::{StatusOptions, run};
use roleout::status::{Drift, Status, schema};
use roleout::view::View;
use roleout::view::options::Options;
use roleout::view::status::{Layout, json};
use serde_json::{Value, json};

use crate::harness::{Scene, Shared, fleet, manifest};

/// What a status came to.
#[must_use = "assert what it came to"]
struct Shown {
    exit: Result<Exit, Error>,
    out: String,
    said: String,
}

impl Shown {
    fn code(&self) -> Exit {
        self.exit.as_ref().map_or_else(|error| error.exit, |exit| *exit)
    }

    fn status(&self) -> Status {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }
}

async fn show(scene: &Scene, layout: Layout, width: usize) -> Shown {
    use roleout::connect::Connection;

    let (out, err) = (Shared::default(), Shared::default());
    let options = Options { width, ..Options::default() };
    let view = View::new(options, Box::new(out.clone()), Box::new(err.clone()));
    let reach = Connection::sandbox(&scene.fleet, &scene.sandbox, scene.token.clone());
    let choice = StatusOptions { layout, detailed_exitcode: true };
    let exit = run(&scene.fleet, &reach, choice, view, scene.cancel.clone()).await;
    Shown { exit, out: out.text(), said: err.text() }
}

fn behind(scene: &Scene, account: &str, operation: &str, input: &Value) {
    scene.sandbox.call_as_operator(account, "eu-west-1", operation, input).expect(operation);
}

#[tokio::test(start_paused = true)]
async fn a_fleet_with_everything_in_it_reads_as_a_table() {
    let scene = Scene::of(4, 2, "");
    assert_eq!(scene.deploy().await.code(), Exit::Done);
    // One drifts, one is being deployed again, one is gone, and one account does not let us in.
    let other = json!({"family": "s0", "cpu": "256", "memory": "512", "containerDefinitions": [
        {"name": "app", "image": "registry.example.com/s0@sha256:0123456789abcdef0123456789abcdef", "memory": 512},
    ]});
    let mut other = other;
    let live = scene.sandbox.task_definition("a1", "eu-west-1", "s0").expect("it runs");
    for member in ["networkMode", "requiresCompatibilities"] {
        other[member] = live[member].clone();
    }
    behind(&scene, "a1", "RegisterTaskDefinition", &other);
    behind(&scene, "a1", "UpdateService", &json!({"cluster": "main", "service": "s0", "taskDefinition": "s0"}));
    tokio::time::sleep(std::time::Duration::from_secs(600)).await;
    behind(&scene, "a2", "UpdateService", &json!({"cluster": "main", "service": "s1", "forceNewDeployment": true}));
    behind(&scene, "a1", "DeleteService", &json!({"cluster": "main", "service": "s1", "force": true}));
    let leaf = "arn:aws:iam::200000000003:role/leaf";
    assert!(scene.sandbox.change_role(leaf, |role| role.trust["Statement"] = json!([])));
    tokio::time::sleep(std::time::Duration::from_secs(20)).await;
    scene.sandbox.forget_calls();

    let shown = show(&scene, Layout::Table, 110).await;
    assert_eq!(shown.code(), Exit::Preflight, "unreachable weighs more than drift");
    assert_eq!(scene.sandbox.calls().writes, Vec::new());
    insta::with_settings!({filters => vec![(r"ecs-svc/\d+", "ecs-svc/[number]"), (r"\(request id\s+[0-9a-f-]{36}\)", "(request id [id])")]}, {
        insta::assert_snapshot!(shown.out, @r"
                         target        revision  commit    images                   tasks  registered (UTC)
        a0 (200000000000)
          = in sync      eu-west-1/s0  s0:10     5f2c9d7b  app=v2                   2/2    2026-11-02 09:00 by leaf/g…
          = in sync      eu-west-1/s1  s1:4      5f2c9d7b  app=v2                   2/2    2026-11-02 09:00 by leaf/g…
        a2 (200000000002)
          = in sync      eu-west-1/s0  s0:10     5f2c9d7b  app=v2                   2/2    2026-11-02 09:00 by leaf/g…
          > deploying    eu-west-1/s1  s1:4      5f2c9d7b  app=v2                   2/2    2026-11-02 09:00 by leaf/g…
        a3 (200000000003)
          ✖ unreachable  eu-west-1/s0
          ✖ unreachable  eu-west-1/s1
        a1 (200000000001)
          ✖ missing      eu-west-1/s1  s1:4      5f2c9d7b  app=v2                   0/0    2026-11-02 09:00 by leaf/g…
          ~ drifted      eu-west-1/s0  s0:11               app=sha256:0123456789ab  2/2    2026-11-02 09:01 by sandbox

        deployments that are not complete
          a2/eu-west-1/s1  ecs-svc/[number] IN_PROGRESS, s1:4, 0 of 2 tasks run

        unreachable
          a3 (200000000003)
              hop 2 (leaf, arn:aws:iam::200000000003:role/leaf): AssumeRole: AccessDenied: User:
              arn:aws:sts::111111111111:assumed-role/hub/gl-4711-100200-300400 is not authorized to perform:
              sts:AssumeRole on resource: arn:aws:iam::200000000003:role/leaf (request id [id])
              help: assume-role-denied: arn:aws:iam::111111111111:role/hub may not call sts:AssumeRole on
              arn:aws:iam::200000000003:role/leaf

        missing
          a1/eu-west-1/s1
              the service is being deleted (DRAINING)
              help: create it again, or take it out of the manifest

        drifted: what a deployment would change
          ~ a1/eu-west-1/s0
              app: image registry.example.com/s0@sha256:0123456789abcdef0123456789abcdef -> registry.example.com/s0:v2

        8 targets: 4 in sync, 2 unreachable, 1 missing, 1 drifted; 1 deployment under way
        ");
    });
    let error = shown.exit.as_ref().expect_err("unreachable");
    assert_eq!(error.message, "2 targets in 1 account could not be read: a3");

    // The same in JSON, which is read back as it was.
    let shown = show(&scene, Layout::Json, 110).await;
    let status = shown.status();
    assert_eq!(json(&status), shown.out);
    assert_eq!((status.version, shown.code()), (2, Exit::Preflight));
    let totals = status.totals;
    assert_eq!((totals.targets, totals.in_sync, totals.drifted), (8, 4, 1));
    assert_eq!((totals.missing, totals.unreachable, totals.deploying), (1, 2, 1));
    let drifted = &status.targets[2];
    let live = drifted.live.as_ref().expect("it runs");
    assert_eq!(live.images["app"].digest.as_deref(), Some("sha256:0123456789abcdef0123456789abcdef"));
    assert_eq!(live.registered_by.as_deref(), Some("arn:aws:iam::200000000001:user/sandbox"));
    assert!(matches!(&drifted.drift, Drift::Differs { what } if what[0].starts_with("app: image ")), "{drifted:?}");
}

#[tokio::test(start_paused = true)]
async fn an_unchanged_fleet_has_no_drift_and_is_read_in_few_calls() {
    let scene = Scene::of(2, 3, "");
    assert_eq!(scene.deploy().await.code(), Exit::Done);
    scene.sandbox.forget_calls();
    let shown = show(&scene, Layout::Json, 100).await;
    assert_eq!((shown.code(), shown.status().totals.in_sync), (Exit::Done, 6), "{}", shown.out);
    let calls = scene.sandbox.calls();
    assert_eq!((calls.operation("DescribeServices"), calls.operation("DescribeTaskDefinition")), (2, 6));
    assert_eq!(calls.writes, Vec::new());
    assert_eq!(show(&scene, Layout::Table, 100).await.code(), Exit::Done);
}

#[tokio::test(start_paused = true)]
async fn drift_is_told_by_the_exit_code_and_a_deployment_of_another_revision_hides_none_of_it() {
    let scene = Scene::of(1, 1, "");
    let shown = show(&scene, Layout::Json, 100).await;
    assert_eq!(shown.code(), Exit::Pending, "{}", shown.said);
    // Somebody else deploys what the manifest does not want.
    let old = scene.sandbox.service("a0", "eu-west-1", "main", "s0").expect("a service").task_definition;
    behind(
        &scene,
        "a0",
        "UpdateService",
        &json!({"cluster": "main", "service": "s0", "taskDefinition": old, "forceNewDeployment": true}),
    );
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    let shown = show(&scene, Layout::Json, 100).await;
    let target = shown.status().targets.remove(0);
    assert!(matches!(&target.drift, Drift::Differs { what } if what[0].starts_with("app: image ")), "{target:?}");
    assert!(target.blocked.is_some_and(|it| it.reason.contains("is in progress")));
    let deployment = target.live.and_then(|live| live.deployment).expect("under way");
    assert_eq!(deployment.state.as_deref(), Some("IN_PROGRESS"));
}

#[tokio::test(start_paused = true)]
async fn services_of_other_controllers_are_compared_all_the_same() {
    let scene = Scene::of(1, 1, "");
    assert_eq!(scene.deploy().await.code(), Exit::Done);
    behind(
        &scene,
        "a0",
        "UpdateService",
        &json!({"cluster": "main", "service": "s0", "deploymentController": {"type": "EXTERNAL"}}),
    );
    let shown = show(&scene, Layout::Json, 100).await;
    let target = shown.status().targets.remove(0);
    assert_eq!((shown.code(), &target.drift), (Exit::Done, &Drift::None), "{}", shown.out);
    assert!(target.blocked.is_some_and(|it| it.reason.contains("EXTERNAL")));
    assert!(show(&scene, Layout::Table, 100).await.out.contains("cannot be deployed\n  a0/eu-west-1/s0\n"));
}

#[tokio::test(start_paused = true)]
async fn a_service_under_codedeploy_drifts_as_others_do() {
    let group = "    cluster: main\n    codedeploy: { application: shop, deployment_group: \"${service.name}\", container: app, \
                 port: 8080 }\n";
    let scene = Scene::new(&manifest(1, 1, "").replace("    cluster: main\n", group));
    assert_eq!(show(&scene, Layout::Table, 100).await.code(), Exit::Pending);
    let under_way = async {
        tokio::time::sleep(std::time::Duration::from_secs(20)).await;
        show(&scene, Layout::Table, 100).await
    };
    let (ran, during) = tokio::join!(scene.deploy(), under_way);
    assert_eq!(ran.code(), Exit::Done, "{}", ran.said);
    assert!(during.out.contains("under way, s0:") && during.out.contains("1 deployment under way"), "{}", during.out);
    let after = show(&scene, Layout::Table, 100).await;
    assert_eq!(after.code(), Exit::Done, "{}", after.out);
    assert!(after.out.contains("1 target: 1 in sync"), "{}", after.out);
}

#[tokio::test(start_paused = true)]
async fn a_service_without_a_task_definition_is_there_and_cannot_be_deployed() {
    let scene = Scene::of(1, 2, "");
    behind(&scene, "a0", "DeleteService", &json!({"cluster": "main", "service": "s0", "force": true}));
    let external = json!({"cluster": "main", "serviceName": "s0", "deploymentController": {"type": "EXTERNAL"}});
    behind(&scene, "a0", "CreateService", &external);
    let shown = show(&scene, Layout::Json, 100).await;
    let target = shown.status().targets.remove(0);
    assert!(matches!(&target.drift, Drift::Differs { what } if what[..] == ["the service runs no task definition"]));
    assert!(target.blocked.is_some_and(|it| it.reason.contains("its deployment controller is EXTERNAL")));
    let ran = scene.deploy().await;
    assert_eq!(ran.code(), Exit::Blocked);
    let refused = format!("{:?}", ran.exit);
    assert!(refused.contains("its deployment controller is EXTERNAL"), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn a_revision_that_was_deregistered_is_called_so() {
    let scene = Scene::of(1, 1, "");
    assert_eq!(scene.deploy().await.code(), Exit::Done);
    let runs = show(&scene, Layout::Json, 100).await.status().targets.remove(0).live.expect("it is there");
    assert_eq!(runs.revision_status, None);
    behind(&scene, "a0", "DeregisterTaskDefinition", &json!({"taskDefinition": runs.task_definition}));
    let shown = show(&scene, Layout::Json, 100).await;
    let live = shown.status().targets.remove(0).live.expect("it is there");
    assert_eq!(live.revision_status.as_deref(), Some("INACTIVE"));
    let words = format!("{} (INACTIVE)", live.revision.expect("a revision"));
    let table = show(&scene, Layout::Table, 120).await.out;
    assert!(table.contains(&words), "{table}");
}

#[tokio::test(start_paused = true)]
async fn five_hundred_targets_fit_a_page_and_all_of_them_are_there_when_asked_for() {
    let scene = Scene::of(100, 5, "").quick();
    let shown = show(&scene, Layout::Table, 100).await;
    assert!(shown.out.lines().count() < 60, "{}", shown.out);
    assert!(shown.out.contains("~ drifted: 100 accounts with 500 targets\n"), "{}", shown.out);
    assert!(shown.out.contains("  ~ the same in 100 targets:\n"), "{}", shown.out);
    assert!(shown.out.ends_with("500 targets: 500 drifted\n"), "{}", shown.out);
    let whole = show(&scene, Layout::Whole, 100).await;
    assert_eq!(whole.out.lines().filter(|line| line.starts_with("  ~ drifted ")).count(), 500);
}

#[tokio::test(start_paused = true)]
async fn what_differs_by_account_and_region_alone_is_said_once() {
    let secret = "    secrets: { app: { DB: \"arn:aws:ssm:${region}:${account.id}:parameter/db\" } }\n";
    let text = manifest(3, 1, "").replace("    cluster: main\n", &format!("    cluster: main\n{secret}"));
    let shown = show(&Scene::new(&text), Layout::Table, 80).await;
    assert!(shown.out.contains("  ~ the same in 3 targets:\n"), "{}", shown.out);
    let line = "      app: secret DB added: arn:aws:ssm:${region}:${account.id}:parameter/db\n";
    assert!(shown.out.contains(line), "{}", shown.out);
    assert!(shown.out.contains("  2026-11-01 07:00\n"), "half a name says nothing: {}", shown.out);
}

#[tokio::test(start_paused = true)]
async fn a_region_inside_a_longer_word_is_not_the_targets_own() {
    let secret =
        "    secrets: { app: { DB: \"arn:aws:ssm:${region}:${account.id}:parameter/xeu-west-1/eu-west-10\" } }\n";
    let text = manifest(2, 1, "").replace("    cluster: main\n", &format!("    cluster: main\n{secret}"));
    let shown = show(&Scene::new(&text), Layout::Table, 120).await;
    let line = "      app: secret DB added: arn:aws:ssm:${region}:${account.id}:parameter/xeu-west-1/eu-west-10\n";
    assert!(shown.out.contains(line), "{}", shown.out);
}

#[tokio::test(start_paused = true)]
async fn a_table_fits_its_page_however_narrow() {
    let service = "- name: 결제\n    service: s0\n    cluster: main";
    let text = manifest(1, 2, "").replace("- name: s0\n    cluster: main", service).replace("app:", "컨테이너:");
    let scene = Scene { fleet: fleet(&text), ..Scene::new(&text) };
    for width in [40, 50, 60, 80, 100, 200] {
        let shown = show(&scene, Layout::Table, width).await;
        let table = shown.out.split("\n\n").next().expect("a table");
        for line in table.lines() {
            assert!(roleout::base::text::width(line) <= width, "{width}: {line}");
        }
        assert!(table.contains("eu-"), "{width}: {table}");
    }
}

/// Programs read the schema from the repository. `ROLEOUT_BLESS=1 cargo test --test deploy` writes it anew.
#[test]
fn the_schema_in_the_repository_is_the_current_one() {
    const SCHEMA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/status.schema.json");
    let current = format!("{}\n", serde_json::to_string_pretty(&schema()).expect("a schema is JSON"));
    if std::env::var_os("ROLEOUT_BLESS").is_some() {
        fs_err::write(SCHEMA, &current).expect("the schema is written");
    }
    let stored = fs_err::read_to_string(SCHEMA).unwrap_or_default();
    assert!(stored == current, "docs/status.schema.json is out of date: run with ROLEOUT_BLESS=1");
}

#[tokio::test(start_paused = true)]
async fn the_json_is_valid_by_its_schema() {
    let scene = Scene::of(3, 2, "");
    let leaf = "arn:aws:iam::200000000002:role/leaf";
    assert!(scene.sandbox.change_role(leaf, |role| role.trust["Statement"] = json!([])));
    behind(&scene, "a1", "DeleteService", &json!({"cluster": "main", "service": "s1", "force": true}));
    behind(&scene, "a1", "UpdateService", &json!({"cluster": "main", "service": "s0", "forceNewDeployment": true}));
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    let shown = show(&scene, Layout::Json, 100).await;
    let validator = jsonschema::validator_for(&schema()).expect("a JSON Schema");
    let json: Value = serde_json::from_str(&shown.out).expect("JSON");
    let faults: Vec<String> =
        validator.iter_errors(&json).map(|fault| format!("{}: {fault}", fault.instance_path())).collect();
    assert_eq!(faults, Vec::<String>::new());
    assert!(!validator.is_valid(&json!({"version": 1})));
}
