//! The in-process face: the AWS SDK's own HTTP client, answered by the sandbox after its latency.

use std::fmt;
use std::io;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::DateTime;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::date_time::Format;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Bytes, Frame};
use jiff::Timestamp;

use crate::sandbox::Sandbox;
use crate::sandbox::protocol::CBOR;
use crate::sandbox::wire::{Answer, Fate, Request};

/// The connector; also its own client, since it has no settings.
#[derive(Clone)]
struct InProcess(Sandbox);

impl fmt::Debug for InProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InProcess")
    }
}

impl Sandbox {
    /// Returns the HTTP client that leads here, for every AWS SDK client of the process.
    pub fn http_client(&self) -> SharedHttpClient {
        SharedHttpClient::new(InProcess(self.clone()))
    }
}

impl Sandbox {
    /// Returns what leads here whatever host is asked, for servers that are not AWS's.
    pub fn connector(&self) -> SharedHttpConnector {
        SharedHttpConnector::new(InProcess(self.clone()))
    }
}

impl HttpClient for InProcess {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for InProcess {
    fn call(&self, mut request: HttpRequest) -> HttpConnectorFuture {
        let sandbox = self.0.clone();
        let body = request.take_body();
        let mut request = read(&request);
        HttpConnectorFuture::new(async move {
            // To its end, as a connection does: the SDK takes a body that nobody reads for an upload that stalls.
            let body = body.collect().await.map_err(ConnectorError::user)?;
            request.body = body.to_bytes().to_vec();
            let carried = sandbox.carry(&request).await;
            let now = sandbox.clock().timestamp();
            match carried {
                Fate::Answered(answer) => response(answer, now),
                Fate::Truncated(answer) => response(answer, now).map(|response| response.map(truncated)),
                Fate::Silent => std::future::pending().await,
                Fate::Reset => Err(ConnectorError::io("connection reset by peer".into())),
            }
        })
    }
}

fn read(request: &HttpRequest) -> Request {
    let uri = request.uri();
    let rest = uri.split_once("://").map_or(uri, |(_, rest)| rest);
    let (host, path_and_query) = match rest.find(['/', '?']) {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
    let mut headers: std::collections::BTreeMap<String, String> =
        request.headers().iter().map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
    // The SDK signs the host and leaves writing it to the HTTP stack.
    headers.entry("host".to_owned()).or_insert_with(|| host.to_owned());
    Request {
        method: request.method().to_owned(),
        path: if path.is_empty() { "/".to_owned() } else { path.to_owned() },
        query: query.to_owned(),
        headers,
        body: Vec::new(),
    }
}

fn response(answer: Answer, now: Timestamp) -> Result<HttpResponse, ConnectorError> {
    let status = StatusCode::try_from(answer.status).map_err(|error| ConnectorError::other(error.into(), None))?;
    let mut response = HttpResponse::new(status, SdkBody::from(answer.body));
    let headers = response.headers_mut();
    if answer.content_type == CBOR {
        headers.insert("smithy-protocol", "rpc-v2-cbor");
    }
    headers.insert("content-type", answer.content_type);
    // As every server's: the SDK signs by the time that it shows.
    headers.insert("date", DateTime::from_secs(now.as_second()).fmt(Format::HttpDate).unwrap_or_default());
    headers.insert("x-amzn-requestid", answer.request_id);
    answer.headers.into_iter().for_each(|(name, value)| drop(headers.insert(name, value)));
    Ok(response)
}

/// The first half of a body, and then what a client reads where the connection breaks.
fn truncated(body: SdkBody) -> SdkBody {
    let bytes = body.bytes().unwrap_or_default();
    let half = Bytes::copy_from_slice(&bytes[..bytes.len() / 2]);
    let error = io::Error::new(io::ErrorKind::UnexpectedEof, "connection closed before message completed");
    let parts = [Ok(Frame::data(half)), Err(error)];
    SdkBody::from_body_1_x(StreamBody::new(futures::stream::iter(parts)))
}
