//! What AWS's refusal of a hop means: its code and its words, held against the token, the manifest and what could be
//! read of the role and of the account's identity providers.

use crate::aws::denial::{self, Denial, Policy, Why};
use crate::aws::error::{CallError, Kind};
use crate::doctor::causes;
use crate::doctor::chain::{self, Step};
use crate::doctor::finding::Finding;
use crate::doctor::live::{Live, Look, Provider, Role};
use crate::doctor::token::{Token, date, length};
use crate::doctor::trust::{self, TokenCaller};
use crate::fleet::Hop;

/// STS's clock and this machine's may differ by so much without anybody noticing, in seconds.
const SKEW: i64 = 30;
/// A role that was made so recently, in seconds, may not be known everywhere yet.
const NEW: i64 = 120;

/// A hop that AWS refused, and what is known around it.
#[derive(Clone, Copy, Debug)]
pub struct Refusal<'a> {
    /// What AWS said.
    pub error: &'a CallError,
    /// The role that was asked for.
    pub hop: &'a Hop,
    /// The hops before it.
    pub before: &'a [Hop],
    /// The name of the session.
    pub session_name: &'a str,
    /// The region whose STS was asked.
    pub region: &'a str,
    /// The ID token, where the chain begins with one.
    pub token: Option<&'a Token>,
    /// Now, in seconds since 1970.
    pub now: i64,
    /// What was read of the role and the identity providers.
    pub live: &'a Live,
}

