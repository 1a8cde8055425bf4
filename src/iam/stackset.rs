//! Stack sets: a template for each role that accounts of an organization have, by which CloudFormation gives the role to every
//! account of their units, and to each that comes later.

use std::collections::BTreeSet;

use indexmap::IndexMap;
use serde_json::{Value, json};

use crate::fleet::OrganizationSource;
use crate::fleet::organization::ROOT;
use crate::fleet::organization::criteria::is_unit;
use crate::fleet::organization::lock::Lock;

/// Returns the stack sets by the manifest's name of their role, and what whoever deploys them has to know. `templates` are those
/// of the roles, and `region` is where the stacks are, since IAM has no regions.
pub fn templates(
    source: &OrganizationSource,
    templates: &IndexMap<String, Value>,
    region: &str,
) -> (IndexMap<String, Value>, Vec<String>) {
    let (mut sets, mut notes) = (IndexMap::new(), Vec::new());
    let Some(lock) = &source.lock else { return (sets, notes) };
    for (role, template) in templates {
        let units = units(source, lock, role);
        if units.is_empty() {
            continue;
        }
        if template.get("Mappings").is_some() {
            notes.push(format!(
                "there is no stack set of role `{role}`: its policies differ between accounts, and a new account would be in \
                 none of their groups"
            ));
            continue;
        }
        sets.insert(role.clone(), stack_set(role, template, &units, region));
    }
    if !sets.is_empty() {
        notes.push(
            "a stack set gives its role to every account of the units, also where tags or names leave it out of the fleet; \
             the management account itself gets none"
                .to_owned(),
        );
    }
    (sets, notes)
}

/// Returns the ids of the units whose accounts have a role as the last of their chain.
fn units<'l>(source: &'l OrganizationSource, lock: &'l Lock, role: &str) -> BTreeSet<&'l str> {
    let mut found = BTreeSet::new();
    for entry in source.entries.iter().filter(|entry| entry.role.as_deref() == Some(role)) {
        if entry.criteria.units.is_empty() {
            found.extend(lock.units.get(ROOT).map(String::as_str));
        }
        for pattern in &entry.criteria.units {
            let known = lock.units.iter().filter(|(path, _)| is_unit(pattern, path, &lock.units));
            let before = found.len();
            found.extend(known.map(|(_, id)| id.as_str()));
            // A unit without accounts is not in the lock, and may get some.
            if found.len() == before && pattern.starts_with("ou-") {
                found.insert(pattern);
            }
        }
    }
    found
}

fn stack_set(role: &str, template: &Value, units: &BTreeSet<&str>, region: &str) -> Value {
    let parameter = json!({
        "Type": "String",
        "Default": "SELF",
        "AllowedValues": ["SELF", "DELEGATED_ADMIN"],
        "Description": "DELEGATED_ADMIN where the stack is not in the management account",
    });
    let properties = json!({
        "StackSetName": format!("roleout-{role}"),
        "Description": format!("The role {role} of a roleout manifest"),
        "PermissionModel": "SERVICE_MANAGED",
        "CallAs": { "Ref": "CallAs" },
        "Capabilities": ["CAPABILITY_NAMED_IAM"],
        // A new account gets the role. One that leaves keeps it until somebody has seen to it.
        "AutoDeployment": { "Enabled": true, "RetainStacksOnAccountRemoval": true },
        "ManagedExecution": { "Active": true },
        "StackInstancesGroup": [{
            "DeploymentTargets": { "OrganizationalUnitIds": units },
            "Regions": [region],
        }],
        "TemplateBody": template.to_string(),
    });
    json!({
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": format!("The role {role} of a roleout manifest, in every account of its organizational units"),
        "Parameters": { "CallAs": parameter },
        "Resources": { "StackSet": { "Type": "AWS::CloudFormation::StackSet", "Properties": properties } },
    })
}
