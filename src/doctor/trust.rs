//! A role's trust policy held against an ID token: which clause of which statement refuses it, and the statement that
//! would not.
//!
//! AWS answers "Not authorized to perform sts:AssumeRoleWithWebIdentity" to all of it.

use serde_json::{Value, json};

use crate::base::iam_pattern::matches;
use crate::doctor::finding::Finding;
use crate::doctor::policy::{Ask, Clause, ClauseResult, Known, Statement, Wants, is_operator, judge};
use crate::doctor::token::{Token, components};
use crate::fleet::role_arn::RoleArn;

/// The action that a trust policy must allow to a web identity.
pub const ACTION: &str = "sts:AssumeRoleWithWebIdentity";

/// The claims of gitlab.com that AWS makes condition keys of, besides `sub`, `aud` and `amr`; of other hosts none.
const GITLAB_COM_KEYS: [&str; 9] = [
    "namespace_id",
    "project_id",
    "ref_protected",
    "pipeline_source",
    "user_id",
    "user_login",
    "user_email",
    "user_access_level",
    "runner_environment",
];
/// How many causes of one policy are told apart; the nearest statement rarely fails in more.
const TOLD: usize = 4;

/// Who asks for which role.
#[derive(Clone, Copy, Debug)]
pub struct TokenCaller<'a> {
    /// The token.
    pub token: &'a Token,
    /// The role.
    pub role: &'a RoleArn,
    /// The name of the session.
    pub session_name: &'a str,
}

impl TokenCaller<'_> {
    /// Returns the ARN of the identity provider that the role must trust.
    pub fn provider(&self) -> String {
        let (partition, account) = (self.role.partition(), self.role.account());
        format!("arn:{partition}:iam::{account}:oidc-provider/{}", self.token.host())
    }

    /// Returns the statement that allows exactly this token.
    pub fn statement(&self) -> Value {
        let host = self.token.host();
        let audience = self.token.audience().into_iter().next().unwrap_or_default();
        json!({
            "Effect": "Allow",
            "Principal": { "Federated": self.provider() },
            "Action": ACTION,
            "Condition": { "StringEquals": {
                (format!("{host}:aud")): audience,
                (format!("{host}:sub")): self.token.subject(),
            } },
        })
    }

    /// Returns what AWS makes of a condition key, in lower case, for this token.
    fn key(&self, key: &str) -> Known {
        let host = self.token.host().to_ascii_lowercase();
        if let Some(claim) = key.strip_prefix(&host).and_then(|rest| rest.strip_prefix(':')) {
            let known = matches!(claim, "sub" | "aud" | "amr");
            return if known || (host == "gitlab.com" && GITLAB_COM_KEYS.contains(&claim)) {
                let values = self.token.texts(claim);
                if values.is_empty() { Known::Absent } else { Known::Values(values) }
            } else if host == "gitlab.com" {
                let keys = GITLAB_COM_KEYS.join(", ");
                Known::Never(format!(
                    "AWS has no condition key for `{claim}`: of gitlab.com it knows sub, aud, \
                 {keys}"
                ))
            } else if GITLAB_COM_KEYS.contains(&claim) {
                Known::Never(format!("AWS has the key `{claim}` for gitlab.com only: of {host} it knows sub and aud"))
            } else {
                Known::Never(format!("AWS has no condition key for `{claim}`: of {host} it knows sub and aud"))
            };
        }
        match key.split_once(':') {
            Some(("sts", "rolesessionname")) => Known::Values(vec![self.session_name.to_owned()]),
            Some(("sts", "externalid")) => Known::Never("a web identity has no external id".to_owned()),
            Some(("sts", "sourceidentity" | "transitivetagkeys")) => {
                Known::Never("GitLab's ID tokens set no source identity and no session tags".to_owned())
            }
            Some(("aws", "federatedprovider")) => Known::Values(vec![self.provider()]),
            Some(("aws", "tagkeys")) => Known::Never("GitLab's ID tokens set no session tags".to_owned()),
            Some(("aws", rest)) if rest.starts_with("requesttag/") => {
                Known::Never("GitLab's ID tokens set no session tags".to_owned())
            }
            Some(("aws", rest)) if rest.starts_with("principal") => {
                Known::Never("a web identity is no IAM principal before it has the role".to_owned())
            }
            Some(("aws" | "sts" | "iam", _)) => Known::Hidden,
            _ => Known::Never(format!("the token is of {host}, and this key is of another issuer")),
        }
    }
}

