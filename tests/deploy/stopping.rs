//! After a halt or a signal nothing new is asked of ECS, and the outcomes say what it was asked.

use std::time::Duration;

use roleout::base::exit::Exit;
use roleout::engine::cancel::Signal;
use roleout::event::Event;
use roleout::fleet::{OnBusy, Outcome};
use roleout::sandbox::{Attempt, Fault, Write};
use serde_json::json;

use crate::harness::{Ran, Scene, manifest};

/// The writes that begin something. StopTask, StopServiceDeployment and StopDeployment end what was begun.
const BEGINNINGS: [&str; 5] =
    ["RegisterTaskDefinition", "UpdateService", "RunTask", "ContinueServiceDeployment", "CreateDeployment"];

/// Asserts what holds of any run of one account that was stopped at `at`, in milliseconds of the sandbox's clock: no write
/// was sent after it, no service was deployed twice, and the outcomes say whose deployment was started.
fn keeps_its_word(scene: &Scene, ran: &Ran, at: u64) {
    begins_nothing_after(scene, at);
    let calls = scene.sandbox.calls();
    for state in ran.state.targets() {
        let target = state.target.to_string();
        let service = target.rsplit('/').next().expect("a service");
        let of = |write: &&Write| write.operation == "UpdateService" && write.input["service"] == service;
        let updates = calls.writes.iter().filter(of).filter(|write| write.error.is_none()).count();
        let asked =
            |attempt: &Attempt| attempt.operation == "UpdateService" && attempt.service.as_deref() == Some(service);
        match state.outcome() {
            Some(Outcome::NotStarted | Outcome::Cancelled) => assert_eq!(updates, 0, "{target} was deployed"),
            Some(Outcome::Detached) => assert!(calls.attempts.iter().any(asked), "{target} was not asked for"),
            Some(Outcome::TimedOut | Outcome::Failed) => assert!(updates <= 1, "{target}"),
            other => assert_eq!(updates, 1, "{target} ended as {other:?}"),
        }
    }
}

