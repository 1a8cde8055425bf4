//! Every `roleout …` line in the pages, with or without `NAME=value` before it, is run against the sandbox, and prints what
//! the page shows.
//!
//! A fence says what is needed: `sh` or `console` is run and must exit with 0, or as its output says (`exit code N`), or
//! with `exit=N` of the fence; `needs=aws` (or another thing) is not run. The manifest is the example of the repository, or,
//! with `manifest`, the one above in the page that is marked `deploy.yaml`; `break=A/B` writes B for A in it first.
//!
//! In a `console` fence the lines after the command are all of its stdout or all of its stderr, in order and to the letter.
//! A line `...` stands for any lines, and `…` for anything within a line. What differs from run to run is in [`VARIES`].

use std::path::Path;
use std::process::{Command, Output};

use regex::Regex;

use crate::{pages, repository};

/// A command of a page.
struct Example {
    /// The page and line it is in.
    place: String,
    /// `roleout deploy …`, as the page has it.
    command: String,
    /// The lines that are shown as its output.
    shown: Vec<String>,
    /// The exit code that it must have.
    exit: i32,
    /// The YAML that the page shows before it as `deploy.yaml`, where the fence says `manifest`.
    manifest: Option<String>,
}

/// What differs from run to run, and what is compared in its place: in the page and in the output alike.
const VARIES: [(&str, &str); 5] = [
    (r"^\d\d:\d\d ", "<clock> "),
    (r"\b(after|in) \d+(\.\d+)?s\b", "$1 <seconds>"),
    (r"^( +)\d+ tasks: ", "$1<count> tasks: "),
    (r"\becs-svc/(\d+|…)", "ecs-svc/<id>"),
    (r"\btime=(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ|…) ", "time=<date> "),
];

/// A test for each page that has examples.
macro_rules! pages {
    ($($test:ident: $page:literal),* $(,)?) => {
        const TESTED: &[&str] = &[$($page),*];
        $(
            #[test]
            fn $test() {
                let faults = faults(&examples($page));
                assert!(faults.is_empty(), "{}", faults.join("\n\n"));
            }
        )*
    };
}

pages! {
    the_commands_of_alarms_do_what_it_shows: "docs/alarms.md",
    the_commands_of_gitlab_do_what_it_shows: "docs/gitlab.md",
    the_commands_of_iam_do_what_it_shows: "docs/iam.md",
    the_commands_of_images_do_what_it_shows: "docs/images.md",
    the_commands_of_organization_do_what_it_shows: "docs/organization.md",
    the_commands_of_pipeline_do_what_it_shows: "docs/pipeline.md",
    the_commands_of_plan_do_what_it_shows: "docs/plan.md",
    the_commands_of_reports_do_what_it_shows: "docs/reports.md",
    the_commands_of_rollback_do_what_it_shows: "docs/rollback.md",
    the_commands_of_runs_do_what_it_shows: "docs/runs.md",
    the_commands_of_sandbox_do_what_it_shows: "docs/sandbox.md",
    the_commands_of_status_do_what_it_shows: "docs/status.md",
    the_commands_of_strategies_do_what_it_shows: "docs/strategies.md",
    the_commands_of_the_tour_do_what_it_shows: "docs/tour.md",
    the_commands_of_troubleshooting_do_what_it_shows: "docs/troubleshooting.md",
    the_commands_of_values_do_what_it_shows: "docs/values.md",
}

#[test]
fn every_page_with_commands_has_a_test() {
    let pages = pages();
    let with_commands: Vec<&str> = pages.iter().filter(|page| !examples(page).is_empty()).map(String::as_str).collect();
    assert_eq!(with_commands, TESTED);
}

fn examples(page: &str) -> Vec<Example> {
    let text = fs_err::read_to_string(repository(page)).unwrap();
    let (mut found, mut manifest) = (Vec::<Example>::new(), None);
    let mut lines = text.lines().enumerate();
    while let Some((_, line)) = lines.next() {
        let Some(info) = line.trim_start().strip_prefix("```").filter(|info| !info.is_empty()) else { continue };
        let body: Vec<(usize, &str)> =
            lines.by_ref().take_while(|(_, line)| !line.trim_start().starts_with("```")).collect();
        let words: Vec<&str> = info.split_whitespace().collect();
        let text = || body.iter().map(|(_, line)| format!("{line}\n")).collect::<String>();
        if words.first() == Some(&"yaml") && words.contains(&"deploy.yaml") {
            manifest = Some(text());
        }
        if !matches!(words.first(), Some(&("sh" | "console"))) || words.iter().any(|word| word.starts_with("needs=")) {
            continue;
        }
        let value = |key: &str| words.iter().find_map(|word| word.strip_prefix(key));
        let shown =
            text().split("exit code ").nth(1).map(|rest| rest.chars().take_while(char::is_ascii_digit).collect());
        let exit = value("exit=").map(ToOwned::to_owned).or(shown).map_or(0, |code: String| code.parse().unwrap());
        let mut manifest = words.contains(&"manifest").then(|| manifest.clone().unwrap());
        if let Some((whole, broken)) = value("break=").and_then(|pair| pair.split_once('/')) {
            manifest = manifest.map(|text| text.replacen(whole, broken, 1));
        }
        for (number, line) in body {
            let command = line.strip_prefix("$ ").unwrap_or(line);
            if is_ours(command) {
                found.push(Example {
                    place: format!("{page}:{}", number + 1),
                    command: command.to_owned(),
                    shown: Vec::new(),
                    exit,
                    manifest: manifest.clone(),
                });
            } else if words[0] == "console"
                && let Some(example) = found.last_mut()
            {
                example.shown.push(line.to_owned());
            }
        }
    }
    found
}