/// Holds a trust policy against a token. `policy` came from `source`, such as `the live role`.
///
/// Returns one finding for each clause that refuses it, or the note that nothing does.
pub fn examine(policy: &Value, source: &str, asker: TokenCaller<'_>) -> Vec<Finding> {
    let (host, provider) = (asker.token.host(), asker.provider());
    let principals = [("Federated", provider.clone()), ("Federated", host.to_owned())];
    let key = |key: &str| asker.key(key);
    let ask = Ask { action: ACTION, principals: &principals, key: &key };
    let Some(statements) = judge(policy, &ask) else { return vec![malformed(source)] };
    let role = asker.role;
    if let Some(denial) = statements.iter().find(|one| !one.allow && one.result() == ClauseResult::Yes) {
        let finding = Finding::fault("trust-denied", format!("a Deny statement of {role} covers this token"));
        let finding = lines(finding, source, &statements)
            .fix(format!("narrow {} of the trust policy: a Deny beats every Allow", denial.name));
        return vec![finding];
    }
    let allows = |held| statements.iter().any(|one| one.allow && one.result() == held);
    if allows(ClauseResult::Yes) || allows(ClauseResult::Unknown) {
        let sure = allows(ClauseResult::Yes);
        return vec![allowed(source, asker, &statements, sure)];
    }
    let Some(nearest) = nearest(&statements) else {
        let what = format!("the trust policy of {role} has no statement that allows anything");
        return vec![
            Finding::fault("trust-action", what)
                .evidence(format!("{source}: no Allow statement"))
                .fix(WRITE)
                .json(&asker.statement()),
        ];
    };
    let mut findings: Vec<Finding> = nearest
        .failing()
        .take(TOLD)
        .map(|clause| lines(refusal(clause, nearest, asker), source, &statements))
        .collect();
    if let Some(last) = findings.pop() {
        // What a fork claims is not to be allowed by copying.
        let fork = asker.token.is_of_a_fork();
        findings.push(if fork { last } else { last.fix(WRITE).json(&asker.statement()) });
    }
    findings
}

/// What is said before a statement to copy.
pub const WRITE: &str = "the statement that allows it, for the `Statement` list of the trust policy:";

/// Returns the Allow statement that comes nearest: of those for the action first, the one with the fewest failing clauses.
pub fn nearest(statements: &[Statement]) -> Option<&Statement> {
    let weight = |statement: &&Statement| -> usize {
        let weigh = |clause: &Clause| match clause.wants {
            Wants::Action(_) => 4,
            Wants::Principal(_) => 3,
            Wants::Condition { .. } => 2,
        };
        statement.failing().map(weigh).sum()
    };
    statements.iter().filter(|statement| statement.allow).min_by_key(weight)
}

/// Adds a line for each statement: what of it holds and what fails.
pub fn lines(mut finding: Finding, source: &str, statements: &[Statement]) -> Finding {
    for statement in statements {
        let effect = if statement.allow { "Allow" } else { "Deny" };
        let failing: Vec<String> = statement.failing().map(ToString::to_string).collect();
        let unknown = statement.clauses.iter().filter(|clause| clause.held == ClauseResult::Unknown);
        let unknown: Vec<String> = unknown.map(ToString::to_string).collect();
        let mut words = match failing.is_empty() {
            true => "holds".to_owned(),
            false => format!("fails at {}", failing.join(", ")),
        };
        if !unknown.is_empty() {
            words.push_str(&format!("; cannot be judged here: {}", unknown.join(", ")));
        }
        finding = finding.evidence(format!("{source}: {} {effect} {words}", statement.name));
    }
    finding
}

