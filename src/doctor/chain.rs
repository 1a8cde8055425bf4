//! A role's trust policy held against the session that asks for it by AssumeRole: which clause refuses it, for which of
//! the three actions that a hop can need.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::base::arn;
use crate::base::iam_pattern::matches;
use crate::doctor::finding::Finding;
use crate::doctor::policy::{Ask, Clause, ClauseResult, Known, Statement, Wants, is_operator, judge};
use crate::doctor::trust::{WRITE, lines, malformed, names, nearest};
use crate::fleet::role_arn::RoleArn;
use crate::fleet::{Hop, OWN_IDENTITY};

/// A session that asks for the next role of its chain.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// The hops before, the caller's own last. Empty: the SDK's own credentials ask.
    pub before: &'a [Hop],
    /// The role that is asked for, and how.
    pub hop: &'a Hop,
    /// The name of the sessions.
    pub session_name: &'a str,
}

impl Step<'_> {
    /// Returns the caller's role, unless it is the SDK's own credentials.
    pub fn caller(&self) -> Option<&RoleArn> {
        self.before.last().map(|hop| &hop.arn)
    }

    /// Returns the caller in words.
    pub fn caller_words(&self) -> String {
        self.caller().map_or_else(|| OWN_IDENTITY.to_owned(), ToString::to_string)
    }

    /// Returns the tags that the session inherits: those that earlier hops passed on.
    fn inherited(&self) -> BTreeMap<&str, &str> {
        let passed = self.before.iter().flat_map(|hop| {
            hop.transitive_tags.iter().filter_map(|key| Some((key.as_str(), hop.tags.get(key)?.as_str())))
        });
        passed.collect()
    }

    fn source_identity(&self) -> Option<&str> {
        let all = self.before.iter().chain([self.hop]);
        all.rev().find_map(|hop| hop.source_identity.as_deref())
    }

    /// Returns the actions that the hop needs.
    pub fn actions(&self) -> Vec<&'static str> {
        let mut actions = vec!["sts:AssumeRole"];
        if !self.hop.tags.is_empty() || !self.inherited().is_empty() {
            actions.push("sts:TagSession");
        }
        if self.source_identity().is_some() {
            actions.push("sts:SetSourceIdentity");
        }
        actions
    }

    /// Returns the statement that allows the hop.
    pub fn statement(&self) -> Value {
        let account = self.hop.arn.account();
        let caller = self
            .caller()
            .map_or_else(|| format!("arn:{}:iam::{account}:root", self.hop.arn.partition()), ToString::to_string);
        let actions = self.actions();
        let mut statement = json!({
            "Effect": "Allow",
            "Principal": { "AWS": caller },
            "Action": if actions.len() == 1 { json!(actions[0]) } else { json!(actions) },
        });
        if self.hop.external_id.is_some() {
            statement["Condition"] = json!({ "StringEquals": { "sts:ExternalId": self.external_id() } });
        }
        statement
    }

    /// Adds to a finding the statement that allows the hop, with what is still to be put into it.
    pub fn write(&self, finding: Finding) -> Finding {
        let finding = match self.hop.external_id {
            Some(_) => finding.fix(format!(
                "put the external id in the place of `{}` below: the manifest has it, and a log does not show it",
                self.external_id()
            )),
            None => finding,
        };
        finding.fix(WRITE).json(&self.statement())
    }

    /// Returns what stands for the external id: two parties know it, and a job log has more readers.
    fn external_id(&self) -> String {
        format!("<REPLACE: external_id of {}>", self.hop.role)
    }

    fn key(&self, key: &str) -> Known {
        let one = |value: Option<&str>| value.map_or(Known::Absent, |value| Known::Values(vec![value.to_owned()]));
        let several = |values: BTreeSet<&str>| match values.is_empty() {
            true => Known::Absent,
            false => Known::Values(values.into_iter().map(str::to_owned).collect()),
        };
        let of = |tags: &BTreeMap<&str, &str>, name: &str| {
            one(tags.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| *value))
        };
        let tags: BTreeMap<&str, &str> =
            self.hop.tags.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        match key {
            "sts:externalid" => one(self.hop.external_id.as_deref()),
            "sts:rolesessionname" => one(Some(self.session_name)),
            "sts:sourceidentity" => one(self.source_identity()),
            "sts:transitivetagkeys" => several(self.hop.transitive_tags.iter().map(String::as_str).collect()),
            "aws:tagkeys" => several(tags.keys().copied().collect()),
            "aws:principalarn" if self.caller().is_some() => one(self.caller().map(RoleArn::as_str)),
            "aws:principalaccount" if self.caller().is_some() => one(self.caller().map(|arn| arn.account().as_str())),
            "aws:principaltype" if self.caller().is_some() => one(Some("AssumedRole")),
            "aws:multifactorauthpresent" if self.caller().is_some() => {
                Known::Never("a job's session has no multi-factor authentication".to_owned())
            }
            _ => match (key.strip_prefix("aws:requesttag/"), key.strip_prefix("aws:principaltag/")) {
                (Some(name), _) => of(&tags, name),
                // The caller's session tags are known; the tags of its role are not.
                (_, Some(name)) => {
                    let mut own = self.inherited();
                    let last = self.before.last().into_iter().flat_map(|hop| &hop.tags);
                    own.extend(last.map(|(key, value)| (key.as_str(), value.as_str())));
                    match of(&own, name) {
                        Known::Absent => Known::Hidden,
                        known => known,
                    }
                }
                _ if key.starts_with("aws:") || key.starts_with("sts:") || key.starts_with("iam:") => Known::Hidden,
                _ => Known::Never("AssumeRole has no claims of an ID token; they end at the first role".to_owned()),
            },
        }
    }
}

