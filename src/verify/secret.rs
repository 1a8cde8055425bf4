//! What `valueFrom` names: a secret of Secrets Manager, or a parameter of Systems Manager. Only their existence is of
//! interest; nothing here has a place for a value.

use std::fmt;

use super::{Finding, Need};
use crate::fleet::partition_of;

/// Parameters by this name are secrets of Secrets Manager.
const REFERENCE: &str = "/aws/reference/secretsmanager/";
/// Parameters below this are published by AWS, and are in no account.
const PUBLISHED: &str = "/aws/";

/// A secret.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Secret {
    /// Its region.
    pub region: String,
    /// Its ARN or name: what DescribeSecret takes.
    pub id: String,
}

/// A parameter.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Parameter {
    /// Its region.
    pub region: String,
    /// The account that it is in, where its ARN says so.
    pub account: Option<String>,
    /// The names that it may have: an ARN does not tell `/url` from `url`.
    pub names: Vec<String>,
}

/// Reads a `valueFrom`; `region` is the service's, for what is named without an ARN. `None` where it names nothing that
/// an account has.
pub fn read(text: &str, region: &str) -> Option<Need> {
    if super::arn(text, "secretsmanager").is_some() {
        return Some(Need::Secret(Secret::read(text, region)));
    }
    let (region, account, name) = match super::arn(text, "ssm") {
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

impl Secret {
    /// Reads a secret's ARN, without what names a part or version of it, or a name.
    pub fn read(text: &str, region: &str) -> Self {
        match super::arn(text, "secretsmanager") {
            Some((region, _, _)) => {
                // arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME[:KEY:STAGE:VERSION]
                let id: Vec<&str> = text.split(':').take(7).collect();
                Self { region: region.to_owned(), id: id.join(":") }
            }
            None => Self { region: region.to_owned(), id: text.to_owned() },
        }
    }

    /// Says that there is none.
    pub fn missing(&self) -> Finding {
        let reason = format!("the secret {} does not exist", self.id);
        Finding::new(reason, "create it, or correct valueFrom in the task definition or `secrets` in the manifest")
    }

    /// Says that it cannot be read any more, though it can be restored.
    pub fn is_deleted(&self) -> Finding {
        let reason = format!("the secret {} is scheduled for deletion", self.id);
        Finding::new(reason, "restore it with `aws secretsmanager restore-secret`, or name another one")
    }
}

impl Parameter {
    /// Says that it is of another account than the tasks, whose id is given.
    pub fn is_foreign(&self, account: &str) -> Finding {
        let owner = self.account.as_deref().unwrap_or_default();
        Finding::new(
            format!("the parameter {self} is of account {owner}: tasks of account {account} cannot read it"),
            "write ${account.id} and ${region} in its ARN, or give its name alone",
        )
    }

    /// Says that there is none.
    pub fn missing(&self) -> Finding {
        let reason = format!("the parameter {self} does not exist in {}", self.region);
        Finding::new(reason, "create it, or correct valueFrom in the task definition or `secrets` in the manifest")
    }
}

impl fmt::Display for Parameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.names.first().map_or("", String::as_str))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_named_without_their_parts() {
        let arn = "arn:aws:secretsmanager:eu-central-1:111111111111:secret:team/db-AbCdEf";
        for (text, id, region) in [
            (arn.to_owned(), arn, "eu-central-1"),
            (format!("{arn}:password::"), arn, "eu-central-1"),
            (format!("{arn}:password:AWSCURRENT:v1"), arn, "eu-central-1"),
            ("/aws/reference/secretsmanager/team/db".to_owned(), "team/db", "eu-west-1"),
        ] {
            let wanted = Need::Secret(Secret { region: region.to_owned(), id: id.to_owned() });
            assert_eq!(read(&text, "eu-west-1"), Some(wanted), "{text}");
        }
    }

    #[test]
    fn parameters_are_named_as_describe_parameters_has_them() {
        for (text, region, account, names) in [
            ("/api/url", "eu-west-1", None, vec!["/api/url"]),
            ("url", "eu-west-1", None, vec!["url"]),
            ("url:3", "eu-west-1", None, vec!["url"]),
            (
                "arn:aws:ssm:us-east-1:111111111111:parameter/api/url",
                "us-east-1",
                Some("111111111111"),
                vec!["/api/url"],
            ),
            (
                "arn:aws:ssm:us-east-1:111111111111:parameter/url",
                "us-east-1",
                Some("111111111111"),
                vec!["url", "/url"],
            ),
        ] {
            let names = names.into_iter().map(str::to_owned).collect();
            let wanted = Parameter { region: region.to_owned(), account: account.map(str::to_owned), names };
            assert_eq!(read(text, "eu-west-1"), Some(Need::Parameter(wanted)), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_a_secret_is_a_fault() {
        for (text, wanted) in [
            ("arn:aws:ssm:eu-west-1:111111111111:parameter/a", None),
            ("arn:aws:secretsmanager:eu-west-1:222222222222:secret:a-AbCdEf", None),
            ("a", None),
            ("arn:aws:ssm:eu-west-1:222222222222:parameter/a", Some("is of account 222222222222")),
            ("arn:aws:s3:::bucket", Some("is no ARN of a secret or of an SSM parameter")),
            ("arn:aws:ssm", Some("is no ARN of a secret or of an SSM parameter")),
            ("arn:aws:ssm:eu-west-1::parameter/a", Some("names no account")),
            ("arn:aws-cn:ssm:eu-west-1:111111111111:parameter/a", Some("is of the partition aws-cn")),
        ] {
            let reason = fault(text, Some("111111111111"), "eu-west-1").map(|fault| fault.reason);
            assert_eq!(reason.is_some(), wanted.is_some(), "{text}: {reason:?}");
            assert!(wanted.is_none_or(|words| reason.is_some_and(|it| it.contains(words))), "{text}");
        }
        assert_eq!(fault("arn:aws:ssm:eu-west-1:222222222222:parameter/a", None, "eu-west-1"), None);
    }

    #[test]
    fn what_no_account_has_is_not_asked_for() {
        for text in
            ["", "/aws/service/global-infrastructure/regions", "arn:aws:s3:::bucket", "arn:aws:ssm:r:1:document/x"]
        {
            assert_eq!(read(text, "eu-west-1"), None, "{text}");
        }
    }
}
