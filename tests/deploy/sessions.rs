//! Sessions that AWS ends before their time: the call that is refused gives its session up, and is made again with a new one.

use std::future::Future;
use std::time::Duration;

use roleout::base::exit::Exit;
use roleout::event::Event;
use roleout::fleet::Outcome;
use roleout::sandbox::Sandbox;

use crate::harness::{Ran, Scene, manifest};

const HUB: &str = "111111111111";
const LEAF: &str = "200000000000";

/// A call takes so long.
const LATENCY: Duration = Duration::from_millis(100);

/// Deploys while AWS does something beside it.
async fn deploy_beside(scene: &Scene, beside: impl Future<Output = ()>) -> Ran {
    scene.sandbox.set_latency(LATENCY);
    let mut deployed = std::pin::pin!(scene.deploy());
    tokio::select! {
        ran = &mut deployed => ran,
        () = beside => deployed.await,
    }
}

/// Waits until requests of an operation are on their way, and ends the account's sessions before they arrive.
async fn end_under(sandbox: &Sandbox, operation: &str) {
    let sent = || sandbox.calls().attempts.iter().any(|call| call.operation == operation);
    while !sent() {
        tokio::time::sleep(LATENCY / 10).await;
    }
    sandbox.expire_sessions(LEAF);
}

fn writes(scene: &Scene, operation: &str) -> (usize, usize) {
    let calls = scene.sandbox.calls();
    let sent = calls.attempts.iter().filter(|call| call.operation == operation).count();
    (sent, calls.writes.iter().filter(|write| write.operation == operation).count())
}

#[tokio::test(start_paused = true)]
async fn a_session_that_aws_ends_in_the_middle_is_renewed_once_for_all_of_its_targets() {
    let scene = Scene::of(2, 12, "");
    let ran = deploy_beside(&scene, async {
        tokio::time::sleep(Duration::from_secs(40)).await;
        scene.sandbox.expire_sessions(LEAF);
    })
    .await;
    assert_eq!((ran.code(), ran.count(Outcome::Succeeded)), (Exit::Done, 24), "{}", ran.said);
    assert!(ran.seconds > 50, "{} s", ran.seconds);
    let calls = scene.sandbox.calls();
    assert_eq!((calls.operation("AssumeRoleWithWebIdentity"), calls.operation("AssumeRole")), (1, 3));
    assert!(!ran.said.contains("Expired"), "{}", ran.said);
}

#[tokio::test(start_paused = true)]
async fn hundreds_of_reads_that_are_refused_at_once_share_the_new_session() {
    let scene = Scene::of(1, 200, "").quick();
    let ran = deploy_beside(&scene, async {
        while scene.sandbox.calls().operation("DescribeTaskDefinition") == 0 {
            tokio::time::sleep(LATENCY / 10).await;
        }
        scene.sandbox.expire_sessions(LEAF);
    })
    .await;
    assert_eq!((ran.code(), ran.count(Outcome::Succeeded)), (Exit::Done, 200), "{}", ran.said);
    assert_eq!(scene.sandbox.calls().operation("AssumeRole"), 2);
}

#[tokio::test(start_paused = true)]
async fn a_hub_that_aws_ended_is_walked_anew_too() {
    let scene = Scene::of(3, 2, "");
    let ran = deploy_beside(&scene, async {
        tokio::time::sleep(Duration::from_secs(40)).await;
        for account in [HUB, LEAF, "200000000001"] {
            scene.sandbox.expire_sessions(account);
        }
    })
    .await;
    assert_eq!((ran.code(), ran.count(Outcome::Succeeded)), (Exit::Done, 6), "{}", ran.said);
    let calls = scene.sandbox.calls();
    assert_eq!(calls.operation("AssumeRoleWithWebIdentity"), 2);
    // Three at first, one or two that the ended hub may not make, and two by the new hub.
    assert!((6..=7).contains(&calls.operation("AssumeRole")), "{:?}", calls.by_operation());
}

