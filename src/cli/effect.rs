//! Refuses flags that have no effect on a command line.

/// Flags that have no effect with, or without, another argument. Their variables may be set for all jobs of a pipeline, and
/// are then ignored.
const WITHOUT_EFFECT: [(&[&str], Beside, &str); 5] = [
    (
        &["allow_older", "force_new_deployment", "on_busy", "ambient"],
        Beside::With("plan"),
        "a saved plan is carried out as it was made; use it with plan --out instead",
    ),
    (&["max_age", "skip_stale"], Beside::Without("plan"), "it is for a saved plan: roleout deploy PLAN"),
    (&["accept_gone"], Beside::Without("update"), "it is for --update"),
    (&["mr_note_token_env"], Beside::Without("mr_note"), "it is for --mr-note"),
    (&["sandbox_seed"], Beside::Without("sandbox"), "it is for --sandbox"),
];

/// Where a flag has no effect.
#[derive(Clone, Copy)]
enum Beside {
    With(&'static str),
    Without(&'static str),
}

/// Refuses a flag that would be ignored.
pub(super) fn refuse_without(command: &mut clap::Command, matches: &clap::ArgMatches) -> Result<(), clap::Error> {
    use clap::parser::ValueSource;

    let Some((_, matches)) = matches.subcommand() else { return Ok(()) };
    let is_known = |id: &str| matches.try_contains_id(id).is_ok();
    let source = |id: &str| is_known(id).then(|| matches.value_source(id)).flatten();
    let is_there = |id: &str| source(id).is_some_and(|source| source != ValueSource::DefaultValue);
    for (flags, beside, help) in WITHOUT_EFFECT {
        let applies = match beside {
            Beside::With(other) => is_there(other),
            Beside::Without(other) => is_known(other) && !is_there(other),
        };
        let on_the_line = |flag: &&&str| source(flag) == Some(ValueSource::CommandLine);
        if let Some(flag) = flags.iter().find(|flag| applies && on_the_line(flag)) {
            let message = format!("--{} has no effect here: {help}", flag.replace('_', "-"));
            return Err(command.error(clap::error::ErrorKind::ArgumentConflict, message));
        }
    }
    refuse_without(command, matches)
}
