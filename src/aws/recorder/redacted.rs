//! What of an answer is recorded: its form, and what names things, and nothing that may be secret.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::base::redact::{self, REDACTED};
use crate::base::secrets;

/// Members whose values are taken out, whatever they are: they hold what applications are told, or what they say.
const SECRET: [&str; 6] = ["SecretString", "SecretBinary", "Value", "command", "downloadUrl", "entryPoint"];
/// Members that hold lists of `name` and `value`, of which the values are taken out.
const PAIRS: [&str; 2] = ["environment", "environmentFiles"];
/// Members that are maps of which the values are taken out.
const MAPS: [&str; 2] = ["dockerLabels", "options"];

/// The accounts of a recording, in the order in which they were seen.
#[derive(Debug, Default)]
pub struct Accounts(BTreeMap<String, usize>);

impl Accounts {
    /// Returns how many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns a text in which each account id stands for the place at which it was first seen: `000000000001`.
    fn mapped(&mut self, text: &str) -> String {
        let mut mapped = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(from) = rest.find(|char: char| char.is_ascii_digit()) {
            let (before, digits) = rest.split_at(from);
            let end = digits.find(|char: char| !char.is_ascii_digit()).unwrap_or(digits.len());
            let (number, after) = digits.split_at(end);
            mapped.push_str(before);
            // A longer number, or one within a word such as a hash, is no account.
            let in_a_word = before.ends_with(|char: char| char.is_ascii_alphanumeric())
                || after.starts_with(|char: char| char.is_ascii_alphanumeric());
            if number.len() == 12 && !in_a_word {
                let next = self.0.len() + 1;
                let place = *self.0.entry(number.to_owned()).or_insert(next);
                mapped.push_str(&format!("{place:012}"));
            } else {
                mapped.push_str(number);
            }
            rest = after;
        }
        mapped.push_str(rest);
        mapped
    }
}

/// Returns a request or an answer with nothing secret in it.
pub fn redacted(value: Value, accounts: &mut Accounts) -> Value {
    match value {
        Value::String(text) => {
            let shown = redact::line(&secrets::scrub(&text));
            Value::String(accounts.mapped(&shown))
        }
        Value::Array(items) => items.into_iter().map(|item| redacted(item, accounts)).collect(),
        Value::Object(members) => members
            .into_iter()
            .map(|(name, value)| {
                let value = match &value {
                    Value::String(_) | Value::Array(_) if SECRET.contains(&name.as_str()) => hidden(&value),
                    Value::Array(pairs) if PAIRS.contains(&name.as_str()) => pairs.iter().map(without_value).collect(),
                    Value::Object(map) if MAPS.contains(&name.as_str()) => {
                        map.iter().map(|(key, value)| (key.clone(), hidden(value))).collect()
                    }
                    _ => value,
                };
                (accounts.mapped(&name), redacted(value, accounts))
            })
            .collect(),
        other => other,
    }
}

/// Returns a pair without its value.
fn without_value(pair: &Value) -> Value {
    let mut pair = pair.clone();
    if let Some(value) = pair.get_mut("value") {
        *value = hidden(value);
    }
    pair
}

/// Returns a value of the same form that says nothing.
fn hidden(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(hidden).collect(),
        Value::Null => Value::Null,
        _ => Value::String(REDACTED.to_owned()),
    }
}
