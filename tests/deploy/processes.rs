//! The binary itself: a plan saved by one process, a change by another, and the plan carried out by a third.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Output, Stdio};

use roleout::exit::Exit;

use crate::harness::{Directory, manifest};

/// `roleout sandbox` on a port of its own; it ends with the test.
struct Server {
    child: Child,
    url: String,
    /// Held open: the server says what it does there.
    _said: BufReader<ChildStderr>,
}

impl Server {
    fn start(directory: &Path) -> Self {
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

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The binary in an environment of nothing.
fn roleout(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_roleout"));
    command.env_clear().current_dir(directory);
    command
}

/// A job: the binary, with an ID token and the server's address.
fn job(directory: &Path, server: &Server, args: &[&str]) -> Output {
    let token = fs_err::read_to_string(directory.join("token")).expect("a token");
    let mut command = roleout(directory);
    command.env("AWS_ENDPOINT_URL", &server.url).env("TOKEN", token).args(args);
    command.output().expect("the binary runs")
}

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

#[test]
fn a_change_between_the_planning_and_the_deploying_process_is_refused() {
    let directory = Directory::new("processes");
    let here = directory.0.as_path();
    fs_err::write(here.join("deploy.yaml"), manifest(3, 1, "")).expect("written");
    fs_err::write(here.join("other.yaml"), manifest(3, 1, "").replace("s0:v2", "s0:hotfix")).expect("written");
    let server = Server::start(here);

    let planned = job(here, &server, &["deploy", "--dry-run", "--out", "plan.json"]);
    let said = String::from_utf8_lossy(&planned.stderr).into_owned();
    assert_eq!(code(&planned), Some(i32::from(Exit::Done.code())), "{said}");
    assert!(said.contains("the plan is saved; carry it out with: roleout deploy plan.json"), "{said}");
    fs_err::remove_file(here.join("deploy.yaml")).expect("removed: the plan needs no manifest");

    let other = job(here, &server, &["deploy", "--file", "other.yaml", "--only", "a1"]);
    assert_eq!(code(&other), Some(0), "{}", String::from_utf8_lossy(&other.stderr));

    let refused = job(here, &server, &["deploy", "plan.json"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(code(&refused), Some(i32::from(Exit::Blocked.code())), "{said}");
    assert!(said.contains("error: 1 target moved since the plan was made:\n  a1/eu-west-1/s0: it ran s0:"), "{said}");
    assert!(said.contains("help: nothing was changed"), "{said}");

    let done = job(here, &server, &["deploy", "plan.json", "--skip-stale", "--format", "jsonl"]);
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(code(&done), Some(0), "{said}");
    let events = String::from_utf8_lossy(&done.stdout).into_owned();
    let ended = events.lines().filter(|line| line.contains("\"rollout_finished\"")).collect::<Vec<_>>();
    assert!(ended.len() == 2 && ended.iter().all(|line| line.contains("\"succeeded\"")), "{events}");
    assert!(!ended.iter().any(|line| line.contains("a1/eu-west-1")), "{events}");
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
    assert_eq!(code(&output), Some(5), "a manifest is no plan");
}
