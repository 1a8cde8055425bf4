//! Sends JSON to servers that are not AWS's, by the same HTTP stack: TLS, proxies and `AWS_CA_BUNDLE` as everywhere.
//!
//! One request, one answer: what a status means, and whether to ask again, is for who asks. Redirects are answers.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{HttpConnector, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::aws::settings::is_loopback;
use crate::aws::{Aws, connector_of_others};
use crate::base::error::Error;
use crate::base::secrets;

/// The longest answer that is read to bytes that were posted: a few words.
#[cfg(feature = "otel")]
const LONGEST_REPLY: usize = 64 << 10;

/// Why there is no answer. It never names the URL, which may be a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WebError {
    /// The text is no URL.
    #[error("it holds no http:// or https:// URL")]
    Url,
    /// The network could read what is sent.
    #[error("it is a URL of plain http, which the network can read: write https://, or allow it with --allow-http")]
    Plain,
    /// There was no answer in time.
    #[error("no answer within {}", humantime::format_duration(*.0))]
    Timeout(Duration),
    /// The other side cannot be reached.
    #[error("the other side cannot be reached")]
    Unreachable,
    /// The other side refused.
    #[error("the answer was HTTP {0}")]
    Status(u16),
    /// The answer broke off.
    #[error("the answer is cut off")]
    Broken,
    /// A header holds what no header can.
    #[error("a header of it is not text of one line")]
    Header,
    /// The answer is longer than any that is expected, in bytes.
    #[error("the answer is longer than {} KiB", .0 >> 10)]
    TooLong(usize),
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// To read.
    Get,
    /// To make something new.
    Post,
    /// To change what there is.
    Put,
}

impl Method {
    fn word(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
        }
    }
}

/// A request.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// What is asked for.
    pub method: Method,
    /// Where.
    pub url: &'a str,
    /// A header that holds a secret, and its lower-case name.
    pub secret: Option<(&'static str, &'a SecretString)>,
    /// What is sent.
    pub body: Option<&'a Value>,
    /// The longest answer that is read, in bytes.
    pub longest: usize,
}

/// An answer, of whatever status.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// `Retry-After`, where it is a number of seconds.
    pub retry_after: Option<Duration>,
    /// `X-Next-Page`: the number of the next page of a list, where there is one.
    pub next_page: Option<String>,
    /// What was sent back.
    pub body: Vec<u8>,
}

impl Answer {
    /// Whether the status is one of 200 to 299.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Reads what was sent back as JSON of a certain shape; all else in it is skipped and takes no memory.
    pub fn read<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(&self.body).ok()
    }
}

/// Sends requests.
#[derive(Clone, Debug)]
pub struct Web {
    connector: SharedHttpConnector,
    allow_http: bool,
}

impl Web {
    /// Makes a client. Plain HTTP is sent to this machine, and to others where `allow_http` says so.
    ///
    /// # Errors
    /// `AWS_CA_BUNDLE` cannot be read.
    pub fn new(allow_http: bool) -> Result<Self, Error> {
        Ok(Self { connector: connector_of_others()?, allow_http })
    }

    /// Makes a client that reaches other servers as a connection to AWS does.
    ///
    /// # Errors
    /// `AWS_CA_BUNDLE` cannot be read.
    pub fn beside(aws: &Aws) -> Result<Self, Error> {
        Ok(Self { connector: aws.others()?, allow_http: aws.allows_http() })
    }

    /// Makes a request to where it may go.
    fn request(&self, asked: Request<'_>) -> Result<HttpRequest, WebError> {
        let request = request(asked).ok_or(WebError::Url)?;
        let uri: http::Uri = request.uri().parse().map_err(|_| WebError::Url)?;
        let plain = uri.scheme_str() == Some("http") && !uri.host().is_some_and(is_loopback);
        if plain && !self.allow_http { Err(WebError::Plain) } else { Ok(request) }
    }

    /// Sends a request once, and waits for the answer, for at most `limit`.
    ///
    /// # Errors
    /// There was no answer: see [`WebError`].
    pub async fn send(&self, asked: Request<'_>, limit: Duration) -> Result<Answer, WebError> {
        let request = self.request(asked)?;
        let answer = async { read(self.head(request).await?, asked.longest).await };
        tokio::time::timeout(limit, answer).await.unwrap_or(Err(WebError::Timeout(limit)))
    }

