//! ECR: what is read of images, their replication and pull through caches. An image has an index, or a manifest and its
//! configuration, and no layers.

use ring::digest::{SHA256, digest};
use serde_json::{Value, json};

use crate::base::text::hex;
use crate::fleet::image_ref::ImageRef;
use crate::references::image::{Image, Version};
use crate::references::need::Need;
use crate::sandbox::Sandbox;
use crate::sandbox::account::partition;
use crate::sandbox::ecs::{list_of, text_of};
use crate::sandbox::fault::Fault;
use crate::sandbox::moment::{epoch, millis};
use crate::sandbox::wire::{Answer, AwsError, Request};
use crate::sandbox::world::{Call, World};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// The configuration of an image without an index, and where it is kept.
const CONFIGURATION: &str = r#"{"architecture":"arm64","os":"linux"}"#;
const LAYERS: &str = "/layers/";

/// An image as it is stored.
struct Stored<'a> {
    /// Its tag, while that names it.
    tag: Option<&'a str>,
    digest: String,
    /// Its index or its manifest, unless only its digest is known.
    manifest: String,
}

impl Sandbox {
    /// Pushes an image to ECR, by its name with a tag: the tag moves from what it named before, which stays.
    pub fn push_image(&self, name: &str, content: &str) {
        let Some(image) = Image::read(name) else { return };
        let mut world = self.world();
        world.add_thing(&image.registry.clone(), Need::Image(image.clone()));
        world.things.pushed.entry(image).or_default().push(content.to_owned());
    }
}

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

/// Returns what a repository stores; where there is no such repository, AWS's words for that.
fn repository<'a>(world: &'a World, call: &Call, input: &Value) -> Result<Vec<Stored<'a>>, AwsError> {
    let registry = registry(call, input);
    let name = text_of(input, "repositoryName").unwrap_or_default();
    let own = world.things.listed(registry).filter_map(|need| match need {
        Need::Image(image) if image.region == call.region && image.repository == name => Some(image),
        _ => None,
    });
    let there: Vec<&Image> = own.filter(|image| is_there(world, call, image)).collect();
    if there.is_empty() {
        let text = format!("The repository with name '{name}' does not exist in the registry with id '{registry}'");
        return Err(AwsError::new("RepositoryNotFoundException", text));
    }
    Ok(there.into_iter().flat_map(|image| stored(world, image)).collect())
}

/// Whether no fault keeps an image from being there.
fn is_there(world: &World, call: &Call, image: &Image) -> bool {
    world.image_faults(image).iter().all(|fault| match fault {
        Fault::ImageMissing => false,
        Fault::ImageLate(late) => call.now >= world.begun + millis(*late),
        _ => true,
    })
}

/// Returns what a tag names, and what it named before.
fn stored<'a>(world: &World, image: &'a Image) -> Vec<Stored<'a>> {
    let tag = match &image.version {
        Version::Tag(tag) => tag.as_str(),
        Version::Digest(digest) => {
            return vec![Stored { tag: None, digest: digest.clone(), manifest: String::new() }];
        }
    };
    let faults = world.image_faults(image);
    let differs = if faults.contains(&Fault::ImageDiffers) { &image.registry } else { "" };
    let is_single = faults.contains(&Fault::ImageArm64);
    // A replica has the contents of the original, in whatever account it is.
    let first = format!("{}:{tag}{differs}", image.repository);
    let pushed = world.things.pushed.get(image).map(Vec::as_slice).unwrap_or_default();
    let contents = [first].into_iter().chain(pushed.iter().cloned()).enumerate();
    let one = |(number, content): (usize, String)| {
        let manifest = if is_single { single(&content) } else { index(world, &content) };
        Stored { tag: (number == pushed.len()).then_some(tag), digest: sha256(&manifest), manifest }
    };
    contents.map(one).collect()
}

/// An image for one platform.
fn single(content: &str) -> String {
    let configuration = json!({
        "mediaType": "application/vnd.oci.image.config.v1+json",
        "digest": sha256(CONFIGURATION),
        "size": CONFIGURATION.len(),
    });
    let annotations = json!({ "org.opencontainers.image.title": content });
    let manifest = json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": configuration, "layers": [],
        "annotations": annotations });
    manifest.to_string()
}

fn index(world: &World, content: &str) -> String {
    let one = |architecture: &&str| {
        json!({
            "mediaType": MANIFEST,
            "digest": format!("sha256:{}", world.chance.hex(64, &format!("{content}/{architecture}"))),
            "size": 1024,
            "platform": { "architecture": architecture, "os": "linux" },
        })
    };
    let manifests: Vec<Value> = ["amd64", "arm64"].iter().map(one).collect();
    json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": manifests }).to_string()
}

fn sha256(text: &str) -> String {
    format!("sha256:{}", hex(digest(&SHA256, text.as_bytes()).as_ref()))
}

/// Returns the digest of an image of any registry, by its name. ECS has that of the time of a deployment; here a tag of ECR
/// has the one that it names now.
pub(crate) fn find_digest(world: &World, name: &str) -> String {
    if let Some(digest) = ImageRef::parse(name).digest {
        return digest.to_owned();
    }
    let known = Image::read(name).and_then(|image| Some(stored(world, &image).pop()?.digest));
    known.unwrap_or_else(|| format!("sha256:{}", world.chance.hex(64, name)))
}

