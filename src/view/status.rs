//! A status as people read it: a table of every target by account, and then what asks for a person, drift last.
//!
//! With many targets an account is one line, and what is alike is said once. Programs get [`json`].

pub mod images;
mod table;

use indexmap::IndexMap;

use crate::base::text;
use crate::base::text::{clean, count, without_request_ids};
use crate::narrate::outcome::Tone;
use crate::narrate::stage;
use crate::plan::placeholders::{PlaceholderScope, Placeholders};
use crate::status::{DeploymentStatus, Drift, Status, TargetStatus};
use crate::view::style::Paint;

/// With more targets than this, an account is one line, unless every target is asked for.
const LISTED: usize = 60;
/// How many targets a group names before it counts the rest.
const NAMED: usize = 40;
/// How many entries of a section are written out before the rest is counted.
const WRITTEN: usize = 20;

/// What stdout gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layout {
    /// A table.
    #[default]
    Table,
    /// A table with every target, however many.
    Whole,
    /// JSON.
    Json,
}

/// Returns the status as JSON.
pub fn json(status: &Status) -> String {
    crate::base::json::pretty(status).expect("a status has string keys and finite numbers")
}

/// Returns the status as text of at most so many columns where words allow; `whole` lists every target.
pub fn text(status: &Status, paint: Paint, columns: usize, whole: bool) -> String {
    let mut page = Page { paint, columns, text: String::new() };
    let accounts = Accounts::group(status);
    if whole || status.targets.len() <= LISTED {
        table::write(&mut page, &accounts);
    } else {
        page.accounts(&accounts);
    }
    page.deployments(status);
    page.obstacles(status);
    page.unreachable(status, &accounts);
    page.missing(status);
    page.drift(status);
    page.line(Tone::Strong, &totals(status));
    page.text
}

/// What a row or an account asks of a person; the most last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Condition {
    InSync,
    Deploying,
    Pending,
    Unreachable,
    Missing,
    Drifted,
}

impl Condition {
    fn from_status(target: &TargetStatus) -> Self {
        match &target.drift {
            Drift::None if target.is_deploying() => Self::Deploying,
            Drift::None => Self::InSync,
            Drift::Pending { .. } => Self::Pending,
            Drift::Differs { .. } => Self::Drifted,
            Drift::Missing { .. } => Self::Missing,
            Drift::Unknown { .. } => Self::Unreachable,
        }
    }

    fn mark(self) -> (&'static str, Tone) {
        match self {
            Self::InSync => ("=", Tone::Dim),
            Self::Deploying => (">", Tone::Plain),
            Self::Unreachable | Self::Missing => ("✖", Tone::Bad),
            Self::Pending => ("~", Tone::Plain),
            Self::Drifted => ("~", Tone::Warn),
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::InSync => "in sync",
            Self::Deploying => "deploying",
            Self::Unreachable => "unreachable",
            Self::Missing => "missing",
            Self::Pending => "pending",
            Self::Drifted => "drifted",
        }
    }
}

/// Those that an account's line counts.
const CONDITIONS: [Condition; 5] =
    [Condition::Deploying, Condition::Pending, Condition::Unreachable, Condition::Missing, Condition::Drifted];

/// One account's targets, those that ask for a person last.
struct AccountRows<'a> {
    name: &'a str,
    id: &'a str,
    condition: Condition,
    targets: Vec<&'a TargetStatus>,
}

/// The accounts, those that ask for a person last; otherwise in the manifest's order.
struct Accounts<'a>(Vec<AccountRows<'a>>);

impl<'a> Accounts<'a> {
    fn group(status: &'a Status) -> Self {
        let mut accounts: IndexMap<&str, Vec<&TargetStatus>> = IndexMap::new();
        for target in &status.targets {
            accounts.entry(&target.target.account).or_default().push(target);
        }
        let rows = accounts.into_iter().filter_map(|(name, mut targets)| {
            targets.sort_by_key(|target| Condition::from_status(target));
            let (first, last) = (targets.first()?, targets.last()?);
            Some(AccountRows { name, id: first.account_id.as_str(), condition: Condition::from_status(last), targets })
        });
        let mut rows: Vec<_> = rows.collect();
        rows.sort_by_key(|account| account.condition);
        Self(rows)
    }
}

