//! What remains to be said when a run is over: every outcome, what goes on in ECS, and the failures last.
//!
//! It is for people, at the foot of a job's log. Reports for programs are made elsewhere, from the same events.

use indexmap::IndexMap;

use crate::base::text;
use crate::base::text::{clean, count, duration};
use crate::event::{Reason, TaskEnd, halted_by};
use crate::fleet::{Outcome, TargetId};
use crate::narrate::outcome::Tone;
use crate::narrate::{console, outcome, stage};
use crate::plan::ships::{SHIPS, lines};
use crate::state::{RunState, TargetState, Totals, WaveState};
use crate::view::style::Paint;

/// With more targets than this, those that went well are counted and not listed.
const LISTED: usize = 60;
/// With more failures than this among so many targets, they are only told in their groups.
const LISTED_FAILURES: usize = 20;
/// How many targets a group names before it counts the rest.
const NAMED: usize = 40;
/// How many distinct failures are told with their evidence, the worst of them; the others with their summaries. A job's log
/// has a limit.
const EXPLAINED: usize = 100;
/// How many deployments that go on in ECS are shown with their commands; the rest has a line each.
const FOLLOWED: usize = 10;

/// How many targets a list names on a terminal, where every end was drawn.
const NAMED_DRAWN: usize = 12;

/// How much a summary says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Everything.
    Whole,
    /// What was not drawn already: no target is listed of which a line stands above.
    Drawn,
    /// The failures and the verdict.
    Quiet,
}

/// Returns the summary.
pub fn text(state: &RunState, paint: Paint, columns: usize, extent: Extent) -> String {
    let mut page = Page { paint, columns, extent, text: String::new() };
    if state.started_at().is_none() {
        return page.text;
    }
    let quiet = extent == Extent::Quiet;
    if !quiet {
        for wave in state.waves().filter(|wave| wave.outline.targets > 0) {
            page.wave(state, wave);
        }
        if extent == Extent::Drawn {
            page.text.push('\n');
        }
        page.blocked(state);
        page.not_started(state);
        page.rollback_impossible(state);
        page.without_tasks(state);
        page.run_tasks(state);
    }
    page.going_on(state);
    page.failures(state);
    if !quiet {
        let ships = ships(state);
        for line in &ships {
            page.line(Tone::Plain, line);
        }
        if !ships.is_empty() {
            page.text.push('\n');
        }
    }
    let totals = state.totals();
    if !quiet && totals.all() > 0 {
        let words = outcome::counts(&totals);
        let line = format!("{}: {words}, in {}", count(totals.all(), "target"), duration(state.elapsed_ms()));
        page.line(Tone::Strong, &line);
    }
    let (tone, verdict) = verdict(state);
    page.line(tone, &verdict);
    page.text
}

/// Returns what the run ships, a line for each distinct change of an image, and the commit.
pub fn ships(state: &RunState) -> Vec<String> {
    let all = lines(state.ships());
    let line = |(what, targets): &(String, usize)| format!("{}  {}", clean(what), count(*targets, "target"));
    let mut told: Vec<String> = all.iter().take(SHIPS).map(line).collect();
    if all.len() > SHIPS {
        told.push(format!("… and {} more images", all.len() - SHIPS));
    }
    let job = state.job();
    if let Some(commit) = job.commit.as_deref().filter(|_| !told.is_empty()) {
        let author = job.author.as_ref().map(|author| format!(" by {author}")).unwrap_or_default();
        let page = job.commit_url.as_ref().map(|page| format!("  {page}")).unwrap_or_default();
        told.push(clean(&format!("commit {}{author}{page}", text::start(commit, 8))).into_owned());
    }
    told
}

struct Page {
    paint: Paint,
    columns: usize,
    extent: Extent,
    text: String,
}

