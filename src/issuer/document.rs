//! What the two documents of an issuer say: its discovery document and its keys. Pure.

use serde_json::Value;

use crate::doctor::finding::Finding;
use crate::issuer::address::Address;

/// The most keys of one kind that AWS takes in a key set (IAM user guide, "Create an OpenID Connect (OIDC) identity
/// provider in IAM").
const MOST_KEYS: usize = 100;

/// The most keys that are named as evidence.
const NAMED: usize = 8;

/// The signatures that STS accepts (STS API reference, AssumeRoleWithWebIdentity, `WebIdentityToken`).
const ALGORITHMS: [&str; 6] = ["RS256", "RS384", "RS512", "ES256", "ES384", "ES512"];

/// Checks a discovery document against the token's issuer, and returns where the keys are.
///
/// # Errors
/// It names no place of keys.
pub fn discovery(issuer: &str, document: &Value, findings: &mut Vec<Finding>) -> Result<Address, Finding> {
    match document["issuer"].as_str() {
        Some(own) if own == issuer => {}
        own => findings.push(other_issuer(issuer, own)),
    }
    let required = ["response_types_supported", "subject_types_supported", "id_token_signing_alg_values_supported"];
    let missing: Vec<&str> = required.into_iter().filter(|name| document[*name].is_null()).collect();
    if !missing.is_empty() {
        let what = format!("the discovery document has no {}, which OpenID Connect requires", missing.join(", no "));
        findings.push(Finding::note("discovery-incomplete", what).fix(
            "a document that was written by hand should have every member that GitLab's own has: copy that one, and \
             change issuer and jwks_uri alone",
        ));
    }
    let wrong = |reason: &str| {
        Finding::fault("discovery-keys-address", format!("the discovery document's jwks_uri {reason}"))
            .evidence(format!("jwks_uri: {}", document["jwks_uri"]))
            .fix(
                "jwks_uri must be the https:// address of the public keys; GitLab's own is ISSUER/oauth/discovery/keys",
            )
    };
    let keys = document["jwks_uri"].as_str().ok_or_else(|| wrong("is missing"))?;
    Address::parse(keys).map_err(wrong)
}

fn other_issuer(issuer: &str, own: Option<&str>) -> Finding {
    let Some(own) = own else {
        return Finding::fault("discovery-issuer", "the discovery document names no issuer")
            .fix(format!("its `issuer` must be exactly the token's: {issuer}"));
    };
    let bare = |text: &str| text.trim_end_matches('/').to_ascii_lowercase();
    let difference = match () {
        () if own.trim_end_matches('/') == issuer.trim_end_matches('/') => "by a slash at the end",
        () if bare(own) == bare(issuer) => "by capital letters",
        () if bare(own).strip_prefix("http://") == bare(issuer).strip_prefix("https://") => "by http instead of https",
        () => "",
    };
    let what = format!("the discovery document is of another issuer than the token's {difference}");
    Finding::fault("discovery-issuer", what.trim_end())
        .evidence(format!("the token's iss: {issuer}"))
        .evidence(format!("the document's issuer: {own}"))
        .fix("AWS compares the two letter by letter, and both with the identity provider's URL")
        .fix(
            "GitLab takes iss from external_url, or from ci_id_tokens_issuer_url where that is set, in \
             /etc/gitlab/gitlab.rb; correct it there, or in the document where that was written by hand",
        )
}

