//! What others do between the plan and a target's turn: it is seen right before the write, and never overwritten unasked.

use std::time::Duration;

use roleout::base::exit::Exit;
use roleout::event::Event;
use roleout::fleet::Outcome;
use roleout::sandbox::Fault;
use serde_json::{Value, json};

use crate::harness::{Ran, Scene, manifest};

const LATER: &str = "a1/eu-west-1/s0";
const HOTFIX: &str = "registry.example.com/s0:hotfix";

/// Two waves of one target each, ten minutes apart, with something of the rollout's and of the service's own.
fn scene(rollout: &str, service: &str) -> Scene {
    let rollout = format!(
        "rollout:\n  timeout: 10m\n{rollout}  waves:\n    - {{ name: canary, select: {{ ring: canary }}, bake: 10m }}\n    \
         - {{ name: rest }}\n"
    );
    Scene::new(&manifest(2, 1, &rollout).replace("    cluster: main\n", &format!("    cluster: main\n{service}")))
}

/// Asks for something in the later wave's account as somebody else.
fn behind(scene: &Scene, operation: &str, input: &Value) -> Value {
    scene.sandbox.call_as_operator("a1", "eu-west-1", operation, input).expect(operation)
}

/// Deploys another image to the later wave's service as somebody else; returns the revision's ARN.
fn hotfix(scene: &Scene, image: &str, tags: Value) -> String {
    let mut other = scene.sandbox.task_definition("a1", "eu-west-1", "s0").expect("it runs");
    other["containerDefinitions"][0]["image"] = json!(image);
    let members = ["family", "containerDefinitions", "cpu", "memory", "networkMode", "requiresCompatibilities"];
    let mut other: serde_json::Map<_, _> =
        members.iter().filter_map(|name| Some(((*name).to_owned(), other.get(*name)?.clone()))).collect();
    if tags != Value::Null {
        other.insert("tags".to_owned(), tags);
    }
    let registered = behind(scene, "RegisterTaskDefinition", &Value::Object(other));
    let arn = registered["taskDefinition"]["taskDefinitionArn"].as_str().expect("an ARN").to_owned();
    behind(scene, "UpdateService", &json!({ "cluster": "main", "service": "s0", "taskDefinition": arn }));
    arn
}

/// Deploys, and does something `after` so many seconds.
async fn deploy(scene: &Scene, after: u64, meanwhile: impl FnOnce()) -> Ran {
    let (ran, ()) = tokio::join!(scene.deploy(), async {
        tokio::time::sleep(Duration::from_secs(after)).await;
        meanwhile();
    });
    ran
}

/// How often our run asked for an operation in the later wave's account.
fn asked(scene: &Scene, operation: &str) -> usize {
    let writes = scene.sandbox.calls().writes;
    writes.iter().filter(|it| it.operation == operation && it.account == "200000000001").count()
}

#[tokio::test(start_paused = true)]
async fn what_somebody_deployed_since_the_plan_is_not_overwritten() {
    for (rollout, wait) in [("", 300), ("  on_failure: rollback\n", 300), ("", 600)] {
        let scene = scene(rollout, "");
        let ran = deploy(&scene, wait, || drop(hotfix(&scene, HOTFIX, Value::Null))).await;
        assert_eq!(
            (ran.code(), ran.outcome(LATER)),
            (Exit::Failed, Some(Outcome::Superseded)),
            "{rollout}: {}",
            ran.said
        );
        assert_eq!(ran.count(Outcome::Succeeded), 1, "{rollout}: {}", ran.said);
        assert_eq!(
            asked(&scene, "UpdateService") + asked(&scene, "RegisterTaskDefinition"),
            0,
            "{rollout}: {}",
            ran.said
        );
        let reason = ran.reason(LATER);
        assert!(reason.starts_with("it changed since the plan was made: it ran s0:"), "{rollout}: {reason}");
        assert!(reason.ends_with("; nothing was changed"), "{rollout}: {reason}");
        tokio::time::sleep(Duration::from_secs(600)).await;
        assert_eq!(scene.image("a1", "eu-west-1", "s0"), HOTFIX, "{rollout}");
    }
}

