//! How two locks of one manifest differ: account by account, and what of it.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::fleet::AccountId;
use crate::fleet::organization::Member;
use crate::fleet::organization::lock::{Leaves, Lock, Locked};

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The account.
    pub id: AccountId,
    /// The name that Organizations has for it.
    pub name: String,
    /// What of it.
    #[serde(flatten)]
    pub kind: Kind,
}

/// What differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "change")]
pub enum Kind {
    /// It comes into the fleet.
    New {
        /// The path of its unit.
        ou: String,
    },
    /// It leaves the fleet, since that was accepted.
    Left,
    /// It would leave the fleet: the organization does not have it any more.
    Gone,
    /// It would leave the fleet: it cannot be used.
    Inactive {
        /// Its state.
        state: String,
    },
    /// It would leave the fleet: no entry selects it any more.
    Unselected {
        /// The path of its unit.
        ou: String,
    },
    /// It would have left the fleet, and does not.
    Returned,
    /// It is in another unit, or its unit has another name.
    Moved {
        /// The path before.
        from: String,
        /// The path now.
        to: String,
    },
    /// It has another name.
    Renamed {
        /// The name before.
        from: String,
    },
    /// Its address changed.
    Email,
    /// A tag that the manifest uses changed.
    Tag {
        /// The tag's key.
        key: String,
        /// The value before; `None` = there was none.
        from: Option<String>,
        /// The value now; `None` = there is none.
        to: Option<String>,
    },
}

impl Kind {
    /// Whether somebody has to accept it first.
    pub fn leaves(&self) -> bool {
        matches!(self, Self::Gone | Self::Inactive { .. } | Self::Unselected { .. })
    }
}

/// Returns every difference, by the accounts' ids. What would leave is one as long as it is in the lock.
pub fn changes(old: Option<&Lock>, new: &Lock) -> Vec<Change> {
    let before = |id: &AccountId| old.and_then(|old| old.accounts.get(id));
    let ids: BTreeSet<&AccountId> = old.iter().flat_map(|old| old.accounts.keys()).chain(new.accounts.keys()).collect();
    let mut found = Vec::new();
    for id in ids {
        let (was, is) = (before(id), new.accounts.get(id));
        let Some(member) = is.or(was).map(|locked| &locked.member) else { continue };
        let change = |kind: Kind| Change { id: id.clone(), name: member.name.clone(), kind };
        found.extend(of_account(was, is).into_iter().map(change));
    }
    found
}

fn of_account(was: Option<&Locked>, is: Option<&Locked>) -> Vec<Kind> {
    let (was, is) = match (was, is) {
        (None, Some(is)) => return vec![Kind::New { ou: is.member.unit.clone() }],
        (Some(_), None) => return vec![Kind::Left],
        (None, None) => return Vec::new(),
        (Some(was), Some(is)) => (was, is),
    };
    let mut kinds = Vec::new();
    match &is.leaves {
        Some(Leaves::Gone) => kinds.push(Kind::Gone),
        Some(Leaves::State(state)) => kinds.push(Kind::Inactive { state: state.clone() }),
        Some(Leaves::Unselected) => kinds.push(Kind::Unselected { ou: is.member.unit.clone() }),
        None if was.leaves.is_some() => kinds.push(Kind::Returned),
        None => {}
    }
    kinds.extend(of_facts(&was.member, &is.member));
    kinds
}

fn of_facts(was: &Member, is: &Member) -> Vec<Kind> {
    let mut kinds = Vec::new();
    if was.unit != is.unit {
        kinds.push(Kind::Moved { from: was.unit.clone(), to: is.unit.clone() });
    }
    if was.name != is.name {
        kinds.push(Kind::Renamed { from: was.name.clone() });
    }
    if was.email != is.email {
        kinds.push(Kind::Email);
    }
    let keys: BTreeSet<&String> = was.tags.keys().chain(is.tags.keys()).collect();
    for key in keys.into_iter().filter(|key| was.tags.get(*key) != is.tags.get(*key)) {
        let value = |member: &Member| member.tags.get(key).cloned();
        kinds.push(Kind::Tag { key: key.clone(), from: value(was), to: value(is) });
    }
    kinds
}
