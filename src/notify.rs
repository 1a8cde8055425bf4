//! What a webhook is told of a run: when it starts, when it halts, and when it is over.
//!
//! Pure: bodies out of the folded events. Who sends them is `run/webhooks.rs`. For programs a body is the report of the
//! run so far, without the events of its targets; for people it is what the summary says and no more.

mod alert;

use std::cmp::Reverse;

use indexmap::IndexMap;
use serde_json::{Value, json};

use crate::base::text::{count, duration};
use crate::event::Reason;
use crate::fleet::TargetId;
use crate::fleet::webhook::{Format, Occasion};
use crate::plan::ships::lines as ship_lines;
use crate::report::Report;
use crate::state::RunState;

/// How many failed targets, or groups of them, a message names before it counts the rest.
const NAMED: usize = 20;
/// How many characters of a commit GitLab shows.
const SHORT: usize = 8;
/// The most bytes of the targets and reasons in a JSON body: receivers have limits, and those of a megabyte are common.
const MOST: usize = 300_000;

/// Returns what is posted; `None` where it is nothing to that receiver.
pub fn body(state: &RunState, occasion: Occasion, format: Format) -> Option<Value> {
    match format {
        Format::Json => Some(json(state, occasion)),
        Format::Slack => Some(json!({ "text": slack(state, occasion) })),
        Format::Gitlab => alert::raise(state, occasion),
    }
}

/// What ships, a line for each distinct change of an image: that of the most targets first.
fn ships(state: &RunState) -> Vec<String> {
    let mut lines = ship_lines(state.ships());
    lines.sort_by_key(|(_, targets)| Reverse(*targets));
    lines.into_iter().map(|(what, targets)| format!("{what} in {}", count(targets, "target"))).collect()
}

/// Who wrote the commit, and on which branch or tag it is.
fn origin(state: &RunState) -> Option<(String, String)> {
    let job = state.job();
    let commit = job.commit.as_deref()?;
    let by = job.author.as_deref().map(|author| format!(" by {author}")).unwrap_or_default();
    let on = job.reference.as_deref().map(|name| format!(" on {name}")).unwrap_or_default();
    Some((commit.chars().take(SHORT).collect(), format!("{by}{on}")))
}

/// Failed targets with the same outcome and cause, each with the reason that all of them have.
fn groups(state: &RunState) -> Vec<(&'static str, Option<Reason>, Vec<&TargetId>)> {
    type Group<'a> = (Option<Reason>, Vec<&'a TargetId>);
    let mut groups: IndexMap<(&'static str, Option<Reason>), Group<'_>> = IndexMap::new();
    for target in state.targets() {
        if let Some(outcome) = target.outcome().filter(|outcome| outcome.is_failure()) {
            let (known, targets) = groups.entry((outcome.words(), target.why().map(Reason::cause))).or_default();
            match (known.as_mut(), target.why()) {
                (Some(known), Some(reason)) => known.merge(reason),
                (None, reason) => *known = reason.cloned(),
                (Some(_), None) => {}
            }
            targets.push(&target.target);
        }
    }
    groups.into_iter().map(|((outcome, _), (why, targets))| (outcome, why, targets)).collect()
}

/// The report as it is so far, without the events of its targets, and how it came to be sent.
fn json(state: &RunState, occasion: Occasion) -> Value {
    // A report holds nothing but text, numbers and lists, all of which JSON has.
    let mut body = serde_json::to_value(Report::from_state(state).bounded(MOST)).unwrap_or_default();
    body["kind"] = json!(occasion);
    body
}

