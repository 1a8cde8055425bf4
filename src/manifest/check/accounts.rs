//! `accounts:`: names, ids, regions, labels and variables. The chains are `chain.rs`'s.

use std::collections::BTreeMap;

use crate::fleet::{AccountId, Hop, is_region, regions};
use crate::manifest::Manifest;
use crate::manifest::check::draft::ServiceDraft;
use crate::manifest::check::{Checker, entries, given, is_name, items};
use crate::manifest::fault::{nearest, suggest};
use crate::manifest::interpolate::Scope;
use crate::manifest::scalar::Scalar;
use crate::manifest::select::{OWN_KEYS, Vocabulary};
use crate::manifest::spanned::{Entries, Span, Spanned};

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
    /// Where its id stands.
    pub place: Span,
}

impl Draft {
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

impl Checker<'_> {
    /// Reads every account. Records what is wrong with them, and warns of roles that no chain uses.
    pub fn accounts(self, manifest: &Manifest, root: Span, ambient: bool, warnings: &mut Vec<String>) -> Accounts {
        let mut accounts = Accounts { list: Vec::new(), complete: true };
        let roles = entries(&manifest.roles);
        let Some(list) = self.need(&manifest.accounts, root, "the manifest", "accounts") else {
            accounts.complete = false;
            return accounts;
        };
        if list.is_empty() {
            let span = manifest.accounts.as_ref().map_or(root, |accounts| accounts.span);
            self.fault(span, "there are no accounts", "add one: { name: ..., id: ..., chain: [...], regions: [...] }");
        }
        let (mut seen, mut reached) = (BTreeMap::new(), BTreeMap::new());
        for written in list {
            let Some(account) = written.get() else {
                accounts.complete = false;
                continue;
            };
            let name = self.name(&account.name, written.span, "an account");
            let place = account.name.as_ref().map_or(written.span, |name| name.span);
            let owner = name.map_or("an account".to_owned(), |name| format!("account `{name}`"));
            let id = self.account_id(&account.id, written.span, &owner);
            let regions = self.regions(&account.regions, written.span, &owner);
            let (labels, labels_whole) = self.plain(&account.labels, "label");
            for entry in entries(&account.labels) {
                if OWN_KEYS.contains(&entry.key.as_str()) {
                    let message = format!("`{}` cannot be a label", entry.key);
                    self.fault(entry.key_span, message, "`select` knows this word already; choose another one");
                }
            }
            let (vars, _) = self.plain(&account.vars, "variable");
            let first = name.is_some_and(|name| self.unique(&mut seen, "accounts", name, place));
            accounts.complete &= name.is_some() && labels_whole && regions.is_some();
            let mut draft = Draft {
                name: name.unwrap_or("?").to_owned(),
                id,
                regions: regions.unwrap_or_default(),
                labels,
                vars,
                hops: Vec::new(),
                enabled: given(&account.enabled).copied().unwrap_or(true),
                place: account.id.as_ref().map_or(place, |id| id.span),
            };
            if let Some(chain) = self.need(&account.chain, written.span, &owner, "chain") {
                let span = account.chain.as_ref().map_or(written.span, |chain| chain.span);
                draft.hops = self.chain(chain, span, roles, &draft, ambient);
                if first && draft.enabled && draft.hops.len() == chain.len() {
                    self.one_chain(&mut reached, &accounts.list, &draft, span);
                }
            }
            if first {
                accounts.list.push(draft);
            }
        }
        for role in roles {
            if !is_name(&role.key) {
                let help = "use letters, digits, `.`, `_` and `-`: files of `roleout iam` are named after it";
                self.fault(role.key_span, format!("`{}` is not a name", role.key), help);
            }
            let named = |item: &Spanned<String>| item.get() == Some(&role.key);
            let used = list.iter().filter_map(Spanned::get).any(|account| items(&account.chain).iter().any(named));
            if !used {
                warnings.push(format!("role `{}` is in no account's chain", role.key));
            }
        }
        accounts
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
    fn plain(self, map: &Option<Spanned<Entries<Scalar>>>, what: &str) -> (BTreeMap<String, String>, bool) {
        let mut values = BTreeMap::new();
        let mut whole = map.as_ref().is_none_or(|map| map.get().is_some());
        for entry in entries(map) {
            let value = entry.value.get();
            // What is selected must be known; a variable of the account's is used elsewhere.
            let resolve = if what == "variable" { Self::resolve_open } else { Self::resolve_at };
            match value.and_then(|Scalar(template)| resolve(self, template, entry.value.span, &Scope::default())) {
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
