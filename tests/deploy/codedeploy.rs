//! Services under the CODE_DEPLOY controller: one CreateDeployment each, watched to its end, its rollback included.

use std::time::Duration;

use roleout::base::exit::Exit;
use roleout::engine::cancel::{Cancel, Signal};
use roleout::event::Event;
use roleout::fleet::Outcome;
use roleout::sandbox::parse_fault;

use crate::harness::{Directory, Ran, Scene, manifest};

const S0: &str = "a0/eu-west-1/s0";
const GROUP: &str = "{ application: shop, deployment_group: \"${service.name}\", container: app, port: 8080 }";

/// Accounts whose services are deployed by CodeDeploy.
fn by_codedeploy(accounts: usize, services: usize, rollout: &str) -> Scene {
    declared(accounts, services, rollout, GROUP)
}

fn declared(accounts: usize, services: usize, rollout: &str, codedeploy: &str) -> Scene {
    let text = manifest(accounts, services, rollout);
    Scene::new(&text.replace("    cluster: main\n", &format!("    cluster: main\n    codedeploy: {codedeploy}\n")))
}

/// The inputs of the calls of an operation that changed something.
fn sent(scene: &Scene, operation: &str) -> Vec<serde_json::Value> {
    let writes = scene.sandbox.calls().writes.into_iter();
    writes.filter(|write| write.operation == operation && write.error.is_none()).map(|write| write.input).collect()
}

fn stages(ran: &Ran) -> Vec<String> {
    let stage = |event: &Event| match event {
        Event::StageChanged { stage, .. } => Some(stage.clone()),
        _ => None,
    };
    ran.events.iter().filter_map(|stamped| stage(&stamped.event)).collect()
}

