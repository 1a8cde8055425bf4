//! The decoder: a serde deserializer that makes the manifest's types of nodes.
//!
//! It does not stop at the first fault: an unknown key or a value of the wrong kind is recorded in the [`Context`], and
//! a [`Spanned`](super::spanned::Spanned) around it becomes a broken value. What a right value means is `check.rs`'s.

pub mod error;
mod word;

use serde::de::value::{StrDeserializer, UsizeDeserializer};
use serde::de::{self, DeserializeSeed, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

use crate::base::nearest::{nearest, suggest};
use crate::manifest::account::ACCOUNT_ENTRY;
use crate::manifest::decode::error::DecodeError;
use crate::manifest::decode::word::Word;
use crate::manifest::definition::DEFINITION_SOURCE;
use crate::manifest::fault::{Context, Problem, unset};
use crate::manifest::image::IMAGE_SOURCE;
use crate::manifest::interpolate::Template;
use crate::manifest::node::{Node, Value, record};
use crate::manifest::scalar::{SCALAR, TEMPLATE};
use crate::manifest::spanned::{ONE_OR_MANY, SPANNED};

impl std::error::Error for DecodeError {}

/// Decodes one node.
#[derive(Clone, Copy)]
pub struct Decoder<'a> {
    node: &'a Node,
    context: &'a Context,
}

impl<'a> Decoder<'a> {
    /// Makes a decoder of a node that records its faults in `context`.
    pub fn new(node: &'a Node, context: &'a Context) -> Self {
        Self { node, context }
    }

    fn with_node(self, node: &'a Node) -> Self {
        Self { node, ..self }
    }

    fn refuse<T>(self, message: impl Into<String>, help: impl Into<String>) -> Result<T, DecodeError> {
        self.context.push(self.context.fault(self.node.span, message).help(help));
        Err(DecodeError::Recorded)
    }

    fn mismatch<T>(self, expected: &str) -> Result<T, DecodeError> {
        if let Value::Broken = self.node.value {
            return Err(DecodeError::Recorded);
        }
        if let Value::Number(raw) = &self.node.value
            && expected == "text"
            && raw.len() == 12
            && raw.bytes().all(|byte| byte.is_ascii_digit())
        {
            let message = format!("`{raw}` is a number here, not an account id");
            let help = format!("put it in quotes, \"{raw}\": an id is text, and numbers lose their leading zeros");
            return self.refuse(message, help);
        }
        let message = format!("expected {expected}, found {}", self.node.kind());
        let help = match &self.node.value {
            Value::Null => "give it a value, or remove the key".to_owned(),
            Value::Number(raw) | Value::Bool(_, raw) if expected == "text" => format!("put it in quotes: \"{raw}\""),
            Value::Text(text) if expected == "a list" => match text.as_literal() {
                Some(text) if !text.contains('\n') => format!("write a list: [{text}]"),
                _ => "write a list: [...]".to_owned(),
            },
            Value::List(_) | Value::Text(_) if expected == "a mapping" => {
                "write `name: value` lines below the key, or { name: value }".to_owned()
            }
            Value::Text(text) if expected.starts_with("true") => match text.as_literal() {
                Some("yes" | "Yes" | "YES" | "on" | "On" | "ON" | "y" | "Y") => "write `true`".to_owned(),
                Some("no" | "No" | "NO" | "off" | "Off" | "OFF" | "n" | "N") => "write `false`".to_owned(),
                _ => "write `true` or `false`, without quotes".to_owned(),
            },
            _ => format!("write {expected} here"),
        };
        self.refuse(message, help)
    }

    /// Records an error that has no place yet, with this node's.
    fn record<T>(self, result: Result<T, DecodeError>) -> Result<T, DecodeError> {
        result.map_err(|error| match error {
            DecodeError::Recorded => error,
            DecodeError::Message(text) => {
                let (message, help) = text.rsplit_once('\n').unwrap_or((&text, ""));
                let fault = self.context.fault(self.node.span, message);
                self.context.push(if help.is_empty() { fault } else { fault.help(help) });
                DecodeError::Recorded
            }
        })
    }

