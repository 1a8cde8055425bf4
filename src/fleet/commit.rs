//! The commit that a run deploys, as the CI job says it and as tags of a revision keep it.
//!
//! Reads no environment itself. Tags only say where a revision came from: they never make a difference between two.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What the keys of the tags that a run sets begin with. Other tags of a revision are left alone.
pub const PREFIX: &str = "roleout:";
/// ECS's longest value of a tag, in characters.
const LONGEST: usize = 256;
/// ECS takes at most so many tags on a revision.
const MOST: usize = 50;

const COMMIT: &str = "roleout:commit";
const COMMITTED_AT: &str = "roleout:committed-at";
const PIPELINE: &str = "roleout:pipeline";

/// Where a revision came from. What is not known is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Commit {
    /// The commit's hash.
    pub sha: Option<String>,
    /// When it was committed.
    #[schemars(with = "Option<String>")]
    pub at: Option<Timestamp>,
    /// The id of the CI pipeline.
    pub pipeline: Option<String>,
}

/// What a run does about its commit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Release {
    /// The commit.
    pub commit: Commit,
    /// Whether revisions that are registered get it as tags.
    pub tag_revisions: bool,
    /// Whether it may take the place of a newer commit.
    pub allow_older: bool,
    /// Whether a service gets a new deployment of the revision that it runs, where there is nothing else to do.
    pub force_new_deployment: bool,
}

/// A tag of a revision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tag {
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: String,
}

