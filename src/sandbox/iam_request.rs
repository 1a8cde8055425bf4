//! What a call asks of IAM: its actions, each with its resource and condition keys.
//!
//! An action that AWS authorises on several kinds of resources is asked for each of them, and one that hands a role to tasks
//! or hooks is asked for `iam:PassRole` besides. Which calls evaluate that for roles that a revision has already is not
//! documented: here it is RegisterTaskDefinition and RunTask.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::sandbox::account::partition;
use crate::sandbox::api::Api;
use crate::sandbox::ecs::{list_of, short, text_of};
use crate::sandbox::world::{Call, World};
use crate::sandbox::{codedeploy, ecr, logs, organizations, parameters, secrets};

/// Condition keys, lower-cased, and their values.
pub(crate) type Keys = BTreeMap<String, Vec<String>>;

/// One question to IAM.
#[derive(Clone, Debug)]
pub(crate) struct IamRequest {
    /// The action, as policies name it.
    pub(crate) action: String,
    /// The resource's ARN, or `*`.
    pub(crate) resource: String,
    /// The condition keys of the request.
    pub(crate) keys: Keys,
}

impl IamRequest {
    fn new(action: impl Into<String>, resource: impl Into<String>) -> Self {
        Self { action: action.into(), resource: resource.into(), keys: Keys::new() }
    }

    fn with(self, keys: &Keys) -> Self {
        Self { keys: keys.clone(), ..self }
    }
}

/// Returns what a call asks.
pub(crate) fn from_call(api: Api, world: &World, call: &Call, input: &Value) -> Vec<IamRequest> {
    let one =
        |service: &str, resource: String| vec![IamRequest::new(format!("{service}:{}", call.operation), resource)];
    match api {
        Api::Ecs => ecs(world, call, input),
        Api::Ecr => one("ecr", ecr::resource(call, input)),
        Api::Logs => one("logs", logs::resource(call, input)),
        Api::Secrets => one("secretsmanager", secrets::resource(call, input)),
        Api::Parameters if call.operation == "GetParameters" => {
            let arns = parameters::resources(call, input).into_iter();
            arns.map(|arn| IamRequest::new("ssm:GetParameters", arn)).collect()
        }
        // DescribeParameters knows no resources.
        Api::Parameters => one("ssm", "*".to_owned()),
        Api::Alarms => one("cloudwatch", arn(call, "cloudwatch", "alarm:*")),
        Api::CodeDeploy => by_codedeploy(world, call, input),
        Api::Organizations => one("organizations", organizations::resource(world, input)),
    }
}

fn arn(call: &Call, service: &str, resource: &str) -> String {
    format!("arn:{}:{service}:{}:{}:{resource}", partition(&call.region), call.region, call.account)
}

fn by_codedeploy(world: &World, call: &Call, input: &Value) -> Vec<IamRequest> {
    let action = |operation: &str| format!("codedeploy:{operation}");
    let mut asked = vec![IamRequest::new(action(&call.operation), codedeploy::resource(world, call, input))];
    if call.operation == "CreateDeployment" {
        let configuration = text_of(input, "deploymentConfigName").unwrap_or("CodeDeployDefault.ECSAllAtOnce");
        let configuration = arn(call, "codedeploy", &format!("deploymentconfig:{configuration}"));
        asked.push(IamRequest::new(action("GetDeploymentConfig"), configuration));
        let application = format!("application:{}", text_of(input, "applicationName").unwrap_or_default());
        asked.push(IamRequest::new(action("RegisterApplicationRevision"), arn(call, "codedeploy", &application)));
    }
    asked
}

fn ecs(world: &World, call: &Call, input: &Value) -> Vec<IamRequest> {
    let keys = condition_keys(call, input);
    let action = format!("ecs:{}", call.operation);
    let resources = resources(call, input);
    let own = resources.iter().map(|resource| IamRequest::new(&action, resource).with(&keys));
    let mut asked: Vec<IamRequest> = own.collect();
    let creates =
        matches!(call.operation.as_str(), "RegisterTaskDefinition" | "CreateService" | "CreateCluster" | "RunTask");
    let is_tagged = input.get("tags").and_then(Value::as_array).is_some_and(|tags| !tags.is_empty());
    if creates && is_tagged {
        let mut keys = keys;
        keys.insert("ecs:createaction".to_owned(), vec![call.operation.clone()]);
        asked.extend(resources.iter().map(|resource| IamRequest::new("ecs:TagResource", resource).with(&keys)));
    }
    asked.extend(passed(world, call, input));
    asked
}

