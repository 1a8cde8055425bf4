//! What GitLab is told: the status of each account's deployment through whole runs, and the requests of the binary.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use roleout::base::exit::Exit;
use roleout::engine::cancel::Signal;
use roleout::gitlab::deployments::Progress;
use roleout::state::RunState;
use serde_json::{Value, json};

use crate::harness::{Directory, Ran, Scene, manifest};
use crate::processes::{Server, roleout};

/// The statuses that each account's deployment had, by the environment.
fn statuses(scene: &Scene, ran: &Ran) -> BTreeMap<String, Vec<&'static str>> {
    let name = |account: &str| (account.to_owned(), format!("production/{account}"));
    let environments = scene.fleet.accounts.iter().map(|account| name(&account.name)).collect();
    let (mut progress, mut state) = (Progress::new(environments), RunState::new());
    let mut statuses: BTreeMap<String, Vec<&'static str>> = BTreeMap::new();
    for event in &ran.events {
        state.apply(event);
        for (name, status) in progress.event(&event.event, &state) {
            statuses.entry(name).or_default().push(status.word());
        }
    }
    statuses
}

fn expected(pairs: &[(&str, &[&'static str])]) -> BTreeMap<String, Vec<&'static str>> {
    pairs.iter().map(|(account, words)| (format!("production/{account}"), words.to_vec())).collect()
}

#[tokio::test(start_paused = true)]
async fn an_account_that_fails_is_told_apart_and_one_that_was_not_started_has_no_deployment() {
    let waves = "rollout: { waves: [ { name: canary, select: { ring: canary } }, { name: rest, max_parallel: 1 } ] }\n";
    let scene = Scene::of(4, 2, waves).fault("a1/*/s1=crash");
    let ran = scene.deploy().await;
    assert_eq!(ran.code(), Exit::RolledBack, "{}", ran.said);
    let words = expected(&[("a0", &["running", "success"]), ("a1", &["running", "failed"])]);
    assert_eq!(statuses(&scene, &ran), words, "{}", ran.said);
    // Once more: the first account has nothing to do, and so no deployment.
    let scene = scene.planning();
    let again = scene.deploy().await;
    assert_eq!(statuses(&scene, &again), expected(&[("a1", &["running", "failed"])]), "{}", again.said);
}

#[tokio::test(start_paused = true)]
async fn a_bake_holds_success_back_and_a_return_takes_it_back() {
    let scene =
        Scene::of(2, 1, "rollout: { max_failures: 1, waves: [ { name: all, bake: 5m } ] }\n").fault("a1/*=degrade");
    let ran = scene.deploy().await;
    let words = expected(&[("a0", &["running", "success"]), ("a1", &["running", "failed"])]);
    assert_eq!(statuses(&scene, &ran), words, "{}", ran.said);

    let back = "rollout: { on_failure: rollback, rollback_scope: run, waves: [ { name: canary, select: { ring: canary } }, \
                { name: rest } ] }\n";
    let scene = Scene::of(2, 1, back).fault("a1/*=crash");
    let ran = scene.deploy().await;
    let words = expected(&[("a0", &["running", "success", "failed"]), ("a1", &["running", "failed"])]);
    assert_eq!(statuses(&scene, &ran), words, "{}", ran.said);
}

#[tokio::test(start_paused = true)]
async fn what_a_signal_leaves_is_cancelled() {
    let scene = Scene::of(3, 1, "");
    let cancel = scene.cancel.clone();
    let leave = async {
        tokio::time::sleep(Duration::from_secs(20)).await;
        cancel.cancel(Signal::Terminate);
    };
    let (ran, ()) = tokio::join!(scene.deploy(), leave);
    assert_eq!(ran.code(), Exit::Terminated, "{}", ran.said);
    let words: &[&'static str] = &["running", "canceled"];
    assert_eq!(statuses(&scene, &ran), expected(&[("a0", words), ("a1", words), ("a2", words)]), "{}", ran.said);
}

/// A request to the pretended GitLab.
#[derive(Clone, Debug)]
struct Request {
    line: String,
    token: Option<String>,
    body: Value,
}

/// A GitLab that takes deployments and notes, on a port of its own. It ends with the process.
struct GitLab {
    url: String,
    requests: Arc<Mutex<Vec<Request>>>,
    /// Hears of each answer.
    answered: Receiver<()>,
}

impl GitLab {
    /// `answer` gets a request and says the status and the body.
    fn start(answer: impl Fn(&Request) -> (u16, Value) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/api/v4", listener.local_addr().expect("bound"));
        let requests: Arc<Mutex<Vec<Request>>> = Arc::default();
        let seen = Arc::clone(&requests);
        let (tell, answered) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let Some((mut stream, request)) = read(stream) else { continue };
                let (status, body) = answer(&request);
                seen.lock().expect("no panic").push(request);
                let body = body.to_string();
                let head =
                    format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
                let _ = stream.write_all(format!("{head}{body}").as_bytes());
                let _ = tell.send(());
            }
        });
        Self { url, requests, answered }
    }

    fn requests(&self) -> Vec<Request> {
        self.requests.lock().expect("no panic").clone()
    }

    /// A job of it, in the merge request 12.
    fn job(&self, directory: &Path, server: &Server, arguments: &[&str]) -> Command {
        let token = fs_err::read_to_string(directory.join("token")).expect("a token");
        let mut command = roleout(directory);
        command.args(arguments).env("AWS_ENDPOINT_URL", server.url()).env("TOKEN", token);
        let variables = [
            ("CI_API_V4_URL", self.url.as_str()),
            ("CI_PROJECT_ID", "7"),
            ("CI_COMMIT_SHA", "5f2c9d7be0a14c3f8b6d2e91a7c4f05d3b8e6a12"),
            ("CI_COMMIT_REF_NAME", "main"),
            ("CI_JOB_TOKEN", "job-secret"),
            ("CI_MERGE_REQUEST_IID", "12"),
            ("CI_JOB_URL", "https://x.example/9"),
            ("ROLEOUT_GITLAB_TOKEN", "glpat-secret"),
        ];
        command.envs(variables);
        command
    }
}

/// Reads a request of JSON.
fn read(mut stream: TcpStream) -> Option<(TcpStream, Request)> {
    let (mut bytes, mut part) = (Vec::new(), [0; 4096]);
    loop {
        let read = stream.read(&mut part).ok().filter(|read| *read > 0)?;
        bytes.extend_from_slice(&part[..read]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let header = |name: &str| {
            let of = |line: &&str| line.to_ascii_lowercase().starts_with(&format!("{name}:"));
            head.lines().find(of).and_then(|line| Some(line.split_once(':')?.1.trim().to_owned()))
        };
        let length: usize = header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        if body.len() >= length {
            let line = head.lines().next().unwrap_or_default().trim_end_matches(" HTTP/1.1").to_owned();
            let token = header("job-token").or(header("private-token")).or(header("authorization"));
            return Some((stream, Request { line, token, body: serde_json::from_str(body).unwrap_or_default() }));
        }
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

const RECORDED: &str = "gitlab: { deployments: { environment: \"production/${account.name}\" } }\n";

#[test]
fn the_binary_records_a_deployment_of_each_account_by_the_job_s_token() {
    std::thread::scope(|scope| {
        scope.spawn(a_deployment_of_each_account_is_recorded);
        scope.spawn(nothing_is_recorded_outside_of_gitlab);
    });
}

fn a_deployment_of_each_account_is_recorded() {
    let directory = Directory::new("gitlab-deployments");
    let here = directory.0.as_path();
    fs_err::write(here.join("deploy.yaml"), manifest(2, 1, RECORDED)).expect("written");
    let server = Server::start(here);
    let gitlab = GitLab::start(|request| match request.body["environment"].as_str() {
        Some("production/a1") => (403, json!({ "message": "403 Forbidden" })),
        _ if request.line.starts_with("GET ") => (200, json!([{ "id": 3, "tier": "production" }])),
        _ => (201, json!({ "id": 42 })),
    });
    let output = gitlab.job(here, &server, &["deploy"]).output().expect("it runs");
    assert_eq!(output.status.code(), Some(0), "GitLab fails nothing: {}", said(&output));
    let requests = gitlab.requests();
    let bodies: Vec<(&str, &Value)> = requests.iter().map(|it| (it.line.as_str(), &it.body["status"])).collect();
    assert_eq!(bodies.iter().filter(|it| it.0 == "POST /api/v4/projects/7/deployments").count(), 2, "{bodies:?}");
    assert_eq!(bodies.last(), Some(&("PUT /api/v4/projects/7/deployments/42", &json!("success"))));
    assert!(requests.len() == 7 && requests.iter().all(|it| it.token.as_deref() == Some("job-secret")));
    let tiers =
        |it: &&Request| it.line == "PUT /api/v4/projects/7/environments/3" && it.body == json!({ "tier": "other" });
    assert_eq!(requests.iter().filter(tiers).count(), 2, "none of both is counted as production");
    let first = requests.iter().find(|it| it.body["environment"] == "production/a0").expect("it is recorded");
    assert_eq!(
        (&first.body["ref"], &first.body["tag"], &first.body["status"]),
        (&json!("main"), &json!(false), &json!("running"))
    );
    let warning = "warning: gitlab: no deployment is recorded in environment production/a1: GitLab answered HTTP 403: 403 \
                   Forbidden; the user who runs the job may not deploy there";
    assert!(said(&output).contains(warning) && !said(&output).contains("job-secret"), "{}", said(&output));
}

fn nothing_is_recorded_outside_of_gitlab() {
    let directory = Directory::new("gitlab-outside");
    let here = directory.0.as_path();
    fs_err::write(here.join("deploy.yaml"), manifest(2, 1, RECORDED)).expect("written");
    let server = Server::start(here);
    let gitlab = GitLab::start(|_| (201, json!({ "id": 42 })));
    let mut command = gitlab.job(here, &server, &["deploy"]);
    for name in ["CI_API_V4_URL", "CI_PROJECT_ID", "CI_JOB_TOKEN"] {
        command.env_remove(name);
    }
    let output = command.output().expect("it runs");
    let note = "note: gitlab: this is no job of GitLab's: no deployments are recorded\n";
    assert!(output.status.success() && said(&output).contains(note), "{}", said(&output));
    assert_eq!(gitlab.requests().len(), 0);
}

/// That a slow GitLab delays the end by no more than is promised is held in `src/run/deployments.rs`, on the paused clock.
#[test]
fn a_state_that_gitlab_manages_is_read_once_with_the_job_s_token() {
    let directory = Directory::new("gitlab-state");
    let here = directory.0.as_path();
    let states = "tfstate: { net: { gitlab: { project: team/net, state: \"net ${account.name}\" } }, own: { gitlab: { state: own } } }\n";
    let variables =
        "    environment: { app: { A: \"${tfstate:net:output.vpc}\", B: \"${tfstate:own:output.vpc}\" } }\n";
    let text = manifest(2, 2, "").replace("services:", &format!("{states}services:"));
    let text = text.replace("    cluster: main\n", &format!("    cluster: main\n{variables}"));
    fs_err::write(here.join("deploy.yaml"), text).expect("written");
    let server = Server::start(here);
    let gitlab = GitLab::start(|request| match request.line.as_str() {
        "GET /api/v4/projects/7/terraform/state/own" => (403, json!({ "message": "403 Forbidden" })),
        _ => (200, json!({ "version": 4, "outputs": { "vpc": { "value": "vpc-1" } }, "resources": [] })),
    });
    let output = gitlab.job(here, &server, &["plan"]).output().expect("it runs");
    let lines: Vec<String> = gitlab.requests().into_iter().map(|request| request.line).collect();
    let state = |rest: &str| format!("GET /api/v4/projects/{rest}");
    let wanted =
        ["7/terraform/state/own", "team%2Fnet/terraform/state/net%20a0", "team%2Fnet/terraform/state/net%20a1"];
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(wanted.iter().all(|wanted| lines.contains(&state(wanted))), "{lines:?}");
    // gitlab-ci-token:job-secret
    let token = "Basic Z2l0bGFiLWNpLXRva2VuOmpvYi1zZWNyZXQ=";
    assert!(gitlab.requests().iter().all(|request| request.token.as_deref() == Some(token)));
    assert_eq!(output.status.code(), Some(5), "{}", said(&output));
    let refused = "Terraform state own in GitLab: GitLab answered HTTP 403";
    assert!(said(&output).contains(refused) && !said(&output).contains("job-secret"), "{}", said(&output));
}

#[test]
fn a_cancelled_job_tells_gitlab_so_of_each_deployment() {
    let directory = Directory::new("gitlab-cancel");
    let here = directory.0.as_path();
    fs_err::write(here.join("deploy.yaml"), manifest(2, 1, RECORDED)).expect("written");
    let server = Server::start(here);
    let gitlab = GitLab::start(|request| match request.line.starts_with("GET ") {
        true => (200, json!([])),
        false => (201, json!({ "id": 42 })),
    });
    let child = gitlab.job(here, &server, &["deploy"]).stderr(Stdio::piped()).spawn().expect("it starts");
    // Of each environment it is asked, then it is made, and then it has a deployment.
    for _ in 0..2 * 3 {
        gitlab.answered.recv_timeout(Duration::from_secs(60)).expect("both accounts are told");
    }
    let killed = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().expect("kill runs");
    assert!(killed.success());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(143), "{}", said(&output));
    let ends = gitlab.requests().iter().filter(|it| it.body == json!({ "status": "canceled" })).count();
    assert_eq!(ends, 2, "{}", said(&output));
}

#[test]
fn the_plan_is_one_note_of_the_merge_request() {
    let directory = Directory::new("gitlab-note");
    let here = directory.0.as_path();
    fs_err::write(here.join("deploy.yaml"), manifest(2, 1, "")).expect("written");
    let server = Server::start(here);
    let notes: Arc<Mutex<Vec<Value>>> = Arc::default();
    let kept = Arc::clone(&notes);
    let gitlab = GitLab::start(move |request| {
        let mut kept = kept.lock().expect("no panic");
        match request.line.split(' ').next() {
            Some("GET") if request.line.ends_with("/user") => (200, json!({ "id": 70 })),
            Some("GET") => (200, Value::Array(kept.clone())),
            Some("PUT") => {
                kept[0]["body"] = request.body["body"].clone();
                (200, kept[0].clone())
            }
            _ => {
                kept.push(json!({ "id": 5, "author": { "id": 70 }, "body": request.body["body"] }));
                (201, json!({ "id": 5 }))
            }
        }
    });
    let plan = |arguments: &[&str]| gitlab.job(here, &server, arguments).output().expect("it runs");
    let lines = || {
        let requests = gitlab.requests();
        let about_notes = requests.iter().filter(|it| !it.line.ends_with("/user"));
        about_notes.map(|it| it.line.split(['?', ' ']).next().unwrap_or("").to_owned()).collect::<Vec<_>>()
    };

    let output = plan(&["plan", "--mr-note", "--detailed-exitcode"]);
    assert_eq!(output.status.code(), Some(20), "{}", said(&output));
    assert!(said(&output).contains("note: the plan is in a new note on merge request !12\n"), "{}", said(&output));
    assert_eq!(lines(), ["GET", "POST"]);
    let text = notes.lock().expect("no panic")[0]["body"].as_str().expect("a text").to_owned();
    assert!(
        text.starts_with(
            "<!-- roleout:plan -->\n### roleout plan: 2 to deploy\n\nOf commit 5f2c9d7b, [job](https://x.example/9)\n\n"
        ),
        "{text}"
    );
    assert!(gitlab.requests().iter().all(|it| it.token.as_deref() == Some("glpat-secret")));

    let mut command = gitlab.job(here, &server, &["plan", "--mr-note"]);
    let output = command.env("CI_COMMIT_SHA", "aaaaaaaaaaaaaaaaaaaa").output().expect("it runs");
    assert!(said(&output).contains("note: the note on merge request !12 has this plan already\n"), "{}", said(&output));
    assert_eq!(lines(), ["GET", "POST", "GET"], "{}", said(&output));

    fs_err::write(here.join("deploy.yaml"), manifest(2, 1, "").replace(":v2", ":v3")).expect("written");
    let output = plan(&["plan", "--mr-note"]);
    assert!(said(&output).contains("note: the note on merge request !12 has the new plan\n"), "{}", said(&output));
    assert_eq!(lines()[3..], ["GET", "PUT"]);

    // The note of an earlier plan does not look like this one's.
    fs_err::write(here.join("deploy.yaml"), "version: 2\n").expect("written");
    let output = plan(&["plan", "--mr-note"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(
        said(&output).contains("note: the note on merge request !12 says that there is no plan\n"),
        "{}",
        said(&output)
    );
    assert_eq!(
        notes.lock().expect("no panic")[0]["body"],
        "<!-- roleout:plan -->\n### roleout plan: none\n\nCould not be planned for commit 5f2c9d7b: the manifest has errors. \
         [The job's log](https://x.example/9) says more.\n"
    );
    let output = plan(&["plan", "--mr-note=other"]);
    assert!(output.status.code() == Some(3) && !said(&output).contains("mr-note"), "{}", said(&output));
    assert_eq!(lines()[5..], ["GET", "PUT", "GET"], "nothing is added");
    fs_err::write(here.join("deploy.yaml"), manifest(2, 1, "")).expect("written");

    // What somebody else wrote beforehand, the very text included, is not taken for ours.
    let forged = notes.lock().expect("no panic")[0].clone();
    notes.lock().expect("no panic")[0]["author"]["id"] = json!(71);
    let output = plan(&["plan", "--mr-note"]);
    assert!(said(&output).contains("note: the plan is in a new note on merge request !12\n"), "{}", said(&output));
    assert_eq!(notes.lock().expect("no panic")[0]["body"], forged["body"], "it is left alone");

    // The plan's own exit code stands, whatever becomes of the note.
    let mut command = gitlab.job(here, &server, &["plan", "--mr-note", "--mr-note-token-env", "OTHER"]);
    let output = command.output().expect("it runs");
    assert!(said(&output).contains("warning: mr-note: the variable OTHER is not set: no note is written\n"));
    assert_eq!(output.status.code(), Some(0));
    let mut command = gitlab.job(here, &server, &["plan", "--mr-note=prod/eu"]);
    let output = command.env("CI_API_V4_URL", "http://127.0.0.1:9").output().expect("it runs");
    let warning = "warning: mr-note: no note is written on merge request !12: GitLab: the other side cannot be reached";
    assert!(output.status.success() && said(&output).contains(warning), "{}", said(&output));
    let output = plan(&["plan", "--mr-note=a b"]);
    assert_eq!(output.status.code(), Some(2));
}
