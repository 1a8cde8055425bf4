//! `pin: digest` and `wait_for_images`: one image, the same everywhere, and known before anything is changed.

use roleout::base::exit::Exit;
use roleout::connect::Connection;
use roleout::fleet::Outcome;
use roleout::iam::IamOptions;
use roleout::operations::running_images;
use roleout::status::images::schema;
use roleout::view::View;
use roleout::view::options::Options;

use crate::harness::{Ran, Scene, Shared, everything, manifest};
use crate::iam::{allow, needed, without};
use crate::runs;
use crate::saved;

const OWN: &str = "${account.id}.dkr.ecr.${region}.amazonaws.com/s0:v2";
const SHARED: &str = "999999999999.dkr.ecr.eu-west-1.amazonaws.com/s0:v2";

/// A fleet of accounts whose service has an image, with settings of all services.
fn scene(accounts: usize, image: &str, defaults: &str) -> Scene {
    let text = manifest(accounts, 1, &format!("defaults: {{ {defaults} }}\n"));
    Scene::new(&text.replace("registry.example.com/s0:v2", image)).quick()
}

/// Returns the image that an account's service runs.
fn image(scene: &Scene, account: usize) -> String {
    scene.image(&format!("a{account}"), "eu-west-1", "s0")
}

/// Returns the digest of the image that an account's service runs.
fn digest(scene: &Scene, account: usize) -> String {
    let image = image(scene, account);
    image.split_once('@').unwrap_or_else(|| panic!("{image} has no digest")).1.to_owned()
}

/// Pushes another image to the registry of an account.
fn push(scene: &Scene, account: usize, content: &str) {
    let id = format!("{}", 200_000_000_000_u64 + account as u64);
    scene.sandbox.push_image(&OWN.replace("${account.id}", &id).replace("${region}", "eu-west-1"), content);
}

fn refusal(ran: &Ran) -> String {
    ran.exit.as_ref().expect_err("a refusal").to_string()
}

#[tokio::test(start_paused = true)]
async fn every_account_gets_the_digest_with_the_tag_beside_it_and_a_second_run_changes_nothing() {
    let scene = scene(3, OWN, "pin: digest");
    let ran = scene.deploy().await;
    assert_eq!((ran.code(), ran.count(Outcome::Succeeded)), (Exit::Done, 3), "{}", ran.said);
    assert!(image(&scene, 1).starts_with("200000000001.dkr.ecr.eu-west-1.amazonaws.com/s0:v2@sha256:"));
    assert_eq!(digest(&scene, 0), digest(&scene, 2));
    let changes = &ran.state.targets().next().expect("a target").changes;
    assert!(changes[0].ends_with(&format!("/s0:v2@{}", digest(&scene, 0))), "{changes:?}");
    let again = scene.planning().deploy().await;
    assert_eq!((again.code(), again.count(Outcome::Succeeded)), (Exit::Done, 0), "{}", again.said);
}

