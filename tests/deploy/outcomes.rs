//! How one target ends, and why: each with the exit code that a pipeline sees.

use roleout::base::exit::Exit;
use roleout::event::{Event, Stamped};
use roleout::fleet::Outcome;
use serde_json::json;

use crate::harness::{Ran, Scene, manifest};

const ONE: &str = "a0/eu-west-1/s0";
const TIMEOUT: &str = "rollout: { timeout: 30m }\n";
const ROLLBACK: &str = "enable: true, rollback: true";

async fn one(fault: &str) -> Ran {
    breaker("enable: false, rollback: false").fault(&format!("*={fault}")).deploy().await
}

#[tokio::test(start_paused = true)]
async fn a_change_succeeds_and_the_second_run_does_nothing() {
    let scene = Scene::of(2, 2, TIMEOUT);
    let first = scene.deploy().await;
    assert_eq!((first.code(), first.count(Outcome::Succeeded)), (Exit::Done, 4), "{}", first.said);
    let service = scene.sandbox.service("200000000000", "eu-west-1", "main", "s0").expect("a service");
    assert_eq!(service.deployments.len(), 1, "{service:?}");
    scene.sandbox.forget_calls();
    let second = scene.deploy().await;
    assert_eq!((second.code(), second.count(Outcome::Unchanged)), (Exit::Done, 4), "{}", second.said);
    assert_eq!(scene.sandbox.calls().writes, Vec::new(), "an unchanged fleet is written to");
    assert_eq!(scene.sandbox.calls().operation("DescribeServices"), 2, "one a cluster");
    assert_eq!(scene.sandbox.calls().operation("DescribeTaskDefinition"), 4, "each revision once");
}

/// A fleet that runs what its manifest says, with a new deployment asked for all the same.
async fn forced(mut scene: Scene) -> Scene {
    assert_eq!(scene.deploy().await.code(), Exit::Done);
    scene.sandbox.forget_calls();
    scene.fleet.release.force_new_deployment = true;
    scene
}

#[tokio::test(start_paused = true)]
async fn a_new_deployment_of_what_runs_is_started_once_where_it_is_asked_for() {
    let scene = forced(Scene::of(2, 2, TIMEOUT)).await.fault("*=lost:30");
    let before = scene.sandbox.service("200000000000", "eu-west-1", "main", "s0").expect("a service");
    let ran = scene.deploy().await;
    assert_eq!((ran.code(), ran.count(Outcome::Succeeded)), (Exit::Done, 4), "{}", ran.said);
    let calls = scene.sandbox.calls();
    assert_eq!(
        (calls.operation("RegisterTaskDefinition"), calls.operation("UpdateService")),
        (0, 4),
        "{:?}",
        calls.writes
    );
    let after = scene.sandbox.service("200000000000", "eu-west-1", "main", "s0").expect("a service");
    assert_eq!(after.task_definition, before.task_definition);
    assert_ne!(after.deployments[0].0, before.deployments[0].0);
}

