use std::time::Duration;

use super::*;

fn known<'a>(variables: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<String> + 'a {
    |name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
}

fn read(variables: &[(&str, &str)]) -> Result<Option<Exporter>, String> {
    Exporter::read(&known(variables), false)
}

const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318");
const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[test]
fn a_trace_is_asked_for_by_the_address_and_by_nothing_else() {
    let asks = |variables: &[(&str, &str)]| read(variables).expect("no fault").is_some();
    assert!(!asks(&[]) && !asks(&[("OTEL_SERVICE_NAME", "deploys")]) && !asks(&[(ENDPOINT.0, " ")]));
    assert!(asks(&[ENDPOINT]) && asks(&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://127.0.0.1:4318/v1/traces")]));
    assert!(!asks(&[ENDPOINT, ("OTEL_SDK_DISABLED", "TRUE")]) && asks(&[ENDPOINT, ("OTEL_SDK_DISABLED", "no")]));
    assert!(
        !asks(&[ENDPOINT, ("OTEL_TRACES_EXPORTER", "none")]) && asks(&[ENDPOINT, ("OTEL_TRACES_EXPORTER", "otlp")])
    );
    assert!(asks(&[ENDPOINT, ("TRACEPARENT", PARENT)]));
    assert!(!asks(&[ENDPOINT, ("TRACEPARENT", &PARENT.replace("-01", "-00"))]), "its parent is not sampled");
}

#[test]
fn a_protocol_that_is_not_spoken_is_said() {
    let refused = read(&[ENDPOINT, ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]).err().expect("a warning");
    assert!(
        refused.contains("OTEL_EXPORTER_OTLP_PROTOCOL is `grpc`") && refused.contains("http/protobuf"),
        "{refused}"
    );
    let own = [ENDPOINT, ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"), ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", PROTOCOL)];
    assert!(read(&own).expect("no fault").is_some());
}

#[test]
fn the_values_of_headers_are_secrets() {
    secrets::within(|| {
        hold_headers("api-key=first-secret-key, authorization=Bearer%20second-secret-key,x=short");
        for text in ["first-secret-key", "Bearer%20second-secret-key", "Bearer second-secret-key", "second-secret-key"]
        {
            assert!(!secrets::scrub(&format!("a {text} b")).contains("secret-key"), "{text}");
        }
        assert_eq!(secrets::scrub("short"), "short");
    });
}

#[test]
fn a_run_goes_on_with_the_trace_of_its_parent() {
    let trace = Trace::default();
    let alone = parent(&known(&[]));
    let (wrong, state) = (parent(&known(&[("TRACEPARENT", "00-no-trace-01")])), ("TRACESTATE", "vendor=1"));
    assert!(!alone.is_valid() && !wrong.is_valid());
    let ours = parent(&known(&[("TRACEPARENT", PARENT), state]));
    assert_eq!(ours.trace_id().to_string(), "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(
        (ours.span_id().to_string(), ours.trace_state().header()),
        ("b7ad6b7169203331".into(), "vendor=1".into())
    );
    assert!(spans(&trace, &ours).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_collector_that_never_answers_is_a_line_after_the_limit() {
    let server = crate::web::pretended::Server::new(|_, _| crate::web::pretended::Fate::Silent);
    let failure = Arc::default();
    let client = Client { web: server.web(), failure: Arc::clone(&failure) };
    let exporter = SpanExporter::builder().with_http().with_endpoint("http://127.0.0.1:1/v1/traces");
    let exporter = exporter.with_http_client(client).build().expect("an exporter");
    let (resource, parent) = (Resource::builder_empty().build(), SpanContext::NONE);
    let exporter = Exporter { exporter, resource, parent, failure };
    let at = Timestamp::default();
    let (name, path) = ("run".to_owned(), "run".to_owned());
    let span = Span { name, path, parent: None, start: at, end: at, attributes: Attributes::default(), error: None };
    let mut trace = Trace::default();
    trace.spans.push(span);
    let said = exporter.send(&trace, Duration::from_secs(5)).await.expect_err("no answer");
    assert_eq!(said, "otel: no trace was sent: no answer within 5s");
}
