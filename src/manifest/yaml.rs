//! YAML: a text to nodes with their places, with a syntax error as a fault. The only file that names the YAML crate.
//!
//! Its limits are far above any real fleet, and far below what would be felt.

use std::num::NonZero;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_yaml::options::{DuplicateKeyPolicy, NonFiniteFloatPolicy};

use crate::fleet::organization::lock::MAX_LOCK;
use crate::manifest::fault::{Context, Source};
use crate::manifest::interpolate::Template;
use crate::manifest::node::{Node, Value};
use crate::manifest::spanned::Span;

/// A thousand accounts with a dozen lines each are below 300 KiB.
pub const MAX_MANIFEST: u64 = 1 << 20;

/// The most bytes and nodes of a text.
#[derive(Clone, Copy)]
pub struct Bounds {
    bytes: u64,
    nodes: usize,
}

impl Bounds {
    /// Of a manifest, and of a file that it includes.
    pub const MANIFEST: Self = Self { bytes: MAX_MANIFEST, nodes: 200_000 };
    /// Of a lock, which a program writes.
    pub const LOCK: Self = Self { bytes: MAX_LOCK, nodes: 2_000_000 };
}

/// Parses a text, which begins at `base` among the manifest's files, into nodes. Records a syntax error, and every duplicate
/// key.
pub fn parse(text: &str, base: usize, context: &Context) -> Option<Node> {
    parse_within(Bounds::MANIFEST, text, base, context)
}

/// Does as [`parse`] does, within other bounds.
pub fn parse_within(bounds: Bounds, text: &str, base: usize, context: &Context) -> Option<Node> {
    Parsed::new(bounds, text, base).judge(text, base, context)
}

