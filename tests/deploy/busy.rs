//! Somebody else's deployment is in progress: it blocks, is waited for, or gives way.

use std::time::Duration;

use roleout::base::exit::Exit;
use roleout::fleet::{OnBusy, Outcome};
use roleout::plan::saved::Saved;
use serde_json::json;

use crate::harness::{Directory, Scene};

/// A fleet of three, on one of which somebody has just begun a deployment of another revision.
fn scene(on_busy: &str) -> Scene {
    let scene = Scene::of(3, 1, &format!("rollout: {{ {on_busy} }}\n"));
    let mut other = scene.sandbox.task_definition("a1", "eu-west-1", "s0").expect("it runs");
    other["containerDefinitions"][0]["image"] = json!("registry.example.com/s0:hotfix");
    let members = ["family", "containerDefinitions", "cpu", "memory", "networkMode", "requiresCompatibilities"];
    let other: serde_json::Map<_, _> =
        members.iter().filter_map(|name| Some(((*name).to_owned(), other.get(*name)?.clone()))).collect();
    let behind = |operation: &str, input: &serde_json::Value| {
        scene.sandbox.call_as_operator("a1", "eu-west-1", operation, input).expect(operation)
    };
    behind("RegisterTaskDefinition", &json!(other));
    behind("UpdateService", &json!({"cluster": "main", "service": "s0", "taskDefinition": "s0"}));
    scene.sandbox.forget_calls();
    scene
}

#[tokio::test(start_paused = true)]
async fn a_strangers_deployment_in_progress_blocks_by_default() {
    let scene = scene("");
    let ran = scene.deploy().await;
    let error = ran.exit.as_ref().expect_err("refused");
    assert_eq!(error.exit, Exit::Blocked);
    assert!(error.message.contains("a1/eu-west-1/s0: a deployment of s0:"), "{error}");
    assert!(error.help[0].contains("`on_busy: wait` or `supersede`"), "{error}");
    assert_eq!(scene.sandbox.calls().writes, Vec::new());
}

#[tokio::test(start_paused = true)]
async fn on_busy_wait_waits_before_any_change_and_plans_again() {
    let scene = scene("on_busy: wait");
    let ran = scene.deploy().await;
    assert_eq!((ran.code(), ran.count(Outcome::Succeeded)), (Exit::Done, 3), "{}", ran.said);
    assert!(ran.said.contains("waiting for somebody else's deployment of a1/eu-west-1/s0\n"), "{}", ran.said);
    // Ours starts from what the other one left: one UpdateService each, after the other had completed.
    let writes = scene.sandbox.calls().writes;
    assert_eq!(writes.iter().filter(|write| write.operation == "UpdateService").count(), 3);
    assert_eq!(ran.state.targets().filter(|target| target.from.as_ref().is_some_and(|it| it.number > 1)).count(), 3);
}

#[tokio::test(start_paused = true)]
async fn on_busy_wait_ends_at_the_timeout_and_blocks() {
    let scene = scene("on_busy: wait, timeout: 20s").fault("a1/*/s0=hang");
    let ran = scene.deploy().await;
    assert_eq!(ran.code(), Exit::Blocked, "{}", ran.said);
    assert!((20..40).contains(&ran.seconds), "{}", ran.seconds);
    assert_eq!(scene.sandbox.calls().writes, Vec::new());
}

#[tokio::test(start_paused = true)]
async fn on_busy_supersede_deploys_over_a_strangers_deployment() {
    let scene = scene("on_busy: supersede");
    let ran = scene.deploy().await;
    assert_eq!((ran.code(), ran.count(Outcome::Succeeded)), (Exit::Done, 3), "{}", ran.said);
    assert_eq!(scene.image("a1", "eu-west-1", "s0"), "registry.example.com/s0:v2");
    let plan = ran.events.iter().find_map(|stamped| match &stamped.event {
        roleout::event::Event::RunStarted { plan, .. } => Some(plan.clone()),
        _ => None,
    });
    let summary = plan.expect("a plan").changes[1].summary.join("; ");
    assert!(summary.contains("takes the place of s0:") && summary.contains("which is in progress"), "{summary}");
}

#[tokio::test(start_paused = true)]
async fn a_failed_deployment_over_a_strangers_rolls_back_to_what_had_completed() {
    let scene = scene("on_busy: supersede, on_failure: rollback").fault("a1/*/s0=crash");
    let ran = scene.deploy().await;
    assert_eq!(ran.outcome("a1/eu-west-1/s0"), Some(Outcome::RolledBack), "{}", ran.said);
    let image = scene.image("a1", "eu-west-1", "s0");
    assert!(!image.ends_with(":hotfix") && !image.ends_with(":v2"), "{image}");
}

#[tokio::test(start_paused = true)]
async fn a_saved_plan_supersedes_only_the_deployment_that_it_names() {
    let scene = scene("on_busy: supersede");
    let directory = Directory::new("busy");
    assert_eq!(scene.planning().dry_run_to(directory.plan()).deploy().await.code(), Exit::Done);
    let text = fs_err::read_to_string(directory.plan()).expect("a file");
    let saved = Saved::parse(&text).expect("a plan");
    let (fleet, plan) = saved.clone().into_parts();
    assert_eq!(fleet.on_busy, OnBusy::Fail, "the plan says whose place is taken");
    assert_eq!(plan.work.iter().flatten().filter(|work| work.supersedes.is_some()).count(), 1);
    // Also once it has completed by itself.
    for wait in [1, 600] {
        tokio::time::sleep(Duration::from_secs(wait)).await;
        let scene = scene.planning();
        let terms = roleout::run::saved_plan::ApplyOptions {
            dry_run: true,
            skip_blocked: false,
            skip_stale: false,
            no_verify: false,
            max_age: Duration::from_secs(86_400),
            origin: Default::default(),
        };
        let (saved, start, cancel) = (saved.clone(), scene.start.clone(), scene.cancel.clone());
        let ran =
            scene.ran(async |reach, view| crate::runs::apply(saved, reach, terms, start, view, cancel).await).await;
        assert_eq!(ran.code(), Exit::Done, "after {wait}: {:?}", ran.exit);
    }
}
