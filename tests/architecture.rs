//! The rules of ARCHITECTURE.md that a compiler does not hold, held against the source.

#[path = "architecture/imports.rs"]
mod imports;
#[path = "architecture/names.rs"]
mod names;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use imports::Imports;
use syn::visit::{self, Visit};

/// The parts of the crate, the lowest first: what one imports lies in a line above its own.
const LAYERS: &[&[&str]] = &[
    &["base"],
    &["fleet"],
    &["task_definition"],
    &["references"],
    &["manifest", "aws"],
    &["doctor", "web"],
    &["identity", "observe", "issuer"],
    &["plan"],
    &["event", "images"],
    &["state"],
    &["narrate"],
    &["report", "gitlab", "status", "iam", "pipeline", "exec", "init", "trace"],
    &["outputs", "otlp"],
    &["notify", "engine", "view"],
    &["cli", "sandbox"],
    &["load"],
    &["connect"],
    &["preflight"],
    &["run"],
    &["operations"],
    &["commands"],
];

/// Every source file below `src`, with its text.
fn sources() -> Vec<(String, String)> {
    fn walk(directory: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(directory).expect("a readable directory") {
            let path = entry.expect("a readable entry").path();
            if path.is_dir() { walk(&path, found) } else { found.push(path) }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    walk(&root.join("src"), &mut files);
    let read = |path: PathBuf| {
        let name = path.strip_prefix(root).expect("below the root").display().to_string();
        (name, std::fs::read_to_string(path).expect("a readable source"))
    };
    files.into_iter().map(read).collect()
}

/// Fails with every line of the files that `applies` selects in which one of `words` stands outside a comment.
fn forbid(words: &[&str], applies: impl Fn(&str) -> bool, rule: &str) {
    let mut broken = Vec::new();
    for (name, text) in sources().into_iter().filter(|(name, _)| applies(name)) {
        for (number, line) in text.lines().enumerate() {
            let code = line.trim_start();
            if !code.starts_with("//") && words.iter().any(|word| code.contains(word)) {
                broken.push(format!("{name}:{}: {code}", number + 1));
            }
        }
    }
    assert!(broken.is_empty(), "{rule}:\n{}", broken.join("\n"));
}

fn is_in(name: &str, parts: &[&str]) -> bool {
    parts.iter().any(|part| name == format!("src/{part}.rs") || name.starts_with(&format!("src/{part}/")))
}

#[test]
fn manifest_plan_event_state_and_fleet_are_synchronous_and_do_no_io() {
    let pure = |name: &str| {
        let whole = [
            "manifest",
            "task_definition",
            "plan",
            "event",
            "state",
            "report",
            "pipeline",
            "status",
            "init",
            "iam",
            "doctor",
            "fleet",
            "images",
            "narrate",
            "references",
            "trace",
            "base/exit",
            "base/text",
        ];
        let parts = ["gitlab/deployments", "gitlab/job"];
        let parts = [&parts[..], &["issuer/address", "issuer/chain", "issuer/document", "exec/environment"]].concat();
        (is_in(name, &whole) || is_in(name, &parts)) && name != "src/manifest/load.rs"
    };
    forbid(&["async ", ".await", "fs_err::", "std::fs", "std::env", "std::net", "tokio::"], pure, "rule 1");
}

#[test]
fn only_aws_and_the_sandbox_name_the_sdk() {
    let outside = |name: &str| !is_in(name, &["aws", "sandbox", "web"]);
    forbid(&["aws_sdk_", "aws_config", "aws_smithy", "aws_types", "aws_credential_types"], outside, "rule 2");
}

#[test]
fn only_the_engine_changes_anything() {
    let outside = |name: &str| !is_in(name, &["aws", "engine", "sandbox"]);
    let calls = [
        ".update_service(",
        ".register_task_definition(",
        ".continue_service_deployment(",
        ".stop_service_deployment(",
        ".run_task(",
        ".stop_task(",
    ];
    forbid(&calls, outside, "rule 2");
}

#[test]
fn nothing_is_deleted_or_deregistered() {
    let outside = |name: &str| !is_in(name, &["sandbox"]);
    forbid(&[".delete_", ".deregister_", "\"Delete", "\"Deregister"], outside, "docs/security.md, What it may do");
}

#[test]
fn only_views_and_main_write_to_the_terminal() {
    let outside = |name: &str| !is_in(name, &["view", "main"]);
    forbid(&["println!", "print!(", "io::stdout", "io::stderr().write"], outside, "rule 3");
}

#[test]
fn no_task_is_spawned_and_forgotten_and_no_file_outgrows_its_noun() {
    let all = |_: &str| true;
    forbid(&["tokio::spawn(", "task::spawn(", "thread::sleep("], all, "rule 7");
    // A stream's thread may be stuck in a write for good: it is the one thing that nobody waits for without a limit.
    forbid(&["thread::spawn("], |name| name != "src/view/stream.rs", "rule 7");
    let long: Vec<String> = sources()
        .into_iter()
        .filter(|(name, text)| name.ends_with(".rs") && text.lines().count() > 520)
        .map(|(name, text)| format!("{name}: {} lines", text.lines().count()))
        .collect();
    assert!(long.is_empty(), "split along a noun: {long:?}");
}

#[test]
fn a_command_parses_its_arguments_makes_one_call_and_returns_an_exit_code() {
    let long = longer_than(120, &sources());
    assert!(
        long.is_empty(),
        "a command has logic, which belongs to `run`, `operations` or below:\n{}",
        long.join("\n")
    );
    let command = |lines: usize| [("src/commands/plan.rs".to_owned(), "x\n".repeat(lines))];
    assert_eq!(longer_than(120, &command(120)), [""; 0]);
    assert_eq!(longer_than(120, &command(121)), ["src/commands/plan.rs: 121 lines"]);
}

/// Returns the files of commands with more lines.
fn longer_than(most: usize, sources: &[(String, String)]) -> Vec<String> {
    let commands = sources.iter().filter(|(name, _)| name.starts_with("src/commands/"));
    let lines = commands.map(|(name, text)| (name, text.lines().count()));
    lines.filter(|(_, lines)| *lines > most).map(|(name, lines)| format!("{name}: {lines} lines")).collect()
}

#[test]
fn no_function_takes_more_than_five_parameters() {
    let own = |name: &str| !name.starts_with("src/sandbox") && !name.ends_with("/tests.rs");
    let sources = sources().into_iter().filter(|(name, _)| own(name)).collect::<Vec<_>>();
    let many = with_more_parameters(5, &sources);
    assert!(many.is_empty(), "what belongs together is a context, such as `CommandContext`:\n{}", many.join("\n"));
    let planted = |text: &str| with_more_parameters(5, &[("src/plan.rs".to_owned(), text.to_owned())]);
    assert_eq!(planted("fn five(a: u8, b: u8, c: u8, d: u8, e: u8) {}"), [""; 0]);
    assert_eq!(planted("impl A { fn five(&self, a: u8, b: u8, c: u8, d: u8, e: u8) {} }"), [""; 0]);
    assert_eq!(planted("impl A { fn f(self, a: u8, b: u8, c: u8, d: u8, e: u8, f: u8) {} }"), ["src/plan.rs: f"]);
    assert_eq!(planted("#[cfg(test)] mod tests { fn f(a: u8, b: u8, c: u8, d: u8, e: u8, f: u8) {} }"), [""; 0]);
}

/// Returns the functions with more parameters, besides `self`, but for those of tests.
fn with_more_parameters(most: usize, sources: &[(String, String)]) -> Vec<String> {
    struct Functions {
        most: usize,
        found: Vec<String>,
    }
    impl<'ast> Visit<'ast> for Functions {
        fn visit_signature(&mut self, signature: &'ast syn::Signature) {
            let inputs = signature.inputs.iter().filter(|input| matches!(input, syn::FnArg::Typed(_)));
            if inputs.count() > self.most {
                self.found.push(signature.ident.to_string());
            }
        }

        fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
            if module.ident != "tests" {
                visit::visit_item_mod(self, module);
            }
        }
    }
    let mut many = Vec::new();
    for (name, text) in sources.iter().filter(|(name, _)| name.ends_with(".rs")) {
        let mut functions = Functions { most, found: Vec::new() };
        functions.visit_file(&syn::parse_file(text).unwrap_or_else(|error| panic!("{name}: {error}")));
        many.extend(functions.found.into_iter().map(|function| format!("{name}: {function}")));
    }
    many
}

/// Returns every import that does not point down, and every part without a layer.
fn upward(imports: &Imports) -> Vec<String> {
    let rank: BTreeMap<&str, usize> =
        LAYERS.iter().enumerate().flat_map(|(rank, parts)| parts.iter().map(move |part| (*part, rank))).collect();
    let arrows = imports.arrows().into_iter().map(|(from, to)| (from.join("::"), to.join("::")));
    let points_down = |from: &str, to: &str| {
        let part = |module: &str| module.split("::").next().and_then(|part| rank.get(part).copied());
        let same = from.split("::").next() == to.split("::").next();
        same || matches!((part(from), part(to)), (Some(from), Some(to)) if to < from)
    };
    arrows.filter(|(from, to)| !points_down(from, to)).map(|(from, to)| format!("{from} imports {to}")).collect()
}

/// Words that nothing says any more, and the word that stands for each. The glossary is in CONTRIBUTING.md.
const RETIRED: &[(&str, &str)] = &[
    ("undo", "roll back"),
    ("undone", "rolled back"),
    ("undoes", "rolls back"),
    ("go back", "roll back"),
    ("goes back", "rolls back"),
    ("going back", "rolling back"),
    ("gone back", "rolled back"),
    ("went back", "rolled back"),
    ("way back", "rollback"),
    ("take back", "roll back"),
    ("taken back", "rolled back"),
    ("give back", "restore"),
    ("gives back", "restores"),
    ("given back", "restored"),
    ("moved since", "changed since"),
    ("its past", "its deployment history"),
    ("a person is needed", "somebody must look at it"),
    ("errand", "task"),
    ("at the most", "at most"),
    ("per cent", "percent"),
    ("mend", "fix"),
    ("mended", "fixed"),
];

/// Whether a line has a word, whatever its case, and not only as a part of another or of a name.
fn has_word(line: &str, word: &str) -> bool {
    let inside = |char: Option<char>| char.is_some_and(|char| char.is_alphanumeric() || char == '_');
    let ends = |at: usize| inside(line[..at].chars().next_back()) || inside(line[at + word.len()..].chars().next());
    line.match_indices(word).any(|(at, _)| !ends(at))
}

/// Returns every line with a retired word, and the word that stands for it. A phrase may be broken between two lines.
fn retired(files: &[(String, String)]) -> Vec<String> {
    let mut found = Vec::new();
    for (name, text) in files {
        let text = text.to_lowercase();
        let lines: Vec<&str> =
            text.lines().map(|line| line.trim_start_matches([' ', '/', '!', '#', '*', '>'])).collect();
        for (number, line) in lines.iter().enumerate() {
            let next = lines.get(number + 1).copied().unwrap_or_default();
            let both = format!("{} {next}", line.trim_end());
            for (word, better) in RETIRED.iter().filter(|(word, _)| has_word(&both, word) && !has_word(next, word)) {
                found.push(format!("{name}:{}: {word}, better {better}", number + 1));
            }
        }
    }
    found
}

#[test]
fn retired_words_are_gone() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = sources();
    let mut pages = vec![root.to_path_buf()];
    pages.extend(
        ["docs", "examples/gitlab", "templates/deploy", "templates/plan", "templates/rollback"].map(|it| root.join(it)),
    );
    for directory in pages {
        for entry in std::fs::read_dir(directory).expect("a readable directory") {
            let path = entry.expect("a readable entry").path();
            let name = path.strip_prefix(root).expect("below the root").display().to_string();
            let is_page = [".md", ".yml", ".example"].iter().any(|end| name.ends_with(end));
            if is_page && name != "CHANGELOG.md" {
                files.push((name, std::fs::read_to_string(path).expect("a readable page")));
            }
        }
    }
    assert!(files.iter().any(|(name, _)| name == "docs/rollback.md"), "the pages are read");
    let found = retired(&files);
    assert!(found.is_empty(), "retired words:\n{}", found.join("\n"));
}

