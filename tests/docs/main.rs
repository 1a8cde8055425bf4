//! The pages under `docs/` hold what the binary does: two are made of its own types, and the commands in the others are run.
//!
//! `ROLEOUT_BLESS=1 cargo test --test docs` writes the two anew.
#![allow(clippy::unwrap_used, reason = "tests")]

mod commands;
mod examples;
mod links;
mod manifest;
mod promises;

use std::path::PathBuf;

/// The path of a file of the repository.
fn repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Holds a page against what it should be, or writes it.
fn hold(path: &str, current: &str) {
    let file = repository(path);
    if std::env::var_os("ROLEOUT_BLESS").is_some() {
        fs_err::write(&file, current).unwrap();
    }
    let stored = fs_err::read_to_string(&file).unwrap_or_default();
    assert!(stored == current, "{path} is out of date: run with ROLEOUT_BLESS=1");
}

/// A text as a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

/// The pages: README.md and those of `docs/`.
fn pages() -> Vec<String> {
    let mut pages = vec!["README.md".to_owned()];
    for entry in fs_err::read_dir(repository("docs")).unwrap() {
        let name = entry.unwrap().file_name().to_string_lossy().into_owned();
        if name.ends_with(".md") {
            pages.push(format!("docs/{name}"));
        }
    }
    pages.sort();
    pages
}