/// Parses files, each with the place where its text begins, on as many threads as there are cores.
pub fn parse_all(files: &[(usize, Arc<Source>)]) -> Vec<Parsed> {
    let parse = |part: &[(usize, Arc<Source>)]| -> Vec<Parsed> {
        part.iter().map(|(base, file)| Parsed::new(Bounds::MANIFEST, file.inner(), *base)).collect()
    };
    if files.len() < 2 {
        return parse(files);
    }
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    thread::scope(|scope| {
        let parts = files.chunks(files.len().div_ceil(cores));
        let threads: Vec<_> = parts.map(|part| scope.spawn(move || parse(part))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
    })
}

/// A text that was parsed, and of which nothing was said yet.
pub struct Parsed(Result<Node, NotParsed>);

enum NotParsed {
    TooLarge(u64),
    Syntax(Box<serde_yaml::Error>),
}

impl Parsed {
    fn new(bounds: Bounds, text: &str, base: usize) -> Self {
        if text.len() as u64 > bounds.bytes {
            return Self(Err(NotParsed::TooLarge(bounds.bytes)));
        }
        let options = serde_yaml::options! {
            // Far above any real fleet, and far below what would be felt: see MAX_MANIFEST.
            budget: serde_yaml::budget! {
                max_documents: 1,
                max_depth: 32,
                max_nodes: bounds.nodes,
                max_events: bounds.nodes * 5 / 2,
                max_aliases: 2_000,
                max_anchors: 500,
                max_merge_keys: 2_000,
                max_total_scalar_bytes: 16 << 20,
                max_recorded_anchor_events: 200_000,
            },
            alias_limits: serde_yaml::alias_limits! {
                max_total_replayed_events: 200_000,
                max_replay_stack_depth: 8,
            },
            // Passed through so that every duplicate is reported, with the place of the first.
            duplicate_keys: DuplicateKeyPolicy::PassThrough,
            non_finite_float_policy: NonFiniteFloatPolicy::AsString,
            strict_booleans: true,
            reject_unsupported_tags: true,
            with_snippet: false,
        };
        let yaml = serde_yaml::from_str_with_options::<Yaml>(text, options);
        Self(yaml.map(|yaml| yaml.into_node(text, base)).map_err(|error| NotParsed::Syntax(Box::new(error))))
    }

    /// Returns the nodes. Records what is wrong with the text as YAML, and every duplicate key.
    pub fn judge(self, text: &str, base: usize, context: &Context) -> Option<Node> {
        let whole = Span { start: 0, end: text.find('\n').unwrap_or(text.len()) };
        let what = if base == 0 { "the manifest" } else { "the file" };
        let fault = match self.0 {
            Ok(node) if !matches!(node.value, Value::Null) => return Some(unique(node, context)),
            Ok(_) => {
                let help =
                    if base == 0 { "start with `version: 1`" } else { "write `services:` into it, or remove it" };
                context.fault(whole.at(base), format!("{what} is empty")).help(help)
            }
            Err(NotParsed::TooLarge(limit)) => {
                let message = format!("{what} has {} bytes; the limit is {limit}", text.len());
                context.fault(Span::default().at(base), message).help("split it: `include` joins several files")
            }
            Err(NotParsed::Syntax(error)) => {
                let (message, help) = explain(&error.to_string());
                let span = error.location().and_then(|location| at(text, location.line(), location.column()));
                let help = if span.is_some_and(|span| is_bare_reference(text, span)) { BARE_REFERENCE } else { help };
                let span = if message.contains("tab") { tab(text, span).or(span) } else { span };
                context.fault(span.unwrap_or(whole).at(base), message).help(help)
            }
        };
        context.push(fault);
        None
    }
}

/// Returns the span of the character at a line and a column, both from 1.
fn at(text: &str, line: u64, column: u64) -> Option<Span> {
    let (line, column) = (usize::try_from(line).ok()?.checked_sub(1)?, usize::try_from(column).ok()?.checked_sub(1)?);
    let start: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
    let rest = text.get(start..)?;
    let mut chars = rest.char_indices().skip(column);
    let from = chars.next().map_or(rest.len(), |(at, _)| at);
    let to = chars.next().map_or(rest.len(), |(at, _)| at);
    Some(Span { start: start + from, end: start + to })
}

/// What helps where YAML takes the brace of a `${NAME}` for one of its own.
const BARE_REFERENCE: &str = "put it in quotes, \"${NAME}\": in { } and [ ] its brace ends the value";

/// Whether a `${` that nothing quotes begins a value in the line of a syntax error, or in the one before it.
fn is_bare_reference(text: &str, span: Span) -> bool {
    let before = text.get(..span.start).unwrap_or_default();
    let line = |end: usize| before[..end].rfind('\n');
    let start = line(before.len()).and_then(line).map_or(0, |at| at + 1);
    let end = text[span.start..].find('\n').map_or(text.len(), |at| span.start + at);
    let values = text[start..end].match_indices("${").map(|(at, _)| text[start..start + at].trim_end());
    values.filter(|before| before.ends_with([':', ',', '[', '{'])).count() > 0
}

/// Returns the span of the first tab in the indentation of a line, from the line of `near` on: the parser points at the
/// beginning of what the tab breaks off.
fn tab(text: &str, near: Option<Span>) -> Option<Span> {
    let from = near.map_or(0, |span| text.get(..span.start).and_then(|text| text.rfind('\n')).map_or(0, |at| at + 1));
    let mut start = from;
    for line in text.get(from..)?.split_inclusive('\n') {
        let indentation = line.len() - line.trim_start().len();
        if let Some(at) = line.get(..indentation).and_then(|blank| blank.find('\t')) {
            return Some(Span { start: start + at, end: start + at + 1 });
        }
        start += line.len();
    }
    None
}

/// Turns the parser's words into what is wrong and what to do.
fn explain(error: &str) -> (String, &'static str) {
    // The place is said by the fault itself.
    let message = error.split(" at line ").next().unwrap_or(error);
    let one_document =
        ("more than one YAML document".to_owned(), "a manifest is one document: remove `---` and the rest");
    if let Some(limit) = message.strip_prefix("budget breached: ") {
        let limit = limit.split(' ').next().unwrap_or(limit);
        if limit == "Documents" {
            return one_document;
        }
        let help = "a manifest is far smaller than the limits: look for aliases of aliases, or split it";
        return (format!("the manifest is too large or too deep for the YAML parser ({limit})"), help);
    }
    let help = if message.contains("tab") {
        return ("a tab in the indentation".to_owned(), "indent with spaces: YAML does not allow tabs");
    } else if message.contains("mapping values are not allowed") || message.contains("illegal placement of ':'") {
        "check the indentation, the closing brackets, and put text with `: ` in it in quotes"
    } else if message.contains("quote") {
        "close the quote"
    } else if message.contains("multiple YAML documents") {
        return one_document;
    } else if message.contains("did not find expected") {
        "check the indentation of this line against the ones above"
    } else if message.contains("anchor") {
        "an alias `*name` needs an anchor `&name` before it"
    } else if message.contains("unexpected character") {
        "put text that begins with a special character in quotes"
    } else if message.contains("limit") {
        "a manifest is far smaller than this limit: look for aliases of aliases, or split it"
    } else {
        "the text is not valid YAML here"
    };
    (message.to_owned(), help)
}

/// Removes and records duplicate keys; the first one stays.
fn unique(node: Node, context: &Context) -> Node {
    let value = match node.value {
        Value::List(items) => Value::List(items.into_iter().map(|item| unique(item, context)).collect()),
        Value::Map(entries) => {
            let mut kept: indexmap::IndexMap<String, (Node, Node)> = indexmap::IndexMap::new();
            for (index, (key, value)) in entries.into_iter().enumerate() {
                let word = match &key.value {
                    Value::Text(text) => text.as_literal().unwrap_or_default().to_owned(),
                    Value::Number(raw) | Value::Bool(_, raw) => raw.clone(),
                    Value::Null => "null".to_owned(),
                    // Not a word at all: the decoder says so. The space keeps it apart from every key.
                    Value::List(_) | Value::Map(_) | Value::Broken => format!(" {index}"),
                };
                match kept.get(&word) {
                    Some((first, _)) => {
                        let fault = context.fault(key.span, format!("duplicate key `{word}`"));
                        let fault = fault.label("again here").also(first.span, "first here");
                        context.push(fault.help("keep one of the two"));
                    }
                    None => {
                        kept.insert(word, (key, unique(value, context)));
                    }
                }
            }
            Value::Map(kept.into_values().collect())
        }
        other => other,
    };
    Node { value, ..node }
}

/// A value as the YAML crate gives it.
struct Yaml {
    span: Span,
    value: YamlValue,
}

enum YamlValue {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    List(Vec<Yaml>),
    Map(Vec<(Yaml, Yaml)>),
}

impl Yaml {
    fn into_node(self, text: &str, base: usize) -> Node {
        let raw = text.get(self.span.start..self.span.end).unwrap_or_default();
        let mut span = self.span.at(base);
        let mut widen = |child: Span| {
            // An alias stands elsewhere in the file and widens nothing.
            if child.start >= span.start {
                span.end = span.end.max(child.end);
            }
        };
        let value = match self.value {
            YamlValue::Null => Value::Null,
            YamlValue::Bool(value) => Value::Bool(value, raw.to_owned()),
            // As written, unless an anchor or a tag stands before it.
            YamlValue::Number(_) if raw.starts_with(|char: char| char.is_ascii_digit() || "+-.".contains(char)) => {
                Value::Number(raw.to_owned())
            }
            YamlValue::Number(number) => Value::Number(number),
            YamlValue::Text(value) => Value::Text(Template::literal(value)),
            YamlValue::List(items) => {
                let items: Vec<Node> = items.into_iter().map(|item| item.into_node(text, base)).collect();
                items.iter().for_each(|item| widen(item.span));
                Value::List(items)
            }
            YamlValue::Map(entries) => {
                let node = |(key, value): (Yaml, Yaml)| (key.into_node(text, base), value.into_node(text, base));
                let entries: Vec<(Node, Node)> = entries.into_iter().map(node).collect();
                for (key, value) in &entries {
                    widen(key.span);
                    widen(value.span);
                }
                Value::Map(entries)
            }
        };
        Node { span, value }
    }
}

impl<'de> Deserialize<'de> for Yaml {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = serde_yaml::Spanned::<YamlValue>::deserialize(deserializer)?;
        let place = spanned.defined.span();
        let number = |offset: Option<u64>| offset.and_then(|offset| usize::try_from(offset).ok()).unwrap_or(0);
        let start = number(place.byte_offset());
        let end = start.saturating_add(number(place.byte_len()));
        Ok(Self { span: Span { start, end }, value: spanned.value })
    }
}

