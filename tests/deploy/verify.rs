//! What task definitions name is looked for before anything is changed: what is missing blocks, what cannot be asked is
//! a note.

use std::time::Duration;

use roleout::base::document::Document;
use roleout::base::exit::Exit;
use roleout::connect::Connection;
use roleout::engine::Start;
use roleout::engine::cancel::Cancel;
use roleout::fleet::{Base, Outcome};
use roleout::plan::preview::Preview;
use roleout::references::image::Image;
use roleout::references::log::LogGroup;
use roleout::references::need::Need;
use roleout::references::secret::Secret;
use roleout::report::Record;
use roleout::run::plan::{self, PlanOptions};
use roleout::run::saved_file;
use roleout::run::saved_plan::ApplyOptions;
use roleout::sandbox::Role;
use roleout::view::options::Options;
use roleout::view::style::Paint;
use roleout::view::{Form, View, summary};
use serde_json::json;

use crate::harness::{Directory, Ran, Scene, Shared, manifest};

const IMAGE: &str = "999999999999.dkr.ecr.eu-west-1.amazonaws.com/shop/api:v2";
const A0: &str = "200000000000";
const A1: &str = "200000000001";
const REGION: &str = "eu-west-1";

/// Accounts with one service each, whose definition names something of every kind.
fn named(accounts: usize) -> Scene {
    let text = manifest(accounts, 1, "");
    let text = text.replace("registry.example.com/s0:v2", IMAGE);
    Scene::new(
        &text.replace("    cluster: main\n", "    cluster: main\n    task_definition: tests/deploy/named.json\n"),
    )
    .quick()
}

/// What `roleout plan` shows, and how it exits.
async fn shown(scene: &Scene, form: Form) -> (Exit, String) {
    let (out, err) = (Shared::default(), Shared::default());
    let view = View::new(Options::default(), Box::new(out.clone()), Box::new(err));
    let reach = Connection::sandbox(&scene.fleet, &scene.sandbox, scene.token.clone());
    let choice = PlanOptions { form, no_verify: scene.choice.no_verify, ..PlanOptions::default() };
    let exit = plan::run(scene.fleet.clone(), &reach, &choice, view, scene.cancel.clone()).await;
    assert_eq!(scene.sandbox.calls().writes, Vec::new(), "a plan only reads");
    (exit.unwrap_or_else(|error| error.exit), out.text())
}

async fn planned(scene: &Scene) -> (Exit, Preview) {
    let (exit, text) = shown(scene, Form::Json).await;
    (exit, serde_json::from_str(&text).expect("JSON"))
}

/// How often each kind of thing was asked for.
fn asked(scene: &Scene) -> [u64; 5] {
    let calls = scene.sandbox.calls();
    ["GetRole", "DescribeImages", "DescribeLogGroups", "DescribeSecret", "DescribeParameters"]
        .map(|operation| calls.operation(operation))
}

/// Why everything that is blocked is, told once.
fn reasons(preview: &Preview) -> Vec<&str> {
    preview.groups.iter().filter_map(|group| group.reason.as_deref()).collect()
}

fn refused(ran: Ran) -> String {
    assert_eq!(ran.code(), Exit::Blocked, "{}", ran.said);
    let error = ran.exit.expect_err("refused");
    assert!(error.help.iter().any(|help| help.contains("--skip-blocked")), "{error:?}");
    error.message
}

#[tokio::test(start_paused = true)]
async fn every_distinct_thing_is_asked_for_once_an_account() {
    let text = manifest(3, 2, "");
    let text = text.replace("registry.example.com/s0:v2", IMAGE).replace("registry.example.com/s1:v2", IMAGE);
    let text = text.replace("    cluster: main\n", "    cluster: main\n    task_definition: tests/deploy/named.json\n");
    let scene = Scene::new(&text).quick();
    let (exit, preview) = planned(&scene).await;
    assert_eq!((exit, preview.totals.register, preview.notes.len()), (Exit::Done, 6, 0));
    assert_eq!(asked(&scene), [6, 3, 3, 6, 3], "three accounts, and each thing once in each");
    let ran = scene.deploy().await;
    assert_eq!((ran.code(), ran.count(Outcome::Succeeded)), (Exit::Done, 6), "{}", ran.said);
    scene.sandbox.forget_calls();
    assert_eq!(scene.deploy().await.code(), Exit::Done);
    assert_eq!(asked(&scene), [0; 5], "nothing changes, and nothing is asked for");
}

