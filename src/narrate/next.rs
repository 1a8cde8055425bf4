//! The command that comes next, after every exit code but 0, with the real targets in it.
//!
//! Pure: a function of the exit code, of what has become of the run, and of the command line.

use std::collections::BTreeMap;

use crate::base::error::Next;
use crate::base::exit::Exit;
use crate::base::text::{count, shell_word};
use crate::fleet::Outcome;
use crate::state::{RunState, TargetState};

/// With more patterns than this, the command finds the targets by itself.
const NAMED: usize = 20;

/// Flags that a deployment has for a saved plan alone.
const OF_SAVED_PLANS: [&str; 3] = ["sign-env", "max-age", "skip-stale"];

/// What is decided of a deployment is not decided of its rollback, nor of who watches it.
const DECIDED: [&str; 5] = ["from", "skip-blocked", "no-verify", "continue-hooks", "override-freeze"];

/// A flag of a command line, with its values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flag {
    /// Its long name, without hyphens before it.
    pub name: String,
    /// How it is written, as words of a shell.
    pub words: Vec<String>,
    /// The commands that take it, such as `deploy` and `iam check`.
    pub commands: Vec<String>,
}

impl Flag {
    fn is_of(&self, command: &str) -> bool {
        self.commands.iter().any(|one| one == command)
    }
}

/// What of a command line the next one has again, where it takes that.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Invocation {
    /// The command, such as `deploy` or `iam check`; empty = nothing is known of it, or it tells of another command's run.
    pub verb: String,
    /// The command as it was typed: empty = as `verb`.
    pub typed: String,
    /// The saved plan that is carried out, or that was made.
    pub plan: Option<String>,
    /// The flags that say where the manifest is, how AWS is reached and what is deployed.
    pub flags: Vec<Flag>,
    /// The flags that select targets.
    pub selection: Vec<Flag>,
}

impl Invocation {
    /// Whether the command makes a run, whose summary says what comes next.
    pub fn is_run(&self) -> bool {
        matches!(self.verb.as_str(), "deploy" | "rollback" | "watch" | "")
    }

    /// Whether a command line of its flags is whole: the others need more, or have no manifest yet.
    fn can_be_repeated(&self) -> bool {
        !matches!(self.verb.as_str(), "init" | "exec" | "credentials" | "iam" | "sandbox" | "man" | "pipeline")
            && !self.verb.starts_with("pipeline ")
    }

    /// Writes a command with those of its flags that it takes.
    fn line(&self, command: &str, more: &[String]) -> String {
        let are_alike =
            command == self.verb || [command, &self.verb].iter().all(|one| matches!(*one, "plan" | "deploy"));
        let begins = !more.iter().any(|word| word == "--from");
        let is_kept = |flag: &&Flag| {
            let name = flag.name.as_str();
            flag.is_of(command)
                && !OF_SAVED_PLANS.contains(&name)
                && (are_alike || !DECIDED.contains(&name))
                && (begins || name != "from")
        };
        let flags = self.flags.iter().filter(is_kept).flat_map(|flag| &flag.words);
        join(command, flags.chain(more))
    }

    /// Writes the command that carries the saved plan out. What was decided when it was made is in it.
    fn saved(&self, plan: &str, more: &[String]) -> String {
        let is_kept = |flag: &&Flag| match flag.name.as_str() {
            "from" => false,
            "allow-http" | "sign-env" => true,
            _ => self.verb == "deploy" && flag.is_of("deploy"),
        };
        let flags = self.flags.iter().filter(is_kept).flat_map(|flag| &flag.words);
        join(&format!("deploy {plan}"), flags.chain(more))
    }

    /// The words that select the targets, as far as a command takes them.
    fn selected(&self, command: &str) -> Vec<String> {
        self.selection.iter().filter(|flag| flag.is_of(command)).flat_map(|flag| flag.words.clone()).collect()
    }

    /// How its own flags are looked up.
    fn help(&self) -> Next {
        let typed = if self.typed.is_empty() { &self.verb } else { &self.typed };
        let command = format!("roleout help {typed}").trim_end().to_owned();
        Next { command, what: "lists the flags".to_owned() }
    }

    /// Of the same targets.
    fn repeat(&self, verb: &str, what: impl Into<String>) -> Next {
        Next { command: self.line(verb, &self.selected(verb)), what: what.into() }
    }

