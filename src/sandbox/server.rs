//! The other face: a loopback HTTP server, for the aws CLI, boto3 or any other client of AWS.

use std::future::Future;
use std::io;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::Response;
use tokio::net::TcpListener;

use crate::sandbox::Sandbox;
use crate::sandbox::protocol::CBOR;
use crate::sandbox::wire::{Answer, Fate, Request};

impl Sandbox {
    /// Serves STS, ECS and the issuer's key set on the listener until `shutdown` is done.
    ///
    /// Clients use it as the endpoint of every service and region. An account's static credentials are the access key
    /// id [`Sandbox::access_key`] (or the bare account id) and the secret [`super::SECRET`].
    ///
    /// # Errors
    /// The listener's.
    pub async fn serve(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        let app = axum::Router::new().fallback(move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| {
            let sandbox = self.clone();
            async move {
                match sandbox.carry(&read(&method, &uri, &headers, &body)).await {
                    Fate::Answered(answer) => response(answer),
                    Fate::Truncated(answer) => truncated(answer),
                    Fate::Silent => std::future::pending().await,
                    Fate::Reset => broken(),
                }
            }
        });
        axum::serve(listener, app).with_graceful_shutdown(shutdown).await
    }
}

fn read(method: &Method, uri: &Uri, headers: &HeaderMap, body: &Bytes) -> Request {
    let text = |value: &axum::http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    Request {
        method: method.to_string(),
        path: uri.path().to_owned(),
        query: uri.query().unwrap_or_default().to_owned(),
        headers: headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect(),
        body: body.to_vec(),
    }
}

fn response(answer: Answer) -> Response {
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    if answer.content_type == CBOR {
        headers.insert("smithy-protocol", axum::http::HeaderValue::from_static("rpc-v2-cbor"));
    }
    headers.insert("content-type", axum::http::HeaderValue::from_static(answer.content_type));
    if let Ok(id) = answer.request_id.parse() {
        headers.insert("x-amzn-requestid", id);
    }
    for (name, value) in answer.headers {
        if let Ok(value) = value.parse() {
            headers.insert(name, value);
        }
    }
    response
}

/// An answer whose body fails at once, so that hyper closes the connection under the client.
fn broken() -> Response {
    let error = io::Error::new(io::ErrorKind::ConnectionReset, "connection reset by the sandbox");
    Response::new(Body::from_stream(futures::stream::once(std::future::ready(Err::<Bytes, _>(error)))))
}

/// The first half of an answer, after which hyper closes the connection under the client.
fn truncated(answer: Answer) -> Response {
    let half = Bytes::copy_from_slice(&answer.body[..answer.body.len() / 2]);
    let error = io::Error::new(io::ErrorKind::ConnectionReset, "connection reset by the sandbox");
    let parts = futures::stream::iter([Ok(half), Err(error)]);
    response(Answer { body: Vec::new(), ..answer }).map(|_| Body::from_stream(parts))
}