impl AccountRows<'_> {
    /// `prod-eu (333333333333)`
    fn title(&self) -> String {
        format!("{} ({})", clean(self.name), self.id)
    }

    /// `6 targets, 11 of 12 tasks run, 2 drifted`
    fn words(&self) -> String {
        let live = || self.targets.iter().filter_map(|target| target.live.as_ref());
        let running: u64 = live().map(|live| u64::from(live.running)).sum();
        let desired: u64 = live().map(|live| u64::from(live.desired)).sum();
        let mut words = vec![count(self.targets.len(), "target")];
        if live().next().is_some() {
            words.push(format!("{running} of {desired} tasks run"));
        }
        for condition in CONDITIONS {
            let number = self.targets.iter().filter(|target| Condition::from_status(target) == condition).count();
            if number > 0 {
                words.push(format!("{number} {}", condition.word()));
            }
        }
        words.join(", ")
    }
}

struct Page {
    paint: Paint,
    columns: usize,
    text: String,
}

impl Page {
    /// Writes a line an account, and only the names where too many accounts are alike.
    fn accounts(&mut self, accounts: &Accounts<'_>) {
        let mut groups: IndexMap<Condition, Vec<&AccountRows<'_>>> = IndexMap::new();
        for account in &accounts.0 {
            groups.entry(account.condition).or_default().push(account);
        }
        for (condition, group) in groups {
            let (mark, tone) = condition.mark();
            if group.len() > NAMED {
                let targets = group.iter().map(|account| account.targets.len()).sum();
                let (accounts, targets) = (count(group.len(), "account"), count(targets, "target"));
                self.line(tone, &format!("{mark} {}: {accounts} with {targets}", condition.word()));
                self.names(group.iter().map(|account| account.name), 4);
                continue;
            }
            let column = group.iter().map(|account| text::width(&account.title())).max().unwrap_or(0).min(44);
            for account in group {
                let title = text::cut_middle(&account.title(), column).into_owned();
                let line = format!("{mark} {}  {}", text::pad(&title, column), account.words());
                self.line(tone, &text::cut(&line, self.columns));
            }
        }
        self.text.push('\n');
    }

    fn deployments(&mut self, status: &Status) {
        let deployment = |target: &'_ TargetStatus| target.live.as_ref().and_then(|live| live.deployment.clone());
        let all: Vec<_> =
            status.targets.iter().filter_map(|target| Some((&target.target, deployment(target)?))).collect();
        if all.is_empty() {
            return;
        }
        self.line(Tone::Strong, "deployments that are not complete");
        for (target, deployment) in all.iter().take(WRITTEN) {
            let tone = if deployment.is_under_way() { Tone::Plain } else { Tone::Bad };
            self.line(tone, &format!("  {}  {}", clean(&target.to_string()), words(deployment)));
            for hook in &deployment.waiting {
                self.line(Tone::Warn, &format!("      {}", stage::waits(target, hook, false)));
            }
            // ECS says of every one that goes on that it goes on.
            let reason = deployment.reason.as_deref().filter(|reason| !reason.ends_with("in progress."));
            self.wrap(reason.unwrap_or_default(), 6);
        }
        self.more(all.len());
        self.text.push('\n');
    }

    /// Writes what cannot be deployed for a reason of its own; a deployment under way is told already.
    fn obstacles(&mut self, status: &Status) {
        let mut alike = Alike::default();
        for target in status.targets.iter().filter(|target| !target.is_deploying()) {
            // Where what is there does not fit the manifest, that is the drift itself.
            if let Some(obstacle) = &target.blocked
                && target.drift != (Drift::Differs { what: vec![obstacle.reason.clone()] })
            {
                let lines = refusal_lines(&obstacle.reason, obstacle.help.as_slice());
                alike.add(target, &lines, target.target.to_string());
            }
        }
        self.reasons("cannot be deployed", alike);
    }

