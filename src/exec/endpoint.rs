//! A container's credentials endpoint on loopback, for the children of `exec`.
//!
//! It answers `GET` of an account's path with the account's own authorization token, and everything else with 401. The
//! Host header must be its own address, so that no web page can ask it by a name that resolves to 127.0.0.1.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HOST};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use ring::rand::{SecureRandom, SystemRandom};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use subtle::ConstantTimeEq;
use tokio::net::TcpListener;

use crate::base::clock::Clock;
use crate::base::secrets;
use crate::base::text::hex;
use crate::exec::environment::Session;
use crate::exec::keys::Keys;
use crate::fleet::Account;
use crate::identity::session::Sessions;

/// The endpoint, before and while it serves.
#[derive(Clone)]
pub struct Endpoint {
    shared: Arc<Shared>,
}

struct Shared {
    address: SocketAddr,
    sessions: Sessions,
    clock: Clock,
    doors: Vec<AccountEndpoint>,
}

/// One account's.
struct AccountEndpoint {
    account: Arc<Account>,
    token: SecretString,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("address", &self.shared.address).finish_non_exhaustive()
    }
}

impl Endpoint {
    /// Takes a port on loopback, and makes a token for each account.
    ///
    /// # Errors
    /// There is no port.
    pub async fn bind(accounts: &[Arc<Account>], sessions: Sessions, clock: Clock) -> io::Result<(Self, TcpListener)> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let doors =
            accounts.iter().map(|account| AccountEndpoint { account: Arc::clone(account), token: token() }).collect();
        Ok((Self { shared: Arc::new(Shared { address, sessions, clock, doors }) }, listener))
    }

    /// Returns how a child comes by the session of the account with this number in what was bound.
    pub fn session(&self, number: usize) -> Session {
        let url = format!("http://{}/{number}", self.shared.address);
        Session::Endpoint { url, token: self.shared.doors[number].token.clone() }
    }

    /// Serves until it is dropped.
    ///
    /// # Errors
    /// The listener's.
    pub async fn serve(self, listener: TcpListener) -> io::Result<()> {
        let router = axum::Router::new().fallback(answer).with_state(self.shared);
        axum::serve(listener, router).await
    }
}

/// Returns 256 random bits, as hexadecimal digits.
fn token() -> SecretString {
    let mut bytes = [0_u8; 32];
    SystemRandom::new().fill(&mut bytes).expect("without random numbers there is no TLS, and so no session");
    let token = hex(&bytes);
    secrets::hold(&token);
    token.into()
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let Some(door) = shared.door(&request) else {
        return response(StatusCode::UNAUTHORIZED, &json!({ "code": "Unauthorized", "message": "not authorized" }));
    };
    match Keys::fetch(&shared.sessions, &door.account, shared.clock.now()).await {
        Ok(keys) => response(StatusCode::OK, &keys.for_container()),
        Err(error) => {
            let message = format!("there is no session in {}: {error}", door.account.name);
            response(StatusCode::BAD_GATEWAY, &json!({ "code": "SessionUnavailable", "message": message }))
        }
    }
}

impl Shared {
    /// Returns the account that a request may have the keys of.
    fn door(&self, request: &Request) -> Option<&AccountEndpoint> {
        let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
        let number: usize = request.uri().path().strip_prefix('/')?.parse().ok()?;
        let door = self.doors.get(number)?;
        let known = header(AUTHORIZATION)?.as_bytes().ct_eq(door.token.expose_secret().as_bytes());
        let meant = request.method() == Method::GET && header(HOST) == Some(self.address.to_string().as_str());
        (bool::from(known) && meant).then_some(door)
    }
}

fn response(status: StatusCode, body: &Value) -> Response {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, axum::http::HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, axum::http::HeaderValue::from_static("no-store"));
    response
}
