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
use roleout::plan::rollback_target::deployed::DeployedBy;
use roleout::report::Record;
use roleout::sandbox::{Calls, Claims, Sandbox, Timing, parse_fault};
use roleout::view::View;
use roleout::view::options::{Format, Options};
use secrecy::{ExposeSecret, SecretString};

use crate::simulation::disk::{Disk, Files};
use crate::simulation::jobs::{self, Command, Job, MAX_AGE};
use crate::simulation::others::{self, Done, Others};
use crate::simulation::scenario::{Back, End, Scenario};
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
    /// What others did before it was carried out, and ECS had not undone by then.
    pub done: Vec<Done>,
    /// Whether it was too old by then.
    pub is_too_old: bool,
}

/// All that happened in a scenario.
pub struct History {
    pub fleet: Fleet,
    pub sandbox: Sandbox,
    pub planning: Option<Planning>,
    /// Every run: the disturbed one first, then a rollback, then those that finish it, then one that has nothing to do,
    /// unless the one before it had nothing to do.
    pub runs: Vec<Ran>,
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
    roleout::base::secrets::within(|| runtime.expect("a runtime").block_on(history(scenario)))
}

async fn history(scenario: &Scenario) -> History {
    let clock = roleout::base::clock::Clock::tokio();
    let sandbox = Sandbox::for_fleet(&fleet(&scenario.manifest(false)), scenario.seed, clock);
    if scenario.realistic {
        sandbox.set_timing(Timing::realistic());
    }
    let fleet = fleet(&scenario.manifest(true));
    if scenario.back.is_some() {
        let by_ecs: Vec<bool> = fleet.targets.iter().map(|target| target.desired.codedeploy.is_none()).collect();
        sandbox.add_history(&fleet.clone().retain(&by_ecs));
    }
    let first = truth::states(&sandbox, &fleet);
    let disk = (scenario.on_disk || scenario.saved.is_some()).then(|| Mutex::new(Disk::new()));
    let writes = scenario.on_disk;
    let stage = Stage { sandbox, fleet, first, disk, writes, done: Mutex::default(), error: Box::leak(Box::default()) };
    let mut job = Job { skip_blocked: scenario.skip_blocked, ..Job::of(Command::Deploy) };
    let planning = stage.planning(scenario, &mut job).await;
    let mut runs = vec![stage.disturbed(scenario, job).await];
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
            runs.push(stage.undisturbed(Job::of(Command::Deploy)).await);
        }
    }
    History { fleet: stage.fleet, sandbox: stage.sandbox, planning, runs, nothing_was_left, rested }
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
fn gate(events: &[Stamped]) -> Option<String> {
    events.iter().find_map(|stamped| match &stamped.event {
        Event::GateReached { wave } => Some(wave.clone()),
        _ => None,
    })
}

/// The AWS and the fleet of a scenario.
struct Stage {
    sandbox: Sandbox,
    fleet: Fleet,
    /// What each target was at first.
    first: States,
    disk: Option<Mutex<Disk>>,
    /// Whether runs write to the disk.
    writes: bool,
    /// What others did since the last look.
    done: Mutex<Vec<Done>>,
    /// By how many milliseconds the clock of the runner is wrong.
    error: &'static AtomicI64,
}

impl Stage {
    fn now(&self) -> u64 {
        truth::now(&self.sandbox)
    }

