//! Sends the trace of a run to an OpenTelemetry collector, as the standard variables say: by OTLP over HTTP, at the run's end.
//!
//! It listens like every observer: a collector that refuses or does not answer is a warning, and changes nothing.

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceContextExt, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue, StringValue, Value as OtelValue};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanExporter as _, SpanLinks};

use crate::base::secrets;
use crate::trace::{Attributes, Span, Trace, Value};
use crate::web::{Web, WebError};

/// The spans of one request, as OpenTelemetry's own processors have it.
const BATCH: usize = 512;
/// The variables with headers, which hold keys.
const HEADERS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"];
/// The variables with the collector's address.
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
/// The variables with the protocol.
const PROTOCOLS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"];
/// The one protocol that is spoken.
const PROTOCOL: &str = "http/protobuf";

/// Looks a variable up.
type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Where the trace of a run goes.
pub struct Exporter {
    exporter: SpanExporter,
    resource: Resource,
    parent: SpanContext,
    failure: Arc<Mutex<Option<WebError>>>,
}

impl Exporter {
    /// Reads the variables. `None` where they ask for no trace.
    ///
    /// # Errors
    /// A line that says why there will be no trace although one is asked for.
    pub fn read(variables: Variables<'_>, allow_http: bool) -> Result<Option<Self>, String> {
        let given = |name: &str| variables(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        let first = |names: [&'static str; 2]| names.into_iter().find_map(|name| Some((name, given(name)?)));
        let headers = first(HEADERS).map(|(_, headers)| headers);
        headers.iter().for_each(|headers| hold_headers(headers));
        let is = |name: &str, word: &str| given(name).is_some_and(|value| value.eq_ignore_ascii_case(word));
        if first(ENDPOINTS).is_none() || is("OTEL_SDK_DISABLED", "true") || is("OTEL_TRACES_EXPORTER", "none") {
            return Ok(None);
        }
        if let Some((name, protocol)) =
            first(PROTOCOLS).filter(|(_, protocol)| !protocol.eq_ignore_ascii_case(PROTOCOL))
        {
            return Err(format!(
                "otel: no trace is sent: {name} is `{protocol}`, and this program speaks {PROTOCOL}; set {} to that, and the \
                 address to the collector's port for HTTP, which is 4318",
                PROTOCOLS[0]
            ));
        }
        let parent = parent(variables);
        if parent.is_valid() && !parent.is_sampled() {
            return Ok(None);
        }
        // What is sent holds no secret unless a header does: inside a cluster collectors speak plain HTTP.
        let web =
            Web::new(allow_http || headers.is_none()).map_err(|error| format!("otel: no trace is sent: {error}"))?;
        let failure = Arc::default();
        let client = Client { web, failure: Arc::clone(&failure) };
        let exporter = SpanExporter::builder().with_http().with_protocol(Protocol::HttpBinary).with_http_client(client);
        let exporter = exporter.build().map_err(|error| format!("otel: no trace is sent: {error}"))?;
        Ok(Some(Self { exporter, resource: Resource::builder().build(), parent, failure }))
    }

    /// Sends a trace, for at most `limit`.
    ///
    /// # Errors
    /// A line that says why not all of it was sent.
    pub async fn send(mut self, trace: &Trace, limit: Duration) -> Result<(), String> {
        self.exporter.set_resource(&with_own(&self.resource, &trace.resource));
        let spans = spans(trace, &self.parent);
        let (all, mut sent) = (spans.len(), 0);
        let sending = async {
            for batch in spans.chunks(BATCH) {
                self.exporter.export(batch.to_vec()).await?;
                sent += batch.len();
            }
            Ok::<(), opentelemetry_sdk::error::OTelSdkError>(())
        };
        let failed = match tokio::time::timeout(limit, sending).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => {
                let ours = self.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
                ours.map_or_else(|| error.to_string(), |error| error.to_string())
            }
            Err(_) => WebError::Timeout(limit).to_string(),
        };
        let part =
            if sent > 0 { format!("only {sent} of {all} spans were sent") } else { "no trace was sent".to_owned() };
        Err(format!("otel: {part}: {failed}"))
    }
}

/// Holds the values of headers, as they are written and as they are sent.
fn hold_headers(headers: &str) {
    for (_, value) in headers.split(',').filter_map(|header| header.split_once('=')) {
        let sent = percent_encoding::percent_decode_str(value.trim()).decode_utf8_lossy();
        secrets::hold(value);
        secrets::hold(&sent);
        // `Bearer KEY`: the key alone is the secret, too.
        sent.split_whitespace().skip(1).for_each(secrets::hold);
    }
}

/// Reads the trace that this run is a part of: `TRACEPARENT` and `TRACESTATE`.
fn parent(variables: Variables<'_>) -> SpanContext {
    struct Environment<'a>(Vec<(&'a str, String)>);
    impl Extractor for Environment<'_> {
        fn get(&self, key: &str) -> Option<&str> {
            self.0.iter().find(|(name, _)| *name == key).map(|(_, value)| value.as_str())
        }

        fn keys(&self) -> Vec<&str> {
            self.0.iter().map(|(name, _)| *name).collect()
        }
    }
    let carried = ["traceparent", "tracestate"];
    let carried = carried.into_iter().filter_map(|name| Some((name, variables(&name.to_ascii_uppercase())?)));
    let context = TraceContextPropagator::new().extract(&Environment(carried.collect()));
    context.span().span_context().clone()
}

