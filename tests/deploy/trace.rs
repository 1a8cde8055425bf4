//! The trace of a run, as a collector on this machine receives it.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Stdio;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::{Span, status::StatusCode};
use prost::Message;

use crate::harness::{Directory, manifest};
use crate::processes::{Server, roleout};

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// Answers one request with `status`, and returns its head and its body.
fn answered(listener: &TcpListener, status: &str) -> (String, Vec<u8>) {
    let (mut stream, _) = listener.accept().expect("a connection");
    let (mut bytes, mut part) = (Vec::new(), [0; 4096]);
    loop {
        let read = stream.read(&mut part).expect("a request");
        assert_ne!(read, 0, "the request broke off");
        bytes.extend_from_slice(&part[..read]);
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
        if bytes.len() - end - 4 == length.parse::<usize>().expect("a number") {
            write!(stream, "HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").expect("answered");
            return (head, bytes.split_off(end + 4));
        }
    }
}

fn text<'a>(attributes: &'a [KeyValue], name: &str) -> Option<&'a str> {
    let found = attributes.iter().find(|attribute| attribute.key == name)?;
    match &found.value {
        Some(AnyValue { value: Some(Value::StringValue(text)) }) => Some(text),
        _ => None,
    }
}

#[test]
fn a_collector_gets_the_trace_below_the_span_of_the_job_and_fails_nothing() {
    std::thread::scope(|scope| {
        scope.spawn(|| a_collector_gets_the_trace("trace", "200 OK", false));
        scope.spawn(|| a_collector_gets_the_trace("trace-refused", "401 Unauthorized", true));
    });
}

/// Deploys for a collector that answers with `status`.
fn a_collector_gets_the_trace(name: &str, status: &str, warned: bool) {
    let directory = Directory::new(name);
    let here = directory.0.as_path();
    fs_err::write(here.join("deploy.yaml"), manifest(2, 1, "").replace("s0:v2", "s0:v2-crash")).expect("written");
    let server = Server::start(here);
    let token = fs_err::read_to_string(here.join("token")).expect("a token");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let mut command = roleout(here);
    command.env("AWS_ENDPOINT_URL", server.url()).env("TOKEN", &token).arg("deploy");
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{}", listener.local_addr().expect("bound")));
    command.env("OTEL_EXPORTER_OTLP_HEADERS", "x-api-key=collector-secret-key").env("TRACEPARENT", PARENT);
    command.env("OTEL_RESOURCE_ATTRIBUTES", "team=shop").env("CI_PIPELINE_ID", "7").env("CI_JOB_NAME", "deploy");
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("starts");
    let (head, body) = answered(&listener, status);
    let output = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(11), "{said}");
    let warning = "warning: otel: no trace was sent: the answer was HTTP 401";
    assert_eq!(said.contains(warning), warned, "{said}");
    assert!(!said.contains("collector-secret-key"), "{said}");

    assert!(head.starts_with("post /v1/traces http/1.1\r\n"), "{head}");
    assert!(head.contains("\r\nx-api-key: collector-secret-key"), "{head}");
    assert!(head.contains("\r\ncontent-type: application/x-protobuf"), "{head}");
    let sent = ExportTraceServiceRequest::decode(body.as_slice()).expect("a trace");
    let resource = &sent.resource_spans[0].resource.as_ref().expect("a resource").attributes;
    let known = ["service.name", "team", "cicd.pipeline.run.id"].map(|name| text(resource, name));
    assert_eq!(known, [Some("roleout"), Some("shop"), Some("7")]);
    let spans: Vec<&Span> = sent.resource_spans[0].scope_spans.iter().flat_map(|scope| &scope.spans).collect();
    assert!(spans.iter().all(|span| hex(&span.trace_id) == "0af7651916cd43dd8448eb211c80319c"));
    let named = |name: &str| *spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("no span {name}"));
    let run = named("run");
    assert_eq!(hex(&run.parent_span_id), "b7ad6b7169203331");
    assert_eq!(text(&run.attributes, "cicd.pipeline.task.run.result"), Some("failure"));
    let rollout = named("rollout s0");
    let status = rollout.status.as_ref().expect("a status");
    assert_eq!((status.code, status.message.contains("exits with 1")), (StatusCode::Error as i32, true), "{status:?}");
    assert_eq!(text(&rollout.attributes, "error.type"), Some("rolled_back"));
    let wave = spans.iter().find(|span| span.span_id == rollout.parent_span_id).expect("its wave");
    assert_eq!((wave.name.starts_with("wave "), &wave.parent_span_id), (true, &run.span_id));
    for phase in ["register", "update", "deploy"] {
        let parent = &named(phase).parent_span_id;
        assert!(spans.iter().any(|span| span.name == "rollout s0" && span.span_id == *parent), "{phase}");
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
