//! Durations in a written form: text such as `20m`, exact to the nanosecond.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serializer, de};

/// Writes `20m`, `1h 30m` or `0s`.
pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_duration(*duration))
}

/// Reads what [`serialize`] writes.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    humantime::parse_duration(&text).map_err(|error| de::Error::custom(format!("`{text}` is not a duration: {error}")))
}

/// The same for a duration that may be absent.
pub mod optional {
    use super::{Deserialize, Deserializer, Duration, Serializer};

    /// Writes the text, or `null`.
    pub fn serialize<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        match duration {
            Some(duration) => super::serialize(duration, serializer),
            None => serializer.serialize_none(),
        }
    }

    /// Reads what [`serialize`] writes.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        let text: Option<String> = Option::deserialize(deserializer)?;
        let read = |text: String| super::deserialize(serde::de::value::StringDeserializer::new(text));
        text.map(read).transpose()
    }
}
