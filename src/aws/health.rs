//! Elastic Load Balancing: the health of the targets of a target group.

use serde_json::json;

use crate::aws::error::CallError;
use crate::aws::operation::Client;

/// The health of one target: `TargetHealth` of DescribeTargetHealth.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct TargetHealth {
    /// `healthy`, `unhealthy`, `initial`, `draining`, `unhealthy.draining`, `unused` or `unavailable`.
    pub state: String,
    /// Why it is not healthy, such as `Target.ResponseCodeMismatch`.
    pub reason: Option<String>,
    /// The same in a sentence.
    pub description: Option<String>,
}

/// The target groups of one account and region.
#[derive(Clone, Debug)]
pub struct TargetGroups {
    client: Client,
}

impl TargetGroups {
    /// Wraps a client.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// Returns the health of every target that is registered with a target group, by the group's ARN.
    pub async fn health(&self, arn: &str) -> Result<Vec<TargetHealth>, CallError> {
        let answer = self.client.read("DescribeTargetHealth", json!({ "TargetGroupArn": arn })).await?;
        let targets = answer["TargetHealthDescriptions"].as_array().into_iter().flatten();
        Ok(targets
            .filter_map(|target| target.get("TargetHealth"))
            .map(|health| {
                let text = |key: &str| health[key].as_str().map(str::to_owned);
                TargetHealth {
                    state: text("State").unwrap_or_default(),
                    reason: text("Reason"),
                    description: text("Description"),
                }
            })
            .collect())
    }
}
