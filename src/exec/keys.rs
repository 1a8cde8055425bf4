//! The keys of one account's session, in the words of those who take them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::aws::{self, Credentials, ProvideCredentials};
use crate::fleet::Account;
use crate::identity::session::Sessions;

/// SDKs renew a session when 15 minutes are left of it, or fewer; what is handed out has more, unless it is shorter.
const LEFT: Duration = Duration::from_secs(20 * 60);

/// For how long credentials without an end, such as a user's keys, are said to be valid: SDKs want a date.
const WITHOUT_END: Duration = Duration::from_secs(3600);

/// A session's keys; they print as redacted.
#[derive(Clone, Debug)]
pub struct Keys {
    credentials: Credentials,
    /// When they end.
    pub expires: SystemTime,
}

impl Keys {
    /// Returns those of an account's session, renewed if little is left of it; `now` dates credentials without an end.
    ///
    /// # Errors
    /// Which hop failed, and why.
    pub async fn fetch(sessions: &Sessions, account: &Account, now: SystemTime) -> Result<Self, String> {
        let hops = &account.chain.hops;
        let credentials = if hops.is_empty() {
            let provider = sessions.credentials(&account.chain).provider;
            provider.provide_credentials().await.map_err(|error| aws::error::credentials(&error).to_owned())?
        } else {
            let session = sessions.session_with(hops, LEFT).await.map_err(|error| error.to_string())?;
            session.grant.credentials.clone()
        };
        let expires = credentials.expiry().unwrap_or(now + WITHOUT_END);
        Ok(Self { credentials, expires })
    }

    /// As a container's credentials endpoint answers.
    pub fn for_container(&self) -> Value {
        json!({
            "AccessKeyId": self.credentials.access_key_id(),
            "SecretAccessKey": self.credentials.secret_access_key(),
            "Token": self.credentials.session_token().unwrap_or_default(),
            "Expiration": self.expiration(),
        })
    }

    /// As a profile's `credential_process` prints.
    pub fn for_process(&self) -> Value {
        let mut body = json!({
            "Version": 1,
            "AccessKeyId": self.credentials.access_key_id(),
            "SecretAccessKey": self.credentials.secret_access_key(),
        });
        if let Some(token) = self.credentials.session_token() {
            body["SessionToken"] = json!(token);
        }
        body["Expiration"] = json!(self.expiration());
        body
    }

    /// As variables of an environment.
    pub fn for_environment(&self) -> Vec<(&'static str, SecretString)> {
        let token = self.credentials.session_token().map(|token| ("AWS_SESSION_TOKEN", token.into()));
        let mut variables = vec![
            ("AWS_ACCESS_KEY_ID", self.credentials.access_key_id().into()),
            ("AWS_SECRET_ACCESS_KEY", self.credentials.secret_access_key().into()),
        ];
        variables.extend(token);
        variables
    }

    /// When they end, as ISO 8601 in whole seconds.
    pub fn expiration(&self) -> String {
        let since = self.expires.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        i64::try_from(since).ok().and_then(|it| Timestamp::from_second(it).ok()).unwrap_or_default().to_string()
    }
}