#[test]
fn a_retired_word_is_found() {
    let found = |text: &str| retired(&[("a".to_owned(), text.to_owned())]);
    assert_eq!(found("/// It goes\n/// back.\n"), ["a:1: goes back, better rolls back"]);
    assert_eq!(found("It is UNDONE, as `undo_started` says.\n\nAt the most.").len(), 2);
    assert_eq!(found("Recommended: an_undo, undo_started and a paragraph that goes\n\nback."), [""; 0]);
}

/// The files of the sandbox are one thing: an AWS, of which each file is a service.
fn outside_of_the_sandbox(circles: Vec<String>) -> Vec<String> {
    circles.into_iter().filter(|circle| !circle.starts_with("src/sandbox")).collect()
}

#[test]
fn imports_point_down() {
    let broken = upward(&Imports::read(&sources()));
    assert!(broken.is_empty(), "an import points up, or a part has no layer:\n{}", broken.join("\n"));
}

#[test]
fn the_files_of_a_folder_do_not_import_each_other_in_a_circle() {
    let circles = outside_of_the_sandbox(Imports::read(&sources()).circles());
    assert!(circles.is_empty(), "circles:\n{}", circles.join("\n"));
}

#[test]
fn an_import_that_is_turned_is_found() {
    let file = |name: &str, text: &str| (format!("src/{name}.rs"), text.to_owned());
    for (planted, wanted) in [
        ("use crate::engine::wave;", "plan imports engine::wave"),
        ("fn a() { crate::view::style::mark(); }", "plan imports view::style"),
        ("fn a() { format!(\"{}\", crate::state::RunState::new()) }", "plan imports state"),
        ("use super::event::Event;", "plan imports event"),
    ] {
        let sources = [
            file("plan", planted),
            file("engine/wave", "use crate::plan;"),
            file("view/style", "use crate::plan;"),
            file("state", ""),
            file("event", ""),
        ];
        assert_eq!(upward(&Imports::read(&sources)), [wanted], "{planted}");
    }
    let tests = file("plan", "#[cfg(test)] mod tests { use crate::view::style; }");
    assert_eq!(upward(&Imports::read(&[tests, file("view/style", "")])), [""; 0]);
    let circle = [
        file("fleet/a", "use crate::fleet::b::B;"),
        file("fleet/b", "use crate::fleet::C;"),
        file("fleet", "pub use crate::fleet::a::C;"),
    ];
    assert_eq!(Imports::read(&circle).circles().len(), 1);
}

