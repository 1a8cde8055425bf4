//! Tags of what is made in ECS: which ones it refuses.

use serde_json::Value;

use crate::sandbox::ecs::text_of;
use crate::sandbox::wire::AwsError;

/// A resource has at most so many.
const MOST: usize = 50;
const LONGEST_KEY: usize = 128;
const LONGEST_VALUE: usize = 256;

/// Refuses tags that ECS does not take.
pub(crate) fn check(tags: &[Value]) -> Result<(), AwsError> {
    if tags.len() > MOST {
        return Err(AwsError::invalid("Too many tags: at most 50 tags are allowed."));
    }
    let mut keys: Vec<&str> = Vec::new();
    for tag in tags {
        let (key, value) = (text_of(tag, "key").unwrap_or_default(), text_of(tag, "value").unwrap_or_default());
        if key.is_empty() || key.chars().count() > LONGEST_KEY {
            return Err(AwsError::invalid("Tag keys must have between 1 and 128 characters."));
        }
        if value.chars().count() > LONGEST_VALUE {
            return Err(AwsError::invalid("Tag values must have at most 256 characters."));
        }
        if !key.chars().chain(value.chars()).all(is_allowed) {
            return Err(AwsError::invalid(
                "Some tags contain invalid characters. Valid characters: UTF-8 letters, spaces, numbers and _ . / = + - : @.",
            ));
        }
        if key.to_ascii_lowercase().starts_with("aws:") {
            return Err(AwsError::invalid("aws: prefixed tag key names are not allowed for external use."));
        }
        if keys.contains(&key) {
            return Err(AwsError::invalid("Duplicate tag keys found. Please note that tag keys are case sensitive."));
        }
        keys.push(key);
    }
    Ok(())
}

fn is_allowed(char: char) -> bool {
    char.is_alphanumeric() || char.is_whitespace() || "_./=+-:@".contains(char)
}