#[tokio::test(start_paused = true)]
async fn a_write_that_is_refused_for_its_session_is_made_again_and_done_once() {
    for operation in ["RegisterTaskDefinition", "UpdateService"] {
        let scene = Scene::of(1, 1, "");
        let ran = deploy_beside(&scene, end_under(&scene.sandbox, operation)).await;
        assert_eq!((ran.code(), ran.count(Outcome::Succeeded)), (Exit::Done, 1), "{operation}: {}", ran.said);
        for each in ["RegisterTaskDefinition", "UpdateService"] {
            let sent = if each == operation { 2 } else { 1 };
            assert_eq!(writes(&scene, each), (sent, 1), "{each}, {operation} refused: {}", ran.said);
        }
        assert_eq!(scene.sandbox.calls().operation("AssumeRole"), 2, "{operation}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_whose_session_ends_again_and_again_is_watched_on() {
    for task in ["before", "after"] {
        let task = format!("    cluster: main\n    {task}: [ {{ run_task: smoke }} ]\n");
        let scene = Scene::new(&manifest(1, 1, "").replace("    cluster: main\n", &task));
        let ended = async {
            while scene.sandbox.calls().operation("DescribeTasks") == 0 {
                tokio::time::sleep(LATENCY / 10).await;
            }
            for _ in 0..60 {
                scene.sandbox.expire_sessions(LEAF);
                tokio::time::sleep(LATENCY / 2).await;
            }
        };
        let ran = deploy_beside(&scene, ended).await;
        assert_eq!((ran.code(), ran.count(Outcome::Succeeded)), (Exit::Done, 1), "{}", ran.said);
        assert_eq!(scene.sandbox.calls().operation("StopTask"), 0, "{}", ran.said);
    }
}

#[tokio::test(start_paused = true)]
async fn sessions_that_aws_ends_one_after_the_other_are_told_and_not_renewed_at_every_call() {
    let scene = Scene::of(1, 6, "rollout: { timeout: 5m }\n");
    let ended = async {
        tokio::time::sleep(Duration::from_secs(40)).await;
        loop {
            scene.sandbox.expire_sessions(LEAF);
            tokio::time::sleep(LATENCY / 2).await;
        }
    };
    let ran = deploy_beside(&scene, ended).await;
    assert_ne!(ran.code(), Exit::Done, "{}", ran.said);
    assert!(ran.said.contains("ExpiredTokenException"), "{}", ran.said);
    assert!(ran.seconds >= 300, "{} s", ran.seconds);
    let calls = scene.sandbox.calls();
    let asked = calls.operation("AssumeRole");
    // One at first, five at once, and one more each half minute.
    assert!((10..=6 + ran.seconds / 30).contains(&asked), "{asked} in {} s", ran.seconds);
    assert!(calls.total() > 2 * asked, "{:?}", calls.by_operation());
    assert_eq!(calls.operation("AssumeRoleWithWebIdentity"), 1);
}

#[tokio::test(start_paused = true)]
async fn once_a_session_ends_and_the_token_is_over_that_is_told() {
    let scene = Scene::of(1, 2, "rollout: { timeout: 20m }\n").fault("*=token-ends:60");
    let ran = deploy_beside(&scene, async {
        tokio::time::sleep(Duration::from_secs(70)).await;
        scene.sandbox.expire_sessions(HUB);
        scene.sandbox.expire_sessions(LEAF);
    })
    .await;
    assert_eq!(ran.count(Outcome::TimedOut), 2, "{}", ran.said);
    let lost = ran.events.iter().filter(|stamped| matches!(stamped.event, Event::SessionLost { .. })).count();
    assert_eq!(lost, 1, "{}", ran.said);
    assert!(ran.reason("a0/eu-west-1/s0").contains("the ID token has expired"), "{}", ran.said);
}
