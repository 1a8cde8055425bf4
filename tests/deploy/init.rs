//! `roleout init`: what it writes passes the check, and what it imports plans as unchanged.

use std::path::{Path, PathBuf};

use roleout::aws::{Aws, SharedCredentialsProvider};
use roleout::base::error::Error;
use roleout::base::exit::Exit;
use roleout::connect::{CommandContext, Connection};
use roleout::engine::cancel::Cancel;
use roleout::fleet::{Fleet, IdentitySource};
use roleout::identity::preflight::{OnLoss, Unreachable};
use roleout::identity::session::Sessions;
use roleout::init::{File, Source, starter};
use roleout::manifest::load::load;
use roleout::observe::Observation;
use roleout::operations::init::{empty, imported, write};
use roleout::plan::build;
use roleout::plan::outline::Action;
use roleout::preflight::prepare;
use roleout::sandbox::Sandbox;
use roleout::view::View;
use roleout::view::options::Options;
use serde_json::json;

use crate::harness::{Scene, Shared};

const TOKEN: &str = "GITLAB_OIDC_TOKEN";

fn view() -> View {
    View::new(Options::default(), Box::new(Shared::default()), Box::new(Shared::default()))
}

/// An empty directory of a test's own.
fn directory(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("init").join(name);
    let _ = fs_err::remove_dir_all(&path);
    fs_err::create_dir_all(&path).expect("a directory");
    path
}

fn variables(name: &str) -> Option<String> {
    Sandbox::job_variables().into_iter().find(|(known, _)| *known == name).map(|(_, value)| value.to_owned())
}

fn loaded(path: &Path) -> Fleet {
    load(path, &variables).unwrap_or_else(|error| panic!("{}", error.render(false, 100)))
}

/// Every service of the scene's fleet, reached as its accounts are.
fn sources(scene: &Scene) -> Vec<String> {
    let source = |target: &roleout::fleet::TargetSpec| {
        let arns: Vec<&str> = target.account.chain.hops.iter().map(|hop| hop.arn.as_str()).collect();
        format!("{}:{}/{}/{}", arns.join(","), target.id.region, target.cluster, target.service)
    };
    scene.fleet.targets.iter().map(source).collect()
}

async fn import(scene: &Scene, sources: &[String]) -> Result<Vec<File>, Error> {
    // What the fleet's own roles ask for.
    let hops = scene.fleet.accounts.first().and_then(|account| account.chain.hops.last());
    let external_id = hops.and_then(|hop| hop.external_id.clone());
    let source = |text: &String| Source { external_id: external_id.clone(), ..text.parse().expect("a source") };
    let sources: Vec<Source> = sources.iter().map(source).collect();
    let fleet = empty(&sources, IdentitySource::TokenEnv(TOKEN.into()));
    let reach = Connection::sandbox(&fleet, &scene.sandbox, scene.token.clone());
    scene.sandbox.forget_calls();
    let files = imported(&sources, fleet, &reach, &mut view()).await;
    assert_eq!(scene.sandbox.calls().writes, Vec::new(), "importing only reads");
    files
}

/// Imports, writes, loads what was written and plans it: nothing changes.
async fn closes(scene: &Scene, name: &str, sources: &[String]) -> Vec<File> {
    let files = import(scene, sources).await.unwrap_or_else(|error| panic!("{error}"));
    let path = directory(name).join("deploy.yaml");
    write(&path, &files, false).unwrap_or_else(|error| panic!("{error}"));
    let fleet = loaded(&path);
    assert_eq!((fleet.targets.len(), &fleet.warnings), (sources.len(), &Vec::new()), "{}", files[0].text);
    let reach = Connection::sandbox(&fleet, &scene.sandbox, scene.token.clone());
    let (unreachable, seen) = prepared(&fleet, &reach).await;
    assert_eq!(unreachable, Vec::new());
    for change in build::plan(&fleet, &seen).outline.changes {
        assert_eq!(change.action, Action::Unchanged, "{}: {:?}\n{}", change.target, change.summary, files[0].text);
    }
    files
}

const ROLES: &str = "version: 1\nidentity: { token_env: TOKEN, region: eu-west-1 }\nroles:\n  \
    hub: { arn: \"arn:aws:iam::111111111111:role/hub\" }\n  \
    leaf: { arn: \"arn:aws:iam::${account.id}:role/ci/leaf\" }\n";

