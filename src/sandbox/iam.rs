//! IAM: what is read of roles and their policies, in awsQuery and XML; the identity providers are in [`super::providers`].
//!
//! Every policy is at its first version, and a role's inline policy has one name.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};
use serde_json::Value;

use crate::sandbox::account::{Account, Role, parts};
use crate::sandbox::barrier::Barrier;
use crate::sandbox::ecs::short;
use crate::sandbox::moment::iso;
use crate::sandbox::providers;
use crate::sandbox::session::Principal;
use crate::sandbox::sts::Form;
use crate::sandbox::validation;
use crate::sandbox::wire::{AwsError, IAM_NAMESPACE, escape};
use crate::sandbox::world::World;

/// The version of IAM's interface: what tells its requests from those of STS.
pub(crate) const VERSION: &str = "2010-05-08";

/// The name of an inline policy.
const INLINE: &str = "inline";

/// Carries an operation out, if the caller may, and returns its answer as XML.
pub(crate) fn answer(
    world: &World,
    form: &Form,
    caller: &Principal,
    denied: Option<Barrier>,
) -> Result<String, AwsError> {
    let operation = form.get("Action").map(String::as_str).unwrap_or_default();
    validation::accept_form("iam", operation, form)?;
    let asking = Asking { world, form, caller, denied, operation };
    let result = match operation {
        "GetRole" => asking.role()?,
        "ListRolePolicies" => asking.inline_policies()?,
        "GetRolePolicy" => asking.inline_policy()?,
        "ListAttachedRolePolicies" => asking.attached_policies()?,
        "GetPolicy" => asking.policy()?,
        "GetPolicyVersion" => asking.policy_version()?,
        "ListOpenIDConnectProviders" => providers::list(world, caller, denied)?,
        "GetOpenIDConnectProvider" => providers::get(world, asking.text("OpenIDConnectProviderArn"), caller, denied)?,
        _ => {
            let text = format!("Could not find operation {operation} for version {VERSION}");
            return Err(AwsError::new("InvalidAction", text));
        }
    };
    Ok(format!(
        "<{operation}Response xmlns=\"{IAM_NAMESPACE}\">\n  <{operation}Result>\n{result}  </{operation}Result>\n  \
         <ResponseMetadata>\n    <RequestId>{}</RequestId>\n  </ResponseMetadata>\n</{operation}Response>\n",
        world.request_id()
    ))
}

/// A call, and who makes it.
struct Asking<'a> {
    world: &'a World,
    form: &'a Form,
    caller: &'a Principal,
    denied: Option<Barrier>,
    operation: &'a str,
}

