//! CloudFormation's stacks: what they put out, and what they export.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::aws::error::CallError;
use crate::aws::operation::Client;

/// The stacks of one account and region.
#[derive(Clone, Debug)]
pub struct Stacks {
    client: Client,
}

/// What a stack exports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Export {
    /// The value.
    pub value: String,
    /// The stack's name.
    pub stack: String,
}

impl Stacks {
    /// Wraps a client.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// Reads the outputs of a stack; `None` where there is no such stack.
    pub async fn outputs(&self, stack: &str) -> Result<Option<BTreeMap<String, String>>, CallError> {
        let answer = match self.client.read("DescribeStacks", json!({ "StackName": stack })).await {
            Ok(answer) => answer,
            Err(error) if error.is("ValidationError") && error.message.contains("does not exist") => return Ok(None),
            Err(error) => return Err(error),
        };
        let output = |output: &Value| Some((text(output, "OutputKey")?, text(output, "OutputValue")?));
        Ok(Some(answer["Stacks"][0]["Outputs"].as_array().into_iter().flatten().filter_map(output).collect()))
    }

    /// Reads all exports: CloudFormation finds none by its name.
    pub async fn exports(&self) -> Result<BTreeMap<String, Export>, CallError> {
        let exports = self.client.list("ListExports", json!({}), "Exports", "NextToken").await?;
        let export = |export: &Value| {
            // arn:aws:cloudformation:REGION:ACCOUNT:stack/NAME/ID
            let id = text(export, "ExportingStackId").unwrap_or_default();
            let stack = id.split('/').nth(1).unwrap_or(&id).to_owned();
            Some((text(export, "Name")?, Export { value: text(export, "Value")?, stack }))
        };
        Ok(exports.iter().filter_map(export).collect())
    }
}

fn text(value: &Value, member: &str) -> Option<String> {
    value[member].as_str().map(str::to_owned)
}
