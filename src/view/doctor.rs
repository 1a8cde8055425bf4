//! What `doctor` found as people read it: the token, a line an account with every hop, and each finding once with its
//! evidence and its fix. Programs get [`json`].

use jiff::Timestamp;

use crate::base::text;
use crate::base::text::{clean, count};
use crate::doctor::finding::{Finding, Severity};
use crate::doctor::report::{HopState, Report, Row, TokenWords, Told};
use crate::narrate::outcome::Tone;
use crate::view::style::Paint;

/// How many accounts a finding names before it counts the rest.
const NAMED: usize = 20;

/// What stdout gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layout {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

/// Returns a report as JSON.
pub fn json(report: &Report) -> String {
    crate::base::json::pretty(report).expect("a report has string keys and finite numbers")
}

/// Returns a report as text of at most so many columns where words allow.
pub fn text(report: &Report, paint: Paint, columns: usize) -> String {
    let mut page = Page { paint, columns, text: String::new() };
    if let Some(token) = &report.token {
        page.token(token, report.at);
    }
    page.accounts(&report.accounts, report.at);
    for told in &report.findings {
        page.finding(told, report.accounts.len());
    }
    page.verdict(report);
    page.text
}

struct Page {
    paint: Paint,
    columns: usize,
    text: String,
}

impl Page {
    fn line(&mut self, tone: Tone, text: &str) {
        self.text.push_str(&self.paint.paint(tone, text));
        self.text.push('\n');
    }

