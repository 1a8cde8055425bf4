//! The columns of the live view, and its rows: a target, the rest of an account, a failure.
//!
//! The columns follow from the plan and from the terminal's width alone, so nothing moves sideways while targets come and
//! go. Where there is no room the revision is left out first, then the bar; what goes on, and why, stays.

use indexmap::IndexMap;
use jiff::Timestamp;

use crate::base::text;
use crate::base::text::clean;
use crate::fleet::tasks::Tasks;
use crate::narrate::outcome::Tone;
use crate::narrate::stage;
use crate::plan::outline::{ChangeOutline, Outline};
use crate::state::{Phase, TargetState, WaveState};
use crate::view::live::failures::Failure;
use crate::view::live::progress;
use crate::view::row::Row;
use crate::view::style;

/// The columns of the mark before a name, and of the gap after a column.
const GAP: usize = 2;
/// The columns of what goes on, on a terminal of [`ROOMY`] columns or more, and on a narrower one.
const STATE: usize = 16;
const STATE_NARROW: usize = 14;
const ROOMY: usize = 100;
/// The columns of a time, at the right edge.
const TIME: usize = 5;
/// The columns of task counts.
const COUNTS: usize = 7;
/// The fewest columns in which it can be said why a target does not get on.
const WHY: usize = 24;
/// A row is no wider than this: the time at its end belongs to the name at its beginning.
pub const WIDEST: usize = 150;

/// The widths of a plan's names.
#[derive(Clone, Copy, Debug, Default)]
pub struct Names {
    /// Of whole names.
    whole: usize,
    /// Of names without the region, where these tell all targets apart.
    short: Option<usize>,
    revision: usize,
}

impl Names {
    /// Measures the targets that change.
    pub fn measure(plan: &Outline) -> Self {
        let changing = || plan.changes.iter().filter(|change| change.action.changes());
        let mut short: Vec<_> =
            changing().map(|change| (change.target.account.clone(), change.target.service.clone())).collect();
        let all = short.len();
        let width =
            short.iter().map(|(account, service)| text::width(&clean(account)) + 1 + text::width(&clean(service)));
        let width = width.max().unwrap_or(0);
        short.sort();
        short.dedup();
        let revision = |change: &ChangeOutline| match (&change.to, &change.from) {
            (Some(known), _) => text::width(&known.to_string()),
            // The number of a new revision may have a digit more.
            (None, Some(from)) => text::width(&from.to_string()) + 1,
            (None, None) => text::width(&clean(&change.service)) + 4,
        };
        Self {
            whole: style::name_column(plan),
            short: (short.len() == all).then_some(width),
            revision: changing().map(revision).max().unwrap_or(0),
        }
    }
}

/// The columns that the rows on the screen share.
#[derive(Clone, Copy, Debug)]
pub struct Grid {
    columns: usize,
    name: usize,
    /// Whether names are shown without their region.
    short: bool,
    state: usize,
    revision: usize,
    shows_bar: bool,
    shows_revision: bool,
    /// Whether why a target does not get on stands beside its bar, and not in its place.
    shows_why_beside: bool,
}

impl Grid {
    /// Divides a terminal's columns. A name has what it takes, as long as there is room for the reason of a failure; then it
    /// is shown without its region, and then it is cut.
    pub fn divide(names: Names, columns: usize) -> Self {
        let columns = columns.min(WIDEST);
        let state = if columns < ROOMY - 1 { STATE_NARROW } else { STATE };
        let left = columns.saturating_sub(GAP + GAP + state + GAP + GAP + TIME);
        let most = left.saturating_sub(WHY).max(left / 2).max(1);
        let short = names.short.filter(|short| names.whole > most && *short < names.whole);
        let name = short.unwrap_or(names.whole).min(most);
        let detail = left.saturating_sub(name);
        let with_counts = progress::CELLS + GAP + COUNTS;
        Self {
            columns,
            name,
            short: short.is_some(),
            state,
            revision: names.revision,
            shows_bar: detail >= with_counts,
            shows_revision: detail >= with_counts + GAP + names.revision,
            shows_why_beside: detail >= with_counts + GAP + WHY,
        }
    }

    /// Returns the columns of a whole row.
    pub fn width(&self) -> usize {
        self.columns
    }

