//! `roleout rollback`: back to what completed before, once, and never back and forth.

use std::time::Duration;

use roleout::commands::rollback::{Extent, run};
use roleout::engine::cancel::Signal;
use roleout::exit::Exit;
use roleout::fleet::Outcome;
use serde_json::json;

use crate::harness::{Ran, Scene, manifest};

const ONE: &str = "a0/eu-west-1/s0";
const ROLLOUT: &str = "rollout: { timeout: 30m }\n";

/// A fleet whose services had a revision before the one that they run.
fn scene(accounts: usize, services: usize, rollout: &str) -> Scene {
    let scene = Scene::of(accounts, services, rollout);
    scene.sandbox.add_history(&scene.fleet);
    scene
}

/// A fleet that runs what its manifest deploys, and had another revision before.
fn released(accounts: usize, services: usize, rollout: &str) -> Scene {
    let scene = Scene::of(accounts, services, rollout);
    scene.sandbox.add_release(&scene.fleet);
    scene
}

async fn rollback(scene: &Scene, further: bool) -> Ran {
    rollback_to(scene, Extent { further, any_revision: false }).await
}

async fn rollback_to(scene: &Scene, extent: Extent) -> Ran {
    let (fleet, choice, start) = (scene.fleet.clone(), scene.choice.clone(), scene.start.clone());
    scene.ran(async |reach, view| run(fleet, reach, choice, extent, start, view, scene.cancel.clone()).await).await
}

/// The number of the revision that a service runs.
fn runs(scene: &Scene) -> u32 {
    let service = scene.sandbox.service("a0", "eu-west-1", "main", "s0").expect("a service");
    service.task_definition.rsplit(':').next().expect("a number").parse().expect("a number")
}

#[tokio::test(start_paused = true)]
async fn every_target_goes_back_once_and_a_second_run_does_nothing() {
    let scene = released(3, 2, ROLLOUT);
    let present = runs(&scene);
    let ran = rollback(&scene, false).await;
    assert_eq!((ran.code(), ran.count(Outcome::Succeeded)), (Exit::Done, 6), "{}", ran.said);
    assert_eq!(runs(&scene), present - 1);
    assert!(ran.said.contains("known from the service deployments that ECS keeps for 90 days"), "{}", ran.said);
    let writes = scene.sandbox.calls().writes;
    assert!(writes.len() == 6 && writes.iter().all(|write| write.operation == "UpdateService"), "{writes:?}");
    let again = rollback(&scene, false).await;
    assert_eq!((again.code(), again.count(Outcome::Unchanged)), (Exit::Done, 6), "{}", again.said);
    let said = format!("already back on s0:{}, after s0:{present}; --further --any-revision goes on", present - 1);
    assert!(again.said.contains(&said), "{}", again.said);
    assert_eq!(scene.sandbox.calls().writes.len(), 6);
    let further = rollback_to(&scene, Extent { further: true, any_revision: true }).await;
    assert_eq!(further.code(), Exit::Blocked, "there is nothing before: {}", further.said);
}

#[tokio::test(start_paused = true)]
async fn after_a_deploy_the_rollback_is_to_what_the_deploy_replaced() {
    let scene = scene(1, 1, ROLLOUT);
    let present = runs(&scene);
    assert_eq!(scene.deploy().await.code(), Exit::Done);
    assert_eq!(runs(&scene), present + 1);
    assert_eq!(rollback(&scene, false).await.code(), Exit::Done);
    assert_eq!(runs(&scene), present);
    let further = rollback(&scene, true).await;
    assert_eq!(
        (further.code(), runs(&scene)),
        (Exit::Blocked, present),
        "it runs nothing of this deploy: {}",
        further.said
    );
    let further = rollback_to(&scene, Extent { further: true, any_revision: true }).await;
    assert_eq!(further.code(), Exit::Done, "further goes on: {}", further.said);
    assert_eq!(runs(&scene), present - 1);
}

#[tokio::test(start_paused = true)]
async fn what_ecs_rolled_back_already_stays_and_the_others_go() {
    let scene = scene(2, 1, "rollout: { timeout: 30m, max_failures: 1 }\n").fault("a0=crash");
    let present = runs(&scene);
    assert_eq!(scene.deploy().await.code(), Exit::Tolerated);
    let ran = rollback(&scene, false).await;
    assert_eq!((ran.outcome(ONE), runs(&scene)), (Some(Outcome::Unchanged), present), "{}", ran.said);
    assert_eq!(ran.outcome("a1/eu-west-1/s0"), Some(Outcome::Succeeded), "{}", ran.said);
}

