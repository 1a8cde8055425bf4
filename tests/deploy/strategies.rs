//! ECS's own strategies: their stages and traffic as a run sees them, hooks that wait, and failures at every stage.

use std::time::Duration;

use roleout::base::error::Error;
use roleout::base::exit::Exit;
use roleout::connect::Connection;
use roleout::engine::cancel::Signal;
use roleout::event::Event;
use roleout::fleet::Outcome;
use roleout::narrate::stage;
use roleout::operations::{continue_hooks, status};
use roleout::sandbox::{Fault, ServiceSnapshot};
use roleout::view::View;
use roleout::view::options::Options;
use serde_json::json;

use crate::harness::{Ran, Scene, Shared, manifest};

const ONE: &str = "a0/eu-west-1/s0";
const BREAKER: &str = "circuit_breaker: { enable: true, rollback: true }";
const LINEAR: &str = "strategy: LINEAR, bake_time_in_minutes: 5, \
                      linear_configuration: { step_percent: 40, step_bake_time_in_minutes: 2 }";
const CANARY: &str = "strategy: CANARY, bake_time_in_minutes: 5, \
                      canary_configuration: { canary_percent: 12.5, canary_bake_time_in_minutes: 10 }";
const BLUE_GREEN: &str = "strategy: BLUE_GREEN, bake_time_in_minutes: 5";
const PAUSE: &str = "lifecycle_hooks: [ { target_type: PAUSE, lifecycle_stages: [POST_TEST_TRAFFIC_SHIFT], \
                     timeout: { timeout_in_minutes: 15 } } ]";
const LAMBDA: &str = "lifecycle_hooks: [ { hook_target_arn: \"arn:aws:lambda:eu-west-1:200000000000:function:check\", \
                      role_arn: \"arn:aws:iam::200000000000:role/hooks\", lifecycle_stages: [POST_SCALE_UP] } ]";

/// One target, or more, with these deployment settings.
fn scene(services: usize, settings: &[&str]) -> Scene {
    let settings = format!("    cluster: main\n    deployment: {{ {} }}\n", settings.join(", "));
    Scene::new(&manifest(1, services, "rollout: { timeout: 2h }\n").replace("    cluster: main\n", &settings))
}

/// Runs a command that writes to stdout as a job of its own.
async fn job(scene: &Scene, command: impl AsyncFnOnce(&Connection, View) -> Result<Exit, Error>) -> (Exit, String) {
    let (out, err) = (Shared::default(), Shared::default());
    let view = View::new(Options::default(), Box::new(out.clone()), Box::new(err));
    let reach = Connection::sandbox(&scene.fleet, &scene.sandbox, scene.token.clone());
    let exit = command(&reach, view).await;
    (exit.unwrap_or_else(|error| error.exit), out.text())
}

/// `roleout continue`
async fn go_on(scene: &Scene, dry_run: bool) -> (Exit, String) {
    answer(scene, continue_hooks::HookFilter { dry_run, rollback: false }).await
}

async fn answer(scene: &Scene, choice: continue_hooks::HookFilter) -> (Exit, String) {
    job(scene, async |reach, view| continue_hooks::run(&scene.fleet, reach, choice, view, scene.cancel.clone()).await)
        .await
}

fn service(scene: &Scene) -> ServiceSnapshot {
    scene.sandbox.service("a0", "eu-west-1", "main", "s0").expect("a service")
}

/// The stages in the order in which the run saw them, in words.
fn stages(ran: &Ran) -> Vec<String> {
    let words = ran.events.iter().filter_map(|stamped| match &stamped.event {
        Event::StageChanged { stage, production_percent, test_percent, bake_minutes, .. } => {
            Some(stage::words(stage, *production_percent, *test_percent, *bake_minutes))
        }
        _ => None,
    });
    words.collect()
}

