//! JSON as it is written to terminals and files: text of others in it commands nothing there.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io;

use serde::Serialize;

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

/// Writes control characters and what reorders text, all of which stand in strings alone, as `\u….`: readers of JSON see no
/// difference. Those below U+0020 a serialiser escapes itself.
fn neutral(json: &str) -> Cow<'_, str> {
    let unsafe_char = |char: char| {
        matches!(char, '\u{7f}'..='\u{9f}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    if !json.chars().any(unsafe_char) {
        return Cow::Borrowed(json);
    }
    let mut safe = String::with_capacity(json.len() + 16);
    for char in json.chars() {
        if unsafe_char(char) {
            let _ = write!(safe, "\\u{:04x}", u32::from(char));
        } else {
            safe.push(char);
        }
    }
    Cow::Owned(safe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_json_commands_a_terminal_and_readers_see_no_difference() {
        let text = "a\u{1b}[2J\u{9b}1m\u{7f}\u{202e}\u{61c}\u{200b}\u{feff}\u{2028}\r\n 일 ✔ é";
        for json in [line(&text).expect("JSON"), pretty(&[text]).expect("JSON")] {
            let unsafe_char = |char: char| {
                (char.is_control() && char != '\n') || "\u{202e}\u{61c}\u{200b}\u{feff}\u{2028}".contains(char)
            };
            assert!(!json.trim_end().contains(unsafe_char), "{json:?}");
            assert!(json.contains("일 ✔ é"));
        }
        assert_eq!(serde_json::from_str::<String>(&line(&text).expect("JSON")).expect("JSON"), text);
    }
}
