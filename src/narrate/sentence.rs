//! What an event says to people: one short line, the same above the live lines and in a job's log.
//!
//! It does not decide when a line is shown, and it writes nothing.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use crate::base::general::general;
use crate::base::text;
use crate::base::text::{clean, count, duration};
use crate::event::{Event, RollbackStep, Stamped, TaskEnd, is_trouble};
use crate::fleet::tasks::Tasks;
use crate::fleet::{Outcome, Revision, TargetId};
use crate::narrate::outcome::Tone;
use crate::narrate::trouble::TroubleTracker;
use crate::narrate::{outcome, stage};
use crate::plan::outline::Outline;
use crate::state::{Phase, RunState, TargetState, WaveState, milliseconds};

/// How many different complaints of ECS about a target are told before the rest is left to its evidence. One that comes again is
/// not told again: a service that cannot place a task says so every few seconds.
const COMPLAINTS: usize = 3;

/// A line for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sentence {
    /// What it means.
    pub tone: Tone,
    /// The symbol of that.
    pub mark: &'static str,
    /// Whom it is about; `None` for the run.
    pub target: Option<TargetId>,
    /// The words.
    pub text: String,
    /// Whether it only repeats what a live line shows.
    pub progress: bool,
}

/// Finds the words for events.
#[derive(Debug, Default)]
pub struct Narrator {
    /// Whether every event is told.
    pub verbose: bool,
    /// What ECS complained of each target, without what differs from time to time.
    complained: HashMap<TargetId, Vec<String>>,
    complaints: TroubleTracker,
    /// The causes of failures whose log was shown.
    causes: HashSet<String>,
}

impl Narrator {
    /// Tells everything, or only what matters.
    pub fn new(verbose: bool) -> Self {
        Self { verbose, ..Self::default() }
    }

