//! Systems Manager's parameters: whether one exists. Its value is never asked for.

use aws_sdk_ssm::Client;
use aws_sdk_ssm::types::ParameterStringFilter;

use crate::aws::error::{CallError, Kind};

/// The parameters of one account and region.
#[derive(Clone, Debug)]
pub struct Parameters {
    client: Client,
}

impl Parameters {
    /// Wraps a client.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// Whether there is a parameter of one of these names.
    pub async fn any(&self, names: &[String]) -> Result<bool, CallError> {
        const OPERATION: &str = "DescribeParameters";
        let filter =
            ParameterStringFilter::builder().key("Name").option("Equals").set_values(Some(names.to_vec())).build();
        let filter = filter.map_err(|error| CallError::plain(OPERATION, Kind::NotSent, error.to_string()))?;
        // A page may be empty and not the last: the filter is applied to what a page has read.
        let mut pages = self.client.describe_parameters().parameter_filters(filter).into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| CallError::new(OPERATION, &error))?;
            if !page.parameters().is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
