//! What a deadline means: nothing is sent after it, and a look of after it has the last word.

use std::time::Duration;

use roleout::base::exit::Exit;
use roleout::event::Event;
use roleout::fleet::Outcome;
use roleout::sandbox::Fault;

use crate::harness::{Ran, Scene, manifest};

const ONE: &str = "a0/eu-west-1/s0";
const LATER: &str = "a1/eu-west-1/s0";
const OFF: &str = "enable: false, rollback: false";

/// One target with its circuit breaker set so.
fn one(breaker: &str, rollout: &str) -> Scene {
    let keys = format!("    cluster: main\n    deployment: {{ circuit_breaker: {{ {breaker} }} }}\n");
    Scene::new(&manifest(1, 1, rollout).replace("    cluster: main\n", &keys))
}

/// Deploys; after some milliseconds the process stands still for twenty minutes, and ECS does not.
async fn standing_still(scene: &Scene, after: u64) -> Ran {
    let (ran, ()) = tokio::join!(scene.deploy(), async {
        tokio::time::sleep(Duration::from_millis(after)).await;
        tokio::time::advance(Duration::from_secs(1_200)).await;
    });
    ran
}

#[tokio::test(start_paused = true)]
async fn a_process_that_stood_still_past_its_deadline_looks_before_it_judges() {
    for after in (20_000..21_300).step_by(130) {
        let ran = standing_still(&Scene::of(1, 2, "rollout: { timeout: 10m }\n"), after).await;
        assert_eq!((ran.code(), ran.count(Outcome::Succeeded)), (Exit::Done, 2), "after {after}: {}", ran.said);
    }
    let ran = standing_still(&one(OFF, "rollout: { timeout: 10m }\n").fault("*=hang"), 20_000).await;
    assert_eq!((ran.code(), ran.outcome(ONE)), (Exit::TimedOut, Some(Outcome::TimedOut)), "{}", ran.said);
}