    /// Returns the row of a target that is under way.
    pub fn target(&self, target: &TargetState, why: Option<&str>, now: Timestamp) -> Row {
        let is_troubled = is_troubled(target);
        let (mark, tone) = match is_troubled {
            true if is_rolled_back(target) => ("↩", Tone::Warn),
            true => ("!", Tone::Warn),
            false => ("", Tone::Dim),
        };
        let (state, rest) = words(target);
        let mut row = self.begin((mark, tone), &self.name(target), (tone, &state));
        let why = target.tasks.filter(|_| target.is_failing()).map(|tasks| self.why(tasks, why));
        if why.is_none() || self.shows_why_beside {
            if self.shows_bar {
                let tone = if is_troubled { Tone::Warn } else { Tone::Good };
                row = row.column(tone, &progress::bar(progress::passed(target), progress::CELLS));
            }
            row = row.column(Tone::Plain, &text::pad(&target.tasks.map(counts).unwrap_or_default(), COUNTS));
        }
        row = match why {
            Some(why) => row.column(Tone::Warn, &why),
            None if self.shows_revision => row.column(Tone::Plain, &text::pad(&revision(target), self.revision)),
            None => row,
        };
        self.end(row.column(Tone::Dim, &rest.unwrap_or_default()), target.elapsed_ms(Some(now)))
    }

    /// Returns the row of several targets of one account: how many they are, how far, and the tasks of each service.
    pub fn account(&self, account: &str, targets: &[&TargetState], now: Timestamp) -> Row {
        let name = text::cut_middle(&clean(account), self.name).into_owned();
        let mut row = self.begin(("", Tone::Plain), &name, (Tone::Dim, &format!("{} running", targets.len())));
        if self.shows_bar {
            let passed: usize = targets.iter().map(|target| progress::passed(target)).sum();
            row = row.column(Tone::Good, &progress::bar(passed / targets.len().max(1), progress::CELLS));
        }
        let mut services: IndexMap<&str, Option<Tasks>> = IndexMap::new();
        for target in targets {
            let sum = services.entry(&target.target.service).or_default();
            if let Some(tasks) = target.tasks {
                let known = sum.unwrap_or_default();
                *sum = Some(Tasks {
                    desired: known.desired + tasks.desired,
                    running: known.running + tasks.running,
                    ..known
                });
            }
        }
        let words: Vec<String> = services
            .into_iter()
            .map(|(service, tasks)| match tasks {
                Some(tasks) => format!("{} {}", clean(service), counts(tasks)),
                None => clean(service).into_owned(),
            })
            .collect();
        let oldest = targets.iter().filter_map(|target| target.elapsed_ms(Some(now))).max();
        self.end(row.column(Tone::Plain, &words.join("  ")), oldest)
    }

    /// Returns the row of targets that failed of one cause: the target where it is one, else how many.
    pub fn failure(&self, failure: &Failure, newest: &TargetState) -> Row {
        let name = match failure.targets.len() {
            1 => self.name(newest),
            several => text::count(several, "target"),
        };
        let row = self.begin(("✖", Tone::Bad), &name, (Tone::Bad, failure.outcome.words()));
        let why = newest.why().map(|reason| clean(&reason.summary).into_owned()).unwrap_or_default();
        self.end(row.column(Tone::Plain, &why), newest.elapsed_ms(None))
    }

    /// Returns the row of a wave that bakes.
    pub fn bake(&self, wave: &WaveState, left_seconds: u64) -> Row {
        let name = format!("wave {}", clean(&wave.outline.name));
        let row = self.begin(("", Tone::Plain), &text::cut(&name, self.name), (Tone::Dim, "baking"));
        self.end(row.column(Tone::Plain, &format!("{} more", text::duration(left_seconds * 1000))), None)
    }

    /// Returns the row that counts targets for which there is no other row.
    pub fn rest(&self, words: &str) -> Row {
        Row::new().with(Tone::Dim, &format!("{}… {words}", " ".repeat(GAP))).cut(self.columns)
    }

    fn name(&self, target: &TargetState) -> String {
        let id = &target.target;
        let whole = if self.short { format!("{}/{}", id.account, id.service) } else { id.to_string() };
        text::cut_middle(&clean(&whole), self.name).into_owned()
    }

    fn begin(&self, (mark, mark_tone): (&str, Tone), name: &str, (tone, state): (Tone, &str)) -> Row {
        Row::new()
            .with(mark_tone, &text::pad(mark, GAP))
            .with(Tone::Plain, &text::pad(name, self.name))
            .column(tone, &text::pad(&text::cut(state, self.state), self.state))
    }

