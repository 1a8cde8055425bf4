//! Carries a scenario out: a run as it is drawn, a rollback where there is one, a run without faults that finishes what is left,
//! and one with nothing to do.

use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::SignedDuration;
use roleout::base::error::Error;
use roleout::base::exit::Exit;
use roleout::engine::cancel::{Cancel, Signal};
use roleout::event::{Event, Stamped};
use roleout::fleet::{Fleet, TargetSpec};
use roleout::manifest::load::load_str;
use roleout::outputs::journal::Journal;
use roleout::plan::rollback_target::deployed::DeployedBy;
use roleout::report::Record;
use roleout::run::saved_file;
use roleout::sandbox::{Calls, Claims, Sandbox, Timing, parse_fault};
use roleout::view::View;
use roleout::view::options::{Format, Options};
use secrecy::{ExposeSecret, SecretString};

use crate::simulation::changes::Changes;
use crate::simulation::decisions::Decided;
use crate::simulation::disk::{Disk, Files};
use crate::simulation::jobs::{self, Command, Job, MAX_AGE};
use crate::simulation::others::{self, Done, Others};
use crate::simulation::pipeline::Pipelined;
use crate::simulation::scenario::{Back, End, Scenario, Signed};
use crate::simulation::signing;
use crate::simulation::truth::{self, Deployment, State, States};

/// One run of the tool, and what the sandbox has of it.
pub struct Ran {
    pub job: Job,
    /// `None` = it was killed.
    pub exit: Option<Result<Exit, Error>>,
    /// With their times as the sandbox has them.
    pub events: Vec<Stamped>,
    /// All that it wrote.
    pub stdout: String,
    pub stderr: String,
    /// What it left on the disk, where it did.
    pub files: Option<Files>,
    /// Milliseconds since the epoch, of the sandbox's clock.
    pub began: u64,
    pub ended: u64,
    pub signalled: Option<u64>,
    /// What was asked of AWS.
    pub calls: Calls,
    /// What others did meanwhile.
    pub done: Vec<Done>,
    /// What the services were before and right after it.
    pub before: States,
    pub after: States,
    /// The service deployments of each target, as they were some seconds after it.
    pub deployments: Vec<Vec<Deployment>>,
    /// Whether faults and others disturb it.
    pub disturbed: bool,
    /// The ID token that it came with.
    pub token: SecretString,
    /// The times that somebody ran `roleout continue` meanwhile.
    pub decided: Vec<Decided>,
}

impl Ran {
    /// Returns the exit code of one that was not killed.
    pub fn code(&self) -> Option<Exit> {
        self.exit.as_ref().map(|exit| exit.as_ref().map_or_else(|error| error.exit, |exit| *exit))
    }
}

/// A plan that was made and saved before the first run.
pub struct Planning {
    /// What it changed.
    pub attempts: usize,
    /// Why no plan was saved.
    pub failed: Option<Error>,
    /// Why it was not accepted by the job that is to carry it out.
    pub refused: Option<Error>,
    /// What others did before it was carried out, and ECS had not undone by then.
    pub done: Vec<Done>,
    /// Whether it was too old by then.
    pub is_too_old: bool,
}

/// All that happened in a scenario.
pub struct History {
    pub fleet: Arc<Fleet>,
    pub sandbox: Sandbox,
    pub planning: Option<Planning>,
    /// The jobs of a child pipeline, which together are the first run.
    pub pipeline: Option<Pipelined>,
    /// Every run: the disturbed one first, then who follows what it left, then a rollback, then those that finish it, then one that has nothing to do,
    /// unless the one before it had nothing to do.
    pub runs: Vec<Ran>,
    pub changes: Changes,
    /// Whether the run that finishes what is left found nothing.
    pub nothing_was_left: bool,
    /// Whether everything had come to rest before the run that finishes; without that it has no say.
    pub rested: bool,
}

/// Longer than any run may take: something stands still.
const FOR_EVER: Duration = Duration::from_secs(24 * 3600);

