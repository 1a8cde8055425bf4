//! No byte of others' texts commands a terminal, a job's log or a reader of a report: every command is run with texts that try.
//!
//! The texts stand wherever a manifest and a task definition file let one in, which the test finds out by trying every place;
//! on the command line, in variables and names of files; and in every message that AWS gives.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use roleout::manifest::load::load_str;
use serde_json::{Value, json};

/// What a terminal, GitLab, a browser or a reader's eye could obey.
const HOSTILE: &str = "x\u{1b}[2J\u{1b}]0;t\u{7}\u{9b}31m\r\u{1b}[0Ksection_start:1:e\r\u{1b}[0K\u{202e}\u{61c}\u{200b}\u{feff}\u{e0041}\
                       \u{2028}\n/approve\n@all\n```\n</script><b>evil\t";
/// The part of it that is no control character: some places take it, and not the rest.
const UNSEEN: &str = "x\u{202e}\u{61c}\u{200b}\u{feff}\u{2066}";

/// Whether a reader could not see a character, or a terminal could obey it.
fn is_bad(char: char) -> bool {
    (char.is_control() && char != '\n')
        || matches!(char, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

/// Takes out the escape sequences that only choose a style, and the markers of our own sections.
fn without_own(text: &str) -> String {
    let mut rest = text;
    let mut plain = String::new();
    while let Some(at) = rest.find('\u{1b}') {
        plain.push_str(&rest[..at]);
        let tail = &rest[at..];
        let style = tail.strip_prefix("\u{1b}[").and_then(|codes| {
            let end = codes.find(|char: char| !char.is_ascii_digit() && char != ';')?;
            codes[end..].strip_prefix('m')
        });
        let section = || {
            let marker = tail.strip_prefix("\u{1b}[0Ksection_")?;
            let (marker, after) = marker.split_once("\r\u{1b}[0K")?;
            let name = marker.split(':').nth(2)?.trim_end_matches("[collapsed=true]");
            let is_own = name.starts_with("roleout_")
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
            is_own.then_some(after)
        };
        rest = style.or_else(section).unwrap_or_else(|| {
            plain.push('\u{1b}');
            &tail[1..]
        });
    }
    plain + rest
}

/// Looks at every character of what was said or written. Returns it without what is our own.
fn assert_obeyed_by_nobody(what: &str, bytes: &[u8]) -> String {
    let text = String::from_utf8(bytes.to_vec()).unwrap_or_else(|error| panic!("{what} is not UTF-8: {error}"));
    let plain = without_own(&text);
    let bad: Vec<&str> = plain.lines().filter(|line| line.contains(is_bad)).take(5).collect();
    assert!(bad.is_empty(), "{what}: {bad:#?}");
    plain
}

/// Looks at every character, and that no text of others makes a line of its own.
fn assert_safe(what: &str, bytes: &[u8]) {
    let plain = assert_obeyed_by_nobody(what, bytes);
    assert!(!plain.contains("<b>evil") || !what.ends_with(".html"), "{what} has markup of others");
    let commands = plain.lines().any(|line| line.trim_start().starts_with("/approve"));
    assert!(
        !commands || what.ends_with(".html"),
        "{what} has a line that others wrote, and a command to GitLab: {plain}"
    );
}

/// Looks at every file below a directory.
fn assert_files_safe(directory: &Path) -> usize {
    let mut seen = 0;
    for entry in std::fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            seen += assert_files_safe(&path);
        } else {
            assert_safe(&path.display().to_string(), &std::fs::read(&path).expect("a file"));
            seen += 1;
        }
    }
    seen
}

fn directory(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("hostile").join(name);
    let _ = std::fs::remove_dir_all(&directory);
    std::fs::create_dir_all(&directory).expect("a directory");
    directory
}

/// JSON of ASCII alone, which is YAML, too.
fn ascii(value: &Value) -> String {
    let mut text = String::new();
    for char in format!("{value:#}").chars() {
        match char {
            ' '..='~' | '\n' => text.push(char),
            '\u{10000}'.. => text.push_str(&format!("\\U{:08x}", u32::from(char))),
            _ => text.push_str(&format!("\\u{:04x}", u32::from(char))),
        }
    }
    text
}

