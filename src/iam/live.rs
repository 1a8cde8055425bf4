//! What is live against what a manifest needs: which actions a role lacks, which it has besides, and how its trust differs.
//!
//! Pure. Policies are compared, not evaluated: permissions boundaries, service control policies and session policies are not
//! looked at.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::base::iam_pattern::covers;
use crate::base::json::each;
use crate::fleet::identity_provider::Provider;
use crate::iam::RoleSetup;

/// How many resources of one action are told.
const RESOURCES: usize = 3;

/// What was read of a live role.
#[derive(Clone, Debug, Default)]
pub struct LiveRole {
    /// Its trust policy; `None` where it could not be read.
    pub trust: Option<Value>,
    /// All of its permission policies; `None` where one of them could not be read.
    pub policies: Option<Vec<Value>>,
}

/// Something that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What it means for a run.
    pub kind: Kind,
    /// What, as a lower-case fragment.
    pub text: String,
}

/// What a difference means for a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The manifest needs it, and it is not there.
    Missing,
    /// It is there, and the manifest does not need it.
    Extra,
}

/// Compares a role.
pub fn role(wanted: &RoleSetup, live: &LiveRole) -> Vec<Difference> {
    let mut found = Vec::new();
    if let Some(trust) = &live.trust {
        found.extend(trusts(&wanted.trust, trust));
    }
    if let Some(policies) = &live.policies {
        let wanted: Vec<&Value> = wanted.policies.iter().map(|policy| &policy.document).collect();
        found.extend(permissions(&wanted, &policies.iter().collect::<Vec<_>>()));
    }
    found
}

/// Compares an identity provider by its URL and audiences.
pub fn provider(wanted: &Provider, url: &str, audiences: &[String]) -> Vec<Difference> {
    let mut found = Vec::new();
    if crate::fleet::identity_provider::name(&wanted.url) != crate::fleet::identity_provider::name(url) {
        found.push(missing(format!("the identity provider is of {url}, and not of {}", wanted.url)));
    }
    let lacking = wanted.audiences.iter().filter(|one| !audiences.contains(one));
    found.extend(lacking.map(|one| missing(format!("the identity provider does not take the audience {one}"))));
    let besides = audiences.iter().filter(|one| !wanted.audiences.contains(one));
    found.extend(besides.map(|one| extra(format!("the identity provider takes the audience {one} too"))));
    found
}

fn missing(text: String) -> Difference {
    Difference { kind: Kind::Missing, text }
}

fn extra(text: String) -> Difference {
    Difference { kind: Kind::Extra, text }
}

fn trusts(wanted: &Value, live: &Value) -> Vec<Difference> {
    let statements = |policy: &Value| -> Vec<Value> { each(&policy["Statement"]).map(plain).collect() };
    let (wanted, live) = (statements(wanted), statements(live));
    let lacking = wanted.iter().filter(|one| !live.contains(one));
    let mut found: Vec<Difference> =
        lacking.map(|one| missing(format!("the trust policy has no statement {one}"))).collect();
    for one in live.iter().filter(|one| !wanted.contains(one)) {
        let stale = one["Principal"].to_string().contains("\"AROA");
        let why =
            if stale { " (its principal is a role that was deleted; one of that name is another one)" } else { "" };
        found.push(extra(format!("the trust policy has a statement {one}{why}")));
    }
    found
}

/// Returns a value in which order and lists of one make no difference, without a statement's name.
fn plain(value: &Value) -> Value {
    match value {
        Value::Array(items) if items.len() == 1 => plain(&items[0]),
        Value::Array(items) => {
            let mut items: Vec<Value> = items.iter().map(plain).collect();
            items.sort_by_cached_key(Value::to_string);
            Value::Array(items)
        }
        Value::Object(members) => {
            let named = members.iter().filter(|(name, _)| *name != "Sid");
            let sorted: BTreeMap<&String, Value> = named.map(|(name, value)| (name, plain(value))).collect();
            json!(sorted)
        }
        Value::Bool(flag) => json!(flag.to_string()),
        other => other.clone(),
    }
}

/// One action on one resource, on a condition.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Grant {
    action: String,
    resource: String,
    condition: Option<String>,
}

impl Grant {
    fn matches(&self, other: &Self) -> bool {
        covers(&self.action.to_ascii_lowercase(), &other.action.to_ascii_lowercase())
            && covers(&self.resource, &other.resource)
    }

    /// Whether whatever the other one allows, this one allows too.
    fn covers(&self, other: &Self) -> bool {
        self.matches(other) && (self.condition.is_none() || self.condition == other.condition)
    }
}

fn permissions(wanted: &[&Value], live: &[&Value]) -> Vec<Difference> {
    let (needed, had) = (grants(wanted), grants(live));
    let mut found = Vec::new();
    let lacking: Vec<&Grant> = needed.iter().filter(|one| !had.iter().any(|other| other.covers(one))).collect();
    let (conditional, absent): (Vec<&Grant>, Vec<&Grant>) =
        lacking.into_iter().partition(|one| had.iter().any(|other| other.matches(one)));
    found.extend(by_action(&absent).into_iter().map(|text| missing(format!("not allowed: {text}"))));
    let differs = |text| missing(format!("allowed on another condition: {text}"));
    found.extend(by_action(&conditional).into_iter().map(differs));
    for statement in live.iter().flat_map(|policy| each(&policy["Statement"])) {
        let negated = ["NotAction", "NotResource"].into_iter().find(|key| !statement[*key].is_null());
        if statement["Effect"] == "Deny" {
            let (actions, resources) = (joined(&statement["Action"]), joined(&statement["Resource"]));
            let denied =
                grants_of(statement).iter().any(|one| needed.iter().any(|need| one.matches(need) || need.matches(one)));
            if denied || negated.is_some() {
                found.push(missing(format!("a policy denies {actions} on {resources}")));
            }
        } else if let Some(key) = negated {
            found.push(extra(format!("a statement with {key} is not compared: {}", plain(statement))));
        }
    }
    let besides: Vec<&Grant> = had.iter().filter(|one| !needed.iter().any(|other| other.covers(one))).collect();
    found.extend(by_action(&besides).into_iter().map(|text| extra(format!("allowed and not needed: {text}"))));
    found
}

