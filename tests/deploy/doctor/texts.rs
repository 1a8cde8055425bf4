//! What people read, word for word, and what other commands say of the same.

use roleout::base::exit::Exit;
use serde_json::json;

use super::*;
use crate::harness::Scene;

#[tokio::test(start_paused = true)]
async fn plan_and_deploy_explain_the_same_and_name_doctor() {
    let scene = Scene::new(&beside());
    let release = web(subject("StringEquals", "project_path:acme/shop:ref_type:branch:ref:release"));
    scene.sandbox.change_role(HUB, |role| role.trust = release);
    let ran = scene.deploy().await;
    let error = ran.exit.expect_err("refused");
    assert_eq!(error.exit, Exit::Preflight);
    let told: Vec<&String> = error.help.iter().filter(|help| help.starts_with("trust-ref: ")).collect();
    assert_eq!(told.len(), 1, "{:?}", error.help);
    assert!(told[0].contains("Statement[0] Condition.StringEquals \"gitlab.sandbox.test:sub\" wants"), "{}", told[0]);
    let doctor = error.help.iter().filter(|help| help.contains("`roleout doctor`")).count();
    assert_eq!(doctor, 1, "{:?}", error.help);
    assert_eq!(scene.sandbox.calls().operation("GetRole"), 1);
    assert_eq!(scene.sandbox.calls().writes, Vec::new());
}

/// An IAM that never answers does not keep the failure from being told.
#[tokio::test(start_paused = true)]
async fn a_slow_iam_does_not_hold_the_explanation_up() {
    let scene = Scene::new(&beside()).fault("111111111111/*/*=silent");
    scene.sandbox.change_role(HUB, |role| role.trust = json!({ "Statement": [] }));
    let ran = scene.deploy().await;
    let error = ran.exit.expect_err("refused");
    assert_eq!(error.exit, Exit::Preflight);
    assert!(error.help.iter().any(|help| help.starts_with("not-authorized: ")), "{:?}", error.help);
}
