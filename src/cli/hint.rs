//! What is said of a command line that cannot be read, where more is known of it than that it is wrong.

use clap::Command;
use clap::error::{ContextKind, ContextValue, Error, ErrorKind};

/// Commands of other tools, and what stands for them here.
const ELSEWHERE: [(&[&str], &str); 9] = [
    (
        &["validate", "lint", "verify", "test"],
        "`roleout check` checks the manifest, and `roleout plan` what it would change",
    ),
    (&["diff", "preview"], "`roleout plan` shows what a deploy would change"),
    (&["apply", "up", "release", "ship", "update"], "`roleout deploy` deploys"),
    (&[concat!("un", "do"), "revert", "back"], "`roleout rollback` rolls back"),
    (&["ls", "list", "ps", "get", "describe", "show", "history"], "`roleout status` shows what every target runs"),
    (
        &["logs", "log", "tail", "events"],
        "a run's reports have the logs of what failed: `roleout deploy --reports-dir DIR`",
    ),
    (&["login", "auth", "whoami"], "`roleout doctor` shows how every account is reached"),
    (
        &["resume", "approve", "promote"],
        "`roleout continue` continues what waits at a PAUSE hook; `--from WAVE` passes a gate",
    ),
    (
        &["destroy", "delete", "rm", "down", "scale"],
        "roleout deploys services that exist; it makes, scales and deletes none",
    ),
];

/// Whether a word on the command line is a manifest's path.
pub fn is_manifest(word: &str) -> bool {
    let word = word.to_lowercase();
    [".yaml", ".yml"].iter().any(|end| word.ends_with(end))
}

/// Makes an error say what it can.
pub(super) fn improve(command: &mut Command, mut error: Error) -> Error {
    let text = |error: &Error, kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        _ => None,
    };
    if let Some(word) = text(&error, ContextKind::InvalidSubcommand)
        && let Some((_, instead)) = ELSEWHERE.iter().find(|(words, _)| words.contains(&word.to_lowercase().as_str()))
    {
        let message = format!("there is no command `{word}`: {instead}");
        return command.error(ErrorKind::InvalidSubcommand, message);
    }
    if let Some(word) = text(&error, ContextKind::InvalidArg).or_else(|| text(&error, ContextKind::InvalidSubcommand))
        && is_manifest(&word)
    {
        return command.error(ErrorKind::UnknownArgument, format!("`{word}` is a manifest: use -f {word}"));
    }
    // Nobody who mistypes a flag means it as a value.
    if error.kind() == ErrorKind::UnknownArgument {
        error.remove(ContextKind::Suggested);
    }
    error
}
