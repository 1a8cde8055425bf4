//! What of a command line the next one has again.

use clap::ArgMatches;
use clap::parser::ValueSource;

use crate::base::text::shell_word;
use crate::narrate::next::{Flag, Invocation};

/// The flags that say which manifest it is, how AWS is reached, what is deployed and what a person decided, in the order in
/// which they are written.
const AGAIN: [&str; 25] = [
    "file",
    "ambient",
    "allow-http",
    "allow-private",
    "ca-file",
    "sign-env",
    "max-age",
    "skip-stale",
    "sandbox",
    "sandbox-value",
    "sandbox-seed",
    "image",
    "digests",
    "of",
    "all",
    "further",
    "from",
    "force-new-deployment",
    "allow-older",
    "skip-blocked",
    "on-busy",
    "no-verify",
    "continue-hooks",
    "override-freeze",
    "rollback",
];

/// The flags that select targets.
const SELECTION: [&str; 5] = ["only", "account", "service", "wave", "shard"];

/// Returns what the command that comes next has again of this one.
pub(super) fn read(root: &clap::Command, matches: &ArgMatches) -> Invocation {
    let (mut command, mut matches, mut path) = (root, matches, Vec::new());
    while let Some((name, inner)) = matches.subcommand() {
        let Some(found) = command.find_subcommand(name) else { break };
        (command, matches) = (found, inner);
        path.push(name);
    }
    // They end with the summary of a run that another command made.
    if matches!(path[..], ["report" | "completions" | "schema"] | ["pipeline", "gate" | "merge"]) {
        let flags = flag(root, command, matches, "file").into_iter().collect();
        return Invocation { typed: path.join(" "), flags, ..Invocation::default() };
    }
    let flags = |names: &[&str]| names.iter().filter_map(|name| flag(root, command, matches, name)).collect();
    let path_of = |id: &str| is_given(matches, id).then(|| shell_word(&raw(matches, id).join(" ")));
    let plan = match path[..] {
        ["deploy"] => path_of("plan"),
        ["plan"] => path_of("out"),
        _ => None,
    };
    let verb = path.join(" ");
    Invocation { typed: verb.clone(), verb, plan, flags: flags(&AGAIN), selection: flags(&SELECTION) }
}

/// Returns a flag as it was given; `None` = it was not.
fn flag(root: &clap::Command, command: &clap::Command, matches: &ArgMatches, name: &str) -> Option<Flag> {
    let arg = command.get_arguments().find(|arg| arg.get_long() == Some(name))?;
    let id = arg.get_id().as_str();
    if !is_given(matches, id) {
        return None;
    }
    let spell = |value: &str| match (value.starts_with('-'), name) {
        (true, _) => vec![format!("--{name}={}", shell_word(value))],
        (false, "file") => vec!["-f".to_owned(), shell_word(value)],
        (false, _) => vec![format!("--{name}"), shell_word(value)],
    };
    let words = match (arg.get_action().takes_values(), arg.get_value_delimiter()) {
        (false, _) => matches.get_flag(id).then(|| vec![format!("--{name}")])?,
        (true, Some(' ')) => spell(&raw(matches, id).join(" ")),
        (true, _) => raw(matches, id).iter().flat_map(|value| spell(value)).collect(),
    };
    let mut commands = Vec::new();
    takers(root, name, "", &mut commands);
    Some(Flag { name: name.to_owned(), words, commands })
}

/// Whether it is on the command line, or in its variable.
fn is_given(matches: &ArgMatches, id: &str) -> bool {
    let source = matches.try_contains_id(id).ok().and_then(|_| matches.value_source(id));
    source.is_some_and(|source| source != ValueSource::DefaultValue)
}

/// Returns its values as they were typed.
fn raw(matches: &ArgMatches, id: &str) -> Vec<String> {
    let values = matches.get_raw(id).into_iter().flatten();
    values.map(|value| value.to_string_lossy().into_owned()).collect()
}

/// Collects the commands that take a flag, such as `deploy` or `iam check`.
fn takers(command: &clap::Command, name: &str, path: &str, into: &mut Vec<String>) {
    for inner in command.get_subcommands() {
        let path = format!("{path} {}", inner.get_name()).trim_start().to_owned();
        if inner.get_arguments().any(|arg| arg.get_long() == Some(name)) {
            into.push(path.clone());
        }
        takers(inner, name, &path, into);
    }
}

#[cfg(test)]
mod tests {
    use crate::base::exit::Exit;
    use crate::cli::Cli;
    use crate::narrate::next::next;
    use crate::state::RunState;