    fn unreachable(&mut self, status: &Status, accounts: &Accounts<'_>) {
        let lost = |target: &TargetStatus| matches!(target.drift, Drift::Unknown { .. });
        let whole = accounts.0.iter().filter(|account| account.targets.iter().all(|target| lost(target)));
        let whole: IndexMap<&str, String> = whole.map(|account| (account.name, account.title())).collect();
        let mut alike = Alike::default();
        for target in &status.targets {
            if let Drift::Unknown { reason, help } = &target.drift {
                let title = whole.get(&*target.target.account).cloned();
                alike.add(target, &refusal_lines(reason, help), title.unwrap_or_else(|| target.target.to_string()));
            }
        }
        self.reasons("unreachable", alike);
    }

    fn missing(&mut self, status: &Status) {
        let mut alike = Alike::default();
        for target in &status.targets {
            if let Drift::Missing { reason, help } = &target.drift {
                alike.add(target, &refusal_lines(reason, help), target.target.to_string());
            }
        }
        self.reasons("missing", alike);
    }

    fn reasons(&mut self, title: &str, alike: Alike) {
        if alike.0.is_empty() {
            return;
        }
        self.line(Tone::Bad, title);
        for group in alike.0.values().take(WRITTEN) {
            self.names(group.names.iter().map(String::as_str), 2);
            for line in &group.lines {
                self.wrap(line, 6);
            }
        }
        self.more(alike.0.len());
        self.text.push('\n');
    }

    fn drift(&mut self, status: &Status) {
        let (mut pending, mut drifted) = (Alike::default(), Alike::default());
        for target in &status.targets {
            match &target.drift {
                Drift::Pending { what } => pending.add(target, what, target.target.to_string()),
                Drift::Differs { what } => drifted.add(target, what, target.target.to_string()),
                Drift::None | Drift::Missing { .. } | Drift::Unknown { .. } => {}
            }
        }
        self.differences(Tone::Plain, "pending: what a deployment would change", &pending);
        self.differences(Tone::Warn, "drifted: what a deployment would change", &drifted);
    }

    fn differences(&mut self, tone: Tone, title: &str, alike: &Alike) {
        if alike.0.is_empty() {
            return;
        }
        self.line(tone, title);
        for group in alike.0.values().take(WRITTEN) {
            if let [name] = &group.names[..] {
                self.line(tone, &format!("  ~ {}", clean(name)));
            } else {
                self.line(tone, &format!("  ~ the same in {}:", count(group.names.len(), "target")));
                for (services, accounts) in spread(&group.names) {
                    let names = accounts.iter().map(String::as_str);
                    let lines = text::list(names, NAMED, 0, self.columns.saturating_sub(6));
                    for (number, line) in lines.iter().enumerate() {
                        let head = if number == 0 { format!("    {services}: ") } else { " ".repeat(6) };
                        self.line(Tone::Plain, &format!("{}{line}", clean(&head)));
                    }
                }
            }
            for line in &group.lines {
                // A line of a diff is one line, however long: broken lines cannot be compared.
                self.line(Tone::Plain, &format!("      {}", clean(line)));
            }
        }
        self.more(alike.0.len());
        self.text.push('\n');
    }

    fn names<'n>(&mut self, names: impl Iterator<Item = &'n str>, indent: usize) {
        for line in text::list(names, NAMED, indent, self.columns) {
            self.line(Tone::Plain, &line);
        }
    }

    fn wrap(&mut self, text: &str, indent: usize) {
        for line in text::wrap(text, indent, self.columns) {
            self.line(Tone::Plain, &line);
        }
    }

    fn more(&mut self, entries: usize) {
        if entries > WRITTEN {
            self.line(Tone::Plain, &format!("  and {} more; --format json has all", entries - WRITTEN));
        }
    }

    fn line(&mut self, tone: Tone, line: &str) {
        self.text.push_str(&self.paint.paint(tone, line));
        self.text.push('\n');
    }
}

