//! What was asked of the sandbox: counts, and a log of the calls that change something.

use std::collections::BTreeMap;

use serde_json::Value;

/// The calls so far. Every HTTP request counts, so retries do too.
#[derive(Clone, Debug, Default)]
pub struct Calls {
    by_place: BTreeMap<(String, String, String), u64>,
    /// How many were answered with a throttling error.
    pub throttled: u64,
    /// How many of ECS, and of other services that are asked in JSON, were signed by a session that had ended.
    pub expired: u64,
    /// The calls that change something and reached their operation, in order.
    pub writes: Vec<Write>,
    /// All calls that would change something, whatever became of them, in the order in which they were sent.
    pub attempts: Vec<Attempt>,
    /// When each service was first described, in milliseconds since the epoch, by account id, region and name in ECS.
    pub described: BTreeMap<(String, String, String), u64>,
}

/// A call that would change something.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    /// When it was sent, in milliseconds since the epoch, of the sandbox's clock.
    pub sent: u64,
    /// The account's id; empty where the session is not known.
    pub account: String,
    /// The region.
    pub region: String,
    /// `UpdateService` and so on.
    pub operation: String,
    /// The service that it names.
    pub service: Option<String>,
}

/// A call that changes something.
#[derive(Clone, Debug, PartialEq)]
pub struct Write {
    /// When, in milliseconds since the epoch, of the sandbox's clock.
    pub at: u64,
    /// The account's id.
    pub account: String,
    /// The region.
    pub region: String,
    /// `UpdateService` and so on.
    pub operation: String,
    /// The request's body.
    pub input: Value,
    /// The code of the error that it was answered with.
    pub error: Option<String>,
}

impl Calls {
    pub(crate) fn record(&mut self, account: &str, region: &str, operation: &str) {
        *self.by_place.entry((account.to_owned(), region.to_owned(), operation.to_owned())).or_default() += 1;
    }

    /// Returns the number of calls.
    pub fn total(&self) -> u64 {
        self.by_place.values().sum()
    }

    /// Returns the number of calls of an operation, in every account and region.
    pub fn operation(&self, operation: &str) -> u64 {
        self.by_operation().get(operation).copied().unwrap_or_default()
    }

    /// Returns the number of calls by operation.
    pub fn by_operation(&self) -> BTreeMap<String, u64> {
        let mut sums = BTreeMap::new();
        for ((_, _, operation), count) in &self.by_place {
            *sums.entry(operation.clone()).or_default() += count;
        }
        sums
    }

    /// Returns the number of calls of an operation in an account (by id) and region.
    #[must_use]
    pub fn count(&self, account: &str, region: &str, operation: &str) -> u64 {
        let key = (account.to_owned(), region.to_owned(), operation.to_owned());
        self.by_place.get(&key).copied().unwrap_or_default()
    }

    /// Returns the number of calls by account id, region and operation.
    pub fn by_place(&self) -> &BTreeMap<(String, String, String), u64> {
        &self.by_place
    }
}

/// The writes whose answers the fault `lost` loses: none has an idempotency token but RunTask.
pub(crate) fn is_write(operation: &str) -> bool {
    matches!(
        operation,
        "RegisterTaskDefinition" | "UpdateService" | "StopServiceDeployment" | "RunTask" | "CreateDeployment"
    )
}