    fn literal(self, expected: &str) -> Result<&'a str, DecodeError> {
        let Value::Text(template) = &self.node.value else { return self.mismatch(expected) };
        match (template.as_literal(), template.first_reference()) {
            (Some(text), _) => match self.context.open_in(text) {
                Some(name) => {
                    record(self.context, self.node.span, unset(&name, ""));
                    Err(DecodeError::Recorded)
                }
                None => Ok(text),
            },
            (None, name) => {
                let name = name.unwrap_or_default();
                let message = format!("`${{{name}}}` is not known here");
                let help = "only an environment variable, `${NAME}`, can be used here";
                let problem = Problem::new(format!("${{{name}"), message, help);
                record(self.context, self.node.span, problem);
                Err(DecodeError::Recorded)
            }
        }
    }

    fn entries(self) -> Result<&'a [(Node, Node)], DecodeError> {
        match &self.node.value {
            Value::Map(entries) => Ok(entries),
            _ => self.mismatch("a mapping"),
        }
    }

    fn whole_number(self) -> Result<u64, DecodeError> {
        let Value::Number(raw) = &self.node.value else { return self.mismatch("a whole number") };
        match raw.parse() {
            Ok(number) => Ok(number),
            Err(_) => self.mismatch("a whole number"),
        }
    }
}

/// Returns what a mapping of the manifest is called in messages.
fn title(name: &str) -> String {
    match name {
        "Manifest" => "the manifest".to_owned(),
        "Identity" | "Rollout" | "Deployment" | "Gate" | "Strategy" => format!("`{}`", name.to_lowercase()),
        "GitLab" | "Deployments" => format!("`{}`", name.to_lowercase()),
        "Format" => "`format`".to_owned(),
        "Occasion" => "`on`".to_owned(),
        "OnFailure" => "`on_failure`".to_owned(),
        "OnBusy" => "`on_busy`".to_owned(),
        "OnCancel" => "`on_cancel`".to_owned(),
        "RollbackScope" => "`rollback_scope`".to_owned(),
        "Per" => "`per`".to_owned(),
        "Network" => "`network`".to_owned(),
        "TfState" => "a state".to_owned(),
        "GitLabState" => "`gitlab`".to_owned(),
        "S3State" => "`s3`".to_owned(),
        "Allow" => "`allow`".to_owned(),
        "SubjectForm" => "`sub`".to_owned(),
        "RunTask" => "a task".to_owned(),
        "CapacityProvider" => "a capacity provider".to_owned(),
        "CircuitBreaker" => "`circuit_breaker`".to_owned(),
        "Definition" => "`task_definition`".to_owned(),
        "Running" => "an image".to_owned(),
        "RunningIn" => "`from`".to_owned(),
        "Discovery" => "an entry `from: organization`".to_owned(),
        "Exclusion" => "`exclude`".to_owned(),
        "LockFile" => "the lock".to_owned(),
        "AccountsFrom" => "`from`".to_owned(),
        "Account" | "Override" => format!("an {}", name.to_lowercase()),
        "Role" | "Service" | "Wave" | "Webhook" => format!("a {}", name.to_lowercase()),
        _ => "this mapping".to_owned(),
    }
}

