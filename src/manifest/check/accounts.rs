//! `accounts:`: names, ids, regions, labels and variables. The chains are `chain.rs`'s; what an organization is asked for is
//! `organization.rs`'s.

use std::collections::BTreeMap;

use crate::base::nearest::{nearest, suggest};
use crate::fleet::organization::Member;
use crate::fleet::{AccountId, Hop, is_region, regions};
use crate::manifest::account::{Account, AccountEntry, Discovery};
use crate::manifest::check::draft::ServiceDraft;
use crate::manifest::check::{Checker, entries, given, is_name, items};
use crate::manifest::interpolate::Scope;
use crate::manifest::lock::ReadLock;
use crate::manifest::scalar::Scalar;
use crate::manifest::select::{OWN_KEYS, Vocabulary};
use crate::manifest::spanned::{Entries, Entry, Span, Spanned};
use crate::manifest::{Manifest, Role};

/// What to do about a region that is none.
pub const REGION_HELP: &str = "a region looks like `eu-west-1`";

/// An account as far as it could be read.
#[derive(Clone, Debug)]
pub struct Draft {
    pub name: String,
    pub id: Option<AccountId>,
    pub regions: Vec<String>,
    pub labels: BTreeMap<String, String>,
    pub vars: BTreeMap<String, String>,
    pub hops: Vec<Hop>,
    pub enabled: bool,
    /// The names of the chain's roles, as written.
    pub chain: Vec<String>,
    /// Where its id is, or the entry that takes it from the organization.
    pub place: Span,
    /// The whole entry.
    pub entry: Span,
    /// What the organization calls it, and the path of its unit, where it is from there.
    pub member: Option<(String, String)>,
}

impl Draft {
    /// Returns what stands for an account where a chain leads to none.
    pub fn of_organization() -> Self {
        Self {
            name: "of the organization".to_owned(),
            id: None,
            regions: Vec::new(),
            labels: BTreeMap::new(),
            vars: BTreeMap::new(),
            hops: Vec::new(),
            enabled: true,
            chain: Vec::new(),
            place: Span::default(),
            entry: Span::default(),
            member: None,
        }
    }

    /// Returns the names that a target of this account has.
    pub fn scope(&self) -> Scope<'_> {
        let id = self.id.as_ref().map_or("", AccountId::as_str);
        Scope { account: Some((&self.name, id, &self.vars)), ..Scope::default() }
    }
}

/// The accounts that could be read.
pub struct Accounts {
    pub list: Vec<Draft>,
    /// Whether that is all of them, each with its name, labels and regions.
    pub complete: bool,
}

impl Accounts {
    /// Returns every word that a selector can use.
    pub fn vocabulary(&self, services: &[ServiceDraft<'_>]) -> Vocabulary {
        let mut words = Vocabulary::default();
        words.complete = self.complete;
        for account in &self.list {
            words.add("account", &account.name);
            account.regions.iter().for_each(|region| words.add("region", region));
            account.labels.iter().for_each(|(label, value)| words.add(label, value));
        }
        services.iter().for_each(|service| words.add("service", service.name));
        words
    }
}

/// An account that has a name already.
struct Named {
    span: Span,
    /// What the organization calls it, for one that is from there.
    known_as: Option<String>,
}

/// The accounts while they are read.
#[derive(Default)]
struct Gathered {
    list: Vec<Draft>,
    names: BTreeMap<String, Named>,
    reached: BTreeMap<AccountId, Vec<(usize, Span)>>,
}

/// What all accounts share.
#[derive(Clone, Copy)]
struct Shared<'a> {
    roles: &'a [Entry<Role>],
    ambient: bool,
}

