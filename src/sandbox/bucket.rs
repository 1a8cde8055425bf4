//! ECS's token buckets per account and region, as its API reference has them.
//!
//! STS's limit of 600 a second is far from what a deployment needs and is not modelled.

use std::collections::BTreeMap;

use crate::sandbox::moment::Moment;

/// The token buckets of every account and region.
#[derive(Debug, Default)]
pub(crate) struct Buckets {
    tokens: BTreeMap<(String, String, bool, &'static str), Bucket>,
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    at: Moment,
}

impl Buckets {
    /// Takes a token from the group's bucket; `false` where there is none.
    pub(crate) fn take(&mut self, account: &str, region: &str, group: Group, now: Moment) -> bool {
        let key = (account.to_owned(), region.to_owned(), group.by_fault, group.name);
        let bucket = self.tokens.entry(key).or_insert(Bucket { tokens: group.burst, at: now });
        #[expect(clippy::cast_precision_loss, reason = "the time between two calls is small")]
        let elapsed = now.saturating_sub(bucket.at) as f64 / 1000.0;
        bucket.tokens = (bucket.tokens + elapsed * group.rate).min(group.burst);
        bucket.at = now;
        let taken = bucket.tokens >= 1.0;
        if taken {
            bucket.tokens -= 1.0;
        }
        taken
    }
}

/// A group of operations that share a bucket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Group {
    /// Whether it is the fault's, beside the one that AWS publishes.
    by_fault: bool,
    name: &'static str,
    burst: f64,
    rate: f64,
}

impl Group {
    /// What of Organizations is read. The figures are made up: AWS's were not at hand.
    pub(crate) const ORGANIZATIONS: Self =
        Self { by_fault: false, name: "organizations read", burst: 20.0, rate: 10.0 };

    /// Returns the bucket of the fault `throttle` for an operation: a second's worth of calls at most, of its group.
    pub(crate) fn throttled(rate: f64, operation: &str) -> Self {
        let name = Self::parse(operation).map_or("others", |group| group.name);
        Self { by_fault: true, name, burst: rate.max(1.0), rate }
    }

    /// Returns what is left of it where others use a percentage.
    pub(crate) fn without(self, percent: u8) -> Self {
        let left = f64::from(100 - percent.min(100)) / 100.0;
        Self { burst: (self.burst * left).max(1.0), rate: self.rate * left, ..self }
    }

    /// Returns the operation's group, where AWS publishes one.
    pub(crate) fn parse(operation: &str) -> Option<Self> {
        let (name, burst, rate) = match operation {
            "CreateService" | "UpdateService" | "DeleteService" => ("service modify", 50.0, 5.0),
            "DescribeServices" | "ListServices" => ("service read", 100.0, 20.0),
            "DescribeServiceDeployments" | "ListServiceDeployments" => ("service deployment", 50.0, 20.0),
            "DescribeServiceRevisions" => ("service revision", 50.0, 20.0),
            "RegisterTaskDefinition" | "DeregisterTaskDefinition" => ("task definition modify", 20.0, 1.0),
            "DescribeTaskDefinition" | "ListTaskDefinitions" | "ListTaskDefinitionFamilies" => {
                ("task definition read", 50.0, 20.0)
            }
            "CreateCluster" | "DeleteCluster" => ("cluster modify", 20.0, 1.0),
            "DescribeClusters" | "ListClusters" => ("cluster read", 50.0, 20.0),
            "RunTask" | "StopTask" => ("cluster resource modify", 100.0, 40.0),
            "DescribeTasks" | "ListTasks" => ("cluster resource read", 100.0, 20.0),
            "TagResource" | "UntagResource" => ("tag modify", 20.0, 10.0),
            "ListTagsForResource" => ("tag read", 50.0, 20.0),
            _ => return None,
        };
        Some(Self { by_fault: false, name, burst, rate })
    }
}
