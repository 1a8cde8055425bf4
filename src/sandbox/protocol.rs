//! How the bodies of a call are written: awsJson 1.1, or Smithy's RPC v2 in CBOR, which CloudWatch's newer clients speak.

use std::borrow::Cow;

use serde_json::{Value, json};

use crate::sandbox::cbor;
use crate::sandbox::wire::{Answer, AwsError, Request, json_answer};

/// The content type of RPC v2.
pub(crate) const CBOR: &str = "application/cbor";

/// A way of writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    Json,
    Cbor,
}

impl Coding {
    /// Returns how a request is written, and what it calls: `Service.Operation`, empty where it does not say.
    pub(crate) fn parse(request: &Request) -> (Self, Cow<'_, str>) {
        let mut path = request.path.strip_prefix("/service/").unwrap_or_default().split('/');
        match (path.next(), path.next(), path.next()) {
            (Some(service), Some("operation"), Some(operation)) => {
                (Self::Cbor, format!("{service}.{operation}").into())
            }
            _ => (Self::Json, request.header("x-amz-target").unwrap_or_default().into()),
        }
    }

    /// Reads a request's body.
    pub(crate) fn read(self, body: &[u8]) -> Option<Value> {
        match self {
            Self::Json => serde_json::from_slice(body).ok(),
            Self::Cbor => cbor::read(body),
        }
    }

    /// Returns an answer of what is JSON text here.
    pub(crate) fn answer(self, text: String, request_id: String) -> Answer {
        match self {
            Self::Json => json_answer(text, request_id),
            Self::Cbor => {
                let body: Value = serde_json::from_str(&text).unwrap_or_default();
                Answer::new(200, CBOR, request_id, cbor::write(&body))
            }
        }
    }

    /// Returns an error.
    pub(crate) fn error(self, error: &AwsError, request_id: String) -> Answer {
        match self {
            Self::Json => error.json(request_id),
            Self::Cbor => {
                let body = cbor::write(&json!({ "__type": error.code, "message": error.message }));
                Answer::new(error.status, CBOR, request_id, body)
            }
        }
    }
}
