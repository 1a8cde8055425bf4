//! `images:` as it is written: an image, or the account in which the service runs the one to deploy.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};

use crate::manifest::interpolate::Template;
use crate::manifest::spanned::Spanned;

/// Tells the decoder that a text is an image, and a mapping where it runs.
pub const IMAGE_SOURCE: &str = "$image_source";

/// Where a container's image comes from.
#[derive(Clone, Debug)]
pub enum ImageSource {
    /// The image itself.
    Image(Template),
    /// The same service in another account.
    Running(Running),
}

/// An image that runs elsewhere.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Running {
    /// Where the same service runs the image, in the container of the same name.
    #[schemars(required)]
    pub from: Option<Spanned<RunningIn>>,
}

/// Where the same service runs an image.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunningIn {
    /// The account, by its name in the manifest.
    #[schemars(required)]
    pub account: Option<Spanned<String>>,
    /// The region. Default: the target's own, or the only one that the service has in that account.
    pub region: Option<Spanned<String>>,
}

impl<'de> Deserialize<'de> for ImageSource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = ImageSource;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an image, or where it runs")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<ImageSource, E> {
                let template = Template::parse(text);
                let template =
                    template.map_err(|problem| E::custom(format!("{}\n{}", problem.message, problem.help)))?;
                Ok(ImageSource::Image(template))
            }

            fn visit_newtype_struct<D: Deserializer<'de>>(self, mapping: D) -> Result<ImageSource, D::Error> {
                Running::deserialize(mapping).map(ImageSource::Running)
            }
        }

        deserializer.deserialize_newtype_struct(IMAGE_SOURCE, Either)
    }
}

impl JsonSchema for ImageSource {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "ImageSource".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let running = generator.subschema_for::<Running>();
        json_schema!({ "anyOf": [{ "type": "string" }, running] })
    }
}
