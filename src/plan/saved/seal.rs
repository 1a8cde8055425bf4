//! The digest of a saved plan, and its signature: put at the end of a JSON object, and checked.
//!
//! It covers the text itself and not what some parser makes of it: every byte that is not white space between tokens.

use std::fmt::Write as _;

use ring::hmac;
use sha2::{Digest as _, Sha256};

/// Between what is covered and the digest, in the minified text.
const MEMBER: &str = ",\"digest\":\"sha256:";

/// Between what is signed and the signature, in the minified text.
const SIGNATURE: &str = ",\"signature\":\"hmac-sha256:";
/// What is signed begins with it, so that the key signs nothing else of the same bytes.
const SIGNED: &str = "roleout saved plan\n";
/// The fewest bytes of a key: with fewer it can be guessed from one signed plan.
const LEAST: usize = 32;
/// The fewest different bytes of a key.
const LEAST_DIFFERENT: usize = 10;

/// A key that signs saved plans. It prints nothing of itself.
#[derive(Clone, Debug)]
pub struct Key(hmac::Key);

impl Key {
    /// Takes a key.
    ///
    /// # Errors
    /// It is weak, and what a better one is.
    pub fn new(secret: &str) -> Result<Self, String> {
        let secret = secret.trim().as_bytes();
        let different: std::collections::BTreeSet<&u8> = secret.iter().collect();
        if secret.len() < LEAST || different.len() < LEAST_DIFFERENT {
            return Err(format!(
                "the key is weak: it needs {LEAST} characters at least, of {LEAST_DIFFERENT} kinds; \
                 `openssl rand -hex 32` makes one"
            ));
        }
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, secret)))
    }
}

/// Adds the signature to a JSON object that has members, as its last one.
pub fn sign(object: &str, key: &Key) -> String {
    let open = object.trim_end().strip_suffix('}').unwrap_or(object).trim_end();
    let tag = hmac::sign(&key.0, format!("{SIGNED}{}", minify(open)).as_bytes());
    format!("{open},\n  \"signature\": \"hmac-sha256:{}\"\n}}", hex(tag.as_ref()))
}

/// Takes the signature out of what [`open`] returns. Returns the object without it, and whether there was one.
pub fn unsign(mut opened: String) -> (String, Option<Signature>) {
    let found = opened.rfind(SIGNATURE).and_then(|end| {
        let tag = opened[end + SIGNATURE.len()..].strip_suffix("\"}")?;
        (tag.len() == 64).then(|| bytes(tag)).flatten().map(|tag| (end, tag))
    });
    let Some((end, tag)) = found else { return (opened, None) };
    opened.truncate(end);
    let signature = Signature { signed: opened.clone(), tag };
    opened.push('}');
    (opened, Some(signature))
}

/// The signature of a saved plan, and what it is of.
pub struct Signature {
    signed: String,
    tag: Vec<u8>,
}

impl Signature {
    /// Whether it was made with this key. It takes as long for any other.
    pub fn is_of(&self, key: &Key) -> bool {
        hmac::verify(&key.0, format!("{SIGNED}{}", self.signed).as_bytes(), &self.tag).is_ok()
    }
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    hex.as_bytes().chunks(2).map(|pair| Some(digit(pair[0])? << 4 | digit(*pair.get(1)?)?)).collect()
}

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

/// Removes the white space between the tokens of a JSON text. What lies between is copied as it is: its quotes, backslashes and
/// white space are single bytes, and part of no other character.
fn minify(text: &str) -> String {
    let mut minified = String::with_capacity(text.len());
    let (mut kept, mut quoted, mut escaped) = (0, false, false);
    for (at, byte) in text.bytes().enumerate() {
        if !quoted && matches!(byte, b' ' | b'\t' | b'\r' | b'\n') {
            if kept < at {
                minified.push_str(&text[kept..at]);
            }
            kept = at + 1;
        }
        quoted ^= byte == b'"' && !escaped;
        escaped = quoted && byte == b'\\' && !escaped;
    }
    minified + &text[kept..]
}

fn digest(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(64), |mut hex, byte| {
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
        assert_eq!(minify("{ \"é \\\\\" : \"✔ \u{a0}\" }\n"), "{\"é \\\\\":\"✔ \u{a0}\"}");
        assert_eq!((minify(""), minify(" \n")), (String::new(), String::new()));
    }

    #[test]
    fn the_digest_is_the_published_one() {
        assert_eq!(digest(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }

    #[test]
    fn a_signature_is_of_its_key_and_text_and_a_weak_key_is_refused() {
        let key = |text: &str| Key::new(text).expect("a key");
        let (one, other) = (key("0123456789abcdef0123456789abcdef"), key("0123456789abcdef0123456789abcdeF"));
        let sealed = close(&sign("{\n  \"a\": \"x y\"\n}", &one));
        let (text, signature) = unsign(open(&sealed).expect("the digest holds"));
        let signature = signature.expect("it is signed");
        assert_eq!(text, "{\"a\":\"x y\"}");
        assert!(signature.is_of(&one) && !signature.is_of(&other));
        let changed =
            close("{\"a\": \"z\"}").replace(",\n  \"digest\"", &format!("{SIGNATURE}{}\", \"digest\"", "0".repeat(64)));
        assert_eq!(open(&changed), None, "the digest covers the signature");
        let moved = Signature { signed: "{\"a\":\"z\"".to_owned(), tag: signature.tag };
        assert!(!moved.is_of(&one));
        assert!(unsign("{\"a\":1}".to_owned()).1.is_none());
        for weak in ["", "secret", &"a".repeat(64), "0123456789abcdef0123456789abcde", &"ab12".repeat(20)] {
            assert!(Key::new(weak).is_err(), "{weak}");
        }
        assert!(!format!("{one:?}").contains("0123"));
    }

    #[test]
    fn what_was_closed_opens_and_nothing_else() {
        let sealed = close("{\n  \"a\": \"x y\"\n}");
        assert_eq!(open(&sealed).as_deref(), Some("{\"a\":\"x y\"}"));
        for other in [sealed.replace("x y", "x  y"), sealed.replace('}', ",\"b\":1}"), "{\"a\":1}".to_owned()] {
            assert_eq!(open(&other), None, "{other:?}");
        }
    }
}
