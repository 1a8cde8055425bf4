//! What ECS takes as the reference of a secret.

use crate::fleet::is_region;
use crate::task_definition::placeholder;

/// Refuses what is the reference of no secret.
pub fn check(from: &str) -> Result<(), String> {
    if from.is_empty() {
        return Err("is empty".to_owned());
    }
    let Some(arn) = from.strip_prefix("arn:") else { return Ok(()) };
    let mut parts = arn.split(':').skip(1);
    match parts.next() {
        Some("ssm" | "secretsmanager") => match parts.next() {
            Some(region) if is_region(region) || placeholder::find(region).is_some() => Ok(()),
            region => Err(format!("names the region `{}`, which is none", region.unwrap_or_default())),
        },
        Some(other) => Err(format!("is an ARN of `{other}`, and no secret")),
        None => Err("is not a whole ARN".to_owned()),
    }
}