#[tokio::test(start_paused = true)]
async fn what_is_under_way_is_stopped_and_a_return_that_is_under_way_is_followed() {
    let mut scene = scene(1, 1, ROLLOUT).fault("*=hang");
    let present = runs(&scene);
    let cancel = scene.cancel.clone();
    let (ran, ()) = tokio::join!(scene.deploy(), async {
        tokio::time::sleep(Duration::from_secs(20)).await;
        cancel.cancel(Signal::Interrupt);
    });
    assert_eq!(ran.outcome(ONE), Some(Outcome::Detached), "{}", ran.said);
    scene.cancel = Default::default();
    scene.sandbox.forget_calls();
    let ran = rollback(&scene, false).await;
    assert_eq!((ran.code(), ran.outcome(ONE)), (Exit::Done, Some(Outcome::Succeeded)), "{}", ran.said);
    assert_eq!(runs(&scene), present);
    let writes: Vec<String> = scene.sandbox.calls().writes.into_iter().map(|write| write.operation).collect();
    assert_eq!(writes, ["StopServiceDeployment"]);
    // A rollback that was cancelled is followed by the next one, and not stopped.
    scene.sandbox.clear_faults();
    assert_eq!(scene.deploy().await.code(), Exit::Done);
    scene.sandbox.forget_calls();
    let cancel = scene.cancel.clone();
    let (ran, ()) = tokio::join!(rollback(&scene, false), async {
        tokio::time::sleep(Duration::from_secs(20)).await;
        cancel.cancel(Signal::Interrupt);
    });
    assert_eq!(ran.outcome(ONE), Some(Outcome::Detached), "{}", ran.said);
    scene.cancel = Default::default();
    let ran = rollback(&scene, false).await;
    assert_eq!((ran.code(), ran.outcome(ONE)), (Exit::Done, Some(Outcome::Succeeded)), "{}", ran.said);
    assert_eq!((runs(&scene), scene.sandbox.calls().writes.len()), (present, 1), "{}", ran.said);
}

#[tokio::test(start_paused = true)]
async fn a_revision_that_was_deregistered_blocks_before_anything_starts() {
    let mut scene = released(2, 1, ROLLOUT);
    let before = format!("s0:{}", runs(&scene) - 1);
    let input = json!({ "taskDefinition": before });
    scene.sandbox.behind_the_back("a0", "eu-west-1", "DeregisterTaskDefinition", &input).expect("deregistered");
    let ran = rollback(&scene, false).await;
    let error = ran.exit.as_ref().expect_err("refused");
    assert_eq!(error.exit, Exit::Blocked);
    let reason = format!("{ONE}: it ran {before} before, which was deregistered and cannot be deployed");
    assert!(error.message.contains(&reason), "{error}");
    assert_eq!(scene.sandbox.calls().writes, Vec::new());
    scene.choice.skip_blocked = true;
    let ran = rollback(&scene, false).await;
    assert_eq!((ran.code(), ran.count(Outcome::Succeeded)), (Exit::Done, 1), "{}", ran.said);
}

#[tokio::test(start_paused = true)]
async fn without_service_deployments_the_services_messages_tell_what_ran_and_it_says_so() {
    let scene = released(1, 1, ROLLOUT).fault("*=no-service-deployments");
    let present = runs(&scene);
    let mut dry = scene.planning();
    dry.choice.dry_run = true;
    let planned = rollback(&dry, false).await;
    let chosen = format!("s0:{} is chosen: a deployment of the service completed while it was the newest", present - 1);
    assert!(planned.said.contains(&chosen), "{}", planned.said);
    let ran = rollback(&scene, false).await;
    assert_eq!((ran.code(), runs(&scene)), (Exit::Done, present - 1), "{}", ran.said);
    assert!(ran.said.contains("is told from the service's messages and the tags of its revisions: "), "{}", ran.said);
    assert!(ran.said.contains("ListServiceDeployments: AccessDenied"), "{}", ran.said);
    let again = rollback(&scene, false).await;
    assert_eq!((again.code(), again.count(Outcome::Unchanged)), (Exit::Done, 1), "{}", again.said);
}

#[tokio::test(start_paused = true)]
async fn a_revision_that_never_ran_is_passed_over() {
    let scene = Scene::of(1, 1, ROLLOUT).fault("*=no-service-deployments");
    let before = runs(&scene);
    let input = json!({ "family": "s0", "networkMode": "awsvpc", "containerDefinitions": [
        { "name": "app", "image": "registry.example.com/s0:never", "memory": 128 }
    ] });
    scene.sandbox.behind_the_back("a0", "eu-west-1", "RegisterTaskDefinition", &input).expect("registered");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(scene.deploy().await.code(), Exit::Done);
    assert_eq!(runs(&scene), before + 2);
    scene.sandbox.forget_calls();
    let ran = rollback(&scene, false).await;
    assert_eq!((ran.code(), runs(&scene)), (Exit::Done, before), "{}", ran.said);
}