    fn parse(line: &str) -> Cli {
        let words = shlex::split(line).expect("words of a shell");
        Cli::parse(words.into_iter().map(Into::into)).unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    /// The commands that come next after a line that ends so.
    fn after(line: &str, exit: Exit) -> Vec<String> {
        next(exit, &RunState::new(), &parse(line).invocation).into_iter().map(|next| next.command).collect()
    }

    #[test]
    fn every_command_that_comes_next_can_be_typed() {
        let common = "-f 'my fleet.yaml' --allow-http";
        let selected = "--only 'a b' --wave canary";
        let named = "--account a --service api --wave canary --shard 1/2";
        let images = "--image app=r.example.com/api:v2 --image api/web=r.example.com/web:v2";
        let decided = "--from canary --skip-blocked --no-verify";
        let deploys = "--allow-older --force-new-deployment --on-busy wait";
        let sandbox = "--sandbox --sandbox-value ssm:/a=b --sandbox-seed 7 --sandbox-fault 'a/*/*=crash'";
        let lines = [
            "roleout deploy".to_owned(),
            format!(
                "roleout deploy {common} {selected} {images} {decided} {deploys} --ambient --continue-hooks --override-freeze"
            ),
            format!("roleout deploy {common} {named} {decided} {sandbox}"),
            "roleout deploy 'a plan' --sign-env KEY --max-age 2h --skip-stale --skip-blocked --from rest --no-verify"
                .to_owned(),
            format!("roleout plan {common} {named} {images} {decided} {deploys} --ambient --out p.json --sign-env KEY"),
            format!("roleout plan {common} {sandbox} --out p.json"),
            format!("roleout rollback {common} {selected} {images} {decided} --of r.json --further {sandbox}"),
            format!("roleout rollback {common} {named} --all --dry-run --ambient"),
            format!("roleout watch {common} {selected} --skip-blocked {sandbox}"),
            format!("roleout continue {common} {named} --rollback {sandbox}"),
            format!("roleout status {common} {named} --ambient"),
            format!("roleout status {common} {sandbox}"),
            format!("roleout doctor {common} {selected} --allow-private --ambient"),
            format!("roleout doctor {common} {sandbox}"),
            "roleout check -f x.yaml --account a --ambient".to_owned(),
            "roleout plan --file='-my fleet.yaml' --only=-a --image=-b=c:d --sandbox".to_owned(),
            format!("roleout accounts {common} --update --accept-gone 111111111111 {sandbox}"),
            format!("roleout accounts {common} --check --ambient"),
            "roleout iam -f x.yaml --account a".to_owned(),
            "roleout iam check -f x.yaml --account a --ambient".to_owned(),
            "roleout iam check --sandbox".to_owned(),
            format!("roleout exec {common} {selected} --ambient --skip-blocked -- true"),
            "roleout credentials --account a --ambient".to_owned(),
            format!("roleout pipeline -f x.yaml {named} {deploys} --image app=a:b --from rest")
                .replace("--shard 1/2", ""),
            "roleout pipeline preflight --journal j.jsonl -f x.yaml --sandbox".to_owned(),
            "roleout init -f x.yaml".to_owned(),
            "roleout sandbox -f x.yaml".to_owned(),
            "roleout man".to_owned(),
            "roleout report a.jsonl".to_owned(),
        ];
        for line in &lines {
            let verb = parse(line).invocation.verb;
            let has_gates = matches!(verb.as_str(), "deploy" | "rollback");
            for exit in Exit::ALL.into_iter().filter(|exit| *exit != Exit::Gate || has_gates) {
                for command in after(line, exit) {
                    if !command.starts_with("roleout help") {
                        parse(&command);
                    }
                }
            }
        }
    }

    #[test]
    fn what_was_decided_is_decided_again_and_nothing_else() {
        let cases = [
            (
                "plan --image app=a:b --force-new-deployment --detailed-exitcode",
                Exit::Pending,
                "deploy --image 'app=a:b' --force-new-deployment",
            ),
            ("plan --account a --from rest --ambient", Exit::Pending, "deploy --ambient --from rest --account a"),
            ("plan --out p.json --ambient --sign-env KEY", Exit::Pending, "deploy p.json --sign-env KEY"),
            ("plan --out p.json --sandbox", Exit::Pending, "deploy --sandbox"),
            ("deploy p.json --skip-stale --from canary", Exit::Gate, "deploy p.json --skip-stale --from ''"),
            ("deploy --sandbox --image app=a:b", Exit::Manifest, "check"),
            ("rollback --of r.json --only a", Exit::Blocked, "rollback --of r.json --dry-run --only a"),
            ("continue --rollback --only a", Exit::Interrupted, "continue --rollback --only a"),
            ("iam check --ambient -f x.yaml", Exit::Pending, "iam -f x.yaml"),
            ("accounts --check --sandbox", Exit::Pending, "accounts --sandbox --update"),
            ("accounts --sandbox --update", Exit::Preflight, "doctor --sandbox"),
            ("init", Exit::Preflight, "help init"),
            ("report none.jsonl", Exit::Usage, "help report"),
            ("report a.jsonl", Exit::Gate, "deploy --from ''"),
            ("pipeline merge --file f.yaml reports", Exit::Gate, "deploy -f f.yaml --from ''"),
            ("exec --only a -- true", Exit::Interrupted, "help exec"),
            ("deploy --skip-blocked --from rest --image app=a:b", Exit::Unexpected, "status --image 'app=a:b'"),
            ("deploy --skip-blocked --from rest", Exit::Interrupted, "deploy --from rest --skip-blocked"),
            ("watch --skip-blocked --only a", Exit::Interrupted, "watch --skip-blocked --only a"),
            ("exec --only a --ambient -- true", Exit::Preflight, "doctor --ambient --only a"),
        ];
        for (line, exit, expected) in cases {
            let told = after(&format!("roleout {line}"), exit);
            assert_eq!(
                told.first().map(String::as_str),
                Some(format!("roleout {expected}").as_str()),
                "{line}: {exit:?}"
            );
        }
    }
}
