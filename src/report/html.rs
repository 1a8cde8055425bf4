//! The run as one page for a browser: the verdict, each reason once, and a timeline of every target that can be filtered.
//!
//! The page is complete in itself, and its content security policy lets it ask for nothing. What a reader needs first is
//! written here, as HTML that needs no script; the timeline is made by the scripts beside it, out of the data at the end.

mod data;
mod markup;

use std::io::{self, Write};

use indexmap::IndexMap;
use jiff::Timestamp;

use crate::base::exit::Exit;
use crate::base::text::{count, duration, parallel};
use crate::plan::ships::{SHIPS, lines};
use crate::report::html::data::glyph_and_tone;
use crate::report::html::markup::{Page, digest, glyph, link};
use crate::report::{Ending, Line, Reason, Report, Run, Target, Wave};

/// How many distinct failures are told before the rest is left to the timeline.
const FAILURES: usize = 50;
/// How many targets a failure names before it counts the rest.
const NAMED: usize = 40;

const STYLE: &str = include_str!("html/page.css");
const GLYPHS: &str = include_str!("html/glyphs.svg");
const TARGETS: &str = include_str!("html/targets.html");
const SCRIPT: &str = concat!(
    include_str!("html/report.js"),
    include_str!("html/draw.js"),
    include_str!("html/timeline.js"),
    include_str!("html/stages.js"),
    include_str!("html/rows.js"),
    include_str!("html/detail.js"),
    include_str!("html/page.js"),
);

/// Writes the report as a page: HTML in UTF-8, without anything to fetch. Where the logs of its targets are beside it, it links
/// to them.
pub(super) fn write(report: &Report, has_logs: bool, writer: &mut dyn Write) -> io::Result<()> {
    let mut page = Page::new(writer);
    head(report, &mut page);
    page.html(GLYPHS);
    verdict(report, &mut page);
    page.html("<main>\n");
    callouts(report, &mut page);
    failures(report, &mut page);
    waves(report, &mut page);
    page.html("<p class=\"callout mild needs\" id=\"needs\">The timeline, its filter and the details of each target need JavaScript. ");
    page.html(
        "The JSON report has all of it.</p>
",
    );
    if !report.targets.is_empty() {
        page.html(TARGETS);
    }
    story(&report.events, report.run.started_at, &mut page);
    parts(&report.parts, &mut page);
    page.html("</main>\n<aside id=\"detail\" hidden aria-labelledby=\"detail-title\"></aside>\n");
    page.html("<footer>Made by roleout ").text(env!("CARGO_PKG_VERSION"));
    page.html(". Times of day are in UTC; those with a plus count from the start of the run.</footer>\n");
    page.html("<script type=\"application/json\" id=\"data\">");
    data::write(report, has_logs, &mut page);
    page.html("</script>\n<script>").html(SCRIPT).html("</script>\n</body>\n</html>\n");
    page.end()
}

/// Returns the glyph and the tone of a verdict.
fn sign(report: &Report) -> (&'static str, &'static str) {
    match report.verdict.exit() {
        Some(Exit::Done) => ("check", "good"),
        Some(Exit::Gate | Exit::Tolerated | Exit::Pending | Exit::Interrupted | Exit::Terminated) => ("mind", "warn"),
        None => ("dots", "odd"),
        Some(_) => ("cross", "bad"),
    }
}

