//! Calls to a service by the names of its operations, as AWS's own JSON, through the SDK's runtime.
//!
//! The SDK's generated clients are a thin layer of types over that runtime: this is the same without the types, and without
//! the minutes that compiling them takes. Signing, retries, timeouts and the rest are the SDK's, as they are for ECS.

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_runtime::auth::SigV4OperationSigningConfig;
use aws_runtime::auth::sigv4::{SCHEME_ID, SigV4AuthScheme};
use aws_runtime::invocation_id::InvocationIdInterceptor;
use aws_runtime::recursion_detection::RecursionDetectionInterceptor;
use aws_runtime::request_info::RequestInfoInterceptor;
use aws_runtime::retries::classifiers::AwsErrorCodeClassifier;
use aws_runtime::service_clock_skew::{
    DisableClockSkewCorrection, ServiceClockSkewClassifier, ServiceClockSkewInterceptor,
};
use aws_runtime::user_agent::{ApiMetadata, UserAgentInterceptor};
use aws_smithy_runtime::client::http::connection_poisoning::ConnectionPoisoningInterceptor;
use aws_smithy_runtime::client::identity::IdentityCache;
use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime::client::retries::RetryPartition;
use aws_smithy_runtime::client::retries::classifiers::{HttpStatusCodeClassifier, TransientErrorClassifier};
use aws_smithy_runtime::client::stalled_stream_protection::StalledStreamProtectionInterceptor;
use aws_smithy_runtime_api::client::auth::AuthSchemeOptionResolverParams;
use aws_smithy_runtime_api::client::auth::static_resolver::StaticAuthSchemeOptionResolver;
use aws_smithy_runtime_api::client::endpoint::EndpointResolverParams;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponentsBuilder;
use aws_smithy_runtime_api::client::runtime_plugin::{SharedRuntimePlugin, StaticRuntimePlugin};
use aws_smithy_types::config_bag::{FrozenLayer, Layer};
use aws_smithy_types::error::ErrorMetadata;
use aws_types::SigningName;
use aws_types::region::SigningRegion;
use serde_json::Value;

use crate::aws::calls::CallLog;
use crate::aws::error::{CallError, Kind};
use crate::aws::permit::{Gate, Permit};
use crate::aws::service::{Locator, Service};

/// Whether a write is sent again where its answer is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// It is: AWS does it once, however often it is asked.
    Safely,
    /// It is not.
    Never,
}

/// A service as one account calls it in one region.
#[derive(Clone, Debug)]
pub struct Client {
    service: Service,
    plugin: SharedRuntimePlugin,
}

impl Client {
    /// Makes the client of an account, by its id, with the settings and the credentials of `config`.
    pub fn new(service: Service, config: &SdkConfig, account: &str, region: &str) -> Self {
        let log = CallLog::new(account, region);
        let plugin = StaticRuntimePlugin::new()
            .with_config(settings(service, config, account, region))
            .with_runtime_components(components(config, log, Locator::new(service, config, region)));
        Self { service, plugin: SharedRuntimePlugin::new(plugin) }
    }

    /// Sends an operation that only reads, and returns the answer; `input` is an object.
    pub async fn read(&self, operation: &'static str, input: Value) -> Result<Value, CallError> {
        self.send(operation, input, Repeat::Safely, None).await
    }

    /// Reads all pages of a list: `member` has its items, and `token` says where the next page begins.
    pub async fn list(
        &self,
        operation: &'static str,
        mut input: Value,
        member: &str,
        token: &str,
    ) -> Result<Vec<Value>, CallError> {
        let mut items = Vec::new();
        loop {
            let mut page = self.read(operation, input.clone()).await?;
            if let Some(Value::Array(more)) = page.get_mut(member).map(Value::take) {
                items.extend(more);
            }
            match page.get_mut(token).map(Value::take) {
                Some(Value::String(next)) if !next.is_empty() && input[token] == *next => {
                    return Err(CallError::plain(
                        operation,
                        Kind::Unknown,
                        "two pages of the answer begin at one place",
                    ));
                }
                Some(Value::String(next)) if !next.is_empty() => input[token] = next.into(),
                _ => return Ok(items),
            }
        }
    }