#[tokio::test(start_paused = true)]
async fn what_is_missing_blocks_its_targets_and_no_others() {
    for (fault, reason) in [
        ("image-missing", format!("the image {IMAGE} does not exist in ECR: there is no repository shop/api")),
        (
            "role-missing",
            format!(
                "the role arn:aws:iam::{A1}:role/ecs/execution does not exist; the role arn:aws:iam::{A1}:role/task does \
                 not exist"
            ),
        ),
        ("log-group-missing", "the log group /ecs/shop does not exist in eu-west-1".to_owned()),
        (
            "secret-missing",
            format!(
                "the parameter /shop/url does not exist in eu-west-1; the secret \
                 arn:aws:secretsmanager:eu-west-1:{A1}:secret:db-AbCdEf does not exist; the secret \
                 arn:aws:secretsmanager:eu-west-1:{A1}:secret:registry-AbCdEf does not exist"
            ),
        ),
    ] {
        // The image is in a registry that both accounts use, so it is missing for both.
        let (pattern, other) = if fault == "image-missing" { ("*", 2) } else { ("a1", 1) };
        let scene = named(2).fault(&format!("{pattern}={fault}"));
        let message = refused(scene.deploy().await);
        assert!(message.contains(&format!("a1/eu-west-1/s0: {reason}")), "{fault}: {message}");
        assert_eq!(message.contains("a0/"), other == 2, "{fault}: {message}");
        assert_eq!(scene.sandbox.calls().writes, Vec::new(), "{fault}");
        let (exit, preview) = planned(&scene).await;
        assert_eq!(
            (exit, preview.totals.blocked, preview.waves[0].outline.changing),
            (Exit::Blocked, other, 2 - other),
            "{fault}"
        );
        assert_eq!(reasons(&preview).len(), 1, "{fault}: {preview:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_other_targets_are_deployed_when_the_blocked_are_skipped() {
    let mut scene = named(3).fault("a1=log-group-missing");
    scene.choice.skip_blocked = true;
    let ran = scene.deploy().await;
    assert_eq!((ran.code(), ran.count(Outcome::Succeeded)), (Exit::Done, 2), "{}", ran.said);
    assert!(ran.state.targets().any(|target| target.is_blocked()), "{}", ran.said);
    assert!(scene.sandbox.calls().writes.iter().all(|write| write.account != A1));
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_shows_what_blocks_and_what_was_not_checked() {
    let mut scene = named(2).fault("a1=role-missing").fault("a0=deny:ssm:*");
    scene.choice.dry_run = true;
    let ran = scene.deploy().await;
    assert_eq!(ran.code(), Exit::Blocked, "{}", ran.said);
    assert!(ran.said.contains("blocked  a1/eu-west-1/s0"), "{}", ran.said);
    assert!(ran.said.contains("note: not checked in a0: ssm:DescribeParameters is not allowed to the role leaf"));
}

#[tokio::test(start_paused = true)]
async fn what_may_not_be_asked_is_a_note_and_no_failure() {
    let scene = named(4);
    for number in 0..4 {
        let arn = format!("arn:aws:iam::20000000000{number}:role/leaf");
        let actions = ["ecs:*", "iam:PassRole", "logs:*", "secretsmanager:*", "ssm:*"].map(str::to_owned).into();
        assert!(scene.sandbox.change_role(&arn, |role| role.actions = Some(actions)), "{number}");
    }
    let scene = scene.fault("a3=deny:logs:DescribeLogGroups");
    let (exit, preview) = planned(&scene).await;
    assert_eq!((exit, preview.totals.register), (Exit::Done, 4));
    let notes = [
        "not checked in 4 accounts: ecr:DescribeImages is not allowed to the role leaf",
        "not checked in 4 accounts: iam:GetRole is not allowed to the role leaf",
        "not checked in a3: logs:DescribeLogGroups is not allowed to the role leaf",
    ];
    assert_eq!(preview.notes, notes);
    let (_, text) = shown(&scene, Form::Text).await;
    assert!(text.contains(&format!("note: {}\n", notes[0])), "{text}");
    let (_, markdown) = shown(&scene, Form::Markdown).await;
    assert!(markdown.contains("> note: not checked in 4 accounts: iam:GetRole"), "{markdown}");
    let ran = scene.deploy().await;
    assert_eq!((ran.code(), ran.count(Outcome::Succeeded)), (Exit::Done, 4), "{}", ran.said);
    assert!(ran.said.contains(&format!("note: {}", notes[1])), "{}", ran.said);
}

#[tokio::test(start_paused = true)]
async fn no_verify_makes_no_calls_for_what_a_definition_names() {
    let mut scene = named(2).fault("*=role-missing");
    scene.choice.no_verify = true;
    let (exit, _) = planned(&scene).await;
    assert_eq!(exit, Exit::Done);
    let ran = scene.deploy().await;
    assert_eq!((ran.code(), asked(&scene)), (Exit::Done, [0; 5]), "{}", ran.said);
}

#[tokio::test(start_paused = true)]
async fn an_image_that_is_missing_fails_the_rollout_that_was_not_checked() {
    let mut scene = named(1).fault("*=image-missing");
    scene.choice.no_verify = true;
    let ran = scene.deploy().await;
    assert_eq!(ran.outcome("a0/eu-west-1/s0"), Some(Outcome::RolledBack), "{}", ran.said);
    assert!(ran.reason("a0/eu-west-1/s0").contains("CannotPullContainerError"));
}

#[tokio::test(start_paused = true)]
async fn a_role_that_tasks_may_not_assume_is_a_finding() {
    let scene = named(1);
    let arn = format!("arn:aws:iam::{A0}:role/task");
    scene.sandbox.remove_role(&arn);
    scene.sandbox.add_role(Role::new(&arn).trusting_service("lambda.amazonaws.com"));
    let message = refused(scene.deploy().await);
    assert!(message.ends_with(&format!("the role {arn} does not trust ecs-tasks.amazonaws.com")), "{message}");
    // The same name on another path is another role.
    scene.sandbox.remove_role(&arn);
    let other = format!("arn:aws:iam::{A0}:role/other/task");
    scene.sandbox.add_role(Role::new(&other).trusting_service("ecs-tasks.amazonaws.com"));
    let message = refused(scene.deploy().await);
    assert!(
        message.ends_with(&format!("the role {arn} does not exist: the role of that name is {other}")),
        "{message}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_is_being_deleted_is_a_finding() {
    let scene = named(1);
    let id = format!("arn:aws:secretsmanager:eu-west-1:{A0}:secret:db-AbCdEf");
    assert!(scene.sandbox.delete_secret(A0, &Need::Secret(Secret::read(&id, REGION))));
    let message = refused(scene.deploy().await);
    assert!(message.ends_with(&format!("the secret {id} is scheduled for deletion")), "{message}");
}

#[tokio::test(start_paused = true)]
async fn a_tag_that_the_repository_lacks_is_told_from_a_repository_that_is_not_there() {
    let scene = named(1);
    let image = Need::Image(Image::read(IMAGE).expect("an image"));
    assert!(scene.sandbox.remove_thing("999999999999", &image));
    let message = refused(scene.deploy().await);
    assert!(message.ends_with(&format!("the image {IMAGE} does not exist in ECR")), "{message}");
    scene.sandbox.add_cache("999999999999", REGION, "shop");
    let (exit, preview) = planned(&scene).await;
    assert_eq!((exit, preview.totals.register), (Exit::Done, 1), "a pull through cache fetches it");
}

#[tokio::test(start_paused = true)]
async fn a_cache_that_may_not_be_read_is_named_in_the_help() {
    let scene = named(1).fault("*=deny:ecr:DescribePullThroughCacheRules").fault("*=image-missing");
    let error = scene.deploy().await.exit.expect_err("refused");
    assert!(error.help[0].contains("allow ecr:DescribePullThroughCacheRules, or deploy with --no-verify"), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_parameter_or_role_of_another_account_blocks() {
    // `check` refuses both in a manifest: these are of a base that only AWS knows.
    let shared = format!("arn:aws:ssm:eu-west-1:{A0}:parameter/shared");
    let mut scene = named(2);
    for target in &mut scene.fleet.targets {
        target.desired.secrets.entry("app".to_owned()).or_default().insert("KEY".to_owned(), shared.clone());
    }
    let mut scene = Scene::seeded(scene.fleet);
    scene.choice.no_verify = true;
    let (exit, preview) = planned(&scene).await;
    assert_eq!((exit, preview.totals.blocked), (Exit::Blocked, 1));
    assert_eq!(
        reasons(&preview),
        [format!("the parameter shared is of account {A0}: tasks of account 200000000001 cannot read it")]
    );
    let mut scene = named(2);
    for target in &mut scene.fleet.targets {
        let Base::File(file) = &target.desired.task_definition else { panic!("a file") };
        let mut file = file.value();
        file["taskRoleArn"] = json!(format!("arn:aws:iam::{A0}:role/tasks"));
        target.desired.task_definition = Base::File(Document::write(&file));
    }
    let mut scene = Scene::seeded(scene.fleet);
    scene.choice.no_verify = true;
    let (exit, preview) = planned(&scene).await;
    assert_eq!((exit, preview.totals.blocked), (Exit::Blocked, 1));
    assert_eq!(
        reasons(&preview),
        [format!(
            "the role arn:aws:iam::{A0}:role/tasks is of account {A0}: it cannot run tasks in account 200000000001"
        )]
    );
}

#[tokio::test(start_paused = true)]
async fn more_tasks_need_what_runs_already_and_fewer_need_nothing() {
    let scene = named(1);
    assert_eq!(scene.deploy().await.code(), Exit::Done);
    let mut more = scene.planning();
    more.fleet.targets[0].desired.desired_count = Some(3);
    let group = Need::LogGroup(LogGroup { region: REGION.to_owned(), name: "/ecs/shop".to_owned() });
    assert!(more.sandbox.remove_thing(A0, &group));
    assert!(refused(more.deploy().await).contains("the log group /ecs/shop does not exist"));
    let mut fewer = scene.planning();
    fewer.fleet.targets[0].desired.desired_count = Some(1);
    assert_eq!(fewer.deploy().await.code(), Exit::Done);
    more.sandbox.add_thing(A0, group);
    assert_eq!(more.deploy().await.code(), Exit::Done);
}

#[tokio::test(start_paused = true)]
async fn accounts_of_other_partitions_are_asked_in_theirs() {
    let text = manifest(1, 1, "").replace("arn:aws:", "arn:aws-cn:").replace("eu-west-1", "cn-north-1");
    let image = "200000000000.dkr.ecr.cn-north-1.amazonaws.com.cn/shop:v2";
    let scene = Scene::new(&text.replace("registry.example.com/s0:v2", image)).quick();
    let (exit, preview) = planned(&scene).await;
    assert_eq!((exit, preview.notes.len(), asked(&scene)), (Exit::Done, 0, [0, 1, 0, 0, 0]));
}

#[tokio::test(start_paused = true)]
async fn a_saved_plan_is_checked_again_when_it_is_carried_out() {
    let directory = Directory::new("verify");
    let scene = named(2).dry_run_to(directory.plan());
    assert_eq!(scene.deploy().await.code(), Exit::Done);
    let carried_out = async |scene: &Scene, no_verify: bool, skip_blocked: bool| {
        let saved = saved_file::read(&directory.plan()).expect("a plan");
        let max_age = Duration::from_secs(3600);
        let terms = ApplyOptions {
            dry_run: false,
            skip_blocked,
            skip_stale: false,
            max_age,
            no_verify,
            origin: Default::default(),
        };
        let run = async |reach: &Connection, view| {
            crate::runs::apply(saved, reach, terms, Start::default(), view, Cancel::default()).await
        };
        scene.ran(run).await
    };
    let scene = scene.fault("a1=role-missing").fault("a0=deny:iam:GetRole");
    scene.sandbox.forget_calls();
    let message = refused(carried_out(&scene, false, false).await);
    assert!(message.contains("a1/eu-west-1/s0: the role ") && !message.contains("a0/"), "{message}");
    assert_eq!(scene.sandbox.calls().writes, Vec::new());
    let ran = carried_out(&scene, false, true).await;
    assert_eq!((ran.code(), ran.outcome("a0/eu-west-1/s0")), (Exit::Done, Some(Outcome::Succeeded)), "{}", ran.said);
    assert!(ran.said.contains("note: not checked in a0: iam:GetRole is not allowed to the role leaf"), "{}", ran.said);
    let ran = carried_out(&scene, true, false).await;
    assert_eq!((ran.code(), ran.outcome("a1/eu-west-1/s0")), (Exit::Done, Some(Outcome::Succeeded)), "{}", ran.said);
}

#[tokio::test(start_paused = true)]
async fn checks_cost_few_calls_and_the_deploy_no_more_than_before() {
    let scene = named(20);
    let ran = scene.deploy().await;
    assert_eq!((ran.code(), ran.count(Outcome::Succeeded)), (Exit::Done, 20));
    // Two roles, an image, a log group, two secrets and a parameter in each account.
    assert_eq!(asked(&scene), [40, 20, 20, 40, 20]);
}

/// A service whose task before the deployment has a definition of its own.
fn with_task(definition: &str, container: &str) -> Scene {
    let task = format!(
        "before: [ {{ run_task: migrate, task_definition: {definition}, container: {container}, command: [up] }} ]"
    );
    let text = manifest(2, 1, "");
    let scene = Scene::new(&text.replace("    cluster: main\n", &format!("    cluster: main\n    {task}\n")));
    for (account, id) in [("a0", A0), ("a1", A1)] {
        let input = serde_json::json!({ "family": "migrate", "memory": "128",
            "executionRoleArn": format!("arn:aws:iam::{id}:role/migrates"),
            "containerDefinitions": [{ "name": "job", "image": "registry.example.com/migrate:1", "memory": 128 }] });
        scene.sandbox.call_as_operator(account, "eu-west-1", "RegisterTaskDefinition", &input).expect("registered");
    }
    scene
}

#[tokio::test(start_paused = true)]
async fn what_a_tasks_own_definition_names_is_looked_for_too() {
    let scene = with_task("migrate", "job");
    let ran = scene.deploy().await;
    let error = ran.exit.as_ref().expect_err("refused");
    assert_eq!(error.exit, Exit::Blocked, "{}", ran.said);
    let missing = "a0/eu-west-1/s0: the role arn:aws:iam::200000000000:role/migrates does not exist";
    assert!(error.message.contains(missing), "{error}");
    assert_eq!(scene.sandbox.calls().writes, Vec::new());
}

#[tokio::test(start_paused = true)]
async fn a_tasks_own_definition_that_cannot_be_used_blocks_its_targets() {
    for (definition, container, reason) in [
        ("none", "job", "the task definition none of the task migrate cannot be used: "),
        (
            "migrate",
            "app",
            "the task migrate is of the container `app`, which the task definition migrate does not have",
        ),
    ] {
        let scene = with_task(definition, container);
        let ran = scene.deploy().await;
        let error = ran.exit.as_ref().expect_err("refused");
        assert_eq!(error.exit, Exit::Blocked, "{definition}: {}", ran.said);
        assert!(error.message.contains(reason), "{definition}: {error}");
        assert_eq!(scene.sandbox.calls().writes, Vec::new(), "{definition}");
    }
    let scene = with_task("\"migrate:1\"", "job");
    let input = serde_json::json!({ "taskDefinition": "migrate:1" });
    scene.sandbox.call_as_operator("a1", "eu-west-1", "DeregisterTaskDefinition", &input).expect("deregistered");
    let error = scene.deploy().await.exit.expect_err("refused");
    assert!(error.message.contains("a1/eu-west-1/s0: the task definition migrate:1 of the task migrate is INACTIVE"));
}

#[tokio::test(start_paused = true)]
async fn counts_that_leave_no_task_to_move_are_warned_of() {
    let bounds = "    deployment: { minimum_healthy_percent: 50, maximum_percent: 100 }\n";
    for (count, planned_note, checked) in [
        (1, Some("no task can move (1 task: at least 1, at most 1)"), 1),
        (2, None, 0),
        (0, Some("its desired count is 0: no task runs the new revision"), 0),
    ] {
        let more = format!("    cluster: main\n    desired_count: {count}\n{bounds}");
        let scene = Scene::new(&manifest(1, 1, "").replace("    cluster: main\n", &more)).quick();
        assert_eq!(scene.fleet.warnings.len(), checked, "{count}: {:?}", scene.fleet.warnings);
        let (exit, text) = shown(&scene, Form::Text).await;
        assert_eq!(exit, Exit::Done, "{count}: {text}");
        let notes = ["no task can move", "its desired count is 0"].iter().filter(|note| text.contains(**note)).count();
        assert_eq!(notes, usize::from(planned_note.is_some()), "{count}: {text}");
        assert!(planned_note.is_none_or(|note| text.contains(note)), "{count}: {text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_success_without_a_task_is_said_to_be_one() {
    for (count, told) in [(0, 1), (1, 0)] {
        let more = format!("    cluster: main\n    desired_count: {count}\n");
        let scene = Scene::new(&manifest(1, 1, "").replace("    cluster: main\n", &more)).quick();
        let ran = scene.deploy().await;
        assert_eq!((ran.code(), ran.count(Outcome::Succeeded)), (Exit::Done, 1), "{count}: {}", ran.said);
        let mut record = Record::new();
        ran.events.iter().for_each(|event| record.apply(event));
        let report = record.take_report();
        let texts = [
            summary::text(&ran.state, Paint(false), 120, summary::Extent::Whole),
            report.targets[0].events.iter().map(|line| line.text.as_str()).collect::<String>(),
            roleout::report::markdown::text(&report),
        ];
        let words = [
            "no task ran the revision, since the desired count is 0: 1 target",
            "so no task ran it",
            "no task ran the revision in 1 target, whose desired count is 0",
        ];
        for (text, words) in texts.iter().zip(words) {
            assert_eq!(text.matches(words).count(), told, "{count}: {text}");
        }
        assert_eq!(report.targets[0].ran_no_task, told == 1, "{count}");
    }
}