#[tokio::test(start_paused = true)]
async fn blue_green_goes_through_every_stage_and_bakes() {
    let ran = scene(1, &[BLUE_GREEN]).deploy().await;
    assert_eq!((ran.code(), ran.outcome(ONE)), (Exit::Done, Some(Outcome::Succeeded)), "{}", ran.said);
    let wanted = [
        "PRE_SCALE_UP",
        "SCALE_UP",
        "POST_SCALE_UP",
        "TEST_TRAFFIC_SHIFT, 100 % of test traffic",
        "POST_TEST_TRAFFIC_SHIFT, 100 % of test traffic",
        "PRODUCTION_TRAFFIC_SHIFT, 100 % of production traffic",
        "POST_PRODUCTION_TRAFFIC_SHIFT, 100 % of production traffic",
        "BAKE_TIME, 100 % of production traffic, bakes for 5m",
        "CLEAN_UP, 100 % of production traffic",
    ];
    assert_eq!(stages(&ran), wanted);
    assert!((300..600).contains(&ran.seconds), "{} s", ran.seconds);
    assert!(ran.said.contains("BAKE_TIME, 100 % of production traffic, bakes for 5m"), "{}", ran.said);
}

#[tokio::test(start_paused = true)]
async fn linear_moves_its_traffic_in_steps_and_canary_in_two() {
    let linear = scene(1, &[LINEAR]).deploy().await;
    assert_eq!(linear.code(), Exit::Done, "{}", linear.said);
    let shifts = |ran: &Ran| -> Vec<String> {
        stages(ran)
            .into_iter()
            .filter_map(|it| it.strip_prefix("PRODUCTION_TRAFFIC_SHIFT, ").map(str::to_owned))
            .collect()
    };
    let step = |percent: u8| format!("{percent} % of production traffic, bakes for 2m");
    assert_eq!(shifts(&linear), [step(40), step(80), "100 % of production traffic".to_owned()]);
    let canary = scene(1, &[CANARY]).deploy().await;
    assert_eq!(canary.code(), Exit::Done, "{}", canary.said);
    let first = "12.5 % of production traffic, bakes for 10m";
    assert_eq!(shifts(&canary), [first, "100 % of production traffic"]);
    assert!((900..1200).contains(&canary.seconds), "{} s", canary.seconds);
}

