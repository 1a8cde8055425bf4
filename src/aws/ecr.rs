//! ECR: whether an image exists, and which repositories are caches of another registry.

use std::collections::BTreeSet;

use aws_sdk_ecr::Client;
use aws_sdk_ecr::types::ImageIdentifier;

use crate::aws::error::CallError;
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
            Version::Tag(tag) => ImageIdentifier::builder().image_tag(tag),
            Version::Digest(digest) => ImageIdentifier::builder().image_digest(digest),
        };
        let request = self.client.describe_images().registry_id(&image.registry).repository_name(&image.repository);
        let answer = request.image_ids(wanted.build()).send().await;
        match answer.map_err(|error| CallError::new("DescribeImages", &error)) {
            Ok(_) => Ok(Found::There),
            Err(error) if error.is("ImageNotFoundException") => Ok(Found::NoImage),
            Err(error) if error.is("RepositoryNotFoundException") => Ok(Found::NoRepository),
            Err(error) => Err(error),
        }
    }

    /// Returns the prefixes of a registry's pull through cache rules.
    pub async fn caches(&self, registry: &str) -> Result<BTreeSet<String>, CallError> {
        let mut pages = self.client.describe_pull_through_cache_rules().registry_id(registry).into_paginator().send();
        let mut prefixes = BTreeSet::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| CallError::new("DescribePullThroughCacheRules", &error))?;
            let rules = page.pull_through_cache_rules.unwrap_or_default();
            prefixes.extend(rules.into_iter().filter_map(|rule| rule.ecr_repository_prefix));
        }
        Ok(prefixes)
    }
}
