//! `roleout rollback`: back to what completed before, once, and never back and forth.

use std::time::Duration;

use roleout::base::exit::Exit;
use roleout::engine::cancel::Signal;
use roleout::fleet::{Commit, Outcome};
use roleout::plan::rollback_target::deployed::DeployedBy;
use roleout::run::rollback::RollbackOptions;
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

async fn rollback(scene: &Scene, further: bool) -> Ran {
    by_scope(scene, RollbackOptions { further, which: DeployedBy::All }).await
}

async fn by_scope(scene: &Scene, options: RollbackOptions) -> Ran {
    let (fleet, choice, start) = (scene.fleet.clone(), scene.choice.clone(), scene.start.clone());
    scene
        .ran(async |reach, view| {
            crate::runs::roll_back(fleet, reach, choice, options, start, view, scene.cancel.clone()).await
        })
        .await
}

/// As `roleout rollback` does without a flag.
async fn by_manifest(scene: &Scene) -> Ran {
    by_scope(scene, RollbackOptions::default()).await
}

/// Another job, in which every service is to run this image.
fn with_image(scene: &Scene, tag: &str) -> Scene {
    let mut other = scene.planning();
    for target in &mut other.fleet.targets {
        target.desired.images.insert("app".to_owned(), format!("registry.example.com/{}:{tag}", target.service));
    }
    other
}

/// Another job, in which the variable of the images is not set.
fn with_open_image(scene: &Scene) -> Scene {
    let mut other = with_image(scene, "${CI_COMMIT_SHA}");
    other.fleet.open.insert("CI_COMMIT_SHA".to_owned());
    other.fleet.release.commit = Commit::default();
    other
}

