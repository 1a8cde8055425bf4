//! The `roleout` binary: parses, runs a command, writes its error, and returns the exit code.

// An optimised build lays the future of a whole run out in one, and its parts lie deeper than the compiler looks by default.
#![recursion_limit = "256"]

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use roleout::base::error::Error;
use roleout::base::exit::Exit;
use roleout::base::text;
use roleout::cli::{self, Cli, ColorChoice, Command, IamAction, OutputFormat, Verbosity};
use roleout::commands::{
    accounts, check, continue_hook, credentials, deploy, doctor, exec, iam, init, pipeline, plan, report, rollback,
    sandbox, status, watch,
};
use roleout::engine::cancel::{Cancel, Signal};
use roleout::manifest::schema;
use roleout::narrate::next::{Invocation, next};
use roleout::state::RunState;
use roleout::view;
use roleout::view::View;
use roleout::view::log::Filter;
use roleout::view::options::{Color, Format, Options};
use roleout::view::stream::Stream;
use roleout::view::style::{self, Paint};
use tokio::signal::unix::{SignalKind, signal};

/// A call to AWS is some thousand small allocations: glibc's allocator takes a third of the time of a large fleet.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How the process was called.
struct Called {
    color: Color,
    invocation: Invocation,
}

/// How long a reader has, after a signal, to take what is left.
const READER_LIMIT: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    if cli::completion::answer() {
        return Exit::Done.into();
    }
    keep_memory_private();
    let cli = match Cli::read() {
        Ok(cli) => cli,
        Err(error) => {
            say_of_the_command_line(&error);
            return if error.use_stderr() { Exit::Usage.into() } else { Exit::Done.into() };
        }
    };
    Color::from(cli.color).follow(&std::io::stderr());
    view::crash::guarded(|| {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Error::new(Exit::Unexpected, format!("the async runtime cannot start: {error}")))
            .and_then(|runtime| runtime.block_on(carry_out(cli)))
    })
}

/// Keeps other processes of the same user out of this one's memory and environment, where the ID token is, and has no core
/// dumped. A command of `exec` is not affected: a new program begins as it would.
#[cfg(target_os = "linux")]
fn keep_memory_private() {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};

    // Where it is refused, things are as they are for every other process.
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

#[cfg(not(target_os = "linux"))]
fn keep_memory_private() {}

/// Says what is wrong with the command line. Colours go where a word of it could command a terminal.
fn say_of_the_command_line(error: &clap::Error) {
    let color = Color::from(ColorChoice::find(std::env::args_os()));
    if error.use_stderr() {
        color.follow(&std::io::stderr())
    } else {
        color.follow(&std::io::stdout())
    }
    let plain = error.render().to_string();
    let safe = text::clean_lines(&plain);
    let _ = if safe == plain || !error.use_stderr() { error.print() } else { write!(anstream::stderr(), "{safe}") };
}

/// Allows the process as many open files as the system does: a connection for each account takes one.
fn raise_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum {
        // Where it is refused, the limit is what it was.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    }
}

async fn carry_out(cli: Cli) -> Result<ExitCode, Error> {
    // The commands of `exec` would inherit it, and some cannot cope with more than 1,024.
    if !matches!(cli.command, Command::Exec(_)) {
        raise_open_files();
    }
    let called = Called { color: Color::from(cli.color), invocation: cli.invocation.clone() };
    let result = run_command(cli, &called).await;
    result.map_err(|error| Error { next: next(error.exit, &RunState::new(), &called.invocation), ..error })
}

