//! What a call to AWS failed with, and what may be done about it.

use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_types::request_id::RequestId;
use http_body_util::LengthLimitError;
use tokio_rustls::rustls;

use crate::aws::bounded;
use crate::aws::timing::{ATTEMPT_TIMEOUT, ATTEMPTS, CONNECT_TIMEOUT, OPERATION_TIMEOUT};
use crate::base::secrets;

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
    /// The request was never sent: the session is over, and so is what it could be renewed with.
    NoSession,
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
    /// AWS's id of the request, where it answered.
    pub request_id: Option<String>,
    /// The status of an answer that refuses.
    pub status: Option<u16>,
}

/// How a message says that there was an answer, but not one of AWS's form.
const UNREADABLE: &str = "an answer that is not AWS's";

impl CallError {
    /// Whether an answer came that could not be read: the service was reached.
    pub fn is_unreadable(&self) -> bool {
        self.kind == Kind::Unknown && self.message.ends_with(UNREADABLE)
    }

    /// Reads an SDK error.
    pub fn new<E>(operation: &'static str, error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        Self::after(operation, error, ATTEMPTS, OPERATION_TIMEOUT)
    }

    /// Reads an SDK error of a call that was tried so often, and had so long in all.
    pub fn after<E>(operation: &'static str, error: &SdkError<E, HttpResponse>, attempts: u32, limit: Duration) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        match error {
            SdkError::ServiceError(context) => {
                let code = context.err().code().map(one_line);
                let status = context.raw().status().as_u16();
                let message = match context.err().message() {
                    Some(message) if !message.trim().is_empty() => {
                        secrets::scrub(&one_line(message.trim())).into_owned()
                    }
                    _ => format!("HTTP {status} without a message"),
                };
                let kind = match is_cross_account_pass(&message) {
                    true => Kind::Denied,
                    false => kind_of(code.as_deref(), status),
                };
                let status = Some(status);
                Self { code, request_id: request_id(error), status, ..Self::plain(operation, kind, message) }
            }
            SdkError::ConstructionFailure(_) => Self::plain(operation, Kind::NotSent, NOT_MADE),
            SdkError::TimeoutError(_) => {
                let (all, each) = (limit.as_secs(), ATTEMPT_TIMEOUT.as_secs());
                let message = match attempts {
                    0 | 1 => format!("no answer within {each}s"),
                    _ => format!("no answer within {all}s, in tries of {each}s each"),
                };
                Self::plain(operation, Kind::Unknown, message)
            }
            // A failure to renew a session surfaces as a dispatch failure: nothing was sent.
            SdkError::DispatchFailure(failure) => {
                let hop = causes(error).find_map(|error| error.downcast_ref::<HopError>());
                let kind = match failure.is_user() || credentials_error(error).is_some() {
                    true if hop.is_some_and(|hop| hop.error.kind == Kind::Expired) => Kind::NoSession,
                    true => Kind::NotSent,
                    false => Kind::Unknown,
                };
                let timeout = failure.is_timeout().then(|| {
                    let each = CONNECT_TIMEOUT.as_secs();
                    match attempts {
                        0 | 1 => format!("no connection within {each}s"),
                        tries => format!("no connection in {tries} tries of {each}s each"),
                    }
                });
                let message = timeout
                    .or_else(|| explain(error))
                    .unwrap_or_else(|| if failure.is_other() { NOT_MADE } else { "the connection failed" }.to_owned());
                Self::plain(operation, kind, message)
            }
            SdkError::ResponseError(_) if causes(error).any(|error| error.is::<LengthLimitError>()) => {
                let message = format!("the answer is longer than {} MiB", bounded::LONGEST >> 20);
                Self::plain(operation, Kind::Unknown, message)
            }
            SdkError::ResponseError(context) => {
                let status = context.raw().status().as_u16();
                Self { request_id: request_id(error), ..Self::unreadable(operation, status) }
            }
            _ => Self::plain(operation, Kind::Unknown, "the call failed before there was an answer"),
        }
    }

    /// Makes the error of an answer that is not one of AWS's form.
    pub fn unreadable(operation: &'static str, status: u16) -> Self {
        Self::plain(operation, Kind::Unknown, format!("HTTP {status} with {UNREADABLE}"))
    }

    /// Makes an error that has no code of AWS's.
    pub fn plain(operation: &'static str, kind: Kind, message: impl Into<String>) -> Self {
        Self { operation, kind, code: None, message: message.into(), request_id: None, status: None }
    }

    /// The error of a write that was not sent, since its permission was over.
    pub fn withdrawn(operation: &'static str) -> Self {
        Self::plain(operation, Kind::Withdrawn, "it was not sent")
    }

    /// Returns the status of an answer by which AWS says that it is out of order, such as 503.
    pub fn outage(&self) -> Option<u16> {
        self.status.filter(|status| *status >= 500)
    }

    /// Whether the same call may be answered later: AWS throttled it, or there was no answer.
    pub fn is_transient(&self) -> bool {
        matches!(self.kind, Kind::Throttled | Kind::Unknown)
    }

    /// Whether AWS refused a request for the time of its signature: the clocks differ by more than five minutes.
    pub fn is_mistimed(&self) -> bool {
        let is_of_signature = self.is("InvalidSignatureException") || self.is("SignatureDoesNotMatch");
        let of_time = ["Signature expired", "Signature not yet current"];
        self.is("RequestTimeTooSkewed") || is_of_signature && of_time.iter().any(|words| self.message.contains(words))
    }

    /// Whether AWS answered with this code, with or without its `Exception`.
    pub fn is(&self, code: &str) -> bool {
        self.code.as_deref().is_some_and(|own| own.trim_end_matches("Exception") == code.trim_end_matches("Exception"))
    }
}

