//! What could be read of the account in which a role is refused: the role itself, and the account's identity providers.

use serde_json::Value;

/// What could be read of the account of a refused role.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Live {
    /// The role.
    pub role: Look<Role>,
    /// The account's OIDC identity providers.
    pub providers: Look<Vec<Provider>>,
}

/// What came of looking.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Look<T> {
    /// Nobody looked.
    #[default]
    Unasked,
    /// It could not be read, and why.
    Refused(String),
    /// There is none.
    Missing,
    /// It is there.
    Found(T),
}

/// A role that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Role {
    /// Where it was read from: `the live role`, a file's name.
    pub source: String,
    /// Its ARN; `None` where only its trust policy is known.
    pub arn: Option<String>,
    /// Its trust policy.
    pub trust: Value,
    /// When it was made, in seconds since 1970.
    pub created: Option<i64>,
    /// Its longest session, in seconds.
    pub max_session: Option<i64>,
}

/// An OIDC identity provider that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Provider {
    /// Its URL, without `https://`.
    pub url: String,
    /// The audiences that it accepts.
    pub client_ids: Vec<String>,
}
