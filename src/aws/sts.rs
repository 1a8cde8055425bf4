//! STS: the three calls of which role chains are made.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sdk_sts::Client;
use aws_sdk_sts::types::{AssumedRoleUser, PolicyDescriptorType, Tag};

use crate::aws::calls::CallLog;
use crate::aws::credentials::{AccountCredentials, Signer};
use crate::aws::error::{CallError, Kind};
use crate::base::secrets;
use crate::fleet::{AccountId, Hop};

/// A client of one STS endpoint.
#[derive(Clone, Debug)]
pub struct Sts {
    client: Client,
}

/// What a hop gives: temporary credentials and who they are.
#[derive(Clone, Debug)]
pub struct Grant {
    /// The credentials; they print as redacted.
    pub credentials: Credentials,
    /// The assumed role's session ARN.
    pub arn: String,
    /// The account that the session is in, out of that ARN.
    pub account: AccountId,
    /// When it ends.
    pub expires: SystemTime,
}

impl Sts {
    /// Wraps a client that signs nothing by itself.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// Returns the region of the endpoint.
    pub fn region(&self) -> &str {
        self.client.config().region().map_or("", AsRef::as_ref)
    }

    /// Returns what writes the lines of a hop's calls: they are of the role's account.
    fn log(&self, hop: &Hop) -> CallLog {
        CallLog::new(hop.arn.as_str().split(':').nth(4).unwrap_or_default(), self.region())
    }

    /// AssumeRoleWithWebIdentity: unsigned, by the ID token alone.
    pub async fn assume_with_web_identity(
        &self,
        hop: &Hop,
        session_name: &str,
        token: &str,
    ) -> Result<Grant, CallError> {
        const OPERATION: &str = "AssumeRoleWithWebIdentity";
        let answer = self
            .client
            .assume_role_with_web_identity()
            .role_arn(hop.arn.as_str())
            .role_session_name(session_name)
            .web_identity_token(token)
            .set_duration_seconds(seconds(hop))
            .set_policy(hop.policy.clone())
            .set_policy_arns(policy_arns(hop))
            .customize()
            .interceptor(self.log(hop))
            .send()
            .await
            .map_err(|error| CallError::new(OPERATION, &error))?;
        grant(OPERATION, answer.credentials, answer.assumed_role_user)
    }

    /// AssumeRole, signed with the session before it. The signer, which is of those credentials, gets to know with which.
    pub async fn assume(
        &self,
        hop: &Hop,
        session_name: &str,
        from: &AccountCredentials,
        signer: Signer,
    ) -> Result<Grant, CallError> {
        const OPERATION: &str = "AssumeRole";
        let tags = hop.tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build());
        let tags = tags
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| CallError::plain(OPERATION, Kind::NotSent, error.to_string()))?;
        let answer = self
            .client
            .assume_role()
            .role_arn(hop.arn.as_str())
            .role_session_name(session_name)
            .set_external_id(hop.external_id.clone())
            .set_tags((!tags.is_empty()).then_some(tags))
            .set_transitive_tag_keys((!hop.transitive_tags.is_empty()).then(|| hop.transitive_tags.clone()))
            .set_source_identity(hop.source_identity.clone())
            .set_duration_seconds(seconds(hop))
            .set_policy(hop.policy.clone())
            .set_policy_arns(policy_arns(hop))
            .customize()
            .interceptor(self.log(hop))
            .interceptor(signer)
            .config_override(aws_sdk_sts::config::Config::builder().credentials_provider(from.provider.clone()))
            .send()
            .await
            .map_err(|error| CallError::new(OPERATION, &error))?;
        grant(OPERATION, answer.credentials, answer.assumed_role_user)
    }

    /// GetCallerIdentity: the account and ARN of credentials that no hop gave. It needs no permission. The signer is as that of
    /// [`Sts::assume`].
    pub async fn caller(&self, from: &AccountCredentials, signer: Signer) -> Result<(AccountId, String), CallError> {
        const OPERATION: &str = "GetCallerIdentity";
        let answer = self
            .client
            .get_caller_identity()
            .customize()
            .interceptor(CallLog::new("", self.region()))
            .interceptor(signer)
            .config_override(aws_sdk_sts::config::Config::builder().credentials_provider(from.provider.clone()))
            .send()
            .await
            .map_err(|error| CallError::new(OPERATION, &error))?;
        let account = answer.account.unwrap_or_default();
        let account = account.parse().map_err(|error: String| CallError::plain(OPERATION, Kind::Unknown, error))?;
        Ok((account, answer.arn.unwrap_or_default()))
    }
}

fn seconds(hop: &Hop) -> Option<i32> {
    hop.duration.and_then(|duration| i32::try_from(duration.as_secs()).ok())
}

fn policy_arns(hop: &Hop) -> Option<Vec<PolicyDescriptorType>> {
    let arns = hop.policy_arns.iter().map(|arn| PolicyDescriptorType::builder().arn(arn).build());
    (!hop.policy_arns.is_empty()).then(|| arns.collect())
}

fn grant(
    operation: &'static str,
    credentials: Option<aws_sdk_sts::types::Credentials>,
    user: Option<AssumedRoleUser>,
) -> Result<Grant, CallError> {
    let incomplete = |what: &str| CallError::plain(operation, Kind::Unknown, format!("the answer has no {what}"));
    let credentials = credentials.ok_or_else(|| incomplete("credentials"))?;
    let arn = user.ok_or_else(|| incomplete("assumed role"))?.arn;
    let account = arn.split(':').nth(4).and_then(|id| id.parse::<AccountId>().ok());
    let account = account.ok_or_else(|| incomplete("account in its assumed role's ARN"))?;
    let expires = SystemTime::try_from(credentials.expiration)
        .map_err(|error| CallError::plain(operation, Kind::Unknown, error.to_string()))?;
    secrets::hold(&credentials.secret_access_key);
    secrets::hold(&credentials.session_token);
    let credentials = Credentials::new(
        credentials.access_key_id,
        credentials.secret_access_key,
        Some(credentials.session_token),
        Some(expires),
        "roleout",
    );
    Ok(Grant { credentials, arn, account, expires })
}
