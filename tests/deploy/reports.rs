//! What remains of a run: every form of its report, the same when it is made again from the journal.

use std::io::{self, Write};
use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use roleout::base::exit::Exit;
use roleout::engine::cancel::Signal;
use roleout::event::{Stamped, TaskEnd};
use roleout::outputs::journal::Journal;
use roleout::outputs::reports::Reports;
use roleout::report::record::runs;
use roleout::report::{Ending, Kind, Record, Report, log};
use roleout::view::View;
use roleout::view::options::Options;
use schemars::generate::SchemaSettings;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::harness::{Directory, Ran, Scene, Shared, manifest};

/// Returns what the events of a run say.
fn report(ran: &Ran) -> Report {
    let mut record = Record::new();
    ran.events.iter().for_each(|event| record.apply(event));
    record.take_report()
}

/// How much is written, and how much of it at once.
#[derive(Default)]
struct Pieces {
    all: usize,
    largest: usize,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.all += bytes.len();
        self.largest = self.largest.max(bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn text(report: &Report, kind: Kind) -> String {
    kind.text(report).unwrap_or_else(|error| panic!("{kind:?}: {error}"))
}

/// Deploys with every report written to a directory, and a journal.
async fn deploy_to(scene: &Scene, directory: &Path) -> Ran {
    let (fleet, choice, start) = (scene.fleet.clone(), scene.choice.clone(), scene.start.clone());
    scene
        .ran(async |reach, mut view| {
            view.record(Journal::open(&directory.join("journal.jsonl")).expect("a journal"));
            view.report(Reports::open(&[], Some(&directory.join("out")), &Kind::ALL).expect("reports"));
            crate::runs::deploy(fleet, reach, choice, start, view, scene.cancel.clone()).await
        })
        .await
}

/// Asserts that the files of a run are what its journal makes, byte for byte, and returns the report.
fn held_against_the_journal(directory: &Path) -> Report {
    let journal = fs_err::read_to_string(directory.join("journal.jsonl")).expect("a journal");
    let (mut runs, foreign) = runs(&journal);
    assert_eq!(foreign, 0);
    let again = runs.pop().expect("a run").1.take_report();
    for kind in Kind::ALL {
        let written = fs_err::read_to_string(directory.join("out").join(kind.file())).expect("a report");
        let mut made = Vec::new();
        kind.write(&again, true, &mut made).unwrap_or_else(|error| panic!("{kind:?}: {error}"));
        let made = String::from_utf8(made).expect("text");
        assert!(written == made, "{} is not what the journal makes", kind.file());
    }
    let errors: Vec<String> = validator().iter_errors(&value(&again)).map(|error| error.to_string()).collect();
    assert_eq!(errors, Vec::<String>::new());
    again
}

fn value(report: &Report) -> Value {
    serde_json::from_str(&text(report, Kind::Json)).expect("JSON")
}

fn schema() -> Value {
    SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<Report>().to_value()
}

fn validator() -> jsonschema::Validator {
    jsonschema::validator_for(&schema()).expect("a schema")
}

/// Programs read the schema from the repository. `ROLEOUT_BLESS=1 cargo test --test deploy schema` writes it anew.
#[test]
fn the_schema_of_reports_in_the_repository_is_the_current_one() {
    const SCHEMA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/report.schema.json");
    let current = format!("{}\n", serde_json::to_string_pretty(&schema()).expect("a schema is JSON"));
    if std::env::var_os("ROLEOUT_BLESS").is_some() {
        fs_err::write(SCHEMA, &current).expect("the schema is written");
    }
    let stored = fs_err::read_to_string(SCHEMA).expect("docs/report.schema.json is there");
    assert!(stored == current, "docs/report.schema.json is out of date: run with ROLEOUT_BLESS=1");
    assert!(!validator().is_valid(&json!({ "version": 1 })));
}

#[tokio::test(start_paused = true)]
async fn a_run_with_failures_says_all_of_it_in_every_form() {
    let directory = Directory::new("reports-mixed");
    let waves = "rollout:\n  timeout: 30m\n  waves:\n    - { name: canary, select: { ring: canary }, bake: 1m }\n    \
                 - { name: rest, max_failures: 1, on_failure: rollback, max_parallel: [4, 100%] }\n";
    let scene = Scene::of(5, 2, waves).fault("a1/*/*=crash").fault("a2/*/s0=nopull");
    let ran = deploy_to(&scene, &directory.0).await;
    assert_eq!(ran.code(), Exit::RolledBack, "{}", ran.said);
    let report = held_against_the_journal(&directory.0);

    assert_eq!((report.verdict.exit_code, report.all(), report.failures()), (Some(11), 10, 3));
    assert_eq!(report.reasons.iter().map(|reason| reason.targets).sum::<usize>(), 7, "{:#?}", report.reasons);
    let of = |name: &str| report.targets.iter().find(|it| it.target.to_string() == name).expect("a target");
    let failed = of("a1/eu-west-1/s0");
    assert_eq!((failed.outcome, failed.outcome.words()), (Ending::RolledBack, "rolled back"));
    assert!(failed.started_at < failed.registered_at && failed.registered_at <= failed.deployed_at, "{failed:#?}");
    assert!(failed.deployed_at < failed.ended_at && failed.baked_at.is_none(), "{failed:#?}");
    let last = failed.events.last().map(|line| line.text.as_str()).unwrap_or_default();
    assert!(last.starts_with("rolled back after "), "{:#?}", failed.events);
    assert!(of("a0/eu-west-1/s0").baked_at.is_some());
    assert_eq!(failed.changes, ["app: image registry.example.com/s0:previous -> registry.example.com/s0:v2"]);
    assert!(failed.console.starts_with("https://eu-west-1.console.aws.amazon.com/ecs/v2/clusters/main/services/s0/"));
    assert_eq!(report.waves[1].halted_by.as_ref().map(|it| &*it.account), Some("a1"));

    let junit = text(&report, Kind::Junit);
    assert!(junit.contains("<testsuite name=\"rest / a1\" tests=\"2\""), "{junit}");
    assert!(junit.contains("<testcase name=\"main/s0 (eu-west-1)\" classname=\"rest / a1\""), "{junit}");
    assert!(junit.contains("type=\"rolled back\">rolled back: "), "{junit}");
    assert!(junit.contains("<skipped>not started: ") && junit.contains("because of a1/eu-west-1/s0"), "{junit}");
    assert!(junit.contains("app exited with 1"), "{junit}");

    assert_eq!(text(&report, Kind::Terraform), "{\"create\":0,\"update\":10,\"delete\":0}\n");
    let dotenv = text(&report, Kind::Dotenv);
    assert!(dotenv.starts_with("DEPLOY_RESULT=rolled_back\nDEPLOY_EXIT_CODE=11\nDEPLOY_RUN="), "{dotenv}");
    assert!(
        dotenv.ends_with("DEPLOY_FAILED=3\nDEPLOY_FAILED_TARGETS=a1/eu-west-1/s0,a1/eu-west-1/s1,a2/eu-west-1/s0\n"),
        "{dotenv}"
    );

    let links: Value = serde_json::from_str(&text(&report, Kind::Annotations)).expect("JSON");
    let first = &links["Failed targets: console"][0]["external_link"];
    assert_eq!(first, &json!({ "label": "a1/eu-west-1/s0 (rolled back)", "url": failed.console }));
    assert_eq!(links["Failed targets: logs"][2]["external_link"]["url"], json!(of("a2/eu-west-1/s0").logs));

    let markdown = text(&report, Kind::Markdown);
    assert!(
        markdown.starts_with("### :x: roleout: targets failed and were rolled back (exit code 11)\n"),
        "{markdown}"
    );
    assert!(markdown.contains(" | halted by <code>a1/eu-west-1/s0</code> | "), "{markdown}");
    assert!(markdown.find("**rolled back**").expect("failures") < markdown.find("<details>").expect("a table"));

    let token = scene.token.expose_secret();
    for kind in Kind::ALL {
        assert!(!text(&report, kind).contains(token), "{kind:?} holds the token");
    }
    let log = fs_err::read_to_string(directory.0.join("out/log/a1/eu-west-1/main.s0.log")).expect("a log");
    assert!(log.starts_with("a1/eu-west-1/s0 in wave rest: rolled back\n"), "{log}");
    assert!(log.contains(" deploys s0:10 as ecs-svc/") && log.contains("app exited with 1"), "{log}");
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_run_says_what_goes_on() {
    let directory = Directory::new("reports-cancelled");
    let scene = Scene::of(3, 2, "rollout: { waves: [ { name: one, max_parallel: 2 } ] }\n");
    let cancel = async {
        tokio::time::sleep(Duration::from_secs(30)).await;
        scene.cancel.cancel(Signal::Terminate);
    };
    let (ran, ()) = tokio::join!(deploy_to(&scene, &directory.0), cancel);
    assert_eq!(ran.code(), Exit::Terminated, "{}", ran.said);
    let report = held_against_the_journal(&directory.0);
    assert_eq!(report.verdict.cancelled.as_deref(), Some("SIGTERM"));
    assert_eq!(report.counts(), "4 cancelled, 2 detached");
    let junit = text(&report, Kind::Junit);
    assert!(junit.contains("<error ") && junit.contains("type=\"detached\""), "{junit}");
    assert_eq!(junit.matches("<skipped>cancelled").count(), 4, "{junit}");
    assert!(text(&report, Kind::Dotenv).starts_with("DEPLOY_RESULT=cancelled\nDEPLOY_EXIT_CODE=143\n"));
}

#[tokio::test(start_paused = true)]
async fn a_refused_run_has_reports_that_say_so() {
    let directory = Directory::new("reports-refused");
    let scene = Scene::of(2, 2, "").fault("a1/*/s1=deny:ecs:DescribeServices");
    let ran = deploy_to(&scene, &directory.0).await;
    let error = ran.exit.clone().expect_err("it is refused");
    let report = held_against_the_journal(&directory.0);
    assert_eq!(report.verdict.exit_code, Some(error.exit.code()));
    let refused = report.verdict.refused.as_ref().expect("it says why");
    assert_eq!(refused.message, error.message.lines().collect::<Vec<_>>());
    assert!(report.counts().contains("blocked") && report.counts().contains("not started"), "{}", report.counts());
    let junit = text(&report, Kind::Junit);
    assert!(junit.contains("<testcase name=\"preflight\" classname=\"roleout\""), "{junit}");
    assert!(junit.contains("nothing was changed") && junit.contains("type=\"blocked\""), "{junit}");
    assert!(text(&report, Kind::Markdown).contains("\n```text\npreflight failed:\n"), "{junit}");
    assert!(text(&report, Kind::Dotenv).starts_with("DEPLOY_RESULT=refused\nDEPLOY_EXIT_CODE=4\n"));
    assert_eq!((ran.state.exit(), ran.events.len()), (error.exit, 1));
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_breaks_off_makes_a_report_of_what_is_known() {
    let scene = Scene::of(2, 1, "rollout: { waves: [ { name: one, max_parallel: 1 } ] }\n");
    let ran = scene.deploy().await;
    let lines: Vec<String> =
        ran.events.iter().map(|event| serde_json::to_string(event).expect("JSON")).take(6).collect();
    let (mut runs, foreign) = runs(&format!("{}\n{{\"version\":1", lines.join("\n")));
    assert_eq!(foreign, 1);
    let report = runs.pop().expect("a run").1.take_report();
    assert_eq!((report.verdict.exit_code, report.counts()), (None, "1 waiting, 1 under way".to_owned()));
    assert_eq!(report.verdict.words, "not over: the events end before the run does");
    assert!(text(&report, Kind::Junit).contains("type=\"under way\""));
    assert!(text(&report, Kind::Dotenv).starts_with("DEPLOY_RESULT=unknown\nDEPLOY_EXIT_CODE=\n"));
}

#[tokio::test(start_paused = true)]
async fn a_rollback_and_an_unchanged_fleet_have_reports() {
    let scene = Scene::of(1, 2, "");
    assert_eq!(scene.deploy().await.code(), Exit::Done);
    let again = report(&scene.planning().deploy().await);
    assert_eq!((again.verdict.words.as_str(), again.counts().as_str()), ("nothing to do", "2 unchanged"));
    assert_eq!(text(&again, Kind::Annotations), "{}\n");
    assert_eq!(text(&again, Kind::Terraform), "{\"create\":0,\"update\":0,\"delete\":0}\n");
    assert!(again.targets.iter().all(|it| it.ended_at.is_none() && it.elapsed_ms.is_none()), "{:#?}", again.targets);
    scene.sandbox.forget_calls();
    let (fleet, choice, start) = (scene.fleet.clone(), scene.choice.clone(), scene.start.clone());
    let back = scene
        .ran(async |reach, view| {
            crate::runs::roll_back(
                fleet,
                reach,
                choice,
                crate::harness::everything(),
                start,
                view,
                scene.cancel.clone(),
            )
            .await
        })
        .await;
    assert_eq!(report(&back).counts(), "2 succeeded", "{}", back.said);
}

#[tokio::test(start_paused = true)]
async fn the_shards_of_a_fleet_make_the_report_of_one_run() {
    let rollout =
        "rollout: { timeout: 30m, waves: [ { name: a, select: { ring: canary } }, { name: b, max_failures: 9 } ] }\n";
    let scene = || Scene::of(4, 2, rollout).fault("a1/*/s0=crash").fault("a3/*/s0=crash");
    let whole = report(&scene().deploy().await);
    let mut parts = Vec::new();
    for accounts in [["a0", "a1"], ["a2", "a3"]] {
        let mut scene = scene();
        let kept: Vec<bool> =
            scene.fleet.targets.iter().map(|target| accounts.contains(&&*target.id.account)).collect();
        scene.fleet = scene.fleet.clone().retain(&kept);
        parts.push(report(&scene.deploy().await));
    }
    let merged = Report::merge(parts).expect("a report");
    let told = |report: &Report| -> Vec<(String, &'static str, Option<String>)> {
        let told = |target: &roleout::report::Target| {
            let why = report.reason(target).map(|reason| reason.summary.clone());
            (target.target.to_string(), target.outcome.words(), why)
        };
        let mut told: Vec<_> = report.targets.iter().map(told).collect();
        told.sort();
        told
    };
    assert_eq!(told(&merged), told(&whole));
    assert_eq!((&merged.totals, merged.verdict.exit_code), (&whole.totals, whole.verdict.exit_code));
    assert_eq!(merged.reasons, whole.reasons);
    let waves = |report: &Report| -> Vec<_> {
        report.waves.iter().map(|wave| (wave.name.clone(), wave.changing, wave.totals.clone(), wave.passed)).collect()
    };
    assert_eq!(waves(&merged), waves(&whole));
    assert_eq!((merged.parts.len(), merged.run.ended_at.is_some()), (2, true));
    assert!(validator().is_valid(&value(&merged)));
}

/// The events of 5,000 targets, made once.
static LARGE: LazyLock<Vec<Stamped>> = LazyLock::new(|| failing(5_000));

/// The events of so many targets of which every second failed, each with a reason of its own, and names that are hard to write.
fn failing(targets: usize) -> Vec<Stamped> {
    let scene_report = |number: usize| {
        json!({
            "target": format!("konto-{:03}/eu-west-1/dienst-{number}", number / 20), "account_id": "111122223333",
            "cluster": "main", "service": format!("dienst-{number}"), "wave": "rest", "action": { "kind": "register" },
            "from": format!("dienst-{number}:1"), "to": null, "summary": ["container app image: a -> b"],
        })
    };
    let changes: Vec<Value> = (0..targets).map(scene_report).collect();
    let wave = json!({
        "name": "rest", "targets": targets, "changing": targets, "max_parallel": "100%", "max_failures": targets,
        "worst_case_failures": targets, "bake_seconds": 0, "gate": false,
    });
    let plan = json!({ "waves": [wave], "changes": changes });
    let mut events = vec![json!({ "kind": "run_started", "plan": plan, "sandbox": false })];
    for change in &changes {
        let target = &change["target"];
        let number: usize = target.as_str().and_then(|it| it.rsplit('-').next()?.parse().ok()).expect("a number");
        events.push(json!({ "kind": "rollout_started", "target": target }));
        let (revision, deployment) = (format!("dienst-{number}:2"), format!("ecs-svc/{number:019}"));
        events.push(json!({ "kind": "deployment_started", "target": target, "deployment": deployment,
                            "revision": revision, "attached": false }));
        for running in 0..6 {
            let tasks = json!({ "desired": 6, "running": running, "pending": 6 - running, "failed": 0 });
            events.push(json!({ "kind": "tasks_changed", "target": target, "tasks": tasks }));
        }
        let log: Vec<String> =
            (0..20).map(|line| format!("line {line} \u{1b}[31m<panic> {}", "x".repeat(150))).collect();
        let evidence = json!([{ "text": format!("exit {number} ]]> {}", "y".repeat(400)), "tasks": 3, "log": log }]);
        let reason = json!({ "summary": format!("tasks failed & <stopped> {number}\n\u{0}\u{fffe}"),
                             "evidence": evidence, "help": "look" });
        let failed = number % 2 == 1;
        events.push(json!({ "kind": "rollout_finished", "target": target,
                            "outcome": if failed { "failed" } else { "succeeded" },
                            "reason": if failed { reason } else { Value::Null }, "revision": revision }));
    }
    events.push(json!({ "kind": "run_finished" }));
    stamped(events)
}

/// The events of one run, a thousand a second.
fn stamped(events: Vec<Value>) -> Vec<Stamped> {
    let stamped = |(seq, event): (usize, Value)| {
        let at = jiff::Timestamp::from_second(1_793_610_000 + seq as i64 / 1_000).expect("a time");
        let stamped = json!({ "version": 1, "run": "r1", "seq": seq, "at": at, "event": event });
        serde_json::from_value(stamped).expect("an event")
    };
    events.into_iter().enumerate().map(stamped).collect()
}

#[test]
fn the_log_of_a_target_has_every_event_and_the_page_the_first_and_the_last() {
    let mut events = failing(20);
    let target = "konto-000/eu-west-1/dienst-1";
    let said = (0..500)
        .map(|number| json!({ "kind": "service_message", "target": target, "text": format!("said {number}.") }));
    let after = events.len() - 1;
    events.splice(after..after, stamped(said.collect()));
    let mut record = Record::new();
    events.iter().for_each(|event| record.apply(event));
    let mut report = record.take_report();
    report.targets.truncate(2);
    let written = log::text(&report, &report.targets[1]);
    assert_eq!(written.matches("said ").count(), 500, "{written}");
    let (whole, page) = (report.targets[1].events.len(), text(&report, Kind::Html));
    assert!(page.contains("said 499.") && !page.contains("said 300."));
    assert!(page.contains(&format!("\"events_left_out\":{}", whole - 120)));
    assert_eq!(page.matches("events_left_out\":").count(), 1, "the other target has all of its few");
}

#[test]
fn five_thousand_targets_stay_within_the_limits_of_gitlab() {
    let mut record = Record::new();
    LARGE.iter().for_each(|event| record.apply(event));
    let report = record.take_report();
    assert_eq!((report.all(), report.failures()), (5_000, 2_500));
    let junit = text(&report, Kind::Junit);
    assert!(junit.len() < 30_000_000, "{} bytes", junit.len());
    assert_eq!(junit.matches("<testcase ").count(), 5_000);
    let allowed = |char: char| char == '\n' || (char >= ' ' && char != '\u{fffe}');
    assert!(junit.chars().all(allowed), "what XML cannot hold is left out");
    let markdown = text(&report, Kind::Markdown);
    assert!(markdown.chars().count() < 1_000_000, "{} characters", markdown.chars().count());
    assert!(markdown.contains("more** of this kind") && markdown.ends_with("</details>\n"));
    let dotenv = text(&report, Kind::Dotenv);
    assert!(dotenv.len() < 5_120 && dotenv.lines().count() < 20, "{dotenv}");
    assert!(dotenv.trim_end().ends_with("_more"), "{dotenv}");
    let annotations = text(&report, Kind::Annotations);
    assert!(annotations.len() < 50_000, "{} bytes", annotations.len());
    assert_eq!(text(&report, Kind::Terraform), "{\"create\":0,\"update\":5000,\"delete\":0}\n");
    // Its pieces are small: the megabytes are never there as a whole.
    for kind in [Kind::Json, Kind::Html] {
        let mut pieces = Pieces::default();
        kind.write(&report, true, &mut pieces).expect("it takes everything");
        assert!((1_000_000..30_000_000).contains(&pieces.all), "{kind:?}: {} bytes", pieces.all);
        assert!(pieces.largest < 100_000, "{kind:?}: {} bytes at once", pieces.largest);
    }
}

/// A section of a log: its name, its marker's options, its header and its lines.
type Section<'a> = (&'a str, &'a str, &'a str, Vec<&'a str>);

/// Reads a log as GitLab does, and fails where a section is not whole before the next begins.
fn sections(log: &str) -> Vec<Section<'_>> {
    let mut sections: Vec<Section<'_>> = Vec::new();
    let mut open: Option<&str> = None;
    for line in log.split('\n') {
        if let Some(marker) = line.strip_prefix("\x1b[0Ksection_start:") {
            assert_eq!(open, None, "{log}");
            let (marker, header) = marker.split_once("\r\x1b[0K").expect("a whole marker");
            let (time, name) = marker.split_once(':').expect("a time");
            assert!(time.parse::<u64>().is_ok(), "{line}");
            let (name, options) = name.find('[').map_or((name, ""), |at| name.split_at(at));
            assert!(name.chars().all(|it| it.is_ascii_alphanumeric() || "_.-".contains(it)), "{name}");
            sections.push((name, options, header, Vec::new()));
            open = Some(name);
        } else if let Some(marker) = line.strip_prefix("\x1b[0Ksection_end:") {
            let name = marker.strip_suffix("\r\x1b[0K").and_then(|it| it.split_once(':')).expect("a whole marker").1;
            assert_eq!(open.take(), Some(name), "{log}");
        } else {
            assert!(!line.contains("section_") && !line.contains('\r'), "{line}");
            if open.is_some() {
                sections.last_mut().expect("one is open").3.push(line);
            }
        }
    }
    assert_eq!(open, None);
    let mut names: Vec<_> = sections.iter().map(|section| section.0).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), sections.len(), "every name is its own");
    sections
}

#[tokio::test(start_paused = true)]
async fn a_folded_log_has_one_whole_section_for_each_target_and_failures_are_open() {
    let rollout =
        "rollout: { timeout: 30m, on_failure: rollback, rollback_scope: wave, waves: [ { name: all, bake: 1m } ] }\n";
    let scene = Scene::of(3, 2, rollout).fault("a1/*/s0=crash");
    let (fleet, choice, start) = (scene.fleet.clone(), scene.choice.clone(), scene.start.clone());
    let ran = scene
        .ran(async |reach, mut view| {
            view.fold();
            crate::runs::deploy(fleet, reach, choice, start, view, scene.cancel.clone()).await
        })
        .await;
    let sections = sections(&ran.said);
    let of = |name: &str| sections.iter().filter(|section| section.0.starts_with(name)).collect::<Vec<_>>();
    let [(_, options, header, lines)] = of("roleout_a1_eu-west-1_s0")[..] else { panic!("{}", ran.said) };
    assert!(options.is_empty() && header.contains("✖ rolled back after "), "{header}");
    assert!(lines.iter().any(|line| line.contains("app exited with 1")), "{lines:#?}");
    let [first, second] = of("roleout_a0_eu-west-1_s0")[..] else { panic!("{}", ran.said) };
    assert_eq!((first.1, second.1, second.0), ("[collapsed=true]", "", "roleout_a0_eu-west-1_s0-2"));
    assert!(first.2.contains("✔ succeeded in ") && second.2.contains("✖ rolled back"), "{first:?} {second:?}");
    assert!(first.3.iter().any(|line| line.contains("PRIMARY s0:")), "{first:?}");
    assert!(ran.said.contains("wave all (1 of 1)") && ran.said.contains("still running: "), "{}", ran.said);
}

#[test]
fn five_thousand_targets_stay_below_the_cap_of_a_log() {
    let err = Shared::default();
    let mut view = View::new(Options::default(), Box::new(std::io::sink()), Box::new(err.clone()));
    view.fold();
    LARGE.iter().for_each(|event| view.event(event));
    view.finish();
    let said = err.text();
    assert!(said.len() < 4 * 1024 * 1024, "{} bytes", said.len());
    let whole = sections(&said);
    assert!(whole.iter().any(|section| section.1.is_empty()), "failures are kept");
    assert_eq!(said.matches("GitLab cuts a job's log at 4 MB").count(), 2, "of those that succeed, then of all");
    let failed = said.lines().filter(|line| line.contains("✖ failed after ")).count();
    assert_eq!(failed, 2_500, "each failure has its line");
}

#[tokio::test(start_paused = true)]
async fn a_report_that_cannot_be_written_is_a_warning_and_changes_no_exit_code() {
    let directory = Directory::new("reports-unwritable");
    let scene = Scene::of(1, 1, "").quick();
    let (fleet, choice, start) = (scene.fleet.clone(), scene.choice.clone(), scene.start.clone());
    let out = directory.0.join("out");
    let ran = scene
        .ran(async |reach, mut view| {
            view.report(Reports::open(&[], Some(&out), &Kind::ALL).expect("reports"));
            fs_err::remove_dir_all(&out).expect("removed");
            fs_err::write(&out, "in the way").expect("written");
            crate::runs::deploy(fleet, reach, choice, start, view, scene.cancel.clone()).await
        })
        .await;
    assert_eq!(ran.code(), Exit::Done, "{}", ran.said);
    assert!(ran.said.contains("warning: the junit report was not written: "), "{}", ran.said);
    assert!(ran.said.contains("warning: the logs of the targets are not complete: "), "{}", ran.said);
}

#[tokio::test(start_paused = true)]
async fn each_target_has_a_log_of_its_own_whatever_its_name_is_and_one_that_cannot_be_written_is_missed_alone() {
    let directory = Directory::new("reports-names");
    let mut report = report(&Scene::of(3, 2, "").quick().deploy().await);
    report.targets[0].ecs_service = "a".repeat(255);
    report.targets[0].cluster = "b".repeat(255);
    report.targets[1].ecs_service = format!("{}c", "a".repeat(254));
    report.targets[1].cluster = "b".repeat(255);
    // One file where `A` is `a`, or where all that is no letter is `_`.
    report.targets[2].ecs_service = "Web".into();
    report.targets[3].ecs_service = "web".into();
    report.targets[4].ecs_service = "決済".into();
    report.targets[5].account = format!("../{}", "決".repeat(100));
    let paths = log::paths(&report.targets);
    assert_eq!(paths[4], "log/a2/eu-west-1/main.決済.log");
    assert!(paths[2].starts_with("log/a1/eu-west-1/main.Web-") && paths[2].len() == paths[3].len(), "{paths:#?}");
    assert!(paths[5].starts_with("log/_.._決") && !paths[5].contains("/../"), "{paths:#?}");
    let unique: std::collections::HashSet<String> = paths.iter().map(|path| path.to_lowercase()).collect();
    assert_eq!(unique.len(), 6);
    let out = directory.0.join("out");
    let mut reports = Reports::open(&[], Some(&out), &Kind::ALL).expect("reports");
    fs_err::create_dir_all(out.join(&paths[1])).expect("something in the way");
    reports.write_report(&report);
    let faults = reports.take_faults();
    assert_eq!(faults.len(), 1, "{faults:#?}");
    assert!(
        faults[0].starts_with("the logs of the targets are not complete: 1 of 6 could not be written: "),
        "{faults:#?}"
    );
    let written = paths.iter().filter(|path| out.join(path).is_file()).count();
    assert_eq!(written, 5, "{paths:#?}");
}

#[tokio::test(start_paused = true)]
async fn variables_keep_letters_of_any_script_within_their_bytes() {
    let mut report = report(&Scene::of(2, 1, "rollout: { max_failures: 2 }\n").fault("*=crash").deploy().await);
    let names = ["決済/eu-west-1/注文-処理".to_owned(), format!("a;$(b)/eu-west-1/{}", "語".repeat(300))];
    for (target, name) in report.targets.iter_mut().zip(names) {
        target.target = name.try_into().expect("a target's name");
    }
    let dotenv = text(&report, Kind::Dotenv);
    let list = dotenv.lines().find_map(|line| line.strip_prefix("DEPLOY_FAILED_TARGETS=")).expect("a list");
    let (first, second) = list.split_once(',').expect("two targets");
    assert_eq!(first, "決済/eu-west-1/注文-処理");
    assert!(second.starts_with("a___b_/eu-west-1/語語") && (498..=500).contains(&second.len()), "{second}");
}

#[tokio::test(start_paused = true)]
async fn tasks_around_a_deployment_are_in_the_report() {
    let before = "    cluster: main\n    before: [ { run_task: migrate, container: app, command: [./migrate] } ]\n";
    let text_of = manifest(2, 1, "rollout: { timeout: 30m, max_failures: 1 }\n").replace("    cluster: main\n", before);
    let ran = Scene::new(&text_of).fault("a1/*/s0=task-fails").deploy().await;
    let report = report(&ran);
    assert_eq!(report.counts(), "1 succeeded, 1 failed", "{}", ran.said);
    let ends: Vec<Vec<_>> =
        report.targets.iter().map(|it| it.run_tasks.iter().map(|task| task.end).collect()).collect();
    assert_eq!(ends, [vec![Some(TaskEnd::Succeeded)], vec![Some(TaskEnd::Failed)]]);
    assert!(report.targets.iter().all(|it| it.run_tasks[0].ended_at > Some(it.run_tasks[0].started_at)));
    assert!(text(&report, Kind::Junit).contains("type=\"failed\">failed: the task migrate"), "{}", ran.said);
    assert!(validator().is_valid(&value(&report)));
}

/// Two accounts whose deployment has stages and a PAUSE hook, and one that is ROLLING.
fn with_stages() -> Scene {
    let settings = "    cluster: main\n    deployment:\n      strategy: CANARY\n      bake_time_in_minutes: 5\n      \
                    canary_configuration: { canary_percent: 10, canary_bake_time_in_minutes: 10 }\n      \
                    lifecycle_hooks: [ { target_type: PAUSE, lifecycle_stages: [POST_TEST_TRAFFIC_SHIFT], \
                    timeout: { timeout_in_minutes: 15, action: CONTINUE } } ]\n";
    let rolling = "    overrides: [ { select: { ring: canary }, deployment: { strategy: ROLLING } } ]\n";
    let text = manifest(3, 1, "rollout: { timeout: 2h }\n");
    Scene::new(&text.replace("    cluster: main\n", &format!("{settings}{rolling}")))
}

#[tokio::test(start_paused = true)]
async fn the_course_of_a_deployment_is_in_the_report_and_the_page() {
    let directory = Directory::new("reports-stages");
    let ran = deploy_to(&with_stages(), &directory.0).await;
    assert_eq!(ran.code(), Exit::Done, "{}", ran.said);
    let report = held_against_the_journal(&directory.0);
    let [rolling, canary, _] = &report.targets[..] else { panic!("{}", report.counts()) };
    assert_eq!((rolling.stages.len(), rolling.pauses.len()), (0, 0));
    let written = value(&report);
    assert_eq!(written["targets"][0].get("stages"), None, "ROLLING has none");

    let names: Vec<&str> = canary.stages.iter().map(|stage| stage.name.as_str()).collect();
    let wanted = [
        "PRE_SCALE_UP",
        "SCALE_UP",
        "POST_SCALE_UP",
        "TEST_TRAFFIC_SHIFT",
        "POST_TEST_TRAFFIC_SHIFT",
        "PRODUCTION_TRAFFIC_SHIFT",
        "PRODUCTION_TRAFFIC_SHIFT",
        "POST_PRODUCTION_TRAFFIC_SHIFT",
        "BAKE_TIME",
        "CLEAN_UP",
    ];
    assert_eq!(names, wanted);
    let ends = canary.stages.iter().map(|stage| stage.ended_at);
    let next = canary.stages.iter().skip(1).map(|stage| Some(stage.started_at)).chain([canary.rolled_out_at]);
    assert!(ends.eq(next), "each ends where the next begins: {:#?}", canary.stages);
    let step = &canary.stages[5];
    assert_eq!((step.production_percent, step.bake_minutes), (Some(10.0), 10));
    let [pause] = &canary.pauses[..] else { panic!("{:#?}", canary.pauses) };
    let waited = pause.ended_at.expect("an end").duration_since(pause.started_at).as_secs();
    assert!((840..960).contains(&waited), "{waited} s");
    assert_eq!(pause.stage.as_deref(), Some("POST_TEST_TRAFFIC_SHIFT"));
    let status = (pause.status.as_deref(), pause.timeout_action.as_deref());
    assert_eq!(status, (Some("TIMED_OUT"), Some("CONTINUE")));

    let page = text(&report, Kind::Html);
    let start = report.run.started_at.expect("a start").as_millisecond();
    let since = |at: jiff::Timestamp| at.as_millisecond() - start;
    let (from, to) = (since(step.started_at), since(step.ended_at.expect("an end")));
    assert!(page.contains(&format!("[{from},{to},\"PRODUCTION_TRAFFIC_SHIFT\",10.0,100.0,10]")), "{page}");
    assert_eq!(page.matches("\"pauses\":[[").count(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_last_stage_is_over_when_the_tasks_after_the_deployment_begin() {
    let settings = "    cluster: main\n    deployment: { strategy: BLUE_GREEN, bake_time_in_minutes: 1 }\n    \
                    before: [ { run_task: migrate } ]\n    after: [ { run_task: smoke } ]\n";
    let text_of = manifest(2, 1, "rollout: { timeout: 2h }\n").replace("    cluster: main\n", settings);
    let ran = Scene::new(&text_of).deploy().await;
    assert_eq!(ran.code(), Exit::Done, "{}", ran.said);
    let report = report(&ran);
    for target in &report.targets {
        let (last, smoke) = (target.stages.last().expect("stages"), target.run_tasks.last().expect("a task"));
        assert_eq!((last.name.as_str(), smoke.name.as_str()), ("CLEAN_UP", "smoke"));
        assert_eq!(last.ended_at, Some(smoke.started_at));
        assert!(smoke.ended_at > Some(smoke.started_at) && target.rolled_out_at >= smoke.ended_at, "{target:#?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_merged_report_has_the_courses_of_its_parts() {
    let scene = with_stages();
    let whole = report(&scene.deploy().await);
    let mut parts = Vec::new();
    for accounts in [&["a0", "a1"][..], &["a2"]] {
        let mut scene = with_stages();
        let kept: Vec<bool> =
            scene.fleet.targets.iter().map(|target| accounts.contains(&&*target.id.account)).collect();
        scene.fleet = scene.fleet.clone().retain(&kept);
        parts.push(report(&scene.deploy().await));
    }
    let merged = Report::merge(parts.clone()).expect("a report");
    let courses = |report: &Report| -> Vec<_> {
        report.targets.iter().map(|it| (it.target.clone(), it.stages.clone(), it.pauses.clone())).collect()
    };
    assert_eq!(courses(&merged), parts.iter().flat_map(courses).collect::<Vec<_>>());
    let names = |report: &Report| -> Vec<Vec<String>> {
        report.targets.iter().map(|it| it.stages.iter().map(|stage| stage.name.clone()).collect()).collect()
    };
    assert_eq!(names(&merged), names(&whole));
    assert!(validator().is_valid(&value(&merged)));
}

#[tokio::test(start_paused = true)]
async fn a_deployment_that_is_left_at_a_hook_is_left_waiting_in_the_report() {
    let directory = Directory::new("reports-waiting");
    let mut scene = with_stages();
    scene.fleet.targets.iter_mut().for_each(|target| target.timeout = Duration::from_secs(480));
    let ran = deploy_to(&scene, &directory.0).await;
    assert_eq!(ran.code(), Exit::TimedOut, "{}", ran.said);
    let report = held_against_the_journal(&directory.0);
    let waits = &report.targets[1];
    assert_eq!((waits.outcome, waits.pauses.len()), (Ending::TimedOut, 1));
    let pause = &waits.pauses[0];
    assert_eq!((pause.ended_at, pause.status.as_deref()), (None, None));
    assert!(pause.expires_at.is_some() && waits.stages.last().is_some_and(|stage| stage.ended_at.is_none()));
}
