//! Accounts from AWS Organizations: read with its pages and its throttling, written down, compared, and deployed to.

use std::collections::BTreeSet;
use std::path::Path;

use roleout::base::clock::Clock;
use roleout::base::error::Error;
use roleout::base::exit::Exit;
use roleout::connect::{CommandContext, Connection};
use roleout::engine::cancel::Cancel;
use roleout::fleet::{Fleet, Outcome};
use roleout::iam::{IamOptions, cloudformation, setup, stackset};
use roleout::manifest::load::{How, load, load_as, load_organization};
use roleout::operations::accounts::{UpdateOptions, reader, update};
use roleout::sandbox::{Claims, Organization, Sandbox};
use roleout::view::View;
use roleout::view::accounts::{age, list_text};
use roleout::view::options::Options;
use serde_json::json;

use crate::harness::{Directory, Scene, Shared};

const MANAGEMENT: &str = "111111111111";

/// A manifest whose accounts are those of `entries`.
fn manifest(entries: &str) -> String {
    format!(
        "version: 1\n\
         identity:\n  token_env: TOKEN\n  region: eu-west-1\n  organization_chain: [hub, reader]\n  \
         issuer: https://gitlab.sandbox.test\n  allow: {{ project: acme/shop, branches: [main] }}\n\
         roles:\n  hub: {{ arn: \"arn:aws:iam::999999999999:role/hub\" }}\n  \
         reader: {{ arn: \"arn:aws:iam::{MANAGEMENT}:role/org-reader\" }}\n  \
         leaf: {{ arn: \"arn:aws:iam::${{account.id}}:role/leaf\" }}\n\
         accounts:\n{entries}\
         services:\n  - name: api\n    cluster: main\n    images: {{ app: \"registry.example.com/api:v2\" }}\n"
    )
}

const WORK: &str = "  - from: organization\n    ou: work\n    chain: [hub, leaf]\n    regions: [eu-west-1]\n    \
                    labels: { env: \"${org.tags.env:-none}\", unit: \"${org.ou.name}\" }\n";

fn organization() -> Organization {
    let mut organization = Organization::new(MANAGEMENT);
    organization.add_member("222222222221", "Payments Prod", "work/prod", &[("env", "prod"), ("owner", "Jane")]);
    organization.add_member("222222222222", "Shop", "work/prod", &[("env", "prod")]);
    organization.add_member("222222222223", "Shop Staging", "work/staging", &[("env", "staging")]);
    organization.add_member("333333333333", "Toys", "play", &[]);
    organization
}

/// A manifest in a directory of its own, and the AWS with its organization.
struct Place {
    directory: Directory,
    sandbox: Sandbox,
}

/// What an update came to.
#[must_use]
struct Told {
    exit: Result<Exit, Error>,
    out: String,
    err: String,
    seconds: u64,
}

impl Place {
    fn new(name: &str, entries: &str, organization: Organization) -> Self {
        Self::seeded(name, entries, organization, 1)
    }

    fn seeded(name: &str, entries: &str, organization: Organization, seed: u64) -> Self {
        let directory = Directory::new(&format!("organization-{name}"));
        let place = Self { sandbox: Sandbox::new(seed, Clock::tokio()), directory };
        place.write(entries);
        let place = Self { sandbox: Sandbox::for_fleet(&place.reader(), seed, Clock::tokio()), ..place };
        place.sandbox.set_organization(organization);
        place
    }

    fn write(&self, entries: &str) {
        fs_err::write(self.directory.0.join("deploy.yaml"), manifest(entries)).expect("a file");
    }

    fn lock(&self) -> String {
        fs_err::read_to_string(self.directory.0.join("deploy.accounts.lock.yaml")).expect("a lock")
    }

    fn reader(&self) -> Fleet {
        let loaded = load_organization(&self.directory.0.join("deploy.yaml"), &|_| None);
        let (identity, source) = loaded.expect("a manifest").expect("an organization");
        reader(&identity, &source).expect("a chain")
    }

    /// Loads the manifest, as every other command does.
    fn load(&self) -> Result<Fleet, String> {
        load(&self.directory.0.join("deploy.yaml"), &|_| None).map_err(|error| error.to_string())
    }

