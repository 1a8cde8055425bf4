//! IAM: a role and whom it trusts, and the identity providers of an account.

use aws_sdk_iam::Client;
use serde_json::Value;

use super::error::CallError;

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
                trust: role
                    .assume_role_policy_document
                    .and_then(|policy| serde_json::from_slice(&percent_decoded(&policy)).ok()),
            })),
            Err(error) if error.is("NoSuchEntity") => Ok(None),
            Err(error) => Err(error),
        }
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
}

/// Undoes RFC 3986's encoding, in which IAM gives policies.
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