#[tokio::test(start_paused = true)]
async fn a_lambda_hook_passes_fails_or_times_out() {
    let ran = scene(1, &[BLUE_GREEN, LAMBDA]).deploy().await;
    assert_eq!(ran.code(), Exit::Done, "{}", ran.said);
    for (fault, said, evidence) in [
        ("*=hook-fails", "POST_SCALE_UP lifecycle hook(s) failed", "hook check: FAILED"),
        ("*=hook-hangs", "POST_SCALE_UP lifecycle hook(s) timed out", "hook check: TIMED_OUT"),
    ] {
        let hook = LAMBDA.replace("lifecycle_stages", "timeout: { timeout_in_minutes: 5 }, lifecycle_stages");
        let ran = scene(1, &[BLUE_GREEN, &hook]).fault(fault).deploy().await;
        assert_eq!((ran.code(), ran.outcome(ONE)), (Exit::RolledBack, Some(Outcome::RolledBack)), "{}", ran.said);
        let reason = ran.reason(ONE);
        assert!(reason.contains(said) && reason.contains(evidence), "{fault}: {reason}");
        assert!(!reason.contains("it was at"), "ECS says where the hook is: {fault}: {reason}");
        assert_eq!(stages(&ran).last().map(String::as_str), Some("ROLLBACK_IN_PROGRESS"), "{fault}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_deployment_alarm_rolls_back_and_is_named() {
    let alarms =
        |rollback: bool| format!("alarms: {{ alarm_names: [api-5xx, slow], enable: true, rollback: {rollback} }}");
    for strategy in [CANARY, LINEAR, BLUE_GREEN, "strategy: ROLLING"] {
        let ran = scene(1, &[strategy, &alarms(true)]).fault("*=alarm").deploy().await;
        assert_eq!(
            (ran.code(), ran.outcome(ONE)),
            (Exit::RolledBack, Some(Outcome::RolledBack)),
            "{strategy:?}: {}",
            ran.said
        );
        let reason = ran.reason(ONE);
        assert!(
            reason.contains("alarm detected") && reason.contains("the CloudWatch alarm api-5xx went off"),
            "{strategy:?}: {reason}"
        );
    }
    let ran = scene(1, &[CANARY, &alarms(true)]).fault("*=alarm").deploy().await;
    assert!(ran.reason(ONE).contains("PRODUCTION_TRAFFIC_SHIFT with 12.5 % of the production traffic"), "{}", ran.said);
    for strategy in [CANARY, "strategy: ROLLING"] {
        let ran = scene(1, &[strategy, &alarms(false)]).fault("*=alarm").deploy().await;
        assert_eq!((ran.code(), ran.outcome(ONE)), (Exit::Failed, Some(Outcome::Failed)), "{strategy:?}: {}", ran.said);
        assert!(ran.reason(ONE).contains("alarm detected"), "{strategy:?}: {}", ran.reason(ONE));
    }
    let ran = scene(1, &[CANARY]).fault("*=alarm").deploy().await;
    assert_eq!(ran.code(), Exit::Done, "without alarms none goes off: {}", ran.said);
}

#[tokio::test(start_paused = true)]
async fn a_crash_in_a_strategy_trips_the_breaker_before_any_traffic_moves() {
    let scene = scene(1, &[CANARY, BREAKER]).fault("*=crash");
    let ran = scene.deploy().await;
    assert_eq!((ran.code(), ran.outcome(ONE)), (Exit::RolledBack, Some(Outcome::RolledBack)), "{}", ran.said);
    let reason = ran.reason(ONE);
    assert!(reason.contains("circuit breaker threshold was exceeded"), "{reason}");
    assert!(reason.contains("it was at SCALE_UP\n") && reason.contains("app exited with 1"), "{reason}");
    let service = service(&scene);
    assert_eq!(service.running, service.desired);
}

#[tokio::test(start_paused = true)]
async fn a_rollback_that_fails_in_a_strategy_is_stuck() {
    let ran = scene(1, &[BLUE_GREEN, BREAKER]).fault("*=stuck").deploy().await;
    assert_eq!((ran.code(), ran.outcome(ONE)), (Exit::Stuck, Some(Outcome::Stuck)), "{}", ran.said);
}

#[tokio::test(start_paused = true)]
async fn a_run_continues_the_hooks_of_its_own_deployments_where_it_was_told_to() {
    let mut scene = scene(3, &[BLUE_GREEN, PAUSE]);
    scene.start.continue_hooks = true;
    let ran = scene.deploy().await;
    assert_eq!((ran.code(), ran.count(Outcome::Succeeded)), (Exit::Done, 3), "{}", ran.said);
    assert_eq!(scene.sandbox.calls().operation("ContinueServiceDeployment"), 3, "once for each");
    assert!(ran.said.contains("waits at a PAUSE hook in POST_TEST_TRAFFIC_SHIFT until"), "{}", ran.said);
    assert!(ran.seconds < 900, "{} s", ran.seconds);
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_nobody_continues_ends_by_its_timeout() {
    let ran = scene(1, &[BLUE_GREEN, PAUSE]).deploy().await;
    assert_eq!((ran.code(), ran.outcome(ONE)), (Exit::RolledBack, Some(Outcome::RolledBack)), "{}", ran.said);
    assert!(ran.reason(ONE).contains("PAUSE hook: TIMED_OUT"), "{}", ran.reason(ONE));
    assert!((900..1500).contains(&ran.seconds), "{} s", ran.seconds);
    let goes_on = PAUSE.replace("timeout_in_minutes: 15", "timeout_in_minutes: 15, action: CONTINUE");
    let ran = scene(1, &[BLUE_GREEN, &goes_on]).deploy().await;
    assert_eq!((ran.code(), ran.outcome(ONE)), (Exit::Done, Some(Outcome::Succeeded)), "{}", ran.said);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_waits_at_a_hook_until_its_timeout_says_how_to_go_on() {
    let scene = {
        let mut scene = scene(1, &[BLUE_GREEN, PAUSE]);
        scene.fleet.targets[0].timeout = Duration::from_secs(480);
        scene
    };
    let ran = scene.deploy().await;
    assert_eq!((ran.code(), ran.outcome(ONE)), (Exit::TimedOut, Some(Outcome::TimedOut)), "{}", ran.said);
    assert!(
        ran.reason(ONE).starts_with("not complete within 8m: it waits at a PAUSE hook in POST_TEST_TRAFFIC_SHIFT\n"),
        "{}",
        ran.reason(ONE)
    );
    assert!(ran.said.contains(&format!("roleout continue --only {ONE}")), "{}", ran.said);
    assert!(ran.said.contains("then ROLLBACK"), "{}", ran.said);

    let (exit, listed) = go_on(&scene, true).await;
    assert_eq!(exit, Exit::Done);
    assert!(listed.contains("1 PAUSE hook at which deployments wait"), "{listed}");
    assert!(listed.contains(&format!("! {ONE}  waits at a PAUSE hook in POST_TEST_TRAFFIC_SHIFT until")), "{listed}");
    let continues = || scene.sandbox.calls().operation("ContinueServiceDeployment");
    assert_eq!(continues(), 0);
    let (exit, continued) = go_on(&scene, false).await;
    assert_eq!(exit, Exit::Done);
    assert!(continued.contains("1 of 1 PAUSE hook continued"), "{continued}");
    assert_eq!(continues(), 1);
    let (_, again) = go_on(&scene, false).await;
    assert!(again.contains("no deployment waits at a PAUSE hook"), "{again}");

    let followed = scene.deploy().await;
    assert_eq!((followed.code(), followed.outcome(ONE)), (Exit::Done, Some(Outcome::Succeeded)), "{}", followed.said);
    assert_eq!(scene.sandbox.calls().operation("UpdateService"), 1, "it was followed, and not started again");
}

#[tokio::test(start_paused = true)]
async fn targets_that_wait_at_hooks_share_their_reason() {
    let mut scene = scene(3, &[BLUE_GREEN, PAUSE]);
    scene.fleet.targets.iter_mut().for_each(|target| target.timeout = Duration::from_secs(480));
    let ran = scene.deploy().await;
    assert_eq!((ran.code(), ran.count(Outcome::TimedOut)), (Exit::TimedOut, 3), "{}", ran.said);
    assert!(ran.said.contains("✖ timed out, the same in 3 targets:\n"), "{}", ran.said);
    let words = "help: let it go on with `roleout continue`, and follow it with `deploy`\n";
    assert!(ran.said.contains(words), "{}", ran.said);
    for target in ["s0", "s1", "s2"] {
        let place = "      waits at a PAUSE hook in POST_TEST_TRAFFIC_SHIFT until ";
        let command = format!("      roleout continue --only a0/eu-west-1/{target}\n");
        assert!(ran.said.contains(place) && ran.said.contains(&command), "{target}: {}", ran.said);
    }
}

#[tokio::test(start_paused = true)]
async fn stages_that_cannot_be_read_for_a_while_are_read_again() {
    let mut scene = scene(1, &[BLUE_GREEN, PAUSE]);
    scene.start.continue_hooks = true;
    let (ran, ()) = tokio::join!(scene.deploy(), async {
        tokio::time::sleep(Duration::from_secs(15)).await;
        scene.sandbox.fault("*", Fault::Unavailable(60)).expect("a fault");
        tokio::time::sleep(Duration::from_secs(45)).await;
        scene.sandbox.clear_faults();
    });
    assert_eq!((ran.code(), ran.outcome(ONE)), (Exit::Done, Some(Outcome::Succeeded)), "{}", ran.said);
    assert_eq!(scene.sandbox.calls().operation("ContinueServiceDeployment"), 1);
}

#[tokio::test(start_paused = true)]
async fn at_a_hook_a_deployment_can_be_sent_back() {
    let mut scene = scene(1, &[BLUE_GREEN, PAUSE]);
    scene.fleet.targets[0].timeout = Duration::from_secs(480);
    assert_eq!(scene.deploy().await.code(), Exit::TimedOut);
    let (exit, listed) = answer(&scene, continue_hooks::HookFilter { dry_run: true, rollback: true }).await;
    assert_eq!(exit, Exit::Done);
    assert!(listed.contains("then ROLLBACK; --rollback rolls back to s0:9"), "{listed}");
    assert_eq!(scene.sandbox.calls().operation("ContinueServiceDeployment"), 0);
    let (exit, said) = answer(&scene, continue_hooks::HookFilter { dry_run: false, rollback: true }).await;
    assert_eq!(exit, Exit::Done);
    assert!(said.contains(&format!("✔ {ONE}  rolls back to s0:9; it waited at a PAUSE hook")), "{said}");
    assert!(said.contains("1 of 1 PAUSE hook rolled back"), "{said}");
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert!(service(&scene).task_definition.ends_with("s0:9"), "{:?}", service(&scene));

    let scene = scene.fault("*=deny:ecs:ContinueServiceDeployment");
    scene
        .sandbox
        .call_as_operator(
            "a0",
            "eu-west-1",
            "UpdateService",
            &serde_json::json!({
        "cluster": "main", "service": "s0", "taskDefinition": "s0:10" }),
        )
        .expect("updated");
    tokio::time::sleep(Duration::from_secs(240)).await;
    let (exit, said) = answer(&scene, continue_hooks::HookFilter { dry_run: false, rollback: true }).await;
    assert_eq!(exit, Exit::Failed, "{said}");
    assert!(said.contains("was not rolled back: ContinueServiceDeployment: AccessDenied"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn what_somebody_else_decided_before_a_lost_answer_is_not_told_as_ours() {
    for (rollback, theirs) in [(false, "ROLLBACK"), (true, "CONTINUE")] {
        let mut scene = scene(1, &[BLUE_GREEN, PAUSE]);
        scene.fleet.targets[0].timeout = Duration::from_secs(480);
        assert_eq!(scene.deploy().await.code(), Exit::TimedOut);
        let reads = || scene.sandbox.calls().operation("DescribeServiceDeployments");
        let before = reads();
        let ((exit, said), ()) =
            tokio::join!(answer(&scene, continue_hooks::HookFilter { dry_run: false, rollback }), async {
                while reads() == before {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                scene.sandbox.fault("*", Fault::Reset).expect("a fault");
                let input = json!({ "cluster": "main", "service": "s0" });
                let ask = |operation, input| scene.sandbox.call_as_operator("a0", "eu-west-1", operation, input);
                let listed = ask("ListServiceDeployments", &input).expect("listed");
                let arn = listed["serviceDeployments"][0]["serviceDeploymentArn"].clone();
                let described = json!({ "serviceDeploymentArns": [arn] });
                let described = ask("DescribeServiceDeployments", &described).expect("described");
                let hook = described["serviceDeployments"][0]["lifecycleHookDetails"][0]["hookId"].clone();
                let input = json!({ "serviceDeploymentArn": arn, "hookId": hook, "action": theirs });
                ask("ContinueServiceDeployment", &input).expect("they were first");
                tokio::time::sleep(Duration::from_millis(500)).await;
                scene.sandbox.clear_faults();
            });
        assert_eq!(exit, Exit::Failed, "{theirs}: {said}");
        assert!(said.contains("The lifecycle hook does not await an action"), "{theirs}: {said}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_rollback_continues_the_hooks_of_its_own_deployment_as_the_run_does() {
    for continues in [true, false] {
        let settings = format!("    cluster: main\n    deployment: {{ {BLUE_GREEN}, {PAUSE} }}\n");
        let rollout = "rollout: { timeout: 2h, on_failure: rollback, rollback_scope: wave, rollback_timeout: 10m, \
                       waves: [ { name: all, max_parallel: 1 } ] }\n";
        let mut scene =
            Scene::new(&manifest(1, 2, rollout).replace("    cluster: main\n", &settings)).fault("*/*/s1=crash");
        scene.start.continue_hooks = true;
        let sandbox = scene.sandbox.clone();
        let ran = if continues {
            scene.deploy().await
        } else {
            // Somebody who continues the hook of the first deployment, and then goes home.
            scene.start.continue_hooks = false;
            let (ran, ()) = tokio::join!(scene.deploy(), async {
                tokio::time::sleep(Duration::from_secs(600)).await;
                let input = serde_json::json!({ "cluster": "main", "service": "s0" });
                let listed =
                    sandbox.call_as_operator("a0", "eu-west-1", "ListServiceDeployments", &input).expect("listed");
                let arn = listed["serviceDeployments"][0]["serviceDeploymentArn"].clone();
                let described = serde_json::json!({ "serviceDeploymentArns": [arn] });
                let shown = sandbox
                    .call_as_operator("a0", "eu-west-1", "DescribeServiceDeployments", &described)
                    .expect("shown");
                let hook = &shown["serviceDeployments"][0]["lifecycleHookDetails"][0]["hookId"];
                let input = serde_json::json!({ "serviceDeploymentArn": arn, "hookId": hook, "action": "CONTINUE" });
                sandbox.call_as_operator("a0", "eu-west-1", "ContinueServiceDeployment", &input).expect("continued");
            });
            ran
        };
        let (outcome, code) = match continues {
            true => (Outcome::RolledBack, Exit::RolledBack),
            false => (Outcome::Stuck, Exit::Stuck),
        };
        assert_eq!((ran.outcome(ONE), ran.code()), (Some(outcome), code), "{}", ran.said);
        if continues {
            assert!(service(&scene).task_definition.ends_with("s0:9"), "{}", ran.said);
        } else {
            assert!(ran.said.contains("it waits at a PAUSE hook in POST_TEST_TRAFFIC_SHIFT"), "{}", ran.said);
            assert!(ran.said.contains("let it go on with `roleout continue`"), "{}", ran.said);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_may_not_be_continued_says_so_and_waits() {
    let mut scene = scene(1, &[BLUE_GREEN, PAUSE]).fault("*=deny:ecs:ContinueServiceDeployment");
    scene.start.continue_hooks = true;
    let ran = scene.deploy().await;
    assert_eq!(ran.outcome(ONE), Some(Outcome::RolledBack), "{}", ran.said);
    assert!(ran.said.contains("the PAUSE hook was not continued: "), "{}", ran.said);
    assert_eq!(scene.sandbox.calls().operation("ContinueServiceDeployment"), 3);
}

#[tokio::test(start_paused = true)]
async fn one_call_reads_the_stages_of_many_and_rolling_asks_for_none() {
    let scene = scene(20, &["strategy: BLUE_GREEN, bake_time_in_minutes: 0"]);
    let ran = scene.deploy().await;
    assert_eq!(ran.count(Outcome::Succeeded), 20, "{}", ran.said);
    let (services, objects) = (
        scene.sandbox.calls().operation("DescribeServices"),
        scene.sandbox.calls().operation("DescribeServiceDeployments"),
    );
    assert!(objects <= services, "{objects} reads of stages beside {services} of services");
}

#[tokio::test(start_paused = true)]
async fn without_the_service_deployment_api_a_strategy_still_ends_as_it_does() {
    let ran = scene(1, &[CANARY]).fault("*=no-service-deployments").deploy().await;
    assert_eq!((ran.code(), stages(&ran).len()), (Exit::Done, 0), "{}", ran.said);
    let ran = scene(1, &[CANARY, BREAKER]).fault("*=no-service-deployments").fault("*=crash").deploy().await;
    assert_eq!(ran.code(), Exit::RolledBack, "{}", ran.said);
    assert!(ran.reason(ONE).contains("its stages could not be read"), "{}", ran.reason(ONE));
}

#[tokio::test(start_paused = true)]
async fn somebody_who_stops_a_deployment_in_its_bake_rolls_it_back() {
    let scene = scene(1, &[BLUE_GREEN]);
    let stop = async {
        tokio::time::sleep(Duration::from_secs(200)).await;
        let arn = service(&scene).body["currentServiceDeployment"].clone();
        let input = json!({ "serviceDeploymentArn": arn, "stopType": "ROLLBACK" });
        scene.sandbox.call_as_operator("a0", "eu-west-1", "StopServiceDeployment", &input).expect("a stop");
    };
    let (ran, ()) = tokio::join!(scene.deploy(), stop);
    assert_eq!((ran.code(), ran.outcome(ONE)), (Exit::RolledBack, Some(Outcome::RolledBack)), "{}", ran.said);
    assert!(
        ran.reason(ONE).contains("it was at BAKE_TIME with 100 % of the production traffic"),
        "{}",
        ran.reason(ONE)
    );
    assert_eq!(stages(&ran).last().map(String::as_str), Some("ROLLBACK_IN_PROGRESS"));
}

#[tokio::test(start_paused = true)]
async fn early_success_is_success() {
    let early = "early_success_criteria: { enable: true, healthy_percent: 50, source_service_revision_cleanup: DEFERRED }, \
                 minimum_healthy_percent: 50";
    let ran = scene(1, &[early]).deploy().await;
    assert_eq!((ran.code(), ran.outcome(ONE)), (Exit::Done, Some(Outcome::Succeeded)), "{}", ran.said);
}

#[tokio::test(start_paused = true)]
async fn status_shows_the_stage_and_what_waits() {
    let mut scene = scene(1, &[BLUE_GREEN, PAUSE]);
    scene.fleet.targets[0].timeout = Duration::from_secs(480);
    assert_eq!(scene.deploy().await.code(), Exit::TimedOut);
    let choice = status::StatusOptions::default();
    let run = async |reach: &Connection, view: View| {
        status::run(&scene.fleet, reach, choice, view, scene.cancel.clone()).await
    };
    let (_, seen) = job(&scene, run).await;
    assert!(seen.contains("POST_TEST_TRAFFIC_SHIFT"), "{seen}");
    assert!(seen.contains(&format!("roleout continue --only {ONE}")), "{seen}");
}

#[tokio::test(start_paused = true)]
async fn the_plan_names_the_strategy_and_what_ecs_would_refuse() {
    let plain = Scene::of(1, 1, "rollout: { timeout: 10m }\n");
    for (settings, exit, wanted) in [
        (
            LINEAR,
            Exit::Blocked,
            "LINEAR needs a load balancer with `advancedConfiguration`, Service Connect or VPC Lattice",
        ),
        (BLUE_GREEN, Exit::Done, "deployed by BLUE_GREEN, which bakes for 5m\n"),
    ] {
        let other = scene(1, &[settings]);
        let mut scene = plain.planning();
        scene.fleet.targets[0].desired.deployment = other.fleet.targets[0].desired.deployment.clone();
        scene.choice.dry_run = true;
        let ran = scene.deploy().await;
        assert_eq!(ran.code(), exit, "{settings:?}: {}", ran.said);
        let said = format!("{}{:?}", ran.said, ran.exit);
        assert!(said.contains(wanted), "{settings:?}: {said}");
    }
    assert_eq!(plain.sandbox.calls().writes, Vec::new());
}

#[tokio::test(start_paused = true)]
async fn traffic_is_moved_by_vpc_lattice_too() {
    let scene = Scene::of(1, 1, "rollout: { timeout: 2h }\n");
    let lattice = json!([{ "roleArn": "arn:aws:iam::200000000000:role/lattice", "portName": "web",
        "targetGroupArn": "arn:aws:vpc-lattice:eu-west-1:200000000000:targetgroup/tg-0a1b2c3d4e5f60718" }]);
    let input = json!({ "cluster": "main", "service": "s0", "vpcLatticeConfigurations": lattice });
    scene.sandbox.call_as_operator("a0", "eu-west-1", "UpdateService", &input).expect("updated");
    tokio::time::sleep(Duration::from_secs(900)).await;
    let mut linear = scene.planning();
    let other = self::scene(1, &[LINEAR]);
    linear.fleet.targets[0].desired.deployment = other.fleet.targets[0].desired.deployment.clone();
    let ran = linear.deploy().await;
    assert_eq!((ran.code(), ran.outcome(ONE)), (Exit::Done, Some(Outcome::Succeeded)), "{}", ran.said);
}

#[tokio::test(start_paused = true)]
async fn settings_that_ecs_filled_in_are_no_change() {
    let scene = scene(1, &[LINEAR, PAUSE, BREAKER]);
    let mut continued = scene.planning();
    continued.start.continue_hooks = true;
    assert_eq!(continued.deploy().await.code(), Exit::Done);
    let again = scene.deploy().await;
    assert_eq!((again.code(), again.count(Outcome::Unchanged)), (Exit::Done, 1), "{}", again.said);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_run_leaves_its_targets_waiting_and_only_the_selected_go_on() {
    let scene = scene(2, &[BLUE_GREEN, PAUSE]);
    let cancel = async {
        tokio::time::sleep(Duration::from_secs(240)).await;
        scene.cancel.cancel(Signal::Terminate);
    };
    let (ran, ()) = tokio::join!(scene.deploy(), cancel);
    assert_eq!((ran.code(), ran.count(Outcome::Detached)), (Exit::Terminated, 2), "{}", ran.said);
    assert!(ran.said.contains("      roleout continue --only a0/eu-west-1/s1\n"), "{}", ran.said);
    let mut other = scene.planning();
    other.fleet = scene.fleet.clone().select(&["a0/eu-west-1/s1".to_owned()], &[]).expect("a target");
    let (exit, said) = go_on(&other, false).await;
    assert_eq!(exit, Exit::Done);
    assert!(said.contains("✔ a0/eu-west-1/s1  continues; it waited at a PAUSE hook"), "{said}");
    let (_, left) = go_on(&scene.planning(), true).await;
    assert!(left.contains("1 PAUSE hook at which deployments wait") && left.contains("a0/eu-west-1/s0"), "{left}");
}
