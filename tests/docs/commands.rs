//! `docs/commands.md`: every command with its arguments, out of the command line's own definition.

use std::fmt::Write as _;

use clap::{Arg, Command};
use roleout::base::exit::Exit;

use crate::{cell, hold, repository};

#[test]
fn the_reference_of_commands_is_what_the_command_line_is() {
    hold("docs/commands.md", &page());
}

#[test]
fn the_page_of_exit_codes_has_each_with_its_words_and_no_other() {
    let page = fs_err::read_to_string(repository("docs/exit-codes.md")).unwrap();
    let rows: Vec<String> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split_once(" | "))
        .filter(|(code, _)| code.parse::<u8>().is_ok())
        .map(|(code, rest)| format!("{code} {}", rest.split(" | ").next().unwrap_or_default()))
        .collect();
    let codes: Vec<String> = Exit::ALL.iter().map(|exit| format!("{} {}", exit.code(), exit.words())).collect();
    assert_eq!(rows, codes);
}

#[test]
fn the_page_of_the_sandbox_has_every_fault_and_no_other() {
    let page = fs_err::read_to_string(repository("docs/sandbox.md")).unwrap();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split(" | ").next());
    let name = |word: &str| word.trim_matches('`').split([':', '[']).next().unwrap_or_default().to_owned();
    let mut told: Vec<String> = rows.flat_map(|cell| cell.split(", ").map(name).collect::<Vec<_>>()).collect();
    let mut known: Vec<String> = roleout::sandbox::FAULT_NAMES.split(", ").map(ToOwned::to_owned).collect();
    told.sort();
    known.sort();
    assert_eq!(told, known);
}

fn page() -> String {
    let mut cli = roleout::cli::command();
    cli.build();
    let mut page = String::from(
        "# Commands\n\nGenerated from the command line by `ROLEOUT_BLESS=1 cargo test --test docs`. `roleout help COMMAND` \
         prints the same.\nEvery flag has a variable, and a flag overrides its variable. An empty variable counts as not set. The variable of a flag \
         without a value is `true` or\n`false`, `1` or `0`, `yes` or `no`, `on` or `off`.\n\n",
    );
    let global: Vec<String> = cli.get_arguments().filter(|argument| argument.is_global_set()).map(row).collect();
    write!(page, "Every command takes:\n\n| argument | variable | meaning |\n|---|---|---|\n{}\n", global.concat())
        .unwrap();
    page.push_str("| command | what it does |\n|---|---|\n");
    let commands: Vec<&Command> = cli.get_subcommands().filter(|command| command.get_name() != "help").collect();
    for command in &commands {
        let name = command.get_name();
        writeln!(page, "| [`roleout {name}`](#roleout-{name}) | {} |", cell(&about(command))).unwrap();
    }
    for command in commands {
        section(&mut page, command, command.get_name());
    }
    page.push_str("\n## Exit codes\n\n[exit-codes.md](exit-codes.md) says what to do for each.\n\n| code | meaning |\n|---:|---|\n");
    for exit in Exit::ALL {
        writeln!(page, "| {} | {} |", exit.code(), cell(exit.words())).unwrap();
    }
    page
}

fn section(page: &mut String, command: &Command, name: &str) {
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ");
    write!(page, "\n## roleout {name}\n\n{}.\n\n```text\n{usage}\n```\n", about(command)).unwrap();
    let arguments = command
        .get_arguments()
        .filter(|argument| argument.get_id() != "help" && !argument.is_hide_set() && !argument.is_global_set());
    let rows: Vec<String> = arguments.map(row).collect();
    if !rows.is_empty() {
        write!(page, "\n| argument | variable | meaning |\n|---|---|---|\n{}", rows.concat()).unwrap();
    }
    for nested in command.get_subcommands().filter(|nested| nested.get_name() != "help") {
        section(page, nested, &format!("{name} {}", nested.get_name()));
    }
}

fn row(argument: &Arg) -> String {
    let value = || {
        let names = argument.get_value_names().unwrap_or_default();
        names.iter().map(|name| format!(" {name}")).collect::<String>()
    };
    let takes_value = argument.get_action().takes_values();
    let mut called = match (argument.get_long(), argument.get_short()) {
        (Some(long), Some(short)) => format!("-{short}, --{long}"),
        (Some(long), None) => format!("--{long}"),
        (None, Some(short)) => format!("-{short}"),
        (None, None) => value().trim_start().to_owned(),
    };
    if takes_value && argument.get_long().is_some() {
        called.push_str(&value());
    }
    let variable = argument.get_env().map(|name| format!("`{}`", name.to_string_lossy())).unwrap_or_default();
    let mut meaning = argument.get_help().map(ToString::to_string).unwrap_or_default();
    if takes_value {
        let choices: Vec<String> = argument
            .get_possible_values()
            .iter()
            .filter(|choice| !choice.is_hide_set())
            .map(|choice| match choice.get_help() {
                Some(help) => format!("`{}` ({help})", choice.get_name()),
                None => format!("`{}`", choice.get_name()),
            })
            .collect();
        if !choices.is_empty() {
            write!(meaning, ": {}", choices.join(", ")).unwrap();
        }
        let defaults: Vec<_> = argument.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
        if !defaults.is_empty() {
            write!(meaning, ". Default: `{}`", defaults.join(" ")).unwrap();
        }
    }
    format!("| `{}` | {variable} | {} |\n", cell(&called), cell(&meaning))
}

fn about(command: &Command) -> String {
    command.get_about().map(ToString::to_string).unwrap_or_default()
}