    /// Returns the words for an event, given the state after it; `None` where there is nothing to say. Changes of task
    /// counts are not told here: see [`tasks`].
    pub fn narrate(&mut self, event: &Stamped, state: &RunState) -> Option<Sentence> {
        self.complaints.apply(&event.event);
        match &event.event {
            Event::RunStarted { plan, sandbox, job: _ } => Some(run(format!(
                "{}{}{}",
                clean(&event.run),
                if *sandbox { " in the sandbox, not in AWS: " } else { ": " },
                plan_words(plan)
            ))),
            Event::WaveStarted { wave } => {
                let place = state.waves().position(|other| other.outline.name == *wave)?;
                let outline = &state.waves().nth(place)?.outline;
                Some(run(format!(
                    "wave {} ({} of {}): {}, {}; tolerates {}",
                    clean(wave),
                    place + 1,
                    state.waves().count(),
                    count(outline.changing, "target"),
                    text::parallel(&outline.max_parallel),
                    if outline.max_failures == 0 {
                        "no failure".to_owned()
                    } else {
                        count(outline.max_failures, "failure")
                    }
                )))
            }
            Event::RolloutStarted { target } => self.verbose.then(|| {
                let from = state.target(target).and_then(|target| target.from.as_ref());
                let now = from.map(|from| format!(", runs {} now", clean(&from.to_string())));
                progress(target, format!("started{}", now.unwrap_or_default()))
            }),
            Event::RevisionRegistered { target, revision, reused } => self.verbose.then(|| {
                let verb = if *reused { "reuses" } else { "registered" };
                progress(target, format!("{verb} {}", clean(&revision.to_string())))
            }),
            Event::TagsRefused { account, reason, help } => Some(Sentence {
                tone: Tone::Warn,
                mark: "!",
                ..run(format!(
                    "revisions in {} are registered without tags: {}; {}",
                    clean(account),
                    clean(reason),
                    clean(help)
                ))
            }),
            Event::SessionLost { account, reason } => Some(Sentence {
                tone: Tone::Bad,
                mark: "!",
                ..run(format!(
                    "the session in {} is lost, so nothing more is read or changed there; ECS goes on: {}",
                    clean(account),
                    clean(reason)
                ))
            }),
            Event::DefinitionAltered { family, differences, help } => Some(Sentence {
                tone: Tone::Warn,
                mark: "!",
                ..run(format!(
                    "ECS changed the definition of {} when it registered it: {}; {}",
                    clean(family),
                    clean(&differences.join(", ")),
                    clean(help)
                ))
            }),
            Event::DeploymentStarted { target, deployment, revision, attached } => {
                let verb = if *attached { "follows" } else { "deploys" };
                let (revision, deployment) = (revision.to_string(), clean(deployment));
                Some(progress(target, format!("{verb} {} as {deployment}", clean(&revision))))
            }
            // Why a run was refused is the error that ends the command.
            Event::TasksChanged { .. } | Event::Unknown | Event::RunFinished { .. } | Event::RunRefused { .. } => None,
            Event::StageChanged { target, stage, production_percent, test_percent, bake_minutes } => {
                let text = stage::words(stage, *production_percent, *test_percent, *bake_minutes);
                Some(progress(target, text))
            }
            Event::HookWaiting { target, hook, continued } => {
                let (tone, mark) = if *continued { (Tone::Plain, "·") } else { (Tone::Warn, "!") };
                let text = stage::waits(target, hook, *continued);
                Some(Sentence { tone, mark, target: Some(target.clone()), text, progress: *continued })
            }
            Event::HookEnded { target, hook: _, status } => {
                Some(progress(target, format!("the PAUSE hook ended: {}", clean(status))))
            }
            Event::RunTaskStarted { target, name, moment, task } => {
                let id = task.rsplit('/').next().unwrap_or(task);
                let words = format!("runs the task {} {} the deployment: {}", clean(name), moment.word(), clean(id));
                Some(progress(target, words))
            }
            Event::RunTaskAwaited { target, name } => {
                Some(progress(target, format!("waits for the task {}, which runs for another target", clean(name))))
            }
            Event::RunTaskNotRun { service, name, account_id, missing } => {
                let account = account_id.as_ref().map(|account| format!(" in account {account}")).unwrap_or_default();
                let why = format!("{} of it did not succeed in this run", count(*missing, "target"));
                let text = format!("the task {} of {}{account} was not run: {why}", clean(name), clean(service));
                Some(Sentence { tone: Tone::Warn, mark: "!", ..run(text) })
            }
            Event::RunTaskFinished { target, .. } => state.target(target).and_then(task_finished),
            Event::HookNotContinued { target, hook: _, reason } => Some(Sentence {
                tone: Tone::Warn,
                mark: "!",
                target: Some(target.clone()),
                text: format!("the PAUSE hook was not continued: {}", clean(reason)),
                progress: false,
            }),
            Event::ServiceMessage { target, text } => self.message(target, text),
            Event::RolloutFinished { target, .. } => state.target(target).map(finished),
            Event::RolloutSkipped { target, outcome, cause: _, reason } => self.verbose.then(|| {
                let (mark, tone) = outcome::mark(*outcome);
                let text = format!("{}: {}", outcome.words(), clean(reason));
                Sentence { tone, mark, target: Some(target.clone()), text, progress: false }
            }),
            Event::TargetDegraded { target, reason } => Some(Sentence {
                tone: Tone::Bad,
                mark: "✖",
                target: Some(target.clone()),
                text: format!("failed: degraded during the bake: {}", clean(&reason.summary)),
                progress: false,
            }),
            Event::RollbackStarted { target, how, to, cause } => {
                Some(rollback_started(target, *how, to.as_ref(), cause.as_ref()))
            }
            Event::RollbackFinished { target, .. } => state.target(target).map(rollback_finished),
            Event::RollbackImpossible { target, reason } => Some(Sentence {
                tone: Tone::Warn,
                mark: "!",
                target: Some(target.clone()),
                text: format!("stays as it is: {}", clean(reason)),
                progress: false,
            }),
            Event::BakeStarted { wave, seconds } => {
                Some(run(format!("wave {}: bakes for {}", clean(wave), duration(seconds.saturating_mul(1000)))))
            }
            Event::WaveFinished { wave, failed, passed } => {
                let wave = state.waves().find(|other| other.outline.name == *wave)?;
                Some(wave_finished(wave, *failed, *passed))
            }
            Event::RunHalted { wave, cause, failed, max_failures } => {
                // The one whose failure was one too many may still be rolled back: it is told of as failed.
                let fails = |target: &TargetState| target.is_failing() || target.phase == Phase::RollingBack;
                let others = |target: &&TargetState| target.is_running() && target.target != *cause && !fails(target);
                let rest = match state.targets().filter(others).count() {
                    0 => String::new(),
                    1 => "; 1 still runs to its end".to_owned(),
                    running => format!("; {running} still run to their end"),
                };
                Some(Sentence {
                    tone: Tone::Bad,
                    text: format!(
                        "halted in wave {}: {} ({max_failures} allowed), first {}; nothing new will start{rest}",
                        clean(wave),
                        count(*failed, "failure"),
                        clean(&cause.to_string())
                    ),
                    mark: "✖",
                    ..run(String::new())
                })
            }
            Event::GateReached { wave } => {
                Some(run(format!("stopped at the gate before wave {0}; go on with --from {0}", clean(wave))))
            }
            Event::RunCancelled { signal } => Some(Sentence {
                tone: Tone::Warn,
                mark: "!",
                ..run(format!("cancelled by {}: nothing new starts", clean(signal)))
            }),
        }
    }

