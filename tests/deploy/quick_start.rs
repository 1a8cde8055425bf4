//! The manifest and the roles of docs/gitlab.md: what a merge request and the default branch can do with them.

use std::path::Path;

use roleout::base::exit::Exit;
use roleout::connect::Connection;
use roleout::engine::cancel::Cancel;
use roleout::fleet::Fleet;
use roleout::iam::{IamOptions, Permissions, setup, terraform};
use roleout::manifest::load::load_str;
use roleout::run::plan;
use roleout::sandbox::{AUDIENCE, Claims, PROJECT_PATH, Sandbox};
use roleout::view::options::Options;
use roleout::view::{Form, View};

use crate::harness::{Scene, Shared};

const PAGE: &str = include_str!("../../docs/gitlab.md");
/// The default branch, and the branch of a merge request.
const MAIN: &str = "main";
const BRANCH: &str = "feature/x";

/// The manifest of the page, for the sandbox's GitLab, with these variables.
fn fleet(manifest: &str, variables: &[(&str, &str)]) -> Fleet {
    let given = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    let job = |name: &str| {
        Sandbox::job_variables().into_iter().find(|(known, _)| *known == name).map(|(_, value)| value.to_string())
    };
    let loaded = load_str("deploy.yaml", Path::new("."), manifest, &|name| given(name).or_else(|| job(name)));
    loaded.unwrap_or_else(|error| panic!("{}", error.render(false, 100)))
}

/// The page's manifest.
fn manifest() -> String {
    let (_, rest) = PAGE.split_once("```yaml deploy.yaml\n").expect("a manifest");
    let (text, _) = rest.split_once("```").expect("its end");
    text.replace("https://gitlab.com", AUDIENCE).replace("team/shop", PROJECT_PATH)
}

/// An AWS with just the roles that the page's two commands write, and both fleets: what deploys, and what reads.
fn account(manifest: &str) -> (Scene, Fleet) {
    let reading = fleet(manifest, &[("ACCESS", "read"), ("BRANCH", "*"), ("PROTECTED", "false")]);
    let scene = Scene::new(manifest).quick();
    scene.sandbox.apply(&setup(&scene.fleet, IamOptions::default()).expect("policies"));
    let choice = IamOptions { permissions: Permissions::Plan, ..IamOptions::default() };
    let mut read = setup(&reading, choice).expect("policies");
    read.accounts.iter_mut().for_each(|account| account.provider = None);
    scene.sandbox.apply(&read);
    (scene, reading)
}

/// A job of a branch, whose `sub` ends with this.
fn job(scene: &Scene, fleet: &Fleet, branch: &str, end: &str) -> Scene {
    let subject = format!("project_path:{PROJECT_PATH}:ref_type:branch:ref:{branch}{end}");
    let scene = scene.planning().claims(Claims { subject, ..Claims::default() });
    Scene { fleet: fleet.clone(), ..scene }
}

async fn planned(scene: &Scene) -> Exit {
    let view = View::new(Options::default(), Box::new(Shared::default()), Box::new(Shared::default()));
    let reach = Connection::sandbox(&scene.fleet, &scene.sandbox, scene.token.clone());
    let choice = plan::PlanOptions { form: Form::Text, ..plan::PlanOptions::default() };
    plan::run(scene.fleet.clone(), &reach, &choice, view, Cancel::default()).await.unwrap_or_else(|error| error.exit)
}

#[tokio::test(start_paused = true)]
async fn a_merge_request_may_plan_and_the_default_branch_may_deploy() {
    let (scene, reading) = account(&manifest());
    assert_eq!(planned(&job(&scene, &reading, BRANCH, "")).await, Exit::Done);
    assert_eq!(
        planned(&job(&scene, &scene.fleet, BRANCH, "")).await,
        Exit::Preflight,
        "not with the roles that deploy"
    );
    assert_eq!(job(&scene, &scene.fleet, BRANCH, "").deploy().await.code(), Exit::Preflight);
    scene.sandbox.forget_calls();
    let _ = job(&scene, &reading, BRANCH, "").deploy().await;
    let writes = scene.sandbox.calls().writes;
    assert!(writes.iter().all(|write| write.error.is_some()), "the roles that read change nothing: {writes:?}");
    assert_eq!(job(&scene, &scene.fleet, MAIN, "").deploy().await.code(), Exit::Done);
}

#[tokio::test(start_paused = true)]
async fn with_a_protected_environment_no_other_job_of_the_default_branch_may_deploy() {
    let (_, rest) = PAGE.split_once("environment_protected: ").expect("the key of the hardened pipeline");
    let (flag, _) = rest.split_once(" }").expect("its end");
    let narrowed = manifest().replace(":-main}\"]", &format!(":-main}}\"], environment_protected: {flag}"));
    assert!(narrowed.contains("environment_protected: \"${PROTECTED:-true}\""), "{narrowed}");
    let (scene, reading) = account(&narrowed);
    for end in ["", ":environment_protected:false"] {
        assert_eq!(planned(&job(&scene, &reading, BRANCH, end)).await, Exit::Done, "{end}");
        assert_eq!(job(&scene, &scene.fleet, MAIN, end).deploy().await.code(), Exit::Preflight, "{end}");
    }
    let protected = ":environment_protected:true";
    assert_eq!(job(&scene, &scene.fleet, BRANCH, protected).deploy().await.code(), Exit::Preflight);
    assert_eq!(job(&scene, &scene.fleet, MAIN, protected).deploy().await.code(), Exit::Done);
}

#[test]
fn the_root_module_passes_every_provider_that_the_modules_take() {
    let module = terraform::module(&setup(&fleet(&manifest(), &[]), IamOptions::default()).expect("policies"));
    let (_, rest) = module.split_once("configuration_aliases = [").expect("the providers");
    let (aliases, _) = rest.split_once(']').expect("their end");
    let aliases: Vec<&str> = aliases.split(", ").collect();
    assert_eq!(aliases.len(), 3, "{aliases:?}");
    for alias in aliases {
        assert_eq!(PAGE.matches(&format!("\n    {alias} ")).count(), 2, "{alias}");
    }
}
