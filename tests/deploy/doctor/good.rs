//! Good set-ups, of which nothing is said.

use roleout::base::exit::Exit;
use roleout::sandbox::{AUDIENCE, Claims, Provider};
use serde_json::json;

use super::*;

#[tokio::test(start_paused = true)]
async fn a_set_up_that_works_has_no_findings() {
    let hub = |conditions: Value| Setup::new(&beside()).trust(HUB, web(conditions));
    let named = beside().replace("token_env: TOKEN", &format!("token_env: TOKEN, issuer: \"{AUDIENCE}\""));
    let ambient = manifest(&[("a0", "200000000000", "hub, leaf")], "").replace("token_env: TOKEN", "ambient: true");
    let empty = manifest(&[("a0", "200000000000", "")], "").replace("token_env: TOKEN", "ambient: true");
    let own = manifest(&[("a0", "200000000000", "leaf"), ("a1", "200000000001", "leaf")], "");
    let several = {
        let mut policy = web(subject("StringEquals", "project_path:acme/web:ref_type:branch:ref:main"));
        let good = web(subject("StringEquals", SUBJECT))["Statement"][0].clone();
        policy["Statement"].as_array_mut().expect("a list").push(good);
        policy
    };
    let by_id = Claims { subject: "project_id:4711:ref_type:branch:ref:main".into(), ..Claims::default() };
    let ids = json!({ "StringLike": { (key("sub")): ["project_id:4711:*", "project_path:acme/*"] } });
    let everything = web(json!({ "StringLike": { (key("sub")): "*" } }));
    let gitlab_com = {
        let setup = Setup::new(&manifest(&[("tools", "111111111111", "reader")], ""));
        let client_ids = vec!["https://gitlab.com".to_owned()];
        setup.sandbox.set_provider("111111111111", Provider { host: "gitlab.com".into(), client_ids, key_set: None });
        let (issuer, audience) = ("https://gitlab.com".to_owned(), vec!["https://gitlab.com".to_owned()]);
        setup.claims(Claims { issuer, audience, ..Claims::default() }).trust(
            READER,
            json!({ "Statement": [{
            "Effect": "Allow", "Action": "sts:AssumeRoleWithWebIdentity",
            "Principal": { "Federated": "arn:aws:iam::111111111111:oidc-provider/gitlab.com" },
            "Condition": { "StringEquals": { "gitlab.com:project_id": "4711", "gitlab.com:ref_protected": "true" } },
        }] }),
        )
    };
    let rows: Vec<(&str, Setup)> = vec![
        ("as it is seeded", Setup::new(&beside())),
        ("the manifest names the issuer", Setup::new(&named)),
        ("a provider in every account", Setup::new(&own)),
        ("the SDK's own credentials", Setup::new(&ambient)),
        ("without a chain", Setup::new(&empty)),
        ("a wildcard in StringLike", hub(subject("StringLike", "project_path:acme/*:ref_type:branch:ref:main"))),
        ("a set operator", hub(subject("ForAnyValue:StringLike", "project_path:acme/*"))),
        ("no condition on the audience", hub(json!({ "StringEquals": { (key("sub")): SUBJECT } }))),
        ("a second statement that allows it", Setup::new(&beside()).trust(HUB, several.clone())),
        ("a sub of project_id", hub(ids).trust(READER, everything).claims(by_id)),
        ("keys of gitlab.com", gitlab_com),
        ("tags and a source identity", Setup::new(&deep(", tags: { team: shop }, source_identity: ci-bot"))),
        (
            "several audiences",
            Setup::new(&alone())
                .claims(Claims { audience: vec![AUDIENCE.into(), "vault".into()], ..Claims::default() }),
        ),
    ];
    assert!(rows.len() >= 10);
    for (name, setup) in rows {
        let (exit, report) = setup.report().await;
        assert_eq!((exit, &report["findings"]), (Exit::Done, &json!([])), "{name}: {report:#}");
        let (_, text) = setup.says(Layout::Text).await;
        assert!(text.contains("there is a session in "), "{name}:\n{text}");
    }
}

/// A policy that is still to be put in place is held against the token, and is no fault.
#[tokio::test(start_paused = true)]
async fn a_policy_file_is_held_against_a_set_up_that_works() {
    for (policy, code) in [
        (web(subject("StringEquals", SUBJECT)), "trust-allows"),
        (web(subject("StringEquals", "project_path:acme/web:ref_type:branch:ref:main")), "trust-project"),
    ] {
        let (exit, report) =
            Setup::new(&manifest(&[("tools", "111111111111", "reader")], "")).policy(policy).report().await;
        assert_eq!(exit, Exit::Done, "{code}: {report:#}");
        assert_eq!(report["findings"][0]["finding"]["code"], code, "{code}: {report:#}");
        assert_eq!(report["findings"][0]["finding"]["severity"], "note", "{code}");
    }
}

/// A token that ends within the worst case of the plan is worth a note.
#[tokio::test(start_paused = true)]
async fn a_token_that_ends_before_the_run_may_is_noted() {
    let claims = Claims { lifetime: Duration::from_secs(600), ..Claims::default() };
    let (exit, report) = Setup::new(&beside()).claims(claims).report().await;
    assert_eq!(exit, Exit::Done);
    assert_eq!(report["findings"][0]["finding"]["code"], "token-short");
    assert_eq!(report["findings"][0]["finding"]["what"], "the ID token ends in 10m, and the run may take 20m");
}