    /// Sends an operation that changes something, unless the permit is over before it is on the wire.
    pub async fn write(
        &self,
        operation: &'static str,
        input: Value,
        repeat: Repeat,
        permit: &Permit,
    ) -> Result<Value, CallError> {
        self.send(operation, input, repeat, Some(Gate::new(permit))).await
    }

    async fn send(
        &self,
        name: &'static str,
        input: Value,
        repeat: Repeat,
        gate: Option<Gate>,
    ) -> Result<Value, CallError> {
        let protocol = self.service.protocol;
        let mut operation = Operation::builder()
            .service_name(self.service.id)
            .operation_name(name)
            .behavior_version(BehaviorVersion::v2026_01_12())
            .runtime_plugin(self.plugin.clone());
        if let Some(gate) = &gate {
            operation = operation.interceptor(gate.clone());
        }
        if repeat == Repeat::Never {
            operation = operation.no_retry();
        }
        let operation = operation
            .serializer(move |input: Value| protocol.request(name, &input))
            .deserializer(move |answer| protocol.answer(name, answer))
            .build();
        // On the heap while it lasts: the SDK's futures are tens of kilobytes, and whoever awaits one would carry it.
        let call = Box::pin(operation.invoke(input));
        let answer = match gate {
            Some(gate) => gate.carry(call).await.ok_or_else(|| CallError::withdrawn(name))?,
            None => call.await,
        };
        answer.map_err(|error| CallError::new(name, &error))
    }
}

fn settings(service: Service, config: &SdkConfig, account: &str, region: &str) -> FrozenLayer {
    let mut layer = Layer::new(service.id);
    layer.store_put(ApiMetadata::new(service.name, env!("CARGO_PKG_VERSION")));
    layer.store_put(AuthSchemeOptionResolverParams::new(()));
    layer.store_put(DisableClockSkewCorrection::from(config.disable_clock_skew_correction().unwrap_or_default()));
    layer.store_put(EndpointResolverParams::new(()));
    // The SDK's bucket of retries is shared by every account of a region unless it is given one of its own.
    layer.store_put(RetryPartition::custom(format!("{account}/{region}/{}", service.name)).build());
    layer.store_put(SigV4OperationSigningConfig::default());
    layer.store_put(SigningName::from_static(service.name));
    layer.store_put(SigningRegion::from(Region::new(region.to_owned())));
    layer.store_or_unset(config.app_name().cloned());
    config.retry_config().cloned().map(|retries| layer.store_put(retries));
    config.stalled_stream_protection().map(|protection| layer.store_put(protection));
    config.timeout_config().cloned().map(|timeouts| layer.store_put(timeouts));
    layer.freeze()
}

fn components(config: &SdkConfig, log: CallLog, locator: Locator) -> RuntimeComponentsBuilder {
    let mut components = RuntimeComponentsBuilder::new("roleout")
        .with_http_client(config.http_client())
        .with_sleep_impl(config.sleep_impl())
        .with_time_source(config.time_source())
        // Sessions renew themselves; a cache in front of them would only hide it.
        .with_identity_cache(Some(IdentityCache::no_cache()))
        .with_auth_scheme(SigV4AuthScheme::new())
        .with_auth_scheme_option_resolver(Some(StaticAuthSchemeOptionResolver::new(vec![SCHEME_ID])))
        .with_endpoint_resolver(Some(locator))
        .with_retry_classifier(HttpStatusCodeClassifier::default())
        .with_retry_classifier(TransientErrorClassifier::<ErrorMetadata>::new())
        .with_retry_classifier(AwsErrorCodeClassifier::<ErrorMetadata>::new())
        .with_retry_classifier(ServiceClockSkewClassifier::<ErrorMetadata>::new())
        .with_interceptor(ConnectionPoisoningInterceptor::new())
        .with_interceptor(StalledStreamProtectionInterceptor::default())
        .with_interceptor(ServiceClockSkewInterceptor::new())
        .with_interceptor(RequestInfoInterceptor::new())
        .with_interceptor(UserAgentInterceptor::new())
        .with_interceptor(InvocationIdInterceptor::new())
        .with_interceptor(RecursionDetectionInterceptor::new())
        .with_interceptor(log);
    if let Some(credentials) = config.credentials_provider() {
        components.set_identity_resolver(SCHEME_ID, credentials);
    }
    components
}
