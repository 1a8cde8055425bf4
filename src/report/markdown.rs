//! The run as Markdown for a note on a merge request: the verdict, the waves, the failures with their reasons, and every
//! target behind a heading that opens.

use indexmap::IndexMap;

use crate::base::markdown::{code, escaped};
use crate::base::text::{clean, count, cut, duration, start};
use crate::plan::ships::{SHIPS, lines};
use crate::report::{Report, Target, counts};

/// GitLab takes 1,000,000 characters in a note; the rest is for the line that says what is left out, and for what a
/// pipeline puts around it.
const LIMIT: usize = 990_000;
/// How many distinct failures are told before the rest is counted.
const FAILURES: usize = 50;
/// How many targets a failure names before it counts the rest.
const NAMED: usize = 40;
/// The most columns of a line in a block.
const WIDTH: usize = 1_000;

/// Returns the report as Markdown that GitLab takes as one note.
pub fn text(report: &Report) -> String {
    limited(report, LIMIT)
}

fn limited(report: &Report, limit: usize) -> String {
    let mut text = head(report);
    text.push_str(&waves(report));
    let mut groups: IndexMap<_, Vec<&Target>> = IndexMap::new();
    for target in report.worst_first().into_iter().filter(|target| target.outcome.weight() >= 1) {
        groups.entry((target.outcome, target.reason)).or_default().push(target);
    }
    let mut told = 0;
    for targets in groups.values() {
        let section = failure(report, targets);
        // Half is kept for the table. Bytes are never fewer than characters.
        if told == FAILURES || text.len() + section.len() > limit / 2 {
            break;
        }
        text.push_str(&section);
        told += 1;
    }
    if told < groups.len() {
        text.push_str(&format!(
            "**{} more** of this kind are in the table and in `report.json`.\n\n",
            groups.len() - told
        ));
    }
    table(report, &mut text, limit);
    text
}

fn head(report: &Report) -> String {
    let sandbox = if report.run.sandbox { " (in the sandbox, not in AWS)" } else { "" };
    let exit = report.verdict.exit_code.map(|code| format!(" (exit code {code})")).unwrap_or_default();
    let sign = match report.verdict.exit_code {
        Some(0) => ":white_check_mark:",
        Some(6 | 13 | 130 | 143) => ":warning:",
        Some(_) | None => ":x:",
    };
    let mut text = format!("### {sign} roleout: {}{exit}{sandbox}\n\n", escaped(&report.verdict.words));
    let mut facts = Vec::new();
    if report.all() > 0 {
        let time = duration(report.run.elapsed_ms);
        facts.push(format!("{}: {}, in {time}", count(report.all(), "target"), report.counts()));
    }
    if let Some(halt) = &report.verdict.halted {
        let (wave, cause) = (code(&halt.wave), code(&halt.cause.to_string()));
        let (failed, may) = (halt.failed, halt.max_failures);
        let halt = format!("halted in wave {wave}: {failed} failed, {may} allowed; ");
        facts.push(halt + &format!("the first was {cause}"));
    }
    let idle = report.targets.iter().filter(|target| target.ran_no_task).count();
    if idle > 0 {
        facts.push(format!("no task ran the revision in {}, whose desired count is 0", count(idle, "target")));
    }
    if let Some(gate) = &report.verdict.gate {
        facts.push(format!("stopped at the gate before wave {}", code(gate)));
    }
    let job = &report.run.job;
    if let Some(commit) = &job.commit {
        let hash = start(commit, 8);
        let author = job.author.as_ref().map(|author| format!(" by {}", escaped(author))).unwrap_or_default();
        facts.push(match job.commit_url.as_ref().filter(|url| is_address(url)) {
            Some(url) => format!("commit [{}](<{url}>){author}", escaped(&hash)),
            None => format!("commit {}{author}", escaped(commit)),
        });
    }
    let ships = lines(&report.ships);
    facts.extend(
        ships.iter().take(SHIPS).map(|(what, targets)| format!("{}, {}", code(what), count(*targets, "target"))),
    );
    if ships.len() > SHIPS {
        facts.push(format!("{} more images are in `report.json`", ships.len() - SHIPS));
    }
    if let Some(url) = job.url.as_ref().or(job.pipeline_url.as_ref()).filter(|url| is_address(url)) {
        facts.push(format!("[the job](<{url}>)"));
    }
    facts.iter().for_each(|fact| text.push_str(&format!("- {fact}\n")));
    text.push_str(if facts.is_empty() { "" } else { "\n" });
    if let Some(refused) = &report.verdict.refused {
        let mut lines = refused.message.clone();
        lines.extend(refused.help.iter().map(|help| format!("help: {help}")));
        text.push_str(&block(&lines));
    }
    text
}

