//! Lookups: values that live in a target's account, and are read there before the plan.
//!
//! Until then they are holes in the target's texts, `${ssm:/path}`, just as the manifest has them. No hole can come from a value:
//! what is put into a text is looked through before it is filled, and never after. Reads nothing itself.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::base::document::Document;
use crate::base::tfstate;

/// Where values live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Store {
    /// A parameter of Systems Manager.
    Ssm,
    /// An output of a stack of CloudFormation.
    Cfn,
    /// What a stack of CloudFormation exports.
    CfnExport,
    /// An output or an attribute in a state of Terraform.
    Tfstate,
}

impl Store {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Ssm, Self::Cfn, Self::CfnExport, Self::Tfstate];

    /// Returns the word that begins its references.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ssm => "ssm",
            Self::Cfn => "cfn",
            Self::CfnExport => "cfn-export",
            Self::Tfstate => "tfstate",
        }
    }

    /// Returns the store that a reference names, and what follows its colon; `text` is what follows `${`.
    pub fn read(text: &str) -> Option<(Self, &str)> {
        Self::ALL.into_iter().find_map(|store| {
            let key = text.strip_prefix(store.word())?.strip_prefix(':')?;
            // `${ssm:-x}` is a variable with a default, here and in a shell.
            (!key.starts_with(['-', '?', '=', '+', ' '])).then_some((store, key))
        })
    }
}

/// A value that is read. Prints as the reference to it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lookup {
    /// Where it lives.
    pub store: Store,
    /// What it is called there.
    pub key: String,
}

impl fmt::Display for Lookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "${{{}:{}}}", self.store.word(), self.key)
    }
}

/// What is known of a lookup of a target.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Asked {
    /// Where it is written.
    pub place: Arc<str>,
    /// What was read; `None` = nothing yet.
    pub found: Option<Found>,
}

/// A value that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The value as text.
    pub text: String,
    /// Its items, where it is a list.
    pub items: Option<Vec<String>>,
    /// What it was read from, for people.
    pub source: String,
}

/// Values by their lookups.
pub type Known = BTreeMap<Lookup, Found>;

impl Lookup {
    /// Makes a lookup of a key without references.
    ///
    /// # Errors
    /// Says why nothing there is called so, and in its second line what to do.
    pub fn new(store: Store, key: &str) -> Result<Self, String> {
        let letters = |text: &str, more: &str| {
            !text.is_empty() && text.chars().all(|char| char.is_ascii_alphanumeric() || more.contains(char))
        };
        let (is_valid, what, help) = match store {
            Store::Ssm => {
                let help = "write ${ssm:/path}: letters, digits, `_`, `.`, `-` and `/`";
                (letters(key, "_.-/:"), "parameter's name", help)
            }
            Store::Cfn => {
                let parts = key.split_once('.');
                let is_valid = parts.is_some_and(|(stack, output)| letters(stack, "-") && letters(output, ""));
                (is_valid, "stack's output", "write ${cfn:STACK.Output}, with the output's logical id")
            }
            Store::CfnExport => {
                (letters(key, ":-"), "export's name", "write ${cfn-export:NAME}: letters, digits, `:` and `-`")
            }
            Store::Tfstate => {
                let is_valid = tfstate::is_address(split_state(key).1) && !key.contains(['}', '\n']);
                let help = "write ${tfstate:output.NAME} or ${tfstate:aws_x.y.attribute}, with NAME: of the state before it where \
                            there are several";
                (is_valid, "address in a state", help)
            }
        };
        match is_valid {
            true => Ok(Self { store, key: key.to_owned() }),
            false => Err(format!("`{key}` is no {what}\n{help}")),
        }
    }

    /// Returns the name of the state that it looks into, where it says so, and the address in it.
    pub fn state_and_address(&self) -> (Option<&str>, &str) {
        split_state(&self.key)
    }

