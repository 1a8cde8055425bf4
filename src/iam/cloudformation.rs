//! CloudFormation: a template for each of the manifest's roles, which is the same in every account that has it. A stack set
//! deploys it to one region of each, since IAM has no regions.
//!
//! Where accounts need different policies, a mapping says which account gets which.

use indexmap::IndexMap;
use serde_json::{Map, Value, json};

use super::{AccountSetup, RoleSetup, Setup};

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

fn template(name: &str, roles: &[(&AccountSetup, &RoleSetup)]) -> Value {
    let mut groups: IndexMap<String, (Map<String, Value>, Vec<String>)> = IndexMap::new();
    for (account, role) in roles {
        let resources = resources(account, role);
        let key = Value::Object(resources.clone()).to_string();
        groups.entry(key).or_insert_with(|| (resources, Vec::new())).1.push(account.id.to_string());
    }
    let has_provider = roles.iter().any(|(account, role)| provides(account, role));
    let mut template = json!({
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": format!("The role {name} of a roleout manifest, in every account that has it"),
    });
    let mut conditions = Map::new();
    if has_provider {
        let parameter = json!({
            "Type": "String",
            "Default": "true",
            "AllowedValues": ["true", "false"],
            "Description": "false where the account has GitLab's identity provider already",
        });
        template["Parameters"] = json!({ "CreateProvider": parameter });
        conditions.insert("CreatesProvider".to_owned(), json!({ "Fn::Equals": [{ "Ref": "CreateProvider" }, "true"] }));
    }
    let several = groups.len() > 1;
    let mut accounts = Map::new();
    let mut resources = Map::new();
    for (number, (own, ids)) in groups.into_values().enumerate() {
        let suffix = if several { (number + 1).to_string() } else { String::new() };
        let group = format!("Group{suffix}");
        if several {
            accounts.extend(ids.into_iter().map(|id| (id, json!({ "Group": suffix }))));
            let found = json!({ "Fn::FindInMap": ["Accounts", { "Ref": "AWS::AccountId" }, "Group"] });
            conditions.insert(group.clone(), json!({ "Fn::Equals": [found, suffix] }));
        }
        for (id, mut resource) in own {
            if several {
                let condition = match resource["Condition"].as_str() {
                    None => group.clone(),
                    Some(other) => {
                        let both = format!("{other}{suffix}");
                        let conditions_of = [other, &group].map(|name| json!({ "Condition": name }));
                        conditions.insert(both.clone(), json!({ "Fn::And": conditions_of }));
                        both
                    }
                };
                resource["Condition"] = json!(condition);
                if let Some(roles) = resource["Properties"]["Roles"].as_array_mut() {
                    roles.iter_mut().for_each(|role| *role = json!({ "Ref": format!("Role{suffix}") }));
                }
            }
            resources.insert(format!("{id}{suffix}"), resource);
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

/// Returns a role's resources by their logical ids, with the account's own id and partition left open.
fn resources(account: &AccountSetup, role: &RoleSetup) -> Map<String, Value> {
    let open = |value: &Value| open(value, role.arn.partition(), account.id.as_str());
    let mut resources = Map::new();
    if let Some(provider) = account.provider.as_ref().filter(|_| provides(account, role)) {
        let properties = json!({ "Url": provider.url, "ClientIdList": provider.audiences });
        let resource = json!({
            "Type": "AWS::IAM::OIDCProvider", "Condition": "CreatesProvider", "Properties": properties,
        });
        resources.insert("Provider".to_owned(), resource);
    }
    let properties = json!({
        "RoleName": role.arn.name(),
        "Path": role.path(),
        "MaxSessionDuration": role.max_session.as_secs(),
        "AssumeRolePolicyDocument": open(&role.trust),
    });
    resources.insert("Role".to_owned(), json!({ "Type": "AWS::IAM::Role", "Properties": properties }));
    for (number, policy) in role.policies.iter().enumerate() {
        let id = if number == 0 { "Policy".to_owned() } else { format!("Policy{}", letters(number)) };
        let properties = json!({
            "ManagedPolicyName": policy.name,
            "PolicyDocument": open(&policy.document),
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
