//! `roleout watch`: what is under way is followed to its end, whoever started it, and nothing is changed.

use std::time::Duration;

use roleout::base::exit::Exit;
use roleout::engine::Start;
use roleout::engine::cancel::Signal;
use roleout::fleet::Outcome;
use serde_json::json;

use crate::harness::{Ran, Scene};

async fn watched(scene: &Scene, skip_blocked: bool) -> Ran {
    let scene = scene.planning();
    scene.sandbox.forget_calls();
    let (fleet, cancel) = (scene.fleet.clone(), scene.cancel.clone());
    let ran = scene
        .ran(async |reach, view| crate::runs::watch(fleet, reach, skip_blocked, Start::default(), view, cancel).await)
        .await;
    assert_eq!(scene.sandbox.calls().writes, Vec::new(), "watching only reads");
    ran
}

/// Lets a deployment of everything start, and leaves it there.
async fn left(scene: &Scene) {
    let cancel = scene.cancel.clone();
    let leave = async {
        tokio::time::sleep(Duration::from_secs(20)).await;
        cancel.cancel(Signal::Terminate);
    };
    let (ran, ()) = tokio::join!(scene.deploy(), leave);
    assert_eq!(ran.code(), Exit::Terminated, "{}", ran.said);
}

#[tokio::test(start_paused = true)]
async fn what_a_cancelled_run_left_is_followed_to_its_end() {
    let scene = Scene::of(3, 2, "");
    left(&scene).await;
    let ran = watched(&scene, false).await;
    assert_eq!((ran.code(), ran.count(Outcome::Succeeded)), (Exit::Done, 6), "{}", ran.said);
    assert!(ran.state.targets().all(|target| target.attached), "{}", ran.said);
    let ran = watched(&scene, false).await;
    assert_eq!((ran.code(), ran.events.len(), ran.state.totals().all()), (Exit::Done, 2, 0));
    assert!(
        ran.said.contains("note: there is nothing to follow: 6 targets without a deployment under way\n"),
        "{}",
        ran.said
    );
}

#[tokio::test(start_paused = true)]
async fn watch_tells_a_rollback_that_is_under_way() {
    let scene = Scene::of(1, 2, "rollout: { timeout: 2m }\n").fault("*/*/s0=crash");
    // Both have begun, the first crashes, and the run leaves it in the middle of ECS's rollback.
    let ran = scene.deploy().await;
    assert_eq!((ran.code(), ran.outcome("a0/eu-west-1/s0")), (Exit::Stuck, Some(Outcome::Stuck)), "{}", ran.said);
    let ran = watched(&scene, false).await;
    assert_eq!(
        (ran.code(), ran.outcome("a0/eu-west-1/s0")),
        (Exit::RolledBack, Some(Outcome::RolledBack)),
        "{}",
        ran.said
    );
    let ran = watched(&scene, false).await;
    assert!(ran.said.contains("2 targets without a deployment under way; 1 of them would change by"), "{}", ran.said);
}

#[tokio::test(start_paused = true)]
async fn a_strangers_deployment_is_followed_too_and_what_cannot_be_read_is_named() {
    let scene = Scene::of(2, 1, "");
    let update = json!({"cluster": "main", "service": "s0", "forceNewDeployment": true});
    scene.sandbox.call_as_operator("a0", "eu-west-1", "UpdateService", &update).expect("updated");
    let leaf = "arn:aws:iam::200000000001:role/leaf";
    assert!(scene.sandbox.change_role(leaf, |role| role.trust["Statement"] = json!([])));
    let ran = watched(&scene, false).await;
    let error = ran.exit.as_ref().expect_err("refused");
    assert!(error.exit == Exit::Preflight && error.message.contains("a1 (200000000001)"), "{error}");
    let ran = watched(&scene, true).await;
    assert_eq!((ran.code(), ran.count(Outcome::Succeeded)), (Exit::Done, 1), "{}", ran.said);
}
