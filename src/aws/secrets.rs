//! Secrets Manager: whether a secret exists. Its value is never asked for.

use aws_sdk_secretsmanager::Client;

use crate::aws::error::CallError;

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
        let answer = self.client.describe_secret().secret_id(id).send().await;
        match answer.map_err(|error| CallError::new("DescribeSecret", &error)) {
            Ok(answer) if answer.deleted_date.is_some() => Ok(Found::Deleted),
            Ok(_) => Ok(Found::There),
            Err(error) if error.is("ResourceNotFoundException") => Ok(Found::Missing),
            Err(error) => Err(error),
        }
    }
}