    /// Reads a lookup and its value, as in `ssm:/path=VALUE`.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn read_with_value(text: &str) -> Result<(Self, String), String> {
        let wrong = || format!("`{text}` is not LOOKUP=VALUE, such as ssm:/path=value");
        let (store, rest) = Store::read(text).ok_or_else(wrong)?;
        let (key, value) = rest.split_once('=').ok_or_else(wrong)?;
        let lookup = Self::new(store, key).map_err(|error| error.replace('\n', ": "))?;
        Ok((lookup, value.to_owned()))
    }

    /// Returns a value for it in the sandbox, where nobody gave one: `sandbox-` and the last word of its key.
    pub fn made_up(&self) -> String {
        let words = self.key.split(|char: char| !char.is_ascii_alphanumeric() && char != '-');
        format!("sandbox-{}", words.rev().find(|word| !word.is_empty()).unwrap_or("value"))
    }

    /// Returns the lookups in a text, in their order, each with the text before it; and the text after the last.
    pub fn find_all(text: &str) -> (Vec<(&str, Self)>, &str) {
        let (mut found, mut rest, mut from) = (Vec::new(), text, 0);
        while let Some(at) = rest.get(from..).and_then(|later| later.find("${")).map(|at| at + from) {
            let hole = Store::read(&rest[at + 2..]).and_then(|(store, key)| {
                let key = &key[..key.find('}')?];
                Self::new(store, key).ok()
            });
            match hole {
                Some(lookup) => {
                    found.push((&rest[..at], lookup));
                    rest = rest[at..].split_once('}').map_or("", |(_, after)| after);
                    from = 0;
                }
                None => from = at + 2,
            }
        }
        (found, rest)
    }

    /// Whether a lookup is in a text.
    pub fn is_in(text: &str) -> bool {
        text.contains("${") && !Self::find_all(text).0.is_empty()
    }
}

/// Splits the name of a state from an address: a colon in an address is within quotes.
fn split_state(key: &str) -> (Option<&str>, &str) {
    match key.split_once(':') {
        Some((name, address)) if !name.contains('"') => (Some(name), address),
        _ => (None, key),
    }
}

/// Where a state of Terraform is. A file has no written form: nobody else has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum StateSource {
    /// In a file.
    #[serde(skip)]
    File {
        /// Its name.
        name: String,
        /// What is in it, or why that is not known.
        text: Result<StateText, String>,
    },
    /// In GitLab.
    #[serde(rename = "gitlab")]
    GitLab {
        /// The project's id or path; absent where it is the job's own.
        project: Option<String>,
        /// The state's name.
        state: String,
    },
    /// In an object of S3, read in the target's account.
    S3 {
        /// The bucket's name.
        bucket: String,
        /// The object's key.
        key: String,
        /// The bucket's region.
        region: String,
    },
}

impl fmt::Display for StateSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { name, .. } => write!(f, "Terraform state {name}"),
            Self::GitLab { state, .. } => write!(f, "Terraform state {state} in GitLab"),
            Self::S3 { bucket, key, .. } => write!(f, "Terraform state s3://{bucket}/{key}"),
        }
    }
}

/// Whether a text is the name of a bucket, by S3's rules. It becomes a part of a host's name.
pub fn is_bucket(name: &str) -> bool {
    let is_end = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_inner = |byte: u8| is_end(byte) || b"-.".contains(&byte);
    let bytes = name.as_bytes();
    let ends = [bytes.first(), bytes.last()];
    (3..=63).contains(&bytes.len())
        && bytes.iter().all(|&byte| is_inner(byte))
        && ends.into_iter().flatten().all(|&byte| is_end(byte))
        && !name.contains("..")
}

/// The text of a state, which may hold secrets: it prints as none.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct StateText(pub Arc<str>);

impl fmt::Debug for StateText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[a state]")
    }
}

