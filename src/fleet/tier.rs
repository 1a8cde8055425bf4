//! The tier of a GitLab environment: by it GitLab counts deployments, and knows production from the rest.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// GitLab's tiers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// `production`: what GitLab's DORA metrics count.
    Production,
    /// `staging`
    Staging,
    /// `testing`
    Testing,
    /// `development`
    Development,
    /// `other`
    Other,
}

/// The labels that say what an account is for, the first that is there counts.
const LABELS: [&str; 4] = ["tier", "env", "environment", "stage"];
/// What the values of such a label begin with.
const WORDS: [(&str, Tier); 9] = [
    ("dev", Tier::Development),
    ("test", Tier::Testing),
    ("qa", Tier::Testing),
    ("ci", Tier::Testing),
    ("stag", Tier::Staging),
    ("stg", Tier::Staging),
    ("uat", Tier::Staging),
    ("preprod", Tier::Staging),
    ("pre-prod", Tier::Staging),
];

impl Tier {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Production, Self::Staging, Self::Testing, Self::Development, Self::Other];

    /// Returns GitLab's word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Production => "production",
            Self::Staging => "staging",
            Self::Testing => "testing",
            Self::Development => "development",
            Self::Other => "other",
        }
    }

    /// Returns the tier of a word of GitLab's.
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tier| tier.word() == word)
    }

    /// Returns the tier of an account by its labels. Never production: GitLab counts every deployment of that tier, and a
    /// release has one, which is the job's own.
    pub fn of_labels(labels: &BTreeMap<String, String>) -> Self {
        let value = LABELS.iter().find_map(|label| labels.get(*label)).map(|value| value.to_lowercase());
        let value = value.unwrap_or_default();
        WORDS.iter().find(|(start, _)| value.starts_with(start)).map_or(Self::Other, |(_, tier)| *tier)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_say_what_an_account_is_for_and_none_is_production_by_itself() {
        let of = |label: &str, value: &str| Tier::of_labels(&BTreeMap::from([(label.to_owned(), value.to_owned())]));
        for (value, tier) in [
            ("dev", Tier::Development),
            ("Development", Tier::Development),
            ("qa-2", Tier::Testing),
            ("staging", Tier::Staging),
            ("preprod", Tier::Staging),
            ("prod", Tier::Other),
            ("production", Tier::Other),
            ("", Tier::Other),
        ] {
            assert_eq!(of("env", value), tier, "{value}");
        }
        assert_eq!((of("tier", "testing"), of("ring", "staging")), (Tier::Testing, Tier::Other));
        assert!(Tier::ALL.into_iter().all(|tier| Tier::of_word(tier.word()) == Some(tier)));
    }
}