/// Holds a trust policy against a step of a chain. `policy` came from `source`, such as `the live role`.
///
/// Returns one finding for each action and clause that refuses it, or the note that nothing does.
pub fn examine(policy: &Value, source: &str, step: Step<'_>) -> Vec<Finding> {
    let role = &step.hop.arn;
    let mut principals = Vec::new();
    if let Some(caller) = step.caller() {
        let (partition, account) = (caller.partition(), caller.account());
        let session = format!("arn:{partition}:sts::{account}:assumed-role/{}/{}", caller.name(), step.session_name);
        principals.push(("AWS", caller.to_string()));
        principals.push(("AWS", account.to_string()));
        principals.push(("AWS", format!("arn:{partition}:iam::{account}:root")));
        principals.push(("AWS", session));
    }
    let key = |key: &str| step.key(key);
    let mut findings: Vec<Finding> = Vec::new();
    let mut judged = Vec::new();
    for action in step.actions() {
        let Some(statements) = judge(policy, &Ask { action, principals: &principals, key: &key }) else {
            return vec![malformed(source)];
        };
        if let Some(denial) = statements.iter().find(|one| !one.allow && one.result() == ClauseResult::Yes) {
            let finding =
                Finding::fault("chain-denied", format!("a Deny statement of {role} covers {action} by this session"));
            let fix = format!("narrow {} of the trust policy: a Deny beats every Allow", denial.name);
            findings.push(lines(finding, source, &statements).fix(fix));
        } else if !statements.iter().any(|one| one.allow && one.result() != ClauseResult::No) {
            findings.extend(refusals(&statements, source, step, action));
        }
        judged = statements;
    }
    match findings.pop() {
        // A statement to copy must not leave out an external id that the policy asks for.
        Some(last) if matches!(last.code, "chain-denied" | "chain-external-id") => findings.push(last),
        Some(last) => findings.push(step.write(last)),
        None => findings.push(allowed(source, step, &judged)),
    }
    findings
}

fn allowed(source: &str, step: Step<'_>, statements: &[Statement]) -> Finding {
    let (role, caller) = (&step.hop.arn, step.caller_words());
    let finding = Finding::note("trust-allows", format!("the trust policy of {role} allows this session"));
    lines(finding, source, statements)
        .fix(format!(
            "give {caller} a permission policy that allows {} on {role}: both sides must allow it",
            step.actions().join(", ")
        ))
        .fix("a role or policy that was just changed takes some seconds (--wait-for-iam 30s)")
        .fix("a service control policy, a permissions boundary or a session policy of the caller may deny it, too")
}

fn refusals(statements: &[Statement], source: &str, step: Step<'_>, action: &str) -> Vec<Finding> {
    let role = &step.hop.arn;
    let nothing = || Finding::fault("chain-action", format!("the trust policy of {role} does not allow {action}"));
    let Some(nearest) = nearest(statements) else { return vec![lines(nothing(), source, statements)] };
    let told = nearest.failing().map(|clause| {
        let finding = refusal(clause, nearest, step, action);
        lines(finding, source, statements)
    });
    told.collect()
}

