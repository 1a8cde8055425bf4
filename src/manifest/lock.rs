//! Reads a lock: what `roleout accounts --update` wrote down of an organization. What it means is
//! [`Lock`](crate::fleet::organization::lock::Lock)'s.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::fleet::AccountId;
use crate::fleet::organization::criteria::Criteria;
use crate::fleet::organization::lock::{Leaves, Lock, Locked};
use crate::fleet::organization::{ACTIVE, Facts, Member, Question};
use crate::manifest::decode::Decoder;
use crate::manifest::fault::Context;
use crate::manifest::spanned::{Span, Spanned};
use crate::manifest::yaml::{Bounds, parse_within};

const RENEW: &str = "restore the file from its repository, and run `roleout accounts --update`";

/// A lock, and where its accounts stand.
#[derive(Clone, Debug)]
pub struct ReadLock {
    /// What it says.
    pub lock: Lock,
    /// The place of each account.
    pub places: BTreeMap<AccountId, Span>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LockFile {
    version: Spanned<u32>,
    changed: String,
    organization: String,
    #[serde(default)]
    entries: Vec<WrittenCriteria>,
    facts: WrittenFacts,
    #[serde(default)]
    units: Vec<WrittenUnit>,
    accounts: Vec<Spanned<WrittenAccount>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenFacts {
    email: bool,
    tags: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenUnit {
    id: String,
    path: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenAccount {
    id: String,
    name: String,
    ou: String,
    email: Option<String>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    leaves: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenCriteria {
    #[serde(default)]
    ou: Vec<String>,
    #[serde(default)]
    id: Vec<String>,
    #[serde(default)]
    name: Vec<String>,
    #[serde(default)]
    email: Vec<String>,
    #[serde(default)]
    tags: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    exclude: Vec<WrittenCriteria>,
}

impl WrittenCriteria {
    fn to_criteria(&self) -> Criteria {
        Criteria {
            units: self.ou.clone(),
            tags: self.tags.clone(),
            ids: self.id.clone(),
            names: self.name.clone(),
            emails: self.email.clone(),
            exclude: self.exclude.iter().map(Self::to_criteria).collect(),
        }
    }
}

/// Reads the text of a lock, which begins at `base` among the manifest's files. Records what is wrong with it.
pub fn read(text: &str, base: usize, context: &Context) -> Option<ReadLock> {
    if let Some(at) = ["<<<<<<< ", "=======\n", ">>>>>>> "].iter().find_map(|mark| find_line(text, mark)) {
        let span = Span { start: at, end: at + 7 }.at(base);
        let help = "take either side of it, and run `roleout accounts --update`: that writes what is right";
        context.push(context.fault(span, "the lock has a merge conflict").help(help));
        return None;
    }
    let root = parse_within(Bounds::LOCK, text, base, context)?;
    let before = context.count();
    let file = Spanned::<LockFile>::deserialize(Decoder::new(&root, context)).ok()?;
    let file = file.get().filter(|_| context.count() == before)?;
    if file.version.get() != Some(&1) {
        let fault = context.fault(file.version.span, "this version of the lock is not known");
        context.push(fault.help("this program reads version 1"));
        return None;
    }
    let refuse = |span: Span, message: String| context.push(context.fault(span, message).help(RENEW));
    let units: BTreeMap<String, String> = file.units.iter().map(|unit| (unit.path.clone(), unit.id.clone())).collect();
    let (mut accounts, mut places) = (BTreeMap::new(), BTreeMap::new());
    for written in &file.accounts {
        let Some(account) = written.get() else { continue };
        let id: AccountId = match account.id.parse() {
            Ok(id) => id,
            Err(message) => {
                refuse(written.span, message);
                continue;
            }
        };
        if !units.contains_key(&account.ou) {
            refuse(written.span, format!("the lock has no unit `{}`", account.ou));
        }
        let member = Member {
            id: id.clone(),
            name: account.name.clone(),
            email: account.email.clone(),
            unit: account.ou.clone(),
            tags: account.tags.clone(),
            state: ACTIVE.to_owned(),
        };
        let leaves = account.leaves.as_deref().map(Leaves::parse);
        if accounts.insert(id.clone(), Locked { member, leaves }).is_some() {
            refuse(written.span, format!("the account {id} is in the lock twice"));
        }
        places.insert(id, written.span);
    }
    let facts = Facts { email: file.facts.email, tags: file.facts.tags.iter().cloned().collect() };
    let question = Question::new(file.entries.iter().map(WrittenCriteria::to_criteria), facts);
    let lock =
        Lock { changed: file.changed.clone(), organization: file.organization.clone(), question, units, accounts };
    (context.count() == before).then_some(ReadLock { lock, places })
}

/// Returns where a line begins that begins so.
fn find_line(text: &str, start: &str) -> Option<usize> {
    if text.starts_with(start) { Some(0) } else { text.find(&format!("\n{start}")).map(|at| at + 1) }
}

#[cfg(test)]
mod properties;

#[cfg(test)]
mod tests {
    use super::properties::read_text;
    use super::*;

    fn lock(name: &str, value: &str) -> Lock {
        let id: AccountId = "012345678901".parse().expect("an id");
        let member = Member {
            id: id.clone(),
            name: name.to_owned(),
            email: Some("a+b@example.com".to_owned()),
            unit: "work/ä \"b\"".to_owned(),
            tags: [("cost:center/x".to_owned(), value.to_owned())].into(),
            state: ACTIVE.to_owned(),
        };
        let exclude = Criteria { names: vec!["*x".to_owned()], ..Criteria::default() };
        let criteria = Criteria {
            units: vec!["work/*".to_owned()],
            tags: [("env".to_owned(), vec!["true".to_owned(), "1.10".to_owned()])].into(),
            exclude: vec![exclude],
            ..Criteria::default()
        };
        let facts = Facts { email: true, tags: ["env".to_owned(), "cost:center/x".to_owned()].into() };
        Lock {
            changed: "2026-11-30".to_owned(),
            organization: "o-a1b2c3d4e5".to_owned(),
            question: Question::new([criteria, Criteria::default()], facts),
            units: [("/", "r-ab12"), ("work", "ou-1"), ("work/ä \"b\"", "ou-2")]
                .map(|(path, id)| (path.to_owned(), id.to_owned()))
                .into(),
            accounts: [(id, Locked { member, leaves: Some(Leaves::State("CLOSED".to_owned())) })].into(),
        }
    }

    #[test]
    fn a_lock_that_is_broken_is_told_with_its_place() {
        let text = lock("a", "b").text();
        let told = |text: &str| read_text(text).expect_err("a fault");
        insta::assert_snapshot!(told(&text.replacen("accounts:\n", "accounts:\n<<<<<<< ours\n", 1)), @"deploy.accounts.lock.yaml:15:1: the lock has a merge conflict (take either side of it, and run `roleout accounts --update`: that writes what is right)");
        insta::assert_snapshot!(told(&text.replace("version: 1", "version: 2")), @"deploy.accounts.lock.yaml:3:10: this version of the lock is not known (this program reads version 1)");
        insta::assert_snapshot!(told(&text.replace("012345678901", "12345678901")), @"deploy.accounts.lock.yaml:15:5: `12345678901` is not an AWS account id: 12 digits (restore the file from its repository, and run `roleout accounts --update`)");
        insta::assert_snapshot!(told(&text.replace("facts:", "fact:")), @r"
        deploy.accounts.lock.yaml:3:1: missing field `facts`
        deploy.accounts.lock.yaml:9:1: unknown key `fact` in the lock (did you mean `facts`?)
        ");
    }
}
