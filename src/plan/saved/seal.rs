//! The digest of a saved plan: put at the end of a JSON object, and checked.
//!
//! It covers the text itself and not what some parser makes of it: every byte that is not white space between tokens.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

/// Between what is covered and the digest, in the minified text.
const MEMBER: &str = ",\"digest\":\"sha256:";

/// Adds the digest to a JSON object that has members, as its last one.
pub fn close(object: &str) -> String {
    let open = object.trim_end().strip_suffix('}').unwrap_or(object).trim_end();
    format!("{open},\n  \"digest\": \"sha256:{}\"\n}}\n", digest(&minify(open)))
}

/// Returns the object without its digest, minified: the very text that the digest covers. `None` where it does not hold.
pub fn open(sealed: &str) -> Option<String> {
    let mut text = minify(sealed);
    let end = text.rfind(MEMBER)?;
    let claimed = text[end + MEMBER.len()..].strip_suffix("\"}")?;
    if claimed != digest(&text[..end]) {
        return None;
    }
    text.truncate(end);
    text.push('}');
    Some(text)
}

/// Removes the white space between the tokens of a JSON text.
fn minify(text: &str) -> String {
    let mut minified = String::with_capacity(text.len());
    let (mut quoted, mut escaped) = (false, false);
    for char in text.chars() {
        if quoted || !matches!(char, ' ' | '\t' | '\r' | '\n') {
            minified.push(char);
        }
        match char {
            '"' if !escaped => quoted = !quoted,
            _ => {}
        }
        escaped = quoted && char == '\\' && !escaped;
    }
    minified
}

fn digest(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().fold(String::with_capacity(64), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_within_strings_stays() {
        assert_eq!(minify(" { \"a b\\\" \\\\\" : [ 1 ,\r\n\t2 ] } "), "{\"a b\\\" \\\\\":[1,2]}");
    }

    #[test]
    fn the_digest_is_the_published_one() {
        assert_eq!(digest(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }

    #[test]
    fn what_was_closed_opens_and_nothing_else() {
        let sealed = close("{\n  \"a\": \"x y\"\n}");
        assert_eq!(open(&sealed).as_deref(), Some("{\"a\":\"x y\"}"));
        for other in [sealed.replace("x y", "x  y"), sealed.replace('}', ",\"b\":1}"), "{\"a\":1}".to_owned()] {
            assert_eq!(open(&other), None);
        }
    }
}
