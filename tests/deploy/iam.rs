//! `roleout iam`: fleets run with exactly the policies that it writes, and no action of them is there for nothing.

use std::collections::{BTreeMap, BTreeSet};

use roleout::base::exit::Exit;
use roleout::connect::CommandContext;
use roleout::engine::cancel::Cancel;
use roleout::event::Event;
use roleout::fleet::{Allow, Fleet, Outcome, Subject};
use roleout::iam::{IamOptions, Permissions, Setup, marks, setup};
use roleout::operations::{iam_check, status};
use roleout::run::plan;
use roleout::sandbox::{AUDIENCE, ISSUER_HOST, PROJECT_PATH};
use roleout::view::options::Options;
use roleout::view::{Form, View};
use serde_json::{Value, json};

use crate::harness::{Ran, Scene, Shared, manifest};

const CACHED: &str = "200000000000.dkr.ecr.eu-west-1.amazonaws.com/hub/api:v2";
const FILE: &str = "task_definition: tests/deploy/named.json";

/// The sandbox's own GitLab job, on its branch.
pub fn allow() -> Allow {
    Allow {
        issuer: Some(format!("https://{ISSUER_HOST}")),
        audience: Some(AUDIENCE.to_owned()),
        subjects: vec![Subject::Path(PROJECT_PATH.to_owned())],
        project_ids: Vec::new(),
        branches: vec!["main".to_owned()],
        tags: Vec::new(),
        ref_protected: false,
        environment_protected: false,
        deployment_tier: Vec::new(),
    }
}

pub fn needed(fleet: &Fleet, choice: IamOptions) -> Setup {
    setup(fleet, choice).expect("policies")
}

/// Every action of the permission policies.
fn actions(setup: &Setup) -> BTreeSet<String> {
    let roles = setup.accounts.iter().flat_map(|account| &account.roles);
    let policies = roles.flat_map(|role| &role.policies);
    let statements = policies.flat_map(|policy| policy.document["Statement"].as_array().expect("a list"));
    statements.flat_map(|one| texts(&one["Action"])).collect()
}

fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Array(items) => items.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        one => one.as_str().map(str::to_owned).into_iter().collect(),
    }
}

/// The same without one action, in the permissions of every role.
pub fn without(setup: &Setup, action: &str) -> Setup {
    let mut setup = setup.clone();
    let roles = setup.accounts.iter_mut().flat_map(|account| &mut account.roles);
    for policy in roles.flat_map(|role| &mut role.policies) {
        let statements = policy.document["Statement"].as_array_mut().expect("a list");
        for statement in statements.iter_mut() {
            let left: Vec<String> = texts(&statement["Action"]).into_iter().filter(|one| one != action).collect();
            statement["Action"] = json!(left);
        }
    }
    setup
}

/// What a scenario does.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Does {
    Deploy,
    Continue,
    Rollback,
    Plan,
    Status,
    DryRollback,
}

/// A manifest, what goes wrong, and what is done.
struct Scenario {
    name: &'static str,
    manifest: String,
    faults: &'static [&'static str],
    history: bool,
    does: Does,
}

