//! Selectors: the words of a manifest that mean just these accounts and regions.

use std::collections::BTreeSet;

use super::yaml;

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
    let (accounts, regions) = sides(wanted);
    let is_wanted =
        |chosen: &[Place<'_>]| chosen.len() == wanted.len() && chosen.iter().all(|one| wanted.contains(one));
    let choose = |by_account: bool, by_region: bool| -> Vec<Place<'_>> {
        let chosen = |(account, region): &&Place<'_>| {
            (!by_account || accounts.contains(account)) && (!by_region || regions.contains(region))
        };
        all.iter().filter(chosen).copied().collect()
    };
    for (by_account, by_region) in [(false, false), (true, false), (false, true), (true, true)] {
        if is_wanted(&choose(by_account, by_region)) {
            let keys = keys(by_account.then_some(&accounts), by_region.then_some(&regions));
            return Some((!keys.is_empty()).then(|| format!("{{ {keys} }}")));
        }
    }
    let chosen = choose(true, true);
    let excess: Vec<Place<'_>> = chosen.iter().copied().filter(|one| !wanted.contains(one)).collect();
    let (out_accounts, out_regions) = sides(&excess);
    let excluded =
        chosen.iter().filter(|(account, region)| out_accounts.contains(account) && out_regions.contains(region));
    let keys_in = keys(Some(&accounts), Some(&regions));
    let keys_out = keys(Some(&out_accounts), Some(&out_regions));
    (excluded.count() == excess.len()).then(|| Some(format!("{{ {keys_in}, not: {{ {keys_out} }} }}")))
}

fn sides<'a>(places: &[Place<'a>]) -> (BTreeSet<&'a str>, BTreeSet<&'a str>) {
    places.iter().copied().unzip()
}

fn keys(accounts: Option<&BTreeSet<&str>>, regions: Option<&BTreeSet<&str>>) -> String {
    let accounts = accounts.map(|names| format!("account: {}", yaml::list(names.iter().copied())));
    let regions = regions.map(|names| format!("region: {}", yaml::list(names.iter().copied())));
    accounts.into_iter().chain(regions).collect::<Vec<_>>().join(", ")
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
        assert_eq!(written(&ALL[..2]), ["{ account: [a] }"]);
        assert_eq!(written(&[ALL[0], ALL[2]]), ["{ region: [r1] }"]);
        assert_eq!(written(&ALL[3..]), ["{ account: [b], region: [r2] }"]);
        let not = "{ account: [a, b], region: [r1, r2], not: { account: [b], region: [r2] } }";
        assert_eq!(written(&ALL[..3]), [not]);
        assert_eq!(written(&[ALL[0], ALL[3]]), ["{ account: [a], region: [r1] }", "{ account: [b], region: [r2] }"]);
    }
}
