//! `before` and `after`: tasks of RunTask around a deployment, alone and shared.

use std::time::Duration;

use roleout::base::exit::Exit;
use roleout::engine::cancel::Signal;
use roleout::event::{Event, TaskEnd};
use roleout::fleet::{Moment, Outcome};
use roleout::run::saved_file;
use roleout::run::saved_plan::ApplyOptions;
use roleout::sandbox::Write;
use serde_json::{Value, json};

use crate::harness::{Directory, Ran, Scene, manifest};

const ONE: &str = "a0/eu-west-1/s0";
const MIGRATE: &str =
    "before: [ { run_task: migrate, container: app, command: [./migrate, up], environment: { MODE: once } } ]";
const ROLLOUT: &str = "rollout: { timeout: 30m }\n";

/// A fleet whose services have these keys besides.
fn scene(accounts: usize, services: usize, keys: &str, rollout: &str) -> Scene {
    let text = manifest(accounts, services, rollout);
    Scene::new(&text.replace("    cluster: main\n", &format!("    cluster: main\n    {keys}\n")))
}

fn shared(per: &str) -> String {
    MIGRATE.replace("container:", &format!("per: {per}, container:"))
}

/// The calls that changed something, in order.
fn operations(scene: &Scene) -> Vec<String> {
    scene.sandbox.calls().writes.into_iter().map(|write| write.operation).collect()
}

fn runs(scene: &Scene) -> Vec<Write> {
    scene.sandbox.calls().writes.into_iter().filter(|write| write.operation == "RunTask").collect()
}

/// The tasks that a run told of, and how they ended.
fn told(ran: &Ran) -> Vec<(String, String, Moment, TaskEnd)> {
    let told = ran.events.iter().filter_map(|stamped| match &stamped.event {
        Event::RunTaskFinished { target, name, moment, end } => Some((target.to_string(), name.clone(), *moment, *end)),
        _ => None,
    });
    told.collect()
}

fn started(ran: &Ran) -> usize {
    ran.events.iter().filter(|stamped| matches!(stamped.event, Event::RunTaskStarted { .. })).count()
}

#[tokio::test(start_paused = true)]
async fn a_task_runs_with_the_new_revision_between_register_and_update() {
    let scene = scene(1, 1, MIGRATE, ROLLOUT);
    let ran = scene.deploy().await;
    assert_eq!(ran.code(), Exit::Done, "{}", ran.said);
    assert_eq!(operations(&scene), ["RegisterTaskDefinition", "RunTask", "UpdateService"]);
    let input = runs(&scene).remove(0).input;
    assert!(input["taskDefinition"].as_str().expect("an ARN").ends_with(":task-definition/s0:10"), "{input}");
    assert_eq!(
        input["overrides"]["containerOverrides"],
        json!([{ "name": "app", "command": ["./migrate", "up"], "environment": [{ "name": "MODE", "value": "once" }] }])
    );
    assert_eq!(
        (&input["count"], &input["startedBy"], &input["launchType"]),
        (&json!(1), &json!("roleout/migrate"), &json!("FARGATE"))
    );
    assert_eq!(
        input["networkConfiguration"]["awsvpcConfiguration"]["subnets"],
        json!(["subnet-0a1b2c3d", "subnet-4e5f6071"])
    );
    assert_eq!(input["clientToken"].as_str().map(str::len), Some(64));
    assert_eq!(told(&ran), [(ONE.to_owned(), "migrate".to_owned(), Moment::Before, TaskEnd::Succeeded)]);
    for words in [
        "runs the task migrate before the deployment: ",
        "the task migrate succeeded after 1m",
        "task migrate before the deployment: 1 succeeded",
    ] {
        assert!(ran.said.contains(words), "{words}\n{}", ran.said);
    }
    // What needs nothing runs nothing.
    let again = scene.deploy().await;
    assert_eq!((again.outcome(ONE), runs(&scene).len()), (Some(Outcome::Unchanged), 1));
}