    /// Of some targets of the run.
    fn name_targets(&self, verb: &str, targets: &[&TargetState], state: &RunState, what: impl Into<String>) -> Next {
        let patterns = if self.selection.is_empty() { shorten(targets, state) } else { names(targets) };
        if patterns.len() > NAMED {
            return self.repeat(verb, what);
        }
        let only = ["--only".to_owned(), shell_word(&patterns.join(" "))];
        Next { command: self.line(verb, &only), what: what.into() }
    }
}

fn join<'a>(command: &'a str, words: impl Iterator<Item = &'a String>) -> String {
    ["roleout", command].into_iter().chain(words.map(String::as_str)).collect::<Vec<_>>().join(" ")
}

fn names(targets: &[&TargetState]) -> Vec<String> {
    targets.iter().map(|target| target.target.to_string()).collect()
}

/// Names accounts of which all targets are meant by their names alone.
fn shorten(targets: &[&TargetState], state: &RunState) -> Vec<String> {
    let mut all: BTreeMap<&str, usize> = BTreeMap::new();
    state.targets().for_each(|target| *all.entry(&target.target.account).or_default() += 1);
    let mut meant: BTreeMap<&str, usize> = BTreeMap::new();
    targets.iter().for_each(|target| *meant.entry(&target.target.account).or_default() += 1);
    let mut patterns: Vec<String> = Vec::new();
    for target in targets {
        let account = &*target.target.account;
        let is_whole = meant.get(account) > Some(&1) && meant.get(account) == all.get(account);
        let pattern = if is_whole { account.to_owned() } else { target.target.to_string() };
        if patterns.last() != Some(&pattern) && !patterns.contains(&pattern) {
            patterns.push(pattern);
        }
    }
    patterns
}

/// Returns what comes next; nothing after [`Exit::Done`]. The first is the one to run, the others are the alternatives.
pub fn next(exit: Exit, state: &RunState, line: &Invocation) -> Vec<Next> {
    let verb = line.verb.as_str();
    let all = |wanted: &dyn Fn(&TargetState) -> bool| state.targets().filter(|it| wanted(it)).collect::<Vec<_>>();
    match exit {
        Exit::Done => Vec::new(),
        Exit::Usage => vec![line.help()],
        // There is no manifest that another command could read.
        _ if matches!(verb, "init" | "sandbox" | "man") => vec![line.help()],
        Exit::Unexpected => vec![line.repeat("status", "shows what runs")],
        Exit::Manifest => {
            vec![Next { command: line.line("check", &[]), what: "checks the manifest, offline".to_owned() }]
        }
        // What the doctor found is told: what is left is to fix it.
        Exit::Preflight if verb == "doctor" => vec![line.repeat("plan", "reads everything again, and changes nothing")],
        Exit::Preflight => vec![
            line.repeat("doctor", "explains a token or a role that is refused"),
            line.repeat("plan", "reads everything again, and changes nothing"),
        ],
        Exit::Blocked if verb == "plan" => vec![line.repeat("status", "shows what each target runs")],
        Exit::Blocked if verb == "rollback" => {
            let more: Vec<String> = ["--dry-run".to_owned()].into_iter().chain(line.selected(verb)).collect();
            vec![Next { command: line.line(verb, &more), what: "shows what it would do".to_owned() }]
        }
        Exit::Blocked => vec![line.repeat("plan", "shows what each target needs")],
        Exit::Pending => vec![match verb {
            "status" => line.repeat("plan", "shows what a deploy would change"),
            "iam check" => Next { command: line.line("iam", &[]), what: "writes what the roles need".to_owned() },
            "accounts" => {
                let command = line.line("accounts", &["--update".to_owned()]);
                Next { command, what: "writes the lock; --accept-gone lets accounts leave".to_owned() }
            }
            _ => carry_out(line),
        }],
        Exit::Gate => vec![past_the_gate(state, line)],
        Exit::Stuck => {
            let stuck = all(&|it| it.outcome() == Some(Outcome::Stuck));
            let whose = if stuck.len() == 1 { "its rollback is" } else { "their rollbacks are" };
            let what = format!("shows what {} now; {whose} not complete", runs(&stuck));
            let mut next = vec![line.name_targets("status", &stuck, state, what)];
            next.extend(follow(state, line));
            next
        }
        Exit::Interrupted | Exit::Terminated => {
            let mut next = follow(state, line);
            // What ECS rolls back would be deployed once more.
            let turns = state.targets().any(|it| it.goes_on() && it.rollback.is_some());
            if !turns && verb != "watch" && !line.can_be_repeated() {
                next.push(line.help());
            } else if !turns && verb != "watch" {
                let what = match (state.started_at().is_some(), next.is_empty()) {
                    (false, _) => "starts again",
                    (true, true) => "does the rest",
                    (true, false) => "follows them too, and does the rest",
                };
                next.push(line.repeat(if verb.is_empty() { "deploy" } else { verb }, what));
            }
            if next.is_empty() {
                next.push(line.repeat("watch", "follows what is under way"));
            }
            next
        }
        Exit::Failed | Exit::RolledBack | Exit::Tolerated | Exit::TimedOut => after_failures(exit, state, line),
    }
}

