//! A selector: which targets something is for, by the labels of their account, and by account, region and service.
//!
//! AND across keys, OR within a list; `not` excludes. Knows nothing of waves or services, only what a target is.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

use crate::base::nearest::suggest;
use crate::manifest::fault::Context;
use crate::manifest::scalar::Scalar;
use crate::manifest::spanned::{OneOrMany, Span, Spanned};

/// What a selector knows besides labels; no label may have one of these names.
pub const OWN_KEYS: [&str; 4] = ["account", "region", "service", "not"];

/// Which targets: a mapping of labels, or of `account`, `region` and `service`, to a value or a list of values. A target
/// matches if every key matches, and a key matches if one of its values does. `not` takes another such mapping, and
/// excludes what that one matches.
#[derive(Clone, Debug, Default)]
pub struct Selector {
    keys: Vec<Key>,
    not: Option<Box<Spanned<Selector>>>,
}

#[derive(Clone, Debug)]
struct Key {
    name: String,
    span: Span,
    values: Spanned<OneOrMany<Scalar>>,
}

/// What a selector sees of a target.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// The account's name.
    pub account: &'a str,
    /// The account's labels.
    pub labels: &'a BTreeMap<String, String>,
    /// The region.
    pub region: &'a str,
    /// The service's name in the manifest.
    pub service: &'a str,
}

impl Selector {
    /// Whether a target matches.
    pub fn matches(&self, candidate: Candidate<'_>) -> bool {
        let selected = self.keys.iter().all(|key| {
            let value = match key.name.as_str() {
                "account" => Some(candidate.account),
                "region" => Some(candidate.region),
                "service" => Some(candidate.service),
                label => candidate.labels.get(label).map(String::as_str),
            };
            value.is_some_and(|value| key.words().any(|(_, word)| word == value))
        });
        let excluded = |not: &Spanned<Selector>| not.get().is_some_and(|not| not.matches(candidate));
        selected && !self.not.as_deref().is_some_and(excluded)
    }

    /// Records every key and value that no target can have. Returns whether there was none.
    pub fn check(&self, vocabulary: &Vocabulary, context: &Context) -> bool {
        let before = context.count();
        let mut whole = true;
        for key in &self.keys {
            let Some(known) = vocabulary.values(&key.name) else {
                let names = vocabulary.names();
                let message = format!("no account has the label `{}`", key.name);
                context.push(context.fault(key.span, message).help(suggest(&key.name, names.iter().copied())));
                continue;
            };
            whole &= key.values.get().is_some();
            for item in key.values.get().iter().flat_map(|values| &values.items) {
                match item.get().map(|Scalar(template)| (template.as_literal(), template.names())) {
                    None => whole = false,
                    Some((None, names)) => {
                        let name = names.first().copied().unwrap_or_default();
                        let message = format!("`${{{name}}}` is not known here");
                        let help = "only an environment variable, `${NAME}`, can be used in a selector";
                        context.push(context.fault(item.span, message).help(help));
                    }
                    Some((Some(word), _)) if vocabulary.complete && !known.contains(word) => {
                        let message = match key.name.as_str() {
                            "account" => format!("unknown account `{word}`"),
                            "region" => format!("no account is in the region `{word}`"),
                            "service" => format!("unknown service `{word}`"),
                            label => format!("no account has `{label}: {word}`"),
                        };
                        let help = suggest(word, known.iter().map(String::as_str));
                        context.push(context.fault(item.span, message).help(help));
                    }
                    Some(_) => {}
                }
            }
        }
        if let Some(not) = self.not.as_deref() {
            whole &= not.get().is_some_and(|not| not.check(vocabulary, context));
        }
        whole && context.count() == before
    }
}

impl Key {
    fn words(&self) -> impl Iterator<Item = (Span, &str)> {
        let items = self.values.get().map(|values| values.items.as_slice()).unwrap_or_default();
        items.iter().filter_map(|item| Some((item.span, item.get()?.0.as_literal()?)))
    }
}

/// Every word that a selector can use in this manifest.
#[derive(Clone, Debug, Default)]
pub struct Vocabulary {
    /// The values of each key: the labels, and `account`, `region` and `service`.
    keys: BTreeMap<String, BTreeSet<String>>,
    /// Whether every account and service could be read. If not, an unknown word may be one of theirs.
    pub complete: bool,
}

impl Vocabulary {
    /// Adds a value of a key.
    pub fn add(&mut self, key: &str, value: &str) {
        self.keys.entry(key.to_owned()).or_default().insert(value.to_owned());
    }

    /// Returns the values of a key. A key that no account has is known all the same while accounts are missing.
    fn values(&self, key: &str) -> Option<Cow<'_, BTreeSet<String>>> {
        let empty = || (!self.complete || OWN_KEYS.contains(&key)).then(|| Cow::Owned(BTreeSet::new()));
        self.keys.get(key).map(Cow::Borrowed).or_else(empty)
    }

    fn names(&self) -> Vec<&str> {
        let mut names: BTreeSet<&str> = self.keys.keys().map(String::as_str).collect();
        names.extend(OWN_KEYS);
        names.into_iter().collect()
    }
}

impl<'de> Deserialize<'de> for Selector {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;

        impl<'de> Visitor<'de> for Keys {
            type Value = Selector;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Selector, A::Error> {
                let mut selector = Selector::default();
                while let Some(key) = map.next_key::<Spanned<String>>()? {
                    match key.get() {
                        Some(name) if name == "not" => selector.not = Some(Box::new(map.next_value()?)),
                        Some(name) => {
                            let (name, span) = (name.clone(), key.span);
                            selector.keys.push(Key { name, span, values: map.next_value()? });
                        }
                        None => {
                            map.next_value::<serde::de::IgnoredAny>()?;
                        }
                    }
                }
                Ok(selector)
            }
        }

        deserializer.deserialize_map(Keys)
    }
}

impl JsonSchema for Selector {
    fn schema_name() -> Cow<'static, str> {
        "Selector".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let values = generator.subschema_for::<OneOrMany<Scalar>>();
        let mut not = generator.subschema_for::<Selector>();
        not.insert("description".to_owned(), "Leaves out the targets that match this.".into());
        json_schema!({
            "description": "Which targets: a mapping of labels, or of `account`, `region` and `service`, to a value or \
                a list of values. A target matches if every key matches, and a key matches if one of its values does.",
            "type": "object",
            "properties": { "not": not },
            "additionalProperties": values
        })
    }
}
