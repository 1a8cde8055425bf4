//! What AWS Organizations says of accounts, and what a manifest asks of it: members, their organizational units and tags.
//!
//! Nothing here calls AWS or reads a file: a [`lock::Lock`] is what was written down of an organization.

pub mod change;
pub mod criteria;
pub mod lock;
mod member;
pub mod name;
mod question;

pub use crate::fleet::organization::member::{
    ACTIVE, Member, Organization, ROOT, home_region, path_below, with_ancestors,
};
pub use crate::fleet::organization::question::{Facts, Question};

#[cfg(test)]
mod tests;
