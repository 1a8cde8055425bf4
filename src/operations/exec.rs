//! What `roleout exec` does: a command of others runs in one account, or in each of several beside each other.

use std::collections::{HashMap, VecDeque};
use std::ffi::OsString;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use tokio::process::Child;
use tokio::sync::{broadcast, mpsc};
use tokio::task::{Id, JoinSet};
use tokio::time::Instant;

use crate::base::error::Error;
use crate::base::exit::Exit;
use crate::cli;
use crate::connect::Connection;
use crate::exec::child::{self, Streams};
use crate::exec::endpoint::Endpoint;
use crate::exec::environment::{Environment, Session, removed_variables};
use crate::exec::keys::Keys;
use crate::exec::relay::{Line, Stream, relay};
use crate::exec::signals::{Received, Signals};
use crate::fleet::{Account, Fleet};
use crate::identity::preflight::{self, OnLoss, Unreachable};
use crate::load::environment;
use crate::view::View;
use crate::view::children::{self, End, Ended};

/// Lines that wait to be shown: a child that says more is read no further until they are.
const LINES: usize = 256;

/// How long the streams of a child that has ended are still read: somebody it left behind may hold them for ever.
const AFTERWARDS: Duration = Duration::from_secs(2);

/// Runs the command of the arguments in the accounts, and returns its exit code, or the first of several that is not 0.
///
/// `by_terminal` says that a terminal sends its signals to the children itself.
///
/// # Errors
/// What keeps the command from being started in any account.
pub async fn run(
    args: &cli::Exec,
    fleet: &Fleet,
    accounts: &[Arc<Account>],
    view: &mut View,
    by_terminal: bool,
) -> Result<u8, Error> {
    let unexpected = |what: &str, error: std::io::Error| Error::new(Exit::Unexpected, format!("{what}: {error}"));
    let mut signals = Signals::listen(by_terminal).map_err(|error| unexpected("signals cannot be received", error))?;
    let connection = Connection::production(fleet, args.selection.allow_http).await?;
    connection.warn_custom_endpoints(view);
    let unreachable = tokio::select! {
        signal = signals.next() => return Ok(signal.code()),
        unreachable = preflight::walk(&connection.sessions, accounts, OnLoss::GoOn) => unreachable,
    };
    let unreachable = crate::preflight::diagnosis::explained(fleet, &connection, unreachable).await;
    if !unreachable.is_empty() && (!args.skip_blocked || unreachable.len() == accounts.len()) {
        return Err(refusal(&unreachable));
    }
    for it in &unreachable {
        view.warning(&format!("{} ({}): {}", it.account.name, it.account.id, it.reason));
    }
    let (endpoint, listener) = Endpoint::bind(accounts, connection.sessions.clone(), connection.aws.clock())
        .await
        .map_err(|error| unexpected("there is no port on 127.0.0.1 for the sessions", error))?;
    // Ends with this function.
    let mut serving = JoinSet::new();
    serving.spawn(endpoint.clone().serve(listener));
    let run = Run { args, fleet, connection: &connection, accounts, endpoint };
    match &args.account {
        Some(_) => run.one(view, signals).await,
        None => run.several(view, signals, &unreachable).await,
    }
}

/// Walks the chains of accounts.
///
/// # Errors
/// One of them cannot be reached.
pub async fn reached(connection: &Connection, accounts: &[Arc<Account>]) -> Result<(), Error> {
    let unreachable = preflight::walk(&connection.sessions, accounts, OnLoss::GoOn).await;
    if unreachable.is_empty() { Ok(()) } else { Err(refusal(&unreachable)) }
}

fn refusal(unreachable: &[Unreachable]) -> Error {
    let line = |it: &Unreachable| format!("{} ({}): {}", it.account.name, it.account.id, it.reason);
    let lines: Vec<String> = unreachable.iter().map(line).collect();
    let mut help: Vec<String> = Vec::new();
    for hint in unreachable.iter().flat_map(|it| &it.help) {
        if !help.contains(hint) {
            help.push(hint.clone());
        }
    }
    Error { help, ..Error::listing(Exit::Preflight, "preflight failed", &lines) }
}

/// One run of the command, in one account or several.
struct Run<'a> {
    args: &'a cli::Exec,
    fleet: &'a Fleet,
    connection: &'a Connection,
    accounts: &'a [Arc<Account>],
    endpoint: Endpoint,
}

