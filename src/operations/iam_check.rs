//! What `roleout iam check` does: what a manifest needs is compared with what is live.

use futures::StreamExt;

use crate::aws::denial;
use crate::aws::error::CallError;
use crate::aws::iam::Roles;
use crate::base::error::Error;
use crate::base::exit::Exit;
use crate::base::text::{clean, count};
use crate::connect::{CommandContext, Connection};
use crate::engine::cancel::unless_cancelled;
use crate::fleet::{Fleet, RoleChain};
use crate::iam::live::{self, Difference, Kind, LiveRole};
use crate::iam::{AccountSetup, RoleSetup, Setup};

/// No role of the manifest is in the selection: to say that nothing differs would say nothing.
pub fn none_selected() -> Error {
    let help =
        "--account and --role select the roles that both name; `roleout accounts` lists the accounts and their chains";
    Error::new(Exit::Usage, "no role of the manifest is selected").help(help)
}

/// Compares by a way to AWS that is given, and says what differs: what `iam check` and its tests have in common. What
/// the first set-up has must be there, and nothing that the second one has not.
///
/// # Errors
/// Something could not be read, and nothing else differs; or a signal.
pub async fn compare(
    fleet: &Fleet,
    (setup, most): (&Setup, &Setup),
    context: &mut CommandContext<'_>,
) -> Result<Exit, Error> {
    let CommandContext { connection, view, cancel } = context;
    let roles = setup.accounts.iter().map(|account| account.roles.len()).sum();
    if roles == 0 {
        return Err(none_selected());
    }
    view.phase(&format!("comparing {}", count(roles, "role")));
    let read = unless_cancelled(read(fleet, (setup, most), connection), cancel).await?;
    let (mut text, mut missing, mut extra, mut unread) = (String::new(), 0, 0, 0);
    for part in &read {
        missing += part.differences.iter().filter(|it| it.kind == Kind::Missing).count();
        extra += part.differences.iter().filter(|it| it.kind == Kind::Extra).count();
        unread += part.unread.len();
        let mark = match (part.differences.is_empty(), part.unread.is_empty()) {
            (true, true) => "✔",
            (true, false) => "?",
            (false, _) => "✖",
        };
        text.push_str(&format!("{mark} {}\n", clean(&part.what)));
        for difference in &part.differences {
            let sign = if difference.kind == Kind::Missing { '-' } else { '+' };
            text.push_str(&format!("    {sign} {}\n", clean(&difference.text)));
        }
        for reason in &part.unread {
            text.push_str(&format!("    ? not compared: {}\n", clean(reason)));
        }
    }
    text.push_str(&match (missing, extra, unread) {
        (0, 0, 0) => "iam: the live roles are as the manifest needs them\n".to_owned(),
        _ => format!("iam: {missing} missing, {extra} not needed, {unread} not compared\n"),
    });
    view.data(&text);
    match (missing + extra, unread) {
        (0, 0) => Ok(Exit::Done),
        (0, _) => {
            let help = "let a role of each account read IAM: `roleout iam --with-check` adds that to the policies";
            Err(Error::new(Exit::Preflight, "not everything could be compared").help(help))
        }
        _ => Ok(Exit::Pending),
    }
}

/// Accounts read at once.
const ACCOUNTS: usize = 16;

/// What came of one role or provider.
struct Compared {
    /// Which.
    what: String,
    /// What differs.
    differences: Vec<Difference>,
    /// What could not be read.
    unread: Vec<String>,
}

/// Reads and compares all accounts.
async fn read(fleet: &Fleet, (setup, most): (&Setup, &Setup), connection: &Connection) -> Vec<Compared> {
    let accounts = setup.accounts.iter().zip(&most.accounts).map(|both| account(fleet, both, connection));
    futures::stream::iter(accounts).buffered(ACCOUNTS).flat_map(futures::stream::iter).collect().await
}

async fn account(
    fleet: &Fleet,
    (account, most): (&AccountSetup, &AccountSetup),
    connection: &Connection,
) -> Vec<Compared> {
    let roles = session(fleet, account).map(|chain| {
        let region = fleet.accounts.iter().find(|one| one.id == account.id).and_then(|one| one.regions.first());
        let region = region.unwrap_or(&fleet.identity.region);
        let ecs = connection.aws.ecs(account.id.as_str(), region, || connection.sessions.credentials(&chain));
        ecs.aux().roles(region)
    });
    let mut compared = Vec::new();
    if let Some(provider) = &account.provider {
        let partition = account.roles.first().map_or("aws", |role| role.arn.partition());
        let arn = provider.arn(partition, account.id.as_str());
        let mut one =
            Compared { what: format!("{}: {arn}", account.label()), differences: Vec::new(), unread: Vec::new() };
        match &roles {
            Some(roles) => match roles.provider(&arn).await {
                Ok(Some((url, audiences))) => one.differences = live::provider(provider, &url, &audiences),
                Ok(None) => one.differences.push(missing("there is no such identity provider")),
                Err(error) => one.unread.push(reason(&error)),
            },
            None => one.unread.push("no chain has a session in the account".to_owned()),
        }
        compared.push(one);
    }
    for both in account.roles.iter().zip(&most.roles) {
        compared.push(compare_role(account, both, roles.as_ref()).await);
    }
    compared
}

async fn compare_role(
    account: &AccountSetup,
    (role, most): (&RoleSetup, &RoleSetup),
    roles: Option<&Roles>,
) -> Compared {
    let what = format!("{}: {}", account.label(), role.arn);
    let mut one = Compared { what, differences: Vec::new(), unread: Vec::new() };
    let Some(roles) = roles else {
        one.unread.push("no chain has a session in the account".to_owned());
        return one;
    };
    let mut found = LiveRole::default();
    match roles.find(role.arn.name()).await {
        Ok(Some(live)) if live.arn != role.arn.as_str() => {
            one.differences.push(missing(&format!("the role of that name is {}", live.arn)));
            return one;
        }
        Ok(Some(live)) => found.trust = live.trust,
        Ok(None) => {
            one.differences.push(missing("there is no such role"));
            return one;
        }
        Err(error) => one.unread.push(format!("its trust policy: {}", reason(&error))),
    }
    match roles.policies(role.arn.name()).await {
        Ok(policies) => found.policies = Some(policies),
        Err(error) => one.unread.push(format!("its permissions: {}", reason(&error))),
    }
    one.differences = live::role(role, &found).into_iter().filter(|it| it.kind == Kind::Missing).collect();
    one.differences.extend(live::role(most, &found).into_iter().filter(|it| it.kind == Kind::Extra));
    one
}

fn missing(text: &str) -> Difference {
    Difference { kind: Kind::Missing, text: text.to_owned() }
}

/// Returns the way to a session in an account: the start of a chain that comes through it.
fn session(fleet: &Fleet, account: &AccountSetup) -> Option<RoleChain> {
    fleet.accounts.iter().find_map(|one| {
        let hops = &one.chain.hops;
        let last = hops.iter().rposition(|hop| *hop.arn.account() == account.id)?;
        Some(RoleChain { hops: hops[..=last].to_vec() })
    })
}

fn reason(error: &CallError) -> String {
    denial::unanswered(error, "iam", None)
}
