//! The job's ID token as it is read here: its header and its claims, and what is wrong with them before STS is asked.
//!
//! Nothing of it is verified, which is STS's task, and the token itself is not kept: only what it says.

use std::time::Duration;

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};

use crate::base::jwt;
use crate::doctor::finding::Finding;
use crate::fleet::IdentitySource;

/// The algorithms whose signatures STS verifies.
const ALGORITHMS: [&str; 6] = ["RS256", "RS384", "RS512", "ES256", "ES384", "ES512"];
/// The most characters that STS takes.
const LONGEST: usize = 20_000;
/// What GitLab's own secrets begin with; none of them is an ID token.
const GITLAB_SECRETS: [&str; 6] = ["glcbt-", "glpat-", "gldt-", "glrt-", "glptt-", "gloas-"];
/// A token that ends sooner than this may end on its way to STS.
const LAST_MOMENT: i64 = 10;

/// What a token says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Token {
    header: Map<String, Value>,
    claims: Map<String, Value>,
}

/// What a token is held against.
#[derive(Clone, Debug, Default)]
pub struct Against<'a> {
    /// Now, in seconds since 1970.
    pub now: i64,
    /// The manifest's `identity.issuer`.
    pub issuer: Option<&'a str>,
    /// How long the run may take, as its plan reckons.
    pub need: Option<Duration>,
    /// Whether STS accepted it at least once: then only what is still to come is looked at.
    pub accepted: bool,
}

impl Token {
    /// Takes a token apart.
    ///
    /// # Errors
    /// The finding that it is none; `source` is where it was read from.
    pub fn parse(text: &SecretString, source: &str) -> Result<Self, Finding> {
        let text = text.expose_secret();
        let malformed = |what: String| Finding::fault("token-malformed", what);
        let found = |what: &str| malformed(format!("what {source} holds {what}"));
        let parts: Vec<&str> = text.split('.').collect();
        if let [header, claims, _] = parts[..]
            && let (Some(header), Some(claims)) = (jwt::decode(header), jwt::decode(claims))
        {
            if text.len() > LONGEST {
                let what = format!("has {} characters, and STS takes at most {LONGEST}", text.len());
                return Err(
                    found(&what).fix("an administrator of GitLab can leave out `groups_direct` and `user_identities`")
                );
            }
            return Ok(Self { header, claims });
        }
        let finding = if GITLAB_SECRETS.iter().any(|start| text.starts_with(start)) {
            found("is another secret of GitLab's (an access token or CI_JOB_TOKEN), and no ID token")
        } else if text.starts_with('$') {
            found("is the name of a variable that nothing filled in").evidence(
                "GitLab makes ID tokens only for jobs that have `id_tokens`, and `variables:` cannot rename them",
            )
        } else if text.starts_with(['"', '\'']) {
            found("has quotes around it")
        } else {
            found("is not a JWT").evidence(format!(
                "it has {} characters in {} where a JWT has three with dots between",
                text.len(),
                if parts.len() == 1 { "one part".to_owned() } else { format!("{} parts", parts.len()) },
            ))
        };
        Err(finding.fix(
            "set identity.token_env to the name under the job's `id_tokens:`, and write no token by \
         hand",
        ))
    }

    /// Returns a claim that is text.
    pub fn text(&self, claim: &str) -> Option<&str> {
        self.claims.get(claim).and_then(Value::as_str).filter(|text| !text.is_empty())
    }

    /// Returns a claim as the texts that a condition key has of it: one, or those of a list.
    pub fn texts(&self, claim: &str) -> Vec<String> {
        match self.claims.get(claim) {
            Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            Some(Value::String(text)) => vec![text.clone()],
            Some(Value::Number(number)) => vec![number.to_string()],
            _ => Vec::new(),
        }
    }

    /// Returns a claim that is a time, in seconds since 1970.
    pub fn seconds(&self, claim: &str) -> Option<i64> {
        self.claims.get(claim).and_then(Value::as_i64)
    }

    /// Returns the id of the key that signed it.
    pub fn key_id(&self) -> Option<&str> {
        self.header.get("kid").and_then(Value::as_str)
    }

    /// Returns the issuer; empty where there is none.
    pub fn issuer(&self) -> &str {
        self.text("iss").unwrap_or_default()
    }

    /// Returns the issuer without its scheme: what IAM calls its provider and its condition keys.
    pub fn host(&self) -> &str {
        let issuer = self.issuer();
        issuer.split_once("://").map_or(issuer, |(_, host)| host)
    }

    /// Returns the subject; empty where there is none.
    pub fn subject(&self) -> &str {
        self.text("sub").unwrap_or_default()
    }