/// Checks a set of public keys for the one that signed the token.
pub fn keys(kid: Option<&str>, set: &Value, findings: &mut Vec<Finding>) {
    let keys: &[Value] = set["keys"].as_array().map_or(&[], Vec::as_slice);
    if keys.is_empty() {
        let what = "the address of the keys gives no key";
        let found = Finding::fault("keys-none", what)
            .fix("GitLab's own set has the public half of ci_jwt_signing_key; a copy of it must be renewed with it");
        findings.push(found);
        return;
    }
    for kind in ["RSA", "EC"] {
        let number = keys.iter().filter(|key| key["kty"] == kind).count();
        if number > MOST_KEYS {
            let what = format!("there are {number} keys of the kind {kind}; AWS accepts at most {MOST_KEYS}");
            findings.push(Finding::fault("keys-too-many", what).fix("take away keys that sign nothing any more"));
        }
    }
    let Some(kid) = kid else { return };
    let named: Vec<&str> = keys.iter().filter_map(|key| key["kid"].as_str()).collect();
    let Some(key) = keys.iter().find(|key| key["kid"] == kid) else {
        let more = named.len().saturating_sub(NAMED);
        let list = named[..named.len() - more].join(", ");
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let found = Finding::fault("keys-kid-unknown", "the key that signed the token is not among the issuer's keys")
            .evidence(format!("the token's kid: {kid}"))
            .evidence(format!("the keys there: {list}{more}"))
            .fix("where the documents are a copy (ci_id_tokens_issuer_url), copy GitLab's /oauth/discovery/keys again")
            .fix("where GitLab's signing key was just changed, retry the job: it gets a token of the new key");
        findings.push(found);
        return;
    };
    let word = |name: &str| key[name].as_str().unwrap_or_default().to_owned();
    let unfit = match (word("use").as_str(), word("kty").as_str(), word("alg").as_str()) {
        ("" | "sig", "RSA" | "EC", "") => None,
        ("" | "sig", "RSA" | "EC", alg) if ALGORITHMS.contains(&alg) => None,
        ("" | "sig", "RSA" | "EC", alg) => Some(format!("is for {alg}")),
        ("" | "sig", kind, _) => Some(format!("is of the kind {kind}")),
        (purpose, ..) => Some(format!("is for the use {purpose}, and not sig")),
    };
    if let Some(reason) = unfit {
        let found = Finding::fault("keys-unfit", format!("the key that signed the token {reason}"))
            .evidence(format!("kid: {kid}"))
            .fix(format!("AWS verifies {}; GitLab signs RS256", ALGORITHMS.join(", ")));
        findings.push(found);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ISSUER: &str = "https://gitlab.example.com";

    fn read(document: &Value) -> (Result<String, &'static str>, Vec<String>) {
        let mut findings = Vec::new();
        let place = discovery(ISSUER, document, &mut findings);
        (place.map(|place| place.url).map_err(|it| it.code), findings.into_iter().map(|it| it.what).collect())
    }

    #[test]
    fn the_way_in_which_two_issuers_differ_is_named() {
        let keys = "https://gitlab.example.com/oauth/discovery/keys";
        let lists = json!(["x"]);
        for (own, said) in [
            (json!(ISSUER), None),
            (json!("https://gitlab.example.com/"), Some("by a slash at the end")),
            (json!("https://GitLab.example.com"), Some("by capital letters")),
            (json!("http://gitlab.example.com"), Some("by http instead of https")),
            (json!("https://gitlab.com"), Some("of another issuer than the token's")),
            (json!(null), Some("names no issuer")),
        ] {
            let (place, found) = read(&json!({ "issuer": own, "jwks_uri": keys, "response_types_supported": lists,
                "subject_types_supported": lists, "id_token_signing_alg_values_supported": lists }));
            assert_eq!(place.as_deref(), Ok(keys), "{own:?}");
            assert_eq!(found.len(), usize::from(said.is_some()), "{own:?}: {found:?}");
            assert!(found.iter().all(|found| found.contains(said.unwrap_or_default())), "{own:?}: {found:?}");
        }
        let (place, found) = read(&json!({ "issuer": ISSUER, "jwks_uri": "http://a/keys" }));
        assert_eq!((place, found.len()), (Err("discovery-keys-address"), 1));
    }

    #[test]
    fn the_key_of_the_token_is_looked_for() {
        let check = |kid: Option<&str>, set: Value| {
            let mut findings = Vec::new();
            keys(kid, &set, &mut findings);
            findings.into_iter().map(|finding| finding.code).collect::<Vec<_>>()
        };
        let key = json!({ "kid": "a", "kty": "RSA", "use": "sig", "alg": "RS256" });
        assert_eq!(check(Some("a"), json!({ "keys": [key] })), [""; 0]);
        assert_eq!(check(None, json!({ "keys": [key] })), [""; 0]);
        assert_eq!(check(Some("b"), json!({ "keys": [key] })), ["keys-kid-unknown"]);
        assert_eq!(check(Some("a"), json!({ "keys": [] })), ["keys-none"]);
        assert_eq!(check(Some("a"), json!([])), ["keys-none"]);
        assert_eq!(check(Some("a"), json!({ "keys": [{ "kid": "a", "kty": "RSA", "use": "enc" }] })), ["keys-unfit"]);
        assert_eq!(check(Some("a"), json!({ "keys": [{ "kid": "a", "kty": "oct" }] })), ["keys-unfit"]);
        assert_eq!(check(Some("a"), json!({ "keys": vec![key; 101] })), ["keys-too-many"]);
    }
}