impl Checker<'_> {
    /// Reads every account, those of the organization from its lock. Records what is wrong with them, and warns of roles that
    /// no chain uses.
    pub fn accounts(
        self,
        manifest: &Manifest,
        root: Span,
        ambient: bool,
        lock: Option<&ReadLock>,
        warnings: &mut Vec<String>,
    ) -> Accounts {
        let roles = entries(&manifest.roles);
        let Some(list) = self.need(&manifest.accounts, root, "the manifest", "accounts") else {
            return Accounts { list: Vec::new(), complete: false };
        };
        if list.is_empty() {
            let span = manifest.accounts.as_ref().map_or(root, |accounts| accounts.span);
            self.fault(span, "there are no accounts", "add one: { name: ..., id: ..., chain: [...], regions: [...] }");
        }
        let shared = Shared { roles, ambient };
        let mut gathered = Gathered::default();
        let mut members = self.members(list, lock);
        let mut complete = members.is_some();
        for (index, written) in list.iter().enumerate() {
            match written.get() {
                None => complete = false,
                Some(AccountEntry::Listed(account)) => {
                    complete &= self.listed_account(account, written.span, shared, &mut gathered);
                }
                Some(AccountEntry::Discovered(discovery)) => {
                    let members = members.as_mut().map(|members| std::mem::take(&mut members[index]));
                    complete &= self.discovered_accounts((discovery, written.span), members, shared, &mut gathered);
                }
            }
        }
        self.listed_and_discovered(&mut gathered.list);
        for role in roles {
            if !is_name(&role.key) {
                let help = "use letters, digits, `.`, `_` and `-`: files of `roleout iam` are named after it";
                self.fault(role.key_span, format!("`{}` is not a name", role.key), help);
            }
            let named = |item: &Spanned<String>| item.get() == Some(&role.key);
            let reads = given(&manifest.identity).is_some_and(|it| items(&it.organization_chain).iter().any(named));
            let used = reads || list.iter().filter_map(Spanned::get).any(|entry| entry.chain().iter().any(named));
            if !used {
                warnings.push(format!("role `{}` is in no account's chain", role.key));
            }
        }
        Accounts { list: gathered.list, complete }
    }

    /// Reads an account that the manifest lists. Returns whether its name, labels and regions are known.
    fn listed_account(self, account: &Account, span: Span, shared: Shared<'_>, all: &mut Gathered) -> bool {
        let name = self.name(&account.name, span, "an account");
        let place = account.name.as_ref().map_or(span, |name| name.span);
        let owner = name.map_or("an account".to_owned(), |name| format!("account `{name}`"));
        let id = self.account_id(&account.id, span, &owner);
        let regions = self.regions(&account.regions, span, &owner);
        let (labels, labels_whole) = self.plain(&account.labels, "label", &Scope::default());
        self.own_keys(&account.labels);
        let (vars, _) = self.plain(&account.vars, "variable", &Scope::default());
        let whole = name.is_some() && labels_whole && regions.is_some();
        let draft = Draft {
            name: name.unwrap_or("?").to_owned(),
            id,
            regions: regions.unwrap_or_default(),
            labels,
            vars,
            hops: Vec::new(),
            enabled: given(&account.enabled).copied().unwrap_or(true),
            chain: names(&account.chain),
            place: account.id.as_ref().map_or(span, |id| id.span),
            entry: span,
            member: None,
        };
        let first = name.is_some() && self.is_first(all, &draft, place);
        let chain = self
            .need(&account.chain, span, &owner, "chain")
            .map(|chain| (chain.as_slice(), account.chain.as_ref().map_or(span, |chain| chain.span)));
        self.gather(draft, first, chain, shared, all);
        whole
    }

    /// Reads the accounts of an organization that an entry takes; `None` where they are not known. Returns whether their names,
    /// labels and regions are.
    fn discovered_accounts(
        self,
        (discovery, span): (&Discovery, Span),
        members: Option<Vec<(&Member, &str)>>,
        shared: Shared<'_>,
        all: &mut Gathered,
    ) -> bool {
        let owner = "an entry `from: organization`";
        self.need(&discovery.from, span, owner, "from");
        let chain = self
            .need(&discovery.chain, span, owner, "chain")
            .map(|chain| (chain.as_slice(), discovery.chain.as_ref().map_or(span, |chain| chain.span)));
        let regions = self.need(&discovery.regions, span, owner, "regions");
        self.own_keys(&discovery.labels);
        let place = discovery.from.as_ref().map_or(self.head(span), |from| from.span);
        let mut whole = members.is_some() && regions.is_some();
        let mut known = BTreeMap::new();
        for (member, unit) in members.unwrap_or_default() {
            let scope = Scope { member: Some((member, unit)), ..Scope::default() };
            let name = self.name_of_member(discovery, member, &scope);
            let (labels, labels_whole) = self.plain(&discovery.labels, "label", &scope);
            let (vars, _) = self.plain(&discovery.vars, "variable", &scope);
            let resolved = self.regions_of_member(regions.map(Vec::as_slice), &scope, &mut known);
            whole &= name.is_some() && labels_whole && resolved.is_some();
            let draft = Draft {
                name: name.clone().unwrap_or_else(|| member.id.to_string()),
                id: Some(member.id.clone()),
                regions: resolved.unwrap_or_default(),
                labels,
                vars,
                hops: Vec::new(),
                enabled: true,
                chain: names(&discovery.chain),
                place,
                entry: span,
                member: Some((member.name.clone(), member.unit.clone())),
            };
            let first = name.is_some() && self.is_first(all, &draft, place);
            self.gather(draft, first, chain, shared, all);
        }
        whole
    }

    /// Adds an account with its chain. One whose name is not the first is only checked.
    fn gather(
        self,
        mut draft: Draft,
        first: bool,
        chain: Option<(&[Spanned<String>], Span)>,
        shared: Shared<'_>,
        all: &mut Gathered,
    ) {
        if let Some((chain, span)) = chain {
            draft.hops = self.chain(chain, span, shared.roles, &draft, shared.ambient);
            if first && draft.enabled && draft.hops.len() == chain.len() {
                self.one_chain(&mut all.reached, &all.list, &draft, span);
            }
        }
        if first {
            all.list.push(draft);
        }
    }

    /// Records the second of two accounts of one name. Returns whether this one is the first.
    fn is_first(self, all: &mut Gathered, draft: &Draft, span: Span) -> bool {
        let name = &draft.name;
        let known_as = |draft: &Draft| {
            let (id, (known_as, _)) = (draft.id.as_ref()?, draft.member.as_ref()?);
            Some(format!("{id} (`{known_as}`)"))
        };
        let Some(other) = all.names.get(name) else {
            all.names.insert(name.clone(), Named { span, known_as: known_as(draft) });
            return true;
        };
        match (&other.known_as, known_as(draft)) {
            (None, None) => {
                let fault = self.context.fault(span, format!("there are two accounts named `{name}`"));
                let fault = fault.label("again here").also(other.span, "first here");
                self.context.push(fault.help("give one of them another name"));
            }
            (first, second) => {
                let told = |known: Option<String>| known.unwrap_or_else(|| "one that is listed".to_owned());
                let (first, second) = (told(first.clone()), told(second));
                let message = format!("two accounts have the name `{name}`: {first} and {second}");
                let fault = self.context.fault(span, message);
                let fault = if other.span == span { fault } else { fault.also(other.span, "the other one") };
                let help = "tell them apart with `as` of the entry, such as `as: ${org.name}-${org.id}`";
                self.context.push(fault.help(help));
            }
        }
        false
    }

    /// Records an account that is listed, and that an entry takes from the organization as well. The entry's one stays.
    fn listed_and_discovered(self, list: &mut Vec<Draft>) {
        let of = |draft: &Draft| Some((draft.id.clone()?, draft.place));
        let discovered: BTreeMap<AccountId, Span> =
            list.iter().filter(|it| it.member.is_some()).filter_map(of).collect();
        list.retain(|draft| {
            let id = draft.id.as_ref().filter(|_| draft.member.is_none());
            let Some((id, place)) = id.and_then(|id| Some((id, discovered.get(id)?))) else { return true };
            let message = format!("account {id} is listed, and an entry takes it from the organization as well");
            let fault = self.context.fault(draft.place, message).also(*place, "this entry");
            self.context.push(fault.help(format!("remove it here, or there: `exclude: {{ id: \"{id}\" }}`")));
            false
        });
    }

    fn own_keys(self, labels: &Option<Spanned<Entries<Scalar>>>) {
        for entry in entries(labels).iter().filter(|entry| OWN_KEYS.contains(&entry.key.as_str())) {
            let message = format!("`{}` cannot be a label", entry.key);
            self.fault(entry.key_span, message, "`select` knows this word already; choose another one");
        }
    }

    /// Records an account that is there already, in the same region and by another chain: one session signs for both.
    fn one_chain(
        self,
        reached: &mut BTreeMap<AccountId, Vec<(usize, Span)>>,
        before: &[Draft],
        draft: &Draft,
        span: Span,
    ) {
        let Some(id) = &draft.id else { return };
        let same = reached.entry(id.clone()).or_default();
        let clash = same.iter().find_map(|&(index, place)| {
            let other = before.get(index).filter(|other| other.hops != draft.hops)?;
            Some((other, place, draft.regions.iter().find(|region| other.regions.contains(region))?))
        });
        if let Some((other, place, region)) = clash {
            let message =
                format!("`{}` and `{}` are the account {id} in {region}, by different chains", other.name, draft.name);
            let fault = self.context.fault(span, message).label("this chain").also(place, "and this one");
            let help = "give both the same chain, or each its own manifest: an account and region have one session";
            self.context.push(fault.help(help));
        }
        same.push((before.len(), span));
    }

    fn account_id(self, id: &Option<Spanned<String>>, parent: Span, owner: &str) -> Option<AccountId> {
        let text = self.need(id, parent, owner, "id")?;
        let place = id.as_ref().map_or(parent, |id| id.span);
        let parsed: Result<AccountId, String> = text.parse();
        let digits = text.bytes().filter(u8::is_ascii_digit).count();
        let help = match digits == text.len() && (1..12).contains(&digits) {
            true => {
                format!("it has {digits} digits: zeros at its start were lost where it was set; write 12, in quotes")
            }
            false => "write its 12 digits in quotes".to_owned(),
        };
        parsed.map_err(|message| self.fault(place, message, help)).ok()
    }

    fn regions(
        self,
        regions: &Option<Spanned<Vec<Spanned<String>>>>,
        parent: Span,
        owner: &str,
    ) -> Option<Vec<String>> {
        let list = self.need(regions, parent, owner, "regions")?;
        let place = regions.as_ref().map_or(parent, |regions| regions.span);
        if list.is_empty() {
            self.fault(place, format!("{owner} has no regions"), "name at least one, such as [eu-west-1]");
        }
        let mut seen = BTreeMap::new();
        let mut whole = true;
        for item in list {
            match item.get() {
                Some(region) if self.region(region, item.span) => {
                    whole &= self.unique(&mut seen, "regions", region, item.span);
                }
                _ => whole = false,
            }
        }
        whole.then(|| list.iter().filter_map(Spanned::get).cloned().collect())
    }

    /// Records a region that does not look like one. Returns whether it does.
    pub fn region(self, region: &str, span: Span) -> bool {
        let valid = is_region(region);
        if !valid {
            self.fault(span, format!("`{region}` is not an AWS region"), REGION_HELP);
        } else if !regions::KNOWN.contains(&region)
            && let Some(near) = nearest(region, regions::KNOWN)
        {
            let fault = self.context.fault(span, format!("`{region}` is no region that this version knows"));
            self.context.warn(&fault.help(format!("did you mean `{near}`?")));
        }
        valid
    }

    /// Reads a mapping of plain texts. Returns it, and whether all of it could be read.
    fn plain(
        self,
        map: &Option<Spanned<Entries<Scalar>>>,
        what: &str,
        scope: &Scope<'_>,
    ) -> (BTreeMap<String, String>, bool) {
        let mut values = BTreeMap::new();
        let mut whole = map.as_ref().is_none_or(|map| map.get().is_some());
        for entry in entries(map) {
            let value = entry.value.get();
            // What is selected must be known; a variable of the account's is used elsewhere.
            let resolve = if what == "variable" { Self::resolve_open } else { Self::resolve_at };
            match value.and_then(|Scalar(template)| resolve(self, template, entry.value.span, scope)) {
                Some(value) => {
                    values.insert(entry.key.clone(), value);
                }
                None => whole = false,
            }
            let word = |char: char| char.is_ascii_alphanumeric() || "._/-".contains(char);
            if entry.key.is_empty() || !entry.key.chars().all(word) {
                let message = format!("`{}` is not the name of a {what}", entry.key);
                self.fault(entry.key_span, message, "use letters, digits, `.`, `_` and `-`");
            }
        }
        (values, whole)
    }

    /// Records a role that does not exist.
    pub fn unknown_role(self, name: &str, span: Span, known: &[&str]) {
        let help = match known {
            [] => format!("add `{name}` under `roles:`"),
            known => suggest(name, known.iter().copied()),
        };
        self.fault(span, format!("unknown role `{name}`"), help);
    }
}

/// Returns the names of a chain's roles.
fn names(chain: &Option<Spanned<Vec<Spanned<String>>>>) -> Vec<String> {
    items(chain).iter().filter_map(Spanned::get).cloned().collect()
}
