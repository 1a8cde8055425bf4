//! One child: started, waited for, and what it ended with.

use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};

use secrecy::ExposeSecret;
use tokio::process::{Child, Command};

use crate::exec::environment::Environment;
use crate::exec::signals::code_of;

/// What a shell's exit code is where a program was found and cannot be run, and where it was not found.
const CANNOT_RUN: u8 = 126;
const NOT_FOUND: u8 = 127;

/// Where a child's streams go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Streams {
    /// They are this process's own.
    Inherited,
    /// It has no input, and what it says is read.
    Read,
}

/// Starts a program with its arguments.
///
/// # Errors
/// It cannot be run.
pub fn start(command: &[OsString], environment: &Environment, streams: Streams) -> io::Result<Child> {
    let (program, arguments) = command.split_first().ok_or(ErrorKind::InvalidInput)?;
    let mut child = Command::new(program);
    child.args(arguments);
    for name in &environment.removed {
        child.env_remove(name);
    }
    for (name, value) in &environment.set {
        child.env(name, value.expose_secret());
    }
    if streams == Streams::Read {
        child.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    }
    child.spawn()
}

/// The exit code of a child: its own, or 128 and the number of the signal that ended it.
pub fn code(status: ExitStatus) -> u8 {
    let own = status.code().map(|code| u8::try_from(code).unwrap_or(u8::MAX));
    own.or_else(|| status.signal().map(code_of)).unwrap_or(u8::MAX)
}

/// The exit code of a program that could not be started, as shells have it.
pub fn code_of_failure(error: &io::Error) -> u8 {
    if error.kind() == ErrorKind::NotFound { NOT_FOUND } else { CANNOT_RUN }
}
