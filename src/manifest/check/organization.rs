//! The entries `from: organization`: what they ask, which accounts of the lock they take, and the chain to the organization.

use std::collections::{BTreeMap, BTreeSet};

use crate::fleet::organization::criteria::Criteria;
use crate::fleet::organization::name::legal_name;
use crate::fleet::organization::{Facts, Member, Question, ROOT};
use crate::fleet::{Hop, OrganizationEntry, OrganizationSource, RoleChain};
use crate::manifest::Manifest;
use crate::manifest::account::{AccountEntry, Discovery, Exclusion};
use crate::manifest::check::accounts::Draft;
use crate::manifest::check::{Checker, Files, entries, given, items};
use crate::manifest::interpolate::{ORG_TAGS, Scope, Template};
use crate::manifest::lock::ReadLock;
use crate::manifest::scalar::Scalar;
use crate::manifest::spanned::{Entries, OneOrMany, Span, Spanned};

/// What an update of the lock is run with.
const UPDATE: &str = "run `roleout accounts --update`, and review what it changes in the lock";

impl Checker<'_> {
    /// Returns what the manifest asks of its organization, and each entry that does; `None` where none does, or where a fault is
    /// recorded.
    pub fn question(self, list: &[Spanned<AccountEntry>]) -> Option<(Question, Vec<OrganizationEntry>)> {
        let (mut entries, mut facts, mut whole) = (Vec::new(), Facts::default(), true);
        for written in list {
            let Some(discovery) = written.get().and_then(AccountEntry::discovery) else { continue };
            let Some(criteria) = self.criteria(discovery) else {
                whole = false;
                continue;
            };
            facts.email |= criteria.needs_email();
            facts.tags.extend(criteria.all_tags().map(str::to_owned));
            for name in templates(discovery).flat_map(|template| template.names()) {
                facts.email |= name == "org.email";
                facts.tags.extend(name.strip_prefix(ORG_TAGS).map(str::to_owned));
            }
            let role = items(&discovery.chain).last().and_then(Spanned::get).cloned();
            entries.push(OrganizationEntry {
                place: self.find_place(self.at(discovery, written.span)),
                criteria,
                role,
            });
        }
        let asked = whole && !entries.is_empty();
        asked.then(|| (Question::new(entries.iter().map(|entry| entry.criteria.clone()), facts), entries))
    }

    /// Returns what the manifest says of its organization; `None` where no entry is from one, or where a fault is recorded.
    pub fn organization(self, manifest: &Manifest, ambient: bool, files: &Files<'_>) -> Option<OrganizationSource> {
        let chain = self.organization_chain(manifest, ambient);
        let (question, entries) = self.question(items(&manifest.accounts))?;
        let lock = files.lock.map(|read| read.lock.clone());
        Some(OrganizationSource { question, chain, entries, file: files.lock_file.to_owned(), lock })
    }

    /// Returns the accounts of each entry of the manifest, with the ids of their units. Records each that no entry takes, that
    /// several do, or that would leave; `None` where the lock is not of these entries, or is not there.
    pub fn members<'l>(
        self,
        list: &[Spanned<AccountEntry>],
        lock: Option<&'l ReadLock>,
    ) -> Option<Vec<Vec<(&'l Member, &'l str)>>> {
        let mut members: Vec<Vec<(&Member, &str)>> = vec![Vec::new(); list.len()];
        let asking: Vec<(usize, Span, &Discovery)> = list
            .iter()
            .enumerate()
            .filter_map(|(index, written)| {
                let discovery = written.get()?.discovery()?;
                Some((index, self.at(discovery, written.span), discovery))
            })
            .collect();
        let Some(&(_, first, _)) = asking.first() else { return Some(members) };
        let (question, _) = self.question(list)?;
        let ReadLock { lock, places } = lock?;
        if question.entries != lock.question.entries {
            self.fault(first, "the lock was written when the entries `from: organization` were others", UPDATE);
            return None;
        }
        if !lock.question.facts.cover(&question.facts) {
            let missing: Vec<String> = question
                .facts
                .tags
                .difference(&lock.question.facts.tags)
                .map(|key| format!("the tag `{key}`"))
                .collect();
            let what = if missing.is_empty() { "addresses".to_owned() } else { missing.join(" and ") };
            self.fault(first, format!("the lock was written when the manifest did not use {what}"), UPDATE);
            return None;
        }
        let asking: Vec<(usize, Span, Criteria)> = asking
            .into_iter()
            .filter_map(|(index, span, discovery)| Some((index, span, self.criteria(discovery)?)))
            .collect();
        for (id, locked) in &lock.accounts {
            let (member, place) = (&locked.member, places.get(id).copied().unwrap_or(first));
            if let Some(leaves) = &locked.leaves {
                let message = format!("account {id} (`{}`) {}", member.name, leaves.words());
                let help = format!("take it out of the fleet: `roleout accounts --update --accept-gone {id}`");
                self.fault(place, message, help);
                continue;
            }
            let takes = |(_, _, criteria): &&(usize, Span, Criteria)| criteria.match_account(member, &lock.units);
            let mut takers = asking.iter().filter(takes);
            let Some((index, span, _)) = takers.next() else {
                let message = format!("no entry of the manifest takes account {id} (`{}`)", member.name);
                self.fault(place, message, "do not edit the lock: run `roleout accounts --update`");
                continue;
            };
            if let Some((_, other, _)) = takers.next() {
                let message = format!("two entries take account {id} (`{}`)", member.name);
                let fault = self.context.fault(*other, message).label("this entry").also(*span, "and this one");
                self.context.push(fault.help("exclude it from one of them, such as by `exclude: { id: ... }`"));
            }
            members[*index].push((member, lock.units.get(&member.unit).map_or("", String::as_str)));
        }
        Some(members)
    }

    /// Returns the place of an entry that says the most about it.
    fn at(self, discovery: &Discovery, span: Span) -> Span {
        discovery.from.as_ref().map_or_else(|| self.head(span), |from| from.span)
    }

    fn criteria(self, discovery: &Discovery) -> Option<Criteria> {
        let Discovery { ou, tags, id, name, email, exclude, .. } = discovery;
        let before = self.context.count();
        let mut whole = exclude.as_ref().is_none_or(|it| it.get().is_some());
        let mut others = Vec::new();
        for item in given(exclude).into_iter().flat_map(|list| &list.items) {
            let Some(Exclusion { ou, tags, id, name, email }) = item.get() else {
                whole = false;
                continue;
            };
            let other = self.written(ou, tags, [id, name, email]);
            if other.as_ref().is_some_and(|other| *other == Criteria::default()) {
                self.fault(
                    item.span,
                    "`exclude` names nothing, and would leave every account out",
                    "name what is left out",
                );
            }
            others.extend(other);
        }
        let criteria = self.written(ou, tags, [id, name, email])?;
        (whole && self.context.count() == before).then_some(Criteria { exclude: others, ..criteria })
    }

    fn written(
        self,
        ou: &Option<Spanned<OneOrMany<String>>>,
        tags: &Option<Spanned<Entries<OneOrMany<Scalar>>>>,
        [id, name, email]: [&Option<Spanned<OneOrMany<String>>>; 3],
    ) -> Option<Criteria> {
        let before = self.context.count();
        let (units, ids) = (self.patterns(ou)?, self.patterns(id)?);
        for (unit, span) in &units {
            if unit != ROOT && (unit.starts_with('/') || unit.ends_with('/') || unit.contains("//")) {
                let help =
                    "write the names from below the root on, such as `workloads/prod`, or `/` for the root itself";
                self.fault(*span, format!("`{unit}` is not the path of an organizational unit"), help);
            }
        }
        for (id, span) in &ids {
            if id.len() > 12 || !id.chars().all(|char| char.is_ascii_digit() || "*?".contains(char)) {
                let help = "write 12 digits in quotes, with `*` for any of them";
                self.fault(*span, format!("`{id}` is not the id of an account"), help);
            }
        }
        let mut values: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut whole = tags.as_ref().is_none_or(|tags| tags.get().is_some());
        for tag in entries(tags) {
            let list = tag.value.get().map(|list| list.items.as_slice()).unwrap_or_default();
            let known: Vec<String> =
                list.iter().filter_map(|item| self.resolve_at(&item.get()?.0, item.span, &Scope::default())).collect();
            whole &= !list.is_empty() && known.len() == list.len();
            values.insert(tag.key.clone(), known);
        }
        let texts = |list: Vec<(String, Span)>| {
            // In the lock they are in one order, whatever that of the manifest is.
            let texts: BTreeSet<String> = list.into_iter().map(|(text, _)| text).collect();
            texts.into_iter().collect::<Vec<_>>()
        };
        let (names, emails) = (self.patterns(name)?, self.patterns(email)?);
        (whole && self.context.count() == before).then(|| Criteria {
            units: texts(units),
            tags: values,
            ids: texts(ids),
            names: texts(names),
            emails: texts(emails),
            exclude: Vec::new(),
        })
    }

    /// Returns the patterns of a key; `None` where one is broken, or empty.
    fn patterns(self, list: &Option<Spanned<OneOrMany<String>>>) -> Option<Vec<(String, Span)>> {
        let Some(list) = list else { return Some(Vec::new()) };
        let mut patterns = Vec::new();
        for item in &list.get()?.items {
            let text = item.get()?;
            if text.is_empty() {
                self.fault(item.span, "the text is empty", "give it a value, or remove it");
                return None;
            }
            patterns.push((text.clone(), item.span));
        }
        Some(patterns)
    }

    /// Returns the name that an account of the organization has in the fleet.
    pub fn name_of_member(self, discovery: &Discovery, member: &Member, scope: &Scope<'_>) -> Option<String> {
        let text = match &discovery.alias {
            Some(alias) => self.resolve(alias, scope)?,
            None => member.name.clone(),
        };
        Some(legal_name(&text)).filter(|name| !name.is_empty()).or_else(|| Some(member.id.to_string()))
    }

    /// Returns the regions of an account of the organization. `known` has those that were judged already.
    pub fn regions_of_member(
        self,
        regions: Option<&[Spanned<Template>]>,
        scope: &Scope<'_>,
        known: &mut BTreeMap<String, bool>,
    ) -> Option<Vec<String>> {
        let mut resolved: Vec<String> = Vec::new();
        for item in regions? {
            let region = self.resolve(item, scope)?;
            let is_one = *known.entry(region.clone()).or_insert_with(|| self.region(&region, item.span));
            if !is_one {
                return None;
            }
            if !resolved.contains(&region) {
                resolved.push(region);
            }
        }
        Some(resolved)
    }

    /// Resolves the chain to the organization; `None` where the manifest names none, or a fault is recorded.
    pub fn organization_chain(self, manifest: &Manifest, ambient: bool) -> Option<RoleChain> {
        let written = given(&manifest.identity).and_then(|identity| identity.organization_chain.as_ref());
        let Some(written) = written else { return ambient.then(RoleChain::default) };
        let roles = entries(&manifest.roles);
        let known: Vec<&str> = roles.iter().map(|role| role.key.as_str()).collect();
        let nobody = Draft::of_organization();
        let mut hops: Vec<Hop> = Vec::new();
        let chain = written.get()?;
        if chain.is_empty() && !ambient {
            self.fault(written.span, "the chain to the organization is empty", "name the roles that lead to it");
        }
        for (index, item) in chain.iter().enumerate() {
            let name = item.get()?;
            let Some(role) = roles.iter().find(|role| role.key == *name) else {
                self.unknown_role(name, item.span, &known);
                return None;
            };
            let of_account = |template: &Template| template.names().iter().any(|name| !name.is_empty());
            if role.value.get().and_then(|role| given(&role.arn)).is_some_and(of_account) {
                let message = format!("role `{name}` has another ARN in each account");
                self.fault(item.span, message, "the chain to the organization needs roles whose ARNs are written out");
                return None;
            }
            if hops.iter().any(|hop| hop.role == *name) {
                self.fault(item.span, format!("role `{name}` is in this chain twice"), "remove one of the two");
                return None;
            }
            hops.push(self.hop(role, &nobody, index == 0 && !ambient)?);
        }
        Some(RoleChain { hops })
    }

    /// Returns `file:line` of a place.
    fn find_place(self, span: Span) -> String {
        let fault = self.context.fault(span, "");
        match fault.position() {
            Some((line, _)) => format!("{}:{line}", fault.file()),
            None => fault.file().to_owned(),
        }
    }
}

/// Returns every text of an entry in which the organization is asked for something.
fn templates(discovery: &Discovery) -> impl Iterator<Item = &Template> {
    let texts = entries(&discovery.labels).iter().chain(entries(&discovery.vars));
    let texts = texts.filter_map(|entry| entry.value.get()).map(|Scalar(template)| template);
    texts.chain(items(&discovery.regions).iter().filter_map(Spanned::get)).chain(given(&discovery.alias))
}