fn refusal(clause: &Clause, statement: &Statement, step: Step<'_>, action: &str) -> Finding {
    let (role, place) = (&step.hop.arn, format!("{} {clause}", statement.name));
    match &clause.wants {
        Wants::Action(actions) => {
            let finding = Finding::fault(
                "chain-action",
                format!(
                    "the trust policy of {role} does not allow \
             {action}"
                ),
            )
            .evidence(format!("{place} allows {}", actions.join(", ")));
            match action {
                "sts:TagSession" => finding.fix(
                    "the manifest gives the role session `tags`, or an earlier one \
                 transitive tags: allow sts:TagSession, or take the tags out",
                ),
                "sts:SetSourceIdentity" => finding.fix(
                    "the manifest gives a `source_identity`, which stays for \
                 the whole chain: allow sts:SetSourceIdentity, or take it out",
                ),
                _ => finding.fix(
                    "AssumeRoleWithWebIdentity is for the first role of a chain; the next ones \
                 need sts:AssumeRole",
                ),
            }
        }
        Wants::Principal(named) => principal(&place, named, step),
        Wants::Condition { operator, key, values, known } => condition(&place, (operator, key), values, known, step),
    }
}

fn principal(place: &str, named: &[(String, String)], step: Step<'_>) -> Finding {
    let (role, caller) = (&step.hop.arn, step.caller_words());
    let unique = |name: &str| ["AROA", "AIDA"].iter().any(|start| name.starts_with(start)) && !name.contains(':');
    if let Some((_, id)) = named.iter().find(|(_, name)| unique(name)) {
        return Finding::fault(
            "chain-role-recreated",
            format!("the trust policy of {role} names a role that was deleted"),
        )
        .evidence(format!("{place} names {id}, the id that AWS puts in place of the ARN of a role that is gone"))
        .evidence("a recreated role of the same name has another id")
        .fix(format!("write {caller} into the trust policy again, in place of {id}"));
    }
    let finding =
        Finding::fault("chain-principal", format!("the trust policy of {role} does not name the role before it"))
            .evidence(format!("{place} names {}", names(named)))
            .evidence(format!("the session that asks is of {caller}"));
    let Some(own) = step.caller() else {
        return finding.fix("name the user or role of the SDK's own credentials there");
    };
    let session = named.iter().any(|(_, name)| name.contains(&format!(":assumed-role/{}/", own.name())));
    let pattern = named.iter().any(|(_, name)| name.contains('*') && matches(name, own.as_str()));
    let pathless = named.iter().any(|(_, name)| {
        name.starts_with("arn:")
            && arn::name(name) == own.name()
            && name.contains(&format!("::{}:role/", own.account()))
    });
    let fix = if session {
        "a session's ARN holds for one session name only: name the role's ARN"
    } else if pattern {
        "Principal takes no wildcard in an ARN: name the role, or the account with a condition on \
         aws:PrincipalArn (ArnLike)"
    } else if pathless {
        "they differ by the role's path, which is a part of its ARN"
    } else {
        "correct the ARN"
    };
    finding.fix(format!("name {caller} there: {fix}"))
}

fn condition(place: &str, (operator, key): (&str, &str), values: &[String], known: &Known, step: Step<'_>) -> Finding {
    let role = &step.hop.arn;
    let wants = |finding: Finding| finding.evidence(format!("{place} wants {}", values.join(" or ")));
    if !is_operator(operator) {
        let what = format!("the trust policy of {role} has a condition operator that IAM does not know");
        return wants(Finding::fault("trust-operator", what))
            .fix(format!("`{operator}` is none; use StringEquals, or StringLike for wildcards"));
    }
    if key.eq_ignore_ascii_case("sts:ExternalId") {
        // An external id is known to two parties; here it is not repeated.
        return match &step.hop.external_id {
            None => Finding::fault(
                "chain-external-id",
                format!("{role} asks for an external id, and the manifest gives none"),
            )
            .evidence(format!("{place} is not met"))
            .fix(format!("set `external_id` of the role `{}` in the manifest", step.hop.role)),
            Some(_) => Finding::fault(
                "chain-external-id",
                format!(
                    "{role} asks for another external id than the \
                 manifest's"
                ),
            )
            .evidence(format!("{place} is not met by `external_id` of the role `{}`", step.hop.role))
            .fix("let both be the same text: upper and lower case and blanks at the ends count"),
        };
    }
    let what = format!("a condition of {role}'s trust policy is not met by this session");
    let finding = wants(Finding::fault("chain-condition", what));
    match known {
        Known::Values(had) => finding.evidence(format!("the session has {}", had.join(" and "))),
        Known::Never(why) => finding.evidence(why.clone()),
        Known::Absent | Known::Hidden => finding.evidence(format!("the session has no {key}")),
    }
    .fix(format!("change {key} in the trust policy, or what the manifest gives for the role `{}`", step.hop.role))
}
