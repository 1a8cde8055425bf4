//! A role's ARN, and the partition of a region.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;

use crate::base::arn;
use crate::fleet::AccountId;

/// The ARN of an IAM role, of any partition.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct RoleArn {
    text: String,
    account: AccountId,
}

impl RoleArn {
    /// Returns the whole ARN.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the account that the role lives in.
    pub fn account(&self) -> &AccountId {
        &self.account
    }

    /// Returns `aws`, `aws-cn`, `aws-us-gov` or another partition.
    pub fn partition(&self) -> &str {
        self.text.split(':').nth(1).unwrap_or("aws")
    }

    /// Returns the role's path: `/` or `/team/`.
    pub fn path(&self) -> &str {
        let (_, rest) = self.text.split_once(":role").unwrap_or(("", "/"));
        rest.strip_suffix(self.name()).unwrap_or("/")
    }

    /// Returns the ARN of a role with the same name and another path.
    ///
    /// # Errors
    /// The path is none.
    pub fn with_path(&self, path: &str) -> Result<Self, String> {
        let whole = path.len() <= 512 && path.starts_with('/') && path.ends_with('/') && !path.contains("//");
        let arn = format!("arn:{}:iam::{}:role{path}{}", self.partition(), self.account, self.name());
        arn.parse().ok().filter(|_| whole).ok_or_else(|| format!("`{path}` is not the path of a role"))
    }

    /// Returns the role's name without its path.
    pub fn name(&self) -> &str {
        arn::name(&self.text)
    }
}

impl FromStr for RoleArn {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wanted = "a role's ARN looks like arn:aws:iam::111122223333:role/name";
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        let [arn, partition, service, region, account, resource] = parts[..] else {
            return Err(format!("`{text}` is not an ARN; {wanted}"));
        };
        if arn == "arn" && !PARTITIONS.contains(&partition) {
            return Err(format!("`{text}` names the partition `{partition}`, which AWS does not have; {wanted}"));
        }
        if arn != "arn" || service != "iam" || !region.is_empty() {
            return Err(format!("`{text}` is not an IAM ARN; {wanted}"));
        }
        let account: AccountId = account.parse().map_err(|error| format!("{error}, in `{text}`"))?;
        // IAM's characters of a path and of a name.
        let is_path = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
        let is_name = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte));
        match resource.strip_prefix("role/").filter(|path| is_path(path)).and_then(|path| path.rsplit('/').next()) {
            Some(name) if !name.is_empty() && name.len() <= 64 && is_name(name) => {
                Ok(Self { text: text.to_owned(), account })
            }
            _ => Err(format!("`{text}` does not name a role; {wanted}")),
        }
    }
}

impl TryFrom<String> for RoleArn {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl fmt::Display for RoleArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Returns the partition that a region belongs to.
pub fn partition_of(region: &str) -> &'static str {
    let prefixes = [
        ("cn-", "aws-cn"),
        ("us-gov-", "aws-us-gov"),
        ("us-iso-", "aws-iso"),
        ("us-isob-", "aws-iso-b"),
        ("eu-isoe-", "aws-iso-e"),
        ("us-isof-", "aws-iso-f"),
        ("eusc-", "aws-eusc"),
    ];
    prefixes.into_iter().find(|(prefix, _)| region.starts_with(prefix)).map_or("aws", |(_, partition)| partition)
}

impl From<RoleArn> for String {
    fn from(arn: RoleArn) -> Self {
        arn.text
    }
}

/// AWS's partitions.
const PARTITIONS: [&str; 8] =
    ["aws", "aws-cn", "aws-us-gov", "aws-iso", "aws-iso-b", "aws-iso-e", "aws-iso-f", "aws-eusc"];
