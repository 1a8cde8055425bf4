//! Lookups: values that are read from where they live, by the target's own session, before anything is planned.

use roleout::base::exit::Exit;
use roleout::engine::Start;
use roleout::event::Event;
use roleout::fleet::Outcome;
use roleout::iam::IamOptions;
use roleout::plan::rollback_target::deployed::DeployedBy;
use roleout::run::rollback::RollbackOptions;
use serde_json::Value;

use crate::harness::{Ran, Scene, manifest};
use crate::iam::{allow, needed};
use crate::runs;

const ACCOUNT: &str = "200000000000";
const ONE: &str = "a0/eu-west-1/s0";

/// Two accounts with one service, which has more in its manifest.
fn text(more: &str) -> String {
    manifest(2, 1, "").replace("    cluster: main\n", &format!("    cluster: main\n{more}"))
}

fn scene(more: &str) -> Scene {
    Scene::new(&text(more)).quick()
}

/// Returns what the service of an account runs.
fn live(scene: &Scene, account: &str) -> Value {
    let service = scene.sandbox.service(account, "eu-west-1", "main", "s0").expect("a service");
    scene.sandbox.task_definition(account, "eu-west-1", &service.task_definition).expect("a definition")
}

/// Returns the value of a variable of the first container.
fn variable(definition: &Value, name: &str) -> Option<String> {
    let variables = definition["containerDefinitions"][0]["environment"].as_array()?;
    let found = variables.iter().find(|it| it["name"] == name)?;
    found["value"].as_str().map(str::to_owned)
}

fn calls(scene: &Scene, operation: &str) -> u64 {
    scene.sandbox.calls().operation(operation)
}

/// Returns what the plan says of a target.
fn summary(ran: &Ran, target: &str) -> String {
    let plan = ran.events.iter().find_map(|stamped| match &stamped.event {
        Event::RunStarted { plan, .. } => Some(plan),
        _ => None,
    });
    let change = plan.expect("a plan").changes.iter().find(|it| it.target.to_string() == target).expect("a target");
    change.summary.join("\n")
}