#[tokio::test(start_paused = true)]
async fn a_new_deployment_of_what_runs_can_fail_like_any_other() {
    let scene = forced(breaker(ROLLBACK)).await.fault("*=crash");
    let ran = scene.deploy().await;
    assert_eq!((ran.code(), ran.outcome(ONE)), (Exit::RolledBack, Some(Outcome::RolledBack)), "{}", ran.said);
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_shows_the_difference_and_changes_nothing() {
    let mut scene = Scene::of(1, 2, TIMEOUT);
    scene.choice.dry_run = true;
    let ran = scene.deploy().await;
    assert_eq!(ran.code(), Exit::Done);
    assert_eq!(scene.sandbox.calls().writes, Vec::new());
    for line in ["- image: registry.example.com/s0:previous", "+ image: registry.example.com/s0:v2"] {
        assert!(ran.said.contains(line), "{line}: {}", ran.said);
    }
}

#[tokio::test(start_paused = true)]
async fn a_crash_without_a_breaker_times_out_and_says_what_stopped() {
    let ran = one("crash").await;
    assert_eq!((ran.code(), ran.outcome(ONE)), (Exit::TimedOut, Some(Outcome::TimedOut)), "{}", ran.said);
    let reason = ran.reason(ONE);
    assert!(reason.starts_with("app exits with 1\nnot complete within 30m: "), "{reason}");
    assert!(reason.contains("Essential container in task exited (app exited with 1"), "{reason}");
}

/// A fleet of one with the circuit breaker set so.
fn breaker(settings: &str) -> Scene {
    let breaker = format!("    deployment: {{ circuit_breaker: {{ {settings} }} }}\n");
    Scene::new(&manifest(1, 1, TIMEOUT).replace("    cluster: main\n", &format!("    cluster: main\n{breaker}")))
}

#[tokio::test(start_paused = true)]
async fn a_breaker_with_rollback_ends_rolled_back_and_never_as_success() {
    let scene = breaker(ROLLBACK).fault("*=crash");
    let ran = scene.deploy().await;
    assert_eq!((ran.code(), ran.outcome(ONE)), (Exit::RolledBack, Some(Outcome::RolledBack)), "{}", ran.said);
    let reason = ran.reason(ONE);
    assert!(reason.starts_with("app exits with 1\n"), "{reason}");
    assert!(reason.contains("app exited with 1"), "{reason}");
    let last = "ECS: Service deployment rolled back because the circuit breaker threshold was exceeded";
    assert!(reason.ends_with(last), "{reason}");
    let service = scene.sandbox.service("200000000000", "eu-west-1", "main", "s0").expect("a service");
    let old = ran.state.targets().next().and_then(|state| state.from.clone()).expect("it ran a revision before");
    assert!(service.task_definition.ends_with(&old.to_string()), "{service:?}");
    assert_eq!(service.running, service.desired, "{service:?}");
}

#[tokio::test(start_paused = true)]
async fn a_breaker_without_rollback_fails() {
    let ran = breaker("enable: true, rollback: false").fault("*=crash").deploy().await;
    assert_eq!((ran.code(), ran.outcome(ONE)), (Exit::Failed, Some(Outcome::Failed)), "{}", ran.said);
    assert!(ran.reason(ONE).contains("tasks failed to start"), "{}", ran.reason(ONE));
}

#[tokio::test(start_paused = true)]
async fn a_failed_deployment_is_repeated_and_not_taken_for_unchanged() {
    let scene = breaker("enable: true, rollback: false").fault("*=crash");
    assert_eq!(scene.deploy().await.code(), Exit::Failed);
    scene.sandbox.clear_faults();
    let again = scene.deploy().await;
    assert_eq!((again.code(), again.outcome(ONE)), (Exit::Done, Some(Outcome::Succeeded)), "{}", again.said);
}

#[tokio::test(start_paused = true)]
async fn an_image_that_cannot_be_pulled_says_so() {
    let ran = one("nopull").await;
    assert_eq!(ran.outcome(ONE), Some(Outcome::TimedOut), "{}", ran.said);
    let reason = ran.reason(ONE);
    assert!(reason.starts_with("image not found: registry.example.com/s0:v2\n"), "{reason}");
    assert_eq!(reason.matches("CannotPullContainerError").count(), 1, "{reason}");
}

#[tokio::test(start_paused = true)]
async fn a_deployment_that_hangs_times_out_at_its_deadline() {
    let ran = one("hang").await;
    assert_eq!((ran.code(), ran.outcome(ONE)), (Exit::TimedOut, Some(Outcome::TimedOut)), "{}", ran.said);
    assert!((1800..1830).contains(&ran.seconds), "{} s", ran.seconds);
    let reason = ran.reason(ONE);
    assert!(reason.starts_with("not complete within 30m: 2 tasks PENDING for 29m"), "{reason}");
    assert!(reason.contains("\nECS's last event: has started 2 tasks"), "{reason}");
    assert!(reason.contains("\nthe deployment circuit breaker is off"), "{reason}");
}

#[tokio::test(start_paused = true)]
async fn a_rollback_of_ecs_that_hangs_is_no_reason_to_deploy_again() {
    let ran = breaker(ROLLBACK).fault("*=no-return").deploy().await;
    assert_eq!((ran.code(), ran.outcome(ONE)), (Exit::Stuck, Some(Outcome::Stuck)), "{}", ran.said);
    let reason = ran.reason(ONE);
    assert!(reason.starts_with("ECS is rolling back, and that is not complete after 30m\n"), "{reason}");
    assert!(reason.contains("app exited with 1"), "{reason}");
    assert!(!ran.said.contains("run `deploy`") && !ran.said.contains("may still be rolling out"), "{}", ran.said);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_vanishes_fails() {
    let ran = one("vanish").await;
    assert_eq!((ran.code(), ran.outcome(ONE)), (Exit::Failed, Some(Outcome::Failed)), "{}", ran.said);
    let reason = ran.reason(ONE);
    let was = ["the service was deleted (INACTIVE)", "the service is being deleted (DRAINING)"];
    assert!(was.iter().any(|was| reason.starts_with(was)), "{reason}");
}

#[tokio::test(start_paused = true)]
async fn a_deployment_of_somebody_else_supersedes() {
    let scene = || breaker(ROLLBACK).fault("*=supersede");
    for (timing, scene) in [("realistic", scene()), ("quick", scene().quick())] {
        let ran = scene.deploy().await;
        assert_eq!((ran.code(), ran.outcome(ONE)), (Exit::Failed, Some(Outcome::Superseded)), "{timing}: {}", ran.said);
        assert!(ran.reason(ONE).contains("took its place"), "{timing}: {}", ran.reason(ONE));
    }
}

#[tokio::test(start_paused = true)]
async fn a_rollback_that_fails_is_stuck() {
    let scene = || breaker(ROLLBACK).fault("*=stuck");
    for (timing, scene) in [("realistic", scene()), ("quick", scene().quick())] {
        let ran = scene.deploy().await;
        assert_eq!((ran.code(), ran.outcome(ONE)), (Exit::Stuck, Some(Outcome::Stuck)), "{timing}: {}", ran.said);
    }
}

#[tokio::test(start_paused = true)]
async fn a_target_that_degrades_in_the_bake_fails_its_wave() {
    let rollout = "rollout: { waves: [ { name: all, bake: 15m } ] }\n";
    let ran = Scene::of(1, 1, rollout).fault("*=degrade").deploy().await;
    assert_eq!((ran.code(), ran.outcome(ONE)), (Exit::Failed, Some(Outcome::Failed)), "{}", ran.said);
    let reason = ran.reason(ONE);
    assert!(reason.starts_with("app exits with 1\n"), "{reason}");
    assert!(reason.contains("failed during the bake") && reason.contains("s0:10 still runs in a0"), "{reason}");
    assert!(reason.contains("EssentialContainerExited") && ran.said.contains("roleout rollback"), "{reason}");
}

#[tokio::test(start_paused = true)]
async fn a_target_that_degraded_and_was_rolled_back_is_not_told_to_run_the_new_revision() {
    let rollout = "rollout: { on_failure: rollback, waves: [ { name: all, bake: 15m } ] }\n";
    let ran = Scene::of(1, 1, rollout).fault("*=degrade").deploy().await;
    assert_eq!((ran.code(), ran.outcome(ONE)), (Exit::RolledBack, Some(Outcome::RolledBack)), "{}", ran.said);
    let told = ran.said.rsplit("✖ rolled back").next().unwrap_or_default();
    assert!(told.contains("app exits with 1"), "{}", ran.said);
    assert!(!told.contains("still runs in") && !told.contains("restores what ran before"), "{}", ran.said);
}

#[tokio::test(start_paused = true)]
async fn a_bake_without_trouble_passes() {
    let ran = Scene::of(1, 2, "rollout: { waves: [ { name: all, bake: 15m } ] }\n").deploy().await;
    assert_eq!((ran.code(), ran.count(Outcome::Succeeded)), (Exit::Done, 2), "{}", ran.said);
    assert!(ran.seconds >= 900, "{} s", ran.seconds);
}

#[tokio::test(start_paused = true)]
async fn the_outcome_is_the_same_without_the_service_deployment_api() {
    let ran = one("no-service-deployments").await;
    assert_eq!(ran.outcome(ONE), Some(Outcome::Succeeded), "{}", ran.said);
    let ran = breaker(ROLLBACK).fault("*=no-service-deployments").fault("*=crash").deploy().await;
    assert_eq!(ran.outcome(ONE), Some(Outcome::RolledBack), "{}", ran.said);
}

#[tokio::test(start_paused = true)]
async fn a_missing_service_blocks_the_run_before_any_change() {
    let scene = Scene::of(2, 1, TIMEOUT);
    scene
        .sandbox
        .call_as_operator(
            "200000000001",
            "eu-west-1",
            "DeleteService",
            &json!({"cluster": "main", "service": "s0", "force": true}),
        )
        .expect("deleted");
    let ran = scene.deploy().await;
    assert_eq!(ran.code(), Exit::Blocked, "{}", ran.said);
    let error = ran.exit.expect_err("refused");
    assert!(error.message.contains("a1/eu-west-1/s0"), "{error}");
    assert!(scene.sandbox.calls().writes.iter().all(|write| write.operation == "DeleteService"));
}

#[tokio::test(start_paused = true)]
async fn blocked_targets_can_be_skipped() {
    let mut scene = Scene::of(2, 1, TIMEOUT);
    scene
        .sandbox
        .call_as_operator(
            "200000000001",
            "eu-west-1",
            "DeleteService",
            &json!({"cluster": "main", "service": "s0", "force": true}),
        )
        .expect("deleted");
    scene.choice.skip_blocked = true;
    let ran = scene.deploy().await;
    assert_eq!((ran.code(), ran.outcome(ONE)), (Exit::Done, Some(Outcome::Succeeded)), "{}", ran.said);
}

#[tokio::test(start_paused = true)]
async fn a_run_of_which_no_target_is_left_is_refused() {
    let mut scene = Scene::of(2, 1, TIMEOUT);
    scene.choice.skip_blocked = true;
    for account in ["200000000000", "200000000001"] {
        let input = json!({"cluster": "main", "service": "s0", "force": true});
        scene.sandbox.call_as_operator(account, "eu-west-1", "DeleteService", &input).expect("deleted");
    }
    let ran = scene.deploy().await;
    assert_eq!(ran.code(), Exit::Blocked, "{}", ran.said);
    let help = ran.exit.as_ref().expect_err("refused").help.join("\n");
    assert!(help.ends_with("nothing was changed: without these targets no target is left"), "{help}");
}

#[tokio::test(start_paused = true)]
async fn a_deployment_of_another_revision_in_progress_blocks() {
    let scene = Scene::of(1, 1, TIMEOUT);
    let update = json!({"cluster": "main", "service": "s0", "forceNewDeployment": true});
    scene.sandbox.call_as_operator("200000000000", "eu-west-1", "UpdateService", &update).expect("updated");
    scene.sandbox.forget_calls();
    let ran = scene.deploy().await;
    assert_eq!(ran.code(), Exit::Blocked, "{}", ran.said);
    assert!(ran.exit.expect_err("refused").message.contains("is in progress"));
    assert_eq!(scene.sandbox.calls().writes, Vec::new());
}

#[tokio::test(start_paused = true)]
async fn our_own_deployment_in_progress_is_followed_by_the_next_run() {
    use roleout::engine::cancel::{Cancel, Signal};

    let mut scene = Scene::of(1, 1, TIMEOUT);
    let cancel = scene.cancel.clone();
    let (ran, ()) = tokio::join!(scene.deploy(), async {
        tokio::time::sleep(std::time::Duration::from_secs(10)).await;
        cancel.cancel(Signal::Terminate);
    });
    assert_eq!((ran.code(), ran.outcome(ONE)), (Exit::Terminated, Some(Outcome::Detached)), "{}", ran.said);
    assert!(ran.seconds <= 15, "{} s", ran.seconds);
    assert!(ran.said.contains("aws ecs describe-services"), "{}", ran.said);
    scene.cancel = Cancel::default();
    scene.sandbox.forget_calls();
    let again = scene.deploy().await;
    assert_eq!((again.code(), again.outcome(ONE)), (Exit::Done, Some(Outcome::Succeeded)), "{}", again.said);
    assert_eq!(scene.sandbox.calls().writes, Vec::new(), "nothing is started twice");
    let followed = |stamped: &&Stamped| matches!(stamped.event, Event::DeploymentStarted { attached: true, .. });
    assert_eq!(again.events.iter().filter(followed).count(), 1, "{}", again.said);
}

#[tokio::test(start_paused = true)]
async fn a_followed_deployment_that_ecs_rolls_back_is_rolled_back() {
    use roleout::engine::cancel::{Cancel, Signal};

    let mut scene = breaker(ROLLBACK).fault("*=crash");
    let cancel = scene.cancel.clone();
    let (ran, ()) = tokio::join!(scene.deploy(), async {
        tokio::time::sleep(std::time::Duration::from_secs(10)).await;
        cancel.cancel(Signal::Interrupt);
    });
    assert_eq!(ran.outcome(ONE), Some(Outcome::Detached), "{}", ran.said);
    scene.cancel = Cancel::default();
    let again = scene.deploy().await;
    assert_eq!((again.code(), again.outcome(ONE)), (Exit::RolledBack, Some(Outcome::RolledBack)), "{}", again.said);
}

#[tokio::test(start_paused = true)]
async fn a_field_that_no_sdk_knows_survives_from_the_live_revision_to_the_new_one() {
    let scene = Scene::of(1, 1, TIMEOUT);
    scene.sandbox.take_everything();
    let (account, region) = ("200000000000", "eu-west-1");
    let mut definition = scene.sandbox.task_definition(account, region, "s0").expect("a definition");
    for read_only in [
        "taskDefinitionArn",
        "revision",
        "status",
        "requiresAttributes",
        "compatibilities",
        "registeredAt",
        "registeredBy",
    ] {
        definition.as_object_mut().expect("an object").remove(read_only);
    }
    definition["fieldOfTomorrow"] = json!({ "depth": [1, { "two": "three" }] });
    scene.sandbox.call_as_operator(account, region, "RegisterTaskDefinition", &definition).expect("registered");
    let update = json!({ "cluster": "main", "service": "s0", "taskDefinition": "s0" });
    scene.sandbox.call_as_operator(account, region, "UpdateService", &update).expect("updated");
    tokio::time::sleep(std::time::Duration::from_secs(600)).await;
    let ran = scene.deploy().await;
    assert_eq!((ran.code(), ran.outcome(ONE)), (Exit::Done, Some(Outcome::Succeeded)), "{}", ran.said);
    let deployed = scene.sandbox.task_definition(account, region, "s0").expect("a definition");
    assert_eq!(deployed["containerDefinitions"][0]["image"], "registry.example.com/s0:v2");
    assert_eq!(deployed["fieldOfTomorrow"], definition["fieldOfTomorrow"]);
}

#[tokio::test(start_paused = true)]
async fn settings_are_set_on_a_deployment_that_is_followed() {
    use roleout::engine::cancel::{Cancel, Signal};

    let mut scene = Scene::of(1, 1, TIMEOUT);
    let cancel = scene.cancel.clone();
    let (ran, ()) = tokio::join!(scene.deploy(), async {
        tokio::time::sleep(std::time::Duration::from_secs(10)).await;
        cancel.cancel(Signal::Interrupt);
    });
    assert_eq!(ran.outcome(ONE), Some(Outcome::Detached), "{}", ran.said);
    let more = manifest(1, 1, TIMEOUT).replace("    cluster: main\n", "    cluster: main\n    desired_count: 3\n");
    scene.fleet = crate::harness::fleet(&more);
    scene.cancel = Cancel::default();
    let again = scene.deploy().await;
    assert_eq!((again.code(), again.outcome(ONE)), (Exit::Done, Some(Outcome::Succeeded)), "{}", again.said);
    let service = scene.sandbox.service("200000000000", "eu-west-1", "main", "s0").expect("a service");
    assert_eq!((service.desired, service.deployments.len()), (3, 1), "{service:?}");
}

#[tokio::test(start_paused = true)]
async fn a_service_that_vanishes_in_the_bake_fails_its_wave() {
    let scene = Scene::of(1, 1, "rollout: { waves: [ { name: all, bake: 15m } ] }\n");
    let sandbox = scene.sandbox.clone();
    let (ran, ()) = tokio::join!(scene.deploy(), async {
        tokio::time::sleep(std::time::Duration::from_secs(400)).await;
        let delete = json!({"cluster": "main", "service": "s0", "force": true});
        sandbox.call_as_operator("a0", "eu-west-1", "DeleteService", &delete).expect("deleted");
    });
    assert_eq!((ran.code(), ran.outcome(ONE)), (Exit::Failed, Some(Outcome::Failed)), "{}", ran.said);
    assert!(ran.seconds < 900, "the bake ends early: {} s", ran.seconds);
}

/// A fleet of one, with the circuit breaker and what is done after a failure.
fn lagging(settings: &str, on_failure: &str, fault: &str, quick: bool) -> Scene {
    let rollout =
        format!("rollout: {{ timeout: 10m, on_failure: {on_failure}, waves: [ {{ name: all, bake: 2m }} ] }}\n");
    let breaker = format!("    cluster: main\n    deployment: {{ circuit_breaker: {{ {settings} }} }}\n");
    let scene =
        Scene::new(&manifest(1, 1, &rollout).replace("    cluster: main\n", &breaker)).fault(&format!("*={fault}"));
    if quick { scene.quick() } else { scene }
}

/// DescribeServices may show for seconds what was before an UpdateService: that is no rollback, and no failure to go back.
#[tokio::test(start_paused = true)]
async fn reads_that_lag_behind_change_no_outcome() {
    const FAULTS: &[&str] = &[
        "slow:1",
        "crash",
        "nopull",
        "hang",
        "unhealthy",
        "vanish",
        "supersede",
        "degrade",
        "stuck",
        "no-return",
        "lost:30",
    ];
    for fault in FAULTS {
        for (settings, on_failure) in [(ROLLBACK, "stop"), ("enable: true, rollback: false", "rollback")] {
            for quick in [false, true] {
                let scene = || lagging(settings, on_failure, fault, quick);
                let (prompt, late) = (scene().deploy().await, scene().fault("*=stale:3").deploy().await);
                let came_to = |ran: &Ran| (ran.code(), ran.outcome(ONE));
                assert_eq!(came_to(&late), came_to(&prompt), "{fault}, {settings}, {quick}: {}", late.said);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_first_look_from_before_the_deployment_is_no_rollback() {
    let ran = Scene::of(2, 2, TIMEOUT).fault("*=stale:20").deploy().await;
    assert_eq!((ran.code(), ran.count(Outcome::Succeeded)), (Exit::Done, 4), "{}", ran.said);
}