#[tokio::test(start_paused = true)]
async fn a_task_says_for_itself_where_it_runs_and_what() {
    let keys = "before: [ { run_task: m.1, task_definition: \"s0:9\", network: { subnets: [subnet-9], assign_public_ip: ENABLED }, \
                capacity_provider_strategy: [ { capacity_provider: FARGATE_SPOT, weight: 1 } ] } ]";
    let scene = scene(1, 1, keys, ROLLOUT);
    let ran = scene.deploy().await;
    assert_eq!(ran.code(), Exit::Done, "{}", ran.said);
    let input = runs(&scene).remove(0).input;
    assert_eq!((&input["taskDefinition"], &input["startedBy"]), (&json!("s0:9"), &json!("roleout/m_1")));
    assert_eq!(
        input["networkConfiguration"],
        json!({ "awsvpcConfiguration": { "subnets": ["subnet-9"], "assignPublicIp": "ENABLED" } })
    );
    assert_eq!(input["capacityProviderStrategy"], json!([{ "capacityProvider": "FARGATE_SPOT", "weight": 1 }]));
    assert_eq!((&input["launchType"], &input["overrides"]), (&Value::Null, &Value::Null));
}

#[tokio::test(start_paused = true)]
async fn a_task_that_fails_keeps_its_target_from_being_deployed() {
    let scene = scene(2, 1, MIGRATE, "rollout: { timeout: 30m, max_failures: 1, on_failure: rollback }\n")
        .fault("a0=task-fails");
    let ran = scene.deploy().await;
    assert_eq!((ran.code(), ran.outcome(ONE)), (Exit::Tolerated, Some(Outcome::Failed)), "{}", ran.said);
    assert_eq!(
        ran.reason(ONE),
        "the task migrate failed: app exits with 1; nothing was deployed\n1 task: EssentialContainerExited: Essential container in task \
         exited (app exited with 1)"
    );
    assert_eq!(operations(&scene).iter().filter(|it| *it == "UpdateService").count(), 1, "of the other one");
    assert_eq!(ran.outcome("a1/eu-west-1/s0"), Some(Outcome::Succeeded));
    assert!(ran.said.contains("task migrate before the deployment: 1 succeeded, 1 failed"), "{}", ran.said);
}

