//! The lock: what a manifest takes from its organization, written down to be reviewed.
//!
//! Its text is the same for the same organization, in whatever order that answers. No account leaves it in silence: one that
//! the organization no longer has like that stays, with the reason, until somebody accepts that.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::base::json::literal;
use crate::fleet::AccountId;
use crate::fleet::organization::criteria::Criteria;
use crate::fleet::organization::{ACTIVE, Facts, Member, Organization, Question, with_ancestors};

/// The most bytes of a lock: 40,000 accounts have room in it.
pub const MAX_LOCK: u64 = 8 << 20;
/// What a lock is called after the name of its manifest.
pub const SUFFIX: &str = ".accounts.lock.yaml";

/// Why an account would leave the fleet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leaves {
    /// The organization does not have it any more.
    Gone,
    /// It is there, and no entry of the manifest selects it any more.
    Unselected,
    /// It cannot be used: its state, in the words of Organizations.
    State(String),
}

impl Leaves {
    /// Reads what a lock says.
    pub fn parse(word: &str) -> Self {
        match word {
            "gone" => Self::Gone,
            "unselected" => Self::Unselected,
            state => Self::State(state.to_owned()),
        }
    }

    /// Returns how a lock says it.
    pub fn word(&self) -> &str {
        match self {
            Self::Gone => "gone",
            Self::Unselected => "unselected",
            Self::State(state) => state,
        }
    }

    /// Returns the reason, after the name of the account.
    pub fn words(&self) -> String {
        match self {
            Self::Gone => "is not in the organization any more".to_owned(),
            Self::Unselected => "is not selected by the manifest any more".to_owned(),
            Self::State(state) => format!("is {state} in the organization"),
        }
    }
}

/// An account of the lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Locked {
    /// The account, with the facts that are asked for.
    pub member: Member,
    /// Why it would leave the fleet, where it would.
    pub leaves: Option<Leaves>,
}

/// What was written down.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lock {
    /// The day of the last change: `2026-11-30`.
    pub changed: String,
    /// The id of the organization.
    pub organization: String,
    /// What was asked.
    pub question: Question,
    /// The ids of the accounts' units, and of all that those are in, by their paths.
    pub units: BTreeMap<String, String>,
    /// The accounts, by their ids.
    pub accounts: BTreeMap<AccountId, Locked>,
}

/// What an update comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Updated {
    /// What is to be written.
    pub lock: Lock,
    /// Accounts that are selected and cannot be used, and were not in the lock before: they are left out.
    pub left_out: Vec<Member>,
    /// Accounts that were to leave and do not.
    pub not_leaving: Vec<AccountId>,
}

impl Lock {
    /// Writes an organization down. Of the accounts that the old lock has and that would leave, those in `accepted` leave.
    pub fn update(
        old: Option<&Self>,
        organization: &Organization,
        question: &Question,
        accepted: &BTreeSet<AccountId>,
        today: &str,
    ) -> Updated {
        let known: BTreeMap<&AccountId, &Member> =
            organization.members.iter().map(|member| (&member.id, member)).collect();
        let before = |id: &AccountId| old.and_then(|old| old.accounts.get(id));
        let mut updated = Updated { lock: Self::default(), left_out: Vec::new(), not_leaving: Vec::new() };
        let mut accounts = BTreeMap::new();
        for (id, member) in &known {
            if !question.selects(member, &organization.units) {
                continue;
            }
            let asked = question.facts.keep_asked(member);
            if member.is_active() {
                accounts.insert((*id).clone(), Locked { member: asked, leaves: None });
            } else if before(id).is_none() {
                updated.left_out.push(asked);
            }
        }
        let mut leaving = BTreeSet::new();
        for (id, was) in old.iter().flat_map(|old| &old.accounts) {
            if accounts.contains_key(id) {
                continue;
            }
            leaving.insert(id.clone());
            if accepted.contains(id) {
                continue;
            }
            let now = known.get(id);
            let leaves = match now {
                None => Leaves::Gone,
                Some(member) if !member.is_active() => Leaves::State(member.state.clone()),
                Some(_) => Leaves::Unselected,
            };
            let member = question.facts.keep_asked(now.copied().unwrap_or(&was.member));
            // What it was like is in the reason.
            let member = Member { state: ACTIVE.to_owned(), ..member };
            accounts.insert(id.clone(), Locked { member, leaves: Some(leaves) });
        }
        updated.not_leaving = accepted.difference(&leaving).cloned().collect();
        let ids = |path: &str| {
            let before = || old.and_then(|old| old.units.get(path));
            organization.units.get(path).or_else(before).cloned()
        };
        let paths: BTreeSet<&str> = accounts.values().flat_map(|locked| with_ancestors(&locked.member.unit)).collect();
        let units = paths.into_iter().filter_map(|path| Some((path.to_owned(), ids(path)?))).collect();
        let mut lock = Self {
            changed: today.to_owned(),
            organization: organization.id.clone(),
            question: question.clone(),
            units,
            accounts,
        };
        // A date that changed alone would be a change to review that says nothing.
        if let Some(old) = old.filter(|old| Self { changed: old.changed.clone(), ..lock.clone() } == **old) {
            lock.changed.clone_from(&old.changed);
        }
        updated.lock = lock;
        updated
    }