impl<'de> Deserialize<'de> for YamlValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;

        impl<'de> Visitor<'de> for Any {
            type Value = YamlValue;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a value")
            }

            fn visit_unit<E>(self) -> Result<YamlValue, E> {
                Ok(YamlValue::Null)
            }

            fn visit_bool<E>(self, value: bool) -> Result<YamlValue, E> {
                Ok(YamlValue::Bool(value))
            }

            fn visit_i64<E>(self, value: i64) -> Result<YamlValue, E> {
                Ok(YamlValue::Number(value.to_string()))
            }

            fn visit_u64<E>(self, value: u64) -> Result<YamlValue, E> {
                Ok(YamlValue::Number(value.to_string()))
            }

            fn visit_i128<E>(self, value: i128) -> Result<YamlValue, E> {
                Ok(YamlValue::Number(value.to_string()))
            }

            fn visit_u128<E>(self, value: u128) -> Result<YamlValue, E> {
                Ok(YamlValue::Number(value.to_string()))
            }

            fn visit_f64<E>(self, value: f64) -> Result<YamlValue, E> {
                Ok(YamlValue::Number(value.to_string()))
            }

            fn visit_str<E>(self, value: &str) -> Result<YamlValue, E> {
                Ok(YamlValue::Text(value.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<YamlValue, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    items.push(item);
                }
                Ok(YamlValue::List(items))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<YamlValue, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(YamlValue::Map(entries))
            }
        }

        deserializer.deserialize_any(Any)
    }
}
