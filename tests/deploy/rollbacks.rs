//! Rollbacks: what failed goes back to what ran before, by the gentlest way there is, and is watched until it is there.

use std::time::Duration;

use proptest::prelude::*;
use roleout::base::exit::Exit;
use roleout::connect::Connection;
use roleout::engine::cancel::Signal;
use roleout::engine::context::Handles;
use roleout::engine::{self, Start};
use roleout::event::{Event, RollbackStep};
use roleout::fleet::Outcome;
use roleout::observe::{self, KeepMessages, Observation};
use roleout::plan::build;
use roleout::run::{saved_file, saved_plan};
use roleout::sandbox::Fault;
use serde_json::json;

use crate::harness::{Directory, Ran, Scene, fleet, manifest};

const ONE: &str = "a0/eu-west-1/s0";
const BACK: &str = "rollout: { timeout: 10m, on_failure: rollback }\n";
const OFF: &str = "    deployment: { circuit_breaker: { enable: false, rollback: false } }\n";

/// One target whose circuit breaker is off, with something of its service's own besides.
fn with(own: &str, rollout: &str) -> Scene {
    Scene::new(&manifest(1, 1, rollout).replace("    cluster: main\n", &format!("    cluster: main\n{own}")))
}

/// Accounts with one service each, whose circuit breakers are off.
fn many(accounts: usize, rollout: &str) -> Scene {
    Scene::new(&manifest(accounts, 1, rollout).replace("    cluster: main\n", &format!("    cluster: main\n{OFF}")))
}

/// How often an operation changed something.
fn writes(scene: &Scene, operation: &str) -> usize {
    let writes = scene.sandbox.calls().writes;
    writes.iter().filter(|write| write.operation == operation && write.error.is_none()).count()
}

fn steps(ran: &Ran) -> Vec<RollbackStep> {
    let steps = ran.events.iter().filter_map(|stamped| match &stamped.event {
        Event::RollbackStarted { how, .. } => Some(*how),
        _ => None,
    });
    steps.collect()
}

/// Whether the service of an account runs what it ran before the deployment, and nothing else.
fn is_back(scene: &Scene, ran: &Ran, account: &str) -> bool {
    let service = scene.sandbox.service(account, "eu-west-1", "main", "s0").expect("a service");
    let target = ran.state.targets().find(|it| &*it.target.account == account).expect("a target");
    let from = target.from.as_ref().expect("it ran something").to_string();
    let complete = matches!(service.deployments.as_slice(), [(_, _, state)] if state == "COMPLETED");
    service.task_definition.ends_with(&format!("/{from}")) && complete && service.running == service.desired
}

/// The contract of event.rs: one terminal event each, and after it only what may follow.
fn assert_contract(ran: &Ran) {
    for target in ran.state.targets() {
        let id = &target.target;
        let (mut ended, mut returned, mut impossible) = (None, 0, 0);
        for stamped in &ran.events {
            match &stamped.event {
                Event::RolloutFinished { target, outcome, .. } | Event::RolloutSkipped { target, outcome, .. }
                    if target == id =>
                {
                    assert_eq!(ended.replace(*outcome), None, "{id} ended twice");
                }
                Event::RollbackStarted { target, .. } if target == id => {
                    assert!(matches!(ended, None | Some(Outcome::Succeeded)) && returned == 0, "{id}: {ended:?}");
                }
                Event::TargetDegraded { target, .. } if target == id => assert_eq!(ended, Some(Outcome::Succeeded)),
                Event::RollbackFinished { target, .. } if target == id => {
                    assert_eq!(ended, Some(Outcome::Succeeded), "{id} was returned");
                    returned += 1;
                }
                Event::RollbackImpossible { target, .. } if target == id => impossible += 1,
                _ => {}
            }
        }
        assert!(returned + impossible <= 1, "{id}: {returned} returns");
        assert!(ended.is_some() || target.started_at.is_none(), "{id} has no end");
    }
}

#[tokio::test(start_paused = true)]
async fn a_target_that_times_out_is_stopped_and_rolled_back_by_ecs() {
    for fault in ["crash", "hang", "nopull"] {
        let scene = with(OFF, BACK).fault(&format!("*={fault}"));
        let ran = scene.deploy().await;
        assert_eq!(
            (ran.code(), ran.outcome(ONE)),
            (Exit::RolledBack, Some(Outcome::RolledBack)),
            "{fault}: {}",
            ran.said
        );
        assert_eq!(steps(&ran), [RollbackStep::StopDeployment], "{fault}: {}", ran.said);
        assert_eq!((writes(&scene, "UpdateService"), writes(&scene, "StopServiceDeployment")), (1, 1), "{fault}");
        assert!(ran.reason(ONE).contains("not complete within 10m: "), "{fault}: {}", ran.reason(ONE));
        assert!(is_back(&scene, &ran, "a0"), "{fault}: {}", ran.said);
        assert!(ran.said.contains("rolls back to s0:"), "{fault}: {}", ran.said);
        assert_contract(&ran);
    }
}

