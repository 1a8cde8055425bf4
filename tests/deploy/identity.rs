//! Role chains: walked once, renewed in time, and refused before anything is changed.

use std::sync::atomic::AtomicI64;
use std::time::Duration;

use roleout::aws::Aws;
use roleout::base::exit::Exit;
use roleout::connect::Connection;
use roleout::event::{Event, Stamped};
use roleout::exec::keys::Keys;
use roleout::fleet::Outcome;
use roleout::identity::session::Sessions;
use roleout::identity::token::TokenSource;
use roleout::sandbox::Claims;

use secrecy::ExposeSecret;
use serde_json::json;

use crate::harness::{Scene, manifest};
use crate::runs;

#[tokio::test(start_paused = true)]
async fn the_token_is_exchanged_once_however_many_accounts_share_the_hub() {
    let scene = Scene::of(40, 3, "").quick();
    let ran = scene.deploy().await;
    assert_eq!(ran.code(), Exit::Done, "{}", ran.said);
    assert_eq!(scene.sandbox.calls().operation("AssumeRoleWithWebIdentity"), 1);
    assert_eq!(scene.sandbox.calls().operation("AssumeRole"), 40);
}

#[tokio::test(start_paused = true)]
async fn a_chain_that_expires_every_fifteen_minutes_lasts_through_two_hours() {
    let short = manifest(1, 1, "rollout: { timeout: 3h }\n")
        .replace("role/hub\" }", "role/hub\", duration: 15m }")
        .replace("external_id: team }", "external_id: team, duration: 15m }");
    let scene = Scene::new(&short).claims(Claims { lifetime: Duration::from_secs(4 * 3600), ..Claims::default() });
    // Slow tasks: a hundred times the usual.
    let scene = scene.fault("*=slow:100");
    let ran = scene.deploy().await;
    assert_eq!((ran.code(), ran.count(Outcome::Succeeded)), (Exit::Done, 1), "{}", ran.said);
    assert!(ran.seconds > 7_000, "{} s", ran.seconds);
    let calls = scene.sandbox.calls();
    let exchanges = calls.operation("AssumeRoleWithWebIdentity");
    assert!((8..=16).contains(&exchanges), "{exchanges} exchanges in {} s", ran.seconds);
    assert!(!ran.said.contains("Expired"), "{}", ran.said);
}

#[tokio::test(start_paused = true)]
async fn a_runner_whose_clock_is_wrong_renews_its_sessions_in_time_and_no_more_often() {
    let short = manifest(1, 1, "rollout: { timeout: 3h }\n")
        .replace("role/hub\" }", "role/hub\", duration: 15m }")
        .replace("external_id: team }", "external_id: team, duration: 15m }");
    for minutes in [-120, -20, 20, 120] {
        let scene = Scene::new(&short).claims(Claims { lifetime: Duration::from_secs(4 * 3600), ..Claims::default() });
        let scene = scene.fault("*=slow:100");
        let error: &AtomicI64 = Box::leak(Box::new(AtomicI64::new(minutes * 60_000)));
        let aws = Aws::in_process(scene.sandbox.http_client(), scene.sandbox.clock().set_by(error), "eu-west-1");
        let token = TokenSource::Held { variable: "TOKEN".to_owned(), token: scene.token.clone() };
        let sessions = Sessions::new(aws.sts("eu-west-1"), aws.clock(), "job", Some(token), None);
        let connection = Connection { aws, sessions };
        let (fleet, choice, start) = (scene.fleet.clone(), scene.choice.clone(), scene.start.clone());
        let deploy = async |_: &Connection, view| {
            runs::deploy(fleet, &connection, choice, start, view, scene.cancel.clone()).await
        };
        let ran = scene.ran(deploy).await;
        let told = format!("{minutes}: {:?}\n{}", ran.exit, ran.said);
        assert_eq!((ran.code(), ran.count(Outcome::Succeeded)), (Exit::Done, 1), "{told}");
        let exchanges = scene.sandbox.calls().operation("AssumeRoleWithWebIdentity");
        assert!((8..=30).contains(&exchanges), "{minutes}: {exchanges} exchanges in {} s", ran.seconds);
        assert!(!ran.said.contains("Expired"), "{minutes}: {}", ran.said);
    }
}

