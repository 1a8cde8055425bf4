//! What of a command line the next one has again.

use std::path::Path;

use crate::base::text::shell_word;
use crate::cli::{Cli, Command, IamAction, MANIFEST, Selection};
use crate::narrate::next::Invocation;

impl Cli {
    /// Returns what the command that comes next has again of this one.
    pub fn invocation(&self) -> Invocation {
        let of = |verb: &str, selection: &Selection, sandbox: bool| invocation(verb, selection, sandbox);
        let at = |verb: &str, file: &Path, ambient: bool| Invocation {
            verb: verb.to_owned(),
            flags: flags(file, ambient, false),
            ..Invocation::default()
        };
        match &self.command {
            Command::Deploy(args) => {
                let plan = args.plan.as_ref().map(|path| shell_word(&path.display().to_string()));
                Invocation { plan, ..of("deploy", &args.selection, args.embedded.sandbox) }
            }
            Command::Rollback(args) => of("rollback", &args.selection, args.embedded.sandbox),
            Command::Plan(args) => of("plan", &args.selection, args.embedded.sandbox),
            Command::Watch(args) => of("watch", &args.selection, args.embedded.sandbox),
            Command::Continue(args) => of("continue", &args.selection, args.embedded.sandbox),
            Command::Status(args) => of("status", &args.selection, args.embedded.sandbox),
            Command::Doctor(args) => of("doctor", &args.selection, args.embedded.sandbox),
            Command::Exec(args) => of("exec", &args.selection, false),
            Command::Check(args) => of("check", &args.selection, false),
            Command::Credentials(args) => at("credentials", &args.file, args.ambient),
            Command::Accounts(args) => at("accounts", &args.file, args.ambient),
            Command::Iam(args) => match &args.action {
                Some(IamAction::Check(args)) => at("iam", &args.scope.file, args.ambient),
                None => at("iam", &args.scope.file, false),
            },
            Command::Pipeline(args) => match &args.job {
                None => at("pipeline", &args.make.file, false),
                Some(_) => Invocation::default(),
            },
            Command::Init(_) => Invocation { verb: "init".to_owned(), ..Invocation::default() },
            Command::Sandbox(_) => Invocation { verb: "sandbox".to_owned(), ..Invocation::default() },
            Command::Man { .. } => Invocation { verb: "man".to_owned(), ..Invocation::default() },
            Command::Report(_) | Command::Schema { .. } | Command::Completions { .. } => Invocation::default(),
        }
    }
}

fn flags(file: &Path, ambient: bool, sandbox: bool) -> Vec<String> {
    let mut flags = Vec::new();
    if file != Path::new(MANIFEST) {
        flags.extend(["-f".to_owned(), shell_word(&file.display().to_string())]);
    }
    flags.extend(ambient.then(|| "--ambient".to_owned()));
    flags.extend(sandbox.then(|| "--sandbox".to_owned()));
    flags
}

fn invocation(verb: &str, selection: &Selection, sandbox: bool) -> Invocation {
    let mut narrowed = Vec::new();
    for (flag, values) in [("--only", &selection.only), ("--wave", &selection.wave)] {
        if !values.is_empty() {
            narrowed.extend([flag.to_owned(), shell_word(&values.join(" "))]);
        }
    }
    let flags = flags(&selection.file, selection.ambient, sandbox);
    Invocation { verb: verb.to_owned(), plan: None, flags, selection: narrowed }
}
