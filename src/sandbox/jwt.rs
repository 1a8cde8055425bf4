//! JSON Web Tokens: signs the sandbox's own, and verifies any against a key set.
//!
//! Knows nothing of what the claims mean; [`super::sts`] judges those.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use ring::rand::SystemRandom;
use ring::signature::{self, EcdsaKeyPair, KeyPair as _};
use serde_json::{Map, Value, json};

use crate::base::jwt::decode;

/// A signing key of the curve P-256.
pub(crate) struct SigningKey {
    id: String,
    pair: EcdsaKeyPair,
    random: SystemRandom,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SigningKey({})", self.id)
    }
}

impl SigningKey {
    /// Makes a key. It is new in every process, so a sandbox's token is worth nothing elsewhere.
    pub(crate) fn generate(id: &str) -> Self {
        let random = SystemRandom::new();
        let algorithm = &signature::ECDSA_P256_SHA256_FIXED_SIGNING;
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).expect("the system has randomness");
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).expect("ring reads its own keys");
        Self { id: id.to_owned(), pair, random }
    }

    /// Returns the public half as a JSON Web Key.
    pub(crate) fn public(&self) -> Value {
        let point = self.pair.public_key().as_ref();
        let coordinate = |range: std::ops::Range<usize>| BASE64URL.encode(point.get(range).unwrap_or_default());
        // An uncompressed point: 0x04, x, y.
        json!({
            "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": self.id,
            "x": coordinate(1..33), "y": coordinate(33..65),
        })
    }

    /// Signs claims.
    pub(crate) fn sign(&self, claims: &Value) -> String {
        let header = json!({ "typ": "JWT", "alg": "ES256", "kid": self.id });
        let text = format!("{}.{}", BASE64URL.encode(header.to_string()), BASE64URL.encode(claims.to_string()));
        let signature = self.pair.sign(&self.random, text.as_bytes()).expect("the system has randomness");
        format!("{text}.{}", BASE64URL.encode(signature.as_ref()))
    }
}

/// A token taken apart; nothing of it is verified yet.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    header: Map<String, Value>,
    /// What it claims.
    pub(crate) claims: Value,
    signed: String,
    signature: Vec<u8>,
}

/// Takes a token apart; `None` where it is none.
pub(crate) fn parse(text: &str) -> Option<Token> {
    let mut parts = text.split('.');
    let (header, claims, signature) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    Some(Token {
        header: decode(header)?,
        claims: decode(claims)?.into(),
        signed: format!("{header}.{claims}"),
        signature: BASE64URL.decode(signature).ok()?,
    })
}

/// Whether one of the set's keys signed the token. RS256, RS384, RS512, ES256 and ES384, as STS takes them.
pub(crate) fn is_signed_by(token: &Token, key_set: &Value) -> bool {
    let wanted = token.header.get("kid").and_then(Value::as_str);
    let keys = key_set.get("keys").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    keys.iter()
        .filter(|key| wanted.is_none() || key.get("kid").and_then(Value::as_str) == wanted)
        .any(|key| verify(token, key).is_some())
}

fn verify(token: &Token, key: &Value) -> Option<()> {
    let part = |name: &str| BASE64URL.decode(key.get(name)?.as_str()?).ok();
    let message = token.signed.as_bytes();
    match token.header.get("alg").and_then(Value::as_str)? {
        algorithm @ ("RS256" | "RS384" | "RS512") => {
            let parameters = match algorithm {
                "RS256" => &signature::RSA_PKCS1_2048_8192_SHA256,
                "RS384" => &signature::RSA_PKCS1_2048_8192_SHA384,
                _ => &signature::RSA_PKCS1_2048_8192_SHA512,
            };
            let public = signature::RsaPublicKeyComponents { n: part("n")?, e: part("e")? };
            public.verify(parameters, message, &token.signature).ok()
        }
        algorithm @ ("ES256" | "ES384") => {
            let parameters = if algorithm == "ES256" {
                &signature::ECDSA_P256_SHA256_FIXED
            } else {
                &signature::ECDSA_P384_SHA384_FIXED
            };
            let point: Vec<u8> = [vec![4], part("x")?, part("y")?].concat();
            signature::UnparsedPublicKey::new(parameters, point).verify(message, &token.signature).ok()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made with `openssl genrsa 2048`; the private half was thrown away.
    const MODULUS: &str = "sxhZLSnu10XhWU82-A4k8AUXM2UbSHSTubkVFlnrKdI5uOmVJvWgcHPIDNnpAOWCGeG-O3emm6WHS-WpQ-FgcxUG0AfoeJkMmbw7\
        tDsO5Ud0L-1F5oCeJiShvNE6FWgb15NPjuopHwSF41IvGS3dCrJ8I5wzk3HY7ETmTUXx7o-LciE8pdjyGoj9JY0kZf_PXZfL6aMP\
        sjwbCKAhWgKOb6tKWK6NdCEYtv5QjcyaPR-11VR8pYyUBm7ea7mXSZ9LkIO-Iqvrq9cdd6yHdWC8q0qwUaOVcnzM5pZuMgF-GFMI\
        tfZAQcWs9FY_Ra1lCwm4gzsk6TItfy3kvEbo89Wdvw";
    const SIGNED: &str = "eyJhbGciOiJSUzI1NiIsImtpZCI6InJzYS0xIn0.eyJzdWIiOiJhIn0";
    const SIGNATURE: &str = "M-TXuXFIiBkZue3jhv4Y2Ya0X3yvw83hRxSyaS19qGS9k8dFhWPSUkPm-LSQA6PmSgcvrdvt5fCNQn77AM6GCJOOgGLQ0Iin9lWF\
        h_0IGhHQgTmhVAZCalGBvvnUvIfS7WIdPUH8bTdhyTeQMvoqgFpSXZvuHgxX_Uj5pXdfpEH5xCqdca9Hc8aqATa9lHfjCG9wO2IQ\
        cPqKfs2sZJQjE56JEWntLJDIYlkkQEvbKTxPfY9oeFL9357jTNGcn9qICqjSGtl_RdC36KD_KR7s0mlTlGdN7VCtHlxAuC6NVy_5\
        OhYYj6g1TrsXaLXQfPif-3kL9ikYulC29A1vdXvWWg";

    #[test]
    fn rsa_signatures_are_verified() {
        let keys = |n: &str| json!({ "keys": [{ "kty": "RSA", "kid": "rsa-1", "n": n, "e": "AQAB" }] });
        let token = parse(&format!("{SIGNED}.{SIGNATURE}")).expect("a token");
        assert_eq!(token.claims["sub"], "a");
        assert!(is_signed_by(&token, &keys(MODULUS)));
        assert!(!is_signed_by(&token, &keys(&MODULUS.replacen('A', "B", 1))));
        let forged = format!("{}.{SIGNATURE}", SIGNED.replace("hIn0", "iIn0"));
        assert!(parse(&forged).is_none_or(|token| !is_signed_by(&token, &keys(MODULUS))));
    }

    #[test]
    fn a_key_verifies_only_its_own_signatures() {
        let (own, other) = (SigningKey::generate("k"), SigningKey::generate("k"));
        let token = parse(&own.sign(&json!({ "sub": "a" }))).expect("a token");
        assert!(is_signed_by(&token, &json!({ "keys": [own.public()] })));
        assert!(!is_signed_by(&token, &json!({ "keys": [other.public()] })));
        assert!(parse("a.b").is_none() && parse("a.b.c.d").is_none());
    }
}