    /// Returns why tasks fail, and how many: ECS's words, unless they only say that tasks stopped. The first to be cut is what
    /// says less.
    fn why(&self, tasks: Tasks, why: Option<&str>) -> String {
        let crashed = format!("{} crashed", tasks.failed);
        match why.filter(|why| !why.starts_with("has stopped")) {
            Some(why) if self.shows_why_beside => format!("{crashed}: {why}"),
            Some(why) => format!("{why}, {crashed}"),
            None => crashed,
        }
    }

    fn end(&self, row: Row, ms: Option<u64>) -> Row {
        let time = ms.map(short_clock).unwrap_or_default();
        let edge = self.columns.saturating_sub(TIME + GAP);
        row.cut(edge).fill(edge).column(Tone::Dim, &format!("{time:>TIME$}")).cut(self.columns)
    }
}

/// Whether a person should see a target before others.
pub fn is_troubled(target: &TargetState) -> bool {
    target.is_failing() || is_rolled_back(target) || target.stages.waits().next().is_some()
}

/// Whether a target is being rolled back, by this run or by ECS itself.
fn is_rolled_back(target: &TargetState) -> bool {
    target.phase == Phase::RollingBack || target.stages.stage().is_some_and(|stage| stage.name.starts_with("ROLLBACK_"))
}

/// Returns what goes on, and what more is known of it: `traffic 10 %` and `bakes 5m`.
fn words(target: &TargetState) -> (String, Option<String>) {
    let all_run = target.tasks.is_some_and(|tasks| tasks.running >= tasks.desired);
    let word = match target.phase {
        Phase::RollingBack => "rolling back",
        _ if target.is_failing() => "failing",
        Phase::Waiting => "waiting",
        Phase::Preparing => "preparing",
        Phase::Registered | Phase::Deploying => {
            let words = stage::stage_words(target).unwrap_or_else(|| {
                let word = match target.phase {
                    Phase::Registered => "registered",
                    // ECS waits for health checks, and stops the old tasks.
                    _ if all_run => "completing",
                    _ => "deploying",
                };
                word.to_owned()
            });
            return match words.split_once(", ") {
                Some((word, rest)) => (word.to_owned(), Some(rest.to_owned())),
                None => (words, None),
            };
        }
        Phase::Ended => "ended",
    };
    (word.to_owned(), None)
}

fn revision(target: &TargetState) -> String {
    target.deploys().map(|to| clean(&to.to_string()).into_owned()).unwrap_or_default()
}

/// Returns `3/4`; of very many tasks, the share.
fn counts(tasks: Tasks) -> String {
    match tasks.desired {
        1000.. => format!("{} %", u64::from(tasks.running) * 100 / u64::from(tasks.desired)),
        desired => format!("{}/{desired}", tasks.running),
    }
}

/// Returns a length of time in five columns: `00:42`, `1h02m`, `27h`.
fn short_clock(ms: u64) -> String {
    let minutes = ms / 60_000;
    match minutes {
        0..60 => text::clock(ms),
        60..600 => format!("{}h{:02}m", minutes / 60, minutes % 60),
        _ => format!("{}h", minutes / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_counts_keep_their_columns() {
        let clocks: Vec<_> = [0, 59_000, 3_599_000, 3_720_000, 35_999_000, 100 * 3_600_000].map(short_clock).into();
        assert_eq!(clocks, ["00:00", "00:59", "59:59", "1h02m", "9h59m", "100h"]);
        let of = |running, desired| counts(Tasks { desired, running, ..Tasks::default() });
        assert_eq!(
            [of(0, 0), of(3, 4), of(999, 999), of(500, 1000), of(5000, 5000)],
            ["0/0", "3/4", "999/999", "50 %", "100 %"]
        );
    }

    #[test]
    fn the_revision_goes_before_the_bar_and_the_bar_before_the_reason() {
        let names = Names { whole: 27, short: Some(17), revision: 9 };
        let shown = [120, 100, 80, 60, 40].map(|columns| {
            let grid = Grid::divide(names, columns - 1);
            (grid.short, grid.name, grid.shows_revision, grid.shows_bar, grid.shows_why_beside)
        });
        assert_eq!(
            shown,
            [
                (false, 27, true, true, true),
                (false, 27, true, true, true),
                (false, 27, false, true, false),
                (true, 16, false, false, false),
                (true, 6, false, false, false),
            ]
        );
    }
}
