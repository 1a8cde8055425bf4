//! What `roleout init` does beside its pure part: it reads the services that are imported, and writes the files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use globset::Glob;
use indexmap::IndexMap;

use crate::base::arn;
use crate::base::error::Error;
use crate::base::exit::Exit;
use crate::base::file;
use crate::base::text::count;
use crate::connect::Connection;
use crate::fleet::role_arn::RoleArn;
use crate::fleet::{
    Account, Desired, Fleet, Hop, Identity, IdentitySource, OnBusy, Release, RoleChain, Roster, TargetId, TargetSpec,
};
use crate::identity::preflight::{self, OnLoss};
use crate::init::{File, Found, Source, import};
use crate::observe::{self, KeepMessages};
use crate::view::View;

/// Reads the services of the sources and returns the files that mean them, the manifest first: what `init
/// --from-service` and its tests have in common. `fleet` is [`empty`], and `reach` the way of its identity.
///
/// # Errors
/// Everything that could not be read, each once.
pub async fn imported(
    sources: &[Source],
    fleet: Fleet,
    connection: &Connection,
    view: &mut View,
) -> Result<Vec<File>, Error> {
    let (identity, region) = (fleet.identity.source.clone(), fleet.identity.region.clone());
    let found = found(sources, fleet, connection, view).await?;
    import(&found, &identity, &region).map_err(|error| Error::new(Exit::Usage, error))
}

/// Returns a fleet without accounts and targets, whose identity reaches the sources.
pub fn empty(sources: &[Source], source: IdentitySource) -> Fleet {
    let region = sources.first().map(|source| source.region.clone()).unwrap_or_default();
    Fleet {
        identity: Identity { source, region, session_name: "roleout-init".to_owned(), issuer: None },
        allow: None,
        accounts: Vec::new(),
        roster: Roster::default(),
        targets: Vec::new(),
        sources: Vec::new(),
        waves: Vec::new(),
        on_busy: OnBusy::Fail,
        notify: Vec::new(),
        environments: BTreeMap::new(),
        tiers: BTreeMap::new(),
        console: None,
        release: Release::default(),
        open: BTreeSet::new(),
        warnings: Vec::new(),
    }
}

async fn found(
    sources: &[Source],
    mut fleet: Fleet,
    connection: &Connection,
    view: &mut View,
) -> Result<Vec<Found>, Error> {
    let mut faults = Faults::default();
    let mut accounts: IndexMap<&[RoleArn], Option<Arc<Account>>> = IndexMap::new();
    for source in sources {
        if !accounts.contains_key(&*source.roles) {
            let account = account(source, connection, &mut faults).await;
            accounts.insert(&source.roles, account);
        }
    }
    fleet.accounts = accounts.values().flatten().cloned().collect();
    for lost in preflight::walk(&connection.sessions, &fleet.accounts, OnLoss::GoOn).await {
        faults.add(Exit::Preflight, format!("account {}: {}", lost.account.id, lost.reason), lost.help);
    }
    faults.stop()?;
    for source in sources {
        if let Some(Some(account)) = accounts.get(&*source.roles) {
            for service in services(source, account, connection, &mut faults).await {
                let target = target(&Source { service, ..source.clone() }, account);
                // Globs may meet.
                if !is_glob(&source.service) || !fleet.targets.iter().any(|other| is_same(other, &target)) {
                    fleet.targets.push(target);
                }
            }
        }
    }
    faults.stop()?;
    view.phase(&format!("reading {}", count(fleet.targets.len(), "service")));
    let clients = connection.clients();
    let indices: Vec<usize> = (0..fleet.targets.len()).collect();
    let mut seen = observe::targets(&fleet, &indices, KeepMessages::No, &|target| clients(target)).await;
    seen.sort_by_key(|(index, _)| *index);
    let mut found: Vec<Found> = Vec::with_capacity(seen.len());
    for (target, (_, seen)) in fleet.targets.iter().zip(seen) {
        let name = format!("{}/{}/{} in {}", target.id.region, target.cluster, target.service, target.account.id);
        let observed = match seen {
            Ok(observed) => observed,
            Err(unseen) => {
                let exit = if unseen.answered { Exit::Usage } else { Exit::Preflight };
                faults.add(exit, format!("{name}: {}", unseen.reason), unseen.help);
                continue;
            }
        };
        if let Some(ending) = observed.service.ending() {
            faults.add(Exit::Usage, format!("{name}: {ending}"), None);
            continue;
        }
        if observed.live.is_null() {
            faults.add(Exit::Usage, format!("{name}: the service runs no task definition"), None);
            continue;
        }
        let one = Found {
            account: target.account.id.clone(),
            chain: target.account.chain.clone(),
            region: target.id.region.to_string(),
            cluster: target.cluster.clone(),
            service: target.service.clone(),
            definition: Arc::new(observed.live.value()),
        };
        let again = |other: &Found| {
            (&other.account, &other.region, &other.cluster, &other.service)
                == (&one.account, &one.region, &one.cluster, &one.service)
        };
        if found.iter().any(again) {
            faults.add(Exit::Usage, format!("{name}: named twice"), None);
        } else {
            found.push(one);
        }
    }
    faults.stop()?;
    Ok(found)
}

fn is_glob(service: &str) -> bool {
    service.contains(['*', '?', '[', '{'])
}

