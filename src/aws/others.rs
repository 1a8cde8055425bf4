//! The services of an account besides ECS. They are only read, so their calls may be repeated; and since nothing depends
//! on their answers alone, they are given up sooner than those of ECS.

use std::time::Duration;

use aws_config::{Region, SdkConfig};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_types::retry::RetryConfig;

use crate::aws::alarms::States;
use crate::aws::calls::CallLog;
use crate::aws::error::CallError;
use crate::aws::logs::Logs;
#[cfg(feature = "verify")]
use crate::aws::{ecr::Images, iam::Roles, parameters::Parameters, secrets::Secrets};

/// Attempts at a call.
const ATTEMPTS: u32 = 3;
/// How long a call may take with all its attempts.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(15);

/// The other services of one account. Clients are made when they are asked for: most runs need few of them.
#[derive(Clone, Debug)]
pub struct AuxClients {
    base: SdkConfig,
    account: String,
}

/// Makes a service's client for a region, with a retry bucket of the account's own: the SDK's is shared by all accounts.
macro_rules! client {
    ($sdk:ident, $others:expr, $region:expr) => {{
        let name = format!("{}/{}/{}", $others.account, $region, stringify!($sdk));
        let config = $sdk::config::Builder::from(&$others.base)
            .region(Region::new($region.to_owned()))
            .identity_cache($sdk::config::IdentityCache::no_cache())
            .retry_partition($sdk::config::retry::RetryPartition::custom(name).build())
            .interceptor(CallLog::new(&$others.account, $region));
        $sdk::Client::from_conf(config.build())
    }};
}

impl AuxClients {
    pub(super) fn new(base: &SdkConfig, account: &str, credentials: SharedCredentialsProvider) -> Self {
        let timeouts = crate::aws::timeouts().to_builder().operation_timeout(OPERATION_TIMEOUT).build();
        let base = base
            .clone()
            .into_builder()
            .credentials_provider(credentials)
            .timeout_config(timeouts)
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
            .build();
        Self { base, account: account.to_owned() }
    }

    /// Returns CloudWatch Logs.
    pub fn logs(&self, region: &str) -> Logs {
        Logs::new(client!(aws_sdk_cloudwatchlogs, self, region))
    }

    /// Returns the states of those of the names that are CloudWatch alarms of the region.
    #[cfg(feature = "alarms")]
    pub async fn alarm_states(&self, region: &str, names: &[String]) -> Result<States, CallError> {
        crate::aws::alarms::Alarms::new(client!(aws_sdk_cloudwatch, self, region)).states(names).await
    }

    /// Without the feature `alarms` none can be looked at.
    ///
    /// # Errors
    /// Always, without a call.
    #[cfg(not(feature = "alarms"))]
    pub async fn alarm_states(&self, _: &str, _: &[String]) -> Result<States, CallError> {
        let text = "this build of roleout cannot look at CloudWatch alarms; build it with the cargo feature `alarms`";
        Err(CallError::plain("DescribeAlarms", crate::aws::error::Kind::NotSent, text))
    }

    /// Returns CodeDeploy.
    #[cfg(feature = "codedeploy")]
    pub fn codedeploy(&self, region: &str) -> crate::aws::codedeploy::CodeDeploy {
        crate::aws::codedeploy::CodeDeploy::new(client!(aws_sdk_codedeploy, self, region))
    }

    /// Returns the target groups of load balancers.
    #[cfg(feature = "health")]
    pub fn target_groups(&self, region: &str) -> crate::aws::health::TargetGroups {
        crate::aws::health::TargetGroups::new(client!(aws_sdk_elasticloadbalancingv2, self, region))
    }

    /// Returns IAM, which is the same in every region of a partition.
    #[cfg(feature = "verify")]
    pub fn roles(&self, region: &str) -> Roles {
        Roles::new(client!(aws_sdk_iam, self, region))
    }

    /// Returns ECR.
    #[cfg(feature = "verify")]
    pub fn images(&self, region: &str) -> Images {
        Images::new(client!(aws_sdk_ecr, self, region))
    }

    /// Returns Secrets Manager.
    #[cfg(feature = "verify")]
    pub fn secrets(&self, region: &str) -> Secrets {
        Secrets::new(client!(aws_sdk_secretsmanager, self, region))
    }

    /// Returns the parameters of Systems Manager.
    #[cfg(feature = "verify")]
    pub fn parameters(&self, region: &str) -> Parameters {
        Parameters::new(client!(aws_sdk_ssm, self, region))
    }
}
