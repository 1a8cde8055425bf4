//! ECR: DescribeImages and DescribePullThroughCacheRules. An image is its tag or digest and nothing more.

use serde_json::{Value, json};

use crate::references::image::{Image, Version};
use crate::references::need::Need;
use crate::sandbox::account::partition;
use crate::sandbox::ecs::text_of;
use crate::sandbox::moment::epoch;
use crate::sandbox::wire::AwsError;
use crate::sandbox::world::{Call, World};

/// Returns the repository's ARN.
pub(crate) fn resource(call: &Call, input: &Value) -> String {
    match text_of(input, "repositoryName") {
        Some(name) => {
            let (partition, region) = (partition(&call.region), &call.region);
            format!("arn:{partition}:ecr:{region}:{}:repository/{name}", registry(call, input))
        }
        None => "*".to_owned(),
    }
}

fn registry<'a>(call: &'a Call, input: &'a Value) -> &'a str {
    text_of(input, "registryId").unwrap_or(&call.account)
}

pub(crate) fn images(world: &mut World, call: &Call, input: &Value) -> Result<Value, AwsError> {
    let registry = registry(call, input);
    let name = text_of(input, "repositoryName").unwrap_or_default();
    let things: Vec<&Image> = world
        .things(registry)
        .filter_map(|(need, _)| match need {
            Need::Image(image) if image.region == call.region && image.repository == name => Some(image),
            _ => None,
        })
        .collect();
    if things.is_empty() {
        let text = format!("The repository with name '{name}' does not exist in the registry with id '{registry}'");
        return Err(AwsError::new("RepositoryNotFoundException", text));
    }
    let found: Vec<&Image> = match input.get("imageIds").and_then(Value::as_array) {
        None => things,
        Some(ids) => {
            let find = |id: &Value| {
                let wanted = |image: &&&Image| match &image.version {
                    Version::Tag(tag) => text_of(id, "imageTag") == Some(tag),
                    Version::Digest(digest) => text_of(id, "imageDigest") == Some(digest),
                };
                things.iter().find(wanted).copied().ok_or_else(|| {
                    let part = |key| text_of(id, key).unwrap_or("null");
                    let text = format!(
                        "The image with imageId {{imageDigest:'{}', imageTag:'{}'}} does not exist within the repository \
                         with name '{name}' in the registry with id '{registry}'",
                        part("imageDigest"),
                        part("imageTag")
                    );
                    AwsError::new("ImageNotFoundException", text)
                })
            };
            ids.iter().map(find).collect::<Result<_, _>>()?
        }
    };
    let details = found.into_iter().map(|image| {
        let (digest, tags) = match &image.version {
            Version::Tag(tag) => (format!("sha256:{}", world.chance.hex(64, &image.to_string())), vec![tag]),
            Version::Digest(digest) => (digest.clone(), Vec::new()),
        };
        json!({
            "registryId": registry,
            "repositoryName": name,
            "imageDigest": digest,
            "imageTags": tags,
            "imageSizeInBytes": 41_943_040,
            "imagePushedAt": epoch(call.now),
        })
    });
    Ok(json!({ "imageDetails": details.collect::<Vec<_>>() }))
}

pub(crate) fn caches(world: &mut World, call: &Call, input: &Value) -> Result<Value, AwsError> {
    let registry = registry(call, input);
    let prefixes = world.things.caches.get(&(registry.to_owned(), call.region.clone()));
    let rules = prefixes.into_iter().flatten().map(|prefix| {
        json!({
            "ecrRepositoryPrefix": prefix,
            "upstreamRegistryUrl": "registry-1.docker.io",
            "createdAt": epoch(call.now),
            "registryId": registry,
        })
    });
    Ok(json!({ "pullThroughCacheRules": rules.collect::<Vec<_>>() }))
}
