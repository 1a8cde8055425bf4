//! Trust policies: who may assume a role, and on what conditions.

use serde_json::{Map, Value, json};

use crate::fleet::role_arn::RoleArn;
use crate::fleet::{Allow, Hop, identity_provider};
use crate::iam::grant::one_or_many;
use crate::iam::policy::document;
use crate::iam::subject;

/// A hop by which a role is assumed from another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assumed {
    /// The role that assumes it.
    pub by: RoleArn,
    /// The external id that it gives.
    pub external_id: Option<String>,
    /// The keys of the session tags that it sends.
    pub tags: Vec<String>,
    /// Whether the session has tags, those that it inherits included.
    pub is_tagged: bool,
    /// Whether the session has a source identity, an inherited one included.
    pub has_source_identity: bool,
}

impl Assumed {
    /// Reads a hop, the one before it, and all before it.
    pub fn new(before: &Hop, hop: &Hop, all_before: &[Hop]) -> Self {
        let actions = actions(hop, all_before);
        Self {
            by: before.arn.clone(),
            external_id: hop.external_id.clone(),
            tags: hop.tags.keys().cloned().collect(),
            is_tagged: actions.contains(&TAG),
            has_source_identity: actions.contains(&SOURCE),
        }
    }
}

const ASSUME: &str = "sts:AssumeRole";
const TAG: &str = "sts:TagSession";
const SOURCE: &str = "sts:SetSourceIdentity";

/// Returns the actions by which a hop is made, of which both sides must allow each.
pub fn actions(hop: &Hop, before: &[Hop]) -> Vec<&'static str> {
    let inherits = before.iter().any(|hop| !hop.transitive_tags.is_empty());
    let mut actions = vec![ASSUME];
    if !hop.tags.is_empty() || inherits {
        actions.push(TAG);
    }
    // A source identity stays for the rest of the chain, and each role must allow it.
    if hop.source_identity.is_some() || before.iter().any(|hop| hop.source_identity.is_some()) {
        actions.push(SOURCE);
    }
    actions
}

/// Returns a role's trust policy: for the ID tokens of an issuer, and for the roles that assume it.
pub fn policy(role: &RoleArn, web: Option<(&Allow, &str)>, assumed: &[Assumed]) -> Value {
    let mut statements = Vec::new();
    if let Some((allow, issuer)) = web {
        let subjects = subject::allowed_subjects(allow, issuer);
        // In one statement both conditions would have to hold.
        let lists = [("GitLab", "StringEquals", subjects.exact), ("GitLabPatterns", "StringLike", subjects.patterns)];
        for (sid, operator, subjects) in lists.into_iter().filter(|(_, _, subjects)| !subjects.is_empty()) {
            statements.push(web_identity(role, (allow, issuer), sid, operator, subjects));
        }
    }
    statements.extend(chained(assumed));
    document(statements)
}

fn web_identity(
    role: &RoleArn,
    (allow, issuer): (&Allow, &str),
    sid: &str,
    operator: &str,
    subjects: Vec<String>,
) -> Value {
    let key = |claim: &str| format!("{}:{claim}", identity_provider::name(issuer));
    let mut equals = Map::new();
    equals.insert(key("aud"), json!(allow.audience().unwrap_or(issuer)));
    if identity_provider::is_gitlab_com(issuer) {
        if !allow.project_ids.is_empty() {
            equals.insert(key("project_id"), one_or_many(allow.project_ids.clone()));
        }
        if allow.ref_protected {
            equals.insert(key("ref_protected"), json!("true"));
        }
    }
    let mut condition = Map::new();
    let subjects = one_or_many(subjects);
    if operator == "StringEquals" {
        equals.insert(key("sub"), subjects);
        condition.insert(operator.to_owned(), Value::Object(equals));
    } else {
        condition.insert("StringEquals".to_owned(), Value::Object(equals));
        condition.insert(operator.to_owned(), json!({ (key("sub")): subjects }));
    }
    json!({
        "Sid": sid,
        "Effect": "Allow",
        "Principal": { "Federated": identity_provider::arn(issuer, role.partition(), role.account().as_str()) },
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": condition,
    })
}

/// A statement for roles: its Sid, action, condition and principals.
type Kind = (&'static str, &'static str, Option<Value>, Vec<String>);

/// Returns the statements for roles, those with the same conditions together.
fn chained(assumed: &[Assumed]) -> Vec<Value> {
    let mut kinds: Vec<Kind> = Vec::new();
    let mut add = |sid, action, condition: Option<Value>, by: &RoleArn| {
        let known = kinds.iter_mut().find(|(_, known, held, _)| *known == action && *held == condition);
        match known {
            Some((.., principals)) => principals.push(by.to_string()),
            None => kinds.push((sid, action, condition, vec![by.to_string()])),
        }
    };
    for hop in assumed {
        let external = hop.external_id.as_ref().map(|id| json!({ "StringEquals": { "sts:ExternalId": id } }));
        add("Chain", ASSUME, external, &hop.by);
        if hop.is_tagged {
            // An inherited tag is none of the request's.
            let keys = json!({ "ForAllValues:StringEquals": { "aws:TagKeys": one_or_many(hop.tags.clone()) } });
            add("SessionTags", TAG, (!hop.tags.is_empty()).then_some(keys), &hop.by);
        }
        if hop.has_source_identity {
            add("SourceIdentity", SOURCE, None, &hop.by);
        }
    }
    let mut sids: Vec<&str> = Vec::new();
    let statement = |(sid, action, condition, mut principals): Kind| {
        principals.sort();
        principals.dedup();
        sids.push(sid);
        let number = sids.iter().filter(|known| **known == sid).count();
        let sid = if number == 1 { sid.to_owned() } else { format!("{sid}{number}") };
        let mut statement = json!({
            "Sid": sid, "Effect": "Allow", "Principal": { "AWS": one_or_many(principals) }, "Action": action,
        });
        if let Some(condition) = condition {
            statement["Condition"] = condition;
        }
        statement
    };
    kinds.into_iter().map(statement).collect()
}
