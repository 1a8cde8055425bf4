//! Rollouts that go wrong, each as ECS shows it.

use std::time::Duration;

use aws_sdk_ecs::types::{
    Deployment, DeploymentCircuitBreaker, DeploymentConfiguration, DeploymentRolloutState, DesiredStatus, Service,
    ServiceDeployment, ServiceDeploymentRollbackMonitorsStatus, ServiceDeploymentStatus, StopServiceDeploymentStopType,
    TaskStopCode,
};
use roleout::sandbox::Fault;
use serde_json::json;

use crate::fixture::{CLUSTER, Fixture, PROD, REGION, advance};

async fn record(fixture: &Fixture) -> ServiceDeployment {
    let arn = fixture.history().await[0].service_deployment_arn().expect("an ARN").to_owned();
    let call = fixture.ecs().await.describe_service_deployments().service_deployment_arns(arn);
    call.send().await.expect("a description").service_deployments.expect("a list").remove(0)
}

/// Polls every second until the newest service deployment is final or the time is over.
async fn settle(fixture: &Fixture, limit: Duration) -> (Vec<ServiceDeploymentStatus>, Vec<Service>) {
    let (mut statuses, mut services) = (Vec::new(), Vec::new());
    for _ in 0..limit.as_secs() {
        advance(Duration::from_secs(1)).await;
        let status = fixture.history().await[0].status().cloned().expect("a status");
        if statuses.last() != Some(&status) {
            statuses.push(status.clone());
        }
        services.push(fixture.service().await);
        use ServiceDeploymentStatus::{RollbackFailed, RollbackSuccessful, Stopped, Successful};
        if statuses.len() > 1 && matches!(status, RollbackFailed | RollbackSuccessful | Stopped | Successful) {
            break;
        }
    }
    (statuses, services)
}

async fn set_breaker(fixture: &Fixture, enable: bool, rollback: bool) {
    let breaker = DeploymentCircuitBreaker::builder().enable(enable).rollback(rollback).build();
    let configuration = DeploymentConfiguration::builder().deployment_circuit_breaker(breaker).build();
    let call =
        fixture.ecs().await.update_service().cluster(CLUSTER).service("api").deployment_configuration(configuration);
    let service = call.send().await.expect("an update").service.expect("a service");
    assert_eq!(service.deployments().len(), 1, "a deployment configuration starts no deployment");
}

fn find<'a>(service: &'a Service, id: &str) -> Option<&'a Deployment> {
    service.deployments().iter().find(|deployment| deployment.id() == Some(id))
}

#[tokio::test(start_paused = true)]
async fn a_flapping_task_becomes_healthy_and_exits_again_and_again() {
    let fixture = Fixture::new().await;
    set_breaker(&fixture, false, false).await;
    fixture.sandbox.fault("prod/*/api", Fault::Flap).expect("a pattern");
    fixture.deploy("registry.example.com/api:2").await;
    let (mut most, mut changes, mut last) = (0, 0, 0);
    for _ in 0..1_800 {
        advance(Duration::from_secs(1)).await;
        let service = fixture.service().await;
        let running = service.deployments()[0].running_count();
        (most, changes, last) = (most.max(running), changes + u32::from(running != last), running);
    }
    assert!(most > 0 && changes > 10, "{most} ran at once, and that changed {changes} times");
    let list = fixture.ecs().await.list_tasks().cluster(CLUSTER).desired_status(DesiredStatus::Stopped);
    let stopped = list.send().await.expect("a list").task_arns.expect("tasks");
    assert!(stopped.len() > 3, "{stopped:?}");
}

