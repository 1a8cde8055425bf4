//! Deployments with stages as the SDK shows them: weights, hooks, ContinueServiceDeployment, and what ECS refuses.

use std::time::Duration;

use aws_sdk_ecs::error::ProvideErrorMetadata;
use aws_sdk_ecs::types::{
    DeploymentLifecycleHookAction, DeploymentLifecycleHookStatus, ServiceDeployment, ServiceDeploymentLifecycleStage,
    ServiceDeploymentStatus,
};
use serde_json::{Value, json};

use crate::fixture::{CLUSTER, Fixture, PROD, REGION, advance};
use crate::wire::{compare, shapes};

fn update(fixture: &Fixture, input: Value) -> Result<Value, String> {
    let mut input = input;
    input["cluster"] = json!(CLUSTER);
    input["service"] = json!("api");
    fixture.sandbox.call_as_operator(PROD, REGION, "UpdateService", &input)
}

fn balancers() -> Value {
    json!([{ "targetGroupArn": "arn:blue", "containerName": "app", "containerPort": 80,
        "advancedConfiguration": { "alternateTargetGroupArn": "arn:green", "productionListenerRule": "arn:rule", "roleArn": "arn:role" } }])
}

/// A service that deploys so, and waits for nothing.
async fn fixture(configuration: Value) -> Fixture {
    let fixture = Fixture::new().await;
    update(&fixture, json!({ "loadBalancers": balancers(), "deploymentConfiguration": { "strategy": "ROLLING" } }))
        .expect("a balancer");
    advance(Duration::from_secs(600)).await;
    update(&fixture, json!({ "deploymentConfiguration": configuration })).expect("a configuration");
    fixture
}

async fn newest(fixture: &Fixture) -> ServiceDeployment {
    let arn = fixture.history().await[0].service_deployment_arn().expect("an ARN").to_owned();
    let call = fixture.ecs().await.describe_service_deployments().service_deployment_arns(arn);
    call.send().await.expect("a description").service_deployments.expect("a list").remove(0)
}

/// Waits until the newest deployment is at a stage.
async fn at(fixture: &Fixture, stage: &ServiceDeploymentLifecycleStage) -> ServiceDeployment {
    for _ in 0..3600 {
        advance(Duration::from_secs(1)).await;
        let newest = newest(fixture).await;
        if newest.lifecycle_stage() == Some(stage) {
            return newest;
        }
    }
    panic!("it never was at {stage}");
}

async fn settled(fixture: &Fixture) -> ServiceDeployment {
    for _ in 0..7200 {
        advance(Duration::from_secs(1)).await;
        let newest = newest(fixture).await;
        if newest.finished_at().is_some() {
            return newest;
        }
    }
    panic!("it never ended");
}

fn paused() -> Value {
    json!({ "strategy": "BLUE_GREEN", "bakeTimeInMinutes": 5,
        "lifecycleHooks": [{ "targetType": "PAUSE", "lifecycleStages": ["POST_TEST_TRAFFIC_SHIFT"] }] })
}

