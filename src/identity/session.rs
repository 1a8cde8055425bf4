//! Sessions: role chains walked once however many share them, and renewed before they end.
//!
//! Every prefix of a chain is a session of its own with a slot of its own. Whoever needs one that is not fresh joins
//! the walk that is under way or starts it; nobody walks a hop twice at a time. A renewal that fails leaves a session
//! that is still valid in use. A session that AWS has ended before its time is given up by the first call that it refuses.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::aws::credentials::{AccountCredentials, Renewal};
use crate::aws::error::{CallError, HopError, Kind};
use crate::aws::sts::{Grant, Sts};
use crate::aws::{Credentials, CredentialsError, ProvideCredentials, credentials_future, denial};
use crate::base::clock::Clock;
use crate::doctor::live::Live;
use crate::doctor::refusal::Refusal;
use crate::doctor::token::Token;
use crate::fleet::{Hop, RoleChain};
use crate::identity::token::{Claims, TokenError, TokenSource};

/// STS fetches the issuer's keys at each exchange and fails under bursts (configure-aws-credentials#299).
const WEB_IDENTITY_EXCHANGES: usize = 4;
/// A session is renewed when no more than this is left of it, or a third of its length where that is shorter.
const RENEW_BEFORE: Duration = Duration::from_secs(300);
/// A session with less than this left is not used any more: a request signed now must still be valid on arrival.
const TOO_LATE: Duration = Duration::from_secs(10);
/// How long a session is that was asked for without a length (STS API reference, `DurationSeconds`).
const DEFAULT_LENGTH: Duration = Duration::from_secs(3600);
/// How long a failed renewal is not repeated while the old session still serves.
const RETRY_RENEWAL: Duration = Duration::from_secs(30);
/// So many sessions of a chain are given up at once, and one more each [`RETRY_RENEWAL`]: where AWS ends one after the other, new
/// ones are of no use.
const GIVEN_UP_AT_ONCE: u32 = 5;
/// The waits between attempts at "Couldn't retrieve verification key", which no SDK repeats (aws-cli#7194).
const KEY_RETRIES: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4), Duration::from_secs(8)];

/// A session at the end of a chain.
#[derive(Clone, Debug)]
pub struct Session {
    /// Credentials and identity.
    pub grant: Arc<Grant>,
    /// How long it was when it was new.
    length: Duration,
    /// When it was asked for: by a clock that nobody sets, and by one that goes on while the machine sleeps.
    since: (Instant, SystemTime),
}

impl std::error::Error for HopError {}

type Walked = Result<Session, Arc<HopError>>;

/// What is known of one prefix of a chain.
#[derive(Default)]
struct Slot {
    current: Option<Session>,
    walk: Option<Shared<BoxFuture<'static, Walked>>>,
    quiet_until: Option<SystemTime>,
    /// When as many sessions may be given up at once again as ever.
    given_up_until: Option<Instant>,
}

/// All sessions of a run. Clones share them.
#[derive(Clone)]
pub struct Sessions {
    shared: Arc<Inner>,
}

struct Inner {
    sts: Sts,
    clock: Clock,
    session_name: String,
    token: Option<TokenSource>,
    ambient: Option<AccountCredentials>,
    exchanges: Semaphore,
    slots: Mutex<HashMap<Vec<Hop>, Slot>>,
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").finish_non_exhaustive()
    }
}

