//! An alert as the HTTP endpoints of GitLab's alerts take it: one that a failed run raises, and that a run of the same job
//! which succeeds resolves.

use serde_json::{Value, json};

use crate::base::exit::Exit;
use crate::base::text::hash;
use crate::fleet::webhook::Occasion;
use crate::notify::{NAMED, groups, origin, ships};
use crate::state::RunState;

/// GitLab's longest title and description, in characters.
const TITLE: usize = 200;
const DESCRIPTION: usize = 1000;

/// Returns the alert; `None` where a run has nothing to say of it: one that was cancelled, or waits at a gate.
pub fn raise(state: &RunState, occasion: Occasion) -> Option<Value> {
    let exit = state.exit();
    let severity = match (occasion, exit) {
        (Occasion::Start, _) => return None,
        (Occasion::Halt, _) => "high",
        (Occasion::End, Exit::Done) => "info",
        (Occasion::End, exit) => severity(exit)?,
    };
    let job = state.job();
    let what = match (occasion, state.halted()) {
        (Occasion::Halt, Some(halt)) => format!("halted in wave {}", halt.wave),
        _ => exit.words().to_owned(),
    };
    let project = job.project.as_deref().unwrap_or("roleout");
    let of_job = job.name.as_deref().map(|name| format!(", job {name}")).unwrap_or_default();
    let mut alert = json!({
        "title": shortened(&format!("Deployment of {project}{of_job}: {what}"), TITLE),
        "description": shortened(&description(state), DESCRIPTION),
        "severity": severity,
        "service": project,
        "monitoring_tool": "roleout",
        // The same for every run of a job: GitLab counts them as one alert, and a success resolves it.
        "fingerprint": format!("roleout-{}", hash(&format!("{project}\n{}", job.name.as_deref().unwrap_or_default()))),
    });
    if let Some(at) = state.started_at() {
        alert["start_time"] = json!(at.to_string());
    }
    if let (Exit::Done, Occasion::End, Some(at)) = (exit, occasion, state.finished_at()) {
        alert["end_time"] = json!(at.to_string());
    }
    if let Some(environment) = &job.environment {
        alert["gitlab_environment_name"] = json!(environment);
    }
    Some(alert)
}

fn shortened(text: &str, characters: usize) -> String {
    text.chars().take(characters).collect()
}

fn severity(exit: Exit) -> Option<&'static str> {
    match exit {
        Exit::Stuck => Some("critical"),
        Exit::Failed | Exit::TimedOut | Exit::Unexpected => Some("high"),
        Exit::RolledBack => Some("medium"),
        Exit::Tolerated => Some("low"),
        _ => None,
    }
}

/// What happened, in GitLab's Markdown.
fn description(state: &RunState) -> String {
    let mut lines = Vec::new();
    if let Some((commit, rest)) = origin(state) {
        lines.push(format!("Commit {commit}{}", plain(&rest)));
    }
    lines.extend(ships(state).iter().take(3).map(|change| plain(change)));
    let counts: Vec<String> =
        state.totals().named().iter().filter(|it| it.1 > 0).map(|(word, number)| format!("{number} {word}")).collect();
    lines.push(counts.join(", "));
    if let Some(url) = &state.job().url {
        lines.push(format!("Job: {}", plain(url)));
    }
    for (outcome, why, targets) in groups(state).iter().take(NAMED) {
        let more = if targets.len() > 1 { format!(" and {} more", targets.len() - 1) } else { String::new() };
        let reason = why.as_ref().map(|why| format!(": {}", plain(&why.summary))).unwrap_or_default();
        lines.push(format!("- {outcome}: {}{more}{reason}", plain(&targets[0].to_string())));
    }
    lines.join("\n\n")
}

/// A text of others in Markdown: it tells nobody, and makes no link, no image, no label and no line of its own.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '\n' | '\r' => plain.push(' '),
            '@' | '!' | '[' | '#' | '~' | '%' | '$' | '&' | '<' => plain.extend([char, '\u{200b}']),
            char => plain.push(char),
        }
    }
    plain
}
