//! The run as JUnit's XML, for `artifacts:reports:junit`.
//!
//! GitLab shows a case's class name as its suite, its name, its time, and the content of its `failure`, `error` or
//! `skipped`; of cases with the same class and name it takes the first. So the class is `wave / account`, the name is
//! `cluster/service (region)`, and what there is to say stands in the content. A log stands at the first case of its cause
//! only, which keeps 5,000 failures below GitLab's 30 MB a file. It is valid by the schema that Jenkins published, which
//! knows no attributes of `skipped`, and no count of it at the root.

use std::collections::HashSet;
use std::time::Duration;

use indexmap::IndexMap;
use quick_junit::{NonSuccessKind, Report as Document, TestCase, TestCaseStatus, TestSuite};

use crate::base::text;
use crate::report::{Ending, Report, Target};

/// The most bytes of what one case says, as they stand in the file.
const CONTENT: usize = 3_000;
/// The most bytes of its summary.
const SUMMARY: usize = 1_000;

/// Returns the document.
///
/// # Errors
/// The XML cannot be written.
pub fn text(report: &Report) -> Result<String, String> {
    let mut document = Document::new("roleout");
    document.set_time(Duration::from_millis(report.run.elapsed_ms));
    if let Some(refused) = &report.verdict.refused {
        let mut lines = refused.message.clone();
        lines.extend(refused.help.iter().map(|help| format!("help: {help}")));
        let summary = refused.message.first().map_or("", String::as_str);
        let status = with_message(TestCaseStatus::non_success(NonSuccessKind::Failure), "refused", summary, &lines);
        document.add_test_suite(suite("roleout", vec![case("preflight", "roleout", status, None)]));
    }
    let mut suites: IndexMap<String, Vec<&Target>> = IndexMap::new();
    for target in &report.targets {
        suites.entry(clean(&format!("{} / {}", target.wave, target.account))).or_default().push(target);
    }
    let mut logged = HashSet::new();
    for (name, targets) in suites {
        let mut names = HashSet::new();
        let cases = targets.iter().map(|target| {
            let mut place = clean(&target.label());
            if !names.insert(place.clone()) {
                place = format!("{place} [{}]", clean(&target.target.to_string()));
            }
            let log = target.reason.is_some_and(|reason| logged.insert(reason));
            case(&place, &name, status(report, target, log), target.elapsed_ms)
        });
        let cases = cases.collect();
        document.add_test_suite(suite(&name, cases));
    }
    let text = document.to_string().map_err(|error| error.to_string())?;
    Ok(text.replacen(&format!(" skipped=\"{}\"", document.skipped), "", 1))
}

/// Returns a text without what a terminal could obey, and without the two characters besides that XML cannot hold.
fn clean(text: &str) -> String {
    text::clean(text).chars().filter(|char| !matches!(char, '\u{fffe}' | '\u{ffff}')).collect()
}

/// Returns how many bytes a text takes in XML, where some characters are written as `&quot;` and the like.
fn size(text: &str) -> usize {
    text.chars().map(written).sum()
}

fn written(char: char) -> usize {
    if matches!(char, '<' | '>' | '&' | '\'' | '"') || char.is_control() { "&quot;".len() } else { char.len_utf8() }
}

/// Returns as much of a text as takes so many bytes in XML.
fn shortened(text: &str, most: usize) -> String {
    let mut left = most;
    let is_too_much = |(_, char): &(usize, char)| {
        let is_too_much = written(*char) > left;
        left = left.saturating_sub(written(*char));
        is_too_much
    };
    match text.char_indices().find(is_too_much) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn suite(name: &str, cases: Vec<TestCase>) -> TestSuite {
    let mut suite = TestSuite::new(name);
    suite.set_time(cases.iter().filter_map(|case| case.time).sum());
    suite.add_test_cases(cases);
    suite
}

fn case(name: &str, class: &str, status: TestCaseStatus, elapsed_ms: Option<u64>) -> TestCase {
    let mut case = TestCase::new(name, status);
    case.set_classname(class);
    case.set_time(Duration::from_millis(elapsed_ms.unwrap_or_default()));
    case
}

fn status(report: &Report, target: &Target, log: bool) -> TestCaseStatus {
    let status = match target.outcome {
        Ending::Succeeded | Ending::Unchanged => return TestCaseStatus::success(),
        Ending::Waiting | Ending::NotStarted | Ending::Cancelled => TestCaseStatus::skipped(),
        // What was left out on request is no failure of the run.
        Ending::Blocked if report.verdict.refused.is_none() => TestCaseStatus::skipped(),
        Ending::Blocked
        | Ending::Superseded
        | Ending::TimedOut
        | Ending::RolledBack
        | Ending::Failed
        | Ending::Stuck => TestCaseStatus::non_success(NonSuccessKind::Failure),
        // How it ended is not known.
        Ending::UnderWay | Ending::Detached => TestCaseStatus::non_success(NonSuccessKind::Error),
    };
    let words = target.outcome.words();
    let reason = report.reason(target);
    let summary = match reason {
        Some(reason) => format!("{words}: {}", reason.summary),
        None if target.outcome == Ending::NotStarted => format!("{words}: the run was refused"),
        None => words.to_owned(),
    };
    let mut lines = vec![summary.clone()];
    lines.extend(target.cause.iter().map(|cause| format!("because of {cause}")));
    lines.extend(reason.map(|reason| reason.lines(true, log)).unwrap_or_default());
    if target.started_at.is_some() {
        lines.extend(Some(target.revisions()).filter(|revisions| !revisions.is_empty()));
        lines.extend(target.deployment.clone());
        lines.push(target.console.clone());
    }
    with_message(status, words, &summary, &lines)
}

fn with_message(mut status: TestCaseStatus, kind: &str, summary: &str, lines: &[String]) -> TestCaseStatus {
    let (mut content, mut taken) = (String::new(), 0);
    for line in lines {
        let line = shortened(&clean(line), SUMMARY);
        taken += size(&line);
        if taken > CONTENT {
            content.push_str("…\n");
            break;
        }
        content.push_str(&line);
        content.push('\n');
        taken += written('\n');
    }
    if let TestCaseStatus::NonSuccess { .. } = status {
        status.set_type(kind).set_message(shortened(&clean(summary), SUMMARY));
    }
    status.set_description(content.trim_end());
    status
}