impl<'de> de::Deserializer<'de> for Decoder<'_> {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match &self.node.value {
            Value::Broken => Err(DecodeError::Recorded),
            Value::Null => visitor.visit_unit(),
            Value::Bool(value, _) => visitor.visit_bool(*value),
            Value::Number(raw) => match (raw.parse::<i64>(), raw.parse::<f64>()) {
                (Ok(number), _) => visitor.visit_i64(number),
                (_, Ok(number)) if number.is_finite() => visitor.visit_f64(number),
                _ => visitor.visit_str(raw),
            },
            Value::Text(template) => visitor.visit_string(template.to_string()),
            Value::List(items) => visitor.visit_seq(Items { decoder: self, items: items.iter() }),
            Value::Map(entries) => visitor.visit_map(Pairs { decoder: self, entries: entries.iter(), value: None }),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match &self.node.value {
            Value::Bool(value, _) => visitor.visit_bool(*value),
            _ => self.mismatch("true or false"),
        }
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match u32::try_from(self.whole_number()?) {
            Ok(number) => visitor.visit_u32(number),
            Err(_) => self.mismatch("a whole number below 4294967296"),
        }
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_u64(self.whole_number()?)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        let Value::Number(raw) = &self.node.value else { return self.mismatch("a number") };
        match raw.parse::<f64>() {
            Ok(number) if number.is_finite() => visitor.visit_f64(number),
            _ => self.mismatch("a number"),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_str(self.literal("text")?)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.node.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        match (name, &self.node.value) {
            (SPANNED, _) => visitor.visit_seq(Parts { decoder: self, next: 0 }),
            (ONE_OR_MANY, Value::List(items)) if items.is_empty() => {
                self.refuse("an empty list", "name at least one, or remove the key")
            }
            (ONE_OR_MANY, Value::List(items)) => {
                visitor.visit_seq(OneOrMore { listed: Some(true), items: Items { decoder: self, items: items.iter() } })
            }
            (ONE_OR_MANY, _) => visitor.visit_seq(OneOrMore {
                listed: Some(false),
                items: Items { decoder: self, items: std::slice::from_ref(self.node).iter() },
            }),
            (DEFINITION_SOURCE, Value::Map(_)) => visitor.visit_newtype_struct(self),
            (IMAGE_SOURCE, Value::Map(_)) => visitor.visit_newtype_struct(self),
            // What has a key that only a question to an organization has, is one, also where `from` is misspelt.
            (ACCOUNT_ENTRY, Value::Map(_)) => {
                match ["from", "ou", "exclude", "as"].iter().any(|key| self.node.get(key).is_some()) {
                    true => visitor.visit_newtype_struct(self),
                    false => visitor.visit_some(self),
                }
            }
            (ACCOUNT_ENTRY, _) => self.mismatch("a mapping"),
            (TEMPLATE | SCALAR | DEFINITION_SOURCE | IMAGE_SOURCE, Value::Text(template)) => {
                visitor.visit_string(template.to_string())
            }
            (SCALAR, Value::Number(raw) | Value::Bool(_, raw)) => {
                visitor.visit_string(Template::literal(raw.as_str()).to_string())
            }
            (TEMPLATE, _) => self.mismatch("text"),
            (DEFINITION_SOURCE, _) => {
                self.mismatch("the path of a file, `{ file: ..., set: ... }` or `{ family: ..., revision: ... }`")
            }
            (IMAGE_SOURCE, _) => self.mismatch("text, or `{ from: { account: ... } }`"),
            (SCALAR, _) => self.mismatch("text or a number"),
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match &self.node.value {
            Value::List(items) => visitor.visit_seq(Items { decoder: self, items: items.iter() }),
            _ => self.mismatch("a list"),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        let entries = self.entries()?;
        visitor.visit_map(Pairs { decoder: self, entries: entries.iter(), value: None })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        let mut known = Vec::new();
        for (key, value) in self.entries()? {
            let word = key.word();
            match fields.iter().find(|field| **field == word) {
                Some(field) => known.push((*field, value)),
                None => self.refuse_key(key, word, name, fields),
            }
        }
        visitor.visit_map(Fields { decoder: self, fields: known.into_iter(), value: None })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        let word = match &self.node.value {
            Value::Number(raw) | Value::Bool(_, raw) => raw,
            Value::Text(_) => self.literal("a word")?,
            Value::Broken => return Err(DecodeError::Recorded),
            _ => {
                let message = format!("expected a word, found {}", self.node.kind());
                return self.refuse(message, suggest("", variants.iter().copied()));
            }
        };
        if !variants.contains(&word) {
            let message = format!("{} cannot be `{word}`", title(name));
            return self.refuse(message, suggest(word, variants.iter().copied()));
        }
        visitor.visit_enum(Word(word))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u128 f32 char bytes byte_buf unit unit_struct tuple tuple_struct identifier
    }
}

impl Decoder<'_> {
    fn refuse_key(self, key: &Node, word: &str, name: &str, fields: &'static [&'static str]) {
        let near = nearest(word, fields.iter().copied());
        if let Some(near) = near {
            self.context.mean(self.node.span, near);
        }
        let help = match (word, near) {
            ("before" | "after", None) => "tasks before and after a deployment are a service's".to_owned(),
            ("<<", None) => "a merge key takes an alias of a mapping: `<<: *name`".to_owned(),
            _ => suggest(word, fields.iter().copied()),
        };
        let message = if word.is_empty() {
            format!("a key of {} must be a word", title(name))
        } else {
            format!("unknown key `{word}` in {}", title(name))
        };
        self.context.push(self.context.fault(key.span, message).help(help));
    }
}