/// A manifest that uses as much as one can.
fn manifest() -> Value {
    json!({
        "version": 1,
        "identity": {
            "token_env": "ID_TOKEN", "region": "eu-west-1", "session_name": "gl-1", "issuer": "https://gitlab.example.com",
            "allow": { "project": "team/shop", "project_id": "4711", "branches": ["main"], "tags": ["v1"], "audience": "https://aud.example.com" }
        },
        "roles": {
            "hub": { "arn": "arn:aws:iam::999999999999:role/hub" },
            "deployer": {
                "arn": "arn:aws:iam::${account.id}:role/deployer", "external_id": "team",
                "source_identity": "who", "tags": { "team": "shop" }, "transitive_tags": ["team"],
                "policy": { "Version": "2012-10-17", "Statement": [{ "Sid": "All", "Effect": "Allow", "Action": "*", "Resource": "*" }] },
                "policy_arns": ["arn:aws:iam::aws:policy/AdministratorAccess"]
            },
            "spare": { "arn": "arn:aws:iam::999999999999:role/spare" }
        },
        "accounts": [{
            "name": "prod", "id": "111122223333", "chain": ["hub", "deployer"], "regions": ["eu-west-1"],
            "labels": { "ring": "early" }, "vars": { "level": "info" }
        }],
        "services": [
            {
                "name": "api", "cluster": "web", "service": "api", "task_definition": "td.json",
                "images": { "app": "example.com/api:2" },
                "environment": { "app": { "LEVEL": "${vars.level}" } },
                "secrets": { "app": { "DB": "arn:aws:ssm:eu-west-1:111122223333:parameter/db" } },
                "deployment": { "minimum_healthy_percent": 50, "alarms": { "alarm_names": ["api-5xx"], "enable": true, "rollback": true } },
                "before": [{
                    "run_task": "migrate", "container": "app", "command": ["./migrate", "up"], "environment": { "MODE": "all" },
                    "network": { "subnets": ["subnet-1"] }, "launch_type": "FARGATE"
                }],
                "overrides": [{ "select": { "ring": "early" }, "environment": { "app": { "RING": "early" } } }]
            },
            { "name": "rev", "cluster": "web", "task_definition": { "family": "rev" } },
            {
                "name": "blue", "cluster": "web", "images": { "app": "example.com/blue:2" },
                "codedeploy": { "application": "shop", "deployment_group": "blue", "config": "CodeDeployDefault.ECSAllAtOnce", "container": "app", "port": 80 }
            }
        ],
        "rollout": { "waves": [{ "name": "canary", "select": { "ring": "early" }, "bake": "1s", "alarms": ["api-5xx"] }] },
        "notify": [{ "url_env": "HOOK" }],
        "gitlab": { "deployments": { "environment": "production/${account.name}" } }
    })
}

/// A task definition file that uses as much as one can.
fn definition() -> Value {
    json!({
        "family": "api", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256", "memory": "512",
        "executionRoleArn": "arn:aws:iam::111122223333:role/execution", "taskRoleArn": "arn:aws:iam::111122223333:role/task",
        "tags": [{ "key": "team", "value": "shop" }],
        "volumes": [{ "name": "data" }], "unknown": "member",
        "containerDefinitions": [
            {
                "name": "app", "image": "example.com/api:1", "essential": true, "command": ["serve"], "entryPoint": ["sh"],
                "workingDirectory": "/", "user": "app", "dockerLabels": { "label": "value" },
                "environment": [{ "name": "MODE", "value": "fast" }],
                "secrets": [{ "name": "KEY", "valueFrom": "arn:aws:ssm:eu-west-1:111122223333:parameter/key" }],
                "healthCheck": { "command": ["CMD-SHELL", "true"] },
                "mountPoints": [{ "sourceVolume": "data", "containerPath": "/data" }],
                "logConfiguration": { "logDriver": "awslogs", "options": { "awslogs-group": "/ecs/api", "awslogs-region": "eu-west-1", "awslogs-stream-prefix": "api" } }
            },
            { "name": "sidecar", "image": "example.com/sidecar:1", "essential": false }
        ]
    })
}

/// Where a text stands in a document: the pointer to a value, or to the mapping whose key it is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Value(String),
    Key(String, String),
}

fn places(value: &Value, at: &str, found: &mut Vec<Place>) {
    let token = |key: &str| key.replace('~', "~0").replace('/', "~1");
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                found.push(Place::Key(at.to_owned(), key.clone()));
                places(value, &format!("{at}/{}", token(key)), found);
            }
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| places(item, &format!("{at}/{index}"), found))
        }
        Value::String(_) => found.push(Place::Value(at.to_owned())),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Puts a text behind what stands at a place. Later places with that key in their pointers lead nowhere, and stay.
