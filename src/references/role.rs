//! A role that a task definition names, and whether its trust policy lets ECS's tasks assume it.

use std::fmt;

use serde_json::Value;

use crate::base::arn;
use crate::base::json::each;
use crate::fleet::role_arn::partition_of;
use crate::references::finding::Finding;

/// Whom a task's roles must trust, in every partition; the last is an older spelling of China's.
const TASKS: [&str; 2] = ["ecs-tasks.amazonaws.com", "ecs-tasks.amazonaws.com.cn"];

/// A role.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Role {
    /// The account that it is in.
    pub account: String,
    /// Its name without its path: what GetRole takes.
    pub name: String,
    /// Its ARN, where that is how it is named.
    pub arn: Option<String>,
}

impl Role {
    /// Reads `taskRoleArn` or `executionRoleArn`: a role's ARN, or its name in the task's own account.
    pub fn read(text: &str, account: &str) -> Option<Self> {
        let Some((_, owner, resource)) = arn::parts(text, "iam") else {
            let named = !text.is_empty() && !text.contains([':', '/']);
            return named.then(|| Self { account: account.to_owned(), name: text.to_owned(), arn: None });
        };
        let name = Some(arn::name(resource.strip_prefix("role/")?)).filter(|name| !name.is_empty())?;
        Some(Self { account: owner.to_owned(), name: name.to_owned(), arn: Some(text.to_owned()) })
    }

    /// Says that there is none.
    pub fn missing(&self) -> Finding {
        Finding::new(
            format!("the role {self} does not exist"),
            "create it, or correct taskRoleArn and executionRoleArn of the task definition",
        )
    }

    /// Says that it is of another account than the tasks, whose id is given: no policy can allow ECS to take it.
    pub fn is_foreign(&self, account: &str) -> Finding {
        Finding::new(
            format!("the role {self} is of account {}: it cannot run tasks in account {account}", self.account),
            "write ${account.id} in its ARN, as in arn:aws:iam::${account.id}:role/NAME, or give its name alone",
        )
    }

    /// Says that it is of another partition than a region, where its ARN says so.
    pub fn is_elsewhere(&self, region: &str) -> Option<Finding> {
        let (own, partition) = (partition_of(region), self.arn.as_ref()?.split(':').nth(1)?);
        let reason = format!("the role {self} is of the partition {partition}, and {region} is of {own}");
        (partition != own).then(|| Finding::new(reason, format!("begin it with arn:{own}:, or give its name alone")))
    }

    /// Compares it with what GetRole answers: its ARN and its trust policy. A policy that cannot be read is not judged.
    pub fn judge(&self, arn: &str, trust: Option<&Value>) -> Option<Finding> {
        if self.arn.as_ref().is_some_and(|own| own != arn) {
            let mut finding = self.missing();
            finding.reason = format!("{}: the role of that name is {arn}", finding.reason);
            return Some(finding);
        }
        let refused = trust.is_some_and(|policy| !trusts_tasks(policy));
        refused.then(|| {
            Finding::new(
                format!("the role {self} does not trust {}", TASKS[0]),
                format!("allow sts:AssumeRole to the service {} in its trust policy", TASKS[0]),
            )
        })
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.arn.as_deref().unwrap_or(&self.name))
    }
}

/// Whether a statement allows ECS's tasks to assume the role. Conditions are not evaluated: what they will be asked is not
/// known here. A policy that names what it excludes is taken to allow it.
fn trusts_tasks(policy: &Value) -> bool {
    each(&policy["Statement"]).any(|statement| {
        let principal = match &statement["Principal"] {
            Value::String(any) => any == "*",
            principal => {
                each(&principal["Service"]).chain(each(&principal["AWS"])).filter_map(Value::as_str).any(trusted)
            }
        };
        let covers = |pattern: &str| {
            let pattern = pattern.to_ascii_lowercase();
            match pattern.strip_suffix('*') {
                Some(start) => "sts:assumerole".starts_with(start),
                None => pattern == "sts:assumerole",
            }
        };
        let action = each(&statement["Action"]).filter_map(Value::as_str).any(covers);
        statement["Effect"] == "Allow"
            && (principal || !statement["NotPrincipal"].is_null())
            && (action || !statement["NotAction"].is_null())
    })
}

fn trusted(name: &str) -> bool {
    name == "*" || TASKS.contains(&name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn roles_are_read_from_arns_with_paths_and_from_names() {
        for (text, wanted) in [
            ("arn:aws:iam::111111111111:role/api", Some(("111111111111", "api"))),
            ("arn:aws-cn:iam::111111111111:role/team/a/api", Some(("111111111111", "api"))),
            ("api", Some(("222222222222", "api"))),
            ("arn:aws:iam::111111111111:user/api", None),
            ("arn:aws:iam::111111111111:role/", None),
            ("", None),
        ] {
            let role = Role::read(text, "222222222222");
            assert_eq!(role.as_ref().map(|it| (it.account.as_str(), it.name.as_str())), wanted, "{text}");
        }
    }

    #[test]
    fn trust_is_judged_by_service_and_action() {
        let policy = |principal: Value, action: Value| {
            json!({ "Statement": [{ "Effect": "Deny", "Principal": "*", "Action": "*" },
                                  { "Effect": "Allow", "Principal": principal, "Action": action }] })
        };
        let service = |name: &str| json!({ "Service": name });
        for (policy, wanted) in [
            (policy(service("ecs-tasks.amazonaws.com"), json!("sts:AssumeRole")), true),
            (
                policy(
                    json!({ "Service": ["ec2.amazonaws.com", "ecs-tasks.amazonaws.com"] }),
                    json!(["sts:assumerole"]),
                ),
                true,
            ),
            (policy(json!("*"), json!("sts:*")), true),
            (policy(json!({ "AWS": "*" }), json!("*")), true),
            (policy(service("ec2.amazonaws.com"), json!("sts:AssumeRole")), false),
            (policy(service("ecs.amazonaws.com"), json!("sts:AssumeRole")), false),
            (policy(service("ecs-tasks.amazonaws.com"), json!("sts:TagSession")), false),
            (
                json!({ "Statement": { "Effect": "Allow", "Principal": service("ecs-tasks.amazonaws.com"), "Action": "sts:AssumeRole" } }),
                true,
            ),
            (
                json!({ "Statement": [{ "Effect": "Allow", "NotPrincipal": service("ec2.amazonaws.com"), "Action": "sts:AssumeRole" }] }),
                true,
            ),
            (json!({ "Statement": [] }), false),
        ] {
            assert_eq!(trusts_tasks(&policy), wanted, "{policy}");
        }
    }

    #[test]
    fn a_role_of_the_same_name_on_another_path_is_another_role() {
        let arn = "arn:aws:iam::111111111111:role/tasks/api";
        let role = Role::read(arn, "111111111111").expect("a role");
        assert_eq!(role.judge(arn, None), None);
        let finding = role.judge("arn:aws:iam::111111111111:role/api", None).expect("a finding");
        assert!(
            finding.reason.ends_with("does not exist: the role of that name is arn:aws:iam::111111111111:role/api")
        );
    }
}
