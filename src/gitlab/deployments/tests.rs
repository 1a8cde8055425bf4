use std::time::Duration;

use super::*;
use crate::aws::web::pretended::{Fate, Server};
use crate::event::{Reason, Stamper};
use crate::fleet::{OnCancel, OnFailure};
use crate::gitlab::JOB_TOKEN;
use crate::plan::{Action, ChangeOutline, Outline, WaveOutline};

const DEPLOYMENTS: &str = "https://gitlab.example.com/api/v4/projects/7/deployments";

fn ledger(server: &Server) -> Ledger {
    let job = Job {
        api: "https://gitlab.example.com/api/v4".to_owned(),
        project: "7".to_owned(),
        commit: "5f2c9d7".to_owned(),
        ref_name: "main".to_owned(),
        tag: false,
    };
    let api = Api::new(server.web(), &job.api, &job.project, JOB_TOKEN, "job-secret".into());
    Ledger::new(api, job)
}

/// The method and what follows the common URL, of each request that arrived.
fn lines(server: &Server) -> Vec<String> {
    server.arrived().into_iter().map(|it| it.line.replace(DEPLOYMENTS, "")).collect()
}

#[tokio::test(start_paused = true)]
async fn a_deployment_begins_and_ends() {
    let server = Server::new(|_, _| Fate::of(201, json!({ "id": 42, "status": "running" })));
    let ledger = ledger(&server);
    assert_eq!(ledger.create("production/eu", Status::Running).await, Ok(42));
    assert_eq!(ledger.update(42, Status::Success).await, Ok(()));
    assert_eq!(lines(&server), ["POST ", "PUT /42"]);
    let arrived = server.arrived();
    assert_eq!(
        arrived[0].body,
        json!({ "environment": "production/eu", "sha": "5f2c9d7", "ref": "main", "tag": false, "status": "running" })
    );
    assert_eq!(arrived[0].tokens, [("job-token".to_owned(), "job-secret".to_owned())]);
    assert_eq!(arrived[1].body, json!({ "status": "success" }));
}

#[tokio::test(start_paused = true)]
async fn after_a_lost_answer_gitlab_is_asked_whether_it_did_it() {
    let running = |id: u64, sha: &str, deployable: Value| json!({ "id": id, "sha": sha, "ref": "main", "deployable": deployable });
    let list = json!([
        running(9, "5f2c9d7", json!({ "id": 1 })),
        running(8, "aaaaaaa", Value::Null),
        running(7, "5f2c9d7", Value::Null)
    ]);
    let server = Server::new(move |it, _| match it.line.starts_with("GET") {
        true => Fate::of(200, list.clone()),
        false => Fate::Reset,
    });
    assert_eq!(ledger(&server).create("production/eu 1", Status::Running).await, Ok(7), "it did");
    let look = "GET ?environment=production%2Feu+1&status=running&order_by=id&sort=desc&per_page=20";
    assert_eq!(lines(&server), ["POST ", look]);

    let server = Server::new(|it, before| match (it.line.starts_with("GET"), before) {
        (true, _) => Fate::of(200, json!([])),
        (false, 0) => Fate::of(502, Value::Null),
        (false, _) => Fate::of(201, json!({ "id": 8 })),
    });
    assert_eq!(ledger(&server).create("production/eu", Status::Running).await, Ok(8), "it did not, and then it did");

    let server = Server::new(|it, _| match it.line.starts_with("GET") {
        true => Fate::of(200, json!([])),
        false => Fate::Silent,
    });
    let began = tokio::time::Instant::now();
    let error = ledger(&server).create("production/eu", Status::Running).await.expect_err("silence");
    assert_eq!(explained(&error), "GitLab: no answer within 10s");
    assert_eq!((began.elapsed(), server.arrived().len()), (Duration::from_secs(20), 4), "twice, and no more");
}

#[tokio::test(start_paused = true)]
async fn a_status_that_is_there_already_is_no_error() {
    let server = Server::new(|it, before| match (it.line.starts_with("GET"), before) {
        (true, _) => Fate::of(200, json!({ "id": 42, "status": "success" })),
        (false, 0) => Fate::Reset,
        (false, _) => Fate::of(400, json!({ "message": { "status": ["cannot transition"] } })),
    });
    let ledger = ledger(&server);
    assert_eq!(ledger.update(42, Status::Success).await, Ok(()));
    let error = ledger.update(42, Status::Failed).await.expect_err("it is another one");
    assert_eq!(explained(&error), "GitLab answered HTTP 400: status cannot transition");
}

#[test]
fn refusals_say_what_to_do() {
    let said = |status, said: &str| explained(&CallError::Refused { status, said: said.to_owned(), retry_after: None });
    assert_eq!(
        said(403, "403 Forbidden"),
        "GitLab answered HTTP 403: 403 Forbidden; who runs the job may not deploy there: the environment is protected, or \
         the role in the project is below Developer"
    );
    assert!(said(401, "").contains("valid only while its job runs"));
    assert!(said(404, "404 Project Not Found").contains("are they switched on"));
    assert!(said(302, "").contains("CI_API_V4_URL leads to a redirect"));
    assert_eq!(said(400, "name is too long"), "GitLab answered HTTP 400: name is too long");
}

fn target(name: &str) -> TargetId {
    name.to_owned().try_into().expect("a target")
}

/// A run of targets in waves of their own names, and its progress: what each event makes of the environments.
struct Told {
    state: RunState,
    stamper: Stamper,
    progress: Progress,
}

