//! What a webhook is told of a run: when it halts, and when it is over.
//!
//! Pure: bodies out of the folded events. Who sends them is `commands/notify.rs`. A body holds what the summary says and
//! no more; it is for a chat or an incident tool, and not the report of a run.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::event::Reason;
use crate::fleet::TargetId;
use crate::state::RunState;

/// The version of the JSON body.
pub const VERSION: u32 = 1;

/// How many failed targets, or groups of them, a body names before it counts the rest.
const NAMED: usize = 20;

/// Someone to tell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// The name of the variable that holds the URL: who has the URL can post, so it stands in no file.
    pub url_env: String,
    /// The form of what is posted.
    pub format: Format,
    /// On which occasions.
    pub on: Vec<Occasion>,
}

/// The form of what is posted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// The run in numbers and its failures, for programs.
    #[default]
    Json,
    /// A message as Slack's incoming webhooks take it, and Mattermost's.
    Slack,
}

/// When something is posted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Occasion {
    /// The failure budget was exceeded, and nothing new starts.
    Halt,
    /// The run is over.
    End,
}

impl Occasion {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Halt, Self::End];
}

/// The CI job that the run is, as far as its variables say so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Job {
    /// `CI_PROJECT_PATH`
    pub project: Option<String>,
    /// `CI_JOB_URL`
    pub url: Option<String>,
    /// `CI_PIPELINE_URL`
    pub pipeline_url: Option<String>,
    /// `CI_COMMIT_SHA`
    pub commit: Option<String>,
}

impl Job {
    /// Reads GitLab's variables.
    pub fn read(variables: &dyn Fn(&str) -> Option<String>) -> Self {
        let variable = |name: &str| variables(name).filter(|value| !value.is_empty());
        Self {
            project: variable("CI_PROJECT_PATH"),
            url: variable("CI_JOB_URL"),
            pipeline_url: variable("CI_PIPELINE_URL"),
            commit: variable("CI_COMMIT_SHA"),
        }
    }
}

/// Returns what is posted.
pub fn body(state: &RunState, occasion: Occasion, job: &Job, format: Format) -> Value {
    match format {
        Format::Json => json(state, occasion, job),
        Format::Slack => json!({ "text": slack(state, occasion, job) }),
    }
}