/// Returns what policies allow, without what they say by negation.
fn grants(policies: &[&Value]) -> BTreeSet<Grant> {
    let statements = policies.iter().flat_map(|policy| each(&policy["Statement"]));
    statements.filter(|statement| statement["Effect"] == "Allow").flat_map(grants_of).collect()
}

fn grants_of(statement: &Value) -> BTreeSet<Grant> {
    let condition = statement.get("Condition").map(|condition| plain(condition).to_string());
    let actions = each(&statement["Action"]).filter_map(Value::as_str);
    let grant = |action: &str, resource: &str| Grant {
        action: action.to_owned(),
        resource: resource.to_owned(),
        condition: condition.clone(),
    };
    let resources = || each(&statement["Resource"]).filter_map(Value::as_str);
    actions.flat_map(|action| resources().map(move |resource| (action, resource))).map(|(a, r)| grant(a, r)).collect()
}

/// Says grants by their actions, each with a few of its resources.
fn by_action(grants: &[&Grant]) -> Vec<String> {
    let mut actions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for grant in grants {
        actions.entry(&grant.action).or_default().insert(&grant.resource);
    }
    let told = |(action, resources): (&str, BTreeSet<&str>)| {
        let more = resources.len().saturating_sub(RESOURCES);
        let shown: Vec<&str> = resources.into_iter().take(RESOURCES).collect();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("{action} on {}{more}", shown.join(", "))
    };
    actions.into_iter().map(told).collect()
}

fn joined(value: &Value) -> String {
    each(value).filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(statements: Value) -> Value {
        json!({ "Version": "2012-10-17", "Statement": statements })
    }

    fn compared(wanted: Value, live: Value) -> Vec<String> {
        let (wanted, live) = (policy(wanted), policy(live));
        permissions(&[&wanted], &[&live]).into_iter().map(|it| format!("{:?}: {}", it.kind, it.text)).collect()
    }

    #[test]
    fn permissions_are_compared_by_action_and_resource() {
        let allow = |action: Value, resource: &str| json!({ "Sid": "A", "Effect": "Allow", "Action": action, "Resource": resource });
        let want = allow(json!(["ecs:UpdateService", "ecs:DescribeServices"]), "arn:x:service/a/b");
        assert_eq!(compared(json!([want]), json!(want)), Vec::<String>::new());
        assert_eq!(
            compared(json!([want]), json!([allow(json!("ecs:describeservices"), "arn:x:service/*")])),
            [
                "Missing: not allowed: ecs:UpdateService on arn:x:service/a/b",
                "Extra: allowed and not needed: ecs:describeservices on arn:x:service/*",
            ]
        );
        assert_eq!(compared(json!([want]), json!([allow(json!("*"), "*")])), ["Extra: allowed and not needed: * on *"]);
        let mut conditional = want.clone();
        conditional["Condition"] = json!({ "Bool": { "aws:MultiFactorAuthPresent": "true" } });
        assert_eq!(
            compared(json!([want]), json!([conditional])),
            [
                "Missing: allowed on another condition: ecs:DescribeServices on arn:x:service/a/b",
                "Missing: allowed on another condition: ecs:UpdateService on arn:x:service/a/b",
            ]
        );
        let deny = json!({ "Effect": "Deny", "Action": "ecs:*", "Resource": "*" });
        assert_eq!(compared(json!([want]), json!([want, deny])), ["Missing: a policy denies ecs:* on *"]);
        let others = json!({ "Effect": "Deny", "Action": "s3:*", "Resource": "*" });
        assert_eq!(compared(json!([want]), json!([want, others])), Vec::<String>::new());
    }

    #[test]
    fn trust_is_the_same_in_any_order_and_under_any_name() {
        let one =
            json!({ "Sid": "A", "Effect": "Allow", "Principal": { "AWS": ["b", "a"] }, "Action": "sts:AssumeRole" });
        let same = json!({ "Action": ["sts:AssumeRole"], "Principal": { "AWS": ["a", "b"] }, "Effect": "Allow" });
        assert_eq!(trusts(&policy(json!([one])), &policy(json!(same))), []);
        let gone = json!({ "Effect": "Allow", "Principal": { "AWS": "AROAEXAMPLE" }, "Action": "sts:AssumeRole" });
        let found = trusts(&policy(json!([one])), &policy(json!([gone])));
        assert_eq!(found.len(), 2);
        assert!(found[1].text.contains("a role that was deleted"), "{found:?}");
    }

    #[test]
    fn a_provider_is_compared_by_its_audiences() {
        let wanted = Provider { url: "https://gitlab.com".to_owned(), audiences: vec!["a".to_owned()] };
        assert_eq!(provider(&wanted, "gitlab.com", &["a".to_owned()]), []);
        let found = provider(&wanted, "gitlab.com", &["b".to_owned()]);
        assert_eq!(found.iter().map(|it| it.kind).collect::<Vec<_>>(), [Kind::Missing, Kind::Extra]);
    }
}
