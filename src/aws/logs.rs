//! CloudWatch Logs: whether a log group exists, and the end of a stream.

use serde_json::json;

use crate::aws::error::CallError;
use crate::aws::operation::Client;

/// The logs of one account and region.
#[derive(Clone, Debug)]
pub struct Logs {
    client: Client,
}

impl Logs {
    /// Wraps a client.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// Whether there is a log group of just this name.
    pub async fn has_group(&self, name: &str) -> Result<bool, CallError> {
        // Groups come in the order of their names, so the prefix itself is the first of those that begin with it.
        let answer = self.client.read("DescribeLogGroups", json!({ "logGroupNamePrefix": name })).await?;
        Ok(answer["logGroups"].as_array().into_iter().flatten().any(|group| group["logGroupName"] == name))
    }

    /// Returns the last lines of a stream, the oldest first; none where there is no such group or stream.
    pub async fn tail(&self, group: &str, stream: &str, lines: u16) -> Result<Vec<String>, CallError> {
        let input = json!({ "logGroupName": group, "logStreamName": stream, "startFromHead": false, "limit": lines });
        match self.client.read("GetLogEvents", input).await {
            Ok(answer) => {
                let events = answer["events"].as_array().into_iter().flatten();
                Ok(events.filter_map(|event| event["message"].as_str().map(str::to_owned)).collect())
            }
            Err(error) if error.is("ResourceNotFoundException") => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }
}
