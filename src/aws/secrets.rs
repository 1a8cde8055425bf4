//! Secrets Manager: whether a secret exists. Its value is never asked for.

use serde_json::json;

use crate::aws::error::CallError;
use crate::aws::operation::Client;

/// The secrets of one region, as one account may see them.
#[derive(Clone, Debug)]
pub struct Secrets {
    client: Client,
}

/// What there is of a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// All of it.
    There,
    /// Nothing that can be read, until it is restored or gone for good.
    Deleted,
    /// Nothing.
    Missing,
}

impl Secrets {
    /// Wraps a client.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// Looks for a secret by its ARN or name.
    pub async fn find(&self, id: &str) -> Result<Found, CallError> {
        match self.client.read("DescribeSecret", json!({ "SecretId": id })).await {
            Ok(answer) if answer.pointer("/DeletedDate").is_some_and(|date| !date.is_null()) => Ok(Found::Deleted),
            Ok(_) => Ok(Found::There),
            Err(error) if error.is("ResourceNotFoundException") => Ok(Found::Missing),
            Err(error) => Err(error),
        }
    }
}
