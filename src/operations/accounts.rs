//! What `roleout accounts --update` and `--check` do: the organization is read, and compared with the lock.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};

use crate::aws::error::CallError;
use crate::aws::organizations::{Organizations, Unit};
use crate::base::error::Error;
use crate::base::exit::Exit;
use crate::base::file;
use crate::base::nearest::nearest;
use crate::base::text::count;
use crate::connect::{CommandContext, Connection};
use crate::engine::cancel::unless_cancelled;
use crate::fleet::organization::change::changes;
use crate::fleet::organization::criteria::{Criteria, is_unit};
use crate::fleet::organization::lock::{Lock, Updated};
use crate::fleet::organization::{Member, Organization, Question, ROOT, path_below};
use crate::fleet::{Account, AccountId, Fleet, Identity, OrganizationSource, RoleChain, Roster};
use crate::operations::init::empty;
use crate::sandbox::SOMEBODY;
use crate::view::View;
use crate::view::accounts::{self, Comparison};

/// Calls on their way at once. How often they begin is the client's.
const AT_ONCE: usize = 8;

/// What a person decided beforehand.
#[derive(Clone, Debug, Default)]
pub struct UpdateOptions {
    /// Write what changed.
    pub write: bool,
    /// Accounts that may leave the fleet.
    pub accepted: BTreeSet<AccountId>,
    /// Print JSON.
    pub json: bool,
}

/// Returns a fleet without targets that reaches the organization as its only account.
///
/// # Errors
/// The manifest names no chain to it.
pub fn reader(identity: &Identity, source: &OrganizationSource) -> Result<Fleet, Error> {
    let Some(chain) = source.chain.clone() else {
        let message = "the manifest does not say how the organization is read";
        let help = "name the roles that lead to its management account, or to a delegated administrator: \
                    `identity: { organization_chain: [...] }`";
        return Err(Error::new(Exit::Manifest, message).help(help));
    };
    let id = chain.role().map(|role| role.account().clone()).or_else(|| SOMEBODY.parse().ok());
    let account = id.map(|id| {
        let (labels, regions) = (BTreeMap::new(), vec![source.region().to_owned()]);
        Arc::new(Account { id, name: "organization".to_owned(), labels, regions, chain })
    });
    let roster = Roster { organization: Some(source.clone()), ..Roster::default() };
    let fleet = empty(&[], identity.source.clone());
    Ok(Fleet { identity: identity.clone(), accounts: account.into_iter().collect(), roster, ..fleet })
}

/// Reads an organization by a way to AWS that is given, and compares it with the lock: what the command and its tests have in
/// common.
///
/// # Errors
/// The organization cannot be read, or is not what the manifest and the lock speak of; or a signal.
pub async fn update(
    source: &OrganizationSource,
    options: &UpdateOptions,
    context: &mut CommandContext<'_>,
) -> Result<Exit, Error> {
    let CommandContext { connection, view, cancel } = context;
    let today = connection.aws.clock().timestamp().strftime("%Y-%m-%d").to_string();
    let chain = source.chain.clone().unwrap_or_default();
    let read = read_by(connection, &chain, source, view);
    let organization = unless_cancelled(read, cancel).await??;
    refuse_units(source, &organization)?;
    warn(source, &organization, view);
    let old = source.lock.as_ref();
    let updated = Lock::update(old, &organization, &source.question, &options.accepted, &today);
    if let Some(id) = updated.not_leaving.first() {
        let error = Error::new(Exit::Usage, format!("--accept-gone: account {id} would not leave the fleet"));
        return Err(error.help("name only accounts that `roleout accounts --check` shows as leaving"));
    }
    let found = changes(old, &updated.lock);
    let is_new = old.is_none_or(|old| *old != updated.lock);
    let comparison = Comparison { source, updated: &updated, changes: &found, is_new, written: options.write };
    view.data(&if options.json { accounts::json(&comparison) } else { accounts::text(&comparison) });
    if options.write && is_new {
        save(Path::new(&source.file), &updated.lock)?;
        let accounts = count(updated.lock.accounts.len(), "account");
        view.note(&format!("wrote {} with {accounts}; commit it", source.file));
    }
    Ok(warn_of_leaving(&updated, is_new && !options.write, view))
}

fn save(path: &Path, lock: &Lock) -> Result<(), Error> {
    file::write(path, lock.text().as_bytes()).map_err(|error| Error::new(Exit::Usage, error.to_string()))
}

/// Says which accounts somebody has to accept, and returns the exit code.
fn warn_of_leaving(updated: &Updated, differs: bool, view: &mut View) -> Exit {
    let leaving: Vec<&str> = updated.lock.leaving().map(|(member, _)| member.id.as_str()).collect();
    if leaving.is_empty() {
        return if differs { Exit::Pending } else { Exit::Done };
    }
    let (accounts, ids) = (count(leaving.len(), "account"), leaving.join(" "));
    view.warning(&format!(
        "{accounts} would leave the fleet, and until somebody accepts that every other command stops: \
         roleout accounts --update --accept-gone '{ids}'"
    ));
    Exit::Pending
}

