//! The credentials of an account's calls, and which of them signed one: AWS may end credentials before their time. Then they are
//! given up, and the call is made once more. How sessions are made is not known here. The SDK's own credentials are kept here.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future as credentials_future};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::BeforeTransmitInterceptorContextRef;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;

use crate::aws::error::{CallError, Kind};
use crate::base::clock::Clock;
use crate::base::secrets::hold;

/// How long the SDK's own credentials are kept that do not say when they end: as long as the SDK's cache of a client does.
const KEPT: Duration = Duration::from_secs(15 * 60);
/// They are asked for again when no more than this is left of them.
const TOO_LATE: Duration = Duration::from_secs(10);

/// Credentials that are renewed.
pub trait Renewal: fmt::Debug + Send + Sync {
    /// Gives up those with an access key, which AWS has ended, unless others have taken their place. Returns whether a call that
    /// they signed is to be made again.
    fn give_up(&self, access_key_id: &str) -> bool;
}

/// What signs the calls of an account.
#[derive(Clone, Debug)]
pub struct AccountCredentials {
    /// Where the SDK gets them, at every call.
    pub provider: SharedCredentialsProvider,
    renewal: Option<Arc<dyn Renewal>>,
}

impl AccountCredentials {
    /// Wraps credentials that are renewed.
    pub fn renewed(credentials: impl ProvideCredentials + Renewal + Clone + 'static) -> Self {
        let renewal: Arc<dyn Renewal> = Arc::new(credentials.clone());
        Self { provider: SharedCredentialsProvider::new(credentials), renewal: Some(renewal) }
    }

    /// Returns what finds out who signs a call. It has to be an interceptor of that call.
    pub fn signer(&self) -> Signer {
        Signer { renewal: self.renewal.clone(), access_key_id: Arc::default() }
    }
}

/// Credentials that nobody renews.
impl From<SharedCredentialsProvider> for AccountCredentials {
    fn from(provider: SharedCredentialsProvider) -> Self {
        Self { provider, renewal: None }
    }
}

/// Who signed the last attempt at one call.
#[derive(Clone, Default)]
pub struct Signer {
    renewal: Option<Arc<dyn Renewal>>,
    access_key_id: Arc<Mutex<String>>,
}

impl Signer {
    /// Gives up what signed the call, where AWS has ended it. Returns whether the call is to be made again: AWS did nothing.
    pub fn give_up(&self, error: &CallError) -> bool {
        let Some(renewal) = self.renewal.as_ref().filter(|_| error.kind == Kind::Expired) else { return false };
        renewal.give_up(&self.access_key_id.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Nothing of the keys.
impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").finish_non_exhaustive()
    }
}

#[aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint]
impl Intercept for Signer {
    fn name(&self) -> &'static str {
        "Signer"
    }

    fn read_after_signing(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let header = context.request().headers().get("authorization").unwrap_or_default();
        let id = header.split_once("Credential=").and_then(|(_, scope)| scope.split('/').next());
        id.unwrap_or_default().clone_into(&mut self.access_key_id.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(())
    }
}

/// The SDK's own credentials, held as secrets as soon as they are there, and kept until they are about to end. A client's own
/// cache would keep them for that client alone, and each call that assumes a role has one of its own: a `credential_process`
/// would run, and an instance be asked, for nearly every call. Clones share them.
#[derive(Clone)]
pub struct OwnCredentials {
    provider: SharedCredentialsProvider,
    clock: Clock,
    /// Who waits here shares the answer.
    kept: Arc<tokio::sync::Mutex<Kept>>,
}

#[derive(Default)]
struct Kept {
    /// With when they are asked for again.
    own: Option<(Credentials, SystemTime)>,
    /// The access key of those that AWS ended last.
    ended: String,
}

impl OwnCredentials {
    /// Wraps where the SDK gets them.
    pub fn new(provider: SharedCredentialsProvider, clock: Clock) -> Self {
        Self { provider, clock, kept: Arc::default() }
    }
}

/// They are asked for again once: where the same come back, as those of variables do, nothing else is to be had.
impl Renewal for OwnCredentials {
    fn give_up(&self, access_key_id: &str) -> bool {
        // Whoever holds them is asking for new ones.
        let Ok(mut kept) = self.kept.try_lock() else { return true };
        if kept.own.as_ref().is_none_or(|(own, _)| own.access_key_id() != access_key_id) {
            return true;
        }
        if kept.ended == access_key_id {
            return false;
        }
        access_key_id.clone_into(&mut kept.ended);
        kept.own = None;
        true
    }
}

/// Nothing of the keys.
impl fmt::Debug for OwnCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnCredentials").finish_non_exhaustive()
    }
}

