//! The last line of the live view: the wave, how far the run is, the failure budget, and the time.

use jiff::Timestamp;

use crate::base::text;
use crate::base::text::clean;
use crate::narrate::outcome::Tone;
use crate::state::{RunState, WaveState, milliseconds};
use crate::view::live::progress;
use crate::view::row::Row;

/// The most columns of a wave's name.
const WAVE: usize = 20;
/// The fewest columns with which the expected time is shown.
const ROOMY: usize = 79;

/// What the line says, beside the state.
#[derive(Clone, Copy, Debug)]
pub struct Moment<'a> {
    /// The sign that something is under way.
    pub spinner: &'a str,
    /// How long the run is expected to last.
    pub expected_ms: Option<u64>,
    /// Now.
    pub now: Timestamp,
}

/// Returns the line. What a person must know first stands first, and each part has the columns of the longest text that it
/// may have in this run, so that none moves. Where there is no room the counts of what runs go first, then the bar, then the
/// wave.
pub fn line(state: &RunState, moment: Moment<'_>, columns: usize) -> Row {
    let totals = state.totals();
    let all = totals.all() - totals.unchanged - totals.blocked;
    let ended = all - totals.running - totals.waiting;
    let wave = current(state);
    let time = time(state, moment, columns);

    let mut row = Row::new().with(Tone::Good, moment.spinner);
    if state.cancelled().is_some() {
        row = row.with(Tone::Warn, "cancelled");
    } else if state.halted().is_some() {
        row = row.with(Tone::Bad, "halted");
    }
    if let Some(since) = state.unseen_since() {
        row = row.with(Tone::Bad, &format!("last seen {} ago", text::duration(milliseconds(since, moment.now))));
    }
    let waves = state.waves().count();
    let names = state.waves().map(|wave| text::width(&clean(&wave.outline.name))).max().unwrap_or(0).min(WAVE);
    let wave_columns = names + 2 + 2 * progress::digits(waves);
    let count_columns = 2 * progress::digits(all) + 1;
    let budgets = state.waves().map(|wave| progress::digits(wave.outline.max_failures)).max().unwrap_or(1);
    let budget_columns = "failures ".len() + progress::digits(all) + 1 + budgets;
    let rest = rest(state);
    let rest_columns = 2 * progress::digits(all) + " running,  waiting".len();
    // The clock stands at the right edge.
    let mut left = columns
        .saturating_sub(row.width() + 2 + count_columns + 2 + budget_columns + 2 + time_columns(moment, columns));
    let mut place = |wanted: usize| {
        let fits = wanted + 2 <= left;
        left -= if fits { wanted + 2 } else { 0 };
        fits
    };
    let shows_wave = place(wave_columns);
    let bar = progress::width(left.saturating_sub(2));
    let shows_rest = left > bar + 2 && rest_columns + 2 <= left - bar - 2;

    if let Some((place, wave)) = wave.filter(|_| shows_wave) {
        let name = clean(&wave.outline.name);
        let words = format!("{} {place}/{waves}", text::cut(&name, WAVE));
        row = row.gap().with(Tone::Plain, &text::pad(&words, wave_columns));
    } else if shows_wave {
        row = row.gap().with(Tone::Plain, &" ".repeat(wave_columns));
    }
    if bar > 0 {
        row = row.gap().with(Tone::Good, &progress::share(ended, all, bar));
    }
    row = row.gap().with(Tone::Plain, &format!("{:>count_columns$}", format!("{ended}/{all}")));
    let (tone, budget) = budget(state, wave);
    row = row.gap().with(tone, &text::pad(&budget, budget_columns));
    if shows_rest {
        row = row.gap().with(Tone::Dim, &rest);
    }
    let edge = columns.saturating_sub(text::width(&time) + 2);
    row.cut(edge).fill(edge).column(Tone::Dim, &time).cut(columns)
}

/// Returns the wave that runs, or else the last that began, and its place.
fn current(state: &RunState) -> Option<(usize, &WaveState)> {
    let begun = || state.waves().enumerate().filter(|(_, wave)| wave.started_at.is_some()).last();
    state.current_wave().or_else(|| begun().map(|(place, wave)| (place + 1, wave)))
}

/// Returns the failures of the wave, and how many it allows.
fn budget(state: &RunState, wave: Option<(usize, &WaveState)>) -> (Tone, String) {
    let Some((_, wave)) = wave else { return (Tone::Dim, String::new()) };
    let failed = state
        .targets()
        .filter(|target| {
            target.wave == wave.outline.name && target.outcome().is_some_and(|outcome| outcome.is_failure())
        })
        .count();
    let allowed = wave.outline.max_failures;
    let tone = match failed {
        0 => Tone::Dim,
        failed if failed > allowed => Tone::Bad,
        _ => Tone::Warn,
    };
    (tone, format!("failures {failed}/{allowed}"))
}

/// Returns what runs and waits.
fn rest(state: &RunState) -> String {
    let totals = state.totals();
    match totals.waiting {
        0 => format!("{} running", totals.running),
        waiting => format!("{} running, {waiting} waiting", totals.running),
    }
}

/// Returns `00:33 of ~40s`, and `00:43, 3s over` once it takes longer than expected; on a narrow terminal the clock alone.
fn time(state: &RunState, moment: Moment<'_>, columns: usize) -> String {
    let elapsed = state.started_at().map_or(0, |start| milliseconds(start, moment.now));
    let clock = text::clock(elapsed);
    let goes_on = state.cancelled().is_none() && state.halted().is_none();
    match moment.expected_ms.filter(|_| goes_on && columns >= ROOMY) {
        Some(expected) if elapsed >= expected + 1000 => format!("{clock}, {} over", whole_seconds(elapsed - expected)),
        Some(expected) => format!("{clock} of ~{}", whole_seconds(expected)),
        None => clock,
    }
}

/// Returns the columns that are kept for the time.
fn time_columns(moment: Moment<'_>, columns: usize) -> usize {
    let clock = "1:00:00".len();
    moment.expected_ms.filter(|_| columns >= ROOMY).map_or(clock, |expected| {
        let longest = text::width(&text::clock(expected)) + " of ~".len() + text::width(&whole_seconds(expected));
        longest.max("00:00, 9m 59s over".len())
    })
}

fn whole_seconds(ms: u64) -> String {
    text::duration(ms / 1000 * 1000)
}
