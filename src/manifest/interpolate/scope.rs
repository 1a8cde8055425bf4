//! What the own names of a target mean, `${account.id}` and the like, at some place of the manifest.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::nearest::nearest;
use crate::fleet::lookup::Lookup;
use crate::fleet::organization::Member;
use crate::manifest::fault::{OWN_NAMES, Problem};

/// What the own names of a target mean at some place of the manifest.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scope<'a> {
    /// The account's name and id, and its `vars`.
    pub account: Option<(&'a str, &'a str, &'a BTreeMap<String, String>)>,
    /// The target's region.
    pub region: Option<&'a str>,
    /// The service's name in the manifest.
    pub service: Option<&'a str>,
    /// The account in its organization, and the id of its unit, for an entry that takes accounts from there.
    pub member: Option<(&'a Member, &'a str)>,
    /// The lookups of the target, where they may be used.
    pub lookups: Option<&'a Lookups>,
}

/// The lookups that are in a target's texts, and where each is written; nowhere yet = empty.
pub type Lookups = RefCell<BTreeMap<Lookup, Arc<str>>>;

/// What an organization says of an account, besides its tags.
const OF_MEMBER: [&str; 6] = ["org.email", "org.id", "org.name", "org.ou.id", "org.ou.name", "org.ou.path"];
/// What the name of a tag's value begins with.
pub const ORG_TAGS: &str = "org.tags.";

impl Scope<'_> {
    /// Returns the value of an own name, or `None` where it is one that this account lacks (`vars` only).
    pub fn value(&self, name: &str) -> Result<Option<&str>, Problem> {
        let needle = format!("${{{name}");
        let unavailable = || {
            let message = format!("`${{{name}}}` is not known here");
            let help = match (self.account, self.region) {
                _ if name.starts_with("org.") => {
                    "only an entry `from: organization` knows it: put it into the entry's `labels` or `vars`"
                }
                _ if self.member.is_some() => {
                    "an entry `from: organization` knows `${org.*}` and environment variables"
                }
                (None, _) => "only an environment variable, `${NAME}`, can be used here",
                (Some(_), _) => "here `${account.id}`, `${account.name}` and `${vars.*}` are known",
            };
            Problem::new(needle.clone(), message, help)
        };
        match (name, name.strip_prefix("vars.")) {
            ("account.id", _) => self.account.map(|(_, id, _)| Some(id)).ok_or_else(unavailable),
            ("account.name", _) => self.account.map(|(name, _, _)| Some(name)).ok_or_else(unavailable),
            ("region", _) => self.region.map(Some).ok_or_else(unavailable),
            ("service.name", _) => self.service.map(Some).ok_or_else(unavailable),
            (_, Some(key)) => {
                let (_, _, vars) = self.account.ok_or_else(unavailable)?;
                Ok(vars.get(key).map(String::as_str))
            }
            _ if name.starts_with("org.") => {
                let (member, unit) = self.member.ok_or_else(unavailable)?;
                of_member(name, member, unit)
            }
            _ => {
                let help = match nearest(name, OWN_NAMES) {
                    Some(near) => format!("did you mean `${{{near}}}`?"),
                    None => {
                        let known: Vec<String> = OWN_NAMES.iter().map(|name| format!("`${{{name}}}`")).collect();
                        format!("a target has {} and `${{vars.*}}`", known.join(", "))
                    }
                };
                Err(Problem::new(needle, format!("unknown name `${{{name}}}`"), help))
            }
        }
    }
}

/// Returns what an organization says of an account; `None` where it has no such tag.
fn of_member<'m>(name: &str, member: &'m Member, unit: &'m str) -> Result<Option<&'m str>, Problem> {
    Ok(match (name, name.strip_prefix(ORG_TAGS)) {
        ("org.id", _) => Some(member.id.as_str()),
        ("org.name", _) => Some(&member.name),
        ("org.email", _) => member.email.as_deref(),
        ("org.ou.id", _) => Some(unit),
        ("org.ou.name", _) => Some(member.unit_name()),
        ("org.ou.path", _) => Some(&member.unit),
        (_, Some(key)) => member.tags.get(key).map(String::as_str),
        _ => {
            let help = match nearest(name, OF_MEMBER) {
                Some(near) => format!("did you mean `${{{near}}}`?"),
                None => "an organization has `${org.tags.KEY}`, `${org.id}`, `${org.name}`, `${org.email}`, `${org.ou.id}`, \
                         `${org.ou.name}` and `${org.ou.path}`"
                    .to_owned(),
            };
            return Err(Problem::new(format!("${{{name}"), format!("unknown name `${{{name}}}`"), help));
        }
    })
}
