//! What ECS says, and what it comes to.

use serde_json::json;

use super::*;

/// Returns the sentence and the cause.
fn words(text: &str) -> Option<(String, String)> {
    of_words(text).map(|headline| (headline.text, headline.cause))
}

fn task(code: &str, reason: &str, containers: &Value) -> Value {
    json!({ "stopCode": code, "stoppedReason": reason, "containers": containers })
}

fn read(task: &Value, log: &[&str]) -> String {
    let log: Vec<String> = log.iter().map(|line| (*line).to_owned()).collect();
    of_task(task, &log).map_or_else(|| "-".to_owned(), |headline| headline.text)
}

#[test]
fn a_container_that_ends_is_told_with_its_code_and_its_last_words() {
    let exits = |code: i64| {
        let containers = json!([{ "name": "proxy", "exitCode": 0 }, { "name": "app", "exitCode": code }]);
        task("EssentialContainerExited", "Essential container in task exited", &containers)
    };
    assert_eq!(read(&exits(1), &[]), "app exits with 1");
    for (log, told) in [
        (&["Error: no database"][..], "no database"),
        (
            &["time=2026-11-29T21:00:00Z level=fatal msg=\"no database, exiting with code 1\""],
            "no database, exiting with code 1",
        ),
        (&["{\"level\":\"error\",\"msg\":\"no database\"}"], "no database"),
        (&["{\"severity\":\"ERROR\",\"message\":\"port 80 is in use\"}"], "port 80 is in use"),
        (&["2026-11-29 21:00:00,123 ERROR [main] no database"], "[main] no database"),
        (&["[2026-11-29T21:00:00Z] [error] no database"], "no database"),
        (
            &[
                "Error: connect ECONNREFUSED 10.0.3.17:5432",
                "    at TCPConnectWrap.afterConnect (node:net:1555:16)",
                "",
                "Node.js v20.1.0",
            ],
            "connect ECONNREFUSED 10.0.3.17:5432",
        ),
        (
            &["Traceback (most recent call last):", "  File \"app.py\", line 1", "KeyError: 'DATABASE_URL'"],
            "KeyError: 'DATABASE_URL'",
        ),
        (&["panic: no database", "goroutine 1 [running]:"], "goroutine 1 [running]:"),
        (
            &["java.lang.IllegalStateException: no database", "\tat com.example.App.main(App.java:3)", "... 12 more"],
            "java.lang.IllegalStateException: no database",
        ),
    ] {
        assert_eq!(read(&exits(1), log), format!("app exits with 1: {told}"), "{log:?}");
        assert_eq!(of_task(&exits(1), &[]).map(|it| it.cause), Some("app exits with 1".to_owned()));
    }
    assert_eq!(
        read(&task("EssentialContainerExited", "", &json!([{ "name": "app", "exitCode": 0 }])), &[]),
        "app exits with 0"
    );
    // Those that are stopped because the other one ended have the codes of signals.
    let both = json!([{ "name": "proxy", "exitCode": 143 }, { "name": "app", "exitCode": 3 }]);
    assert_eq!(read(&task("EssentialContainerExited", "", &both), &[]), "app exits with 3");
}