#[tokio::test(start_paused = true)]
async fn every_refused_chain_is_named_and_nothing_is_changed() {
    let scene = Scene::of(4, 1, "");
    for account in ["200000000001", "200000000003"] {
        let arn = format!("arn:aws:iam::{account}:role/leaf");
        assert!(scene.sandbox.change_role(&arn, |role| role.trust["Statement"] = json!([])), "{account}: {arn}");
    }
    let ran = scene.deploy().await;
    let error = ran.exit.expect_err("refused");
    assert_eq!(error.exit, Exit::Preflight);
    for account in ["a1", "a3"] {
        let hop = format!("{account} (20000000000{}): hop 2 (leaf, arn:aws:iam::", &account[1..]);
        assert!(error.message.contains(&hop), "{account}: {error}");
    }
    assert!(error.help.iter().any(|help| help.contains("sts:AssumeRole")), "{:?}", error.help);
    assert_eq!(scene.sandbox.calls().writes, Vec::new());
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_says_what_the_token_claims_and_is_not_tried_again() {
    for (claims, text) in [
        (Claims { subject: "project_path:x/y:ref_type:branch:ref:dev".into(), ..Claims::default() }, "AccessDenied"),
        (Claims { audience: vec!["https://elsewhere.example".into()], ..Claims::default() }, "InvalidIdentityToken"),
        (Claims { forged: true, ..Claims::default() }, "InvalidIdentityToken"),
        (Claims { lifetime: Duration::ZERO, ..Claims::default() }, "ExpiredToken"),
    ] {
        let scene = Scene::of(2, 1, "").claims(claims.clone());
        let ran = scene.deploy().await;
        let error = ran.exit.expect_err(text);
        assert_eq!(error.exit, Exit::Preflight, "{claims:?}");
        assert!(error.message.contains("hop 1 (hub, ") && error.message.contains(text), "{claims:?}: {error}");
        assert!(error.help.iter().any(|help| help.starts_with("the token says: iss ")), "{claims:?}: {:?}", error.help);
        assert_eq!(scene.sandbox.calls().operation("AssumeRoleWithWebIdentity"), 1, "{text} is tried once");
        assert_eq!(scene.sandbox.calls().writes, Vec::new(), "{claims:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_in_another_account_stops_the_run() {
    let scene = Scene::of(2, 1, "").fault("a1=wrong-account");
    let ran = scene.deploy().await;
    let error = ran.exit.expect_err("refused");
    assert_eq!(error.exit, Exit::Preflight);
    assert!(error.message.contains("and not in 200000000001"), "{error}");
    assert_eq!(scene.sandbox.calls().writes, Vec::new());
}

#[tokio::test(start_paused = true)]
async fn each_account_with_its_own_provider_is_exchanged_four_at_a_time() {
    let own = manifest(12, 1, "").replace("chain: [hub, leaf]", "chain: [leaf]").replace(", external_id: team", "");
    let mut scene = Scene::new(&own);
    scene.choice.dry_run = true;
    scene.sandbox.set_latency(Duration::from_secs(1));
    let ran = scene.deploy().await;
    assert_eq!(ran.code(), Exit::Done, "{}", ran.said);
    assert_eq!(scene.sandbox.calls().operation("AssumeRoleWithWebIdentity"), 12);
    // Three rounds of four, then DescribeServices and DescribeTaskDefinition of all accounts at once.
    assert_eq!(ran.seconds, 5);
}

#[tokio::test(start_paused = true)]
async fn a_reader_role_is_enough_for_a_dry_run_and_a_missing_read_is_named() {
    let mut scene = Scene::of(2, 1, "");
    let arn = "arn:aws:iam::200000000001:role/leaf";
    let read = ["ecs:DescribeServices", "ecs:DescribeTaskDefinition"];
    scene.sandbox.change_role(arn, |role| role.actions = Some(read.iter().map(ToString::to_string).collect()));
    scene.choice.dry_run = true;
    let ran = scene.deploy().await;
    assert_eq!(ran.code(), Exit::Done, "{}", ran.said);
    scene.choice.dry_run = false;
    scene.sandbox.change_role(arn, |role| role.actions = Some(vec![read[1].to_owned()]));
    let ran = scene.deploy().await;
    let error = ran.exit.expect_err("refused");
    assert_eq!(error.exit, Exit::Preflight);
    assert!(error.message.contains("ecs:DescribeServices") && error.message.contains("assumed-role/leaf/"), "{error}");
    assert_eq!(scene.sandbox.calls().writes, Vec::new());
}

#[tokio::test(start_paused = true)]
async fn no_secret_shows_anywhere() {
    let scene = Scene::of(2, 1, "").fault("a1/*/*=crash");
    let ran = scene.deploy().await;
    let everything = format!("{}{:?}{:?}", ran.said, ran.events, ran.exit);
    let token = scene.token.expose_secret();
    assert!(token.len() > 100 && token.split('.').all(|part| !everything.contains(part)), "the token is shown");
    assert!(!everything.contains("ASIA"), "an access key is shown");
}

#[tokio::test(start_paused = true)]
async fn keys_for_other_programs_have_twenty_minutes_left_at_least() {
    let scene = Scene::of(1, 1, "").claims(Claims { lifetime: Duration::from_secs(4 * 3600), ..Claims::default() });
    let reach = Connection::sandbox(&scene.fleet, &scene.sandbox, scene.token.clone());
    let account = &scene.fleet.accounts[0];
    let keys = async || {
        let now = reach.aws.clock().now();
        let keys = Keys::fetch(&reach.sessions, account, now).await.expect("keys");
        assert!(keys.expires >= now + Duration::from_secs(20 * 60));
        assert!(!format!("{keys:?}").contains(keys.for_process()["SecretAccessKey"].as_str().expect("a key")));
        keys.for_process()["AccessKeyId"].clone()
    };
    let first = keys().await;
    tokio::time::advance(Duration::from_secs(39 * 60)).await;
    assert_eq!(keys().await, first, "nothing is asked of STS while enough is left");
    tokio::time::advance(Duration::from_secs(2 * 60)).await;
    let own = reach.sessions.session(&account.chain.hops).await.expect("a session");
    assert_eq!(
        own.grant.credentials.access_key_id(),
        first.as_str().expect("a key"),
        "a run's own goes on to the last five"
    );
    assert_ne!(keys().await, first);
}

#[tokio::test(start_paused = true)]
async fn once_the_token_is_over_a_run_says_so_and_does_not_wait_for_what_it_cannot_see() {
    for policy in ["", ", on_failure: rollback"] {
        let rollout = format!("rollout: {{ timeout: 20m{policy} }}\n");
        let scene = Scene::of(2, 2, &rollout).fault("*=slow:100").fault("*=short-sessions:30").fault("*=token-ends:60");
        let ran = scene.deploy().await;
        assert_eq!((ran.code(), ran.count(Outcome::TimedOut)), (Exit::TimedOut, 4), "{policy}: {}", ran.said);
        assert!((60..200).contains(&ran.seconds), "{policy}: {} s", ran.seconds);
        let lost = |stamped: &&Stamped| matches!(stamped.event, Event::SessionLost { .. });
        assert_eq!(ran.events.iter().filter(lost).count(), 1, "{policy}: {}", ran.said);
        assert_eq!(ran.said.matches("! the session in a").count(), 1, "{policy}: {}", ran.said);
        let reason = ran.reason("a0/eu-west-1/s0");
        assert!(reason.starts_with("the session is lost") && reason.contains("Token expired"), "{policy}: {reason}");
        assert!(ran.said.contains("; last seen "), "{policy}: {}", ran.said);
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_renewed_in_time_is_not_given_up() {
    let scene = Scene::of(2, 1, "rollout: { timeout: 3h }\n").fault("*=slow:10").fault("*=short-sessions:30");
    let ran = scene.deploy().await;
    assert_eq!((ran.code(), ran.count(Outcome::Succeeded)), (Exit::Done, 2), "{}", ran.said);
    assert!(!ran.events.iter().any(|stamped| matches!(stamped.event, Event::SessionLost { .. })), "{}", ran.said);
}

#[tokio::test(start_paused = true)]
async fn lists_that_lag_behind_change_nothing() {
    let scene = Scene::of(2, 2, "rollout: { waves: [ { name: all, bake: 1m } ] }\n").fault("*=lagging-lists:60");
    let ran = scene.deploy().await;
    assert_eq!((ran.code(), ran.count(Outcome::Succeeded)), (Exit::Done, 4), "{}", ran.said);
    let writes = scene.sandbox.calls().writes.len();
    let again = scene.deploy().await;
    assert_eq!((again.code(), again.count(Outcome::Unchanged)), (Exit::Done, 4), "{}", again.said);
    assert_eq!(scene.sandbox.calls().writes.len(), writes);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_the_token_may_not_last_for_is_warned_of_before_it_begins() {
    // The worst case of 3 hours is in every estimate, and is no warning by itself.
    for (minutes, bake, warned) in [(10, "2h", true), (10, "1m", false), (600, "2h", false)] {
        let claims = Claims { lifetime: Duration::from_secs(minutes * 60), ..Claims::default() };
        let rollout = format!("rollout: {{ timeout: 3h, waves: [ {{ name: all, bake: {bake} }} ] }}\n");
        let ran = Scene::of(1, 1, &rollout).claims(claims).deploy().await;
        assert_eq!(ran.said.contains("warning: the estimate of 2h 0"), warned, "{minutes}: {}", ran.said);
        // What is warned of happens: the bake cannot see its services to the end.
        assert_eq!(ran.code() == Exit::Done, !warned, "{minutes}");
    }
}