/// Failed targets with the same outcome and reason.
fn groups(state: &RunState) -> Vec<(&'static str, Option<&Reason>, Vec<&TargetId>)> {
    let mut groups: IndexMap<(&'static str, Option<&Reason>), Vec<&TargetId>> = IndexMap::new();
    for target in state.targets() {
        if let Some(outcome) = target.outcome().filter(|outcome| outcome.is_failure()) {
            groups.entry((outcome.words(), target.why())).or_default().push(&target.target);
        }
    }
    groups.into_iter().map(|((outcome, why), targets)| (outcome, why, targets)).collect()
}

fn json(state: &RunState, occasion: Occasion, job: &Job) -> Value {
    let totals: serde_json::Map<String, Value> =
        state.totals().named().iter().map(|(word, number)| (word.replace(' ', "_"), json!(number))).collect();
    let failures: Vec<Value> = groups(state)
        .into_iter()
        .take(NAMED)
        .map(|(outcome, why, targets)| {
            json!({
                "outcome": outcome.replace(' ', "_"),
                "targets": targets.iter().map(ToString::to_string).collect::<Vec<_>>(),
                "reason": why.map(|why| &why.summary),
                "help": why.and_then(|why| why.help.as_ref()),
            })
        })
        .collect();
    let halt = state.halted().map(|halt| {
        json!({
            "wave": halt.wave, "cause": halt.cause.to_string(), "failed": halt.failed, "max_failures": halt.max_failures,
        })
    });
    let exit = (occasion == Occasion::End).then(|| state.exit());
    json!({
        "version": VERSION,
        "kind": occasion,
        "run": state.run(),
        "exit_code": exit.map(crate::exit::Exit::code),
        "verdict": exit.map(crate::exit::Exit::words),
        "elapsed_seconds": state.elapsed_ms() / 1000,
        "totals": totals,
        "halt": halt,
        "failures": failures,
        "failures_left_out": groups(state).len().saturating_sub(NAMED),
        "project": job.project,
        "commit": job.commit,
        "job_url": job.url,
        "pipeline_url": job.pipeline_url,
    })
}

fn slack(state: &RunState, occasion: Occasion, job: &Job) -> String {
    let totals = state.totals();
    let project = job.project.as_deref().map(|project| format!("{}: ", escaped(project))).unwrap_or_default();
    let headline = match occasion {
        Occasion::Halt => {
            let wave = state.halted().map_or("?", |halt| halt.wave.as_str());
            format!(":octagonal_sign: {project}*halted* in wave {}; nothing new starts", escaped(wave))
        }
        Occasion::End => {
            let exit = state.exit();
            let sign = if exit == crate::exit::Exit::Done { ":white_check_mark:" } else { ":x:" };
            format!("{sign} {project}*{}* (exit code {})", exit.words(), exit.code())
        }
    };
    let counts: Vec<String> = totals
        .named()
        .iter()
        .filter(|(_, number)| *number > 0)
        .map(|(word, number)| format!("{number} {word}"))
        .collect();
    let mut lines = vec![headline, format!("{} targets: {}", totals.all(), counts.join(", "))];
    let groups = groups(state);
    for (outcome, why, targets) in groups.iter().take(NAMED) {
        let more = if targets.len() > 1 { format!(" and {} more", targets.len() - 1) } else { String::new() };
        let reason = why.map(|why| format!(": {}", escaped(&why.summary))).unwrap_or_default();
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

/// Slack's three control characters, and no line of its own for what others wrote.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, Stamper};
    use crate::fleet::{OnCancel, OnFailure, Outcome};
    use crate::plan::{Action, ChangeOutline, Outline, WaveOutline};

    fn state(failed: usize) -> RunState {
        let change = |number: usize| ChangeOutline {
            target: format!("a{number}/eu-west-1/api").try_into().expect("an id"),
            account_id: "111111111111".parse().expect("an id"),
            cluster: "web".into(),
            service: "api".into(),
            wave: "all".into(),
            action: Action::Register,
            from: None,
            to: None,
            summary: Vec::new(),
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
        let plan = Outline { waves: vec![wave], changes: changes.clone() };
        let mut events = vec![Event::RunStarted { plan, sandbox: false }];
        for (number, change) in changes.iter().enumerate() {
            let summary = format!("tasks <{}> & more\nfailed", number / 2);
            let reason = (number < failed).then(|| Reason { summary, help: Some("look".into()), ..Reason::default() });
            let outcome = if number < failed { Outcome::RolledBack } else { Outcome::Succeeded };
            events.push(Event::RolloutFinished { target: change.target.clone(), outcome, reason, revision: None });
        }
        if failed > 0 {
            let cause = changes[0].target.clone();
            events.push(Event::RunHalted { wave: "all".into(), cause, failed, max_failures: 0 });
        }
        events.push(Event::RunFinished);
        let (mut state, mut stamper) = (RunState::new(), Stamper::new("r1"));
        events.into_iter().for_each(|event| state.apply(&stamper.stamp(jiff::Timestamp::default(), event)));
        state
    }

    fn job() -> Job {
        Job {
            project: Some("team/shop".into()),
            url: Some("https://gitlab.example.com/jobs/1".into()),
            ..Job::default()
        }
    }

    #[test]
    fn programs_get_numbers_and_each_cause_once() {
        let body = body(&state(3), Occasion::End, &job(), Format::Json);
        assert_eq!((&body["kind"], &body["exit_code"]), (&json!("end"), &json!(11)));
        assert_eq!((&body["totals"]["rolled_back"], &body["totals"]["succeeded"]), (&json!(3), &json!(27)));
        let failures = body["failures"].as_array().expect("a list");
        assert_eq!(failures.len(), 2);
        assert_eq!(failures[0]["targets"], json!(["a0/eu-west-1/api", "a1/eu-west-1/api"]));
        assert_eq!(body["halt"]["cause"], "a0/eu-west-1/api");
        assert_eq!(super::body(&state(3), Occasion::Halt, &job(), Format::Json)["exit_code"], Value::Null);
    }

    #[test]
    fn people_get_a_message_in_which_nothing_is_markup_by_accident() {
        let text = slack(&state(3), Occasion::End, &job());
        assert_eq!(
            text,
            ":x: team/shop: *targets failed and were rolled back* (exit code 11)\n\
             30 targets: 27 succeeded, 3 rolled back\n\
             • rolled back: `a0/eu-west-1/api` and 1 more: tasks &lt;0&gt; &amp; more failed\n\
             • rolled back: `a2/eu-west-1/api`: tasks &lt;1&gt; &amp; more failed\n\
             <https://gitlab.example.com/jobs/1|the job>"
        );
        let text = slack(&state(0), Occasion::End, &Job::default());
        assert_eq!(text, ":white_check_mark: *done, or nothing to do* (exit code 0)\n30 targets: 30 succeeded");
        let halted = slack(&state(1), Occasion::Halt, &Job::default());
        assert!(halted.starts_with(":octagonal_sign: *halted* in wave all; nothing new starts\n"), "{halted}");
    }
}
