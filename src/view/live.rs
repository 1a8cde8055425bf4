//! The view of a terminal: a line for each target that is under way, totals below, finished targets kept above.
//!
//! It draws at most ten times a second, no faster than the terminal takes it, and only what fits: with 200 targets under
//! way in 40 rows the rest is counted. [`Canvas`] does the drawing.

use std::io::Write;

use jiff::Timestamp;
use tokio::sync::watch;

use crate::base::text;
use crate::base::text::clean;
use crate::event::{Event, Stamped};
use crate::narrate::outcome::Tone;
use crate::narrate::sentence::Narrator;
use crate::narrate::{sentence, stage};
use crate::state::{Phase, RunState, TargetState, milliseconds};
use crate::view::canvas::Canvas;
use crate::view::options::{Options, Size};
use crate::view::row::Row;
use crate::view::stream::Pending;
use crate::view::style;
use crate::view::style::Paint;

/// The time between two frames.
const FRAME_MS: u64 = 100;
/// The frames of the sign that something is under way.
const SPINNER: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
/// How many columns the bar of a target takes.
const BAR: usize = 8;
/// The fewest columns in which it can be said why a target does not get on.
const WHY: usize = 24;

/// A live view.
pub struct Live {
    canvas: Canvas,
    paint: Paint,
    narrator: Narrator,
    size: Size,
    fallback: (usize, usize),
    pending: Option<watch::Receiver<Pending>>,
    kept: Vec<String>,
    /// The columns of names in kept lines.
    column: usize,
    phase: Option<(String, Option<Timestamp>)>,
    /// How many milliseconds the run is expected to last.
    expected: Option<u64>,
    drawn_at: Option<Timestamp>,
    frame: usize,
}

impl Live {
    /// Draws on a terminal; where its size cannot be asked, the options' width and height are taken.
    pub fn new(err: Box<dyn Write + Send>, paint: Paint, options: &Options) -> Self {
        let (size, fallback) = (options.size, (options.width, options.height));
        Self {
            canvas: Canvas::new(err, size().unwrap_or(fallback)),
            paint,
            narrator: Narrator::new(false),
            size,
            fallback,
            pending: options.pending.clone(),
            kept: Vec::new(),
            column: 0,
            phase: None,
            expected: None,
            drawn_at: None,
            frame: 0,
        }
    }

    /// Gives the writer back, with the foot cleared and every kept line written.
    pub fn close(mut self) -> Box<dyn Write + Send> {
        self.flush();
        self.canvas.close()
    }

    /// Shows what is done before the first event.
    pub fn phase(&mut self, text: &str) {
        self.phase = Some((clean(text).into_owned(), None));
        self.draw(&RunState::new(), None);
    }

    /// Takes how many seconds the run is expected to last.
    pub fn expect(&mut self, seconds: Option<u64>) {
        self.expected = seconds.map(|seconds| seconds * 1000);
    }

    /// Keeps a line that no event stands behind.
    pub fn plain(&mut self, tone: Tone, text: &str) {
        self.keep(self.paint.paint(tone, text));
        self.flush();
    }

    /// Clears the foot so that others can write, until the next frame.
    pub fn flush(&mut self) {
        self.canvas.leave(&std::mem::take(&mut self.kept));
    }

    /// Keeps a line for an event that stays of interest, and draws if a frame is due.
    pub fn event(&mut self, event: &Stamped, state: &RunState) {
        if let Event::RunStarted { plan, .. } = &event.event {
            self.phase = None;
            self.column = style::name_column(plan);
        }
        if let Some(sentence) = self.narrator.narrate(event, state).filter(|sentence| !sentence.progress) {
            let name = sentence.target.as_ref().map(|target| clean(&target.to_string()).into_owned());
            let name = name.map(|name| text::pad(&name, self.column) + "  ").unwrap_or_default();
            let mark = self.paint.paint(sentence.tone, sentence.mark);
            let words = if sentence.target.is_none() { sentence.tone } else { Tone::Plain };
            let text = self.paint.paint(words, &sentence.text);
            self.keep(format!("{mark} {name}{text}"));
            for line in self.narrator.log(event) {
                self.keep(self.paint.paint(Tone::Dim, &format!("    | {line}")));
            }
        }
        self.tick(event.at, state);
    }

    /// Draws if a frame is due.
    pub fn tick(&mut self, now: Timestamp, state: &RunState) {
        // A clock that was set back draws at once, rather than not at all until it has caught up.
        let due = self.drawn_at.is_none_or(|at| now < at || milliseconds(at, now) >= FRAME_MS);
        let behind = self.pending.as_ref().is_some_and(|pending| pending.borrow().bytes > 0);
        if due && !behind {
            self.drawn_at = Some(now);
            self.frame += 1;
            self.draw(state, Some(now));
        }
    }

