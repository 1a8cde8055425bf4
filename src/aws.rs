//! The one place that reaches AWS: configuration, clients, limits and typed errors.
//!
//! Everything is the real SDK. Production passes one shared HTTPS client, the sandbox passes an in-process one; that
//! HTTP client is the only seam. What a run means is not known here.

pub mod alarms;
mod attempts;
pub mod bounded;
pub mod calls;
pub mod codedeploy;
pub mod credentials;
pub mod denial;
pub mod ecr;
pub mod ecs;
pub mod error;
pub mod health;
pub mod iam;
pub mod limits;
pub mod logs;
pub mod objects;
pub mod operation;
pub mod organizations;
pub mod others;
pub mod parameters;
pub mod permit;
pub mod protocol;
pub mod recorder;
pub mod secrets;
pub mod service;
pub mod settings;
pub mod stacks;
pub mod sts;
mod timing;
mod wire;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use aws_config::{BehaviorVersion, Region, SdkConfig};
pub use aws_credential_types::Credentials;
pub use aws_credential_types::provider::error::CredentialsError;
pub use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future as credentials_future};
use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_smithy_async::time::TimeSource;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_http_client::{Builder, Connector};
use aws_smithy_runtime_api::client::http::{HttpConnectorSettings, SharedHttpClient, SharedHttpConnector};
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::os_shim_internal::{Env, Fs};
use aws_types::service_config::ServiceConfigKey;

use tokio::sync::Semaphore;

use self::bounded::Bounded;
use self::calls::CallLog;
use self::credentials::{AccountCredentials, OwnCredentials};
use self::settings::{Endpoints, Settings};
use crate::aws::timing::{ATTEMPT_TIMEOUT, ATTEMPTS, CONNECT_TIMEOUT, OPERATION_TIMEOUT};
use crate::base::clock::Clock;
use crate::base::error::Error;
use crate::base::exit::Exit;

/// ECS calls on their way at once, over all accounts: 6,400 a second at 40 ms each, and 1,700 at 150 ms. One core makes some
/// 3,500. Each takes 90 KB with its connection and its answer, and without a bound a fleet of ten thousand targets opens as many
/// connections at its first moment.
const IN_FLIGHT: usize = 256;

/// The ECS clients that exist.
#[derive(Debug, Default)]
struct Clients {
    /// The SDK's, which sends the calls of all of them: one for each would take 17 KB.
    shared: Option<aws_sdk_ecs::Client>,
    /// By account and region.
    by_place: BTreeMap<(String, String), Arc<ecs::Ecs>>,
}

/// What every client shares: HTTP client, clock, timeouts, retries and endpoints.
#[derive(Clone, Debug)]
pub struct Aws {
    base: Arc<SdkConfig>,
    clock: Clock,
    endpoints: Endpoints,
    allow_http: bool,
    clients: Arc<Mutex<Clients>>,
    places: Arc<Semaphore>,
    /// What opens connections to servers that are not AWS's, where these are pretended, too.
    others: Option<SharedHttpConnector>,
}

/// The SDK's view of a [`Clock`].
#[derive(Clone, Debug)]
struct ClockSource(Clock);

impl TimeSource for ClockSource {
    fn now(&self) -> SystemTime {
        self.0.now()
    }
}

impl Aws {
    /// Reads endpoints, retries, FIPS and dual-stack settings (`AWS_ENDPOINT_URL`, `AWS_MAX_ATTEMPTS` and the rest, and
    /// those of the profile), and makes the one HTTPS client, which honours `HTTPS_PROXY`, `NO_PROXY` and `AWS_CA_BUNDLE`.
    ///
    /// `profile` is the one of the SDK's own credentials, where it is not left to `AWS_PROFILE`. Endpoints with plain
    /// HTTP are used where `allow_http` says so, and on this machine.
    ///
    /// # Errors
    /// A setting that the SDK would panic on, or drop.
    pub async fn from_environment(
        region: &str,
        ambient: bool,
        profile: Option<&str>,
        allow_http: bool,
    ) -> Result<Self, Error> {
        let clock = Clock::system();
        let settings = Settings::load(Env::real(), &Fs::real(), profile).await?;
        if ambient {
            settings.refuse_empty_endpoint()?;
        }
        let loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .region(Region::new(region.to_owned()))
            .http_client(https_client()?)
            .sleep_impl(TokioSleep::new())
            .timeout_config(timeouts())
            .retry_config(settings.retry(ATTEMPTS)?)
            .use_fips(settings.fips()?)
            .use_dual_stack(settings.dual_stack()?);
        let loader = match settings.chosen() {
            Some(profile) => loader.profile_name(profile),
            None => loader,
        };
        let base = if ambient { loader } else { loader.no_credentials() }.load().await;
        // No variable has this name: the profile alone answers.
        let of_profile = |service: &str| {
            let key = ServiceConfigKey::builder().service_id(service).profile("endpoint_url").env("=").build();
            base.service_config()?.load_config(key.ok()?)
        };
        let endpoints = settings.endpoints(&of_profile)?;
        if !allow_http {
            endpoints.refuse_plain()?;
        }
        let mut base = base.into_builder().service_config(endpoints.clone());
        base.set_endpoint_url(None);
        Ok(Self { endpoints, allow_http, ..Self::new(base.build(), clock) })
    }

