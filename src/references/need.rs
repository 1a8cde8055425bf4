//! What must exist for a task to start.

use crate::base::arn;
use crate::fleet::role_arn::partition_of;
use crate::references::finding::Finding;
use crate::references::image::Image;
use crate::references::log::LogGroup;
use crate::references::role::Role;
use crate::references::secret::{Parameter, Secret};

/// Something that must exist. Equal ones of an account are asked for once.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Need {
    /// A role that tasks or their agent assume.
    Role(Role),
    /// An image in a private registry of ECR.
    Image(Image),
    /// The log group of a container, which is not created by the container itself.
    LogGroup(LogGroup),
    /// A secret of Secrets Manager.
    Secret(Secret),
    /// A parameter of Systems Manager.
    Parameter(Parameter),
}

/// Parameters by this name are secrets of Secrets Manager.
pub(crate) const REFERENCE: &str = "/aws/reference/secretsmanager/";

/// Parameters below this are published by AWS, and are in no account.
pub(crate) const PUBLISHED: &str = "/aws/";

/// Reads a `valueFrom`; `region` is the service's, for what is named without an ARN. `None` where it names nothing that
/// an account has.
pub fn read(text: &str, region: &str) -> Option<Need> {
    if arn::parts(text, "secretsmanager").is_some() {
        return Some(Need::Secret(Secret::read(text, region)));
    }
    let (region, account, name) = match arn::parts(text, "ssm") {
        Some((region, account, resource)) => {
            let path = resource.strip_prefix("parameter/")?;
            // In an ARN the slash that a name begins with is that of `parameter/`.
            (region, Some(account.to_owned()), if path.contains('/') { format!("/{path}") } else { path.to_owned() })
        }
        None if text.starts_with("arn:") || text.is_empty() => return None,
        None => (region, None, text.to_owned()),
    };
    // A version or label stands after a colon, which no name has.
    let name = name.split(':').next().unwrap_or(&name).to_owned();
    let region = region.to_owned();
    if let Some(id) = name.strip_prefix(REFERENCE) {
        return Some(Need::Secret(Secret { region, id: id.to_owned() }));
    }
    if name.starts_with(PUBLISHED) || name.is_empty() {
        return None;
    }
    let mut names = vec![name.clone()];
    if account.is_some() && !name.contains('/') {
        names.push(format!("/{name}"));
    }
    Some(Need::Parameter(Parameter { region, account, names }))
}

/// Says what is wrong with a `valueFrom` by itself, for tasks of an account (where its id is known) and region: an ARN that
/// is of another service or partition, or that names no account, and a parameter of another account.
pub fn fault(text: &str, account: Option<&str>, region: &str) -> Option<Finding> {
    let rest = text.strip_prefix("arn:")?;
    let parts: Vec<&str> = rest.splitn(5, ':').collect();
    let help = "write the ARN of a secret or of an SSM parameter, as in \
                arn:aws:ssm:${region}:${account.id}:parameter/NAME";
    let [partition, service @ ("secretsmanager" | "ssm"), _, owner, _] = parts[..] else {
        return Some(Finding::new(format!("`{text}` is no ARN of a secret or of an SSM parameter"), help));
    };
    if owner.is_empty() {
        return Some(Finding::new(format!("`{text}` names no account"), help));
    }
    let own = partition_of(region);
    if partition != own {
        let reason = format!("`{text}` is of the partition {partition}, and {region} is of {own}");
        return Some(Finding::new(reason, format!("begin it with arn:{own}:")));
    }
    match (read(text, region), account) {
        (Some(Need::Parameter(parameter)), Some(account)) if service == "ssm" && owner != account => {
            Some(parameter.is_foreign(account))
        }
        _ => None,
    }
}
