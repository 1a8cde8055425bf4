//! What a shell completes: besides commands and flags, the names of the manifest.
//!
//! A shell asks the program itself at each key, so the manifest is read then: offline, and with a stand-in for each variable
//! that is not set. A manifest with errors completes nothing. Nothing is ever said on stderr, where the prompt is.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap_complete::engine::CompletionCandidate;
use clap_complete::env::Shells;
use clap_complete::{CompleteEnv, Shell};

use crate::base::text::count;
use crate::cli::{MANIFEST, command};
use crate::fleet::Fleet;
use crate::manifest::load::{How, load_as};

/// Names the shell that asks.
const VARIABLE: &str = "ROLEOUT_COMPLETE";

/// Answers a shell that asks what comes next. Returns whether one did.
pub fn answer() -> bool {
    let asked = std::env::var_os(VARIABLE).is_some_and(|shell| !shell.is_empty() && shell != "0");
    let here = std::env::current_dir().ok();
    // An error of it is not worth a word in the middle of a prompt.
    asked && CompleteEnv::with_factory(command).var(VARIABLE).try_complete(std::env::args_os(), here.as_deref()).is_ok()
}

/// Returns what a shell runs once, so that it asks.
pub fn script(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    if let Some(shell) = Shells::builtins().completer(&shell.to_string()) {
        // Writing to memory does not fail.
        let _ = shell.write_registration(VARIABLE, "roleout", "roleout", "roleout", &mut script);
    }
    script
}

/// Completes a pattern of `--only`: accounts, then their regions, then their services.
pub fn targets(current: &OsStr) -> Vec<CompletionCandidate> {
    let parts = current.to_string_lossy().matches('/').count() + 1;
    let cut = |fleet: &Fleet| {
        let names = fleet.targets.iter().map(|target| [&target.id.account, &target.id.region, &target.id.service]);
        let name = |names: [&std::sync::Arc<str>; 3]| {
            names.into_iter().take(parts).map(|name| &**name).collect::<Vec<_>>().join("/")
        };
        names.map(name).map(|name| (name, None)).collect()
    };
    candidates(current, cut)
}

/// Completes an account.
pub fn accounts(current: &OsStr) -> Vec<CompletionCandidate> {
    let all = |fleet: &Fleet| {
        fleet.accounts.iter().map(|account| (account.name.clone(), Some(account.id.to_string()))).collect()
    };
    candidates(current, all)
}

/// Completes a service.
pub fn services(current: &OsStr) -> Vec<CompletionCandidate> {
    candidates(current, |fleet| fleet.targets.iter().map(|target| (target.id.service.to_string(), None)).collect())
}

/// Completes a wave.
pub fn waves(current: &OsStr) -> Vec<CompletionCandidate> {
    let told = |fleet: &Fleet| {
        let waves = fleet.waves.iter();
        waves.map(|wave| (wave.name.clone(), Some(count(wave.targets.len(), "target")))).collect()
    };
    candidates(current, told)
}

/// Names, each with a word about it.
type Names = Vec<(String, Option<String>)>;

/// Returns the names that begin as `current` does, each once, in the manifest's order.
fn candidates(current: &OsStr, names: impl Fn(&Fleet) -> Names) -> Vec<CompletionCandidate> {
    let (Some(current), Some(fleet)) = (current.to_str(), fleet()) else { return Vec::new() };
    let mut seen = BTreeSet::new();
    let begins = names(&fleet).into_iter().filter(|(name, _)| name.starts_with(current) && seen.insert(name.clone()));
    begins.map(|(name, about)| CompletionCandidate::new(name).help(about.map(Into::into))).collect()
}

fn fleet() -> Option<Fleet> {
    let named = std::env::var_os("ROLEOUT_FILE").filter(|file| !file.is_empty()).map(PathBuf::from);
    let path = file_of(std::env::args_os()).or(named).unwrap_or_else(|| MANIFEST.into());
    let stand_in = |_: &str| Some("0".to_owned());
    let how = How { images: false, open: true, stand_in: &stand_in, ..How::default() };
    load_as(&path, &|name| std::env::var(name).ok(), how).ok()
}

/// Returns the manifest that a line names which is being written.
fn file_of(words: impl Iterator<Item = OsString>) -> Option<PathBuf> {
    let mut words = words.skip_while(|word| word != "--").skip(1);
    while let Some(word) = words.next() {
        let Some(text) = word.to_str() else { continue };
        if text == "-f" || text == "--file" {
            return words.next().filter(|file| !file.is_empty()).map(PathBuf::from);
        }
        let glued =
            text.strip_prefix("--file=").or_else(|| text.strip_prefix("-f").filter(|_| !text.starts_with("--")));
        if let Some(file) = glued.filter(|file| !file.is_empty()) {
            return Some(file.into());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_which_manifest() {
        let file = |line: &str| file_of(line.split(' ').map(OsString::from)).map(|path| path.display().to_string());
        for line in ["-f a.yaml --only", "--file a.yaml --only", "--file=a.yaml --only", "-fa.yaml --only"] {
            assert_eq!(file(&format!("roleout -- roleout deploy {line} x")).as_deref(), Some("a.yaml"), "{line}");
        }
        assert_eq!(file("roleout -- roleout deploy --from x"), None);
        assert_eq!(file("roleout -f a.yaml -- roleout deploy"), None);
    }
}
