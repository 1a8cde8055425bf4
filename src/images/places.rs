//! Where something is, in few words.

use std::collections::BTreeSet;

use indexmap::IndexMap;

use crate::fleet::TargetId;

/// How many places are named before the rest is counted.
const NAMED: usize = 5;

/// Accounts and regions, each once, in the order in which they came.
#[derive(Clone, Debug, Default)]
pub struct Places(IndexMap<String, BTreeSet<String>>);

impl Places {
    /// Adds the place of a target.
    pub fn add(&mut self, target: &TargetId) {
        self.0.entry(target.account.to_string()).or_default().insert(target.region.to_string());
    }

    /// Returns how many there are.
    pub fn count(&self) -> usize {
        self.0.values().map(BTreeSet::len).sum()
    }

    /// Returns their regions.
    pub fn regions(&self) -> impl Iterator<Item = &String> {
        self.0.values().flatten()
    }

    /// Returns their names, with regions if asked for.
    pub fn words(&self, with_regions: bool) -> String {
        let all = self.0.iter().flat_map(|(account, own)| own.iter().map(move |region| (account, region)));
        let name = |(account, region): (&String, &String)| match with_regions {
            true => format!("{account}/{region}"),
            false => account.clone(),
        };
        let names: Vec<String> = all.take(NAMED).map(name).collect();
        match self.count().saturating_sub(NAMED) {
            0 => names.join(", "),
            more => format!("{} and {more} more", names.join(", ")),
        }
    }
}
