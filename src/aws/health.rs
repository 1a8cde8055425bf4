//! Elastic Load Balancing: the health of the targets of a target group.

use aws_sdk_elasticloadbalancingv2::Client;

use crate::aws::error::CallError;

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
        let answer = self.client.describe_target_health().target_group_arn(arn).send().await;
        let answer = answer.map_err(|error| CallError::new("DescribeTargetHealth", &error))?;
        let targets = answer.target_health_descriptions.unwrap_or_default().into_iter();
        Ok(targets
            .filter_map(|target| target.target_health)
            .map(|health| TargetHealth {
                state: health.state.map(|state| state.as_str().to_owned()).unwrap_or_default(),
                reason: health.reason.map(|reason| reason.as_str().to_owned()),
                description: health.description,
            })
            .collect())
    }
}