fn is_same(one: &TargetSpec, other: &TargetSpec) -> bool {
    (&one.account.id, &one.id.region, &one.cluster, &one.service)
        == (&other.account.id, &other.id.region, &other.cluster, &other.service)
}

/// Returns the services that a source names: those of its cluster that match, where it has globs.
async fn services(
    source: &Source,
    account: &Arc<Account>,
    connection: &Connection,
    faults: &mut Faults,
) -> Vec<String> {
    if !is_glob(&source.service) {
        return vec![source.service.clone()];
    }
    let Ok(glob) = Glob::new(&source.service).map(|glob| glob.compile_matcher()) else {
        faults.add(Exit::Usage, format!("`{}` is not a glob", source.service), None);
        return Vec::new();
    };
    let place = format!("{}/{} in {}", source.region, source.cluster, account.id);
    let ecs =
        connection.aws.ecs(account.id.as_str(), &source.region, || connection.sessions.credentials(&account.chain));
    let mut names: Vec<String> = match ecs.list_services(&source.cluster).await {
        Ok(arns) => arns.iter().map(|arn| arn::name(arn).to_owned()).filter(|name| glob.is_match(name)).collect(),
        Err(error) => {
            faults.add(Exit::Preflight, format!("{place}: {error}"), None);
            return Vec::new();
        }
    };
    if names.is_empty() {
        faults.add(Exit::Usage, format!("{place}: no service matches `{}`", source.service), None);
    }
    names.sort();
    names
}

/// Finds the account behind a source's roles: of the last one, or that of the SDK's own credentials.
async fn account(source: &Source, connection: &Connection, faults: &mut Faults) -> Option<Arc<Account>> {
    let hop = |arn: &RoleArn| Hop {
        role: arn.name().to_owned(),
        arn: arn.clone(),
        external_id: None,
        tags: BTreeMap::new(),
        transitive_tags: Vec::new(),
        source_identity: None,
        policy: None,
        policy_arns: Vec::new(),
        duration: None,
    };
    let mut chain = RoleChain { hops: source.roles.iter().map(hop).collect() };
    if let Some(last) = chain.hops.last_mut() {
        last.external_id.clone_from(&source.external_id);
    }
    let id = match source.roles.last() {
        Some(role) => role.account().clone(),
        None => match connection.sessions.identify(&chain).await {
            Ok((id, _)) => id,
            Err(error) => {
                faults.add(Exit::Preflight, error.to_string(), error.help.clone());
                return None;
            }
        },
    };
    let (name, regions) = (id.to_string(), vec![source.region.clone()]);
    Some(Arc::new(Account { id, name, labels: BTreeMap::new(), regions, chain }))
}

fn target(source: &Source, account: &Arc<Account>) -> TargetSpec {
    TargetSpec {
        id: TargetId {
            account: account.name.as_str().into(),
            region: source.region.as_str().into(),
            service: source.service.as_str().into(),
        },
        account: Arc::clone(account),
        cluster: source.cluster.clone(),
        service: source.service.clone(),
        desired: Desired::default(),
        timeout: std::time::Duration::ZERO,
        alarms: Vec::new(),
    }
}

/// Everything that is wrong, told at once.
#[derive(Default)]
struct Faults {
    exit: Option<Exit>,
    lines: Vec<String>,
    help: Vec<String>,
}

impl Faults {
    fn add(&mut self, exit: Exit, line: String, help: impl IntoIterator<Item = String>) {
        // What cannot be reached weighs more than what is not there.
        self.exit = self.exit.max(Some(exit));
        self.lines.push(line);
        let new: Vec<String> = help.into_iter().filter(|hint| !self.help.contains(hint)).collect();
        self.help.extend(new);
    }

    fn stop(&mut self) -> Result<(), Error> {
        let Some(exit) = self.exit else { return Ok(()) };
        Err(Error { help: std::mem::take(&mut self.help), ..Error::listing(exit, "nothing was imported", &self.lines) })
    }
}

/// Writes the files, or none of them: where one exists, only `force` writes over it.
///
/// # Errors
/// Names every file that exists.
pub fn write(manifest: &Path, files: &[File], force: bool) -> Result<Vec<PathBuf>, Error> {
    let base = manifest.parent().unwrap_or(Path::new(""));
    let path = |file: &File| if file.path.is_empty() { manifest.to_owned() } else { base.join(&file.path) };
    let paths: Vec<PathBuf> = files.iter().map(path).collect();
    let existing: Vec<String> =
        paths.iter().filter(|path| path.symlink_metadata().is_ok()).map(|path| path.display().to_string()).collect();
    if !existing.is_empty() && !force {
        let error = Error::new(Exit::Usage, format!("{} exists already", existing.join(", ")));
        return Err(error.help("--force writes over it; --file names another manifest"));
    }
    let failed = |error: std::io::Error| Error::new(Exit::Usage, error.to_string());
    for (file, path) in files.iter().zip(&paths) {
        let text = file.text.as_bytes();
        let written = match file.path.as_str() {
            "" => file::check(path).and_then(|()| file::write(path, text)),
            below => {
                file::write_below(if base == Path::new("") { Path::new(".") } else { base }, Path::new(below), text)
            }
        };
        written.map_err(failed)?;
    }
    Ok(paths)
}
