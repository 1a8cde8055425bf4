//! Cancelling a run: which signal asked for it, and that it did.

use std::sync::{Arc, OnceLock};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::aws::permit::Permit;
use crate::base::error::Error;
use crate::base::exit::Exit;

/// A signal that ends a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Ctrl-C.
    Interrupt,
    /// What GitLab sends when a job is cancelled or runs out of time.
    Terminate,
    /// What a closed terminal or a lost SSH session sends.
    Hangup,
}

impl Signal {
    /// Returns the signal's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Interrupt => "SIGINT",
            Self::Terminate => "SIGTERM",
            Self::Hangup => "SIGHUP",
        }
    }

    /// Returns the exit code of a run that it cancelled.
    pub fn exit(self) -> Exit {
        match self {
            Self::Interrupt => Exit::Interrupted,
            Self::Terminate | Self::Hangup => Exit::Terminated,
        }
    }
}

/// The wish to stop. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Cancel {
    token: CancellationToken,
    signal: Arc<OnceLock<(Signal, Instant)>>,
}

impl Cancel {
    /// Asks the run to stop; only the first signal counts.
    pub fn cancel(&self, signal: Signal) {
        if self.signal.set((signal, Instant::now())).is_ok() {
            self.token.cancel();
        }
    }

    /// Returns the signal, once there was one.
    pub fn signal(&self) -> Option<Signal> {
        self.signal.get().map(|(signal, _)| *signal)
    }

    /// Returns when that was.
    pub fn at(&self) -> Option<Instant> {
        self.signal.get().map(|(_, at)| *at)
    }

    /// Whether the run should stop.
    pub fn is_cancelled(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Returns a permission to write that is over once the run should stop, and that can be withdrawn before.
    pub fn permit(&self) -> Permit {
        Permit::new(self.token.child_token())
    }

    /// Waits until the run should stop.
    pub async fn cancelled(&self) {
        self.token.cancelled().await;
    }
}

/// Waits for what changes nothing, or for a signal.
pub async fn unless_cancelled<T>(reads: impl Future<Output = T>, cancel: &Cancel) -> Result<T, Error> {
    tokio::select! {
        biased;
        () = cancel.cancelled() => {
            let signal = cancel.signal().unwrap_or(Signal::Terminate);
            Err(Error::new(signal.exit(), format!("{} before anything was changed", signal.name())))
        }
        done = reads => Ok(done),
    }
}
