//! Images of the command line: `--image` puts another image in a container's place for one run.
//!
//! What matches no container is an error, never a run without the change.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::fleet::image_ref::ImageRef;
use crate::fleet::select::{near_misses, nearest};
use crate::fleet::{Base, Fleet, TargetSpec};

/// The longest name of an image that ECS takes, with its tag.
const LONGEST: usize = 255;

/// `[SERVICE/]CONTAINER=IMAGE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageChoice {
    /// The manifest's name of the service; `None` = every one that has the container.
    pub service: Option<String>,
    /// The container.
    pub container: String,
    /// Its image.
    pub image: String,
}

/// Why images of the command line cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ImageError {
    /// There is no such service among the selected targets.
    #[error("--image: no selected target is of a service `{service}`{}", near_misses(.near))]
    NoService {
        /// The service, as given.
        service: String,
        /// Services that there are, nearest first.
        near: Vec<String>,
    },
    /// The service's task definition file has no such container.
    #[error("--image: the task definition of service `{service}` has no container `{container}`{}", near_misses(.near))]
    NoContainer {
        /// The service, as given.
        service: String,
        /// The container, as given.
        container: String,
        /// Containers that there are, nearest first.
        near: Vec<String>,
    },
    /// No service is known to have the container.
    #[error(
        "--image: no selected service has a container `{container}` in `images` or in its task definition file{}; \
         SERVICE/{container}=... names a service anyway", near_misses(.near)
    )]
    NowhereNamed {
        /// The container, as given.
        container: String,
        /// Containers that are known, nearest first.
        near: Vec<String>,
    },
}

impl ImageChoice {
    /// Whether a target gets the image.
    pub fn is_for(&self, target: &TargetSpec) -> bool {
        match &self.service {
            Some(service) => *target.id.service == **service && may_have(target, &self.container),
            None => known(target).any(|container| container == self.container),
        }
    }
}

impl fmt::Display for ImageChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let service = self.service.as_ref().map(|service| format!("{service}/")).unwrap_or_default();
        write!(f, "{service}{}={}", self.container, self.image)
    }
}

impl FromStr for ImageChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = || "write CONTAINER=IMAGE or SERVICE/CONTAINER=IMAGE".to_owned();
        let (place, image) = text.split_once('=').ok_or_else(form)?;
        let (service, container) = match place.split_once('/') {
            Some((service, container)) => (Some(service.to_owned()), container),
            None => (None, place),
        };
        let is_name = |name: &str| !name.is_empty() && !name.contains(|char: char| char == '/' || char.is_whitespace());
        if !is_name(container) || service.as_deref().is_some_and(|service| !is_name(service)) {
            return Err(form());
        }
        check(image)?;
        Ok(Self { service, container: container.to_owned(), image: image.to_owned() })
    }
}

impl Fleet {
    /// Puts images in the place of the manifest's. One without a service is for every target that has the container in
    /// `images` or in its task definition file; one with a service is for that service's targets, and comes after.
    ///
    /// # Errors
    /// The first one that matches nothing, with near misses.
    pub fn choose_images(&mut self, choices: &[ImageChoice]) -> Result<(), ImageError> {
        let general = choices.iter().filter(|choice| choice.service.is_none());
        for choice in general.chain(choices.iter().filter(|choice| choice.service.is_some())) {
            let mut taken = false;
            for target in self.targets.iter_mut().filter(|target| choice.is_for(target)) {
                target.desired.images.insert(choice.container.clone(), choice.image.clone());
                taken = true;
            }
            if !taken {
                return Err(self.miss(choice));
            }
        }
        Ok(())
    }

    fn miss(&self, choice: &ImageChoice) -> ImageError {
        let container = choice.container.clone();
        let all = |service: Option<&str>| -> Vec<String> {
            let targets = self.targets.iter().filter(|it| service.is_none_or(|service| *it.id.service == *service));
            let names: BTreeSet<String> = targets.flat_map(known).collect();
            nearest(&container, names.into_iter().collect())
        };
        match &choice.service {
            None => ImageError::NowhereNamed { near: all(None), container },
            Some(service) if self.targets.iter().any(|target| *target.id.service == **service) => {
                ImageError::NoContainer { service: service.clone(), near: all(Some(service)), container }
            }
            Some(service) => {
                let names: BTreeSet<String> = self.targets.iter().map(|it| it.id.service.to_string()).collect();
                ImageError::NoService { service: service.clone(), near: nearest(service, names.into_iter().collect()) }
            }
        }
    }
}

/// Returns the containers that a target is known to have without asking AWS.
fn known(target: &TargetSpec) -> impl Iterator<Item = String> {
    let named = target.desired.images.keys().chain(target.desired.promoted.keys()).cloned();
    named.chain(in_file(target).into_iter().flatten())
}