    fn keep(&mut self, line: String) {
        self.kept.push(line);
    }

    fn draw(&mut self, state: &RunState, now: Option<Timestamp>) {
        let (columns, rows) = (self.size)().unwrap_or(self.fallback);
        let (columns, rows) = (columns.max(1), rows.max(1));
        self.canvas.resize((columns, rows));
        // The last column stays empty: some terminals break a line that fills it.
        let fits = columns.saturating_sub(1).max(1);
        let foot = self.foot(state, now, fits, rows);
        let widths = foot.iter().map(Row::width).collect();
        let lines: Vec<_> = foot.iter().map(|row| row.text(self.paint)).collect();
        self.canvas.draw(&std::mem::take(&mut self.kept), &lines, widths);
    }

    fn foot(&mut self, state: &RunState, now: Option<Timestamp>, columns: usize, rows: usize) -> Vec<Row> {
        let spinner = SPINNER[self.frame % SPINNER.len()];
        if let Some((phase, since)) = &mut self.phase {
            // The first frame has no time of its own: the first tick starts the count.
            *since = since.or(now);
            let ms = since.zip(now).map_or(0, |(since, now)| milliseconds(since, now));
            let time = if ms >= 1000 { text::clock(ms) } else { String::new() };
            return vec![
                Row::new().with(Tone::Good, spinner).with(Tone::Plain, phase).with(Tone::Dim, &time).cut(columns),
            ];
        }
        let (Some(start), Some(now)) = (state.started_at(), now) else { return Vec::new() };
        if state.finished_at().is_some() {
            return Vec::new();
        }
        let mut running: Vec<_> = state.targets().filter(|target| target.is_running()).collect();
        // One row for the totals, and one that a prompt or an echoed ^C may need.
        let room = rows.saturating_sub(2);
        let mut shown = running.len();
        if shown > room {
            shown = room.saturating_sub(1);
            running.sort_by_key(|target| !target.is_failing());
        }
        let grid = Grid::new(&running[..shown], self.column, columns, now);
        let row = |target: &&TargetState| grid.row(target, self.narrator.why(target).as_deref(), now).cut(columns);
        let mut foot: Vec<Row> = running[..shown].iter().map(row).collect();
        if shown < running.len() && room > 0 {
            let rest = format!("… and {} more running", running.len() - shown);
            foot.push(Row::new().with(Tone::Dim, &rest).cut(columns));
        }
        foot.push(totals(state, spinner, (milliseconds(start, now), self.expected), now).cut(columns));
        foot
    }
}

/// The columns that the targets on the screen share.
struct Grid {
    name: usize,
    tasks: usize,
    revision: usize,
    wave: usize,
    bar: bool,
    phase: usize,
    time: usize,
    /// Whether there is room for why a target does not get on.
    why: bool,
}

impl Grid {
    /// Gives each column what its longest text takes, while there is room: the counts and the time always, then the
    /// name, the bar, the revision, what goes on, the wave, and why a target does not get on. The name's is the same for
    /// the whole run, so that rows do not move sideways when targets come and go.
    fn new(targets: &[&TargetState], name: usize, columns: usize, now: Timestamp) -> Self {
        let longest = |text: &dyn Fn(&TargetState) -> String| {
            targets.iter().map(|target| text::width(&text(target))).max().unwrap_or(0)
        };
        let tasks = longest(&counts);
        let time = longest(&|target| text::clock(target.elapsed_ms(Some(now)).unwrap_or(0)));
        let mut left = columns.saturating_sub(2 + tasks + 2 + time);
        let name = name.min(left.max(1));
        left = left.saturating_sub(name);
        let mut place = |wanted: usize| {
            let fits = wanted > 0 && wanted + 2 <= left;
            left -= if fits { wanted + 2 } else { 0 };
            fits
        };
        let bar = place(BAR);
        let wanted = longest(&revision);
        let revision = if place(wanted) { wanted } else { 0 };
        let wanted = longest(&phase_word).max("registered".len());
        let phase = if place(wanted) { wanted } else { 0 };
        let wanted = longest(&|target| clean(&target.wave).into_owned());
        let wave = if place(wanted) { wanted } else { 0 };
        Self { name, tasks, revision, wave, bar, phase, time, why: place(WHY) }
    }