/// The finding that a document is no policy.
pub fn malformed(source: &str) -> Finding {
    Finding::fault("trust-malformed", format!("the trust policy of {source} cannot be read"))
        .fix("give the document itself, with its `Statement` list:")
        .fix("  aws iam get-role --role-name NAME --query Role.AssumeRolePolicyDocument")
}

fn allowed(source: &str, asker: TokenCaller<'_>, statements: &[Statement], sure: bool) -> Finding {
    let role = asker.role;
    let what = if sure {
        format!("the trust policy of {role} allows this token")
    } else {
        format!("the trust policy of {role} allows this token, but for what cannot be judged here")
    };
    lines(Finding::note("trust-allows", what), source, statements)
        .fix(
            "if AWS refuses it all the same: a role or policy that was just changed takes some seconds \
         (--wait-for-iam 30s);",
        )
        .fix(
            "the policy that was read may be another role's; a service control or resource control policy may \
         deny it",
        )
}

/// Says what a failing clause means.
fn refusal(clause: &Clause, statement: &Statement, asker: TokenCaller<'_>) -> Finding {
    let place = format!("{} {clause}", statement.name);
    let role = asker.role;
    match &clause.wants {
        Wants::Action(actions) => {
            Finding::fault("trust-action", format!("the trust policy of {role} does not allow {ACTION}"))
                .evidence(format!("{place} allows {}", actions.join(", ")))
                .fix(format!("allow {ACTION} to the identity provider: sts:AssumeRole is for IAM principals"))
        }
        Wants::Principal(named) => principal(&place, named, asker),
        Wants::Condition { operator, key, values, known } => condition(&place, (operator, key), values, known, asker),
    }
}

fn principal(place: &str, named: &[(String, String)], asker: TokenCaller<'_>) -> Finding {
    let (provider, host) = (asker.provider(), asker.token.host());
    let finding = Finding::fault(
        "trust-principal",
        format!("the trust policy of {} does not name the identity provider of this token", asker.role),
    )
    .evidence(format!("{place} names {}", names(named)))
    .evidence(format!("the token's provider is {provider}"));
    let federated = named.iter().find(|(kind, _)| kind == "Federated").map(|(_, name)| name.as_str());
    let why = match federated.map(|name| (name, name.split_once(":oidc-provider/"))) {
        None => "a web identity needs `\"Federated\"`, and not `\"AWS\"` or `\"Service\"`".to_owned(),
        Some((_, Some((_, named)))) if named.trim_end_matches('/') == host.trim_end_matches('/') && named != host => {
            "they differ by a trailing slash".to_owned()
        }
        Some((_, Some((_, named)))) if named.contains("://") => "the ARN has the host without `https://`".to_owned(),
        Some((_, Some((_, named)))) if named.eq_ignore_ascii_case(host) && named != host => {
            "they differ by upper and lower case".to_owned()
        }
        Some((_, Some((start, named)))) if named == host => {
            let account = start.split(':').nth(4).unwrap_or_default();
            match account == asker.role.account().as_str() {
                true => "they differ by partition".to_owned(),
                false => format!("the provider must be in the role's own account, and not in {account}"),
            }
        }
        Some((_, Some((_, named)))) => format!("`{named}` is another host than `{host}`"),
        Some((name, None)) => format!("`{name}` is not the ARN of an OIDC provider"),
    };
    finding.fix(format!("name {provider} there: {why}"))
}

/// Writes principals as they stand in the policy.
pub fn names(named: &[(String, String)]) -> String {
    let words: Vec<String> = named.iter().map(|(kind, name)| format!("{kind} {name}")).collect();
    if words.is_empty() { "nobody".to_owned() } else { words.join(", ") }
}