#[test]
fn a_task_that_does_not_start_or_is_stopped_says_why() {
    let app = |reason: &str| json!([{ "name": "app", "image": "registry.example.com/web:v2", "reason": reason }]);
    let none = json!([]);
    let not_found = "CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref \
                     registry.example.com/web:v2: registry.example.com/web:v2: not found";
    for (task, told) in [
        (task("TaskFailedToStart", not_found, &app(not_found)), "image not found: registry.example.com/web:v2"),
        (
            task(
                "TaskFailedToStart",
                "Task failed to start",
                &app(
                    "CannotPullContainerError: Error response from daemon: manifest unknown: Requested image not found",
                ),
            ),
            "image not found: registry.example.com/web:v2",
        ),
        (
            task(
                "TaskFailedToStart",
                "x",
                &app(
                    "CannotPullContainerError: Error response from daemon: pull access denied for acme/web, repository does not exist or may require 'docker login'",
                ),
            ),
            "image not found, or its registry asks for a login: acme/web",
        ),
        (
            task(
                "TaskFailedToStart",
                "x",
                &app(
                    "CannotPullContainerError: ref pull has been retried 5 time(s): failed to copy: httpReadSeeker: 429 Too Many Requests - toomanyrequests: You have reached your pull rate limit",
                ),
            ),
            "the registry's rate limit is reached: registry.example.com/web:v2",
        ),
        (
            task(
                "TaskFailedToStart",
                "x",
                &app(
                    "CannotPullContainerError: image Manifest does not contain descriptor matching platform 'linux/arm64'",
                ),
            ),
            "image is not of the task's platform: registry.example.com/web:v2",
        ),
        (
            task(
                "TaskFailedToStart",
                "x",
                &app("CannotPullContainerError: failed to do request: dial tcp 10.0.0.1:443: i/o timeout"),
            ),
            "the registry does not answer: registry.example.com/web:v2",
        ),
        (
            task(
                "EssentialContainerExited",
                "Essential container in task exited",
                &json!([{ "name": "app", "exitCode": 137, "reason": "OutOfMemoryError: Container killed due to memory usage" }]),
            ),
            "app runs out of memory",
        ),
        (
            task(
                "TaskFailedToStart",
                "x",
                &json!([{ "name": "app", "reason": "CannotStartContainerError: Error response from daemon: exec: \"npm\": executable file not found in $PATH" }]),
            ),
            "app cannot be started: exec: \"npm\": executable file not found in $PATH",
        ),
        (
            task(
                "TaskFailedToStart",
                "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: unable to retrieve secret from asm: service call has been retried 1 time(s): failed to fetch secret arn:aws:secretsmanager:eu-west-1:222222222222:secret:db-AbCdEf from secrets manager: ResourceNotFoundException: Secrets Manager can't find the specified secret.",
                &none,
            ),
            "secret not found: db-AbCdEf",
        ),
        (
            task(
                "TaskFailedToStart",
                "ResourceInitializationError: unable to pull secrets or registry auth: unable to retrieve secret from asm: AccessDeniedException: User: arn:aws:sts::222222222222:assumed-role/exec/x is not authorized to perform: secretsmanager:GetSecretValue on resource: arn:aws:secretsmanager:eu-west-1:222222222222:secret:db-AbCdEf",
                &none,
            ),
            "secret is not allowed to the execution role: db-AbCdEf",
        ),
        (
            task(
                "TaskFailedToStart",
                "ResourceInitializationError: unable to pull secrets or registry auth: unable to retrieve secrets from ssm: arn:aws:ssm:eu-west-1:222222222222:parameter/web/key: ParameterNotFound",
                &none,
            ),
            "parameter not found: /web/key",
        ),
        (
            task(
                "TaskFailedToStart",
                "ResourceInitializationError: unable to pull secrets or registry auth: unable to retrieve ecr registry auth: RequestCanceled: request context canceled caused by: context deadline exceeded",
                &none,
            ),
            "login at the image registry cannot be had: AWS does not answer in the task's network",
        ),
        (
            task(
                "TaskFailedToStart",
                "ResourceInitializationError: failed to validate logger args: create stream has been retried 1 times: failed to create Cloudwatch log stream: ResourceNotFoundException: The specified log group does not exist.",
                &none,
            ),
            "log group not found",
        ),
        (
            task(
                "TaskFailedToStart",
                "ECS was unable to assume the role 'arn:aws:iam::222222222222:role/exec' that was provided for this task.",
                &none,
            ),
            "ECS cannot assume the role exec",
        ),
        (
            task("TaskFailedToStart", "Unexpected EC2 error while attempting to Create Network Interface.", &none),
            "its tasks cannot start: Unexpected EC2 error while attempting to Create Network Interface",
        ),
        (
            task(
                "ServiceSchedulerInitiated",
                "Task failed container health checks",
                &json!([{ "name": "app", "exitCode": 143 }]),
            ),
            "container health check fails",
        ),
        (
            task(
                "ServiceSchedulerInitiated",
                "Task failed ELB health checks in (target-group arn:aws:elasticloadbalancing:r:1:targetgroup/web/0a)",
                &none,
            ),
            "load balancer health check fails",
        ),
        (
            task(
                "ServiceSchedulerInitiated",
                "Scaling activity initiated by (deployment ecs-svc/1)",
                &json!([{ "name": "app", "exitCode": 143 }]),
            ),
            "-",
        ),
        (
            task("SpotInterruption", "Your Spot Task was interrupted.", &none),
            "AWS took the Spot capacity of its tasks back",
        ),
        (task("UserInitiated", "Task stopped by user", &none), "its tasks were stopped by StopTask"),
    ] {
        assert_eq!(read(&task, &[]), told, "{task}");
    }
}

