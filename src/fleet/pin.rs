//! How a new revision names its images: `REPOSITORY:TAG@DIGEST` where it is pinned.
//!
//! ECS takes that form, and pulls by the digest alone; its agent does, too (amazon-ecs-agent, pull request 4256).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fleet::image_ref::{ImageRef, LATEST};

/// How a new revision names the images that the manifest gives by a tag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Pin {
    /// As the manifest does.
    #[default]
    None,
    /// By the digest that the tag has when the run is planned, with the tag beside it.
    Digest,
}

/// Returns an image's name with a tag: that which Docker takes where there is none.
pub fn with_tag(image: &str) -> String {
    match ImageRef::parse(image) {
        ImageRef { tag: None, digest: None, .. } => format!("{image}:{LATEST}"),
        _ => image.to_owned(),
    }
}

/// Whether an image is another one, which has a tag, by that tag and a digest.
pub fn is_pinned(image: &str, tagged: &str) -> bool {
    image.split_once('@').is_some_and(|(name, _)| name == with_tag(tagged))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pinned_image_is_that_of_its_tag() {
        for (image, tagged, is_it) in [
            ("r/app:1@sha256:ab", "r/app:1", true),
            ("r/app:latest@sha256:ab", "r/app", true),
            ("r/app:1@sha256:ab", "r/app:2", false),
            ("r/app:1", "r/app:1", false),
            ("r:5000/app:latest@sha256:ab", "r:5000/app", true),
        ] {
            assert_eq!(is_pinned(image, tagged), is_it, "{image} {tagged}");
        }
    }
}
