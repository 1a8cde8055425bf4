//! What a task definition names outside of ECS, and must find there when its tasks start: roles, images, log groups,
//! secrets and parameters.
//!
//! Pure. `observe/references.rs` asks AWS for it, by reads alone, where the feature `verify` is built in. That something is
//! missing is a finding, which blocks its target; that it could not be asked is a note and nothing more. No value of a
//! secret or parameter is ever read.

pub mod content;
pub mod finding;
pub mod image;
pub mod log;
pub mod need;
pub mod note;
pub mod role;
pub mod secret;

use std::collections::BTreeSet;

use serde_json::Value;

use crate::references::finding::Finding;
use crate::references::image::Image;
use crate::references::log::Log;
use crate::references::need::Need;
use crate::references::role::Role;
use crate::references::secret::Secret;

use crate::task_definition::Step;

/// Returns what a task definition, in AWS's JSON, needs in an account (by its id) and region, each thing once.
///
/// What is named in a way that this tool does not know is left to ECS: other registries, log drivers and parameters that
/// AWS publishes itself.
pub fn needs(definition: &Value, account: &str, region: &str) -> BTreeSet<Need> {
    let mut needs = BTreeSet::new();
    for member in ["taskRoleArn", "executionRoleArn"] {
        needs.extend(definition[member].as_str().and_then(|text| Role::read(text, account)).map(Need::Role));
    }
    for container in each(&definition["containerDefinitions"]) {
        needs.extend(container["image"].as_str().and_then(Image::read).map(Need::Image));
        needs.extend(
            Log::from_container(container, region).filter(|log| !log.creates).map(|log| Need::LogGroup(log.group)),
        );
        let options = each(&container["logConfiguration"]["secretOptions"]);
        let values = each(&container["secrets"]).chain(options).map(|secret| &secret["valueFrom"]);
        needs.extend(values.filter_map(|value| need::read(value.as_str()?, region)));
        let credentials = container["repositoryCredentials"]["credentialsParameter"].as_str();
        needs.extend(credentials.map(|text| Need::Secret(Secret::read(text, region))));
    }
    needs
}

/// Returns what a task definition names that tasks of an account (by its id) and region can never use, whatever is allowed, and
/// where: a role or a parameter of another account, or what is of another partition. This needs no call to AWS.
pub fn foreign(definition: &Value, account: &str, region: &str) -> Option<(Vec<Step>, Finding)> {
    // As `describe-task-definition` prints it, too.
    let definition = definition.get("taskDefinition").filter(|inner| inner.is_object()).unwrap_or(definition);
    let role = |name: &str| {
        let role = Role::read(definition[name].as_str()?, account)?;
        let finding = (role.account != account).then(|| role.is_foreign(account)).or_else(|| role.is_elsewhere(region));
        Some((vec![member(name)], finding?))
    };
    let secret = |(path, secret): (Vec<Step>, &Value)| {
        let finding = need::fault(secret["valueFrom"].as_str()?, Some(account), region)?;
        Some((path.into_iter().chain([member("valueFrom")]).collect(), finding))
    };
    ["taskRoleArn", "executionRoleArn"].into_iter().find_map(role).or_else(|| secrets(definition).find_map(secret))
}

/// Returns the secrets of all containers, and where they are.
fn secrets(definition: &Value) -> impl Iterator<Item = (Vec<Step>, &Value)> {
    each(&definition["containerDefinitions"]).enumerate().flat_map(|(index, container)| {
        let within = move |names: &[&str], entry: usize| {
            let names = names.iter().map(|name| member(name));
            let container = [member("containerDefinitions"), Step::Entry(index)];
            container.into_iter().chain(names).chain([Step::Entry(entry)]).collect()
        };
        let own = each(&container["secrets"]).enumerate();
        let options = each(&container["logConfiguration"]["secretOptions"]).enumerate();
        own.map(move |(entry, secret)| (within(&["secrets"], entry), secret))
            .chain(options.map(move |(entry, secret)| (within(&["logConfiguration", "secretOptions"], entry), secret)))
    })
}

