//! The health of targets behind load balancers, as evidence.

use roleout::base::exit::Exit;
use roleout::fleet::Outcome;

use crate::harness::{Scene, manifest};

const S0: &str = "a0/eu-west-1/s0";
const UNWELL: &str = "unhealthy (Target.ResponseCodeMismatch: Health checks failed with these codes: [503])";

/// Services whose container listens on a port, and so is behind a load balancer in the sandbox.
fn balanced(accounts: usize, rollout: &str) -> Scene {
    let text = manifest(accounts, 1, rollout);
    Scene::new(
        &text.replace("    cluster: main\n", "    cluster: main\n    task_definition: tests/deploy/listening.json\n"),
    )
}

#[tokio::test(start_paused = true)]
async fn a_deployment_that_is_too_late_tells_the_health_of_its_targets() {
    let scene = balanced(1, "rollout: { timeout: 2m }\n").fault("*=unhealthy");
    let ran = scene.deploy().await;
    assert_eq!(ran.outcome(S0), Some(Outcome::TimedOut), "{}", ran.said);
    let wanted = format!("target group s0: 2 {UNWELL}, 2 healthy");
    assert!(ran.reason(S0).contains(&wanted), "{}", ran.reason(S0));
    assert!(ran.said.contains(&wanted), "{}", ran.said);
    assert_eq!(scene.sandbox.calls().operation("DescribeTargetHealth"), 1);
}

#[tokio::test(start_paused = true)]
async fn what_ecs_rolled_back_tells_what_was_wrong_when_tasks_began_to_fail() {
    let scene = balanced(1, "").fault("*=unhealthy");
    let ran = scene.deploy().await;
    assert_eq!(ran.outcome(S0), Some(Outcome::RolledBack), "{}", ran.said);
    let reason = ran.reason(S0);
    assert!(reason.contains(&format!("target group s0: 2 {UNWELL}")), "{reason}");
    assert!(reason.contains("Task failed ELB health checks in (target-group s0)"), "{reason}");
    let asked = scene.sandbox.calls().operation("DescribeTargetHealth");
    assert!((2..=12).contains(&asked), "until one was checked, and at the end: {asked}");
}

#[tokio::test(start_paused = true)]
async fn both_target_groups_of_blue_green_are_looked_at() {
    let rollout = "rollout: { timeout: 2m }\n";
    let text = manifest(1, 1, rollout);
    let deployment = "    cluster: main\n    deployment: { strategy: BLUE_GREEN, bake_time_in_minutes: 1 }\n";
    let scene = Scene::new(&text.replace("    cluster: main\n", deployment)).fault("*=unhealthy");
    let ran = scene.deploy().await;
    let reason = ran.reason(S0);
    assert!(reason.contains(&format!("target group green: 2 {UNWELL}")), "{reason}");
    assert!(!reason.contains("target group blue"), "what serves explains nothing: {reason}");
    assert_eq!(scene.sandbox.calls().operation("DescribeTargetHealth"), 2);
}

#[tokio::test(start_paused = true)]
async fn equal_failures_of_many_targets_are_one_cause() {
    let scene = balanced(12, "rollout: { timeout: 2m, waves: [ { name: all, max_failures: 100% } ] }\n");
    let ran = scene.fault("*=unhealthy").deploy().await;
    assert_eq!(ran.count(Outcome::TimedOut), 12, "{}", ran.said);
    assert!(ran.said.contains("the same in 12 targets"), "{}", ran.said);
    assert!(ran.said.contains("\n    load balancer health check fails: it answers 503\n"), "{}", ran.said);
    assert!(ran.said.contains(&format!("target group s0: 2 {UNWELL}")), "{}", ran.said);
}

#[tokio::test(start_paused = true)]
async fn what_may_not_be_read_or_gets_no_answer_is_one_short_note() {
    let refused = "the health of its targets could not be read: elasticloadbalancing:DescribeTargetHealth is not allowed \
                   to leaf";
    let scene = balanced(1, "rollout: { timeout: 2m }\n").fault("*=unhealthy");
    let ran = scene.fault("*=deny:elasticloadbalancing:DescribeTargetHealth").deploy().await;
    assert_eq!((ran.code(), ran.outcome(S0)), (Exit::TimedOut, Some(Outcome::TimedOut)), "{}", ran.said);
    assert_eq!(ran.reason(S0).matches(refused).count(), 1, "{}", ran.reason(S0));

    let scene = balanced(1, "rollout: { timeout: 2m }\n").fault("*=unhealthy");
    let dead = async {
        tokio::time::sleep(std::time::Duration::from_secs(119)).await;
        scene.sandbox.fault("*", roleout::sandbox::Fault::Silent).expect("a pattern");
    };
    let (ran, ()) = tokio::join!(scene.deploy(), dead);
    assert_eq!(ran.outcome(S0), Some(Outcome::TimedOut), "{}", ran.said);
    let silent = "the health of its targets is not known: AWS did not answer elasticloadbalancing:DescribeTargetHealth";
    assert_eq!(ran.reason(S0).matches(silent).count(), 1, "{}", ran.reason(S0));
    assert!(ran.seconds < 150, "{}", ran.seconds);
}

#[tokio::test(start_paused = true)]
async fn a_service_without_target_groups_costs_no_call() {
    let scene = Scene::of(1, 1, "").fault("*=unhealthy");
    let ran = scene.deploy().await;
    assert_eq!(ran.outcome(S0), Some(Outcome::RolledBack), "{}", ran.said);
    assert!(ran.reason(S0).contains("Task failed container health checks"), "{}", ran.reason(S0));
    assert_eq!(scene.sandbox.calls().operation("DescribeTargetHealth"), 0);
}
