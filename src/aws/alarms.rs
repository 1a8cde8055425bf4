//! CloudWatch: the states of alarms, by their names.

use std::collections::BTreeMap;

#[cfg(feature = "alarms")]
use aws_sdk_cloudwatch::{
    Client,
    types::{AlarmType, StateValue},
};

#[cfg(feature = "alarms")]
use crate::aws::error::CallError;

/// Names in one DescribeAlarms call (CloudWatch API Reference).
#[cfg(feature = "alarms")]
const NAMES_PER_CALL: usize = 100;

/// The alarms that exist, by their names.
pub type States = BTreeMap<String, State>;

/// The state of an alarm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// `OK`, or `INSUFFICIENT_DATA`, which is no failure: an alarm on errors has no data while there are none.
    Calm,
    /// `ALARM`, with CloudWatch's reason.
    Alarm(String),
}

/// The alarms of one account and region.
#[cfg(feature = "alarms")]
#[derive(Clone, Debug)]
pub struct Alarms {
    client: Client,
}

#[cfg(feature = "alarms")]
impl Alarms {
    /// Wraps a client.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// Returns the states of those of the names that are alarms.
    pub async fn states(&self, names: &[String]) -> Result<States, CallError> {
        let mut states = States::new();
        for names in names.chunks(NAMES_PER_CALL) {
            let request = self.client.describe_alarms().set_alarm_names(Some(names.to_vec())).max_records(100);
            // Without their types, only metric alarms are returned.
            let request = request.alarm_types(AlarmType::MetricAlarm).alarm_types(AlarmType::CompositeAlarm);
            let answer = request.send().await.map_err(|error| CallError::new("DescribeAlarms", &error))?;
            let metric = answer.metric_alarms.unwrap_or_default().into_iter();
            let composite = answer.composite_alarms.unwrap_or_default().into_iter();
            let all = metric
                .map(|alarm| (alarm.alarm_name, alarm.state_value, alarm.state_reason))
                .chain(composite.map(|alarm| (alarm.alarm_name, alarm.state_value, alarm.state_reason)));
            states.extend(all.filter_map(|(name, value, reason)| {
                let state = match value? {
                    StateValue::Alarm => State::Alarm(reason.unwrap_or_default()),
                    _ => State::Calm,
                };
                Some((name?, state))
            }));
        }
        Ok(states)
    }
}