impl Sessions {
    /// Starts with a token source, or with the SDK's own credentials where `token` is `None`.
    pub fn new(
        sts: Sts,
        clock: Clock,
        session_name: impl Into<String>,
        token: Option<TokenSource>,
        ambient: Option<AccountCredentials>,
    ) -> Self {
        let shared = Inner {
            sts,
            clock,
            session_name: session_name.into(),
            token,
            ambient,
            exchanges: Semaphore::new(WEB_IDENTITY_EXCHANGES),
            slots: Mutex::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Reads the ID token; `None` where chains begin with the SDK's own credentials.
    pub fn id_token(&self) -> Option<Result<SecretString, TokenError>> {
        self.shared.token.as_ref().map(TokenSource::read)
    }

    /// Returns the name that every session has.
    pub fn session_name(&self) -> &str {
        &self.shared.session_name
    }

    /// Returns the sessions that are there and still serve, each with the hops that led to it; the shortest chains first.
    pub fn live_sessions(&self) -> Vec<(Vec<Hop>, Session)> {
        let now = self.shared.clock.now();
        let slots = self.shared.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let current = slots.iter().filter_map(|(hops, slot)| Some((hops.clone(), slot.current.clone()?)));
        let mut held: Vec<_> = current.filter(|(_, session)| session.serves(now)).collect();
        held.sort_by_cached_key(|(hops, _)| (hops.len(), hops.last().map(|hop| hop.arn.to_string())));
        held
    }

    /// Returns what the ID token claims, unverified; `None` where there is none.
    pub fn claims(&self) -> Option<Claims> {
        Claims::decode(&self.shared.token.as_ref()?.read().ok()?)
    }

    /// Returns a fresh session at the end of a chain, which has at least one hop.
    pub fn session(&self, hops: &[Hop]) -> BoxFuture<'static, Walked> {
        self.session_with(hops, RENEW_BEFORE)
    }

    /// Returns a session at the end of a chain, which has at least one hop, renewed where less than `left` remains of it,
    /// or less than a third of its length where that is shorter: for others who have a limit of their own.
    pub fn session_with(&self, hops: &[Hop], left: Duration) -> BoxFuture<'static, Walked> {
        let (sessions, hops) = (self.clone(), hops.to_vec());
        async move {
            let now = sessions.shared.clock.now();
            let (walk, fallback) = {
                let mut slots = sessions.shared.slots.lock().unwrap_or_else(PoisonError::into_inner);
                let slot = slots.entry(hops.clone()).or_default();
                let quiet = slot.quiet_until.is_some_and(|until| now < until);
                let fallback = slot.current.clone().filter(|session| session.serves(now));
                match &fallback {
                    Some(session) if session.left(now) > left.min(session.length / 3) || quiet => {
                        return Ok(session.clone());
                    }
                    _ => {}
                }
                let walk = slot.walk.get_or_insert_with(|| {
                    let (sessions, hops) = (sessions.clone(), hops.clone());
                    async move { sessions.walk_and_keep(&hops).await }.boxed().shared()
                });
                (walk.clone(), fallback)
            };
            match (walk.await, fallback) {
                (Err(_), Some(session)) => Ok(session),
                (walked, _) => walked,
            }
        }
        .boxed()
    }

    async fn walk_and_keep(&self, hops: &[Hop]) -> Walked {
        let walked = self.walk(hops).await;
        let mut slots = self.shared.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = slots.entry(hops.to_vec()).or_default();
        slot.walk = None;
        match &walked {
            Ok(session) => {
                slot.current = Some(session.clone());
                slot.quiet_until = None;
            }
            Err(_) => slot.quiet_until = Some(self.shared.clock.now() + RETRY_RENEWAL),
        }
        walked
    }

    /// Gives up the session at the end of a chain that has this access key, since AWS has ended it. Returns whether another one
    /// is to be had in its place, or is there.
    fn give_up(&self, hops: &[Hop], access_key_id: &str) -> bool {
        let mut slots = self.shared.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(slot) = slots.get_mut(hops) else { return true };
        if slot.current.as_ref().is_none_or(|session| session.grant.credentials.access_key_id() != access_key_id) {
            return true;
        }
        let now = Instant::now();
        let until = slot.given_up_until.map_or(now, |until| until.max(now)) + RETRY_RENEWAL;
        if until > now + RETRY_RENEWAL * GIVEN_UP_AT_ONCE {
            return false;
        }
        slot.given_up_until = Some(until);
        slot.current = None;
        true
    }

    async fn walk(&self, hops: &[Hop]) -> Walked {
        let (hop, before) = hops.split_last().expect("a chain that is walked has a hop");
        let from = if before.is_empty() { self.shared.ambient.clone() } else { Some(self.of_hops(before)) };
        let mut is_again = false;
        let (since, result) = loop {
            if !before.is_empty() {
                // Where that fails, it is the failure of another hop.
                self.session(before).await?;
            }
            let since = (Instant::now(), self.shared.clock.now());
            let signer = from.as_ref().map(AccountCredentials::signer).unwrap_or_default();
            let result = match (&from, &self.shared.token) {
                (Some(from), _) => self.shared.sts.assume(hop, &self.shared.session_name, from, signer.clone()).await,
                (None, Some(token)) => self.exchange(hop, token).await,
                (None, None) => {
                    Err(CallError::plain("AssumeRole", Kind::NotSent, "the SDK found no credentials of its own"))
                }
            };
            match &result {
                Err(error) if !is_again && signer.give_up(error) => is_again = true,
                _ => break (since, result),
            }
        };
        match result {
            Ok(grant) => {
                let length = length(hop, grant.expires, since.1);
                Ok(Session { grant: Arc::new(grant), length, since })
            }
            Err(error) => {
                let token = self
                    .shared
                    .token
                    .as_ref()
                    .filter(|_| before.is_empty())
                    .and_then(|source| Some(Token::parse(&source.read().ok()?, &source.to_string())));
                let (token, malformed) = match token {
                    Some(Ok(token)) => (Some(token), None),
                    Some(Err(finding)) => (None, Some(finding)),
                    None => (None, None),
                };
                let help = Refusal {
                    error: &error,
                    hop,
                    before,
                    session_name: &self.shared.session_name,
                    region: self.shared.sts.region(),
                    token: token.as_ref(),
                    now: self.shared.clock.timestamp().as_second(),
                    live: &Live::default(),
                };
                let help = malformed.map_or_else(|| help.explain(), |finding| vec![finding]);
                let help = help.iter().map(ToString::to_string).collect();
                let (role, arn) = (hop.role.clone(), hop.arn.to_string());
                Err(Arc::new(HopError { number: hops.len(), role, arn, error, help }))
            }
        }
    }