    /// Does as [`Self::send`] does, asks for the forms in `accept`, and returns the headers, too, by their lower-case names.
    ///
    /// # Errors
    /// There was no answer: see [`WebError`].
    pub async fn fetch(
        &self,
        asked: Request<'_>,
        accept: &str,
        limit: Duration,
    ) -> Result<(Answer, BTreeMap<String, String>), WebError> {
        let mut request = self.request(asked)?;
        request.headers_mut().insert("accept", accept.to_owned());
        let answer = async {
            let answer = self.head(request).await?;
            let headers = answer.headers().iter().map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()));
            let headers = headers.collect();
            Ok((read(answer, asked.longest).await?, headers))
        };
        tokio::time::timeout(limit, answer).await.unwrap_or(Err(WebError::Timeout(limit)))
    }

    /// Posts a body once, with the value of `Authorization` where there is one, and waits for an answer of 200 to 299, for at most `limit`. What else is in it does not count.
    ///
    /// # Errors
    /// See [`WebError`].
    pub async fn post(
        &self,
        url: &str,
        key: Option<&SecretString>,
        body: &Value,
        limit: Duration,
    ) -> Result<(), WebError> {
        let secret = key.map(|key| ("authorization", key));
        let asked = Request { method: Method::Post, url, secret, body: Some(body), longest: 0 };
        let request = self.request(asked)?;
        let answer = tokio::time::timeout(limit, self.head(request)).await;
        match answer.unwrap_or(Err(WebError::Timeout(limit)))?.status() {
            status if status.is_success() => Ok(()),
            status => Err(WebError::Status(status.as_u16())),
        }
    }

    /// Posts bytes that are no JSON, with the headers that say what they are and who sends them, and waits for an answer of
    /// whatever status, for at most `limit`.
    ///
    /// # Errors
    /// There was no answer: see [`WebError`].
    #[cfg(feature = "otel")]
    pub async fn post_bytes(
        &self,
        url: &str,
        headers: &http::HeaderMap,
        body: Vec<u8>,
        limit: Duration,
    ) -> Result<Answer, WebError> {
        let asked = Request { method: Method::Post, url, secret: None, body: None, longest: LONGEST_REPLY };
        let mut request = self.request(asked)?;
        for (name, value) in headers {
            let value = value.to_str().map_err(|_| WebError::Header)?;
            request
                .headers_mut()
                .try_insert(name.as_str().to_owned(), value.to_owned())
                .map_err(|_| WebError::Header)?;
        }
        request.headers_mut().insert("content-length", body.len().to_string());
        *request.body_mut() = SdkBody::from(body);
        let answer = async { read(self.head(request).await?, asked.longest).await };
        tokio::time::timeout(limit, answer).await.unwrap_or(Err(WebError::Timeout(limit)))
    }

    async fn head(&self, request: HttpRequest) -> Result<HttpResponse, WebError> {
        self.connector.call(request).await.map_err(|_| WebError::Unreachable)
    }
}

fn request(asked: Request<'_>) -> Option<HttpRequest> {
    let url = asked.url.trim();
    let scheme = ["https://", "http://"].iter().find(|scheme| url.starts_with(**scheme))?;
    let host = url[scheme.len()..].split(['/', '?']).next().filter(|host| !host.is_empty() && !host.contains('@'))?;
    let mut request = HttpRequest::new(SdkBody::empty());
    request.set_method(asked.method.word()).ok()?;
    request.set_uri(url).ok()?;
    let headers = request.headers_mut();
    headers.try_insert("host", host.to_owned()).ok()?;
    headers.insert("accept", "application/json");
    headers.insert("user-agent", concat!("roleout/", env!("CARGO_PKG_VERSION")));
    if let Some((name, secret)) = asked.secret {
        headers.try_insert(name, secret.expose_secret().trim().to_owned()).ok()?;
    }
    if let Some(body) = asked.body {
        let bytes = secrets::scrub(&body.to_string()).into_owned().into_bytes();
        headers.insert("content-type", "application/json");
        headers.insert("content-length", bytes.len().to_string());
        *request.body_mut() = SdkBody::from(bytes);
    }
    Some(request)
}