/// Adds what the run says of itself to what the variables say, which wins.
fn with_own(given: &Resource, own: &Attributes) -> Resource {
    let unnamed = |key: &str, value: &OtelValue| key == "service.name" && value.as_str().starts_with("unknown_service");
    let mut all: Vec<KeyValue> = vec![KeyValue::new("service.name", "roleout")];
    all.push(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
    all.extend(own.iter().map(|(name, value)| attribute(name, value)));
    let given = given.iter().filter(|(key, value)| !unnamed(key.as_str(), value));
    all.extend(given.map(|(key, value)| KeyValue::new(key.clone(), value.clone())));
    Resource::builder_empty().with_attributes(all).build()
}

fn attribute(name: &'static str, value: &Value) -> KeyValue {
    match value {
        Value::Text(text) => KeyValue::new(name, text.clone()),
        Value::Number(number) => KeyValue::new(name, *number),
        Value::Percent(percent) => KeyValue::new(name, *percent),
        Value::Flag(flag) => KeyValue::new(name, *flag),
        Value::Texts(texts) => {
            let texts: Vec<StringValue> = texts.iter().cloned().map(StringValue::from).collect();
            KeyValue::new(name, OtelValue::Array(texts.into()))
        }
    }
}

/// Makes the spans as the exporter takes them, below the span that this run is a part of.
fn spans(trace: &Trace, parent: &SpanContext) -> Vec<SpanData> {
    let (trace_id, state) = match parent.is_valid() {
        true => (parent.trace_id(), parent.trace_state().clone()),
        false => (TraceId::from_bytes(trace.id()), TraceState::default()),
    };
    let id = |span: &Span| SpanId::from_bytes(trace.span_id(span));
    let scope = InstrumentationScope::builder("roleout").with_version(env!("CARGO_PKG_VERSION")).build();
    let data = |span: &Span| SpanData {
        span_context: SpanContext::new(trace_id, id(span), TraceFlags::SAMPLED, false, state.clone()),
        parent_span_id: span.parent.map_or(parent.span_id(), |place| id(&trace.spans[place])),
        parent_span_is_remote: span.parent.is_none() && parent.is_valid(),
        span_kind: SpanKind::Internal,
        name: Cow::Owned(span.name.clone()),
        start_time: time(span.start),
        end_time: time(span.end),
        attributes: span.attributes.iter().map(|(name, value)| attribute(name, value)).collect(),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: span.error.as_ref().map_or(Status::Unset, |error| Status::error(error.clone())),
        instrumentation_scope: scope.clone(),
    };
    trace.spans.iter().map(data).collect()
}

fn time(at: Timestamp) -> SystemTime {
    at.into()
}

/// The exporter's way to the collector: this program's own connections.
struct Client {
    web: Web,
    failure: Arc<Mutex<Option<WebError>>>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}

/// For the exporter it may take as long as the whole trace, which has a limit of its own.
const ONE: Duration = Duration::from_secs(60);

impl HttpClient for Client {
    fn send_bytes<'a, 'b>(
        &'a self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let answer = self.web.post_bytes(&head.uri.to_string(), &head.headers, body.to_vec(), ONE).await;
            let failure = match &answer {
                Ok(answer) if answer.is_success() => None,
                Ok(answer) => Some(WebError::Status(answer.status)),
                Err(error) => Some(error.clone()),
            };
            *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = failure;
            let answer = answer?;
            let mut response = Response::builder().status(answer.status);
            if let Some(after) = answer.retry_after {
                response = response.header("retry-after", after.as_secs());
            }
            Ok(response.body(Bytes::from(answer.body))?)
        })
    }
}

#[cfg(test)]
mod tests;