/// Whether a line is a command of ours, with or without variables of its own before it.
fn is_ours(line: &str) -> bool {
    let variable = |word: &&str| {
        word.split_once('=').is_some_and(|(name, _)| name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_'))
    };
    line.split(' ').find(|word| !variable(word)) == Some("roleout")
}

/// Runs examples, a dozen at once: nearly all of their time they wait for the clock.
fn faults(examples: &[Example]) -> Vec<String> {
    let together = |few: &[Example]| -> Vec<String> {
        std::thread::scope(|scope| {
            let running: Vec<_> = few.iter().map(|example| scope.spawn(|| fault(example))).collect();
            running.into_iter().filter_map(|it| it.join().unwrap()).collect()
        })
    };
    examples.chunks(12).flat_map(together).collect()
}

fn fault(example: &Example) -> Option<String> {
    let directory = scratch(&example.place);
    let manifest = match &example.manifest {
        Some(text) => text.clone(),
        None => fs_err::read_to_string(repository("deploy.yaml.example")).unwrap(),
    };
    fs_err::write(directory.join("deploy.yaml"), &manifest).unwrap();
    fs_err::write(directory.join("deploy.yaml.example"), &manifest).unwrap();
    if repository("deploy").exists() {
        copy(&repository("deploy"), &directory.join("deploy"));
    }
    let output = run(example, &directory);
    let _ = fs_err::remove_dir_all(&directory);
    let streams = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    let head = format!("{}: {}", example.place, example.command);
    if output.status.code() != Some(example.exit) {
        let printed = streams.concat();
        return Some(format!(
            "{head}\nexits with {:?} and not with {}:\n{printed}",
            output.status.code(),
            example.exit
        ));
    }
    let is_shown = example.shown.is_empty() || streams.iter().any(|stream| prints(&example.shown, stream));
    (!is_shown).then(|| format!("{head}\nprints\n{}\nand not\n{}", streams.concat(), example.shown.join("\n")))
}

/// Whether the lines of a stream are those that are shown, where a line `...` stands for any lines.
fn prints(shown: &[String], stream: &str) -> bool {
    let lines: Vec<String> = stream.lines().map(masked).collect();
    let shown: Vec<String> = shown.iter().map(|line| masked(line)).collect();
    let parts: Vec<&[String]> = shown.split(|line| line.trim() == "...").collect();
    let is_at = |part: &[String], at: usize| {
        lines
            .get(at..at + part.len())
            .is_some_and(|lines| part.iter().zip(lines).all(|(shown, line)| fits(shown, line)))
    };
    let [first, middle @ .., last] = &parts[..] else { return lines.len() == shown.len() && is_at(&shown, 0) };
    let mut from = first.len();
    for part in middle {
        let Some(at) = (from..=lines.len()).find(|at| is_at(part, *at)) else { return false };
        from = at + part.len();
    }
    is_at(first, 0) && lines.len().checked_sub(last.len()).is_some_and(|at| at >= from && is_at(last, at))
}

fn run(example: &Example, directory: &Path) -> Output {
    // A pipe is the reader's own; a comment is for the reader.
    let command = example.command.split(" | ").next().unwrap_or_default();
    let path = format!("{}:/usr/bin:/bin", Path::new(env!("CARGO_BIN_EXE_roleout")).parent().unwrap().display());
    Command::new("sh")
        .args(["-c", command])
        .current_dir(directory)
        .env_clear()
        .envs([("PATH", path.as_str()), ("ROLEOUT_SANDBOX", "true"), ("COLUMNS", "100")])
        .envs([("CI_PROJECT_ID", "17"), ("CI_PIPELINE_ID", "4711"), ("CI_JOB_ID", "42")])
        .env("CI_COMMIT_SHA", "5f2c9d7be0a14c3f8b6d2e91a7c4f05d3b8e6a12")
        .output()
        .unwrap()
}

/// A line with placeholders for what differs from run to run.
fn masked(line: &str) -> String {
    VARIES.iter().fold(line.trim_end().to_owned(), |line, (pattern, placeholder)| {
        Regex::new(pattern).unwrap().replace_all(&line, *placeholder).into_owned()
    })
}

/// Whether a line is what is shown, where `…` stands for anything.
fn fits(shown: &str, line: &str) -> bool {
    let mut parts = shown.split('…');
    let Some(mut rest) = line.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut cut = false;
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
        cut = part.is_empty();
    }
    cut || rest.is_empty()
}

fn scratch(place: &str) -> std::path::PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("docs").join(place.replace(['/', ':'], "-"));
    let _ = fs_err::remove_dir_all(&directory);
    fs_err::create_dir_all(&directory).unwrap();
    directory
}

fn copy(from: &Path, to: &Path) {
    fs_err::create_dir_all(to).unwrap();
    for entry in fs_err::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs_err::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}
