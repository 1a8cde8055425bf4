//! Checking: from the manifest as written to a [`Fleet`], with every fault recorded on the way.
//!
//! A fault hides no other one that does not follow from it: what is broken is left out, and the rest is still checked.
//! Pure but for the task definition files, which come through [`Files`].

mod accounts;
mod alarms;
mod allow;
mod chain;
mod codedeploy;
mod console;
mod definition;
mod deployment;
mod draft;
mod gitlab;
mod identity;
mod notify;
mod organization;
mod patch;
mod policy;
mod promotion;
mod room;
mod roster;
mod run_task;
mod services;
mod tfstate;
mod waves;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::fleet::lookup::Lookup;
use crate::fleet::role_arn::partition_of;
use crate::fleet::{
    Account, Commit, Fleet, Identity, OrganizationSource, Release, RoleChain, Roster, TargetId, TargetSpec,
};
use crate::manifest::Manifest;
use crate::manifest::fault::{Context, unset};
use crate::manifest::interpolate::{Scope, Template};
use crate::manifest::lock::ReadLock;
use crate::manifest::node::record;
use crate::manifest::spanned::{Entries, Span, Spanned};

/// The variable that holds the ID token where the manifest names none.
pub const DEFAULT_TOKEN_ENV: &str = "GITLAB_OIDC_TOKEN";

/// A file's name for messages, and its text or the reason why there is none.
pub type Reading = (String, Result<String, String>);

/// How the files that a manifest names are reached.
pub struct Files<'a> {
    /// Reads a task definition.
    pub read: &'a dyn Fn(&Path) -> Reading,
    /// Reads a Terraform state.
    pub read_state: &'a dyn Fn(&Path) -> Reading,
    /// Makes a path usable from where the program runs: it is relative to the file that names it, at this place.
    pub path: &'a dyn Fn(&str, Span) -> PathBuf,
    /// Whether the images of task definition files are final: the command line puts no others in their place.
    pub images: bool,
    /// The lock of the manifest's organization, where it has one and that could be read.
    pub lock: Option<&'a ReadLock>,
    /// The name of the lock's file.
    pub lock_file: &'a str,
}

/// Checks a manifest whose variables are expanded. Returns a fleet only where the context has no fault.
pub fn check(
    manifest: &Spanned<Manifest>,
    context: &Context,
    variables: &dyn Fn(&str) -> Option<String>,
    files: &Files<'_>,
) -> Option<Fleet> {
    let span = manifest.span;
    let manifest = manifest.get()?;
    let checker = Checker { context };
    if let Some(version) = checker.need(&manifest.version, span, "the manifest", "version")
        && *version != 1
    {
        let place = manifest.version.as_ref().map_or(span, |version| version.span);
        let message = format!("version {version} is not known");
        context.push(context.fault(place, message).help("this program reads version 1"));
    }
    let mut warnings = context.take_warnings();
    let ambient = identity::is_ambient(manifest);
    let accounts = checker.accounts(manifest, span, ambient, files.lock, &mut warnings);
    let organization = checker.organization(manifest, ambient, files);
    warnings.extend(context.take_warnings());
    let nobody = organization.as_ref().map(|source| accounts::Draft {
        regions: vec![source.region().to_owned()],
        ..accounts::Draft::of_organization()
    });
    let own = if accounts.list.is_empty() { nobody.as_slice() } else { &accounts.list };
    let identity = checker.identity(manifest, own, variables, files);
    if let Some(identity) = &identity {
        checker.region_of_sts(manifest, identity, &accounts.list);
    }
    let allow = checker.allow(manifest, variables);
    let services = checker.services(manifest, span);
    let vocabulary = accounts.vocabulary(&services);
    let mut targets = checker.targets(&services, &accounts, &vocabulary, files, &mut warnings);
    checker.states(manifest, &mut targets, &accounts, files);
    warnings.extend(context.take_warnings());
    let timeout = checker.timeout(manifest);
    let release = Release {
        commit: Commit::of_job(variables, &mut warnings),
        tag_revisions: given(&manifest.rollout).and_then(|rollout| given(&rollout.tag_revisions)) != Some(&false),
        allow_older: false,
        force_new_deployment: false,
    };
    deployment::warn_of_bakes(&targets.list, timeout, &mut warnings);
    deployment::warn_of_counts(&targets.list, &mut warnings);
    let waves = checker.waves(manifest, &targets, &accounts, &vocabulary, timeout);
    if let Some(waves) = &waves {
        waves::warn_of_empty(manifest, waves, &mut warnings);
        checker.alarms_of_waves(manifest, waves, &mut targets, &accounts);
    }
    let notify = checker.notify(manifest);
    let environments = checker.environments(manifest, &accounts);
    let tiers = checker.tiers_of_environments(manifest, (&accounts, &environments), &mut warnings);
    let console = checker.console(manifest);
    if context.count() > 0 {
        return None;
    }
    let roster = Roster { accounts: roster::listings(context, &accounts.list), organization };
    let (accounts, targets) = assemble(&accounts.list, targets.list, timeout, &mut warnings);
    let on_busy = given(&manifest.rollout).and_then(|rollout| given(&rollout.on_busy)).copied().unwrap_or_default();
    let (identity, waves, open) = (identity?, waves?, context.open.take());
    let sources = sources(&targets);
    Some(Fleet {
        identity,
        allow,
        accounts,
        roster,
        targets,
        sources,
        waves,
        on_busy,
        notify,
        environments,
        tiers,
        console,
        release,
        open,
        warnings,
    })
}