fn refusal_lines(reason: &str, help: &[String]) -> Vec<String> {
    std::iter::once(reason.to_owned()).chain(help.iter().map(|hint| format!("help: {hint}"))).collect()
}

/// Returns where targets are, by their names: services that are in the same accounts together, as a plan has them.
fn spread(names: &[String]) -> Vec<(String, Vec<String>)> {
    let mut services: IndexMap<&str, IndexMap<&str, usize>> = IndexMap::new();
    for name in names {
        let mut parts = name.split('/');
        let (account, service) = (parts.next().unwrap_or_default(), parts.nth(1).unwrap_or_default());
        *services.entry(service).or_default().entry(account).or_default() += 1;
    }
    let mut places: IndexMap<Vec<String>, Vec<&str>> = IndexMap::new();
    for (service, accounts) in services {
        let name = |(account, regions): (&str, usize)| match regions {
            1 => account.to_owned(),
            regions => format!("{account} ({regions} regions)"),
        };
        places.entry(accounts.into_iter().map(name).collect()).or_default().push(service);
    }
    places.into_iter().map(|(accounts, services)| (services.join(", "), accounts)).collect()
}

/// What is said of several targets in the same words, but for their own account ids and regions.
#[derive(Default)]
struct Alike(IndexMap<Vec<String>, Group>);

struct Group {
    /// The words; with `${account.id}` and `${region}` where those of the targets differ.
    lines: Vec<String>,
    names: Vec<String>,
}

impl Alike {
    fn add(&mut self, target: &TargetStatus, lines: &[String], name: String) {
        let account = &target.target.account;
        let own = Placeholders {
            account_id: target.account_id.as_str(),
            account_name: account,
            region: &target.target.region,
        };
        let general = |line: &String| own.template(line, PlaceholderScope::Place);
        let general: Vec<String> = lines.iter().map(general).collect();
        let key = general.iter().map(|line| without_request_ids(line).into_owned()).collect();
        let first = || Group { lines: lines.to_vec(), names: Vec::new() };
        let group = self.0.entry(key).or_insert_with(first);
        for ((line, own), general) in group.lines.iter_mut().zip(lines).zip(general) {
            if without_request_ids(line) != without_request_ids(own) {
                *line = general;
            }
        }
        if group.names.last() != Some(&name) {
            group.names.push(name);
        }
    }
}

/// `ecs-svc/123 IN_PROGRESS, api:13, 1 of 2 tasks run, 3 failed`
fn words(deployment: &DeploymentStatus) -> String {
    let state = deployment.state.as_deref().unwrap_or("under way");
    let mut words = vec![format!("{} {}", clean(&deployment.id), clean(state))];
    words.extend(deployment.revision.as_ref().map(|revision| clean(&revision.to_string()).into_owned()));
    if let Some(stage) = &deployment.stage {
        words.push(stage::words(stage, deployment.production_percent, None, 0));
    }
    let tasks = deployment.tasks;
    words.push(format!("{} of {} tasks run", tasks.running, tasks.desired));
    if tasks.failed > 0 {
        words.push(format!("{} failed", tasks.failed));
    }
    words.join(", ")
}

/// `5 targets: 3 in sync, 1 unreachable, 1 drifted; 1 deployment under way`
fn totals(status: &Status) -> String {
    let totals = status.totals;
    let named = [
        (totals.in_sync, "in sync"),
        (totals.unreachable, "unreachable"),
        (totals.missing, "missing"),
        (totals.pending, "pending"),
        (totals.drifted, "drifted"),
    ];
    let words: Vec<String> =
        named.iter().filter(|(number, _)| *number > 0).map(|(number, word)| format!("{number} {word}")).collect();
    let mut line = count(totals.targets, "target");
    if !words.is_empty() {
        line.push_str(&format!(": {}", words.join(", ")));
    }
    if totals.deploying > 0 {
        line.push_str(&format!("; {} under way", count(totals.deploying, "deployment")));
    }
    line
}
