//! Signals that are passed on to a child.

use std::io;

use futures::FutureExt;
use futures::future::select_all;
use rustix::process::{Pid, Signal, kill_process};
use tokio::signal::unix::{self, SignalKind};

/// The signals that are passed on.
const PASSED: [(Signal, SignalKind); 6] = [
    (Signal::INT, SignalKind::interrupt()),
    (Signal::TERM, SignalKind::terminate()),
    (Signal::HUP, SignalKind::hangup()),
    (Signal::QUIT, SignalKind::quit()),
    (Signal::USR1, SignalKind::user_defined1()),
    (Signal::USR2, SignalKind::user_defined2()),
];

/// What comes in.
#[derive(Debug)]
pub struct Signals {
    streams: Vec<(Signal, unix::Signal)>,
    /// Whether Ctrl-C and Ctrl-\ reach the children by themselves: a terminal sends them to all in its foreground.
    by_terminal: bool,
}

/// A signal that came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    signal: Signal,
    by_terminal: bool,
}

impl Signals {
    /// Begins to listen; from now on these signals do not end the process.
    ///
    /// # Errors
    /// The system's.
    pub fn listen(by_terminal: bool) -> io::Result<Self> {
        let listen = |(number, kind)| unix::signal(kind).map(|stream| (number, stream));
        Ok(Self { streams: PASSED.into_iter().map(listen).collect::<io::Result<_>>()?, by_terminal })
    }

    /// Waits for the next one.
    pub async fn next(&mut self) -> Received {
        let by_terminal = self.by_terminal;
        let all = self.streams.iter_mut().map(|(number, stream)| {
            let number = *number;
            async move {
                match stream.recv().await {
                    Some(()) => Received { signal: number, by_terminal },
                    None => std::future::pending().await,
                }
            }
            .boxed()
        });
        select_all(all).await.0
    }
}

impl Received {
    /// Passes it on to a child; `None` is one that has ended already.
    pub fn pass_on(self, child: Option<u32>) {
        if self.by_terminal && matches!(self.signal, Signal::INT | Signal::QUIT) {
            return;
        }
        if let Some(child) = child.and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw) {
            // A child that has just ended needs no signal.
            let _ = kill_process(child, self.signal);
        }
    }

    /// Whether it asks for an end.
    pub fn ends(self) -> bool {
        !matches!(self.signal, Signal::USR1 | Signal::USR2)
    }

    /// The exit code of a process that it ended: 128 and its number.
    pub fn code(self) -> u8 {
        code_of(self.signal.as_raw())
    }
}

/// The exit code by which shells tell a signal.
pub fn code_of(signal: i32) -> u8 {
    u8::try_from(128 + signal).unwrap_or(u8::MAX)
}