#[tokio::test(start_paused = true)]
async fn where_others_give_way_ours_takes_their_place() {
    let scene = scene("  on_busy: supersede\n  on_failure: rollback\n", "").fault("*=deny:ecs:StopServiceDeployment");
    let ran = deploy(&scene, 300, || drop(hotfix(&scene, HOTFIX, Value::Null))).await;
    assert_eq!((ran.code(), ran.count(Outcome::Succeeded)), (Exit::Done, 2), "{}", ran.said);
    assert_eq!(scene.image("a1", "eu-west-1", "s0"), "registry.example.com/s0:v2");
}

#[tokio::test(start_paused = true)]
async fn a_rollback_goes_back_to_what_somebody_deployed_since_the_plan() {
    let scene = scene("  on_busy: supersede\n  on_failure: rollback\n", "").fault("*=deny:ecs:StopServiceDeployment");
    let sandbox = scene.sandbox.clone();
    let (ran, ()) = tokio::join!(scene.deploy(), async {
        tokio::time::sleep(Duration::from_secs(200)).await;
        hotfix(&scene, HOTFIX, Value::Null);
        tokio::time::sleep(Duration::from_secs(300)).await;
        sandbox.fault("a1", Fault::Hang).expect("a fault");
    });
    assert_eq!(ran.outcome(LATER), Some(Outcome::RolledBack), "{}", ran.said);
    assert_eq!(scene.image("a1", "eu-west-1", "s0"), HOTFIX);
}

#[tokio::test(start_paused = true)]
async fn a_newer_commit_does_not_give_way() {
    let scene = scene("  on_busy: supersede\n", "");
    let tags = json!([
        { "key": "roleout:commit", "value": "feedfacefeedfacefeedfacefeedfacefeedface" },
        { "key": "roleout:committed-at", "value": "2099-01-01T00:00:00Z" },
    ]);
    let ran = deploy(&scene, 300, || drop(hotfix(&scene, HOTFIX, tags))).await;
    assert_eq!((ran.code(), ran.outcome(LATER)), (Exit::Failed, Some(Outcome::Superseded)), "{}", ran.said);
    assert_eq!(scene.image("a1", "eu-west-1", "s0"), HOTFIX);
}

#[tokio::test(start_paused = true)]
async fn what_somebody_deployed_as_planned_is_followed_or_is_done() {
    for wait in [300, 600] {
        let scene = scene("", "");
        let ran = deploy(&scene, wait, || drop(hotfix(&scene, "registry.example.com/s0:v2", Value::Null))).await;
        assert_eq!((ran.code(), ran.count(Outcome::Succeeded)), (Exit::Done, 2), "after {wait}: {}", ran.said);
        assert_eq!(asked(&scene, "UpdateService") + asked(&scene, "RegisterTaskDefinition"), 0, "{wait}: {}", ran.said);
    }
}

#[tokio::test(start_paused = true)]
async fn a_rollback_restores_the_count_from_right_before_the_update() {
    let base = Scene::of(2, 1, "");
    let changed = scene("  on_failure: rollback\n", "    desired_count: 4\n");
    let scene = Scene { fleet: changed.fleet, ..base };
    let sandbox = scene.sandbox.clone();
    let ran = deploy(&scene, 300, || {
        behind(&scene, "UpdateService", &json!({ "cluster": "main", "service": "s0", "desiredCount": 10 }));
        sandbox.fault("a1", Fault::Hang).expect("a fault");
    });
    let ran = ran.await;
    assert_eq!(ran.outcome(LATER), Some(Outcome::RolledBack), "{}", ran.said);
    assert_eq!(scene.sandbox.service("a1", "eu-west-1", "main", "s0").expect("a service").desired, 10);
}

#[tokio::test(start_paused = true)]
async fn a_task_before_the_deployment_takes_its_time_and_the_service_is_looked_at_after_it() {
    let rollout = "rollout: { timeout: 10m }\n";
    let keys = "    cluster: main\n    before: [ { run_task: migrate } ]\n";
    let scene = Scene::new(&manifest(2, 1, rollout).replace("    cluster: main\n", keys)).fault("a1=slow:5");
    let (ran, ()) = tokio::join!(scene.deploy(), async {
        while asked(&scene, "RunTask") == 0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        tokio::time::sleep(Duration::from_secs(5)).await;
        hotfix(&scene, HOTFIX, Value::Null);
    });
    assert_eq!(ran.outcome(LATER), Some(Outcome::Superseded), "{}", ran.said);
    assert_eq!(asked(&scene, "UpdateService"), 0, "{}", ran.said);
    assert!(ran.reason(LATER).ends_with(" exists and is not used"), "{}", ran.reason(LATER));
}