/// Whether a target can have a container: only its task definition file, where it has one, can say no.
fn may_have(target: &TargetSpec, container: &str) -> bool {
    in_file(target).is_none_or(|names| names.iter().any(|name| name == container))
}

fn in_file(target: &TargetSpec) -> Option<Vec<String>> {
    let Base::File(definition) = &target.desired.task_definition else { return None };
    let definition = definition.value();
    let containers = definition["containerDefinitions"].as_array().into_iter().flatten();
    Some(containers.filter_map(|container| container["name"].as_str()).map(str::to_owned).collect())
}

/// Refuses what cannot be an image's reference: `[HOST[:PORT]/]PATH[:TAG][@DIGEST]`.
///
/// # Errors
/// Why it cannot be one.
pub fn check(image: &str) -> Result<(), String> {
    let wrong = |why: &str| Err(format!("`{image}` cannot be an image: {why}"));
    if image.is_empty() {
        return Err("the image is empty; check the variables in it".to_owned());
    }
    // A digest does not count.
    let length = image.split('@').next().unwrap_or(image).len();
    if length > LONGEST {
        return Err(format!("the image has {length} characters, and ECS takes at most {LONGEST}"));
    }
    if image.contains(char::is_whitespace) || image.contains("://") {
        return wrong("write it as `docker pull` takes it, without a scheme and spaces");
    }
    let ImageRef { registry, repository, tag, digest, .. } = ImageRef::parse(image);
    if let Some(digest) = digest {
        let is_digest = digest.split_once(':').is_some_and(|(algorithm, digits)| {
            !algorithm.is_empty() && digits.len() >= 32 && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
        });
        if !is_digest {
            return wrong("a digest is `@sha256:` and 64 hexadecimal digits");
        }
    }
    let in_tag = |char: char| char.is_ascii_alphanumeric() || "_.-".contains(char);
    if tag
        .is_some_and(|tag| tag.is_empty() || tag.len() > 128 || !tag.chars().all(in_tag) || tag.starts_with(['.', '-']))
    {
        return wrong("a tag is up to 128 letters, digits, `_`, `.` and `-`, and begins with one of the first three");
    }
    let in_host = |char: char| char.is_ascii_alphanumeric() || ".-:[]".contains(char);
    if registry.is_some_and(|host| !host.chars().all(in_host)) {
        return wrong("its registry is no host's name");
    }
    let in_path = |char: char| char.is_ascii_lowercase() || char.is_ascii_digit() || "._-".contains(char);
    let is_edge = |char: char| char.is_ascii_lowercase() || char.is_ascii_digit();
    let is_part = |part: &str| part.chars().all(in_path) && part.starts_with(is_edge) && part.ends_with(is_edge);
    if !repository.split('/').all(is_part) {
        return wrong("a repository is of lower-case letters, digits, `.`, `_`, `-` and `/`");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_are_read() {
        let read = |text: &str| text.parse::<ImageChoice>().map(|it| (it.service, it.container, it.image));
        assert_eq!(read("app=r/api:1"), Ok((None, "app".into(), "r/api:1".into())));
        let image = "localhost:5000/team/api:v1@sha256:0123456789abcdef0123456789abcdef";
        assert_eq!(read(&format!("api/app={image}")), Ok((Some("api".into()), "app".into(), image.into())));
        for text in ["app", "=r:1", "/app=r:1", "api/=r:1", "a/b/c=r:1", "a b=r:1"] {
            assert_eq!(read(text), Err("write CONTAINER=IMAGE or SERVICE/CONTAINER=IMAGE".to_owned()), "{text}");
        }
    }

    #[test]
    fn images_that_cannot_be_are_refused() {
        for image in [
            "api",
            "api:v1.2_3-x",
            "registry.example.com/a/b__c:1",
            "localhost/api",
            "REGISTRY.example.com:443/api",
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com/api",
            "a/b@sha256:0123456789abcdef0123456789abcdef",
        ] {
            assert_eq!(check(image), Ok(()), "{image}");
        }
        for image in [
            "",
            " ",
            "https://r/api",
            "api:",
            "api:-1",
            "api:a b",
            "Api",
            "a//b",
            "/api",
            "api/",
            "-api",
            "r:5000/",
            "api@sha256:12",
            "api@0123456789abcdef0123456789abcdef",
            "a.b!/api",
        ] {
            assert!(check(image).is_err(), "{image}");
        }
        assert!(check(&"a".repeat(256)).is_err());
        assert_eq!(check(&format!("{}:1@sha256:{}", "a".repeat(250), "0".repeat(64))), Ok(()), "a digest has no limit");
    }
}