impl Commit {
    /// Reads GitLab's `CI_COMMIT_SHA`, `CI_COMMIT_TIMESTAMP` and `CI_PIPELINE_ID`. One that cannot be used is left out,
    /// with a warning; an empty one counts as absent.
    pub fn of_job(variables: &dyn Fn(&str) -> Option<String>, warnings: &mut Vec<String>) -> Self {
        let given = |name: &str| variables(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        let mut word = |name: &str| {
            let text = given(name)?;
            let fits = is_value(&text);
            if !fits {
                warnings.push(format!("{name} cannot be the value of a tag; revisions are not tagged with it"));
            }
            fits.then_some(text)
        };
        let (sha, pipeline) = (word("CI_COMMIT_SHA"), word("CI_PIPELINE_ID"));
        let at = given("CI_COMMIT_TIMESTAMP").and_then(|text| match text.parse() {
            Ok(at) => Some(at),
            Err(_) => {
                warnings
                    .push("CI_COMMIT_TIMESTAMP is not a time as GitLab writes it; newer commits go unseen".to_owned());
                None
            }
        });
        Self { sha, at, pipeline }
    }

    /// Reads the tags of a revision, which are beside its members in `tags`.
    pub fn of_revision(definition: &Value) -> Self {
        let tags = tags(definition);
        let value = |key: &str| tags.iter().find(|tag| tag.key == key).map(|tag| tag.value.clone());
        Self {
            sha: value(COMMIT),
            at: value(COMMITTED_AT).and_then(|text| text.parse().ok()),
            pipeline: value(PIPELINE),
        }
    }

    /// Whether it is another commit than `other`, and a later one. Not where either's time is not known.
    pub fn is_newer_than(&self, other: &Self) -> bool {
        let later = matches!((self.at, other.at), (Some(own), Some(other)) if own > other);
        later && self.sha != other.sha
    }

    /// Returns the beginning of the hash, as Git and GitLab shorten it.
    pub fn short_sha(&self) -> Option<&str> {
        let sha = self.sha.as_deref()?;
        Some(sha.char_indices().nth(8).map_or(sha, |(end, _)| &sha[..end]))
    }

    /// Returns the tags that say it.
    pub fn tags(&self) -> Vec<Tag> {
        let at = self.at.map(|at| at.to_string());
        let named = [(COMMIT, self.sha.clone()), (COMMITTED_AT, at), (PIPELINE, self.pipeline.clone())];
        named.into_iter().filter_map(|(key, value)| Some(Tag { key: key.to_owned(), value: value? })).collect()
    }
}

/// Returns the tags of a definition in AWS's JSON.
pub fn tags(definition: &Value) -> Vec<Tag> {
    tags_in(&definition["tags"])
}

/// Returns the tags of a list in AWS's JSON.
pub fn tags_in(list: &Value) -> Vec<Tag> {
    let list = list.as_array().into_iter().flatten();
    let text = |tag: &Value, member: &str| tag[member].as_str().map(str::to_owned);
    list.filter_map(|tag| Some(Tag { key: text(tag, "key")?, value: text(tag, "value").unwrap_or_default() })).collect()
}

/// Returns a definition with more tags: those of the definition itself come first and win, and beyond the number that
/// ECS takes the last are left out.
pub fn tagged(definition: &Value, more: &[Tag]) -> Value {
    let mut all = tags(definition);
    for tag in more {
        if all.len() < MOST && !all.iter().any(|known| known.key == tag.key) {
            all.push(tag.clone());
        }
    }
    let mut definition = definition.clone();
    if !all.is_empty() {
        definition["tags"] = serde_json::json!(all);
    }
    definition
}

/// Whether ECS takes a text as the value of a tag.
fn is_value(text: &str) -> bool {
    let allowed = |char: char| char.is_alphanumeric() || char == ' ' || "_.:/=+-@".contains(char);
    text.chars().count() <= LONGEST && text.chars().all(allowed)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn job(values: &[(&str, &str)]) -> (Commit, Vec<String>) {
        let mut warnings = Vec::new();
        let look_up =
            |name: &str| values.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        (Commit::of_job(&look_up, &mut warnings), warnings)
    }

    fn commit(sha: &str, at: &str) -> Commit {
        Commit { sha: Some(sha.to_owned()), at: Some(at.parse().expect("a time")), pipeline: None }
    }

    #[test]
    fn a_job_is_kept_in_tags_and_read_back() {
        let (commit, warnings) = job(&[
            ("CI_COMMIT_SHA", "5f2c9d7be0a14c3f"),
            ("CI_COMMIT_TIMESTAMP", "2026-11-02T10:00:00+01:00"),
            ("CI_PIPELINE_ID", "1001"),
        ]);
        assert_eq!((commit.short_sha(), warnings), (Some("5f2c9d7b"), Vec::new()));
        let definition = tagged(&json!({ "family": "api" }), &commit.tags());
        assert_eq!(definition["tags"][1], json!({ "key": "roleout:committed-at", "value": "2026-11-02T09:00:00Z" }));
        assert_eq!(Commit::of_revision(&definition), commit);
    }

    #[test]
    fn outside_a_job_there_is_nothing_and_what_cannot_be_used_is_left_out() {
        assert_eq!(job(&[("CI_COMMIT_SHA", ""), ("CI_PIPELINE_ID", " ")]), (Commit::default(), Vec::new()));
        assert_eq!(Commit::default().tags(), Vec::new());
        let (commit, warnings) = job(&[("CI_COMMIT_SHA", "a;b"), ("CI_COMMIT_TIMESTAMP", "yesterday")]);
        assert_eq!((commit, warnings.len()), (Commit::default(), 2));
        assert!(!warnings.iter().any(|warning| warning.contains("a;b")), "{warnings:?}");
    }

    #[test]
    fn newer_is_another_commit_of_a_later_time() {
        let (early, late) = (commit("a", "2026-11-02T09:00:00Z"), commit("b", "2026-11-02T09:00:01Z"));
        assert!(late.is_newer_than(&early) && !early.is_newer_than(&late) && !late.is_newer_than(&late));
        assert!(!commit("a", "2026-11-03T09:00:00Z").is_newer_than(&early), "the same commit");
        assert!(!late.is_newer_than(&Commit::default()) && !Commit::default().is_newer_than(&early));
    }

    #[test]
    fn a_definitions_own_tags_are_kept_and_win() {
        let tag = |key: &str, value: &str| Tag { key: key.to_owned(), value: value.to_owned() };
        let own = json!({ "tags": [{ "key": "team", "value": "shop" }] });
        let both = tagged(&own, &[tag("team", "other"), tag("a", "1")]);
        assert_eq!(tags(&both), [tag("team", "shop"), tag("a", "1")]);
        let many: Vec<Tag> = (0..60).map(|number| tag(&number.to_string(), "")).collect();
        assert_eq!(tags(&tagged(&own, &many)).len(), MOST);
        assert_eq!(tagged(&json!({ "family": "api" }), &[]), json!({ "family": "api" }));
    }
}
