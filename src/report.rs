//! What remains of a run: its verdict, its waves, every target, and each distinct reason once.
//!
//! Pure: a [`Report`] is a function of the event log, so that one made again from a journal has the same bytes. It is the
//! JSON report (docs/report.schema.json); the other forms are made of it, a file each below. It holds no value of an
//! environment variable, no token and no key: events have none. Text that AWS wrote is neutralised here, once.

pub mod annotations;
mod bounded;
mod deployed;
pub mod dotenv;
pub mod html;
pub mod junit;
pub mod kind;
pub mod log;
pub mod markdown;
mod merge;
mod reason;
pub mod record;
mod stages;
mod target;
pub mod terraform;
mod wave;

pub use crate::report::kind::Kind;
pub use crate::report::reason::Reason;
pub use crate::report::record::Record;
pub use crate::report::stages::{Pause, Stage};
pub use crate::report::target::{Ending, Line, Rollback, Target, Task};
pub use crate::report::wave::Wave;

use indexmap::IndexMap;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::exit::Exit;
use crate::base::text::clean;
use crate::event::Job;
use crate::fleet::TargetId;
use crate::plan::ships::ImageChange;
use crate::report::reason::Reasons;
use crate::state::RunState;

/// The version of the JSON form. It changes when a member is removed or gets another meaning, not when one is added.
pub const VERSION: u32 = 1;

/// What remains of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// The version of this form.
    pub version: u32,
    /// Which run.
    pub run: Run,
    /// The runs of which this report was merged, such as the shards of a child pipeline; empty where it is one run.
    #[serde(default)]
    pub parts: Vec<Run>,
    /// What it came to.
    pub verdict: Verdict,
    /// What it ships: each distinct change of an image once.
    #[serde(default)]
    pub ships: Vec<ImageChange>,
    /// How many targets ended how: every word of `targets[].outcome` that occurs, with its count.
    #[schemars(with = "std::collections::BTreeMap<String, usize>")]
    pub totals: IndexMap<Ending, usize>,
    /// The waves, in the order in which they run.
    pub waves: Vec<Wave>,
    /// Why targets did not succeed: each distinct reason once.
    pub reasons: Vec<Reason>,
    /// Every target, in the plan's order: wave by wave.
    pub targets: Vec<Target>,
    /// How many targets were left out of `targets`, in a webhook's body; 0 in a file.
    #[serde(default)]
    pub targets_left_out: usize,
    /// What was said of no target in particular: waves, halts, bakes.
    #[serde(default)]
    pub events: Vec<Line>,
}

/// Which run it was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Run {
    /// The run's id, as in its events.
    pub id: Option<String>,
    /// Whether it was the embedded sandbox and no AWS account.
    pub sandbox: bool,
    /// When it started.
    #[schemars(with = "Option<String>")]
    pub started_at: Option<Timestamp>,
    /// When it was over; absent where it is not, or where its events break off.
    #[schemars(with = "Option<String>")]
    pub ended_at: Option<Timestamp>,
    /// The milliseconds from the start to the last event.
    pub elapsed_ms: u64,
    /// The CI job that it was.
    pub job: Job,
}

/// What a run came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    /// The exit code; absent where the run is not over, or where its events break off.
    pub exit_code: Option<u8>,
    /// What that means, in a few words.
    pub words: String,
    /// Why nothing new was started, if a failure budget was exceeded.
    pub halted: Option<Halt>,
    /// The signal that cancelled the run.
    pub cancelled: Option<String>,
    /// The wave before which the run stopped, at its gate.
    pub gate: Option<String>,
    /// Why the run was refused before anything was changed.
    pub refused: Option<Refused>,
}

/// Why nothing new was started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Halt {
    /// The wave whose failure budget was exceeded.
    pub wave: String,
    /// The first target that failed in it.
    pub cause: TargetId,
    /// How many had failed by then.
    pub failed: usize,
    /// How many were allowed to.
    pub max_failures: usize,
}

/// Why a run was refused before anything was changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Refused {
    /// The lines of the error.
    pub message: Vec<String>,
    /// What to do about it.
    pub help: Vec<String>,
}

