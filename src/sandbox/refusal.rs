//! STS's refusals that no set-up of the sandbox leads to by itself, or that are quicker asked for by a fault.
//!
//! Codes and texts are AWS's, but for the percentage of a packed policy.

use crate::sandbox::wire::AwsError;

/// Why STS gives no session in an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// `no-provider`: the account has no identity provider for the token's issuer.
    NoProvider,
    /// `wrong-audience`: its identity provider accepts another audience.
    WrongAudience,
    /// `no-keys`: STS cannot fetch the issuer's keys.
    NoKeys,
    /// `no-issuer`: STS cannot reach the issuer.
    NoIssuer,
    /// `claim-rejected`: the issuer rejects the token's claims.
    ClaimRejected,
    /// `region-disabled`: STS is not active for the account in any region.
    RegionDisabled,
    /// `packed`: tags and policies do not fit.
    Packed,
}

impl Refusal {
    /// Returns the refusal of a fault's name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "no-provider" => Self::NoProvider,
            "wrong-audience" => Self::WrongAudience,
            "no-keys" => Self::NoKeys,
            "no-issuer" => Self::NoIssuer,
            "claim-rejected" => Self::ClaimRejected,
            "region-disabled" => Self::RegionDisabled,
            "packed" => Self::Packed,
            _ => return None,
        })
    }

    /// Returns what STS says where it is not active for an account.
    pub(crate) fn region_disabled(account: &str) -> AwsError {
        AwsError::with_status(
            403,
            "RegionDisabledException",
            format!(
                "STS is not activated in this region for account:{account}. Your account administrator can activate STS in \
                 this region using the IAM Console."
            ),
        )
    }

    /// Returns what STS says to an operation; `None` where the refusal is not of it. `issuer` is the token's.
    pub(crate) fn error(self, operation: &str, issuer: &str, role: &str) -> Option<AwsError> {
        let (web, chained) = (operation == "AssumeRoleWithWebIdentity", operation == "AssumeRole");
        let error = match self {
            Self::NoProvider if web => AwsError::new(
                "InvalidIdentityToken",
                format!("No OpenIDConnect provider found in your account for {issuer}"),
            ),
            Self::WrongAudience if web => AwsError::new("InvalidIdentityToken", "Incorrect token audience"),
            Self::NoKeys if web => AwsError::new(
                "InvalidIdentityToken",
                "Couldn't retrieve verification key from your identity provider,  please reference \
                 AssumeRoleWithWebIdentity documentation for requirements",
            ),
            Self::NoIssuer if web => AwsError::new(
                "IDPCommunicationError",
                "Error communicating with the identity provider. Please retry the request.",
            ),
            Self::ClaimRejected if web => {
                AwsError::with_status(403, "IDPRejectedClaim", "The identity provider rejected the claim.")
            }
            Self::RegionDisabled if web || chained => Self::region_disabled(crate::sandbox::account::parts(role).1),
            Self::Packed if web || chained => AwsError::new(
                "PackedPolicyTooLarge",
                "Packed policy consumes 127% of allotted space, please use smaller policy.",
            ),
            _ => return None,
        };
        Some(error)
    }
}
