//! The key that signs saved plans, and somebody without it who changes one.

use std::path::Path;

use roleout::plan::saved::{Key, Saved};
use sha2::{Digest as _, Sha256};

use crate::simulation::scenario::Signed;

/// Returns the key that the jobs have.
pub fn key() -> Key {
    Key::new("campaign-key-0123456789-abcdefghij").expect("a strong key")
}

/// Changes the file of a plan.
pub fn tamper(path: &Path, how: Signed) {
    let text = fs_err::read_to_string(path).expect("a plan");
    // Another image, and the word of another program for it.
    let edited = text.replace(":v2\"", ":v3\"").replace("\"made_by\": \"", "\"made_by\": \"9.");
    let changed = match how {
        Signed::Kept | Signed::Not => text,
        Signed::Edited => edited,
        Signed::Resealed => resealed(&edited),
        Signed::Resigned => {
            let other = Key::new("another-key-0123456789-abcdefghijk").expect("a strong key");
            Saved::parse(&resealed(&edited)).expect("a plan").to_json(Some(&other)).expect("JSON")
        }
    };
    fs_err::write(path, changed).expect("a plan");
}

/// Makes the digest of a plan anew, as anybody can, and leaves its signature.
fn resealed(text: &str) -> String {
    let mut quoted = false;
    let mut escaped = false;
    let minified: String = text
        .chars()
        .filter(|char| {
            let kept = quoted || !char.is_ascii_whitespace();
            quoted ^= *char == '"' && !escaped;
            escaped = quoted && *char == '\\' && !escaped;
            kept
        })
        .collect();
    let (open, _) = minified.rsplit_once(",\"digest\":\"sha256:").expect("a digest");
    let digest: String = Sha256::digest(open.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{open},\"digest\":\"sha256:{digest}\"}}\n")
}