fn condition(
    place: &str,
    (operator, key): (&str, &str),
    values: &[String],
    known: &Known,
    asker: TokenCaller<'_>,
) -> Finding {
    let (role, token) = (asker.role, asker.token);
    let fault =
        |code, what: String| Finding::fault(code, what).evidence(format!("{place} wants {}", values.join(" or ")));
    if !is_operator(operator) {
        let what = format!("the trust policy of {role} has a condition operator that IAM does not know");
        return fault("trust-operator", what)
            .fix(format!("`{operator}` is none; use StringEquals, or StringLike for wildcards"));
    }
    let had = match known {
        Known::Values(had) => had.as_slice(),
        Known::Never(why) => return never(fault, why, key, asker),
        Known::Absent | Known::Hidden => {
            let what = format!("the trust policy of {role} asks for a claim that this token does not have");
            return fault("trust-claim", what)
                .evidence(format!("the token has no `{}`", claim(key)))
                .fix(format!("take {key} out, or write {operator}IfExists where the claim may be missing"));
        }
    };
    let has = format!("the token has {}", had.join(" and "));
    let wild = |value: &String| value.contains(['*', '?']);
    if operator.contains("StringEquals")
        && values.iter().any(|value| wild(value) && had.iter().any(|had| matches(value, had)))
    {
        let what = format!(
            "the trust policy of {role} compares a wildcard by StringEquals, which takes it \
         literally"
        );
        return fault("trust-wildcard", what)
            .evidence(has)
            .fix(format!("write StringLike in place of {operator} for \"{key}\""));
    }
    if claim(key) == "aud" {
        let what = format!("the trust policy of {role} wants another audience than the token's");
        return fault("trust-audience", what).evidence(has).fix(format!(
            "let {key} in the trust policy, a client id of the provider and `aud:` of the job's `id_tokens` be \
             the same text, \
             https:// and slashes included; the token's is {}",
            token.audience().join(" ")
        ));
    }
    if claim(key) != "sub" {
        let what = format!("the trust policy of {role} wants another `{}` than the token's", claim(key));
        return fault("trust-claim", what)
            .evidence(has)
            .fix(format!("allow the token's value for {key}, or run the job where it has the other"));
    }
    subject(fault, values, asker).evidence(has)
}

