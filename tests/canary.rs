//! No secret leaves the process, whoever repeats it: every command at its loudest, against an AWS and a GitLab that put what
//! they were sent into their answers.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};

const EXTERNAL_ID: &str = "canary-external-7f3a";
const WEBHOOK: &str = "T0/B0/canaryWebhook0123456789";
const JOB_TOKEN: &str = "glcbt-64_canaryJobToken";
const NOTE_TOKEN: &str = "glpat-canaryNoteToken";
const SIGN_KEY: &str = "canary-sign-key-0123456789abcdefghij";

fn roleout() -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("roleout"));
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A request or an answer of HTTP/1.1, with a body of a known length or up to the connection's end.
struct Message {
    head: String,
    body: Vec<u8>,
}

impl Message {
    fn read(stream: &mut impl BufRead) -> Option<Self> {
        let mut head = String::new();
        loop {
            let before = head.len();
            if stream.read_line(&mut head).ok()? == 0 {
                return None;
            }
            if head[before..].trim().is_empty() {
                break;
            }
        }
        let mut message = Self { head, body: Vec::new() };
        match message.header("content-length").and_then(|length| length.parse().ok()) {
            Some(length) => {
                message.body = vec![0; length];
                stream.read_exact(&mut message.body).ok()?;
            }
            None if message.head.starts_with("HTTP/") => drop(stream.read_to_end(&mut message.body)),
            None => {}
        }
        Some(message)
    }

    fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self
            .head
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(key, _)| key.eq_ignore_ascii_case(name))?;
        Some(value.trim())
    }

    fn write(&self, stream: &mut impl Write) -> Option<()> {
        stream.write_all(self.head.as_bytes()).ok()?;
        stream.write_all(&self.body).ok()
    }

    fn answer(status: u16, kind: &str, body: String) -> Self {
        let head = format!(
            "HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        );
        Self { head, body: body.into_bytes() }
    }
}

/// What the server before the sandbox knows and does.
#[derive(Default)]
struct Echo {
    /// The operations that it refuses, with what it was sent in its words.
    refused: Vec<&'static str>,
    /// What it gave out to the command that runs: the secrets of others are no secrets of its own.
    given: Mutex<BTreeSet<String>>,
    /// What it gave out to all of them.
    all: Mutex<BTreeSet<String>>,
    /// What was sent to GitLab and to webhooks.
    sent: Mutex<Vec<u8>>,
}

impl Echo {
    fn start(self, sandbox: &str) -> (Arc<Self>, String) {
        let (echo, sandbox) = (Arc::new(self), sandbox.trim_start_matches("http://").to_owned());
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let shared = Arc::clone(&echo);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (echo, sandbox) = (Arc::clone(&shared), sandbox.clone());
                std::thread::spawn(move || echo.serve(stream, &sandbox));
            }
        });
        (echo, address)
    }

    fn serve(&self, stream: TcpStream, sandbox: &str) -> Option<()> {
        let request = Message::read(&mut BufReader::new(stream.try_clone().ok()?))?;
        self.answer(&request, sandbox)?.write(&mut &stream)
    }

    fn answer(&self, request: &Message, sandbox: &str) -> Option<Message> {
        let body = text(&request.body);
        let line = request.head.lines().next()?;
        if line.contains("/services/T0/") || line.contains("/api/v4/") {
            let token = request.header("private-token").or(request.header("job-token")).unwrap_or(WEBHOOK);
            self.sent.lock().ok()?.extend_from_slice(&request.body);
            return Some(Message::answer(403, "application/json", format!("{{\"message\":\"no {token} here\"}}")));
        }
        let form: Vec<(String, String)> = form_urlencoded::parse(body.as_bytes()).into_owned().collect();
        let field = |name: &str| form.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        let operation = request.header("x-amz-target").and_then(|it| it.rsplit('.').next()).map(str::to_owned);
        let operation = operation.or_else(|| field("Action")).unwrap_or_default();
        if self.refused.iter().any(|refused| *refused == operation) {
            let sent = [field("WebIdentityToken"), field("ExternalId")].into_iter().flatten();
            let session = request.header("x-amz-security-token").map(str::to_owned);
            let all = sent.chain(session).chain(self.given.lock().ok()?.iter().cloned()).collect::<Vec<_>>().join(" ");
            return Some(match request.header("x-amz-target").is_some() {
                true => Message::answer(
                    400,
                    "application/x-amz-json-1.1",
                    format!("{{\"__type\":\"ClientException\",\"message\":\"it echoes {all}.\"}}"),
                ),
                false => Message::answer(
                    400,
                    "text/xml",
                    format!(
                        "<ErrorResponse><Error><Type>Sender</Type><Code>ValidationError</Code>\
                         <Message>it echoes {all}.</Message></Error><RequestId>1</RequestId></ErrorResponse>"
                    ),
                ),
            });
        }
        let mut forward = TcpStream::connect(sandbox).ok()?;
        let (first, rest) = request.head.split_once("\r\n")?;
        let head = format!("{first}\r\nconnection: close\r\n{rest}");
        Message { head, body: request.body.clone() }.write(&mut forward)?;
        let mut answer = Message::read(&mut BufReader::new(forward))?;
        let said = text(&answer.body);
        for tag in ["SecretAccessKey", "SessionToken"] {
            let tag = format!("<{tag}>");
            let parts = said.split(&tag).skip(1).filter_map(|part| part.split('<').next());
            let parts: Vec<String> = parts.map(str::to_owned).collect();
            self.given.lock().ok()?.extend(parts.iter().cloned());
            self.all.lock().ok()?.extend(parts);
        }
        answer.head = answer.head.replacen("\r\n", "\r\nconnection: close\r\n", 1);
        Some(answer)
    }
}