/// Checks of a manifest what an update of its lock needs, and nothing else: who asks, and what is asked.
pub fn check_organization(
    manifest: &Spanned<Manifest>,
    context: &Context,
    variables: &dyn Fn(&str) -> Option<String>,
    files: &Files<'_>,
) -> Option<(Identity, OrganizationSource)> {
    let manifest = manifest.get()?;
    let checker = Checker { context };
    let ambient = identity::is_ambient(manifest);
    let organization = checker.organization(manifest, ambient, files);
    let region = organization.as_ref().map(|it| it.region().to_owned());
    let nobody = accounts::Draft { regions: region.into_iter().collect(), ..accounts::Draft::of_organization() };
    let identity = checker.identity(manifest, &[nobody], variables, files)?;
    Some((identity, organization?)).filter(|_| context.count() == 0)
}

/// Joins the accounts that have targets with those targets.
fn assemble(
    drafts: &[accounts::Draft],
    targets: Vec<draft::Target>,
    timeout: Duration,
    warnings: &mut Vec<String>,
) -> (Vec<Arc<Account>>, Vec<TargetSpec>) {
    let used: BTreeSet<(usize, &str)> = targets.iter().map(|target| (target.account, &*target.id.region)).collect();
    let mut accounts: Vec<Option<Arc<Account>>> = Vec::new();
    for (index, draft) in drafts.iter().enumerate() {
        let has_targets = |region: &&String| used.contains(&(index, region.as_str()));
        let regions: Vec<String> = draft.regions.iter().filter(has_targets).cloned().collect();
        if regions.is_empty() && draft.enabled {
            warnings.push(format!("account `{}` has no targets: no service selects it", draft.name));
        }
        accounts.push(draft.id.clone().filter(|_| !regions.is_empty()).map(|id| {
            Arc::new(Account {
                id,
                name: draft.name.clone(),
                labels: draft.labels.clone(),
                regions,
                chain: RoleChain { hops: draft.hops.clone() },
            })
        }));
    }
    let targets = targets
        .into_iter()
        .filter_map(|target| {
            let account = accounts.get(target.account)?.clone()?;
            let draft::Target { id, cluster, service, desired, alarms, .. } = target;
            Some(TargetSpec { id, account, cluster, service, desired, timeout, alarms })
        })
        .collect();
    (accounts.into_iter().flatten().collect(), targets)
}

/// Returns the targets whose images others get: they are read also where they are not selected.
fn sources(targets: &[TargetSpec]) -> Vec<TargetSpec> {
    let wanted: BTreeSet<&TargetId> = targets.iter().flat_map(|target| target.desired.promoted.values()).collect();
    targets.iter().filter(|target| wanted.contains(&target.id)).cloned().collect()
}

/// What every check needs.
#[derive(Clone, Copy)]
struct Checker<'a> {
    context: &'a Context,
}

impl<'a> Checker<'a> {
    fn fault(self, span: Span, message: impl Into<String>, help: impl Into<String>) {
        self.context.push(self.context.fault(span, message).help(help));
    }