impl ProvideCredentials for OwnCredentials {
    fn provide_credentials<'a>(&'a self) -> credentials_future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        credentials_future::ProvideCredentials::new(async {
            let mut kept = self.kept.lock().await;
            let now = self.clock.now();
            if let Some((own, _)) = kept.own.as_ref().filter(|(_, until)| now < *until) {
                return Ok(own.clone());
            }
            let own = self.provider.provide_credentials().await?;
            hold(own.secret_access_key());
            own.session_token().into_iter().for_each(hold);
            let until = own.expiry().unwrap_or(now + KEPT) - TOO_LATE;
            kept.own = Some((own.clone(), until));
            Ok(own)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    /// A process that gives new credentials each time, which end after so many seconds.
    #[derive(Clone, Debug)]
    struct Process {
        clock: Clock,
        length: Option<u64>,
        runs: Arc<AtomicU64>,
    }

    impl ProvideCredentials for Process {
        fn provide_credentials<'a>(&'a self) -> credentials_future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            credentials_future::ProvideCredentials::new(async {
                tokio::time::sleep(Duration::from_millis(300)).await;
                let number = self.runs.fetch_add(1, Ordering::Relaxed) + 1;
                let ends = self.length.map(|length| self.clock.now() + Duration::from_secs(length));
                Ok(Credentials::new(format!("AKIA{number}"), "secret", None, ends, "test"))
            })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn own_credentials_are_asked_for_once_until_they_are_about_to_end() {
        for (length, kept) in [(Some(3600), 3589), (None, 889)] {
            let clock = Clock::tokio_from_system();
            let process = Process { clock, length, runs: Arc::default() };
            let own = OwnCredentials::new(SharedCredentialsProvider::new(process.clone()), clock);
            let ask = || async { own.provide_credentials().await.expect("credentials").access_key_id().to_owned() };
            let many = futures::future::join_all((0..300).map(|_| ask())).await;
            assert!(many.iter().all(|key| key == "AKIA1"), "{many:?}");
            tokio::time::sleep(Duration::from_secs(kept)).await;
            assert_eq!(ask().await, "AKIA1");
            tokio::time::sleep(Duration::from_secs(2)).await;
            assert_eq!(ask().await, "AKIA2");
            assert_eq!(process.runs.load(Ordering::Relaxed), 2);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn own_credentials_that_aws_has_ended_are_asked_for_once_more() {
        let clock = Clock::tokio_from_system();
        let process = Process { clock, length: Some(3600), runs: Arc::default() };
        let own = OwnCredentials::new(SharedCredentialsProvider::new(process.clone()), clock);
        let ask = || async { own.provide_credentials().await.expect("credentials").access_key_id().to_owned() };
        assert_eq!(ask().await, "AKIA1");
        // All calls that they signed are refused, some of them late.
        for _ in 0..3 {
            assert!(own.give_up("AKIA1"));
            assert_eq!(ask().await, "AKIA2");
        }
        assert_eq!(process.runs.load(Ordering::Relaxed), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn own_credentials_that_never_change_are_not_asked_for_at_every_refusal() {
        let own = Credentials::new("AKIA", "secret", None, None, "test");
        let own = OwnCredentials::new(SharedCredentialsProvider::new(own), Clock::tokio_from_system());
        for is_again in [true, false, false] {
            own.provide_credentials().await.expect("credentials");
            assert_eq!(own.give_up("AKIA"), is_again);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn credentials_that_have_ended_already_are_asked_for_each_time() {
        let clock = Clock::tokio_from_system();
        let process = Process { clock, length: Some(5), runs: Arc::default() };
        let own = OwnCredentials::new(SharedCredentialsProvider::new(process), clock);
        for wanted in ["AKIA1", "AKIA2"] {
            assert_eq!(own.provide_credentials().await.expect("credentials").access_key_id(), wanted);
        }
    }
}
