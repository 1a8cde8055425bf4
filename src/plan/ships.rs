//! What a run ships: each distinct change of an image once, with the number of its targets.
//!
//! Pure: read from a plan's outline, so that a report made again from a journal has it.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fleet::image_ref::ImageRef;
use crate::plan::outline::ChangeOutline;
use crate::plan::placeholders::{PlaceholderScope, Placeholders};

/// How many lines of changes are told before the rest is counted.
pub const SHIPS: usize = 12;
/// The characters of a commit's hash that tell it from others, as GitLab shows it.
const SHORT: usize = 8;

/// A change of an image.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct ImageChange {
    /// The manifest's name of the service.
    pub service: String,
    /// The container.
    pub container: String,
    /// The image before; absent where there was no such container. `${account.id}`, `${account.name}` and `${region}` stand
    /// for each target's own.
    pub from: Option<String>,
    /// The image that the run deploys.
    pub to: String,
    /// How many targets.
    pub targets: usize,
}

/// Returns what is shipped, in the plan's order.
pub fn ships(changes: &[ChangeOutline]) -> Vec<ImageChange> {
    let mut all: IndexMap<(String, String, Option<String>, String), usize> = IndexMap::new();
    for change in changes.iter().filter(|change| change.action.changes()) {
        let (account_id, account_name) = (change.account_id.as_str(), &*change.target.account);
        let own = Placeholders { account_id, account_name, region: &change.target.region };
        let template = |image: &str| own.template(image, PlaceholderScope::Name);
        for (container, from, to) in change.summary.iter().filter_map(|line| image_of(line)) {
            let service = change.target.service.to_string();
            *all.entry((service, container.to_owned(), from.map(template), template(to))).or_default() += 1;
        }
    }
    let change = |((service, container, from, to), targets)| ImageChange { service, container, from, to, targets };
    all.into_iter().map(change).collect()
}

/// Reads a line of [`crate::task_definition::compose::summary`] that says how an image changes. No image has a space in it.
fn image_of(line: &str) -> Option<(&str, Option<&str>, &str)> {
    if let Some(rest) = line.strip_prefix("container ") {
        let (container, image) = rest.strip_suffix(')')?.split_once(" added (image ")?;
        return Some((container, None, image));
    }
    let (container, images) = line.split_once(": image ")?;
    match images.strip_prefix("added: ") {
        Some(to) => Some((container, None, to)),
        None => images.split_once(" -> ").map(|(from, to)| (container, Some(from), to)),
    }
}