    fn row(&self, target: &TargetState, why: Option<&str>, now: Timestamp) -> Row {
        let time = text::clock(target.elapsed_ms(Some(now)).unwrap_or(0));
        let name = name(target);
        let mut row = Row::new();
        if self.wave > 0 {
            row = row.with(Tone::Dim, &text::pad(&clean(&target.wave), self.wave)).gap();
        }
        row = row.with(Tone::Plain, &text::pad(&text::cut_middle(&name, self.name), self.name)).gap();
        let failing = target.is_failing();
        if self.bar {
            row = row.with(if failing { Tone::Warn } else { Tone::Good }, &bar(target)).gap();
        }
        row = row.with(Tone::Plain, &text::pad(&counts(target), self.tasks)).gap();
        if self.revision > 0 {
            row = row.with(Tone::Plain, &text::pad(&revision(target), self.revision)).gap();
        }
        if self.phase > 0 {
            let waits = target.stages.waits().next().is_some();
            let warns = failing || waits || target.phase == Phase::RollingBack;
            let tone = if warns { Tone::Warn } else { Tone::Dim };
            row = row.with(tone, &text::pad(&phase_word(target), self.phase)).gap();
        }
        match why.filter(|_| self.why) {
            Some(why) => row.with(Tone::Dim, &text::pad(&time, self.time)).gap().with(Tone::Warn, why),
            None => row.with(Tone::Dim, &time),
        }
    }
}

/// Says what goes on: the stage where there is one.
fn phase_word(target: &TargetState) -> String {
    let word = match target.phase {
        Phase::RollingBack => "rolling back",
        _ if target.is_failing() => "failing",
        Phase::Waiting => "waiting",
        Phase::Preparing => "preparing",
        Phase::Registered => return stage::stage_words(target).unwrap_or_else(|| "registered".to_owned()),
        Phase::Deploying => return stage::stage_words(target).unwrap_or_else(|| "deploying".to_owned()),
        Phase::Ended => "ended",
    };
    word.to_owned()
}

fn name(target: &TargetState) -> String {
    clean(&target.target.to_string()).into_owned()
}

fn revision(target: &TargetState) -> String {
    target.deploys().map(|to| clean(&to.to_string()).into_owned()).unwrap_or_default()
}

fn counts(target: &TargetState) -> String {
    target.tasks.map(sentence::short_tasks).unwrap_or_default()
}

fn bar(target: &TargetState) -> String {
    let tasks = target.tasks.unwrap_or_default();
    let (running, desired) = (tasks.running.min(tasks.desired) as usize, tasks.desired as usize);
    let full = (BAR * running).checked_div(desired).unwrap_or(0);
    "█".repeat(full) + &"░".repeat(BAR - full)
}

/// Returns the last line: how long so far and, as long as nothing has failed, how long in all if it goes as last time.
fn totals(state: &RunState, spinner: &str, (elapsed_ms, expected_ms): (u64, Option<u64>), now: Timestamp) -> Row {
    let totals = state.totals();
    let calm = totals.failures() == 0 && state.cancelled().is_none();
    let whole = expected_ms.filter(|expected| calm && *expected > elapsed_ms);
    let of = whole.map(|whole| format!("of ~{}", text::duration(whole))).unwrap_or_default();
    let mut row = Row::new().with(Tone::Good, spinner).with(Tone::Plain, &text::clock(elapsed_ms)).with(Tone::Dim, &of);
    // What a person must know first: a narrow terminal cuts the end.
    if state.cancelled().is_some() {
        row = row.with(Tone::Warn, "cancelled");
    } else if state.halted().is_some() {
        row = row.with(Tone::Bad, "halted");
    }
    if let Some(since) = state.unseen_since() {
        row = row.with(Tone::Bad, &format!("last seen {} ago", text::duration(milliseconds(since, now))));
    }
    row = row.with(Tone::Plain, &format!(" {} done", totals.good()));
    if totals.failures() > 0 {
        row = row.comma().with(Tone::Bad, &format!("{} failed", totals.failures()));
    }
    let wave = state.current_wave();
    if let Some(left) = wave.and_then(|(_, wave)| wave.bake_left(now)) {
        row = row.comma().with(Tone::Plain, &format!("bakes {} more", text::duration(left * 1000)));
    } else {
        row = row.comma().with(Tone::Plain, &format!("{} running", totals.running));
    }
    if totals.waiting > 0 {
        row = row.comma().with(Tone::Plain, &format!("{} waiting", totals.waiting));
    }
    if let Some((place, wave)) = wave {
        let of = format!(" wave {} ({place} of {})", clean(&wave.outline.name), state.waves().count());
        row = row.with(Tone::Dim, &of);
    }
    row
}
