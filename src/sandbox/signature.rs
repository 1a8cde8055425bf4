//! AWS Signature Version 4: reads the Authorization header and checks the signature.
//!
//! Header signatures only; presigned queries are not part of the sandbox.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use ring::{digest, hmac};

use crate::base::text::hex;
use crate::sandbox::moment::{Moment, basic, from_basic};
use crate::sandbox::wire::Request;

/// What the Authorization header claims.
#[derive(Clone, Debug)]
pub(crate) struct Claimed {
    /// The access key's id.
    pub(crate) access_key: String,
    /// The scope's date, `20261102`.
    date: String,
    /// The scope's region.
    pub(crate) region: String,
    /// The scope's service, `ecs` or `sts`.
    pub(crate) service: String,
    signed_headers: String,
    signature: String,
}

/// How far a request's date may be from the sandbox's: AWS's five minutes.
const SKEW: u64 = 5 * 60 * 1000;

/// Reads the Authorization header; `None` where there is none or it is no SigV4.
pub(crate) fn claimed(request: &Request) -> Option<Claimed> {
    let rest = request.header("authorization")?.strip_prefix("AWS4-HMAC-SHA256")?;
    let fields: BTreeMap<&str, &str> = rest.split(',').filter_map(|field| field.trim().split_once('=')).collect();
    let mut scope = fields.get("Credential")?.split('/');
    let mut next = || scope.next().map(str::to_owned);
    Some(Claimed {
        access_key: next()?,
        date: next()?,
        region: next()?,
        service: next()?,
        signed_headers: (*fields.get("SignedHeaders")?).to_owned(),
        signature: (*fields.get("Signature")?).to_owned(),
    })
}

/// Why a signature is refused, in AWS's words.
pub(crate) fn check(request: &Request, claimed: &Claimed, secret: &str, now: Moment) -> Result<(), String> {
    let date = request.header("x-amz-date").unwrap_or_default();
    let Some(at) = from_basic(date) else {
        return Err("Date must be in ISO-8601 'basic format'. Got ''. See http://en.wikipedia.org/wiki/ISO_8601".into());
    };
    if at + SKEW < now {
        let limit = basic(now.saturating_sub(SKEW));
        return Err(format!("Signature expired: {date} is now earlier than {limit} ({} - 5 min.)", basic(now)));
    }
    if at > now + SKEW {
        let limit = basic(now + SKEW);
        return Err(format!("Signature not yet current: {date} is still later than {limit} ({} + 5 min.)", basic(now)));
    }
    let signature = decode_hex(&claimed.signature).unwrap_or_default();
    let key = signing_key(claimed, secret);
    hmac::verify(&key, string_to_sign(request, claimed, date).as_bytes(), &signature).map_err(|_| {
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access \
         Key and signing method. Consult the service documentation for details."
            .to_owned()
    })
}

fn signing_key(claimed: &Claimed, secret: &str) -> hmac::Key {
    let first = hmac::Key::new(hmac::HMAC_SHA256, format!("AWS4{secret}").as_bytes());
    [claimed.date.as_str(), &claimed.region, &claimed.service, "aws4_request"]
        .iter()
        .fold(first, |key, part| hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&key, part.as_bytes()).as_ref()))
}

fn string_to_sign(request: &Request, claimed: &Claimed, date: &str) -> String {
    let scope = format!("{}/{}/{}/aws4_request", claimed.date, claimed.region, claimed.service);
    format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", sha256_hex(canonical(request, claimed).as_bytes()))
}

fn canonical(request: &Request, claimed: &Claimed) -> String {
    let path = if request.path.is_empty() { "/" } else { &request.path };
    let mut query: Vec<&str> = request.query.split('&').filter(|pair| !pair.is_empty()).collect();
    query.sort_unstable();
    let mut text = format!("{}\n{path}\n{}\n", request.method, query.join("&"));
    for name in claimed.signed_headers.split(';') {
        let value = request.header(name).unwrap_or_default();
        let value = value.split_whitespace().collect::<Vec<_>>().join(" ");
        let _ = writeln!(text, "{name}:{value}");
    }
    let hash = request.header("x-amz-content-sha256").map_or_else(|| sha256_hex(&request.body), str::to_owned);
    let _ = write!(text, "\n{}\n{hash}", claimed.signed_headers);
    text
}

fn sha256_hex(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

fn decode_hex(text: &str) -> Option<Vec<u8>> {
    text.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect::<Option<Vec<u8>>>()
}
