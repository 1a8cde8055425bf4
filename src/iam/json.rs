//! The documents as JSON: all in one, or a file each as the aws CLI takes them.

use serde_json::{Value, json};

use crate::base::json::pretty;
use crate::iam::{AccountSetup, RoleSetup, Setup};

/// Returns all of it as one value.
pub fn value(setup: &Setup) -> Value {
    json!({ "accounts": setup.accounts.iter().map(account).collect::<Vec<_>>(), "notes": setup.notes })
}

fn account(account: &AccountSetup) -> Value {
    json!({
        "id": account.id,
        "name": account.name,
        "oidc_provider": account.provider.as_ref().map(crate::fleet::identity_provider::Provider::input),
        "roles": account.roles.iter().map(role).collect::<Vec<_>>(),
    })
}

fn role(role: &RoleSetup) -> Value {
    let policies = role.policies.iter().map(|policy| json!({ "name": policy.name, "document": policy.document }));
    json!({
        "role": role.role,
        "arn": role.arn,
        "name": role.arn.name(),
        "path": role.path(),
        "max_session_duration": role.max_session.as_secs(),
        "permissions_boundary": role.marks.boundary,
        "tags": role.marks.tags,
        "trust_policy": role.trust,
        "policies": policies.collect::<Vec<_>>(),
    })
}

/// Returns a role's tags as IAM takes them.
pub fn tags(role: &RoleSetup) -> Value {
    role.marks.tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect()
}

/// Returns the input of `aws iam create-role` without the trust policy, which is a file of its own.
fn input(role: &RoleSetup) -> Value {
    let mut input = json!({
        "RoleName": role.arn.name(),
        "Path": role.path(),
        "MaxSessionDuration": role.max_session.as_secs(),
        "Tags": tags(role),
    });
    if let Some(boundary) = &role.marks.boundary {
        input["PermissionsBoundary"] = json!(boundary);
    }
    input
}

/// Returns the files, in a directory for each account's id: the provider, and of each role how it is created, its trust and
/// its permission policies.
pub fn files(setup: &Setup) -> Vec<(String, String)> {
    let mut files = Vec::new();
    for account in &setup.accounts {
        let mut add = |name: String, value: &Value| files.push((format!("{}/{name}.json", account.id), text(value)));
        if let Some(provider) = &account.provider {
            add("oidc-provider".to_owned(), &provider.input());
        }
        for role in &account.roles {
            add(format!("{}.role", role.arn.name()), &input(role));
            add(format!("{}.trust", role.arn.name()), &role.trust);
            for policy in &role.policies {
                add(policy.name.clone(), &policy.document);
            }
        }
    }
    files
}

/// Returns JSON for a file. A value has a form in JSON.
pub fn text(value: &Value) -> String {
    pretty(value).unwrap_or_default()
}
