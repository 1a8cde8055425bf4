//! A revision of a task definition.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::arn;

/// A revision of a task definition: `family:number`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct Revision {
    /// The family.
    pub family: String,
    /// The number, from 1.
    pub number: u32,
}

impl FromStr for Revision {
    type Err = String;

    /// Reads `family:n` or a task definition's ARN.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        arn::name(text)
            .rsplit_once(':')
            .and_then(|(family, number)| Some(Self { family: family.to_owned(), number: number.parse().ok()? }))
            .filter(|revision| !revision.family.is_empty())
            .ok_or_else(|| format!("`{text}` is not a task definition's family:revision"))
    }
}

impl TryFrom<String> for Revision {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Revision> for String {
    fn from(revision: Revision) -> Self {
        revision.to_string()
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.family, self.number)
    }
}
