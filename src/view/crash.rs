//! What is left of a panic: one line, a documented exit code, and the reports of a run that was on.

use std::io::Write;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook};
use std::path::Path;

use crate::base::error::Error;
use crate::base::exit::Exit;
use crate::view::style;

/// Runs the whole of a process, and returns its exit code; an error is written to stderr, and so is a panic of any thread.
pub fn guarded<T: From<Exit>>(run: impl FnOnce() -> Result<T, Error>) -> T {
    set_hook(Box::new(|panic| print_error(&panic_error(panic))));
    // The hook has said what there is to say, and the reports were written while their view was dropped.
    let result = catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| Ok(Exit::Unexpected.into()));
    result.unwrap_or_else(|error| {
        print_error(&error);
        error.exit.into()
    })
}

fn print_error(error: &Error) {
    // Nobody is left to tell that stderr is gone.
    let _ = write!(anstream::stderr(), "{}", style::error(error));
}

/// Says where it was. A panic's message is left out: it may hold what was being worked on, a token too.
fn panic_error(panic: &PanicHookInfo<'_>) -> Error {
    // The path of a dependency's source begins with the home of whoever built it.
    let place = panic.location().map(|at| {
        let file = Path::new(at.file());
        let parts: Vec<_> = file.components().rev().take(4).map(|part| part.as_os_str().to_string_lossy()).collect();
        format!("{}:{}", parts.into_iter().rev().collect::<Vec<_>>().join("/"), at.line())
    });
    let place = place.unwrap_or_else(|| "an unknown place".to_owned());
    Error::new(Exit::Unexpected, format!("roleout {} failed at {place}", env!("CARGO_PKG_VERSION")))
        .help("this is a bug; report this line and the command. `roleout status` shows what runs")
}
