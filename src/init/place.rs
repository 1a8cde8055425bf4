//! Selectors: the words of a manifest that mean just these accounts and regions.

use std::collections::BTreeSet;

use crate::init::yaml;

/// An account's name and a region.
pub type Place<'a> = (&'a str, &'a str);

/// A selector, in YAML; `None` = everything.
pub type Selector = Option<String>;

/// Returns the selectors that mean just the `wanted` ones of `all` places, with the places of each: one where one can,
/// otherwise one an account.
pub fn selectors<'a>(all: &[Place<'a>], wanted: &[Place<'a>]) -> Vec<(Selector, Vec<Place<'a>>)> {
    if let Some(selector) = selector(all, wanted) {
        return vec![(selector, wanted.to_vec())];
    }
    let mut accounts: Vec<&str> = Vec::new();
    for (account, _) in wanted {
        if !accounts.contains(account) {
            accounts.push(account);
        }
    }
    let parts =
        accounts.into_iter().map(|name| wanted.iter().copied().filter(|(account, _)| *account == name).collect());
    parts.map(|part: Vec<Place<'a>>| (selector(all, &part).flatten(), part)).collect()
}

fn selector(all: &[Place<'_>], wanted: &[Place<'_>]) -> Option<Selector> {
    if let Some(keys) = keys(all, wanted) {
        return Some((!keys.is_empty()).then(|| format!("{{ {keys} }}")));
    }
    // Every account with every region, less what is too much.
    let (accounts, regions) = sides(wanted);
    let is_near = |(account, region): &&Place<'_>| accounts.contains(account) && regions.contains(region);
    let near: Vec<Place<'_>> = all.iter().filter(is_near).copied().collect();
    let excess: Vec<Place<'_>> = near.iter().filter(|place| !wanted.contains(place)).copied().collect();
    let (mut written, excluded) = (keys(all, &near)?, keys(&near, &excess)?);
    if !written.is_empty() {
        written.push_str(", ");
    }
    Some(Some(format!("{{ {written}not: {{ {excluded} }} }}")))
}

/// Returns the fewest keys that choose just the `wanted` ones of `all` places, where keys alone can.
fn keys(all: &[Place<'_>], wanted: &[Place<'_>]) -> Option<String> {
    let (accounts, regions) = sides(wanted);
    [(false, false), (true, false), (false, true), (true, true)].into_iter().find_map(|(by_account, by_region)| {
        let is_chosen = |(account, region): &&Place<'_>| {
            (!by_account || accounts.contains(account)) && (!by_region || regions.contains(region))
        };
        let chosen = || all.iter().filter(is_chosen);
        if chosen().count() != wanted.len() || !chosen().all(|place| wanted.contains(place)) {
            return None;
        }
        let account = by_account.then(|| format!("account: {}", words(&accounts)));
        let region = by_region.then(|| format!("region: {}", words(&regions)));
        Some(account.into_iter().chain(region).collect::<Vec<_>>().join(", "))
    })
}

fn sides<'a>(places: &[Place<'a>]) -> (BTreeSet<&'a str>, BTreeSet<&'a str>) {
    places.iter().copied().unzip()
}

fn words(names: &BTreeSet<&str>) -> String {
    match names.first() {
        Some(only) if names.len() == 1 => yaml::literal(only),
        _ => yaml::list(names.iter().copied()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Place<'static>; 4] = [("a", "r1"), ("a", "r2"), ("b", "r1"), ("b", "r2")];

    fn written(wanted: &[Place<'static>]) -> Vec<String> {
        selectors(&ALL, wanted).into_iter().map(|(selector, _)| selector.unwrap_or_default()).collect()
    }

    #[test]
    fn the_simplest_selector_is_found() {
        assert_eq!(written(&ALL), [""]);
        assert_eq!(written(&ALL[..2]), ["{ account: a }"]);
        assert_eq!(written(&[ALL[0], ALL[2]]), ["{ region: r1 }"]);
        assert_eq!(written(&ALL[3..]), ["{ account: b, region: r2 }"]);
        assert_eq!(written(&ALL[..3]), ["{ not: { account: b, region: r2 } }"]);
        assert_eq!(written(&[ALL[0], ALL[3]]), ["{ account: a, region: r1 }", "{ account: b, region: r2 }"]);
    }
}