/// Runs the command, and returns its exit code.
async fn run_command(cli: Cli, called: &Called) -> Result<ExitCode, Error> {
    let talk = |quiet, verbose: u8| Verbosity { quiet, verbose, format: OutputFormat::Text };
    let exit = match cli.command {
        Command::Deploy(args) => {
            with_view(called, &args.talk, async |view, cancel| deploy::deploy(&args, view, cancel).await).await
        }
        Command::Rollback(args) => {
            with_view(called, &args.talk, async |view, cancel| rollback::rollback(&args, view, cancel).await).await
        }
        Command::Plan(args) => {
            with_view(called, &talk(args.quiet, args.calls.verbose), async |view, cancel| {
                plan::plan(&args, view, cancel).await
            })
            .await
        }
        Command::Watch(args) => {
            with_view(called, &args.talk, async |view, cancel| watch::watch(&args, view, cancel).await).await
        }
        Command::Continue(args) => {
            with_view(called, &talk(args.quiet, args.calls.verbose), async |view, cancel| {
                continue_hook::hooks(&args, view, cancel).await
            })
            .await
        }
        Command::Sandbox(args) => {
            with_view(called, &talk(false, 1), async |view, cancel| sandbox::sandbox(&args, view, cancel).await).await
        }
        Command::Status(args) => {
            let talk = talk(args.quiet, args.verbose);
            with_view(called, &talk, async |view, cancel| status::status(&args, view, cancel).await).await
        }
        Command::Init(args) => {
            with_view(called, &talk(false, 0), async |view, cancel| init::init(&args, view, cancel).await).await
        }
        Command::Exec(args) => {
            // The exit code is the command's own. Nothing is drawn beside what it says.
            let (out, err) = (Box::new(std::io::stdout()), Box::new(std::io::stderr()));
            log(Filter::read(args.calls.verbose)?, std::io::stderr());
            let view = View::new(options(called.color, &talk(args.quiet, 1)), out, err);
            let by_terminal = std::io::stdin().is_terminal();
            return exec::exec(&args, view, by_terminal).await.map(ExitCode::from);
        }
        Command::Credentials(args) => {
            let out = &mut std::io::stdout();
            let terminal = out.is_terminal();
            let err = Box::new(std::io::stderr());
            log(Filter::read(0)?, std::io::stderr());
            let view = View::new(options(called.color, &talk(false, 0)), Box::new(std::io::sink()), err);
            with_signals(async |cancel| credentials::credentials(&args, out, terminal, view, cancel).await).await
        }
        Command::Report(args) => with_view(called, &talk(false, 0), async |view, _| report::report(&args, view)).await,
        Command::Accounts(args) => {
            with_view(called, &talk(args.quiet, args.calls.verbose), async |view, cancel| {
                accounts::accounts(&args, view, cancel).await
            })
            .await
        }
        Command::Iam(args) => match &args.action {
            None => iam::write(&args, &mut std::io::stdout(), &mut anstream::stderr()),
            Some(IamAction::Check(args)) => {
                let talk = talk(args.quiet, args.calls.verbose);
                with_view(called, &talk, async |view, cancel| iam::check(args, view, cancel).await).await
            }
        },
        Command::Doctor(args) => {
            with_view(called, &talk(args.quiet, args.calls.verbose), async |view, cancel| {
                doctor::doctor(&args, view, cancel).await
            })
            .await
        }
        Command::Pipeline(args) => {
            with_view(called, &talk(false, 0), async |view, cancel| pipeline::pipeline(*args, view, cancel).await).await
        }
        Command::Check(args) => with_view(called, &talk(false, 0), async |view, _| check::check(&args, view)).await,
        Command::Schema { included } => {
            let schema = if included { schema::included() } else { schema::schema() };
            print(format!("{schema:#}\n").as_bytes());
            Ok(Exit::Done)
        }
        Command::Completions { shell } => {
            print(&cli::completion::script(shell));
            Ok(Exit::Done)
        }
        Command::Man { out } => man(out.as_deref()),
    };
    exit.map(ExitCode::from)
}

fn man(out: Option<&Path>) -> Result<Exit, Error> {
    let written = match out {
        Some(directory) => {
            let mut command = cli::command().name("roleout").disable_help_subcommand(true);
            command.build();
            pages(&command, directory)
        }
        None if std::io::stdout().is_terminal() => {
            let error = Error::new(Exit::Usage, "the manual page is in roff, which a terminal does not show");
            return Err(error.help("`roleout man | man -l -` shows it, and --out DIR writes a page for each command"));
        }
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(cli::command()).render(&mut page).map(|()| print(&page))
        }
    };
    let why = |error| Error::new(Exit::Usage, format!("the manual pages cannot be written: {error}"));
    written.map(|()| Exit::Done).map_err(why)
}

