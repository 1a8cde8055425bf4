//! Terraform: a module with a provider for each account, which whoever calls it passes in.

use serde_json::{Value, json};

use crate::iam::hcl::{Expression, Part, file, raw, text};
use crate::iam::{AccountSetup, RoleSetup, Setup};

/// The first version of the AWS provider in which a thumbprint can be left out.
const VERSION: &str = ">= 5.81";

/// Returns the module's files: the providers that it takes, and one an account.
pub fn files(setup: &Setup) -> Vec<(String, String)> {
    let mut files = vec![("versions.tf".to_owned(), file(&[versions(setup)]))];
    for account in &setup.accounts {
        files.push((format!("{}.tf", label(account)), file(&resources(setup, account))));
    }
    files
}

/// Returns all of the module as one file.
pub fn module(setup: &Setup) -> String {
    let mut parts = vec![versions(setup)];
    for account in &setup.accounts {
        parts.push(Part::Blank);
        parts.extend(resources(setup, account));
    }
    file(&parts)
}

fn versions(setup: &Setup) -> Part {
    let aliases: Vec<String> = setup.accounts.iter().map(|account| format!("aws.{}", label(account))).collect();
    let source = [("source", "\"hashicorp/aws\"".to_owned()), ("version", format!("\"{VERSION}\""))];
    let mut lines: Vec<(&str, String)> = source.into();
    lines.push(("configuration_aliases", format!("[{}]", aliases.join(", "))));
    let width = "configuration_aliases".len();
    let body: String = lines.iter().map(|(name, value)| format!("      {name:width$} = {value}\n")).collect();
    let providers = vec![raw("aws", format!("{{\n{body}    }}"))];
    Part::Block("terraform".to_owned(), vec![Part::Block("required_providers".to_owned(), providers)])
}

fn resources(setup: &Setup, account: &AccountSetup) -> Vec<Part> {
    let provider = || raw("provider", format!("aws.{}", label(account)));
    let mut parts = Vec::new();
    if let Some(oidc) = &account.provider {
        let body = vec![
            provider(),
            text("url", &oidc.url),
            Part::Attribute("client_id_list", Expression::Value(json!(oidc.audiences))),
        ];
        parts.push(resource("aws_iam_openid_connect_provider", &format!("{}_gitlab", label(account)), body));
    }
    for role in &account.roles {
        let own = name(account, role);
        let mut body = vec![
            provider(),
            text("name", role.arn.name()),
            text("path", role.path()),
            Part::Attribute("max_session_duration", Expression::Value(json!(role.max_session.as_secs()))),
            Part::Attribute("assume_role_policy", Expression::Json(role.trust.clone())),
        ];
        body.extend(role.marks.boundary.iter().map(|arn| text("permissions_boundary", arn)));
        if !role.marks.tags.is_empty() {
            body.push(Part::Attribute("tags", Expression::Value(json!(role.marks.tags))));
        }
        let before = principals(setup, account, role);
        if !before.is_empty() {
            body.push(Part::Blank);
            body.push(raw("depends_on", format!("[{}]", before.join(", "))));
        }
        parts.push(resource("aws_iam_role", &own, body));
        for policy in &role.policies {
            let resource_name = format!("{}_{}", label(account), identifier(&policy.name));
            let body = vec![
                provider(),
                text("name", &policy.name),
                Part::Attribute("policy", Expression::Json(policy.document.clone())),
            ];
            parts.push(resource("aws_iam_policy", &resource_name, body));
            let body = vec![
                provider(),
                raw("role", format!("aws_iam_role.{own}.name")),
                raw("policy_arn", format!("aws_iam_policy.{resource_name}.arn")),
            ];
            parts.push(resource("aws_iam_role_policy_attachment", &resource_name, body));
        }
    }
    // An empty line between resources.
    let count = parts.len();
    let spaced = parts.into_iter().enumerate();
    spaced.flat_map(|(at, part)| std::iter::once(part).chain((at + 1 < count).then_some(Part::Blank))).collect()
}

fn resource(kind: &str, name: &str, body: Vec<Part>) -> Part {
    Part::Block(format!("resource {} {}", Value::from(kind), Value::from(name)), body)
}

/// Returns what must be there before a role: IAM refuses a principal that does not exist.
fn principals(setup: &Setup, account: &AccountSetup, role: &RoleSetup) -> Vec<String> {
    let federated = account.provider.is_some() && role.trust.to_string().contains("\"Federated\"");
    let mut before: Vec<String> = Vec::new();
    if federated {
        before.push(format!("aws_iam_openid_connect_provider.{}_gitlab", label(account)));
    }
    for other in &setup.accounts {
        let trusted = other.roles.iter().filter(|known| role.trusts.iter().any(|arn| arn == known.arn.as_str()));
        before.extend(trusted.map(|known| format!("aws_iam_role.{}", name(other, known))));
    }
    before
}

fn name(account: &AccountSetup, role: &RoleSetup) -> String {
    format!("{}_{}", label(account), identifier(role.arn.name()))
}

fn label(account: &AccountSetup) -> String {
    identifier(account.label())
}

/// Returns a name as Terraform takes it.
fn identifier(text: &str) -> String {
    let letter = |char: char| if char.is_ascii_alphanumeric() || char == '-' { char } else { '_' };
    let text: String = text.chars().map(letter).collect();
    if text.starts_with(|char: char| char.is_ascii_alphabetic()) { text } else { format!("account_{text}") }
}
