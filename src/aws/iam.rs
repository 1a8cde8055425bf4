//! IAM: a role, whom it trusts, and what its policies say; and identity providers.

use aws_sdk_iam::Client;
use serde_json::Value;

use crate::aws::error::{CallError, Kind};

/// The roles of one account.
#[derive(Clone, Debug)]
pub struct Roles {
    client: Client,
}

/// A role that exists.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Its ARN.
    pub arn: String,
    /// Its trust policy; `None` where it cannot be read as JSON.
    pub trust: Option<Value>,
    /// When it was made, in seconds since 1970.
    pub created: i64,
    /// Its longest session, in seconds.
    pub max_session: Option<i64>,
}

/// An OIDC identity provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provider {
    /// Its URL, without `https://`.
    pub url: String,
    /// The audiences that it accepts.
    pub client_ids: Vec<String>,
}

/// How many of an account's identity providers are looked at; IAM allows a hundred, and few have more than three.
const PROVIDERS: usize = 20;

impl Roles {
    /// Wraps a client.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// Finds a role by its name.
    pub async fn find(&self, name: &str) -> Result<Option<Found>, CallError> {
        let answer = self.client.get_role().role_name(name).send().await;
        match answer.map_err(|error| CallError::new("GetRole", &error)) {
            Ok(answer) => Ok(answer.role.map(|role| Found {
                created: role.create_date.secs(),
                max_session: role.max_session_duration.map(i64::from),
                arn: role.arn,
                trust: role.assume_role_policy_document.and_then(|policy| document(&policy)),
            })),
            Err(error) if error.is("NoSuchEntity") => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns all policies of a role, by its name: the inline ones, and the managed ones at their default version.
    pub async fn policies(&self, name: &str) -> Result<Vec<Value>, CallError> {
        let mut policies = Vec::new();
        let mut inline = self.client.list_role_policies().role_name(name).into_paginator().items().send();
        while let Some(policy) = inline.next().await {
            let policy = policy.map_err(|error| CallError::new("ListRolePolicies", &error))?;
            let answer = self.client.get_role_policy().role_name(name).policy_name(policy).send().await;
            let answer = answer.map_err(|error| CallError::new("GetRolePolicy", &error))?;
            policies.push(readable("GetRolePolicy", document(&answer.policy_document))?);
        }
        let mut attached = self.client.list_attached_role_policies().role_name(name).into_paginator().items().send();
        while let Some(policy) = attached.next().await {
            let policy = policy.map_err(|error| CallError::new("ListAttachedRolePolicies", &error))?;
            let answer = self.client.get_policy().set_policy_arn(policy.policy_arn.clone()).send().await;
            let answer = answer.map_err(|error| CallError::new("GetPolicy", &error))?;
            let version = answer.policy.and_then(|policy| policy.default_version_id);
            let request = self.client.get_policy_version().set_policy_arn(policy.policy_arn).set_version_id(version);
            let answer = request.send().await.map_err(|error| CallError::new("GetPolicyVersion", &error))?;
            let text = answer.policy_version.and_then(|version| version.document);
            policies.push(readable("GetPolicyVersion", text.and_then(|text| document(&text)))?);
        }
        Ok(policies)
    }

    /// Lists the account's OIDC identity providers.
    pub async fn providers(&self) -> Result<Vec<Provider>, CallError> {
        let answer = self.client.list_open_id_connect_providers().send().await;
        let answer = answer.map_err(|error| CallError::new("ListOpenIDConnectProviders", &error))?;
        let arns = answer.open_id_connect_provider_list.unwrap_or_default().into_iter().filter_map(|one| one.arn);
        let mut providers = Vec::new();
        for arn in arns.take(PROVIDERS) {
            let answer = self.client.get_open_id_connect_provider().open_id_connect_provider_arn(arn).send().await;
            let answer = answer.map_err(|error| CallError::new("GetOpenIDConnectProvider", &error))?;
            let url = answer.url.unwrap_or_default();
            let client_ids = answer.client_id_list.unwrap_or_default();
            providers.push(Provider { url: url.trim_start_matches("https://").to_owned(), client_ids });
        }
        Ok(providers)
    }

    /// Returns an identity provider's URL and audiences, by its ARN.
    pub async fn provider(&self, arn: &str) -> Result<Option<(String, Vec<String>)>, CallError> {
        let answer = self.client.get_open_id_connect_provider().open_id_connect_provider_arn(arn).send().await;
        match answer.map_err(|error| CallError::new("GetOpenIDConnectProvider", &error)) {
            Ok(answer) => Ok(Some((answer.url.unwrap_or_default(), answer.client_id_list.unwrap_or_default()))),
            Err(error) if error.is("NoSuchEntity") => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Reads a policy document as IAM gives it.
fn document(text: &str) -> Option<Value> {
    serde_json::from_slice(&percent_decoded(text)).ok()
}

fn readable(operation: &'static str, policy: Option<Value>) -> Result<Value, CallError> {
    policy.ok_or_else(|| CallError::plain(operation, Kind::Refused, "the policy is not JSON"))
}

/// Decodes RFC 3986's encoding, in which IAM returns policies.
fn percent_decoded(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let coded = after.get(..2).filter(|_| first == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        match coded.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_decoded() {
        for (text, wanted) in
            [("%7B%22a%22%3A%20%22%2B%C3%A9%22%7D", "{\"a\": \"+é\"}"), ("a+b%", "a+b%"), ("%zz%4", "%zz%4")]
        {
            assert_eq!(String::from_utf8(percent_decoded(text)).expect("UTF-8"), wanted);
        }
    }
}
