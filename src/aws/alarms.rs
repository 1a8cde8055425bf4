//! CloudWatch: the states of alarms, by their names.

use std::collections::BTreeMap;

use serde_json::json;

use crate::aws::error::CallError;
use crate::aws::operation::Client;

/// Names in one DescribeAlarms call (CloudWatch API Reference).
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
#[derive(Clone, Debug)]
pub struct Alarms {
    client: Client,
}

impl Alarms {
    /// Wraps a client.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// Returns the states of those of the names that are alarms.
    pub async fn states(&self, names: &[String]) -> Result<States, CallError> {
        let mut states = States::new();
        for names in names.chunks(NAMES_PER_CALL) {
            // Without their types, only metric alarms are returned.
            let types = ["MetricAlarm", "CompositeAlarm"];
            let input = json!({ "AlarmNames": names, "MaxRecords": NAMES_PER_CALL, "AlarmTypes": types });
            let answer = self.client.read("DescribeAlarms", input).await?;
            let alarms =
                ["MetricAlarms", "CompositeAlarms"].iter().filter_map(|kind| answer[*kind].as_array()).flatten();
            states.extend(alarms.filter_map(|alarm| {
                let state = match alarm["StateValue"].as_str()? {
                    "ALARM" => State::Alarm(alarm["StateReason"].as_str().unwrap_or_default().to_owned()),
                    _ => State::Calm,
                };
                Some((alarm["AlarmName"].as_str()?.to_owned(), state))
            }));
        }
        Ok(states)
    }
}