fn put(document: &mut Value, place: &Place, text: &str) {
    match place {
        Place::Value(at) => {
            if let Some(Value::String(value)) = document.pointer_mut(at) {
                value.push_str(text);
            }
        }
        Place::Key(at, key) => {
            if let Some(Value::Object(members)) = document.pointer_mut(at)
                && let Some(value) = members.remove(key)
            {
                members.insert(format!("{key}{text}"), value);
            }
        }
    }
}

/// Loads a manifest beside a task definition, and looks at what is said of it. Returns whether it has no fault.
fn loads(directory: &Path, manifest: &Value, definition: &Value, what: &str) -> bool {
    std::fs::write(directory.join("td.json"), ascii(definition).replace("\\U000e0041", "\\udb40\\udc41"))
        .expect("a file");
    let variables = |name: &str| (name == "HOOK").then(|| "https://hooks.example.com/x".to_owned());
    match load_str("deploy.yaml", directory, &ascii(manifest), &variables) {
        Ok(_) => true,
        Err(error) => {
            assert_safe(what, error.render(false, 100).as_bytes());
            assert_safe(what, error.to_string().as_bytes());
            false
        }
    }
}

/// Returns the manifest and the task definition with a hostile text in every place that takes one. What is said of those that
/// do not is looked at.
fn poisoned(directory: &Path) -> (Value, Value) {
    let (mut manifest, mut definition) = (manifest(), definition());
    assert!(loads(directory, &manifest, &definition, "the manifest"), "the manifest has no fault");
    let mut taken = 0;
    for is_file in [false, true] {
        let mut all = Vec::new();
        places(if is_file { &definition } else { &manifest }, "", &mut all);
        // Values first: keys are in the pointers to them.
        all.sort_by_key(|place| matches!(place, Place::Key(..)));
        // The innermost keys first, for the same reason.
        all.reverse();
        all.sort_by_key(|place| match place {
            Place::Value(_) => 0,
            Place::Key(at, _) => 1 + usize::MAX / 2 - at.matches('/').count(),
        });
        all.retain(|place| match place {
            // What a session policy allows is no text, and a member of a task definition with another name is not there.
            // A task of a container that there is not blocks its target, and ECS refuses such tags.
            Place::Value(at) if is_file && at.starts_with("/tags/") => false,
            Place::Value(at) => {
                (!at.contains("/policy/Statement") || at.ends_with("/Sid")) && !at.ends_with("/before/0/container")
            }
            Place::Key(at, key) if is_file => {
                at.ends_with("/dockerLabels") || at.ends_with("/options") || key == "unknown"
            }
            Place::Key(at, _) => !at.contains("/policy"),
        });
        for place in all {
            for text in [HOSTILE, UNSEEN] {
                let (mut one, mut two) = (manifest.clone(), definition.clone());
                put(if is_file { &mut two } else { &mut one }, &place, text);
                if loads(directory, &one, &two, &format!("{place:?}")) {
                    (manifest, definition) = (one, two);
                    taken += 1;
                    break;
                }
            }
        }
    }
    assert!(loads(directory, &manifest, &definition, "the poisoned manifest"));
    assert!(taken > 35, "so many places take any text: {taken}");
    (manifest, definition)
}

fn roleout(directory: &Path) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("roleout"));
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).current_dir(directory);
    // Colours are asked for, so that no stream strips escape sequences on its own account.
    command.env("CLICOLOR_FORCE", "1").env("HOOK", "https://127.0.0.1:9/x");
    for name in [
        "CI_PROJECT_PATH",
        "CI_COMMIT_SHA",
        "CI_JOB_URL",
        "CI_PIPELINE_URL",
        "CI_COMMIT_REF_NAME",
        "CI_ENVIRONMENT_NAME",
    ] {
        command.env(name, HOSTILE);
    }
    command
}

