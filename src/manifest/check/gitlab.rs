//! `gitlab:`: the environment of each account, and its tier.

use std::collections::BTreeMap;

use crate::fleet::tier::Tier;
use crate::manifest::Manifest;
use crate::manifest::check::accounts::Accounts;
use crate::manifest::check::{Checker, given};

/// The longest name of an environment in GitLab, in characters.
const LONGEST: usize = 255;

impl Checker<'_> {
    /// Resolves the tiers of the environments, by their names. Records those that are none, and environments of two tiers;
    /// warns of several that GitLab would count as production.
    pub fn tiers_of_environments(
        self,
        manifest: &Manifest,
        (accounts, environments): (&Accounts, &BTreeMap<String, String>),
        warnings: &mut Vec<String>,
    ) -> BTreeMap<String, Tier> {
        let mut tiers: BTreeMap<String, (Tier, &str)> = BTreeMap::new();
        let deployments = given(&manifest.gitlab).and_then(|gitlab| given(&gitlab.deployments));
        let written = deployments.and_then(|deployments| deployments.tier.as_ref());
        for account in &accounts.list {
            let Some(environment) = environments.get(&account.name) else { continue };
            let tier = match written {
                Some(template) => {
                    let Some(word) = self.resolve(template, &account.scope()) else { return BTreeMap::new() };
                    let Some(tier) = Tier::of_word(&word) else {
                        let known = Tier::ALL.map(Tier::word).join(", ");
                        self.fault(template.span, format!("`{word}` is not a tier"), format!("GitLab has {known}"));
                        return BTreeMap::new();
                    };
                    tier
                }
                None => Tier::of_labels(&account.labels),
            };
            match (tiers.get(environment).copied(), written) {
                (Some((other, first)), Some(template)) if other != tier => {
                    let (one, two) = (other.word(), tier.word());
                    let message = format!(
                        "environment `{environment}` has the tiers {one} ({first}) and {two} ({})",
                        account.name
                    );
                    self.fault(template.span, message, "give all accounts of an environment the same tier");
                    return BTreeMap::new();
                }
                (Some((other, first)), None) if other != tier => {
                    tiers.insert(environment.clone(), (Tier::Other, first));
                }
                (Some(_), _) => {}
                (None, _) => {
                    tiers.insert(environment.clone(), (tier, &account.name));
                }
            }
        }
        let production = tiers.values().filter(|(tier, _)| *tier == Tier::Production).count();
        if production > 1 {
            warnings.push(format!(
                "gitlab: {production} environments have the tier production, and GitLab's DORA metrics count as many \
                 deployments for each release: let one have it"
            ));
        }
        tiers.into_iter().map(|(name, (tier, _))| (name, tier)).collect()
    }

    /// Resolves the environments of the accounts, by the accounts' names. Records the first that GitLab would refuse.
    pub fn environments(self, manifest: &Manifest, accounts: &Accounts) -> BTreeMap<String, String> {
        let mut environments = BTreeMap::new();
        let Some(written) = given(&manifest.gitlab).and_then(|gitlab| gitlab.deployments.as_ref()) else {
            return environments;
        };
        let Some(deployments) = written.get() else { return environments };
        self.need(&deployments.environment, written.span, "`deployments`", "environment");
        let Some(template) = &deployments.environment else { return environments };
        for account in accounts.list.iter().filter(|account| account.enabled) {
            let written = template.get().and_then(|name| self.resolve_open(name, template.span, &account.scope()));
            let Some(name) = written else { return environments };
            if !is_environment(&name) {
                let message = format!("`{name}` is not the name of an environment");
                let help = "GitLab takes 1 to 255 letters, digits, spaces and `-_/${}.`, without a `/` at either end";
                self.fault(template.span, message, help);
                return environments;
            }
            environments.insert(account.name.clone(), name);
        }
        environments
    }
}

fn is_environment(name: &str) -> bool {
    let allowed = |char: char| char.is_ascii_alphanumeric() || " -_/${}.".contains(char);
    (1..=LONGEST).contains(&name.len())
        && name.trim() == name
        && name.chars().all(allowed)
        && !name.starts_with('/')
        && !name.ends_with('/')
}
