//! `set:` as it is written: members of a task definition that get other values, each with its place.
//!
//! A JSON merge patch (RFC 7396), but for containers, which are named instead of listed. What the values mean,
//! `check/patch.rs` and AWS's model say.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Number;

use crate::manifest::interpolate::Template;
use crate::manifest::spanned::{Entries, Entry, Span, Spanned};
use crate::task_definition::Step;

/// The members that get other values.
#[derive(Clone, Debug)]
pub struct Patch(pub Entries<Part>);

/// A value of a patch.
#[derive(Clone, Debug)]
pub enum Part {
    /// Takes the member out.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(Number),
    /// Text, with its references.
    Text(Template),
    /// A list, which takes the place of another as a whole.
    List(Vec<Spanned<Part>>),
    /// Members, which are merged.
    Map(Entries<Part>),
}

impl Patch {
    /// Returns the containers.
    pub fn containers(&self) -> &[Entry<Part>] {
        let list = self.0.0.iter().find(|entry| entry.key == "containerDefinitions");
        match list.and_then(|list| list.value.get()) {
            Some(Part::Map(containers)) => &containers.0,
            _ => &[],
        }
    }

    /// Returns the place of a member; that of the nearest one around it where the patch replaces more than it.
    pub fn find(&self, path: &[Step]) -> Option<Span> {
        let (mut members, mut found) = (&self.0, None);
        for step in path {
            let Step::Member(name) = step else { break };
            let entry = members.0.iter().find(|entry| entry.key == *name)?;
            found = Some(entry.value.span);
            match entry.value.get() {
                Some(Part::Map(inner)) => (members, found) = (inner, None),
                _ => break,
            }
        }
        found
    }
}

impl<'de> Deserialize<'de> for Patch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Entries::deserialize(deserializer).map(Self)
    }
}

impl<'de> Deserialize<'de> for Part {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;

        impl<'de> Visitor<'de> for Any {
            type Value = Part;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_unit<E: Error>(self) -> Result<Part, E> {
                Ok(Part::Null)
            }

            fn visit_bool<E: Error>(self, value: bool) -> Result<Part, E> {
                Ok(Part::Bool(value))
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<Part, E> {
                Ok(Part::Number(value.into()))
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<Part, E> {
                Number::from_f64(value).map(Part::Number).ok_or_else(|| E::custom("this is no number of JSON"))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Part, E> {
                let template = Template::parse(text);
                template.map(Part::Text).map_err(|problem| E::custom(format!("{}\n{}", problem.message, problem.help)))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Part, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element()? {
                    list.push(item);
                }
                Ok(Part::List(list))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Part, A::Error> {
                Entries::deserialize(MapAccessDeserializer::new(map)).map(Part::Map)
            }
        }

        deserializer.deserialize_any(Any)
    }
}

impl JsonSchema for Patch {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Patch".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let containers = json_schema!({
            "type": "object",
            "additionalProperties": { "type": ["object", "null"] }
        });
        json_schema!({ "type": "object", "properties": { "containerDefinitions": containers } })
    }
}
