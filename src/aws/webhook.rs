//! Posts JSON to a URL that is not AWS's, by the same HTTP stack: TLS, proxies and `AWS_CA_BUNDLE` as everywhere.

use std::sync::Arc;
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorSettings};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use serde_json::Value;

use super::connector;
use crate::error::Error;

/// Why nothing was posted. It never names the URL, which is a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PostError {
    /// The text is no URL.
    #[error("it holds no http:// or https:// URL")]
    Url,
    /// There was no answer in time.
    #[error("no answer within {}", humantime::format_duration(*.0))]
    Timeout(Duration),
    /// The other side cannot be reached.
    #[error("the other side cannot be reached")]
    Unreachable,
    /// The other side refused.
    #[error("the answer was HTTP {0}")]
    Status(u16),
}

/// Sends what is posted.
#[derive(Clone, Debug)]
pub struct Poster {
    connector: Arc<aws_smithy_http_client::Connector>,
}

impl Poster {
    /// Makes a client.
    ///
    /// # Errors
    /// `AWS_CA_BUNDLE` cannot be read.
    pub fn new() -> Result<Self, Error> {
        let settings = HttpConnectorSettings::builder().connect_timeout(super::CONNECT_TIMEOUT).build();
        Ok(Self { connector: Arc::new(connector(&super::tls()?, Some(settings), None)) })
    }

    /// Posts a body once, and waits for an answer of 200 to 299, for `limit` at the most.
    ///
    /// # Errors
    /// See [`PostError`].
    pub async fn post(&self, url: &str, body: &Value, limit: Duration) -> Result<(), PostError> {
        let request = request(url, body).ok_or(PostError::Url)?;
        match tokio::time::timeout(limit, self.connector.call(request)).await {
            Err(_) => Err(PostError::Timeout(limit)),
            Ok(Err(_)) => Err(PostError::Unreachable),
            Ok(Ok(answer)) if answer.status().is_success() => Ok(()),
            Ok(Ok(answer)) => Err(PostError::Status(answer.status().as_u16())),
        }
    }
}

fn request(url: &str, body: &Value) -> Option<HttpRequest> {
    let url = url.trim();
    let scheme = ["https://", "http://"].iter().find(|scheme| url.starts_with(**scheme))?;
    let host = url[scheme.len()..].split(['/', '?']).next().filter(|host| !host.is_empty() && !host.contains('@'))?;
    let bytes = body.to_string().into_bytes();
    let mut request = HttpRequest::new(SdkBody::empty());
    request.set_method("POST").ok()?;
    request.set_uri(url).ok()?;
    let headers = request.headers_mut();
    headers.try_insert("host", host.to_owned()).ok()?;
    headers.insert("content-type", "application/json");
    headers.insert("content-length", bytes.len().to_string());
    headers.insert("user-agent", concat!("roleout/", env!("CARGO_PKG_VERSION")));
    *request.body_mut() = SdkBody::from(bytes);
    Some(request)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_urls_are_posted_to() {
        let host = |url: &str| request(url, &json!({}))?.headers().get("host").map(str::to_owned);
        assert_eq!(host("https://hooks.example.com:8443/T0/B0?x=1\n").as_deref(), Some("hooks.example.com:8443"));
        for url in ["", "hooks.example.com/x", "ftp://a/b", "https://", "https:///x", "https://a b/", "https://u:p@h/"]
        {
            assert_eq!(host(url), None, "{url}");
        }
    }
}
