//! AWS accounts of the sandbox: their IAM roles, OIDC providers and static keys. What runs in them is in
//! [`super::region`].

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

pub(crate) use crate::fleet::role_arn::partition_of as partition;
use crate::sandbox::issuer::{AUDIENCE, ISSUER_HOST};

/// An IAM role.
#[derive(Clone, Debug, PartialEq)]
pub struct Role {
    /// Its ARN.
    pub arn: String,
    /// Its trust policy, in IAM's JSON.
    pub trust: Value,
    /// MaxSessionDuration: one to twelve hours.
    pub max_session: Duration,
    /// The actions that it may call, `*` and `?` allowed; `None` = every action in its own account, and every
    /// `sts:AssumeRole`.
    pub actions: Option<Vec<String>>,
    /// Its permissions as an inline policy; without one, and without `attached`, what `actions` says.
    pub policy: Option<Value>,
    /// The managed policies that are attached to it, by their names.
    pub attached: BTreeMap<String, Value>,
    /// When it was made, in milliseconds since 1970.
    pub created: u64,
}

impl Role {
    /// Returns a role that may do everything and that nobody may assume yet.
    pub fn new(arn: impl Into<String>) -> Self {
        Self {
            arn: arn.into(),
            trust: json!({ "Version": "2012-10-17", "Statement": [] }),
            max_session: Duration::from_secs(3600),
            actions: None,
            policy: None,
            attached: BTreeMap::new(),
            created: 0,
        }
    }

    /// Returns all of its permission policies as one; `None` where it has none, and so no limit but `actions`.
    pub(crate) fn policies(&self) -> Option<Value> {
        let all: Vec<&Value> = self.policy.iter().chain(self.attached.values()).collect();
        let statements = all.iter().flat_map(|policy| match &policy["Statement"] {
            Value::Array(statements) => statements.clone(),
            one => vec![one.clone()],
        });
        (!all.is_empty()).then(|| json!({ "Statement": statements.collect::<Vec<_>>() }))
    }

    /// Lets the sandbox's ID tokens assume it: `aud` must be the sandbox's, and `sub` match one of the patterns.
    #[must_use]
    pub fn trusting_web_identity(mut self, subjects: &[&str]) -> Self {
        let (partition, account) = parts(&self.arn);
        self.add(json!({
            "Effect": "Allow",
            "Principal": { "Federated": provider_arn(partition, account, ISSUER_HOST) },
            "Action": "sts:AssumeRoleWithWebIdentity",
            "Condition": {
                "StringEquals": { (format!("{ISSUER_HOST}:aud")): AUDIENCE },
                "StringLike": { (format!("{ISSUER_HOST}:sub")): subjects },
            },
        }));
        self
    }

    /// Lets another role (or `arn:aws:iam::ACCOUNT:root`) assume it, tag its session and set its source identity.
    #[must_use]
    pub fn trusting_role(mut self, principal: &str, external_id: Option<&str>) -> Self {
        let mut assume = json!({ "Effect": "Allow", "Principal": { "AWS": principal }, "Action": "sts:AssumeRole" });
        if let Some(id) = external_id {
            assume["Condition"] = json!({ "StringEquals": { "sts:ExternalId": id } });
        }
        self.add(assume);
        self.add(json!({
            "Effect": "Allow", "Principal": { "AWS": principal }, "Action": ["sts:TagSession", "sts:SetSourceIdentity"],
        }));
        self
    }

    /// Lets a service assume it.
    #[must_use]
    pub fn trusting_service(mut self, service: &str) -> Self {
        self.add(json!({ "Effect": "Allow", "Principal": { "Service": service }, "Action": "sts:AssumeRole" }));
        self
    }

    fn add(&mut self, statement: Value) {
        if let Some(Value::Array(statements)) = self.trust.get_mut("Statement")
            && !statements.contains(&statement)
        {
            statements.push(statement);
        }
    }
}

/// An OIDC identity provider of an account.
#[derive(Clone, Debug, PartialEq)]
pub struct Provider {
    /// The issuer without its scheme.
    pub host: String,
    /// The audiences that it accepts.
    pub client_ids: Vec<String>,
    /// The issuer's key set; `None` = the sandbox's own issuer.
    pub key_set: Option<Value>,
}

/// An account.
#[derive(Clone, Debug, Default)]
pub(crate) struct Account {
    /// The manifest's name for it; the id where it has none.
    pub(crate) name: String,
    /// Its roles by ARN.
    pub(crate) roles: BTreeMap<String, Role>,
    /// Its OIDC providers by host.
    pub(crate) providers: BTreeMap<String, Provider>,
}

/// Returns the ARN of an OIDC provider.
pub(crate) fn provider_arn(partition: &str, account: &str, host: &str) -> String {
    format!("arn:{partition}:iam::{account}:oidc-provider/{host}")
}

/// Returns an ARN's partition and account.
pub(crate) fn parts(arn: &str) -> (&str, &str) {
    let mut fields = arn.split(':').skip(1);
    (fields.next().unwrap_or("aws"), fields.nth(2).unwrap_or_default())
}