impl Refusal<'_> {
    /// Whether it is the first hop of a chain that begins with an ID token.
    pub fn is_web_identity(&self) -> bool {
        self.error.operation == "AssumeRoleWithWebIdentity"
    }

    fn step(&self) -> Step<'_> {
        Step { before: self.before, hop: self.hop, session_name: self.session_name }
    }

    /// Explains it: at least one finding, the most likely first.
    pub fn explain(&self) -> Vec<Finding> {
        let (error, hop) = (self.error, self.hop);
        let said = |finding: Finding| finding.evidence(format!("AWS: {error:#}"));
        let one = |finding: Finding| vec![said(finding)];
        match error.kind {
            Kind::Denied if self.is_web_identity() => self.web_identity_denied(),
            Kind::Denied if error.message.contains("authorized to perform") => self.assume_denied(),
            Kind::Denied => one(self.unknown_session()),
            Kind::Expired if self.is_web_identity() => one(self.expired()),
            Kind::Expired => one(Finding::fault("session-expired", "the session before this hop has ended")
                .fix("run the command again: sessions are renewed as long as the ID token is valid")),
            Kind::Throttled => one(Finding::fault(
                "sts-throttled",
                "STS had too many calls of this account and \
             region",
            )
            .fix("retry the job; AWS counts an AssumeRole against the account that asks, 600 a second")),
            _ if error.is("InvalidIdentityToken") => self.invalid_token(),
            _ if error.is("IDPCommunicationError") => one(self.unreachable(
                "AWS could not reach the token's \
             issuer in time",
            )),
            _ if error.is("IDPRejectedClaim") => one(Finding::fault(
                "token-rejected",
                "the issuer or AWS \
             rejects the token's claims",
            )
            .fix(
                "retry the job: the token may have been revoked, or have ended; GitLab makes a new one for \
                 each job",
            )),
            _ if error.is("PackedPolicyTooLarge") => one(self.packed()),
            _ if error.is("RegionDisabled") => one(Finding::fault(
                "region-disabled",
                format!("STS is not active for account {} in {}", hop.arn.account(), self.region),
            )
            .fix("set identity.region to a region in which every account of the chain has STS")
            .fix(
                "or have an administrator of that account activate it: IAM, Account settings, Security \
                 Token Service",
            )),
            _ if error.is("MalformedPolicyDocument") => one(Finding::fault(
                "session-policy",
                format!("AWS cannot read the session policy of the role `{}`", hop.role),
            )
            .fix(
                "correct `policy` of that role in the manifest; `aws accessanalyzer validate-policy` names \
                 what is wrong",
            )),
            _ if error.message.contains("1 hour session limit") => one(Finding::fault(
                "chain-duration",
                format!(
                    "the role `{}` is assumed from another role, so its session lasts an \
                 hour at most",
                    hop.role
                ),
            )
            .fix(format!(
                "take `duration` of `{}` out of the manifest: sessions are renewed while a run \
                 needs them",
                hop.role
            ))),
            _ if error.message.contains("MaxSessionDuration") => one(self.too_long()),
            Kind::Unknown if error.message.contains("peer certificate") => one(Finding::fault(
                "endpoint-certificate",
                "the certificate of AWS's endpoint is not one that this machine trusts",
            )
            .fix("does the image hold CA certificates? the package is ca-certificates; SSL_CERT_FILE names a file of them")
            .fix("where a proxy signs by a CA of its own, AWS_CA_BUNDLE names that CA's file")),
            Kind::Unknown => one(match error.outage() {
                Some(status) => Finding::fault("no-answer", format!("AWS answers {status}"))
                    .fix("nothing is wrong with the job: retry it"),
                None => Finding::fault("no-answer", "AWS did not answer, or not properly").fix(
                    "is the runner's network, HTTPS_PROXY, NO_PROXY, the VPC endpoint of STS or AWS_ENDPOINT_URL right? the \
                     job can be retried",
                ),
            }),
            Kind::NotSent if self.is_web_identity() => one(Finding::fault(
                "token-missing",
                "there is no ID \
             token to exchange",
            )),
            Kind::NotSent | Kind::NoSession | Kind::Withdrawn => one(Finding::fault("no-credentials", "there are no credentials to begin with").fix(
                "identity.ambient uses the SDK's own: are AWS_PROFILE or AWS_ACCESS_KEY_ID set? after `aws \
                 sso login`: \
                      eval \"$(aws configure export-credentials --format env)\"",
            )),
            Kind::Refused => one(Finding::fault(
                "refused",
                format!(
                    "AWS refuses the role `{}` as the manifest \
             asks for it",
                    hop.role
                ),
            )
            .fix(
                "AWS's words name the parameter; it is a key of the role, or identity.session_name, in the \
                 manifest",
            )),
        }
    }

    /// "Not authorized to perform sts:AssumeRoleWithWebIdentity".
    fn web_identity_denied(&self) -> Vec<Finding> {
        let (hop, said) = (self.hop, format!("AWS: {:#}", self.error));
        let Some(token) = self.token else {
            return vec![Finding::fault("not-authorized", format!("AWS refuses the role {}", hop.arn)).evidence(said)];
        };
        let asker = TokenCaller { token, role: &hop.arn, session_name: self.session_name };
        let mut findings = match &self.live.role {
            Look::Missing => vec![self.missing()],
            Look::Found(role) if role.arn.as_deref().is_some_and(|arn| arn != hop.arn.as_str()) => {
                vec![self.elsewhere(role)]
            }
            Look::Found(role) => self.judged(role, trust::examine(&role.trust, &role.source, asker)),
            Look::Unasked => vec![causes::web_identity(asker, None)],
            Look::Refused(why) => vec![causes::web_identity(asker, Some(why))],
        };
        if let Some(first) = findings.first_mut() {
            first.evidence.insert(0, said);
        }
        findings
    }

    /// "User: … is not authorized to perform: sts:AssumeRole on resource: …".
    fn assume_denied(&self) -> Vec<Finding> {
        let (hop, said) = (self.hop, format!("AWS: {:#}", self.error));
        let own = match &self.live.role {
            Look::Found(role) if role.arn.as_deref().is_none_or(|arn| arn == hop.arn.as_str()) => Some(role),
            _ => None,
        };
        // AWS names the policy that refuses where it is not the role's trust policy.
        let denial = Denial::read(self.error, "sts");
        let other = match denial.why {
            Why::Missing(policy) | Why::Explicit(Some(policy)) => {
                Some(policy).filter(|policy| !matches!(policy, Policy::Trust | Policy::Resource))
            }
            _ => None,
        };
        let mut findings = match (&self.live.role, own, other) {
            (_, _, Some(policy)) => vec![causes::caller(self.step(), &denial, policy, self.region)],
            (Look::Missing, ..) => vec![self.missing()],
            (Look::Found(role), None, _) => vec![self.elsewhere(role)],
            (_, Some(role), _) if !self.before.is_empty() => {
                self.judged(role, chain::examine(&role.trust, &role.source, self.step()))
            }
            (Look::Refused(why), ..) => vec![causes::assume(self.step(), self.error, Some(why))],
            _ => vec![causes::assume(self.step(), self.error, None)],
        };
        if let Some(first) = findings.first_mut() {
            first.evidence.insert(0, said);
        }
        findings
    }

    /// "The security token included in the request is invalid".
    fn unknown_session(&self) -> Finding {
        let caller = self.before.last().map(|hop| format!("account {}", hop.arn.account()));
        let caller = caller.as_deref().unwrap_or("the account of the SDK's own credentials");
        let (code, what) = match denial::is_opt_in(self.region) {
            true => ("region-disabled", format!("{} may not be enabled in {caller}", self.region)),
            false => ("credentials-refused", format!("AWS does not know the session of {caller} in {}", self.region)),
        };
        Finding::fault(code, what)
            .fix(denial::unknown_session(self.region, caller))
            .fix("STS is asked in identity.region, which every account of the chains must have enabled")
    }

    /// Makes a fault of the note that nothing in the trust policy refuses it, since AWS did; of a new role it is known why.
    fn judged(&self, role: &Role, mut findings: Vec<Finding>) -> Vec<Finding> {
        if let [only] = &mut findings[..]
            && only.code == "trust-allows"
        {
            only.severity = crate::doctor::finding::Severity::Fault;
            if let Some(age) = role.created.map(|created| self.now - created).filter(|age| (0..NEW).contains(age)) {
                only.code = "role-new";
                only.what = format!(
                    "the role {} was made {} ago, and IAM takes some seconds to know it everywhere",
                    self.hop.arn,
                    length(age)
                );
                only.fix = vec!["try again: --wait-for-iam 30s does so until the role is known".to_owned()];
            }
        }
        findings
    }

    fn missing(&self) -> Finding {
        let arn = &self.hop.arn;
        Finding::fault("role-missing", format!("there is no role {arn}"))
            .evidence(format!("iam:GetRole in account {} finds no role named {}", arn.account(), arn.name()))
            .fix(format!("create it, or correct `arn` of the role `{}` in the manifest", self.hop.role))
    }

    fn elsewhere(&self, role: &Role) -> Finding {
        let (arn, found) = (&self.hop.arn, role.arn.as_deref().unwrap_or_default());
        Finding::fault("role-path", format!("there is no role {arn}, but one of that name on another path"))
            .evidence(format!("iam:GetRole gives {found}"))
            .fix(format!("write {found} as `arn` of the role `{}` in the manifest", self.hop.role))
    }

    /// The token's end, and how far AWS's clock is from ours.
    fn expired(&self) -> Finding {
        let aws = self
            .error
            .message
            .split_once("current date/time ")
            .and_then(|(_, rest)| rest.split(|char: char| !char.is_ascii_digit()).next()?.parse::<i64>().ok());
        let skew = aws.map(|aws| aws - self.now).filter(|skew| skew.abs() > SKEW);
        let mut finding = match skew {
            Some(skew) => Finding::fault(
                "clock-skew",
                format!(
                    "this machine's clock is {} {} AWS's",
                    length(skew),
                    if skew > 0 { "behind" } else { "ahead of" }
                ),
            )
            .fix("set the runner's clock by NTP"),
            None => Finding::fault("token-expired", "the ID token has ended"),
        };
        if let Some(expires) = self.token.and_then(|token| token.seconds("exp")) {
            finding = finding.evidence(format!("exp {}, and here it is {}", date(expires), date(self.now)));
        }
        finding.fix(
            "retry the job, or raise its `timeout`: an ID token lives as long as that, from the job's \
         start, and cannot be renewed",
        )
    }

    /// InvalidIdentityToken: AWS's words say which of its causes.
    fn invalid_token(&self) -> Vec<Finding> {
        let (message, account) = (self.error.message.as_str(), self.hop.arn.account());
        let issuer = self.token.map(Token::issuer).unwrap_or_default();
        let audience = self.token.map(Token::audience).unwrap_or_default().join(" ");
        let finding = if message.contains("verification key") {
            self.unreachable("AWS could not fetch the keys of the token's issuer").evidence(
                "it was tried five times in fifteen seconds; AWS fetches them at many exchanges, and bursts fail",
            )
        } else if message.contains("No OpenIDConnect provider") {
            self.no_provider(issuer)
        } else if message.contains("audience") {
            let found = self.providers().find(|provider| provider.url == bare(issuer));
            let finding = Finding::fault(
                "provider-audience",
                format!("the identity provider in account {account} does not accept the token's audience"),
            )
            .evidence(format!("aud {audience}"));
            let finding = match found {
                Some(provider) => finding.evidence(format!("its client ids: {}", list(&provider.client_ids))),
                None => finding.evidence(self.not_read()),
            };
            finding
                .fix(format!(
                    "add `{audience}` to the client ids of the provider, or let `aud:` of the job's \
             `id_tokens` be one of them; \
                                 https:// and a slash at the end count"
                ))
                .fix("  aws iam add-client-id-to-open-id-connect-provider \\")
                .fix(format!(
                    "    --open-id-connect-provider-arn {} --client-id \
                 {audience}",
                    self.provider_arn(issuer)
                ))
        } else if message.contains("required claim") {
            Finding::fault("token-claim-missing", "the ID token lacks a claim that STS requires")
                .fix("use a token of the job's `id_tokens`, with `aud:`; CI_JOB_JWT has none")
        } else if message.contains("thumbprint") || message.contains("certificate") {
            Finding::fault(
                "provider-thumbprint",
                format!(
                    "the certificate of {issuer} does not have the \
             thumbprint that the provider in account {account} holds"
                ),
            )
            .fix(
                "AWS uses the thumbprint where a private authority signs the issuer's certificate: after a \
                 new one, update-open-id-connect-provider-thumbprint",
            )
        } else if message.contains("nbf") || message.contains("not valid yet") || message.contains("in the future") {
            Finding::fault("token-not-yet-valid", "the ID token is not valid yet by AWS's clock")
                .fix("set the clock of the GitLab host by NTP: it is ahead")
        } else if message.contains("valid JWT") {
            Finding::fault("token-malformed", "what was sent to STS is not a JWT")
                .fix("set identity.token_env to the name under the job's `id_tokens:`")
        } else {
            let key = self.token.and_then(Token::key_id).unwrap_or("(none)");
            Finding::fault("token-signature", "AWS cannot verify the ID token's signature by the issuer's keys")
                .evidence(format!("iss {issuer}, kid {key}"))
                .fix(
                    "the keys at jwks_uri must hold that kid: a copy that is published elsewhere (S3) is \
                 renewed whenever GitLab's keys change",
                )
        };
        vec![finding.evidence(format!("AWS: {:#}", self.error))]
    }

    fn no_provider(&self, issuer: &str) -> Finding {
        let account = self.hop.arn.account();
        let mut finding =
            Finding::fault("no-provider", format!("account {account} has no identity provider for {issuer}"));
        match &self.live.providers {
            Look::Found(providers) => {
                let urls: Vec<String> = providers.iter().map(|provider| provider.url.clone()).collect();
                finding = finding.evidence(format!("its providers: {}", list(&urls)));
                let near =
                    |url: &&String| url.trim_end_matches('/').eq_ignore_ascii_case(bare(issuer).trim_end_matches('/'));
                if let Some(near) = urls.iter().find(near) {
                    finding = finding
                        .evidence(format!("`{near}` differs by a slash or by upper and lower case, which count"));
                }
            }
            _ => finding = finding.evidence(self.not_read()),
        }
        let audience = self.token.map(Token::audience).unwrap_or_default().join(" ");
        finding
            .fix(format!("create it in account {account}:"))
            .fix(format!("  aws iam create-open-id-connect-provider --url {issuer} --client-id-list {audience}"))
            .fix(
                "a provider is needed in every account whose role is first in a chain; or begin all chains at \
             one hub role",
            )
    }

    fn unreachable(&self, what: &str) -> Finding {
        let issuer = self.token.map(Token::issuer).unwrap_or("ISSUER");
        Finding::fault("issuer-unreachable", what)
            .fix(format!(
                "AWS must reach {issuer}/.well-known/openid-configuration and its jwks_uri from the \
             public internet within 5 s: \
                          open the firewall for them, or publish both elsewhere and set ci_id_tokens_issuer_url"
            ))
            .fix(
                "if it fails only now and then, jobs exchange tokens at the same moment: retry, or begin the \
             chains at one hub role",
            )
    }

    fn packed(&self) -> Finding {
        let hop = self.hop;
        let percent = self
            .error
            .message
            .split('%')
            .next()
            .and_then(|text| text.rsplit(|char: char| !char.is_ascii_digit()).next());
        let percent = percent
            .filter(|text| !text.is_empty())
            .map_or_else(|| "more than all".to_owned(), |text| format!("{text}%"));
        Finding::fault(
            "packed-policy-too-large",
            format!(
                "the session policies and tags of the role `{}` take \
         {percent} of the room that AWS has for them",
                hop.role
            ),
        )
        .evidence(format!(
            "the manifest gives it {} tags, {} policy_arns and {}",
            hop.tags.len(),
            hop.policy_arns.len(),
            hop.policy.as_ref().map_or_else(
                || "no policy".to_owned(),
                |policy| format!(
                    "a policy of {} \
                 characters",
                    policy.chars().count()
                )
            ),
        ))
        .fix(
            "shorten `tags` and `policy`, or attach the policy to the role itself; transitive tags of \
             earlier roles count, too",
        )
    }

    fn too_long(&self) -> Finding {
        let hop = self.hop;
        let asked =
            hop.duration.map_or_else(|| "1h".to_owned(), |duration| humantime::format_duration(duration).to_string());
        let finding =
            Finding::fault("session-duration", format!("the role {} does not give sessions of {asked}", hop.arn));
        let finding = match &self.live.role {
            Look::Found(Role { max_session: Some(longest), .. }) => {
                finding.evidence(format!("its MaxSessionDuration is {}", length(*longest)))
            }
            _ => finding,
        };
        let name = hop.arn.name();
        finding
            .fix(format!(
                "lower `duration` of `{}` in the manifest, or raise the role's \
             MaxSessionDuration:",
                hop.role
            ))
            .fix(format!("  aws iam update-role --role-name {name} --max-session-duration SECONDS"))
    }

    fn providers(&self) -> impl Iterator<Item = &Provider> {
        match &self.live.providers {
            Look::Found(providers) => providers.as_slice(),
            _ => &[],
        }
        .iter()
    }

    fn not_read(&self) -> String {
        match &self.live.providers {
            Look::Refused(why) => format!("the account's providers could not be read: {why}"),
            _ => "the account's providers were not read".to_owned(),
        }
    }

    fn provider_arn(&self, issuer: &str) -> String {
        let arn = &self.hop.arn;
        format!("arn:{}:iam::{}:oidc-provider/{}", arn.partition(), arn.account(), bare(issuer))
    }
}

fn bare(issuer: &str) -> &str {
    issuer.split_once("://").map_or(issuer, |(_, host)| host)
}

fn list(texts: &[String]) -> String {
    if texts.is_empty() { "none".to_owned() } else { texts.join(", ") }
}

#[cfg(test)]
mod tests;
