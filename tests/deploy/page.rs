//! The report as a page: what is in it before any script has run. In a browser it is tested by tests/html.

use roleout::base::exit::Exit;
use roleout::report::{Ending, Kind, Record, Report};
use serde_json::Value;

use crate::harness::{Ran, Scene};

fn report(ran: &Ran) -> Report {
    let mut record = Record::new();
    ran.events.iter().for_each(|event| record.apply(event));
    record.take_report()
}

fn page(report: &Report) -> String {
    Kind::Html.text(report).expect("a page")
}

/// Returns what the page's scripts are given.
fn data(page: &str) -> Value {
    let (_, rest) = page.split_once("<script type=\"application/json\" id=\"data\">").expect("data");
    let (data, _) = rest.split_once("</script>").expect("an end of the data");
    serde_json::from_str(data).expect("JSON")
}

#[tokio::test(start_paused = true)]
async fn the_page_says_the_verdict_and_each_reason_once_and_has_the_whole_report() {
    let waves = "rollout:\n  waves:\n    - { name: canary, select: { ring: canary }, bake: 1m }\n    \
                 - { name: rest, max_failures: 1, on_failure: rollback }\n";
    let ran = Scene::of(4, 2, waves).fault("a1/*/*=crash").deploy().await;
    assert_eq!(ran.code(), Exit::RolledBack, "{}", ran.said);
    let report = report(&ran);
    let page = page(&report);
    assert!(page.starts_with("<!doctype html>\n<html lang=\"en\">\n"), "{page}");
    assert!(page.contains("<span>targets failed and were rolled back</span></h1>"), "{page}");
    assert!(page.contains("<b>Halted</b> in wave <b>rest</b>: 2 failed, 1 allowed."), "{page}");
    assert_eq!(page.matches("<span>rolled back: app exits with 1</span>").count(), 1, "{page}");
    assert!(page.contains("<a href=\"#target=a1/eu-west-1/s0\">a1/eu-west-1/s0</a>"), "{page}");
    assert!(page.contains("app exited with 1"), "{page}");

    let data = data(&page);
    let targets = data["report"]["targets"].as_array().expect("targets");
    assert_eq!(targets.len(), 8);
    let failed = targets.iter().position(|target| target["target"] == "a1/eu-west-1/s0").expect("a target");
    let (target, whole) = (&targets[failed], &report.targets[failed]);
    assert_eq!(target["changes"][0], whole.changes[0].as_str());
    let last = target["events"].as_array().and_then(|events| events.last()).expect("events");
    let line = whole.events.last().expect("events");
    assert_eq!(last[1], line.text.as_str());
    let since = line.at.as_millisecond() - report.run.started_at.expect("a start").as_millisecond();
    assert_eq!(last[0], since);
    assert!(target.get("stage").is_none(), "what is absent is left out");
    assert_eq!(data["endings"]["rolled_back"]["failure"], true);
}

#[test]
fn a_report_of_nothing_and_one_of_hard_text_are_pages() {
    let mut report = Record::new().take_report();
    let none = page(&report);
    assert!(none.contains("<span>not over: the events end before the run does</span></h1>"), "{none}");
    assert!(!none.contains("<section id=\"targets\""), "there is no timeline of no target");

    let evil = "</script><script>alert(1)</script><!--\"'&";
    report.verdict.words = evil.to_owned();
    report.run.job.name = Some(evil.to_owned());
    report.run.job.url = Some("javascript:alert(1)".to_owned());
    report.totals.insert(Ending::Failed, 1);
    let page = page(&report);
    assert!(!page.contains("<script>alert") && !page.contains("href=\"javascript"), "{page}");
    assert_eq!(page.matches("<script").count(), 2, "{page}");
    assert!(page.contains("&lt;/script&gt;&lt;script&gt;alert(1)&lt;/script&gt;&lt;!--&quot;&#39;&amp;"), "{page}");
    assert_eq!(data(&page)["report"]["verdict"]["words"], evil);
}

#[tokio::test(start_paused = true)]
async fn cancelled_deployments_are_one_reason_whatever_their_ids() {
    let scene = Scene::of(3, 2, "rollout: { waves: [ { name: one, max_parallel: 2 } ] }\n");
    let cancel = async {
        tokio::time::sleep(std::time::Duration::from_secs(30)).await;
        scene.cancel.cancel(roleout::engine::cancel::Signal::Terminate);
    };
    let (ran, ()) = tokio::join!(scene.deploy(), cancel);
    assert_eq!(ran.code(), Exit::Terminated, "{}", ran.said);
    let page = page(&report(&ran));
    let why = "<span>detached: the run was cancelled; its deployment goes on in ECS</span></h3>\n<p class=\"of\">2 targets</p>";
    assert_eq!(page.matches(why).count(), 1, "{page}");
}
