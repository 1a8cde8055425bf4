//! Organizations as they are read: accounts, and the units that those are in.

use std::collections::BTreeMap;

use crate::fleet::AccountId;

/// How the path of the root is written.
pub const ROOT: &str = "/";
/// The state of an account that can be used.
pub const ACTIVE: &str = "ACTIVE";

/// An account of an organization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The 12-digit id.
    pub id: AccountId,
    /// The name that Organizations has for it: any text.
    pub name: String,
    /// The address of its root user, where a manifest asks for it.
    pub email: Option<String>,
    /// The path of its organizational unit: names with `/` between them, or [`ROOT`].
    pub unit: String,
    /// Its tags, where a manifest asks for them.
    pub tags: BTreeMap<String, String>,
    /// Its state, in the words of Organizations.
    pub state: String,
}

impl Member {
    /// Whether the account can be used.
    pub fn is_active(&self) -> bool {
        self.state == ACTIVE
    }

    /// Returns the name of its unit.
    pub fn unit_name(&self) -> &str {
        if self.unit == ROOT { "Root" } else { self.unit.rsplit('/').next().unwrap_or(&self.unit) }
    }
}

/// An organization as it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Organization {
    /// Its id, such as `o-a1b2c3d4e5`.
    pub id: String,
    /// The ids of its units and of its root, by their paths.
    pub units: BTreeMap<String, String>,
    /// Its accounts.
    pub members: Vec<Member>,
}

/// Returns the one region of a partition in which its Organizations is.
pub fn home_region(partition: &str) -> &'static str {
    match partition {
        "aws-cn" => "cn-northwest-1",
        "aws-us-gov" => "us-gov-west-1",
        _ => "us-east-1",
    }
}

/// Returns the path of a unit and of all that it is in, the root first.
pub fn with_ancestors(path: &str) -> Vec<&str> {
    let mut paths = vec![ROOT];
    if path != ROOT {
        paths.extend(path.match_indices('/').map(|(at, _)| &path[..at]));
        paths.push(path);
    }
    paths
}

/// Returns the path of a unit in another one. A `/` in its name would be taken for one of the path.
pub fn path_below(parent: &str, name: &str) -> String {
    let name = name.replace('/', "%2F");
    if parent == ROOT { name } else { format!("{parent}/{name}") }
}