    /// Returns the audiences.
    pub fn audience(&self) -> Vec<String> {
        self.texts("aud")
    }

    /// Whether it is of a pipeline of a fork's merge request: the claims then name the fork.
    pub fn is_of_a_fork(&self) -> bool {
        let (source, job) = (self.text("project_id"), self.text("job_project_id"));
        source.zip(job).is_some_and(|(source, job)| source != job)
    }

    /// Whether it is of a merge request's pipeline.
    pub fn is_of_a_merge_request(&self) -> bool {
        self.text("pipeline_source") == Some("merge_request_event")
    }

    /// Whether its `sub` has the three components that GitLab gives it unless the project says otherwise.
    pub fn has_usual_subject(&self) -> bool {
        let names = components(self.subject()).map(|pairs| pairs.into_iter().map(|(name, _)| name).collect::<Vec<_>>());
        names.is_some_and(|names| names == ["project_path", "ref_type", "ref"])
    }

    /// Returns what is wrong with it, as far as it shows without asking anybody.
    pub fn examine(&self, against: &Against<'_>) -> Vec<Finding> {
        let mut findings: Vec<Finding> = self.times(against).into_iter().collect();
        findings.extend(self.manifest_issuer(against.issuer));
        if !against.accepted {
            findings.extend(self.form());
        }
        findings
    }

    fn times(&self, against: &Against<'_>) -> Option<Finding> {
        let (now, issued) = (against.now, self.seconds("iat"));
        let Some(expires) = self.seconds("exp") else {
            return Some(claim_missing("exp"));
        };
        let begins = self.seconds("nbf").or(issued).unwrap_or(now);
        if against.accepted && (expires <= now || begins > now) {
            let (way, by) = if expires <= now { ("ahead of", now - expires) } else { ("behind", begins - now) };
            let what =
                format!("this machine's clock is at least {} {way} AWS's, which accepts the ID token", length(by));
            let finding = Finding::note("clock-skew", what).evidence(format!(
                "nbf {}, exp {}, and by this machine's clock it is {}",
                date(begins),
                date(expires),
                date(now)
            ));
            return Some(
                finding.fix("set the runner's clock by NTP: AWS refuses requests that are signed five minutes off"),
            );
        }
        if expires <= now {
            let mut finding =
                Finding::fault("token-expired", format!("the ID token ended {} ago", length(now - expires)))
                    .evidence(format!("exp {}, and now it is {}", date(expires), date(now)));
            if let Some(issued) = issued.filter(|issued| *issued < expires) {
                let line = format!("it was valid for {}, which is the job's timeout", length(expires - issued));
                finding = finding.evidence(line);
            }
            return Some(
                finding
                    .fix("retry the job: GitLab makes an ID token when the job starts, and none can be renewed")
                    .fix(
                        "if the job waits or builds before it deploys, raise its `timeout`, or deploy in a job \
                     of its own",
                    ),
            );
        }
        if begins > now {
            let by = length(begins - now);
            return Some(
                Finding::fault("token-not-yet-valid", format!("the ID token is not valid for another {by}"))
                    .evidence(format!("nbf {}, and by this machine's clock it is {}", date(begins), date(now)))
                    .evidence("GitLab back-dates nbf by 5 s and allows no other difference of clocks")
                    .fix("set the clock of the GitLab host, or of this runner, by NTP: one of them is wrong"),
            );
        }
        let left = expires - now;
        let need = against.need.and_then(|need| i64::try_from(need.as_secs()).ok()).filter(|need| *need > left);
        match need {
            _ if left < LAST_MOMENT => Some(
                Finding::fault("token-short", format!("the ID token ends in {}", length(left)))
                    .fix("retry the job, or raise its `timeout`"),
            ),
            Some(need) => Some(
                Finding::note(
                    "token-short",
                    format!("the ID token ends in {}, and the run may take {}", length(left), length(need)),
                )
                .evidence("sessions are renewed with the token; when it has ended, they last an hour at most")
                .fix("raise the job's `timeout` in .gitlab-ci.yml, from which the token's end follows"),
            ),
            None => None,
        }
    }