fn images(scene: &Scene) -> Vec<String> {
    scene.fleet.targets.iter().map(|it| scene.image(&it.account.name, "eu-west-1", &it.service)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_service_without_a_task_definition_is_blocked_and_no_family_is_listed() {
    let scene = Scene::of(1, 1, ROLLOUT);
    let behind = |operation: &str, input| scene.sandbox.call_as_operator("a0", "eu-west-1", operation, &input);
    behind("DeleteService", json!({ "cluster": "main", "service": "s0", "force": true })).expect("deleted");
    let external = json!({ "cluster": "main", "serviceName": "s0", "deploymentController": { "type": "EXTERNAL" } });
    behind("CreateService", external).expect("created");
    let ran = rollback(&scene, false).await;
    assert_eq!(ran.code(), Exit::Blocked, "{}", ran.said);
    let refused = format!("{:?}", ran.exit);
    assert!(refused.contains("its deployment controller is EXTERNAL"), "{refused}");
    assert_eq!(scene.sandbox.calls().operation("ListTaskDefinitions"), 0);
}

const CANARY: &str = "rollout:\n  timeout: 10m\n  waves:\n    - { name: canary, select: { ring: canary } }\n    \
                      - { name: rest }\n";

/// A fleet on v1, then v2; v3 hangs in its canary, and the run halts.
async fn halted() -> (Scene, Ran) {
    let scene = Scene::of(3, 1, CANARY);
    for tag in ["v1", "v2"] {
        assert_eq!(with_image(&scene, tag).deploy().await.code(), Exit::Done, "{tag}");
    }
    let scene = with_image(&scene, "v3").fault("a0=hang");
    let ran = scene.deploy().await;
    assert_eq!((ran.count(Outcome::TimedOut), ran.count(Outcome::NotStarted)), (1, 2), "{}", ran.said);
    scene.sandbox.clear_faults();
    scene.sandbox.forget_calls();
    (scene, ran)
}

#[tokio::test(start_paused = true)]
async fn what_a_halted_run_never_touched_stays() {
    let (scene, _) = halted().await;
    for _ in 0..2 {
        let ran = by_manifest(&scene).await;
        assert_eq!(ran.code(), Exit::Done, "{}", ran.said);
        assert_eq!(images(&scene), ["registry.example.com/s0:v2"; 3], "{}", ran.said);
        assert!(ran.said.contains("2 targets left as they are, not deployed by it"), "{}", ran.said);
    }
    let touched: Vec<String> = scene.sandbox.calls().writes.into_iter().map(|write| write.account).collect();
    assert_eq!(touched.len(), 1, "{touched:?}");
}

#[tokio::test(start_paused = true)]
async fn what_ecs_rolled_back_tells_that_the_others_were_not_deployed() {
    let scene = Scene::of(3, 1, CANARY);
    for tag in ["v1", "v2"] {
        assert_eq!(with_image(&scene, tag).deploy().await.code(), Exit::Done, "{tag}");
    }
    let scene = with_image(&scene, "v3").fault("a0=crash");
    assert_eq!(scene.deploy().await.code(), Exit::RolledBack);
    scene.sandbox.clear_faults();
    scene.sandbox.forget_calls();
    let ran = by_manifest(&scene).await;
    assert_eq!((ran.code(), ran.count(Outcome::Unchanged)), (Exit::Done, 3), "{}", ran.said);
    assert_eq!(scene.sandbox.calls().writes, Vec::new());
}

#[tokio::test(start_paused = true)]
async fn a_target_without_a_past_that_was_not_deployed_blocks_nothing() {
    let scene = Scene::of(3, 1, CANARY);
    let scene = with_image(&scene, "v1").fault("a0=hang");
    let ran = scene.deploy().await;
    assert_eq!(ran.count(Outcome::NotStarted), 2, "{}", ran.said);
    scene.sandbox.clear_faults();
    let ran = by_manifest(&scene).await;
    assert_eq!((ran.code(), ran.count(Outcome::Unchanged)), (Exit::Done, 2), "{}", ran.said);
}

#[tokio::test(start_paused = true)]
async fn where_nothing_tells_what_was_deployed_a_rollback_is_refused_and_a_report_tells() {
    let (scene, halted) = halted().await;
    // A pipeline that reverts: no target runs its image.
    let later = with_image(&scene, "v4");
    let refused = by_manifest(&later).await;
    let error = refused.exit.as_ref().expect_err("refused");
    assert_eq!(error.exit, Exit::Blocked);
    assert!(error.message.contains("1: registry.example.com/s0:v3 of the commit"), "{error}");
    assert!(error.help[0].contains("--of FILE") && error.help[0].contains("--all"), "{error}");
    assert_eq!(scene.sandbox.calls().writes, Vec::new());
    let mut record = roleout::report::Record::new();
    halted.events.iter().for_each(|event| record.apply(event));
    let run = record.take_report().deployed();
    for _ in 0..2 {
        let which = DeployedBy::Run(Box::new(run.clone()));
        let ran = by_scope(&later, RollbackOptions { further: false, which }).await;
        assert_eq!(ran.code(), Exit::Done, "{}", ran.said);
        assert_eq!(images(&scene), ["registry.example.com/s0:v2"; 3], "{}", ran.said);
    }
}

#[tokio::test(start_paused = true)]
async fn what_an_earlier_commit_deployed_stays_where_only_some_changed() {
    let of = |scene: &Scene, sha: &str, pipeline: &str| {
        let mut other = scene.planning();
        other.fleet.release.tag_revisions = true;
        other.fleet.release.commit.sha = Some(sha.to_owned());
        other.fleet.release.commit.pipeline = Some(pipeline.to_owned());
        other
    };
    let scene = Scene::of(1, 2, ROLLOUT);
    for (sha, pipeline, tag) in [("aaaaaaaaaa", "8", "v1"), ("bbbbbbbbbb", "9", "v2")] {
        assert_eq!(of(&with_image(&scene, tag), sha, pipeline).deploy().await.code(), Exit::Done, "{sha}");
    }
    let mut third = of(&with_image(&scene, "v2"), "cccccccccc", "10");
    third.fleet.targets[0].desired.images.insert("app".to_owned(), "registry.example.com/s0:v3".to_owned());
    let deployed = third.deploy().await;
    assert_eq!((deployed.count(Outcome::Succeeded), deployed.count(Outcome::Unchanged)), (1, 1));
    for _ in 0..2 {
        let ran = by_manifest(&third).await;
        assert_eq!(ran.code(), Exit::Done, "{}", ran.said);
        assert!(ran.said.contains("the commit bbbbbbbb had deployed what it runs before"), "{}", ran.said);
        assert_eq!(images(&scene), ["registry.example.com/s0:v2", "registry.example.com/s1:v2"], "{}", ran.said);
    }
}

#[tokio::test(start_paused = true)]
async fn a_manifest_without_images_takes_back_a_fleet_that_runs_the_same_and_refuses_a_mixed_one() {
    let scene = Scene::of(2, 1, ROLLOUT);
    for tag in ["v1", "v2"] {
        assert_eq!(with_image(&scene, tag).deploy().await.code(), Exit::Done, "{tag}");
    }
    let mut silent = scene.planning();
    silent.fleet.targets.iter_mut().for_each(|target| target.desired = Default::default());
    silent.fleet.release.commit = Default::default();
    let mut one = with_image(&scene, "v3");
    one.fleet = one.fleet.retain(&[true, false]);
    assert_eq!(one.deploy().await.code(), Exit::Done);
    let refused = by_manifest(&silent).await;
    assert_eq!(refused.exit.as_ref().expect_err("mixed").exit, Exit::Blocked);
    assert_eq!(with_image(&scene, "v3").deploy().await.code(), Exit::Done);
    let mut dry = silent.planning();
    dry.choice.dry_run = true;
    let planned = by_manifest(&dry).await;
    let why = "it is rolled back to its last other revision that completed: the manifest does not set its image, and all run the same";
    assert!(planned.said.contains(why), "{}", planned.said);
    assert_eq!(by_manifest(&silent).await.code(), Exit::Done);
    assert_eq!(images(&scene), ["registry.example.com/s0:v2"; 2]);
}

/// The number of the revision that a service runs.
fn runs(scene: &Scene) -> u32 {
    let service = scene.sandbox.service("a0", "eu-west-1", "main", "s0").expect("a service");
    service.task_definition.rsplit(':').next().expect("a number").parse().expect("a number")
}

#[tokio::test(start_paused = true)]
async fn every_target_goes_back_once_and_a_second_run_does_nothing() {
    let scene = scene(3, 2, ROLLOUT);
    let present = runs(&scene);
    let ran = rollback(&scene, false).await;
    assert_eq!((ran.code(), ran.count(Outcome::Succeeded)), (Exit::Done, 6), "{}", ran.said);
    assert_eq!(runs(&scene), present - 1);
    assert!(ran.said.contains("known from the service deployments that ECS keeps for 90 days"), "{}", ran.said);
    let writes = scene.sandbox.calls().writes;
    assert!(writes.len() == 6 && writes.iter().all(|write| write.operation == "UpdateService"), "{writes:?}");
    let again = rollback(&scene, false).await;
    assert_eq!((again.code(), again.count(Outcome::Unchanged)), (Exit::Done, 6), "{}", again.said);
    let said =
        format!("already back on s0:{}, after s0:{present}; --further rolls back one revision further", present - 1);
    assert!(again.said.contains(&said), "{}", again.said);
    assert_eq!(scene.sandbox.calls().writes.len(), 6);
    let further = rollback(&scene, true).await;
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
    assert_eq!(rollback(&scene, true).await.code(), Exit::Done, "further goes on");
    assert_eq!(runs(&scene), present - 1);
}

#[tokio::test(start_paused = true)]
async fn the_rollback_of_an_older_run_is_to_what_that_run_replaced() {
    let scene = scene(1, 1, ROLLOUT);
    let present = runs(&scene);
    let first = scene.deploy().await;
    let later = with_image(&scene, "v3");
    assert_eq!((later.deploy().await.code(), runs(&scene)), (Exit::Done, present + 2));
    assert_eq!((by_manifest(&later).await.code(), runs(&scene)), (Exit::Done, present + 1));
    let mut record = roleout::report::Record::new();
    first.events.iter().for_each(|event| record.apply(event));
    let which = DeployedBy::Run(Box::new(record.take_report().deployed()));
    let options = RollbackOptions { further: false, which };
    let ran = by_scope(&scene, options.clone()).await;
    assert_eq!((ran.code(), runs(&scene)), (Exit::Done, present), "{}", ran.said);
    let again = by_scope(&scene, options.clone()).await;
    assert_eq!((again.code(), runs(&scene)), (Exit::Done, present), "{}", again.said);
    let further = by_scope(&scene, RollbackOptions { further: true, ..options }).await;
    assert_eq!((further.code(), runs(&scene)), (Exit::Done, present - 1), "{}", further.said);
}

#[tokio::test(start_paused = true)]
async fn what_is_deployed_once_more_after_its_rollback_is_rolled_back_once_more() {
    let scene = scene(1, 1, ROLLOUT);
    let present = runs(&scene);
    for _ in 0..2 {
        assert_eq!((scene.planning().deploy().await.code(), runs(&scene)), (Exit::Done, present + 1));
        let ran = by_manifest(&scene).await;
        assert_eq!((ran.code(), runs(&scene)), (Exit::Done, present), "{}", ran.said);
        let again = by_manifest(&scene).await;
        assert_eq!((again.code(), runs(&scene)), (Exit::Done, present), "{}", again.said);
        assert!(again.said.contains("already back"), "{}", again.said);
    }
}

#[tokio::test(start_paused = true)]
async fn further_goes_further_in_the_job_of_the_rollback_and_only_what_it_had_changed() {
    let scene = scene(2, 1, ROLLOUT);
    let present = runs(&scene);
    let mut first = scene.planning();
    first.fleet = first.fleet.retain(&[true, false]);
    assert_eq!(first.deploy().await.code(), Exit::Done);
    assert_eq!((by_manifest(&scene).await.code(), runs(&scene)), (Exit::Done, present));
    let before = images(&scene);
    let further = RollbackOptions { further: true, which: DeployedBy::Manifest };
    let ran = by_scope(&scene, further).await;
    assert_eq!((ran.code(), runs(&scene)), (Exit::Done, present - 1), "{}", ran.said);
    assert_eq!(images(&scene)[1], before[1], "{}", ran.said);
    assert!(
        ran.said.contains("1 target left as it is") && ran.said.contains("--all rolls it back too"),
        "{}",
        ran.said
    );
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
    let mut scene = scene(2, 1, ROLLOUT);
    let before = format!("s0:{}", runs(&scene) - 1);
    let input = json!({ "taskDefinition": before });
    scene.sandbox.call_as_operator("a0", "eu-west-1", "DeregisterTaskDefinition", &input).expect("deregistered");
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
    let scene = scene(1, 1, ROLLOUT).fault("*=no-service-deployments");
    let present = runs(&scene);
    let mut dry = scene.planning();
    dry.choice.dry_run = true;
    let planned = rollback(&dry, false).await;
    let chosen = format!("s0:{} is chosen: a deployment of the service completed while it was the newest", present - 1);
    assert!(planned.said.contains(&chosen), "{}", planned.said);
    let ran = rollback(&scene, false).await;
    assert_eq!((ran.code(), runs(&scene)), (Exit::Done, present - 1), "{}", ran.said);
    assert!(ran.said.contains("comes from the service's messages and the tags of its revisions: "), "{}", ran.said);
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
    scene.sandbox.call_as_operator("a0", "eu-west-1", "RegisterTaskDefinition", &input).expect("registered");
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
    let scene = scene(2, 1, ROLLOUT).fault("a1=no-service-deployments").fault("a1=deny:ecs:ListTaskDefinitions");
    let ran = rollback(&scene, false).await;
    let error = ran.exit.as_ref().expect_err("refused");
    assert_eq!(error.exit, Exit::Preflight, "{error}");
    assert!(error.help.iter().any(|help| help.contains("allow ecs:ListTaskDefinitions to")), "{:?}", error.help);
    assert_eq!(scene.sandbox.calls().writes, Vec::new());
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_shows_the_difference_and_changes_nothing() {
    let mut scene = scene(3, 1, ROLLOUT);
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
    let scene = scene(3, 1, rollout).fault("a0=no-return");
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
    scene.sandbox.call_as_operator("a0", "eu-west-1", "UpdateService", &input).expect("changed");
    let ran = rollback(&scene, false).await;
    let error = ran.exit.as_ref().expect_err("blocked");
    assert_eq!(error.exit, Exit::Blocked);
    assert!(error.message.contains("its deployment controller is CODE_DEPLOY"), "{error}");
    assert!(error.help[0].contains("name its deployment group with `codedeploy` in the manifest"), "{error}");
}

/// As [`with_image`] of the commit and the pipeline of a job.
fn of_commit(scene: &Scene, tag: &str, pipeline: &str) -> Scene {
    let mut job = with_image(scene, tag);
    job.fleet.release.commit = Commit { sha: Some(tag.repeat(20)), pipeline: Some(pipeline.to_owned()), at: None };
    job
}

#[tokio::test(start_paused = true)]
async fn without_the_commits_variable_the_newest_commit_that_runs_is_taken_back() {
    let scene = Scene::of(3, 1, CANARY);
    for (tag, pipeline) in [("a1", "9"), ("b2", "10")] {
        assert_eq!(of_commit(&scene, tag, pipeline).deploy().await.code(), Exit::Done, "{tag}");
    }
    let halted = of_commit(&scene, "c3", "11").fault("a0=hang");
    assert_eq!(halted.deploy().await.count(Outcome::NotStarted), 2);
    scene.sandbox.clear_faults();
    for _ in 0..2 {
        let ran = by_manifest(&with_open_image(&scene)).await;
        assert_eq!(ran.code(), Exit::Done, "{}", ran.said);
        assert_eq!(images(&scene), ["registry.example.com/s0:b2"; 3], "{}", ran.said);
        assert!(ran.said.contains("`CI_COMMIT_SHA` is not set: the last deploy is taken to be that"), "{}", ran.said);
    }
}

#[tokio::test(start_paused = true)]
async fn without_the_commits_variable_and_without_tags_only_a_fleet_that_runs_the_same_is_taken_back() {
    let scene = Scene::of(2, 1, ROLLOUT);
    let untagged = |tag: &str| {
        let mut job = with_image(&scene, tag);
        job.fleet.release.tag_revisions = false;
        job
    };
    for tag in ["v1", "v2"] {
        assert_eq!(untagged(tag).deploy().await.code(), Exit::Done, "{tag}");
    }
    let one = untagged("v3").fault("a0=crash");
    assert_ne!(one.deploy().await.code(), Exit::Done);
    scene.sandbox.clear_faults();
    let mixed = images(&scene);
    assert_ne!(mixed[0], mixed[1], "{mixed:?}");
    scene.sandbox.forget_calls();
    let refused = by_manifest(&with_open_image(&scene)).await;
    assert_eq!(refused.code(), Exit::Blocked, "{}", refused.said);
    assert_eq!(scene.sandbox.calls().writes, Vec::new());
    assert_eq!(untagged("v3").deploy().await.code(), Exit::Done);
    let ran = by_manifest(&with_open_image(&scene)).await;
    assert_eq!(ran.code(), Exit::Done, "{}", ran.said);
    assert_eq!(images(&scene), ["registry.example.com/s0:v2"; 2], "{}", ran.said);
}