    /// Returns the last lines of the logs behind a failure, the first time that their cause is told.
    pub fn log<'a>(&mut self, event: &'a Stamped) -> Vec<Cow<'a, str>> {
        let Event::RolloutFinished { reason: Some(reason), .. } = &event.event else { return Vec::new() };
        let logged = reason.evidence.iter().filter(|evidence| !evidence.log.is_empty());
        let fresh = logged.filter(|evidence| self.causes.insert(evidence.text.clone()));
        fresh.flat_map(|evidence| &evidence.log).map(|line| clean(line)).collect()
    }

    /// Returns why a target that is under way does not get on, in the words of ECS.
    pub fn why(&self, target: &TargetState) -> Option<Cow<'_, str>> {
        self.complaints.newest(target).map(clean)
    }

    fn message(&mut self, target: &TargetId, text: &str) -> Option<Sentence> {
        let trouble = is_trouble(text);
        if trouble && !self.verbose {
            let (told, general) = (self.complained.entry(target.clone()).or_default(), general(text));
            if told.len() == COMPLAINTS || told.contains(&general) {
                return None;
            }
            told.push(general);
        }
        let (tone, mark) = if trouble { (Tone::Warn, "!") } else { (Tone::Dim, "·") };
        (trouble || self.verbose).then(|| Sentence {
            tone,
            mark,
            target: Some(target.clone()),
            text: clean(text).into_owned(),
            progress: !trouble,
        })
    }
}

/// Returns a deployment's line as ECS users know it: `PRIMARY api:13 desired:4 pending:1 running:3`.
pub fn tasks(target: &TargetId, revision: Option<&Revision>, tasks: Tasks) -> Sentence {
    let Tasks { desired, running, pending, failed } = tasks;
    let revision = revision.map(|revision| format!("{} ", clean(&revision.to_string()))).unwrap_or_default();
    let failed_words = if failed == 0 { String::new() } else { format!(" failed:{failed}") };
    let text = format!("PRIMARY {revision}desired:{desired} pending:{pending} running:{running}{failed_words}");
    let tone = if failed == 0 { Tone::Plain } else { Tone::Warn };
    Sentence { tone, ..progress(target, text) }
}

/// Returns the first that is told at once of a deployment whose tasks fail, with ECS's words where there are some:
/// `tasks fail: PRIMARY api:13 desired:4 pending:2 running:0 failed:2; has stopped 1 running tasks: …`.
pub fn failing(target: &TargetState, tasks: Tasks, why: Option<&str>) -> Sentence {
    let counts = self::tasks(&target.target, target.deploys(), tasks);
    let why = why.map(|why| format!("; {why}")).unwrap_or_default();
    Sentence { mark: "!", text: format!("tasks fail: {}{why}", counts.text), progress: false, ..counts }
}

/// Returns `3/4`, and `3/4 (2 crashed)` when two tasks failed to start.
pub fn short_tasks(tasks: Tasks) -> String {
    let failed = if tasks.failed > 0 { format!(" ({} crashed)", tasks.failed) } else { String::new() };
    format!("{}/{}{failed}", tasks.running, tasks.desired)
}

/// Returns a plan's totals: `3 to deploy, 12 unchanged, 1 blocked`.
pub fn plan_words(plan: &Outline) -> String {
    use crate::plan::outline::Action;
    let (mut deploy, mut update, mut unchanged, mut blocked) = (0, 0, 0, 0);
    for change in &plan.changes {
        match change.action {
            Action::Register | Action::Deploy => deploy += 1,
            Action::Update => update += 1,
            Action::Unchanged => unchanged += 1,
            Action::Blocked { .. } => blocked += 1,
        }
    }
    let words = [(deploy, "to deploy"), (update, "to update"), (unchanged, "unchanged"), (blocked, "blocked")];
    let words: Vec<_> = words.iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!("{n} {word}")).collect();
    if words.is_empty() { "no targets".to_owned() } else { words.join(", ") }
}

