//! `--record`: every answer of AWS is a file without secrets, and what is recorded is a run once more when it is played back.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use roleout::aws::Aws;
use roleout::aws::recorder::{Recorded, Recorder, read};
use roleout::base::exit::Exit;
use roleout::connect::Connection;
use roleout::event::Event;

use crate::harness::{Directory, Ran, Scene, manifest};
use crate::runs;

const SECRET: &str = "a-value-that-nobody-may-see";

/// One account, whose id is what recordings call the first one, with a service under this strategy.
fn scene(settings: &str) -> Scene {
    let service = format!("    cluster: main\n    deployment: {{ {settings} }}\n");
    let manifest = manifest(1, 1, "rollout: { timeout: 2h, on_failure: rollback }\n");
    Scene::new(&manifest.replace("    cluster: main\n", &service).replace("200000000000", "000000000001"))
}

/// Deploys with a recording; AWS is reached as `connection` makes of the scene's own way.
async fn deploy(scene: &Scene, change: impl FnOnce(Connection) -> Connection) -> Ran {
    let (fleet, choice, start) = (scene.fleet.clone(), scene.choice.clone(), scene.start.clone());
    scene
        .ran(async |reach, view| {
            let reach = change(reach.clone());
            runs::deploy(fleet, &reach, choice, start, view, scene.cancel.clone()).await
        })
        .await
}

async fn recorded(scene: &Scene, directory: &Directory) -> (Ran, Vec<Recorded>) {
    let to = directory.0.join("recording");
    let recorder = Arc::new(Recorder::begin(&to).expect("a new directory"));
    let ran = deploy(scene, |reach| Connection { aws: reach.aws.recorded(&recorder), sessions: reach.sessions }).await;
    (ran, read(&to).expect("a recording"))
}

/// What happened, without what differs from run to run.
fn story(ran: &Ran) -> Vec<String> {
    let told = ran.events.iter().map(|event| format!("{} {:?}", event.at, event.event));
    told.filter(|line| !line.contains("RunStarted")).collect()
}

/// Answers each operation with what was recorded of it, in its order and after the same time; the last answer stays.
#[derive(Clone, Debug)]
struct Replay(Arc<Mutex<BTreeMap<String, VecDeque<Recorded>>>>);

impl Replay {
    fn new(answers: Vec<Recorded>) -> Self {
        let mut queues: BTreeMap<String, VecDeque<Recorded>> = BTreeMap::new();
        for answer in answers {
            queues.entry(answer.operation.clone()).or_default().push_back(answer);
        }
        Self(Arc::new(Mutex::new(queues)))
    }

    fn next(&self, operation: &str) -> Option<Recorded> {
        let mut queues = self.0.lock().expect("no panic");
        let queue = queues.get_mut(operation)?;
        if queue.len() > 1 { queue.pop_front() } else { queue.front().cloned() }
    }
}

impl HttpClient for Replay {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Replay {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let answer = self.next(target.rsplit('.').next().unwrap_or_default());
        HttpConnectorFuture::new(async move {
            let missing = || ConnectorError::io("nothing of it was recorded".into());
            let answer = answer.ok_or_else(missing)?;
            tokio::time::sleep(Duration::from_millis(answer.took_ms)).await;
            let status = answer.status.ok_or_else(missing)?.try_into().expect("a status");
            let mut response = HttpResponse::new(status, SdkBody::from(answer.output.to_string()));
            response.headers_mut().insert("content-type", "application/x-amz-json-1.1");
            Ok(response)
        })
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_recorded_is_the_same_run_when_it_is_played_back() {
    for (strategy, fault, code) in [
        ("strategy: BLUE_GREEN, bake_time_in_minutes: 5", None, Exit::Done),
        ("circuit_breaker: { enable: true, rollback: true }", Some("a0/eu-west-1/s0=crash"), Exit::RolledBack),
    ] {
        let directory = Directory::new(&format!("replay-{}", code.code()));
        let first = fault.into_iter().fold(scene(strategy), Scene::fault);
        let (ran, answers) = recorded(&first, &directory).await;
        assert_eq!(ran.code(), code, "{strategy}: {}", ran.said);
        let second = scene(strategy);
        let replay = SharedHttpClient::new(Replay::new(answers));
        let again = deploy(&second, |reach| {
            let aws = Aws::in_process(replay, reach.aws.clock(), "eu-west-1");
            Connection { aws, sessions: reach.sessions }
        })
        .await;
        assert_eq!(again.code(), code, "{strategy}: {}", again.said);
        let kinds = |ran: &Ran| ran.events.iter().filter(|it| !matches!(it.event, Event::TasksChanged { .. })).count();
        assert_eq!(story(&again), story(&ran), "{strategy}: {} and {} events", kinds(&again), kinds(&ran));
    }
}

#[tokio::test(start_paused = true)]
async fn a_recording_has_every_answer_and_nothing_that_is_secret() {
    let text = manifest(3, 2, "").replace(
        "    cluster: main\n",
        &format!(
            "    cluster: main\n    environment: {{ app: {{ PASSWORD_HINT: \"{SECRET}\", HOST: \"${{tfstate:output.host}}\" }} }}\n"
        ),
    );
    let scene = Scene::new(
        &text.replace("services:", "tfstate: { net: { s3: { bucket: acme-states, key: net } } }\nservices:"),
    );
    let secret = format!(r#""password":{{"value":"{SECRET}","sensitive":true}}"#);
    let state = format!(r#"{{"version":4,"outputs":{{"host":{{"value":"db"}},{secret}}}}}"#);
    scene.sandbox.put_object("eu-west-1", "acme-states", "net", &state);
    let directory = Directory::new("recorded");
    let (ran, answers) = recorded(&scene, &directory).await;
    assert_eq!(ran.code(), Exit::Done, "{}", ran.said);
    let counted = scene.sandbox.calls();
    let sts: u64 = counted.operation("AssumeRole") + counted.operation("AssumeRoleWithWebIdentity");
    assert_eq!(answers.len() as u64, counted.total() - sts, "every call but those of STS");
    assert!(answers.iter().zip(1..).all(|(answer, number)| answer.number == number), "none is missing");
    let mut written = String::new();
    for entry in fs_err::read_dir(directory.0.join("recording")).expect("a recording") {
        written.push_str(&fs_err::read_to_string(entry.expect("a file").path()).expect("text"));
    }
    assert!(!written.contains(SECRET), "a value of the environment is written");
    assert_eq!(answers.iter().filter(|answer| answer.operation == "GetObject" && answer.output.is_null()).count(), 3);
    assert!(!written.contains("200000000"), "the id of an account is written");
    assert!(!written.contains("ASIA") && !written.contains("authorization"), "a key or a header is written");
    for account in ["000000000001", "000000000002", "000000000003"] {
        assert!(written.contains(&format!(":{account}:")), "the account that stands for {account}");
    }
    assert!(written.contains("\"PASSWORD_HINT\""), "what a variable is called stays");
    assert!(
        written.contains("\"accounts\": 3"),
        "{}",
        fs_err::read_to_string(directory.0.join("recording/recording.json")).expect("it")
    );
}

#[test]
fn a_recording_needs_a_directory_of_its_own() {
    let directory = Directory::new("taken");
    fs_err::write(directory.0.join("notes.txt"), "mine").expect("a file");
    let error = Recorder::begin(&directory.0).expect_err("it is taken");
    assert!(error.to_string().ends_with("is not empty: a recording needs a directory of its own"), "{error}");
    assert_eq!(fs_err::read_to_string(directory.0.join("notes.txt")).expect("it"), "mine");
}