fn waves(report: &Report) -> String {
    if report.waves.is_empty() {
        return String::new();
    }
    let mut text = "| wave | targets | ended | time | bake |\n| --- | --- | --- | ---: | ---: |\n".to_owned();
    for wave in &report.waves {
        let ended = match (&wave.halted_by, wave.passed) {
            (Some(cause), _) => format!("halted by {}", code(&cause.to_string())),
            (None, Some(true)) => match wave.failures() {
                0 => "passed".to_owned(),
                failures => format!("passed with {}", count(failures, "failure")),
            },
            (None, Some(false)) => "did not pass".to_owned(),
            (None, None) if wave.started_at.is_some() => "not finished".to_owned(),
            (None, None) => "not started".to_owned(),
        };
        let time = wave.started_at.zip(wave.ended_at).map(|(start, end)| crate::state::milliseconds(start, end));
        let bake =
            if wave.bake_seconds > 0 { duration(wave.bake_seconds.saturating_mul(1_000)) } else { String::new() };
        text.push_str(&format!(
            "| {} | {} | {ended} | {} | {bake} |\n",
            code(&wave.name),
            counts(&wave.totals),
            time.map(duration).unwrap_or_default()
        ));
    }
    text + "\n"
}

fn failure(report: &Report, targets: &[&Target]) -> String {
    let Some(first) = targets.first() else { return String::new() };
    let link = |target: &&Target| {
        let name = code(&target.target.to_string());
        // What was never started has nothing to be looked at.
        match target.started_at.is_some() && is_address(&target.console) {
            true => format!("[{name}](<{}>)", target.console),
            false => name,
        }
    };
    let mut names: Vec<String> = targets.iter().take(NAMED).map(link).collect();
    if targets.len() > NAMED {
        names.push(format!("and {} more", targets.len() - NAMED));
    }
    let same = if targets.len() > 1 { format!(" ({}, the same)", targets.len()) } else { String::new() };
    let mut text = format!("**{}**{same}: {}\n\n", first.outcome.words(), names.join(", "));
    if let Some(reason) = report.reason(first) {
        let mut lines = vec![reason.summary.clone()];
        lines.extend(first.cause.iter().map(|cause| format!("because of {cause}")));
        lines.extend(reason.lines(false, true).into_iter().map(|line| format!("  {line}")));
        text.push_str(&block(&lines));
    }
    text
}

/// Every target, as many as fit, worst first.
fn table(report: &Report, text: &mut String, limit: usize) {
    if report.targets.is_empty() {
        return;
    }
    text.push_str("<details><summary>All targets</summary>\n\n");
    text.push_str("| target | outcome | revision | time |\n| --- | --- | --- | ---: |\n");
    let targets = report.worst_first();
    let mut left_out = report.targets_left_out;
    for (place, target) in targets.iter().enumerate() {
        let row = format!(
            "| {} | {} | {} | {} |\n",
            code(&target.target.to_string()),
            target.outcome.words(),
            code(&target.revisions()),
            target.elapsed_ms.map(duration).unwrap_or_default()
        );
        if text.len() + row.len() > limit {
            left_out += targets.len() - place;
            break;
        }
        text.push_str(&row);
    }
    text.push_str("\n</details>\n");
    if left_out > 0 {
        text.push_str(&format!(
            "\n**Truncated:** {} do not fit a note of GitLab's and are left out here; `report.json` has them.\n",
            count(left_out, "target")
        ));
    }
}

/// Returns lines as a block that none of them can end: its fence is longer than any in them.
fn block(lines: &[String]) -> String {
    let lines: Vec<String> = lines.iter().map(|line| cut(&clean(line), WIDTH).into_owned()).collect();
    let run = |line: &String| line.trim_start().bytes().take_while(|byte| *byte == b'`').count();
    let fence = "`".repeat(lines.iter().map(run).max().unwrap_or_default().max(2) + 1);
    let lines: String = lines.iter().map(|line| format!("{line}\n")).collect();
    format!("{fence}text\n{lines}{fence}\n\n")
}

/// Whether a text can stand between angle brackets as an address.
fn is_address(text: &str) -> bool {
    text.starts_with("https://") && !text.chars().any(|char| char.is_whitespace() || "<>".contains(char))
        || text.starts_with("http://") && !text.chars().any(|char| char.is_whitespace() || "<>".contains(char))
}