#[test]
fn functions_are_verbs() {
    let refused = names::refused(&sources());
    assert!(refused.is_empty(), "name what it does:\n{}", refused.join("\n"));
    let planted =
        [("src/plan.rs".to_owned(), "impl Plan { pub fn of(service: &Service) -> Self { Self } }".to_owned())];
    assert_eq!(names::refused(&planted), ["src/plan.rs: of"]);
}

/// What `cargo deny check bans sources` holds, of Cargo.lock alone.
#[test]
fn dependencies_come_from_one_registry_and_bring_no_second_tls_stack() {
    let rules = include_str!("../deny.toml");
    let banned = rules.lines().find_map(|line| line.strip_prefix("deny = [")).expect("a list of what is banned");
    let banned: Vec<&str> = banned.split('"').skip(1).step_by(2).collect();
    let lock = include_str!("../Cargo.lock");
    let sources: BTreeSet<&str> = lock.lines().filter_map(|line| line.strip_prefix("source = ")).collect();
    assert_eq!(sources.len(), 1, "one registry: {sources:?}");
    assert!(sources.iter().all(|source| source.starts_with("\"registry+")), "{sources:?}");
    let names = lock.lines().filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
    let found: Vec<&str> = names.filter(|name| banned.contains(name)).collect();
    assert!(banned.len() > 3 && found.is_empty(), "deny.toml bans {found:?}");
}
