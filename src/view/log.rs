//! What `--verbose` and `ROLEOUT_LOG` add to stderr: a line for each call to AWS, and what the AWS SDK logs.
//!
//! Each event of `tracing` is one whole line. No line holds a header, a body, a token or a key: what the SDK logs of these it
//! logs at its level `trace`, which is never shown, and the secrets that are held are taken out of every line.

use std::io::{self, Write};
use std::sync::Mutex;

use tracing::subscriber::{Subscriber, set_global_default};
use tracing::{Level, Metadata};
use tracing_subscriber::filter::{FilterExt, Targets, filter_fn};
use tracing_subscriber::fmt::time::uptime;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::{fmt, registry};

use crate::aws::calls::{FILTER_EXAMPLE, PROFILES};
use crate::base::error::Error;
use crate::base::exit::Exit;
use crate::base::text::clean;

/// The variable that says what is shown, instead of `--verbose`.
pub const VARIABLE: &str = "ROLEOUT_LOG";

/// Where lines may come from: this program and the AWS SDK. What others log of a connection is not looked through.
const SOURCES: [&str; 2] = ["roleout", "aws_"];

/// Which lines are shown.
#[derive(Clone, Debug)]
pub struct Filter(Targets);

impl Filter {
    /// Returns what `written`, the text of [`VARIABLE`], selects; without it what so many `--verbose` do. `None` is nothing.
    ///
    /// # Errors
    /// A text that is no filter.
    pub fn parse(verbose: u8, written: Option<&str>) -> Result<Option<Self>, Error> {
        let calls = Targets::new().with_target("roleout", Level::DEBUG);
        match (written.map(str::trim).filter(|text| !text.is_empty()), verbose) {
            (Some(text), _) => match text.parse() {
                Ok(targets) => Ok(Some(Self(targets))),
                // The text is not repeated by the parser's error, and where it is at fault is not known.
                Err(_) => Err(Error::new(Exit::Usage, format!("{VARIABLE} is {text:?}, and not a filter of tracing"))
                    .help(format!(
                        "write levels (error, warn, info, debug, trace or off) and targets with their levels, as in \
                         {VARIABLE}={FILTER_EXAMPLE}"
                    ))),
            },
            (None, 0) => Ok(None),
            (None, 1) => Ok(Some(Self(calls))),
            (None, _) => Ok(Some(Self(calls.with_target("aws_", Level::DEBUG)))),
        }
    }

    /// Reads [`VARIABLE`], and does as [`Self::parse`] does.
    ///
    /// # Errors
    /// A text that is no filter.
    pub fn read(verbose: u8) -> Result<Option<Self>, Error> {
        Self::parse(verbose, std::env::var_os(VARIABLE).map(|text| text.to_string_lossy().into_owned()).as_deref())
    }

    /// Returns what writes the lines that are selected to `err`.
    pub fn subscriber(self, err: impl Write + Send + 'static) -> impl Subscriber + Send + Sync {
        let lines = fmt::layer().with_timer(uptime()).with_writer(Mutex::new(CleanLines(err)));
        registry().with(lines.with_filter(self.0.and(filter_fn(is_harmless))))
    }

    /// Writes the lines of this process that are selected to `err`, from now on.
    pub fn start(self, err: impl Write + Send + 'static) {
        // There is one already where a process runs two commands; its lines go where they went.
        let _ = set_global_default(self.subscriber(err));
    }
}

/// Whether what is logged there may be shown at all, whatever the filter says. At `trace` the SDK logs requests, answers and
/// what it signs.
fn is_harmless(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target();
    let is_ours = SOURCES.iter().any(|source| target.starts_with(source)) && !target.starts_with(PROFILES);
    is_ours && *metadata.level() <= Level::DEBUG
}

/// A writer of lines that obey nobody and hold no secret. Each write is one line.
struct CleanLines<W>(W);

impl<W: Write> Write for CleanLines<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        let line = format!("{}\n", clean(text.trim_end()));
        self.0.write_all(line.as_bytes()).and_then(|()| self.0.flush())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