    /// Compares with the issuer that the manifest expects.
    fn manifest_issuer(&self, wanted: Option<&str>) -> Option<Finding> {
        let (wanted, issuer) = (wanted?, self.issuer());
        if issuer == wanted || issuer.is_empty() {
            return None;
        }
        let bare = |url: &str| {
            let url = url.split_once("://").map_or(url, |(_, host)| host);
            url.trim_end_matches('/').to_ascii_lowercase()
        };
        let how = if bare(issuer) != bare(wanted) {
            "they are different hosts"
        } else if issuer.trim_end_matches('/') == wanted.trim_end_matches('/') {
            "they differ by a trailing slash"
        } else {
            "they differ by scheme or by upper and lower case"
        };
        Some(
            Finding::fault("token-issuer", "the ID token is not of the issuer that the manifest names")
                .evidence(format!("iss {issuer}"))
                .evidence(format!("identity.issuer {wanted}: {how}"))
                .fix(
                    "correct identity.issuer, or run the job on that GitLab; AWS compares the whole URL, and an \
                     administrator \
                     may have set another one (ci_id_tokens_issuer_url)",
                ),
        )
    }

    /// Looks for what STS refuses in any token.
    fn form(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        let algorithm = self.header.get("alg").and_then(Value::as_str).unwrap_or("(absent)");
        if !ALGORITHMS.contains(&algorithm) {
            findings.push(
                Finding::fault("token-algorithm", "STS cannot verify how the ID token is signed")
                    .evidence(format!("alg {algorithm}; STS takes {}", ALGORITHMS.join(", ")))
                    .fix("use the ID token of GitLab's `id_tokens`, which is signed by RS256"),
            );
        }
        let issuer = self.issuer();
        match issuer.split_once("://") {
            _ if issuer.is_empty() => {
                findings.push(claim_missing("iss"));
            }
            Some(("https", host)) if host.split('/').next().is_some_and(|host| host.contains(':')) => findings.push(
                Finding::fault(
                    "token-issuer-port",
                    "the token's issuer has a port, which an IAM identity \
                 provider cannot have",
                )
                .evidence(format!("iss {issuer}"))
                .fix(
                    "serve GitLab on 443, or publish its configuration and keys elsewhere and set \
                     ci_id_tokens_issuer_url",
                ),
            ),
            Some(("https", host)) if host.ends_with('/') => findings.push(
                Finding::note("token-issuer-slash", "the token's issuer ends with a slash")
                    .evidence(format!("iss {issuer}"))
                    .fix(format!(
                        "the provider in IAM, its ARN and the condition keys must have it too: \
                     \"{host}:sub\""
                    )),
            ),
            Some(("https", _)) => {}
            _ => findings.push(
                Finding::fault(
                    "token-issuer-http",
                    "the token's issuer does not begin with https://, which AWS \
                 requires",
                )
                .evidence(format!("iss {issuer}"))
                .fix("set GitLab's external_url, or ci_id_tokens_issuer_url, to an https:// address"),
            ),
        }
        let audience = self.audience();
        if audience.is_empty() {
            findings.push(
                claim_missing("aud")
                    .evidence("a token without an audience is CI_JOB_JWT, which GitLab 17.0 removed")
                    .fix("write the audience under the job's `id_tokens:`, such as `aud: https://gitlab.com`"),
            );
        } else if audience.iter().any(|one| one.contains('$') || one.trim().is_empty()) {
            findings.push(
                Finding::fault("token-audience", "the token's audience is a variable that GitLab did not fill in")
                    .evidence(format!("aud {}", audience.join(" ")))
                    .fix(
                        "GitLab fills in CI/CD variables there, but none that only the job's script sets; \
                     write the value",
                    ),
            );
        }
        if self.subject().is_empty() {
            findings.push(claim_missing("sub"));
        } else if !self.has_usual_subject() {
            findings.push(self.unusual_subject());
        }
        findings
    }

    fn unusual_subject(&self) -> Finding {
        let subject = self.subject();
        let names = components(subject).map(|pairs| pairs.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", "));
        let finding = Finding::note("token-subject", "the token's sub does not have GitLab's usual components");
        let finding = finding.evidence(format!("sub {subject}"));
        let finding = match names {
            Some(names) => finding.evidence(format!(
                "its components: {names}; usual are project_path, ref_type, \
             ref"
            )),
            None => finding.evidence("usual is project_path:GROUP/PROJECT:ref_type:branch:ref:NAME"),
        };
        finding.fix(
            "trust policies must have the same components in the same order: the project's setting \
             ci_id_token_sub_claim_components says which, and one that a job has no value for is left out",
        )
    }
}

/// Returns the finding that there is no token, and the lines that get one.
pub fn absent(source: &IdentitySource, why: &str, issuer: Option<&str>) -> Finding {
    match source {
        IdentitySource::TokenEnv(variable) => Finding::fault("token-missing", why)
            .evidence(
                "GitLab makes an ID token only for a job that asks for one, and leaves the variable out \
             if it cannot sign",
            )
            .fix("add to the job in .gitlab-ci.yml:")
            .fix("  id_tokens:")
            .fix(format!("    {variable}:"))
            .fix(format!(
                "      aud: {}   # an audience of the identity provider in \
             IAM",
                issuer.unwrap_or("https://gitlab.com")
            ))
            .fix(
                "if the job has them and failed with `id_token_burned_project_path`, another project once had \
                 this path: \
                 let the project's sub begin with project_id",
            ),
        IdentitySource::TokenFile(_) | IdentitySource::Ambient => Finding::fault("token-missing", why).fix(
            "write the ID token to the file that identity.token_file \
             names, before this step",
        ),
    }
}

