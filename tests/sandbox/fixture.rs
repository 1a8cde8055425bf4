//! A small fleet in a sandbox, and the SDK's clients for it: a hub account, and `prod` with the service `api`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_sdk_ecs::config::retry::RetryConfig;
use aws_sdk_ecs::types::{Service, ServiceDeploymentBrief};
use aws_sdk_sts::operation::assume_role::AssumeRoleError;
use aws_sdk_sts::operation::assume_role::builders::AssumeRoleFluentBuilder;
use aws_sdk_sts::operation::assume_role_with_web_identity::AssumeRoleWithWebIdentityError;
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_async::time::TimeSource;
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_types::region::Region;
use roleout::base::clock::Clock;
use roleout::fleet::{
    Account, Amount, Desired, Fleet, Hop, Identity, IdentitySource, OnBusy, OnCancel, OnFailure, Parallelism, Release,
    RoleChain, Roster, TargetId, TargetSpec, Wave,
};
use roleout::sandbox::{Claims, Sandbox, Timing};
use secrecy::ExposeSecret as _;

pub(crate) const HUB: &str = "arn:aws:iam::111111111111:role/gitlab-hub";
pub(crate) const DEPLOYER: &str = "arn:aws:iam::222222222222:role/deployer";
pub(crate) const PROD: &str = "222222222222";
pub(crate) const REGION: &str = "eu-west-1";
pub(crate) const CLUSTER: &str = "web";

/// The clock of the sandbox, as the SDK wants it.
#[derive(Debug)]
struct Time(Clock);

impl TimeSource for Time {
    fn now(&self) -> std::time::SystemTime {
        self.0.now()
    }
}

pub(crate) struct Fixture {
    pub(crate) sandbox: Sandbox,
}

/// Lets virtual time pass.
pub(crate) async fn advance(duration: Duration) {
    tokio::time::sleep(duration).await;
}

pub(crate) fn hop(role: &str, arn: &str) -> Hop {
    Hop {
        role: role.to_owned(),
        arn: arn.parse().expect("a role's ARN"),
        external_id: None,
        tags: BTreeMap::new(),
        transitive_tags: Vec::new(),
        source_identity: None,
        policy: None,
        policy_arns: Vec::new(),
        duration: None,
    }
}

