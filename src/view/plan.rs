//! A plan as people read it: what is the same said once, what is blocked after it, then the waves, the worst case and
//! the time.

use std::collections::{BTreeSet, HashMap, HashSet};

use indexmap::IndexMap;

use crate::base::text;
use crate::base::text::{clean, count, duration};
use crate::fleet::OnCancel;
use crate::narrate::outcome::Tone;
use crate::plan::diff::Line;
use crate::plan::outline::WaveOutline;
use crate::plan::preview::{Group, Kind, Preview, Target, Wave};
use crate::plan::time_estimate::{Limited, TimeEstimate};
use crate::view::style::Paint;

/// How many accounts a group names before it counts the rest.
const NAMED: usize = 40;
/// How many accounts with unchanged targets are named.
const NAMED_UNCHANGED: usize = 8;
/// How many services a group names on lines of their own.
const SERVICES: usize = 12;

/// What the signs mean.
const LEGEND: &str = "~ will change, = is unchanged, ✖ is blocked; - is the present value, + the new one";
/// Of more accounts than this, those are named that are not among them, where these are few.
const ALL: usize = 8;
const ALL_BUT: usize = 3;

/// Returns the plan as text of at most so many columns where words allow.
pub fn text(preview: &Preview, paint: Paint, columns: usize) -> String {
    let mut page = Page { paint, columns, text: String::new() };
    let targets = by_name(preview);
    if !preview.targets.is_empty() {
        page.wrap(Tone::Dim, LEGEND, 0);
        page.text.push('\n');
    }
    for group in preview.groups.iter().filter(|group| group.action != Kind::Blocked) {
        page.group(group, preview, &targets);
    }
    page.unchanged(preview);
    page.blocked(preview, &targets);
    page.waves(preview);
    if preview.pending() > 0 {
        let worst = count(preview.worst_case_failures, "target");
        page.wrap(Tone::Plain, &format!("up to {worst} can fail before this halts"), 0);
        for line in policies(preview) {
            page.wrap(Tone::Plain, &line, 0);
        }
        if let Some(estimate) = &preview.time_estimate {
            page.wrap(Tone::Dim, &time(estimate), 0);
            if let Some(warning) = warning(estimate) {
                page.wrap(Tone::Warn, &format!("warning: {warning}"), 0);
            }
        }
        page.text.push('\n');
    }
    for note in &preview.notes {
        page.wrap(Tone::Dim, &format!("note: {note}"), 0);
    }
    page.line(Tone::Strong, &format!("plan: {}", verdict(preview)));
    page.text
}

struct Page {
    paint: Paint,
    columns: usize,
    text: String,
}

impl Page {
    fn group(&mut self, group: &Group, preview: &Preview, targets: &HashMap<&str, &Target>) {
        let members = members(group, targets);
        let revisions = revisions(&members);
        if let [only] = members[..] {
            let line = format!("~ {}  {}  {revisions}", word(group.action), clean(&only.target));
            self.line(Tone::Warn, line.trim_end());
        } else {
            let line = format!("~ {}{}  {revisions}", word(group.action), same(group, &members, preview));
            self.line(Tone::Warn, line.trim_end());
            self.spread(&spread(&members, preview), NAMED, Tone::Plain);
        }
        for note in &group.notes {
            self.line(Tone::Plain, &format!("    {}", clean(note)));
        }
        let mut place = "";
        for line in &group.diff {
            if line.place != place {
                place = &line.place;
                self.line(Tone::Dim, &format!("    {}", clean(place)));
            }
            for (tone, line) in signed(line, '~') {
                // A line of a diff is one line, however long: broken lines cannot be compared.
                self.line(tone, &format!("    {line}"));
            }
        }
        self.text.push('\n');
    }

