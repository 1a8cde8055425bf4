//! Which definition a target runs: revisions that exist, images of the command line, tags, and newer commits.

use roleout::base::document::Document;
use roleout::base::exit::Exit;
use roleout::connect::Connection;
use roleout::event::Event;
use roleout::fleet::{Base, Commit, ImageError, Outcome};
use roleout::operations::status;
use roleout::plan::saved::Saved;
use roleout::run::plan::{self, PlanOptions};
use roleout::run::saved_plan::ApplyOptions;
use roleout::status::{Drift, Status};
use roleout::view::View;
use roleout::view::options::Options;
use roleout::view::status::Layout;
use serde_json::{Value, json};

use crate::harness::{Directory, Ran, Scene, Shared, fleet, manifest};

const ONE: &str = "a0/eu-west-1/s0";
const LEAF: &str = "arn:aws:iam::200000000000:role/leaf";
const NEWER: &str = "2026-11-02T08:59:00Z";
const OLDER: &str = "2026-11-01T08:59:00Z";

/// One target with more in its manifest, from which `images` is taken where the service is to have none.
fn scene(more: &str, images: bool) -> Scene {
    Scene::new(&text(more, images)).quick()
}

fn text(more: &str, images: bool) -> String {
    let text = manifest(1, 1, "");
    let text = text.replace("    cluster: main\n", &format!("    cluster: main\n{more}"));
    if images {
        text
    } else {
        text.lines().filter(|line| !line.contains("images:")).map(|line| format!("{line}\n")).collect()
    }
}

/// Loads another manifest for the same AWS, as a later job does.
fn later(scene: &Scene, more: &str, images: bool) -> Scene {
    Scene { fleet: fleet(&text(more, images)), ..scene.planning() }
}

fn at(scene: &mut Scene, sha: &str, at: &str) {
    scene.fleet.release.commit =
        Commit { sha: Some(sha.to_owned()), at: Some(at.parse().expect("a time")), pipeline: Some("1001".to_owned()) };
}

fn image(scene: &mut Scene, image: &str) {
    scene.fleet.choose_images(&[image.parse().expect("a choice")]).expect("it matches");
}

fn behind(scene: &Scene, operation: &str, input: &Value) -> Value {
    scene.sandbox.call_as_operator("a0", "eu-west-1", operation, input).expect(operation)
}

fn live(scene: &Scene) -> String {
    let service = scene.sandbox.service("a0", "eu-west-1", "main", "s0").expect("a service");
    service.task_definition.rsplit('/').next().expect("a revision").to_owned()
}

fn tags(scene: &Scene, revision: &str) -> Vec<(String, String)> {
    let answer = behind(scene, "DescribeTaskDefinition", &json!({ "taskDefinition": revision, "include": ["TAGS"] }));
    let text = |tag: &Value, member: &str| tag[member].as_str().expect("text").to_owned();
    answer["tags"].as_array().into_iter().flatten().map(|tag| (text(tag, "key"), text(tag, "value"))).collect()
}

fn tag(key: &str, value: &str) -> (String, String) {
    (key.to_owned(), value.to_owned())
}

fn message(ran: &Ran) -> String {
    let error = ran.exit.as_ref().expect_err("refused");
    format!("{} help: {}", error.message, error.help.join("; "))
}

/// What stderr said, however its lines are broken.
fn words(ran: &Ran) -> String {
    ran.said.split_whitespace().collect::<Vec<_>>().join(" ")
}

async fn shown(scene: &Scene, layout: Layout) -> String {
    let out = Shared::default();
    let view = View::new(Options::default(), Box::new(out.clone()), Box::new(std::io::sink()));
    let reach = Connection::sandbox(&scene.fleet, &scene.sandbox, scene.token.clone());
    let choice = status::StatusOptions { layout, detailed_exitcode: false };
    let exit = status::run(&scene.fleet, &reach, choice, view, scene.cancel.clone()).await;
    assert_eq!(exit, Ok(Exit::Done));
    out.text()
}

async fn seen(scene: &Scene) -> Status {
    serde_json::from_str(&shown(scene, Layout::Json).await).expect("a status")
}