/// A sandbox behind such a server, stopped when dropped.
struct Scene {
    sandbox: Child,
    echo: Arc<Echo>,
    address: String,
    directory: PathBuf,
    token: String,
    /// The filter of what is logged.
    log: &'static str,
}

impl Scene {
    fn start(name: &str, refused: &[&'static str]) -> Self {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("canary-{name}"));
        let _ = std::fs::remove_dir_all(&directory);
        std::fs::create_dir_all(&directory).expect("a directory");
        let manifest = format!(
            "version: 1\nidentity: {{ token_env: ID_TOKEN, region: eu-west-1 }}\n\
             roles: {{ hub: {{ arn: \"arn:aws:iam::111111111111:role/hub\" }},\n  \
             deployer: {{ arn: \"arn:aws:iam::${{account.id}}:role/deployer\", external_id: {EXTERNAL_ID} }} }}\n\
             accounts:\n  - {{ name: staging, id: \"222222222222\", chain: [hub, deployer], regions: [eu-west-1] }}\n  \
             - {{ name: prod, id: \"333333333333\", chain: [hub, deployer], regions: [eu-west-1] }}\n\
             services: [ {{ name: api, cluster: web, images: {{ app: \"example.com/api:2\" }} }} ]\n\
             gitlab: {{ deployments: {{ environment: \"production/${{account.name}}\" }} }}\n\
             notify: [ {{ url_env: HOOK }}, {{ url_env: HOOK, format: slack }} ]\n"
        );
        std::fs::write(directory.join("deploy.yaml"), manifest).expect("a file");
        let token = directory.with_extension("token");
        let mut command = roleout();
        command.args(["sandbox", "--listen", "127.0.0.1:0", "-f", "deploy.yaml", "--token-file"]).arg(&token);
        command.current_dir(&directory);
        let mut sandbox = command.stderr(Stdio::piped()).spawn().expect("the binary runs");
        let mut lines = BufReader::new(sandbox.stderr.take().expect("piped")).lines().map_while(Result::ok);
        let line = lines.find(|line| line.contains("listens on")).expect("it says where it listens");
        let address = line.split_whitespace().find(|word| word.starts_with("http://")).expect("an address");
        let (echo, address) =
            Echo { refused: refused.to_vec(), ..Echo::default() }.start(address.trim_end_matches(';'));
        lines.find(|line| line.contains("roleout exec")).expect("its last line");
        std::thread::spawn(move || lines.for_each(drop));
        let token = std::fs::read_to_string(token).expect("a token");
        Self { sandbox, echo, address, directory, token, log: "trace" }
    }

    /// Runs a command at its loudest, and returns what it said.
    fn run(&self, arguments: &[&str]) -> Output {
        self.echo.given.lock().expect("no panic").clear();
        let mut command = roleout();
        command.args(arguments).current_dir(&self.directory);
        for (name, value) in [
            ("AWS_ENDPOINT_URL", self.address.clone()),
            ("AWS_MAX_ATTEMPTS", "1".to_owned()),
            ("ID_TOKEN", self.token.clone()),
            ("RUST_LOG", "trace".to_owned()),
            ("ROLEOUT_LOG", self.log.to_owned()),
            ("ROLEOUT_VERBOSE", "2".to_owned()),
            ("RUST_BACKTRACE", "full".to_owned()),
            ("HOOK", format!("{}/services/{WEBHOOK}", self.address)),
            ("PLAN_KEY", SIGN_KEY.to_owned()),
            ("ROLEOUT_GITLAB_TOKEN", NOTE_TOKEN.to_owned()),
            ("CI", "true".to_owned()),
            ("CI_JOB_TOKEN", JOB_TOKEN.to_owned()),
            ("CI_API_V4_URL", format!("{}/api/v4", self.address)),
            ("CI_PROJECT_ID", "7".to_owned()),
            ("CI_COMMIT_SHA", "5f2c9d7be0a14c3f8b6d2e91a7c4f05d3b8e6a12".to_owned()),
            ("CI_COMMIT_REF_NAME", "main".to_owned()),
            ("CI_MERGE_REQUEST_IID", "12".to_owned()),
            ("CI_MERGE_REQUEST_PROJECT_ID", "7".to_owned()),
        ] {
            command.env(name, value);
        }
        command.output().expect("the binary runs")
    }

    /// Fails where a secret is in what was said, written or sent, but for what is exempt.
    fn search(&self, said: &[(String, Vec<u8>)], exempt: &[&str]) {
        let mut places: Vec<(String, Vec<u8>)> = said.to_vec();
        let mut directories = vec![self.directory.clone()];
        while let Some(directory) = directories.pop() {
            for entry in std::fs::read_dir(directory).expect("a directory") {
                let path = entry.expect("an entry").path();
                match path.is_dir() {
                    true => directories.push(path),
                    false => places.push((path.display().to_string(), std::fs::read(&path).expect("a file"))),
                }
            }
        }
        places.push(("what was sent".to_owned(), self.echo.sent.lock().expect("no panic").clone()));
        let mut secrets: Vec<String> =
            [EXTERNAL_ID, "canaryWebhook", JOB_TOKEN, NOTE_TOKEN, SIGN_KEY].map(str::to_owned).into();
        secrets.extend(self.token.split('.').skip(1).map(str::to_owned));
        let made = self.echo.all.lock().expect("no panic");
        secrets.extend(made.iter().cloned());
        for (place, bytes) in &places {
            let text = text(bytes);
            for secret in &secrets {
                let owns = exempt.iter().any(|name| place.ends_with(name)) && secret == EXTERNAL_ID;
                assert!(owns || !text.contains(secret), "{place} holds {secret}:\n{text}");
            }
        }
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = self.sandbox.kill();
        let _ = self.sandbox.wait();
    }
}

/// Where an external id stands by decision.
const EXEMPT: &[&str] = &["deploy.yaml", "plan.json", "iam [stdout]"];

/// A command that shows what it was given.
const ECHO: &str = "echo $AWS_CONTAINER_AUTHORIZATION_TOKEN $ROLEOUT_GITLAB_TOKEN $HOOK";

/// Runs commands, and returns what they said.
fn said_by(scene: &Scene, commands: &[&[&str]]) -> Vec<(String, Vec<u8>)> {
    let mut said = Vec::new();
    for arguments in commands {
        let output = scene.run(arguments);
        let shown = format!("{}{}", text(&output.stdout), text(&output.stderr));
        assert!(!shown.contains("panicked") && output.status.code() != Some(101), "{arguments:?}: {shown}");
        assert_ne!(output.status.code(), Some(2), "{arguments:?}: {shown}");
        said.push((format!("{} [stdout]", arguments.join(" ")), output.stdout));
        said.push((format!("{} [stderr]", arguments.join(" ")), output.stderr));
    }
    said
}

/// Runs commands, searches, and returns how often a secret was taken out of what they said.
fn loud(scene: &Scene, commands: &[&[&str]]) -> usize {
    let said = said_by(scene, commands);
    scene.search(&said, EXEMPT);
    said.iter().map(|(_, bytes)| text(bytes).matches("[redacted]").count()).sum()
}

#[test]
fn commands_that_do_well_say_no_secret() {
    let (reading, changing) = (Scene::start("reading", &[]), Scene::start("changing", &[]));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            loud(
                &reading,
                &[
                    &["check"],
                    &["iam"],
                    &["iam", "check"],
                    &["doctor"],
                    &["doctor", "--format", "json"],
                    &["status", "--verbose"],
                    &["status", "--format", "json"],
                    &["plan", "--mr-note", "--out", "plan.json", "--sign-env", "PLAN_KEY", "--reports-dir", "plan"],
                    &["plan", "--format", "json"],
                    &["plan", "--format", "markdown"],
                    &["exec", "--all", "--", "sh", "-c", ECHO],
                    &["deploy", "plan.json", "--sign-env", "PLAN_KEY", "--dry-run"],
                ],
            )
        });
        let deploy = ["deploy", "--verbose", "--reports-dir", "reports", "--journal", "journal.jsonl"];
        let mut said = said_by(&changing, &[&deploy]);
        // One account goes on while the other goes back.
        let back = scope
            .spawn(|| said_by(&changing, &[&["rollback", "--verbose", "--reports-dir", "back", "--only", "prod"]]));
        let on = ["deploy", "--format", "jsonl", "--force-new-deployment", "--only", "staging"];
        said.extend(said_by(&changing, &[&on]));
        said.extend(back.join().expect("no panic"));
        let report = ["report", "journal.jsonl", "--reports-dir", "again"];
        said.extend(said_by(&changing, &[&["watch", "--verbose"], &["continue", "--dry-run"], &report]));
        changing.search(&said, EXEMPT);
    });
    let log = text(&reading.run(&["plan"]).stderr);
    assert!(log.contains(" outcome=\"ok\" request_id=") && log.contains("aws_smithy_runtime::client"), "{log}");
    let sessions = reading.echo.all.lock().expect("no panic").len() + changing.echo.all.lock().expect("no panic").len();
    assert!(sessions > 20, "it looked for {sessions} keys and tokens of sessions");
}