#[tokio::test(start_paused = true)]
async fn each_target_has_one_deployment_and_a_second_run_changes_nothing() {
    let scene = by_codedeploy(2, 2, "rollout: { timeout: 20m, waves: [ { name: all, bake: 5m } ] }\n");
    let ran = scene.deploy().await;
    assert_eq!((ran.code(), ran.count(Outcome::Succeeded)), (Exit::Done, 4), "{}", ran.said);
    assert_eq!(stages(&ran), Vec::<String>::new(), "what only goes on has no stage");
    let created = sent(&scene, "CreateDeployment");
    assert_eq!((created.len(), sent(&scene, "UpdateService").len()), (4, 0));
    let content = created[0]["revision"]["appSpecContent"]["content"].as_str().expect("an AppSpec");
    assert!(content.contains("\"ContainerName\":\"app\",\"ContainerPort\":8080"), "{content}");
    assert!(content.contains(":task-definition/s") && !content.contains("<TASK_DEFINITION>"), "{content}");
    let again = scene.deploy().await;
    assert_eq!((again.code(), again.count(Outcome::Unchanged)), (Exit::Done, 4), "{}", again.said);
    assert_eq!(sent(&scene, "CreateDeployment").len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_group_of_the_same_name_in_another_region_is_another_one() {
    let text = manifest(1, 1, "rollout: { timeout: 20m, max_parallel: 1 }\n");
    let text = text.replace("regions: [eu-west-1]", "regions: [eu-west-1, us-east-1]");
    let scene =
        Scene::new(&text.replace("    cluster: main\n", &format!("    cluster: main\n    codedeploy: {GROUP}\n")));
    let ran = scene.deploy().await;
    assert_eq!((ran.code(), ran.count(Outcome::Succeeded)), (Exit::Done, 2), "{}", ran.said);
}

#[tokio::test(start_paused = true)]
async fn an_appspec_of_a_file_is_filled_in() {
    let group = "{ application: shop, deployment_group: s0, config: CodeDeployDefault.ECSAllAtOnce, appspec: \
                 tests/deploy/appspec.yaml }";
    let scene = declared(1, 1, "", group);
    let ran = scene.deploy().await;
    assert_eq!(ran.code(), Exit::Done, "{}", ran.said);
    let created = sent(&scene, "CreateDeployment");
    let content = created[0]["revision"]["appSpecContent"]["content"].as_str().expect("an AppSpec");
    assert!(
        content.contains("AfterAllowTestTraffic: arn:aws:lambda:eu-west-1:200000000000:function:smoke"),
        "{content}"
    );
    assert_eq!(created[0]["deploymentConfigName"], "CodeDeployDefault.ECSAllAtOnce");
}

#[tokio::test(start_paused = true)]
async fn a_deployment_that_codedeploy_rolls_back_is_rolled_back_and_says_why() {
    let scene = by_codedeploy(1, 1, "").fault("*/*/s0=crash");
    let ran = scene.deploy().await;
    assert_eq!((ran.code(), ran.outcome(S0)), (Exit::RolledBack, Some(Outcome::RolledBack)), "{}", ran.said);
    let reason = ran.reason(S0);
    let told = "app exits with 1\nthe deployment failed: TIMEOUT: The deployment timed out";
    assert!(reason.starts_with(told), "the tasks say why: {reason}");
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_starts_no_second_deployment() {
    let scene = by_codedeploy(2, 2, "").fault("*=lost:60");
    let ran = scene.deploy().await;
    assert_eq!((ran.code(), ran.count(Outcome::Succeeded)), (Exit::Done, 4), "{}", ran.said);
    assert_eq!(sent(&scene, "CreateDeployment").len(), 4);
}

/// Its answer is lost, and by the time anything can be read it has failed: the group's last deployment is its rollback.
#[tokio::test(start_paused = true)]
async fn a_deployment_that_fails_before_its_lost_answer_is_looked_up_is_ours() {
    let scene = by_codedeploy(1, 1, "").quick().fault("*=stuck").fault("*=blind:4");
    let ran = scene.deploy().await;
    assert_eq!(sent(&scene, "CreateDeployment").len(), 1, "{}", ran.said);
    assert_eq!((ran.code(), ran.outcome(S0)), (Exit::RolledBack, Some(Outcome::RolledBack)), "{}", ran.said);
}

/// CodeDeploy has succeeded, and a read of ECS shows for some seconds more what ran before.
#[tokio::test(start_paused = true)]
async fn a_read_that_lags_behind_the_traffic_is_no_other_deployment() {
    let scene = by_codedeploy(1, 2, "").quick().fault("*=stale:8");
    let ran = scene.deploy().await;
    assert_eq!((ran.code(), ran.count(Outcome::Succeeded)), (Exit::Done, 2), "{}", ran.said);
    assert!(ran.seconds < 60, "it is believed as soon as it shows: {} s", ran.seconds);
}

#[tokio::test(start_paused = true)]
async fn what_never_ends_times_out_and_goes_back_where_that_is_wished_for() {
    for (policy, outcome, stops) in [("stop", Outcome::TimedOut, 0), ("rollback", Outcome::RolledBack, 1)] {
        let rollout = format!("rollout: {{ timeout: 10m, on_failure: {policy} }}\n");
        let scene = by_codedeploy(1, 1, &rollout).fault("*=hang");
        let ran = scene.deploy().await;
        assert_eq!(ran.outcome(S0), Some(outcome), "{policy}: {}", ran.said);
        assert!(ran.reason(S0).starts_with("not complete within 10m: "), "{policy}: {}", ran.reason(S0));
        assert_eq!(sent(&scene, "StopDeployment").len(), stops, "{policy}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_degrades_in_the_bake_is_deployed_back() {
    let rollout = "rollout: { timeout: 20m, on_failure: rollback, waves: [ { name: all, bake: 15m } ] }\n";
    let scene = by_codedeploy(1, 1, rollout).fault("*=degrade");
    let ran = scene.deploy().await;
    assert_eq!((ran.code(), ran.outcome(S0)), (Exit::RolledBack, Some(Outcome::RolledBack)), "{}", ran.said);
    assert_eq!(sent(&scene, "CreateDeployment").len(), 2);
}

/// Deploys, and cancels some seconds later.
async fn cancelled(scene: &Scene, after: u64) -> Ran {
    let cancel = async {
        tokio::time::sleep(Duration::from_secs(after)).await;
        scene.cancel.cancel(Signal::Terminate);
    };
    tokio::join!(scene.deploy(), cancel).0
}

#[tokio::test(start_paused = true)]
async fn after_a_cancel_it_goes_on_and_the_next_run_follows_it() {
    let scene = by_codedeploy(1, 1, "");
    let ran = cancelled(&scene, 40).await;
    assert_eq!((ran.code(), ran.outcome(S0)), (Exit::Terminated, Some(Outcome::Detached)), "{}", ran.said);
    assert!(ran.said.contains("codesuite/codedeploy/deployments/d-"), "{}", ran.said);
    let next = scene.planning();
    let ran = next.deploy().await;
    assert_eq!((ran.code(), ran.outcome(S0)), (Exit::Done, Some(Outcome::Succeeded)), "{}", ran.said);
    let attached = |event: &Event| matches!(event, Event::DeploymentStarted { attached: true, .. });
    assert!(ran.events.iter().any(|stamped| attached(&stamped.event)));
    assert_eq!(sent(&scene, "CreateDeployment").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn with_on_cancel_rollback_codedeploy_is_asked_to_go_back() {
    let scene = by_codedeploy(1, 1, "rollout: { on_cancel: rollback }\n");
    let ran = cancelled(&scene, 40).await;
    assert_eq!(ran.outcome(S0), Some(Outcome::Detached), "{}", ran.said);
    assert!(ran.said.contains("CodeDeploy was asked to roll it back"), "{}", ran.said);
    let stops = sent(&scene, "StopDeployment");
    assert_eq!((stops.len(), &stops[0]["autoRollbackEnabled"]), (1, &true.into()));
}

#[tokio::test(start_paused = true)]
async fn somebody_elses_deployment_in_progress_blocks() {
    let scene = by_codedeploy(1, 1, "");
    let mut other = scene.planning();
    other.fleet.targets[0].desired.images.insert("app".to_owned(), "registry.example.com/s0:v3".to_owned());
    let _ = cancelled(&other, 40).await;
    let ran = scene.deploy().await;
    assert_eq!(ran.code(), Exit::Blocked, "{}", ran.said);
    let message = ran.exit.expect_err("refused").message;
    assert!(message.contains("a deployment by CodeDeploy is in progress: a task set of s0:"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_not_as_the_manifest_says_is_blocked() {
    let scene = by_codedeploy(1, 1, "");
    let mut without = scene.planning();
    without.fleet.targets[0].desired.codedeploy = None;
    let ran = without.deploy().await;
    let error = ran.exit.expect_err("refused");
    assert!(error.message.contains("its deployment controller is CODE_DEPLOY"), "{error:?}");
    assert!(
        error.message.contains("`codedeploy`") || error.help.iter().any(|it| it.contains("`codedeploy`")),
        "{error:?}"
    );
    let rolling = Scene::of(1, 1, "");
    let mut with = rolling.planning();
    with.fleet.targets[0].desired.codedeploy = scene.fleet.targets[0].desired.codedeploy.clone();
    let message = with.deploy().await.exit.expect_err("refused").message;
    assert!(message.contains("its deployment controller is ECS, and `codedeploy` is for services under"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn a_group_that_does_not_exist_blocks_the_target_and_what_may_not_be_done_says_what_to_allow() {
    let mut scene = by_codedeploy(1, 1, "");
    if let Some(group) = &mut scene.fleet.targets[0].desired.codedeploy {
        group.deployment_group = "other".to_owned();
    }
    let ran = scene.deploy().await;
    assert_eq!(ran.code(), Exit::Blocked, "{}", ran.said);
    let message = ran.exit.expect_err("refused").message;
    assert!(message.contains("No Deployment Group found for name: other"), "{message}");
    let scene = by_codedeploy(1, 1, "").fault("*=deny:codedeploy:CreateDeployment");
    let ran = scene.deploy().await;
    assert_eq!(ran.outcome(S0), Some(Outcome::Failed), "{}", ran.said);
    assert!(
        ran.said.contains("allow codedeploy:CreateDeployment to arn:aws:iam::200000000000:role/leaf"),
        "{}",
        ran.said
    );
}

#[tokio::test(start_paused = true)]
async fn a_saved_plan_deploys_by_codedeploy() {
    let scene = by_codedeploy(1, 1, "");
    let directory = Directory::new("codedeploy");
    let planned = scene.planning().dry_run_to(directory.plan()).deploy().await;
    assert_eq!(planned.code(), Exit::Done, "{}", planned.said);
    let saved = roleout::run::saved_file::read(&directory.plan()).expect("a plan");
    let (_, plan) = saved.into_parts();
    let work = plan.work[0].as_ref().expect("work");
    assert_eq!(work.codedeploy, scene.fleet.targets[0].desired.codedeploy);
}

#[tokio::test(start_paused = true)]
async fn what_is_throttled_for_a_while_is_watched_to_its_end() {
    let scene = by_codedeploy(1, 1, "");
    let throttles = async {
        tokio::time::sleep(Duration::from_secs(50)).await;
        let (pattern, fault) = parse_fault("*=unavailable:100").expect("a fault");
        scene.sandbox.fault(&pattern, fault).expect("a pattern");
        tokio::time::sleep(Duration::from_secs(60)).await;
        scene.sandbox.clear_faults();
    };
    let (ran, ()) = tokio::join!(scene.deploy(), throttles);
    assert_eq!(ran.code(), Exit::Done, "{}", ran.said);
}

/// Another job on the same fleet, whose image of s0 is another one.
fn with_image(scene: &Scene, image: &str) -> Scene {
    let mut other = scene.planning();
    other.fleet.targets[0].desired.images.insert("app".to_owned(), format!("registry.example.com/s0:{image}"));
    other
}

async fn rolled_back(scene: &Scene) -> Ran {
    let (fleet, choice, start) = (scene.fleet.clone(), scene.choice.clone(), scene.start.clone());
    scene
        .ran(async |reach, view| {
            crate::runs::roll_back(fleet, reach, choice, crate::harness::everything(), start, view, Cancel::default())
                .await
        })
        .await
}

async fn watched(scene: &Scene) -> Ran {
    let (fleet, start) = (scene.fleet.clone(), scene.start.clone());
    scene.ran(async |reach, view| crate::runs::watch(fleet, reach, false, start, view, Cancel::default()).await).await
}

/// The image of the task set that has the traffic.
fn image(scene: &Scene) -> String {
    let service = scene.sandbox.service("a0", "eu-west-1", "main", "s0").expect("a service");
    let sets = service.body["taskSets"].as_array().cloned().unwrap_or_default();
    let primary = sets.iter().find(|set| set["status"] == "PRIMARY").expect("a PRIMARY task set");
    let arn = primary["taskDefinition"].as_str().expect("an ARN");
    let definition = scene.sandbox.task_definition("a0", "eu-west-1", arn).expect("a definition");
    let image = definition["containerDefinitions"][0]["image"].as_str().unwrap_or_default();
    image.rsplit(':').next().unwrap_or_default().to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_rollback_deploys_by_codedeploy_what_its_group_deployed_before() {
    let scene = by_codedeploy(1, 1, "");
    assert_eq!(scene.deploy().await.code(), Exit::Done);
    assert_eq!(with_image(&scene, "v3").deploy().await.code(), Exit::Done);
    assert_eq!(image(&scene), "v3");
    let ran = rolled_back(&scene).await;
    assert_eq!((ran.code(), ran.outcome(S0)), (Exit::Done, Some(Outcome::Succeeded)), "{}", ran.said);
    assert_eq!((image(&scene).as_str(), sent(&scene, "CreateDeployment").len()), ("v2", 3));
    assert!(ran.said.contains("known from the newest deployments of their groups"), "{}", ran.said);
    let again = rolled_back(&scene).await;
    assert_eq!((again.code(), again.outcome(S0)), (Exit::Done, Some(Outcome::Unchanged)), "{}", again.said);
    assert!(again.said.contains("already back on s0:"), "{}", again.said);
}

#[tokio::test(start_paused = true)]
async fn a_rollback_stops_what_is_under_way_and_follows_a_return() {
    let scene = by_codedeploy(1, 1, "");
    assert_eq!(scene.deploy().await.code(), Exit::Done);
    let other = with_image(&scene, "v3");
    let _ = cancelled(&other, 40).await;
    let ran = rolled_back(&scene).await;
    assert_eq!((ran.code(), ran.outcome(S0)), (Exit::Done, Some(Outcome::Succeeded)), "{}", ran.said);
    assert_eq!((image(&scene).as_str(), sent(&scene, "StopDeployment").len()), ("v2", 1));
    assert_eq!(sent(&scene, "CreateDeployment").len(), 2);

    let scene = by_codedeploy(1, 1, "rollout: { on_cancel: rollback }\n");
    let _ = cancelled(&scene, 40).await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    let ran = rolled_back(&scene).await;
    assert_eq!((ran.code(), ran.outcome(S0)), (Exit::Done, Some(Outcome::Succeeded)), "{}", ran.said);
    assert!(ran.said.contains("d-R"), "it followed the deployment that rolls back: {}", ran.said);
    assert_eq!((image(&scene).as_str(), sent(&scene, "StopDeployment").len()), ("previous", 1));
}

#[tokio::test(start_paused = true)]
async fn without_the_deployments_of_its_group_the_services_messages_tell() {
    let scene = by_codedeploy(1, 1, "").fault("*=deny:codedeploy:ListDeployments");
    assert_eq!(scene.deploy().await.code(), Exit::Done);
    let ran = rolled_back(&scene).await;
    assert_eq!((ran.code(), image(&scene).as_str()), (Exit::Done, "previous"), "{}", ran.said);
    assert!(ran.said.contains("ListDeployments: AccessDenied"), "{}", ran.said);
}

#[tokio::test(start_paused = true)]
async fn watch_follows_a_deployment_by_codedeploy() {
    let scene = by_codedeploy(2, 1, "");
    let ran = watched(&scene).await;
    assert_eq!(ran.code(), Exit::Done, "{}", ran.said);
    assert!(ran.said.contains("2 targets without a deployment under way"), "{}", ran.said);
    let mut one = scene.planning();
    one.fleet = one.fleet.retain(&[true, false]);
    let _ = cancelled(&one, 40).await;
    let ran = watched(&scene).await;
    assert_eq!((ran.code(), ran.outcome(S0)), (Exit::Done, Some(Outcome::Succeeded)), "{}", ran.said);
    assert!(ran.said.contains("1 target without a deployment under way"), "{}", ran.said);
    assert_eq!(sent(&scene, "CreateDeployment").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn watch_tells_a_deployment_that_codedeploy_rolls_back() {
    let scene = by_codedeploy(1, 1, "rollout: { on_cancel: rollback }\n");
    let _ = cancelled(&scene, 40).await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    let ran = watched(&scene).await;
    assert_eq!((ran.code(), ran.outcome(S0)), (Exit::RolledBack, Some(Outcome::RolledBack)), "{}", ran.said);
    assert!(ran.reason(S0).starts_with("the deployment was stopped"), "{}", ran.reason(S0));

    let scene = by_codedeploy(1, 1, "").fault("*=deny:codedeploy:GetDeploymentGroup");
    let ran = watched(&scene).await;
    let error = ran.exit.as_ref().expect_err("refused");
    assert!(error.help.iter().any(|help| help.contains("allow codedeploy:GetDeploymentGroup to ")), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn what_may_not_be_read_at_the_end_is_not_asked_for_until_the_deadline() {
    let scene = by_codedeploy(1, 1, "rollout: { timeout: 2h }\n");
    let deny = async {
        tokio::time::sleep(Duration::from_secs(30)).await;
        let (pattern, fault) = parse_fault("*=deny:ecs:DescribeServices").expect("a fault");
        scene.sandbox.fault(&pattern, fault).expect("a pattern");
    };
    let (ran, ()) = tokio::join!(scene.deploy(), deny);
    assert_eq!((ran.code(), ran.outcome(S0)), (Exit::Done, Some(Outcome::Succeeded)), "{}", ran.said);
    assert!(ran.seconds < 3_600, "{} s", ran.seconds);
}
