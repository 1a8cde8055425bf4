//! S3's objects: what one of them holds. Nothing is listed, and nothing written.

use serde_json::json;

use crate::aws::error::CallError;
use crate::aws::operation::Client;

/// The objects of one bucket, as one account may read them.
#[derive(Clone, Debug)]
pub struct Objects {
    client: Client,
}

impl Objects {
    /// Wraps a client of the bucket.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// Returns the text that an object holds, by its key. It is as long as any answer of AWS may be
    /// ([`crate::aws::bounded::LONGEST`]).
    pub async fn read(&self, key: &str) -> Result<String, CallError> {
        let answer = self.client.read("GetObject", json!({ "Key": key })).await?;
        Ok(answer.as_str().unwrap_or_default().to_owned())
    }
}
