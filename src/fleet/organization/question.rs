//! What a manifest asks of its organization: which accounts, and which facts of them.

use std::collections::{BTreeMap, BTreeSet};

use crate::fleet::organization::Member;
use crate::fleet::organization::criteria::Criteria;

/// Which facts a manifest needs of each account, besides id, name, unit and state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Whether it asks for addresses.
    pub email: bool,
    /// The keys of the tags that it asks for.
    pub tags: BTreeSet<String>,
}

impl Facts {
    /// Whether these are all that others are.
    pub fn cover(&self, other: &Self) -> bool {
        (self.email || !other.email) && other.tags.is_subset(&self.tags)
    }

    /// Returns of an account what is asked for.
    pub fn keep_asked(&self, member: &Member) -> Member {
        let mut known = member.clone();
        known.email = known.email.filter(|_| self.email);
        known.tags.retain(|key, _| self.tags.contains(key));
        known
    }
}

/// What a manifest asks of an organization.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Question {
    /// Which accounts: those that match one of these. Sorted, and each once.
    pub entries: Vec<Criteria>,
    /// What of them.
    pub facts: Facts,
}

impl Question {
    /// Makes one of what each entry of a manifest asks.
    pub fn new(entries: impl IntoIterator<Item = Criteria>, facts: Facts) -> Self {
        let entries: BTreeSet<Criteria> = entries.into_iter().collect();
        Self { entries: entries.into_iter().collect(), facts }
    }

    /// Whether an account is asked for. `units` has the ids of the units by their paths.
    pub fn selects(&self, member: &Member, units: &BTreeMap<String, String>) -> bool {
        self.entries.iter().any(|criteria| criteria.match_account(member, units))
    }
}