fn scenario(name: &'static str, manifest: String, faults: &'static [&'static str], does: Does) -> Scenario {
    let history = matches!(does, Does::Rollback | Does::DryRollback);
    Scenario { name, manifest, faults, history, does }
}

/// A manifest of one account whose service has these keys.
fn with(keys: &[&str], rollout: &str) -> String {
    let keys: String = keys.iter().map(|key| format!("    {key}\n")).collect();
    let timeout = if keys.contains("strategy") { "30m" } else { "2m" };
    manifest(1, 1, &format!("rollout: {{ timeout: {timeout}{rollout} }}\n"))
        .replace("    cluster: main\n", &format!("    cluster: main\n{keys}"))
        .replace("external_id: team", "external_id: team, tags: { pipeline: \"7\" }, source_identity: job-7")
}

impl Scenario {
    fn scene(&self) -> Scene {
        let mut scene = Scene::new(&self.manifest).quick();
        scene.fleet.allow = Some(allow());
        if self.history {
            scene.sandbox.add_history(&scene.fleet);
        }
        for fault in self.faults {
            scene = scene.fault(fault);
        }
        scene.sandbox.add_cache("200000000000", "eu-west-1", "hub");
        scene.start.continue_hooks = self.does == Does::Continue;
        scene
    }

    /// Runs with just these policies. Returns the exit code, and all that was said and changed, without names that differ
    /// from run to run.
    async fn run(&self, policies: &Setup) -> (Exit, String) {
        let mut scene = self.scene();
        if self.history && self.manifest.contains("codedeploy: {") {
            // What a deployment group deployed before is known from its own deployments.
            for image in ["v2", "v3"] {
                let mut before = scene.planning();
                let images = &mut before.fleet.targets[0].desired.images;
                images.insert("app".to_owned(), format!("registry.example.com/s0:{image}"));
                assert_eq!(before.deploy().await.code(), Exit::Done, "{image}");
            }
            scene.sandbox.forget_calls();
        }
        scene.sandbox.apply(policies);
        let (exit, said) = match self.does {
            Does::Deploy | Does::Continue => told(&scene.deploy().await),
            Does::Rollback | Does::DryRollback => {
                scene.choice.dry_run = self.does == Does::DryRollback;
                told(&back(&scene).await)
            }
            Does::Plan | Does::Status => shown(&scene, self.does).await,
        };
        let writes = scene.sandbox.calls().writes.into_iter().filter(|write| write.error.is_none());
        let writes: Vec<String> = writes.map(|write| write.operation).collect();
        (exit, format!("{}\n{}", plain(&said), writes.join(" ")))
    }
}

async fn back(scene: &Scene) -> Ran {
    let (fleet, choice, start) = (scene.fleet.clone(), scene.choice.clone(), scene.start.clone());
    scene
        .ran(async |reach, view| {
            crate::runs::roll_back(
                fleet,
                reach,
                choice,
                crate::harness::everything(),
                start,
                view,
                scene.cancel.clone(),
            )
            .await
        })
        .await
}

async fn shown(scene: &Scene, does: Does) -> (Exit, String) {
    let (out, err) = (Shared::default(), Shared::default());
    let view = View::new(Options::default(), Box::new(out.clone()), Box::new(err.clone()));
    let reach = roleout::connect::Connection::sandbox(&scene.fleet, &scene.sandbox, scene.token.clone());
    let exit = if does == Does::Plan {
        let choice = plan::PlanOptions { form: Form::Text, ..plan::PlanOptions::default() };
        plan::run(scene.fleet.clone(), &reach, &choice, view, Cancel::default()).await
    } else {
        status::run(&scene.fleet, &reach, status::StatusOptions::default(), view, Cancel::default()).await
    };
    let error = exit.as_ref().err().map(ToString::to_string).unwrap_or_default();
    (exit.unwrap_or_else(|error| error.exit), format!("{}{}{error}", out.text(), err.text()))
}

/// What a run said, its stages and the evidence of its failures included.
fn told(ran: &Ran) -> (Exit, String) {
    let stages = ran.events.iter().filter_map(|stamped| match &stamped.event {
        Event::StageChanged { stage, .. } => Some(stage.clone()),
        Event::RolloutFinished { reason: Some(reason), .. } => Some(format!("{reason:?}")),
        _ => None,
    });
    let stages: Vec<String> = stages.collect();
    let error = ran.exit.as_ref().err().map(|error| format!("{error} {:?}", error.help)).unwrap_or_default();
    (ran.code(), format!("{}\n{}\n{error}", ran.said, stages.join("\n")))
}

/// Leaves out ids and times.
fn plain(text: &str) -> String {
    let is_part = |char: char| char.is_ascii_alphanumeric() || char == '-';
    let mut out = String::new();
    for word in text.split_inclusive(|char| !is_part(char)) {
        let core = word.trim_end_matches(|char| !is_part(char));
        let end = &word[core.len()..];
        out.push_str(if core.chars().any(|char| char.is_ascii_digit()) { "#" } else { core });
        out.push_str(end);
    }
    out
}

/// A service that looks a value up wherever there are some.
fn values() -> String {
    let variables = "A: \"${ssm:/a}\", B: \"${cfn:net.B}\", C: \"${cfn-export:team:c}\", D: \"${tfstate:output.d}\"";
    let state = "tfstate: { net: { s3: { bucket: acme-states, key: \"${account.name}/net.tfstate\" } } }";
    let text = with(&[FILE, &format!("environment: {{ app: {{ {variables} }} }}")], "");
    text.replace("services:", &format!("{state}\nservices:"))
}

/// A service in two accounts with its image in the registry of each, by its digest.
fn images() -> String {
    let image = "${account.id}.dkr.ecr.${region}.amazonaws.com/s0:v2";
    manifest(2, 1, "defaults: { pin: digest, wait_for_images: 1m }\n").replace("registry.example.com/s0:v2", image)
}

/// Runs that need, together, every action that a manifest may be given. The quick ones first: what one of them misses is not
/// taken from the slow ones.
fn scenarios() -> Vec<Scenario> {
    let image = |text: String| text.replace("registry.example.com/s0:v2", CACHED);
    let no_breaker = "deployment: { circuit_breaker: { enable: false, rollback: false } }";
    let staged = "deployment: { strategy: BLUE_GREEN, bake_time_in_minutes: 5, lifecycle_hooks: [ { target_type: PAUSE, \
                  lifecycle_stages: [POST_TEST_TRAFFIC_SHIFT], timeout: { timeout_in_minutes: 15 } }, { hook_target_arn: \
                  \"arn:aws:lambda:eu-west-1:200000000000:function:check\", role_arn: \
                  \"arn:aws:iam::200000000000:role/hooks\", lifecycle_stages: [POST_SCALE_UP] } ] }";
    let tasks = "before: [ { run_task: migrate, container: app, timeout: 1m, command: [./migrate] } ]";
    let by_codedeploy =
        "codedeploy: { application: shop, deployment_group: \"${service.name}\", container: app, port: 8080 }";
    let baked = ", waves: [ { name: all, bake: 1m, alarms: [checkout] } ]";
    vec![
        scenario("rollback without a past", with(&[FILE], ""), &["*=no-service-deployments"], Does::Rollback),
        scenario("rollback", with(&[FILE], ""), &[], Does::Rollback),
        scenario("values", values(), &[], Does::Deploy),
        scenario("images", images(), &["*=image-arm64"], Does::Deploy),
        scenario("images that are late", images(), &["a1=image-late:3600"], Does::Deploy),
        scenario("a live definition", with(&[], ""), &[], Does::Deploy),
        scenario(
            "a crash",
            with(&[FILE, "deployment: { circuit_breaker: { enable: true, rollback: false } }"], ""),
            &["*=crash"],
            Does::Deploy,
        ),
        scenario("codedeploy", with(&[FILE, by_codedeploy], ""), &[], Does::Deploy),
        scenario("all is well", image(with(&[FILE, tasks], baked)), &["*=image-missing"], Does::Deploy),
        scenario("a task that hangs", with(&[FILE, tasks], ""), &["*=task-hangs"], Does::Deploy),
        scenario("stages", with(&[FILE, staged], ""), &[], Does::Continue),
        scenario("a return", with(&[FILE, no_breaker], ", on_failure: rollback"), &["*=hang"], Does::Deploy),
        scenario(
            "an unhealthy load balancer",
            with(&["task_definition: tests/deploy/listening.json", no_breaker], ""),
            &["*=unhealthy"],
            Does::Deploy,
        ),
        scenario("rollback of codedeploy", with(&[FILE, by_codedeploy], ""), &[], Does::Rollback),
        scenario("codedeploy hangs", with(&[FILE, by_codedeploy], ", on_failure: rollback"), &["*=hang"], Does::Deploy),
    ]
}

/// Runs each scenario with what the manifest needs, and then without each action of it that no scenario has missed so far.
async fn every_action_is_missed(scenarios: Vec<Scenario>, choice: IamOptions) {
    let mut missed: BTreeMap<String, bool> = BTreeMap::new();
    for scenario in &scenarios {
        let policies = needed(&scenario.scene().fleet, choice);
        let whole = scenario.run(&policies).await;
        let said = &whole.1;
        let denied = ["not allowed", "not authorized", "AccessDenied"].iter().any(|word| said.contains(word));
        // Only the fault is refused, by its own words.
        let by_fault = scenario.faults.contains(&"*=no-service-deployments");
        assert!(!denied || by_fault, "{}: {said}", scenario.name);
        assert!(scenario.run(&policies).await == whole, "{}: two runs are the same", scenario.name);
        for action in actions(&policies) {
            let known = missed.entry(action.clone()).or_default();
            *known = *known || scenario.run(&without(&policies, &action)).await != whole;
        }
    }
    let idle: Vec<&String> = missed.iter().filter(|(_, missed)| !**missed).map(|it| it.0).collect();
    assert!(idle.is_empty(), "nobody misses {idle:?}");
    assert!(missed.len() > 10, "{missed:?}");
}

#[tokio::test(start_paused = true)]
async fn no_action_of_a_deploying_role_is_there_for_nothing() {
    every_action_is_missed(scenarios(), IamOptions::default()).await;
}

#[tokio::test(start_paused = true)]
async fn no_action_of_a_reading_role_is_there_for_nothing() {
    let choice = IamOptions { permissions: Permissions::Plan, ..IamOptions::default() };
    let image = |text: String| text.replace("registry.example.com/s0:v2", CACHED);
    let baked = ", waves: [ { name: all, bake: 1m, alarms: [checkout] } ]";
    let by_codedeploy =
        "codedeploy: { application: shop, deployment_group: \"${service.name}\", container: app, port: 8080 }";
    let staged = with(&[FILE, "deployment: { strategy: BLUE_GREEN, bake_time_in_minutes: 5 }"], "");
    let scenarios = vec![
        scenario("plan", image(with(&[FILE], baked)), &["*=image-missing"], Does::Plan),
        scenario("plan of values", values(), &[], Does::Plan),
        scenario("plan of images", images(), &["a1=image-arm64"], Does::Plan),
        scenario("plan of images that are late", images(), &["a1=image-late:3600"], Does::Plan),
        scenario("plan of codedeploy", with(&[FILE, by_codedeploy], ""), &[], Does::Plan),
        scenario("status", with(&[FILE], ""), &[], Does::Status),
        scenario("rollback --dry-run", with(&[FILE], ""), &[], Does::DryRollback),
        scenario("rollback --dry-run of codedeploy", with(&[FILE, by_codedeploy], ""), &[], Does::DryRollback),
        scenario(
            "rollback --dry-run without a past",
            with(&[FILE], ""),
            &["*=no-service-deployments"],
            Does::DryRollback,
        ),
    ];
    // What only shows where something is under way.
    let shown_elsewhere = ["ecs:DescribeServiceDeployments"];
    let mut idle = BTreeSet::new();
    let mut missed = BTreeSet::new();
    for scenario in &scenarios {
        let policies = needed(&scenario.scene().fleet, choice);
        let whole = scenario.run(&policies).await;
        let is_blocked = whole.0 == Exit::Blocked && !scenario.faults.is_empty();
        assert!(is_blocked || matches!(whole.0, Exit::Done | Exit::Pending), "{}: {}", scenario.name, whole.1);
        for action in actions(&policies).difference(&missed.clone()) {
            let differs = scenario.run(&without(&policies, action)).await != whole;
            let found = if differs { &mut missed } else { &mut idle };
            found.insert(action.clone());
        }
    }
    let idle: Vec<&String> = idle.difference(&missed).filter(|it| !shown_elsewhere.contains(&it.as_str())).collect();
    assert!(idle.is_empty(), "nobody misses {idle:?}");
    // A status while a deployment is at a stage says which.
    let scene =
        Scenario { name: "", manifest: staged, faults: &["*=hang"], history: false, does: Does::Status }.scene();
    let input = json!({ "cluster": "main", "service": "s0", "forceNewDeployment": true });
    scene.sandbox.call_as_operator("a0", "eu-west-1", "UpdateService", &input).expect("a deployment");
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    let policies = needed(&scene.fleet, choice);
    scene.sandbox.apply(&policies);
    let whole = shown(&scene, Does::Status).await;
    scene.sandbox.apply(&without(&policies, "ecs:DescribeServiceDeployments"));
    assert_ne!(shown(&scene, Does::Status).await.1, whole.1);
}

#[tokio::test(start_paused = true)]
async fn a_reading_role_changes_nothing() {
    let scene = scenario("", with(&[FILE], ""), &[], Does::Deploy).scene();
    scene.sandbox.apply(&needed(&scene.fleet, IamOptions { permissions: Permissions::Plan, ..IamOptions::default() }));
    let ran = scene.deploy().await;
    assert_eq!((ran.code(), ran.count(Outcome::Failed)), (Exit::Failed, 1), "{}", ran.said);
    let took_effect: Vec<_> = scene.sandbox.calls().writes.into_iter().filter(|write| write.error.is_none()).collect();
    assert_eq!(took_effect, []);
}

/// The example, with the sandbox's own job.
fn example() -> Scene {
    let text = fs_err::read_to_string("deploy.yaml.example").expect("the example");
    let mut scene = Scene::new(&text).quick();
    scene.fleet.allow = Some(allow());
    scene
}

#[tokio::test(start_paused = true)]
async fn the_example_is_deployed_by_its_own_policies() {
    let scene = example();
    scene.sandbox.apply(&needed(&scene.fleet, IamOptions::default()));
    let ran = scene.deploy().await;
    assert_eq!((ran.code(), ran.count(Outcome::Succeeded)), (Exit::Done, 19), "{}", ran.said);
    assert!(!ran.said.contains("not allowed"), "{}", ran.said);
    let scene = example();
    scene.sandbox.apply(&without(&needed(&scene.fleet, IamOptions::default()), "ecs:UpdateService"));
    let ran = scene.deploy().await;
    assert_eq!(ran.code(), Exit::Failed, "{}", ran.said);
    assert_eq!(ran.count(Outcome::Succeeded), 0);
}

#[tokio::test(start_paused = true)]
async fn every_condition_of_a_trust_policy_counts() {
    let scene = example();
    let policies = needed(&scene.fleet, IamOptions::default());
    let statements = |policies: &Setup| -> usize {
        let roles = policies.accounts.iter().flat_map(|account| &account.roles);
        roles.map(|role| role.trust["Statement"].as_array().expect("a list").len()).sum()
    };
    assert_eq!(statements(&policies), 1 + 2 * 6);
    for (account, role) in [(0, 0), (1, 0)] {
        let count = policies.accounts[account].roles[role].trust["Statement"].as_array().expect("a list").len();
        for statement in 0..count {
            let mut less = policies.clone();
            less.accounts[account].roles[role].trust["Statement"].as_array_mut().expect("a list").remove(statement);
            let scene = example();
            scene.sandbox.apply(&less);
            assert_eq!(scene.deploy().await.code(), Exit::Preflight, "statement {statement} of {account}");
        }
    }
    for subject in ["project_path:acme/shop:ref_type:tag:ref:main", "project_path:acme/shop:ref_type:branch:ref:mainx"]
    {
        let scene = example();
        scene.sandbox.apply(&policies);
        let claims = roleout::sandbox::Claims { subject: subject.to_owned(), ..Default::default() };
        assert_eq!(scene.claims(claims).deploy().await.code(), Exit::Preflight, "{subject}");
    }
}

/// Compares what is live with what the scene's manifest needs.
async fn compared(scene: &Scene) -> (Exit, String) {
    let out = Shared::default();
    let view = &mut View::new(Options::default(), Box::new(out.clone()), Box::new(std::io::sink()));
    let reach = roleout::connect::Connection::sandbox(&scene.fleet, &scene.sandbox, scene.token.clone());
    let wanted = needed(&scene.fleet, IamOptions::default());
    let most = needed(&scene.fleet, IamOptions { check: true, ..IamOptions::default() });
    let context = &mut CommandContext { connection: &reach, view, cancel: &Cancel::default() };
    let exit = iam_check::compare(&scene.fleet, (&wanted, &most), context).await;
    (exit.unwrap_or_else(|error| error.exit), out.text())
}

#[tokio::test(start_paused = true)]
async fn what_is_live_is_compared_by_the_chains_own_sessions() {
    let scene = scenario("", with(&[FILE], ""), &[], Does::Deploy).scene();
    let most = needed(&scene.fleet, IamOptions { check: true, ..IamOptions::default() });
    scene.sandbox.apply(&most);
    let (exit, said) = compared(&scene).await;
    assert_eq!(exit, Exit::Done, "{said}");
    assert!(said.ends_with("iam: the live roles are as the manifest needs them\n"), "{said}");
    scene.sandbox.apply(&without(&most, "ecs:UpdateService"));
    let leaf = "arn:aws:iam::200000000000:role/leaf";
    scene.sandbox.change_role(leaf, |role| {
        role.trust["Statement"][0]["Condition"] = json!({});
        role.policy = Some(json!({ "Statement": { "Effect": "Allow", "Action": "s3:*", "Resource": "*" } }));
    });
    let (exit, said) = compared(&scene).await;
    assert_eq!(exit, Exit::Pending);
    for line in [
        "    - not allowed: ecs:UpdateService on arn:aws:ecs:eu-west-1:200000000000:service/main/s0\n",
        "    + allowed and not needed: s3:* on *\n",
        "    - the trust policy has no statement ",
        "    + the trust policy has a statement ",
        "iam: 2 missing, 2 not needed, 0 not compared\n",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    // Without the reads it says what it could not compare.
    scene.sandbox.apply(&needed(&scene.fleet, IamOptions::default()));
    scene.sandbox.change_role(leaf, |role| role.policy = None);
    let (exit, said) = compared(&scene).await;
    assert_eq!(exit, Exit::Preflight, "{said}");
    assert!(said.contains("    ? not compared: its permissions: iam:ListRolePolicies is not allowed"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_known_is_all_of_the_account_and_said() {
    let noted = |keys: &[&str]| {
        let scene = scenario("", with(keys, ""), &[], Does::Deploy).scene();
        needed(&scene.fleet, IamOptions::default())
    };
    let passed = |setup: &Setup| {
        let policy = setup.accounts[1].roles[0].policies[0].document.clone();
        let statements = policy["Statement"].as_array().expect("a list").clone();
        statements
            .iter()
            .filter(|one| one["Action"] == "iam:PassRole")
            .flat_map(|one| texts(&one["Resource"]))
            .collect::<Vec<_>>()
    };
    let known = noted(&[FILE]);
    assert_eq!(known.notes, Vec::<String>::new());
    let roles = ["arn:aws:iam::200000000000:role/ecs/execution", "arn:aws:iam::200000000000:role/task"];
    assert_eq!(passed(&known), roles);
    let live = noted(&[]);
    assert!(
        live.notes[0].starts_with("of s0: its task definition is the one that runs, whose roles"),
        "{:?}",
        live.notes
    );
    assert_eq!(passed(&live), ["arn:aws:iam::200000000000:role/*"]);
}

/// The sandbox's project among others.
fn several(scene: &Scene) -> Allow {
    let paths = ["acme/blog", PROJECT_PATH, "acme/docs"];
    let subjects = paths.iter().map(|path| Subject::Path((*path).to_owned())).collect();
    Allow { subjects, ..scene.fleet.allow.clone().expect("the jobs") }
}

#[tokio::test(start_paused = true)]
async fn several_projects_are_let_in_and_no_other() {
    let scene = || {
        let mut scene = example();
        scene.fleet.allow = Some(several(&scene));
        scene
    };
    for (project, exit) in [("acme/blog", Exit::Done), ("acme/docs", Exit::Done), ("acme/doc", Exit::Preflight)] {
        let scene = scene();
        scene.sandbox.apply(&needed(&scene.fleet, IamOptions { check: true, ..IamOptions::default() }));
        let subject = format!("project_path:{project}:ref_type:branch:ref:main");
        let claims = roleout::sandbox::Claims { subject, ..Default::default() };
        let ran = scene.claims(claims).deploy().await;
        assert_eq!(ran.code(), exit, "{project}: {}", ran.said);
    }
    let scene = scene();
    scene.sandbox.apply(&needed(&scene.fleet, IamOptions { check: true, ..IamOptions::default() }));
    let (exit, said) = compared(&scene).await;
    assert!(exit == Exit::Done && said.contains("iam: the live roles are as the manifest needs them"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn roles_with_a_path_are_in_every_policy() {
    let mut scene = example();
    let notes = marks::move_roles(&mut scene.fleet, "/deploy/").expect("a path");
    assert!(notes.iter().any(|note| note.contains("the role `hub` gets the path /deploy/")), "{notes:?}");
    let mut setup = needed(&scene.fleet, IamOptions::default());
    marks::mark(&mut setup, Some("boundary"), &["team=platform".to_owned()]).expect("marks");
    for role in setup.accounts.iter().flat_map(|account| &account.roles) {
        assert_eq!(role.path(), "/deploy/");
        assert_eq!(role.marks.boundary, Some(format!("arn:aws:iam::{}:policy/boundary", role.arn.account())));
    }
    scene.sandbox.apply(&setup);
    let ran = scene.deploy().await;
    assert_eq!((ran.code(), ran.count(Outcome::Succeeded)), (Exit::Done, 19), "{}", ran.said);
}