    /// Returns a required value. Records its absence, but not where it is broken or its key is misspelt: that is said.
    fn need<'t, T>(self, value: &'t Option<Spanned<T>>, parent: Span, owner: &str, key: &str) -> Option<&'t T> {
        match value {
            Some(value) => value.get(),
            None => {
                if !self.context.is_meant(parent, key) {
                    self.fault(self.head(parent), format!("{owner} has no `{key}`"), format!("add `{key}:`"));
                }
                None
            }
        }
    }

    /// Says where a file was looked for that is named at a place.
    fn looked_for(self, name: &str, span: Span) -> String {
        match self.context.included(span) {
            Some(file) => format!("looked for {name}: the path is relative to {file}"),
            None => format!("looked for {name}: the path is relative to the manifest"),
        }
    }

    /// Returns the first line of a span: enough to point at a mapping.
    fn head(self, span: Span) -> Span {
        let text = self.context.text(span);
        // A longer line of dashes points at nothing.
        let line = text.lines().next().unwrap_or_default();
        let length: usize = line.chars().take(60).map(char::len_utf8).sum();
        Span { end: span.start + length, ..span }
    }

    /// Returns a name where it is well formed.
    fn name<'t>(self, name: &'t Option<Spanned<String>>, parent: Span, owner: &str) -> Option<&'t str> {
        let text = self.need(name, parent, owner, "name")?;
        let place = name.as_ref().map_or(parent, |name| name.span);
        if !is_name(text) {
            let help = match owner {
                "an account" | "a service" => {
                    "use letters, digits, `.`, `_` and `-`: names are part of `account/region/service`"
                }
                _ => "use letters, digits, `.`, `_` and `-`",
            };
            self.fault(place, format!("`{text}` is not a name"), help);
            return None;
        }
        Some(text)
    }

    /// Records the second of two equal names. Returns whether this one is the first.
    fn unique<'t>(self, seen: &mut BTreeMap<&'t str, Span>, what: &str, name: &'t str, span: Span) -> bool {
        if let Some(first) = seen.get(name) {
            let fault = self.context.fault(span, format!("there are two {what} named `{name}`"));
            let fault = fault.label("again here").also(*first, "first here");
            self.context.push(fault.help("give one of them another name"));
            return false;
        }
        seen.insert(name, span);
        true
    }

    /// Records an ARN of ECS that is of another place than the target.
    fn own_place(self, arn: &str, span: Span, scope: &Scope<'_>) {
        let parts: Vec<&str> = arn.splitn(6, ':').collect();
        let ["arn", partition, "ecs", region, account, _] = parts[..] else { return };
        let own_account = scope.account.map(|(_, id, _)| id).filter(|id| !id.is_empty());
        let own_region = scope.region.unwrap_or(region);
        let wrong = [
            ("partition", partition, Some(partition_of(own_region))),
            ("region", region, Some(own_region)),
            ("account", account, own_account),
        ];
        if let Some((what, is, Some(own))) = wrong.into_iter().find(|(_, is, own)| own.is_some_and(|own| own != *is)) {
            let help = "write the name alone, or `${region}` and `${account.id}` in the ARN";
            self.fault(span, format!("`{arn}` is of the {what} {is}, and the target of {own}"), help);
        }
    }

    /// Puts the target's own names into a text, and records what is wrong with its references.
    fn resolve(self, text: &Spanned<Template>, scope: &Scope<'_>) -> Option<String> {
        self.resolve_at(text.get()?, text.span, scope)
    }

    fn resolve_at(self, template: &Template, span: Span, scope: &Scope<'_>) -> Option<String> {
        let text = self.resolve_open(template, span, scope)?;
        match self.context.open_in(&text) {
            Some(name) => {
                record(self.context, span, unset(&name, ""));
                None
            }
            None => Some(text),
        }
    }

    /// Does as [`Self::resolve_at`] does where only a deployment uses the value: an open variable may stay in it.
    fn resolve_open(self, template: &Template, span: Span, scope: &Scope<'_>) -> Option<String> {
        let text = template.resolve(scope).map_err(|problem| record(self.context, span, problem)).ok()?;
        if let Some(lookups) = scope.lookups {
            for (lookup, place) in lookups.borrow_mut().iter_mut().filter(|(_, place)| place.is_empty()) {
                *place = self.context.locate_in(span, &format!("${{{}:", lookup.store.word())).into();
            }
        }
        Some(text)
    }

    /// Whether an open variable is in a text, or a lookup.
    fn is_open(self, text: &str) -> bool {
        self.context.open_in(text).is_some() || Lookup::is_in(text)
    }
}

/// Whether a text is a name: of letters and digits of any script, `.`, `_` and `-`.
fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|char| char.is_alphanumeric() || "._-".contains(char))
}

/// Returns the entries of an optional mapping.
fn entries<T>(value: &Option<Spanned<Entries<T>>>) -> &[crate::manifest::spanned::Entry<T>] {
    value.as_ref().and_then(Spanned::get).map(|entries| entries.0.as_slice()).unwrap_or_default()
}

/// Returns the items of an optional list.
fn items<T>(value: &Option<Spanned<Vec<Spanned<T>>>>) -> &[Spanned<T>] {
    value.as_ref().and_then(Spanned::get).map(Vec::as_slice).unwrap_or_default()
}

/// Returns an optional value that could be read.
fn given<T>(value: &Option<Spanned<T>>) -> Option<&T> {
    value.as_ref().and_then(Spanned::get)
}