    fn unchanged(&mut self, preview: &Preview) {
        let members: Vec<&Target> = preview.targets.iter().filter(|target| target.action == Kind::Unchanged).collect();
        if !members.is_empty() {
            self.line(Tone::Dim, &format!("= unchanged, {}", count(members.len(), "target")));
            self.spread(&spread(&members, preview), NAMED_UNCHANGED, Tone::Dim);
            self.text.push('\n');
        }
    }

    fn blocked(&mut self, preview: &Preview, targets: &HashMap<&str, &Target>) {
        for group in preview.groups.iter().filter(|group| group.action == Kind::Blocked) {
            let members = members(group, targets);
            if let [only] = members[..] {
                self.line(Tone::Bad, &format!("✖ blocked  {}", clean(&only.target)));
            } else {
                self.line(Tone::Bad, &format!("✖ blocked, the same in {}", count(members.len(), "target")));
                self.spread(&spread(&members, preview), NAMED, Tone::Plain);
            }
            self.wrap(Tone::Bad, group.reason.as_deref().unwrap_or_default(), 4);
            if let Some(help) = &group.help {
                self.wrap(Tone::Plain, &format!("help: {help}"), 4);
            }
            self.text.push('\n');
        }
    }

    fn spread(&mut self, places: &[Place], named: usize, tone: Tone) {
        for place in places.iter().take(SERVICES) {
            let head = format!("  {}: {}", clean(&place.services), place.all);
            let names = place.accounts.iter().map(String::as_str);
            let lines = text::list(names, named, 0, self.columns.saturating_sub(4));
            let rest = lines.iter().skip(1).map(|line| format!("    {line}"));
            let first = format!("{head}{}", lines.first().map_or("", String::as_str));
            for line in std::iter::once(first).chain(rest) {
                self.line(tone, &line);
            }
        }
        if places.len() > SERVICES {
            self.line(tone, &format!("  … and {} more", count(places.len() - SERVICES, "service")));
        }
    }

