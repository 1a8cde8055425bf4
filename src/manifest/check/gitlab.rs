//! `gitlab:`: the environment of each account.

use std::collections::BTreeMap;

use crate::manifest::Manifest;
use crate::manifest::check::accounts::Accounts;
use crate::manifest::check::{Checker, given};

/// The longest name of an environment in GitLab, in characters.
const LONGEST: usize = 255;

impl Checker<'_> {
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