    /// Exchanges the ID token, a few at a time, and tries again where STS could not fetch the issuer's keys.
    async fn exchange(&self, hop: &Hop, source: &TokenSource) -> Result<Grant, CallError> {
        let _place = self.shared.exchanges.acquire().await.expect("the semaphore is never closed");
        let mut waits = KEY_RETRIES.iter();
        loop {
            let token = source.read().map_err(|error| {
                CallError::plain("AssumeRoleWithWebIdentity", Kind::NotSent, format!("{error}; {}", error.help))
            })?;
            // What is no ID token may be another secret, and is not sent to anybody.
            if let Err(finding) = Token::parse(&token, &source.to_string()) {
                return Err(CallError::plain("AssumeRoleWithWebIdentity", Kind::NotSent, finding.what));
            }
            let name = &self.shared.session_name;
            match self.shared.sts.assume_with_web_identity(hop, name, token.expose_secret()).await {
                Err(error) if error.message.contains("retrieve verification key") => match waits.next() {
                    Some(wait) => tokio::time::sleep(*wait).await,
                    None => return Err(error),
                },
                other => return other,
            }
        }
    }

    /// Returns the credentials for SDK clients: a fresh session at every call, or the SDK's own.
    pub fn credentials(&self, chain: &RoleChain) -> AccountCredentials {
        match (&self.shared.ambient, chain.hops.is_empty()) {
            (Some(ambient), true) => ambient.clone(),
            _ => self.of_hops(&chain.hops),
        }
    }

    fn of_hops(&self, hops: &[Hop]) -> AccountCredentials {
        AccountCredentials::renewed(ChainProvider { sessions: self.clone(), hops: hops.into() })
    }

    /// Returns the account and ARN behind a chain: of its last session, or of the ambient credentials themselves.
    pub async fn identify(&self, chain: &RoleChain) -> Result<(crate::fleet::AccountId, String), Arc<HopError>> {
        if !chain.hops.is_empty() {
            let session = self.session(&chain.hops).await?;
            return Ok((session.grant.account.clone(), session.grant.arn.clone()));
        }
        let called = match &self.shared.ambient {
            Some(from) => {
                let signer = from.signer();
                match self.shared.sts.caller(from, signer.clone()).await {
                    Err(error) if signer.give_up(&error) => self.shared.sts.caller(from, signer).await,
                    called => called,
                }
            }
            None => {
                Err(CallError::plain("GetCallerIdentity", Kind::NotSent, "the SDK found no credentials of its own"))
            }
        };
        called.map_err(|error| {
            let help = vec![match error.kind {
                Kind::Denied => {
                    denial::unknown_session(self.shared.sts.region(), "the account of the SDK's own credentials")
                }
                _ => "an account with an empty chain uses the SDK's own credentials; are they set?".to_owned(),
            }];
            Arc::new(HopError { number: 0, role: String::new(), arn: String::new(), error, help })
        })
    }
}

impl Session {
    /// Returns how much of it is left.
    fn left(&self, now: SystemTime) -> Duration {
        let (began, date) = self.since;
        let age = began.elapsed().max(now.duration_since(date).unwrap_or_default());
        self.length.saturating_sub(age)
    }

    fn serves(&self, now: SystemTime) -> bool {
        self.left(now) > TOO_LATE
    }
}

/// Returns how long a session is that ends at `expires`, by AWS's clock, and was asked for at `now`, by ours. Ours may be wrong,
/// so it is never longer than it was asked to be, which is what STS gives.
fn length(hop: &Hop, expires: SystemTime, now: SystemTime) -> Duration {
    let asked = hop.duration.unwrap_or(DEFAULT_LENGTH);
    expires.duration_since(now).ok().filter(|left| !left.is_zero()).map_or(asked, |left| left.min(asked))
}

/// The bridge from [`Sessions`] to the SDK.
#[derive(Clone, Debug)]
struct ChainProvider {
    sessions: Sessions,
    hops: Arc<[Hop]>,
}

impl Renewal for ChainProvider {
    fn give_up(&self, access_key_id: &str) -> bool {
        self.sessions.give_up(&self.hops, access_key_id)
    }
}

impl ProvideCredentials for ChainProvider {
    fn provide_credentials<'a>(&'a self) -> credentials_future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        credentials_future::ProvideCredentials::new(async {
            let session = self.sessions.session(&self.hops).await;
            session
                .map(|session| -> Credentials { session.grant.credentials.clone() })
                .map_err(|error| CredentialsError::provider_error(HopError::clone(&error)))
        })
    }
}

#[cfg(test)]
mod tests;
