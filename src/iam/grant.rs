//! What a role is granted, gathered target by target, and then the fewest statements that say just that.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;
use serde_json::{Value, json};

use crate::base::iam_pattern::covers;

/// Grants of one role.
#[derive(Clone, Debug, Default)]
pub struct Grants {
    topics: IndexMap<(&'static str, String), Topic>,
}

/// Grants that belong together and have one condition.
#[derive(Clone, Debug)]
struct Topic {
    condition: Option<Value>,
    actions: BTreeMap<String, BTreeSet<String>>,
}

/// A statement that allows something.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    /// Its name; unique in a role.
    pub sid: String,
    /// The actions.
    pub actions: Vec<String>,
    /// The resources, ARNs with wildcards.
    pub resources: Vec<String>,
    /// The condition, in IAM's JSON.
    pub condition: Option<Value>,
}

impl Grants {
    /// Allows actions on resources.
    pub fn allow(
        &mut self,
        topic: &'static str,
        actions: &[&str],
        resources: impl IntoIterator<Item = String>,
        condition: Option<Value>,
    ) {
        let key = (topic, condition.as_ref().map_or_else(String::new, Value::to_string));
        let entry = self.topics.entry(key).or_insert_with(|| Topic { condition, actions: BTreeMap::new() });
        let resources: Vec<String> = resources.into_iter().collect();
        for action in actions {
            entry.actions.entry((*action).to_owned()).or_default().extend(resources.iter().cloned());
        }
    }

    /// Returns the statements: actions of a topic with the same resources are one.
    pub fn statements(self) -> Vec<Statement> {
        let mut statements: Vec<Statement> = Vec::new();
        for ((topic, _), Topic { condition, actions }) in self.topics {
            let mut groups: IndexMap<BTreeSet<String>, Vec<String>> = IndexMap::new();
            for (action, resources) in actions {
                groups.entry(without_covered(resources)).or_default().push(action);
            }
            for (resources, actions) in groups {
                let same =
                    statements.iter().filter(|known| known.sid.trim_end_matches(char::is_numeric) == topic).count();
                let sid = if same == 0 { topic.to_owned() } else { format!("{topic}{}", same + 1) };
                let statement = Statement {
                    sid,
                    actions,
                    resources: resources.into_iter().collect(),
                    condition: condition.clone(),
                };
                if !statements.iter_mut().any(|known| known.takes_clusters_of(&statement)) {
                    statements.push(statement);
                }
            }
        }
        statements
    }
}

/// Where the clusters of a condition stand.
const CLUSTERS: &str = "/ArnEquals/ecs:cluster";

impl Statement {
    /// Takes the clusters of a statement that is the same but for them.
    fn takes_clusters_of(&mut self, other: &Self) -> bool {
        if self.actions != other.actions || self.resources != other.resources {
            return false;
        }
        let clusters = |statement: &Self| {
            let value = statement.condition.as_ref()?.pointer(CLUSTERS)?;
            let one = value.as_str().into_iter();
            Some(
                one.chain(value.as_array().into_iter().flatten().filter_map(Value::as_str))
                    .map(str::to_owned)
                    .collect(),
            )
        };
        let (own, more): (Option<BTreeSet<String>>, Option<BTreeSet<String>>) = (clusters(self), clusters(other));
        match (own, more, self.condition.as_mut().and_then(|it| it.pointer_mut(CLUSTERS))) {
            (Some(own), Some(more), Some(place)) => {
                *place = one_or_many(own.union(&more).cloned().collect());
                true
            }
            _ => false,
        }
    }
}

/// Leaves out resources that another one covers.
fn without_covered(resources: BTreeSet<String>) -> BTreeSet<String> {
    let all = resources.clone();
    resources.into_iter().filter(|one| !all.iter().any(|other| other != one && covers(other, one))).collect()
}

impl Statement {
    /// Returns it in IAM's JSON.
    pub fn json(&self) -> Value {
        let mut statement = json!({
            "Sid": self.sid,
            "Effect": "Allow",
            "Action": one_or_many(self.actions.clone()),
            "Resource": one_or_many(self.resources.clone()),
        });
        if let Some(condition) = &self.condition {
            statement["Condition"] = condition.clone();
        }
        statement
    }
}

/// Returns a list, or its one item.
pub fn one_or_many(mut items: Vec<String>) -> Value {
    if items.len() == 1 { Value::String(items.remove(0)) } else { json!(items) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_with_the_same_resources_are_one_statement() {
        let mut grants = Grants::default();
        for service in ["a", "b"] {
            grants.allow("Services", &["ecs:UpdateService", "ecs:DescribeServices"], [service.to_owned()], None);
        }
        grants.allow("Services", &["ecs:DescribeServices"], ["c".to_owned()], None);
        grants.allow(
            "Roles",
            &["iam:PassRole"],
            ["r/*".to_owned(), "r/x".to_owned(), "q".to_owned()],
            Some(json!({ "a": 1 })),
        );
        let statements = grants.statements();
        let shown: Vec<_> =
            statements.iter().map(|it| (it.sid.as_str(), it.actions.join(" "), it.resources.join(" "))).collect();
        assert_eq!(
            shown,
            [
                ("Services", "ecs:DescribeServices".to_owned(), "a b c".to_owned()),
                ("Services2", "ecs:UpdateService".to_owned(), "a b".to_owned()),
                ("Roles", "iam:PassRole".to_owned(), "q r/*".to_owned()),
            ]
        );
        assert_eq!(statements[2].json()["Condition"], json!({ "a": 1 }));
    }
}