/// Returns how a target ended: `succeeded in 42s, runs api:13`.
fn finished(target: &TargetState) -> Sentence {
    let outcome = target.ended.unwrap_or(Outcome::Failed);
    let (mark, tone) = outcome::mark(outcome);
    let time = target.elapsed_ms(None).map(duration).unwrap_or_default();
    let after = if outcome == Outcome::Succeeded { "in" } else { "after" };
    let runs = target.runs.as_ref().map(|runs| format!(", runs {}", clean(&runs.to_string()))).unwrap_or_default();
    let why = target.reason.as_ref().map(|reason| format!(": {}", clean(&reason.summary))).unwrap_or_default();
    let none = if target.ran_no_task() { "; its desired count is 0, so no task ran it" } else { "" };
    let text = format!("{} {after} {time}{runs}{why}{none}", outcome.words());
    Sentence { tone, mark, target: Some(target.target.clone()), text, progress: false }
}

/// Returns how the newest task of a target ended: `the task migrate succeeded after 42s`.
fn task_finished(target: &TargetState) -> Option<Sentence> {
    let task = target.run_tasks.last()?;
    let (end, at) = task.ended?;
    let (tone, word) = match end {
        TaskEnd::Succeeded => (Tone::Plain, "succeeded"),
        TaskEnd::Failed => (Tone::Warn, "failed"),
        TaskEnd::Cancelled => (Tone::Warn, "was cancelled"),
    };
    let time = duration(milliseconds(task.started_at, at));
    let text = format!("the task {} {word} after {time}", clean(&task.name));
    Some(Sentence { tone, ..progress(&target.target, text) })
}

/// Returns how a target is rolled back: `rolls back to api:12: ECS is asked to roll its deployment back`.
fn rollback_started(target: &TargetId, how: RollbackStep, to: Option<&Revision>, cause: Option<&TargetId>) -> Sentence {
    let to = to.map(|to| format!(" to {}", clean(&to.to_string()))).unwrap_or_default();
    let how = match how {
        RollbackStep::Await => "ECS does so by itself",
        RollbackStep::StopDeployment => "ECS is asked to roll its deployment back",
        RollbackStep::Deploy => "the previous revision is deployed",
        RollbackStep::Settings => "its settings are restored",
    };
    let cause = cause.map(|cause| format!(", because of {}", clean(&cause.to_string()))).unwrap_or_default();
    Sentence {
        tone: Tone::Warn,
        mark: "↩",
        target: Some(target.clone()),
        text: format!("rolls back{to}: {how}{cause}"),
        progress: false,
    }
}

/// Returns how the rollback of a target that had succeeded ended: `rolled back after 42s, runs api:12: …`.
fn rollback_finished(target: &TargetState) -> Sentence {
    let outcome = target.rollback_outcome.unwrap_or(Outcome::Stuck);
    let (mark, tone) = outcome::mark(outcome);
    let runs = target.runs.as_ref().map(|runs| format!(", runs {}", clean(&runs.to_string()))).unwrap_or_default();
    let why = target.reason.as_ref().map(|reason| format!(": {}", clean(&reason.summary))).unwrap_or_default();
    let text = format!("{}{runs}{why}", outcome.words());
    Sentence { tone, mark, target: Some(target.target.clone()), text, progress: false }
}

fn wave_finished(wave: &WaveState, failed: usize, passed: bool) -> Sentence {
    let name = clean(&wave.outline.name);
    let (tone, mark, text) = match (passed, failed) {
        (true, 0) => (Tone::Good, "✔", format!("wave {name}: passed")),
        (true, _) => {
            (Tone::Warn, "!", format!("wave {name}: passed with {}, within its tolerance", count(failed, "failure")))
        }
        (false, 0) => (Tone::Warn, "!", format!("wave {name}: not finished")),
        (false, _) => (Tone::Bad, "✖", format!("wave {name} failed: {}", count(failed, "target"))),
    };
    Sentence { tone, mark, ..run(text) }
}

fn run(text: String) -> Sentence {
    Sentence { tone: Tone::Strong, mark: "·", target: None, text, progress: false }
}

fn progress(target: &TargetId, text: String) -> Sentence {
    Sentence { tone: Tone::Plain, mark: "·", target: Some(target.clone()), text, progress: true }
}