/// Carries a scenario out, on a clock of its own.
pub fn simulate(scenario: &Scenario) -> History {
    // The SDK's waits before it sends something again.
    fastrand::seed(scenario.seed);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    roleout::base::secrets::within(|| runtime.expect("a runtime").block_on(Box::pin(history(scenario))))
}

async fn history(scenario: &Scenario) -> History {
    let clock = roleout::base::clock::Clock::tokio();
    let sandbox = Sandbox::for_fleet(&fleet(&scenario.manifest(false)), scenario.seed, clock);
    if scenario.realistic {
        sandbox.set_timing(Timing::realistic());
    }
    let fleet = Arc::new(fleet(&scenario.manifest(true)));
    if scenario.back.is_some() {
        let by_ecs: Vec<bool> = fleet.targets.iter().map(|target| target.desired.codedeploy.is_none()).collect();
        sandbox.add_history(&(*fleet).clone().retain(&by_ecs));
    }
    let first = truth::states(&sandbox, &fleet);
    let needs_disk = scenario.on_disk || scenario.saved.is_some() || scenario.pipeline.is_some();
    let disk = needs_disk.then(|| Mutex::new(Disk::new()));
    let writes = scenario.on_disk;
    let (done, changes, error) = (Mutex::default(), Mutex::default(), Box::leak(Box::default()));
    let stage = Stage { sandbox, fleet, first, disk, writes, done, changes, error };
    if scenario.lookups.is_some() {
        stage.put(scenario);
    }
    let deploy = Job::of(Command::Deploy, &stage.fleet);
    let continues = scenario.decisions.is_none();
    let mut job = Job { skip_blocked: scenario.skip_blocked, end: scenario.end, continues, ..deploy };
    let planning = stage.planning(scenario, &mut job).await;
    let mut pipeline = Box::pin(stage.pipeline(scenario)).await;
    let mut runs = match &mut pipeline {
        Some(pipeline) => vec![pipeline.joined.take().expect("it was joined")],
        None => Box::pin(stage.disturbed(scenario, job)).await,
    };
    let rested = stage.comes_to_rest().await;
    let mut nothing_was_left = false;
    if rested {
        if let Some(back) = scenario.back {
            // What is back already is left as it is.
            for _ in 0..2 {
                let which = back.which(&runs[0]);
                runs.extend(stage.whole(scenario, &Command::RollBack(which)).await);
                stage.comes_to_rest().await;
            }
        }
        let finishing = stage.whole(scenario, &Command::Deploy).await;
        // One that found nothing to do has shown what a further one would.
        nothing_was_left =
            matches!(&finishing[..], [ran] if ran.code() == Some(Exit::Done) && ran.calls.attempts.is_empty());
        runs.extend(finishing);
        if !nothing_was_left {
            stage.comes_to_rest().await;
            runs.push(stage.undisturbed(Job::of(Command::Deploy, &stage.fleet)).await);
        }
    }
    let changes = stage.changes.into_inner().expect("nobody panicked");
    let Stage { fleet, sandbox, .. } = stage;
    History { fleet, sandbox, planning, pipeline, runs, changes, nothing_was_left, rested }
}

impl Back {
    fn which(self, ran: &Ran) -> DeployedBy {
        match self {
            Self::OfManifest => DeployedBy::Manifest,
            Self::All => DeployedBy::All,
            Self::OfRun => {
                let mut record = Record::new();
                ran.events.iter().for_each(|event| record.apply(event));
                DeployedBy::Run(Box::new(record.take_report().deployed()))
            }
        }
    }
}

/// Returns the wave at whose gate a run stopped.
pub fn gate(events: &[Stamped]) -> Option<String> {
    events.iter().find_map(|stamped| match &stamped.event {
        Event::GateReached { wave } => Some(wave.clone()),
        _ => None,
    })
}