#[tokio::test(start_paused = true)]
async fn what_is_set_is_registered_once_and_stays_as_it_is() {
    let set = "    task_definition: { set: { containerDefinitions: { app: { stopTimeout: 40, readonlyRootFilesystem: \"true\" } } } }\n";
    let scene = scene(set, false);
    assert_eq!(scene.deploy().await.outcome(ONE), Some(Outcome::Succeeded));
    let revision = live(&scene);
    let definition = scene.sandbox.task_definition("a0", "eu-west-1", &revision).expect("a definition");
    let app = &definition["containerDefinitions"][0];
    assert_eq!((&app["stopTimeout"], &app["readonlyRootFilesystem"]), (&json!(40), &json!(true)));
    assert_eq!(later(&scene, set, false).deploy().await.outcome(ONE), Some(Outcome::Unchanged));
    let more =
        "    overrides: [{ select: {}, set: { containerDefinitions: { app: { readonlyRootFilesystem: null } } } }]\n";
    assert_eq!(later(&scene, &format!("{set}{more}"), false).deploy().await.outcome(ONE), Some(Outcome::Succeeded));
    let definition = scene.sandbox.task_definition("a0", "eu-west-1", &live(&scene)).expect("a definition");
    let app = &definition["containerDefinitions"][0];
    assert_eq!((&app["stopTimeout"], app.get("readonlyRootFilesystem")), (&json!(40), None));
}

#[tokio::test(start_paused = true)]
async fn a_revision_that_exists_is_deployed_and_nothing_is_registered() {
    let scene = scene("    task_definition: { family: shared, revision: 12 }\n    desired_count: 3\n", false);
    assert_eq!(live(&scene), "shared:11");
    let ran = scene.deploy().await;
    assert_eq!((ran.code(), ran.outcome(ONE)), (Exit::Done, Some(Outcome::Succeeded)), "{}", ran.said);
    assert_eq!(live(&scene), "shared:12");
    let calls = scene.sandbox.calls();
    assert_eq!((calls.operation("RegisterTaskDefinition"), calls.operation("UpdateService")), (0, 1));
    assert_eq!(calls.operation("DescribeTaskDefinition"), 2, "the live one and the named one");
    scene.sandbox.forget_calls();
    let again = scene.deploy().await;
    assert_eq!((again.code(), again.outcome(ONE)), (Exit::Done, Some(Outcome::Unchanged)), "{}", again.said);
    assert_eq!(scene.sandbox.calls().operation("DescribeTaskDefinition"), 1, "they are one");
    assert_eq!(seen(&scene).await.targets[0].drift, Drift::None);
    // Settings still compare.
    let more = later(&scene, "    task_definition: { family: shared, revision: 12 }\n    desired_count: 4\n", false);
    let ran = more.deploy().await;
    assert_eq!((ran.code(), ran.outcome(ONE)), (Exit::Done, Some(Outcome::Succeeded)), "{}", ran.said);
    assert_eq!(scene.sandbox.service("a0", "eu-west-1", "main", "s0").expect("a service").desired, 4);
    assert_eq!(live(&scene), "shared:12");
}

#[tokio::test(start_paused = true)]
async fn a_revision_of_the_same_content_is_another_revision() {
    let scene = scene("    task_definition: { family: shared, revision: 12 }\n", false);
    assert_eq!(scene.deploy().await.code(), Exit::Done);
    let mut same = scene.sandbox.task_definition("a0", "eu-west-1", "shared:12").expect("a definition");
    for member in ["taskDefinitionArn", "revision", "status", "registeredAt", "registeredBy"] {
        same.as_object_mut().expect("an object").remove(member);
    }
    behind(&scene, "RegisterTaskDefinition", &same);
    let newest = later(&scene, "    task_definition: { family: shared }\n", false);
    assert!(matches!(&seen(&newest).await.targets[0].drift, Drift::Differs { what }
        if what[..] == ["shared:13 instead of shared:12, of the same content"]));
    let ran = newest.deploy().await;
    assert_eq!((ran.code(), live(&scene).as_str()), (Exit::Done, "shared:13"), "{}", ran.said);
    assert_eq!(scene.sandbox.calls().operation("RegisterTaskDefinition"), 0);
    assert_eq!(newest.deploy().await.outcome(ONE), Some(Outcome::Unchanged));
}

