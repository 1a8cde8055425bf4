//! Why an image was not pulled.

use crate::narrate::headline::{Headline, Weight};

/// Words of registries and container runtimes, and what they mean. The first that occurs decides.
const MEANINGS: [(&str, &[&str]); 7] = [
    (
        "the registry does not allow the pull",
        &[
            "403 forbidden",
            "401 unauthorized",
            "no basic auth",
            "accessdenied",
            "not authorized",
            "authorization token",
        ],
    ),
    ("image not found, or its registry asks for a login", &["pull access denied", "may require"]),
    ("the registry's rate limit is reached", &["toomanyrequests", "429 too many", "rate limit"]),
    ("image is not of the task's platform", &["matching platform", "no match for platform", "no matching manifest"]),
    ("no disk space for the image", &["no space left"]),
    ("image not found", &["not found", "manifest unknown", "name unknown", "does not exist"]),
    (
        "the registry does not answer",
        &["i/o timeout", "deadline exceeded", "dial tcp", "no such host", "connection refused", "timed out", "timeout"],
    ),
];

/// Reads a `CannotPull…Error`; `image` is the one of the container, where that is known.
pub fn read(text: &str, image: Option<&str>) -> Option<Headline> {
    let at = text.find("CannotPull")?;
    let lower = text[at..].to_ascii_lowercase();
    let meaning = MEANINGS.iter().find(|(_, words)| words.iter().any(|word| lower.contains(word)));
    let what = meaning.map_or("image cannot be pulled", |(what, _)| what);
    let Some(image) = named(&text[at..]).or(image) else { return Some(Headline::new(Weight::Start, what)) };
    let headline = Headline::new(Weight::Start, format!("{what}: {}", anywhere(image)));
    Some(Headline { text: format!("{what}: {image}"), ..headline })
}

/// Returns the image that a message names.
fn named(text: &str) -> Option<&str> {
    const BEFORE: [&str; 4] = ["resolve ref ", "resolve reference ", "access denied for ", "manifest for "];
    let after = BEFORE.iter().find_map(|before| Some(text.split_once(before)?.1))?;
    let word = after.split([' ', ',', ';']).next()?;
    let image = word.trim_matches(['"', '\'', '`']).trim_end_matches([':', '.']);
    Some(image).filter(|image| image.len() > 1)
}

/// Returns an image without what a registry of Amazon ECR has of its account and region.
fn anywhere(image: &str) -> String {
    match image.split_once('/') {
        Some((host, rest)) if host.contains(".dkr.ecr.") || host.contains(".dkr-ecr.") => format!("…/{rest}"),
        _ => image.to_owned(),
    }
}