    fn token(&mut self, token: &TokenWords, at: Timestamp) {
        let left = token.expires.map(|expires| (expires.as_second() - at.as_second(), expires));
        let left = left.map(|(left, expires)| match left {
            ..=0 => format!("ended at {}", expires.strftime("%H:%M:%S UTC")),
            left => format!("{} left", span(left)),
        });
        let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "(none)".to_owned());
        self.line(Tone::Strong, &format!("ID token in {}", clean(&token.source)));
        let audience = if token.audience.is_empty() { "(none)".to_owned() } else { token.audience.join(" ") };
        let rows = [
            ("iss", or_none(&token.issuer)),
            ("aud", audience),
            ("sub", or_none(&token.subject)),
            ("exp", left.unwrap_or_else(|| "(none)".to_owned())),
            ("project_path", or_none(&token.project_path)),
            ("ref_protected", or_none(&token.ref_protected)),
            ("environment", or_none(&token.environment)),
        ];
        for (name, value) in rows {
            self.line(Tone::Plain, &format!("  {name:<14} {}", clean(&value)));
        }
        self.text.push('\n');
    }

    fn accounts(&mut self, rows: &[Row], at: Timestamp) {
        let titles: Vec<String> =
            rows.iter().map(|row| format!("{} ({})", clean(&row.account), row.account_id)).collect();
        let width = titles.iter().map(|title| text::width(title)).max().unwrap_or(0);
        let deepest = rows.iter().map(|row| row.hops.len()).max().unwrap_or(0);
        let cells: Vec<Vec<(String, Tone)>> =
            rows.iter().map(|row| row.hops.iter().map(|hop| cell(&hop.role, &hop.state, at)).collect()).collect();
        let widths: Vec<usize> = (0..deepest)
            .map(|column| {
                cells.iter().filter_map(|row| row.get(column)).map(|(text, _)| text::width(text)).max().unwrap_or(0)
            })
            .collect();
        for ((row, title), cells) in rows.iter().zip(titles).zip(cells) {
            let (mark, tone) = if row.reached { ("✔", Tone::Good) } else { ("✖", Tone::Bad) };
            let mut line = format!("{} {}", self.paint.paint(tone, mark), text::pad(&title, width));
            let last = cells.len().saturating_sub(1);
            for (column, (text, tone)) in cells.iter().enumerate() {
                let text = if column == last { text.clone() } else { text::pad(text, widths[column]) };
                line.push_str("  ");
                line.push_str(&self.paint.paint(*tone, &text));
            }
            if row.hops.is_empty() {
                line.push_str("  the SDK's own credentials");
            }
            self.line(Tone::Plain, line.trim_end());
        }
        if !rows.is_empty() {
            self.text.push('\n');
        }
    }

    fn finding(&mut self, told: &Told, of: usize) {
        let Told { finding, accounts } = told;
        let (mark, tone) = match finding.severity {
            Severity::Fault => ("✖", Tone::Bad),
            Severity::Note => ("note", Tone::Warn),
        };
        self.line(tone, &format!("{mark} {}", finding.code));
        for line in text::wrap(&finding.what, 2, self.columns) {
            self.line(Tone::Plain, &line);
        }
        match &accounts[..] {
            [] => {}
            [one] => self.line(Tone::Dim, &format!("  account {}", clean(one))),
            all if all.len() == of => self.line(Tone::Dim, &format!("  all {of} accounts")),
            several => {
                self.line(Tone::Dim, &format!("  {}:", count(several.len(), "account")));
                let names = text::list(several.iter().map(String::as_str), NAMED, 4, self.columns);
                names.iter().for_each(|line| self.line(Tone::Plain, line));
            }
        }
        for line in &finding.evidence {
            self.item("- ", line);
        }
        if !finding.fix.is_empty() {
            self.line(Tone::Good, "  to do:");
        }
        self.fix(finding);
        self.text.push('\n');
    }

    /// A line of prose behind a mark, and what does not fit it hung below.
    fn item(&mut self, mark: &str, text: &str) {
        let hang = 2 + text::width(mark);
        for (number, line) in text::wrap(text, hang, self.columns).into_iter().enumerate() {
            let line = if number == 0 { format!("  {mark}{}", line.trim_start()) } else { line };
            self.line(Tone::Plain, &line);
        }
    }

    /// Prose is wrapped; what is to be copied (JSON, YAML, commands) keeps its lines.
    fn fix(&mut self, finding: &Finding) {
        for line in &finding.fix {
            let number = line.split_once(". ").filter(|(number, _)| number.parse::<u8>().is_ok());
            match number {
                _ if is_copied(line) => self.line(Tone::Plain, &format!("    {}", clean(line))),
                Some((number, rest)) => self.item(&format!("  {number}. "), rest),
                None => self.item("  ", line),
            }
        }
    }

    fn verdict(&mut self, report: &Report) {
        let reached = report.accounts.iter().filter(|row| row.reached).count();
        let all = count(report.accounts.len(), "account");
        let faults = report.findings.iter().filter(|told| told.finding.severity == Severity::Fault).count();
        let (tone, text) = match (reached == report.accounts.len(), faults) {
            (true, 0) => (
                Tone::Good,
                format!(
                    "there is a session in {}",
                    if report.accounts.len() == 1 { "the account".to_owned() } else { format!("all {all}") }
                ),
            ),
            (true, faults) => {
                (Tone::Bad, format!("there is a session in each account, but {}", count(faults, "error")))
            }
            (false, faults) => (
                Tone::Bad,
                format!("{} of {all} cannot be reached: {}", report.accounts.len() - reached, count(faults, "cause")),
            ),
        };
        self.line(tone, &text);
    }
}

/// Whether a line is to be copied as it is.
fn is_copied(line: &str) -> bool {
    line.starts_with(' ') || line.starts_with(['{', '}'])
}

/// `hub ✔ 1h 00m`, `deployer ✖ chain-external-id`, `deployer - not tried`
fn cell(role: &str, state: &HopState, at: Timestamp) -> (String, Tone) {
    let role = clean(role);
    match state {
        HopState::Ok { expires } => {
            let left = expires.as_second() - at.as_second();
            (format!("{role} ✔ {}", span(left)), Tone::Plain)
        }
        HopState::Refused { codes } => {
            let more = codes.len().saturating_sub(1);
            let more = if more > 0 { format!(" +{more}") } else { String::new() };
            (format!("{role} ✖ {}{more}", codes.first().map_or("refused", String::as_str)), Tone::Bad)
        }
        HopState::NotTried => (format!("{role} - not tried"), Tone::Dim),
    }
}

fn span(seconds: i64) -> String {
    text::duration(u64::try_from(seconds).unwrap_or_default() * 1000)
}
