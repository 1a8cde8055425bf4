//! The digests that one job resolved tags to, as a file for the jobs that deploy after it: they run one build, wherever the tags
//! are by then.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::fleet::{Fleet, Pin};

/// The version of the file's form.
const VERSION: u32 = 1;

/// Digests by the names of images, with their tags.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Digests(BTreeMap<String, String>);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    version: u32,
    digests: BTreeMap<String, String>,
}

impl Digests {
    /// Returns those of a fleet that is pinned.
    pub fn of_fleet(fleet: &Fleet) -> Self {
        let pinned = fleet.targets.iter().filter(|target| target.desired.pin == Pin::Digest);
        let images = pinned.flat_map(|target| target.desired.images.values());
        let split = images.filter_map(|image| image.split_once('@'));
        Self(split.map(|(name, digest)| (name.to_owned(), digest.to_owned())).collect())
    }

    /// Returns the digest of an image, by its name with a tag.
    pub fn find(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Writes them as JSON.
    pub fn to_json(&self) -> String {
        let written = Written { version: VERSION, digests: self.0.clone() };
        // Texts always have a form in JSON.
        serde_json::to_string_pretty(&written).unwrap_or_default() + "\n"
    }

    /// Reads them.
    ///
    /// # Errors
    /// What is wrong with the text, as a lower-case fragment.
    pub fn read(text: &str) -> Result<Self, String> {
        let Written { version, digests } =
            serde_json::from_str(text).map_err(|error| format!("it has no digests of images: {error}"))?;
        if version != VERSION {
            return Err(format!("it has version {version}, and this roleout reads version {VERSION}"));
        }
        match digests.iter().find(|(_, digest)| !is_digest(digest)) {
            Some((name, digest)) => Err(format!("`{digest}` of {name} is no digest")),
            None => Ok(Self(digests)),
        }
    }
}

/// Whether a text is a digest: it becomes part of an image's name.
fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:").is_some_and(|hex| hex.len() == 64 && hex.chars().all(|char| char.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        let digest = format!("sha256:{}", "ab".repeat(32));
        let digests = Digests([("r/api:1".to_owned(), digest.clone())].into());
        assert_eq!(Digests::read(&digests.to_json()), Ok(digests.clone()));
        assert_eq!((digests.find("r/api:1"), digests.find("r/api:2")), (Some(&*digest), None));
        for (text, wanted) in [
            ("{}", "no digests"),
            (r#"{"version":2,"digests":{}}"#, "version 2"),
            (r#"{"version":1,"digests":{"r/api:1":"sha256:ab"}}"#, "`sha256:ab` of r/api:1 is no digest"),
            (r#"{"version":1,"digests":{},"more":1}"#, "no digests"),
        ] {
            assert!(Digests::read(text).is_err_and(|error| error.contains(wanted)), "{text}");
        }
    }
}