impl Told {
    /// `targets` are target, wave and whether the wave bakes.
    fn new(environments: &[(&str, &str)], targets: &[(&str, &str, bool)]) -> Self {
        let change = |(name, wave, _): &(&str, &str, bool)| ChangeOutline {
            target: target(name),
            account_id: "111111111111".parse().expect("an id"),
            cluster: "web".into(),
            service: "api".into(),
            wave: (*wave).to_owned(),
            action: Action::Register,
            from: None,
            to: None,
            summary: Vec::new(),
        };
        let mut waves: Vec<WaveOutline> = Vec::new();
        for (_, wave, bakes) in targets {
            if !waves.iter().any(|known| known.name == *wave) {
                waves.push(WaveOutline {
                    name: (*wave).to_owned(),
                    targets: 1,
                    changing: 1,
                    max_parallel: "100%".into(),
                    max_failures: 0,
                    worst_case_failures: 1,
                    bake_seconds: u64::from(*bakes) * 300,
                    alarms: 0,
                    gate: false,
                    on_failure: OnFailure::Stop,
                    on_cancel: OnCancel::Detach,
                });
            }
        }
        let plan = Outline { waves, changes: targets.iter().map(change).collect() };
        let of_account = environments.iter().map(|(account, name)| ((*account).to_owned(), (*name).to_owned()));
        let progress = Progress::new(of_account.collect());
        let mut told = Self { state: RunState::new(), stamper: Stamper::new("r1"), progress };
        assert_eq!(told.event(Event::RunStarted { plan, sandbox: false }), "");
        told
    }

    fn event(&mut self, event: Event) -> String {
        let stamped = self.stamper.stamp(jiff::Timestamp::default(), event);
        self.state.apply(&stamped);
        let changes = self.progress.event(&stamped.event, &self.state);
        changes.iter().map(|(name, status)| format!("{name} {}", status.word())).collect::<Vec<_>>().join(", ")
    }

    fn started(&mut self, name: &str) -> String {
        self.event(Event::RolloutStarted { target: target(name) })
    }

    fn ended(&mut self, name: &str, outcome: Outcome) -> String {
        self.event(Event::RolloutFinished { target: target(name), outcome, reason: None, revision: None })
    }
}

#[test]
fn an_environment_runs_from_its_first_target_to_its_last() {
    let accounts = [("a0", "production/a0"), ("a1", "production/a1")];
    let mut run = Told::new(
        &accounts,
        &[("a0/r/x", "w", false), ("a0/r/y", "w", false), ("a1/r/x", "w", false), ("a2/r/x", "w", false)],
    );
    assert_eq!(run.started("a0/r/x"), "production/a0 running");
    assert_eq!(run.started("a0/r/y"), "");
    assert_eq!(run.ended("a0/r/x", Outcome::Succeeded), "");
    assert_eq!(run.started("a2/r/x"), "", "an account without an environment");
    assert_eq!(run.started("a1/r/x"), "production/a1 running");
    assert_eq!(run.ended("a0/r/y", Outcome::Succeeded), "production/a0 success");
    assert_eq!(run.ended("a1/r/x", Outcome::RolledBack), "production/a1 failed");
    assert_eq!(run.event(Event::WaveFinished { wave: "w".into(), failed: 1, passed: false }), "");
    let returned = Event::TargetReturned {
        target: target("a0/r/x"),
        outcome: Outcome::RolledBack,
        cause: Some(target("a1/r/x")),
        reason: Reason::default(),
        revision: None,
    };
    assert_eq!(run.event(returned), "production/a0 failed", "what goes back afterwards did not succeed");
    assert_eq!(run.event(Event::RunFinished), "");
}

#[test]
fn success_waits_for_the_bake() {
    let mut run = Told::new(&[("a0", "production")], &[("a0/r/x", "canary", true)]);
    assert_eq!(run.started("a0/r/x"), "production running");
    assert_eq!(run.ended("a0/r/x", Outcome::Succeeded), "");
    assert_eq!(run.event(Event::WaveFinished { wave: "canary".into(), failed: 0, passed: true }), "production success");

    let mut run = Told::new(&[("a0", "production")], &[("a0/r/x", "canary", true)]);
    run.started("a0/r/x");
    run.ended("a0/r/x", Outcome::Succeeded);
    assert_eq!(run.event(Event::TargetDegraded { target: target("a0/r/x"), reason: Reason::default() }), "");
    assert_eq!(run.event(Event::WaveFinished { wave: "canary".into(), failed: 1, passed: false }), "production failed");
}

#[test]
fn accounts_share_an_environment_and_what_is_cut_short_is_cancelled() {
    let accounts = [("a0", "production"), ("a1", "production"), ("a2", "other")];
    let mut run = Told::new(&accounts, &[("a0/r/x", "w", false), ("a1/r/x", "w", false), ("a2/r/x", "w", false)]);
    assert_eq!(run.started("a0/r/x"), "production running");
    assert_eq!(run.ended("a0/r/x", Outcome::Succeeded), "");
    let skipped = |name: &str| Event::RolloutSkipped {
        target: target(name),
        outcome: Outcome::Cancelled,
        cause: None,
        reason: "the run was cancelled".into(),
    };
    assert_eq!(run.event(skipped("a1/r/x")), "production canceled");
    assert_eq!(run.event(skipped("a2/r/x")), "", "what was never started has no deployment");
    assert_eq!(run.event(Event::RunFinished), "");

    // A run that breaks off leaves none as running.
    let mut run = Told::new(&accounts, &[("a0/r/x", "w", true)]);
    run.started("a0/r/x");
    assert_eq!(run.event(Event::RunFinished), "production canceled");
}