#[tokio::test(start_paused = true)]
async fn forty_registries_are_compared_and_waited_for_before_anything_is_changed() {
    let scene = scene(40, OWN, "pin: digest, wait_for_images: 10m")
        .fault("a7=image-differs")
        .fault("a23=image-late:180")
        .fault("a31=image-missing");
    let ran = scene.deploy().await;
    assert_eq!(ran.code(), Exit::Blocked, "{}", ran.said);
    let told = refusal(&ran);
    let (others, other) = (told.find("sha256:").expect("a digest"), told.rfind("sha256:").expect("a digest"));
    let words = told.replace(&told[others..others + 19], "[one]").replace(&told[other..other + 19], "[other]");
    let place = "${account.id}.dkr.ecr.${region}.amazonaws.com";
    let table = format!(
        "the image {place}/s0:v2 is not the same everywhere: [one] in a0, a1, a2, a3, a4 and 33 more; [other] in a7; \
         not there in a31"
    );
    assert!(words.contains(&table), "{words}");
    let late = "a31/eu-west-1/s0: the image 200000000031.dkr.ecr.eu-west-1.amazonaws.com/s0:v2 does not exist in ECR: there \
                is no repository s0, 10m after it was first asked for; ECR says of its replication from a0: \
                IN_PROGRESS";
    assert!(words.contains(late), "{words}");
    assert!(ran.said.contains("waiting for 2 images, for at most 10m: 200000000023"), "{}", ran.said);
    assert!(ran.said.contains("waiting for 1 image, for at most 7m: 200000000031"), "{}", ran.said);
    assert!((600..620).contains(&ran.seconds), "{}", ran.seconds);
    assert!(scene.sandbox.calls().writes.is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_image_that_is_late_is_deployed_when_it_is_there() {
    for defaults in ["pin: digest, wait_for_images: 10m", "wait_for_images: 10m"] {
        let scene = scene(3, OWN, defaults).fault("a1=image-late:180");
        let ran = scene.deploy().await;
        assert_eq!((ran.code(), ran.count(Outcome::Succeeded)), (Exit::Done, 3), "{defaults}: {}", ran.said);
        assert!(ran.seconds >= 180, "{}", ran.seconds);
        assert_eq!(image(&scene, 1).contains('@'), defaults.starts_with("pin"), "{defaults}");
    }
    let scene = scene(3, OWN, "pin: digest").fault("a1=image-late:180");
    let ran = scene.deploy().await;
    assert_eq!(ran.code(), Exit::Blocked, "{}", ran.said);
    assert!(ran.seconds < 60, "nothing is waited for: {}", ran.seconds);
}

#[tokio::test(start_paused = true)]
async fn a_tag_that_moved_is_deployed_again_and_a_rollback_returns_to_the_digest() {
    let scene = scene(2, OWN, "pin: digest");
    assert_eq!(scene.deploy().await.code(), Exit::Done);
    let first = digest(&scene, 0);
    (0..2).for_each(|account| push(&scene, account, "another build"));
    let ran = scene.planning().deploy().await;
    assert_eq!((ran.code(), ran.count(Outcome::Succeeded)), (Exit::Done, 2), "{}", ran.said);
    let second = digest(&scene, 0);
    assert_ne!(first, second);
    let (fleet, choice, start) = (scene.fleet.clone(), scene.choice.clone(), scene.start.clone());
    let back = scene
        .ran(async |reach, view| {
            runs::roll_back(fleet, reach, choice, everything(), start, view, scene.cancel.clone()).await
        })
        .await;
    assert_eq!(back.code(), Exit::Done, "{}", back.said);
    assert_eq!((digest(&scene, 0), digest(&scene, 1)), (first.clone(), first));
}

#[tokio::test(start_paused = true)]
async fn a_rollback_knows_what_the_manifest_deploys_though_its_tag_has_no_digest() {
    let mut scene = scene(2, OWN, "pin: digest");
    scene.sandbox.add_history(&scene.fleet);
    // What ran before is not in the registry of the sandbox.
    scene.choice.no_verify = true;
    assert_eq!(scene.deploy().await.code(), Exit::Done);
    let (fleet, choice, start) = (scene.fleet.clone(), scene.choice.clone(), scene.start.clone());
    let back = scene
        .ran(async |reach, view| {
            let options = roleout::run::rollback::RollbackOptions::default();
            runs::roll_back(fleet, reach, choice, options, start, view, scene.cancel.clone()).await
        })
        .await;
    assert_eq!(back.code(), Exit::Done, "{}", back.said);
    assert!(image(&scene, 0).ends_with("/s0:present"), "{}: {}", image(&scene, 0), back.said);
}

#[tokio::test(start_paused = true)]
async fn a_saved_plan_deploys_the_digest_that_it_shows_though_the_tag_has_moved() {
    let scene = scene(2, OWN, "pin: digest");
    let (_directory, plan) = saved::plan(&scene, "pinned").await;
    (0..2).for_each(|account| push(&scene, account, "another build"));
    let ran = saved::carry_out(&scene, &plan, saved::terms()).await;
    assert_eq!((ran.code(), ran.count(Outcome::Succeeded)), (Exit::Done, 2), "{}", ran.said);
    let planned = digest(&scene, 0);
    assert!(plan.to_json(None).expect("JSON").contains(&planned));
    assert_eq!(scene.planning().deploy().await.count(Outcome::Succeeded), 2, "the tag names another image by now");
    assert_ne!(digest(&scene, 0), planned);
}

#[tokio::test(start_paused = true)]
async fn one_registry_for_all_is_asked_once() {
    let scene = scene(5, SHARED, "pin: digest");
    let ran = scene.deploy().await;
    assert_eq!((ran.code(), ran.count(Outcome::Succeeded)), (Exit::Done, 5), "{}", ran.said);
    assert_eq!(scene.sandbox.calls().operation("BatchGetImage"), 1);
    assert_eq!(digest(&scene, 0), digest(&scene, 4));
}

#[tokio::test(start_paused = true)]
async fn another_account_asks_where_the_first_one_may_not_and_nobody_is_a_refusal() {
    let one = scene(3, SHARED, "pin: digest").fault("a0=deny:ecr:BatchGetImage");
    let ran = one.deploy().await;
    assert_eq!((ran.code(), ran.count(Outcome::Succeeded)), (Exit::Done, 3), "{}", ran.said);
    let all = scene(3, SHARED, "pin: digest").fault("*=deny:ecr:BatchGetImage");
    let ran = all.deploy().await;
    let wanted =
        format!("the image {SHARED} is not known by its digest: ecr:BatchGetImage is not allowed to the role leaf");
    assert!(refusal(&ran).contains(&wanted), "{}", refusal(&ran));
    assert!(all.sandbox.calls().writes.is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_image_of_another_platform_is_found_before_anything_is_changed() {
    for defaults in ["pin: digest", "wait_for_images: 1m"] {
        let scene = scene(3, OWN, defaults).fault("a1=image-arm64").fault("a2=image-arm64");
        let ran = scene.deploy().await;
        assert_eq!(ran.code(), Exit::Blocked, "{}", ran.said);
        let wanted = "s0:v2 has only linux/arm64, and the task needs linux/amd64";
        assert!(refusal(&ran).contains(wanted), "{}", refusal(&ran));
        assert!(scene.sandbox.calls().writes.is_empty());
    }
}

/// Runs `roleout status --images`. Returns its exit code and what stdout got.
async fn running(scene: &Scene, is_json: bool) -> (Exit, String) {
    let out = Shared::default();
    let view = View::new(Options::default(), Box::new(out.clone()), Box::new(Shared::default()));
    let reach = Connection::sandbox(&scene.fleet, &scene.sandbox, scene.token.clone());
    let exit = running_images::run(&scene.fleet, &reach, is_json, view, scene.cancel.clone()).await;
    (exit.unwrap_or_else(|error| error.exit), out.text())
}

#[tokio::test(start_paused = true)]
async fn status_shows_which_digest_runs_where_and_by_its_exit_code_whether_they_differ() {
    for defaults in ["pin: digest", "pin: none"] {
        let mut scene = scene(3, OWN, defaults);
        assert_eq!(scene.deploy().await.code(), Exit::Done);
        scene.sandbox.forget_calls();
        let (exit, out) = running(&scene, false).await;
        assert_eq!(exit, Exit::Done, "{defaults}: {out}");
        assert!(out.starts_with("s0/app: the same everywhere\n"), "{out}");
        let asked = u64::from(defaults == "pin: none") * 3;
        assert_eq!(
            scene.sandbox.calls().operation("DescribeServiceRevisions"),
            asked,
            "one a place, and only for tags"
        );
        push(&scene, 1, "another build");
        let whole = scene.fleet.clone();
        scene.fleet = scene.fleet.select(&["a1".to_owned()], &[]).expect("an account");
        scene.fleet.release.force_new_deployment = true;
        let ran = scene.deploy().await;
        assert_eq!((ran.code(), ran.count(Outcome::Succeeded)), (Exit::Done, 1), "{defaults}: {}", ran.said);
        scene.fleet = whole;
        let (exit, out) = running(&scene, false).await;
        assert_eq!(exit, Exit::Pending, "{defaults}: {out}");
        assert!(out.contains("  2 targets\n      a0/eu-west-1, a2/eu-west-1\n"), "{out}");
        assert!(out.contains("  1 target\n      a1/eu-west-1\n"), "{out}");
        assert!(out.ends_with("1 container: 0 the same everywhere, 1 not\n"), "{out}");
        let (_, out) = running(&scene, true).await;
        let json: serde_json::Value = serde_json::from_str(&out).expect("JSON");
        assert_eq!((&json["version"], json["containers"][0]["images"].as_array().map(Vec::len)), (&1.into(), Some(2)));
        let validator = jsonschema::validator_for(&schema()).expect("a JSON Schema");
        let faults: Vec<String> = validator.iter_errors(&json).map(|fault| fault.to_string()).collect();
        assert_eq!(faults, Vec::<String>::new());
        assert!(!validator.is_valid(&serde_json::json!({ "version": 1 })));
    }
}

/// Programs read the schema from the repository. `ROLEOUT_BLESS=1 cargo test --test deploy schema` writes it anew.
#[test]
fn the_schema_of_running_images_in_the_repository_is_the_current_one() {
    const SCHEMA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/status-images.schema.json");
    let current = format!("{}\n", serde_json::to_string_pretty(&schema()).expect("a schema is JSON"));
    if std::env::var_os("ROLEOUT_BLESS").is_some() {
        fs_err::write(SCHEMA, &current).expect("the schema is written");
    }
    let stored = fs_err::read_to_string(SCHEMA).unwrap_or_default();
    assert!(stored == current, "docs/status-images.schema.json is out of date: run with ROLEOUT_BLESS=1");
}

#[tokio::test(start_paused = true)]
async fn an_image_of_any_registry_is_pinned() {
    let scene = scene(2, "registry.example.com/shop/s0:v2", "pin: digest");
    let ran = scene.deploy().await;
    assert_eq!((ran.code(), ran.count(Outcome::Succeeded)), (Exit::Done, 2), "{}", ran.said);
    assert!(image(&scene, 0).starts_with("registry.example.com/shop/s0:v2@sha256:"));
    assert_eq!(digest(&scene, 0), digest(&scene, 1));
}

#[tokio::test(start_paused = true)]
async fn the_policies_that_a_manifest_needs_let_its_images_be_resolved_and_waited_for() {
    let made = || {
        let mut scene = scene(2, OWN, "pin: digest, wait_for_images: 1m").fault("a1=image-late:3600");
        scene.fleet.allow = Some(allow());
        scene
    };
    let scene = made();
    let policies = needed(&scene.fleet, IamOptions::default());
    scene.sandbox.apply(&policies);
    let ran = scene.deploy().await;
    assert!(refusal(&ran).contains("ECR says of its replication from a0: IN_PROGRESS"), "{}", refusal(&ran));
    let scene = made();
    scene.sandbox.apply(&without(&policies, "ecr:BatchGetImage"));
    let ran = scene.deploy().await;
    assert!(refusal(&ran).contains("ecr:BatchGetImage is not allowed to the role leaf"), "{}", refusal(&ran));
}
