//! The permission to begin a write: whoever waits to send one holds it, and gives up as soon as it is over.
//!
//! It ends when it is withdrawn (a halt, a signal) or at its deadline. A call that is on the wire is not its concern.

use std::future::Future;

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
    pub fn until(&self, deadline: Instant) -> Self {
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
    pub async fn over(&self) {
        match self.deadline {
            Some(deadline) => _ = tokio::time::timeout_at(deadline, self.withdrawn.cancelled()).await,
            None => self.withdrawn.cancelled().await,
        }
    }

    /// Waits for `ready`, or returns `None` as soon as the permission is over.
    pub async fn hold<T>(&self, ready: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.over() => None,
            ready = ready => Some(ready),
        }
    }
}