async fn read(answer: HttpResponse, longest: usize) -> Result<Answer, WebError> {
    let header = |name: &str| answer.headers().get(name).map(str::trim).filter(|value| !value.is_empty());
    let read = Answer {
        status: answer.status().as_u16(),
        retry_after: header("retry-after").and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs),
        next_page: header("x-next-page").map(str::to_owned),
        body: Vec::new(),
    };
    let mut stream = ByteStream::new(answer.into_body());
    let mut body = Vec::new();
    while let Some(part) = stream.next().await {
        let part = part.map_err(|_| WebError::Broken)?;
        if body.len() + part.len() > longest {
            return Err(WebError::TooLong(longest));
        }
        body.extend_from_slice(&part);
    }
    Ok(Answer { body, ..read })
}

#[cfg(test)]
pub mod pretended {
    //! A server in the process, so that tests of what asks it have the paused clock.

    use std::fmt;
    use std::sync::{Arc, Mutex};

    use aws_smithy_runtime_api::client::http::HttpConnectorFuture;
    use aws_smithy_runtime_api::client::result::ConnectorError;
    use serde_json::json;

    use super::*;

    /// A request that arrived.
    #[derive(Clone, Debug, PartialEq)]
    pub struct Arrived {
        /// `GET https://…`
        pub line: String,
        /// The names and values of the headers that hold tokens.
        pub tokens: Vec<(String, String)>,
        /// What was sent.
        pub body: Value,
    }

    /// What the server does about a request.
    #[derive(Clone, Debug)]
    pub enum Fate {
        /// It answers, after a time.
        Answer(Duration, u16, Value),
        /// It answers with a header.
        With(u16, &'static str, &'static str, Value),
        /// It closes the connection.
        Reset,
        /// It never answers.
        Silent,
    }

    impl Fate {
        /// An answer at once.
        pub fn answering(status: u16, body: Value) -> Self {
            Self::Answer(Duration::ZERO, status, body)
        }
    }

    type Rule = Box<dyn Fn(&Arrived, usize) -> Fate + Send + Sync>;

    /// The server: a rule, which gets each request and how many there were before, and what arrived.
    #[derive(Clone)]
    pub struct Server {
        rule: Arc<Rule>,
        arrived: Arc<Mutex<Vec<Arrived>>>,
    }

