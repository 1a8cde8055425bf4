//! Credentials that the sandbox knows: static keys of an account, and sessions that STS handed out and that expire.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::sandbox::moment::Moment;
use crate::sandbox::signature::{self, Claimed};
use crate::sandbox::wire::{AwsError, Request};

/// Whose credentials they are.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Principal {
    /// The account that calls are made in.
    pub(crate) account: String,
    /// `arn:aws:sts::A:assumed-role/R/S`, or a user's.
    pub(crate) arn: String,
    /// The caller's unique id.
    pub(crate) user_id: String,
    /// The role's own ARN; `None` for a user.
    pub(crate) role: Option<String>,
    /// Session tags, the inherited ones included.
    pub(crate) tags: BTreeMap<String, String>,
    /// The keys of those that pass on to the next hop.
    pub(crate) transitive: BTreeSet<String>,
    /// The source identity, which never changes along a chain.
    pub(crate) source_identity: Option<String>,
    /// The inline session policy.
    pub(crate) policy: Option<Value>,
}

/// Credentials. Never printed: they have no `Debug`.
#[derive(Clone)]
pub(crate) struct Session {
    pub(crate) secret: String,
    pub(crate) token: Option<String>,
    pub(crate) expires: Option<Moment>,
    pub(crate) principal: Principal,
}

/// Why credentials are refused; each protocol has its own words for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Missing,
    Unknown,
    Expired,
    Signature(String),
}

impl Refusal {
    /// Returns ECS's error.
    pub(crate) fn ecs(self) -> AwsError {
        match self {
            Self::Missing => AwsError::new("MissingAuthenticationTokenException", "Missing Authentication Token"),
            Self::Unknown => {
                AwsError::new("UnrecognizedClientException", "The security token included in the request is invalid.")
            }
            Self::Expired => {
                AwsError::new("ExpiredTokenException", "The security token included in the request is expired")
            }
            Self::Signature(text) => AwsError::new("InvalidSignatureException", text),
        }
    }

    /// Returns STS's error.
    pub(crate) fn sts(self) -> AwsError {
        let (code, text) = match self {
            Self::Missing => ("MissingAuthenticationToken", "Request is missing Authentication Token".to_owned()),
            Self::Unknown => {
                ("InvalidClientTokenId", "The security token included in the request is invalid.".to_owned())
            }
            Self::Expired => ("ExpiredToken", "The security token included in the request is expired".to_owned()),
            Self::Signature(text) => ("SignatureDoesNotMatch", text),
        };
        AwsError::with_status(403, code, text)
    }
}

/// Checks that the session signed the request, and that it is still valid.
pub(crate) fn verify(
    session: Option<&Session>,
    request: &Request,
    claimed: Option<&Claimed>,
    now: Moment,
) -> Result<Principal, Refusal> {
    let claimed = claimed.ok_or(Refusal::Missing)?;
    let session = session.ok_or(Refusal::Unknown)?;
    if session.token.as_deref() != request.header("x-amz-security-token") {
        return Err(Refusal::Unknown);
    }
    if session.expires.is_some_and(|expires| expires <= now) {
        return Err(Refusal::Expired);
    }
    signature::check(request, claimed, &session.secret, now).map_err(Refusal::Signature)?;
    Ok(session.principal.clone())
}
