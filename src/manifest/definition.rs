//! `task_definition:` as it is written: the path of a file, or a revision that exists.
//!
//! The file itself is `taskdef.rs`'s.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};

use crate::manifest::interpolate::Template;
use crate::manifest::scalar::Count;
use crate::manifest::spanned::Spanned;

/// Tells the decoder that a text is a path, and a mapping a revision.
pub const DEFINITION_SOURCE: &str = "$definition_source";

/// Where a task definition comes from.
#[derive(Clone, Debug)]
pub enum DefinitionSource {
    /// The path of a file.
    File(Template),
    /// An existing revision.
    Revision(ExistingRevision),
}

/// An existing revision.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExistingRevision {
    /// The family.
    #[schemars(required)]
    pub family: Option<Spanned<Template>>,
    /// The number. Default: the family's newest ACTIVE revision.
    pub revision: Option<Spanned<Count>>,
}

impl<'de> Deserialize<'de> for DefinitionSource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = DefinitionSource;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a path or a revision")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<DefinitionSource, E> {
                let template = Template::parse(text);
                let template =
                    template.map_err(|problem| E::custom(format!("{}\n{}", problem.message, problem.help)))?;
                Ok(DefinitionSource::File(template))
            }

            fn visit_newtype_struct<D: Deserializer<'de>>(self, mapping: D) -> Result<DefinitionSource, D::Error> {
                ExistingRevision::deserialize(mapping).map(DefinitionSource::Revision)
            }
        }

        deserializer.deserialize_newtype_struct(DEFINITION_SOURCE, Either)
    }
}

impl JsonSchema for DefinitionSource {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "DefinitionSource".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let revision = generator.subschema_for::<ExistingRevision>();
        json_schema!({ "anyOf": [{ "type": "string" }, revision] })
    }
}
