//! The binary itself: a plan saved by one process, a change by another, and the plan carried out by a third.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Output, Stdio};

use roleout::base::exit::Exit;

use crate::harness::{Directory, manifest};

/// `roleout sandbox` on a port of its own; it ends with the test.
pub struct Server {
    child: Child,
    url: String,
    /// Held open: the server says what it does there.
    _said: BufReader<ChildStderr>,
}

impl Server {
    pub fn start(directory: &Path) -> Self {
        let mut command = roleout(directory);
        command.args(["sandbox", "--listen", "127.0.0.1:0", "--file", "deploy.yaml", "--token-file", "token"]);
        let mut child = command.stderr(Stdio::piped()).spawn().expect("the sandbox starts");
        let mut said = BufReader::new(child.stderr.take().expect("its stderr"));
        let mut line = String::new();
        while !line.contains("http://") {
            line.clear();
            assert_ne!(said.read_line(&mut line).expect("a line"), 0, "the sandbox ended");
        }
        let url = line.split_whitespace().find(|word| word.starts_with("http://")).expect("its address");
        Self { child, url: url.trim_end_matches(';').to_owned(), _said: said }
    }
}

impl Server {
    /// Returns its address.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The binary in an environment of nothing.
pub fn roleout(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_roleout"));
    command.env_clear().current_dir(directory);
    command
}

/// A job: the binary, with an ID token and the server's address.
fn command(directory: &Path, server: &Server, args: &[&str]) -> Command {
    let token = fs_err::read_to_string(directory.join("token")).expect("a token");
    let mut command = roleout(directory);
    command.env("AWS_ENDPOINT_URL", &server.url).env("TOKEN", token).args(args);
    command
}

fn job(directory: &Path, server: &Server, args: &[&str]) -> Output {
    command(directory, server, args).output().expect("the binary runs")
}

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

/// A directory with a saved plan and the manifest of somebody else, and their AWS.
fn planned(name: &str) -> (Directory, Server) {
    let directory = Directory::new(name);
    let here = directory.0.as_path();
    fs_err::write(here.join("deploy.yaml"), manifest(3, 1, "")).expect("written");
    fs_err::write(here.join("other.yaml"), manifest(3, 1, "").replace("s0:v2", "s0:hotfix")).expect("written");
    let server = Server::start(here);
    let planned = job(here, &server, &["deploy", "--dry-run", "--out", "plan.json"]);
    let said = String::from_utf8_lossy(&planned.stderr).into_owned();
    assert_eq!(code(&planned), Some(i32::from(Exit::Done.code())), "{said}");
    assert!(said.contains("the plan is saved; carry it out with: roleout deploy plan.json"), "{said}");
    fs_err::remove_file(here.join("deploy.yaml")).expect("removed: the plan needs no manifest");
    (directory, server)
}

#[test]
fn a_change_between_the_planning_and_the_deploying_process_is_refused() {
    std::thread::scope(|scope| {
        scope.spawn(a_plan_with_a_change_is_refused);
        scope.spawn(a_plan_goes_on_without_the_target_that_changes);
    });
}

const OTHER: [&str; 5] = ["deploy", "--file", "other.yaml", "--only", "a1"];

fn a_plan_with_a_change_is_refused() {
    let (directory, server) = planned("processes");
    let here = directory.0.as_path();
    let other = job(here, &server, &OTHER);
    assert_eq!(code(&other), Some(0), "{}", String::from_utf8_lossy(&other.stderr));

    let refused = job(here, &server, &["deploy", "plan.json"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(code(&refused), Some(i32::from(Exit::Blocked.code())), "{said}");
    assert!(said.contains("error: 1 target changed since the plan was made:\n  a1/eu-west-1/s0: it ran s0:"), "{said}");
    assert!(said.contains("help: nothing was changed"), "{said}");
}

fn a_plan_goes_on_without_the_target_that_changes() {
    let (directory, server) = planned("processes-skip");
    let here = directory.0.as_path();
    let mut other = command(here, &server, &[&OTHER[..], &["--format", "jsonl"]].concat());
    let mut other = other.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
    let mut lines = BufReader::new(other.stdout.take().expect("its stdout")).lines();
    while !lines.next().expect("it goes on").expect("a line").contains("\"deployment_started\"") {}

    let done = job(here, &server, &["deploy", "plan.json", "--skip-stale", "--format", "jsonl"]);
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(code(&done), Some(0), "{said}");
    let events = String::from_utf8_lossy(&done.stdout).into_owned();
    let ended = events.lines().filter(|line| line.contains("\"rollout_finished\"")).collect::<Vec<_>>();
    assert!(ended.len() == 2 && ended.iter().all(|line| line.contains("\"succeeded\"")), "{events}");
    assert!(!ended.iter().any(|line| line.contains("a1/eu-west-1")), "{events}");

    lines.for_each(drop);
    let other = other.wait_with_output().expect("it ends");
    assert_eq!(code(&other), Some(0), "{}", String::from_utf8_lossy(&other.stderr));
}

#[test]
fn a_plan_on_the_command_line_comes_without_a_selection() {
    let directory = Directory::new("usage");
    for args in [
        ["deploy", "plan.json", "--only", "a1"],
        ["deploy", "plan.json", "--wave", "rest"],
        ["deploy", "plan.json", "--dry-run", "--sandbox"],
        ["deploy", "--out", "plan.json", "--quiet"],
        ["deploy", "plan.json", "--max-age", "soon"],
    ] {
        let output = roleout(&directory.0).args(args).output().expect("the binary runs");
        assert_eq!(code(&output), Some(i32::from(Exit::Usage.code())), "{args:?}");
    }
    let output = roleout(&directory.0).args(["deploy", "plan.json"]).output().expect("the binary runs");
    assert_eq!(code(&output), Some(2), "there is no such file");
    fs_err::write(directory.0.join("deploy.yaml"), manifest(1, 1, "")).expect("written");
    let output = roleout(&directory.0).args(["deploy", "deploy.yaml"]).output().expect("the binary runs");
    assert_eq!(code(&output), Some(2), "a manifest is no plan");
    fs_err::write(directory.0.join("other.json"), "{}").expect("written");
    let output = roleout(&directory.0).args(["deploy", "other.json"]).output().expect("the binary runs");
    assert_eq!(code(&output), Some(5), "other JSON is no plan");
}

/// The kinds of the events on a job's stdout.
fn kinds(output: &[u8]) -> Vec<String> {
    let lines = String::from_utf8_lossy(output).into_owned();
    let event = |line: &str| serde_json::from_str::<serde_json::Value>(line).expect("an event");
    lines.lines().map(|line| event(line)["event"]["kind"].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn a_job_that_a_signal_ends_is_finished_by_the_next_one() {
    std::thread::scope(|scope| {
        scope.spawn(|| what_a_signal_leaves_is_finished("-TERM", Some(143)));
        scope.spawn(|| what_a_signal_leaves_is_finished("-KILL", None));
    });
}

fn what_a_signal_leaves_is_finished(signal: &str, exit: Option<i32>) {
    let directory = Directory::new(&format!("signal{signal}"));
    let here = directory.0.as_path();
    fs_err::write(here.join("deploy.yaml"), manifest(3, 2, "")).expect("written");
    let server = Server::start(here);
    let mut command = command(here, &server, &["deploy", "--format", "jsonl", "--journal", "journal"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
    let mut lines = BufReader::new(child.stdout.take().expect("its stdout")).lines();
    while !lines.next().expect("it goes on").expect("a line").contains("\"deployment_started\"") {}
    let killed = Command::new("kill").args([signal, &child.id().to_string()]).status().expect("kill runs");
    assert!(killed.success(), "{signal}");
    let rest: Vec<String> = lines.map_while(Result::ok).collect();
    let output = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), exit, "{signal}: {said}");
    assert_eq!(rest.iter().any(|line| line.contains("\"run_finished\"")), exit.is_some(), "{signal}: {said}");
    assert_eq!(
        said.contains("console.aws.amazon.com"),
        exit.is_some(),
        "{signal}: what goes on has its address: {said}"
    );

    let next = job(here, &server, &["deploy", "--format", "jsonl"]);
    assert_eq!(code(&next), Some(0), "{signal}: {}", String::from_utf8_lossy(&next.stderr));
    let again = job(here, &server, &["deploy", "--format", "jsonl"]);
    assert_eq!(kinds(&again.stdout), ["run_started", "run_finished"], "{signal}: nothing is left");
}

/// Answers one request with `status`, and returns its head and its body.
fn answered(listener: &std::net::TcpListener, status: &str) -> (String, serde_json::Value) {
    use std::io::{Read, Write};

    let (mut stream, _) = listener.accept().expect("a connection");
    let (mut bytes, mut part) = (Vec::new(), [0; 4096]);
    loop {
        let read = stream.read(&mut part).expect("a request");
        bytes.extend_from_slice(&part[..read]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        if let Ok(body) = serde_json::from_str(body) {
            write!(stream, "HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").expect("answered");
            return (head.to_ascii_lowercase(), body);
        }
    }
}

#[test]
fn webhooks_are_told_of_the_halt_and_of_the_end_and_fail_nothing() {
    let directory = Directory::new("webhooks");
    let here = directory.0.as_path();
    let notify = "rollout: { waves: [ { name: canary, select: { ring: canary } }, { name: rest } ] }\nnotify:\n  \
                  - { url_env: CHAT, format: slack, on: [end] }\n  - { url_env: INCIDENTS }\n  - { url_env: ABSENT }\n  \
                  - { url_env: ALERTS, key_env: KEY, format: gitlab }\n";
    fs_err::write(here.join("deploy.yaml"), manifest(2, 1, notify).replace("s0:v2", "s0:v2-crash")).expect("written");
    let server = Server::start(here);
    let (chat, incidents, alerts) = (local(), local(), local());
    let at = |listener: &std::net::TcpListener| format!("http://{}/T0/SECRET", listener.local_addr().expect("bound"));
    let token = fs_err::read_to_string(here.join("token")).expect("a token");
    let mut command = roleout(here);
    command.env("AWS_ENDPOINT_URL", &server.url).env("TOKEN", token).arg("deploy");
    command.env("CHAT", at(&chat)).env("INCIDENTS", at(&incidents)).env("CI_PROJECT_PATH", "team/shop");
    command.env("ALERTS", at(&alerts)).env("KEY", "alert-secret-key");
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("starts");

    let (head, halt) = answered(&incidents, "200 OK");
    assert!(head.starts_with("post /t0/secret http/1.1"), "{head}");
    assert_eq!((&halt["kind"], &halt["verdict"]["halted"]["cause"]), (&"halt".into(), &"a0/eu-west-1/s0".into()));
    let (_, end) = answered(&incidents, "500 No");
    let (exit_code, project) = (&end["verdict"]["exit_code"], &end["run"]["job"]["project"]);
    assert_eq!((&end["kind"], exit_code, project), (&"end".into(), &11.into(), &"team/shop".into()));
    assert_eq!(end["totals"]["not_started"], 1);
    let (_, message) = answered(&chat, "200 OK");
    let message = message["text"].as_str().expect("a text");
    assert!(
        message.starts_with(":x: team/shop: *targets failed and were rolled back* (exit code 11), after "),
        "{message}"
    );
    assert!(message.contains("\ns0: previous -&gt; v2-crash in 2 targets\n"), "{message}");
    let (head, alert) = answered(&alerts, "201 Created");
    assert!(head.contains("\r\nauthorization: bearer alert-secret-key\r\n"), "{head}");
    assert_eq!((&alert["severity"], alert.get("end_time")), (&"high".into(), None));
    let (_, end) = answered(&alerts, "201 Created");
    assert_eq!((&end["severity"], &end["fingerprint"]), (&"medium".into(), &alert["fingerprint"]));

    let output = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(code(&output), Some(11), "{said}");
    assert!(said.contains("warning: notify: the variable ABSENT is not set: nothing is posted"), "{said}");
    let refused = "warning: notify: nothing was posted to the URL in INCIDENTS: the answer was HTTP 500";
    assert!(said.contains(refused) && !said.contains("SECRET") && !said.contains("alert-secret-key"), "{said}");
}

fn local() -> std::net::TcpListener {
    std::net::TcpListener::bind("127.0.0.1:0").expect("a port")
}
