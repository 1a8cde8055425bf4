//! A plan as people read it: wave by wave, what is the same said once, what is blocked last.
//!
//! It only says what the outline holds, which has no value of an environment variable.

use indexmap::IndexMap;

use crate::plan::{Action, ChangeOutline, Outline, WaveOutline};
use crate::view::sentence::plan_words;
use crate::view::style::{self, Paint, Tone, clean, count, duration};

/// How many targets a group names before it counts the rest.
const NAMED: usize = 40;
/// How many unchanged targets are named.
const NAMED_UNCHANGED: usize = 8;

/// Returns the plan as text of at most so many columns where words allow.
pub fn text(outline: &Outline, paint: Paint, columns: usize) -> String {
    let mut page = Page { paint, columns, text: String::new() };
    for (index, wave) in outline.waves.iter().enumerate() {
        page.wave(index, wave, outline);
    }
    page.blocked(outline);
    page.text.push_str(&paint.paint(Tone::Strong, &format!("plan: {}", plan_words(outline))));
    page.text.push('\n');
    page.text
}

struct Page {
    paint: Paint,
    columns: usize,
    text: String,
}

impl Page {
    fn wave(&mut self, index: usize, wave: &WaveOutline, outline: &Outline) {
        self.line(Tone::Strong, &format!("wave {} ({} of {})", clean(&wave.name), index + 1, outline.waves.len()));
        for line in style::wrap(&terms(wave), 2, self.columns) {
            self.line(Tone::Dim, &line);
        }
        let changes = || outline.changes.iter().filter(|change| change.wave == wave.name);
        let mut groups: IndexMap<_, Vec<&ChangeOutline>> = IndexMap::new();
        for change in changes().filter(|change| change.action.changes()) {
            groups.entry((word(&change.action), &change.summary)).or_default().push(change);
        }
        for ((word, summary), group) in groups {
            self.group(word, summary, &group);
        }
        let names: Vec<_> = changes()
            .filter(|change| change.action == Action::Unchanged)
            .map(|change| change.target.to_string())
            .collect();
        if !names.is_empty() {
            self.line(Tone::Dim, &format!("  = unchanged, {}:", count(names.len(), "target")));
            for line in style::list(names.iter().map(String::as_str), NAMED_UNCHANGED, 6, self.columns) {
                self.line(Tone::Dim, &line);
            }
        }
        self.text.push('\n');
    }

    fn group(&mut self, word: &str, summary: &[String], group: &[&ChangeOutline]) {
        if let [change] = group {
            let line = format!("  ~ {word}  {}  {}", clean(&change.target.to_string()), revisions(change));
            self.line(Tone::Warn, line.trim_end());
        } else {
            // Revisions are said once where every target has the same, else with each name.
            let first = group.first().map(|change| revisions(change)).unwrap_or_default();
            let same = group.iter().all(|change| revisions(change) == first);
            let said = if same && !first.is_empty() { format!("  {first}") } else { String::new() };
            self.line(Tone::Warn, &format!("  ~ {word}, the same in {}:{said}", count(group.len(), "target")));
            let each = |change: &ChangeOutline| if same { String::new() } else { revisions(change) };
            let names: Vec<_> = group
                .iter()
                .map(|change| format!("{} {}", change.target, each(change)).trim_end().to_owned())
                .collect();
            for line in style::list(names.iter().map(String::as_str), NAMED, 6, self.columns) {
                self.line(Tone::Plain, &line);
            }
        }
        for line in summary {
            // A line of a diff is one line, however long: broken lines cannot be compared.
            self.line(Tone::Plain, &format!("      {}", clean(line)));
        }
    }

    fn blocked(&mut self, outline: &Outline) {
        let mut groups: IndexMap<_, Vec<String>> = IndexMap::new();
        for change in &outline.changes {
            if let Action::Blocked { reason, help } = &change.action {
                groups.entry((reason, help)).or_default().push(change.target.to_string());
            }
        }
        if groups.is_empty() {
            return;
        }
        self.line(Tone::Bad, "blocked");
        for ((reason, help), names) in groups {
            for line in style::wrap(&format!("✖ {reason}"), 2, self.columns) {
                self.line(Tone::Bad, &line);
            }
            if names.len() > 1 {
                self.line(Tone::Plain, &format!("      the same in {}:", count(names.len(), "target")));
            }
            for line in style::list(names.iter().map(String::as_str), NAMED, 6, self.columns) {
                self.line(Tone::Plain, &line);
            }
            if let Some(help) = help {
                for line in style::wrap(&format!("help: {help}"), 6, self.columns) {
                    self.line(Tone::Plain, &line);
                }
            }
        }
        self.text.push('\n');
    }

    fn line(&mut self, tone: Tone, line: &str) {
        self.text.push_str(&self.paint.paint(tone, line));
        self.text.push('\n');
    }
}

/// Returns a wave's terms: `3 targets, 2 to change, 25% at a time, up to 2 targets can fail before this halts`.
fn terms(wave: &WaveOutline) -> String {
    let mut terms = vec![
        format!("{}, {} to change", count(wave.targets, "target"), wave.changing),
        style::parallel(&wave.max_parallel),
        format!("up to {} can fail before this halts", count(wave.worst_case_failures, "target")),
    ];
    if wave.max_failures > 0 {
        terms.push(format!("{} tolerated", count(wave.max_failures, "failure")));
    }
    if wave.bake_seconds > 0 {
        terms.push(format!("bakes for {}", duration(wave.bake_seconds.saturating_mul(1000))));
    }
    if wave.gate {
        terms.push("the run stops at a gate before it".to_owned());
    }
    terms.join(", ")
}

fn word(action: &Action) -> &'static str {
    match action {
        Action::Unchanged => "unchanged",
        Action::Register => "new revision",
        Action::Deploy => "deploy",
        Action::Update => "new settings",
        Action::Blocked { .. } => "blocked",
    }
}

fn revisions(change: &ChangeOutline) -> String {
    let from = change.from.as_ref().map(ToString::to_string);
    let to = change.to.as_ref().map(ToString::to_string);
    match (change.action == Action::Register, from, to) {
        (_, from, Some(to)) if from.as_ref() == Some(&to) => format!("({to})"),
        (_, Some(from), Some(to)) => format!("({from} -> {to})"),
        (true, Some(from), None) => format!("({from} -> new)"),
        (false, Some(from), None) => format!("({from})"),
        (_, None, Some(to)) => format!("(-> {to})"),
        (_, None, None) => String::new(),
    }
}
