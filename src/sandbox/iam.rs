//! IAM: GetRole, in awsQuery and XML; the identity providers are in [`super::providers`].

use super::ecs::short;
use super::moment::iso;
use super::providers;
use super::session::Principal;
use super::sts::Form;
use super::wire::{AwsError, IAM_NAMESPACE, escape};
use super::world::World;

/// The version of IAM's interface: what tells its requests from those of STS.
pub(crate) const VERSION: &str = "2010-05-08";

/// Carries an operation out, if the caller may, and returns its answer as XML.
pub(crate) fn answer(world: &World, form: &Form, caller: &Principal, denied: bool) -> Result<String, AwsError> {
    let operation = form.get("Action").map(String::as_str).unwrap_or_default();
    match operation {
        "GetRole" => role(world, form, caller, denied),
        "ListOpenIDConnectProviders" => providers::list(world, caller, denied),
        "GetOpenIDConnectProvider" => providers::get(world, form, caller, denied),
        _ => {
            let text = format!("Could not find operation {operation} for version {VERSION}");
            Err(AwsError::new("InvalidAction", text))
        }
    }
}

fn role(world: &World, form: &Form, caller: &Principal, denied: bool) -> Result<String, AwsError> {
    let name = form.get("RoleName").filter(|name| !name.is_empty()).ok_or_else(|| {
        let text = "1 validation error detected: Value null at 'roleName' failed to satisfy constraint: Member must not \
                    be null";
        AwsError::new("ValidationError", text)
    })?;
    let role = world
        .accounts
        .get(&caller.account)
        .and_then(|account| account.roles.values().find(|role| short(&role.arn) == name));
    let role = role.filter(|_| !world.is_role_taken(&caller.account, name));
    let (partition, account) = super::account::parts(&caller.arn);
    let resource = role.map_or_else(|| format!("arn:{partition}:iam::{account}:role/{name}"), |role| role.arn.clone());
    world.permit(caller, "iam:GetRole", &resource, denied)?;
    let missing = || {
        let text = format!("The role with name {name} cannot be found.");
        AwsError::with_status(404, "NoSuchEntity", text)
    };
    let role = role.ok_or_else(missing)?;
    let path = role.arn.split_once(":role").map_or("/", |(_, path)| path);
    let path = path.strip_suffix(name.as_str()).unwrap_or("/");
    let id = world.chance.id(super::chance::KEY_LETTERS, 17, &role.arn);
    Ok(format!(
        "<GetRoleResponse xmlns=\"{IAM_NAMESPACE}\">\n  <GetRoleResult>\n    <Role>\n      <Path>{}</Path>\n      \
         <RoleName>{}</RoleName>\n      <RoleId>AROA{id}</RoleId>\n      <Arn>{}</Arn>\n      \
         <CreateDate>{}</CreateDate>\n      <AssumeRolePolicyDocument>{}</AssumeRolePolicyDocument>\n      \
         <MaxSessionDuration>{}</MaxSessionDuration>\n    </Role>\n  </GetRoleResult>\n  <ResponseMetadata>\n    \
         <RequestId>{}</RequestId>\n  </ResponseMetadata>\n</GetRoleResponse>\n",
        escape(path),
        escape(name),
        escape(&role.arn),
        iso(role.created),
        percent_encoded(&role.trust.to_string()),
        role.max_session.as_secs(),
        world.request_id()
    ))
}

/// Encodes everything but RFC 3986's unreserved characters.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len() * 2);
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}