impl Report {
    /// Reports what is known of a run, without the events of its targets: a [`Record`] has those, too.
    pub fn from_state(state: &RunState) -> Self {
        let mut reasons = Reasons::default();
        let targets: Vec<Target> =
            state.targets().map(|target| Target::from_state(target, state, &mut reasons)).collect();
        let waves = state.waves().map(|wave| Wave::from_state(wave, state, &targets)).collect();
        let mut report = Self {
            version: VERSION,
            run: Run::from_state(state),
            parts: Vec::new(),
            verdict: Verdict::from_state(state),
            ships: state.ships().to_vec(),
            totals: IndexMap::new(),
            waves,
            reasons: reasons.into_list(),
            targets,
            targets_left_out: 0,
            events: Vec::new(),
        };
        report.totals = totals(report.targets.iter());
        report
    }

    /// Returns the reason of one of its targets.
    pub fn reason(&self, target: &Target) -> Option<&Reason> {
        self.reasons.get(target.reason?)
    }

    /// Returns its targets, those first that ask the most of a person; else in the plan's order.
    pub fn worst_first(&self) -> Vec<&Target> {
        let mut targets: Vec<&Target> = self.targets.iter().collect();
        targets.sort_by_key(|target| std::cmp::Reverse(target.outcome.weight()));
        targets
    }

    /// Returns how many of its targets count as failures.
    pub fn failures(&self) -> usize {
        self.totals.iter().filter(|(ending, _)| ending.is_failure()).map(|(_, count)| count).sum()
    }

    /// Returns the number of targets, those that were left out included.
    pub fn all(&self) -> usize {
        self.totals.values().sum()
    }

    /// Returns the counts in words: `2 succeeded, 1 failed`.
    pub fn counts(&self) -> String {
        counts(&self.totals)
    }
}

/// Counts targets by their endings, in the order in which people read them.
fn totals<'a>(targets: impl Iterator<Item = &'a Target>) -> IndexMap<Ending, usize> {
    let mut totals: IndexMap<Ending, usize> = IndexMap::new();
    for target in targets {
        *totals.entry(target.outcome).or_default() += 1;
    }
    totals.sort_keys();
    totals
}

/// Returns counts in words: `2 succeeded, 1 failed`.
fn counts(totals: &IndexMap<Ending, usize>) -> String {
    let words: Vec<String> = totals.iter().map(|(ending, count)| format!("{count} {}", ending.words())).collect();
    if words.is_empty() { "no targets".to_owned() } else { words.join(", ") }
}

impl Run {
    fn from_state(state: &RunState) -> Self {
        let refused_at = state.refusal().map(|refusal| refusal.at);
        Self {
            id: state.run().map(str::to_owned),
            sandbox: state.is_sandbox(),
            started_at: state.started_at().or(refused_at),
            ended_at: state.finished_at().or(refused_at),
            elapsed_ms: state.elapsed_ms(),
            job: state.job().clone(),
        }
    }
}

impl Verdict {
    fn from_state(state: &RunState) -> Self {
        let over = state.finished_at().is_some() || state.refusal().is_some();
        let exit = over.then(|| state.exit());
        let halted = state.halted().map(|halt| Halt {
            wave: halt.wave.clone(),
            cause: halt.cause.clone(),
            failed: halt.failed,
            max_failures: halt.max_failures,
        });
        let refused = state.refusal().map(|refusal| Refused {
            message: refusal.message.lines().map(|line| clean(line).into_owned()).collect(),
            help: refusal.help.iter().map(|line| clean(line).into_owned()).collect(),
        });
        let words = exit.map_or_else(|| words(None, false), |exit| state.verdict(exit).to_owned());
        let (cancelled, gate) = (state.cancelled().map(str::to_owned), state.gate().map(str::to_owned));
        Self { exit_code: exit.map(Exit::code), words, halted, cancelled, gate, refused }
    }

    /// Returns how the process ended; `None` where that is not known.
    pub fn exit(&self) -> Option<Exit> {
        self.exit_code.and_then(Exit::of_code)
    }
}

/// Returns a verdict in a few words.
fn words(exit: Option<Exit>, did: bool) -> String {
    exit.map_or("not over: the events end before the run does", |exit| exit.verdict(did)).to_owned()
}
