//! `task_definition:` as it is written: the path of a file, or a file or revision with what is set in it.
//!
//! The file itself is `taskdef.rs`'s.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};

use crate::manifest::interpolate::Template;
use crate::manifest::patch::Patch;
use crate::manifest::scalar::Count;
use crate::manifest::spanned::Spanned;

/// Tells the decoder that a text is a path, and a mapping a file or a revision.
pub const DEFINITION_SOURCE: &str = "$definition_source";

/// Where a task definition comes from.
#[derive(Clone, Debug)]
pub enum DefinitionSource {
    /// The path of a file.
    Path(Template),
    /// A file or an existing revision, and what is set in it.
    Written(Box<Definition>),
}

/// A task definition to start from, and what is set in it. With neither `file` nor `family` that is the revision that runs now.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// The path of a file, as `task_definition: PATH` names it.
    pub file: Option<Spanned<Template>>,
    /// The family of an existing revision.
    pub family: Option<Spanned<Template>>,
    /// Its number. Default: the family's newest ACTIVE revision.
    pub revision: Option<Spanned<Count>>,
    /// Members of the task definition that get other values, as in `overrides`.
    pub set: Option<Spanned<Patch>>,
}

impl DefinitionSource {
    /// Returns what is set in it.
    pub fn set(&self) -> Option<&Spanned<Patch>> {
        match self {
            Self::Path(_) => None,
            Self::Written(written) => written.set.as_ref(),
        }
    }
}

impl<'de> Deserialize<'de> for DefinitionSource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = DefinitionSource;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a path, a file or a revision")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<DefinitionSource, E> {
                let template = Template::parse(text);
                let template =
                    template.map_err(|problem| E::custom(format!("{}\n{}", problem.message, problem.help)))?;
                Ok(DefinitionSource::Path(template))
            }

            fn visit_newtype_struct<D: Deserializer<'de>>(self, mapping: D) -> Result<DefinitionSource, D::Error> {
                Definition::deserialize(mapping).map(Box::new).map(DefinitionSource::Written)
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
        let written = generator.subschema_for::<Definition>();
        json_schema!({ "anyOf": [{ "type": "string" }, written] })
    }
}