fn member(name: &str) -> Step {
    Step::Member(name.to_owned())
}

fn each(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn everything_that_a_definition_names_is_needed_once() {
        let secret = "arn:aws:secretsmanager:eu-west-1:222222222222:secret:db-AbCdEf";
        let definition = json!({
            "taskRoleArn": "arn:aws:iam::222222222222:role/tasks/api",
            "executionRoleArn": "arn:aws:iam::222222222222:role/tasks/api",
            "containerDefinitions": [
                {
                    "name": "app", "image": "222222222222.dkr.ecr.eu-west-1.amazonaws.com/api:1",
                    "secrets": [
                        { "name": "USER", "valueFrom": format!("{secret}:user::") },
                        { "name": "PASSWORD", "valueFrom": format!("{secret}:password::") },
                        { "name": "URL", "valueFrom": "/api/url" },
                    ],
                    "logConfiguration": {
                        "logDriver": "awslogs", "options": { "awslogs-group": "/ecs/api", "awslogs-region": "eu-west-1" },
                        "secretOptions": [{ "name": "key", "valueFrom": "log-key" }],
                    },
                },
                { "name": "proxy", "image": "public.ecr.aws/nginx/nginx:1", "repositoryCredentials": { "credentialsParameter": secret } },
                { "name": "own", "logConfiguration": { "logDriver": "awslogs", "options": {
                    "awslogs-group": "mine", "awslogs-create-group": "true" } } },
            ],
        });
        let needs = needs(&definition, "222222222222", "eu-west-1");
        let kinds = needs.iter().map(|need| match need {
            Need::Role(role) => role.to_string(),
            Need::Image(image) => image.to_string(),
            Need::LogGroup(group) => group.name.clone(),
            Need::Secret(secret) => secret.id.clone(),
            Need::Parameter(parameter) => parameter.to_string(),
        });
        assert_eq!(
            kinds.collect::<Vec<_>>(),
            [
                "arn:aws:iam::222222222222:role/tasks/api",
                "222222222222.dkr.ecr.eu-west-1.amazonaws.com/api:1",
                "/ecs/api",
                secret,
                "/api/url",
                "log-key",
            ]
        );
    }

    #[test]
    fn roles_and_parameters_of_another_account_or_partition_are_foreign() {
        let secret =
            |from: &str| json!({ "containerDefinitions": [{ "secrets": [{ "name": "A", "valueFrom": from }] }] });
        let role = |account: &str| json!({ "executionRoleArn": format!("arn:aws:iam::{account}:role/exec") });
        for (definition, wanted) in [
            (role("222222222222"), false),
            (role("111111111111"), true),
            (json!({ "taskDefinition": role("111111111111") }), true),
            (json!({ "taskRoleArn": "name" }), false),
            (secret("arn:aws:ssm:eu-west-1:222222222222:parameter/a"), false),
            (secret("arn:aws:ssm:eu-west-1:111111111111:parameter/a"), true),
            (secret("arn:aws:secretsmanager:eu-west-1:111111111111:secret:a-AbCdEf"), false),
            (secret("arn:aws:ssm:us-east-1:222222222222:parameter/a"), false),
            (secret("arn:aws-cn:ssm:cn-north-1:222222222222:parameter/a"), true),
            (secret("arn:aws:ssm:eu-west-1::parameter/a"), true),
            (json!({ "taskRoleArn": "arn:aws-cn:iam::222222222222:role/exec" }), true),
        ] {
            assert_eq!(foreign(&definition, "222222222222", "eu-west-1").is_some(), wanted, "{definition}");
        }
    }

    #[test]
    fn a_definition_of_nothing_needs_nothing() {
        for definition in [json!({}), json!(null), json!({ "containerDefinitions": [{ "image": 7, "secrets": "x" }] })]
        {
            assert_eq!(needs(&definition, "222222222222", "eu-west-1"), BTreeSet::new(), "{definition}");
        }
    }
}