impl Found {
    /// Makes a value of JSON; `None` where that is neither text, a number, `true`, `false` nor a list of those.
    pub fn of_json(value: &Value, source: String) -> Option<Self> {
        let text = |value: &Value| match value {
            Value::String(text) => Some(text.clone()),
            Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        };
        match value {
            Value::Array(items) => Some(Self::of_list(items.iter().map(text).collect::<Option<_>>()?, source)),
            value => Some(Self::of_text(text(value)?, source)),
        }
    }

    /// Makes a value of a text.
    pub fn of_text(text: impl Into<String>, source: impl Into<String>) -> Self {
        Self { text: text.into(), items: None, source: source.into() }
    }

    /// Makes a value of a list.
    pub fn of_list(items: Vec<String>, source: impl Into<String>) -> Self {
        Self { text: items.join(","), items: Some(items), source: source.into() }
    }
}

impl Lookup {
    /// Whether one may be in a document: in JSON, its text stands as it is but for quotes.
    pub fn is_in_document(document: &Document) -> bool {
        Store::ALL.iter().any(|store| document.text().contains(&format!("${{{}:", store.word())))
    }
}

/// Fills the holes of a text. What is not known stays.
pub fn fill_text(text: &mut String, known: &Known) {
    if !text.contains("${") {
        return;
    }
    let (holes, rest) = Lookup::find_all(text);
    if holes.is_empty() {
        return;
    }
    let mut filled = String::with_capacity(text.len());
    for (before, lookup) in holes {
        filled.push_str(before);
        match known.get(&lookup) {
            Some(found) => filled.push_str(&found.text),
            None => filled.push_str(&lookup.to_string()),
        }
    }
    filled.push_str(rest);
    *text = filled;
}

/// Fills the texts of a value. A list that is all of an entry of a list gives its items.
pub fn fill_json(value: &mut Value, known: &Known) {
    match value {
        Value::String(text) => fill_text(text, known),
        Value::Array(entries) => {
            for entry in std::mem::take(entries) {
                match items(&entry, known) {
                    Some(items) => entries.extend(items.iter().map(|item| Value::from(item.as_str()))),
                    None => entries.push(entry),
                }
                if let Some(last) = entries.last_mut() {
                    fill_json(last, known);
                }
            }
        }
        Value::Object(members) => members.values_mut().for_each(|member| fill_json(member, known)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Returns the items of the list that an entry is.
fn items<'k>(entry: &Value, known: &'k Known) -> Option<&'k [String]> {
    let (holes, rest) = Lookup::find_all(entry.as_str()?);
    match holes.as_slice() {
        [("", lookup)] if rest.is_empty() => known.get(lookup)?.items.as_deref(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ssm(key: &str) -> Lookup {
        Lookup::new(Store::Ssm, key).expect("a name")
    }

    #[test]
    fn holes_are_filled_once_and_in_one_go() {
        let known = Known::from([
            (ssm("/a"), Found::of_text("${ssm:/b}", "")),
            (ssm("/b"), Found::of_text("B", "")),
            (ssm("/l"), Found::of_list(vec!["x".to_owned(), "y".to_owned()], "")),
        ]);
        let filled = |text: &str| {
            let mut text = text.to_owned();
            fill_text(&mut text, &known);
            text
        };
        assert_eq!(filled("${ssm:/a} ${ssm:/b}"), "${ssm:/b} B");
        assert_eq!(filled("a${ssm:/b}b${ssm:/l}${ssm:/c}$"), "aBbx,y${ssm:/c}$");
        for text in ["", "$", "${", "${ssm:", "${ssm:}", "${ssm:-x}", "${ssm:/b", "${HOME} ${x:-${y}}", "${ssm:a b}"] {
            assert_eq!((filled(text).as_str(), Lookup::is_in(text)), (text, false));
        }
        let mut value = json!({ "subnets": ["s", "${ssm:/l}", "${ssm:/l}!"], "text": "${ssm:/l}" });
        fill_json(&mut value, &known);
        assert_eq!(value, json!({ "subnets": ["s", "x", "y", "x,y!"], "text": "x,y" }));
    }
}
