//! `roleout exec` and `roleout credentials` as processes: environments, streams, signals, exit codes, and who gets a
//! session of the loopback endpoint.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

fn roleout() -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("roleout"));
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
}

/// What stderr says besides where calls are sent: to the sandbox, as the variable of these tests says.
fn said(stderr: &[u8]) -> String {
    let said = text(stderr);
    let (notes, other): (Vec<&str>, Vec<&str>) = said
        .split_inclusive('\n')
        .partition(|line| line.starts_with("note: AWS_ENDPOINT_URL sends calls to 127.0.0.1:"));
    assert_eq!(notes.len(), 1, "{said}");
    other.concat()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A `roleout sandbox` of three accounts, stopped when dropped, and the manifest that it was seeded from.
struct Sandbox {
    child: Child,
    address: String,
    file: PathBuf,
    token: String,
}

impl Sandbox {
    fn start(name: &str, faults: &[&str]) -> Self {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("exec-{name}"));
        std::fs::create_dir_all(&directory).expect("a directory");
        let file = directory.join("deploy.yaml");
        let account = |name: &str, id: &str, regions: &str| {
            format!("  - {{ name: {name}, id: \"{id}\", chain: [hub, deployer], regions: [{regions}] }}\n")
        };
        let manifest = format!(
            "version: 1\nidentity: {{ token_env: ID_TOKEN, region: eu-west-1 }}\n\
             roles: {{ hub: {{ arn: \"arn:aws:iam::111111111111:role/hub\" }},\n  \
             deployer: {{ arn: \"arn:aws:iam::${{account.id}}:role/deployer\" }} }}\naccounts:\n{}{}{}\
             services: [ {{ name: api, cluster: web, images: {{ app: \"example.com/api:2\" }} }} ]\n",
            account("staging", "222222222222", "eu-west-1"),
            account("prod", "333333333333", "eu-central-1, eu-west-1"),
            account("audit", "444444444444", "us-east-1"),
        );
        std::fs::write(&file, manifest).expect("a file");
        let token = directory.join("token");
        let mut command = roleout();
        command.args(["sandbox", "--listen", "127.0.0.1:0", "-f"]).arg(&file).arg("--token-file").arg(&token);
        for fault in faults {
            command.args(["--sandbox-fault", fault]);
        }
        let mut child = command.stderr(Stdio::piped()).spawn().expect("the binary runs");
        let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines().map_while(Result::ok);
        let line = lines.find(|line| line.contains("listens on")).expect("it says where it listens");
        let address = line.split_whitespace().find(|word| word.starts_with("http://")).expect("an address");
        let address = address.trim_end_matches(';').to_owned();
        let hint = lines.find(|line| line.contains("roleout exec")).expect("it says how to get a session");
        assert!(hint.contains(&format!("AWS_ENDPOINT_URL={address} ID_TOKEN=\"$(cat ")), "{hint}");
        std::thread::spawn(move || lines.for_each(drop));
        let token = std::fs::read_to_string(token).expect("a token");
        Self { child, address, file, token }
    }

    /// A command with the token, in an environment with other identities in it.
    fn command(&self, verb: &str, arguments: &[&str]) -> Command {
        let mut command = roleout();
        command.arg(verb).arg("-f").arg(&self.file).args(arguments);
        command.env("AWS_ENDPOINT_URL", &self.address).env("ID_TOKEN", &self.token);
        for (name, value) in [
            ("AWS_PROFILE", "laptop"),
            ("AWS_ACCESS_KEY_ID", "AKIALAPTOP"),
            ("AWS_SECRET_ACCESS_KEY", "laptop-secret"),
            ("AWS_SESSION_TOKEN", "laptop-token"),
            ("AWS_WEB_IDENTITY_TOKEN_FILE", "/nowhere"),
            ("AWS_ROLE_ARN", "arn:aws:iam::999999999999:role/laptop"),
            ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/laptop"),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/nowhere"),
            ("KEPT", "kept"),
        ] {
            command.env(name, value);
        }
        command
    }

    fn exec(&self, arguments: &[&str]) -> Output {
        let output = self.command("exec", arguments).output().expect("the binary runs");
        // Whatever is said, the ID token is not.
        let secret = self.token.rsplit('.').next().expect("a signature");
        assert!(!text(&output.stdout).contains(secret) && !text(&output.stderr).contains(secret));
        output
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_child_has_a_session_of_one_account_and_nothing_of_another() {
    let sandbox = Sandbox::start("environment", &[]);
    let environment = |arguments: &[&str]| -> BTreeMap<String, String> {
        let output = sandbox.exec(&[arguments, &["--", "env"]].concat());
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let pairs = text(&output.stdout);
        pairs.lines().filter_map(|line| line.split_once('=')).map(|(a, b)| (a.to_owned(), b.to_owned())).collect()
    };
    let child = environment(&["--account", "prod"]);
    let names: BTreeSet<&str> =
        child.keys().map(String::as_str).filter(|it| !["PATH", "PWD", "_", "SHLVL"].contains(it)).collect();
    let expected = [
        "AWS_CONFIG_FILE",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_DEFAULT_REGION",
        "AWS_EC2_METADATA_DISABLED",
        "AWS_ENDPOINT_URL",
        "AWS_REGION",
        "AWS_SHARED_CREDENTIALS_FILE",
        "KEPT",
        "ROLEOUT_ACCOUNT_ID",
        "ROLEOUT_ACCOUNT_NAME",
    ];
    assert_eq!(names, expected.into(), "neither the ID token nor anybody's keys");
    assert_eq!((&*child["AWS_REGION"], &*child["AWS_DEFAULT_REGION"]), ("eu-central-1", "eu-central-1"));
    assert!(child["AWS_CONTAINER_CREDENTIALS_FULL_URI"].starts_with("http://127.0.0.1:"));
    assert_eq!(child["AWS_CONTAINER_AUTHORIZATION_TOKEN"].len(), 64, "256 bits");
    let again = environment(&["--account", "prod", "--region", "eu-west-1"]);
    assert_ne!(again["AWS_CONTAINER_AUTHORIZATION_TOKEN"], child["AWS_CONTAINER_AUTHORIZATION_TOKEN"]);
    assert_eq!(again["AWS_REGION"], "eu-west-1");
    let keys = environment(&["--account", "prod", "--env"]);
    assert!(keys["AWS_ACCESS_KEY_ID"].starts_with("ASIA") && keys.contains_key("AWS_SESSION_TOKEN"));
    assert_ne!(keys["AWS_SECRET_ACCESS_KEY"], "laptop-secret");
    for name in ["AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONFIG_FILE", "AWS_PROFILE", "ID_TOKEN"] {
        assert!(!keys.contains_key(name), "{name}");
    }
}

#[test]
fn streams_and_exit_codes_are_the_commands_own() {
    let sandbox = Sandbox::start("streams", &[]);
    let mut command =
        sandbox.command("exec", &["--account", "staging", "--", "sh", "-c", "cat; echo words >&2; exit 42"]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs");
    child.stdin.take().expect("piped").write_all(b"in\xff\n").expect("written");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!((output.status.code(), &*output.stdout), (Some(42), &b"in\xff\n"[..]));
    assert_eq!(said(&output.stderr), "words\n");
    for (command, code) in [
        (&["true"][..], 0),
        (&["sh", "-c", "kill -9 $$"], 137),
        (&["sh", "-c", "kill -TERM $$"], 143),
        (&["no-such-program"], 127),
        (&["/"], 126),
    ] {
        let output = sandbox.exec(&[&["--account", "staging", "--"], command].concat());
        assert_eq!(output.status.code(), Some(code), "{command:?}: {}", text(&output.stderr));
        let said = text(&output.stderr);
        assert_eq!(said.contains("cannot be run: "), code == 126 || code == 127, "{command:?}: {said}");
    }
}

#[test]
fn signals_reach_the_command_and_its_answer_counts() {
    let sandbox = Sandbox::start("signals", &[]);
    for arguments in [&["--account", "staging"][..], &["--only", "staging"]] {
        for (signal, number) in [("INT", 2), ("TERM", 15), ("HUP", 1), ("USR1", 10)] {
            let script = format!(
                "trap 'echo got {signal}; exit {}' {signal}; echo ready; while :; do sleep 0.05; done",
                20 + number
            );
            let arguments = [arguments, &["--", "sh", "-c", &script]].concat();
            let mut command = sandbox.command("exec", &arguments);
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut child = command.spawn().expect("the binary runs");
            let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
            assert!(lines.next().is_some_and(|line| line.ends_with("ready")), "{arguments:?}, {signal}");
            let kill = Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status();
            assert!(kill.expect("kill runs").success(), "{arguments:?}, {signal}");
            let last = lines.last().unwrap_or_default();
            assert!(last.ends_with(&format!("got {signal}")), "{arguments:?}, {signal}: {last}");
            assert_eq!(child.wait().expect("it ends").code(), Some(20 + number), "{arguments:?}: {signal}");
        }
    }
}

#[test]
fn after_a_signal_no_other_account_is_begun() {
    let sandbox = Sandbox::start("stopped", &[]);
    let mut command = sandbox.command("exec", &["--all", "--", "sh", "-c", "echo ready; sleep 30"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
    assert_eq!(lines.next().as_deref(), Some("staging | ready"));
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().expect("kill runs").success());
    assert_eq!(lines.count(), 0);
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(143));
    let said = text(&output.stderr);
    assert!(said.contains("✖ staging  exit code 143, as by signal 15, after "), "{said}");
    assert!(
        said.contains("- prod     not started\n- audit    not started\n3 accounts: 0 with exit code 0\n"),
        "{said}"
    );
}

#[test]
fn all_accounts_are_told_apart_and_the_first_failure_is_the_exit_code() {
    let sandbox = Sandbox::start("all", &[]);
    let script = "echo out $AWS_REGION; echo err >&2; printf 'no end'; \
                  case $ROLEOUT_ACCOUNT_NAME in prod) exit 3;; audit) exit 9;; esac";
    for parallel in [&[][..], &["--parallel", "3"]] {
        let output = sandbox.exec(&[&["--all"], parallel, &["--", "sh", "-c", script]].concat());
        assert_eq!(output.status.code(), Some(3), "{parallel:?}: the first in the manifest's order");
        let stdout = text(&output.stdout);
        let mut lines: Vec<&str> = stdout.lines().collect();
        lines.sort_unstable();
        let mut expected = [
            "staging | out eu-west-1",
            "staging | no end",
            "prod    | out eu-central-1",
            "prod    | no end",
            "audit   | out us-east-1",
            "audit   | no end",
        ];
        if parallel.is_empty() {
            assert_eq!(stdout, expected.join("\n") + "\n", "{parallel:?}: each account in turn");
        }
        expected.sort_unstable();
        assert_eq!(lines, expected, "{parallel:?}");
        let said = text(&output.stderr);
        assert_eq!(said.matches("| err\n").count(), 3, "{parallel:?}: {said}");
        for row in
            ["✔ staging  exit code 0, after ", "✖ prod     exit code 3, after ", "3 accounts: 1 with exit code 0\n"]
        {
            assert!(said.contains(row), "{parallel:?}: {said}");
        }
    }
    let output = sandbox.exec(&["--only", "{prod,audit}/*/api", "--quiet", "--", "true"]);
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
}

#[test]
fn lines_of_children_at_once_are_never_broken() {
    let sandbox = Sandbox::start("lines", &[]);
    // Each line comes in two pieces, with another program's start between them.
    let script = "i=0; while [ $i -lt 150 ]; do printf '%s begins ' $ROLEOUT_ACCOUNT_NAME; /bin/true; echo ends $i; i=$((i+1)); done";
    let output = sandbox.exec(&["--all", "--parallel", "3", "--", "sh", "-c", script]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let mut next: BTreeMap<String, usize> = BTreeMap::new();
    for line in text(&output.stdout).lines() {
        let (account, said) = line.split_once('|').expect("an account");
        let number = next.entry(account.trim().to_owned()).or_default();
        assert_eq!(said, format!(" {} begins ends {number}", account.trim()));
        *number += 1;
    }
    assert_eq!(next.into_values().collect::<Vec<_>>(), [150, 150, 150]);
}

/// Asks the endpoint, and returns the status and the body.
fn ask(address: &str, method: &str, path: &str, host: &str, token: Option<&str>) -> (u16, String) {
    let mut stream = TcpStream::connect(address).expect("it listens");
    let token = token.map_or(String::new(), |token| format!("Authorization: {token}\r\n"));
    let request = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n{token}Connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let status = answer.split_whitespace().nth(1).expect("a status").parse().expect("a number");
    (status, answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default())
}

#[test]
fn the_endpoint_answers_its_child_and_nobody_else() {
    let sandbox = Sandbox::start("endpoint", &[]);
    let script = "echo $AWS_CONTAINER_CREDENTIALS_FULL_URI $AWS_CONTAINER_AUTHORIZATION_TOKEN; read wait";
    let mut command = sandbox.command("exec", &["--account", "prod", "--", "sh", "-c", script]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary runs");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
    let (url, token) = line.trim().split_once(' ').expect("two words");
    let (address, path) = url.strip_prefix("http://").and_then(|rest| rest.split_once('/')).expect("a URL");
    let path = format!("/{path}");
    let (status, body) = ask(address, "GET", &path, address, Some(token));
    assert_eq!(status, 200, "{body}");
    let body: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    let names: Vec<&String> = body.as_object().expect("an object").keys().collect();
    assert_eq!(names, ["AccessKeyId", "SecretAccessKey", "Token", "Expiration"]);
    let ends: jiff::Timestamp = body["Expiration"].as_str().expect("a date").parse().expect("ISO 8601");
    assert!(ends > roleout::base::clock::Clock::system().timestamp());
    let wrong = "0".repeat(64);
    let (_, port) = address.split_once(':').expect("a port");
    for (method, path, host, token, why) in [
        ("GET", &*path, address, Some(&*wrong), "another token"),
        ("GET", &path, address, Some(&token[..63]), "part of the token"),
        ("GET", &path, address, Some(""), "an empty token"),
        ("GET", &path, address, None, "no token"),
        ("GET", "/1", address, Some(token), "an account that there is not"),
        ("GET", "/", address, Some(token), "another path"),
        ("POST", &path, address, Some(token), "another method"),
        ("GET", &path, "evil.example.com", Some(token), "another host"),
        ("GET", &path, &format!("localhost:{port}"), Some(token), "a name for the same host"),
    ] {
        let (status, body) = ask(address, method, path, host, token);
        assert_eq!((status, body.contains("ASIA")), (401, false), "{why}: {body}");
    }
    drop(child.stdin.take());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(said(&output.stderr), "", "nothing is said of all this");
    assert!(TcpStream::connect(address).is_err(), "the endpoint ends with its child");
}

#[test]
fn a_session_that_cannot_be_renewed_is_told_to_who_asks_for_it() {
    let mut sandbox = Sandbox::start("lost", &["*=short-sessions:5"]);
    let script = "echo $AWS_CONTAINER_CREDENTIALS_FULL_URI $AWS_CONTAINER_AUTHORIZATION_TOKEN; read wait";
    let mut command = sandbox.command("exec", &["--account", "prod", "--", "sh", "-c", script]);
    command.env("AWS_MAX_ATTEMPTS", "1").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("the binary runs");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
    let (url, token) = line.trim().split_once(' ').expect("two words");
    let (address, path) = url.strip_prefix("http://").and_then(|rest| rest.split_once('/')).expect("a URL");
    sandbox.child.kill().expect("killed");
    sandbox.child.wait().expect("ended");
    let (status, body) = ask(address, "GET", &format!("/{path}"), address, Some(token));
    assert_eq!(status, 502, "{body}");
    assert!(body.contains("there is no session in prod: hop 1 (hub, arn:aws:iam::111111111111:role/hub)"), "{body}");
    assert!(!body.contains(&sandbox.token), "{body}");
    drop(child.stdin.take());
    child.wait().expect("it ends");
}

#[test]
fn what_cannot_be_reached_starts_nothing_unless_it_is_skipped() {
    let sandbox = Sandbox::start("unreachable", &["prod=wrong-account"]);
    let output = sandbox.exec(&["--all", "--", "echo", "ran"]);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(4), String::new()));
    assert!(text(&output.stderr).contains("prod (333333333333): the session "), "{}", text(&output.stderr));
    let output = sandbox.exec(&["--account", "prod", "--", "echo", "ran"]);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(4), String::new()));
    let output = sandbox.exec(&["--all", "--skip-blocked", "--", "echo", "ran"]);
    assert_eq!((output.status.code(), &*text(&output.stdout)), (Some(0), "staging | ran\naudit   | ran\n"));
    assert!(text(&output.stderr).contains("- prod     could not be reached\n"), "{}", text(&output.stderr));
}

