//! Which images run where, by their digests: one line for what is the same, in however many targets.
//!
//! Pure. A digest is that of the task definition, or the one that ECS resolved its tag to when it deployed the service.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::fleet::image_ref::ImageRef;
use crate::fleet::pin::with_tag;
use crate::fleet::{Fleet, TargetId};
use crate::observe::Observation;
use crate::plan::placeholders::{PlaceholderScope, Placeholders};

/// The digests that ECS resolved tags to, by container, for each target.
pub type Resolved = Vec<BTreeMap<String, String>>;

/// Where images run, by their names and digests.
type Places = IndexMap<(String, Option<String>), Vec<TargetId>>;

/// Every image that runs, and where.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunningImages {
    /// The version of this form: 1.
    pub version: u32,
    /// When it was read.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// The containers of the services.
    pub containers: Vec<ContainerImages>,
    /// The targets that could not be read, or do not exist.
    pub unread: Vec<TargetId>,
}

/// What a container of a service runs, in all targets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ContainerImages {
    /// The manifest's name of the service.
    pub service: String,
    /// The container.
    pub container: String,
    /// Whether all targets run one image.
    pub same: bool,
    /// The images, that of most targets first.
    pub images: Vec<RunningImage>,
}

/// An image, and where it runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunningImage {
    /// Its name without its digest. `${account.id}` and `${region}` stand for each target's own.
    pub image: String,
    /// Its digest, where that is known.
    pub digest: Option<String>,
    /// The targets.
    pub targets: Vec<TargetId>,
}

impl RunningImages {
    /// Groups what runs; `seen` and `resolved` are indexed as the fleet's targets.
    pub fn group(fleet: &Fleet, seen: &[Observation], resolved: &Resolved, at: Timestamp) -> Self {
        let mut all: IndexMap<(String, String), Places> = IndexMap::new();
        let mut unread = Vec::new();
        for ((target, seen), resolved) in fleet.targets.iter().zip(seen).zip(resolved) {
            let Some(observed) = seen.as_ref().ok().filter(|observed| observed.service.ending().is_none()) else {
                unread.push(target.id.clone());
                continue;
            };
            let live = observed.live.value();
            for container in live["containerDefinitions"].as_array().into_iter().flatten() {
                let (Some(name), Some(image)) = (container["name"].as_str(), container["image"].as_str()) else {
                    continue;
                };
                let digest = ImageRef::parse(image).digest.map(str::to_owned).or_else(|| resolved.get(name).cloned());
                let image = image.split('@').next().unwrap_or(image);
                let image = Placeholders::new(target).template(image, PlaceholderScope::Place);
                let service = (target.id.service.to_string(), name.to_owned());
                all.entry(service).or_default().entry((image, digest)).or_default().push(target.id.clone());
            }
        }
        let container = |((service, container), images): ((String, String), Places)| {
            let image = |((image, digest), targets)| RunningImage { image, digest, targets };
            let mut images: Vec<RunningImage> = images.into_iter().map(image).collect();
            images.sort_by_key(|image| std::cmp::Reverse(image.targets.len()));
            ContainerImages { service, container, same: is_one(&images), images }
        };
        Self { version: 1, at, containers: all.into_iter().map(container).collect(), unread }
    }

    /// Whether any container is not the same everywhere.
    pub fn differ(&self) -> bool {
        self.containers.iter().any(|container| !container.same)
    }
}

/// Returns the JSON Schema (draft 2020-12) of [`RunningImages`].
pub fn schema() -> Value {
    let mut schema = schemars::schema_for!(RunningImages).to_value();
    if let Some(object) = schema.as_object_mut() {
        object.insert("title".to_owned(), json!("roleout status --images"));
    }
    schema
}

/// Whether images are one: by their digests, whatever their tags, and where a digest is not known by their names.
fn is_one(images: &[RunningImage]) -> bool {
    let first = images.first();
    images.iter().all(|image| match (first.and_then(|first| first.digest.as_ref()), &image.digest) {
        (Some(one), Some(other)) => one == other,
        (None, None) => first.is_some_and(|first| with_tag(&first.image) == with_tag(&image.image)),
        _ => false,
    })
}