#[tokio::test(start_paused = true)]
async fn a_crash_trips_the_breaker_and_rolls_back_under_the_old_id() {
    let fixture = Fixture::new().await;
    let before = fixture.service().await;
    let old = before.deployments()[0].clone();
    let (id, _) = fixture.deploy("registry.example.com/api:2-crash").await;
    let (statuses, services) = settle(&fixture, Duration::from_secs(600)).await;
    use ServiceDeploymentStatus::{InProgress, RollbackInProgress, RollbackSuccessful};
    assert!(statuses.ends_with(&[InProgress, RollbackInProgress, RollbackSuccessful]), "{statuses:?}");
    let rolling = services.iter().find(|service| service.deployments()[0].id() == old.id()).expect("a rollback");
    let primary = &rolling.deployments()[0];
    assert_eq!(primary.rollout_state(), Some(&DeploymentRolloutState::InProgress));
    assert_eq!(primary.created_at(), old.created_at());
    let wanted = format!("ECS deployment circuit breaker: rolling back to deploymentId {}.", old.id().expect("an id"));
    assert_eq!(primary.rollout_state_reason(), Some(wanted.as_str()));
    let failed = find(rolling, &id).expect("the failed one is still listed");
    assert_eq!(failed.rollout_state(), Some(&DeploymentRolloutState::Failed));
    assert!(matches!(failed.status(), Some("ACTIVE" | "DRAINING")));

    let after = fixture.service().await;
    assert_eq!(after.deployments().len(), 1);
    assert_eq!(after.deployments()[0].id(), old.id());
    assert_eq!(after.deployments()[0].rollout_state(), Some(&DeploymentRolloutState::Completed));
    assert_eq!(after.task_definition(), before.task_definition());
    let texts: Vec<&str> = after.events().iter().filter_map(|event| event.message()).collect();
    let failed_text = format!("(service api) (deployment {id}) deployment failed: tasks failed to start.");
    let back_text = format!("(service api) rolling back to deployment {}.", old.id().expect("an id"));
    let at = texts.iter().position(|text| *text == failed_text).expect("the failure is told");
    assert_eq!(texts[at - 1], back_text, "the newest is first");

    let record = record(&fixture).await;
    assert_eq!(
        record.status_reason(),
        Some("Service deployment rolled back because the circuit breaker threshold was exceeded.")
    );
    let breaker = record.deployment_circuit_breaker().expect("a breaker");
    assert_eq!(breaker.status(), Some(&ServiceDeploymentRollbackMonitorsStatus::Triggered));
    assert_eq!(breaker.threshold(), 3);
    assert!(record.rollback().and_then(|rollback| rollback.service_revision_arn()).is_some());

    let ecs = fixture.ecs().await;
    let call = ecs.list_tasks().cluster(CLUSTER).started_by(&id).desired_status(DesiredStatus::Stopped);
    let arns = call.send().await.expect("a list").task_arns.expect("arns");
    assert!(arns.len() >= 3, "{arns:?}");
    let tasks = ecs.describe_tasks().cluster(CLUSTER).set_tasks(Some(arns)).send().await.expect("tasks");
    let crashed = tasks.tasks().iter().filter(|task| task.stop_code() == Some(&TaskStopCode::EssentialContainerExited));
    for task in crashed {
        assert_eq!(task.stopped_reason(), Some("Essential container in task exited"));
        assert_eq!(task.containers()[0].exit_code(), Some(1));
        assert_eq!(task.last_status(), Some("STOPPED"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_crash_without_rollback_stays_failed() {
    let fixture = Fixture::new().await;
    set_breaker(&fixture, true, false).await;
    let (id, revision) = fixture.deploy("registry.example.com/api:2-crash").await;
    let (statuses, _) = settle(&fixture, Duration::from_secs(600)).await;
    assert_eq!(statuses.last(), Some(&ServiceDeploymentStatus::Stopped));
    advance(Duration::from_secs(3600)).await;
    let service = fixture.service().await;
    let primary = &service.deployments()[0];
    assert_eq!((primary.id(), primary.task_definition()), (Some(id.as_str()), Some(revision.as_str())));
    assert_eq!(primary.rollout_state(), Some(&DeploymentRolloutState::Failed));
    assert_eq!(primary.rollout_state_reason(), Some("ECS deployment circuit breaker: tasks failed to start."));
    assert_eq!(service.running_count(), 2, "the old tasks still serve");
    assert!(primary.failed_tasks() >= 3);
}

#[tokio::test(start_paused = true)]
async fn without_a_breaker_a_bad_image_stalls_with_growing_waits() {
    let fixture = Fixture::new().await;
    set_breaker(&fixture, false, false).await;
    let (id, _) = fixture.deploy("registry.example.com/api:2-nopull").await;
    advance(Duration::from_secs(4 * 3600)).await;
    let service = fixture.service().await;
    let primary = &service.deployments()[0];
    assert_eq!(primary.id(), Some(id.as_str()));
    assert_eq!(primary.rollout_state(), Some(&DeploymentRolloutState::InProgress));
    assert!((10..80).contains(&primary.failed_tasks()), "{}", primary.failed_tasks());
    let says =
        |wanted: &str| service.events().iter().any(|event| event.message().is_some_and(|text| text.contains(wanted)));
    assert!(says("was unable to place a task. Reason: CannotPullContainerError"));
    assert!(says("is unable to consistently start tasks successfully."));
    assert!(service.events().len() <= 100);
}

#[tokio::test(start_paused = true)]
async fn a_bad_image_trips_the_breaker() {
    let fixture = Fixture::new().await;
    fixture.sandbox.fault("prod/*/api", Fault::NoPull).expect("a pattern");
    let (id, _) = fixture.deploy("registry.example.com/api:2").await;
    let (statuses, _) = settle(&fixture, Duration::from_secs(3600)).await;
    assert_eq!(statuses.last(), Some(&ServiceDeploymentStatus::RollbackSuccessful));
    let ecs = fixture.ecs().await;
    let call = ecs.list_tasks().cluster(CLUSTER).started_by(&id).desired_status(DesiredStatus::Stopped);
    let arns = call.send().await.expect("a list").task_arns;
    let tasks = ecs.describe_tasks().cluster(CLUSTER).set_tasks(arns).send().await.expect("tasks");
    let task =
        tasks.tasks().iter().find(|task| task.stop_code() == Some(&TaskStopCode::TaskFailedToStart)).expect("one");
    assert!(task.stopped_reason().is_some_and(|text| text.starts_with("CannotPullContainerError: ")));
    assert_eq!(task.containers()[0].exit_code(), None, "it never ran");
    assert!(task.containers()[0].reason().is_some_and(|text| text.starts_with("CannotPullContainerError: ")));
}

#[tokio::test(start_paused = true)]
async fn a_hang_never_ends_even_with_a_breaker() {
    let fixture = Fixture::new().await;
    fixture.deploy("registry.example.com/api:2-hang").await;
    advance(Duration::from_secs(6 * 3600)).await;
    let service = fixture.service().await;
    let primary = &service.deployments()[0];
    assert_eq!(primary.rollout_state(), Some(&DeploymentRolloutState::InProgress));
    assert_eq!((primary.pending_count(), primary.running_count(), primary.failed_tasks()), (2, 0, 0));
    assert_eq!(service.running_count(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_slow_rollout_takes_longer_and_ends_well() {
    let fixture = Fixture::new().await;
    fixture.sandbox.fault("prod/eu-west-1/api", Fault::Slow(6.0)).expect("a pattern");
    fixture.deploy("registry.example.com/api:2").await;
    advance(Duration::from_secs(240)).await;
    assert_eq!(fixture.history().await[0].status(), Some(&ServiceDeploymentStatus::InProgress));
    let (statuses, _) = settle(&fixture, Duration::from_secs(600)).await;
    assert_eq!(statuses.last(), Some(&ServiceDeploymentStatus::Successful));
}

#[tokio::test(start_paused = true)]
async fn a_newer_deployment_takes_the_place() {
    let fixture = Fixture::new().await;
    let before = fixture.service().await.task_definition().expect("one").to_owned();
    fixture.sandbox.fault("*/*/api", Fault::Supersede).expect("a pattern");
    let (id, revision) = fixture.deploy("registry.example.com/api:2").await;
    let (statuses, services) = settle(&fixture, Duration::from_secs(60)).await;
    let newer = services.iter().find(|service| service.deployments()[0].id() != Some(id.as_str())).expect("superseded");
    assert_eq!(newer.deployments()[0].task_definition(), Some(before.as_str()));
    let ours = find(newer, &id).expect("ours is still there");
    assert_eq!((ours.status(), ours.task_definition()), (Some("ACTIVE"), Some(revision.as_str())));
    assert!(statuses.len() > 1 || !statuses.is_empty());
    advance(Duration::from_secs(300)).await;
    let history = fixture.history().await;
    assert_eq!(history[0].status(), Some(&ServiceDeploymentStatus::Successful));
    assert_eq!(history[1].status(), Some(&ServiceDeploymentStatus::Stopped));
    let service = fixture.service().await;
    assert_eq!((service.deployments().len(), service.task_definition()), (1, Some(before.as_str())));
}

#[tokio::test(start_paused = true)]
async fn a_service_can_vanish() {
    let fixture = Fixture::new().await;
    fixture.sandbox.fault("*/*/api", Fault::Vanish).expect("a pattern");
    fixture.deploy("registry.example.com/api:2").await;
    advance(Duration::from_secs(30)).await;
    assert!(matches!(fixture.service().await.status(), Some("DRAINING" | "INACTIVE")));
    advance(Duration::from_secs(60)).await;
    let gone = fixture.service().await;
    assert_eq!((gone.status(), gone.running_count(), gone.deployments().len()), (Some("INACTIVE"), 0, 0));
    let update = fixture.ecs().await.update_service().cluster(CLUSTER).service("api").desired_count(1).send().await;
    assert!(update.expect_err("inactive").into_service_error().is_service_not_active_exception());
    advance(Duration::from_secs(7200)).await;
    let described =
        fixture.ecs().await.describe_services().cluster(CLUSTER).services("api").send().await.expect("an answer");
    assert_eq!(described.failures()[0].reason(), Some("MISSING"));
}

#[tokio::test(start_paused = true)]
async fn a_deployment_can_degrade_after_it_completed() {
    let fixture = Fixture::new().await;
    fixture.sandbox.fault("*/*/api", Fault::Degrade).expect("a pattern");
    let (id, _) = fixture.deploy("registry.example.com/api:2").await;
    let (statuses, _) = settle(&fixture, Duration::from_secs(600)).await;
    assert_eq!(statuses.last(), Some(&ServiceDeploymentStatus::Successful));
    assert_eq!(fixture.service().await.running_count(), 2);
    let mut lowest = 2;
    for _ in 0..120 {
        advance(Duration::from_secs(1)).await;
        lowest = lowest.min(fixture.service().await.running_count());
    }
    assert_eq!(lowest, 0);
    let service = fixture.service().await;
    assert_eq!(service.deployments()[0].id(), Some(id.as_str()));
    assert!(service.deployments()[0].failed_tasks() >= 2);
    assert_eq!(service.deployments()[0].rollout_state(), Some(&DeploymentRolloutState::Completed));
}

#[tokio::test(start_paused = true)]
async fn a_rollback_can_fail_too() {
    let fixture = Fixture::new().await;
    fixture.sandbox.fault("*/*/api", Fault::Stuck).expect("a pattern");
    fixture.deploy("registry.example.com/api:2").await;
    let (statuses, _) = settle(&fixture, Duration::from_secs(3600)).await;
    assert_eq!(statuses.last(), Some(&ServiceDeploymentStatus::RollbackFailed), "{statuses:?}");
}

#[tokio::test(start_paused = true)]
async fn a_rollback_can_hang_whoever_goes_back() {
    let fixture = Fixture::new().await;
    fixture.sandbox.fault("*/*/api", Fault::NoReturn).expect("a pattern");
    let old = fixture.service().await.task_definition().expect("a definition").to_owned();
    fixture.deploy("registry.example.com/api:2").await;
    let (statuses, _) = settle(&fixture, Duration::from_secs(1800)).await;
    assert_eq!(statuses.last(), Some(&ServiceDeploymentStatus::RollbackInProgress), "{statuses:?}");
    let update = json!({ "cluster": CLUSTER, "service": "api", "taskDefinition": old, "forceNewDeployment": true });
    fixture.sandbox.call_as_operator(PROD, REGION, "UpdateService", &update).expect("updated");
    advance(Duration::from_secs(1800)).await;
    let deployment = fixture.service().await.deployments()[0].clone();
    assert_eq!(deployment.rollout_state(), Some(&DeploymentRolloutState::InProgress));
    assert!(deployment.running_count() == 0 && deployment.pending_count() > 0, "{deployment:?}");
}

#[tokio::test(start_paused = true)]
async fn a_first_deployment_has_no_rollback_candidate() {
    let fixture = Fixture::new().await;
    let revision = fixture.register("registry.example.com/api:2-crash").await;
    let input = json!({
        "cluster": CLUSTER, "serviceName": "fresh", "taskDefinition": revision, "desiredCount": 1,
        "deploymentConfiguration": { "deploymentCircuitBreaker": { "enable": true, "rollback": true } },
    });
    fixture.sandbox.call_as_operator(PROD, REGION, "CreateService", &input).expect("a service");
    advance(Duration::from_secs(1800)).await;
    let service = fixture.sandbox.service(PROD, REGION, CLUSTER, "fresh").expect("a service");
    assert_eq!(service.deployments[0].2, "FAILED");
    let reason = service.body["deployments"][0]["rolloutStateReason"].as_str().expect("a reason");
    assert!(reason.contains("No rollback candidate was found"), "{reason}");
    assert_eq!(service.pending + service.running, 0, "no new tasks");
}

#[tokio::test(start_paused = true)]
async fn a_stop_rolls_back_even_where_rollback_is_off() {
    let fixture = Fixture::new().await;
    set_breaker(&fixture, false, false).await;
    let old = fixture.service().await.deployments()[0].id().expect("an id").to_owned();
    fixture.deploy("registry.example.com/api:2-hang").await;
    advance(Duration::from_secs(60)).await;
    let arn = fixture.history().await[0].service_deployment_arn().expect("an ARN").to_owned();
    let ecs = fixture.ecs().await;
    let stop = || {
        ecs.stop_service_deployment().service_deployment_arn(&arn).stop_type(StopServiceDeploymentStopType::Rollback)
    };
    let output = stop().send().await.expect("it runs");
    assert_eq!(output.service_deployment_arn(), Some(arn.as_str()));
    assert_eq!(fixture.history().await[0].status(), Some(&ServiceDeploymentStatus::RollbackRequested));
    let (statuses, _) = settle(&fixture, Duration::from_secs(600)).await;
    use ServiceDeploymentStatus::{RollbackInProgress, RollbackRequested, RollbackSuccessful};
    assert_eq!(statuses, [RollbackRequested, RollbackInProgress, RollbackSuccessful]);
    assert_eq!(fixture.service().await.deployments()[0].id(), Some(old.as_str()));
    let error = stop().send().await.expect_err("it is over").into_service_error();
    assert!(error.is_conflict_exception(), "{error:?}");
    let unknown = arn.replace(&arn[arn.len() - 4..], "zzzz");
    let error = ecs.stop_service_deployment().service_deployment_arn(unknown).send().await.expect_err("unknown");
    assert!(error.into_service_error().is_service_deployment_not_found_exception());
}

#[tokio::test(start_paused = true)]
async fn an_abort_leaves_it_stopped() {
    let fixture = Fixture::new().await;
    fixture.deploy("registry.example.com/api:2-hang").await;
    advance(Duration::from_secs(60)).await;
    let arn = fixture.history().await[0].service_deployment_arn().expect("an ARN").to_owned();
    let call = fixture.ecs().await.stop_service_deployment().service_deployment_arn(arn);
    call.stop_type(StopServiceDeploymentStopType::Abort).send().await.expect("it runs");
    let (statuses, _) = settle(&fixture, Duration::from_secs(60)).await;
    assert_eq!(statuses, [ServiceDeploymentStatus::StopRequested, ServiceDeploymentStatus::Stopped]);
}

#[tokio::test(start_paused = true)]
async fn a_fault_spares_the_revision_that_worked() {
    let fixture = Fixture::new().await;
    let old = fixture.service().await.task_definition().expect("one").to_owned();
    fixture.sandbox.fault("*", Fault::Crash).expect("a pattern");
    fixture.deploy("registry.example.com/api:2").await;
    advance(Duration::from_secs(30)).await;
    let call = fixture.ecs().await.update_service().cluster(CLUSTER).service("api").task_definition(&old);
    call.send().await.expect("an update by hand");
    advance(Duration::from_secs(600)).await;
    let service = fixture.service().await;
    assert_eq!(service.deployments()[0].rollout_state(), Some(&DeploymentRolloutState::Completed));
    assert_eq!(service.task_definition(), Some(old.as_str()));
}

#[tokio::test(start_paused = true)]
async fn bounds_are_kept_without_room_for_more() {
    let fixture = Fixture::new().await;
    let input = json!({ "cluster": CLUSTER, "service": "api", "desiredCount": 4,
        "deploymentConfiguration": { "maximumPercent": 100, "minimumHealthyPercent": 50 } });
    fixture.sandbox.call_as_operator(PROD, REGION, "UpdateService", &input).expect("an update");
    advance(Duration::from_secs(300)).await;
    fixture.deploy("registry.example.com/api:2").await;
    let (statuses, services) = settle(&fixture, Duration::from_secs(900)).await;
    assert_eq!(statuses.last(), Some(&ServiceDeploymentStatus::Successful));
    for service in services {
        assert!(service.running_count() + service.pending_count() <= 4);
        assert!(service.running_count() >= 2);
    }
}

#[tokio::test(start_paused = true)]
async fn bounds_that_permit_nothing_stall_and_ecs_says_so() {
    let fixture = Fixture::new().await;
    let input = json!({ "cluster": CLUSTER, "service": "api", "deploymentConfiguration": { "maximumPercent": 100 } });
    fixture.sandbox.call_as_operator(PROD, REGION, "UpdateService", &input).expect("an update");
    fixture.deploy("registry.example.com/api:2").await;
    advance(Duration::from_secs(3600)).await;
    let service = fixture.service().await;
    assert_eq!(service.deployments()[0].rollout_state(), Some(&DeploymentRolloutState::InProgress));
    assert_eq!(service.deployments()[1].running_count(), 2);
    let text = "(service api) was unable to stop or start tasks during a deployment because of the service deployment \
                configuration. Update the minimumHealthyPercent or maximumPercent value and try again.";
    assert_eq!(service.events()[0].message(), Some(text));
}

#[tokio::test(start_paused = true)]
async fn an_early_success_leaves_old_tasks_to_drain() {
    let fixture = Fixture::new().await;
    let input = json!({ "cluster": CLUSTER, "service": "api", "desiredCount": 4, "deploymentConfiguration": {
        "earlySuccessCriteria": { "enable": true, "healthyPercent": 50, "sourceServiceRevisionCleanup": "DEFERRED" } } });
    fixture.sandbox.call_as_operator(PROD, REGION, "UpdateService", &input).expect("an update");
    advance(Duration::from_secs(300)).await;
    let (id, _) = fixture.deploy("registry.example.com/api:2").await;
    let (statuses, services) = settle(&fixture, Duration::from_secs(600)).await;
    assert_eq!(statuses.last(), Some(&ServiceDeploymentStatus::Successful));
    let last = services.last().expect("one");
    assert!(last.deployments().len() == 2, "the old deployment is still there");
    assert!(last.deployments()[0].running_count() >= 2);
    advance(Duration::from_secs(300)).await;
    let service = fixture.service().await;
    assert_eq!((service.deployments().len(), service.running_count()), (1, 4));
    assert_eq!(service.deployments()[0].id(), Some(id.as_str()));
}
