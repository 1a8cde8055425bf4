//! Limits, pages, refusals, and faults of calls.

use std::time::Duration;

use aws_sdk_ecs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_ecs::types::{ContainerOverride, DesiredStatus, NetworkConfiguration, TaskOverride, TaskStopCode};
use roleout::sandbox::{Fault, Timing};
use serde_json::json;
use tokio::time::{Instant, timeout};

use crate::fixture::{CLUSTER, Fixture, PROD, REGION, advance};

fn code(error: &impl ProvideErrorMetadata) -> &str {
    error.code().unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn ten_services_a_describe_and_missing_ones_are_failures() {
    let fixture = Fixture::with_services(12).await;
    let ecs = fixture.ecs().await;
    let names: Vec<String> = (0..11).map(|n| format!("api-{n}")).collect();
    let describe =
        |names: &[String]| ecs.describe_services().cluster(CLUSTER).set_services(Some(names.to_vec())).send();
    let error = describe(&names).await.expect_err("eleven").into_service_error();
    assert!(error.is_invalid_parameter_exception());
    let output = describe(&names[..10]).await.expect("ten");
    assert_eq!(output.services().len(), 9);
    assert_eq!(output.failures()[0].reason(), Some("MISSING"));
    assert_eq!(output.failures()[0].arn(), Some("arn:aws:ecs:eu-west-1:222222222222:service/web/api-0"));
    let error = ecs.describe_services().cluster("none").services("api").send().await.expect_err("no cluster");
    assert!(error.into_service_error().is_cluster_not_found_exception());
    let by_arn = "arn:aws:ecs:eu-west-1:222222222222:service/web/api";
    let cluster = "arn:aws:ecs:eu-west-1:222222222222:cluster/web";
    let output = ecs.describe_services().cluster(cluster).services(by_arn).send().await.expect("ARNs");
    assert_eq!(output.services()[0].service_name(), Some("api"));
    let elsewhere = "arn:aws:ecs:eu-west-1:333333333333:service/web/api";
    let output = ecs.describe_services().cluster(CLUSTER).services(elsewhere).send().await.expect("an answer");
    assert_eq!(output.failures().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn lists_come_in_pages() {
    let fixture = Fixture::with_services(25).await;
    let ecs = fixture.ecs().await;
    let first = ecs.list_services().cluster(CLUSTER).send().await.expect("a page");
    assert_eq!((first.service_arns().len(), first.next_token().is_some()), (10, true));
    let mut all = Vec::new();
    let mut pages = ecs.list_services().cluster(CLUSTER).into_paginator().items().send();
    while let Some(arn) = pages.next().await {
        all.push(arn.expect("an ARN"));
    }
    all.dedup();
    assert_eq!(all.len(), 25);
    let tasks: Vec<String> = (0..101).map(|n| n.to_string()).collect();
    let error = ecs.describe_tasks().cluster(CLUSTER).set_tasks(Some(tasks)).send().await.expect_err("101");
    assert!(error.into_service_error().is_invalid_parameter_exception());
    let error = ecs.list_services().cluster(CLUSTER).max_results(101).send().await.expect_err("101");
    assert!(error.into_service_error().is_invalid_parameter_exception());
}

#[tokio::test(start_paused = true)]
async fn the_published_buckets_throttle_and_refill() {
    let fixture = Fixture::new().await;
    fixture.sandbox.set_latency(Duration::ZERO);
    let ecs = fixture.ecs().await;
    let scale = || ecs.update_service().cluster(CLUSTER).service("api").desired_count(2).send();
    for call in 0..50 {
        scale().await.unwrap_or_else(|error| panic!("call {call}: {error:?}"));
    }
    let error = scale().await.expect_err("the burst is over");
    assert_eq!(error.raw_response().map(|raw| raw.status().as_u16()), Some(400));
    assert_eq!(code(&error), "ThrottlingException");
    assert_eq!(error.message(), Some("Rate exceeded"));
    advance(Duration::from_millis(250)).await;
    scale().await.expect("five a second");
    assert_eq!(fixture.sandbox.calls().throttled, 1);
    fixture.sandbox.set_limits(false);
    for _ in 0..100 {
        scale().await.expect("no limits");
    }
}

#[tokio::test(start_paused = true)]
async fn a_throttle_fault_is_for_its_account_and_region() {
    let fixture = Fixture::new().await;
    fixture.sandbox.fault("prod/eu-west-1", Fault::Throttle(2.0)).expect("a pattern");
    fixture.sandbox.fault("other", Fault::Silent).expect("a pattern");
    let ecs = fixture.ecs().await;
    let mut answered = 0;
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(10) {
        match ecs.list_clusters().send().await {
            Ok(_) => answered += 1,
            Err(error) => assert_eq!(code(&error), "ThrottlingException"),
        }
    }
    assert!((20..=22).contains(&answered), "{answered}");
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_leaves_its_write_behind() {
    let fixture = Fixture::new().await;
    fixture.sandbox.fault("prod/*/api", Fault::Lost(100)).expect("a pattern");
    let ecs = fixture.ecs().await;
    let before = fixture.sandbox.revisions(PROD, REGION, "api");
    let container = aws_sdk_ecs::types::ContainerDefinition::builder().name("app").image("api:2").memory(64).build();
    let call = ecs.register_task_definition().family("api").container_definitions(container);
    let error = call.send().await.expect_err("the answer is lost");
    assert!(matches!(&error, SdkError::DispatchFailure(failure) if failure.is_io()), "{error:?}");
    let after = fixture.sandbox.revisions(PROD, REGION, "api");
    assert_eq!(after.len(), before.len() + 1);
    let call = ecs.update_service().cluster(CLUSTER).service("api").task_definition("api");
    assert!(matches!(call.send().await.expect_err("lost"), SdkError::DispatchFailure(_)));
    assert_eq!(fixture.service().await.deployments().len(), 2, "the update happened");
    let calls = fixture.sandbox.calls();
    let writes: Vec<&str> = calls.writes.iter().map(|write| write.operation.as_str()).collect();
    assert_eq!(writes, ["RegisterTaskDefinition", "UpdateService"]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_breaks_off_leaves_its_write_behind_too() {
    let fixture = Fixture::new().await;
    fixture.sandbox.fault("prod", Fault::Truncated(100)).expect("a pattern");
    let ecs = fixture.ecs().await;
    let call = ecs.update_service().cluster(CLUSTER).service("api").force_new_deployment(true);
    let error = call.send().await.expect_err("half an answer");
    assert!(matches!(&error, SdkError::ResponseError(_)), "{error:?}");
    assert!(ecs.list_clusters().send().await.is_err(), "reads break off, too");
    fixture.sandbox.clear_faults();
    assert_eq!(fixture.service().await.deployments().len(), 2, "the update happened");
}

#[tokio::test(start_paused = true)]
async fn calls_can_break_stall_and_drag() {
    let fixture = Fixture::new().await;
    let ecs = fixture.ecs().await;
    let list = || ecs.list_clusters().send();
    fixture.sandbox.fault("prod", Fault::Unavailable(100)).expect("a pattern");
    let error = list().await.expect_err("unavailable");
    assert_eq!(error.raw_response().map(|raw| raw.status().as_u16()), Some(503));
    fixture.sandbox.clear_faults();
    fixture.sandbox.fault(PROD, Fault::Reset).expect("a pattern");
    assert!(matches!(list().await.expect_err("reset"), SdkError::DispatchFailure(failure) if failure.is_io()));
    fixture.sandbox.clear_faults();
    fixture.sandbox.fault("*", Fault::Silent).expect("a pattern");
    let start = Instant::now();
    let nothing = timeout(Duration::from_secs(60), list()).await;
    assert!(!matches!(nothing, Ok(Ok(_))), "nothing ever comes");
    assert!(start.elapsed() >= Duration::from_secs(5), "only the SDK's own stalled-stream protection may give up");
    fixture.sandbox.clear_faults();
    fixture.sandbox.fault("*", Fault::Latency(Duration::from_secs(2))).expect("a pattern");
    let start = Instant::now();
    list().await.expect("late");
    assert_eq!(start.elapsed().as_millis(), 2040);
    fixture.sandbox.clear_faults();
    fixture.sandbox.fault("*", Fault::NoServiceDeployments).expect("a pattern");
    let call = ecs.list_service_deployments().cluster(CLUSTER).service("api");
    assert!(call.send().await.expect_err("denied").into_service_error().is_access_denied_exception());
    ecs.describe_services().cluster(CLUSTER).services("api").send().await.expect("the rest is allowed");
}

#[tokio::test(start_paused = true)]
async fn a_per_cent_of_faults_is_what_the_seed_says() {
    let fixture = Fixture::new().await;
    fixture.sandbox.set_limits(false);
    fixture.sandbox.fault("*", Fault::Unavailable(30)).expect("a pattern");
    let ecs = fixture.ecs().await;
    let mut failed = 0;
    for _ in 0..300 {
        failed += u32::from(ecs.list_clusters().send().await.is_err());
    }
    assert!((65..=115).contains(&failed), "{failed}");
}

#[tokio::test(start_paused = true)]
async fn ecs_refuses_what_it_does_not_find() {
    let fixture = Fixture::new().await;
    let ecs = fixture.ecs().await;
    let update =
        |definition: &str| ecs.update_service().cluster(CLUSTER).service("api").task_definition(definition).send();
    let error = update("nothing:1").await.expect_err("unknown").into_service_error();
    assert!(error.is_client_exception() && error.message() == Some("TaskDefinition not found."));
    let revision = fixture.register("api:2").await;
    ecs.deregister_task_definition().task_definition(&revision).send().await.expect("it exists");
    let error = update(&revision).await.expect_err("inactive").into_service_error();
    assert!(error.is_client_exception() && error.message() == Some("TaskDefinition is inactive"));
    let described = ecs.describe_task_definition().task_definition(&revision).send().await.expect("still describable");
    assert_eq!(described.task_definition().and_then(|one| one.status()).map(|one| one.as_str()), Some("INACTIVE"));
    let error = ecs.describe_task_definition().task_definition("nothing").send().await.expect_err("unknown");
    assert_eq!(error.into_service_error().message(), Some("Unable to describe task definition."));
    let error = ecs.update_service().cluster(CLUSTER).service("none").send().await.expect_err("unknown");
    assert!(error.into_service_error().is_service_not_found_exception());
    let error = ecs.delete_service().cluster(CLUSTER).service("api").send().await.expect_err("scaled above 0");
    assert!(error.into_service_error().is_invalid_parameter_exception());
    let error = ecs.register_task_definition().family("api").send().await.expect_err("no containers");
    assert!(error.into_service_error().is_client_exception());
    let error = ecs.put_cluster_capacity_providers().cluster(CLUSTER).send().await;
    assert!(error.is_err(), "an operation that is not there answers an error");
}

#[tokio::test(start_paused = true)]
async fn tags_of_a_revision_are_kept_beside_it_and_checked() {
    let fixture = Fixture::new().await;
    let register = |tags: serde_json::Value| {
        let container = json!([{ "name": "app", "image": "r/api:1", "memory": 64 }]);
        let input = json!({ "family": "tagged", "containerDefinitions": container, "tags": tags });
        fixture.sandbox.call_as_operator(PROD, REGION, "RegisterTaskDefinition", &input)
    };
    let tag = |key: &str, value: &str| json!({ "key": key, "value": value });
    let answer = register(json!([tag("team", "shop"), tag("roleout:committed-at", "2026-11-02T09:00:00Z")]));
    let answer = answer.expect("registered");
    assert_eq!((answer["tags"].as_array().map(Vec::len), &answer["taskDefinition"]["tags"]), (Some(2), &json!(null)));
    let describe =
        |input| fixture.sandbox.call_as_operator(PROD, REGION, "DescribeTaskDefinition", &input).expect("there");
    assert_eq!(describe(json!({ "taskDefinition": "tagged", "include": ["TAGS"] }))["tags"], answer["tags"]);
    assert_eq!(describe(json!({ "taskDefinition": "tagged" }))["tags"], json!(null));
    let many: Vec<_> = (0..51).map(|number| tag(&number.to_string(), "")).collect();
    for (tags, said) in [
        (json!([]), "Tags can not be empty."),
        (json!(many), "Too many tags: at most 50 tags are allowed."),
        (json!([tag("", "v")]), "Tag keys must have between 1 and 128 characters."),
        (json!([tag(&"k".repeat(129), "v")]), "Tag keys must have between 1 and 128 characters."),
        (json!([tag("k", &"v".repeat(257))]), "Tag values must have at most 256 characters."),
        (json!([tag("k", "a;b")]), "Some tags contain invalid characters."),
        (json!([tag("aws:k", "v")]), "aws: prefixed tag key names are not allowed for external use."),
        (json!([tag("k", "1"), tag("k", "2")]), "Duplicate tag keys found."),
    ] {
        let error = register(tags).expect_err(said);
        assert!(format!("{error:?}").contains(said), "{said}: {error:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn update_service_merges_and_deploys_only_for_what_deploys() {
    let fixture = Fixture::new().await;
    let ask = |input: serde_json::Value| {
        let mut whole = json!({ "cluster": CLUSTER, "service": "api" });
        for (key, value) in input.as_object().expect("a map") {
            whole[key] = value.clone();
        }
        fixture.sandbox.call_as_operator(PROD, REGION, "UpdateService", &whole).expect("an update")["service"].clone()
    };
    let count = |service: &serde_json::Value| service["deployments"].as_array().map_or(0, Vec::len);
    let service = ask(json!({ "desiredCount": 3, "propagateTags": "SERVICE", "healthCheckGracePeriodSeconds": 9 }));
    assert_eq!(
        (count(&service), &service["desiredCount"], &service["propagateTags"]),
        (1, &json!(3), &json!("SERVICE"))
    );
    let service = ask(json!({ "deploymentConfiguration": { "maximumPercent": 150 } }));
    let configuration = &service["deploymentConfiguration"];
    assert_eq!((&configuration["maximumPercent"], &configuration["minimumHealthyPercent"]), (&json!(150), &json!(100)));
    assert_eq!(configuration["deploymentCircuitBreaker"]["enable"], true, "what is not sent stays");
    assert_eq!(count(&service), 1);
    let same = service["taskDefinition"].clone();
    assert_eq!(count(&ask(json!({ "taskDefinition": same }))), 1, "the same revision is no deployment");
    assert_eq!(count(&ask(json!({ "networkConfiguration": service["networkConfiguration"] }))), 1);
    assert_eq!(count(&ask(json!({ "taskDefinition": same, "forceNewDeployment": true }))), 2);
}

#[tokio::test(start_paused = true)]
async fn run_task_ends_with_its_exit_code_and_honours_its_token() {
    let fixture = Fixture::new().await;
    let ecs = fixture.ecs().await;
    let network = aws_sdk_ecs::types::AwsVpcConfiguration::builder().subnets("subnet-1").build().expect("a subnet");
    let run = |word: &str, token: &str| {
        let container = ContainerOverride::builder().name("app").command(word).build();
        ecs.run_task()
            .cluster(CLUSTER)
            .task_definition("api")
            .started_by("roleout")
            .client_token(token)
            .network_configuration(NetworkConfiguration::builder().awsvpc_configuration(network.clone()).build())
            .overrides(TaskOverride::builder().container_overrides(container).build())
            .send()
    };
    let first = run("migrate", "token-1").await.expect("a task").tasks.expect("tasks").remove(0);
    assert_eq!((first.last_status(), first.started_by()), (Some("PROVISIONING"), Some("roleout")));
    let again = run("migrate", "token-1").await.expect("the same").tasks.expect("tasks").remove(0);
    assert_eq!(first.task_arn(), again.task_arn());
    assert!(run("other", "token-1").await.expect_err("other parameters").into_service_error().is_conflict_exception());
    let failing = run("exit-3", "token-2").await.expect("a task").tasks.expect("tasks").remove(0);
    advance(Duration::from_secs(120)).await;
    for (task, exit) in [(first, 0), (failing, 3)] {
        let call = ecs.describe_tasks().cluster(CLUSTER).tasks(task.task_arn().expect("an ARN"));
        let task = call.send().await.expect("tasks").tasks.expect("tasks").remove(0);
        assert_eq!((task.last_status(), task.containers()[0].exit_code()), (Some("STOPPED"), Some(exit)), "{task:?}");
        assert_eq!(task.stop_code(), Some(&TaskStopCode::EssentialContainerExited), "{task:?}");
    }
    let call = ecs.list_tasks().cluster(CLUSTER).started_by("roleout").desired_status(DesiredStatus::Stopped);
    assert_eq!(call.send().await.expect("a list").task_arns().len(), 2);
    let error = ecs.run_task().cluster(CLUSTER).task_definition("api").count(11).send().await.expect_err("eleven");
    assert!(error.into_service_error().is_invalid_parameter_exception());
}

#[tokio::test(start_paused = true)]
async fn a_stopped_task_of_a_service_is_replaced() {
    let fixture = Fixture::new().await;
    let ecs = fixture.ecs().await;
    let arns =
        ecs.list_tasks().cluster(CLUSTER).service_name("api").send().await.expect("a list").task_arns.expect("arns");
    assert_eq!(arns.len(), 2);
    let stopped = ecs.stop_task().cluster(CLUSTER).task(&arns[0]).reason("a drill").send().await.expect("it runs");
    assert_eq!(stopped.task().and_then(|task| task.stopped_reason()), Some("a drill"));
    advance(Duration::from_secs(3)).await;
    assert_eq!(fixture.service().await.running_count(), 1);
    advance(Duration::from_secs(180)).await;
    let service = fixture.service().await;
    assert_eq!((service.running_count(), service.deployments().len()), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_sandbox_repeats_exactly() {
    let mut runs = Vec::new();
    for _ in 0..2 {
        let fixture = Fixture::new().await;
        fixture.deploy("registry.example.com/api:2-crash").await;
        advance(Duration::from_secs(300)).await;
        let snapshot = fixture.sandbox.service("prod", REGION, CLUSTER, "api").expect("a service");
        runs.push(snapshot.body.to_string());
    }
    assert_eq!(runs[0], runs[1]);
}

#[tokio::test(start_paused = true)]
async fn a_default_rollout_takes_two_or_three_seconds() {
    let fixture = Fixture::new().await;
    fixture.sandbox.set_timing(Timing::default());
    let start = Instant::now();
    fixture.deploy("registry.example.com/api:2").await;
    while fixture.service().await.deployments().len() > 1 {
        advance(Duration::from_millis(50)).await;
    }
    let took = start.elapsed();
    assert!((1900..=2900).contains(&took.as_millis()), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn nine_hundred_services_for_hours_cost_little() {
    let fixture = Fixture::with_services(900).await;
    fixture.sandbox.set_limits(false);
    let update = |n: usize| {
        let name = if n == 0 { "api".to_owned() } else { format!("api-{n}") };
        json!({ "cluster": CLUSTER, "service": name, "forceNewDeployment": true })
    };
    fixture.sandbox.fault("*/*/api-1*", Fault::NoPull).expect("a pattern");
    for n in 0..900 {
        fixture.sandbox.call_as_operator(PROD, REGION, "UpdateService", &update(n)).expect("an update");
    }
    let names: Vec<String> = (1..900).map(|n| format!("api-{n}")).collect();
    for _ in 0..12 {
        advance(Duration::from_secs(1200)).await;
        for ten in names.chunks(10) {
            let input = json!({ "cluster": CLUSTER, "services": ten });
            let output = fixture.sandbox.call_as_operator(PROD, REGION, "DescribeServices", &input).expect("services");
            assert_eq!(output["services"].as_array().map(Vec::len), Some(ten.len()));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn another_deployment_controller_refuses_a_new_task_definition() {
    let fixture = Fixture::new().await;
    let ask = |operation: &str, input| fixture.sandbox.call_as_operator(PROD, REGION, operation, &input);
    let mut service = json!({ "cluster": CLUSTER, "serviceName": "blue", "taskDefinition": "api",
        "deploymentController": { "type": "CODE_DEPLOY" } });
    assert_eq!(
        ask("CreateService", service.clone()).expect_err("refused"),
        "InvalidParameterException: Network Configuration must be provided when networkMode 'awsvpc' is specified."
    );
    service["networkConfiguration"] = json!({ "awsvpcConfiguration": { "subnets": ["subnet-1"] } });
    let created = ask("CreateService", service).expect("a service");
    assert!(created["service"]["deployments"][0].get("rolloutState").is_none());
    let force = json!({ "cluster": CLUSTER, "service": "blue", "forceNewDeployment": true });
    assert_eq!(
        ask("UpdateService", force).expect_err("refused"),
        "InvalidParameterException: Cannot force a new deployment on services with a CODE_DEPLOY deployment controller. Use \
         AWS CodeDeploy to trigger a new deployment."
    );
    let revision = json!({ "cluster": CLUSTER, "service": "blue", "taskDefinition": "api" });
    let error = ask("UpdateService", revision).expect_err("refused");
    assert!(error.contains("Unable to update task definition on services with a CODE_DEPLOY deployment controller."));
}

#[tokio::test(start_paused = true)]
async fn a_big_fleet_is_furnished_quickly() {
    let fixture = Fixture::with_services(3000).await;
    let service = fixture.sandbox.service("prod", REGION, CLUSTER, "api-2999").expect("a service");
    assert_eq!((service.running, service.deployments.len()), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn registering_a_family_twice_at_once_is_refused() {
    let fixture = Fixture::new().await;
    let ecs = fixture.ecs().await;
    let register = |family: &str| {
        let container =
            aws_sdk_ecs::types::ContainerDefinition::builder().name("app").image("api:2").memory(64).build();
        ecs.register_task_definition().family(family).container_definitions(container).send()
    };
    let (first, second, other) = tokio::join!(register("api"), register("api"), register("web"));
    assert!(other.is_ok() && first.is_ok() != second.is_ok(), "one of the two");
    let error = first.and(second).expect_err("at once").into_service_error();
    let text = "Too many concurrent attempts to create a new revision of the specified family.";
    assert!(error.is_client_exception() && error.message() == Some(text));
    register("api").await.expect("one after the other");
}

#[tokio::test(start_paused = true)]
async fn a_task_definition_is_judged_as_aws_judges_it() {
    let fixture = Fixture::new().await;
    let register = |member: &str, value: serde_json::Value| {
        let mut container = json!({ "name": "app", "image": "r/api:1", "memory": 64 });
        container[member] = value;
        let input = json!({ "family": "judged", "containerDefinitions": [container] });
        fixture.sandbox.call_as_operator(PROD, REGION, "RegisterTaskDefinition", &input)
    };
    for (member, value, said) in [
        ("memory", json!("64"), "SerializationException: STRING_VALUE cannot be converted to Integer"),
        ("essential", json!("true"), "SerializationException: STRING_VALUE cannot be converted to Boolean"),
        ("command", json!("run"), "SerializationException: Expected list or null"),
        ("image", json!("$REG:1"), "ClientException: Container.image contains invalid characters."),
        (
            "ulimits",
            json!([{ "name": "files", "softLimit": 1, "hardLimit": 1 }]),
            "ClientException: Invalid task definition",
        ),
    ] {
        let error = register(member, value).expect_err(said);
        assert!(error.starts_with(said), "{member}: {error}");
    }
    let kept = register("enviroment", json!([])).expect("registered");
    assert!(kept["taskDefinition"]["containerDefinitions"][0].get("enviroment").is_none(), "{kept}");
    let kept = register("entryPoint", json!(null)).expect("registered");
    assert!(kept["taskDefinition"]["containerDefinitions"][0].get("entryPoint").is_none(), "{kept}");
}
