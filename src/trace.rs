//! The trace of a run: a span for the run, its waves, its targets and their phases, by OpenTelemetry's names.
//!
//! Pure: a fold of the events with the times of the events, so that a trace made again of the same events has the same spans
//! and ids. What is not started has no span: the run counts it. `otlp.rs` sends it.

mod attributes;
mod names;
mod resource;
mod target;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::base::text::{clean, count};
use crate::plan::ships::lines;
use crate::state::{RunState, WaveState};
pub use crate::trace::attributes::{Attributes, Value};
use crate::trace::names::{error_type, result};
use crate::trace::resource::resource;

/// A part of a run with a beginning and an end.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// What it is, in the few words that spans of its kind share.
    pub name: String,
    /// Its own name in the trace: below that of its parent, which is everything before the last slash.
    pub path: String,
    /// The place of its parent among the spans; `None` of the run.
    pub parent: Option<usize>,
    /// When it began.
    pub start: Timestamp,
    /// When it ended.
    pub end: Timestamp,
    /// What is said of it.
    pub attributes: Attributes,
    /// Why it failed, in one line; `None` where it did not.
    pub error: Option<String>,
}

/// A trace: spans, each after its parent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trace {
    /// What is said of all of it.
    pub resource: Attributes,
    /// The spans.
    pub spans: Vec<Span>,
    /// What the ids are made of.
    seed: String,
}

impl Trace {
    /// Folds a run that is over into its trace; a run without an end has none.
    pub fn fold(state: &RunState) -> Option<Self> {
        let (start, end) = (state.started_at()?, state.finished_at()?);
        let seed = format!("{}\n{start}", state.run().unwrap_or_default());
        let mut trace = Self { resource: resource(state.job()), spans: vec![run(state, start, end)], seed };
        for wave in state.waves() {
            trace.add_wave(wave, state, end);
        }
        for target in state.targets().filter(|target| target.rolled_back_at.is_some()) {
            trace.add_late_rollback(target);
        }
        Some(trace)
    }

    /// Returns the id of the trace where no other one goes on.
    pub fn id(&self) -> [u8; 16] {
        first(&self.seed, "")
    }

    /// Returns the id of one of its spans.
    pub fn span_id(&self, span: &Span) -> [u8; 8] {
        first(&self.seed, &span.path)
    }

    fn add_wave(&mut self, wave: &WaveState, state: &RunState, run_end: Timestamp) {
        let Some(start) = wave.started_at else { return };
        let (outline, end) = (&wave.outline, wave.finished_at.unwrap_or(run_end));
        let targets: Vec<_> = state.targets().filter(|target| target.wave == outline.name).collect();
        let failed =
            targets.iter().filter(|target| target.outcome().is_some_and(|outcome| outcome.is_failure())).count();
        let mut attributes = Attributes::default();
        attributes.text("roleout.wave.name", &outline.name);
        attributes.count("roleout.wave.targets", targets.len());
        attributes.count("roleout.wave.failed", failed);
        attributes.count("roleout.wave.max_failures", outline.max_failures);
        if let Some(passed) = wave.passed {
            attributes.flag("roleout.wave.passed", passed);
        }
        let error = (wave.passed == Some(false)).then(|| format!("{failed} failed, {} allowed", outline.max_failures));
        let place = self.add(0, format!("wave {}", outline.name), &outline.name, (start, end), attributes);
        self.spans[place].error = error;
        for target in targets {
            self.add_target(target, place, end);
        }
        if let Some(bake) = wave.bake_started_at {
            let mut attributes = Attributes::default();
            attributes.count("roleout.bake.seconds", usize::try_from(wave.bake_seconds).unwrap_or(usize::MAX));
            self.add(place, "bake".to_owned(), "bake", (bake, end), attributes);
        }
    }

    /// Adds a span below another one, and returns its place.
    fn add(
        &mut self,
        parent: usize,
        name: String,
        part: &str,
        (start, end): (Timestamp, Timestamp),
        attributes: Attributes,
    ) -> usize {
        let path = format!("{}/{}", self.spans[parent].path, part);
        let name = clean(&name).into_owned();
        // A clock that was set back must not make a span end before it begins.
        let end = end.max(start);
        self.spans.push(Span { name, path, parent: Some(parent), start, end, attributes, error: None });
        self.spans.len() - 1
    }
}

fn first<const N: usize>(seed: &str, path: &str) -> [u8; N] {
    let hash = Sha256::digest(format!("{seed}\n{path}"));
    let mut id = [0; N];
    id.copy_from_slice(&hash[..N]);
    id
}

/// Returns the span of the whole run: to OpenTelemetry it is a task of a pipeline.
fn run(state: &RunState, start: Timestamp, end: Timestamp) -> Span {
    let (job, exit) = (state.job(), state.exit());
    let mut attributes = Attributes::default();
    attributes.some("cicd.pipeline.task.name", job.name.as_ref());
    attributes.some("cicd.pipeline.task.run.id", job.id.as_ref());
    attributes.some("cicd.pipeline.task.run.url.full", job.url.as_ref());
    attributes.text("cicd.pipeline.task.type", "deploy");
    attributes.text("cicd.pipeline.task.run.result", result(exit));
    attributes.some("deployment.environment.name", job.environment.as_ref());
    attributes.some("error.type", error_type(exit));
    attributes.some("roleout.run.id", state.run());
    attributes.count("roleout.exit_code", usize::from(exit.code()));
    attributes.text("roleout.verdict", state.verdict(exit));
    let ships =
        lines(state.ships()).into_iter().map(|(line, targets)| format!("{line} ({})", count(targets, "target")));
    attributes.texts("roleout.ships", ships);
    let counts = state.totals().named().into_iter().filter(|(_, number)| *number > 0);
    attributes.texts("roleout.targets", counts.map(|(word, number)| format!("{number} {word}")));
    if let Some(halt) = state.halted() {
        attributes.text("roleout.halted.wave", &halt.wave);
        attributes.text("roleout.halted.cause", halt.cause.to_string());
    }
    attributes.some("roleout.gate", state.gate());
    let error = error_type(exit).map(|_| state.verdict(exit).to_owned());
    let name = "run".to_owned();
    Span { path: name.clone(), name, parent: None, start, end: end.max(start), attributes, error }
}

#[cfg(test)]
mod tests;
