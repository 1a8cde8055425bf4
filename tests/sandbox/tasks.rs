//! Tasks of RunTask: their ends, their tokens, and their faults.

use std::time::Duration;

use aws_sdk_ecs::Client;
use aws_sdk_ecs::operation::run_task::builders::RunTaskFluentBuilder;
use aws_sdk_ecs::types::{AwsVpcConfiguration, ContainerOverride, NetworkConfiguration, Task, TaskOverride};
use roleout::sandbox::Fault;

use crate::fixture::{CLUSTER, Fixture, advance};

fn run(ecs: &Client, revision: &str, command: &str) -> RunTaskFluentBuilder {
    let vpc = AwsVpcConfiguration::builder().subnets("subnet-1").build().expect("subnets");
    let container = ContainerOverride::builder().name("app").command(command).build();
    ecs.run_task()
        .cluster(CLUSTER)
        .task_definition(revision)
        .network_configuration(NetworkConfiguration::builder().awsvpc_configuration(vpc).build())
        .overrides(TaskOverride::builder().container_overrides(container).build())
}

/// Runs a task and looks at it after an hour at the most.
async fn settled(fixture: &Fixture, command: &str) -> Task {
    let ecs = fixture.ecs().await;
    let revision = fixture.service().await.task_definition().expect("a revision").to_owned();
    let task = run(&ecs, &revision, command).send().await.expect("a task").tasks().first().cloned().expect("a task");
    advance(Duration::from_secs(600)).await;
    let arn = task.task_arn().expect("an ARN");
    let tasks = ecs.describe_tasks().cluster(CLUSTER).tasks(arn).send().await.expect("tasks");
    tasks.tasks().first().cloned().expect("it is still known")
}

#[tokio::test(start_paused = true)]
async fn a_task_runs_to_its_end_unless_a_fault_says_otherwise() {
    let fixture = Fixture::new().await;
    let code = |task: &Task| task.containers()[0].exit_code();
    let sound = settled(&fixture, "./migrate").await;
    assert_eq!((sound.last_status(), code(&sound)), (Some("STOPPED"), Some(0)));
    assert_eq!(code(&settled(&fixture, "exit-7").await), Some(7));
    fixture.sandbox.fault("prod/*/api", Fault::TaskFails).expect("a pattern");
    assert_eq!(code(&settled(&fixture, "./migrate").await), Some(1));
    fixture.sandbox.clear_faults();
    fixture.sandbox.fault("prod/*/other", Fault::TaskFails).expect("a pattern");
    assert_eq!(code(&settled(&fixture, "./migrate").await), Some(0), "the fault is another service's");
    fixture.sandbox.fault("prod/*/api", Fault::TaskHangs).expect("a pattern");
    let hangs = settled(&fixture, "./migrate").await;
    assert_eq!((hangs.last_status(), code(&hangs)), (Some("RUNNING"), None));
    let ecs = fixture.ecs().await;
    let stop = ecs.stop_task().cluster(CLUSTER).task(hangs.task_arn().expect("an ARN")).reason("enough");
    stop.send().await.expect("it stops");
    advance(Duration::from_secs(60)).await;
    let tasks = ecs.describe_tasks().cluster(CLUSTER).tasks(hangs.task_arn().expect("an ARN")).send().await;
    let stopped = tasks.expect("tasks").tasks()[0].clone();
    assert_eq!((stopped.last_status(), stopped.stopped_reason()), (Some("STOPPED"), Some("enough")));
    assert_eq!(code(&stopped), Some(143));
}

#[tokio::test(start_paused = true)]
async fn a_token_gives_the_same_task_back_and_takes_no_other_request() {
    let fixture = Fixture::new().await;
    let ecs = fixture.ecs().await;
    let revision = fixture.service().await.task_definition().expect("a revision").to_owned();
    let send = async |command: &str| run(&ecs, &revision, command).client_token("one").send().await;
    let arn = |tasks: &[Task]| tasks[0].task_arn().expect("an ARN").to_owned();
    let first = arn(send("./migrate").await.expect("a task").tasks());
    assert_eq!(arn(send("./migrate").await.expect("the same").tasks()), first);
    let error = send("./other").await.expect_err("other parameters").into_service_error();
    assert!(error.is_conflict_exception(), "{error:?}");
}
