//! CloudFormation: a template for each of the manifest's roles, which is the same in every account that has it. A stack set
//! deploys it to one region of each, since IAM has no regions.
//!
//! Where accounts need different policies, a mapping says which account gets which.

use indexmap::IndexMap;
use serde_json::{Map, Value, json};

use crate::iam::json::tags;
use crate::iam::{AccountSetup, RoleSetup, Setup};

/// The longest template that CloudFormation takes in a request, in bytes; a longer one has to be in S3.
const IN_REQUEST: usize = 51_200;

/// Says of a template's text that it cannot be sent in a request.
pub fn note(role: &str, text: &str) -> Option<String> {
    (text.len() > IN_REQUEST).then(|| {
        let length = text.len();
        format!("the template of role `{role}` has {length} bytes: more than {IN_REQUEST} have to be read from S3")
    })
}

/// Returns the templates by the manifest's name of their role.
pub fn templates(setup: &Setup) -> IndexMap<String, Value> {
    let mut roles: IndexMap<String, Vec<(&AccountSetup, &RoleSetup)>> = IndexMap::new();
    for account in &setup.accounts {
        for role in &account.roles {
            roles.entry(role.role.clone()).or_default().push((account, role));
        }
    }
    roles.into_iter().map(|(name, roles)| (name.clone(), template(&name, &roles))).collect()
}

/// Resources by their logical ids.
type Resources = Map<String, Value>;

fn template(name: &str, roles: &[(&AccountSetup, &RoleSetup)]) -> Value {
    let mut template = json!({
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": format!("The role {name} of a roleout manifest, in every account that has it"),
    });
    let mut conditions = Map::new();
    if roles.iter().any(|(account, role)| provides(account, role)) {
        let parameter = json!({
            "Type": "String",
            "Default": "true",
            "AllowedValues": ["true", "false"],
            "Description": "false where the account has GitLab's identity provider already",
        });
        template["Parameters"] = json!({ "CreateProvider": parameter });
        conditions.insert("CreatesProvider".to_owned(), json!({ "Fn::Equals": [{ "Ref": "CreateProvider" }, "true"] }));
    }
    // What is the same everywhere is there once; of the rest, each account has its own group's.
    let bases: Vec<Resources> = roles.iter().map(|(account, role)| base(account, role)).collect();
    let shared = bases.iter().all(|base| *base == bases[0]);
    let mut groups: IndexMap<String, (Resources, Vec<String>)> = IndexMap::new();
    for ((account, role), base) in roles.iter().zip(&bases) {
        let mut own = if shared { Map::new() } else { base.clone() };
        own.extend(policies(account, role));
        let key = Value::Object(own.clone()).to_string();
        groups.entry(key).or_insert_with(|| (own, Vec::new())).1.push(account.id.to_string());
    }
    let several = groups.len() > 1;
    let mut accounts = Map::new();
    let mut resources = if shared { bases[0].clone() } else { Map::new() };
    for (number, (own, ids)) in groups.into_values().enumerate() {
        if !several {
            resources.extend(own);
            continue;
        }
        let number = (number + 1).to_string();
        let group = format!("Group{number}");
        accounts.extend(ids.into_iter().map(|id| (id, json!({ "Group": number }))));
        let found = json!({ "Fn::FindInMap": ["Accounts", { "Ref": "AWS::AccountId" }, "Group"] });
        conditions.insert(group.clone(), json!({ "Fn::Equals": [found, number] }));
        for (id, mut resource) in own {
            let condition = match resource.get("Condition").and_then(Value::as_str) {
                None => group.clone(),
                Some(other) => {
                    let both = format!("{other}{number}");
                    let parts = [other, group.as_str()].map(|name| json!({ "Condition": name }));
                    conditions.insert(both.clone(), json!({ "Fn::And": parts }));
                    both
                }
            };
            resource["Condition"] = json!(condition);
            if let Some(roles) = resource.pointer_mut("/Properties/Roles").filter(|_| !shared) {
                *roles = json!([{ "Ref": format!("Role{number}") }]);
            }
            resources.insert(format!("{id}{number}"), resource);
        }
    }
    if several {
        template["Mappings"] = json!({ "Accounts": accounts });
    }
    if !conditions.is_empty() {
        template["Conditions"] = Value::Object(conditions);
    }
    template["Resources"] = Value::Object(resources);
    template
}

fn provides(account: &AccountSetup, role: &RoleSetup) -> bool {
    account.provider.is_some() && role.trust.to_string().contains("\"Federated\"")
}

/// Returns a role, and the provider that it trusts, with the account's own id and partition left open.
fn base(account: &AccountSetup, role: &RoleSetup) -> Resources {
    let mut resources = Map::new();
    if let Some(provider) = account.provider.as_ref().filter(|_| provides(account, role)) {
        let properties = json!({ "Url": provider.url, "ClientIdList": provider.audiences });
        let resource = json!({
            "Type": "AWS::IAM::OIDCProvider", "Condition": "CreatesProvider", "Properties": properties,
        });
        resources.insert("Provider".to_owned(), resource);
    }
    let mut properties = json!({
        "RoleName": role.arn.name(),
        "Path": role.path(),
        "MaxSessionDuration": role.max_session.as_secs(),
        "AssumeRolePolicyDocument": open(&role.trust, role.arn.partition(), account.id.as_str()),
    });
    if let Some(boundary) = &role.marks.boundary {
        properties["PermissionsBoundary"] = open(&json!(boundary), role.arn.partition(), account.id.as_str());
    }
    if !role.marks.tags.is_empty() {
        properties["Tags"] = tags(role);
    }
    resources.insert("Role".to_owned(), json!({ "Type": "AWS::IAM::Role", "Properties": properties }));
    resources
}

/// Returns a role's policies, with the account's own id and partition left open.
fn policies(account: &AccountSetup, role: &RoleSetup) -> Resources {
    let mut resources = Map::new();
    for (number, policy) in role.policies.iter().enumerate() {
        let id = if number == 0 { "Policy".to_owned() } else { format!("Policy{}", letters(number)) };
        let properties = json!({
            "ManagedPolicyName": policy.name,
            "PolicyDocument": open(&policy.document, role.arn.partition(), account.id.as_str()),
            "Roles": [{ "Ref": "Role" }],
        });
        resources.insert(id, json!({ "Type": "AWS::IAM::ManagedPolicy", "Properties": properties }));
    }
    resources
}

/// Returns `B`, `C` and so on: numbers are those of the groups.
fn letters(number: usize) -> char {
    char::from(b'A' + u8::try_from(number).unwrap_or_default().min(25))
}

/// Leaves an account's own id and partition open in every ARN.
fn open(value: &Value, partition: &str, account: &str) -> Value {
    match value {
        Value::String(text) => {
            let escaped = text.replace("${", "${!");
            let start = format!("arn:{partition}:");
            let sub = match escaped.strip_prefix(&start) {
                Some(rest) => {
                    let own = format!(":{account}:");
                    format!("arn:${{AWS::Partition}}:{}", rest.replacen(&own, ":${AWS::AccountId}:", 1))
                }
                None => return value.clone(),
            };
            json!({ "Fn::Sub": sub })
        }
        Value::Array(items) => items.iter().map(|item| open(item, partition, account)).collect(),
        Value::Object(members) => {
            members.iter().map(|(name, value)| (name.clone(), open(value, partition, account))).collect()
        }
        other => other.clone(),
    }
}