impl Run<'_> {
    /// Runs it in the one account, with this process's own streams.
    async fn one(&self, view: &mut View, mut signals: Signals) -> Result<u8, Error> {
        let environment = self.environment(0, view).await.map_err(|error| Error::new(Exit::Preflight, error))?;
        let mut child = match child::start(&self.args.command, &environment, Streams::Inherited) {
            Ok(child) => child,
            Err(error) => {
                view.problem(&not_started(&self.args.command, &error));
                return Ok(child::code_of_failure(&error));
            }
        };
        loop {
            tokio::select! {
                status = child.wait() => return status.map(child::code).map_err(lost),
                signal = signals.next() => signal.pass_on(child.id()),
            }
        }
    }

    /// Runs it in every account that can be reached, so many at once, and tells how each ended.
    async fn several(&self, view: &mut View, mut signals: Signals, lost: &[Unreachable]) -> Result<u8, Error> {
        let column = children::column(self.accounts.iter().map(|account| account.name.as_str()));
        let at_once = self.args.parallel.map_or(1, usize::from);
        let mut ends: Vec<End> = self.accounts.iter().map(|_| End::NotStarted).collect();
        let mut waiting = VecDeque::new();
        for (number, account) in self.accounts.iter().enumerate() {
            match lost.iter().any(|it| it.account.name == account.name) {
                true => ends[number] = End::Unreachable,
                false => waiting.push_back(number),
            }
        }
        let (sender, mut lines) = mpsc::channel(LINES);
        let (passing, _) = broadcast::channel(16);
        let mut running: JoinSet<(usize, End)> = JoinSet::new();
        let mut numbers: HashMap<Id, usize> = HashMap::new();
        let mut stop: Option<Received> = None;
        loop {
            while stop.is_none() && running.len() < at_once {
                let Some(number) = waiting.pop_front() else { break };
                match self.start(number, view).await {
                    Ok(child) => {
                        let task = running.spawn(supervise(number, child, sender.clone(), passing.subscribe()));
                        numbers.insert(task.id(), number);
                    }
                    Err(code) => ends[number] = End::Code { code, after: Duration::ZERO },
                }
            }
            if running.is_empty() {
                break;
            }
            tokio::select! {
                Some(line) = lines.recv() => self.show(&line, column, view),
                Some(joined) = running.join_next() => {
                    let (number, end) = joined.unwrap_or_else(|error| (numbers[&error.id()], BROKEN));
                    ends[number] = end;
                }
                signal = signals.next() => {
                    // Whoever has just ended does not listen any more.
                    let _ = passing.send(signal);
                    stop = stop.or(signal.ends().then_some(signal));
                }
            }
        }
        drop(sender);
        while let Some(line) = lines.recv().await {
            self.show(&line, column, view);
        }
        let ended = self.accounts.iter().zip(&ends);
        let ended: Vec<Ended> =
            ended.map(|(account, end)| Ended { account: account.name.clone(), end: *end }).collect();
        view.children(&ended);
        let codes = ends.iter().filter_map(|end| match end {
            End::Code { code, .. } => Some(*code),
            End::Unreachable | End::NotStarted => None,
        });
        let first = codes.into_iter().find(|code| *code != 0);
        Ok(first.or(stop.map(Received::code)).unwrap_or(0))
    }

    fn show(&self, line: &Line, column: usize, view: &mut View) {
        view.child_line(&self.accounts[line.account].name, column, line);
    }

    /// Starts the child of one account.
    ///
    /// # Errors
    /// The exit code that it counts as, after what is wrong was said.
    async fn start(&self, number: usize, view: &mut View) -> Result<Child, u8> {
        let name = &self.accounts[number].name;
        let environment = self.environment(number, view).await.map_err(|error| {
            view.problem(&format!("{name}: {error}"));
            Exit::Preflight.code()
        })?;
        child::start(&self.args.command, &environment, Streams::Read).map_err(|error| {
            view.problem(&format!("{name}: {}", not_started(&self.args.command, &error)));
            child::code_of_failure(&error)
        })
    }

    /// Makes the environment of an account's child.
    ///
    /// # Errors
    /// There is no session to put into it.
    async fn environment(&self, number: usize, view: &mut View) -> Result<Environment, String> {
        let account = &self.accounts[number];
        let region = self.args.region.as_ref().or(account.regions.first()).unwrap_or(&self.fleet.identity.region);
        let session = if self.args.keys_in_environment {
            let keys = Keys::fetch(&self.connection.sessions, account, self.connection.aws.clock().now()).await?;
            view.note(&format!("{}: the keys end at {} and are not renewed", account.name, keys.expiration()));
            Session::Keys(keys.for_environment())
        } else {
            self.endpoint.session(number)
        };
        Ok(Environment::new(account, region, &removed_variables(self.fleet, &environment), session))
    }
}

/// How a child ended whose task panicked.
const BROKEN: End = End::Code { code: Exit::Unexpected as u8, after: Duration::ZERO };

/// Waits for a child and passes signals on to it, while its lines are read.
async fn supervise(
    number: usize,
    mut child: Child,
    lines: mpsc::Sender<Line>,
    mut signals: broadcast::Receiver<Received>,
) -> (usize, End) {
    let began = Instant::now();
    let mut reading = JoinSet::new();
    if let Some(out) = child.stdout.take() {
        reading.spawn(relay(out, number, Stream::Out, lines.clone()));
    }
    if let Some(err) = child.stderr.take() {
        reading.spawn(relay(err, number, Stream::Err, lines));
    }
    let status: std::io::Result<ExitStatus> = loop {
        tokio::select! {
            status = child.wait() => break status,
            Ok(signal) = signals.recv() => signal.pass_on(child.id()),
        }
    };
    let after = began.elapsed();
    let read = async { while reading.join_next().await.is_some() {} };
    // What is not read by then is somebody's whom the child left behind.
    let _ = tokio::time::timeout(AFTERWARDS, read).await;
    (number, End::Code { code: status.map_or(u8::MAX, child::code), after })
}

fn not_started(command: &[OsString], error: &std::io::Error) -> String {
    let program = command.first().map(|program| program.to_string_lossy().into_owned()).unwrap_or_default();
    format!("`{program}` cannot be run: {error}")
}

fn lost(error: std::io::Error) -> Error {
    Error::new(Exit::Unexpected, format!("the command cannot be waited for: {error}"))
}
