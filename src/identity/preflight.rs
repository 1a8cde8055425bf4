//! Preflight: every chain is walked, and every session's account compared with the manifest's, before any change.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::StreamExt;

use crate::aws::error::HopError;
use crate::fleet::Account;
use crate::identity::session::Sessions;

/// Chains walked at once: at 100 ms a call these are the 600 calls a second that STS has for the hub's account. Web-identity
/// exchanges have a bound of their own.
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
    /// Returns the first line of each explanation: the problem, without the fix.
    pub fn summary(&self) -> Vec<String> {
        self.help.iter().filter_map(|help| help.lines().next()).map(str::to_owned).collect()
    }
}

/// What is done where a chain cannot be walked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnLoss {
    /// The others are walked all the same.
    GoOn,
    /// None is begun any more: what was asked for is lost.
    Stop,
}

/// Walks the chains of all accounts, and returns those that cannot be used, in the manifest's order.
pub async fn walk(sessions: &Sessions, accounts: &[Arc<Account>], on_loss: OnLoss) -> Vec<Unreachable> {
    let is_lost = &AtomicBool::new(false);
    futures::stream::iter(accounts)
        .map(|account| async move {
            if on_loss == OnLoss::Stop && is_lost.load(Ordering::Relaxed) {
                return None;
            }
            let lost = check(sessions, account).await;
            is_lost.fetch_or(lost.is_some(), Ordering::Relaxed);
            lost
        })
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
        Err(error) => unreachable(format!("{error:#}"), error.help.clone(), Some(error)),
    }
}
