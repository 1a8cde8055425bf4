//! CBOR (RFC 8949) as Smithy's RPC v2 protocol uses it, to and from JSON values.
//!
//! Byte strings, which none of the sandbox's operations takes, are refused.

use ciborium::Value as Cbor;
use ciborium::de::from_reader_with_recursion_limit;
use serde_json::{Number, Value};

/// Deeper nesting is refused.
const MAX_DEPTH: usize = 16;
/// The tag of a time in epoch seconds.
const EPOCH_SECONDS: u64 = 1;

/// Reads one value that takes all of the bytes.
pub(crate) fn read(mut bytes: &[u8]) -> Option<Value> {
    let value = from_reader_with_recursion_limit(&mut bytes, MAX_DEPTH).ok()?;
    json(value).filter(|_| bytes.is_empty())
}

/// Writes a value. Numbers of members whose names end in `Timestamp` are epoch seconds.
pub(crate) fn write(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(&cbor(value), &mut bytes).expect("a vector takes everything");
    bytes
}

fn json(value: Cbor) -> Option<Value> {
    Some(match value {
        Cbor::Null => Value::Null,
        Cbor::Bool(value) => value.into(),
        Cbor::Integer(number) => Number::from_i128(number.into())?.into(),
        Cbor::Float(number) => Number::from_f64(number)?.into(),
        Cbor::Text(text) => text.into(),
        Cbor::Array(items) => items.into_iter().map(json).collect::<Option<_>>()?,
        Cbor::Map(members) => {
            let member = |(key, value): (Cbor, Cbor)| Some((key.into_text().ok()?, json(value)?));
            Value::Object(members.into_iter().map(member).collect::<Option<_>>()?)
        }
        // A tag says how to read what it is on: none is needed here.
        Cbor::Tag(_, value) => json(*value)?,
        _ => return None,
    })
}

fn cbor(value: &Value) -> Cbor {
    match value {
        Value::Null => Cbor::Null,
        Value::Bool(value) => Cbor::Bool(*value),
        Value::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => number.into(),
            (None, Some(number)) => number.into(),
            (None, None) => number.as_f64().unwrap_or_default().into(),
        },
        Value::String(text) => text.as_str().into(),
        Value::Array(items) => Cbor::Array(items.iter().map(cbor).collect()),
        Value::Object(members) => {
            let member = |(key, value): (&String, &Value)| {
                let is_time = key.ends_with("Timestamp") && value.is_number();
                let value = cbor(value);
                (key.as_str().into(), if is_time { Cbor::Tag(EPOCH_SECONDS, value.into()) } else { value })
            };
            Cbor::Map(members.iter().map(member).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for value in [
            json!({ "AlarmNames": ["a", "b".repeat(300)], "MaxRecords": 100, "low": -7, "half": 0.5, "yes": true }),
            json!({ "StateUpdatedTimestamp": 1_763_000_000.25, "nothing": null, "none": [], "empty": {} }),
        ] {
            assert_eq!(read(&write(&value)), Some(value));
        }
    }

    #[test]
    fn lengths_that_are_not_said_are_read_and_rubbish_is_not() {
        // {_ "a": [_ 1, 2], "b": (_ "x", "y")}
        let open = b"\xbf\x61a\x9f\x01\x02\xff\x61b\x7f\x61x\x61y\xff\xff";
        assert_eq!(read(open), Some(json!({ "a": [1, 2], "b": "xy" })));
        for bytes in
            [&b""[..], b"\xbf\x61a", b"\x01\x01", b"\x1c", b"\x7b\xff\xff\xff\xff\xff\xff\xff\xff", &[0x81; 99]]
        {
            assert_eq!(read(bytes), None, "{bytes:?}");
        }
    }
}
