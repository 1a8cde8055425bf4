//! A node: one value of the manifest with its place, before it is known what it should be.
//!
//! Environment variables are put in here, into strings and never into keys. Knows no YAML: `load.rs` builds the nodes,
//! and `decode.rs` makes the manifest's types of them.

use super::credential::Credentials;
use super::fault::Context;
use super::interpolate::{Problem, Template};
use super::spanned::Span;

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
pub fn expand(
    node: &mut Node,
    variables: &dyn Fn(&str) -> Option<String>,
    credentials: &Credentials,
    context: &Context,
) {
    match &mut node.value {
        Value::Text(template) => {
            let raw = template.as_literal().unwrap_or_default();
            if !raw.contains('$') {
                return;
            }
            let mut problems = Vec::new();
            match Template::parse(raw) {
                Ok(parsed) => *template = parsed.expand(variables, credentials, &mut problems),
                Err(problem) => problems.push(problem),
            }
            if !problems.is_empty() {
                node.value = Value::Broken;
            }
            for problem in problems {
                record(context, node.span, problem);
            }
        }
        Value::List(items) => items.iter_mut().for_each(|item| expand(item, variables, credentials, context)),
        Value::Map(entries) => {
            for (key, value) in entries {
                if let Value::Text(text) = &key.value
                    && text.as_literal().is_some_and(|text| text.contains("${"))
                {
                    let fault = context.fault(key.span, "keys are not interpolated").help("write the key out");
                    context.push(fault);
                }
                expand(value, variables, credentials, context);
            }
        }
        Value::Null | Value::Bool(..) | Value::Number(_) | Value::Broken => {}
    }
}

/// Records a problem of a template, at its own place inside the string where that can be found.
pub fn record(context: &Context, span: Span, problem: Problem) {
    let text = context.text().get(span.start..span.end).unwrap_or_default();
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