#[tokio::test(start_paused = true)]
async fn services_of_one_family_read_its_revisions_once() {
    let text = manifest(1, 3, ROLLOUT);
    let scene = Scene::new(
        &text.replace("    cluster: main\n", "    cluster: main\n    task_definition: tests/deploy/listening.json\n"),
    );
    assert_eq!(scene.deploy().await.code(), Exit::Done);
    let mut scene = scene.fault("*=no-service-deployments");
    scene.choice.dry_run = true;
    scene.sandbox.forget_calls();
    let ran = rollback(&scene, false).await;
    assert_eq!(ran.code(), Exit::Done, "{}", ran.said);
    let calls = scene.sandbox.calls();
    assert_eq!(calls.operation("ListTaskDefinitions"), 1);
    assert!(calls.operation("DescribeTaskDefinition") < 20, "{}", calls.operation("DescribeTaskDefinition"));
}

#[tokio::test(start_paused = true)]
async fn a_past_that_cannot_be_read_at_all_is_exit_4() {
    let scene = released(2, 1, ROLLOUT).fault("a1=no-service-deployments").fault("a1=deny:ecs:ListTaskDefinitions");
    let ran = rollback(&scene, false).await;
    let error = ran.exit.as_ref().expect_err("refused");
    assert_eq!(error.exit, Exit::Preflight, "{error}");
    assert!(error.help.iter().any(|help| help.contains("allow ecs:ListTaskDefinitions to")), "{:?}", error.help);
    assert_eq!(scene.sandbox.calls().writes, Vec::new());
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_shows_the_difference_and_changes_nothing() {
    let mut scene = released(3, 1, ROLLOUT);
    scene.choice.dry_run = true;
    let ran = rollback(&scene, false).await;
    assert_eq!(ran.code(), Exit::Done, "{}", ran.said);
    assert!(ran.said.contains("+ image: registry.example.com/s0:previous"), "{}", ran.said);
    assert!(ran.said.contains("the same in 3 targets") && ran.said.contains("plan: 3 to deploy"), "{}", ran.said);
    assert_eq!(scene.sandbox.calls().writes, Vec::new());
}

#[tokio::test(start_paused = true)]
async fn a_rollback_goes_in_waves_and_is_not_undone_itself() {
    let rollout = "rollout:\n  timeout: 10m\n  on_failure: rollback\n  rollback_scope: run\n  waves:\n    \
                   - { name: canary, select: { ring: canary } }\n    - { name: rest }\n";
    let scene = released(3, 1, rollout).fault("a0=no-return");
    let present = runs(&scene);
    let ran = rollback(&scene, false).await;
    assert_eq!(ran.count(Outcome::NotStarted), 2, "{}", ran.said);
    assert_eq!((ran.code(), ran.outcome(ONE)), (Exit::TimedOut, Some(Outcome::TimedOut)), "{}", ran.said);
    let updates = scene.sandbox.calls().writes.iter().filter(|write| write.operation == "UpdateService").count();
    assert_eq!(updates, 1, "from {present}: {}", ran.said);
}

#[tokio::test(start_paused = true)]
async fn a_service_under_codedeploy_is_blocked_where_its_group_is_not_named() {
    let scene = scene(1, 1, ROLLOUT);
    let input = json!({"cluster": "main", "service": "s0", "deploymentController": {"type": "CODE_DEPLOY"}});
    scene.sandbox.behind_the_back("a0", "eu-west-1", "UpdateService", &input).expect("changed");
    let ran = rollback(&scene, false).await;
    let error = ran.exit.as_ref().expect_err("blocked");
    assert_eq!(error.exit, Exit::Blocked);
    assert!(error.message.contains("its deployment controller is CODE_DEPLOY"), "{error}");
    assert!(error.help[0].contains("name its deployment group with `codedeploy` in the manifest"), "{error}");
}

/// What the services of the accounts `a0`, `a1` and so on run, by the tags of their images.
fn tags(scene: &Scene, accounts: usize) -> Vec<String> {
    let image = |number| scene.image(&format!("{}", 200_000_000_000_u64 + number as u64), "eu-west-1", "s0");
    (0..accounts).map(|number| image(number).rsplit(':').next().unwrap_or_default().to_owned()).collect()
}

/// The same fleet and AWS for a job that deploys another tag.
fn with_tag(scene: &Scene, tag: &str) -> Scene {
    let mut other = scene.planning();
    for target in &mut other.fleet.targets {
        let image = format!("registry.example.com/{}:{tag}", target.id.service);
        target.desired.images.insert("app".to_owned(), image);
    }
    other
}

const CANARY: &str =
    "rollout:\n  timeout: 10m\n  waves:\n    - { name: canary, select: { ring: canary } }\n    - { name: rest }\n";

#[tokio::test(start_paused = true)]
async fn what_a_halted_run_never_touched_stays() {
    for (fault, exit) in [("a0=hang", Exit::TimedOut), ("a0=crash", Exit::RolledBack)] {
        let scene = scene(5, 1, CANARY);
        assert_eq!(scene.deploy().await.code(), Exit::Done);
        assert_eq!(tags(&scene, 5), ["v2"; 5]);
        let scene = with_tag(&scene, "v3").fault(fault);
        let halted = scene.deploy().await;
        assert_eq!((halted.code(), halted.count(Outcome::NotStarted)), (exit, 4), "{}", halted.said);
        scene.sandbox.clear_faults();
        let ran = rollback(&scene, false).await;
        assert_eq!((ran.code(), tags(&scene, 5)), (Exit::Done, vec!["v2".to_owned(); 5]), "{}", ran.said);
        assert_eq!(ran.count(Outcome::Unchanged), if exit == Exit::RolledBack { 5 } else { 4 }, "{}", ran.said);
        let says = "which is not what the manifest deploys; stays as it is, unless --any-revision is given";
        assert!(ran.said.contains(says), "{}", ran.said);
        let again = rollback(&scene, false).await;
        assert_eq!((again.code(), again.count(Outcome::Unchanged)), (Exit::Done, 5), "{}", again.said);
        // Who wants all of them back has to say so.
        let all = rollback_to(&scene, Extent { further: false, any_revision: true }).await;
        assert_eq!((all.code(), all.count(Outcome::Succeeded)), (Exit::Done, 4), "{}", all.said);
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_cancelled_run_never_touched_stays() {
    let scene = scene(6, 1, "rollout: { timeout: 10m, max_parallel: 2 }\n");
    assert_eq!(scene.deploy().await.code(), Exit::Done);
    let mut scene = with_tag(&scene, "v3");
    let cancel = scene.cancel.clone();
    let (ran, ()) = tokio::join!(scene.deploy(), async {
        while scene.sandbox.calls().writes.iter().filter(|write| write.operation == "UpdateService").count() < 6 + 4 {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        cancel.cancel(Signal::Terminate);
    });
    assert_eq!(ran.code(), Exit::Terminated, "{}", ran.said);
    let touched: Vec<String> = tags(&scene, 6);
    assert!(touched.contains(&"v3".to_owned()) && touched.contains(&"v2".to_owned()), "{touched:?}");
    scene.cancel = Default::default();
    let ran = rollback(&scene, false).await;
    assert_eq!((ran.code(), tags(&scene, 6)), (Exit::Done, vec!["v2".to_owned(); 6]), "{}", ran.said);
}

#[tokio::test(start_paused = true)]
async fn untouched_services_without_a_past_block_nothing() {
    let scene = Scene::of(5, 1, CANARY).fault("a0=hang");
    let before = tags(&scene, 5);
    assert_eq!(scene.deploy().await.code(), Exit::TimedOut);
    scene.sandbox.clear_faults();
    let ran = rollback(&scene, false).await;
    assert_eq!((ran.code(), tags(&scene, 5)), (Exit::Done, before), "{}", ran.said);
}

#[tokio::test(start_paused = true)]
async fn a_rollback_with_the_variables_of_another_deploy_is_refused_and_not_silent() {
    let scene = scene(3, 1, ROLLOUT);
    assert_eq!(scene.deploy().await.code(), Exit::Done);
    scene.sandbox.forget_calls();
    let later = with_tag(&scene, "v9");
    let ran = rollback(&later, false).await;
    let error = ran.exit.as_ref().expect_err("refused");
    assert_eq!(error.exit, Exit::Blocked, "{error}");
    assert!(error.message.starts_with("no selected target (3) runs what this manifest deploys"), "{error}");
    assert!(error.help.iter().any(|help| help.contains("--any-revision")), "{:?}", error.help);
    assert_eq!(scene.sandbox.calls().writes, Vec::new());
    let ran = rollback_to(&later, Extent { further: false, any_revision: true }).await;
    assert_eq!((ran.code(), tags(&scene, 3)), (Exit::Done, vec!["present".to_owned(); 3]), "{}", ran.said);
}
