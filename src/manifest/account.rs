//! The entries of `accounts:` as they are written: an account, or what an organization is asked for.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{Deserializer, Visitor};

use crate::manifest::interpolate::Template;
use crate::manifest::scalar::Scalar;
use crate::manifest::spanned::{Entries, OneOrMany, Spanned};

/// Tells the decoder that a mapping is an account, or asks an organization.
pub const ACCOUNT_ENTRY: &str = "$account_entry";

/// An entry of `accounts:`.
#[derive(Clone, Debug)]
pub enum AccountEntry {
    /// One account.
    Listed(Box<Account>),
    /// Those of an organization that match.
    Discovered(Box<Discovery>),
}

/// An AWS account.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// A unique name of your own: letters, digits, `.`, `_` and `-`.
    #[schemars(required, regex(pattern = r"^[\p{L}\p{M}\p{N}._-]+$|\$\{"))]
    pub name: Option<Spanned<String>>,
    /// The 12-digit id, in quotes.
    #[schemars(required, regex(pattern = r"^[0-9]{12}$|\$\{"))]
    pub id: Option<Spanned<String>>,
    /// The roles that lead to the account, from left to right. A single one means that the account has its own identity
    /// provider. May be empty only with `identity: { ambient: true }`.
    #[schemars(required)]
    pub chain: Option<Spanned<Vec<Spanned<String>>>>,
    /// The regions to deploy to.
    #[schemars(required)]
    pub regions: Option<Spanned<Vec<Spanned<String>>>>,
    /// Labels for `select`, such as `env: prod`.
    pub labels: Option<Spanned<Entries<Scalar>>>,
    /// The values of `${vars.x}` in this account's targets.
    pub vars: Option<Spanned<Entries<Scalar>>>,
    /// `false`: leave the account out, with all of its targets. Default: true.
    pub enabled: Option<Spanned<bool>>,
}

impl AccountEntry {
    /// Returns the names of the roles that lead to its accounts.
    pub fn chain(&self) -> &[Spanned<String>] {
        let chain = match self {
            Self::Listed(account) => &account.chain,
            Self::Discovered(discovery) => &discovery.chain,
        };
        chain.as_ref().and_then(Spanned::get).map(Vec::as_slice).unwrap_or_default()
    }

    /// Returns what it asks an organization, where it does.
    pub fn discovery(&self) -> Option<&Discovery> {
        match self {
            Self::Listed(_) => None,
            Self::Discovered(discovery) => Some(discovery),
        }
    }
}

/// Accounts of AWS Organizations, those that match all of `ou`, `tags`, `id`, `name` and `email` and are not excluded.
/// `roleout accounts --update` looks for them, and writes them into the lock file. In the texts below, `${org.id}`,
/// `${org.name}`, `${org.email}`, `${org.ou.id}`, `${org.ou.name}`, `${org.ou.path}` and `${org.tags.KEY}` are what the
/// organization says of an account.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Discovery {
    /// `organization`: the one that `identity.organization_chain` reads.
    #[schemars(required)]
    pub from: Option<Spanned<AccountsFrom>>,
    /// The organizational units, each by its id or by the path of its name, such as `workloads/prod`. The units below it
    /// belong to it. `*` and `?` stay within a name, `**` is any number of names. Default: the whole organization.
    pub ou: Option<Spanned<OneOrMany<String>>>,
    /// Tags of the account, each with a value or a list of values. `*` and `?` are wildcards.
    pub tags: Option<Spanned<Entries<OneOrMany<Scalar>>>>,
    /// Ids of accounts, with wildcards.
    pub id: Option<Spanned<OneOrMany<String>>>,
    /// Names of accounts in the organization, with wildcards.
    pub name: Option<Spanned<OneOrMany<String>>>,
    /// Addresses of accounts, with wildcards. Only then, or for `${org.email}`, are addresses in the lock file.
    pub email: Option<Spanned<OneOrMany<String>>>,
    /// Accounts that match this, or one of several such mappings, are left out.
    pub exclude: Option<Spanned<OneOrMany<Exclusion>>>,
    /// The name of each account here. Capitals become small letters, and what no name may have becomes `-`. Default:
    /// `${org.name}`.
    #[serde(rename = "as")]
    pub alias: Option<Spanned<Template>>,
    /// The roles that lead to each account, from left to right.
    #[schemars(required)]
    pub chain: Option<Spanned<Vec<Spanned<String>>>>,
    /// The regions to deploy to.
    #[schemars(required)]
    pub regions: Option<Spanned<Vec<Spanned<Template>>>>,
    /// Labels for `select`, such as `env: ${org.tags.env}`.
    pub labels: Option<Spanned<Entries<Scalar>>>,
    /// The values of `${vars.x}` in the accounts' targets, such as `team: ${org.tags.team:-none}`.
    pub vars: Option<Spanned<Entries<Scalar>>>,
}

/// Accounts that are left out: those that match all of these.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Exclusion {
    /// Organizational units, by their ids or paths.
    pub ou: Option<Spanned<OneOrMany<String>>>,
    /// Tags, each with a value or a list of values.
    pub tags: Option<Spanned<Entries<OneOrMany<Scalar>>>>,
    /// Ids.
    pub id: Option<Spanned<OneOrMany<String>>>,
    /// Names in the organization.
    pub name: Option<Spanned<OneOrMany<String>>>,
    /// Addresses.
    pub email: Option<Spanned<OneOrMany<String>>>,
}

/// Where accounts are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AccountsFrom {
    /// AWS Organizations.
    Organization,
}

impl<'de> Deserialize<'de> for AccountEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = AccountEntry;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an account")
            }

            fn visit_some<D: Deserializer<'de>>(self, mapping: D) -> Result<AccountEntry, D::Error> {
                Account::deserialize(mapping).map(|account| AccountEntry::Listed(Box::new(account)))
            }

            fn visit_newtype_struct<D: Deserializer<'de>>(self, mapping: D) -> Result<AccountEntry, D::Error> {
                Discovery::deserialize(mapping).map(|discovery| AccountEntry::Discovered(Box::new(discovery)))
            }
        }

        deserializer.deserialize_newtype_struct(ACCOUNT_ENTRY, Either)
    }
}

impl JsonSchema for AccountEntry {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "AccountEntry".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let account = generator.subschema_for::<Account>();
        let discovery = generator.subschema_for::<Discovery>();
        json_schema!({ "anyOf": [account, discovery] })
    }
}
