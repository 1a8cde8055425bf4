//! What was not checked, and why: each reason once, however many accounts have it.

use std::collections::{BTreeMap, BTreeSet};

/// Reasons why things were not checked, and the accounts that have them.
#[derive(Debug, Default)]
pub struct Notes {
    reasons: BTreeMap<String, BTreeSet<String>>,
}

impl Notes {
    /// Adds a reason, a lower-case fragment that does not name the account.
    pub fn add(&mut self, reason: impl Into<String>, account: &str) {
        self.reasons.entry(reason.into()).or_default().insert(account.to_owned());
    }

    /// Returns a line for each reason.
    pub fn lines(&self) -> Vec<String> {
        let line = |(reason, accounts): (&String, &BTreeSet<String>)| {
            let place = match (accounts.first(), accounts.len()) {
                (Some(only), 1) => only.clone(),
                (_, count) => format!("{count} accounts"),
            };
            format!("not checked in {place}: {reason}")
        };
        self.reasons.iter().map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_told_once_with_its_accounts() {
        let mut notes = Notes::default();
        for account in ["a", "b", "b", "c"] {
            notes.add("iam:GetRole is not allowed to the role deployer", account);
        }
        notes.add("ecr:DescribeImages is throttled", "a");
        assert_eq!(
            notes.lines(),
            [
                "not checked in a: ecr:DescribeImages is throttled",
                "not checked in 3 accounts: iam:GetRole is not allowed to the role deployer",
            ]
        );
    }
}
