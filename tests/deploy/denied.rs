//! Calls that AWS does not allow: what refuses is named in plan and deploy, by each kind with its own help.

use roleout::base::exit::Exit;
use roleout::fleet::Outcome;

use crate::harness::{Ran, Scene, manifest};

const LEAF: &str = "arn:aws:iam::200000000000:role/leaf";

/// Returns the help of a run that was refused before any change.
fn help(ran: Ran) -> String {
    let error = ran.exit.expect_err("refused");
    assert_eq!(error.exit, Exit::Preflight, "{error:?}");
    error.help.join("\n")
}

/// Every kind of policy that a call can fail at, and what its help says of ACTION.
fn kinds() -> Vec<(&'static str, String)> {
    let organization = "of the organization that covers account 200000000000 (in the management account)";
    vec![
        ("", format!("allow ACTION to {LEAF}")),
        (":no-identity", format!("allow ACTION to {LEAF}")),
        (":identity", format!("narrow the Deny of ACTION in the policies of {LEAF}: no Allow beats it")),
        (":scp", format!("narrow the Deny of ACTION in the service control policy {organization}: no Allow beats it")),
        (":no-scp", format!("allow ACTION in the service control policy {organization}: what the role")),
        (":rcp", format!("narrow the Deny of ACTION in the resource control policy {organization}: no Allow beats it")),
        (":boundary", format!("narrow the Deny of ACTION in the permissions boundary of {LEAF}: no Allow beats it")),
        (":no-boundary", format!("allow ACTION in the permissions boundary of {LEAF}: what the role")),
        (
            ":session",
            format!("narrow the Deny of ACTION in the session policy that the session of {LEAF} was made with"),
        ),
        (":no-session", format!("allow ACTION in the session policy that the session of {LEAF} was made with")),
        (":resource", "narrow the Deny of ACTION in the resource-based policy of arn:aws:ecs:".to_owned()),
        (":endpoint", "narrow the Deny of ACTION in the policy of the VPC endpoint".to_owned()),
        (":no-endpoint", "allow ACTION in the policy of the VPC endpoint by which this machine".to_owned()),
    ]
}

#[tokio::test(start_paused = true)]
async fn a_plan_names_what_refuses_a_read() {
    for (policy, wanted) in kinds() {
        let mut scene = Scene::of(1, 1, "").fault(&format!("*=deny:ecs:DescribeServices{policy}"));
        scene.choice.dry_run = true;
        let help = help(scene.deploy().await);
        assert!(help.contains(&wanted.replace("ACTION", "ecs:DescribeServices")), "{policy}: {help}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_deployment_names_what_refuses_a_write() {
    for (policy, wanted) in kinds() {
        for action in ["ecs:UpdateService", "ecs:RegisterTaskDefinition"] {
            let ran = Scene::of(1, 1, "").fault(&format!("*=deny:{action}{policy}")).deploy().await;
            assert_eq!(ran.outcome("a0/eu-west-1/s0"), Some(Outcome::Failed), "{action}: {policy}: {}", ran.said);
            let state = ran.state.targets().find_map(|target| target.reason.clone()?.help).unwrap_or_default();
            assert!(state.contains(&wanted.replace("ACTION", action)), "{action}{policy}: {state}");
        }
    }
}

/// A manifest whose role `leaf` has a session policy.
fn narrowed(statements: &str) -> String {
    let policy = format!("external_id: team, policy: {{\"Version\":\"2012-10-17\",\"Statement\":[{statements}]}}");
    manifest(1, 1, "").replace("external_id: team", &policy)
}

#[tokio::test(start_paused = true)]
async fn the_session_policy_of_the_manifest_is_named_by_its_place() {
    let all = r#"{"Effect":"Allow","Action":"*","Resource":"*"}"#;
    let reads = r#"{"Effect":"Allow","Action":["ecs:Describe*","ecs:List*","ecs:RegisterTaskDefinition","ecs:TagResource"],"Resource":"*"}"#;
    let deny = r#"{"Effect":"Deny","Action":"ecs:UpdateService","Resource":"*"}"#;
    for (statements, wanted) in [
        (reads.to_owned(), "allow ecs:UpdateService in the session policy, roles.leaf.policy of the manifest"),
        (
            format!("{all},{deny}"),
            "narrow the Deny of ecs:UpdateService in the session policy, roles.leaf.policy of the manifest",
        ),
    ] {
        let ran = Scene::new(&narrowed(&statements)).deploy().await;
        assert_eq!(ran.outcome("a0/eu-west-1/s0"), Some(Outcome::Failed), "{statements:?}: {}", ran.said);
        let said = ran.said.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(said.contains(wanted), "{statements:?}: {}", ran.said);
    }
    let mut scene = Scene::new(&narrowed(r#"{"Effect":"Allow","Action":"ecs:List*","Resource":"*"}"#));
    scene.choice.dry_run = true;
    let help = help(scene.deploy().await);
    assert!(help.contains("allow ecs:DescribeServices in the session policy, roles.leaf.policy"), "{help}");
}

#[tokio::test(start_paused = true)]
async fn a_region_that_is_not_enabled_is_named() {
    let text = manifest(2, 1, "").replacen("regions: [eu-west-1]", "regions: [eu-west-1, af-south-1]", 1);
    for dry_run in [true, false] {
        let mut scene = Scene::new(&text).fault("a0/af-south-1=region-off");
        scene.choice.dry_run = dry_run;
        let help = help(scene.deploy().await);
        assert!(help.contains("af-south-1 must be enabled in account 200000000000 first"), "{dry_run}: {help}");
        assert!(!help.contains("allow "), "{dry_run}: {help}");
        assert_eq!(scene.sandbox.calls().writes, Vec::new(), "{dry_run}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_region_that_is_not_enabled_for_sts_is_named() {
    let text = manifest(1, 1, "").replace("region: eu-west-1", "region: ap-east-1");
    let scene = Scene::new(&text).fault("111111111111/ap-east-1=region-off");
    let help = help(scene.deploy().await);
    assert!(help.contains("STS is not active for account 111111111111 in ap-east-1"), "{help}");
}

#[tokio::test(start_paused = true)]
async fn what_refuses_a_hop_is_named() {
    for (policy, wanted) in [
        ("scp", "service control policy of the organization that covers account 111111111111"),
        ("no-boundary", "permissions boundary of arn:aws:iam::111111111111:role/hub"),
        ("rcp", "resource control policy of the organization that covers account 200000000000"),
    ] {
        let help = help(Scene::of(1, 1, "").fault(&format!("a0=deny:sts:AssumeRole:{policy}")).deploy().await);
        assert!(help.contains(wanted), "{policy}: {help}");
    }
}