#[tokio::test(start_paused = true)]
async fn changes_on_top_of_a_revision_are_a_new_one_of_its_family() {
    let scene = scene("    task_definition: { family: shared, revision: 12 }\n", true);
    let ran = scene.deploy().await;
    assert_eq!((ran.code(), live(&scene).as_str()), (Exit::Done, "shared:13"), "{}", ran.said);
    let definition = scene.sandbox.task_definition("a0", "eu-west-1", "shared:13").expect("a definition");
    assert_eq!(definition["containerDefinitions"][0]["image"], "registry.example.com/s0:v2");
    let again = scene.deploy().await;
    assert_eq!(again.outcome(ONE), Some(Outcome::Unchanged), "{}", again.said);
}

#[tokio::test(start_paused = true)]
async fn a_revision_that_is_not_there_or_not_active_blocks_before_anything_is_changed() {
    let scene = scene("    task_definition: { family: shared, revision: 12 }\n", false);
    for (more, reason) in [
        ("{ family: shared, revision: 99 }", "there is no revision shared:99"),
        ("{ family: other }", "the family `other` has no ACTIVE revision"),
    ] {
        let ran = later(&scene, &format!("    task_definition: {more}\n"), false).deploy().await;
        assert_eq!(ran.code(), Exit::Blocked, "{more}");
        assert!(message(&ran).contains(reason), "{more}: {}", message(&ran));
    }
    let directory = Directory::new("retired");
    let ran = scene.planning().dry_run_to(directory.plan()).deploy().await;
    assert_eq!(ran.code(), Exit::Done);
    behind(&scene, "DeregisterTaskDefinition", &json!({ "taskDefinition": "shared:12" }));
    let ran = scene.deploy().await;
    assert_eq!(ran.code(), Exit::Blocked);
    assert!(
        message(&ran).contains("the revision shared:12 is INACTIVE help: name an ACTIVE revision"),
        "{}",
        message(&ran)
    );
    // A plan that was saved before is refused as well, and not half carried out.
    let plan = Saved::parse(&fs_err::read_to_string(directory.plan()).expect("a file")).expect("a plan");
    let terms = ApplyOptions {
        dry_run: false,
        skip_blocked: false,
        skip_stale: false,
        no_verify: false,
        max_age: std::time::Duration::from_secs(3600),
        origin: Default::default(),
    };
    let ran = scene
        .ran(async |reach, view| {
            crate::runs::apply(plan, reach, terms, scene.start.clone(), view, scene.cancel.clone()).await
        })
        .await;
    assert_eq!(ran.code(), Exit::Blocked);
    assert!(message(&ran).contains("the revision shared:12 is INACTIVE now"), "{}", message(&ran));
    assert_eq!(scene.sandbox.calls().operation("UpdateService"), 0);
    // What runs it already needs nothing.
    let live = later(&scene, "    task_definition: { family: shared, revision: 11 }\n", false);
    behind(&scene, "DeregisterTaskDefinition", &json!({ "taskDefinition": "shared:11" }));
    assert_eq!(live.deploy().await.outcome(ONE), Some(Outcome::Unchanged));
}

#[tokio::test(start_paused = true)]
async fn an_image_of_the_command_line_takes_the_place_of_the_manifests() {
    let mut scene = Scene::of(2, 2, "").quick();
    image(&mut scene, "s1/app=registry.example.com/s1:hotfix");
    let ran = scene.deploy().await;
    assert_eq!((ran.code(), ran.count(Outcome::Succeeded)), (Exit::Done, 4), "{}", ran.said);
    let image_of = |family: &str| {
        let definition = scene.sandbox.task_definition("a1", "eu-west-1", family).expect("a definition");
        definition["containerDefinitions"][0]["image"].clone()
    };
    assert_eq!(
        (image_of("s0"), image_of("s1")),
        (json!("registry.example.com/s0:v2"), json!("registry.example.com/s1:hotfix"))
    );
    // Without a service it is for all that name the container, and one with a service still wins.
    let mut both = scene.fleet.clone();
    let choices = ["s1/app=r/s1:3", "app=r/all:3"].map(|text| text.parse().expect("a choice"));
    both.choose_images(&choices).expect("they match");
    let images: Vec<&str> = both.targets.iter().map(|target| target.desired.images["app"].as_str()).collect();
    assert_eq!(images, ["r/all:3", "r/s1:3", "r/all:3", "r/s1:3"]);
}

