//! What a manifest says of its accounts besides their targets: where each is from, and of which organization.

use std::collections::BTreeMap;

use crate::fleet::organization::criteria::Criteria;
use crate::fleet::organization::lock::Lock;
use crate::fleet::organization::{Question, home_region};
use crate::fleet::role_arn::RoleArn;
use crate::fleet::{AccountId, RoleChain};

/// The accounts of a manifest as it has them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Roster {
    /// Every account, in the manifest's order; those of an organization by their ids.
    pub accounts: Vec<Listing>,
    /// The organization, where an entry takes accounts from one.
    pub organization: Option<OrganizationSource>,
}

/// An account of a manifest.
#[derive(Clone, Debug, PartialEq)]
pub struct Listing {
    /// Its name in the fleet.
    pub name: String,
    /// Its id.
    pub id: AccountId,
    /// The place of its entry: `deploy.yaml:12`.
    pub from: String,
    /// The unit that it is in, where the entry takes it from an organization.
    pub ou: Option<String>,
    /// The names of the roles that lead to it.
    pub chain: Vec<String>,
    /// Its regions.
    pub regions: Vec<String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Whether it is to have targets.
    pub enabled: bool,
}

/// The organization of a manifest.
#[derive(Clone, Debug, PartialEq)]
pub struct OrganizationSource {
    /// What the manifest asks.
    pub question: Question,
    /// The roles that lead to the organization; `None` where the manifest names none.
    pub chain: Option<RoleChain>,
    /// Each entry that asks, in the manifest's order.
    pub entries: Vec<OrganizationEntry>,
    /// The name of the lock's file.
    pub file: String,
    /// What was written down; `None` where there is no lock yet.
    pub lock: Option<Lock>,
}

impl OrganizationSource {
    /// Returns the region in which it is asked.
    pub fn region(&self) -> &'static str {
        let role = self.chain.as_ref().and_then(RoleChain::role);
        home_region(role.map_or("aws", RoleArn::partition))
    }
}

/// An entry that takes accounts from an organization.
#[derive(Clone, Debug, PartialEq)]
pub struct OrganizationEntry {
    /// Its place: `deploy.yaml:12`.
    pub place: String,
    /// Which accounts.
    pub criteria: Criteria,
    /// The manifest's name of the last role of their chain.
    pub role: Option<String>,
}
