//! Systems Manager: DescribeParameters and GetParameters. The parameters that are secrets to ECS have no value.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::references::need::Need;
use crate::sandbox::Sandbox;
use crate::sandbox::account::partition;
use crate::sandbox::ecs::{list_of, text_of};
use crate::sandbox::moment::epoch;
use crate::sandbox::wire::AwsError;
use crate::sandbox::world::{Call, World};

/// The most parameters on a page, and how many there are unless the request says.
const PAGE: u64 = 50;

/// Parameters with values, by account, region and name.
pub(crate) type Parameters = BTreeMap<(String, String, String), StoredParameter>;

/// A parameter with a value.
#[derive(Clone, Debug)]
pub(crate) struct StoredParameter {
    /// `String`, `StringList` or `SecureString`.
    pub(crate) kind: String,
    pub(crate) value: String,
    pub(crate) version: u64,
}

impl Sandbox {
    /// Gives a parameter of an account, by its id, and region a value; `kind` is `String`, `StringList` or `SecureString`.
    pub fn put_parameter(&self, place: (&str, &str), name: &str, kind: &str, value: &str) {
        self.world().put_parameter(place, name, kind, value);
    }

    /// Takes a parameter away.
    pub fn remove_parameter(&self, place: (&str, &str), name: &str) {
        self.world().parameters.remove(&(place.0.to_owned(), place.1.to_owned(), name.to_owned()));
    }
}

/// Returns the ARN of a parameter.
pub(crate) fn arn(call: &Call, name: &str) -> String {
    let path = name.trim_start_matches('/');
    format!("arn:{}:ssm:{}:{}:parameter/{path}", partition(&call.region), call.region, call.account)
}

/// Returns the ARNs of the parameters that a request names.
pub(crate) fn resources(call: &Call, input: &Value) -> Vec<String> {
    let name = |name: &str| arn(call, name.split(':').next().unwrap_or(name));
    list_of(input, "Names").into_iter().map(name).collect()
}

pub(crate) fn read(world: &mut World, call: &Call, input: &Value) -> Result<Value, AwsError> {
    let decrypts = input["WithDecryption"].as_bool().unwrap_or_default();
    let (mut found, mut invalid) = (Vec::new(), Vec::new());
    for asked in list_of(input, "Names") {
        let (name, selector) = asked.split_once(':').map_or((asked, None), |(name, it)| (name, Some(it)));
        let parameter = world.parameter(call, name);
        match parameter.filter(|it| selector.is_none_or(|selector| it.version.to_string() == selector)) {
            Some(StoredParameter { kind, value, version }) => {
                let secret = kind == "SecureString" && !decrypts;
                let mut answer = json!({
                    "Name": name,
                    "ARN": arn(call, name),
                    "Type": kind,
                    "Value": if secret { "AQICAHsandbox" } else { &value },
                    "Version": version,
                    "LastModifiedDate": epoch(call.now),
                    "DataType": "text",
                });
                if let Some(selector) = selector {
                    answer["Selector"] = json!(format!(":{selector}"));
                }
                found.push(answer);
            }
            None => invalid.push(asked),
        }
    }
    Ok(json!({ "Parameters": found, "InvalidParameters": invalid }))
}

impl World {
    /// Returns a parameter that is there: one with a value, or a secret that ECS reads.
    fn parameter(&self, call: &Call, name: &str) -> Option<StoredParameter> {
        let key = (call.account.clone(), call.region.clone(), name.to_owned());
        let is_secret = |need: &Need| match need {
            Need::Parameter(parameter) => {
                parameter.region == call.region && parameter.names.iter().any(|known| known == name)
            }
            _ => false,
        };
        let secret = || StoredParameter { kind: "SecureString".to_owned(), value: "secret".to_owned(), version: 1 };
        let known = self.parameters.get(&key).cloned();
        known.or_else(|| self.things(&call.account).any(|(need, _)| is_secret(need)).then(secret))
    }

    /// Gives a parameter a value, as PutParameter does.
    pub(crate) fn put_parameter(&mut self, place: (&str, &str), name: &str, kind: &str, value: &str) {
        let key = (place.0.to_owned(), place.1.to_owned(), name.to_owned());
        let version = self.parameters.get(&key).map_or(0, |known| known.version) + 1;
        let stored = StoredParameter { kind: kind.to_owned(), value: value.to_owned(), version };
        self.parameters.insert(key, stored);
    }
}

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
            Some(json!({
                "Name": name,
                "ARN": arn(call, name),
                "Type": "SecureString",
                "LastModifiedDate": epoch(call.now),
                "Version": 1,
                "Tier": "Standard",
            }))
        }
        _ => None,
    });
    let with_values = world.parameters.iter().filter(|((account, region, name), _)| {
        (account, region) == (&call.account, &call.region) && wanted(std::slice::from_ref(name))
    });
    let with_values = with_values.map(|((_, _, name), stored)| {
        json!({
            "Name": name,
            "ARN": arn(call, name),
            "Type": stored.kind,
            "LastModifiedDate": epoch(call.now),
            "Version": stored.version,
            "Tier": "Standard",
        })
    });
    let found = found.chain(with_values);
    Ok(json!({ "Parameters": found.take(usize::try_from(limit).unwrap_or(50)).collect::<Vec<_>>() }))
}
