//! The deployment circuit breaker: its threshold, and what happens when it trips.

use serde_json::Value;

use crate::sandbox::moment::{Moment, millis};
use crate::sandbox::record::Status;
use crate::sandbox::service::{RolloutState, Service};
use crate::sandbox::task::Pace;

const BREAKER: &str = "Service deployment rolled back because the circuit breaker threshold was exceeded.";

impl Service {
    /// Returns the circuit breaker's threshold for the latest desired count; `None` where it is off.
    pub(crate) fn threshold(&self) -> Option<u32> {
        let breaker = breaker(&self.settings);
        if breaker["enable"] != true || !self.moves() {
            return None;
        }
        let value = breaker["thresholdConfiguration"]["value"].as_u64().and_then(|value| u32::try_from(value).ok());
        let value = value.unwrap_or(50);
        let share = self.desired.saturating_mul(value).div_ceil(100);
        Some(match breaker["thresholdConfiguration"]["type"].as_str() {
            Some("COUNT") => value.max(1),
            Some("UNBOUNDED_PERCENT") => share.max(1),
            _ => share.clamp(3, 200),
        })
    }

    /// Fails the PRIMARY deployment, and rolls back where the settings say so.
    pub(super) fn trip(&mut self, at: Moment, pace: Pace) {
        let Some(primary) = self.deployments.first_mut() else { return };
        let (id, record) = (primary.id.clone(), primary.record.clone());
        primary.progress = RolloutState::Failed;
        primary.reason = "ECS deployment circuit breaker: tasks failed to start.".to_owned();
        primary.lingers = at + millis(pace.timing.drain);
        self.add_event(at, &format!("(deployment {id}) deployment failed: tasks failed to start."));
        let rolling_back = {
            let Some(record) = self.record(&record) else { return };
            record.triggered = true;
            record.status == Status::RollbackInProgress
        };
        if rolling_back {
            let reason = "Service deployment rollback failed because the circuit breaker threshold was exceeded.";
            self.finish(&record, Status::RollbackFailed, Some(reason), at);
        } else if breaker(&self.settings)["rollback"] == true {
            self.roll_back(&record, "circuit breaker: ", BREAKER, at, pace);
        } else {
            let reason = "Service deployment stopped because the circuit breaker threshold was exceeded.";
            self.finish(&record, Status::Stopped, Some(reason), at);
        }
    }
}

/// Returns the settings of the circuit breaker, null where there are none.
pub(super) fn breaker(settings: &serde_json::Map<String, Value>) -> &Value {
    let none = &Value::Null;
    settings.get("deploymentConfiguration").map_or(none, |value| &value["deploymentCircuitBreaker"])
}
