//! The services besides STS and IAM, which speak awsJson or RPC v2: which one a request is for, and what its operations are called.

use serde_json::Value;

use crate::sandbox::wire::AwsError;
use crate::sandbox::world::{Call, World};
use crate::sandbox::{alarms, codedeploy, ecr, ecs, logs, organizations, parameters, secrets};

/// A service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Api {
    Ecs,
    Ecr,
    Logs,
    Secrets,
    Parameters,
    Alarms,
    CodeDeploy,
    Organizations,
}

/// What `x-amz-target` begins with; in RPC v2 the service of the path.
const TARGETS: [(&str, Api); 8] = [
    ("AmazonEC2ContainerServiceV20141113.", Api::Ecs),
    ("AmazonEC2ContainerRegistry_V20150921.", Api::Ecr),
    ("Logs_20140328.", Api::Logs),
    ("secretsmanager.", Api::Secrets),
    ("AmazonSSM.", Api::Parameters),
    ("GraniteServiceVersion20100801.", Api::Alarms),
    ("CodeDeploy_20141006.", Api::CodeDeploy),
    ("AWSOrganizationsV20161128.", Api::Organizations),
];

impl Api {
    /// Reads `x-amz-target` into a service and its operation.
    pub(crate) fn parse(target: &str) -> Option<(Self, &str)> {
        TARGETS.iter().find_map(|(prefix, api)| Some((*api, target.strip_prefix(prefix)?)))
    }

    /// Returns the name of the service's model.
    pub(crate) fn model(self) -> &'static str {
        match self {
            Self::Ecs => "ecs",
            Self::Ecr => "ecr",
            Self::Logs => "logs",
            Self::Secrets => "secretsmanager",
            Self::Parameters => "ssm",
            Self::Alarms => "cloudwatch",
            Self::CodeDeploy => "codedeploy",
            Self::Organizations => "organizations",
        }
    }

    /// Whether an operation changes something.
    pub(crate) fn changes(self, operation: &str) -> bool {
        match self {
            Self::Ecs => ecs::changes(operation),
            Self::CodeDeploy => codedeploy::changes(operation),
            _ => false,
        }
    }

    /// Carries an operation out and returns its answer as JSON text.
    pub(crate) fn answer(self, world: &mut World, call: &Call, input: &Value) -> Result<String, AwsError> {
        let unknown = |service: &str| {
            let text = format!("the sandbox does not have {service}'s {}", call.operation);
            Err(AwsError::new("UnknownOperationException", text))
        };
        let output = match (self, call.operation.as_str()) {
            (Self::Ecs, _) => return ecs::answer(world, call, input),
            (Self::Ecr, "BatchGetImage") => ecr::manifests(world, call, input),
            (Self::Ecr, "DescribeImageReplicationStatus") => ecr::replication(world, call, input),
            (Self::Ecr, "DescribeImages") => ecr::images(world, call, input),
            (Self::Ecr, "DescribePullThroughCacheRules") => ecr::caches(world, call, input),
            (Self::Ecr, "GetDownloadUrlForLayer") => ecr::locate(world, call, input),
            (Self::Ecr, _) => unknown("ECR"),
            (Self::Logs, "DescribeLogGroups") => logs::groups(world, call, input),
            (Self::Logs, "GetLogEvents") => logs::events(world, call, input),
            (Self::Logs, _) => unknown("CloudWatch Logs"),
            (Self::Secrets, "DescribeSecret") => secrets::describe(world, call, input),
            (Self::Secrets, _) => unknown("Secrets Manager"),
            (Self::Parameters, "DescribeParameters") => parameters::describe(world, call, input),
            (Self::Parameters, "GetParameters") => parameters::read(world, call, input),
            (Self::Parameters, _) => unknown("Systems Manager"),
            (Self::Alarms, "DescribeAlarms") => alarms::describe(world, call, input),
            (Self::Alarms, _) => unknown("CloudWatch"),
            (Self::CodeDeploy, "CreateDeployment") => codedeploy::create(world, call, input),
            (Self::CodeDeploy, "GetDeployment") => codedeploy::get(world, call, input),
            (Self::CodeDeploy, "BatchGetDeployments") => codedeploy::batch(world, call, input),
            (Self::CodeDeploy, "GetDeploymentGroup") => codedeploy::group(world, call, input),
            (Self::CodeDeploy, "ListDeployments") => codedeploy::list(world, call, input),
            (Self::CodeDeploy, "StopDeployment") => codedeploy::stop(world, call, input),
            (Self::CodeDeploy, _) => unknown("CodeDeploy"),
            (Self::Organizations, _) => organizations::answer(world, call, input),
        };
        output.map(|output| output.to_string())
    }
}