    fn waves(&mut self, preview: &Preview) {
        let rows: Vec<[String; COLUMNS]> = table(preview);
        let widths: Vec<usize> = (0..COLUMNS)
            .map(|column| {
                let heads = [HEADS[column].0, HEADS[column].1].map(text::width);
                rows.iter().map(|row| text::width(&row[column])).chain(heads).max()
            })
            .map(Option::unwrap_or_default)
            .collect();
        let line = |cells: &[&str]| {
            let cell = |(column, cell): (usize, &&str)| match RIGHT[column] {
                true => format!("{}{cell}", " ".repeat(widths[column].saturating_sub(text::width(cell)))),
                false => text::pad(cell, widths[column]),
            };
            cells.iter().enumerate().map(cell).collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        if rows.is_empty() {
            return;
        }
        // What two columns are about is said above the first of them.
        let is_first = |column: usize| column == 0 || HEADS[column].0 != HEADS[column - 1].0;
        let above: Vec<&str> = (0..COLUMNS).map(|at| if is_first(at) { HEADS[at].0 } else { "" }).collect();
        self.line(Tone::Strong, &line(&above));
        self.line(Tone::Strong, &line(&HEADS.map(|head| head.1)));
        for row in &rows {
            self.line(Tone::Plain, &line(&row.each_ref().map(String::as_str)));
        }
        for wave in preview.waves.iter().map(|wave| &wave.outline).filter(|wave| wave.targets > 0) {
            let mut accounts: Vec<&str> = Vec::new();
            for target in preview.targets.iter().filter(|target| target.wave == wave.name) {
                if !accounts.contains(&target.account.as_str()) {
                    accounts.push(&target.account);
                }
            }
            let head = format!("{}: ", clean(&wave.name));
            let lines = text::list(accounts.into_iter(), NAMED_UNCHANGED, 0, self.columns.saturating_sub(2));
            for (number, line) in lines.iter().enumerate() {
                self.line(Tone::Dim, &format!("{}{line}", if number == 0 { head.as_str() } else { "  " }));
            }
        }
        for wave in preview.waves.iter().map(|wave| &wave.outline).filter(|wave| wave.gate && wave.targets > 0) {
            self.wrap(Tone::Warn, &format!("the run stops at a gate before wave {}", wave.name), 0);
        }
        self.text.push('\n');
    }

    fn wrap(&mut self, tone: Tone, text: &str, indent: usize) {
        for line in text::wrap(text, indent, self.columns) {
            self.line(tone, &line);
        }
    }

    fn line(&mut self, tone: Tone, line: &str) {
        self.text.push_str(&self.paint.paint(tone, line));
        self.text.push('\n');
    }
}

/// How many columns the table of waves has.
pub(super) const COLUMNS: usize = 8;
/// Their heads: what a column is about, and what of it.
pub(super) const HEADS: [(&str, &str); COLUMNS] = [
    ("", "wave"),
    ("", "targets"),
    ("", "to change"),
    ("failures", "allowed"),
    ("failures", "at worst"),
    ("time", "estimated"),
    ("time", "at worst"),
    ("", "how"),
];
/// Which of them are numbers.
pub(super) const RIGHT: [bool; COLUMNS] = [false, true, true, true, true, true, true, false];

/// Returns the table of waves that have targets.
pub(super) fn table(preview: &Preview) -> Vec<[String; COLUMNS]> {
    let row = |Wave { outline: wave, worst_case_seconds, expected_seconds }: &Wave| {
        let bake = match wave.bake_seconds {
            0 => String::new(),
            seconds => {
                let alarms = match wave.alarms {
                    0 => String::new(),
                    alarms => format!(" with {}", text::count(alarms, "alarm")),
                };
                format!(", then {} of bake{alarms}", duration(seconds.saturating_mul(1000)))
            }
        };
        let time = |seconds: Option<u64>| match seconds.filter(|_| wave.changing > 0) {
            Some(seconds) => duration(seconds.saturating_mul(1000)),
            None => "-".to_owned(),
        };
        [
            clean(&wave.name).into_owned(),
            wave.targets.to_string(),
            wave.changing.to_string(),
            wave.max_failures.to_string(),
            wave.worst_case_failures.to_string(),
            time(*expected_seconds),
            time(*worst_case_seconds),
            format!("{}{bake}", text::parallel(&wave.max_parallel)),
        ]
    };
    preview.waves.iter().filter(|wave| wave.outline.targets > 0).map(row).collect()
}

/// Returns what is done on failure and on cancel, where that is more than to stop: `on failure: back to what ran before
/// (target)`. Waves that differ are named.
pub(super) fn policies(preview: &Preview) -> Vec<String> {
    let waves: Vec<&WaveOutline> =
        preview.waves.iter().map(|wave| &wave.outline).filter(|wave| wave.changing > 0).collect();
    let mut lines: IndexMap<(&str, String), Vec<String>> = IndexMap::new();
    for wave in &waves {
        let failure = wave.on_failure.words().map(|words| ("on failure", words));
        let cancel =
            (wave.on_cancel == OnCancel::Rollback).then(|| ("on cancel", "ECS is asked to roll back".to_owned()));
        for line in failure.into_iter().chain(cancel) {
            lines.entry(line).or_default().push(clean(&wave.name).into_owned());
        }
    }
    let line = |((when, what), names): ((&str, String), Vec<String>)| match names.len() == waves.len() {
        true => format!("{when}: {what}"),
        false => format!("{when} in {}: {what}", names.join(", ")),
    };
    lines.into_iter().map(line).collect()
}

/// Returns what is expected, the worst case and what that has to fit, in words.
pub(super) fn time(estimate: &TimeEstimate) -> String {
    let gate = estimate.until_gate.as_ref().map(|wave| format!(", up to the gate before wave {wave}"));
    let worst = duration(estimate.worst_case_seconds.saturating_mul(1000));
    let limits: Vec<String> = estimate
        .limits
        .iter()
        .map(|limit| {
            let left = duration(limit.seconds.saturating_mul(1000));
            match limit.what {
                Limited::IdToken => format!("the ID token is valid for another {left}"),
                Limited::Sessions => format!("the sessions last {left}, and the ID token ends before"),
                Limited::Job => format!("the job has {left} left"),
            }
        })
        .collect();
    let limits = if limits.is_empty() { String::new() } else { format!("; {}", limits.join("; ")) };
    let gate = gate.unwrap_or_default();
    match estimate.expected_seconds {
        Some(expected) => {
            format!("estimated {}, at worst {worst}{gate}{limits}", duration(expected.saturating_mul(1000)))
        }
        None => format!("at worst {worst}{gate}{limits}"),
    }
}

/// Returns what a person should know where the run is not expected to fit. That its worst case does not is no warning: it
/// hardly ever does.
pub fn warning(estimate: &TimeEstimate) -> Option<String> {
    let expected = estimate.expected_seconds?;
    let tightest = estimate.limits.first().filter(|limit| expected > limit.seconds)?;
    let (what, help) = match tightest.what {
        Limited::IdToken | Limited::Sessions => (
            "the ID token cannot renew the sessions for so long",
            "it lives as long as the job may: raise the job's `timeout:`",
        ),
        Limited::Job => ("GitLab ends the job before", "raise the job's `timeout:`"),
    };
    let expected = duration(expected.saturating_mul(1000));
    let left = duration(tightest.seconds.saturating_mul(1000));
    Some(format!(
        "the estimate of {expected} does not fit the {left} that are left: {what}; {help}, lower `rollout.timeout`, let \
         more targets run at once, or split the waves with gates"
    ))
}

/// Returns the last line: `18 to deploy, 2 unchanged, 1 blocked`.
pub(super) fn verdict(preview: &Preview) -> String {
    let totals = &preview.totals;
    let words = [
        (totals.register + totals.deploy, "to deploy"),
        (totals.update, "to update"),
        (totals.unchanged, "unchanged"),
        (totals.blocked, "blocked"),
    ];
    let words: Vec<_> = words.iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!("{n} {word}")).collect();
    if words.is_empty() { "no targets".to_owned() } else { words.join(", ") }
}

