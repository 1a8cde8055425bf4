//! The digest of a saved plan, and its signature: put at the end of a JSON object, and checked.
//!
//! It covers the text itself and not what some parser makes of it: every byte that is not white space between tokens.

use ring::hmac;
use sha2::{Digest as _, Sha256};

use crate::base::text::hex;

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
pub fn sign(mut object: String, key: &Key) -> String {
    reopen(&mut object);
    let tag = tag(&object, key).sign();
    object.push_str(&format!(",\n  \"signature\": \"hmac-sha256:{}\"\n}}", hex(tag.as_ref())));
    object
}

/// Takes the signature out of what [`open`] returns. Returns the object without it, and the signature if there was one.
pub fn unsign(mut opened: String) -> (String, Option<Signature>) {
    let Some((end, tag)) = last_member(&opened, "signature", "hmac-sha256:") else { return (opened, None) };
    let Some(tag) = bytes(tag) else { return (opened, None) };
    opened.truncate(end);
    opened.push('}');
    (opened, Some(Signature(tag)))
}

/// The signature of a saved plan.
pub struct Signature(Vec<u8>);

impl Signature {
    /// Whether it was made of this object, which [`unsign`] returned, with this key. It takes as long for any other.
    pub fn is_of(&self, object: &str, key: &Key) -> bool {
        let signed = object.strip_suffix('}').unwrap_or(object);
        subtle::ConstantTimeEq::ct_eq(tag(signed, key).sign().as_ref(), self.0.as_slice()).into()
    }
}

/// The tag of what is signed.
fn tag(signed: &str, key: &Key) -> hmac::Context {
    let mut tag = hmac::Context::with_key(&key.0);
    tag.update(SIGNED.as_bytes());
    minify(signed, |piece| tag.update(piece));
    tag
}

/// Takes the end off a JSON object, so that a member can be added.
fn reopen(object: &mut String) {
    let open = object.trim_end();
    object.truncate(open.strip_suffix('}').unwrap_or(open).trim_end().len());
}

/// Finds the last member of an object, if it has this name and 64 characters behind this prefix. Returns where what is before
/// it ends, and these characters.
fn last_member<'a>(object: &'a str, name: &str, prefix: &str) -> Option<(usize, &'a str)> {
    let before = |text: &'a str, what: &str| -> Option<&'a str> { trimmed(text).strip_suffix(what) };
    let value = before(before(object, "}")?, "\"")?;
    let (rest, characters) = value.split_at_checked(value.len().checked_sub(64)?)?;
    let rest = before(rest.strip_suffix(prefix)?.strip_suffix('"')?, ":")?;
    let rest = trimmed(rest).strip_suffix('"')?.strip_suffix(name)?.strip_suffix('"')?;
    before(rest, ",").map(|rest| (rest.len(), characters))
}

/// Returns a text without the white space of JSON at its end.
fn trimmed(text: &str) -> &str {
    text.trim_end_matches([' ', '\t', '\r', '\n'])
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    hex.as_bytes().chunks(2).map(|pair| Some(digit(pair[0])? << 4 | digit(*pair.get(1)?)?)).collect()
}

/// Adds the digest to a JSON object that has members, as its last one.
pub fn close(mut object: String) -> String {
    reopen(&mut object);
    let digest = digest(&object);
    object.push_str(&format!(",\n  \"digest\": \"sha256:{digest}\"\n}}\n"));
    object
}

/// Returns the object without its digest: the very text that the digest covers. `None` where it does not hold.
pub fn open(sealed: &str) -> Option<String> {
    let (end, claimed) = last_member(sealed, "digest", "sha256:")?;
    let covered = &sealed[..end];
    if claimed != digest(covered) {
        return None;
    }
    let mut object = String::with_capacity(end + 1);
    object.push_str(covered);
    object.push('}');
    Some(object)
}

