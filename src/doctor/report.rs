//! All that `doctor` found: every account with its hops, and each distinct finding once with the accounts it concerns.
//!
//! `roleout doctor --format json` is this structure; its schema is docs/doctor.schema.json. It holds no token and no key.

use indexmap::IndexMap;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use crate::base::text::without_request_ids;
use crate::doctor::finding::{Finding, Severity};
use crate::doctor::token::Token;
use crate::fleet::{Account, AccountId};

/// The version of the JSON; it changes with whatever a program that reads it must know.
pub const VERSION: u32 = 1;

/// What stands for the account's id where a finding is the same in several accounts.
pub const ACCOUNT: &str = "ACCOUNT_ID";

/// What was found.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Report {
    /// [`VERSION`].
    pub version: u32,
    /// When.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// What the ID token says; absent where there is none.
    pub token: Option<TokenWords>,
    /// The accounts, in the manifest's order.
    pub accounts: Vec<Row>,
    /// The findings: faults first, otherwise in the order in which they stand in a chain.
    pub findings: Vec<Told>,
}

/// What an ID token says, unverified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TokenWords {
    /// Where it was read from: a variable or a file.
    pub source: String,
    /// `iss`.
    pub issuer: Option<String>,
    /// `aud`.
    pub audience: Vec<String>,
    /// `sub`.
    pub subject: Option<String>,
    /// `project_path`: in a fork's merge request, the fork.
    pub project_path: Option<String>,
    /// `ref`.
    #[serde(rename = "ref")]
    pub reference: Option<String>,
    /// `ref_protected`.
    pub ref_protected: Option<String>,
    /// `environment`; absent where the job has none.
    pub environment: Option<String>,
    /// `exp`.
    #[schemars(with = "Option<String>")]
    pub expires: Option<Timestamp>,
}

/// An account and the way to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Row {
    /// The manifest's name.
    pub account: String,
    /// Its id.
    pub account_id: AccountId,
    /// Its hops, first to last; none where the SDK's own credentials are of the account.
    pub hops: Vec<HopRow>,
    /// Whether a session in it can be had.
    pub reached: bool,
}

/// One hop of a chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct HopRow {
    /// The manifest's name of the role.
    pub role: String,
    /// Its ARN.
    pub arn: String,
    /// What became of it.
    pub state: HopState,
}

/// What became of a hop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum HopState {
    /// It gave a session.
    Ok {
        /// When that ends.
        #[schemars(with = "String")]
        expires: Timestamp,
    },
    /// It was refused.
    Refused {
        /// The codes of the findings that say why.
        codes: Vec<String>,
    },
    /// A hop before it was refused.
    NotTried,
}

/// A finding and whom it concerns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Told {
    /// What was found. Where it is the same in several accounts, `ACCOUNT_ID` stands for the id of each.
    pub finding: Finding,
    /// The names of the accounts; none where it concerns the run as a whole.
    pub accounts: Vec<String>,
}

impl Report {
    /// Whether anything was found that keeps a session from being had.
    pub fn has_faults(&self) -> bool {
        self.findings.iter().any(|told| told.finding.severity == Severity::Fault)
    }
}

impl TokenWords {
    /// Reads them off a token.
    pub fn new(source: String, token: &Token) -> Self {
        let text = |claim: &str| token.text(claim).map(str::to_owned);
        Self {
            source,
            issuer: text("iss"),
            audience: token.audience(),
            subject: text("sub"),
            project_path: text("project_path"),
            reference: text("ref"),
            ref_protected: text("ref_protected"),
            environment: text("environment"),
            expires: token.seconds("exp").and_then(|seconds| Timestamp::from_second(seconds).ok()),
        }
    }
}

/// Gathers findings, each of them once.
#[derive(Clone, Debug, Default)]
pub struct Gathered {
    groups: IndexMap<Finding, Group>,
}

/// What is the same but for the account's id.
#[derive(Clone, Debug)]
struct Group {
    first: Finding,
    general: Finding,
    varies: bool,
    accounts: Vec<String>,
}

impl Gathered {
    /// Takes a finding in. `home` is the account whose id it may name; `accounts` are those that it concerns.
    pub fn add_finding<'a>(
        &mut self,
        finding: Finding,
        home: Option<&AccountId>,
        accounts: impl IntoIterator<Item = &'a Account>,
    ) {
        let general = home.map_or_else(|| finding.clone(), |home| without(&finding, home.as_str()));
        let names = accounts.into_iter().map(|account| account.name.clone());
        let group = self.groups.entry(without_requests(&general)).or_insert_with(|| Group {
            first: finding.clone(),
            general,
            varies: false,
            accounts: Vec::new(),
        });
        group.varies |= without_requests(&group.first) != without_requests(&finding);
        for name in names {
            if !group.accounts.contains(&name) {
                group.accounts.push(name);
            }
        }
    }

    /// Whether a finding of this code was taken in.
    pub fn has(&self, code: &str) -> bool {
        self.groups.keys().any(|finding| finding.code == code)
    }

    /// Returns them, faults first.
    pub fn finish(self) -> Vec<Told> {
        let told = self.groups.into_values().map(|group| {
            let finding = if group.varies { group.general } else { group.first };
            Told { finding, accounts: group.accounts }
        });
        let mut told: Vec<Told> = told.collect();
        told.sort_by_key(|told| std::cmp::Reverse(told.finding.severity));
        told
    }
}

/// Returns a finding with something in the place of an account's id.
fn without(finding: &Finding, id: &str) -> Finding {
    mapped(finding, |text| text.replace(id, ACCOUNT))
}

/// Returns a finding without the ids of the requests that AWS refused: what makes two the same.
fn without_requests(finding: &Finding) -> Finding {
    mapped(finding, |text| without_request_ids(text).into_owned())
}

fn mapped(finding: &Finding, text: impl Fn(&String) -> String) -> Finding {
    Finding {
        what: text(&finding.what),
        evidence: finding.evidence.iter().map(&text).collect(),
        fix: finding.fix.iter().map(&text).collect(),
        ..finding.clone()
    }
}

/// Returns the JSON Schema of a report.
pub fn schema() -> Value {
    let mut schema = schemars::schema_for!(Report).to_value();
    if let Some(object) = schema.as_object_mut() {
        object.insert("title".to_owned(), json!("What roleout doctor found"));
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_alike_is_told_once_and_what_is_not_keeps_its_words() {
        let mut gathered = Gathered::default();
        for id in ["111111111111", "222222222222"] {
            let home: AccountId = id.parse().expect("an id");
            gathered.add_finding(Finding::note("a", format!("role of {id}")), Some(&home), []);
        }
        gathered.add_finding(Finding::fault("b", "role of 333333333333"), "333333333333".parse().ok().as_ref(), []);
        let words: Vec<String> = gathered.finish().into_iter().map(|told| told.finding.what).collect();
        assert_eq!(words, ["role of 333333333333", "role of ACCOUNT_ID"]);
    }
}
