//! Systems Manager's parameters: whether one exists, and the values of those that are no secrets.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::aws::error::CallError;
use crate::aws::operation::Client;

/// The most names of a GetParameters.
pub const NAMES_PER_CALL: usize = 10;

/// The parameters of one account and region.
#[derive(Clone, Debug)]
pub struct Parameters {
    client: Client,
}

/// A parameter that was read. Of a secret one, only that it is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parameter {
    /// A String: its value and its version.
    Text(String, u64),
    /// A StringList: its items and its version.
    List(Vec<String>, u64),
    /// A SecureString.
    Secure,
}

impl Parameters {
    /// Wraps a client.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// Whether there is a parameter of one of these names.
    pub async fn any(&self, names: &[String]) -> Result<bool, CallError> {
        let filter = json!({ "Key": "Name", "Option": "Equals", "Values": names });
        // A page may be empty and not the last: the filter is applied to what a page has read.
        let input = json!({ "ParameterFilters": [filter] });
        let found = self.client.list("DescribeParameters", input, "Parameters", "NextToken").await?;
        Ok(!found.is_empty())
    }

    /// Reads at most [`NAMES_PER_CALL`] parameters, by distinct names; those that do not exist are left out. No SecureString is
    /// decrypted.
    pub async fn read(&self, names: &[&str]) -> Result<BTreeMap<String, Parameter>, CallError> {
        let input = json!({ "Names": names, "WithDecryption": false });
        let answer = self.client.read("GetParameters", input).await?;
        let found = answer["Parameters"].as_array().into_iter().flatten();
        Ok(found.filter_map(|found| Some((wanted(names, found)?, parameter(found)?))).collect())
    }
}

/// Returns the name by which a parameter was asked for: AWS gives the version or label of it by itself.
fn wanted(names: &[&str], found: &Value) -> Option<String> {
    let name = found["Name"].as_str()?;
    let selected = format!("{name}{}", found["Selector"].as_str().unwrap_or_default());
    names.iter().find(|wanted| **wanted == selected || **wanted == name).map(|&wanted| wanted.to_owned())
}

fn parameter(found: &Value) -> Option<Parameter> {
    let version = found["Version"].as_u64().unwrap_or_default();
    let value = found["Value"].as_str();
    Some(match found["Type"].as_str()? {
        "String" => Parameter::Text(value?.to_owned(), version),
        "StringList" => Parameter::List(value?.split(',').map(str::to_owned).collect(), version),
        _ => Parameter::Secure,
    })
}
