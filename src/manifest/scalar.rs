//! Scalars of the manifest that mean more than their text: templates, amounts, durations, JSON.
//!
//! Each one says in its schema what may be written. Nothing here knows where in the manifest it stands.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::{Serialize, Serializer};

use crate::fleet::Amount;
use crate::manifest::interpolate::Template;

/// Tells the decoder that references to the target's own names may stay in the text.
pub const TEMPLATE: &str = "$template";
/// Tells the decoder the same, and that a number, `true` or `false` stands for its own text.
pub const SCALAR: &str = "$scalar";

struct Printed;

impl Visitor<'_> for Printed {
    type Value = Template;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Template, E> {
        Template::parse(text).map_err(|problem| E::custom(format!("{}\n{}", problem.message, problem.help)))
    }
}

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(TEMPLATE, Printed)
    }
}

impl Serialize for Template {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Template {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Template".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string" })
    }
}

/// Text that may be written as a number, `true` or `false`: it is taken just as it stands, so `1.10` stays `1.10`.
#[derive(Clone, Debug, Default)]
pub struct Scalar(pub Template);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(SCALAR, Printed).map(Self)
    }
}

impl JsonSchema for Scalar {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Scalar".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "number", "boolean"] })
    }
}

/// Text with no reference to a target left in it, from whatever scalar stands there.
struct Plain(String);

impl<'de> Deserialize<'de> for Plain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Scalar(template) = Scalar::deserialize(deserializer)?;
        let name = template.first_reference();
        match (template.as_literal(), name) {
            (Some(text), _) => Ok(Self(text.to_owned())),
            (None, name) => Err(D::Error::custom(format!(
                "`${{{}}}` is not known here\nonly an environment variable, `${{NAME}}`, can be used here",
                name.unwrap_or_default()
            ))),
        }
    }
}

/// A whole number that may come from a variable, such as `${CANARY_SIZE:-1}`, or from the target.
#[derive(Clone, Debug)]
pub struct Count(pub Template);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Scalar(template) = Scalar::deserialize(deserializer)?;
        // A variable that is not set stays open where nothing needs its value.
        if let Some(text) = template.as_literal().filter(|text| !text.starts_with("${")) {
            parse_count(text).map_err(D::Error::custom)?;
        }
        Ok(Self(template))
    }
}

impl JsonSchema for Count {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Count".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [{ "type": "integer", "minimum": 0 }, { "type": "string", "pattern": "^[0-9]+$|\\$\\{" }]
        })
    }
}

/// Reads a whole number; the error's second line says what to do.
pub fn parse_count(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| format!("`{text}` is not a whole number\nwrite a number such as 2"))
}

/// `true` or `false`, which may come from a variable, such as `${PROTECTED:-true}`.
#[derive(Clone, Copy, Debug)]
pub struct Flag(pub bool);

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Plain(text) = Plain::deserialize(deserializer)?;
        let wrong = |_| D::Error::custom(format!("`{text}` is neither true nor false\nwrite `true` or `false`"));
        text.parse().map(Self).map_err(wrong)
    }
}

impl JsonSchema for Flag {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Flag".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [{ "type": "boolean" }, { "type": "string", "pattern": "^(true|false)$|\\$\\{" }] })
    }
}

/// A number of targets, or a percentage of a wave.
#[derive(Clone, Copy, Debug)]
pub struct AmountValue(pub Amount);

impl<'de> Deserialize<'de> for AmountValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Plain(text) = Plain::deserialize(deserializer)?;
        parse_amount(&text).map(Self).map_err(D::Error::custom)
    }
}

impl JsonSchema for AmountValue {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Amount".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [{ "type": "integer", "minimum": 0 }, { "type": "string", "pattern": "^[0-9]+%?$|\\$\\{" }]
        })
    }
}

fn parse_amount(text: &str) -> Result<Amount, String> {
    let wrong =
        || format!("`{text}` is not an amount\nwrite a number of targets, `5`, or a percentage of the wave, `25%`");
    match text.strip_suffix('%') {
        Some(percent) => match percent.trim().parse::<u8>() {
            Ok(percent) if percent <= 100 => Ok(Amount::Percent(percent)),
            _ => Err(format!("`{text}` is not a percentage\nwrite `0%` to `100%`, in whole numbers")),
        },
        None => text.parse().map(Amount::Count).map_err(|_| wrong()),
    }
}

/// A length of time: `90s`, `10m`, `1h30m`; a bare number is seconds.
#[derive(Clone, Copy, Debug)]
pub struct DurationValue(pub Duration);

impl<'de> Deserialize<'de> for DurationValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Plain(text) = Plain::deserialize(deserializer)?;
        parse_duration(&text).map(Self).map_err(D::Error::custom)
    }
}

impl JsonSchema for DurationValue {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                { "type": "integer", "minimum": 0 },
                { "type": "string", "pattern": "^([0-9]+ *(ms|s|sec|m|min|h|d) *)+$|^[0-9]+$|\\$\\{" }
            ]
        })
    }
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    // A year: longer is a typing error, and nothing downstream can overflow.
    let longest = Duration::from_secs(365 * 24 * 3600);
    let parsed = match text.parse::<u64>() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => humantime::parse_duration(text).ok(),
    };
    parsed
        .filter(|duration| *duration <= longest)
        .ok_or_else(|| format!("`{text}` is not a duration\nwrite `90s`, `10m` or `1h30m`; a bare number is seconds"))
}

/// A JSON document, written inline as YAML or as one string of JSON.
#[derive(Clone, Debug)]
pub struct Json(pub serde_json::Value);

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde_json::Value::deserialize(deserializer).map(Self)
    }
}

impl JsonSchema for Json {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Json".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["object", "string"] })
    }
}
