//! Policy documents and IAM's limits on their size, which do not count spaces.

use serde_json::{Value, json};

use crate::fleet::role_arn::RoleArn;
use crate::iam::grant::Statement;
use crate::iam::refusal::Refusal;

/// The characters of a managed policy.
const POLICY: usize = 6144;
/// The managed policies of a role, unless the account's quota was raised.
const POLICIES: usize = 10;
/// The characters of a trust policy, unless the account's quota was raised.
const TRUST: usize = 2048;
/// The most to which that quota can be raised.
const LONGEST_TRUST: usize = 4096;

/// A managed policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// Its name, of the role's and what it is for.
    pub name: String,
    /// The document.
    pub document: Value,
}

/// Returns a policy document.
pub fn document(statements: Vec<Value>) -> Value {
    json!({ "Version": "2012-10-17", "Statement": statements })
}

/// Returns a document's size as IAM counts it.
pub fn size(document: &Value) -> usize {
    document.to_string().chars().filter(|char| !char.is_whitespace()).count()
}

/// Puts statements into as few policies as keep their order, and splits a statement that is too long for one.
///
/// # Errors
/// A role would need more policies than IAM attaches.
pub fn pack(role: &RoleArn, name: &str, statements: Vec<Statement>) -> Result<Vec<Policy>, Refusal> {
    let mut policies: Vec<Vec<Value>> = Vec::new();
    for statement in statements.into_iter().flat_map(fitting) {
        let statement = statement.json();
        match policies.last_mut() {
            Some(last) if size(&document([last.as_slice(), std::slice::from_ref(&statement)].concat())) <= POLICY => {
                last.push(statement);
            }
            _ => policies.push(vec![statement]),
        }
    }
    if policies.len() > POLICIES {
        let message = format!(
            "the role {role} needs {} managed policies of {POLICY} characters, and IAM attaches {POLICIES} to a role",
            policies.len()
        );
        return Err(Refusal::new(message, "give accounts with so many services more roles, by a manifest for each"));
    }
    let count = policies.len();
    let named = policies.into_iter().enumerate().map(|(number, statements)| Policy {
        name: if count == 1 { name.to_owned() } else { format!("{name}-{}", number + 1) },
        document: document(statements),
    });
    Ok(named.collect())
}

/// Splits a statement by its resources until each part fits into a policy.
fn fitting(statement: Statement) -> Vec<Statement> {
    if size(&document(vec![statement.json()])) <= POLICY || statement.resources.len() < 2 {
        return vec![statement];
    }
    let (start, end) = statement.resources.split_at(statement.resources.len() / 2);
    let part = |letter: &str, resources: &[String]| Statement {
        sid: format!("{}{letter}", statement.sid),
        resources: resources.to_vec(),
        ..statement.clone()
    };
    let mut parts = fitting(part("A", start));
    parts.extend(fitting(part("B", end)));
    parts
}

/// Checks a trust policy's size. Returns what has to be asked of AWS for it.
///
/// # Errors
/// No quota is large enough.
pub fn check_trust(role: &RoleArn, trust: &Value) -> Result<Option<String>, Refusal> {
    match size(trust) {
        0..=TRUST => Ok(None),
        length @ ..=LONGEST_TRUST => Ok(Some(format!(
            "the trust policy of {role} has {length} characters: raise the account's IAM quota `Role trust policy length`, \
             {TRUST} at first, to {length} or more"
        ))),
        length => {
            let message =
                format!("the trust policy of {role} has {length} characters, and IAM accepts at most {LONGEST_TRUST}");
            Err(Refusal::new(
                message,
                "name fewer projects, branches and tags in `identity.allow`, or give each group of projects a first role \
                 and a manifest of its own",
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role() -> RoleArn {
        "arn:aws:iam::111111111111:role/r".parse().expect("an ARN")
    }

    fn statement(resources: usize) -> Statement {
        let arn = |number| format!("arn:aws:ecs:eu-west-1:111111111111:service/cluster/service-{number}");
        Statement {
            sid: "Services".to_owned(),
            actions: vec!["ecs:DescribeServices".to_owned()],
            resources: (0..resources).map(arn).collect(),
            condition: None,
        }
    }

    #[test]
    fn a_long_statement_is_split_and_loses_nothing() {
        for (resources, policies) in [(10, 1), (90, 1), (120, 2), (400, 5)] {
            let packed = pack(&role(), "r-deploy", vec![statement(resources)]).expect("it fits");
            assert!(packed.iter().all(|policy| size(&policy.document) <= POLICY), "{resources}");
            let all = packed.iter().flat_map(|policy| policy.document["Statement"].as_array().expect("a list"));
            let count: usize = all.map(|one| one["Resource"].as_array().expect("a list").len()).sum();
            assert_eq!(count, resources, "{resources}");
            assert!(packed.len() >= policies, "{resources}: {}", packed.len());
        }
    }

    #[test]
    fn what_iam_cannot_hold_is_refused_with_the_figure() {
        let refusal = pack(&role(), "r-deploy", vec![statement(4000)]).expect_err("too much");
        assert!(refusal.message.contains("managed policies of 6144 characters, and IAM attaches 10"), "{refusal:?}");
        let trust = |length: usize| json!({ "Statement": ["x".repeat(length)] });
        assert_eq!(check_trust(&role(), &trust(2000)), Ok(None));
        assert!(check_trust(&role(), &trust(3000)).expect("possible").is_some_and(|note| note.contains("has 3018")));
        let refusal = check_trust(&role(), &trust(5000)).expect_err("too long");
        assert!(refusal.message.contains("has 5018 characters, and IAM accepts at most 4096"), "{refusal:?}");
    }
}