/// Returns a line for each change, those of several services together: `web, api: previous -> 5f2c9d7b`, with the number of
/// targets.
pub fn lines(changes: &[ImageChange]) -> Vec<(String, usize)> {
    let containers = |service: &str| {
        let mut names: Vec<&str> =
            changes.iter().filter(|it| it.service == service).map(|it| it.container.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        names.len()
    };
    let mut lines: IndexMap<String, (Vec<String>, usize)> = IndexMap::new();
    for change in changes {
        let name = match containers(&change.service) {
            1 => change.service.clone(),
            _ => format!("{}/{}", change.service, change.container),
        };
        let (names, targets) = lines.entry(short(change.from.as_deref(), &change.to)).or_default();
        if !names.contains(&name) {
            names.push(name);
        }
        *targets += change.targets;
    }
    lines.into_iter().map(|(what, (names, targets))| (format!("{}: {what}", names.join(", ")), targets)).collect()
}

/// Returns `previous -> 5f2c9d7b` where only the tag or the digest differs.
fn short(from: Option<&str>, to: &str) -> String {
    let parsed = ImageRef::parse(to);
    match from.map(ImageRef::parse) {
        None => format!("new, {}", whole(parsed)),
        Some(from) if from.name == parsed.name => format!("{} -> {}", version(from), version(parsed)),
        Some(from) => format!("{} -> {}", whole(from), whole(parsed)),
    }
}

fn whole(image: ImageRef<'_>) -> String {
    match version(image) {
        latest if image.tag.is_none() && image.digest.is_none() => format!("{}:{latest}", image.name),
        version if image.digest.is_some() && image.tag.is_none() => format!("{}@{version}", image.name),
        version => format!("{}:{version}", image.name),
    }
}

fn version(image: ImageRef<'_>) -> String {
    let is_hash = |text: &str| text.len() >= 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let brief = |text: &str| if is_hash(text) { text[..SHORT].to_owned() } else { text.to_owned() };
    match (image.tag, image.digest) {
        (Some(tag), None) => brief(tag),
        (tag, Some(digest)) => {
            let digest =
                digest.split_once(':').map_or_else(|| brief(digest), |(kind, hash)| format!("{kind}:{}", brief(hash)));
            tag.map_or(digest.clone(), |tag| format!("{}@{digest}", brief(tag)))
        }
        (None, None) => "latest".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::plan::outline::Action;
    use crate::task_definition::compose::summary;

    fn definition(images: &[(&str, &str)]) -> Value {
        let containers: Vec<Value> =
            images.iter().map(|(name, image)| json!({ "name": name, "image": image })).collect();
        json!({ "family": "f", "containerDefinitions": containers })
    }

    /// What the change of a definition ships in these targets.
    fn shipped(targets: &[&str], before: &[(&str, &str)], after: &[(&str, &str)]) -> Vec<ImageChange> {
        let change = |name: &&str| ChangeOutline {
            target: (*name).to_owned().try_into().expect("a target"),
            account_id: "111122223333".parse().expect("an id"),
            cluster: "web".to_owned(),
            service: "ecs-name".to_owned(),
            wave: "all".to_owned(),
            action: Action::Register,
            from: None,
            to: None,
            summary: summary(&definition(before), &definition(after)),
        };
        ships(&targets.iter().map(change).collect::<Vec<_>>())
    }

    #[test]
    fn each_change_of_an_image_is_told_once_with_its_targets() {
        let sha = "5f2c9d7be0a14c3f8b6d2e91a7c4f05d3b8e6a12";
        let new = format!("r.example.com/web:{sha}");
        let targets = ["a/eu-west-1/web", "b/eu-west-1/web", "b/eu-west-1/api"];
        let all = shipped(&targets, &[("app", "r.example.com/web:previous")], &[("app", &new)]);
        let counts: Vec<(&str, usize)> = all.iter().map(|it| (it.service.as_str(), it.targets)).collect();
        assert_eq!(counts, [("web", 2), ("api", 1)]);
        assert_eq!(lines(&all), [("web, api: previous -> 5f2c9d7b".to_owned(), 3)]);
    }

    #[test]
    fn what_differs_beside_the_tag_is_shown_whole() {
        let digest = format!("sha256:{}", "ab".repeat(32));
        let pinned = format!("r/web@{digest}");
        let both = format!("r/web:2@{digest}");
        for (before, after, words) in [
            ("r/web:1", "other/web:2", "r/web:1 -> other/web:2"),
            ("r/web:1", pinned.as_str(), "1 -> sha256:abababab"),
            ("r/web:1", both.as_str(), "1 -> 2@sha256:abababab"),
            ("other/web:1", both.as_str(), "other/web:1 -> r/web:2@sha256:abababab"),
            ("r/web", "r/web:2", "latest -> 2"),
        ] {
            let all = shipped(&["a/eu-west-1/web"], &[("app", before)], &[("app", after)]);
            assert_eq!(lines(&all), [(format!("web: {words}"), 1)], "{before} {after}");
        }
        let all = shipped(&["a/eu-west-1/web"], &[("app", "r/web:1")], &[("app", "r/web:2"), ("side", "r/side:1")]);
        let told: Vec<String> = lines(&all).into_iter().map(|(line, _)| line).collect();
        assert_eq!(told, ["web/app: 1 -> 2", "web/side: new, r/side:1"]);
    }

    #[test]
    fn an_image_of_each_account_is_one_change() {
        let (old, new) = (
            "111122223333.dkr.ecr.eu-west-1.amazonaws.com/api:1",
            "111122223333.dkr.ecr.eu-west-1.amazonaws.com/api:2",
        );
        let all = shipped(&["a/eu-west-1/api", "b/eu-west-1/api"], &[("app", old)], &[("app", new)]);
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].to, "${account.id}.dkr.ecr.${region}.amazonaws.com/api:2");
        assert_eq!(shipped(&["a/eu-west-1/api"], &[("app", old)], &[("app", old)]), []);
    }
}