fn head(report: &Report, page: &mut Page<'_>) {
    let (_, tone) = sign(report);
    let colour = match tone {
        "good" => "%231b7043",
        "warn" => "%23855600",
        "odd" => "%236b3fa0",
        _ => "%23b1241b",
    };
    page.html("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    page.html("<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; script-src '")
        .html(&digest(SCRIPT));
    page.html("'; style-src '").html(&digest(STYLE)).html("'; img-src data:; base-uri 'none'; form-action 'none'\">\n");
    page.html("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    page.html("<meta name=\"referrer\" content=\"no-referrer\">\n<title>").text(&report.verdict.words);
    page.text(&format!(" ({})", report.counts())).html("</title>\n<link rel=\"icon\" href=\"data:image/svg+xml,");
    page.html("%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Ccircle cx='8' cy='8' r='7' fill='");
    page.html(colour).html("'/%3E%3C/svg%3E\">\n<style>").html(STYLE).html("</style>\n</head>\n<body>\n");
}

fn verdict(report: &Report, page: &mut Page<'_>) {
    let (shape, tone) = sign(report);
    page.html(
        "<header>\n<div class=\"brand\"><span><b>roleout</b> report</span>\n<nav aria-label=\"Parts of the page\">",
    );
    let parts = [
        ("why", "Reasons", report.worst_first().first().is_some_and(|worst| worst.outcome.weight() > 0)),
        ("waves", "Waves", !report.waves.is_empty()),
        ("targets", "Timeline", !report.targets.is_empty()),
    ];
    for (id, words, _) in parts.into_iter().filter(|(_, _, is_there)| *is_there) {
        page.html(&format!("<a href=\"#{id}\">{words}</a>"));
    }
    page.html("</nav>");
    page.html("<button class=\"button\" id=\"theme\" type=\"button\" hidden>Theme: auto</button></div>\n<h1 class=\"");
    page.html(tone).html("\">").html(&glyph(shape, "")).html("<span>").text(&report.verdict.words);
    page.html("</span></h1>\n<dl class=\"facts\">\n");
    let mut fact = |term: &str, value: String| {
        page.html("<div><dt>").text(term).html("</dt><dd>").html(&value).html("</dd></div>\n");
    };
    let plain = |text: &str| markup::escaped(text);
    let (run, job) = (&report.run, &report.run.job);
    if let Some(code) = report.verdict.exit_code {
        fact("Exit code", code.to_string());
    }
    if report.all() > 0 {
        fact("Targets", thousands(report.all()));
    }
    if let Some(start) = run.started_at {
        fact("Started", moment(start));
    }
    if run.elapsed_ms > 0 {
        fact("Took", duration(run.elapsed_ms));
    }
    if run.sandbox {
        fact("Where", "the sandbox, not AWS".to_owned());
    }
    let short = |commit: &str| commit.chars().take(12).collect::<String>();
    let facts = [
        ("Environment", job.environment.as_deref().map(plain)),
        ("Project", job.project.as_deref().map(plain)),
        ("Branch or tag", job.reference.as_deref().map(plain)),
        ("Commit", job.commit.as_deref().map(|commit| link(&short(commit), job.commit_url.as_deref()))),
        ("Author", job.author.as_deref().map(plain)),
        ("Pipeline", job.pipeline_id.as_deref().map(|id| link(&format!("#{id}"), job.pipeline_url.as_deref()))),
        ("Job", job.name.as_deref().or(job.id.as_deref()).map(|name| link(name, job.url.as_deref()))),
        ("Run", run.id.as_deref().map(|id| format!("<code>{}</code>", plain(id)))),
        ("Ships", ships(report)),
    ];
    for (term, value) in facts {
        if let Some(value) = value {
            fact(term, value);
        }
    }
    page.html("</dl>\n");
    totals(report, page);
    page.html("</header>\n");
}

/// What the run ships, a line for each distinct change of an image; `None` = no image changes.
fn ships(report: &Report) -> Option<String> {
    let all = lines(&report.ships);
    let line = |(what, targets): &(String, usize)| format!("{}, {}", markup::escaped(what), count(*targets, "target"));
    let mut told: Vec<String> = all.iter().take(SHIPS).map(line).collect();
    if all.len() > SHIPS {
        told.push(format!("and {} more images, which <code>report.json</code> has", all.len() - SHIPS));
    }
    (!told.is_empty()).then(|| told.join("<br>"))
}

/// The totals: their shares as a bar, and in words.
fn totals(report: &Report, page: &mut Page<'_>) {
    let all = report.all();
    if all == 0 {
        return;
    }
    page.html("<svg class=\"share\" viewBox=\"0 0 1000 10\" preserveAspectRatio=\"none\" aria-hidden=\"true\">");
    let mut left = 0.0;
    for (ending, number) in report.totals.iter().rev() {
        // What is one of five thousand is still seen.
        let width = (f64::from(u32::try_from(*number).unwrap_or(u32::MAX)) * 1000.0
            / f64::from(u32::try_from(all).unwrap_or(u32::MAX)))
        .max(3.0);
        let tone = glyph_and_tone(*ending).1;
        page.html(&format!(
            "<rect class=\"{tone}\" x=\"{left:.2}\" y=\"0\" width=\"{:.2}\" height=\"10\"/>",
            width - 1.5
        ));
        left += width;
    }
    page.html("</svg>\n<ul class=\"totals\">\n");
    for (ending, number) in report.totals.iter().rev() {
        let (shape, tone) = glyph_and_tone(*ending);
        page.html(&format!("<li class=\"{tone}\">{}<b>{}</b> <span>", glyph(shape, ""), thousands(*number)))
            .text(ending.words());
        page.html("</span></li>\n");
    }
    page.html("</ul>\n");
}

/// What ended the run early.
fn callouts(report: &Report, page: &mut Page<'_>) {
    let verdict = &report.verdict;
    if let Some(refused) = &verdict.refused {
        page.html("<section class=\"callout\" aria-label=\"Refused\"><p><b>Refused:</b> nothing was changed</p><pre>");
        page.text(&refused.message.join("\n")).html("</pre>");
        for help in &refused.help {
            page.html("<p class=\"help\"><b>Help:</b> ").text(help).html("</p>");
        }
        page.html("</section>\n");
    }
    if let Some(halt) = &verdict.halted {
        page.html("<section class=\"callout\" aria-label=\"Halted\"><p><b>Halted</b> in wave <b>").text(&halt.wave);
        page.html("</b>: ").text(&format!("{} failed, {} allowed. ", halt.failed, halt.max_failures));
        page.html("The first was ").html(&markup::target(&halt.cause.to_string())).html(".</p></section>\n");
    }
    if let Some(signal) = &verdict.cancelled {
        page.html("<section class=\"callout mild\" aria-label=\"Cancelled\"><p><b>Cancelled</b> by ").text(signal);
        page.html(". Deployments that are detached may go on in ECS.</p></section>\n");
    }
    if let Some(wave) = &verdict.gate {
        page.html("<section class=\"callout mild\" aria-label=\"Gate\"><p><b>Stopped at the gate</b> before wave <b>");
        page.text(wave).html("</b>.</p></section>\n");
    }
}

/// Why targets did not succeed: each distinct outcome and reason once, the worst first.
fn failures(report: &Report, page: &mut Page<'_>) {
    let mut groups: IndexMap<_, Vec<&Target>> = IndexMap::new();
    for target in report.worst_first().into_iter().filter(|target| target.outcome.weight() >= 1) {
        let reason = report.reason(target).map(|reason| (summary(reason, target), &reason.evidence, &reason.help));
        groups.entry((target.outcome, reason)).or_default().push(target);
    }
    if groups.is_empty() {
        return;
    }
    page.html("<section id=\"why\" aria-labelledby=\"why-title\">\n");
    page.html("<h2 id=\"why-title\">Failures</h2>\n");
    for targets in groups.values().take(FAILURES) {
        failure(report, targets, page);
    }
    if groups.len() > FAILURES {
        page.html("<p class=\"why\">")
            .text(&format!("{} more are in the timeline below.", thousands(groups.len() - FAILURES)));
        page.html("</p>\n");
    }
    page.html("</section>\n");
}

/// Returns a reason's first line without the id of the target's own deployment, which tells targets apart and not reasons.
fn summary(reason: &Reason, target: &Target) -> String {
    let summary = reason.summary.replace("ecs-svc/…", "its deployment");
    target.deployment.as_ref().map(|id| summary.replace(id, "its deployment")).unwrap_or(summary)
}

fn failure(report: &Report, targets: &[&Target], page: &mut Page<'_>) {
    let Some(first) = targets.first() else { return };
    let (shape, tone) = glyph_and_tone(first.outcome);
    page.html("<article class=\"why\">\n<h3 class=\"").html(tone).html("\">").html(&glyph(shape, "")).html("<span>");
    page.text(first.outcome.words());
    let reason = report.reason(first);
    if let Some(reason) = reason {
        page.text(&format!(": {}", summary(reason, first)));
    }
    page.html("</span></h3>\n");
    if targets.len() > 1 {
        page.html("<p class=\"of\">").text(&counted(targets.len(), "target")).html("</p>\n");
    }
    if let Some(reason) = reason.filter(|reason| !reason.evidence.is_empty()) {
        page.html("<ul class=\"evidence\">\n");
        for evidence in &reason.evidence {
            page.html("<li>").text(&evidence.to_string());
            if !evidence.log.is_empty() {
                page.html("<pre class=\"log\" tabindex=\"0\" role=\"group\" aria-label=\"Log\">")
                    .text(&evidence.log.join("\n"));
                page.html("</pre>");
            }
            page.html("</li>\n");
        }
        page.html("</ul>\n");
    }
    if let Some(help) = reason.and_then(|reason| reason.help.as_deref()) {
        page.html("<p class=\"help\"><b>Help:</b> ").text(help).html("</p>\n");
    }
    page.html("<ul class=\"names\">\n");
    for target in targets.iter().take(NAMED) {
        page.html("<li>").html(&markup::target(&target.target.to_string())).html("</li>\n");
    }
    if targets.len() > NAMED {
        let more = format!("and {} more", thousands(targets.len() - NAMED));
        let same = targets.iter().all(|target| target.reason == first.reason);
        let place = first.reason.filter(|_| same).map(|place| format!("&amp;reason={place}")).unwrap_or_default();
        let outcome = data::word(first.outcome);
        page.html(&format!("<li><a href=\"#outcome={outcome}{place}\">{more}</a></li>\n"));
    }
    page.html("</ul>\n</article>\n");
}

fn waves(report: &Report, page: &mut Page<'_>) {
    if report.waves.is_empty() {
        return;
    }
    page.html("<section id=\"waves\" aria-labelledby=\"waves-title\">\n<h2 id=\"waves-title\">Waves</h2>\n<div class=\"scroll\"><table>\n<thead><tr>");
    page.html("<th scope=\"col\">Wave</th><th scope=\"col\">Targets</th><th scope=\"col\">Ended</th><th scope=\"col\">At once</th>");
    page.html("<th scope=\"col\" class=\"number\">May fail</th><th scope=\"col\" class=\"number\">Bake</th>");
    page.html("<th scope=\"col\" class=\"number\">Time</th></tr></thead>\n<tbody>\n");
    for wave in &report.waves {
        page.html("<tr><td>").text(&wave.name).html("</td><td>").text(&tallied(&wave.totals)).html("</td><td>");
        page.html(&wave_ended(wave)).html("</td><td>").text(&parallel(&wave.max_parallel));
        page.html(&format!("</td><td class=\"number\">{}</td><td class=\"number\">", wave.max_failures));
        if wave.bake_seconds > 0 {
            page.text(&duration(wave.bake_seconds.saturating_mul(1000)));
        }
        page.html("</td><td class=\"number\">");
        if let Some((start, end)) = wave.started_at.zip(wave.ended_at) {
            page.text(&duration(crate::state::milliseconds(start, end)));
        }
        page.html("</td></tr>\n");
    }
    page.html("</tbody>\n</table></div>\n</section>\n");
}

fn wave_ended(wave: &Wave) -> String {
    let word = |shape, tone, words: &str| glyph(shape, tone) + words;
    match (&wave.halted_by, wave.passed) {
        (Some(cause), _) => word("cross", "bad", "halted by ") + &markup::target(&cause.to_string()),
        (None, Some(true)) => match wave.failures() {
            0 => word("check", "good", "passed"),
            failures => word("mind", "warn", &format!("passed with {}", counted(failures, "failure"))),
        },
        (None, Some(false)) => word("cross", "bad", "did not pass"),
        (None, None) if wave.started_at.is_some() => word("dots", "odd", "not finished"),
        (None, None) if wave.gate => word("ring", "calm", "not started, has a gate"),
        (None, None) => word("ring", "calm", "not started"),
    }
}

/// What was said of no target in particular.
fn story(events: &[Line], start: Option<Timestamp>, page: &mut Page<'_>) {
    if events.is_empty() {
        return;
    }
    page.html("<details class=\"more\"><summary>Run log (").text(&counted(events.len(), "event"));
    page.html(")</summary>\n<ol class=\"story\">\n");
    for event in events {
        let since = start.map(|start| crate::state::milliseconds(start, event.at));
        page.html("<li><time datetime=\"").text(&event.at.to_string()).html("\">");
        page.text(&since.map(|since| format!("+{}", duration(since))).unwrap_or_default()).html("</time><span>");
        page.text(&event.text).html("</span></li>\n");
    }
    page.html("</ol></details>\n");
}

/// The runs of which a report was merged.
fn parts(parts: &[Run], page: &mut Page<'_>) {
    if parts.is_empty() {
        return;
    }
    page.html("<details class=\"more\"><summary>Merged of ").text(&count(parts.len(), "run"));
    page.html(
        "</summary>\n<div class=\"scroll\"><table>\n<thead><tr><th scope=\"col\">Job</th><th scope=\"col\">Run</th>",
    );
    page.html("<th scope=\"col\">Started</th><th scope=\"col\" class=\"number\">Time</th></tr></thead>\n<tbody>\n");
    for run in parts {
        let name = run.job.name.as_deref().or(run.job.id.as_deref()).unwrap_or("-");
        page.html("<tr><td>").html(&link(name, run.job.url.as_deref())).html("</td><td>");
        page.text(run.id.as_deref().unwrap_or("-")).html("</td><td>");
        page.html(&run.started_at.map(moment).unwrap_or_default()).html("</td><td class=\"number\">");
        page.text(&duration(run.elapsed_ms)).html("</td></tr>\n");
    }
    page.html("</tbody>\n</table></div></details>\n");
}

/// Returns a number as the page's scripts write it: `12,345`.
fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn counted(number: usize, noun: &str) -> String {
    format!("{} {noun}{}", thousands(number), if number == 1 { "" } else { "s" })
}

/// Returns counts in words: `2,000 succeeded, 1 failed`.
fn tallied(totals: &IndexMap<Ending, usize>) -> String {
    let words: Vec<String> =
        totals.iter().map(|(ending, number)| format!("{} {}", thousands(*number), ending.words())).collect();
    if words.is_empty() { "no targets".to_owned() } else { words.join(", ") }
}

/// Returns a time of day as an element.
fn moment(at: Timestamp) -> String {
    format!("<time datetime=\"{at}\">{} UTC</time>", at.strftime("%Y-%m-%d %H:%M:%S"))
}
