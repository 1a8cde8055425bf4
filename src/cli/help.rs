//! How the help is arranged: flags under headings, examples at the foot, and what other jobs of roleout's own use hidden.

use clap::{Arg, Command};

/// The flags that only the jobs of a child pipeline use, and that `roleout pipeline` writes there.
const INTERNAL: [&str; 2] = ["shard", "fingerprint"];

/// The headings, each with its flags.
const HEADINGS: [(&str, &[&str]); 5] = [
    ("Select", &["account", "all", "file", "from", "further", "of", "only", "region", "role", "service", "wave"]),
    (
        "Safety",
        &[
            "accept_gone",
            "allow_http",
            "allow_older",
            "allow_private",
            "allow_remote",
            "dry_run",
            "force",
            "max_age",
            "no_verify",
            "on_busy",
            "override_freeze",
            "print_keys",
            "sign_env",
            "skip_blocked",
            "skip_stale",
            "yes",
        ],
    ),
    (
        "Output",
        &[
            "calls",
            "detailed_exitcode",
            "format",
            "journal",
            "mr_note",
            "mr_note_token_env",
            "out",
            "quiet",
            "record",
            "report",
            "reports_dir",
            "sections",
            "show_values",
            "verbose",
        ],
    ),
    ("Identity", &["ambient", "external_id", "token_file"]),
    ("Sandbox", &["sandbox", "sandbox_fault", "sandbox_seed"]),
];

/// Three examples of each command.
const EXAMPLES: [(&str, &str); 16] = [
    ("init", "  roleout init\n  roleout init -f prod.yaml\n  roleout init --from-cluster default:eu-west-1/web"),
    ("check", "  roleout check\n  roleout check -f prod.yaml --only 'prod-*'\n  roleout check --format codequality"),
    (
        "plan",
        "  roleout plan\n  roleout plan --only '*/*/api' --detailed-exitcode\n  roleout plan --out plan.json --mr-note",
    ),
    (
        "deploy",
        "  roleout deploy\n  roleout deploy --wave canary --reports-dir reports\n  roleout deploy --sandbox --sandbox-fault 'prod-*=crash'",
    ),
    (
        "status",
        "  roleout status\n  roleout status --only 'prod-*/*/api'\n  roleout status --format json --detailed-exitcode",
    ),
    (
        "rollback",
        "  roleout rollback --dry-run\n  roleout rollback --of reports/report.json\n  roleout rollback --only 'prod-*/*/api' --all",
    ),
    ("watch", "  roleout watch\n  roleout watch --only staging\n  roleout watch --reports-dir reports"),
    (
        "continue",
        "  roleout continue --dry-run\n  roleout continue --only staging/eu-west-1/api\n  roleout continue --rollback",
    ),
    (
        "doctor",
        "  roleout doctor\n  roleout doctor --only prod-eu --trust-policy policy.json\n  roleout doctor --ambient",
    ),
    (
        "exec",
        "  roleout exec --account staging -- aws sts get-caller-identity\n  roleout exec --all -- aws ecs list-clusters\n  \
         roleout exec --ambient --only 'prod-*' -- ./report.sh",
    ),
    (
        "credentials",
        "  roleout credentials --account staging\n  roleout credentials --account staging --ambient\n  \
         roleout credentials -f /etc/roleout/deploy.yaml --account prod-eu",
    ),
    (
        "accounts",
        "  roleout accounts\n  roleout accounts --check --format json\n  roleout accounts --update --accept-gone 111111111111",
    ),
    (
        "iam",
        "  roleout iam --format terraform --out iam\n  roleout iam --permissions plan\n  roleout iam check --ambient",
    ),
    (
        "pipeline",
        "  roleout pipeline --out child.yml\n  roleout pipeline --shards 8 --out child.yml\n  roleout pipeline merge --help",
    ),
    (
        "report",
        "  roleout report reports/journal.jsonl\n  roleout report a.jsonl b.jsonl --reports-dir all\n  \
         roleout report run.jsonl --report html=run.html",
    ),
    (
        "sandbox",
        "  roleout sandbox -f deploy.yaml --token-file token\n  roleout sandbox --listen 127.0.0.1:0\n  \
         roleout sandbox -f deploy.yaml --sandbox-fault '*=throttle:5'",
    ),
];

/// Arranges the help of every command.
pub(super) fn arrange(command: Command) -> Command {
    arrange_flags(command).mut_subcommands(|command| {
        match EXAMPLES.iter().find(|(name, _)| *name == command.get_name()) {
            Some((_, lines)) => command.after_help(format!("Examples:\n{lines}")),
            None => command,
        }
    })
}

fn arrange_flags(command: Command) -> Command {
    command.mut_args(put_below_heading).mut_subcommands(arrange_flags)
}

fn put_below_heading(arg: Arg) -> Arg {
    let id = arg.get_id().as_str();
    if INTERNAL.contains(&id) {
        return arg.hide(true);
    }
    match HEADINGS.iter().find(|(_, ids)| ids.contains(&id)) {
        Some((heading, _)) if arg.get_long().is_some() => arg.help_heading(*heading),
        _ => arg,
    }
}