/// Returns the lines of a difference with their signs; values that a hash stands for are one line.
pub(super) fn signed(line: &Line, both: char) -> Vec<(Tone, String)> {
    let path = clean(&line.path);
    let value = |value: &str| clean(value).into_owned();
    match (&line.before, &line.after) {
        (Some(before), Some(after)) if line.masked => {
            vec![(Tone::Warn, format!("{both} {path}: {} -> {}", value(before), value(after)))]
        }
        (before, after) => {
            let gone = before.iter().map(|before| (Tone::Removed, format!("- {path}: {}", value(before))));
            let come = after.iter().map(|after| (Tone::Good, format!("+ {path}: {}", value(after))));
            gone.chain(come).collect()
        }
    }
}

/// Returns the targets by their names.
pub(super) fn by_name(preview: &Preview) -> HashMap<&str, &Target> {
    preview.targets.iter().map(|target| (target.target.as_str(), target)).collect()
}

/// Returns the targets of a group.
pub(super) fn members<'a>(group: &Group, targets: &HashMap<&str, &'a Target>) -> Vec<&'a Target> {
    group.targets.iter().filter_map(|name| targets.get(name.as_str()).copied()).collect()
}

/// Returns `, the same in 18 of 20 targets`: the others are of the same services, and change in another way.
pub(super) fn same(group: &Group, members: &[&Target], preview: &Preview) -> String {
    let services: HashSet<&str> = members.iter().map(|target| target.service.as_str()).collect();
    let changes = |target: &&Target| !matches!(target.action, Kind::Unchanged | Kind::Blocked);
    let all =
        preview.targets.iter().filter(changes).filter(|target| services.contains(target.service.as_str())).count();
    match group.action {
        Kind::Register | Kind::Deploy | Kind::Update if all > members.len() => {
            format!(", the same in {} of {}", members.len(), count(all, "target"))
        }
        _ => format!(", the same in {}", count(members.len(), "target")),
    }
}

