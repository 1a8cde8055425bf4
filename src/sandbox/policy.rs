//! IAM's policy language, as far as trust and deployment policies use it.
//!
//! Effect, principal, action, resource and the string, ARN, boolean and null conditions. An operator that is not known
//! here never matches, so a policy that needs it fails instead of passing by accident.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::base::iam_pattern::matches;
use crate::base::json::each;

/// What a policy is asked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ask<'a> {
    /// `sts:AssumeRole`, `ecs:UpdateService`.
    pub(crate) action: &'a str,
    /// The resource's ARN; `None` in a trust policy, which has no resources.
    pub(crate) resource: Option<&'a str>,
    /// What the caller may be called in `Principal`, by kind (`AWS`, `Federated`); empty in an identity policy.
    pub(crate) principals: Vec<(&'static str, String)>,
    /// The condition keys, lower-cased, and their values.
    pub(crate) context: BTreeMap<String, Vec<String>>,
}

/// What a policy answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// A statement allows it and none denies it.
    Allowed,
    /// No statement speaks of it.
    Silent,
    /// A statement denies it.
    Denied,
}

/// Asks a policy.
pub(crate) fn decide(policy: &Value, ask: &Ask<'_>) -> Decision {
    let mut decision = Decision::Silent;
    for statement in each(&policy["Statement"]) {
        if !applies(statement, ask) {
            continue;
        }
        match statement.get("Effect").and_then(Value::as_str) {
            Some("Allow") => decision = Decision::Allowed,
            _ => return Decision::Denied,
        }
    }
    decision
}

fn applies(statement: &Value, ask: &Ask<'_>) -> bool {
    let action = match (statement.get("Action"), statement.get("NotAction")) {
        (Some(actions), _) => texts(Some(actions)).any(|action| action_matches(action, ask.action)),
        (None, Some(actions)) => !texts(Some(actions)).any(|action| action_matches(action, ask.action)),
        (None, None) => false,
    };
    let resource = match (ask.resource, statement.get("Resource")) {
        (None, _) => true,
        (Some(wanted), resources) => texts(resources).any(|pattern| matches(pattern, wanted)),
    };
    action && resource && principal_matches(statement, ask) && conditions_hold(statement, ask)
}

/// Whether an action pattern such as `ecs:Describe*` covers an action. Case does not matter, as in IAM.
pub(crate) fn action_matches(pattern: &str, action: &str) -> bool {
    matches(&pattern.to_ascii_lowercase(), &action.to_ascii_lowercase())
}

fn principal_matches(statement: &Value, ask: &Ask<'_>) -> bool {
    if ask.principals.is_empty() {
        return true;
    }
    match statement.get("Principal") {
        Some(Value::String(any)) => any == "*",
        Some(Value::Object(kinds)) => kinds.iter().any(|(kind, names)| {
            texts(Some(names))
                .any(|name| name == "*" || ask.principals.iter().any(|(asked, called)| asked == kind && called == name))
        }),
        _ => false,
    }
}

fn conditions_hold(statement: &Value, ask: &Ask<'_>) -> bool {
    let Some(Value::Object(operators)) = statement.get("Condition") else {
        return true;
    };
    operators.iter().all(|(operator, keys)| {
        keys.as_object().is_some_and(|keys| {
            keys.iter().all(|(key, wanted)| {
                let values = ask.context.get(&key.to_ascii_lowercase()).map(Vec::as_slice);
                condition_holds(operator, wanted, values)
            })
        })
    })
}

fn condition_holds(operator: &str, wanted: &Value, values: Option<&[String]>) -> bool {
    let (all, operator) = match operator.split_once(':') {
        Some(("ForAllValues", rest)) => (true, rest),
        Some((_, rest)) => (false, rest),
        None => (false, operator),
    };
    if operator == "Null" {
        return texts(Some(wanted)).any(|text| (text == "true") == values.is_none())
            || wanted.as_bool() == Some(values.is_none());
    }
    let (operator, optional) = match operator.strip_suffix("IfExists") {
        Some(rest) => (rest, true),
        None => (operator, false),
    };
    let (positive, test): (bool, fn(&str, &str) -> bool) = match operator {
        "StringEquals" => (true, |pattern, value| pattern == value),
        "StringNotEquals" => (false, |pattern, value| pattern == value),
        "StringEqualsIgnoreCase" => (true, |pattern, value| pattern.eq_ignore_ascii_case(value)),
        "StringLike" | "ArnLike" | "ArnEquals" => (true, matches),
        "StringNotLike" | "ArnNotLike" | "ArnNotEquals" => (false, matches),
        "Bool" => (true, |pattern, value| pattern.eq_ignore_ascii_case(value)),
        _ => return false,
    };
    // A key that the request does not have fails a positive operator and satisfies a negated one.
    let Some(values) = values else { return optional || all || !positive };
    let fits = |value: &String| texts(Some(wanted)).any(|pattern| test(pattern, value)) == positive;
    if all || !positive { values.iter().all(fits) } else { values.iter().any(fits) }
}

fn texts(value: Option<&Value>) -> impl Iterator<Item = &str> {
    value.into_iter().flat_map(each).filter_map(Value::as_str)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_denial_beats_an_allowance_and_a_missing_key_fails() {
        let policy = json!({ "Statement": [
            { "Effect": "Allow", "Action": "ecs:*", "Resource": "*" },
            { "Effect": "Deny", "Action": "ecs:UpdateService", "Resource": "*", "Condition": { "StringLike": { "ecs:cluster": "*prod*" } } },
        ] });
        let ask = |cluster: Option<&str>| Ask {
            action: "ecs:UpdateService",
            resource: Some("arn"),
            context: cluster.map(|name| ("ecs:cluster".to_owned(), vec![name.to_owned()])).into_iter().collect(),
            ..Ask::default()
        };
        assert_eq!(decide(&policy, &ask(Some("prod-1"))), Decision::Denied);
        assert_eq!(decide(&policy, &ask(None)), Decision::Allowed);
    }
}