    impl fmt::Debug for Server {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("Server")
        }
    }

    impl Server {
        /// Starts one.
        pub fn new(rule: impl Fn(&Arrived, usize) -> Fate + Send + Sync + 'static) -> Self {
            Self { rule: Arc::new(Box::new(rule)), arrived: Arc::default() }
        }

        /// Returns a client of it.
        pub fn web(&self) -> Web {
            Web { connector: SharedHttpConnector::new(self.clone()), allow_http: false }
        }

        /// Returns what arrived so far.
        pub fn arrived(&self) -> Vec<Arrived> {
            self.arrived.lock().expect("no panic holds it").clone()
        }
    }

    impl HttpConnector for Server {
        fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
            let headers =
                request.headers().iter().filter(|(name, _)| name.contains("token") || *name == "authorization");
            let arrived = Arrived {
                line: format!("{} {}", request.method(), request.uri()),
                tokens: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
                body: request.body().bytes().and_then(|bytes| serde_json::from_slice(bytes).ok()).unwrap_or_default(),
            };
            let mut before = self.arrived.lock().expect("no panic holds it");
            let fate = (self.rule)(&arrived, before.len());
            before.push(arrived);
            HttpConnectorFuture::new(async move {
                let answer = |status: u16, body: &Value| {
                    let status = status.try_into().expect("a status");
                    HttpResponse::new(status, SdkBody::from(body.to_string()))
                };
                match fate {
                    Fate::Answer(after, status, body) => {
                        tokio::time::sleep(after).await;
                        Ok(answer(status, &body))
                    }
                    Fate::With(status, name, value, body) => {
                        let mut answer = answer(status, &body);
                        answer.headers_mut().insert(name, value);
                        Ok(answer)
                    }
                    Fate::Reset => Err(ConnectorError::io("connection reset by peer".into())),
                    Fate::Silent => std::future::pending().await,
                }
            })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn plain_http_stays_on_this_machine() {
        let web = Server::new(|_, _| Fate::answering(200, json!({}))).web();
        let send = async |web: &Web, url: &str| {
            let asked = Request { method: Method::Get, url, secret: None, body: None, longest: 1 << 10 };
            let posted = web.post(url, None, &json!({}), Duration::from_secs(1)).await;
            web.send(asked, Duration::from_secs(1)).await.and(posted)
        };
        for url in ["https://gitlab.example.com/x", "http://localhost/x", "http://127.0.0.2:1/x", "http://[::1]:1/x"] {
            assert_eq!(send(&web, url).await, Ok(()), "{url}");
        }
        for url in ["http://gitlab.example.com/x", "http://10.0.0.1/x", "http://localhost.example/x"] {
            assert_eq!(send(&web, url).await, Err(WebError::Plain), "{url}");
            assert_eq!(send(&Web { allow_http: true, ..web.clone() }, url).await, Ok(()), "{url}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn no_redirect_is_followed() {
        let away = || Fate::With(307, "location", "https://elsewhere.example/x", json!({}));
        let server = Server::new(move |_, _| away());
        let (web, url, limit) = (server.web(), "https://gitlab.example.com/x", Duration::from_secs(1));
        let token = SecretString::from("glpat-secret");
        let asked =
            Request { method: Method::Get, url, secret: Some(("private-token", &token)), body: None, longest: 1 << 10 };
        assert_eq!(web.send(asked, limit).await.expect("an answer").status, 307);
        assert_eq!(web.post(url, None, &json!({}), limit).await, Err(WebError::Status(307)));
        let lines: Vec<String> = server.arrived().into_iter().map(|arrived| arrived.line).collect();
        assert_eq!(lines, [format!("GET {url}"), format!("POST {url}")]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_read_whatever_its_status() {
        let fates = [
            Fate::With(429, "retry-after", "7", json!({ "message": "slow down" })),
            Fate::With(200, "x-next-page", "2", json!([])),
            Fate::With(200, "x-next-page", "", json!([])),
            Fate::answering(200, json!("x".repeat(1 << 10))),
            Fate::Reset,
            Fate::Silent,
        ];
        let server = Server::new(move |_, before| fates[before].clone());
        let web = server.web();
        let token = SecretString::from("glpat-secret\n");
        let url = "https://gitlab.example.com/api/v4/user";
        let asked =
            Request { method: Method::Get, url, secret: Some(("private-token", &token)), body: None, longest: 1 << 10 };
        let limit = Duration::from_secs(5);
        let throttled = web.send(asked, limit).await.expect("an answer");
        assert_eq!((throttled.status, throttled.retry_after), (429, Some(Duration::from_secs(7))));
        assert_eq!(throttled.read::<Value>().expect("JSON")["message"], "slow down");
        assert_eq!(web.send(asked, limit).await.expect("a page").next_page.as_deref(), Some("2"));
        assert_eq!(web.send(asked, limit).await.expect("the last").next_page, None);
        assert_eq!(web.send(asked, limit).await, Err(WebError::TooLong(1 << 10)));
        assert_eq!(web.send(asked, limit).await, Err(WebError::Unreachable));
        assert_eq!(web.send(asked, limit).await, Err(WebError::Timeout(limit)));
        assert_eq!(server.arrived()[0].line, format!("GET {url}"));
        assert_eq!(server.arrived()[0].tokens, [("private-token".to_owned(), "glpat-secret".to_owned())]);
        assert!(!format!("{asked:?}").contains("glpat"), "a request prints without its secret");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_urls_are_sent_to() {
        let host = |url: &str| {
            let asked = Request { method: Method::Post, url, secret: None, body: Some(&json!({})), longest: 0 };
            request(asked)?.headers().get("host").map(str::to_owned)
        };
        assert_eq!(host("https://hooks.example.com:8443/T0/B0?x=1\n").as_deref(), Some("hooks.example.com:8443"));
        for url in ["", "hooks.example.com/x", "ftp://a/b", "https://", "https:///x", "https://a b/", "https://u:p@h/"]
        {
            assert_eq!(host(url), None, "{url}");
        }
    }
}