#[test]
fn a_wrong_command_line_is_exit_2() {
    let sandbox = Sandbox::start("usage", &[]);
    for (arguments, said) in [
        (&["--account", "prod"][..], "<COMMAND>"),
        (&["--", "true"], "no account is named"),
        (&["--account", "prd", "--", "true"], "there is no account `prd`; did you mean `prod`?"),
        (&["--account", "prod", "--all", "--", "true"], "cannot be used with"),
        (&["--all", "--parallel", "0", "--", "true"], "--parallel"),
        (&["--only", "nobody", "--", "true"], "matches no target"),
    ] {
        let output = sandbox.exec(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", text(&output.stderr));
        assert!(text(&output.stderr).contains(said), "{arguments:?}: {}", text(&output.stderr));
    }
}

#[test]
fn keys_are_printed_for_a_profile_and_not_in_a_job_unless_that_is_wanted() {
    let sandbox = Sandbox::start("credentials", &[]);
    let print = |arguments: &[&str], job: bool| {
        let mut command = sandbox.command("credentials", &[&["--account", "audit"], arguments].concat());
        if job {
            command.env("CI", "true");
        }
        command.output().expect("the binary runs")
    };
    let output = print(&[], true);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(2), String::new()));
    assert!(text(&output.stderr).contains("keys are not printed to a job"), "{}", text(&output.stderr));
    for (arguments, job) in [(&[][..], false), (&["--print-keys", "--format", "credential-process"], true)] {
        let output = print(arguments, job);
        assert_eq!((output.status.code(), said(&output.stderr)), (Some(0), String::new()), "{arguments:?}");
        let body: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(body["Version"], 1, "{arguments:?}");
        assert!(body["AccessKeyId"].as_str().is_some_and(|key| key.starts_with("ASIA")), "{arguments:?}: {body}");
        let names: Vec<&String> = body.as_object().expect("an object").keys().collect();
        assert_eq!(names, ["Version", "AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration"], "{arguments:?}");
    }
}
