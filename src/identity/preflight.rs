//! Preflight: every chain is walked, and every session's account compared with the manifest's, before any change.

use std::sync::Arc;

use futures::StreamExt;

use super::session::{HopError, Sessions};
use crate::fleet::Account;

/// Chains walked at once. Web-identity exchanges have a bound of their own.
const AT_ONCE: usize = 64;

/// An account that cannot be reached, or that is another one than the manifest says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreachable {
    /// The account.
    pub account: Arc<Account>,
    /// Why.
    pub reason: String,
    /// What to do about it.
    pub help: Vec<String>,
    /// The hop that could not be walked, if that is why.
    pub cause: Option<Arc<HopError>>,
}

impl Unreachable {
    /// Returns the first line of each explanation: what is wrong, without how to mend it.
    pub fn summary(&self) -> Vec<String> {
        self.help.iter().filter_map(|help| help.lines().next()).map(str::to_owned).collect()
    }
}

/// Walks the chains of all accounts, and returns those that cannot be used, in the manifest's order.
pub async fn walk(sessions: &Sessions, accounts: &[Arc<Account>]) -> Vec<Unreachable> {
    futures::stream::iter(accounts)
        .map(|account| check(sessions, account))
        .buffered(AT_ONCE)
        .filter_map(std::future::ready)
        .collect()
        .await
}

async fn check(sessions: &Sessions, account: &Arc<Account>) -> Option<Unreachable> {
    let unreachable = |reason, help, cause| Some(Unreachable { account: Arc::clone(account), reason, help, cause });
    match sessions.identify(&account.chain).await {
        Ok((id, _)) if id == account.id => None,
        Ok((id, arn)) => unreachable(
            format!("the session {arn} is in account {id}, and not in {}", account.id),
            vec![format!("correct the id or the chain of `{}` in the manifest", account.name)],
            None,
        ),
        Err(error) => unreachable(error.to_string(), error.help.clone(), Some(error)),
    }
}
