//! AWS Organizations: units, accounts and tags, read at a pace that it allows.
//!
//! Its limits hold for all of an account's callers together, and AWS's figures differ from operation to operation. So a reader
//! begins slowly, goes faster as long as it is answered, and much slower where AWS says that it is too fast.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};

use crate::aws::error::{CallError, Kind};
use crate::aws::operation::Client;

/// The time between two calls at first, at least, and at most.
const FIRST: Duration = Duration::from_millis(125);
const SHORTEST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(5);
/// How long the pace is left as it is, once it fell.
const SLOWED: Duration = Duration::from_secs(1);
/// How often a call that AWS throttles is tried, besides the SDK's own attempts.
const TRIES: u32 = 8;
/// The most items that a page may have.
const PAGE: u32 = 20;

/// An organization, as one of its accounts reads it.
#[derive(Debug)]
pub struct Organizations {
    client: Client,
    pace: Pace,
}

/// A unit, or the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
}

/// An account, as Organizations lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedAccount {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The address of its root user.
    pub email: Option<String>,
    /// Its state, such as `ACTIVE`.
    pub state: String,
}

impl Organizations {
    /// Wraps a client.
    pub fn new(client: Client) -> Self {
        Self { client, pace: Pace::new() }
    }

    /// Returns the organization's id, and that of the account that manages it. Every account of it may ask.
    pub async fn describe(&self) -> Result<(String, String), CallError> {
        let answer = self.call("DescribeOrganization", json!({})).await?;
        Ok((text(&answer["Organization"], "Id"), text(&answer["Organization"], "MasterAccountId")))
    }

    /// Returns the roots, of which there is one.
    pub async fn roots(&self) -> Result<Vec<Unit>, CallError> {
        let found = self.all("ListRoots", json!({ "MaxResults": PAGE }), "Roots").await?;
        Ok(found.iter().map(unit).collect())
    }

    /// Returns the units right below a unit or the root.
    pub async fn units(&self, parent: &str) -> Result<Vec<Unit>, CallError> {
        let input = json!({ "ParentId": parent, "MaxResults": PAGE });
        let found = self.all("ListOrganizationalUnitsForParent", input, "OrganizationalUnits").await?;
        Ok(found.iter().map(unit).collect())
    }

    /// Returns the accounts right below a unit or the root.
    pub async fn accounts(&self, parent: &str) -> Result<Vec<ListedAccount>, CallError> {
        let input = json!({ "ParentId": parent, "MaxResults": PAGE });
        let found = self.all("ListAccountsForParent", input, "Accounts").await?;
        let account = |item: &Value| {
            // `State` took the place of `Status` in 2025; an endpoint that is not AWS's may have the old one alone.
            let state = item["State"].as_str().or_else(|| item["Status"].as_str()).unwrap_or_default().to_owned();
            let email = item["Email"].as_str().map(str::to_owned);
            ListedAccount { id: text(item, "Id"), name: text(item, "Name"), email, state }
        };
        Ok(found.iter().map(account).collect())
    }

    /// Returns the tags of an account.
    pub async fn tags(&self, id: &str) -> Result<Vec<(String, String)>, CallError> {
        let found = self.all("ListTagsForResource", json!({ "ResourceId": id }), "Tags").await?;
        Ok(found.iter().map(|tag| (text(tag, "Key"), text(tag, "Value"))).collect())
    }

    /// Reads every page: one may be empty and not the last.
    async fn all(&self, operation: &'static str, mut input: Value, member: &str) -> Result<Vec<Value>, CallError> {
        let mut items = Vec::new();
        loop {
            let mut answer = self.call(operation, input.clone()).await?;
            if let Value::Array(more) = answer[member].take() {
                items.extend(more);
            }
            match answer["NextToken"].take() {
                Value::String(token) if !token.is_empty() && input["NextToken"] == *token => {
                    let text = "two pages of the answer begin at one place";
                    return Err(CallError::plain(operation, Kind::Unknown, text));
                }
                Value::String(token) if !token.is_empty() => input["NextToken"] = token.into(),
                _ => return Ok(items),
            }
        }
    }

    async fn call(&self, operation: &'static str, input: Value) -> Result<Value, CallError> {
        let mut tries = 1;
        loop {
            self.pace.turn().await;
            match self.client.read(operation, input.clone()).await {
                Err(error) if error.kind == Kind::Throttled && tries < TRIES => {
                    self.pace.throttled();
                    tries += 1;
                }
                Err(error) => return Err(error),
                Ok(answer) => {
                    self.pace.answered();
                    return Ok(answer);
                }
            }
        }
    }
}

fn text(value: &Value, member: &str) -> String {
    value[member].as_str().unwrap_or_default().to_owned()
}

fn unit(value: &Value) -> Unit {
    Unit { id: text(value, "Id"), name: text(value, "Name") }
}

/// When the next call may be sent.
#[derive(Debug)]
struct Pace(Mutex<Beat>);

#[derive(Debug)]
struct Beat {
    next: Instant,
    gap: Duration,
    /// Until when being throttled says nothing new: calls that were on their way together are refused together.
    slowed_until: Instant,
}

impl Pace {
    fn new() -> Self {
        let now = Instant::now();
        Self(Mutex::new(Beat { next: now, gap: FIRST, slowed_until: now }))
    }

    fn with<T>(&self, act: impl FnOnce(&mut Beat) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits for the next call's time. Callers are served in the order in which they ask.
    async fn turn(&self) {
        let at = self.with(|beat| {
            let at = beat.next.max(Instant::now());
            beat.next = at + beat.gap;
            at
        });
        sleep_until(at).await;
    }

    fn throttled(&self) {
        self.with(|beat| {
            let now = Instant::now();
            if now >= beat.slowed_until {
                beat.gap = (beat.gap * 3 / 2).min(LONGEST);
                beat.next = beat.next.max(now + beat.gap);
                beat.slowed_until = now + SLOWED;
            }
        });
    }

    fn answered(&self) {
        self.with(|beat| beat.gap = (beat.gap - beat.gap / 400).max(SHORTEST));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_pace_grows_with_answers_and_falls_where_aws_throttles() {
        let pace = Pace::new();
        let start = Instant::now();
        for _ in 0..9 {
            pace.turn().await;
        }
        assert_eq!(start.elapsed(), FIRST * 8, "the first is not waited for");
        for _ in 0..2000 {
            pace.answered();
        }
        assert_eq!(pace.with(|beat| beat.gap), SHORTEST);
        pace.throttled();
        pace.throttled();
        assert_eq!(pace.with(|beat| beat.gap), SHORTEST * 3 / 2, "they were refused together");
        for _ in 0..20 {
            tokio::time::advance(SLOWED).await;
            pace.throttled();
        }
        let throttled = Instant::now();
        pace.turn().await;
        assert_eq!(throttled.elapsed(), LONGEST);
    }
}