fn begins_nothing_after(scene: &Scene, at: u64) {
    let begins = |attempt: &Attempt| BEGINNINGS.contains(&attempt.operation.as_str()) && attempt.sent > at;
    let late: Vec<Attempt> = scene.sandbox.calls().attempts.into_iter().filter(begins).collect();
    assert!(late.is_empty(), "{} writes were sent after {at}: {:?}", late.len(), late.first());
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
async fn what_ecs_rolled_back_is_only_rolled_back_once_its_settings_are_restored() {
    let keys = "    cluster: main\n    desired_count: 5\n    \
                deployment: { circuit_breaker: { enable: true, rollback: true } }\n";
    let scene = || {
        let manifest = manifest(1, 1, "rollout: { on_failure: rollback }\n").replace("    cluster: main\n", keys);
        let scene = Scene::new(&manifest).quick().fault("*=crash");
        let fewer = json!({ "cluster": "main", "service": "s0", "desiredCount": 2 });
        scene.sandbox.call_as_operator("200000000000", "eu-west-1", "UpdateService", &fewer).expect("a service");
        scene.sandbox.set_latency(Duration::from_millis(200));
        scene
    };
    let count = |scene: &Scene| {
        let service = scene.sandbox.service("200000000000", "eu-west-1", "main", "s0").expect("a service");
        service.desired
    };
    let (whole, mut seen) = (scene(), Vec::new());
    let before = count(&whole);
    let ran = whole.deploy().await;
    assert_eq!((ran.code(), count(&whole)), (Exit::RolledBack, before), "{}", ran.said);
    for millis in (ran.seconds * 1000 - 2500..ran.seconds * 1000 + 1000).step_by(50) {
        let scene = scene();
        let (ran, _) = terminated(&scene, Duration::from_millis(millis)).await;
        let outcome = ran.outcome("a0/eu-west-1/s0");
        if outcome == Some(Outcome::RolledBack) {
            assert_eq!(count(&scene), before, "{millis}: {}", ran.said);
            assert!(!ran.said.contains("before this was rolled back"), "{millis}: {}", ran.said);
        } else if ran.reason("a0/eu-west-1/s0").contains("before its settings were restored") {
            assert_eq!(outcome, Some(Outcome::Detached), "{millis}: {}", ran.said);
            seen.push(millis);
        }
    }
    assert!(seen.len() > 2, "{seen:?}");
}

#[tokio::test(start_paused = true)]
async fn who_waits_when_a_signal_comes_is_cancelled_and_not_detached() {
    for after in (200..6_000).step_by(800).map(Duration::from_millis) {
        let scene = Scene::of(1, 40, "").quick();
        let (ran, at) = terminated(&scene, after).await;
        assert_eq!(ran.code(), Exit::Terminated, "{after:?}");
        keeps_its_word(&scene, &ran, at);
    }
}

#[tokio::test(start_paused = true)]
async fn a_rollback_that_a_signal_ends_says_whether_it_was_asked_for() {
    let rollout = "rollout:\n  on_failure: rollback\n  rollback_scope: run\n  waves:\n    \
                   - { name: canary, select: { ring: canary } }\n    - { name: rest }\n";
    let keys = "    cluster: main\n    deployment: { circuit_breaker: { enable: false, rollback: false } }\n";
    let text = manifest(2, 60, rollout).replace("    cluster: main\n", keys);
    let scene = Scene::new(&text).quick().fault("a1=deny:ecs:UpdateService");
    let (ran, ()) = tokio::join!(scene.deploy(), async {
        while scene.sandbox.calls().count("200000000000", "eu-west-1", "UpdateService") <= 60 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        scene.cancel.cancel(Signal::Terminate);
    });
    let begun = ran.events.iter().filter(|it| matches!(it.event, Event::RollbackStarted { .. })).count();
    let writes = scene.sandbox.calls().writes;
    let (mut asked, mut not_asked) = (0, 0);
    for stamped in &ran.events {
        let Event::RollbackFinished { target, outcome, reason, .. } = &stamped.event else { continue };
        assert_eq!(*outcome, Outcome::Detached, "{target}: {}", ran.said);
        let target = target.to_string();
        let service = target.rsplit('/').next().expect("a service");
        let updates = writes.iter().filter(|it| it.account == "200000000000" && it.operation == "UpdateService");
        let says = match updates.filter(|it| it.input["service"] == service).count() {
            1 => "was sent to ECS",
            _ => "goes on in ECS",
        };
        assert!(reason.summary.ends_with(says), "{target}: {says}: {}", reason.summary);
        *(if says == "goes on in ECS" { &mut asked } else { &mut not_asked }) += 1;
    }
    assert!(asked > 0 && not_asked > 0 && asked + not_asked == begun, "{asked}, {not_asked}, {begun}: {}", ran.said);
}

/// What keeps writes from being answered, and those who would send them waiting.
const TROUBLES: [&[&str]; 8] = [
    &["*=throttle:4"],
    &["*=busy:80"],
    &["*=cut:50"],
    &["*=broken:50"],
    &["*=lost:50"],
    &["*=blind:3"],
    &["*=latency:900"],
    // Each session is renewed every few seconds, and STS takes its time.
    &["*=short-sessions:6", "*/*/sts=latency:1500"],
];

fn troubled(scene: Scene, faults: &[&str]) -> Scene {
    faults.iter().fold(scene, |scene, fault| scene.fault(fault))
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_after_a_signal_whatever_the_writes_wait_for() {
    for faults in TROUBLES {
        for after in [900, 2_300, 4_700, 9_100].map(Duration::from_millis) {
            let scene = troubled(Scene::of(1, 40, "").quick(), faults);
            let (ran, at) = terminated(&scene, after).await;
            assert_eq!(ran.code(), Exit::Terminated, "{faults:?} {after:?}");
            assert!(ran.seconds <= after.as_secs() + 5, "{faults:?} {after:?}: {} s", ran.seconds);
            keeps_its_word(&scene, &ran, at);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_forced_deployment_is_sent_after_a_signal_whatever_the_writes_wait_for() {
    let text = manifest(1, 60, "");
    let text: String = text.split_inclusive('\n').filter(|line| !line.contains("images:")).collect();
    for faults in TROUBLES {
        // As nothing of the manifest changes a service, only its tasks are replaced.
        let mut scene = Scene::new(&text).quick();
        scene.fleet.release.force_new_deployment = true;
        let scene = troubled(scene, faults);
        let (ran, at) = terminated(&scene, Duration::from_millis(3_100)).await;
        assert_eq!(ran.code(), Exit::Terminated, "{faults:?}");
        keeps_its_word(&scene, &ran, at);
        assert_eq!(scene.sandbox.calls().operation("RegisterTaskDefinition"), 0, "{faults:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_after_a_halt_whatever_the_writes_wait_for() {
    for faults in TROUBLES {
        let scene = troubled(Scene::of(1, 40, "").quick(), faults).fault("*/*/s0=crash").fault("*/*/s1=crash");
        let ran = scene.deploy().await;
        keeps_its_word(&scene, &ran, halted_at(&ran));
        assert!(ran.count(Outcome::NotStarted) > 0, "{faults:?}: {}", ran.said);
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_after_the_deadline_of_a_target_whatever_the_writes_wait_for() {
    for faults in TROUBLES {
        let scene = troubled(Scene::of(1, 40, "rollout: { timeout: 9s, max_failures: 100% }\n").quick(), faults);
        let ran = scene.deploy().await;
        keeps_its_word(&scene, &ran, u64::MAX);
        let calls = scene.sandbox.calls();
        for stamped in &ran.events {
            let Event::RolloutFinished { target, outcome: Outcome::TimedOut, .. } = &stamped.event else { continue };
            let service = target.to_string().rsplit('/').next().map(str::to_owned);
            let ended = u64::try_from(stamped.at.as_millisecond()).expect("after 1970");
            let late = calls.attempts.iter().filter(|it| it.operation == "UpdateService" && it.service == service);
            assert_eq!(late.filter(|it| it.sent > ended).count(), 0, "{faults:?}: {target}");
        }
    }
}

/// One account whose services have these keys besides.
fn with(services: usize, keys: &str, rollout: &str) -> Scene {
    let text = manifest(1, services, rollout);
    Scene::new(&text.replace("    cluster: main\n", &format!("    cluster: main\n    {keys}\n"))).quick()
}

#[tokio::test(start_paused = true)]
async fn a_halt_begins_no_task_after_a_deployment_that_had_completed() {
    for (scope, outcome) in [("target", Outcome::Detached), ("wave", Outcome::RolledBack)] {
        let rollout = format!("rollout: {{ on_failure: rollback, rollback_scope: {scope} }}\n");
        let scene = with(2, "after: [ { run_task: smoke } ]", &rollout).fault("*/*/s0=crash").fault("*/*/s1=slow");
        let ran = scene.deploy().await;
        let at = halted_at(&ran);
        let tasks = scene.sandbox.calls().attempts;
        assert_eq!(tasks.iter().filter(|it| it.operation == "RunTask").count(), 0, "{scope}: after {at}");
        assert_eq!(ran.outcome("a0/eu-west-1/s1"), Some(outcome), "{scope}: {}", ran.said);
        let words = "the run was halted before the task smoke was started; the deployment had completed";
        assert!(ran.said.contains(words), "{scope}: {}", ran.said);
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_not_started_for_one_cause_is_one_group_though_a_revision_is_not_used() {
    let text = manifest(1, 3, "rollout: { waves: [ { name: all, max_parallel: 2 } ] }\n");
    let s1 = "  - name: s1\n    cluster: main\n";
    let text = text.replace(s1, &format!("{s1}    before: [ {{ run_task: migrate }} ]\n"));
    let ran = Scene::new(&text).quick().fault("*/*/s0=deny:ecs:UpdateService").deploy().await;
    assert_eq!((ran.code(), ran.count(Outcome::NotStarted)), (Exit::Failed, 2), "{}", ran.said);
    assert!(ran.said.contains("not started: 2 targets"), "{}", ran.said);
    assert_eq!(ran.said.matches(" exists and is not used)").count(), 1, "{}", ran.said);
}

const STAGES: &str = "deployment: { strategy: BLUE_GREEN, bake_time_in_minutes: 0, lifecycle_hooks: [ { target_type: PAUSE, lifecycle_stages: \
                      [POST_TEST_TRAFFIC_SHIFT], timeout: { timeout_in_minutes: 30 } } ] }";

#[tokio::test(start_paused = true)]
async fn a_halt_lets_no_deployment_go_on_that_waits_at_a_hook() {
    let mut scene = with(2, STAGES, "rollout: { timeout: 20s }\n").fault("*/*/s0=hang").fault("*/*/s1=slow");
    scene.start.continue_hooks = true;
    scene.fleet.targets[0].timeout = Duration::from_secs(2);
    let ran = scene.deploy().await;
    keeps_its_word(&scene, &ran, halted_at(&ran));
    assert_eq!(ran.outcome("a0/eu-west-1/s1"), Some(Outcome::TimedOut), "{}", ran.said);
    assert!(ran.said.contains("the PAUSE hook was not continued: the run was halted"), "{}", ran.said);
}

#[tokio::test(start_paused = true)]
async fn who_asks_ecs_to_go_on_still_hears_a_signal_and_the_deadline() {
    let mut scene = with(1, STAGES, "rollout: { timeout: 1m, on_cancel: rollback }\n");
    scene.start.continue_hooks = true;
    let cut = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        scene.sandbox.fault("*", Fault::Cut(100)).expect("a fault");
    };
    let ((ran, at), ()) = tokio::join!(terminated(&scene, Duration::from_secs(20)), cut);
    let stopped = scene.sandbox.calls().attempts.into_iter().find(|it| it.operation == "StopServiceDeployment");
    let stopped = stopped.unwrap_or_else(|| panic!("it was not asked to roll back: {}", ran.said));
    assert!(stopped.sent < at + 1_000, "{} ms after the signal", stopped.sent - at);
    assert_eq!(ran.outcome("a0/eu-west-1/s0"), Some(Outcome::Detached), "{}", ran.said);

    let mut late = with(1, STAGES, "rollout: { timeout: 15s }\n");
    late.start.continue_hooks = true;
    let cut = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        late.sandbox.fault("*", Fault::Cut(100)).expect("a fault");
    };
    let (ran, ()) = tokio::join!(late.deploy(), cut);
    assert_eq!(ran.outcome("a0/eu-west-1/s0"), Some(Outcome::TimedOut), "{}", ran.said);
    assert!(ran.seconds < 20, "{} s", ran.seconds);
}

#[tokio::test(start_paused = true)]
async fn a_task_is_stopped_at_once_though_ecs_answers_slowly() {
    let scene = with(1, "before: [ { run_task: migrate } ]", "").fault("*=task-hangs");
    let slow = async {
        tokio::time::sleep(Duration::from_secs(30)).await;
        scene.sandbox.fault("*", Fault::Latency(Duration::from_secs(6))).expect("a fault");
    };
    let ((ran, at), ()) = tokio::join!(terminated(&scene, Duration::from_secs(40)), slow);
    let stopped = scene.sandbox.calls().attempts.into_iter().find(|it| it.operation == "StopTask");
    assert!(stopped.is_some_and(|stop| stop.sent < at + 100), "{}", ran.said);
    let target = "a0/eu-west-1/s0";
    assert_eq!(ran.outcome(target), Some(Outcome::Cancelled), "{}", ran.said);
    assert!(ran.reason(target).contains("while the task migrate ran, which may go on"), "{}", ran.said);
    keeps_its_word(&scene, &ran, at);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_may_have_begun_is_told_of() {
    let scene = with(1, "before: [ { run_task: migrate } ]", "");
    let lose = async {
        tokio::time::sleep(Duration::from_millis(10)).await;
        scene.sandbox.fault("*", Fault::Lost(100)).expect("a fault");
    };
    let ((ran, at), ()) = tokio::join!(terminated(&scene, Duration::from_secs(20)), lose);
    keeps_its_word(&scene, &ran, at);
    let target = "a0/eu-west-1/s0";
    assert_eq!(ran.outcome(target), Some(Outcome::Failed), "{}", ran.said);
    assert!(ran.reason(target).starts_with("the task migrate may run, and is not watched"), "{}", ran.said);
}

#[tokio::test(start_paused = true)]
async fn a_revision_that_may_have_been_registered_is_told_of() {
    // The answer is lost, and nobody can say for some time whether it took effect.
    let scene = Scene::of(1, 1, "rollout: { timeout: 10m }\n").fault("*=blind:25");
    let (ran, at) = terminated(&scene, Duration::from_millis(300)).await;
    keeps_its_word(&scene, &ran, at);
    assert_eq!(ran.outcome("a0/eu-west-1/s0"), Some(Outcome::Cancelled), "{}", ran.said);
    assert!(ran.reason("a0/eu-west-1/s0").contains("register its revision, which may exist now"), "{}", ran.said);
    assert_eq!(scene.sandbox.calls().operation("RegisterTaskDefinition"), 1);
}

#[tokio::test(start_paused = true)]
async fn of_a_service_that_is_deleted_nobody_says_that_it_was_not_deployed() {
    let scene = Scene::of(1, 1, "").fault("*=lost:100");
    let meanwhile = async {
        while scene.sandbox.calls().operation("UpdateService") == 0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        scene.sandbox.clear_faults();
        let service = json!({ "cluster": "main", "service": "s0", "force": true });
        scene.sandbox.call_as_operator("a0", "eu-west-1", "DeleteService", &service).expect("deleted");
        scene.cancel.cancel(Signal::Terminate);
        millis(scene.sandbox.clock().now())
    };
    let (ran, at) = tokio::join!(scene.deploy(), meanwhile);
    keeps_its_word(&scene, &ran, at);
    let target = "a0/eu-west-1/s0";
    assert_eq!(ran.outcome(target), Some(Outcome::Failed), "{}", ran.said);
    let reason = ran.reason(target);
    assert!(
        reason.contains("whether it took effect could not be read") && reason.contains("is being deleted"),
        "{reason}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_signal_is_told_of_when_it_comes_and_not_when_the_run_is_over() {
    let scene = Scene::of(1, 3, "").fault("*=latency:4000");
    let (ran, at) = terminated(&scene, Duration::from_secs(90)).await;
    let told = ran.events.iter().find(|stamped| matches!(stamped.event, Event::RunCancelled { .. }));
    let told = u64::try_from(told.expect("told").at.as_millisecond()).expect("after 1970");
    assert_eq!(told, at);
    let ended = ran.events.iter().position(|stamped| matches!(stamped.event, Event::RolloutFinished { .. }));
    let told = ran.events.iter().position(|stamped| matches!(stamped.event, Event::RunCancelled { .. }));
    assert!(told < ended, "{:?}", ran.events);
}

#[tokio::test(start_paused = true)]
async fn no_deployment_by_codedeploy_begins_after_a_signal() {
    let keys = "codedeploy: { application: shop, deployment_group: \"${service.name}\", container: app, port: 8080 }";
    for faults in TROUBLES {
        for after in [400, 1_300, 2_900].map(Duration::from_millis) {
            let scene = troubled(with(12, keys, ""), faults);
            let (ran, at) = terminated(&scene, after).await;
            begins_nothing_after(&scene, at);
            let writes = scene.sandbox.calls().writes;
            let deployed = |service: &str| {
                let of = |write: &&Write| {
                    write.operation == "CreateDeployment" && write.input["deploymentGroupName"] == service
                };
                writes.iter().filter(of).any(|write| write.error.is_none())
            };
            for state in ran.state.targets().filter(|state| state.outcome() == Some(Outcome::Cancelled)) {
                assert!(!deployed(&state.service), "{faults:?} {after:?}: {} was deployed", state.target);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_somebody_deploys_while_an_update_waits_for_its_turn_is_theirs() {
    let mut scene = Scene::of(1, 60, "rollout: { max_failures: 100% }\n").quick();
    let first = scene.deploy().await;
    assert_eq!(first.code(), Exit::Done);
    let last = first.state.targets().find(|state| state.service == "s59").expect("a target");
    let before = last.from.as_ref().expect("it ran a revision before").to_string();
    scene.sandbox.forget_calls();
    scene.fleet.release.force_new_deployment = true;
    let hotfix = async {
        while scene.sandbox.calls().operation("UpdateService") == 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let input = json!({ "cluster": "main", "service": "s59", "taskDefinition": before });
        scene.sandbox.call_as_operator("a0", "eu-west-1", "UpdateService", &input).expect("an update");
    };
    let (ran, ()) = tokio::join!(scene.deploy(), hotfix);
    assert_eq!(ran.outcome("a0/eu-west-1/s59"), Some(Outcome::Superseded), "{}", ran.said);
    assert_eq!(ran.count(Outcome::Succeeded), 59);
    let service = scene.sandbox.service("a0", "eu-west-1", "main", "s59").expect("a service");
    assert!(service.task_definition.ends_with(&before), "{}", service.task_definition);
}

#[tokio::test(start_paused = true)]
async fn a_preflight_that_failed_asks_for_nothing_more() {
    let mut scene = Scene::of(100, 1, "").quick();
    scene.fleet.on_busy = OnBusy::Wait;
    scene.sandbox.set_latency(Duration::from_millis(40));
    assert!(
        scene.sandbox.change_role("arn:aws:iam::200000000003:role/leaf", |role| role.trust["Statement"] = json!([]))
    );
    let ran = scene.deploy().await;
    assert_eq!(ran.code(), Exit::Preflight, "{}", ran.said);
    let error = ran.exit.expect_err("refused");
    assert!(error.message.contains("a3 (200000000003)") && error.message.lines().count() == 2, "{error}");
    let calls = scene.sandbox.calls();
    assert_eq!(calls.operation("DescribeServices"), 0);
    assert!(calls.operation("AssumeRole") < 80, "{} chains were walked", calls.operation("AssumeRole"));
    // Who goes on without it asks for the rest.
    scene.choice.skip_blocked = true;
    let ran = scene.deploy().await;
    assert_eq!((ran.code(), ran.count(Outcome::Succeeded)), (Exit::Done, 99), "{}", ran.said);
}
