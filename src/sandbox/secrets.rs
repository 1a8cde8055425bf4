//! Secrets Manager: DescribeSecret. There is no value to get.

use serde_json::{Value, json};

use crate::references::need::Need;
use crate::sandbox::account::partition;
use crate::sandbox::ecs::text_of;
use crate::sandbox::moment::epoch;
use crate::sandbox::wire::AwsError;
use crate::sandbox::world::{Call, World};

/// What follows a secret's name in its ARN.
const SUFFIX: &str = "-a1B2c3";

/// Returns the secret's ARN.
pub(crate) fn resource(call: &Call, input: &Value) -> String {
    arn(call, text_of(input, "SecretId").unwrap_or_default())
}

fn arn(call: &Call, id: &str) -> String {
    match id.starts_with("arn:") {
        true => id.to_owned(),
        false => {
            let (partition, region, account) = (partition(&call.region), &call.region, &call.account);
            format!("arn:{partition}:secretsmanager:{region}:{account}:secret:{id}{SUFFIX}")
        }
    }
}

pub(crate) fn describe(world: &mut World, call: &Call, input: &Value) -> Result<Value, AwsError> {
    let id = text_of(input, "SecretId")
        .ok_or_else(|| AwsError::invalid("You must provide a value for the SecretId parameter."))?;
    let account = if id.starts_with("arn:") { crate::sandbox::account::parts(id).1 } else { &call.account };
    let known = |need: &Need| match need {
        Need::Secret(secret) => secret.region == call.region && (secret.id == id || arn(call, &secret.id) == id),
        _ => false,
    };
    let found = world.things(account).find(|(need, _)| known(need));
    let (_, deleted) = found.ok_or_else(|| {
        AwsError::new("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
    })?;
    let whole = arn(call, id);
    let name = whole.splitn(7, ':').nth(6).unwrap_or_default();
    let name = name.rsplit_once('-').filter(|(_, end)| end.len() == 6).map_or(name, |(name, _)| name);
    let mut body = json!({ "ARN": whole, "Name": name, "CreatedDate": epoch(call.now) });
    if deleted {
        body["DeletedDate"] = epoch(call.now);
    }
    Ok(body)
}
