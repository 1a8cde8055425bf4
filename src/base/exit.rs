//! The exit codes: one table, the same in the binary's help and in the documentation.

/// How the process ends. The numbers are a contract: pipelines key `allow_failure` and `retry` on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Exit {
    /// Done, or nothing to do.
    Done = 0,
    /// An error that this program did not foresee.
    Unexpected = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The manifest is wrong.
    Manifest = 3,
    /// Identity or preflight failed; nothing was changed.
    Preflight = 4,
    /// The plan was refused, or targets are blocked; nothing was changed.
    Blocked = 5,
    /// Stopped at a gate, with everything before it done.
    Gate = 6,
    /// Targets failed.
    Failed = 10,
    /// Targets failed, and every one of them is back on what it ran before.
    RolledBack = 11,
    /// A rollback failed: somebody must look at the service.
    Stuck = 12,
    /// Done, with failures within the tolerance of their waves.
    Tolerated = 13,
    /// Targets ran out of time and may still be rolling out.
    TimedOut = 14,
    /// Changes are pending.
    Pending = 20,
    /// Cancelled by SIGINT.
    Interrupted = 130,
    /// Cancelled by SIGTERM, or by SIGHUP: a closed terminal, a lost SSH session.
    Terminated = 143,
}

impl Exit {
    /// Every code, in order, for the help text and the documentation.
    pub const ALL: [Self; 15] = [
        Self::Done,
        Self::Unexpected,
        Self::Usage,
        Self::Manifest,
        Self::Preflight,
        Self::Blocked,
        Self::Gate,
        Self::Failed,
        Self::RolledBack,
        Self::Stuck,
        Self::Tolerated,
        Self::TimedOut,
        Self::Pending,
        Self::Interrupted,
        Self::Terminated,
    ];

    /// Returns the one with a number.
    pub fn of_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|exit| exit.code() == code)
    }

    /// Returns the number.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// Returns what it means for a run that deployed something, or that did not, in a few words.
    pub fn verdict(self, did: bool) -> &'static str {
        match self {
            Self::Done if did => "done",
            Self::Done => "nothing to do",
            exit => exit.words(),
        }
    }

    /// Returns what the number means, in a few words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Done => "done, or nothing to do",
            Self::Unexpected => "an unexpected error",
            Self::Usage => "the command line is wrong",
            Self::Manifest => "the manifest is wrong",
            Self::Preflight => "identity or preflight failed; nothing was changed",
            Self::Blocked => "plan refused or targets blocked; nothing was changed",
            Self::Gate => "stopped at a gate",
            Self::Failed => "targets failed",
            Self::RolledBack => "targets failed and were rolled back",
            Self::Stuck => "a rollback failed; somebody must look at it",
            Self::Tolerated => "done, with failures within tolerance",
            Self::TimedOut => "timed out; deployments may still be running",
            Self::Pending => "changes are pending",
            Self::Interrupted => "cancelled by SIGINT",
            Self::Terminated => "cancelled by SIGTERM or SIGHUP",
        }
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