/// `{:#}` has the request's id at its end.
impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.code {
            Some(code) => write!(f, "{}: {code}: {}", self.operation, self.message)?,
            None => write!(f, "{}: {}", self.operation, self.message)?,
        }
        match &self.request_id {
            Some(id) if f.alternate() => write!(f, " (request id {id})"),
            _ => Ok(()),
        }
    }
}

impl Error for CallError {}

/// What is said where the SDK could not make a request. Its own text may hold the request, and so the ID token.
const NOT_MADE: &str = "the request could not be made; is a setting of the SDK, such as its endpoint, right?";

/// Returns a text of AWS without line breaks: where it stands among lines of ours, none of it may look like one of them.
fn one_line(text: &str) -> String {
    text.split(['\n', '\r']).map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Returns AWS's id of a request, if it has the form of one: a proxy can answer anything.
fn request_id<E>(error: &SdkError<E, HttpResponse>) -> Option<String> {
    let is_id = |id: &&str| id.len() <= 64 && id.chars().all(|char| char.is_ascii_alphanumeric() || char == '-');
    error.request_id().filter(is_id).map(str::to_owned)
}

/// Returns an error and what caused it, the outermost first.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn Error + 'static)| inner(*error))
}

fn inner<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    // An I/O error that wraps another hides it from `source`, which gives the source of that.
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(wrapped) => Some(wrapped),
        None => error.source(),
    }
}

fn credentials_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a CredentialsError> {
    causes(error).find_map(|error| error.downcast_ref())
}

/// Says in our words why a request got no answer. The text of a foreign error is never repeated: it may hold the request.
fn explain(error: &(dyn Error + 'static)) -> Option<String> {
    causes(error)
        .find_map(|error| {
            if let Some(hop) = error.downcast_ref::<HopError>() {
                return Some(hop.to_string());
            }
            if let Some(rustls::Error::InvalidCertificate(why)) = error.downcast_ref() {
                return Some(format!("TLS: invalid peer certificate: {}", certificate(why)));
            }
            if error.is::<rustls::Error>() {
                return Some("TLS: the handshake failed".to_owned());
            }
            error
                .downcast_ref::<io::Error>()
                .filter(|error| error.get_ref().is_none())
                .map(|error| error.kind().to_string())
        })
        .or_else(|| credentials_error(error).map(|error| credentials(error).to_owned()))
}

fn certificate(error: &rustls::CertificateError) -> &'static str {
    use rustls::CertificateError as Why;
    match error {
        Why::UnknownIssuer => "UnknownIssuer",
        Why::Expired | Why::ExpiredContext { .. } => "it has expired",
        Why::NotValidYet | Why::NotValidYetContext { .. } => "it is not valid yet",
        Why::NotValidForName | Why::NotValidForNameContext { .. } => "it is for another host",
        Why::Revoked => "it is revoked",
        _ => "it cannot be used",
    }
}

/// Says in our words why the SDK has no credentials of its own.
pub fn credentials(error: &CredentialsError) -> &'static str {
    match error {
        CredentialsError::CredentialsNotLoaded(_) => "the SDK found no credentials of its own",
        CredentialsError::ProviderTimedOut(_) => "the SDK's own credentials were not there in time",
        CredentialsError::InvalidConfiguration(_) => {
            "the SDK's own credentials cannot be read; are AWS_PROFILE and ~/.aws/config right?"
        }
        _ => "the SDK's own credentials could not be had; are AWS_PROFILE, ~/.aws/config and the login right?",
    }
}

pub(super) fn kind_of(code: Option<&str>, status: u16) -> Kind {
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
        | "InvalidAccessKeyId"
        | "InvalidClientTokenId"
        | "InvalidToken"
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

/// A hop that could not be walked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HopError {
    /// Its place in the chain, from 1; 0 = the SDK's own credentials, without any hop.
    pub number: usize,
    /// The manifest's name of the role.
    pub role: String,
    /// The role's ARN.
    pub arn: String,
    /// What went wrong.
    pub error: CallError,
    /// What to do about it.
    pub help: Vec<String>,
}

