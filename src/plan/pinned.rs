//! Pinned images for whoever asks no registry: a tag is taken to name what runs under it.
//!
//! Pure. `plan` and `deploy` resolve every tag first, and then nothing is left to take.

use std::borrow::Cow;

use serde_json::Value;

use crate::base::document::Document;
use crate::fleet::pin::is_pinned;
use crate::fleet::{Desired, Pin};

/// Returns what is wanted with the digests of the live definition, or of the newest one, if that has one for every tag.
pub(super) fn as_known<'d>(desired: &'d Desired, live: &Value, newest: Option<&Document>) -> Cow<'d, Desired> {
    let tagged = if desired.pin == Pin::Digest { desired.tagged_images() } else { Vec::new() };
    if tagged.is_empty() {
        return Cow::Borrowed(desired);
    }
    let of = |definition: &Value, (name, image): &(String, String)| {
        let mut containers = definition["containerDefinitions"].as_array()?.iter();
        let runs = containers.find(|container| container["name"] == **name)?["image"].as_str()?;
        is_pinned(runs, image).then(|| (name.clone(), runs.to_owned()))
    };
    let whole = |definition: &Value| tagged.iter().map(|one| of(definition, one)).collect::<Option<Vec<_>>>();
    match whole(live).or_else(|| whole(&newest?.value())) {
        Some(images) => {
            let mut desired = desired.clone();
            desired.images.extend(images);
            Cow::Owned(desired)
        }
        None => Cow::Borrowed(desired),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_tag_is_what_runs_under_it_or_what_the_newest_revision_has() {
        let definition = |image: &str| json!({ "containerDefinitions": [{ "name": "app", "image": image }] });
        let mut desired = Desired { pin: Pin::Digest, ..Desired::default() };
        desired.images.insert("app".to_owned(), "r/app:2".to_owned());
        let (old, new) = (definition("r/app:1@sha256:aa"), definition("r/app:2@sha256:bb"));
        let newest = Document::write(&new);
        assert_eq!(as_known(&desired, &old, Some(&newest)).images["app"], "r/app:2@sha256:bb");
        assert_eq!(as_known(&desired, &new, None).images["app"], "r/app:2@sha256:bb");
        assert_eq!(as_known(&desired, &old, None).images["app"], "r/app:2");
        desired.pin = Pin::None;
        assert_eq!(as_known(&desired, &new, None).images["app"], "r/app:2");
    }
}
