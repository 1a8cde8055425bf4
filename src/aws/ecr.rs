//! ECR: whether an image exists, and which repositories are caches of another registry.

use std::collections::BTreeSet;

use secrecy::SecretString;
use serde_json::{Value, json};

use crate::aws::error::CallError;
use crate::aws::operation::Client;
use crate::references::content::{Content, MEDIA_TYPES};
use crate::references::finding::Finding;
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

/// What a tag or a digest names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolved {
    /// This.
    Found(Content),
    /// Nothing.
    Missing(Finding),
    /// ECR does not say, and why.
    Failed(String),
}

impl Images {
    /// Wraps a client.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// Looks for an image.
    pub async fn find(&self, image: &Image) -> Result<Found, CallError> {
        let input =
            json!({ "registryId": image.registry, "repositoryName": image.repository, "imageIds": [id(image)] });
        match self.client.read("DescribeImages", input).await {
            Ok(_) => Ok(Found::There),
            Err(error) if error.is("ImageNotFoundException") => Ok(Found::NoImage),
            Err(error) if error.is("RepositoryNotFoundException") => Ok(Found::NoRepository),
            Err(error) => Err(error),
        }
    }

    /// Returns what an image's tag or digest names now.
    pub async fn resolve(&self, image: &Image) -> Result<Resolved, CallError> {
        let input = json!({
            "registryId": image.registry,
            "repositoryName": image.repository,
            "imageIds": [id(image)],
            "acceptedMediaTypes": MEDIA_TYPES,
        });
        let answer = match self.client.read("BatchGetImage", input).await {
            Err(error) if error.is("RepositoryNotFoundException") => {
                return Ok(Resolved::Missing(image.no_repository()));
            }
            answer => answer?,
        };
        let found = &answer["images"][0];
        if let Some(digest) = found["imageId"]["imageDigest"].as_str() {
            return Ok(Resolved::Found(Content::read(digest, found["imageManifest"].as_str().unwrap_or_default())));
        }
        let failure = &answer["failures"][0];
        let words = |member: &str| failure[member].as_str().unwrap_or_default().to_owned();
        Ok(match failure["failureCode"].as_str() {
            Some("ImageNotFound") | None => Resolved::Missing(image.missing()),
            Some(code) => Resolved::Failed(format!("{code}: {}", words("failureReason"))),
        })
    }

    /// Returns where a part of an image can be fetched from, by its digest: a URL that is a secret for as long as it holds.
    pub async fn locate(&self, image: &Image, digest: &str) -> Result<SecretString, CallError> {
        let input = json!({ "registryId": image.registry, "repositoryName": image.repository, "layerDigest": digest });
        let answer = self.client.read("GetDownloadUrlForLayer", input).await?;
        Ok(SecretString::from(answer["downloadUrl"].as_str().unwrap_or_default()))
    }

    /// Returns what becomes of an image's replication to a registry in a region: ECR's word, and why it failed.
    pub async fn replication(&self, image: &Image, to: (&str, &str)) -> Result<Option<String>, CallError> {
        let input = json!({ "registryId": image.registry, "repositoryName": image.repository, "imageId": id(image) });
        let answer = self.client.read("DescribeImageReplicationStatus", input).await?;
        let mut statuses = answer["replicationStatuses"].as_array().into_iter().flatten();
        let status = statuses.find(|status| status["registryId"] == to.0 && status["region"] == to.1);
        Ok(status.and_then(|status| {
            let word = status["status"].as_str()?;
            let code = status["failureCode"].as_str().map(|code| format!(" ({code})")).unwrap_or_default();
            Some(format!("{word}{code}"))
        }))
    }

    /// Returns the prefixes of a registry's pull through cache rules.
    pub async fn caches(&self, registry: &str) -> Result<BTreeSet<String>, CallError> {
        let input = json!({ "registryId": registry });
        let rules =
            self.client.list("DescribePullThroughCacheRules", input, "pullThroughCacheRules", "nextToken").await?;
        Ok(rules.iter().filter_map(|rule| rule["ecrRepositoryPrefix"].as_str().map(str::to_owned)).collect())
    }
}

fn id(image: &Image) -> Value {
    match &image.version {
        Version::Tag(tag) => json!({ "imageTag": tag }),
        Version::Digest(digest) => json!({ "imageDigest": digest }),
    }
}
