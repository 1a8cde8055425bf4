//! Targets by the names of their accounts and services: a short form of the patterns of `--only`.

use clap::Args;
use clap_complete::engine::ArgValueCompleter;

use crate::cli::completion;
use crate::cli::{Cli, Command};

/// Targets by the names of their accounts and services.
#[derive(Clone, Debug, Default, Args)]
pub struct ByName {
    /// Only targets of this account, instead of --only ACCOUNT; repeat it, or separate with spaces
    #[arg(long, value_name = "NAME", env = "ROLEOUT_ONLY_ACCOUNT", value_delimiter = ' ', conflicts_with = "only")]
    #[arg(value_parser = name, add = ArgValueCompleter::new(completion::accounts))]
    pub account: Vec<String>,
    /// Only targets of this service, instead of --only '*/*/SERVICE'; repeat it, or separate with spaces
    #[arg(long, value_name = "NAME", env = "ROLEOUT_ONLY_SERVICE", value_delimiter = ' ', conflicts_with = "only")]
    #[arg(value_parser = name, add = ArgValueCompleter::new(completion::services))]
    pub service: Vec<String>,
}

impl ByName {
    /// Returns the patterns that mean the same: each of the services in each of the accounts.
    fn patterns(&self) -> Vec<String> {
        if self.service.is_empty() {
            return self.account.clone();
        }
        let any = ["*".to_owned()];
        let accounts = if self.account.is_empty() { &any[..] } else { &self.account };
        let mut patterns = Vec::new();
        for account in accounts {
            patterns.extend(self.service.iter().map(|service| format!("{account}/*/{service}")));
        }
        patterns
    }
}

impl Cli {
    /// Puts patterns in the place of names.
    pub(super) fn with_patterns(mut self) -> Self {
        let (only, by_name) = match &mut self.command {
            Command::Deploy(args) => (&mut args.selection.only, &args.by_name),
            Command::Rollback(args) => (&mut args.selection.only, &args.by_name),
            Command::Plan(args) => (&mut args.selection.only, &args.by_name),
            Command::Watch(args) => (&mut args.selection.only, &args.by_name),
            Command::Continue(args) => (&mut args.selection.only, &args.by_name),
            Command::Status(args) => (&mut args.selection.only, &args.by_name),
            Command::Doctor(args) => (&mut args.selection.only, &args.by_name),
            Command::Check(args) => (&mut args.selection.only, &args.by_name),
            Command::Pipeline(args) => (&mut args.make.only, &args.make.by_name),
            _ => return self,
        };
        only.extend(by_name.patterns());
        self
    }
}

fn name(text: &str) -> Result<String, String> {
    match text.contains('/') {
        true => Err("a name has no slash; --only takes ACCOUNT/REGION/SERVICE".to_owned()),
        false => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_patterns_of_only() {
        let patterns = |account: &[&str], service: &[&str]| {
            let all = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
            ByName { account: all(account), service: all(service) }.patterns()
        };
        assert_eq!(patterns(&[], &[]), Vec::<String>::new());
        assert_eq!(patterns(&["a", "b"], &[]), ["a", "b"]);
        assert_eq!(patterns(&[], &["web"]), ["*/*/web"]);
        assert_eq!(patterns(&["a", "b"], &["web", "api"]), ["a/*/web", "a/*/api", "b/*/web", "b/*/api"]);
        assert!(name("a/b").is_err() && name("prod-*").is_ok());
    }
}
