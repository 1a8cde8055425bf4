//! Which accounts of an organization an entry of a manifest is for.
//!
//! AND across the keys, OR within one; `exclude` takes accounts out again. `*` stands for anything, and `?` for one character.
//! In the path of a unit both stay within one name, and `**` is any number of names.

use std::collections::BTreeMap;

use crate::base::iam_pattern::matches;
use crate::fleet::organization::{Member, with_ancestors};

/// What an account must be like. A list that is empty asks for nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Criteria {
    /// Ids of units or of the root, or patterns of their paths. An account in a unit below one of them is in it, too.
    pub units: Vec<String>,
    /// Patterns of the values of tags.
    pub tags: BTreeMap<String, Vec<String>>,
    /// Patterns of ids.
    pub ids: Vec<String>,
    /// Patterns of names.
    pub names: Vec<String>,
    /// Patterns of addresses.
    pub emails: Vec<String>,
    /// Those that match one of these are not meant.
    pub exclude: Vec<Criteria>,
}

impl Criteria {
    /// Whether an account is meant. `units` has the ids of the units by their paths.
    pub fn match_account(&self, member: &Member, units: &BTreeMap<String, String>) -> bool {
        let one = |patterns: &[String], text: Option<&str>| {
            patterns.is_empty() || text.is_some_and(|text| patterns.iter().any(|pattern| matches(pattern, text)))
        };
        one(&self.ids, Some(member.id.as_str()))
            && one(&self.names, Some(&member.name))
            && one(&self.emails, member.email.as_deref())
            && self.tags.iter().all(|(key, values)| one(values, member.tags.get(key).map(String::as_str)))
            && (self.units.is_empty() || self.units.iter().any(|unit| is_in(unit, member, units)))
            && !self.exclude.iter().any(|other| other.match_account(member, units))
    }

    /// Returns the patterns of units here and in what is excluded.
    pub fn all_units(&self) -> impl Iterator<Item = &str> {
        self.units.iter().chain(self.exclude.iter().flat_map(|other| &other.units)).map(String::as_str)
    }

    /// Returns the keys of tags here and in what is excluded.
    pub fn all_tags(&self) -> impl Iterator<Item = &str> {
        self.tags.keys().chain(self.exclude.iter().flat_map(|other| other.tags.keys())).map(String::as_str)
    }

    /// Whether addresses are asked for.
    pub fn needs_email(&self) -> bool {
        !self.emails.is_empty() || self.exclude.iter().any(|other| !other.emails.is_empty())
    }
}

fn is_in(unit: &str, member: &Member, units: &BTreeMap<String, String>) -> bool {
    with_ancestors(&member.unit).into_iter().any(|path| is_unit(unit, path, units))
}

/// Whether a pattern, or an id, is of the unit of a path.
pub fn is_unit(pattern: &str, path: &str, units: &BTreeMap<String, String>) -> bool {
    units.get(path).is_some_and(|id| id == pattern) || fits(&split(pattern), &split(path))
}

/// Returns the names of a path; of the root, none.
fn split(path: &str) -> Vec<&str> {
    path.split('/').filter(|name| !name.is_empty()).collect()
}

fn fits(pattern: &[&str], path: &[&str]) -> bool {
    match (pattern, path) {
        ([], []) => true,
        (["**", rest @ ..], _) if fits(rest, path) => true,
        (["**", ..], [_, left @ ..]) => fits(pattern, left),
        ([name, rest @ ..], [first, left @ ..]) => matches(name, first) && fits(rest, left),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(unit: &str) -> Member {
        Member {
            id: "012345678901".parse().expect("an id"),
            name: "Payments Prod".to_owned(),
            email: None,
            unit: unit.to_owned(),
            tags: [("env".to_owned(), "prod-eu".to_owned())].into(),
            state: "ACTIVE".to_owned(),
        }
    }

    fn units() -> BTreeMap<String, String> {
        [("/", "r-ab12"), ("work", "ou-ab12-11111111"), ("work/prod", "ou-ab12-22222222")]
            .map(|(path, id)| (path.to_owned(), id.to_owned()))
            .into()
    }

    #[test]
    fn a_unit_has_the_accounts_of_the_units_below_it() {
        for (pattern, unit, wanted) in [
            ("/", "/", true),
            ("/", "work/prod", true),
            ("r-ab12", "work/prod", true),
            ("work", "work/prod", true),
            ("work", "work", true),
            ("work/prod", "work", false),
            ("ou-ab12-11111111", "work/prod", true),
            ("ou-ab12-22222222", "work", false),
            ("*", "work", true),
            ("*", "/", false),
            ("*/prod", "work/prod", true),
            ("**/prod", "work/prod", true),
            ("**/prod", "prod", true),
            ("w?rk", "work/prod", true),
            ("wor", "work", false),
        ] {
            let criteria = Criteria { units: vec![pattern.to_owned()], ..Criteria::default() };
            assert_eq!(criteria.match_account(&member(unit), &units()), wanted, "{pattern} {unit}");
        }
    }

    #[test]
    fn every_key_must_match_and_one_value_is_enough() {
        let list = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>();
        let is = |criteria: &Criteria| criteria.match_account(&member("work/prod"), &units());
        let mut criteria = Criteria { names: list(&["Shop*", "Pay*"]), ..Criteria::default() };
        assert!(is(&criteria));
        criteria.tags.insert("env".to_owned(), list(&["prod-*"]));
        assert!(is(&criteria));
        criteria.tags.insert("team".to_owned(), list(&["*"]));
        assert!(!is(&criteria), "a tag that is not there has no value");
        criteria.tags.remove("team");
        criteria.exclude.push(Criteria { ids: list(&["0123*"]), ..Criteria::default() });
        assert!(!is(&criteria));
        assert!(!is(&Criteria { emails: list(&["*"]), ..Criteria::default() }));
    }
}
