//! After a halt or a signal nothing new is asked of ECS, and the outcomes say what it was asked.

use std::time::Duration;

use roleout::engine::cancel::Signal;
use roleout::event::Event;
use roleout::exit::Exit;
use roleout::fleet::Outcome;

use crate::harness::{Ran, Scene, manifest};

const BEGINNINGS: [&str; 3] = ["RegisterTaskDefinition", "UpdateService", "RunTask"];

/// Asserts what holds of any run of one account that was stopped at `at`, in milliseconds of the sandbox's clock: no write
/// began after it, no service was deployed twice, and the outcomes say whose deployment was started.
fn keeps_its_word(scene: &Scene, ran: &Ran, at: u64) {
    let calls = scene.sandbox.calls();
    let begins = |write: &&roleout::sandbox::Write| BEGINNINGS.contains(&write.operation.as_str());
    let late: Vec<_> = calls.writes.iter().filter(begins).filter(|write| write.at > at).collect();
    assert!(late.is_empty(), "{} writes began after {at}: {:?}", late.len(), late.first());
    for state in ran.state.targets() {
        let target = state.target.to_string();
        let service = target.rsplit('/').next().expect("a service");
        let of =
            |write: &&roleout::sandbox::Write| write.operation == "UpdateService" && write.input["service"] == service;
        let updates = calls.writes.iter().filter(of).filter(|write| write.error.is_none()).count();
        match state.outcome() {
            Some(Outcome::NotStarted | Outcome::Cancelled) => assert_eq!(updates, 0, "{target} was deployed"),
            other => assert_eq!(updates, 1, "{target} ended as {other:?}"),
        }
    }
}

fn millis(time: std::time::SystemTime) -> u64 {
    u64::try_from(time.duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_millis()).expect("this age")
}

fn halted_at(ran: &Ran) -> u64 {
    let halt = ran.events.iter().find(|stamped| matches!(stamped.event, Event::RunHalted { .. }));
    u64::try_from(halt.expect("a halt").at.as_millisecond()).expect("after 1970")
}

/// Deploys, and sends SIGTERM after some time; returns when that was.
async fn terminated(scene: &Scene, after: Duration) -> (Ran, u64) {
    let signal = async {
        tokio::time::sleep(after).await;
        scene.cancel.cancel(Signal::Terminate);
        millis(scene.sandbox.clock().now())
    };
    tokio::join!(scene.deploy(), signal)
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_bucket_when_the_run_halts_is_not_started() {
    let scene = Scene::of(1, 40, "").quick().fault("*=crash");
    let ran = scene.deploy().await;
    keeps_its_word(&scene, &ran, halted_at(&ran));
    assert!(ran.count(Outcome::NotStarted) >= 10, "{}", ran.said);
}

#[tokio::test(start_paused = true)]
async fn who_waits_when_a_signal_comes_is_cancelled_and_not_detached() {
    for after in (200..6_000).step_by(400).map(Duration::from_millis) {
        let scene = Scene::of(1, 40, "").quick();
        let (ran, at) = terminated(&scene, after).await;
        assert_eq!(ran.code(), Exit::Terminated, "{after:?}");
        keeps_its_word(&scene, &ran, at);
    }
}

#[tokio::test(start_paused = true)]
async fn a_return_that_a_signal_ends_says_whether_it_was_asked_for() {
    let rollout = "rollout:\n  on_failure: rollback\n  rollback_scope: run\n  waves:\n    \
                   - { name: canary, select: { ring: canary } }\n    - { name: rest }\n";
    let keys = "    cluster: main\n    deployment: { circuit_breaker: { enable: false, rollback: false } }\n";
    let text = manifest(2, 60, rollout).replace("    cluster: main\n", keys);
    let scene = Scene::new(&text).quick().fault("a1=deny:ecs:UpdateService");
    let (ran, ()) = tokio::join!(scene.deploy(), async {
        while scene.sandbox.calls().of("200000000000", "eu-west-1", "UpdateService") <= 60 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        scene.cancel.cancel(Signal::Terminate);
    });
    let begun = ran.events.iter().filter(|it| matches!(it.event, Event::UndoStarted { .. })).count();
    let writes = scene.sandbox.calls().writes;
    let (mut asked, mut not_asked) = (0, 0);
    for stamped in &ran.events {
        let Event::TargetReturned { target, outcome, reason, .. } = &stamped.event else { continue };
        assert_eq!(*outcome, Outcome::Detached, "{target}: {}", ran.said);
        let target = target.to_string();
        let service = target.rsplit('/').next().expect("a service");
        let updates = writes.iter().filter(|it| it.account == "200000000000" && it.operation == "UpdateService");
        let says = match updates.filter(|it| it.input["service"] == service).count() {
            1 => "was asked of ECS",
            _ => "goes on in ECS",
        };
        assert!(reason.summary.ends_with(says), "{target}: {says}: {}", reason.summary);
        *(if says == "goes on in ECS" { &mut asked } else { &mut not_asked }) += 1;
    }
    assert!(asked > 0 && not_asked > 0 && asked + not_asked == begun, "{asked}, {not_asked}, {begun}: {}", ran.said);
}