/// A fleet of one account, `prod`, behind a hub, with so many services: `api`, `api-1`, `api-2` ...
pub(crate) fn fleet(services: usize) -> Fleet {
    let mut last = hop("deployer", DEPLOYER);
    last.external_id = Some("external-1".to_owned());
    let account = Arc::new(Account {
        id: PROD.parse().expect("an id"),
        name: "prod".to_owned(),
        labels: BTreeMap::new(),
        regions: vec![REGION.to_owned()],
        chain: RoleChain { hops: vec![hop("hub", HUB), last] },
    });
    let names: Vec<String> =
        (0..services).map(|n| if n == 0 { "api".to_owned() } else { format!("api-{n}") }).collect();
    let targets = names.iter().map(|name| TargetSpec {
        id: TargetId { account: "prod".into(), region: REGION.into(), service: name.as_str().into() },
        account: account.clone(),
        cluster: CLUSTER.to_owned(),
        service: name.clone(),
        desired: Desired {
            images: [("app".to_owned(), "registry.example.com/api:2".to_owned())].into_iter().collect(),
            ..Desired::default()
        },
        timeout: Duration::from_secs(600),
        alarms: Vec::new(),
    });
    Fleet {
        identity: Identity {
            source: IdentitySource::TokenEnv("TOKEN".to_owned()),
            region: REGION.to_owned(),
            session_name: "gl-1-2-3".to_owned(),
            issuer: None,
        },
        allow: None,
        console: None,
        accounts: vec![account.clone()],
        roster: Roster::default(),
        targets: targets.collect(),
        sources: Vec::new(),
        waves: vec![Wave {
            name: "all".to_owned(),
            targets: (0..services).collect(),
            max_parallel: Parallelism::Window(Amount::Percent(100)),
            max_parallel_per_account: None,
            max_failures: Amount::Count(0),
            strict: false,
            bake: Duration::ZERO,
            gate: false,
            on_failure: OnFailure::Stop,
            on_cancel: OnCancel::Detach,
        }],
        on_busy: OnBusy::Fail,
        notify: Vec::new(),
        environments: BTreeMap::new(),
        tiers: BTreeMap::new(),
        release: Release::default(),
        open: BTreeSet::new(),
        warnings: Vec::new(),
    }
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        Self::with_services(1).await
    }

    pub(crate) async fn with_services(services: usize) -> Self {
        let sandbox = Sandbox::for_fleet(&fleet(services), 7, Clock::tokio());
        sandbox.set_timing(Timing::realistic());
        sandbox.set_latency(Duration::from_millis(40));
        Self { sandbox }
    }

    fn sts_config(&self) -> aws_sdk_sts::config::Builder {
        aws_sdk_sts::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(REGION))
            .retry_config(RetryConfig::disabled())
            .time_source(Time(self.sandbox.clock()))
            .sleep_impl(TokioSleep::new())
            .http_client(self.sandbox.http_client())
    }

    pub(crate) fn sts(&self, credentials: &Credentials) -> aws_sdk_sts::Client {
        aws_sdk_sts::Client::from_conf(self.sts_config().credentials_provider(credentials.clone()).build())
    }

    pub(crate) fn ecs_as(&self, credentials: &Credentials) -> aws_sdk_ecs::Client {
        let config = aws_sdk_ecs::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(REGION))
            .retry_config(RetryConfig::disabled())
            .time_source(Time(self.sandbox.clock()))
            .sleep_impl(TokioSleep::new())
            .http_client(self.sandbox.http_client())
            .credentials_provider(credentials.clone());
        aws_sdk_ecs::Client::from_conf(config.build())
    }

    /// ECS with the static credentials of `prod`.
    pub(crate) async fn ecs(&self) -> aws_sdk_ecs::Client {
        self.ecs_as(&Sandbox::account_credentials(PROD))
    }

    pub(crate) async fn hub_session(
        &self,
        claims: &Claims,
        duration: Option<i32>,
    ) -> Result<Credentials, AssumeRoleWithWebIdentityError> {
        self.web_identity(HUB, self.sandbox.id_token(claims.clone()).expose_secret(), duration).await
    }

    pub(crate) async fn web_identity(
        &self,
        role: &str,
        token: &str,
        duration: Option<i32>,
    ) -> Result<Credentials, AssumeRoleWithWebIdentityError> {
        let client = aws_sdk_sts::Client::from_conf(self.sts_config().build());
        let call = client.assume_role_with_web_identity().role_arn(role).role_session_name("gl-1-2-3");
        let output = call.web_identity_token(token).set_duration_seconds(duration).send().await;
        let output = output.map_err(aws_sdk_sts::error::SdkError::into_service_error)?;
        Ok(credentials(output.credentials().expect("credentials")))
    }

    /// A session of the deployer in `prod`, from the hub's; with its external id unless the call is changed.
    pub(crate) async fn chained(
        &self,
        hub: &Credentials,
        _account: &str,
        change: impl FnOnce(AssumeRoleFluentBuilder) -> AssumeRoleFluentBuilder,
    ) -> Result<Credentials, AssumeRoleError> {
        let call =
            self.sts(hub).assume_role().role_arn(DEPLOYER).role_session_name("gl-1-2-3").external_id("external-1");
        let output = change(call).send().await.map_err(aws_sdk_sts::error::SdkError::into_service_error)?;
        Ok(credentials(output.credentials().expect("credentials")))
    }

    pub(crate) async fn service(&self) -> Service {
        let call = self.ecs().await.describe_services().cluster(CLUSTER).services("api");
        call.send().await.expect("a description").services.expect("services").remove(0)
    }

    /// The service deployments of `api`, newest first.
    pub(crate) async fn history(&self) -> Vec<ServiceDeploymentBrief> {
        let call = self.ecs().await.list_service_deployments().cluster(CLUSTER).service("api");
        call.send().await.expect("a list").service_deployments.unwrap_or_default()
    }

    /// Registers a revision of `api` and returns its ARN.
    pub(crate) async fn register(&self, image: &str) -> String {
        let container = aws_sdk_ecs::types::ContainerDefinition::builder().name("app").image(image).build();
        let call = self.ecs().await.register_task_definition().family("api").cpu("256").memory("512");
        let output = call.container_definitions(container).send().await.expect("a revision");
        output.task_definition.and_then(|definition| definition.task_definition_arn).expect("an ARN")
    }

    /// Registers and deploys an image; returns the deployment's id and the revision's ARN.
    pub(crate) async fn deploy(&self, image: &str) -> (String, String) {
        let revision = self.register(image).await;
        let call = self.ecs().await.update_service().cluster(CLUSTER).service("api").task_definition(&revision);
        let service = call.send().await.expect("an update").service.expect("a service");
        (service.deployments()[0].id().expect("an id").to_owned(), revision)
    }
}

fn credentials(given: &aws_sdk_sts::types::Credentials) -> Credentials {
    Credentials::new(
        given.access_key_id(),
        given.secret_access_key(),
        Some(given.session_token().to_owned()),
        None,
        "test",
    )
}