impl Page {
    fn wave(&mut self, state: &RunState, wave: &WaveState) {
        let targets = || state.targets().filter(|target| target.wave == wave.outline.name);
        let totals = Totals::count(targets());
        self.line(Tone::Strong, &format!("wave {}: {}", clean(&wave.outline.name), outcome::counts(&totals)));
        if self.extent == Extent::Drawn {
            return;
        }
        let totals_of_run = state.totals();
        let lists_good = totals_of_run.all() <= LISTED;
        let lists_bad = lists_good || totals_of_run.failures() + totals_of_run.detached <= LISTED_FAILURES;
        let listed = |target: &&TargetState| match target.outcome() {
            // Those that were not started, blocked or left running are told below, together.
            None | Some(Outcome::NotStarted | Outcome::Cancelled) => false,
            Some(Outcome::Unchanged | Outcome::Succeeded) => lists_good,
            Some(
                Outcome::RolledBack
                | Outcome::Failed
                | Outcome::TimedOut
                | Outcome::Superseded
                | Outcome::Detached
                | Outcome::Stuck,
            ) => lists_bad,
        };
        let names = targets().filter(listed).map(|target| text::width(&name(&target.target)));
        let revisions = targets().filter(listed).map(|target| text::width(&revisions(target)));
        let columns = (names.max().unwrap_or(0), revisions.max().unwrap_or(0));
        for target in targets().filter(listed) {
            self.outcome(target, columns);
        }
        self.text.push('\n');
    }