#[test]
fn what_aws_repeats_of_a_session_is_taken_out() {
    // Without a filter, the two `--verbose` of the environment say what is logged.
    for (operation, log) in [("DescribeServices", "trace"), ("RegisterTaskDefinition", ""), ("UpdateService", "")] {
        let mut scene = Scene::start(operation, &[operation]);
        scene.log = log;
        let taken = loud(
            &scene,
            &[
                &["status", "--format", "json"],
                &["plan", "--mr-note", "--reports-dir", "plan"],
                &["plan", "--format", "markdown"],
                &["deploy", "--verbose", "--reports-dir", "reports", "--journal", "journal.jsonl"],
                &["deploy", "--format", "jsonl"],
            ],
        );
        assert!(taken > 2, "{operation}: {taken} times");
    }
}

#[test]
fn what_sts_repeats_of_a_token_is_taken_out() {
    for operation in ["AssumeRoleWithWebIdentity", "AssumeRole"] {
        let scene = Scene::start(operation, &[operation]);
        let taken = loud(
            &scene,
            &[
                &["doctor"],
                &["doctor", "--format", "json"],
                &["iam", "check"],
                &["plan", "--mr-note"],
                &["status"],
                &["exec", "--all", "--", "true"],
                &["deploy", "--verbose", "--reports-dir", "reports", "--journal", "journal.jsonl"],
                &["deploy", "--format", "jsonl"],
                &["rollback"],
                &["watch"],
            ],
        );
        assert!(taken > 5, "{operation}: it repeats what it was sent, and so does the program");
    }
}

#[test]
fn a_server_that_never_ends_its_answer_does_not_fill_the_memory() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                let head = b"HTTP/1.1 200 OK\r\ncontent-type: text/xml\r\nconnection: close\r\n\r\n";
                let request = stream.try_clone().ok().and_then(|stream| Message::read(&mut BufReader::new(stream)));
                let mut written = request.map_or(Ok(()), |_| stream.write_all(head));
                while written.is_ok() {
                    written = stream.write_all(&[b' '; 65_536]);
                }
            });
        }
    });
    let output = roleout()
        .args(["plan", "-f"])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy.yaml.example"))
        .env("AWS_ENDPOINT_URL", address)
        .env("AWS_MAX_ATTEMPTS", "1")
        .env(
            "GITLAB_OIDC_TOKEN",
            "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJodHRwczovL2dpdGxhYi5jb20iLCJzdWIiOiJ4In0.c2lnbmF0dXJl",
        )
        .envs(["CI_COMMIT_SHA", "CI_PROJECT_ID", "CI_PIPELINE_ID", "CI_JOB_ID"].map(|name| (name, "5f2c9d7")))
        .output()
        .expect("the binary runs");
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(said.contains("the answer is longer than 16 MiB"), "{said}");
}
