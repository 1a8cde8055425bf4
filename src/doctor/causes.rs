//! Where the policy that refuses cannot be read: what may be the cause, the most likely first, and how each is checked.

use crate::aws::denial::{Caller, Denial, Policy, Why};
use crate::aws::error::CallError;
use crate::doctor::chain::Step;
use crate::doctor::finding::Finding;
use crate::doctor::trust::{TokenCaller, WRITE};

/// Enumerates the causes of "Not authorized to perform sts:AssumeRoleWithWebIdentity". `why` says why the role could not
/// be read.
pub fn web_identity(asker: TokenCaller<'_>, why: Option<&str>) -> Finding {
    let (token, role, host) = (asker.token, asker.role, asker.token.host());
    let account = role.account();
    let mut causes: Vec<(u8, String)> = Vec::new();
    let reference = token.text("ref").unwrap_or("(none)");
    let kind = token.text("ref_type").unwrap_or("ref");
    let usual = token.has_usual_subject();
    let odd_ref = kind == "tag" || token.text("ref_protected") == Some("false") || token.is_of_a_merge_request();
    let pipeline = match token.is_of_a_merge_request() {
        true => {
            "; this is a merge request's pipeline, whose ref is its source branch, and no role can have ref_type:mr for it"
        }
        false => "",
    };
    causes.push((
        if odd_ref { 1 } else { 4 },
        format!(
            "the role is for another branch or tag than the {kind} `{reference}`{pipeline}: compare the \
         condition on \"{host}:sub\""
        ),
    ));
    if token.is_of_a_fork() {
        let fork = token.text("project_path").unwrap_or("(none)");
        causes.push((
            0,
            format!(
                "the pipeline is of a fork's merge request, and the claims name the fork \
         `{fork}`: deploy from the parent project"
            ),
        ));
    }
    causes.push((
        if usual { 2 } else { 1 },
        format!(
            "the role is for another project, or its policy has another form of sub: the token's is {}",
            token.subject()
        ),
    ));
    causes.push((3, format!("the role does not exist, or its name or path differs from {role}")));
    causes.push((
        6,
        "StringEquals stands where the value has a wildcard (* or ?), which it takes literally: write StringLike"
            .to_owned(),
    ));
    causes.push((
        7,
        format!(
            "Principal is not {}: the role's own account, the host without https://, no slash more or less",
            asker.provider()
        ),
    ));
    causes.push((8, format!("a condition on \"{host}:aud\" is not {}", token.audience().join(" "))));
    let keys = match host {
        "gitlab.com" => "sub, aud and a few claims such as project_id; never environment, ref or ref_type",
        _ => "sub and aud; the keys that AWS has for gitlab.com, such as project_id, do not exist for other hosts",
    };
    causes.push((9, format!("a condition uses a key that never comes: of {host} AWS has {keys}")));
    causes.push((
        10,
        "the role was made or changed seconds ago (--wait-for-iam 30s), or a Deny or a service \
     control policy covers it"
            .to_owned(),
    ));
    causes.sort_by_key(|(weight, _)| *weight);
    let finding =
        Finding::fault("not-authorized", format!("the role {role} refuses the ID token, and AWS does not say why"));
    let mut finding = unread(finding, why).fix(format!("check in account {account}, the most likely first:"));
    for (number, (_, cause)) in causes.into_iter().enumerate() {
        finding = finding.fix(format!("{}. {cause}", number + 1));
    }
    told_by_file(finding, role.name()).fix(WRITE).json(&asker.statement())
}

/// Enumerates the causes of a refused AssumeRole.
pub fn assume(step: Step<'_>, error: &CallError, why: Option<&str>) -> Finding {
    let (role, caller) = (&step.hop.arn, step.caller_words());
    let action = ["sts:TagSession", "sts:SetSourceIdentity"].into_iter().find(|action| error.message.contains(action));
    let (code, action) = match action {
        Some("sts:TagSession") => ("tag-session-denied", "sts:TagSession"),
        Some(_) => ("source-identity-denied", "sts:SetSourceIdentity"),
        None => ("assume-role-denied", "sts:AssumeRole"),
    };
    let finding = Finding::fault(code, format!("{caller} may not call {action} on {role}"));
    let mut finding = unread(finding, why);
    let mut causes = vec![
        format!("the trust policy of {role} does not allow {action} to {caller}"),
        format!("{caller} has no policy that allows {action} on {role}: across accounts both sides must allow it"),
    ];
    match (code, &step.hop.external_id) {
        ("tag-session-denied", _) => causes
            .push("take `tags` of this role, and `transitive_tags` of earlier ones, out of the manifest".to_owned()),
        ("source-identity-denied", _) => {
            causes.push(
                "a source identity stays for the whole chain, and no later role may change it: take it \
             out, or allow it everywhere"
                    .to_owned(),
            );
        }
        (_, Some(_)) => causes
            .push(format!("its sts:ExternalId condition does not match `external_id` of the role `{}`", step.hop.role)),
        (_, None) => causes
            .push(format!("it asks for an sts:ExternalId, and the manifest gives the role `{}` none", step.hop.role)),
    }
    if code == "assume-role-denied" {
        causes.push(format!("the role does not exist, or its name or path differs from {role}"));
        causes.push(
            "the role before was deleted and recreated: its principal in the trust policy is now an id \
         (AROA…); rewrite it"
                .to_owned(),
        );
        causes.push(
            "the role was made or changed seconds ago (--wait-for-iam 30s), or a service control policy denies it"
                .to_owned(),
        );
    }
    finding = finding.fix(format!("check in account {}, the most likely first:", role.account()));
    for (number, cause) in causes.into_iter().enumerate() {
        finding = finding.fix(format!("{}. {cause}", number + 1));
    }
    step.write(told_by_file(finding, role.name()))
}

/// A refusal that AWS says is the caller's own side's.
pub fn caller(step: Step<'_>, denial: &Denial<'_>, policy: Policy, region: &str) -> Finding {
    let (role, caller, action) = (&step.hop.arn, step.caller_words(), &denial.action);
    let what = match denial.why {
        Why::Explicit(_) => format!("{} denies {caller} the call of {action} on {role}", policy.with_article()),
        _ => format!("no {} of {caller} allows {action} on {role}", policy.name()),
    };
    let finding = Finding::fault("caller-policy", what);
    let hop = step.before.last();
    // A resource control policy is of the organization that the role's account is in.
    let account = hop.filter(|_| policy != Policy::ResourceControl).map_or(role, |hop| &hop.arn).account().as_str();
    let finding = match policy {
        Policy::Identity if matches!(denial.why, Why::Missing(_)) => finding,
        _ => finding.fix(denial.help(&Caller { hop, account, region })),
    };
    if matches!(denial.why, Why::Explicit(_)) {
        return finding;
    }
    let statement = serde_json::json!({ "Effect": "Allow", "Action": step.actions(), "Resource": role.as_str() });
    finding
        .fix(format!("the role's trust policy is not asked before; allow it to {caller} by this statement:"))
        .json(&statement)
}

fn unread(finding: Finding, why: Option<&str>) -> Finding {
    match why {
        Some(why) => finding.evidence(format!("its trust policy could not be read: {why}")),
        None => finding,
    }
}

fn told_by_file(finding: Finding, name: &str) -> Finding {
    finding
        .fix("somebody who may read the role can find the clause with:")
        .fix(format!("  aws iam get-role --role-name {name} --query Role.AssumeRolePolicyDocument > trust.json"))
        .fix("  roleout doctor --trust-policy trust.json")
}
