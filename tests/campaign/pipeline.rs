//! A child pipeline, as GitLab runs it: the preflight, the waves one after the other, the jobs of a wave at once, each with a
//! journal of its own, a gate between two waves, and the job that joins the journals to one run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use roleout::base::error::Error;
use roleout::base::exit::Exit;
use roleout::cli::Reports;
use roleout::cli::pipeline::{Gate, Merge, PlanArgs};
use roleout::connect::CommandContext;
use roleout::engine::cancel::Cancel;
use roleout::event::{Event, Stamped};
use roleout::fleet::{Fleet, Shard};
use roleout::operations::pipeline::merge::{gate, merge_runs};
use roleout::operations::pipeline::preflight::plan_jobs;
use roleout::outputs::journal::Journal;
use roleout::pipeline::yaml::{JOURNAL, STARTED};
use roleout::pipeline::{Division, Layout, Stage as Wave, layout};
use roleout::run::outputs::finish;
use roleout::sandbox::{Calls, Claims};
use roleout::view::View;
use roleout::view::options::{Format, Options};

use crate::simulation::jobs::{self, Command, Job};
use crate::simulation::others::Done;
use crate::simulation::run::{Ran, Stage};
use crate::simulation::scenario::{End, Scenario, Shards};
use crate::simulation::truth;

/// What the jobs of a pipeline did.
pub struct Pipelined {
    /// How the preflight ended, and how many writes it sent.
    pub preflight: (Result<Exit, Error>, usize),
    /// Every run of a job, those of one wave beside each other.
    pub jobs: Vec<JobRan>,
    /// How the gate after each wave ended.
    pub gates: Vec<(String, Exit)>,
    /// How the join ended.
    pub merged: Result<Exit, Error>,
    /// The join as a run: its events, and what the last run of each job did. It has an exit code where it has an end.
    pub joined: Option<Ran>,
    /// How the join ended after the jobs that had not succeeded were run again, without faults, to the last wave.
    pub resumed: Option<Result<Exit, Error>>,
}

/// One run of a job.
pub struct JobRan {
    /// Its wave.
    pub wave: String,
    /// Its number among the jobs of the wave, from 1.
    pub number: usize,
    /// Whether the join has another run of the same job, or was there before it.
    pub replaced: bool,
    /// Whether its journal is there for the join.
    pub is_left: bool,
    pub ran: Ran,
}

/// Exit codes of a job after which GitLab goes on to the gate: docs/pipeline.md.
const GOES_ON: [Exit; 6] = [Exit::Done, Exit::Failed, Exit::RolledBack, Exit::Stuck, Exit::Tolerated, Exit::TimedOut];

impl Stage {
    /// Runs the fleet of a scenario as a child pipeline, where it is one.
    pub async fn pipeline(&self, scenario: &Scenario) -> Option<Pipelined> {
        let drawn = scenario.pipeline.as_ref()?;
        let directory = self.disk.as_ref()?.lock().expect("nobody panicked").jobs();
        let division = Division { shards: Some(drawn.jobs), max_accounts: None };
        let layout = layout(&self.fleet, division, None).unwrap_or_else(|error| panic!("no pipeline: {error}"));
        let mut runner =
            Runner { stage: self, scenario, drawn, layout, directory, of: Pipelined::default(), done: Vec::new() };
        let (before, began) = (truth::states(&self.sandbox, &self.fleet), self.now());
        let meanwhile = async {
            self.meanwhile(scenario).await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            biased;
            () = meanwhile => {}
            () = Box::pin(runner.run(true)) => {}
        }
        let merged = runner.merge().await;
        let mut joined = runner.joined(&merged.0, merged.1);
        (joined.before, joined.began) = (before, began);
        runner.of.merged = merged.0;
        runner.of.joined = Some(joined);
        self.sandbox.clear_faults();
        if drawn.resumes && self.comes_to_rest().await {
            Box::pin(runner.run(false)).await;
            runner.of.resumed = Some(runner.merge().await.0);
        }
        Some(runner.of)
    }
}

impl Default for Pipelined {
    fn default() -> Self {
        let nothing = || Ok(Exit::Done);
        let (preflight, merged) = ((nothing(), 0), nothing());
        Self { preflight, jobs: Vec::new(), gates: Vec::new(), merged, joined: None, resumed: None }
    }
}

/// GitLab.
struct Runner<'a> {
    stage: &'a Stage,
    scenario: &'a Scenario,
    drawn: &'a Shards,
    layout: Layout,
    directory: PathBuf,
    of: Pipelined,
    /// What others did meanwhile.
    done: Vec<Done>,
}

