//! The credentials of an account's calls, and which of them signed one: AWS may end a session before its time. Then that session
//! is given up, and the call is made once more. How sessions are made is not known here.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::BeforeTransmitInterceptorContextRef;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;

use crate::aws::error::{CallError, Kind};

/// Sessions that are renewed.
pub trait Renewal: fmt::Debug + Send + Sync {
    /// Gives up the session with an access key, which AWS has ended, unless another one has taken its place. Returns whether a
    /// call that it signed is to be made again.
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
    /// Wraps sessions that are renewed.
    pub fn of_sessions(sessions: impl ProvideCredentials + Renewal + Clone + 'static) -> Self {
        let renewal: Arc<dyn Renewal> = Arc::new(sessions.clone());
        Self { provider: SharedCredentialsProvider::new(sessions), renewal: Some(renewal) }
    }

    /// Returns what finds out who signs a call. It has to be an interceptor of that call.
    pub fn signer(&self) -> Signer {
        Signer { renewal: self.renewal.clone(), access_key_id: Arc::default() }
    }
}

/// Credentials that nobody renews here, such as the SDK's own.
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
    /// Gives up the session that signed the call, where AWS has ended it. Returns whether the call is to be made again: AWS did
    /// nothing.
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
