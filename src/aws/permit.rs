//! The permission to begin a write: whoever waits to send one holds it, and gives up as soon as it is over.
//!
//! It ends when it is withdrawn (a halt, a signal) or at its deadline. A call that is on the wire is not its concern.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::BeforeTransmitInterceptorContextRef;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// A permission to write. Clones share its withdrawal.
#[derive(Clone, Debug, Default)]
pub struct Permit {
    withdrawn: CancellationToken,
    deadline: Option<Instant>,
}

impl Permit {
    /// Makes one that is over once `withdrawn` is cancelled.
    pub fn new(withdrawn: CancellationToken) -> Self {
        Self { withdrawn, deadline: None }
    }

    /// Returns the same permission with an end at `deadline`, if it has none that is earlier.
    pub fn with_deadline(&self, deadline: Instant) -> Self {
        let deadline = self.deadline.map_or(deadline, |own| own.min(deadline));
        Self { withdrawn: self.withdrawn.clone(), deadline: Some(deadline) }
    }

    /// Ends it, and all of its clones.
    pub fn withdraw(&self) {
        self.withdrawn.cancel();
    }

    /// Whether it was withdrawn.
    pub fn is_withdrawn(&self) -> bool {
        self.withdrawn.is_cancelled()
    }

    /// Returns its deadline, if it has one.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Whether nothing may be sent any more.
    pub fn is_over(&self) -> bool {
        self.is_withdrawn() || self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// Waits until it is over.
    pub async fn ended(&self) {
        match self.deadline {
            Some(deadline) => _ = tokio::time::timeout_at(deadline, self.withdrawn.cancelled()).await,
            None => self.withdrawn.cancelled().await,
        }
    }

    /// Waits for `ready`, or returns `None` as soon as the permission is over.
    pub async fn hold<T>(&self, ready: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.ended() => None,
            ready = ready => Some(ready),
        }
    }
}

/// A permission on a call's way through the SDK, which may renew a session or wait before it sends: looked at for the last time
/// when nothing is left but the wire.
#[derive(Clone, Debug)]
pub struct Gate {
    permit: Permit,
    passed: Arc<AtomicBool>,
}

impl Gate {
    /// Makes the gate of one call. It has to be an interceptor of that call.
    pub fn new(permit: &Permit) -> Self {
        Self { permit: permit.clone(), passed: Arc::default() }
    }

    /// Waits for the call. Returns `None` where the permission was over before it was on the wire: it was not sent.
    pub async fn carry<T>(&self, call: impl Future<Output = T>) -> Option<T> {
        let mut call = std::pin::pin!(call);
        let ended = self.permit.hold(&mut call).await;
        match (ended, self.passed.load(Ordering::Relaxed)) {
            (None, true) => Some(call.await),
            (None, false) => None,
            (Some(_), false) if self.permit.is_over() => None,
            (ended, _) => ended,
        }
    }
}

#[aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint]
impl Intercept for Gate {
    fn name(&self) -> &'static str {
        "Gate"
    }

    fn read_before_transmit(
        &self,
        _context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if self.permit.is_over() {
            return Err("nothing is written any more".into());
        }
        self.passed.store(true, Ordering::Relaxed);
        Ok(())
    }
}