impl Runner<'_> {
    /// Runs the jobs that have not succeeded, one wave after the other, as long as the next one may start.
    async fn run(&mut self, disturbed: bool) {
        if self.of.jobs.is_empty() {
            self.of.preflight = self.preflight().await;
            if self.of.preflight.0.is_err() {
                return;
            }
            // A runner takes its time to begin the next jobs. The preflight has taken of each account's bucket what they take of it.
            tokio::time::sleep(std::time::Duration::from_secs(10)).await;
        }
        let stages = self.layout.stages.clone();
        for (place, wave) in stages.iter().enumerate() {
            if wave.gate && disturbed && !self.drawn.starts {
                return;
            }
            if wave.gate {
                let mark = self.place(wave).join(STARTED);
                fs_err::create_dir_all(self.place(wave)).expect("a directory");
                fs_err::write(mark, format!("{}\n", wave.wave)).expect("a file");
            }
            let upset = |number: usize| {
                self.drawn.upsets.iter().find(|upset| disturbed && upset.wave == place && upset.job + 1 == number)
            };
            let end = |number: usize| upset(number).map_or(End::Whole, |upset| upset.end);
            let left: Vec<usize> =
                (1..=wave.parts).filter(|number| self.code(wave, *number) != Some(Exit::Done)).collect();
            self.batch(wave, left.iter().map(|&number| (number, end(number))).collect(), disturbed).await;
            // As the YAML says; and by somebody who sees that a job did not get to its end.
            let again = |&&number: &&usize| {
                self.code(wave, number) == Some(Exit::Preflight) || upset(number).is_some_and(|upset| upset.again)
            };
            let again = left.iter().filter(again).map(|&number| (number, End::Whole)).collect();
            self.batch(wave, again, disturbed).await;
            let goes_on = |number| self.code(wave, number).is_some_and(|code| GOES_ON.contains(&code));
            if !(1..=wave.parts).all(goes_on) {
                return;
            }
            if place + 1 == stages.len() {
                return;
            }
            // Who runs jobs again that are left runs none that succeeded.
            if self.of.gates.contains(&(wave.wave.clone(), Exit::Done)) {
                continue;
            }
            let code = self.gate(wave);
            self.of.gates.extend(disturbed.then(|| (wave.wave.clone(), code)));
            if code != Exit::Done {
                return;
            }
        }
    }

    fn place(&self, wave: &Wave) -> PathBuf {
        self.directory.join(format!("wave-{}", wave.number))
    }

    /// Returns how the last run of a job ended; `None` where it was killed or never ran.
    fn code(&self, wave: &Wave, number: usize) -> Option<Exit> {
        let mut runs = self.of.jobs.iter().rev();
        runs.find(|job| job.wave == wave.wave && job.number == number)?.ran.code()
    }

    /// Runs jobs of a wave beside each other.
    async fn batch(&mut self, wave: &Wave, jobs: Vec<(usize, End)>, disturbed: bool) {
        if jobs.is_empty() {
            return;
        }
        self.stage.sandbox.forget_calls();
        let runs = jobs.iter().map(|&(number, end)| {
            let directory = self.place(wave).join(format!("shard-{number}"));
            fs_err::create_dir_all(&directory).expect("a directory");
            let journal = directory.join(JOURNAL);
            // GitLab passes on what the last run of a job left.
            let _ = fs_err::remove_file(&journal);
            let fleet = self.part(wave, number);
            let from = Some(wave.wave.clone());
            let skip_blocked = self.scenario.skip_blocked;
            let command = Command::Deploy;
            let job = Job { from, skip_blocked, journal: Some(journal), end, ..Job::of(command, &fleet) };
            Box::pin(self.stage.job(job, std::future::pending()))
        });
        let runs = futures::future::join_all(runs).await;
        // A service deployment is listed some time after it began.
        tokio::time::sleep(std::time::Duration::from_secs(5)).await;
        let (calls, done) = (self.stage.sandbox.calls(), self.stage.take_done());
        for ((number, _), mut ran) in jobs.into_iter().zip(runs) {
            ran.disturbed = disturbed;
            ran.calls = of_part(&calls, &ran.job.fleet);
            ran.deployments = truth::deployments(&self.stage.sandbox, &ran.job.fleet);
            for done in &done {
                let id = &self.stage.fleet.targets[done.index].id;
                let index = ran.job.fleet.targets.iter().position(|target| target.id == *id);
                ran.done.extend(index.map(|index| Done { index, ..done.clone() }));
            }
            let is_lost = ran.exit.is_none() && self.drawn.loses;
            if is_lost {
                ran.job.journal.iter().for_each(|path| fs_err::remove_file(path).expect("a journal"));
            }
            let earlier = self.of.jobs.iter_mut().filter(|job| job.wave == wave.wave && job.number == number);
            earlier.for_each(|job| job.replaced |= disturbed);
            let (wave, is_left) = (wave.wave.clone(), !is_lost);
            self.of.jobs.push(JobRan { wave, number, replaced: !disturbed, is_left, ran });
        }
        self.done.extend(done);
    }

    /// Returns what a job has.
    fn part(&self, wave: &Wave, number: usize) -> Arc<Fleet> {
        let shard: Shard = format!("{number}/{}", wave.parts).parse().expect("a shard");
        let fleet = (*self.stage.fleet).clone().select(&[], std::slice::from_ref(&wave.wave)).expect("a wave");
        Arc::new(fleet.shard(shard).expect("a part"))
    }

    async fn preflight(&self) -> (Result<Exit, Error>, usize) {
        let stage = self.stage;
        stage.sandbox.forget_calls();
        let mut view = quiet();
        let directory = self.directory.join("preflight");
        fs_err::create_dir_all(&directory).expect("a directory");
        let journal = directory.join(JOURNAL);
        let _ = fs_err::remove_file(&journal);
        view.record(Journal::open(&journal).expect("a journal"));
        let token = stage.sandbox.id_token(Claims::default());
        let connection = jobs::connection(&stage.fleet, &stage.sandbox, token, stage.error);
        let cancel = Cancel::default();
        let context = &mut CommandContext { connection: &connection, view: &mut view, cancel: &cancel };
        let decided = PlanArgs { skip_blocked: self.scenario.skip_blocked, ..PlanArgs::default() };
        let planned = plan_jobs((*stage.fleet).clone(), &decided, None, true, context).await.map(|_| Exit::Done);
        let ended = finish(view, planned, connection.aws.clock(), Some(true));
        (ended, stage.sandbox.calls().attempts.len())
    }

    /// Asks whether what follows a wave may start.
    fn gate(&self, wave: &Wave) -> Exit {
        let args = Gate { wave: wave.wave.clone(), directory: self.directory.clone() };
        gate(&args, quiet()).unwrap_or_else(|error| error.exit)
    }

    /// Joins what is there, and returns how that ended and its events.
    async fn merge(&self) -> (Result<Exit, Error>, Vec<Stamped>) {
        // Outside of the directory, in which it would be taken for a job's.
        let journal = self.directory.with_extension("merged");
        let _ = fs_err::remove_file(&journal);
        let mut view = quiet();
        view.record(Journal::open(&journal).expect("a journal"));
        let args = Merge {
            file: self.directory.join("deploy.yaml"),
            directory: self.directory.clone(),
            journal: None,
            allow_http: false,
            reports: Reports::default(),
        };
        let result = merge_runs(&args, &mut view).await;
        let untold = view.state().started_at().is_none() && view.state().refusal().is_none();
        let ended = finish(view, result, self.stage.sandbox.clock(), untold.then_some(true));
        (ended, events(&journal))
    }

    /// Returns the join as a run.
    fn joined(&self, merged: &Result<Exit, Error>, events: Vec<Stamped>) -> Ran {
        let last = || self.of.jobs.iter().filter(|job| !job.replaced);
        let is_whole = matches!(
            events.last().map(|stamped| &stamped.event),
            Some(Event::RunFinished { .. } | Event::RunRefused { .. })
        );
        let mut calls = Calls::default();
        // Of a job that left nothing nobody knows until when its targets were in flight.
        for ran in last().filter(|job| job.is_left).map(|job| &job.ran) {
            calls.writes.extend(ran.calls.writes.iter().cloned());
            calls.attempts.extend(ran.calls.attempts.iter().cloned());
            calls.described.extend(ran.calls.described.iter().map(|(place, at)| (place.clone(), *at)));
        }
        let stdout: String = events.iter().filter_map(|event| serde_json::to_string(event).ok()).collect();
        let ended = self.stage.now();
        Ran {
            job: Job::of(Command::Deploy, &self.stage.fleet),
            exit: is_whole.then(|| merged.clone()),
            events,
            stdout,
            stderr: String::new(),
            files: None,
            began: ended,
            ended,
            signalled: last().filter_map(|job| job.ran.signalled).min(),
            calls,
            done: self.done.iter().cloned().chain(self.stage.take_done()).collect(),
            before: Vec::new(),
            after: truth::states(&self.stage.sandbox, &self.stage.fleet),
            deployments: truth::deployments(&self.stage.sandbox, &self.stage.fleet),
            disturbed: true,
            token: self.stage.sandbox.id_token(Claims::default()),
            decided: Vec::new(),
        }
    }
}

/// A view that nobody sees.
fn quiet() -> View {
    let options = Options { format: Format::Text, quiet: true, ..Options::default() };
    View::new(options, Box::new(std::io::sink()), Box::new(std::io::sink()))
}

fn events(journal: &Path) -> Vec<Stamped> {
    let text = fs_err::read_to_string(journal).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Returns what was asked in the accounts of a part: of the jobs that run at once, each has its own.
fn of_part(calls: &Calls, fleet: &Fleet) -> Calls {
    let mine: BTreeMap<&str, ()> = fleet.targets.iter().map(|target| (target.account.id.as_str(), ())).collect();
    let mut part = calls.clone();
    part.writes.retain(|write| mine.contains_key(write.account.as_str()));
    part.attempts.retain(|attempt| mine.contains_key(attempt.account.as_str()));
    part.described.retain(|(account, _, _), _| mine.contains_key(account.as_str()));
    part
}
