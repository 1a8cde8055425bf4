//! What people and programs see of a run while it goes on, and the summary at its end.
//!
//! A [`View`] listens: it can neither stop nor change a run, and a terminal or a pipe that goes away does not either.
//! stdout is data, stderr is for people; both are writers that it is given, and time is what events and ticks say.

use std::io::Write;
use std::time::Duration;

use jiff::Timestamp;

use crate::base::secrets::Scrubbed;
use crate::doctor::report::Report;
use crate::event::{Event, Stamped};
use crate::exec::relay::{Line, Stream};
use crate::outputs::journal::Journal;
use crate::outputs::reports::Reports;
use crate::plan::outline::Outline;
use crate::plan::preview::Preview;
use crate::state::RunState;
use crate::status::Status;
use crate::status::images::RunningImages;
use crate::view::options::{Format, Options};

pub mod accounts;
pub mod canvas;
pub mod check;
pub mod children;
pub mod crash;
pub mod doctor;
pub mod hooks;
pub mod jsonl;
pub mod lines;
pub mod live;
pub mod log;
pub mod markdown;
pub mod options;
pub mod plan;
pub mod question;
pub mod row;
pub mod sections;
pub mod status;
pub mod stream;
pub mod style;
pub mod summary;

use crate::base::text::clean;
use crate::narrate::next::{Invocation, next};
use crate::narrate::outcome::Tone;
use crate::view::jsonl::Jsonl;
use crate::view::lines::Lines;
use crate::view::live::Live;
use crate::view::style::Paint;
use crate::view::summary::Extent;

/// How a plan is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// For people.
    #[default]
    Text,
    /// As JSON, for programs.
    Json,
    /// As Markdown, for a note on a merge request.
    Markdown,
}

/// A view of one run.
pub struct View {
    options: Options,
    out: Box<dyn Write + Send>,
    screen: Screen,
    jsonl: Option<Jsonl>,
    journal: Option<Journal>,
    reports: Reports,
    /// The plan of a run that is refused.
    planned: Option<Outline>,
    /// What of the command line the next one has again.
    invocation: Invocation,
}

enum Screen {
    Live(Live),
    Lines(Lines),
}

impl View {
    /// Starts a view that writes data to `out` and words for people to `err`.
    pub fn new(options: Options, out: Box<dyn Write + Send>, err: Box<dyn Write + Send>) -> Self {
        let (out, err) = (Box::new(Scrubbed(out)), Box::new(Scrubbed(err)));
        let paint = Paint(options.color);
        let screen = if options.live {
            Screen::Live(Live::new(err, paint, &options))
        } else {
            Screen::Lines(Lines::new(err, paint, options.verbose))
        };
        let jsonl = (options.format == Format::Jsonl).then(Jsonl::new);
        let reports = Reports::default();
        let invocation = Invocation::default();
        Self { options, out, screen, jsonl, journal: None, reports, planned: None, invocation }
    }

    /// Takes what of the command line the command that comes next has again.
    pub fn invoked_by(&mut self, invocation: Invocation) {
        self.invocation = invocation;
    }

    /// Asks the person at the terminal, below all that was shown, and waits for the answer.
    pub async fn ask(&mut self, question: &str) -> bool {
        match &mut self.screen {
            Screen::Live(live) => live.plain(Tone::Strong, question),
            Screen::Lines(lines) => lines.plain(Tone::Strong, question),
        }
        question::answer().await
    }

    /// Writes every event to a journal, too.
    pub fn record(&mut self, journal: Journal) {
        self.journal = Some(journal);
    }

    /// Writes reports, too.
    pub fn report(&mut self, reports: Reports) {
        self.reports = reports;
    }

    /// Folds its lines into one of GitLab's sections for each target. Where it draws, there is nothing to fold.
    pub fn fold(&mut self) {
        if let Screen::Lines(lines) = &mut self.screen {
            lines.fold();
        }
    }

    /// Keeps the plan of a run that is going to be refused, for its reports.
    pub fn planned(&mut self, outline: Outline) {
        self.planned = Some(outline);
    }

    /// Gives that plan back.
    pub fn take_planned(&mut self) -> Option<Outline> {
        self.planned.take()
    }

    /// Writes the reports now, and not only with the summary.
    pub fn write_reports(&mut self) {
        self.reports.write();
    }