/// Passes a JSON text on, without the white space between its tokens. What lies between is passed on as it is: its quotes,
/// backslashes and white space are single bytes, and part of no other character.
fn minify(text: &str, mut pass: impl FnMut(&[u8])) {
    let (bytes, mut pieces) = (text.as_bytes(), Vec::with_capacity(2 * PIECE));
    let (mut kept, mut at) = (0, 0);
    while at < bytes.len() {
        match bytes[at] {
            b'"' => at = end_of_string(bytes, at + 1),
            b' ' | b'\t' | b'\r' | b'\n' => {
                pieces.extend_from_slice(&bytes[kept..at]);
                if pieces.len() >= PIECE {
                    pass(&pieces);
                    pieces.clear();
                }
                at += 1;
                kept = at;
            }
            _ => at += 1,
        }
    }
    pass(&pieces);
    pass(&bytes[kept..]);
}

/// How much of a text is digested at once, in bytes.
const PIECE: usize = 64 * 1024;

/// Returns the place behind the string that goes on at `at`.
fn end_of_string(bytes: &[u8], mut at: usize) -> usize {
    while let Some(byte) = bytes.get(at) {
        at += match byte {
            b'"' => return at + 1,
            b'\\' => 2,
            _ => 1,
        };
    }
    bytes.len()
}

fn digest(text: &str) -> String {
    let mut digest = Sha256::new();
    minify(text, |piece| digest.update(piece));
    hex(&digest.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minified(text: &str) -> String {
        let mut minified = Vec::new();
        minify(text, |piece| minified.extend_from_slice(piece));
        String::from_utf8(minified).expect("text")
    }

    #[test]
    fn white_space_within_strings_stays() {
        assert_eq!(minified(" { \"a b\\\" \\\\\" : [ 1 ,\r\n\t2 ] } "), "{\"a b\\\" \\\\\":[1,2]}");
        assert_eq!(minified("{ \"é \\\\\" : \"✔ \u{a0}\" }\n"), "{\"é \\\\\":\"✔ \u{a0}\"}");
        assert_eq!((minified(""), minified(" \n")), (String::new(), String::new()));
        let long = format!("[ {} ]", "\"a  b\" ,\n ".repeat(PIECE / 4));
        assert_eq!(minified(&long), format!("[{}]", "\"a  b\",".repeat(PIECE / 4)));
        // A string that does not end is kept as it is.
        assert_eq!((minified("{ \" a"), minified("\" \\")), ("{\" a".to_owned(), "\" \\".to_owned()));
    }

    #[test]
    fn the_digest_is_the_published_one() {
        assert_eq!(digest(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }

    #[test]
    fn a_signature_is_of_its_key_and_text_and_a_weak_key_is_refused() {
        let key = |text: &str| Key::new(text).expect("a key");
        let (one, other) = (key("0123456789abcdef0123456789abcdef"), key("0123456789abcdef0123456789abcdeF"));
        let sealed = close(sign("{\n  \"a\": \"x y\"\n}".to_owned(), &one));
        let (text, signature) = unsign(open(&sealed).expect("the digest holds"));
        let signature = signature.expect("it is signed");
        assert_eq!(minified(&text), "{\"a\":\"x y\"}");
        assert!(signature.is_of(&text, &one) && !signature.is_of(&text, &other));
        assert!(signature.is_of("{ \"a\" : \"x y\"}", &one), "white space is not covered");
        let added = format!(", \"signature\": \"hmac-sha256:{}\", \"digest\"", "0".repeat(64));
        let changed = close("{\"a\": \"z\"}".to_owned()).replace(",\n  \"digest\"", &added);
        assert_eq!(open(&changed), None, "the digest covers the signature");
        assert!(!signature.is_of("{\"a\":\"z\"}", &one));
        assert!(unsign("{\"a\":1}".to_owned()).1.is_none());
        for weak in ["", "secret", &"a".repeat(64), "0123456789abcdef0123456789abcde", &"ab12".repeat(20)] {
            assert!(Key::new(weak).is_err(), "{weak}");
        }
        assert!(!format!("{one:?}").contains("0123"));
    }

    #[test]
    fn what_was_closed_opens_and_nothing_else() {
        let sealed = close("{\n  \"a\": \"x y\"\n}".to_owned());
        assert_eq!(open(&sealed).as_deref(), Some("{\n  \"a\": \"x y\"}"));
        for other in [sealed.replace("x y", "x  y"), sealed.replace('}', ",\"b\":1}"), "{\"a\":1}".to_owned()] {
            assert_eq!(open(&other), None, "{other:?}");
        }
    }
}