    /// Reaches nothing but `http_client`, on `clock`: for the sandbox.
    pub fn in_process(http_client: SharedHttpClient, clock: Clock, region: &str) -> Self {
        let base = SdkConfig::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new(region.to_owned()))
            .http_client(http_client)
            .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
            .time_source(aws_smithy_async::time::SharedTimeSource::new(ClockSource(clock)))
            .timeout_config(timeouts())
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
            .build();
        Self::new(base, clock)
    }

    /// Returns the same with every answer recorded, but those of the STS clients that exist already.
    #[must_use]
    pub fn recorded(self, recorder: &Arc<recorder::Recorder>) -> Self {
        let Some(client) = self.base.http_client() else { return self };
        let base = self.base.to_builder().http_client(recorder.wrap(client)).build();
        Self { base: Arc::new(base), clients: Arc::default(), ..self }
    }

    fn new(base: SdkConfig, clock: Clock) -> Self {
        let places = Arc::new(Semaphore::new(IN_FLIGHT));
        Self {
            base: Arc::new(base),
            clock,
            endpoints: Endpoints::default(),
            allow_http: false,
            clients: Arc::default(),
            places,
            others: None,
        }
    }

    /// Reaches servers that are not AWS's by nothing but `others`: for the sandbox.
    #[must_use]
    pub fn beside(self, others: SharedHttpConnector) -> Self {
        Self { others: Some(others), ..self }
    }

    /// Whether this is the embedded sandbox, from which nothing leads to the network.
    pub fn is_embedded(&self) -> bool {
        self.others.is_some()
    }

    /// Returns what opens connections to servers that are not AWS's.
    ///
    /// # Errors
    /// `AWS_CA_BUNDLE` cannot be read.
    pub fn others(&self) -> Result<SharedHttpConnector, Error> {
        self.others.clone().map_or_else(connector_of_others, Ok)
    }

    /// Whether plain HTTP may leave this machine.
    pub fn allows_http(&self) -> bool {
        self.allow_http
    }

    /// Returns where calls go instead of AWS.
    pub fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// Returns the clock that dates expiry and events.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// Returns the SDK's own credentials, where the identity is ambient.
    pub fn ambient_credentials(&self) -> Option<AccountCredentials> {
        self.base.credentials_provider().map(|own| AccountCredentials::renewed(OwnCredentials::new(own, self.clock)))
    }

    /// Returns an STS client for the region, unsigned.
    pub fn sts(&self, region: &str) -> sts::Sts {
        let mut config = aws_sdk_sts::config::Builder::from(&*self.base).region(Region::new(region.to_owned()));
        config.set_credentials_provider(None);
        config.set_identity_cache(aws_sdk_sts::config::IdentityCache::no_cache());
        sts::Sts::new(aws_sdk_sts::Client::from_conf(config.build()))
    }

    /// Returns the services of an account besides ECS, as a session of it may use them.
    pub fn aux_clients(&self, account: &str, credentials: impl Into<AccountCredentials>) -> others::AuxClients {
        others::AuxClients::new(Arc::clone(&self.base), account, credentials.into())
    }

    /// Returns the ECS client of one account and region, made at the first call with `credentials`.
    pub fn ecs<C: Into<AccountCredentials>>(
        &self,
        account: &str,
        region: &str,
        credentials: impl Fn() -> C,
    ) -> Arc<ecs::Ecs> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let Clients { shared, by_place } = &mut *clients;
        let key = (account.to_owned(), region.to_owned());
        Arc::clone(by_place.entry(key).or_insert_with(|| {
            let attempts = self.base.retry_config().map_or(ATTEMPTS, RetryConfig::max_attempts);
            let credentials = credentials().into();
            let others = others::AuxClients::new(Arc::clone(&self.base), account, credentials.clone());
            let place = aws_sdk_ecs::config::Builder::new()
                .region(Region::new(region.to_owned()))
                .credentials_provider(credentials.provider)
                // Sessions renew themselves; a second cache in front of them would only hide it.
                .identity_cache(aws_sdk_ecs::config::IdentityCache::no_cache())
                .interceptor(CallLog::new(account, region));
            let client = shared.get_or_insert_with(|| self.ecs_of_no_place()).clone();
            Arc::new(ecs::Ecs::new((client, place), attempts, Arc::clone(&self.places), others))
        }))
    }

    /// Returns the SDK's client, each of whose calls is told where it goes and with which credentials.
    fn ecs_of_no_place(&self) -> aws_sdk_ecs::Client {
        let config = aws_sdk_ecs::config::Builder::from(&*self.base).retry_config(RetryConfig::disabled());
        aws_sdk_ecs::Client::from_conf(config.build())
    }
}

fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .operation_timeout(OPERATION_TIMEOUT)
        .build()
}

/// Makes the one HTTPS client of the process: its connections serve every account of a region.
fn https_client() -> Result<SharedHttpClient, Error> {
    let tls = tls()?;
    let client = Builder::new().build_with_connector_fn(move |settings, components| {
        connector(&tls, settings.cloned(), components.and_then(|components| components.sleep_impl()))
    });
    Ok(SharedHttpClient::new(Bounded(client)))
}

/// Makes what opens connections to servers that are not AWS's, as those to AWS are opened.
///
/// # Errors
/// `AWS_CA_BUNDLE` cannot be read.
pub fn connector_of_others() -> Result<SharedHttpConnector, Error> {
    let settings = HttpConnectorSettings::builder().connect_timeout(CONNECT_TIMEOUT).build();
    Ok(SharedHttpConnector::new(connector(&tls()?, Some(settings), None)))
}

/// Makes what opens connections.
fn connector(tls: &TlsContext, settings: Option<HttpConnectorSettings>, sleep: Option<SharedAsyncSleep>) -> Connector {
    let mut connector = Connector::builder().proxy_config(ProxyConfig::from_env());
    connector.set_connector_settings(settings);
    connector.set_sleep_impl(sleep.or_else(|| Some(SharedAsyncSleep::new(TokioSleep::new()))));
    connector.tls_provider(Provider::Rustls(CryptoMode::Ring)).tls_context(tls.clone()).build()
}

/// Reads which authorities are trusted.
fn tls() -> Result<TlsContext, Error> {
    let mut trust = TrustStore::default();
    if let Some(path) = std::env::var_os("AWS_CA_BUNDLE").filter(|path| !path.is_empty()) {
        let pem =
            crate::base::file::read_given(std::path::Path::new(&path), crate::base::file::SMALL).map_err(|error| {
                Error::new(Exit::Usage, format!("AWS_CA_BUNDLE: {error}"))
                    .help("AWS_CA_BUNDLE names a PEM file of certificate authorities; correct or unset it")
            })?;
        trust = trust.with_pem_certificate(pem);
    }
    let tls = TlsContext::builder().with_trust_store(trust).build();
    tls.map_err(|error| Error::new(Exit::Unexpected, format!("the TLS trust store cannot be used: {error}")))
}

#[cfg(test)]
mod tests {
    use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, http_client_fn};
    use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
    use aws_smithy_types::body::SdkBody;

    use super::*;

    /// A server that answers everything with nothing, and remembers where it was asked, and by whom.
    #[derive(Clone, Debug, Default)]
    struct Server(Arc<Mutex<Vec<(String, String)>>>);

    impl HttpConnector for Server {
        fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
            let authorization = request.headers().get("authorization").unwrap_or_default().to_owned();
            self.0.lock().expect("no panic").push((request.uri().to_owned(), authorization));
            HttpConnectorFuture::ready(Ok(HttpResponse::new(200.try_into().expect("a status"), SdkBody::from("{}"))))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_calls_of_an_account_and_region_have_its_endpoint_and_credentials() {
        let server = Server::default();
        let connector = server.clone();
        let http = SharedHttpClient::new(http_client_fn(move |_, _| SharedHttpConnector::new(connector.clone())));
        let aws = Aws::in_process(http, Clock::tokio_from_system(), "us-east-1");
        let places = [("1", "eu-west-1", "AKIAONE"), ("2", "eu-west-1", "AKIATWO"), ("1", "cn-north-1", "AKIATHREE")];
        let clients: Vec<_> = places
            .iter()
            .map(|(account, region, key)| {
                let keys = || SharedCredentialsProvider::new(Credentials::new(*key, "secret", None, None, "test"));
                aws.ecs(account, region, keys)
            })
            .collect();
        for client in clients.iter().chain(&clients) {
            client.describe_services("main", &["api"]).await.expect("an answer");
        }
        let asked = std::mem::take(&mut *server.0.lock().expect("no panic"));
        assert_eq!(asked.len(), 2 * places.len());
        for ((uri, authorization), (_, region, key)) in asked.iter().zip(places.iter().chain(&places)) {
            assert!(uri.starts_with(&format!("https://ecs.{region}.amazonaws.com")), "{uri}");
            assert!(authorization.contains(&format!("Credential={key}/")), "{authorization}");
            assert!(authorization.contains(&format!("/{region}/ecs/aws4_request")), "{authorization}");
        }
    }
}
