//! An end for every answer of AWS's: a server that never ends one, or what calls itself AWS, must not fill the memory.

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::connector_metadata::ConnectorMetadata;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::{RuntimeComponents, RuntimeComponentsBuilder};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::ConfigBag;
use http_body_util::Limited;

/// The longest answer of AWS that is read, in bytes. ECS's largest has about one million.
pub const LONGEST: usize = 16 << 20;

/// A client whose answers are no longer than [`LONGEST`]: reading on is an error.
#[derive(Debug)]
pub struct Bounded(pub SharedHttpClient);

impl HttpClient for Bounded {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(BoundedConnector(self.0.http_connector(settings, components)))
    }

    /// Does nothing: the SDK's client would open a connector here for each client of AWS and drop it, and so parse the
    /// certificates of all authorities again.
    fn validate_base_client_config(&self, _: &RuntimeComponentsBuilder, _: &ConfigBag) -> Result<(), BoxError> {
        Ok(())
    }

    fn validate_final_config(&self, components: &RuntimeComponents, config: &ConfigBag) -> Result<(), BoxError> {
        self.0.validate_final_config(components, config)
    }

    fn connector_metadata(&self) -> Option<ConnectorMetadata> {
        self.0.connector_metadata()
    }
}

#[derive(Debug)]
struct BoundedConnector(SharedHttpConnector);

impl HttpConnector for BoundedConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let answer = self.0.call(request);
        HttpConnectorFuture::new(async move {
            Ok(answer.await?.map(|body| SdkBody::from_body_1_x(Limited::new(body, LONGEST))))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use aws_credential_types::provider::SharedCredentialsProvider;
    use aws_smithy_http_client::{Builder, Connector};
    use aws_smithy_runtime_api::client::http::http_client_fn;
    use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
    use http_body_util::StreamBody;
    use hyper::body::{Bytes, Frame};

    use super::*;
    use crate::aws::Aws;
    use crate::aws::credentials::Signer;
    use crate::base::clock::Clock;
    use crate::sandbox::Sandbox;

    /// A server whose answers never end.
    #[derive(Debug)]
    struct Endless;

    impl HttpConnector for Endless {
        fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
            let parts =
                std::iter::repeat_with(|| Ok::<_, std::io::Error>(Frame::data(Bytes::from_static(&[b' '; 65_536]))));
            let body = SdkBody::from_body_1_x(StreamBody::new(futures::stream::iter(parts)));
            HttpConnectorFuture::ready(Ok(HttpResponse::new(200.try_into().expect("a status"), body)))
        }
    }

    #[test]
    fn a_client_opens_no_connector_before_it_calls() {
        let opened = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&opened);
        let client = Builder::new().build_with_connector_fn(move |_, _| {
            counter.fetch_add(1, Ordering::Relaxed);
            Connector::builder().build_http()
        });
        let aws = Aws::in_process(SharedHttpClient::new(Bounded(client)), Clock::system(), "eu-west-1");
        for account in ["111111111111", "222222222222"] {
            let keys = || SharedCredentialsProvider::new(Sandbox::account_credentials(account));
            let _ = (aws.sts("eu-west-1"), aws.ecs(account, "eu-west-1", keys));
        }
        assert_eq!(opened.load(Ordering::Relaxed), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_without_an_end_is_an_error_in_words() {
        let client = http_client_fn(|_, _| SharedHttpConnector::new(Endless));
        let aws = Aws::in_process(SharedHttpClient::new(Bounded(client)), Clock::tokio_from_system(), "eu-west-1");
        let keys = SharedCredentialsProvider::new(Sandbox::account_credentials("1")).into();
        let error = aws.sts("eu-west-1").caller(&keys, Signer::default()).await.expect_err("it has no end");
        assert_eq!(error.to_string(), "GetCallerIdentity: the answer is longer than 16 MiB");
    }
}
