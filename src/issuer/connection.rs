//! One look at one host: its addresses, a TLS handshake that accepts any certificate, and one HTTP GET.
//!
//! Straight to the host, as AWS comes: no proxy, no redirect, no second attempt.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures::future::{Either, select};
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::body::Bytes;
use hyper::header::{ACCEPT, CONTENT_TYPE, HOST, LOCATION, USER_AGENT};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{self, CryptoProvider};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{self, ClientConfig, DigitallySignedStruct, SignatureScheme};

use crate::issuer::address::Address;

/// The most that is read of a document; GitLab's two have about 2 KB.
const MOST: usize = 1 << 20;

/// Why there is no answer.
#[derive(Debug)]
pub enum Failure {
    /// The name has no address.
    Unresolved(String),
    /// No address of it takes a connection; each with why.
    Unconnected(Vec<String>),
    /// There is no TLS with it.
    Tls(String),
    /// The connection broke, or spoke no HTTP.
    Broken(String),
    /// The answer is longer than this program reads.
    TooLong,
    /// It took too long, while this was done.
    TooSlow(&'static str),
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Where a redirect leads.
    pub location: Option<String>,
    /// The type of its content, by its own word.
    pub content_type: Option<String>,
    /// The content.
    pub body: Bytes,
}

/// A connection on which nothing was asked yet.
pub struct Connection {
    stream: TlsStream<TcpStream>,
    /// The certificates as they were sent.
    pub served: Vec<CertificateDer<'static>>,
}

/// Looks a host's addresses up.
///
/// # Errors
/// There is none, or none in time.
pub async fn resolve(place: &Address, names: &Names, deadline: Instant) -> Result<Vec<IpAddr>, Failure> {
    if let Ok(address) = place.host.parse() {
        return Ok(vec![address]);
    }
    if let Names::Pinned { addresses, .. } = names {
        return Ok(addresses.clone());
    }
    let looked = timeout_at(deadline, tokio::net::lookup_host((place.host.as_str(), place.port))).await;
    let found = looked.map_err(|_| Failure::TooSlow("the name was looked up"))?;
    let mut addresses: Vec<IpAddr> =
        found.map_err(|error| Failure::Unresolved(error.to_string()))?.map(|address| address.ip()).collect();
    addresses.dedup();
    if addresses.is_empty() { Err(Failure::Unresolved("it has no address".to_owned())) } else { Ok(addresses) }
}

/// Connects to one of the addresses and shakes hands, whatever the certificates are.
///
/// # Errors
/// No connection, no TLS, or neither in time.
pub async fn connect(
    place: &Address,
    addresses: &[IpAddr],
    names: &Names,
    deadline: Instant,
) -> Result<Connection, Failure> {
    let places: Vec<SocketAddr> = match names {
        Names::Dns => addresses.iter().map(|address| SocketAddr::new(*address, place.port)).collect(),
        Names::Pinned { at, .. } => vec![*at],
    };
    let stream = open(&places, deadline).await?;
    let tls = |error: String| Failure::Tls(error);
    let name = ServerName::try_from(place.host.clone()).map_err(|error| tls(error.to_string()))?;
    let connector = TlsConnector::from(Arc::new(accepting().map_err(|error| tls(error.to_string()))?));
    let shaken = timeout_at(deadline, connector.connect(name, stream)).await;
    let stream = shaken.map_err(|_| Failure::TooSlow("TLS was negotiated"))?.map_err(|error| tls(error.to_string()))?;
    let served = stream.get_ref().1.peer_certificates().unwrap_or_default().to_vec();
    Ok(Connection { stream, served })
}

/// Opens a connection to the first address that takes one; each has its share of the time that is left.
async fn open(places: &[SocketAddr], deadline: Instant) -> Result<TcpStream, Failure> {
    let mut refused = Vec::new();
    for (index, place) in places.iter().enumerate() {
        let left = deadline.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(places.len() - index).unwrap_or(1);
        match tokio::time::timeout(share.max(Duration::from_millis(1)), TcpStream::connect(place)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => refused.push(format!("{place}: {error}")),
            Err(_) => refused.push(format!("{place}: no answer")),
        }
    }
    Err(Failure::Unconnected(refused))
}

impl Connection {
    /// Asks for a document.
    ///
    /// # Errors
    /// No answer, none in time, or one that is too long.
    pub async fn get(self, place: &Address, deadline: Instant) -> Result<Answer, Failure> {
        let broken = |error: hyper::Error| Failure::Broken(error.to_string());
        let exchange = async {
            let (mut sender, connection) =
                hyper::client::conn::http1::handshake(TokioIo::new(self.stream)).await.map_err(broken)?;
            let request = http::Request::get(place.path.as_str())
                .header(HOST, place.authority.as_str())
                .header(ACCEPT, "application/json")
                .header(USER_AGENT, concat!("roleout/", env!("CARGO_PKG_VERSION")))
                .body(Empty::<Bytes>::new())
                .map_err(|error| Failure::Broken(error.to_string()))?;
            let ask = async move {
                let answer = sender.send_request(request).await.map_err(broken)?;
                let header = |name| answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
                let (status, location, content_type) =
                    (answer.status().as_u16(), header(LOCATION), header(CONTENT_TYPE));
                let body = Limited::new(answer.into_body(), MOST).collect().await.map_err(|error| {
                    if error.is::<LengthLimitError>() { Failure::TooLong } else { Failure::Broken(error.to_string()) }
                })?;
                Ok(Answer { status, location, content_type, body: body.to_bytes() })
            };
            match select(Box::pin(ask), Box::pin(connection)).await {
                Either::Left((answer, _)) => answer,
                // The connection has ended; what it brought is in the answer's hands.
                Either::Right((_, ask)) => ask.await,
            }
        };
        timeout_at(deadline, exchange).await.map_err(|_| Failure::TooSlow("the answer was awaited"))?
    }
}

/// Returns settings with which every certificate is accepted, so that all of them can be looked at. Nothing secret is
/// sent over such a connection.
fn accepting() -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Accepts(provider)))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Accepts every certificate; what is wrong with them is said afterwards.
#[derive(Debug)]
struct Accepts(Arc<CryptoProvider>);

impl ServerCertVerifier for Accepts {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Where hosts are.
#[derive(Clone, Debug)]
pub enum Names {
    /// Where the system says.
    Dns,
    /// In one place, whatever their names and ports: for tests.
    Pinned {
        /// What their names are said to resolve to.
        addresses: Vec<IpAddr>,
        /// Where connections go instead.
        at: SocketAddr,
    },
}
