//! What a call to AWS failed with, and what may be done about it.

use std::fmt;

use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

/// What a failed call means for its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Too many calls; AWS did nothing.
    Throttled,
    /// Not allowed; AWS did nothing.
    Denied,
    /// The session or the token is past its end; AWS did nothing.
    Expired,
    /// Refused for another reason that AWS states; it did nothing.
    Refused,
    /// No answer, or an answer that does not say whether AWS acted: a timeout, a reset, a 5xx.
    Unknown,
    /// The request was never sent.
    NotSent,
    /// The request was not sent, since by then nothing was to be written any more.
    Withdrawn,
}

/// A failed call: which, why, and AWS's request id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallError {
    /// The operation's name, as AWS has it.
    pub operation: &'static str,
    /// What it means.
    pub kind: Kind,
    /// AWS's error code, such as `AccessDeniedException`.
    pub code: Option<String>,
    /// AWS's words, or the transport's.
    pub message: String,
}

impl CallError {
    /// Reads an SDK error.
    pub fn new<E>(operation: &'static str, error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        match error {
            SdkError::ServiceError(context) => {
                let code = context.err().code().map(str::to_owned);
                let status = context.raw().status().as_u16();
                let kind = kind_of(code.as_deref(), status);
                let message = match context.err().message() {
                    Some(message) if !message.trim().is_empty() => message.trim().to_owned(),
                    _ => format!("HTTP {status} without a message"),
                };
                Self { operation, kind, code, message }
            }
            SdkError::ConstructionFailure(_) => Self::plain(operation, Kind::NotSent, chain(error)),
            // A failure to renew a session surfaces as a dispatch failure: nothing was sent.
            SdkError::DispatchFailure(failure) if failure.is_user() || has_credentials_error(error) => {
                Self::plain(operation, Kind::NotSent, chain(error))
            }
            SdkError::ResponseError(context) => {
                let status = context.raw().status().as_u16();
                Self::plain(operation, Kind::Unknown, format!("HTTP {status} with an answer that is not AWS's"))
            }
            _ => Self::plain(operation, Kind::Unknown, chain(error)),
        }
    }

    /// Makes an error that has no code of AWS's.
    pub fn plain(operation: &'static str, kind: Kind, message: impl Into<String>) -> Self {
        Self { operation, kind, code: None, message: message.into() }
    }

    /// Whether AWS answered with this code, with or without its `Exception`.
    pub fn is(&self, code: &str) -> bool {
        self.code.as_deref().is_some_and(|own| own.trim_end_matches("Exception") == code.trim_end_matches("Exception"))
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.code {
            Some(code) => write!(f, "{}: {code}: {}", self.operation, self.message),
            None => write!(f, "{}: {}", self.operation, self.message),
        }
    }
}

impl std::error::Error for CallError {}

fn has_credentials_error(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| error.source()).any(|error| error.is::<CredentialsError>())
}

fn kind_of(code: Option<&str>, status: u16) -> Kind {
    match code.unwrap_or_default() {
        "Throttling"
        | "ThrottlingException"
        | "ThrottledException"
        | "RequestThrottled"
        | "RequestLimitExceeded"
        | "TooManyRequestsException"
        | "SlowDown"
        | "RequestThrottledException" => Kind::Throttled,
        "AccessDenied"
        | "AccessDeniedException"
        | "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "OptInRequired"
        | "UnauthorizedOperation" => Kind::Denied,
        "ExpiredToken" | "ExpiredTokenException" => Kind::Expired,
        "ServerException"
        | "InternalFailure"
        | "InternalError"
        | "ServiceUnavailable"
        | "ServiceUnavailableException"
        | "RequestTimeout"
        | "RequestTimeoutException" => Kind::Unknown,
        _ if status >= 500 => Kind::Unknown,
        _ => Kind::Refused,
    }
}

/// Returns an error and its causes on one line; the SDK's own text leaves the causes out.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        if parts.last().is_none_or(|last| !last.contains(&text)) {
            parts.push(text);
        }
        next = error.source();
    }
    parts.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_told_apart_by_what_aws_did() {
        for (code, status, kind) in [
            ("ThrottlingException", 400, Kind::Throttled),
            ("AccessDeniedException", 400, Kind::Denied),
            ("ExpiredTokenException", 400, Kind::Expired),
            ("ClientException", 400, Kind::Refused),
            ("ServerException", 500, Kind::Unknown),
            ("ServerException", 400, Kind::Unknown),
            ("", 503, Kind::Unknown),
            ("", 404, Kind::Refused),
        ] {
            assert_eq!(kind_of(Some(code), status), kind, "{code} {status}");
        }
    }
}