fn claim_missing(claim: &str) -> Finding {
    Finding::fault("token-claim-missing", format!("the ID token has no `{claim}`, which STS requires"))
        .fix("use the ID token of GitLab's `id_tokens`, which always has it")
}

/// Returns the components of a `sub` or of a pattern for one, name and value; `None` where it is not made of pairs.
pub fn components(subject: &str) -> Option<Vec<(&str, &str)>> {
    let parts: Vec<&str> = subject.split(':').collect();
    let (pairs, rest) = parts.as_chunks::<2>();
    (rest.is_empty() && !pairs.is_empty()).then(|| pairs.iter().map(|[name, value]| (*name, *value)).collect())
}

/// Returns a length of time in seconds as words.
pub fn length(seconds: i64) -> String {
    humantime::format_duration(Duration::from_secs(seconds.unsigned_abs())).to_string()
}

/// Returns a time in seconds since 1970 as people write it.
pub fn date(seconds: i64) -> String {
    let at = Timestamp::from_second(seconds);
    at.map_or_else(|_| seconds.to_string(), |at| at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    fn token(claims: &str) -> Token {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let text = format!("{}.{}.sig", part(r#"{"alg":"RS256","kid":"k1"}"#), part(claims));
        Token::parse(&SecretString::from(text), "T").expect("a JWT")
    }

    const GOOD: &str = r#"{"iss":"https://gitlab.com","aud":"https://gitlab.com","exp":2000,"nbf":995,"iat":1000,
                          "sub":"project_path:acme/shop:ref_type:branch:ref:main"}"#;

    fn codes(claims: &str, against: &Against<'_>) -> Vec<&'static str> {
        token(claims).examine(against).iter().map(|finding| finding.code).collect()
    }

    #[test]
    fn a_good_token_has_no_findings() {
        let hour = Some(Duration::from_secs(900));
        let against = Against { now: 1000, issuer: Some("https://gitlab.com"), need: hour, accepted: false };
        assert_eq!(codes(GOOD, &against), Vec::<&str>::new());
        assert_eq!(token(GOOD).key_id(), Some("k1"));
    }

    #[test]
    fn times_are_told_apart() {
        let at = |now: i64| Against { now, need: Some(Duration::from_secs(500)), ..Against::default() };
        for (now, wanted) in [
            (900, vec!["token-not-yet-valid"]),
            (1500, vec![]),
            (1501, vec!["token-short"]),
            (1995, vec!["token-short"]),
            (2000, vec!["token-expired"]),
        ] {
            assert_eq!(codes(GOOD, &at(now)), wanted, "{now}");
        }
    }

    #[test]
    fn what_is_no_token_is_told_and_never_shown() {
        for (text, wanted) in [
            ("glcbt-64_hush", "another secret of GitLab's"),
            ("$GITLAB_OIDC_TOKEN", "nothing filled in"),
            ("\"a.b.c\"", "quotes around"),
            ("hush", "is not a JWT"),
            ("hush.hush.hush", "is not a JWT"),
        ] {
            let finding = Token::parse(&SecretString::from(text), "T").expect_err(text);
            assert!(finding.what.contains(wanted), "{text}: {finding:?}");
            assert!(!format!("{finding:?}").contains("hush"), "{text}: {finding:?}");
        }
    }

    #[test]
    fn the_manifests_issuer_is_compared_to_the_letter() {
        for (issuer, wanted) in [
            ("https://gitlab.com/", "a trailing slash"),
            ("https://GitLab.com", "upper and lower case"),
            ("https://gitlab.example.com", "different hosts"),
        ] {
            let against = Against { now: 1000, issuer: Some(issuer), ..Against::default() };
            let findings = token(GOOD).examine(&against);
            assert!(findings[0].evidence[1].contains(wanted), "{issuer}: {findings:?}");
        }
    }

    #[test]
    fn subjects_are_taken_apart() {
        assert_eq!(components("a:b:c:d"), Some(vec![("a", "b"), ("c", "d")]));
        assert_eq!(components("a:b:c"), None);
        assert_eq!(date(0), "1970-01-01 00:00:00 UTC");
    }
}
