//! CBOR (RFC 8949) as Smithy's RPC v2 protocol uses it, to and from JSON values.
//!
//! Byte strings, which none of the sandbox's operations takes, are refused.

use serde_json::{Map, Number, Value};

/// Deeper nesting is refused.
const MAX_DEPTH: usize = 16;

/// Reads one value that takes all of the bytes.
pub(crate) fn read(bytes: &[u8]) -> Option<Value> {
    let mut reader = Reader { bytes };
    let value = reader.value(0)?;
    reader.bytes.is_empty().then_some(value)
}

/// Writes a value. Numbers of members whose names end in `Timestamp` are epoch seconds.
pub(crate) fn write(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    put(&mut bytes, value);
    bytes
}

struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(count)?;
        self.bytes = rest;
        Some(taken)
    }

    fn number(&mut self, count: usize) -> Option<u64> {
        Some(self.take(count)?.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
    }

    /// Reads an argument; `None` inside where the length is not said beforehand.
    fn argument(&mut self, info: u8) -> Option<Option<u64>> {
        Some(match info {
            0..=23 => Some(info.into()),
            24..=27 => Some(self.number(1 << (info - 24))?),
            31 => None,
            _ => return None,
        })
    }

    /// Whether a collection goes on; takes the break that ends one whose length was not said.
    fn goes_on(&mut self, left: &mut Option<u64>) -> Option<bool> {
        match left {
            Some(0) => Some(false),
            Some(left) => {
                *left -= 1;
                Some(true)
            }
            None if *self.bytes.first()? == 0xff => self.take(1).map(|_| false),
            None => Some(true),
        }
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        if depth > MAX_DEPTH {
            return None;
        }
        let head = *self.take(1)?.first()?;
        let info = head & 0x1f;
        if head >> 5 == 7 {
            return self.simple(info);
        }
        let mut argument = self.argument(info)?;
        match head >> 5 {
            0 => Some(argument?.into()),
            1 => i64::try_from(argument?).ok().map(|number| Value::from(-1 - number)),
            3 => {
                let Some(length) = argument else {
                    let mut text = String::new();
                    while self.goes_on(&mut argument)? {
                        text.push_str(self.value(depth + 1)?.as_str()?);
                    }
                    return Some(text.into());
                };
                let text = self.take(usize::try_from(length).ok()?)?;
                std::str::from_utf8(text).ok().map(Value::from)
            }
            4 => {
                let mut items = Vec::new();
                while self.goes_on(&mut argument)? {
                    items.push(self.value(depth + 1)?);
                }
                Some(items.into())
            }
            5 => {
                let mut members = Map::new();
                while self.goes_on(&mut argument)? {
                    let key = self.value(depth + 1)?.as_str()?.to_owned();
                    members.insert(key, self.value(depth + 1)?);
                }
                Some(members.into())
            }
            // A tag says how to read what it is on: none is needed here.
            6 => self.value(depth + 1),
            _ => None,
        }
    }

    fn simple(&mut self, info: u8) -> Option<Value> {
        let float = |number: f64| Number::from_f64(number).map(Value::from);
        match info {
            20 => Some(false.into()),
            21 => Some(true.into()),
            22 | 23 => Some(Value::Null),
            26 => float(f32::from_bits(u32::try_from(self.number(4)?).ok()?).into()),
            27 => float(f64::from_bits(self.number(8)?)),
            _ => None,
        }
    }
}

fn put(bytes: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => bytes.push(0xf6),
        Value::Bool(value) => bytes.push(0xf4 + u8::from(*value)),
        Value::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => head(bytes, 0, number),
            (None, Some(number)) => head(bytes, 1, number.unsigned_abs() - 1),
            (None, None) => {
                bytes.push(0xfb);
                bytes.extend(number.as_f64().unwrap_or_default().to_be_bytes());
            }
        },
        Value::String(text) => put_text(bytes, text),
        Value::Array(items) => {
            head(bytes, 4, items.len() as u64);
            items.iter().for_each(|item| put(bytes, item));
        }
        Value::Object(members) => {
            head(bytes, 5, members.len() as u64);
            for (key, value) in members {
                put_text(bytes, key);
                if key.ends_with("Timestamp") && value.is_number() {
                    head(bytes, 6, 1);
                }
                put(bytes, value);
            }
        }
    }
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    head(bytes, 3, text.len() as u64);
    bytes.extend(text.as_bytes());
}

fn head(bytes: &mut Vec<u8>, major: u8, argument: u64) {
    match u8::try_from(argument) {
        Ok(small @ 0..=23) => bytes.push(major << 5 | small),
        _ => {
            bytes.push(major << 5 | 27);
            bytes.extend(argument.to_be_bytes());
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