/// The AWS and the fleet of a scenario.
pub struct Stage {
    pub sandbox: Sandbox,
    pub fleet: Arc<Fleet>,
    /// What each target was at first.
    first: States,
    pub disk: Option<Mutex<Disk>>,
    /// Whether runs write to the disk.
    writes: bool,
    /// What others did since the last look.
    done: Mutex<Vec<Done>>,
    pub changes: Mutex<Changes>,
    /// By how many milliseconds the clock of the runner is wrong.
    pub error: &'static AtomicI64,
}

impl Stage {
    pub fn now(&self) -> u64 {
        truth::now(&self.sandbox)
    }

    fn others(&self) -> Others<'_> {
        Others { sandbox: &self.sandbox, fleet: &self.fleet, first: &self.first, done: &self.done }
    }

    pub fn take_done(&self) -> Vec<Done> {
        std::mem::take(&mut self.done.lock().expect("nobody panicked"))
    }

    /// Makes and saves the plan that the job carries out, where there is one, and lets others act before that.
    async fn planning(&self, scenario: &Scenario, job: &mut Job) -> Option<Planning> {
        let (drawn, disk) = (scenario.saved.as_ref()?, self.disk.as_ref()?);
        let path = disk.lock().expect("nobody panicked").plan();
        let token = self.sandbox.id_token(Claims::default());
        let connection = jobs::connection(&self.fleet, &self.sandbox, token, self.error);
        let signs = drawn.signed.filter(|signed| *signed != Signed::Not).map(|_| signing::key());
        let planned = jobs::plan((*self.fleet).clone(), &connection, &path, signs).await;
        let attempts = self.sandbox.calls().attempts.len();
        let primaries = self.primaries();
        let age = Duration::from_secs(60 * drawn.age);
        let began = tokio::time::Instant::now();
        self.others().act(scenario, &drawn.meanwhile).await;
        tokio::time::sleep_until(began + age).await;
        let mut refused = None;
        let failed = planned.err();
        if failed.is_none() {
            drawn.signed.iter().for_each(|signed| signing::tamper(&path, *signed));
            let wanted = drawn.signed.map(|_| signing::key());
            job.command = match saved_file::read_signed(&path, wanted.as_ref()) {
                Ok(saved) => Command::Apply { saved: Box::new(saved), skip_stale: drawn.skip_stale },
                Err(error) => Command::Refuse(refused.insert(error).clone()),
            };
        }
        let (mut done, now) = (self.take_done(), self.primaries());
        done.retain(|done| now[done.index] != primaries[done.index]);
        Some(Planning { attempts, failed, refused, done, is_too_old: age > MAX_AGE })
    }

    /// Returns the id of each target's PRIMARY deployment.
    fn primaries(&self) -> Vec<Option<String>> {
        let id = |target: &TargetSpec| {
            let (account, region) = (target.account.id.as_str(), &target.id.region);
            let service = self.sandbox.service(account, region, &target.cluster, &target.service)?;
            Some(service.deployments.first()?.0.clone())
        };
        self.fleet.targets.iter().map(id).collect()
    }

    /// Runs a job while all goes wrong that is drawn, and follows what it left where somebody does so.
    async fn disturbed(&self, scenario: &Scenario, job: Job) -> Vec<Ran> {
        let decided = Mutex::default();
        let meanwhile = async {
            tokio::join!(Box::pin(self.meanwhile(scenario)), Box::pin(self.decide(scenario, &decided)));
        };
        let mut ran = self.run(job, meanwhile).await;
        self.sandbox.clear_faults();
        self.error.store(0, Ordering::Relaxed);
        ran.disturbed = true;
        ran.decided = decided.into_inner().expect("nobody panicked");
        let watch = match scenario.watches {
            true => Some(self.run(Job::of(Command::Watch, &self.fleet), std::future::pending()).await),
            false => None,
        };
        // A service deployment is listed some time after it began.
        tokio::time::sleep(Duration::from_secs(5)).await;
        ran.deployments = truth::deployments(&self.sandbox, &self.fleet);
        let deployments = ran.deployments.clone();
        let watch = watch.map(|watch| Ran { deployments, ..watch });
        [ran].into_iter().chain(watch).collect()
    }

    /// All that goes wrong beside a run.
    pub async fn meanwhile(&self, scenario: &Scenario) {
        let others = self.others();
        tokio::join!(
            self.break_things(scenario),
            others.act(scenario, &scenario.others),
            self.set_clock(scenario),
            self.change(scenario)
        );
    }

    /// Runs a command without faults, as often as it has gates.
    async fn whole(&self, scenario: &Scenario, command: &Command) -> Vec<Ran> {
        let (mut runs, mut from) = (Vec::new(), None);
        for _ in 0..=scenario.waves.len() {
            let ran = self.undisturbed(Job { from, ..Job::of(command.clone(), &self.fleet) }).await;
            from = gate(&ran.events);
            runs.push(ran);
            if from.is_none() {
                break;
            }
        }
        runs
    }

    async fn undisturbed(&self, job: Job) -> Ran {
        let mut ran = self.run(job, std::future::pending()).await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        ran.deployments = truth::deployments(&self.sandbox, &self.fleet);
        ran
    }

    /// Runs the tool alone, while something happens around it.
    async fn run(&self, job: Job, meanwhile: impl Future<Output = ()>) -> Ran {
        self.sandbox.forget_calls();
        let mut ran = self.job(job, meanwhile).await;
        (ran.calls, ran.done) = (self.sandbox.calls(), self.take_done());
        ran
    }

    /// Runs the tool as a job of its own, beside whatever else there is.
    pub async fn job(&self, job: Job, meanwhile: impl Future<Output = ()>) -> Ran {
        let out = Written { told: Some(self.error), ..Written::default() };
        let err = Written::default();
        let options = Options { format: Format::Jsonl, verbose: true, ..Options::default() };
        let mut view = View::new(options, Box::new(out.clone()), Box::new(err.clone()));
        let disk = self.disk.as_ref().filter(|_| self.writes);
        if let Some(disk) = disk {
            disk.lock().expect("nobody panicked").open(&mut view);
        }
        job.journal.iter().for_each(|path| view.record(Journal::open(path).expect("a journal")));
        let token = self.sandbox.id_token(Claims::default());
        let connection = jobs::connection(&job.fleet, &self.sandbox, token.clone(), self.error);
        let cancel = Cancel::default();
        let (before, began) = (truth::states(&self.sandbox, &job.fleet), self.now());
        let mut signalled = None;
        let exit = {
            // On the heap: a test's thread has little stack.
            let whole = Box::pin(job.clone().run(&connection, view, &cancel));
            let whole = async {
                let whole = tokio::time::timeout(FOR_EVER, whole).await;
                whole.unwrap_or_else(|_| Err(Error::new(Exit::Unexpected, "it stood still for a day")))
            };
            let interrupt = async {
                match job.end {
                    End::Whole => std::future::pending().await,
                    End::Signal(after) => {
                        tokio::time::sleep(Duration::from_millis(after)).await;
                        signalled = Some(self.now());
                        cancel.cancel(Signal::Terminate);
                        std::future::pending().await
                    }
                    End::Kill(after) => tokio::time::sleep(Duration::from_millis(after)).await,
                }
            };
            let meanwhile = async {
                meanwhile.await;
                std::future::pending().await
            };
            tokio::select! {
                biased;
                () = interrupt => None,
                () = meanwhile => None,
                exit = whole => Some(exit),
            }
        };
        let ended = self.now();
        let (stdout, error) = (out.text(), out.error());
        // A line that was being written when the run was killed is no event.
        let events = stdout.lines().filter_map(|line| serde_json::from_str::<Stamped>(line).ok());
        // A run dates its events from its first one on.
        let events = events.map(|event| Stamped { at: event.at - error, ..event }).collect();
        let after = truth::states(&self.sandbox, &job.fleet);
        Ran {
            job,
            exit,
            events,
            stdout,
            stderr: err.text(),
            files: disk.map(|disk| disk.lock().expect("nobody panicked").read()),
            began,
            ended,
            signalled,
            calls: Calls::default(),
            done: Vec::new(),
            before,
            after,
            deployments: Vec::new(),
            disturbed: false,
            token,
            decided: Vec::new(),
        }
    }

    /// Sets the clock of the runner, as time goes on.
    async fn set_clock(&self, scenario: &Scenario) {
        let began = tokio::time::Instant::now();
        for (at, error) in &scenario.clock {
            tokio::time::sleep_until(began + Duration::from_millis(*at)).await;
            self.error.store(*error, Ordering::Relaxed);
        }
    }

    /// Makes and mends what is broken, as time goes on.
    async fn break_things(&self, scenario: &Scenario) {
        let ends = scenario.faults.iter().filter_map(|fault| fault.until);
        let mut moments: Vec<u64> = scenario.faults.iter().map(|fault| fault.from).chain(ends).collect();
        moments.sort_unstable();
        moments.dedup();
        let began = tokio::time::Instant::now();
        for moment in moments {
            tokio::time::sleep_until(began + Duration::from_millis(moment)).await;
            self.sandbox.clear_faults();
            let holds = |from: u64, until: Option<u64>| from <= moment && until.is_none_or(|until| moment < until);
            for fault in scenario.faults.iter().filter(|fault| holds(fault.from, fault.until)) {
                let (pattern, fault) = parse_fault(&fault.text).expect("a fault");
                self.sandbox.fault(&pattern, fault).expect("a pattern");
            }
        }
    }

    /// Waits until no deployment goes on. What hangs for hours somebody rolls back. Returns whether all services are there
    /// and at rest.
    pub async fn comes_to_rest(&self) -> bool {
        let is_at_rest =
            |state: &Option<State>| state.as_ref().is_some_and(|state| state.settled && state.status == "ACTIVE");
        for round in 0..30 {
            // An hour and more: buckets are full again, and nobody remembers a session.
            tokio::time::sleep(Duration::from_secs(if round == 0 { 4000 } else { 600 })).await;
            let states = truth::states(&self.sandbox, &self.fleet);
            if states.iter().all(is_at_rest) {
                return true;
            }
            if states.iter().any(|state| state.as_ref().is_none_or(|state| state.status != "ACTIVE")) {
                return false;
            }
            if round == 3 {
                let late = states.iter().enumerate().filter(|(_, state)| !is_at_rest(state));
                late.for_each(|(index, _)| others::repair(&self.sandbox, &self.fleet.targets[index]));
            }
        }
        false
    }
}

