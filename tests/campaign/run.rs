//! Carries a scenario out: a run as it is drawn, one without faults that finishes what is left, and one with nothing to do.

use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use roleout::base::error::Error;
use roleout::base::exit::Exit;
use roleout::connect::{CommandContext, Connection};
use roleout::engine::Start;
use roleout::engine::cancel::{Cancel, Signal};
use roleout::event::{Event, Stamped};
use roleout::fleet::Fleet;
use roleout::manifest::load::load_str;
use roleout::run::lifecycle::{PlanInput, plan_and_decide};
use roleout::run::outputs::finish;
use roleout::sandbox::{Calls, Claims, Sandbox, Timing, parse_fault};
use roleout::view::View;
use roleout::view::options::{Format, Options};
use secrecy::{ExposeSecret, SecretString};

use crate::simulation::others;
use crate::simulation::scenario::{End, Scenario};
use crate::simulation::truth::{self, Deployment, State, States};

/// One run of the tool, and what the sandbox has of it.
pub struct Ran {
    /// `None` = it was killed.
    pub exit: Option<Result<Exit, Error>>,
    /// The wave with which it began, where it was told one.
    pub from: Option<String>,
    pub events: Vec<Stamped>,
    /// All that it wrote.
    pub stdout: String,
    pub stderr: String,
    /// Milliseconds since the epoch, of the sandbox's clock.
    pub began: u64,
    pub ended: u64,
    pub signalled: Option<u64>,
    /// What was asked of AWS.
    pub calls: Calls,
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

/// All that happened in a scenario.
pub struct History {
    pub fleet: Fleet,
    pub sandbox: Sandbox,
    /// Every run: the disturbed one first, then those that finish it, then the one that has nothing to do.
    pub runs: Vec<Ran>,
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
    runtime.expect("a runtime").block_on(history(scenario))
}

async fn history(scenario: &Scenario) -> History {
    let clock = roleout::base::clock::Clock::tokio();
    let sandbox = Sandbox::for_fleet(&fleet(&scenario.manifest(false)), scenario.seed, clock);
    if scenario.realistic {
        sandbox.set_timing(Timing::realistic());
    }
    let fleet = fleet(&scenario.manifest(true));
    let stage = Stage { sandbox, fleet };
    let mut runs = vec![stage.disturbed(scenario).await];
    let rested = stage.comes_to_rest().await;
    if rested {
        let mut from = None;
        for _ in 0..=scenario.waves.len() {
            let ran = stage.undisturbed(from).await;
            from = gate(&ran.events);
            runs.push(ran);
            if from.is_none() {
                break;
            }
        }
        stage.comes_to_rest().await;
        runs.push(stage.undisturbed(None).await);
    }
    History { fleet: stage.fleet, sandbox: stage.sandbox, runs, rested }
}

/// Returns the wave at whose gate a run stopped.
fn gate(events: &[Stamped]) -> Option<String> {
    events.iter().find_map(|stamped| match &stamped.event {
        Event::GateReached { wave } => Some(wave.clone()),
        _ => None,
    })
}

/// Deploys as `roleout deploy` does, once it has its connection.
async fn deploy(
    fleet: Fleet,
    connection: &Connection,
    start: Start,
    mut view: View,
    cancel: &Cancel,
) -> Result<Exit, Error> {
    let context = &mut CommandContext { connection, view: &mut view, cancel };
    let result = plan_and_decide(fleet, PlanInput::default(), start, context).await;
    finish(view, result, connection.aws.clock(), Some(true))
}

/// The AWS and the fleet of a scenario.
struct Stage {
    sandbox: Sandbox,
    fleet: Fleet,
}

impl Stage {
    fn now(&self) -> u64 {
        let since = self.sandbox.clock().now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    async fn disturbed(&self, scenario: &Scenario) -> Ran {
        let meanwhile = async {
            tokio::join!(self.break_things(scenario), others::act(&self.sandbox, scenario));
        };
        let mut ran = self.run(None, scenario.end, meanwhile).await;
        self.sandbox.clear_faults();
        ran.disturbed = true;
        // A service deployment is listed some time after it began.
        tokio::time::sleep(Duration::from_secs(5)).await;
        ran.deployments = truth::deployments(&self.sandbox, &self.fleet);
        ran
    }

    async fn undisturbed(&self, from: Option<String>) -> Ran {
        let mut ran = self.run(from, End::Whole, std::future::pending()).await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        ran.deployments = truth::deployments(&self.sandbox, &self.fleet);
        ran
    }

    /// Runs the tool as a job of its own, while something happens around it.
    async fn run(&self, from: Option<String>, end: End, meanwhile: impl Future<Output = ()>) -> Ran {
        self.sandbox.forget_calls();
        let (out, err) = (Written::default(), Written::default());
        let options = Options { format: Format::Jsonl, verbose: true, ..Options::default() };
        let view = View::new(options, Box::new(out.clone()), Box::new(err.clone()));
        let token = self.sandbox.id_token(Claims::default());
        let connection = Connection::sandbox(&self.fleet, &self.sandbox, token.clone());
        let start = Start { from: from.clone(), continue_hooks: true, sandbox: true, ..Start::default() };
        let cancel = Cancel::default();
        let (before, began) = (truth::states(&self.sandbox, &self.fleet), self.now());
        let mut signalled = None;
        let exit = {
            let whole = deploy(self.fleet.clone(), &connection, start, view, &cancel);
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
        let stdout = out.text();
        // A line that was being written when the run was killed is no event.
        let events = stdout.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        Ran {
            exit,
            from,
            events,
            stdout,
            stderr: err.text(),
            began,
            ended,
            signalled,
            calls: self.sandbox.calls(),
            before,
            after: truth::states(&self.sandbox, &self.fleet),
            deployments: Vec::new(),
            disturbed: false,
            token,
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
struct Written(Arc<Mutex<Vec<u8>>>);

impl Written {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().expect("no writer panicked")).into_owned()
    }
}

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no writer panicked").extend_from_slice(bytes);
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
