//! `include:`: the patterns that name other files, and the join of what such a file adds to the manifest.
//!
//! A file adds accounts, roles and services, and changes nothing that is there: a name twice is an error. Pure: `load.rs`
//! looks for the files and reads them.

use std::path::PathBuf;

use globset::{GlobBuilder, GlobMatcher};

use crate::base::nearest::nearest;
use crate::manifest::fault::Context;
use crate::manifest::node::{Node, Value};
use crate::manifest::spanned::Span;

/// More files than this are not included.
pub const MAX_FILES: usize = 1000;
/// More text than this is not included.
pub const MAX_TEXT: u64 = 8 << 20;

/// What an included file may have.
pub const INCLUDED: [&str; 3] = [LISTS[0], ROLES, LISTS[1]];
const LISTS: [&str; 2] = ["accounts", "services"];
const ROLES: &str = "roles";

/// A path or a pattern as the manifest writes it.
pub struct Pattern {
    /// Where it stands.
    pub span: Span,
    /// Its text.
    pub text: String,
    /// The folder to look into, and what the paths of its files must look like; absent for a plain path.
    pub glob: Option<(PathBuf, GlobMatcher)>,
}

impl Pattern {
    fn parse(text: &str, span: Span) -> Result<Self, String> {
        let text = text.strip_prefix("./").unwrap_or(text);
        let glob = if text.contains(['*', '?', '[', '{']) {
            let glob =
                GlobBuilder::new(text).literal_separator(true).build().map_err(|error| error.kind().to_string())?;
            let parts = text
                .split_inclusive('/')
                .take_while(|part| part.ends_with('/') && !part.contains(['*', '?', '[', '{']));
            Some((PathBuf::from(parts.collect::<String>()), glob.compile_matcher()))
        } else {
            None
        };
        Ok(Self { span, text: text.to_owned(), glob })
    }

    /// Returns how many folders deep it looks, that one included.
    pub fn depth(&self) -> usize {
        let Some((folder, _)) = &self.glob else { return 0 };
        match self.text.contains("**") {
            true => usize::MAX,
            false => self.text.split('/').count().saturating_sub(folder.components().count()),
        }
    }
}

/// Returns what a manifest includes. What is no plain text, the decoder records.
pub fn patterns(root: &Node, context: &Context) -> Vec<Pattern> {
    let Some(include) = root.get("include") else { return Vec::new() };
    let items = match &include.value {
        Value::List(items) => items.as_slice(),
        _ => std::slice::from_ref(include),
    };
    let mut patterns = Vec::new();
    for item in items {
        let Value::Text(text) = &item.value else { continue };
        let Some(text) = text.as_literal() else { continue };
        match Pattern::parse(text, item.span) {
            Ok(pattern) => patterns.push(pattern),
            Err(reason) => {
                let fault = context.fault(item.span, format!("this is not a pattern: {reason}"));
                context.push(fault.help("write a path, or a pattern such as `teams/*.yaml`"));
            }
        }
    }
    patterns
}

/// Adds what an included file has to the manifest. Records what it must not have, and every role that is there twice.
pub fn join(root: &mut Node, file: Node, context: &Context) {
    let Value::Map(entries) = file.value else {
        let fault = context.fault(file.span, format!("expected a mapping, found {}", file.kind()));
        context.push(fault.help("an included file has `accounts:`, `roles:` or `services:`"));
        return;
    };
    for (key, value) in entries {
        let word = key.word().to_owned();
        match (&value.value, word.as_str()) {
            (Value::Null, ROLES) => {}
            (Value::Null, word) if LISTS.contains(&word) => {}
            (Value::List(_), word) if LISTS.contains(&word) => extend(root, (key, value), context),
            (Value::Map(_), ROLES) => extend(root, (key, value), context),
            (_, ROLES) => mismatch(&value, "a mapping", context),
            (_, word) if LISTS.contains(&word) => mismatch(&value, "a list", context),
            (_, word) => refuse(root, &key, word, context),
        }
    }
}

fn mismatch(value: &Node, expected: &str, context: &Context) {
    let fault = context.fault(value.span, format!("expected {expected}, found {}", value.kind()));
    context.push(fault.help(format!("write {expected} here")));
}

fn refuse(root: &Node, key: &Node, word: &str, context: &Context) {
    let known = [LISTS[0], LISTS[1], ROLES];
    let (message, help) = match (word, nearest(word, known)) {
        ("include", _) => {
            let help = "list that file in the `include` of the manifest as well";
            ("an included file cannot include others".to_owned(), help.to_owned())
        }
        (_, Some(near)) => {
            // What is meant is not also reported as missing.
            context.mean(root.span, near);
            (format!("unknown key `{word}` in an included file"), format!("did you mean `{near}`?"))
        }
        _ => {
            let help = "only `accounts`, `roles` and `services`: everything else belongs in the manifest";
            (format!("`{word}` cannot be in an included file"), help.to_owned())
        }
    };
    context.push(context.fault(key.span, message).help(help));
}

/// Appends a list or a mapping to the one of the same key, which may not be there yet.
fn extend(root: &mut Node, (key, value): (Node, Node), context: &Context) {
    let Value::Map(entries) = &mut root.value else { return };
    let Some((_, own)) = entries.iter_mut().find(|(own, _)| own.word() == key.word()) else {
        entries.push((key, value));
        return;
    };
    if matches!(own.value, Value::Null) {
        *own = value;
        return;
    }
    match (&mut own.value, value.value) {
        (Value::List(own), Value::List(more)) => own.extend(more),
        (Value::Map(own), Value::Map(more)) => {
            for (name, role) in more {
                match own.iter().find(|(own, _)| own.word() == name.word()) {
                    Some((first, _)) => {
                        let message = format!("there are two roles named `{}`", name.word());
                        let fault =
                            context.fault(name.span, message).label("again here").also(first.span, "first here");
                        context.push(fault.help("give one of them another name"));
                    }
                    None => own.push((name, role)),
                }
            }
        }
        // The manifest's own value is of another kind: the decoder says so.
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_looks_into_the_deepest_folder_that_it_names() {
        let of = |text: &str| {
            let pattern = Pattern::parse(text, Span::default()).expect(text);
            let depth = pattern.depth();
            pattern.glob.map(|(folder, glob)| (folder.display().to_string(), depth, glob))
        };
        assert!(of("accounts.yaml").is_none() && of("./a/b.yaml").is_none());
        let (folder, depth, glob) = of("./teams/*.yaml").expect("a glob");
        assert_eq!((folder.as_str(), depth), ("teams/", 1));
        assert!(glob.is_match("teams/a.yaml") && !glob.is_match("teams/a/b.yaml"));
        let (folder, depth, glob) = of("../x/t-*/deploy.{yaml,yml}").expect("a glob");
        assert_eq!((folder.as_str(), depth), ("../x/", 2));
        assert!(glob.is_match("../x/t-a/deploy.yml"));
        let (folder, depth, glob) = of("**/services.yaml").expect("a glob");
        assert_eq!((folder.as_str(), depth), ("", usize::MAX));
        assert!(glob.is_match("a/b/services.yaml") && glob.is_match("services.yaml"));
        assert!(Pattern::parse("teams/[.yaml", Span::default()).is_err());
    }
}