#[tokio::test(start_paused = true)]
async fn an_update_that_is_put_off_is_not_sent_over_somebody_elses() {
    for seconds in (1..60).step_by(9) {
        let scene = scene("", "");
        let sandbox = scene.sandbox.clone();
        let (ran, ()) = tokio::join!(scene.deploy(), async {
            // The later wave is about to begin.
            tokio::time::sleep(Duration::from_secs(600)).await;
            sandbox.fault("a1", Fault::Throttle(0.2)).expect("a fault");
            while sandbox.calls().throttled == 0 {
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            hotfix(&scene, HOTFIX, Value::Null);
            tokio::time::sleep(Duration::from_secs(60)).await;
            sandbox.clear_faults();
        });
        assert_eq!(ran.outcome(LATER), Some(Outcome::Superseded), "after {seconds}: {}", ran.said);
        tokio::time::sleep(Duration::from_secs(600)).await;
        assert_eq!(scene.image("a1", "eu-west-1", "s0"), HOTFIX, "after {seconds}: {}", ran.said);
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_cannot_be_read_any_more_is_not_written_to() {
    let scene = scene("", "");
    let sandbox = scene.sandbox.clone();
    let ran = deploy(&scene, 300, || sandbox.fault("a1", Fault::Deny("ecs:DescribeServices".to_owned())).expect("one"));
    let ran = ran.await;
    assert_eq!((ran.code(), ran.outcome(LATER)), (Exit::Failed, Some(Outcome::Failed)), "{}", ran.said);
    assert_eq!(asked(&scene, "UpdateService") + asked(&scene, "RegisterTaskDefinition"), 0, "{}", ran.said);
    assert!(ran.said.contains("allow ecs:DescribeServices to arn:aws:iam::200000000001:role/leaf"), "{}", ran.said);
}

#[tokio::test(start_paused = true)]
async fn two_jobs_that_deploy_the_same_at_once_deploy_each_target_once() {
    let scene = Scene::of(1, 12, "").fault("*=latency:1000");
    let other = scene.planning();
    let (first, second) = tokio::join!(scene.deploy(), async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        other.deploy().await
    });
    assert_eq!((first.code(), second.code()), (Exit::Done, Exit::Done), "{}\n{}", first.said, second.said);
    assert_eq!(scene.sandbox.calls().operation("UpdateService"), 12, "{}", second.said);
}

#[tokio::test(start_paused = true)]
async fn a_deployment_that_came_after_the_last_look_is_named() {
    let scene = scene("", "").fault("a1=latency:2000");
    let calls = |operation: &str| scene.sandbox.calls().count("200000000001", "eu-west-1", operation);
    let until = async |operation: &str, more_than: u64| {
        while calls(operation) <= more_than {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let (ran, taken) = tokio::join!(scene.deploy(), async {
        until("RegisterTaskDefinition", 0).await;
        // The look right before UpdateService.
        until("DescribeServices", calls("DescribeServices")).await;
        let arn = hotfix(&scene, HOTFIX, Value::Null);
        let service = scene.sandbox.service("a1", "eu-west-1", "main", "s0").expect("a service");
        (service.deployments[0].0.clone(), arn.rsplit('/').next().expect("a revision").to_owned())
    });
    assert_eq!((ran.code(), ran.count(Outcome::Succeeded)), (Exit::Done, 2), "{}", ran.said);
    let text = format!("replaced {} of {}, which somebody else started after the last read", taken.0, taken.1);
    let told = ran.events.iter().filter(|it| {
        matches!(&it.event, Event::ServiceMessage { target, text: said } if target.to_string() == LATER && *said == text)
    });
    assert_eq!(told.count(), 1, "{text}: {}", ran.said);
}
