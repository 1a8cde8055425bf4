//! The view of a terminal: a row for each target that is under way and one line for the whole below; finished targets are
//! kept above.
//!
//! It draws at most ten times a second, no faster than the terminal takes it, and only what fits. When many targets are under
//! way, those of an account share a row, unless something is wrong with them. Failures that have left the screen are pinned
//! above the rows. [`Canvas`] does the drawing.

mod failures;
mod grid;
mod progress;
mod status_line;

use std::io::Write;

use indexmap::IndexMap;
use jiff::Timestamp;
use tokio::sync::watch;

use crate::base::text;
use crate::base::text::clean;
use crate::event::{Event, Stamped};
use crate::narrate::outcome::Tone;
use crate::narrate::sentence::Narrator;
use crate::state::{RunState, TargetState, milliseconds};
use crate::view::canvas::Canvas;
use crate::view::live::failures::Failures;
use crate::view::live::grid::{Grid, Names};
use crate::view::live::status_line::Moment;
use crate::view::options::{Options, Size};
use crate::view::row::Row;
use crate::view::stream::Pending;
use crate::view::style;
use crate::view::style::Paint;

/// The time between two frames.
const FRAME_MS: u64 = 100;
/// The frames of the sign that something is under way.
const SPINNER: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
/// When more targets than this are under way, those of an account share a row, until so few are left.
const TARGETS: usize = 20;
const FEW_TARGETS: usize = 10;
/// The most rows of accounts, and the most of targets in trouble beside them: more would be a wall of the same.
const ALIKE: usize = 12;
/// How many failures are pinned at most.
const PINNED: usize = 5;

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
    names: Names,
    /// How many rows the kept lines have taken.
    rows: usize,
    failures: Failures,
    /// Whether the targets of an account share a row.
    by_account: bool,
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
            names: Names::default(),
            rows: 0,
            failures: Failures::default(),
            by_account: false,
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
            self.names = Names::measure(plan);
        }
        if let Some(sentence) = self.narrator.narrate(event, state).filter(|sentence| !sentence.progress) {
            let name = sentence.target.as_ref().map(|target| clean(&target.to_string()).into_owned());
            let name = name.map(|name| text::pad(&name, self.column) + "  ").unwrap_or_default();
            let mark = self.paint.paint(sentence.tone, sentence.mark);
            let words = if sentence.target.is_none() { sentence.tone } else { Tone::Plain };
            let text = self.paint.paint(words, &sentence.text);
            let told_at = self.rows + 1;
            self.keep(format!("{mark} {name}{text}"));
            for line in self.narrator.log(event) {
                self.keep(self.paint.paint(Tone::Dim, &format!("    | {line}")));
            }
            if let Some(target) = sentence.target.as_ref().and_then(|target| state.target(target)) {
                self.failures.note(target, told_at);
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
        let columns = self.terminal_size().0;
        let plain = anstream::adapter::strip_str(&line).to_string();
        self.rows += plain.split('\n').map(|line| text::width(line).div_ceil(columns).max(1)).sum::<usize>();
        self.kept.push(line);
    }

    fn terminal_size(&self) -> (usize, usize) {
        let (columns, rows) = (self.size)().unwrap_or(self.fallback);
        (columns.max(1), rows.max(1))
    }

    fn draw(&mut self, state: &RunState, now: Option<Timestamp>) {
        let (columns, rows) = self.terminal_size();
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
        let (Some(_), Some(now)) = (state.started_at(), now) else { return Vec::new() };
        if state.finished_at().is_some() {
            return Vec::new();
        }
        let grid = Grid::divide(self.names, columns);
        // One row for the line of the whole, and one that a prompt or an echoed ^C may need.
        let room = rows.saturating_sub(2);
        let mut foot = self.under_way(state, &grid, room - self.pinned_at_most(room), now);
        // What was told later than this is still on the screen, above the foot.
        let scrolled = (self.rows + foot.len() + 1).saturating_sub(rows);
        let pinned = self.failures.select(self.pinned_at_most(room), scrolled).iter();
        let pinned = pinned.filter_map(|failure| Some(grid.failure(failure, state.target(failure.targets.last()?)?)));
        foot.splice(0..0, pinned.collect::<Vec<_>>());
        if let Some((wave, left)) = state.current_wave().and_then(|(_, wave)| Some((wave, wave.bake_left(now)?)))
            && foot.len() < room
        {
            foot.push(grid.bake(wave, left));
        }
        let moment = Moment { spinner, expected_ms: self.expected, now };
        foot.push(status_line::line(state, moment, grid.width()));
        foot
    }

    fn pinned_at_most(&self, room: usize) -> usize {
        self.failures.count().min(PINNED).min(room / 3)
    }

    /// Returns the rows of what is under way, at most so many.
    fn under_way(&mut self, state: &RunState, grid: &Grid, room: usize, now: Timestamp) -> Vec<Row> {
        let mut running: Vec<_> = state.targets().filter(|target| target.is_running()).collect();
        let accounts_differ = running.windows(2).any(|pair| pair[0].target.account != pair[1].target.account);
        let few = if self.by_account { FEW_TARGETS } else { TARGETS };
        self.by_account = accounts_differ && running.len() > few;
        if self.by_account {
            return self.show_accounts(&running, grid, room, now);
        }
        let mut shown = running.len();
        if shown > room {
            shown = room.saturating_sub(1);
            running.sort_by_key(|target| !grid::is_troubled(target));
        }
        let mut rows: Vec<Row> = running[..shown].iter().map(|target| self.show_target(target, grid, now)).collect();
        if shown < running.len() && room > 0 {
            rows.push(grid.rest(&format!("and {} more running", running.len() - shown)));
        }
        rows
    }

    /// Returns a row for each account; a target in trouble has its own.
    fn show_accounts(&self, running: &[&TargetState], grid: &Grid, room: usize, now: Timestamp) -> Vec<Row> {
        let (troubled, others): (Vec<&TargetState>, Vec<_>) =
            running.iter().copied().partition(|target| grid::is_troubled(target));
        let alone = troubled.len().min(room / 2).min(ALIKE);
        let mut rows: Vec<Row> = troubled[..alone].iter().map(|target| self.show_target(target, grid, now)).collect();
        let mut accounts: IndexMap<&str, Vec<&TargetState>> = IndexMap::new();
        for target in troubled[alone..].iter().chain(&others) {
            accounts.entry(&target.target.account).or_default().push(target);
        }
        let most = (room - alone).min(ALIKE);
        let shown = if accounts.len() > most { most.saturating_sub(1) } else { accounts.len() };
        rows.extend(accounts.iter().take(shown).map(|(account, targets)| grid.account(account, targets, now)));
        let rest: usize = accounts.values().skip(shown).map(Vec::len).sum();
        if rest > 0 && most > 0 {
            let accounts = text::count(accounts.len() - shown, "more account");
            rows.push(grid.rest(&format!("and {accounts}, {rest} running")));
        }
        rows
    }

    fn show_target(&self, target: &TargetState, grid: &Grid, now: Timestamp) -> Row {
        grid.target(target, self.narrator.why(target).as_deref(), now)
    }
}
