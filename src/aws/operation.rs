//! Calls to a service by the names of its operations, as AWS's own JSON, through the SDK's runtime.
//!
//! The SDK's generated clients are a thin layer of types over that runtime: this is the same without the types, and without
//! the minutes that compiling them takes. Signing, retries, timeouts and the rest are the SDK's, as they are for ECS.

use std::time::Duration;

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
use aws_smithy_runtime_api::client::orchestrator::SensitiveOutput;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponentsBuilder;
use aws_smithy_runtime_api::client::runtime_plugin::{SharedRuntimePlugin, StaticRuntimePlugin};
use aws_smithy_types::config_bag::{FrozenLayer, Layer};
use aws_smithy_types::error::ErrorMetadata;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SigningName;
use aws_types::region::SigningRegion;
use serde_json::Value;

use crate::aws::calls::CallLog;
use crate::aws::credentials::{AccountCredentials, Signer};
use crate::aws::error::{CallError, Kind};
use crate::aws::permit::{Gate, Permit};
use crate::aws::protocol::Protocol;
use crate::aws::service::{Locator, S3, Service};
use crate::aws::timing::{ATTEMPTS, OPERATION_TIMEOUT};

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
    credentials: AccountCredentials,
    /// How often a call is tried at most, and how long all that may take.
    patience: (u32, Duration),
}

impl Client {
    /// Makes the client of an account, by its id, in a region, with the settings of `config`.
    pub fn new(service: Service, config: &SdkConfig, credentials: &AccountCredentials, place: (&str, &str)) -> Self {
        Self::at(Locator::new(service, config, place.1), service, config, credentials, place)
    }

    /// Makes the client of one bucket of S3, in its region.
    pub fn of_bucket(config: &SdkConfig, credentials: &AccountCredentials, place: (&str, &str), bucket: &str) -> Self {
        Self::at(Locator::new(S3, config, place.1).in_bucket(bucket), S3, config, credentials, place)
    }

    fn at(
        locator: Locator,
        service: Service,
        config: &SdkConfig,
        credentials: &AccountCredentials,
        (account, region): (&str, &str),
    ) -> Self {
        let log = CallLog::new(account, region);
        let plugin = StaticRuntimePlugin::new()
            .with_config(settings(service, config, account, region))
            .with_runtime_components(components(config, credentials, log, locator));
        let attempts = config.retry_config().map_or(ATTEMPTS, RetryConfig::max_attempts);
        let limit = config.timeout_config().and_then(TimeoutConfig::operation_timeout).unwrap_or(OPERATION_TIMEOUT);
        let (plugin, credentials) = (SharedRuntimePlugin::new(plugin), credentials.clone());
        Self { service, plugin, credentials, patience: (attempts, limit) }
    }

    /// Sends an operation that only reads, and returns the answer; `input` is an object.
    pub async fn read(&self, operation: &'static str, input: Value) -> Result<Value, CallError> {
        let reads = ["BatchGet", "Describe", "Get", "List"].iter().any(|verb| operation.starts_with(verb));
        debug_assert!(reads, "{operation} may change something: it needs a permit");
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
        self.send(operation, input, repeat, Some(permit)).await
    }

    /// Sends an operation, and once more where AWS had ended the session that signed it.
    async fn send(
        &self,
        name: &'static str,
        input: Value,
        repeat: Repeat,
        permit: Option<&Permit>,
    ) -> Result<Value, CallError> {
        let signer = self.credentials.signer();
        match self.send_once(name, input.clone(), repeat, permit, &signer).await {
            Err(error) if signer.give_up(&error) => self.send_once(name, input, repeat, permit, &signer).await,
            result => result,
        }
    }