/// Returns where a part of an image is kept.
pub(crate) fn locate(world: &mut World, call: &Call, input: &Value) -> Result<Value, AwsError> {
    repository(world, call, input)?;
    let digest = text_of(input, "layerDigest").unwrap_or_default();
    if digest != sha256(CONFIGURATION) {
        let text = format!("The layer with digest '{digest}' does not exist.");
        return Err(AwsError::new("LayersNotFoundException", text));
    }
    let url = format!("https://storage.sandbox.test{LAYERS}{digest}?X-Amz-Signature={}", world.chance.hex(64, digest));
    Ok(json!({ "downloadUrl": url, "layerDigest": digest }))
}

/// Answers as any other registry does, whatever its host: it has every image, also as its replicas in ECR are. And
/// as the storage of ECR.
pub(crate) fn describe_elsewhere(world: &World, request: &Request) -> Option<Answer> {
    let body = match request.path.strip_prefix(LAYERS) {
        Some(digest) => (digest == sha256(CONFIGURATION)).then(|| CONFIGURATION.to_owned())?,
        None => {
            let (repository, tag) = request.path.strip_prefix("/v2/")?.split_once("/manifests/")?;
            index(world, &format!("{repository}:{tag}"))
        }
    };
    Some(Answer::new(200, INDEX, world.request_id(), body.into_bytes()))
}

/// Finds an image by what a request says of it: its digest, its tag, or both.
fn find<'s, 'a>(stored: &'s [Stored<'a>], id: &Value) -> Option<&'s Stored<'a>> {
    let (digest, tag) = (text_of(id, "imageDigest"), text_of(id, "imageTag"));
    stored.iter().find(|one| {
        (digest.is_some() || tag.is_some())
            && digest.is_none_or(|digest| digest == one.digest)
            && tag.is_none_or(|tag| one.tag == Some(tag))
    })
}

pub(crate) fn images(world: &mut World, call: &Call, input: &Value) -> Result<Value, AwsError> {
    let registry = registry(call, input);
    let name = text_of(input, "repositoryName").unwrap_or_default();
    let stored = repository(world, call, input)?;
    let missing = |id: &Value| {
        let part = |key| text_of(id, key).unwrap_or("null");
        let text = format!(
            "The image with imageId {{imageDigest:'{}', imageTag:'{}'}} does not exist within the repository with name \
             '{name}' in the registry with id '{registry}'",
            part("imageDigest"),
            part("imageTag")
        );
        AwsError::new("ImageNotFoundException", text)
    };
    let found: Vec<&Stored<'_>> = match input.get("imageIds").and_then(Value::as_array) {
        None => stored.iter().collect(),
        Some(ids) => ids.iter().map(|id| find(&stored, id).ok_or_else(|| missing(id))).collect::<Result<_, _>>()?,
    };
    let details = found.into_iter().map(|image| {
        json!({
            "registryId": registry,
            "repositoryName": name,
            "imageDigest": image.digest,
            "imageTags": image.tag.into_iter().collect::<Vec<_>>(),
            "imageSizeInBytes": 41_943_040,
            "imagePushedAt": epoch(call.now),
        })
    });
    Ok(json!({ "imageDetails": details.collect::<Vec<_>>() }))
}

pub(crate) fn manifests(world: &mut World, call: &Call, input: &Value) -> Result<Value, AwsError> {
    let stored = repository(world, call, input)?;
    let accepted = list_of(input, "acceptedMediaTypes");
    let (mut images, mut failures) = (Vec::new(), Vec::new());
    for id in input["imageIds"].as_array().into_iter().flatten() {
        let kind = |image: &Stored<'_>| if image.manifest.contains(INDEX) { INDEX } else { MANIFEST };
        // What is not asked for is not given as anything else here.
        match find(&stored, id).filter(|image| accepted.is_empty() || accepted.contains(&kind(image))) {
            Some(image) => {
                let mut id = id.clone();
                id["imageDigest"] = json!(image.digest);
                images.push(json!({
                    "registryId": registry(call, input),
                    "repositoryName": input["repositoryName"],
                    "imageId": id,
                    "imageManifest": image.manifest,
                    "imageManifestMediaType": kind(image),
                }));
            }
            None => failures.push(json!({
                "imageId": id,
                "failureCode": "ImageNotFound",
                "failureReason": "Requested image not found",
            })),
        }
    }
    Ok(json!({ "images": images, "failures": failures }))
}

/// Returns to which other registries an image is replicated: to all that have the repository, or will have it.
pub(crate) fn replication(world: &mut World, call: &Call, input: &Value) -> Result<Value, AwsError> {
    let stored_here = repository(world, call, input)?;
    let Some(image) = find(&stored_here, &input["imageId"]) else {
        let text = "The image requested does not exist in the specified repository.";
        return Err(AwsError::new("ImageNotFoundException", text));
    };
    let (own, name) = (registry(call, input), text_of(input, "repositoryName").unwrap_or_default());
    let is_copy = |copy: &&Image| {
        let is_here = copy.registry == own && copy.region == call.region;
        !is_here && copy.repository == name && stored(world, copy).iter().any(|one| one.digest == image.digest)
    };
    let status = |copy: &Image| {
        let status = if is_there(world, call, copy) { "COMPLETE" } else { "IN_PROGRESS" };
        json!({ "region": copy.region, "registryId": copy.registry, "status": status })
    };
    let statuses: Vec<Value> = world.things.images().filter(is_copy).map(status).collect();
    Ok(json!({ "repositoryName": name, "imageId": input["imageId"], "replicationStatuses": statuses }))
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