/// Returns the roles that a call hands on.
fn passed(world: &World, call: &Call, input: &Value) -> Vec<IamRequest> {
    let named = |definition: &Value| -> BTreeSet<String> {
        let members = ["taskRoleArn", "executionRoleArn"].into_iter();
        members.filter_map(|member| text_of(definition, member).map(str::to_owned)).collect()
    };
    let (service, roles) = match call.operation.as_str() {
        "RegisterTaskDefinition" => ("ecs-tasks.amazonaws.com", named(input)),
        "RunTask" => {
            let region = world.regions.get(&(call.account.clone(), call.region.clone()));
            let definition = text_of(input, "taskDefinition").zip(region).and_then(|(name, it)| it.definition(name));
            ("ecs-tasks.amazonaws.com", definition.map(|(_, _, one)| named(&one.body.value())).unwrap_or_default())
        }
        "UpdateService" | "CreateService" => {
            let hooks = input["deploymentConfiguration"]["lifecycleHooks"].as_array().into_iter().flatten();
            ("ecs.amazonaws.com", hooks.filter_map(|hook| text_of(hook, "roleArn").map(str::to_owned)).collect())
        }
        _ => return Vec::new(),
    };
    let keys = Keys::from([("iam:passedtoservice".to_owned(), vec![service.to_owned()])]);
    let whole = |role: String| match role.starts_with("arn:") {
        true => role,
        false => format!("arn:{}:iam::{}:role/{role}", partition(&call.region), call.account),
    };
    roles.into_iter().map(|role| IamRequest::new("iam:PassRole", whole(role)).with(&keys)).collect()
}

/// Returns the resources that a call of ECS is authorised on.
fn resources(call: &Call, input: &Value) -> Vec<String> {
    let cluster = short(text_of(input, "cluster").unwrap_or("default"));
    let service = |name: &str| call.arn(&format!("service/{cluster}/{}", short(name)));
    let one = |resource: String| vec![resource];
    match call.operation.as_str() {
        "UpdateService" | "DeleteService" | "ListServiceDeployments" => {
            one(service(text_of(input, "service").unwrap_or_default()))
        }
        "CreateService" => one(service(text_of(input, "serviceName").unwrap_or_default())),
        "DescribeServices" => some(list_of(input, "services").into_iter().map(service).collect(), service("*")),
        "RegisterTaskDefinition" => {
            one(call.arn(&format!("task-definition/{}:*", text_of(input, "family").unwrap_or_default())))
        }
        "DescribeServiceDeployments" => with_services(list_of(input, "serviceDeploymentArns"), "service-deployment"),
        "DescribeServiceRevisions" => with_services(list_of(input, "serviceRevisionArns"), "service-revision"),
        "StopServiceDeployment" | "ContinueServiceDeployment" => {
            with_services(text_of(input, "serviceDeploymentArn").into_iter().collect(), "service-deployment")
        }
        "DescribeClusters" => {
            one(call.arn(&format!("cluster/{}", list_of(input, "clusters").first().map_or("default", |c| short(c)))))
        }
        "CreateCluster" => one(call.arn(&format!("cluster/{}", text_of(input, "clusterName").unwrap_or("default")))),
        "DescribeTasks" => {
            let task = |name: &str| call.arn(&format!("task/{cluster}/{}", short(name)));
            some(list_of(input, "tasks").into_iter().map(task).collect(), task("*"))
        }
        "StopTask" => one(call.arn(&format!("task/{cluster}/{}", short(text_of(input, "task").unwrap_or("*"))))),
        "RunTask" => {
            let name = short(text_of(input, "taskDefinition").unwrap_or_default());
            let any = if name.contains(':') { "" } else { ":*" };
            one(call.arn(&format!("task-definition/{name}{any}")))
        }
        "TagResource" | "UntagResource" | "ListTagsForResource" => {
            one(text_of(input, "resourceArn").unwrap_or("*").to_owned())
        }
        _ => one("*".to_owned()),
    }
}

fn some(resources: Vec<String>, default: String) -> Vec<String> {
    if resources.is_empty() { vec![default] } else { resources }
}

/// Returns service deployments or service revisions, and the services that they are of: AWS authorises on both.
fn with_services(arns: Vec<&str>, kind: &str) -> Vec<String> {
    let mut resources = BTreeSet::new();
    for arn in arns {
        resources.insert(arn.to_owned());
        let of = arn.rsplit_once('/').map(|(start, _)| start.replacen(&format!(":{kind}/"), ":service/", 1));
        resources.extend(of.filter(|service| service.contains(":service/")));
    }
    some(resources.into_iter().collect(), "*".to_owned())
}

/// Returns the condition keys of a call: `ecs:cluster` where it names one.
fn condition_keys(call: &Call, input: &Value) -> Keys {
    let cluster = text_of(input, "cluster").map(|cluster| call.arn(&format!("cluster/{}", short(cluster))));
    cluster.map(|cluster| ("ecs:cluster".to_owned(), vec![cluster])).into_iter().collect()
}