    async fn send_once(
        &self,
        name: &'static str,
        input: Value,
        repeat: Repeat,
        permit: Option<&Permit>,
        signer: &Signer,
    ) -> Result<Value, CallError> {
        let (protocol, gate) = (self.service.protocol, permit.map(Gate::new));
        let mut operation = Operation::builder()
            .service_name(self.service.id)
            .operation_name(name)
            .behavior_version(BehaviorVersion::v2026_01_12())
            .runtime_plugin(self.plugin.clone())
            .interceptor(signer.clone());
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
        let (attempts, limit) = self.patience;
        let attempts = if repeat == Repeat::Never { 1 } else { attempts };
        answer.map_err(|error| CallError::after(name, &error, attempts, limit))
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
    layer.store_put(signing(service.protocol));
    if service.protocol == Protocol::Object {
        // What an object holds may be a secret: the SDK's own log leaves it out.
        layer.store_put(SensitiveOutput);
    }
    layer.store_put(SigningName::from_static(service.name));
    layer.store_put(SigningRegion::from(Region::new(region.to_owned())));
    layer.store_or_unset(config.app_name().cloned());
    config.retry_config().cloned().map(|retries| layer.store_put(retries));
    config.stalled_stream_protection().map(|protection| layer.store_put(protection));
    config.timeout_config().cloned().map(|timeouts| layer.store_put(timeouts));
    layer.freeze()
}

/// Returns how requests are signed. The path of an object's is its key, letter for letter: S3 encodes it once and resolves no
/// dots in it. It wants the hash of the body in a header, too.
fn signing(protocol: Protocol) -> SigV4OperationSigningConfig {
    let mut signing = SigV4OperationSigningConfig::default();
    if protocol == Protocol::Object {
        let options = &mut signing.signing_options;
        (options.double_uri_encode, options.normalize_uri_path, options.content_sha256_header) = (false, false, true);
    }
    signing
}

fn components(
    config: &SdkConfig,
    credentials: &AccountCredentials,
    log: CallLog,
    locator: Locator,
) -> RuntimeComponentsBuilder {
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
    components.set_identity_resolver(SCHEME_ID, credentials.provider.clone());
    components
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use aws_credential_types::provider::SharedCredentialsProvider;
    use aws_smithy_runtime_api::client::http::{
        HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
    };
    use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
    use aws_smithy_types::body::SdkBody;
    use serde_json::json;

    use super::*;
    use crate::aws::credentials::Renewal;
    use crate::aws::service::{CODEDEPLOY, IAM, SSM};
    use crate::aws::{Aws, Credentials, ProvideCredentials, credentials_future};
    use crate::base::clock::Clock;
    use crate::sandbox::Sandbox;

    const THROTTLED: (u16, &str) = (400, r#"{"__type":"ThrottlingException","message":"Rate exceeded"}"#);

    /// A server that gives one answer after the other, and the last of them for ever, and keeps what it was asked.
    #[derive(Clone, Debug)]
    struct Server {
        answers: Vec<(u16, &'static str)>,
        asked: Arc<Mutex<Vec<HttpRequest>>>,
    }

    impl Server {
        /// Returns what it was asked, once.
        fn taken(&self) -> Vec<HttpRequest> {
            std::mem::take(&mut self.asked.lock().expect("no panic"))
        }
    }

    impl HttpConnector for Server {
        fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
            let mut asked = self.asked.lock().expect("no panic");
            let (status, body) = *self.answers.get(asked.len()).or(self.answers.last()).expect("an answer");
            asked.push(request);
            let answer = HttpResponse::new(status.try_into().expect("a status"), SdkBody::from(body));
            HttpConnectorFuture::ready(Ok(answer))
        }
    }

    /// Returns a client of the service as account 1 has it in eu-west-1, and its server.
    fn client(service: Service, answers: &[(u16, &'static str)]) -> (Client, Server) {
        let server = Server { answers: answers.to_vec(), asked: Arc::default() };
        (Client::new(service, &base(&server), &keys(), ("1", "eu-west-1")), server)
    }

    /// Returns what clients of account 1 share that ask the server.
    fn base(server: &Server) -> SdkConfig {
        let connector = server.clone();
        let http = SharedHttpClient::new(http_client_fn(move |_, _| SharedHttpConnector::new(connector.clone())));
        SdkConfig::clone(&Aws::in_process(http, Clock::tokio_from_system(), "eu-central-1").base)
    }

    fn keys() -> AccountCredentials {
        SharedCredentialsProvider::new(Sandbox::account_credentials("1")).into()
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_is_signed_for_its_service_and_region_and_says_which_attempt_it_is() {
        let (ssm, server) = client(SSM, &[THROTTLED, (200, r#"{"Parameters":[],"New":1}"#)]);
        let answer = ssm.read("DescribeParameters", json!({ "MaxResults": 1 })).await;
        assert_eq!(answer, Ok(json!({ "Parameters": [], "New": 1 })));
        let asked = server.taken();
        let header = |number: usize, name: &str| asked[number].headers().get(name).unwrap_or_default().to_owned();
        assert_eq!(asked.len(), 2);
        assert_eq!(asked[0].uri(), "https://ssm.eu-west-1.amazonaws.com/");
        assert!(header(0, "authorization").contains("/eu-west-1/ssm/aws4_request"), "{}", header(0, "authorization"));
        assert!(header(0, "authorization").contains("x-amz-target"), "{}", header(0, "authorization"));
        assert_eq!(header(1, "amz-sdk-request").split(';').next(), Some("attempt=2"));
        assert_eq!(header(0, "amz-sdk-invocation-id"), header(1, "amz-sdk-invocation-id"));
        assert!(header(0, "x-amz-user-agent").contains("api/ssm/"), "{}", header(0, "x-amz-user-agent"));
        let (iam, server) = client(IAM, &[(200, "<GetRoleResponse><GetRoleResult/></GetRoleResponse>")]);
        assert_eq!(iam.read("GetRole", json!({ "RoleName": "a" })).await, Ok(json!("")));
        let asked = server.taken();
        assert_eq!(asked[0].uri(), "https://iam.amazonaws.com/");
        let signature = asked[0].headers().get("authorization").unwrap_or_default();
        assert!(signature.contains("/us-east-1/iam/aws4_request"), "{signature}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_object_is_asked_for_at_its_bucket_and_signed_as_s3_wants_it() {
        let (_, server) = client(SSM, &[(200, "{\"version\": 4}")]);
        let base = base(&server);
        let states = Client::of_bucket(&base, &keys(), ("1", "eu-west-1"), "states");
        let text = states.read("GetObject", json!({ "Key": "a//../b c" })).await;
        assert_eq!(text, Ok(json!("{\"version\": 4}")));
        let asked = server.taken();
        let header = |name: &str| asked[0].headers().get(name).unwrap_or_default().to_owned();
        assert_eq!(
            (asked[0].method(), asked[0].uri()),
            ("GET", "https://states.s3.eu-west-1.amazonaws.com/a//../b%20c")
        );
        assert!(header("authorization").contains("/eu-west-1/s3/aws4_request"), "{}", header("authorization"));
        let nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(header("x-amz-content-sha256"), nothing);
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_is_repeated_only_where_that_is_safe_and_never_without_its_permit() {
        let lost = [(500, "{}"), (200, r#"{"deploymentId":"d-1"}"#)];
        let permit = Permit::default();
        for (repeat, asked) in [(Repeat::Safely, 2), (Repeat::Never, 1)] {
            let (codedeploy, server) = client(CODEDEPLOY, &lost);
            let answer = codedeploy.write("CreateDeployment", json!({}), repeat, &permit).await;
            assert_eq!((answer.is_ok(), server.taken().len()), (asked == 2, asked), "{repeat:?}");
        }
        permit.withdraw();
        let (codedeploy, server) = client(CODEDEPLOY, &lost);
        let answer = codedeploy.write("CreateDeployment", json!({}), Repeat::Never, &permit).await;
        assert_eq!(answer, Err(CallError::withdrawn("CreateDeployment")));
        assert!(server.taken().is_empty());
    }

    /// Sessions of which the next one is there as soon as one is given up, and what then ends.
    #[derive(Clone, Debug, Default)]
    struct Sessions(Arc<Mutex<Vec<String>>>, Permit);

    impl Sessions {
        fn current(&self) -> String {
            format!("ASIA{}", self.0.lock().expect("no panic").len())
        }
    }

    impl ProvideCredentials for Sessions {
        fn provide_credentials<'a>(&'a self) -> credentials_future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            let keys = Credentials::new(self.current(), "secret", Some("token".to_owned()), None, "test");
            credentials_future::ProvideCredentials::ready(Ok(keys))
        }
    }

    impl Renewal for Sessions {
        fn give_up(&self, access_key_id: &str) -> bool {
            self.0.lock().expect("no panic").push(access_key_id.to_owned());
            self.1.withdraw();
            true
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_is_refused_for_its_session_is_signed_once_more_by_the_next_one() {
        const ENDED: (u16, &str) = (400, r#"{"__type":"ExpiredTokenException","message":"m"}"#);
        for (answers, is_done) in [(&[ENDED, (200, r#"{"deploymentId":"d-1"}"#)][..], true), (&[ENDED], false)] {
            let (_, server) = client(CODEDEPLOY, answers);
            let sessions = Sessions::default();
            let credentials = AccountCredentials::renewed(sessions.clone());
            let codedeploy = Client::new(CODEDEPLOY, &base(&server), &credentials, ("1", "eu-west-1"));
            let answer = codedeploy.write("CreateDeployment", json!({}), Repeat::Never, &Permit::default()).await;
            assert_eq!(answer.map_err(|error| error.kind).is_ok(), is_done);
            let asked = server.taken();
            assert_eq!(asked.len(), 2, "it is never made a third time");
            for (request, key) in asked.iter().zip(["ASIA0", "ASIA1"]) {
                let signature = request.headers().get("authorization").unwrap_or_default();
                assert!(signature.contains(&format!("Credential={key}/")), "{signature}");
            }
            assert_eq!(*sessions.0.lock().expect("no panic"), ["ASIA0"]);
        }
        let (_, server) = client(CODEDEPLOY, &[ENDED]);
        let permit = Permit::default();
        let credentials = AccountCredentials::renewed(Sessions(Arc::default(), permit.clone()));
        let codedeploy = Client::new(CODEDEPLOY, &base(&server), &credentials, ("1", "eu-west-1"));
        let answer = codedeploy.write("CreateDeployment", json!({}), Repeat::Never, &permit).await;
        assert_eq!(answer, Err(CallError::withdrawn("CreateDeployment")));
        assert_eq!(server.taken().len(), 1, "the permit was over by then");
        let (codedeploy, server) = client(CODEDEPLOY, &[ENDED]);
        let answer = codedeploy.read("ListDeployments", json!({})).await;
        assert_eq!(answer.map_err(|error| error.kind), Err(Kind::Expired));
        assert_eq!(server.taken().len(), 1, "nobody renews these keys here");
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_has_the_words_and_the_meaning_that_it_has_for_ecs() {
        let refuse = async |status, body| {
            let (ssm, _) = client(SSM, &[(status, body)]);
            ssm.read("DescribeParameters", json!({})).await.expect_err("refused")
        };
        let denied = refuse(400, r#"{"__type":"AccessDeniedException","Message":"User: a is not authorized"}"#).await;
        assert_eq!((denied.kind, denied.status), (Kind::Denied, Some(400)));
        assert_eq!(denied.to_string(), "DescribeParameters: AccessDeniedException: User: a is not authorized");
        assert_eq!(refuse(400, r#"{"__type":"ExpiredTokenException","message":"m"}"#).await.kind, Kind::Expired);
        assert_eq!(refuse(THROTTLED.0, THROTTLED.1).await.kind, Kind::Throttled);
        for (status, body) in [(400, "<html>a proxy</html>"), (200, "<html>a proxy</html>")] {
            assert!(refuse(status, body).await.is_unreadable(), "{status}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_is_read_to_its_last_page_and_not_in_a_circle() {
        let pages = [
            (200, r#"{"Parameters":[1],"NextToken":"a"}"#),
            (200, r#"{"Parameters":[],"NextToken":"b"}"#),
            (200, r#"{"Parameters":[2],"NextToken":""}"#),
        ];
        let (ssm, server) = client(SSM, &pages);
        let list = ssm.list("DescribeParameters", json!({ "MaxResults": 1 }), "Parameters", "NextToken").await;
        assert_eq!(list, Ok(vec![json!(1), json!(2)]));
        let asked = server.taken();
        assert_eq!(asked[2].body().bytes(), Some(&br#"{"MaxResults":1,"NextToken":"b"}"#[..]));
        let (ssm, server) = client(SSM, &pages[..1]);
        let list = ssm.list("DescribeParameters", json!({}), "Parameters", "NextToken").await;
        assert_eq!(list.map_err(|error| error.kind), Err(Kind::Unknown));
        assert_eq!(server.taken().len(), 2);
    }
}
