//! Systems Manager's parameters: whether one exists. Its value is never asked for.

use serde_json::json;

use crate::aws::error::CallError;
use crate::aws::operation::Client;

/// The parameters of one account and region.
#[derive(Clone, Debug)]
pub struct Parameters {
    client: Client,
}

impl Parameters {
    /// Wraps a client.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// Whether there is a parameter of one of these names.
    pub async fn any(&self, names: &[String]) -> Result<bool, CallError> {
        let filter = json!({ "Key": "Name", "Option": "Equals", "Values": names });
        // A page may be empty and not the last: the filter is applied to what a page has read.
        let input = json!({ "ParameterFilters": [filter] });
        let found = self.client.list("DescribeParameters", input, "Parameters", "NextToken").await?;
        Ok(!found.is_empty())
    }
}
