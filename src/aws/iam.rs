//! IAM: a role, whom it trusts, and what its policies say; and identity providers.

use jiff::Timestamp;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use crate::aws::error::{CallError, Kind};
use crate::aws::operation::Client;

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
        let answer = match self.client.read("GetRole", json!({ "RoleName": name })).await {
            Err(error) if error.is("NoSuchEntity") => return Ok(None),
            answer => answer?,
        };
        Ok(answer.get("Role").map(|role| Found {
            arn: text(role, "Arn").to_owned(),
            trust: document(text(role, "AssumeRolePolicyDocument")),
            created: text(role, "CreateDate").parse().map(Timestamp::as_second).unwrap_or_default(),
            max_session: text(role, "MaxSessionDuration").parse().ok(),
        }))
    }

    /// Returns all policies of a role, by its name: the inline ones, and the managed ones at their default version.
    pub async fn policies(&self, name: &str) -> Result<Vec<Value>, CallError> {
        let role = json!({ "RoleName": name });
        let mut policies = Vec::new();
        for policy in self.client.list("ListRolePolicies", role.clone(), "PolicyNames", "Marker").await? {
            let answer = self.client.read("GetRolePolicy", json!({ "RoleName": name, "PolicyName": policy })).await?;
            policies.push(readable("GetRolePolicy", text(&answer, "PolicyDocument"))?);
        }
        for policy in self.client.list("ListAttachedRolePolicies", role, "AttachedPolicies", "Marker").await? {
            let arn = &policy["PolicyArn"];
            let answer = self.client.read("GetPolicy", json!({ "PolicyArn": arn })).await?;
            let version = &answer["Policy"]["DefaultVersionId"];
            let input = json!({ "PolicyArn": arn, "VersionId": version });
            let answer = self.client.read("GetPolicyVersion", input).await?;
            policies.push(readable("GetPolicyVersion", text(&answer["PolicyVersion"], "Document"))?);
        }
        Ok(policies)
    }

    /// Lists the account's OIDC identity providers.
    pub async fn providers(&self) -> Result<Vec<Provider>, CallError> {
        let answer = self.client.read("ListOpenIDConnectProviders", json!({})).await?;
        let listed = answer["OpenIDConnectProviderList"].as_array().into_iter().flatten();
        let mut providers = Vec::new();
        for arn in listed.filter_map(|provider| provider["Arn"].as_str()).take(PROVIDERS) {
            let (url, client_ids) = self.read_provider(arn).await?;
            providers.push(Provider { url: url.trim_start_matches("https://").to_owned(), client_ids });
        }
        Ok(providers)
    }

    /// Returns an identity provider's URL and audiences, by its ARN.
    pub async fn provider(&self, arn: &str) -> Result<Option<(String, Vec<String>)>, CallError> {
        match self.read_provider(arn).await {
            Err(error) if error.is("NoSuchEntity") => Ok(None),
            found => found.map(Some),
        }
    }

    async fn read_provider(&self, arn: &str) -> Result<(String, Vec<String>), CallError> {
        let input = json!({ "OpenIDConnectProviderArn": arn });
        let answer = self.client.read("GetOpenIDConnectProvider", input).await?;
        let client_ids = answer["ClientIDList"].as_array().into_iter().flatten();
        let client_ids = client_ids.filter_map(|id| id.as_str().map(str::to_owned)).collect();
        Ok((text(&answer, "Url").to_owned(), client_ids))
    }
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// Reads a policy document as IAM gives it, in RFC 3986's encoding.
fn document(text: &str) -> Option<Value> {
    serde_json::from_slice(&percent_decode_str(text).collect::<Vec<u8>>()).ok()
}

fn readable(operation: &'static str, policy: &str) -> Result<Value, CallError> {
    document(policy).ok_or_else(|| CallError::plain(operation, Kind::Refused, "the policy is not JSON"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_decoded() {
        let policy = "%7B%22a%22%3A%20%22%2B%C3%A9%25%22%7D";
        assert_eq!(document(policy), Some(serde_json::json!({ "a": "+é%" })));
        assert_eq!(document("%zz%4"), None);
    }
}
