//! A node: one value of the manifest with its place, before it is known what it should be.
//!
//! Environment variables are put in here, into strings and never into keys. Knows no YAML: `yaml.rs` builds the nodes,
//! and `decode.rs` makes the manifest's types of them.

use crate::manifest::fault::{Context, Problem};
use crate::manifest::interpolate::{Lookup, Template};
use crate::manifest::spanned::Span;

/// One value of the manifest.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where it stands.
    pub span: Span,
    /// What it is.
    pub value: Value,
}

/// What a node is.
#[derive(Clone, Debug)]
pub enum Value {
    /// Nothing after the colon, `null` or `~`.
    Null,
    /// `true` or `false`, as written.
    Bool(bool, String),
    /// A number, as written.
    Number(String),
    /// Text with a reference that is wrong; the fault is recorded.
    Broken,
    /// Text, with its references.
    Text(Template),
    /// A list.
    List(Vec<Node>),
    /// A mapping, in the order of the file.
    Map(Vec<(Node, Node)>),
}

impl Node {
    /// Returns the value of a key of a mapping.
    pub fn get(&self, key: &str) -> Option<&Node> {
        let Value::Map(entries) = &self.value else { return None };
        let is_key = |node: &Node| matches!(&node.value, Value::Text(text) if text.as_literal() == Some(key));
        entries.iter().find(|(name, _)| is_key(name)).map(|(_, value)| value)
    }

    /// Returns the word of a key; what is no word is empty.
    pub fn word(&self) -> &str {
        match &self.value {
            Value::Text(text) => text.as_literal().unwrap_or_default(),
            Value::Number(raw) | Value::Bool(_, raw) => raw,
            Value::Null | Value::Broken | Value::List(_) | Value::Map(_) => "",
        }
    }

    /// Removes the keys that begin with `x-`, in which anchors have a place of their own.
    pub fn set_aside(&mut self) {
        if let Value::Map(entries) = &mut self.value {
            let is_aside = |key: &Node| matches!(&key.value, Value::Text(text) if text.as_literal().is_some_and(|text| text.starts_with("x-")));
            entries.retain(|(key, _)| !is_aside(key));
        }
    }

    /// Returns what it is, for a message.
    pub fn kind(&self) -> String {
        match &self.value {
            Value::Null => "nothing".to_owned(),
            Value::Broken => "text".to_owned(),
            Value::Bool(_, raw) => format!("`{raw}`"),
            Value::Number(raw) => format!("the number `{raw}`"),
            Value::Text(text) => match text.as_literal() {
                Some(text) if text.chars().count() <= 40 && !text.contains('\n') => format!("the text `{text}`"),
                _ => "text".to_owned(),
            },
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a mapping".to_owned(),
        }
    }
}

/// Puts environment variables into every string of the tree and records what is wrong with the references.
pub fn expand(node: &mut Node, lookup: &Lookup<'_>, context: &Context) {
    let variables = lookup.variables;
    match &mut node.value {
        Value::Text(template) => {
            let raw = template.as_literal().unwrap_or_default();
            if !raw.contains('$') {
                return;
            }
            let mut problems = Vec::new();
            if let Some(name) = bare(raw, variables) {
                let fault = context.fault(node.span, format!("`${name}` is not replaced: only `${{{name}}}` is"));
                context.warn(&fault.help(format!("write `${{{name}}}` where the variable of the job is meant")));
            }
            let empty = |name: &str| {
                if variables(name).is_some_and(|value| value.is_empty()) {
                    context.note_empty(node.span, name);
                }
            };
            match Template::parse(raw) {
                Ok(parsed) => {
                    parsed.without_fallback().for_each(empty);
                    *template = parsed.expand(lookup, &mut problems);
                }
                Err(problem) => problems.push(problem),
            }
            if !problems.is_empty() {
                node.value = Value::Broken;
            }
            for problem in problems {
                record(context, node.span, problem);
            }
        }
        Value::List(items) => items.iter_mut().for_each(|item| expand(item, lookup, context)),
        Value::Map(entries) => {
            for (key, value) in entries {
                if let Value::Text(text) = &key.value
                    && text.as_literal().is_some_and(|text| text.contains("${"))
                {
                    let fault = context.fault(key.span, "keys are not interpolated").help("write the key out");
                    context.push(fault);
                }
                match lookup.open.is_some() && is_of_session(key) {
                    true => {
                        let local = |name: &str| variables(name).or_else(|| stand_in(name));
                        expand(value, &Lookup { variables: &local, open: None, ..*lookup }, context);
                    }
                    false => expand(value, lookup, context),
                }
            }
        }
        Value::Null | Value::Bool(..) | Value::Number(_) | Value::Broken => {}
    }
}

/// Whether a key's value only says in CloudTrail whose session it is.
fn is_of_session(key: &Node) -> bool {
    let Value::Text(text) = &key.value else { return false };
    matches!(text.as_literal(), Some("session_name" | "source_identity" | "tags"))
}

/// What a session says in the place of a job's variable where there is no job.
fn stand_in(name: &str) -> Option<String> {
    name.starts_with("CI_").then(|| "local".to_owned())
}

/// Variables that every process has: a `$HOME` in a command is the container's.
const OF_EVERY_PROCESS: [&str; 12] =
    ["HOME", "HOSTNAME", "IFS", "LANG", "LOGNAME", "OLDPWD", "PATH", "PWD", "SHELL", "TERM", "TMPDIR", "USER"];

/// Returns the first `$NAME` without braces of a variable that the job has.
fn bare<'t>(text: &'t str, variables: &dyn Fn(&str) -> Option<String>) -> Option<&'t str> {
    let word = |char: char| char.is_ascii_alphanumeric() || char == '_';
    text.match_indices('$').find_map(|(at, _)| {
        let rest = &text[at + 1..];
        let name = &rest[..rest.find(|char| !word(char)).unwrap_or(rest.len())];
        let is_known = name.starts_with(|first: char| first.is_ascii_uppercase())
            && !text[..at].ends_with('$')
            && !OF_EVERY_PROCESS.contains(&name)
            && variables(name).is_some();
        is_known.then_some(name)
    })
}

/// Records a problem of a template, at its own place inside the string where that can be found.
pub fn record(context: &Context, span: Span, problem: Problem) {
    let text = context.text(span);
    let span = match text.find(&problem.needle) {
        Some(at) => {
            let end = at + problem.needle.len();
            let brace = usize::from(text[end..].starts_with('}'));
            Span { start: span.start + at, end: span.start + end + brace }
        }
        None => span,
    };
    let fault = context.fault(span, problem.message).help(problem.help);
    context.push(match problem.missing {
        Some((account, key)) => fault.missing(&account, &key),
        None => fault,
    });
}
