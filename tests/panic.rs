//! A panic anywhere ends in one line without a secret, a documented exit code, and the reports of a run that was on.
//!
//! This binary runs itself: what panics is a process of its own.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};

use roleout::base::exit::Exit;
use roleout::event::{Event, Job, Stamper};
use roleout::fleet::{OnCancel, OnFailure};
use roleout::outputs::reports::Reports;
use roleout::plan::outline::{Action, ChangeOutline, Outline, WaveOutline};
use roleout::report::Kind;
use roleout::report::kind::Wanted;
use roleout::view::View;
use roleout::view::crash::guarded;
use roleout::view::options::Options;

const CANARY: &str = "canary-0123456789";
const WHERE: &str = "PANIC_TEST_WHERE";
const REPORT: &str = "PANIC_TEST_REPORT";

struct Code(i32);

impl From<Exit> for Code {
    fn from(exit: Exit) -> Self {
        Self(i32::from(exit.code()))
    }
}

fn outline() -> Outline {
    let wave = WaveOutline {
        name: "all".into(),
        targets: 1,
        changing: 1,
        max_parallel: "100%".into(),
        max_failures: 0,
        worst_case_failures: 1,
        bake_seconds: 0,
        alarms: 0,
        gate: false,
        on_failure: OnFailure::Stop,
        on_cancel: OnCancel::Detach,
    };
    let change = ChangeOutline {
        target: "prod/eu-west-1/api".to_owned().try_into().expect("a target"),
        account_id: "111111111111".parse().expect("an id"),
        cluster: "web".into(),
        service: "api".into(),
        wave: "all".into(),
        action: Action::Register,
        from: None,
        to: None,
        summary: Vec::new(),
    };
    Outline { waves: vec![wave], changes: vec![change], console: None }
}

#[test]
#[ignore = "the other tests run it as a process"]
fn as_a_process() {
    let place = std::env::var(WHERE).expect("it is run by another test");
    let report = PathBuf::from(std::env::var_os(REPORT).expect("it is run by another test"));
    let code: Code = guarded(|| match place.as_str() {
        "before a run" => panic!("{CANARY}"),
        "in a run" => {
            let mut view = View::new(Options::default(), Box::new(std::io::sink()), Box::new(std::io::sink()));
            let wanted = Wanted { kind: Kind::Json, path: report };
            view.report(Reports::open(&[wanted], None, &[Kind::Json]).expect("it can be written"));
            let event = Event::RunStarted { plan: outline(), sandbox: false, job: Job::default() };
            view.event(&Stamper::new("r1").stamp(jiff::Timestamp::default(), event));
            panic!("{CANARY}")
        }
        "in a task" => {
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
            runtime.block_on(async {
                let mut tasks = tokio::task::JoinSet::new();
                tasks.spawn(async { panic!("{CANARY}") });
                let joined = tasks.join_next().await.expect("one");
                assert!(joined.is_err());
            });
            Ok(Exit::TimedOut.into())
        }
        other => panic!("{other}"),
    });
    std::process::exit(code.0);
}

fn run(place: &str) -> (Output, PathBuf) {
    // Tests that run at once have files of their own.
    static RUNS: AtomicUsize = AtomicUsize::new(0);
    let number = RUNS.fetch_add(1, Ordering::Relaxed);
    let report = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("panic-{number}.json"));
    let _ = std::fs::remove_file(&report);
    let mut command = Command::new(std::env::current_exe().expect("this binary"));
    command.args(["as_a_process", "--exact", "--ignored", "--nocapture"]);
    command.env(WHERE, place).env(REPORT, &report).env("RUST_BACKTRACE", "full").env_remove("CLICOLOR_FORCE");
    (command.output().expect("it runs"), report)
}

#[test]
fn a_panic_is_one_line_without_its_message() {
    for (place, exit) in
        [("before a run", Exit::Unexpected), ("in a run", Exit::Unexpected), ("in a task", Exit::TimedOut)]
    {
        let (output, _) = run(place);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(i32::from(exit.code())), "{place}: {said}");
        let lines: Vec<&str> = said.lines().collect();
        assert_eq!(lines.len(), 2, "{place}: {said}");
        assert!(lines[0].starts_with("error: roleout ") && lines[0].contains("tests/panic.rs:"), "{place}: {said}");
        assert!(lines[1].starts_with("  help: this is a bug"), "{place}: {said}");
        assert!(!said.contains("canary"), "{place}: {said}");
    }
}

#[test]
fn a_run_that_panics_has_its_reports() {
    let (output, report) = run("in a run");
    let text = std::fs::read_to_string(&report).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    let report: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(report["targets"][0]["target"], "prod/eu-west-1/api");
    assert!(!text.contains("canary"));
}
