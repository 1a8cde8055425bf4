//! The bake of a wave: what counts against a target, what does not, and what must have been seen.

use std::time::Duration;

use roleout::base::exit::Exit;
use roleout::fleet::Outcome;
use roleout::sandbox::{Fault, Timing};
use serde_json::json;

use crate::harness::{Ran, Scene, manifest};

const A0: &str = "a0";
const REGION: &str = "eu-west-1";
const ONE: &str = "a0/eu-west-1/s0";

fn rollout(bake: &str) -> String {
    format!("rollout: {{ timeout: 10m, max_failures: 1, waves: [ {{ name: all, bake: {bake} }} ] }}\n")
}

/// Waits until everything is deployed, which is when the bake begins.
async fn deployed(scene: &Scene) {
    loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let updates = scene.sandbox.calls().operation("UpdateService");
        let all = updates >= scene.fleet.targets.len() as u64
            && scene.fleet.targets.iter().all(|target| {
                let service = scene.sandbox.service(A0, REGION, "main", &target.service).expect("a service");
                matches!(&service.deployments[..], [(_, _, state)] if state == "COMPLETED")
            });
        if all {
            return;
        }
    }
}

fn update(scene: &Scene, service: &str, change: &serde_json::Value) {
    let mut input = json!({ "cluster": "main", "service": service });
    input.as_object_mut().expect("an object").extend(change.as_object().expect("an object").clone());
    scene.sandbox.call_as_operator(A0, REGION, "UpdateService", &input).expect("updated");
}

fn stop_a_task(scene: &Scene, service: &str) {
    let input = json!({ "cluster": "main", "serviceName": service });
    let tasks = scene.sandbox.call_as_operator(A0, REGION, "ListTasks", &input).expect("tasks");
    let stop = json!({ "cluster": "main", "task": tasks["taskArns"][0] });
    scene.sandbox.call_as_operator(A0, REGION, "StopTask", &stop).expect("stopped");
}