    /// Writes the reports of a plan. What cannot be written is a warning.
    pub fn report_plan(&mut self, preview: &Preview) {
        self.reports.write_plan(preview, markdown::text);
        for fault in self.reports.take_faults() {
            self.warning(&fault);
        }
    }

    /// Writes a text to stdout.
    pub fn data(&mut self, text: &str) {
        if let Screen::Live(live) = &mut self.screen {
            live.flush();
        }
        // A reader that has seen enough is no error.
        let _ = self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush());
    }

    /// Shows what is done before the first event: `walking 6 role chains`.
    pub fn phase(&mut self, text: &str) {
        if !self.options.quiet {
            match &mut self.screen {
                Screen::Live(live) => live.phase(text),
                Screen::Lines(lines) => lines.plain(Tone::Dim, &clean(text)),
            }
        }
    }

    /// Takes how many seconds the run is expected to last, if every rollout takes as long as its service's last one.
    pub fn expect(&mut self, seconds: Option<u64>) {
        if let Screen::Live(live) = &mut self.screen {
            live.expect(seconds);
        }
    }

    /// Says what a person should know though it stops nothing.
    pub fn warning(&mut self, text: &str) {
        self.plain(Tone::Warn, &format!("warning: {}", clean(text)));
    }

    /// Says something in passing.
    pub fn note(&mut self, text: &str) {
        self.plain(Tone::Plain, &format!("note: {}", clean(text)));
    }

    /// Shows a plan of which only the outline is known.
    pub fn plan(&mut self, outline: &Outline) {
        self.preview(&Preview::of_outline(outline), Form::Text);
    }

    /// Shows a plan: on stdout, unless events go there.
    pub fn preview(&mut self, preview: &Preview, form: Form) {
        let written = |color: bool, width: usize| match form {
            Form::Text => plan::text(preview, Paint(color), width),
            // A plan holds nothing but text, numbers and lists, all of which JSON has.
            Form::Json => crate::base::json::pretty(preview).unwrap_or_default(),
            Form::Markdown => markdown::text(preview),
        };
        match self.options.format {
            Format::Text => {
                let text = written(self.options.color_stdout, self.options.width);
                self.data(&text);
            }
            Format::Jsonl => {
                let text = written(self.options.color, self.options.width);
                self.plain(Tone::Plain, text.trim_end());
            }
        }
    }

    /// Shows a status on stdout.
    pub fn status(&mut self, status: &Status, layout: status::Layout) {
        let paint = Paint(self.options.color_stdout);
        let text = match layout {
            status::Layout::Table => status::text(status, paint, self.options.width, false),
            status::Layout::Whole => status::text(status, paint, self.options.width, true),
            status::Layout::Json => status::json(status),
        };
        self.data(&text);
    }

    /// Shows on stdout which images run where.
    pub fn running_images(&mut self, running: &RunningImages, is_json: bool) {
        let text = match is_json {
            true => crate::base::json::pretty(running).expect("it has string keys and no floats"),
            false => status::images::text(running, Paint(self.options.color_stdout), self.options.width),
        };
        self.data(&text);
    }

    /// Shows on stdout what `doctor` found.
    pub fn doctor(&mut self, report: &Report, layout: doctor::Layout) {
        let text = match layout {
            doctor::Layout::Text => doctor::text(report, Paint(self.options.color_stdout), self.options.width),
            doctor::Layout::Json => doctor::json(report),
        };
        self.data(&text);
    }

    /// Shows on stdout the hooks at which deployments wait; with `rollback` these are rolled back instead of continued.
    pub fn hooks(&mut self, waiting: &[hooks::Waiting], rollback: bool) {
        let text = hooks::text(waiting, rollback, Paint(self.options.color_stdout));
        self.data(&text);
    }

    /// Passes on a line that an account's child said, with the account before it, to the stream on which it said so.
    pub fn child_line(&mut self, account: &str, column: usize, line: &Line) {
        let bytes = children::line(account, column, &line.bytes);
        match line.stream {
            // A reader that has seen enough is no error.
            Stream::Out => drop(self.out.write_all(&bytes).and_then(|()| self.out.flush())),
            Stream::Err => self.raw(&bytes),
        }
    }

    /// Shows how children ended; those that did well only where somebody wants to hear it.
    pub fn children(&mut self, ended: &[children::Ended]) {
        let text = children::summary(ended, Paint(self.options.color), self.options.quiet);
        self.raw(text.as_bytes());
    }

    /// Says what keeps one child from starting, in any case.
    pub fn problem(&mut self, text: &str) {
        let word = Paint(self.options.color).paint(Tone::Bad, "error:");
        self.raw(format!("{word} {}\n", clean(text)).as_bytes());
    }

    fn raw(&mut self, bytes: &[u8]) {
        match &mut self.screen {
            Screen::Live(live) => live.plain(Tone::Plain, String::from_utf8_lossy(bytes).trim_end_matches('\n')),
            Screen::Lines(lines) => lines.raw(bytes),
        }
    }

    /// Takes in an event, and shows what is new.
    pub fn event(&mut self, event: &Stamped) {
        self.replay(event);
        if let Some(jsonl) = &mut self.jsonl
            && let Some(error) = jsonl.event(&mut *self.out, event)
        {
            self.warning(&format!("events are no longer written to stdout: {error}"));
        }
        if !self.options.quiet {
            match &mut self.screen {
                Screen::Live(live) => live.event(event, self.reports.state()),
                Screen::Lines(lines) => lines.event(event, self.reports.state()),
            }
            if let Event::RunStarted { .. } = &event.event {
                summary::ships(self.state()).iter().for_each(|line| self.plain(Tone::Plain, &format!("  {line}")));
            }
        }
    }

    /// Takes in an event for the journal alone.
    pub fn keep(&mut self, event: &Stamped) {
        if let Some(error) = self.journal.as_mut().and_then(|journal| journal.event(event)) {
            self.warning(&format!("the journal ends here: {error}"));
        }
    }

    /// Takes in an event of a run that is over: what has become of it is shown at the end.
    pub fn replay(&mut self, event: &Stamped) {
        self.reports.event(event);
        self.keep(event);
    }

    /// Returns how often it wants to be told that time has passed.
    pub fn pace(&self) -> Duration {
        match self.screen {
            Screen::Live(_) => Duration::from_millis(100),
            Screen::Lines(_) => Duration::from_secs(1),
        }
    }

    /// Shows that time has passed; called at its [`Self::pace`].
    pub fn tick(&mut self, now: Timestamp) {
        if !self.options.quiet {
            match &mut self.screen {
                Screen::Live(live) => live.tick(now, self.reports.state()),
                Screen::Lines(lines) => lines.tick(now, self.reports.state()),
            }
        }
    }

    /// Writes the summary and returns what has become of the run.
    pub fn finish(mut self) -> RunState {
        if let Some(error) = self.journal.as_mut().and_then(Journal::finish) {
            self.warning(&format!("the journal may not be on the disk: {error}"));
        }
        self.reports.write();
        let width = if self.options.live {
            (self.options.size)().map_or(self.options.width, |size| size.0)
        } else {
            self.options.width
        };
        let mut err = match self.screen {
            Screen::Live(live) => live.close(),
            Screen::Lines(lines) => lines.close(),
        };
        let extent = match (self.options.quiet, self.options.live) {
            (true, _) => Extent::Quiet,
            (false, true) => Extent::Drawn,
            (false, false) => Extent::Whole,
        };
        let summary = summary::text(self.reports.state(), Paint(self.options.color), width, extent);
        let gap = if self.options.quiet || summary.is_empty() { "" } else { "\n" };
        let _ = write!(err, "{gap}{summary}").and_then(|()| err.flush());
        for fault in self.reports.take_faults() {
            let warning = Paint(self.options.color).paint(Tone::Warn, &format!("warning: {}", clean(&fault)));
            let _ = writeln!(err, "{warning}").and_then(|()| err.flush());
        }
        let state = self.reports.take_state();
        if state.started_at().is_some() {
            let next = next(state.exit(), &state, &self.invocation);
            let _ = err.write_all(style::next(&next, Paint(self.options.color)).as_bytes()).and_then(|()| err.flush());
        }
        state
    }

    /// Returns what has become of the run so far.
    pub fn state(&self) -> &RunState {
        self.reports.state()
    }

    fn plain(&mut self, tone: Tone, text: &str) {
        if !self.options.quiet {
            match &mut self.screen {
                Screen::Live(live) => live.plain(tone, text),
                Screen::Lines(lines) => lines.plain(tone, text),
            }
        }
    }
}