/// Loads a manifest with the variables of the sandbox's job.
fn fleet(manifest: &str) -> Fleet {
    let variables = |name: &str| {
        let mut known = Sandbox::job_variables().into_iter();
        known.find(|(known, _)| *known == name).map(|(_, value)| value.to_string())
    };
    match load_str("deploy.yaml", Path::new("."), manifest, &variables) {
        Ok(fleet) => fleet,
        Err(error) => panic!("{manifest}\n{}", error.render(false, 100)),
    }
}

/// What the tool writes.
#[derive(Clone, Default)]
pub struct Written {
    bytes: Arc<Mutex<Vec<u8>>>,
    /// By how many milliseconds the clock is wrong now.
    told: Option<&'static AtomicI64>,
    /// By how many it was when something was first written.
    error: Arc<AtomicI64>,
}

impl Written {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().expect("no writer panicked")).into_owned()
    }

    fn error(&self) -> SignedDuration {
        SignedDuration::from_millis(self.error.load(Ordering::Relaxed))
    }
}

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut written = self.bytes.lock().expect("no writer panicked");
        if let Some(told) = self.told.filter(|_| written.is_empty()) {
            self.error.store(told.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        written.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether a text holds a token or a part of it.
pub fn shows_token(text: &str, token: &SecretString) -> bool {
    token.expose_secret().split('.').skip(1).any(|part| text.contains(part))
}
