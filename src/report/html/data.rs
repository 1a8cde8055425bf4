//! What the page's scripts are given: the JSON report without what is absent, its events and stages with milliseconds for
//! times, and how each outcome looks.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::base::json::line;
use crate::report::html::markup::Page;
use crate::report::{Ending, Pause, Report, Stage, Target, log};
use crate::state::milliseconds;

/// How many events of a target the page has: the first and the last of them. Its log and the JSON report have all.
const FIRST: usize = 40;
const LAST: usize = 80;

/// Returns the glyph and the tone of an outcome. Each tone has several glyphs: a shape tells apart what a colour cannot.
pub(super) fn glyph_and_tone(ending: Ending) -> (&'static str, &'static str) {
    match ending {
        Ending::Succeeded => ("check", "good"),
        Ending::Unchanged => ("equal", "calm"),
        Ending::Waiting => ("dots", "calm"),
        Ending::UnderWay => ("play", "odd"),
        Ending::NotStarted => ("ring", "calm"),
        Ending::Cancelled => ("ban", "warn"),
        Ending::Detached => ("leave", "odd"),
        Ending::Blocked => ("bar", "warn"),
        Ending::Superseded => ("swap", "warn"),
        Ending::TimedOut => ("clock", "warn"),
        Ending::RolledBack => ("back", "bad"),
        Ending::Failed => ("cross", "bad"),
        Ending::Stuck => ("alarm", "bad"),
    }
}

/// Returns an outcome's word in the JSON report.
pub(super) fn word(ending: Ending) -> String {
    serde_json::to_value(ending).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default()
}

/// Writes the data as JSON that can stand in a script element; `has_logs` says whether the logs of targets are beside the page.
/// Reasons and targets are written one by one, a line each: as one text, those of a large run would take as much room as the
/// whole page.
pub(super) fn write(report: &Report, has_logs: bool, page: &mut Page<'_>) {
    let without_lists = Report {
        version: report.version,
        run: report.run.clone(),
        parts: report.parts.clone(),
        verdict: report.verdict.clone(),
        ships: report.ships.clone(),
        totals: report.totals.clone(),
        waves: report.waves.clone(),
        reasons: Vec::new(),
        targets: Vec::new(),
        targets_left_out: report.targets_left_out,
        events: report.events.clone(),
    };
    let mut head = present(value_of(&without_lists));
    head["first_events"] = json!(FIRST);
    // The worst first: the order in which the page counts them.
    let endings: Map<String, Value> =
        report.totals.keys().rev().map(|ending| (word(*ending), described(*ending))).collect();
    let head = written(&head);
    page.html("{\"report\":").html(head.strip_suffix('}').unwrap_or(&head));
    let mut paths = if has_logs { log::paths(&report.targets) } else { Vec::new() }.into_iter();
    list("reasons", report.reasons.iter().map(value_of), page);
    let targets = report.targets.iter().map(|target| data_of(target, report.run.started_at, paths.next()));
    list("targets", targets, page);
    page.html("},\"endings\":").html(&written(&Value::Object(endings))).html("}\n");
}

/// Writes a member that is a list, unless it is empty.
fn list(name: &str, items: impl Iterator<Item = Value>, page: &mut Page<'_>) {
    let mut before = format!(",\"{name}\":[\n");
    for item in items {
        page.html(&before).html(&written(&present(item)));
        before = ",\n".to_owned();
    }
    if before == ",\n" {
        page.html("\n]");
    }
}

/// Returns what the page has of a target, with the path of its log where that is beside the page.
fn data_of(target: &Target, start: Option<Timestamp>, log: Option<String>) -> Value {
    let since = |at| start.map_or(0, |start| milliseconds(start, at));
    let stage = |stage: &Stage| {
        let (from, to) = (since(stage.started_at), stage.ended_at.map(since));
        json!([from, to, stage.name, stage.production_percent, stage.test_percent, stage.bake_minutes])
    };
    let pause = |pause: &Pause| {
        let (from, to) = (since(pause.started_at), pause.ended_at.map(since));
        json!([from, to, pause.stage, pause.expires_at, pause.timeout_action, pause.status])
    };
    let left_out = target.events.len().saturating_sub(FIRST + LAST);
    let kept = target.events.iter().enumerate().filter(|(line, _)| !(FIRST..FIRST + left_out).contains(line));
    let mut value = value_of(target);
    value["events"] = kept.map(|(_, line)| json!([since(line.at), line.text])).collect();
    value["stages"] = target.stages.iter().map(stage).collect();
    value["pauses"] = target.pauses.iter().map(pause).collect();
    if left_out > 0 {
        value["events_left_out"] = json!(left_out);
    }
    if let Some(log) = log {
        value["log"] = json!(log);
    }
    value
}

/// Returns a part of a report as a value. It holds nothing but text, numbers and lists, all of which JSON has.
fn value_of(part: &impl Serialize) -> Value {
    serde_json::to_value(part).unwrap_or_default()
}

fn written(value: &Value) -> String {
    escaped(line(value).unwrap_or_default().trim_end())
}

fn described(ending: Ending) -> Value {
    let (glyph, tone) = glyph_and_tone(ending);
    json!({
        "words": ending.words(),
        "weight": ending.weight(),
        "failure": ending.is_failure(),
        "glyph": glyph,
        "tone": tone,
    })
}

/// Returns a value without its members that are absent or empty lists.
fn present(value: Value) -> Value {
    let is_present = |value: &Value| !value.is_null() && value.as_array().is_none_or(|list| !list.is_empty());
    match value {
        Value::Object(members) => members
            .into_iter()
            .filter(|(_, value)| is_present(value))
            .map(|(key, value)| (key, present(value)))
            .collect(),
        Value::Array(list) => list.into_iter().map(present).collect(),
        value => value,
    }
}

/// Returns JSON in which nothing can end a script element or begin a comment, and that is JavaScript besides.
fn escaped(json: &str) -> String {
    let mut safe = String::with_capacity(json.len() + json.len() / 64);
    for char in json.chars() {
        match char {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => safe.push_str(&format!("\\u{:04x}", u32::from(char))),
            char => safe.push(char),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_cannot_end_its_element_and_reads_back_the_same() {
        let text = "</script><!-- <script> ]]> & \u{2028}\u{2029}";
        let safe = escaped(&json!([text]).to_string());
        assert!(!safe.contains(['<', '>', '&', '\u{2028}', '\u{2029}']), "{safe}");
        assert_eq!(serde_json::from_str::<Value>(&safe).expect("JSON"), json!([text]));
    }

    #[test]
    fn what_is_absent_is_left_out_and_what_is_false_is_not() {
        let value = json!({ "a": null, "b": [], "c": false, "d": [{ "e": null, "f": "" }] });
        assert_eq!(present(value), json!({ "c": false, "d": [{ "f": "" }] }));
    }
}