async fn read_by(
    connection: &Connection,
    chain: &RoleChain,
    source: &OrganizationSource,
    view: &mut View,
) -> Result<Organization, Error> {
    let (account, _) = connection.sessions.identify(chain).await.map_err(|error| {
        let help = error.help.clone();
        let error = Error::new(Exit::Preflight, format!("the chain to the organization: {error:#}"));
        Error { help, ..error }
    })?;
    let credentials = connection.sessions.credentials(chain);
    let organizations = connection.aws.aux_clients(account.as_str(), credentials).organization(source.region());
    view.phase("reading the organization");
    let (id, management) = organizations.describe().await.map_err(|error| refused(&error, &account, ""))?;
    if let Some(old) = source.lock.as_ref().filter(|old| old.organization != id) {
        let message = format!("the lock is of the organization {}, and this one is {id}", old.organization);
        let help = "correct `identity.organization_chain`; or delete the lock, if the fleet is to have other accounts";
        return Err(Error::new(Exit::Preflight, message).help(help));
    }
    let known: BTreeSet<AccountId> = source.lock.iter().flat_map(|lock| lock.accounts.keys().cloned()).collect();
    let read = read(&organizations, &source.question, &known, view).await;
    let read = read.map_err(|error| refused(&error, &account, &management))?;
    Ok(Organization { id, ..read })
}

/// Explains why an organization cannot be read.
fn refused(error: &CallError, account: &AccountId, management: &str) -> Error {
    let told = Error::new(Exit::Preflight, format!("account {account} cannot read the organization: {error:#}"));
    if error.is("AWSOrganizationsNotInUseException") {
        return told.help("this account is in no organization: correct `identity.organization_chain`");
    }
    if !error.is("AccessDeniedException") {
        return told;
    }
    let told = match management {
        "" => told,
        own if own == account.as_str() => told,
        other => told.help(format!(
            "only the management account, {other}, and delegated administrators may read it: let \
             `identity.organization_chain` end there, or make {account} a delegated administrator in AWS Organizations"
        )),
    };
    told.help("the role needs the permissions that `roleout iam` writes for `organization_chain`")
}

/// Reads the units, the accounts in them, and of those that may be asked for the tags. `known` are asked for in any case.
async fn read(
    organizations: &Organizations,
    question: &Question,
    known: &BTreeSet<AccountId>,
    view: &mut View,
) -> Result<Organization, CallError> {
    let mut organization = Organization::default();
    let mut members: BTreeMap<AccountId, Member> = BTreeMap::new();
    let roots = organizations.roots().await?;
    let mut level: Vec<(String, Unit)> = roots.into_iter().map(|root| (ROOT.to_owned(), root)).collect();
    while !level.is_empty() {
        let read = futures::stream::iter(level).map(async |(path, unit)| {
            let (units, accounts) =
                futures::try_join!(organizations.units(&unit.id), organizations.accounts(&unit.id))?;
            Ok::<_, CallError>((path, unit, units, accounts))
        });
        let read: Vec<_> = read.buffer_unordered(AT_ONCE).try_collect().await?;
        level = Vec::new();
        for (path, unit, units, accounts) in read {
            level.extend(units.into_iter().map(|unit| (path_below(&path, &unit.name), unit)));
            for account in accounts {
                let Ok(id) = account.id.parse::<AccountId>() else { continue };
                let (name, email, state) = (account.name, account.email, account.state);
                let member = Member { id: id.clone(), name, email, unit: path.clone(), tags: BTreeMap::new(), state };
                members.insert(id, member);
            }
            organization.units.insert(path, unit.id);
        }
    }
    if !question.facts.tags.is_empty() {
        let question = without_tags(question);
        let asked = |member: &&Member| known.contains(&member.id) || question.selects(member, &organization.units);
        let asked: Vec<AccountId> = members.values().filter(asked).map(|member| member.id.clone()).collect();
        view.phase(&format!("reading the tags of {}", count(asked.len(), "account")));
        let tags = futures::stream::iter(asked).map(async |id| {
            let tags = organizations.tags(id.as_str()).await?;
            Ok::<_, CallError>((id, tags))
        });
        let tags: Vec<_> = tags.buffer_unordered(AT_ONCE).try_collect().await?;
        for (id, tags) in tags {
            if let Some(member) = members.get_mut(&id) {
                member.tags = tags.into_iter().collect();
            }
        }
    }
    organization.members = members.into_values().collect();
    Ok(organization)
}

/// Returns a question that selects each account that this one may select, whatever its tags are.
fn without_tags(question: &Question) -> Question {
    let open = |criteria: &Criteria| Criteria {
        tags: BTreeMap::new(),
        exclude: criteria.exclude.iter().filter(|other| other.tags.is_empty()).cloned().collect(),
        ..criteria.clone()
    };
    Question::new(question.entries.iter().map(open), question.facts.clone())
}

/// Refuses units that the organization does not have: the accounts in them would be missing, or not left out.
fn refuse_units(source: &OrganizationSource, organization: &Organization) -> Result<(), Error> {
    let paths = || organization.units.keys().map(String::as_str);
    let mut lines = Vec::new();
    for entry in &source.entries {
        for pattern in entry.criteria.all_units() {
            if paths().any(|path| is_unit(pattern, path, &organization.units)) {
                continue;
            }
            let near = nearest(pattern, paths().chain(organization.units.values().map(String::as_str)));
            let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            lines.push(format!("{}: `{pattern}`{near}", entry.place));
        }
    }
    if lines.is_empty() {
        Ok(())
    } else {
        Err(Error::listing(Exit::Manifest, "there is no such organizational unit", &lines))
    }
}

/// Warns of entries that take no account, and of tags that no account has.
fn warn(source: &OrganizationSource, organization: &Organization, view: &mut View) {
    for entry in &source.entries {
        let takes = |member: &Member| entry.criteria.match_account(member, &organization.units);
        if !organization.members.iter().any(takes) {
            view.warning(&format!("{}: no account of the organization matches this entry", entry.place));
        }
    }
    let keys: BTreeSet<&str> = organization.members.iter().flat_map(|it| it.tags.keys()).map(String::as_str).collect();
    for key in source.question.facts.tags.iter().filter(|key| !keys.contains(key.as_str())) {
        let near =
            nearest(key, keys.iter().copied()).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        view.warning(&format!("no account has the tag `{key}`{near}"));
    }
}
