//! CloudWatch Logs: whether a log group exists, and the end of a stream.

use aws_sdk_cloudwatchlogs::Client;

use crate::aws::error::CallError;

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
        let answer = self.client.describe_log_groups().log_group_name_prefix(name).send().await;
        let answer = answer.map_err(|error| CallError::new("DescribeLogGroups", &error))?;
        Ok(answer.log_groups().iter().any(|group| group.log_group_name() == Some(name)))
    }

    /// Returns the last lines of a stream, the oldest first; none where there is no such group or stream.
    pub async fn tail(&self, group: &str, stream: &str, lines: u16) -> Result<Vec<String>, CallError> {
        let request = self.client.get_log_events().log_group_name(group).log_stream_name(stream);
        let answer = request.start_from_head(false).limit(lines.into()).send().await;
        match answer.map_err(|error| CallError::new("GetLogEvents", &error)) {
            Ok(answer) => Ok(answer.events.unwrap_or_default().into_iter().filter_map(|event| event.message).collect()),
            Err(error) if error.is("ResourceNotFoundException") => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }
}