#[tokio::test(start_paused = true)]
async fn both_revisions_run_and_their_weights_add_up() {
    let fixture = fixture(json!({ "strategy": "CANARY", "canaryConfiguration": { "canaryPercent": 20 } })).await;
    fixture.deploy("registry.example.com/api:2").await;
    let shifting = at(&fixture, &ServiceDeploymentLifecycleStage::ProductionTrafficShift).await;
    let target = shifting.target_service_revision().expect("a target");
    let source = &shifting.source_service_revisions()[0];
    assert_eq!(
        (target.requested_production_traffic_weight(), source.requested_production_traffic_weight()),
        (Some(20.0), Some(80.0))
    );
    assert_eq!((target.running_task_count(), source.running_task_count()), (2, 2));
    let canary = shifting.deployment_configuration().and_then(|it| it.canary_configuration()).expect("steps");
    assert_eq!(canary.canary_bake_time_in_minutes(), Some(10), "ECS fills it in");
    let ended = settled(&fixture).await;
    assert_eq!(ended.status(), Some(&ServiceDeploymentStatus::Successful));
    let service = fixture.service().await;
    assert_eq!((service.deployments().len(), service.running_count()), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn every_stage_is_of_the_shape_that_the_model_says() {
    let stages = ["PRE_SCALE_UP", "PRE_PRODUCTION_TRAFFIC_SHIFT", "PRODUCTION_TRAFFIC_SHIFT"];
    let fixture = fixture(json!({ "strategy": "LINEAR", "linearConfiguration": { "stepPercent": 50 },
        "alarms": { "alarmNames": ["a"], "enable": true, "rollback": true },
        "lifecycleHooks": [{ "hookTargetArn": "arn:hook", "roleArn": "arn:role", "lifecycleStages": stages, "hookDetails": { "a": 1 } }] })).await;
    fixture.deploy("registry.example.com/api:2").await;
    let (shapes, mut faults, mut hooks) = (shapes(), Vec::new(), 0);
    for _ in 0..900 {
        advance(Duration::from_secs(1)).await;
        let arn = fixture.history().await[0].service_deployment_arn().expect("an ARN").to_owned();
        let input = json!({ "serviceDeploymentArns": [arn] });
        let output = fixture.sandbox.call_as_operator(PROD, REGION, "DescribeServiceDeployments", &input).expect("it");
        compare(&shapes, "DescribeServiceDeploymentsResponse", &output, "it", &mut faults);
        let details = output["serviceDeployments"][0]["lifecycleHookDetails"].as_array();
        hooks = hooks.max(details.map_or(0, Vec::len));
    }
    assert_eq!(faults, Vec::<String>::new());
    assert_eq!(hooks, 5, "one before the scale-up, and two at each of two steps");
    assert_eq!(newest(&fixture).await.status(), Some(&ServiceDeploymentStatus::Successful));
}

#[tokio::test(start_paused = true)]
async fn a_pause_awaits_an_action_once() {
    let fixture = fixture(paused()).await;
    fixture.deploy("registry.example.com/api:2").await;
    at(&fixture, &ServiceDeploymentLifecycleStage::PostTestTrafficShift).await;
    advance(Duration::from_secs(1800)).await;
    let waiting = newest(&fixture).await;
    let hook = &waiting.lifecycle_hook_details()[0];
    assert_eq!(hook.status(), Some(&DeploymentLifecycleHookStatus::AwaitingAction));
    assert_eq!(hook.timeout_action(), Some(&DeploymentLifecycleHookAction::Rollback), "ECS's default");
    let arn = waiting.service_deployment_arn().expect("an ARN");
    let ecs = fixture.ecs().await;
    let ask = async |arn: &str, hook: &str| {
        ecs.continue_service_deployment()
            .service_deployment_arn(arn)
            .hook_id(hook)
            .send()
            .await
            .map_err(|error| error.into_service_error().code().unwrap_or_default().to_owned())
    };
    let id = hook.hook_id().expect("an id");
    assert_eq!(
        ask(&format!("{arn}x"), id).await.expect_err("no such deployment"),
        "ServiceDeploymentNotFoundException"
    );
    assert_eq!(ask(arn, "other").await.expect_err("no such hook"), "InvalidParameterException");
    assert_eq!(ask(arn, id).await.expect("it goes on").service_deployment_arn(), Some(arn));
    assert_eq!(ask(arn, id).await.expect_err("it went on"), "InvalidParameterException");
    assert_eq!(settled(&fixture).await.status(), Some(&ServiceDeploymentStatus::Successful));
}

#[tokio::test(start_paused = true)]
async fn a_pause_can_be_rolled_back() {
    let fixture = fixture(paused()).await;
    let before = fixture.service().await;
    fixture.deploy("registry.example.com/api:2").await;
    let waiting = at(&fixture, &ServiceDeploymentLifecycleStage::PostTestTrafficShift).await;
    let (arn, hook) =
        (waiting.service_deployment_arn().expect("an ARN"), waiting.lifecycle_hook_details()[0].hook_id());
    let call =
        fixture.ecs().await.continue_service_deployment().service_deployment_arn(arn).set_hook_id(hook.map(Into::into));
    call.action(DeploymentLifecycleHookAction::Rollback).send().await.expect("it goes back");
    let ended = settled(&fixture).await;
    assert_eq!(ended.status(), Some(&ServiceDeploymentStatus::RollbackSuccessful));
    assert_eq!(ended.target_service_revision().and_then(|it| it.requested_test_traffic_weight()), Some(0.0));
    let after = fixture.service().await;
    assert_eq!((after.task_definition(), after.running_count()), (before.task_definition(), 2));
}

#[tokio::test(start_paused = true)]
async fn a_deployment_over_another_reconciles_first() {
    let fixture = fixture(json!({ "strategy": "BLUE_GREEN", "bakeTimeInMinutes": 30 })).await;
    fixture.deploy("registry.example.com/api:2").await;
    at(&fixture, &ServiceDeploymentLifecycleStage::BakeTime).await;
    let (id, _) = fixture.deploy("registry.example.com/api:3").await;
    at(&fixture, &ServiceDeploymentLifecycleStage::ReconcileService).await;
    assert_eq!(settled(&fixture).await.status(), Some(&ServiceDeploymentStatus::Successful));
    let service = fixture.service().await;
    assert_eq!((service.deployments().len(), service.deployments()[0].id()), (1, Some(id.as_str())));
}

#[tokio::test(start_paused = true)]
async fn what_ecs_refuses_of_a_configuration() {
    let fixture = Fixture::new().await;
    for (configuration, wanted) in [
        (json!({ "strategy": "LINEAR" }), "needs a load balancer"),
        (json!({ "strategy": "GREEN" }), "GREEN is not a valid value for strategy. The value must be one of [ROLLING,"),
        (json!({ "linearConfiguration": { "stepPercent": 10 } }), "only valid when the deployment strategy is LINEAR"),
        (json!({ "bakeTimeInMinutes": 1441 }), "between 0 and 1440"),
        (
            json!({ "lifecycleHooks": [{ "targetType": "PAUSE", "lifecycleStages": ["TEST_TRAFFIC_SHIFT"] }] }),
            "PAUSE hooks cannot",
        ),
        (json!({ "lifecycleHooks": [{ "lifecycleStages": ["PRE_SCALE_UP"] }] }), "hookTargetArn"),
        (
            json!({ "lifecycleHooks": [{ "hookTargetArn": "a", "lifecycleStages": ["CLEAN_UP"] }] }),
            "CLEAN_UP is not a valid value for lifecycleStages",
        ),
    ] {
        let error = update(&fixture, json!({ "deploymentConfiguration": configuration })).expect_err(wanted);
        assert!(
            error.starts_with("InvalidParameterException: ") && error.contains(wanted),
            "{configuration:?}: {error}"
        );
    }
}