    async fn run(&self, options: UpdateOptions) -> Told {
        let loaded = load_organization(&self.directory.0.join("deploy.yaml"), &|_| None);
        let (_, source) = loaded.expect("a manifest").expect("an organization");
        let connection = Connection::sandbox(&self.reader(), &self.sandbox, self.sandbox.id_token(Claims::default()));
        let (out, err) = (Shared::default(), Shared::default());
        let began = tokio::time::Instant::now();
        let mut view = View::new(Options::default(), Box::new(out.clone()), Box::new(err.clone()));
        let cancel = Cancel::default();
        let context = &mut CommandContext { connection: &connection, view: &mut view, cancel: &cancel };
        let exit = update(&source, &options, context).await;
        drop(view);
        let place = self.directory.0.display().to_string();
        let shown = |text: String| text.replace(&format!("{place}/"), "");
        Told { exit, out: shown(out.text()), err: shown(err.text()), seconds: began.elapsed().as_secs() }
    }

    async fn update(&self, accepted: &[&str]) -> Told {
        let accepted: BTreeSet<_> = accepted.iter().map(|id| id.parse().expect("an id")).collect();
        self.run(UpdateOptions { write: true, accepted, json: false }).await
    }

    async fn check(&self) -> Told {
        self.run(UpdateOptions::default()).await
    }
}

