//! ECR: whether an image exists, and which repositories are caches of another registry.

use std::collections::BTreeSet;

use serde_json::json;

use crate::aws::error::CallError;
use crate::aws::operation::Client;
use crate::references::image::{Image, Version};

/// The registries of one region, as one account may see them.
#[derive(Clone, Debug)]
pub struct Images {
    client: Client,
}

/// What there is of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// All of it.
    There,
    /// Its repository.
    NoImage,
    /// Nothing.
    NoRepository,
}

impl Images {
    /// Wraps a client.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// Looks for an image.
    pub async fn find(&self, image: &Image) -> Result<Found, CallError> {
        let wanted = match &image.version {
            Version::Tag(tag) => json!({ "imageTag": tag }),
            Version::Digest(digest) => json!({ "imageDigest": digest }),
        };
        let input = json!({ "registryId": image.registry, "repositoryName": image.repository, "imageIds": [wanted] });
        match self.client.read("DescribeImages", input).await {
            Ok(_) => Ok(Found::There),
            Err(error) if error.is("ImageNotFoundException") => Ok(Found::NoImage),
            Err(error) if error.is("RepositoryNotFoundException") => Ok(Found::NoRepository),
            Err(error) => Err(error),
        }
    }

    /// Returns the prefixes of a registry's pull through cache rules.
    pub async fn caches(&self, registry: &str) -> Result<BTreeSet<String>, CallError> {
        let input = json!({ "registryId": registry });
        let rules =
            self.client.list("DescribePullThroughCacheRules", input, "pullThroughCacheRules", "nextToken").await?;
        Ok(rules.iter().filter_map(|rule| rule["ecrRepositoryPrefix"].as_str().map(str::to_owned)).collect())
    }
}
