//! JSON as it is written to terminals and files: text of others in it commands nothing there.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write};

use serde::Serialize;
use serde_json::Value;

use crate::base::text::is_unsafe;

/// Returns a value as JSON in one line.
///
/// # Errors
/// It has no form in JSON.
pub fn line<T: Serialize>(value: &T) -> io::Result<String> {
    Ok(neutral(&serde_json::to_string(value)?).into_owned() + "\n")
}

/// Returns a value as indented JSON.
///
/// # Errors
/// It has no form in JSON.
pub fn pretty<T: Serialize>(value: &T) -> io::Result<String> {
    Ok(neutral(&serde_json::to_string_pretty(value)?).into_owned() + "\n")
}

/// Writes a value as indented JSON, piece by piece: the text of a large one is never there as a whole.
///
/// # Errors
/// It has no form in JSON, or the writer fails.
pub fn write_pretty<T: Serialize>(value: &T, mut writer: impl Write) -> io::Result<()> {
    serde_json::to_writer_pretty(Neutral(&mut writer), value)?;
    writer.write_all(b"\n")
}

/// Neutralises the JSON that passes through it, of which a serialiser writes whole characters.
struct Neutral<W>(W);

impl<W: Write> Write for Neutral<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = std::str::from_utf8(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        self.0.write_all(neutral(text).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Returns a text as a literal between double quotes, as JSON, YAML and HCL all read it. HCL has the fewest escapes of them.
pub fn literal(text: &str) -> String {
    let mut written = String::with_capacity(text.len() + 2);
    written.push('"');
    for char in text.chars() {
        match char {
            '"' | '\\' => written.extend(['\\', char]),
            '\n' => written.push_str("\\n"),
            '\r' => written.push_str("\\r"),
            '\t' => written.push_str("\\t"),
            _ if !is_unsafe(char) => written.push(char),
            // JSON alone would want two halves here; none of what is written by this is read as JSON.
            '\u{10000}'.. => written.push_str(&format!("\\U{:08x}", u32::from(char))),
            _ => written.push_str(&format!("\\u{:04x}", u32::from(char))),
        }
    }
    written.push('"');
    written
}

/// Writes what a terminal could obey or a reader could not see, all of which stands in strings alone, as `\u….`: readers of
/// JSON see no difference. What is below U+0020 a serialiser escapes itself.
fn neutral(json: &str) -> Cow<'_, str> {
    let is_hidden = |char: char| char > '\u{1f}' && is_unsafe(char);
    // Most of it is ASCII, which is seen at once, and a saved plan has megabytes.
    let is_plain = json.is_ascii() && !json.contains('\u{7f}');
    if is_plain || !json.chars().any(is_hidden) {
        return Cow::Borrowed(json);
    }
    let mut safe = String::with_capacity(json.len() + 16);
    for char in json.chars() {
        if is_hidden(char) {
            for unit in char.encode_utf16(&mut [0; 2]) {
                let _ = write!(safe, "\\u{unit:04x}");
            }
        } else {
            safe.push(char);
        }
    }
    Cow::Owned(safe)
}

/// Returns the members of a list, or the one value that stands for a list of one.
pub fn each(value: &Value) -> impl Iterator<Item = &Value> {
    match value {
        Value::Array(items) => items.as_slice(),
        Value::Null => &[],
        one => std::slice::from_ref(one),
    }
    .iter()
}

/// Puts `over` on top of `base`: objects key by key, anything else as a whole.
pub fn merge(base: &mut Value, over: Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                match base.get_mut(&key) {
                    Some(inner) => merge(inner, value),
                    None => {
                        base.insert(key, value);
                    }
                }
            }
        }
        (base, over) => *base = over,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_json_commands_a_terminal_and_readers_see_no_difference() {
        let text = "a\u{1b}[2J\u{9b}1m\u{7f}\u{202e}\u{61c}\u{200b}\u{feff}\u{2028}\u{e0041}\r\n 일 ✔ é";
        let mut written = Vec::new();
        write_pretty(&[text], &mut written).expect("JSON");
        assert_eq!(String::from_utf8_lossy(&written), pretty(&[text]).expect("JSON"));
        for json in [line(&text).expect("JSON"), pretty(&[text]).expect("JSON")] {
            assert!(!json.contains(|char| char != '\n' && is_unsafe(char)), "{json:?}");
            assert!(json.contains("일 ✔ é"), "{json:?}");
        }
        assert_eq!(serde_json::from_str::<String>(&line(&text).expect("JSON")).expect("JSON"), text);
        assert_eq!(line(&"a\u{7f}b\u{1b}").expect("JSON").trim_end(), "\"a\\u007fb\\u001b\"");
    }
    #[test]
    fn a_literal_is_the_text_and_commands_nothing() {
        assert_eq!(
            literal("a\"\\\n\r\t\u{8}\u{9b}\u{202e}\u{e0041} 일"),
            r#""a\"\\\n\r\t\u0008\u009b\u202e\U000e0041 일""#
        );
    }
}
