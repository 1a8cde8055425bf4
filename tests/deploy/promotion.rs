//! `images: { app: { from: { account: … } } }`: what runs in one account is deployed to the others, and nothing else is.

use roleout::base::exit::Exit;
use roleout::fleet::Outcome;

use crate::harness::{Scene, fleet, manifest};

const PROMOTED: &str = "images: { app: { from: { account: a0 } } }";
const TRIED: &str = "registry.example.com/s0:tried";

/// Three accounts, of which the last two get what the first one runs.
fn promoting() -> String {
    manifest(3, 1, "").replace("images: { app: \"registry.example.com/s0:v2\" }", PROMOTED)
}

/// A scene in whose first account an image was tried, and of which some accounts are selected then.
async fn tried(only: &[&str]) -> Scene {
    let mut scene = Scene::new(&promoting()).quick();
    let whole = scene.fleet.clone();
    scene.fleet.targets[0].desired.images.insert("app".to_owned(), TRIED.to_owned());
    scene.fleet = scene.fleet.select(&["a0".to_owned()], &[]).expect("the first account");
    let ran = scene.deploy().await;
    assert_eq!((ran.code(), ran.count(Outcome::Succeeded)), (Exit::Done, 1), "{}", ran.said);
    let only: Vec<String> = only.iter().map(|pattern| (*pattern).to_owned()).collect();
    scene.fleet = whole.select(&only, &[]).expect("targets");
    scene.planning()
}

#[tokio::test(start_paused = true)]
async fn what_runs_in_one_account_is_deployed_to_the_others() {
    for only in [&["*"][..], &["a1", "a2"]] {
        let scene = tried(only).await;
        let ran = scene.deploy().await;
        assert_eq!((ran.code(), ran.count(Outcome::Succeeded)), (Exit::Done, 2), "{only:?}: {}", ran.said);
        for account in ["a0", "a1", "a2"] {
            assert_eq!(scene.image(account, "eu-west-1", "s0"), TRIED, "{only:?}: {}", ran.said);
        }
        let again = scene.planning().deploy().await;
        assert_eq!((again.code(), again.count(Outcome::Succeeded)), (Exit::Done, 0), "{}", again.said);
    }
}

#[tokio::test(start_paused = true)]
async fn the_plan_says_where_the_image_runs_and_the_command_line_comes_first() {
    let mut scene = tried(&["a1"]).await;
    let ran = scene.deploy().await;
    let changes = &ran.state.targets().next().expect("a target").changes;
    assert!(changes.iter().any(|line| line == "app: as it runs in a0/eu-west-1/s0"), "{changes:?}");
    scene = tried(&["a1"]).await;
    let choice = format!("app={}", TRIED.replace("tried", "hotfix")).parse().expect("a choice");
    scene.fleet.choose_images(&[choice]).expect("it has the container");
    let ran = scene.deploy().await;
    assert_eq!(scene.image("a1", "eu-west-1", "s0"), TRIED.replace("tried", "hotfix"), "{}", ran.said);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_certain_blocks_and_changes_nothing() {
    let renamed = promoting()
        .replace(PROMOTED, &format!("{PROMOTED}\n    overrides: [{{ select: {{ account: a0 }}, service: gone }}]"));
    let sidecar = promoting().replace("{ app: { from", "{ sidecar: { from");
    for (manifest, is_busy, said) in [
        (
            renamed,
            false,
            "`app` is the one that runs in a0/eu-west-1/s0, and that could not be read: there is no service `gone`",
        ),
        (promoting(), true, "`app` is the one that runs in a0/eu-west-1/s0, where a deployment is in progress"),
        (sidecar, false, "`sidecar` is the one that runs in a0/eu-west-1/s0, and it has no such container"),
    ] {
        let mut scene = Scene::new(&promoting());
        if is_busy {
            let input = serde_json::json!({ "cluster": "main", "service": "s0", "forceNewDeployment": true });
            scene.sandbox.call_as_operator("a0", "eu-west-1", "UpdateService", &input).expect("a deployment");
        }
        scene.sandbox.forget_calls();
        scene.fleet = fleet(&manifest).select(&["a1".to_owned()], &[]).expect("a target");
        let ran = scene.deploy().await;
        assert_eq!(ran.code(), Exit::Blocked, "{said}: {}", ran.said);
        let told = ran.exit.as_ref().expect_err("a refusal").to_string();
        assert!(told.contains(said), "{said}: {told}");
        assert!(scene.sandbox.calls().writes.is_empty(), "{said}");
    }
}