#[test]
fn a_sentence_of_ecs_says_what_it_comes_to() {
    for (text, told) in [
        ("container health checks", None),
        ("failed container health checks", Some("container health check fails")),
        (
            "(port 80) is unhealthy in (target-group web) due to (reason Health checks failed with these codes: [503])",
            Some("load balancer health check fails: it answers 503"),
        ),
        (
            "target group web: 2 unhealthy (Target.Timeout: Request timed out), 1 healthy",
            Some("load balancer health check fails: Request timed out"),
        ),
        ("target group web: 1 initial (Elb.RegistrationInProgress)", None),
        (
            "was unable to place a task because no container instance met all of its requirements. Reason: No Container Instances were found in your cluster.",
            Some("no capacity: the cluster has no container instance"),
        ),
        (
            "was unable to place a task because no container instance met all of its requirements. The closest matching (container-instance 0a1b) has insufficient CPU units available.",
            Some("no capacity: no instance has enough CPU"),
        ),
        (
            "was unable to place a task. Reason: Capacity is unavailable at this time. Please try again later or in a different availability zone.",
            Some("no capacity: AWS has none at this time"),
        ),
        (
            "was unable to place a task. Reason: You've reached the limit on the number of vCPUs you can run concurrently.",
            Some("no capacity: the account's limit of tasks or vCPUs is reached"),
        ),
        (
            "was unable to place a task. Reason: CannotPullContainerError: failed to resolve ref r/web:v2: r/web:v2: not found.",
            Some("image not found: r/web:v2"),
        ),
        ("was unable to place a task. Reason: Something new.", Some("tasks cannot be placed: Something new")),
        ("RESOURCE:MEMORY", Some("no capacity: no instance has enough memory")),
        ("the CloudWatch alarm high errors went off", Some("the CloudWatch alarm high errors went off")),
        (
            "Service deployment rolled back because the CloudWatch alarm errors went into the ALARM state.",
            Some("the CloudWatch alarm errors went off"),
        ),
        ("hook check: FAILED", Some("the lifecycle hook check fails")),
        ("PAUSE hook: TIMED_OUT", None),
        (
            "Service deployment rolled back because PRE_SCALE_UP lifecycle hook(s) failed. Lifecycle hook target arn:aws:lambda:eu-west-1:1:function:check returned FAILED status.",
            Some("the lifecycle hook check fails at PRE_SCALE_UP"),
        ),
        (
            "Service deployment rolled back because POST_SCALE_UP lifecycle hook(s) timed out.",
            Some("a lifecycle hook timed out at POST_SCALE_UP"),
        ),
        (
            "Service deployment rolled back because of invalid networking configuration. Both targetGroup and alternateTargetGroup must be associated.",
            Some("invalid networking configuration"),
        ),
        (
            "Service deployment rolled back because of a StopServiceDeployment request.",
            Some("the deployment was stopped by StopServiceDeployment"),
        ),
        (
            "Service deployment rolled back because the circuit breaker threshold was exceeded.",
            Some("tasks fail to start, and ECS does not say why"),
        ),
        (
            "ECS deployment circuit breaker: tasks failed to start.",
            Some("tasks fail to start, and ECS does not say why"),
        ),
        ("ECS deployment circuit breaker: rolling back to deploymentId ecs-svc/1.", None),
        ("has reached a steady state.", None),
    ] {
        assert_eq!(words(text).map(|(text, _)| text).as_deref(), told, "{text}");
    }
}

#[test]
fn the_cause_leaves_out_what_is_of_one_account() {
    let pull = |image: &str| {
        let text = format!("CannotPullContainerError: failed to resolve ref {image}: {image}: not found");
        words(&text).expect("a headline")
    };
    let (one, other) = (
        pull("111111111111.dkr.ecr.eu-west-1.amazonaws.com/web:v2"),
        pull("222222222222.dkr.ecr.us-east-1.amazonaws.com/web:v2"),
    );
    assert_eq!((one.1.as_str(), &one.1), ("image not found: …/web:v2", &other.1));
    assert_ne!(one.0, other.0);
    assert_ne!(one.1, pull("111111111111.dkr.ecr.eu-west-1.amazonaws.com/api:v2").1);
}

#[test]
fn the_strongest_is_the_same_in_any_order() {
    let crash =
        of_task(&task("EssentialContainerExited", "", &json!([{ "name": "app", "exitCode": 1 }])), &[]).expect("one");
    let of = |text: &str| of_words(text).expect("one");
    let all = [
        of("ECS deployment circuit breaker: tasks failed to start."),
        of("target group web: 2 unhealthy (Target.Timeout: Request timed out)"),
        of("Task failed ELB health checks in (target-group web)"),
        of("failed container health checks"),
        crash.clone().with_tasks(2),
    ];
    assert_eq!(strongest(all.clone()), strongest(all.iter().rev().cloned()));
    assert_eq!(strongest(all.clone()), Some(crash.with_tasks(2)));
    let told = strongest(all[..3].iter().cloned()).expect("one");
    assert_eq!(told.text, "load balancer health check fails: Request timed out", "the one with more detail");
    assert!(!all[0].tells_why() && all[1].tells_why());
    assert_eq!(strongest([]), None);
}
