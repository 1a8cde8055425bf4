//! A container image in a private registry of ECR, by the name that Docker knows it by.

use std::fmt;

use crate::fleet::image_ref::{ImageRef, LATEST};
use crate::references::finding::Finding;

/// An image in ECR.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Image {
    /// The region of the registry.
    pub region: String,
    /// The account whose registry it is.
    pub registry: String,
    /// The registry's host, as it is written.
    host: String,
    /// The repository's name, which may have slashes.
    pub repository: String,
    /// Which of its images.
    pub version: Version,
}

/// Which image of a repository.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Version {
    /// The one that has the tag now.
    Tag(String),
    /// The one of that digest: `sha256:…`.
    Digest(String),
}

impl Image {
    /// Reads `ACCOUNT.dkr.ecr.REGION.amazonaws.com/REPOSITORY:TAG@DIGEST`, of every partition, with FIPS and dual-stack
    /// endpoints; `None` for any other registry. Where there is a digest the tag says nothing, as for Docker.
    pub fn read(name: &str) -> Option<Self> {
        let ImageRef { registry: host, repository, tag, digest, .. } = ImageRef::parse(name);
        let host = host?;
        let (registry, endpoint) = host.split_once('.')?;
        let region = match endpoint.strip_prefix("dkr.ecr.").or_else(|| endpoint.strip_prefix("dkr.ecr-fips.")) {
            Some(rest) => rest.strip_suffix(".amazonaws.com").or_else(|| rest.strip_suffix(".amazonaws.com.cn")),
            None => {
                let rest = endpoint.strip_prefix("dkr-ecr.").or_else(|| endpoint.strip_prefix("dkr-ecr-fips."));
                rest.and_then(|rest| {
                    rest.strip_suffix(".on.aws").or_else(|| rest.strip_suffix(".on.amazonwebservices.com.cn"))
                })
            }
        }?;
        let is_account = registry.len() == 12 && registry.bytes().all(|byte| byte.is_ascii_digit());
        if !is_account || region.is_empty() || region.contains('.') || repository.is_empty() {
            return None;
        }
        Some(Self {
            region: region.to_owned(),
            registry: registry.to_owned(),
            host: host.to_owned(),
            repository: repository.to_owned(),
            version: match digest {
                Some(digest) => Version::Digest(digest.to_owned()),
                None => Version::Tag(tag.unwrap_or(LATEST).to_owned()),
            },
        })
    }

    /// Says that its repository does not exist.
    pub fn no_repository(&self) -> Finding {
        let reason = format!("the image {self} does not exist in ECR: there is no repository {}", self.repository);
        Finding::new(reason, HELP)
    }

    /// Says that its repository does not have it.
    pub fn missing(&self) -> Finding {
        Finding::new(format!("the image {self} does not exist in ECR"), HELP)
    }

    /// Whether its repository is filled from another registry when somebody pulls, by a pull through cache rule with this
    /// prefix: then that it is not there yet means nothing.
    pub fn is_cached_by(&self, prefix: &str) -> bool {
        prefix == "ROOT" || self.repository.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('/'))
    }
}

const HELP: &str = "push it before it is deployed, or correct the image";

impl fmt::Display for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, repository, .. } = self;
        match &self.version {
            Version::Tag(tag) => write!(f, "{host}/{repository}:{tag}"),
            Version::Digest(digest) => write!(f, "{host}/{repository}@{digest}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_ecr_are_read() {
        let tag = |tag: &str| Version::Tag(tag.to_owned());
        for (name, region, repository, version) in [
            ("111111111111.dkr.ecr.eu-west-1.amazonaws.com/api:1.2", "eu-west-1", "api", tag("1.2")),
            ("111111111111.dkr.ecr.eu-west-1.amazonaws.com/team/shop/api", "eu-west-1", "team/shop/api", tag("latest")),
            ("111111111111.dkr.ecr.cn-north-1.amazonaws.com.cn/api:1", "cn-north-1", "api", tag("1")),
            ("111111111111.dkr.ecr-fips.us-gov-west-1.amazonaws.com/api:1", "us-gov-west-1", "api", tag("1")),
            ("111111111111.dkr-ecr.eu-west-1.on.aws/api:1", "eu-west-1", "api", tag("1")),
            (
                "111111111111.dkr.ecr.eu-west-1.amazonaws.com/api:1@sha256:ab",
                "eu-west-1",
                "api",
                Version::Digest("sha256:ab".to_owned()),
            ),
        ] {
            let image = Image::read(name).expect(name);
            assert_eq!((&*image.region, &*image.repository, &image.version), (region, repository, &version), "{name}");
            assert_eq!(image.registry, "111111111111", "{name}");
        }
    }

    #[test]
    fn other_registries_are_not_ecrs() {
        for name in [
            "nginx",
            "nginx:1",
            "registry.example.com/api:1",
            "public.ecr.aws/nginx/nginx:1",
            "1111.dkr.ecr.eu-west-1.amazonaws.com/api:1",
            "111111111111.dkr.ecr.eu-west-1.example.com/api:1",
            "111111111111.dkr.ecr.eu-west-1.amazonaws.com/",
            "111111111111.dkr.ecr..amazonaws.com/api",
            "localhost:5000/api",
        ] {
            assert_eq!(Image::read(name), None, "{name}");
        }
    }

    #[test]
    fn a_pull_through_cache_covers_what_is_below_its_prefix() {
        let image = Image::read("111111111111.dkr.ecr.eu-west-1.amazonaws.com/hub/library/nginx:1").expect("an image");
        for (prefix, covers) in [("hub", true), ("hub/library", true), ("ROOT", true), ("hu", false), ("quay", false)] {
            assert_eq!(image.is_cached_by(prefix), covers, "{prefix}");
        }
    }
}
