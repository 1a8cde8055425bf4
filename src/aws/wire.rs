//! How a call of ECS carries JSON through the real SDK.
//!
//! An interceptor puts the request in as the body before signing, and takes the answer's bytes before the SDK would read
//! them into its own types: what it gets to read is an empty object. Refusals it reads itself. Only this file knows the
//! trick.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeDeserializationInterceptorContextMut, BeforeTransmitInterceptorContextMut,
};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::ConfigBag;
use hyper::body::{Body, Bytes, Frame};
use serde_json::Value;

use crate::aws::calls::Attempt;

/// What the SDK reads in place of an answer.
const NOTHING: &[u8] = b"{}";

/// Carries one JSON body in and one out.
#[derive(Clone, Debug)]
pub struct Wire {
    request: Bytes,
    answer: Arc<Mutex<Vec<u8>>>,
    /// Which attempt at its call it is, from 1.
    attempt: u32,
}

impl Wire {
    /// Makes that of one attempt, by its number from 1.
    pub fn new(body: &impl fmt::Display, attempt: u32) -> Self {
        Self { request: Bytes::from(body.to_string()), answer: Arc::default(), attempt }
    }

    /// Takes the answer of a call that succeeded; `None` = it is no JSON object.
    pub fn take_answer(&self) -> Option<Value> {
        let bytes = std::mem::take(&mut *self.answer.lock().unwrap_or_else(PoisonError::into_inner));
        serde_json::from_slice(&bytes).ok().filter(Value::is_object)
    }
}

#[aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint]
impl Intercept for Wire {
    fn name(&self) -> &'static str {
        "Wire"
    }

    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        config.interceptor_state().store_put(Attempt(self.attempt));
        let request = context.request_mut();
        request.headers_mut().insert("content-length", self.request.len().to_string());
        *request.body_mut() = SdkBody::from(self.request.clone());
        Ok(())
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let answer = context.response_mut();
        if answer.status().is_success() {
            let body = answer.take_body();
            let held = Vec::with_capacity(usize::try_from(body.size_hint().lower()).unwrap_or(0).min(1 << 20));
            let into = Arc::clone(&self.answer);
            *answer.body_mut() = SdkBody::from_body_1_x(Taken { body, held, into: Some(into) });
        }
        Ok(())
    }
}

/// A body whose bytes go elsewhere; it is read as an empty object.
#[derive(Debug)]
struct Taken {
    body: SdkBody,
    held: Vec<u8>,
    /// `None` = it has been read to its end.
    into: Option<Arc<Mutex<Vec<u8>>>>,
}

impl Body for Taken {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        while self.into.is_some() {
            match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => {
                    if let Ok(bytes) = frame.into_data() {
                        self.held.extend_from_slice(&bytes);
                    }
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => {
                    let (held, into) = (std::mem::take(&mut self.held), self.into.take());
                    if let Some(into) = into {
                        *into.lock().unwrap_or_else(PoisonError::into_inner) = held;
                    }
                    return Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(NOTHING)))));
                }
            }
        }
        Poll::Ready(None)
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use http_body_util::{BodyExt, StreamBody};

    use super::*;

    /// What the SDK reads of an answer that comes in these parts, and what is kept of it.
    async fn read(parts: Vec<io::Result<&'static str>>) -> (Result<Bytes, String>, Wire) {
        let wire = Wire::new(&"{}", 1);
        let frames = parts.into_iter().map(|part| part.map(|text| Frame::data(Bytes::from_static(text.as_bytes()))));
        let body = SdkBody::from_body_1_x(StreamBody::new(futures::stream::iter(frames)));
        let body = Taken { body, held: Vec::new(), into: Some(Arc::clone(&wire.answer)) };
        (body.collect().await.map(|all| all.to_bytes()).map_err(|error| error.to_string()), wire)
    }

    #[tokio::test]
    async fn the_answer_is_kept_whole_and_the_sdk_reads_an_empty_object() {
        let (read, wire) = read(vec![Ok("{\"services\": [{\"desired"), Ok("Count\": \"two\"}]}")]).await;
        assert_eq!(read.as_deref(), Ok(NOTHING));
        assert_eq!(wire.take_answer(), Some(serde_json::json!({ "services": [{ "desiredCount": "two" }] })));
    }

    #[tokio::test]
    async fn an_answer_that_is_no_object_is_none() {
        for text in ["1", "[]", "null", "", "<html>"] {
            assert_eq!(read(vec![Ok(text)]).await.1.take_answer(), None, "{text}");
        }
    }

    #[tokio::test]
    async fn an_answer_that_ends_early_is_an_error_and_no_answer() {
        let (read, wire) = read(vec![Ok("{\"services\": []}"), Err(io::ErrorKind::UnexpectedEof.into())]).await;
        assert!(read.is_err());
        assert_eq!(wire.take_answer(), None);
    }
}