/// Says of a key that no request of this issuer has.
fn never(fault: impl Fn(&'static str, String) -> Finding, why: &str, key: &str, asker: TokenCaller<'_>) -> Finding {
    let (role, host) = (asker.role, asker.token.host());
    let what = format!("the trust policy of {role} asks for a condition key that no token of {host} ever has");
    let finding = fault("trust-key", what).evidence(why.to_owned());
    let bare = key.split_once("://").map_or(key, |(_, rest)| rest);
    let owner = bare.rsplit_once(':').map_or("", |(owner, _)| owner);
    if owner.trim_end_matches('/').eq_ignore_ascii_case(host.trim_end_matches('/'))
        && bare != format!("{host}:{}", claim(key))
        || key.contains("://")
    {
        return finding
            .fix(format!("write \"{host}:{}\": the host as in the provider's ARN, without https://", claim(key)));
    }
    match claim(key) {
        "sub" | "aud" => finding.fix(format!(
            "write \"{host}:{}\": the key begins with the host of this token's \
         issuer",
            claim(key)
        )),
        name => finding.fix(format!(
            "take {key} out and say it by \"{host}:sub\"; what sub does not have (`{name}`) must be one of its \
             components \
             (ci_id_token_sub_claim_components), or be left to GitLab's protected branches and environments"
        )),
    }
}

/// Says how a subject differs from the patterns for it, by the component that does.
fn subject(fault: impl Fn(&'static str, String) -> Finding, patterns: &[String], asker: TokenCaller<'_>) -> Finding {
    let (role, token) = (asker.role, asker.token);
    let subject = token.subject();
    if patterns
        .iter()
        .any(|pattern| ["ref_type:mr", "ref_type:merge_request"].iter().any(|word| pattern.contains(word)))
    {
        return fault("trust-ref-type", format!("the trust policy of {role} wants a ref_type that no token has")).fix(
            "ref_type is `branch` or `tag`; a merge request's pipeline has `branch` and its source branch as ref",
        );
    }
    if let Some(pattern) = patterns.iter().find(|pattern| pattern.eq_ignore_ascii_case(subject)) {
        return fault("trust-subject", format!("the trust policy of {role} has the token's sub in other letters"))
            .fix(format!("upper and lower case matter: write {subject} and not {pattern}"));
    }
    let Some(own) = components(subject) else {
        return fault("trust-subject", format!("the trust policy of {role} does not allow the token's sub"))
            .fix("write the sub as the token has it");
    };
    let differ = patterns.iter().filter_map(|pattern| differs(pattern, &own)).max_by_key(|(at, _)| *at);
    let Some((at, wanted)) = differ else {
        let shape: Vec<&str> = own.iter().map(|(name, _)| *name).collect();
        return fault(
            "trust-subject-form",
            format!("the trust policy of {role} has a sub of another form than the token's"),
        )
        .fix(format!("the token's sub is made of {}, in this order; write the policy's so", shape.join(", ")));
    };
    let (name, value) = own[at];
    match name {
        "ref" | "ref_type" => {
            let mut finding = fault(
                "trust-ref",
                format!(
                    "the role {role} is not for the {} `{value}`",
                    if name == "ref" { token.text("ref_type").unwrap_or("ref") } else { name }
                ),
            )
            .fix(format!("run the job on `{wanted}`, or allow {name}:{value} in the trust policy"));
            if token.is_of_a_merge_request() {
                finding = finding.evidence("it is a merge request's pipeline: its ref is the source branch");
            }
            finding
        }
        "project_path" | "project_id" | "job_project_id" | "source_project_id" => {
            let mut finding =
                fault("trust-project", format!("the role {role} is not for the project `{value}`")).fix(format!(
                    "the trust policy allows {wanted}; if this project should have the role, allow \
                 {name}:{value}"
                ));
            if token.is_of_a_fork() {
                finding =
                    finding.evidence("the pipeline is of a fork's merge request, and its claims name the fork").fix(
                        "do not let forks deploy: run the job in the parent project (rules: if \
                     $CI_MERGE_REQUEST_SOURCE_PROJECT_ID == $CI_PROJECT_ID)",
                    );
            }
            finding
        }
        _ => fault("trust-subject", format!("the role {role} is not for a token whose {name} is `{value}`"))
            .fix(format!("the trust policy wants {name}:{wanted} in its sub")),
    }
}

/// Returns the first component in which a sub differs from a pattern, and what the pattern has there; `None` where they
/// are not of the same form.
fn differs<'p>(pattern: &'p str, own: &[(&str, &str)]) -> Option<(usize, &'p str)> {
    let parts: Vec<&str> = pattern.split(':').collect();
    for (at, (name, value)) in own.iter().enumerate() {
        // A wildcard in the place of a name covers all that follows.
        let (wanted_name, wanted) = (parts.get(2 * at)?, parts.get(2 * at + 1)?);
        if !matches(wanted_name, name) {
            return None;
        }
        if !matches(wanted, value) {
            return Some((at, wanted));
        }
    }
    None
}

/// Returns the claim of a condition key: what follows its last colon.
fn claim(key: &str) -> &str {
    key.rsplit(':').next().unwrap_or(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_component_that_differs_is_found() {
        let own = components("project_path:acme/shop:ref_type:branch:ref:main").expect("components");
        for (pattern, wanted) in [
            ("project_path:acme/shop:ref_type:branch:ref:release", Some((2, "release"))),
            ("project_path:acme/*:ref_type:tag:ref:*", Some((1, "tag"))),
            ("project_path:other/shop:ref_type:branch:ref:main", Some((0, "other/shop"))),
            ("project_id:4711:ref_type:branch:ref:main", None),
            ("project_path:eve/shop:*", Some((0, "eve/shop"))),
            ("project_path:acme/shop", None),
        ] {
            assert_eq!(differs(pattern, &own), wanted, "{pattern}");
        }
    }
}