    fn outcome(&mut self, target: &TargetState, columns: (usize, usize)) {
        let Some(outcome) = target.outcome() else { return };
        let (mark, tone) = outcome::mark(outcome);
        let word = self.paint.paint(tone, &format!("{mark} {}", text::pad(outcome.words(), "rolled back".len())));
        let time = target.elapsed_ms(None).map(duration).unwrap_or_default();
        let name = text::pad(&name(&target.target), columns.0);
        let line = format!("  {word}  {name}  {}  {time}", text::pad(&revisions(target), columns.1));
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    fn blocked(&mut self, state: &RunState) {
        let names: Vec<_> =
            state.targets().filter(|target| target.is_blocked()).map(|target| name(&target.target)).collect();
        if !names.is_empty() {
            self.line(Tone::Warn, &format!("blocked by the plan, and left out: {}", count(names.len(), "target")));
            self.list(&names, 2);
            self.text.push('\n');
        }
    }

    fn not_started(&mut self, state: &RunState) {
        let mut groups: IndexMap<_, Vec<String>> = IndexMap::new();
        for target in state.targets() {
            if let Some(outcome @ (Outcome::NotStarted | Outcome::Cancelled)) = target.outcome() {
                let why = target.reason.as_ref().map_or("", |reason| &reason.summary);
                let unused = target.unused().map(|it| format!(" ({} exists and is not used)", clean(&it.to_string())));
                let name = format!("{}{}", name(&target.target), unused.unwrap_or_default());
                groups.entry((outcome, target.cause.as_ref(), why)).or_default().push(name);
            }
        }
        for ((outcome, cause, why), names) in groups {
            let says_so = cause.is_some_and(|cause| why == halted_by(Some(cause)));
            let cause = cause.map(|cause| format!(", because of {cause}")).unwrap_or_default();
            self.wrap(Tone::Warn, &format!("{}: {}{cause}", outcome.words(), count(names.len(), "target")), 0);
            if !says_so {
                self.wrap(Tone::Plain, why, 2);
            }
            self.list(&names, 2);
            self.text.push('\n');
        }
    }

    fn going_on(&mut self, state: &RunState) {
        let targets: Vec<_> = state.targets().filter(|target| target.goes_on()).collect();
        if targets.is_empty() {
            return;
        }
        self.wrap(Tone::Warn, &format!("may still be rolling out in ECS: {}", count(targets.len(), "target")), 0);
        for target in targets.iter().take(FOLLOWED) {
            let deployment = target.deployment.as_deref().unwrap_or("no deployment known");
            let account = target.account_id.as_str();
            let line = format!("  {}  {} in account {account}", name(&target.target), clean(deployment));
            self.line(Tone::Plain, &line);
            if let (Some(Outcome::Detached), Some(reason)) = (target.outcome(), &target.reason) {
                self.wrap(Tone::Plain, &reason.summary, 6);
            }
            for hook in target.stages.waits().filter(|_| target.is_paused()) {
                self.line(Tone::Warn, &format!("      {}", stage::hook_words(hook)));
                self.line(Tone::Plain, &format!("      roleout continue --only {}", name(&target.target)));
            }
            // A line of its own, whole, so that it can be copied.
            self.line(Tone::Plain, &format!("      {}", console::command(target)));
            self.line(Tone::Plain, &format!("      {}", console::address(target)));
        }
        for target in targets.iter().skip(FOLLOWED) {
            let deployment = target.deployment.as_deref().unwrap_or("no deployment known");
            let line = format!("  {}  {}  {}", name(&target.target), clean(deployment), console::address(target));
            self.line(Tone::Plain, &line);
        }
        self.text.push('\n');
    }

    /// Names those that should have been rolled back, and were not.
    fn rollback_impossible(&mut self, state: &RunState) {
        let mut groups: IndexMap<&str, Vec<String>> = IndexMap::new();
        for target in state.targets() {
            if let Some(reason) = &target.rollback_impossible {
                groups.entry(reason).or_default().push(name(&target.target));
            }
        }
        for (reason, names) in groups {
            self.wrap(Tone::Warn, &format!("not rolled back: {}", count(names.len(), "target")), 0);
            self.wrap(Tone::Plain, reason, 2);
            self.list(&names, 2);
            self.text.push('\n');
        }
    }

    /// Names those that succeeded without a task, which proves nothing of their revision.
    fn without_tasks(&mut self, state: &RunState) {
        let names: Vec<_> =
            state.targets().filter(|target| target.ran_no_task()).map(|target| name(&target.target)).collect();
        if !names.is_empty() {
            let words =
                format!("no task ran the revision, since the desired count is 0: {}", count(names.len(), "target"));
            self.wrap(Tone::Warn, &words, 0);
            self.list(&names, 2);
            self.text.push('\n');
        }
    }

    /// Counts how the tasks of `before` and `after` ended.
    fn run_tasks(&mut self, state: &RunState) {
        let mut tasks: IndexMap<(&str, &str), [usize; 3]> = IndexMap::new();
        for task in state.targets().flat_map(|target| &target.run_tasks) {
            let place = match task.ended {
                Some((TaskEnd::Succeeded, _)) => 0,
                Some((TaskEnd::Failed, _)) => 1,
                Some((TaskEnd::Cancelled, _)) | None => 2,
            };
            tasks.entry((task.moment.word(), &task.name)).or_default()[place] += 1;
        }
        for ((moment, name), counts) in &tasks {
            let words = ["succeeded", "failed", "cancelled"].iter().zip(counts).filter(|(_, count)| **count > 0);
            let words: Vec<String> = words.map(|(word, count)| format!("{count} {word}")).collect();
            let tone = if counts[1] + counts[2] > 0 { Tone::Warn } else { Tone::Plain };
            self.line(tone, &format!("task {} {moment} the deployment: {}", clean(name), words.join(", ")));
        }
        if !tasks.is_empty() {
            self.text.push('\n');
        }
    }

    fn failures(&mut self, state: &RunState) {
        let mut groups: IndexMap<(Outcome, Option<Reason>), Vec<&TargetState>> = IndexMap::new();
        for target in state.targets() {
            if let Some(outcome) = target.outcome().filter(|outcome| outcome.is_failure()) {
                groups.entry((outcome, target.why().map(Reason::cause))).or_default().push(target);
            }
        }
        // The worst is the last thing read.
        groups.sort_by_cached_key(|(outcome, _), _| weight(*outcome));
        let brief = groups.len().saturating_sub(EXPLAINED);
        for (place, ((outcome, _), targets)) in groups.into_iter().enumerate() {
            let reason =
                targets.iter().filter_map(|target| target.why()).fold(None, |merged: Option<Reason>, reason| {
                    let Some(mut merged) = merged else { return Some(reason.clone()) };
                    merged.merge(reason);
                    Some(merged)
                });
            let reason = reason.map(|reason| match place < brief {
                true => Reason { summary: reason.summary, ..Reason::default() },
                false => reason,
            });
            self.failure(outcome, reason.as_ref(), &targets);
            self.text.push('\n');
        }
    }

    fn failure(&mut self, outcome: Outcome, reason: Option<&Reason>, targets: &[&TargetState]) {
        let (mark, tone) = outcome::mark(outcome);
        let word = self.paint.paint(tone, &format!("{mark} {}", outcome.words()));
        if let [target] = targets {
            let time = target.elapsed_ms(None).map(|ms| format!(" after {}", duration(ms))).unwrap_or_default();
            let runs = target.runs.as_ref().map(|runs| format!(", runs {}", clean(&runs.to_string())));
            let line = format!("{word}  {}{time}{}\n", name(&target.target), runs.unwrap_or_default());
            self.text.push_str(&line);
        } else {
            self.text.push_str(&format!("{word}, the same in {}:\n", count(targets.len(), "target")));
            let names: Vec<_> = targets.iter().map(|target| name(&target.target)).collect();
            self.list(&names, 4);
        }
        let Some(reason) = reason else { return };
        self.wrap(Tone::Plain, &reason.summary, 4);
        for line in &reason.evidence {
            // Evidence is copied and searched for, so its lines stay whole.
            self.line(Tone::Dim, &format!("      {}", clean(&line.to_string())));
            line.log.iter().for_each(|line| self.line(Tone::Plain, &format!("        | {}", clean(line))));
        }
        if let Some(help) = &reason.help {
            self.wrap(Tone::Plain, &format!("help: {help}"), 4);
        }
    }

    fn list(&mut self, names: &[String], indent: usize) {
        let named = if self.extent == Extent::Drawn { NAMED_DRAWN } else { NAMED };
        for line in text::list(names.iter().map(String::as_str), named, indent, self.columns) {
            self.line(Tone::Plain, &line);
        }
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

fn name(target: &TargetId) -> String {
    clean(&target.to_string()).into_owned()
}

fn revisions(target: &TargetState) -> String {
    let back = target.outcome() == Some(Outcome::RolledBack) && target.runs == target.from;
    let text = match (&target.from, &target.to) {
        (Some(from), Some(to)) if from != to && back => format!("{from} -> {to} -> {from}"),
        (Some(from), Some(to)) if from != to => format!("{from} -> {to}"),
        (None, Some(to)) => format!("-> {to}"),
        (Some(only), _) => only.to_string(),
        (None, None) => String::new(),
    };
    clean(&text).into_owned()
}

/// Orders failures by what they ask of a person, the most last.
fn weight(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Unchanged
        | Outcome::Succeeded
        | Outcome::Cancelled
        | Outcome::Detached
        | Outcome::NotStarted
        | Outcome::Superseded => 0,
        Outcome::TimedOut => 1,
        Outcome::RolledBack => 2,
        Outcome::Failed => 3,
        Outcome::Stuck => 4,
    }
}

/// Returns the last line: what it all means, and the exit code.
fn verdict(state: &RunState) -> (Tone, String) {
    use crate::base::exit::Exit;
    let exit = state.exit();
    let (tone, word) = match exit {
        Exit::Done => (Tone::Good, "✔"),
        Exit::Gate | Exit::Tolerated | Exit::Interrupted | Exit::Terminated | Exit::Pending => (Tone::Warn, "!"),
        Exit::Unexpected
        | Exit::Usage
        | Exit::Manifest
        | Exit::Preflight
        | Exit::Blocked
        | Exit::Failed
        | Exit::RolledBack
        | Exit::Stuck
        | Exit::TimedOut => (Tone::Bad, "✖"),
    };
    let words = match (exit, state.cancelled()) {
        (Exit::Interrupted | Exit::Terminated, Some(signal)) => format!("cancelled by {}", clean(signal)),
        _ => state.verdict(exit).to_owned(),
    };
    let more = match (exit, state.gate(), state.halted()) {
        (Exit::Gate, Some(wave), _) => format!(" before wave {0}; go on with --from {0}", clean(wave)),
        (_, _, Some(halt)) => format!("; halted in wave {}", clean(&halt.wave)),
        _ => String::new(),
    };
    (tone, format!("{word} {words}{more} (exit code {})", exit.code()))
}