struct Parts<'a> {
    decoder: Decoder<'a>,
    next: u8,
}

impl<'de> SeqAccess<'de> for Parts<'_> {
    type Error = DecodeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, DecodeError> {
        self.next += 1;
        let number = |number| UsizeDeserializer::<DecodeError>::new(number);
        match self.next {
            1 => seed.deserialize(number(self.decoder.node.span.start)).map(Some),
            2 => seed.deserialize(number(self.decoder.node.span.end)).map(Some),
            3 => self.decoder.record(seed.deserialize(self.decoder)).map(Some),
            _ => Ok(None),
        }
    }
}

struct Items<'a> {
    decoder: Decoder<'a>,
    items: std::slice::Iter<'a, Node>,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = DecodeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, DecodeError> {
        let Some(item) = self.items.next() else { return Ok(None) };
        let decoder = self.decoder.with_node(item);
        decoder.record(seed.deserialize(decoder)).map(Some)
    }
}

struct OneOrMore<'a> {
    listed: Option<bool>,
    items: Items<'a>,
}

impl<'de> SeqAccess<'de> for OneOrMore<'_> {
    type Error = DecodeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, DecodeError> {
        match self.listed.take() {
            Some(listed) => seed.deserialize(listed.into_deserializer()).map(Some),
            None => self.items.next_element_seed(seed),
        }
    }
}

struct Pairs<'a> {
    decoder: Decoder<'a>,
    entries: std::slice::Iter<'a, (Node, Node)>,
    value: Option<&'a Node>,
}

impl<'de> MapAccess<'de> for Pairs<'_> {
    type Error = DecodeError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, DecodeError> {
        let Some((key, value)) = self.entries.next() else { return Ok(None) };
        self.value = Some(value);
        seed.deserialize(Key(self.decoder.with_node(key))).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, DecodeError> {
        let node = self.value.take().ok_or(DecodeError::Recorded)?;
        let decoder = self.decoder.with_node(node);
        decoder.record(seed.deserialize(decoder))
    }
}

struct Fields<'a> {
    decoder: Decoder<'a>,
    fields: std::vec::IntoIter<(&'static str, &'a Node)>,
    value: Option<&'a Node>,
}

impl<'de> MapAccess<'de> for Fields<'_> {
    type Error = DecodeError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, DecodeError> {
        let Some((field, node)) = self.fields.next() else { return Ok(None) };
        self.value = Some(node);
        seed.deserialize(StrDeserializer::new(field)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, DecodeError> {
        let node = self.value.take().ok_or(DecodeError::Recorded)?;
        let decoder = self.decoder.with_node(node);
        decoder.record(seed.deserialize(decoder))
    }
}

/// A key of a mapping: text as it is written, never interpolated.
#[derive(Clone, Copy)]
struct Key<'a>(Decoder<'a>);

impl<'de> de::Deserializer<'de> for Key<'_> {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match &self.0.node.value {
            Value::Text(text) => visitor.visit_str(text.as_literal().unwrap_or_default()),
            Value::Number(raw) | Value::Bool(_, raw) => visitor.visit_str(raw),
            Value::Null => visitor.visit_str("null"),
            Value::List(_) | Value::Map(_) | Value::Broken => {
                self.0.refuse("a key must be a word", "write a word here")
            }
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        match name {
            SPANNED => visitor.visit_seq(KeyParts { key: self, next: 0 }),
            _ => visitor.visit_newtype_struct(self),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct seq
        tuple tuple_struct map struct enum identifier ignored_any
    }
}

struct KeyParts<'a> {
    key: Key<'a>,
    next: u8,
}

impl<'de> SeqAccess<'de> for KeyParts<'_> {
    type Error = DecodeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, DecodeError> {
        self.next += 1;
        let span = self.key.0.node.span;
        match self.next {
            1 => seed.deserialize(UsizeDeserializer::new(span.start)).map(Some),
            2 => seed.deserialize(UsizeDeserializer::new(span.end)).map(Some),
            3 => seed.deserialize(self.key).map(Some),
            _ => Ok(None),
        }
    }
}
