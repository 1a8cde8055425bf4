//! What the sessions of this run may read of the accounts in which a hop is refused: the role, and the identity providers.
//!
//! Only a session in the role's own account can: the hub's for roles beside it, another chain's that ends there.

use futures::StreamExt;

use crate::aws::error::HopError;
use crate::connect::Connection;
use crate::doctor::live::{Live, Look};
use crate::fleet::{Fleet, Hop};

/// Accounts that are looked at at once.
const CONCURRENCY: usize = 8;
/// How many accounts are looked at where a run ends with a hint and not with a report.
const FEW: usize = 16;

/// Looks at the account of each refused hop, in their order.
pub async fn read_roles<'a>(
    fleet: &Fleet,
    connection: &Connection,
    refused: impl Iterator<Item = (&'a [Hop], &'a HopError)>,
    thorough: bool,
) -> Vec<Live> {
    let looks = refused.enumerate().map(|(number, (hops, cause))| async move {
        match hops.last() {
            Some(hop) if thorough || number < FEW => one(fleet, connection, hop, cause).await,
            _ => Live::default(),
        }
    });
    let looks: Vec<_> = looks.collect();
    futures::stream::iter(looks).buffered(CONCURRENCY).collect().await
}

async fn one(fleet: &Fleet, connection: &Connection, hop: &Hop, cause: &HopError) -> Live {
    use crate::aws::SharedCredentialsProvider;
    use crate::aws::error::Kind;
    use crate::doctor::live::{Provider, Role};

    let about_role = cause.error.kind == Kind::Denied || cause.error.message.contains("MaxSessionDuration");
    let about_provider = cause.error.is("InvalidIdentityToken");
    let mut live = Live::default();
    if !about_role && !about_provider {
        return live;
    }
    let account = hop.arn.account();
    let sessions = connection.sessions.live_sessions().into_iter().map(|(_, session)| session.grant);
    let sessions = sessions
        .filter(|grant| grant.account == *account)
        .map(|grant| (grant.arn.clone(), SharedCredentialsProvider::new(grant.credentials.clone())));
    // A few roles of an account may read what others may not.
    let sessions: Vec<(String, SharedCredentialsProvider)> = sessions.take(3).collect();
    let mut tried: Vec<String> = Vec::new();
    for (arn, credentials) in sessions {
        let iam = connection.aws.aux_clients(account.as_str(), credentials).roles(&fleet.identity.region);
        let refused = |error: crate::aws::error::CallError| format!("{arn} may not: {error:#}");
        if about_role {
            match iam.find(hop.arn.name()).await {
                Ok(None) => live.role = Look::Missing,
                Ok(Some(found)) => {
                    let trust = found.trust.unwrap_or_default();
                    let (created, max_session) = (Some(found.created), found.max_session);
                    let source = "the live role".to_owned();
                    live.role = Look::Found(Role { source, arn: Some(found.arn), trust, created, max_session });
                }
                Err(error) => tried.push(refused(error)),
            }
        } else {
            match iam.providers().await {
                Ok(found) => {
                    let provider =
                        |one: crate::aws::iam::Provider| Provider { url: one.url, client_ids: one.client_ids };
                    live.providers = Look::Found(found.into_iter().map(provider).collect());
                }
                Err(error) => tried.push(refused(error)),
            }
        }
        if live != Live::default() {
            return live;
        }
    }
    let why = match tried.is_empty() {
        true => format!("this run has no other session in account {account} that could ask IAM"),
        false => tried.join("; "),
    };
    match about_role {
        true => live.role = Look::Refused(why),
        false => live.providers = Look::Refused(why),
    }
    live
}