/// Deploys, and does something so many seconds into the bake.
async fn disturbed(scene: &Scene, seconds: u64, disturb: impl FnOnce()) -> Ran {
    let (ran, ()) = tokio::join!(scene.deploy(), async {
        deployed(scene).await;
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        disturb();
    });
    ran
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_scaled_out_is_healthy_whenever_that_is() {
    // A task takes longer than the patience with one that is missing.
    for seconds in [0, 10, 59] {
        let scene = Scene::of(1, 1, &rollout("1m"));
        let ran = disturbed(&scene, seconds, || update(&scene, "s0", &json!({ "desiredCount": 4 }))).await;
        assert_eq!((ran.code(), ran.outcome(ONE)), (Exit::Done, Some(Outcome::Succeeded)), "{seconds}: {}", ran.said);
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_scaled_in_and_out_again_is_healthy() {
    let scene = Scene::of(1, 1, &rollout("5m"));
    let (ran, ()) = tokio::join!(scene.deploy(), async {
        deployed(&scene).await;
        for count in [1, 2] {
            tokio::time::sleep(Duration::from_secs(100)).await;
            update(&scene, "s0", &json!({ "desiredCount": count }));
        }
    });
    assert_eq!((ran.code(), ran.outcome(ONE)), (Exit::Done, Some(Outcome::Succeeded)), "{}", ran.said);
}

/// Stops a task whose replacement runs after so many seconds and four.
fn replace_a_task(scene: &Scene, seconds: u64) {
    let (provision, start) = (Duration::from_secs(seconds), Duration::ZERO);
    scene.sandbox.set_timing(Timing { provision, start, ..Timing::realistic() });
    stop_a_task(scene, "s0");
}

#[tokio::test(start_paused = true)]
async fn a_task_that_is_replaced_in_the_last_moment_is_waited_for() {
    let scene = Scene::of(1, 1, &rollout("1m"));
    let ran = disturbed(&scene, 58, || replace_a_task(&scene, 15)).await;
    assert_eq!((ran.code(), ran.outcome(ONE)), (Exit::Done, Some(Outcome::Succeeded)), "{}", ran.said);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_is_missing_for_long_fails_its_target_also_at_the_end() {
    for seconds in [10, 58] {
        let scene = Scene::of(1, 1, &rollout("1m"));
        let ran = disturbed(&scene, seconds, || replace_a_task(&scene, 180)).await;
        assert_eq!((ran.code(), ran.outcome(ONE)), (Exit::Tolerated, Some(Outcome::Failed)), "{seconds}: {}", ran.said);
        let reason = ran.reason(ONE);
        assert!(reason.starts_with("its tasks were stopped by StopTask\n1 of 2 tasks run\n"), "{seconds}: {reason}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_succeeded_early_may_fill_up_in_the_bake() {
    let early = "    deployment: { maximum_percent: 100, minimum_healthy_percent: 50, early_success_criteria: { enable: true, \
                 healthy_percent: 50, source_service_revision_cleanup: DEFERRED } }\n";
    for bake in ["10s", "3m"] {
        let text =
            manifest(1, 1, &rollout(bake)).replace("    cluster: main\n", &format!("    cluster: main\n{early}"));
        let scene = Scene::new(&text);
        let ran = scene.deploy().await;
        assert_eq!((ran.code(), ran.outcome(ONE)), (Exit::Done, Some(Outcome::Succeeded)), "{bake}: {}", ran.said);
    }
}

#[tokio::test(start_paused = true)]
async fn a_bake_of_a_second_looks_once() {
    let scene = || Scene::of(1, 2, &rollout("1s"));
    for (timing, scene) in [("realistic", scene()), ("quick", scene().quick())] {
        let ran = scene.deploy().await;
        assert_eq!((ran.code(), ran.count(Outcome::Succeeded)), (Exit::Done, 2), "{timing}: {}", ran.said);
    }
}

#[tokio::test(start_paused = true)]
async fn a_throttled_call_hides_no_service_of_another_call() {
    // 21 services are three calls a look. Somebody deploys one of the last while those with s0 are throttled.
    let scene = Scene::of(1, 21, &rollout("10m"));
    let (ran, ()) = tokio::join!(scene.deploy(), async {
        deployed(&scene).await;
        tokio::time::sleep(Duration::from_secs(30)).await;
        scene.sandbox.fault("a0/*/s0", Fault::Throttle(0.001)).expect("a fault");
        tokio::time::sleep(Duration::from_secs(60)).await;
        update(&scene, "s9", &json!({ "forceNewDeployment": true }));
        tokio::time::sleep(Duration::from_secs(90)).await;
        scene.sandbox.clear_faults();
    });
    assert_eq!((ran.code(), ran.count(Outcome::Succeeded)), (Exit::Tolerated, 20), "{}", ran.said);
    let reason = ran.reason("a0/eu-west-1/s9");
    assert!(reason.contains("is PRIMARY instead of"), "{reason}");
}

/// Deploys with ECS throttled from so many seconds into a bake of five minutes, for so long.
async fn blind(from: u64, seconds: u64) -> Ran {
    let scene = Scene::of(1, 1, &rollout("5m"));
    let (ran, ()) = tokio::join!(scene.deploy(), async {
        deployed(&scene).await;
        tokio::time::sleep(Duration::from_secs(from)).await;
        scene.sandbox.fault("*", Fault::Throttle(0.001)).expect("a fault");
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        scene.sandbox.clear_faults();
    });
    ran
}

#[tokio::test(start_paused = true)]
async fn the_last_word_is_a_look_at_the_end_and_without_one_nothing_is_known() {
    for (from, seconds) in [(10, 60), (280, 40), (200, 120)] {
        let ran = blind(from, seconds).await;
        assert_eq!((ran.code(), ran.outcome(ONE)), (Exit::Done, Some(Outcome::Succeeded)), "{from}: {}", ran.said);
    }
    let ran = blind(280, 600).await;
    assert_eq!((ran.code(), ran.outcome(ONE)), (Exit::Tolerated, Some(Outcome::Failed)), "{}", ran.said);
    let reason = ran.reason(ONE);
    let words = "inconclusive: DescribeServices: ThrottlingException: Rate exceeded (request id ";
    assert!(reason.starts_with(words), "{reason}");
    assert_eq!(reason.lines().last(), Some("s0:10 still runs in a0"), "{reason}");
}
