//! The `roleout` binary: parses, runs a command, writes its error, and returns the exit code.

use std::io::Write;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use roleout::cli::{Cli, Command, Talk};
use roleout::commands::{check, deploy, doctor, hooks, init, plan, rollback, sandbox, status, watch};
use roleout::engine::cancel::{Cancel, Signal};
use roleout::error::Error;
use roleout::exit::Exit;
use roleout::manifest::schema;
use roleout::view::{self, Format, View};
use tokio::signal::unix::{SignalKind, signal};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage.into() } else { Exit::Done.into() };
        }
    };
    let result = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::new(Exit::Unexpected, format!("the async runtime cannot start: {error}")))
        .and_then(|runtime| runtime.block_on(carry_out(cli)));
    result
        .unwrap_or_else(|error| {
            let _ = write!(anstream::stderr(), "{}", view::style::error(&error));
            error.exit
        })
        .into()
}

async fn carry_out(cli: Cli) -> Result<Exit, Error> {
    match cli.command {
        Command::Deploy(args) => {
            with_signals(async |cancel| deploy::deploy(&args, view(&args.talk), cancel).await).await
        }
        Command::Rollback(args) => {
            with_signals(async |cancel| rollback::rollback(&args, view(&args.talk), cancel).await).await
        }
        Command::Plan(args) => {
            let talk = Talk { quiet: args.quiet, verbose: false, format: roleout::cli::OutputFormat::Text };
            with_signals(async |cancel| plan::plan(&args, view(&talk), cancel).await).await
        }
        Command::Watch(args) => with_signals(async |cancel| watch::watch(&args, view(&args.talk), cancel).await).await,
        Command::Continue(args) => {
            let talk = Talk { quiet: args.quiet, verbose: false, format: roleout::cli::OutputFormat::Text };
            with_signals(async |cancel| hooks::hooks(&args, view(&talk), cancel).await).await
        }
        Command::Sandbox(args) => {
            let talk = Talk { quiet: false, verbose: true, format: roleout::cli::OutputFormat::Text };
            with_signals(async |cancel| sandbox::sandbox(&args, view(&talk), cancel).await).await
        }
        Command::Status(args) => {
            let talk = Talk { quiet: args.quiet, verbose: args.verbose, format: roleout::cli::OutputFormat::Text };
            with_signals(async |cancel| status::status(&args, view(&talk), cancel).await).await
        }
        Command::Init(args) => {
            let talk = Talk { quiet: false, verbose: false, format: roleout::cli::OutputFormat::Text };
            with_signals(async |cancel| init::init(&args, view(&talk), cancel).await).await
        }
        Command::Doctor(args) => {
            let talk = Talk { quiet: args.quiet, verbose: false, format: roleout::cli::OutputFormat::Text };
            with_signals(async |cancel| doctor::doctor(&args, view(&talk), cancel).await).await
        }
        Command::Check(args) => check::check(&args, &mut std::io::stdout()),
        Command::Schema => {
            let _ = writeln!(std::io::stdout(), "{:#}", schema::schema());
            Ok(Exit::Done)
        }
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "roleout", &mut std::io::stdout());
            Ok(Exit::Done)
        }
    }
}

fn view(talk: &Talk) -> View {
    let size = || terminal_size::terminal_size_of(std::io::stderr()).map(|(w, h)| (usize::from(w.0), usize::from(h.0)));
    let options = view::Options::detect(Format::from(talk.format), talk.quiet, talk.verbose, size);
    View::new(options, Box::new(std::io::stdout()), Box::new(std::io::stderr()))
}

/// Runs a command that a signal asks to stop; a second signal ends the process at once.
async fn with_signals(command: impl AsyncFnOnce(Cancel) -> Result<Exit, Error>) -> Result<Exit, Error> {
    let unexpected =
        |error: std::io::Error| Error::new(Exit::Unexpected, format!("signals cannot be received: {error}"));
    let mut interrupts = signal(SignalKind::interrupt()).map_err(unexpected)?;
    let mut terminations = signal(SignalKind::terminate()).map_err(unexpected)?;
    let cancel = Cancel::default();
    let mut command = std::pin::pin!(command(cancel.clone()));
    loop {
        let signal = tokio::select! {
            result = &mut command => return result,
            _ = interrupts.recv() => Signal::Interrupt,
            _ = terminations.recv() => Signal::Terminate,
        };
        if cancel.is_cancelled() {
            std::process::exit(i32::from(signal.exit().code()));
        }
        cancel.cancel(signal);
    }
}