fn scene(accounts: &str, services: &str) -> Scene {
    Scene::new(&format!("{ROLES}accounts:\n{accounts}services:\n{services}"))
}

const ACCOUNTS: &str = "  \
    - { name: a, id: \"200000000001\", chain: [hub, leaf], regions: [eu-west-1, eu-central-1] }\n  \
    - { name: b, id: \"200000000002\", chain: [hub, leaf], regions: [eu-west-1, eu-central-1] }\n  \
    - { name: c, id: \"200000000003\", chain: [hub, leaf], regions: [eu-west-1] }\n";

#[test]
fn the_manifest_to_start_from_passes_the_check_and_says_so_by_its_schema() {
    let path = directory("starter").join("deploy.yaml");
    let files = [starter()];
    assert!(files[0].text.starts_with("# yaml-language-server: $schema="));
    write(&path, &files, false).expect("written");
    let fleet = loaded(&path);
    let ids: Vec<String> = fleet.targets.iter().map(|target| target.id.to_string()).collect();
    assert_eq!(ids, ["staging/eu-west-1/api", "production/eu-west-1/api", "production/eu-central-1/api"]);
    assert_eq!(fleet.warnings, Vec::<String>::new());
    let validator = jsonschema::validator_for(&roleout::manifest::schema::schema()).expect("a JSON Schema");
    let value: serde_json::Value = serde_yaml::from_str(&files[0].text).expect("YAML");
    assert!(validator.is_valid(&value));

    let error = write(&path, &files, false).expect_err("it exists");
    assert!(error.exit == Exit::Usage && error.help[0].contains("--force"), "{error}");
    write(&path, &files, true).expect("written over");
}

/// Reads every target of a fleet.
async fn prepared(fleet: &Fleet, connection: &Connection) -> (Vec<Unreachable>, Vec<Observation>) {
    let context = &mut CommandContext { connection, view: &mut view(), cancel: &Cancel::default() };
    prepare(fleet, OnLoss::GoOn, context).await.expect("no signal")
}