#[test]
fn an_image_that_matches_nothing_names_near_misses() {
    let fleet = fleet(&manifest(1, 2, ""));
    let miss = |text: &str| fleet.clone().choose_images(&[text.parse().expect("a choice")]).expect_err("a miss");
    assert_eq!(
        miss("ap=r:1").to_string(),
        "--image: no selected service has a container `ap` in `images` or in its task definition file; did you mean `app`?; \
         SERVICE/ap=... names a service anyway"
    );
    assert_eq!(
        miss("s2/app=r:1").to_string(),
        "--image: no selected target is of a service `s2`; the nearest are `s0`, `s1`"
    );
    assert!(matches!(miss("app2=r:1"), ImageError::NowhereNamed { .. }));
    // What a live definition has is not known before AWS is asked: a service that is named takes any container.
    assert_eq!(fleet.clone().choose_images(&["s0/sidecar=r:1".parse().expect("a choice")]), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_registered_revision_is_tagged_and_its_own_tags_are_kept() {
    let mut scene = scene("", true);
    let mut team = scene.sandbox.task_definition("a0", "eu-west-1", "s0").expect("a definition");
    for member in ["taskDefinitionArn", "revision", "status", "registeredAt", "registeredBy"] {
        team.as_object_mut().expect("an object").remove(member);
    }
    team["tags"] = json!([{ "key": "team", "value": "shop" }, { "key": "roleout:commit", "value": "stale" }]);
    behind(&scene, "RegisterTaskDefinition", &team);
    behind(&scene, "UpdateService", &json!({ "cluster": "main", "service": "s0", "taskDefinition": "s0" }));
    tokio::time::sleep(std::time::Duration::from_secs(600)).await;
    at(&mut scene, "5f2c9d7be0a14c3f", NEWER);
    let ran = scene.deploy().await;
    assert_eq!(ran.code(), Exit::Done, "{}", ran.said);
    let ours = [
        tag("roleout:commit", "5f2c9d7be0a14c3f"),
        tag("roleout:committed-at", NEWER),
        tag("roleout:pipeline", "1001"),
        tag("team", "shop"),
    ];
    assert_eq!(tags(&scene, "s0"), ours);
    // Tags are no difference: a later commit of the same content changes nothing, and nothing is registered.
    let mut next = scene.planning();
    at(&mut next, "0000000", "2026-11-02T08:59:30Z");
    assert_eq!(next.deploy().await.outcome(ONE), Some(Outcome::Unchanged));
    assert_eq!(tags(&scene, "s0"), ours);
    let status = seen(&next).await;
    let commit = status.targets[0].live.as_ref().and_then(|live| live.commit.clone()).expect("its tags say it");
    assert_eq!((commit.short_sha(), commit.pipeline.as_deref()), (Some("5f2c9d7b"), Some("1001")));
    let table = shown(&next, Layout::Table).await;
    assert!(table.contains("  commit  ") && table.contains("  5f2c9d7b  "), "{table}");
}

#[tokio::test(start_paused = true)]
async fn tags_can_be_turned_off() {
    let scene = Scene::new(&manifest(1, 1, "rollout: { tag_revisions: false }\n")).quick();
    assert_eq!(scene.deploy().await.code(), Exit::Done);
    assert_eq!(tags(&scene, "s0"), []);
}

#[tokio::test(start_paused = true)]
async fn a_role_that_may_not_tag_deploys_without_and_says_so_once() {
    for denied_by_policy in [true, false] {
        let scene = Scene::of(1, 3, "").quick();
        let scene = if denied_by_policy {
            let policy = json!({ "Statement": [
                { "Effect": "Allow", "Action": "ecs:*", "Resource": "*" },
                { "Effect": "Deny", "Action": "ecs:TagResource", "Resource": "*" },
            ] });
            assert!(scene.sandbox.change_role(LEAF, |role| role.policy = Some(policy)), "{denied_by_policy}");
            scene
        } else {
            scene.fault("*=deny:ecs:TagResource")
        };
        let ran = scene.deploy().await;
        assert_eq!((ran.code(), ran.count(Outcome::Succeeded)), (Exit::Done, 3), "{denied_by_policy}: {}", ran.said);
        let refusals: Vec<_> = ran
            .events
            .iter()
            .filter_map(|it| match &it.event {
                Event::TagsRefused { account, reason, help } => Some((account.as_str(), reason, help)),
                _ => None,
            })
            .collect();
        let [(account, reason, help)] = refusals[..] else { panic!("{refusals:?}") };
        assert_eq!(account, "a0", "{denied_by_policy}");
        assert!(reason.contains("not authorized to perform: ecs:TagResource"), "{denied_by_policy}: {reason}");
        assert!(reason.contains(" (request id "), "{denied_by_policy}: {reason}");
        assert_eq!(
            *help,
            format!("allow ecs:TagResource to {LEAF}, or write `tag_revisions: false`"),
            "{denied_by_policy}"
        );
        assert_eq!(
            ran.said.matches("! revisions in a0 are registered without tags: ").count(),
            1,
            "{denied_by_policy}: {}",
            ran.said
        );
        assert_eq!(tags(&scene, "s0"), [], "{denied_by_policy}");
        assert_eq!(scene.sandbox.calls().operation("UpdateService"), 3, "{denied_by_policy}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_ecs_keeps_otherwise_than_it_was_sent_is_told_once() {
    let file = json!({ "family": "shop", "cpu": "256", "memory": "512", "networkMode": "awsvpc",
        "containerDefinitions": [{ "name": "app", "image": "r/shop:1" }] });
    for (fault, told) in [(Some("*=fills-in"), 1), (None, 0)] {
        let mut fleet = fleet(&manifest(2, 1, ""));
        for target in &mut fleet.targets {
            target.desired.task_definition = Base::File(Document::write(&file));
        }
        let scene = Scene::seeded(fleet).quick();
        let scene = fault.into_iter().fold(scene, Scene::fault);
        let ran = scene.deploy().await;
        assert_eq!(ran.count(Outcome::Succeeded), 2, "{fault:?}: {}", ran.said);
        let altered: Vec<_> = ran
            .events
            .iter()
            .filter_map(|it| match &it.event {
                Event::DefinitionAltered { family, differences, .. } => Some((family.as_str(), differences.join(", "))),
                _ => None,
            })
            .collect();
        assert_eq!(altered, vec![("shop", "app: stopTimeout added: 30".to_owned()); told], "{fault:?}");
        let words =
            "! ECS changed the definition of shop when it registered it: app: stopTimeout added: 30; write that";
        assert_eq!(ran.said.matches(words).count(), told, "{fault:?}: {}", ran.said);
        // What is told of is what each run would do again.
        let again = if told == 0 { Outcome::Unchanged } else { Outcome::Succeeded };
        assert_eq!(scene.deploy().await.count(again), 2, "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn tags_of_a_file_are_never_left_out() {
    let mut scene = scene("", true);
    let live = scene.sandbox.task_definition("a0", "eu-west-1", "s0").expect("a definition");
    let mut file = roleout::task_definition::normalise::registrable(&live);
    file["tags"] = json!([{ "key": "team", "value": "shop" }, { "key": "roleout:commit", "value": "of another run" }]);
    scene.fleet.targets[0].desired.task_definition = Base::File(Document::write(&file));
    let denied = scene.planning().fault("*=deny:ecs:TagResource");
    let ran = denied.deploy().await;
    assert_eq!(ran.outcome(ONE), Some(Outcome::Failed), "{}", ran.said);
    assert!(ran.reason(ONE).contains("ecs:TagResource"), "{}", ran.reason(ONE));
    assert!(
        words(&ran).contains(&format!("allow ecs:TagResource to {LEAF}: the task definition file has tags")),
        "{}",
        ran.said
    );
    assert_eq!(live["revision"], scene.sandbox.task_definition("a0", "eu-west-1", "s0").expect("one")["revision"]);
    // Whoever may tag has them, and those of the run.
    let mut allowed = self::scene("", true);
    allowed.fleet = scene.fleet;
    at(&mut allowed, "5f2c9d7b", NEWER);
    assert_eq!(allowed.deploy().await.code(), Exit::Done);
    let kept = tags(&allowed, "s0");
    assert_eq!((&kept[0], &kept[1], kept.len()), (&tag("team", "shop"), &tag("roleout:commit", "5f2c9d7b"), 4));
}

#[tokio::test(start_paused = true)]
async fn a_role_that_may_not_register_is_told_so() {
    let scene = scene("", true).fault("*=deny:ecs:RegisterTaskDefinition");
    let ran = scene.deploy().await;
    assert_eq!(ran.outcome(ONE), Some(Outcome::Failed), "{}", ran.said);
    assert!(words(&ran).contains(&format!("allow ecs:RegisterTaskDefinition to {LEAF}")), "{}", ran.said);
    assert!(!ran.said.contains("without tags"), "{}", ran.said);
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_of_a_tagged_registration_is_looked_up() {
    let mut scene = scene("", true).fault("*=lost:100");
    at(&mut scene, "5f2c9d7be0a14c3f", NEWER);
    let ran = scene.deploy().await;
    assert_eq!((ran.code(), ran.outcome(ONE)), (Exit::Done, Some(Outcome::Succeeded)), "{}", ran.said);
    assert_eq!(scene.sandbox.calls().operation("RegisterTaskDefinition"), 1);
    assert_eq!(tags(&scene, "s0").len(), 3);
}

#[tokio::test(start_paused = true)]
async fn an_older_commit_does_not_take_the_place_of_a_newer_one() {
    let mut newer = scene("", true);
    at(&mut newer, "abc1234def", NEWER);
    assert_eq!(newer.deploy().await.code(), Exit::Done);
    let writes = newer.sandbox.calls().writes.len();
    // The same content: there is nothing to roll back to.
    let mut older = newer.planning();
    at(&mut older, "0001111", OLDER);
    assert_eq!(older.deploy().await.outcome(ONE), Some(Outcome::Unchanged));
    image(&mut older, "app=registry.example.com/s0:v1");
    let ran = older.deploy().await;
    assert_eq!(ran.code(), Exit::Blocked);
    assert_eq!(
        message(&ran),
        "targets are blocked:\n  a0/eu-west-1/s0: a newer commit (abc1234d of 2026-11-02 08:59 UTC) is deployed already \
         help: deploy the newer commit again, or deploy this one with --allow-older; nothing was changed; \
         --skip-blocked goes on without these targets"
    );
    let view = View::new(Options::default(), Box::new(std::io::sink()), Box::new(std::io::sink()));
    let reach = Connection::sandbox(&older.fleet, &older.sandbox, older.token.clone());
    let planned = plan::run(older.fleet.clone(), &reach, &PlanOptions::default(), view, older.cancel.clone()).await;
    assert_eq!(planned.map_err(|error| error.exit), Err(Exit::Blocked));
    assert_eq!(newer.sandbox.calls().writes.len(), writes, "nothing was changed");
    // What a status says of the differences is not hidden by it.
    let target = seen(&older).await.targets.remove(0);
    assert!(matches!(&target.drift, Drift::Pending { what } if what[0].starts_with("app: image ")), "{target:?}");
    assert!(target.blocked.is_some_and(|it| it.reason.contains("abc1234d")));
    // The same commit may be deployed again, whatever the clock says; so may any, if asked for.
    let mut same = older.planning();
    at(&mut same, "abc1234def", OLDER);
    same.choice.dry_run = true;
    assert_eq!(same.deploy().await.code(), Exit::Done);
    older.fleet.release.allow_older = true;
    let ran = older.deploy().await;
    assert_eq!((ran.code(), ran.outcome(ONE)), (Exit::Done, Some(Outcome::Succeeded)), "{}", ran.said);
    assert_eq!(tags(&older, "s0")[0], tag("roleout:commit", "0001111"));
}

#[tokio::test(start_paused = true)]
async fn what_ecs_would_refuse_is_blocked_before_the_first_write() {
    let value = "x".repeat(66_000);
    let scene = scene(&format!("    environment: {{ app: {{ BIG: {value} }} }}\n"), true);
    let ran = scene.deploy().await;
    assert_eq!(ran.code(), Exit::Blocked);
    assert!(message(&ran).contains("bytes help: ECS takes at most 65536"), "{}", message(&ran));
    assert_eq!(scene.sandbox.calls().operation("RegisterTaskDefinition"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_running_revision_that_is_inactive_cannot_be_deployed_again() {
    let mut scene = scene("", false);
    let arn = scene.sandbox.service("a0", "eu-west-1", "main", "s0").expect("a service").task_definition;
    behind(&scene, "DeregisterTaskDefinition", &json!({ "taskDefinition": arn }));
    scene.fleet.release.force_new_deployment = true;
    let ran = scene.deploy().await;
    assert_eq!(ran.code(), Exit::Blocked, "{}", ran.said);
    let refused = format!("{:?}", ran.exit);
    assert!(refused.contains("is INACTIVE, and ECS deploys no such revision"), "{refused}");
    assert_eq!(scene.sandbox.calls().operation("UpdateService"), 0);
}

#[tokio::test(start_paused = true)]
async fn the_sandbox_passes_no_role_across_accounts() {
    let scene = scene("", true);
    let with = |role: &str| {
        let definition = json!({ "family": "x", "memory": "128", "taskRoleArn": role,
            "containerDefinitions": [{ "name": "app", "image": "x" }] });
        scene.sandbox.call_as_operator("a0", "eu-west-1", "RegisterTaskDefinition", &definition)
    };
    assert!(with("arn:aws:iam::200000000000:role/x").is_ok() && with("x").is_ok());
    let refused = with("arn:aws:iam::999999999999:role/x").expect_err("refused");
    assert!(refused.contains("Cross-account pass role is not allowed."), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn a_daemon_service_has_no_desired_count() {
    let scene = scene("    desired_count: 4\n", true).fault("*=daemon");
    let ran = scene.deploy().await;
    assert_eq!(ran.code(), Exit::Blocked, "{}", ran.said);
    let refused = format!("{:?}", ran.exit);
    assert!(refused.contains("its scheduling strategy is DAEMON"), "{refused}");
    assert_eq!(scene.sandbox.calls().operation("RegisterTaskDefinition"), 0);
    let ran = later(&scene, "", true).deploy().await;
    assert_eq!((ran.code(), ran.outcome(ONE)), (Exit::Done, Some(Outcome::Succeeded)), "{}", ran.said);
}

#[tokio::test(start_paused = true)]
async fn a_described_file_of_every_form_is_deployed_once() {
    let described = json!({ "taskDefinition": {
        "taskDefinitionArn": "arn:aws:ecs:us-east-1:999999999999:task-definition/shop:7", "revision": 7, "status": "ACTIVE",
        "family": "shop", "cpu": "256", "memory": "512", "networkMode": "awsvpc", "pidMode": "", "ipcMode": "",
        "taskRoleArn": "", "inferenceAccelerators": null, "volumes": [null],
        "containerDefinitions": [
            { "name": "app", "image": "999999999999.dkr.ecr.us-east-1.amazonaws.com/shop:1", "appProtocol": null,
              "environment": [{ "name": "A", "value": null }, { "name": "B", "value": "" }], "secrets": [],
              "logConfiguration": { "logDriver": "awsfirelens", "options": { "Name": "stdout" } },
              "portMappings": [{ "containerPort": 80, "protocol": "http", "appProtocol": "" }] },
            { "name": "log", "image": "fluent", "firelensConfiguration": { "type": "fluentbit" } },
        ],
        "requiresAttributes": [{ "name": "x" }], "compatibilities": ["EC2"], "registeredAt": 1.5,
    } });
    let mut scene = scene("", false);
    scene.fleet.targets[0].desired.task_definition = Base::File(Document::write(&described));
    let scene = Scene::seeded(scene.fleet).quick();
    let ran = scene.deploy().await;
    assert_eq!((ran.code(), ran.outcome(ONE)), (Exit::Done, Some(Outcome::Succeeded)), "{}", ran.said);
    let again = scene.deploy().await;
    assert_eq!(again.outcome(ONE), Some(Outcome::Unchanged), "{}", again.said);
}