/// Where targets of some services are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Place {
    /// The services that are in these accounts.
    pub services: String,
    /// `all 14 accounts` of the services, or `all but ` the named ones; empty where those are named that it is about.
    pub all: String,
    /// Accounts, with the number of regions where it is more than one.
    pub accounts: Vec<String>,
}

/// Returns where targets are: for each service, or services that are in the same places, the accounts. Of many accounts those
/// are named that are missing, where a service is in all of the plan but few.
pub(super) fn spread(members: &[&Target], preview: &Preview) -> Vec<Place> {
    let of_services = |targets: &mut dyn Iterator<Item = &Target>| {
        let mut services: IndexMap<String, IndexMap<String, usize>> = IndexMap::new();
        for target in targets {
            *services.entry(target.service.clone()).or_default().entry(target.account.clone()).or_default() += 1;
        }
        services
    };
    let whole = of_services(&mut preview.targets.iter());
    let mut places: IndexMap<(String, Vec<String>), Vec<String>> = IndexMap::new();
    for (service, accounts) in of_services(&mut members.iter().copied()) {
        let missing: Vec<String> = whole
            .get(&service)
            .into_iter()
            .flatten()
            .filter(|(account, regions)| accounts.get(*account) != Some(*regions))
            .map(|(account, _)| account.clone())
            .collect();
        // An account of which a region is missing is neither in nor out.
        let is_clear = missing.iter().all(|account| !accounts.contains_key(account));
        let place = match (accounts.len() > ALL && is_clear, missing.len()) {
            (true, 0) => (format!("all {}", count(accounts.len(), "account")), Vec::new()),
            (true, 1..=ALL_BUT) => ("all but ".to_owned(), missing),
            _ => {
                let name = |(account, regions): (String, usize)| match regions {
                    1 => account,
                    regions => format!("{account} ({regions} regions)"),
                };
                (String::new(), accounts.into_iter().map(name).collect())
            }
        };
        places.entry(place).or_default().push(service);
    }
    let place = |((all, accounts), services): (_, Vec<String>)| Place { services: services.join(", "), all, accounts };
    places.into_iter().map(place).collect()
}

/// Returns what a group's heading begins with.
pub(super) fn word(action: Kind) -> &'static str {
    match action {
        Kind::Unchanged => "unchanged",
        Kind::Register => "new revision",
        Kind::Deploy => "deploy",
        Kind::Update => "new settings",
        Kind::Blocked => "blocked",
    }
}

/// Returns the revisions of targets: `(api:7 -> new)` where they are the same for all, else `(3 revisions -> new)`.
pub(super) fn revisions(members: &[&Target]) -> String {
    let words: BTreeSet<String> = members.iter().map(|target| revision(target)).collect();
    match words.into_iter().collect::<Vec<_>>().as_slice() {
        [one] => clean(one).into_owned(),
        _ => {
            let from: BTreeSet<&String> = members.iter().filter_map(|target| target.from.as_ref()).collect();
            let new = members.iter().all(|target| target.action == Kind::Register);
            match (from.len(), new) {
                (0, _) => String::new(),
                (from, true) => format!("({} -> new)", count(from, "revision")),
                (from, false) => format!("({})", count(from, "revision")),
            }
        }
    }
}

fn revision(target: &Target) -> String {
    match (target.action == Kind::Register, &target.from, &target.to) {
        (_, from, Some(to)) if from.as_ref() == Some(to) => format!("({to})"),
        (_, Some(from), Some(to)) => format!("({from} -> {to})"),
        (true, Some(from), None) => format!("({from} -> new)"),
        (false, Some(from), None) => format!("({from})"),
        (_, None, Some(to)) => format!("(-> {to})"),
        (_, None, None) => String::new(),
    }
}