impl fmt::Display for HopError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.number {
            0 => f.write_str("the SDK's own credentials: ")?,
            number => write!(f, "hop {number} ({}, {}): ", self.role, self.arn)?,
        }
        if self.number == 1 && self.error.kind == Kind::Expired {
            f.write_str("the ID token has expired: ")?;
        }
        self.error.fmt(f)
    }
}

/// Whether ECS refuses to pass a role of another account, which it says without naming an action.
pub fn is_cross_account_pass(message: &str) -> bool {
    message.to_ascii_lowercase().contains("cross-account pass role")
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

    const CANARY: &str = "eyJhbGciOiJSUzI1NiJ9.canary.canary";

    #[derive(Debug)]
    struct Foreign;

    impl fmt::Display for Foreign {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "failed to apply endpoint to request `Request {{ body: SdkBody {{ {CANARY} }} }}`")
        }
    }

    impl Error for Foreign {}

    impl ProvideErrorMetadata for Foreign {
        fn meta(&self) -> &aws_smithy_types::error::ErrorMetadata {
            static NONE: std::sync::LazyLock<aws_smithy_types::error::ErrorMetadata> =
                std::sync::LazyLock::new(|| aws_smithy_types::error::ErrorMetadata::builder().build());
            &NONE
        }
    }

    #[test]
    fn no_variant_of_a_foreign_error_repeats_what_it_holds() {
        use aws_smithy_runtime_api::client::result::ConnectorError;
        use aws_smithy_types::body::SdkBody;

        let answer = || HttpResponse::new(400.try_into().expect("a status"), SdkBody::from(CANARY));
        let wrapped = || Box::new(io::Error::other(Foreign));
        let errors: Vec<(SdkError<Foreign, HttpResponse>, Kind)> = vec![
            (SdkError::construction_failure(Foreign), Kind::NotSent),
            (SdkError::timeout_error(Foreign), Kind::Unknown),
            (SdkError::dispatch_failure(ConnectorError::io(wrapped())), Kind::Unknown),
            (SdkError::dispatch_failure(ConnectorError::timeout(Foreign.into())), Kind::Unknown),
            (SdkError::dispatch_failure(ConnectorError::user(Foreign.into())), Kind::NotSent),
            (SdkError::dispatch_failure(ConnectorError::other(Foreign.into(), None)), Kind::Unknown),
            (
                SdkError::dispatch_failure(ConnectorError::other(
                    CredentialsError::invalid_configuration(Foreign).into(),
                    None,
                )),
                Kind::NotSent,
            ),
            (SdkError::response_error(Foreign, answer()), Kind::Unknown),
            (SdkError::service_error(Foreign, answer()), Kind::Refused),
        ];
        for (error, kind) in errors {
            let told = CallError::new("AssumeRoleWithWebIdentity", &error);
            assert!(!format!("{told} {told:?}").contains("canary"), "{told}");
            assert_eq!(told.kind, kind, "{told}");
        }
    }

    /// AWS's own words, which are repeated.
    #[derive(Debug)]
    struct Told(aws_smithy_types::error::ErrorMetadata);

    impl fmt::Display for Told {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("told")
        }
    }

    impl Error for Told {}

    impl ProvideErrorMetadata for Told {
        fn meta(&self) -> &aws_smithy_types::error::ErrorMetadata {
            &self.0
        }
    }

    #[test]
    fn what_aws_repeats_of_a_secret_is_taken_out_of_its_words() {
        use aws_smithy_types::body::SdkBody;

        secrets::hold("held-canary-of-a-session");
        let words = "the key held-canary-of-a-session is not valid";
        let told = Told(aws_smithy_types::error::ErrorMetadata::builder().code("X").message(words).build());
        let answer = HttpResponse::new(400.try_into().expect("a status"), SdkBody::empty());
        let error = CallError::new("AssumeRole", &SdkError::service_error(told, answer));
        assert_eq!(error.to_string(), "AssumeRole: X: the key [redacted] is not valid");
    }

    #[test]
    fn the_kind_of_a_lost_connection_is_told() {
        use aws_smithy_runtime_api::client::result::ConnectorError;

        let told = |error: io::Error| {
            let error: SdkError<Foreign, HttpResponse> = SdkError::dispatch_failure(ConnectorError::io(error.into()));
            CallError::new("GetCallerIdentity", &error).message
        };
        assert_eq!(told(io::ErrorKind::ConnectionReset.into()), "connection reset");
        let certificate = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        assert_eq!(told(io::Error::other(certificate)), "TLS: invalid peer certificate: UnknownIssuer");
    }
}
