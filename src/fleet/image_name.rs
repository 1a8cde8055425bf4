//! An image's name, taken apart.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A container's image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Image {
    /// As the task definition has it.
    pub image: String,
    /// Its tag; absent where only a digest is given, or nothing at all.
    pub tag: Option<String>,
    /// Its digest.
    pub digest: Option<String>,
}

impl Image {
    /// Takes an image's name apart. A port of the registry's host is no tag.
    pub fn read(image: &str) -> Self {
        let (name, digest) = match image.split_once('@') {
            Some((name, digest)) => (name, Some(digest.to_owned())),
            None => (image, None),
        };
        let tag = name.rsplit_once(':').map(|(_, tag)| tag).filter(|tag| !tag.contains('/'));
        Self { image: image.to_owned(), tag: tag.map(str::to_owned), digest }
    }
}
