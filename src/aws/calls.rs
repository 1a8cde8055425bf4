//! One line for each attempt at a call to AWS: which, where, how long, what came of it, and AWS's request id.
//!
//! The line is an event of `tracing`: without a subscriber it costs a look at one number. It holds no header but the request
//! id, and of an answer nothing but the code of its error.

use std::sync::atomic::{AtomicBool, Ordering};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeTransmitInterceptorContextRef, FinalizerInterceptorContextRef,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpResponse, Metadata};
use aws_smithy_runtime_api::client::retries::RequestAttempts;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::{ConfigBag, Storable, StoreReplace};
use aws_types::request_id::RequestId;
use tokio::time::Instant;
use tracing::Level;

use crate::aws::error::{Kind, kind_of};
use crate::aws::protocol;

/// The target of the lines, by which `ROLEOUT_LOG` selects them.
pub const TARGET: &str = "roleout::calls";

/// A filter that shows these lines and what the SDK does for them.
pub const FILTER_EXAMPLE: &str = "roleout=debug,aws_smithy_runtime=debug";

/// The part of the SDK that logs whole profiles, with the external ids in them, at levels above `trace`.
pub const PROFILES: &str = "aws_config::profile";

/// Writes the lines of the calls in one account and region. It is an interceptor of their client.
#[derive(Clone, Debug)]
pub struct CallLog {
    account: String,
    region: String,
}

impl CallLog {
    /// Makes that of an account, by its id, and a region.
    pub fn new(account: &str, region: &str) -> Self {
        Self { account: account.to_owned(), region: region.to_owned() }
    }
}

#[aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint]
impl Intercept for CallLog {
    fn name(&self) -> &'static str {
        "CallLog"
    }

    fn read_before_transmit(
        &self,
        _context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if tracing::enabled!(target: TARGET, Level::DEBUG) {
            let sent = Sent::new(self, config);
            config.interceptor_state().store_put(sent);
        }
        Ok(())
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let Some(sent) = config.load::<Sent>() else { return Ok(()) };
        let result = context.output_or_error();
        let outcome = match (context.response(), result) {
            (Some(answer), Some(Err(error))) if error.is_operation_error() => refusal(answer),
            (Some(_), Some(Ok(_))) => "ok".to_owned(),
            (Some(_), _) => "an answer that cannot be read".to_owned(),
            (None, Some(Err(error))) if error.is_timeout_error() => "no answer in time".to_owned(),
            // Another interceptor kept it from the wire.
            (None, Some(Err(error))) if error.is_interceptor_error() => {
                sent.is_told.store(true, Ordering::Relaxed);
                return Ok(());
            }
            (None, _) => "no answer".to_owned(),
        };
        sent.write_line(&outcome, context.response().and_then(|answer| answer.request_id()));
        Ok(())
    }
}

/// Which attempt at its call it is, from 1, where the SDK repeats nothing and its caller does.
#[derive(Clone, Copy, Debug)]
pub struct Attempt(pub u32);

impl Storable for Attempt {
    type Storer = StoreReplace<Self>;
}

/// An attempt that is on the wire. Whoever drops it before its end has given it up.
#[derive(Debug)]
struct Sent {
    place: CallLog,
    service: String,
    operation: String,
    attempt: u32,
    since: Instant,
    is_told: AtomicBool,
}

impl Storable for Sent {
    type Storer = StoreReplace<Self>;
}

impl Sent {
    fn new(place: &CallLog, config: &ConfigBag) -> Self {
        let (service, operation) = config
            .load::<Metadata>()
            .map(|call| (call.service().to_owned(), call.name().to_owned()))
            .unwrap_or_default();
        let attempts = config.load::<RequestAttempts>().map_or(1, RequestAttempts::attempts);
        let attempt = config.load::<Attempt>().map_or(attempts, |Attempt(number)| *number);
        let (since, is_told) = (Instant::now(), AtomicBool::new(false));
        Self { place: place.clone(), service, operation, attempt, since, is_told }
    }

    /// Writes its line, once.
    fn write_line(&self, outcome: &str, request_id: Option<&str>) {
        if self.is_told.swap(true, Ordering::Relaxed) {
            return;
        }
        let Self { place: CallLog { account, region }, service, operation, attempt, since, .. } = self;
        let ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
        let (account, request_id) = (if account.is_empty() { "-" } else { account }, request_id.unwrap_or("-"));
        tracing::debug!(
            target: TARGET,
            "{service} {operation} account={account} region={region} ms={ms} attempt={attempt} outcome={outcome:?} \
             request_id={request_id}"
        );
    }
}

impl Drop for Sent {
    fn drop(&mut self) {
        self.write_line("given up", None);
    }
}

/// Returns the code of the error that an answer holds, and whether AWS throttled the call.
fn refusal(answer: &HttpResponse) -> String {
    let status = answer.status().as_u16();
    let refusal = protocol::refusal(answer);
    match refusal.as_ref().and_then(|error| error.code()).filter(|code| is_code(code)) {
        Some(code) if kind_of(Some(code), status) == Kind::Throttled => format!("throttled: {code}"),
        Some(code) => code.to_owned(),
        None => format!("HTTP {status}"),
    }
}

/// Whether a text has the form of a code: a proxy can answer anything.
fn is_code(text: &str) -> bool {
    text.len() <= 100 && text.chars().all(|char| char.is_ascii_alphanumeric() || ".-_".contains(char))
}

#[cfg(test)]
mod tests {
    use aws_smithy_types::body::SdkBody;

    use super::*;

    #[test]
    fn the_code_is_found_in_every_protocol_and_nothing_else_is_repeated() {
        let answer = |headers: &[(&'static str, &'static str)], body: &'static str| {
            let mut answer = HttpResponse::new(400.try_into().expect("a status"), SdkBody::from(body));
            headers.iter().for_each(|(name, value)| drop(answer.headers_mut().insert(*name, *value)));
            refusal(&answer)
        };
        for (name, headers, body, wanted) in [
            ("json", &[][..], r#"{"__type":"com.amazonaws.ecs#ClientException","message":"m"}"#, "ClientException"),
            ("header", &[("x-amzn-errortype", "NotFound:http://x/")], "", "NotFound"),
            ("query", &[("x-amzn-query-error", "ResourceNotFound;Sender")], "", "ResourceNotFound"),
            (
                "xml",
                &[],
                "<ErrorResponse><Error><Code>Throttling</Code></Error></ErrorResponse>",
                "throttled: Throttling",
            ),
            ("a page", &[], "<html>a proxy</html>", "HTTP 400"),
            ("a sentence", &[], r#"{"__type":"the token is abc"}"#, "HTTP 400"),
        ] {
            assert_eq!(answer(headers, body), wanted, "{name}");
        }
    }
}
