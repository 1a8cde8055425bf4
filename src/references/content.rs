//! What an image is, by its manifest in a registry: an index of images for several platforms, or one image.

use std::fmt;

use serde_json::Value;

/// The forms of a manifest: of what a tag can name. One that is not asked for here would be translated, and with that have
/// another digest.
pub const MEDIA_TYPES: [&str; 4] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];

/// What a tag or a digest names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// Its digest: that of the index where it has one.
    pub digest: String,
    /// What it can run on; empty where that is not known.
    pub platforms: Vec<Platform>,
}

/// An operating system and an architecture, as registries name them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Platform {
    /// `linux` or `windows`.
    pub os: String,
    /// `amd64`, `arm64` and others.
    pub architecture: String,
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)
    }
}

impl Content {
    /// Reads a manifest.
    pub fn read(digest: &str, manifest: &str) -> Self {
        let manifest: Value = serde_json::from_str(manifest).unwrap_or_default();
        let listed = manifest["manifests"].as_array().into_iter().flatten();
        let mut platforms: Vec<Platform> = listed.filter_map(|one| Platform::read(&one["platform"])).collect();
        platforms.sort();
        platforms.dedup();
        Self { digest: digest.to_owned(), platforms }
    }
}

impl Platform {
    /// Reads it from what has `os` and `architecture`. What is no platform, as of an attestation beside the images, is none.
    fn read(value: &Value) -> Option<Self> {
        let part = |name: &str| value[name].as_str().filter(|part| *part != "unknown").map(str::to_owned);
        Some(Self { os: part("os")?, architecture: part("architecture")? })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_index_says_what_it_runs_on() {
        let platform = |os: &str, architecture: &str| json!({ "platform": { "os": os, "architecture": architecture } });
        let index = json!({ "manifests": [
            platform("linux", "arm64"), platform("linux", "amd64"), platform("unknown", "unknown"), {},
        ] });
        let content = Content::read("sha256:ab", &index.to_string());
        let names: Vec<String> = content.platforms.iter().map(ToString::to_string).collect();
        assert_eq!(names, ["linux/amd64", "linux/arm64"]);
        assert_eq!(Content::read("sha256:ab", "{}").platforms, []);
    }
}