#[tokio::test(start_paused = true)]
async fn what_agrees_across_accounts_and_regions_is_one_service_and_one_file() {
    let scene = scene(ACCOUNTS, "  - { name: api, cluster: main, task_definition: deploy/api.json }\n");
    let files = closes(&scene, "agrees", &sources(&scene)).await;
    insta::assert_snapshot!(files[0].text, @r#"
    # yaml-language-server: $schema=deploy.schema.json
    #
    # Imported by `roleout init`: 5 targets of 1 service in 3 accounts. As it stands, a plan changes nothing.
    #
    # The first line gives an editor completion, once `roleout schema > deploy.schema.json` has written the schema. Names of
    # accounts and services are yours to change; ids, clusters and what `service:` says are AWS's.
    version: 1

    identity:
      token_env: GITLAB_OIDC_TOKEN  # the name of the job's `id_tokens` variable
      region: eu-west-1  # whose STS endpoint is used

    roles:
      hub: { arn: "arn:aws:iam::111111111111:role/hub" }
      leaf: { arn: "arn:aws:iam::${account.id}:role/ci/leaf" }

    # An id is text: keep its quotes, since numbers lose their leading zeros.
    accounts:
      - name: account-200000000001
        id: "200000000001"
        chain: [hub, leaf]
        regions: [eu-west-1, eu-central-1]
      - name: account-200000000002
        id: "200000000002"
        chain: [hub, leaf]
        regions: [eu-west-1, eu-central-1]
      - name: account-200000000003
        id: "200000000003"
        chain: [hub, leaf]
        regions: [eu-west-1]

    services:
      - name: api
        cluster: main
        task_definition: deploy/api.json
        images: { app: "registry.example.com/api:${API_TAG:-previous}" }   # what the job built, or what runs now

    # Without this every target starts at once. In waves, one target fails before many do. Choose the first account yourself:
    rollout:
      timeout: 20m                        # for each target
      waves:
        - name: canary
          select: { account: account-200000000001 }
          bake: 5m                        # stay healthy for so long before the next wave
        - name: rest
          max_parallel: [1, 25%]
          max_failures: 1                 # the second failure stops the rollout
    "#);
    assert_eq!(files.len(), 2);
    assert_eq!(files[1].path, "deploy/api.json");
    for (text, times) in [("arn:aws:iam::${account.id}:role/", 2), ("\"${region}\"", 1), ("${PORT:-8080}", 1)] {
        assert_eq!(files[1].text.matches(text).count(), times, "{text} in {}", files[1].text);
    }
    assert!(!files[1].text.contains("registeredAt") && !files[1].text.contains("[]"), "{}", files[1].text);
}

#[tokio::test(start_paused = true)]
async fn what_differs_gets_a_file_and_an_override_of_its_own() {
    let services = "  - name: api\n    cluster: main\n    task_definition: deploy/api.json\n    \
        overrides: [ { select: { account: b, region: eu-central-1 }, images: { app: \"r/other:${CI_COMMIT_SHA}\" } } ]\n  \
        - { name: worker, cluster: batch, select: { account: [a, b], region: eu-west-1 } }\n  \
        - { name: other-api, service: api, cluster: edge, select: { account: c } }\n  \
        - { name: cron, cluster: batch, select: { not: { account: b, region: eu-central-1 } } }\n";
    let scene = scene(ACCOUNTS, services);
    let files = closes(&scene, "differs", &sources(&scene)).await;
    let services = files[0].text.split("\nservices:\n").nth(1).and_then(|text| text.split("\n#").next());
    insta::assert_snapshot!(services.expect("services"), @r#"
    - name: api
      cluster: main
      task_definition: deploy/api.json
      # images: { app: "registry.example.com/api:${CI_COMMIT_SHA}" }   # what the job built
      overrides:
        - select: { account: account-200000000002, region: eu-central-1 }
          task_definition: deploy/api.account-200000000002.json
    - name: worker
      cluster: batch
      select: { account: [account-200000000001, account-200000000002], region: eu-west-1 }
      task_definition: deploy/worker.json
      images: { app: "registry.sandbox.test/worker/app:${WORKER_TAG:-previous}" }   # what the job built, or what runs now
    - name: cron
      cluster: batch
      select: { not: { account: account-200000000002, region: eu-central-1 } }
      task_definition: deploy/cron.json
      images: { app: "registry.sandbox.test/cron/app:${CRON_TAG:-previous}" }   # what the job built, or what runs now
    - name: api-edge
      cluster: edge
      service: api
      select: { account: account-200000000003 }
      task_definition: deploy/api-edge.json
      images: { app: "registry.sandbox.test/api/app:${API_EDGE_TAG:-previous}" }   # what the job built, or what runs now
    "#);
    let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
    let other = "deploy/api.account-200000000002.json";
    assert_eq!(paths, ["", "deploy/api.json", other, "deploy/worker.json", "deploy/cron.json", "deploy/api-edge.json"]);
}

#[tokio::test(start_paused = true)]
async fn a_fleet_that_was_deployed_is_imported_with_what_it_runs() {
    let services = "  - name: api\n    cluster: main\n    task_definition: deploy/api.json\n    \
        environment: { app: { PRICE: \"5$\", LITERAL: \"$${region}\", HOME: \"$${HOME}\" } }\n";
    let scene = scene(ACCOUNTS, services).quick();
    assert_eq!(scene.deploy().await.code(), Exit::Done);
    let files = closes(&scene, "deployed", &sources(&scene)).await;
    assert!(files[1].text.contains("\"$${region}\""), "{}", files[1].text);
}

#[tokio::test(start_paused = true)]
async fn one_service_by_the_credentials_at_hand_is_written_as_it_is() {
    let scene = scene(ACCOUNTS, "  - { name: api, cluster: main, task_definition: deploy/api.json }\n");
    let sources = ["ambient:eu-west-1/main/api".parse::<Source>().expect("a source")];
    let fleet = empty(&sources, IdentitySource::Ambient);
    let aws = Aws::in_process(scene.sandbox.http_client(), scene.sandbox.clock(), "eu-west-1");
    let ambient = SharedCredentialsProvider::new(Sandbox::account_credentials("200000000001"));
    let sessions = Sessions::new(aws.sts("eu-west-1"), aws.clock(), "roleout", None, Some(ambient.into()));
    let reach = Connection { aws, sessions };
    let files = imported(&sources, fleet, &reach, &mut view()).await.unwrap_or_else(|error| panic!("{error}"));
    let path = directory("ambient").join("deploy.yaml");
    write(&path, &files, false).unwrap_or_else(|error| panic!("{error}"));
    let fleet = loaded(&path);
    assert_eq!(fleet.identity.source, IdentitySource::Ambient);
    assert_eq!(fleet.targets[0].id.to_string(), "account-200000000001/eu-west-1/api");
    assert!(files[1].text.contains("arn:aws:iam::200000000001:role/"), "{}", files[1].text);
    let (_, seen) = prepared(&fleet, &reach).await;
    assert_eq!(build::plan(&fleet, &seen).outline.changes[0].action, Action::Unchanged);
}

#[tokio::test(start_paused = true)]
async fn everything_that_cannot_be_imported_is_named_at_once() {
    let scene = scene(ACCOUNTS, "  - { name: api, cluster: main }\n");
    let mut sources = sources(&scene);
    sources.truncate(1);
    let missing: Vec<String> =
        ["main/apt", "mian/api", "main/api", "main/bare"].map(|place| sources[0].replace("main/api", place)).into();
    sources.extend(missing);
    let bare = json!({ "cluster": "main", "serviceName": "bare", "deploymentController": { "type": "EXTERNAL" } });
    scene.sandbox.call_as_operator("200000000001", "eu-west-1", "CreateService", &bare).expect("created");
    let error = import(&scene, &sources).await.expect_err("refused");
    assert_eq!(error.exit, Exit::Usage);
    for text in [
        "no service `apt`",
        "no cluster `mian`",
        "api in 200000000001: named twice",
        "bare in 200000000001: the service runs no task definition",
    ] {
        assert!(error.message.contains(text), "{text}: {error}");
    }
    scene.sandbox.change_role("arn:aws:iam::200000000001:role/ci/leaf", |role| role.trust["Statement"] = json!([]));
    let error = import(&scene, &sources).await.expect_err("refused");
    assert_eq!(error.exit, Exit::Preflight);
    assert!(error.message.contains("account 200000000001: hop 2 (leaf, "), "{error}");
    assert_eq!(error.message.matches("hop 2").count(), 1, "{error}");
}

#[tokio::test(start_paused = true)]
async fn an_external_id_is_used_and_written_down() {
    let roles = ROLES.replace("role/ci/leaf\"", "role/ci/leaf\", external_id: \"shop-7f3a\"");
    let services = "services:\n  - { name: api, cluster: main, task_definition: deploy/api.json }\n";
    let scene = Scene::new(&format!("{roles}accounts:\n{ACCOUNTS}{services}"));
    let files = closes(&scene, "external-id", &sources(&scene)).await;
    let line = "  leaf: { arn: \"arn:aws:iam::${account.id}:role/ci/leaf\", external_id: shop-7f3a }\n";
    assert!(files[0].text.contains(line), "{}", files[0].text);
}

#[tokio::test(start_paused = true)]
async fn a_whole_cluster_is_imported_by_a_glob_with_an_active_canary_and_variables_to_fill() {
    let services = "  - { name: api, cluster: main, images: { app: \"registry.example.com/api:v7\" } }\n  \
                    - { name: web-a, cluster: main, images: { app: \"registry.example.com/web:v7\" } }\n  \
                    - { name: web-b, cluster: main, images: { app: \"registry.example.com/web:v7\" } }\n";
    let scene = scene(ACCOUNTS, services);
    let globbed = |service: &str| {
        let mut all: Vec<String> = sources(&scene);
        all.iter_mut().for_each(|source| source.truncate(source.rfind('/').expect("a service")));
        all.dedup();
        all.into_iter().map(|cluster| format!("{cluster}/{service}")).collect::<Vec<_>>()
    };
    let everything = import(&scene, &globbed("*")).await.unwrap_or_else(|error| panic!("{error}"));
    let one_by_one = import(&scene, &sources(&scene)).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(everything[0].text, one_by_one[0].text);
    let text = &everything[0].text;
    assert!(text.contains("\nrollout:\n") && text.contains("    - name: canary\n"), "{text}");
    assert!(text.contains("${API_TAG:-") && text.contains("${WEB_A_TAG:-"), "{text}");
    let some = import(&scene, &globbed("web-*")).await.unwrap_or_else(|error| panic!("{error}"));
    assert!(!some[0].text.contains("name: api"), "{}", some[0].text);
    let none = import(&scene, &globbed("nothing-*")).await.expect_err("no such service");
    assert!(none.exit == Exit::Usage && none.to_string().contains("no service matches `nothing-*`"), "{none}");
}