fn slack(state: &RunState, occasion: Occasion) -> String {
    let job = state.job();
    let totals = state.totals();
    let project = job.project.as_deref().map(|project| format!("{}: ", escaped(project))).unwrap_or_default();
    let headline = match occasion {
        Occasion::Start => format!(":rocket: {project}*starts*"),
        Occasion::Halt => {
            let wave = state.halted().map_or("?", |halt| halt.wave.as_str());
            format!(":octagonal_sign: {project}*halted* in wave {}; nothing new starts", escaped(wave))
        }
        Occasion::End => {
            let exit = state.exit();
            let sign = if exit == crate::base::exit::Exit::Done { ":white_check_mark:" } else { ":x:" };
            let after = duration(state.elapsed_ms());
            format!("{sign} {project}*{}* (exit code {}), after {after}", exit.words(), exit.code())
        }
    };
    let counts: Vec<String> = totals
        .named()
        .iter()
        .filter(|(_, number)| *number > 0)
        .map(|(word, number)| format!("{number} {word}"))
        .collect();
    let mut lines = vec![headline];
    if let Some((commit, rest)) = origin(state) {
        let commit = match &job.commit_url {
            Some(url) => format!("<{}|{}>", escaped(url), escaped(&commit)),
            None => escaped(&commit),
        };
        lines.push(format!("{commit}{}", escaped(&rest)));
    }
    let ships = ships(state);
    lines.extend(ships.iter().take(NAMED).map(|change| escaped(change)));
    if ships.len() > NAMED {
        lines.push(format!("and {} more changes", ships.len() - NAMED));
    }
    lines.push(format!("{}: {}", count(totals.all(), "target"), counts.join(", ")));
    let groups = groups(state);
    for (outcome, why, targets) in groups.iter().take(NAMED) {
        let more = if targets.len() > 1 { format!(" and {} more", targets.len() - 1) } else { String::new() };
        let reason = why.as_ref().map(|why| format!(": {}", escaped(&why.summary))).unwrap_or_default();
        lines.push(format!("• {outcome}: `{}`{more}{reason}", escaped(&targets[0].to_string())));
    }
    if groups.len() > NAMED {
        lines.push(format!("• and {} more causes", groups.len() - NAMED));
    }
    if let Some(url) = &job.url {
        lines.push(format!("<{}|the job>", escaped(url)));
    }
    lines.join("\n")
}

