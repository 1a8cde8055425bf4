//! Systems Manager: DescribeParameters. There is no value to get.

use serde_json::{Value, json};

use crate::references::need::Need;
use crate::sandbox::account::partition;
use crate::sandbox::ecs::{list_of, text_of};
use crate::sandbox::moment::epoch;
use crate::sandbox::wire::AwsError;
use crate::sandbox::world::{Call, World};

/// The most parameters on a page, and how many there are unless the request says.
const PAGE: u64 = 50;

pub(crate) fn describe(world: &mut World, call: &Call, input: &Value) -> Result<Value, AwsError> {
    let filters = input.get("ParameterFilters").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let unknown = |filter: &&Value| {
        text_of(filter, "Key") != Some("Name") || text_of(filter, "Option").is_some_and(|option| option != "Equals")
    };
    if let Some(filter) = filters.iter().find(unknown) {
        let text = format!("the sandbox filters by Name and Equals alone, and not by {filter}");
        return Err(AwsError::new("InvalidFilterOption", text));
    }
    let wanted = |names: &[String]| {
        filters.iter().all(|filter| {
            let values = list_of(filter, "Values");
            names.iter().any(|name| values.contains(&name.as_str()))
        })
    };
    let limit = input.get("MaxResults").and_then(Value::as_u64).unwrap_or(PAGE).clamp(1, PAGE);
    let found = world.things(&call.account).filter_map(|(need, _)| match need {
        Need::Parameter(parameter) if parameter.region == call.region && wanted(&parameter.names) => {
            let name = parameter.names.first()?;
            let (partition, region, account) = (partition(&call.region), &call.region, &call.account);
            let path = name.trim_start_matches('/');
            Some(json!({
                "Name": name,
                "ARN": format!("arn:{partition}:ssm:{region}:{account}:parameter/{path}"),
                "Type": "SecureString",
                "LastModifiedDate": epoch(call.now),
                "Version": 1,
                "Tier": "Standard",
            }))
        }
        _ => None,
    });
    Ok(json!({ "Parameters": found.take(usize::try_from(limit).unwrap_or(50)).collect::<Vec<_>>() }))
}
