//! What an image is, by its manifest in a registry: an index of images for several platforms, or one image.

use std::fmt;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::base::text::hex;
use crate::references::finding::Finding;

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
    /// The digest of its configuration, which says what it runs on where it is one image and no index.
    pub configuration: Option<String>,
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
        let configuration = manifest["config"]["digest"].as_str().map(str::to_owned);
        Self { digest: digest.to_owned(), platforms, configuration }
    }

    /// Makes one of which nothing but its digest is known.
    pub fn named(digest: &str) -> Self {
        Self { digest: digest.to_owned(), platforms: Vec::new(), configuration: None }
    }

    /// Takes what one image runs on from its configuration, unless that is another one than its digest is of.
    pub fn configure(&mut self, configuration: &[u8]) {
        if self.configuration.as_deref() == Some(&digest_of(configuration))
            && let Ok(configuration) = serde_json::from_slice::<Value>(configuration)
        {
            self.platforms.extend(Platform::read(&configuration));
        }
    }

    /// Says that tasks of a platform cannot run an image, where that is known.
    pub fn misfit(&self, name: &str, wanted: &Platform) -> Option<Finding> {
        if self.platforms.is_empty() || self.platforms.contains(wanted) {
            return None;
        }
        let known: Vec<String> = self.platforms.iter().map(ToString::to_string).collect();
        let reason = format!("the image {name} has only {}, and the task needs {wanted}", known.join(", "));
        let help = format!("build it for {wanted}, or correct `runtimePlatform` in the task definition");
        Some(Finding::new(reason, help))
    }
}

/// Returns the digest of what a registry keeps, as registries write it: `sha256:` and 64 hexadecimal digits.
pub fn digest_of(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(&Sha256::digest(bytes)))
}

impl Platform {
    /// Returns what tasks of a definition run on. `None` where that is not known: on EC2, without `runtimePlatform`.
    pub fn wanted(definition: &Value) -> Option<Self> {
        let platform = &definition["runtimePlatform"];
        let part = |name: &str| platform[name].as_str().filter(|part| !part.is_empty());
        let mut compatible = definition["requiresCompatibilities"].as_array().into_iter().flatten();
        let is_fargate = compatible.any(|one| one == "FARGATE");
        let architecture = match part("cpuArchitecture") {
            Some("X86_64") => "amd64",
            Some("ARM64") => "arm64",
            None if is_fargate => "amd64",
            _ => return None,
        };
        let os = match part("operatingSystemFamily") {
            Some(family) if family.starts_with("WINDOWS") => "windows",
            Some("LINUX") => "linux",
            None if is_fargate => "linux",
            _ => return None,
        };
        Some(Self { os: os.to_owned(), architecture: architecture.to_owned() })
    }

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
        let configuration = json!({ "os": "linux", "architecture": "arm64", "variant": "v8" }).to_string();
        let digest = digest_of(configuration.as_bytes());
        let mut one = Content::read("sha256:ab", &json!({ "config": { "digest": digest } }).to_string());
        assert_eq!((one.platforms.len(), one.configuration.as_ref()), (0, Some(&digest)));
        one.configure(configuration.replace("arm64", "amd64").as_bytes());
        assert_eq!(one.platforms, [], "the digest is of another one");
        one.configure(configuration.as_bytes());
        assert_eq!(one.platforms[0].to_string(), "linux/arm64");
    }

    #[test]
    fn fargate_is_linux_on_amd64_unless_the_definition_says_so_and_ec2_is_not_known() {
        let wanted = |platform: Value, fargate: bool| {
            let compatible = if fargate { json!(["FARGATE"]) } else { json!(["EC2"]) };
            let definition = json!({ "runtimePlatform": platform, "requiresCompatibilities": compatible });
            Platform::wanted(&definition).map(|platform| platform.to_string())
        };
        let arm = json!({ "cpuArchitecture": "ARM64" });
        let whole = json!({ "cpuArchitecture": "X86_64", "operatingSystemFamily": "WINDOWS_SERVER_2022_CORE" });
        for (platform, fargate, known) in [
            (Value::Null, true, Some("linux/amd64")),
            (Value::Null, false, None),
            (arm.clone(), true, Some("linux/arm64")),
            (arm, false, None),
            (whole, false, Some("windows/amd64")),
        ] {
            assert_eq!(wanted(platform.clone(), fargate).as_deref(), known, "{platform} {fargate}");
        }
    }
}