/// Slack's three control characters, and no line of its own for what others wrote. Mattermost takes the same form and reads it
/// as Markdown: a character that nobody sees keeps it from telling everyone (`@all`) and from making links and images.
fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace(['\n', '\r'], " ");
    text.replace('@', "@\u{200b}").replace("](", "]\u{200b}(")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, Job, Stamper};
    use crate::fleet::{OnCancel, OnFailure, Outcome};
    use crate::plan::outline::{Action, ChangeOutline, Outline, WaveOutline};

    fn state(failed: usize) -> RunState {
        of_job(failed, job())
    }

    fn of_job(failed: usize, job: Job) -> RunState {
        let summary = |number: usize| format!("tasks <{}> & more\nfailed", number / 2);
        of_reasons(failed, job, |number| Reason {
            summary: summary(number),
            help: Some("look".into()),
            ..Reason::default()
        })
    }

    fn of_reasons(failed: usize, job: Job, reason: impl Fn(usize) -> Reason) -> RunState {
        let change = |number: usize| ChangeOutline {
            target: format!("a{number}/eu-west-1/api").try_into().expect("an id"),
            account_id: "111111111111".parse().expect("an id"),
            cluster: "web".into(),
            service: "api".into(),
            wave: "all".into(),
            action: Action::Register,
            from: None,
            to: None,
            summary: vec![format!("app: image shop:{} -> shop:2", usize::from(number > 0)), "app: cpu 1 -> 2".into()],
        };
        let changes: Vec<ChangeOutline> = (0..30).map(change).collect();
        let wave = WaveOutline {
            name: "all".into(),
            targets: 30,
            changing: 30,
            max_parallel: "100%".into(),
            max_failures: 0,
            worst_case_failures: 30,
            bake_seconds: 0,
            alarms: 0,
            gate: false,
            on_failure: OnFailure::Stop,
            on_cancel: OnCancel::Detach,
        };
        let plan = Outline { waves: vec![wave], changes: changes.clone(), console: None };
        let mut events = vec![Event::RunStarted { plan, sandbox: false, job }];
        for (number, change) in changes.iter().enumerate() {
            let reason = (number < failed).then(|| reason(number));
            let outcome = if number < failed { Outcome::RolledBack } else { Outcome::Succeeded };
            events.push(Event::RolloutFinished { target: change.target.clone(), outcome, reason, revision: None });
        }
        if failed > 0 {
            let cause = changes[0].target.clone();
            events.push(Event::RunHalted { wave: "all".into(), cause, failed, max_failures: 0 });
        }
        events.push(Event::finished());
        let (mut state, mut stamper) = (RunState::new(), Stamper::new("r1"));
        events.into_iter().for_each(|event| state.apply(&stamper.stamp(jiff::Timestamp::default(), event)));
        state
    }

    fn job() -> Job {
        Job {
            project: Some("team/shop".into()),
            url: Some("https://gitlab.example.com/team/shop/-/jobs/1".into()),
            commit: Some("5f2c9d7be0a14c3f".into()),
            commit_url: Some("https://gitlab.example.com/team/shop/-/commit/5f2c9d7be0a14c3f".into()),
            author: Some("Ada <3".into()),
            reference: Some("main".into()),
            ..Job::default()
        }
    }

    #[test]
    fn nobody_is_told_and_nothing_is_linked_by_a_text_of_others() {
        let state = of_reasons(1, job(), |_| Reason {
            summary: "@all @channel ![x](https://evil.example/x.png) [here](https://evil.example)".into(),
            ..Reason::default()
        });
        let text = slack(&state, Occasion::End);
        assert!(!text.contains("@all") && !text.contains("@channel") && !text.contains("]("), "{text}");
        assert!(text.replace('\u{200b}', "").contains("@all @channel ![x](https://evil.example/x.png)"), "{text}");
    }

    #[test]
    fn programs_get_the_report_and_each_cause_once() {
        let body = body(&state(3), Occasion::End, Format::Json).expect("a body");
        assert_eq!((&body["kind"], &body["verdict"]["exit_code"]), (&json!("end"), &json!(11)));
        assert_eq!(body["totals"], json!({ "succeeded": 27, "rolled_back": 3 }));
        assert_eq!(body["run"]["job"]["project"], "team/shop");
        assert_eq!(body["verdict"]["halted"]["cause"], "a0/eu-west-1/api");
        let reasons: Vec<_> = body["reasons"].as_array().expect("a list").iter().map(|it| &it["targets"]).collect();
        assert_eq!((reasons, &body["targets_left_out"]), (vec![&json!(2), &json!(1)], &json!(0)));
        let without_kind = serde_json::from_value::<Report>(body).expect("it reads as a report");
        assert_eq!(without_kind.targets.len(), 30);
    }

    #[test]
    fn a_body_has_an_end_and_says_what_it_leaves_out() {
        let report = Report::from_state(&state(3)).bounded(1_900);
        let kept: Vec<_> = report.targets.iter().map(|target| target.outcome.words()).collect();
        assert_eq!((kept.as_slice(), report.targets_left_out), (["rolled back", "rolled back"].as_slice(), 28));
        assert_eq!((report.reasons.len(), report.targets[1].reason), (1, Some(0)));
        assert_eq!(report.all(), 30);
    }

    #[test]
    fn one_cause_is_one_group_whatever_its_task_counts_and_log_lines() {
        let state = of_reasons(6, job(), |number| Reason {
            summary: "it failed".into(),
            evidence: vec![crate::event::Evidence {
                tasks: u32::try_from(number).unwrap_or_default() + 1,
                log: vec![format!("line {number}")],
                ..crate::event::Evidence::from("it crashed".to_owned())
            }],
            ..Reason::default()
        });
        let text = slack(&state, Occasion::End);
        assert!(text.contains("• rolled back: `a0/eu-west-1/api` and 5 more: it failed"), "{text}");
    }

    #[test]
    fn one_cause_is_one_group_whatever_its_request_ids() {
        let state = of_reasons(30, job(), |number| Reason {
            summary: format!("UpdateService: AccessDeniedException: no (request id 0a1b-{number})"),
            evidence: vec![format!("StopTask: AccessDeniedException: no (request id 2c3d-{number})").into()],
            ..Reason::default()
        });
        let text = slack(&state, Occasion::End);
        assert!(text.contains("and 29 more: UpdateService: AccessDeniedException: no (request id 0a1b-0)"), "{text}");
        let report = Report::from_state(&state);
        assert_eq!((report.reasons.len(), report.reasons[0].targets), (1, 30));
        assert_eq!(report.reasons[0].evidence[0].text, "StopTask: AccessDeniedException: no (request id 2c3d-0)");
    }

    #[test]
    fn people_get_a_message_in_which_nothing_is_markup_by_accident() {
        let text = slack(&state(3), Occasion::End);
        assert_eq!(
            text,
            ":x: team/shop: *targets failed and were rolled back* (exit code 11), after 0s\n\
             <https://gitlab.example.com/team/shop/-/commit/5f2c9d7be0a14c3f|5f2c9d7b> by Ada &lt;3 on main\n\
             api: 1 -&gt; 2 in 29 targets\n\
             api: 0 -&gt; 2 in 1 target\n\
             30 targets: 27 succeeded, 3 rolled back\n\
             • rolled back: `a0/eu-west-1/api` and 1 more: tasks &lt;0&gt; &amp; more failed\n\
             • rolled back: `a2/eu-west-1/api`: tasks &lt;1&gt; &amp; more failed\n\
             <https://gitlab.example.com/team/shop/-/jobs/1|the job>"
        );
        let text = slack(&of_job(0, Job::default()), Occasion::End);
        assert_eq!(
            text,
            ":white_check_mark: *done, or nothing to do* (exit code 0), after 0s\n\
             api: 1 -&gt; 2 in 29 targets\napi: 0 -&gt; 2 in 1 target\n30 targets: 30 succeeded"
        );
        let started = slack(&of_job(0, Job::default()), Occasion::Start);
        assert!(started.starts_with(":rocket: *starts*\n"), "{started}");
        let halted = slack(&of_job(1, Job::default()), Occasion::Halt);
        assert!(halted.starts_with(":octagonal_sign: *halted* in wave all; nothing new starts\n"), "{halted}");
    }

    fn alert(failed: usize, occasion: Occasion) -> Option<Value> {
        let named = Job { name: Some("deploy".into()), environment: Some("production".into()), ..job() };
        body(&of_job(failed, named), occasion, Format::Gitlab)
    }

    #[test]
    fn a_failed_run_is_an_alert_and_a_run_that_succeeds_resolves_it() {
        let (halted, failed) = (alert(3, Occasion::Halt).expect("one"), alert(3, Occasion::End).expect("one"));
        let resolved = alert(0, Occasion::End).expect("one");
        assert_eq!(halted["title"], "Deployment of team/shop, job deploy: halted in wave all");
        assert_eq!(failed["title"], "Deployment of team/shop, job deploy: targets failed and were rolled back");
        let severities = [&halted, &failed, &resolved].map(|alert| alert["severity"].clone());
        assert_eq!(severities, ["high", "medium", "info"]);
        assert!(halted.get("end_time").is_none() && failed.get("end_time").is_none());
        assert_eq!(resolved["end_time"], "1970-01-01T00:00:00Z");
        assert!([&halted, &failed].iter().all(|it| it["fingerprint"] == resolved["fingerprint"]));
        assert_eq!(
            (&failed["gitlab_environment_name"], &failed["service"]),
            (&json!("production"), &json!("team/shop"))
        );
        assert_eq!(alert(3, Occasion::Start), None);
        let text = failed["description"].as_str().expect("a text");
        assert!(
            text.contains("- rolled back: a0/eu-west-1/api and 1 more: tasks <\u{200b}0> &\u{200b} more failed"),
            "{text}"
        );
    }

    #[test]
    fn an_alert_is_as_long_as_gitlab_takes_and_tells_nobody() {
        let state = of_reasons(30, job(), |number| Reason {
            summary: format!("{number} @all ![x](https://evil.example/x.png) {}", "y".repeat(90)),
            ..Reason::default()
        });
        let alert = body(&state, Occasion::End, Format::Gitlab).expect("an alert");
        let text = alert["description"].as_str().expect("a text");
        assert!(text.chars().count() <= 1000 && !text.contains("@all") && !text.contains("!["), "{text}");
    }
}