#[tokio::test(start_paused = true)]
async fn a_failed_task_shows_the_end_of_its_log() {
    let keys = format!("task_definition: tests/deploy/named.json\n    {MIGRATE}");
    let ran = scene(1, 1, &keys, ROLLOUT).fault("*=task-fails").deploy().await;
    assert_eq!(ran.code(), Exit::Failed, "{}", ran.said);
    assert!(ran.said.contains("        | Error: connect ECONNREFUSED 10.0.3.17:5432\n"), "{}", ran.said);
    assert!(!ran.said.contains("open-sesame"), "{}", ran.said);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_does_not_end_is_stopped_and_has_failed() {
    let scene = scene(1, 1, &MIGRATE.replace("container:", "timeout: 3m, container:"), ROLLOUT).fault("*=task-hangs");
    let ran = scene.deploy().await;
    assert_eq!(ran.code(), Exit::Failed, "{}", ran.said);
    assert_eq!(ran.reason(ONE), "the task migrate timed out after 3m, and was stopped; nothing was deployed");
    assert_eq!(operations(&scene), ["RegisterTaskDefinition", "RunTask", "StopTask"]);
    assert!((180..190).contains(&ran.seconds), "{}", ran.seconds);
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_starts_no_second_task_and_another_run_starts_its_own() {
    let scene = scene(1, 1, MIGRATE, ROLLOUT).fault("*=lost:70");
    let ran = scene.deploy().await;
    assert_eq!(ran.outcome(ONE), Some(Outcome::Succeeded), "{}", ran.said);
    let tokens: Vec<Value> = runs(&scene).into_iter().map(|run| run.input["clientToken"].clone()).collect();
    assert!(tokens.len() > 1, "an answer was lost");
    assert!(tokens.iter().all(|token| *token == tokens[0]), "{tokens:?}");
    let tasks = scene.sandbox.call_as_operator(
        "a0",
        "eu-west-1",
        "ListTasks",
        &json!({ "cluster": "main", "startedBy": "roleout/migrate", "desiredStatus": "STOPPED" }),
    );
    assert_eq!(tasks.expect("a list")["taskArns"].as_array().map(Vec::len), Some(1));
}

#[tokio::test(start_paused = true)]
async fn what_may_not_be_run_or_seen_says_what_to_allow() {
    for (action, reason) in [
        ("ecs:RunTask", "the task migrate could not be started: RunTask: AccessDeniedException"),
        ("ecs:DescribeTasks", "the task migrate cannot be watched, and was stopped: DescribeTasks: AccessDenied"),
    ] {
        let scene = scene(1, 1, MIGRATE, ROLLOUT).fault(&format!("*=deny:{action}"));
        let ran = scene.deploy().await;
        assert_eq!(ran.code(), Exit::Failed, "{action}: {}", ran.said);
        assert!(ran.reason(ONE).starts_with(reason), "{}", ran.reason(ONE));
        assert!(
            ran.said.contains(&format!("help: allow {action} to arn:aws:iam::200000000000:role/leaf")),
            "{action}: {}",
            ran.said
        );
        assert!(!operations(&scene).contains(&"UpdateService".to_owned()), "{action}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_for_which_there_is_no_capacity_has_failed() {
    let scene = scene(1, 1, MIGRATE, ROLLOUT).fault("*=no-capacity");
    let ran = scene.deploy().await;
    assert_eq!((ran.code(), started(&ran)), (Exit::Failed, 0), "{}", ran.said);
    assert_eq!(
        ran.reason(ONE),
        "the task migrate could not be started: Capacity is unavailable at this time. Please try again later or in a \
         different availability zone; nothing was deployed"
    );
}

#[tokio::test(start_paused = true)]
async fn throttled_calls_are_waited_for() {
    // Many reads at once: throttling does not use up each other's attempts, nor those that an outage needs.
    for (services, rate, outage) in [(8, "0.5", 10), (40, "1", 0), (40, "2", 10)] {
        let scene = scene(1, services, MIGRATE, ROLLOUT).fault(&format!("*=throttle:{rate}"));
        let ran = scene.fault(&format!("*=unavailable:{outage}")).deploy().await;
        assert_eq!(ran.count(Outcome::Succeeded), services, "{rate}, {outage}: {}", ran.said);
    }
}

#[tokio::test(start_paused = true)]
async fn a_shared_task_runs_once_before_all_of_its_targets() {
    for (per, wanted) in [("account", 3), ("run", 1)] {
        let text = manifest(3, 1, ROLLOUT).replace("regions: [eu-west-1]", "regions: [eu-west-1, us-east-1]");
        let scene =
            Scene::new(&text.replace("    cluster: main\n", &format!("    cluster: main\n    {}\n", shared(per))));
        let ran = scene.deploy().await;
        assert_eq!((ran.code(), ran.count(Outcome::Succeeded)), (Exit::Done, 6), "{per}: {}", ran.said);
        assert_eq!((runs(&scene).len(), started(&ran)), (wanted, wanted), "{per}");
        let waits = ran.said.matches("waits for the task migrate, which runs for another target").count();
        assert_eq!(waits, 6 - wanted, "{per}: {}", ran.said);
        if per == "run" {
            let operations = operations(&scene);
            let place = |name: &str| operations.iter().position(|it| it == name);
            assert!(place("RunTask") < place("UpdateService"), "{per}: {operations:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_shared_task_that_fails_fails_all_of_its_targets_with_one_reason() {
    let scene = scene(4, 1, &shared("run"), "rollout: { timeout: 30m, max_failures: 100% }\n").fault("*=task-fails");
    let ran = scene.deploy().await;
    assert_eq!((ran.code(), ran.count(Outcome::Failed)), (Exit::Tolerated, 4), "{}", ran.said);
    assert_eq!(operations(&scene).iter().filter(|it| !it.starts_with("Register")).collect::<Vec<_>>(), ["RunTask"]);
    for words in [
        "failed, the same in 4 targets",
        "the task migrate (once in the run) failed: app exits with 1; nothing was deployed",
        "      1 task: EssentialContainerExited",
    ] {
        assert!(ran.said.contains(words), "{words}\n{}", ran.said);
    }
}

#[tokio::test(start_paused = true)]
async fn later_waves_do_not_repeat_a_shared_task() {
    let waves = "rollout: { timeout: 30m, waves: [ { name: first, select: { ring: canary } }, { name: rest } ] }\n";
    let both = format!("{}\n    after: [ {{ run_task: smoke, per: run }} ]", shared("run"));
    let scene = scene(3, 1, &both, waves);
    let ran = scene.deploy().await;
    assert_eq!(ran.code(), Exit::Done, "{}", ran.said);
    let told = told(&ran);
    assert_eq!((told.len(), told[0].2, told[1].2), (2, Moment::Before, Moment::After), "{told:?}");
    assert_eq!(operations(&scene).last().map(String::as_str), Some("RunTask"), "after the last target");
    assert!(!ran.said.contains("was not run"), "{}", ran.said);
}

#[tokio::test(start_paused = true)]
async fn a_shared_task_after_the_deployments_does_not_run_where_one_failed() {
    let keys = "after: [ { run_task: smoke, per: run } ]";
    let scene = scene(3, 1, keys, "rollout: { timeout: 30m, max_failures: 1 }\n").fault("a1=crash");
    let ran = scene.deploy().await;
    assert_eq!(
        (ran.code(), ran.count(Outcome::Succeeded), runs(&scene).len()),
        (Exit::Tolerated, 2, 0),
        "{}",
        ran.said
    );
    let words = "! the task smoke of s0 was not run: 1 target of it did not succeed in this run";
    assert!(ran.said.contains(words), "{}", ran.said);
}

#[tokio::test(start_paused = true)]
async fn a_task_after_the_deployment_that_fails_is_a_failure_of_the_target() {
    let keys = "after: [ { run_task: smoke } ]";
    let stays = scene(1, 1, keys, ROLLOUT).fault("*=task-fails");
    let ran = stays.deploy().await;
    assert_eq!((ran.code(), ran.outcome(ONE)), (Exit::Failed, Some(Outcome::Failed)), "{}", ran.said);
    assert!(
        ran.reason(ONE).starts_with("the task smoke failed: app exits with 1; the deployment had completed\n"),
        "{}",
        ran.reason(ONE)
    );
    assert_eq!(operations(&stays), ["RegisterTaskDefinition", "UpdateService", "RunTask"]);
    let service = stays.sandbox.service("a0", "eu-west-1", "main", "s0").expect("a service");
    assert!(service.task_definition.ends_with(":10"), "it stays");

    let back = scene(1, 1, keys, "rollout: { timeout: 30m, on_failure: rollback }\n").fault("*=task-fails");
    let ran = back.deploy().await;
    assert_eq!((ran.code(), ran.outcome(ONE)), (Exit::RolledBack, Some(Outcome::RolledBack)), "{}", ran.said);
    assert_eq!(operations(&back), ["RegisterTaskDefinition", "UpdateService", "RunTask", "UpdateService"]);
    let service = back.sandbox.service("a0", "eu-west-1", "main", "s0").expect("a service");
    assert!(service.task_definition.ends_with(":9"), "{}", service.task_definition);
}

/// Deploys, and cancels after so many seconds. Returns how long it took from then on.
async fn cancelled(scene: &Scene, seconds: u64) -> (Ran, u64) {
    let cancel = scene.cancel.clone();
    let (ran, ()) = tokio::join!(scene.deploy(), async {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        cancel.cancel(Signal::Terminate);
    });
    let after = ran.seconds.saturating_sub(seconds);
    (ran, after)
}

#[tokio::test(start_paused = true)]
async fn a_cancel_stops_the_tasks_that_run_and_sends_no_update() {
    let scene = scene(3, 2, MIGRATE, ROLLOUT).fault("*=task-hangs");
    let (ran, after) = cancelled(&scene, 60).await;
    assert_eq!((ran.code(), ran.count(Outcome::Cancelled)), (Exit::Terminated, 6), "{}", ran.said);
    assert!(after < 5, "{after} s");
    let of = |name: &str| operations(&scene).iter().filter(|it| *it == name).count();
    assert_eq!((of("RunTask"), of("StopTask"), of("UpdateService")), (6, 6, 0));
    let words = "the run was cancelled while the task migrate ran, which was stopped; UpdateService was not sent\n\
                 s0:10 exists and is not used";
    assert_eq!(ran.reason(ONE), words);
    assert!(told(&ran).iter().all(|(_, _, _, end)| *end == TaskEnd::Cancelled));
    // The next job goes on: the task runs again.
    let mut next = scene.planning();
    next.sandbox.clear_faults();
    next.sandbox.forget_calls();
    next.cancel = Default::default();
    let ran = next.deploy().await;
    assert_eq!((ran.code(), runs(&next).len()), (Exit::Done, 6), "{}", ran.said);
}

#[tokio::test(start_paused = true)]
async fn a_cancel_ends_those_who_wait_for_a_shared_task_and_those_after_their_deployments() {
    let scene_of_run = scene(3, 1, &shared("run"), ROLLOUT).fault("*=task-hangs");
    let (ran, after) = cancelled(&scene_of_run, 60).await;
    assert_eq!((ran.code(), ran.count(Outcome::Cancelled)), (Exit::Terminated, 3), "{}", ran.said);
    assert!(after < 5, "{after} s");
    assert_eq!(operations(&scene_of_run).iter().filter(|it| *it == "StopTask").count(), 1);

    let keys = "after: [ { run_task: smoke, timeout: 1h } ]";
    let later = scene(1, 1, keys, ROLLOUT).fault("*=task-hangs");
    let (ran, after) = cancelled(&later, 600).await;
    assert_eq!((ran.code(), ran.outcome(ONE)), (Exit::Terminated, Some(Outcome::Detached)), "{}", ran.said);
    assert!(after < 5, "{after} s");
    let words = "the run was cancelled while the task smoke ran, which was stopped; the deployment had completed";
    assert_eq!(ran.reason(ONE), words);
}

#[tokio::test(start_paused = true)]
async fn what_is_under_way_is_followed_without_its_first_tasks() {
    let both = format!("{MIGRATE}\n    after: [ {{ run_task: smoke }} ]");
    let scene = scene(1, 1, &both, ROLLOUT);
    let (ran, _) = cancelled(&scene, 100).await;
    assert_eq!(ran.outcome(ONE), Some(Outcome::Detached), "{}", ran.said);
    let mut next = scene.planning();
    next.sandbox.forget_calls();
    next.cancel = Default::default();
    let ran = next.deploy().await;
    assert_eq!(ran.outcome(ONE), Some(Outcome::Succeeded), "{}", ran.said);
    assert_eq!(operations(&next), ["RunTask"]);
    assert_eq!(told(&ran)[0].2, Moment::After);
}

#[tokio::test(start_paused = true)]
async fn the_plan_names_the_tasks_and_a_saved_one_runs_them() {
    let directory = Directory::new("hooks");
    let scene = scene(2, 1, &shared("account"), ROLLOUT);
    let planned = scene.planning().dry_run_to(directory.plan()).deploy().await;
    let words = "before: runs the task migrate, once in the account, with MODE: app ./migrate up";
    assert!(planned.said.contains(words), "{}", planned.said);
    assert!(planned.said.contains("new revision, the same in 2 targets"), "{}", planned.said);
    assert_eq!(runs(&scene).len(), 0);
    let text = fs_err::read_to_string(directory.plan()).expect("a plan");
    let saved: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(saved["targets"][0]["work"]["run_tasks"]["before"][0]["command"], json!(["./migrate", "up"]));
    let terms = ApplyOptions {
        dry_run: false,
        skip_blocked: false,
        skip_stale: false,
        max_age: Duration::from_secs(3600),
        no_verify: false,
        origin: Default::default(),
    };
    let (saved, start) = (saved_file::read(&directory.plan()).expect("a saved plan"), scene.start.clone());
    let ran = scene
        .ran(async |reach, view| crate::runs::apply(saved, reach, terms, start, view, scene.cancel.clone()).await)
        .await;
    assert_eq!((ran.code(), runs(&scene).len()), (Exit::Done, 2), "{}", ran.said);
}

#[tokio::test(start_paused = true)]
async fn a_container_that_the_definition_does_not_have_blocks_the_target() {
    let scene = scene(1, 1, &MIGRATE.replace("container: app", "container: ap"), ROLLOUT);
    let ran = scene.deploy().await;
    assert_eq!(ran.code(), Exit::Blocked);
    let error = ran.exit.expect_err("blocked").to_string();
    let words = "the task migrate is of the container `ap`, which the task definition does not have";
    assert!(error.contains(words), "{error}");
    assert_eq!(scene.sandbox.calls().writes, Vec::new());
}

#[tokio::test(start_paused = true)]
async fn an_override_replaces_all_tasks_and_settings_alone_run_none() {
    let keys = format!("{MIGRATE}\n    overrides: [ {{ select: {{ ring: main }}, before: [] }} ]");
    let scene = scene(2, 1, &keys, ROLLOUT);
    let ran = scene.deploy().await;
    assert_eq!((ran.code(), runs(&scene).len()), (Exit::Done, 1), "{}", ran.said);
    assert_eq!(runs(&scene)[0].account, "200000000000");
    let mut counted = scene.planning();
    counted.fleet.targets.iter_mut().for_each(|target| target.desired.desired_count = Some(3));
    let ran = counted.deploy().await;
    assert_eq!((ran.code(), ran.count(Outcome::Succeeded), runs(&scene).len()), (Exit::Done, 2, 1), "{}", ran.said);
}