#[tokio::test(start_paused = true)]
async fn without_on_failure_nothing_is_rolled_back() {
    let scene = with(OFF, "rollout: { timeout: 10m }\n").fault("*=crash");
    let ran = scene.deploy().await;
    assert_eq!(ran.outcome(ONE), Some(Outcome::TimedOut), "{}", ran.said);
    assert_eq!((writes(&scene, "UpdateService"), writes(&scene, "StopServiceDeployment")), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_deployment_that_ecs_gave_up_is_answered_with_what_ran_before() {
    let scene = with("    deployment: { circuit_breaker: { enable: true, rollback: false } }\n", BACK).fault("*=crash");
    let ran = scene.deploy().await;
    assert_eq!((ran.code(), ran.outcome(ONE)), (Exit::RolledBack, Some(Outcome::RolledBack)), "{}", ran.said);
    assert_eq!(steps(&ran), [RollbackStep::Deploy], "{}", ran.said);
    assert_eq!((writes(&scene, "UpdateService"), writes(&scene, "StopServiceDeployment")), (2, 0));
    assert!(is_back(&scene, &ran, "a0"), "{}", ran.said);
}

#[tokio::test(start_paused = true)]
async fn a_rollback_of_ecs_itself_is_awaited_and_not_fought() {
    let scene = with("", BACK).fault("*=crash");
    let ran = scene.deploy().await;
    assert_eq!((ran.code(), ran.outcome(ONE)), (Exit::RolledBack, Some(Outcome::RolledBack)), "{}", ran.said);
    assert_eq!((writes(&scene, "UpdateService"), writes(&scene, "StopServiceDeployment")), (1, 0));
    assert_eq!(steps(&ran), []);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_in_the_middle_of_a_rollback_of_ecs_waits_for_it() {
    // The breaker trips after some three minutes of crashes, and the return takes a while.
    for timeout in 190..200 {
        let rollout = format!("rollout: {{ timeout: {timeout}s, rollback_timeout: 20m, on_failure: rollback }}\n");
        let scene = with("", &rollout).fault("*=stuck");
        let ran = scene.deploy().await;
        assert_eq!((ran.code(), ran.outcome(ONE)), (Exit::Stuck, Some(Outcome::Stuck)), "{timeout}: {}", ran.said);
        assert!(
            writes(&scene, "UpdateService") + writes(&scene, "StopServiceDeployment") <= 2,
            "{timeout}: {}",
            ran.said
        );
        assert_contract(&ran);
    }
}

#[tokio::test(start_paused = true)]
async fn a_rollback_of_ecs_that_fails_is_stuck_and_not_tried_again() {
    let scene = with("", BACK).fault("*=stuck");
    let ran = scene.deploy().await;
    assert_eq!((ran.code(), ran.outcome(ONE)), (Exit::Stuck, Some(Outcome::Stuck)), "{}", ran.said);
    assert_eq!((writes(&scene, "UpdateService"), writes(&scene, "StopServiceDeployment")), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_rollback_that_hangs_is_stuck_at_its_own_deadline() {
    let rollout = "rollout: { timeout: 10m, on_failure: rollback, rollback_timeout: 5m }\n";
    for (own, step) in [
        (OFF, RollbackStep::StopDeployment),
        ("    deployment: { circuit_breaker: { enable: true, rollback: false } }\n", RollbackStep::Deploy),
    ] {
        let scene = with(own, rollout).fault("*=no-return");
        let ran = scene.deploy().await;
        assert_eq!((ran.code(), ran.outcome(ONE)), (Exit::Stuck, Some(Outcome::Stuck)), "{own:?}: {}", ran.said);
        assert_eq!(steps(&ran), [step], "{own:?}");
        let reason = ran.reason(ONE);
        assert!(reason.starts_with("the rollback failed: not rolled back within 5m: "), "{own:?}: {reason}");
        assert!(
            reason.contains("not complete within 10m") || reason.contains("tasks failed to start"),
            "{own:?}: {reason}"
        );
        assert!(ran.said.contains("check the service now"), "{own:?}: {}", ran.said);
        assert_contract(&ran);
    }
}

#[tokio::test(start_paused = true)]
async fn where_stopping_is_denied_what_ran_before_is_deployed() {
    for fault in ["deny:ecs:StopServiceDeployment", "no-service-deployments", "deny:ecs:ListServiceDeployments"] {
        let scene = with(OFF, BACK).fault("*=hang").fault(&format!("*={fault}"));
        let ran = scene.deploy().await;
        assert_eq!(
            (ran.code(), ran.outcome(ONE)),
            (Exit::RolledBack, Some(Outcome::RolledBack)),
            "{fault}: {}",
            ran.said
        );
        assert_eq!(steps(&ran).last(), Some(&RollbackStep::Deploy), "{fault}: {}", ran.said);
        assert_eq!(writes(&scene, "StopServiceDeployment"), 0, "{fault}");
        assert!(is_back(&scene, &ran, "a0"), "{fault}: {}", ran.said);
        assert_contract(&ran);
    }
}

#[tokio::test(start_paused = true)]
async fn a_rollback_without_permissions_is_stuck_and_says_what_to_allow() {
    let scene = with("", BACK).fault("*=hang").fault("*=deny:ecs:StopServiceDeployment");
    let sandbox = scene.sandbox.clone();
    let (ran, ()) = tokio::join!(scene.deploy(), async {
        tokio::time::sleep(Duration::from_secs(300)).await;
        sandbox.fault("*", Fault::Deny("ecs:UpdateService".to_owned())).expect("a fault");
    });
    assert_eq!((ran.code(), ran.outcome(ONE)), (Exit::Stuck, Some(Outcome::Stuck)), "{}", ran.said);
    assert!(ran.said.contains("allow ecs:UpdateService to arn:aws:iam::200000000000:role/leaf"), "{}", ran.said);
    assert!(ran.reason(ONE).contains("StopServiceDeployment: AccessDenied"), "{}", ran.reason(ONE));
}

#[tokio::test(start_paused = true)]
async fn lost_answers_and_throttling_stop_once_and_end_back() {
    for fault in ["lost:60", "throttle:2", "unavailable:30"] {
        let scene =
            many(4, "rollout: { timeout: 10m, on_failure: rollback, rollback_timeout: 1h, max_failures: 100% }\n");
        let scene = scene.fault("*=hang");
        let sandbox = scene.sandbox.clone();
        let (_, fault) = roleout::sandbox::parse_fault(&format!("*={fault}")).expect("a fault");
        let (ran, ()) = tokio::join!(scene.deploy(), async {
            tokio::time::sleep(Duration::from_secs(580)).await;
            sandbox.fault("*", fault.clone()).expect("a fault");
        });
        assert_eq!(ran.count(Outcome::RolledBack), 4, "{fault:?}: {}", ran.said);
        assert!(writes(&scene, "StopServiceDeployment") <= 4, "{fault:?}");
        for account in 0..4 {
            assert!(is_back(&scene, &ran, &format!("a{account}")), "{account}: {fault:?}: {}", ran.said);
        }
        assert_contract(&ran);
    }
}

#[tokio::test(start_paused = true)]
async fn a_deployment_of_somebody_else_is_not_fought() {
    let scene = with(OFF, BACK).fault("*=hang").fault("*=no-service-deployments");
    let sandbox = scene.sandbox.clone();
    let (ran, ()) = tokio::join!(scene.deploy(), async {
        // Between our deadline and what ran before being there again.
        tokio::time::sleep(Duration::from_secs(620)).await;
        let update = json!({ "cluster": "main", "service": "s0", "forceNewDeployment": true });
        sandbox.call_as_operator("a0", "eu-west-1", "UpdateService", &update).expect("updated");
    });
    assert_eq!((ran.code(), ran.outcome(ONE)), (Exit::Failed, Some(Outcome::Superseded)), "{}", ran.said);
    assert_eq!(writes(&scene, "UpdateService"), 2, "{}", ran.said);
    assert_contract(&ran);
}

#[tokio::test(start_paused = true)]
async fn a_deployment_of_somebody_else_before_a_late_rollback_is_not_fought() {
    for at in (596..680).step_by(7) {
        let scene = with(OFF, BACK).fault("*=hang").fault("*=no-service-deployments");
        let sandbox = scene.sandbox.clone();
        let (ran, stranger) = tokio::join!(scene.deploy(), async {
            tokio::time::sleep(Duration::from_secs(590)).await;
            sandbox.fault("*", Fault::Throttle(0.2)).expect("a fault");
            tokio::time::sleep(Duration::from_secs(at - 590)).await;
            let update = json!({ "cluster": "main", "service": "s0", "forceNewDeployment": true });
            let answer = sandbox.call_as_operator("a0", "eu-west-1", "UpdateService", &update).expect("updated");
            answer["service"]["deployments"][0]["id"].clone()
        });
        let service = scene.sandbox.service("a0", "eu-west-1", "main", "s0").expect("a service");
        assert_eq!(Some(service.deployments[0].0.as_str()), stranger.as_str(), "at {at}: {}", ran.said);
        assert_eq!(ran.outcome(ONE), Some(Outcome::Superseded), "at {at}: {}", ran.said);
    }
}

#[tokio::test(start_paused = true)]
async fn a_target_whose_write_was_denied_is_not_rolled_back() {
    for fault in ["deny:ecs:UpdateService", "deny:ecs:RegisterTaskDefinition"] {
        let scene = with("", BACK).fault(&format!("*={fault}"));
        let ran = scene.deploy().await;
        assert_eq!((ran.code(), ran.outcome(ONE)), (Exit::Failed, Some(Outcome::Failed)), "{fault}: {}", ran.said);
        assert_eq!(steps(&ran), [], "{fault}");
    }
}

/// Deploys; once UpdateService has been asked for, its answer being lost, no service can be read for some time.
async fn lost_and_unread(scene: &Scene, fault: Fault, seconds: u64) -> Ran {
    let sandbox = scene.sandbox.clone();
    sandbox.fault("*", Fault::Lost(100)).expect("a fault");
    let (ran, ()) = tokio::join!(scene.deploy(), async {
        while sandbox.calls().operation("UpdateService") == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        sandbox.clear_faults();
        sandbox.fault("*", Fault::Hang).expect("a fault");
        sandbox.fault("*", fault.clone()).expect("a fault");
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        sandbox.clear_faults();
    });
    ran
}

#[tokio::test(start_paused = true)]
async fn an_update_with_a_lost_answer_is_rolled_back_once_the_service_can_be_read() {
    let rollout = "rollout: { timeout: 20s, rollback_timeout: 10m, on_failure: rollback }\n";
    let scene = with(OFF, rollout).fault("*=hang");
    let ran = lost_and_unread(&scene, Fault::Unavailable(100), 60).await;
    assert_eq!((ran.code(), ran.outcome(ONE)), (Exit::RolledBack, Some(Outcome::RolledBack)), "{}", ran.said);
    assert!(ran.reason(ONE).contains("whether it took effect could not be read: "), "{}", ran.reason(ONE));
    assert!(is_back(&scene, &ran, "a0"), "{}", ran.said);
    assert_contract(&ran);
}

#[tokio::test(start_paused = true)]
async fn an_update_with_a_lost_answer_is_unknown_where_the_service_may_not_be_read() {
    let denied = || Fault::Deny("ecs:DescribeServices".to_owned());
    let scene = with(OFF, "rollout: { timeout: 20s }\n").fault("*=hang");
    let ran = lost_and_unread(&scene, denied(), 60).await;
    assert_eq!(ran.outcome(ONE), Some(Outcome::Failed), "{}", ran.said);
    assert!(ran.reason(ONE).starts_with("UpdateService: "), "{}", ran.reason(ONE));
    assert!(ran.said.contains("check the service before running again: ECS may have acted"), "{}", ran.said);
    let scene = with(OFF, BACK).fault("*=hang");
    let ran = lost_and_unread(&scene, denied(), 60).await;
    assert_eq!((ran.code(), ran.outcome(ONE)), (Exit::Stuck, Some(Outcome::Stuck)), "{}", ran.said);
    assert!(ran.reason(ONE).starts_with("the rollback failed: DescribeServices: AccessDenied"), "{}", ran.reason(ONE));
    assert!(ran.reason(ONE).contains("UpdateService: "), "{}", ran.reason(ONE));
}

/// Deploys with a deadline of five minutes, while ECS answers nothing from `from` until `until`, both in seconds.
async fn unanswered(scene: &Scene, from: u64, until: u64) -> Ran {
    let sandbox = scene.sandbox.clone();
    let (ran, ()) = tokio::join!(scene.deploy(), async {
        tokio::time::sleep(Duration::from_secs(from)).await;
        sandbox.fault("*", Fault::Unavailable(100)).expect("a fault");
        tokio::time::sleep(Duration::from_secs(until - from)).await;
        sandbox.clear_faults();
    });
    ran
}

#[tokio::test(start_paused = true)]
async fn a_deployment_that_completed_unseen_is_not_rolled_back() {
    for policy in ["on_failure: rollback, rollback_timeout: 20m", "on_failure: stop"] {
        let rollout = format!("rollout: {{ timeout: 5m, {policy} }}\n");
        let scene = with(OFF, &rollout);
        let ran = unanswered(&scene, 10, 305).await;
        assert_eq!((ran.code(), ran.outcome(ONE)), (Exit::Done, Some(Outcome::Succeeded)), "{policy}: {}", ran.said);
        assert_eq!((writes(&scene, "UpdateService"), steps(&ran)), (1, vec![]), "{policy}: {}", ran.said);
    }
    // Nobody waits longer than some seconds for that; but what is seen to have completed then stays.
    let scene = with(OFF, "rollout: { timeout: 5m, rollback_timeout: 20m, on_failure: rollback }\n");
    let ran = unanswered(&scene, 10, 420).await;
    assert_eq!((ran.code(), ran.outcome(ONE)), (Exit::TimedOut, Some(Outcome::TimedOut)), "{}", ran.said);
    assert!(ran.said.contains("not rolled back: it has completed since"), "{}", ran.said);
    assert_eq!((writes(&scene, "UpdateService"), steps(&ran)), (1, vec![]), "{}", ran.said);
    assert!(scene.image("a0", "eu-west-1", "s0").ends_with(":v2"));
    assert_contract(&ran);
}

#[tokio::test(start_paused = true)]
async fn a_target_without_an_earlier_deployment_says_that_it_cannot_be_rolled_back() {
    // A service whose first deployment never completed.
    let scene = with(OFF, BACK).fault("*=hang");
    let (account, region) = ("a0", "eu-west-1");
    let behind = |operation: &str, input: serde_json::Value| {
        scene.sandbox.call_as_operator(account, region, operation, &input).expect(operation)
    };
    behind("DeleteService", json!({ "cluster": "main", "service": "s0", "force": true }));
    tokio::time::sleep(Duration::from_secs(120)).await;
    let breaker = json!({ "deploymentCircuitBreaker": { "enable": true, "rollback": false } });
    behind(
        "CreateService",
        json!({ "cluster": "main", "serviceName": "s0", "taskDefinition": "s0", "desiredCount": 2,
            "deploymentConfiguration": breaker,
            "networkConfiguration": { "awsvpcConfiguration": { "subnets": ["subnet-1"] } } }),
    );
    tokio::time::sleep(Duration::from_secs(10)).await;
    let service = scene.sandbox.service(account, region, "main", "s0").expect("a service");
    let arn = service.body["currentServiceDeployment"].clone();
    behind("StopServiceDeployment", json!({ "serviceDeploymentArn": arn, "stopType": "ABORT" }));
    tokio::time::sleep(Duration::from_secs(60)).await;
    let ran = scene.deploy().await;
    assert_eq!(ran.outcome(ONE), Some(Outcome::TimedOut), "{}", ran.said);
    let said = ran.said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("no other revision had completed before, so there is nothing to roll back to"), "{said}");
    assert!(said.contains("not complete within 10m: "), "{said}");
    assert_eq!(steps(&ran), []);
    assert_eq!(writes(&scene, "StopServiceDeployment"), 0, "nobody asked ECS");
}

#[tokio::test(start_paused = true)]
async fn a_rollback_restores_the_settings() {
    let own = "    desired_count: 5\n    deployment: { maximum_percent: 150, circuit_breaker: { enable: false, rollback: false } }\n";
    let base = Scene::of(1, 1, BACK);
    let changed = manifest(1, 1, BACK).replace("    cluster: main\n", &format!("    cluster: main\n{own}"));
    let scene = Scene { fleet: fleet(&changed), ..base }.fault("*=hang");
    let ran = scene.deploy().await;
    assert_eq!((ran.code(), ran.outcome(ONE)), (Exit::RolledBack, Some(Outcome::RolledBack)), "{}", ran.said);
    assert!(is_back(&scene, &ran, "a0"), "{}", ran.said);
    let service = scene.sandbox.service("a0", "eu-west-1", "main", "s0").expect("a service");
    assert_eq!((service.desired, &service.body["deploymentConfiguration"]["maximumPercent"]), (2, &json!(200)));
    assert_eq!(writes(&scene, "UpdateService"), 2, "one there and one back");
}

#[tokio::test(start_paused = true)]
async fn settings_are_restored_though_ecs_shows_them_as_before() {
    let rollout = "rollout: { timeout: 10m, on_failure: rollback, rollback_scope: wave, waves: [ { name: all, max_parallel: 1 } ] }\n";
    let base = Scene::of(1, 2, rollout).quick();
    assert_eq!(base.deploy().await.code(), Exit::Done);
    let (first, second) = ("registry.example.com/s0:v2\" }\n", "s1:v2");
    let own = format!("{first}    deployment: {{ maximum_percent: 150 }}\n");
    let changed = manifest(1, 2, rollout).replace(first, &own).replace(second, "s1:v3");
    let scene = Scene { fleet: fleet(&changed), ..base }.fault("a0/*/s1=crash").fault("a0/*/s0=stale:600");
    let ran = scene.deploy().await;
    assert_eq!(ran.count(Outcome::RolledBack), 2, "{}", ran.said);
    let service = scene.sandbox.service("a0", "eu-west-1", "main", "s0").expect("a service");
    assert_eq!(service.body["deploymentConfiguration"]["maximumPercent"], 200, "{}", ran.said);
}

#[tokio::test(start_paused = true)]
async fn settings_that_there_were_not_before_are_taken_away() {
    let own = "    deployment:\n      strategy: BLUE_GREEN\n      bake_time_in_minutes: 7\n      lifecycle_hooks: [ { target_type: \
               PAUSE, lifecycle_stages: [POST_SCALE_UP], timeout: { timeout_in_minutes: 300, action: ROLLBACK } } ]\n";
    let base = Scene::of(1, 1, BACK);
    let changed = manifest(1, 1, BACK).replace("    cluster: main\n", &format!("    cluster: main\n{own}"));
    let scene = Scene { fleet: fleet(&changed), ..base };
    let ran = scene.deploy().await;
    assert_eq!((ran.code(), ran.outcome(ONE)), (Exit::RolledBack, Some(Outcome::RolledBack)), "{}", ran.said);
    let service = scene.sandbox.service("a0", "eu-west-1", "main", "s0").expect("a service");
    let now = &service.body["deploymentConfiguration"];
    assert_eq!((&now["strategy"], &now["bakeTimeInMinutes"]), (&json!("ROLLING"), &json!(0)), "{now}");
    assert!(now["lifecycleHooks"].as_array().is_none_or(Vec::is_empty), "{now}");
}

#[tokio::test(start_paused = true)]
async fn a_new_count_that_is_never_reached_goes_back() {
    let base = Scene::of(1, 1, BACK);
    assert_eq!(base.deploy().await.code(), Exit::Done);
    let changed = manifest(1, 1, BACK).replace("    cluster: main\n", "    cluster: main\n    desired_count: 4\n");
    let scene = Scene { fleet: fleet(&changed), ..base };
    let sandbox = scene.sandbox.clone();
    let (ran, ()) = tokio::join!(scene.deploy(), async {
        // Autoscaling, or a person, keeps it at three.
        tokio::time::sleep(Duration::from_secs(2)).await;
        let update = json!({ "cluster": "main", "service": "s0", "desiredCount": 3 });
        sandbox.call_as_operator("a0", "eu-west-1", "UpdateService", &update).expect("updated");
    });
    assert_eq!(ran.outcome(ONE), Some(Outcome::TimedOut), "{}", ran.said);
    assert!(ran.said.contains("its settings are not those of this run any more"), "{}", ran.said);
    assert_eq!(scene.sandbox.service("a0", "eu-west-1", "main", "s0").expect("a service").desired, 3);
}

#[tokio::test(start_paused = true)]
async fn a_failure_counts_when_it_happens_and_not_when_it_is_rolled_back() {
    let rollout = "rollout: { timeout: 10m, on_failure: rollback, rollback_timeout: 30m, waves: [ { name: all, max_parallel: 2 } ] }\n";
    let ran = many(6, rollout).fault("a0=no-return").fault("a1=slow:3").deploy().await;
    assert_eq!(ran.code(), Exit::Stuck, "{}", ran.said);
    let halted = ran.events.iter().position(|it| matches!(it.event, Event::RunHalted { .. })).expect("halted");
    let started = |it: &roleout::event::Stamped| matches!(it.event, Event::RolloutStarted { .. });
    assert!(!ran.events[halted..].iter().any(started), "{}", ran.said);
    assert!(ran.count(Outcome::NotStarted) > 0, "{}", ran.said);
    assert_contract(&ran);
}

#[tokio::test(start_paused = true)]
async fn a_rollback_of_ecs_itself_counts_when_it_begins() {
    for fault in ["crash", "no-return"] {
        let rollout = "rollout: { timeout: 20m, waves: [ { name: all, max_parallel: 2 } ] }\n";
        let scene = Scene::of(6, 1, rollout).fault(&format!("a0={fault}"));
        let ran = scene.deploy().await;
        let at = |wanted: &dyn Fn(&Event) -> bool| {
            ran.events.iter().find(|stamped| wanted(&stamped.event)).map(|stamped| stamped.at.as_second())
        };
        let goes_back =
            at(&|event| matches!(event, Event::ServiceMessage { text, .. } if text.contains("rolling back")));
        let halted = at(&|event| matches!(event, Event::RunHalted { .. }));
        let ended = at(&|event| matches!(event, Event::RolloutFinished { target, .. } if target.to_string() == ONE));
        let (goes_back, halted, ended) =
            (goes_back.expect("it goes back"), halted.expect("halted"), ended.expect("ended"));
        assert!(halted - goes_back <= 2 && ended - halted > 5, "{fault}: {goes_back}, {halted}, {ended}: {}", ran.said);
        assert_contract(&ran);
    }
}

/// The accounts whose targets were returned, in the order in which that began, and their cause.
fn returned(ran: &Ran) -> Vec<String> {
    let began = ran.events.iter().filter_map(|stamped| match &stamped.event {
        Event::RollbackStarted { target, cause: Some(_), .. } => Some(target.account.to_string()),
        _ => None,
    });
    began.collect()
}

#[tokio::test(start_paused = true)]
async fn the_scope_says_what_else_goes_back_and_the_newest_goes_first() {
    for (scope, wanted) in [("target", vec![]), ("wave", vec!["a3", "a2", "a1"]), ("run", vec!["a3", "a2", "a1", "a0"])]
    {
        let rollout = format!(
            "rollout:\n  timeout: 10m\n  on_failure: rollback\n  rollback_scope: {scope}\n  waves:\n    \
             - {{ name: canary, select: {{ ring: canary }} }}\n    - {{ name: rest, max_parallel: 1 }}\n"
        );
        let scene = many(6, &rollout).fault("a4=hang");
        let ran = scene.deploy().await;
        assert_eq!(ran.code(), Exit::RolledBack, "{scope}: {}", ran.said);
        assert_eq!(returned(&ran), wanted, "{scope}: {}", ran.said);
        assert_eq!(ran.count(Outcome::RolledBack), wanted.len() + 1, "{scope}: {}", ran.said);
        assert_eq!((ran.count(Outcome::Succeeded), ran.count(Outcome::NotStarted)), (4 - wanted.len(), 1), "{scope}");
        for account in wanted.iter().chain([&"a4"]) {
            assert!(is_back(&scene, &ran, account), "{scope}: {account}: {}", ran.said);
        }
        assert_contract(&ran);
        assert_eq!(ran.state.totals().all(), 6, "{scope}");
        assert_eq!(
            ran.said.contains("rolled back, since a4/eu-west-1/s0 failed"),
            scope != "target",
            "{scope}: {}",
            ran.said
        );
        if scope == "run" {
            scene.sandbox.clear_faults();
            assert_eq!(scene.deploy().await.count(Outcome::Succeeded), 6, "{scope}: and it can be deployed again");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_rollback_of_a_succeeded_target_that_fails_is_stuck() {
    let rollout = "rollout: { timeout: 10m, on_failure: rollback, rollback_scope: wave, waves: [ { name: all, max_parallel: 1 } ] }\n";
    let scene = many(3, rollout).fault("a1=hang");
    let sandbox = scene.sandbox.clone();
    let (ran, ()) = tokio::join!(scene.deploy(), async {
        tokio::time::sleep(Duration::from_secs(400)).await;
        sandbox.fault("a0", Fault::Deny("ecs:UpdateService".to_owned())).expect("a fault");
    });
    assert_eq!((ran.code(), ran.outcome(ONE)), (Exit::Stuck, Some(Outcome::Stuck)), "{}", ran.said);
    assert_eq!(ran.outcome("a1/eu-west-1/s0"), Some(Outcome::RolledBack));
    assert!(ran.said.contains("the rollback failed: UpdateService: AccessDenied"), "{}", ran.said);
    assert_contract(&ran);
}

#[tokio::test(start_paused = true)]
async fn a_target_that_degrades_in_the_bake_goes_back() {
    for (scope, backs) in [("target", 1), ("wave", 3)] {
        let rollout = format!(
            "rollout: {{ timeout: 10m, on_failure: rollback, rollback_scope: {scope}, waves: [ {{ name: all, bake: 15m }} ] }}\n"
        );
        let scene = many(3, &rollout).fault("a1=degrade");
        let ran = scene.deploy().await;
        assert_eq!(ran.code(), Exit::RolledBack, "{scope}: {}", ran.said);
        assert_eq!(ran.outcome("a1/eu-west-1/s0"), Some(Outcome::RolledBack), "{scope}: {}", ran.said);
        assert_eq!(ran.count(Outcome::RolledBack), backs, "{scope}: {}", ran.said);
        assert!(is_back(&scene, &ran, "a1"), "{scope}: {}", ran.said);
        assert_contract(&ran);
    }
}

/// Runs the engine itself, for a reader that takes an event every two seconds, and cancels it after so many seconds.
/// Returns the events.
async fn read_slowly(scene: &Scene, cancel_at: u64) -> Vec<Event> {
    let reach = Connection::sandbox(&scene.fleet, &scene.sandbox, scene.token.clone());
    let (clients, indices) = (reach.clients(), (0..scene.fleet.targets.len()).collect::<Vec<_>>());
    let mut seen = observe::targets(&scene.fleet, &indices, KeepMessages::Yes, &|target| clients(target)).await;
    seen.sort_by_key(|(index, _)| *index);
    let seen: Vec<Observation> = seen.into_iter().map(|(_, seen)| seen).collect();
    let plan = build::plan(&scene.fleet, &seen);
    let (events, mut received) = tokio::sync::mpsc::channel(1);
    let handles = Handles { clients, events, cancel: scene.cancel.clone() };
    let run = engine::run(scene.fleet.clone(), plan, handles, Start::default());
    let mut told = Vec::new();
    let reader = async {
        while let Some(event) = received.recv().await {
            told.push(event);
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
    };
    let cancel = async {
        tokio::time::sleep(Duration::from_secs(cancel_at)).await;
        scene.cancel.cancel(Signal::Terminate);
    };
    tokio::join!(run, reader, cancel);
    told
}

#[tokio::test(start_paused = true)]
async fn a_rollback_of_a_succeeded_target_has_its_event_with_slow_reads() {
    let rollout = "rollout: { timeout: 3m, on_failure: rollback, rollback_scope: wave, waves: [ { name: all, max_parallel: 1 } ] }\n";
    let mut returns = 0;
    for cancel_at in (330..420).step_by(7) {
        let scene = many(2, rollout).fault("a1=hang");
        let told = read_slowly(&scene, cancel_at).await;
        let of = |wanted: &dyn Fn(&Event) -> bool| told.iter().filter(|event| wanted(event)).count();
        let begun = of(&|event| matches!(event, Event::RollbackStarted { cause: Some(_), .. }));
        let ended = of(&|event| matches!(event, Event::RollbackFinished { .. }));
        assert_eq!(begun.min(1), ended, "cancelled after {cancel_at} s: {told:?}");
        returns += ended;
    }
    assert!(returns > 0, "none was returned");
}

async fn cancelled(scene: &Scene, after: u64) -> Ran {
    let cancel = scene.cancel.clone();
    let (ran, ()) = tokio::join!(scene.deploy(), async {
        tokio::time::sleep(Duration::from_secs(after)).await;
        cancel.cancel(Signal::Terminate);
    });
    assert!(ran.seconds <= after + 4, "{} s", ran.seconds);
    assert_contract(&ran);
    ran
}

#[tokio::test(start_paused = true)]
async fn a_cancel_during_a_rollback_leaves_it_to_ecs_and_says_so() {
    let scene = with(OFF, BACK).fault("*=no-return");
    let ran = cancelled(&scene, 700).await;
    assert_eq!((ran.code(), ran.outcome(ONE)), (Exit::Terminated, Some(Outcome::Detached)), "{}", ran.said);
    assert!(ran.reason(ONE).contains("the rollback to s0:"), "{}", ran.said);
    assert!(ran.said.contains("console.aws.amazon.com/ecs/v2/clusters/main/services/s0/deployments"), "{}", ran.said);
}

#[tokio::test(start_paused = true)]
async fn on_cancel_rollback_asks_ecs_once_for_each_target_in_flight() {
    let scene = many(5, "rollout: { timeout: 10m, on_cancel: rollback, waves: [ { name: all, max_parallel: 4 } ] }\n");
    let ran = cancelled(&scene, 20).await;
    assert_eq!((ran.code(), ran.count(Outcome::Detached), ran.count(Outcome::Cancelled)), (Exit::Terminated, 4, 1));
    assert_eq!(writes(&scene, "StopServiceDeployment"), 4, "{}", ran.said);
    assert!(ran.reason(ONE).contains("ECS was asked to roll it back: ecs-svc/"), "{}", ran.reason(ONE));
    tokio::time::sleep(Duration::from_secs(300)).await;
    for account in 0..4 {
        assert!(is_back(&scene, &ran, &format!("a{account}")), "a{account}");
    }
    let detached = many(2, "rollout: { timeout: 10m }\n");
    let ran = cancelled(&detached, 20).await;
    assert_eq!((ran.count(Outcome::Detached), writes(&detached, "StopServiceDeployment")), (2, 0), "{}", ran.said);
}

#[tokio::test(start_paused = true)]
async fn on_cancel_rollback_keeps_the_five_seconds_whatever_aws_does() {
    let rollout = "rollout: { timeout: 10m, on_cancel: rollback }\n";
    for fault in ["silent", "reset", "latency:60000", "deny:ecs:StopServiceDeployment", "cut:100"] {
        let scene = many(3, rollout);
        let sandbox = scene.sandbox.clone();
        let (_, fault) = roleout::sandbox::parse_fault(&format!("*={fault}")).expect("a fault");
        let (ran, ()) = tokio::join!(cancelled(&scene, 20), async {
            tokio::time::sleep(Duration::from_secs(15)).await;
            sandbox.fault("*", fault.clone()).expect("a fault");
        });
        assert_eq!(ran.count(Outcome::Detached), 3, "{fault:?}: {}", ran.said);
        assert!(ran.said.contains("could not be asked to roll back"), "{fault:?}: {}", ran.said);
    }
}

#[tokio::test(start_paused = true)]
async fn a_cancel_names_every_deployment_that_is_known() {
    for quarters in (4..60).step_by(3) {
        let scene = many(2, "rollout: { timeout: 10m, on_cancel: rollback }\n").fault("*=latency:1500");
        let cancel = scene.cancel.clone();
        let (ran, ()) = tokio::join!(scene.deploy(), async {
            tokio::time::sleep(Duration::from_millis(250 * quarters)).await;
            cancel.cancel(Signal::Terminate);
        });
        assert!(ran.seconds <= 250 * quarters / 1000 + 4, "{quarters}: {} s", ran.seconds);
        for stamped in &ran.events {
            let Event::DeploymentStarted { target, deployment, .. } = &stamped.event else { continue };
            let reason = ran.reason(&target.to_string());
            assert!(reason.contains(deployment), "after {quarters} quarters, {deployment}: {reason}");
            let told = ["ECS was asked to roll it back", "ECS could not be asked to roll back"];
            assert!(told.iter().any(|words| reason.contains(words)), "after {quarters} quarters: {reason}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_saved_plan_is_rolled_back_as_it_was_planned() {
    let directory = Directory::new("rolled-back");
    let scene = with(OFF, BACK).fault("*=hang");
    assert_eq!(scene.planning().dry_run_to(directory.plan()).deploy().await.code(), Exit::Done);
    let saved = saved_file::read(&directory.plan()).expect("a plan");
    let max_age = Duration::from_secs(3600);
    let terms = saved_plan::ApplyOptions {
        dry_run: false,
        skip_blocked: false,
        skip_stale: false,
        no_verify: false,
        max_age,
        origin: Default::default(),
    };
    let (start, cancel) = (scene.start.clone(), scene.cancel.clone());
    let ran = scene.ran(async |reach, view| crate::runs::apply(saved, reach, terms, start, view, cancel).await).await;
    assert_eq!((ran.code(), ran.outcome(ONE)), (Exit::RolledBack, Some(Outcome::RolledBack)), "{}", ran.said);
    assert!(is_back(&scene, &ran, "a0"), "{}", ran.said);
}

#[tokio::test(start_paused = true)]
async fn the_plan_says_what_is_done_on_failure() {
    let said = async |rollout: &str| {
        let mut scene = many(3, rollout);
        scene.choice.dry_run = true;
        scene.deploy().await.said
    };
    let text = said("rollout: { on_failure: rollback, rollback_scope: run, on_cancel: rollback }\n").await;
    assert!(text.contains("\non failure: roll back (run)\non cancel: ECS is asked to roll back\n"), "{text}");
    let text = said(
        "rollout:\n  waves:\n    - { name: canary, select: { ring: canary } }\n    - { name: rest, on_failure: rollback }\n",
    )
    .await;
    assert!(text.contains("\non failure in rest: roll back (target)\n"), "{text}");
    assert!(!said("").await.contains("on failure"), "nothing is said where nothing goes back");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever fails, and whenever it is cancelled: each target has its one end, and what is said of it is true.
    #[test]
    fn every_target_has_one_end_whatever_happens(
        faults in proptest::collection::vec(0_usize..8, 6),
        scope in 0_usize..3,
        window in 1_usize..4,
        cancel_at in proptest::option::of(1_u64..60),
        rolls_back_on_cancel in any::<bool>(),
    ) {
        const FAULTS: [&str; 8] =
            ["", "", "crash", "hang", "degrade", "no-return", "supersede", "deny:ecs:StopServiceDeployment"];
        let (scope, on_cancel) = (["target", "wave", "run"][scope], if rolls_back_on_cancel { "rollback" } else { "detach" });
        let rollout = format!(
            "rollout: {{ timeout: 8s, on_failure: rollback, rollback_scope: {scope}, rollback_timeout: 15s, on_cancel: \
             {on_cancel}, waves: [ {{ name: canary, select: {{ ring: canary }} }}, {{ name: rest, max_parallel: {window}, \
             max_failures: 1, bake: 5s }} ] }}\n"
        );
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        let (scene, ran) = runtime.block_on(async {
            let mut scene = many(6, &rollout).quick();
            for (number, fault) in faults.iter().enumerate().filter(|(_, fault)| !FAULTS[**fault].is_empty()) {
                scene = scene.fault(&format!("a{number}={}", FAULTS[*fault]));
            }
            let cancel = scene.cancel.clone();
            let ran = tokio::select! {
                ran = scene.deploy() => ran,
                () = async {
                    match cancel_at {
                        Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
                        None => std::future::pending().await,
                    }
                    cancel.cancel(Signal::Terminate);
                    std::future::pending().await
                } => unreachable!("it waits for ever"),
            };
            (scene, ran)
        });
        assert_contract(&ran);
        prop_assert_eq!(ran.state.totals().all(), 6);
        prop_assert_eq!(ran.state.totals().running, 0);
        let back = ran.state.targets().filter(|it| it.outcome() == Some(Outcome::RolledBack));
        for target in back {
            prop_assert!(is_back(&scene, &ran, &target.target.account), "{}: {}", target.target, ran.said);
        }
        if let Some(seconds) = cancel_at.filter(|_| ran.state.cancelled().is_some()) {
            prop_assert!(ran.seconds <= seconds + 4, "{} s", ran.seconds);
        }
    }
}