    /// Returns the accounts that would leave the fleet.
    pub fn leaving(&self) -> impl Iterator<Item = (&Member, &Leaves)> {
        self.accounts.values().filter_map(|locked| Some((&locked.member, locked.leaves.as_ref()?)))
    }

    /// Returns the file's text: a line for each account.
    pub fn text(&self) -> String {
        let mut text = String::from(
            "# The accounts that the manifest takes from AWS Organizations. `roleout accounts --update` writes this file: review\n\
             # it like code, and do not edit it.\nversion: 1\n",
        );
        let _ = writeln!(text, "changed: {}", literal(&self.changed));
        let _ = writeln!(text, "organization: {}", literal(&self.organization));
        // YAML has no empty list in this form: a key without a value would be nothing.
        let key = |name: &str, is_empty: bool| format!("{name}:{}\n", if is_empty { " []" } else { "" });
        text.push_str(&key("entries", self.question.entries.is_empty()));
        for criteria in &self.question.entries {
            let _ = writeln!(text, "  - {}", of_criteria(criteria));
        }
        let Facts { email, tags } = &self.question.facts;
        let _ = writeln!(text, "facts: {{ email: {email}, tags: {} }}", list(tags));
        text.push_str(&key("units", self.units.is_empty()));
        for (path, id) in &self.units {
            let _ = writeln!(text, "  - {{ id: {}, path: {} }}", literal(id), literal(path));
        }
        text.push_str(&key("accounts", self.accounts.is_empty()));
        for locked in self.accounts.values() {
            let Member { id, name, email, unit, tags, .. } = &locked.member;
            let _ = write!(text, "  - {{ id: \"{id}\", name: {}, ou: {}", literal(name), literal(unit));
            if let Some(email) = email {
                let _ = write!(text, ", email: {}", literal(email));
            }
            if !tags.is_empty() {
                let tags: Vec<String> =
                    tags.iter().map(|(key, value)| format!("{}: {}", literal(key), literal(value))).collect();
                let _ = write!(text, ", tags: {{ {} }}", tags.join(", "));
            }
            if let Some(leaves) = &locked.leaves {
                let _ = write!(text, ", leaves: {}", literal(leaves.word()));
            }
            text.push_str(" }\n");
        }
        text
    }
}

fn list<'a>(words: impl IntoIterator<Item = &'a String>) -> String {
    let words: Vec<String> = words.into_iter().map(|word| literal(word)).collect();
    format!("[{}]", words.join(", "))
}

fn of_criteria(criteria: &Criteria) -> String {
    let lists =
        [("ou", &criteria.units), ("id", &criteria.ids), ("name", &criteria.names), ("email", &criteria.emails)];
    let lists = lists.into_iter().filter(|(_, values)| !values.is_empty());
    let mut parts: Vec<String> = lists.map(|(key, values)| format!("{key}: {}", list(values))).collect();
    if !criteria.tags.is_empty() {
        let tags: Vec<String> =
            criteria.tags.iter().map(|(key, values)| format!("{}: {}", literal(key), list(values))).collect();
        parts.push(format!("tags: {{ {} }}", tags.join(", ")));
    }
    if !criteria.exclude.is_empty() {
        let others: Vec<String> = criteria.exclude.iter().map(of_criteria).collect();
        parts.push(format!("exclude: [{}]", others.join(", ")));
    }
    if parts.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", parts.join(", ")) }
}