/// Runs a command line, and looks at all that it says. Returns its exit code and what it said.
fn run(directory: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> (i32, String) {
    let output = roleout(directory)
        .args(arguments)
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .output()
        .expect("it runs");
    let what = format!("{:?}", arguments.join(" "));
    for (stream, bytes) in [("stdout", &output.stdout), ("stderr", &output.stderr)] {
        let what = format!("{stream} of {what}");
        // What is wrong with the command line may be said in its own lines.
        match arguments.iter().any(|argument| argument.contains('\n')) {
            true => drop(assert_obeyed_by_nobody(&what, bytes)),
            false => assert_safe(&what, bytes),
        }
    }
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    let code = output.status.code().expect("no signal");
    assert!(code != 101, "{what}: {said}");
    (code, said)
}

fn help(directory: &Path, command: &[&str]) -> String {
    let output = roleout(directory).args(command).arg("--help").env_remove("CLICOLOR_FORCE").output().expect("it runs");
    assert_safe("the help", &output.stdout);
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Returns the values of a flag of a command, as its help lists them.
fn values(directory: &Path, command: &[&str], flag: &str) -> Vec<String> {
    let help = help(directory, command);
    let about = help.split(&format!("      {flag} ")).nth(1).unwrap_or_default();
    let about = about.split("[env:").next().unwrap_or_default();
    about.lines().filter_map(|line| Some(line.trim().strip_prefix("- ")?.split(':').next()?.to_owned())).collect()
}

/// A manifest whose accounts come from an organization.
const ORGANIZATION: &str = "version: 1
identity: { token_env: ID_TOKEN, region: eu-west-1, organization_chain: [reader] }
roles:
  reader: { arn: \"arn:aws:iam::888888888888:role/reader\" }
  leaf: { arn: \"arn:aws:iam::${account.id}:role/leaf\" }
accounts:
  - from: organization
    chain: [leaf]
    regions: [eu-west-1]
    vars: { team: \"${org.tags.team}\" }
services:
  - { name: api, cluster: web, images: { app: \"registry.example.com/api:1\" } }
";

/// What an organization said of its accounts, as somebody there wrote it.
fn lock(text: &str) -> String {
    let text = serde_json::to_string(text).expect("a text");
    format!(
        "version: 1\nchanged: \"2026-11-30\"\norganization: \"o-a1b2c3d4e5\"\nentries:\n  - {{}}\nfacts: {{ email: false, tags: \
         [\"team\"] }}\nunits:\n  - {{ id: \"r-ab12\", path: \"/\" }}\n  - {{ id: \"ou-ab12-11111111\", path: {text} }}\naccounts:\n  - \
         {{ id: \"210000000003\", name: {text}, ou: {text}, tags: {{ \"team\": {text} }} }}\n"
    )
}

#[test]
fn no_command_says_a_byte_that_commands_anything() {
    let directory = directory("offline");
    let (manifest, definition) = poisoned(&directory);
    std::fs::write(directory.join("td.json"), ascii(&definition).replace("\\U000e0041", "\\udb40\\udc41"))
        .expect("a file");
    std::fs::write(directory.join("deploy.yaml"), ascii(&manifest)).expect("a file");
    let help = help(&directory, &[]);
    let list = help.split("Commands:\n").nth(1).and_then(|list| list.split("\n\n").next()).expect("commands");
    // What does not fit a line goes on further to the right.
    let names = list.lines().filter(|line| !line.starts_with("   "));
    let mut left: BTreeSet<&str> = names.filter_map(|line| line.split_whitespace().next()).collect();
    let ends = |code: &[i32], arguments: &[&str]| {
        let (ended, said) = run(&directory, arguments, &[("ID_TOKEN", HOSTILE)]);
        assert!(code.contains(&ended), "{arguments:?}: {ended}\n{said}");
    };
    let mut all = |code: &[i32], arguments: &[&str]| {
        left.remove(arguments[0]);
        ends(code, arguments);
    };
    all(&[0], &["check"]);
    all(&[2], &["check", "--only", HOSTILE]);
    all(&[2], &["check", "--wave", HOSTILE]);
    for form in values(&directory, &["plan"], "--format") {
        all(&[0], &["plan", "--sandbox", "--format", &form, "--out", "plan.json", "--reports-dir", "plan"]);
        all(&[0], &["plan", "--sandbox", "--format", &form, "--show-values"]);
    }
    let mut blocked = manifest.clone();
    put(&mut blocked, &Place::Value("/services/0/before/0/container".to_owned()), HOSTILE);
    std::fs::write(directory.join("blocked.yaml"), ascii(&blocked)).expect("a file");
    all(&[5], &["plan", "--sandbox", "--file", "blocked.yaml", "--reports-dir", "blocked"]);
    all(&[2], &["plan", "--sandbox", "--from", HOSTILE]);
    all(&[2], &["plan", "--sandbox", "--image", HOSTILE]);
    all(&[2], &["plan", "--sandbox", "--image", &format!("app={HOSTILE}")]);
    all(&[2], &["plan", "--sandbox", "--format", HOSTILE]);
    all(&[2], &["plan", "--sandbox", "--sandbox-fault", HOSTILE]);
    all(&[2], &["plan", "--sandbox", "--report", &format!("{HOSTILE}=x")]);
    all(&[2], &["plan", "--sign-env", HOSTILE, "--out", "x.json"]);
    all(&[4], &["plan"]);
    all(&[4], &["deploy", "plan.json"]);
    all(&[2], &["deploy", HOSTILE]);
    all(&[2], &["deploy", "deploy.yaml"]);
    all(&[5], &["deploy", "td.json"]);
    all(&[2], &["rollback", "--sandbox", "--of", HOSTILE]);
    all(&[0], &["watch", "--sandbox"]);
    all(&[0], &["continue", "--sandbox"]);
    for form in values(&directory, &["status"], "--format") {
        all(&[0], &["status", "--sandbox", "--format", &form, "--verbose"]);
    }
    for form in values(&directory, &["doctor"], "--format") {
        all(&[0, 4], &["doctor", "--sandbox", "--format", &form]);
        all(&[4], &["doctor", "--offline", "--format", &form]);
    }
    all(&[2], &["doctor", "--offline", "--trust-policy", HOSTILE]);
    all(&[2, 4], &["exec", "--account", HOSTILE, "--", "true"]);
    all(&[2, 4], &["exec", "--account", "prod", "--", "true"]);
    all(&[2, 4], &["credentials", "--account", HOSTILE, "--print-keys"]);
    for form in values(&directory, &["iam"], "--format") {
        all(&[0, 2], &["iam", "--format", &form]);
        all(&[0], &["iam", "--format", &form, "--out", &format!("iam-{form}")]);
        all(&[2], &["iam", "--format", &form, "--role", HOSTILE]);
    }
    all(&[0, 4, 20], &["iam", "check", "--sandbox"]);
    for form in values(&directory, &["accounts"], "--format") {
        all(&[0], &["accounts", "--format", &form]);
        std::fs::write(directory.join("org.yaml"), ORGANIZATION).expect("a file");
        std::fs::write(directory.join("org.accounts.lock.yaml"), lock(HOSTILE)).expect("a file");
        all(&[0, 3], &["accounts", "--file", "org.yaml", "--format", &form]);
        all(&[3, 20], &["accounts", "--file", "org.yaml", "--check", "--sandbox", "--format", &form]);
        all(&[2], &["accounts", "--file", "org.yaml", "--update", "--sandbox", "--accept-gone", HOSTILE]);
        all(&[0, 3, 20], &["accounts", "--file", "org.yaml", "--update", "--sandbox", "--format", &form]);
    }
    all(&[0], &["pipeline"]);
    all(
        &[0],
        &[
            "pipeline",
            "--only",
            "*",
            "--job-image",
            HOSTILE,
            "--job-tag",
            HOSTILE,
            "--environment",
            HOSTILE,
            "--out",
            "pipeline.yml",
        ],
    );
    std::fs::create_dir_all(directory.join("left/preflight")).expect("a directory");
    all(&[0], &["pipeline", "preflight", "--sandbox", "--journal", "left/preflight/journal.jsonl"]);
    all(&[2], &["pipeline", "gate", "--wave", HOSTILE, "left"]);
    std::fs::create_dir_all(directory.join("left/wave-1/shard-1")).expect("a directory");
    // What waits for tasks waits beside the others.
    let forms = values(&directory, &["deploy"], "--format");
    std::thread::scope(|scope| {
        for form in &forms {
            scope.spawn(move || {
                let (journal, reports) = (format!("{form}.jsonl"), format!("reports-{form}"));
                let files = ["--format", form, "--journal", &journal, "--reports-dir", &reports];
                ends(&[0], &[&["deploy", "--sandbox", "--sections", "always", "--verbose"], &files[..]].concat());
            });
        }
        let crash = ["deploy", "--sandbox", "--sandbox-fault", "*=crash"];
        scope.spawn(move || {
            let files = ["--reports-dir", "failed", "--sections", "always"];
            ends(&[10, 11], &[crash, files].concat());
        });
        scope.spawn(move || {
            let shard = ["--wave", "canary", "--from", "canary", "--shard", "1/1"];
            let journal = ["--journal", "left/wave-1/shard-1/journal.jsonl"];
            ends(&[10, 11], &[&crash[..], &shard, &journal].concat());
        });
        scope.spawn(move || ends(&[0, 5], &["rollback", "--sandbox", "--reports-dir", "rollback"]));
    });
    all(&[10, 11], &["pipeline", "gate", "--wave", "canary", "left"]);
    all(&[10, 11], &["pipeline", "merge", "left", "--reports-dir", "merged"]);
    all(&[2], &["init", "--from-service", HOSTILE]);
    all(&[2], &["init"]);
    all(&[2], &["sandbox", "--listen", HOSTILE]);
    all(&[2], &["sandbox", "--listen", "127.0.0.1:0", "--token-file", "/nowhere/\u{202e}x"]);
    all(&[2], &["completions", HOSTILE]);
    for name in ["schema", "man", "help"] {
        all(&[0], &[name]);
    }
    all(&[2], &[HOSTILE]);
    // A journal as somebody wrote it: with such texts wherever it has a text.
    let journal = std::fs::read_to_string(directory.join("text.jsonl")).expect("a journal");
    let lines = journal.lines().map(|line| {
        let mut event: Value = serde_json::from_str(line).expect("JSON");
        let mut found = Vec::new();
        places(&event["event"], "/event", &mut found);
        let texts = found.iter().filter(|place| matches!(place, Place::Value(_)));
        let named = ["kind", "target", "account_id", "action", "at", "outcome", "revision", "from", "to"];
        let free = texts.filter(
            |place| matches!(place, Place::Value(at) if !named.contains(&at.rsplit('/').next().unwrap_or_default())),
        );
        free.for_each(|place| put(&mut event, place, HOSTILE));
        event.to_string() + "\n"
    });
    std::fs::write(directory.join("evil.jsonl"), lines.collect::<String>()).expect("a file");
    all(&[0, 2], &["report", "evil.jsonl", "text.jsonl"]);
    all(&[0, 2], &["report", "evil.jsonl", "--reports-dir", "again"]);
    all(&[2], &["report", HOSTILE]);
    // A manifest, a plan and a directory with such names. A file's name has no slash.
    let name = HOSTILE.replace('/', "|");
    std::fs::write(directory.join(&name), ascii(&manifest)).expect("a file");
    all(&[0], &["check", "--file", &name]);
    all(
        &[0],
        &[
            "plan",
            "--sandbox",
            "--file",
            &name,
            "--out",
            &format!("{name}.json"),
            "--reports-dir",
            &name.replace('x', "y"),
        ],
    );
    all(&[0, 2], &["pipeline", "--file", &name]);
    all(&[5], &["deploy", &name]);
    assert!(left.is_empty(), "commands that this test does not run: {left:?}");
    for (written, least) in [
        ("plan", 3),
        ("reports-text", 8),
        ("reports-jsonl", 8),
        ("failed", 8),
        ("again", 6),
        ("merged", 6),
        ("iam-json", 3),
        ("iam-terraform", 1),
    ] {
        assert!(assert_files_safe(&directory.join(written)) >= least, "{written} has {least} files at least");
    }
    for file in ["plan.json", "text.jsonl", "pipeline.yml"] {
        assert_safe(file, &std::fs::read(directory.join(file)).expect("a file"));
    }
}

/// `roleout sandbox`, stopped when dropped.
struct Server(Child, String);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Stands between a client and a server, and puts a hostile text into every message and reason of the server's.
fn between(server: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let server = server.clone();
            std::thread::spawn(move || pass(client, &server));
        }
    });
    format!("http://{address}")
}

/// Passes requests of one connection on, each by a connection of its own.
fn pass(client: TcpStream, server: &str) -> Option<()> {
    let mut from = BufReader::new(client.try_clone().ok()?);
    let mut to = client;
    loop {
        let (head, body) = message(&mut from)?;
        let mut server = TcpStream::connect(server).ok()?;
        server.write_all(head.as_bytes()).and_then(|()| server.write_all(&body)).ok()?;
        let (head, body) = message(&mut BufReader::new(server))?;
        let json = serde_json::to_string(HOSTILE).ok()?;
        let json = json.trim_matches('"');
        let mut text = String::from_utf8_lossy(&body).into_owned();
        for member in ["message", "Message", "reason", "stoppedReason", "rolloutStateReason", "statusReason", "__type"]
        {
            let (before, after) = (format!("\"{member}\":\""), format!("\"{member}\":\"{json}"));
            // The kind of an error stays what it is: what is said of it changes.
            let after = if member == "__type" { before.clone() } else { after };
            text = text.replace(&before, &after);
        }
        let xml = HOSTILE.replace('<', "&lt;").replace(['\u{1b}', '\u{7}'], "");
        text = text.replace("<Message>", &format!("<Message>{xml}"));
        let head: String =
            head.split_inclusive("\r\n").filter(|line| !line.to_lowercase().starts_with("content-length:")).collect();
        let head =
            format!("{}Content-Length: {}\r\n\r\n", head.trim_end_matches("\r\n").to_owned() + "\r\n", text.len());
        to.write_all(head.as_bytes()).and_then(|()| to.write_all(text.as_bytes())).ok()?;
    }
}

/// Reads one message of HTTP: its head, with the empty line, and its body.
fn message(from: &mut impl BufRead) -> Option<(String, Vec<u8>)> {
    let mut head = String::new();
    loop {
        let before = head.len();
        if from.read_line(&mut head).ok()? == 0 {
            return None;
        }
        if head.len() - before == 2 {
            break;
        }
    }
    let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    from.read_exact(&mut body).ok()?;
    Some((head, body))
}

#[test]
fn no_message_of_aws_commands_anything() {
    std::thread::scope(|scope| {
        scope.spawn(|| no_message_commands_anything("crash", "*=crash", &[10, 11, 14]));
        scope.spawn(|| no_message_commands_anything("update", "*=deny:ecs:UpdateService", &[10]));
        scope.spawn(|| no_message_commands_anything("assume", "*=deny:sts:AssumeRole", &[4]));
    });
}

/// Runs commands against a sandbox with a fault, whose messages are hostile; a deployment ends with one of the codes.
fn no_message_commands_anything(name: &str, fault: &str, code: &[i32]) {
    let directory = directory(&format!("aws-{name}"));
    let (mut manifest, definition) = (manifest(), definition());
    // Of one service alone, so that a deployment is over soon.
    manifest["services"].as_array_mut().expect("services").truncate(1);
    manifest["services"][0].as_object_mut().expect("a service").remove("before");
    std::fs::write(directory.join("td.json"), ascii(&definition)).expect("a file");
    std::fs::write(directory.join("deploy.yaml"), ascii(&manifest)).expect("a file");
    let mut child = roleout(&directory)
        .args([
            "sandbox",
            "--listen",
            "127.0.0.1:0",
            "-f",
            "deploy.yaml",
            "--token-file",
            "token",
            "--sandbox-fault",
            fault,
        ])
        .env("CI_PROJECT_PATH", "team/shop")
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines().map_while(Result::ok);
    let line = lines.find(|line| line.contains("listens on")).expect("it says where it listens");
    let address = line.split("http://").nth(1).and_then(|rest| rest.split(';').next()).expect("an address").to_owned();
    let server = Server(child, address);
    std::thread::spawn(move || lines.for_each(drop));
    let endpoint = between(server.1.clone());
    let token = std::fs::read_to_string(directory.join("token")).expect("a token");
    let variables = [("AWS_ENDPOINT_URL", endpoint.as_str()), ("ID_TOKEN", token.as_str()), ("AWS_MAX_ATTEMPTS", "1")];
    let (ended, said) =
        run(&directory, &["deploy", "--no-verify", "--reports-dir", "reports", "--sections", "always"], &variables);
    assert!(code.contains(&ended), "{fault}: {ended}: {said}");
    assert!(said.contains("section_start:1:e"), "{fault}: the text of AWS is shown: {said}");
    assert!(assert_files_safe(&directory.join("reports")) >= 8);
    let others = [
        &["status", "--verbose"][..],
        &["status", "--format", "json"],
        &["plan", "--format", "markdown"],
        &["doctor", "--offline"],
        &["exec", "--account", "prod", "--", "true"],
        &["credentials", "--account", "prod"],
        &["rollback", "--dry-run"],
        &["iam", "check"],
        &["watch"],
        &["continue"],
        &["init", "--file", "new.yaml", "--from-service", "arn:aws:iam::111122223333:role/deployer:eu-west-1/web/api"],
    ];
    std::thread::scope(|scope| {
        let run = |arguments| run(&directory, arguments, &variables);
        for arguments in others {
            scope.spawn(move || run(arguments));
        }
    });
}
