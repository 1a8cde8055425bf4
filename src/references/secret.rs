//! What `valueFrom` names: a secret of Secrets Manager, or a parameter of Systems Manager. Only their existence is of
//! interest; nothing here has a place for a value.

use std::fmt;

use crate::base::arn;
use crate::references::finding::Finding;

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

impl Secret {
    /// Reads a secret's ARN, without what names a part or version of it, or a name.
    pub fn read(text: &str, region: &str) -> Self {
        match arn::parts(text, "secretsmanager") {
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
    use crate::references::need::{Need, fault, read};

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