fn carry_out(line: &Invocation) -> Next {
    let what = "carries it out".to_owned();
    // The sandbox is made anew for each command, and carries no saved plan out.
    match line.plan.as_ref().filter(|_| !line.flags.iter().any(|flag| flag.name == "sandbox")) {
        Some(plan) => Next { command: line.saved(plan, &[]), what },
        None => line.repeat("deploy", what),
    }
}

fn past_the_gate(state: &RunState, line: &Invocation) -> Next {
    let verb = if line.verb.is_empty() { "deploy" } else { &line.verb };
    let mut more = vec!["--from".to_owned(), shell_word(state.gate().unwrap_or_default())];
    let command = line.plan.as_ref().map(|plan| line.saved(plan, &more)).unwrap_or_else(|| {
        more.extend(line.selected(verb));
        line.line(verb, &more)
    });
    Next { command, what: "goes on past the gate".to_owned() }
}

/// Returns the commands for what goes on in ECS: those that wait for a person first.
fn follow(state: &RunState, line: &Invocation) -> Vec<Next> {
    let paused: Vec<_> = state.targets().filter(|target| target.is_paused()).collect();
    let rolling: Vec<_> = state.targets().filter(|target| target.goes_on()).collect();
    let mut next = Vec::new();
    if !paused.is_empty() {
        let what = format!("lets {} go on", count(paused.len(), "deployment"));
        next.push(line.name_targets("continue", &paused, state, what));
    }
    if !rolling.is_empty() {
        let what = format!("follows {} to the end", count(rolling.len(), "deployment"));
        next.push(line.name_targets("watch", &rolling, state, what));
    }
    next
}

fn after_failures(exit: Exit, state: &RunState, line: &Invocation) -> Vec<Next> {
    let following = follow(state, line);
    // To deploy again where ECS still deploys or rolls back would only be in its way.
    if !following.is_empty() {
        return following;
    }
    let failed: Vec<_> = state.targets().filter(|it| it.outcome().is_some_and(Outcome::is_failure)).collect();
    if failed.is_empty() {
        return vec![line.repeat("status", "shows what runs")];
    }
    match line.verb.as_str() {
        "watch" => {
            return vec![line.name_targets("status", &failed, state, format!("shows what {} now", runs(&failed)))];
        }
        "continue" => return vec![line.repeat("watch", "follows them to the end")],
        "rollback" => {
            let what = format!("rolls {} back, once the cause is fixed", count(failed.len(), "target"));
            return vec![line.name_targets("rollback", &failed, state, what)];
        }
        _ => {}
    }
    // Whoever took its place may deploy still.
    if failed.iter().all(|target| target.outcome() == Some(Outcome::Superseded)) {
        let what = format!("shows what {} now, and what is under way", runs(&failed));
        return vec![
            line.name_targets("status", &failed, state, what),
            line.repeat("deploy", "deploys again, once that is over"),
        ];
    }
    if exit == Exit::Tolerated {
        let what = format!("deploys {}, once the cause is fixed", count(failed.len(), "target"));
        return vec![line.name_targets("deploy", &failed, state, what)];
    }
    let newly: Vec<_> = state.targets().filter(|it| runs_the_new(it)).collect();
    let again = line.repeat("deploy", "does what is left, once the cause is fixed");
    if newly.is_empty() {
        return vec![again];
    }
    let what = format!(
        "takes back {}",
        match newly.len() {
            1 => "the target that runs the new revision".to_owned(),
            number => format!("the {number} targets that run the new revision"),
        }
    );
    vec![line.name_targets("rollback", &newly, state, what), again]
}

/// Whether the run left a target with what it deployed.
fn runs_the_new(target: &TargetState) -> bool {
    match target.outcome() {
        Some(Outcome::Succeeded) => true,
        Some(Outcome::Failed) => target.deployment.is_some() && target.runs.is_some() && target.runs == target.to,
        _ => false,
    }
}

fn runs(targets: &[&TargetState]) -> String {
    let number = targets.len();
    if number == 1 { "1 target runs".to_owned() } else { format!("{number} targets run") }
}
