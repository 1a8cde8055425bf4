//! Sessions on a sandbox: what is walked how often, and what is told.

use super::*;
use crate::aws::credentials::OwnCredentials;
use crate::aws::{Aws, SharedCredentialsProvider};
use crate::manifest::load::load_str;
use crate::sandbox::{Claims, Sandbox};

const MANIFEST: &str = "
version: 1
identity: { token_env: T, region: eu-west-1 }
roles:
  hub: { arn: 'arn:aws:iam::111111111111:role/hub' }
  leaf: { arn: 'arn:aws:iam::${account.id}:role/leaf' }
accounts: [{ name: a, id: '200000000000', chain: [hub, leaf], regions: [eu-west-1] }]
services: [{ name: s, cluster: main, images: { app: 'registry.example.com/s:v2' } }]
";

/// Returns the sessions of one account behind a hub, and their chain.
fn sessions_of_a_chain() -> (Sandbox, Sessions, Vec<Hop>) {
    let fleet = load_str("deploy.yaml", std::path::Path::new("."), MANIFEST, &|_| None).expect("a fleet");
    let sandbox = Sandbox::for_fleet(&fleet, 1, Clock::tokio_from_system());
    let sts = Aws::in_process(sandbox.http_client(), sandbox.clock(), "eu-west-1").sts("eu-west-1");
    let token = TokenSource::Held { variable: "T".into(), token: sandbox.id_token(Claims::default()) };
    let sessions = Sessions::new(sts, sandbox.clock(), "job", Some(token), None);
    (sandbox, sessions, fleet.accounts[0].chain.hops.clone())
}

/// A job whose own credentials are those of a role: new ones, whenever it is asked.
#[derive(Debug)]
struct Runner {
    sts: Sts,
    role: Hop,
    token: SecretString,
}

impl ProvideCredentials for Runner {
    fn provide_credentials<'a>(&'a self) -> credentials_future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        credentials_future::ProvideCredentials::new(async {
            let grant = self.sts.assume_with_web_identity(&self.role, "runner", self.token.expose_secret()).await;
            grant.map(|grant| grant.credentials).map_err(CredentialsError::provider_error)
        })
    }
}

fn key(session: &Session) -> String {
    session.grant.credentials.access_key_id().to_owned()
}

/// Returns how often a role was assumed by a token, and by a session.
fn walked(sandbox: &Sandbox) -> (u64, u64) {
    let calls = sandbox.calls();
    (calls.operation("AssumeRoleWithWebIdentity"), calls.operation("AssumeRole"))
}

#[tokio::test(start_paused = true)]
async fn a_session_that_many_calls_give_up_is_walked_anew_once() {
    let (sandbox, sessions, hops) = sessions_of_a_chain();
    let first = key(&sessions.session(&hops).await.expect("a session"));
    let again = (0..300).map(|_| async {
        assert!(sessions.give_up(&hops, &first));
        key(&sessions.session(&hops).await.expect("a session"))
    });
    let keys = futures::future::join_all(again).await;
    assert!(keys.iter().all(|key| *key != first && *key == keys[0]), "{keys:?}");
    assert!(sessions.give_up(&hops, &first), "a call that was long on its way");
    assert_eq!(key(&sessions.session(&hops).await.expect("a session")), keys[0], "the newer one is kept");
    assert_eq!(walked(&sandbox), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn a_hub_that_aws_ended_is_given_up_and_walked_anew_once() {
    let (sandbox, sessions, hops) = sessions_of_a_chain();
    let first = key(&sessions.session(&hops).await.expect("a session"));
    sandbox.expire_sessions("111111111111");
    assert!(sessions.give_up(&hops, &first));
    assert_ne!(key(&sessions.session(&hops).await.expect("by a new hub")), first);
    assert_eq!(walked(&sandbox), (2, 3));
}

#[tokio::test(start_paused = true)]
async fn sessions_that_are_refused_one_after_the_other_are_not_all_given_up() {
    let (sandbox, sessions, hops) = sessions_of_a_chain();
    for (seconds, given_up) in [(0, 5), (0, 0), (29, 0), (1, 1), (60, 2), (150, 5)] {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        let before = walked(&sandbox).1;
        for _ in 0..100 {
            let session = sessions.session(&hops).await.expect("a session");
            sessions.give_up(&hops, &key(&session));
        }
        // The first one, too, or the last one that was given up.
        let renewed = walked(&sandbox).1 - before;
        assert!((given_up..=given_up + 1).contains(&renewed), "{seconds} s: {renewed}");
    }
}

#[tokio::test(start_paused = true)]
async fn own_credentials_that_aws_ended_are_asked_for_once_more() {
    let (sandbox, of_token, hops) = sessions_of_a_chain();
    let sts = || Aws::in_process(sandbox.http_client(), sandbox.clock(), "eu-west-1").sts("eu-west-1");
    let token = of_token.id_token().expect("a source").expect("a token");
    let runner = SharedCredentialsProvider::new(Runner { sts: sts(), role: hops[0].clone(), token });
    let own = AccountCredentials::renewed(OwnCredentials::new(runner, sandbox.clock()));
    let sessions = Sessions::new(sts(), sandbox.clock(), "job", None, Some(own));
    let (nothing, leaf) = (RoleChain::default(), &hops[1..]);
    assert_eq!(sessions.identify(&nothing).await.expect("an identity").0.as_str(), "111111111111");
    sandbox.expire_sessions("111111111111");
    let first = key(&sessions.session(leaf).await.expect("a session"));
    assert_eq!(walked(&sandbox), (2, 2), "the second hop was refused once");
    sandbox.expire_sessions("111111111111");
    assert_eq!(sessions.identify(&nothing).await.expect("an identity").0.as_str(), "111111111111");
    assert_eq!(key(&sessions.session(leaf).await.expect("a session")), first);
    assert_eq!(walked(&sandbox), (3, 2));
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_over_is_told_where_a_session_is_given_up() {
    let (sandbox, sessions, hops) = sessions_of_a_chain();
    let first = key(&sessions.session(&hops).await.expect("a session"));
    tokio::time::sleep(Duration::from_secs(12 * 3600)).await;
    sandbox.expire_sessions("111111111111");
    assert!(sessions.give_up(&hops, &first));
    let error = sessions.session(&hops).await.expect_err("no hub");
    assert_eq!((error.number, error.error.kind), (1, Kind::Expired), "{error}");
    assert!(error.to_string().contains("the ID token has expired"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_is_no_token_is_not_sent_to_sts() {
    let sandbox = Sandbox::new(1, Clock::tokio_from_system());
    let sts = Aws::in_process(sandbox.http_client(), sandbox.clock(), "us-east-1").sts("us-east-1");
    let token = TokenSource::Held { variable: "ID_TOKEN".into(), token: "glcbt-64_canary".into() };
    let sessions = Sessions::new(sts, sandbox.clock(), "t", Some(token), None);
    let hop = Hop {
        role: "hub".into(),
        arn: "arn:aws:iam::111111111111:role/hub".parse().expect("an ARN"),
        external_id: None,
        tags: Default::default(),
        transitive_tags: Vec::new(),
        source_identity: None,
        policy: None,
        policy_arns: Vec::new(),
        duration: None,
    };
    let error = sessions.session(&[hop]).await.expect_err("nothing to exchange");
    assert_eq!(sandbox.calls().total(), 0, "{error}");
    assert!(error.to_string().contains("what ID_TOKEN holds is another secret of GitLab's"), "{error}");
    assert!(error.help[0].starts_with("token-malformed: "), "{:?}", error.help);
    assert!(!format!("{error:?}").contains("canary"));
}
