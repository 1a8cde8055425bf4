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

/// What of a command line the next one has again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Invocation {
    /// The command, such as `deploy`; empty = nothing is known of it.
    pub verb: String,
    /// The saved plan that is carried out.
    pub plan: Option<String>,
    /// The flags that say where the manifest is and how AWS is reached, as words of a shell.
    pub flags: Vec<String>,
    /// The flags that select targets, as words of a shell.
    pub selection: Vec<String>,
}

impl Invocation {
    /// Whether the command makes a run, whose summary says what comes next.
    pub fn is_run(&self) -> bool {
        matches!(self.verb.as_str(), "deploy" | "rollback" | "watch" | "")
    }

    fn line(&self, verb: &str, more: &[String]) -> String {
        let words = ["roleout", verb].into_iter().chain(self.flags.iter().map(String::as_str));
        words.chain(more.iter().map(String::as_str)).collect::<Vec<_>>().join(" ")
    }

    /// Of the same targets.
    fn repeat(&self, verb: &str, what: impl Into<String>) -> Next {
        Next { command: self.line(verb, &self.selection), what: what.into() }
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
        Exit::Unexpected => vec![line.repeat("status", "shows what runs")],
        Exit::Usage => {
            vec![Next {
                command: format!("roleout help {verb}").trim_end().to_owned(),
                what: "lists the flags".to_owned(),
            }]
        }
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
            vec![Next {
                command: line.line("rollback --dry-run", &line.selection),
                what: "shows what it would do".to_owned(),
            }]
        }
        Exit::Blocked => vec![line.repeat("plan", "shows what each target needs")],
        Exit::Pending => vec![match verb {
            "status" => line.repeat("plan", "shows what a deploy would change"),
            "iam" => Next { command: line.line("iam", &[]), what: "writes what the roles need".to_owned() },
            _ => line.repeat("deploy", "carries it out"),
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
            if !turns && verb != "watch" {
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

fn past_the_gate(state: &RunState, line: &Invocation) -> Next {
    let verb = if line.verb.is_empty() { "deploy" } else { &line.verb };
    let verb = line.plan.as_ref().map_or_else(|| verb.to_owned(), |plan| format!("{verb} {plan}"));
    let wave = state.gate().unwrap_or_default();
    let mut more = vec!["--from".to_owned(), shell_word(wave)];
    more.extend(line.selection.iter().cloned());
    Next { command: line.line(&verb, &more), what: "goes on past the gate".to_owned() }
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