    fn others(&self) -> Others<'_> {
        Others { sandbox: &self.sandbox, fleet: &self.fleet, first: &self.first, done: &self.done }
    }

    fn take_done(&self) -> Vec<Done> {
        std::mem::take(&mut self.done.lock().expect("nobody panicked"))
    }

    /// Makes and saves the plan that the job carries out, where there is one, and lets others act before that.
    async fn planning(&self, scenario: &Scenario, job: &mut Job) -> Option<Planning> {
        let (drawn, disk) = (scenario.saved.as_ref()?, self.disk.as_ref()?);
        let path = disk.lock().expect("nobody panicked").plan();
        let token = self.sandbox.id_token(Claims::default());
        let connection = jobs::connection(&self.fleet, &self.sandbox, token, self.error);
        let planned = jobs::plan(self.fleet.clone(), &connection, &path).await;
        let attempts = self.sandbox.calls().attempts.len();
        let primaries = self.primaries();
        let age = Duration::from_secs(60 * drawn.age);
        let began = tokio::time::Instant::now();
        self.others().act(scenario, &drawn.meanwhile).await;
        tokio::time::sleep_until(began + age).await;
        let failed = match planned {
            Ok(saved) => {
                job.command = Command::Apply { saved: Box::new(saved), skip_stale: drawn.skip_stale };
                None
            }
            Err(error) => Some(error),
        };
        let (mut done, now) = (self.take_done(), self.primaries());
        done.retain(|done| now[done.index] != primaries[done.index]);
        Some(Planning { attempts, failed, done, is_too_old: age > MAX_AGE })
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

    async fn disturbed(&self, scenario: &Scenario, job: Job) -> Ran {
        let others = self.others();
        let meanwhile = async {
            tokio::join!(self.break_things(scenario), others.act(scenario, &scenario.others), self.set_clock(scenario));
        };
        let mut ran = self.run(job, scenario.end, meanwhile).await;
        self.sandbox.clear_faults();
        self.error.store(0, Ordering::Relaxed);
        ran.disturbed = true;
        // A service deployment is listed some time after it began.
        tokio::time::sleep(Duration::from_secs(5)).await;
        ran.deployments = truth::deployments(&self.sandbox, &self.fleet);
        ran
    }

    /// Runs a command without faults, as often as it has gates.
    async fn whole(&self, scenario: &Scenario, command: &Command) -> Vec<Ran> {
        let (mut runs, mut from) = (Vec::new(), None);
        for _ in 0..=scenario.waves.len() {
            let ran = self.undisturbed(Job { from, ..Job::of(command.clone()) }).await;
            from = gate(&ran.events);
            runs.push(ran);
            if from.is_none() {
                break;
            }
        }
        runs
    }

    async fn undisturbed(&self, job: Job) -> Ran {
        let mut ran = self.run(job, End::Whole, std::future::pending()).await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        ran.deployments = truth::deployments(&self.sandbox, &self.fleet);
        ran
    }

    /// Runs the tool as a job of its own, while something happens around it.
    async fn run(&self, job: Job, end: End, meanwhile: impl Future<Output = ()>) -> Ran {
        self.sandbox.forget_calls();
        let out = Written { told: Some(self.error), ..Written::default() };
        let err = Written::default();
        let options = Options { format: Format::Jsonl, verbose: true, ..Options::default() };
        let mut view = View::new(options, Box::new(out.clone()), Box::new(err.clone()));
        let disk = self.disk.as_ref().filter(|_| self.writes);
        if let Some(disk) = disk {
            disk.lock().expect("nobody panicked").open(&mut view);
        }
        let token = self.sandbox.id_token(Claims::default());
        let connection = jobs::connection(&self.fleet, &self.sandbox, token.clone(), self.error);
        let cancel = Cancel::default();
        let (before, began) = (truth::states(&self.sandbox, &self.fleet), self.now());
        let mut signalled = None;
        let exit = {
            let whole = job.clone().run(self.fleet.clone(), &connection, view, &cancel);
            let whole = async {
                let whole = tokio::time::timeout(FOR_EVER, whole).await;
                whole.unwrap_or_else(|_| Err(Error::new(Exit::Unexpected, "it stood still for a day")))
            };
            let interrupt = async {
                match end {
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
            calls: self.sandbox.calls(),
            done: self.take_done(),
            before,
            after: truth::states(&self.sandbox, &self.fleet),
            deployments: Vec::new(),
            disturbed: false,
            token,
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
    async fn comes_to_rest(&self) -> bool {
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
struct Written {
    bytes: Arc<Mutex<Vec<u8>>>,
    /// By how many milliseconds the clock is wrong now.
    told: Option<&'static AtomicI64>,
    /// By how many it was when something was first written.
    error: Arc<AtomicI64>,
}

impl Written {
    fn text(&self) -> String {
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
