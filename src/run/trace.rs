//! The trace of a run for an OpenTelemetry collector, where the standard variables name one. It listens like every observer.

#[cfg(feature = "otel")]
use std::time::Duration;

use crate::load::environment;
use crate::state::RunState;
use crate::view::View;

/// How long the collector may take for all of it.
#[cfg(feature = "otel")]
const TIMEOUT: Duration = Duration::from_secs(5);
/// And where a signal ended the run, which then has seconds to be gone.
#[cfg(feature = "otel")]
const CANCEL_TIMEOUT: Duration = Duration::from_millis(1_500);

/// Sends the trace of a run.
#[derive(Default)]
pub struct Tracer {
    #[cfg(feature = "otel")]
    exporter: Option<crate::otlp::Exporter>,
}

#[cfg(feature = "otel")]
impl Tracer {
    /// Reads the variables, and says where they ask for what cannot be. A sandbox run sends nothing.
    pub fn new(sandbox: bool, allow_http: bool, view: &mut View) -> Self {
        if sandbox {
            return Self::default();
        }
        match crate::otlp::Exporter::read(&environment, allow_http) {
            Ok(exporter) => Self { exporter },
            Err(warning) => {
                view.warning(&warning);
                Self::default()
            }
        }
    }

    /// Sends the trace of a run that is over, and returns what a person should know of it.
    pub async fn finish(self, state: &RunState) -> Option<String> {
        let (exporter, trace) = (self.exporter?, crate::trace::Trace::fold(state)?);
        let limit = if state.cancelled().is_some() { CANCEL_TIMEOUT } else { TIMEOUT };
        exporter.send(&trace, limit).await.err()
    }
}

#[cfg(not(feature = "otel"))]
impl Tracer {
    /// Says that this build sends no trace, where the variables ask for one.
    pub fn new(sandbox: bool, _: bool, view: &mut View) -> Self {
        let names = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
        if !sandbox && names.into_iter().any(|name| environment(name).is_some_and(|value| !value.trim().is_empty())) {
            view.warning("otel: this build of roleout sends no trace; build it with the cargo feature `otel`");
        }
        Self::default()
    }

    /// Sends nothing.
    pub async fn finish(self, _: &RunState) -> Option<String> {
        None
    }
}