impl<'a> Asking<'a> {
    fn account(&self) -> Option<&'a Account> {
        self.world.accounts.get(&self.caller.account)
    }

    fn permit(&self, resource: &str) -> Result<(), AwsError> {
        self.world.permit(self.caller, &format!("iam:{}", self.operation), resource, self.denied)
    }

    fn text(&self, field: &str) -> &'a str {
        self.form.get(field).map(String::as_str).unwrap_or_default()
    }

    /// Returns the role that the request names, if the caller may read it.
    fn named_role(&self) -> Result<&'a Role, AwsError> {
        let name = self.text("RoleName");
        let role = self.account().and_then(|account| account.roles.values().find(|role| short(&role.arn) == name));
        let role = role.filter(|_| !self.world.is_role_taken(&self.caller.account, name));
        let (partition, account) = parts(&self.caller.arn);
        let arn = role.map_or_else(|| format!("arn:{partition}:iam::{account}:role/{name}"), |role| role.arn.clone());
        self.permit(&arn)?;
        role.ok_or_else(|| missing(format!("The role with name {name} cannot be found.")))
    }

    fn role(&self) -> Result<String, AwsError> {
        let role = self.named_role()?;
        let name = short(&role.arn);
        let path = role.arn.split_once(":role").map_or("/", |(_, path)| path);
        let path = path.strip_suffix(name).unwrap_or("/");
        let id = self.world.chance.id(crate::sandbox::rng::KEY_LETTERS, 17, &role.arn);
        Ok(format!(
            "    <Role>\n      <Path>{}</Path>\n      <RoleName>{}</RoleName>\n      <RoleId>AROA{id}</RoleId>\n      \
             <Arn>{}</Arn>\n      <CreateDate>{}</CreateDate>\n      \
             <AssumeRolePolicyDocument>{}</AssumeRolePolicyDocument>\n      \
             <MaxSessionDuration>{}</MaxSessionDuration>\n    </Role>\n",
            escape(path),
            escape(name),
            escape(&role.arn),
            iso(role.created),
            percent_encoded(&role.trust.to_string()),
            role.max_session.as_secs(),
        ))
    }

    fn inline_policies(&self) -> Result<String, AwsError> {
        let role = self.named_role()?;
        let name = role.policy.as_ref().map_or(String::new(), |_| format!("      <member>{INLINE}</member>\n"));
        Ok(format!("    <PolicyNames>\n{name}    </PolicyNames>\n    <IsTruncated>false</IsTruncated>\n"))
    }

    fn inline_policy(&self) -> Result<String, AwsError> {
        let role = self.named_role()?;
        let name = self.text("PolicyName");
        let policy = role.policy.as_ref().filter(|_| name == INLINE);
        let policy = policy.ok_or_else(|| missing(format!("The role policy with name {name} cannot be found.")))?;
        Ok(format!(
            "    <RoleName>{}</RoleName>\n    <PolicyName>{INLINE}</PolicyName>\n    \
             <PolicyDocument>{}</PolicyDocument>\n",
            escape(short(&role.arn)),
            percent_encoded(&policy.to_string())
        ))
    }

    fn attached_policies(&self) -> Result<String, AwsError> {
        let role = self.named_role()?;
        let (partition, account) = parts(&role.arn);
        let member = |name: &String| {
            format!(
                "      <member>\n        <PolicyName>{0}</PolicyName>\n        \
                 <PolicyArn>arn:{partition}:iam::{account}:policy/{0}</PolicyArn>\n      </member>\n",
                escape(name)
            )
        };
        let members: String = role.attached.keys().map(member).collect();
        Ok(format!("    <AttachedPolicies>\n{members}    </AttachedPolicies>\n    <IsTruncated>false</IsTruncated>\n"))
    }

    /// Returns the ARN of the managed policy that the request names and its document, if the caller may read it.
    fn named_policy(&self) -> Result<(&'a str, &'a Value), AwsError> {
        let arn = self.text("PolicyArn");
        self.permit(arn)?;
        let roles = self.account().into_iter().flat_map(|account| account.roles.values());
        let policy = roles.filter_map(|role| role.attached.get(short(arn))).next();
        Ok((arn, policy.ok_or_else(|| missing(format!("Policy {arn} was not found.")))?))
    }

    fn policy(&self) -> Result<String, AwsError> {
        let (arn, _) = self.named_policy()?;
        Ok(format!(
            "    <Policy>\n      <PolicyName>{}</PolicyName>\n      <Arn>{}</Arn>\n      <Path>/</Path>\n      \
             <DefaultVersionId>v1</DefaultVersionId>\n    </Policy>\n",
            escape(short(arn)),
            escape(arn)
        ))
    }

    fn policy_version(&self) -> Result<String, AwsError> {
        let (_, policy) = self.named_policy()?;
        Ok(format!(
            "    <PolicyVersion>\n      <Document>{}</Document>\n      <VersionId>v1</VersionId>\n      \
             <IsDefaultVersion>true</IsDefaultVersion>\n    </PolicyVersion>\n",
            percent_encoded(&policy.to_string())
        ))
    }
}

fn missing(text: String) -> AwsError {
    AwsError::with_status(404, "NoSuchEntity", text)
}

/// All but RFC 3986's unreserved characters.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

fn percent_encoded(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, RESERVED)
}