#[tokio::test(start_paused = true)]
async fn a_rollback_that_stood_still_past_its_deadline_looks_before_it_judges() {
    let rollout = "rollout: { timeout: 5m, on_failure: rollback, rollback_timeout: 6m }\n";
    for (breaker, fault, at) in [(OFF, "hang", 310_000), ("enable: true, rollback: false", "crash", 240_000)] {
        for after in (at..at + 1_300).step_by(130) {
            let ran = standing_still(&one(breaker, rollout).fault(&format!("*={fault}")), after).await;
            assert_eq!(ran.outcome(ONE), Some(Outcome::RolledBack), "{fault}, after {after}: {}", ran.said);
            assert_eq!(ran.code(), Exit::RolledBack, "{after}: {breaker:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_rollback_that_completed_before_its_deadline_is_seen_after_it() {
    let scene = one(OFF, "rollout: { timeout: 5m, on_failure: rollback, rollback_timeout: 5m }\n").fault("*=hang");
    let sandbox = scene.sandbox.clone();
    let (ran, ()) = tokio::join!(scene.deploy(), async {
        tokio::time::sleep(Duration::from_secs(310)).await;
        sandbox.fault("*", Fault::Unavailable(100)).expect("a fault");
        tokio::time::sleep(Duration::from_secs(292)).await;
        sandbox.clear_faults();
    });
    assert_eq!((ran.code(), ran.outcome(ONE)), (Exit::RolledBack, Some(Outcome::RolledBack)), "{}", ran.said);
}

#[tokio::test(start_paused = true)]
async fn a_bake_that_stood_still_past_its_end_looks_before_it_judges() {
    let rollout = "rollout: { timeout: 10m, waves: [ { name: all, bake: 10m } ] }\n";
    for after in (400_000..405_000).step_by(490) {
        let ran = standing_still(&Scene::of(1, 1, rollout), after).await;
        assert_eq!((ran.code(), ran.count(Outcome::Succeeded)), (Exit::Done, 1), "after {after}: {}", ran.said);
    }
}

#[tokio::test(start_paused = true)]
async fn a_rollback_that_waits_for_its_turn_past_its_deadline_is_not_sent_and_says_so() {
    let rollout = "rollout:\n  timeout: 5m\n  on_failure: rollback\n  rollback_scope: run\n  rollback_timeout: 4s\n  waves:\n    \
                   - { name: canary, select: { ring: canary } }\n    - { name: rest }\n";
    let keys = format!("    cluster: main\n    deployment: {{ circuit_breaker: {{ {OFF} }} }}\n");
    let text = manifest(2, 60, rollout).replace("    cluster: main\n", &keys);
    let scene = Scene::new(&text).quick().fault("a1=deny:ecs:UpdateService");
    let ran = scene.deploy().await;
    assert_eq!(ran.code(), Exit::Stuck, "{}", ran.said);
    assert!(ran.count(Outcome::RolledBack) > 0, "{}", ran.said);
    let says = "the rollback failed: UpdateService was not sent within 4s";
    let returned = ran.events.iter().filter_map(|it| match &it.event {
        Event::RollbackFinished { outcome, reason, .. } if reason.summary == says => Some(*outcome),
        _ => None,
    });
    let returned: Vec<Outcome> = returned.collect();
    assert!(!returned.is_empty() && returned.iter().all(|it| *it == Outcome::Stuck), "{}", ran.said);
}

/// How long a target took from its start to its end, in seconds.
fn took(ran: &Ran, wanted: &str) -> i64 {
    let at = |begins: bool| {
        let event = ran.events.iter().find(|it| match &it.event {
            Event::RolloutStarted { target, .. } => begins && target.to_string() == wanted,
            Event::RolloutFinished { target, .. } => !begins && target.to_string() == wanted,
            _ => false,
        });
        event.unwrap_or_else(|| panic!("{}", ran.said)).at.as_second()
    };
    at(false) - at(true)
}

/// Two waves; `silent` says when the account of the later one is to answer nothing any more.
async fn black_holed(silent: impl AsyncFnOnce(&Scene)) -> Ran {
    let rollout = "rollout:\n  timeout: 15s\n  waves:\n    - { name: canary, select: { ring: canary }, bake: 10m }\n    \
                   - { name: rest }\n";
    let scene = Scene::of(2, 1, rollout).quick();
    let (ran, ()) = tokio::join!(scene.deploy(), async {
        silent(&scene).await;
        scene.sandbox.fault("a1", Fault::Silent).expect("a fault");
    });
    assert_eq!((ran.code(), ran.outcome(LATER)), (Exit::TimedOut, Some(Outcome::TimedOut)), "{}", ran.said);
    let updates = scene.sandbox.calls().writes.into_iter().filter(|write| write.operation == "UpdateService");
    assert_eq!(updates.count(), 1, "{}", ran.said);
    ran
}

#[tokio::test(start_paused = true)]
async fn a_target_that_gets_no_answer_ends_at_its_timeout_and_says_that_nothing_was_sent() {
    let ran = black_holed(async |_| tokio::time::sleep(Duration::from_secs(300)).await).await;
    assert_eq!(
        ran.reason(LATER),
        "not started within 15s, and nothing was changed: DescribeServices: no answer within 10s"
    );
    assert!(took(&ran, LATER) <= 16, "{} s", took(&ran, LATER));
}

#[tokio::test(start_paused = true)]
async fn a_registration_without_an_answer_ends_soon_after_the_timeout() {
    let ran = black_holed(async |scene| {
        tokio::time::sleep(Duration::from_secs(300)).await;
        let seen = || scene.sandbox.calls().count("200000000001", "eu-west-1", "DescribeServices");
        let before = seen();
        while seen() == before {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    let ran = ran.await;
    let reason = ran.reason(LATER);
    assert!(
        reason.starts_with("not started within 15s, UpdateService was not sent: RegisterTaskDefinition: "),
        "{reason}"
    );
    assert!(took(&ran, LATER) <= 25, "{} s", took(&ran, LATER));
}
