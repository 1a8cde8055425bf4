//! What `--verbose` shows of the calls, and that what failed at AWS carries AWS's request id.

use std::collections::HashSet;

use roleout::event::Event;
use roleout::outputs::journal::Journal;
use roleout::outputs::reports::Reports;
use roleout::report::Kind;
use roleout::view::log::Filter;
use tracing::subscriber::set_default;

use crate::harness::{Directory, Ran, Scene, Shared};

/// Deploys, and returns the lines that so many `--verbose` show beside it.
async fn deploy_with(scene: &Scene, verbose: u8) -> (Ran, Vec<String>) {
    let shown = Shared::default();
    let filter = Filter::parse(verbose, None).expect("a filter").expect("something is shown");
    let guard = set_default(filter.subscriber(shown.clone()));
    let ran = scene.deploy().await;
    drop(guard);
    (ran, shown.text().lines().map(str::to_owned).collect())
}

/// Returns the value of a line's field.
fn field<'a>(line: &'a str, name: &str) -> &'a str {
    let start = line.find(&format!(" {name}=")).unwrap_or_else(|| panic!("{name} in {line}")) + name.len() + 2;
    line[start..].split(' ').next().unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn verbose_shows_one_line_for_each_request() {
    let scene = Scene::of(3, 2, "").fault("a1=throttle:1").fault("a2/*/s0=crash");
    let (ran, lines) = deploy_with(&scene, 1).await;
    let calls = scene.sandbox.calls();
    assert_eq!(lines.len() as u64, calls.total(), "{}\n{:?}", lines.join("\n"), calls.by_operation());
    assert!(calls.throttled > 0, "{}", ran.said);
    let first = lines[0].split("roleout::calls: ").nth(1).expect("a line of a call");
    let wanted = "STS AssumeRoleWithWebIdentity account=111111111111 region=eu-west-1 ms=";
    assert!(first.starts_with(wanted) && first.contains(" attempt=1 outcome=\"ok\" request_id="), "{first}");
    assert_eq!(field(first, "request_id").len(), 36, "{first}");
    for line in &lines {
        assert!(line.contains(" DEBUG roleout::calls: "), "{line}");
        let _: u64 = field(line, "ms").parse().expect(line);
    }
    for (operation, count) in calls.by_operation() {
        let of = |line: &&String| line.split("calls: ").nth(1).is_some_and(|it| it.contains(&format!(" {operation} ")));
        assert_eq!(lines.iter().filter(of).count() as u64, count, "{operation}");
    }
    let throttled: Vec<_> = lines.iter().filter(|line| line.contains("outcome=\"throttled: ")).collect();
    assert_eq!(throttled.len() as u64, calls.throttled);
    assert!(lines.iter().any(|line| field(line, "attempt") == "2"), "a retry is a line of its own");
}

#[tokio::test(start_paused = true)]
async fn what_the_sdk_logs_is_shown_at_the_second_verbose_alone_and_never_what_it_sends() {
    let scene = Scene::of(1, 1, "");
    let (_, lines) = deploy_with(&scene, 2).await;
    assert!(lines.iter().any(|line| line.contains("aws_smithy_runtime::client::orchestrator")), "{lines:?}");
    for word in
        ["x-amz-security-token", "authorization", "AWS4-HMAC-SHA256", "WebIdentityToken", "registry.example.com"]
    {
        let found = lines.iter().find(|line| line.to_lowercase().contains(&word.to_lowercase()));
        assert_eq!(found, None, "{word}");
    }
    let (_, lines) = deploy_with(&Scene::of(1, 1, ""), 1).await;
    assert!(lines.iter().all(|line| line.contains(" DEBUG roleout::calls: ")), "{lines:?}");
}

#[test]
fn a_filter_is_read_or_refused_with_an_example() {
    assert!(Filter::parse(0, None).expect("none").is_none());
    assert!(Filter::parse(0, Some(" ")).expect("none").is_none());
    assert!(Filter::parse(0, Some("roleout=debug,aws_smithy_runtime=debug")).expect("a filter").is_some());
    let error = Filter::parse(2, Some("roleout=loud")).expect_err("refused");
    assert_eq!(error.exit, roleout::base::exit::Exit::Usage);
    assert_eq!(error.message, "ROLEOUT_LOG is \"roleout=loud\", and not a filter of tracing");
    assert!(error.help[0].ends_with("as in ROLEOUT_LOG=roleout=debug,aws_smithy_runtime=debug"), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn what_failed_at_aws_carries_the_request_id_into_every_report() {
    let directory = Directory::new("request-ids");
    let rollout = "rollout: { max_failures: \"100%\", max_parallel: \"100%\" }\n";
    let scene = Scene::of(1, 30, rollout).fault("*=deny:ecs:UpdateService");
    let (fleet, choice, start) = (scene.fleet.clone(), scene.choice.clone(), scene.start.clone());
    let ran = scene
        .ran(async |reach, mut view| {
            view.record(Journal::open(&directory.0.join("journal.jsonl")).expect("a journal"));
            view.report(Reports::open(&[], Some(&directory.0), &Kind::ALL).expect("reports"));
            crate::runs::deploy(fleet, reach, choice, start, view, scene.cancel.clone()).await
        })
        .await;
    let id = |text: &str| {
        let (_, after) = text.split_once("(request id ").unwrap_or_else(|| panic!("no id in {text}"));
        after.split(')').next().unwrap_or_default().to_owned()
    };
    let ended = ran.events.iter().filter_map(|stamped| match &stamped.event {
        Event::RolloutFinished { reason: Some(reason), .. } => Some(id(&reason.summary)),
        _ => None,
    });
    let ids: HashSet<String> = ended.collect();
    assert_eq!(ids.len(), 30, "each target has the id of its own request: {}", ran.said);
    assert!(ids.contains(&id(&ran.said)), "{}", ran.said);
    let read = |name: &str| fs_err::read_to_string(directory.0.join(name)).expect("a report");
    for name in ["journal.jsonl", "report.json", "junit.xml", "report.md", "report.html"] {
        assert!(ids.contains(&id(&read(name))), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_keeps_a_run_from_starting_carries_the_request_id_once() {
    for fault in ["*=deny:ecs:DescribeServices", "*=packed"] {
        let error = Scene::of(1, 10, "").fault(fault).deploy().await.exit.expect_err("refused");
        assert_eq!(error.message.matches("(request id ").count(), 1, "{fault}: {}", error.message);
    }
}
