//! An image's name, taken apart as Docker does.

/// The tag of an image that is named without one.
pub const LATEST: &str = "latest";

/// A container's image by its parts: `[REGISTRY/]REPOSITORY[:TAG][@DIGEST]`. Nothing of it is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageRef<'a> {
    /// All of it but its tag and digest.
    pub name: &'a str,
    /// The host of its registry, with its port; `None` where it is Docker's own.
    pub registry: Option<&'a str>,
    /// The repository.
    pub repository: &'a str,
    /// Its tag.
    pub tag: Option<&'a str>,
    /// Its digest.
    pub digest: Option<&'a str>,
}

impl<'a> ImageRef<'a> {
    /// Takes an image's name apart. A port of the registry's host is no tag.
    pub fn parse(image: &'a str) -> Self {
        let (tagged, digest) = image.split_once('@').map_or((image, None), |(tagged, digest)| (tagged, Some(digest)));
        let (name, tag) = match tagged.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (tagged, None),
        };
        let (registry, repository) = match name.split_once('/') {
            // Docker's own rule of telling a registry from the first part of a path.
            Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => (Some(host), path),
            _ => (None, name),
        };
        Self { name, registry, repository, tag, digest }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_no_tag_and_a_path_no_registry() {
        for (image, registry, repository, tag, digest) in [
            ("nginx", None, "nginx", None, None),
            ("team/api:1", None, "team/api", Some("1"), None),
            ("localhost/api", Some("localhost"), "api", None, None),
            ("r.example:5000/team/api", Some("r.example:5000"), "team/api", None, None),
            ("r:5000/api:1@sha256:ab", Some("r:5000"), "api", Some("1"), Some("sha256:ab")),
            ("api@sha256:ab", None, "api", None, Some("sha256:ab")),
        ] {
            let name = registry.map_or(repository.to_owned(), |registry| format!("{registry}/{repository}"));
            let wanted = ImageRef { name: &name, registry, repository, tag, digest };
            assert_eq!(ImageRef::parse(image), wanted, "{image}");
        }
    }
}