#[tokio::test(start_paused = true)]
async fn the_accounts_of_a_unit_become_a_fleet_that_is_deployed() {
    let place = Place::new("fleet", WORK, organization());
    let missing = place.load().expect_err("no lock yet");
    assert!(missing.contains("there is no") && missing.contains("roleout accounts --update"), "{missing}");
    let told = place.update(&[]).await;
    assert_eq!(told.exit, Ok(Exit::Done), "{}", told.err);
    insta::assert_snapshot!(told.out, @r"
    + 222222222221  Payments Prod  new, in work/prod
    + 222222222222  Shop           new, in work/prod
    + 222222222223  Shop Staging   new, in work/staging
    deploy.accounts.lock.yaml: 3 accounts, 3 changes
    ");
    let fleet = place.load().expect("a fleet");
    let names: Vec<&str> = fleet.accounts.iter().map(|account| account.name.as_str()).collect();
    assert_eq!(names, ["payments-prod", "shop", "shop-staging"]);
    let labels = fleet.accounts[0].labels.iter().map(|(key, value)| format!("{key}={value}"));
    assert_eq!(labels.collect::<Vec<_>>(), ["env=prod", "unit=prod"]);
    assert!(!place.lock().contains("Jane") && !place.lock().contains("@"), "no more than is asked: {}", place.lock());
    // With just the permissions that are written for it, the new accounts of the organization included.
    let needed = setup(&fleet, IamOptions::default()).expect("policies");
    let scene = Scene::seeded(fleet);
    scene.sandbox.apply(&needed);
    let ran = scene.deploy().await;
    assert_eq!(ran.exit, Ok(Exit::Done), "{}", ran.said);
    assert_eq!(ran.count(Outcome::Succeeded), 3);
    place.sandbox.apply(&needed);
    assert_eq!(place.check().await.exit, Ok(Exit::Done));
    let mut less = needed.clone();
    let reader = less.accounts.iter_mut().flat_map(|account| &mut account.roles).find(|role| role.role == "reader");
    for policy in &mut reader.expect("a reader").policies {
        let text = policy.document.to_string().replace("organizations:ListTagsForResource", "organizations:None");
        policy.document = serde_json::from_str(&text).expect("JSON");
    }
    place.sandbox.apply(&less);
    let refused = place.check().await.exit.expect_err("it is not permitted");
    assert!(refused.message.contains("ListTagsForResource"), "{refused}");
    assert!(refused.help.iter().any(|help| help.contains("roleout iam")), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn an_organization_that_moved_is_shown_and_no_account_leaves_in_silence() {
    let place = Place::new("moved", WORK, organization());
    let _ = place.update(&[]).await;
    assert_eq!(place.check().await.exit, Ok(Exit::Done));
    let before = place.lock();
    place.sandbox.change_organization(|organization| {
        organization.add_member("222222222224", "New Team", "work/prod/eu", &[]);
        organization.member("222222222221").expect("it").state = "SUSPENDED".to_owned();
        organization.member("222222222222").expect("it").unit = "work/staging".to_owned();
        organization.member("222222222222").expect("it").tags.insert("env".to_owned(), "staging".to_owned());
        organization.remove_member("222222222223");
    });
    let told = place.check().await;
    assert_eq!(told.exit, Ok(Exit::Pending));
    insta::assert_snapshot!(told.out, @r"
    ! 222222222221  Payments Prod  would leave: it is SUSPENDED
    ~ 222222222222  Shop           moved from work/prod to work/staging
    ~ 222222222222  Shop           tag env: `prod` → `staging`
    ! 222222222223  Shop Staging   would leave: it is not in the organization any more
    + 222222222224  New Team       new, in work/prod/eu
    deploy.accounts.lock.yaml: 4 accounts, 5 changes
    ");
    assert_eq!(place.lock(), before, "a check writes nothing");
    let told = place.update(&[]).await;
    assert_eq!(told.exit, Ok(Exit::Pending));
    assert!(told.err.contains("2 accounts would leave the fleet"), "{}", told.err);
    let refused = place.load().expect_err("two accounts leave");
    assert!(refused.contains("account 222222222221 (`Payments Prod`) is SUSPENDED in the organization"), "{refused}");
    assert!(refused.contains("--accept-gone 222222222223"), "{refused}");
    let wrong = place.update(&["222222222222"]).await.exit.expect_err("it does not leave");
    assert!(wrong.message.contains("would not leave the fleet"), "{wrong}");
    let told = place.update(&["222222222221", "222222222223"]).await;
    assert_eq!(told.exit, Ok(Exit::Done), "{}", told.err);
    let fleet = place.load().expect("a fleet");
    let names: Vec<&str> = fleet.accounts.iter().map(|account| account.name.as_str()).collect();
    assert_eq!(names, ["shop", "new-team"]);
}

#[tokio::test(start_paused = true)]
async fn a_lock_without_accounts_is_read_and_its_first_ones_come_later() {
    let entries = WORK.replace("ou: work\n", "ou: work\n    name: \"New*\"\n");
    let place = Place::new("none", &entries, organization());
    assert_eq!(place.update(&[]).await.exit, Ok(Exit::Done));
    let fleet = place.load().expect("a fleet without accounts");
    assert_eq!(fleet.warnings, ["service `api` is in no account: its `select` matches nothing"]);
    place
        .sandbox
        .change_organization(|organization| organization.add_member("222222222224", "New Team", "work/prod", &[]));
    let told = place.update(&[]).await;
    assert_eq!(told.exit, Ok(Exit::Done), "{}", told.err);
    assert_eq!(place.load().expect("a fleet").accounts.len(), 1);
    place.sandbox.change_organization(|organization| assert!(organization.remove_member("222222222224")));
    assert_eq!(place.update(&["222222222224"]).await.exit, Ok(Exit::Done), "the last one leaves");
    assert_eq!(place.check().await.exit, Ok(Exit::Done));
}

#[tokio::test(start_paused = true)]
async fn an_entry_that_changed_needs_a_new_lock() {
    let place = Place::new("changed", WORK, organization());
    let _ = place.update(&[]).await;
    place.write(&WORK.replace("ou: work\n", "ou: [work, play]\n"));
    let stale = place.load().expect_err("another question");
    assert!(stale.contains("the lock was written when the entries `from: organization` were others"), "{stale}");
    place.write(&WORK.replace("unit: \"${org.ou.name}\"", "mail: \"${org.email}\""));
    let stale = place.load().expect_err("other facts");
    assert!(stale.contains("when the manifest did not use addresses"), "{stale}");
    let _ = place.update(&[]).await;
    assert!(place.lock().contains("email: \"222222222221@example.com\""), "{}", place.lock());
    place.write(&WORK.replace("ou: work\n", "ou: work/prod\n"));
    let told = place.check().await;
    assert!(
        told.out.contains("! 222222222223  Shop Staging   would leave: no entry selects it any more"),
        "{}",
        told.out
    );
}

#[tokio::test(start_paused = true)]
async fn only_the_management_account_and_delegated_administrators_may_read() {
    let entries = WORK;
    let mut organization = organization();
    organization.set_management("444444444444");
    organization.add_member(MANAGEMENT, "tools", "/", &[]);
    let place = Place::new("denied", entries, organization);
    let refused = place.check().await.exit.expect_err("a member");
    let told = format!("{refused}\n{}", refused.help.join("\n")).replace(&request_id(&refused.message), "ID");
    insta::assert_snapshot!(told, @r"
    account 111111111111 cannot read the organization: ListRoots: AccessDeniedException: You don't have permissions to access this resource. (request id ID)
    only the management account, 444444444444, and delegated administrators may read it: let `identity.organization_chain` end there, or make 111111111111 a delegated administrator in AWS Organizations
    the role needs the permissions that `roleout iam` writes for `organization_chain`
    ");
    place.sandbox.change_organization(|organization| organization.delegate(MANAGEMENT));
    assert_eq!(place.check().await.exit, Ok(Exit::Pending));
    let foreign = Place::new("foreign", entries, Organization::new("555555555555"));
    let refused = foreign.check().await.exit.expect_err("no member");
    assert!(refused.help.iter().any(|help| help.contains("in no organization")), "{refused:?}");
}

fn request_id(message: &str) -> String {
    message.split_once("(request id ").and_then(|(_, rest)| rest.split_once(')')).expect("an id").0.to_owned()
}

#[tokio::test(start_paused = true)]
async fn units_and_tags_that_are_not_there_are_told_with_the_near_ones() {
    let entries = WORK.replace("ou: work\n", "ou: [work, work/prdo]\n");
    let place = Place::new("units", &entries, organization());
    let refused = place.check().await.exit.expect_err("no such unit");
    assert_eq!(refused.exit, Exit::Manifest);
    assert!(refused.message.contains("`work/prdo`; did you mean `work/prod`?"), "{refused}");
    place.write(&WORK.replace("org.tags.env", "org.tags.evn"));
    let told = place.check().await;
    assert!(told.err.contains("no account has the tag `evn`; did you mean `env`?"), "{}", told.err);
}

#[tokio::test(start_paused = true)]
async fn the_lock_of_another_organization_is_not_written_over() {
    let place = Place::new("other", WORK, organization());
    let _ = place.update(&[]).await;
    let text = place.lock().replace("o-sandbox001", "o-another001");
    fs_err::write(place.directory.0.join("deploy.accounts.lock.yaml"), text).expect("a file");
    let refused = place.update(&[]).await.exit.expect_err("another organization");
    assert!(refused.message.contains("the lock is of the organization o-another001"), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn an_entry_in_an_included_file_uses_the_lock_of_the_manifest() {
    let place = Place::new("include", WORK, organization());
    let text =
        manifest(WORK).replace(WORK, "").replace("accounts:\n", "x-shared: { a: 1 }\ninclude: \"*accounts*.yaml\"\n");
    fs_err::write(place.directory.0.join("deploy.yaml"), text).expect("a file");
    fs_err::write(place.directory.0.join("accounts.yaml"), format!("accounts:\n{WORK}")).expect("a file");
    assert_eq!(place.update(&[]).await.exit, Ok(Exit::Done));
    let fleet = place.load().expect("the pattern does not take the lock for a file of accounts");
    let from: BTreeSet<&str> = fleet.roster.accounts.iter().map(|listing| listing.from.as_str()).collect();
    assert_eq!(from.len(), 1);
    assert!(from.iter().all(|from| from.ends_with("accounts.yaml:2")), "{from:?}");
    let later = "2026-11-04T01:00:00Z".parse().expect("a time");
    assert!(age(&fleet, later).expect("a lock").contains("which changed last 2 days ago"));
    let listed = list_text(Path::new("deploy.yaml"), &fleet);
    let listed = listed.replace(&format!("{}/", place.directory.0.display()), "");
    insta::assert_snapshot!(listed, @r"
    account        id            targets  regions    chain     labels                    from
    payments-prod  222222222221  1        eu-west-1  hub,leaf  env=prod,unit=prod        accounts.yaml:2 (work/prod)
    shop           222222222222  1        eu-west-1  hub,leaf  env=prod,unit=prod        accounts.yaml:2 (work/prod)
    shop-staging   222222222223  1        eu-west-1  hub,leaf  env=staging,unit=staging  accounts.yaml:2 (work/staging)
    deploy.yaml: 3 accounts, 3 targets
    deploy.accounts.lock.yaml: last changed on 2026-11-02
    ");
}

#[tokio::test(start_paused = true)]
async fn a_new_account_gets_its_role_by_itself() {
    let place = Place::new("roles", WORK, organization());
    let manifest = place.directory.0.join("deploy.yaml");
    // The role that reads is needed before there is a lock.
    let unlocked = load_as(&manifest, &|_| None, How { unlocked: true, ..How::default() }).expect("a manifest");
    let roles = |fleet: &Fleet| {
        let setup = setup(fleet, IamOptions::default()).expect("policies");
        let roles = setup.accounts.iter().flat_map(|account| &account.roles).map(|role| role.role.clone());
        roles.collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>()
    };
    assert_eq!(roles(&unlocked), ["hub", "reader"]);
    let _ = place.update(&[]).await;
    let fleet = place.load().expect("a fleet");
    assert_eq!(roles(&fleet), ["hub", "leaf", "reader"]);
    let setup = setup(&fleet, IamOptions::default()).expect("policies");
    let hub = &setup.accounts[0].roles[0];
    let statement = hub.policies[0].document["Statement"]
        .as_array()
        .and_then(|list| list.iter().find(|one| one["Condition"].is_object()))
        .expect("a statement with a condition");
    assert_eq!(statement["Resource"], "arn:aws:iam::*:role/leaf");
    assert_eq!(statement["Condition"], json!({ "StringEquals": { "aws:ResourceOrgID": "o-sandbox001" } }));
    let source = fleet.roster.organization.as_ref().expect("an organization");
    let (sets, notes) = stackset::templates(source, &cloudformation::templates(&setup), "eu-west-1");
    assert_eq!((sets.len(), notes.len()), (1, 1), "{notes:?}");
    let properties = &sets["leaf"]["Resources"]["StackSet"]["Properties"];
    let unit = &source.lock.as_ref().expect("a lock").units["work"];
    assert_eq!(properties["StackInstancesGroup"][0]["DeploymentTargets"], json!({ "OrganizationalUnitIds": [unit] }));
    assert_eq!(properties["AutoDeployment"]["Enabled"], true);
    let body = properties["TemplateBody"].as_str().expect("a text");
    assert!(body.contains("\"RoleName\":\"leaf\"") && !body.contains("222222222221"), "{body}");
}

#[tokio::test(start_paused = true)]
async fn several_projects_deploy_to_the_accounts_of_an_organization_and_no_other_does() {
    let place = Place::new("projects", WORK, organization());
    let text = manifest(WORK).replace("{ project: acme/shop,", "{ projects: [acme/shop, acme/blog],");
    fs_err::write(place.directory.0.join("deploy.yaml"), text).expect("a file");
    assert_eq!(place.update(&[]).await.exit, Ok(Exit::Done));
    for (project, exit) in [("acme/shop", Exit::Done), ("acme/blog", Exit::Done), ("acme/blogs", Exit::Preflight)] {
        let scene = Scene::seeded(place.load().expect("a fleet"));
        scene.sandbox.apply(&setup(&scene.fleet, IamOptions::default()).expect("policies"));
        let subject = format!("project_path:{project}:ref_type:branch:ref:main");
        let ran = scene.claims(Claims { subject, ..Claims::default() }).deploy().await;
        assert_eq!(ran.code(), exit, "{project}: {}", ran.said);
        let succeeded = if exit == Exit::Done { 3 } else { 0 };
        assert_eq!(ran.count(Outcome::Succeeded), succeeded, "{project}");
    }
}

/// Accounts in units of twenty each, three deep, and in one that has many pages of them.
fn large(accounts: u64) -> Organization {
    let mut organization = Organization::new(MANAGEMENT);
    for number in 0..accounts {
        let (id, unit) = (format!("{:012}", 300_000_000_000 + number), number / 20);
        let path = match number {
            0..240 => "work/many".to_owned(),
            _ => format!("work/area-{}/team-{unit}", unit % 10),
        };
        let env = if number % 3 == 0 { "prod" } else { "test" };
        organization.add_member(&id, &format!("Account {number}"), &path, &[("env", env)]);
    }
    organization
}

const PROD: &str = "  - from: organization\n    ou: work\n    tags: { env: prod }\n    chain: [hub, leaf]\n    \
                    regions: [eu-west-1]\n";

#[tokio::test(start_paused = true)]
async fn two_thousand_accounts_are_read_within_the_rate_and_with_calls_that_grow_as_they_do() {
    // The SDK's waits before it sends something again: by chance they would be throttled a little more once in hundreds of runs.
    fastrand::seed(1);
    let place = Place::new("large", PROD, large(2000));
    let told = place.update(&[]).await;
    assert_eq!(told.exit, Ok(Exit::Done), "{}", told.err);
    let calls = place.sandbox.calls();
    // Of each account its tags; of each unit two lists; and here and there an empty page.
    let (accounts, units) = (2000, 112);
    let most = accounts + 2 * units + accounts / 50 + calls.throttled;
    let (total, throttled) = (calls.total(), calls.throttled);
    assert!(total <= most, "{total} calls, {throttled} throttled; at most {most}");
    assert!(throttled < total / 10, "{throttled} of {total} were throttled");
    assert!(told.seconds < 300, "{} virtual seconds", told.seconds);
    assert_eq!(place.load().expect("a fleet").targets.len(), 667);
}

#[tokio::test(start_paused = true)]
async fn the_lock_is_the_same_in_whatever_order_the_organization_answers() {
    let [first, second] = [1, 7].map(|seed| Place::seeded(&format!("order-{seed}"), PROD, large(300), seed));
    let _ = (first.update(&[]).await, second.update(&[]).await);
    assert_eq!(first.lock(), second.lock());
    assert_eq!(first.load().expect("a fleet").targets.len(), 100, "those behind an empty page, too");
}