#[tokio::test(start_paused = true)]
async fn parameters_are_read_once_in_each_account_ten_in_a_call_and_put_in() {
    let many: String =
        (0..23).map(|number| format!("V{number}: \"${{ssm:/${{account.name}}/v{number}}}\", ")).collect();
    let more = format!(
        "    environment: {{ app: {{ {many} URL: \"https://${{ssm:/${{account.name}}/v1}}/x\" }} }}\n    \
         task_definition: {{ set: {{ containerDefinitions: {{ app: {{ stopTimeout: \"${{ssm:/timeout}}\" }} }} }} }}\n"
    );
    let scene = scene(&more);
    scene.sandbox.put_parameter((ACCOUNT, "eu-west-1"), "/a0/v1", "String", "db.a0");
    for account in [ACCOUNT, "200000000001"] {
        scene.sandbox.put_parameter((account, "eu-west-1"), "/timeout", "String", "45");
    }
    let ran = scene.deploy().await;
    assert_eq!(ran.count(Outcome::Succeeded), 2);
    assert_eq!(calls(&scene, "GetParameters"), 6, "24 in each of two accounts");
    let definition = live(&scene, "a0");
    assert_eq!(variable(&definition, "URL").as_deref(), Some("https://db.a0/x"));
    assert_eq!(variable(&live(&scene, "a1"), "URL").as_deref(), Some("https://sandbox-v1/x"));
    assert_eq!(definition["containerDefinitions"][0]["stopTimeout"], 45);
    let summary = summary(&ran, ONE);
    assert!(summary.contains("${ssm:/a0/v1} is db.a0 (SSM parameter, version 2)"), "{summary}");
    // The next run finds it so, and another value is another revision.
    let again = scene.planning();
    assert_eq!(again.deploy().await.count(Outcome::Unchanged), 2);
    scene.sandbox.put_parameter((ACCOUNT, "eu-west-1"), "/a0/v1", "String", "db2.a0");
    let ran = scene.planning().deploy().await;
    assert_eq!((ran.count(Outcome::Succeeded), ran.count(Outcome::Unchanged)), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn what_is_missing_secret_or_not_allowed_blocks_its_target_at_its_place() {
    let scene = scene("    environment: { app: { A: \"${ssm:/a}\", B: \"${ssm:/b}\", C: \"${ssm:/c}\" } }\n");
    let place = (ACCOUNT, "eu-west-1");
    scene.sandbox.remove_parameter(place, "/a");
    scene.sandbox.put_parameter(place, "/b", "SecureString", "hunter2hunter2");
    let ran = scene.deploy().await;
    assert_eq!(ran.code(), Exit::Blocked);
    let error = format!("{:?}", ran.exit);
    let wanted = [
        "deploy.yaml:12:31: the SSM parameter /a does not exist in eu-west-1",
        "deploy.yaml:12:47: the SSM parameter /b is a SecureString, and a secret is not looked up",
        "name its ARN in `secrets`",
    ];
    for wanted in wanted {
        assert!(error.contains(wanted), "{error}");
    }
    assert!(!error.contains("hunter2") && !ran.said.contains("hunter2"));
    assert_eq!(scene.sandbox.calls().writes.len(), 0);
    let denied = self::scene("    environment: { app: { A: \"${ssm:/a}\", B: \"${ssm:/b}\" } }\n")
        .fault("a0/*/*=deny:ssm:GetParameters");
    let ran = denied.deploy().await;
    let error = format!("{:?}", ran.exit);
    assert!(error.contains("deploy.yaml:12:31: GetParameters: AccessDeniedException"), "{error}");
    assert!(error.contains("ssm:GetParameters"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_target_is_compared_with_its_values_by_every_command_that_compares() {
    let more = "    environment: { app: { A: \"${ssm:/a}\" } }\n";
    let scene = scene(more);
    assert_eq!(scene.deploy().await.count(Outcome::Succeeded), 2);
    let later = scene.planning();
    let options = RollbackOptions { further: false, which: DeployedBy::Manifest };
    let rolled = later
        .ran(async |reach, view| {
            let (fleet, choice, cancel) = (later.fleet.clone(), later.choice.clone(), later.cancel.clone());
            runs::roll_back(fleet, reach, choice, options, Start::default(), view, cancel).await
        })
        .await;
    assert_eq!(rolled.code(), Exit::Done, "{}", rolled.said);
    assert_eq!(rolled.count(Outcome::Succeeded), 2, "both ran what the manifest says: {}", rolled.said);
}

#[tokio::test(start_paused = true)]
async fn outputs_and_exports_are_read_once_for_each_stack_and_what_is_missing_is_told() {
    let more = "    environment: { app: { A: \"${cfn:net-${account.name}.VpcId}\", B: \"${cfn:net-${account.name}.Zone}\", \
                C: \"${cfn-export:team:bucket}\" } }\n";
    let scene = scene(more);
    let place = (ACCOUNT, "eu-west-1");
    scene.sandbox.put_output(place, "net-a0", "VpcId", "vpc-0 & <1>");
    for number in 0..250 {
        scene.sandbox.put_export(place, &format!("a{number}"), "x");
    }
    scene.sandbox.put_export(place, "team:bucket", "bucket-1");
    let ran = scene.deploy().await;
    assert_eq!(ran.count(Outcome::Succeeded), 2, "{}", ran.said);
    assert_eq!((calls(&scene, "DescribeStacks"), calls(&scene, "ListExports")), (2, 3 + 1));
    let definition = live(&scene, "a0");
    assert_eq!(variable(&definition, "A").as_deref(), Some("vpc-0 & <1>"));
    assert_eq!(variable(&definition, "C").as_deref(), Some("bucket-1"));
    let summary = summary(&ran, ONE);
    assert!(summary.contains("${cfn-export:team:bucket} is bucket-1 (export of the stack exports)"), "{summary}");
    assert!(summary.contains("${cfn:net-a0.Zone} is sandbox-Zone (output of the stack net-a0)"), "{summary}");
    scene.sandbox.remove_stack(place, "net-a0");
    let error = format!("{:?}", scene.planning().deploy().await.exit);
    assert!(error.contains("deploy.yaml:12:31: the stack net-a0 does not exist in eu-west-1"), "{error}");
    scene.sandbox.put_output(place, "net-a0", "Zone", "z");
    let error = format!("{:?}", scene.planning().deploy().await.exit);
    assert!(error.contains("the stack net-a0 has no output VpcId") && error.contains("it has Zone"), "{error}");
    let denied = scene.planning().fault("a0/*/*=deny:cloudformation:ListExports").deploy().await;
    assert_eq!(denied.code(), Exit::Preflight, "{:?}", denied.exit);
}

#[tokio::test(start_paused = true)]
async fn the_sandbox_makes_up_what_is_in_a_state_that_gitlab_manages() {
    let more = "    environment: { app: { HOST: \"${tfstate:aws_db_instance.main.address}\" } }\n";
    let text =
        text(more).replace("services:", "tfstate: { net: { gitlab: { project: team/net, state: net } } }\nservices:");
    let scene = Scene::new(&text).quick();
    let ran = scene.deploy().await;
    assert_eq!(ran.count(Outcome::Succeeded), 2, "{}", ran.said);
    assert_eq!(variable(&live(&scene, "a0"), "HOST").as_deref(), Some("sandbox-address"));
}

#[tokio::test(start_paused = true)]
async fn a_state_of_terraform_gives_outputs_and_attributes_and_nothing_sensitive() {
    let state = |more: &str| {
        let text =
            text(more).replace("services:", "tfstate: { net: { file: tests/deploy/network.tfstate } }\nservices:");
        Scene::new(&text).quick()
    };
    let more = "    environment: { app: { HOST: \"${tfstate:aws_db_instance.main.address}:${tfstate:net:aws_db_instance.main.port}\", \
                NETS: \"${tfstate:output.subnets}\" } }\n";
    let scene = state(more);
    let ran = scene.deploy().await;
    assert_eq!(ran.count(Outcome::Succeeded), 2, "{}", ran.said);
    let definition = live(&scene, "a0");
    assert_eq!(variable(&definition, "HOST").as_deref(), Some("db.a0:5432"));
    assert_eq!(variable(&definition, "NETS").as_deref(), Some("subnet-1,subnet-2"));
    let summary = summary(&ran, ONE);
    let wanted = "${tfstate:output.subnets} is subnet-1,subnet-2 (Terraform state ./tests/deploy/network.tfstate)";
    assert!(summary.contains(wanted), "{summary}");
    let secret = state(
        "    environment: { app: { A: \"${tfstate:output.password}\", B: \"${tfstate:aws_db_instance.main.password}\", \
         C: \"${tfstate:output.gone}\" } }\n",
    );
    let ran = secret.deploy().await;
    let error = format!("{:?}", ran.exit);
    assert_eq!(ran.code(), Exit::Blocked, "{error}");
    for wanted in
        ["output password is sensitive", "aws_db_instance.main.password is sensitive", "it has no output gone"]
    {
        assert!(error.contains(wanted), "{error}");
    }
    assert!(!format!("{error}{}{:?}", ran.said, secret.fleet).contains("hunter2"));
}

/// Two accounts with two services in two regions, which look into a state in S3.
fn in_s3(state: &str, address: &str) -> Scene {
    let more = format!("    environment: {{ app: {{ HOST: \"${{tfstate:{address}}}\" }} }}\n");
    let text = manifest(2, 2, "").replace("    cluster: main\n", &format!("    cluster: main\n{more}"));
    let text = text.replace("regions: [eu-west-1]", "regions: [eu-west-1, eu-north-1]");
    Scene::new(&text.replace("services:", &format!("tfstate: {{ net: {{ s3: {state} }} }}\nservices:"))).quick()
}

const STATE: &str = "{ bucket: acme-states, key: \"env:/${account.name}/net +.tfstate\", region: eu-west-1 }";

#[tokio::test(start_paused = true)]
async fn a_state_in_s3_is_read_once_by_each_account_whatever_its_regions() {
    let scene = in_s3(STATE, "output.host");
    let state = r#"{"version":4,"outputs":{"host":{"value":"db.a0"},"password":{"value":"hunter2","sensitive":true}}}"#;
    scene.sandbox.put_object("eu-west-1", "acme-states", "env:/a0/net +.tfstate", state);
    let ran = scene.deploy().await;
    assert_eq!(ran.count(Outcome::Succeeded), 8, "{:?}", ran.exit);
    assert_eq!(calls(&scene, "GetObject"), 2);
    assert_eq!(variable(&live(&scene, "a0"), "HOST").as_deref(), Some("db.a0"));
    assert_eq!(variable(&live(&scene, "a1"), "HOST").as_deref(), Some("sandbox-host"), "made up");
    let summary = summary(&ran, ONE);
    let wanted = "${tfstate:output.host} is db.a0 (Terraform state s3://acme-states/env:/a0/net +.tfstate)";
    assert!(summary.contains(wanted), "{summary}");
    let secret = in_s3(STATE, "output.password");
    secret.sandbox.put_object("eu-west-1", "acme-states", "env:/a0/net +.tfstate", state);
    let ran = secret.deploy().await;
    let error = format!("{:?}", ran.exit);
    assert_eq!(ran.code(), Exit::Blocked, "{error}");
    assert!(error.contains("the output password is sensitive"), "{error}");
    assert!(!format!("{error}{}", ran.said).contains("hunter2"));
}

#[tokio::test(start_paused = true)]
async fn a_state_in_s3_that_cannot_be_read_says_why_and_what_to_do() {
    let refused = async |change: &dyn Fn(&Scene), state: &str| {
        let scene = in_s3(state, "output.host");
        change(&scene);
        let ran = scene.deploy().await;
        assert_eq!(scene.sandbox.calls().writes.len(), 0);
        (ran.code(), format!("{:?}", ran.exit))
    };
    let gone = |scene: &Scene| assert!(scene.sandbox.remove_object("acme-states", "env:/a0/net +.tfstate"));
    let (code, error) = refused(&gone, STATE).await;
    assert_eq!(code, Exit::Blocked, "{error}");
    let wanted = "Terraform state s3://acme-states/env:/a0/net +.tfstate: GetObject: NoSuchKey: The specified key does not exist.";
    assert!(error.contains(wanted) && error.contains("env:/WORKSPACE/KEY"), "{error}");
    assert!(error.contains("deploy.yaml:13:34"), "its place: {error}");
    // A bucket is in one region: here it is made in that of the first target.
    let (code, error) = refused(&|_| (), "{ bucket: acme-states, key: net }").await;
    assert_eq!(code, Exit::Blocked, "{error}");
    let wanted = "PermanentRedirect: the bucket is in the region eu-west-1";
    assert!(error.contains(wanted) && error.contains("write that region"), "{error}");
    // Who may not list the bucket is not told that the state is not there.
    let mut unlisted = in_s3(STATE, "output.host");
    unlisted.fleet.allow = Some(allow());
    unlisted.sandbox.apply(&needed(&unlisted.fleet, IamOptions::default()));
    gone(&unlisted);
    let error = format!("{:?}", unlisted.deploy().await.exit);
    assert!(error.contains("s3:ListBucket") && error.contains("S3 says so of a state that is not there"), "{error}");
    for (fault, wanted) in [
        ("a0/*/*=deny:s3:GetObject", "allow s3:GetObject to arn:aws:iam::200000000000:role/leaf"),
        ("a0/*/*=deny:s3:GetObject:scp", "narrow the Deny of s3:GetObject in the service control policy"),
    ] {
        let scene = in_s3(STATE, "output.host").fault(fault);
        let ran = scene.deploy().await;
        let error = format!("{:?}", ran.exit);
        assert_eq!(ran.code(), Exit::Preflight, "{error}");
        assert!(error.contains("AccessDenied") && error.contains(wanted), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_aws_would_refuse_of_a_value_is_told_at_the_place_that_asks_for_it() {
    let set = "    task_definition: { file: tests/deploy/named.json, set: { containerDefinitions: { app: { stopTimeout: \
               \"${ssm:/timeout}\" } } } }\n";
    let role = "    task_definition: { file: tests/deploy/named.json, set: { taskRoleArn: \"${ssm:/role}\" } }\n";
    let secret = "    secrets: { app: { KEY: \"${ssm:/key}\" } }\n    task_definition: tests/deploy/named.json\n";
    for (more, name, value, wanted) in [
        (set, "/timeout", "soon", "must be a number; ${ssm:/timeout} is soon (SSM parameter, version 2)"),
        (set, "/timeout", "9000", "deploy.yaml:12:107: `stopTimeout` of container `app`"),
        (role, "/role", "arn:aws:iam::999999999999:role/task", "deploy.yaml:12:76: the role"),
        (secret, "/key", "arn:aws:s3:::bucket", "deploy.yaml:12:29: `arn:aws:s3"),
        ("", "/image", "a b", "deploy.yaml:12:21: the image of `app`"),
    ] {
        let image = if name == "/image" { "${ssm:/image}" } else { "registry.example.com/s0:v2" };
        let scene = Scene::new(&text(more).replace("registry.example.com/s0:v2", image)).quick();
        scene.sandbox.put_parameter((ACCOUNT, "eu-west-1"), name, "String", value);
        let ran = scene.deploy().await;
        let error = format!("{:?}", ran.exit);
        assert_eq!(ran.code(), Exit::Blocked, "{error}");
        assert!(error.contains(wanted), "{more}: {error}");
        assert_eq!(scene.sandbox.calls().writes.len(), 0);
    }
}