/// Writes the manual page of a command, and those of its subcommands.
fn pages(command: &clap::Command, directory: &Path) -> std::io::Result<()> {
    command.get_subcommands().filter(|it| !it.is_hide_set()).try_for_each(|it| pages(it, directory))?;
    let page = clap_mangen::Man::new(command.clone());
    let mut text = Vec::new();
    page.render(&mut text)?;
    roleout::base::file::write_below(directory, Path::new(&page.get_filename()), &text)
}

/// Writes to stdout. A reader that has seen enough is no error.
fn print(bytes: &[u8]) {
    let _ = std::io::stdout().write_all(bytes);
}

fn options(color: Color, talk: &Verbosity) -> Options {
    let size = || terminal_size::terminal_size_of(std::io::stderr()).map(|(w, h)| (usize::from(w.0), usize::from(h.0)));
    Options::detect(Format::from(talk.format), (talk.quiet, talk.verbose > 0), color, size)
}

/// Writes what a filter selects of the calls and of the SDK's log.
fn log(filter: Option<Filter>, err: impl Write + Send + 'static) {
    if let Some(filter) = filter {
        filter.start(err);
    }
}

/// Runs a command with a view of its streams, until their readers have taken everything, or a second after a signal.
async fn with_view(
    Called { color, invocation }: &Called,
    talk: &Verbosity,
    command: impl AsyncFnOnce(View, Cancel) -> Result<Exit, Error>,
) -> Result<Exit, Error> {
    let (out, err) = (Stream::new(std::io::stdout()), Stream::new(std::io::stderr()));
    let (filter, options) = (Filter::read(talk.verbose)?, options(*color, talk));
    // Lines that come between two frames would tear the drawing.
    let live = options.live && filter.is_none();
    let options = Options { pending: Some(err.pending()), live, ..options };
    log(filter, err.clone());
    let paint = Paint(options.color);
    let mut view = View::new(options, Box::new(out.clone()), Box::new(err.clone()));
    view.invoked_by(invocation.clone());
    with_signals(async |cancel| {
        let result = command(view, cancel.clone()).await;
        // A run ends with its summary, which has it.
        if let (Ok(exit), false) = (&result, talk.quiet || invocation.is_run()) {
            let next = next(*exit, &RunState::new(), invocation);
            let _ = err.clone().write_all(style::next(&next, paint).as_bytes());
        }
        tokio::select! {
            _ = async { (out.drained().await, err.drained().await) } => {}
            () = async { cancel.cancelled().await; tokio::time::sleep(READER_LIMIT).await } => {}
        }
        result
    })
    .await
}

/// Runs a command that a signal asks to stop; a second signal ends the process at once. A SIGHUP never does: where a
/// terminal is closed both the system and the shell send one, and nobody is there to be impatient.
async fn with_signals(command: impl AsyncFnOnce(Cancel) -> Result<Exit, Error>) -> Result<Exit, Error> {
    let unexpected =
        |error: std::io::Error| Error::new(Exit::Unexpected, format!("signals cannot be received: {error}"));
    let mut interrupts = signal(SignalKind::interrupt()).map_err(unexpected)?;
    let mut terminations = signal(SignalKind::terminate()).map_err(unexpected)?;
    // `nohup` has it ignored, and that is its purpose.
    let mut hangups = if ignores_hangup() { None } else { Some(signal(SignalKind::hangup()).map_err(unexpected)?) };
    let cancel = Cancel::default();
    let mut command = std::pin::pin!(command(cancel.clone()));
    loop {
        let signal = tokio::select! {
            // In this order: an interrupt that came with a termination is the first of two.
            biased;
            result = &mut command => return result,
            _ = interrupts.recv() => Signal::Interrupt,
            _ = terminations.recv() => Signal::Terminate,
            Some(_) = async { hangups.as_mut()?.recv().await } => Signal::Hangup,
        };
        if cancel.is_cancelled() && signal != Signal::Hangup {
            std::process::exit(i32::from(signal.exit().code()));
        }
        cancel.cancel(signal);
    }
}

/// Whether whoever started the process had SIGHUP ignored, as far as the system says so.
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}
