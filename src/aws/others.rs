//! The services of an account besides ECS. They are only read, so their calls may be repeated; and since nothing depends
//! on their answers alone, they are given up sooner than those of ECS.

use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_smithy_types::retry::RetryConfig;

use crate::aws::alarms::Alarms;
use crate::aws::codedeploy::CodeDeploy;
use crate::aws::credentials::{AccountCredentials, Signer};
use crate::aws::ecr::Images;
use crate::aws::health::TargetGroups;
use crate::aws::iam::Roles;
use crate::aws::logs::Logs;
use crate::aws::objects::Objects;
use crate::aws::operation::Client;
use crate::aws::organizations::Organizations;
use crate::aws::parameters::Parameters;
use crate::aws::secrets::Secrets;
use crate::aws::service::{
    CLOUDFORMATION, CLOUDWATCH, CODEDEPLOY, ECR, ELB, IAM, LOGS, ORGANIZATIONS, SECRETS, SSM, Service,
};
use crate::aws::stacks::Stacks;

/// Attempts at a call.
const ATTEMPTS: u32 = 3;
/// How long a call may take with all its attempts.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(15);

/// The other services of one account. Clients are made when they are asked for: most runs need few of them.
#[derive(Clone, Debug)]
pub struct AuxClients {
    base: Arc<SdkConfig>,
    credentials: AccountCredentials,
    account: String,
}

impl AuxClients {
    pub(super) fn new(base: Arc<SdkConfig>, account: &str, credentials: AccountCredentials) -> Self {
        Self { base, credentials, account: account.to_owned() }
    }

    /// Returns what finds out who signs a call of the account.
    pub(super) fn signer(&self) -> Signer {
        self.credentials.signer()
    }

    /// Returns how calls of the account are made.
    fn config(&self) -> SdkConfig {
        let timeouts = crate::aws::timeouts().to_builder().operation_timeout(OPERATION_TIMEOUT).build();
        self.base
            .to_builder()
            .timeout_config(timeouts)
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
            .build()
    }

    fn client(&self, service: Service, region: &str) -> Client {
        Client::new(service, &self.config(), &self.credentials, (&self.account, region))
    }

    /// Returns CloudWatch Logs.
    pub fn logs(&self, region: &str) -> Logs {
        Logs::new(self.client(LOGS, region))
    }

    /// Returns CloudWatch's alarms.
    pub fn alarms(&self, region: &str) -> Alarms {
        Alarms::new(self.client(CLOUDWATCH, region))
    }

    /// Returns CodeDeploy.
    pub fn codedeploy(&self, region: &str) -> CodeDeploy {
        CodeDeploy::new(self.client(CODEDEPLOY, region))
    }

    /// Returns the target groups of load balancers.
    pub fn target_groups(&self, region: &str) -> TargetGroups {
        TargetGroups::new(self.client(ELB, region))
    }

    /// Returns IAM, which is the same in every region of a partition.
    pub fn roles(&self, region: &str) -> Roles {
        Roles::new(self.client(IAM, region))
    }

    /// Returns the organization, which is the same in every region of a partition.
    pub fn organization(&self, region: &str) -> Organizations {
        Organizations::new(self.client(ORGANIZATIONS, region))
    }

    /// Returns the objects of a bucket of S3, which is in the region.
    pub fn objects(&self, region: &str, bucket: &str) -> Objects {
        Objects::new(Client::of_bucket(&self.config(), &self.credentials, (&self.account, region), bucket))
    }

    /// Returns ECR.
    pub fn images(&self, region: &str) -> Images {
        Images::new(self.client(ECR, region))
    }

    /// Returns Secrets Manager.
    pub fn secrets(&self, region: &str) -> Secrets {
        Secrets::new(self.client(SECRETS, region))
    }

    /// Returns the stacks of CloudFormation.
    pub fn stacks(&self, region: &str) -> Stacks {
        Stacks::new(self.client(CLOUDFORMATION, region))
    }

    /// Returns the parameters of Systems Manager.
    pub fn parameters(&self, region: &str) -> Parameters {
        Parameters::new(self.client(SSM, region))
    }
}
