//! What is asked for by GET and is no service of AWS: the issuer's public pages, registries, and what was called so far.

use serde_json::json;

use crate::sandbox::ecr;
use crate::sandbox::wire::{Answer, Request};
use crate::sandbox::world::World;

impl World {
    /// Returns the page that a request is for.
    pub(crate) fn page(&self, request: &Request) -> Answer {
        if let Some(answer) = ecr::describe_elsewhere(self, request) {
            return answer;
        }
        let page = match request.path.as_str() {
            "/oauth/discovery/keys" => Some(self.issuer.key_set()),
            "/.well-known/openid-configuration" => Some(self.issuer.discovery()),
            // No address of AWS's: what was asked so far, for whoever measures.
            "/sandbox/calls" => Some(json!(self.calls.by_operation())),
            _ => None,
        };
        let status = if page.is_some() { 200 } else { 404 };
        let body = page.unwrap_or_else(|| json!({ "message": "not found" })).to_string().into_bytes();
        Answer::new(status, "application/json", self.request_id(), body)
    }
}
